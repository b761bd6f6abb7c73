/* SPDX-License-Identifier: Apache-2.0
 * generate.c - random programs that ir_verify accepts. Each instruction is one of some shapes: an op on registers, a chain through
 * temporaries, an access by way of a register that holds an address, and so on; what can raise an event comes first (P1). */
#include "sim/crosscheck/world.h"

#include <assert.h>

typedef struct {
    Choices *c;
    IrBuild b;
    unsigned nblocks;
    bool is_rich;    /* calls, traps, stops: else arithmetic, memory and branches, so that loops are long */
    bool is_numeric; /* mostly chains of numbers, which engines keep in their own form */
} Gen;

/* ---- operands ---- */
static Slot reg(Gen *g)
{
    return CROSS_REG(choose(g->c, choose(g->c, 8) ? CROSS_BASES : CROSS_REGS));
}

static Slot source(Gen *g)
{
    return choose(g->c, 24) ? reg(g) : IR_ZERO;
}

static Slot destination(Gen *g) /* bases keep their addresses, mostly */
{
    return CROSS_REG(choose(g->c, choose(g->c, 32) ? CROSS_BASES : CROSS_REGS));
}

static IrOp op_pure(Gen *g, IrOpcode op)
{
    const IrOpInfo *info = &ir_op_info[op];
    return (IrOp){.op = (uint16_t)op,
                  .a = info->nsrc > 0 ? source(g) : IR_ZERO,
                  .b = info->nsrc > 1 ? source(g) : IR_ZERO,
                  .c = info->nsrc > 2 ? source(g) : IR_ZERO,
                  .imm = info->has_imm ? (int64_t)choose_operand(g->c) : 0};
}

static IrOpcode any_of(Gen *g, IrClass cls)
{
    unsigned n = 0, at = 0;
    for (unsigned op = 0; op < IR_COUNT; op++) {
        n += ir_op_info[op].cls == cls;
    }
    uint64_t k = choose(g->c, n);
    for (unsigned op = 0; op < IR_COUNT; op++) {
        if (ir_op_info[op].cls == cls && !k--) {
            at = op;
        }
    }
    return (IrOpcode)at;
}

static IrOpcode common_pure(Gen *g)
{
    static const uint16_t common[] = {IR_add,   IR_add_i, IR_and, IR_and_i, IR_or,     IR_xor_i,  IR_sub,  IR_shl_i,
                                      IR_shr_i, IR_sar_i, IR_shl, IR_addw,  IR_addw_i, IR_sx32,   IR_movi, IR_mov,
                                      IR_ltu,   IR_lt_i,  IR_mul, IR_mulhu, IR_sel,    IR_shrw_i, IR_zx32, IR_subw};
    return choose(g->c, 2) ? (IrOpcode)common[choose(g->c, ARRAY_LEN(common))] : any_of(g, CLASS_PURE);
}

static uint16_t fp_aux(Gen *g, IrOpcode op)
{
    FpShape shape = ir_op_info[op].shape;
    bool has_other = shape == FP_SHAPE_CONVERT || shape == FP_SHAPE_TO_INT || shape == FP_SHAPE_FROM_INT;
    uint64_t fmt = choose(g->c, 5) ? FMT_F32 + choose(g->c, 2) : choose(g->c, 2);
    uint64_t rm = choose(g->c, 2) ? RM_DYN : choose(g->c, RM_ODD + 1);
    uint64_t other = has_other ? choose(g->c, 4) : 0;
    return (uint16_t)(FP_AUX3(fmt, rm, other) | (choose(g->c, 4) ? FP_BOXED : 0));
}

/* A register, or a number worth trying. */
static Slot fp_source(Gen *g)
{
    if (choose(g->c, 3)) {
        return reg(g);
    }
    Slot t = ir_temp(&g->b);
    ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = t, .imm = (int64_t)choose_fp_slot(g->c)});
    return t;
}

static void insn_fp(Gen *g)
{
    IrOpcode op = any_of(g, CLASS_FP);
    const IrOpInfo *info = &ir_op_info[op];
    IrOp o = {.op = (uint16_t)op, .aux = fp_aux(g, op), .d = destination(g)};
    o.a = fp_source(g);
    o.b = info->nsrc > 1 ? fp_source(g) : IR_ZERO;
    o.c = info->nsrc > 2 ? fp_source(g) : IR_ZERO;
    ir_emit(&g->b, &o);
}

/* What compilers make of numbers, of which there are few: chains of arithmetic between memory and comparisons. */
static void insn_number(Gen *g)
{
    static const uint16_t ops[] = {IR_fadd, IR_fsub,    IR_fmul,    IR_fdiv, IR_fsqrt, IR_fma, IR_fma,
                                   IR_fmin, IR_fmaxnum, IR_fminnum, IR_flt,  IR_feq,   IR_fle, IR_fclass,
                                   IR_fcvt, IR_itof,    IR_ftoi,    IR_fadd, IR_fmul,  IR_fsub};
    enum { NUMBERS = 6, SIGNS = 5 };
    Slot at[4];
    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        at[i] = CROSS_REG(choose(g->c, NUMBERS));
    }
    unsigned fmt = choose(g->c, 3) ? FMT_F64 : FMT_F32;
    int64_t sign = fmt == FMT_F64 ? INT64_MIN : 1ll << 31;
    if (!choose(g->c, SIGNS)) { /* the absolute value, or -(a * b) + c */
        Slot t = ir_temp(&g->b);
        bool is_fma = choose(g->c, 3);
        ir_opi(&g->b, is_fma ? IR_xor_i : IR_and_i, t, at[0], is_fma ? sign : ~sign);
        IrOp turned = {.op = IR_fma, .aux = FP_AUX(fmt, RM_RNE), .d = at[1], .a = t, .b = at[2], .c = at[3]};
        ir_emit(&g->b, is_fma ? &turned : &(IrOp){.op = IR_mov, .d = at[1], .a = t});
        return;
    }
    IrOpcode op = (IrOpcode)ops[choose(g->c, ARRAY_LEN(ops))];
    FpShape shape = ir_op_info[op].shape;
    unsigned other = shape == FP_SHAPE_CONVERT   ? FMT_F32 + FMT_F64 - fmt
                     : shape >= FP_SHAPE_CONVERT ? (unsigned)choose(g->c, 4)
                                                 : 0;
    unsigned rm = op == IR_ftoi && choose(g->c, 4) ? RM_RTZ : RM_RNE;
    IrOp o = {.op = (uint16_t)op, .aux = (uint16_t)FP_AUX3(fmt, rm, other), .d = at[0]};
    o.aux |= fmt == FMT_F32 || shape == FP_SHAPE_CONVERT ? FP_BOXED : 0;
    o.d = shape == FP_SHAPE_TEST || shape == FP_SHAPE_TO_INT ? destination(g) : o.d;
    o.a = at[1];
    o.b = ir_op_info[op].nsrc > 1 ? at[2] : IR_ZERO;
    o.c = ir_op_info[op].nsrc > 2 ? at[3] : IR_ZERO;
    ir_emit(&g->b, &o);
}

static void insn_fp_flags(Gen *g) /* a move to or from the flags, as a guest's translator may make it */
{
    if (choose(g->c, 2)) {
        ir_emit(&g->b, &(IrOp){.op = IR_mov, .d = destination(g), .a = CROSS_FP_FLAGS});
        return;
    }
    ir_emit(&g->b, &(IrOp){.op = IR_and_i, .d = CROSS_FP_FLAGS, .a = reg(g), .imm = 31});
}

static void insn_pure(Gen *g)
{
    IrOp o = op_pure(g, common_pure(g));
    o.d = destination(g);
    ir_emit(&g->b, &o);
}

static void insn_chain(Gen *g)
{
    Slot t = IR_ZERO;
    for (uint64_t n = 1 + choose(g->c, 4); n--;) {
        IrOp o = op_pure(g, common_pure(g));
        o.a = t != IR_ZERO && ir_op_info[o.op].nsrc > 0 && choose(g->c, 4) ? t : o.a;
        o.b = t != IR_ZERO && ir_op_info[o.op].nsrc > 1 && !choose(g->c, 4) ? t : o.b;
        o.d = t = ir_temp(&g->b);
        ir_emit(&g->b, &o);
    }
    ir_emit(&g->b, &(IrOp){.op = IR_mov, .d = destination(g), .a = t});
}

/* ---- memory ---- */
/* d = an address in the first pages of the window, known as the block is translated. */
static void known_address(Gen *g, Slot d)
{
    uint64_t page = CROSS_WINDOW + choose(g->c, 5) * SPACE_PAGE_BYTES;
    uint64_t at = choose(g->c, 3) ? page + choose(g->c, SPACE_PAGE_BYTES) : page - 1 - choose(g->c, 16);
    ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = d, .imm = (int64_t)at});
}

/* An address: *imm goes with the slot. */
static Slot address(Gen *g, unsigned size_bytes, bool is_aligned, int64_t *imm)
{
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES));
    *imm = (int64_t)choose(g->c, 128) - 64;
    switch (choose(g->c, 12)) {
    case 0:
        base = reg(g); /* whatever it holds */
        break;
    case 1: { /* any page of the window */
        Slot t = ir_temp(&g->b), u = ir_temp(&g->b);
        ir_emit(&g->b, &(IrOp){.op = IR_and_i, .d = t, .a = reg(g), .imm = CROSS_PAGES * SPACE_PAGE_BYTES - 1});
        ir_emit(&g->b, &(IrOp){.op = IR_add_i, .d = u, .a = t, .imm = CROSS_WINDOW});
        base = u;
        break;
    }
    case 2:
        *imm += ((int64_t)choose(g->c, 9) - 4) * SPACE_PAGE_BYTES;
        break;
    case 3:
        base = ir_temp(&g->b);
        known_address(g, base);
        *imm /= 16;
        break;
    default:
        break;
    }
    if (is_aligned && choose(g->c, 16)) {
        Slot t = ir_temp(&g->b);
        ir_emit(&g->b, &(IrOp){.op = IR_and_i, .d = t, .a = base, .imm = -(int64_t)size_bytes});
        *imm &= -(int64_t)size_bytes;
        return t;
    }
    return base;
}

static uint16_t mem_aux(Gen *g, IrOpcode op)
{
    unsigned aux = (unsigned)choose(g->c, 4);
    aux |= op != IR_st && op != IR_sc && choose(g->c, 2) ? MEM_SIGNED : 0;
    aux |= choose(g->c, 8) ? 0 : MEM_ALIGNED;
    aux |= choose(g->c, 16) ? 0 : MEM_REGIME(1);
    aux |= op == IR_ld && !choose(g->c, 24) ? MEM_FETCHLIKE : 0;
    return (uint16_t)aux;
}

static void insn_access(Gen *g, IrOpcode op)
{
    const IrOpInfo *info = &ir_op_info[op];
    IrOp o = {.op = (uint16_t)op, .aux = mem_aux(g, op)};
    bool is_aligned = info->cls == CLASS_ATOMIC || o.aux & MEM_ALIGNED;
    o.a = address(g, MEM_SIZE(o.aux), is_aligned, &o.imm);
    o.b = info->nsrc > 1 ? source(g) : IR_ZERO;
    o.c = info->nsrc > 2 ? source(g) : IR_ZERO;
    o.d = info->has_dst ? destination(g) : IR_ZERO;
    if (info->has_dst && !choose(g->c, 4)) { /* the value is used in the same instruction */
        Slot d = o.d;
        o.d = ir_temp(&g->b);
        ir_emit(&g->b, &o);
        ir_emit(&g->b, &(IrOp){.op = IR_add_i, .d = d, .a = o.d, .imm = (int64_t)choose(g->c, 16)});
        return;
    }
    ir_emit(&g->b, &o);
}

static void insn_begin(Gen *g)
{
    if (!g->b.is_full) {
        ir_insn(&g->b, choose(g->c, 2) ? 4 : 2, 0);
    }
}

/* Accesses of one base, near each other: what an engine may check once. */
static void insns_group(Gen *g)
{
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES));
    uint64_t stores = choose(g->c, 3);
    if (!choose(g->c, 6)) {
        known_address(g, base);
        insn_begin(g);
    }
    for (uint64_t n = 2 + choose(g->c, 5); n-- && !g->b.is_full;) {
        bool is_store = stores == 2 ? choose(g->c, 2) : stores;
        uint16_t aux = (uint16_t)(choose(g->c, 2) ? 3 : choose(g->c, 4));
        int64_t imm = (int64_t)choose(g->c, 12) * 8 - 32 + (choose(g->c, 8) ? 0 : (int64_t)choose(g->c, 8));
        if (is_store) {
            ir_store(&g->b, aux, base, imm, source(g));
        } else {
            ir_load(&g->b, aux, choose(g->c, 24) ? destination(g) : base, base, imm);
        }
        if (n) {
            insn_begin(g);
        }
    }
}

static void insn_base_step(Gen *g)
{
    static const int16_t steps[] = {8, 16, -8, 1, -1, 64, 4, 2048, -2048, 24};
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES));
    ir_emit(&g->b, &(IrOp){.op = IR_add_i, .d = base, .a = base, .imm = steps[choose(g->c, ARRAY_LEN(steps))]});
}

/* lr and sc, mostly of the same place, and what may come between. */
static void insns_reserved(Gen *g)
{
    enum { TWIN = 12 * SPACE_PAGE_BYTES }; /* from the first page of the window to the same memory */
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES));
    uint16_t aux = (uint16_t)(choose(g->c, 8) ? 2 + choose(g->c, 2) : choose(g->c, 4));
    int64_t imm = (int64_t)choose(g->c, 4) * 8;
    Slot d = destination(g);
    ir_emit(
        &g->b,
        &(IrOp){
            .op = IR_lr, .aux = (uint16_t)(aux | (choose(g->c, 2) ? MEM_SIGNED : 0)), .d = d, .a = base, .imm = imm});
    insn_begin(g);
    switch (choose(g->c, 8)) {
    case 0:
        ir_store(&g->b, aux, base, imm, source(g));
        insn_begin(g);
        break;
    case 1:
        insn_access(g, any_of(g, CLASS_ATOMIC));
        insn_begin(g);
        break;
    case 2:
        insn_pure(g);
        insn_begin(g);
        break;
    case 3: /* another place with the same value */
        imm += 8;
        ir_store(&g->b, aux, base, imm, d);
        insn_begin(g);
        break;
    case 4:
        imm += TWIN;
        break;
    case 5:
        aux ^= 1;
        break;
    default:
        break;
    }
    ir_emit(&g->b, &(IrOp){.op = IR_sc, .aux = aux, .d = destination(g), .a = base, .b = source(g), .imm = imm});
}

/* ---- control ---- */
static uint64_t target(Gen *g)
{
    return choose(g->c, 24) ? CROSS_CODE + choose(g->c, g->nblocks) * CROSS_BLOCK_BYTES : CROSS_OUT;
}

static void insn_branch(Gen *g)
{
    Slot a = source(g), b = source(g);
    if (choose(g->c, 3) == 0) { /* taken half of the time */
        a = ir_temp(&g->b);
        ir_emit(&g->b, &(IrOp){.op = IR_and_i, .d = a, .a = reg(g), .imm = 1ll << choose(g->c, 4)});
        b = IR_ZERO;
    }
    ir_brcond(&g->b, (IrCond)choose(g->c, COND_COUNT), a, b, target(g));
}

static void insn_call(Gen *g)
{
    static const uint16_t calls[] = {HELP_HASH, HELP_CHECK, HELP_PEEK, HELP_POKE, HELP_FLAGS};
    uint16_t n = calls[choose(g->c, ARRAY_LEN(calls))];
    unsigned nsrc = cross_guest(CROSS_RISCV)->helpers[n].nsrc;
    Slot a = source(g), b = nsrc > 1 ? source(g) : IR_ZERO, c = nsrc > 2 ? source(g) : IR_ZERO;
    Slot d = n == HELP_POKE || !choose(g->c, 6) ? IR_ZERO : destination(g);
    ir_call(&g->b, n, d, a, b, c, n == HELP_PEEK || n == HELP_CHECK || n == HELP_HASH ? (int64_t)choose(g->c, 8) : 0);
}

/* One of the two beginnings of blocks, by a register. */
static void term_indirect(Gen *g)
{
    static const uint16_t hints[] = {0, JMP_EVEN, JMP_EVEN | JMP_CALL, JMP_EVEN | JMP_RET};
    uint16_t aux = hints[choose(g->c, ARRAY_LEN(hints))];
    Slot t[4];
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        t[i] = ir_temp(&g->b);
    }
    int64_t imm = (int64_t)choose(g->c, 3) * 2, odd = aux & JMP_EVEN && choose(g->c, 2);
    ir_emit(&g->b, &(IrOp){.op = IR_and_i, .d = t[0], .a = reg(g), .imm = 1ll << choose(g->c, 4)});
    ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = t[1], .imm = (int64_t)target(g) - imm + odd});
    ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = t[2], .imm = (int64_t)target(g) - imm});
    ir_emit(&g->b, &(IrOp){.op = IR_sel, .d = t[3], .a = t[0], .b = t[1], .c = t[2]});
    ir_emit(&g->b, &(IrOp){.op = IR_jmpr, .aux = aux, .a = t[3], .imm = imm});
}

static void term_ends(Gen *g) /* a helper that ends the block */
{
    if (choose(g->c, 2)) {
        ir_call(&g->b, HELP_COUNT, destination(g), IR_ZERO, IR_ZERO, IR_ZERO, 0);
    } else {
        ir_call(&g->b, HELP_ROUND, destination(g), reg(g), IR_ZERO, IR_ZERO, 0);
    }
    if (!choose(g->c, 4)) {
        ir_emit(&g->b, &(IrOp){.op = IR_add_i, .d = destination(g), .a = reg(g), .imm = (int64_t)choose(g->c, 16)});
    }
    ir_emit(&g->b, &(IrOp){.op = IR_sync, .imm = (int64_t)target(g)});
}

static void terminate(Gen *g)
{
    Slot t;
    switch (choose(g->c, g->is_rich ? 10 : 5)) {
    case 3:
    case 4:
        term_indirect(g);
        return;
    case 5:
        ir_emit(&g->b, &(IrOp){.op = IR_trap, .a = reg(g), .imm = (int64_t)choose(g->c, 16)});
        return;
    case 6:
        t = ir_temp(&g->b);
        ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = t, .imm = (int64_t)target(g)});
        ir_emit(&g->b, &(IrOp){.op = IR_stop, .aux = (uint16_t)choose(g->c, 3), .a = t, .imm = 4});
        return;
    case 7:
        ir_emit(&g->b, &(IrOp){.op = IR_sync, .imm = (int64_t)target(g)});
        return;
    case 8:
        t = ir_temp(&g->b);
        ir_emit(&g->b, &(IrOp){.op = IR_movi, .d = t, .imm = (int64_t)target(g) - 4});
        ir_emit(&g->b, &(IrOp){.op = IR_syncr, .a = t, .imm = 4});
        return;
    case 9:
        term_ends(g);
        return;
    default:
        ir_jmp(&g->b, target(g));
        return;
    }
}

static void insn_any(Gen *g)
{
    if (g->is_numeric && choose(g->c, 3)) {
        insn_number(g);
        return;
    }
    uint64_t kind = choose(g->c, 64);
    if (kind < 18) {
        insn_pure(g);
    } else if (kind < 26) {
        insn_chain(g);
    } else if (kind < 36) {
        insn_access(g, choose(g->c, 2) ? IR_ld : IR_st);
    } else if (kind < 40) {
        insns_group(g);
    } else if (kind < 41) {
        insn_access(g, any_of(g, CLASS_ATOMIC));
    } else if (kind < 42) {
        insns_reserved(g);
    } else if (kind < 50) {
        insn_fp(g);
    } else if (kind < 51) {
        insn_fp_flags(g);
    } else if (kind < 57) {
        insn_branch(g);
    } else if (kind < 59) {
        insn_base_step(g);
    } else if (kind < 60) {
        ir_emit(&g->b, &(IrOp){.op = IR_fence, .aux = (uint16_t)choose(g->c, ORD_SEQ_CST + 1)});
    } else if (g->is_rich) {
        insn_call(g);
    } else {
        insn_pure(g);
    }
}

/* ---- blocks ---- */
static void block_begin(Gen *g, Program *p, unsigned k)
{
    ir_begin(&g->b, &p->block[k], p->op[k], CROSS_CODE + k * CROSS_BLOCK_BYTES, 0);
}

static void block_end(Gen *g, Program *p, unsigned k)
{
    if (g->b.is_full) {
        ir_drop_insn(&g->b);
        ir_jmp(&g->b, p->block[k].gva + p->block[k].nbytes);
    } else {
        ir_insn(&g->b, 4, 0);
        terminate(g);
        if (g->b.is_full) {
            ir_drop_insn(&g->b);
            ir_jmp(&g->b, CROSS_OUT);
        }
    }
    Err err;
    int rc = ir_verify(&p->block[k], cross_guest(CROSS_RISCV), &err);
    assert(!rc && "programs are sound");
    (void)rc;
}

/* A step through memory: what an engine may look up for several times around at once. */
static void insns_walk(Gen *g)
{
    static const int16_t steps[] = {1, 2, 4, 8, 8, 8, 16, -1, -8, 200, 600, 1200};
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES));
    uint64_t n = 1 + choose(g->c, 3), at = choose(g->c, n);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t aux = (uint16_t)choose(g->c, 4);
        int64_t imm = (int64_t)choose(g->c, 4) * 8 - 16;
        insn_begin(g);
        if (choose(g->c, 3)) {
            ir_load(&g->b, aux, destination(g), base, imm);
        } else {
            ir_store(&g->b, aux, base, imm, source(g));
        }
        if (i == at) {
            insn_begin(g);
            ir_opi(&g->b, IR_add_i, base, base, steps[choose(g->c, ARRAY_LEN(steps))]);
        }
    }
}

/* An entry of a table takes the place of its number, and of its address: what an engine may leave out. */
static void insns_indexed(Gen *g)
{
    Slot base = CROSS_REG(CROSS_BASES + choose(g->c, CROSS_REGS - CROSS_BASES)), d = destination(g), of = reg(g);
    uint64_t scale = choose(g->c, 5);
    insn_begin(g);
    ir_opi(&g->b, IR_and_i, d, of, (1ll << (4 + choose(g->c, 9))) - 1);
    if (scale) {
        insn_begin(g);
        ir_opi(&g->b, IR_shl_i, d, choose(g->c, 4) ? d : of, (int64_t)scale);
    }
    bool is_first = choose(g->c, 2);
    insn_begin(g);
    ir_op2(&g->b, IR_add, d, is_first ? d : base, is_first ? base : d);
    insn_begin(g);
    ir_load(&g->b, (uint16_t)choose(g->c, 8), choose(g->c, 8) ? d : destination(g), d, (int64_t)choose(g->c, 64) - 16);
}

/* Back to the head of the block until a register is at another: what an engine may know the rounds of. */
static void insns_to_end(Gen *g, uint64_t head, unsigned first_other)
{
    static const int8_t steps[] = {1, -1, 1, -1, 2, 4, 8, -8, 8, 3};
    uint64_t n = choose(g->c, first_other), is_swapped = !choose(g->c, 4);
    Slot x = CROSS_REG(n), y = choose(g->c, 4) ? CROSS_REG((n + 1) % CROSS_BASES) : IR_ZERO;
    insn_begin(g);
    ir_opi(&g->b, choose(g->c, 3) ? IR_add_i : IR_addw_i, x, x, steps[choose(g->c, ARRAY_LEN(steps))]);
    insn_begin(g);
    ir_brcond(&g->b, choose(g->c, 2) ? COND_NE : (IrCond)choose(g->c, COND_COUNT), is_swapped ? y : x,
              is_swapped ? x : y, head);
}

/* What only computes: of a loop of nothing else, an engine may run some rounds in a row. It leaves the first registers to what counts. */
enum { COUNTERS = 4 };
static void insns_computing(Gen *g)
{
    static const uint16_t ops[] = {IR_add, IR_sub, IR_xor,    IR_and,   IR_or,   IR_add_i, IR_addw,
                                   IR_mul, IR_mov, IR_rotr_i, IR_shl_i, IR_sx32, IR_shr_i, IR_xor_i};
    for (uint64_t n = 2 + choose(g->c, 14); n; n--) {
        insn_begin(g);
        IrOp o = op_pure(g, (IrOpcode)ops[choose(g->c, ARRAY_LEN(ops))]);
        o.d = CROSS_REG(COUNTERS + choose(g->c, CROSS_BASES - COUNTERS));
        o.a = o.a == IR_ZERO ? o.d : o.a;
        o.b = ir_op_info[o.op].nsrc > 1 && o.b == IR_ZERO ? o.d : o.b;
        o.imm = (int32_t)o.imm;
        ir_emit(&g->b, &o);
    }
}

/* Back to the head of the block, mostly a few times. */
static void insns_around(Gen *g, uint64_t head)
{
    Slot count = CROSS_REG(choose(g->c, CROSS_BASES));
    insn_begin(g);
    ir_opi(&g->b, IR_add_i, count, count, -1);
    insn_begin(g);
    Slot t = ir_temp(&g->b);
    ir_opi(&g->b, IR_and_i, t, count, (4ll << choose(g->c, 4)) - 1);
    ir_brcond(&g->b, choose(g->c, 8) ? COND_NE : (IrCond)choose(g->c, COND_COUNT), t, IR_ZERO, head);
}

static void insns_random(Gen *g, const IrBlock *b, uint64_t n)
{
    while (n-- && !g->b.is_full && b->ninsns < IR_BLOCK_MAX_INSNS - 1) {
        insn_begin(g);
        insn_any(g);
    }
}

static void block_random(Gen *g, Program *p, unsigned k)
{
    const IrBlock *b = &p->block[k];
    block_begin(g, p, k);
    if (choose(g->c, 4)) {
        insns_random(g, b, choose(g->c, 8) ? choose(g->c, 12) : choose(g->c, IR_BLOCK_MAX_INSNS - 2));
    } else {
        uint64_t body = choose(g->c, 5);
        if (body == 4) {
            insns_computing(g);
        } else {
            insns_random(g, b, choose(g->c, 5));
        }
        if (body && body < 4) {
            (body < 3 ? insns_walk : insns_indexed)(g);
        }
        if (body < 4 && choose(g->c, 2)) {
            insns_around(g, b->gva);
        } else {
            insns_to_end(g, b->gva, body < 4 ? CROSS_BASES : COUNTERS - 1);
        }
        insns_random(g, b, choose(g->c, 4));
    }
    block_end(g, p, k);
}

/* Where pages meet, pages of all kinds, and the middle of what is plain. */
static uint64_t address_value(Choices *c)
{
    uint64_t page = CROSS_WINDOW + choose(c, CROSS_PAGES) * SPACE_PAGE_BYTES;
    switch (choose(c, 4)) {
    case 0:
        return page + choose(c, 32) - 16;
    case 1:
        return page + choose(c, SPACE_PAGE_BYTES);
    default:
        return CROSS_WINDOW + choose(c, 2) * SPACE_PAGE_BYTES + choose(c, SPACE_PAGE_BYTES) / 8 * 8;
    }
}

static void state_random(Program *p, Choices *c)
{
    for (unsigned i = 0; i < CROSS_REGS; i++) {
        p->reg[i] = i >= CROSS_BASES ? address_value(c) : choose(c, 3) ? choose_operand(c) : choose_fp_slot(c);
    }
    for (unsigned i = 0; i + 1 < CROSS_BASES; i += 2) { /* often near each other (insns_to_end) */
        p->reg[i + 1] = choose(c, 4) ? p->reg[i] + 8 * choose(c, 64) - 8 * 32 : p->reg[i + 1];
    }
    p->fp_flags = choose(c, 2) ? 0 : choose(c, 32);
    p->fp_rm = choose(c, 2) ? RM_RNE : choose(c, RM_RMM + 1);
    p->schedule = choose_u64(c);
}

void program_random(Program *p, Choices *c)
{
    Gen g = {
        .c = c, .nblocks = 1 + (unsigned)choose(c, CROSS_BLOCKS), .is_rich = choose(c, 2), .is_numeric = !choose(c, 3)};
    p->nblocks = g.nblocks;
    p->is_linked = choose(c, 8);
    static const struct {
        uint16_t slice_insns, insns;
    } runs[] = {{40, 300}, {40, 300}, {3, 300}, {1000, 3000}, {40, 3000}, {20000, 40000}}; /* the last: code gets hot */
    uint64_t run = choose(c, 4) ? choose(c, 3) : choose(c, ARRAY_LEN(runs));
    p->slice_insns = runs[run].slice_insns;
    p->insns = runs[run].insns;
    for (unsigned k = 0; k < p->nblocks; k++) {
        block_random(&g, p, k);
    }
    state_random(p, c);
    for (unsigned i = 0; g.is_numeric && i < CROSS_BASES; i++) {
        p->reg[i] = choose(c, 8) ? choose_fp_slot(c) : choose_operand(c);
    }
}

/* ---- one op ---- */
static bool op_is_of(IrOpcode op, uint16_t aux)
{
    const IrOpInfo *info = &ir_op_info[op];
    switch (info->cls) {
    case CLASS_FP:
        return (aux & ~FP_BOXED) < 1u << 9 && FP_RM(aux) != 6 &&
               (info->shape >= FP_SHAPE_CONVERT ? FP_OTHER(aux) < 4 : FP_OTHER(aux) == 0) && FP_FMT(aux) <= FMT_F64;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        return aux < 0x40 && !(aux & MEM_ALONE) && (!(aux & MEM_SIGNED) || (op != IR_st && op != IR_sc)) &&
               (!(aux & MEM_FETCHLIKE) || op == IR_ld);
    case CLASS_SIDE_EXIT:
        return aux < COND_COUNT;
    case CLASS_FENCE:
        return aux <= ORD_SEQ_CST;
    case CLASS_PURE:
        return aux == 0;
    case CLASS_CALL:
    case CLASS_TERM:
        break;
    }
    return false;
}

static void op_put(Gen *g, IrOpcode op, uint16_t aux)
{
    const IrOpInfo *info = &ir_op_info[op];
    bool is_mem = info->cls == CLASS_LOAD || info->cls == CLASS_STORE || info->cls == CLASS_ATOMIC;
    IrOp o = {.op = (uint16_t)op, .aux = aux};
    if (is_mem) {
        o.a = address(g, MEM_SIZE(aux), info->cls == CLASS_ATOMIC || aux & MEM_ALIGNED, &o.imm);
    } else {
        o.imm = info->cls == CLASS_SIDE_EXIT ? (int64_t)target(g) : info->has_imm ? (int64_t)choose_operand(g->c) : 0;
        o.a = info->nsrc > 0 ? source(g) : IR_ZERO;
    }
    o.b = info->nsrc > 1 ? source(g) : IR_ZERO;
    o.c = info->nsrc > 2 ? source(g) : IR_ZERO;
    o.d = info->has_dst ? destination(g) : IR_ZERO;
    ir_emit(&g->b, &o);
}

bool program_of_op(Program *p, Choices *c, IrOpcode op, uint16_t aux)
{
    enum { TIMES = 7 };
    if (!op_is_of(op, aux)) {
        return false;
    }
    Gen g = {.c = c, .nblocks = 1};
    p->nblocks = 1;
    p->is_linked = true;
    p->insns = p->slice_insns = 30;
    block_begin(&g, p, 0);
    for (unsigned i = 0; i < TIMES && !g.b.is_full; i++) {
        insn_begin(&g);
        op_put(&g, op, aux);
    }
    block_end(&g, p, 0);
    state_random(p, c);
    for (unsigned i = 0; ir_op_info[op].cls == CLASS_FP && i < CROSS_BASES; i++) {
        p->reg[i] = choose(c, 8) ? choose_fp_slot(c) : choose_operand(c);
    }
    return true;
}
