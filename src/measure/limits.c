/* Measuring the limits of limits.h, and what follows from them for a layer. */
#include "measure/limits.h"

#include "base/cpu.h"
#include "runtime/team.h"

#include <time.h>
#include <unistd.h>

/* On a machine that others use too, only a piece shorter than a scheduler's slice is sure to run undisturbed now and then: a
 * loop is timed in many short pieces, and so is memory, a piece of which has left the caches before it is read again. */
enum { REPEATS = 150, READ_BYTES = 1 << 28, READ_PIECES = 64, READ_AHEAD = 8192 };
static const double LOOP_SECONDS = 0.0002;

double crumb_measure_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

const char *crumb_limit_name(crumb_limit limit) {
    static const char *const name[] = {"floats", "bytes", "bits", "tables", "memory"};
    return limit < CRUMB_LIMITS ? name[limit] : "unknown";
}

const char *crumb_limit_unit(crumb_limit limit) {
    return limit == CRUMB_LIMIT_MEMORY ? "B/s" : limit == CRUMB_LIMIT_TABLES ? "look-ups/s" : "op/s";
}

/* ---- Loops. */

/* The first loop of a limit that the context may use. */
static const crumb_limit_loop *loop_of(const crumb_ctx *ctx, crumb_limit limit) {
    static const crumb_limit_loop *const loops[] = {
        CRUMB_ON_X86(&crumb_limit_floats__avx512, &crumb_limit_floats__avx2, &crumb_limit_bytes__avx512vnni,
                     &crumb_limit_bytes__avxvnni, &crumb_limit_bytes__avx2, &crumb_limit_bits__avx512popcnt,
                     &crumb_limit_bits__avx2, &crumb_limit_tables__avx512vbmi, &crumb_limit_tables__avx2, ) &
            crumb_limit_floats__scalar,
        &crumb_limit_bytes__scalar, &crumb_limit_bits__scalar};
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        if (loops[i]->limit == limit && (loops[i]->cpu & ~crumb_cpu(ctx)) == 0) {
            return loops[i];
        }
    }
    return NULL;
}

typedef struct measurement {
    crumb_team *team;
    int threads;
    const crumb_limit_loop *loop;
    int64_t rounds;
    const uint64_t *memory;
} measurement;

static void run_loop(void *given, int thread) {
    const measurement *m = given;
    (void)thread;
    m->loop->run(m->rounds);
}

/* Piece after piece, each divided among the threads; as the kernels do, it asks for what lies 8 KiB ahead. */
static void read_piece(void *given, int thread) {
    const measurement *m = given;
    size_t words = READ_BYTES / READ_PIECES / sizeof(uint64_t), each = words / (size_t)m->threads / 8 * 8;
    const uint64_t *from = m->memory + words * (size_t)(m->rounds % READ_PIECES) + each * (size_t)thread;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < each; i += 8) {
        __builtin_prefetch((const void *)((uintptr_t)(from + i) + READ_AHEAD));
        for (size_t k = 0; k < 8; k++) {
            sum[k] += from[i + k];
        }
    }
    for (size_t k = 0; k < 8; k++) {
        __asm__ volatile("" : : "r"(sum[k])); /* somebody wants them */
    }
}

static double seconds_of(measurement *m, void (*work)(void *user, int thread)) {
    double start = crumb_measure_now();
    crumb_team_run(m->team, work, m);
    return crumb_measure_now() - start;
}

static void measure_loop(measurement *m, crumb_limit limit, const crumb_limit_loop *loop, crumb_limits *out) {
    double seconds = 0;
    m->loop = loop;
    for (m->rounds = 1 << 10; seconds < LOOP_SECONDS && m->rounds < (int64_t)1 << 40; m->rounds *= 2) {
        seconds = seconds_of(m, run_loop);
    }
    for (int i = 0; i < REPEATS; i++) {
        double again = seconds_of(m, run_loop);
        seconds = again < seconds || i == 0 ? again : seconds;
    }
    out->rate[limit] = (double)m->rounds * loop->operations * m->threads / seconds;
    out->loop[limit] = loop->name;
    out->table_columns = loop->columns > 0 ? loop->columns : out->table_columns;
}

static crumb_status measure_memory(crumb_ctx *ctx, measurement *m, crumb_limits *out) {
    uint64_t *memory = crumb_alloc(ctx, READ_BYTES, 1);
    if (memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    m->memory = memory;
    double seconds = seconds_of(m, read_piece);
    for (m->rounds = 0; m->rounds < 2 * READ_PIECES; m->rounds++) {
        double again = seconds_of(m, read_piece);
        seconds = again < seconds ? again : seconds;
    }
    out->rate[CRUMB_LIMIT_MEMORY] = (double)(READ_BYTES / READ_PIECES) / seconds;
    out->loop[CRUMB_LIMIT_MEMORY] = "reading 256 MiB";
    crumb_free(ctx, memory);
    return CRUMB_OK;
}

crumb_status crumb_limits_measure(crumb_ctx *ctx, int threads, crumb_limits *limits) {
    crumb_limits out = {.threads = threads > 0 ? threads : crumb_threads(ctx)};
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    measurement m = {.threads = out.threads};
    out.cache_bytes = cache > 0 ? (size_t)cache : 0;
    CRUMB_TRY(crumb_team_create(ctx, out.threads, &m.team));
    crumb_status status = measure_memory(ctx, &m, &out);
    for (int limit = 0; limit < CRUMB_LIMIT_MEMORY && status == CRUMB_OK; limit++) {
        const crumb_limit_loop *loop = loop_of(ctx, (crumb_limit)limit);
        if (loop != NULL) {
            measure_loop(&m, (crumb_limit)limit, loop, &out);
        }
    }
    crumb_team_destroy(m.team);
    if (status == CRUMB_OK) {
        *limits = out;
    }
    return status;
}

/* ---- What a layer could take. */

static int32_t bits_of(int32_t levels) {
    return levels == 0 ? 32 : crumb_packed_bits(levels);
}

/* Channels whose products one look-up can give: patterns of weights fit a table's columns, of activations its 256 rows. */
static int32_t table_group(const crumb_conv_problem *p, int32_t columns) {
    int64_t rows = 1, weights = 1;
    int32_t group = -1;
    do {
        group++;
        rows *= p->x.levels;
        weights *= p->w.levels;
    } while (rows <= 256 && weights <= columns);
    return group;
}

/* Operations a second, the fastest way. Float activations by codes of few levels take a table's entry for 2 or 4 products
 * (packed.h), at best at the rate of multiply-adds. */
static double fastest(const crumb_limits *limits, const crumb_conv_problem *p, crumb_limit *which) {
    if (p->x.levels == 0) {
        *which = CRUMB_LIMIT_FLOATS;
        return limits->rate[CRUMB_LIMIT_FLOATS] * (p->w.levels == 0 || p->w.levels > 4 ? 1 : p->w.levels == 2 ? 4 : 2);
    }
    double bits = limits->rate[CRUMB_LIMIT_BITS] / (bits_of(p->x.levels) * bits_of(p->w.levels));
    double tables = 2 * table_group(p, limits->table_columns) * limits->rate[CRUMB_LIMIT_TABLES];
    double best = limits->rate[CRUMB_LIMIT_BYTES];
    *which = CRUMB_LIMIT_BYTES;
    if (bits > best) {
        best = bits;
        *which = CRUMB_LIMIT_BITS;
    }
    if (tables > best) {
        best = tables;
        *which = CRUMB_LIMIT_TABLES;
    }
    return best;
}

double crumb_limits_problem(const crumb_limits *limits, const crumb_conv_problem *p, int64_t images, bool from_memory,
                            crumb_limit *which) {
    double window = (double)p->kernel_height * p->kernel_width * (p->channels / p->groups);
    double operations = 2 * window * p->out_height * p->out_width * p->out_channels * (double)images;
    double seconds = operations / fastest(limits, p, which);
    double bits = bits_of(p->w.levels) + (p->group > 0 ? 32.0 / p->group : 0);
    double fetching = window * p->out_channels * bits / 8 / limits->rate[CRUMB_LIMIT_MEMORY];
    if (from_memory && fetching > seconds) {
        *which = CRUMB_LIMIT_MEMORY;
        return fetching;
    }
    return seconds;
}

static bool exceeds_cache(const crumb_limits *limits, const crumb_packed *packed) {
    uint64_t bytes = 0;
    for (int32_t i = 0; i < packed->tensors; i++) {
        bytes += packed->tensor[i].bytes;
    }
    return limits->cache_bytes > 0 && bytes > limits->cache_bytes;
}

double crumb_limits_layer(const crumb_limits *limits, const crumb_packed *packed, int index, int64_t batch,
                          crumb_limit *which) {
    const crumb_packed_node *node = &packed->node[index];
    *which = CRUMB_LIMIT_FLOATS;
    if (node->op != CRUMB_PACKED_CONV2D) {
        return 0;
    }
    crumb_conv_problem problem = crumb_conv_problem_of(packed, node);
    return crumb_limits_problem(limits, &problem, batch, exceeds_cache(limits, packed), which) / (double)batch;
}
