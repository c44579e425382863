/* Sizes of an activation's buffer (layout.h). */
#include "runtime/layout.h"

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

static size_t pixel_bytes(crumb_layout_kind kind, size_t channels) {
    switch (kind) {
    case CRUMB_LAYOUT_REAL:
        return channels * sizeof(float);
    case CRUMB_LAYOUT_BYTES:
        return round_up(channels, 4);
    case CRUMB_LAYOUT_PLANES:
        return round_up(channels, 16) / 8;
    }
    return 0;
}

crumb_layout crumb_layout_make(crumb_layout_kind kind, int32_t height, int32_t width, int32_t channels, int32_t planes,
                               int32_t halo) {
    crumb_layout layout = {.kind = kind,
                           .height = height,
                           .width = width,
                           .channels = channels,
                           .halo = halo,
                           .planes = kind == CRUMB_LAYOUT_PLANES ? planes : 1,
                           .pixel_bytes = pixel_bytes(kind, (size_t)channels)};
    layout.row_bytes = ((size_t)width + 2 * (size_t)halo) * layout.pixel_bytes;
    layout.plane_bytes = ((size_t)height + 2 * (size_t)halo) * layout.row_bytes;
    layout.bytes = round_up((size_t)layout.planes * layout.plane_bytes + CRUMB_LAYOUT_SLACK, 64);
    return layout;
}
