/* The sources of steps: what makes the elements that a chain takes on. Strips other than a convolution's are made in the
 * thread's scratch, a few pixels at a time. */
#include "pack/functions.h"
#include "runtime/plan.h"

#include <string.h>

static void hand_over(const crumb_work *work, int64_t pixel, int64_t pixels, void *acc) {
    work->plan->vector->chain(work->chain, pixel, (int32_t)pixels, 0, work->step->channels, acc, work->step->channels);
}

static const uint8_t *input_of(const crumb_work *work, int32_t k) {
    return crumb_buffer_at(work->plan, work->arena, work->room, work->step->input[k]);
}

static const crumb_packed_node *node_of(const crumb_work *work) {
    return &work->plan->packed->node[work->step->node];
}

/* Pixels that a strip of scratch holds. */
static int64_t strip_pixels(const crumb_step *step) {
    return step->channels < CRUMB_STRIP ? CRUMB_STRIP / step->channels : 1;
}

/* ---- The image. */

/* The chain gives an index for each pixel value and channel: no floats are needed. */
static void translate(const crumb_work *work, int64_t row0, int64_t row1) {
    const crumb_link *store = &work->chain->link[work->step->links - 1];
    int64_t width = work->step->width, channels = work->step->channels, first = row0 * width * channels;
    work->plan->vector->translate(store->base + first, work->pixels + first, work->plan->pixel_index, (row1 - row0) * width,
                                  channels);
}

static void pixels_to_floats(const crumb_work *work, const uint8_t *pixels, int64_t count, float *to) {
    for (int32_t c = 0; c < work->step->channels; c++) {
        const float *table = work->plan->pixel[c];
        for (int64_t i = c; i < count * work->step->channels; i += work->step->channels) {
            to[i] = table[pixels[i]];
        }
    }
}

void crumb_step_image(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    int64_t channels = work->step->channels, end = row1 * work->step->width, some = strip_pixels(work->step);
    if (work->pixels != NULL && work->plan->pixel_index != NULL) {
        translate(work, row0, row1);
        return;
    }
    for (int64_t pixel = row0 * work->step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        if (work->pixels != NULL) {
            pixels_to_floats(work, work->pixels + pixel * channels, pixels, work->scratch);
        } else {
            memcpy(work->scratch, work->reals + pixel * channels, (size_t)(pixels * channels) * sizeof(float));
        }
        hand_over(work, pixel, pixels, work->scratch);
    }
}

/* ---- Memory: the chain's first link loads. */

void crumb_step_memory(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    for (int64_t row = row0; row < row1; row++) {
        hand_over(work, row * work->step->width, work->step->width, NULL);
    }
}

/* ---- Convolution. */

void crumb_step_conv(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    const crumb_conv_ready *conv = &work->step->conv;
    conv->kernel->run(conv, input_of(work, 0), row0, row1, o0, o1, work->plan->vector->chain, work->chain, work->scratch);
}

/* ---- Windows. */

/* The part of an output pixel's window that lies inside the image: rows top .. bottom - 1, columns left .. right - 1. */
typedef struct window {
    int64_t image, top, bottom, left, right;
} window;

/* The rows of windows of a row of the output stack. */
static window window_row(const crumb_work *work, const crumb_packed_value *x, int64_t row) {
    const crumb_packed_node *node = node_of(work);
    int64_t y = row % work->step->height * node->stride - node->padding;
    return (window){.image = row / work->step->height,
                    .top = y < 0 ? 0 : y,
                    .bottom = y + node->kernel_height < x->height ? y + node->kernel_height : x->height};
}

static void set_column(window *w, const crumb_work *work, const crumb_packed_value *x, int64_t column) {
    const crumb_packed_node *node = node_of(work);
    int64_t left = column * crumb_packed_stride_width(node) - node->padding;
    w->left = left < 0 ? 0 : left;
    w->right = left + node->kernel_width < x->width ? left + node->kernel_width : x->width;
}

static const crumb_packed_value *input_value(const crumb_work *work) {
    return &work->plan->packed->value[node_of(work)->input[0]];
}

/* One output pixel, of floats or indices: *to has the channels. */
typedef void pool_pixel(const crumb_work *work, const window *w, const uint8_t *x, void *to);

static void pool(const crumb_work *work, int64_t row0, int64_t row1, size_t item, pool_pixel *make) {
    const crumb_packed_value *value = input_value(work);
    const uint8_t *x = input_of(work, 0);
    size_t pixel_bytes = (size_t)work->step->channels * item;
    int64_t width = work->step->width, some = strip_pixels(work->step);
    for (int64_t row = row0; row < row1; row++) {
        window w = window_row(work, value, row);
        for (int64_t column = 0; column < width; column += some) {
            int64_t pixels = width - column < some ? width - column : some;
            for (int64_t p = 0; p < pixels; p++) {
                set_column(&w, work, value, column + p);
                make(work, &w, x, (uint8_t *)work->scratch + (size_t)p * pixel_bytes);
            }
            hand_over(work, row * width + column, pixels, work->scratch);
        }
    }
}

static const uint8_t *element_at(const crumb_work *work, const window *w, const uint8_t *x, int64_t row, int64_t column,
                                 size_t item) {
    const crumb_packed_value *value = input_value(work);
    return x + (size_t)(((w->image * value->height + row) * value->width + column) * value->channels) * item;
}

static void max_pixel(const crumb_work *work, const window *w, const uint8_t *x, void *to) {
    int64_t channels = work->step->channels;
    const float *from = (const float *)element_at(work, w, x, w->top, w->left, sizeof(float));
    work->plan->vector->max(to, from, input_value(work)->width * channels, w->bottom - w->top, w->right - w->left, channels);
}

static void max_index_pixel(const crumb_work *work, const window *w, const uint8_t *x, void *to) {
    int64_t channels = work->step->channels;
    const uint8_t *from = element_at(work, w, x, w->top, w->left, 1);
    work->plan->vector->max_index(to, from, input_value(work)->width * channels, w->bottom - w->top, w->right - w->left,
                                  channels);
}

static void average_pixel(const crumb_work *work, const window *w, const uint8_t *x, void *to) {
    const crumb_packed_node *node = node_of(work);
    int64_t channels = work->step->channels;
    int64_t inside = (w->bottom - w->top) * (w->right - w->left), all = (int64_t)node->kernel_height * node->kernel_width;
    memset(to, 0, (size_t)channels * sizeof(float));
    for (int64_t row = w->top; row < w->bottom; row++) {
        for (int64_t column = w->left; column < w->right; column++) {
            work->plan->vector->add(to, (const float *)element_at(work, w, x, row, column, sizeof(float)), channels);
        }
    }
    work->plan->vector->scale(to, 1.0f / (float)(node->count_inside ? inside : all), channels);
}

void crumb_step_max_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    pool(work, row0, row1, sizeof(float), max_pixel);
}

void crumb_step_max_pool_index(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    pool(work, row0, row1, 1, max_index_pixel);
}

void crumb_step_average_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    pool(work, row0, row1, sizeof(float), average_pixel);
}

void crumb_step_global_average_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_packed_value *x = input_value(work);
    int64_t channels = x->channels, pixels = (int64_t)x->height * x->width;
    float *to = work->scratch;
    for (int64_t image = row0; image < row1; image++) { /* a row is an image */
        const float *from = (const float *)input_of(work, 0) + image * pixels * channels;
        memset(to, 0, (size_t)channels * sizeof(float));
        for (int64_t p = 0; p < pixels; p++) {
            work->plan->vector->add(to, from + p * channels, channels);
        }
        work->plan->vector->scale(to, 1.0f / (float)pixels, channels);
        hand_over(work, image, 1, to);
    }
}

/* ---- Moves. */

void crumb_step_concat(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_step *step = work->step;
    int64_t end = row1 * step->width, some = strip_pixels(step);
    for (int64_t pixel = row0 * step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        float *to = work->scratch;
        for (int64_t p = 0; p < pixels; p++) {
            for (int32_t k = 0; k < step->inputs; k++) {
                size_t bytes = work->plan->buffer[step->input[k]].pixel;
                memcpy(to, input_of(work, k) + (size_t)(pixel + p) * bytes, bytes);
                to += bytes / sizeof(float);
            }
        }
        hand_over(work, pixel, pixels, work->scratch);
    }
}

/* From [H, W, C] to [C, H, W]. */
void crumb_step_flatten(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_packed_value *x = input_value(work);
    int64_t channels = x->channels, pixels = (int64_t)x->height * x->width;
    bool codes = x->codes.levels != 0;
    for (int64_t image = row0; image < row1; image++) {
        const float *reals = (const float *)input_of(work, 0) + image * pixels * channels;
        const uint8_t *indices = input_of(work, 0) + image * pixels * channels;
        for (int64_t i = 0; i < pixels * channels; i++) {
            int64_t from = i % pixels * channels + i / pixels;
            if (codes) {
                ((uint8_t *)work->scratch)[i] = indices[from];
            } else {
                ((float *)work->scratch)[i] = reals[from];
            }
        }
        hand_over(work, image, 1, work->scratch);
    }
}

/* ---- Any element anywhere. */

typedef struct gathering {
    crumb_packed_places at;
    const uint8_t *x; /* the image's input */
    size_t item;
    int32_t channels;
    bool whole; /* channels lie one behind the other, none is missing: a pixel is copied at once */
    float lo;
} gathering;

static bool are_consecutive(const int32_t *place, int32_t count) {
    bool all = place[0] >= 0;
    for (int32_t i = 1; all && i < count; i++) {
        all = place[i] == place[0] + i;
    }
    return all;
}

static void fill(const gathering *g, uint8_t *to, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (g->item == 1) {
            to[i] = (uint8_t)g->lo;
        } else {
            memcpy(to + (size_t)i * sizeof(float), &g->lo, sizeof(float));
        }
    }
}

static void gather_pixel(const gathering *g, int32_t row, int32_t column, uint8_t *to) {
    const uint8_t *x = g->x + ((int64_t)row + column) * (int64_t)g->item;
    if (row < 0 || column < 0) {
        fill(g, to, g->channels);
        return;
    }
    if (g->whole) {
        memcpy(to, x + (size_t)g->at.channel[0] * g->item, (size_t)g->channels * g->item);
        return;
    }
    for (int32_t c = 0; c < g->channels; c++, to += g->item) {
        if (g->at.channel[c] < 0) {
            fill(g, to, 1);
        } else {
            memcpy(to, x + (size_t)g->at.channel[c] * g->item, g->item);
        }
    }
}

void crumb_step_gather(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_step *step = work->step;
    const crumb_packed_value *x = input_value(work);
    gathering g = {.at = crumb_packed_places_of(work->plan->packed, node_of(work)),
                   .item = x->codes.levels != 0 ? 1 : sizeof(float),
                   .channels = step->channels,
                   .lo = node_of(work)->lo};
    g.whole = are_consecutive(g.at.channel, g.channels);
    int64_t some = strip_pixels(step);
    for (int64_t row = row0; row < row1; row++) {
        g.x = input_of(work, 0) + (size_t)(row / step->height * crumb_packed_elements(x)) * g.item;
        for (int64_t column = 0; column < step->width; column += some) {
            int64_t pixels = step->width - column < some ? step->width - column : some;
            for (int64_t p = 0; p < pixels; p++) {
                gather_pixel(&g, g.at.row[row % step->height], g.at.column[column + p],
                             (uint8_t *)work->scratch + (size_t)(p * step->channels) * g.item);
            }
            hand_over(work, row * step->width + column, pixels, work->scratch);
        }
    }
}

void crumb_step_constant(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_step *step = work->step;
    const float *from = crumb_packed_floats(work->plan->packed, node_of(work)->extra);
    int64_t end = row1 * step->width, image = (int64_t)step->height * step->width;
    for (int64_t pixel = row0 * step->width; pixel < end; pixel++) {
        memcpy(work->scratch, from + pixel % image * step->channels, (size_t)step->channels * sizeof(float));
        hand_over(work, pixel, 1, work->scratch);
    }
}

/* ---- Functions of a pixel. */

void crumb_step_function(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_step *step = work->step;
    const crumb_packed_node *node = node_of(work);
    crumb_packed_function *function = crumb_packed_function_of(node->op);
    int64_t channels = step->channels, end = row1 * step->width, some = strip_pixels(step);
    for (int64_t pixel = row0 * step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        for (int64_t p = 0; p < pixels; p++) {
            const float *x[2] = {0};
            for (int32_t k = 0; k < step->inputs; k++) {
                x[k] = (const float *)input_of(work, k) + (pixel + p) * channels;
            }
            function(node, x, (float *)work->scratch + p * channels, channels);
        }
        hand_over(work, pixel, pixels, work->scratch);
    }
}
