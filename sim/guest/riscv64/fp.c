/* SPDX-License-Identifier: Apache-2.0
 * fp.c - F, D, Zfhmin, Zfh and Zfa (Unpriv 20, 21, 23, 25), and the state that they use. The arithmetic is softfp's, through FP ops
 * of the IR. A rounding mode is known when code is made, as the mode key holds frm; one that is reserved is illegal then
 * (Unpriv 20.2). mstatus.FS (Priv 3.1.6.6) becomes Dirty by the first instruction that may change floating-point state; code for
 * that mode ends after it, and code for the mode Dirty has nothing to mark. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"
#include "sim/ir/ir_math.h"

/* ---- state ---- */
uint32_t riscv_fp_key(const RiscvFrame *r)
{
    uint64_t fs = r->mstatus & MSTATUS_FS,
             vs = r->v ? r->vsstatus & MSTATUS_FS : MSTATUS_FS; /* Priv 15.2.11: both count */
    bool is_dirty = fs == MSTATUS_FS && vs == MSTATUS_FS;
    return fs && vs ? KEY_FP | (is_dirty ? KEY_FP_DIRTY : 0) | (uint32_t)r->frm << KEY_FRM_SHIFT : 0;
}

uint64_t riscv_fcsr(const RiscvFrame *r)
{
    return r->fflags | r->frm << FCSR_FRM_SHIFT;
}

void riscv_fcsr_set(RiscvFrame *r, uint64_t value)
{
    r->fflags = value & FCSR_FLAGS;
    r->frm = value >> FCSR_FRM_SHIFT & 7;
}

void riscv_fp_mark_dirty(RiscvFrame *r)
{
    r->mstatus |= MSTATUS_FS | MSTATUS_SD;
    r->vsstatus |= r->v ? MSTATUS_FS | MSTATUS_SD : 0;
}

/* ---- what all instructions share ---- */
static bool is_on(const Translate *t)
{
    return t->mode_key & KEY_FP;
}

/* The end of one that may have changed a register or flags. */
static TrResult changed(Translate *t)
{
    if (t->mode_key & KEY_FP_DIRTY) {
        return TR_NEXT;
    }
    ir_opi(t->ir, IR_or_i, SLOT_OF(mstatus), SLOT_OF(mstatus), (int64_t)(MSTATUS_FS | MSTATUS_SD));
    if (t->mode_key & KEY_V) {
        ir_opi(t->ir, IR_or_i, SLOT_OF(vsstatus), SLOT_OF(vsstatus), (int64_t)(MSTATUS_FS | MSTATUS_SD));
    }
    return riscv_sync(t);
}

/* The rounding mode of an instruction's field, by way of frm; false: it is reserved. */
static bool round_of(const Translate *t, int32_t field, unsigned *rm)
{
    *rm = field == RM_DYN ? KEY_FRM(t->mode_key) : (unsigned)field;
    return *rm <= RM_RMM;
}

static uint16_t aux_of(FpFmt fmt, unsigned rm, unsigned other, bool is_boxed)
{
    return (uint16_t)(FP_AUX3(fmt, rm, other) | (is_boxed ? FP_BOXED : 0));
}

static TrResult fp_op(Translate *t, const IrOp *op)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    ir_emit(t->ir, op);
    return changed(t);
}

static TrResult rounded(Translate *t, const Rv64Args *a, IrOp op, FpFmt fmt, unsigned other, bool is_boxed)
{
    unsigned rm;
    if (!round_of(t, a->rm, &rm)) {
        return riscv_illegal(t);
    }
    op.aux = aux_of(fmt, rm, other, is_boxed);
    return fp_op(t, &op);
}

static Slot f_of(int32_t n)
{
    return riscv_f((unsigned)n);
}

static Slot x_of(int32_t n)
{
    return riscv_x((unsigned)n);
}

static unsigned bits_of(FpFmt fmt)
{
    return fmt == FMT_F64 ? 64 : fmt == FMT_F32 ? 32 : 16;
}

static uint64_t sign_of(FpFmt fmt)
{
    return 1ull << (bits_of(fmt) - 1);
}

static Slot boxed_in(Translate *t, FpFmt fmt, Slot s) /* the number in a register */
{
    if (fmt == FMT_F64) {
        return s;
    }
    Slot d = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = fmt == FMT_F32 ? IR_unbox32 : IR_unbox16, .d = d, .a = s});
    return d;
}

static void box(Translate *t, FpFmt fmt, Slot d, Slot s)
{
    if (fmt != FMT_F64) {
        ir_opi(t->ir, IR_or_i, d, s, (int64_t)ir_box_ones(fmt));
    } else if (d != s) {
        ir_emit(t->ir, &(IrOp){.op = IR_mov, .d = d, .a = s});
    }
}

/* ---- arithmetic ---- */
static TrResult fp2(Translate *t, const Rv64Args *a, IrOpcode op, FpFmt fmt)
{
    IrOp o = {.op = (uint16_t)op, .d = f_of(a->rd), .a = f_of(a->rs1), .b = f_of(a->rs2)};
    return rounded(t, a, o, fmt, 0, fmt != FMT_F64);
}

static TrResult fp1(Translate *t, const Rv64Args *a, IrOpcode op, FpFmt fmt)
{
    return rounded(t, a, (IrOp){.op = (uint16_t)op, .d = f_of(a->rd), .a = f_of(a->rs1)}, fmt, 0, fmt != FMT_F64);
}

/* A sign turned before the operation is the operation's: -(a * b) = (-a) * b, exactly. The bit alone keeps what is no boxed
 * number what it is; a NaN's sign does not reach the result (Unpriv 20.3). */
static Slot turned(Translate *t, FpFmt fmt, Slot s)
{
    Slot d = ir_temp(t->ir);
    ir_opi(t->ir, IR_xor_i, d, s, (int64_t)sign_of(fmt));
    return d;
}

static TrResult fma4(Translate *t, const Rv64Args *a, FpFmt fmt, bool is_product_turned, bool is_addend_turned)
{
    unsigned rm;
    if (!is_on(t) || !round_of(t, a->rm, &rm)) {
        return riscv_illegal(t);
    }
    Slot x = is_product_turned ? turned(t, fmt, f_of(a->rs1)) : f_of(a->rs1);
    Slot z = is_addend_turned ? turned(t, fmt, f_of(a->rs3)) : f_of(a->rs3);
    IrOp o = {.op = IR_fma, .d = f_of(a->rd), .a = x, .b = f_of(a->rs2), .c = z};
    return rounded(t, a, o, fmt, 0, fmt != FMT_F64);
}

/* ---- what does not round ---- */
static TrResult minmax(Translate *t, const Rv64Args *a, IrOpcode op, FpFmt fmt)
{
    return fp_op(t, &(IrOp){.op = (uint16_t)op,
                            .aux = aux_of(fmt, RM_RNE, 0, fmt != FMT_F64),
                            .d = f_of(a->rd),
                            .a = f_of(a->rs1),
                            .b = f_of(a->rs2)});
}

static TrResult compare(Translate *t, const Rv64Args *a, IrOpcode op, FpFmt fmt)
{
    return fp_op(t, &(IrOp){.op = (uint16_t)op,
                            .aux = aux_of(fmt, RM_RNE, 0, fmt != FMT_F64),
                            .d = x_of(a->rd),
                            .a = f_of(a->rs1),
                            .b = f_of(a->rs2)});
}

static TrResult classify(Translate *t, const Rv64Args *a, FpFmt fmt)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    uint16_t aux = aux_of(fmt, RM_RNE, 0, fmt != FMT_F64);
    ir_emit(t->ir, &(IrOp){.op = IR_fclass, .aux = aux, .d = x_of(a->rd), .a = f_of(a->rs1)});
    return TR_NEXT;
}

typedef enum { SIGN_COPY, SIGN_NOT, SIGN_XOR } SignHow;

/* Of one register with itself: fmv, fneg, fabs. */
static void sign_self(Translate *t, FpFmt fmt, SignHow how, Slot d, Slot s)
{
    uint64_t sign = sign_of(fmt);
    switch (how) {
    case SIGN_COPY:
        box(t, fmt, d, s);
        return;
    case SIGN_NOT:
        ir_opi(t->ir, IR_xor_i, d, s, (int64_t)(sign));
        break;
    case SIGN_XOR:
        ir_opi(t->ir, IR_and_i, d, s, (int64_t)(sign - 1));
        break;
    }
    box(t, fmt, d, d);
}

static TrResult sign_inject(Translate *t, const Rv64Args *a, FpFmt fmt, SignHow how)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    Slot d = f_of(a->rd), x = boxed_in(t, fmt, f_of(a->rs1));
    if (a->rs1 == a->rs2) {
        sign_self(t, fmt, how, d, x);
        return changed(t);
    }
    Slot sign = ir_temp(t->ir), value = ir_temp(t->ir), y = boxed_in(t, fmt, f_of(a->rs2));
    ir_opi(t->ir, IR_and_i, sign, y, (int64_t)sign_of(fmt));
    if (how == SIGN_XOR) {
        ir_op2(t->ir, IR_xor, value, x, sign);
    } else {
        ir_opi(t->ir, IR_and_i, value, x, (int64_t)(sign_of(fmt) - 1));
        ir_op2(t->ir, IR_or, value, value, sign);
    }
    if (how == SIGN_NOT) {
        ir_opi(t->ir, IR_xor_i, value, value, (int64_t)sign_of(fmt));
    }
    box(t, fmt, d, value);
    return changed(t);
}

/* ---- conversions ---- */
static TrResult to_int(Translate *t, const Rv64Args *a, FpFmt fmt, FpInt kind)
{
    bool is_word = kind == FP_I32 || kind == FP_U32;
    unsigned rm;
    if (!is_on(t) || !round_of(t, a->rm, &rm)) {
        return riscv_illegal(t);
    }
    Slot d = a->rd ? x_of(a->rd) : ir_temp(t->ir);
    uint16_t aux = aux_of(fmt, rm, kind, fmt != FMT_F64);
    ir_emit(t->ir, &(IrOp){.op = IR_ftoi, .aux = aux, .d = d, .a = f_of(a->rs1)});
    if (is_word) { /* Unpriv 20.7: sign-extended, also fcvt.wu */
        ir_emit(t->ir, &(IrOp){.op = IR_sx32, .d = d, .a = d});
    }
    return changed(t);
}

static TrResult from_int(Translate *t, const Rv64Args *a, FpFmt fmt, FpInt kind)
{
    return rounded(t, a, (IrOp){.op = IR_itof, .d = f_of(a->rd), .a = x_of(a->rs1)}, fmt, kind, fmt != FMT_F64);
}

static TrResult convert(Translate *t, const Rv64Args *a, FpFmt to, FpFmt from)
{
    return rounded(t, a, (IrOp){.op = IR_fcvt, .d = f_of(a->rd), .a = f_of(a->rs1)}, to, from, true);
}

/* Unpriv 25.4: truncated, modulo 2^32, flags as fcvt.w.d; a NaN and an infinity are 0. */
uint64_t riscv_help_fcvtmod(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    (void)imm;
    enum { FRACTION = 52, TOP = 0x7ff, UNITS = 1075 }; /* exponent that counts units */
    uint32_t flags = 0;
    (void)fp_to_int(FMT_F64, a, FP_I32, 0, RM_RTZ, FP_MODE_RISCV, &flags);
    RISCV(f)->fflags |= flags;
    int exp = (int)(a >> FRACTION & TOP), shift = exp - UNITS;
    uint64_t sig = (a & ((1ull << FRACTION) - 1)) | 1ull << FRACTION;
    if (exp == TOP || shift > 31 || shift < -FRACTION) {
        return 0;
    }
    uint64_t magnitude = shift < 0 ? sig >> -shift : sig << shift;
    return ir_sx32(a >> 63 ? -magnitude : magnitude);
}

TrResult rv64_tr_fcvtmod_w_d(Translate *t, const Rv64Args *a)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    ir_call(t->ir, HELP_fcvtmod, a->rd ? x_of(a->rd) : ir_temp(t->ir), f_of(a->rs1), IR_ZERO, IR_ZERO, 0);
    return changed(t);
}

/* ---- constants (Unpriv 25.1) ---- */
static uint64_t constant(FpFmt fmt, unsigned n)
{
    enum { MIN = 1 };
    static const uint32_t singles[32] = {
        0xbf800000, 0x00800000, 0x37800000, 0x38000000, 0x3b800000, 0x3c000000, 0x3d800000, 0x3e000000,
        0x3e800000, 0x3ea00000, 0x3ec00000, 0x3ee00000, 0x3f000000, 0x3f200000, 0x3f400000, 0x3f600000,
        0x3f800000, 0x3fa00000, 0x3fc00000, 0x3fe00000, 0x40000000, 0x40200000, 0x40400000, 0x40800000,
        0x41000000, 0x41800000, 0x43000000, 0x43800000, 0x47000000, 0x47800000, 0x7f800000, 0x7fc00000};
    static const uint64_t least[] = {[FMT_F16] = 0x0400, [FMT_F32] = 0x00800000, [FMT_F64] = 0x0010000000000000};
    uint32_t flags = 0; /* 65536 is infinite in half precision */
    return n == MIN ? least[fmt] : fp_convert(fmt, FMT_F32, singles[n], RM_RNE, FP_MODE_RISCV, &flags);
}

static TrResult load_constant(Translate *t, const Rv64Args *a, FpFmt fmt)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    int64_t value = (int64_t)(constant(fmt, (unsigned)a->imm) | ir_box_ones(fmt));
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = f_of(a->rd), .imm = value});
    return changed(t);
}

/* ---- moves ---- */
static TrResult load(Translate *t, const Rv64Args *a, FpFmt fmt, uint16_t lg2)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    Slot d = f_of(a->rd);
    ir_load(t->ir, lg2, d, x_of(a->rs1), a->imm);
    box(t, fmt, d, d);
    return changed(t);
}

static TrResult store(Translate *t, const Rv64Args *a, uint16_t lg2)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    ir_store(t->ir, lg2, x_of(a->rs1), a->imm, f_of(a->rs2));
    return TR_NEXT;
}

static TrResult move_to_x(Translate *t, const Rv64Args *a, IrOpcode extend) /* the bits, boxed or not (Unpriv 21.2) */
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    ir_emit(t->ir, &(IrOp){.op = (uint16_t)extend, .d = x_of(a->rd), .a = f_of(a->rs1)});
    return TR_NEXT;
}

static TrResult move_to_f(Translate *t, const Rv64Args *a, FpFmt fmt)
{
    if (!is_on(t)) {
        return riscv_illegal(t);
    }
    box(t, fmt, f_of(a->rd), x_of(a->rs1));
    return changed(t);
}

/* ---- the rows ---- */
#define ROW(name, ...)                                                                                                 \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a)                                                           \
    {                                                                                                                  \
        return __VA_ARGS__;                                                                                            \
    }
#define ROW_OP(name, ...)                                                                                              \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a, IrOpcode op)                                              \
    {                                                                                                                  \
        return __VA_ARGS__;                                                                                            \
    }
/* What each format has alike */
#define ROWS_OF(x, fmt)                                                                                                \
    ROW_OP(fp2_##x, fp2(t, a, op, fmt))                                                                                \
    ROW_OP(fp1_##x, fp1(t, a, op, fmt))                                                                                \
    ROW_OP(fpm_##x, minmax(t, a, op, fmt))                                                                             \
    ROW_OP(fpc_##x, compare(t, a, op, fmt))                                                                            \
    ROW(fmadd_##x, fma4(t, a, fmt, false, false))                                                                      \
    ROW(fmsub_##x, fma4(t, a, fmt, false, true))                                                                       \
    ROW(fnmsub_##x, fma4(t, a, fmt, true, false))                                                                      \
    ROW(fnmadd_##x, fma4(t, a, fmt, true, true))                                                                       \
    ROW(fsgnj_##x, sign_inject(t, a, fmt, SIGN_COPY))                                                                  \
    ROW(fsgnjn_##x, sign_inject(t, a, fmt, SIGN_NOT))                                                                  \
    ROW(fsgnjx_##x, sign_inject(t, a, fmt, SIGN_XOR))                                                                  \
    ROW(fli_##x, load_constant(t, a, fmt))                                                                             \
    ROW(fclass_##x, classify(t, a, fmt))                                                                               \
    ROW(fcvt_w_##x, to_int(t, a, fmt, FP_I32))                                                                         \
    ROW(fcvt_wu_##x, to_int(t, a, fmt, FP_U32))                                                                        \
    ROW(fcvt_l_##x, to_int(t, a, fmt, FP_I64))                                                                         \
    ROW(fcvt_lu_##x, to_int(t, a, fmt, FP_U64))                                                                        \
    ROW(fcvt_##x##_w, from_int(t, a, fmt, FP_I32))                                                                     \
    ROW(fcvt_##x##_wu, from_int(t, a, fmt, FP_U32))                                                                    \
    ROW(fcvt_##x##_l, from_int(t, a, fmt, FP_I64))                                                                     \
    ROW(fcvt_##x##_lu, from_int(t, a, fmt, FP_U64))
enum { LG2_2 = 1, LG2_4 = 2, LG2_8 = 3 };
ROWS_OF(s, FMT_F32)
ROW(flw, load(t, a, FMT_F32, LG2_4))
ROW(fsw, store(t, a, LG2_4))
ROW(fmv_x_w, move_to_x(t, a, IR_sx32))
ROW(fmv_w_x, move_to_f(t, a, FMT_F32))

ROWS_OF(d, FMT_F64)
ROW(fld, load(t, a, FMT_F64, LG2_8))
ROW(fsd, store(t, a, LG2_8))
ROW(fmv_x_d, move_to_x(t, a, IR_mov))
ROW(fmv_d_x, move_to_f(t, a, FMT_F64))
ROW(fcvt_s_d, convert(t, a, FMT_F32, FMT_F64))
ROW(fcvt_d_s, convert(t, a, FMT_F64, FMT_F32))

ROWS_OF(h, FMT_F16)
ROW(flh, load(t, a, FMT_F16, LG2_2))
ROW(fsh, store(t, a, LG2_2))
ROW(fmv_x_h, move_to_x(t, a, IR_sx16))
ROW(fmv_h_x, move_to_f(t, a, FMT_F16))
ROW(fcvt_s_h, convert(t, a, FMT_F32, FMT_F16))
ROW(fcvt_h_s, convert(t, a, FMT_F16, FMT_F32))
ROW(fcvt_d_h, convert(t, a, FMT_F64, FMT_F16))
ROW(fcvt_h_d, convert(t, a, FMT_F16, FMT_F64))
