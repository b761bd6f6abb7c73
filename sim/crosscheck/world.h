/* SPDX-License-Identifier: Apache-2.0
 * world.h - internal: a program on an engine, from one point to the next. */
#ifndef SIM_CROSSCHECK_WORLD_H
#define SIM_CROSSCHECK_WORLD_H

#include "sim/base/mem.h"
#include "sim/crosscheck/crosscheck.h"
#include "sim/softmmu/softmmu.h"

typedef struct {
    Frame f;
    uint64_t r[CROSS_REGS];
    uint64_t fp_flags, fp_rm;
} CrossFrame;
#define CROSS_REG(n)   ((Slot)(offsetof(CrossFrame, r) + 8u * (n)))
#define CROSS_FP_FLAGS ((Slot)offsetof(CrossFrame, fp_flags))
#define CROSS_FP_RM    ((Slot)offsetof(CrossFrame, fp_rm))
enum { HELP_HASH, HELP_CHECK, HELP_PEEK, HELP_POKE, HELP_FLAGS, HELP_COUNT, HELP_ROUND, CROSS_HELPERS };

typedef enum { POINT_SLICE, POINT_TRAP, POINT_STOP, POINT_SYNC, POINT_OUT, POINT_END, POINT_BROKEN } PointKind;
typedef struct {
    PointKind kind;
    uint64_t pc, insns, cause, value, reason, imm, io; /* io: hash of what devices have seen */
} Point;

void world_begin(World *w, const Program *p);
void world_step(World *w, Point *out); /* POINT_BROKEN: world_fault says which rule of ir.h */
void world_end(World *w);              /* code is released */
const char *world_fault(const World *w);
const CrossFrame *world_frame(const World *w);
const uint8_t *world_memory(const World *w, size_t *n);
uint8_t world_dirty(World *w); /* of the page that is logged */
const IrGuest *world_guest(const World *w);

/* A part of a block: n instructions from `first`. CUT ends with a jmp to what follows, ALONE with a sync and may touch devices;
 * the whole rest keeps its terminator. ops has room. */
typedef enum { PART_REST, PART_CUT, PART_ALONE } PartKind;
void block_part(const IrBlock *from, uint32_t first, uint32_t n, PartKind kind, IrBlock *out, IrOp *ops);
#endif
