/* Batch normalisation, residual, activation and activation quantizer as few passes over memory.
 *
 * Tensors are rows x c, channels last (an NHWC activation has n*h*w rows). One forward pass computes
 *
 *     u = (y - mean) * (invstd * gamma) + beta   (+ residual)
 *     r = u < 0 ? 0 : u                          with CRUMB_ACT_RELU, else r = u
 *     z = step * round(min(max(v, lo), hi))      with CRUMB_ACT_QUANT, v = r * inv_step, else z = r
 *
 * Rounding is to nearest, ties to even; lo and hi are integer codes, so that clamping before rounding gives
 * the same code as after it. NaN passes through u and r and becomes the level lo of z.
 *
 * The gradient is straight through: g = dz where u > 0 (RELU) and lo <= v <= hi (QUANT), else 0. Forward
 * writes that condition as a bit for each element, so that backward reads y, dz and 1/32 of a tensor, and
 * never z: mask[row * chunks + c/16] holds channel c in bit c%16, chunks = ceil(c/16).
 *
 * Backward needs two sums for each channel before any element of dy is known, hence two passes:
 *
 *     dbeta = sum g          dgamma = invstd * sum g (y - mean)
 *     dy = gamma*invstd * (g - dbeta/rows - (y - mean) * invstd * dgamma/rows),      dresidual = g
 *
 * With mean == NULL there is no normalisation: u = y (+ residual) and dy = g.
 *
 * Numerics. Statistics go through blocks of rows: mean and squared deviations about the block's own
 * mean in f32, blocks merged in double (Chan, Golub, LeVeque 1983), so a mean far from zero costs no
 * digits of the variance. Backward sums are f32 within a block, double across. Rows are divided among
 * threads in a fixed way and merged in thread order: same threads, same bits.
 */
#ifndef CRUMB_BACKEND_CPU_NORM_H
#define CRUMB_BACKEND_CPU_NORM_H

#include <stddef.h>
#include <stdint.h>

enum { CRUMB_ACT_NONE = 0, CRUMB_ACT_RELU = 1, CRUMB_ACT_QUANT = 2 };

typedef struct {
    int64_t rows, c;
    int threads;
    int simd; /* 0: plain C only, 1: the best the CPU has */
    int act;
    float lo, hi, step, inv_step; /* QUANT only */
    /* QUANT with a learned step: dstep = sum of dz * e, e = lo below, hi above, grad_inside * (round(v) - v) inside
     * (Esser et al. 2020, equation 3; PACT is grad_inside = 0). */
    int step_gradient;
    float grad_inside;
} crumb_norm_plan;

/* Per-channel vectors; mean == NULL switches normalisation off and the others are not read. */
typedef struct {
    const float *mean, *invstd, *gamma, *beta;
} crumb_norm_channels;

size_t crumb_norm_mask_size(const crumb_norm_plan *plan); /* in uint16_t */
size_t crumb_norm_workspace(const crumb_norm_plan *plan); /* in bytes, aligned to 64, for every call below */

/* mean[c], var[c] of y's columns; var is the biased one (divided by rows), as training normalises with. */
void crumb_norm_statistics(const crumb_norm_plan *plan, float *mean, float *var, const float *y, void *workspace);

/* z and mask from y; residual and mask may be NULL. z may be y or residual. */
void crumb_norm_forward(const crumb_norm_plan *plan, float *z, uint16_t *mask, const float *y, const float *residual,
                        const crumb_norm_channels *channels, void *workspace);

typedef struct {
    float *dgamma, *dbeta; /* out, c values; NULL without normalisation */
    float *dstep;          /* out, 1 value; used when plan->step_gradient */
    const float *dz, *y;
    const float *residual; /* as in forward; read only when plan->step_gradient */
    const uint16_t *mask;  /* NULL: g = dz */
} crumb_norm_reduction;

/* First pass of backward: dgamma, dbeta, dstep. */
void crumb_norm_backward_reduce(const crumb_norm_plan *plan, const crumb_norm_reduction *r, const crumb_norm_channels *channels,
                                void *workspace);

typedef struct {
    float *dy;                   /* out or NULL */
    float *dresidual;            /* out or NULL: g; may be dz */
    int add_dy, add_dresidual;   /* add to what is there instead of overwriting */
    int constant;                /* mean and invstd did not come from y: their share of dy is left out */
    const float *dz, *y;         /* dy may be dz when dresidual is not, or y */
    const uint16_t *mask;        /* NULL: g = dz */
    const float *dgamma, *dbeta; /* from the first pass */
} crumb_norm_gradient;

/* Second pass of backward: dy, dresidual. */
void crumb_norm_backward_apply(const crumb_norm_plan *plan, const crumb_norm_gradient *g, const crumb_norm_channels *channels,
                               void *workspace);

#endif
