/* SQ, stochastic quantization (Dong et al., BMVC 2017, arXiv 1708.01001): each training step quantizes a random part of every
 * layer, rows that quantize well more often, and leaves the rest in float; the part grows from stage to stage until it is all.
 *
 * With m rows (output channels) W_i of a layer, their quantized values Q_i, the stage's ratio r and its N = m - floor((1 - r)
 * m):
 *
 *     e_i = |W_i - Q_i|_1 / |W_i|_1  (0 for a row of zeros),   f_i = 1 / (e_i + 1e-7)
 *     constant p_i = 1,  linear p_i = f_i,  softmax p_i = exp(f_i),  sigmoid p_i = 1 / (1 + exp(-f_i))
 *
 * rule: paper draws N rows to quantize, one after the other without replacement, each time with odds p (its algorithm 1).
 * rule: code, the authors' program, draws the m - N rows that stay in float, with e in place of f: linear p_i = e_i.
 *
 * Drawing k of m without replacement with odds p is taking the k largest of log p_i - log(-log u_i), u_i uniform on (0, 1)
 * (Gumbel's trick; Efraimidis and Spirakis 2006): the distribution of the roulette, without its running sums, in time m, which
 * also serves single elements, whose error is |w - q| / |w|. Where p_i = 0 the last ones are taken first, as the program's
 * roulette does when no sum reaches its draw.
 *
 * The step itself is the mask of the sites (quantizer.h): quantized rows by the quantizer's rule, the others plainly. Masks are
 * set from before_forward to after_step alone. So evaluations and re-estimated statistics are of the network with everything
 * quantized, which is what the saved files are; that of the mixed network, which the authors' program reports in stages below
 * 1, is measured once, at such a stage's end, with statistics of its own. */
#include "train/trainer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SCHEDULE_EXP, SCHEDULE_AVE, SCHEDULE_TUNE };
enum { EPOCHS_SPLIT, EPOCHS_EACH };
enum { SELECT_ROWS, SELECT_ELEMENTS };
enum { PARTITION_STOCHASTIC, PARTITION_DETERMINISTIC, PARTITION_FIXED };
enum { ODDS_LINEAR, ODDS_CONSTANT, ODDS_SOFTMAX, ODDS_SIGMOID };
enum { RULE_PAPER, RULE_CODE };

enum { MEASURE_IMAGES = 12800 }; /* for the statistics of a mixed network */

typedef struct sq_params {
    crumb_list ratios;
    int schedule, epochs, select, partition, probability, rule;
} sq_params;

static const sq_params *params_of(const crumb_strategy_run *run) {
    return (const sq_params *)(const void *)run->params;
}

/* ---- The timeline. */

static crumb_list ratios_of(const sq_params *params) {
    static const crumb_list exponential = {4, {0.5, 0.75, 0.875, 1}}, even = {5, {0.2, 0.4, 0.6, 0.8, 1}};
    return params->ratios.count > 0 ? params->ratios : params->schedule == SCHEDULE_AVE ? even : exponential;
}

/* The first phase with quantized weights; those behind it quantize everything anyway. */
static int first_with_weights(const crumb_timeline *timeline) {
    int at = 0;
    while (at < timeline->phases && !crumb_phase_has_weights(&timeline->phase[at])) {
        at++;
    }
    return at;
}

static crumb_status check(crumb_ctx *ctx, const sq_params *params, const crumb_timeline *timeline, int at) {
    const crumb_list ratios = ratios_of(params);
    if (at == timeline->phases) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "no phase quantizes weights: the recipe's quantize.weights is none");
    }
    const crumb_phase *phase = &timeline->phase[at];
    if (ratios.at[ratios.count - 1] != 1) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "ratios: the last one is %g, but the last stage quantizes everything: 1",
                          ratios.at[ratios.count - 1]);
    }
    if (params->epochs == EPOCHS_SPLIT && phase->epochs < ratios.count) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%lld epochs are too few for %d stages; epochs: each gives them to each",
                          (long long)phase->epochs, ratios.count);
    }
    if (params->schedule == SCHEDULE_TUNE && at == 0 && !timeline->trained) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "schedule: tune starts from trained weights: model.init names none");
    }
    return CRUMB_OK;
}

static crumb_status rewrite(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline) {
    const sq_params *params = params_of(run);
    const crumb_list ratios = ratios_of(params);
    int at = first_with_weights(timeline), stages = ratios.count;
    CRUMB_TRY(check(ctx, params, timeline, at));
    int64_t epochs = timeline->phase[at].epochs;
    CRUMB_TRY(crumb_timeline_repeat(ctx, timeline, at, stages));
    for (int i = 0; i < stages; i++) {
        crumb_phase *phase = &timeline->phase[at + i];
        if (params->epochs == EPOCHS_SPLIT) { /* what does not divide goes to the last stages */
            phase->epochs = epochs / stages + (i >= stages - (int)(epochs % stages));
        }
        phase->tag[run->index] = i + 1;
        crumb_phase_name(phase, "sq-%g", 100 * ratios.at[i]);
        if (ratios.at[i] < 1) {
            crumb_phase_note(phase, "%g %% of the %s quantized", 100 * ratios.at[i],
                             params->select == SELECT_ROWS ? "rows" : "weights");
        }
    }
    return CRUMB_OK;
}

/* ---- The choice. */

static double odds(int probability, double x) {
    switch (probability) {
    case ODDS_LINEAR:
        return log(x);
    case ODDS_SOFTMAX:
        return x;
    case ODDS_SIGMOID:
        return -log1p(exp(-x));
    default:
        return 0;
    }
}

/* -log(-log u): Gumbel's distribution. */
static double gumbel(crumb_rng *rng) {
    double u = ((double)(crumb_rng_u64(rng) >> 11) + 0.5) * 0x1p-53;
    return -log(-log(u));
}

/* Errors into scores, the highest of which are chosen: to be quantized (paper) or to stay in float (code). */
static void score(const sq_params *params, double *e, int64_t units, crumb_rng *rng) {
    for (int64_t i = 0; i < units; i++) {
        double x = params->rule == RULE_PAPER ? 1 / (e[i] + 1e-7) : e[i];
        e[i] = params->partition == PARTITION_DETERMINISTIC ? x : odds(params->probability, x) + gumbel(rng);
    }
}

/* The k-th highest of v, 1 <= k <= count; v is rearranged (Hoare's FIND). */
static double kth_highest(double *v, int64_t count, int64_t k) {
    for (int64_t first = 0, last = count - 1; first < last;) {
        double pivot = v[first + (last - first) / 2];
        int64_t i = first, j = last;
        while (i <= j) {
            while (v[i] > pivot) {
                i++;
            }
            while (v[j] < pivot) {
                j--;
            }
            if (i <= j) {
                double swap = v[i];
                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        if (k - 1 <= j) {
            last = j;
        } else if (k - 1 >= i) {
            first = i;
        } else {
            break;
        }
    }
    return v[k - 1];
}

/* mask = chosen for the k highest scores, else !chosen. Among equal ones the last come first. */
static void choose(uint8_t *mask, const double *scores, double *work, int64_t units, int64_t k, bool chosen) {
    memset(mask, !chosen, (size_t)units);
    if (k == 0) {
        return;
    }
    memcpy(work, scores, (size_t)units * sizeof(*work));
    double edge = kth_highest(work, units, k);
    for (int64_t i = 0; i < units; i++) {
        if (scores[i] > edge) {
            mask[i] = chosen;
            k--;
        }
    }
    for (int64_t i = units - 1; i >= 0 && k > 0; i--) {
        if (scores[i] == edge) {
            mask[i] = chosen;
            k--;
        }
    }
}

/* |w - q| / |w| over `size` elements. */
static double error(const float *w, const float *q, int64_t size) {
    double difference = 0, sum = 0;
    for (int64_t i = 0; i < size; i++) {
        difference += fabs((double)w[i] - (double)q[i]);
        sum += fabs((double)w[i]);
    }
    double e = sum > 0 ? difference / sum : 0;
    return e <= DBL_MAX ? e : DBL_MAX; /* weights that are no numbers: the loss will tell */
}

/* Fills a site's mask for a ratio. */
static crumb_status draw(crumb_strategy_run *run, crumb_trainer *trainer, int node, double ratio, uint8_t *mask) {
    const sq_params *params = params_of(run);
    crumb_quant_call call = crumb_node_call(trainer->network, node);
    int64_t units = params->select == SELECT_ROWS ? call.site->channels : call.count, size = call.count / units;
    double *scores =
        crumb_strategy_scratch(trainer->ctx, run, 2 * (size_t)units * sizeof(double) + (size_t)call.count * sizeof(float));
    if (scores == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    float *quantized = (float *)(void *)(scores + 2 * units);
    crumb_graph_fake(trainer->network, node, quantized);
    for (int64_t i = 0; i < units; i++) {
        scores[i] = error(call.x + i * size, quantized + i * size, size);
    }
    uint64_t stream = (uint64_t)(run->index + 1) << 32 | (uint64_t)node;
    crumb_rng rng = crumb_rng_at((uint64_t)trainer->recipe->train.seed, stream, (uint64_t)trainer->total_step);
    score(params, scores, units, &rng);
    int64_t floats = (int64_t)floor((1 - ratio) * (double)units + 1e-6); /* 0.8 is no binary fraction: (1 - 0.8) 10 is 2 */
    bool paper = params->rule == RULE_PAPER;
    choose(mask, scores, scores + units, units, paper ? units - floats : floats, paper);
    return CRUMB_OK;
}

/* ---- The hooks. */

/* The ratio of the trainer's phase, 1 where everything is quantized. */
static double ratio_of(const crumb_strategy_run *run, const crumb_trainer *trainer) {
    int stage = trainer->timeline->phase[trainer->phase].tag[run->index];
    return stage > 0 ? ratios_of(params_of(run)).at[stage - 1] : 1;
}

/* The mask of a site: bytes in a named buffer, which a checkpoint keeps. */
static uint8_t *mask_of(crumb_strategy_run *run, crumb_trainer *trainer, int node) {
    const crumb_node *n = &trainer->network->node[node];
    char name[CRUMB_NAME_MAX + 16];
    int64_t bytes = params_of(run)->select == SELECT_ROWS ? crumb_node_weight_site(trainer->network, node)->channels
                                                          : crumb_shape_count(trainer->network->value[n->input[0]].shape);
    snprintf(name, sizeof(name), "mask.%s", n->name);
    return (uint8_t *)crumb_strategy_tensor(trainer->ctx, run, name, (bytes + 3) / 4);
}

/* Masks for the step to come; `anew`: drawn, else those that there are. */
static crumb_status set_masks(crumb_strategy_run *run, crumb_trainer *trainer, bool anew) {
    double ratio = ratio_of(run, trainer);
    for (int i = 0; ratio < 1 && i < trainer->network->nodes; i++) {
        crumb_quant *site = crumb_node_weight_site(trainer->network, i);
        if (site == NULL) {
            continue;
        }
        uint8_t *mask = mask_of(run, trainer, i);
        if (mask == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        if (anew) {
            CRUMB_TRY(draw(run, trainer, i, ratio, mask));
        }
        site->mask = mask;
        site->mask_elements = params_of(run)->select == SELECT_ELEMENTS;
    }
    return CRUMB_OK;
}

static crumb_status clear_masks(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    for (int i = 0; i < trainer->network->nodes; i++) {
        crumb_quant *site = crumb_node_weight_site(trainer->network, i);
        if (site != NULL) {
            site->mask = NULL;
        }
    }
    return CRUMB_OK;
}

/* A fixed partition is drawn here, once a stage. */
static crumb_status begin_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    if (params_of(run)->partition == PARTITION_FIXED) {
        CRUMB_TRY(set_masks(run, trainer, true));
    }
    return clear_masks(run, trainer);
}

static crumb_status before_forward(crumb_strategy_run *run, crumb_trainer *trainer) {
    return set_masks(run, trainer, params_of(run)->partition != PARTITION_FIXED);
}

/* The accuracy of the mixed network that the stage trained, of one partition with its own batch-norm statistics: the running
 * ones are a mean over many partitions and fit none (35 % instead of 79 % in training, ResNet-20 at 1 bit). */
static crumb_status end_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    crumb_evaluation evaluation;
    if (ratio_of(run, trainer) == 1) {
        return CRUMB_OK;
    }
    CRUMB_TRY(before_forward(run, trainer));
    crumb_status status = crumb_trainer_measure(trainer, MEASURE_IMAGES, &evaluation);
    clear_masks(run, trainer);
    return status == CRUMB_OK ? crumb_trainer_report(trainer, evaluation.top1, "sq.%g_mixed_top1", 100 * ratio_of(run, trainer))
                              : status;
}

#define CHOICE(member, default, words, text)                                                                                   \
    { #member, CRUMB_PARAM_CHOICE, offsetof(sq_params, member), default, 0, 0, words, text }

static const crumb_param table[] = {
    CHOICE(schedule, "exp", "exp|ave|tune", "ratios 50, 75, 87.5, 100 %; 20, 40 .. 100 %; tune: as exp, from trained weights"),
    {"ratios", CRUMB_PARAM_LIST, offsetof(sq_params, ratios), "[]", 0, 1, NULL,
     "own ratios in place of the schedule's, one a stage, the last one 1; [1, 1, 1, 1] is the control with its restarts"},
    CHOICE(epochs, "split", "split|each", "the stages share the phase's epochs, or each stage has as many"),
    CHOICE(select, "rows", "rows|elements", "what is chosen: output channels or single weights"),
    CHOICE(partition, "stochastic", "stochastic|deterministic|fixed",
           "drawn each step; the least errors each step; drawn once a stage"),
    CHOICE(probability, "linear", "linear|constant|softmax|sigmoid", "of the inverse error (rule code: of the error)"),
    CHOICE(rule, "paper", "paper|code", "draw what is quantized, or what stays in float"),
    {0},
};

const crumb_strategy crumb_strategy_sq = {
    .name = "sq",
    .doc = "stochastic quantization: a growing random part of each layer is quantized",
    .about =
        "The first phase with quantized weights becomes one stage a ratio. A stage starts the learning rate and the momentum "
        "anew and takes over weights and statistics. Each step quantizes that part of the rows of every quantized layer and "
        "leaves the others in float. Accuracies in the log are of the network with everything quantized; that of the mixed "
        "network is reported at the end of a stage (sq.50_mixed_top1).",
    .source = "Dong et al., Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization, arXiv 1708.01001",
    .params = table,
    .params_size = sizeof(sq_params),
    .rewrite = rewrite,
    .begin_phase = begin_phase,
    .before_forward = before_forward,
    .after_step = clear_masks,
    .end_phase = end_phase,
};
