/* SPDX-License-Identifier: Apache-2.0
 * decode.h - is what the JIT makes code? Every byte of it is decoded by Zydis, which is not ours: it must be whole instructions, of
 * those that the emitter is known to use (allowed.def), with operands that they may have; each jump and call must lead to the
 * beginning of an instruction in the same cache; and so must each entry of a table of jumps, and each jump that is aimed anew.
 *
 * A program that links this is watched (jit.h's jit_watch) from decode_begin to decode_end.
 * THREADS. One at a time; engines on other threads must not make code meanwhile.
 * Zydis, and not LLVM's MC, which the project has for guests' code: LLVM stays in its module beside conformance/, where the tests of sim/
 * do not reach; Zydis gives operands as numbers and not as text, and decodes the code of a test fast enough to look at all of it. */
#ifndef SIM_JIT_DECODE_DECODE_H
#define SIM_JIT_DECODE_DECODE_H

#include "sim/base/buf.h"
#include "sim/jit/jit.h"

bool decode_is_here(void); /* this build has Zydis */
typedef struct {
    uint64_t pieces, insns, bytes, jumps; /* jumps: whose target was looked at, calls among them */
} DecodeTotals;
/* Called with each piece of code when it is found to be right, and how many instructions it has: all, and in its first hot_bytes. */
typedef void DecodeSeen(void *ctx, const JitEvent *e, unsigned ninsns, unsigned nhot);
/* Looks on from now on, at caches that are made from now on. seen NULL: nobody wants to know. is_loud: what is wrong is printed at
 * once too, as it may end the program when it is run next. */
void decode_begin(bool is_loud, DecodeSeen *seen, void *ctx);
/* true: all was right. Else report says what was not, the first few, a line each. */
bool decode_end(DecodeTotals *out, Buf *report);

/* What caches that are made from now on may use of the host: `only` of what it has. UINT32_MAX: all. */
void decode_features(unsigned only);
unsigned decode_host(void); /* what it has: JitFeature bits, once there was an engine */
#endif
