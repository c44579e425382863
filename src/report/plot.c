/* Running gnuplot. Script, picture and complaints pass through temporary files that have no name: no pipe can fill up, and
 * nothing is left behind. */
#include "report/plot.h"

#include "base/utf8.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ; /* gnuplot's own: PATH, HOME, where its fonts are */

/* ---- Text. */

void crumb_plot_text(crumb_text *script, const char *text) {
    size_t size = strlen(text);
    crumb_text_bytes(script, "'", 1);
    while (size > 0) {
        uint32_t point = 0;
        size_t length = crumb_utf8_next(text, size, &point);
        bool control = point < ' ' || (point >= 127 && point < 160) || point == 0xfffe || point == 0xffff;
        if (length == 0 || control) {
            crumb_text_bytes(script, length == 0 ? "?" : " ", 1);
        } else if (point == '\'') {
            crumb_text_bytes(script, "''", 2);
        } else {
            crumb_text_bytes(script, text, length);
        }
        text += length > 0 ? length : 1;
        size -= length > 0 ? length : 1;
    }
    crumb_text_bytes(script, "'", 1);
}

void crumb_xml_text(crumb_text *out, const char *text) {
    size_t size = strlen(text);
    while (size > 0) {
        uint32_t point = 0;
        size_t length = crumb_utf8_next(text, size, &point);
        bool control = (point < ' ' && point != '\n' && point != '\t') || (point >= 127 && point < 160);
        if (length == 0 || control || point == 0xfffe || point == 0xffff) {
            crumb_text_print(out, "\xef\xbf\xbd");
        } else if (point < 128 && strchr("&<>\"'", (int)point) != NULL) {
            crumb_text_print(out, "&#%u;", (unsigned)point);
        } else {
            crumb_text_bytes(out, text, length);
        }
        text += length > 0 ? length : 1;
        size -= length > 0 ? length : 1;
    }
}

/* ---- The child. */

typedef struct child {
    FILE *script, *picture, *complaints;
} child;

static crumb_status open_files(crumb_ctx *ctx, child *c) {
    c->script = tmpfile();
    c->picture = tmpfile();
    c->complaints = tmpfile();
    return c->script != NULL && c->picture != NULL && c->complaints != NULL
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_IO, "cannot create a temporary file for gnuplot: %s", strerror(errno));
}

static void close_files(child *c) {
    FILE *const files[] = {c->script, c->picture, c->complaints};
    for (int i = 0; i < 3; i++) {
        if (files[i] != NULL) {
            fclose(files[i]);
        }
    }
}

static void preamble(const crumb_plot *plot, crumb_text *script) {
    crumb_text_print(script, "set encoding utf8\nset terminal svg size %d,%d noenhanced font 'sans-serif,13'\n", plot->width,
                     plot->height);
    for (int i = 1; i <= 2 * CRUMB_PLOT_SERIES; i++) {
        crumb_text_print(script, "set linetype %d lc rgb '#f903%02x' lw 2 pt 7 ps 0.5 dt %d\n", i,
                         0x10 + (i - 1) % CRUMB_PLOT_SERIES, i > CRUMB_PLOT_SERIES ? 2 : 1);
    }
    crumb_text_print(script, "set border 3 lc rgb " CRUMB_PLOT_MUTED "\nset tics nomirror scale 0.5 tc rgb " CRUMB_PLOT_INK
                             "\nset grid lt 1 dt 1 lw 1 lc rgb " CRUMB_PLOT_GRID "\nset title tc rgb " CRUMB_PLOT_INK
                             "\nset xlabel tc rgb " CRUMB_PLOT_INK "\nset ylabel tc rgb " CRUMB_PLOT_INK
                             "\nset key tc rgb " CRUMB_PLOT_INK "\nset style fill solid 1 noborder\n");
}

static crumb_status write_script(crumb_ctx *ctx, const crumb_plot *plot, FILE *file) {
    crumb_text text = {.ctx = ctx};
    char *script;
    preamble(plot, &text);
    crumb_text_bytes(&text, plot->script, strlen(plot->script));
    crumb_text_bytes(&text, "\n", 1);
    CRUMB_TRY(crumb_text_take(&text, &script));
    bool written = fwrite(script, 1, strlen(script), file) == strlen(script) && fflush(file) == 0;
    crumb_free(ctx, script);
    rewind(file);
    return written ? CRUMB_OK : crumb_fail(ctx, CRUMB_ERROR_IO, "cannot write gnuplot's script: %s", strerror(errno));
}

static crumb_status read_back(crumb_ctx *ctx, FILE *file, char **text) {
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read what gnuplot wrote: %s", strerror(errno));
    }
    rewind(file);
    char *at = crumb_alloc(ctx, (size_t)size + 1, 1);
    if (at == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (fread(at, 1, (size_t)size, file) != (size_t)size) {
        crumb_free(ctx, at);
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read what gnuplot wrote");
    }
    *text = at;
    return CRUMB_OK;
}

/* 127 is what a child that could not become gnuplot ends with where posix_spawn does not say so itself. */
static crumb_status spawn(crumb_ctx *ctx, const child *c, int *code) {
    char *const arguments[] = {"gnuplot", "-d", NULL}; /* -d: without the user's settings */
    posix_spawn_file_actions_t actions;
    pid_t process;
    int state;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return crumb_fail(ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    int error = posix_spawn_file_actions_adddup2(&actions, fileno(c->script), STDIN_FILENO);
    error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, fileno(c->picture), STDOUT_FILENO);
    error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, fileno(c->complaints), STDERR_FILENO);
    error = error != 0 ? error : posix_spawnp(&process, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0 && error != ENOENT && error != EACCES) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot start gnuplot: %s", strerror(error));
    }
    while (error == 0 && waitpid(process, &state, 0) < 0) {
        if (errno != EINTR) {
            return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot wait for gnuplot: %s", strerror(errno));
        }
    }
    *code = error != 0 ? 127 : WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    return CRUMB_OK;
}

/* gnuplot's last line says what was wrong with the script. */
static crumb_status refused(crumb_ctx *ctx, const crumb_plot *plot, const child *c, int code) {
    char *text;
    CRUMB_TRY(read_back(ctx, c->complaints, &text));
    size_t end = strlen(text);
    while (end > 0 && strchr(" \t\r\n", text[end - 1]) != NULL) {
        text[--end] = '\0';
    }
    const char *line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    crumb_status status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "gnuplot refused the picture \"%s\" with status %d: %s", plot->id,
                                     code, line + strspn(line, " \t"));
    crumb_free(ctx, text);
    return status;
}

static crumb_status draw(crumb_ctx *ctx, const crumb_plot *plot, child *c, char **raw) {
    int code = 0;
    CRUMB_TRY(open_files(ctx, c));
    CRUMB_TRY(write_script(ctx, plot, c->script));
    CRUMB_TRY(spawn(ctx, c, &code));
    if (code == 127) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "gnuplot is not installed (Debian package gnuplot-nox)");
    }
    return code != 0 ? refused(ctx, plot, c, code) : read_back(ctx, c->picture, raw);
}

crumb_status crumb_plot_svg(crumb_ctx *ctx, const crumb_plot *plot, char **svg) {
    child c = {0};
    char *raw = NULL;
    crumb_status status = draw(ctx, plot, &c, &raw);
    close_files(&c);
    status = status == CRUMB_OK ? crumb_plot_clean(ctx, plot, raw, svg) : status;
    crumb_free(ctx, raw);
    return status;
}
