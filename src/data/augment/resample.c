/* Each result pixel is a weighted mean under a triangle around its centre. Enlarging, the triangle spans two source pixels
 * (bilinear interpolation); reducing, it widens with the scale, so that every source pixel counts and nothing aliases. Weights
 * are normalised over the part of the triangle that lies inside the window. */
#include "data/augment/resample.h"

#include <math.h>

/* The triangle over source pixels begin .. end-1 of one result pixel. */
typedef struct span {
    int64_t begin, end;
    double centre, reach;
} span;

static span span_at(int64_t i, int64_t from, int64_t to) {
    double scale = (double)from / (double)to, reach = scale > 1 ? scale : 1, centre = ((double)i + 0.5) * scale;
    double low = centre - reach + 0.5, high = centre + reach + 0.5;
    return (span){low > 0 ? (int64_t)low : 0, high < (double)from ? (int64_t)high : from, centre, reach};
}

static float weight(const span *s, int64_t i) {
    double distance = fabs((double)i + 0.5 - s->centre) / s->reach;
    return distance < 1 ? (float)(1 - distance) : 0;
}

static void mean_pixel(const crumb_image *from, int64_t top, int64_t left, const span *rows, const span *columns, uint8_t *to) {
    float sum[4] = {0}, total = 0;
    int64_t channels = from->channels;
    for (int64_t y = rows->begin; y < rows->end; y++) {
        float row_weight = weight(rows, y);
        const uint8_t *row = from->pixels + ((top + y) * from->width + left) * channels;
        for (int64_t x = columns->begin; x < columns->end; x++) {
            float both = row_weight * weight(columns, x);
            total += both;
            for (int64_t c = 0; c < channels; c++) {
                sum[c] += both * (float)row[x * channels + c];
            }
        }
    }
    for (int64_t c = 0; c < channels; c++) {
        to[c] = (uint8_t)(sum[c] / total + 0.5f);
    }
}

void crumb_resample(const crumb_image *from, int64_t top, int64_t left, int64_t height, int64_t width, crumb_image *to) {
    for (int64_t y = 0; y < to->height; y++) {
        span rows = span_at(y, height, to->height);
        for (int64_t x = 0; x < to->width; x++) {
            span columns = span_at(x, width, to->width);
            mean_pixel(from, top, left, &rows, &columns, to->pixels + (y * to->width + x) * to->channels);
        }
    }
}
