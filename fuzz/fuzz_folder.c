/* Pictures of image folders: PNG and JPEG, the header alone and the whole. */
#include "data/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    char message[256] = "";
    crumb_picture head = {0}, picture = {0};
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 0;
    }
    /* Large pictures only cost time: what they would find, small ones find too. */
    if (crumb_picture_size("picture", data, size, &head, message, sizeof(message)) == CRUMB_OK &&
        head.height * head.width < 1 << 20 &&
        crumb_picture_decode(ctx, "picture", data, size, &picture, message, sizeof(message)) == CRUMB_OK) {
        volatile uint8_t last = picture.pixels[picture.height * picture.width * 3 - 1];
        (void)last;
    }
    crumb_free(ctx, picture.pixels);
    crumb_ctx_destroy(ctx);
    return 0;
}
