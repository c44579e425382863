/* The passes of norm.h: choice of kernels, division of rows among threads, ordered merging. */
#include "backend/cpu/norm.h"

#include "backend/cpu/norm_kernels.h"

#include <string.h>

typedef void rows_fn(const crumb_norm_job *job, int64_t row0, int64_t row1);

static const crumb_norm_kernels *kernels(const crumb_norm_plan *p) {
    const crumb_norm_kernels *fast = p->simd ? crumb_norm_kernels__avx512() : NULL;
    return fast ? fast : crumb_norm_kernels__plain();
}

/* 4096 floats a block: three tensors of it fill a 48 KiB cache. Short blocks keep f32 sums short, too. */
int64_t crumb_norm_block_rows(int64_t c) {
    return c < 256 ? 4096 / c : 16;
}

static int64_t chunks(const crumb_norm_plan *p) {
    return (p->c + 15) / 16;
}

size_t crumb_norm_mask_size(const crumb_norm_plan *p) {
    return (size_t)(p->rows * chunks(p));
}

/* A thread's sums: two doubles a channel and the step's, in whole cache lines. */
static size_t sums_doubles(const crumb_norm_plan *p) {
    return (size_t)(2 * p->c + 1 + 7) / 8 * 8;
}

size_t crumb_norm_workspace(const crumb_norm_plan *p) {
    return sums_doubles(p) * (size_t)p->threads * sizeof(double) + (size_t)(chunks(p) * 16 * 4) * sizeof(float);
}

/* Per-channel factors live behind the sums. */
static float *factors(const crumb_norm_plan *p, void *workspace) {
    return (float *)((double *)workspace + sums_doubles(p) * (size_t)p->threads);
}

/* Blocks of rows, not rows, are divided: a block is then the same whatever the number of threads. */
static void run_rows(const crumb_norm_job *job, rows_fn *fn, double *sums) {
    const crumb_norm_plan *p = job->plan;
    const int64_t block = crumb_norm_block_rows(p->c), blocks = (p->rows + block - 1) / block;
    if (sums) {
        memset(sums, 0, sums_doubles(p) * (size_t)p->threads * sizeof(double));
    }
#pragma omp parallel for num_threads(p->threads) schedule(static, 1)
    for (int t = 0; t < p->threads; t++) {
        const int64_t row0 = blocks * t / p->threads * block, end = blocks * (t + 1) / p->threads * block;
        crumb_norm_job mine = *job;
        if (sums) {
            mine.sums = sums + (size_t)t * sums_doubles(p);
            mine.dstep = job->dstep ? mine.sums + 2 * p->c : NULL;
        }
        fn(&mine, row0, end < p->rows ? end : p->rows);
    }
}

static double share(const crumb_norm_plan *p, int t) {
    const int64_t block = crumb_norm_block_rows(p->c), blocks = (p->rows + block - 1) / block;
    const int64_t row0 = blocks * t / p->threads * block, end = blocks * (t + 1) / p->threads * block;
    const int64_t rows = (end < p->rows ? end : p->rows) - row0;
    return rows > 0 ? (double)rows : 0.0;
}

void crumb_norm_statistics(const crumb_norm_plan *p, float *mean, float *var, const float *y, void *workspace) {
    double *sums = workspace;
    const crumb_norm_job job = {.plan = p, .y = y};
    run_rows(&job, kernels(p)->statistics, sums);
    for (int64_t c = 0; c < p->c; c++) {
        double n = 0.0, m = 0.0, m2 = 0.0;
        for (int t = 0; t < p->threads; t++) {
            const double *s = sums + (size_t)t * sums_doubles(p), rows = share(p, t);
            if (rows > 0.0) {
                const double d = s[c] - m;
                m += d * (rows / (n + rows));
                m2 += s[p->c + c] + d * d * (n * rows / (n + rows));
                n += rows;
            }
        }
        mean[c] = (float)m;
        var[c] = (float)(m2 / n);
    }
}

/* scale = gamma * invstd; shift = beta. */
static void set_channels(crumb_norm_job *job, const crumb_norm_channels *h, float *scale) {
    job->mean = h->mean;
    job->scale = scale;
    job->shift = h->beta;
    for (int64_t c = 0; h->mean && c < job->plan->c; c++) {
        scale[c] = h->gamma[c] * h->invstd[c];
    }
}

void crumb_norm_forward(const crumb_norm_plan *p, float *z, uint16_t *mask, const float *y, const float *residual,
                        const crumb_norm_channels *channels, void *workspace) {
    crumb_norm_job job = {.plan = p, .y = y, .residual = residual, .mask_out = mask, .out = z};
    set_channels(&job, channels, factors(p, workspace));
    run_rows(&job, kernels(p)->forward, NULL);
}

void crumb_norm_backward_reduce(const crumb_norm_plan *p, const crumb_norm_reduction *r, const crumb_norm_channels *channels,
                                void *workspace) {
    double *sums = workspace, marker = 0.0;
    crumb_norm_job job = {.plan = p,
                          .y = r->y,
                          .dz = r->dz,
                          .mask_in = r->mask,
                          .residual = r->residual,
                          .dstep = p->step_gradient ? &marker : NULL};
    set_channels(&job, channels, factors(p, workspace));
    run_rows(&job, kernels(p)->reduce, sums);
    for (int64_t c = 0; channels->mean && c < p->c; c++) {
        double s0 = 0.0, s1 = 0.0;
        for (int t = 0; t < p->threads; t++) {
            s0 += sums[(size_t)t * sums_doubles(p) + (size_t)c];
            s1 += sums[(size_t)t * sums_doubles(p) + (size_t)(p->c + c)];
        }
        r->dbeta[c] = (float)s0;
        r->dgamma[c] = (float)(s1 * (double)channels->invstd[c]);
    }
    if (job.dstep) {
        double s = 0.0;
        for (int t = 0; t < p->threads; t++) {
            s += sums[(size_t)t * sums_doubles(p) + (size_t)(2 * p->c)];
        }
        *r->dstep = (float)s;
    }
}

void crumb_norm_backward_apply(const crumb_norm_plan *p, const crumb_norm_gradient *g, const crumb_norm_channels *channels,
                               void *workspace) {
    float *scale = factors(p, workspace), *slope = scale + chunks(p) * 16, *offset = slope + chunks(p) * 16;
    crumb_norm_job job = {.plan = p,
                          .y = g->y,
                          .dz = g->dz,
                          .mask_in = g->mask,
                          .out = g->dy,
                          .dresidual = g->dresidual,
                          .add_out = g->add_dy,
                          .add_dresidual = g->add_dresidual,
                          .slope = slope,
                          .offset = offset};
    set_channels(&job, channels, scale);
    const double share = g->constant ? 0.0 : 1.0 / (double)p->rows;
    for (int64_t c = 0; channels->mean && c < p->c; c++) {
        slope[c] = (float)(-(double)scale[c] * (double)channels->invstd[c] * (double)g->dgamma[c] * share);
        offset[c] = (float)(-(double)scale[c] * (double)g->dbeta[c] * share);
    }
    run_rows(&job, kernels(p)->apply, NULL);
}
