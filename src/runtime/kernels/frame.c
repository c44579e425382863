/* Geometry and walk of frame.h. */
#include "runtime/kernels/frame.h"

#include <string.h>

/* Staged bytes of a band: a part of a small second-level cache; the block's weights want the rest. */
enum { FRAME_BAND = 96 * 1024 };

crumb_conv_problem crumb_frame_rewrite(const crumb_conv_problem *problem) {
    crumb_conv_problem p = *problem;
    /* Float sums of few-level weights go by groups of a tap's channels, which must not change. */
    bool same_groups = p.x.levels != 0 || p.channels % 4 == 0;
    if (p.kernel_height == p.height && p.kernel_width == p.width && p.padding == 0 && p.dilation == 1 && p.groups == 1 &&
        same_groups) {
        p.channels *= p.height * p.width;
        p.height = p.width = p.kernel_height = p.kernel_width = 1;
        p.stride = 1;
    }
    return p;
}

void crumb_frame_make(crumb_frame *frame, const crumb_conv_problem *problem, const crumb_frame_family *family, int32_t block,
                      int32_t unit, int32_t pixel_bytes, bool loose) {
    crumb_conv_problem p = crumb_frame_rewrite(problem);
    *frame = (crumb_frame){.problem = p, .family = family, .block = block, .unit = unit, .pixel_bytes = pixel_bytes, .a = 1};
    frame->flat = p.kernel_height == 1 && p.kernel_width == 1 && p.stride == 1 && p.padding == 0 && p.groups == 1;
    frame->in = p.channels / p.groups;
    frame->out = p.out_channels / p.groups;
    frame->element = p.x.levels != 0 ? 1 : (int32_t)sizeof(float);
    frame->width = p.width + 2 * p.padding;
    frame->taps = p.kernel_width > 1 && (p.dilation > 1 || (pixel_bytes % unit != 0 && !loose));
    int32_t run = frame->taps ? pixel_bytes : p.kernel_width * pixel_bytes;
    frame->units = (run + unit - 1) / unit;
    frame->group_units = frame->units;
    frame->segments = frame->taps ? p.kernel_height * p.kernel_width : p.kernel_height;
    frame->row_bytes = (size_t)frame->width * (size_t)pixel_bytes;
    frame->step = (size_t)p.stride * (size_t)pixel_bytes;
    frame->segment_row = (size_t)p.dilation * frame->row_bytes;
    frame->segment_column = (size_t)p.dilation * (size_t)pixel_bytes;
    frame->blocks = (frame->out + block - 1) / block;
    int64_t row = frame->flat ? pixel_bytes : (int64_t)frame->row_bytes * p.stride;
    int64_t window = frame->flat ? 0 : (int64_t)frame->row_bytes * ((p.kernel_height - 1) * p.dilation + 1);
    int64_t least = frame->flat ? family->pixels[crumb_frame_lanes(frame, 0) / CRUMB_FRAME_LANES] : 1;
    frame->band = (FRAME_BAND - window) / row > least ? (FRAME_BAND - window) / row : least;
    if (!frame->flat && frame->band > p.out_height) {
        frame->band = p.out_height;
    }
    frame->staged_bytes = crumb_frame_round((size_t)(window + frame->band * row) + CRUMB_FRAME_SLACK, 64);
}

void crumb_frame_position(const crumb_frame *frame, int32_t segment, int32_t at, int32_t *tap, int32_t *byte) {
    if (frame->taps) {
        *tap = segment;
        *byte = at;
        return;
    }
    int32_t column = at / frame->pixel_bytes, taps = frame->problem.kernel_height * frame->problem.kernel_width;
    *tap = column < frame->problem.kernel_width ? segment * frame->problem.kernel_width + column : taps;
    *byte = at % frame->pixel_bytes;
}

/* One thread's run: scratch in pieces, and where it is. */
typedef struct walk {
    const crumb_frame *frame;
    const uint8_t *x;
    crumb_conv_sink sink;
    void *user;
    uint8_t *staged;
    int32_t *acc;
    int64_t *sums;  /* of the staged pixels, where the frame needs them: [row][width] */
    int32_t o0, o1; /* of all channels */
    int32_t group;
    int32_t y;         /* the band's first output row in its image */
    int64_t pixel;     /* first output pixel of the band, in the stack */
    int32_t rows;      /* output rows of the band; flat: 1 */
    int64_t row_width; /* output pixels of a row; flat: of the band */
} walk;

static size_t sums_bytes(const crumb_frame *f) {
    size_t pixels = f->b != 0 ? f->staged_bytes / (size_t)f->pixel_bytes + 1 : 0;
    return crumb_frame_round(pixels * sizeof(int64_t), 64);
}

size_t crumb_frame_scratch(const crumb_frame *frame) {
    return frame->staged_bytes + sums_bytes(frame) + sizeof(int32_t) * CRUMB_FRAME_OUTPUTS;
}

static void sum_pixels(walk *w, int64_t pixels) {
    const crumb_frame *f = w->frame;
    for (int64_t p = 0; p < pixels; p++) {
        const uint8_t *s = w->staged + (size_t)p * (size_t)f->pixel_bytes;
        int32_t sum = 0;
        for (int32_t c = 0; c < f->in; c++) {
            sum += s[c];
        }
        w->sums[p] = sum;
    }
}

/* Pixels of the input stack, from index `first` on, of the walk's group. */
static void stage_pixels(const walk *w, uint8_t *dst, int64_t first, int32_t pixels) {
    const crumb_frame *f = w->frame;
    int64_t at = first * f->problem.channels + (int64_t)w->group * f->in;
    f->family->stage(f, dst, w->x + (size_t)at * (size_t)f->element, pixels);
}

static void stage_padding(const crumb_frame *f, uint8_t *dst, int32_t pixels) {
    const size_t bytes = (size_t)f->pixel_bytes;
    if (f->padding == NULL) {
        memset(dst, f->padding_byte, (size_t)pixels * bytes);
        return;
    }
    for (int32_t p = 0; p < pixels; p++) {
        memcpy(dst + (size_t)p * bytes, f->padding, bytes);
    }
}

static void stage_rows(walk *w, int64_t image, int32_t y0) {
    const crumb_frame *f = w->frame;
    const crumb_conv_problem *p = &f->problem;
    const size_t border = (size_t)p->padding * (size_t)f->pixel_bytes;
    const int32_t first = y0 * p->stride - p->padding;
    const int32_t count = (w->rows - 1) * p->stride + (p->kernel_height - 1) * p->dilation + 1;
    for (int32_t r = 0; r < count; r++) {
        if (p->kernel_height == 1 && r % p->stride != 0) {
            continue;
        }
        uint8_t *dst = w->staged + (size_t)r * f->row_bytes;
        int32_t y = first + r;
        if (y < 0 || y >= p->height) {
            stage_padding(f, dst, f->width);
            continue;
        }
        stage_padding(f, dst, p->padding);
        stage_padding(f, dst + f->row_bytes - border, p->padding);
        stage_pixels(w, dst + border, (image * p->height + y) * p->width, p->width);
    }
    if (f->b != 0) {
        sum_pixels(w, (int64_t)count * f->width);
    }
}

/* acc = a * acc + b * (sum of the window) + constant, for what the inner loop cannot. */
static void finish(const walk *w, const crumb_frame_tile *tile, int32_t row, int64_t column, const int32_t *constant) {
    const crumb_frame *f = w->frame;
    const crumb_conv_problem *p = &f->problem;
    const int32_t channels = tile->blocks * CRUMB_FRAME_LANES;
    for (int32_t i = 0; i < tile->pixels; i++) {
        int64_t sum = 0, at = (int64_t)row * p->stride * f->width + (column + i) * p->stride;
        for (int32_t t = 0; t < p->kernel_height * p->kernel_width; t++) {
            sum += w->sums[at + (int64_t)(t / p->kernel_width) * p->dilation * f->width + (t % p->kernel_width) * p->dilation];
        }
        int32_t *acc = (int32_t *)tile->acc + (size_t)i * (size_t)channels, add = (int32_t)(f->b * sum);
        for (int32_t c = 0; c < channels; c++) {
            acc[c] = f->a * acc[c] + add + constant[c];
        }
    }
}

enum { OUTSIDE = 32 };

/* acc += the sum of `count` rows of corrections. */
static void correct(int32_t *acc, const int32_t *const *rows, int32_t count, int32_t channels) {
    for (int32_t c = 0; c < channels; c += 4) {
        uint32_t sum[4] = {(uint32_t)acc[c], (uint32_t)acc[c + 1], (uint32_t)acc[c + 2], (uint32_t)acc[c + 3]};
        for (int32_t i = 0; i < count; i++) {
            for (int k = 0; k < 4; k++) {
                sum[k] += (uint32_t)rows[i][c + k];
            }
        }
        memcpy(acc + c, sum, sizeof(sum));
    }
}

static void correct_pixel(const walk *w, const crumb_frame_tile *tile, int32_t *acc, int32_t top, int32_t left) {
    const crumb_frame *f = w->frame;
    const crumb_conv_problem *p = &f->problem;
    const int32_t *rows[OUTSIDE];
    int32_t count = 0;
    for (int32_t kh = 0; kh < p->kernel_height; kh++) {
        for (int32_t kw = 0; kw < p->kernel_width; kw++) {
            const int32_t y = top + kh * p->dilation, x = left + kw * p->dilation;
            if (y >= 0 && y < p->height && x >= 0 && x < p->width) {
                continue;
            }
            rows[count++] = tile->border + (size_t)(kh * p->kernel_width + kw) * (size_t)f->block;
            if (count == OUTSIDE) {
                correct(acc, rows, count, tile->blocks * CRUMB_FRAME_LANES);
                count = 0;
            }
        }
    }
    correct(acc, rows, count, tile->blocks * CRUMB_FRAME_LANES);
}

static void correct_border(const walk *w, const crumb_frame_tile *tile, int32_t row, int64_t column) {
    const crumb_conv_problem *p = &w->frame->problem;
    const int32_t reach_y = (p->kernel_height - 1) * p->dilation, reach_x = (p->kernel_width - 1) * p->dilation;
    const int32_t top = (w->y + row) * p->stride - p->padding;
    for (int32_t i = 0; i < tile->pixels; i++) {
        const int32_t left = (int32_t)(column + i) * p->stride - p->padding;
        if (top < 0 || top + reach_y >= p->height || left < 0 || left + reach_x >= p->width) {
            correct_pixel(w, tile, (int32_t *)tile->acc + i * tile->blocks * CRUMB_FRAME_LANES, top, left);
        }
    }
}

static void run_line(const walk *w, crumb_frame_tile *tile, int32_t row, int32_t o, int32_t channels) {
    static const int32_t none[CRUMB_FRAME_BLOCK];
    const crumb_frame *f = w->frame;
    const int32_t *constant = tile->constant;
    const bool raw = f->a != 1 || f->b != 0;
    const int64_t most = f->family->pixels[tile->blocks], tiles = (w->row_width + most - 1) / most;
    const uint8_t *x = w->staged + (size_t)row * (size_t)f->problem.stride * f->row_bytes;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t x0 = w->row_width * t / tiles, x1 = w->row_width * (t + 1) / tiles;
        tile->x = x + (size_t)x0 * f->step;
        tile->pixels = (int32_t)(x1 - x0);
        tile->constant = raw ? none : constant;
        f->family->tile(f, tile);
        if (raw) {
            finish(w, tile, row, x0, constant);
        }
        if (tile->border != NULL) {
            correct_border(w, tile, row, x0);
        }
        w->sink(w->user, w->pixel + row * w->row_width + x0, tile->pixels, o, channels, tile->acc,
                tile->blocks * CRUMB_FRAME_LANES);
    }
    tile->constant = constant;
}

static void run_blocks(const walk *w) {
    const crumb_frame *f = w->frame;
    const int32_t base = w->group * f->out, taps = f->problem.kernel_height * f->problem.kernel_width;
    const int32_t from = w->o0 > base ? w->o0 - base : 0, to = w->o1 - base < f->out ? w->o1 - base : f->out;
    for (int32_t o = from; o < to; o += f->block) {
        const int32_t left = f->out - o, channels = left < f->block ? left : f->block;
        const size_t block = (size_t)w->group * (size_t)f->blocks + (size_t)(o / f->block);
        crumb_frame_tile tile = {.acc = w->acc,
                                 .step = f->step,
                                 .weight = f->panel + block * f->block_bytes,
                                 .constant = f->constant != NULL ? f->constant + block * (size_t)f->block : NULL,
                                 .border = f->border != NULL ? f->border + block * (size_t)taps * (size_t)f->block : NULL,
                                 .blocks = (channels + CRUMB_FRAME_LANES - 1) / CRUMB_FRAME_LANES};
        for (int32_t row = 0; row < w->rows; row++) {
            run_line(w, &tile, row, base + o, channels);
        }
    }
}

static void run_flat(walk *w, int64_t pixel0, int64_t pixel1) {
    const crumb_frame *f = w->frame;
    for (int64_t at = pixel0; at < pixel1; at += f->band) {
        w->pixel = at;
        w->rows = 1;
        w->row_width = pixel1 - at < f->band ? pixel1 - at : f->band;
        stage_pixels(w, w->staged, at, (int32_t)w->row_width);
        if (f->b != 0) {
            sum_pixels(w, w->row_width);
        }
        run_blocks(w);
    }
}

void crumb_frame_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                     crumb_conv_sink sink, void *user, void *scratch) {
    const crumb_frame *f = ready->panel;
    const crumb_conv_problem *p = &f->problem;
    uint8_t *at = scratch;
    walk w = {.frame = f, .x = x, .sink = sink, .user = user, .o0 = o0, .o1 = o1, .staged = at, .row_width = p->out_width};
    w.acc = (int32_t *)(void *)(at + f->staged_bytes);
    w.sums = (int64_t *)(void *)(w.acc + CRUMB_FRAME_OUTPUTS);
    if (f->flat) {
        run_flat(&w, row0 * p->out_width, row1 * p->out_width);
        return;
    }
    for (int64_t row = row0; row < row1; row += w.rows) {
        int64_t image = row / p->out_height, y = row % p->out_height, end = (image + 1) * p->out_height;
        end = end < row1 ? end : row1;
        w.rows = (int32_t)(end - row < f->band ? end - row : f->band);
        w.pixel = row * p->out_width;
        w.y = (int32_t)y;
        for (w.group = 0; w.group < p->groups; w.group++) {
            stage_rows(&w, image, (int32_t)y);
            run_blocks(&w);
        }
    }
}

crumb_status crumb_frame_alloc(crumb_ctx *ctx, crumb_conv_ready *ready, size_t object, crumb_frame *made, size_t block_bytes,
                               int32_t **constant, uint8_t **panel) {
    const size_t blocks = (size_t)made->problem.groups * (size_t)made->blocks;
    const size_t head = crumb_frame_round(object, 64), constants = blocks * (size_t)made->block * sizeof(int32_t);
    if (block_bytes > (SIZE_MAX - head - constants - CRUMB_FRAME_SLACK) / blocks) {
        return crumb_fail(ctx, CRUMB_ERROR_MEMORY, "a layer's %zu blocks of %zu bytes of weights", blocks, block_bytes);
    }
    const size_t bytes = head + constants + blocks * block_bytes + CRUMB_FRAME_SLACK;
    uint8_t *memory = crumb_alloc(ctx, bytes, 1);
    if (memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *constant = (int32_t *)(void *)(memory + head);
    *panel = memory + head + constants;
    made->block_bytes = block_bytes;
    made->constant = *constant;
    made->panel = *panel;
    memcpy(memory, made, sizeof(*made));
    ready->channel_step = made->problem.groups == 1 ? made->block : 0;
    ready->scratch_bytes = crumb_frame_scratch(made);
    ready->panel = memory;
    ready->panel_bytes = bytes;
    return CRUMB_OK;
}

void crumb_frame_pack(const crumb_frame *frame, uint8_t *panel, const void *weight, crumb_frame_put *put, const void *user) {
    const int32_t taps = frame->problem.kernel_height * frame->problem.kernel_width;
    for (int32_t o = 0; o < frame->problem.out_channels; o++) {
        const int32_t inside = o % frame->out, lanes = crumb_frame_lanes(frame, inside / frame->block);
        const size_t block = (size_t)(o / frame->out) * (size_t)frame->blocks + (size_t)(inside / frame->block);
        const size_t row = (size_t)o * (size_t)taps * (size_t)frame->in;
        for (int32_t s = 0; s < frame->segments; s++) {
            for (int32_t u = 0; u < frame->units; u++) {
                const crumb_frame_place place = {.block = panel + block * frame->block_bytes,
                                                 .lane = inside % frame->block,
                                                 .lanes = lanes,
                                                 .segment = s,
                                                 .unit = u};
                put(frame, &place, weight, row, user);
            }
        }
    }
}

void crumb_frame_group(crumb_frame *frame, int32_t channels) {
    if (crumb_frame_scaled(frame)) {
        frame->group_units = frame->problem.group / channels;
    }
}

void crumb_frame_pack_scales(const crumb_frame *frame, uint8_t *panel, const float *scale, size_t bytes) {
    const int32_t groups = crumb_frame_groups(frame);
    for (int32_t o = 0; crumb_frame_scaled(frame) && o < frame->out; o++) {
        const size_t lanes = (size_t)crumb_frame_lanes(frame, o / frame->block);
        uint8_t *block = panel + (size_t)(o / frame->block) * frame->block_bytes;
        for (int32_t g = 0; g < groups; g++, scale++) {
            memcpy(block + (size_t)g * bytes * lanes + sizeof(*scale) * (size_t)(o % frame->block), scale, sizeof(*scale));
        }
    }
}
