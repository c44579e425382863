/* How a convolution on codes is summed. With code(x) = mx x + ox and code(w) = mw w + ow, x and w indices, padding an index
 * that has the code 0,
 *
 *     accumulator = mx V + ox sum code(w),     V = sum x code(w) = ow sum x + mw sum x w
 *
 * The last sum of the first equation is a number for each channel, sum x one for each window; what remains is sum x w over
 * unsigned integers of few bits, for which words are used as polynomials: the product of
 *
 *     x0 + x1 B + x2 B^2 + x3 B^3   and   w3 + w2 B + w1 B^2 + w0 B^3,     B = 2^8
 *
 * has x0 w0 + x1 w1 + x2 w2 + x3 w3 in front of B^3: the top byte of a 32-bit product, which drops what is above. Below it no
 * coefficient may carry, so 4 x_max w_max <= 255: FOURS, for 2 bits times 2, 1 times 5, 3 times 3. TWOS is the same with B =
 * 2^16 and two terms, for 8 bits times 6; two such products make a cell of four columns. Several products are added before the
 * top is taken out, as many as fit.
 *
 * On a Cortex-M4 (gcc 12, -O2) the inner loop of 2 bits times 2 takes 20 instructions for 16 products, FOURS; that of 8 bits
 * times 8, 12 for 4, ONES. */
#include "codegen/codegen.h"

static int32_t bits_of(int32_t largest) {
    return crumb_packed_bits(largest + 1);
}

/* Columns of a block: all words of a block are full. Its parts have 8, 4, 2 and 1 bits (emit_dot.c), the smallest decides. */
static int32_t block_of(int32_t bits) {
    return 32 / (bits & -bits);
}

static crumb_codegen_form form_of(int32_t x_bits, int32_t w_bits) {
    int32_t product = ((1 << x_bits) - 1) * ((1 << w_bits) - 1);
    return 4 * product <= 255 ? CRUMB_CODEGEN_FOURS : 4 * product <= 65535 ? CRUMB_CODEGEN_TWOS : CRUMB_CODEGEN_ONES;
}

static int64_t magnitude(int64_t value) {
    return value < 0 ? -value : value;
}

/* V and its parts fit into int32, and padding has an index. */
static bool fits(const crumb_packed_node *node, const crumb_packed_codes *x, const crumb_packed_codes *w, int64_t columns) {
    int64_t reach = columns * (x->levels - 1);
    int64_t most = x->multiply * crumb_packed_reach(w);
    most = most > magnitude(w->offset) ? most : magnitude(w->offset);
    most = most > (int64_t)w->multiply * ((1 << w->bits) - 1) ? most : (int64_t)w->multiply * ((1 << w->bits) - 1);
    bool padding =
        node->padding == 0 || (x->offset <= 0 && -x->offset % x->multiply == 0 && -x->offset / x->multiply < x->levels);
    return padding && reach * most <= INT32_MAX;
}

static bool is_direct(const crumb_codegen *g, const crumb_codegen_stage *stage, const crumb_codegen_sum *sum) {
    const crumb_packed_node *node = &g->packed->node[stage->root];
    const crumb_codegen_value *x = &g->value[crumb_codegen_input(g, stage->root, 0)];
    bool pixel = node->kernel_height == 1 && node->kernel_width == 1;
    bool image = node->kernel_height == x->height && node->kernel_width == x->width && node->dilation == 1;
    return (pixel || image) && node->padding == 0 && node->groups == 1 && sum->columns % sum->block == 0 &&
           x->where == CRUMB_CODEGEN_ARENA;
}

static void choose(const crumb_codegen *g, crumb_codegen_stage *stage) {
    const crumb_packed_node *node = &g->packed->node[stage->root];
    const crumb_codegen_value *value = &g->value[crumb_codegen_input(g, stage->root, 0)];
    const crumb_packed_codes *x = &value->codes, *w = &g->packed->tensor[node->weight].codes;
    crumb_codegen_sum *sum = &stage->sum;
    sum->columns = g->packed->tensor[node->weight].columns;
    sum->w_bits = w->bits;
    sum->multiply = 1;
    if (!crumb_codegen_is_codes(value)) {
        sum->form = CRUMB_CODEGEN_REAL;
        return;
    }
    if (!fits(node, x, w, sum->columns)) {
        sum->form = CRUMB_CODEGEN_PLAIN;
        sum->high = (int64_t)sum->columns * crumb_packed_reach(x) * crumb_packed_reach(w);
        sum->low = -sum->high;
        return;
    }
    sum->x_bits = bits_of(x->levels - 1);
    sum->form = form_of(sum->x_bits, sum->w_bits);
    sum->block = block_of(sum->w_bits);
    sum->blocks = (sum->columns + sum->block - 1) / sum->block;
    sum->outside = -x->offset / x->multiply;
    int64_t low = crumb_packed_code(w, 0), high = crumb_packed_code(w, w->levels - 1);
    sum->low = (int64_t)sum->columns * (x->levels - 1) * (low < 0 ? low : 0);
    sum->high = (int64_t)sum->columns * (x->levels - 1) * (high > 0 ? high : 0);
    sum->multiply = x->multiply;
    sum->offsets = x->offset != 0;
    sum->direct = is_direct(g, stage, sum);
    sum->whole = value->where == CRUMB_CODEGEN_ARENA && value->channels / node->groups % 4 == 0;
    sum->cells = sum->direct ? 0 : sum->blocks * sum->block / 4;
}

void crumb_codegen_sums(crumb_codegen *g) {
    for (int32_t s = 0; s < g->stages; s++) {
        if (g->stage[s].root >= 0 && g->packed->node[g->stage[s].root].op == CRUMB_PACKED_CONV2D) {
            choose(g, &g->stage[s]);
        }
    }
}

int64_t crumb_codegen_channel_offset(const crumb_codegen *g, const crumb_codegen_stage *stage, int32_t o, uint16_t *row) {
    const crumb_packed_tensor *weight = &g->packed->tensor[g->packed->node[stage->root].weight];
    int64_t sum = 0;
    if (!stage->sum.offsets) {
        return 0;
    }
    crumb_packed_unpack_row(weight, o, row);
    for (int32_t i = 0; i < weight->columns; i++) {
        sum += crumb_packed_code(&weight->codes, row[i]);
    }
    return sum * g->value[crumb_codegen_input(g, stage->root, 0)].codes.offset;
}
