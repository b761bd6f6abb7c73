/* SPDX-License-Identifier: Apache-2.0
 * memory.c - loads, stores and fences: the TLB in line (softmmu.h), C behind it. */
#include "sim/jit/host_x86_64/host.h"
#include "sim/softmmu/softmmu.h"

/* rax = gva */
static void gva_to_rax(JitHost *h, const IrOp *o)
{
    Opnd base = host_opnd(h, o->a);
    if (base.kind == O_IMM) {
        x_movi(&h->a, RAX, base.imm + (uint64_t)o->imm);
    } else if (!is_s32((uint64_t)o->imm)) {
        x_movi(&h->a, RAX, (uint64_t)o->imm);
        host_alu(h, W, X_ADD, RAX, o->a);
    } else if (base.kind == O_REG && o->imm) {
        x_rm(&h->a, W, X_LEA, RAX, base.reg, (int32_t)o->imm);
    } else {
        host_opnd_to(h, RAX, base);
        if (o->imm) {
            x_alui(&h->a, W, G_ADD, RAX, (int32_t)o->imm);
        }
    }
}

static int32_t table_of(bool is_write)
{
    return is_write ? (int32_t)sizeof(TlbEntry) * TLB_ENTRIES : 0;
}

/* Of an entry of the TLB: rcx is its offset. */
static void entry_op(JitHost *h, uint32_t opc, unsigned r, int32_t at)
{
    if (h->m->is_ranged) { /* its address: r15 is in use */
        x_rm(&h->a, W, opc, r, RCX, at);
    } else {
        x_rx(&h->a, W, opc, r, R15, RCX, 0, at);
    }
}

/* rax = gva. rcx = entry, as entry_op wants it. rdx is lost. */
static uint8_t *tag_check(JitHost *h, unsigned size_bytes, bool is_write)
{
    Asm *a = &h->a;
    _Static_assert(sizeof(TlbEntry) == 16, "the index is scaled by it");
    x_rr(a, 0, X_LOAD, RCX, RAX);
    x_shift(a, 0, G_SHR, RCX, MMU_PAGE_BITS - 4);
    x_alui(a, 0, G_AND, RCX, (TLB_ENTRIES - 1) << 4);
    if (h->m->is_ranged) {
        x_rm(a, W, X_ADD, RCX, RBP, AT(tlb_read));
    }
    if (size_bytes > 1) {
        x_rm(a, W, X_LEA, RDX, RAX, (int32_t)size_bytes - 1);
    } else {
        x_mov(a, RDX, RAX);
    }
    x_alui(a, W, G_AND, RDX, -(1 << MMU_PAGE_BITS));
    x_rm(a, W, X_OR, RDX, RBP, AT(tlb_key));
    entry_op(h, X_CMP, RDX, table_of(is_write));
    return x_jcc(a, CC_NE);
}

static void addend_op(JitHost *h, uint32_t opc, unsigned r, bool is_write)
{
    entry_op(h, opc, r, table_of(is_write) + (int32_t)offsetof(TlbEntry, addend));
}

static bool has_fast_path(const IrOp *o)
{
    return !(o->aux & (MEM_ALIGNED | MEM_FETCHLIKE)) && !MEM_REGIME_OF(o->aux);
}

/* rax: gva; rdx: what is stored. */
static void call_slow(JitHost *h, uint32_t site)
{
    const SiteAt *s = &h->sites.items[site];
    const JBlock *b = host_block_of(h, s);
    const IrOp *o = &b->op[s->op];
    host_site_to_rcx(h, site);
    if (o->aux & MEM_ALONE && o->insn + 1 == b->ninsns) {
        x_rm(&h->a, 0, X_MOVI32, 0, RSP, ON_STACK(arg[0]));
        x_imm32(&h->a, o->aux);
        host_jump_out(h, x_call(&h->a), h->alone[o->op == IR_st][h->m->has_fpr]);
    } else {
        host_jump_out(h, x_call(&h->a), h->slow[h->m->has_fpr]);
    }
}

/* Behind the unit: what the TLB does not have. */
void host_emit_slow(JitHost *h, const Stub *s)
{
    if (s->is_store) {
        host_opnd_to(h, RDX, s->value);
    }
    call_slow(h, s->site);
    if (!s->is_store && s->reg >= FPR_HOME) { /* of 4 bytes: 0 above */
        x_rr(&h->a, W, X_MOVQ_TO, s->reg - FPR_HOME, RAX);
    } else if (!s->is_store) {
        x_mov(&h->a, s->reg, RAX);
    }
    x_fix(x_jmp(&h->a), s->back);
}

static size_t slow_stub(JitHost *h, const IrOp *o, uint8_t *fix, unsigned reg)
{
    uint32_t site = jit_site_new(h, h->q);
    Stub *s = host_stub_new(h, STUB_SLOW, fix);
    s->site = site;
    s->reg = (uint8_t)reg;
    s->is_store = o->op == IR_st;
    if (s->is_store) {
        s->value = host_opnd(h, o->b);
    }
    return h->stubs.n - 1;
}

/* ---- the flat range ---- */
bool host_is_plain_access(const IrOp *o)
{
    return (o->op == IR_ld || o->op == IR_st) && has_fast_path(o) && is_s32((uint64_t)o->imm);
}

bool host_has_range(uint64_t flat_first)
{
    return is_s32(0 - flat_first);
}

/* Is the slot a constant near which the range can be accessed from code by displacements? Then h->fixed is that. */
static bool is_fixed(JitHost *h, Slot base)
{
    Opnd o = host_opnd(h, base);
    const CodeCache *c = &h->j->cache;
    int64_t far = (int64_t)(h->m->flat_addend + o.imm - (uintptr_t)(c->code + c->exec));
    if (!h->m->is_ranged || o.kind != O_IMM || o.imm - h->m->flat_first > INT32_MAX / 2 || far > INT32_MAX / 2 ||
        far < INT32_MIN / 2) {
        return false;
    }
    h->fixed = o.imm;
    return true;
}

/* rax = [at + disp - flat_first] */
static void from_range_to_rax(JitHost *h, Indexed at, int64_t disp)
{
    int64_t from = (int64_t)(0 - h->m->flat_first);
    if (is_s32((uint64_t)(disp + from))) {
        x_rx(&h->a, W, X_LEA, RAX, at.base, at.index, at.scale, (int32_t)(disp + from));
    } else {
        x_rx(&h->a, W, X_LEA, RAX, at.base, at.index, at.scale, (int32_t)disp);
        x_alui(&h->a, W, G_ADD, RAX, (int32_t)from);
    }
}

/* Jumps away unless the load at base + disp is in the range. rax is lost. */
static uint8_t *range_check(JitHost *h, unsigned base, int64_t disp, int32_t end)
{
    Asm *a = &h->a;
    if (base == FIXED_BASE) {
        x_alumi(a, W, G_CMP, RBP, end, (int32_t)(h->fixed + (uint64_t)disp - h->m->flat_first));
        return x_jcc(a, CC_BE);
    }
    from_range_to_rax(h, BY_BASE(base), disp);
    x_rm(a, W, X_CMP, RAX, RBP, end);
    return x_jcc(a, CC_AE);
}

/* ---- windows ---- */
/* For stores, and groups with one; in regions that are not ranged for loads too. */
static bool has_windows(const JitHost *h, bool is_write)
{
    return h->m->is_flat && (is_write || !h->m->is_ranged) && !h->is_rest;
}

/* Accesses by one register of the guest have a window, whatever code they are in. */
static unsigned window_of(const JitHost *h, Slot base, bool is_write)
{
    return base / 8u % WINDOWS + (h->m->is_ranged ? 2 * WINDOWS : is_write ? WINDOWS : 0);
}

static int32_t at_window(unsigned which, size_t field)
{
    return AT(window) + (int32_t)(which * sizeof(TlbWindow) + field);
}

/* rax = base + disp, where FIXED_BASE is `fixed` */
static void place_to_rax(JitHost *h, unsigned base, int64_t disp, uint64_t fixed)
{
    if (base == FIXED_BASE) {
        x_movi(&h->a, RAX, fixed + (uint64_t)disp);
    } else {
        x_rm(&h->a, W, X_LEA, RAX, base, (int32_t)disp);
    }
}

/* Jumps away unless the access at [at + disp] is in the window: end is that of TlbWindow which counts. rax is lost. */
static uint8_t *window_check(JitHost *h, Indexed at, int64_t disp, unsigned which, size_t end)
{
    if (at.index < 0) {
        place_to_rax(h, at.base, disp, h->fixed);
    } else {
        x_rx(&h->a, W, X_LEA, RAX, at.base, at.index, at.scale, (int32_t)disp);
    }
    x_rm(&h->a, W, X_SUB, RAX, RBP, at_window(which, offsetof(TlbWindow, first)));
    x_rm(&h->a, W, X_CMP, RAX, RBP, at_window(which, end));
    return x_jcc(&h->a, CC_AE);
}

/* One more has missed: perhaps it is time to aim it anew. rax and rdx are lost. */
static void window_missed(JitHost *h, const Stub *s, int64_t disp)
{
    Asm *a = &h->a;
    x_alumi(a, 0, G_SUB, RBP, at_window(s->which, offsetof(TlbWindow, wait)), 1);
    uint8_t *over = x_jcc(a, CC_NS);
    place_to_rax(h, s->base, disp, s->pc);
    x_movi(a, RDX, s->which);
    host_jump_out(h, x_call(a), h->aim[h->m->has_fpr]);
    x_fix(over, a->p);
}

/* Behind the unit: the group's entry. */
void host_emit_look(JitHost *h, const Stub *s, Stub *rest)
{
    window_missed(h, s, s->low);
    place_to_rax(h, s->base, s->low, s->pc);
    rest->fix = tag_check(h, (unsigned)s->span_bytes, s->can_write);
    addend_op(h, X_CMP, FLAT_REG, s->can_write);
    rest->fix2 = x_jcc(&h->a, CC_NE);
    if (s->base == RCX) {
        host_opnd_to(h, RCX, s->value);
    }
    x_fix(x_jmp(&h->a), s->back);
}

/* ---- groups ---- */

/* The span of the accesses of this block by slot `base` from this op on, until it changes by more than a constant; returns how
 * many there are. */
static unsigned group_span(const JitHost *h, Slot base, Group *g)
{
    const JBlock *b = h->b;
    unsigned n = 0;
    int64_t moved = 0;
    for (uint32_t q = h->q; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        if (host_is_plain_access(o) && o->a == base) {
            int64_t low = moved + o->imm, high = low + MEM_SIZE(o->aux);
            low = n && g->low < low ? g->low : low;
            high = n && g->high > high ? g->high : high;
            if (high - low <= GROUP_SPAN) {
                g->low = low, g->high = high;
                g->can_write |= o->op == IR_st;
                n++;
            }
        }
        if (ir_op_info[o->op].has_dst && o->d == base) {
            if (o->op != IR_add_i || o->a != base || !is_s32((uint64_t)o->imm) || !is_s32((uint64_t)(moved + o->imm))) {
                break;
            }
            moved += o->imm;
        }
    }
    return n;
}

static bool is_in(const Group *g, const IrOp *o)
{
    return g->is_on && o->imm >= g->low && o->imm + MEM_SIZE(o->aux) <= g->high && (o->op == IR_ld || g->can_write);
}

static bool may_group(const JitHost *h, const IrOp *o)
{
    Group now = {.is_on = true};
    return h->nrests < MAX_RESTS && group_span(h, o->a, &now) >= 2 && is_in(&now, o);
}

static void group_begin(JitHost *h, const IrOp *o, unsigned i, unsigned base)
{
    Group now = {.is_on = true};
    (void)group_span(h, o->a, &now);
    if (h->m->is_ranged && !now.can_write) {
        now.addend = FLAT_REG;
        host_rest_stub(h, range_check(h, base, now.low, AT(flat_end_span)), NULL);
        h->group[i] = now;
        return;
    }
    if (has_windows(h, now.can_write)) {
        unsigned which = window_of(h, o->a, now.can_write);
        uint8_t *fix = window_check(h, BY_BASE(base), now.low, which, offsetof(TlbWindow, end_span));
        Stub *s = host_stub_new(h, STUB_LOOK, fix);
        s->base = (uint8_t)base;
        s->pc = h->fixed;
        s->value = host_opnd(h, o->a);
        s->which = which;
        s->low = (int32_t)now.low;
        s->span_bytes = (int32_t)(now.high - now.low);
        s->can_write = now.can_write;
        s->number = (uint32_t)h->stubs.n;
        now.addend = FLAT_REG;
        host_rest_stub(h, NULL, NULL);
        h->group[i] = now;
        return;
    }
    x_rm(&h->a, W, X_LEA, RAX, base, (int32_t)now.low);
    uint8_t *miss = tag_check(h, (unsigned)(now.high - now.low), now.can_write);
    unsigned which = h->group_next++ % GROUP_REGS;
    h->group[h->group_of[which]].is_on = false;
    h->group_of[which] = i;
    now.addend = host_gprs[host_ngprs - 1 - which];
    addend_op(h, X_LOAD, now.addend, now.can_write);
    host_rest_stub(h, miss, NULL);
    h->group[i] = now;
}

/* The accesses by its base have been looked up: [base + addend + imm] is the access. rcx may be the base, or FIXED_BASE. */
static bool is_grouped(JitHost *h, const IrOp *o, unsigned *base, unsigned *addend)
{
    unsigned i = host_id(h, o->a);
    Opnd at = host_opnd(h, o->a);
    i = i && h->val[i].kind == V_COPY ? h->val[i].of : i;
    if (!h->m->is_region || h->is_rest || !i || !host_is_plain_access(o) || at.kind == O_XMM) {
        return false;
    }
    bool has_it = is_in(&h->group[i], o);
    if (!has_it && !h->is_counted && !may_group(h, o)) {
        return false;
    }
    *base = is_fixed(h, o->a) ? FIXED_BASE : host_gpr(h, o->a, RCX);
    if (!has_it) {
        group_begin(h, o, i, *base);
        *base = h->m->is_flat ? *base : host_gpr(h, o->a, RCX); /* which the look has used */
    }
    *addend = h->group[i].addend;
    return true;
}

/* ---- loops that are counted ---- */
/* rax = where it begins; less flat_first, or the window's first address. */
static void reach_begin(JitHost *h, const CountBase *b, bool has_window, unsigned which)
{
    Asm *a = &h->a;
    int64_t by = b->low - (has_window ? 0 : (int64_t)h->m->flat_first);
    Opnd base = host_opnd(h, b->base);
    if (base.kind == O_REG && is_s32((uint64_t)by)) {
        x_rm(a, W, X_LEA, RAX, base.reg, (int32_t)by);
    } else {
        host_opnd_to(h, RAX, base);
        x_movi(a, RCX, (uint64_t)by);
        x_rr(a, W, X_ADD, RAX, RCX);
    }
    if (has_window) {
        x_rm(a, W, X_SUB, RAX, RBP, at_window(which, offsetof(TlbWindow, first)));
    }
}

/* rcx = rax + (rdx - 1) * what it goes on by. Jumps away if that is too much for a number. */
static void reach_end(JitHost *h, const CountBase *b, uint8_t *later[], unsigned *n)
{
    Asm *a = &h->a;
    if (b->by == IR_ZERO) {
        x_rm(a, W, X_LEA, RCX, RDX, -1);
        x_rr(a, W, X_IMULI, RCX, RCX);
        x_imm32(a, (uint32_t)b->stride);
    } else {
        host_gpr_to(h, RCX, b->by);
        x_rm(a, W, X_LEA, RDX, RDX, -1);
        x_rr(a, W, X_IMUL, RCX, RDX);
        x_rm(a, W, X_LEA, RDX, RDX, 1);
        later[(*n)++] = x_jcc(a, CC_O);
    }
    x_rr(a, W, X_ADD, RCX, RAX);
}

unsigned host_emit_reach(JitHost *h, const CountBase *b, uint8_t **now, uint8_t *later[REACH_WAYS])
{
    Asm *a = &h->a;
    bool has_window = has_windows(h, b->can_write);
    unsigned n = 0, which = window_of(h, b->base, b->can_write);
    int32_t end = has_window ? at_window(which, offsetof(TlbWindow, end_span)) : AT(flat_end_span);
    reach_begin(h, b, has_window, which);
    x_rm(a, W, X_CMP, RAX, RBP, end);
    *now = x_jcc(a, CC_AE);
    if (b->by != IR_ZERO || b->stride) {
        reach_end(h, b, later, &n);
        x_rm(a, W, X_CMP, RCX, RBP, end);
        later[n++] = x_jcc(a, CC_AE);
    }
    return n;
}

/* [base + idx + disp], or [FIXED_BASE + disp] */
static void place_op(JitHost *h, unsigned flags, uint32_t opc, unsigned r, unsigned base, unsigned idx, int32_t disp)
{
    if (idx == FIXED_BASE) {
        x_rip(&h->a, flags, opc, r);
        host_reloc(h, RELOC_RANGE, h->a.p - 4, (uint32_t)(h->fixed + (uint64_t)(int64_t)disp - h->m->flat_first));
    } else {
        x_rx(&h->a, flags, opc, r, base, (int)idx, 0, disp);
    }
}

static uint32_t load_opcode(const IrOp *o, unsigned d, unsigned *flags)
{
    static const uint32_t opc[8] = {X_MOVZX8, X_MOVZX16, X_LOAD, X_LOAD, X_MOVSX8, X_MOVSX16, X_MOVSXD, X_LOAD};
    unsigned lg2 = MEM_LG2(o->aux);
    bool is_signed = o->aux & MEM_SIGNED;
    *flags = d < FPR_HOME && (lg2 == 3 || is_signed) ? W : 0;
    if (d >= FPR_HOME) {
        return lg2 == 3 ? X_MOVQ_LOAD : X_MOVQ_TO;
    }
    return opc[lg2 | (is_signed ? 4 : 0)];
}

static void load(JitHost *h, const IrOp *o, unsigned d, unsigned base, unsigned idx, int32_t disp)
{
    unsigned flags;
    uint32_t opc = load_opcode(o, d, &flags);
    place_op(h, flags, opc, d % FPR_HOME, base, idx, disp);
}

static void store_gpr(JitHost *h, const IrOp *o, unsigned r, unsigned base, unsigned idx, int32_t disp)
{
    unsigned lg2 = MEM_LG2(o->aux);
    if (lg2 == 1) {
        x_byte(&h->a, 0x66);
    }
    place_op(h, lg2 == 3 ? W : lg2 == 0 ? BYTE : 0, lg2 ? X_STORE : X_STORE8, r, base, idx, disp);
}

static void store(JitHost *h, const IrOp *o, unsigned base, unsigned idx, int32_t disp)
{
    unsigned lg2 = MEM_LG2(o->aux);
    Opnd value = host_opnd(h, o->b);
    if (value.kind == O_XMM && lg2 >= 2) {
        place_op(h, 0, lg2 == 3 ? X_MOVQ_STORE : X_MOVD_FROM, value.reg, base, idx, disp);
        return;
    }
    store_gpr(h, o, host_gpr(h, o->b, RDX), base, idx, disp);
}

/* The register with the addend of the entry that rcx says. In a flat region it is known before; if it was another after all, the
 * access is made elsewhere. */
static unsigned addend_take(JitHost *h, const IrOp *o, unsigned d)
{
    if (!h->m->is_flat || h->is_rest) {
        addend_op(h, X_LOAD, RCX, o->op == IR_st);
        return RCX;
    }
    addend_op(h, X_CMP, FLAT_REG, o->op == IR_st);
    Stub *s = host_stub_new(h, STUB_ADDEND, x_jcc(&h->a, CC_NE));
    s->q = h->q;
    s->reg = (uint8_t)d;
    if (o->op == IR_st) {
        s->value = host_opnd(h, o->b);
    }
    return FLAT_REG;
}

/* The stubs from this one on come back here. */
static void stubs_back(JitHost *h, size_t first)
{
    for (size_t i = first; i < h->stubs.n; i++) {
        h->stubs.items[i].back = h->a.p;
    }
}

void host_emit_addend(JitHost *h, const Stub *s)
{
    const IrOp *o = &h->b->op[s->q];
    addend_op(h, X_LOAD, RCX, o->op == IR_st);
    if (o->op == IR_ld) {
        load(h, o, s->reg, RCX, RAX, 0);
    } else {
        host_opnd_to(h, RDX, s->value);
        store_gpr(h, o, RDX, RCX, RAX, 0);
    }
    x_fix(x_jmp(&h->a), s->back);
}

/* An access that is probably in the flat range, or in a window: d is the register of a load. */
static bool is_ranged(const JitHost *h, const IrOp *o)
{
    return h->m->is_flat && !h->is_rest && host_is_plain_access(o);
}

static void ranged_access(JitHost *h, const IrOp *o, unsigned d)
{
    bool has_window = has_windows(h, o->op == IR_st);
    unsigned base = is_fixed(h, o->a) ? FIXED_BASE : host_gpr(h, o->a, RCX), which = window_of(h, o->a, o->op == IR_st);
    uint8_t *fix = has_window ? window_check(h, BY_BASE(base), o->imm, which, offsetof(TlbWindow, end))
                              : range_check(h, base, o->imm, AT(flat_end));
    uint32_t site = jit_site_new(h, h->q);
    Stub *s = host_stub_new(h, has_window ? STUB_WINDOW : STUB_ENTRY, fix);
    size_t first = h->stubs.n - 1;
    s->which = which;
    s->site = site;
    s->q = h->q;
    s->reg = (uint8_t)d;
    s->base = (uint8_t)base;
    s->pc = h->fixed;
    if (o->op == IR_ld) {
        load(h, o, d, FLAT_REG, base, (int32_t)o->imm);
    } else {
        s->value = host_opnd(h, o->b);
        store(h, o, FLAT_REG, base, (int32_t)o->imm);
    }
    stubs_back(h, first);
}

/* Behind the unit: the address comes into its register. */
static void take_index(JitHost *h, const Stub *s)
{
    if (s->at.index >= 0) {
        x_rx(&h->a, W, X_LEA, s->base, s->at.base, s->at.index, s->at.scale, 0);
    }
}

/* By the TLB after all. */
static void by_entry(JitHost *h, const Stub *s)
{
    const IrOp *o = &h->b->op[s->q];
    bool is_store = o->op == IR_st;
    place_to_rax(h, s->base, o->imm, s->pc);
    uint8_t *miss = tag_check(h, MEM_SIZE(o->aux), is_store);
    host_emit_addend(h, s);
    x_fix(miss, h->a.p);
    Stub slow = *s;
    slow.is_store = is_store;
    host_emit_slow(h, &slow);
}

void host_emit_entry(JitHost *h, const Stub *s)
{
    take_index(h, s);
    by_entry(h, s);
}

void host_emit_window(JitHost *h, const Stub *s)
{
    take_index(h, s);
    window_missed(h, s, h->b->op[s->q].imm);
    by_entry(h, s);
}

/* d: register, or FPR_HOME + that of the other file */
static void fin_load(JitHost *h, const IrOp *o, unsigned d)
{
    if (d >= FPR_HOME) {
        host_wrote(h, o->d);
    } else {
        host_fin(h, o->d, d);
    }
    if (MEM_LG2(o->aux) < 2 || (MEM_LG2(o->aux) == 2 && o->aux & MEM_SIGNED)) {
        host_set_word(h, o->d);
    }
}

/* ---- a load that replaces its address, which the instructions before it have made ---- */
/* In a loop of one block, where what was loaded may be on the way to the next address: elsewhere it was no faster (bytecode 2 % slower). */
static bool takes_index(const JitHost *h, const IrOp *o, Slot base)
{
    const Bb *x = &h->m->bb[h->k];
    bool is_around = false;
    for (unsigned e = 0; e < x->nexits; e++) {
        is_around |= x->succ[e] == (int)h->k;
    }
    return is_around && h->m->is_region && o->op == IR_ld && o->a == base && o->d == base && is_ranged(h, o) &&
           !may_group(h, o);
}

static void index_stub(JitHost *h, unsigned d, Indexed at, uint8_t *fix, unsigned which)
{
    if (h->is_counted) {
        host_rest_stub(h, fix, NULL);
    } else {
        uint32_t site = jit_site_new(h, h->q);
        host_stub_new(h, h->m->is_ranged ? STUB_ENTRY : STUB_WINDOW, fix)->site = site;
    }
    Stub *s = &h->stubs.items[h->stubs.n - 1];
    s->which = which;
    s->q = h->q;
    s->reg = s->base = (uint8_t)d;
    s->at = at;
}

/* The addend and the base are added first, so that the access has to wait for the index only. If it is left there, the address is made. */
static void indexed_access(JitHost *h, const IrOp *o, unsigned d, Indexed at)
{
    unsigned which = window_of(h, o->a, false), flags;
    uint8_t *fix;
    if (h->m->is_ranged) {
        from_range_to_rax(h, at, o->imm);
        x_rm(&h->a, W, X_CMP, RAX, RBP, AT(flat_end));
        fix = x_jcc(&h->a, CC_AE);
    } else {
        fix = window_check(h, at, o->imm, which, offsetof(TlbWindow, end));
    }
    host_wrote(h, o->a);
    index_stub(h, d, at, fix, which);
    x_rx(&h->a, W, X_LEA, RCX, FLAT_REG, (int)at.base, 0, 0);
    uint32_t opc = load_opcode(o, d, &flags);
    x_rx(&h->a, flags, opc, d, RCX, at.index, at.scale, (int32_t)o->imm);
    h->stubs.items[h->stubs.n - 1].back = h->a.p;
}

/* In a counted body: what the window does not have, the TLB may have with the same addend. */
void host_emit_unwindowed(JitHost *h, const Stub *s)
{
    const IrOp *o = &h->b->op[s->q];
    take_index(h, s);
    if (s->at.index < 0 || h->m->is_ranged) {
        return;
    }
    window_missed(h, s, o->imm);
    x_rm(&h->a, W, X_LEA, RAX, s->base, (int32_t)o->imm);
    uint8_t *miss = tag_check(h, MEM_SIZE(o->aux), false);
    addend_op(h, X_CMP, FLAT_REG, false);
    uint8_t *other = x_jcc(&h->a, CC_NE);
    load(h, o, s->reg, FLAT_REG, s->base, (int32_t)o->imm);
    x_fix(x_jmp(&h->a), s->back);
    x_fix(miss, h->a.p);
    x_fix(other, h->a.p);
}

bool host_emit_indexed(JitHost *h, const IrOp *o, Slot base, Indexed at)
{
    uint32_t q = h->q;
    unsigned d = host_dst(h, base);
    h->q = (uint32_t)(o - h->b->op);
    if (d == RAX || !takes_index(h, o, base)) {
        h->q = q;
        return false;
    }
    indexed_access(h, o, d, at);
    fin_load(h, o, d);
    return true;
}

/* Of 8 bytes, or of 4 with 0 above them: the other file does that by itself. */
static bool is_number(const IrOp *o)
{
    return MEM_LG2(o->aux) == 3 || (MEM_LG2(o->aux) == 2 && !(o->aux & MEM_SIGNED));
}

void host_emit_load(JitHost *h, const IrOp *o)
{
    int home = h->m->home[host_id(h, o->d)];
    unsigned base, addend, d = home >= FPR_HOME && is_number(o) ? (unsigned)home : host_dst(h, o->d);
    host_kill(h, o->d);
    if (is_grouped(h, o, &base, &addend)) {
        load(h, o, d, addend, base, (int32_t)o->imm);
        fin_load(h, o, d);
        return;
    }
    if (is_ranged(h, o)) {
        ranged_access(h, o, d);
        fin_load(h, o, d);
        return;
    }
    gva_to_rax(h, o);
    if (!has_fast_path(o)) {
        call_slow(h, jit_site_new(h, h->q));
        host_fin(h, o->d, RAX);
        return;
    }
    size_t stub = slow_stub(h, o, tag_check(h, MEM_SIZE(o->aux), false), d);
    unsigned by = addend_take(h, o, d);
    load(h, o, d, by, RAX, 0);
    stubs_back(h, stub);
    fin_load(h, o, d);
}

void host_emit_store(JitHost *h, const IrOp *o)
{
    unsigned base, addend;
    if (is_grouped(h, o, &base, &addend)) {
        store(h, o, addend, base, (int32_t)o->imm);
        return;
    }
    if (is_ranged(h, o)) {
        ranged_access(h, o, 0);
        return;
    }
    gva_to_rax(h, o);
    if (!has_fast_path(o)) {
        host_gpr_to(h, RDX, o->b);
        call_slow(h, jit_site_new(h, h->q));
        return;
    }
    size_t stub = slow_stub(h, o, tag_check(h, MEM_SIZE(o->aux), true), 0);
    unsigned by = addend_take(h, o, 0);
    store(h, o, by, RAX, 0);
    stubs_back(h, stub);
}

/* ---- atomics: what mmu_atomic does with an address that the TLB has ---- */
static bool is_near_atomic(const IrOp *o)
{
    return MEM_LG2(o->aux) >= 2 && !MEM_REGIME_OF(o->aux);
}

static void lock(Asm *a, unsigned w, uint32_t opc) /* [rcx], rdx */
{
    x_byte(a, 0xf0);
    x_rm(a, w, opc, RDX, RCX, 0);
}

/* rdx = what op makes of rdx and what was there, rax. */
static void combine(Asm *a, unsigned op, unsigned w)
{
    static const uint8_t cc[] = {CC_L, CC_G, CC_B, CC_A};
    static const uint8_t alu[] = {X_AND, X_OR, X_XOR};
    if (op <= IR_amo_xor) {
        x_rr(a, w, alu[op - IR_amo_and], RDX, RAX);
    } else {
        x_rr(a, w, X_CMP, RAX, RDX);
        x_rr(a, w, X_CMOV | cc[op - IR_amo_min], RDX, RAX);
    }
}

/* rax = what is at [rcx], which is reserved now. */
static void load_reserved(Asm *a, unsigned w)
{
    x_rm(a, w, X_LOAD, RAX, RCX, 0);
    x_rm(a, W, X_STORE, RCX, RBP, AT(resv_host));
    x_rm(a, W, X_STORE, RAX, RBP, AT(resv_val));
    x_rm(a, W, X_MOVI32, 0, RBP, AT(resv_size));
    x_imm32(a, w ? 8 : 4);
}

/* rax = 0 if rdx is at [rcx] now, 1 if it is not. */
static void store_conditional(Asm *a, unsigned w)
{
    x_rm(a, W, X_CMP, RCX, RBP, AT(resv_host));
    uint8_t *other = x_jcc(a, CC_NE);
    x_alumi(a, W, G_CMP, RBP, AT(resv_size), w ? 8 : 4);
    uint8_t *none = x_jcc(a, CC_NE);
    x_rm(a, W, X_LOAD, RAX, RBP, AT(resv_val));
    lock(a, w, X_CMPXCHG);
    x_fix(other, a->p);
    x_fix(none, a->p);
    x_rr(a, BYTE, X_SETCC | CC_NE, 0, RAX);
    x_rr(a, 0, X_MOVZX8, RAX, RAX);
    x_rm(a, W, X_MOVI32, 0, RBP, AT(resv_size));
    x_imm32(a, 0);
}

/* rax = what was at [rcx], of 4 or 8 bytes, or of sc what that returns. rdx is lost. */
static void atomic(JitHost *h, const IrOp *o, unsigned w)
{
    _Static_assert(IR_amo_or == IR_amo_and + 1 && IR_amo_xor == IR_amo_or + 1 && IR_amo_max == IR_amo_min + 1 &&
                       IR_amo_minu == IR_amo_max + 1 && IR_amo_maxu == IR_amo_minu + 1,
                   "combine's tables are in this order");
    Asm *a = &h->a;
    if (o->op == IR_lr) {
        load_reserved(a, w);
        return;
    }
    host_gpr_to(h, RDX, o->op == IR_amo_cas ? o->c : o->b);
    if (o->op == IR_sc) {
        store_conditional(a, w);
    } else if (o->op == IR_amo_swap) {
        x_rm(a, w, X_XCHG, RDX, RCX, 0); /* locked by itself */
        x_mov(a, RAX, RDX);
    } else if (o->op == IR_amo_add) {
        lock(a, w, X_XADD);
        x_mov(a, RAX, RDX);
    } else if (o->op == IR_amo_cas) {
        host_gpr_to(h, RAX, o->b);
        lock(a, w, X_CMPXCHG);
    } else {
        x_rm(a, w, X_LOAD, RAX, RCX, 0);
        uint8_t *again = a->p;
        host_gpr_to(h, RDX, o->b);
        combine(a, o->op, w);
        lock(a, w, X_CMPXCHG);
        x_fix(x_jcc(a, CC_NE), again);
    }
}

void host_emit_atomic(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    if (!is_near_atomic(o)) {
        host_emit_call(h, o);
        return;
    }
    unsigned w = MEM_LG2(o->aux) == 3 ? W : 0;
    bool is_write = o->op != IR_lr;
    host_kill(h, o->d);
    Stub *s = host_stub_new(h, STUB_SOFT, NULL);
    size_t stub = h->stubs.n - 1;
    Slot src[3];
    s->q = h->q;
    s->noperands = jit_op_sources(h->m->guest, o, src);
    for (unsigned k = 0; k < s->noperands; k++) {
        s->operand[k] = host_opnd(h, src[k]);
    }
    s->site = jit_site_new(h, h->q);
    gva_to_rax(h, o);
    x_rr(a, BYTE, X_TESTI8, 0, RAX); /* al */
    x_byte(a, MEM_SIZE(o->aux) - 1);
    s->fix = x_jcc(a, CC_NE);
    s->fix2 = tag_check(h, 1, is_write);
    addend_op(h, X_ADD, RAX, is_write);
    x_mov(a, RCX, RAX);
    atomic(h, o, w);
    if (!w && o->op != IR_sc) {
        x_rr(a, o->aux & MEM_SIGNED ? W : 0, o->aux & MEM_SIGNED ? X_MOVSXD : X_LOAD, RAX, RAX);
    }
    host_fin(h, o->d, RAX);
    stubs_back(h, stub);
}

/* x86-64 orders all but a store before a load that follows it (SDM 3, 9.2.2). */
void host_emit_fence(JitHost *h, const IrOp *o)
{
    if (o->aux == ORD_SEQ_CST) {
        x_byte(&h->a, 0xf0); /* lock or dword [rsp + unused], 0: sooner done than mfence */
        x_alumi(&h->a, 0, G_OR, RSP, ON_STACK(unused), 0);
    }
}
