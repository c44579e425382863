/* CRC-32C (Castagnoli), as in RFC 3720: the sum of TensorBoard's records and of packed networks. */
#ifndef CRUMB_CRC32C_H
#define CRUMB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crumb_crc32c(const void *data, size_t size);

#endif
