/* CIFAR records: CIFAR-10 if the first byte is even, CIFAR-100 if it is odd. */
#include "data/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    if (size == 0 || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    int label_bytes = 1 + data[0] % 2;
    int64_t records = (int64_t)(size / (3072 + (size_t)label_bytes)) + data[0] / 128; /* at times one too many */
    uint8_t *pixels = crumb_alloc(ctx, (size_t)records, 3072);
    int32_t *labels = crumb_alloc(ctx, (size_t)records, sizeof(*labels));
    if (pixels != NULL && labels != NULL) {
        crumb_cifar_parse(ctx, "cifar", data + 1, size - 1, label_bytes, label_bytes == 1 ? 10 : 100, records, pixels, labels);
    }
    crumb_free(ctx, pixels);
    crumb_free(ctx, labels);
    crumb_ctx_destroy(ctx);
    return 0;
}
