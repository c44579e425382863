/* The timeline and the strategies that rewrite it: one file in strategies/ and one row in strategies.inc.
 *
 * A run is a list of phases. A recipe starts with one; each strategy, in the recipe's order, takes the list and returns a list,
 * so strategies compose like functions and none knows another. While a phase runs, every strategy's hooks are called in the
 * same order. */
#ifndef CRUMB_STRATEGY_H
#define CRUMB_STRATEGY_H

#include "quant/quantizer.h"
#include "train/optim.h"

enum { CRUMB_PHASES_MAX = 256, CRUMB_STRATEGIES_MAX = 8, CRUMB_STRATEGY_PARAMS_MAX = 2048 };

typedef struct crumb_phase {
    char name[64];
    crumb_quant_policy quant; /* quantizer NULL everywhere = float */
    crumb_optimizer_choice optimizer;
    crumb_schedule_choice schedule;
    int64_t epochs;
    bool keep_optimizer; /* go on with the slots of the phase before; else they start at zero */
    bool reestimate;     /* recompute batch-norm statistics over one pass before the phase's first evaluation */
    /* tag[run->index] is that strategy's own mark (stage number, cycle number), 0 in phases it does not know. A strategy that
     * copies phases leaves the others' marks in them, so that one may cut up what another has made. */
    int tag[CRUMB_STRATEGIES_MAX];
    char note[128]; /* what the timeline adds in words; see crumb_phase_note */
} crumb_phase;

typedef struct crumb_timeline {
    bool trained; /* the first phase starts from trained weights */
    int phases;
    crumb_phase phase[CRUMB_PHASES_MAX];
} crumb_timeline;

typedef struct crumb_trainer crumb_trainer;
typedef struct crumb_strategy crumb_strategy;

struct crumb_strategy_tensor {
    char name[192];
    float *data;
    int64_t count;
};

/* A strategy in a run. */
typedef struct crumb_strategy_run {
    const crumb_strategy *strategy;
    int index; /* position in the recipe: its random stream and checkpoint section */
    _Alignas(16) unsigned char params[CRUMB_STRATEGY_PARAMS_MAX];
    void *state; /* strategy->state_size bytes, zeroed at the start, saved in checkpoints as they are */
    int tensors; /* named float buffers, saved in checkpoints; see crumb_strategy_tensor */
    struct crumb_strategy_tensor *tensor;
    void *scratch; /* see crumb_strategy_scratch */
    size_t scratch_size;
} crumb_strategy_run;

struct crumb_strategy {
    const char *name; /* "sqwa" */
    const char *doc;
    const char *about; /* what it makes of a timeline and of a run, in a few sentences; NULL: nothing more to say */
    const char *source;
    const crumb_param *params;
    size_t params_size;
    size_t state_size;
    /* All optional. `run` is this strategy's own object. A run that goes on from a checkpoint finds state and tensors as they
     * were and gets no second begin_phase; pointers into either must be set again in before_forward, and what must stand before
     * the next step (bits of sites) in resume. */
    crumb_status (*rewrite)(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline);
    /* The phase's network is built, its values are loaded. */
    crumb_status (*begin_phase)(crumb_strategy_run *run, crumb_trainer *trainer);
    crumb_status (*resume)(crumb_strategy_run *run, crumb_trainer *trainer); /* a checkpoint has been loaded into the phase */
    crumb_status (*before_forward)(crumb_strategy_run *run, crumb_trainer *trainer); /* draw masks, project weights */
    /* Regularisers: add to gradients, and what it costs to *extra_loss. */
    crumb_status (*add_gradient)(crumb_strategy_run *run, crumb_trainer *trainer, double *extra_loss);
    crumb_status (*after_step)(crumb_strategy_run *run, crumb_trainer *trainer); /* capture, measure; the step is counted */
    /* Rewrite weights. Comes before the phase's last evaluation, so that what is measured and saved is what the phase leaves.
     */
    crumb_status (*end_phase)(crumb_strategy_run *run, crumb_trainer *trainer);
};

#define CRUMB_STRATEGY(name) extern const crumb_strategy crumb_strategy_##name;
#include "train/strategies.inc"
#undef CRUMB_STRATEGY
extern const crumb_strategy *const crumb_strategies[]; /* NULL-terminated */

/* Buffer of a strategy by name, made (zeroed) at first use; NULL when out of memory (message set). */
float *crumb_strategy_tensor(crumb_ctx *ctx, crumb_strategy_run *run, const char *name, int64_t count);
/* Working memory of at least `size` bytes that no checkpoint saves, the same block at each call: what is in it is gone when
 * somebody else has used it. NULL when out of memory (message set). */
void *crumb_strategy_scratch(crumb_ctx *ctx, crumb_strategy_run *run, size_t size);

/* ---- For rewriting timelines (timeline.c). */

/* True if any layer's weights may be quantized in it. */
bool crumb_phase_has_weights(const crumb_phase *phase);
/* Makes `count` equal phases out of the one at `at`; but what happens once (reestimate, keep_optimizer) the first one keeps for
 * itself. ARGUMENT if there is no room. */
crumb_status crumb_timeline_repeat(crumb_ctx *ctx, crumb_timeline *timeline, int at, int count);
/* Names a phase, printed; the name that another strategy gave it before stays in front: "sq-100/sqwa-tune". */
void crumb_phase_name(crumb_phase *phase, const char *format, ...) CRUMB_PRINTF(2, 3);
/* Adds a remark, printed, to what the timeline says of the phase. */
void crumb_phase_note(crumb_phase *phase, const char *format, ...) CRUMB_PRINTF(2, 3);

#endif
