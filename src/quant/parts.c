/* Statistics, straight-through gradient and binary values that quantizers share; see parts.h. */
#include "quant/parts.h"

#include <math.h>
#include <string.h>

static double sum_abs(const float *x, int64_t count) {
    double lane[CRUMB_LANES] = {0};
    int64_t i = 0;
    for (; i + CRUMB_LANES <= count; i += CRUMB_LANES) {
        for (int j = 0; j < CRUMB_LANES; j++) {
            lane[j] += (double)fabsf(x[i + j]);
        }
    }
    double sum = 0;
    for (int j = 0; j < CRUMB_LANES; j++) {
        sum += lane[j];
    }
    for (; i < count; i++) {
        sum += (double)fabsf(x[i]);
    }
    return sum;
}

float crumb_mean_abs(const float *x, int64_t count) {
    double part[CRUMB_PARTS] = {0}, sum = 0;
    int64_t size = crumb_part_size(count), parts = (count + size - 1) / size;
#pragma omp parallel for schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t p = 0; p < parts; p++) {
        part[p] = sum_abs(x + p * size, p + 1 < parts ? size : count - p * size);
    }
    for (int64_t p = 0; p < parts; p++) {
        sum += part[p];
    }
    return (float)(sum / (double)count);
}

float crumb_max_abs(const float *x, int64_t count) {
    float max = 0.0f;
    int nans = 0;
#pragma omp parallel for simd schedule(static) reduction(max : max) reduction(| : nans) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < count; i++) {
        float a = fabsf(x[i]);
        max = a > max ? a : max;
        nans |= a != a;
    }
    return nans ? NAN : max;
}

crumb_span crumb_span_of(const crumb_quant_call *call, int64_t g) {
    const crumb_quant *site = call->site;
    int64_t size = call->count / site->channels;
    if (site->groups <= 1) {
        return (crumb_span){g * size, size};
    }
    int64_t group = site->quantizer->group(site), first = g % site->groups * group, left = size - first;
    return (crumb_span){g / site->groups * size + first, left < group ? left : group};
}

void crumb_codes_divide(const crumb_quant_call *call, bool per_channel, crumb_codes *codes) {
    const crumb_quant *site = call->site;
    codes->groups = per_channel || site->groups > 1 ? site->channels * site->groups : 1;
    codes->channel = call->count / site->channels;
    codes->size = site->groups > 1 ? site->quantizer->group(site) : 0;
}

void crumb_statistic_fill(const crumb_quant_call *call, bool per_channel, float *values, crumb_statistic of) {
    int64_t groups = call->site->channels * call->site->groups;
    bool own = per_channel || call->site->groups > 1;
    float common = own ? 0.0f : of(call, call->x, call->count);
#pragma omp parallel for schedule(static) if (own && call->count >= CRUMB_PARALLEL_LEAST)
    for (int64_t g = 0; g < groups; g++) {
        crumb_span span = crumb_span_of(call, g);
        values[g] = own ? of(call, call->x + span.at, span.count) : common;
    }
}

float crumb_statistic_mean_abs(const crumb_quant_call *call, const float *x, int64_t count) {
    (void)call;
    return crumb_mean_abs(x, count);
}

void crumb_straight_through(const crumb_quant_call *call, float limit, float gain) {
    const float *x = call->x, *dy = call->dy;
    float *dx = call->dx;
    int64_t count = dx != NULL ? call->count : 0;
    if (call->add) { /* two loops, since one with `add` inside does not vectorise */
#pragma omp parallel for simd schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
        for (int64_t i = 0; i < count; i++) {
            float g = gain * dy[i];
            dx[i] += fabsf(x[i]) <= limit ? g : 0.0f;
        }
    } else {
#pragma omp parallel for simd schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
        for (int64_t i = 0; i < count; i++) {
            float g = gain * dy[i];
            dx[i] = fabsf(x[i]) <= limit ? g : 0.0f;
        }
    }
}

void crumb_pass_gradient(const crumb_quant_call *call) {
    crumb_straight_through(call, INFINITY, 1.0f);
}

int crumb_levels_all(const crumb_quant *site) {
    return 1 << site->bits;
}

void crumb_binary_fake(const crumb_quant_call *call) {
    int64_t groups = call->state_count[0], size = call->count / groups;
    for (int64_t g = 0; g < groups; g++) {
        const float *x = call->x + g * size;
        float *y = call->y + g * size;
        float value = call->state[0][g];
        for (int64_t i = 0; i < size; i++) {
            y[i] = x[i] >= 0.0f ? value : -value;
        }
    }
}

void crumb_binary_encode(const crumb_quant_call *call, const float *alpha, bool per_channel, crumb_codes *codes) {
    for (int64_t i = 0; i < call->count; i++) {
        codes->code[i] = call->x[i] >= 0.0f ? 1 : -1;
    }
    crumb_codes_describe(codes, alpha[0], 2, 2, -1);
    if (per_channel) {
        codes->groups = call->site->channels;
        memcpy(codes->scale, alpha, (size_t)codes->groups * sizeof(float));
    }
}

void crumb_codes_describe(crumb_codes *codes, float scale, int levels, int multiply, int offset) {
    codes->scale[0] = scale;
    codes->groups = 1;
    codes->levels = levels;
    codes->multiply = multiply;
    codes->offset = offset;
}
