/* SPDX-License-Identifier: Apache-2.0
 * rig.h - for tests of the JIT: a guest of a few registers and one page of memory, blocks of it at random, and an oracle that runs
 * them op after op by the evaluator. A test makes a block (or a Program of several that jump to each other), fills the guest,
 * and asks whether engine and oracle agree. Whatever touches another page traps. */
#ifndef SIM_JIT_RIG_H
#define SIM_JIT_RIG_H

#include "sim/jit/jit_int.h"
#include "sim/softmmu/softmmu.h"

#ifdef JIT_HAS_HOST
enum {
    NREGS = 20, /* more than there are host registers */
    PAGE = 0x10000,
    BUDGET = 1000,
    GVA = 0x4000,
    BLOCK_BYTES = 0x100, /* from a block to the next */
    TARGET = 0x9000,
    INSN_BYTES = 4,
    CAUSE = 13,
};
typedef struct {
    Frame f;
    uint64_t r[NREGS], fp_flags, fp_rm;
} RigFrame;
#define R(n) ((Slot)(offsetof(RigFrame, r) + 8u * (n))) /* its slot */

typedef struct {
    RigFrame *f, *oracle;
    Space *space;
    Mmu *mmu;
    void *engine;
    uint64_t random;
    uint8_t memory[SPACE_PAGE_BYTES], oracle_memory[SPACE_PAGE_BYTES];
    JumpEntry jump[1 << JUMP_BITS];
    IrOp ops[IR_BLOCK_MAX_OPS];
    IrBlock block;
    const Engine *kind;
    int64_t budget;    /* at the head of the block */
    uint64_t ntargets; /* side exits go to blocks; 0: to nowhere */
    uint64_t nothers;  /* of loop_test.c: registers that the loop does not go on by */
    bool has_churn;    /* blocks are released and prepared anew now and then */
    IrBuild build;
    Slot temp[4]; /* of the instruction being made */
    unsigned ntemps;
} Rig;

extern const IrGuest rig_guest;

Rig *rig_open_with(const Engine *kind, uint64_t seed);
/* The same, of another guest with the same registers, and with a store (Engine.recall), which may be NULL. */
Rig *rig_open_of(const Engine *kind, const IrGuest *guest, CodeStore *store, uint64_t seed);
void rig_close(Rig *g);

/* ---- at random, by the rig's seed ---- */
enum { NCORNERS = 19 };
extern const uint64_t corners[NCORNERS];
uint64_t rnd(Rig *g, uint64_t below); /* 0 to below - 1 */
int64_t constant(Rig *g);             /* often a corner, or small */
int64_t target(Rig *g);               /* of a jump */
void operands(Rig *g, IrOp *op, unsigned nsrc);
IrOp pure_op(Rig *g, Slot d);
IrOp fp_op(Rig *g);
/* An instruction: pure ops into temporaries, then one op that writes a register, or may raise an event. */
void insn(Rig *g);
void fill(Rig *g); /* registers, and what the engine may use of the TLB */

/* ---- engine against oracle: same registers, memory, exit, pc, budget and FP flags ---- */
/* Rig.block, made anew and entered once. Prints both sides, and the block, if they differ. */
bool block_agrees(Rig *g);

enum { MAX_BLOCKS = 6, LOOPS = 40 };
typedef struct {
    IrBlock block[MAX_BLOCKS];
    IrOp ops[MAX_BLOCKS][IR_BLOCK_MAX_OPS];
    void *code[MAX_BLOCKS];
    uint64_t n;
} Program;
void prepare(Rig *g, Program *p); /* what is not there; if there is no room, all goes first */
void release(Rig *g, Program *p);
/* Entered at block `first`; exits are linked and now and then taken back, as the dispatcher does. */
bool program_agrees(Rig *g, Program *p, uint64_t first, int64_t budget);
#endif
#endif
