/* SPDX-License-Identifier: Apache-2.0
 * sim_run.c - running one vcpu: what the dispatcher stopped for, as an exit. */
#include "sim/sim_int.h"

/* The guest's register of 8 bytes that is this slot; 0: none. */
static RegId reg_of_slot(const Sim *s, Slot at)
{
    const IrGuest *ir = &s->isa->ir;
    for (size_t i = 0; i < ir->nslots; i++) {
        const RegInfo *reg = ir->slots[i].at == at ? reg_find(s->isa->id, ir->slots[i].name) : NULL;
        if (reg && REG_SIZE(reg->id) == 8) {
            return reg->id;
        }
    }
    return 0;
}

/* Found by name, and kept: of the accesses that stop a vcpu many in a row are one instruction's. */
static RegId reg_of_access(SimVcpu *v, Slot at)
{
    if (v->reg_slot != at) {
        v->reg_slot = at;
        v->reg_id = reg_of_slot(v->s, at);
    }
    return v->reg_id;
}

static void access_fill(SimVcpu *v, SimExit *out)
{
    const ExecAccess *a = exec_access(v->x);
    out->kind = a->is_write ? SIM_EXIT_mmio_write : SIM_EXIT_mmio_read;
    out->needs_reply = true;
    out->is_signed = a->is_signed;
    out->insn_len = a->insn_len;
    out->size_bytes = a->size_bytes;
    out->reg_size_bytes = a->reg_size_bytes;
    out->piece = a->piece;
    out->npieces = a->npieces;
    out->reg = a->is_write ? 0 : reg_of_access(v, a->dst);
    out->has_reg = out->reg != 0;
    out->pc_before = exec_frame(v->x)->pc;
    out->pc_after = out->pc_before + a->insn_len;
    out->addr = a->gpa;
    out->gva = a->gva;
    out->value = a->value;
}

static void call_fill(SimVcpu *v, SimExit *out)
{
    GuestCall call = {0};
    v->s->isa->call_get(exec_frame(v->x), &call);
    out->kind = SIM_EXIT_hypercall;
    out->insn_len = (uint8_t)exec_frame(v->x)->stop_imm; /* the call's own length */
    out->pc_before = out->pc_after - out->insn_len;
    out->addr = call.nr;
    for (unsigned i = 0; i < 6; i++) {
        out->arg[i] = call.arg[i];
    }
}

/* As accel.h's debug exit: arg[0] is a DebugKind: 1 step, 2 breakpoint, 3 watchpoint, 4 breakpoint instruction. */
static void debug_fill(SimVcpu *v, ExecStop stop, SimExit *out)
{
    const ExecAccess *a = exec_access(v->x);
    out->kind = SIM_EXIT_debug;
    out->addr = out->pc_after;
    out->arg[0] = 1;
    if (stop == EXEC_BREAK) {
        out->addr = out->gva = a->gva;
        out->arg[0] = a->is_exec ? 2 : 3;
    }
}

/* As accel.h's nested_page_fault: MAP_x and gva are arguments. */
static void stage2_fill(SimVcpu *v, SimExit *out)
{
    enum { MAP_READ = 1, MAP_WRITE = 2, MAP_EXEC = 4 };
    const ExecAccess *a = exec_access(v->x);
    out->kind = SIM_EXIT_nested_page_fault;
    out->addr = a->gpa;
    out->gva = out->arg[1] = a->gva;
    out->arg[0] = a->is_write ? MAP_WRITE : a->is_exec ? MAP_EXEC : MAP_READ;
}

void sim_exit_fill(SimVcpu *v, ExecStop stop, SimExit *out)
{
    uint64_t pc = exec_frame(v->x)->pc;
    *out = (SimExit){.pc_before = pc, .pc_after = pc, .insns = exec_insns(v->x), .clock_ns = exec_clock_ns(v->x)};
    switch (stop) {
    case EXEC_BUDGET:
    case EXEC_CLOCK:
        out->kind = SIM_EXIT_budget;
        break;
    case EXEC_CANCELED:
        out->kind = SIM_EXIT_canceled;
        break;
    case EXEC_WAIT:
        out->kind = SIM_EXIT_halt;
        break;
    case EXEC_EXTERNAL:
        access_fill(v, out);
        break;
    case EXEC_CALL:
        call_fill(v, out);
        break;
    case EXEC_BREAK:
    case EXEC_STEP:
        debug_fill(v, stop, out);
        break;
    case EXEC_STAGE2:
        stage2_fill(v, out);
        break;
    case EXEC_ENDED:
        out->kind = SIM_EXIT_system_down;
        break;
    }
}

void sim_serve(SimVcpu *v, bool serves_board)
{
    if (v->serves_board != serves_board) { /* ways to devices are void */
        exec_forget_translations(v->x);
    }
    v->serves_board = serves_board;
}

int sim_run(SimVcpu *v, const SimRun *until, SimExit *out, Err *err)
{
    if (exec_reply_due(v->x)) {
        return err_set(err, ERR_BUSY, "vcpu %u: an access awaits its reply", v->id);
    }
    if (v->how.has_stage2) { /* the caller writes that table, and has no other word for it */
        exec_forget_translations(v->x);
    }
    sim_serve(v, until->serve_board);
    ExecStop stop =
        exec_run(v->x, &(ExecRun){.insns = until->insns, .until_ns = UINT64_MAX, .is_step = until->is_step});
    sim_exit_fill(v, stop, out);
    return 0;
}

int sim_reply(SimVcpu *v, uint64_t value, bool is_fault, Err *err)
{
    if (!exec_reply_due(v->x)) {
        return err_set(err, ERR_STATE, "vcpu %u: no reply is due", v->id);
    }
    exec_reply(v->x, value, is_fault);
    return 0;
}

int sim_settle(SimVcpu *v, SimExit *next, bool *has_next, Err *err)
{
    if (exec_reply_due(v->x)) {
        return err_set(err, ERR_BUSY, "vcpu %u: an access awaits its reply", v->id);
    }
    *has_next = exec_settle(v->x);
    if (*has_next) {
        sim_exit_fill(v, EXEC_EXTERNAL, next);
    }
    return 0;
}

void sim_kick(SimVcpu *v)
{
    exec_kick(v->x);
}
