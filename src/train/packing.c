/* A trained network becomes a packed file. */
#include "train/packing.h"

#include <stdio.h>

crumb_status crumb_network_pixels(const crumb_network *network, float mean[4], float deviation[4]) {
    const crumb_recipe_data *data = &network->recipe->data;
    int64_t channels = crumb_shape_last(network->image);
    if (data->mean.count != channels || data->deviation.count != channels || channels > 4) {
        return crumb_fail(network->ctx, CRUMB_ERROR_UNSUPPORTED,
                          "the network knows the normalisation of %d channels of %lld; crumb import --mean --deviation sets it",
                          data->mean.count, (long long)channels);
    }
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = (float)data->mean.at[c];
        deviation[c] = (float)data->deviation.at[c];
    }
    return CRUMB_OK;
}

static crumb_status lower_network(crumb_network *network, crumb_packed **packed) {
    float mean[4], deviation[4];
    crumb_lower_facts facts = {
        .model = network->recipe->model.model->name, .class_names = network->class_names, .mean = mean, .deviation = deviation};
    CRUMB_TRY(crumb_network_pixels(network, mean, deviation));
    return crumb_lower(network->graph, &facts, packed);
}

crumb_status crumb_network_pack(crumb_network *network, const char *path) {
    crumb_packed *packed;
    CRUMB_TRY(lower_network(network, &packed));
    crumb_status status = crumb_packed_write(packed, path);
    crumb_packed_close(packed);
    return status;
}

crumb_status crumb_packed_load(crumb_ctx *ctx, const char *path, crumb_packed **packed) {
    crumb_network *network;
    if (crumb_packed_probe_file(path)) {
        return crumb_packed_open(ctx, path, packed);
    }
    CRUMB_TRY(crumb_network_open(ctx, path, &network));
    crumb_status status = lower_network(network, packed);
    crumb_network_close(network);
    return status;
}
