/* TensorBoard event files: TFRecord frames (length, masked CRC-32C of it, data, masked CRC-32C of that) around Event messages
 * of tensorflow/core/util/event.proto, encoded by hand: scalars (Summary.Value.simple_value) and histograms (HistogramProto).
 */
#ifndef CRUMB_TENSORBOARD_H
#define CRUMB_TENSORBOARD_H

#include "tensor/tensor.h"

typedef struct crumb_tensorboard crumb_tensorboard;

/* Starts a new event file in the folder. from_step >= 0: what earlier files of the folder say about this step and later ones is
 * void (a run resumed from a checkpoint); -1: nothing is. */
crumb_status crumb_tensorboard_open(crumb_ctx *ctx, const char *folder, int64_t from_step, crumb_tensorboard **events);
crumb_status crumb_tensorboard_scalar(crumb_tensorboard *events, const char *tag, int64_t step, double value);
/* Values that are not finite are left out of a histogram; nothing is written if none is left. */
crumb_status crumb_tensorboard_histogram(crumb_tensorboard *events, const char *tag, int64_t step, const float *values,
                                         int64_t count);
crumb_status crumb_tensorboard_flush(crumb_tensorboard *events);
void crumb_tensorboard_close(crumb_tensorboard *events);

#endif
