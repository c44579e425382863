/* Images a second of forward + backward through the graph and its planner, for a network in float and in DoReFa W2A2; the
 * optimizer is not in it. The two take turns, so that a slow moment of the machine hits both; best of the rounds.
 * usage: bench_exec [MODEL] [BATCH] [THREADS] [ROUNDS] [plan]; "plan" prints what runs each step */
#include "base/ctx.h"
#include "graph/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { CLASSES = 10 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(crumb_ctx *ctx, crumb_status status) {
    if (status != CRUMB_OK) {
        fprintf(stderr, "bench_exec: %s\n", crumb_message(ctx));
        exit(1);
    }
}

typedef struct {
    const char *name;
    crumb_graph *graph;
    crumb_exec *exec;
    int loss;
    double forward, best;
} net;

static void open_net(crumb_ctx *ctx, net *n, const char *model, int64_t batch, int bits) {
    const crumb_model *row = crumb_model_find(model);
    if (row == NULL) {
        fprintf(stderr, "bench_exec: no model %s\n", model);
        exit(1);
    }
    crumb_graph *graph;
    must(ctx, crumb_model_build(ctx, row, NULL, CRUMB_SHAPE(1, row->height, row->width, row->channels), CLASSES, 1, &graph));
    if (bits) {
        crumb_quant_policy policy = {.first = CRUMB_EDGE_FLOAT, .last = CRUMB_EDGE_FLOAT, .shortcut = true};
        crumb_graph *quantized;
        must(ctx, crumb_quant_choose(ctx, "dorefa", true, bits, &policy.weights));
        must(ctx, crumb_quant_choose(ctx, "dorefa", false, bits, &policy.activations));
        must(ctx, crumb_graph_quantize(graph, &policy, &quantized));
        crumb_graph_destroy(graph);
        graph = quantized;
    }
    int labels;
    must(ctx, crumb_graph_input(graph, "labels", CRUMB_SHAPE(1), &labels));
    must(ctx, crumb_graph_node(graph, "loss", crumb_op_find("softmax_cross_entropy"), NULL, 2, (int[]){graph->logits, labels},
                               &n->loss));
    const crumb_exec_options options = {.batch = batch, .backward = true};
    must(ctx, crumb_exec_create(graph, &options, &n->exec));
    float *image = crumb_exec_value(n->exec, graph->image), *label = crumb_exec_value(n->exec, labels);
    for (int64_t i = 0; i < crumb_shape_count(crumb_exec_shape(n->exec, graph->image)); i++) {
        image[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
    for (int64_t i = 0; i < batch; i++) {
        label[i] = (float)(i % CLASSES);
    }
    n->graph = graph;
    n->best = n->forward = 1e9;
}

static void print_plan(crumb_ctx *ctx, const net *n) {
    char *text;
    must(ctx, crumb_exec_describe(n->exec, &text));
    printf("%s\n", text);
    crumb_free(ctx, text);
}

int main(int argc, char **argv) {
    const char *model = argc > 1 ? argv[1] : "resnet20";
    const int64_t batch = argc > 2 ? atoi(argv[2]) : 128;
    const int rounds = argc > 4 ? atoi(argv[4]) : 15;
    crumb_settings settings = {.threads = argc > 3 ? atoi(argv[3]) : 2};
    crumb_ctx *ctx;
    must(NULL, crumb_ctx_create(&ctx, &settings));
    net nets[2] = {{.name = "float"}, {.name = "dorefa W2A2"}};
    for (int k = 0; k < 2; k++) {
        open_net(ctx, &nets[k], model, batch, 2 * k);
        if (argc > 5) {
            print_plan(ctx, &nets[k]);
        }
    }
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < 2; k++) {
            const double start = now();
            crumb_exec_forward(nets[k].exec, true, 1, (uint64_t)round);
            const double middle = now();
            crumb_exec_backward(nets[k].exec, nets[k].loss);
            const double end = now();
            nets[k].forward = middle - start < nets[k].forward ? middle - start : nets[k].forward;
            nets[k].best = end - start < nets[k].best ? end - start : nets[k].best;
        }
    }
    for (int k = 0; k < 2; k++) {
        printf("%s %s: %.0f images/s (forward %.1f ms, step %.1f ms), plan %.0f MB\n", model, nets[k].name,
               (double)batch / nets[k].best, nets[k].forward * 1e3, nets[k].best * 1e3,
               (double)crumb_exec_bytes(nets[k].exec) * 1e-6);
        crumb_exec_destroy(nets[k].exec);
        crumb_graph_destroy(nets[k].graph);
    }
    crumb_ctx_destroy(ctx);
    return 0;
}
