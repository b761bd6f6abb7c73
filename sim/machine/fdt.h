/* SPDX-License-Identifier: Apache-2.0
 * fdt.h - writes a flattened device tree: Devicetree Specification v0.4, chapter 5, version 17 of the format.
 *
 *     Fdt *f = fdt_new();
 *     fdt_begin(f, "");  fdt_u32(f, "#address-cells", 2);  fdt_begin_at(f, "serial", 0x10000000);  ...  fdt_end(f);  fdt_end(f);
 *     fdt_finish(f, 0, &blob);
 *
 * Properties of a node come before its children (5.4.2). Only our own code drives it, so misuse is an assert; strings
 * that come from outside go into values, never into names. An Fdt belongs to one thread. */
#ifndef SIM_MACHINE_FDT_H
#define SIM_MACHINE_FDT_H

#include "sim/base/buf.h"

typedef struct Fdt Fdt;
Fdt *fdt_new(void);
void fdt_free(Fdt *f); /* NULL is fine */
/* At most 31 characters, with the unit address (2.2.1); "" for the root only. */
void fdt_begin(Fdt *f, const char *name);
void fdt_begin_at(Fdt *f, const char *name, uint64_t unit_address); /* "name@1000" */
void fdt_end(Fdt *f);

/* Values (2.2.4): all numbers big-endian in the blob. */
void fdt_empty(Fdt *f, const char *name);               /* true by being there */
void fdt_u32(Fdt *f, const char *name, uint32_t value); /* also a phandle */
void fdt_u64(Fdt *f, const char *name, uint64_t value);
void fdt_cells(Fdt *f, const char *name, const uint32_t *cells, size_t n);
void fdt_reg(Fdt *f, uint64_t address, uint64_t size_bytes); /* "reg" under 2 address cells and 2 size cells */
void fdt_str(Fdt *f, const char *name, const char *text);
void fdt_strs(Fdt *f, const char *name, const char *const *texts, size_t n);
void fdt_bytes(Fdt *f, const char *name, const void *bytes, size_t n);

void fdt_reserve(Fdt *f, uint64_t address, uint64_t size_bytes); /* memory reservation block, 5.3 */
/* Appends the blob; all nodes are ended. boot_cpu: boot_cpuid_phys. Call once. */
void fdt_finish(Fdt *f, uint32_t boot_cpu, Buf *out);
#endif
