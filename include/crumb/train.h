/* crumb/train.h - training low-bit networks: data sets, networks, recipes, training, evaluation.
 *
 * The shortest program (examples/01_train.c is this, with errors handled):
 *
 *     crumb_ctx *ctx;            crumb_ctx_create(&ctx, NULL);
 *     crumb_recipe *recipe;      crumb_recipe_load(ctx, "recipe.yaml", NULL, 0, &recipe);
 *     crumb_train_result result; crumb_train(recipe, &(crumb_train_options){.out = "run"}, &result);
 *
 * Images are NHWC, accuracies in percent, times in seconds, sizes in bytes. See base.h for the conventions on errors and
 * ownership.
 */
#ifndef CRUMB_TRAIN_H
#define CRUMB_TRAIN_H

#include "crumb/base.h"
#include "crumb/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What exists: every kind of thing that recipes name. */

typedef enum crumb_kind {
    CRUMB_KIND_MODEL,
    CRUMB_KIND_QUANTIZER,
    CRUMB_KIND_STRATEGY,
    CRUMB_KIND_OPTIMIZER,
    CRUMB_KIND_SCHEDULE,
    CRUMB_KIND_LOADER,
    CRUMB_KIND_AUGMENT,
    CRUMB_KIND_OP,
    CRUMB_KIND_FORMAT,
    CRUMB_KIND_BACKEND,
    CRUMB_KINDS
} crumb_kind;

/* "models", "quantizers", ... (plural, as `crumb info` takes it). */
CRUMB_API const char *crumb_kind_name(crumb_kind kind);
/* The index-th row of a kind: false past the end. The strings live as long as the program. */
CRUMB_API bool crumb_kind_entry(crumb_kind kind, int index, crumb_entry *entry);
/* More about a row, one "key: value" a line (bits, properties, paper); NULL if there is no more. Valid until this thread's
 * next call. */
CRUMB_API const char *crumb_kind_detail(crumb_kind kind, int index);

/* ---- Data sets. */

typedef struct crumb_dataset crumb_dataset;

typedef struct crumb_dataset_info {
    const char *kind;             /* "cifar10" */
    const char *split;            /* "train" or "test" */
    int64_t count;                /* images */
    int64_t height, width, channels; /* height and width are 0 when images differ in size (folder) */
    int classes;
    const char *const *class_names; /* classes of them, or NULL */
    float mean[4], deviation[4];  /* the usual normalisation of this set, per channel, for pixels in 0..1 */
    bool real;                    /* samples are floats, used as they are (npy), not bytes */
} crumb_dataset_info;

/* Opens "KIND:PATH[:SPLIT]" ("digits[:SPLIT]" has no path): digits, idx, cifar10, cifar100, svhn, folder, npy. Checks the whole file structure
 * before returning. `seed` matters to sets that are drawn (digits). */
CRUMB_API crumb_status crumb_dataset_open(crumb_ctx *ctx, const char *spec, uint64_t seed, crumb_dataset **dataset);
CRUMB_API void crumb_dataset_close(crumb_dataset *dataset);
CRUMB_API void crumb_dataset_describe(const crumb_dataset *dataset, crumb_dataset_info *info);
/* One image as 8-bit HWC pixels and its label. *pixels is crumb_dataset_release'd by the caller. UNSUPPORTED for real-valued sets. */
CRUMB_API crumb_status crumb_dataset_image(crumb_dataset *dataset, int64_t index, uint8_t **pixels, int64_t *height,
                                           int64_t *width, int *label);
CRUMB_API void crumb_dataset_release(crumb_dataset *dataset, uint8_t *pixels);
/* Writes a contact sheet, `columns` x `rows` images grouped by class, as PNG. */
CRUMB_API crumb_status crumb_dataset_sheet(crumb_dataset *dataset, int columns, int rows, const char *png_path);
/* Reads every image once; *counts (classes values, caller's) gets images per class. Fails with the first bad image. */
CRUMB_API crumb_status crumb_dataset_check(crumb_dataset *dataset, int64_t *counts);

/* ---- Recipes: one YAML file = one experiment. docs/RECIPES.md describes the keys. */

typedef struct crumb_recipe crumb_recipe;

/* Reads and checks a recipe. overrides[i] is "key.path=value" (as --set). Errors carry file, line and the nearest valid name.
 * Texts may contain ${NAME}, which `lookup` resolves (NULL: not set, an error); crumb_recipe_load knows no variables. */
typedef const char *(*crumb_lookup)(void *user, const char *name);
CRUMB_API crumb_status crumb_recipe_load(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                                         crumb_recipe **recipe);
CRUMB_API crumb_status crumb_recipe_load_with(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                                              crumb_lookup lookup, void *user, crumb_recipe **recipe);
/* The same from text in memory; `name` stands for the file in messages. Whether the files it names exist is not looked at. */
CRUMB_API crumb_status crumb_recipe_parse(crumb_ctx *ctx, const char *name, const char *text, size_t size,
                                          const char *const *overrides, int count, crumb_lookup lookup, void *user,
                                          crumb_recipe **recipe);
CRUMB_API void crumb_recipe_free(crumb_recipe *recipe);
/* The recipe's `name`, by default the file's name without folder and suffix; lives as long as the recipe. */
CRUMB_API const char *crumb_recipe_name(const crumb_recipe *recipe);
/* The effective recipe, every key written out, as YAML; release with crumb_text_free. */
CRUMB_API crumb_status crumb_recipe_print(const crumb_recipe *recipe, char **yaml);
/* The phases that training will go through, one line each; release likewise. */
CRUMB_API crumb_status crumb_recipe_timeline(const crumb_recipe *recipe, char **text);
CRUMB_API void crumb_text_free(crumb_ctx *ctx, char *text);

/* ---- Training. */

typedef struct crumb_progress {
    const char *phase;     /* name of the phase, "train" when there is only one */
    int64_t epoch, epochs; /* finished, total over all phases */
    int64_t step, steps;   /* within the epoch */
    double loss;           /* mean over the epoch so far */
    double rate;           /* learning rate */
    double train_top1;     /* percent over the epoch so far */
    double val_top1;       /* of the last evaluation, NaN before it */
    double images_per_second, seconds_left; /* NaN when not yet known */
} crumb_progress;

typedef struct crumb_train_options {
    const char *out;   /* run folder, created; NULL: nothing is written */
    bool resume;       /* go on from the run folder's checkpoint if there is one */
    /* Called after every step; return false to stop (a checkpoint is written, status STOPPED). May be NULL. */
    bool (*progress)(void *user, const crumb_progress *progress);
    void *user;
    /* Called with each number that a strategy reports beside the result ("sqwa.average_top1"), at the time it does; a resumed
     * run starts with those from before. result.json has them all. May be NULL. */
    void (*figure)(void *user, const char *name, double value);
} crumb_train_options;

typedef struct crumb_train_result {
    double val_top1, val_top5, val_loss; /* last epoch, percent; of the test set when training images were held out */
    double best_top1;                    /* over the epochs of the last phase: earlier ones may have other bits */
    int64_t best_epoch, epochs;
    double seconds, images_per_second;
    int weight_bits, activation_bits;    /* most common over the layers; 32 = float */
    double direct_top1;                  /* accuracy right after quantization, before training; NaN if not measured */
    double float_top1;                   /* of the initial float weights; NaN if not measured */
    int64_t images;                      /* trained on, over all phases */
    int64_t extra_images;                /* training images seen besides: ranges of quantizers, batch-norm statistics */
} crumb_train_result;

CRUMB_API crumb_status crumb_train(const crumb_recipe *recipe, const crumb_train_options *options,
                                   crumb_train_result *result);

/* ---- Comparing variants of a recipe over seeds. docs/COMPARE.md describes the file and the rules. */

typedef struct crumb_comparison crumb_comparison;

typedef struct crumb_comparison_options {
    /* "NAME" or "NAME:KEY.PATH=VALUE", several of one name add up: the file is a recipe then. NULL: it is a comparison file. */
    const char *const *variants;
    int variant_count;
    const char *const *overrides; /* of every variant, before its own: "key.path=value" */
    int override_count;
    const int64_t *seeds; /* instead of the file's */
    int seed_count;
    const char *control, *measure; /* instead of the file's; NULL: the file's */
    int64_t epochs;                /* the same; 0: the file's */
    crumb_lookup lookup;           /* as in crumb_recipe_load_with; used during the call only */
    void *user;
} crumb_comparison_options;

/* Reads the file and every variant's recipe, and checks that all train on the same number of images. options may be NULL. */
CRUMB_API crumb_status crumb_comparison_load(crumb_ctx *ctx, const char *path, const crumb_comparison_options *options,
                                             crumb_comparison **comparison);
CRUMB_API void crumb_comparison_free(crumb_comparison *comparison);

typedef enum crumb_verdict {
    CRUMB_VERDICT_CONTROL, /* is the control */
    CRUMB_VERDICT_NONE,    /* no difference shown */
    CRUMB_VERDICT_BETTER,
    CRUMB_VERDICT_WORSE
} crumb_verdict;
CRUMB_API const char *crumb_verdict_text(crumb_verdict verdict); /* "better", "no difference shown", ... */

typedef struct crumb_variant_info {
    const char *name;
    const crumb_recipe *recipe; /* with the first seed */
    int64_t epochs, images;     /* trained over all phases: images are the same for all variants */
    int64_t passes;             /* over the training set besides, for batch-norm statistics, as far as the timeline says */
    int finished;               /* runs; crumb_comparison_look and crumb_compare count them */
    /* What crumb_compare finds, else NaN. Accuracies in percent. */
    const double *top1;       /* of each seed, in the seeds' order */
    double mean, deviation;   /* over the seeds, deviation of a sample (n - 1): NaN for one seed */
    double difference;        /* mean of the differences to the control with the same seed */
    double low, high;         /* its 95 % interval (Student's t); NaN for one seed */
    crumb_verdict verdict;
    double seconds;           /* mean of a run */
    int64_t extra_images;     /* of a run: images seen but not trained on, the most of all seeds */
} crumb_variant_info;
CRUMB_API bool crumb_comparison_variant(const crumb_comparison *comparison, int index, crumb_variant_info *info);
/* The index-th seed; false past the end. */
CRUMB_API bool crumb_comparison_seed(const crumb_comparison *comparison, int index, int64_t *seed);
/* "last" or "best": the accuracy of a run that counts. */
CRUMB_API const char *crumb_comparison_measure(const crumb_comparison *comparison);

typedef struct crumb_compare_progress {
    const char *variant;
    int64_t seed;
    int run, runs;               /* from 0 */
    const crumb_progress *train; /* NULL: the run is finished */
    bool found;                  /* and was so before */
    double top1, seconds;        /* of a finished run */
    double fraction;             /* of the whole */
} crumb_compare_progress;

/* Looks at the run folders OUT/VARIANT/seed-N without changing anything. ARGUMENT if one holds a run of another recipe. */
CRUMB_API crumb_status crumb_comparison_look(crumb_comparison *comparison, const char *out);
/* Runs, or goes on with, what is not finished in OUT; then writes OUT/compare.json. progress may be NULL; false stops, with a
 * checkpoint, and the next call goes on. */
CRUMB_API crumb_status crumb_compare(crumb_comparison *comparison, const char *out,
                                     bool (*progress)(void *user, const crumb_compare_progress *progress), void *user);

/* ---- Trained networks. */

typedef struct crumb_network crumb_network;

typedef struct crumb_layer_info {
    const char *name;  /* "layer1.0.conv1" */
    const char *op;    /* "conv2d" or "linear" */
    const char *weight_quantizer, *activation_quantizer; /* NULL: float */
    int weight_bits, activation_bits;                    /* 32: float */
    int64_t parameters;
    double flops;      /* one image */
} crumb_layer_info;

typedef struct crumb_network_info {
    const char *model;
    int64_t height, width, channels;
    int classes, layers;
    int64_t parameters;
    double flops;        /* one image, multiply-add = 2 */
    int64_t float_bytes; /* all parameters and statistics as 32-bit floats */
    int64_t packed_bytes; /* weights at their bits plus scales, the rest as floats */
} crumb_network_info;

/* A model.safetensors that crumb wrote describes itself (model, quantizers, classes, normalisation). */
CRUMB_API crumb_status crumb_network_open(crumb_ctx *ctx, const char *path, crumb_network **network);
/* model NULL: an ONNX file, which says all that follows itself. Else weights with PyTorch's names for the model named (`model` as in a
 * recipe, "resnet20"; parameters "key=value,...", may be NULL). Unknown, missing or misshapen tensors: FORMAT with the names. */
CRUMB_API crumb_status crumb_network_import(crumb_ctx *ctx, const char *path, const char *model, const char *parameters,
                                            int64_t height, int64_t width, int64_t channels, int classes,
                                            crumb_network **network);
CRUMB_API void crumb_network_close(crumb_network *network);
CRUMB_API void crumb_network_describe(const crumb_network *network, crumb_network_info *info);
CRUMB_API bool crumb_network_layer(const crumb_network *network, int index, crumb_layer_info *layer);
CRUMB_API crumb_status crumb_network_save(crumb_network *network, const char *path);
/* Normalisation for pixels in 0..1, per channel; kept in the saved file. */
CRUMB_API void crumb_network_normalise(crumb_network *network, const float *mean, const float *deviation, int channels);

typedef struct crumb_evaluation {
    int64_t images;
    double top1, top5, loss; /* percent, percent, mean cross-entropy in nats */
    double seconds, images_per_second;
} crumb_evaluation;

typedef struct crumb_evaluate_options {
    int64_t batch;      /* 0: 250 */
    int64_t limit;      /* first images only; 0: all */
    bool (*progress)(void *user, int64_t done, int64_t total); /* false stops */
    void *user;
} crumb_evaluate_options;

CRUMB_API crumb_status crumb_evaluate(crumb_network *network, crumb_dataset *dataset, const crumb_evaluate_options *options,
                                      crumb_evaluation *evaluation);

/* ---- Packed networks (run.h) on data sets and image files. */

/* Accuracy of a packed network. Images of another size than the network's, which must then be square, are scaled until their shorter
 * side has `resize` pixels (0: the network's), and the middle is cut out. images_per_second counts the time in the session alone,
 * seconds all; options->batch images are handed to the session at a time. */
CRUMB_API crumb_status crumb_evaluate_session(crumb_session *session, crumb_dataset *dataset, int64_t resize,
                                              const crumb_evaluate_options *options, crumb_evaluation *evaluation);
/* A PNG or JPEG file as height x width x channels 8-bit pixels; channels: 1 (luma) or 3. Scaled as above, to any proportions.
 * Release with crumb_image_free. */
CRUMB_API crumb_status crumb_image_load(crumb_ctx *ctx, const char *path, int64_t height, int64_t width, int64_t channels,
                                        int64_t resize, uint8_t **pixels);
CRUMB_API void crumb_image_free(crumb_ctx *ctx, uint8_t *pixels);

/* ---- Packing: what is written here, run.h runs. */

/* Lowers the network to integer codes and writes the packed file, whole or not at all. UNSUPPORTED names the layer that cannot
 * be packed. The network must know its normalisation. */
CRUMB_API crumb_status crumb_network_pack(crumb_network *network, const char *path);
/* Opens a packed file, or a trained network, which is packed in memory. Close with crumb_packed_close. */
CRUMB_API crumb_status crumb_packed_load(crumb_ctx *ctx, const char *path, crumb_packed **packed);

/* Proves a packed file against the network that it was made from, image by image, in two ways:
 * - The network's own graph is evaluated in the integer arithmetic of packed networks, without lowering anything. The packed
 * file, run by the runtime with this processor's kernels, must give the same codes and logits, bit for bit.
 * - The float simulation, as training and evaluation run it, rounds its sums elsewhere; a value next to a boundary of a
 * quantizer then becomes the neighbouring code, and differences go on from there. These are counted and bounded. */
typedef struct crumb_verify_options {
    int64_t images;   /* 0: 32 */
    int64_t exact;    /* the first images only are evaluated exactly, which is slow; 0: all */
    uint64_t seed;    /* of the images when there is no data set: random pixels */
    double ties;      /* percent of all codes that may be the first to differ from the simulation, 0: 0.1 */
    double agreement; /* percent of the images that must have the simulation's top-1, all but one at most; 0: 95 */
    bool (*progress)(void *user, int64_t done, int64_t total); /* false stops */
    void *user;
} crumb_verify_options;

typedef struct crumb_verified_layer {
    const char *name;  /* lives as long as the verification */
    int bits;          /* of the codes that enter it */
    int64_t codes;     /* compared, over all images */
    int64_t inexact;   /* unlike the exact evaluation's, over its images */
    int64_t differing; /* unlike the simulation's */
    int largest;       /* distance of those, in levels */
    int64_t ties;      /* differing in images that have no difference in any layer before */
    int64_t jumps;     /* of those, by more than one level */
} crumb_verified_layer;

typedef struct crumb_verification_info {
    int64_t images, exact_images;
    int layers; /* with codes */
    int64_t codes, inexact_codes, inexact_logits;
    int64_t differing, ties, jumps;
    int largest;
    double share;          /* largest share of differing codes of a layer, percent */
    int64_t equal_images;  /* without a differing code */
    double logit_distance; /* over those: the largest distance of a logit, in parts of the image's largest logit */
    double agreement;      /* percent of the images with the simulation's top-1 */
    double top1;           /* of the packed file on these images, percent; NAN: they have no classes */
    double top1_simulated; /* of the simulation, which is what evaluation reports */
    bool exact;            /* no code and no logit is inexact */
    bool bounded;          /* no jumps; ties and agreement within bounds; logit_distance below 1e-3 */
} crumb_verification_info;

typedef struct crumb_verification crumb_verification;

/* Images from a data set, or random ones where dataset is NULL. A file that fits another network is a SHAPE error; differences
 * are no error. */
CRUMB_API crumb_status crumb_network_verify(crumb_network *network, const char *path, crumb_dataset *dataset,
                                            const crumb_verify_options *options, crumb_verification **verification);
CRUMB_API void crumb_verification_close(crumb_verification *verification);
CRUMB_API void crumb_verification_describe(const crumb_verification *verification, crumb_verification_info *info);
CRUMB_API bool crumb_verification_layer(const crumb_verification *verification, int index, crumb_verified_layer *layer);

/* ---- Loss surfaces: the plane through three models of one network. docs/SURFACE.md has the formulas. */

typedef struct crumb_surface_value {
    double train_loss, train_error, test_loss, test_error; /* mean cross-entropy in nats, errors in percent */
} crumb_surface_value;

typedef struct crumb_surface_progress {
    int64_t done, total, found; /* points, those of the quantized and of the float domain; found: by an earlier call */
    bool quantized;             /* domain of the last one */
    crumb_surface_value value;  /* of the last one */
} crumb_surface_progress;

typedef enum crumb_surface_steps {
    CRUMB_STEPS_FOLLOW, /* as the models: computed from the point's weights, or, where they are learned or frozen, between theirs */
    CRUMB_STEPS_SHARED, /* the mean of the models' */
    CRUMB_STEPS_REFIT   /* searched for the point's weights even where the models keep theirs; learned ones: the mean */
} crumb_surface_steps;

typedef struct crumb_surface_options {
    const char *models[3];    /* files that crumb wrote */
    const char *train, *test; /* data sets */
    const char *out;          /* folder: points.jsonl while it runs, surface.json in the end */
    int64_t grid;             /* points a side; 0: 21 */
    double margin;            /* around the models, as a share of the two lengths of the plane; negative: 0.2 */
    int64_t train_images, test_images, norm_images; /* that measure a point and its batch-norm statistics; 0: 1000 */
    int64_t batch;            /* 0: 100 */
    uint64_t seed;            /* chooses the images */
    crumb_surface_steps steps; /* of the quantizers at a point */
    bool (*progress)(void *user, const crumb_surface_progress *progress); /* after each point; false stops. May be NULL */
    void *user;
} crumb_surface_options;

typedef struct crumb_surface_result {
    double x[3], y[3];                         /* where the models lie, in Euclidean distance from the first */
    crumb_surface_value quantized[3], plain[3]; /* what they do; NaN where no model is quantized */
    double step_spread; /* largest relative difference of a quantizer's state among the models */
    crumb_surface_value best_quantized, best_plain; /* the smallest of each over the grid */
} crumb_surface_result;

/* Goes on with what OUT holds of the same surface; ARGUMENT if it holds another. */
CRUMB_API crumb_status crumb_surface(crumb_ctx *ctx, const crumb_surface_options *options, crumb_surface_result *result);
/* Draws a surface.json as filled contours, both domains side by side, the models marked. UNSUPPORTED: there is no gnuplot. */
CRUMB_API crumb_status crumb_surface_draw(crumb_ctx *ctx, const char *json_path, const char *svg_path);

/* ---- Packed networks as C. */

enum { CRUMB_EXPORT_PATH_MAX = 4096 };

typedef struct crumb_export_c_options {
    bool floats; /* images come normalised, as floats, instead of as 8-bit pixels */
} crumb_export_c_options;

typedef struct crumb_export_c_result {
    char header[CRUMB_EXPORT_PATH_MAX];
    int64_t constant_bytes, memory_bytes; /* weights, tables and thresholds; static activations */
} crumb_export_c_result;

/* Writes the network as one freestanding C99 file and its header beside it ("net.c", "net.h"; functions are called net_...): static
 * memory, constant weights at their bits, logits bit for bit those of a session. options and result may be NULL. ARGUMENT if path
 * does not end in .c behind a C identifier. */
CRUMB_API crumb_status crumb_packed_export_c(const crumb_packed *packed, const char *path, const crumb_export_c_options *options,
                                             crumb_export_c_result *result);

/* ---- Trained networks for PyTorch. */

/* Writes the weights under PyTorch's names as safetensors that a plain module loads: quantized weights as the floats they stand
 * for, or with `codes` as integers, <name>, beside <name>_scale. Batch norm is as it was trained, states of quantizers are left out.
 * Class names, normalisation and what quantizes each layer's weights and input stand in the metadata (docs/EXPORT.md). */
CRUMB_API crumb_status crumb_network_export_safetensors(crumb_network *network, const char *path, bool codes);

/* ---- Packed networks as ONNX. docs/EXPORT.md describes the forms. */

typedef struct crumb_export_onnx_options {
    const char *form; /* "qcdq", "qdq", "nbits", "qonnx", "float"; NULL: qcdq */
    int opset;        /* qdq: 21 or 25; 0: the form's first */
} crumb_export_onnx_options;

/* Writes the network as an ONNX file: image [batch, C, H, W], normalised, to logits [batch, classes]; class names and
 * normalisation as metadata. options may be NULL. ARGUMENT for an unknown form or opset, UNSUPPORTED names what ONNX lacks. */
CRUMB_API crumb_status crumb_packed_export_onnx(const crumb_packed *packed, const char *path,
                                                const crumb_export_onnx_options *options);

/* ---- Measuring. */

typedef struct crumb_bench_result {
    double train_images_per_second, eval_images_per_second, load_images_per_second;
    double train_gflops;      /* achieved, three times the forward's operations */
    int64_t bytes;            /* activations, gradients, workspace of the training plan */
} crumb_bench_result;
/* Times `steps` training steps (after three to warm up), as many evaluation batches, and the loader alone, on the recipe's network
 * and data. *plan (may be NULL) gets the training plan as text; crumb_text_free it. */
CRUMB_API crumb_status crumb_bench_train(const crumb_recipe *recipe, int steps, crumb_bench_result *result, char **plan);

#ifdef __cplusplus
}
#endif
#endif
