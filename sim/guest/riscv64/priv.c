/* SPDX-License-Identifier: Apache-2.0
 * priv.c - CSR instructions (Unpriv 6) and what changes mode, waits or flushes (Priv 3.3, 12.2.1). Whether an instruction is legal is
 * known from the mode key, so that only legal ones have code. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

static void mov(Translate *t, Slot d, Slot s)
{
    ir_emit(t->ir, &(IrOp){.op = IR_mov, .d = d, .a = s});
}

/* ---- CSRs ---- */
typedef enum { CSR_WRITE, CSR_SET, CSR_CLEAR } CsrChange;

static void read_plain(Translate *t, const Csr *c, Slot d)
{
    if (c->readable == ~0ull) {
        mov(t, d, c->slot);
    } else {
        ir_opi(t->ir, IR_and_i, d, c->slot, (int64_t)c->readable);
    }
}

/* Bits of a plain CSR that are not writable are 0. */
static void change_plain(Translate *t, const Csr *c, CsrChange change, Slot value)
{
    if (change != CSR_CLEAR && c->writable != ~0ull) {
        Slot legal = ir_temp(t->ir);
        ir_opi(t->ir, IR_and_i, legal, value, (int64_t)c->writable);
        value = legal;
    }
    switch (change) {
    case CSR_WRITE:
        mov(t, c->slot, value);
        return;
    case CSR_SET:
        ir_op2(t->ir, IR_or, c->slot, c->slot, value);
        return;
    case CSR_CLEAR:
        ir_op2(t->ir, IR_andn, c->slot, c->slot, value);
        return;
    }
}

static TrResult read_only(Translate *t, unsigned number, const Csr *c, int32_t rd)
{
    Slot d = rd ? riscv_x((unsigned)rd) : ir_temp(t->ir);
    switch (c->when) {
    case WHEN_PLAIN:
    case WHEN_SYNC:
        read_plain(t, c, d);
        return TR_NEXT;
    case WHEN_CALC:
        ir_call(t->ir, c->need == NEED_F ? HELP_csr_read_fp : HELP_csr_read, d, IR_ZERO, IR_ZERO, IR_ZERO, number);
        return TR_NEXT;
    case WHEN_COUNT:
        if (number - 0xc03 < HPM_COUNTERS && KEY_PRIV(t->mode_key) != PRIV_M) {
            Slot bits = ir_temp(t->ir);
            ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = bits, .imm = riscv_insn_bits(t)});
            ir_call(t->ir, HELP_csr_hpm, d, bits, IR_ZERO, IR_ZERO, number);
            return riscv_sync(t);
        }
        ir_call(t->ir, HELP_csr_count, d, IR_ZERO, IR_ZERO, IR_ZERO, number);
        return riscv_sync(t);
    case WHEN_FIXED:
        break;
    }
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = d, .imm = (int64_t)c->readable});
    return TR_NEXT;
}

static TrResult change_csr(Translate *t, unsigned number, int32_t rd, CsrChange change, Slot value)
{
    static const uint16_t helper[][2] = {[CSR_WRITE] = {HELP_csr_write, HELP_csr_write_fp},
                                         [CSR_SET] = {HELP_csr_set, HELP_csr_set_fp},
                                         [CSR_CLEAR] = {HELP_csr_clear, HELP_csr_clear_fp}};
    const Csr *c = riscv_csr(number);
    if (c->when == WHEN_FIXED) {
        return read_only(t, number, c, rd);
    }
    Slot d = rd ? riscv_x((unsigned)rd) : ir_temp(t->ir);
    bool is_marked = c->need != NEED_F || t->mode_key & KEY_FP_DIRTY; /* csr.def */
    if (c->when != WHEN_PLAIN || !is_marked) {
        ir_call(t->ir, helper[change][c->need == NEED_F], d, value, IR_ZERO, IR_ZERO, number);
        return riscv_sync(t);
    }
    if (d != value) {
        if (rd) {
            read_plain(t, c, d);
        }
        change_plain(t, c, change, value);
        return TR_NEXT;
    }
    Slot old = ir_temp(t->ir);
    read_plain(t, c, old);
    change_plain(t, c, change, value);
    mov(t, d, old);
    return TR_NEXT;
}

/* is_write: csrrs and csrrc of x0 or 0 only read, and may name a read-only CSR (Unpriv 6.1). */
static TrResult csr(Translate *t, const Rv64Args *a, CsrChange change, bool is_write, Slot value)
{
    CsrAccess access = riscv_csr_access((unsigned)a->csr, is_write, t->mode_key, t->cpu);
    if (access != CSR_MAY) {
        return access == CSR_VIRTUAL ? riscv_denied(t) : riscv_illegal(t);
    }
    unsigned number = riscv_csr_meant((unsigned)a->csr, t->mode_key);
    return is_write ? change_csr(t, number, a->rd, change, value) : read_only(t, number, riscv_csr(number), a->rd);
}

static Slot immediate(Translate *t, const Rv64Args *a)
{
    Slot value = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = value, .imm = a->imm});
    return value;
}

TrResult rv64_tr_csrrw(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_WRITE, true, riscv_x((unsigned)a->rs1));
}

TrResult rv64_tr_csrrs(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_SET, a->rs1, riscv_x((unsigned)a->rs1));
}

TrResult rv64_tr_csrrc(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_CLEAR, a->rs1, riscv_x((unsigned)a->rs1));
}

TrResult rv64_tr_csrrwi(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_WRITE, true, immediate(t, a));
}

TrResult rv64_tr_csrrsi(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_SET, a->imm, immediate(t, a));
}

TrResult rv64_tr_csrrci(Translate *t, const Rv64Args *a)
{
    return csr(t, a, CSR_CLEAR, a->imm, immediate(t, a));
}

/* ---- calls and returns ---- */
static TrResult stop(Translate *t, StopReason reason)
{
    Slot pc = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = pc, .imm = (int64_t)riscv_next_pc(t)});
    ir_emit(t->ir, &(IrOp){.op = IR_stop, .aux = reason, .a = pc, .imm = (int64_t)(riscv_next_pc(t) - t->pc)});
    return TR_END;
}

TrResult rv64_tr_ecall(Translate *t, const Rv64Args *a)
{
    (void)a;
    unsigned priv = KEY_PRIV(t->mode_key);
    if (t->mode_key & KEY_VIRT && priv == PRIV_S) { /* SBI: to the level that is absent */
        return stop(t, STOP_HYPERCALL);
    }
    bool is_vs = t->mode_key & KEY_V && priv == PRIV_S;
    ir_emit(t->ir, &(IrOp){.op = IR_trap, .imm = is_vs ? CAUSE_ECALL_VS : CAUSE_ECALL_U + priv});
    return TR_END;
}

/* Priv 3.1.16 lets xtval be 0 or the address of the ebreak. */
TrResult rv64_tr_ebreak(Translate *t, const Rv64Args *a)
{
    (void)a;
    Slot pc = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = pc, .imm = (int64_t)t->pc});
    ir_emit(t->ir, &(IrOp){.op = IR_trap, .a = pc, .imm = CAUSE_BREAKPOINT});
    return TR_END;
}

static TrResult xret(Translate *t, uint16_t helper)
{
    Slot pc = ir_temp(t->ir);
    ir_call(t->ir, helper, pc, IR_ZERO, IR_ZERO, IR_ZERO, 0);
    ir_emit(t->ir, &(IrOp){.op = IR_syncr, .a = pc});
    return TR_END;
}

TrResult rv64_tr_mret(Translate *t, const Rv64Args *a)
{
    (void)a;
    return KEY_PRIV(t->mode_key) == PRIV_M ? xret(t, HELP_mret) : riscv_illegal(t); /* with V too */
}

TrResult rv64_tr_sret(Translate *t, const Rv64Args *a)
{
    (void)a;
    unsigned priv = KEY_PRIV(t->mode_key);
    bool is_legal = priv == PRIV_M || (priv == PRIV_S && !(t->mode_key & KEY_TSR));
    return is_legal ? xret(t, HELP_sret) : riscv_denied(t);
}

/* Priv 3.3.3 and 3.1.6.5: below M-mode TW makes it illegal, and U-mode may not wait as there is an S-mode. With V and without
 * TW it is VTW, or VU-mode, that makes it a virtual instruction (15.6.1). */
TrResult rv64_tr_wfi(Translate *t, const Rv64Args *a)
{
    (void)a;
    unsigned priv = KEY_PRIV(t->mode_key);
    if (t->mode_key & KEY_TW && priv != PRIV_M) {
        return riscv_illegal(t);
    }
    bool is_vtw = t->mode_key & KEY_V && t->mode_key & KEY_VTW;
    return priv == PRIV_U || is_vtw ? riscv_denied(t) : stop(t, STOP_WAIT);
}

/* ---- fences of translation and code ---- */
Slot riscv_or_every(Translate *t, int32_t reg)
{
    if (reg) {
        return riscv_x((unsigned)reg);
    }
    Slot every = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = every, .imm = -1});
    return every;
}

TrResult rv64_tr_sfence_vma(Translate *t, const Rv64Args *a)
{
    unsigned priv = KEY_PRIV(t->mode_key);
    if (priv == PRIV_U || (priv == PRIV_S && t->mode_key & KEY_TVM)) {
        return riscv_denied(t);
    }
    Slot address = riscv_or_every(t, a->rs1), asid = riscv_or_every(t, a->rs2);
    ir_call(t->ir, HELP_sfence_vma, ir_temp(t->ir), address, asid, IR_ZERO, 0);
    return riscv_sync(t);
}

/* Svinval: orders what sinval.vma has done at once; TVM does not matter. */
TrResult rv64_tr_inval_fence(Translate *t, const Rv64Args *a)
{
    (void)a;
    return KEY_PRIV(t->mode_key) == PRIV_U ? riscv_denied(t) : TR_NEXT;
}

TrResult rv64_tr_fence_i(Translate *t, const Rv64Args *a)
{
    (void)a;
    ir_call(t->ir, HELP_fence_i, ir_temp(t->ir), IR_ZERO, IR_ZERO, IR_ZERO, 0);
    return riscv_sync(t);
}

uint64_t riscv_help_sfence_vma(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)c;
    (void)imm;
    if (RISCV(f)->v) {
        riscv_flush_guest(f, a, b);
    } else {
        exec_flush_tlb(f, a, b == UINT64_MAX ? b : b & 0xffff);
    }
    return 0;
}

uint64_t riscv_help_fence_i(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    exec_flush_code(f);
    return 0;
}
