/* What gnuplot 5.4's SVG terminal writes, made fit to stand in a page.
 *
 * The body (the group "gnuplot_canvas") is kept, in an <svg> of our own with a title and a description. In its tags
 *     rgb(249, 3, n)            becomes the n-th CSS variable, with its light value for readers without the style
 *     color="black", ="gray"    go: lines take the page's colour
 *     "black"                   is the page's colour
 *     gpPt7                     gets the picture's id in front
 *     <title>gnuplot_plot_1     goes: browsers would show it
 * and groups without content go. Markers are defined only where one is used. */
#include "report/plot.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct colour {
    int code;
    const char *name, *light;
} colour;

/* code, name, light, dark */
#define COLOURS(X)                                                                                                             \
    X(0x01, "ink", "#1d2129", "#e6e8ec")                                                                                       \
    X(0x02, "muted", "#6b7280", "#959daa")                                                                                     \
    X(0x03, "grid", "#e5e7eb", "#2b3038")                                                                                      \
    X(0x04, "accent", "#c2410c", "#ff9a5c")                                                                                    \
    X(0x05, "fill", "#8fb3e8", "#3f6399")                                                                                      \
    X(0x06, "band", "#f1f3f6", "#1d2127")                                                                                      \
    X(0x07, "page", "#ffffff", "#14171c")                                                                                      \
    X(0x10, "1", "#2463c9", "#7fb0ff")                                                                                         \
    X(0x11, "2", "#c4510a", "#ff9d5c")                                                                                         \
    X(0x12, "3", "#0f7f62", "#4fd0a8")                                                                                         \
    X(0x13, "4", "#a3378f", "#ee8fdd")                                                                                         \
    X(0x14, "5", "#8a6d00", "#e3c14a")                                                                                         \
    X(0x15, "6", "#2a8fb8", "#6fd3f0")                                                                                         \
    X(0x16, "7", "#b3263a", "#ff8a94")                                                                                         \
    X(0x17, "8", "#5b6470", "#aab4c0")

#define ROW(code, name, light, dark) {code, name, light},
#define LIGHT(code, name, light, dark) "--plot-" name ":" light ";"
#define DARK(code, name, light, dark) "--plot-" name ":" dark ";"
static const colour colours[] = {COLOURS(ROW)};

#define LIGHT_RULES ":root{" COLOURS(LIGHT) "}\n"
#define DARK_RULES "@media (prefers-color-scheme:dark){:root{" COLOURS(DARK) "}}\n"
const char crumb_plot_style[] = LIGHT_RULES DARK_RULES;

static const char *after(const char *text, const char *start) {
    size_t length = strlen(start);
    return strncmp(text, start, length) == 0 ? text + length : NULL;
}

/* At "rgb(r, g, b)" of one of our colours: prints its variable and returns what follows it, else NULL. */
static const char *colour_at(crumb_text *out, const char *at) {
    const char *from = after(at, "rgb(");
    long value[3];
    for (int i = 0; from != NULL && i < 3; i++) {
        char *end;
        value[i] = strtol(from, &end, 10);
        from = end != from && *end == (i < 2 ? ',' : ')') ? end + 1 : NULL;
    }
    if (from == NULL || value[0] != 0xf9 || value[1] != 3) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (colours[i].code == value[2]) {
            crumb_text_print(out, "var(--plot-%s,%s)", colours[i].name, colours[i].light);
            return from;
        }
    }
    return NULL;
}

/* One step within a tag: copies or replaces what stands at `at` and returns what follows it. */
static const char *tag_step(crumb_text *out, const char *id, const char *at) {
    static const char *const drop[] = {" color=\"black\"", " color=\"white\"", " color=\"gray\"", " class=\"gridline\"",
                                       "xlink:"};
    const char *next = colour_at(out, at);
    for (size_t i = 0; next == NULL && i < sizeof(drop) / sizeof(drop[0]); i++) {
        next = after(at, drop[i]);
    }
    if (next != NULL) {
        return next;
    }
    if (after(at, " id=\"gnuplot_plot_") != NULL) {
        next = after(at, " id=\"");
        return next + strcspn(next, "\"") + (strchr(next, '"') != NULL ? 1 : 0);
    }
    if ((next = after(at, "\"black\"")) != NULL) {
        crumb_text_print(out, "\"currentColor\"");
        return next;
    }
    if (after(at, "gpPt") != NULL || after(at, "gpDot") != NULL) {
        crumb_text_print(out, "%s-", id);
    }
    crumb_text_bytes(out, at, 1);
    return at + 1;
}

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t\r\n");
}

/* Past a group without content that starts at `at`, or NULL. */
static const char *empty_group(const char *at) {
    const char *end = after(at, "<g") != NULL ? strchr(at, '>') : NULL;
    return end != NULL ? after(skip_space(end + 1), "</g>") : NULL;
}

/* Past a title that gnuplot invented, or NULL. */
static const char *invented_title(const char *at) {
    const char *end = after(at, "<title>gnuplot_plot_") != NULL ? strstr(at, "</title>") : NULL;
    return end != NULL ? end + strlen("</title>") : NULL;
}

static void clean(crumb_text *out, const char *id, const char *at, const char *end) {
    while (at < end && out->status == CRUMB_OK) {
        const char *next = NULL;
        if (*at == '<' && ((next = empty_group(at)) != NULL || (next = invented_title(at)) != NULL)) {
            at = skip_space(next);
        } else if (*at == '<') {
            while (at < end && *at != '>') {
                at = tag_step(out, id, at);
            }
        } else if (isspace((unsigned char)*at)) {
            crumb_text_bytes(out, at, 1);
            at = skip_space(at);
        } else {
            crumb_text_bytes(out, at, 1);
            at++;
        }
    }
}

/* gnuplot's markers, each a line with id='gpPt...' */
static void markers(crumb_text *out, const char *id, const char *defs, const char *end) {
    crumb_text_print(out, "<defs>\n");
    for (const char *at = defs; at < end;) {
        const char *line = skip_space(at), *stop = strchr(line, '\n');
        at = stop != NULL && stop < end ? stop + 1 : end;
        const char *mark = strstr(line, "id='gp");
        if (mark != NULL && mark < at) {
            clean(out, id, line, at);
        }
    }
    crumb_text_print(out, "</defs>\n");
}

static void open_svg(crumb_text *out, const crumb_plot *plot) {
    if (plot->standalone) {
        crumb_text_print(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }
    crumb_text_print(out, "<svg%s class=\"plot\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" ",
                     plot->standalone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", plot->width, plot->height, plot->width,
                     plot->height);
    crumb_text_print(out, "aria-labelledby=\"%s-title%s%s%s\">\n<title id=\"%s-title\">", plot->id,
                     plot->description != NULL ? " " : "", plot->description != NULL ? plot->id : "",
                     plot->description != NULL ? "-desc" : "", plot->id);
    crumb_xml_text(out, plot->title);
    crumb_text_print(out, "</title>\n");
    if (plot->description != NULL) {
        crumb_text_print(out, "<desc id=\"%s-desc\">", plot->id);
        crumb_xml_text(out, plot->description);
        crumb_text_print(out, "</desc>\n");
    }
    if (plot->standalone) {
        crumb_text_print(out, "<style>\n%ssvg{color:var(--plot-ink)}\n</style>\n<rect width=\"%d\" height=\"%d\" fill=\"",
                         crumb_plot_style, plot->width, plot->height);
        crumb_text_print(out, "var(--plot-page,#ffffff)\"/>\n");
    }
}

crumb_status crumb_plot_clean(crumb_ctx *ctx, const crumb_plot *plot, const char *raw, char **svg) {
    crumb_text out = {.ctx = ctx};
    const char *defs = strstr(raw, "<defs>"), *defs_end = defs != NULL ? strstr(defs, "</defs>") : NULL;
    const char *body = defs_end != NULL ? defs_end + strlen("</defs>") : NULL, *end = NULL;
    for (const char *at = body; at != NULL && (at = strstr(at, "</svg>")) != NULL; at++) {
        end = at;
    }
    const char *last = end; /* the group "gnuplot_canvas" was opened before the definitions */
    while (last != NULL && last > body && strncmp(last, "</g>", 4) != 0) {
        last--;
    }
    if (last == NULL || last == body) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "gnuplot wrote no picture \"%s\"", plot->id);
    }
    open_svg(&out, plot);
    const char *use = strstr(body, "#gp");
    if (use != NULL && use < last) {
        markers(&out, plot->id, defs, defs_end);
    }
    clean(&out, plot->id, skip_space(body), last);
    crumb_text_print(&out, "</svg>\n");
    return crumb_text_take(&out, svg);
}
