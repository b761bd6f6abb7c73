/* SPDX-License-Identifier: Apache-2.0
 * cpu.c - what a riscv64 cpu has: "rv64gc,svadu=off". */
#include "sim/guest/riscv64/riscv.h"

#include "sim/base/mem.h"

#include <stdio.h>
#include <string.h>

typedef enum { LETTER, NAMED, BASE, MODE, HIDDEN } Kind;
typedef struct {
    const char *text;
    Kind kind;
    RiscvNeed id, requires;
} Feature;
static const Feature features[] = {
#define FEATURE(id_, text_, kind_, requires_)                                                                          \
    {.text = (text_), .kind = (kind_), .id = NEED_##id_, .requires = NEED_##requires_},
#include "sim/guest/riscv64/features.def"
};

typedef enum { UNSAID, ON, OFF } Said;
typedef struct {
    Said of[ARRAY_LEN(features)];
} Wishes;

static bool is_text(const Feature *x, const char *s, size_t n)
{
    return strlen(x->text) == n && !strncmp(x->text, s, n);
}

static const Feature *find(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        if (is_text(&features[i], s, n)) {
            return &features[i];
        }
    }
    return NULL;
}

/* Of the letters, or of the names that begin as a text does, for messages. */
static const char *names(char *text, size_t size, bool is_letter, const char *as, size_t nas)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(features) && n < size; i++) {
        const Feature *x = &features[i];
        if ((x->kind == LETTER) == is_letter && strlen(x->text) >= nas && !strncmp(x->text, as, nas)) {
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? " " : "", x->text);
        }
    }
    return text;
}

static int want_letter(const char *letter, Wishes *w, const char *s, size_t n, Err *err)
{
    char known[64];
    const Feature *x = find(letter, 1);
    if (!x) {
        return err_set(err, ERR_INVAL, "cpu \"%.*s\": there is no extension '%c'; known: %s, and g for imafd", (int)n,
                       s, *letter, names(known, sizeof known, true, "", 0));
    }
    w->of[x - features] = ON;
    return 0;
}

/* The part before the first comma: n characters. */
static int parse_isa(const char *s, size_t n, Wishes *w, Err *err)
{
    if (n < 5 || strncmp(s, "rv64", 4) != 0 || (s[4] != 'i' && s[4] != 'g')) {
        return err_set(err, ERR_INVAL, "cpu \"%.*s\": expected rv64i with extensions, such as rv64imac, or rv64gc",
                       (int)n, s);
    }
    int rc = 0;
    for (size_t i = s[4] == 'i' ? 5 : 4; i < n && rc >= 0; i++) {
        for (const char *letter = s[i] == 'g' ? "mafd" : &s[i]; rc >= 0;) {
            rc = want_letter(letter, w, s, n, err);
            if (s[i] != 'g' || !*++letter) {
                break;
            }
        }
    }
    return rc;
}

static int parse_feature(const char *s, size_t n, Wishes *w, Err *err)
{
    enum { HINT = 2 }; /* letters of a name that are taken for a hint */
    char known[160];
    size_t len = 0;
    while (len < n && s[len] != '=') {
        len++;
    }
    const Feature *x = find(s, len);
    if (!x) {
        (void)names(known, sizeof known, false, s, len < HINT ? len : HINT);
        return err_set(err, ERR_INVAL, "cpu: there is no feature \"%.*s\"; %s%s", (int)len, s,
                       *known ? "near it: " : "conf(1) lists them", known);
    }
    bool is_on = n == len + 3 && !strncmp(s + len, "=on", 3), is_off = n == len + 4 && !strncmp(s + len, "=off", 4);
    if (!is_on && !is_off) {
        return err_set(err, ERR_INVAL, "cpu: \"%.*s\": expected %s=on or %s=off", (int)n, s, x->text, x->text);
    }
    if (is_off && x->kind == BASE) {
        return err_set(err, ERR_INVAL, "cpu: %s cannot be left out", x->text);
    }
    w->of[x - features] = is_on ? ON : OFF;
    return 0;
}

static const char *text_of(RiscvNeed id)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        if (features[i].id == id) {
            return features[i].text;
        }
    }
    return "?";
}

static bool is_wished(const Feature *x, Said said)
{
    return said == UNSAID ? x->kind != LETTER : said == ON;
}

/* Labels that are no features, from those that are. */
void riscv_rows_settle(RiscvCpu *cpu)
{
#define HAS(id)           cpu->has[NEED_##id]
#define ROWS(label, has_) cpu->has[NEED_##label] = (has_);
#include "sim/guest/riscv64/features.def"
#undef HAS
}

/* What lacks something that it requires is off; each round may take away what others require. */
static int settle(const Wishes *w, RiscvCpu *cpu, Err *err)
{
    cpu->has[NEED_ALWAYS] = true;
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        cpu->has[features[i].id] = is_wished(&features[i], w->of[i]);
    }
    for (bool is_done = false; !is_done;) {
        is_done = true;
        for (size_t i = 0; i < ARRAY_LEN(features); i++) {
            const Feature *x = &features[i];
            if (!cpu->has[x->id] || cpu->has[x->requires]) {
                continue;
            }
            if (w->of[i] == ON) {
                return err_set(err, ERR_INVAL, "cpu: %s requires %s, which is off", x->text, text_of(x->requires));
            }
            cpu->has[x->id] = is_done = false;
        }
    }
    riscv_rows_settle(cpu);
    return 0;
}

int riscv_cpu_parse(const char *text, void *cpu, Err *err)
{
    Wishes w = {0};
    RiscvCpu out = {0};
    int rc = 0;
    if (!text) {
        for (size_t i = 0; i < ARRAY_LEN(features); i++) {
            w.of[i] = ON;
        }
    } else {
        size_t n = strcspn(text, ",");
        rc = parse_isa(text, n, &w, err);
        while (rc >= 0 && text[n]) {
            text += n + 1;
            n = strcspn(text, ",");
            rc = parse_feature(text, n, &w, err);
        }
    }
    rc = rc < 0 ? rc : settle(&w, &out, err);
    if (rc >= 0 &&
        !out.has[NEED_C]) { /* instructions would be aligned to 4 bytes and other targets trap: nothing here does */
        rc = err_set(err, ERR_INVAL, "cpu: c cannot be left out");
    }
    if (rc >= 0) {
        memcpy(cpu, &out, sizeof out);
    }
    return rc;
}

/* The hypervisor level is the one that runs the guest. */
void riscv_cpu_virt(void *cpu)
{
    RiscvCpu *c = cpu;
    c->has[NEED_H] = false;
    riscv_rows_settle(c);
}

void riscv_isa_string(const void *cpu, bool with_modes, char *text, size_t size)
{
    const RiscvCpu *c = cpu;
    Buf b = {0};
    buf_str(&b, "rv64i");
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        const Feature *x = &features[i];
        if (c->has[x->id] && x->kind != HIDDEN && (with_modes || x->kind != MODE)) {
            buf_str(&b, x->text[1] ? "_" : "");
            buf_str(&b, x->text);
        }
    }
    snprintf(text, size, "%s", buf_text(&b));
    buf_free(&b);
}

const char *riscv_fdt_mmu(const void *cpu) /* riscv,cpu.yaml: the largest, which implies the others */
{
    const bool *has = ((const RiscvCpu *)cpu)->has;
    return has[NEED_Sv57] ? "riscv,sv57" : has[NEED_Sv48] ? "riscv,sv48" : has[NEED_Sv39] ? "riscv,sv39" : "riscv,none";
}

uint64_t riscv_misa(const RiscvCpu *cpu) /* Priv 3.1.1: MXL 64; S and U are always there */
{
    uint64_t misa = 2ull << 62 | 1u << ('I' - 'A') | 1u << ('S' - 'A') | 1u << ('U' - 'A');
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        if (cpu->has[features[i].id] && !features[i].text[1]) {
            misa |= 1u << (features[i].text[0] - 'a');
        }
    }
    return misa;
}
