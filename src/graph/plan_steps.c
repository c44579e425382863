/* Planning, first half: shapes for the batch, gradients needed, and which implementation runs which nodes. */
#include "graph/exec_plan.h"

#include <string.h>

static crumb_status infer_shapes(crumb_exec *exec) {
    const crumb_graph *graph = exec->graph;
    for (int i = 0; i < graph->values; i++) {
        exec->value[i].shape = graph->value[i].shape;
        exec->value[i].producer = -1;
        exec->value[i].last_reader = -1;
        if (graph->value[i].kind == CRUMB_VALUE_INPUT && exec->value[i].shape.rank > 0) {
            exec->value[i].shape.dim[0] = exec->options.batch;
        }
    }
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *node = &graph->node[i];
        crumb_shape x[CRUMB_INPUTS_MAX];
        for (int k = 0; k < node->inputs; k++) {
            x[k] = exec->value[node->input[k]].shape;
        }
        crumb_op_plan plan = {0};
        crumb_status status = crumb_op_infer(exec->ctx, node->op, node->params, node->inputs, x, &plan);
        if (status != CRUMB_OK) {
            return status == CRUMB_ERROR_MEMORY ? status : crumb_fail_in(exec->ctx, status, "%s", node->name);
        }
        exec->value[node->output].shape = plan.output;
    }
    return CRUMB_OK;
}

/* A value wants its gradient if a parameter stands behind it and the loss in front of it. */
static void find_gradients(crumb_exec *exec) {
    const crumb_graph *graph = exec->graph;
    for (int i = 0; i < graph->values; i++) {
        exec->value[i].wants_gradient = graph->value[i].kind == CRUMB_VALUE_PARAM && graph->value[i].rate != 0;
    }
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *node = &graph->node[i];
        for (int k = 0; k < node->inputs && node->op->backward != NULL; k++) {
            exec->value[node->output].wants_gradient |= exec->value[node->input[k]].wants_gradient;
        }
    }
    bool reached = false;
    for (int v = 0; v < graph->values; v++) {
        exec->value[v].kept = v == exec->loss; /* borrowed as the mark "reaches the loss" until plan_memory */
    }
    for (int i = graph->nodes - 1; i >= 0; i--) {
        const crumb_node *node = &graph->node[i];
        reached = exec->value[node->output].kept;
        for (int k = 0; k < node->inputs && reached; k++) {
            exec->value[node->input[k]].kept = true;
        }
    }
    for (int v = 0; v < graph->values; v++) {
        exec->value[v].wants_gradient &= exec->value[v].kept;
        exec->value[v].kept = false;
    }
}

static int count_readers(const crumb_graph *graph, int value) {
    int readers = value == graph->logits ? 2 : 0; /* the caller reads the logits: they are never inside a run */
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 0; k < graph->node[i].inputs; k++) {
            readers += graph->node[i].input[k] == value;
        }
    }
    return readers;
}

/* The role of input k: variadic ops repeat the last role; a quantizer's states are what the graph made them. */
static crumb_role role_of(const crumb_graph *graph, const crumb_node *node, int k) {
    switch (graph->value[node->input[k]].kind) {
    case CRUMB_VALUE_PARAM:
        return CRUMB_PARAM;
    case CRUMB_VALUE_STATE:
        return CRUMB_STATE;
    default:
        return node->op->roles[k] == CRUMB_LABEL ? CRUMB_LABEL : CRUMB_DATA;
    }
}

static bool differentiable(const crumb_graph *graph, const crumb_node *node, int k) {
    crumb_role role = role_of(graph, node, k);
    return node->op->backward != NULL && (role == CRUMB_DATA || role == CRUMB_PARAM);
}

/* Collects the external inputs of the run first .. first + nodes - 1. False if the nodes do not chain or there are too many. */
static bool describe_run(const crumb_exec *exec, int first, int nodes, exec_step *step) {
    const crumb_graph *graph = exec->graph;
    crumb_run_query *query = &step->query;
    *query = (crumb_run_query){.ctx = exec->ctx, .nodes = nodes, .backward = exec->options.backward,
                               .threads = crumb_threads(exec->ctx)};
    step->first = first;
    step->nodes = nodes;
    step->inputs = 0;
    for (int j = 0; j < nodes; j++) {
        const crumb_node *node = &graph->node[first + j];
        crumb_run_node *out = &query->node[j];
        *out = (crumb_run_node){.op = node->op, .params = node->params, .inputs = node->inputs};
        int chained = j > 0 ? graph->node[first + j - 1].output : -1;
        bool found = j == 0;
        for (int k = 0; k < node->inputs; k++) {
            out->x[k] = exec->value[node->input[k]].shape;
            if (!found && node->input[k] == chained) {
                out->external[k] = -1;
                found = true;
                continue;
            }
            if (step->inputs == CRUMB_EXTERNAL_MAX) {
                return false;
            }
            int e = step->inputs++;
            out->external[k] = e;
            step->input[e] = node->input[k];
            query->x[e] = out->x[k];
            query->roles[e] = role_of(graph, node, k);
            query->wants_dx[e] = exec->options.backward && differentiable(graph, node, k) &&
                                 exec->value[node->input[k]].wants_gradient;
        }
        out->y = exec->value[node->output].shape;
        if (!found || (j < nodes - 1 && count_readers(graph, node->output) != 1)) {
            return false;
        }
    }
    query->inputs = step->inputs;
    step->output = graph->node[first + nodes - 1].output;
    return true;
}

static bool matches(const crumb_exec *exec, const crumb_backend_row *row, int first, exec_step *step) {
    int nodes = 0;
    for (; row->pattern[nodes] != NULL; nodes++) {
        if (first + nodes >= exec->graph->nodes ||
            strcmp(exec->graph->node[first + nodes].op->name, row->pattern[nodes]) != 0) {
            return false;
        }
    }
    bool allowed = (row->isa & crumb_cpu(exec->ctx)) == row->isa && (row->backward != NULL || !exec->options.backward) &&
                   (nodes == 1 || !exec->options.keep);
    return allowed && describe_run(exec, first, nodes, step) && (row->supports == NULL || row->supports(&step->query));
}

static void plan_reference(const crumb_exec *exec, int first, exec_step *step) {
    const crumb_node *node = &exec->graph->node[first];
    describe_run(exec, first, 1, step);
    step->row = NULL;
    crumb_op_plan plan = {0};
    crumb_shape x[CRUMB_INPUTS_MAX];
    for (int k = 0; k < node->inputs; k++) {
        x[k] = exec->value[node->input[k]].shape;
    }
    crumb_op_infer(exec->ctx, node->op, node->params, node->inputs, x, &plan); /* succeeded in infer_shapes */
    step->plan = (crumb_run_plan){.saved = plan.saved, .scratch = plan.scratch, .uses = node->op->uses & CRUMB_USES_X};
    step->plan.uses |= (node->op->uses & CRUMB_USES_Y) != 0 ? CRUMB_USES_OUTPUT : 0;
}

static crumb_status choose_row(crumb_exec *exec, int first, exec_step *step) {
    for (int i = 0; crumb_backend_rows[i] != NULL && !exec->options.reference; i++) {
        const crumb_backend_row *row = crumb_backend_rows[i];
        if (!matches(exec, row, first, step)) {
            continue;
        }
        step->plan = (crumb_run_plan){.uses = row->prepare != NULL ? 0 : ~0u};
        crumb_status status = row->prepare != NULL ? row->prepare(&step->query, &step->plan) : CRUMB_OK;
        if (status != CRUMB_ERROR_UNSUPPORTED) {
            step->row = status == CRUMB_OK ? row : NULL;
            return status;
        }
    }
    plan_reference(exec, first, step);
    return CRUMB_OK;
}

/* Parameters are always there; what `uses` decides is how long activations live. */
static void note_readers(crumb_exec *exec, int index) {
    exec_step *step = &exec->step[index];
    step->backward = exec->options.backward && exec->value[step->output].wants_gradient;
    exec->value[step->output].producer = index;
    exec->value[step->output].stored = true;
    for (int k = 0; k < step->inputs; k++) {
        exec->value[step->input[k]].last_reader = index;
    }
}

crumb_status crumb_exec_plan_steps(crumb_exec *exec) {
    CRUMB_TRY(infer_shapes(exec));
    exec->loss = exec->graph->nodes > 0 ? exec->graph->node[exec->graph->nodes - 1].output : -1;
    find_gradients(exec);
    exec->step = crumb_alloc(exec->ctx, (size_t)exec->graph->nodes + 1, sizeof(*exec->step));
    if (exec->step == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int first = 0; first < exec->graph->nodes;) {
        exec_step *step = &exec->step[exec->steps];
        CRUMB_TRY(choose_row(exec, first, step));
        first += step->nodes;
        note_readers(exec, exec->steps++);
    }
    return CRUMB_OK;
}
