/* SPDX-License-Identifier: Apache-2.0
 * linux.h - the header of a Linux `Image`, and packed files, for boot_load. */
#ifndef SIM_BOOT_LINUX_H
#define SIM_BOOT_LINUX_H

#include "sim/boot/boot.h"

typedef struct LinuxHeader {
    uint64_t text_offset; /* from a base aligned to BOOT_LINUX_ALIGN */
    uint64_t image_bytes; /* what it takes in memory, bss included; not less than the file has */
} LinuxHeader;
/* *is_linux: the header is there, and sound. -ERR_INVAL, -ERR_UNSUPPORTED: it is there, and says something that cannot be. */
int linux_header(const char *name, const uint8_t *bytes, size_t n, uint16_t machine, bool *is_linux, LinuxHeader *out,
                 Err *err);

bool gzip_is(const uint8_t *bytes, size_t n);
/* Appends what is packed. -ERR_INVAL: malformed or cut; -ERR_LIMIT: more than max_bytes. */
int gzip_unpack(const char *name, const uint8_t *bytes, size_t n, size_t max_bytes, Buf *out, Err *err);
/* -ERR_UNSUPPORTED: packed in a way that is known, and not by gzip; 0: no sign of it. */
int packing_check(const char *name, const uint8_t *bytes, size_t n, Err *err);
#endif
