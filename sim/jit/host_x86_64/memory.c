/* SPDX-License-Identifier: Apache-2.0
 * memory.c - loads, stores and fences: the TLB in line (softmmu.h), C behind it. */
#include "sim/jit/host_x86_64/host.h"
#include "sim/softmmu/softmmu.h"

/* rax = gva */
static void gva_to_rax(JitHost *h, const IrOp *o)
{
    Opnd base = opnd(h, o->a);
    if (base.kind == O_IMM) {
        x_movi(&h->a, RAX, base.imm + (uint64_t)o->imm);
    } else if (!is_s32((uint64_t)o->imm)) {
        x_movi(&h->a, RAX, (uint64_t)o->imm);
        alu(h, W, X_ADD, RAX, o->a);
    } else if (base.kind == O_REG && o->imm) {
        x_rm(&h->a, W, X_LEA, RAX, base.reg, (int32_t)o->imm);
    } else {
        opnd_to(h, RAX, base);
        if (o->imm) {
            x_alui(&h->a, W, G_ADD, RAX, (int32_t)o->imm);
        }
    }
}

/* rax = gva; rcx = addend of the entry that it hits. rdx is lost. */
static uint8_t *tlb_check(JitHost *h, unsigned size_bytes, bool is_write)
{
    Asm *a = &h->a;
    int32_t table = is_write ? (int32_t)sizeof(TlbEntry) * TLB_ENTRIES : 0;
    _Static_assert(sizeof(TlbEntry) == 16, "the index is scaled by it");
    x_rr(a, 0, X_LOAD, RCX, RAX);
    x_shift(a, 0, G_SHR, RCX, MMU_PAGE_BITS - 4);
    x_alui(a, 0, G_AND, RCX, (TLB_ENTRIES - 1) << 4);
    if (size_bytes > 1) {
        x_rm(a, W, X_LEA, RDX, RAX, (int32_t)size_bytes - 1);
    } else {
        x_mov(a, RDX, RAX);
    }
    x_alui(a, W, G_AND, RDX, -(1 << MMU_PAGE_BITS));
    x_rm(a, W, X_OR, RDX, RBP, AT(tlb_key));
    x_rx(a, W, X_CMP, RDX, R15, RCX, 0, table);
    uint8_t *fix = x_jcc(a, CC_NE);
    x_rx(a, W, X_LOAD, RCX, R15, RCX, 0, table + (int32_t)offsetof(TlbEntry, addend));
    return fix;
}

static bool has_fast_path(const IrOp *o)
{
    return !(o->aux & (MEM_ALIGNED | MEM_FETCHLIKE)) && !MEM_REGIME_OF(o->aux);
}

static void call_slow(JitHost *h, uint32_t site)
{
    site_to_rcx(h, site);
    jump_out(h, x_call(&h->a), h->slow[h->m->has_fpr]);
}

/* Behind the unit: what the TLB does not have. */
void emit_slow(JitHost *h, const Stub *s)
{
    if (s->is_store) {
        opnd_to(h, RDX, s->value);
    }
    call_slow(h, s->site);
    if (!s->is_store) {
        x_mov(&h->a, s->reg, RAX);
    }
    x_fix(x_jmp(&h->a), s->back);
}

static size_t slow_stub(JitHost *h, const IrOp *o, uint8_t *fix, unsigned reg)
{
    uint32_t site = site_new(h, h->q);
    Stub *s = stub_new(h, STUB_SLOW, fix);
    s->site = site;
    s->reg = (uint8_t)reg;
    s->is_store = o->op == IR_st;
    if (s->is_store) {
        s->value = opnd(h, o->b);
    }
    return h->stubs.n - 1;
}

void emit_load(JitHost *h, const IrOp *o)
{
    static const uint32_t opc[8] = {X_MOVZX8, X_MOVZX16, X_LOAD, X_LOAD, X_MOVSX8, X_MOVSX16, X_MOVSXD, X_LOAD};
    host_kill(h, o->d);
    gva_to_rax(h, o);
    if (!has_fast_path(o)) {
        call_slow(h, site_new(h, h->q));
        fin(h, o->d, RAX);
        return;
    }
    unsigned lg2 = MEM_LG2(o->aux), d = dst(h, o->d);
    bool is_signed = o->aux & MEM_SIGNED;
    size_t stub = slow_stub(h, o, tlb_check(h, 1u << lg2, false), d);
    x_rx(&h->a, lg2 == 3 || is_signed ? W : 0, opc[lg2 | (is_signed ? 4 : 0)], d, RCX, RAX, 0, 0);
    h->stubs.items[stub].back = h->a.p;
    fin(h, o->d, d);
}

void emit_store(JitHost *h, const IrOp *o)
{
    unsigned lg2 = MEM_LG2(o->aux);
    gva_to_rax(h, o);
    if (!has_fast_path(o)) {
        gpr_to(h, RDX, o->b);
        call_slow(h, site_new(h, h->q));
        return;
    }
    size_t stub = slow_stub(h, o, tlb_check(h, 1u << lg2, true), 0);
    unsigned r = gpr(h, o->b, RDX);
    if (lg2 == 1) {
        x_byte(&h->a, 0x66);
    }
    x_rx(&h->a, lg2 == 3 ? W : lg2 == 0 ? BYTE : 0, lg2 ? X_STORE : X_STORE8, r, RCX, RAX, 0, 0);
    h->stubs.items[stub].back = h->a.p;
}

/* x86-64 orders all but a store before a load that follows it (SDM 3, 9.2.2). */
void emit_fence(JitHost *h, const IrOp *o)
{
    if (o->aux == ORD_SEQ_CST) {
        x_byte(&h->a, 0xf0); /* lock or dword [rsp + unused], 0: sooner done than mfence */
        x_alumi(&h->a, 0, G_OR, RSP, ON_STACK(unused), 0);
    }
}
