/* SPDX-License-Identifier: Apache-2.0
 * kit_aarch64.c - entry state, vectors and 4 KiB-granule tables of aarch64 guests (Arm ARM D1.3 vectors, D8.3
 * descriptors). */
#include "conformance/kit.h"

enum { ROOT = 0x1000, TABLES = 0x2000 };
enum { VECTOR_BYTES = 0x80, NVECTORS = 16 };
/* Lower attributes: AttrIndx 0, AF; AP[2] read-only, AP[1] EL0; inner shareable. D8.3.1.2 */
#define DESC_VALID 1ull
#define DESC_TABLE 3ull /* level 0 to 2: a table; level 3: a page */
#define DESC_AF    (1ull << 10)
#define DESC_SH    (3ull << 8)
#define DESC_RO    (1ull << 7)
#define DESC_USER  (1ull << 6)
#define DESC_PXN   (1ull << 53)
#define DESC_UXN   (1ull << 54)
#define DESC_ADDR  0x0000fffffffff000ull
/* 39-bit addresses, 4 KiB granule, inner and outer write-back, inner shareable, TTBR1 walks off, 40-bit physical. */
#define TCR         (25ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23 | 25ull << 16 | 2ull << 30 | 2ull << 32)
#define SCTLR_RES1  0x30d00800ull
#define SCTLR_PAGED (SCTLR_RES1 | 1ull | 1ull << 2 | 1ull << 12)
#define PSTATE_EL1H 0x3c5ull /* DAIF masked, EL1h */
#define PSTATE_EL0  0x3c0ull

enum {
    MSR_TPIDR_X17 = (int)0xd518d091,
    MOVZ_X17_TRAP = (int)0xd2802111, /* mov x17, #0x108 */
    STRB_WZR_X17 = 0x3900023f,
    MRS_X17_TPIDR = (int)0xd538d091,
    ERET = (int)0xd69f03e0
};
static const uint8_t done_bytes[] = {0x11, 0x20, 0x80, 0xd2, 0x3f, 0x02, 0x00, 0x39, 0xff, 0xff, 0xff, 0x17};

static int next_table(Kit *k, uint64_t offset, unsigned level, uint64_t *table, Err *err)
{
    uint64_t entry = kit_get64(k, offset);
    if ((entry & DESC_TABLE) == DESC_TABLE) {
        *table = (entry & DESC_ADDR) - k->base;
        return 0;
    }
    int rc = kit_table_new(k, table, err);
    if (rc) {
        return rc;
    }
    uint64_t kind = level == 2 ? DESC_TABLE : DESC_VALID; /* leaves at level 3 are pages, above blocks */
    for (uint64_t i = 0; (entry & DESC_VALID) && i < 512; i++) {
        kit_put(k, *table + 8 * i, (entry & ~DESC_TABLE) + (i << (12 + 9 * (2 - level))) + kind, 8);
    }
    kit_put(k, offset, (k->base + *table) | DESC_TABLE, 8);
    return 0;
}

static int map_page(Kit *k, KitPage *p, Err *err)
{
    if (p->va >> 39) {
        return err_set(err, ERR_INVAL, "page %s: va 0x%llx is outside the 39 bits of TTBR0", p->name,
                       (unsigned long long)p->va);
    }
    for (uint64_t done = 0; done < p->size_bytes; done += KIT_PAGE) {
        uint64_t va = p->va + done, table = ROOT;
        for (unsigned level = 1; level < 3; level++) {
            int rc = next_table(k, table + 8 * (va >> (39 - 9 * level) & 511), level, &table, err);
            if (rc) {
                return rc;
            }
        }
        uint64_t leaf = (p->to + done) | DESC_TABLE | DESC_AF | DESC_SH;
        leaf |= p->flags & MAP_W ? 0 : DESC_RO;
        leaf |= p->flags & MAP_X ? 0 : DESC_PXN | DESC_UXN;
        leaf |= p->is_user ? DESC_USER : 0;
        if (!(p->flags & MAP_R)) {
            leaf = 0;
        }
        uint64_t at = table + 8 * (va >> 12 & 511);
        kit_put(k, at, leaf, 8);
        p->pte = done ? p->pte : k->base + at;
    }
    return 0;
}

static int tables(Kit *k, Err *err)
{
    k->tables_end = TABLES;
    /* Level 1 blocks of 1 GiB, identity. A page that EL0 may write is never executable at EL1 (D8.4.1.1):
     * the vectors have one of their own. */
    uint64_t user = k->start == START_user ? DESC_USER : 0;
    for (uint64_t i = 0; i < 512; i++) {
        kit_put(k, ROOT + 8 * i, i << 30 | DESC_VALID | DESC_AF | DESC_SH | user, 8);
    }
    KitPage vectors = {
        .name = "vectors", .va = k->base, .to = k->base, .size_bytes = KIT_PAGE, .flags = MAP_R | MAP_W | MAP_X};
    return user ? map_page(k, &vectors, err) : 0;
}

static int vectors(Kit *k, Err *err)
{
    for (uint64_t i = 0; i < NVECTORS; i++) {
        uint64_t at = i * VECTOR_BYTES;
        bool is_irq = i % 4 == 1 || i % 4 == 2; /* sync, IRQ, FIQ, SError */
        if (is_irq && k->has_on_irq) {
            int64_t distance = (int64_t)(k->on_irq - (k->base + at));
            if (distance >= 1 << 27 || distance < -(1 << 27)) {
                return err_set(err, ERR_LIMIT, "on_irq is out of a branch's reach");
            }
            kit_put(k, at, 0x14000000u | ((uint32_t)((uint64_t)distance >> 2) & 0x3ffffff), 4);
            continue;
        }
        static const int report[] = {MSR_TPIDR_X17, MOVZ_X17_TRAP, STRB_WZR_X17, MRS_X17_TPIDR, ERET};
        for (uint64_t j = 0; j < ARRAY_LEN(report); j++) {
            kit_put(k, at + 4 * j, (uint32_t)report[j], 4);
        }
    }
    return 0;
}

static void entry(const Kit *k, uint64_t pc, uint64_t sp, WorldRegs *out)
{
    bool is_paged = k->start != START_kernel;
    kit_reg(out, GUEST_aarch64, "vbar_el1", k->base);
    kit_reg(out, GUEST_aarch64, "cpacr_el1", 3u << 20); /* FP and SIMD do not trap */
    if (is_paged) {
        kit_reg(out, GUEST_aarch64, "mair_el1", 0xff); /* index 0: normal, write-back */
        kit_reg(out, GUEST_aarch64, "tcr_el1", TCR);
        kit_reg(out, GUEST_aarch64, "ttbr0_el1", k->base + ROOT);
        kit_reg(out, GUEST_aarch64, "sctlr_el1", SCTLR_PAGED);
    }
    kit_reg(out, GUEST_aarch64, "sp_el1", k->start == START_user ? k->stack_top - KIT_STACK_BYTES / 2 : sp);
    kit_reg(out, GUEST_aarch64, "sp_el0", sp);
    kit_reg(out, GUEST_aarch64, "pstate", k->start == START_user ? PSTATE_EL0 : PSTATE_EL1H);
    kit_reg(out, GUEST_aarch64, "pc", pc);
}

static int trap(const Kit *k, Vcpu *v, const uint64_t *values, WorldTrap *out, Err *err)
{
    (void)k;
    (void)v;
    (void)err;
    *out = (WorldTrap){.cause = values[0] >> 26 & 0x3f,
                       .code = values[0] & 0x1ffffff,
                       .addr = values[1],
                       .pc = values[2],
                       .has_addr = true,
                       .has_code = true};
    return 0;
}

const KitOps kit_aarch64 = {
    .guest = GUEST_aarch64,
    .base = 0x40000000,
    .starts = KIT_STARTS_ALL,
    .no_machine = "no backend here runs EL2 or EL3",
    .bell = EXIT_mmio_write,
    .bell_done = KIT_BELL_DONE,
    .bell_trap = KIT_BELL_TRAP,
    .trap_regs = {"esr_el1", "far_el1", "elr_el1"},
    .return_reg = "elr_el1",
    .done = ".balign 4\nmov x17, #0x100\nstrb wzr, [x17]\nb .-4\n",
    .done_bytes = done_bytes,
    .ndone_bytes = sizeof done_bytes,
    .code_align = 4,
    .tables = tables,
    .map_page = map_page,
    .vectors = vectors,
    .entry = entry,
    .trap = trap,
};
