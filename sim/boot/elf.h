/* SPDX-License-Identifier: Apache-2.0
 * elf.h - the ELF64 part of boot_load. */
#ifndef SIM_BOOT_ELF_H
#define SIM_BOOT_ELF_H

#include "sim/boot/boot.h"

bool elf_is(const uint8_t *bytes, size_t n);
int elf_load(const BootMem *m, const char *name, const uint8_t *bytes, size_t n, uint16_t machine, BootImage *out,
             Err *err);
#endif
