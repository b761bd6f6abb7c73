/* SPDX-License-Identifier: Apache-2.0
 * machine.h - a vcpu with RAM and one engine, for R2: the emitter, or the interpreter with whole blocks or with blocks of one
 * instruction. A page can be taken away or turned into a device, at the n-th access to it. */
#ifndef SIM_R2_MACHINE_H
#define SIM_R2_MACHINE_H

#include "sim/r2/r2.h"

#define R2_INIT (R2_RAM + 0xf00) /* where every program begins, and where it stops */
#define R2_LAST (R2_RAM + 0xf80)
typedef struct {
    const char *name;
    R2Blocks blocks, singles; /* singles: each instruction as a block */
} Program;
void program_load(Program *p, const char *dir, const char *name); /* ends the process with a sentence if it cannot */
void program_free(Program *p);

typedef enum { KIND_JIT, KIND_INTERP, KIND_INTERP1, KIND_NATIVE } Kind;
typedef struct {
    Kind kind;
    const Program *program;
    R2Frame *f;
    Space *space;
    uint8_t *ram;
    Jit *jit;
    void *interp, *parts; /* parts: for blocks that are run once */
    void **code;          /* of the interpreter, by block */
    bool is_paged;
    JumpForm jump;
    /* what is injected */
    uint64_t bad_page, device_page; /* virtual; 0: none; never in the TLB */
    uint32_t bad_access;
    unsigned skip;        /* so many accesses to the page are let through to its RAM */
    unsigned alones_left; /* run returns after so many accesses to the device */
    uint64_t io_hash;
    /* seen */
    unsigned long nios, ncuts, nalones;
} Machine;
Machine *machine_new(Kind kind, const Program *p, const JitConfig *cfg);
void machine_free(Machine *m);
void machine_reset(Machine *m); /* frame only */
/* At most n instructions: LEFT_BUDGET, LEFT_STOP, LEFT_EVENT with EVENT_TRAP, or EVENT_ALONE when alones_left is used up. */
Left machine_run(Machine *m, uint64_t n);
/* Takes the page (0: none) away for this access, or makes it the device, after `skip` accesses; what was before is undone. */
void machine_inject(Machine *m, uint64_t bad_page, uint32_t access, uint64_t device_page, unsigned skip);
uint64_t machine_insns(const Machine *m);
#endif
