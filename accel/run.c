/* SPDX-License-Identifier: Apache-2.0
 * vcpu_run: entry, injection, and the exits that nobody asked for.
 *
 * Kicks of our own (a pause, an event, vm_close) make an EXIT_canceled that is not the caller's: it is swallowed,
 * unless it ends the run. A kick that arrives as run() comes out for another reason stays in the backend (W5) and shows
 * up in the next run, where it is swallowed likewise: a caller sees EXIT_canceled for its own vcpu_kick, its deadline,
 * a pause, a halt or vm_close, and for nothing else. */
#include "accel/core.h"
#include "sim/base/os.h"

#include <string.h>

enum {
    MAX_STALE = 16
}; /* swallowed in a row with nothing injected; then the backend is to blame and the caller sees it */

typedef struct {
    Op o;
    RunArgs args;          /* the caller's, less what swallowed entries used up */
    const RunArgs *wanted; /* the caller's */
    ExitFilter filter;
    bool is_entered; /* `during` was published */
    bool is_quiet;   /* nothing was queued when the vcpu was taken: what comes since then kicks */
    bool is_window_ours;
    unsigned nstale;
    uint64_t nentries;
    Vcpu *v;
} Run;

static int need_cap(const Vcpu *v, Cap cap, Err *err)
{
    const Caps *caps = &v->vm->caps;
    if (caps->level[cap] >= CAP_PARTIAL) {
        return 0;
    }
    return err_unsupported(err, v->vm->backend->name, cap_name(cap), caps->why[cap] ? caps->why[cap] : "not there");
}

static int args_check(const Vcpu *v, const RunArgs *args, Err *err)
{
    int rc = 0;
    if (args->insns != UINT64_MAX) {
        rc = need_cap(v, CAP_insn_count, err);
    }
    if (!rc && args->deadline_ns != UINT64_MAX) {
        rc = need_cap(v, CAP_deadline, err);
    }
    if (!rc && args->is_step) {
        rc = need_cap(v, CAP_step, err);
    }
    if (!rc && args->irq_window) {
        rc = need_cap(v, CAP_irq_window, err);
    }
    return rc;
}

/* 0: the vcpu is ours to run; 1: another thread runs it already (EXIT_nothing); else an error, reported. */
static int run_admit(Vcpu *v, Run *r, Err *err)
{
    Op *o = &r->o;
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    *o = (Op){.op = LIFE_run, .from = state, .cell = cell_of(v, state, LIFE_run)};
    int rc = 0;
    if (o->cell->verdict) {
        rc = op_reject(v, LIFE_run, o->cell, err);
    } else if (v->inside == INSIDE_RUN) {
        v->stats.exits[EXIT_nothing]++;
        rc = 1;
    } else if (v->inside || atomic_load(&v->reply_due)) {
        rc = v->inside ? err_set(err, ERR_BUSY, "run: another thread is using vcpu %u", v->cfg.id)
                       : err_set(err, ERR_BUSY, "run: the %s exit awaits its reply", exit_name(v->due.kind));
        v->stats.rejected++;
        op_report(v, LIFE_run, state, state, rc);
    } else {
        inside_take(v, INSIDE_RUN);
        r->is_quiet = !v->nqueue && !atomic_load(&v->has_mail) && pthread_equal(v->owner, pthread_self());
        if (r->is_quiet) { /* nothing is left that could fail before the entry: no need to take the lock again */
            r->is_entered = true;
            state_apply(v, LIFE_run, o->cell->during, 0);
        }
    }
    pthread_mutex_unlock(&v->lock);
    return rc;
}

/* Hands queued events to the backend, in order. One that the guest cannot take now waits for a window; one that the
 * backend refuses is dropped, as it would be refused for ever. */
static int events_inject(Vcpu *v, Run *r, Err *err)
{
    const Vm *vm = v->vm;
    int rc = 0;
    r->is_window_ours = false;
    if (atomic_load(&v->has_mail)) {
        r->nstale = 0;
        rc = mail_take(v, err);
    }
    pthread_mutex_lock(&v->lock);
    while (v->nqueue && !rc) {
        Event e = v->queue[0];
        pthread_mutex_unlock(&v->lock);
        rc = vm->backend->vcpu->inject(atomic_load(&v->be), &e, err);
        pthread_mutex_lock(&v->lock);
        if (rc == -ERR_BUSY) {
            r->is_window_ours = vm->caps.level[CAP_irq_window] >= CAP_PARTIAL;
            rc = 0;
            break;
        }
        v->stats.injected += !rc;
        r->nstale = 0;
        v->nqueue--; /* only this thread takes from the queue */
        memmove(v->queue, v->queue + 1, v->nqueue * sizeof v->queue[0]);
    }
    pthread_mutex_unlock(&v->lock);
    return rc;
}

static int run_publish(Vcpu *v, Run *r, Err *err)
{
    int rc = 0;
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    if (state != r->o.from) { /* halted or poisoned by another thread meanwhile */
        const LifeCell *cell = cell_of(v, state, LIFE_run);
        rc = cell->verdict ? op_reject(v, LIFE_run, cell, err)
                           : err_set(err, ERR_STATE, "run: the state changed during entry");
    } else {
        r->is_entered = true;
        state_apply(v, LIFE_run, r->o.cell->during, 0);
    }
    pthread_mutex_unlock(&v->lock);
    return rc;
}

static bool is_asked_to_stop(Vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    bool is_asked = v->waiters != NULL;
    pthread_mutex_unlock(&v->lock);
    return is_asked || atomic_load(&v->vm->is_closing);
}

/* What the exit used up of the budget, if the backend counts. */
static void count_insns(Vcpu *v, Run *r, const VmExit *e)
{
    if (!(e->valid & HAS_insns)) {
        return;
    }
    uint64_t used = e->insns >= v->insns ? e->insns - v->insns : 0;
    v->insns = e->insns;
    if (r->args.insns != UINT64_MAX) {
        r->args.insns -= used < r->args.insns ? used : r->args.insns;
    }
}

/* Is this exit none of the caller's business, so that the guest goes on? */
static bool is_swallowed(Vcpu *v, Run *r, const VmExit *e)
{
    if (e->kind == EXIT_irq_window) {
        return r->is_window_ours && !r->wanted->irq_window && ++r->nstale <= MAX_STALE;
    }
    v->is_stop_asked = false;
    if (e->kind != EXIT_canceled) {
        return false;
    }
    v->is_stop_asked = atomic_exchange(&v->user_kick, false) || is_asked_to_stop(v);
    if (v->is_stop_asked) {
        return false;
    }
    if (r->wanted->deadline_ns != UINT64_MAX && os_now_ns() >= r->wanted->deadline_ns) {
        return false;
    }
    return ++r->nstale <= MAX_STALE;
}

static void exit_normalise(const Vcpu *v, VmExit *e)
{
    if ((unsigned)e->kind >= EXIT_COUNT) {
        e->kind = EXIT_unknown;
    }
    e->reply = exit_reply_kind(e->kind);
    e->vcpu = v->cfg.id;
    e->is_completed = false;
}

/* RunArgs.served: numbered and shown as if it had been completed here. */
static void on_served(void *ctx, const VmExit *e)
{
    Run *r = ctx;
    Vcpu *v = r->v;
    const Observer *obs = &v->vm->observer;
    VmExit shown = *e;
    r->nstale = 0;
    exit_normalise(v, &shown);
    shown.is_completed = true;
    pthread_mutex_lock(&v->lock);
    shown.seq = ++v->seq;
    v->stats.exits[shown.kind]++;
    if (obs->on_exit) {
        obs->on_exit(obs->ctx, &shown);
    }
    pthread_mutex_unlock(&v->lock);
}

static LifeOutcome outcome_of(ExitKind kind)
{
    switch (kind) {
    case EXIT_halt:
    case EXIT_idle:
        return OUT_HALT;
    case EXIT_shutdown:
    case EXIT_internal_error:
    case EXIT_fail_entry:
    case EXIT_unsupported:
    case EXIT_unknown:
    case EXIT_COUNT:
        return OUT_FAULT;
    case EXIT_hypercall:
    case EXIT_mmio_read:
    case EXIT_mmio_write:
    case EXIT_sysreg_read:
    case EXIT_sysreg_write:
    case EXIT_io_read:
    case EXIT_io_write:
    case EXIT_external_interrupt:
    case EXIT_nested_page_fault:
    case EXIT_cpu_up:
    case EXIT_cpu_down:
    case EXIT_system_down:
    case EXIT_system_reset:
    case EXIT_nothing:
    case EXIT_send_ipi:
    case EXIT_cpuid:
    case EXIT_exception:
    case EXIT_debug:
    case EXIT_irq_window:
    case EXIT_eoi:
    case EXIT_preempt_timer:
    case EXIT_canceled:
    case EXIT_budget:
        return OUT_OK;
    }
    return OUT_FAULT;
}

static int run_loop(Vcpu *v, Run *r, VmExit *exit, LifeOutcome *out, Err *err)
{
    const VcpuOps *ops = v->vm->backend->vcpu;
    *out = OUT_ERROR;
    int rc = owner_take(v, err);
    while (!rc) {
        rc = r->is_quiet ? 0 : events_inject(v, r, err);
        r->is_quiet = false;
        if (rc) {
            *out = rc == -ERR_HOST ? OUT_FAULT : OUT_ERROR; /* the platform could not be entered */
            break;
        }
        rc = r->is_entered ? 0 : run_publish(v, r, err);
        if (rc) {
            break;
        }
        r->args.irq_window = r->wanted->irq_window || r->is_window_ours;
        if (r->nentries) {
            *exit = (VmExit){0};
        }
        rc = ops->run(atomic_load(&v->be), &r->args, exit, err);
        r->nentries++;
        if (rc) {
            break;
        }
        exit_normalise(v, exit);
        count_insns(v, r, exit);
        if (!is_swallowed(v, r, exit)) {
            *out = outcome_of(exit->kind);
            break;
        }
    }
    return rc;
}

static void waiters_answer(Vcpu *v, LifeOp applied)
{
    uint8_t state = atomic_load(&v->state);
    bool is_reported = false;
    for (Waiter *w = v->waiters, *next; w; w = next) {
        next = w->next; /* w is on the stack of a thread that goes on once is_done */
        w->state = state;
        w->is_reported = w->op == applied && !is_reported;
        is_reported |= w->is_reported;
        w->is_done = true;
    }
    if (v->waiters) {
        v->waiters = NULL;
        pthread_cond_broadcast(&v->idle);
    }
}

/* A pause or halt that was asked for wins over an exit that would lead back to Ready; the exit is not lost. */
static void run_end_state(Vcpu *v, const Run *r, LifeOutcome out, int rc)
{
    LifeOp op = LIFE_run;
    if (out == OUT_OK && v->waiters) {
        op = LIFE_pause;
        for (const Waiter *w = v->waiters; w; w = w->next) {
            op = w->op == LIFE_halt ? LIFE_halt : op;
        }
        out = op == LIFE_halt ? OUT_HALT : OUT_PAUSE;
    }
    uint8_t now = atomic_load(&v->state);
    uint8_t expected = r->is_entered ? r->o.cell->during : r->o.from;
    uint8_t to = now == expected ? r->o.cell->to[out] : LIFE_STAY;
    state_apply(v, op, to == LIFE_STAY ? now : to, rc);
    waiters_answer(v, op);
}

void exit_made(Vcpu *v, VmExit *e)
{
    const Observer *obs = &v->vm->observer;
    exit_normalise(v, e);
    pthread_mutex_lock(&v->lock);
    e->seq = ++v->seq;
    v->stats.exits[e->kind]++;
    if (obs->on_exit) {
        obs->on_exit(obs->ctx, e);
    }
    pthread_mutex_unlock(&v->lock);
}

static void run_end(Vcpu *v, const Run *r, LifeOutcome out, VmExit *exit, int rc)
{
    const Observer *obs = &v->vm->observer;
    pthread_mutex_lock(&v->lock);
    v->stats.entries += r->nentries;
    if (!rc) {
        bool is_shown = !r->filter || r->filter(v->vm, exit);
        v->seq += is_shown; /* others come as the host's timing has it, or are not seen where the board is elsewhere */
        exit->seq = v->seq;
        v->stats.exits[exit->kind]++;
        if (exit->reply != REPLY_none) {
            v->due = *exit;
            atomic_store_explicit(&v->reply_due, true, memory_order_release);
        }
        if (is_shown && obs->on_exit) {
            obs->on_exit(obs->ctx, exit);
        }
    }
    run_end_state(v, r, out, rc);
    inside_leave(v);
    pthread_mutex_unlock(&v->lock);
    bool is_movable = v->vm->caps.level[CAP_rebind] == CAP_FULL;
    if (!is_movable && atomic_load(&v->vm->is_closing) && pthread_equal(v->owner, pthread_self())) {
        vcpu_retire_backend(v); /* only this thread may, and vm_close is waiting */
    }
}

int vcpu_run_filtered(Vcpu *v, const RunArgs *args, VmExit *exit, ExitFilter filter, Err *err)
{
    *exit = (VmExit){0};
    int rc = args_check(v, args, err);
    rc = rc ? call_told(v->vm, "vcpu_run", rc) : vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    Run r = {.args = *args, .wanted = args, .filter = filter, .v = v};
    if (args->serve_board && v->vm->stands) {
        r.args.served = on_served;
        r.args.served_ctx = &r;
    }
    if (args->insns != UINT64_MAX) {
        r.args.want |= HAS_insns;
    }
    rc = run_admit(v, &r, err);
    if (rc > 0) {
        exit->kind = EXIT_nothing;
        exit->vcpu = v->cfg.id;
        rc = 0;
    } else if (!rc) {
        LifeOutcome out;
        rc = run_loop(v, &r, exit, &out, err);
        run_end(v, &r, out, exit, rc);
    }
    call_told(v->vm, "vcpu_run", rc);
    vm_leave(v->vm);
    return rc;
}

int vcpu_run(Vcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    return vcpu_run_filtered(v, args, exit, NULL, err);
}
