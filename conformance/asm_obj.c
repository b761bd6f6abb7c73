/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_obj.h"
#include "conformance/asm_source.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const AsmObj *obj;
    AsmObjError *bad;
    Elf64_Ehdr head;
    const char *section_names;
    size_t nsection_names;
    size_t text_index; /* 0 = none */
    Elf64_Shdr text;
    const uint8_t *symbols, *relocs; /* records, unaligned */
    size_t nsymbols, nrelocs;
    const char *names;
    size_t nnames;
} View;

static int fail(AsmObjError *bad, int code, const char *symbol, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int fail(AsmObjError *bad, int code, const char *symbol, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(bad->message, sizeof bad->message, fmt, args);
    va_end(args);
    snprintf(bad->symbol, sizeof bad->symbol, "%s", symbol);
    return -code;
}

static int broken(const View *v, const char *what)
{
    return fail(v->bad, ERR_INVAL, "", "the assembler's object is broken: %s", what);
}

static const uint8_t *range(const View *v, uint64_t offset, uint64_t n)
{
    if (offset > v->obj->n || n > v->obj->n - offset) {
        return NULL;
    }
    return (const uint8_t *)v->obj->bytes + offset;
}

/* NULL unless it ends within the table. */
static const char *string_at(const char *table, size_t n, uint64_t offset)
{
    if (!table || offset >= n || !memchr(table + offset, 0, n - offset)) {
        return NULL;
    }
    return table + offset;
}

static bool section_at(const View *v, uint64_t index, Elf64_Shdr *out)
{
    if (index >= v->head.e_shnum || v->head.e_shoff > v->obj->n) {
        return false;
    }
    const uint8_t *at = range(v, v->head.e_shoff + index * sizeof *out, sizeof *out);
    if (at) {
        memcpy(out, at, sizeof *out);
    }
    return at != NULL;
}

static int open_head(View *v)
{
    const uint8_t *at = range(v, 0, sizeof v->head);
    if (!at) {
        return broken(v, "no header");
    }
    memcpy(&v->head, at, sizeof v->head);
    static const uint8_t ident[] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB};
    if (memcmp(v->head.e_ident, ident, sizeof ident) || v->head.e_type != ET_REL ||
        v->head.e_shentsize != sizeof(Elf64_Shdr)) {
        return broken(v, "not a relocatable ELF64 file");
    }
    Elf64_Shdr names;
    if (!section_at(v, v->head.e_shstrndx, &names) || !range(v, names.sh_offset, names.sh_size)) {
        return broken(v, "no section names");
    }
    v->section_names = (const char *)range(v, names.sh_offset, names.sh_size);
    v->nsection_names = names.sh_size;
    return 0;
}

static int take_symbols(View *v, const Elf64_Shdr *s)
{
    Elf64_Shdr names;
    if (!range(v, s->sh_offset, s->sh_size) || s->sh_entsize != sizeof(Elf64_Sym) ||
        !section_at(v, s->sh_link, &names) || !range(v, names.sh_offset, names.sh_size)) {
        return broken(v, "symbol table");
    }
    v->symbols = range(v, s->sh_offset, s->sh_size);
    v->nsymbols = s->sh_size / sizeof(Elf64_Sym);
    v->names = (const char *)range(v, names.sh_offset, names.sh_size);
    v->nnames = names.sh_size;
    return 0;
}

static int take_section(View *v, size_t index, const Elf64_Shdr *s)
{
    const char *name = string_at(v->section_names, v->nsection_names, s->sh_name);
    if (!name) {
        return broken(v, "section name");
    }
    if (s->sh_type == SHT_SYMTAB) {
        return take_symbols(v, s);
    }
    bool is_text = !strcmp(name, ".text");
    if (!(s->sh_flags & SHF_ALLOC) || (!s->sh_size && !is_text)) {
        return 0;
    }
    if (!is_text) {
        return fail(v->bad, ERR_INVAL, "", "section %.64s has contents; only .text is loaded", name);
    }
    if (s->sh_type != SHT_PROGBITS || !range(v, s->sh_offset, s->sh_size) || v->text_index) {
        return broken(v, ".text");
    }
    v->text_index = index;
    v->text = *s;
    return 0;
}

/* Relocations are looked for once .text is known. */
static int find_relocs(View *v)
{
    for (size_t i = 1; v->text_index && i < v->head.e_shnum; i++) {
        Elf64_Shdr s;
        if (!section_at(v, i, &s)) {
            return broken(v, "section table");
        }
        if ((s.sh_type != SHT_RELA && s.sh_type != SHT_REL) || s.sh_info != v->text_index) {
            continue;
        }
        if (s.sh_type == SHT_REL || s.sh_entsize != sizeof(Elf64_Rela) || v->relocs ||
            !range(v, s.sh_offset, s.sh_size)) {
            return broken(v, "relocations");
        }
        v->relocs = range(v, s.sh_offset, s.sh_size);
        v->nrelocs = s.sh_size / sizeof(Elf64_Rela);
    }
    return 0;
}

static int open_view(View *v)
{
    int rc = open_head(v);
    for (size_t i = 1; !rc && i < v->head.e_shnum; i++) {
        Elf64_Shdr s;
        rc = section_at(v, i, &s) ? take_section(v, i, &s) : broken(v, "section table");
    }
    return rc ? rc : find_relocs(v);
}

static Elf64_Sym symbol_at(const View *v, size_t i)
{
    Elf64_Sym s;
    memcpy(&s, v->symbols + i * sizeof s, sizeof s);
    return s;
}

static Elf64_Rela reloc_at(const View *v, size_t i)
{
    Elf64_Rela r;
    memcpy(&r, v->relocs + i * sizeof r, sizeof r);
    return r;
}

/* A use that asm_source.c renamed, or a plain one. */
static bool names_def(const char *name, const char *def)
{
    size_t n = strlen(def);
    return !strncmp(name, def, n) && (!name[n] || !strcmp(name + n, ASM_ALIAS));
}

static int symbol_value(const View *v, size_t index, uint64_t *value, const char **name)
{
    if (index >= v->nsymbols) {
        return broken(v, "symbol index");
    }
    Elf64_Sym s = symbol_at(v, index);
    *name = string_at(v->names, v->nnames, s.st_name);
    if (!*name) {
        return broken(v, "symbol name");
    }
    *value = s.st_value;
    if (s.st_shndx == v->text_index && v->text_index) {
        *value += v->obj->org;
        return 0;
    }
    if (s.st_shndx == SHN_ABS || !index) {
        return 0;
    }
    for (size_t i = 0; s.st_shndx == SHN_UNDEF && i < v->obj->ndefs; i++) {
        if (names_def(*name, v->obj->defs[i].name)) {
            *value = v->obj->defs[i].value;
            *name = v->obj->defs[i].name;
            return 0;
        }
    }
    if (s.st_shndx == SHN_UNDEF) {
        return fail(v->bad, ERR_INVAL, *name, "undefined symbol `%.200s`", *name);
    }
    return fail(v->bad, ERR_INVAL, *name, "`%.200s` is not in .text", *name);
}

static bool is_pcrel_lo(GuestId guest, uint32_t type)
{
    return guest == GUEST_riscv64 && (type == R_RISCV_PCREL_LO12_I || type == R_RISCV_PCREL_LO12_S);
}

/* %pcrel_lo(label) means the low part of what the auipc at label computes (RISC-V ELF psABI 8.4.9):
 * finds that auipc's relocation. The assembler writes relocations in ascending order. */
static int pcrel_distance(const View *v, uint64_t label, uint64_t *distance, const char **name)
{
    size_t lo = 0, hi = v->nrelocs;
    uint64_t offset = label - v->obj->org;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (reloc_at(v, mid).r_offset < offset) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; lo < v->nrelocs && reloc_at(v, lo).r_offset == offset; lo++) {
        Elf64_Rela r = reloc_at(v, lo);
        if (ELF64_R_TYPE(r.r_info) == R_RISCV_PCREL_HI20) {
            int rc = symbol_value(v, ELF64_R_SYM(r.r_info), distance, name);
            *distance += (uint64_t)r.r_addend - label;
            return rc;
        }
    }
    return fail(v->bad, ERR_INVAL, *name, "%%pcrel_lo(%.128s): no %%pcrel_hi there", *name);
}

static int relocate(const View *v, uint8_t *image, size_t i)
{
    Elf64_Rela rela = reloc_at(v, i);
    AsmReloc r = {.type = (uint32_t)ELF64_R_TYPE(rela.r_info)};
    if (rela.r_offset >= v->text.sh_size) {
        return broken(v, "relocation outside .text");
    }
    const char *name = "";
    int rc = symbol_value(v, ELF64_R_SYM(rela.r_info), &r.value, &name);
    if (rc) {
        return rc;
    }
    if (is_pcrel_lo(v->obj->guest, r.type)) {
        rc = pcrel_distance(v, r.value, &r.value, &name);
        if (rc) {
            return rc;
        }
    } else {
        r.value += (uint64_t)rela.r_addend;
    }
    r.at = image + rela.r_offset;
    r.room = v->text.sh_size - rela.r_offset;
    r.place = v->obj->org + rela.r_offset;
    const char *problem = asm_reloc_apply(v->obj->guest, &r);
    if (!problem) {
        return 0;
    }
    return fail(v->bad, ERR_INVAL, name, "`%.200s` %s (relocation %u at 0x%llx)", *name ? name : ".text", problem,
                r.type, (unsigned long long)r.place);
}

/* Mapping symbols ($x, $d) and the assembler's own labels (.L) are nobody's labels. */
static bool is_label(const View *v, const Elf64_Sym *s, const char *name)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);
    return s->st_shndx == v->text_index && type != STT_SECTION && type != STT_FILE && *name && *name != '$' &&
           strncmp(name, ".L", 2);
}

static int compare_labels(const void *a, const void *b)
{
    const AsmSymbol *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value ? -1 : 1) : strcmp(x->name, y->name);
}

static int take_labels(const View *v, AsmOutput *out)
{
    for (size_t i = 1; v->text_index && i < v->nsymbols; i++) {
        Elf64_Sym s = symbol_at(v, i);
        const char *name = string_at(v->names, v->nnames, s.st_name);
        if (!name) {
            return broken(v, "symbol name");
        }
        if (is_label(v, &s, name)) {
            VEC_PUSH(&out->labels, (AsmSymbol){x_strdup(name), v->obj->org + s.st_value});
        }
    }
    if (out->labels.n) {
        qsort(out->labels.items, out->labels.n, sizeof *out->labels.items, compare_labels);
    }
    return 0;
}

/* Where data (is_data) or instructions begin. */
typedef struct {
    uint64_t at;
    size_t index; /* of two at one place the later counts */
    bool is_data;
} Mark;

static bool is_mark(const View *v, const Elf64_Sym *s, const char *name)
{
    bool is_mapping = name[0] == '$' && (name[1] == 'd' || name[1] == 'x');
    bool is_plain = is_mapping && (!name[2] || name[2] == '.' || name[1] == 'x'); /* $xrv64i.. */
    return v->obj->guest != GUEST_x86_64 && s->st_shndx == v->text_index && is_plain && s->st_value <= v->text.sh_size;
}

static int compare_marks(const void *a, const void *b)
{
    const Mark *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->index < y->index ? -1 : 1;
}

static void take_data(const View *v, AsmOutput *out)
{
    VEC(Mark) marks = {0};
    for (size_t i = 1; v->text_index && i < v->nsymbols; i++) {
        Elf64_Sym s = symbol_at(v, i);
        const char *name = string_at(v->names, v->nnames, s.st_name);
        if (name && is_mark(v, &s, name)) {
            VEC_PUSH(&marks, (Mark){s.st_value, i, name[1] == 'd'});
        }
    }
    if (marks.n) {
        qsort(marks.items, marks.n, sizeof *marks.items, compare_marks);
    }
    for (size_t i = 0; i < marks.n; i++) {
        uint64_t at = marks.items[i].at, end = i + 1 < marks.n ? marks.items[i + 1].at : v->text.sh_size;
        AsmSpan *last = out->data.n ? &out->data.items[out->data.n - 1] : NULL;
        if (!marks.items[i].is_data || end == at) {
            continue;
        }
        if (last && last->at + last->n == at) {
            last->n += end - at;
        } else {
            VEC_PUSH(&out->data, (AsmSpan){at, end - at});
        }
    }
    VEC_FREE(&marks);
}

/* Code alignment up to 4 is every section's default and says nothing; more was asked for and must
 * hold at org. */
static int check_text(const View *v)
{
    if (v->text.sh_size > v->obj->max_bytes) {
        return fail(v->bad, ERR_LIMIT, "", "the image has %llu bytes, more than %zu",
                    (unsigned long long)v->text.sh_size, v->obj->max_bytes);
    }
    uint64_t align = v->text.sh_addralign;
    if (align > 4 && v->obj->org % align) {
        return fail(v->bad, ERR_INVAL, "", "the text aligns to %llu, but its address is 0x%llx",
                    (unsigned long long)align, (unsigned long long)v->obj->org);
    }
    return 0;
}

int asm_obj_flatten(const AsmObj *obj, AsmOutput *out, AsmObjError *bad)
{
    View v = {.obj = obj, .bad = bad};
    memset(out, 0, sizeof *out);
    int rc = open_view(&v);
    if (!rc) {
        rc = check_text(&v);
    }
    if (!rc && v.text_index) {
        buf_bytes(&out->bytes, range(&v, v.text.sh_offset, v.text.sh_size), v.text.sh_size);
    }
    for (size_t i = 0; !rc && i < v.nrelocs; i++) {
        rc = relocate(&v, (uint8_t *)out->bytes.data, i);
    }
    if (!rc) {
        rc = take_labels(&v, out);
    }
    if (!rc) {
        take_data(&v, out);
    }
    if (rc) {
        asm_output_free(out);
    }
    return rc;
}
