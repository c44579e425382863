/* onnx_seeds FOLDER: writes the seeds of fuzz_onnx (fuzz/corpus/onnx): a classifier, a model of ops that rearrange, and weights
 * of few bits. */
#include "onnx/sample.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static void save(crumb_ctx *ctx, const char *folder, const char *name, const sample *s) {
    char path[4096];
    size_t size;
    uint8_t *bytes = sample_pack(&s->model, &size);
    snprintf(path, sizeof(path), "%s/%s.onnx", folder, name);
    if (crumb_file_write(ctx, path, bytes, size) != CRUMB_OK) {
        fprintf(stderr, "%s\n", crumb_message(ctx));
    }
    free(bytes);
}

/* An initializer of whole numbers, all equal but the first. */
static void whole_tensor(sample *s, char *name, int64_t count, int64_t first, int64_t all) {
    CrumbOnnx__TensorProto *t = sample_tensor(s, name, 1, count, 0, 0, 0);
    static int64_t pool[64];
    static int used;
    t->data_type = CRUMB_ONNX_INT64, t->n_float_data = 0;
    t->int64_data = &pool[used], t->n_int64_data = (size_t)count;
    for (int64_t i = 0; i < count; i++) {
        pool[used++] = i == 0 ? first : all;
    }
}

/* A row a node; sample_node cuts the texts up. */
static void rearranging(sample *s) {
    sample_begin(s, 4, 4, 4);
    sample_tensor(s, "w", 2, 32, 5, 0, 0);
    sample_tensor(s, "half", 1, 1, 0, 0, 0);
    whole_tensor(s, "starts", 2, 0, 1);
    whole_tensor(s, "ends", 2, 1, 3);
    whole_tensor(s, "pads", 8, 0, 1);
    whole_tensor(s, "shape", 2, 1, -1);
    static char slice[] = "b starts ends", sum[] = "x g", reshape[] = "h shape", product[] = "l w", scaled[] = "m half";
    sample_node(s, "LeakyRelu", (char[]){"x"}, "b");
    sample_node(s, "Slice", slice, "d");
    sample_node(s, "HardSwish", (char[]){"x"}, "e");
    sample_node(s, "Transpose", (char[]){"e"}, "f");
    sample_ints(s, "perm", 4, 0, 1);
    s->ints[3][0][2] = 3, s->ints[3][0][3] = 2;
    sample_node(s, "GlobalMaxPool", (char[]){"x"}, "g");
    sample_node(s, "Shape", (char[]){"x"}, "sh");
    sample_node(s, "AveragePool", (char[]){"f"}, "h");
    sample_ints(s, "kernel_shape", 2, 2, 2);
    sample_ints(s, "strides", 2, 1, 2);
    sample_node(s, "Sub", sum, "i");
    sample_node(s, "Softmax", (char[]){"i"}, "k");
    sample_ints(s, "axis", 0, 1, 1);
    sample_node(s, "Reshape", reshape, "l");
    sample_node(s, "MatMul", product, "m");
    sample_node(s, "Mul", scaled, "y");
    for (int i = 0; i < (int)s->graph.n_node; i++) { /* texts of one name are literals */
        static char single[SAMPLE_NODES][8];
        if (s->node[i].n_input == 1) {
            snprintf(single[i], sizeof(single[i]), "%s", s->inputs[i][0]);
            s->inputs[i][0] = single[i];
        }
    }
}

/* x -> flatten "f", and `op` for a weight "d" of `columns` inputs, or for "y" itself; of tensors w, s, z, b and the bytes B. */
static void few_bits(sample *s, int64_t columns, char *op, char *domain, char *inputs, char *output) {
    static int32_t bytes[48];
    static char flat[8];
    snprintf(flat, sizeof(flat), "x");
    sample_begin(s, 1, 1, columns);
    sample_tensor(s, "w", 2, 3, columns, 0, 0);
    float *scale = sample_tensor(s, "s", 2, 3, 1, 0, 0)->float_data;
    sample_tensor(s, "z", 1, 1, 0, 0, 0)->float_data[0] = 0;
    sample_tensor(s, "b", 1, 1, 0, 0, 0)->float_data[0] = 3;
    CrumbOnnx__TensorProto *codes = sample_tensor(s, "B", 2, 3, 16, 0, 0);
    codes->data_type = CRUMB_ONNX_UINT8, codes->n_float_data = 0, codes->int32_data = bytes, codes->n_int32_data = 48;
    for (int i = 0; i < 48; i++) {
        bytes[i] = i * 37 % 256;
        scale[i % 3] = 0.25f * (float)(i % 3 + 1);
    }
    sample_node(s, "Flatten", flat, "f");
    sample_node(s, op, inputs, output)->domain = domain;
}

static void product(sample *s) {
    static char inputs[8];
    snprintf(inputs, sizeof(inputs), "f d");
    sample_node(s, "Gemm", inputs, "y");
    sample_ints(s, "transB", 0, 1, 1);
}

static void save_few_bits(crumb_ctx *ctx, const char *folder, sample *s) {
    static char int_quant[] = "w s z b", bipolar[] = "w s", blocks[] = "B s", nbits[] = "f B s";
    few_bits(s, 32, "IntQuant", "qonnx.custom_op.general", int_quant, "d");
    product(s);
    save(ctx, folder, "int_quant", s);
    few_bits(s, 32, "BipolarQuant", "qonnx.custom_op.general", bipolar, "d");
    product(s);
    save(ctx, folder, "bipolar_quant", s);
    few_bits(s, 16, "DequantizeLinear", "", blocks, "d");
    sample_ints(s, "axis", 0, 1, 1);
    sample_ints(s, "block_size", 0, 16, 16);
    product(s);
    save(ctx, folder, "blocks", s);
    few_bits(s, 32, "MatMulNBits", "com.microsoft", nbits, "y");
    sample_ints(s, "K", 0, 32, 0);
    sample_ints(s, "N", 0, 3, 0);
    sample_ints(s, "bits", 0, 4, 0);
    sample_ints(s, "block_size", 0, 32, 0);
    save(ctx, folder, "nbits", s);
}

int main(int argc, char **argv) {
    crumb_ctx *ctx;
    static sample s;
    sample_names names;
    if (argc != 2 || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 2;
    }
    sample_classifier(&s, &names, 2, 3);
    save(ctx, argv[1], "classifier", &s);
    s.inputs[2][0] = "y";
    save(ctx, argv[1], "cycle", &s);
    rearranging(&s);
    save(ctx, argv[1], "rearranging", &s);
    s.out.name = "k";
    save(ctx, argv[1], "softmax", &s);
    s.out.name = "sh";
    save(ctx, argv[1], "shape", &s);
    s.out.name = "d";
    save(ctx, argv[1], "slice", &s);
    save_few_bits(ctx, argv[1], &s);
    crumb_ctx_destroy(ctx);
    return 0;
}
