/* A network on an Arm MPS2 board with a Cortex-M4 (AN386), as qemu emulates it: images with the logits that they must give are
 * linked in (images.h, from board_images.c), and what comes of it is said by semihosting. Nothing else is there: no C library.
 */
#include "images.h"
#include "net.h"

#include <stddef.h>

/* ---- From reset to main. */

extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];

void reset(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handler[15])(void);
} vectors = {stack_top, {reset}};

enum { WRITE = 0x04, EXIT = 0x18, EXIT_GOOD = 0x20026, EXIT_BAD = 0x20024 };

static void semihost(uint32_t operation, uint32_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uint32_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

/* What compilers call on their own. */
void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    for (volatile uint8_t *t = to, *f = (uint8_t *)(uintptr_t)from; count > 0; count--) {
        *t++ = *f++;
    }
    return to;
}

void *memset(void *to, int value, size_t count) {
    for (volatile uint8_t *t = to; count > 0; count--) {
        *t++ = (uint8_t)value;
    }
    return to;
}

/* ---- Words. */

static void say(const char *text) {
    semihost(WRITE, (uint32_t)(uintptr_t)text);
}

static void say_number(const char *name, uint32_t value) {
    char digits[12];
    int at = 11;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
    } while (value /= 10);
    say(name);
    say(" ");
    say(&digits[at]);
    say("\n");
}

/* ---- Instructions and stack of a run. With -icount shift=0 an instruction takes a nanosecond, and the system timer counts the
 * 40 that a clock of 25 MHz takes. */

#define TIMER ((volatile uint32_t *)0xe000e010)
enum { TIMER_MAX = 0xffffff, A_TICK = 40, PAINTED = 1024 };

static uint32_t run(const uint8_t *pixels, float *logits) {
    TIMER[1] = TIMER_MAX;
    TIMER[2] = 0;
    TIMER[0] = 5;
    net_run(pixels, logits);
    return (TIMER_MAX - TIMER[2]) * A_TICK;
}

/* What lies below the stack pointer is filled with a pattern; what is gone of it after a run was used. */
static uint32_t stack_bytes(const uint8_t *pixels, float *logits) {
    volatile uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (int i = 1; i <= PAINTED; i++) {
        top[-i] = 0xdeadbeef;
    }
    net_run(pixels, logits);
    int deepest = PAINTED;
    while (deepest > 0 && top[-deepest] == 0xdeadbeef) {
        deepest--;
    }
    return 4u * (uint32_t)deepest;
}

static uint32_t differing(const float *logits, const uint32_t *wanted) {
    uint32_t count = 0;
    for (int i = 0; i < NET_CLASSES; i++) {
        union {
            float real;
            uint32_t bits;
        } got = {logits[i]};
        count += got.bits != wanted[i];
    }
    return count;
}

static uint32_t check(void) {
    static float logits[NET_CLASSES];
    uint32_t instructions = 0, wrong = 0;
    for (int n = 0; n < IMAGES; n++) {
        instructions = run(image[n], logits);
        wrong += differing(logits, wanted[n]);
    }
    say_number("images", IMAGES);
    say_number("instructions", instructions);
    say_number("stack", stack_bytes(image[0], logits));
    say_number("differing", wrong);
    return wrong;
}

void reset(void) {
    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; /* the floating-point unit */
    __asm__ volatile("dsb\n\tisb");
    memcpy(data_begin, data_from, (size_t)(data_end - data_begin) * sizeof(uint32_t));
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin) * sizeof(uint32_t));
    semihost(EXIT, check() == 0 ? EXIT_GOOD : EXIT_BAD);
    for (;;) {
    }
}
