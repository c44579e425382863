/* PNG by libpng and JPEG by libjpeg-turbo, from memory to 8-bit RGB: gray is repeated, alpha dropped, 16 bits cut to 8, a
 * palette looked up. Runs on worker threads, so nothing here touches the context's message. */
#include "data/readers.h"

#include <setjmp.h>
#include <stdio.h>

#include <png.h>
#include <string.h>
#include <turbojpeg.h>

/* A header may claim any size: larger images than this are refused before memory is. */
enum { SIDE_MAX = 32768, PIXELS_MAX = 1 << 26 };

static crumb_status check_size(const char *name, size_t at, int64_t height, int64_t width, char *message, size_t room) {
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX || height * width > PIXELS_MAX) {
        snprintf(message, room, "%s: byte %zu: image of %lld x %lld pixels", name, at, (long long)height, (long long)width);
        return CRUMB_ERROR_FORMAT;
    }
    return CRUMB_OK;
}

static crumb_status no_memory(char *message, size_t room, size_t bytes) {
    snprintf(message, room, "out of memory: %zu bytes refused", bytes);
    return CRUMB_ERROR_MEMORY;
}

/* ---- PNG */

typedef struct png_input {
    crumb_ctx *ctx;
    const char *name;
    const uint8_t *data;
    size_t size, at;
    char *message;
    size_t room;
    bool no_memory;
    png_bytep *rows;
    uint8_t *pixels;
} png_input;

static void png_in(png_structp png, png_bytep out, size_t size) {
    png_input *in = png_get_io_ptr(png);
    if (size > in->size - in->at) {
        in->at = in->size;
        png_error(png, "truncated");
    }
    memcpy(out, in->data + in->at, size);
    in->at += size;
}

static png_voidp png_take(png_structp png, png_alloc_size_t size) {
    png_input *in = png_get_mem_ptr(png);
    void *block = crumb_alloc_quiet(in->ctx, size, 1);
    in->no_memory |= block == NULL;
    return block;
}

static void png_give(png_structp png, png_voidp block) {
    crumb_free(((png_input *)png_get_mem_ptr(png))->ctx, block);
}

static void png_failed(png_structp png, png_const_charp why) {
    png_input *in = png_get_error_ptr(png);
    snprintf(in->message, in->room, "%s: byte %zu: PNG: %s", in->name, in->at, why);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp why) {
    (void)png, (void)why;
}

static void png_to_rgb(png_structp png) {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
}

/* Everything between the errors of libpng, which come back through setjmp; what is allocated lives in *in. */
static crumb_status png_read(png_input *in, png_structp png, png_infop info, crumb_picture *picture) {
    if (setjmp(png_jmpbuf(png)) != 0) {
        return in->no_memory ? CRUMB_ERROR_MEMORY : CRUMB_ERROR_FORMAT;
    }
    png_set_read_fn(png, in, png_in);
    png_set_user_limits(png, SIDE_MAX, SIDE_MAX);
    png_read_info(png, info);
    picture->height = png_get_image_height(png, info);
    picture->width = png_get_image_width(png, info);
    CRUMB_TRY(check_size(in->name, 16, picture->height, picture->width, in->message, in->room));
    png_to_rgb(png);
    png_read_update_info(png, info);
    size_t row = 3 * (size_t)picture->width;
    if (png_get_rowbytes(png, info) != row) {
        png_error(png, "unexpected pixel layout");
    }
    in->pixels = crumb_alloc_quiet(in->ctx, (size_t)picture->height, row);
    in->rows = crumb_alloc_quiet(in->ctx, (size_t)picture->height, sizeof(*in->rows));
    if (in->pixels == NULL || in->rows == NULL) {
        return no_memory(in->message, in->room, (size_t)picture->height * row);
    }
    for (int64_t y = 0; y < picture->height; y++) {
        in->rows[y] = in->pixels + (size_t)y * row;
    }
    png_read_image(png, in->rows);
    png_read_end(png, NULL);
    return in->no_memory ? no_memory(in->message, in->room, 0) : CRUMB_OK; /* libpng carries on without what is optional */
}

static crumb_status png_decode(png_input *in, crumb_picture *picture) {
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, in, png_failed, png_warned, in, png_take, png_give);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    crumb_picture found = {0};
    crumb_status status = info != NULL ? png_read(in, png, info, &found) : no_memory(in->message, in->room, 0);
    png_destroy_read_struct(&png, &info, NULL);
    crumb_free(in->ctx, in->rows);
    if (status != CRUMB_OK) {
        crumb_free(in->ctx, in->pixels);
        return status;
    }
    found.pixels = in->pixels;
    *picture = found;
    return CRUMB_OK;
}

/* ---- JPEG */

static crumb_status jpeg_failed(const char *name, tjhandle jpeg, size_t size, char *message, size_t room) {
    snprintf(message, room, "%s: JPEG of %zu bytes: %s", name, size, tjGetErrorStr2(jpeg));
    return CRUMB_ERROR_FORMAT;
}

typedef struct jpeg_header {
    int height, width, sampling, space;
} jpeg_header;

static crumb_status jpeg_read_header(const char *name, tjhandle jpeg, const uint8_t *data, size_t size, jpeg_header *header,
                                     char *message, size_t room) {
    if (tjDecompressHeader3(jpeg, data, size, &header->width, &header->height, &header->sampling, &header->space) != 0 &&
        tjGetErrorCode(jpeg) != TJERR_WARNING) {
        return jpeg_failed(name, jpeg, size, message, room);
    }
    if (header->width == 0) { /* nothing but tables */
        snprintf(message, room, "%s: JPEG of %zu bytes holds no picture", name, size);
        return CRUMB_ERROR_FORMAT;
    }
    return check_size(name, 0, header->height, header->width, message, room);
}

/* Printers' colours, as Adobe stores them: inverted, so that ink 255 is none. In place, four bytes to three. */
static void cmyk_to_rgb(uint8_t *pixels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        unsigned black = pixels[4 * i + 3];
        for (size_t c = 0; c < 3; c++) {
            pixels[3 * i + c] = (uint8_t)((pixels[4 * i + c] * black + 127) / 255);
        }
    }
}

static crumb_status jpeg_pixels(crumb_ctx *ctx, const char *name, tjhandle jpeg, const uint8_t *data, size_t size,
                                crumb_picture *picture, char *message, size_t room) {
    jpeg_header header = {0};
    CRUMB_TRY(jpeg_read_header(name, jpeg, data, size, &header, message, room));
    bool cmyk = header.space == TJCS_CMYK || header.space == TJCS_YCCK;
    size_t count = (size_t)header.height * (size_t)header.width;
    uint8_t *pixels = crumb_alloc_quiet(ctx, count, cmyk ? 4 : 3);
    if (pixels == NULL) {
        return no_memory(message, room, count * 3);
    }
    int result = tjDecompress2(jpeg, data, size, pixels, header.width, 0, header.height, cmyk ? TJPF_CMYK : TJPF_RGB,
                               TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
    /* Most warnings are about harmless excess bytes; a file that ends early has lost part of the picture. */
    bool lost = result != 0 && (tjGetErrorCode(jpeg) != TJERR_WARNING || strstr(tjGetErrorStr2(jpeg), "Premature end") != NULL);
    if (lost) {
        crumb_free(ctx, pixels);
        return jpeg_failed(name, jpeg, size, message, room);
    }
    if (cmyk) {
        cmyk_to_rgb(pixels, count);
    }
    *picture = (crumb_picture){pixels, header.height, header.width};
    return CRUMB_OK;
}

static crumb_status jpeg_decode(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_picture *picture,
                                char *message, size_t room) {
    tjhandle jpeg = tjInitDecompress();
    if (jpeg == NULL) {
        return no_memory(message, room, 0);
    }
    crumb_status status = jpeg_pixels(ctx, name, jpeg, data, size, picture, message, room);
    tjDestroy(jpeg);
    return status;
}

/* ---- Either */

static const uint8_t png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool is_png(const uint8_t *data, size_t size) {
    return size >= sizeof(png_magic) && memcmp(data, png_magic, sizeof(png_magic)) == 0;
}

static bool is_jpeg(const uint8_t *data, size_t size) {
    return size >= 2 && data[0] == 0xff && data[1] == 0xd8;
}

static crumb_status neither(const char *name, const uint8_t *data, size_t size, char *message, size_t room) {
    snprintf(message, room, "%s: byte 0: magic 0x%02x%02x in %zu bytes is neither PNG nor JPEG", name, size > 0 ? data[0] : 0,
             size > 1 ? data[1] : 0, size);
    return CRUMB_ERROR_FORMAT;
}

crumb_status crumb_picture_decode(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_picture *picture,
                                  char *message, size_t room) {
    if (is_png(data, size)) {
        png_input in = {.ctx = ctx, .name = name, .data = data, .size = size, .message = message, .room = room};
        return png_decode(&in, picture);
    }
    return is_jpeg(data, size) ? jpeg_decode(ctx, name, data, size, picture, message, room)
                               : neither(name, data, size, message, room);
}

/* A PNG's first chunk is IHDR, whose first words are width and height (PNG specification, 11.2.2). */
static crumb_status png_size(const char *name, const uint8_t *data, size_t size, crumb_picture *picture, char *message,
                             size_t room) {
    if (size < 24 || memcmp(data + 12, "IHDR", 4) != 0) {
        snprintf(message, room, "%s: byte 12: PNG of %zu bytes without header", name, size);
        return CRUMB_ERROR_FORMAT;
    }
    picture->width = png_get_uint_32(data + 16);
    picture->height = png_get_uint_32(data + 20);
    return check_size(name, 16, picture->height, picture->width, message, room);
}

crumb_status crumb_picture_size(const char *name, const uint8_t *data, size_t size, crumb_picture *picture, char *message,
                                size_t room) {
    if (is_png(data, size)) {
        return png_size(name, data, size, picture, message, room);
    }
    if (!is_jpeg(data, size)) {
        return neither(name, data, size, message, room);
    }
    tjhandle jpeg = tjInitDecompress();
    if (jpeg == NULL) {
        return no_memory(message, room, 0);
    }
    jpeg_header header = {0};
    crumb_status status = jpeg_read_header(name, jpeg, data, size, &header, message, room);
    tjDestroy(jpeg);
    picture->height = header.height;
    picture->width = header.width;
    return status;
}
