/* What every strategy of a run has: its hooks called in the recipe's order, its named buffers. */
#include "train/trainer_parts.h"

#include <stdio.h>
#include <string.h>

typedef crumb_status (*hook)(crumb_strategy_run *run, crumb_trainer *trainer);

/* The status of a hook, whose message then says whose it was. */
static crumb_status of(const crumb_strategy_run *run, const crumb_trainer *trainer, crumb_status status) {
    return status == CRUMB_OK ? status : crumb_fail_in(trainer->ctx, status, "strategy %s", run->strategy->name);
}

static crumb_status call(crumb_strategy_run *run, crumb_trainer *trainer, hook run_hook) {
    return run_hook != NULL ? of(run, trainer, run_hook(run, trainer)) : CRUMB_OK;
}

crumb_status crumb_strategies_begin_phase(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(call(&trainer->strategy[i], trainer, trainer->strategy[i].strategy->begin_phase));
    }
    return CRUMB_OK;
}

crumb_status crumb_strategies_resume(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(call(&trainer->strategy[i], trainer, trainer->strategy[i].strategy->resume));
    }
    return CRUMB_OK;
}

crumb_status crumb_strategies_before_forward(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(call(&trainer->strategy[i], trainer, trainer->strategy[i].strategy->before_forward));
    }
    return CRUMB_OK;
}

crumb_status crumb_strategies_add_gradient(crumb_trainer *trainer, double *extra_loss) {
    *extra_loss = 0;
    for (int i = 0; i < trainer->strategies; i++) {
        crumb_strategy_run *run = &trainer->strategy[i];
        double part = 0;
        if (run->strategy->add_gradient != NULL) {
            CRUMB_TRY(of(run, trainer, run->strategy->add_gradient(run, trainer, &part)));
        }
        *extra_loss += part;
    }
    return CRUMB_OK;
}

crumb_status crumb_strategies_after_step(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(call(&trainer->strategy[i], trainer, trainer->strategy[i].strategy->after_step));
    }
    return CRUMB_OK;
}

crumb_status crumb_strategies_end_phase(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(call(&trainer->strategy[i], trainer, trainer->strategy[i].strategy->end_phase));
    }
    return CRUMB_OK;
}

/* The tensor of that name, appended empty if there is none; NULL when out of memory. */
static struct crumb_strategy_tensor *named_tensor(crumb_ctx *ctx, crumb_strategy_run *run, const char *name) {
    for (int i = 0; i < run->tensors; i++) {
        if (strcmp(run->tensor[i].name, name) == 0) {
            return &run->tensor[i];
        }
    }
    struct crumb_strategy_tensor *more =
        crumb_resize(ctx, run->tensor, (size_t)run->tensors, (size_t)run->tensors + 1, sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    run->tensor = more;
    snprintf(more[run->tensors].name, sizeof(more->name), "%s", name);
    return &more[run->tensors++];
}

float *crumb_strategy_tensor(crumb_ctx *ctx, crumb_strategy_run *run, const char *name, int64_t count) {
    struct crumb_strategy_tensor *tensor = named_tensor(ctx, run, name);
    if (tensor == NULL || (tensor->data != NULL && tensor->count == count)) {
        return tensor != NULL ? tensor->data : NULL;
    }
    crumb_free(ctx, tensor->data); /* another size than before: a new buffer */
    tensor->data = crumb_alloc(ctx, (size_t)count, sizeof(float));
    tensor->count = tensor->data != NULL ? count : 0;
    return tensor->data;
}

void *crumb_strategy_scratch(crumb_ctx *ctx, crumb_strategy_run *run, size_t size) {
    if (size > run->scratch_size || run->scratch == NULL) {
        crumb_free(ctx, run->scratch);
        run->scratch = crumb_alloc(ctx, size + 1, 1);
        run->scratch_size = run->scratch != NULL ? size : 0;
    }
    return run->scratch;
}

void crumb_strategy_close(crumb_ctx *ctx, crumb_strategy_run *run) {
    for (int i = 0; i < run->tensors; i++) {
        crumb_free(ctx, run->tensor[i].data);
    }
    crumb_free(ctx, run->tensor);
    crumb_free(ctx, run->scratch);
    crumb_free(ctx, run->state);
}
