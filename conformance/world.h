/* SPDX-License-Identifier: Apache-2.0
 * world.h - the inside of a World (story.h): what story.c needs to start vcpus and to read the doorbell.
 *
 * The kit. Every case gets, beside its own code, a few pages of ours: the doorbell (an address that nothing answers;
 * code that runs off its end rings it: `done`), exception vectors that report a trap and wait, page tables, a stack per
 * vcpu. x86_64   doorbell: OUT to ports 0xf4 (done) and 0xf5 (trap), AL, one byte. No register is changed. riscv64
 * doorbell: `sb zero, 0x100(zero)` done, 0x108 trap: page 0 is a hole. No register is changed. aarch64  doorbell: `strb
 * wzr, [x17]` at 0x100 done, 0x108 trap; x17 (IP1, the veneer register of AAPCS64 6.1.1) is changed by running off the
 * end, and only by that. Traps and interrupts enter the kit's vectors; `on_irq:` in the code is the interrupt vector
 * where it exists. */
#ifndef CONFORMANCE_WORLD_H
#define CONFORMANCE_WORLD_H

#include "conformance/story.h"

typedef struct {
    const char *name;        /* region, "code", "kit", "stack".. */
    uint64_t at, size_bytes; /* whole pages */
    uint32_t flags;          /* MAP_x, LOG_DIRTY included */
    const uint8_t *bytes;    /* initial contents of the first nbytes; the rest is `fill` */
    size_t nbytes;
    uint8_t fill;
    bool is_coalesced;
} WorldRam;
const WorldRam *world_rams(const World *w, size_t *n); /* ascending, not overlapping; holes are not among them */
typedef struct {
    RegId reg;
    uint64_t value; /* of REG_SIZE(reg) <= 8 bytes */
} WorldReg;
/* State at entry of vcpu `index` for the case's `start`, in the order to set it: mode, tables, stack, pc last. GPRs
 * that are not listed are 0. The case's own `regs` and `entry` are included. Appended to out (VEC). */
typedef VEC(WorldReg) WorldRegs;
MUST_USE int world_entry(const World *w, unsigned index, WorldRegs *out, Err *err);
uint64_t world_entry_pc(const World *w, unsigned index);

typedef enum { RING_NONE, RING_DONE, RING_TRAP } Ring;
Ring world_ring(const World *w, const VmExit *e);
typedef struct {
    uint64_t cause; /* riscv64 scause, x86 vector, aarch64 ESR.EC */
    uint64_t addr;  /* stval, CR2, FAR; valid where has_addr */
    uint64_t code;  /* x86 error code, aarch64 ESR.ISS */
    uint64_t pc;    /* of the instruction that trapped */
    bool has_addr, has_code;
    uint64_t frame; /* x86: where the saved RIP lies */
} WorldTrap;
/* Reads what the vectors saw, after RING_TRAP and before its reply. */
MUST_USE int world_trap_read(const World *w, Vcpu *v, WorldTrap *out, Err *err);
/* After the trap's reply: makes the return go to the next instruction (skip) or to the same one again. Must be called
 * between vcpu_reply of the ring and the next run. */
MUST_USE int world_trap_return(const World *w, Vcpu *v, const WorldTrap *t, bool skip, Err *err);
/* Length of the instruction at addr, from the images (0 = cannot tell): turns a given pc_before into pc_after and back.
 */
unsigned world_insn_len(const World *w, uint64_t addr);
void world_disasm(const World *w, uint64_t addr, unsigned ninsns, uint64_t mark, Buf *out); /* annotated lines */
/* An interrupt by its neutral word or number for this guest; -ERR_INVAL lists the words. level NONE: edge. */
MUST_USE int world_event(GuestId guest, const char *word, const uint64_t *number, const uint64_t *level, Event *out,
                         Err *err);

/* Appends what its riscv64 code needs and isa has not, "zcb (c.lbu at line 12)", and is true; else false (isa.h). */
bool world_lacks(const World *w, const char *isa, Buf *out);

/* ---- causes of traps by neutral word (cause.c) ---- */
bool cause_known(const char *word);
const char *cause_nearest(const char *word);
bool cause_matches(GuestId guest, const char *word, const WorldTrap *t);
const char *cause_word(GuestId guest, const WorldTrap *t); /* "store_page_fault"; NULL: none fits */
#endif
