/* A quantized weight outside of any plan: its site, its values, its integer codes. */
#include "graph/graph.h"

crumb_quant *crumb_node_weight_site(const crumb_graph *graph, int node) {
    crumb_quant *site = crumb_node_site(graph, node);
    return site != NULL && site->weight ? site : NULL;
}

void crumb_graph_fake(const crumb_graph *graph, int node, float *y) {
    crumb_quant_call call = crumb_node_call(graph, node);
    call.y = y;
    if (call.site->quantizer->observe != NULL) {
        call.site->quantizer->observe(&call);
    }
    call.site->quantizer->fake(&call);
}

crumb_status crumb_graph_encode(const crumb_graph *graph, int node, crumb_codes *codes) {
    const crumb_quant *site = crumb_node_site(graph, node);
    crumb_quant_call call = crumb_node_call(graph, node);
    crumb_codes made = {.count = call.count};
    made.code = crumb_alloc(graph->ctx, (size_t)call.count + 1, sizeof(*made.code));
    made.scale = crumb_alloc(graph->ctx, (size_t)(site->channels * site->groups) + 1, sizeof(*made.scale));
    if (made.code == NULL || made.scale == NULL) {
        crumb_codes_free(graph->ctx, &made);
        return CRUMB_ERROR_MEMORY;
    }
    site->quantizer->encode(&call, &made);
    *codes = made;
    return CRUMB_OK;
}

void crumb_codes_free(crumb_ctx *ctx, crumb_codes *codes) {
    crumb_free(ctx, codes->code);
    crumb_free(ctx, codes->scale);
    *codes = (crumb_codes){0};
}
