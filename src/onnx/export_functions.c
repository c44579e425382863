/* QONNX (Pappalardo et al., arXiv 2206.07527): quantizers of any width as one op each. Its ops are in no runtime but its own;
 * the bodies written here, in ONNX's ops, make the file run anywhere:
 *
 *     IntQuant      P = 2^(bits - signed),  high = P - 1 - (1 - signed) narrow,  low = signed (narrow - P)
 *                   y = scale * (clip(round(x / scale + zero_point), low, high) - zero_point)
 *     BipolarQuant  y = scale * (x >= 0 ? 1 : -1)
 *
 * The one rounding mode that is used is ROUND, ties to even. */
#include "onnx/export_parts.h"

void crumb_onnx_int_quant(crumb_onnx_job *job, const char *output, const char *x, const char *scale, float zero_point, int bits,
                          bool is_signed, bool narrow) {
    crumb_onnx_writer *w = &job->w;
    crumb_onnx_node *node = CRUMB_ONNX_ADD(w, "IntQuant", output, x, scale,
                                           crumb_onnx_scalar(w, crumb_onnx_text(w, "%s/zero_point", output), zero_point),
                                           crumb_onnx_scalar(w, crumb_onnx_text(w, "%s/bits", output), (float)bits));
    crumb_onnx_domain(node, CRUMB_QONNX_DOMAIN);
    crumb_onnx_int(w, node, "signed", is_signed);
    crumb_onnx_int(w, node, "narrow", narrow);
    crumb_onnx_word(w, node, "rounding_mode", "ROUND");
    job->int_quant = true;
}

void crumb_onnx_bipolar_quant(crumb_onnx_job *job, const char *output, const char *x, const char *scale) {
    crumb_onnx_domain(CRUMB_ONNX_ADD(&job->w, "BipolarQuant", output, x, scale), CRUMB_QONNX_DOMAIN);
    job->bipolar_quant = true;
}

static const char *constant(crumb_onnx_writer *w, const char *name, float value) {
    crumb_onnx_real(w, crumb_onnx_add(w, "Constant", name, 0, NULL), "value_float", value);
    return name;
}

/* An integer attribute of the function as a float. */
static const char *attribute(crumb_onnx_writer *w, const char *name, const char *of) {
    const char *integer = crumb_onnx_text(w, "%s_integer", name);
    crumb_onnx_int_of(w, crumb_onnx_add(w, "Constant", integer, 0, NULL), "value_int", of);
    crumb_onnx_int(w, CRUMB_ONNX_ADD(w, "Cast", name, integer), "to", CRUMB_ONNX_FLOAT);
    return name;
}

static const char *of_two(crumb_onnx_writer *w, const char *op, const char *name, const char *a, const char *b) {
    CRUMB_ONNX_ADD(w, op, name, a, b);
    return name;
}

static void int_quant_body(crumb_onnx_writer *w) {
    const char *one = constant(w, "one", 1), *two = constant(w, "two", 2);
    const char *is_signed = attribute(w, "is_signed", "signed"), *narrow = attribute(w, "is_narrow", "narrow");
    const char *power = of_two(w, "Pow", "power", two, of_two(w, "Sub", "exponent", "bits", is_signed));
    const char *lost = of_two(w, "Mul", "lost", of_two(w, "Sub", "is_unsigned", one, is_signed), narrow);
    const char *high = of_two(w, "Sub", "high", of_two(w, "Sub", "most", power, one), lost);
    const char *low = of_two(w, "Mul", "low", is_signed, of_two(w, "Sub", "least", narrow, power));
    const char *moved = of_two(w, "Add", "moved", of_two(w, "Div", "scaled", "x", "scale"), "zero_point");
    CRUMB_ONNX_ADD(w, "Round", "rounded", moved);
    const char *clipped = of_two(w, "Min", "code", of_two(w, "Max", "raised", "rounded", low), high);
    of_two(w, "Mul", "y", of_two(w, "Sub", "integer", clipped, "zero_point"), "scale");
}

static void bipolar_quant_body(crumb_onnx_writer *w) {
    const char *zero = constant(w, "zero", 0), *plus = constant(w, "plus", 1), *minus = constant(w, "minus", -1);
    CRUMB_ONNX_ADD(w, "Where", "sign", of_two(w, "GreaterOrEqual", "positive", "x", zero), plus, minus);
    of_two(w, "Mul", "y", "sign", "scale");
}

void crumb_onnx_functions(crumb_onnx_job *job) {
    crumb_onnx_writer *w = &job->w;
    if (job->int_quant || job->bipolar_quant) {
        crumb_onnx_import(w, CRUMB_QONNX_DOMAIN, 1);
    }
    if (job->int_quant) {
        crumb_onnx_function_open(w, CRUMB_QONNX_DOMAIN, "IntQuant", 4, (const char *[]){"x", "scale", "zero_point", "bits"},
                                 "y", 3, (const char *[]){"signed", "narrow", "rounding_mode"});
        int_quant_body(w);
        crumb_onnx_function_close(w);
    }
    if (job->bipolar_quant) {
        crumb_onnx_function_open(w, CRUMB_QONNX_DOMAIN, "BipolarQuant", 2, (const char *[]){"x", "scale"}, "y", 0, NULL);
        bipolar_quant_body(w);
        crumb_onnx_function_close(w);
    }
}
