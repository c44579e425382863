/* Quantizers of activations, as each form has them. What they leave are floats, scale * code. */
#include "onnx/export_parts.h"

/* ---- Rounding: code = rint(clamp(v * inverse, lo, hi)). */

static void float_rounding(crumb_onnx_job *job, const crumb_packed_node *node, const char *x, float scale) {
    crumb_onnx_writer *w = &job->w;
    const char *scaled = crumb_onnx_part(job, "scaled"), *clipped = crumb_onnx_part(job, "clipped");
    const char *code = crumb_onnx_part(job, "code");
    CRUMB_ONNX_ADD(w, "Mul", scaled, x, crumb_onnx_scalar(w, crumb_onnx_part(job, "inverse"), node->inverse));
    CRUMB_ONNX_ADD(w, "Clip", clipped, scaled, crumb_onnx_scalar(w, crumb_onnx_part(job, "low"), node->lo),
                   crumb_onnx_scalar(w, crumb_onnx_part(job, "high"), node->hi));
    CRUMB_ONNX_ADD(w, "Round", code, clipped);
    CRUMB_ONNX_ADD(w, "Mul", job->prefix, code, crumb_onnx_scalar(w, crumb_onnx_part(job, "scale"), scale));
}

/* An 8-bit type and zero point that hold codes low .. high; false if none does. */
typedef struct eight_bits {
    int32_t type, zero_point, low, high; /* as stored */
    bool whole;                          /* the type has no other values */
} eight_bits;

/* From opset 21, where the type may be an attribute, ONNX Runtime 1.30 moves quantizers of int8 behind pools and then reads
 * them as uint8, which stops it; so there it is uint8. */
static bool find_eight_bits(const crumb_onnx_form *form, int32_t low, int32_t high, eight_bits *t) {
    if (low < 0 && low >= INT8_MIN && high <= INT8_MAX && form->opset < 21) {
        *t = (eight_bits){CRUMB_ONNX_INT8, 0, low, high, low == INT8_MIN && high == INT8_MAX};
        return true;
    }
    int32_t zero = low < 0 ? -low : 0;
    *t = (eight_bits){CRUMB_ONNX_UINT8, zero, low + zero, high + zero, low + zero == 0 && high + zero == UINT8_MAX};
    return t->high <= UINT8_MAX && zero <= UINT8_MAX;
}

/* QuantizeLinear (round(x / scale) + zero_point, saturated), Clip where the type has more values, DequantizeLinear. The two
 * scales differ only for codes that are made already. */
static void linear(crumb_onnx_job *job, const char *x, const eight_bits *t, float scale_in, float scale_out) {
    crumb_onnx_writer *w = &job->w;
    const char *quantized = crumb_onnx_part(job, "quantized"), *clipped = crumb_onnx_part(job, "clipped");
    const char *zero = crumb_onnx_byte(w, crumb_onnx_part(job, "zero_point"), t->type, t->zero_point);
    const char *out = crumb_onnx_scalar(w, crumb_onnx_part(job, "scale"), scale_out), *in = out;
    if (scale_in != scale_out) {
        in = crumb_onnx_scalar(w, crumb_onnx_part(job, "scale_in"), scale_in);
    }
    CRUMB_ONNX_ADD(w, "QuantizeLinear", quantized, x, in, zero);
    if (!t->whole) {
        CRUMB_ONNX_ADD(w, "Clip", clipped, quantized, crumb_onnx_byte(w, crumb_onnx_part(job, "low"), t->type, t->low),
                       crumb_onnx_byte(w, crumb_onnx_part(job, "high"), t->type, t->high));
    }
    CRUMB_ONNX_ADD(w, "DequantizeLinear", job->prefix, t->whole ? quantized : clipped, out, zero);
}

/* The smallest width that has the codes; a Clip where it has more. */
static void int_quant(crumb_onnx_job *job, const char *x, int32_t low, int32_t high, float scale) {
    crumb_onnx_writer *w = &job->w;
    const char *step = crumb_onnx_scalar(w, crumb_onnx_part(job, "scale"), scale);
    int bits = 1;
    if (low < 0 && -low - 1 <= high && high <= -low) { /* -4 .. 3, -3 .. 3; the second is narrow */
        while ((1 << (bits - 1)) - 1 < high) {
            bits++;
        }
        bool narrow = low == -high;
        if ((1 << (bits - 1)) - narrow == -low && (1 << (bits - 1)) - 1 == high && bits > 1) {
            crumb_onnx_int_quant(job, job->prefix, x, step, 0, bits, true, narrow);
            return;
        }
    }
    int32_t zero = -low; /* unsigned */
    for (bits = 1; (1 << bits) - 1 < high + zero; bits++) {
    }
    bool narrow = bits > 1 && high + zero == (1 << bits) - 2, whole = narrow || high + zero == (1 << bits) - 1;
    const char *wide = whole ? job->prefix : crumb_onnx_part(job, "wide");
    crumb_onnx_int_quant(job, wide, x, step, (float)zero, bits, false, narrow);
    if (!whole) {
        CRUMB_ONNX_ADD(w, "Clip", job->prefix, wide, crumb_onnx_scalar(w, crumb_onnx_part(job, "low"), scale * (float)low),
                       crumb_onnx_scalar(w, crumb_onnx_part(job, "high"), scale * (float)high));
    }
}

static void rounding(crumb_onnx_job *job, const crumb_packed_node *node, const char *x) {
    const crumb_packed_codes *codes = &job->packed->value[node->output].codes;
    int32_t low = codes->offset, high = codes->offset + codes->levels - 1;
    eight_bits t;
    if (!(codes->scale > 0.0f)) { /* one level, 0: no scale to divide by */
        float_rounding(job, node, x, codes->scale);
    } else if (job->form->integers && find_eight_bits(job->form, low, high, &t)) {
        linear(job, x, &t, codes->scale, codes->scale);
    } else if (job->form->functions) {
        int_quant(job, x, low, high, codes->scale);
    } else {
        float_rounding(job, node, x, codes->scale);
    }
}

/* ---- Thresholds: index = how many of them v has reached. */

/* The codes, as floats. Two levels are a choice; of more, what each threshold adds. */
static const char *passed(crumb_onnx_job *job, const crumb_packed_codes *codes, const float *threshold, const char *x) {
    crumb_onnx_writer *w = &job->w;
    float low = (float)crumb_packed_code(codes, 0);
    const char *sum = NULL;
    for (int32_t i = 0; i + 1 < codes->levels; i++) {
        const char *name = crumb_onnx_text(w, "%s/reached_%d", job->prefix, (int)i),
                   *step = crumb_onnx_text(w, "%s/step", name);
        const char *limit = crumb_onnx_scalar(w, crumb_onnx_text(w, "%s/limit", name), threshold[i]);
        const char *more =
            crumb_onnx_scalar(w, crumb_onnx_text(w, "%s/more", name), (float)codes->multiply + (i == 0 ? low : 0));
        const char *less = crumb_onnx_scalar(w, crumb_onnx_text(w, "%s/less", name), i == 0 ? low : 0);
        CRUMB_ONNX_ADD(w, "GreaterOrEqual", name, x, limit);
        CRUMB_ONNX_ADD(w, "Where", step, name, more, less);
        const char *together = crumb_onnx_text(w, "%s/sum", name);
        if (sum != NULL) {
            CRUMB_ONNX_ADD(w, "Add", together, sum, step);
        }
        sum = sum != NULL ? together : step;
    }
    return sum;
}

static void bipolar(crumb_onnx_job *job, float threshold, float scale, const char *x) {
    crumb_onnx_writer *w = &job->w;
    if (threshold != 0.0f) { /* x - t >= 0 just where x >= t: floats near each other have an exact difference */
        const char *moved = crumb_onnx_part(job, "moved");
        CRUMB_ONNX_ADD(w, "Sub", moved, x, crumb_onnx_scalar(w, crumb_onnx_part(job, "threshold"), threshold));
        x = moved;
    }
    crumb_onnx_bipolar_quant(job, job->prefix, x, crumb_onnx_scalar(w, crumb_onnx_part(job, "scale"), scale));
}

static void thresholds(crumb_onnx_job *job, const crumb_packed_node *node, const char *x) {
    const crumb_packed_codes *codes = &job->packed->value[node->output].codes;
    const float *threshold = crumb_packed_floats(job->packed, node->extra);
    int32_t low = crumb_packed_code(codes, 0), high = crumb_packed_code(codes, codes->levels - 1);
    if (job->form->functions && low == -1 && high == 1 && codes->levels == 2) {
        bipolar(job, threshold[0], codes->scale, x);
        return;
    }
    const char *code = passed(job, codes, threshold, x);
    eight_bits t;
    if (job->form->integers && codes->scale > 0.0f && find_eight_bits(job->form, low, high, &t)) {
        t.whole = true; /* nothing to clip */
        linear(job, code, &t, 1, codes->scale);
    } else {
        CRUMB_ONNX_ADD(&job->w, "Mul", job->prefix, code,
                       crumb_onnx_scalar(&job->w, crumb_onnx_part(job, "scale"), codes->scale));
    }
}

void crumb_onnx_quantize(crumb_onnx_job *job, const crumb_packed_node *node) {
    bool vector = crumb_onnx_is_vector(job, node->input[0]);
    const char *x = crumb_onnx_like(job, node->input[0], vector);
    if (node->thresholds_form) {
        thresholds(job, node, x);
    } else {
        rounding(job, node, x);
    }
    crumb_onnx_made(job, node->output, job->prefix, vector);
}
