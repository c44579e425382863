/* Batch normalisation, residual, activation and activation quantizer as few passes over memory.
 *
 * Tensors are rows x c, channels last (an NHWC activation has n*h*w rows). One forward pass computes
 *
 *     u = (y - mean) * invstd * gamma + beta   (+ residual)
 *     z = u                                     CRUMB_ACT_NONE
 *     z = min(max(u, lo), hi)                   CRUMB_ACT_CLAMP: ReLU is lo = 0, hi = infinity
 *     z = step * round(min(max(u/step, lo), hi))  CRUMB_ACT_QUANT: lo and hi are integer codes
 *
 * Rounding is to nearest, ties to even; u/step is u * inv_step; NaN passes through. Because lo and hi are
 * integers, clamping before rounding gives the same code as after it. DoReFa on [0, 1] with b bits is
 * step = 1/(2^b - 1), lo = 0, hi = 2^b - 1; PACT has step = alpha/(2^b - 1); LSQ learns step.
 *
 * The gradient is straight through: g = dz where lo < u (or u/step) < hi, else 0. Forward writes that
 * condition as a bit for each element, so that backward reads y, dz and 1/32 of a tensor, and never z:
 * mask[row * chunks + c/16] holds channel c in bit c%16, chunks = ceil(c/16).
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

enum { CRUMB_ACT_NONE = 0, CRUMB_ACT_CLAMP = 1, CRUMB_ACT_QUANT = 2 };

/* Gradient of the step, a scalar: sum of dz * e(u/step), with v = u/step and
 * LSQ   e = round(v) - v inside, lo below, hi above (Esser et al. 2020, equation 3);
 * PACT  e = hi above, 0 elsewhere (Choi et al. 2018), so that d alpha = d step / hi. */
enum { CRUMB_STEP_NONE = 0, CRUMB_STEP_LSQ = 1, CRUMB_STEP_PACT = 2 };

typedef struct {
    int64_t rows, c;
    int threads;
    int simd; /* 0: plain C only, 1: the best the CPU has */
    int act;
    float lo, hi;
    float step, inv_step; /* QUANT only */
    int step_gradient;    /* QUANT only */
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
    float *dy;                   /* out */
    float *dresidual;            /* out or NULL: g; may be dz */
    const float *dz, *y;         /* dy may be dz when dresidual is not, or y */
    const uint16_t *mask;        /* NULL: g = dz */
    const float *dgamma, *dbeta; /* from the first pass */
} crumb_norm_gradient;

/* Second pass of backward: dy, dresidual. */
void crumb_norm_backward_apply(const crumb_norm_plan *plan, const crumb_norm_gradient *g, const crumb_norm_channels *channels,
                               void *workspace);

#endif
