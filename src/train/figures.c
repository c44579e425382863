/* What strategies measure besides the trainer's own columns: a name and a number each (the accuracy of an average, the levels
 * of a layer). A figure goes into the next line of the log, and the last one of each name into the result; checkpoints keep
 * them. */
#include "train/trainer_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The figure of that name, appended if there is none; NULL when out of memory. */
static crumb_figure *named_figure(crumb_trainer *trainer, const char *name) {
    for (int i = 0; i < trainer->figures; i++) {
        if (strcmp(trainer->figure[i].name, name) == 0) {
            return &trainer->figure[i];
        }
    }
    crumb_figure *more =
        crumb_resize(trainer->ctx, trainer->figure, (size_t)trainer->figures, (size_t)trainer->figures + 1, sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    trainer->figure = more;
    more[trainer->figures] = (crumb_figure){0};
    memcpy(more[trainer->figures].name, name, strlen(name));
    return &more[trainer->figures++];
}

crumb_status crumb_trainer_report(crumb_trainer *trainer, double value, const char *name, ...) {
    char text[CRUMB_FIGURE_NAME];
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(text, sizeof(text), name, arguments);
    va_end(arguments);
    crumb_figure *figure = named_figure(trainer, text);
    if (figure == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    figure->value = value;
    figure->logged = 0;
    crumb_figures_tell(trainer, figure, 1);
    return CRUMB_OK;
}

void crumb_figures_tell(const crumb_trainer *trainer, const crumb_figure *figure, int count) {
    for (int i = 0; trainer->options->figure != NULL && i < count; i++) {
        trainer->options->figure(trainer->options->user, figure[i].name, figure[i].value);
    }
}

void crumb_figures_logged(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->figures; i++) {
        trainer->figure[i].logged = 1;
    }
}
