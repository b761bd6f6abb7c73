/* SPDX-License-Identifier: Apache-2.0
 * asm.h - guest assembler and disassembler: LLVM 19 behind a small door.
 *
 * LLVM costs 49 MB and milliseconds to load, so it lives in a module of its own (libdir/conf/conf-llvm.so), opened at the
 * first snippet that the cache does not hold. Assembled snippets are cached by content hash under
 * $XDG_CACHE_HOME/conf/asm (default ~/.cache/conf/asm), whole files only, checked when read; a cache that cannot be
 * written is not an error. The only files that include llvm-c/ are conformance/llvm/.
 * A text may use 4 s of processor time and 256 MiB, and reads no files (.include, .incbin are refused): it is
 * assembled in a child process with limits. Environment: CONF_LLVM_MODULE names another module; CONF_NO_CACHE=1
 * leaves the cache alone.
 * All functions are THREAD-SAFE (one lock around LLVM). Never call before the worker servers have forked. */
#ifndef CONFORMANCE_ASM_H
#define CONFORMANCE_ASM_H

#include "accel/accel.h"
#include "sim/base/mem.h"

typedef struct {
    const char *name;
    uint64_t value;
} AsmSymbol;
typedef struct {
    GuestId guest;
    /* The dialects: x86_64 Intel syntax without prefixes, .code64 at start; comments are //, statements end at ; or a
     * line end, on every guest. No compressed RISC-V instructions, no linker relaxation (.option rvc allows the former).
     * riscv64 pseudo-instructions use base instructions unless the text itself needs Zba, Zbb, Zbs, Zbkb or Zicfi*. In
     * .code16, LLVM encodes call and ret with a 32-bit operand (66 prefix). A branch to a symbol of defs takes its long
     * form (riscv64 beqz: bnez over j). Macro arguments that name a symbol of defs as a branch target are not seen. */
    const char *text;
    size_t n;
    uint64_t org;          /* address of the first byte */
    const AsmSymbol *defs; /* absolute symbols that the text may use */
    size_t ndefs;
    size_t max_bytes; /* -ERR_LIMIT above; 0 = 16 MiB */
} AsmInput;
typedef VEC(AsmSymbol) AsmSymbols;
typedef struct {
    uint64_t at, n; /* offset and length in the image, bytes */
} AsmSpan;
typedef struct {
    Buf bytes;
    AsmSymbols labels; /* of the text, absolute (org added), ascending; names owned by this output */
    /* What directives (.word, .zero) put there, and no instruction did: ascending, apart. riscv64 and aarch64, whose objects say
     * so by mapping symbols (RISC-V ELF psABI, "Mapping Symbol"; AAELF64 5.5.5). */
    VEC(AsmSpan) data;
    bool was_cached;
} AsmOutput;
typedef struct { /* first error of the assembler, counted from 1 within the text */
    uint32_t line, col;
    char message[256]; /* "invalid operand for instruction" */
    uint32_t nmore;    /* further errors */
} AsmDiag;
/* -ERR_INVAL: *diag says where (line 0: no place); -ERR_UNAVAILABLE: the module or LLVM is not there, err says which
 * package; -ERR_LIMIT. Relocations against the text itself are applied; one against an unknown symbol is -ERR_INVAL
 * "undefined symbol `x`". */
MUST_USE int asm_assemble(const AsmInput *in, AsmOutput *out, AsmDiag *diag, Err *err);
void asm_output_free(AsmOutput *out);
/* Appends the text of the one instruction at bytes ("mov rax, qword ptr [rbx]"), canonical spacing, immediates in hex.
 * Returns its length in bytes; 0 if it is no instruction or LLVM is not there (nothing appended). bits: 64, or 32 or 16
 * for x86. */
size_t asm_disasm(GuestId guest, unsigned bits, const uint8_t *bytes, size_t n, uint64_t pc, Buf *text);
#endif
