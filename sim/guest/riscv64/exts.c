/* SPDX-License-Identifier: Apache-2.0
 * exts.c - ISA strings of others, held against the decode tables. A string's set is a RiscvCpu, so that labels of rows mean here
 * what they mean to the translator. */
#include "sim/guest/exts.h"
#include "rv64_decode.h"
#include "sim/base/mem.h"
#include "sim/guest/disasm.h"
#include "sim/guest/riscv64/riscv.h"

#include <ctype.h>
#include <string.h>

/* Names that are no feature of the simulator's cpu, or stand for others. */
typedef enum {
    EXT_b,
    EXT_v,
    EXT_zaamo,
    EXT_zalrsc,
    EXT_zca,
    EXT_zcd,
    EXT_zk,
    EXT_zkn,
    EXT_zkr,
    EXT_zks,
    EXT_OTHERS
} Other;
static const char *const others[EXT_OTHERS] = {"b", "v", "zaamo", "zalrsc", "zca", "zcd", "zk", "zkn", "zkr", "zks"};
static const struct {
    const char *text;
    RiscvNeed id;
} features[] = {
#define LETTER(text, id)                  {text, id},
#define NAMED(text, id)                   {text, id},
#define BASE(text, id)                    {text, id},
#define MODE(text, id)                    {text, id},
#define HIDDEN(text, id)                  /* no name of an extension */
#define FEATURE(id, text, kind, requires) kind(text, NEED_##id)
#include "sim/guest/riscv64/features.def"
};
static const RiscvNeed hidden[] = {
#define LETTER(id)
#define NAMED(id)
#define BASE(id)
#define MODE(id)
#define HIDDEN(id)                        id,
#define FEATURE(id, text, kind, requires) kind(NEED_##id)
#include "sim/guest/riscv64/features.def"
};
static const char *const need_texts[NEED_COUNT] = {
#define FEATURE(id, text, kind, requires) [NEED_##id] = (text),
#define ROWS(label, has)                  [NEED_##label] = #has,
#include "sim/guest/riscv64/features.def"
};

typedef struct {
    RiscvCpu cpu;
    bool other[EXT_OTHERS];
} Exts;

/* Unpriv, the chapters of these names ("B", "Zk", "Zce" ..). What follows comes after what it follows from. */
static const struct {
    const char *name, *follows;
} implied[] = {
    {"g", "m a f d zicsr zifencei"},
    {"v", "d"},
    {"d", "f"},
    {"f", "zicsr"},
    {"zfh", "zfhmin"},
    {"zfhmin", "f"},
    {"b", "zba zbb zbs"},
    {"zk", "zkn zkr"},
    {"zkn", "zbkb zbkc zbkx zkne zknd zknh"},
    {"zks", "zbkb zbkc zbkx zksed zksh"},
    {"zcb", "zca"},
    {"c", "zca zcd"},
    {"zcmop", "zca"},
    {"zabha", "zaamo"},
    {"zacas", "zaamo"},
    {"a", "zaamo zalrsc"},
    {"h", "sv39"},
    {"sv57", "sv48"},
    {"sv48", "sv39"},
};

static bool is_text(const char *text, const char *s, size_t n)
{
    return strlen(text) == n && !strncmp(text, s, n);
}

static bool *find(Exts *e, const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        if (is_text(features[i].text, s, n)) {
            return &e->cpu.has[features[i].id];
        }
    }
    for (size_t i = 0; i < EXT_OTHERS; i++) {
        if (is_text(others[i], s, n)) {
            return &e->other[i];
        }
    }
    return NULL;
}

static void take(Exts *e, const char *s, size_t n) // NOLINT(misc-no-recursion): as deep as `implied`
{
    bool *has = find(e, s, n);
    if (has) {
        *has = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(implied); i++) {
        const char *f = is_text(implied[i].name, s, n) ? implied[i].follows : "";
        while (*f) {
            size_t len = strcspn(f, " ");
            take(e, f, len);
            f += len + strspn(f + len, " ");
        }
    }
}

/* A name with its version, "zba1p0" or "sv39": a number at the end is a part of some names. */
static void take_versioned(Exts *e, const char *s, size_t n)
{
    size_t k = n;
    if (find(e, s, n)) {
        take(e, s, n);
        return;
    }
    while (k && isdigit((unsigned char)s[k - 1])) {
        k--;
    }
    if (k > 1 && k < n && s[k - 1] == 'p' && isdigit((unsigned char)s[k - 2])) {
        k--;
        while (k && isdigit((unsigned char)s[k - 1])) {
            k--;
        }
    }
    take(e, s, k);
}

/* The letters that come first, each with a version or not: n characters were theirs. */
static size_t take_letters(Exts *e, const char *s)
{
    size_t i = 0;
    while (s[i] && !strchr("_zsx", s[i])) {
        size_t digits;
        take(e, s + i, 1);
        i++;
        digits = strspn(s + i, "0123456789");
        i += digits;
        if (digits && s[i] == 'p' && isdigit((unsigned char)s[i + 1])) {
            i += 1 + strspn(s + i + 1, "0123456789");
        }
    }
    return i;
}

static Exts exts_of(const char *isa)
{
    enum { MAX_ISA = 4096 };
    Exts e = {.cpu.has[NEED_ALWAYS] = true};
    char s[MAX_ISA] = "";
    size_t n = 0;
    for (; isa[n] && n + 1 < sizeof s; n++) {
        s[n] = (char)tolower((unsigned char)isa[n]);
    }
    s[n] = '\0';
    size_t at = strncmp(s, "rv64", 4) != 0 ? 0 : 4 + take_letters(&e, s + 4);
    while (s[at]) {
        size_t len = strcspn(s + at, "_");
        take_versioned(&e, s + at, len);
        at += len + (s[at + len] == '_');
    }
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        e.cpu.has[hidden[i]] = true; /* no string says so, and none says the contrary */
    }
    e.cpu.has[NEED_A] |= e.other[EXT_zaamo] && e.other[EXT_zalrsc];
    e.cpu.has[NEED_C] |= e.other[EXT_zca];
    riscv_rows_settle(&e.cpu);
    e.cpu.has[NEED_Zcd] &= e.other[EXT_zcd]; /* D and Zca alone are not it */
    e.other[EXT_zcd] = e.cpu.has[NEED_Zcd];
    return e;
}

bool exts_isa_has(const char *isa, const char *name)
{
    Exts e = exts_of(isa);
    const bool *has = find(&e, name, strlen(name));
    return has && *has;
}

const char *exts_name(size_t i)
{
    return i < ARRAY_LEN(features)                ? features[i].text
           : i < ARRAY_LEN(features) + EXT_OTHERS ? others[i - ARRAY_LEN(features)]
                                                  : NULL;
}

/* ---- instructions ---- */
static RiscvNeed need_of(unsigned row, const Rv64Args *a)
{
    RiscvNeed need = riscv_row_need(row);
    if (need != NEED_Zicsr) {
        return need;
    }
    bool is_write = row == RV64_csrrw || row == RV64_csrrwi;
    const Csr *csr = riscv_csr((unsigned)a->csr);
    bool is_trap = is_write && riscv_csr_is_read_only((unsigned)a->csr); /* unimp is one */
    return csr && csr->need != NEED_ALWAYS && !is_trap ? csr->need : need;
}

/* "HAS(Zbb) || HAS(Zbkb)", a condition of features.def, as "zbb or zbkb". */
static void need_put(RiscvNeed need, char *text, size_t size)
{
    AsmText o = {.text = text, .size = size};
    text[0] = '\0';
    for (const char *s = need_texts[need]; *s;) {
        char letter[2] = {(char)tolower((unsigned char)*s), '\0'};
        bool is_has = !strncmp(s, "HAS(", 4), is_or = !strncmp(s, "||", 2), is_and = !strncmp(s, "&&", 2);
        asm_str(&o, is_or ? "or" : is_and ? "and" : is_has || *s == ')' ? "" : letter);
        s += is_has ? 4 : is_or || is_and ? 2 : 1;
    }
}

bool exts_code_lacks(const char *isa, const uint8_t *code, size_t n, ExtsLack *out)
{
    Exts e = exts_of(isa);
    for (size_t at = 0, len; at + 2 <= n; at += len) {
        uint32_t w = code[at] | (uint32_t)code[at + 1] << 8;
        Rv64Args args = {0};
        len = (w & 3) == 3 ? 4 : 2;
        if (at + len > n) {
            break;
        }
        if (len == 4) {
            w |= (uint32_t)code[at + 2] << 16 | (uint32_t)code[at + 3] << 24;
        }
        unsigned row = len == 4 ? rv64_decode32(w, &args) : rv64_decode16(w, &args);
        RiscvNeed need = need_of(row, &args);
        if (!e.cpu.has[need]) {
            out->at = at;
            AsmText o = {.text = out->insn, .size = sizeof out->insn};
            asm_str(&o, len == 2 ? "c." : ""); /* assemblers write some of these with it, and some without */
            rv64_asm(&o, row, &args);
            out->insn[strcspn(out->insn, "\t ")] = '\0';
            if (!strncmp(out->insn, "c.c.", 4)) {
                memmove(out->insn, out->insn + 2, strlen(out->insn + 2) + 1);
            }
            need_put(need, out->need, sizeof out->need);
            return true;
        }
    }
    return false;
}
