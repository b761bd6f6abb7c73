/* SPDX-License-Identifier: Apache-2.0
 * kit.h - private to world.c, kit.c and kit_<isa>.c: what each guest ISA brings into a World.
 *
 * The base block, one piece of RAM per case, from KitOps.base (real mode: base_real, small enough for 16-bit
 * addresses): +0         vectors, descriptors, page tables; written by the kit +KIT_CODE  the case's code, then the
 * doorbell, then fragments and literal pools, then a stack per vcpu, growing down +KIT_RAM   `ram` of 1 MiB, unless the
 * case declares memory of its own Regions without `at` follow at base + KIT_REGIONS, a guard page between any two;
 * holes likewise at KIT_HOLES. */
#ifndef CONFORMANCE_KIT_H
#define CONFORMANCE_KIT_H

#include "conformance/world.h"

enum {
    KIT_PAGE = 0x1000,
    KIT_CODE = 0x20000,
    KIT_CODE_REAL = 0x6000,
    KIT_STACK_BYTES = 0x4000,
    KIT_STACK_BYTES_REAL = 0x1000,
    KIT_RAM = 0x800000,
    KIT_RAM_BYTES = 0x100000,
    KIT_REGIONS = 0x1000000
};
#define KIT_HOLES 0xd0000000ull
enum { KIT_TRAP_REGS = 3 };
enum { KIT_BELL_DONE = 0x100, KIT_BELL_TRAP = 0x108 }; /* riscv64, aarch64: addresses in page 0 */
enum { KIT_PORT_DONE = 0xf4, KIT_PORT_TRAP = 0xf5 };   /* x86_64 */

typedef struct {
    const char *name;
    uint64_t va, to, size_bytes, pte; /* pte: where the leaf entry of the first page lies; filled by map_page */
    uint32_t flags;                   /* MAP_x */
    bool is_user;
} KitPage;
typedef struct {
    uint8_t *image; /* code_offset bytes, zeroed, at guest address base */
    uint64_t base, code_offset;
    StartKind start;
    uint64_t tables_end; /* offset of the first page that no table uses yet */
    uint64_t on_irq;     /* address of the label; valid where has_on_irq */
    bool has_on_irq;
    uint64_t stack_top; /* of vcpu 0 */
} Kit;
typedef struct {
    GuestId guest;
    uint64_t base;                        /* of the base block, for start kernel paged user */
    uint64_t base_real;                   /* for start real; 0 = start real is not of this guest */
    uint32_t starts;                      /* 1 << START_x for each that this guest has */
    const char *no_machine;               /* why START_machine is not among them */
    ExitKind bell;                        /* the doorbell: a write of one byte that exits so.. */
    uint64_t bell_done, bell_trap;        /* ..at one of these */
    const char *trap_regs[KIT_TRAP_REGS]; /* read at a trap, for `trap` */
    const char *return_reg;               /* where a trap returns to; NULL: trap_return writes it */
    const char *done;                     /* assembly text that rings the doorbell for ever */
    const uint8_t *done_bytes;
    size_t ndone_bytes;
    unsigned code_align;                           /* of the doorbell after bytes given as hex */
    int (*tables)(Kit *k, Err *err);               /* vectors excepted, as they need labels: page tables, descriptors */
    int (*map_page)(Kit *k, KitPage *p, Err *err); /* adds a mapping of whole pages */
    int (*vectors)(Kit *k, Err *err);
    void (*entry)(const Kit *k, uint64_t pc, uint64_t sp, WorldRegs *out);                /* a start of `starts` */
    int (*trap)(const Kit *k, Vcpu *v, const uint64_t *values, WorldTrap *out, Err *err); /* values of trap_regs */
    int (*trap_return)(const Kit *k, Vcpu *v, const WorldTrap *t, uint64_t pc, Err *err); /* NULL: return_reg */
} KitOps;
enum { KIT_STARTS_ALL = 1 << START_kernel | 1 << START_paged | 1 << START_user }; /* those of every guest */
extern const KitOps kit_x86_64, kit_riscv64, kit_aarch64;
void kit_put(Kit *k, uint64_t offset, uint64_t value, unsigned nbytes);
uint64_t kit_get64(const Kit *k, uint64_t offset);
/* A zeroed page for a table; -ERR_LIMIT when the kit's room is used up. */
int kit_table_new(Kit *k, uint64_t *offset, Err *err);
/* 0, or why the guest cannot start so. */
int kit_start_check(const KitOps *ops, StartKind start, Err *err);
/* What world_ring, world_trap_read and the skip of world_trap_return do. */
Ring kit_ring(const KitOps *ops, const VmExit *e);
int kit_trap_read(const KitOps *ops, const Kit *k, Vcpu *v, WorldTrap *out, Err *err);
int kit_trap_return(const KitOps *ops, const Kit *k, Vcpu *v, const WorldTrap *t, uint64_t pc, Err *err);
void kit_reg(WorldRegs *out, GuestId guest, const char *name, uint64_t value);
/* One register of at most 8 bytes, by name. */
int kit_reg_get(Vcpu *v, const char *name, uint64_t *value, Err *err);
int kit_reg_set(Vcpu *v, const char *name, uint64_t value, Err *err);
#endif
