/* packed_sample FILE HEIGHT WIDTH CHANNELS CLASSES: writes a small packed network with weights drawn at random, class names
 * too: what the tests of `crumb run` and of programs that only link libcrumb_run work on. */
#include "pack/sample.h"

#include <stdio.h>

static crumb_status build(crumb_ctx *ctx, char **argument, crumb_packed **packed) {
    static const crumb_packed_codes two = {.levels = 4, .multiply = 1, .offset = -2},
                                    eight = {.levels = 255, .multiply = 1, .offset = -127};
    static const char *names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
    sample s = {.rng = crumb_rng_at(1, 0, 0)};
    crumb_build_begin(&s.build, ctx, atoi(argument[2]), atoi(argument[3]), atoi(argument[4]));
    s.build.packed.model = "sample";
    s.build.packed.classes = atoi(argument[5]);
    s.build.packed.class_name = s.build.packed.classes == 10 ? names : NULL;
    for (int c = 0; c < 4; c++) {
        s.build.packed.mean[c] = 0.5f;
        s.build.packed.deviation[c] = 0.25f;
    }
    int32_t x = sample_conv(&s, sample_round(&s, 0, 256, -128), 16, 3, eight, (crumb_packed_node){.padding = 1, .stride = 2});
    int32_t shortcut = sample_node(&s, CRUMB_PACKED_RELU, x);
    x = sample_conv(&s, sample_round(&s, shortcut, 4, 0), 16, 3, two, (crumb_packed_node){.padding = 1});
    x = sample_node(&s, CRUMB_PACKED_RELU, sample_pair(&s, CRUMB_PACKED_ADD, x, shortcut));
    x = sample_round(&s, sample_pool(&s, CRUMB_PACKED_MAX_POOL, x, 2, 2, 0), 4, 0);
    x = sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, sample_conv(&s, x, 32, 3, two, (crumb_packed_node){.padding = 1}));
    sample_conv(&s, sample_round(&s, x, 256, -128), s.build.packed.classes, 1, eight, (crumb_packed_node){0});
    return crumb_build_end(&s.build, packed);
}

int main(int argc, char **argv) {
    crumb_ctx *ctx = NULL;
    crumb_packed *packed = NULL;
    if (argc != 6 || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        fprintf(stderr, "usage: packed_sample FILE HEIGHT WIDTH CHANNELS CLASSES\n");
        return 2;
    }
    crumb_status status = build(ctx, argv, &packed);
    if (status == CRUMB_OK) {
        status = crumb_packed_write(packed, argv[1]);
    }
    if (status != CRUMB_OK) {
        fprintf(stderr, "%s\n", crumb_message(ctx));
    }
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
    return status == CRUMB_OK ? 0 : 1;
}
