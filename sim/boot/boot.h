/* SPDX-License-Identifier: Apache-2.0
 * boot.h - puts images into guest memory: ELF64 (System V gABI, little-endian) and flat binaries.
 *
 * A file is untrusted: every offset and size in it is checked against the file and against what is mapped before the first byte
 * of the guest is written, so that a refused image leaves memory as it was. Errors name the file, the offset in it and what was
 * expected. Segments go to their physical addresses (p_paddr); addresses in BootImage are physical. */
#ifndef SIM_BOOT_BOOT_H
#define SIM_BOOT_BOOT_H

#include "sim/base/buf.h"
#include "sim/machine/space.h"

enum { BOOT_MAX_BYTES = 1 << 30, BOOT_MAX_SEGMENTS = 128 };
enum { ELF_MACHINE_X86_64 = 62, ELF_MACHINE_AARCH64 = 183, ELF_MACHINE_RISCV = 243 }; /* e_machine */
typedef struct BootHow {
    uint64_t flat_base;   /* where a flat binary goes, and starts */
    uint16_t elf_machine; /* e_machine that an ELF file must have; 0 = any */
} BootHow;
/* Symbols that say how a test program talks to what runs it. */
typedef enum { BOOT_TOHOST, BOOT_FROMHOST, BOOT_BEGIN_SIGNATURE, BOOT_END_SIGNATURE, BOOT_SYMBOLS } BootSymbol;
typedef struct BootImage {
    bool is_elf;
    uint64_t entry;
    uint64_t start, end; /* lowest address loaded, and the one after the highest: bss included */
    bool has_symbol[BOOT_SYMBOLS];
    uint64_t symbol[BOOT_SYMBOLS];
} BootImage;
/* What starts with ELF's magic number is ELF. -ERR_NOENT, -ERR_DENIED, -ERR_IO, -ERR_LIMIT of the file; -ERR_INVAL: malformed;
 * -ERR_UNSUPPORTED: another class, byte order or machine; -ERR_FAULT: no RAM where it goes. */
MUST_USE int boot_load(Space *s, const char *path, const BootHow *how, BootImage *out, Err *err);
/* The same of bytes in memory; name is for errors. */
MUST_USE int boot_load_bytes(Space *s, const char *name, const void *bytes, size_t n, const BootHow *how,
                             BootImage *out, Err *err);
/* A file as it is, whatever is in it (initrd). *size_bytes: how much; may be 0. */
MUST_USE int boot_load_raw(Space *s, const char *path, uint64_t gpa, uint64_t *size_bytes, Err *err);
#endif
