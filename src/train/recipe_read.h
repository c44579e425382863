/* From a recipe's tree to a recipe, and back to text, by the tables of recipe_schema.c. */
#ifndef CRUMB_RECIPE_READ_H
#define CRUMB_RECIPE_READ_H

#include "base/text.h"
#include "train/recipe_schema.h"
#include "train/recipe_tree.h"

/* Fills the owner of a schema from a mapping: presets first, then the keys. */
crumb_status crumb_schema_read(crumb_ctx *ctx, const crumb_schema *schema, const crumb_tree *tree, bool files, void *owner);
/* Prints `text` as a double-quoted scalar, with ${ as $${ if variables are looked for in it later. */
void crumb_recipe_quote(crumb_text *to, const char *text, bool variables);

/* Fills a zeroed recipe: presets first, then the tree's keys, each checked. `files`: also whether the files it names exist.
 * Where an override chooses another row, the file's keys that only other rows have are left out; `tell`: the log says so. */
crumb_status crumb_recipe_read(crumb_ctx *ctx, const crumb_tree *tree, bool files, bool tell, crumb_recipe *recipe);

#endif
