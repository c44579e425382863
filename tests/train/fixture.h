/* What the trainer's tests share: a tiny data set written as IDX files, recipes as text, a strategy of their own that uses
 * every hook. */
#ifndef CRUMB_TRAIN_FIXTURE_H
#define CRUMB_TRAIN_FIXTURE_H

#include "harness.h"

#include "base/file.h"
#include "train/trainer.h"

enum { FIXTURE_SIDE = 8, FIXTURE_CLASSES = 4, FIXTURE_TRAIN = 256, FIXTURE_TEST = 90 };

/* ---- Data: the class is the bright quadrant of a noisy image. */

static inline void fixture_put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static inline void fixture_write(const char *folder, const char *split, int count) {
    enum { PIXELS = FIXTURE_SIDE * FIXTURE_SIDE };
    uint8_t *images = malloc((size_t)(16 + count * PIXELS)), *labels = malloc((size_t)(8 + count));
    fixture_put32(images, 0x803);
    fixture_put32(images + 4, (uint32_t)count);
    fixture_put32(images + 8, FIXTURE_SIDE);
    fixture_put32(images + 12, FIXTURE_SIDE);
    fixture_put32(labels, 0x801);
    fixture_put32(labels + 4, (uint32_t)count);
    crumb_rng rng = crumb_rng_at(7, (uint64_t)count, 0);
    for (int n = 0; n < count; n++) {
        int label = n % FIXTURE_CLASSES;
        labels[8 + n] = (uint8_t)label;
        for (int i = 0; i < PIXELS; i++) {
            int quadrant = 2 * (i / FIXTURE_SIDE >= FIXTURE_SIDE / 2) + (i % FIXTURE_SIDE >= FIXTURE_SIDE / 2);
            images[16 + n * PIXELS + i] = (uint8_t)(crumb_rng_below(&rng, 150) + (quadrant == label ? 60 : 0));
        }
    }
    char path[512];
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    snprintf(path, sizeof(path), "%s/%s-images-idx3-ubyte", folder, split);
    assert_ok(ctx, crumb_file_write(ctx, path, images, (size_t)(16 + count * PIXELS)));
    snprintf(path, sizeof(path), "%s/%s-labels-idx1-ubyte", folder, split);
    assert_ok(ctx, crumb_file_write(ctx, path, labels, (size_t)(8 + count)));
    crumb_ctx_destroy(ctx);
    free(images);
    free(labels);
}

/* Folder with both splits; made at the first call, removed by fixture_remove. */
static char fixture_folder[128];

static inline const char *fixture_data(void) {
    if (fixture_folder[0] == '\0') {
        snprintf(fixture_folder, sizeof(fixture_folder), "%s", test_folder());
        fixture_write(fixture_folder, "train", FIXTURE_TRAIN);
        fixture_write(fixture_folder, "t10k", FIXTURE_TEST);
    }
    return fixture_folder;
}

static inline void fixture_remove(const char *folder) {
    char command[256];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* Path inside a folder; the newest of four results. */
static inline const char *fixture_path(const char *folder, const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static inline bool fixture_same_file(const char *a, const char *b) {
    crumb_ctx *ctx;
    uint8_t *x = NULL, *y = NULL;
    size_t nx, ny;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, crumb_file_read(ctx, a, 0, &x, &nx));
    assert_ok(ctx, crumb_file_read(ctx, b, 0, &y, &ny));
    bool same = nx == ny && memcmp(x, y, nx) == 0;
    crumb_free(ctx, x);
    crumb_free(ctx, y);
    crumb_ctx_destroy(ctx);
    return same;
}

/* ---- Comparing runs. */

/* Lines of a JSON file without the members that tell time. */
static inline char *fixture_timeless(const char *path) {
    char command[700];
    char *text = calloc(1, 1 << 16);
    snprintf(command, sizeof(command), "sed -E 's/\"(seconds|images_per_second)\": *[-+.eE0-9nul]+//g' '%s' 2>/dev/null", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    text[fread(text, 1, (1 << 16) - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_true(strlen(text) > 0);
    return text;
}

static inline void fixture_assert_same_run(const char *folder, const char *reference) {
    static const char *const files[] = {"last.safetensors", "best.safetensors", "histograms.jsonl"};
    static const char *const texts[] = {"result.json", "log.jsonl"};
    for (int i = 0; i < 3; i++) {
        if (!fixture_same_file(fixture_path(folder, files[i]), fixture_path(reference, files[i]))) {
            fail_msg("%s/%s differs from %s", folder, files[i], reference);
        }
    }
    for (int i = 0; i < 2; i++) {
        char *a = fixture_timeless(fixture_path(folder, texts[i])), *b = fixture_timeless(fixture_path(reference, texts[i]));
        assert_string_equal(a, b);
        free(a);
        free(b);
    }
}

/* ---- Recipes. */

#define FIXTURE_MLP "{name: mlp, hidden: [12]}"
#define FIXTURE_RESNET "{name: resnet20, width: 0.25}"
#define FIXTURE_W8A8 "{weights: {name: lsq, bits: 8}, activations: {name: lsq, bits: 8}}"
#define FIXTURE_W2A2 "{weights: {name: lsq, bits: 2}, activations: {name: lsq, bits: 2}, first: 8bit, last: 8bit}"

/* A recipe on the fixture's data; `train` is the inside of its train mapping. Overrides end with NULL. */
static inline crumb_status fixture_recipe(crumb_ctx *ctx, const char *model, const char *quantize, const char *train,
                                          const char *const *overrides, crumb_recipe **recipe) {
    char text[4096];
    int count = 0;
    while (overrides != NULL && overrides[count] != NULL) {
        count++;
    }
    snprintf(text, sizeof(text),
             "name: fixture\nmodel: %s\ndata: {train: 'idx:%s:train', test: 'idx:%s:test', workers: 0, mean: [0.3], deviation: "
             "[0.2]}\n"
             "quantize: %s\ntrain: {batch: 32, %s}\n",
             model, fixture_data(), fixture_data(), quantize, train);
    return crumb_recipe_parse(ctx, "fixture.yaml", text, strlen(text), overrides, count, NULL, NULL, recipe);
}

/* A recipe of FIXTURE_MLP whose timeline is refused with this message. */
static inline void fixture_refuses(crumb_ctx *ctx, const char *quantize, const char *train, const char *strategies,
                                   const char *message) {
    crumb_recipe *recipe;
    char *text;
    const char *const overrides[] = {strategies, NULL};
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, quantize, train, overrides, &recipe));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, message, crumb_recipe_timeline(recipe, &text));
    crumb_recipe_free(recipe);
}

/* ---- A strategy that uses every hook: three phases of falling bits; masks drawn for each step; a penalty on the first layer's
 * weights; their mean over the minima of a cyclic rate, taken over at the end of each phase. */

enum { FIXTURE_MASK_MAX = 64 };

typedef struct fixture_every_state {
    int64_t begun, masked, pulled, captured, ended, steps;
    uint8_t mask[FIXTURE_MASK_MAX];
} fixture_every_state;

static fixture_every_state fixture_every_last; /* at the end of a run */

static inline crumb_status fixture_every_rewrite(crumb_ctx *c, const crumb_strategy_run *run, crumb_timeline *timeline) {
    (void)c;
    assert_int_equal(timeline->phases, 1);
    for (int i = 0; i < 3; i++) {
        crumb_phase *phase = &timeline->phase[i];
        *phase = timeline->phase[0];
        snprintf(phase->name, sizeof(phase->name), "bits-%d", 8 >> i);
        phase->quant.weights.bits = phase->quant.activations.bits = 8 >> i;
        phase->keep_optimizer = i == 2;
        phase->reestimate = i == 1;
        phase->tag[run->index] = i + 1;
    }
    timeline->phases = 3;
    return CRUMB_OK;
}

/* The first weight: a parameter with a quantize node behind it. */
static inline int fixture_first_site(const crumb_graph *network) {
    for (int i = 0; i < network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(network, i);
        if (site != NULL && site->weight) {
            return i;
        }
    }
    return -1;
}

static inline int fixture_first_weight(const crumb_graph *network) {
    return network->node[fixture_first_site(network)].input[0];
}

static inline int64_t fixture_first_count(const crumb_trainer *trainer) {
    return crumb_shape_count(trainer->network->value[fixture_first_weight(trainer->network)].shape);
}

static inline crumb_status fixture_every_begin(crumb_strategy_run *run, crumb_trainer *trainer) {
    fixture_every_state *s = run->state;
    s->begun++;
    s->captured = 0;
    assert_int_equal(trainer->epoch, 0);
    assert_int_equal(trainer->timeline->phase[trainer->phase].tag[run->index], trainer->phase + 1);
    float *mean = crumb_strategy_tensor(trainer->ctx, run, "mean", fixture_first_count(trainer));
    return mean != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static inline crumb_status fixture_every_before(crumb_strategy_run *run, crumb_trainer *trainer) {
    fixture_every_state *s = run->state;
    crumb_quant *site = crumb_node_site(trainer->network, fixture_first_site(trainer->network));
    crumb_rng rng =
        crumb_rng_at((uint64_t)trainer->recipe->train.seed, 100 + (uint64_t)run->index, (uint64_t)trainer->total_step);
    for (int64_t i = 0; i < site->channels && i < FIXTURE_MASK_MAX; i++) {
        s->mask[i] = crumb_rng_below(&rng, 4) != 0;
    }
    site->mask = s->mask;
    s->masked++;
    return CRUMB_OK;
}

static inline crumb_status fixture_every_add(crumb_strategy_run *run, crumb_trainer *trainer, double *extra_loss) {
    fixture_every_state *s = run->state;
    int weight = fixture_first_weight(trainer->network);
    const float *w = trainer->network->value[weight].data;
    float *g = crumb_exec_gradient(trainer->exec, weight);
    assert_non_null(g);
    for (int64_t i = 0; i < fixture_first_count(trainer); i++) {
        g[i] += 0.01f * w[i];
        *extra_loss += 0.005 * (double)w[i] * (double)w[i];
    }
    s->pulled++;
    return CRUMB_OK;
}

static inline crumb_status fixture_every_after(crumb_strategy_run *run, crumb_trainer *trainer) {
    fixture_every_state *s = run->state;
    s->steps++;
    if (!trainer->rate_minimum) {
        return CRUMB_OK;
    }
    float *mean = crumb_strategy_tensor(trainer->ctx, run, "mean", fixture_first_count(trainer));
    const float *w = trainer->network->value[fixture_first_weight(trainer->network)].data;
    s->captured++;
    for (int64_t i = 0; i < fixture_first_count(trainer); i++) {
        mean[i] += (w[i] - mean[i]) / (float)s->captured;
    }
    crumb_evaluation evaluation;
    CRUMB_TRY(crumb_trainer_measure(trainer, 0, &evaluation));
    return crumb_trainer_report(trainer, evaluation.top1, "every-hook.phase%d.capture%d_top1", trainer->phase + 1,
                                (int)s->captured);
}

static inline crumb_status fixture_every_end(crumb_strategy_run *run, crumb_trainer *trainer) {
    fixture_every_state *s = run->state;
    const float *mean = crumb_strategy_tensor(trainer->ctx, run, "mean", fixture_first_count(trainer));
    crumb_node_site(trainer->network, fixture_first_site(trainer->network))->mask = NULL;
    assert_int_equal(s->captured, 2); /* two cycles a phase */
    memcpy(trainer->network->value[fixture_first_weight(trainer->network)].data, mean,
           (size_t)fixture_first_count(trainer) * sizeof(float));
    s->ended++;
    fixture_every_last = *s;
    return CRUMB_OK;
}

static const crumb_strategy fixture_every = {
    .name = "every-hook",
    .doc = "uses every hook",
    .source = "tests",
    .state_size = sizeof(fixture_every_state),
    .rewrite = fixture_every_rewrite,
    .begin_phase = fixture_every_begin,
    .before_forward = fixture_every_before,
    .add_gradient = fixture_every_add,
    .after_step = fixture_every_after,
    .end_phase = fixture_every_end,
};

/* What it is meant to be run with, W8A8 at the start. */
#define FIXTURE_EVERY                                                                                                          \
    "epochs: 2, seed: 3, optimizer: {name: adam, lr: 0.005}, schedule: {name: cyclic, cycle: 1, low: 0.1}, checkpoint_every: " \
    "3"

#endif
