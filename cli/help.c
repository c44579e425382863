/* Help and the man page, written from the tables of commands and options. Examples come first: they are what one looks for. */
#include "cli.h"

#include <string.h>

static void heading(FILE *file, const char *text) {
    fprintf(file, "%s%s%s\n", cli_style(file, "\033[1m"), text, cli_style(file, "\033[0m"));
}

static void indented(FILE *file, const char *text, const char *indent) {
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        fprintf(file, "%s%.*s\n", length > 0 ? indent : "", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* Breaks paragraphs at `width` columns. */
void cli_wrap(FILE *file, const char *text, const char *indent, int width) {
    int column = 0;
    while (*text != '\0') {
        if (*text == '\n') {
            fputs(column > 0 ? "\n" : "", file);
            fputs("\n", file);
            column = 0;
            text += strspn(text, "\n");
        }
        int length = (int)strcspn(text, " \n");
        if (column > 0 && column + 1 + length > width) {
            fputs("\n", file);
            column = 0;
        }
        fprintf(file, "%s%.*s", column == 0 ? indent : " ", length, text);
        column += (column == 0 ? (int)strlen(indent) : 1) + length;
        text += length;
        text += *text == ' ';
    }
    fputs("\n", file);
}

static void option_cells(cli_table *table, const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        char letter[8] = "   ";
        if (option->letter != 0) {
            snprintf(letter, sizeof(letter), "-%c,", option->letter);
        }
        cli_table_cell(table, "%s --%s%s%s", letter, option->name, option->value != NULL ? " " : "",
                       option->value != NULL ? option->value : "");
        cli_table_cell(table, "%s", option->doc);
    }
}

void cli_help(FILE *file) {
    heading(file, "Examples");
    indented(file,
             "crumb train recipes/demo-w2a2.yaml                        # a 2-bit network on the built-in digits\n"
             "crumb eval runs/demo-w2a2/best.safetensors --data digits  # its accuracy\n"
             "crumb info                                                # everything that recipes can name\n"
             "crumb COMMAND --help                                      # examples and options of a command\n",
             "  ");
    fputc('\n', file);
    heading(file, "Commands");
    cli_table table = {.align = "lll"};
    for (int i = 0; i < cli_visible_commands(); i++) {
        cli_table_cell(&table, "%s", cli_commands[i]->name);
        cli_table_cell(&table, "%s", cli_commands[i]->arguments);
        cli_table_cell(&table, "%s", cli_commands[i]->summary);
    }
    cli_table_print(&table, file, "  ");
    fputc('\n', file);
    cli_wrap(file,
            "crumb trains networks whose weights and activations have 1 to 8 bits. --version tells which crumb this is. "
            "Results go to stdout, everything else to stderr; exit status 0 done, 1 failed, 2 usage.",
            "", 100);
}

void cli_help_command(const cli_command *command, FILE *file) {
    heading(file, "Examples");
    indented(file, command->examples, "  ");
    fputc('\n', file);
    heading(file, "Usage");
    fprintf(file, "  crumb %s %s%s\n      %s\n\n", command->name, command->arguments, command->plain ? "" : " [OPTION]...",
            command->summary);
    if (command->about != NULL) {
        cli_wrap(file, command->about, "  ", 100);
        fputc('\n', file);
    }
    if (!command->plain) {
        heading(file, "Options");
        cli_table table = {.align = "ll"};
        option_cells(&table, command->options);
        option_cells(&table, cli_common_options);
        cli_table_print(&table, file, "  ");
    }
}

/* ---- The man page, roff. */

static void roff(FILE *file, const char *text) {
    bool start = true;
    for (; *text != '\0'; text++) {
        if (start && (*text == '.' || *text == '\'')) {
            fputs("\\&", file);
        }
        start = *text == '\n';
        if (*text == '\\') {
            fputs("\\e", file);
        } else if (*text == '-') {
            fputs("\\-", file);
        } else if (*text == '\n' && text[1] == '\n') {
            fputs("\n.PP", file);
        } else {
            fputc(*text, file);
        }
    }
}

static void roff_options(FILE *file, const cli_option *options) {
    for (const cli_option *option = options; option != NULL && option->name != NULL; option++) {
        fputs(".TP\n", file);
        if (option->letter != 0) {
            fprintf(file, "\\fB\\-%c\\fR, ", option->letter);
        }
        fputs("\\fB\\-\\-", file);
        roff(file, option->name);
        fputs("\\fR", file);
        if (option->value != NULL) {
            fprintf(file, " \\fI%s\\fR", option->value);
        }
        fputc('\n', file);
        roff(file, option->doc);
        fputc('\n', file);
    }
}

static void roff_command(FILE *file, const cli_command *command) {
    fprintf(file, ".SS crumb %s %s\n", command->name, command->arguments);
    roff(file, command->summary);
    fputs("\n.PP\n.nf\n.RS\n", file);
    roff(file, command->examples);
    fputs(".RE\n.fi\n", file);
    if (command->about != NULL) {
        fputs(".PP\n", file);
        roff(file, command->about);
        fputc('\n', file);
    }
    roff_options(file, command->options);
}

static int run(cli *self, const void *options) {
    (void)self;
    (void)options;
    FILE *file = stdout;
    fprintf(file,
            ".\\\" Written by `crumb manual` from the command's tables.\n.TH CRUMB 1 \"\" \"crumb %s\" \"User Commands\"\n",
            CRUMB_VERSION);
    fputs(".SH NAME\ncrumb \\- train neural networks with weights and activations of 1 to 8 bits\n"
          ".SH SYNOPSIS\n.B crumb\n.I COMMAND\n[\\fIARGUMENT\\fR]... [\\fIOPTION\\fR]...\n"
          ".SH COMMANDS\n",
          file);
    for (int i = 0; i < cli_visible_commands(); i++) {
        roff_command(file, cli_commands[i]);
    }
    fputs(".SH COMMON OPTIONS\n", file);
    roff_options(file, cli_common_options);
    fputs(".SH DATA SETS\nA data set is written \\fIKIND\\fR:\\fIPATH\\fR[:\\fISPLIT\\fR], where \\fISPLIT\\fR is train or "
          "test (default: "
          "test). \\fIKIND\\fR is one of\n",
          file);
    crumb_entry entry;
    for (int i = 0; crumb_kind_entry(CRUMB_KIND_LOADER, i, &entry); i++) {
        fprintf(file, ".TP\n.B %s\n", entry.name);
        roff(file, entry.doc);
        fputc('\n', file);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B CRUMB_CPU\nuse no more than these instructions: scalar, avx2, avxvnni, avx512 or neon\n"
          ".TP\n.B NO_COLOR\nno colours when set to anything\n"
          ".PP\nRecipes may use any variable as ${NAME}.\n"
          ".SH EXIT STATUS\n0 done; 1 failed, with one line on stderr; 2 usage\n",
          file);
    return CLI_DONE;
}

const cli_command cli_manual = {
    .name = "manual",
    .arguments = "",
    .summary = "write the man page",
    .examples = "crumb manual > crumb.1\n",
    .plain = true,
    .run = run,
};
