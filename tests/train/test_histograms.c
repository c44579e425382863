/* Histograms of weights: every weight is counted once, levels and errors are the quantizer's, a resumed file is cut. */
#include "harness.h"

#include "base/file.h"
#include "train/weight_histogram.h"

#include <jansson.h>

/* lenet5 on small images, its weights quantized; name NULL: float. */
static crumb_status build(crumb_ctx *ctx, const char *name, int bits, crumb_graph **graph) {
    crumb_graph *plain;
    crumb_quant_policy policy = {0};
    CRUMB_TRY(crumb_model_build(ctx, crumb_model_find("lenet5"), NULL, CRUMB_SHAPE(1, 16, 16, 1), 4, 5, &plain));
    if (name == NULL) {
        *graph = plain;
        return CRUMB_OK;
    }
    crumb_status status = crumb_quant_choose(ctx, name, true, bits, &policy.weights);
    status = status == CRUMB_OK ? crumb_graph_quantize(plain, &policy, graph) : status;
    crumb_graph_destroy(plain);
    return status;
}

/* Brings the quantizers' states up to date, as a forward pass does. */
static void observe(crumb_graph *graph) {
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *n = &graph->node[i];
        const crumb_quant *site = crumb_node_site(graph, i);
        if (site != NULL && site->quantizer->observe != NULL) {
            crumb_op_call op = {.params = site, .inputs = n->inputs, .training = true};
            for (int k = 0; k < n->inputs; k++) {
                op.x[k] = (crumb_tensor){graph->value[n->input[k]].shape, graph->value[n->input[k]].data};
            }
            crumb_quant_call call;
            crumb_quant_call_of(&op, &call);
            site->quantizer->observe(&call);
        }
    }
}

static int64_t sum(const int64_t *count, int size) {
    int64_t total = 0;
    for (int i = 0; i < size; i++) {
        total += count[i];
    }
    return total;
}

/* The quantize node on the weight of the nth layer, and that weight. */
static int weight_node(const crumb_graph *graph, int nth, const crumb_value **weight) {
    int node = graph->value[graph->node[crumb_graph_layer(graph, nth)].input[1]].node;
    *weight = &graph->value[node >= 0 ? graph->node[node].input[0] : graph->node[crumb_graph_layer(graph, nth)].input[1]];
    return node;
}

/* Every quantizer: counts add up, the error is that of the codes. */
static void test_every_quantizer(void **state) {
    (void)state;
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    for (int q = 0; crumb_quantizers[q] != NULL; q++) {
        const crumb_quantizer *row = crumb_quantizers[q];
        crumb_graph *graph;
        if ((row->flags & CRUMB_QUANT_WEIGHT) == 0) {
            continue;
        }
        assert_ok(ctx, build(ctx, row->name, row->max_bits, &graph));
        observe(graph);
        for (int nth = 0; crumb_graph_layer(graph, nth) >= 0; nth++) {
            crumb_weight_histogram h;
            crumb_codes codes;
            const crumb_value *weight;
            int node = weight_node(graph, nth, &weight);
            assert_ok(ctx, crumb_weight_histogram_take(graph, nth, &h));
            assert_ok(ctx, crumb_graph_encode(graph, node, &codes));
            assert_string_equal(h.quantizer, row->name);
            assert_true(h.bits == row->max_bits && h.weights == crumb_shape_count(weight->shape) && h.low < h.high);
            assert_int_equal(h.below + h.above + sum(h.bin, CRUMB_HISTOGRAM_BINS), h.weights);
            assert_int_equal(h.levels, codes.levels <= CRUMB_HISTOGRAM_LEVELS ? codes.levels : 0);
            assert_int_equal(sum(h.at_level, h.levels), h.levels > 0 ? h.weights : 0);
            double wrong = 0, all = 0;
            const float *w = weight->data;
            for (int64_t i = 0; i < h.weights; i++) {
                double value = codes.scale[i * codes.groups / h.weights] * (float)codes.code[i];
                wrong += (value - w[i]) * (value - w[i]);
                all += (double)w[i] * w[i];
            }
            assert_true(fabs(h.error - sqrt(wrong / all)) < 1e-12);
            crumb_codes_free(ctx, &codes);
        }
        crumb_graph_destroy(graph);
    }
    crumb_ctx_destroy(ctx);
}

/* BWN: two levels, half the mean's width apart, each with the weights of its sign. */
static void test_levels(void **state) {
    (void)state;
    crumb_ctx *ctx;
    crumb_graph *graph;
    crumb_weight_histogram h;
    const crumb_value *weight;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, build(ctx, "bwn", 1, &graph));
    weight_node(graph, 0, &weight);
    float *w = weight->data;
    int64_t count = crumb_shape_count(weight->shape), channels = weight->shape.dim[0];
    for (int64_t i = 0; i < count; i++) {
        w[i] = (i % 4 == 0 ? -1.0f : 1.0f) * (float)(1 + i / (count / channels));
    }
    observe(graph);
    assert_ok(ctx, crumb_weight_histogram_take(graph, 0, &h));
    assert_true(h.levels == 2 && h.level[0] < 0 && h.level[1] > 0);
    assert_int_equal(h.at_level[0], (count + 3) / 4);
    if (h.scales > 1) { /* every channel in its own scale: all weights are -1 or 1 */
        assert_true(h.level[0] == -1 && h.level[1] == 1 && h.error < 1e-6);
        assert_true(h.bin[0] == h.at_level[0] && h.bin[CRUMB_HISTOGRAM_BINS - 1] == h.at_level[1]);
    }
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
}

/* Float layers; weights that are all equal, all zero, not finite, far out. */
static void test_odd_weights(void **state) {
    (void)state;
    crumb_ctx *ctx;
    crumb_graph *graph;
    crumb_weight_histogram h;
    const crumb_value *weight;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, build(ctx, NULL, 0, &graph));
    weight_node(graph, 1, &weight);
    float *w = weight->data;
    int64_t count = crumb_shape_count(weight->shape);
    assert_ok(ctx, crumb_weight_histogram_take(graph, 1, &h));
    assert_true(h.quantizer == NULL && h.bits == 32 && isnan(h.error) && h.levels == 0 && h.scales == 0);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            w[i] = pass == 0 ? 0.0f : -3.0f;
        }
        assert_ok(ctx, crumb_weight_histogram_take(graph, 1, &h));
        assert_true(h.low < w[0] && h.high > w[0] && sum(h.bin, CRUMB_HISTOGRAM_BINS) == count);
    }
    for (int64_t i = 0; i < count; i++) {
        w[i] = i == 0 ? NAN : i == 1 ? INFINITY : i == 2 ? 1000.0f : (float)(i % 2);
    }
    assert_ok(ctx, crumb_weight_histogram_take(graph, 1, &h));
    assert_true(isfinite(h.low) && isfinite(h.high) && h.high < 1000);
    assert_int_equal(h.below + h.above + sum(h.bin, CRUMB_HISTOGRAM_BINS), count - 1); /* all but the NaN; infinity is above */
    assert_int_equal(h.above, 2);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
}

static int lines_in(crumb_ctx *ctx, const char *path, int64_t steps[64]) {
    uint8_t *data;
    size_t size;
    int count = 0;
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &data, &size));
    for (char *at = (char *)data; *at != '\0' && count < 64; at += strcspn(at, "\n") + 1) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(line) && at[strcspn(at, "\n")] == '\n');
        assert_int_equal(json_array_size(json_object_get(line, "bins")), CRUMB_HISTOGRAM_BINS);
        assert_true(json_is_string(json_object_get(line, "layer")) && json_is_string(json_object_get(line, "phase")));
        steps[count++] = json_integer_value(json_object_get(line, "step"));
        json_decref(line);
    }
    crumb_free(ctx, data);
    return count;
}

/* Lines of later steps are cut when a run is resumed, so is a torn last line; a new run starts empty. */
static void test_cut(void **state) {
    (void)state;
    crumb_ctx *ctx;
    crumb_graph *graph;
    crumb_histogram_log *log;
    char folder[80], path[128];
    int64_t steps[64];
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, build(ctx, "twn", 2, &graph));
    observe(graph);
    snprintf(folder, sizeof(folder), "%s", test_folder());
    snprintf(path, sizeof(path), "%s/histograms.jsonl", folder);
    int layers = 0;
    while (crumb_graph_layer(graph, layers) >= 0) {
        layers++;
    }
    assert_ok(ctx, crumb_histogram_log_open(ctx, folder, 30, &log)); /* resumed, but there is no file */
    for (int64_t step = 10; step <= 30; step += 10) {
        assert_ok(ctx, crumb_histogram_log_add(log, "a \"phase\"", step / 10, step, graph));
    }
    crumb_histogram_log_close(log);
    assert_int_equal(lines_in(ctx, path, steps), 3 * layers);
    assert_int_equal(truncate(path, 3000), 0); /* within a line */
    assert_ok(ctx, crumb_histogram_log_open(ctx, folder, 10, &log));
    assert_ok(ctx, crumb_histogram_log_add(log, "b", 2, 25, graph));
    crumb_histogram_log_close(log);
    assert_int_equal(lines_in(ctx, path, steps), 2 * layers);
    assert_true(steps[layers - 1] == 10 && steps[layers] == 25);
    assert_ok(ctx, crumb_histogram_log_open(ctx, folder, -1, &log));
    crumb_histogram_log_close(log);
    assert_int_equal(lines_in(ctx, path, steps), 0);
    assert_fails(ctx, CRUMB_ERROR_IO, "/proc/nowhere", crumb_histogram_log_open(ctx, "/proc/nowhere", -1, &log));
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
}

static crumb_status memory_body(crumb_ctx *ctx, void *folder) {
    crumb_graph *graph;
    crumb_histogram_log *log;
    CRUMB_TRY(build(ctx, "bwn", 1, &graph));
    crumb_status status = crumb_histogram_log_open(ctx, folder, -1, &log);
    if (status == CRUMB_OK) {
        status = crumb_histogram_log_add(log, "train", 1, 1, graph);
        crumb_histogram_log_close(log);
    }
    crumb_graph_destroy(graph);
    return status;
}

static void test_memory_of(void **state) {
    (void)state;
    test_every_allocation(memory_body, (void *)test_folder());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_quantizer), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_odd_weights),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_memory_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
