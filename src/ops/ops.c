/* The table behind ops.inc. */
#include "ops/op.h"

#include <string.h>

const crumb_op *const crumb_ops[] = {
#define CRUMB_OP(name) &crumb_op_##name,
#include "ops/ops.inc"
#undef CRUMB_OP
    NULL,
};

const crumb_op *crumb_op_find(const char *name) {
    for (int i = 0; crumb_ops[i] != NULL; i++) {
        if (strcmp(crumb_ops[i]->name, name) == 0) {
            return crumb_ops[i];
        }
    }
    return NULL;
}
