/* SPDX-License-Identifier: Apache-2.0
 * crosscheck.h - are two engines (ir.h) the same machine? Programs of random IR blocks are made, run by both, and compared at
 * every point at which an engine has no choice; what differs is made small and shown. For tests and fuzzing.
 *
 * A PROGRAM is up to CROSS_BLOCKS blocks with the registers they begin with. The branches of one go to the beginnings of others,
 * to itself, or out. What the dispatcher does between (lengths of slices, which exits it links, when it throws code away,
 * flushes, changes the address space) comes from one number in it, so a program is a whole test case.
 * A WORLD is a vcpu with memory around one engine, and a small dispatcher, written anew after ir.h so that it has none of
 * sim/exec's habits: it links, unlinks, cuts, and runs instructions alone.
 * POINTS. Where an exit that is not linked is left, or a jump cache missed, is between engine and dispatcher. The end of a
 * slice, a trap, a stop and a sync are not: there the registers, pc, retired instructions, memory and what devices saw must
 * be equal, bit for bit. That each Left is what ir.h allows is checked at every one.
 * THE ORACLE is an engine that does op after op with ir_eval and ir_eval_fp, and every access by the slow path. */
#ifndef SIM_CROSSCHECK_CROSSCHECK_H
#define SIM_CROSSCHECK_CROSSCHECK_H

#include "sim/ir/ir.h"
#include "sim/sim.h"

enum {
    CROSS_BLOCKS = 6,
    CROSS_REGS = 16,
    CROSS_BASES = 12, /* registers from here on hold addresses, mostly */
    CROSS_BLOCK_BYTES = 0x100,
    CROSS_CODE = 0x4000,    /* gva of block 0 */
    CROSS_OUT = 0x9000,     /* gva of no block */
    CROSS_WINDOW = 0x10000, /* gva of the first of CROSS_PAGES pages of all kinds (world.c) */
    CROSS_PAGES = 16,
};

/* ---- choices: random, or a fuzzer's bytes ---- */
typedef struct {
    uint64_t random; /* state; used if bytes is NULL */
    const uint8_t *bytes;
    size_t n;
} Choices;
uint64_t choose(Choices *c, uint64_t below); /* below is not 0; 0 when the bytes have run out */
uint64_t choose_u64(Choices *c);
uint64_t choose_operand(Choices *c); /* an integer as programs have them: small, near a power of two, all ones, any */
uint64_t choose_fp_slot(Choices *c); /* a number of any format, boxed or not, of any class */

/* ---- programs ---- */
typedef struct {
    unsigned nblocks;
    IrBlock block[CROSS_BLOCKS];
    IrOp op[CROSS_BLOCKS][IR_BLOCK_MAX_OPS]; /* block[i].op */
    uint64_t reg[CROSS_REGS], fp_flags, fp_rm;
    uint64_t schedule;
    uint64_t insns;       /* to retire */
    uint32_t slice_insns; /* at most */
    bool is_linked;
} Program;
typedef enum { CROSS_RISCV, CROSS_SSE, CROSS_ARM, CROSS_GUESTS } CrossGuest; /* of what their FP modes differ in */
const IrGuest *cross_guest(CrossGuest g);
/* Random blocks. */
void program_random(Program *p, Choices *c);
/* One block that does the op with these bits of aux, on random operands, a few times. false: there is no such op. */
bool program_of_op(Program *p, Choices *c, IrOpcode op, uint16_t aux);
void program_print(const Program *p, const IrGuest *g, Buf *out);

/* ---- worlds ---- */
extern const Engine engine_oracle;
/* The engines of engines.def, then variants of them that get hot at once; NULL: not on this host. */
enum { CROSS_ENGINES = SIM_ENGINES + 3 };
const Engine *cross_engine(unsigned n);
typedef struct World World;
World *world_new(const Engine *engine, CrossGuest guest, bool is_optimised);
void world_recall(World *w, struct CodeStore *s); /* before its first program; s outlives it */
void world_free(World *w);
const char *world_name(const World *w);

/* Runs the program in both; true: they agree. Else *why says how they differ. */
bool cross_agrees(World *a, World *b, const Program *p, Buf *why);
/* As cross_agrees; a program that differs is made as small as it still differs, printed, and left in *p. */
bool cross_check(World *a, World *b, Program *p, Buf *report);
#endif
