/* Element types of safetensors files. F16 and BF16 values are all floats, so their conversion is exact; wider types round to
 * nearest. */
#include "formats/dtype.h"

#include <math.h>
#include <string.h>

float crumb_bfloat_to_float(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
float crumb_half_to_float(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, fraction = bits & 0x3ffu;
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24 */
        float magnitude = (float)fraction * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    uint32_t wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
}

/* Files are little-endian, and so is every machine crumb is built for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is read as it lies in memory");

#define LOAD(name, type, convert)                                                                                              \
    static float load_##name(const void *at) {                                                                                 \
        type value;                                                                                                            \
        memcpy(&value, at, sizeof(value));                                                                                     \
        return convert(value);                                                                                                 \
    }

LOAD(f64, double, (float))
LOAD(f32, float, )
LOAD(f16, uint16_t, crumb_half_to_float)
LOAD(bf16, uint16_t, crumb_bfloat_to_float)
LOAD(i64, int64_t, (float))
LOAD(i32, int32_t, (float))
LOAD(i16, int16_t, (float))
LOAD(i8, int8_t, (float))
LOAD(u64, uint64_t, (float))
LOAD(u32, uint32_t, (float))
LOAD(u16, uint16_t, (float))
LOAD(u8, uint8_t, (float))

static float load_bool(const void *at) {
    return *(const uint8_t *)at != 0 ? 1.0f : 0.0f;
}

static const crumb_dtype dtypes[] = {
    {"F64", 8, load_f64}, {"F32", 4, load_f32}, {"F16", 2, load_f16},   {"BF16", 2, load_bf16}, {"I64", 8, load_i64},
    {"I32", 4, load_i32}, {"I16", 2, load_i16}, {"I8", 1, load_i8},     {"U64", 8, load_u64},   {"U32", 4, load_u32},
    {"U16", 2, load_u16}, {"U8", 1, load_u8},   {"BOOL", 1, load_bool}, {"F8_E4M3", 1, NULL},   {"F8_E5M2", 1, NULL},
};

const crumb_dtype *crumb_dtype_find(const char *name) {
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            return &dtypes[i];
        }
    }
    return NULL;
}
