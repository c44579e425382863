/* Row-range kernels behind norm.h: what one thread does to rows [row0, row1). Two files provide them from
 * one text, norm_kernels.tmpl: plain C on vectors of 16 floats, and AVX-512. They differ in the last
 * bit where one has fused multiply-add and the other has not. */
#ifndef CRUMB_BACKEND_CPU_NORM_KERNELS_H
#define CRUMB_BACKEND_CPU_NORM_KERNELS_H

#include "backend/cpu/norm.h"

typedef struct {
    const crumb_norm_plan *plan;
    const float *mean, *scale, *shift; /* u = (y - mean) * scale + shift */
    const float *slope, *offset;       /* dy = scale * g + slope * (y - mean) + offset */
    const float *y, *residual, *dz;
    const uint16_t *mask_in;
    uint16_t *mask_out;
    float *out, *dresidual;
    double *sums; /* statistics: mean, M2; reduce: sum g, sum g (y - mean); [2][c] */
    double *dstep;
    int add_out, add_dresidual;
} crumb_norm_job;

typedef struct {
    void (*statistics)(const crumb_norm_job *job, int64_t row0, int64_t row1);
    void (*forward)(const crumb_norm_job *job, int64_t row0, int64_t row1);
    void (*reduce)(const crumb_norm_job *job, int64_t row0, int64_t row1);
    void (*apply)(const crumb_norm_job *job, int64_t row0, int64_t row1);
} crumb_norm_kernels;

const crumb_norm_kernels *crumb_norm_kernels__plain(void);
const crumb_norm_kernels *crumb_norm_kernels__avx512(void); /* NULL when the CPU lacks the instructions */

/* Rows of a block: its 16 columns of one chunk, and what is read beside them, stay in a 48 KiB cache. */
int64_t crumb_norm_block_rows(int64_t c);

#endif
