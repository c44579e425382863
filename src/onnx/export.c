/* The walk: nodes of a packed network as nodes of ONNX. Values keep ONNX's layout, NCHW; axes of packed networks are told
 * accordingly. */
#include "onnx/export_parts.h"

#include "base/file.h"
#include "crumb/train.h"

#include <stdio.h>
#include <string.h>

/* ---- Forms. */

const crumb_onnx_form crumb_onnx_forms[] = {
    {.name = "float",
     .doc = "float weights that take the quantized values; rounding by float ops",
     .opset = 13,
     .ir_version = 7},
    {.name = "nbits",
     .doc = "qcdq, and linear layers as MatMulNBits of 2, 4 or 8 bits (ONNX Runtime)",
     .opset = 13,
     .ir_version = 7,
     .integers = true,
     .nbits = true},
    {.name = "qcdq",
     .doc = "QuantizeLinear, Clip, DequantizeLinear in 8 bits: every runtime",
     .opset = 13,
     .ir_version = 7,
     .integers = true},
    {.name = "qdq",
     .doc = "as qcdq, weights packed: opset 21 to 4 bits, 25 to 2 bits",
     .opset = 21,
     .ir_version = 10,
     .integers = true},
    {.name = "qdq", .doc = "weights packed to 2 bits", .opset = 25, .ir_version = 13, .integers = true},
    {.name = "qonnx",
     .doc = "IntQuant and BipolarQuant (QONNX), with bodies for runtimes without them",
     .opset = 13,
     .ir_version = 8,
     .functions = true},
    {0},
};

crumb_status crumb_onnx_form_find(crumb_ctx *ctx, const char *name, int opset, const crumb_onnx_form **form) {
    const char *names[16];
    size_t count = 0;
    char known[64] = ""; /* opsets of the form */
    for (const crumb_onnx_form *at = crumb_onnx_forms; at->name != NULL; at++) {
        if (strcmp(at->name, name) == 0 && (opset == 0 || opset == at->opset)) {
            *form = at;
            return CRUMB_OK;
        }
        if (strcmp(at->name, name) == 0) {
            size_t used = strlen(known);
            snprintf(known + used, sizeof(known) - used, "%s%d", used > 0 ? " or " : "", at->opset);
        }
        names[count++] = at->name;
    }
    if (known[0] != '\0') {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "ONNX form %s is written with opset %s, not %d", name, known, opset);
    }
    const char *near = crumb_nearest(name, names, count);
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "there is no ONNX form \"%.40s\"%s%s%s", name,
                      near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
}

/* ---- Names and shapes. */

const char *crumb_onnx_part(crumb_onnx_job *job, const char *part) {
    return crumb_onnx_text(&job->w, "%s/%s", job->prefix, part);
}

bool crumb_onnx_is_vector(const crumb_onnx_job *job, int32_t value) {
    return job->value[value].map == NULL;
}

const char *crumb_onnx_map(crumb_onnx_job *job, int32_t value) {
    static const int64_t shape[] = {0, -1, 1, 1};
    crumb_onnx_value *at = &job->value[value];
    if (at->map == NULL && at->vector != NULL) {
        at->map = crumb_onnx_text(&job->w, "%s/map", at->vector);
        const char *to = crumb_onnx_int64s(&job->w, crumb_onnx_text(&job->w, "%s/shape", at->map), 4, shape);
        CRUMB_ONNX_ADD(&job->w, "Reshape", at->map, at->vector, to);
    }
    return at->map;
}

const char *crumb_onnx_vector(crumb_onnx_job *job, int32_t value) {
    crumb_onnx_value *at = &job->value[value];
    if (at->vector == NULL && at->map != NULL) {
        at->vector = crumb_onnx_text(&job->w, "%s/vector", at->map);
        crumb_onnx_int(&job->w, CRUMB_ONNX_ADD(&job->w, "Flatten", at->vector, at->map), "axis", 1);
    }
    return at->vector;
}

const char *crumb_onnx_like(crumb_onnx_job *job, int32_t value, bool vector) {
    return vector ? crumb_onnx_vector(job, value) : crumb_onnx_map(job, value);
}

void crumb_onnx_made(crumb_onnx_job *job, int32_t value, const char *name, bool vector) {
    job->value[value] = vector ? (crumb_onnx_value){.vector = name} : (crumb_onnx_value){.map = name};
}

const char *crumb_onnx_channels(crumb_onnx_job *job, const char *part, const float *of, int32_t channels, bool vector) {
    return crumb_onnx_floats(&job->w, crumb_onnx_part(job, part), vector ? 1 : 3, (const int64_t[]){channels, 1, 1}, of);
}

/* "name", or "name_17" where a node before has the name too. */
static const char *unique_name(crumb_onnx_job *job, int32_t index) {
    const char *name = job->packed->node[index].name;
    for (int32_t i = 0; i < index; i++) {
        if (strcmp(job->packed->node[i].name, name) == 0) {
            return crumb_onnx_text(&job->w, "%s_%d", name, (int)index);
        }
    }
    return name[0] != '\0' ? name : crumb_onnx_text(&job->w, "node_%d", (int)index);
}

/* ---- Element by element. */

static void emit_affine(crumb_onnx_job *job, const crumb_packed_node *node) {
    const crumb_packed *packed = job->packed;
    bool vector = crumb_onnx_is_vector(job, node->input[0]);
    int32_t channels = packed->value[node->output].channels;
    const char *product = crumb_onnx_part(job, "product");
    CRUMB_ONNX_ADD(&job->w, "Mul", product, crumb_onnx_like(job, node->input[0], vector),
                   crumb_onnx_channels(job, "multiplier", crumb_packed_floats(packed, node->multiplier), channels, vector));
    CRUMB_ONNX_ADD(&job->w, "Add", job->prefix, product,
                   crumb_onnx_channels(job, "bias", crumb_packed_floats(packed, node->bias), channels, vector));
    crumb_onnx_made(job, node->output, job->prefix, vector);
}

static crumb_onnx_node *emit_elements(crumb_onnx_job *job, const crumb_packed_node *node, const char *op) {
    bool vector = crumb_onnx_is_vector(job, node->input[0]);
    const char *read[2] = {NULL, NULL};
    for (int32_t k = 0; k < node->inputs && k < 2; k++) {
        read[k] = crumb_onnx_like(job, node->input[k], vector);
    }
    crumb_onnx_node *made = crumb_onnx_add(&job->w, op, job->prefix, node->inputs, read);
    crumb_onnx_made(job, node->output, job->prefix, vector);
    return made;
}

/* ONNX defines it for maps; alpha there is divided by the size, too. */
static void emit_lrn(crumb_onnx_job *job, const crumb_packed_node *node) {
    crumb_onnx_node *made = CRUMB_ONNX_ADD(&job->w, "LRN", job->prefix, crumb_onnx_map(job, node->input[0]));
    crumb_onnx_int(&job->w, made, "size", node->kernel_height);
    crumb_onnx_real(&job->w, made, "alpha", node->inverse);
    crumb_onnx_real(&job->w, made, "beta", node->lo);
    crumb_onnx_real(&job->w, made, "bias", node->hi);
    crumb_onnx_made(job, node->output, job->prefix, false);
}

static void emit_prelu(crumb_onnx_job *job, const crumb_packed_node *node) {
    bool vector = crumb_onnx_is_vector(job, node->input[0]);
    int32_t channels = job->packed->value[node->output].channels;
    CRUMB_ONNX_ADD(&job->w, "PRelu", job->prefix, crumb_onnx_like(job, node->input[0], vector),
                   crumb_onnx_channels(job, "slope", crumb_packed_floats(job->packed, node->extra), channels, vector));
    crumb_onnx_made(job, node->output, job->prefix, vector);
}

static void emit_clip(crumb_onnx_job *job, const crumb_packed_node *node) {
    bool vector = crumb_onnx_is_vector(job, node->input[0]);
    CRUMB_ONNX_ADD(&job->w, "Clip", job->prefix, crumb_onnx_like(job, node->input[0], vector),
                   crumb_onnx_scalar(&job->w, crumb_onnx_part(job, "low"), node->lo),
                   crumb_onnx_scalar(&job->w, crumb_onnx_part(job, "high"), node->hi));
    crumb_onnx_made(job, node->output, job->prefix, vector);
}

/* Codes are there as floats already. */
static void emit_same(crumb_onnx_job *job, const crumb_packed_node *node) {
    job->value[node->output] = job->value[node->input[0]];
}

/* ---- Windows. */

/* How far the last window reaches out of the padded image: padding behind, so that no rounding of sizes is left to the runtime.
 * A window begins inside the image, so it is less than the kernel. */
static int64_t reach(int32_t size, int32_t windows, int32_t kernel, int32_t stride, int32_t padding) {
    int64_t end = (int64_t)(windows - 1) * stride + kernel - size - 2 * padding;
    return end > 0 ? end : 0;
}

static void emit_pool(crumb_onnx_job *job, const crumb_packed_node *node, const char *op) {
    const crumb_packed_value *x = &job->packed->value[node->input[0]], *y = &job->packed->value[node->output];
    int64_t p = node->padding;
    int32_t across = crumb_packed_stride_width(node);
    crumb_onnx_node *made = CRUMB_ONNX_ADD(&job->w, op, job->prefix, crumb_onnx_map(job, node->input[0]));
    crumb_onnx_ints(&job->w, made, "kernel_shape", 2, (const int64_t[]){node->kernel_height, node->kernel_width});
    crumb_onnx_ints(&job->w, made, "strides", 2, (const int64_t[]){node->stride, across});
    crumb_onnx_ints(&job->w, made, "pads", 4,
                    (const int64_t[]){p, p, p + reach(x->height, y->height, node->kernel_height, node->stride, node->padding),
                                      p + reach(x->width, y->width, node->kernel_width, across, node->padding)});
    if (node->op == CRUMB_PACKED_AVERAGE_POOL) {
        crumb_onnx_int(&job->w, made, "count_include_pad", !node->count_inside);
    }
    crumb_onnx_made(job, node->output, job->prefix, false);
}

static void emit_global_pool(crumb_onnx_job *job, const crumb_packed_node *node) {
    CRUMB_ONNX_ADD(&job->w, "GlobalAveragePool", job->prefix, crumb_onnx_map(job, node->input[0]));
    crumb_onnx_made(job, node->output, job->prefix, false);
}

/* ---- All. */

/* The same elements under another name in ONNX; axis: of the channels, where the op has one. */
static const struct {
    crumb_packed_op op;
    const char *name;
    bool axis;
} same[] = {
    {CRUMB_PACKED_ADD, "Add", false},         {CRUMB_PACKED_MUL, "Mul", false},
    {CRUMB_PACKED_DIV, "Div", false},         {CRUMB_PACKED_RELU, "Relu", false},
    {CRUMB_PACKED_SIGMOID, "Sigmoid", false}, {CRUMB_PACKED_TANH, "Tanh", false},
    {CRUMB_PACKED_SOFTMAX, "Softmax", true},  {CRUMB_PACKED_LOG_SOFTMAX, "LogSoftmax", true},
};

static void emit_max_pool(crumb_onnx_job *job, const crumb_packed_node *node) {
    emit_pool(job, node, "MaxPool");
}

static void emit_average_pool(crumb_onnx_job *job, const crumb_packed_node *node) {
    emit_pool(job, node, "AveragePool");
}

static crumb_status emit(crumb_onnx_job *job, const crumb_packed_node *node) {
    static void (*const table[CRUMB_PACKED_OPS])(crumb_onnx_job * job, const crumb_packed_node *node) = {
        [CRUMB_PACKED_QUANTIZE] = crumb_onnx_quantize,
        [CRUMB_PACKED_DEQUANTIZE] = emit_same,
        [CRUMB_PACKED_AFFINE] = emit_affine,
        [CRUMB_PACKED_PRELU] = emit_prelu,
        [CRUMB_PACKED_CLIP] = emit_clip,
        [CRUMB_PACKED_MAX_POOL] = emit_max_pool,
        [CRUMB_PACKED_AVERAGE_POOL] = emit_average_pool,
        [CRUMB_PACKED_GLOBAL_AVERAGE_POOL] = emit_global_pool,
        [CRUMB_PACKED_CONCAT] = crumb_onnx_concat,
        [CRUMB_PACKED_PAD] = crumb_onnx_pad,
        [CRUMB_PACKED_SUBSAMPLE] = crumb_onnx_subsample,
        [CRUMB_PACKED_FLATTEN] = crumb_onnx_flatten,
        [CRUMB_PACKED_GATHER] = crumb_onnx_gather,
        [CRUMB_PACKED_CONSTANT] = crumb_onnx_constant,
        [CRUMB_PACKED_LRN] = emit_lrn,
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (same[i].op == node->op) {
            crumb_onnx_node *made = emit_elements(job, node, same[i].name);
            if (same[i].axis) {
                crumb_onnx_int(&job->w, made, "axis", 1);
            }
            return job->w.status;
        }
    }
    if (node->op == CRUMB_PACKED_CONV2D) {
        CRUMB_TRY(crumb_onnx_layer(job, node));
    } else if (table[node->op] != NULL) {
        table[node->op](job, node);
    } else {
        return crumb_fail(job->ctx, CRUMB_ERROR_UNSUPPORTED, "%s, op %s, has no form in ONNX", node->name,
                          crumb_packed_op_name(node->op));
    }
    return job->w.status;
}

/* ---- What a program needs to know besides. */

static const char *numbers(crumb_onnx_job *job, const float *value) {
    const char *text = "";
    for (int32_t c = 0; c < job->packed->value[0].channels; c++) {
        text = crumb_onnx_text(&job->w, "%s%s%.9g", text, c == 0 ? "" : ",", (double)value[c]);
    }
    return text;
}

static void note_facts(crumb_onnx_job *job) {
    const crumb_packed *packed = job->packed;
    const crumb_packed_value *image = &packed->value[0];
    crumb_onnx_writer *w = &job->w;
    crumb_onnx_note(w, "crumb.model", packed->model);
    crumb_onnx_note(w, "crumb.form", job->form->name);
    crumb_onnx_note(w, "crumb.image",
                    crumb_onnx_text(w, "%dx%dx%d", (int)image->height, (int)image->width, (int)image->channels));
    crumb_onnx_note(w, "crumb.pixels", "(pixel / 255 - mean) / deviation, NCHW, RGB");
    crumb_onnx_note(w, "crumb.mean", numbers(job, packed->mean));
    crumb_onnx_note(w, "crumb.deviation", numbers(job, packed->deviation));
    const char *names = NULL;
    for (int32_t i = 0; packed->class_name != NULL && i < packed->classes; i++) {
        names = i == 0 ? packed->class_name[0] : crumb_onnx_text(w, "%s\n%s", names, packed->class_name[i]);
    }
    if (names != NULL) {
        crumb_onnx_note(w, "crumb.class_names", names);
    }
}

/* The values that the logits depend on. */
static void mark_needed(const crumb_packed *packed, bool *needed) {
    needed[packed->logits] = true;
    for (int32_t i = packed->nodes - 1; i >= 0; i--) {
        const crumb_packed_node *node = &packed->node[i];
        for (int32_t k = 0; needed[node->output] && k < node->inputs; k++) {
            needed[node->input[k]] = true;
        }
    }
}

static crumb_status emit_needed(crumb_onnx_job *job) {
    const crumb_packed *packed = job->packed;
    bool *needed = crumb_onnx_room(&job->w, (size_t)packed->values, sizeof(*needed));
    CRUMB_TRY(job->w.status);
    mark_needed(packed, needed);
    for (int32_t i = 0; i < packed->nodes; i++) {
        if (needed[packed->node[i].output]) {
            job->prefix = unique_name(job, i);
            CRUMB_TRY(emit(job, &packed->node[i]));
        }
    }
    return CRUMB_OK;
}

static crumb_status build(crumb_onnx_job *job) {
    const crumb_packed *packed = job->packed;
    const crumb_packed_value *image = &packed->value[0];
    note_facts(job);
    crumb_onnx_input(&job->w, "image", 4, (const int64_t[]){0, image->channels, image->height, image->width});
    crumb_onnx_made(job, 0, "image", false);
    CRUMB_TRY(emit_needed(job));
    /* Whatever made the last value, it is called logits. */
    const char *last = crumb_onnx_vector(job, packed->logits);
    crumb_onnx_rename(&job->w, last, "logits");
    crumb_onnx_output(&job->w, "logits", 2, (const int64_t[]){0, crumb_packed_elements(&packed->value[packed->logits])});
    crumb_onnx_functions(job);
    return job->w.status;
}

crumb_status crumb_onnx_print(const crumb_packed *packed, const crumb_onnx_form *form, const char *name, uint8_t **bytes,
                              size_t *size) {
    crumb_onnx_job job = {.ctx = packed->ctx, .packed = packed, .form = form};
    crumb_onnx_begin(&job.w, packed->ctx, form->ir_version, form->opset);
    job.value = crumb_onnx_room(&job.w, (size_t)packed->values, sizeof(*job.value));
    crumb_status status = job.value != NULL ? build(&job) : job.w.status;
    if (status == CRUMB_OK) {
        status = crumb_onnx_bytes(&job.w, name, bytes, size);
    }
    crumb_onnx_drop(&job.w);
    return status;
}

crumb_status crumb_onnx_export(const crumb_packed *packed, const crumb_onnx_form *form, const char *path) {
    uint8_t *bytes;
    size_t size;
    CRUMB_TRY(crumb_onnx_print(packed, form, path, &bytes, &size));
    crumb_status status = crumb_file_write(packed->ctx, path, bytes, size);
    crumb_free(packed->ctx, bytes);
    return status;
}

crumb_status crumb_packed_export_onnx(const crumb_packed *packed, const char *path, const crumb_export_onnx_options *options) {
    const crumb_onnx_form *form;
    const char *name = options != NULL && options->form != NULL ? options->form : "qcdq";
    CRUMB_TRY(crumb_onnx_form_find(packed->ctx, name, options != NULL ? options->opset : 0, &form));
    return crumb_onnx_export(packed, form, path);
}
