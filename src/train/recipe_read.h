/* From a recipe's tree to a recipe, and back to text, by the tables of recipe_schema.c. */
#ifndef CRUMB_RECIPE_READ_H
#define CRUMB_RECIPE_READ_H

#include "base/text.h"
#include "train/recipe_schema.h"
#include "train/recipe_tree.h"

/* Fills a zeroed recipe: presets first, then the tree's keys, each checked. `files`: also whether the files it names exist. */
crumb_status crumb_recipe_read(crumb_ctx *ctx, const crumb_tree *tree, bool files, crumb_recipe *recipe);

#endif
