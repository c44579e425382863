/* Functions of the file that do not depend on the network; those that something uses. */
#include "codegen/emit.h"

static const struct {
    unsigned use;
    const char *text;
} helpers[] = {
    {CRUMB_EMIT_FUSED, "/* a b + c, rounded once. Without an instruction for it: the product of two floats is exact as a "
                       "double; the sum is rounded to\n"
                       " * odd, so that rounding it again to float is right (Boldo and Melquiond, 2008). */\n"
                       "static float fused(float a, float b, float c) {\n"
                       "#ifdef __FP_FAST_FMAF\n"
                       "    return __builtin_fmaf(a, b, c);\n"
                       "#else\n"
                       "    union {\n"
                       "        double real;\n"
                       "        uint64_t bits;\n"
                       "    } sum;\n"
                       "    const volatile double product = (double)a * (double)b;\n"
                       "    const volatile double all = product + (double)c;\n"
                       "    const volatile double most = all - product;\n"
                       "    const volatile double rest = all - most;\n"
                       "    const double error = (product - rest) + ((double)c - most);\n"
                       "    sum.real = all;\n"
                       "    if ((error > 0.0 || error < 0.0) && (sum.bits & 1) == 0) {\n"
                       "        sum.bits += (error > 0.0) == (sum.real > 0.0) ? (uint64_t)1 : ~(uint64_t)0;\n"
                       "    }\n"
                       "    return (float)sum.real;\n"
                       "#endif\n"
                       "}\n"},
    {CRUMB_EMIT_TIMES, "/* A product that is rounded, whatever follows. */\n"
                       "static float times(float a, float b) {\n"
                       "    const volatile float product = a * b;\n"
                       "    return product;\n"
                       "}\n"},
    {CRUMB_EMIT_ROUNDED,
     "/* The index of v: rounded to even between lo and hi, counted from lo. 1.5 * 2^23 + r has no bits behind the point. */\n"
     "static int32_t rounded(float v, float inverse, float lo, float hi) {\n"
     "    const float scaled = times(v, inverse);\n"
     "    const float raised = scaled > lo ? scaled : lo;\n"
     "    const volatile float sum = (raised < hi ? raised : hi) + 12582912.0f;\n"
     "    return (int32_t)(sum - 12582912.0f) - (int32_t)lo;\n"
     "}\n"},
    {CRUMB_EMIT_PASSED, "/* The number of thresholds that v reaches. */\n"
                        "static int32_t passed(float v, const float *threshold, int32_t count) {\n"
                        "    int32_t index = 0;\n"
                        "    while (index < count && v >= threshold[index]) {\n"
                        "        index++;\n"
                        "    }\n"
                        "    return index;\n"
                        "}\n"},
    {CRUMB_EMIT_TOTAL_SMALL, "/* Sum of a window's indices below 64. */\n"
                             "static int32_t total_small(const cell *x, int32_t cells) {\n"
                             "    uint32_t sum = 0;\n"
                             "    for (int32_t k = 0; k < cells; k++) {\n"
                             "        sum += x[k].word * 0x01010101u >> 24;\n"
                             "    }\n"
                             "    return (int32_t)sum;\n"
                             "}\n"},
    {CRUMB_EMIT_TOTAL, "/* Sum of a window's indices. */\n"
                       "static int32_t total_bytes(const cell *x, int32_t cells) {\n"
                       "    uint32_t sum = 0;\n"
                       "    for (int32_t k = 0; k < cells; k++) {\n"
                       "        const uint32_t pairs = (x[k].word & 0x00ff00ffu) + (x[k].word >> 8 & 0x00ff00ffu);\n"
                       "        sum += (pairs & 0xffffu) + (pairs >> 16);\n"
                       "    }\n"
                       "    return (int32_t)sum;\n"
                       "}\n"},
    {CRUMB_EMIT_PRODUCTS, "/* sum + the products of the halves. */\n"
                          "static uint32_t products(uint32_t x, uint32_t w, uint32_t sum) {\n"
                          "#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)\n"
                          "    uint32_t made;\n"
                          "    __asm__(\"smlad %0, %1, %2, %3\" : \"=r\"(made) : \"r\"(x), \"r\"(w), \"r\"(sum));\n"
                          "    return made;\n"
                          "#else\n"
                          "    return sum + (x & 0xffffu) * (w & 0xffffu) + (x >> 16) * (w >> 16);\n"
                          "#endif\n"
                          "}\n"},
    {CRUMB_EMIT_EXPONENTIAL,
     "/* 2^n; 2^1024 is infinite. */\n"
     "static double power_of_two(int32_t n) {\n"
     "    union {\n"
     "        double real;\n"
     "        uint64_t bits;\n"
     "    } x;\n"
     "    x.bits = (uint64_t)(n + 1023) << 52;\n"
     "    return x.real;\n"
     "}\n"
     "\n"
     "/* A product that is rounded, whatever follows. */\n"
     "static double product(double a, double b) {\n"
     "    const volatile double made = a * b;\n"
     "    return made;\n"
     "}\n"
     "\n"
     "/* exp(x) = 2^n exp(r), |r| < 0.35: the series up to r^13. */\n"
     "static double exponential(double x) {\n"
     "    static const double term[] = {1.0,           1.0,            1.0 / 2,          1.0 / 6,          1.0 / 24,\n"
     "                                  1.0 / 120,     1.0 / 720,      1.0 / 5040,       1.0 / 40320,      1.0 / 362880,\n"
     "                                  1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600., 1.0 / 6227020800.};\n"
     "    double r, sum = 0.0;\n"
     "    int32_t n, i;\n"
     "    if (!(x < 710.0)) {\n"
     "        return x + power_of_two(1024);\n"
     "    }\n"
     "    if (x < -746.0) {\n"
     "        return 0.0;\n"
     "    }\n"
     "    n = (int32_t)(product(x, 0x1.71547652b82fep0) + (x < 0.0 ? -0.5 : 0.5));\n"
     "    r = (x - product(n, 0x1.62e42feep-1)) - product(n, 0x1.a39ef35793c76p-33);\n"
     "    for (i = 13; i >= 0; i--) {\n"
     "        sum = product(sum, r) + term[i];\n"
     "    }\n"
     "    return sum * power_of_two(n / 2) * power_of_two(n - n / 2);\n"
     "}\n"},
    {CRUMB_EMIT_LOGARITHM,
     "/* log(2^n m) = n ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.18: the series up to s^21. */\n"
     "static double logarithm(double x) {\n"
     "    union {\n"
     "        double real;\n"
     "        uint64_t bits;\n"
     "    } m;\n"
     "    double s, square, sum = 0.0;\n"
     "    int32_t n = 0, i;\n"
     "    if (!(x > 0.0)) {\n"
     "        return x < 0.0 || x > 0.0 || !(x >= 0.0) ? power_of_two(1024) - power_of_two(1024) : -power_of_two(1024);\n"
     "    }\n"
     "    if (x > 1.7976931348623157e308) {\n"
     "        return x;\n"
     "    }\n"
     "    if (x < 0x1p-1022) {\n"
     "        x *= 0x1p54;\n"
     "        n = -54;\n"
     "    }\n"
     "    m.real = x;\n"
     "    n += (int32_t)(m.bits >> 52) - 1023;\n"
     "    m.bits = (m.bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1023 << 52;\n"
     "    if (m.real >= 0x1.6a09e667f3bcdp0) {\n"
     "        m.real *= 0.5;\n"
     "        n++;\n"
     "    }\n"
     "    s = (m.real - 1.0) / (m.real + 1.0);\n"
     "    square = s * s;\n"
     "    for (i = 21; i >= 1; i -= 2) {\n"
     "        sum = product(sum, square) + 1.0 / (double)i;\n"
     "    }\n"
     "    return product(n, 0x1.62e42feep-1) + (product(2.0 * s, sum) + product(n, 0x1.a39ef35793c76p-33));\n"
     "}\n"},
    {CRUMB_EMIT_SIGMOID, "/* 1 / (1 + exp(-x)) */\n"
                         "static float sigmoid(float x) {\n"
                         "    const double e = exponential(x < 0.0f ? (double)x : -(double)x);\n"
                         "    return (float)((x < 0.0f ? e : 1.0) / (1.0 + e));\n"
                         "}\n"},
    {CRUMB_EMIT_TANH,
     "static float hyperbolic_tangent(float x) {\n"
     "    const double v = (double)x, magnitude = v < 0.0 ? -v : v, e = exponential(-2.0 * magnitude);\n"
     "    const double t = magnitude < 1e-4 ? magnitude - magnitude * magnitude * magnitude / 3.0 : (1.0 - e) / (1.0 + e);\n"
     "    return (float)(v < 0.0 ? -t : t);\n"
     "}\n"},
};

static void print_levels(const crumb_emit *e, crumb_text *out) {
    for (int wide = 0; wide < 2; wide++) {
        const char *type = wide ? "int32_t" : "int16_t", *ending = wide ? "_wide" : "";
        for (int n = 1; n < CRUMB_EMIT_LEVELS; n++) {
            if (!e->level[wide][n]) {
                continue;
            }
            crumb_text_print(out,
                             "\n/* The number of thresholds that v reaches. */\n"
                             "static int32_t level%d%s(int32_t v, const %s *t) {\n    return ",
                             n, ending, type);
            for (int k = 0; k < n; k++) {
                crumb_text_print(out, "%s(v >= t[%d])", k > 0 ? " + " : "", k);
            }
            crumb_text_print(out, ";\n}\n");
        }
        if (e->level[wide][0]) {
            crumb_text_print(out,
                             "\n/* The number of thresholds that v reaches. */\n"
                             "static int32_t level%s(int32_t v, const %s *t, int32_t count) {\n"
                             "    int32_t index = 0;\n"
                             "    while (index < count && v >= t[index]) {\n"
                             "        index++;\n"
                             "    }\n"
                             "    return index;\n"
                             "}\n",
                             ending, type);
        }
    }
}

static void print_indices(const crumb_emit *e, crumb_text *out) {
    for (int bits = 1; bits < CRUMB_EMIT_WIDTHS; bits++) {
        if (!e->index_of_row[bits]) {
            continue;
        }
        crumb_text_print(
            out,
            "\n/* Index `at` of a row of indices of %d bits. */\nstatic int32_t index%d(const uint8_t *row, int32_t at) {\n",
            bits, bits);
        if (8 % bits == 0) {
            crumb_text_print(out, "    return row[at / %d] >> at %% %d * %d & %d;\n}\n", 8 / bits, 8 / bits, bits,
                             (1 << bits) - 1);
        } else {
            crumb_text_print(out,
                             "    const uint8_t *const from = row + at * %d / 8;\n"
                             "    return (from[0] | from[1] << 8) >> at * %d %% 8 & %d;\n}\n",
                             bits, bits, (1 << bits) - 1);
        }
    }
}

void crumb_emit_helpers(const crumb_emit *e, crumb_text *out) {
    const unsigned exponentials = CRUMB_EMIT_SIGMOID | CRUMB_EMIT_TANH | CRUMB_EMIT_LOGARITHM;
    unsigned uses = e->uses | ((e->uses & CRUMB_EMIT_ROUNDED) != 0 ? CRUMB_EMIT_TIMES : 0);
    uses |= (uses & exponentials) != 0 ? CRUMB_EMIT_EXPONENTIAL : 0;
    for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++) {
        if ((uses & helpers[i].use) != 0) {
            crumb_text_print(out, "\n%s", helpers[i].text);
        }
    }
    print_levels(e, out);
    print_indices(e, out);
}
