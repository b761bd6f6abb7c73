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
        Slot src[3];
        s->noperands = jit_op_sources(h->m->guest, o, src);
        for (unsigned k = 0; k < s->noperands; k++) {
            s->operand[k] = host_opnd(h, src[k]);
        }
    }
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
    for (unsigned k = 0; k < s->noperands; k++) {
        host_opnd_to(h, RAX, s->operand[k]);
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
/* d = the number in xmm x of the format; a NaN has gone the other way. */
static void fin_number(JitHost *h, Slot d, unsigned x, Format f)
{
    int home = h->m->home[host_id(h, d)];
    if (f.is_f32) {
        x_rr(&h->a, 0, X_MOVD_FROM, x, RAX);
        if (f.is_boxed) {
            x_movi(&h->a, RCX, BOX_ONES);
            x_rr(&h->a, W, X_OR, RAX, RCX);
        }
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
    return !f.is_f32 && home >= FPR_HOME ? (unsigned)home - FPR_HOME : 0;
}

/* VADDSD x, y, z and the like (SDM 2, VEX.LIG.F2.0F): x = y op z; z may be in the frame. */
void host_vex_f64(JitHost *h, uint32_t opc, unsigned x, unsigned y, Opnd z)
{
    Asm *a = &h->a;
    bool is_reg = z.kind == O_XMM;
    unsigned rm = is_reg ? z.reg : RBP;
    x_byte(a, 0xc4);
    x_byte(a, (x & 8 ? 0u : 0x80u) | 0x40 | (rm & 8 ? 0u : 0x20u) | 1);
    x_byte(a, (~y & 15) << 3 | 3);
    x_byte(a, opc);
    if (is_reg) {
        x_byte(a, 0xc0 | (x & 7) << 3 | (rm & 7));
    } else {
        x_byte(a, 0x80 | (x & 7) << 3 | RBP);
        x_imm32(a, (uint32_t)z.disp);
    }
}

static void emit_raw(JitHost *h, const IrOp *o, uint32_t opc, unsigned x)
{
    RegMask from = host_raw_operands(h, o);
    Slot right = o->op == IR_fsqrt ? o->a : o->b;
    if (h->has_avx) {
        Opnd z = host_opnd(h, right);
        if (z.kind != O_XMM && (z.kind != O_MEM || o->op == IR_fsqrt)) { /* a root must not wait for another register */
            z = (Opnd){.kind = O_XMM, .reg = pick(h, right, X1)};
        }
        host_vex_f64(h, opc, x, o->op == IR_fsqrt ? z.reg : pick(h, o->a, X0), z);
    } else {
        unsigned z = pick(h, right, X1);
        if (o->op != IR_fsqrt) {
            pick_to(h, X0, o->a);
        }
        x_rr(&h->a, 0, (uint32_t)PICK_F64 << 24 | opc, X0, z);
        x_rr(&h->a, 0, X_MOVAPS, x, X0);
    }
    host_wrote(h, o->d);
    host_raw_add(h, x, from);
}

/* ---- ops ---- */
static void emit_op2(JitHost *h, const IrOp *o, uint32_t opc, Format f)
{
    unsigned raw = raw_home(h, o, f);
    if (raw) {
        emit_raw(h, o, opc, raw);
        return;
    }
    Ways w = {0};
    size_t first = h->stubs.n;
    check_operands(h, o, f, &w);
    unsigned b = o->op == IR_fsqrt ? pick(h, o->a, X1) : pick(h, o->b, X1);
    if (o->op != IR_fsqrt) {
        pick_to(h, X0, o->a);
    }
    x_rr(&h->a, 0, f.prefix | opc, X0, b);
    ucomi(h, X0, X0, f, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly(h, &w, o);
    fin_number(h, o->d, X0, f);
    softly_back(h, first);
}

/* SDM 2: VFMADD213 x, y, z: x = y * x + z; VFMADD231: x = y * z + x */
enum { FMADD_213 = 0xa9, FMADD_231 = 0xb9 };

static void vfmadd(Asm *a, unsigned opc, bool is_f32, unsigned x, unsigned y, unsigned z)
{
    x_byte(a, 0xc4);
    x_byte(a, (x & 8 ? 0u : 0x80u) | 0x40 | (z & 8 ? 0u : 0x20u) | 2);
    x_byte(a, (is_f32 ? 0 : 0x80u) | (~y & 15) << 3 | 1);
    x_byte(a, opc);
    x_byte(a, 0xc0 | (x & 7) << 3 | (z & 7));
}

/* c = a * b + c. With c lost, softfp gets a NaN for it, as the result is one: what is left to find out is inf * 0, which is invalid
 * beside a NaN too, and of which the host says nothing then. */
static void emit_accumulate(JitHost *h, const IrOp *o, unsigned c)
{
    Ways w = {0};
    size_t first = h->stubs.n;
    unsigned a = pick(h, o->a, X0), b = pick(h, o->b, X1);
    vfmadd(&h->a, FMADD_231, false, c, a, b);
    x_rr(&h->a, 0, 0x66000000u | X_UCOMI, c, c);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly(h, &w, o);
    h->stubs.items[first].operand[2] = (Opnd){.kind = O_IMM, .imm = F64_NAN};
    host_wrote(h, o->d);
    softly_back(h, first);
}

static bool emit_fma(JitHost *h, const IrOp *o, Format f)
{
    if (!h->has_fma || f.is_f32) {
        return false;
    }
    Ways w = {0};
    size_t first = h->stubs.n;
    Opnd y = host_opnd(h, o->b), z = host_opnd(h, o->c);
    int home = h->m->home[host_id(h, o->d)];
    if (z.kind == O_XMM && home == FPR_HOME + (int)z.reg && o->a != o->d && o->b != o->d) {
        emit_accumulate(h, o, z.reg);
        return true;
    }
    if (y.kind != O_XMM && z.kind != O_XMM) { /* a scratch register too few */
        return false;
    }
    pick_to(h, X0, o->a);
    unsigned b = pick(h, o->b, X1), c = pick(h, o->c, X1);
    vfmadd(&h->a, FMADD_213, f.is_f32, X0, b, c);
    ucomi(h, X0, X0, f, false);
    w.fix[w.n++] = x_jcc(&h->a, CC_P);
    softly(h, &w, o);
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
    if (kind == FP_U64) {
        return false;
    }
    host_gpr_to(h, RAX, o->a);
    if (kind == FP_U32) {
        x_rr(&h->a, 0, X_LOAD, RAX, RAX);
    }
    x_rr(&h->a, 0, X_XORPS, X0, X0); /* the instruction keeps the upper half: no wait for what was there */
    x_rr(&h->a, kind == FP_I32 ? 0 : W, f.prefix | X_CVTSI2S, X0, RAX);
    fin_number(h, o->d, X0, f);
    return true;
}

static bool emit_to_int(JitHost *h, const IrOp *o, Format f)
{
    unsigned kind = FP_OTHER(o->aux);
    if (kind != FP_I32 && kind != FP_I64) {
        return false;
    }
    Ways w = {0};
    size_t first = h->stubs.n;
    unsigned flags = kind == FP_I64 ? W : 0;
    check_operands(h, o, f, &w);
    x_rr(&h->a, flags, f.prefix | (FP_RM(o->aux) == RM_RTZ ? X_CVTTS2SI : X_CVTS2SI), RAX, pick(h, o->a, X0));
    x_rr(&h->a, flags, X_LOAD, RCX, RAX); /* what does not fit is the smallest number */
    x_alui(&h->a, flags, G_SUB, RCX, 1);
    w.fix[w.n++] = x_jcc(&h->a, CC_O);
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
    Ways w = {0};
    size_t first = h->stubs.n;
    check_operands(h, o, from, &w);
    unsigned x = pick(h, o->a, X1);
    x_rr(&h->a, 0, from.prefix | X_CVTS2S, X0, x);
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
        return emit_fma(h, o, f);
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
