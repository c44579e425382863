/* TensorBoard event files. A message is built in a growing text and framed as a TFRecord. Protocol-buffer wire format: each
 * field is a varint tag (number << 3 | type) and a value: type 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
 *
 *     Event { 1 wall_time f64, 2 step i64, 3 file_version text, 5 summary, 7 session_log { 1 status: START = 1 } }
 *     Summary { 1 value { 1 tag text, 2 simple_value f32, 5 histo, 9 metadata } }
 *     HistogramProto { 1 min, 2 max, 3 num, 4 sum, 5 sum_squares: f64; 6 bucket_limit, 7 bucket: packed f64 }
 *
 * After a session start at step s TensorBoard forgets steps from s on that earlier files of the folder brought. */
#include "formats/tensorboard.h"

#include "base/crc32c.h"
#include "base/text.h"
#include "formats/safetensors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, FOUR_BYTES = 5, FILES_A_SECOND = 1000 };

struct crumb_tensorboard {
    crumb_ctx *ctx;
    FILE *file;
    char path[4096];
};

/* TFRecord stores rotated sums, since a sum over data that holds its own sum says little. */
static uint32_t masked(const void *data, size_t size) {
    uint32_t crc = crumb_crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* ---- Messages. */

static void put_varint(crumb_text *to, uint64_t value) {
    for (; value > 127; value >>= 7) {
        crumb_text_bytes(to, &(char){(char)(value | 128)}, 1);
    }
    crumb_text_bytes(to, &(char){(char)value}, 1);
}

static void put_tag(crumb_text *to, int number, int type) {
    put_varint(to, (uint64_t)(number << 3 | type));
}

static void put_integer(crumb_text *to, int number, int64_t value) {
    put_tag(to, number, VARINT);
    put_varint(to, (uint64_t)value);
}

static void put_double(crumb_text *to, int number, double value) {
    put_tag(to, number, EIGHT_BYTES);
    crumb_text_bytes(to, (const char *)&value, sizeof(value));
}

static void put_bytes(crumb_text *to, int number, const void *bytes, size_t size) {
    put_tag(to, number, BYTES);
    put_varint(to, size);
    crumb_text_bytes(to, bytes, size);
}

static void put_string(crumb_text *to, int number, const char *text) {
    put_bytes(to, number, text, strlen(text));
}

/* Puts a finished message into another one, and frees it. */
static void put_message(crumb_text *to, int number, crumb_text *message) {
    put_bytes(to, number, message->at, message->length);
    to->status = to->status != CRUMB_OK ? to->status : message->status;
    crumb_free(message->ctx, message->at);
    message->at = NULL;
}

/* ---- Records. */

static crumb_status io_failure(const crumb_tensorboard *events, const char *what) {
    return crumb_fail(events->ctx, CRUMB_ERROR_IO, "cannot %s %s: %s", what, events->path, strerror(errno));
}

/* Frames the message, and frees it. */
static crumb_status write_record(crumb_tensorboard *events, crumb_text *message) {
    crumb_status status = message->status;
    if (status == CRUMB_OK) {
        uint64_t length = message->length;
        uint32_t length_sum = masked(&length, sizeof(length)), sum = masked(message->at, message->length);
        bool written = fwrite(&length, sizeof(length), 1, events->file) == 1 &&
                       fwrite(&length_sum, sizeof(length_sum), 1, events->file) == 1 &&
                       fwrite(message->at, 1, message->length, events->file) == message->length &&
                       fwrite(&sum, sizeof(sum), 1, events->file) == 1;
        status = written ? CRUMB_OK : io_failure(events, "write");
    }
    crumb_free(message->ctx, message->at);
    return status;
}

static crumb_text begin_event(crumb_ctx *ctx, int64_t step) {
    crumb_text event = {.ctx = ctx};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    put_double(&event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_integer(&event, 2, step);
    return event;
}

/* An event with one summary value, which is freed. */
static crumb_status write_value(crumb_tensorboard *events, int64_t step, crumb_text *value) {
    crumb_text event = begin_event(events->ctx, step), summary = {.ctx = events->ctx};
    put_message(&summary, 1, value);
    put_message(&event, 5, &summary);
    return write_record(events, &event);
}

static crumb_status write_head(crumb_tensorboard *events, int64_t from_step) {
    crumb_text version = begin_event(events->ctx, 0);
    put_string(&version, 3, "brain.Event:2");
    CRUMB_TRY(write_record(events, &version));
    if (from_step >= 0) {
        crumb_text start = begin_event(events->ctx, from_step), log = {.ctx = events->ctx};
        put_integer(&log, 1, 1);
        put_message(&start, 7, &log);
        CRUMB_TRY(write_record(events, &start));
    }
    return crumb_tensorboard_flush(events);
}

/* Readers take the files of a folder in the order of their names: time first, then a number for those of the same second. */
static crumb_status open_file(crumb_tensorboard *events, const char *folder) {
    for (int i = 0; i < FILES_A_SECOND && events->file == NULL; i++) {
        int length = snprintf(events->path, sizeof(events->path), "%s/events.out.tfevents.%010lld.crumb.%03d", folder,
                              (long long)time(NULL), i);
        if (length < 0 || (size_t)length >= sizeof(events->path)) {
            return crumb_fail(events->ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes is too long", strlen(folder));
        }
        events->file = fopen(events->path, "wbx");
        if (events->file == NULL && errno != EEXIST) {
            break;
        }
    }
    return events->file != NULL ? CRUMB_OK : io_failure(events, "create");
}

crumb_status crumb_tensorboard_open(crumb_ctx *ctx, const char *folder, int64_t from_step, crumb_tensorboard **out) {
    crumb_tensorboard *events = crumb_alloc(ctx, 1, sizeof(*events));
    if (events == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    events->ctx = ctx;
    crumb_status status = open_file(events, folder);
    if (status == CRUMB_OK && (status = write_head(events, from_step)) != CRUMB_OK) {
        fclose(events->file);
        events->file = NULL;
        unlink(events->path);
    }
    if (status != CRUMB_OK) {
        crumb_free(ctx, events);
        return status;
    }
    *out = events;
    return CRUMB_OK;
}

crumb_status crumb_tensorboard_flush(crumb_tensorboard *events) {
    return fflush(events->file) == 0 ? CRUMB_OK : io_failure(events, "write");
}

void crumb_tensorboard_close(crumb_tensorboard *events) {
    if (events != NULL) {
        fclose(events->file);
        crumb_free(events->ctx, events);
    }
}

crumb_status crumb_tensorboard_scalar(crumb_tensorboard *events, const char *tag, int64_t step, double value) {
    crumb_text message = {.ctx = events->ctx};
    float single = (float)value;
    put_string(&message, 1, tag);
    put_tag(&message, 2, FOUR_BYTES);
    crumb_text_bytes(&message, (const char *)&single, sizeof(single));
    return write_value(events, step, &message);
}

/* ---- Histograms: equal buckets between the smallest and the largest value. */

enum { BUCKETS = 64 };

typedef struct histogram {
    double min, max, num, sum, squares;
    double limit[BUCKETS], count[BUCKETS];
} histogram;

static void measure(histogram *h, const float *values, int64_t count) {
    h->min = INFINITY;
    h->max = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            double value = values[i];
            h->min = fmin(h->min, value);
            h->max = fmax(h->max, value);
            h->num += 1;
            h->sum += value;
            h->squares += value * value;
        }
    }
}

static void fill_buckets(histogram *h, const float *values, int64_t count) {
    double width = (h->max - h->min) / BUCKETS;
    for (int i = 0; i < BUCKETS; i++) {
        h->limit[i] = i == BUCKETS - 1 ? h->max : h->min + width * (i + 1);
    }
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            int bucket = width > 0 ? (int)((values[i] - h->min) / width) : 0;
            h->count[bucket < BUCKETS ? bucket : BUCKETS - 1] += 1;
        }
    }
}

crumb_status crumb_tensorboard_histogram(crumb_tensorboard *events, const char *tag, int64_t step, const float *values,
                                         int64_t count) {
    histogram h = {0};
    measure(&h, values, count);
    if (h.num == 0) {
        return CRUMB_OK;
    }
    fill_buckets(&h, values, count);
    crumb_text body = {.ctx = events->ctx}, message = {.ctx = events->ctx};
    const double numbers[] = {h.min, h.max, h.num, h.sum, h.squares};
    for (int i = 0; i < 5; i++) {
        put_double(&body, i + 1, numbers[i]);
    }
    put_bytes(&body, 6, h.limit, sizeof(h.limit));
    put_bytes(&body, 7, h.count, sizeof(h.count));
    put_string(&message, 1, tag);
    put_message(&message, 5, &body);
    return write_value(events, step, &message);
}

/* An event file's first record holds a version event: its 8-byte length is small, byte 12 is the tag of wall_time. */
static bool probe(const uint8_t *head, size_t size) {
    uint64_t length = 0;
    uint32_t sum;
    if (size < 13) {
        return false;
    }
    memcpy(&length, head, sizeof(length));
    memcpy(&sum, head + sizeof(length), sizeof(sum));
    return length < 1000 && sum == masked(head, sizeof(length)) && head[12] == (1 << 3 | EIGHT_BYTES);
}

const crumb_format crumb_format_tensorboard = {
    .name = "tensorboard",
    .doc = "event files with scalars and histograms that TensorBoard shows",
    .reads = false,
    .writes = true,
    .probe = probe,
};
