/* Planning, second half: one arena for activations, gradients, saved data and scratch, laid out by lifetime.
 *
 * Time runs 0 .. 2S - 1 for S steps: step i runs forward at i and backward at 2S - 1 - i. Every block has an interval of time:
 *
 *     activation   from its producer's forward to its last use: the last reader's forward, or the earliest step's backward that `uses` it
 *     gradient     from the backward of its last reader (the first to write it) to its producer's backward
 *     saved        from a step's forward to its backward
 *
 * Blocks whose intervals meet must not overlap in space. They are placed largest first, each at the lowest offset that is
 * free for its whole interval (first fit decreasing: no optimum, within a few per cent of the peak on networks that are chains with
 * shortcuts). Inputs, logits and the loss live throughout. Behind the blocks come the scratch of the hungriest step and the parameters'
 * gradients, which are one contiguous stretch. */
#include "graph/exec_plan.h"

#include <stdlib.h>
#include <string.h>

typedef struct block {
    size_t bytes, *at; /* where the offset goes */
    int from, to;      /* interval, inclusive */
    size_t offset;
} block;

enum { ALIGNMENT = 64 };

static size_t align(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t value_bytes(const exec_value *value) {
    return align((size_t)crumb_shape_count(value->shape) * sizeof(float));
}

static int backward_time(const crumb_exec *exec, int step) {
    return 2 * exec->steps - 1 - step;
}

/* When `value` is read for the last time. */
static int last_use(const crumb_exec *exec, int value) {
    const exec_value *v = &exec->value[value];
    int last = v->producer >= 0 ? v->producer : 0;
    if (v->producer >= 0 && exec->step[v->producer].backward && (exec->step[v->producer].plan.uses & CRUMB_USES_OUTPUT) != 0) {
        last = backward_time(exec, v->producer);
    }
    for (int i = 0; i < exec->steps; i++) {
        const exec_step *step = &exec->step[i];
        for (int k = 0; k < step->inputs; k++) {
            if (step->input[k] == value) {
                bool again = step->backward && (step->plan.uses & (1u << k)) != 0;
                int time = again ? backward_time(exec, i) : i;
                last = time > last ? time : last;
            }
        }
    }
    return last;
}

static int largest_first(const void *a, const void *b) {
    const block *p = a, *q = b;
    if (p->bytes != q->bytes) {
        return p->bytes < q->bytes ? 1 : -1;
    }
    return p->from != q->from ? (p->from > q->from ? 1 : -1) : (p->at > q->at) - (p->at < q->at);
}

static int lowest_first(const void *a, const void *b) {
    size_t p = (*(const block *const *)a)->offset, q = (*(const block *const *)b)->offset;
    return (p > q) - (p < q);
}

/* First fit: walk the placed blocks that live at the same time in order of offset until a gap is wide enough. */
static size_t place(block *blocks, int count, const block **busy) {
    size_t end = 0;
    qsort(blocks, (size_t)count, sizeof(*blocks), largest_first);
    for (int i = 0; i < count; i++) {
        int n = 0;
        for (int j = 0; j < i; j++) {
            if (blocks[j].from <= blocks[i].to && blocks[i].from <= blocks[j].to) {
                busy[n++] = &blocks[j];
            }
        }
        qsort(busy, (size_t)n, sizeof(*busy), lowest_first);
        size_t offset = 0;
        for (int j = 0; j < n && offset + blocks[i].bytes > busy[j]->offset; j++) {
            size_t after = busy[j]->offset + busy[j]->bytes;
            offset = after > offset ? after : offset;
        }
        blocks[i].offset = offset;
        *blocks[i].at = offset;
        end = offset + blocks[i].bytes > end ? offset + blocks[i].bytes : end;
    }
    return end;
}

static void add_block(block *blocks, int *count, size_t bytes, int from, int to, size_t *at) {
    if (bytes != 0) {
        blocks[(*count)++] = (block){.bytes = bytes, .at = at, .from = from, .to = to};
    }
}

static int collect(crumb_exec *exec, block *blocks) {
    int count = 0, end = 2 * exec->steps;
    for (int v = 0; v < exec->graph->values; v++) {
        exec_value *value = &exec->value[v];
        crumb_value_kind kind = exec->graph->value[v].kind;
        value->stored |= kind == CRUMB_VALUE_INPUT;
        if (!value->stored) {
            continue;
        }
        bool throughout = kind == CRUMB_VALUE_INPUT || v == exec->graph->logits || v == exec->loss || exec->options.keep;
        int from = throughout ? 0 : value->producer, to = throughout ? end : last_use(exec, v);
        value->kept = throughout || to >= exec->steps;
        add_block(blocks, &count, value_bytes(value), from, to, &value->at);
        if (exec->options.backward && value->wants_gradient && kind == CRUMB_VALUE_NODE) {
            int reader = value->last_reader >= 0 ? value->last_reader : value->producer;
            value->has_gradient = true;
            add_block(blocks, &count, value_bytes(value), backward_time(exec, reader), backward_time(exec, value->producer),
                      &value->gradient_at);
        }
    }
    for (int i = 0; i < exec->steps; i++) {
        exec_step *step = &exec->step[i];
        add_block(blocks, &count, align(step->plan.saved), i, step->backward ? backward_time(exec, i) : i, &step->saved_at);
    }
    return count;
}

static void place_scratch_and_gradients(crumb_exec *exec) {
    size_t scratch = 0;
    for (int i = 0; i < exec->steps; i++) {
        scratch = exec->step[i].plan.scratch > scratch ? exec->step[i].plan.scratch : scratch;
    }
    exec->scratch_at = exec->bytes;
    exec->bytes += align(scratch);
    exec->gradients_at = exec->bytes;
    for (int v = 0; v < exec->graph->values; v++) {
        exec_value *value = &exec->value[v];
        if (exec->options.backward && value->wants_gradient && exec->graph->value[v].kind == CRUMB_VALUE_PARAM) {
            value->has_gradient = true;
            value->gradient_at = exec->bytes;
            exec->bytes += value_bytes(value);
        }
    }
    exec->gradient_bytes = exec->bytes - exec->gradients_at;
}

crumb_status crumb_exec_plan_memory(crumb_exec *exec) {
    size_t room = 2 * (size_t)exec->graph->values + (size_t)exec->steps + 1;
    block *blocks = crumb_alloc(exec->ctx, room, sizeof(*blocks));
    const block **busy = crumb_alloc(exec->ctx, room, sizeof(*busy));
    if (blocks != NULL && busy != NULL) {
        exec->bytes = place(blocks, collect(exec, blocks), busy);
        place_scratch_and_gradients(exec);
        exec->arena = crumb_alloc(exec->ctx, exec->bytes + 1, 1);
    }
    crumb_free(exec->ctx, blocks);
    crumb_free(exec->ctx, busy);
    return exec->arena != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}
