/* NumPy arrays: an .npy, or an .npz with a member test_x.npy. */
#include "data/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(crumb_ctx *ctx, const uint8_t *data, size_t size) {
    crumb_npy npy;
    if (crumb_npy_parse(ctx, "npy", data, size, &npy) == CRUMB_OK && npy.count > 0) {
        volatile uint8_t last = data[npy.offset + npy.count * (size_t)npy.item - 1];
        (void)last;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    uint8_t *member = NULL;
    size_t member_size;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    parse(ctx, data, size);
    if (crumb_zip_read(ctx, "npz", data, size, "test_x.npy", &member, &member_size) == CRUMB_OK && member != NULL) {
        parse(ctx, member, member_size);
    }
    crumb_free(ctx, member);
    crumb_ctx_destroy(ctx);
    return 0;
}
