/* A picture's class by a packed network. Needs only the half of crumb that ships inside a product; PNG is libpng's business.
 *
 *     cc 02_classify.c $(pkg-config --cflags --libs crumb_run libpng) -o 02_classify && ./02_classify net.crumb picture.png
 *
 * The picture must have the network's size; crumb_image_load of the training half would scale it. */
#include <crumb/run.h>

#include <png.h>
#include <stdio.h>
#include <stdlib.h>

/* Pixels of a PNG file of the network's size, NULL (and said why) if there are none. */
static uint8_t *read_png(const char *path, const crumb_packed_info *info) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    uint8_t *pixels = NULL;
    if (png_image_begin_read_from_file(&png, path)) {
        png.format = info->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
        if (png.height == (unsigned)info->height && png.width == (unsigned)info->width) {
            pixels = malloc(PNG_IMAGE_SIZE(png));
        }
    }
    if (pixels == NULL || !png_image_finish_read(&png, NULL, pixels, 0, NULL)) {
        fprintf(stderr, "%s: no PNG of %d x %d pixels %s\n", path, info->height, info->width, png.message);
        png_image_free(&png);
        free(pixels);
        return NULL;
    }
    return pixels;
}

int main(int argc, char **argv) {
    crumb_ctx *ctx = NULL;
    crumb_packed *packed = NULL;
    crumb_plan *plan = NULL;
    crumb_session *session = NULL;
    crumb_packed_info info;
    if (argc != 3 || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return fprintf(stderr, "usage: %s NETWORK.crumb PICTURE.png\n", argv[0]), 2;
    }
    if (crumb_packed_open(ctx, argv[1], &packed) != CRUMB_OK || crumb_plan_create(packed, &plan) != CRUMB_OK ||
        crumb_session_create(plan, NULL, &session) != CRUMB_OK) {
        return fprintf(stderr, "%s\n", crumb_message(ctx)), 1;
    }
    crumb_packed_describe(packed, &info);
    uint8_t *pixels = read_png(argv[2], &info);
    float *logits = calloc((size_t)info.classes, sizeof(*logits));
    if (pixels == NULL || logits == NULL || crumb_session_run_pixels(session, pixels, 1, logits) != CRUMB_OK) {
        return 1;
    }
    int best = 0;
    for (int i = 1; i < info.classes; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    printf("class %d%s%s\n", best, info.class_names ? ": " : "", info.class_names ? info.class_names[best] : "");
    free(logits), free(pixels);
    crumb_session_destroy(session), crumb_plan_destroy(plan), crumb_packed_close(packed), crumb_ctx_destroy(ctx);
    return 0;
}
