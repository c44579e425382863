/* Packed files: as they come, and with the header's length and checksum made right, so that what lies behind them is reached. A
 * network that is accepted and small runs: session and naive executor must agree, and the exports, C and ONNX in every form,
 * must come to an end. */
#include "base/crc32c.h"
#include "codegen/codegen.h"
#include "onnx/export.h"
#include "pack/file_records.h"
#include "pack/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ELEMENTS_MAX = 1 << 16 };
#define OPERATIONS_MAX 3e6

static bool is_small(const crumb_packed *packed) {
    crumb_packed_info info;
    crumb_packed_describe(packed, &info);
    int64_t elements = 0;
    for (int32_t v = 0; v < packed->values; v++) {
        elements += crumb_packed_elements(&packed->value[v]);
    }
    return elements < ELEMENTS_MAX && info.operations < OPERATIONS_MAX;
}

static bool are_same(const float *a, const float *b, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (memcmp(&a[i], &b[i], sizeof(*a)) != 0 && !(isnan(a[i]) && isnan(b[i]))) {
            return false;
        }
    }
    return true;
}

static void run(crumb_packed *packed) {
    int64_t count = crumb_packed_elements(&packed->value[0]);
    float *image = malloc((size_t)count * sizeof(*image)), *logits = malloc((size_t)packed->classes * sizeof(*logits));
    crumb_plan *plan = NULL;
    crumb_session *session = NULL;
    crumb_oracle *oracle = NULL;
    for (int64_t i = 0; i < count; i++) {
        image[i] = (float)((i * 37 + 11) % 64 - 32) / 8.0f;
    }
    if (crumb_plan_create(packed, &plan) == CRUMB_OK && crumb_session_create(plan, NULL, &session) == CRUMB_OK &&
        crumb_oracle_create(packed, &oracle) == CRUMB_OK) {
        crumb_oracle_run(oracle, image);
        if (crumb_session_run(session, image, 1, logits) != CRUMB_OK ||
            !are_same(logits, crumb_oracle_real(oracle, packed->logits), packed->classes)) {
            abort();
        }
    }
    crumb_oracle_destroy(oracle);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    free(logits);
    free(image);
}

static void print_onnx(const crumb_packed *packed) {
    for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
        uint8_t *bytes;
        size_t size;
        if (crumb_onnx_print(packed, form, "packed", &bytes, &size) == CRUMB_OK) {
            crumb_free(packed->ctx, bytes);
        }
    }
}

static void parse(crumb_ctx *ctx, const uint8_t *data, size_t size) {
    crumb_packed *packed = NULL;
    crumb_codegen_files files;
    if (crumb_packed_parse(ctx, "packed", data, size, &packed) == CRUMB_OK && is_small(packed)) {
        run(packed);
        print_onnx(packed);
        if (crumb_codegen_print(packed, "net", size % 2 == 0, &files) == CRUMB_OK) {
            crumb_codegen_release(ctx, &files);
        }
    }
    crumb_packed_close(packed);
}

static void repair(uint8_t *data, size_t size) {
    crumb_file_header header;
    memcpy(&header, data, sizeof(header));
    memcpy(header.magic, CRUMB_FILE_MAGIC, sizeof(header.magic));
    header.version = CRUMB_FILE_VERSION;
    header.bytes = size;
    memcpy(data, &header, sizeof(header));
    header.checksum = crumb_crc32c(data + CRUMB_FILE_SUMMED_FROM, size - CRUMB_FILE_SUMMED_FROM);
    memcpy(data, &header, sizeof(header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 0;
    }
    uint8_t *copy = crumb_alloc(ctx, size + 1, 1); /* aligned as parse wants */
    memcpy(copy, data, size);
    parse(ctx, copy, size);
    if (size >= sizeof(crumb_file_header)) {
        repair(copy, size);
        parse(ctx, copy, size);
    }
    crumb_free(ctx, copy);
    crumb_ctx_destroy(ctx);
    return 0;
}
