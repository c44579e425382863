/* What a test of a loader starts with: a folder of its own to write files into, and room for the spec that opens them. */
#ifndef CRUMB_DATA_FIXTURE_H
#define CRUMB_DATA_FIXTURE_H

#include "samples.h"

typedef struct fixture {
    crumb_ctx *ctx;
    char folder[64], spec[128];
} fixture;

static inline int fixture_make(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    crumb_ctx_create(&f->ctx, NULL);
    strcpy(f->folder, test_folder());
    *state = f;
    return 0;
}

static inline int fixture_drop(void **state) {
    fixture *f = *state;
    remove_folder(f->folder);
    crumb_ctx_destroy(f->ctx);
    free(f);
    return 0;
}

#endif
