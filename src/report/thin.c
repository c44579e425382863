/* Thinning curves to what a picture can show. Keeping the extremes of each part (Jugel et al., "M4: A Visualization-Oriented
 * Time Series Data Aggregation", VLDB 2014) draws the same pixels as all points would, one part a pixel column. */
#include "report/run.h"

#include <math.h>

static int drop_absent(double *x, double *y, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (!isnan(y[i])) {
            x[kept] = x[i];
            y[kept++] = y[i];
        }
    }
    return kept;
}

int crumb_thin(double *x, double *y, int count, int parts) {
    count = drop_absent(x, y, count);
    if (count <= 4 * parts) {
        return count;
    }
    double first_x = x[0], width = (x[count - 1] - x[0]) / parts;
    int kept = 0;
    for (int begin = 0, end; begin < count; begin = end) {
        int part = (int)((x[begin] - first_x) / width), low = begin, high = begin;
        for (end = begin; end < count && (int)((x[end] - first_x) / width) == part; end++) {
            low = y[end] < y[low] ? end : low;
            high = y[end] > y[high] ? end : high;
        }
        const int stay[4] = {begin, low < high ? low : high, low < high ? high : low, end - 1};
        for (int k = 0; k < 4; k++) {
            if (k == 0 || stay[k] != stay[k - 1]) {
                x[kept] = x[stay[k]];
                y[kept++] = y[stay[k]];
            }
        }
    }
    return kept;
}
