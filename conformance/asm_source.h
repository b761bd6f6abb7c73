/* SPDX-License-Identifier: Apache-2.0
 * asm_source.h - what is given to LLVM for a text: one line of ours in front (dialect,
 * definitions), then the text, with the uses of definitions renamed that LLVM would misread (see
 * asm_scan.h). Maps places back to the text. */
#ifndef CONFORMANCE_ASM_SOURCE_H
#define CONFORMANCE_ASM_SOURCE_H

#include "conformance/asm.h"

#define ASM_ALIAS "$conf" /* `dev` becomes `dev$conf`; asm_obj.c knows it */

typedef struct {
    uint32_t line, col; /* in the text: the suffix stands in front of this column */
} AsmShift;
typedef struct {
    Buf text;
    VEC(AsmShift) shifts; /* ascending */
} AsmSource;
/* -ERR_INVAL with *diag filled: a 0 byte in the text, a definition's name that is no identifier. */
MUST_USE int asm_source_build(const AsmInput *in, AsmSource *source, AsmDiag *diag);
void asm_source_free(AsmSource *source);
/* Line and column of source->text to those of the text; line 0 for our own line. */
void asm_source_place(const AsmSource *source, uint32_t *line, uint32_t *col);
#endif
