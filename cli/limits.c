/* The tables of limits.h. */
#include "limits.h"

#include <stdio.h>

json_t *cli_limits_json(const crumb_limits *limits) {
    json_t *object = json_pack("{s:i}", "threads", limits->threads);
    for (int i = 0; i < CRUMB_LIMITS; i++) {
        json_object_set_new(object, crumb_limit_name((crumb_limit)i),
                            json_pack("{s:o, s:s, s:o}", "rate", cli_real(limits->rate[i]), "unit",
                                      crumb_limit_unit((crumb_limit)i), "loop", cli_string(limits->loop[i])));
    }
    return object;
}

void cli_limits_print(const crumb_limits *limits) {
    char number[CLI_NUMBER];
    cli_table table = {.align = "lrll"};
    for (int i = 0; i < CRUMB_LIMITS; i++) {
        if (limits->rate[i] > 0) {
            cli_table_cell(&table, "%s", crumb_limit_name((crumb_limit)i));
            cli_table_cell(&table, "%s", cli_short(limits->rate[i], number));
            cli_table_cell(&table, "%s", crumb_limit_unit((crumb_limit)i));
            cli_table_cell(&table, "%s", limits->loop[i]);
        }
    }
    printf("limits of %d thread%s, measured in this run:\n", limits->threads, limits->threads == 1 ? "" : "s");
    cli_table_print(&table, stdout, "  ");
}

const char *cli_share(double least, double seconds, char text[CLI_NUMBER]) {
    text[0] = '\0';
    if (least > 0 && seconds > 0) {
        snprintf(text, CLI_NUMBER, "%.0f %%", 100 * least / seconds);
    }
    return text;
}

/* ---- The profile: layers that took time. */

typedef struct profile_row {
    crumb_packed_layer layer;
    double seconds, least; /* an image */
    crumb_limit limit;
} profile_row;

void cli_profile_read(double *seconds, const crumb_session *session, int layers) {
    for (int i = 0; i < layers; i++) {
        seconds[i] = crumb_session_seconds(session, i);
    }
}

/* False for a layer that took no time: it is counted with another one, or past the end. */
static bool row_at(const cli_profile *profile, int index, profile_row *row) {
    if (!crumb_packed_layer_at(profile->packed, index, &row->layer)) {
        return false;
    }
    row->seconds = profile->seconds[index] / (double)profile->images;
    row->least = crumb_limits_layer(profile->limits, profile->packed, index, profile->batch, &row->limit);
    return row->seconds > 0;
}

static const char *bits_text(const crumb_packed_layer *layer, char text[CLI_NUMBER]) {
    text[0] = '\0';
    if (layer->weight_bits > 0) {
        snprintf(text, CLI_NUMBER, "W%dA%d", layer->weight_bits, layer->activation_bits);
    }
    return text;
}

static int layers_of(const cli_profile *profile) {
    crumb_packed_info info;
    crumb_packed_describe(profile->packed, &info);
    return info.layers;
}

json_t *cli_profile_json(const cli_profile *profile) {
    json_t *layers = json_array();
    for (int i = 0; i < layers_of(profile); i++) {
        profile_row r;
        if (row_at(profile, i, &r)) {
            json_array_append_new(
                layers, json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "name", r.layer.name, "op", r.layer.op,
                                  "weight_bits", r.layer.weight_bits, "activation_bits", r.layer.activation_bits, "seconds",
                                  cli_real(r.seconds), "operations", cli_real(r.layer.operations), "gops",
                                  cli_real(1e-9 * r.layer.operations / r.seconds), "least_seconds", cli_real(r.least), "limit",
                                  r.least > 0 ? json_string(crumb_limit_name(r.limit)) : json_null()));
        }
    }
    return layers;
}

static void print_row(cli_table *table, const profile_row *r, double total) {
    char number[CLI_NUMBER];
    cli_table_cell(table, "%s", r->layer.name);
    cli_table_cell(table, "%s", r->layer.op);
    cli_table_cell(table, "%s", bits_text(&r->layer, number));
    cli_table_cell(table, "%.1f", 1e6 * r->seconds);
    cli_table_cell(table, "%.1f", 100 * r->seconds / total);
    cli_table_cell(table, "%s", cli_short(r->layer.operations, number));
    cli_table_cell(table, "%.1f", 1e-9 * r->layer.operations / r->seconds);
    cli_table_cell(table, "%s", cli_share(r->least, r->seconds, number));
    cli_table_cell(table, "%s", r->least > 0 ? crumb_limit_name(r->limit) : "");
}

void cli_profile_print(const cli_profile *profile) {
    static const char *const heads[] = {"layer", "op", "bits", "us/image", "% of time", "operations", "GOP/s", "of limit", ""};
    cli_table table = {.align = "lllrrrrrl"};
    char number[CLI_NUMBER];
    double total = 0, least = 0;
    profile_row r;
    for (int i = 0; i < 9; i++) {
        cli_table_cell(&table, "%s", heads[i]);
    }
    for (int i = 0; i < layers_of(profile); i++) {
        total += row_at(profile, i, &r) ? r.seconds : 0;
    }
    for (int i = 0; i < layers_of(profile); i++) {
        if (row_at(profile, i, &r)) {
            print_row(&table, &r, total);
            least += r.least;
        }
    }
    cli_table_print(&table, stdout, "");
    printf("%.1f us an image, %s of it at the limits; what follows a layer is counted with it\n\n", 1e6 * total,
           cli_share(least, total, number));
}
