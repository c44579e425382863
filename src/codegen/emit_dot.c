/* Sums of products of a window and a row of weights, and the rows as they lie in flash (see sum.c for the arithmetic).
 *
 * A row is blocks of columns. An index of b bits is the sum of parts of 8, 4, 2 and 1 bits, b in binary (3 = 2 + 1); a block
 * has, for each part from the widest on, the words in which every column has its p bits: a word holds 8 / p cells of four
 * columns, the cell j at shift p (j mod 8 / p), a column's bits in the lowest bits of its byte. So one shift and one mask
 * unpack four weights into four bytes, and a weight takes b bits. The order of a cell's columns in the bytes is what the
 * multiplication wants: FOURS 3 2 1 0, TWOS 2 3 0 1, ONES 0 1 2 3. */
#include "codegen/emit.h"

enum { PARTS_MAX = 4, BYTE = 8 };

static int32_t cells_of(const crumb_codegen_sum *sum) {
    return sum->block / 4;
}

int32_t crumb_emit_block_words(const crumb_codegen_sum *sum) {
    return sum->block * sum->w_bits / 32;
}

/* ---- Rows of weights. */

/* The column of byte b of a cell. */
static int32_t column_of(crumb_codegen_form form, int32_t b) {
    return form == CRUMB_CODEGEN_FOURS ? 3 - b : form == CRUMB_CODEGEN_TWOS ? b ^ 2 : b;
}

/* Word `at` of the part of p bits that begins at bit `shift` of an index; index: of the block's first column. */
static uint32_t word_of(const crumb_codegen_sum *sum, const uint16_t *index, int32_t columns, int32_t p, int32_t shift,
                        int32_t at) {
    uint32_t word = 0;
    for (int32_t j = 0; j < BYTE / p; j++) {
        for (int32_t b = 0; b < 4; b++) {
            int32_t column = 4 * (at * (BYTE / p) + j) + column_of(sum->form, b);
            uint32_t bits = column < columns ? ((uint32_t)index[column] >> shift) & ((1u << p) - 1) : 0;
            word |= bits << (BYTE * b + p * j);
        }
    }
    return word;
}

/* The widest part of what is left of an index's bits: 8, 4, 2 or 1. */
static int32_t part_of(int32_t bits) {
    int32_t p = BYTE;
    while (p > bits) {
        p /= 2;
    }
    return p;
}

static void print_words(crumb_emit *e, const crumb_packed_tensor *weight) {
    const crumb_codegen_sum *sum = &e->stage->sum;
    int64_t at = 0;
    crumb_emit_array_open(e, e->g->node[e->stage->root].name, "weight", 32,
                          (int64_t)weight->rows * sum->blocks * crumb_emit_block_words(sum));
    for (int32_t o = 0; o < weight->rows; o++) {
        crumb_packed_unpack_row(weight, o, e->row);
        for (int32_t block = 0; block < sum->blocks; block++) {
            for (int32_t left = sum->w_bits, p = part_of(left); left > 0; left -= p, p = part_of(left)) {
                for (int32_t w = 0; w < cells_of(sum) / (BYTE / p); w++) {
                    crumb_emit_element(
                        e, 32, word_of(sum, e->row + block * sum->block, weight->columns - block * sum->block, p, left - p, w),
                        at++);
                }
            }
        }
    }
    crumb_emit_array_close(e);
}

int32_t crumb_emit_row_bytes(const crumb_packed_tensor *weight) {
    return (int32_t)(((int64_t)weight->columns * weight->codes.bits + BYTE - 1) / BYTE);
}

/* Element by element: indices one after the other, the first in the lowest bits, rows at bytes. A byte more at the end, since
 * two are read at a time. */
static void print_bytes(crumb_emit *e, const crumb_packed_tensor *weight) {
    int32_t row_bytes = crumb_emit_row_bytes(weight), bits = weight->codes.bits;
    int64_t at = 0;
    crumb_emit_array_open(e, e->g->node[e->stage->root].name, "weight", BYTE, (int64_t)weight->rows * row_bytes + 1);
    for (int32_t o = 0; o < weight->rows; o++) {
        crumb_packed_unpack_row(weight, o, e->row);
        uint32_t held = 0;
        int32_t count = 0;
        for (int32_t i = 0; i < weight->columns; i++) {
            held |= (uint32_t)e->row[i] << count;
            for (count += bits; count >= BYTE || (i == weight->columns - 1 && count > 0); count -= BYTE, held >>= BYTE) {
                crumb_emit_element(e, BYTE, held & 255, at++);
            }
        }
    }
    crumb_emit_element(e, BYTE, 0, at);
    crumb_emit_array_close(e);
}

static void print_offsets(crumb_emit *e) {
    crumb_emit_array_open(e, e->g->node[e->stage->root].name, "offset", -32, e->stage->channels);
    for (int32_t o = 0; o < e->stage->channels; o++) {
        crumb_emit_element(e, -32, crumb_codegen_channel_offset(e->g, e->stage, o, e->row), o);
    }
    crumb_emit_array_close(e);
}

void crumb_emit_weights(crumb_emit *e) {
    const crumb_packed *packed = e->g->packed;
    const crumb_packed_node *node = &packed->node[e->stage->root];
    const crumb_packed_tensor *weight = &packed->tensor[node->weight];
    const char *name = e->g->node[e->stage->root].name;
    if (weight->codes.levels == 0) {
        crumb_emit_reals(e, name, "weight", crumb_packed_floats(packed, node->weight), (int64_t)weight->rows * weight->columns);
    } else if (e->stage->sum.form == CRUMB_CODEGEN_PLAIN || e->stage->sum.form == CRUMB_CODEGEN_REAL) {
        print_bytes(e, weight);
    } else {
        print_words(e, weight);
    }
    if (e->g->node[e->stage->root].computed) {
        crumb_emit_reals(e, name, "multiplier", crumb_packed_floats(packed, node->multiplier), weight->rows);
        crumb_emit_reals(e, name, "bias", crumb_packed_floats(packed, node->bias), weight->rows);
        if (e->stage->sum.offsets) {
            print_offsets(e);
        }
    }
}

/* ---- The sum. */

/* Four bytes with p bits each of cell j, whose part's words begin at `first`. */
static crumb_expression part_lanes(int32_t p, int32_t first, int32_t j) {
    int32_t shift = p * (j % (BYTE / p));
    crumb_expression word = crumb_expression_of("w[%d]", (int)(first + j / (BYTE / p)));
    if (shift > 0) {
        word = crumb_expression_of("%s >> %d", word.text, (int)shift);
    }
    return p == BYTE ? word : crumb_expression_of("(%s & 0x%08xu)", word.text, 0x01010101u * ((1u << p) - 1));
}

/* Four bytes with the indices' lowest eight bits; *ninth gets those with the ninth. */
static crumb_expression lanes_of(const crumb_codegen_sum *sum, int32_t j, crumb_expression *ninth) {
    crumb_expression all = crumb_expression_of("%s", "");
    int32_t first = 0;
    for (int32_t left = sum->w_bits, p = part_of(left); left > 0; left -= p, p = part_of(left)) {
        crumb_expression part = part_lanes(p, first, j);
        first += cells_of(sum) / (BYTE / p);
        if (sum->w_bits > BYTE) { /* 8 + 1: the eight are the upper ones */
            *(p == BYTE ? &all : ninth) = part;
        } else if (left == p) {
            all = all.text[0] == '\0' ? part : crumb_expression_of("%s | %s", all.text, part.text);
        } else {
            all =
                crumb_expression_of(all.text[0] == '\0' ? "%s%s << %d" : "%s | %s << %d", all.text, part.text, (int)(left - p));
        }
    }
    return all;
}

static void print_cell(crumb_emit *e, const crumb_codegen_sum *sum, int32_t j) {
    crumb_text *out = &e->helpers;
    crumb_expression ninth, lanes = lanes_of(sum, j, &ninth);
    if (sum->form == CRUMB_CODEGEN_FOURS) {
        crumb_text_print(out, "        part += x[%d].word * (%s);\n", (int)j, lanes.text);
        return;
    }
    crumb_text_print(out, "        u = x[%d].word;\n        y = %s;\n", (int)j, lanes.text);
    const char *even = "y & 0x00ff00ffu", *odd = "y >> 8 & 0x00ff00ffu";
    if (sum->w_bits > BYTE) {
        crumb_text_print(out, "        z = %s;\n", ninth.text);
        even = "(y & 0x00ff00ffu) << 1 | (z & 0x00ff00ffu)";
        odd = "(y >> 8 & 0x00ff00ffu) << 1 | (z >> 8 & 0x00ff00ffu)";
    }
    if (sum->form == CRUMB_CODEGEN_TWOS) {
        crumb_text_print(out, "        part += (u & 0x00ff00ffu) * (%s);\n        part += (u >> 8 & 0x00ff00ffu) * (%s);\n",
                         even, odd);
    } else {
        crumb_text_print(
            out, "        sum = products(u & 0x00ff00ffu, %s, sum);\n        sum = products(u >> 8 & 0x00ff00ffu, %s, sum);\n",
            even, odd);
    }
}

/* Cells whose products may be added before their sum is taken out of the word's top. */
static int32_t cells_at_a_time(const crumb_codegen_sum *sum) {
    int32_t product = ((1 << sum->x_bits) - 1) * ((1 << sum->w_bits) - 1);
    return sum->form == CRUMB_CODEGEN_FOURS ? 255 / (4 * product) : 65535 / (2 * product) / 2;
}

static void print_block(crumb_emit *e, const crumb_codegen_sum *sum) {
    bool parts = sum->form != CRUMB_CODEGEN_ONES;
    int32_t cells = cells_of(sum), together = parts ? cells_at_a_time(sum) : cells;
    for (int32_t j = 0; j < cells; j++) {
        if (parts && j % together == 0) {
            crumb_text_print(&e->helpers, "        part = 0;\n");
        }
        print_cell(e, sum, j);
        if (parts && (j % together == together - 1 || j == cells - 1)) {
            crumb_text_print(&e->helpers, "        sum += part >> %d;\n", sum->form == CRUMB_CODEGEN_FOURS ? 24 : 16);
        }
    }
}

void crumb_emit_dot(crumb_emit *e, const crumb_codegen_sum *sum) {
    bool *there = &e->dot[sum->x_bits][sum->w_bits];
    if (*there) {
        return;
    }
    *there = true;
    e->uses |= sum->form == CRUMB_CODEGEN_ONES ? CRUMB_EMIT_PRODUCTS : 0;
    crumb_text *out = &e->helpers;
    crumb_text_print(out,
                     "\n/* Sum of the products of a window and a row of weights: %d bits and %d, %d columns a block. */\n"
                     "APART static int32_t dot%dx%d(const cell *x, const uint32_t *w, int32_t blocks) {\n"
                     "    uint32_t sum = 0;\n"
                     "    for (; blocks > 0; blocks--, x += %d, w += %d) {\n",
                     (int)sum->x_bits, (int)sum->w_bits, (int)sum->block, (int)sum->x_bits, (int)sum->w_bits,
                     (int)cells_of(sum), (int)crumb_emit_block_words(sum));
    bool fours = sum->form == CRUMB_CODEGEN_FOURS, ones = sum->form == CRUMB_CODEGEN_ONES;
    if (fours) {
        crumb_text_print(out, "        uint32_t part;\n");
    } else {
        crumb_text_print(out, "        uint32_t u, y%s%s;\n", sum->w_bits > BYTE ? ", z" : "", ones ? "" : ", part");
    }
    print_block(e, sum);
    crumb_text_print(out, "    }\n    return (int32_t)sum;\n}\n");
}
