/* The set of loops for AVX-512. */
#include "runtime/vector.h"

#define VECTOR crumb_vector__avx512
#define CHAIN crumb_chain_run__avx512
#define WIDTH 64
#include "runtime/vector.tmpl"
