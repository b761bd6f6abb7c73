/* SPDX-License-Identifier: Apache-2.0
 * elf.h - the ELF64 part of boot_load. */
#ifndef SIM_BOOT_ELF_H
#define SIM_BOOT_ELF_H

#include "sim/boot/boot.h"

bool elf_is(const uint8_t *bytes, size_t n);
int elf_load(Space *s, const char *name, const uint8_t *bytes, size_t n, uint16_t machine, BootImage *out, Err *err);
/* All of it RAM; else -ERR_FAULT that names the first address that is not. */
int boot_check_ram(const Space *s, const char *name, uint64_t gpa, uint64_t size_bytes, Err *err);
#endif
