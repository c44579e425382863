/* A contact sheet: some images of every class on one page, as PNG. */
#include "base/file.h"
#include "data/dataset.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { GAP = 2, SIDE_UNKNOWN = 64, SIDE_MAX = 256, PAPER = 128, SHEET_MAX = 1 << 28 };

typedef struct sheet {
    crumb_dataset *dataset;
    int columns, rows;
    int64_t cell_height, cell_width, height, width; /* pixels; the cells exclude the gaps */
    uint8_t *pixels;                                /* height x width x 3 */
    int64_t *chosen;                                /* index of the image in each cell, -1: none */
} sheet;

/* Cell i belongs to class i * classes / cells, so the classes share the page evenly, in order; each takes its first images. */
static crumb_status choose(sheet *s) {
    const crumb_dataset_info *info = &s->dataset->info;
    int64_t cells = (int64_t)s->columns * s->rows;
    s->chosen = crumb_alloc(s->dataset->ctx, (size_t)cells, sizeof(*s->chosen));
    int64_t *next = crumb_alloc(s->dataset->ctx, (size_t)info->classes, sizeof(*next));
    if (s->chosen == NULL || next == NULL) {
        crumb_free(s->dataset->ctx, next);
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < cells; i++) {
        s->chosen[i] = -1;
    }
    for (int64_t k = 0; k < info->classes; k++) { /* first cell of class k: the least i with i * classes >= k * cells */
        next[k] = (k * cells + info->classes - 1) / info->classes;
    }
    for (int64_t i = 0; i < info->count; i++) {
        int64_t label = s->dataset->label(s->dataset, i), cell = next[label];
        if (cell < cells && cell * info->classes / cells == label) {
            s->chosen[cell] = i;
            next[label]++;
        }
    }
    crumb_free(s->dataset->ctx, next);
    return CRUMB_OK;
}

/* Copies one image into its cell: pixel for pixel if it fits, else the nearest pixels of a reduced one. */
static void paste(sheet *s, int cell, const uint8_t *pixels, int64_t height, int64_t width) {
    int64_t channels = s->dataset->info.channels;
    int64_t top = GAP + cell / s->columns * (s->cell_height + GAP), left = GAP + cell % s->columns * (s->cell_width + GAP);
    double scale = 1;
    scale = (double)height / (double)s->cell_height > scale ? (double)height / (double)s->cell_height : scale;
    scale = (double)width / (double)s->cell_width > scale ? (double)width / (double)s->cell_width : scale;
    for (int64_t y = 0; y < s->cell_height && (int64_t)((double)y * scale) < height; y++) {
        for (int64_t x = 0; x < s->cell_width && (int64_t)((double)x * scale) < width; x++) {
            const uint8_t *from = pixels + ((int64_t)((double)y * scale) * width + (int64_t)((double)x * scale)) * channels;
            uint8_t *to = s->pixels + ((top + y) * s->width + left + x) * 3;
            for (int c = 0; c < 3; c++) {
                to[c] = from[channels >= 3 ? c : 0];
            }
        }
    }
}

static crumb_status draw(sheet *s) {
    for (int i = 0; i < s->columns * s->rows; i++) {
        uint8_t *pixels;
        int64_t height, width;
        int label;
        if (s->chosen[i] < 0) {
            continue;
        }
        CRUMB_TRY(crumb_dataset_image(s->dataset, s->chosen[i], &pixels, &height, &width, &label));
        paste(s, i, pixels, height, width);
        crumb_dataset_release(s->dataset, pixels);
    }
    return CRUMB_OK;
}

static void png_out(png_structp png, png_bytep data, size_t size) {
    crumb_writer_bytes(png_get_io_ptr(png), data, size);
}

static void png_sync(png_structp png) {
    (void)png; /* the writer flushes when it commits */
}

static png_voidp png_take(png_structp png, png_alloc_size_t size) {
    return crumb_alloc(png_get_mem_ptr(png), size, 1);
}

static void png_give(png_structp png, png_voidp block) {
    crumb_free(png_get_mem_ptr(png), block);
}

static void png_failed(png_structp png, png_const_charp why) {
    (void)why; /* the encoder itself only ever fails for want of memory, which has set the message */
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp why) {
    (void)png, (void)why;
}

static crumb_status encode(const sheet *s, crumb_writer *writer) {
    crumb_ctx *ctx = s->dataset->ctx;
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_warned, ctx, png_take, png_give);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    crumb_status status = CRUMB_ERROR_MEMORY;
    if (info != NULL && setjmp(png_jmpbuf(png)) == 0) {
        png_set_write_fn(png, writer, png_out, png_sync);
        png_set_IHDR(png, info, (png_uint_32)s->width, (png_uint_32)s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (int64_t y = 0; y < s->height; y++) {
            png_write_row(png, s->pixels + y * s->width * 3);
        }
        png_write_end(png, info);
        status = CRUMB_OK;
    }
    png_destroy_write_struct(&png, &info);
    return status;
}

static crumb_status settle(sheet *s) {
    const crumb_dataset_info *info = &s->dataset->info;
    crumb_ctx *ctx = s->dataset->ctx;
    if (info->real) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: the samples are real numbers, not images", info->kind);
    }
    s->cell_height = info->height == 0 ? SIDE_UNKNOWN : info->height < SIDE_MAX ? info->height : SIDE_MAX;
    s->cell_width = info->width == 0 ? SIDE_UNKNOWN : info->width < SIDE_MAX ? info->width : SIDE_MAX;
    s->height = GAP + s->rows * (s->cell_height + GAP);
    s->width = GAP + s->columns * (s->cell_width + GAP);
    if (s->columns < 1 || s->rows < 1 || s->columns > 10000 || s->rows > 10000 || s->height * s->width > SHEET_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "a sheet of %d columns and %d rows", s->columns, s->rows);
    }
    s->pixels = crumb_alloc(ctx, (size_t)(s->height * s->width), 3);
    if (s->pixels == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memset(s->pixels, PAPER, (size_t)(s->height * s->width * 3));
    return CRUMB_OK;
}

static crumb_status save(const sheet *s, const char *path) {
    crumb_writer writer;
    CRUMB_TRY(crumb_writer_open(s->dataset->ctx, path, &writer));
    crumb_status status = encode(s, &writer);
    if (status != CRUMB_OK) {
        crumb_writer_abandon(&writer);
        return status;
    }
    return crumb_writer_commit(&writer);
}

crumb_status crumb_dataset_sheet(crumb_dataset *dataset, int columns, int rows, const char *png_path) {
    sheet s = {.dataset = dataset, .columns = columns, .rows = rows};
    crumb_status status = settle(&s);
    status = status == CRUMB_OK ? choose(&s) : status;
    status = status == CRUMB_OK ? draw(&s) : status;
    status = status == CRUMB_OK ? save(&s, png_path) : status;
    crumb_free(dataset->ctx, s.pixels);
    crumb_free(dataset->ctx, s.chosen);
    return status;
}
