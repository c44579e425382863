/* Element types of safetensors files: size and exact conversion to float. */
#ifndef CRUMB_DTYPE_H
#define CRUMB_DTYPE_H

#include "base/ctx.h"

typedef struct crumb_dtype {
    const char *name; /* "BF16" */
    size_t bytes;
    float (*load)(const void *at); /* from any address; NULL: not offered */
} crumb_dtype;

const crumb_dtype *crumb_dtype_find(const char *name); /* NULL if unknown */
float crumb_half_to_float(uint16_t bits);
float crumb_bfloat_to_float(uint16_t bits);

#endif
