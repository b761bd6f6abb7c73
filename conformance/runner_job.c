/* SPDX-License-Identifier: Apache-2.0
 * runner_job.c - one job: is it to be skipped, its world, a worker, the story, and what the worker's end adds to it. */
#include "conformance/runner_int.h"
#include "coverage/collect.h"

#include "sim/base/os.h"

#include <string.h>

static const uint64_t SECOND_NS = 1000000000;
/* After the story's own limit the link gives up on an answer, and after that the watchdog on the whole job. */
enum { LINK_GRACE_S = 1, JOB_GRACE_S = 3, BOOT_FACTOR = 12 /* a whole system takes longer */ };

static uint64_t timeout_of(const RunnerOptions *o, const Case *c)
{
    return o->timeout_ns * (c->boot ? BOOT_FACTOR : 1);
}

static void conclude(Result *r, Status status, const char *reason)
{
    r->status = status;
    buf_clear(&r->reason);
    buf_str(&r->reason, reason);
}

/* A backend that is not here is a reason to skip; one that misbehaves when asked is an error. */
static bool is_absent(const Err *err)
{
    return err->code == ERR_UNAVAILABLE || err->code == ERR_DENIED || err->code == ERR_UNSUPPORTED;
}

/* The job's backend, or the reason why the job does not run: true. */
static bool job_unmet(const Job *job, const PlanBackend *b, Result *out)
{
    const PlanOpen *open = &b->open[job->c->guest];
    if (open->state != OPEN_OK) {
        conclude(out, is_absent(&open->err) ? STATUS_skipped : STATUS_error, open->err.text);
        return true;
    }
    if (story_unmet(job->c, &open->stub, &open->caps, &out->reason)) {
        out->status = STATUS_skipped;
        return true;
    }
    return false;
}

static bool code_unmet(const World *w, const Job *job, const PlanBackend *b, Result *out)
{
    const PlanOpen *open = &b->open[job->c->guest];
    return story_code_unmet(w, &open->stub, &open->caps, &out->reason);
}

static SharedWorld *world_of(Pass *pass, const Job *job)
{
    SharedWorld *shared = &pass->worlds[job->slot];
    pthread_mutex_lock(&shared->lock);
    if (!shared->is_built) {
        shared->rc = world_build(job->c, pass->page_bytes[job->c->guest], &shared->world, &shared->err);
        shared->is_built = true;
    }
    pthread_mutex_unlock(&shared->lock);
    return shared;
}

static void world_leave(Pass *pass, const Job *job)
{
    SharedWorld *shared = &pass->worlds[job->slot];
    if (atomic_fetch_sub(&shared->nleft, 1) == 1) {
        world_free(shared->world);
        shared->world = NULL;
    }
}

typedef struct {
    const Runner *runner;
    const Job *job;
} ProbeCtx;

/* Did no row of that probe show a gap, for the job's suite, guest and backend? One that was never asked shows one; one that
 * ended with an error says nothing. */
static bool probe_passed(void *ctx, const char *name, const char *backend)
{
    (void)backend; /* the job's own: the plan asked only there */
    const ProbeCtx *x = ctx;
    const Plan *p = x->runner->pass->plan;
    bool has_any = false;
    for (size_t i = 0; i < p->probes.n && i < x->runner->answers.n; i++) {
        const Job *probe = &p->probes.items[i];
        if (probe->c->suite == x->job->c->suite && probe->c->guest == x->job->c->guest &&
            probe->backend == x->job->backend && !strcmp(probe->c->name, name)) {
            has_any = true;
            Status answer = x->runner->answers.items[i];
            if (answer != STATUS_passed && answer != STATUS_error) {
                return false;
            }
        }
    }
    return has_any;
}

/* Shows the link to the watchdog; false: the run is stopping. */
static bool slot_begin(Slot *s, RemoteLink *link, uint64_t timeout_ns)
{
    pthread_mutex_lock(&s->lock);
    bool is_wanted = !runner_is_stopping(s->runner);
    if (is_wanted) {
        s->link = link;
        s->is_aborted = false;
        s->deadline_ns = os_now_ns() + timeout_ns + JOB_GRACE_S * SECOND_NS;
    }
    pthread_mutex_unlock(&s->lock);
    return is_wanted;
}

static bool slot_end(Slot *s) /* true: the watchdog gave up on the job */
{
    pthread_mutex_lock(&s->lock);
    s->link = NULL;
    bool was_aborted = s->is_aborted;
    pthread_mutex_unlock(&s->lock);
    return was_aborted;
}

static StoryOptions story_options(Slot *s, ProbeCtx *probe, Result *out)
{
    const RunnerOptions *o = &s->runner->o;
    const RunHooks *hooks = s->runner->pass->hooks;
    return (StoryOptions){.seed = o->seed,
                          .timeout_ns = timeout_of(o, probe->job->c),
                          .is_verbose = o->is_verbose,
                          .is_bless = o->is_bless,
                          .script = hooks->script,
                          .script_ctx = hooks->script_ctx,
                          .probe = probe_passed,
                          .probe_ctx = probe,
                          .coverage = out->coverage};
}

static void play_on(Slot *s, const Job *job, const World *w, const Backend *b, Result *out)
{
    ProbeCtx probe = {.runner = s->runner, .job = job};
    StoryOptions options = story_options(s, &probe, out);
    const PlanOpen *open = &s->runner->pass->plan->backends.items[job->backend].open[job->c->guest];
    story_run(job->c, w, b, &open->caps, &options, out);
}

/* How the peer ended says more than what the story saw of it: it becomes the reason, below what the story shows. */
static void account(const Runner *r, const Case *c, const PeerEnd *end, bool was_aborted, Result *out)
{
    Buf said = {0}, reason = {0};
    if (was_aborted) {
        buf_printf(&said, "no end after %.1f s: the worker was killed",
                   (double)timeout_of(&r->o, c) / 1e9 + JOB_GRACE_S);
    } else if (end->is_crash || end->was_killed) {
        buf_str(&said, end->text);
    }
    if (said.n && out->status != STATUS_error) {
        buf_printf(&said, ", after the story had ended as %s", status_name(out->status));
    }
    if (said.n) {
        buf_printf(&out->failure, "      | %s\n", buf_text(&said));
        /* a death explains what the story saw; a killing does not */
        buf_printf(&reason, "%s%s%s", end->was_killed ? buf_text(&out->reason) : "",
                   end->was_killed && out->reason.n ? "; " : "", buf_text(&said));
        conclude(out, STATUS_error, buf_text(&reason));
    }
    buf_free(&said);
    buf_free(&reason);
}

static void play_isolated(Slot *s, const Job *job, const World *w, Result *out)
{
    const PlanBackend *b = &s->runner->pass->plan->backends.items[job->backend];
    uint64_t timeout_ns = timeout_of(&s->runner->o, job->c), limit = timeout_ns + LINK_GRACE_S * SECOND_NS;
    Peer peer;
    Err err = {0};
    if (peer_open(s, b, job->backend, &peer, &err)) {
        conclude(out, STATUS_error, err.text);
        return;
    }
    remote_limits(peer.link, limit, limit);
    bool was_aborted = false;
    if (slot_begin(s, peer.link, timeout_ns)) {
        play_on(s, job, w, remote_backend(peer.link), out);
        was_aborted = slot_end(s);
    }
    bool is_broken = was_aborted || out->status == STATUS_error;
    PeerEnd end;
    peer_close(s, &peer, is_broken, was_aborted ? 0 : peer_patience_ns(&peer), &end);
    account(s->runner, job->c, &end, was_aborted, out);
}

/* The backend's own universe is asked for until it has come once. */
static CovJob *cover_job(const Slot *s, const Job *job)
{
    CovJob *j = covjob_new(job->c->lifecycle ? job->c->lifecycle : &life_virtualcpu);
    if (!atomic_load(&s->runner->pass->has_items[job->backend * GUEST_COUNT + job->c->guest])) {
        covjob_want_items(j);
    }
    return j;
}

void job_play(Slot *s, const Job *job, Result *out)
{
    Pass *pass = s->runner->pass;
    const PlanBackend *b = &pass->plan->backends.items[job->backend];
    uint64_t start = os_now_ns();
    if (pass->is_coverage) {
        out->coverage = cover_job(s, job);
    }
    if (!job_unmet(job, b, out)) {
        SharedWorld *shared = world_of(pass, job);
        if (shared->rc) {
            conclude(out, STATUS_error, shared->err.text);
        } else if (code_unmet(shared->world, job, b, out)) {
            out->status = STATUS_skipped;
        } else if (s->server || b->command) {
            play_isolated(s, job, shared->world, out);
        } else {
            play_on(s, job, shared->world, b->local, out);
        }
    }
    if (out->coverage && covjob_has_items(out->coverage)) {
        atomic_store(&pass->has_items[job->backend * GUEST_COUNT + job->c->guest], true);
    }
    world_leave(pass, job);
    out->c = job->c;
    out->backend = plan_shown(pass->plan, job); /* the peer's own text is gone with it */
    out->seed = s->runner->o.seed;
    out->duration_ns = os_now_ns() - start;
}
