/* Codes of any kind by the definition: the last row, for the few problems no family takes: activations with odd codes of 8 bits
 * or without a level that is 0 under padding, weights of 9 bits. */
#include "runtime/kernel.h"

#include <string.h>

enum { LANES = 16 };

static bool supports(const crumb_conv_problem *problem) {
    return problem->x.levels != 0;
}

static size_t window(const crumb_conv_problem *p) {
    return (size_t)p->kernel_height * (size_t)p->kernel_width * (size_t)(p->channels / p->groups);
}

/* The panel is the codes, as they come. */
static crumb_status prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                            const void *weight, crumb_conv_ready *ready) {
    (void)kernel;
    const uint16_t *index = weight;
    const size_t count = (size_t)problem->out_channels * window(problem);
    int16_t *code = crumb_alloc(ctx, count, sizeof(*code));
    if (code == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        code[i] = (int16_t)crumb_packed_code(&problem->w, index[i]);
    }
    ready->channel_step = problem->groups == 1 ? LANES : 0;
    ready->scratch_bytes = LANES * sizeof(int32_t);
    ready->panel = code;
    ready->panel_bytes = count * sizeof(*code);
    return CRUMB_OK;
}

static int32_t output(const crumb_conv_problem *p, const int16_t *w, const uint8_t *image, int32_t y, int32_t x) {
    const int32_t in = p->channels / p->groups;
    int32_t acc = 0;
    for (int32_t kh = 0; kh < p->kernel_height; kh++) {
        for (int32_t kw = 0; kw < p->kernel_width; kw++, w += in) {
            const int32_t h = y * p->stride - p->padding + kh * p->dilation, v = x * p->stride - p->padding + kw * p->dilation;
            if (h < 0 || h >= p->height || v < 0 || v >= p->width) {
                continue;
            }
            const uint8_t *pixel = image + ((size_t)h * (size_t)p->width + (size_t)v) * (size_t)p->channels;
            for (int32_t c = 0; c < in; c++) {
                acc += crumb_packed_code(&p->x, pixel[c]) * w[c];
            }
        }
    }
    return acc;
}

static void run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                crumb_conv_sink sink, void *user, void *scratch) {
    const crumb_conv_problem *p = &ready->problem;
    const int32_t in = p->channels / p->groups, out = p->out_channels / p->groups;
    const size_t image = (size_t)p->height * (size_t)p->width * (size_t)p->channels;
    int32_t *acc = scratch;
    for (int64_t pixel = row0 * p->out_width; pixel < row1 * p->out_width; pixel++) {
        const int32_t y = (int32_t)(pixel / p->out_width % p->out_height), column = (int32_t)(pixel % p->out_width);
        const uint8_t *from = (const uint8_t *)x + (size_t)(pixel / p->out_width / p->out_height) * image;
        for (int32_t o = o0, count; o < o1; o += count) {
            const int32_t end = (o / out + 1) * out < o1 ? (o / out + 1) * out : o1;
            count = end - o < LANES ? end - o : LANES;
            for (int32_t i = 0; i < count; i++) {
                const int16_t *w = (const int16_t *)ready->panel + (size_t)(o + i) * window(p);
                acc[i] = output(p, w, from + (o / out) * in, y, column);
            }
            sink(user, pixel, 1, o, count, acc, LANES);
        }
    }
}

const crumb_conv_kernel crumb_conv_direct__scalar = {
    .name = "conv_i32_any_any__scalar",
    .family = "direct",
    .supports = supports,
    .prepare = prepare,
    .run = run,
};
