/* TensorBoard event files, read back by an independent parser of TFRecord frames and protocol-buffer fields. Known sums of RFC
 * 3720 pin CRC-32C. */
#include "harness.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "formats/tensorboard.h"

#include "base/crc32c.h"

#include <dirent.h>

static void test_crc(void **state) {
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(crumb_crc32c("", 0), 0);
    assert_int_equal(crumb_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crumb_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crumb_crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(crumb_crc32c(bytes, 32), 0x46dd794e);
}

/* Long data goes another way than short data: the remainder of a polynomial division, bit by bit. */
static void test_crc32c_long(void **state) {
    (void)state;
    uint8_t bytes[5000];
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    for (size_t size = 0; size < sizeof(bytes); size++) {
        assert_int_equal(crumb_crc32c(bytes, size), ~crc);
        for (int bit = 0; bit < 8; bit++) {
            uint32_t odd = (crc ^ bytes[size] >> bit) & 1;
            crc = crc >> 1 ^ (odd ? 0x82f63b78u : 0);
        }
    }
}

/* ---- The parser. */

typedef struct span {
    const uint8_t *at, *end;
} span;

typedef struct field {
    int number, type;
    uint64_t integer; /* varint, or the raw bits of a fixed field */
    span bytes;       /* of a length-delimited field */
} field;

static uint64_t varint(span *s) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(s->at < s->end && shift < 64);
        value |= (uint64_t)(*s->at & 127) << shift;
        if (*s->at++ < 128) {
            return value;
        }
    }
}

static bool next_field(span *s, field *f) {
    if (s->at == s->end) {
        return false;
    }
    uint64_t tag = varint(s);
    *f = (field){.number = (int)(tag >> 3), .type = (int)(tag & 7)};
    size_t size = f->type == 1 ? 8 : f->type == 5 ? 4 : 0;
    if (f->type == 0) {
        f->integer = varint(s);
        return true;
    }
    if (f->type == 2) {
        size = (size_t)varint(s);
        f->bytes = (span){s->at, s->at + size};
    }
    assert_true(f->type == 1 || f->type == 2 || f->type == 5);
    assert_true((size_t)(s->end - s->at) >= size);
    memcpy(&f->integer, s->at, f->type == 2 ? 0 : size);
    s->at += size;
    return true;
}

static double as_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t unmasked_sum(const uint8_t *at) {
    uint32_t sum;
    memcpy(&sum, at, 4);
    sum -= 0xa282ead8u;
    return sum >> 17 | sum << 15;
}

/* The next record's data; false at the end of the file. */
static bool next_record(span *file, span *record) {
    uint64_t length;
    if (file->at == file->end) {
        return false;
    }
    assert_true(file->end - file->at >= 16);
    memcpy(&length, file->at, 8);
    assert_int_equal(unmasked_sum(file->at + 8), crumb_crc32c(file->at, 8));
    assert_true(length <= (uint64_t)(file->end - file->at) - 16);
    *record = (span){file->at + 12, file->at + 12 + length};
    assert_int_equal(unmasked_sum(record->end), crumb_crc32c(record->at, length));
    file->at = record->end + 4;
    return true;
}

typedef struct event {
    double time;
    int64_t step;
    char version[32], tag[64];
    int session;    /* status, 0: none */
    float scalar;   /* NaN: none */
    double head[5]; /* min, max, num, sum, sum_squares */
    double limit[128], count[128];
    int buckets; /* 0: no histogram */
} event;

static void copy_text(char *to, size_t room, span from) {
    size_t size = (size_t)(from.end - from.at);
    assert_true(size < room);
    memcpy(to, from.at, size);
    to[size] = '\0';
}

static void read_histogram(span s, event *e) {
    for (field f; next_field(&s, &f);) {
        if (f.type == 1) {
            assert_in_range(f.number, 1, 5);
            e->head[f.number - 1] = as_double(f.integer);
        } else {
            assert_true(f.type == 2 && (f.number == 6 || f.number == 7));
            size_t size = (size_t)(f.bytes.end - f.bytes.at);
            assert_true(size % 8 == 0 && size <= sizeof(e->limit));
            memcpy(f.number == 6 ? e->limit : e->count, f.bytes.at, size);
            assert_true(e->buckets == 0 || e->buckets == (int)(size / 8));
            e->buckets = (int)(size / 8);
        }
    }
}

static void read_summary(span s, event *e) {
    field value, f;
    assert_true(next_field(&s, &value) && value.number == 1 && value.type == 2 && s.at == s.end);
    for (span in = value.bytes; next_field(&in, &f);) {
        if (f.number == 1) {
            copy_text(e->tag, sizeof(e->tag), f.bytes);
        } else if (f.number == 2) {
            assert_int_equal(f.type, 5);
            memcpy(&e->scalar, &f.integer, 4);
        } else {
            assert_int_equal(f.number, 5);
            read_histogram(f.bytes, e);
        }
    }
}

static void read_event(span s, event *e) {
    *e = (event){.scalar = NAN};
    for (field f, inner; next_field(&s, &f);) {
        if (f.number == 1) {
            assert_int_equal(f.type, 1);
            e->time = as_double(f.integer);
        } else if (f.number == 2) {
            assert_int_equal(f.type, 0);
            e->step = (int64_t)f.integer;
        } else if (f.number == 3) {
            copy_text(e->version, sizeof(e->version), f.bytes);
        } else if (f.number == 5) {
            read_summary(f.bytes, e);
        } else {
            assert_int_equal(f.number, 7);
            assert_true(next_field(&f.bytes, &inner) && inner.number == 1 && inner.type == 0);
            e->session = (int)inner.integer;
        }
    }
}

/* ---- Files. */

static char folder[64];

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Names of the folder's event files in order. */
static int list(char names[8][128]) {
    int count = 0;
    DIR *opened = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;) {
        if (strncmp(entry->d_name, "events.out.tfevents.", 20) == 0) {
            assert_true(count < 8 && strlen(entry->d_name) < 64);
            snprintf(names[count++], 128, "%s/%.63s", folder, entry->d_name);
        }
    }
    closedir(opened);
    qsort(names, (size_t)count, 128, by_name);
    return count;
}

static void remove_all(void) {
    char names[8][128];
    for (int i = list(names) - 1; i >= 0; i--) {
        unlink(names[i]);
    }
}

static int read_events(crumb_ctx *ctx, const char *name, event *events, int room) {
    uint8_t *data;
    size_t size;
    int count = 0;
    span record;
    assert_ok(ctx, crumb_file_read(ctx, name, 0, &data, &size));
    assert_true(crumb_format_tensorboard.probe(data, size) && !crumb_format_tensorboard.probe(data + 1, size - 1));
    for (span file = {data, data + size}; next_record(&file, &record);) {
        assert_true(count < room);
        read_event(record, &events[count++]);
    }
    crumb_free(ctx, data);
    return count;
}

static const float values[] = {-1, -0.5f, 0, 0.25f, 3, NAN, INFINITY, 0.25f};

static crumb_status write_some(crumb_ctx *ctx, void *user) {
    crumb_tensorboard *events;
    (void)user;
    CRUMB_TRY(crumb_tensorboard_open(ctx, folder, -1, &events));
    crumb_status status = crumb_tensorboard_scalar(events, "loss/train", 300, 0.75);
    status = status == CRUMB_OK ? crumb_tensorboard_histogram(events, "weights/conv1", 1LL << 40, values, 8) : status;
    status = status == CRUMB_OK ? crumb_tensorboard_histogram(events, "nothing", 1, values + 5, 2) : status;
    status = status == CRUMB_OK ? crumb_tensorboard_histogram(events, "one", 2, values + 4, 1) : status;
    status = status == CRUMB_OK ? crumb_tensorboard_flush(events) : status;
    crumb_tensorboard_close(events);
    return status;
}

static void check_histogram(const event *e) {
    assert_string_equal(e->tag, "weights/conv1");
    assert_true(e->step == 1LL << 40);
    const double head[] = {-1, 3, 6, 2, 1 + 0.25 + 2 * 0.0625 + 9};
    assert_memory_equal(e->head, head, sizeof(head));
    assert_int_equal(e->buckets, 64);
    double total = 0;
    for (int i = 0; i < e->buckets; i++) {
        double below = i == 0 ? -1 : e->limit[i - 1], expected = 0;
        assert_true(e->limit[i] > below);
        for (int j = 0; j < 8; j++) {
            bool last = i == e->buckets - 1 && values[j] == 3;
            expected += isfinite(values[j]) && ((values[j] >= below && values[j] < e->limit[i]) || last);
        }
        assert_true(e->count[i] == expected);
        total += e->count[i];
    }
    assert_true(total == 6 && e->limit[63] == 3);
}

static void test_file(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static event events[8];
    char names[8][128];
    assert_ok(ctx, write_some(ctx, NULL));
    assert_int_equal(list(names), 1);
    assert_int_equal(read_events(ctx, names[0], events, 8), 4);
    assert_string_equal(events[0].version, "brain.Event:2");
    assert_true(events[0].time > 1.6e9 && events[0].step == 0 && events[0].session == 0);
    assert_string_equal(events[1].tag, "loss/train");
    assert_true(events[1].scalar == 0.75f && events[1].step == 300 && events[1].buckets == 0);
    check_histogram(&events[2]);
    assert_string_equal(events[3].tag, "one");
    assert_true(events[3].head[0] == 3 && events[3].head[1] == 3 && events[3].head[2] == 1);
    double total = 0;
    for (int i = 0; i < events[3].buckets; i++) {
        total += events[3].count[i];
    }
    assert_true(total == 1);
    remove_all();
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* A resumed run's file comes after the first one's and voids its later steps. */
static void test_resume(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static event events[8];
    char names[8][128];
    crumb_tensorboard *resumed;
    assert_ok(ctx, write_some(ctx, NULL));
    assert_ok(ctx, crumb_tensorboard_open(ctx, folder, 200, &resumed));
    crumb_tensorboard_close(resumed);
    assert_int_equal(list(names), 2);
    assert_int_equal(read_events(ctx, names[0], events, 8), 4);
    assert_int_equal(read_events(ctx, names[1], events, 8), 2);
    assert_true(events[1].session == 1 && events[1].step == 200);
    remove_all();
    assert_fails(ctx, CRUMB_ERROR_IO, "/no/such/folder/events", crumb_tensorboard_open(ctx, "/no/such/folder", -1, &resumed));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_allocations(void **state) {
    (void)state;
    for (long k = 1, failed = 1; failed; k++) { /* as test_every_allocation, but every try leaves a file */
        test_memory memory = {.fail_at = k};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        if (ctx == NULL) {
            continue;
        }
        crumb_status status = write_some(ctx, NULL);
        failed = memory.count >= k;
        assert_int_equal(status, failed ? CRUMB_ERROR_MEMORY : CRUMB_OK);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
        remove_all();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_crc32c_long),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_allocations),
    };
    strcpy(folder, test_folder());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
