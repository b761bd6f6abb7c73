/* SPDX-License-Identifier: Apache-2.0
 * vm_run and vcpu_serve: the loops over exits. What the board claims is answered and goes on; the first exit that it does not claim is
 * the caller's. With FW_BOARD the start and stop of secondary vcpus (PSCI CPU_ON/CPU_OFF, SBI HSM) are served here too.
 *
 * A secondary vcpu is parked until a cpu_up names it. Under FW_BOARD its pc and boot argument are set here; under
 * FW_EXIT the caller, who got the exit, does that before its next vm_run.
 *
 * Who extends a read: the board answers with raw bytes of the access's size; vcpu_reply cuts them to it and hands them
 * down. The platform then fills the register (KVM's kernel does so itself; a backend that must do it by hand calls
 * exit_extend()), so that the rule is written once and no value is extended twice. */
#include "accel/core.h"
#include "sim/base/os.h"

typedef struct {
    Vm *vm;
    const RunArgs *until;
    bool is_round_robin, waits; /* waits: idles until somebody wakes the vcpu */
    uint64_t left;              /* of until.insns */
    VmExit *exit;
    Err *err;
} Loop;

static const Board *live_board(const Vm *vm)
{
    return vm->cfg.board && vm->cfg.board->attach ? vm->cfg.board : NULL;
}

static bool is_for_board(const Vm *vm, const VmExit *e, bool *is_traced)
{
    const Board *b = vm->cfg.board;
    return b && e->reply != REPLY_none && b->claims(b->ctx, e->kind, e->addr, is_traced);
}

static bool is_for_firmware(const Vm *vm, const VmExit *e)
{
    const Board *b = vm->cfg.board;
    if (vm->cfg.firmware != FW_BOARD) {
        return false;
    }
    return b && b->takes ? b->takes(b->ctx, e) : e->kind == EXIT_cpu_up || e->kind == EXIT_cpu_down;
}

/* What no caller asked for: the end of an entry that was cut for the board's time, and idling, which the board ends. */
static bool is_pause(const Vcpu *v, const VmExit *e)
{
    bool is_cut = v->is_bound && (e->kind == EXIT_budget || (e->kind == EXIT_canceled && !v->is_stop_asked));
    return is_cut || (live_board(v->vm) && (e->kind == EXIT_halt || e->kind == EXIT_idle));
}

/* The ExitFilter: an exit that will be completed here is marked before the observer hears of it. */
static bool mark_completed(Vm *vm, VmExit *e)
{
    bool is_traced = true, is_paused = is_pause(vm_vcpu(vm, e->vcpu), e);
    e->is_completed = is_for_board(vm, e, &is_traced) || is_for_firmware(vm, e) || is_paused;
    return is_traced && !is_paused;
}

/* ---- firmware ---- */
typedef enum { POWER_ok, POWER_already_on, POWER_no_such } PowerResult;

/* PSCI (Arm DEN 0022, 5.2.2): 0, ALREADY_ON -4, INVALID_PARAMETERS -2. SBI HSM (SBI 2.0, ch. 9): 0,
 * SBI_ERR_ALREADY_AVAILABLE -6, SBI_ERR_INVALID_PARAM -3. SIPI on x86 returns nothing. */
static int firmware_return(Vcpu *v, PowerResult r, Err *err)
{
    static const int64_t psci[] = {0, -4, -2}, sbi[] = {0, -6, -3};
    switch (v->vm->cfg.guest) {
    case GUEST_aarch64:
        return vcpu_set_return(v, (uint64_t)psci[r], err);
    case GUEST_riscv64:
        return vcpu_set_return(v, (uint64_t)sbi[r], err);
    case GUEST_x86_64:
    case GUEST_COUNT:
        return 0;
    }
    return 0;
}

static Vcpu *find_by_hw_id(const Vm *vm, uint64_t hw_id)
{
    for (int i = 0; i < MAX_VCPUS; i++) {
        Vcpu *v = vm_vcpu(vm, (uint8_t)i);
        if (v && v->cfg.hw_id == hw_id) {
            return v;
        }
    }
    return NULL;
}

static int set_named(Vcpu *v, const char *name, uint64_t value, Err *err)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    RegIo io = {.id = reg_find(v->vm->cfg.guest, name)->id, .bytes = bytes};
    return vcpu_set_regs(v, &io, 1, NULL, err);
}

/* What a started vcpu finds: pc at the entry; aarch64 x0 = context id (DEN 0022, 6.4); riscv64 a0 = hart id, a1 =
 * opaque (SBI 2.0, 9.1). */
static int start_vcpu(Vcpu *v, const VmExit *e, Err *err)
{
    int rc = set_named(v, "pc", e->arg[0], err);
    if (!rc && v->vm->cfg.guest == GUEST_riscv64) {
        rc = set_named(v, "arg0", v->cfg.hw_id, err);
        rc = rc ? rc : set_named(v, "arg1", e->arg[1], err);
    } else if (!rc && v->vm->cfg.guest == GUEST_aarch64) {
        rc = set_named(v, "arg0", e->arg[1], err);
    }
    if (!rc) {
        atomic_store(&v->is_started, true);
    }
    return rc;
}

static int serve_firmware(Vcpu *v, const VmExit *e, Err *err)
{
    if (e->kind == EXIT_cpu_down) {
        atomic_store(&v->is_started, false);
        return 0;
    }
    Vcpu *target = find_by_hw_id(v->vm, e->addr);
    if (!target) {
        return firmware_return(v, POWER_no_such, err);
    }
    if (atomic_load(&target->is_started)) {
        return firmware_return(v, POWER_already_on, err);
    }
    int rc = start_vcpu(target, e, err);
    return rc ? rc : firmware_return(v, POWER_ok, err);
}

/* Where there is no such register (x86_64, aarch64) a suspended or stopped vcpu stops by itself: nothing to say. */
static int set_mp_state(Vcpu *v, uint32_t state, Err *err)
{
    const RegInfo *reg = reg_find(v->vm->cfg.guest, "mp_state");
    uint8_t bytes[8] = {(uint8_t)state};
    int rc = reg ? vcpu_set_regs(v, &(RegIo){reg->id, bytes}, 1, NULL, err) : 0;
    return rc == -ERR_NOENT || rc == -ERR_UNSUPPORTED ? 0 : rc;
}

/* SBI 9.4: non-retentive suspend keeps what may wake the hart, and begins as a started one. */
static int suspend_to(Vcpu *v, const CallAnswer *a, Err *err)
{
    uint8_t enabled[8];
    RegIo io = {reg_find(v->vm->cfg.guest, "sie")->id, enabled};
    VcpuSetup setup = v->setup;
    setup.entry = (Gpa){a->entry};
    int rc = vcpu_get_regs(v, &io, 1, NULL, err);
    rc = rc ? rc : vcpu_setup_now(v, &setup, err);
    rc = rc ? rc : set_named(v, "pc", a->entry, err);
    rc = rc ? rc : set_named(v, "arg0", v->cfg.hw_id, err);
    rc = rc ? rc : set_named(v, "arg1", a->arg, err);
    return rc ? rc : vcpu_set_regs(v, &io, 1, NULL, err);
}

enum { MP_SUSPENDED = 3, MP_STOPPED = 5 }; /* KVM_MP_STATE_HALTED, KVM_MP_STATE_STOPPED */

static int serve_call(Vcpu *v, const VmExit *e, Err *err)
{
    const Board *b = v->vm->cfg.board;
    static const char *const ret[] = {"arg0", "arg1"};
    CallAnswer a = {0};
    int rc = 0;
    b->call(b->ctx, v->cfg.id, e, &a);
    for (unsigned i = 0; i < ARRAY_LEN(ret) && i < a.nret && !rc; i++) {
        rc = set_named(v, ret[i], a.ret[i], err);
    }
    switch (a.action) {
    case CALL_RETURN:
    case CALL_FINISHED:
        return rc;
    case CALL_STOP:
        atomic_store(&v->is_started, false);
        return rc ? rc : set_mp_state(v, MP_STOPPED, err);
    case CALL_SUSPEND_TO:
        rc = rc ? rc : suspend_to(v, &a, err);
        break;
    case CALL_SUSPEND:
        break;
    }
    v->is_suspended = true;
    return rc ? rc : set_mp_state(v, MP_SUSPENDED, err);
}

/* ---- one vcpu ---- */
static int serve_access(Vcpu *v, const VmExit *e, Err *err)
{
    const Board *b = v->vm->cfg.board;
    Reply r = {0};
    int rc = b->access(b->ctx, v->cfg.id, e, &r, err);
    if (r.is_fault && v->vm->caps.level[CAP_reply_fault] < CAP_PARTIAL) {
        r = (Reply){0};
    }
    return rc ? rc : vcpu_reply(v, &r, err);
}

static int complete(Vcpu *v, const VmExit *e, Err *err)
{
    const Board *b = v->vm->cfg.board;
    return e->reply != REPLY_none ? serve_access(v, e, err)
           : b && b->call         ? serve_call(v, e, err)
                                  : serve_firmware(v, e, err);
}

/* What the guest ended the machine with, as an exit. */
static bool take_finish(Vcpu *v, VmExit *exit)
{
    Finish f = v->finish;
    v->finish = (Finish){0};
    if (f.is_set) {
        *exit = (VmExit){.kind = f.is_reset ? EXIT_system_reset : EXIT_system_down, .addr = f.reason};
        exit_made(v, exit);
    }
    return f.is_set;
}

/* ---- the board's time ---- */
static bool is_virtual(const Vm *vm)
{
    return vm->caps.level[CAP_virtual_time] >= CAP_PARTIAL && vm->caps.level[CAP_insn_count] >= CAP_PARTIAL;
}

/* Does what is due for v. The next deadline, or UINT64_MAX; *now: v's time, only read where there is one. */
static uint64_t time_pass(Vcpu *v, uint64_t *now)
{
    const Board *b = live_board(v->vm);
    uint64_t at = b && b->deadline ? b->deadline(b->ctx, v->cfg.id) : UINT64_MAX;
    if (at == UINT64_MAX) {
        return at;
    }
    *now = guest_ns(v);
    if (at <= *now) {
        b->tick(b->ctx, v->cfg.id);
        at = b->deadline(b->ctx, v->cfg.id);
    }
    return at;
}

/* The entry ends when the board's time is due: after so many instructions, or at so late an hour. */
static void time_bound(Vcpu *v, RunArgs *args)
{
    uint64_t now = 0, at = time_pass(v, &now);
    v->is_bound = false;
    if (at == UINT64_MAX) {
        return;
    }
    uint64_t left = at > now ? at - now : 1;
    if (is_virtual(v->vm)) {
        v->is_bound = left < args->insns;
        args->insns = v->is_bound ? left : args->insns;
    } else if (v->vm->caps.level[CAP_deadline] >= CAP_PARTIAL) {
        uint64_t until = v->vm->opened_ns + at;
        v->is_bound = until < args->deadline_ns;
        args->deadline_ns = v->is_bound ? until : args->deadline_ns;
    }
}

/* ---- idling ---- */
/* v waits for an interrupt. True: its time has gone on to its next deadline, and the board has raised what was due. */
static bool skip_idle(Vcpu *v)
{
    const Board *b = live_board(v->vm);
    uint64_t now = 0, at = time_pass(v, &now);
    if (atomic_load(&v->has_mail)) {
        return true;
    }
    if (at == UINT64_MAX || !is_virtual(v->vm) || guest_ns_set(v, at, NULL)) {
        return false;
    }
    b->tick(b->ctx, v->cfg.id);
    return atomic_load(&v->has_mail);
}

static bool is_halted(const Vcpu *v)
{
    const LifeCell *wake = cell_of(v, vcpu_state(v), LIFE_interrupt);
    return cell_of(v, vcpu_state(v), LIFE_run)->verdict && !wake->verdict && wake->to[OUT_OK] != LIFE_STAY;
}

/* Something to do for v, which idles? A halted one is then ready. */
static bool is_woken(Vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    bool is = v->nqueue || atomic_load(&v->has_mail) || v->waiters;
    if (v->nqueue || atomic_load(&v->has_mail)) {
        vcpu_wake(v);
    }
    pthread_mutex_unlock(&v->lock);
    return is || (cell_of(v, vcpu_state(v), LIFE_run)->verdict && !is_halted(v));
}

/* Until somebody wakes v. 1: the caller's kick or deadline came first, which is the exit. */
static int wait_idle(Loop *l, Vcpu *v)
{
    struct timespec nap = {0, 50000};
    for (;;) {
        if (skip_idle(v) || is_woken(v)) {
            (void)is_woken(v);
            return 0;
        }
        bool is_over = l->until->deadline_ns != UINT64_MAX && os_now_ns() >= l->until->deadline_ns;
        if (is_over || atomic_exchange(&v->user_kick, false) || atomic_load(&v->vm->is_closing)) {
            *l->exit = (VmExit){.kind = EXIT_canceled};
            exit_made(v, l->exit);
            return 1;
        }
        nanosleep(&nap, NULL);
    }
}

/* axvcpu runs only what is bound; a model without bind runs as it is. */
static int bind_if_needed(Vcpu *v, Err *err)
{
    bool has_bind = v->vm->model->op_names[LIFE_bind];
    bool is_free = has_bind && !cell_of(v, vcpu_state(v), LIFE_bind)->verdict;
    return is_free ? vcpu_bind(v, err) : 0;
}

static int unbind_if_bound(Vcpu *v, int rc, Err *err)
{
    if (!v->vm->model->op_names[LIFE_unbind] || cell_of(v, vcpu_state(v), LIFE_unbind)->verdict) {
        return rc; /* poisoned, or never bound: there is nothing left to undo */
    }
    Err ignored;
    int rc2 = vcpu_unbind(v, rc ? &ignored : err);
    return rc ? rc : rc2;
}

/* One entry, and what it used of the limits. */
static int enter(Loop *l, Vcpu *v, uint64_t *quantum)
{
    RunArgs args = *l->until;
    args.insns = *quantum < l->left ? *quantum : l->left;
    time_bound(v, &args);
    uint64_t before = v->insns;
    int rc = vcpu_run_filtered(v, &args, l->exit, mark_completed, l->err);
    if (!rc && l->exit->valid & HAS_insns) {
        uint64_t used = v->insns - before;
        l->left -= l->left == UINT64_MAX ? 0 : used < l->left ? used : l->left;
        *quantum -= *quantum == UINT64_MAX ? 0 : used < *quantum ? used : *quantum;
    }
    bool has_gone_on = l->exit->kind != EXIT_halt && l->exit->kind != EXIT_idle && l->exit->kind != EXIT_canceled;
    if (!rc && v->is_suspended && has_gone_on) {
        v->is_suspended = false;
        v->vm->cfg.board->resumed(v->vm->cfg.board->ctx, v->cfg.id);
    }
    return rc;
}

enum { AGAIN = 2 };

/* A model without a halted state cannot be passed over: then it goes on at once, or its halt is the caller's. */
static int after_idle(Loop *l, Vcpu *v)
{
    if (l->waits) {
        return wait_idle(l, v) ? 1 : AGAIN;
    }
    if (is_halted(v)) {
        return 0;
    }
    if (skip_idle(v)) {
        return AGAIN;
    }
    l->exit->is_completed = false;
    exit_made(v, l->exit);
    return 1;
}

/* 0: the turn is over; 1: an exit for the caller; AGAIN. */
static int after_exit(Loop *l, Vcpu *v)
{
    bool is_counted = l->vm->caps.level[CAP_insn_count] >= CAP_PARTIAL;
    if (is_pause(v, l->exit)) {
        bool is_idle = l->exit->kind == EXIT_halt || l->exit->kind == EXIT_idle;
        return is_idle ? after_idle(l, v) : AGAIN;
    }
    int rc = complete(v, l->exit, l->err);
    if (rc) {
        return rc;
    }
    if (take_finish(v, l->exit)) {
        return 1;
    }
    bool is_turn_over = (l->is_round_robin && !is_counted) || !(l->waits || atomic_load(&v->is_started));
    return is_turn_over ? 0 : AGAIN;
}

/* Runs v until its quantum is used up or an exit is not completed here. 1: an exit for the caller; 0: next vcpu. */
static int run_turn(Loop *l, Vcpu *v, uint64_t quantum)
{
    for (;;) {
        int rc = enter(l, v, &quantum);
        if (rc) {
            return rc;
        }
        if (!l->exit->is_completed) {
            bool is_turn_over = l->exit->kind == EXIT_budget && !quantum && l->left;
            return is_turn_over ? 0 : 1;
        }
        rc = after_exit(l, v);
        if (rc != AGAIN) {
            return rc;
        }
    }
}

int vcpu_serve(Vcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    *exit = (VmExit){0};
    Loop l = {.vm = v->vm, .until = args, .waits = true, .left = args->insns, .exit = exit, .err = err};
    if (v->vm->stands) { /* all of this is done where the board is */
        RunArgs inside = *args;
        inside.serve_board = true;
        return call_told(v->vm, "vcpu_serve", vcpu_run(v, &inside, exit, err));
    }
    int rc = vm_enter(v->vm, err);
    if (rc) {
        return rc;
    }
    if (live_board(v->vm) && is_halted(v)) { /* the last run ended while it idled */
        rc = owner_take(v, err);
        rc = rc ? rc : wait_idle(&l, v);
    }
    rc = rc ? rc : run_turn(&l, v, UINT64_MAX);
    rc = rc > 0 ? 0 : rc;
    call_told(v->vm, "vcpu_serve", rc);
    vm_leave(v->vm);
    return rc;
}

static int run_bound(Loop *l, Vcpu *v, uint64_t quantum)
{
    int rc = bind_if_needed(v, l->err);
    rc = rc ? rc : run_turn(l, v, quantum);
    return unbind_if_bound(v, rc, l->err);
}

/* A vcpu that may take a turn: started, and not halted, faulted or otherwise out of the game unless it is the only one.
 */
static bool is_runnable(const Vcpu *v)
{
    uint8_t state = vcpu_state(v);
    return atomic_load(&v->is_started) &&
           (!cell_of(v, state, LIFE_run)->verdict || !cell_of(v, state, LIFE_bind)->verdict);
}

static Vcpu *first_vcpu(const Vm *vm)
{
    for (int i = 0; i < MAX_VCPUS; i++) {
        Vcpu *v = vm_vcpu(vm, (uint8_t)i);
        if (v && !v->cfg.is_secondary) {
            return v;
        }
    }
    return NULL;
}

static int run_all(Loop *l, uint64_t quantum_insns, bool *is_any)
{
    uint64_t quantum = quantum_insns ? quantum_insns : UINT64_MAX;
    if (l->vm->caps.level[CAP_insn_count] < CAP_PARTIAL) {
        quantum = UINT64_MAX;
    }
    for (int i = 0; i < MAX_VCPUS; i++) {
        Vcpu *v = vm_vcpu(l->vm, (uint8_t)i);
        if (!v || !is_runnable(v)) {
            continue;
        }
        *is_any = true;
        int rc = run_bound(l, v, quantum);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* Everybody idles. The one with the first deadline goes on then. False: nobody has one. */
static bool wake_first(const Vm *vm)
{
    const Board *b = live_board(vm);
    Vcpu *first = NULL;
    uint64_t first_at = UINT64_MAX;
    for (int i = 0; b && b->deadline && i < MAX_VCPUS; i++) {
        Vcpu *v = vm_vcpu(vm, (uint8_t)i);
        uint64_t at = v && atomic_load(&v->is_started) && is_halted(v) ? b->deadline(b->ctx, v->cfg.id) : UINT64_MAX;
        first = at < first_at ? v : first;
        first_at = at < first_at ? at : first_at;
    }
    return first && skip_idle(first) && is_woken(first);
}

/* An exit that the caller gets: a cpu_up unparks its target for the next vm_run. */
static void hand_out(Vm *vm, const VmExit *e)
{
    Vcpu *target = e->kind == EXIT_cpu_up ? find_by_hw_id(vm, e->addr) : NULL;
    if (target) {
        atomic_store(&target->is_started, true);
    }
}

/* Nobody took a turn: time goes on to the first deadline, or everybody idles for ever, or bsp says why it cannot run. */
static int run_idle(Loop *l, Vcpu *bsp)
{
    if (wake_first(l->vm)) {
        return 0;
    }
    if (!live_board(l->vm) || !is_halted(bsp)) {
        return run_bound(l, bsp, UINT64_MAX);
    }
    *l->exit = (VmExit){.kind = EXIT_halt};
    exit_made(bsp, l->exit);
    return 1;
}

int vm_run(Vm *vm, const VmRunArgs *args, VmExit *exit, Err *err)
{
    *exit = (VmExit){0};
    Loop l = {.vm = vm,
              .until = &args->until,
              .is_round_robin = args->is_round_robin,
              .left = args->until.insns,
              .exit = exit,
              .err = err};
    int rc = vm_enter(vm, err);
    if (rc) {
        return rc;
    }
    Vcpu *bsp = first_vcpu(vm);
    if (!bsp) {
        rc = err_set(err, ERR_STATE, "vm run: there is no vcpu to boot on");
    }
    while (!rc) {
        bool is_any = args->is_round_robin ? false : !live_board(vm) || !is_halted(bsp);
        rc = args->is_round_robin ? run_all(&l, args->quantum_insns, &is_any)
             : is_any             ? run_bound(&l, bsp, UINT64_MAX)
                                  : 0;
        rc = rc || is_any ? rc : run_idle(&l, bsp);
        if (!rc && !args->is_round_robin && !atomic_load(&bsp->is_started)) {
            rc = err_set(err, ERR_STATE, "vm run: vcpu %u was switched off", bsp->cfg.id);
        }
    }
    if (rc > 0) {
        hand_out(vm, exit);
        rc = 0;
    }
    call_told(vm, "vm_run", rc);
    vm_leave(vm);
    return rc;
}
