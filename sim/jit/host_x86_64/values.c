/* SPDX-License-Identifier: Apache-2.0
 * values.c - where the values of slots are at each point of a unit's code, and how side tables say it. */
#include "sim/jit/host_x86_64/host.h"

/* ---- values ---- */
static Opnd opnd_of_home(const JitHost *h, unsigned i)
{
    int home = h->m->home[i];
    if (home == HOME_FRAME) {
        return (Opnd){.kind = O_MEM, .disp = AT_SLOT(h->m->slot_of[i])};
    }
    return home < FPR_HOME ? (Opnd){.kind = O_REG, .reg = (unsigned)home}
                           : (Opnd){.kind = O_XMM, .reg = (unsigned)home - FPR_HOME};
}

Opnd host_opnd_of_id(const JitHost *h, unsigned i)
{
    const Val *v = &h->val[i];
    if (v->kind == V_CONST) {
        return (Opnd){.kind = O_IMM, .imm = v->c};
    }
    return opnd_of_home(h, v->kind == V_COPY ? v->of : i);
}

Opnd host_opnd(const JitHost *h, Slot s)
{
    unsigned i = host_id(h, s);
    if (i) {
        return host_opnd_of_id(h, i);
    }
    return s == IR_ZERO ? (Opnd){.kind = O_IMM} : (Opnd){.kind = O_MEM, .disp = AT_SLOT(s)};
}

void host_opnd_to(JitHost *h, unsigned r, Opnd o)
{
    switch (o.kind) {
    case O_REG:
        x_mov(&h->a, r, o.reg);
        break;
    case O_XMM:
        x_rr(&h->a, W, X_MOVQ_FROM, o.reg, r);
        break;
    case O_MEM:
        x_rm(&h->a, W, X_LOAD, r, RBP, o.disp);
        break;
    case O_IMM:
        x_movi(&h->a, r, o.imm);
        break;
    }
}

void host_gpr_to(JitHost *h, unsigned r, Slot s)
{
    host_opnd_to(h, r, host_opnd(h, s));
}

unsigned host_gpr(JitHost *h, Slot s, unsigned scratch)
{
    Opnd o = host_opnd(h, s);
    if (o.kind == O_REG) {
        return o.reg;
    }
    host_opnd_to(h, scratch, o);
    return scratch;
}

/* Was it stored so long ago that the host has it in its cache? */
static bool is_old(const JitHost *h, Slot s)
{
    unsigned i = host_id(h, s);
    i = i && h->val[i].kind == V_COPY ? h->val[i].of : i;
    return i && h->q >= h->stored[i] + OLD_OPS;
}

void host_alu(JitHost *h, unsigned flags, uint32_t opc, unsigned r, Slot s)
{
    Opnd o = host_opnd(h, s);
    if (o.kind == O_IMM && (is_s32(o.imm) || !(flags & W))) {
        x_alui(&h->a, flags, opc >> 3, r, (int32_t)o.imm);
    } else if (o.kind == O_MEM && is_old(h, s)) {
        x_rm(&h->a, flags, opc, r, RBP, o.disp);
    } else { /* from the frame by a mov, which the host renames if it was stored a short while ago (Zen 4: 0 cycles, else 7) */
        x_rr(&h->a, flags, opc, r, host_gpr(h, s, RCX));
    }
}

/* What o says, into the slot in the frame. rax may be lost. */
void host_opnd_to_frame(JitHost *h, Slot s, Opnd o)
{
    if (o.kind == O_XMM) {
        x_rm(&h->a, 0, X_MOVQ_STORE, o.reg, RBP, AT_SLOT(s));
    } else if (o.kind == O_IMM && is_s32(o.imm)) {
        x_rm(&h->a, W, X_MOVI32, 0, RBP, AT_SLOT(s));
        x_imm32(&h->a, (uint32_t)o.imm);
    } else if (o.kind == O_REG) {
        x_rm(&h->a, W, X_STORE, o.reg, RBP, AT_SLOT(s));
    } else {
        host_opnd_to(h, RAX, o);
        x_rm(&h->a, W, X_STORE, RAX, RBP, AT_SLOT(s));
    }
}

void host_store_home(JitHost *h, unsigned i)
{
    host_opnd_to_frame(h, h->m->slot_of[i], opnd_of_home(h, i));
}

void host_load_home(JitHost *h, unsigned i)
{
    int home = h->m->home[i];
    bool is_fpr = home >= FPR_HOME;
    x_rm(&h->a, is_fpr ? 0 : W, is_fpr ? X_MOVQ_LOAD : X_LOAD, (unsigned)(is_fpr ? home - FPR_HOME : home), RBP,
         AT_SLOT(h->m->slot_of[i]));
}

static void group_end(JitHost *h, unsigned i)
{
    h->group[i].is_on = false;
}

void host_group_move(JitHost *h, Slot base, const Group *before, int64_t by)
{
    unsigned i = host_id(h, base);
    if (i && before->is_on && h->val[i].kind != V_COPY) {
        h->group[i] = *before;
        h->group[i].low -= by;
        h->group[i].high -= by;
    }
}

static void is_home_now(JitHost *h, unsigned i)
{
    h->stored[i] = h->q;
    host_raw_drop(h, i);
    set_del(&h->words, i);
    set_del(&h->boxed, i);
    h->val[i].kind = V_HOME;
    set_del(&h->away, i);
    if (h->m->home[i] != HOME_FRAME && !h->m->is_temp[i]) {
        set_add(&h->dirty, i);
    }
}

/* A value that was only noted is put into the home. rax may be lost. */
void host_materialise(JitHost *h, unsigned i)
{
    Opnd o = host_opnd_of_id(h, i);
    bool is_boxed = host_is_boxed(h, h->m->slot_of[i]);
    int home = h->m->home[i];
    if (home >= FPR_HOME) {
        unsigned x = (unsigned)home - FPR_HOME;
        if (o.kind == O_XMM) {
            x_rr(&h->a, 0, X_MOVAPS, x, o.reg);
        } else if (o.kind == O_MEM) {
            x_rm(&h->a, 0, X_MOVQ_LOAD, x, RBP, o.disp);
        } else if (o.kind == O_IMM && !o.imm) {
            x_rr(&h->a, 0, X_XORPS, x, x);
        } else {
            host_opnd_to(h, RAX, o);
            x_rr(&h->a, W, X_MOVQ_TO, x, RAX);
        }
    } else if (home != HOME_FRAME) {
        host_opnd_to(h, (unsigned)home, o);
    } else {
        host_opnd_to_frame(h, h->m->slot_of[i], o);
    }
    is_home_now(h, i);
    if (is_boxed) {
        set_add(&h->boxed, i);
    }
}

void host_flush(JitHost *h)
{
    Set away = h->away;
    SET_EACH(i, &away)
    {
        if (!h->m->is_temp[i]) {
            host_materialise(h, i);
        }
    }
}

/* Is slot i, once op h->q is done, written again before anybody can see it? (ir.h P3) */
static bool is_dead(const JitHost *h, unsigned i)
{
    const JBlock *b = h->b;
    for (uint32_t q = h->q; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        if (h->m->is_temp[i] && o->insn != b->op[h->q].insn) {
            return true;
        }
        Slot src[3];
        unsigned n = jit_op_sources(h->m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            if (host_id(h, src[s]) == i) {
                return false;
            }
        }
        if (!h->m->is_temp[i] && jit_op_may_leave(h->m->guest, o)) {
            return false;
        }
        if (q > h->q && ir_op_info[o->op].has_dst && host_id(h, o->d) == i) {
            return true;
        }
    }
    return true;
}

/* Copies of it that still count get their own. */
void host_kill(JitHost *h, Slot d)
{
    unsigned of = host_id(h, d);
    Set away = h->away;
    SET_EACH(c, &away)
    {
        if (h->val[c].kind != V_COPY || h->val[c].of != of) {
            continue;
        }
        if (is_dead(h, c)) {
            h->val[c].kind = V_HOME;
            set_del(&h->away, c);
        } else {
            host_materialise(h, c);
        }
    }
}

void host_wrote(JitHost *h, Slot d)
{
    unsigned i = host_id(h, d);
    if (i) {
        group_end(h, i);
        is_home_now(h, i);
    }
}

unsigned host_dst(const JitHost *h, Slot d)
{
    int home = h->m->home[host_id(h, d)];
    return home >= 0 && home < FPR_HOME ? (unsigned)home : RAX;
}

void host_fin(JitHost *h, Slot d, unsigned r)
{
    int home = h->m->home[host_id(h, d)];
    if (home >= FPR_HOME) {
        x_rr(&h->a, W, X_MOVQ_TO, (unsigned)home - FPR_HOME, r);
    } else if (home != HOME_FRAME) {
        x_mov(&h->a, (unsigned)home, r);
    } else {
        x_rm(&h->a, W, X_STORE, r, RBP, AT_SLOT(d));
    }
    host_wrote(h, d);
}

void host_set_const(JitHost *h, Slot d, uint64_t c)
{
    unsigned i = host_id(h, d);
    if (!i) {
        host_opnd_to_frame(h, d, (Opnd){.kind = O_IMM, .imm = c});
        return;
    }
    group_end(h, i);
    h->val[i] = (Val){.kind = V_CONST, .c = c};
    set_add(&h->away, i);
}

void host_set_copy(JitHost *h, Slot d, Slot s)
{
    unsigned to = host_id(h, d), from = host_id(h, s);
    if (!to || !from) {
        host_fin(h, d, host_gpr(h, s, RAX));
        return;
    }
    from = h->val[from].kind == V_COPY ? h->val[from].of : from;
    if (from == to) { /* back where it came from */
        return;
    }
    group_end(h, to);
    h->val[to] = (Val){.kind = V_COPY, .of = (uint16_t)from};
    set_add(&h->away, to);
}

bool host_is_word(const JitHost *h, Slot s)
{
    unsigned i = host_id(h, s);
    if (i && h->val[i].kind == V_CONST) {
        return is_s32(h->val[i].c);
    }
    i = i && h->val[i].kind == V_COPY ? h->val[i].of : i;
    return i ? set_has(&h->words, i) : s == IR_ZERO;
}

bool host_is_boxed(const JitHost *h, Slot s)
{
    unsigned i = host_id(h, s);
    if (i && h->val[i].kind == V_CONST) {
        return h->val[i].c >> 32 == UINT32_MAX;
    }
    i = i && h->val[i].kind == V_COPY ? h->val[i].of : i;
    return i && set_has(&h->boxed, i);
}

void host_set_boxed(JitHost *h, Slot d)
{
    unsigned i = host_id(h, d);
    if (i && h->val[i].kind == V_HOME) {
        set_add(&h->boxed, i);
    }
}

void host_set_word(JitHost *h, Slot d)
{
    unsigned i = host_id(h, d);
    if (i && h->val[i].kind == V_HOME) {
        set_add(&h->words, i);
    }
}

/* ---- results that nobody reads ---- */
/* May op q of the block be left to who leaves? So if its result is written again in the block unread, and its operands are what they
 * are wherever it may be left before. */
static bool is_unread(const JitHost *h, uint32_t q, const unsigned *source, unsigned nsources)
{
    const JBlock *b = h->b;
    unsigned d = host_id(h, b->op[q].d);
    bool has_changed = false;
    for (uint32_t p = q + 1; p < b->nops && p <= q + UNREAD_OPS; p++) {
        const IrOp *o = &b->op[p];
        IrClass cls = ir_op_info[o->op].cls;
        if (cls > CLASS_STORE) {
            return false;
        }
        Slot src[3];
        for (unsigned n = jit_op_sources(h->m->guest, o, src); n--;) {
            if (host_id(h, src[n]) == d) {
                return false;
            }
        }
        if (has_changed && jit_op_may_leave(h->m->guest, o)) {
            return false;
        }
        unsigned to = ir_op_info[o->op].has_dst ? host_id(h, o->d) : 0;
        if (to == d && to) {
            return true;
        }
        for (unsigned n = 0; n < nsources; n++) {
            has_changed |= to && to == source[n];
        }
    }
    return false;
}

/* Likewise from round to round of a loop's ops up to `last`: is its result read before it is written again? */
bool host_is_unread_around(const JitHost *h, uint32_t last, uint32_t q)
{
    const JBlock *b = h->b;
    Slot d = b->op[q].d;
    for (uint32_t n = 1; n <= last; n++) {
        const IrOp *o = &b->op[(q + n) % last];
        Slot src[3];
        for (unsigned i = jit_op_sources(h->m->guest, o, src); i--;) {
            if (src[i] == d) {
                return false;
            }
        }
        if (ir_op_info[o->op].has_dst && o->d == d) {
            break;
        }
    }
    return ir_op_info[b->op[q].op].cls == CLASS_PURE && !IR_IS_TEMP(d) && host_id(h, d);
}

bool host_put_off(JitHost *h, const IrOp *o)
{
    unsigned d = host_id(h, o->d), source[ENTRY_OPERANDS], n;
    Slot src[3];
    if (!h->m->is_region || !d || h->m->is_temp[d] || h->m->home[d] >= FPR_HOME) {
        return false;
    }
    n = jit_op_sources(h->m->guest, o, src);
    if (!n || n > ENTRY_OPERANDS) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        Opnd from = host_opnd(h, src[i]);
        unsigned id = host_id(h, src[i]);
        source[i] = id && h->val[id].kind == V_COPY ? h->val[id].of : id;
        if (!id || (from.kind != O_REG && from.kind != O_MEM) || h->m->is_temp[source[i]]) {
            return false;
        }
    }
    if (!is_unread(h, h->q, source, n)) {
        return false;
    }
    group_end(h, d);
    set_del(&h->words, d);
    h->val[d] =
        (Val){.kind = V_LATER, .op = (uint16_t)h->q, .from = {(uint16_t)source[0], n > 1 ? (uint16_t)source[1] : 0}};
    set_add(&h->away, d);
    return true;
}

/* ---- side tables ---- */
static Entry entry_of(Slot s, Opnd o)
{
    return o.kind == O_REG ? (Entry){.slot = s, .kind = ENTRY_GPR, .reg = (uint8_t)o.reg}
                           : (Entry){.slot = (Slot)(o.disp + HOST_BIAS), .kind = ENTRY_SLOT};
}

/* The op, and where its operands are. */
static void entry_of_op(JitHost *h, unsigned i)
{
    const Val *v = &h->val[i];
    VEC_PUSH(&h->entries, (Entry){.slot = h->m->slot_of[i], .kind = ENTRY_OP});
    VEC_PUSH(&h->entries, (Entry){.slot = v->op});
    for (unsigned n = 0; n < ENTRY_OPERANDS; n++) {
        Entry e = {.kind = ENTRY_SLOT, .slot = IR_ZERO};
        VEC_PUSH(&h->entries, v->from[n] ? entry_of(0, opnd_of_home(h, v->from[n])) : e);
    }
}

void host_entry_add(JitHost *h, unsigned i)
{
    if (h->val[i].kind == V_LATER) {
        entry_of_op(h, i);
        return;
    }
    Opnd o = host_opnd_of_id(h, i);
    Entry e = {.slot = h->m->slot_of[i], .reg = (uint8_t)o.reg}, word;
    switch (o.kind) {
    case O_REG:
        e.kind = ENTRY_GPR;
        break;
    case O_XMM:
        e.kind = !(h->raws.raw >> o.reg & 1) ? ENTRY_FPR : h->raws.single >> o.reg & 1 ? ENTRY_RAW32 : ENTRY_RAW;
        break;
    case O_MEM:
        e.kind = ENTRY_SLOT;
        break;
    case O_IMM:
        e.kind = ENTRY_CONST;
        break;
    }
    VEC_PUSH(&h->entries, e);
    if (o.kind == O_MEM) {
        VEC_PUSH(&h->entries, (Entry){.slot = (Slot)(o.disp + HOST_BIAS)});
    } else if (o.kind == O_IMM) {
        for (size_t part = 0; part < sizeof o.imm; part += sizeof word) {
            memcpy(&word, (const char *)&o.imm + part, sizeof word);
            VEC_PUSH(&h->entries, word);
        }
    }
}
