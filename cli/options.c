/* Option parsing from tables: --name value, --name=value, -n value, -nvalue, options and arguments in any order, "--" ends
 * options. Every mistake is one line with the value and, for a name, the nearest one that exists. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const cli_option cli_common_options[] = {
    {"json", 0, CLI_FLAG, offsetof(cli_common, json), NULL, 0, 0, 0, "one JSON object on stdout, nothing else there"},
    {"threads", 0, CLI_INT, offsetof(cli_common, threads), "N", 1, 1024, 0, "computing threads (default: one per processor)"},
    {"verbose", 'v', CLI_FLAG, offsetof(cli_common, verbose), NULL, 0, 0, 0, "say more on stderr: plans, decisions"},
    {"quiet", 'q', CLI_FLAG, offsetof(cli_common, quiet), NULL, 0, 0, 0, "no progress and no notes on stderr"},
    {"help", 'h', CLI_FLAG, offsetof(cli_common, help), NULL, 0, 0, 0, "show this text"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

/* Finds an option by name (or letter, when name is NULL) in the command's table, then in the common one. */
static const cli_option *find(const cli *self, const char *name, size_t length, char letter, bool *common) {
    const cli_option *const table[] = {self->command->options, cli_common_options};
    for (int t = 0; t < 2; t++) {
        for (const cli_option *option = table[t]; option != NULL && option->name != NULL; option++) {
            bool same = name != NULL ? strlen(option->name) == length && memcmp(option->name, name, length) == 0
                                     : option->letter != 0 && option->letter == letter;
            if (same) {
                *common = t == 1;
                return option;
            }
        }
    }
    return NULL;
}

static int unknown(const cli *self, const char *name, size_t length) {
    const char *names[64];
    char wanted[64];
    size_t count = 0;
    const cli_option *const table[] = {self->command->options, cli_common_options};
    for (int t = 0; t < 2; t++) {
        for (const cli_option *option = table[t]; option != NULL && option->name != NULL && count < 64; option++) {
            names[count++] = option->name;
        }
    }
    snprintf(wanted, sizeof(wanted), "%.*s", (int)(length < 60 ? length : 60), name);
    const char *near = crumb_nearest(wanted, names, count);
    return near != NULL ? cli_usage(self, "no option --%s; did you mean --%s?", wanted, near)
                        : cli_usage(self, "no option --%s", wanted);
}

static int set_int(const cli *self, const cli_option *option, cli_int *out, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) {
        return cli_usage(self, "--%s: \"%s\" is not a whole number", option->name, text);
    }
    if (value < option->min || value > option->max) {
        return cli_usage(self, "--%s: %lld is outside %" PRId64 " .. %" PRId64, option->name, value, option->min, option->max);
    }
    *out = (cli_int){true, value};
    return CLI_DONE;
}

static int set_reals(const cli *self, const cli_option *option, cli_reals *out, const char *text) {
    out->count = 0;
    for (const char *at = text;; at++) {
        char *end;
        float value = strtof(at, &end);
        if (end == at || (*end != ',' && *end != '\0') || value - value != 0) {
            return cli_usage(self, "--%s: \"%s\" is not a list of numbers such as 0.5,0.5,0.5", option->name, text);
        }
        if (out->count == CLI_REALS_MAX) {
            return cli_usage(self, "--%s: \"%s\" has more than %d numbers", option->name, text, CLI_REALS_MAX);
        }
        out->at[out->count++] = value;
        at = end;
        if (*end == '\0') {
            return CLI_DONE;
        }
    }
}

static int set(const cli *self, const cli_option *option, void *base, const char *text) {
    void *out = (char *)base + option->offset;
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)out = true;
        return CLI_DONE;
    case CLI_TEXT:
        *(const char **)out = text;
        return text[0] != '\0' ? CLI_DONE : cli_usage(self, "--%s: the value is empty", option->name);
    case CLI_INT:
        return set_int(self, option, out, text);
    case CLI_REALS:
        return set_reals(self, option, out, text);
    case CLI_TEXTS:
        break;
    }
    cli_texts *texts = out;
    if (texts->count == CLI_TEXTS_MAX) {
        return cli_usage(self, "--%s is given more than %d times", option->name, CLI_TEXTS_MAX);
    }
    texts->at[texts->count++] = text;
    return CLI_DONE;
}

/* One option at argv[*at]; moves *at past its value. */
static int parse_option(cli *self, int argc, char **argv, int *at, void *options) {
    const char *word = argv[*at];
    bool is_long = word[1] == '-', common = false;
    const char *name = is_long ? word + 2 : NULL;
    const char *value = is_long ? strchr(name, '=') : word[2] != '\0' ? word + 2 : NULL;
    size_t length = !is_long ? 0 : value != NULL ? (size_t)(value - name) : strlen(name);
    value = is_long && value != NULL ? value + 1 : value;
    const cli_option *option = find(self, name, length, word[1], &common);
    if (option == NULL) {
        return is_long ? unknown(self, name, length) : cli_usage(self, "no option -%c", word[1]);
    }
    if (option->type == CLI_FLAG && value != NULL) {
        return cli_usage(self, "--%s takes no value, got \"%s\"", option->name, value);
    }
    if (option->type != CLI_FLAG && value == NULL) {
        if (*at + 1 >= argc) {
            return cli_usage(self, "--%s needs a value: %s", option->name, option->value);
        }
        value = argv[++*at];
    }
    return set(self, option, common ? (void *)&self->common : options, value);
}

/* Results name the files they are of, and JSON is UTF-8. */
static int check_texts(const cli *self, int argc, char **argv) {
    for (int i = 0; self->common.json && i < argc; i++) {
        json_t *text = json_string(argv[i]);
        if (text == NULL) {
            return cli_usage(self, "\"%s\" is not UTF-8, so --json cannot name it", argv[i]);
        }
        json_decref(text);
    }
    return CLI_DONE;
}

int cli_parse(cli *self, int argc, char **argv, void *options) {
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (only_arguments || argv[i][0] != '-' || argv[i][1] == '\0') {
            self->argument[self->arguments++] = argv[i];
        } else {
            int code = parse_option(self, argc, argv, &i, options);
            if (code != CLI_DONE) {
                return code;
            }
        }
    }
    if (self->common.help) {
        return CLI_DONE;
    }
    if (self->arguments < self->command->min_arguments) {
        return cli_usage(self, "%s is missing", self->command->arguments);
    }
    if (self->arguments > self->command->max_arguments) {
        return cli_usage(self, "\"%s\" is one argument too many", self->argument[self->command->max_arguments]);
    }
    return check_texts(self, argc, argv);
}

int cli_check_out(const cli *self, const char *out, const char *ending) {
    static const char *const endings[] = {".crumb", ".safetensors", ".onnx", ".c"};
    struct stat from, to;
    if (out == NULL) {
        return cli_usage(self, "--out is missing");
    }
    const char *dot = strrchr(out, '.');
    for (size_t i = 0; dot != NULL && ending != NULL && i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (strcmp(dot, endings[i]) == 0 && strcmp(dot, ending) != 0) {
            return cli_usage(self, "--out: what is written is a %s file, not %s", ending, out);
        }
    }
    bool same =
        stat(self->argument[0], &from) == 0 && stat(out, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
    return same ? cli_usage(self, "--out: %s is the file that is read, and would be lost", out) : CLI_DONE;
}
