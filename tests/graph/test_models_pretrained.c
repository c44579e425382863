/* The CIFAR ResNets against the published weights, read here without the project's own loaders: the same names and shapes on
 * both sides, and the published accuracy. A wrong order of layers, a shortcut that pads on one side, an eps of 1e-3 would show.
 */
#include "graph/exec.h"

#include "harness.h"

#include "base/file.h"
#include "formats/safetensors.h"

#include <jansson.h>

enum { IMAGES = 200, BATCH = 100, SIDE = 32, PIXELS = SIDE * SIDE, RECORD = 1 + 3 * PIXELS };

typedef struct weights {
    uint8_t *bytes;
    const uint8_t *data;
    json_t *header;
} weights;

static void read_weights(crumb_ctx *ctx, const char *name, weights *w) {
    char path[512];
    snprintf(path, sizeof(path), "%s/weights/%s-cifar10.safetensors", test_data(), name);
    size_t size;
    uint64_t length;
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &w->bytes, &size));
    memcpy(&length, w->bytes, sizeof(length));
    assert_true(length < size);
    w->header = json_loadb((const char *)w->bytes + 8, (size_t)length, 0, NULL);
    assert_non_null(w->header);
    w->data = w->bytes + 8 + length;
}

/* Dimension i of a value as PyTorch orders it: OIHW where memory has OHWI. */
static int64_t torch_dim(crumb_shape shape, int i) {
    static const int oihw[] = {0, 3, 1, 2};
    return shape.dim[shape.rank == 4 ? oihw[i] : i];
}

static void fill(crumb_value *value, const float *from) {
    crumb_shape s = value->shape;
    int64_t inner = s.rank == 4 ? s.dim[3] : 1, pixels = s.rank == 4 ? s.dim[1] * s.dim[2] : crumb_shape_count(s) / s.dim[0];
    for (int64_t o = 0; o < s.dim[0]; o++) {
        for (int64_t i = 0; i < inner; i++) {
            for (int64_t p = 0; p < pixels; p++) {
                value->data[(o * pixels + p) * inner + i] = *from++;
            }
        }
    }
}

/* Every value of the network is in the file with its shape, and the file has no others. */
static void load(crumb_graph *graph, const weights *w) {
    size_t found = 0;
    for (int i = 0; i < graph->values; i++) {
        crumb_value *value = &graph->value[i];
        const char *counter = strstr(value->name, ".num_batches_tracked"); /* the files are older than the counter */
        if (value->data == NULL || counter != NULL) {
            continue;
        }
        char name[CRUMB_NAME_MAX + 8];
        snprintf(name, sizeof(name), "module.%s", value->name);
        const json_t *tensor = json_object_get(w->header, name);
        if (tensor == NULL) {
            fail_msg("the weights have no %s", name);
        }
        const json_t *shape = json_object_get(tensor, "shape");
        assert_int_equal(json_array_size(shape), value->shape.rank);
        for (int k = 0; k < value->shape.rank; k++) {
            assert_int_equal(json_integer_value(json_array_get(shape, (size_t)k)), torch_dim(value->shape, k));
        }
        json_int_t begin = json_integer_value(json_array_get(json_object_get(tensor, "data_offsets"), 0));
        float *copy = malloc((size_t)crumb_shape_count(value->shape) * sizeof(float)); /* the file's floats may be unaligned */
        memcpy(copy, w->data + begin, (size_t)crumb_shape_count(value->shape) * sizeof(float));
        fill(value, copy);
        free(copy);
        found++;
    }
    assert_int_equal(found, json_object_size(w->header) - 1); /* __metadata__ */
}

/* The project's own strict loader gives the same values. */
static void check_loader(crumb_ctx *ctx, const char *name, const crumb_graph *graph) {
    char path[512];
    snprintf(path, sizeof(path), "%s/weights/%s-cifar10.safetensors", test_data(), name);
    crumb_safetensors *file;
    crumb_graph *other;
    assert_ok(ctx, crumb_model_build(ctx, crumb_model_find(name), NULL, CRUMB_SHAPE(1, SIDE, SIDE, 3), 10, 2, &other));
    assert_ok(ctx, crumb_safetensors_open(ctx, path, &file));
    assert_ok(ctx, crumb_graph_load(other, "", file, true));
    for (int i = 0; i < graph->values; i++) {
        if (graph->value[i].data != NULL) {
            size_t size = (size_t)crumb_shape_count(graph->value[i].shape) * sizeof(float);
            assert_memory_equal(graph->value[i].data, other->value[i].data, size);
        }
    }
    crumb_safetensors_close(file);
    crumb_graph_destroy(other);
}

/* Planes of bytes to normalised NHWC, with the means and deviations the weights were trained with. */
static void read_batch(const uint8_t *records, float *x) {
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
    for (int64_t n = 0; n < BATCH; n++) {
        for (int64_t i = 0; i < 3 * PIXELS; i++) {
            int64_t c = i / PIXELS, pixel = i % PIXELS;
            x[(n * PIXELS + pixel) * 3 + c] = ((float)records[n * RECORD + 1 + i] / 255.0f - mean[c]) / deviation[c];
        }
    }
}

static int count_right(crumb_exec *exec, const crumb_graph *graph, const uint8_t *records) {
    int right = 0;
    for (int first = 0; first < IMAGES; first += BATCH) {
        read_batch(records + (size_t)first * RECORD, crumb_exec_value(exec, graph->image));
        crumb_exec_forward(exec, false, 0, 0);
        const float *logits = crumb_exec_value(exec, graph->logits);
        for (int n = 0; n < BATCH; n++, logits += 10) {
            int best = 0;
            for (int k = 1; k < 10; k++) {
                best = logits[k] > logits[best] ? k : best;
            }
            right += best == records[(size_t)(first + n) * RECORD];
        }
    }
    return right;
}

static void check(const char *name, int least) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    crumb_graph *graph;
    crumb_exec *exec;
    weights w;
    uint8_t *records;
    size_t size;
    char path[512];
    snprintf(path, sizeof(path), "%s/cifar-10-batches-bin/test_batch.bin", test_data());
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &records, &size));
    assert_true(size >= (size_t)IMAGES * RECORD);
    read_weights(ctx, name, &w);
    assert_ok(ctx, crumb_model_build(ctx, crumb_model_find(name), NULL, CRUMB_SHAPE(1, SIDE, SIDE, 3), 10, 1, &graph));
    load(graph, &w);
    check_loader(ctx, name, graph);
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = BATCH}, &exec));
    int right = count_right(exec, graph, records);
    print_message("%s: %d of %d right\n", name, right, IMAGES);
    assert_true(right >= least);
    crumb_exec_destroy(exec);
    crumb_graph_destroy(graph);
    json_decref(w.header);
    crumb_free(ctx, w.bytes);
    crumb_free(ctx, records);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_resnet20(void **state) {
    (void)state;
    check("resnet20", 171);
}

static void test_resnet32(void **state) {
    (void)state;
    check("resnet32", 174);
}

static void test_resnet44(void **state) {
    (void)state;
    check("resnet44", 175);
}

static void test_resnet56(void **state) {
    (void)state;
    check("resnet56", 176);
}

int main(void) {
    if (test_data() == NULL) {
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resnet20),
        cmocka_unit_test(test_resnet32),
        cmocka_unit_test(test_resnet44),
        cmocka_unit_test(test_resnet56),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
