/* SPDX-License-Identifier: Apache-2.0
 * sim_threads.c - real time: each vcpu of a machine on a thread of its own, by the host's clock.
 *
 * A vcpu's thread runs guest code, or sleeps in exec_sleep: idle, parked, or for good at its end. Whoever does something to a
 * vcpu posts it, which wakes it. A stop of one vcpu pauses all of them; sim_wait joins the threads, so that everything that
 * is forbidden beside running vcpus is allowed between sim_wait's stop and the next sim_start. */
#include "sim/sim_int.h"

#include "sim/base/os.h"
#include "sim/firmware/sbi.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static SimVcpu *vcpu_of(const Sim *s, unsigned i)
{
    return s->vcpu[i];
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- between vcpus ---- */
void sim_threads_fence(Sim *s, unsigned hart, bool is_code)
{
    SimFences *fences = s->machine->fences;
    fences->hart[fences->n].vcpu = vcpu_of(s, hart);
    fences->hart[fences->n++].ticket = exec_fence(vcpu_of(s, hart)->x, is_code);
}

/* Two that fence each other must not wait for each other. */
void sim_threads_fences_wait(SimVcpu *v, const SimFences *fences)
{
    for (unsigned i = 0; i < fences->n; i++) {
        const SimVcpu *other = fences->hart[i].vcpu;
        while (other != v && !exec_has_fenced(other->x, fences->hart[i].ticket) && !v->s->machine->is_halting) {
            exec_fence_self(v->x);
            sched_yield();
        }
    }
    exec_fence_self(v->x);
}

/* Until the thread of a vcpu that has stopped itself is out of it. */
void sim_threads_settled(const SimVcpu *v)
{
    while (!exec_is_asleep(v->x) && !v->is_out) {
        sched_yield();
    }
}

void sim_threads_look(Sim *s)
{
    const SimMachine *m = s->machine;
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        ExecVcpu *x = vcpu_of(s, i)->x;
        if (exec_is_asleep(x) && !vcpu_of(s, i)->is_parked) {
            uint64_t until = exec_sleeps_until(x);
            if (!until || board_deadline(m->board, i) < until) {
                exec_poke(x);
            }
        }
    }
}

/* ---- a vcpu's thread ---- */
static void stopped(SimVcpu *v, ExecStop stop)
{
    Sim *s = v->s;
    SimMachine *m = s->machine;
    pthread_mutex_lock(&m->stop_lock);
    sim_exit_fill(v, stop, &v->stop);
    v->has_stop = true;
    m->is_halting = true;
    pthread_cond_broadcast(&m->stop_cond);
    pthread_mutex_unlock(&m->stop_lock);
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        exec_pause(vcpu_of(s, i)->x);
    }
}

/* true: it goes on. */
static bool turn(SimVcpu *v)
{
    SimMachine *m = v->s->machine;
    if (v->is_parked) {
        exec_sleep(v->x, true);
        return true;
    }
    ExecStop stop = exec_run(v->x, &(ExecRun){.insns = UINT64_MAX, .until_ns = UINT64_MAX});
    if (v->is_suspended && !exec_is_waiting(v->x)) {
        v->is_suspended = false;
        pthread_mutex_lock(&m->lock);
        sbi_resumed(m->sbi, v->id);
        pthread_mutex_unlock(&m->lock);
    }
    switch (stop) {
    case EXEC_BUDGET:
    case EXEC_CLOCK: /* paused */
    case EXEC_STEP:
        return true;
    case EXEC_WAIT:
        exec_sleep(v->x, false);
        return true;
    case EXEC_ENDED:
        if (!m->is_finished) { /* parked itself */
            return true;
        }
        break;
    case EXEC_CANCELED:
    case EXEC_EXTERNAL:
    case EXEC_CALL:
    case EXEC_BREAK:
    case EXEC_STAGE2:
        break;
    }
    stopped(v, stop);
    return false;
}

static void *vcpu_thread(void *arg)
{
    SimVcpu *v = arg;
    while (!v->s->machine->is_halting && turn(v)) {
    }
    v->is_out = true;
    return NULL;
}

/* ---- all of them ---- */
/* The clock never goes back, and goes on while the machine stands: it is the host's. */
static uint64_t epoch(const Sim *s)
{
    const SimMachine *m = s->machine;
    uint64_t clock = m->round_ns, now = os_now_ns();
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        clock = most(clock, exec_clock_ns(vcpu_of(s, i)->x));
    }
    return m->epoch_ns && now - m->epoch_ns > clock ? m->epoch_ns : now - clock;
}

/* Signals are for the threads that were there before. */
static int threads_make(Sim *s, Err *err)
{
    SimMachine *m = s->machine;
    sigset_t all, old;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (unsigned i = 0; !rc && i < m->cfg.nvcpus; i++) {
        SimVcpu *v = vcpu_of(s, i);
        sim_serve(v, true);
        v->is_out = false;
        exec_realtime(v->x, true, m->epoch_ns);
    }
    for (m->nthreads = 0; !rc && m->nthreads < m->cfg.nvcpus; m->nthreads += !rc) {
        rc = pthread_create(&vcpu_of(s, m->nthreads)->thread, NULL, vcpu_thread, vcpu_of(s, m->nthreads));
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc ? err_native(err, ERR_LIMIT, rc, "a thread for vcpu %u", m->nthreads) : 0;
}

/* The first stop that nobody was told of. */
static SimVcpu *stop_of(const Sim *s)
{
    for (unsigned i = 0; i < s->machine->cfg.nvcpus; i++) {
        if (vcpu_of(s, i)->has_stop) {
            return vcpu_of(s, i);
        }
    }
    return NULL;
}

int sim_start(Sim *s, Err *err)
{
    SimMachine *m = s->machine;
    if (!m || m->is_threaded) {
        return err_set(err, ERR_STATE, m ? "the vcpus run already" : "running all vcpus needs a board");
    }
    m->epoch_ns = epoch(s);
    m->is_halting = stop_of(s); /* one is left from last time: tell of it first */
    m->is_threaded = true;
    int rc = threads_make(s, err);
    if (rc) {
        sim_halt(s);
    }
    return rc;
}

void sim_halt(Sim *s)
{
    SimMachine *m = s->machine;
    if (!m || !m->is_threaded) {
        return;
    }
    m->is_halting = true;
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        exec_pause(vcpu_of(s, i)->x);
    }
    for (unsigned i = 0; i < m->nthreads; i++) {
        pthread_join(vcpu_of(s, i)->thread, NULL);
    }
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        exec_realtime(vcpu_of(s, i)->x, false, 0);
        m->round_ns = most(m->round_ns, exec_clock_ns(vcpu_of(s, i)->x));
    }
    m->turn = 0;
    m->is_threaded = false;
}

/* Do all sleep, with no timer that will wake one? Only a vcpu that is awake wakes another: if none woke between two looks at all,
 * none was awake. */
static bool is_idle_for_good(const Sim *s, uint64_t *wakes)
{
    *wakes = 0;
    for (unsigned i = 0; i < s->machine->cfg.nvcpus; i++) {
        const SimVcpu *v = vcpu_of(s, i);
        bool has_news = exec_has_news(v->x) && !v->is_parked;
        *wakes += exec_wakes(v->x);
        if (!exec_is_asleep(v->x) || exec_sleeps_until(v->x) != UINT64_MAX || has_news) {
            return false;
        }
    }
    return true;
}

static bool is_dead(const Sim *s)
{
    uint64_t first, second;
    return is_idle_for_good(s, &first) && is_idle_for_good(s, &second) && first == second;
}

bool sim_threads_stop_take(Sim *s, uint8_t *who, SimExit *out)
{
    SimVcpu *v = stop_of(s);
    if (!v) {
        return false;
    }
    *who = v->id;
    *out = v->stop;
    v->has_stop = false;
    if (s->machine->is_finished) {
        sim_finish_fill(s, out);
    }
    return true;
}

static bool wait_for_stop(Sim *s, uint64_t timeout_ns)
{
    SimMachine *m = s->machine;
    uint64_t now = os_now_ns(), until = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
    pthread_mutex_lock(&m->stop_lock);
    bool is_stopped = stop_of(s);
    for (int rc = 0; !is_stopped && !rc && timeout_ns; is_stopped = stop_of(s)) {
        rc = pthread_cond_clockwait(&m->stop_cond, &m->stop_lock, CLOCK_MONOTONIC, &t);
    }
    pthread_mutex_unlock(&m->stop_lock);
    return is_stopped;
}

int sim_wait(Sim *s, uint64_t timeout_ns, uint8_t *who, SimExit *out, Err *err)
{
    SimMachine *m = s->machine;
    if (!m || !m->is_threaded) {
        return err_set(err, ERR_STATE, "no vcpu runs");
    }
    *who = 0;
    *out = (SimExit){.kind = SIM_EXIT_budget, .clock_ns = os_now_ns() - m->epoch_ns};
    if (wait_for_stop(s, timeout_ns)) {
        sim_halt(s);
        (void)sim_threads_stop_take(s, who, out);
    } else if (is_dead(s)) {
        sim_halt(s);
        sim_exit_fill(vcpu_of(s, 0), EXEC_WAIT, out);
    }
    return 0;
}
