/* How an activation of one image lies in memory while a packed network runs. A layer's output is written in the layout its
 * consumer reads; what a consumer needs around the image (its padding) is a halo in the buffer, zeroed once, so that kernels
 * know no borders.
 *
 *   REAL     float; a pixel is its channels
 *   BYTES    one index a byte; a pixel is its channels, rounded up to 4 (a 32-bit word, the unit of the dot-product
 * instructions) PLANES   one bit an index and plane: plane p holds bit p of the indices. A pixel of a plane is its channels'
 * bits, lowest first, rounded up to 16; the planes follow one another
 *
 * Pixels of a row are adjacent, so kw pixels of a window are one run of kw * pixel_bytes bytes. Padding channels are zero. A
 * buffer is readable CRUMB_LAYOUT_SLACK bytes past its end, so that whole words or vectors may be loaded anywhere. */
#ifndef CRUMB_LAYOUT_H
#define CRUMB_LAYOUT_H

#include "base/ctx.h"

enum { CRUMB_LAYOUT_SLACK = 64, CRUMB_PLANES_MAX = 8 };

typedef enum crumb_layout_kind { CRUMB_LAYOUT_REAL, CRUMB_LAYOUT_BYTES, CRUMB_LAYOUT_PLANES } crumb_layout_kind;

typedef struct crumb_layout {
    crumb_layout_kind kind;
    int32_t height, width, channels; /* of the image inside */
    int32_t halo;                    /* pixels on each of the four sides */
    uint8_t halo_index;              /* BYTES: what the halo holds (the index of the value 0, if that is a level; else 0) */
    int32_t planes;                  /* PLANES: bits of an index; else 1 */
    size_t pixel_bytes, row_bytes, plane_bytes; /* row_bytes includes the halo */
    size_t bytes;                               /* planes * plane_bytes + CRUMB_LAYOUT_SLACK, rounded up to 64 */
} crumb_layout;

crumb_layout crumb_layout_make(crumb_layout_kind kind, int32_t height, int32_t width, int32_t channels, int32_t planes,
                               int32_t halo);

/* Byte offset of pixel (y, x) of the image in plane 0; y and x from -halo. */
static inline size_t crumb_layout_at(const crumb_layout *layout, int32_t y, int32_t x) {
    return (size_t)(y + layout->halo) * layout->row_bytes + (size_t)(x + layout->halo) * layout->pixel_bytes;
}

#endif
