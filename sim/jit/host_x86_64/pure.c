/* SPDX-License-Identifier: Apache-2.0
 * pure.c - PURE ops. What has no code here is computed by ir_eval, through emit_call. */
#include "sim/jit/host_x86_64/host.h"

typedef enum { WIDTH_64, WIDTH_W, WIDTH_32 } Width;

/* The value of o->b, or imm of the _i form. */
typedef struct {
    bool is_imm;
    uint64_t imm;
    Slot s;
} Right;

static Right right_of(const JitHost *h, const IrOp *o)
{
    if (ir_op_info[o->op].has_imm) {
        return (Right){.is_imm = true, .imm = (uint64_t)o->imm};
    }
    Opnd b = host_opnd(h, o->b);
    return (Right){.is_imm = b.kind == O_IMM, .imm = b.imm, .s = o->b};
}

static void alu_right(JitHost *h, unsigned flags, uint32_t opc, unsigned r, const Right *b)
{
    if (!b->is_imm) {
        host_alu(h, flags, opc, r, b->s);
    } else if (is_s32(b->imm) || !(flags & W)) {
        x_alui(&h->a, flags, opc >> 3, r, (int32_t)b->imm);
    } else {
        x_movi(&h->a, RCX, b->imm);
        x_rr(&h->a, flags, opc, r, RCX);
    }
}

static void right_to(JitHost *h, unsigned r, const Right *b)
{
    if (b->is_imm) {
        x_movi(&h->a, r, b->imm);
    } else {
        host_gpr_to(h, r, b->s);
    }
}

static unsigned right_gpr(JitHost *h, const Right *b, unsigned scratch)
{
    if (!b->is_imm) {
        return host_gpr(h, b->s, scratch);
    }
    x_movi(&h->a, scratch, b->imm);
    return scratch;
}

static unsigned flags_of(Width width)
{
    return width == WIDTH_64 ? W : 0;
}

static void fin_width(JitHost *h, Slot d, unsigned r, Width width)
{
    if (width == WIDTH_W) {
        unsigned to = host_dst(h, d);
        x_rr(&h->a, W, X_MOVSXD, to, r);
        r = to;
    }
    host_fin(h, d, r);
}

static void emit_alu(JitHost *h, const IrOp *o, uint32_t opc, Width width)
{
    Right b = right_of(h, o);
    unsigned flags = flags_of(width), d = width == WIDTH_W ? RAX : host_dst(h, o->d);
    Opnd a = host_opnd(h, o->a), c = b.is_imm ? (Opnd){.kind = O_IMM} : host_opnd(h, b.s);
    if (opc == X_ADD && b.is_imm && is_s32(b.imm) && a.kind == O_MEM && a.disp == AT_SLOT(o->d) && width == WIDTH_64) {
        x_alumi(&h->a, W, G_ADD, RBP, a.disp, (int32_t)b.imm);
        host_wrote(h, o->d);
        return;
    }
    if (opc == X_ADD && a.kind == O_REG && b.is_imm && is_s32(b.imm) && a.reg != d) {
        x_rm(&h->a, flags, X_LEA, d, a.reg, (int32_t)b.imm);
    } else if (opc == X_ADD && a.kind == O_REG && c.kind == O_REG && a.reg != d && c.reg != d) {
        x_rx(&h->a, flags, X_LEA, d, a.reg, (int)c.reg, 0, 0);
    } else if (c.kind == O_REG && c.reg == d && !(a.kind == O_REG && a.reg == d)) {
        if (opc == X_SUB) { /* a - d = -d + a */
            x_rr(&h->a, flags, X_GROUP3, G_NEG, d);
            opc = X_ADD;
        }
        host_alu(h, flags, opc, d, o->a);
    } else {
        host_gpr_to(h, d, o->a);
        alu_right(h, flags, opc, d, &b);
    }
    fin_width(h, o->d, d, width);
}

/* a & ~b, a | ~b */
static void emit_alu_not(JitHost *h, const IrOp *o, uint32_t opc)
{
    Right b = right_of(h, o);
    right_to(h, RAX, &b);
    x_rr(&h->a, W, X_GROUP3, G_NOT, RAX);
    host_alu(h, W, opc, RAX, o->a);
    host_fin(h, o->d, RAX);
}

static void emit_xnor(JitHost *h, const IrOp *o)
{
    Right b = right_of(h, o);
    right_to(h, RAX, &b);
    host_alu(h, W, X_XOR, RAX, o->a);
    x_rr(&h->a, W, X_GROUP3, G_NOT, RAX);
    host_fin(h, o->d, RAX);
}

static void shift_by_imm(JitHost *h, const IrOp *o, unsigned group, unsigned flags, unsigned n, unsigned d)
{
    Opnd a = host_opnd(h, o->a);
    if (group == G_SHL && flags && n >= 1 && n <= 3 && a.kind == O_REG && a.reg != d) {
        x_prefix(&h->a, W, X_LEA, d, a.reg, 0, false); /* [a << n + disp32] */
        x_byte(&h->a, (d & 7) << 3 | 4);
        x_byte(&h->a, n << 6 | (a.reg & 7) << 3 | 5);
        x_imm32(&h->a, 0);
        return;
    }
    if (group == G_ROR && h->has_bmi2 && n && a.kind == O_REG) {
        x_rorx(&h->a, flags & W, d, a.reg, n);
        return;
    }
    host_gpr_to(h, d, o->a);
    if (n) {
        x_shift(&h->a, flags, group, d, n);
    } else if (!flags) {
        x_rr(&h->a, 0, X_LOAD, d, d);
    }
}

static void emit_shift(JitHost *h, const IrOp *o, unsigned group, Width width)
{
    Right b = right_of(h, o);
    unsigned flags = flags_of(width), d = width == WIDTH_W ? RAX : host_dst(h, o->d);
    if (b.is_imm) {
        shift_by_imm(h, o, group, flags, (unsigned)(b.imm & (flags ? 63 : 31)), d);
    } else if (group != G_ROR && h->has_bmi2) {
        unsigned count = host_gpr(h, b.s, RCX), s = host_gpr(h, o->a, RAX);
        x_shiftx(&h->a, group == G_SHL ? 1 : group == G_SHR ? 3 : 2, flags & W, d, count, s);
    } else {
        host_gpr_to(h, RCX, b.s);
        host_gpr_to(h, RAX, o->a);
        x_rr(&h->a, flags, 0xd3, group, RAX);
        d = RAX;
    }
    fin_width(h, o->d, d, width);
}

static void emit_mul(JitHost *h, const IrOp *o, Width width)
{
    Right b = right_of(h, o);
    unsigned flags = flags_of(width), d = width == WIDTH_W ? RAX : host_dst(h, o->d);
    Opnd c = b.is_imm ? (Opnd){.kind = O_IMM} : host_opnd(h, b.s);
    if (b.is_imm && is_s32(b.imm)) {
        x_rr(&h->a, flags, X_IMULI, d, host_gpr(h, o->a, RAX));
        x_imm32(&h->a, (uint32_t)b.imm);
    } else if (c.kind == O_REG && c.reg == d) {
        x_rr(&h->a, flags, X_IMUL, d, host_gpr(h, o->a, RAX));
    } else {
        unsigned r = right_gpr(h, &b, RCX);
        host_gpr_to(h, d, o->a);
        x_rr(&h->a, flags, X_IMUL, d, r);
    }
    fin_width(h, o->d, d, width);
}

/* The upper half; is_mixed: of a signed and an unsigned number. */
static void emit_mul_high(JitHost *h, const IrOp *o, unsigned group, bool is_mixed)
{
    Right b = right_of(h, o);
    right_to(h, RCX, &b);
    host_gpr_to(h, RAX, o->a);
    x_rr(&h->a, W, X_GROUP3, group, RCX);
    if (is_mixed) { /* less b if a is negative */
        host_gpr_to(h, RAX, o->a);
        x_shift(&h->a, W, G_SAR, RAX, 63);
        x_rr(&h->a, W, X_AND, RAX, RCX);
        x_rr(&h->a, W, X_SUB, RDX, RAX);
    }
    host_fin(h, o->d, RDX);
}

typedef struct {
    bool is_signed, is_rest;
    Width width;
} Division;

/* What the host's division traps on (ir_ops.def): eax, ecx are the operands; the result comes to eax. */
static void division_odd(Asm *a, unsigned flags, Division how)
{
    if (how.is_signed && how.is_rest) { /* by 0: a; by -1: 0 */
        x_rr(a, flags, X_GROUP3, G_NOT, RCX);
        x_rr(a, flags, X_AND, RAX, RCX);
    } else if (how.is_signed) { /* by 0: -1; by -1: -a. rdx = rcx + 1 */
        x_rr(a, flags, X_GROUP3, G_NEG, RDX);
        x_rr(a, flags, X_GROUP3, G_NEG, RAX);
        x_rr(a, flags, X_OR, RAX, RDX);
    } else if (!how.is_rest) {
        x_alui(a, W, G_OR, RAX, -1);
    }
}

static void emit_division(JitHost *h, const IrOp *o, Division how)
{
    Asm *a = &h->a;
    Right b = right_of(h, o);
    unsigned flags = flags_of(how.width);
    right_to(h, RCX, &b);
    host_gpr_to(h, RAX, o->a);
    uint8_t *plain;
    if (how.is_signed) {
        x_rm(a, flags, X_LEA, RDX, RCX, 1);
        x_alui(a, flags, G_CMP, RDX, 1);
        plain = x_jcc(a, CC_A);
    } else {
        x_rr(a, flags, X_TEST, RCX, RCX);
        plain = x_jcc(a, CC_NE);
    }
    division_odd(a, flags, how);
    uint8_t *done = x_jmp(a);
    x_fix(plain, a->p);
    if (how.is_signed) {
        x_prefix(a, flags, 0x99, 0, 0, 0, false); /* cdq, cqo */
    } else {
        x_zero(a, RDX);
    }
    x_rr(a, flags, X_GROUP3, how.is_signed ? G_IDIV : G_DIV, RCX);
    if (how.is_rest) {
        x_mov(a, RAX, RDX);
    }
    x_fix(done, a->p);
    fin_width(h, o->d, RAX, how.width);
}

static void emit_compare(JitHost *h, const IrOp *o, unsigned cc)
{
    Right b = right_of(h, o);
    unsigned d = host_dst(h, o->d);
    alu_right(h, W, X_CMP, host_gpr(h, o->a, RAX), &b);
    x_rr(&h->a, 0, X_SETCC | cc, 0, RAX);
    x_rr(&h->a, 0, X_MOVZX8, d, RAX);
    host_fin(h, o->d, d);
}

/* b unless the comparison of a with b holds: cc is its opposite */
static void emit_least(JitHost *h, const IrOp *o, unsigned cc)
{
    Right b = right_of(h, o);
    host_gpr_to(h, RAX, o->a);
    unsigned r = right_gpr(h, &b, RCX);
    x_rr(&h->a, W, X_CMP, RAX, r);
    x_rr(&h->a, W, X_CMOV | cc, RAX, r);
    host_fin(h, o->d, RAX);
}

static void emit_extend(JitHost *h, const IrOp *o, unsigned flags, uint32_t opc)
{
    unsigned s = host_gpr(h, o->a, RAX), d = host_dst(h, o->d);
    x_rr(&h->a, flags | (opc == X_MOVZX8 || opc == X_MOVSX8 ? BYTE : 0), opc, d, s);
    host_fin(h, o->d, d);
}

/* What is a word stays one. */
static void emit_sx32(JitHost *h, const IrOp *o)
{
    if (host_is_word(h, o->a)) {
        host_set_copy(h, o->d, o->a);
    } else {
        emit_extend(h, o, W, X_MOVSXD);
    }
}

#define BOTH(name)                                                                                                     \
    case IR_##name:                                                                                                    \
    case IR_##name##_i
static bool makes_word(const JitHost *h, const IrOp *o)
{
    switch ((unsigned)o->op) {
    case IR_addw:
    case IR_addw_i:
    case IR_subw:
    case IR_subw_i:
    case IR_mulw:
    case IR_mulw_i:
    case IR_shlw:
    case IR_shlw_i:
    case IR_shrw:
    case IR_shrw_i:
    case IR_sarw:
    case IR_sarw_i:
    case IR_rotrw:
    case IR_rotrw_i:
    case IR_sx8:
    case IR_sx16:
    case IR_sx32:
    case IR_zx8:
    case IR_zx16:
        BOTH(eq) : BOTH(ne) : BOTH(lt) : BOTH(ltu) : return true;
    case IR_shr32_i:
        return o->imm & 31;
    case IR_shr_i:
        return (o->imm & 63) > 32;
    case IR_sar_i:
        return (o->imm & 63) >= 32 || host_is_word(h, o->a);
    case IR_and_i:
        return is_s32((uint64_t)o->imm) && (o->imm >= 0 || host_is_word(h, o->a));
    case IR_or_i:
    case IR_xor_i:
        return is_s32((uint64_t)o->imm) && host_is_word(h, o->a);
    case IR_and:
    case IR_or:
    case IR_xor:
        return host_is_word(h, o->a) && host_is_word(h, o->b);
    default:
        return false;
    }
}

static void emit_sel(JitHost *h, const IrOp *o)
{
    host_gpr_to(h, RDX, o->c);
    unsigned b = host_gpr(h, o->b, RCX), a = host_gpr(h, o->a, RAX);
    x_rr(&h->a, W, X_TEST, a, a);
    x_rr(&h->a, W, X_CMOV | CC_NE, RDX, b);
    host_fin(h, o->d, RDX);
}

static void emit_count(JitHost *h, const IrOp *o, bool has_it, uint32_t opc)
{
    if (!has_it) {
        host_emit_call(h, o);
        return;
    }
    unsigned s = host_gpr(h, o->a, RAX);
    x_rr(&h->a, W, opc, RAX, s);
    host_fin(h, o->d, RAX);
}

static void emit_bswap(JitHost *h, const IrOp *o)
{
    host_gpr_to(h, RAX, o->a);
    x_prefix(&h->a, W, 0x0fc8 | RAX, 0, 0, RAX, false);
    host_fin(h, o->d, RAX);
}

/* The bytes that are 0, and then the others. */
static void emit_orb(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    x_rr(a, W, X_MOVQ_TO, 0, host_gpr(h, o->a, RAX));
    x_rr(a, 0, X_XORPS, 1, 1);
    x_rr(a, 0, X_PCMPEQB, 0, 1);
    x_rr(a, W, X_MOVQ_FROM, 0, RAX);
    x_rr(a, W, X_GROUP3, G_NOT, RAX);
    host_fin(h, o->d, RAX);
}

/* The number in a boxed slot, or the default NaN. */
static void emit_unbox32(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    if (host_is_boxed(h, o->a)) {
        emit_extend(h, o, 0, X_LOAD);
        return;
    }
    host_gpr_to(h, RAX, o->a);
    x_movi(a, RCX, 0x7fc00000);
    x_mov(a, RDX, RAX);
    x_shift(a, W, G_SHR, RDX, 32);
    x_alui(a, 0, G_ADD, RDX, 1);
    x_rr(a, 0, X_LOAD, RAX, RAX);
    x_rr(a, 0, X_CMOV | CC_NE, RAX, RCX);
    host_fin(h, o->d, RAX);
}

static void emit_mov(JitHost *h, const IrOp *o)
{
    Opnd a = host_opnd(h, o->a);
    if (a.kind == O_IMM) {
        host_set_const(h, o->d, a.imm);
    } else {
        host_set_copy(h, o->d, o->a);
    }
}

static bool is_const(const JitHost *h, const IrOp *o)
{
    Slot src[3];
    unsigned n = jit_op_sources(h->m->guest, o, src);
    for (unsigned i = 0; i < n; i++) {
        if (host_opnd(h, src[i]).kind != O_IMM) {
            return false;
        }
    }
    return true;
}

#define OP2(name, call)                                                                                                \
    BOTH(name) : (call);                                                                                               \
    return true;
#define OP1(name, call)                                                                                                \
    case IR_##name:                                                                                                    \
        (call);                                                                                                        \
        return true;
#define DIVISION(is_signed, is_rest, width) ((Division){is_signed, is_rest, width})

static bool emit_arithmetic(JitHost *h, const IrOp *o)
{
    switch ((unsigned)o->op) {
        OP2(add, emit_alu(h, o, X_ADD, WIDTH_64))
        OP2(sub, emit_alu(h, o, X_SUB, WIDTH_64))
        OP2(addw, emit_alu(h, o, X_ADD, WIDTH_W))
        OP2(subw, emit_alu(h, o, X_SUB, WIDTH_W))
        OP2(add32, emit_alu(h, o, X_ADD, WIDTH_32))
        OP2(sub32, emit_alu(h, o, X_SUB, WIDTH_32))
        OP2(mul, emit_mul(h, o, WIDTH_64))
        OP2(mulw, emit_mul(h, o, WIDTH_W))
        OP2(mul32, emit_mul(h, o, WIDTH_32))
        OP2(mulh, emit_mul_high(h, o, G_IMUL, false))
        OP2(mulhu, emit_mul_high(h, o, G_MUL, false))
        OP2(mulhsu, emit_mul_high(h, o, G_MUL, true))
        OP2(div, emit_division(h, o, DIVISION(true, false, WIDTH_64)))
        OP2(divu, emit_division(h, o, DIVISION(false, false, WIDTH_64)))
        OP2(rem, emit_division(h, o, DIVISION(true, true, WIDTH_64)))
        OP2(remu, emit_division(h, o, DIVISION(false, true, WIDTH_64)))
        OP2(divw, emit_division(h, o, DIVISION(true, false, WIDTH_W)))
        OP2(divuw, emit_division(h, o, DIVISION(false, false, WIDTH_W)))
        OP2(remw, emit_division(h, o, DIVISION(true, true, WIDTH_W)))
        OP2(remuw, emit_division(h, o, DIVISION(false, true, WIDTH_W)))
        OP2(eq, emit_compare(h, o, CC_E))
        OP2(ne, emit_compare(h, o, CC_NE))
        OP2(lt, emit_compare(h, o, CC_L))
        OP2(ltu, emit_compare(h, o, CC_B))
        OP2(min, emit_least(h, o, CC_GE))
        OP2(max, emit_least(h, o, CC_L))
        OP2(minu, emit_least(h, o, CC_AE))
        OP2(maxu, emit_least(h, o, CC_B))
    default:
        return false;
    }
}

static bool emit_bits(JitHost *h, const IrOp *o)
{
    switch ((unsigned)o->op) {
        OP2(and, emit_alu(h, o, X_AND, WIDTH_64))
        OP2(or, emit_alu(h, o, X_OR, WIDTH_64))
        OP2(xor, emit_alu(h, o, X_XOR, WIDTH_64))
        OP2(andn, emit_alu_not(h, o, X_AND))
        OP2(orn, emit_alu_not(h, o, X_OR))
        OP2(xnor, emit_xnor(h, o))
        OP2(shl, emit_shift(h, o, G_SHL, WIDTH_64))
        OP2(shr, emit_shift(h, o, G_SHR, WIDTH_64))
        OP2(sar, emit_shift(h, o, G_SAR, WIDTH_64))
        OP2(rotr, emit_shift(h, o, G_ROR, WIDTH_64))
        OP2(shlw, emit_shift(h, o, G_SHL, WIDTH_W))
        OP2(shrw, emit_shift(h, o, G_SHR, WIDTH_W))
        OP2(sarw, emit_shift(h, o, G_SAR, WIDTH_W))
        OP2(rotrw, emit_shift(h, o, G_ROR, WIDTH_W))
        OP2(shl32, emit_shift(h, o, G_SHL, WIDTH_32))
        OP2(shr32, emit_shift(h, o, G_SHR, WIDTH_32))
        OP2(sar32, emit_shift(h, o, G_SAR, WIDTH_32))
        OP2(rotr32, emit_shift(h, o, G_ROR, WIDTH_32))
        OP1(sx8, emit_extend(h, o, W, X_MOVSX8))
        OP1(sx16, emit_extend(h, o, W, X_MOVSX16))
        OP1(sx32, emit_sx32(h, o))
        OP1(zx8, emit_extend(h, o, 0, X_MOVZX8))
        OP1(zx16, emit_extend(h, o, 0, X_MOVZX16))
        OP1(zx32, emit_extend(h, o, 0, X_LOAD))
        OP1(mov, emit_mov(h, o))
        OP1(sel, emit_sel(h, o))
        OP1(clz, emit_count(h, o, h->has_lzcnt, X_LZCNT))
        OP1(ctz, emit_count(h, o, h->has_bmi1, X_TZCNT))
        OP1(popcount, emit_count(h, o, h->has_popcnt, X_POPCNT))
        OP1(bswap, emit_bswap(h, o))
        OP1(orb, emit_orb(h, o))
        OP1(unbox32, emit_unbox32(h, o))
    default:
        return false;
    }
}

static bool is_access_by(const IrOp *o, Slot base)
{
    return (o->op == IR_ld || o->op == IR_st) && o->a == base;
}

/* d = a << n; d = d + b; an access by d: one lea, as nobody sees d between. Of numbers that are no addresses it was slower. */
static bool emit_indexed(JitHost *h, const IrOp *o)
{
    const IrOp *next = o + 1;
    if (o->op != IR_shl_i || o->imm < 1 || o->imm > 3 || next->op != IR_add || next->d != o->d ||
        (next->a == o->d) == (next->b == o->d) || !is_access_by(next + 1, o->d)) {
        return false;
    }
    Opnd a = host_opnd(h, o->a), b = host_opnd(h, next->a == o->d ? next->b : next->a);
    if (a.kind != O_REG || b.kind != O_REG) {
        return false;
    }
    Indexed at = {.base = b.reg, .index = (int)a.reg, .scale = (unsigned)o->imm};
    if (host_emit_indexed(h, next + 1, o->d, at)) {
        return true;
    }
    unsigned d = host_dst(h, o->d);
    x_rx(&h->a, W, X_LEA, d, b.reg, (int)a.reg, (unsigned)o->imm, 0);
    host_fin(h, o->d, d);
    h->q++;
    return true;
}

/* d = a + b; a load by d. What was d is probably the later of the two. */
static bool emit_sum(JitHost *h, const IrOp *o)
{
    if (o->op != IR_add || !is_access_by(o + 1, o->d)) {
        return false;
    }
    Slot index = o->b == o->d ? o->b : o->a, base = o->b == o->d ? o->a : o->b;
    Opnd a = host_opnd(h, index), b = host_opnd(h, base);
    return a.kind == O_REG && b.kind == O_REG &&
           host_emit_indexed(h, o + 1, o->d, (Indexed){.base = b.reg, .index = (int)a.reg});
}

void host_emit_pure(JitHost *h, const IrOp *o)
{
    if (host_emit_signs(h, o)) {
        return;
    }
    host_kill(h, o->d);
    if (host_put_off(h, o)) {
        return;
    }
    if (emit_indexed(h, o) || emit_sum(h, o)) {
        return;
    }
    bool is_word = makes_word(h, o);
    Group group = h->group[host_id(h, o->d)];
    if (is_const(h, o)) {
        host_set_const(
            h, o->d,
            ir_eval((IrOpcode)o->op, host_opnd(h, o->a).imm, host_opnd(h, o->b).imm, host_opnd(h, o->c).imm, o->imm));
    } else if (!emit_arithmetic(h, o) && !emit_bits(h, o)) {
        host_emit_call(h, o);
    }
    if (is_word) {
        host_set_word(h, o->d);
    }
    if (o->op == IR_or_i && (uint64_t)o->imm == ~0ull << 32) {
        host_set_boxed(h, o->d);
    }
    if (o->op == IR_add_i && o->d == o->a) {
        host_group_move(h, o->d, &group, o->imm);
    }
}
