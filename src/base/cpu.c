/* CPU features by the compiler's cpuid wrapper (x86) or the kernel's hardware words (aarch64). */
#include "base/cpu.h"

#include "base/ctx.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
/* Leaf 7.1, bit 4 of eax, for compilers whose wrapper does not know the name. */
static bool has_avxvnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 &&
           (a >> 4 & 1) != 0;
}
#endif

static uint32_t detect(void) {
    uint32_t features = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        features |= CRUMB_CPU_AVX2;
        features |= has_avxvnni() ? CRUMB_CPU_AVXVNNI : 0;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
        features |= CRUMB_CPU_AVX512;
        features |= __builtin_cpu_supports("avx512vnni") ? CRUMB_CPU_AVX512VNNI : 0;
        features |= __builtin_cpu_supports("avx512bf16") ? CRUMB_CPU_AVX512BF16 : 0;
        features |=
            __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg") ? CRUMB_CPU_AVX512POPCNT : 0;
        features |= __builtin_cpu_supports("avx512vbmi") ? CRUMB_CPU_AVX512VBMI : 0;
    }
#elif defined(__aarch64__)
    features |= CRUMB_CPU_NEON;
    features |= (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? CRUMB_CPU_DOTPROD : 0;
#endif
    return features;
}

bool crumb_cpu_limited(const char *limit, uint32_t *features) {
    static const struct {
        const char *name;
        uint32_t allowed;
    } limits[] = {
        {"scalar", 0},
        {"avx2", CRUMB_CPU_AVX2},
        {"avxvnni", CRUMB_CPU_AVX2 | CRUMB_CPU_AVXVNNI},
        {"avx512", ~(uint32_t)0},
        {"neon", CRUMB_CPU_NEON | CRUMB_CPU_DOTPROD},
    };
    *features = detect();
    if (limit == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (strcmp(limit, limits[i].name) == 0) {
            *features &= limits[i].allowed;
            return true;
        }
    }
    return false;
}
