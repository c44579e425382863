/* digits: handwritten digits that the program draws itself, so that there is something to train on without a download.
 *
 * An image is a function of (seed, split, index) alone. The strokes of a digit (glyphs.c) are bent by moving their points a
 * little and by a coarse random field (elastic distortion, after P. Simard, D. Steinkraus, J. Platt, "Best practices for
 * convolutional neural networks applied to visual document analysis", 2003), turned, sheared, scaled and shifted, then drawn
 * with a pen of random width, among short strokes of clutter, over an uneven background with noise. Only + - * / and the square
 * root are used, which IEEE 754 defines exactly: every machine draws the same bits. */
#include "data/glyphs.h"
#include "data/held.h"

#include <math.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, TRAIN = 60000, TEST = 10000, GRID = 4, PIECES = 5 };

typedef struct point {
    float x, y;
} point;

/* A box of 1 x 1 around the digit to pixels. */
typedef struct warp {
    float xx, xy, yx, yy; /* linear part */
    point centre;
    point field[GRID][GRID]; /* displacements in the box, bilinear in between */
} warp;

typedef struct pen {
    float radius, ink; /* pixels; 0..1 */
} pen;

static float between(crumb_rng *rng, float low, float high) {
    return low + (high - low) * crumb_rng_uniform(rng);
}

/* Sum of three uniforms: bell-shaped, within +-1, deviation 1/3. */
static float bell(crumb_rng *rng) {
    return (crumb_rng_uniform(rng) + crumb_rng_uniform(rng) + crumb_rng_uniform(rng)) * (2.0f / 3) - 1;
}

static warp draw_warp(crumb_rng *rng) {
    /* With t = tan(angle / 2): cos = (1 - t^2) / (1 + t^2), sin = 2 t / (1 + t^2). */
    float t = between(rng, -0.17f, 0.17f), shear = between(rng, -0.35f, 0.35f);
    float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    float width = between(rng, 10, 21), height = between(rng, 15, 23);
    warp w = {.xx = cosine * width,
              .xy = (cosine * shear - sine) * height,
              .yx = sine * width,
              .yy = (sine * shear + cosine) * height};
    w.centre = (point){SIDE * 0.5f + between(rng, -3, 3), SIDE * 0.5f + between(rng, -3, 3)};
    for (int i = 0; i < GRID * GRID; i++) {
        w.field[i / GRID][i % GRID] = (point){0.16f * bell(rng), 0.16f * bell(rng)};
    }
    return w;
}

static point bend(const warp *w, point p) {
    float gx = p.x * (GRID - 1), gy = p.y * (GRID - 1);
    int x = gx < 0 ? 0 : gx >= GRID - 1 ? GRID - 2 : (int)gx, y = gy < 0 ? 0 : gy >= GRID - 1 ? GRID - 2 : (int)gy;
    float u = gx - (float)x, v = gy - (float)y;
    const point *a = &w->field[y][x], *b = &w->field[y + 1][x];
    return (point){p.x + (a[0].x * (1 - u) + a[1].x * u) * (1 - v) + (b[0].x * (1 - u) + b[1].x * u) * v,
                   p.y + (a[0].y * (1 - u) + a[1].y * u) * (1 - v) + (b[0].y * (1 - u) + b[1].y * u) * v};
}

static point place(const warp *w, point p) {
    p = bend(w, p);
    p.x -= 0.5f;
    p.y -= 0.5f;
    return (point){w->centre.x + w->xx * p.x + w->xy * p.y, w->centre.y + w->yx * p.x + w->yy * p.y};
}

static int clamp_pixel(float value) {
    return value < 0 ? 0 : value > SIDE ? SIDE : (int)value;
}

/* Darkens the pixels within the pen's radius of the segment a-b; the edge falls off over one pixel. */
static void draw_segment(float *image, point a, point b, pen with) {
    float reach = with.radius + 1, dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    int left = clamp_pixel((a.x < b.x ? a.x : b.x) - reach), right = clamp_pixel((a.x > b.x ? a.x : b.x) + reach + 1);
    int top = clamp_pixel((a.y < b.y ? a.y : b.y) - reach), bottom = clamp_pixel((a.y > b.y ? a.y : b.y) + reach + 1);
    float scale = length2 > 0 ? 1 / length2 : 0;
    for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
            float px = (float)x + 0.5f - a.x, py = (float)y + 0.5f - a.y;
            float along = (px * dx + py * dy) * scale;
            along = along < 0 ? 0 : along > 1 ? 1 : along;
            float ex = px - along * dx, ey = py - along * dy;
            float cover = with.radius + 0.5f - sqrtf(ex * ex + ey * ey);
            cover = (cover < 0 ? 0 : cover > 1 ? 1 : cover) * with.ink;
            image[y * SIDE + x] = cover > image[y * SIDE + x] ? cover : image[y * SIDE + x];
        }
    }
}

/* Catmull-Rom: the curve through p[1] and p[2], whose tangents are parallel to p[0]p[2] and p[1]p[3]. */
static float spline(float a, float b, float c, float d, float t) {
    return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

static void draw_stroke(float *image, const point *p, int points, const warp *w, pen with) {
    point last = place(w, p[0]);
    for (int i = 0; i + 1 < points; i++) {
        const point *a = &p[i > 0 ? i - 1 : 0], *d = &p[i + 2 < points ? i + 2 : points - 1];
        for (int k = 1; k <= PIECES; k++) {
            float t = (float)k / PIECES;
            point next = {spline(a->x, p[i].x, p[i + 1].x, d->x, t), spline(a->y, p[i].y, p[i + 1].y, d->y, t)};
            next = place(w, next);
            draw_segment(image, last, next, with);
            last = next;
        }
    }
}

static void draw_glyph(float *image, int digit, crumb_rng *rng) {
    int variants = 0;
    while (variants < CRUMB_GLYPH_VARIANTS && crumb_glyphs[digit][variants].points > 0) {
        variants++;
    }
    const crumb_glyph *glyph = &crumb_glyphs[digit][crumb_rng_below(rng, (uint32_t)variants)];
    warp w = draw_warp(rng);
    pen with = {between(rng, 0.5f, 1.7f), between(rng, 0.55f, 1)};
    point stroke[CRUMB_GLYPH_POINTS];
    int points = 0;
    for (int i = 0; i < glyph->points; i++) {
        crumb_glyph_point at = glyph->point[i];
        if (at.x < 0) {
            draw_stroke(image, stroke, points, &w, with);
            points = 0;
        } else if (points > 0 && at.x == glyph->point[i - 1].x && at.y == glyph->point[i - 1].y) {
            stroke[points] = stroke[points - 1]; /* a corner stays one */
            points++;
        } else {
            stroke[points++] = (point){(float)at.x * 0.01f + 0.07f * bell(rng), (float)at.y * 0.01f + 0.07f * bell(rng)};
        }
    }
    draw_stroke(image, stroke, points, &w, with);
}

static void draw_clutter(float *image, crumb_rng *rng) {
    for (uint32_t strokes = crumb_rng_below(rng, 4); strokes > 0; strokes--) {
        point a = {between(rng, 0, SIDE), between(rng, 0, SIDE)};
        point b = {a.x + between(rng, -6, 6), a.y + between(rng, -6, 6)};
        draw_segment(image, a, b, (pen){between(rng, 0.2f, 0.9f), between(rng, 0.2f, 0.8f)});
    }
}

/* Ink over a background that slopes, plus noise: the mean of four random bytes. */
static void develop(uint8_t *pixels, const float *image, crumb_rng *rng) {
    float level = between(rng, 0, 0.2f), slope_x = between(rng, -0.006f, 0.006f), slope_y = between(rng, -0.006f, 0.006f);
    float noise = between(rng, 0, 0.5f) / (4 * 255);
    for (int i = 0; i < PIXELS; i++) {
        uint64_t random = crumb_rng_u64(rng);
        int sum = (int)(random & 255) + (int)(random >> 8 & 255) + (int)(random >> 16 & 255) + (int)(random >> 24 & 255) - 510;
        float under = level + slope_x * (float)(i % SIDE - SIDE / 2) + slope_y * (float)(i / SIDE - SIDE / 2);
        float value = under + (1 - under) * image[i] + noise * (float)sum;
        pixels[i] = (uint8_t)(value <= 0 ? 0 : value >= 1 ? 255 : (int)(value * 255 + 0.5f));
    }
}

static void draw_digit(uint8_t *pixels, int digit, uint64_t seed, uint64_t split, int64_t index) {
    float image[PIXELS] = {0};
    crumb_rng rng = crumb_rng_at(seed, split, (uint64_t)index);
    draw_clutter(image, &rng);
    draw_glyph(image, digit, &rng);
    develop(pixels, image, &rng);
}

static crumb_status digits_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    (void)path;
    bool train = strcmp(split, "train") == 0;
    int64_t count = train ? TRAIN : TEST;
    dataset->info.count = count;
    dataset->info.height = dataset->info.width = SIDE;
    dataset->info.channels = 1;
    dataset->info.classes = 10;
    dataset->info.class_names = names;
    crumb_held_normalise(dataset, (float[]){0.1877f}, (float[]){0.2182f});
    CRUMB_TRY(crumb_held_create(dataset));
    crumb_held *held = dataset->state;
    uint8_t *pixels = held->block = crumb_alloc(ctx, (size_t)count, PIXELS);
    if (pixels == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    held->pixels = pixels;
#pragma omp parallel for schedule(static) num_threads(crumb_threads(ctx))
    for (int64_t i = 0; i < count; i++) {
        held->labels[i] = (int32_t)(i % 10);
        draw_digit(pixels + i * PIXELS, (int)(i % 10), seed, train, i);
    }
    return CRUMB_OK;
}

const crumb_loader crumb_loader_digits = {
    .name = "digits",
    .doc = "built in: 60,000 + 10,000 handwritten digits of 28 x 28, drawn from the seed",
    .needs_path = false,
    .open = digits_open,
};
