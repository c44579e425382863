/* Bilinear resampling as Pillow does it, which torchvision's transforms use. */
#ifndef CRUMB_RESAMPLE_H
#define CRUMB_RESAMPLE_H

#include "data/dataset.h"

/* Scales the window [top, top + height) x [left, left + width) of `from` to the whole of `to`. */
void crumb_resample(const crumb_image *from, int64_t top, int64_t left, int64_t height, int64_t width, crumb_image *to);

#endif
