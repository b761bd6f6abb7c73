/* SPDX-License-Identifier: Apache-2.0
 * plan_expr.c - the little language of -k:  or := and ("or" and)* ; and := not ("and" not)* ;
 * not := "not" not | "(" or ")" | word word ... */
#include "conformance/plan.h"

#include <ctype.h>
#include <string.h>

enum { EXPR_DEPTH = 64 };

typedef struct {
    const char *at;
    const char *word; /* current token; NULL at the end */
    size_t n;
    const char *text; /* matched against; NULL: parse only */
    unsigned depth;
    const char *wrong; /* first mistake */
} Expr;

static void expr_advance(Expr *e)
{
    while (isspace((unsigned char)*e->at)) {
        e->at++;
    }
    e->word = *e->at ? e->at : NULL;
    if (*e->at == '(' || *e->at == ')') {
        e->at++;
    } else {
        while (*e->at && !isspace((unsigned char)*e->at) && *e->at != '(' && *e->at != ')') {
            e->at++;
        }
    }
    e->n = e->word ? (size_t)(e->at - e->word) : 0;
}

static bool expr_is(const Expr *e, const char *token)
{
    return e->word && e->n == strlen(token) && !memcmp(e->word, token, e->n);
}

static bool expr_is_word(const Expr *e)
{
    static const char *const KEYWORDS[] = {"and", "or", "not", "(", ")"};
    for (size_t i = 0; i < ARRAY_LEN(KEYWORDS); i++) {
        if (expr_is(e, KEYWORDS[i])) {
            return false;
        }
    }
    return e->word != NULL;
}

static bool expr_or(Expr *e);

static bool expr_words(Expr *e)
{
    Buf part = {0};
    while (expr_is_word(e)) {
        if (part.n) {
            buf_char(&part, ' ');
        }
        buf_bytes(&part, e->word, e->n);
        expr_advance(e);
    }
    if (!part.n && !e->wrong) {
        e->wrong = "a word is missing";
    }
    bool is_in = e->text && strcasestr(e->text, buf_text(&part));
    buf_free(&part);
    return is_in;
}

static bool expr_not(Expr *e)
{
    bool is_negated = false;
    while (expr_is(e, "not")) {
        is_negated = !is_negated;
        expr_advance(e);
    }
    bool value = false;
    if (!expr_is(e, "(")) {
        value = expr_words(e);
    } else if (e->depth == EXPR_DEPTH) {
        e->wrong = "too many parentheses";
        e->word = NULL;
    } else {
        e->depth++;
        expr_advance(e);
        value = expr_or(e);
        e->depth--;
        if (!expr_is(e, ")") && !e->wrong) {
            e->wrong = "`)` is missing";
        }
        expr_advance(e);
    }
    return value != is_negated;
}

static bool expr_and(Expr *e)
{
    bool value = expr_not(e);
    while (expr_is(e, "and")) {
        expr_advance(e);
        value = expr_not(e) && value;
    }
    return value;
}

static bool expr_or(Expr *e)
{
    bool value = expr_and(e);
    while (expr_is(e, "or")) {
        expr_advance(e);
        value = expr_and(e) || value;
    }
    return value;
}

int plan_expr_check(const char *expr, Err *err)
{
    Expr e = {.at = expr};
    expr_advance(&e);
    expr_or(&e);
    if (!e.wrong && e.word) {
        e.wrong = "what follows is no part of it";
    }
    return e.wrong ? err_set(err, ERR_INVAL, "-k: `%s`: %s", expr, e.wrong) : 0;
}

bool plan_expr_match(const char *expr, const char *text)
{
    Expr e = {.at = expr, .text = text};
    expr_advance(&e);
    return expr_or(&e);
}
