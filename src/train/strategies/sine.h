/* The periodic term that SinReQ and WaveQ share: for one quantized weight of N values
 *
 *     R = 1/N sum_i sin^2(pi (f u_i + p)),    dR/dw_i = pi f / N sin(2 pi (f u_i + p)) du_i/dw_i
 *
 * f (levels a unit) and p (0: a level at zero, mid-tread; 1/2: none, mid-rise) come from the quantizer's lattice, so that R is
 * 0 exactly where every weight is a level. With k bits between whole numbers f is that of the quantizer's family,
 *
 *     f(k) = (2^k + a) / (hi - lo),   a = number of its intervals - 2^k   (DoReFa -1, WRPN -2),    df/dk = ln 2 2^k / (hi -
 * lo),
 *
 * which gives dR/dk = pi df/dk / N sum_i u_i sin(2 pi (f u_i + p)). */
#ifndef CRUMB_SINE_H
#define CRUMB_SINE_H

#include "train/trainer.h"

/* What u is. */
enum {
    CRUMB_SINE_ROUNDED, /* the number that the quantizer rounds, in its range: tanh(w) / max|tanh(w)|, clip(w, -1, 1), ... */
    CRUMB_SINE_RAW,     /* w */
    CRUMB_SINE_MAX      /* w times the largest level over max|w| */
};
#define CRUMB_SINE_WEIGHTS "rounded|raw|max"
#define CRUMB_SINE_WEIGHTS_DOC                                                                                                 \
    "sine of the number the quantizer rounds (normalised by DoReFa, clipped by WRPN), of the weight itself, or of w / max|w|"

typedef struct crumb_sine {
    int weights; /* CRUMB_SINE_ */
    double bits; /* 0: the site's */
    bool plain;  /* instead: f = 2^bits - 1 for u between -1 and 1, p = 0, whatever the quantizer */
} crumb_sine;

typedef struct crumb_sine_term {
    double mean;  /* R */
    double slope; /* dR/dbits */
} crumb_sine_term;

/* The weight's R; adds strength * dR/dw to its gradient if strength is not 0. False, and nothing done, if the node is not a
 * weight's quantizer, if its levels are not equally spaced, or if the weight is not trained. Follows a training forward pass.
 */
bool crumb_sine_add(crumb_trainer *trainer, int node, const crumb_sine *sine, double strength, crumb_sine_term *term);

/* Done share of the run, 0 .. 1, before the step that is being taken. */
double crumb_sine_progress(const crumb_trainer *trainer);
/* (1 + tanh((progress - centre) / width)) / 2: WaveQ's rise of the strength. */
double crumb_sine_rise(double progress, double centre, double width);

#endif
