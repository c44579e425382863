/* Dividing a layer among threads. */
#ifndef CRUMB_SHARE_H
#define CRUMB_SHARE_H

#include <stdint.h>

typedef struct crumb_share {
    int64_t row0, row1;
    int32_t o0, o1;
} crumb_share;

/* Thread t's share of a stack of rows: the rows in `down` parts, the channels in threads / down, so that the largest share is
 * smallest; rows rather than channels where that is the same. channel_step as in crumb_conv_ready, 0: never by channels. */
crumb_share crumb_share_of(int64_t rows, int32_t channels, int32_t channel_step, int threads, int t);

#endif
