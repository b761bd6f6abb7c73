/* SPDX-License-Identifier: Apache-2.0
 * image.h - a program file in the RAM of a Vm, on any backend: ELF64 (System V gABI, little-endian) or bytes as they are. For
 * `conf diff --kernel`; the machine around it is no more than RAM and a few answers, equal on both sides.
 *
 * The file is untrusted: every offset and size in it is checked against the file and against RAM. */
#ifndef CONFORMANCE_IMAGE_H
#define CONFORMANCE_IMAGE_H

#include "accel/accel.h"

enum { IMAGE_MAX_BYTES = 256 << 20, IMAGE_MAX_SEGMENTS = 128 };
typedef struct {
    uint64_t at, size, offset; /* guest address; bytes of the file there */
} ImageSegment;
typedef struct {
    bool is_elf;
    uint64_t entry;
    size_t nsegments;
    ImageSegment segment[IMAGE_MAX_SEGMENTS];
    bool has_tohost;
    uint64_t tohost; /* of the ELF symbol */
} Image;
typedef struct {
    uint64_t ram_base, ram_bytes;
    uint16_t elf_machine;
} ImageHow;
/* -ERR_INVAL: malformed, or outside of RAM; -ERR_UNSUPPORTED: another class, byte order or machine. name is for errors. */
MUST_USE int image_parse(const char *name, const uint8_t *bytes, size_t n, const ImageHow *how, Image *out, Err *err);
#endif
