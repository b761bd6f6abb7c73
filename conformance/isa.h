/* SPDX-License-Identifier: Apache-2.0
 * isa.h - what a case needs of a riscv64 backend's ISA string (Caps.isa), and where its text shows it. */
#ifndef CONFORMANCE_ISA_H
#define CONFORMANCE_ISA_H

#include "conformance/asm.h"
#include "conformance/scenario.h"

/* Assembled code and the parts of its text, in order. */
typedef struct {
    const AsmOutput *out;
    uint64_t org;
    const CodePart *parts;
    size_t nparts;
} IsaCode;
/* Appends "zcb (c.lbu at line 12)" for the first instruction that needs what isa has not, and is true; else false. What
 * directives put into the text is no instruction here, so that a scenario can try one that nobody has. */
bool isa_code_lacks(const IsaCode *code, const char *isa, Buf *out);
/* The same for what no instruction shows: `needs: [isa: svnapot]`, and the page tables of `start: paged` and `user`. */
bool isa_case_lacks(const Case *c, const char *isa, Buf *out);
#endif
