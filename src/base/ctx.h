/* The context behind every call: allocator, last message, log, thread count, CPU features. Internal to src/. */
#ifndef CRUMB_CTX_H
#define CRUMB_CTX_H

#include "crumb/base.h"

#include <stdarg.h>

/* Allocation. Sizes are count * size with the multiplication checked; zeroed; NULL sets the message. Buffers are aligned
 * to 64 bytes (a cache line, an AVX-512 register), so tensors can use aligned loads. */
void *crumb_alloc(crumb_ctx *ctx, size_t count, size_t size);
/* The same from any thread: leaves the message alone. */
void *crumb_alloc_quiet(crumb_ctx *ctx, size_t count, size_t size);
void *crumb_resize(crumb_ctx *ctx, void *block, size_t old_count, size_t count, size_t size); /* new part is zeroed */
void crumb_free(crumb_ctx *ctx, void *block);
char *crumb_copy_text(crumb_ctx *ctx, const char *text);

/* Records "message" (printf rules) as the context's last failure and returns status. */
crumb_status crumb_fail(crumb_ctx *ctx, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);
/* Puts "prefix: " before the last message: who was asked for what, added on the way up. */
crumb_status crumb_fail_in(crumb_ctx *ctx, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);
void crumb_log(crumb_ctx *ctx, crumb_log_level level, const char *format, ...) CRUMB_PRINTF(3, 4);

#define CRUMB_TRY(call)                          \
    do {                                         \
        crumb_status try_status_ = (call);       \
        if (try_status_ != CRUMB_OK) {           \
            return try_status_;                  \
        }                                        \
    } while (0)

/* CPU features this context may use (after cpu_limit). */
enum {
    CRUMB_CPU_AVX2 = 1 << 0,       /* with FMA and F16C */
    CRUMB_CPU_AVX512 = 1 << 1,     /* F, BW, DQ, VL, CD */
    CRUMB_CPU_AVX512VNNI = 1 << 2,
    CRUMB_CPU_AVX512BF16 = 1 << 3,
    CRUMB_CPU_AVX512POPCNT = 1 << 4, /* VPOPCNTDQ and BITALG */
    CRUMB_CPU_AVX512VBMI = 1 << 5,
    CRUMB_CPU_NEON = 1 << 6,
    CRUMB_CPU_DOTPROD = 1 << 7,
    CRUMB_CPU_AVXVNNI = 1 << 8 /* vpdpbusd on 256 bits without AVX-512 */
};
uint32_t crumb_cpu(const crumb_ctx *ctx);

#endif
