/* How far numbers of a few runs can be trusted: spread, Student's t, paired differences. */
#ifndef CRUMB_STATISTICS_H
#define CRUMB_STATISTICS_H

#include "crumb/train.h"

typedef struct crumb_spread {
    double mean, deviation; /* of a sample, n - 1 in the denominator: NaN for one number */
} crumb_spread;
crumb_spread crumb_spread_of(const double *x, int count);

/* t with P(|T| <= t) = level for Student's T with that many degrees of freedom (at least 1); 0 < level < 1. */
double crumb_student_t(double level, int degrees);

typedef struct crumb_paired {
    double difference, low, high; /* mean of x - control, and its 95 % interval: NaN for one pair */
    crumb_verdict verdict;        /* larger is better */
} crumb_paired;
/* x[i] and control[i] belong to the same seed. One pair, or differences without any spread, show nothing. */
crumb_paired crumb_paired_of(const double *x, const double *control, int count);

#endif
