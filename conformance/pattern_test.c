/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/pattern.h"
#include "sim/base/buf.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *text, *pattern;
    int from, to; /* -1: not found */
} Row;

/* Taken from string.find of Lua 5.4 (from counted from 0, to exclusive). */
static const Row rows[] = {
    {"hello world", "o w", 4, 7},
    {"hello world", "^hello", 0, 5},
    {"hello world", "^world", -1, 0},
    {"hello world", "world$", 6, 11},
    {"a$b", "$b", 1, 3},
    {"Linux version 6.1.0", "Linux version %d+%.%d+", 0, 17},
    {"abc123", "%d+", 3, 6},
    {"abc123", "%a*", 0, 3},
    {"abc123", "%A+", 3, 6},
    {"  x", "%s*%S", 0, 3},
    {"aaa", "a-$", 0, 3},
    {"aaab", "a-b", 0, 4},
    {"<<x>>", "<(.-)>", 0, 4},
    {"f(a(b)c)d", "%b()", 1, 8},
    {"f(a(b)c", "%b()", 3, 6},
    {"THE (quick) fox", "%f[%a]%a+%f[%A]", 0, 3},
    {"THE (quick) fox", "%f[%l]%a+", 5, 10},
    {"abab", "(ab)%1", 0, 4},
    {"abac", "(ab)%1", -1, 0},
    {"x]y", "[]]", 1, 2},
    {"x^y", "[x^]+", 0, 2},
    {"abc", "[^a]+", 1, 3},
    {"a-b", "[a%-]+", 0, 2},
    {"b5", "[a-c][0-9]", 0, 2},
    {"colour", "colou?r", 0, 6},
    {"color", "colou?r", 0, 5},
    {"", "", 0, 0},
    {"abc", "", 0, 0},
    {"abc", "()b()", 1, 2},
    {"a.b", "a%.b", 0, 3},
    {"axb", "a%.b", -1, 0},
    {"x", "%x%x?", -1, 0},
    {"beef", "^%x+$", 0, 4},
    {"hello", "^^", -1, 0},
};

TEST(pattern, finds_what_lua_finds)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const Row *r = &rows[i];
        PatternMatch m = {0};
        Err err = {0};
        CHECK_INT(pattern_find(r->text, strlen(r->text), r->pattern, &m, &err), 0);
        bool is_right = m.is_found == (r->from >= 0);
        is_right &= !m.is_found || (m.from == (size_t)r->from && m.to == (size_t)r->to);
        if (!CHECK(is_right)) {
            printf("    %s in %s: %d %zu %zu\n", r->pattern, r->text, m.is_found, m.from, m.to);
        }
    }
}

static const char *wrong(const char *pattern)
{
    static Err err;
    PatternMatch m;
    err = (Err){0};
    CHECK_INT(pattern_find("aaaa", 4, pattern, &m, &err), (uint64_t)-ERR_INVAL);
    return err.text;
}

TEST(pattern, malformed_patterns_are_refused)
{
    CHECK_STR(wrong("a%"), "malformed pattern (ends with '%')");
    CHECK_STR(wrong("[a"), "malformed pattern (missing ']')");
    CHECK_STR(wrong("[a%"), "malformed pattern (missing ']')");
    CHECK_STR(wrong("(a"), "unfinished capture");
    CHECK_STR(wrong("a)"), "invalid pattern capture");
    CHECK_STR(wrong("%1"), "invalid capture index %1 in pattern");
    CHECK_STR(wrong("%b("), "malformed pattern (missing arguments to '%b')");
    CHECK_STR(wrong("%fa"), "missing '[' after '%f' in pattern");
}

TEST(pattern, work_is_bounded)
{
    Buf text = {0}, pattern = {0};
    Err err = {0};
    PatternMatch m;
    for (int i = 0; i < 20000; i++) {
        buf_char(&text, 'a');
    }
    for (int i = 0; i < 20; i++) {
        buf_str(&pattern, ".-");
    }
    buf_char(&pattern, 'b');
    CHECK_INT(pattern_find(text.data, text.n, pattern.data, &m, &err), (uint64_t)-ERR_LIMIT);
    CHECK_STR(err.text, "pattern takes too many steps");
    buf_clear(&pattern);
    for (int i = 0; i < 500; i++) {
        buf_str(&pattern, "a?");
    }
    CHECK_INT(pattern_find(text.data, text.n, pattern.data, &m, &err), (uint64_t)-ERR_LIMIT);
    CHECK_STR(err.text, "pattern too complex");
    buf_free(&text);
    buf_free(&pattern);
}

static int count(void *ctx, uint64_t nsteps, Err *err)
{
    uint64_t *n = ctx;
    *n += nsteps;
    return *n > 100000 ? err_set(err, ERR_BUSY, "enough") : 0;
}

TEST(pattern, searches_report_captures_and_charge_their_steps)
{
    uint64_t nsteps = 0;
    const char *text = "x = 10", *pattern = "(%a+)%s*()=", *balance = "^%b()";
    PatternSearch s = {.text = text,
                       .text_end = text + strlen(text),
                       .pattern = pattern,
                       .pattern_end = pattern + strlen(pattern),
                       .charge = count,
                       .ctx = &nsteps};
    PatternMatch m;
    Err err = {0};
    CHECK_INT(pattern_search(&s, 0, &m, &err), 0);
    CHECK(m.is_found && m.from == 0 && m.to == 3 && s.ncaptures == 2);
    CHECK(s.captures[0].at == text && s.captures[0].n == 1);
    CHECK(s.captures[1].at == text + 2 && s.captures[1].n == PATTERN_POSITION);
    CHECK_INT(pattern_match_at(&s, 1, &m, &err), 0);
    CHECK(!m.is_found);
    Buf big = {0};
    for (int i = 0; i < 200000; i++) {
        buf_char(&big, '(');
    }
    s = (PatternSearch){.text = big.data,
                        .text_end = big.data + big.n,
                        .pattern = balance,
                        .pattern_end = balance + strlen(balance),
                        .charge = count,
                        .ctx = &nsteps};
    CHECK_INT(pattern_search(&s, 0, &m, &err), (uint64_t)-ERR_BUSY);
    CHECK_STR(err.text, "enough");
    CHECK(nsteps > 100000 && nsteps < 100000 + 2 * PATTERN_STEPS_PER_CHARGE);
    CHECK_INT(pattern_match_at(&s, 0, &m, &err), 0); /* ^ is a character here, and the error is not kept */
    CHECK(!m.is_found);
    buf_free(&big);
}
