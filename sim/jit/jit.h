/* SPDX-License-Identifier: Apache-2.0
 * jit.h - the engine that makes host code of the slot IR. It knows slots and never registers of a guest.
 *
 * A block becomes code when it is prepared. Slots that are used most live in host registers; a value is written back to the frame
 * only where somebody may look, by a side table of that place (ir.h P2). Code is written through one mapping and run
 * through another: no page is writable and executable at once.
 *
 * There is one where JIT_HAS_HOST is defined: x86-64 hosts. */
#ifndef SIM_JIT_JIT_H
#define SIM_JIT_JIT_H

#include "sim/ir/ir.h"

#if defined(__x86_64__)
#define JIT_HAS_HOST 1
extern const Engine engine_jit;
extern const Engine engine_hybrid; /* a block is run from its IR a few times before code is made of it */
/* The same, but a block moves on when it runs for the second time: for tests. */
extern const Engine engine_jit_eager, engine_hybrid_eager;
#endif
#endif
