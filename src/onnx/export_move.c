/* Nodes that move elements, and constants. A gather goes through the flattened tensor: its places, told in ONNX's order,
 * channel first, are the indices of a Gather node. */
#include "onnx/export_parts.h"

void crumb_onnx_concat(crumb_onnx_job *job, const crumb_packed_node *node) {
    const char *read[CRUMB_PACKED_INPUTS_MAX];
    for (int32_t k = 0; k < node->inputs; k++) {
        read[k] = crumb_onnx_map(job, node->input[k]);
    }
    crumb_onnx_int(&job->w, crumb_onnx_add(&job->w, "Concat", job->prefix, node->inputs, read), "axis", 1);
    crumb_onnx_made(job, node->output, job->prefix, false);
}

void crumb_onnx_pad(crumb_onnx_job *job, const crumb_packed_node *node) {
    const int64_t pads[] = {0, node->before, 0, 0, 0, node->after, 0, 0};
    CRUMB_ONNX_ADD(&job->w, "Pad", job->prefix, crumb_onnx_map(job, node->input[0]),
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "pads"), 8, pads));
    crumb_onnx_made(job, node->output, job->prefix, false);
}

void crumb_onnx_subsample(crumb_onnx_job *job, const crumb_packed_node *node) {
    const int64_t start[] = {0, 0}, stop[] = {INT64_MAX, INT64_MAX}, axis[] = {2, 3}, step[] = {node->stride, node->stride};
    CRUMB_ONNX_ADD(&job->w, "Slice", job->prefix, crumb_onnx_map(job, node->input[0]),
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "starts"), 2, start),
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "ends"), 2, stop),
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "axes"), 2, axis),
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "steps"), 2, step));
    crumb_onnx_made(job, node->output, job->prefix, false);
}

/* ONNX's order of a map is channel first, as flatten's. */
void crumb_onnx_flatten(crumb_onnx_job *job, const crumb_packed_node *node) {
    crumb_onnx_made(job, node->output, crumb_onnx_vector(job, node->input[0]), true);
}

/* Place in [C, H, W] of an element's place in [H, W, C]. */
static int64_t place_in_map(const crumb_packed_value *x, int64_t place) {
    int64_t c = place % x->channels, pixel = place / x->channels;
    return c * x->height * x->width + pixel;
}

/* Indices of all elements, [C, H, W], of the output; *none: some are behind the last of the input. */
static const char *indices_of(crumb_onnx_job *job, const crumb_packed_node *node, bool *none) {
    const crumb_packed_value *x = &job->packed->value[node->input[0]], *y = &job->packed->value[node->output];
    crumb_packed_places at = crumb_packed_places_of(job->packed, node);
    const char *name = crumb_onnx_part(job, "places");
    int64_t count = crumb_packed_elements(y), pixels = (int64_t)y->height * y->width;
    int64_t *index = crumb_onnx_tensor(&job->w, name, CRUMB_ONNX_INT64, 1, &count, (size_t)count * sizeof(*index));
    for (int64_t i = 0; index != NULL && i < count; i++) {
        int64_t row = at.row[i % pixels / y->width], column = at.column[i % y->width], channel = at.channel[i / pixels];
        bool nothing = row < 0 || column < 0 || channel < 0;
        index[i] = nothing ? crumb_packed_elements(x) : place_in_map(x, row + column + channel);
        *none = *none || nothing;
    }
    return name;
}

void crumb_onnx_gather(crumb_onnx_job *job, const crumb_packed_node *node) {
    const crumb_packed_value *x = &job->packed->value[node->input[0]], *y = &job->packed->value[node->output];
    const char *from = crumb_onnx_vector(job, node->input[0]), *gathered = crumb_onnx_part(job, "gathered");
    bool none = false;
    const char *indices = indices_of(job, node, &none);
    if (none) { /* one element more, which stands for all that come from nowhere */
        const int64_t pads[] = {0, 0, 0, 1};
        float lo = x->codes.levels != 0 ? x->codes.scale * (float)crumb_packed_code(&x->codes, (int32_t)node->lo) : node->lo;
        const char *wide = crumb_onnx_part(job, "wide");
        CRUMB_ONNX_ADD(&job->w, "Pad", wide, from, crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "pads"), 4, pads),
                       crumb_onnx_scalar(&job->w, crumb_onnx_part(job, "filling"), lo));
        from = wide;
    }
    if (y->height * y->width == 1) {
        crumb_onnx_int(&job->w, CRUMB_ONNX_ADD(&job->w, "Gather", job->prefix, from, indices), "axis", 1);
        crumb_onnx_made(job, node->output, job->prefix, true);
        return;
    }
    const int64_t shape[] = {0, y->channels, y->height, y->width};
    crumb_onnx_int(&job->w, CRUMB_ONNX_ADD(&job->w, "Gather", gathered, from, indices), "axis", 1);
    CRUMB_ONNX_ADD(&job->w, "Reshape", job->prefix, gathered,
                   crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "shape"), 4, shape));
    crumb_onnx_made(job, node->output, job->prefix, false);
}

/* [1, C, H, W]: whatever reads it repeats it for each image, but for Concat; so a zero of each image is added. */
void crumb_onnx_constant(crumb_onnx_job *job, const crumb_packed_node *node) {
    const crumb_packed_value *y = &job->packed->value[node->output];
    const int64_t shape[] = {1, y->channels, y->height, y->width}, single[] = {0, 1, 1, 1}, first[] = {0};
    const float *given = crumb_packed_floats(job->packed, node->extra);
    const char *name = crumb_onnx_part(job, "elements"), *zero = crumb_onnx_part(job, "zero");
    float *elements = crumb_onnx_room(&job->w, (size_t)crumb_packed_elements(y), sizeof(*elements));
    for (int64_t i = 0; elements != NULL && i < crumb_packed_elements(y); i++) {
        elements[place_in_map(y, i)] = given[i];
    }
    if (elements == NULL) {
        return;
    }
    crumb_onnx_floats(&job->w, name, 4, shape, elements);
    const char *one = crumb_onnx_part(job, "one"), *clipped = crumb_onnx_part(job, "clipped");
    const char *nothing = crumb_onnx_scalar(&job->w, crumb_onnx_part(job, "none"), 0);
    const char *index = crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "first"), 1, first);
    crumb_onnx_int(&job->w, CRUMB_ONNX_ADD(&job->w, "Gather", one, crumb_onnx_vector(job, 0), index), "axis", 1);
    CRUMB_ONNX_ADD(&job->w, "Clip", clipped, one, nothing, nothing);
    CRUMB_ONNX_ADD(&job->w, "Reshape", zero, clipped, crumb_onnx_int64s(&job->w, crumb_onnx_part(job, "shape"), 4, single));
    CRUMB_ONNX_ADD(&job->w, "Add", job->prefix, name, zero);
    crumb_onnx_made(job, node->output, job->prefix, false);
}
