/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/image.h"

#include <inttypes.h>
#include <string.h>

enum { EHDR_BYTES = 64, PHDR_BYTES = 56, SHDR_BYTES = 64, SYM_BYTES = 24, PT_LOAD = 1, SHT_SYMTAB = 2 };

typedef struct {
    const char *name;
    const uint8_t *bytes;
    size_t n;
    const ImageHow *how;
} File;

/* A part of the file; NULL: not within it. */
static const uint8_t *part(const File *f, uint64_t at, uint64_t n)
{
    return at <= f->n && n <= f->n - at ? f->bytes + at : NULL;
}

static uint64_t le(const uint8_t *p, size_t nbytes)
{
    Cursor c = cursor_of(p, nbytes);
    return cursor_le(&c, nbytes);
}

static int segment_add(const File *f, Image *out, ImageSegment s, uint64_t size_in_memory, Err *err)
{
    const ImageHow *how = f->how;
    if (s.size > size_in_memory || !part(f, s.offset, s.size)) {
        return err_set(err, ERR_INVAL, "%s: a segment of %" PRIu64 " bytes at offset %" PRIu64 " is not in the file",
                       f->name, s.size, s.offset);
    }
    if (s.at < how->ram_base || s.at - how->ram_base > how->ram_bytes ||
        size_in_memory > how->ram_bytes - (s.at - how->ram_base)) {
        return err_set(err, ERR_INVAL, "%s: a segment at 0x%" PRIx64 " is outside of RAM", f->name, s.at);
    }
    if (out->nsegments == IMAGE_MAX_SEGMENTS) {
        return err_set(err, ERR_LIMIT, "%s: more than %d segments", f->name, IMAGE_MAX_SEGMENTS);
    }
    out->segment[out->nsegments++] = s;
    return 0;
}

static int segments(const File *f, Image *out, Err *err)
{
    uint64_t at = le(f->bytes + 32, 8), size = le(f->bytes + 54, 2), n = le(f->bytes + 56, 2);
    const uint8_t *table = part(f, at, n * size);
    int rc = 0;
    if (!table || (n && size < PHDR_BYTES)) {
        return err_set(err, ERR_INVAL, "%s: %" PRIu64 " program headers at offset %" PRIu64 " are not in the file",
                       f->name, n, at);
    }
    for (uint64_t i = 0; i < n && !rc; i++, table += size) {
        if (le(table, 4) == PT_LOAD && le(table + 40, 8)) {
            ImageSegment s = {.at = le(table + 24, 8), .size = le(table + 32, 8), .offset = le(table + 8, 8)};
            rc = segment_add(f, out, s, le(table + 40, 8), err);
        }
    }
    return rc;
}

/* What is wrong with the symbols is no reason not to run. */
static void symbols(const File *f, Image *out)
{
    uint64_t at = le(f->bytes + 40, 8), size = le(f->bytes + 58, 2), n = le(f->bytes + 60, 2);
    const uint8_t *table = part(f, at, n * size);
    for (uint64_t i = 0; table && size >= SHDR_BYTES && i < n; i++) {
        const uint8_t *s = table + i * size;
        uint64_t link = le(s + 40, 4), nsymbols = le(s + 32, 8) / SYM_BYTES;
        if (le(s + 4, 4) != SHT_SYMTAB || link >= n) {
            continue;
        }
        const uint8_t *strings = part(f, le(table + link * size + 24, 8), le(table + link * size + 32, 8));
        const uint8_t *symbol = part(f, le(s + 24, 8), nsymbols * SYM_BYTES);
        uint64_t nstrings = strings ? le(table + link * size + 32, 8) : 0;
        for (uint64_t k = 0; symbol && k < nsymbols; k++, symbol += SYM_BYTES) {
            uint64_t name = le(symbol, 4);
            if (name < nstrings && nstrings - name >= 7 && !memcmp(strings + name, "tohost", 7)) {
                out->tohost = le(symbol + 8, 8);
                out->has_tohost = out->tohost - f->how->ram_base < f->how->ram_bytes;
            }
        }
    }
}

int image_parse(const char *name, const uint8_t *bytes, size_t n, const ImageHow *how, Image *out, Err *err)
{
    File f = {name, bytes, n, how};
    *out = (Image){.entry = how->ram_base};
    if (!n) {
        return err_set(err, ERR_INVAL, "%s: is empty: there is nothing to run", name);
    }
    if (n < 4 || memcmp(bytes,
                        "\x7f"
                        "ELF",
                        4) != 0) {
        return segment_add(&f, out, (ImageSegment){.at = how->ram_base, .size = n}, n, err);
    }
    if (n < EHDR_BYTES) {
        return err_set(err, ERR_INVAL, "%s: an ELF header of %zu bytes, expected %d", name, n, EHDR_BYTES);
    }
    if (bytes[4] != 2 || bytes[5] != 1 || le(bytes + 18, 2) != how->elf_machine) {
        return err_set(err, ERR_UNSUPPORTED, "%s: ELF class %u, byte order %u, machine %" PRIu64 ": expected 2, 1, %u",
                       name, bytes[4], bytes[5], le(bytes + 18, 2), how->elf_machine);
    }
    out->is_elf = true;
    out->entry = le(bytes + 24, 8);
    int rc = segments(&f, out, err);
    if (!rc && !out->nsegments) {
        return err_set(err, ERR_INVAL, "%s: no segment is to be loaded: there is nothing to run", name);
    }
    if (!rc) {
        symbols(&f, out);
    }
    return rc;
}
