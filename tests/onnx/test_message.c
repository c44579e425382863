/* ONNX messages: what is packed reads back; files cut anywhere, too deep, or with lengths that lie are refused with the byte.
 */
#include "harness.h"

#include "onnx/message.h"

static size_t sample(uint8_t **bytes) {
    CrumbOnnx__TensorProto tensor = CRUMB_ONNX__TENSOR_PROTO__INIT;
    CrumbOnnx__NodeProto node = CRUMB_ONNX__NODE_PROTO__INIT;
    CrumbOnnx__GraphProto graph = CRUMB_ONNX__GRAPH_PROTO__INIT;
    CrumbOnnx__ModelProto model = CRUMB_ONNX__MODEL_PROTO__INIT;
    char *inputs[] = {"x", "w"}, *outputs[] = {"y"};
    int64_t dims[] = {2, 2};
    float values[] = {1, 2, 3, 4};
    tensor = (CrumbOnnx__TensorProto){.base = tensor.base,
                                      .n_dims = 2,
                                      .dims = dims,
                                      .has_data_type = 1,
                                      .data_type = 1,
                                      .n_float_data = 4,
                                      .float_data = values,
                                      .name = "w"};
    node.op_type = "MatMul";
    node.n_input = 2, node.input = inputs, node.n_output = 1, node.output = outputs;
    graph.n_node = 1, graph.node = &(CrumbOnnx__NodeProto *){&node};
    graph.n_initializer = 1, graph.initializer = &(CrumbOnnx__TensorProto *){&tensor};
    model.graph = &graph;
    size_t size = crumb_onnx__model_proto__get_packed_size(&model);
    *bytes = malloc(size);
    assert_int_equal(crumb_onnx__model_proto__pack(&model, *bytes), size);
    return size;
}

static void test_round_trip(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    uint8_t *bytes;
    size_t size = sample(&bytes);
    ProtobufCMessage *message;
    assert_int_equal(crumb_onnx_unpack(ctx, "f", &crumb_onnx__model_proto__descriptor, bytes, size, &message), CRUMB_OK);
    CrumbOnnx__ModelProto *model = (CrumbOnnx__ModelProto *)message;
    assert_string_equal(model->graph->node[0]->op_type, "MatMul");
    assert_string_equal(model->graph->node[0]->input[1], "w");
    assert_true(model->graph->initializer[0]->float_data[3] == 4);
    crumb_onnx_free(ctx, message);
    crumb_onnx_free(ctx, NULL);
    free(bytes);
    crumb_ctx_destroy(ctx);
}

/* A cut file is refused unless the cut lies between two fields of the outermost message. */
static void test_cut(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    uint8_t *bytes;
    size_t size = sample(&bytes);
    for (size_t cut = 1; cut < size; cut++) {
        uint8_t *part = malloc(cut);
        memcpy(part, bytes, cut);
        ProtobufCMessage *message;
        assert_int_equal(crumb_onnx_unpack(ctx, "f", &crumb_onnx__model_proto__descriptor, part, cut, &message),
                         CRUMB_ERROR_FORMAT);
        assert_true(strncmp(crumb_message(ctx), "f: byte ", 8) == 0);
        free(part);
    }
    free(bytes);
    crumb_ctx_destroy(ctx);
}

static void refuse(const uint8_t *bytes, size_t size, const char *why) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    ProtobufCMessage *message;
    assert_int_equal(crumb_onnx_unpack(ctx, "f", &crumb_onnx__model_proto__descriptor, bytes, size, &message),
                     CRUMB_ERROR_FORMAT);
    if (strstr(crumb_message(ctx), why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", crumb_message(ctx), why);
    }
    crumb_ctx_destroy(ctx);
}

static void test_hostile(void **state) {
    (void)state;
    refuse((const uint8_t[]){0x3a, 0x7f}, 2, "byte 2: graph of 127 bytes, 0 are left");
    refuse((const uint8_t[]){0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 12, "longer than 10 bytes");
    refuse((const uint8_t[]){0x0b}, 1, "this is not an ONNX file");
    refuse((const uint8_t[]){0x02, 0}, 2, "field number");
    refuse((const uint8_t[]){0x12, 2, 'a', 0}, 4, "a zero byte in the text producer_name");
    refuse((const uint8_t[]){0x12, 1, 'a', 0x3a, 0}, 4, "ends inside a number");
    refuse((const uint8_t[]){0x38, 0}, 2, "ModelProto has the wrong type");
    uint8_t deep[100]; /* graph { node { attribute { g { node ... */
    for (int i = 0; i < 50; i++) {
        deep[2 * i] = i == 0 ? 0x3a : (uint8_t[]){0x0a, 0x2a, 0x32}[(i - 1) % 3];
        deep[2 * i + 1] = (uint8_t)(98 - 2 * i);
    }
    refuse(deep, sizeof(deep), "too deep inside each other");
}

static crumb_status parse_sample(crumb_ctx *ctx, void *user) {
    (void)user;
    uint8_t *bytes;
    size_t size = sample(&bytes);
    ProtobufCMessage *message = NULL;
    crumb_status status = crumb_onnx_unpack(ctx, "f", &crumb_onnx__model_proto__descriptor, bytes, size, &message);
    crumb_onnx_free(ctx, message);
    free(bytes);
    return status;
}

static void test_memory_fails(void **state) {
    (void)state;
    test_every_allocation(parse_sample, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_hostile), cmocka_unit_test(test_memory_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
