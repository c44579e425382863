/* The context: memory through the caller's allocator, the last message, the log. */
#include "base/ctx.h"

#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { MESSAGE_MAX = 1024, ALIGNMENT = 64, HUGE_PAGE = 1 << 21, HUGE_LEAST = 2 * HUGE_PAGE };

struct crumb_ctx {
    crumb_settings settings;
    int threads;
    uint32_t cpu;
    char message[MESSAGE_MAX];
};

/* Asks for huge pages where a large block holds whole ones: weights that are read once a layer otherwise cost a walk through
 * the page tables every 4 KiB, where prefetching stops too. Advice only: what becomes of it is the system's business. */
static void advise_huge(char *block, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    size_t before = (HUGE_PAGE - (uintptr_t)block % HUGE_PAGE) % HUGE_PAGE;
    if (bytes >= HUGE_LEAST) {
        (void)madvise(block + before, (bytes - before) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
#else
    (void)block, (void)bytes;
#endif
}

static void *default_alloc(void *user, size_t bytes) {
    (void)user;
    char *block = malloc(bytes);
    if (block != NULL) {
        advise_huge(block, bytes);
    }
    return block;
}

static void default_release(void *user, void *block) {
    (void)user;
    free(block);
}

const char *crumb_status_text(crumb_status status) {
    static const char *const text[] = {
        [CRUMB_OK] = "done",
        [CRUMB_ERROR_MEMORY] = "out of memory",
        [CRUMB_ERROR_IO] = "cannot read or write",
        [CRUMB_ERROR_FORMAT] = "bad format",
        [CRUMB_ERROR_ARGUMENT] = "bad argument",
        [CRUMB_ERROR_SHAPE] = "shapes do not fit",
        [CRUMB_ERROR_UNSUPPORTED] = "not supported",
        [CRUMB_ERROR_NUMERIC] = "not a number",
        [CRUMB_ERROR_STOPPED] = "stopped",
    };
    return (size_t)status < sizeof(text) / sizeof(text[0]) ? text[status] : "unknown status";
}

crumb_status crumb_ctx_create(crumb_ctx **out, const crumb_settings *settings) {
    static const crumb_settings none;
    const crumb_settings *given = settings != NULL ? settings : &none;
    *out = NULL;
    uint32_t cpu;
    if (!crumb_cpu_limited(given->cpu_limit, &cpu)) {
        return CRUMB_ERROR_ARGUMENT;
    }
    void *(*alloc)(void *, size_t) = given->alloc != NULL ? given->alloc : default_alloc;
    crumb_ctx *ctx = alloc(given->allocator_user, sizeof(*ctx));
    if (ctx == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memset(ctx, 0, sizeof(*ctx));
    ctx->settings = *given;
    ctx->settings.cpu_limit = NULL; /* borrowed for this call only */
    if (given->alloc == NULL || given->release == NULL) {
        ctx->settings.alloc = default_alloc;
        ctx->settings.release = default_release;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    ctx->threads = given->threads > 0 ? given->threads : processors > 0 ? (int)processors : 1;
    ctx->cpu = cpu;
    *out = ctx;
    return CRUMB_OK;
}

void crumb_ctx_destroy(crumb_ctx *ctx) {
    if (ctx != NULL) {
        ctx->settings.release(ctx->settings.allocator_user, ctx);
    }
}

const char *crumb_message(const crumb_ctx *ctx) {
    return ctx->message;
}

int crumb_threads(const crumb_ctx *ctx) {
    return ctx->threads;
}

uint32_t crumb_cpu(const crumb_ctx *ctx) {
    return ctx->cpu;
}

/* A block is over-allocated by ALIGNMENT; the word before the aligned address holds the address the allocator gave. */
void *crumb_alloc_quiet(crumb_ctx *ctx, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    char *block = ctx->settings.alloc(ctx->settings.allocator_user, bytes + ALIGNMENT + sizeof(void *));
    if (block == NULL) {
        return NULL;
    }
    uintptr_t aligned = ((uintptr_t)block + sizeof(void *) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    ((void **)aligned)[-1] = block;
    memset((void *)aligned, 0, bytes);
    return (void *)aligned;
}

void *crumb_alloc(crumb_ctx *ctx, size_t count, size_t size) {
    void *block = crumb_alloc_quiet(ctx, count, size);
    if (block == NULL) {
        crumb_fail(ctx, CRUMB_ERROR_MEMORY, "out of memory: %zu x %zu bytes refused", count, size);
    }
    return block;
}

void *crumb_resize(crumb_ctx *ctx, void *block, size_t old_count, size_t count, size_t size) {
    void *larger = crumb_alloc(ctx, count, size);
    if (larger != NULL && block != NULL) {
        memcpy(larger, block, (old_count < count ? old_count : count) * size);
        crumb_free(ctx, block);
    }
    return larger;
}

void crumb_free(crumb_ctx *ctx, void *block) {
    if (block != NULL) {
        ctx->settings.release(ctx->settings.allocator_user, ((void **)block)[-1]);
    }
}

char *crumb_copy_text(crumb_ctx *ctx, const char *text) {
    size_t length = strlen(text) + 1;
    char *copy = crumb_alloc(ctx, length, 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
    }
    return copy;
}

/* Messages are one line: control characters that came from a file or an argument are shown as '?'. */
static void one_line(char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 127) {
            *text = '?';
        }
    }
}

crumb_status crumb_fail(crumb_ctx *ctx, crumb_status status, const char *format, ...) {
    char message[MESSAGE_MAX]; /* arguments may point into ctx->message */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    one_line(message);
    memcpy(ctx->message, message, sizeof(message));
    return status;
}

crumb_status crumb_fail_in(crumb_ctx *ctx, crumb_status status, const char *format, ...) {
    char prefix[MESSAGE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof(prefix), format, arguments);
    va_end(arguments);
    char old[MESSAGE_MAX];
    memcpy(old, ctx->message, sizeof(old));
    return crumb_fail(ctx, status, "%s: %.*s", prefix, MESSAGE_MAX / 2 - 8, old);
}

void crumb_log(crumb_ctx *ctx, crumb_log_level level, const char *format, ...) {
    if (ctx->settings.log == NULL) {
        return;
    }
    char line[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ctx->settings.log(ctx->settings.log_user, level, line);
}
