/* The set of loops for AVX2. */
#include "runtime/vector.h"

#define VECTOR crumb_vector__avx2
#define CHAIN crumb_chain_run__avx2
#define WIDTH 32
#include "runtime/vector.tmpl"
