/* The k-th allocation fails, for every k, through whole runs: each failure is reported as such and nothing stays allocated. */
#include "fixture.h"

static char out[128];

typedef struct memory_case {
    const char *model, *quantize, *train;
    bool write, hooks;
} memory_case;

static crumb_status body(crumb_ctx *ctx, void *user) {
    const memory_case *c = user;
    crumb_recipe *recipe;
    crumb_train_result result;
    static const char *const overrides[] = {"data.limit=64", NULL};
    CRUMB_TRY(fixture_recipe(ctx, c->model, c->quantize, c->train, overrides, &recipe));
    if (c->hooks) {
        recipe->strategy[recipe->strategies++].strategy = &fixture_every;
    }
    crumb_train_options options = {.out = c->write ? out : NULL};
    crumb_status status = crumb_train(recipe, &options, &result);
    crumb_recipe_free(recipe);
    return status;
}

/* Like test_every_allocation, but past `dense` allocations only every stride-th one fails. */
static void some_allocations(const memory_case *c, long dense, long stride) {
    long tried = 0, k = 1;
    for (;; k += k < dense ? 1 : stride) {
        test_memory memory = {.fail_at = k};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        if (ctx == NULL) {
            continue;
        }
        crumb_status status = body(ctx, (void *)c);
        bool failed = memory.count >= k;
        if (status != (failed ? CRUMB_ERROR_MEMORY : CRUMB_OK)) {
            fail_msg("allocation %ld failing gave status %d: %s", k, (int)status, crumb_message(ctx));
        }
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
        tried++;
        if (!failed) {
            break;
        }
    }
    print_message("%ld of %ld allocations made to fail\n", tried - 1, k);
}

/* Every allocation of a run with quantizers, phases, hooks, checkpoints, log and model files. */
static void every_allocation_of_a_written_run(void **state) {
    (void)state;
    memory_case c = {"{name: mlp, hidden: [4]}", FIXTURE_W8A8,
                     "epochs: 2, schedule: {name: cyclic, cycle: 1}, checkpoint_every: 3", true, true};
    some_allocations(&c, 1L << 30, 1);
}

/* The first 200 allocations of a convolutional network's run, every 37th after that: a run of it is a hundred times as long. */
static void allocations_of_a_residual_network(void **state) {
    (void)state;
    memory_case c = {FIXTURE_RESNET, FIXTURE_W2A2, "epochs: 1, reestimate: true", false, false};
    some_allocations(&c, 200, 37);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_a_written_run),
        cmocka_unit_test(allocations_of_a_residual_network),
    };
    strcpy(out, "/dev/shm/crumb-test-XXXXXX"); /* hundreds of runs: where fsync costs nothing, if there is such a place */
    if (mkdtemp(out) == NULL) {
        snprintf(out, sizeof(out), "%s", test_folder());
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_remove(out);
    fixture_remove(fixture_data());
    return failed;
}
