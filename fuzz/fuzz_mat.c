/* MATLAB 5 files: every array, compressed or not, and every number in it. */
#include "data/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    crumb_status status = crumb_mat_check(ctx, "mat", data, size);
    for (size_t offset = CRUMB_MAT_FIRST; status == CRUMB_OK && offset < size;) {
        crumb_mat array = {0};
        status = crumb_mat_next(ctx, "mat", data, size, &offset, &array);
        volatile double sum = 0;
        for (size_t i = 0; status == CRUMB_OK && i < array.count; i++) {
            sum += crumb_mat_value(&array, i);
        }
        (void)sum;
        crumb_free(ctx, array.block);
    }
    crumb_ctx_destroy(ctx);
    return 0;
}
