/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/riscv64/double/rig.h"

#include "sim/guest/riscv64/double/exec_double.h"

#include <string.h>

void rig_open(Rig *g, bool is_virt, const char *cpu)
{
    RiscvCpu parsed;
    Err err;
    memset(g, 0, sizeof *g);
    exec_double = (ExecDouble){0};
    if (guest_riscv64.cpu_parse(cpu, &parsed, &err)) {
        __builtin_trap(); /* the test's own text */
    }
    if (is_virt) {
        guest_riscv64.cpu_virt(&parsed);
    }
    guest_riscv64.reset(&g->r.f, &(GuestReset){.is_virt = is_virt, .hw_id = 5, .entry = RIG_PC, .cpu = &parsed});
}

void rig_mode(Rig *g, unsigned priv)
{
    g->r.priv = (uint8_t)priv;
}

uint64_t rig_mem(const Rig *g, uint64_t gva)
{
    uint64_t value;
    memcpy(&value, g->mem + (gva - RIG_BASE), sizeof value);
    return value;
}

void rig_mem_set(Rig *g, uint64_t gva, uint64_t value)
{
    memcpy(g->mem + (gva - RIG_BASE), &value, sizeof value);
}

unsigned rig_translate(Rig *g, uint32_t insn)
{
    uint8_t bytes[4] = {(uint8_t)insn, (uint8_t)(insn >> 8), (uint8_t)(insn >> 16), (uint8_t)(insn >> 24)};
    IrBuild k;
    uint32_t key = guest_riscv64.mode_key(&g->r.f);
    ir_begin(&k, &g->block, g->ops, g->r.f.pc, key);
    Translate t = {.ir = &k, .pc = g->r.f.pc, .mode_key = key, .bytes = bytes, .avail = 4, .cpu = &g->r.cpu};
    if (guest_riscv64.translate(&t) == TR_NEXT) {
        ir_jmp(&k, g->r.f.pc + g->block.nbytes);
    }
    if (ir_verify(&g->block, &guest_riscv64.ir, &g->err)) {
        g->left = RIG_UNSOUND;
        return g->block.insn_row[0];
    }
    ir_optimise(&g->block, &guest_riscv64.ir);
    if (ir_verify(&g->block, &guest_riscv64.ir, &g->err)) {
        g->left = RIG_UNSOUND;
    }
    return g->block.insn_row[0];
}

static uint64_t get(const Rig *g, Slot s)
{
    uint64_t value;
    memcpy(&value, (const char *)&g->r + s, sizeof value);
    return value;
}

static void put(Rig *g, Slot s, uint64_t value)
{
    if (s != IR_ZERO) {
        memcpy((char *)&g->r + s, &value, sizeof value);
    }
}

enum { LG2_8 = 3 };

static bool access_ok(Rig *g, const IrOp *o, uint64_t gva, Access acc)
{
    unsigned size = MEM_SIZE(o->aux);
    bool is_aligned = !(o->aux & MEM_ALIGNED) || !(gva & (size - 1));
    if (is_aligned && gva >= RIG_BASE && gva - RIG_BASE <= RIG_BYTES - size) {
        return true;
    }
    if (is_aligned) {
        guest_riscv64.mmu.bus_fault(&g->r.f, gva, gva, acc, REGIME_M, &g->r.f.trap);
    } else {
        guest_riscv64.mmu.align_fault(&g->r.f, gva, acc, REGIME_M, &g->r.f.trap);
    }
    g->left = RIG_TRAP;
    return false;
}

static uint64_t load(Rig *g, const IrOp *o, uint64_t gva)
{
    uint64_t value = 0;
    unsigned size = MEM_SIZE(o->aux);
    memcpy(&value, g->mem + (gva - RIG_BASE), size);
    g->loads++;
    return o->aux & MEM_SIGNED ? (uint64_t)((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size)) : value;
}

static void store(Rig *g, const IrOp *o, uint64_t gva, uint64_t value)
{
    memcpy(g->mem + (gva - RIG_BASE), &value, MEM_SIZE(o->aux));
    g->stores++;
}

/* Weak: a program that has an engine has its mmu. */
__attribute__((weak)) bool mmu_cas16(Frame *f, uint64_t gva, uint64_t old[2], const uint64_t now[2])
{
    Rig *g = (Rig *)f;
    uint64_t found[2];
    IrOp o = {.aux = LG2_8 | MEM_ALIGNED};
    if (gva & 15) {
        guest_riscv64.mmu.align_fault(f, gva, ACC_WRITE, REGIME_M, &f->trap);
        g->left = RIG_TRAP;
    }
    if (g->left == RIG_TRAP || !access_ok(g, &o, gva, ACC_WRITE)) {
        f->event = EVENT_TRAP;
        return false;
    }
    memcpy(found, g->mem + (gva - RIG_BASE), sizeof found);
    bool is_same = !memcmp(found, old, sizeof found);
    memcpy(g->mem + (gva - RIG_BASE), is_same ? now : found, sizeof found);
    memcpy(old, found, sizeof found);
    return true;
}

__attribute__((weak)) bool mmu_probe(Frame *f, uint64_t gva, Access acc)
{
    f->event = access_ok((Rig *)f, &(IrOp){0}, gva, acc) ? 0 : EVENT_TRAP;
    return !f->event;
}

/* Of the atomics swap, add and cas stand for all: what differs is the engine's. */
static bool memory_op(Rig *g, const IrOp *o)
{
    uint64_t gva = get(g, o->a) + (uint64_t)o->imm, b = get(g, o->b);
    bool is_read = o->op == IR_ld || o->op == IR_lr;
    if (!access_ok(g, o, gva, is_read ? ACC_READ : ACC_WRITE)) {
        return false;
    }
    uint64_t old = load(g, o, gva);
    if (o->op == IR_st || o->op == IR_amo_swap) {
        store(g, o, gva, b);
    } else if (o->op == IR_amo_add) {
        store(g, o, gva, old + b);
    } else if (o->op == IR_amo_cas && !((old ^ b) << (64 - 8 * MEM_SIZE(o->aux)))) {
        store(g, o, gva, get(g, o->c));
    }
    if (o->op != IR_st) {
        put(g, o->d, old);
    }
    return true;
}

/* false: the block is left. */
static bool evaluate(Rig *g, const IrOp *o)
{
    uint64_t a = get(g, o->a), b = get(g, o->b), c = get(g, o->c);
    Frame *f = &g->r.f;
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        put(g, o->d, ir_eval((IrOpcode)o->op, a, b, c, o->imm));
        return true;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        return memory_op(g, o);
    case CLASS_CALL: {
        f->event = 0;
        uint64_t value = guest_riscv64.ir.helpers[o->aux].fn(f, a, b, c, o->imm);
        if (f->event) {
            g->left = RIG_TRAP;
            return false;
        }
        put(g, o->d, value);
        return true;
    }
    case CLASS_SIDE_EXIT:
        g->left = RIG_JUMP;
        f->pc = (uint64_t)o->imm;
        return !ir_cond((IrCond)o->aux, a, b);
    case CLASS_FP: {
        uint32_t flags = (uint32_t)g->r.fflags;
        put(g, o->d, ir_eval_fp(o, a, b, c, (unsigned)g->r.frm, guest_riscv64.ir.fp_mode, &flags));
        g->r.fflags = flags;
        return true;
    }
    case CLASS_FENCE:
        return true;
    case CLASS_TERM:
        break;
    }
    if (o->op == IR_trap) {
        f->trap = (Trap){.cause = (uint64_t)o->imm, .value = a};
        g->left = RIG_TRAP;
        return false;
    }
    g->left = o->op == IR_stop ? RIG_STOP : o->op == IR_sync || o->op == IR_syncr ? RIG_SYNC : RIG_JUMP;
    f->stop_reason = o->aux;
    uint64_t next = o->op == IR_stop ? a : a + (uint64_t)o->imm;
    f->pc = o->op == IR_jmpr && o->aux & JMP_EVEN ? next & ~1ull : next;
    return false;
}

int rig_step(Rig *g, uint32_t insn)
{
    uint64_t pc = g->r.f.pc;
    g->left = RIG_NEXT;
    g->loads = g->stores = 0;
    rig_translate(g, insn);
    if (g->left == RIG_UNSOUND) {
        return RIG_UNSOUND;
    }
    for (uint32_t i = 0; i < g->block.nops && evaluate(g, &g->ops[i]); i++) {
    }
    if (g->left == RIG_TRAP) {
        g->r.f.pc = pc;
        return g->left;
    }
    g->r.f.budget -= 1;
    if (g->left == RIG_JUMP && g->r.f.pc == pc + g->block.nbytes) {
        g->left = RIG_NEXT;
    }
    return g->left;
}
