/* One picture from a file, in the size and with the channels that a network takes. */
#include "base/file.h"
#include "data/augment/resample.h"
#include "data/readers.h"

#include <string.h>

/* Larger files than this are refused before they are read: 64 million pixels take less. */
static const size_t file_max = (size_t)1 << 30;
static const int64_t scaled_max = (int64_t)1 << 27; /* pixels; a thin picture grows long */

/* ITU-R 601-2 luma in 16-bit fixed point, as Pillow's "L". In place, three bytes to one. */
static void to_luma(uint8_t *pixels, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        unsigned r = pixels[3 * i], g = pixels[3 * i + 1], b = pixels[3 * i + 2];
        pixels[i] = (uint8_t)((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
    }
}

static crumb_status decode(crumb_ctx *ctx, const char *path, int64_t channels, crumb_image *image) {
    uint8_t *data;
    size_t size;
    char message[1024];
    crumb_picture picture;
    CRUMB_TRY(crumb_file_read(ctx, path, file_max, &data, &size));
    crumb_status status = crumb_picture_decode(ctx, path, data, size, &picture, message, sizeof(message));
    crumb_free(ctx, data);
    if (status != CRUMB_OK) {
        return crumb_fail(ctx, status, "%s", message);
    }
    if (channels == 1) {
        to_luma(picture.pixels, picture.height * picture.width);
    }
    *image = (crumb_image){picture.pixels, picture.height, picture.width, channels};
    return CRUMB_OK;
}

/* The size to scale to: the shorter side becomes `resize`, or as little as covers the wanted size; proportions stay, rounded
 * down as torchvision does. */
static void scaled_size(const crumb_image *from, int64_t height, int64_t width, int64_t resize, crumb_image *to) {
    bool by_height = resize > 0 ? from->height <= from->width : from->height * width <= from->width * height;
    int64_t side = resize > 0 ? resize : by_height ? height : width;
    *to = (crumb_image){.height = by_height ? side : from->height * side / from->width,
                        .width = by_height ? from->width * side / from->height : side,
                        .channels = from->channels};
}

static crumb_status fit(crumb_ctx *ctx, const char *path, const crumb_image *from, int64_t height, int64_t width,
                        int64_t resize, crumb_image *to) {
    crumb_image scaled;
    scaled_size(from, height, width, resize, &scaled);
    if (scaled.height * scaled.width > scaled_max) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "%s: %lld x %lld pixels would be scaled to %lld x %lld", path,
                          (long long)from->height, (long long)from->width, (long long)scaled.height, (long long)scaled.width);
    }
    to->pixels = crumb_alloc(ctx, (size_t)(height * width), (size_t)from->channels);
    scaled.pixels = crumb_alloc(ctx, (size_t)(scaled.height * scaled.width), (size_t)from->channels);
    bool room = to->pixels != NULL && scaled.pixels != NULL;
    if (room) {
        crumb_resample(from, 0, 0, from->height, from->width, &scaled);
        to->height = height;
        to->width = width;
        to->channels = from->channels;
        crumb_augment_center_crop.bytes(NULL, &scaled, to, NULL);
    } else {
        crumb_free(ctx, to->pixels);
    }
    crumb_free(ctx, scaled.pixels);
    return room ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_image_load(crumb_ctx *ctx, const char *path, int64_t height, int64_t width, int64_t channels, int64_t resize,
                              uint8_t **pixels) {
    enum { SIDE_MAX = 32768 };
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX || resize < 0 || resize > SIDE_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: wanted as %lld x %lld pixels, scaled to %lld", path,
                          (long long)height, (long long)width, (long long)resize);
    }
    if (channels != 1 && channels != 3) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: pictures have 1 or 3 channels, not %lld", path,
                          (long long)channels);
    }
    crumb_image image, fitted;
    CRUMB_TRY(decode(ctx, path, channels, &image));
    if (image.height == height && image.width == width && (resize == 0 || resize == (height < width ? height : width))) {
        *pixels = image.pixels;
        return CRUMB_OK;
    }
    crumb_status status = fit(ctx, path, &image, height, width, resize, &fitted);
    crumb_free(ctx, image.pixels);
    if (status == CRUMB_OK) {
        *pixels = fitted.pixels;
    }
    return status;
}

void crumb_image_free(crumb_ctx *ctx, uint8_t *pixels) {
    crumb_free(ctx, pixels);
}
