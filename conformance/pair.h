/* SPDX-License-Identifier: Apache-2.0
 * pair.h - a backend that is two: every operation goes to both, and what they answer is held against each other. Whoever
 * drives it (a story, the image loop of diff.c) need not know.
 *
 * Where both count instructions, run() goes in windows of so many instructions and compares all registers that both have
 * between them; where one cannot (KVM), from exit to exit, and only GPR, FP, VEC and pc, as the others show the host's
 * time. A store that awaits its answer is not looked at, as looking settles it (W3): what it did is seen after the next window.
 *
 * POSITION. Of a vcpu: the instructions of all run() calls so far, in units of their budgets. The same calls give the same
 * positions, which makes a second pass with smaller windows possible.
 * THREADS. As a Backend; a Pair is set up before and read after the VM lives. */
#ifndef CONFORMANCE_PAIR_H
#define CONFORMANCE_PAIR_H

#include "accel/accel.h"
#include "sim/base/mem.h"

#include <pthread.h>

typedef struct { /* one of the two; all borrowed */
    const Backend *backend;
    const char *shown;         /* "sim-interp:max_block_insns=1" */
    const char *options, *cpu; /* of VmConfig; NULL = none, or what the driver says */
} PairSide;

typedef enum { APART_NOT, APART_ANSWER, APART_EXIT, APART_REGS, APART_RAM } ApartKind;
typedef struct { /* where the two went apart */
    ApartKind kind;
    uint8_t vcpu;
    uint64_t start, end; /* equal at start; apart at end. end - start is 1, or the window */
    Buf text;            /* several lines: what differs */
    bool has_pc;
    uint64_t pc; /* at start */
    uint8_t code[16];
    size_t ncode; /* bytes at pc; 0 = not to be had */
} Apart;

typedef struct Pair Pair;
typedef struct {
    PairSide side[2];
    GuestId guest;
    uint64_t window; /* at most so many instructions between two looks, > 0 */
    uint64_t from;   /* no look before this position */
    uint64_t until;  /* the end of the pass */
    int vcpu; /* from and until are of this one, the others are only held against each other at exits; -1 = all */
    bool compares_ram; /* at each look too, not only at the end */
    bool wants_code;   /* where they are apart, of the instruction at code_pc: what pair_code tells */
    uint64_t code_pc;
} PairConfig;
Pair *pair_new(const PairConfig *cfg);
void pair_free(Pair *p);
const Backend *pair_backend(const Pair *p); /* lives as long as p */
/* After the VM is closed. */
const Apart *pair_apart(const Pair *p);
bool pair_is_over(const Pair *p);           /* apart, or until was reached: every run() since then has failed */
bool pair_counts(const Pair *p);            /* instructions; known once the backend was opened */
uint64_t pair_position(const Pair *p);      /* the furthest that a vcpu came */
uint64_t pair_nexits(const Pair *p);        /* compared */
void pair_history(const Pair *p, Buf *out); /* the last exits, a line each */
/* The pc and code of what was to be run when a vcpu was last looked at, as in Apart; false: nobody looked, or it is not known. */
bool pair_last(const Pair *p, Apart *out);
/* What a side's ctl "sim.code" answered, as it is; empty: it has none. */
const Buf *pair_code(const Pair *p, unsigned side);
#endif
