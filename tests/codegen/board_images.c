/* board_images MODEL.crumb DATA COUNT: images of a data set and the bits of the logits that a session gives, as C arrays, for
 * board.c. */
#include "crumb/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    crumb_ctx *ctx;
    crumb_packed *packed;
    crumb_packed_info info;
    crumb_plan *plan;
    crumb_session *session;
    crumb_dataset *dataset;
} state;

static crumb_status open_all(state *s, char **argument) {
    crumb_status status = crumb_packed_open(s->ctx, argument[1], &s->packed);
    status = status == CRUMB_OK ? crumb_plan_create(s->packed, &s->plan) : status;
    status = status == CRUMB_OK ? crumb_session_create(s->plan, NULL, &s->session) : status;
    status = status == CRUMB_OK ? crumb_dataset_open(s->ctx, argument[2], 1, &s->dataset) : status;
    if (status == CRUMB_OK) {
        crumb_packed_describe(s->packed, &s->info);
    }
    return status;
}

/* The pixels; the logits are kept for the second array. */
static crumb_status print_image(state *s, int64_t index, float *logits) {
    uint8_t *pixels;
    int64_t height, width;
    int label;
    crumb_status status = crumb_dataset_image(s->dataset, index, &pixels, &height, &width, &label);
    if (status != CRUMB_OK) {
        return status;
    }
    status = crumb_session_run_pixels(s->session, pixels, 1, logits);
    printf("    {");
    for (int64_t i = 0; i < height * width * s->info.channels; i++) {
        printf("%d,%s", pixels[i], i % 32 == 31 ? "\n     " : " ");
    }
    printf("},\n");
    crumb_dataset_release(s->dataset, pixels);
    return status;
}

static crumb_status print_all(state *s, int64_t count) {
    size_t classes = (size_t)s->info.classes;
    float *logits = malloc((size_t)count * classes * sizeof(*logits));
    crumb_status status = CRUMB_OK;
    printf("#include <stdint.h>\n\nenum { IMAGES = %d };\n\nstatic const uint8_t image[IMAGES][%d] = {\n", (int)count,
           s->info.height * s->info.width * s->info.channels);
    for (int64_t n = 0; n < count && status == CRUMB_OK; n++) {
        status = print_image(s, n, logits + (size_t)n * classes);
    }
    printf("};\n\nstatic const uint32_t wanted[IMAGES][%d] = {\n", s->info.classes);
    for (size_t n = 0; n < (size_t)count && status == CRUMB_OK; n++) {
        printf("    {");
        for (size_t i = 0; i < classes; i++) {
            uint32_t bits;
            memcpy(&bits, &logits[n * classes + i], sizeof(bits));
            printf("0x%08xu, ", bits);
        }
        printf("},\n");
    }
    printf("};\n");
    free(logits);
    return status;
}

int main(int argc, char **argv) {
    state s = {0};
    if (argc != 4 || crumb_ctx_create(&s.ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        fprintf(stderr, "usage: board_images MODEL.crumb DATA COUNT\n");
        return 2;
    }
    crumb_status status = open_all(&s, argv);
    status = status == CRUMB_OK ? print_all(&s, atoll(argv[3])) : status;
    if (status != CRUMB_OK) {
        fprintf(stderr, "%s\n", crumb_message(s.ctx));
    }
    crumb_dataset_close(s.dataset);
    crumb_session_destroy(s.session);
    crumb_plan_destroy(s.plan);
    crumb_packed_close(s.packed);
    crumb_ctx_destroy(s.ctx);
    return status == CRUMB_OK ? 0 : 1;
}
