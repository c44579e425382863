/* Student's t and paired differences (Gosset 1908).
 *
 * With whole degrees of freedom n the distribution is a finite sum (Abramowitz and Stegun 26.7.3-4): for
 * theta = atan(t / sqrt(n)), c = cos(theta), s = sin(theta),
 *
 *     P(|T| <= t) = s (1 + 1/2 c^2 + 1 3/(2 4) c^4 + ... up to c^(n-2))                        n even
 *                 = 2/pi (theta + s (c + 2/3 c^3 + 2 4/(3 5) c^5 + ... up to c^(n-2)))         n odd, 2/pi theta for n = 1 */
#include "train/statistics.h"

#include <math.h>

static const double LEVEL = 0.95;

crumb_spread crumb_spread_of(const double *x, int count) {
    crumb_spread spread = {.mean = NAN, .deviation = NAN};
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        sum += x[i];
    }
    if (count > 0) {
        spread.mean = sum / count;
    }
    for (int i = 0; i < count; i++) {
        squares += (x[i] - spread.mean) * (x[i] - spread.mean);
    }
    if (count > 1) {
        spread.deviation = sqrt(squares / (count - 1));
    }
    return spread;
}

static double probability(double theta, int degrees) {
    bool odd = degrees % 2 == 1;
    double c = cos(theta), term = odd ? c : 1, sum = 0;
    for (int k = odd ? 1 : 0; k <= degrees - 2; k += 2) {
        sum += term;
        term *= c * c * (k + 1) / (k + 2);
    }
    return odd ? M_2_PI * (theta + sin(theta) * sum) : sin(theta) * sum;
}

double crumb_student_t(double level, int degrees) {
    double low = 0, high = M_PI_2;
    for (;;) { /* halving, until two neighbouring doubles are left */
        double middle = low + (high - low) / 2;
        if (middle == low || middle == high) {
            break;
        }
        bool below = probability(middle, degrees) < level;
        low = below ? middle : low;
        high = below ? high : middle;
    }
    return sqrt(degrees) * tan(low);
}

crumb_paired crumb_paired_of(const double *x, const double *control, int count) {
    crumb_paired paired = {.difference = NAN, .low = NAN, .high = NAN, .verdict = CRUMB_VERDICT_NONE};
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        sum += x[i] - control[i];
    }
    if (count > 0) {
        paired.difference = sum / count;
    }
    for (int i = 0; i < count; i++) {
        double d = x[i] - control[i] - paired.difference;
        squares += d * d;
    }
    if (count > 1) {
        double half = crumb_student_t(LEVEL, count - 1) * sqrt(squares / (count - 1) / count);
        paired.low = paired.difference - half;
        paired.high = paired.difference + half;
    }
    if (squares > 0 && paired.low > 0) {
        paired.verdict = CRUMB_VERDICT_BETTER;
    } else if (squares > 0 && paired.high < 0) {
        paired.verdict = CRUMB_VERDICT_WORSE;
    }
    return paired;
}
