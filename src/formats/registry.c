/* The table behind formats.inc. */
#include "formats/safetensors.h"

const crumb_format *const crumb_formats[] = {
#define CRUMB_FORMAT(name) &crumb_format_##name,
#include "formats/formats.inc"
#undef CRUMB_FORMAT
    NULL,
};
