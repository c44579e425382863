/* QONNX (Pappalardo et al., arXiv 2206.07527), as Brevitas and FINN write it: quantizers of any width as one op each.
 *
 *     IntQuant      P = 2^(bits - signed),  high = P - 1 - (1 - signed) narrow,  low = signed (narrow - P)
 *     (or Quant)    y = scale * (clip(round(x / scale + zero_point), low, high) - zero_point),  ties to even
 *     BipolarQuant  y = scale * (x >= 0 ? 1 : -1)
 *
 * Unsigned codes with a zero point in their middle, (2^bits - 1) / 2, are the odd multiples of half a scale. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

typedef struct int_quant {
    crumb_import_steps steps;
    const float *scale, *zero;
    int64_t count, zeros; /* one zero point, or as many as scales */
    double bits, low, high;
} int_quant;

/* Of the shape of x but for dimensions of 1, of which at most one is not 1 in the scale. */
static crumb_status read_steps(const crumb_import_node *n, const crumb_import_value *scale, crumb_import_steps *steps) {
    crumb_shape x = n->x[0]->shape, s = scale->shape;
    *steps = (crumb_import_steps){.shape = x, .axis = -1};
    for (int i = 0; i < s.rank; i++) {
        int axis = x.rank - s.rank + i;
        if (s.dim[i] == 1) {
            continue;
        }
        if (axis < 0 || steps->axis >= 0 || s.dim[i] != x.dim[axis]) {
            char text[CRUMB_SHAPE_TEXT], text_x[CRUMB_SHAPE_TEXT];
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                     "scales %s for values %s; supported are a scale for the tensor or one along an axis",
                                     crumb_shape_print(s, text), crumb_shape_print(x, text_x));
        }
        steps->axis = axis;
    }
    return CRUMB_OK;
}

static crumb_status read_limits(const crumb_import_node *n, int_quant *q) {
    const float *bits;
    int64_t is_signed, narrow;
    char mode[64];
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 3 ? n->x[3] : NULL, "bitwidth", &bits));
    CRUMB_TRY(crumb_import_int(n, "signed", 1, &is_signed));
    CRUMB_TRY(crumb_import_int(n, "narrow", 0, &narrow));
    CRUMB_TRY(crumb_import_word(n, "rounding_mode", "ROUND", mode));
    if (strcasecmp(mode, "ROUND") != 0 && strcasecmp(mode, "HALF_EVEN") != 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "rounding_mode %s; supported is ROUND, ties to even", mode);
    }
    q->bits = (double)bits[0];
    if (crumb_shape_count(n->x[3]->shape) != 1 || q->bits != rint(q->bits) || !(q->bits >= 1) || !(q->bits <= 32) ||
        is_signed < 0 || is_signed > 1 || narrow < 0 || narrow > 1) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "%g bits (one of %" PRId64 "), signed %" PRId64 ", narrow %" PRId64
                                 "; supported are 1 to 32, and 0 or 1",
                                 q->bits, crumb_shape_count(n->x[3]->shape), is_signed, narrow);
    }
    double power = ldexp(1, (int)q->bits - (int)is_signed);
    q->high = power - 1 - (double)((1 - is_signed) * narrow);
    q->low = (double)is_signed * ((double)narrow - power);
    return CRUMB_OK;
}

static crumb_status read_int_quant(const crumb_import_node *n, int_quant *q) {
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 1 ? n->x[1] : NULL, "scale", &q->scale));
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 2 ? n->x[2] : NULL, "zeropt", &q->zero));
    CRUMB_TRY(read_steps(n, n->x[1], &q->steps));
    CRUMB_TRY(read_limits(n, q));
    q->count = crumb_shape_count(n->x[1]->shape);
    q->zeros = crumb_shape_count(n->x[2]->shape);
    CRUMB_TRY(crumb_import_check_steps(n, q->scale, q->count));
    for (int64_t i = 0; i < q->zeros; i++) {
        if (!(fabsf(q->zero[i]) <= 0x1p31f)) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "zeropt %g", (double)q->zero[i]);
        }
    }
    return q->zeros == 1 || q->zeros == q->count
               ? CRUMB_OK
               : crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%" PRId64 " zero points for %" PRId64 " scales", q->zeros, q->count);
}

/* What twice the zero point is modulo 2, for all of them: 0 whole numbers, 1 halves, -1 neither. */
static int parity(const int_quant *q) {
    int all = (int)fmod(2.0 * fabs((double)q->zero[0]), 2);
    for (int64_t i = 0; i < q->zeros; i++) {
        double twice = 2.0 * fabs((double)q->zero[i]);
        all = twice == rint(twice) && (int)fmod(twice, 2) == all ? all : -1;
    }
    return all;
}

/* Codes of halves count twice, their steps half: the same products. */
static crumb_status constant(const crumb_import_node *n, const int_quant *q) {
    crumb_ctx *ctx = n->im->ctx;
    const float *x;
    crumb_onnx_array made;
    int halves = parity(q);
    CRUMB_TRY(crumb_import_reals(n, n->x[0], "input", &x));
    float *step = crumb_alloc(ctx, (size_t)q->count, sizeof(*step));
    crumb_status status =
        step != NULL ? crumb_onnx_array_make(ctx, CRUMB_ONNX_FLOAT, n->x[0]->shape, &made) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        for (int64_t i = 0; i < q->count; i++) {
            step[i] = halves == 1 ? 0.5f * q->scale[i] : q->scale[i];
        }
        for (int64_t i = 0; i < crumb_shape_count(made.shape); i++) {
            int64_t g = crumb_import_step_of(&q->steps, i);
            double zero = (double)q->zero[q->zeros == 1 ? 0 : g], code = rint((double)(x[i] / q->scale[g]) + zero);
            code = code > q->low ? code < q->high ? code : q->high : q->low; /* NaN: the lowest */
            made.real[i] = (float)((code - zero) * (halves == 1 ? 2 : 1));
        }
        bool whole = halves >= 0 && q->bits <= 8 && fabs((double)q->zero[0]) <= 256;
        for (int64_t i = 0; i < q->zeros; i++) {
            whole = whole && fabsf(q->zero[i]) <= 256.0f;
        }
        status = crumb_import_set_codes(n, NULL, &made, whole, &q->steps, step);
    }
    crumb_free(ctx, step);
    return status;
}

crumb_status crumb_import_int_quant(const crumb_import_node *n) {
    int_quant q;
    int y;
    CRUMB_TRY(read_int_quant(n, &q));
    if (crumb_import_is_constant(n->x[0])) {
        return constant(n, &q);
    }
    double zero = (double)q.zero[0], levels = q.high - q.low + 1;
    bool odd = q.low == 0 && 2 * zero == q.high && parity(&q) == 1;
    if (q.count != 1 || q.zeros != 1 || q.bits > 8 || levels < 2 || (parity(&q) != 0 && !odd) || fabs(zero) > 256) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "%" PRId64 " scales, %g bits, zeropt %g of a computed value; supported are one, 1 to 8, and "
                                 "whole numbers or the codes' middle",
                                 q.count, q.bits, zero);
    }
    crumb_import_codes what = {.bits = (int)q.bits, .levels = odd ? 0 : (int64_t)levels, .odd = odd};
    what.zero = odd ? 0 : (float)(zero - q.low);
    CRUMB_TRY(crumb_import_value_site(n, &what, odd ? 0.5f * q.scale[0] : q.scale[0], n->x[0]->at, &y));
    return crumb_import_set(n, 0, y, n->x[0]->shape, n->x[0]->last);
}

crumb_status crumb_import_bipolar_quant(const crumb_import_node *n) {
    const float *scale, *x;
    crumb_import_steps steps;
    crumb_onnx_array made;
    int y;
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 1 ? n->x[1] : NULL, "scale", &scale));
    CRUMB_TRY(read_steps(n, n->x[1], &steps));
    CRUMB_TRY(crumb_import_check_steps(n, scale, crumb_shape_count(n->x[1]->shape)));
    if (!crumb_import_is_constant(n->x[0])) {
        if (steps.axis >= 0) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "scales along an axis of a computed value; supported is one");
        }
        crumb_import_codes what = {.bits = 1, .odd = true};
        CRUMB_TRY(crumb_import_value_site(n, &what, scale[0], n->x[0]->at, &y));
        return crumb_import_set(n, 0, y, n->x[0]->shape, n->x[0]->last);
    }
    CRUMB_TRY(crumb_import_reals(n, n->x[0], "input", &x));
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, CRUMB_ONNX_FLOAT, n->x[0]->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(made.shape); i++) {
        made.real[i] = x[i] >= 0.0f ? 1.0f : -1.0f;
    }
    return crumb_import_set_codes(n, NULL, &made, true, &steps, scale);
}
