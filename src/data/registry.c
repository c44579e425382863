/* The tables behind loaders.inc and augments.inc. */
#include "data/dataset.h"

#include <string.h>

const crumb_loader *const crumb_loaders[] = {
#define CRUMB_LOADER(name) &crumb_loader_##name,
#include "data/loaders.inc"
#undef CRUMB_LOADER
    NULL,
};

const crumb_augment *const crumb_augments[] = {
#define CRUMB_AUGMENT(name) &crumb_augment_##name,
#include "data/augments.inc"
#undef CRUMB_AUGMENT
    NULL,
};

const crumb_augment *crumb_augment_find(const char *name) {
    for (int i = 0; crumb_augments[i] != NULL; i++) {
        if (strcmp(crumb_augments[i]->name, name) == 0) {
            return crumb_augments[i];
        }
    }
    return NULL;
}
