/* SPDX-License-Identifier: Apache-2.0
 * exts.h - the extensions of riscv64: which an ISA string has, and which an instruction needs.
 *
 * An ISA string is that of the RISC-V unprivileged specification, "ISA Extension Naming Conventions": "rv64imac_zicsr_zba". What
 * follows from a name there (g, b, zks; c of zca) is had as well; versions ("m2p0") and letters' case do not count; a name that
 * is not known here is passed over. Names of extensions are in small letters: "zba", "svnapot", "h", "sv48".
 * All THREAD-SAFE; nothing here can fail, whatever the text or the bytes. */
#ifndef SIM_GUEST_EXTS_H
#define SIM_GUEST_EXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool exts_isa_has(const char *isa, const char *name);
const char *exts_name(size_t i); /* the names that exts_isa_has knows, one after the other; NULL past the last */

typedef struct {
    size_t at;     /* offset of the instruction */
    char insn[24]; /* its mnemonic as assemblers write it, "c.lbu", "rdcycle" */
    char need[48]; /* "zcb", "zbb or zbkb", "zcb and m" */
} ExtsLack;
/* The first instruction of code[0..n) that needs what isa has not. What is no instruction of the decode tables needs nothing:
 * nobody can say what it would need. An access to a CSR needs what that CSR is of. */
bool exts_code_lacks(const char *isa, const uint8_t *code, size_t n, ExtsLack *out);
#endif
