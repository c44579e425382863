/* What is in a packed file. */
#include "packed.h"

static json_t *layer_json(const crumb_packed_layer *layer) {
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:o}", "name", layer->name, "op", layer->op, "height",
                     layer->height, "width", layer->width, "channels", layer->channels, "weight_bits", layer->weight_bits,
                     "activation_bits", layer->activation_bits, "weight_bytes", (json_int_t)layer->weight_bytes, "operations",
                     cli_real(layer->operations));
}

static size_t weight_bytes(const crumb_packed *packed) {
    crumb_packed_layer layer;
    size_t bytes = 0;
    for (int i = 0; crumb_packed_layer_at(packed, i, &layer); i++) {
        bytes += layer.weight_bytes;
    }
    return bytes;
}

static int show_json(const char *path, const crumb_packed *packed, const crumb_packed_info *info) {
    json_t *layers = json_array(), *mean = json_array(), *deviation = json_array(), *names = json_array();
    crumb_packed_layer layer;
    for (int i = 0; crumb_packed_layer_at(packed, i, &layer); i++) {
        json_array_append_new(layers, layer_json(&layer));
    }
    for (int c = 0; c < info->channels; c++) {
        json_array_append_new(mean, cli_real((double)info->mean[c]));
        json_array_append_new(deviation, cli_real((double)info->deviation[c]));
    }
    for (int i = 0; info->class_names != NULL && i < info->classes; i++) {
        json_array_append_new(names, cli_string(info->class_names[i]));
    }
    return cli_print_json(json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "file", path, "model", info->model, "height",
        info->height, "width", info->width, "channels", info->channels, "classes", info->classes, "class_names", names, "mean",
        mean, "deviation", deviation, "file_bytes", (json_int_t)info->file_bytes, "weight_bytes",
        (json_int_t)weight_bytes(packed), "operations", cli_real(info->operations), "layers", layers));
}

static void cell_bits(cli_table *table, int bits) {
    if (bits == 0) {
        cli_table_cell(table, "%s", "");
    } else if (bits == 32) {
        cli_table_cell(table, "float");
    } else {
        cli_table_cell(table, "%d", bits);
    }
}

static void show_layers(const crumb_packed *packed) {
    cli_table table = {.align = "lllrrrr"};
    static const char *const head[] = {"layer", "op", "output", "weights", "input", "bytes", "operations"};
    for (int i = 0; i < 7; i++) {
        cli_table_cell(&table, "%s", head[i]);
    }
    crumb_packed_layer layer;
    char number[CLI_NUMBER];
    for (int i = 0; crumb_packed_layer_at(packed, i, &layer); i++) {
        cli_table_cell(&table, "%s", layer.name);
        cli_table_cell(&table, "%s", layer.op);
        cli_table_cell(&table, "%d x %d x %d", layer.height, layer.width, layer.channels);
        cell_bits(&table, layer.weight_bits);
        cell_bits(&table, layer.activation_bits);
        cli_table_cell(&table, "%s", layer.weight_bytes > 0 ? cli_short((double)layer.weight_bytes, number) : "");
        cli_table_cell(&table, "%s", cli_short(layer.operations, number));
    }
    cli_table_print(&table, stdout, "");
}

int cli_show_packed(const cli *self, const char *path, const crumb_packed *packed) {
    crumb_packed_info info;
    crumb_packed_describe(packed, &info);
    if (self->common.json) {
        return show_json(path, packed, &info);
    }
    char weights[CLI_NUMBER], operations[CLI_NUMBER];
    printf("%s: %s for %d x %d x %d images, %d classes\n", path, info.model, info.height, info.width, info.channels,
           info.classes);
    printf("%zu bytes, %s of them weights; %soperations an image\n\n", info.file_bytes,
           cli_bytes((double)weight_bytes(packed), weights), cli_short(info.operations, operations));
    show_layers(packed);
    return CLI_DONE;
}
