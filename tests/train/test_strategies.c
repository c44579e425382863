/* What every strategy must do, asked of every row and of some together: its timeline in words, interrupted runs that end in the
 * same bits, allocations that fail. A row without a case here fails. */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define BWN "{weights: {name: bwn}}"
#define TWN "{weights: {name: twn}, activations: {name: pact, bits: 4}, last: 8bit}"
#define UNIFORM "{weights: {name: uniform, bits: 2}, first: 8bit}"
#define DOREFA "{weights: {name: dorefa, bits: 3}, first: 8bit}"
#define CTMQ "{weights: {name: ctmq, bits: 1}, activations: {name: ctmq, bits: 1}, last: float}"
#define WITH ", with waveq (bits_strength 2, start 0), with sinreq (profile rising, weights max)\n"
#define LSQ "{weights: {name: lsq, bits: 2}, activations: {name: lsq, bits: 3}}"

typedef struct strategy_case {
    const char *strategies, *quantize, *train, *timeline;
} strategy_case;

static const strategy_case cases[] = {
    {"[sinreq]", DOREFA, "epochs: 2, optimizer: {name: sgd, lr: 0.01}",
     "1 train: 2 epochs, weights dorefa 3 bits, first 8bit, sgd lr 0.01, cosine, with sinreq\n"},
    {"[{name: waveq, bits_strength: 3, bits_profile: hump, bits_end: 0.5, start: 6, centre: 0.1, frozen: 0.3}]", DOREFA,
     "epochs: 3, optimizer: {name: adam, lr: 0.2}, schedule: constant",
     "1 train: 3 epochs, weights dorefa 3 bits, first 8bit, adam lr 0.2, constant, with waveq (centre 0.1, bits_strength 3, "
     "bits_profile hump, bits_end 0.5, start 6, frozen 0.3)\n"},
    {"[{name: ctmq, chain: [32, 3, 1], restart: 3, shares: [1, 1, 2]}]", CTMQ, "epochs: 6, optimizer: {name: adam, lr: 0.01}",
     "1 ctmq1-float: 1 epoch, float, last float, adam lr 0.01, cosine\n"
     "2 ctmq1-3bit: 1 epoch, weights ctmq 3 bits, activations ctmq 3 bits, last float, adam lr 0.01, cosine\n"
     "3 ctmq1-1bit: 1 epoch, weights ctmq 1 bits, activations ctmq 1 bits, last float, adam lr 0.01, cosine\n"
     "4 ctmq2-3bit: 1 epoch, weights ctmq 3 bits, activations ctmq 3 bits, last float, adam lr 0.01, cosine\n"
     "5 ctmq2-1bit: 2 epochs, weights ctmq 1 bits, activations ctmq 1 bits, last float, adam lr 0.01, cosine\n"
     "together 6 epochs\n"},
    {"[{name: ctmq, chain: [4, 2], cycles: 1}, {name: waveq, start: 0, bits_strength: 2}, {name: sqwa, captures: 2, cycle: "
     "0.5, "
     "tune_epochs: 1}, {name: sinreq, profile: rising, weights: max}]",
     DOREFA, "epochs: 4, optimizer: {name: sgd, lr: 0.01}",
     "1 ctmq1-4bit: 2 epochs, weights dorefa 4 bits, first 8bit, sgd lr 0.01, cosine" WITH
     "2 ctmq1-2bit/sqwa-retrain: 1 epoch, weights dorefa 2 bits, first 8bit, sgd lr 0.05, cyclic (cycle 0.5), 2 captures, "
     "0.5 epochs apart" WITH "3 ctmq1-2bit/sqwa-tune: 1 epoch, weights dorefa 2 bits, first 8bit, sgd lr 0.001, cosine" WITH
     "together 4 epochs\n"},
    {"[sq]", BWN, "epochs: 5",
     "1 sq-50: 1 epoch, weights bwn 1 bits, sgd lr 0.1, cosine, 50 % of the rows quantized\n"
     "2 sq-75: 1 epoch, weights bwn 1 bits, sgd lr 0.1, cosine, 75 % of the rows quantized\n"
     "3 sq-87.5: 1 epoch, weights bwn 1 bits, sgd lr 0.1, cosine, 87.5 % of the rows quantized\n"
     "4 sq-100: 2 epochs, weights bwn 1 bits, sgd lr 0.1, cosine\n"
     "together 5 epochs\n"},
    {"[{name: sq, ratios: [0.3, 1], epochs: each, select: elements, partition: fixed, rule: code, probability: softmax}]", TWN,
     "epochs: 2, optimizer: {name: adam, lr: 0.01}",
     "1 sq-30: 2 epochs, weights twn 2 bits, activations pact 4 bits, last 8bit, adam lr 0.01, cosine, 30 % of the weights "
     "quantized\n"
     "2 sq-100: 2 epochs, weights twn 2 bits, activations pact 4 bits, last 8bit, adam lr 0.01, cosine\n"
     "together 4 epochs\n"},
    {"[{name: sqwa, float_epochs: 1, captures: 2, cycle: 1, tune_epochs: 1, measure: true, keep: true}]", UNIFORM, "epochs: 5",
     "1 sqwa-float: 1 epoch, float, sgd lr 0.1, cosine\n"
     "2 sqwa-retrain: 3 epochs, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.05, cyclic (cycle 1), 2 captures, 1 "
     "epoch apart\n"
     "3 sqwa-tune: 1 epoch, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.001, cosine\n"
     "together 5 epochs\n"},
    {"[{name: sqwa, captures: 2, spacing: 2, cycle: 0.5, shape: triangle, average: latent, step: refitted, reestimate: false, "
     "tune_epochs: 1, tune_schedule: step}]",
     LSQ, "epochs: 3",
     "1 sqwa-retrain: 2 epochs, weights lsq 2 bits, activations lsq 3 bits, sgd lr 0.05, cyclic (shape triangle, cycle 0.5), "
     "2 captures, 1 epoch apart\n"
     "2 sqwa-tune: 1 epoch, weights lsq 2 bits, activations lsq 3 bits, sgd lr 0.001, step (milestones [0.5])\n"
     "together 3 epochs\n"},
    {"[{name: sq, ratios: [0.5, 1], epochs: each}, {name: sqwa, captures: 2, cycle: 1, tune_epochs: 1}]", UNIFORM,
     "epochs: 3, schedule: constant",
     "1 sq-50: 3 epochs, weights uniform 2 bits, first 8bit, sgd lr 0.1, constant, 50 % of the rows quantized\n"
     "2 sq-100/sqwa-retrain: 2 epochs, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.05, cyclic (cycle 1), 2 "
     "captures, "
     "1 epoch apart\n"
     "3 sq-100/sqwa-tune: 1 epoch, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.001, cosine\n"
     "together 6 epochs\n"},
    {"[{name: sq, ratios: [0.5, 1]}, {name: sqwa, captures: 2, cycle: 0.5, tune_epochs: 1}, sinreq]", UNIFORM, "epochs: 4",
     "1 sq-50: 2 epochs, weights uniform 2 bits, first 8bit, sgd lr 0.1, cosine, 50 % of the rows quantized, with sinreq\n"
     "2 sq-100/sqwa-retrain: 1 epoch, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.05, cyclic (cycle 0.5), 2 "
     "captures, "
     "0.5 epochs apart, with sinreq\n"
     "3 sq-100/sqwa-tune: 1 epoch, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.001, cosine, with sinreq\n"
     "together 4 epochs\n"},
    {"[{name: sqwa, captures: 2, cycle: 1, tune_epochs: 1}, {name: sq, ratios: [0.5, 1]}]", UNIFORM, "epochs: 5",
     "1 sqwa-retrain/sq-50: 2 epochs, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.05, cyclic (cycle 1), 2 "
     "captures, 1 epoch "
     "apart, 50 % of the rows quantized\n"
     "2 sqwa-retrain/sq-100: 2 epochs, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.05, cyclic (cycle 1), 2 "
     "captures, 1 epoch "
     "apart\n"
     "3 sqwa-tune: 1 epoch, weights uniform 2 bits (refit once), first 8bit, sgd lr 0.001, cosine\n"
     "together 5 epochs\n"},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* `images` 0: all */
static crumb_status recipe_of(crumb_ctx *ctx, const strategy_case *c, int images, crumb_recipe **recipe) {
    char strategies[512], limit[32], train[256];
    snprintf(strategies, sizeof(strategies), "strategies=%s", c->strategies);
    snprintf(limit, sizeof(limit), "data.limit=%d", images);
    snprintf(train, sizeof(train), "seed: 4, checkpoint_every: 3, %s", c->train);
    const char *const overrides[] = {strategies, limit, NULL};
    return fixture_recipe(ctx, FIXTURE_MLP, c->quantize, train, overrides, recipe);
}

static void every_row_has_a_case(void **state) {
    (void)state;
    for (int i = 0; crumb_strategies[i] != NULL; i++) {
        bool found = false;
        for (size_t c = 0; c < CASES; c++) {
            const char *at = strstr(cases[c].strategies, crumb_strategies[i]->name);
            found |= at != NULL && strchr(",}]", at[strlen(crumb_strategies[i]->name)]) != NULL;
        }
        if (!found) {
            fail_msg("no case uses strategy %s", crumb_strategies[i]->name);
        }
        assert_true(crumb_strategies[i]->params_size <= CRUMB_STRATEGY_PARAMS_MAX);
    }
}

static void timelines_in_words(void **state) {
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_recipe *recipe;
        char *text;
        assert_ok(ctx, recipe_of(ctx, &cases[c], 0, &recipe));
        assert_ok(ctx, crumb_recipe_timeline(recipe, &text));
        assert_string_equal(text, cases[c].timeline);
        crumb_text_free(ctx, text);
        crumb_recipe_free(recipe);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* ---- Interrupted runs. Every one is a process of its own, forked before this one ever starts a thread. */

static int last_step; /* of those a run makes before it is stopped or killed; 0: it ends by itself */
static bool by_signal;
static int steps_made;

static bool interrupt(void *user, const crumb_progress *progress) {
    (void)user, (void)progress;
    if (++steps_made != last_step) {
        return true;
    }
    if (by_signal) {
        kill(getpid(), SIGKILL);
    }
    return false;
}

static int run(const strategy_case *c, const char *folder, int steps, bool killed) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        crumb_ctx *ctx;
        crumb_recipe *recipe;
        crumb_train_options options = {.out = folder, .resume = true, .progress = interrupt};
        last_step = steps;
        by_signal = killed;
        crumb_status status = crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1});
        status = status == CRUMB_OK ? recipe_of(ctx, c, 0, &recipe) : status;
        status = status == CRUMB_OK ? crumb_train(recipe, &options, NULL) : status;
        if (status != CRUMB_OK && status != CRUMB_ERROR_STOPPED) {
            fprintf(stderr, "%s\n", crumb_message(ctx));
        }
        _exit((int)status);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static char base[128];

static void new_folder(char folder[128]) {
    snprintf(folder, 128, "%.100s/run-XXXXXX", base);
    assert_non_null(mkdtemp(folder));
}

/* Killed or stopped after every fifth step, and at the first and last step of every epoch, in turn: the last checkpoint of a
 * killed run is up to three steps old. */
static void interrupted_runs_end_in_the_same_bits(void **state) {
    (void)state;
    enum { STEPS = 8 };
    for (size_t c = 0; c < CASES; c++) {
        char reference[128], folder[128];
        const char *total = strstr(cases[c].timeline, "together "); /* absent where there is but one phase */
        int epochs = atoi(total != NULL ? total + strlen("together ") : strstr(cases[c].timeline, ": ") + strlen(": "));
        new_folder(reference);
        assert_int_equal(run(&cases[c], reference, 0, false), 0);
        for (int step = 1, tries = 0; step < epochs * STEPS; step++) {
            if (step % 5 != 0 && step % STEPS > 1) {
                continue;
            }
            bool killed = tries++ % 2 == 0;
            new_folder(folder);
            int status = run(&cases[c], folder, step, killed);
            assert_true(killed ? WIFSIGNALED(status) : WEXITSTATUS(status) == CRUMB_ERROR_STOPPED);
            assert_int_equal(run(&cases[c], folder, 0, false), 0);
            fixture_assert_same_run(folder, reference);
            fixture_remove(folder);
        }
        fixture_remove(reference);
    }
}

/* ---- Memory. */

static crumb_status body(crumb_ctx *ctx, void *user) {
    crumb_recipe *recipe;
    CRUMB_TRY(recipe_of(ctx, user, 64, &recipe));
    crumb_status status = crumb_train(recipe, NULL, NULL);
    crumb_recipe_free(recipe);
    return status;
}

static void allocations_fail_cleanly(void **state) {
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        test_every_allocation(body, (void *)&cases[c]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_case),
        cmocka_unit_test(timelines_in_words),
        cmocka_unit_test(interrupted_runs_end_in_the_same_bits),
        cmocka_unit_test(allocations_fail_cleanly),
    };
    strcpy(base, "/dev/shm/crumb-test-XXXXXX"); /* hundreds of runs: where fsync costs nothing, if there is such a place */
    if (mkdtemp(base) == NULL) {
        snprintf(base, sizeof(base), "%s", test_folder());
    }
    fixture_data();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_remove(base);
    fixture_remove(fixture_data());
    return failed;
}
