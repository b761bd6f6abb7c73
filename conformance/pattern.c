/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/pattern.h"

#include <ctype.h>
#include <string.h>

static const char *attempt(PatternSearch *s, const char *t, const char *p);

static const char *wrong(PatternSearch *s, int code, const char *why)
{
    if (s->rc == 0) {
        s->rc = err_set(s->err, code, "%s", why);
    }
    return NULL;
}

static void step(PatternSearch *s, size_t n)
{
    s->nsteps += n;
    if (s->nsteps >= PATTERN_STEPS_PER_CHARGE && s->rc == 0) {
        uint64_t nsteps = s->nsteps;
        s->nsteps = 0;
        s->rc = s->charge ? s->charge(s->ctx, nsteps, s->err) : 0;
    }
}

/* The end of the single-character item at p ("a", "%d", "[a-z]"); NULL with the error recorded. */
static const char *item_end(PatternSearch *s, const char *p)
{
    if (*p == '%') {
        return p + 1 == s->pattern_end ? wrong(s, ERR_INVAL, "malformed pattern (ends with '%')") : p + 2;
    }
    if (*p++ != '[') {
        return p;
    }
    if (p < s->pattern_end && *p == '^') {
        p++;
    }
    do { /* the first character of a set is never its end, so that []] works */
        if (p == s->pattern_end) {
            return wrong(s, ERR_INVAL, "malformed pattern (missing ']')");
        }
        if (*p++ == '%') {
            if (p == s->pattern_end) {
                return wrong(s, ERR_INVAL, "malformed pattern (missing ']')");
            }
            p++;
        }
    } while (p == s->pattern_end || *p != ']');
    return p + 1;
}

static bool class_has(int class, int c)
{
    bool is;
    switch (tolower(class)) {
    case 'a':
        is = isalpha(c);
        break;
    case 'c':
        is = iscntrl(c);
        break;
    case 'd':
        is = isdigit(c);
        break;
    case 'g':
        is = isgraph(c);
        break;
    case 'l':
        is = islower(c);
        break;
    case 'p':
        is = ispunct(c);
        break;
    case 's':
        is = isspace(c);
        break;
    case 'u':
        is = isupper(c);
        break;
    case 'w':
        is = isalnum(c);
        break;
    case 'x':
        is = isxdigit(c);
        break;
    case 'z': /* not in the manual any more, but in Lua */
        is = c == 0;
        break;
    default:
        return class == c; /* an escaped character */
    }
    return isupper(class) ? !is : is;
}

/* p stands on `[`, end on the closing `]`. */
static bool set_has(const char *p, const char *end, int c)
{
    bool is_member = true;
    if (p[1] == '^') {
        is_member = false;
        p++;
    }
    while (++p < end) {
        if (*p == '%') {
            p++;
            if (class_has((unsigned char)*p, c)) {
                return is_member;
            }
        } else if (p[1] == '-' && p + 2 < end) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) {
                return is_member;
            }
        } else if ((unsigned char)*p == c) {
            return is_member;
        }
    }
    return !is_member;
}

static bool item_has(PatternSearch *s, const char *t, const char *p, const char *end)
{
    step(s, *p == '[' ? (size_t)(end - p) : 1);
    if (t >= s->text_end || s->rc) {
        return false;
    }
    int c = (unsigned char)*t;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return class_has((unsigned char)p[1], c);
    case '[':
        return set_has(p, end - 1, c);
    default:
        return (unsigned char)*p == c;
    }
}

static const char *match_balance(PatternSearch *s, const char *t, const char *p)
{
    if (s->pattern_end - p < 2) {
        return wrong(s, ERR_INVAL, "malformed pattern (missing arguments to '%b')");
    }
    if (t >= s->text_end || *t != p[0]) {
        return NULL;
    }
    for (size_t level = 1; ++t < s->text_end && s->rc == 0;) {
        step(s, 1);
        if (*t == p[1]) {
            if (--level == 0) {
                return t + 1;
            }
        } else if (*t == p[0]) {
            level++;
        }
    }
    return NULL;
}

static const char *expand_most(PatternSearch *s, const char *t, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    while (item_has(s, t + n, p, end)) {
        n++;
    }
    for (; n >= 0 && s->rc == 0; n--) {
        const char *at = attempt(s, t + n, end + 1);
        if (at) {
            return at;
        }
    }
    return NULL;
}

static const char *expand_least(PatternSearch *s, const char *t, const char *p, const char *end)
{
    while (s->rc == 0) {
        const char *at = attempt(s, t, end + 1);
        if (at) {
            return at;
        }
        if (!item_has(s, t, p, end)) {
            return NULL;
        }
        t++;
    }
    return NULL;
}

static const char *capture_open(PatternSearch *s, const char *t, const char *p, ptrdiff_t what)
{
    if (s->ncaptures >= PATTERN_MAX_CAPTURES) {
        return wrong(s, ERR_INVAL, "too many captures");
    }
    s->captures[s->ncaptures].at = t;
    s->captures[s->ncaptures].n = what;
    s->ncaptures++;
    const char *at = attempt(s, t, p);
    if (!at) {
        s->ncaptures--;
    }
    return at;
}

static const char *capture_close(PatternSearch *s, const char *t, const char *p)
{
    int k = s->ncaptures - 1;
    while (k >= 0 && s->captures[k].n != PATTERN_OPEN) {
        k--;
    }
    if (k < 0) {
        return wrong(s, ERR_INVAL, "invalid pattern capture");
    }
    s->captures[k].n = t - s->captures[k].at;
    const char *at = attempt(s, t, p);
    if (!at) {
        s->captures[k].n = PATTERN_OPEN;
    }
    return at;
}

/* %1..%9: the text of a capture again. */
static const char *match_again(PatternSearch *s, const char *t, char digit)
{
    int k = digit - '1';
    if (k < 0 || k >= s->ncaptures || s->captures[k].n == PATTERN_OPEN) {
        if (s->rc == 0) {
            s->rc = err_set(s->err, ERR_INVAL, "invalid capture index %%%d in pattern", k + 1);
        }
        return NULL;
    }
    if (s->captures[k].n == PATTERN_POSITION) { /* Lua compares with a length that no text has */
        return NULL;
    }
    size_t n = (size_t)s->captures[k].n;
    step(s, n / 16 + 1);
    return (size_t)(s->text_end - t) >= n && memcmp(s->captures[k].at, t, n) == 0 ? t + n : NULL;
}

/* %f[set]: a place where the set begins to hold; both ends of the text count as the character 0. */
static const char *match_frontier(PatternSearch *s, const char *t, const char *p, const char *end)
{
    step(s, (size_t)(end - p));
    int before = t == s->text ? 0 : (unsigned char)t[-1];
    int here = t == s->text_end ? 0 : (unsigned char)*t;
    return !set_has(p, end - 1, before) && set_has(p, end - 1, here) ? t : NULL;
}

/* The special items that consume a known piece and let the loop go on: sets *p behind the item. False: none of them. */
static bool match_special(PatternSearch *s, const char **t, const char **p)
{
    const char *q = *p;
    if (*q != '%' || q + 1 == s->pattern_end) {
        return false;
    }
    if (q[1] == 'b') {
        *t = match_balance(s, *t, q + 2);
        *p = q + 4;
        return true;
    }
    if (q[1] == 'f') {
        if (q + 2 == s->pattern_end || q[2] != '[') {
            *t = wrong(s, ERR_INVAL, "missing '[' after '%f' in pattern");
            return true;
        }
        const char *end = item_end(s, q + 2);
        *t = end ? match_frontier(s, *t, q + 2, end) : NULL;
        *p = end;
        return true;
    }
    if (isdigit((unsigned char)q[1])) {
        *t = match_again(s, *t, q[1]);
        *p = q + 2;
        return true;
    }
    return false;
}

/* One single-character item with its suffix. True: *t and *p moved on (t NULL: no match); false: *t is the answer. */
static bool match_item(PatternSearch *s, const char **t, const char **p)
{
    const char *end = item_end(s, *p);
    if (!end) {
        *t = NULL;
        return false;
    }
    char suffix = end < s->pattern_end ? *end : '\0';
    bool has = item_has(s, *t, *p, end);
    if (suffix == '?') {
        const char *at = has ? attempt(s, *t + 1, end + 1) : NULL;
        if (at) {
            *t = at;
            return false;
        }
        *p = end + 1;
        return s->rc == 0;
    }
    if (suffix == '*' || suffix == '+' || suffix == '-') {
        if (suffix == '-') {
            *t = expand_least(s, *t, *p, end);
        } else if (suffix == '*') {
            *t = expand_most(s, *t, *p, end);
        } else {
            *t = has ? expand_most(s, *t + 1, *p, end) : NULL;
        }
        return false;
    }
    *t = has ? *t + 1 : NULL;
    *p = end;
    return true;
}

static const char *attempt_inner(PatternSearch *s, const char *t, const char *p)
{
    while (t && s->rc == 0 && p < s->pattern_end) {
        step(s, 1);
        if (*p == '(') {
            bool is_position = p + 1 < s->pattern_end && p[1] == ')';
            return capture_open(s, t, p + (is_position ? 2 : 1), is_position ? PATTERN_POSITION : PATTERN_OPEN);
        }
        if (*p == ')') {
            return capture_close(s, t, p + 1);
        }
        if (*p == '$' && p + 1 == s->pattern_end) {
            return t == s->text_end ? t : NULL;
        }
        if (!match_special(s, &t, &p) && !match_item(s, &t, &p)) {
            return s->rc ? NULL : t;
        }
    }
    return s->rc ? NULL : t;
}

static const char *attempt(PatternSearch *s, const char *t, const char *p)
{
    if (++s->depth > PATTERN_MAX_DEPTH) {
        s->depth--;
        return wrong(s, ERR_LIMIT, "pattern too complex");
    }
    const char *at = attempt_inner(s, t, p);
    s->depth--;
    return at;
}

static int match_at(PatternSearch *s, size_t from, const char *p, PatternMatch *out, Err *err)
{
    const char *t = s->text + from;
    s->ncaptures = 0;
    s->depth = 0;
    s->rc = 0;
    s->err = err;
    const char *end = attempt(s, t, p);
    s->err = NULL;
    *out = end ? (PatternMatch){true, from, (size_t)(end - s->text)} : (PatternMatch){0};
    return s->rc;
}

int pattern_match_at(PatternSearch *s, size_t from, PatternMatch *out, Err *err)
{
    return match_at(s, from, s->pattern, out, err);
}

int pattern_search(PatternSearch *s, size_t from, PatternMatch *out, Err *err)
{
    bool is_anchored = s->pattern < s->pattern_end && *s->pattern == '^';
    size_t n = (size_t)(s->text_end - s->text);
    int rc = 0;
    *out = (PatternMatch){0};
    for (size_t at = from; at <= n && !rc && !out->is_found; at++) {
        rc = match_at(s, at, s->pattern + is_anchored, out, err);
        if (is_anchored) {
            break;
        }
    }
    return rc;
}

static int charge_left(void *ctx, uint64_t nsteps, Err *err)
{
    uint64_t *left = ctx;
    if (nsteps > *left) {
        return err_set(err, ERR_LIMIT, "pattern takes too many steps");
    }
    *left -= nsteps;
    return 0;
}

int pattern_find(const char *text, size_t n, const char *pattern, PatternMatch *out, Err *err)
{
    uint64_t left = PATTERN_MAX_STEPS;
    PatternSearch s = {.text = text,
                       .text_end = text + n,
                       .pattern = pattern,
                       .pattern_end = pattern + strlen(pattern),
                       .charge = charge_left,
                       .ctx = &left};
    int rc = pattern_search(&s, 0, out, err);
    for (int k = 0; !rc && out->is_found && k < s.ncaptures; k++) {
        if (s.captures[k].n == PATTERN_OPEN) { /* Lua finds it when it takes the captures out */
            rc = err_set(err, ERR_INVAL, "unfinished capture");
        }
    }
    return rc;
}
