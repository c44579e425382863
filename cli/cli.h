/* The command `crumb`: what its files share.
 *
 * A subcommand is one file with a const cli_command at its foot and one row in main.c. Its options are a table; parsing,
 * --help, shell completion and the man page all come from it. Only public headers of crumb are used here. */
#ifndef CRUMB_CLI_H
#define CRUMB_CLI_H

#include "crumb/train.h"

#include <jansson.h>
#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 }; /* exit codes */

/* ---- Options. */

typedef enum cli_type {
    CLI_FLAG,  /* bool */
    CLI_TEXT,  /* const char *, NULL when not given */
    CLI_INT,   /* cli_int */
    CLI_REALS, /* cli_reals: numbers separated by commas */
    CLI_TEXTS  /* cli_texts: may be given several times */
} cli_type;

typedef struct cli_int {
    bool given;
    int64_t value;
} cli_int;

enum { CLI_REALS_MAX = 4, CLI_TEXTS_MAX = 64 };

typedef struct cli_reals {
    int count;
    float at[CLI_REALS_MAX];
} cli_reals;

typedef struct cli_texts {
    int count;
    const char *at[CLI_TEXTS_MAX];
} cli_texts;

/* What a shell may offer for a value. */
typedef enum cli_offer {
    CLI_OFFER_NOTHING,
    CLI_OFFER_FILES,
    CLI_OFFER_FOLDERS,
    CLI_OFFER_DATA,
    CLI_OFFER_MODELS,
    CLI_OFFER_WORDS
} cli_offer;

typedef struct cli_option {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* short form, 0: none */
    cli_type type;
    size_t offset;     /* of the member in the command's struct */
    const char *value; /* what --help calls the value; NULL for flags */
    int64_t min, max;  /* of CLI_INT */
    cli_offer offer;
    const char *doc;
} cli_option;

typedef struct cli_common {
    bool json, verbose, quiet, help;
    cli_int threads;
} cli_common;
extern const cli_option cli_common_options[];

/* ---- Commands. */

typedef struct cli cli;

typedef struct cli_command {
    const char *name;
    const char *arguments; /* "RECIPE", as --help shows it */
    const char *summary;   /* one line */
    const char *examples;  /* lines "command  # what it does" */
    const char *about;     /* paragraphs, NULL: none */
    const cli_option *options;
    size_t size; /* of the command's struct of options */
    int min_arguments, max_arguments;
    cli_offer offer;   /* for arguments */
    const char *words; /* CLI_OFFER_WORDS: the words, separated by spaces */
    bool plain;        /* takes no common options and needs no context: completion, manual */
    int (*run)(cli *self, const void *options);
} cli_command;

extern const cli_command cli_train, cli_compare, cli_surface, cli_eval, cli_pack, cli_verify, cli_run, cli_export, cli_info,
    cli_data, cli_import, cli_bench, cli_report, cli_completion, cli_manual;
extern const cli_command *const cli_commands[]; /* NULL-terminated; the last ones are hidden */
int cli_visible_commands(void);

/* One invocation. */
struct cli {
    const cli_command *command;
    cli_common common;
    crumb_ctx *ctx;
    int arguments;
    const char **argument;
};

/* Fills `self->common`, `self->argument` (room for argc) and *options from the words after the command's name. Returns CLI_DONE
 * or CLI_USAGE (said on stderr). */
int cli_parse(cli *self, int argc, char **argv, void *options);

/* A command that turns its first argument into the file `out`: CLI_USAGE (said) if that is missing, would replace the argument,
 * or ends like another kind of file than `ending`. NULL: any ending. */
int cli_check_out(const cli *self, const char *out, const char *ending);

/* ---- Messages, on stderr, one line each. */

int cli_fail(const cli *self, const char *format, ...) CRUMB_PRINTF(2, 3);  /* returns CLI_FAILED */
int cli_usage(const cli *self, const char *format, ...) CRUMB_PRINTF(2, 3); /* returns CLI_USAGE */
int cli_fail_message(const cli *self);                                      /* the context's message; returns CLI_FAILED */
void cli_note(const cli *self, const char *format, ...) CRUMB_PRINTF(2, 3); /* not with --quiet */
void cli_log(void *user, crumb_log_level level, const char *line);          /* user: cli */

/* ---- Results, on stdout. */

json_t *cli_real(double value);       /* JSON number, null for NaN and infinity */
json_t *cli_string(const char *text); /* JSON string, null for NULL */
int cli_print_json(json_t *object);   /* takes the object; returns CLI_DONE, or CLI_FAILED when out of memory */
/* "1.5 G", "23 k": three digits and a prefix. */
enum { CLI_NUMBER = 32 };
const char *cli_short(double value, char text[CLI_NUMBER]);
const char *cli_bytes(double value, char text[CLI_NUMBER]);      /* "270 kB" */
const char *cli_duration(double seconds, char text[CLI_NUMBER]); /* "2:07", "1:02:07" */
const char *cli_style(FILE *file, const char *code); /* an escape sequence, "" unless file is a terminal that wants colours */

/* Breaks paragraphs at `width` columns, indent included. */
void cli_wrap(FILE *file, const char *text, const char *indent, int width);
/* A table with aligned columns; `align` has one letter a column: l or r. Cells are copied. */
typedef struct cli_table {
    const char *align;
    int cells, room;
    char **cell;
} cli_table;
void cli_table_cell(cli_table *table, const char *format, ...) CRUMB_PRINTF(2, 3);
void cli_table_print(cli_table *table, FILE *file, const char *indent); /* and frees its cells */
void cli_table_free(cli_table *table);

/* ---- Progress, on stderr: a bar on a terminal, a line every ten seconds elsewhere. */

typedef struct cli_progress {
    const cli *self;
    bool terminal;
    double begun, drawn; /* seconds */
} cli_progress;

void cli_progress_begin(cli_progress *progress, const cli *self);
/* True when it is time to draw: `done` calls are cheap. */
bool cli_progress_due(cli_progress *progress);
void cli_progress_draw(cli_progress *progress, double fraction, const char *before, const char *after);
void cli_progress_end(cli_progress *progress);                    /* clears the bar */
bool cli_count_progress(void *user, int64_t done, int64_t total); /* user: cli_progress; images of an evaluation */

/* Lets idle threads sleep soon (waiting.c); starts the command once more with the same arguments, so it comes first. */
void cli_wait_briefly(char *const *argv);

/* Asks for SIGINT and SIGTERM to be noted instead of ending the program; a second one ends it. */
void cli_catch_signals(void);
bool cli_interrupted(void);

/* ---- Text made from the tables (help.c, completion.c). */

void cli_help(FILE *file);
void cli_help_command(const cli_command *command, FILE *file);
const char *cli_environment(void *user, const char *name); /* crumb_lookup over the process environment */

/* ---- What several commands do. */

enum { CLI_SEED = 1 }; /* of data that is drawn (digits), unless --seed says another: the recipes' default */

/* Loads a recipe with --set and --seed, variables from the environment. */
crumb_status cli_load_recipe(const cli *self, const char *path, const cli_texts *set, cli_int seed, crumb_recipe **recipe);

#endif
