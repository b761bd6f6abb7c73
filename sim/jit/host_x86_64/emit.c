/* SPDX-License-Identifier: Apache-2.0
 * emit.c - the code of a unit: sites, exits, blocks. */
#include "sim/jit/host_x86_64/host.h"

/* ---- sites ---- */
/* What is paid now for blocks that follow. */
static unsigned extra_paid(const JitHost *h)
{
    const Bb *x = &h->m->bb[h->k];
    return h->b == x->b ? jit_due(x) - x->b->ninsns : 0;
}

/* Pins are written back in any case, and before what the table says. */
uint32_t jit_site_new(JitHost *h, uint32_t op)
{
    uint32_t first = (uint32_t)h->entries.n;
    for (unsigned w = 0; w < JIT_IDS / 64; w++) {
        for (uint64_t m = h->dirty.w[w] | h->away.w[w]; m; m &= m - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzll(m);
            if (!h->m->is_temp[i] && (!h->m->is_pin[i] || set_has(&h->away, i))) {
                host_entry_add(h, i);
            }
        }
    }
    VEC_PUSH(&h->sites, (SiteAt){.k = (uint16_t)(h->k | (h->b == h->m->bb[h->k].b ? 0 : SITE_UNROLLED)),
                                 .nentries = (uint16_t)(h->entries.n - first),
                                 .op = (uint16_t)op,
                                 .extra = (uint16_t)extra_paid(h),
                                 .first = first});
    return (uint32_t)h->sites.n - 1;
}

Stub *host_stub_new(JitHost *h, StubKind kind, uint8_t *fix)
{
    VEC_PUSH(&h->stubs, (Stub){.kind = kind,
                               .is_counted = h->is_counted,
                               .fix = fix,
                               .back = h->a.p,
                               .k = h->k,
                               .b = h->b,
                               .dirty = h->dirty,
                               .raws = h->raws,
                               .at = BY_BASE(0)});
    return &h->stubs.items[h->stubs.n - 1];
}

void host_rest_stub(JitHost *h, uint8_t *fix, uint8_t *fix2)
{
    Stub *s = host_stub_new(h, STUB_REST, fix);
    s->fix2 = fix2;
    s->point = x_alloc(sizeof *s->point);
    memcpy(s->point->val, h->val, h->m->nids * sizeof h->val[0]);
    s->point->away = h->away;
    s->point->raws = h->raws;
    s->point->boxed = h->boxed;
    s->point->q = h->q;
    h->nrests++;
}

void host_reloc(JitHost *h, RelocKind kind, const uint8_t *at, uint32_t to)
{
    VEC_PUSH(&h->relocs, (Reloc){.kind = kind & 0xff, .at = host_at(h, at) & 0xffffff, .to = to});
}

void host_jump_out(JitHost *h, uint8_t *at, const uint8_t *to)
{
    host_reloc(h, RELOC_CODE, at, (uint32_t)(to - h->j->cache.exec - h->j->cache.code));
}

void host_pointer_to(JitHost *h, unsigned r, RelocKind kind, uint32_t to)
{
    x_movi64(&h->a, r, 0);
    host_reloc(h, kind, h->a.p - 8, to);
}

void host_site_to_rcx(JitHost *h, uint32_t site)
{
    host_pointer_to(h, RCX, RELOC_SITE, site);
}

/* ---- leaving ---- */
static void write_back(JitHost *h, const Set *dirty)
{
    SET_EACH(i, dirty)
    {
        if (!h->m->is_pin[i]) {
            host_store_home(h, i);
        }
    }
}

/* Before code is left for good: what is only noted goes straight to the frame, pins to their registers. rax may be lost. */
static void write_back_all(JitHost *h)
{
    host_look_all(h);
    Set away = h->away;
    SET_EACH(i, &away)
    {
        if (h->m->is_temp[i]) {
            continue;
        }
        if (h->m->is_pin[i]) {
            host_materialise(h, i);
        } else {
            host_opnd_to_frame(h, h->m->slot_of[i], host_opnd_of_id(h, i));
            set_del(&h->dirty, i);
        }
    }
    write_back(h, &h->dirty);
}

/* Between units r15 has the TLB. */
static void tlb_to_r15(JitHost *h)
{
    if (h->m->is_ranged) {
        x_rm(&h->a, W, X_LOAD, R15, RBP, AT(tlb_read));
    }
}

static void leave(JitHost *h, const uint8_t *to)
{
    host_jump_out(h, x_jmp(&h->a), to);
}

enum { INSN_MAX_BYTES = 16 }; /* of any guest */

/* Is the link certain to stay as long as b does? Not so if what is at pc may go on in the next page. */
static bool is_same_page(const JBlock *b, uint64_t pc)
{
    uint64_t page = b->gva >> 12;
    return pc >> 12 == page && (b->gva + b->nbytes - 1) >> 12 == page && (pc + INSN_MAX_BYTES - 1) >> 12 == page;
}

/* The jump cache for a pc that is known. */
static uint8_t *emit_far(JitHost *h, uint64_t pc)
{
    Asm *a = &h->a;
    uint8_t *start = a->p;
    int32_t entry = (int32_t)(JUMP_INDEX(pc) * sizeof(JumpEntry));
    x_rm(a, W, X_LOAD, RCX, RBP, AT(jump));
    x_movi(a, RDX, pc);
    x_rm(a, W, X_CMP, RDX, RCX, entry + (int32_t)offsetof(JumpEntry, pc));
    uint8_t *miss = x_jcc(a, CC_NE);
    x_rm(a, 0, X_GROUP5, 4, RCX, entry + (int32_t)offsetof(JumpEntry, code));
    x_fix(miss, a->p);
    return start;
}

/* Everything is in the frame, or in a pin. */
static void exit_to(JitHost *h, unsigned k, uint32_t number, uint64_t pc)
{
    Asm *a = &h->a;
    tlb_to_r15(h);
    while (((uintptr_t)a->p + 1) % 4) {
        x_byte(a, 0x90);
    }
    uint8_t *jump = x_jmp(a);
    ExitAt e = {.k = (uint16_t)k, .number = (uint16_t)number, .jump = host_at(h, jump)};
    e.far = is_same_page(h->m->bb[k].b, pc) ? 0 : host_at(h, emit_far(h, pc));
    e.leave = host_at(h, a->p);
    x_fix(jump, a->p);
    host_pointer_to(h, RAX, RELOC_EXIT, (uint32_t)h->exits.n);
    leave(h, e.far ? h->exit_far : h->exit);
    VEC_PUSH(&h->exits, e);
}

static uint32_t exit_number(const JBlock *b, const IrOp *o)
{
    uint32_t n = 0;
    if (o->aux >> UNROLLED_EXIT) {
        return (o->aux >> UNROLLED_EXIT) - 1u;
    }
    for (const IrOp *p = b->op; p < o; p++) {
        n += p->op == IR_brcond || p->op == IR_jmp;
    }
    return n;
}

unsigned host_compare(JitHost *h, const IrOp *o)
{
    static const uint8_t cc[COND_COUNT] = {CC_E, CC_NE, CC_L, CC_GE, CC_B, CC_AE};
    static const uint8_t swapped[COND_COUNT] = {CC_E, CC_NE, CC_G, CC_LE, CC_A, CC_BE};
    bool is_swapped = host_opnd(h, o->a).kind == O_IMM;
    Slot x = is_swapped ? o->b : o->a, y = is_swapped ? o->a : o->b;
    Opnd left = host_opnd(h, x), right = host_opnd(h, y);
    if (right.kind == O_IMM && !right.imm && left.kind == O_REG) {
        x_rr(&h->a, W, X_TEST, left.reg, left.reg);
    } else if (right.kind == O_IMM && is_s32(right.imm) && left.kind == O_MEM) {
        x_alumi(&h->a, W, G_CMP, RBP, left.disp, (int32_t)right.imm);
    } else {
        host_alu(h, W, X_CMP, host_gpr(h, x, RAX), y);
    }
    return (is_swapped ? swapped : cc)[o->aux & COND_BITS];
}

void host_fix_later(JitHost *h, uint8_t *at, unsigned to, FixKind kind)
{
    VEC_PUSH(&h->fixes, (Fix){at, to, kind});
}

/* Once more around a loop that is unrolled: all of its copies are paid at once. */
static void edge_around(JitHost *h, unsigned give)
{
    x_alumi(&h->a, W, G_SUB, RBP, AT(budget), (int32_t)h->m->bb[h->k].unrolled->ninsns - (int32_t)give);
    host_stub_new(h, STUB_FEW, x_jcc(&h->a, CC_S));
    host_fix_later(h, x_jmp(&h->a), h->k, FIX_UNROLLED);
}

/* The budget is for fewer: one at a time. */
static void emit_few(JitHost *h, const Stub *s)
{
    const Bb *x = &h->m->bb[s->k];
    x_alumi(&h->a, W, G_ADD, RBP, AT(budget), (int32_t)(x->unrolled->ninsns - x->b->ninsns));
    host_stub_new(h, STUB_BUDGET, x_jcc(&h->a, CC_S))->site = h->bb[s->k].site;
    host_fix_later(h, x_jmp(&h->a), s->k, FIX_PAID);
}

static void give_back(JitHost *h, unsigned n)
{
    if (n) {
        x_alumi(&h->a, W, G_ADD, RBP, AT(budget), (int32_t)n);
    }
}

/* Of what is due before block `to`, `paid` is paid. */
void host_pay(JitHost *h, unsigned to, unsigned paid)
{
    unsigned due = jit_due(&h->m->bb[to]);
    if (due > paid) {
        x_alumi(&h->a, W, G_SUB, RBP, AT(budget), (int32_t)(due - paid));
        host_stub_new(h, STUB_BUDGET, x_jcc(&h->a, CC_S))->site = h->bb[to].site; /* one jump back on JNS was slower */
    } else {
        give_back(h, paid - due);
    }
}

/* To block `to` of the unit with `give` to give back: what it takes and what is given are one subtraction. */
static void edge_to(JitHost *h, unsigned to, unsigned give)
{
    if (to == h->k && h->m->bb[to].unrolled) {
        edge_around(h, give);
        return;
    }
    if (to == h->k && h->m->bb[to].count.last) {
        host_fix_later(h, x_jmp(&h->a), to, FIX_COUNT);
        return;
    }
    host_pay(h, to, give);
    host_fix_later(h, x_jmp(&h->a), to, FIX_PAID);
}

/* Is there nothing to do on the way to the block, as all that is due is paid? */
static bool is_free_edge(const JitHost *h, int to, unsigned paid)
{
    return to >= 0 && (unsigned)to != h->k && jit_due(&h->m->bb[to]) == paid && !h->is_counted && !h->raws.raw;
}

static void emit_brcond(JitHost *h, const IrOp *o)
{
    const Bb *x = &h->m->bb[h->k];
    unsigned give = h->b->ninsns + extra_paid(h) - o->insn - 1;
    host_flush(h);
    unsigned cc = host_compare(h, o);
    if (o->aux >> UNROLLED_EXIT == UNROLLED_TO_TAIL) {
        host_stub_new(h, STUB_TAIL, x_jcc(&h->a, cc))->give = give - (x->b->ninsns - x->b->op[x->tail - 1].insn - 1);
        return;
    }
    uint32_t number = exit_number(h->b, o);
    int to = x->succ[number];
    bool is_back = to >= 0 && (unsigned)to <= h->k && (h->b == x->b || (unsigned)to == h->k);
    if (is_free_edge(h, to, give)) {
        host_fix_later(h, x_jcc(&h->a, cc), (unsigned)to, FIX_PAID);
        return;
    }
    if (is_back && !h->is_counted) { /* a loop: mostly taken */
        uint8_t *over = x_jcc(&h->a, cc ^ 1);
        if ((unsigned)to == h->k && !h->is_rest) {
            h->bb[h->k].raw = h->raws.raw;
            h->bb[h->k].single = h->raws.single;
        }
        host_look(h, &h->raws);
        edge_to(h, (unsigned)to, give);
        x_fix(over, h->a.p);
        return;
    }
    Stub *s = host_stub_new(h, to >= 0 ? STUB_EDGE : STUB_EXIT, x_jcc(&h->a, cc));
    s->number = to >= 0 ? (uint32_t)to : number;
    s->pc = (uint64_t)o->imm;
    s->give = give;
}

enum { SWITCH_OPS = 16 };

/* A short block that ends with a jump through a register, not of a call: an interpreter's, perhaps, to which all its cases go. Each
 * with a copy of its own tells the host's predictor more. */
static bool is_switch(const Bb *x)
{
    const IrOp *end = &x->b->op[x->b->nops - 1];
    return x->is_indirect && x->b->nops <= SWITCH_OPS && !(end->aux & (JMP_CALL | JMP_RET));
}

static void emit_switch(JitHost *h, unsigned to)
{
    const JBlock *b = h->b;
    unsigned k = h->k, nrests = h->nrests;
    bool is_apart = h->is_apart;
    host_pay(h, to, extra_paid(h));
    h->is_apart = true;
    host_block_begin(h, to, h->m->bb[to].b);
    host_emit_ops(h, 0);
    h->is_apart = is_apart;
    h->k = k;
    h->b = b;
    h->q = b->nops;
    h->nrests = nrests;
}

static void emit_jmp(JitHost *h, const IrOp *o)
{
    const Bb *x = &h->m->bb[h->k];
    uint32_t number = exit_number(h->b, o);
    int to = x->succ[number];
    if (to < 0) {
        give_back(h, extra_paid(h));
        write_back_all(h);
        exit_to(h, h->k, number, (uint64_t)o->imm);
        return;
    }
    host_look_all(h);
    host_flush(h);
    if (!h->is_rest && is_switch(&h->m->bb[to])) {
        emit_switch(h, (unsigned)to);
    } else if (h->is_apart || (unsigned)to != h->k + 1) {
        edge_to(h, (unsigned)to, extra_paid(h));
    } else if (extra_paid(h)) { /* past the head of what follows */
        host_pay(h, (unsigned)to, extra_paid(h));
        h->is_paid = true;
    }
}

static void address_to(JitHost *h, unsigned r, const IrOp *o, unsigned scratch)
{
    host_gpr_to(h, r, o->a);
    if (o->imm && is_s32((uint64_t)o->imm)) {
        x_alui(&h->a, W, G_ADD, r, (int32_t)o->imm);
    } else if (o->imm) {
        x_movi(&h->a, scratch, (uint64_t)o->imm);
        x_rr(&h->a, W, X_ADD, r, scratch);
    }
}

/* To blocks of the region, in which registers stay what they are: by comparison, else by the region's table. An odd pc is not found there: rounding
 * down can wait. */
static void emit_inner_jump(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    host_flush(h);
    Opnd to = host_opnd(h, o->a);
    if (to.kind != O_REG || o->imm) {
        address_to(h, RDX, o, RCX);
        to.reg = RDX;
    }
    host_emit_compared(h, to.reg, o->aux);
    x_rr(a, 0, X_LOAD, RCX, to.reg);
    x_alui(a, 0, G_AND, RCX, (int32_t)(h->ntable - 1) << 1);
    x_rip(a, W, X_LEA, RAX);
    VEC_PUSH(&h->tables, a->p - 4);
    x_rx(a, W, X_CMP, to.reg, RAX, RCX, 3, offsetof(JumpEntry, pc));
    uint8_t *miss = x_jcc(a, CC_NE);
    x_rx(a, 0, X_GROUP5, 4, RAX, RCX, 3, offsetof(JumpEntry, code));
    x_fix(miss, a->p);
}

/* The jump cache in line. */
static void emit_jmpr(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    host_look_all(h);
    give_back(h, extra_paid(h));
    if (h->m->ntargets) {
        emit_inner_jump(h, o);
    }
    address_to(h, RDX, o, RCX);
    if (o->aux & JMP_EVEN) {
        x_alui(a, W, G_AND, RDX, -2);
    }
    write_back_all(h);
    tlb_to_r15(h);
    _Static_assert(JUMP_INDEX(0x2002ull) == (0x1000 & ((1 << JUMP_BITS) - 1)) && sizeof(JumpEntry) == 16,
                   "the code below computes it");
    x_rr(a, W, X_LOAD, RCX, RDX);
    x_rr(a, 0, X_LOAD, RAX, RDX);
    x_shift(a, W, G_SHR, RCX, 12); /* JUMP_INDEX twice: its bit 0 is bit 1 here */
    x_rr(a, 0, X_XOR, RAX, RCX);
    x_alui(a, 0, G_AND, RAX, ((1 << JUMP_BITS) - 1) << 1);
    x_rm(a, W, X_LOAD, RCX, RBP, AT(jump));
    x_rx(a, W, X_LEA, RAX, RCX, RAX, 3, 0);
    x_rm(a, W, X_CMP, RDX, RAX, offsetof(JumpEntry, pc));
    host_jump_out(h, x_jcc(a, CC_NE), h->indirect);
    x_rm(a, 0, X_GROUP5, 4, RAX, offsetof(JumpEntry, code));
}

static void operands_to_stack(JitHost *h, const IrOp *o)
{
    Slot src[3];
    unsigned n = jit_op_sources(h->m->guest, o, src);
    n = o->op == IR_call ? ARRAY_LEN(src) : n; /* a helper gets 0 for what it does not have */
    for (unsigned i = 0; i < n; i++) {
        Opnd v = host_opnd(h, src[i]);
        int32_t at = ON_STACK(arg) + (int32_t)i * 8;
        if (v.kind == O_IMM && is_s32(v.imm)) {
            x_rm(&h->a, W, X_MOVI32, 0, RSP, at);
            x_imm32(&h->a, (uint32_t)v.imm);
        } else {
            x_rm(&h->a, W, X_STORE, host_gpr(h, src[i], RAX), RSP, at);
        }
    }
}

static void imm_to_frame(JitHost *h, int32_t at, uint64_t imm)
{
    if (is_s32(imm)) {
        x_rm(&h->a, W, X_MOVI32, 0, RBP, at);
        x_imm32(&h->a, (uint32_t)imm);
    } else {
        x_movi(&h->a, RAX, imm);
        x_rm(&h->a, W, X_STORE, RAX, RBP, at);
    }
}

static void emit_trap(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    const JBlock *b = h->b;
    host_gpr_to(h, RDX, o->a);
    write_back_all(h);
    x_rm(a, W, X_STORE, RDX, RBP, AT(trap.value));
    imm_to_frame(h, AT(trap.cause), (uint64_t)o->imm);
    imm_to_frame(h, AT(trap.value2), 0);
    imm_to_frame(h, AT(trap.value3), 0);
    x_rm(a, 0, X_MOVI32, 0, RBP, AT(event));
    x_imm32(a, EVENT_TRAP);
    imm_to_frame(h, AT(pc), b->gva + b->insn_at[o->insn]);
    host_pointer_to(h, RAX, RELOC_TAG, h->k);
    x_rm(a, W, X_STORE, RAX, RBP, AT(left_block));
    x_alumi(a, W, G_ADD, RBP, AT(budget), (int32_t)(b->ninsns - o->insn));
    x_movi(a, RAX, LEFT_EVENT);
    leave(h, h->ask);
}

/* The way past the dispatcher, by the jump cache: behind an access that ran alone. */
static void emit_sync_if_quiet(JitHost *h, const IrOp *o)
{
    Asm *a = &h->a;
    const JBlock *b = h->b;
    for (const IrOp *p = b->op; p < o; p++) {
        if (p->op == IR_call && h->m->guest->helpers[p->aux].effects & EFF_ENDS) {
            return;
        }
    }
    write_back_all(h);
    x_alumi(a, 0, G_CMP, RBP, AT(is_quiet), 0);
    uint8_t *loud = x_jcc(a, CC_E);
    _Static_assert(offsetof(Frame, reply_next) == offsetof(Frame, nreplies) + 4, "one store clears both");
    imm_to_frame(h, AT(nreplies), 0);
    x_rm(a, BYTE, X_MOVI8, 0, RBP, AT(reply_is_fault));
    x_byte(a, 0);
    tlb_to_r15(h);
    emit_far(h, (uint64_t)o->imm);
    x_fix(loud, a->p);
}

static void emit_term(JitHost *h, const IrOp *o)
{
    switch (o->op) {
    case IR_jmp:
        emit_jmp(h, o);
        break;
    case IR_jmpr:
        emit_jmpr(h, o);
        break;
    case IR_sync:
        emit_sync_if_quiet(h, o);
        /* fall through */
    case IR_syncr:
        address_to(h, RDX, o, RCX);
        write_back_all(h);
        x_rm(&h->a, W, X_STORE, RDX, RBP, AT(pc));
        x_movi(&h->a, RAX, LEFT_SYNC);
        leave(h, h->ask);
        break;
    case IR_trap:
        emit_trap(h, o);
        break;
    default: /* stop */
        operands_to_stack(h, o);
        host_site_to_rcx(h, jit_site_new(h, h->q));
        leave(h, h->term);
        break;
    }
}

/* ---- calls into C ---- */
/* What a helper writes to the frame is read again; before, everything must be there. */
static void frame_give(JitHost *h)
{
    host_look_all(h);
    Set away = h->away;
    SET_EACH(i, &away)
    {
        host_materialise(h, i);
    }
    write_back(h, &h->dirty);
}

static void frame_take(JitHost *h)
{
    for (unsigned i = 1; i < h->m->nids; i++) {
        if (h->m->home[i] != HOME_FRAME && !h->m->is_temp[i]) {
            host_load_home(h, i);
        }
    }
    memset(h->group, 0, h->m->nids * sizeof h->group[0]);
    h->words = h->boxed = (Set){0};
}

/* Does some temporary that lives in a register outlive the op? */
static bool temps_live_on(const JitHost *h, const IrOp *o)
{
    const JBlock *b = h->b;
    for (const IrOp *p = o + 1; p < b->op + b->nops && p->insn == o->insn; p++) {
        Slot src[3];
        unsigned n = jit_op_sources(h->m->guest, p, src);
        for (unsigned s = 0; s < n; s++) {
            if (IR_IS_TEMP(src[s]) && src[s] != o->d && h->m->home[host_id(h, src[s])] != HOME_FRAME) {
                return true;
            }
        }
    }
    return false;
}

/* A helper before a sync, which raises nothing: the registers will be given up anyway, so it is called straight. */
static bool is_straight(const JitHost *h, const IrOp *o, uint32_t effects)
{
    return o->op == IR_call && effects & EFF_ENDS && !(effects & (EFF_EVENT | EFF_FP_FLAGS)) && !temps_live_on(h, o);
}

/* Registers are given up, and are only in the frame afterwards. */
static void emit_call_given_up(JitHost *h, const IrOp *o)
{
    static const uint8_t arg[] = {RSI, RDX, RCX};
    Asm *a = &h->a;
    const JBlock *b = h->b;
    int32_t rest = (int32_t)(b->ninsns - o->insn);
    frame_give(h);
    host_pins_store(h);
    x_alumi(a, W, G_ADD, RBP, AT(budget), rest);
    x_rm(a, W, X_LOAD, RDI, RSP, ON_STACK(f));
    for (unsigned i = 0; i < sizeof arg; i++) {
        x_rm(a, W, X_LOAD, arg[i], RSP, ON_STACK(arg) + (int32_t)i * 8);
    }
    x_movi(a, R8, (uint64_t)o->imm);
    host_pointer_to(h, RAX, RELOC_HELPER, o->aux);
    x_rr(a, 0, X_GROUP5, 2, RAX);
    x_alumi(a, W, G_SUB, RBP, AT(budget), rest);
}

static void emit_straight_call(JitHost *h, const IrOp *o)
{
    emit_call_given_up(h, o);
    frame_take(h);
    if (h->m->is_flat && !h->m->is_ranged) { /* C keeps the other */
        x_rm(&h->a, W, X_LOAD, FLAT_REG, RBP, AT(window_addend));
    }
}

/* Nothing but the end of the block follows, which needs no register. */
static bool is_sync_next(const IrOp *o)
{
    const IrOp *end = o + 1;
    return end->op == IR_sync || (end->op == IR_syncr && end->a == o->d && IR_IS_TEMP(o->d) && !end->imm);
}

static void emit_call_and_sync(JitHost *h, const IrOp *o, bool has_dst)
{
    Asm *a = &h->a;
    const IrOp *end = o + 1;
    emit_call_given_up(h, o);
    if (end->op == IR_syncr) {
        x_rm(a, W, X_STORE, RAX, RBP, AT(pc));
    } else {
        if (has_dst && !IR_IS_TEMP(o->d)) {
            x_rm(a, W, X_STORE, RAX, RBP, AT_SLOT(o->d));
        }
        imm_to_frame(h, AT(pc), (uint64_t)end->imm);
    }
    x_movi(a, RAX, LEFT_SYNC);
    leave(h, h->asked);
    h->q++;
}

void host_emit_call(JitHost *h, const IrOp *o)
{
    bool has_dst = ir_op_info[o->op].has_dst && o->d != IR_ZERO;
    uint32_t effects = o->op == IR_call ? h->m->guest->helpers[o->aux].effects : 0;
    if (has_dst) {
        host_kill(h, o->d);
    }
    if (is_straight(h, o, effects)) {
        operands_to_stack(h, o);
        if (is_sync_next(o)) {
            emit_call_and_sync(h, o, has_dst);
            return;
        }
        emit_straight_call(h, o);
        if (has_dst) {
            host_fin(h, o->d, RAX);
        }
        return;
    }
    operands_to_stack(h, o);
    if (effects & EFF_WRITES_FRAME) {
        frame_give(h);
    }
    host_site_to_rcx(h, jit_site_new(h, h->q));
    host_jump_out(h, x_call(&h->a), h->slow[h->m->has_fpr]);
    if (effects & EFF_WRITES_FRAME) {
        frame_take(h);
    }
    if (has_dst) {
        host_fin(h, o->d, RAX);
    }
}

/* ---- blocks ---- */
/* The slot of flags is looked at: what has accrued in the host must be there. */
static bool touches_flags(const JitHost *h, const IrOp *o)
{
    Slot src[3], flags = h->m->guest->fp_flags;
    unsigned n = jit_op_sources(h->m->guest, o, src);
    bool is_any = flags && ir_op_info[o->op].has_dst && o->d == flags;
    for (unsigned i = 0; i < n; i++) {
        is_any |= flags && src[i] == flags;
    }
    return is_any;
}

void host_emit_op(JitHost *h, const IrOp *o)
{
    if (touches_flags(h, o)) {
        host_jump_out(h, x_call(&h->a), h->fold[h->m->has_fpr]);
    }
    host_look_sources(h);
    host_look_boxes(h);
    IrOp fused;
    unsigned turn, n = host_fp_fused(h, h->q, &fused, &turn);
    if (n) {
        h->q += n - 1;
        host_emit_fused(h, &fused, turn);
        return;
    }
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        host_emit_pure(h, o);
        break;
    case CLASS_LOAD:
        host_emit_load(h, o);
        break;
    case CLASS_STORE:
        host_emit_store(h, o);
        break;
    case CLASS_FP:
        host_emit_fp(h, o);
        break;
    case CLASS_ATOMIC:
        host_emit_atomic(h, o);
        break;
    case CLASS_CALL:
        host_emit_call(h, o);
        break;
    case CLASS_FENCE:
        host_emit_fence(h, o);
        break;
    case CLASS_SIDE_EXIT:
        emit_brcond(h, o);
        break;
    case CLASS_TERM:
        emit_term(h, o);
        break;
    }
}

void host_block_begin(JitHost *h, unsigned k, const JBlock *b)
{
    h->k = k;
    h->b = b;
    h->dirty = h->m->bb[k].dirty_in;
    h->away = h->words = h->boxed = (Set){0};
    h->raws = (Raws){0};
    memset(h->val, 0, h->m->nids * sizeof h->val[0]);
    memset(h->group, 0, h->m->nids * sizeof h->group[0]);
    memset(h->group_of, 0, sizeof h->group_of);
    memset(h->stored, 0, h->m->nids * sizeof h->stored[0]);
    h->nrests = 0;
}

/* Where a block of a region may be left before it has begun. */
static void head_site(JitHost *h, unsigned k)
{
    host_block_begin(h, k, h->m->bb[k].b);
    h->bb[k].site = jit_site_new(h, h->b->nops);
}

enum { HEAD_BYTES = 14 }; /* what is before a block is paid */

void host_emit_ops(JitHost *h, uint32_t from)
{
    for (h->q = from; h->q < h->b->nops; h->q++) {
        host_emit_op(h, &h->b->op[h->q]);
    }
}

static void emit_block(JitHost *h, unsigned k)
{
    const Bb *x = &h->m->bb[k];
    bool is_paid = h->is_paid;
    h->is_paid = false;
    host_block_begin(h, k, x->b);
    while (x->is_loop && !x->unrolled && !x->count.last &&
           ((uintptr_t)h->a.p + (is_paid ? 0 : HEAD_BYTES)) % LOOP_ALIGN) {
        x_byte(&h->a, 0x90);
    }
    if (is_paid) { /* by the block before, which goes on here */
        (void)host_stub_new(h, STUB_HEAD, NULL);
    } else {
        h->bb[k].head = h->a.p;
        host_pay(h, k, 0);
    }
    h->bb[k].paid = h->a.p;
    host_emit_ops(h, 0);
}

/* The rest of a block once more, with a look into the TLB for each access. */
static void emit_rest(JitHost *h, const Stub *s)
{
    memcpy(h->val, s->point->val, h->m->nids * sizeof h->val[0]);
    memset(h->group, 0, h->m->nids * sizeof h->group[0]);
    h->away = s->point->away;
    h->raws = s->point->raws;
    h->boxed = s->point->boxed;
    h->words = (Set){0};
    h->dirty = s->dirty;
    for (unsigned i = 1; i < h->m->nids; i++) {
        h->stored[i] = s->point->q;
    }
    h->is_rest = h->is_apart = true;
    host_emit_ops(h, s->point->q);
    if (h->b == h->m->bb[h->k].unrolled && h->bb[h->k].tail) {
        host_look_all(h);
        host_fix_later(h, x_jmp(&h->a), h->k, FIX_TAIL);
    }
    h->is_rest = h->is_apart = false;
}

static void emit_stub(JitHost *h, const Stub *s)
{
    Asm *a = &h->a;
    if (s->fix) {
        x_fix(s->fix, a->p);
    }
    if (s->fix2) {
        x_fix(s->fix2, a->p);
    }
    h->k = s->k;
    h->b = s->b;
    if (s->is_counted && (s->kind == STUB_EXIT || s->kind == STUB_EDGE || s->kind == STUB_REST)) {
        host_emit_unwindowed(h, s);
        host_count_leave(h, s->k);
    }
    switch (s->kind) {
    case STUB_SLOW:
        host_emit_slow(h, s);
        break;
    case STUB_EXIT:
        host_look(h, &s->raws);
        write_back(h, &s->dirty);
        give_back(h, s->give);
        exit_to(h, s->k, s->number, s->pc);
        break;
    case STUB_EDGE:
        host_look(h, &s->raws);
        edge_to(h, s->number, s->give);
        break;
    case STUB_BUDGET:
        host_site_to_rcx(h, s->site);
        leave(h, h->budget);
        break;
    case STUB_FEW:
        emit_few(h, s);
        break;
    case STUB_TAIL:
        host_look(h, &s->raws);
        x_alumi(a, W, G_ADD, RBP, AT(budget), (int32_t)s->give);
        host_fix_later(h, x_jmp(a), s->k, FIX_TAIL);
        break;
    case STUB_SOFT:
        host_emit_soft(h, s);
        break;
    case STUB_NAN:
        host_emit_nan(h, s);
        break;
    case STUB_ADDEND:
        host_emit_addend(h, s);
        break;
    case STUB_ENTRY:
        host_emit_entry(h, s);
        break;
    case STUB_WINDOW:
        host_emit_window(h, s);
        break;
    case STUB_LOOK: /* what goes on if it finds nothing is the next */
        host_emit_look(h, s, &h->stubs.items[s->number]);
        break;
    case STUB_REST:
        emit_rest(h, s);
        mem_free(s->point);
        break;
    case STUB_HEAD:
        h->bb[s->k].head = a->p;
        host_pay(h, s->k, 0);
        host_fix_later(h, x_jmp(a), s->k, FIX_PAID);
        break;
    case STUB_HEAT:
        host_pointer_to(h, RAX, RELOC_BLOCK, 0);
        leave(h, h->heat);
        break;
    }
}

/* The code by which a block is entered from outside: what is live comes into its registers. */
static void emit_entry(JitHost *h, unsigned k)
{
    Asm *a = &h->a;
    while (((uintptr_t)a->p & 15)) {
        x_byte(a, 0x90);
    }
    h->bb[k].entry = a->p;
    if (!h->m->is_region) {
        host_pointer_to(h, RAX, RELOC_HEAT, k); /* host_redirect writes over this */
        x_alumi(a, 0, G_SUB, RAX, 0, 1);
        host_stub_new(h, STUB_HEAT, x_jcc(a, CC_S));
    }
    if (h->m->is_flat) {
        x_rm(a, W, X_LOAD, FLAT_REG, RBP, h->m->is_ranged ? AT(flat_addend) : AT(window_addend));
    }
    SET_EACH(i, &h->m->bb[k].live)
    {
        host_load_home(h, i);
    }
    if (k) { /* else its block follows */
        host_fix_later(h, x_jmp(a), k, FIX_HEAD);
    }
}

/* ---- the table of targets ---- */
enum { MAX_TABLE = 256 };

static uint64_t table_index(const JitHost *h, uint64_t pc)
{
    return pc >> 1 & (h->ntable - 1);
}

/* Large enough that no two share an entry, if that is not too large. */
static void table_plan(JitHost *h)
{
    bool has_two = true;
    h->ntable = 1;
    while (h->ntable < h->m->ntargets) {
        h->ntable *= 2;
    }
    while (has_two) {
        uint64_t seen[MAX_TABLE / 64] = {0};
        has_two = false;
        for (unsigned k = 0; k < h->m->nbbs; k++) {
            uint64_t i = table_index(h, h->m->bb[k].b->gva);
            has_two |= h->m->bb[k].is_target && seen[i / 64] >> i % 64 & 1;
            seen[i / 64] |= h->m->bb[k].is_target ? 1ull << i % 64 : 0;
        }
        has_two = has_two && h->ntable < MAX_TABLE;
        h->ntable *= has_two ? 2 : 1;
    }
}

static void emit_table(JitHost *h)
{
    Asm *a = &h->a;
    while (((uintptr_t)a->p & 15)) {
        x_byte(a, 0);
    }
    for (size_t i = 0; i < h->tables.n; i++) {
        x_fix(h->tables.items[i], a->p);
    }
    for (uint64_t i = 0; i < h->ntable; i++) {
        uint64_t pc = i ? 0 : 2; /* as JUMP_FREE */
        const uint8_t *head = NULL;
        for (unsigned k = 0; k < h->m->nbbs; k++) {
            if (h->m->bb[k].is_target && table_index(h, h->m->bb[k].b->gva) == i) {
                pc = h->m->bb[k].b->gva;
                head = h->bb[k].head;
            }
        }
        x_imm64(a, pc);
        x_imm64(a, 0);
        if (head) {
            host_reloc(h, RELOC_HERE, a->p - 8, host_at(h, head));
        }
    }
}

static void emit_units_blocks(JitHost *h)
{
    for (unsigned k = 0; k < h->m->nbbs; k++) {
        h->bb[k] = (BbAt){0};
        head_site(h, k);
    }
    for (unsigned k = h->m->nbbs; k-- > 0;) {
        if (h->m->bb[k].is_entry || !h->m->is_region) {
            emit_entry(h, k);
        }
    }
    for (unsigned k = 0; k < h->m->nbbs; k++) {
        emit_block(h, k);
    }
    for (unsigned k = 0; k < h->m->nbbs; k++) {
        if (h->m->bb[k].unrolled) {
            host_emit_unrolled(h, k);
        } else if (h->m->bb[k].count.last) {
            host_emit_counted(h, k);
        }
    }
}

static const uint8_t *fix_target(const BbAt *at, FixKind kind)
{
    switch (kind) {
    case FIX_HEAD:
        return at->head;
    case FIX_PAID:
        return at->paid;
    case FIX_UNROLLED:
        return at->unrolled;
    case FIX_TAIL:
        return at->tail;
    case FIX_COUNT:
        return at->count;
    }
    return NULL;
}

bool jit_unit_emit(JitHost *h)
{
    h->sites.n = h->entries.n = h->exits.n = h->relocs.n = h->stubs.n = h->fixes.n = 0;
    h->tables.n = 0;
    table_plan(h);
    host_places_plan(h);
    emit_units_blocks(h);
    h->hot_end = host_at(h, h->a.p);
    for (size_t i = 0; i < h->stubs.n; i++) { /* which may add stubs */
        Stub s = h->stubs.items[i];
        emit_stub(h, &s);
    }
    h->code_end = host_at(h, h->a.p);
    h->table_bytes = h->tables.n ? (uint32_t)(h->ntable * sizeof(JumpEntry)) : 0;
    if (h->tables.n) {
        emit_table(h);
    }
    for (size_t i = 0; i < h->fixes.n && !h->a.is_full; i++) {
        const Fix *f = &h->fixes.items[i];
        x_fix(f->at, fix_target(&h->bb[f->to], f->kind));
    }
    return !h->a.is_full;
}
