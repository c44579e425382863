/* Loss surfaces: the plane's geometry; points of the models against the models themselves, evaluated another way; steps that
 * are shared; walks that are stopped, killed in the middle of a line, or of another surface; every allocation failing. */
#include "fixture.h"

#include "train/plane.h"
#include "train/surface.h"
#include "train/trainer_parts.h"

#include <jansson.h>

static crumb_ctx *ctx;
static char work[128];

enum { MODELS = CRUMB_SURFACE_MODELS };

/* ---- The plane. */

static void three_points_lie_on_the_plane(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    static float w[MODELS][COUNT], p[COUNT];
    crumb_rng rng = crumb_rng_at(1, 2, 3);
    for (int m = 0; m < MODELS; m++) {
        for (int i = 0; i < COUNT; i++) {
            w[m][i] = crumb_rng_normal(&rng);
        }
    }
    crumb_plane plane;
    assert_ok(ctx, crumb_plane_make(ctx, (const float *const[]){w[0], w[1], w[2]}, COUNT, &plane));
    double uv = 0, uu = 0;
    for (int i = 0; i < COUNT; i++) {
        uv += (double)plane.u[i] * (double)plane.v[i];
        uu += pow((double)w[2][i] - (double)w[0][i], 2);
    }
    assert_true(fabs(uv) < 1e-4); /* float roundings of a thousand terms of size 2 */
    assert_true(fabs(plane.u_length - sqrt(uu)) < 1e-5);
    assert_true(plane.a[0] == 0 && plane.b[0] == 0 && plane.b[1] == 1 && plane.a[2] == 1 && plane.b[2] == 0);
    for (int m = 0; m < MODELS; m++) {
        crumb_plane_point(&plane, plane.a[m], plane.b[m], p);
        for (int i = 0; i < COUNT; i++) {
            assert_true(fabs((double)p[i] - (double)w[m][i]) < 1e-6);
        }
    }
    crumb_plane_free(&plane);

    /* In two dimensions by hand: (0,0), (3,4), (10,0): share 0.3, heights 10 and 4. */
    const float a[] = {0, 0}, b[] = {3, 4}, c[] = {10, 0}, half[] = {5, 0};
    assert_ok(ctx, crumb_plane_make(ctx, (const float *const[]){a, b, c}, 2, &plane));
    assert_true(fabs(plane.a[1] - 0.3) < 1e-7 && fabs(plane.u_length - 10) < 1e-6 && fabs(plane.v_length - 4) < 1e-6);
    crumb_plane_free(&plane);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "third model have the same",
                 crumb_plane_make(ctx, (const float *const[]){a, b, a}, 2, &plane));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "second model have the same",
                 crumb_plane_make(ctx, (const float *const[]){a, a, c}, 2, &plane));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "on a line", crumb_plane_make(ctx, (const float *const[]){a, half, c}, 2, &plane));
    const float bad[] = {NAN, 0};
    assert_fails(ctx, CRUMB_ERROR_NUMERIC, "not finite", crumb_plane_make(ctx, (const float *const[]){a, b, bad}, 2, &plane));
}

/* ---- Models. */

static char mlp[MODELS][256], resnet[MODELS][256], plain[256], other[256];

static void train_to(const char *model, const char *quantize, const char *seed, const char *name, char path[256]) {
    char out[192];
    crumb_recipe *recipe;
    snprintf(out, sizeof(out), "%s/%s", work, name);
    assert_ok(ctx, fixture_recipe(ctx, model, quantize, "epochs: 2, optimizer: {name: sgd, lr: 0.05}",
                                  (const char *const[]){seed, "data.augment=[{name: pad-crop, pad: 1}]", NULL}, &recipe));
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.out = out}, NULL));
    crumb_recipe_free(recipe);
    snprintf(path, 256, "%s/last.safetensors", out);
}

/* A copy of a model with noise on its weights and the same steps. */
static void disturb(const char *from, uint64_t seed, double step_factor, const char *name, char path[256]) {
    crumb_network *network;
    assert_ok(ctx, crumb_network_open(ctx, from, &network));
    bool *own = crumb_network_states(network->graph);
    crumb_rng rng = crumb_rng_at(seed, 0, 0);
    for (int v = 0; v < network->graph->values; v++) {
        const crumb_value *value = &network->graph->value[v];
        for (int64_t i = 0; value->kind == CRUMB_VALUE_PARAM && i < crumb_shape_count(value->shape); i++) {
            value->data[i] =
                own[v] ? (float)(step_factor * (double)value->data[i]) : value->data[i] + 0.05f * crumb_rng_normal(&rng);
        }
    }
    snprintf(path, 256, "%s/%s.safetensors", work, name);
    assert_ok(ctx, crumb_network_save(network, path));
    crumb_free(ctx, own);
    crumb_network_close(network);
}

static int setup(void **state) {
    (void)state;
    snprintf(work, sizeof(work), "%s", test_folder());
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return -1;
    }
    const char *ternary = "{weights: {name: uniform, bits: 2}}";
    train_to(FIXTURE_MLP, ternary, "train.seed=1", "m1", mlp[0]);
    train_to(FIXTURE_MLP, ternary, "train.seed=2", "m2", mlp[1]);
    train_to(FIXTURE_MLP, ternary, "train.seed=3", "m3", mlp[2]);
    train_to(FIXTURE_MLP, "none", "train.seed=4", "plain", plain);
    train_to("{name: mlp, hidden: [13]}", ternary, "train.seed=1", "other", other);
    train_to(FIXTURE_RESNET, FIXTURE_W2A2, "train.seed=1", "r1", resnet[0]);
    disturb(resnet[0], 5, 1, "r2", resnet[1]);
    disturb(resnet[0], 6, 1, "r3", resnet[2]);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    fixture_remove(work);
    fixture_remove(fixture_data());
    return 0;
}

/* ---- Surfaces. */

static crumb_surface_options options_of(const char *a, const char *b, const char *c, const char *name) {
    static char train[256], test[256], out[256];
    snprintf(train, sizeof(train), "idx:%s:train", fixture_data());
    snprintf(test, sizeof(test), "idx:%s:test", fixture_data());
    snprintf(out, sizeof(out), "%s/%s", work, name);
    return (crumb_surface_options){.models = {a, b, c},
                                   .train = train,
                                   .test = test,
                                   .out = out,
                                   .grid = 4,
                                   .margin = 0.25,
                                   .train_images = 100,
                                   .test_images = 60,
                                   .norm_images = 96,
                                   .batch = 32,
                                   .seed = 9};
}

/* The same measurement of a model file by the ordinary graph, whose own quantize nodes do the work; `floats`: without them. */
static bool augmented = true; /* images for batch norm */

static crumb_surface_value reference(const char *path, bool floats) {
    crumb_surface_options o = options_of(path, path, path, "none");
    crumb_network *network;
    if (floats) {
        crumb_network *own;
        assert_ok(ctx, crumb_network_open(ctx, path, &own));
        assert_ok(ctx, crumb_network_import(ctx, path, "mlp", "hidden=[12]", FIXTURE_SIDE, FIXTURE_SIDE, 1, FIXTURE_CLASSES,
                                            &network));
        network->recipe->data = own->recipe->data; /* the normalisation */
        network->recipe->augments = own->recipe->augments;
        memcpy(network->recipe->augment, own->recipe->augment, sizeof(own->recipe->augment));
        crumb_network_close(own);
    } else {
        assert_ok(ctx, crumb_network_open(ctx, path, &network));
    }
    crumb_exec *exec;
    crumb_feed *feed[2], *norm;
    crumb_dataset *set[2];
    crumb_evaluation e[2];
    crumb_feed_options wanted = {.batch = o.batch, .shuffle = true, .seed = o.seed};
    assert_ok(ctx, crumb_exec_create(network->graph, &(crumb_exec_options){.batch = o.batch}, &exec));
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, crumb_dataset_open(ctx, i == 0 ? o.train : o.test, o.seed, &set[i]));
        assert_ok(ctx, crumb_network_feed(network, set[i], false, wanted, &feed[i]));
    }
    assert_ok(ctx, crumb_network_feed(network, set[0], augmented, wanted, &norm));
    assert_ok(ctx, crumb_reestimate(exec, network->graph, -1, norm, 3, o.seed));
    crumb_feed_destroy(norm);
    for (int i = 0; i < 2; i++) {
        crumb_score score = {0};
        assert_ok(ctx, crumb_score_feed(&score, exec, network->graph, -1, feed[i], i == 0 ? 100 : 60, NULL));
        crumb_score_result(&score, 0, &e[i]);
        assert_int_equal(e[i].images, i == 0 ? 100 : 60);
        crumb_feed_destroy(feed[i]);
        crumb_dataset_close(set[i]);
    }
    crumb_exec_destroy(exec);
    crumb_network_close(network);
    return (crumb_surface_value){e[0].loss, 100 - e[0].top1, e[1].loss, 100 - e[1].top1};
}

/* P reproduces a model's weights up to float rounding; for the first it is exact. */
static void same_value(const crumb_surface_value *value, const crumb_surface_value *want, bool exact) {
    double bound = exact ? 0 : 2e-3;
    if (!(fabs(value->train_loss - want->train_loss) <= bound && fabs(value->test_loss - want->test_loss) <= bound)) {
        fail_msg("loss %.9g and %.9g, wanted %.9g and %.9g", value->train_loss, value->test_loss, want->train_loss,
                 want->test_loss);
    }
    if (exact) {
        assert_memory_equal(value, want, sizeof(*value));
    }
}

/* Steps that are found from the weights: the models' points are the models, in both domains. */
static void models_are_on_their_surface(void **state) {
    (void)state;
    crumb_surface_options o = options_of(mlp[0], mlp[1], mlp[2], "follow");
    crumb_surface_result r;
    assert_ok(ctx, crumb_surface(ctx, &o, &r));
    for (int m = 0; m < MODELS; m++) {
        crumb_surface_value quantized = reference(mlp[m], false), floating = reference(mlp[m], true);
        same_value(&r.quantized[m], &quantized, m == 0);
        same_value(&r.plain[m], &floating, m == 0);
        assert_true(fabs(quantized.train_loss - floating.train_loss) > 1e-3); /* the domains differ */
    }
    assert_true(r.x[0] == 0 && r.y[0] == 0 && r.y[2] == 0 && r.x[2] > 0 && r.y[1] > 0);
    assert_true(r.step_spread > 1e-3);
    assert_true(r.best_quantized.train_loss > 0 && r.best_plain.test_error >= 0);
}

/* Learned steps of weights and activations, ranges that follow the data: each model is on the surface as it is. */
static void learned_steps_follow(void **state) {
    (void)state;
    char doubled[256];
    disturb(resnet[0], 7, 2, "r4", doubled);
    crumb_surface_options o = options_of(resnet[0], resnet[1], doubled, "learned");
    crumb_surface_result r;
    o.grid = 2;
    assert_ok(ctx, crumb_surface(ctx, &o, &r));
    crumb_surface_value first = reference(resnet[0], false), second = reference(resnet[1], false),
                        third = reference(doubled, false);
    same_value(&r.quantized[0], &first, true);
    same_value(&r.quantized[1], &second, false);
    same_value(&r.quantized[2], &third, false);
    assert_true(fabs(first.train_loss - second.train_loss) > 0.02 && fabs(first.train_loss - third.train_loss) > 0.02);
    assert_true(r.step_spread >= 0.75 - 1e-6); /* 1, 1, 2 have mean 4/3 */

    /* Statistics of images that are not augmented as in training are others. */
    augmented = false;
    crumb_surface_value still = reference(resnet[0], false);
    augmented = true;
    assert_true(fabs(still.test_loss - first.test_loss) > 1e-3);
}

static float step_at(crumb_terrain *t, double a, double b) {
    crumb_surface_value value;
    assert_ok(ctx, crumb_terrain_measure(t, a, b, true, &value));
    int step = crumb_graph_find(t->model[t->base]->graph, "layer1.0.conv1.weight_quant.step");
    assert_true(step >= 0);
    return t->model[t->base]->graph->value[step].data[0];
}

/* A model whose step is 2 where the others have 1: the step is 1 + (share of that model), from 1 to 2; or 4/3 everywhere. */
static void steps_of_a_point(void **state) {
    (void)state;
    char doubled[256];
    crumb_terrain t;
    disturb(resnet[0], 7, 2, "r4", doubled);
    crumb_surface_options o = options_of(resnet[0], resnet[1], doubled, "none");
    assert_ok(ctx, crumb_terrain_open(ctx, &o, &t));
    float one = step_at(&t, 0, 0);
    assert_true(one > 0 && step_at(&t, t.plane.a[1], t.plane.b[1]) == one && step_at(&t, 1, 0) == 2 * one);
    assert_true(fabs((double)step_at(&t, 0.25, 0) / (double)one - 1.25) < 1e-6);
    assert_true(fabs((double)step_at(&t, 0.5 + t.plane.a[1], 1) / (double)one - 1.5) < 1e-6);
    assert_true(step_at(&t, -0.5, 0) == one && step_at(&t, 1.5, 0) == 2 * one);
    crumb_terrain_close(&t);
    o.steps = CRUMB_STEPS_SHARED;
    assert_ok(ctx, crumb_terrain_open(ctx, &o, &t));
    for (int i = 0; i < 2; i++) {
        assert_true(fabs((double)step_at(&t, i, 0) / (double)one - 4.0 / 3) < 1e-6);
    }
    crumb_terrain_close(&t);
    o = options_of(resnet[0], resnet[1], resnet[2], "none"); /* a step that all have stays to the bit */
    assert_ok(ctx, crumb_terrain_open(ctx, &o, &t));
    assert_true(step_at(&t, 0.3, 0.7) == one && step_at(&t, -0.2, 1.1) == one);
    crumb_terrain_close(&t);
}

/* Frozen steps stay with their models; refit searches those of the point. */
static void frozen_steps(void **state) {
    (void)state;
    char frozen[MODELS][256];
    crumb_terrain t;
    crumb_surface_value value;
    train_to(FIXTURE_MLP, "{weights: {name: uniform, bits: 2, refit: once}}", "train.seed=1", "f1", frozen[0]);
    disturb(frozen[0], 5, 1, "f2", frozen[1]);
    disturb(frozen[0], 6, 1, "f3", frozen[2]);
    crumb_surface_options o = options_of(frozen[0], frozen[1], frozen[2], "none");
    float found[2];
    for (int i = 0; i < 2; i++) {
        o.steps = i == 0 ? CRUMB_STEPS_FOLLOW : CRUMB_STEPS_REFIT;
        assert_ok(ctx, crumb_terrain_open(ctx, &o, &t));
        assert_true(t.step_spread == 0);
        assert_ok(ctx, crumb_terrain_measure(&t, 0.4, 0.6, true, &value));
        const crumb_graph *graph = t.model[t.base]->graph;
        found[i] = graph->value[crumb_graph_find(graph, "fc1.weight_quant.step")].data[0];
        crumb_terrain_close(&t);
    }
    crumb_network *network;
    assert_ok(ctx, crumb_network_open(ctx, frozen[0], &network));
    assert_true(found[0] == network->graph->value[crumb_graph_find(network->graph, "fc1.weight_quant.step")].data[0]);
    assert_true(found[1] > 0 && found[1] != found[0]);
    crumb_network_close(network);
}

/* Every weight of a quantized point is on its quantizer's few levels, those of the shared step. */
static void points_are_quantized(void **state) {
    (void)state;
    crumb_surface_options o = options_of(mlp[0], mlp[1], mlp[2], "none");
    crumb_surface_value value;
    crumb_terrain t;
    o.steps = CRUMB_STEPS_SHARED;
    assert_ok(ctx, crumb_terrain_open(ctx, &o, &t));
    float step = 0;
    for (int n = 0; n < 4; n++) {
        assert_ok(ctx, crumb_terrain_measure(&t, 0.4 * n - 0.3, 0.2 * n, n != 3, &value));
        const crumb_value *w = &t.graph->value[crumb_graph_find(t.graph, "fc1.weight")];
        float largest = 0;
        int levels = 0;
        for (int64_t i = 0; i < crumb_shape_count(w->shape); i++) {
            largest = fabsf(w->data[i]) > largest ? fabsf(w->data[i]) : largest;
        }
        for (int64_t i = 0; i < crumb_shape_count(w->shape); i++) {
            levels += w->data[i] != 0 && fabsf(w->data[i]) != largest;
        }
        assert_true((levels == 0) == (n != 3));
        step = n == 0 ? largest : step;
        assert_true((largest == step) == (n != 3));
    }
    crumb_terrain_close(&t);
}

static void float_models_take_part(void **state) {
    (void)state;
    crumb_surface_options o = options_of(plain, mlp[1], mlp[2], "mixed");
    crumb_surface_result r;
    o.grid = 2;
    assert_ok(ctx, crumb_surface(ctx, &o, &r));
    crumb_surface_value want = reference(plain, true);
    same_value(&r.plain[0], &want, true);
    assert_true(r.quantized[0].train_loss > 0);
    char b[256], c[256];
    disturb(plain, 1, 1, "p2", b);
    disturb(plain, 2, 1, "p3", c);
    o = options_of(plain, b, c, "floats");
    o.grid = 2;
    assert_ok(ctx, crumb_surface(ctx, &o, &r));
    assert_true(isnan(r.quantized[0].train_loss) && isnan(r.best_quantized.test_error));
    same_value(&r.plain[0], &want, true);
    json_t *object = json_load_file(fixture_path(o.out, "surface.json"), 0, NULL);
    assert_null(json_object_get(object, "quantized"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(object, "float"), "train_loss")), 2);
    json_decref(object);
}

static void the_grid_surrounds_the_models(void **state) {
    (void)state;
    crumb_surface_options o = options_of(mlp[0], mlp[1], mlp[2], "follow"); /* measured above */
    crumb_surface_result r;
    assert_ok(ctx, crumb_surface(ctx, &o, &r));
    json_t *object = json_load_file(fixture_path(o.out, "surface.json"), 0, NULL);
    const json_t *x = json_object_get(object, "x"), *y = json_object_get(object, "y");
    double left = fmin(0, r.x[1]), right = fmax(r.x[2], r.x[1]);
    assert_int_equal(json_array_size(x), 4);
    assert_true(fabs(json_number_value(json_array_get(x, 0)) - (left - 0.25 * r.x[2])) < 1e-9);
    assert_true(fabs(json_number_value(json_array_get(x, 3)) - (right + 0.25 * r.x[2])) < 1e-9);
    assert_true(fabs(json_number_value(json_array_get(y, 0)) + 0.25 * r.y[1]) < 1e-9);
    assert_true(fabs(json_number_value(json_array_get(y, 3)) - 1.25 * r.y[1]) < 1e-9);
    json_decref(object);
}

/* ---- Walks. */

static bool stop_after(void *user, const crumb_surface_progress *now) {
    int *left = user;
    assert_true(now->done <= now->total && now->found <= now->done && now->total == 2 * (3 + 16));
    return (*left)-- > 0;
}

static void stopped_and_continued_is_the_same(void **state) {
    (void)state;
    char whole[256], parts[256];
    crumb_surface_options o = options_of(mlp[0], mlp[1], mlp[2], "whole");
    assert_ok(ctx, crumb_surface(ctx, &o, NULL));
    snprintf(whole, sizeof(whole), "%s", fixture_path(o.out, "surface.json"));
    o = options_of(mlp[0], mlp[1], mlp[2], "parts");
    o.progress = stop_after;
    snprintf(parts, sizeof(parts), "%s", fixture_path(o.out, "points.jsonl"));
    for (int n = 0; n < 5; n++) {
        int left = n == 0 ? 0 : 6;
        o.user = &left;
        assert_fails(ctx, CRUMB_ERROR_STOPPED, "points", crumb_surface(ctx, &o, NULL));
        assert_false(crumb_file_exists(fixture_path(o.out, "surface.json")));
        FILE *file = fopen(parts, "ab"); /* killed while it wrote a line */
        assert_non_null(file);
        fputs("{\"quantized\":true,\"row\":", file);
        fclose(file);
    }
    o.progress = NULL;
    assert_ok(ctx, crumb_surface(ctx, &o, NULL));
    assert_true(fixture_same_file(fixture_path(o.out, "surface.json"), whole));

    /* Another surface does not go on here; a damaged file is named with its line. */
    crumb_surface_options b = o;
    b.grid = 5;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "another surface (grid is 5, was 4)", crumb_surface(ctx, &b, NULL));
    b = o;
    b.models[2] = plain;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "the models' weights differ", crumb_surface(ctx, &b, NULL));
    char command[600];
    snprintf(command, sizeof(command), "sed -i 5d '%s'", parts);
    assert_int_equal(system(command), 0);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "points.jsonl:5:", crumb_surface(ctx, &o, NULL));
}

static void refuses(void **state) {
    (void)state;
    crumb_surface_options o = options_of(mlp[0], mlp[1], other, "bad");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "not the same network", crumb_surface(ctx, &o, NULL));
    o = options_of(mlp[0], mlp[1], resnet[0], "bad");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "not the same network", crumb_surface(ctx, &o, NULL));
    o = options_of(mlp[0], mlp[1], mlp[0], "bad");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "no plane", crumb_surface(ctx, &o, NULL));
    o = options_of(mlp[0], mlp[1], "missing.safetensors", "bad");
    assert_fails(ctx, CRUMB_ERROR_IO, "missing.safetensors", crumb_surface(ctx, &o, NULL));
    o = options_of(mlp[0], mlp[1], mlp[2], "bad");
    o.train = "digits:train";
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "images are", crumb_surface(ctx, &o, NULL));
    o = options_of(mlp[0], mlp[1], mlp[2], "bad");
    o.grid = 1;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "outside 2 .. 1001", crumb_surface(ctx, &o, NULL));
    o.grid = 4;
    o.margin = NAN;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "margin", crumb_surface(ctx, &o, NULL));
    o.margin = 0;
    o.test_images = -1;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "below 1", crumb_surface(ctx, &o, NULL));
    assert_false(crumb_file_exists(o.out)); /* nothing was made */
    char threebit[256];
    train_to(FIXTURE_MLP, "{weights: {name: uniform, bits: 3}}", "train.seed=5", "threebit", threebit);
    o = options_of(mlp[0], mlp[1], threebit, "bad");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT,
                 "different quantizers: fc1.weight_quant is uniform 2 bits in one, uniform 3 bits in",
                 crumb_surface(ctx, &o, NULL));
    char once[256];
    train_to(FIXTURE_MLP, "{weights: {name: uniform, bits: 2, refit: once}}", "train.seed=6", "once", once);
    o = options_of(mlp[0], mlp[1], once, "once"); /* another parameter, the same levels */
    assert_ok(ctx, crumb_surface(ctx, &o, NULL));
}

static crumb_status walk_once(crumb_ctx *own, void *user) {
    char command[400];
    const crumb_surface_options *o = user;
    snprintf(command, sizeof(command), "rm -rf '%s'", o->out);
    assert_int_equal(system(command), 0);
    return crumb_surface(own, o, NULL);
}

static void every_allocation(void **state) {
    (void)state;
    crumb_surface_options o = options_of(mlp[0], mlp[1], mlp[2], "memory");
    o.grid = 2;
    o.norm_images = o.train_images = o.test_images = 32;
    test_every_allocation(walk_once, &o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_points_lie_on_the_plane),
        cmocka_unit_test(models_are_on_their_surface),
        cmocka_unit_test(learned_steps_follow),
        cmocka_unit_test(steps_of_a_point),
        cmocka_unit_test(frozen_steps),
        cmocka_unit_test(points_are_quantized),
        cmocka_unit_test(float_models_take_part),
        cmocka_unit_test(the_grid_surrounds_the_models),
        cmocka_unit_test(stopped_and_continued_is_the_same),
        cmocka_unit_test(refuses),
        cmocka_unit_test(every_allocation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
