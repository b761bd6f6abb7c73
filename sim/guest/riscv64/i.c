/* SPDX-License-Identifier: Apache-2.0
 * i.c - RV64I (Unpriv 2 and 4), and M, whose rows are the same translators with other operations. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

/* ---- computation ---- */
static bool is_copy(IrOpcode op, int64_t imm) /* x op imm == x */
{
    return !imm &&
           (op == IR_add_i || op == IR_or_i || op == IR_xor_i || op == IR_shl_i || op == IR_shr_i || op == IR_sar_i);
}

TrResult rv64_tr_alu_i(Translate *t, const Rv64Args *a, IrOpcode op)
{
    if (!a->rd) { /* HINT */
        return TR_NEXT;
    }
    Slot d = riscv_x((unsigned)a->rd), s = riscv_x((unsigned)a->rs1);
    if (!a->rs1 && op == IR_add_i) {
        ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = d, .imm = a->imm});
    } else if (is_copy(op, a->imm)) {
        ir_emit(t->ir, &(IrOp){.op = IR_mov, .d = d, .a = s});
    } else if (op == IR_addw_i && !a->imm) {
        ir_emit(t->ir, &(IrOp){.op = IR_sx32, .d = d, .a = s});
    } else {
        ir_opi(t->ir, op, d, s, a->imm);
    }
    return TR_NEXT;
}

TrResult rv64_tr_alu(Translate *t, const Rv64Args *a, IrOpcode op)
{
    if (a->rd) { /* else a HINT */
        ir_op2(t->ir, op, riscv_x((unsigned)a->rd), riscv_x((unsigned)a->rs1), riscv_x((unsigned)a->rs2));
    }
    return TR_NEXT;
}

TrResult rv64_tr_lui(Translate *t, const Rv64Args *a)
{
    if (a->rd) {
        ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = riscv_x((unsigned)a->rd), .imm = a->imm});
    }
    return TR_NEXT;
}

TrResult rv64_tr_auipc(Translate *t, const Rv64Args *a)
{
    if (a->rd) {
        int64_t value = (int64_t)(t->pc + (uint64_t)(int64_t)a->imm);
        ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = riscv_x((unsigned)a->rd), .imm = value});
    }
    return TR_NEXT;
}

/* ---- jumps: targets are even and IALIGN is 16, so none is misaligned (Unpriv 2.5) ---- */
static void link_pc(Translate *t, int32_t rd)
{
    if (rd) {
        ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = riscv_x((unsigned)rd), .imm = (int64_t)riscv_next_pc(t)});
    }
}

static bool is_link(int32_t reg)
{
    return reg == 1 || reg == 5;
}

TrResult rv64_tr_jal(Translate *t, const Rv64Args *a)
{
    link_pc(t, a->rd);
    ir_emit(t->ir, &(IrOp){.op = IR_jmp,
                           .aux = is_link(a->rd) ? JMP_CALL : 0,
                           .imm = (int64_t)(t->pc + (uint64_t)(int64_t)a->imm)});
    return TR_END;
}

/* Unpriv 2.5.1, table 3: which registers make a call or a return of a jalr. */
static uint16_t jump_hint(const Rv64Args *a)
{
    bool is_return = is_link(a->rs1) && a->rs1 != a->rd;
    return (is_link(a->rd) ? JMP_CALL : 0) | (is_return ? JMP_RET : 0);
}

TrResult rv64_tr_jalr(Translate *t, const Rv64Args *a)
{
    Slot base = riscv_x((unsigned)a->rs1);
    if (a->rd && a->rd == a->rs1) {
        base = ir_temp(t->ir);
        ir_emit(t->ir, &(IrOp){.op = IR_mov, .d = base, .a = riscv_x((unsigned)a->rs1)});
    }
    link_pc(t, a->rd);
    ir_emit(t->ir, &(IrOp){.op = IR_jmpr, .aux = JMP_EVEN | jump_hint(a), .a = base, .imm = a->imm});
    return TR_END;
}

static TrResult branch(Translate *t, const Rv64Args *a, IrCond cond)
{
    ir_brcond(t->ir, cond, riscv_x((unsigned)a->rs1), riscv_x((unsigned)a->rs2), t->pc + (uint64_t)(int64_t)a->imm);
    return TR_NEXT;
}

#define BRANCH(name, cond)                                                                                             \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a)                                                           \
    {                                                                                                                  \
        return branch(t, a, cond);                                                                                     \
    }
BRANCH(beq, COND_EQ)
BRANCH(bne, COND_NE)
BRANCH(blt, COND_LT)
BRANCH(bge, COND_GE)
BRANCH(bltu, COND_LTU)
BRANCH(bgeu, COND_GEU)

/* ---- memory: plain accesses may be misaligned (Unpriv 2.6 leaves it to us; no trap) ---- */
static TrResult load(Translate *t, const Rv64Args *a, uint16_t aux)
{
    Slot d = a->rd ? riscv_x((unsigned)a->rd) : ir_temp(t->ir); /* a load to x0 accesses all the same */
    ir_load(t->ir, aux, d, riscv_x((unsigned)a->rs1), a->imm);
    return TR_NEXT;
}

static TrResult store(Translate *t, const Rv64Args *a, uint16_t aux)
{
    ir_store(t->ir, aux, riscv_x((unsigned)a->rs1), a->imm, riscv_x((unsigned)a->rs2));
    return TR_NEXT;
}

enum { LG2_1, LG2_2, LG2_4, LG2_8 };
#define ACCESS(name, what, aux)                                                                                        \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a)                                                           \
    {                                                                                                                  \
        return what(t, a, aux);                                                                                        \
    }
ACCESS(lb, load, LG2_1 | MEM_SIGNED)
ACCESS(lh, load, LG2_2 | MEM_SIGNED)
ACCESS(lw, load, LG2_4 | MEM_SIGNED)
ACCESS(ld, load, LG2_8)
ACCESS(lbu, load, LG2_1)
ACCESS(lhu, load, LG2_2)
ACCESS(lwu, load, LG2_4)
ACCESS(sb, store, LG2_1)
ACCESS(sh, store, LG2_2)
ACCESS(sw, store, LG2_4)
ACCESS(sd, store, LG2_8)

TrResult rv64_tr_hint(Translate *t, const Rv64Args *a)
{
    (void)t;
    (void)a;
    return TR_NEXT;
}

/* pred and succ: bits I O R W. Device order is ours anyway; what is left is the order of memory (Unpriv 2.7). */
TrResult rv64_tr_fence(Translate *t, const Rv64Args *a)
{
    enum { READS = 0xa, WRITES = 0x5 };
    bool is_load_first = a->pred & READS, is_store_first = a->pred & WRITES;
    bool is_load_after = a->succ & READS, is_store_after = a->succ & WRITES;
    if ((!is_load_first && !is_store_first) || (!is_load_after && !is_store_after)) { /* HINT, such as pause */
        return TR_NEXT;
    }
    uint16_t order = is_store_first && is_load_after ? ORD_SEQ_CST
                     : !is_store_first               ? ORD_ACQUIRE
                     : !is_load_after                ? ORD_RELEASE
                                                     : ORD_ACQ_REL;
    ir_emit(t->ir, &(IrOp){.op = IR_fence, .aux = order});
    return TR_NEXT;
}

TrResult rv64_tr_fence_tso(Translate *t, const Rv64Args *a)
{
    (void)a;
    ir_emit(t->ir, &(IrOp){.op = IR_fence, .aux = ORD_ACQ_REL});
    return TR_NEXT;
}
