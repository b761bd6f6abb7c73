/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/machine/fdt.h"

#include "sim/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Devicetree Specification v0.4: 5.2 header, 5.4.1 tokens */
enum {
    FDT_MAGIC = 0xd00dfeed,
    FDT_VERSION = 17,
    FDT_COMPATIBLE_VERSION = 16,
    FDT_HEADER_BYTES = 40,
    FDT_BEGIN_NODE = 1,
    FDT_END_NODE = 2,
    FDT_PROP = 3,
    FDT_END = 9,
    FDT_NAME_MAX = 31,
    USUAL_STRUCTURE = 4096, /* of a board: room that need not grow by and by */
    USUAL_STRINGS = 512,
    NAME_HINTS = 64,
};

struct Fdt {
    Buf structure, strings, reserved;
    unsigned depth;
    bool has_root, after_child;
    uint32_t hint[NAME_HINTS]; /* by hash: 1 + offset of a name in strings */
};

static void put_be(Buf *b, uint64_t value, size_t nbytes)
{
    uint8_t bytes[8];
    for (size_t i = nbytes; i-- > 0; value >>= 8) {
        bytes[i] = (uint8_t)value;
    }
    buf_bytes(b, bytes, nbytes);
}

static void pad_to(Buf *b, size_t align)
{
    static const char zeros[16];
    buf_bytes(b, zeros, (align - b->n % align) % align);
}

Fdt *fdt_new(void)
{
    Fdt *f = x_alloc(sizeof(Fdt));
    buf_reserve(&f->structure, USUAL_STRUCTURE - 1);
    buf_reserve(&f->strings, USUAL_STRINGS - 1);
    return f;
}

void fdt_free(Fdt *f)
{
    if (f) {
        buf_free(&f->structure);
        buf_free(&f->strings);
        buf_free(&f->reserved);
        mem_free(f);
    }
}

void fdt_begin(Fdt *f, const char *name)
{
    assert(strlen(name) <= FDT_NAME_MAX);
    assert(f->depth ? name[0] : !f->has_root);
    put_be(&f->structure, FDT_BEGIN_NODE, 4);
    buf_bytes(&f->structure, name, strlen(name) + 1);
    pad_to(&f->structure, 4);
    f->depth++;
    f->has_root = true;
    f->after_child = false;
}

void fdt_begin_at(Fdt *f, const char *name, uint64_t unit_address)
{
    char text[FDT_NAME_MAX + 1];
    int n = snprintf(text, sizeof text, "%s@%llx", name, (unsigned long long)unit_address);
    assert(n <= FDT_NAME_MAX);
    (void)n;
    fdt_begin(f, text);
}

void fdt_end(Fdt *f)
{
    assert(f->depth);
    put_be(&f->structure, FDT_END_NODE, 4);
    f->depth--;
    f->after_child = true;
}

/* Offset of a property's name in the strings block, where each name stands once. */
static uint32_t name_offset(Fdt *f, const char *name)
{
    size_t n = strlen(name) + 1;
    assert(n > 1 && n - 1 <= FDT_NAME_MAX);
    uint32_t *hint =
        &f->hint[((uint8_t)name[0] + 3u * (uint8_t)name[n / 2] + 5u * (uint8_t)name[n - 2] + 7 * n) % NAME_HINTS];
    if (*hint && !strcmp(f->strings.data + *hint - 1, name)) {
        return *hint - 1;
    }
    size_t at = 0;
    while (at < f->strings.n && strcmp(f->strings.data + at, name) != 0) {
        at += strlen(f->strings.data + at) + 1;
    }
    if (at == f->strings.n) {
        buf_bytes(&f->strings, name, n);
    }
    *hint = (uint32_t)at + 1;
    return (uint32_t)at;
}

/* A property of n bytes, which the caller appends and pads. */
static void prop(Fdt *f, const char *name, size_t n)
{
    assert(f->depth && !f->after_child);
    put_be(&f->structure, FDT_PROP, 4);
    put_be(&f->structure, n, 4);
    put_be(&f->structure, name_offset(f, name), 4);
}

void fdt_bytes(Fdt *f, const char *name, const void *bytes, size_t n)
{
    prop(f, name, n);
    if (n) {
        buf_bytes(&f->structure, bytes, n);
    }
    pad_to(&f->structure, 4);
}

void fdt_empty(Fdt *f, const char *name)
{
    fdt_bytes(f, name, NULL, 0);
}

void fdt_cells(Fdt *f, const char *name, const uint32_t *cells, size_t n)
{
    prop(f, name, n * 4);
    for (size_t i = 0; i < n; i++) {
        put_be(&f->structure, cells[i], 4);
    }
}

void fdt_u32(Fdt *f, const char *name, uint32_t value)
{
    fdt_cells(f, name, &value, 1);
}

void fdt_u64(Fdt *f, const char *name, uint64_t value)
{
    fdt_cells(f, name, (uint32_t[]){(uint32_t)(value >> 32), (uint32_t)value}, 2);
}

void fdt_reg(Fdt *f, uint64_t address, uint64_t size_bytes)
{
    fdt_cells(
        f, "reg",
        (uint32_t[]){(uint32_t)(address >> 32), (uint32_t)address, (uint32_t)(size_bytes >> 32), (uint32_t)size_bytes},
        4);
}

void fdt_str(Fdt *f, const char *name, const char *text)
{
    fdt_bytes(f, name, text, strlen(text) + 1);
}

void fdt_strs(Fdt *f, const char *name, const char *const *texts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += strlen(texts[i]) + 1;
    }
    prop(f, name, total);
    for (size_t i = 0; i < n; i++) {
        buf_bytes(&f->structure, texts[i], strlen(texts[i]) + 1);
    }
    pad_to(&f->structure, 4);
}

void fdt_reserve(Fdt *f, uint64_t address, uint64_t size_bytes)
{
    put_be(&f->reserved, address, 8);
    put_be(&f->reserved, size_bytes, 8);
}

void fdt_finish(Fdt *f, uint32_t boot_cpu, Buf *out)
{
    assert(!f->depth && f->has_root);
    put_be(&f->structure, FDT_END, 4);
    fdt_reserve(f, 0, 0); /* ends the list, 5.3.2 */
    size_t reserved_at =
        FDT_HEADER_BYTES; /* a multiple of 8, as the reservation block must be; 4 for the structure: 5.6 */
    size_t structure_at = reserved_at + f->reserved.n, strings_at = structure_at + f->structure.n;
    const uint64_t header[] = {FDT_MAGIC,   strings_at + f->strings.n, structure_at, strings_at,   reserved_at,
                               FDT_VERSION, FDT_COMPATIBLE_VERSION,    boot_cpu,     f->strings.n, f->structure.n};
    for (size_t i = 0; i < ARRAY_LEN(header); i++) {
        put_be(out, header[i], 4);
    }
    buf_bytes(out, f->reserved.data, f->reserved.n);
    buf_bytes(out, f->structure.data, f->structure.n);
    if (f->strings.n) {
        buf_bytes(out, f->strings.data, f->strings.n);
    }
}
