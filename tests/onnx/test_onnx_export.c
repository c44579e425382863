/* ONNX files of packed networks: that they hold together, that integers stand for the weights they were made from, that nothing
 * leaks. What a runtime computes with them is tests/cli/test_export_onnx.sh's business. */
#include "harness.h"
#include "onnx/export.h"
#include "onnx/message.h"
#include "onnx/writer.h"
#include "runtime/random_network.h"

#include "crumb/train.h"

typedef CrumbOnnx__ModelProto model;
typedef CrumbOnnx__TensorProto tensor;
typedef CrumbOnnx__NodeProto node;

static char folder[64], path[128];

static void set_path(void) {
    snprintf(folder, sizeof(folder), "%s", test_folder());
    snprintf(path, sizeof(path), "%s/net.onnx", folder);
}

static void remove_path(void) {
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

static model *exported(crumb_ctx *ctx, const crumb_packed *packed, const crumb_onnx_form *form) {
    ProtobufCMessage *message = NULL;
    if (crumb_onnx_export(packed, form, path) != CRUMB_OK ||
        crumb_onnx_open(ctx, path, &crumb_onnx__model_proto__descriptor, &message) != CRUMB_OK) {
        fail_msg("%s: %s", form->name, crumb_message(ctx));
    }
    return (model *)message;
}

static const tensor *initializer(const model *m, const char *name) {
    for (size_t i = 0; i < m->graph->n_initializer; i++) {
        if (strcmp(m->graph->initializer[i]->name, name) == 0) {
            return m->graph->initializer[i];
        }
    }
    return NULL;
}

static const node *maker(const model *m, const char *name) {
    for (size_t i = 0; i < m->graph->n_node; i++) {
        if (strcmp(m->graph->node[i]->output[0], name) == 0) {
            return m->graph->node[i];
        }
    }
    return NULL;
}

static const char *note(const model *m, const char *key) {
    for (size_t i = 0; i < m->n_metadata_props; i++) {
        if (strcmp(m->metadata_props[i]->key, key) == 0) {
            return m->metadata_props[i]->value;
        }
    }
    return NULL;
}

/* ---- Whole files. */

static int64_t bits_of(int32_t type) {
    switch (type) {
    case CRUMB_ONNX_FLOAT:
    case CRUMB_ONNX_INT32:
        return 32;
    case CRUMB_ONNX_INT64:
        return 64;
    case CRUMB_ONNX_INT16:
        return 16;
    case CRUMB_ONNX_UINT4:
    case CRUMB_ONNX_INT4:
        return 4;
    case CRUMB_ONNX_UINT2:
    case CRUMB_ONNX_INT2:
        return 2;
    default:
        return 8;
    }
}

static void check_initializers(const model *m) {
    for (size_t i = 0; i < m->graph->n_initializer; i++) {
        const tensor *t = m->graph->initializer[i];
        int64_t count = 1;
        for (size_t d = 0; d < t->n_dims; d++) {
            count *= t->dims[d];
        }
        assert_int_equal(t->raw_data.len, (count * bits_of(t->data_type) + 7) / 8);
        assert_ptr_equal(initializer(m, t->name), t); /* no other has the name */
    }
}

/* Every tensor is made once, and before it is read. */
static void check_order(const model *m) {
    for (size_t i = 0; i < m->graph->n_node; i++) {
        const node *n = m->graph->node[i];
        assert_ptr_equal(maker(m, n->output[0]), n);
        assert_null(initializer(m, n->output[0]));
        for (size_t k = 0; k < n->n_input; k++) {
            bool found = strcmp(n->input[k], "image") == 0 || initializer(m, n->input[k]) != NULL;
            for (size_t j = 0; j < i && !found; j++) {
                found = strcmp(m->graph->node[j]->output[0], n->input[k]) == 0;
            }
            if (!found) {
                fail_msg("%s reads %s, which is not there", n->name, n->input[k]);
            }
        }
    }
    assert_non_null(maker(m, "logits"));
}

static void check_form(const model *m, const crumb_onnx_form *form) {
    assert_int_equal(m->ir_version, form->ir_version);
    assert_int_equal(m->opset_import[0]->version, form->opset);
    for (size_t i = 0; i < m->graph->n_node; i++) {
        const char *op = m->graph->node[i]->op_type;
        assert_true(form->integers || strstr(op, "QuantizeLinear") == NULL);
        assert_true(form->nbits || strcmp(op, "MatMulNBits") != 0);
        assert_true(form->functions || strcmp(op, "IntQuant") != 0);
    }
    assert_true(form->functions || m->n_functions == 0);
}

static void check_every_form(crumb_ctx *ctx, const crumb_packed *packed) {
    for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
        model *m = exported(ctx, packed, form);
        check_initializers(m);
        check_order(m);
        check_form(m, form);
        crumb_onnx_free(ctx, m);
    }
}

static void test_every_op(void **state) {
    (void)state;
    crumb_ctx *ctx = NULL;
    crumb_packed *packed;
    set_path();
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_int_equal(sample_every_op(ctx, 5, &packed), CRUMB_OK);
    check_every_form(ctx, packed);
    model *m = exported(ctx, packed, crumb_onnx_forms);
    assert_string_equal(note(m, "crumb.model"), "every op");
    assert_string_equal(note(m, "crumb.image"), "9x8x3");
    assert_string_equal(note(m, "crumb.deviation"), "1,1,0.25");
    assert_non_null(strstr(note(m, "crumb.class_names"), "鳥\n"));
    crumb_onnx_free(ctx, m);
    crumb_packed_close(packed);
    for (uint64_t seed = 0; seed < 40; seed++) {
        assert_int_equal(random_network(ctx, seed, 24, &packed), CRUMB_OK);
        check_every_form(ctx, packed);
        crumb_packed_close(packed);
    }
    crumb_ctx_destroy(ctx);
    remove_path();
}

/* ---- Weights. */

/* A convolution of 2 x 2 on 2 channels, 3 rows, the second with a multiplier below zero, the third with none. */
static crumb_status one_layer(crumb_ctx *ctx, crumb_packed_codes codes, const uint16_t *index, crumb_packed **packed) {
    static const float multiplier[] = {0.5f, -0.25f, 0}, bias[] = {1, 2, 3}, own[] = {0.125f};
    crumb_build b;
    crumb_build_begin(&b, ctx, 3, 3, 2);
    b.packed.classes = 12;
    crumb_packed_node conv = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", 0);
    conv.kernel_height = conv.kernel_width = 2;
    conv.stride = conv.dilation = conv.groups = 1;
    conv.weight = crumb_build_codes(&b, 3, 8, codes, index);
    conv.multiplier = crumb_build_floats(&b, 1, 3, multiplier);
    conv.bias = crumb_build_floats(&b, 1, 3, bias);
    conv.extra = crumb_build_floats(&b, 1, 1, own);
    crumb_packed_node flat = crumb_build_node_of(CRUMB_PACKED_FLATTEN, "flatten", crumb_build_append(&b, &conv, NULL));
    crumb_build_append(&b, &flat, NULL);
    return crumb_build_end(&b, packed);
}

static int32_t integer_at(const tensor *t, size_t at) {
    int64_t bits = bits_of(t->data_type);
    bool is_unsigned = t->data_type == CRUMB_ONNX_UINT2 || t->data_type == CRUMB_ONNX_UINT4 || t->data_type == CRUMB_ONNX_UINT8;
    size_t bit = at * (size_t)bits;
    int64_t value = 0;
    for (int64_t i = 0; i < bits; i++) {
        value |= (int64_t)(t->raw_data.data[(bit + (size_t)i) / 8] >> ((bit + (size_t)i) % 8) & 1) << i;
    }
    return (int32_t)(!is_unsigned && value >> (bits - 1) != 0 ? value - ((int64_t)1 << bits) : value);
}

static float float_at(const tensor *t, size_t at) {
    float value;
    memcpy(&value, t->raw_data.data + at * sizeof(value), sizeof(value));
    return value;
}

/* The weight as DequantizeLinear computes it; row by row, [C, KH, KW]. */
static float dequantized(const model *m, size_t at) {
    const node *n = maker(m, "conv/weight");
    const tensor *code = initializer(m, n->input[0]), *scale = initializer(m, n->input[1]);
    const tensor *zero = n->n_input > 2 ? initializer(m, n->input[2]) : NULL;
    assert_true(zero == NULL || zero->data_type == code->data_type);
    assert_true(float_at(scale, at / 8) > 0);
    return float_at(scale, at / 8) * (float)(integer_at(code, at) - (zero != NULL ? integer_at(zero, at / 8) : 0));
}

static void check_weights(crumb_packed_codes codes, const char *form_name, int opset, int32_t type) {
    crumb_ctx *ctx = NULL;
    crumb_packed *packed;
    const crumb_onnx_form *form;
    uint16_t index[24];
    for (int i = 0; i < 24; i++) {
        index[i] = (uint16_t)(i < 2 * codes.levels ? i % codes.levels : (i * 7) % codes.levels);
    }
    index[8] = 0;
    index[9] = (uint16_t)(codes.levels - 1);
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_int_equal(one_layer(ctx, codes, index, &packed), CRUMB_OK);
    assert_int_equal(crumb_onnx_form_find(ctx, form_name, opset, &form), CRUMB_OK);
    model *m = exported(ctx, packed, form);
    assert_int_equal(initializer(m, "conv/weight/code")->data_type, type);
    static const float multiplier[] = {0.5f, -0.25f, 0};
    for (int row = 0; row < 3; row++) {
        for (int pixel = 0; pixel < 4; pixel++) {
            for (int c = 0; c < 2; c++) {
                int32_t code = crumb_packed_code(&codes, index[row * 8 + pixel * 2 + c]);
                assert_true(dequantized(m, (size_t)(row * 8 + c * 4 + pixel)) == multiplier[row] * (float)code);
            }
        }
    }
    crumb_onnx_free(ctx, m);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

static void test_weights(void **state) {
    (void)state;
    const crumb_packed_codes two = {.levels = 4, .multiply = 1, .offset = -2}, odd = {.levels = 4, .multiply = 2, .offset = -3};
    const crumb_packed_codes three = {.levels = 3, .multiply = 1, .offset = -1},
                             one = {.levels = 2, .multiply = 2, .offset = -1};
    const crumb_packed_codes four = {.levels = 16, .multiply = 1, .offset = -8},
                             eight = {.levels = 256, .multiply = 1, .offset = -128};
    const crumb_packed_codes nine = {.levels = 511, .multiply = 1, .offset = -255};
    set_path();
    check_weights(two, "qcdq", 0, CRUMB_ONNX_INT8);
    check_weights(two, "qdq", 0, CRUMB_ONNX_INT4);
    check_weights(two, "qdq", 25, CRUMB_ONNX_UINT2); /* -2 .. 1 and, with the sign, -1 .. 2 */
    check_weights(three, "qdq", 25, CRUMB_ONNX_INT2);
    check_weights(one, "qdq", 25, CRUMB_ONNX_INT2);
    check_weights(odd, "qdq", 25, CRUMB_ONNX_INT4);
    check_weights(four, "qdq", 21, CRUMB_ONNX_UINT4);
    check_weights(four, "qcdq", 13, CRUMB_ONNX_INT8);
    check_weights(eight, "qcdq", 0, CRUMB_ONNX_INT32); /* 128 is no int8 */
    check_weights(eight, "qdq", 0, CRUMB_ONNX_INT16);
    check_weights(nine, "qcdq", 0, CRUMB_ONNX_INT32);
    check_weights(nine, "nbits", 0, CRUMB_ONNX_INT32);
    remove_path();
}

/* ---- Scales of groups: blocks of MatMulNBits, floats in the other forms. */

enum { GROUPS_IN = 40, GROUPS_OUT = 3 };

static crumb_status grouped_layer(crumb_ctx *ctx, crumb_packed_codes codes, const uint16_t *index, crumb_packed **packed) {
    static const float multiplier[] = {0.5f, -0.25f, 0}, bias[] = {1, 2, 3};
    static const float scale[] = {1, -2, 4, 0.5f, 0.25f, -8, 1, 2, 3};
    crumb_build b;
    crumb_build_begin(&b, ctx, 5, 4, 2);
    b.packed.classes = GROUPS_OUT;
    crumb_packed_node layer = crumb_build_node_of(CRUMB_PACKED_FLATTEN, "flatten", 0);
    int32_t x = crumb_build_append(&b, &layer, NULL);
    layer = crumb_build_node_of(CRUMB_PACKED_CONV2D, "fc", x);
    layer.kernel_height = layer.kernel_width = layer.stride = layer.dilation = layer.groups = 1;
    layer.weight = crumb_build_codes(&b, GROUPS_OUT, GROUPS_IN, codes, index);
    layer.multiplier = crumb_build_floats(&b, 1, GROUPS_OUT, multiplier);
    layer.bias = crumb_build_floats(&b, 1, GROUPS_OUT, bias);
    layer.extra = crumb_build_floats(&b, GROUPS_OUT, 3, scale);
    crumb_build_append(&b, &layer, NULL);
    return crumb_build_end(&b, packed);
}

static float grouped_weight(const crumb_packed *packed, const uint16_t *index, int32_t row, int32_t i) {
    const crumb_packed_node *layer = &packed->node[1];
    float scale =
        crumb_packed_floats(packed, layer->multiplier)[row] * crumb_packed_floats(packed, layer->extra)[row * 3 + i / 16];
    return scale * (float)crumb_packed_code(&packed->tensor[layer->weight].codes, index[row * GROUPS_IN + i]);
}

/* The weight as MatMulNBits computes it: scale * (index - zero point), block by block. */
static float block_weight(const model *m, int bits, int32_t row, int32_t i) {
    const tensor *index = initializer(m, "fc/weight/index"), *scale = initializer(m, "fc/weight/scale");
    const tensor *zero = initializer(m, "fc/weight/zero_point");
    const size_t row_bytes = (size_t)(48 * bits / 8), zero_bytes = (size_t)(3 * bits + 7) / 8, per = (size_t)(8 / bits);
    const int mask = (1 << bits) - 1;
    const uint8_t *at = index->raw_data.data + (size_t)row * row_bytes, *from = zero->raw_data.data + (size_t)row * zero_bytes;
    int value = at[(size_t)i / per] >> ((size_t)i % per * (size_t)bits) & mask;
    int origin = from[(size_t)i / 16 / per] >> ((size_t)i / 16 % per * (size_t)bits) & mask;
    return float_at(scale, (size_t)(row * 3 + i / 16)) * (float)(value - origin);
}

static void check_groups(crumb_packed_codes codes, int bits) {
    crumb_ctx *ctx = NULL;
    crumb_packed *packed;
    uint16_t index[GROUPS_OUT * GROUPS_IN];
    for (int i = 0; i < GROUPS_OUT * GROUPS_IN; i++) {
        index[i] = (uint16_t)(i * 7 % codes.levels);
    }
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_int_equal(grouped_layer(ctx, codes, index, &packed), CRUMB_OK);
    check_every_form(ctx, packed);
    for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
        model *m = exported(ctx, packed, form);
        bool blocks = form->nbits && bits > 0;
        for (int32_t i = 0; i < GROUPS_OUT * GROUPS_IN; i++) {
            float wanted = grouped_weight(packed, index, i / GROUPS_IN, i % GROUPS_IN);
            float got =
                blocks ? block_weight(m, bits, i / GROUPS_IN, i % GROUPS_IN) : float_at(initializer(m, "fc/weight"), (size_t)i);
            assert_true(got == wanted);
        }
        for (size_t i = 0; blocks && i < maker(m, "fc/product")->n_attribute; i++) {
            const CrumbOnnx__AttributeProto *attribute = maker(m, "fc/product")->attribute[i];
            assert_true(strcmp(attribute->name, "block_size") != 0 || attribute->i == 16);
        }
        crumb_onnx_free(ctx, m);
    }
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

static void test_groups(void **state) {
    (void)state;
    set_path();
    check_groups((crumb_packed_codes){.levels = 3, .multiply = 1, .offset = -1}, 2);
    check_groups((crumb_packed_codes){.levels = 4, .multiply = 1, .offset = -2}, 2);
    check_groups((crumb_packed_codes){.levels = 15, .multiply = 1, .offset = -7}, 4);
    check_groups((crumb_packed_codes){.levels = 255, .multiply = 1, .offset = -127}, 8);
    check_groups((crumb_packed_codes){.levels = 511, .multiply = 1, .offset = -255}, 0);
    remove_path();
}

/* ---- Failing. */

static void test_forms(void **state) {
    (void)state;
    crumb_ctx *ctx = NULL;
    crumb_packed *packed;
    set_path();
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_int_equal(sample_every_op(ctx, 5, &packed), CRUMB_OK);
    crumb_export_onnx_options options = {.form = "qonx"};
    assert_int_equal(crumb_packed_export_onnx(packed, path, &options), CRUMB_ERROR_ARGUMENT);
    assert_non_null(strstr(crumb_message(ctx), "did you mean \"qonnx\""));
    options = (crumb_export_onnx_options){.form = "qcdq", .opset = 21};
    assert_int_equal(crumb_packed_export_onnx(packed, path, &options), CRUMB_ERROR_ARGUMENT);
    assert_non_null(strstr(crumb_message(ctx), "opset 13, not 21"));
    assert_int_equal(crumb_packed_export_onnx(packed, "/nowhere/net.onnx", NULL), CRUMB_ERROR_IO);
    assert_int_equal(crumb_packed_export_onnx(packed, path, NULL), CRUMB_OK);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
    remove_path();
}

static crumb_status export_one(crumb_ctx *ctx, void *user) {
    crumb_packed *packed;
    CRUMB_TRY(sample_every_op(ctx, 5, &packed));
    crumb_status status = crumb_onnx_export(packed, user, path);
    crumb_packed_close(packed);
    return status;
}

static void test_allocations(void **state) {
    (void)state;
    set_path();
    for (const crumb_onnx_form *form = crumb_onnx_forms; form->name != NULL; form++) {
        crumb_onnx_form copy = *form;
        test_every_allocation(export_one, &copy);
    }
    remove_path();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op), cmocka_unit_test(test_weights),     cmocka_unit_test(test_groups),
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
