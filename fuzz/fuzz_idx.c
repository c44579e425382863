/* IDX, plain or gzipped: the header, the length check, the decompression. */
#include "data/readers.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    crumb_idx idx;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    uint8_t *copy = crumb_alloc(ctx, size + 1, 1);
    if (copy != NULL) {
        memcpy(copy, data, size);
        if (crumb_idx_unzip(ctx, "idx", &copy, &size) == CRUMB_OK &&
            crumb_idx_parse(ctx, "idx", copy, size, &idx) == CRUMB_OK) {
            volatile uint8_t last = copy[idx.offset + idx.count - 1];
            (void)last;
        }
    }
    crumb_free(ctx, copy);
    crumb_ctx_destroy(ctx);
    return 0;
}
