/* What another runtime is compared with: images and the logits that the packed network makes of them.
 *
 *     onnx_samples NETWORK.crumb DATA COUNT FOLDER     the first COUNT images of a data set
 *     onnx_samples random SEED COUNT FOLDER            a random network, and it in every form: FOLDER/qdq21.onnx, ...
 *
 * FOLDER gets images.f32, normalised, NCHW, logits.f32, and shape.txt: images, channels, height, width, classes. */
#include "onnx/export.h"
#include "runtime/random_network.h"

#include <crumb/train.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct samples {
    crumb_ctx *ctx;
    crumb_packed *packed;
    crumb_plan *plan;
    crumb_session *session;
    crumb_dataset *dataset;
    crumb_packed_info info;
    FILE *images, *logits;
} samples;

static crumb_status write_forms(const samples *s, const char *folder) {
    for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s%d.onnx", folder, form->name, form->opset);
        CRUMB_TRY(crumb_onnx_export(s->packed, form, path));
    }
    return CRUMB_OK;
}

static crumb_status open_all(samples *s, char **argv) {
    bool random = strcmp(argv[1], "random") == 0;
    CRUMB_TRY(random ? random_network(s->ctx, strtoull(argv[2], NULL, 10), 24, &s->packed)
                     : crumb_packed_open(s->ctx, argv[1], &s->packed));
    crumb_packed_describe(s->packed, &s->info);
    CRUMB_TRY(crumb_plan_create(s->packed, &s->plan));
    CRUMB_TRY(crumb_session_create(s->plan, &(crumb_session_options){.threads = 1}, &s->session));
    return random ? write_forms(s, argv[4]) : crumb_dataset_open(s->ctx, argv[2], 1, &s->dataset);
}

/* HWC pixels as normalised CHW floats. */
static void write_image(const samples *s, const uint8_t *pixels) {
    const crumb_packed_info *info = &s->info;
    for (int c = 0; c < info->channels; c++) {
        for (int i = 0; i < info->height * info->width; i++) {
            float value = ((float)pixels[i * info->channels + c] / 255.0f - info->mean[c]) / info->deviation[c];
            fwrite(&value, sizeof(value), 1, s->images);
        }
    }
}

static crumb_status write_logits(samples *s, const uint8_t *pixels, float *logits) {
    write_image(s, pixels);
    CRUMB_TRY(crumb_session_run_pixels(s->session, pixels, 1, logits));
    fwrite(logits, sizeof(*logits), (size_t)s->info.classes, s->logits);
    return CRUMB_OK;
}

static crumb_status write_one(samples *s, int64_t index, float *logits) {
    uint8_t *pixels;
    int64_t height, width;
    int label;
    CRUMB_TRY(crumb_dataset_image(s->dataset, index, &pixels, &height, &width, &label));
    crumb_status status = CRUMB_ERROR_SHAPE;
    if (height == s->info.height && width == s->info.width) {
        status = write_logits(s, pixels, logits);
    }
    crumb_dataset_release(s->dataset, pixels);
    return status;
}

static crumb_status write_random(samples *s, int64_t index, float *logits) {
    uint8_t pixels[16 * 16 * 4];
    crumb_rng rng = crumb_rng_at(5, 0, (uint64_t)index);
    for (size_t i = 0; i < sizeof(pixels); i++) {
        pixels[i] = (uint8_t)crumb_rng_below(&rng, 256);
    }
    return write_logits(s, pixels, logits);
}

static FILE *file_in(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static crumb_status write_all(samples *s, int64_t count) {
    float *logits = calloc((size_t)s->info.classes, sizeof(*logits));
    crumb_status status = logits != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    for (int64_t i = 0; i < count && status == CRUMB_OK; i++) {
        status = s->dataset != NULL ? write_one(s, i, logits) : write_random(s, i, logits);
    }
    free(logits);
    return status;
}

int main(int argc, char **argv) {
    samples s = {0};
    if (argc != 5 || crumb_ctx_create(&s.ctx, NULL) != CRUMB_OK) {
        fprintf(stderr, "onnx_samples NETWORK.crumb DATA COUNT FOLDER | onnx_samples random SEED COUNT FOLDER\n");
        return 2;
    }
    s.images = file_in(argv[4], "images.f32");
    s.logits = file_in(argv[4], "logits.f32");
    FILE *shape = file_in(argv[4], "shape.txt");
    crumb_status status = open_all(&s, argv);
    int64_t count = atoll(argv[3]);
    status = status == CRUMB_OK ? write_all(&s, count) : status;
    if (status == CRUMB_OK) {
        fprintf(shape, "%lld %d %d %d %d\n", (long long)count, s.info.channels, s.info.height, s.info.width, s.info.classes);
    } else {
        fprintf(stderr, "onnx_samples: %s\n", crumb_message(s.ctx));
    }
    bool written = fclose(s.images) == 0 && fclose(s.logits) == 0 && fclose(shape) == 0;
    crumb_dataset_close(s.dataset);
    crumb_session_destroy(s.session);
    crumb_plan_destroy(s.plan);
    crumb_packed_close(s.packed);
    crumb_ctx_destroy(s.ctx);
    return status == CRUMB_OK && written ? 0 : 1;
}
