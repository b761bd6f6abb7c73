/* SPDX-License-Identifier: Apache-2.0
 * softfp_test.c - the rules of vectors.txt */
#include "sim/base/buf.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/softfp/softfp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 12 };

typedef struct {
    const char *name;
    uint32_t value;
} Name;

static const Name modes[] = {{"riscv", FP_MODE_RISCV}, {"x86", FP_MODE_X86_SSE}, {"aarch64", FP_MODE_AARCH64}, {0}};
static const Name mode_bits[] = {{"fz_in", FPM_FZ_IN},       {"fz_out", FPM_FZ_OUT},           {"fz16_in", FPM_FZ16_IN},
                                 {"fz16_out", FPM_FZ16_OUT}, {"uf_if_exact", FPM_UF_IF_EXACT}, {0}};
static const Name formats[] = {{"f16", FMT_F16}, {"bf16", FMT_BF16}, {"f32", FMT_F32}, {"f64", FMT_F64}, {0}};
static const Name ints[] = {{"i32", FP_I32}, {"u32", FP_U32}, {"i64", FP_I64}, {"u64", FP_U64}, {0}};
static const Name rounds[] = {
    {"rne", RM_RNE}, {"rtz", RM_RTZ}, {"rdn", RM_RDN}, {"rup", RM_RUP}, {"rmm", RM_RMM}, {"odd", RM_ODD}, {0}};
static const Name flag_names[] = {
    {"nx", FP_NX}, {"uf", FP_UF}, {"of", FP_OF}, {"dz", FP_DZ}, {"nv", FP_NV}, {"id", FP_ID}, {0}};

static const struct {
    const char *name;
    FpOp1 *op1;
    FpOp2 *op2;
    FpOp3 *op3;
} ops[] = {
    {"add", NULL, fp_add, NULL},
    {"sub", NULL, fp_sub, NULL},
    {"mul", NULL, fp_mul, NULL},
    {"div", NULL, fp_div, NULL},
    {"rem", NULL, fp_rem, NULL},
    {"min", NULL, fp_min, NULL},
    {"max", NULL, fp_max, NULL},
    {"minnum", NULL, fp_minnum, NULL},
    {"maxnum", NULL, fp_maxnum, NULL},
    {"compare", NULL, fp_compare, NULL},
    {"compare_signal", NULL, fp_compare_signal, NULL},
    {"sqrt", fp_sqrt, NULL, NULL},
    {"round_int", fp_round_int, NULL, NULL},
    {"round_int_exact", fp_round_int_exact, NULL, NULL},
    {"fma", NULL, NULL, fp_fma},
};

static bool find(const Name *list, const char *name, uint32_t *value)
{
    for (; list->name; list++) {
        if (!strcmp(list->name, name)) {
            *value = list->value;
            return true;
        }
    }
    return false;
}

/* Words joined by a separator, as the union of their bits: a mode starts with its guest. */
static bool parse_bits(char *text, const Name *first, const Name *rest, const char *separator, uint32_t *bits)
{
    char *state = NULL;
    const Name *list = first;
    *bits = 0;
    for (char *word = strtok_r(text, separator, &state); word; word = strtok_r(NULL, separator, &state)) {
        uint32_t bit = 0;
        if (!strcmp(word, "dn")) {
            *bits &= ~(uint32_t)FPM_NAN_RULE;
        } else if (!find(list, word, &bit)) {
            return false;
        }
        *bits |= bit;
        list = rest;
    }
    return true;
}

typedef struct {
    const char *op;
    uint32_t mode, fmt, rm, flags;
    uint64_t v[3], result;
} Vector;

/* word: mode op format rm operand... -> result flags */
static bool parse(char **word, int nwords, Vector *out)
{
    int nsrc = nwords - 7;
    if (nsrc < 1 || nsrc > 3 || strcmp(word[nwords - 3], "->") != 0) {
        return false;
    }
    for (int i = 0; i < nsrc; i++) {
        out->v[i] = strtoull(word[4 + i], NULL, 16);
    }
    out->op = word[1];
    out->result = strtoull(word[nwords - 2], NULL, 16);
    return parse_bits(word[0], modes, mode_bits, "+", &out->mode) && find(formats, word[2], &out->fmt) &&
           find(rounds, word[3], &out->rm) &&
           (!strcmp(word[nwords - 1], "-") || parse_bits(word[nwords - 1], flag_names, flag_names, ",", &out->flags));
}

/* to_f32, to_i32, to_i32.8, from_u64, class, negate */
static bool run_other(const Vector *t, uint64_t *result, uint32_t *flags)
{
    FpFmt fmt = (FpFmt)t->fmt;
    FpRound rm = (FpRound)t->rm;
    char name[16], *dot;
    uint32_t type;
    bool is_from = !strncmp(t->op, "from_", 5), is_to = !strncmp(t->op, "to_", 3);
    snprintf(name, sizeof name, "%s", t->op + (is_from ? 5 : is_to ? 3 : 0));
    dot = strchr(name, '.');
    unsigned fbits = dot ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
    if (dot) {
        *dot = 0;
    }
    if (is_from && find(ints, name, &type)) {
        *result = fp_from_int(fmt, t->v[0], (FpInt)type, fbits, rm, t->mode, flags);
    } else if (is_to && find(ints, name, &type)) {
        *result = fp_to_int(fmt, t->v[0], (FpInt)type, fbits, rm, t->mode, flags);
    } else if (is_to && find(formats, name, &type)) {
        *result = fp_convert((FpFmt)type, fmt, t->v[0], rm, t->mode, flags);
    } else if (!strcmp(name, "class")) {
        *result = fp_class(fmt, t->v[0]);
    } else if (!strcmp(name, "negate")) {
        *result = fp_negate(fmt, t->v[0], t->mode);
    } else {
        return false;
    }
    return true;
}

static bool run(const Vector *t, uint64_t *result, uint32_t *flags)
{
    FpFmt fmt = (FpFmt)t->fmt;
    FpRound rm = (FpRound)t->rm;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!strcmp(ops[i].name, t->op)) {
            *result = ops[i].op1   ? ops[i].op1(fmt, t->v[0], rm, t->mode, flags)
                      : ops[i].op2 ? ops[i].op2(fmt, t->v[0], t->v[1], rm, t->mode, flags)
                                   : ops[i].op3(fmt, t->v[0], t->v[1], t->v[2], rm, t->mode, flags);
            return true;
        }
    }
    return run_other(t, result, flags);
}

static void check_line(char *line, int number)
{
    char text[160], *word[MAX_WORDS], *state = NULL;
    int nwords = 0;
    snprintf(text, sizeof text, "vectors.txt:%d: %s", number, line);
    for (char *w = strtok_r(line, " ", &state); w && nwords < MAX_WORDS; w = strtok_r(NULL, " ", &state)) {
        word[nwords++] = w;
    }
    Vector t = {0};
    uint64_t result = 0;
    uint32_t flags = 0;
    bool is_read = parse(word, nwords, &t) && run(&t, &result, &flags);
    bool ok = is_read && result == t.result && flags == t.flags;
    if (!test_check(ok, __FILE__, __LINE__, text)) {
        printf("    got  %" PRIx64 " flags %#x%s\n", result, flags, is_read ? "" : " (the line is not understood)");
    }
}

TEST(softfp, each_recorded_rule_holds)
{
    Buf file = {0};
    if (!CHECK_INT(os_read_file("sim/softfp/vectors.txt", 1 << 20, &file, NULL), 0)) {
        return;
    }
    int number = 0, nvectors = 0;
    for (char *line = (char *)(uintptr_t)buf_text(&file), *end; line; line = end) {
        end = strchr(line, '\n');
        if (end) {
            *end++ = 0;
        }
        number++;
        if (*line && *line != '#') {
            check_line(line, number);
            nvectors++;
        }
    }
    CHECK(nvectors > 300);
    buf_free(&file);
}

/* Callers pass whole registers: what stands above a narrow format is not theirs to clear. */
TEST(softfp, bits_above_the_format_are_ignored_and_come_out_as_zero)
{
    const uint64_t above = UINT64_C(0xdeadbeef00000000), one = 0x3f800000, two = 0x40000000;
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        Vector clean = {.op = ops[i].name, .mode = FP_MODE_X86_SSE, .fmt = FMT_F32, .v = {one, two, one}};
        Vector dirty = {
            .op = ops[i].name, .mode = FP_MODE_X86_SSE, .fmt = FMT_F32, .v = {one | above, two | above, one | above}};
        uint64_t want = 0, got = 0;
        CHECK(run(&clean, &want, &flags) && run(&dirty, &got, &flags));
        CHECK_INT(got, want);
    }
    CHECK_INT(fp_negate(FMT_F32, above | one, FP_MODE_RISCV), 0xbf800000);
    CHECK_INT(fp_class(FMT_F32, above | one), FP_CLASS_NORMAL);
    CHECK_INT(fp_convert(FMT_F64, FMT_F32, above | one, RM_RNE, FP_MODE_RISCV, &flags), UINT64_C(0x3ff0000000000000));
    CHECK_INT(fp_to_int(FMT_F32, above | two, FP_I64, 0, RM_RNE, FP_MODE_RISCV, &flags), 2);
    CHECK_INT(fp_min(FMT_F32, above | 0x7fc00000, above | one, RM_RNE, FP_MODE_X86_SSE, &flags), one);
}

TEST(softfp, flags_accumulate_and_are_never_cleared)
{
    uint32_t flags = FP_DZ | FP_ID;
    fp_add(FMT_F64, 0x3ff0000000000000, 1, RM_RNE, FP_MODE_RISCV, &flags);
    CHECK_INT(flags, FP_DZ | FP_ID | FP_NX);
}
