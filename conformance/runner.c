/* SPDX-License-Identifier: Apache-2.0
 * runner.c - threads, order and signals. The main thread sleeps on one semaphore: a thread posts it for each finished
 * job, the handlers for a signal; twice a second it looks whether a job has outlived its deadline. */
#include "conformance/runner_int.h"

#include "sim/base/os.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

/* A handler gets no context: these two are all that is global. */
static sem_t wake;
static atomic_int signal_seen;

static void on_signal(int number)
{
    atomic_store(&signal_seen, number);
    sem_post(&wake);
}

bool runner_is_stopping(const Runner *r)
{
    return atomic_load(&r->is_stopping) || atomic_load(&signal_seen);
}

int runner_signal(const Runner *r)
{
    (void)r;
    return atomic_load(&signal_seen);
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND; /* the second one ends conf at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int runner_start(const RunnerOptions *o, Runner **out, Err *err)
{
    Runner *r = x_alloc(sizeof *r);
    r->o = *o;
    mallopt(M_MMAP_THRESHOLD,
            32 << 20); /* a job's images come and go: keep their pages instead of faulting them in again */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    r->slots = x_calloc(o->nthreads, sizeof *r->slots);
    r->nused = o->nthreads;
    *out = r;
    for (unsigned i = 0; i < o->nthreads; i++) {
        Slot *s = &r->slots[i];
        s->runner = r;
        pthread_mutex_init(&s->lock, NULL);
        int rc = o->is_in_process ? 0 : worker_server_start_for(plugin_find, &s->server, err);
        if (rc) {
            return rc;
        }
    }
    sem_init(&wake, 0, 0);
    atomic_store(&signal_seen, 0);
    handle_signals();
    return 0;
}

void runner_stop(Runner *r)
{
    for (unsigned i = 0; r && i < r->o.nthreads; i++) {
        peer_forget(&r->slots[i]);
        worker_server_stop(r->slots[i].server);
        pthread_mutex_destroy(&r->slots[i].lock);
    }
    if (r) {
        mem_free(r->slots);
        VEC_FREE(&r->answers);
        for (size_t i = 0; i < r->plugins.n; i++) {
            plugin_close(r->plugins.items[i]);
        }
        VEC_FREE(&r->plugins);
    }
    mem_free(r);
}

/* ---- opening ---- */

/* Texts of caps live as long as the connection: the plan keeps its own. */
static void keep_caps(Arena *a, const Caps *caps, Caps *out)
{
    *out = *caps;
    for (int i = 0; i < CAP_COUNT; i++) {
        out->why[i] = caps->why[i] ? arena_strdup(a, caps->why[i]) : NULL;
    }
    size_t n = 0;
    while (caps->ctls && caps->ctls[n]) {
        n++;
    }
    const char **ctls = caps->ctls ? arena_alloc(a, (n + 1) * sizeof *ctls) : NULL;
    for (size_t i = 0; i < n; i++) {
        ctls[i] = arena_strdup(a, caps->ctls[i]);
    }
    out->ctls = ctls;
    out->isa = caps->isa ? arena_strdup(a, caps->isa) : NULL;
}

static void open_on(Plan *p, const Backend *b, bool is_remote, GuestId guest, PlanOpen *open)
{
    Caps caps = {0};
    int rc = b->open(b, guest, &caps, &open->err);
    open->state = rc ? OPEN_FAILED : OPEN_OK;
    open->stub = *b;
    const char *where = is_remote && !strchr(b->name, '@') ? "@remote" : "";
    open->stub.name = arena_printf(p->arena, "%s%s", b->name, where);
    open->shown = b->is_double ? arena_printf(p->arena, "%s (double)", open->stub.name) : open->stub.name;
    if (!rc) {
        keep_caps(p->arena, &caps, &open->caps);
    } else if (is_remote) { /* or it reads as if it were said of this machine */
        err_prefix(&open->err, "%s", open->stub.name);
    }
}

/* Without workers, for a debugger: the backend in this process, once. */
static int open_local(Runner *r, PlanBackend *b, Err *err)
{
    Plugin *plugin = NULL;
    const char *path = plugin_path(b->name);
    if (b->local || !path) {
        b->local = b->local ? b->local : backend_find(b->name);
        return 0;
    }
    int rc = plugin_open(path, &plugin, err);
    if (!rc) {
        VEC_PUSH(&r->plugins, plugin);
        b->local = plugin_backend(plugin);
    }
    return rc;
}

void runner_open_one(Runner *r, Plan *p, size_t backend, GuestId guest)
{
    PlanBackend *b = &p->backends.items[backend];
    PlanOpen *open = &b->open[guest];
    Slot *s = &r->slots[0];
    Peer peer;
    PeerEnd end;
    if (!s->server && !b->command) {
        open->state = OPEN_FAILED;
        if (!open_local(r, b, &open->err)) {
            open_on(p, b->local, false, guest, open);
        }
        return;
    }
    if (b->command) { /* as long as it has not said what it calls itself; suites name backends */
        const char *command = b->command;
        open->shown = arena_printf(p->arena, "%s@remote", command_backend(p->arena, &command));
    }
    if (b->is_unreachable) { /* it may have taken minutes to find out */
        open->state = OPEN_FAILED;
        for (int g = 1; g < GUEST_COUNT; g++) {
            open->err = b->open[g].err.code ? b->open[g].err : open->err;
        }
        return;
    }
    if (peer_open(s, b, backend, &peer, &open->err)) {
        open->state = OPEN_FAILED;
        b->is_unreachable = b->command != NULL;
        return;
    }
    open_on(p, remote_backend(peer.link), b->command != NULL, guest, open);
    bool is_broken = open->err.code == ERR_IO || open->err.code == ERR_PROTO || open->err.code == ERR_TIMEOUT;
    peer_close(s, &peer, is_broken, peer_patience_ns(&peer), &end);
    if (end.is_crash) {
        open->state = OPEN_FAILED;
        err_set(&open->err, ERR_HOST, "open: %s", end.text);
    }
}

void runner_open(Runner *r, Plan *p)
{
    for (size_t i = 0; i < p->backends.n; i++) {
        for (int g = 1; g < GUEST_COUNT; g++) {
            if (p->is_guest[g]) {
                runner_open_one(r, p, i, (GuestId)g);
            }
        }
    }
}

/* ---- a pass over jobs ---- */

/* A job's thread and its worker take turns, so they share a processor: the thread is tied to one, and the worker server
 * starts the worker where its asker is tied to. */
static void slot_pin(const Slot *s)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) || !CPU_COUNT(&all)) {
        return;
    }
    size_t nth = (size_t)(s - s->runner->slots) % (size_t)CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && nth-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
    }
}

static void *slot_main(void *arg)
{
    Slot *s = arg;
    Pass *pass = s->runner->pass;
    slot_pin(s);
    for (;;) {
        size_t i = atomic_fetch_add(&pass->next, 1);
        if (i >= pass->n || runner_is_stopping(s->runner)) {
            return NULL;
        }
        Outcome *o = &pass->outcomes[i];
        job_play(s, &pass->jobs[i], &o->r);
        /* What a job says after a signal may be the signal's doing: a terminal sends it to the workers too. */
        atomic_store(&o->is_dropped, runner_is_stopping(s->runner));
        atomic_store(&o->is_done, true);
        sem_post(&wake);
    }
}

static void abort_slots(Runner *r, uint64_t before_ns)
{
    for (unsigned i = 0; i < r->o.nthreads; i++) {
        Slot *s = &r->slots[i];
        pthread_mutex_lock(&s->lock);
        if (s->link && s->deadline_ns <= before_ns) {
            remote_abort(s->link);
            s->is_aborted = true;
        }
        pthread_mutex_unlock(&s->lock);
    }
}

static void wait_for_news(Runner *r)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 500000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (sem_timedwait(&wake, &until) && errno == ETIMEDOUT) {
        abort_slots(r, os_now_ns());
    }
}

/* Told of each result in order; true: enough. */
typedef bool Sink(void *ctx, const Job *job, Result *r);

static void stop_threads(Runner *r, bool is_cut)
{
    if (is_cut) {
        atomic_store(&r->is_stopping, true);
        abort_slots(r, UINT64_MAX);
    }
    for (unsigned i = 0; i < r->o.nthreads; i++) {
        if (r->slots[i].is_running) {
            pthread_join(r->slots[i].thread, NULL);
            r->slots[i].is_running = false;
        }
    }
}

static bool start_threads(Runner *r, size_t njobs)
{
    bool has_any = false;
    for (unsigned i = 0; i < r->nused && i < njobs; i++) {
        r->slots[i].is_running = !pthread_create(&r->slots[i].thread, NULL, slot_main, &r->slots[i]);
        has_any = has_any || r->slots[i].is_running;
    }
    return has_any;
}

/* Runs the pass; returns whether it was cut short. */
static bool pass_run(Runner *r, Pass *pass, Sink *sink, void *ctx)
{
    size_t at = 0;
    bool is_enough = false;
    r->pass = pass;
    pass->outcomes = x_calloc(pass->n, sizeof *pass->outcomes);
    if (!start_threads(r, pass->n)) {
        slot_main(&r->slots[0]); /* no thread to be had: do it here */
    }
    while (at < pass->n && !is_enough && !atomic_load(&signal_seen)) {
        if (!atomic_load(&pass->outcomes[at].is_done)) {
            wait_for_news(r);
        } else {
            is_enough = sink(ctx, &pass->jobs[at], &pass->outcomes[at].r);
            at++;
        }
    }
    bool is_cut = at < pass->n;
    stop_threads(r, is_cut);
    for (; at < pass->n; at++) {
        Outcome *o = &pass->outcomes[at];
        if (atomic_load(&o->is_done) && !atomic_load(&o->is_dropped) && !is_enough) {
            sink(ctx, &pass->jobs[at], &o->r);
        }
        result_free(&o->r);
    }
    mem_free(pass->outcomes);
    return is_cut;
}

/* ---- the run ---- */

typedef struct {
    Runner *runner;
    const Plan *plan;
    Run *report;
} SinkCtx;

static bool sink_probe(void *ctx, const Job *job, Result *r)
{
    (void)job;
    SinkCtx *x = ctx;
    VEC_PUSH(&x->runner->answers, r->status);
    result_free(r);
    *r = (Result){0};
    return false;
}

static bool sink_result(void *ctx, const Job *job, Result *r)
{
    SinkCtx *x = ctx;
    const RunnerOptions *o = &x->runner->o;
    if (o->on_result) {
        o->on_result(o->ctx, job, r);
    }
    run_result(x->report, r, x->plan->backends.items[job->backend].name);
    run_progress(x->report);
    const Tally *t = &x->report->tally;
    return o->fail_fast && t->n[STATUS_failed] + t->n[STATUS_error] + t->n[STATUS_xpassed] >= o->fail_fast;
}

static SharedWorld *worlds_new(const Plan *p)
{
    SharedWorld *worlds = x_calloc(p->cases.n + p->probe_cases.n, sizeof *worlds);
    for (size_t i = 0; i < p->cases.n + p->probe_cases.n; i++) {
        pthread_mutex_init(&worlds[i].lock, NULL);
    }
    for (size_t i = 0; i < p->jobs.n; i++) {
        atomic_fetch_add(&worlds[p->jobs.items[i].slot].nleft, 1);
    }
    for (size_t i = 0; i < p->probes.n; i++) {
        atomic_fetch_add(&worlds[p->probes.items[i].slot].nleft, 1);
    }
    return worlds;
}

static void worlds_free(SharedWorld *worlds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        world_free(worlds[i].world);
        pthread_mutex_destroy(&worlds[i].lock);
    }
    mem_free(worlds);
}

void runner_use_threads(Runner *r, unsigned n)
{
    r->nused = n < 1 ? 1 : n > r->o.nthreads ? r->o.nthreads : n;
}

const char *runner_run(Runner *r, Plan *p, const RunHooks *hooks, Run *report)
{
    SinkCtx ctx = {.runner = r, .plan = p, .report = report};
    r->answers.n = 0;
    Pass pass = {.plan = p, .hooks = hooks, .worlds = worlds_new(p)};
    pass.has_items = x_calloc(p->backends.n * GUEST_COUNT, sizeof *pass.has_items);
    for (size_t i = 0; i < p->backends.n; i++) {
        for (int g = 1; g < GUEST_COUNT; g++) { /* a case's world is one for all backends: the coarsest granule */
            uint32_t bytes = p->backends.items[i].open[g].caps.page_bytes;
            pass.page_bytes[g] = bytes > pass.page_bytes[g] ? bytes : pass.page_bytes[g];
        }
    }
    Pass probes = pass; /* which are no scenarios of the run: without coverage */
    pass.is_coverage = r->o.is_coverage;
    probes.jobs = p->probes.items;
    probes.n = p->probes.n;
    pass.jobs = p->jobs.items;
    pass.n = p->jobs.n;
    bool is_cut = (probes.n && pass_run(r, &probes, sink_probe, &ctx)) || pass_run(r, &pass, sink_result, &ctx);
    mem_free(pass.has_items);
    worlds_free(pass.worlds, p->cases.n + p->probe_cases.n);
    int number = runner_signal(r);
    return !is_cut ? NULL : number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "--fail-fast";
}
