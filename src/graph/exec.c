/* Running a plan: forward is the list of steps, backward the list reversed. */
#include "graph/exec.h"

#include "base/threads.h"
#include "graph/exec_plan.h"

#include <stdio.h>
#include <string.h>

/* ---- Binding: pointers of every step's call, once. */

static float *value_data(const crumb_exec *exec, int value) {
    float *own = exec->graph->value[value].data;
    return own != NULL ? own : exec->value[value].stored ? (float *)(void *)(exec->arena + exec->value[value].at) : NULL;
}

static float *gradient_data(const crumb_exec *exec, int value) {
    return exec->value[value].has_gradient ? (float *)(void *)(exec->arena + exec->value[value].gradient_at) : NULL;
}

/* In backward order the first writer of a gradient overwrites, the others add. */
static void bind_gradients(crumb_exec *exec, exec_step *step, bool *written) {
    for (int k = 0; k < step->inputs; k++) {
        int value = step->input[k];
        float *dx = step->backward && step->query.wants_dx[k] ? gradient_data(exec, value) : NULL;
        step->run.dx[k] = dx;
        step->run.add[k] = dx != NULL && written[value];
        written[value] |= dx != NULL;
    }
}

static void bind_step(crumb_exec *exec, exec_step *step) {
    crumb_run_call *run = &step->run;
    run->query = &step->query;
    run->state = step->plan.state;
    run->saved = step->plan.saved != 0 ? exec->arena + step->saved_at : NULL;
    run->scratch = step->plan.scratch != 0 ? exec->arena + exec->scratch_at : NULL;
    run->y = value_data(exec, step->output);
    run->dy = gradient_data(exec, step->output);
    for (int k = 0; k < step->inputs; k++) {
        run->x[k] = value_data(exec, step->input[k]);
    }
    if (step->row == NULL) { /* a reference step has one node: external inputs are its inputs in order */
        crumb_op_call *call = &step->call;
        *call = (crumb_op_call){.params = exec->graph->node[step->first].params, .inputs = step->inputs};
        for (int k = 0; k < step->inputs; k++) {
            call->x[k] = (crumb_tensor){exec->value[step->input[k]].shape, run->x[k]};
            call->dx[k] = run->dx[k];
            call->add[k] = run->add[k];
        }
        call->y = (crumb_tensor){exec->value[step->output].shape, run->y};
        call->dy = run->dy;
        call->saved = run->saved;
        call->scratch = run->scratch;
    }
}

static crumb_status bind(crumb_exec *exec) {
    bool *written = crumb_alloc(exec->ctx, (size_t)exec->graph->values + 1, sizeof(*written));
    if (written == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = exec->steps - 1; i >= 0; i--) {
        bind_gradients(exec, &exec->step[i], written);
        bind_step(exec, &exec->step[i]);
    }
    crumb_free(exec->ctx, written);
    return CRUMB_OK;
}

crumb_status crumb_exec_create(crumb_graph *graph, const crumb_exec_options *options, crumb_exec **out) {
    crumb_ctx *ctx = graph->ctx;
    if (options->batch < 1) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "batch of %lld images", (long long)options->batch);
    }
    crumb_exec *exec = crumb_alloc(ctx, 1, sizeof(*exec));
    if (exec == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    exec->ctx = ctx;
    exec->graph = graph;
    exec->options = *options;
    exec->value = crumb_alloc(ctx, (size_t)graph->values + 1, sizeof(*exec->value));
    crumb_threads_begin(ctx);
    crumb_status status = exec->value != NULL ? crumb_exec_plan_steps(exec) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        status = crumb_exec_plan_memory(exec);
    }
    if (status == CRUMB_OK) {
        status = bind(exec);
    }
    if (status != CRUMB_OK) {
        crumb_exec_destroy(exec);
        return status;
    }
    *out = exec;
    return CRUMB_OK;
}

void crumb_exec_destroy(crumb_exec *exec) {
    if (exec == NULL) {
        return;
    }
    for (int i = 0; i < exec->steps; i++) {
        if (exec->step[i].row != NULL && exec->step[i].row->release != NULL) {
            exec->step[i].row->release(exec->ctx, exec->step[i].plan.state);
        }
    }
    crumb_free(exec->ctx, exec->step);
    crumb_free(exec->ctx, exec->value);
    crumb_free(exec->ctx, exec->arena);
    crumb_free(exec->ctx, exec);
}

/* ---- Looking in. */

float *crumb_exec_value(crumb_exec *exec, int value) {
    return exec->value[value].kept || exec->graph->value[value].data != NULL ? value_data(exec, value) : NULL;
}

crumb_shape crumb_exec_shape(const crumb_exec *exec, int value) {
    return exec->value[value].shape;
}

float *crumb_exec_gradient(crumb_exec *exec, int value) {
    return exec->graph->value[value].kind == CRUMB_VALUE_PARAM ? gradient_data(exec, value) : NULL;
}

size_t crumb_exec_bytes(const crumb_exec *exec) {
    return exec->bytes;
}

/* ---- Running. */

void crumb_exec_forward(crumb_exec *exec, bool training, uint64_t seed, uint64_t step_number) {
    crumb_threads_begin(exec->ctx);
    for (int i = 0; i < exec->steps; i++) {
        exec_step *step = &exec->step[i];
        for (int j = 0; j < step->nodes; j++) {
            step->run.rng[j] = crumb_rng_at(seed, step_number, (uint64_t)(step->first + j));
        }
        if (step->row != NULL) {
            step->run.training = training;
            step->row->forward(&step->run);
        } else {
            step->call.training = training;
            step->call.rng = step->run.rng[0];
            exec->graph->node[step->first].op->forward(&step->call);
        }
    }
}

void crumb_exec_backward(crumb_exec *exec, int loss) {
    crumb_threads_begin(exec->ctx);
    float *start = gradient_data(exec, loss);
    for (int64_t i = 0; start != NULL && i < crumb_shape_count(exec->value[loss].shape); i++) {
        start[i] = 1.0f;
    }
    for (int i = exec->steps - 1; i >= 0; i--) {
        exec_step *step = &exec->step[i];
        if (!step->backward) {
            continue;
        }
        if (step->row != NULL) {
            step->row->backward(&step->run);
        } else {
            exec->graph->node[step->first].op->backward(&step->call);
        }
    }
}

const char *crumb_exec_culprit(crumb_exec *exec) {
    for (int i = 0; i < exec->steps; i++) {
        int value = exec->step[i].output;
        const float *data = exec->value[value].kept ? value_data(exec, value) : NULL;
        for (int64_t k = 0; data != NULL && k < crumb_shape_count(exec->value[value].shape); k++) {
            if (!isfinite(data[k])) {
                return exec->graph->node[exec->step[i].first + exec->step[i].nodes - 1].name;
            }
        }
    }
    return NULL;
}

static int describe_step(const crumb_exec *exec, int index, char *text, size_t size) {
    const exec_step *step = &exec->step[index];
    const crumb_node *node = &exec->graph->node[step->first];
    char shape[CRUMB_SHAPE_TEXT], ops[160] = "";
    double flops = 0;
    for (int j = 0; j < step->nodes; j++) {
        const crumb_node *part = &exec->graph->node[step->first + j];
        size_t used = strlen(ops);
        snprintf(ops + used, sizeof(ops) - used, "%s%s", j == 0 ? "" : "+", part->op->name);
        const crumb_run_node *shapes = &step->query.node[j];
        flops += part->op->flops != NULL ? part->op->flops(part->params, part->inputs, shapes->x, shapes->y) : 0;
    }
    return snprintf(text, size, "%3d  %-32s %-36s %-24s %-18s %10zu  %8.1f Mop%s\n", index, node->name, ops,
                    step->row != NULL ? step->row->name : "reference", crumb_shape_print(exec->value[step->output].shape, shape),
                    (size_t)crumb_shape_count(exec->value[step->output].shape) * sizeof(float), flops * 1e-6, step->backward ? "" : "  (forward only)");
}

crumb_status crumb_exec_describe(crumb_exec *exec, char **text) {
    enum { LINE = CRUMB_NAME_MAX + 320 };
    size_t room = (size_t)(exec->steps + 2) * LINE, used = 0;
    char *out = crumb_alloc(exec->ctx, room, 1);
    if (out == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < exec->steps; i++) {
        used += (size_t)describe_step(exec, i, out + used, LINE);
    }
    snprintf(out + used, room - used, "%d steps, batch %lld, %.1f MB\n", exec->steps, (long long)exec->options.batch,
             (double)exec->bytes * 1e-6);
    *text = out;
    return CRUMB_OK;
}
