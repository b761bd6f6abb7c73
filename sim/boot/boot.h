/* SPDX-License-Identifier: Apache-2.0
 * boot.h - puts images into guest memory: ELF64 (System V gABI, little-endian), Linux `Image` files (Linux,
 * Documentation/arch/riscv/boot-image-header.rst and arch/arm64/booting.rst: one layout), and flat binaries; each also
 * packed with gzip.
 *
 * A file is untrusted: every offset and size in it is checked against the file and against what is mapped before the first byte
 * of the guest is written, so that a refused image leaves memory as it was. Errors name the file, the offset in it and what was
 * expected. ELF segments go to their physical addresses (p_paddr); addresses in BootImage are physical. */
#ifndef SIM_BOOT_BOOT_H
#define SIM_BOOT_BOOT_H

#include "sim/base/buf.h"
#include "sim/machine/space.h"

enum { BOOT_MAX_BYTES = 1 << 30, BOOT_MAX_SEGMENTS = 128, BOOT_LINUX_ALIGN = 2 << 20 };
enum { ELF_MACHINE_X86_64 = 62, ELF_MACHINE_AARCH64 = 183, ELF_MACHINE_RISCV = 243 }; /* e_machine */

/* Where images go: the memory of a machine, or a list of what would be written to it. */
typedef struct BootMem {
    void *ctx;
    uint64_t (*ram_bytes)(void *ctx, uint64_t gpa); /* how much RAM there is from gpa on in one go; 0: none */
    int (*write)(void *ctx, uint64_t gpa, const void *bytes, size_t n, Err *err);
    int (*zero)(void *ctx, uint64_t gpa, uint64_t n, Err *err);
} BootMem;
BootMem boot_mem_of(Space *s); /* valid as long as s */

typedef struct BootHow {
    uint64_t flat_base;   /* where a flat binary goes, and starts */
    uint64_t linux_base;  /* a Linux image goes to linux_base + its text_offset, or to flat_base if that is higher */
    uint16_t elf_machine; /* e_machine that an ELF file or a Linux image must be for; 0 = any */
} BootHow;
/* Symbols that say how a test program talks to what runs it. */
typedef enum { BOOT_TOHOST, BOOT_FROMHOST, BOOT_BEGIN_SIGNATURE, BOOT_END_SIGNATURE, BOOT_SYMBOLS } BootSymbol;
typedef struct BootImage {
    bool is_elf, is_linux;
    uint64_t entry;
    uint64_t start, end; /* lowest address loaded, and the one after the highest: bss included */
    bool has_symbol[BOOT_SYMBOLS];
    uint64_t symbol[BOOT_SYMBOLS];
} BootImage;
/* What starts with ELF's magic number is ELF; what has Linux's at its place is a Linux image. -ERR_NOENT, -ERR_DENIED, -ERR_IO,
 * -ERR_LIMIT of the file; -ERR_INVAL: malformed; -ERR_UNSUPPORTED: another class, byte order or machine, or another packing
 * than gzip; -ERR_FAULT: no RAM where it goes. */
MUST_USE int boot_load(const BootMem *m, const char *path, const BootHow *how, BootImage *out, Err *err);
/* The same of bytes in memory; name is for errors. */
MUST_USE int boot_load_bytes(const BootMem *m, const char *name, const void *bytes, size_t n, const BootHow *how,
                             BootImage *out, Err *err);
/* All of it RAM; else -ERR_FAULT that names the first address that is not. */
MUST_USE int boot_check_ram(const BootMem *m, const char *name, uint64_t gpa, uint64_t size_bytes, Err *err);
#endif
