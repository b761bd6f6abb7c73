/* SPDX-License-Identifier: Apache-2.0
 * fp.c - FP ops by SSE2 and FMA, rounded to nearest even; the others are softfp's, through emit_call. While code runs flags accrue in
 * MXCSR (fp_flags_fold): masked SSE exceptions are IEEE 754's, and tininess is seen after rounding (SDM 1, 4.9.1, 11.5.2). What the
 * processor leaves to an architecture, it does here: a NaN becomes the default one, an integer that does not fit is softfp's.
 *
*/
#include "sim/jit/host_x86_64/host.h"

enum { X0, X1, PICK_F32 = 0xf3, PICK_F64 = 0xf2 };
#define BOX_ONES 0xffffffff00000000ull

typedef struct {
    bool is_f32, is_boxed;
    uint32_t prefix; /* of scalar operations of the format */
} Format;

static Format format_of(unsigned fmt, uint16_t aux)
{
    return fmt == FMT_F32 ? (Format){true, aux & FP_BOXED, (uint32_t)PICK_F32 << 24}
                          : (Format){false, false, (uint32_t)PICK_F64 << 24};
}

static bool is_f32_or_f64(unsigned fmt)
{
    return fmt == FMT_F32 || fmt == FMT_F64;
}

/* The mode asks for what SSE does, but for NaNs, which are made the default one. */
static bool is_mode_like_host(uint32_t mode)
{
    const uint32_t others = FPM_NAN_RULE | FPM_NAN_NEGATIVE | FPM_FZ_IN | FPM_FZ_OUT | FPM_FZ16_IN | FPM_FZ16_OUT |
                            FPM_ID_ON_USE | FPM_ID_ON_FLUSH | FPM_UF_IF_EXACT;
    return !(mode & others) && mode & FPM_TINY_AFTER;
}

/* ---- operands ---- */
static void pick_to(JitHost *h, unsigned x, Slot s)
{
    Opnd o = host_opnd(h, s);
    if (o.kind == O_XMM) {
        x_rr(&h->a, 0, X_MOVAPS, x, o.reg);
    } else if (o.kind == O_MEM) {
        x_rm(&h->a, 0, X_MOVQ_LOAD, x, RBP, o.disp);
    } else {
        x_rr(&h->a, W, X_MOVQ_TO, x, host_gpr(h, s, RAX));
    }
}

static unsigned pick(JitHost *h, Slot s, unsigned scratch)
{
    Opnd o = host_opnd(h, s);
    if (o.kind == O_XMM) {
        return o.reg;
    }
    pick_to(h, scratch, s);
    return scratch;
}

/* To the slow path if the operand is not a boxed f32. */
static void check_boxed(JitHost *h, Slot s, uint8_t *fix[], unsigned *n)
{
    if (host_is_boxed(h, s)) {
        return;
    }
    Opnd o = host_opnd(h, s);
    if (o.kind == O_MEM) {
        x_alumi(&h->a, 0, G_CMP, RBP, o.disp + 4, -1);
    } else {
        host_opnd_to(h, RAX, o);
        x_shift(&h->a, W, G_SHR, RAX, 32);
        x_alui(&h->a, 0, G_CMP, RAX, -1);
    }
    fix[(*n)++] = x_jcc(&h->a, CC_NE);
}

/* ---- what is done by softfp after all: the whole op once more ---- */
enum { MAX_WAYS = 4 };
typedef struct {
    uint8_t *fix[MAX_WAYS];
    unsigned n;
} Ways;

static void check_operands(JitHost *h, const IrOp *o, Format f, Ways *w)
{
    Slot src[3];
    unsigned n = f.is_boxed ? jit_op_sources(h->m->guest, o, src) : 0;
    for (unsigned i = 0; i < n; i++) {
        check_boxed(h, src[i], w->fix, &w->n);
    }
}

/* The op is done: its value is in the home of its slot, or wherever `back` finds it. */
static void softly(JitHost *h, const Ways *w, const IrOp *o)
{
    if (!w->n) {
        return;
    }
    uint32_t site = jit_site_new(h, h->q);
    for (unsigned i = 0; i < w->n; i++) {
        Stub *s = host_stub_new(h, STUB_SOFT, w->fix[i]);
        s->site = site;
        s->q = h->q;
        s->raws.raw = 0;
        Slot src[3];
        s->noperands = jit_op_sources(h->m->guest, o, src);
        for (unsigned k = 0; k < s->noperands; k++) {
            s->operand[k] = host_opnd(h, src[k]);
        }
    }
}

/* Likewise; and those of `from` have been looked at: they are numbers, or become what they stand for. */
static void softly_looked(JitHost *h, const Ways *w, const IrOp *o, RegMask from)
{
    size_t first = h->stubs.n;
    softly(h, w, o);
    for (size_t i = first; i < h->stubs.n; i++) {
        h->stubs.items[i].raws.raw = from;
    }
    h->raws.raw &= (RegMask)~from;
}

/* Where the stubs that softly made come back to. */
static void softly_back(JitHost *h, size_t first)
{
    for (size_t i = first; i < h->stubs.n; i++) {
        if (h->stubs.items[i].kind == STUB_SOFT) {
            h->stubs.items[i].back = h->a.p;
        }
    }
}

void host_emit_soft(JitHost *h, const Stub *s)
{
    const IrOp *o = &h->b->op[s->q];
    host_nans_fix(h, &s->raws);
    for (unsigned k = 0; k < s->noperands; k++) {
        host_opnd_to(h, RAX, s->operand[k]);
        if ((k == 0 && s->turn & FUSED_PRODUCT) || (k == 2 && s->turn & FUSED_ADDEND)) {
            x_rr(&h->a, W, X_BTCI, 7, RAX);
            x_byte(&h->a, FP_FMT(o->aux) == FMT_F32 ? 31 : 63);
        }
        x_rm(&h->a, W, X_STORE, RAX, RSP, ON_STACK(arg) + (int32_t)k * 8);
    }
    host_site_to_rcx(h, s->site);
    host_jump_out(h, x_call(&h->a), h->slow[h->m->has_fpr]);
    int home = h->m->home[host_id(h, o->d)];
    if (home >= FPR_HOME) {
        x_rr(&h->a, W, X_MOVQ_TO, (unsigned)home - FPR_HOME, RAX);
    } else if (home != HOME_FRAME) {
        x_mov(&h->a, (unsigned)home, RAX);
    } else {
        x_rm(&h->a, W, X_STORE, RAX, RBP, AT_SLOT(o->d));
    }
    x_fix(x_jmp(&h->a), s->back);
}

/* ---- results ---- */
/* The upper half of xmm x becomes a box. */
static void box_in(JitHost *h, unsigned x, Format f)
{
    if (f.is_boxed) {
        host_op_const(h, X_ORPS, x, x, CONST_BOX);
    }
}

/* d = the number in xmm x of the format, in its box if it has one; a NaN has gone the other way. */
static void fin_number(JitHost *h, Slot d, unsigned x, Format f)
{
    int home = h->m->home[host_id(h, d)];
    if (f.is_f32 && !f.is_boxed) {
        x_rr(&h->a, 0, X_MOVD_FROM, x, RAX);
        host_fin(h, d, RAX);
    } else if (home >= FPR_HOME) {
        if ((unsigned)home - FPR_HOME != x) {
            x_rr(&h->a, 0, X_MOVAPS, (unsigned)home - FPR_HOME, x);
        }
        host_wrote(h, d);
    } else if (home == HOME_FRAME) {
        x_rm(&h->a, 0, X_MOVQ_STORE, x, RBP, AT_SLOT(d));
        host_wrote(h, d);
    } else {
        x_rr(&h->a, W, X_MOVQ_FROM, x, RAX);
        host_fin(h, d, RAX);
    }
    if (f.is_boxed) {
        host_set_boxed(h, d);
    }
}

static void ucomi(JitHost *h, unsigned a, unsigned b, Format f, bool is_signalling)
{
    x_rr(&h->a, 0, (f.is_f32 ? 0u : 0x66000000u) | (is_signalling ? X_COMI : X_UCOMI), a, b);
}

/* ---- raw results (raw.c) ---- */
/* The register of a result that may stay raw; 0: there is none. */
static unsigned raw_home(const JitHost *h, const IrOp *o, Format f)
{
    int home = h->m->home[host_id(h, o->d)];
    return (!f.is_f32 || f.is_boxed) && home >= FPR_HOME ? (unsigned)home - FPR_HOME : 0;
}

static void wrote_raw(JitHost *h, const IrOp *o, unsigned x, RegMask from, Format f)
{
    host_wrote(h, o->d);
    host_raw_add(h, x, from, f.is_f32);
    if (f.is_f32) {
        host_set_boxed(h, o->d);
    }
}

/* The VEX prefix of three bytes, and the opcode: of registers x and y, and of rm (SDM 2A, 2.3.5). */
static void vex(Asm *a, uint32_t opc, unsigned x, unsigned y, unsigned rm)
{
    unsigned pp = opc >> 24 == 0x66 ? 1 : opc >> 24 == 0xf3 ? 2 : opc >> 24 == 0xf2 ? 3 : 0;
    x_byte(a, 0xc4);
    x_byte(a, (x & 8 ? 0u : 0x80u) | 0x40 | (rm & 8 ? 0u : 0x20u) | 1);
    x_byte(a, (~y & 15) << 3 | pp);
    x_byte(a, opc);
}

static void vex_operand(Asm *a, unsigned x, Opnd z)
{
    if (z.kind == O_XMM) {
        x_byte(a, 0xc0 | (x & 7) << 3 | (z.reg & 7));
    } else {
        x_byte(a, 0x80 | (x & 7) << 3 | RBP);
        x_imm32(a, (uint32_t)z.disp);
    }
}

void host_op3(JitHost *h, uint32_t opc, unsigned x, unsigned y, Opnd z)
{
    Asm *a = &h->a;
    if (h->has_avx) {
        vex(a, opc, x, y, z.kind == O_XMM ? z.reg : RBP);
        vex_operand(a, x, z);
        return;
    }
    unsigned to = z.kind == O_XMM && z.reg == x && y != x ? X0 : x;
    if (to != y) {
        x_rr(a, 0, X_MOVAPS, to, y);
    }
    if (z.kind == O_XMM) {
        x_rr(a, 0, opc, to, z.reg);
    } else {
        x_rm(a, 0, opc, to, RBP, z.disp);
    }
    if (to != x) {
        x_rr(a, 0, X_MOVAPS, x, to);
    }
}

void host_op_const(JitHost *h, uint32_t opc, unsigned x, unsigned y, HostConst c)
{
    Asm *a = &h->a;
    if (h->has_avx) {
        vex(a, opc, x, y, RBP);
        x_byte(a, (x & 7) << 3 | RBP);
        x_imm32(a, 0);
    } else {
        if (x != y) {
            x_rr(a, 0, X_MOVAPS, x, y);
        }
        x_rip(a, 0, opc, x);
    }
    host_jump_out(h, a->p - 4, h->j->cache.consts + (size_t)c * 16);
}

/* x = the op of its operands, of which boxes have been looked at. */
static void emit_raw(JitHost *h, const IrOp *o, uint32_t opc, unsigned x, Format f)
{
    RegMask from = host_raw_operands(h, o);
    bool is_root = o->op == IR_fsqrt;
    Opnd z = host_opnd(h, is_root ? o->a : o->b);
    if (z.kind != O_XMM && (z.kind != O_MEM || is_root)) {
        z = (Opnd){.kind = O_XMM, .reg = pick(h, is_root ? o->a : o->b, X1)};
    }
    host_op3(h, f.prefix | opc, x, is_root ? z.reg : pick(h, o->a, X0),
             z); /* a root must not wait for another register */
    wrote_raw(h, o, x, from, f);
}

/* ---- ops ---- */
static void emit_op2(JitHost *h, const IrOp *o, uint32_t opc, Format f)
{
    unsigned raw = raw_home(h, o, f);
    Ways w = {0};
    size_t first = h->stubs.n;
    check_operands(h, o, f, &w);
    if (raw) {
        softly(h, &w, o);
        emit_raw(h, o, opc, raw, f);
        softly_back(h, first);
        return;
    }
    unsigned b = o->op == IR_fsqrt ? pick(h, o->a, X1) : pick(h, o->b, X1);
    pick_to(h, X0, o->a);
    x_rr(&h->a, 0, f.prefix | opc, X0, b);
    ucomi(h, X0, X0, f, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly(h, &w, o);
    fin_number(h, o->d, X0, f);
    softly_back(h, first);
}

/* SDM 2: VFMADD213 x, y, z: x = y * x + z; VFMADD231: x = y * z + x; VFMADD132: x = x * z + y. The others, by what is turned: */
enum { FMADD_132 = 0x99, FMADD_213 = 0xa9, FMADD_231 = 0xb9 };
static const uint8_t fma_turned[] = {0, 4, 2, 6};

/* z: O_REG: JitStack.arg[0] */
static void fma3(JitHost *h, unsigned opc, Format f, unsigned x, unsigned y, Opnd z)
{
    Asm *a = &h->a;
    unsigned rm = z.kind == O_XMM ? z.reg : RBP;
    x_byte(a, 0xc4);
    x_byte(a, (x & 8 ? 0u : 0x80u) | 0x40 | (rm & 8 ? 0u : 0x20u) | 2);
    x_byte(a, (f.is_f32 ? 0 : 0x80u) | (~y & 15) << 3 | 1);
    x_byte(a, opc);
    if (z.kind == O_REG) {
        x_byte(a, 0x80 | (x & 7) << 3 | RSP);
        x_byte(a, 0x24);
        x_imm32(a, ON_STACK(arg));
    } else {
        vex_operand(a, x, z);
    }
}

static Opnd in_xmm(unsigned x)
{
    return (Opnd){.kind = O_XMM, .reg = x};
}

/* xmm0 = a * b + c */
static void multiply_add(JitHost *h, const IrOp *o, unsigned turn, Format f)
{
    Opnd b = host_opnd(h, o->b), c = host_opnd(h, o->c);
    pick_to(h, X0, o->a);
    if (b.kind == O_XMM || c.kind == O_XMM || c.kind == O_MEM) {
        bool is_c_last = b.kind == O_XMM || c.kind == O_MEM;
        if (is_c_last) {
            unsigned y = pick(h, o->b, X1);
            fma3(h, FMADD_213 + fma_turned[turn], f, X0, y, c.kind == O_MEM ? c : in_xmm(pick(h, o->c, X1)));
        } else {
            fma3(h, FMADD_132 + fma_turned[turn], f, X0, c.reg, b.kind == O_MEM ? b : in_xmm(pick(h, o->b, X1)));
        }
        return;
    }
    host_gpr_to(h, RAX, o->b); /* a scratch register too few */
    x_rm(&h->a, W, X_STORE, RAX, RSP, ON_STACK(arg));
    fma3(h, FMADD_132 + fma_turned[turn], f, X0, pick(h, o->c, X1), (Opnd){.kind = O_REG});
}

/* A NaN as addend hides that inf * 0 is invalid: the host says nothing then, so each result is looked at, and softfp finds out. What
 * a number was made of are numbers then. If the addend's register is the result's, softfp gets a NaN for it, as it was one. */
static bool emit_fma(JitHost *h, const IrOp *o, unsigned turn, Format f)
{
    if (!h->has_fma) {
        return false;
    }
    Ways w = {0};
    size_t first = h->stubs.n;
    RegMask from = host_raw_operands(h, o);
    Opnd z = host_opnd(h, o->c);
    int home = h->m->home[host_id(h, o->d)];
    bool has_carry =
        raw_home(h, o, f) && z.kind == O_XMM && home == FPR_HOME + (int)z.reg && o->a != o->d && o->b != o->d;
    unsigned x = has_carry ? z.reg : X0;
    check_operands(h, o, f, &w);
    if (has_carry) {
        unsigned a = pick(h, o->a, X0), b = pick(h, o->b, X1);
        fma3(h, FMADD_231 + fma_turned[turn], f, x, a, in_xmm(b));
    } else {
        multiply_add(h, o, turn, f);
    }
    ucomi(h, x, x, f, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly_looked(h, &w, o, from);
    for (size_t i = first; i < h->stubs.n; i++) {
        h->stubs.items[i].turn = turn;
    }
    if (has_carry) {
        h->stubs.items[h->stubs.n - 1].operand[2] = (Opnd){.kind = O_IMM, .imm = f.is_f32 ? F32_NAN : F64_NAN};
    }
    fin_number(h, o->d, x, f);
    softly_back(h, first);
    return true;
}

/* ---- signs ---- */
static bool is_sign(const IrOp *o, unsigned fmt)
{
    return o->op == IR_xor_i && IR_IS_TEMP(o->d) && o->imm == (fmt == FMT_F64 ? INT64_MIN : 1ll << 31);
}

unsigned host_fp_fused(const JitHost *h, uint32_t q, IrOp *out, unsigned *turn)
{
    const IrOp *o = &h->b->op[q];
    uint32_t left = h->b->nops - q;
    if (o->op != IR_xor_i || left < 2 || !h->has_fma) {
        return 0;
    }
    unsigned n = o[1].op == IR_fma ? 1 : left > 2 && o[1].op == IR_xor_i && o[2].op == IR_fma ? 2 : 0;
    const IrOp *fma = o + n;
    if (!n || fma->insn != o->insn || (n + 1 < left && fma[1].insn == o->insn) ||
        !host_fp_is_inline(h->m->guest, fma)) {
        return 0;
    }
    *out = *fma;
    *turn = 0;
    for (unsigned i = 0; i < n; i++) {
        bool is_a = fma->a == o[i].d, is_c = fma->c == o[i].d;
        if (!is_sign(&o[i], FP_FMT(fma->aux)) || is_a == is_c || fma->b == o[i].d || IR_IS_TEMP(o[i].a)) {
            return 0;
        }
        *(is_a ? &out->a : &out->c) = o[i].a;
        *turn |= is_a ? FUSED_PRODUCT : FUSED_ADDEND;
    }
    return n + 1;
}

void host_emit_fused(JitHost *h, const IrOp *o, unsigned turn)
{
    host_kill(h, o->d);
    (void)emit_fma(h, o, turn, format_of(FP_FMT(o->aux), o->aux));
}

static bool signs_are(const IrOp *o, HostConst *c, uint32_t *opc)
{
    *opc = o->op == IR_xor_i ? X_XORPS : o->op == IR_and_i ? X_ANDPS : X_ORPS;
    switch (o->op) {
    case IR_xor_i:
        *c = o->imm == INT64_MIN ? CONST_SIGN64 : CONST_SIGN32;
        return o->imm == INT64_MIN || o->imm == 1ll << 31;
    case IR_and_i:
        *c = CONST_ABS64;
        return o->imm == INT64_MAX;
    case IR_or_i:
        *c = CONST_BOX;
        return (uint64_t)o->imm == BOX_ONES;
    default:
        return false;
    }
}

/* An f32 is taken out of its box, its sign is changed, and it is put back. */
static unsigned in_its_box(const JitHost *h, const IrOp *o, HostConst *c, uint32_t *opc)
{
    uint32_t left = h->b->nops - h->q;
    const IrOp *next = o + 1, *last = o + 2;
    if (o->op != IR_unbox32 || left < 3 || !IR_IS_TEMP(o->d) || last->insn != o->insn || next->a != o->d ||
        last->op != IR_or_i || (uint64_t)last->imm != BOX_ONES || last->a != next->d || last->d != last->a ||
        !host_is_boxed(h, o->a) || (left > 3 && o[3].insn == o->insn)) {
        return 0;
    }
    *opc = next->op == IR_xor_i ? X_XORPS : X_ANDPS;
    *c = next->op == IR_xor_i ? CONST_SIGN32 : CONST_ABS32;
    bool is_it = (next->op == IR_xor_i && next->imm == 1ll << 31) || (next->op == IR_and_i && next->imm == INT32_MAX);
    return is_it ? 2 : 0;
}

bool host_emit_signs(JitHost *h, const IrOp *o)
{
    HostConst c;
    uint32_t opc;
    unsigned more = in_its_box(h, o, &c, &opc);
    Slot d = o[more].d;
    int home = h->m->home[host_id(h, d)];
    if ((!more && !signs_are(o, &c, &opc)) || home < FPR_HOME) {
        return false;
    }
    host_kill(h, d);
    bool is_boxed = more || c == CONST_BOX || (c == CONST_SIGN32 && host_is_boxed(h, o->a));
    host_op_const(h, opc, (unsigned)home - FPR_HOME, pick(h, o->a, X0), c);
    host_wrote(h, d);
    if (is_boxed) {
        host_set_boxed(h, d);
    }
    h->q += more;
    return true;
}

/* Of two numbers that are equal the host takes the second; they may be zeros, whose signs tell. */
static bool emit_extreme(JitHost *h, const IrOp *o, bool is_least, Format f)
{
    if (h->m->guest->fp_mode & FPM_MIN_SECOND || (f.is_f32 && !f.is_boxed)) {
        return false;
    }
    Ways w = {0};
    size_t first = h->stubs.n;
    RegMask from = host_raw_operands(h, o);
    check_operands(h, o, f, &w);
    pick_to(h, X0, o->a);
    pick_to(h, X1, o->b);
    ucomi(h, X0, X1, f, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly_looked(h, &w, o, from);
    uint32_t opc = f.prefix | (is_least ? X_MINS : X_MAXS);
    x_rr(&h->a, 0, opc, X0, X1);
    Opnd a = host_opnd(h, o->a);
    if (a.kind == O_XMM) {
        x_rr(&h->a, 0, opc, X1, a.reg);
    } else {
        host_opnd_to(h, RAX, a);
        x_rm(&h->a, W, X_STORE, RAX, RSP, ON_STACK(arg));
        x_rm(&h->a, 0, opc, X1, RSP, ON_STACK(arg));
    }
    x_rr(&h->a, 0, is_least ? X_ORPS : X_ANDPS, X0, X1);
    fin_number(h, o->d, X0, f);
    softly_back(h, first);
    return true;
}

static void emit_test(JitHost *h, const IrOp *o, bool is_signalling, Format f)
{
    Asm *a = &h->a;
    Ways w = {0};
    size_t first = h->stubs.n;
    check_operands(h, o, f, &w);
    softly(h, &w, o);
    unsigned x = pick(h, o->a, X0), y = pick(h, o->b, X1);
    if (o->op == IR_feq) {
        ucomi(h, x, y, f, false);
        x_rr(a, 0, X_SETCC | CC_NP, 0, RAX);
        x_rr(a, 0, X_SETCC | CC_E, 0, RCX);
        x_rr(a, 0, X_AND, RAX, RCX);
    } else { /* b > a, b >= a: false if unordered */
        ucomi(h, y, x, f, is_signalling);
        x_rr(a, 0, X_SETCC | (o->op == IR_flt || o->op == IR_fltq ? CC_A : CC_AE), 0, RAX);
    }
    x_rr(a, 0, X_MOVZX8, RAX, RAX);
    host_fin(h, o->d, RAX);
    softly_back(h, first);
}

static bool emit_from_int(JitHost *h, const IrOp *o, Format f)
{
    unsigned kind = FP_OTHER(o->aux);
    Ways w = {0};
    size_t first = h->stubs.n;
    host_gpr_to(h, RAX, o->a);
    if (kind == FP_U32) {
        x_rr(&h->a, 0, X_LOAD, RAX, RAX);
    } else if (kind == FP_U64) {
        x_rr(&h->a, W, X_TEST, RAX, RAX);
        w.fix[w.n++] = x_jcc(&h->a, CC_S);
        softly(h, &w, o);
    }
    x_rr(&h->a, 0, X_XORPS, X0, X0); /* the instruction keeps the upper half: no wait for what was there */
    x_rr(&h->a, kind == FP_I32 ? 0 : W, f.prefix | X_CVTSI2S, X0, RAX);
    box_in(h, X0, f);
    fin_number(h, o->d, X0, f);
    softly_back(h, first);
    return true;
}

/* The bits of a number from which on it may not fit: those of negative ones are larger. */
static uint64_t end_of(unsigned kind, Format f)
{
    return kind == FP_U32 ? (f.is_f32 ? 0x4f800000 : 0x41efffffffe00000) : (f.is_f32 ? 0x5f000000 : 0x43e0000000000000);
}

static bool emit_to_int(JitHost *h, const IrOp *o, Format f)
{
    unsigned kind = FP_OTHER(o->aux);
    bool is_signed = kind == FP_I32 || kind == FP_I64;
    Ways w = {0};
    size_t first = h->stubs.n;
    unsigned flags = kind == FP_I32 ? 0 : W;
    check_operands(h, o, f, &w);
    if (!is_signed) { /* before the host raises what the guest does not */
        host_gpr_to(h, RAX, o->a);
        x_movi(&h->a, RCX, end_of(kind, f));
        x_rr(&h->a, f.is_f32 ? 0 : W, X_CMP, RAX, RCX);
        w.fix[w.n++] = x_jcc(&h->a, CC_AE);
    }
    x_rr(&h->a, flags, f.prefix | (FP_RM(o->aux) == RM_RTZ ? X_CVTTS2SI : X_CVTS2SI), RAX, pick(h, o->a, X0));
    if (is_signed) {
        x_rr(&h->a, flags, X_LOAD, RCX, RAX); /* what does not fit is the smallest number */
        x_alui(&h->a, flags, G_SUB, RCX, 1);
        w.fix[w.n++] = x_jcc(&h->a, CC_O);
    }
    softly(h, &w, o);
    host_fin(h, o->d, RAX);
    softly_back(h, first);
    return true;
}

static bool emit_convert(JitHost *h, const IrOp *o, Format to)
{
    unsigned other = FP_OTHER(o->aux);
    if (!is_f32_or_f64(other) || other == FP_FMT(o->aux)) {
        return false;
    }
    Format from = format_of(other, o->aux);
    to.is_boxed = to.is_f32 && to.is_boxed;
    Ways w = {0};
    size_t first = h->stubs.n;
    unsigned raw = raw_home(h, o, to);
    RegMask parts = host_raw_operands(h, o);
    check_operands(h, o, from, &w);
    unsigned x = pick(h, o->a, X1);
    x_rr(&h->a, 0, X_XORPS, X0, X0); /* likewise */
    x_rr(&h->a, 0, from.prefix | X_CVTS2S, X0, x);
    box_in(h, X0, to);
    if (raw) {
        softly(h, &w, o);
        x_rr(&h->a, 0, X_MOVAPS, raw, X0);
        wrote_raw(h, o, raw, parts, to);
        softly_back(h, first);
        return true;
    }
    ucomi(h, X0, X0, to, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly(h, &w, o);
    fin_number(h, o->d, X0, to);
    softly_back(h, first);
    return true;
}

static bool emit_by_shape(JitHost *h, const IrOp *o, Format f)
{
    switch ((unsigned)o->op) {
    case IR_fadd:
        emit_op2(h, o, 0x0f58, f);
        return true;
    case IR_fsub:
        emit_op2(h, o, 0x0f5c, f);
        return true;
    case IR_fmul:
        emit_op2(h, o, 0x0f59, f);
        return true;
    case IR_fdiv:
        emit_op2(h, o, 0x0f5e, f);
        return true;
    case IR_fsqrt:
        emit_op2(h, o, 0x0f51, f);
        return true;
    case IR_fma:
        return emit_fma(h, o, 0, f);
    case IR_fmin:
    case IR_fminnum:
        return emit_extreme(h, o, true, f);
    case IR_fmax:
    case IR_fmaxnum:
        return emit_extreme(h, o, false, f);
    case IR_feq:
    case IR_fltq:
    case IR_fleq:
        emit_test(h, o, false, f);
        return true;
    case IR_flt:
    case IR_fle:
        emit_test(h, o, true, f);
        return true;
    case IR_fcvt:
        return emit_convert(h, o, f);
    case IR_itof:
        return emit_from_int(h, o, f);
    case IR_ftoi:
        return emit_to_int(h, o, f);
    default:
        return false;
    }
}

bool host_fp_is_inline(const IrGuest *g, const IrOp *o)
{
    unsigned rm = FP_RM(o->aux);
    return is_mode_like_host(g->fp_mode) && is_f32_or_f64(FP_FMT(o->aux)) &&
           (rm == RM_RNE || (o->op == IR_ftoi && rm == RM_RTZ));
}

void host_emit_fp(JitHost *h, const IrOp *o)
{
    host_kill(h, o->d);
    if (!host_fp_is_inline(h->m->guest, o) || !emit_by_shape(h, o, format_of(FP_FMT(o->aux), o->aux))) {
        host_emit_call(h, o);
    }
}
