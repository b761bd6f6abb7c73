/* SPDX-License-Identifier: Apache-2.0
 * A vcpu's operations: what the lifecycle table allows, on the thread that may, reported in order. run() is in run.c.
 */
#include "accel/core.h"
#include "sim/base/os.h"

#include <sched.h>
#include <string.h>

#define X(name) #name,
static const char *const plain_op_names[LIFE_OP_COUNT] = {LIFE_OP_MAP(X)};
#undef X

const LifeCell *cell_of(const Vcpu *v, uint8_t state, LifeOp op)
{
    return &v->vm->model->cell[state][op];
}

static const char *op_name(const Vcpu *v, LifeOp op)
{
    const char *name = v->vm->model->op_names[op];
    return name ? name : plain_op_names[op];
}

void op_report(Vcpu *v, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    const Observer *o = &v->vm->observer;
    if (o->on_op) {
        o->on_op(o->ctx, v->cfg.id, op, from, to, rc);
    }
}

void state_apply(Vcpu *v, LifeOp op, uint8_t to, int rc)
{
    uint8_t from = atomic_load(&v->state);
    v->stats.transitions += from != to;
    atomic_store_explicit(&v->state, to, memory_order_release); /* it is written under lock alone */
    op_report(v, op, from, to, rc);
}

static void list_allowed(Buf *out, const Vcpu *v, LifeOp op, const char *between)
{
    const LifeModel *m = v->vm->model;
    const char *sep = "";
    for (uint8_t s = 0; s < m->nstates; s++) {
        if (!m->cell[s][op].verdict) {
            buf_printf(out, "%s%s", sep, m->states[s]);
            sep = between;
        }
    }
}

static int reject_text(const Vcpu *v, LifeOp op, uint8_t state, const LifeCell *cell, Err *err)
{
    const LifeModel *m = v->vm->model;
    const char *name = op_name(v, op);
    int rc;
    Buf list = {0};
    if (cell->verdict == ERR_UNSUPPORTED) {
        rc = err_unsupported(err, m->name, name, "not an operation of this lifecycle model");
    } else if (cell->verdict == ERR_BUSY) {
        rc = err_set(err, ERR_BUSY, "%s: the vcpu is in state %s, stop it first", name, m->states[state]);
    } else if (cell->rejected_to != LIFE_STAY) {
        /* The model's own sentence: it forms the text after it has overwritten the state. */
        list_allowed(&list, v, op, " or ");
        rc = err_set(err, cell->verdict, "%s: VCpu state is not %s, but %s", name, buf_text(&list),
                     m->states[cell->rejected_to]);
    } else {
        list_allowed(&list, v, op, ", ");
        rc = err_set(err, cell->verdict, "%s: not allowed in state %s (allowed in: %s)", name, m->states[state],
                     buf_text(&list));
    }
    buf_free(&list);
    return rc;
}

int op_reject(Vcpu *v, LifeOp op, const LifeCell *cell, Err *err)
{
    uint8_t state = atomic_load(&v->state);
    int rc = reject_text(v, op, state, cell, err);
    v->stats.rejected++;
    state_apply(v, op, cell->rejected_to == LIFE_STAY ? state : cell->rejected_to, rc);
    return rc;
}

int owner_take(Vcpu *v, Err *err)
{
    if (pthread_equal(v->owner, pthread_self())) {
        return 0;
    }
    const Vm *vm = v->vm;
    if (vm->caps.level[CAP_rebind] != CAP_FULL) {
        return err_set(err, ERR_THREAD, "vcpu %u belongs to another thread and %s cannot move it", v->cfg.id,
                       vm->backend->name);
    }
    BeVcpu *be = atomic_load(&v->be);
    int rc = be && vm->backend->vcpu->bind ? vm->backend->vcpu->bind(be, err) : 0;
    if (!rc) {
        v->owner = pthread_self();
    }
    return rc;
}

/* Under lock: what keeps an allowed operation from starting. */
static int op_hindered(const Vcpu *v, LifeOp op, unsigned flags, Err *err)
{
    if (v->inside) {
        return err_set(err, ERR_BUSY, "%s: another thread is using vcpu %u", op_name(v, op), v->cfg.id);
    }
    if (flags & OP_NEEDS_REPLIED && atomic_load(&v->reply_due)) {
        return err_set(err, ERR_BUSY, "%s: the %s exit awaits its reply", op_name(v, op), exit_name(v->due.kind));
    }
    return 0;
}

int op_begin(Vcpu *v, LifeOp op, unsigned flags, Op *o, Err *err)
{
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    *o = (Op){.op = op, .from = state, .cell = cell_of(v, state, op)};
    if (o->cell->verdict) {
        rc = op_reject(v, op, o->cell, err);
    } else {
        rc = op_hindered(v, op, flags, err);
        if (rc) {
            v->stats.rejected++;
            op_report(v, op, state, state, rc);
        } else {
            inside_take(v, INSIDE_OP);
        }
    }
    pthread_mutex_unlock(&v->lock);
    if (rc) {
        vm_leave(v->vm);
        return rc;
    }
    rc = flags & OP_BINDS ? 0 : owner_take(v, err);
    if (rc) {
        Op nothing = {.op = op, .from = state, .cell = NULL};
        op_end(v, &nothing, OUT_ERROR, 0, rc);
    }
    return rc;
}

int op_end(Vcpu *v, const Op *o, LifeOutcome outcome, uint8_t arg, int rc)
{
    pthread_mutex_lock(&v->lock);
    uint8_t now = atomic_load(&v->state);
    uint8_t to = o->cell && now == o->from ? o->cell->to[outcome] : LIFE_STAY;
    if (to == LIFE_FROM_ARG) {
        to = arg;
    }
    state_apply(v, o->op, to == LIFE_STAY ? now : to, rc);
    inside_leave(v);
    pthread_mutex_unlock(&v->lock);
    vm_leave(v->vm);
    return rc;
}

static int op_end_rc(Vcpu *v, const Op *o, int rc)
{
    return op_end(v, o, rc ? OUT_ERROR : OUT_OK, 0, rc);
}

/* An operation that needs no backend: it may come from any thread, also while another one is inside. */
static int op_plain(Vcpu *v, LifeOp op, uint8_t arg, Err *err)
{
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    const LifeCell *cell = cell_of(v, state, op);
    if (cell->verdict) {
        rc = op_reject(v, op, cell, err);
    } else {
        uint8_t to = cell->to[OUT_OK];
        state_apply(v, op, to == LIFE_STAY ? state : to == LIFE_FROM_ARG ? arg : to, 0);
    }
    pthread_mutex_unlock(&v->lock);
    vm_leave(v->vm);
    return rc;
}

/* ---- use of the backend that is no operation of a lifecycle: reply, reg_list, breaks ---- */
static int use_begin(Vcpu *v, const char *call, const char *what, Err *err)
{
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&v->lock);
    if (!atomic_load(&v->be)) {
        rc = err_set(err, ERR_STATE, "%s: the vcpu was destroyed", what);
    } else if (v->inside) {
        rc = err_set(err, ERR_BUSY, "%s: another thread is using vcpu %u", what, v->cfg.id);
    } else {
        inside_take(v, INSIDE_OP);
    }
    pthread_mutex_unlock(&v->lock);
    if (rc) {
        call_told(v->vm, call, rc);
        vm_leave(v->vm);
    }
    return rc;
}

static int use_end(Vcpu *v, const char *call, int rc)
{
    inside_leave(v);
    call_told(v->vm, call, rc);
    vm_leave(v->vm);
    return rc;
}

/* ---- life ---- */
static int config_check(const Vm *vm, const VcpuConfig *cfg, Err *err)
{
    if (!vm->backend->vcpu || vm->caps.level[CAP_vcpu] < CAP_PARTIAL) {
        return err_unsupported(err, vm->backend->name, "vcpu",
                               vm->caps.why[CAP_vcpu] ? vm->caps.why[CAP_vcpu] : "no vcpus");
    }
    if (vm->vcpus[cfg->id]) {
        return err_set(err, ERR_EXIST, "vcpu %u exists already", cfg->id);
    }
    if (vm->cfg.board && vm->cfg.board->call && cfg->hw_id != cfg->id) {
        return err_set(err, ERR_INVAL, "vcpu %u has hardware id %llu: the firmware of a board knows vcpus by their id",
                       cfg->id, (unsigned long long)cfg->hw_id);
    }
    uint64_t max = vm->cfg.max_vcpus ? vm->cfg.max_vcpus : vm->caps.max_vcpus;
    if (vm->nvcpus >= max) {
        return err_set(err, ERR_LIMIT, "no more than %llu vcpus", (unsigned long long)max);
    }
    return 0;
}

int vcpu_new(Vm *vm, const VcpuConfig *cfg, Vcpu **out, Err *err)
{
    *out = NULL;
    int rc = vm_enter(vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&vm->ops);
    BeVcpu *be = NULL;
    rc = config_check(vm, cfg, err);
    if (!rc) {
        rc = vm->backend->vcpu->create(vm->be, cfg, &be, err);
    }
    if (!rc) {
        Vcpu *v = x_alloc(sizeof *v);
        v->vm = vm;
        v->cfg = *cfg;
        v->owner = pthread_self();
        atomic_init(&v->is_started, !cfg->is_secondary);
        atomic_init(&v->be, be);
        atomic_init(&v->state, vm->model->initial);
        pthread_mutex_init(&v->lock, NULL);
        pthread_cond_init(&v->idle, NULL);
        vm->nvcpus++;
        atomic_store(&vm->vcpus[cfg->id], v);
        *out = v;
    }
    pthread_mutex_unlock(&vm->ops);
    if (!rc && !cfg->is_secondary && vm->cfg.board && vm->cfg.board->started) {
        vm->cfg.board->started(vm->cfg.board->ctx, cfg->id);
    }
    call_told(vm, "vcpu_new", rc);
    vm_leave(vm);
    return rc;
}

void vcpu_retire_backend(Vcpu *v)
{
    BeVcpu *be = atomic_exchange(&v->be, NULL);
    if (!be) {
        return;
    }
    while (atomic_load(&v->kickers)) { /* kick() is a few instructions; who comes now finds NULL */
        sched_yield();
    }
    v->vm->backend->vcpu->destroy(be);
}

void vcpu_free(Vcpu *v)
{
    (void)owner_take(v, NULL); /* where ownership cannot move, the owner retired it on its way out of run() */
    vcpu_retire_backend(v);
    pthread_cond_destroy(&v->idle);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

int vcpu_destroy(Vcpu *v, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_destroy, 0, &o, err);
    if (rc) {
        return rc;
    }
    vcpu_retire_backend(v);
    atomic_store(&v->reply_due, false);
    return op_end_rc(v, &o, 0);
}

int vcpu_set_entry(Vcpu *v, Gpa entry, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_set_entry, 0, &o, err);
    if (rc) {
        return rc;
    }
    if (v->has_entry) {
        return op_end_rc(v, &o, err_set(err, ERR_EXIST, "set_entry: the entry was given already"));
    }
    v->has_entry = true;
    v->entry = entry;
    return op_end_rc(v, &o, 0);
}

static int stage2_check(const Vcpu *v, Err *err)
{
    const Vm *vm = v->vm;
    if (vm->caps.level[CAP_stage2_table] >= CAP_PARTIAL) {
        return 0;
    }
    const char *why = vm->caps.why[CAP_stage2_table];
    return err_unsupported(err, vm->backend->name, "stage2_table", why ? why : "no such table");
}

int vcpu_set_stage2(Vcpu *v, Gpa root, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_set_stage2, 0, &o, err);
    if (rc) {
        return rc;
    }
    rc = root.addr ? stage2_check(v, err) : 0;
    if (!rc) {
        v->has_stage2 = root.addr != 0;
        v->stage2 = root;
    }
    return op_end_rc(v, &o, rc);
}

int vcpu_setup_now(Vcpu *v, const VcpuSetup *s, Err *err)
{
    BeVcpu *be = atomic_load(&v->be);
    int rc = v->vm->backend->vcpu->setup(be, s, err);
    if (!rc) {
        v->setup = *s;
        v->is_setup = v->has_entry = true;
        v->entry = s->entry;
        v->is_suspended = false;
        atomic_store(&v->reply_due, false);
        pthread_mutex_lock(&v->lock);
        v->mail.changed |= v->mail.level; /* a wire that is up stays so, whatever the vcpu forgets */
        atomic_store(&v->has_mail, atomic_load(&v->has_mail) || v->mail.changed);
        pthread_mutex_unlock(&v->lock);
    }
    return rc;
}

int vcpu_setup(Vcpu *v, const VcpuSetup *s, Err *err)
{
    VcpuSetup full = s ? *s : (VcpuSetup){0};
    Op o;
    int rc = full.has_stage2 ? stage2_check(v, err) : 0;
    if (rc) {
        return call_told(v->vm, "vcpu_setup", rc);
    }
    rc = op_begin(v, LIFE_setup, 0, &o, err);
    if (rc) {
        return rc;
    }
    if (v->has_entry) {
        full.entry = v->entry;
    }
    if (v->has_stage2) {
        full.has_stage2 = true;
        full.stage2 = v->stage2;
    }
    return op_end_rc(v, &o, vcpu_setup_now(v, &full, err));
}

int vcpu_reset(Vcpu *v, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_reset, 0, &o, err);
    if (rc) {
        return rc;
    }
    VcpuSetup again = v->setup;
    rc = vcpu_setup_now(v, &again, err);
    if (!rc) {
        pthread_mutex_lock(&v->lock);
        v->nqueue = 0;
        pthread_mutex_unlock(&v->lock);
    }
    return op_end_rc(v, &o, rc);
}

int vcpu_bind(Vcpu *v, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_bind, OP_BINDS, &o, err);
    if (rc) {
        return rc;
    }
    const VcpuOps *ops = v->vm->backend->vcpu;
    if (pthread_equal(v->owner, pthread_self())) {
        rc = ops->bind ? ops->bind(atomic_load(&v->be), err) : 0;
    } else {
        rc = owner_take(v, err);
    }
    return op_end_rc(v, &o, rc);
}

int vcpu_unbind(Vcpu *v, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_unbind, 0, &o, err);
    if (rc) {
        return rc;
    }
    const VcpuOps *ops = v->vm->backend->vcpu;
    return op_end_rc(v, &o, ops->unbind ? ops->unbind(atomic_load(&v->be), err) : 0);
}

/* ---- stop and go ---- */
static void kick_backend(Vcpu *v)
{
    atomic_fetch_add(&v->kickers, 1);
    BeVcpu *be = atomic_load(&v->be);
    if (be) {
        v->vm->backend->vcpu->kick(be);
    }
    atomic_fetch_sub(&v->kickers, 1);
}

void vcpu_kick(Vcpu *v)
{
    atomic_fetch_add(&v->nkicks, 1);
    atomic_store(&v->user_kick, true);
    kick_backend(v);
}

void kick_quietly(Vcpu *v)
{
    kick_backend(v);
}

/* Under lock, which it lets go for the kick. */
static int stop_running(Vcpu *v, LifeOp op, uint8_t want, Err *err)
{
    Waiter w = {.next = v->waiters, .op = op};
    v->waiters = &w;
    pthread_mutex_unlock(&v->lock);
    kick_quietly(v);
    pthread_mutex_lock(&v->lock);
    while (!w.is_done) {
        pthread_cond_wait(&v->idle, &v->lock);
    }
    int rc = 0;
    if (w.state != want) {
        rc = err_set(err, ERR_STATE, "%s: the vcpu left run() to state %s", op_name(v, op),
                     v->vm->model->states[w.state]);
        v->stats.rejected++;
    }
    if (!w.is_reported) {
        op_report(v, op, w.state, w.state, rc);
    }
    return rc;
}

static int stop(Vcpu *v, LifeOp op, Err *err)
{
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    const LifeCell *cell = cell_of(v, state, op);
    uint8_t to = cell->to[OUT_OK];
    if (cell->verdict) {
        rc = op_reject(v, op, cell, err);
    } else if (v->inside == INSIDE_RUN && cell_of(v, state, LIFE_run)->during == state) {
        rc = stop_running(v, op, to, err);
    } else {
        state_apply(v, op, to == LIFE_STAY ? state : to, 0);
    }
    pthread_mutex_unlock(&v->lock);
    vm_leave(v->vm);
    return rc;
}

int vcpu_pause(Vcpu *v, Err *err)
{
    return stop(v, LIFE_pause, err);
}

int vcpu_halt(Vcpu *v, Err *err)
{
    return stop(v, LIFE_halt, err);
}

int vcpu_resume(Vcpu *v, Err *err)
{
    return op_plain(v, LIFE_resume, 0, err);
}

int events_check(const Vcpu *v, const Event *e, Err *err)
{
    static const Cap needs[] = {
        [EV_VECTOR] = CAP_irq_vector,  [EV_NMI] = CAP_nmi, [EV_LINE] = CAP_irq_line, [EV_EXCEPTION] = CAP_COUNT,
        [EV_SHUTDOWN_REQ] = CAP_COUNT,
    };
    if ((unsigned)e->kind < EV_VECTOR || (unsigned)e->kind > EV_SHUTDOWN_REQ) {
        return err_set(err, ERR_INVAL, "interrupt: no event of kind %u", (unsigned)e->kind);
    }
    Cap cap = needs[e->kind];
    const Caps *caps = &v->vm->caps;
    if (cap != CAP_COUNT && caps->level[cap] < CAP_PARTIAL) {
        const char *why = caps->why[cap];
        return err_unsupported(err, v->vm->backend->name, cap_name(cap), why ? why : "not there");
    }
    return 0;
}

int vcpu_interrupt(Vcpu *v, const Event *e, Err *err)
{
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    bool is_inside = false;
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    const LifeCell *cell = cell_of(v, state, LIFE_interrupt);
    if (cell->verdict) {
        rc = op_reject(v, LIFE_interrupt, cell, err);
    } else {
        rc = events_check(v, e, err);
        if (!rc && v->nqueue == MAX_EVENTS) {
            rc = err_set(err, ERR_LIMIT, "interrupt: %u events wait already", MAX_EVENTS);
        }
        uint8_t to = cell->to[rc ? OUT_ERROR : OUT_OK];
        if (!rc) {
            v->queue[v->nqueue++] = *e;
            is_inside = v->inside == INSIDE_RUN;
        }
        state_apply(v, LIFE_interrupt, to == LIFE_STAY ? state : to, rc);
    }
    pthread_mutex_unlock(&v->lock);
    if (is_inside) {
        kick_quietly(v);
    }
    vm_leave(v->vm);
    return rc;
}

/* ---- axvcpu's own ---- */
int vcpu_reserve(Vcpu *v, Err *err)
{
    return op_plain(v, LIFE_reserve, 0, err);
}

int vcpu_rollback(Vcpu *v, Err *err)
{
    return op_plain(v, LIFE_rollback, 0, err);
}

static int state_check(const Vcpu *v, uint8_t state, Err *err)
{
    return state < v->vm->model->nstates ? 0 : err_set(err, ERR_INVAL, "%s has no state %u", v->vm->model->name, state);
}

int vcpu_set_state(Vcpu *v, uint8_t to, Err *err)
{
    int rc = state_check(v, to, err);
    return rc ? call_told(v->vm, "vcpu_set_state", rc) : op_plain(v, LIFE_set_state, to, err);
}

int vcpu_transition(Vcpu *v, uint8_t from, uint8_t to, Err *err)
{
    int rc = state_check(v, from, err);
    rc = rc ? rc : state_check(v, to, err);
    rc = rc ? call_told(v->vm, "vcpu_transition", rc) : vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&v->lock);
    uint8_t state = atomic_load(&v->state);
    const LifeModel *m = v->vm->model;
    const LifeCell *cell = cell_of(v, state, LIFE_transition);
    if (cell->verdict) {
        rc = op_reject(v, LIFE_transition, cell, err);
    } else if (state != from) {
        rc = err_set(err, ERR_STATE, "%s: VCpu state is not %s, but %s", op_name(v, LIFE_transition), m->states[from],
                     m->states[cell->rejected_to]);
        v->stats.rejected++;
        state_apply(v, LIFE_transition, cell->rejected_to, rc);
    } else {
        state_apply(v, LIFE_transition, to, 0);
    }
    pthread_mutex_unlock(&v->lock);
    vm_leave(v->vm);
    return rc;
}

/* ---- registers ---- */
static int regs_check(const Vcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (REG_GUEST(io[i].id) != v->vm->cfg.guest) {
            *bad = i;
            return err_set(err, ERR_NOENT, "register 0x%llx is none of guest %s", (unsigned long long)io[i].id,
                           guest_name(v->vm->cfg.guest));
        }
    }
    return 0;
}

int vcpu_get_regs(Vcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    size_t at = 0;
    Op o;
    int rc = op_begin(v, LIFE_get_regs, 0, &o, err);
    if (rc) {
        return rc;
    }
    rc = regs_check(v, io, n, &at, err);
    if (!rc) {
        rc = v->vm->backend->vcpu->get_regs(atomic_load(&v->be), io, n, &at, err);
    }
    if (bad) {
        *bad = at;
    }
    return op_end_rc(v, &o, rc);
}

typedef struct {
    const RegIo *io;
    size_t n, bad;
} Batch;

static int set_regs_as(Vcpu *v, LifeOp op, Batch *b, Err *err)
{
    Op o;
    int rc = op_begin(v, op, OP_NEEDS_REPLIED, &o, err);
    if (rc) {
        return rc;
    }
    rc = regs_check(v, b->io, b->n, &b->bad, err);
    if (!rc) {
        rc = v->vm->backend->vcpu->set_regs(atomic_load(&v->be), b->io, b->n, &b->bad, err);
    }
    return op_end_rc(v, &o, rc);
}

int vcpu_set_regs(Vcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    Batch b = {.io = io, .n = n};
    int rc = set_regs_as(v, LIFE_set_regs, &b, err);
    if (bad) {
        *bad = b.bad;
    }
    return rc;
}

static int set_u64(Vcpu *v, LifeOp op, RegId id, uint64_t value, Err *err)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    RegIo io = {.id = id, .bytes = bytes};
    return set_regs_as(v, op, &(Batch){.io = &io, .n = 1}, err);
}

int vcpu_set_gpr(Vcpu *v, unsigned index, uint64_t value, Err *err)
{
    RegId id = REG_ID(v->vm->cfg.guest, 3, REG_GPR, index);
    if (!reg_info(id)) {
        return call_told(v->vm, "vcpu_set_gpr",
                         err_set(err, ERR_INVAL, "%s has no general register %u", guest_name(v->vm->cfg.guest), index));
    }
    return set_u64(v, LIFE_set_gpr, id, value, err);
}

int vcpu_set_return(Vcpu *v, uint64_t value, Err *err)
{
    return set_u64(v, LIFE_set_return, reg_find(v->vm->cfg.guest, "ret")->id, value, err);
}

int vcpu_reg_list(Vcpu *v, RegId *ids, size_t *n, Err *err)
{
    int rc = use_begin(v, "vcpu_reg_list", "reg_list", err);
    if (rc) {
        return rc;
    }
    rc = owner_take(v, err);
    return use_end(v, "vcpu_reg_list", rc ? rc : v->vm->backend->vcpu->reg_list(atomic_load(&v->be), ids, n, err));
}

int vcpu_breaks(Vcpu *v, const Break *list, size_t n, Err *err)
{
    const VcpuOps *ops = v->vm->backend->vcpu;
    if (!ops->breaks) {
        const char *why = v->vm->caps.why[CAP_hw_break];
        return call_told(v->vm, "vcpu_breaks",
                         err_unsupported(err, v->vm->backend->name, "hw_break", why ? why : "not there"));
    }
    int rc = use_begin(v, "vcpu_breaks", "breaks", err);
    if (rc) {
        return rc;
    }
    rc = owner_take(v, err);
    return use_end(v, "vcpu_breaks", rc ? rc : ops->breaks(atomic_load(&v->be), list, n, err));
}

/* ---- replies ---- */
int vcpu_reply(Vcpu *v, const Reply *r, Err *err)
{
    int rc = use_begin(v, "vcpu_reply", "reply", err);
    if (rc) {
        return rc;
    }
    if (!atomic_load(&v->reply_due)) {
        return use_end(v, "vcpu_reply", err_set(err, ERR_STATE, "reply: no exit awaits one"));
    }
    rc = owner_take(v, err);
    if (rc) {
        return use_end(v, "vcpu_reply", rc);
    }
    Reply raw = *r;
    bool is_sized = v->due.kind == EXIT_mmio_read || v->due.kind == EXIT_io_read;
    if (is_sized && v->due.size_bytes < 8) {
        raw.value &= ((uint64_t)1 << (8 * v->due.size_bytes)) - 1;
    }
    rc = v->vm->backend->vcpu->reply(atomic_load(&v->be), &raw, err);
    if (!rc) {
        atomic_store_explicit(&v->reply_due, false, memory_order_release);
    }
    return use_end(v, "vcpu_reply", rc);
}

bool vcpu_reply_due(const Vcpu *v)
{
    return atomic_load(&v->reply_due);
}

/* ---- to look at ---- */
uint8_t vcpu_state(const Vcpu *v)
{
    return atomic_load(&v->state);
}

uint8_t vcpu_id(const Vcpu *v)
{
    return v->cfg.id;
}

Vm *vcpu_vm(const Vcpu *v)
{
    return v->vm;
}

void vcpu_stats(const Vcpu *v, VcpuStats *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&v->lock;
    pthread_mutex_lock(lock);
    *out = v->stats;
    pthread_mutex_unlock(lock);
    out->kicks = atomic_load(&v->nkicks);
}
