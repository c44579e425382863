/* crumb info: what exists (from the same tables that recipes are read with), and what is in a model file. */
#include "packed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Rows of a kind. */

static const char *type_name(const crumb_param *param) {
    static const char *const name[] = {
        [CRUMB_PARAM_BOOL] = "bool",     [CRUMB_PARAM_INT] = "int",   [CRUMB_PARAM_REAL] = "real",
        [CRUMB_PARAM_CHOICE] = "choice", [CRUMB_PARAM_TEXT] = "text", [CRUMB_PARAM_LIST] = "list"};
    return name[param->type];
}

static bool has_range(const crumb_param *param) {
    return (param->type == CRUMB_PARAM_INT || param->type == CRUMB_PARAM_REAL || param->type == CRUMB_PARAM_LIST) &&
           param->min < param->max;
}

static json_t *param_json(const crumb_param *param) {
    json_t *object = json_pack("{s:s, s:s, s:o, s:o}", "name", param->name, "type", type_name(param), "default",
                               cli_string(param->preset), "doc", cli_string(param->doc));
    if (object != NULL && has_range(param)) {
        json_object_set_new(object, "min", cli_real(param->min));
        json_object_set_new(object, "max", cli_real(param->max));
    }
    if (object != NULL && param->type == CRUMB_PARAM_CHOICE) {
        json_object_set_new(object, "choices", cli_string(param->choices));
    }
    return object;
}

static json_t *entry_json(crumb_kind kind, int index, const crumb_entry *entry) {
    json_t *params = json_array();
    for (const crumb_param *param = entry->params; param != NULL && param->name != NULL; param++) {
        json_array_append_new(params, param_json(param));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", crumb_kind_name(kind), "name", entry->name, "doc",
                     cli_string(entry->doc), "detail", cli_string(crumb_kind_detail(kind, index)), "params", params);
}

static void print_params(const crumb_param *params) {
    cli_table table = {.align = "lllll"};
    for (const crumb_param *param = params; param != NULL && param->name != NULL; param++) {
        cli_table_cell(&table, "%s", param->name);
        cli_table_cell(&table, "%s", type_name(param));
        cli_table_cell(&table, "%s", param->preset != NULL && param->preset[0] != '\0' ? param->preset : "-");
        if (param->type == CRUMB_PARAM_CHOICE) {
            cli_table_cell(&table, "%s", param->choices);
        } else if (has_range(param)) {
            cli_table_cell(&table, "%g .. %g", param->min, param->max);
        } else {
            cli_table_cell(&table, "%s", "");
        }
        cli_table_cell(&table, "%s", param->doc);
    }
    if (table.cells > 0) {
        printf("  parameters: name, type, default, range, meaning\n");
        cli_table_print(&table, stdout, "    ");
    }
}

static void print_entry(crumb_kind kind, int index, const crumb_entry *entry) {
    printf("%s%s%s (%s): %s\n", cli_style(stdout, "\033[1m"), entry->name, cli_style(stdout, "\033[0m"), crumb_kind_name(kind),
           entry->doc != NULL ? entry->doc : "");
    const char *detail = crumb_kind_detail(kind, index);
    while (detail != NULL && *detail != '\0') {
        size_t length = strcspn(detail, "\n");
        char line[2048];
        snprintf(line, sizeof(line), "%.*s", (int)length, detail);
        cli_wrap(stdout, line, "  ", 100);
        detail += length + (detail[length] == '\n');
    }
    print_params(entry->params);
}

/* ---- info, info KIND, info NAME. */

static int list_kinds(const cli *self) {
    json_t *object = json_pack("{s:s}", "version", CRUMB_VERSION);
    cli_table table = {.align = "lrl"};
    for (int k = 0; k < CRUMB_KINDS; k++) {
        crumb_entry entry;
        char names[512] = "";
        int count = 0;
        json_t *array = json_array();
        for (; crumb_kind_entry((crumb_kind)k, count, &entry); count++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof(names) - used, "%s%s", count > 0 ? " " : "", entry.name);
            json_array_append_new(array, json_string(entry.name));
        }
        json_object_set_new(object, crumb_kind_name((crumb_kind)k), array);
        cli_table_cell(&table, "%s", crumb_kind_name((crumb_kind)k));
        cli_table_cell(&table, "%d", count);
        cli_table_cell(&table, "%s", names);
    }
    if (self->common.json) {
        cli_table_free(&table);
        return cli_print_json(object);
    }
    json_decref(object);
    cli_table_print(&table, stdout, "");
    return CLI_DONE;
}

/* The rows in a table, then each in full. */
static int list_kind(const cli *self, crumb_kind kind) {
    crumb_entry entry;
    json_t *array = json_array();
    cli_table table = {.align = "ll"};
    for (int i = 0; crumb_kind_entry(kind, i, &entry); i++) {
        json_array_append_new(array, entry_json(kind, i, &entry));
        cli_table_cell(&table, "%s", entry.name);
        cli_table_cell(&table, "%s", entry.doc != NULL ? entry.doc : "");
    }
    if (self->common.json) {
        cli_table_free(&table);
        return cli_print_json(json_pack("{s:s, s:o}", "kind", crumb_kind_name(kind), "entries", array));
    }
    json_decref(array);
    cli_table_print(&table, stdout, "");
    for (int i = 0; crumb_kind_entry(kind, i, &entry); i++) {
        printf("\n");
        print_entry(kind, i, &entry);
    }
    return CLI_DONE;
}

/* Every row of that name, of whatever kind. */
static int show_name(const cli *self, const char *name) {
    const char *near[1024];
    size_t count = 0;
    json_t *array = json_array();
    for (int k = 0; k < CRUMB_KINDS; k++) {
        crumb_entry entry;
        near[count++] = crumb_kind_name((crumb_kind)k);
        for (int i = 0; crumb_kind_entry((crumb_kind)k, i, &entry) && count < 1023; i++) {
            near[count++] = entry.name;
            if (strcmp(entry.name, name) == 0) {
                json_array_append_new(array, entry_json((crumb_kind)k, i, &entry));
                if (!self->common.json) {
                    print_entry((crumb_kind)k, i, &entry);
                }
            }
        }
    }
    if (json_array_size(array) == 0) {
        json_decref(array);
        const char *nearest = crumb_nearest(name, near, count);
        return nearest != NULL ? cli_fail(self, "nothing is called \"%s\", and no such file; did you mean %s?", name, nearest)
                               : cli_fail(self, "nothing is called \"%s\", and no such file", name);
    }
    if (self->common.json) {
        return cli_print_json(json_pack("{s:s, s:o}", "name", name, "entries", array));
    }
    json_decref(array);
    return CLI_DONE;
}

/* ---- info FILE. */

static json_t *layer_json(const crumb_layer_info *layer) {
    return json_pack("{s:s, s:s, s:o, s:o, s:i, s:i, s:I, s:o}", "name", layer->name, "op", layer->op, "weight_quantizer",
                     cli_string(layer->weight_quantizer), "activation_quantizer", cli_string(layer->activation_quantizer),
                     "weight_bits", layer->weight_bits, "activation_bits", layer->activation_bits, "parameters",
                     (json_int_t)layer->parameters, "flops", cli_real(layer->flops));
}

static int model_json(const cli *self, const crumb_network *network, const crumb_network_info *info) {
    json_t *layers = json_array();
    crumb_layer_info layer;
    for (int i = 0; crumb_network_layer(network, i, &layer); i++) {
        json_array_append_new(layers, layer_json(&layer));
    }
    return cli_print_json(json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:i, s:I, s:o, s:I, s:I, s:o}", "file", self->argument[0], "model", info->model, "height",
        (json_int_t)info->height, "width", (json_int_t)info->width, "channels", (json_int_t)info->channels, "classes",
        info->classes, "parameters", (json_int_t)info->parameters, "flops", cli_real(info->flops), "float_bytes",
        (json_int_t)info->float_bytes, "packed_bytes", (json_int_t)info->packed_bytes, "layers", layers));
}

static void cell_quantizer(cli_table *table, const char *name, int bits) {
    if (name != NULL) {
        cli_table_cell(table, "%s %d", name, bits);
    } else {
        cli_table_cell(table, "float");
    }
}

static int show_model(const cli *self) {
    crumb_network *network = NULL;
    if (crumb_network_open(self->ctx, self->argument[0], &network) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    crumb_network_info info;
    crumb_network_describe(network, &info);
    int code = CLI_DONE;
    if (self->common.json) {
        code = model_json(self, network, &info);
    } else {
        char count[CLI_NUMBER], flops[CLI_NUMBER], floats[CLI_NUMBER], packed[CLI_NUMBER];
        printf("%s: %s for %" PRId64 " x %" PRId64 " x %" PRId64 " images, %d classes\n", self->argument[0], info.model,
               info.height, info.width, info.channels, info.classes);
        printf("%s parameters, %sFLOP an image; %s as floats, %s with the weights at their bits\n\n",
               cli_short((double)info.parameters, count), cli_short(info.flops, flops),
               cli_bytes((double)info.float_bytes, floats), cli_bytes((double)info.packed_bytes, packed));
        cli_table table = {.align = "llllrr"};
        static const char *const head[] = {"layer", "op", "weights", "input", "parameters", "FLOP"};
        for (int i = 0; i < 6; i++) {
            cli_table_cell(&table, "%s", head[i]);
        }
        crumb_layer_info layer;
        for (int i = 0; crumb_network_layer(network, i, &layer); i++) {
            cli_table_cell(&table, "%s", layer.name);
            cli_table_cell(&table, "%s", layer.op);
            cell_quantizer(&table, layer.weight_quantizer, layer.weight_bits);
            cell_quantizer(&table, layer.activation_quantizer, layer.activation_bits);
            cli_table_cell(&table, "%" PRId64, layer.parameters);
            cli_table_cell(&table, "%s", cli_short(layer.flops, flops));
        }
        cli_table_print(&table, stdout, "");
    }
    crumb_network_close(network);
    return code;
}

static int show_packed(const cli *self) {
    crumb_packed *packed;
    if (crumb_packed_open(self->ctx, self->argument[0], &packed) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    int code = cli_show_packed(self, self->argument[0], packed);
    crumb_packed_close(packed);
    return code;
}

static int run(cli *self, const void *options) {
    (void)options;
    if (self->arguments == 0) {
        return list_kinds(self);
    }
    const char *name = self->argument[0];
    for (int k = 0; k < CRUMB_KINDS; k++) {
        if (strcmp(crumb_kind_name((crumb_kind)k), name) == 0) {
            return list_kind(self, (crumb_kind)k);
        }
    }
    struct stat about;
    bool file = strpbrk(name, "/.") != NULL || (stat(name, &about) == 0 && S_ISREG(about.st_mode));
    return !file ? show_name(self, name) : crumb_packed_probe_file(name) ? show_packed(self) : show_model(self);
}

const cli_command cli_info = {
    .name = "info",
    .arguments = "[KIND | NAME | MODEL]",
    .summary = "what exists, with parameters; what is in a model file",
    .examples = "crumb info                             # the kinds of things, and their names\n"
                "crumb info strategies                  # one kind: its things, each in full\n"
                "crumb info lsq                         # one thing: parameters, ranges, defaults\n"
                "crumb info runs/demo/best.safetensors  # layers, bits, bytes, operations\n"
                "crumb info demo.crumb                  # the same of a packed file\n",
    .options = NULL,
    .size = 0,
    .min_arguments = 0,
    .max_arguments = 1,
    .offer = CLI_OFFER_WORDS,
    .run = run,
};
