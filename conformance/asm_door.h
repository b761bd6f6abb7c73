/* SPDX-License-Identifier: Apache-2.0
 * asm_door.h - opens the module conf-llvm.so, and runs its assembler in a child process with
 * limits.
 *
 * The module is $CONF_LLVM_MODULE, or else the first of
 *   <folder of the program>/../<libdir>/conf/conf-llvm.so                 installed
 *   <folder of the program>/conformance/llvm/conf-llvm.so                 build tree
 *   <folder of the program>/../conformance/llvm/conf-llvm.so              build tree, programs of a
 * module It is never closed. A text is assembled in a fork: a text may ask for any amount of memory
 * and time (.rept, .fill, .org), LLVM may abort on it, and no directive may open a file; the child
 * is limited in memory, time and open files, so that none of this reaches the caller. A fork is
 * needed even for harmless looking texts, as macros can build directives. Not thread-safe: asm.c
 * locks. */
#ifndef CONFORMANCE_ASM_DOOR_H
#define CONFORMANCE_ASM_DOOR_H

#include "conformance/asm.h"
#include "conformance/llvm/conf_llvm.h"

/* NULL with *err (-ERR_UNAVAILABLE, names the package). Loads at the first call. */
const ConfLlvm *asm_door_open(Err *err);
/* Assembles source into object (appended). -ERR_INVAL: *diag, its place counted in source;
 * -ERR_LIMIT, -ERR_HOST: err. */
MUST_USE int asm_door_assemble(GuestId guest, const Buf *source, size_t max_object, Buf *object, AsmDiag *diag,
                               Err *err);
#endif
