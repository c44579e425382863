/* logits NETWORK.crumb [THREADS [LIMIT]]: the logits of one image of counted pixels, as hexadecimal floats. The smallest program that
 * links nothing but libcrumb_run, or crumb_run.c. */
#include <crumb/run.h>

#include <stdio.h>
#include <stdlib.h>

static int run(crumb_session *session, const crumb_packed_info *info) {
    size_t count = (size_t)info->height * (size_t)info->width * (size_t)info->channels;
    uint8_t *pixels = malloc(count);
    float *logits = malloc((size_t)info->classes * sizeof(*logits));
    for (size_t i = 0; pixels != NULL && i < count; i++) {
        pixels[i] = (uint8_t)(i * 37 + i / 11);
    }
    crumb_status status = crumb_session_run_pixels(session, pixels, 1, logits);
    for (int i = 0; i < info->classes && status == CRUMB_OK; i++) {
        printf("%a ", (double)logits[i]);
    }
    free(logits);
    free(pixels);
    return status == CRUMB_OK ? 0 : 1;
}

int main(int argc, char **argv) {
    crumb_ctx *ctx = NULL;
    crumb_packed *packed = NULL;
    crumb_plan *plan = NULL;
    crumb_session *session = NULL;
    crumb_packed_info info;
    crumb_settings settings = {.cpu_limit = argc > 3 ? argv[3] : NULL};
    if (argc < 2 || crumb_ctx_create(&ctx, &settings) != CRUMB_OK) {
        return 2;
    }
    crumb_session_options options = {.threads = argc > 2 ? atoi(argv[2]) : 1, .batch = 1};
    crumb_status status = crumb_packed_open(ctx, argv[1], &packed);
    if (status == CRUMB_OK) {
        crumb_packed_describe(packed, &info);
        status = crumb_plan_create(packed, &plan);
    }
    if (status == CRUMB_OK) {
        status = crumb_session_create(plan, &options, &session);
    }
    int code = status == CRUMB_OK ? run(session, &info) : 1;
    if (status != CRUMB_OK) {
        fprintf(stderr, "%s\n", crumb_message(ctx));
    }
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
    return code;
}
