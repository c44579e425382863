/* The meaning of a packed network, executed: packed.h written down as loops, one node after the other, every value kept.
 * Nothing is fused, laid out, vectorised or threaded, and nothing is shared with the runtime, so that the two can be compared
 * bit for bit. */
#ifndef CRUMB_PACKED_ORACLE_H
#define CRUMB_PACKED_ORACLE_H

#include "pack/packed.h"

typedef struct crumb_oracle crumb_oracle;

/* Keeps `packed`. */
crumb_status crumb_oracle_create(const crumb_packed *packed, crumb_oracle **oracle);
void crumb_oracle_destroy(crumb_oracle *oracle);
/* One image, value 0. */
void crumb_oracle_run(crumb_oracle *oracle, const float *image);
/* Of the last run, [H, W, C]: the numbers of a REAL value, else NULL; the indices of a value of CODES, else NULL. */
const float *crumb_oracle_real(const crumb_oracle *oracle, int32_t value);
const int32_t *crumb_oracle_index(const crumb_oracle *oracle, int32_t value);

#endif
