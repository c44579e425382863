/* The lists of every kind of thing under one roof: what `crumb info` shows and what recipes look names up in. */
#ifndef CRUMB_CATALOG_H
#define CRUMB_CATALOG_H

#include "base/ctx.h"
#include "crumb/train.h"

/* "model", "quantizer", ... as messages say it. */
const char *crumb_kind_singular(crumb_kind kind);
/* Number of rows, and the index-th descriptor itself (crumb_model, crumb_quantizer, ...); NULL past the end. */
int crumb_kind_count(crumb_kind kind);
const void *crumb_kind_row(crumb_kind kind, int index);
const char *crumb_row_name(const void *row);
const crumb_param *crumb_row_params(crumb_kind kind, const void *row); /* NULL: none */
/* The row of that name; otherwise ARGUMENT: "unknown model 'resnet21'; did you mean 'resnet20'?" */
crumb_status crumb_kind_find(crumb_ctx *ctx, crumb_kind kind, const char *name, const void **row);

#endif
