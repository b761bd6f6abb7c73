/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/scenario.h"

#include <ctype.h>
#include <string.h>

/* Precedence as in C, loosest first: | & (<< >>) (+ -) * unary-minus. Nesting is bounded, as text comes from files. */
enum { MAX_NESTING = 32, MAX_NAME = 128 };

typedef struct {
    const char *text, *at;
    int depth;
    bool is_dry; /* parse only: names are reported to each(), none is looked up */
    const Names *names;
    void *ctx;
    void (*each)(void *ctx, const char *name);
    Err *err;
} Parser;

static MUST_USE int wrong(Parser *p, const char *at, const char *what)
{
    size_t col = (size_t)(at - p->text) + 1;
    err_set(p->err, ERR_INVAL, "%s at column %zu of `%.120s`", what, col, p->text);
    if (p->err) {
        p->err->native = (int64_t)col;
    }
    return -ERR_INVAL;
}

static void skip_space(Parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') {
        p->at++;
    }
}

static bool is_name_char(char c, bool is_first)
{
    return c == '_' || isalpha((unsigned char)c) || (!is_first && (isdigit((unsigned char)c) || c == '.'));
}

static MUST_USE int parse_or(Parser *p, uint64_t *out);

static MUST_USE int parse_name(Parser *p, uint64_t *out)
{
    const char *start = p->at++;
    char name[MAX_NAME];
    size_t n = 0;
    while (is_name_char(p->at[n], n == 0)) {
        n++;
    }
    if (!n) {
        return wrong(p, p->at, "expected a name after `$`");
    }
    if (n >= sizeof name) {
        return wrong(p, start, "a name that is too long");
    }
    memcpy(name, p->at, n);
    name[n] = 0;
    p->at += n;
    if (p->is_dry) {
        if (p->each) {
            p->each(p->ctx, name);
        }
        return 0;
    }
    if (p->names && p->names->lookup(p->names->ctx, name, out)) {
        return 0;
    }
    const char *near = p->names && p->names->nearest ? p->names->nearest(p->names->ctx, name) : NULL;
    return near ? err_set(p->err, ERR_NOENT, "unknown name `$%s`; did you mean `$%s`?", name, near)
                : err_set(p->err, ERR_NOENT, "unknown name `$%s`", name);
}

static MUST_USE int parse_number(Parser *p, uint64_t *out)
{
    const char *start = p->at;
    unsigned base = 10;
    if (p->at[0] == '0' && (p->at[1] == 'x' || p->at[1] == 'X')) {
        base = 16;
        p->at += 2;
    } else if (p->at[0] == '0' && isdigit((unsigned char)p->at[1])) {
        return wrong(p, start, "a number with a leading zero (write 0x.. or no zero)");
    }
    uint64_t n = 0;
    const char *digits = p->at;
    for (unsigned d; (d = hex_digit(*p->at)) < base; p->at++) {
        if (n > (UINT64_MAX - d) / base) {
            return wrong(p, start, "a number above 64 bits");
        }
        n = n * base + d;
    }
    if (p->at == digits || is_name_char(*p->at, false)) {
        return wrong(p, start, "expected a decimal or 0x number");
    }
    *out = n;
    return 0;
}

static MUST_USE int parse_atom(Parser *p, uint64_t *out)
{
    skip_space(p);
    if (*p->at == '$') {
        return parse_name(p, out);
    }
    if (isdigit((unsigned char)*p->at)) {
        return parse_number(p, out);
    }
    bool is_minus = *p->at == '-';
    if (!is_minus && *p->at != '(') {
        return wrong(p, p->at, *p->at ? "expected a number, `$name` or `(`" : "expected a value");
    }
    if (++p->depth > MAX_NESTING) {
        return wrong(p, p->at, "nested too deep");
    }
    p->at++;
    int rc = is_minus ? parse_atom(p, out) : parse_or(p, out);
    p->depth--;
    if (rc) {
        return rc;
    }
    if (is_minus) {
        *out = 0 - *out;
        return 0;
    }
    skip_space(p);
    if (*p->at != ')') {
        return wrong(p, p->at, "expected `)`");
    }
    p->at++;
    return 0;
}

static MUST_USE int parse_product(Parser *p, uint64_t *out)
{
    int rc = parse_atom(p, out);
    for (;;) {
        skip_space(p);
        if (rc || *p->at != '*') {
            return rc;
        }
        uint64_t rhs = 0;
        p->at++;
        rc = parse_atom(p, &rhs);
        *out *= rhs;
    }
}

static MUST_USE int parse_sum(Parser *p, uint64_t *out)
{
    int rc = parse_product(p, out);
    for (;;) {
        skip_space(p);
        if (rc || (*p->at != '+' && *p->at != '-')) {
            return rc;
        }
        bool is_plus = *p->at++ == '+';
        uint64_t rhs = 0;
        rc = parse_product(p, &rhs);
        *out = is_plus ? *out + rhs : *out - rhs;
    }
}

static MUST_USE int parse_shift(Parser *p, uint64_t *out)
{
    int rc = parse_sum(p, out);
    for (;;) {
        skip_space(p);
        const char *at = p->at;
        if (rc || !((at[0] == '<' && at[1] == '<') || (at[0] == '>' && at[1] == '>'))) {
            return rc;
        }
        p->at += 2;
        uint64_t rhs = 0;
        rc = parse_sum(p, &rhs);
        if (rc || p->is_dry) {
            continue;
        }
        if (rhs >= 64) {
            return wrong(p, at, "a shift by 64 or more");
        }
        *out = at[0] == '<' ? *out << rhs : *out >> rhs;
    }
}

static MUST_USE int parse_and(Parser *p, uint64_t *out)
{
    int rc = parse_shift(p, out);
    for (;;) {
        skip_space(p);
        if (rc || *p->at != '&') {
            return rc;
        }
        uint64_t rhs = 0;
        p->at++;
        rc = parse_shift(p, &rhs);
        *out &= rhs;
    }
}

static MUST_USE int parse_or(Parser *p, uint64_t *out)
{
    int rc = parse_and(p, out);
    for (;;) {
        skip_space(p);
        if (rc || *p->at != '|') {
            return rc;
        }
        uint64_t rhs = 0;
        p->at++;
        rc = parse_and(p, &rhs);
        *out |= rhs;
    }
}

static MUST_USE int parse_whole(Parser *p, uint64_t *out)
{
    *out = 0;
    int rc = parse_or(p, out);
    if (rc) {
        return rc;
    }
    return *p->at ? wrong(p, p->at, "expected an operator: + - * << >> & |") : 0;
}

int expr_eval(const char *text, const Names *names, uint64_t *out, Err *err)
{
    Parser p = {.text = text, .at = text, .names = names, .err = err};
    return parse_whole(&p, out);
}

int expr_names(const char *text, void *ctx, void (*each)(void *ctx, const char *name), Err *err)
{
    Parser p = {.text = text, .at = text, .is_dry = true, .ctx = ctx, .each = each, .err = err};
    uint64_t ignored = 0;
    return parse_whole(&p, &ignored);
}

int value_eval(const Value *v, const Names *names, uint64_t *out, Err *err)
{
    switch (v->kind) {
    case VALUE_INT:
        *out = v->n;
        return 0;
    case VALUE_EXPR: {
        int rc = expr_eval(v->text, names, out, err);
        if (rc && v->pos.line) {
            err_prefix(err, "%s:%u:%u", v->pos.file, v->pos.line, v->pos.col);
        }
        return rc;
    }
    case VALUE_NONE:
    case VALUE_TEXT:
        break;
    }
    return err_set(err, ERR_INVAL, "`%s` is no number", v->text ? v->text : "nothing");
}
