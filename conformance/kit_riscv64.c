/* SPDX-License-Identifier: Apache-2.0
 * kit_riscv64.c - entry state, vectors and Sv39 tables of riscv64 guests (Privileged ISA: 10.1 supervisor CSRs, 10.4
 * Sv39). With start: machine there are vectors for M-mode, and those of S-mode for what the case delegates; a trap is read from the
 * level that took it. */
#include "conformance/kit.h"

enum { ROOT = 0x1000, TABLES = 0x2000 };
enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_A = 64, PTE_D = 128 };
/* Vectors, at an offset of the base: slots, and at +TRAP what reports a trap and returns. */
enum { TVEC_VECTORED = 1, NSLOTS = 16, TRAP = 0x80, VECTORS_S = 0, VECTORS_M = 0x100 };
enum { SB_TRAP = 0x10000423, SRET = 0x10200073, MRET = 0x30200073 }; /* sb zero, 0x108(zero) */
enum { PRIV_U, PRIV_S, PRIV_M = 3, PRIV_VS = 5 };                    /* as the register priv */
#define SATP_SV39   (8ull << 60)
#define SSTATUS_SUM (1ull << 18)

static const uint8_t done_bytes[] = {0x23, 0x00, 0x00, 0x10, 0x6f, 0xf0, 0xdf, 0xff};

/* The table that the entry at `offset` points to; a leaf there is split into 512 leaves of the next level. */
static int next_table(Kit *k, uint64_t offset, unsigned level, uint64_t *table, Err *err)
{
    uint64_t entry = kit_get64(k, offset);
    if ((entry & PTE_V) && !(entry & (PTE_R | PTE_W | PTE_X))) {
        *table = (entry >> 10 << 12) - k->base;
        return 0;
    }
    int rc = kit_table_new(k, table, err);
    if (rc) {
        return rc;
    }
    for (uint64_t i = 0; (entry & PTE_V) && i < 512; i++) {
        kit_put(k, *table + 8 * i, entry + (i << (10 + 9 * (level - 1))), 8);
    }
    kit_put(k, offset, (k->base + *table) >> 12 << 10 | PTE_V, 8);
    return 0;
}

static int map_page(Kit *k, KitPage *p, Err *err)
{
    if (p->va >> 38 && p->va >> 38 != 0x3ffffff) {
        return err_set(err, ERR_INVAL, "page %s: va 0x%llx is not canonical in Sv39", p->name,
                       (unsigned long long)p->va);
    }
    for (uint64_t done = 0; done < p->size_bytes; done += KIT_PAGE) {
        uint64_t va = p->va + done, table = ROOT;
        for (unsigned level = 2; level > 0; level--) {
            int rc = next_table(k, table + 8 * (va >> (12 + 9 * level) & 511), level, &table, err);
            if (rc) {
                return rc;
            }
        }
        uint64_t leaf = (p->to + done) >> 12 << 10 | PTE_V | PTE_A | PTE_D;
        leaf |= (p->flags & MAP_R ? PTE_R : 0) | (p->flags & MAP_W ? PTE_W : 0) | (p->flags & MAP_X ? PTE_X : 0);
        leaf |= p->is_user ? PTE_U : 0;
        uint64_t at = table + 8 * (va >> 12 & 511);
        kit_put(k, at, leaf, 8);
        p->pte = done ? p->pte : k->base + at;
    }
    return 0;
}

static int tables(Kit *k, Err *err)
{
    k->tables_end = TABLES;
    uint64_t user = k->start == START_user ? PTE_U : 0;
    /* The lower half of the root: 256 gigapages, identity */
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t leaf = i << 28 | PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D | user;
        kit_put(k, ROOT + 8 * i, leaf, 8);
    }
    /* S-mode runs no page of the user's, whatever SUM says (12.3.1): the vectors have one of their own. */
    KitPage vectors = {
        .name = "vectors", .va = k->base, .to = k->base, .size_bytes = KIT_PAGE, .flags = MAP_R | MAP_W | MAP_X};
    return user ? map_page(k, &vectors, err) : 0;
}

static uint32_t jal_zero(int64_t distance) /* Unprivileged ISA 2.5.1 */
{
    uint32_t d = (uint32_t)distance;
    return (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xff) << 12 | 0x6f;
}

/* Vectored mode (10.1.2): exceptions enter at BASE, interrupt n at BASE + 4 n. Direct mode needs only the first. */
static int vectors_at(Kit *k, uint64_t offset, bool has_on_irq, uint32_t ret, Err *err)
{
    for (unsigned i = 0; i < NSLOTS; i++) {
        uint64_t to = i && has_on_irq ? k->on_irq : k->base + offset + TRAP;
        int64_t distance = (int64_t)(to - (k->base + offset + 4 * i));
        if (distance >= 1 << 20 || distance < -(1 << 20)) {
            return err_set(err, ERR_LIMIT, "on_irq lies more than 1 MiB behind the start of the code");
        }
        kit_put(k, offset + 4 * i, jal_zero(distance), 4);
    }
    kit_put(k, offset + TRAP, SB_TRAP, 4);
    kit_put(k, offset + TRAP + 4, ret, 4);
    return 0;
}

/* on_irq is of the level that the case starts in. */
static int vectors(Kit *k, Err *err)
{
    bool is_machine = k->start == START_machine;
    int rc = vectors_at(k, VECTORS_S, k->has_on_irq && !is_machine, SRET, err);
    return rc || !is_machine ? rc : vectors_at(k, VECTORS_M, k->has_on_irq, MRET, err);
}

static void entry(const Kit *k, uint64_t pc, uint64_t sp, WorldRegs *out)
{
    bool is_machine = k->start == START_machine, is_paged = k->start == START_paged || k->start == START_user;
    /* Vectored only where the case has interrupts: KVM sends the traps that it redirects to stvec as it is, mode and all. */
    uint64_t s_mode = k->has_on_irq && !is_machine ? TVEC_VECTORED : 0;
    kit_reg(out, GUEST_riscv64, "stvec", (k->base + VECTORS_S) | s_mode);
    if (is_machine) { /* mstatus, mie, medeleg, mideleg are 0 after reset, or the case's own */
        kit_reg(out, GUEST_riscv64, "mtvec", (k->base + VECTORS_M) | TVEC_VECTORED);
    } else {
        kit_reg(out, GUEST_riscv64, "sstatus", is_paged ? SSTATUS_SUM : 0);
        kit_reg(out, GUEST_riscv64, "sie", 0);
    }
    if (is_paged) {
        kit_reg(out, GUEST_riscv64, "satp", SATP_SV39 | (k->base + ROOT) >> 12);
    }
    kit_reg(out, GUEST_riscv64, "sp", sp);
    kit_reg(out, GUEST_riscv64, "priv", is_machine ? PRIV_M : k->start == START_user ? PRIV_U : PRIV_S);
    kit_reg(out, GUEST_riscv64, "pc", pc);
}

/* Of the level that took a trap; NULL: S-mode, whose registers the kit has read. */
typedef struct {
    const char *cause, *addr, *pc;
} TrapRegs;

static const TrapRegs *regs_of(uint64_t priv)
{
    static const TrapRegs of_m = {"mcause", "mtval", "mepc"}, of_vs = {"vscause", "vstval", "vsepc"};
    return priv == PRIV_M ? &of_m : priv == PRIV_VS ? &of_vs : NULL;
}

static int trap(const Kit *k, Vcpu *v, const uint64_t *values, WorldTrap *out, Err *err)
{
    uint64_t priv = PRIV_S;
    int rc = 0;
    *out = (WorldTrap){.cause = values[0], .addr = values[1], .pc = values[2], .has_addr = true};
    if (k->start == START_machine) {
        rc = kit_reg_get(v, "priv", &priv, err);
    }
    const TrapRegs *regs = regs_of(priv);
    if (!rc && regs) {
        rc = kit_reg_get(v, regs->cause, &out->cause, err);
        rc = rc ? rc : kit_reg_get(v, regs->addr, &out->addr, err);
        rc = rc ? rc : kit_reg_get(v, regs->pc, &out->pc, err);
    }
    return rc;
}

static int trap_return(const Kit *k, Vcpu *v, const WorldTrap *t, uint64_t pc, Err *err)
{
    uint64_t priv = PRIV_S;
    (void)t;
    int rc = k->start == START_machine ? kit_reg_get(v, "priv", &priv, err) : 0;
    const TrapRegs *regs = regs_of(priv);
    return rc ? rc : kit_reg_set(v, regs ? regs->pc : "sepc", pc, err);
}

const KitOps kit_riscv64 = {
    .guest = GUEST_riscv64,
    .base = 0x80000000,
    .starts = KIT_STARTS_ALL | 1 << START_machine,
    .bell = EXIT_mmio_write,
    .bell_done = KIT_BELL_DONE,
    .bell_trap = KIT_BELL_TRAP,
    .trap_regs = {"scause", "stval", "sepc"},
    .done = ".balign 4\nsb zero, 0x100(zero)\n.word 0xffdff06f\n",
    .done_bytes = done_bytes,
    .ndone_bytes = sizeof done_bytes,
    .code_align = 4,
    .tables = tables,
    .map_page = map_page,
    .vectors = vectors,
    .entry = entry,
    .trap = trap,
    .trap_return = trap_return,
};
