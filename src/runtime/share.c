/* Shares of share.h. */
#include "runtime/share.h"

static int64_t part(int64_t all, int64_t parts, int64_t index) {
    return all * index / parts;
}

crumb_share crumb_share_of(int64_t rows, int32_t channels, int32_t channel_step, int threads, int t) {
    int64_t step = channel_step > 0 ? channel_step : channels, units = (channels + step - 1) / step, best = INT64_MAX;
    int down = threads;
    for (int d = threads; d >= 1; d--) {
        int64_t across = threads / d, largest = (rows + d - 1) / d * ((units + across - 1) / across);
        if (threads % d == 0 && largest < best) {
            best = largest;
            down = d;
        }
    }
    int64_t across = threads / down, o0 = part(units, across, t % across) * step;
    int64_t o1 = part(units, across, t % across + 1) * step;
    return (crumb_share){part(rows, down, t / across), part(rows, down, t / across + 1), (int32_t)o0,
                         o1 < channels ? (int32_t)o1 : channels};
}
