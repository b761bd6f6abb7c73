/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/pattern.h"
#include "conformance/story_int.h"

#include <inttypes.h>
#include <string.h>

enum { SHOW_TEXT = 160, SHOW_ITEMS = 32 };

void number_print(Buf *out, uint64_t n)
{
    buf_printf(out, n < 10 ? "%" PRIu64 : "0x%" PRIx64, n);
}

void place_print(Buf *out, const World *w, uint64_t addr)
{
    if (!w || !world_describe(w, addr, out)) {
        number_print(out, addr);
    }
}

static void shown_print(Buf *out, const World *w, uint64_t n, bool is_place)
{
    if (is_place) {
        place_print(out, w, n);
    } else {
        number_print(out, n);
    }
}

/* Quoted, control characters escaped; of a long text only the end, as that is where it went wrong. */
static void text_print(Buf *out, const char *text, size_t n)
{
    buf_str(out, n > SHOW_TEXT ? "..\"" : "\"");
    for (size_t i = n > SHOW_TEXT ? n - SHOW_TEXT : 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') {
            buf_str(out, "\\n");
        } else if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_char(out, (char)c);
        }
    }
    buf_char(out, '"');
}

static void value_print(const MatchCtx *x, const Value *v, bool is_place, Buf *out)
{
    uint64_t n;
    Err err = {0};
    switch (v->kind) {
    case VALUE_NONE:
        buf_str(out, "nothing");
        return;
    case VALUE_TEXT:
        if (x->is_word) {
            buf_str(out, v->text);
        } else {
            text_print(out, v->text, strlen(v->text));
        }
        return;
    case VALUE_INT:
        if (v->is_negative) {
            buf_printf(out, "%" PRId64, (int64_t)v->n);
        } else {
            number_print(out, v->n);
        }
        return;
    case VALUE_EXPR:
        if (value_eval(v, x->names, &n, &err)) {
            buf_printf(out, "%s (%s)", v->text, err.text);
        } else {
            shown_print(out, x->w, n, is_place);
        }
        return;
    }
}

static void items_print(const MatchCtx *x, const Matcher *m, bool is_place, Buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < m->n && i < SHOW_ITEMS; i++) {
        buf_str(out, i ? ", " : "");
        value_print(x, &m->items[i], is_place, out);
    }
    buf_str(out, m->n > SHOW_ITEMS ? ", ..]" : "]");
}

void matcher_print(const MatchCtx *x, const Matcher *m, bool is_place, Buf *out)
{
    switch (m->kind) {
    case MATCH_eq:
        value_print(x, &m->a, is_place, out);
        return;
    case MATCH_not:
        buf_str(out, "not ");
        if (m->sub) {
            matcher_print(x, m->sub, is_place, out);
        }
        return;
    case MATCH_in:
        buf_str(out, "one of ");
        items_print(x, m, is_place, out);
        return;
    case MATCH_list:
        items_print(x, m, false, out);
        return;
    case MATCH_range:
        value_print(x, &m->a, is_place, out);
        buf_str(out, " to ");
        value_print(x, &m->b, is_place, out);
        return;
    case MATCH_ge:
        buf_str(out, "at least ");
        value_print(x, &m->a, is_place, out);
        return;
    case MATCH_le:
        buf_str(out, "at most ");
        value_print(x, &m->a, is_place, out);
        return;
    case MATCH_mask:
        value_print(x, &m->b, false, out);
        buf_str(out, " under mask ");
        value_print(x, &m->a, false, out);
        return;
    case MATCH_has:
    case MATCH_lacks:
    case MATCH_match:
        buf_str(out, m->kind == MATCH_has ? "text with " : m->kind == MATCH_lacks ? "text without " : "text like ");
        value_print(x, &m->a, false, out);
        return;
    case MATCH_any:
        buf_str(out, m->as ? "anything" : "any");
        return;
    case MATCH_COUNT:
        return;
    }
}

static uint64_t width_mask(unsigned width_bytes)
{
    return width_bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width_bytes) - 1;
}

/* A literal must fit the field: a comparison modulo the width would let a typo pass. */
static bool literal_fits(const Value *v, uint64_t mask)
{
    if (v->kind != VALUE_INT || mask == UINT64_MAX) {
        return true;
    }
    return v->is_negative ? -v->n <= (mask >> 1) + 1 : v->n <= mask;
}

/* The number of an operand within the width. False: `why` says why there is none. */
static bool operand(const MatchCtx *x, const Value *v, unsigned width_bytes, uint64_t *out)
{
    uint64_t mask = width_mask(width_bytes);
    Err err = {0};
    if (v->kind == VALUE_TEXT || v->kind == VALUE_NONE || value_eval(v, x->names, out, &err)) {
        if (x->why) {
            buf_printf(x->why, "`%s` is no number%s%s", v->text ? v->text : "nothing", err.text[0] ? ": " : "",
                       err.text);
        }
        return false;
    }
    if (!literal_fits(v, mask)) {
        if (x->why) {
            value_print(x, v, false, x->why);
            buf_printf(x->why, " does not fit %u byte%s", width_bytes, width_bytes == 1 ? "" : "s");
        }
        return false;
    }
    *out &= mask;
    return true;
}

typedef enum { CMP_NO, CMP_YES, CMP_SAID } Cmp; /* SAID: no, and why tells */

static Cmp equals(const MatchCtx *x, const Value *v, uint64_t value, unsigned width_bytes)
{
    uint64_t n;
    if (v->kind == VALUE_TEXT && x->is_word) {
        return x->is_word(x->word_ctx, v->text, value) ? CMP_YES : CMP_NO;
    }
    if (!operand(x, v, width_bytes, &n)) {
        return CMP_SAID;
    }
    return n == value ? CMP_YES : CMP_NO;
}

static Cmp compare_int(const MatchCtx *x, const Matcher *m, uint64_t value, unsigned width_bytes)
{
    uint64_t a = 0, b = 0;
    Cmp cmp = CMP_NO;
    switch (m->kind) {
    case MATCH_any:
        return CMP_YES;
    case MATCH_eq:
        return equals(x, &m->a, value, width_bytes);
    case MATCH_not:
        cmp = m->sub ? compare_int(x, m->sub, value, width_bytes) : CMP_YES;
        return cmp == CMP_SAID ? cmp : cmp == CMP_YES ? CMP_NO : CMP_YES;
    case MATCH_in:
        for (size_t i = 0; i < m->n && cmp == CMP_NO; i++) {
            cmp = equals(x, &m->items[i], value, width_bytes);
        }
        return cmp;
    case MATCH_range:
        if (!operand(x, &m->a, width_bytes, &a) || !operand(x, &m->b, width_bytes, &b)) {
            return CMP_SAID;
        }
        return a <= value && value <= b ? CMP_YES : CMP_NO;
    case MATCH_ge:
    case MATCH_le:
        if (!operand(x, &m->a, width_bytes, &a)) {
            return CMP_SAID;
        }
        return (m->kind == MATCH_ge ? value >= a : value <= a) ? CMP_YES : CMP_NO;
    case MATCH_mask:
        if (!operand(x, &m->a, width_bytes, &a) || !operand(x, &m->b, width_bytes, &b)) {
            return CMP_SAID;
        }
        return (value & a) == b ? CMP_YES : CMP_NO;
    case MATCH_has:
    case MATCH_lacks:
    case MATCH_match:
    case MATCH_list:
    case MATCH_COUNT:
        break;
    }
    if (x->why) {
        buf_str(x->why, m->kind == MATCH_list ? "a list cannot match a number"
                                              : "`has`, `lacks` and `match` compare text, this is a number");
    }
    return CMP_SAID;
}

bool match_int(const MatchCtx *x, const Matcher *m, uint64_t value, unsigned width_bytes, bool is_place)
{
    value &= width_mask(width_bytes);
    Cmp cmp = compare_int(x, m, value, width_bytes);
    if (cmp == CMP_YES) {
        if (m->as && x->got) {
            VEC_PUSH(x->got, (Captured){m->as, value});
        }
        return true;
    }
    if (cmp == CMP_NO && x->why) {
        buf_str(x->why, "expected ");
        matcher_print(x, m, is_place, x->why);
        buf_str(x->why, ", got ");
        if (x->got_text) {
            buf_str(x->why, x->got_text);
        } else {
            shown_print(x->why, x->w, value, is_place);
        }
    }
    return false;
}

static bool text_is(const Value *v, const char *text, size_t n)
{
    return v->kind == VALUE_TEXT && strlen(v->text) == n && memcmp(v->text, text, n) == 0;
}

static bool text_has(const Value *v, const char *text, size_t n)
{
    return v->kind == VALUE_TEXT && memmem(text, n, v->text, strlen(v->text)) != NULL;
}

static Cmp compare_text(const MatchCtx *x, const Matcher *m, const char *text, size_t n)
{
    Err err = {0};
    PatternMatch found = {0};
    Cmp cmp = CMP_NO;
    switch (m->kind) {
    case MATCH_any:
        return CMP_YES;
    case MATCH_eq:
        return text_is(&m->a, text, n) ? CMP_YES : CMP_NO;
    case MATCH_not:
        cmp = m->sub ? compare_text(x, m->sub, text, n) : CMP_YES;
        return cmp == CMP_SAID ? cmp : cmp == CMP_YES ? CMP_NO : CMP_YES;
    case MATCH_in:
        for (size_t i = 0; i < m->n; i++) {
            cmp = text_is(&m->items[i], text, n) ? CMP_YES : cmp;
        }
        return cmp;
    case MATCH_has:
        return text_has(&m->a, text, n) ? CMP_YES : CMP_NO;
    case MATCH_lacks:
        return text_has(&m->a, text, n) ? CMP_NO : CMP_YES;
    case MATCH_match:
        if (m->a.kind == VALUE_TEXT && pattern_find(text, n, m->a.text, &found, &err)) {
            if (x->why) {
                buf_printf(x->why, "match: %s", err.text);
            }
            return CMP_SAID;
        }
        return found.is_found ? CMP_YES : CMP_NO;
    case MATCH_range:
    case MATCH_ge:
    case MATCH_le:
    case MATCH_mask:
    case MATCH_list:
    case MATCH_COUNT:
        break;
    }
    if (x->why) {
        buf_str(x->why, "`range`, `ge`, `le`, `mask` and lists compare numbers, this is text");
    }
    return CMP_SAID;
}

bool match_text(const MatchCtx *x, const Matcher *m, const char *text, size_t n)
{
    Cmp cmp = compare_text(x, m, text, n);
    if (cmp == CMP_NO && x->why) {
        buf_str(x->why, "expected ");
        matcher_print(x, m, false, x->why);
        buf_str(x->why, ", got ");
        if (x->is_word) {
            buf_bytes(x->why, text, n);
        } else {
            text_print(x->why, text, n);
        }
    }
    return cmp == CMP_YES;
}

static void bytes_print(Buf *out, const uint8_t *bytes, size_t n)
{
    buf_char(out, '[');
    for (size_t i = 0; i < n && i < SHOW_ITEMS; i++) {
        buf_str(out, i ? ", " : "");
        number_print(out, bytes[i]);
    }
    buf_str(out, n > SHOW_ITEMS ? ", ..]" : "]");
}

/* True: the bytes are those of the list. */
static Cmp compare_bytes(const MatchCtx *x, const Matcher *m, const uint8_t *bytes, size_t n)
{
    Cmp cmp = CMP_YES;
    switch (m->kind) {
    case MATCH_any:
        return CMP_YES;
    case MATCH_list:
        for (size_t i = 0; i < m->n && i < n && cmp == CMP_YES; i++) {
            cmp = equals(x, &m->items[i], bytes[i], 1);
        }
        return cmp == CMP_YES && m->n != n ? CMP_NO : cmp;
    case MATCH_not:
        cmp = m->sub ? compare_bytes(x, m->sub, bytes, n) : CMP_YES;
        return cmp == CMP_SAID ? cmp : cmp == CMP_YES ? CMP_NO : CMP_YES;
    case MATCH_eq:
    case MATCH_in:
    case MATCH_range:
    case MATCH_ge:
    case MATCH_le:
    case MATCH_mask:
    case MATCH_has:
    case MATCH_lacks:
    case MATCH_match:
    case MATCH_COUNT:
        break;
    }
    if (x->why) {
        buf_printf(x->why, "%zu bytes are compared with a list of bytes", n);
    }
    return CMP_SAID;
}

bool match_bytes(const MatchCtx *x, const Matcher *m, const uint8_t *bytes, size_t n)
{
    bool is_list = m->kind == MATCH_list || (m->kind == MATCH_not && m->sub && m->sub->kind == MATCH_list);
    if (n <= 8 && !is_list) {
        Cursor c = cursor_of(bytes, n);
        uint64_t value = cursor_le(&c, n);
        return match_int(x, m, value, (unsigned)n, false);
    }
    Cmp cmp = compare_bytes(x, m, bytes, n);
    if (cmp == CMP_NO && x->why) {
        buf_str(x->why, "expected ");
        matcher_print(x, m, false, x->why);
        buf_str(x->why, ", got ");
        bytes_print(x->why, bytes, n);
    }
    return cmp == CMP_YES;
}
