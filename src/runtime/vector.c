/* The set of loops for any processor, and the choice among the sets. */
#include "runtime/vector.h"

#include "base/cpu.h"

#define VECTOR crumb_vector__plain
#define CHAIN crumb_chain_run
#define WIDTH 16
#include "runtime/vector.tmpl"

const crumb_vector *crumb_vector_pick(const crumb_ctx *ctx) {
    static const struct {
        uint32_t cpu;
        const crumb_vector *set;
    } sets[] = {
        CRUMB_ON_X86({CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VBMI, &crumb_vector__avx512vbmi},
                     {CRUMB_CPU_AVX512, &crumb_vector__avx512},
                     {CRUMB_CPU_AVX2, &crumb_vector__avx2}, ){0, &crumb_vector__plain},
    };
    int i = 0;
    while ((crumb_cpu(ctx) & sets[i].cpu) != sets[i].cpu) {
        i++;
    }
    return sets[i].set;
}
