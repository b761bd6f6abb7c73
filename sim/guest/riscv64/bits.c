/* SPDX-License-Identifier: Apache-2.0
 * bits.c - bit manipulation (Unpriv, "B" and "Scalar Cryptography": Zba, Zbb, Zbc, Zbs, Zbkb, Zbkc, Zbkx), Zicond and Zimop. What is one
 * operation of the IR is in the tables, with the translators of i.c; here is what takes some. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

typedef struct {
    Slot d, a, b; /* of rd, rs1 and rs2 */
} Regs;

static Regs regs_of(const Rv64Args *a)
{
    return (Regs){riscv_x((unsigned)a->rd), riscv_x((unsigned)a->rs1), riscv_x((unsigned)a->rs2)};
}

static Slot unary(Translate *t, IrOpcode op, Slot a)
{
    Slot d = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = (uint16_t)op, .d = d, .a = a});
    return d;
}

static Slot with_imm(Translate *t, IrOpcode op, Slot a, int64_t imm)
{
    Slot d = ir_temp(t->ir);
    ir_opi(t->ir, op, d, a, imm);
    return d;
}

TrResult rv64_tr_unary(Translate *t, const Rv64Args *a, IrOpcode op)
{
    ir_emit(t->ir, &(IrOp){.op = (uint16_t)op, .d = riscv_x((unsigned)a->rd), .a = riscv_x((unsigned)a->rs1)});
    return TR_NEXT;
}

/* ---- Zba ---- */
static TrResult shift_add(Translate *t, Regs r, unsigned shift, bool is_uw)
{
    Slot index = is_uw ? unary(t, IR_zx32, r.a) : r.a;
    index = shift ? with_imm(t, IR_shl_i, index, shift) : index;
    ir_op2(t->ir, IR_add, r.d, index, r.b);
    return TR_NEXT;
}

#define SHIFT_ADD(name, shift, is_uw)                                                                                  \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a)                                                           \
    {                                                                                                                  \
        return shift_add(t, regs_of(a), shift, is_uw);                                                                 \
    }
SHIFT_ADD(sh1add, 1, false)
SHIFT_ADD(sh2add, 2, false)
SHIFT_ADD(sh3add, 3, false)
SHIFT_ADD(sh1add_uw, 1, true)
SHIFT_ADD(sh2add_uw, 2, true)
SHIFT_ADD(sh3add_uw, 3, true)

TrResult rv64_tr_add_uw(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    if (!a->rs2) { /* zext.w */
        return rv64_tr_unary(t, a, IR_zx32);
    }
    return shift_add(t, r, 0, true);
}

TrResult rv64_tr_slli_uw(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_opi(t->ir, IR_shl_i, r.d, unary(t, IR_zx32, r.a), a->imm);
    return TR_NEXT;
}

/* ---- Zbb ---- */
TrResult rv64_tr_clzw(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_opi(t->ir, IR_add_i, r.d, unary(t, IR_clz, unary(t, IR_zx32, r.a)), -32);
    return TR_NEXT;
}

TrResult rv64_tr_ctzw(Translate *t, const Rv64Args *a) /* a bit above the word ends the search */
{
    Slot bounded = with_imm(t, IR_or_i, riscv_x((unsigned)a->rs1), 1ll << 32);
    ir_emit(t->ir, &(IrOp){.op = IR_ctz, .d = riscv_x((unsigned)a->rd), .a = bounded});
    return TR_NEXT;
}

TrResult rv64_tr_cpopw(Translate *t, const Rv64Args *a)
{
    Slot word = unary(t, IR_zx32, riscv_x((unsigned)a->rs1));
    ir_emit(t->ir, &(IrOp){.op = IR_popcount, .d = riscv_x((unsigned)a->rd), .a = word});
    return TR_NEXT;
}

TrResult rv64_tr_rotate_left(Translate *t, const Rv64Args *a, IrOpcode op) /* op: the rotation to the right */
{
    Regs r = regs_of(a);
    Slot count = ir_temp(t->ir);
    ir_op2(t->ir, IR_sub, count, IR_ZERO, r.b);
    ir_op2(t->ir, op, r.d, r.a, count);
    return TR_NEXT;
}

/* ---- Zbc ---- */
TrResult rv64_tr_clmulr(Translate *t, const Rv64Args *a) /* bits 126:63 of the product */
{
    Regs r = regs_of(a);
    Slot low = ir_temp(t->ir), high = ir_temp(t->ir);
    ir_op2(t->ir, IR_clmul, low, r.a, r.b);
    ir_op2(t->ir, IR_clmulh, high, r.a, r.b);
    low = with_imm(t, IR_shr_i, low, 63);
    high = with_imm(t, IR_shl_i, high, 1);
    ir_op2(t->ir, IR_or, r.d, high, low);
    return TR_NEXT;
}

/* ---- Zbs ---- */
TrResult rv64_tr_bit(Translate *t, const Rv64Args *a, IrOpcode op)
{
    Regs r = regs_of(a);
    Slot one = ir_temp(t->ir), mask = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = one, .imm = 1});
    ir_op2(t->ir, IR_shl, mask, one, r.b);
    ir_op2(t->ir, op, r.d, r.a, mask);
    return TR_NEXT;
}

TrResult rv64_tr_bit_i(Translate *t, const Rv64Args *a, IrOpcode op)
{
    Regs r = regs_of(a);
    ir_opi(t->ir, op, r.d, r.a, (int64_t)(1ull << a->imm));
    return TR_NEXT;
}

TrResult rv64_tr_bext(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    Slot bit = ir_temp(t->ir);
    ir_op2(t->ir, IR_shr, bit, r.a, r.b);
    ir_opi(t->ir, IR_and_i, r.d, bit, 1);
    return TR_NEXT;
}

TrResult rv64_tr_bexti(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_opi(t->ir, IR_and_i, r.d, with_imm(t, IR_shr_i, r.a, a->imm), 1);
    return TR_NEXT;
}

/* ---- Zbkb: halves of rs1 below halves of rs2 ---- */
TrResult rv64_tr_pack(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_op2(t->ir, IR_or, r.d, with_imm(t, IR_shl_i, r.b, 32), unary(t, IR_zx32, r.a));
    return TR_NEXT;
}

TrResult rv64_tr_packh(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    Slot high = with_imm(t, IR_shl_i, unary(t, IR_zx8, r.b), 8);
    ir_op2(t->ir, IR_or, r.d, high, unary(t, IR_zx8, r.a));
    return TR_NEXT;
}

TrResult rv64_tr_packw(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    Slot high = with_imm(t, IR_shlw_i, r.b, 16);
    ir_op2(t->ir, IR_or, r.d, high, unary(t, IR_zx16, r.a));
    return TR_NEXT;
}

/* ---- Zbkx: parts of rs1 by the numbers in rs2; a number beyond rs1 gives 0 ---- */
static uint64_t permute(uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t d = 0, part = (1ull << bits) - 1;
    for (unsigned i = 0; i < 64; i += bits) {
        uint64_t from = (b >> i & part) * bits;
        d |= from < 64 ? (a >> from & part) << i : 0;
    }
    return d;
}

uint64_t riscv_help_xperm4(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f;
    (void)c;
    (void)imm;
    return permute(a, b, 4);
}

uint64_t riscv_help_xperm8(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f;
    (void)c;
    (void)imm;
    return permute(a, b, 8);
}

static TrResult call(Translate *t, Regs r, uint16_t helper)
{
    if (r.d != IR_ZERO) {
        ir_call(t->ir, helper, r.d, r.a, r.b, IR_ZERO, 0);
    }
    return TR_NEXT;
}

TrResult rv64_tr_xperm4(Translate *t, const Rv64Args *a)
{
    return call(t, regs_of(a), HELP_xperm4);
}

TrResult rv64_tr_xperm8(Translate *t, const Rv64Args *a)
{
    return call(t, regs_of(a), HELP_xperm8);
}

/* ---- Zicond ---- */
TrResult rv64_tr_czero_eqz(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_emit(t->ir, &(IrOp){.op = IR_sel, .d = r.d, .a = r.b, .b = r.a, .c = IR_ZERO});
    return TR_NEXT;
}

TrResult rv64_tr_czero_nez(Translate *t, const Rv64Args *a)
{
    Regs r = regs_of(a);
    ir_emit(t->ir, &(IrOp){.op = IR_sel, .d = r.d, .a = r.b, .b = IR_ZERO, .c = r.a});
    return TR_NEXT;
}

/* ---- Zimop: what a later extension may redefine writes 0 ---- */
TrResult rv64_tr_mop(Translate *t, const Rv64Args *a)
{
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = riscv_x((unsigned)a->rd)});
    return TR_NEXT;
}
