/* The rule of each op: which inputs, members and tensors a node may have and what value it makes. Reader and builder ask the
 * same rules, so what the builder accepts is what the reader accepts. */
#ifndef CRUMB_PACKED_RULES_H
#define CRUMB_PACKED_RULES_H

#include "pack/packed.h"

/* Checks packed->node[node], whose inputs are values before it, and fills *out with the value it makes; out->codes holds the
 * wanted codes of a quantize node on entry. FORMAT: "<file>: node 3, conv2d 'layer1.0.conv1': stride 0 is outside 1 .. 65536".
 */
crumb_status crumb_packed_infer(const crumb_packed *packed, const char *file, int32_t node, crumb_packed_value *out);

/* True for codes that a value or tensor of at most `levels` levels may have. */
bool crumb_packed_codes_valid(const crumb_packed_codes *codes, int32_t levels);

/* Operations of a node for one image; a multiply-accumulate is two. */
double crumb_packed_operations(const crumb_packed *packed, int32_t node);

#endif
