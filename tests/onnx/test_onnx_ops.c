/* Packed networks of every op, written as ONNX in each form and read again: the graph that comes back computes what the packed
 * one does. */
#include "lower/op_graphs.h"

#include "graph/exec.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "onnx/message.h"

static char path[128];

/* The model as it is: a softmax at the end stays. */
static crumb_graph *import_again(crumb_ctx *ctx) {
    ProtobufCMessage *message;
    crumb_graph *graph;
    crumb_import_options options = {0};
    assert_ok(ctx, crumb_onnx_open(ctx, path, &crumb_onnx__model_proto__descriptor, &message));
    crumb_import_output outputs[CRUMB_ONNX_OUTPUTS_MAX];
    int count = 0;
    assert_ok(ctx, crumb_import_model(ctx, path, (CrumbOnnx__ModelProto *)message, &options, &graph, outputs, &count));
    crumb_onnx_free(ctx, message);
    assert_int_equal(count, 1);
    graph->logits = outputs[0].value;
    return graph;
}

static void compare_logits(const crumb_packed *packed, const test_case *c, const crumb_onnx_form *form, crumb_graph *graph,
                           const float *image, const float *logits) {
    crumb_ctx *ctx = packed->ctx;
    crumb_exec *exec;
    double largest = 0;
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true, .keep = true}, &exec));
    memcpy(crumb_exec_value(exec, graph->image), image, (size_t)crumb_packed_elements(&packed->value[0]) * sizeof(*image));
    crumb_exec_forward(exec, false, 0, 0);
    const float *got = crumb_exec_value(exec, graph->logits);
    for (int32_t i = 0; i < packed->classes; i++) {
        largest = fmax(largest, fabs((double)logits[i]));
    }
    for (int32_t i = 0; i < packed->classes; i++) { /* float ops in another order */
        if (!(fabs((double)got[i] - (double)logits[i]) <= 4e-6 * largest + 1e-30)) {
            fail_msg("%s as %s: element %d is %.9g, packed it is %.9g", c->op, form->name, (int)i, (double)got[i],
                     (double)logits[i]);
        }
    }
    crumb_exec_destroy(exec);
}

static void compare(crumb_packed *packed, const test_case *c, const crumb_onnx_form *form, const float *image) {
    crumb_ctx *ctx = packed->ctx;
    crumb_plan *plan;
    crumb_session *session;
    float *logits = calloc((size_t)packed->classes, sizeof(*logits));
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    assert_ok(ctx, crumb_session_create(plan, &(crumb_session_options){.threads = 1}, &session));
    assert_ok(ctx, crumb_session_run(session, image, 1, logits));
    assert_ok(ctx, crumb_onnx_export(packed, form, path));
    crumb_graph *graph = import_again(ctx);
    compare_logits(packed, c, form, graph, image, logits);
    crumb_graph_destroy(graph);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    free(logits);
}

/* The importer takes neither functions nor MatMulNBits back, nor Round of quantizers without integers. */
static bool comes_back(const crumb_onnx_form *form) {
    return form->integers && !form->nbits;
}

static void test_round_trip(void **state) {
    (void)state;
    crumb_ctx *ctx = NULL;
    snprintf(path, sizeof(path), "%s/op.onnx", test_folder());
    assert_int_equal(crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}), CRUMB_OK);
    for (int i = 0; i < 2 * CASES; i++) {
        const test_case *c = &cases[i / 2];
        const crumb_op *op = crumb_op_find(c->op);
        if (is_loss(op)) {
            continue;
        }
        crumb_packed *packed;
        crumb_graph *graph = build(ctx, op, c, i % 2 == 1);
        pack(graph, c, &packed);
        float *image = draw_images(c, crumb_packed_elements(&packed->value[0]), 1);
        for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
            if (comes_back(form)) {
                compare(packed, c, form, image);
            }
        }
        free(image);
        crumb_packed_close(packed);
        crumb_graph_destroy(graph);
    }
    remove(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
