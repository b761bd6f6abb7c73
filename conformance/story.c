/* SPDX-License-Identifier: Apache-2.0
 * story.c - opens a story, walks its steps, and makes the verdict. */
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <stdio.h>
#include <string.h>

static const uint64_t default_timeout_ns = UINT64_C(10000000000);

/* ---- names: captures first, then what the world knows ---- */
static bool lookup(const void *ctx, const char *name, uint64_t *out)
{
    Story *s = (Story *)ctx; /* Names is const for its users; captures are guarded by the story's lock */
    STORY_LOCK(s);
    const Capture *c = story_captured(s, name);
    bool has = c && c->values.n;
    if (has) {
        *out = c->values.items[c->values.n - 1];
    }
    STORY_UNLOCK(s);
    return has || world_symbol(s->w, name, out);
}

const Capture *story_captured(const Story *s, const char *name)
{
    for (size_t i = 0; i < s->captures.n; i++) {
        if (strcmp(s->captures.items[i].name, name) == 0) {
            return &s->captures.items[i];
        }
    }
    return NULL;
}

void story_capture(Story *s, const CapturedList *got)
{
    for (size_t i = 0; i < got->n; i++) {
        Capture *c = (Capture *)story_captured(s, got->items[i].name);
        if (!c) { /* a script's matcher may go away: the name is kept */
            VEC_PUSH(&s->captures, (Capture){.name = x_strdup(got->items[i].name)});
            c = &s->captures.items[s->captures.n - 1];
        }
        if (c->values.n < EXITS_MAX) {
            VEC_PUSH(&c->values, got->items[i].value);
        }
    }
}

int story_eval(Story *s, const Value *v, uint64_t *out, Err *err)
{
    return value_eval(v, &s->names, out, err);
}

MatchCtx story_match_ctx(Story *s, Buf *why)
{
    return (MatchCtx){.names = &s->names, .w = s->w, .why = why};
}

/* ---- threads ---- */
typedef struct {
    StoryVcpu *sv;
    VcpuCall *fn;
    void *ctx;
    Err *err;
    int rc;
} Call;

static void call_main(void *arg)
{
    Call *c = arg;
    c->rc = c->fn(c->sv, c->ctx, c->err);
}

int story_on_owner(StoryVcpu *sv, VcpuCall *fn, void *ctx, Err *err)
{
    if (!sv->actor || actor_is_self(sv->actor)) {
        return fn(sv, ctx, err);
    }
    bool is_running = sv->v && strcmp(sv->story->model->states[vcpu_state(sv->v)], "Running") == 0;
    if (is_running && !actor_is_idle(sv->actor)) {
        return fn(sv, ctx, err);
    }
    Call call = {sv, fn, ctx, err, 0};
    actor_post(sv->actor, call_main, &call);
    actor_wait(sv->actor, UINT64_MAX);
    return call.rc;
}

typedef struct {
    StoryVcpuFn *fn;
    void *ctx;
} ScriptCall;

static int script_call_main(StoryVcpu *sv, void *ctx, Err *err)
{
    ScriptCall *call = ctx;
    return sv->v ? call->fn(sv->v, call->ctx, err)
                 : err_set(err, ERR_NOENT, "vcpu %s is not there (yet, or any more)", sv->decl->name);
}

int story_on_vcpu(Story *s, unsigned index, StoryVcpuFn *fn, void *ctx, Err *err)
{
    if (index >= s->c->nvcpus) {
        return err_set(err, ERR_NOENT, "there is no vcpu %u", index);
    }
    STORY_LOCK(s);
    s->vcpus[index].end_pos = (Pos){0}; /* it may set pc */
    STORY_UNLOCK(s);
    return story_on_owner(&s->vcpus[index], script_call_main, &(ScriptCall){fn, ctx}, err);
}

StoryVcpu *story_target(Story *s, int vcpu)
{
    return &s->vcpus[vcpu < 0 || (size_t)vcpu >= s->c->nvcpus ? 0 : (size_t)vcpu];
}

void story_kick_all(Story *s)
{
    STORY_LOCK(s);
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        if (s->vcpus[i].v) {
            vcpu_kick(s->vcpus[i].v);
        }
    }
    STORY_UNLOCK(s);
}

void story_stop(Story *s)
{
    atomic_store(&s->is_stopping, true);
    story_kick_all(s);
}

void story_interrupt(Story *s, const char *why)
{
    STORY_LOCK(s);
    snprintf(s->interrupt_why, sizeof s->interrupt_why, "%s", why);
    STORY_UNLOCK(s);
    atomic_store(&s->is_interrupted, true);
    story_kick_all(s);
}

/* ---- the watch: kicks at a deadline where the backend has none of its own ---- */
static void *watch_main(void *arg)
{
    Story *s = arg;
    pthread_mutex_lock(&s->watch_lock);
    while (!s->watch_ends) {
        uint64_t until = s->watch_until_ns;
        struct timespec t = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
        if (until == UINT64_MAX) {
            pthread_cond_wait(&s->watch_changed, &s->watch_lock);
        } else {
            pthread_cond_timedwait(&s->watch_changed, &s->watch_lock, &t);
        }
        if (!s->watch_ends && s->watch_until_ns != UINT64_MAX && os_now_ns() >= s->watch_until_ns) {
            s->watch_until_ns += 100000000; /* again, should the first have come between two entries */
            pthread_mutex_unlock(&s->watch_lock);
            story_kick_all(s);
            pthread_mutex_lock(&s->watch_lock);
        }
    }
    pthread_mutex_unlock(&s->watch_lock);
    return NULL;
}

void story_watch(Story *s, uint64_t until_ns)
{
    if (!s->has_watch) {
        return;
    }
    pthread_mutex_lock(&s->watch_lock);
    s->watch_until_ns = until_ns;
    pthread_cond_signal(&s->watch_changed);
    pthread_mutex_unlock(&s->watch_lock);
}

static int watch_start(Story *s, Err *err)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&s->watch_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->watch_changed, &attr);
    pthread_condattr_destroy(&attr);
    s->watch_until_ns = UINT64_MAX;
    if (s->caps->level[CAP_deadline] >= CAP_PARTIAL) {
        return 0;
    }
    int rc = pthread_create(&s->watch, NULL, watch_main, s);
    s->has_watch = rc == 0;
    return rc ? err_native(err, ERR_HOST, rc, "cannot start a thread for the time limit") : 0;
}

static void watch_stop(Story *s)
{
    if (s->has_watch) {
        pthread_mutex_lock(&s->watch_lock);
        s->watch_ends = true;
        pthread_cond_signal(&s->watch_changed);
        pthread_mutex_unlock(&s->watch_lock);
        pthread_join(s->watch, NULL);
        s->has_watch = false;
    }
    pthread_cond_destroy(&s->watch_changed);
    pthread_mutex_destroy(&s->watch_lock);
}

/* ---- verdicts ---- */
bool story_is_over(Story *s)
{
    return atomic_load(&s->is_over);
}

bool story_failed(const Story *s)
{
    return s->is_trial ? s->trial_failed : s->is_failed || s->is_error;
}

static void verdict(Story *s, bool *flag, Pos pos, const char *reason, const Buf *body)
{
    STORY_LOCK(s);
    if (!atomic_load(&s->is_over)) {
        *flag = true;
        buf_str(&s->r->reason, reason);
        s->r->fail_pos = pos;
        if (body && body->n) {
            buf_bytes(&s->r->failure, body->data, body->n);
        } else {
            text_source_line(s, &s->r->failure, pos, '!');
            buf_printf(&s->r->failure, "      | %s\n", reason);
        }
        atomic_store(&s->is_over, true);
    }
    STORY_UNLOCK(s);
}

void story_verdict_fail(Story *s, Pos pos, const char *reason, const Buf *body)
{
    STORY_LOCK(s);
    bool is_trial = s->is_trial;
    if (is_trial && !s->trial_failed) {
        s->trial_failed = true;
        s->trial_pos = pos;
        buf_str(&s->trial_text, reason);
        atomic_store(&s->is_over, true);
    }
    STORY_UNLOCK(s);
    if (!is_trial) {
        verdict(s, &s->is_failed, pos, reason, body);
    }
}

void story_verdict_error(Story *s, Pos pos, const char *reason, const Buf *body)
{
    verdict(s, &s->is_error, pos, reason, body);
}

void story_verdict_rc(Story *s, Pos pos, const char *what, int rc, const Err *err)
{
    Buf reason = {0};
    bool is_dead = rc == -ERR_IO || rc == -ERR_PROTO;
    bool is_host = is_dead || rc == -ERR_HOST || rc == -ERR_NOMEM || rc == -ERR_TIMEOUT || rc == -ERR_THREAD;
    buf_printf(&reason, "%s%s: %s", is_dead ? "backend died: " : "", what, err->text[0] ? err->text : err_sentence(rc));
    if (is_host) {
        story_verdict_error(s, pos, buf_text(&reason), NULL);
    } else {
        story_verdict_fail(s, pos, buf_text(&reason), NULL);
    }
    buf_free(&reason);
}

void story_fail(Story *s, Pos pos, const char *text)
{
    s->nchecked++;
    story_verdict_fail(s, pos, text, NULL);
}

void story_skip(Story *s, const char *reason)
{
    verdict(s, &s->is_skipped, (Pos){0}, reason, NULL);
    if (s->is_skipped) {
        buf_clear(&s->r->failure);
    }
}

bool story_skip_unmet(Story *s, const Err *err)
{
    for (int cap = 0; err->code == ERR_UNSUPPORTED && cap < CAP_COUNT; cap++) {
        if (!strcmp(err->feature, cap_name((Cap)cap)) && s->caps->level[cap] < CAP_PARTIAL) {
            Buf reason = {0};
            buf_printf(&reason, "needs %s (its script uses it): %s: %s", err->feature, s->b->name,
                       s->caps->why[cap] ? s->caps->why[cap] : cap_level_name(s->caps->level[cap]));
            story_skip(s, buf_text(&reason));
            buf_free(&reason);
            return true;
        }
    }
    return false;
}

void story_checked(Story *s)
{
    s->nchecked++;
}

void story_trial_begin(Story *s)
{
    s->is_trial = !atomic_load(&s->is_over);
    s->trial_failed = false;
    buf_clear(&s->trial_text);
}

bool story_trial_end(Story *s, Pos *pos, Buf *why)
{
    bool failed = s->is_trial && s->trial_failed;
    if (failed) {
        if (why) {
            buf_str(why, buf_text(&s->trial_text));
        }
        if (pos) {
            *pos = s->trial_pos;
        }
        atomic_store(&s->is_over, false);
    }
    s->is_trial = s->trial_failed = false;
    return failed;
}

/* ---- what scripts ask ---- */
uint64_t story_timeout_ns(const Story *s)
{
    return s->o.timeout_ns;
}

const Case *story_case(const Story *s)
{
    return s->c;
}

uint64_t story_seed(const Story *s)
{
    return s->o.seed;
}

const char *story_backend(const Story *s)
{
    return s->b->name;
}

const World *story_world(const Story *s)
{
    return s->w;
}

Vm *story_vm(Story *s)
{
    return s->vm;
}

Vcpu *story_vcpu(Story *s, unsigned index)
{
    return index < s->c->nvcpus ? s->vcpus[index].v : NULL;
}

const VmExit *story_exits(const Story *s, size_t *n)
{
    *n = s->exits.n;
    return s->exits.items;
}

const Names *story_names(Story *s)
{
    return &s->names;
}

bool story_match(Story *s, const Matcher *m, uint64_t value, unsigned size_bytes, Buf *why)
{
    CapturedList got = {0};
    MatchCtx x = story_match_ctx(s, why);
    x.got = &got;
    STORY_LOCK(s);
    bool ok = match_int(&x, m, value, size_bytes, false);
    if (ok) {
        story_capture(s, &got);
    }
    s->nchecked++;
    STORY_UNLOCK(s);
    VEC_FREE(&got);
    return ok;
}

/* ---- open and close ---- */
static bool runs_on_its_own(const Step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (steps[i].kind == STEP_op && steps[i].word &&
            (!strcmp(steps[i].word, "execute") || !strcmp(steps[i].word, "resume"))) {
            return true;
        }
    }
    return false;
}

static bool needs_actors(const Case *c)
{
    return c->nvcpus > 1 || (c->lifecycle == &life_virtualcpu &&
                             (c->script || c->lua_function >= 0 || runs_on_its_own(c->steps, c->nsteps)));
}

/* insns of a check needs the count from the first entry on. */
static uint32_t story_want(const Case *c, const Caps *caps)
{
    bool has = c->script || c->lua_function >= 0 || (c->expect && c->expect->insns);
    for (size_t i = 0; i < c->nsteps; i++) {
        has |= c->steps[i].kind == STEP_check && c->steps[i].check && c->steps[i].check->insns;
    }
    return has && caps->level[CAP_insn_count] >= CAP_PARTIAL ? HAS_insns : 0;
}

static Story *story_alloc(const Case *c, const World *w, const Backend *b, const Caps *caps)
{
    Story *s = x_alloc(sizeof *s);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    s->c = c;
    s->w = w;
    s->b = b;
    s->caps = caps;
    s->model = c->lifecycle ? c->lifecycle : &life_virtualcpu;
    s->names = (Names){.ctx = s, .lookup = lookup};
    s->vcpus = x_calloc(c->nvcpus, sizeof *s->vcpus);
    for (size_t i = 0; i < c->nvcpus; i++) {
        s->vcpus[i].story = s;
        s->vcpus[i].decl = &c->vcpus[i];
        s->vcpus[i].index = (unsigned)i;
    }
    return s;
}

int story_open(const Case *c, const World *w, const Backend *b, const Caps *caps, const StoryOptions *o, Result *into,
               Story **out, Err *err)
{
    Story *s = story_alloc(c, w, b, caps);
    s->o = *o;
    s->r = into;
    s->started_ns = os_now_ns();
    s->deadline_ns = s->started_ns + (o->timeout_ns ? o->timeout_ns : default_timeout_ns);
    s->want = story_want(c, caps) | (o->is_verbose || o->is_bless ? HAS_pc_before | HAS_pc_after : 0);
    s->has_actors = needs_actors(c);
    if (!into->arena) {
        into->arena = arena_new();
    }
    int rc = watch_start(s, err);
    for (size_t i = 0; i < c->nvcpus && rc == 0 && s->has_actors; i++) {
        rc = actor_new(&s->vcpus[i].actor, err);
    }
    rc = rc ? rc : story_vm_make(s, err);
    if (rc) {
        story_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* The VM goes before the actors, so that a run that is still under way comes out. After it no other thread adds to the story. */
static void leave(Story *s)
{
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        story_async_settle(&s->vcpus[i]);
    }
    story_vm_drop(s);
    watch_stop(s);
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        actor_free(s->vcpus[i].actor);
        s->vcpus[i].actor = NULL;
    }
}

static void story_free(Story *s)
{
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        VEC_FREE(&s->vcpus[i].states);
        VEC_FREE(&s->vcpus[i].completed);
    }
    for (size_t i = 0; i < s->captures.n; i++) {
        mem_free((char *)s->captures.items[i].name);
        VEC_FREE(&s->captures.items[i].values);
    }
    VEC_FREE(&s->captures);
    VEC_FREE(&s->exits);
    saves_free(s);
    trace_free(&s->trace);
    buf_free(&s->console);
    buf_free(&s->typed);
    buf_free(&s->source);
    buf_free(&s->trial_text);
    mem_free(s->ram_ids);
    mem_free(s->vcpus);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

void story_close(Story *s)
{
    if (s) {
        leave(s);
        story_free(s);
    }
}

/* ---- a whole case ---- */
static void run_script(Story *s)
{
    Err err = {0};
    if (!s->o.script) {
        story_verdict_error(s, s->c->script_pos, "built without Lua", NULL);
        return;
    }
    int rc = s->o.script(s->o.script_ctx, s, &err);
    if (rc) {
        story_verdict_rc(s, s->c->script_pos, "script", rc, &err);
    } else if (s->nchecked == 0 && !story_is_over(s)) {
        story_verdict_error(s, s->c->script_pos, "the script ended without an expectation", NULL);
    }
}

static void check_edges(Story *s)
{
    for (size_t i = 0; i < s->c->nvcpus && !story_is_over(s); i++) {
        const StoryVcpu *sv = &s->vcpus[i];
        Buf text = {0};
        STORY_LOCK(s);
        if (sv->is_bad) {
            buf_printf(&text, "vcpu %s went from %s to %s, which %s does not have", sv->decl->name,
                       s->model->states[sv->bad_from], s->model->states[sv->bad_to], s->model->name);
        }
        STORY_UNLOCK(s);
        if (text.n) {
            story_verdict_fail(s, s->c->pos, buf_text(&text), NULL);
        }
        buf_free(&text);
    }
}

static void end_runs(Story *s)
{
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        Err err = {0};
        if (story_async_end(&s->vcpus[i], true, &err) && !story_is_over(s)) {
            story_verdict_error(s, s->c->pos, err.text, NULL);
        }
    }
}

static void play_all(Story *s)
{
    Err err = {0};
    if (s->c->script || s->c->lua_function >= 0) {
        run_script(s);
    } else {
        (void)!story_steps(s, s->c->steps, s->c->nsteps, NULL, &err); /* its verdict is made */
    }
    if (!story_is_over(s) && s->c->expect) {
        int rc = step_check(s, s->c->expect, -1, &err);
        if (rc) {
            story_verdict_rc(s, s->c->expect->pos, "expect", rc, &err);
        }
    }
    end_runs(s);
    check_edges(s);
}

/* A gap that a probe has shown, or that is known, turns the verdict around. */
static void apply_xfail(const Case *c, const Backend *b, const StoryOptions *o, Result *r)
{
    const Xfail *x = c->xfail;
    bool holds = x && (!x->backend || story_names_backend(x->backend, b->name)) &&
                 (!x->probe || !o->probe || !o->probe(o->probe_ctx, x->probe, b->name));
    if (holds && r->status == STATUS_failed) {
        r->status = STATUS_xfailed;
    } else if (holds && r->status == STATUS_passed) {
        r->status = STATUS_xpassed;
        buf_printf(&r->reason, "passed, but is marked xfail: %s", x->reason);
        r->fail_pos = x->pos;
    }
}

static void conclude(Story *s)
{
    Result *r = s->r;
    r->status = s->is_error     ? STATUS_error
                : s->is_skipped ? STATUS_skipped
                : s->is_failed  ? STATUS_failed
                                : STATUS_passed;
    if (r->status == STATUS_failed || r->status == STATUS_error || s->o.is_verbose || s->o.is_bless) {
        trace_finish(s);
    }
}

void story_run(const Case *c, const World *w, const Backend *b, const Caps *caps, const StoryOptions *o, Result *out)
{
    Story *s = NULL;
    Err err = {0};
    uint64_t start = os_now_ns();
    out->c = c;
    out->backend = b->name;
    out->seed = o->seed;
    if (story_unmet(c, b, caps, &out->reason) || story_code_unmet(w, b, caps, &out->reason)) {
        out->status = STATUS_skipped;
        return;
    }
    int rc = story_open(c, w, b, caps, o, out, &s, &err);
    if (rc) {
        /* A world that the backend says it cannot make is a need that it does not meet. */
        out->status = rc == -ERR_UNSUPPORTED ? STATUS_skipped : STATUS_error;
        buf_str(&out->reason, err.text);
        if (out->status == STATUS_error) {
            buf_printf(&out->failure, "      | %s\n", err.text);
            out->fail_pos = c->pos;
        }
    } else {
        play_all(s);
        leave(s); /* a run that did not end in time may still have something to say */
        conclude(s);
        story_free(s);
    }
    apply_xfail(c, b, o, out);
    out->duration_ns = os_now_ns() - start;
}
