/* See functions.h. All in double, rounded to float once, at the end. */
#include "pack/functions.h"

#include <math.h>
#include <string.h>

/* 2^n for -1022 <= n <= 1023. */
static double power_of_two(int64_t n) {
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;

/* exp(x) = 2^n exp(r), r = x - n ln 2, |r| <= 0.3466: the series up to r^13, whose next term is below 5e-18. */
double crumb_packed_exp(double x) {
    static const double term[] = {
        1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,        1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600., 1.0 / 6227020800.};
    if (!(x < 710.0)) {
        return x + (double)INFINITY; /* NaN stays one */
    }
    if (x < -746.0) {
        return 0.0;
    }
    int64_t n = (int64_t)(x * 0x1.71547652b82fep0 + (x < 0.0 ? -0.5 : 0.5));
    double r = (x - (double)n * ln2_high) - (double)n * ln2_low, sum = 0.0;
    for (int i = 13; i >= 0; i--) {
        sum = sum * r + term[i];
    }
    int64_t half = n / 2; /* two steps: the result may be below or above what one factor can say */
    return sum * power_of_two(half) * power_of_two(n - half);
}

/* log(2^n m) = n ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), sqrt(1/2) <= m < sqrt(2): |s| < 0.1716, the series up to s^21. */
double crumb_packed_log(double x) {
    if (!(x > 0.0)) {
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    }
    if (x > 1.7976931348623157e308) {
        return x;
    }
    int64_t n = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        n = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    n += (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof(m));
    if (m >= 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        n++;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s, sum = 0.0;
    for (int i = 21; i >= 1; i -= 2) {
        sum = sum * square + 1.0 / (double)i;
    }
    return (double)n * ln2_high + (2.0 * s * sum + (double)n * ln2_low);
}

/* ---- Element by element. */

static void divide(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    (void)node;
    for (int64_t c = 0; c < channels; c++) {
        y[c] = x[0][c] / x[1][c];
    }
}

static void sigmoid(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    (void)node;
    for (int64_t c = 0; c < channels; c++) {
        double e = crumb_packed_exp(-fabs((double)x[0][c]));
        y[c] = (float)((x[0][c] < 0.0f ? e : 1.0) / (1.0 + e));
    }
}

/* Near 0, where 1 - exp(-2 |x|) loses digits, the series x - x^3 / 3; its next term is below 2e-17 of x. */
static void hyperbolic_tangent(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    (void)node;
    for (int64_t c = 0; c < channels; c++) {
        double v = (double)x[0][c], magnitude = fabs(v), e = crumb_packed_exp(-2.0 * magnitude);
        double t = magnitude < 1e-4 ? magnitude - magnitude * magnitude * magnitude / 3.0 : (1.0 - e) / (1.0 + e);
        y[c] = (float)(v < 0.0 ? -t : t);
    }
}

/* ---- Over the channels. */

/* Sum of exp(x - largest). */
static double sum_of_powers(const float *x, int64_t channels, double *largest) {
    double sum = 0.0;
    *largest = (double)x[0];
    for (int64_t c = 1; c < channels; c++) {
        *largest = (double)x[c] > *largest ? (double)x[c] : *largest;
    }
    for (int64_t c = 0; c < channels; c++) {
        sum += crumb_packed_exp((double)x[c] - *largest);
    }
    return sum;
}

static void softmax(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    (void)node;
    double largest, sum = sum_of_powers(x[0], channels, &largest);
    for (int64_t c = 0; c < channels; c++) {
        y[c] = (float)(crumb_packed_exp((double)x[0][c] - largest) / sum);
    }
}

static void log_softmax(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    (void)node;
    double largest, log_sum = crumb_packed_log(sum_of_powers(x[0], channels, &largest));
    for (int64_t c = 0; c < channels; c++) {
        y[c] = (float)(((double)x[0][c] - largest) - log_sum);
    }
}

/* y = x (bias + alpha / size * sum of x^2 over channels c - (size - 1) / 2 .. c + size / 2)^-beta */
static void local_response(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels) {
    double alpha = (double)node->inverse, beta = (double)node->lo, bias = (double)node->hi;
    int64_t size = node->kernel_height;
    for (int64_t c = 0; c < channels; c++) {
        int64_t first = c - (size - 1) / 2, last = c + size / 2;
        double sum = 0.0;
        for (int64_t k = first < 0 ? 0 : first; k <= last && k < channels; k++) {
            sum += (double)x[0][k] * (double)x[0][k];
        }
        y[c] = (float)((double)x[0][c] * crumb_packed_exp(-beta * crumb_packed_log(bias + alpha / (double)size * sum)));
    }
}

crumb_packed_function *crumb_packed_function_of(crumb_packed_op op) {
    static crumb_packed_function *const table[CRUMB_PACKED_OPS] = {
        [CRUMB_PACKED_DIV] = divide,      [CRUMB_PACKED_SIGMOID] = sigmoid,         [CRUMB_PACKED_TANH] = hyperbolic_tangent,
        [CRUMB_PACKED_SOFTMAX] = softmax, [CRUMB_PACKED_LOG_SOFTMAX] = log_softmax, [CRUMB_PACKED_LRN] = local_response,
    };
    return table[op];
}
