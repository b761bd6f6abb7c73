/* SPDX-License-Identifier: Apache-2.0
 * vm_run: the loop over exits. What the board claims is answered and goes on; the first exit that it does not claim is
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
    const VmRunArgs *args;
    uint64_t left; /* of until.insns */
    VmExit *exit;
    Err *err;
} Loop;

static bool is_for_board(const Vm *vm, const VmExit *e, bool *is_traced)
{
    const Board *b = vm->cfg.board;
    *is_traced = true;
    return b && e->reply != REPLY_none && b->claims(b->ctx, e->kind, e->addr, is_traced);
}

static bool is_for_firmware(const Vm *vm, const VmExit *e)
{
    return vm->cfg.firmware == FW_BOARD && (e->kind == EXIT_cpu_up || e->kind == EXIT_cpu_down);
}

/* The ExitFilter: an exit that will be completed here is marked before the observer hears of it. */
static bool mark_completed(Vm *vm, VmExit *e)
{
    bool is_traced = true;
    e->is_completed = is_for_board(vm, e, &is_traced) || is_for_firmware(vm, e);
    return is_traced;
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
    v->is_started = v->is_started || !rc;
    return rc;
}

static int serve_firmware(Vcpu *v, const VmExit *e, Err *err)
{
    if (e->kind == EXIT_cpu_down) {
        v->is_started = false;
        return 0;
    }
    Vcpu *target = find_by_hw_id(v->vm, e->addr);
    if (!target) {
        return firmware_return(v, POWER_no_such, err);
    }
    if (target->is_started) {
        return firmware_return(v, POWER_already_on, err);
    }
    int rc = start_vcpu(target, e, err);
    return rc ? rc : firmware_return(v, POWER_ok, err);
}

/* ---- one vcpu ---- */
static int complete(Vcpu *v, const VmExit *e, Err *err)
{
    const Board *b = v->vm->cfg.board;
    if (e->reply == REPLY_none) {
        return serve_firmware(v, e, err);
    }
    Reply r = {0};
    int rc = b->access(b->ctx, v->cfg.id, e, &r, err);
    return rc ? rc : vcpu_reply(v, &r, err);
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

/* Runs v until its quantum is used up or an exit is not completed here. 1: an exit for the caller; 0: next vcpu. */
static int run_turn(Loop *l, Vcpu *v, uint64_t quantum)
{
    bool is_counted = l->vm->caps.level[CAP_insn_count] >= CAP_PARTIAL;
    bool is_one_exit = l->args->is_round_robin && !is_counted;
    for (;;) {
        RunArgs args = l->args->until;
        args.insns = quantum < l->left ? quantum : l->left;
        uint64_t before = v->insns;
        int rc = vcpu_run_filtered(v, &args, l->exit, mark_completed, l->err);
        if (rc) {
            return rc;
        }
        if (l->exit->valid & HAS_insns) {
            uint64_t used = v->insns - before;
            l->left -= l->left == UINT64_MAX ? 0 : used < l->left ? used : l->left;
            quantum -= quantum == UINT64_MAX ? 0 : used < quantum ? used : quantum;
        }
        if (l->exit->is_completed) {
            rc = complete(v, l->exit, l->err);
            if (rc) {
                return rc;
            }
            if (is_one_exit || !v->is_started) {
                return 0;
            }
            continue;
        }
        bool is_turn_over = l->exit->kind == EXIT_budget && !quantum && l->left;
        return is_turn_over ? 0 : 1;
    }
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
    return v->is_started && (!cell_of(v, state, LIFE_run)->verdict || !cell_of(v, state, LIFE_bind)->verdict);
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

static int run_all(Loop *l, bool *is_any)
{
    uint64_t quantum = l->args->quantum_insns ? l->args->quantum_insns : UINT64_MAX;
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

/* An exit that the caller gets: a cpu_up unparks its target for the next vm_run. */
static void hand_out(Vm *vm, const VmExit *e)
{
    Vcpu *target = e->kind == EXIT_cpu_up ? find_by_hw_id(vm, e->addr) : NULL;
    if (target) {
        target->is_started = true;
    }
}

int vm_run(Vm *vm, const VmRunArgs *args, VmExit *exit, Err *err)
{
    *exit = (VmExit){0};
    Loop l = {.vm = vm, .args = args, .left = args->until.insns, .exit = exit, .err = err};
    int rc = vm_enter(vm, err);
    if (rc) {
        return rc;
    }
    Vcpu *bsp = first_vcpu(vm);
    if (!bsp) {
        rc = err_set(err, ERR_STATE, "vm run: there is no vcpu to boot on");
    }
    while (!rc) {
        bool is_any = false;
        rc = args->is_round_robin ? run_all(&l, &is_any) : run_bound(&l, bsp, UINT64_MAX);
        if (!rc && args->is_round_robin && !is_any) {
            rc = run_bound(&l, bsp, UINT64_MAX); /* says why it cannot run */
        }
        if (!rc && !args->is_round_robin) {
            rc = err_set(err, ERR_STATE, "vm run: vcpu %u was switched off", bsp->cfg.id);
        }
    }
    if (rc > 0) {
        hand_out(vm, exit);
        rc = 0;
    }
    vm_leave(vm);
    return rc;
}
