/* The table behind cpu/cpu.inc. */
#include "backend/backend.h"

const crumb_backend_row *const crumb_backend_rows[] = {
#define CRUMB_BACKEND(name) &crumb_backend_##name,
#include "backend/cpu/cpu.inc"
#undef CRUMB_BACKEND
    NULL,
};
