/* CRC-32C: polynomial 0x1edc6f41, bits reversed. Long data goes eight bytes at a time through eight tables (Kounavis and Berry,
 * "slicing by 8", 2005): table[k][b] is what byte b does to the sum when k more bytes follow it, so the eight look-ups of a
 * word are independent. The tables are made anew for each call, some 2^12 steps; short data goes bit
 * by bit. */
#include "base/crc32c.h"

#include <string.h>

enum { SLICES = 8, LONG = 1024 };

static inline uint32_t after_byte(uint32_t crc) {
    for (int bit = 0; bit < 8; bit++) {
        crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

static void make_tables(uint32_t table[SLICES][256]) {
    for (uint32_t b = 0; b < 256; b++) {
        table[0][b] = after_byte(b);
    }
    for (uint32_t i = 256; i < 256 * SLICES; i++) {
        uint32_t before = table[i / 256 - 1][i % 256];
        table[i / 256][i % 256] = before >> 8 ^ table[0][before & 255];
    }
}

static uint32_t sum_words(uint32_t crc, const uint8_t *bytes, size_t words) {
    uint32_t table[SLICES][256];
    make_tables(table);
    for (size_t i = 0; i < words; i++) {
        const uint8_t *at = bytes + i * SLICES;
        uint8_t low[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
        crc = table[7][low[0] ^ at[0]] ^ table[6][low[1] ^ at[1]] ^ table[5][low[2] ^ at[2]] ^ table[4][low[3] ^ at[3]] ^
              table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
    }
    return crc;
}

uint32_t crumb_crc32c(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t crc = 0xffffffffu;
    size_t words = size >= LONG ? size / SLICES : 0;
    if (words > 0) {
        crc = sum_words(crc, bytes, words);
    }
    for (size_t i = words * SLICES; i < size; i++) {
        crc = after_byte(crc ^ bytes[i]);
    }
    return ~crc;
}
