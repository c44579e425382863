/* Functions of a pixel's channels that are more than one float operation: what sigmoid, tanh, div, softmax, log_softmax and lrn
 * of packed.h mean. Exponential and logarithm are sums, products and quotients of doubles in a fixed order, not the C
 * library's, so that results depend on the file alone; both are within 2e-15 of the true value, relatively. */
#ifndef CRUMB_PACKED_FUNCTIONS_H
#define CRUMB_PACKED_FUNCTIONS_H

#include "pack/packed.h"

double crumb_packed_exp(double x);
double crumb_packed_log(double x);

/* y[channels] of the inputs x[0][channels], x[1][channels]; y may not be one of them. */
typedef void crumb_packed_function(const crumb_packed_node *node, const float *const *x, float *y, int64_t channels);
/* NULL: the op is no such function. */
crumb_packed_function *crumb_packed_function_of(crumb_packed_op op);

#endif
