/* SPDX-License-Identifier: Apache-2.0
 * conf_llvm.h - the table that the module conf-llvm.so exports: all of LLVM that the rest of conf
 * ever sees.
 *
 * The module is opened with dlopen, its symbol CONF_LLVM_SYMBOL is a `const ConfLlvm`. Tables only
 * grow at the end; a reader checks abi and size_bytes before it calls anything. Nothing of conf is
 * linked into the module. Thread rule: one call at a time (the caller locks). LLVM may end the
 * process on an internal failure or when memory runs out, so assemble() belongs into a process that
 * may die. */
#ifndef CONFORMANCE_LLVM_CONF_LLVM_H
#define CONFORMANCE_LLVM_CONF_LLVM_H

#include <stddef.h>
#include <stdint.h>

#define CONF_LLVM_ABI    1u
#define CONF_LLVM_SYMBOL "conf_llvm_table"

/* The numbers of GuestId in accel/accel.h, which the module may not include; asm_door.c asserts
 * that they agree. */
typedef enum { CONF_LLVM_riscv64 = 1, CONF_LLVM_aarch64, CONF_LLVM_x86_64, CONF_LLVM_GUESTS } ConfLlvmGuest;
typedef enum { CONF_LLVM_ERROR, CONF_LLVM_WARNING, CONF_LLVM_NOTE } ConfLlvmSeverity;

typedef struct {
    ConfLlvmGuest guest;
    const char *text; /* of the whole source, no 0 byte within */
    size_t n;
    void *user;
    /* One diagnostic, as LLVM words it: "<inline asm>:3:2: message"; text is gone after the call.
     */
    void (*diag)(void *user, ConfLlvmSeverity severity, const char *text);
    /* The relocatable ELF64 object, at most once and only if there was no error; bytes are gone
     * after the call. */
    void (*object)(void *user, const void *bytes, size_t n);
} ConfLlvmJob;

typedef struct {
    uint32_t abi;        /* CONF_LLVM_ABI */
    uint32_t size_bytes; /* of this table */
    const char *version; /* of LLVM, "19.1.7" */
    /* Makes the guest's assembler ready, so that processes forked later need not; 0, or -1 if LLVM
     * lacks the target. */
    int (*prepare)(ConfLlvmGuest guest);
    /* 0, or -1 after at least one diag() with CONF_LLVM_ERROR. */
    int (*assemble)(const ConfLlvmJob *job);
    /* Length of the instruction at bytes and its text (0-terminated, cut to cap); 0 = no
     * instruction. bits: 64, or 32 or 16 for x86_64. Branch targets are shown absolute where LLVM
     * can (not on riscv64). */
    size_t (*disassemble)(ConfLlvmGuest guest, unsigned bits, const uint8_t *bytes, size_t n, uint64_t pc, char *text,
                          size_t cap);
} ConfLlvm;
#endif
