/* The periodic term; see sine.h. The loop over weights has no call and no branch, so that it vectorises: sine, cosine and
 * exponential are Taylor sums on reduced arguments, whose first term left out is below 6e-8, half a rounding of float at 1. */
#include "train/strategies/sine.h"

#include "quant/parts.h"

#include <math.h>

#define PI 3.14159265358979323846
#define LN2 0.69314718055994530942

/* ---- Functions. */

/* pi^n / n! with the sign of sine's and cosine's series. */
#define S1 3.1415926535897932f
#define S3 (-5.1677127800499700f)
#define S5 2.5501640398773454f
#define S7 (-0.59926452932079208f)
#define S9 0.082145886611128228f
#define S11 (-0.0073704309457143504f)
#define C2 (-4.9348022005446793f)
#define C4 4.0587121264167682f
#define C6 (-1.3352627688545895f)
#define C8 0.23533063035889312f
#define C10 (-0.025806891390014061f)
#define C12 0.0019295743094039230f

/* |r| <= 1/2: the terms left out are below (pi/2)^13 / 13! and (pi/2)^14 / 14!. */
static inline float sin_pi(float r) {
    float q = r * r;
    return r * (S1 + q * (S3 + q * (S5 + q * (S7 + q * (S9 + q * S11)))));
}

static inline float cos_pi(float r) {
    float q = r * r;
    return 1.0f + q * (C2 + q * (C4 + q * (C6 + q * (C8 + q * (C10 + q * C12)))));
}

/* tanh a = E / (E + 2) with E = e^(2a) - 1 = 2^n (e^f - 1) + (2^n - 1), 2a = n ln 2 + f, |f| <= ln 2 / 2; the first term left
 * out of (e^f - 1) / f is f^7 / 8! < 2e-8. Small arguments keep their relative precision. From 10 on tanh is 1. */
static inline float tanh_of(float x) {
    float a = fabsf(x);
    a = a < 10.0f ? a : 10.0f;
    float n = crumb_round(a * (float)(2.0 / LN2));
    float f =
        (2.0f * a - n * 0.693145751953125f) - n * 1.42860682030941723e-6f; /* ln 2 in two parts, n times the first is exact */
    float e = f * (1.0f + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f * (1.0f / 720 + f / 5040))))));
    union {
        int32_t bits;
        float value;
    } power = {.bits = ((int32_t)n + 127) << 23};
    e = power.value * e + (power.value - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

/* ---- The loop. */

/* Everything about u and v = f u + p that the loop needs. */
typedef struct wave {
    bool tanh;
    float gain, lo, hi, frequency, phase;
    float pull; /* times sin(2 pi v) du/d(its argument): the gradient */
} wave;

typedef struct sums {
    double square, slope; /* of sin^2(pi v) and of u sin(2 pi v) */
} sums;

enum { BLOCK = 128 };

static inline void one(const wave *wave_of, float argument, float inner, float *g, float *square, float *slope) {
    float u = argument * wave_of->gain;
    float inside = (u >= wave_of->lo) & (u <= wave_of->hi) ? 1.0f : 0.0f;
    float v = u * wave_of->frequency + wave_of->phase, r = v - crumb_round(v);
    float s = sin_pi(r) * inside, twice = 2.0f * s * cos_pi(r);
    *g += wave_of->pull * twice * inner;
    *square = s * s;
    *slope = u * twice;
}

/* At most BLOCK weights; g may be a buffer that nobody reads. */
static void block(const wave *wave_of, const float *w, float *g, int64_t count, sums *sum) {
    const wave form = *wave_of; /* a copy that g cannot alias */
    float square[BLOCK], slope[BLOCK];
    if (form.tanh) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            float t = tanh_of(w[i]);
            one(&form, t, 1.0f - t * t, &g[i], &square[i], &slope[i]);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            one(&form, w[i], 1.0f, &g[i], &square[i], &slope[i]);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        sum->square += (double)square[i];
        sum->slope += (double)slope[i];
    }
}

/* Parts of fixed size, their sums added in order: the same for any number of threads. g NULL: no gradient wanted. */
static void run(const wave *wave_of, const float *w, float *g, int64_t count, sums *total) {
    sums part[CRUMB_PARTS] = {{0}};
    int64_t size = crumb_part_size(count), parts = (count + size - 1) / size;
#pragma omp parallel for schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t p = 0; p < parts; p++) {
        int64_t end = p + 1 < parts ? (p + 1) * size : count;
        float unread[BLOCK] = {0};
        for (int64_t at = p * size; at < end; at += BLOCK) {
            block(wave_of, w + at, g != NULL ? g + at : unread, end - at < BLOCK ? end - at : BLOCK, &part[p]);
        }
    }
    for (int64_t p = 0; p < parts; p++) {
        total->square += part[p].square;
        total->slope += part[p].slope;
    }
}

/* ---- One weight. */

/* The wave over a lattice; *rate is df/dbits. count: of the weights that max|w| is taken over. */
static wave wave_of_lattice(const crumb_sine *sine, const crumb_lattice *lattice, int bits, const float *w, int64_t count,
                            double *rate) {
    double span = (double)lattice->hi - (double)lattice->lo, top = fmax(-(double)lattice->lo, (double)lattice->hi);
    double own = rint(span / (double)lattice->step) - exp2(bits), wanted = exp2(sine->bits > 0 ? sine->bits : bits);
    double place = -(double)lattice->lo / (double)lattice->step, apart = fabs(place - rint(place));
    wave form = {.tanh = lattice->tanh, .gain = lattice->gain, .lo = lattice->lo, .hi = lattice->hi};
    form.frequency = (float)(sine->plain ? (wanted - 1) / top : (wanted + own) / span);
    form.phase = !sine->plain && apart > 0.25 ? 0.5f : 0.0f;
    *rate = LN2 * wanted / (sine->plain ? top : span);
    if (sine->weights != CRUMB_SINE_ROUNDED) {
        float most = sine->weights == CRUMB_SINE_MAX ? crumb_max_abs(w, count) : 1.0f;
        form.tanh = false;
        form.gain = sine->weights == CRUMB_SINE_MAX ? (float)top * crumb_step_inverse(most) : 1.0f;
        form.lo = -INFINITY;
        form.hi = INFINITY;
    }
    return form;
}

bool crumb_sine_add(crumb_trainer *trainer, int node, const crumb_sine *sine, double strength, crumb_sine_term *term) {
    const crumb_quant *site = crumb_node_site(trainer->network, node);
    if (site == NULL || !site->weight) {
        return false;
    }
    int value = trainer->network->node[node].input[0];
    float *g = crumb_exec_gradient(trainer->exec, value);
    crumb_quant_call call = crumb_node_call(trainer->network, node);
    int64_t channels = crumb_quant_has_channels(site) ? site->channels : 1, size = call.count / channels;
    crumb_lattice lattice;
    if (g == NULL || trainer->network->value[value].rate == 0.0f || !crumb_quant_lattice(&call, 0, &lattice)) {
        return false;
    }
    *term = (crumb_sine_term){0};
    for (int64_t o = 0; o < channels; o++) {
        double rate;
        sums total = {0};
        if (!crumb_quant_lattice(&call, o, &lattice)) {
            continue; /* a channel of zeros */
        }
        wave form = wave_of_lattice(sine, &lattice, site->bits, call.x + o * size, size, &rate);
        form.pull = (float)(strength * PI * (double)form.frequency * (double)form.gain / (double)call.count);
        run(&form, call.x + o * size, strength != 0 ? g + o * size : NULL, size, &total);
        term->mean += total.square / (double)call.count;
        term->slope += PI * rate * total.slope / (double)call.count;
    }
    return true;
}

/* ---- Over time. */

double crumb_sine_progress(const crumb_trainer *trainer) {
    return (double)trainer->total_step / (double)(trainer->steps * trainer->total_epochs);
}

double crumb_sine_rise(double progress, double centre, double width) {
    return 0.5 * (1 + tanh((progress - centre) / width));
}
