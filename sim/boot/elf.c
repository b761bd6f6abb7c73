/* SPDX-License-Identifier: Apache-2.0
 * ELF-64 object files: System V gABI, chapters 4 (header, sections, symbols) and 5 (program header). */
#include "sim/boot/elf.h"

#include "sim/base/mem.h"

#include <string.h>

enum {
    EHDR_BYTES = 64,
    PHDR_BYTES = 56,
    SHDR_BYTES = 64,
    SYM_BYTES = 24,
    CLASS_64 = 2,
    DATA_LITTLE = 1,
    VERSION_CURRENT = 1,
    TYPE_EXEC = 2,
    TYPE_DYN = 3,
    PT_LOAD = 1,
    PF_X = 1,
    SHT_SYMTAB = 2,
    SHT_STRTAB = 3,
    SHN_UNDEF = 0,
};

typedef struct {
    uint64_t offset, vaddr, paddr, filesz, memsz;
    uint32_t flags;
} Segment;

typedef struct {
    const char *name;
    const uint8_t *bytes;
    size_t n;
    uint64_t entry, phoff, shoff;
    uint16_t phnum, shnum;
    Segment segments[BOOT_MAX_SEGMENTS];
    size_t nsegments;
    Err *err;
} Elf;

typedef struct {
    uint64_t offset, size;
    uint32_t type, link;
} Section;

bool elf_is(const uint8_t *bytes, size_t n)
{
    return n >= 4 && !memcmp(bytes, "\177ELF", 4);
}

/* A little-endian field; the caller has checked that it lies in the file. */
static uint64_t field(const Elf *e, uint64_t at, size_t nbytes)
{
    Cursor c = cursor_of(e->bytes + at, nbytes);
    return cursor_le(&c, nbytes);
}

static bool is_inside(const Elf *e, uint64_t at, uint64_t n)
{
    return at <= e->n && n <= e->n - at;
}

static int malformed(const Elf *e, uint64_t at, const char *what, uint64_t got, const char *expected)
{
    return err_set(e->err, ERR_INVAL, "%s: offset 0x%llx: %s is 0x%llx, expected %s", e->name, (unsigned long long)at,
                   what, (unsigned long long)got, expected);
}

static int unsupported(const Elf *e, uint64_t at, const char *what, uint64_t got, uint64_t expected)
{
    return err_set(e->err, ERR_UNSUPPORTED, "%s: offset 0x%llx: %s is %llu, expected %llu", e->name,
                   (unsigned long long)at, what, (unsigned long long)got, (unsigned long long)expected);
}

static int ident_read(const Elf *e)
{
    static const struct {
        const char *what;
        uint8_t at, want;
    } rows[] = {{"EI_CLASS", 4, CLASS_64}, {"EI_DATA", 5, DATA_LITTLE}, {"EI_VERSION", 6, VERSION_CURRENT}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (e->bytes[rows[i].at] != rows[i].want) {
            return unsupported(e, rows[i].at, rows[i].what, e->bytes[rows[i].at], rows[i].want);
        }
    }
    return 0;
}

static int header_read(Elf *e, uint16_t machine)
{
    if (e->n < EHDR_BYTES) {
        return err_set(e->err, ERR_INVAL, "%s: has %zu bytes, expected an ELF header of %d", e->name, e->n, EHDR_BYTES);
    }
    int rc = ident_read(e);
    if (rc) {
        return rc;
    }
    uint64_t type = field(e, 16, 2);
    if (type != TYPE_EXEC && type != TYPE_DYN) {
        return malformed(e, 16, "e_type", type, "2 (executable) or 3 (position-independent)");
    }
    if (machine && field(e, 18, 2) != machine) {
        return unsupported(e, 18, "e_machine", field(e, 18, 2), machine);
    }
    if (field(e, 20, 4) != VERSION_CURRENT) {
        return unsupported(e, 20, "e_version", field(e, 20, 4), VERSION_CURRENT);
    }
    e->entry = field(e, 24, 8);
    e->phoff = field(e, 32, 8);
    e->shoff = field(e, 40, 8);
    e->phnum = (uint16_t)field(e, 56, 2);
    e->shnum = (uint16_t)field(e, 60, 2);
    if (!e->phnum) {
        return malformed(e, 56, "e_phnum", 0, "at least one program header");
    }
    if (field(e, 54, 2) != PHDR_BYTES) {
        return malformed(e, 54, "e_phentsize", field(e, 54, 2), "0x38");
    }
    if (!is_inside(e, e->phoff, (uint64_t)e->phnum * PHDR_BYTES)) {
        return malformed(e, 32, "e_phoff", e->phoff, "the program headers inside the file");
    }
    return 0;
}

static int segment_read(Elf *e, uint64_t at)
{
    Segment g = {.flags = (uint32_t)field(e, at + 4, 4),
                 .offset = field(e, at + 8, 8),
                 .vaddr = field(e, at + 16, 8),
                 .paddr = field(e, at + 24, 8),
                 .filesz = field(e, at + 32, 8),
                 .memsz = field(e, at + 40, 8)};
    if (field(e, at, 4) != PT_LOAD || !g.memsz) {
        return 0;
    }
    if (g.filesz > g.memsz) {
        return malformed(e, at + 32, "p_filesz", g.filesz, "at most p_memsz");
    }
    if (!is_inside(e, g.offset, g.filesz)) {
        return malformed(e, at + 8, "p_offset", g.offset, "the segment's bytes inside the file");
    }
    if (g.paddr + (g.memsz - 1) < g.paddr) {
        return malformed(e, at + 24, "p_paddr", g.paddr, "the segment to end inside the address space");
    }
    if (e->nsegments == BOOT_MAX_SEGMENTS) {
        return err_set(e->err, ERR_LIMIT, "%s: offset 0x%llx: more than %d segments to load", e->name,
                       (unsigned long long)at, BOOT_MAX_SEGMENTS);
    }
    e->segments[e->nsegments++] = g;
    return 0;
}

static int segments_read(Elf *e)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < e->phnum; i++) {
        rc = segment_read(e, e->phoff + (uint64_t)i * PHDR_BYTES);
    }
    if (!rc && !e->nsegments) {
        rc = malformed(e, e->phoff, "the number of segments to load", 0, "at least one PT_LOAD");
    }
    return rc;
}

/* Symbols and the entry are virtual addresses; an image whose physical ones differ starts without translation. flags: of the
 * segment that is asked for. */
static uint64_t physical(const Elf *e, uint64_t vaddr, uint32_t flags)
{
    for (size_t i = 0; i < e->nsegments; i++) {
        const Segment *g = &e->segments[i];
        if (vaddr >= g->vaddr && vaddr - g->vaddr < g->memsz && (g->flags & flags) == flags) {
            return g->paddr + (vaddr - g->vaddr);
        }
    }
    return vaddr;
}

static int section_read(const Elf *e, uint64_t i, Section *out)
{
    uint64_t at = e->shoff + i * SHDR_BYTES;
    *out = (Section){.type = (uint32_t)field(e, at + 4, 4),
                     .offset = field(e, at + 24, 8),
                     .size = field(e, at + 32, 8),
                     .link = (uint32_t)field(e, at + 40, 4)};
    if ((out->type == SHT_SYMTAB || out->type == SHT_STRTAB) && !is_inside(e, out->offset, out->size)) {
        return malformed(e, at + 24, "sh_offset", out->offset, "the section inside the file");
    }
    return 0;
}

static void symbol_match(const Elf *e, const char *text, uint64_t value, BootImage *out)
{
    static const char *const names[BOOT_SYMBOLS] = {
        [BOOT_TOHOST] = "tohost",
        [BOOT_FROMHOST] = "fromhost",
        [BOOT_BEGIN_SIGNATURE] = "begin_signature",
        [BOOT_END_SIGNATURE] = "end_signature",
    };
    for (unsigned i = 0; i < BOOT_SYMBOLS; i++) {
        if (!strcmp(text, names[i])) {
            out->has_symbol[i] = true;
            out->symbol[i] = physical(e, value, 0);
        }
    }
}

static int symtab_read(const Elf *e, const Section *symtab, BootImage *out)
{
    Section strtab = {0};
    if (symtab->link >= e->shnum) {
        return malformed(e, symtab->offset, "sh_link of the symbol table", symtab->link, "a section");
    }
    int rc = section_read(e, symtab->link, &strtab);
    if (rc) {
        return rc;
    }
    if (strtab.type != SHT_STRTAB || !strtab.size || e->bytes[strtab.offset + strtab.size - 1]) {
        return malformed(e, strtab.offset, "the type of the symbols' string table", strtab.type,
                         "3 (SHT_STRTAB), with a 0 byte at its end");
    }
    for (uint64_t done = 0; symtab->size - done >= SYM_BYTES; done += SYM_BYTES) {
        uint64_t at = symtab->offset + done, name = field(e, at, 4);
        if (name >= strtab.size) {
            return malformed(e, at, "st_name", name, "an offset inside the string table");
        }
        if (field(e, at + 6, 2) != SHN_UNDEF) {
            symbol_match(e, (const char *)e->bytes + strtab.offset + name, field(e, at + 8, 8), out);
        }
    }
    return 0;
}

/* A file without sections is stripped, which is fine. */
static int symbols_read(const Elf *e, BootImage *out)
{
    if (!e->shoff || !e->shnum) {
        return 0;
    }
    if (field(e, 58, 2) != SHDR_BYTES) {
        return malformed(e, 58, "e_shentsize", field(e, 58, 2), "0x40");
    }
    if (!is_inside(e, e->shoff, (uint64_t)e->shnum * SHDR_BYTES)) {
        return malformed(e, 40, "e_shoff", e->shoff, "the section headers inside the file");
    }
    int rc = 0;
    for (unsigned i = 0; !rc && i < e->shnum; i++) {
        Section section;
        rc = section_read(e, i, &section);
        if (!rc && section.type == SHT_SYMTAB) {
            rc = symtab_read(e, &section, out);
        }
    }
    return rc;
}

static int segments_write(const Elf *e, const BootMem *m)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < e->nsegments; i++) {
        const Segment *g = &e->segments[i];
        rc = m->write(m->ctx, g->paddr, e->bytes + g->offset, g->filesz, e->err);
        rc = rc ? rc : m->zero(m->ctx, g->paddr + g->filesz, g->memsz - g->filesz, e->err);
    }
    return rc;
}

int elf_load(const BootMem *m, const char *name, const uint8_t *bytes, size_t n, uint16_t machine, BootImage *out,
             Err *err)
{
    Elf e = {.name = name, .bytes = bytes, .n = n, .err = err};
    *out = (BootImage){.is_elf = true, .start = UINT64_MAX};
    int rc = header_read(&e, machine);
    rc = rc ? rc : segments_read(&e);
    rc = rc ? rc : symbols_read(&e, out);
    for (size_t i = 0; !rc && i < e.nsegments; i++) {
        const Segment *g = &e.segments[i];
        out->start = g->paddr < out->start ? g->paddr : out->start;
        out->end = g->paddr + g->memsz > out->end ? g->paddr + g->memsz : out->end;
        rc = boot_check_ram(m, name, g->paddr, g->memsz, err);
    }
    out->entry = physical(&e, e.entry, PF_X);
    return rc ? rc : segments_write(&e, m);
}
