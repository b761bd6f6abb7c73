/* SPDX-License-Identifier: Apache-2.0
 * run.c - entering the simulator, and finishing what an exit left open. The rules are in impl.h. */
#include "accel/sim/impl.h"
#include "sim/base/os.h"

#include <string.h>

/* With a deadline the host's clock is looked at so often: about 1 ms of the interpreter. */
enum { SLICE_INSNS = 200000 };

void sim_be_kick(BeVcpu *v)
{
    atomic_store(&v->is_kicked, true);
    sim_kick(v->s);
}

/* ---- exits ---- */
#define X(name) [SIM_EXIT_##name] = EXIT_##name,
static const ExitKind kinds[] = {SIM_EXIT_MAP(X)};
#undef X
_Static_assert(SIM_EXIT_COUNT == 16, "a new kind of stop: say in valid_of what it gives");

ExitKind sim_exit_kind(SimExitKind kind)
{
    return kinds[kind];
}

static uint32_t valid_of(const SimExit *e)
{
    switch (e->kind) {
    case SIM_EXIT_mmio_read:
    case SIM_EXIT_sysreg_read:
        return HAS_pc_before | HAS_pc_after;
    case SIM_EXIT_mmio_write:
    case SIM_EXIT_sysreg_write:
        return HAS_pc_before | HAS_pc_after | HAS_value;
    case SIM_EXIT_hypercall:
    case SIM_EXIT_cpu_up:
    case SIM_EXIT_cpu_down:
        return HAS_pc_before | HAS_pc_after;
    case SIM_EXIT_nested_page_fault:
        return HAS_pc_before | HAS_gva;
    case SIM_EXIT_exception:
        return HAS_pc_before | HAS_value;
    case SIM_EXIT_debug:
        return e->arg[0] == DEBUG_BREAK || e->arg[0] == DEBUG_SW_BREAK ? HAS_pc_before : HAS_pc_after;
    case SIM_EXIT_halt:
    case SIM_EXIT_system_down:
    case SIM_EXIT_system_reset:
        return HAS_pc_after;
    case SIM_EXIT_budget:
    case SIM_EXIT_canceled:
    case SIM_EXIT_shutdown:
    case SIM_EXIT_COUNT:
        break;
    }
    return 0;
}

/* Whatever run() returns is shown here; what awaits a reply is due from now on. */
static void show(BeVcpu *v, const SimExit *e, VmExit *exit)
{
    *exit = (VmExit){.kind = kinds[e->kind],
                     .valid = valid_of(e) | HAS_insns | (e->insn_len ? HAS_insn : 0) | (e->has_reg ? HAS_reg : 0),
                     .vcpu = v->cfg.id,
                     .insn_len = e->insn_len,
                     .size_bytes = e->size_bytes,
                     .reg_size_bytes = e->reg_size_bytes,
                     .is_signed = e->is_signed,
                     .piece = e->piece,
                     .npieces = e->npieces,
                     .insns = e->insns,
                     .pc_before = e->pc_before,
                     .pc_after = e->pc_after,
                     .native = {.code = e->kind},
                     .reg = e->reg,
                     .addr = e->addr,
                     .value = e->value};
    memcpy(exit->arg, e->arg, sizeof exit->arg);
    if (e->kind == SIM_EXIT_hypercall) {
        v->vm->arch->call(exit);
    }
    exit->reply = exit_reply_kind(exit->kind);
    v->shown_insns = e->insns;
    if (e->needs_reply) {
        v->pending = PEND_DUE;
        v->is_store_due = e->kind == SIM_EXIT_mmio_write;
    }
}

/* An exit that the simulator has not made. */
static int leave(BeVcpu *v, ExitKind kind, VmExit *exit)
{
    v->shown_insns = sim_insns(v->s);
    *exit = (VmExit){.kind = kind, .valid = HAS_insns, .vcpu = v->cfg.id, .insns = v->shown_insns};
    return 0;
}

static int leave_step(BeVcpu *v, VmExit *exit, Err *err)
{
    uint64_t pc = 0;
    int rc = sim_reg_get(v->s, reg_find(sim_guest(v->vm->sim), "pc")->id, &pc, err);
    leave(v, EXIT_debug, exit);
    exit->arg[0] = DEBUG_STEP;
    exit->addr = exit->pc_after = pc;
    exit->valid |= HAS_pc_after;
    return rc;
}

/* ---- pending accesses ---- */
static int settle(BeVcpu *v, Err *err)
{
    return sim_settle(v->s, &v->kept, &v->has_kept, err);
}

int sim_look(BeVcpu *v, Err *err)
{
    int rc = 0;
    if (v->pending == PEND_REPLIED) {
        v->pending = PEND_NONE;
        rc = settle(v, err);
    } else if (v->pending == PEND_DUE && v->is_store_due) {
        v->pending = PEND_SETTLED;
        rc = sim_reply(v->s, 0, false, err);
        rc = rc ? rc : settle(v, err);
    }
    return rc;
}

int sim_look_write(BeVcpu *v, Err *err)
{
    if (v->pending == PEND_DUE || v->pending == PEND_SETTLED) {
        return err_set(err, ERR_BUSY, "a reply is due");
    }
    int rc = sim_look(v, err);
    if (!rc && v->has_kept) {
        return err_set(err, ERR_BUSY, "an instruction is under way: a further piece of its access is still to come");
    }
    return rc;
}

int sim_be_reply(BeVcpu *v, const Reply *r, Err *err)
{
    if (v->pending == PEND_SETTLED) {
        if (r->is_fault) {
            return err_unsupported(err, v->vm->backend->name, "reply_fault",
                                   "the registers were looked at, which has retired the store");
        }
        v->pending = PEND_NONE;
        return 0;
    }
    if (v->pending != PEND_DUE) {
        return err_set(err, ERR_STATE, "no reply is due");
    }
    int rc = sim_reply(v->s, r->value, r->is_fault, err);
    v->pending = rc ? PEND_DUE : PEND_REPLIED;
    return rc;
}

/* ---- run ---- */
static int run_check(const BeVcpu *v, const RunArgs *args, Err *err)
{
    const char *name = v->vm->backend->name;
    if (v->pending == PEND_DUE || v->pending == PEND_SETTLED) {
        return err_set(err, ERR_BUSY, "a reply is due");
    }
    if (!v->is_set_up) {
        return err_set(err, ERR_STATE, "run before setup");
    }
    return args->irq_window
               ? err_unsupported(err, name, "irq_window", "lines are held, so there is nothing to wait for")
               : 0;
}

enum { ENTER = 1 }; /* what the functions below return when run() has nothing to say yet */

/* What can be returned without running the guest. */
static int run_without_entry(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    bool is_step_open = v->is_step_open;
    if (atomic_exchange(&v->is_kicked, false)) {
        return leave(v, EXIT_canceled, exit);
    }
    if (v->has_kept) {
        v->has_kept = false;
        show(v, &v->kept, exit);
        return 0;
    }
    v->is_step_open = false;
    if (is_step_open && args->is_step) {
        return leave_step(v, exit, err);
    }
    return v->is_parked ? leave(v, EXIT_idle, exit) : ENTER;
}

/* Is the access that has just stopped one for the board, to be served in here? */
static bool is_for_board(const BeVcpu *v, const RunArgs *args, const VmExit *e)
{
    const Board *b = v->vm->board;
    bool is_traced;
    return args->serve_board && b && e->reply != REPLY_none && b->claims(b->ctx, e->kind, e->addr, &is_traced);
}

/* Answers it; the next sim_run retires it, and brings up a further piece if there is one. */
static int serve(BeVcpu *v, const VmExit *e, Err *err)
{
    const Board *b = v->vm->board;
    Reply r = {0};
    int rc = b->access(b->ctx, v->cfg.id, e, &r, err);
    return rc ? rc : sim_be_reply(v, &r, err);
}

static bool is_past(uint64_t deadline_ns)
{
    return deadline_ns != UINT64_MAX && os_now_ns() >= deadline_ns;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void use_up(uint64_t *left, uint64_t used)
{
    if (*left != UINT64_MAX) {
        *left -= min_u64(used, *left);
    }
}

/* One slice. left: of the budget. */
static int run_slice(BeVcpu *v, const RunArgs *args, uint64_t *left, VmExit *exit, Err *err)
{
    SimExit e;
    uint64_t before = sim_insns(v->s);
    SimRun until = {.insns = *left, .is_step = args->is_step};
    if (args->deadline_ns != UINT64_MAX) {
        until.insns = min_u64(until.insns, SLICE_INSNS);
    }
    v->pending = PEND_NONE;
    int rc = sim_run(v->s, &until, &e, err);
    if (rc) {
        return rc;
    }
    if (e.kind == SIM_EXIT_budget) {
        use_up(left, until.insns); /* a guest that only traps uses its budget up as well */
        if (*left) {
            return is_past(args->deadline_ns) ? leave(v, EXIT_canceled, exit) : ENTER;
        }
    } else {
        use_up(left, sim_insns(v->s) - before);
    }
    if (e.kind == SIM_EXIT_canceled && !atomic_exchange(&v->is_kicked, false)) {
        return ENTER; /* that kick was taken before */
    }
    show(v, &e, exit);
    if (!is_for_board(v, args, exit)) {
        return 0;
    }
    rc = serve(v, exit, err);
    return rc ? rc : ENTER;
}

int sim_be_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    int rc = run_check(v, args, err);
    rc = rc ? rc : sim_look(v, err);
    if (rc) {
        return rc;
    }
    uint64_t left = args->insns;
    use_up(&left, sim_insns(v->s) - v->shown_insns);
    rc = run_without_entry(v, args, exit, err);
    if (rc == ENTER && is_past(args->deadline_ns)) {
        rc = leave(v, EXIT_canceled, exit);
    }
    while (rc == ENTER) {
        rc = run_slice(v, args, &left, exit, err);
    }
    if (!rc && exit->kind != EXIT_canceled) {
        v->is_step_open = args->is_step && exit->reply != REPLY_none;
    }
    return rc;
}
