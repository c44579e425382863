/* Chains in plain C: pixel by pixel, up to BLOCK channels at a time, link by link. */
#include "runtime/chain.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

/* Channels c0 .. c0 + n - 1 of one pixel of the stack. */
typedef struct block {
    const crumb_chain *chain;
    int64_t pixel;
    int32_t c0, n;
    float v[BLOCK];
    int32_t q[BLOCK];
} block;

/* ---- First links. */

static void take(block *b, const crumb_link *link, const void *acc) {
    const int32_t *sum = acc;
    const float *real = acc;
    const uint8_t *index = acc;
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i;
        switch (link->op) {
        case CRUMB_LINK_SCALE:
            b->v[i] = fmaf((float)sum[i], link->a[c], link->b[c]);
            break;
        case CRUMB_LINK_COUNT:
            b->q[i] = 0;
            for (int32_t k = 0; k < link->thresholds; k++) {
                b->q[i] += (sum[i] ^ link->flip[c]) >= link->threshold[(size_t)k * (size_t)b->chain->channels + (size_t)c];
            }
            break;
        case CRUMB_LINK_REAL:
            b->v[i] = real[i];
            break;
        default:
            b->q[i] = index[i];
            break;
        }
    }
}

static void load(const block *b, const crumb_link *link, float *to) {
    const uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    bool codes = crumb_link_is_bytes(link->op);
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i - link->before;
        if (c < 0 || c >= link->channels) {
            to[i] = 0.0f;
        } else if (codes) {
            to[i] = link->scale * (float)(link->multiply * pixel[c] + link->offset);
        } else {
            memcpy(&to[i], pixel + (size_t)c * sizeof(float), sizeof(float));
        }
    }
}

static void load_index(block *b, const crumb_link *link) {
    const uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    for (int32_t i = 0; i < b->n; i++) {
        b->q[i] = pixel[b->c0 + i];
    }
}

/* ---- v from v. */

static void change(block *b, const crumb_link *link, const float *operand) {
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i;
        float v = b->v[i];
        switch (link->op) {
        case CRUMB_LINK_AFFINE:
            v = fmaf(v, link->a[c], link->b[c]);
            break;
        case CRUMB_LINK_ADD:
        case CRUMB_LINK_ADD_CODES:
            v = v + operand[i];
            break;
        case CRUMB_LINK_MUL:
        case CRUMB_LINK_MUL_CODES:
            v = v * operand[i];
            break;
        case CRUMB_LINK_RELU:
            v = v > 0.0f ? v : 0.0f;
            break;
        case CRUMB_LINK_PRELU:
            v = v > 0.0f ? v : link->a[c] * v;
            break;
        default:
            v = v < link->lo ? link->lo : v > link->hi ? link->hi : v;
            break;
        }
        b->v[i] = v;
    }
}

/* ---- q from v. */

static void quantize(block *b, const crumb_link *link) {
    for (int32_t i = 0; i < b->n; i++) {
        if (link->op == CRUMB_LINK_ROUND) {
            float v = b->v[i] * link->inverse;
            v = v > link->lo ? v : link->lo;
            v = v < link->hi ? v : link->hi;
            b->q[i] = (int32_t)(rintf(v) - link->lo);
        } else {
            b->q[i] = 0;
            for (int32_t k = 0; k < link->thresholds; k++) {
                b->q[i] += b->v[i] >= link->a[k];
            }
        }
    }
}

/* ---- Stores. */

static void store_index(const block *b, const crumb_link *link) {
    uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    for (int32_t i = 0; i < b->n; i++) {
        pixel[b->c0 + i] = (uint8_t)b->q[i];
    }
}

static void run_link(block *b, const crumb_link *link, const void *acc) {
    float operand[BLOCK];
    switch (link->op) {
    case CRUMB_LINK_SCALE:
    case CRUMB_LINK_COUNT:
    case CRUMB_LINK_REAL:
    case CRUMB_LINK_INDEX:
        take(b, link, acc);
        break;
    case CRUMB_LINK_LOAD:
    case CRUMB_LINK_LOAD_CODES:
        load(b, link, b->v);
        break;
    case CRUMB_LINK_LOAD_INDEX:
        load_index(b, link);
        break;
    case CRUMB_LINK_ADD:
    case CRUMB_LINK_ADD_CODES:
    case CRUMB_LINK_MUL:
    case CRUMB_LINK_MUL_CODES:
        load(b, link, operand);
        change(b, link, operand);
        break;
    case CRUMB_LINK_ROUND:
    case CRUMB_LINK_THRESHOLDS:
        quantize(b, link);
        break;
    case CRUMB_LINK_STORE:
        memcpy(crumb_link_pixel(b->chain, link, b->pixel) + (size_t)b->c0 * sizeof(float), b->v, (size_t)b->n * sizeof(float));
        break;
    case CRUMB_LINK_STORE_INDEX:
        store_index(b, link);
        break;
    default:
        change(b, link, NULL);
        break;
    }
}

void crumb_chain_run(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    const crumb_chain *chain = user;
    block b = {.chain = chain};
    for (int32_t p = 0; p < pixels; p++) {
        b.pixel = pixel + p;
        for (int32_t c = 0; c < channels; c += BLOCK) {
            b.c0 = o + c;
            b.n = channels - c < BLOCK ? channels - c : BLOCK;
            const uint8_t *from = acc;
            from = from != NULL ? from + ((size_t)p * (size_t)stride + (size_t)c) * crumb_chain_item(chain) : NULL;
            for (int32_t i = 0; i < chain->links; i++) {
                run_link(&b, &chain->link[i], from);
            }
        }
    }
}

static bool is_pattern(const crumb_chain *chain, const crumb_chain_pattern *pattern) {
    bool same = chain->links == pattern->links && !chain->steps;
    for (int32_t i = 0; same && i < chain->links; i++) {
        const crumb_link *link = &chain->link[i];
        same = link->op == pattern->op[i] && (link->buffer < 0 || (link->before == 0 && link->channels == chain->channels));
    }
    return same;
}

int32_t crumb_chain_find(const crumb_chain *chain) {
    int32_t pattern = 0;
    while (pattern < CRUMB_PATTERNS && !is_pattern(chain, &crumb_chain_patterns[pattern])) {
        pattern++;
    }
    return pattern;
}
