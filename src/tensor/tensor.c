/* Shapes: counting, comparing, printing. */
#include "tensor/tensor.h"

#include <stdio.h>

crumb_shape crumb_shape_make(int rank, const int64_t *dim) {
    crumb_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        shape.dim[i] = dim[i];
    }
    return shape;
}

int64_t crumb_shape_count(crumb_shape shape) {
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++) {
        count *= shape.dim[i];
    }
    return count;
}

bool crumb_shape_equal(crumb_shape a, crumb_shape b) {
    bool equal = a.rank == b.rank;
    for (int i = 0; equal && i < a.rank; i++) {
        equal = a.dim[i] == b.dim[i];
    }
    return equal;
}

const char *crumb_shape_print(crumb_shape shape, char text[CRUMB_SHAPE_TEXT]) {
    int used = shape.rank == 0 ? snprintf(text, CRUMB_SHAPE_TEXT, "scalar") : 0;
    for (int i = 0; i < shape.rank && used < CRUMB_SHAPE_TEXT; i++) {
        used += snprintf(text + used, (size_t)(CRUMB_SHAPE_TEXT - used), i == 0 ? "%lld" : "x%lld", (long long)shape.dim[i]);
    }
    return text;
}

int64_t crumb_shape_last(crumb_shape shape) {
    return shape.rank == 0 ? 1 : shape.dim[shape.rank - 1];
}
