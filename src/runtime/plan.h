/* A packed network made ready: a list of steps over buffers in one arena.
 *
 * A step has a source, which makes elements - a convolution, a pool, a load from memory - and a chain (chain.h), which does
 * what follows and stores what others read. The planner walks the nodes in order and puts each behind the source that its input
 * comes from, if all else that it needs is there by then; what a chain cannot take along begins a step of its own. A value is
 * stored if a later step reads it. Nodes that only look at a value in another way (subsample, pad, dequantize) make no step:
 * their readers look through them (crumb_view).
 *
 * The arena is laid out for one image, by lifetimes; a session that works on n images at a time multiplies every offset by n,
 * for values are dense stacks. */
#ifndef CRUMB_PLAN_H
#define CRUMB_PLAN_H

#include "runtime/kernel.h"
#include "runtime/vector.h"

/* A value in memory: floats, or an index a byte. */
typedef struct crumb_buffer {
    int32_t value;
    size_t pixel;       /* bytes */
    size_t bytes;       /* of one image, rounded up to 64 */
    size_t offset;      /* in the arena */
    int32_t born, dies; /* steps that first write and last read it */
} crumb_buffer;

typedef struct crumb_work crumb_work;
/* Makes rows row0 .. row1 - 1 of the stack of outputs, channels o0 .. o1 - 1, and hands them to the step's chain. */
typedef void crumb_step_source(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1);
crumb_step_source crumb_step_image, crumb_step_memory, crumb_step_conv, crumb_step_max_pool, crumb_step_max_pool_index,
    crumb_step_average_pool, crumb_step_global_average_pool, crumb_step_concat, crumb_step_flatten, crumb_step_gather,
    crumb_step_constant, crumb_step_function;

typedef struct crumb_step {
    crumb_step_source *source;
    int32_t node;                                   /* the first one in it; -1: the image */
    int32_t height, width, channels;                /* of what the source makes */
    int32_t inputs, input[CRUMB_PACKED_INPUTS_MAX]; /* buffers that the source reads */
    int32_t first, links;                           /* in plan->link */
    crumb_conv_ready conv;
    int32_t *thresholds; /* of CRUMB_LINK_COUNT; the plan frees them */
} crumb_step;

struct crumb_plan {
    crumb_ctx *ctx;
    const crumb_packed *packed;
    const crumb_vector *vector;
    int32_t steps, links, buffers;
    crumb_step *step;
    crumb_link *link;
    crumb_buffer *buffer;
    int32_t *buffer_of;                       /* of each value, -1: never in memory */
    size_t arena;                             /* bytes for one image */
    size_t scratch;                           /* bytes for each thread */
    float pixel[CRUMB_PACKED_PIXEL_MAX][256]; /* what 8-bit pixels become */
    uint8_t *pixel_index; /* [channel][256], what the image's chain stores of them; NULL: more than one index */
    char *text;
};

/* One thread at one step: what a source may see. */
struct crumb_work {
    const crumb_plan *plan;
    const crumb_step *step;
    crumb_chain *chain;
    uint8_t *arena;
    int32_t room;          /* images that the arena has room for */
    int32_t images;        /* that there are */
    const float *reals;    /* the images, or */
    const uint8_t *pixels; /* as 8-bit pixels; the other is NULL */
    void *scratch;
};

static inline uint8_t *crumb_buffer_at(const crumb_plan *plan, uint8_t *arena, int32_t room, int32_t buffer) {
    return arena + plan->buffer[buffer].offset * (size_t)room;
}

/* With keep every value has memory of its own, so that crumb_session_value can show it after a run. */
crumb_status crumb_plan_make(crumb_packed *packed, bool keep, crumb_plan **plan);

/* The planner's parts. Steps, links and buffers; kernels; offsets; the text. */
crumb_status crumb_plan_steps(crumb_plan *plan, bool keep);
crumb_status crumb_plan_kernels(crumb_plan *plan);
/* Shortens the chain of a step where that changes no bit; tabulates the image's for 8-bit pixels (plan_shorten.c). */
crumb_status crumb_plan_shorten(crumb_plan *plan, crumb_step *step);
crumb_status crumb_plan_tabulate(crumb_plan *plan);
void crumb_plan_arena(crumb_plan *plan, bool keep);
crumb_status crumb_plan_print(crumb_plan *plan);

/* Elements of a strip that sources other than convolutions make at a time, if a pixel has no more. */
enum { CRUMB_STRIP = 2048 };

#endif
