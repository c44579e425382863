/* The two files around the stages: what a program includes, and what it compiles. */
#include "codegen/emit.h"

#include <string.h>

/* Text inside a comment: nothing that ends it or that a compiler warns of. */
static void print_harmless(crumb_text *out, const char *text) {
    for (; *text != '\0'; text++) {
        bool good = *text >= ' ' && *text <= '~' && *text != '*' && *text != '\\' && *text != '?';
        crumb_text_print(out, "%c", good ? *text : '_');
    }
}

static void print_upper(crumb_text *out, const char *text) {
    for (; *text != '\0'; text++) {
        crumb_text_print(out, "%c", *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    }
}

/* "#define NET_<what> value" */
static void define(const crumb_emit *e, crumb_text *out, const char *what, int64_t value, const char *comment) {
    crumb_text_print(out, "#define ");
    print_upper(out, e->g->name);
    crumb_text_print(out, "_%s %lld%s\n", what, (long long)value, comment);
}

static int64_t memory_bytes(const crumb_emit *e) {
    return (int64_t)e->g->cells * 4;
}

static void print_title(const crumb_emit *e, crumb_text *out, const char *ending) {
    const crumb_packed *packed = e->g->packed;
    crumb_text_print(out, "/* %s.%s - ", e->g->name, ending);
    print_harmless(out, packed->model);
    crumb_text_print(out, " for %d x %d x %d images, %d classes; written by crumb " CRUMB_VERSION ".\n",
                     (int)packed->value[0].height, (int)packed->value[0].width, (int)packed->value[0].channels,
                     (int)packed->classes);
}

void crumb_emit_header(const crumb_emit *e, crumb_text *out) {
    const crumb_packed *packed = e->g->packed;
    const char *name = e->g->name;
    print_title(e, out, "h");
    crumb_text_print(out, " *\n * One image at a time: its memory is static, so calls must not overlap. Floats are IEEE 754, "
                          "and compilers must not\n"
                          " * rearrange them (no -ffast-math): then the logits are those of crumb, bit for bit. */\n"
                          "#ifndef ");
    print_upper(out, name);
    crumb_text_print(out, "_H\n#define ");
    print_upper(out, name);
    crumb_text_print(out, "_H\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    define(e, out, "HEIGHT", packed->value[0].height, "");
    define(e, out, "WIDTH", packed->value[0].width, "");
    define(e, out, "CHANNELS", packed->value[0].channels, "");
    define(e, out, "CLASSES", packed->classes, "");
    define(e, out, "CONSTANT_BYTES", e->constant_bytes, " /* weights, tables and thresholds, in flash */");
    define(e, out, "MEMORY_BYTES", memory_bytes(e), " /* activations, static */");
    if (e->g->reals) {
        crumb_text_print(out,
                         "\n/* image: rows of columns of channels, normalised: (pixel / 255 - mean) / deviation. */\n"
                         "void %s_run(const float *image, float *logits);\n",
                         name);
    } else {
        crumb_text_print(out,
                         "\n/* pixels: rows of columns of channels, as they come; they are normalised here. */\n"
                         "void %s_run(const uint8_t *pixels, float *logits);\n",
                         name);
    }
    if (packed->class_name != NULL) {
        crumb_text_print(out, "\nextern const char *const %s_class_name[%d];\n", name, (int)packed->classes);
    }
    crumb_text_print(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

/* ---- The file that is compiled. */

static void print_checks(crumb_text *out) {
    crumb_text_print(out, "#include <float.h>\n\n"
                          "#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16\n"
                          "#error \"floats are computed with more digits here: logits would differ\"\n"
                          "#endif\n"
                          "#if FLT_MANT_DIG != 24 || DBL_MANT_DIG != 53\n"
                          "#error \"floats are not of IEEE 754 here\"\n"
                          "#endif\n"
                          "#ifdef __FAST_MATH__\n"
                          "#error \"-ffast-math rearranges floats: logits would differ\"\n"
                          "#endif\n"
                          "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
                          "#error \"bytes lie in words the other way around here\"\n"
                          "#endif\n");
}

static void print_arena(const crumb_emit *e, crumb_text *out) {
    crumb_text_print(out, "\n/* Activations: a float, or four indices. */\n"
                          "typedef union cell {\n    float real;\n    uint32_t word;\n} cell;\n");
    if (e->g->cells > 0) {
        crumb_text_print(out, "static cell arena[%d];\n", (int)e->g->cells);
    }
    crumb_text_print(out, "\n/* Inner loops stay functions: inside others they lack registers. */\n"
                          "#ifdef __GNUC__\n#define APART __attribute__((noinline))\n#else\n#define APART\n#endif\n");
}

/* Functions of the pixel that a stage reads. */
static void print_tables(crumb_emit *e) {
    for (int32_t v = 0; v < e->g->packed->values; v++) {
        const crumb_codegen_value *value = &e->g->value[v];
        if (value->where != CRUMB_CODEGEN_TABLE || !value->read) {
            continue;
        }
        const char *name = v > 0 ? e->g->node[v - 1].name : "pixel";
        int64_t count = (int64_t)value->tables * CRUMB_CODEGEN_PIXELS;
        if (crumb_codegen_is_codes(value)) {
            crumb_emit_array_open(e, name, "table", 8, count);
            for (int64_t i = 0; i < count; i++) {
                crumb_emit_element(e, 8, value->table[i].index, i);
            }
            crumb_emit_array_close(e);
        } else {
            crumb_emit_reals(e, name, "table", &value->table[0].real, count);
        }
    }
}

static void print_string(crumb_text *out, const char *text) {
    crumb_text_print(out, "    \"");
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?') {
            crumb_text_print(out, "\\%03o", (unsigned)c);
        } else {
            crumb_text_print(out, "%c", *text);
        }
    }
    crumb_text_print(out, "\",\n");
}

/* Of constants alone, nothing depends on the image. */
static bool reads_image(const crumb_emit *e) {
    bool reads = false;
    for (int32_t v = 0; v < e->g->packed->values; v++) {
        const crumb_codegen_value *value = &e->g->value[v];
        reads = reads || (value->read && (value->where == CRUMB_CODEGEN_TABLE || value->where == CRUMB_CODEGEN_IMAGE));
    }
    return reads;
}

static void print_entries(crumb_emit *e, crumb_text *out) {
    const crumb_packed *packed = e->g->packed;
    const char *name = e->g->name;
    crumb_text_print(out, "\nvoid %s_run(const %s, float *logits) {\n", name, e->g->reals ? "float *image" : "uint8_t *pixels");
    if (!reads_image(e)) {
        crumb_text_print(out, "    (void)%s;\n", e->g->reals ? "image" : "pixels");
    }
    for (e->s = 0; e->s < e->g->stages; e->s++) {
        e->stage = &e->g->stage[e->s];
        crumb_text_print(out, "    run_%s(%s);\n", e->stage->name, crumb_emit_parameters(e, false).text);
    }
    crumb_text_print(out, "}\n");
    if (packed->class_name != NULL) {
        crumb_text_print(out, "\nconst char *const %s_class_name[%d] = {\n", name, (int)packed->classes);
        for (int32_t c = 0; c < packed->classes; c++) {
            print_string(out, packed->class_name[c]);
        }
        crumb_text_print(out, "};\n");
    }
}

static void put(crumb_text *out, const crumb_text *from) {
    crumb_text_bytes(out, from->at != NULL ? from->at : "", from->length);
}

void crumb_emit_source(crumb_emit *e, crumb_text *out) {
    print_tables(e);
    for (int32_t s = 0; s < e->g->stages; s++) {
        crumb_emit_stage(e, s);
    }
    print_title(e, out, "c");
    crumb_text_print(out, " * What it computes is exact: see %s.h. */\n#include \"%s.h\"\n\n", e->g->name, e->g->name);
    print_checks(out);
    print_arena(e, out);
    crumb_emit_helpers(e, out);
    put(out, &e->helpers);
    crumb_text_print(out, "\n");
    put(out, &e->data);
    put(out, &e->stages);
    print_entries(e, out);
}
