/* Packed files, as pack and info show them. */
#ifndef CLI_PACKED_H
#define CLI_PACKED_H

#include "cli.h"
#include "crumb/run.h"

/* Layers, bits, bytes, operations; as a table or as JSON. Returns the exit code. */
int cli_show_packed(const cli *self, const char *path, const crumb_packed *packed);

#endif
