/* Running a plan. A session has a team of threads and one or more lanes. A lane is the memory of a stack of images on their way
 * through the network. With several images at hand every thread takes some through all steps in a lane of its own, and needs to
 * wait for nobody; a single image is shared: the rows or channels of each step are divided, with a barrier in between. */
#include "runtime/session.h"

#include "runtime/plan.h"
#include "runtime/share.h"
#include "runtime/team.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 1024 };

typedef struct lane {
    uint8_t *arena;
    crumb_link *link;   /* the plan's, with places in this arena */
    crumb_chain *chain; /* of each step */
    double *seconds;    /* of each step */
} lane;

/* One call of run. */
typedef struct job {
    const float *reals;
    const uint8_t *pixels;
    int64_t count;
    float *logits;
    int64_t piece;     /* images that a lane takes at a time */
    atomic_llong next; /* image that no thread has taken yet */
    bool shared;       /* one lane, all threads */
} job;

struct crumb_session {
    crumb_ctx *ctx;
    const crumb_plan *plan;
    crumb_team *team;
    int threads, lanes;
    int32_t room; /* images of a lane */
    bool profile;
    lane *lane;
    uint8_t *memory; /* lanes, then each thread's scratch */
    bool owned;
    job job;
};

/* ---- Sizes. */

typedef struct sizes {
    int threads, lanes;
    int32_t room;
    size_t lane, bytes;
} sizes;

/* Images at a time when the caller does not say: as many as keep activations in a second-level cache of 1 MiB, up to 16. */
static int32_t usual_room(const crumb_plan *plan) {
    size_t images = plan->arena > 0 ? ((size_t)1 << 19) / plan->arena : 16;
    return images < 1 ? 1 : images > 16 ? 16 : (int32_t)images;
}

static sizes sizes_of(const crumb_plan *plan, const crumb_session_options *options) {
    static const crumb_session_options none;
    const crumb_session_options *o = options != NULL ? options : &none;
    sizes s = {.threads = o->threads > 0 ? o->threads : crumb_threads(plan->ctx)};
    s.threads = s.threads < THREADS_MAX ? s.threads : THREADS_MAX;
    int32_t batch = o->batch > 0 ? o->batch : usual_room(plan) * s.threads;
    s.lanes = batch >= s.threads ? s.threads : 1;
    s.room = batch / s.lanes;
    s.lane = plan->arena * (size_t)s.room;
    s.bytes = s.lane * (size_t)s.lanes + plan->scratch * (size_t)s.threads;
    return s;
}

size_t crumb_session_workspace(const crumb_plan *plan, const crumb_session_options *options) {
    return sizes_of(plan, options).bytes;
}

/* ---- Making one. */

static void bind_lane(const crumb_session *session, lane *to) {
    const crumb_plan *plan = session->plan;
    for (int32_t i = 0; i < plan->links; i++) {
        to->link[i] = plan->link[i];
        if (plan->link[i].buffer >= 0) {
            to->link[i].base = crumb_buffer_at(plan, to->arena, session->room, plan->link[i].buffer);
        }
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = &plan->step[i];
        to->chain[i] = (crumb_chain){.link = to->link + step->first,
                                     .links = step->links,
                                     .height = step->height,
                                     .width = step->width,
                                     .channels = step->channels};
        for (int32_t k = 0; k < step->links; k++) {
            to->chain[i].steps = to->chain[i].steps || to->chain[i].link[k].step != 1;
        }
        to->chain[i].pattern = crumb_chain_find(&to->chain[i]);
    }
}

static crumb_status make_lanes(crumb_session *session, size_t bytes) {
    const crumb_plan *plan = session->plan;
    session->lane = crumb_alloc(session->ctx, (size_t)session->lanes, sizeof(*session->lane));
    for (int i = 0; i < session->lanes && session->lane != NULL; i++) {
        lane *to = &session->lane[i];
        to->arena = session->memory + bytes * (size_t)i;
        to->link = crumb_alloc(session->ctx, (size_t)plan->links, sizeof(*to->link));
        to->chain = crumb_alloc(session->ctx, (size_t)plan->steps, sizeof(*to->chain));
        to->seconds = crumb_alloc(session->ctx, (size_t)plan->steps, sizeof(*to->seconds));
        if (to->link == NULL || to->chain == NULL || to->seconds == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        bind_lane(session, to);
    }
    return session->lane != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status fill(crumb_session *session, const crumb_session_options *options) {
    if (options != NULL && (options->threads < 0 || options->batch < 0)) {
        return crumb_fail(session->ctx, CRUMB_ERROR_ARGUMENT, "a session of %d threads and a batch of %d", options->threads,
                          options->batch);
    }
    sizes s = sizes_of(session->plan, options);
    session->threads = s.threads;
    session->lanes = s.lanes;
    session->room = s.room;
    session->profile = options != NULL && options->profile;
    session->memory = options != NULL ? options->workspace : NULL;
    if ((uintptr_t)session->memory % 64 != 0) {
        return crumb_fail(session->ctx, CRUMB_ERROR_ARGUMENT, "workspace at %p is not aligned to 64 bytes",
                          (void *)session->memory);
    }
    if (session->memory == NULL) {
        session->owned = true;
        session->memory = crumb_alloc(session->ctx, s.bytes, 1);
    }
    if (session->memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(make_lanes(session, s.lane));
    return crumb_team_create(session->ctx, s.threads, &session->team);
}

crumb_status crumb_session_create(const crumb_plan *plan, const crumb_session_options *options, crumb_session **out) {
    crumb_session *session = crumb_alloc(plan->ctx, 1, sizeof(*session));
    if (session == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    session->ctx = plan->ctx;
    session->plan = plan;
    crumb_status status = fill(session, options);
    if (status != CRUMB_OK) {
        crumb_session_destroy(session);
        return status;
    }
    *out = session;
    return CRUMB_OK;
}

void crumb_session_destroy(crumb_session *session) {
    if (session == NULL) {
        return;
    }
    crumb_team_destroy(session->team);
    for (int i = 0; i < session->lanes && session->lane != NULL; i++) {
        crumb_free(session->ctx, session->lane[i].seconds);
        crumb_free(session->ctx, session->lane[i].chain);
        crumb_free(session->ctx, session->lane[i].link);
    }
    crumb_free(session->ctx, session->lane);
    if (session->owned) {
        crumb_free(session->ctx, session->memory);
    }
    crumb_free(session->ctx, session);
}

/* ---- Running. */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Takes `images` images from the first-th through the network; thread t of `threads` that do so together. */
static void run_piece(crumb_session *session, lane *in, int64_t first, int64_t images, int t, int threads) {
    const crumb_plan *plan = session->plan;
    const job *todo = &session->job;
    const crumb_packed_value *image = &plan->packed->value[0];
    int64_t elements = first * crumb_packed_elements(image);
    int scratch = threads > 1 ? t : (int)(in - session->lane);
    crumb_work work = {.plan = plan,
                       .arena = in->arena,
                       .room = session->room,
                       .images = (int32_t)images,
                       .reals = todo->reals != NULL ? todo->reals + elements : NULL,
                       .pixels = todo->pixels != NULL ? todo->pixels + elements : NULL,
                       .scratch = session->memory + plan->arena * (size_t)session->room * (size_t)session->lanes +
                                  plan->scratch * (size_t)scratch};
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = work.step = &plan->step[i];
        work.chain = &in->chain[i];
        crumb_share mine = crumb_share_of(images * step->height, step->channels, step->conv.channel_step, threads, t);
        double start = session->profile && t == 0 ? now() : 0;
        if (mine.row0 < mine.row1 && mine.o0 < mine.o1) {
            step->source(&work, mine.row0, mine.row1, mine.o0, mine.o1);
        }
        if (threads > 1) {
            crumb_team_barrier(session->team);
        }
        if (session->profile && t == 0) {
            in->seconds[i] += (now() - start) * (threads > 1 ? session->lanes : 1);
        }
    }
    if (t == 0) {
        const uint8_t *logits = crumb_buffer_at(plan, in->arena, session->room, plan->buffer_of[plan->packed->logits]);
        int64_t classes = crumb_packed_elements(&plan->packed->value[plan->packed->logits]);
        memcpy(todo->logits + first * classes, logits, (size_t)(images * classes) * sizeof(float));
    }
}

static void run_thread(void *given, int t) {
    crumb_session *session = given;
    job *todo = &session->job;
    if (!todo->shared) {
        int64_t first;
        while ((first = atomic_fetch_add(&todo->next, todo->piece)) < todo->count) {
            int64_t images = todo->count - first < todo->piece ? todo->count - first : todo->piece;
            run_piece(session, &session->lane[t], first, images, 0, 1);
        }
        return;
    }
    for (int64_t first = 0; first < todo->count; first += todo->piece) {
        int64_t images = todo->count - first < todo->piece ? todo->count - first : todo->piece;
        run_piece(session, &session->lane[0], first, images, t, session->threads);
        crumb_team_barrier(session->team); /* the logits are copied before the next piece overwrites them */
    }
}

static crumb_status run(crumb_session *session, const float *reals, const uint8_t *pixels, int64_t count, float *logits) {
    if (session == NULL || count < 0 || (count > 0 && ((reals == NULL && pixels == NULL) || logits == NULL))) {
        return CRUMB_ERROR_ARGUMENT;
    }
    if (count == 0) {
        return CRUMB_OK;
    }
    job *todo = &session->job;
    int64_t each = (count + session->threads - 1) / session->threads;
    todo->reals = reals;
    todo->pixels = pixels;
    todo->count = count;
    todo->logits = logits;
    todo->shared = session->threads > 1 && (session->lanes == 1 || count < session->threads);
    todo->piece = todo->shared || each > session->room ? session->room : each;
    atomic_store(&todo->next, 0);
    crumb_team_run(session->team, run_thread, session);
    return CRUMB_OK;
}

crumb_status crumb_session_run(crumb_session *session, const float *images, int64_t count, float *logits) {
    return run(session, images, NULL, count, logits);
}

crumb_status crumb_session_run_pixels(crumb_session *session, const uint8_t *pixels, int64_t count, float *logits) {
    return run(session, NULL, pixels, count, logits);
}

/* ---- Looking in. */

double crumb_session_seconds(const crumb_session *session, int index) {
    double seconds = 0;
    for (int32_t i = 0; i < session->plan->steps; i++) {
        int node = session->plan->step[i].node < 0 ? 0 : session->plan->step[i].node; /* the image's is with the first layer */
        for (int l = 0; l < session->lanes && node == index; l++) {
            seconds += session->lane[l].seconds[i];
        }
    }
    return seconds / session->lanes; /* lanes run beside each other */
}

const crumb_packed *crumb_session_packed(const crumb_session *session) {
    return session->plan->packed;
}

crumb_status crumb_plan_create_keeping(crumb_packed *packed, crumb_plan **plan) {
    return crumb_plan_make(packed, true, plan);
}

static const uint8_t *value_at(const crumb_session *session, int32_t value) {
    int32_t buffer = session->plan->buffer_of[value];
    return buffer >= 0 ? crumb_buffer_at(session->plan, session->lane[0].arena, session->room, buffer) : NULL;
}

const float *crumb_session_reals(const crumb_session *session, int32_t value) {
    bool real = session->plan->packed->value[value].codes.levels == 0;
    return real ? (const float *)value_at(session, value) : NULL;
}

const uint8_t *crumb_session_indices(const crumb_session *session, int32_t value) {
    bool real = session->plan->packed->value[value].codes.levels == 0;
    return real ? NULL : value_at(session, value);
}
