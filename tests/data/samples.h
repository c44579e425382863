/* Files in every format that the loaders read, made by the tests. */
#ifndef CRUMB_SAMPLES_H
#define CRUMB_SAMPLES_H

#include "harness.h"

#include "base/file.h"
#include "data/dataset.h"

#include <png.h>
#include <sys/stat.h>
#include <turbojpeg.h>
#include <zlib.h>

/* Bytes that grow. */
typedef struct bytes {
    uint8_t *data;
    size_t size, room;
} bytes;

__attribute__((noinline, unused)) static void put(bytes *b, const void *data, size_t size) {
    if (b->size + size + 1 > b->room) {
        b->room = 2 * (b->size + size) + 64;
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (size != 0) {
        memcpy(b->data + b->size, data, size);
    }
    b->size += size;
}

static inline void put_zeros(bytes *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put(b, "", 1);
    }
}

static inline void put_little(bytes *b, uint64_t value, int size) {
    for (int i = 0; i < size; i++) {
        put(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
    }
}

static inline void put_big32(bytes *b, uint32_t value) {
    put(b, (uint8_t[]){(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value}, 4);
}

static inline void drop(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

/* kind as crumb_inflate's: 15 zlib, 31 gzip, -15 raw. */
static inline bytes deflated(const bytes *plain, int kind) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, kind, 8, Z_DEFAULT_STRATEGY), Z_OK);
    bytes out = {malloc(plain->size + 1000), 0, plain->size + 1000};
    stream.next_in = plain->data;
    stream.avail_in = (unsigned)plain->size;
    stream.next_out = out.data;
    stream.avail_out = (unsigned)plain->size + 1000;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.size = stream.total_out;
    deflateEnd(&stream);
    return out;
}

/* Writes folder/name and frees the bytes. */
static inline void save(const char *folder, const char *name, bytes *b) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(b->data, 1, b->size, file), b->size);
    fclose(file);
    drop(b);
}

static inline void remove_folder(const char *folder) {
    char command[600];
    assert_true(strncmp(folder, "/tmp/crumb-test-", 16) == 0);
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* The pixel that sample files hold at byte k of image i. */
static inline uint8_t sample_pixel(int64_t i, int64_t k) {
    return (uint8_t)(i * 37 + k * 11 + k / 7);
}

/* ---- IDX */

static inline bytes idx_images(int64_t count, int64_t height, int64_t width) {
    bytes b = {0};
    put_big32(&b, 0x803);
    put_big32(&b, (uint32_t)count);
    put_big32(&b, (uint32_t)height);
    put_big32(&b, (uint32_t)width);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < height * width; k++) {
            put(&b, &(uint8_t){sample_pixel(i, k)}, 1);
        }
    }
    return b;
}

static inline bytes idx_labels(int64_t count, int classes) {
    bytes b = {0};
    put_big32(&b, 0x801);
    put_big32(&b, (uint32_t)count);
    for (int64_t i = 0; i < count; i++) {
        put(&b, &(uint8_t){(uint8_t)(i % classes)}, 1);
    }
    return b;
}

/* ---- CIFAR: byte k of image i's HWC pixels is sample_pixel(i, k); planes in the file */

static inline bytes cifar_records(int64_t count, int label_bytes, int classes) {
    bytes b = {0};
    for (int64_t i = 0; i < count; i++) {
        for (int l = 0; l < label_bytes; l++) {
            put(&b, &(uint8_t){l + 1 < label_bytes ? 99 : (uint8_t)(i % classes)}, 1);
        }
        for (int64_t k = 0; k < 3072; k++) {
            put(&b, &(uint8_t){sample_pixel(i, k % 1024 * 3 + k / 1024)}, 1);
        }
    }
    return b;
}

/* ---- MATLAB 5 */

static inline void mat_element(bytes *b, int type, const bytes *data) {
    put_little(b, (uint64_t)type, 4);
    put_little(b, data->size, 4);
    put(b, data->data, data->size);
    put_zeros(b, (8 - data->size % 8) % 8);
}

/* A whole miMATRIX element; takes `numbers`, which have the storage type. */
static inline bytes mat_array(const char *name, int class, int rank, const int32_t *dim, int type, bytes *numbers) {
    bytes b = {0}, part = {0}, whole = {0};
    put_little(&part, (uint64_t) class, 4);
    put_little(&part, 0, 4);
    mat_element(&b, 6, &part);
    drop(&part);
    for (int i = 0; i < rank; i++) {
        put_little(&part, (uint64_t)dim[i], 4);
    }
    mat_element(&b, 5, &part);
    drop(&part);
    put_little(&b, 1 | strlen(name) << 16, 4); /* the short form of an element */
    put(&b, name, strlen(name));
    put_zeros(&b, 4 - strlen(name));
    mat_element(&b, type, numbers);
    drop(numbers);
    mat_element(&whole, 14, &b);
    drop(&b);
    return whole;
}

static inline bytes mat_header(void) {
    bytes b = {0};
    put(&b, "MATLAB 5.0 MAT-file, made by a test", 35);
    put_zeros(&b, 124 - 35);
    put_little(&b, 0x0100, 2);
    put(&b, "IM", 2);
    return b;
}

/* Appends an array, compressed as MATLAB does or plain; takes it. */
static inline void mat_append(bytes *file, bytes *array, bool compressed) {
    if (compressed) {
        bytes packed = deflated(array, 15);
        put_little(file, 15, 4);
        put_little(file, packed.size, 4);
        put(file, packed.data, packed.size);
        drop(&packed);
    } else {
        put(file, array->data, array->size);
    }
    drop(array);
}

/* X such that byte k of image i's HWC pixels is sample_pixel(i, k); y of label i % 10, with 10 for 0, stored as `label_type`.
 */
static inline bytes svhn_file(int64_t count, bool compressed, int label_type) {
    bytes file = mat_header(), x = {0}, y = {0};
    for (int64_t i = 0; i < count; i++) {
        for (int64_t channel = 0; channel < 3; channel++) {
            for (int64_t column = 0; column < 32; column++) {
                for (int64_t row = 0; row < 32; row++) {
                    put(&x, &(uint8_t){sample_pixel(i, (row * 32 + column) * 3 + channel)}, 1);
                }
            }
        }
        int label = i % 10 == 0 ? 10 : (int)(i % 10);
        if (label_type == 9) {
            put(&y, &(double){label}, 8);
        } else {
            put_little(&y, (uint64_t)label, label_type == 2 ? 1 : 4);
        }
    }
    bytes ax = mat_array("X", 9, 4, (int32_t[]){32, 32, 3, (int32_t)count}, 2, &x);
    bytes ay = mat_array("y", 6, 2, (int32_t[]){(int32_t)count, 1}, label_type, &y);
    mat_append(&file, &ax, compressed);
    mat_append(&file, &ay, compressed);
    return file;
}

/* ---- NumPy */

/* An array file of a version; takes `numbers`. shape as "(3, 4, )". */
static inline bytes npy_file(int version, const char *descr, const char *order, const char *shape, bytes *numbers) {
    char text[256];
    bytes b = {0};
    int begin = version == 1 ? 10 : 12;
    int length = snprintf(text, sizeof(text), "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape);
    int padded = (begin + length + 1 + 63) / 64 * 64 - begin;
    put(&b, "\x93NUMPY", 6);
    put_little(&b, (uint64_t)version, 2);
    put_little(&b, (uint64_t)padded, version == 1 ? 2 : 4);
    put(&b, text, (size_t)length);
    for (int i = length; i < padded; i++) {
        put(&b, i + 1 == padded ? "\n" : " ", 1);
    }
    put(&b, numbers->data, numbers->size);
    drop(numbers);
    return b;
}

/* ZIP in the making: local members, and the directory that grows beside them. */
typedef struct zip {
    bytes file, directory;
    int members;
} zip;

static inline void zip_entry(bytes *b, bool local, const char *name, int method, uint32_t crc, size_t packed, size_t size,
                             size_t offset) {
    put_little(b, local ? 0x04034b50 : 0x02014b50, 4);
    put_little(b, 20, local ? 2 : 4); /* versions */
    put_little(b, 0, 2);
    put_little(b, (uint64_t)method, 2);
    put_little(b, 0, 4); /* time */
    put_little(b, crc, 4);
    put_little(b, packed, 4);
    put_little(b, size, 4);
    put_little(b, strlen(name), 2);
    put_little(b, 0, 2); /* extra */
    if (!local) {
        put_zeros(b, 10); /* comment, disk, attributes */
        put_little(b, offset, 4);
    }
    put(b, name, strlen(name));
}

static inline void zip_add(zip *z, const char *name, bytes *contents, bool compressed) {
    uint32_t crc = (uint32_t)crc32(0, contents->data, (unsigned)contents->size);
    bytes packed = compressed ? deflated(contents, -15) : *contents;
    size_t offset = z->file.size;
    zip_entry(&z->file, true, name, compressed ? 8 : 0, crc, packed.size, contents->size, 0);
    zip_entry(&z->directory, false, name, compressed ? 8 : 0, crc, packed.size, contents->size, offset);
    put(&z->file, packed.data, packed.size);
    z->members++;
    if (compressed) {
        drop(&packed);
    }
    drop(contents);
}

static inline bytes zip_finish(zip *z) {
    size_t offset = z->file.size;
    put(&z->file, z->directory.data, z->directory.size);
    put_little(&z->file, 0x06054b50, 4);
    put_zeros(&z->file, 4);
    put_little(&z->file, (uint64_t)z->members, 2);
    put_little(&z->file, (uint64_t)z->members, 2);
    put_little(&z->file, z->directory.size, 4);
    put_little(&z->file, offset, 4);
    put_zeros(&z->file, 2);
    drop(&z->directory);
    return z->file;
}

/* ---- PNG and JPEG; pixels HWC */

static inline bytes png_file(const uint8_t *pixels, int64_t height, int64_t width, bool gray) {
    png_image image = {.version = PNG_IMAGE_VERSION, .height = (png_uint_32)height, .width = (png_uint_32)width};
    image.format = gray ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    bytes b = {malloc(1 << 20), 0, 1 << 20};
    png_alloc_size_t size = 1 << 20;
    assert_true(png_image_write_to_memory(&image, b.data, &size, 0, pixels, 0, NULL) != 0);
    b.size = size;
    return b;
}

static inline bytes jpeg_file(const uint8_t *pixels, int64_t height, int64_t width, bool gray) {
    tjhandle jpeg = tjInitCompress();
    unsigned char *out = NULL;
    unsigned long size = 0;
    assert_int_equal(tjCompress2(jpeg, pixels, (int)width, 0, (int)height, gray ? TJPF_GRAY : TJPF_RGB, &out, &size,
                                 gray ? TJSAMP_GRAY : TJSAMP_444, 95, 0),
                     0);
    bytes b = {0};
    put(&b, out, size);
    tjFree(out);
    tjDestroy(jpeg);
    return b;
}

/* A smooth picture, which survives JPEG nearly unchanged. */
static inline uint8_t *smooth_pixels(int64_t height, int64_t width, int64_t channels, int shade) {
    uint8_t *pixels = malloc((size_t)(height * width * channels));
    assert_non_null(pixels);
    for (int64_t i = 0; i < height * width * channels; i++) {
        int64_t x = i / channels % width, y = i / channels / width;
        pixels[i] = (uint8_t)(shade + 3 * x + 2 * y + 20 * (i % channels));
    }
    return pixels;
}

static inline void make_folder(const char *root, const char *name) {
    char path[512];
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_ok(ctx, crumb_folder_make(ctx, path));
    crumb_ctx_destroy(ctx);
}

/* ---- What loaders are asked */

static inline void assert_image(crumb_ctx *ctx, crumb_dataset *set, int64_t index, int label) {
    uint8_t *pixels;
    int64_t height, width;
    int got;
    crumb_dataset_info info;
    crumb_dataset_describe(set, &info);
    assert_ok(ctx, crumb_dataset_image(set, index, &pixels, &height, &width, &got));
    assert_int_equal(got, label);
    for (int64_t k = 0; k < height * width * info.channels; k++) {
        assert_int_equal(pixels[k], sample_pixel(index, k));
    }
    crumb_dataset_release(set, pixels);
}

/* Opens, checks every image and closes: the body of allocation tests. user is the spec. */
static inline crumb_status open_and_check(crumb_ctx *ctx, void *user) {
    crumb_dataset *set;
    crumb_dataset_info info;
    CRUMB_TRY(crumb_dataset_open(ctx, user, 1, &set));
    crumb_dataset_describe(set, &info);
    int64_t *counts = calloc((size_t)info.classes, sizeof(*counts));
    crumb_status status = crumb_dataset_check(set, counts);
    free(counts);
    crumb_dataset_close(set);
    return status;
}

static inline void assert_open_fails(crumb_ctx *ctx, crumb_status status, const char *words, const char *spec) {
    crumb_dataset *set = NULL;
    assert_fails(ctx, status, words, crumb_dataset_open(ctx, spec, 1, &set));
    assert_null(strchr(crumb_message(ctx), '\n'));
    assert_null(set);
}

#endif
