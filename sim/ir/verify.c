/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/text.h"

enum { PAGE_BYTES = 4096, NSLOTS = (UINT16_MAX + 1) / 8 };
typedef struct {
    const IrBlock *b;
    const IrGuest *g;
    Err *err;
    const IrOp *op;       /* looked at */
    const char *writer;   /* P1: op of this instruction that wrote an architectural slot; NULL = none yet */
    bool has_ended;       /* a helper with EFF_ENDS was called */
    uint32_t temps;       /* defined in this instruction */
    uint32_t insn, exits; /* of the op before; so far */
    uint64_t named[NSLOTS / 64];
} Verifier;

static int bad(const Verifier *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int bad(const Verifier *v, const char *fmt, ...)
{
    Buf what = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&what, fmt, args);
    va_end(args);
    int rc = err_set(v->err, ERR_INVAL, "op %d (%s) of insn %u: %s", (int)(v->op - v->b->op),
                     v->op->op < IR_COUNT ? ir_op_info[v->op->op].name : "?", v->op->insn, buf_text(&what));
    buf_free(&what);
    return rc;
}

static int check_counts(const IrBlock *b, Err *err)
{
    if (!b->ninsns || b->ninsns > IR_BLOCK_MAX_INSNS) {
        return err_set(err, ERR_INVAL, "%u instructions, not 1 to %d", b->ninsns, IR_BLOCK_MAX_INSNS);
    }
    if (!b->nops || b->nops > IR_BLOCK_MAX_OPS) {
        return err_set(err, ERR_INVAL, "%u ops, not 1 to %d", b->nops, IR_BLOCK_MAX_OPS);
    }
    for (uint32_t i = 0; i < b->ninsns; i++) {
        if (b->insn_at[i] >= b->insn_at[i + 1] || (i == 0 && b->insn_at[0])) {
            return err_set(err, ERR_INVAL, "insn_at[%u] = %u, insn_at[%u] = %u: not ascending from 0", i, b->insn_at[i],
                           i + 1, b->insn_at[i + 1]);
        }
    }
    if (b->insn_at[b->ninsns] != b->nbytes) {
        return err_set(err, ERR_INVAL, "%u bytes, but insn_at ends at %u", b->nbytes, b->insn_at[b->ninsns]);
    }
    if (b->gva % PAGE_BYTES + b->nbytes > 2 * PAGE_BYTES) {
        return err_set(err, ERR_INVAL, "%u bytes lie in more than two pages", b->nbytes);
    }
    return 0;
}

static bool is_named(const Verifier *v, Slot s)
{
    return s % 8 == 0 && s != IR_ZERO && !IR_IS_TEMP(s) && v->named[s / 512] >> s / 8 % 64 & 1;
}

static uint32_t temp_bit(Slot s)
{
    return 1u << (s - IR_TEMP(0)) / 8;
}

static int check_source(const Verifier *v, Slot s)
{
    if (s == IR_ZERO || is_named(v, s)) {
        return 0;
    }
    if (!IR_IS_TEMP(s) || s % 8) {
        return bad(v, "reads @%u, which is no slot of %s", s, v->g->name);
    }
    return v->temps & temp_bit(s) ? 0 : bad(v, "reads %%%u before this instruction wrote it", (s - IR_TEMP(0)) / 8);
}

static int check_destination(const Verifier *v)
{
    const IrOp *o = v->op;
    if (!ir_op_info[o->op].has_dst || (o->op == IR_call && o->d == IR_ZERO)) {
        return o->d == IR_ZERO ? 0 : bad(v, "has a destination, but no result");
    }
    if (o->d == IR_ZERO) {
        return bad(v, "writes the zero slot");
    }
    bool is_slot = is_named(v, o->d) || (IR_IS_TEMP(o->d) && o->d % 8 == 0);
    return is_slot ? 0 : bad(v, "writes @%u, which is no slot of %s", o->d, v->g->name);
}

static int check_operands(const Verifier *v)
{
    const IrOp *o = v->op;
    const Slot src[] = {o->a, o->b, o->c};
    unsigned nsrc = text_nsrc(o, v->g);
    for (unsigned i = 0; i < 3; i++) {
        if (i >= nsrc && src[i] != IR_ZERO) {
            return bad(v, "operand %c is not used and not zero", 'a' + (int)i);
        }
        int rc = i < nsrc ? check_source(v, src[i]) : 0;
        if (rc) {
            return rc;
        }
    }
    if (!ir_op_info[o->op].has_imm && o->imm) {
        return bad(v, "imm is not used and not 0");
    }
    return check_destination(v);
}

static int check_mem_aux(const Verifier *v)
{
    const IrOp *o = v->op;
    unsigned may = 3u | MEM_ALIGNED | MEM_ALONE | MEM_REGIME(15);
    may |= o->op == IR_st || o->op == IR_sc ? 0 : MEM_SIGNED;
    may |= o->op == IR_ld ? MEM_FETCHLIKE : 0;
    return o->aux & ~may ? bad(v, "aux 0x%x has bits that it may not have", o->aux) : 0;
}

static int check_fp(const Verifier *v)
{
    unsigned fmt = FP_FMT(v->op->aux), rm = FP_RM(v->op->aux), other = FP_OTHER(v->op->aux);
    size_t nothers;
    bool is_other = text_others(v->op->op, &nothers) ? other < nothers : !other;
    if (fmt >= TEXT_NFMT || !text_rms[rm] || !is_other ||
        (v->op->aux & ~FP_BOXED) != (unsigned)FP_AUX3(fmt, rm, other)) {
        return bad(v, "aux 0x%x is no format and rounding", v->op->aux);
    }
    if (!is_named(v, v->g->fp_flags) || (rm == RM_DYN && !is_named(v, v->g->fp_rm))) {
        return bad(v, "%s has no FP flags or rounding", v->g->name);
    }
    return v->op->d != v->g->fp_flags ? 0 : bad(v, "writes fp_flags twice");
}

static int check_aux(const Verifier *v)
{
    const IrOp *o = v->op;
    unsigned limit = 1;
    switch (ir_op_info[o->op].cls) {
    case CLASS_FP:
        return check_fp(v);
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        return check_mem_aux(v);
    case CLASS_FENCE:
        limit = ORD_SEQ_CST + 1;
        break;
    case CLASS_CALL:
        limit = (unsigned)v->g->nhelpers;
        break;
    case CLASS_SIDE_EXIT:
        limit = COND_COUNT;
        break;
    case CLASS_TERM: /* the reason of a stop is the guest's */
        limit = o->op == IR_jmp || o->op == IR_jmpr ? (JMP_CALL | JMP_RET | JMP_EVEN) + 1
                : o->op == IR_stop                  ? UINT16_MAX + 1u
                                                    : 1;
        break;
    case CLASS_PURE:
        break;
    }
    return o->aux < limit ? 0 : bad(v, "aux %u, not below %u", o->aux, limit);
}

/* P1, and what may follow a helper with EFF_ENDS. Call after the operands are known to be right. */
static int check_effects(Verifier *v)
{
    const IrOp *o = v->op;
    const IrOpInfo *info = &ir_op_info[o->op];
    uint32_t effects = o->op == IR_call ? v->g->helpers[o->aux].effects : 0;
    bool may_event = info->may_event || effects & EFF_EVENT || o->op == IR_trap;
    if (may_event && v->writer) {
        return bad(v, "may raise an event after %s wrote an architectural slot (P1)", v->writer);
    }
    if (v->has_ended && (info->cls == CLASS_SIDE_EXIT ||
                         (info->cls == CLASS_TERM && o->op != IR_sync && o->op != IR_syncr && o->op != IR_stop))) {
        return bad(v, "leaves after a helper with EFF_ENDS, but not by sync or stop");
    }
    v->has_ended |= (effects & EFF_ENDS) != 0;
    bool writes_temp = info->has_dst && IR_IS_TEMP(o->d);
    if (writes_temp) {
        v->temps |= temp_bit(o->d);
    }
    /* FP and EFF_FP_FLAGS: fp_flags is a slot. EFF_ENDS: an event op would meet another translation. */
    if ((o->d != IR_ZERO && !writes_temp) || info->cls == CLASS_FP ||
        effects & (EFF_WRITES_FRAME | EFF_FP_FLAGS | EFF_ENDS)) {
        v->writer = info->name;
    }
    return 0;
}

static int check_place(Verifier *v)
{
    const IrBlock *b = v->b;
    const IrOp *o = v->op;
    bool is_last = o == &b->op[b->nops - 1];
    if (o->insn < v->insn || o->insn >= b->ninsns) {
        return bad(v, "insn is not ascending, or not below %u", b->ninsns);
    }
    if (o->insn != v->insn) {
        if (v->has_ended) {
            return bad(v, "follows the instruction of a helper with EFF_ENDS");
        }
        v->insn = o->insn;
        v->temps = 0;
        v->writer = NULL;
    }
    IrClass cls = ir_op_info[o->op].cls;
    if ((cls == CLASS_TERM) != is_last) {
        return is_last ? bad(v, "the last op is no terminator") : bad(v, "a terminator before the last op");
    }
    if (is_last && o->insn != b->ninsns - 1) {
        return bad(v, "the terminator is not of the last instruction");
    }
    v->exits += cls == CLASS_SIDE_EXIT || cls == CLASS_TERM;
    return v->exits <= IR_MAX_EXITS ? 0 : bad(v, "more than %d exits", IR_MAX_EXITS);
}

int ir_verify(const IrBlock *b, const IrGuest *g, Err *err)
{
    Verifier v = {.b = b, .g = g, .err = err};
    int rc = check_counts(b, err);
    for (size_t i = 0; i < g->nslots; i++) {
        Slot s = g->slots[i].at;
        v.named[s / 512] |= 1ull << s / 8 % 64;
    }
    for (uint32_t i = 0; !rc && i < b->nops; i++) {
        v.op = &b->op[i];
        if (v.op->op >= IR_COUNT) {
            return bad(&v, "no op has number %u", v.op->op);
        }
        rc = check_place(&v);
        rc = rc ? rc : check_aux(&v);
        rc = rc ? rc : check_operands(&v);
        rc = rc ? rc : check_effects(&v);
    }
    return rc;
}
