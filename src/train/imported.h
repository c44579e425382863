/* Networks that a file describes: the row "imported" of the models that recipes name. */
#ifndef CRUMB_IMPORTED_H
#define CRUMB_IMPORTED_H

#include "formats/safetensors.h"
#include "train/recipe.h"

extern const crumb_model crumb_imported;
#define crumb_imported_key "crumb.graph" /* metadata of model files */

bool crumb_is_onnx(const char *path); /* by its name */
/* Reads the structure from the file of choice->init, if the choice is an imported network and has none yet. */
crumb_status crumb_imported_describe(crumb_ctx *ctx, crumb_model_choice *choice);
/* The same from an open model file. */
crumb_status crumb_imported_read(crumb_ctx *ctx, const crumb_safetensors *file, crumb_model_choice *choice);
/* SHAPE if the network is not for such images and so many classes. */
crumb_status crumb_imported_check(const crumb_graph *graph, const char *path, crumb_shape image, int64_t classes);
/* The chosen network: crumb_model_build, or the imported one (parameters zero). */
crumb_status crumb_choice_build(crumb_ctx *ctx, const crumb_model_choice *choice, crumb_shape image, int64_t classes,
                                uint64_t seed, crumb_graph **graph);

#endif
