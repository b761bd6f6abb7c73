/* SPDX-License-Identifier: Apache-2.0
 * kit_x86_64.c - entry state, descriptors, vectors and page tables of x86_64 guests (SDM 3A: 2.5 control
 * registers, 3.4.5 descriptors, 4.5 four-level paging, 6.14 64-bit interrupts, 21.1 real-address mode). */
#include "conformance/kit.h"

#include <stdio.h>

enum { GDT = 0, TSS = 0x100, IDT = 0x1000, STUBS = 0x2000, PML4 = 0x3000, PDPT = 0x4000, PD = 0x5000, TABLES = 0x9000 };
enum { STUB_BYTES = 16, NVECTORS = 256, TSS_BYTES = 0x68, NGDT = 8 };
enum { SEL_CODE64 = 0x08, SEL_DATA = 0x10, SEL_CODE32 = 0x18, SEL_UDATA = 0x23, SEL_UCODE = 0x2b, SEL_TSS = 0x30 };
enum {
    ATTR_CODE64 = 0xa09b,
    ATTR_DATA = 0xc093,
    ATTR_CODE32 = 0xc09b,
    ATTR_UCODE = 0xa0fb,
    ATTR_UDATA = 0xc0f3,
    ATTR_TSS = 0x8b,
    ATTR_CODE16 = 0x9b,
    ATTR_DATA16 = 0x93,
    ATTR_LDT_NONE = 0x82
};
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64, PTE_PS = 128 };
#define PTE_NX        (1ull << 63)
#define PTE_ADDR      0x000ffffffffff000ull
#define CR0_PROTECTED 0x11ull       /* PE ET */
#define CR0_LONG      0x80010033ull /* PG WP NE ET MP PE */
#define CR4_LONG      0x620ull      /* PAE OSFXSR OSXMMEXCPT */
#define EFER_LONG     0xd01ull      /* NXE LMA LME SCE */

/* Vectors that push an error code: 8, 10 to 14, 17, 21, 29, 30 (SDM 3A table 6-1) */
#define HAS_CODE 0x60227d00u

static const uint8_t done_bytes[] = {0xe6, KIT_PORT_DONE, 0xeb, 0xfc};

static bool is_long(StartKind start)
{
    return start == START_kernel || start == START_paged || start == START_user;
}

static int tables(Kit *k, Err *err)
{
    (void)err;
    k->tables_end = TABLES;
    static const uint64_t gdt[NGDT] = {
        0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
    for (uint64_t i = 0; i < NGDT; i++) {
        kit_put(k, GDT + 8 * i, gdt[i], 8);
    }
    uint64_t tss = k->base + TSS;
    kit_put(k, GDT + SEL_TSS, 0x0000890000000000 | (TSS_BYTES - 1) | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56,
            8);
    kit_put(k, GDT + SEL_TSS + 8, tss >> 32, 8);
    kit_put(k, TSS + 102, TSS_BYTES, 2); /* no I/O permission map */
    if (!is_long(k->start)) {
        return 0;
    }
    uint64_t flags = PTE_P | PTE_W | PTE_A | PTE_D | (k->start == START_user ? PTE_U : 0);
    kit_put(k, PML4, (k->base + PDPT) | PTE_P | PTE_W | PTE_U | PTE_A, 8);
    for (uint64_t i = 0; i < 4; i++) { /* 4 GiB, identity, 2 MiB each */
        kit_put(k, PDPT + 8 * i, (k->base + PD + i * KIT_PAGE) | PTE_P | PTE_W | PTE_U | PTE_A, 8);
    }
    for (uint64_t i = 0; i < 4 * 512; i++) {
        kit_put(k, PD + 8 * i, i << 21 | flags | PTE_PS, 8);
    }
    return 0;
}

static int next_table(Kit *k, uint64_t offset, unsigned level, uint64_t *table, Err *err)
{
    uint64_t entry = kit_get64(k, offset);
    if ((entry & PTE_P) && !(entry & PTE_PS)) {
        *table = (entry & PTE_ADDR) - k->base;
        return 0;
    }
    int rc = kit_table_new(k, table, err);
    if (rc) {
        return rc;
    }
    uint64_t leaf = level == 2 ? entry & ~(uint64_t)PTE_PS : entry; /* level 1 has no PS bit */
    for (uint64_t i = 0; (entry & PTE_P) && i < 512; i++) {
        kit_put(k, *table + 8 * i, leaf + (i << (12 + 9 * (level - 2))), 8);
    }
    kit_put(k, offset, (k->base + *table) | PTE_P | PTE_W | PTE_U | PTE_A, 8);
    return 0;
}

static int map_page(Kit *k, KitPage *p, Err *err)
{
    if (!is_long(k->start)) {
        return err_set(err, ERR_INVAL, "page %s: pages need start: kernel, paged or user", p->name);
    }
    if ((int64_t)(p->va << 16) >> 16 != (int64_t)p->va) {
        return err_set(err, ERR_INVAL, "page %s: va 0x%llx is not canonical", p->name, (unsigned long long)p->va);
    }
    for (uint64_t done = 0; done < p->size_bytes; done += KIT_PAGE) {
        uint64_t va = p->va + done, table = PML4;
        for (unsigned level = 4; level > 1; level--) {
            int rc = next_table(k, table + 8 * (va >> (3 + 9 * level) & 511), level, &table, err);
            if (rc) {
                return rc;
            }
        }
        uint64_t leaf = (p->to + done) | PTE_P | PTE_A | PTE_D;
        leaf |= (p->flags & MAP_W ? PTE_W : 0) | (p->is_user ? PTE_U : 0) | (p->flags & MAP_X ? 0 : PTE_NX);
        uint64_t at = table + 8 * (va >> 12 & 511);
        kit_put(k, at, p->flags & MAP_R ? leaf : 0, 8);
        p->pte = done ? p->pte : k->base + at;
    }
    return 0;
}

/* A stub: [push 0 unless the CPU pushed a code] out 0xf5, al; drop the code; return. Which one it was shows in RIP. */
static void stub(Kit *k, unsigned vector)
{
    uint64_t at = STUBS + vector * STUB_BYTES;
    bool is_real = k->start == START_real, has_code = vector < 32 && (HAS_CODE >> vector & 1);
    uint64_t push = is_real ? 0x9090 : has_code ? 0x9066 : 0x006a; /* nops, or push 0 */
    kit_put(k, at, push | (uint64_t)0xe6 << 16 | (uint64_t)KIT_PORT_TRAP << 24, 4);
    if (is_real) {
        kit_put(k, at + 4, 0xcf, 1);
    } else if (k->start == START_protected) {
        kit_put(k, at + 4, 0xcf04c483, 4); /* add esp, 4; iret */
    } else {
        kit_put(k, at + 4, 0xcf4808c48348, 6); /* add rsp, 8; iretq */
    }
}

static int vectors(Kit *k, Err *err)
{
    kit_put(k, TSS + 4, k->stack_top - KIT_STACK_BYTES / 2, 8); /* RSP0: where traps of user code push */
    for (unsigned i = 0; i < NVECTORS; i++) {
        uint64_t to = i >= 32 && k->has_on_irq ? k->on_irq : k->base + STUBS + i * STUB_BYTES;
        stub(k, i);
        if (k->start == START_real) {
            if (to >> 16) {
                return err_set(err, ERR_LIMIT, "on_irq lies above 64 KiB, out of a real-mode vector's reach");
            }
            kit_put(k, IDT + 4 * i, to, 4);
        } else if (k->start == START_protected) {
            kit_put(k, IDT + 8 * i, (to & 0xffff) | SEL_CODE32 << 16 | 0x8e00ull << 32 | (to >> 16 & 0xffff) << 48, 8);
        } else {
            kit_put(k, IDT + 16 * i, (to & 0xffff) | SEL_CODE64 << 16 | 0x8e00ull << 32 | (to >> 16 & 0xffff) << 48, 8);
            kit_put(k, IDT + 16 * i + 8, to >> 32, 8);
        }
    }
    return 0;
}

static void segment(WorldRegs *out, const char *name, uint64_t selector, uint64_t base, uint64_t limit, uint64_t attr)
{
    char field[32];
    const struct {
        const char *name;
        uint64_t value;
    } parts[] = {{"selector", selector}, {"base", base}, {"limit", limit}, {"attr", attr}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(field, sizeof field, "%s.%s", name, parts[i].name);
        kit_reg(out, GUEST_x86_64, field, parts[i].value);
    }
}

static void segments(const Kit *k, WorldRegs *out)
{
    static const char *const data[] = {"ds", "es", "fs", "gs", "ss"};
    bool is_real = k->start == START_real, is_user = k->start == START_user;
    uint64_t limit = is_real ? 0xffff : 0xffffffff;
    if (is_real) {
        segment(out, "cs", 0, 0, limit, ATTR_CODE16);
    } else if (k->start == START_protected) {
        segment(out, "cs", SEL_CODE32, 0, limit, ATTR_CODE32);
    } else {
        segment(out, "cs", is_user ? SEL_UCODE : SEL_CODE64, 0, limit, is_user ? ATTR_UCODE : ATTR_CODE64);
    }
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        uint64_t selector = is_real ? 0 : is_user ? SEL_UDATA : SEL_DATA;
        segment(out, data[i], selector, 0, limit, is_real ? ATTR_DATA16 : is_user ? ATTR_UDATA : ATTR_DATA);
    }
    segment(out, "tr", is_real ? 0 : SEL_TSS, k->base + TSS, TSS_BYTES - 1, ATTR_TSS);
    segment(out, "ldtr", 0, 0, 0xffff, ATTR_LDT_NONE);
    kit_reg(out, GUEST_x86_64, "gdtr.base", k->base + GDT);
    kit_reg(out, GUEST_x86_64, "gdtr.limit", 8 * NGDT - 1);
    kit_reg(out, GUEST_x86_64, "idtr.base", k->base + IDT);
    kit_reg(out, GUEST_x86_64, "idtr.limit", is_real ? 0x3ff : is_long(k->start) ? 0xfff : 0x7ff);
}

static void entry(const Kit *k, uint64_t pc, uint64_t sp, WorldRegs *out)
{
    segments(k, out);
    if (is_long(k->start)) {
        kit_reg(out, GUEST_x86_64, "cr3", k->base + PML4);
        kit_reg(out, GUEST_x86_64, "cr4", CR4_LONG);
        kit_reg(out, GUEST_x86_64, "msr.efer", EFER_LONG);
        kit_reg(out, GUEST_x86_64, "cr0", CR0_LONG);
    } else {
        kit_reg(out, GUEST_x86_64, "cr4", 0);
        kit_reg(out, GUEST_x86_64, "msr.efer", 0);
        kit_reg(out, GUEST_x86_64, "cr0", k->start == START_real ? 0x10 : CR0_PROTECTED);
    }
    /* IOPL 3 lets user code ring the doorbell. */
    kit_reg(out, GUEST_x86_64, "rflags", k->start == START_user ? 0x3002 : 2);
    kit_reg(out, GUEST_x86_64, "rsp", sp);
    kit_reg(out, GUEST_x86_64, "rip", pc);
}

static int trap(const Kit *k, Vcpu *v, const uint64_t *values, WorldTrap *out, Err *err)
{
    uint64_t vector = (values[0] - k->base - STUBS) / STUB_BYTES;
    if (vector >= NVECTORS) {
        return err_set(err, ERR_FAULT, "the trap port was written outside the kit's vectors, at pc 0x%llx",
                       (unsigned long long)values[0]);
    }
    uint8_t frame[16] = {0};
    unsigned word = k->start == START_real ? 2 : k->start == START_protected ? 4 : 8;
    /* In real mode the frame starts with IP; elsewhere with the error code, then EIP or RIP. */
    unsigned skip = word == 2 ? 0 : word;
    int rc = vm_mem_read(vcpu_vm(v), (Gpa){values[1]}, frame, skip + word, err);
    if (rc) {
        return rc;
    }
    Cursor c = cursor_of(frame, sizeof frame);
    *out = (WorldTrap){.cause = vector, .addr = values[2], .has_addr = vector == 14};
    out->has_code = vector < 32 && word != 2 && (HAS_CODE >> vector & 1);
    out->code = skip ? cursor_le(&c, skip) : 0;
    out->pc = cursor_le(&c, word);
    out->frame = values[1] + skip;
    return 0;
}

static int trap_return(const Kit *k, Vcpu *v, const WorldTrap *t, uint64_t pc, Err *err)
{
    Buf b = {0};
    buf_le(&b, pc, k->start == START_real ? 2 : k->start == START_protected ? 4 : 8);
    int rc = vm_mem_write(vcpu_vm(v), (Gpa){t->frame}, b.data, b.n, err);
    buf_free(&b);
    return rc;
}

const KitOps kit_x86_64 = {
    .guest = GUEST_x86_64,
    .base = 0x100000,
    .base_real = 0x1000,
    .starts = KIT_STARTS_ALL | 1 << START_real | 1 << START_protected,
    .no_machine = "no backend here starts at the reset vector",
    .bell = EXIT_io_write,
    .bell_done = KIT_PORT_DONE,
    .bell_trap = KIT_PORT_TRAP,
    .trap_regs = {"rip", "rsp", "cr2"},
    .done = ".byte 0xe6, 0xf4, 0xeb, 0xfc\n",
    .done_bytes = done_bytes,
    .ndone_bytes = sizeof done_bytes,
    .code_align = 1,
    .tables = tables,
    .map_page = map_page,
    .vectors = vectors,
    .entry = entry,
    .trap = trap,
    .trap_return = trap_return,
};
