/* SPDX-License-Identifier: Apache-2.0
 * asm_obj.h - turns the relocatable ELF64 object of the assembler into a flat image at a fixed
 * address.
 *
 * Only .text is loaded; another section with contents is an error. Every offset, size and index of
 * the object is checked although our own assembler wrote it: it came from another process.
 * Relocations follow the psABI documents: System V ABI AMD64 supplement section 4.4, RISC-V ELF
 * psABI chapter 8.4, ELF for the Arm 64-bit Architecture section 5.7. */
#ifndef CONFORMANCE_ASM_OBJ_H
#define CONFORMANCE_ASM_OBJ_H

#include "conformance/asm.h"

enum { ASM_NAME_MAX = 256 };
typedef struct {
    GuestId guest;
    const void *bytes; /* the object */
    size_t n;
    uint64_t org;
    const AsmSymbol *defs; /* for symbols that the object leaves undefined */
    size_t ndefs;
    size_t max_bytes;
} AsmObj;
typedef struct {
    char message[ASM_NAME_MAX + 96];
    char symbol[ASM_NAME_MAX]; /* that the message is about, "" if none */
} AsmObjError;
/* Fills out->bytes, out->labels and out->data. -ERR_INVAL or -ERR_LIMIT with *bad filled; *out is then empty.
 */
MUST_USE int asm_obj_flatten(const AsmObj *obj, AsmOutput *out, AsmObjError *bad);

typedef struct {
    uint32_t type;  /* R_<guest>_x */
    uint8_t *at;    /* the field */
    size_t room;    /* bytes from there to the image's end */
    uint64_t place; /* its address */
    uint64_t value; /* symbol + addend; for R_RISCV_PCREL_LO12_x the distance of the matching HI20 */
} AsmReloc;
/* NULL, or what is wrong ("is out of reach of the instruction"). */
const char *asm_reloc_apply(GuestId guest, const AsmReloc *r);
#endif
