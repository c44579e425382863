/* What the command prints: messages on stderr, results on stdout as JSON or aligned text. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cli_style(FILE *file, const char *code) {
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool wanted =
        isatty(fileno(file)) && (none == NULL || none[0] == '\0') && (terminal == NULL || strcmp(terminal, "dumb") != 0);
    return wanted ? code : "";
}

/* "crumb train: message"; a bar that may be there is cleared first. */
static void say(const cli *self, const char *colour, const char *format, va_list values) {
    char text[2048];
    vsnprintf(text, sizeof(text), format, values);
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at; /* one line, whatever the values hold */
    }
    fprintf(stderr, "%s%scrumb%s%s:%s %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", cli_style(stderr, colour),
            self->command != NULL ? " " : "", self->command != NULL ? self->command->name : "", cli_style(stderr, "\033[0m"),
            text);
}

int cli_fail(const cli *self, const char *format, ...) {
    va_list values;
    va_start(values, format);
    say(self, "\033[31m", format, values);
    va_end(values);
    return CLI_FAILED;
}

int cli_usage(const cli *self, const char *format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    const char *name = self->command != NULL ? self->command->name : NULL;
    cli_fail(self, "%s (crumb %s%s--help tells more)", text, name != NULL ? name : "", name != NULL ? " " : "");
    return CLI_USAGE;
}

int cli_fail_message(const cli *self) {
    return cli_fail(self, "%s", crumb_message(self->ctx));
}

void cli_note(const cli *self, const char *format, ...) {
    if (!self->common.quiet) {
        va_list values;
        va_start(values, format);
        say(self, "", format, values);
        va_end(values);
    }
}

static void say_line(const cli *self, const char *colour, const char *format, ...) CRUMB_PRINTF(3, 4);
static void say_line(const cli *self, const char *colour, const char *format, ...) {
    va_list values;
    va_start(values, format);
    say(self, colour, format, values);
    va_end(values);
}

void cli_log(void *user, crumb_log_level level, const char *line) {
    const cli *self = user;
    if (level == CRUMB_LOG_ERROR || level == CRUMB_LOG_WARNING) {
        say_line(self, "\033[33m", "%s", line);
    } else if (self->common.verbose || (level == CRUMB_LOG_INFO && !self->common.quiet)) {
        say_line(self, "", "%s", line);
    }
}

json_t *cli_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *cli_string(const char *text) {
    return text != NULL ? json_string(text) : json_null();
}

int cli_print_json(json_t *object) {
    if (object == NULL) {
        fprintf(stderr, "crumb: out of memory\n");
        return CLI_FAILED;
    }
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(object);
    return CLI_DONE;
}

static const char *prefixed(double value, const char *unit, char text[CLI_NUMBER]) {
    static const char *const prefix[] = {"", "k", "M", "G", "T"};
    int step = 0;
    while (fabs(value) >= 999.5 && step < 4) {
        value /= 1000;
        step++;
    }
    int digits = step == 0 || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
    snprintf(text, CLI_NUMBER, "%.*f%s%s%s", digits, value, step > 0 || unit[0] != '\0' ? " " : "", prefix[step], unit);
    return text;
}

const char *cli_short(double value, char text[CLI_NUMBER]) {
    return prefixed(value, "", text);
}

const char *cli_bytes(double value, char text[CLI_NUMBER]) {
    return prefixed(value, "B", text);
}

const char *cli_duration(double seconds, char text[CLI_NUMBER]) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 3.6e7) {
        snprintf(text, CLI_NUMBER, "-:--");
        return text;
    }
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600) {
        snprintf(text, CLI_NUMBER, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        snprintf(text, CLI_NUMBER, "%ld:%02ld", whole / 60, whole % 60);
    }
    return text;
}

void cli_table_cell(cli_table *table, const char *format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (table->cells == table->room) {
        int room = table->room > 0 ? 2 * table->room : 64;
        char **grown = realloc(table->cell, (size_t)room * sizeof(*grown));
        if (grown == NULL) {
            return;
        }
        table->cell = grown;
        table->room = room;
    }
    char *copy = strdup(text);
    if (copy != NULL) {
        table->cell[table->cells++] = copy;
    }
}

/* Columns that a terminal shows: UTF-8 continuation bytes take none. */
static int shown(const char *text) {
    int count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

void cli_table_print(cli_table *table, FILE *file, const char *indent) {
    int columns = (int)strlen(table->align), width[16] = {0};
    for (int i = 0; i < table->cells; i++) {
        int length = shown(table->cell[i]);
        width[i % columns] = length > width[i % columns] ? length : width[i % columns];
    }
    for (int i = 0; i < table->cells; i++) {
        int column = i % columns, space = width[column] - shown(table->cell[i]);
        bool right = table->align[column] == 'r', last = column == columns - 1;
        fprintf(file, "%s%*s%s%*s%s", column == 0 ? indent : "  ", right ? space : 0, "", table->cell[i],
                right || last ? 0 : space, "", last ? "\n" : "");
    }
    cli_table_free(table);
}

void cli_table_free(cli_table *table) {
    for (int i = 0; i < table->cells; i++) {
        free(table->cell[i]);
    }
    free(table->cell);
    *table = (cli_table){.align = table->align};
}
