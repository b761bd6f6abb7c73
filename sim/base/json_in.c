/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/json_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

JsonIn json_in(const char *name, const void *bytes, size_t n, Err *err)
{
    return (JsonIn){.name = name, .start = bytes, .at = bytes, .end = (const char *)bytes + n, .err = err};
}

/* ---- failures ---- */
static int fail_at(JsonIn *j, const char *at, int code, const char *text)
{
    unsigned long line = 1, column = 1;
    for (const char *p = j->start; p < at; p++) {
        line += *p == '\n';
        column = *p == '\n' ? 1 : column + 1;
    }
    j->rc = err_set(j->err, code, "%s:%lu:%lu: %s", j->name, line, column, text);
    j->end = j->at; /* nothing is left to be read */
    return j->rc;
}

int json_in_fail(JsonIn *j, int code, const char *fmt, ...)
{
    if (!j->rc) {
        Buf text = {0};
        va_list args;
        va_start(args, fmt);
        buf_vprintf(&text, fmt, args);
        va_end(args);
        fail_at(j, j->at, code, buf_text(&text));
        buf_free(&text);
    }
    return j->rc;
}

static void expected(JsonIn *j, const char *what)
{
    if (j->rc) {
        return;
    }
    if (j->at == j->end) {
        json_in_fail(j, ERR_INVAL, "expected %s, but the text ends", what);
    } else if ((unsigned char)*j->at < 0x20 || (unsigned char)*j->at >= 0x7f) {
        json_in_fail(j, ERR_INVAL, "expected %s, got byte 0x%02x", what, (unsigned char)*j->at);
    } else {
        json_in_fail(j, ERR_INVAL, "expected %s, got `%c`", what, *j->at);
    }
}

/* ---- tokens ---- */
static void skip_space(JsonIn *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r')) {
        j->at++;
    }
}

char json_in_peek(JsonIn *j)
{
    skip_space(j);
    if (j->rc || j->at == j->end) {
        return 0;
    }
    char c = *j->at;
    return c == '-' || (c >= '0' && c <= '9') ? '0' : strchr("{[\"tfn", c) ? c : 0;
}

static bool take(JsonIn *j, char c)
{
    skip_space(j);
    if (j->rc || j->at == j->end || *j->at != c) {
        return false;
    }
    j->at++;
    return true;
}

void json_in_open(JsonIn *j, char bracket)
{
    assert(bracket == '{' || bracket == '[');
    if (!take(j, bracket)) {
        expected(j, bracket == '{' ? "an object" : "an array");
    } else if (j->depth == JSON_DEPTH) {
        json_in_fail(j, ERR_LIMIT, "nested deeper than %d", JSON_DEPTH);
    } else {
        j->kind[j->depth] = bracket;
        j->has_item[j->depth++] = false;
    }
}

/* At a further item, with the comma before it taken; or the container has ended. */
static bool next(JsonIn *j, char open, char close)
{
    if (j->rc) {
        return false;
    }
    assert(j->depth && j->kind[j->depth - 1] == open);
    if (take(j, close)) {
        j->depth--;
        return false;
    }
    if (j->has_item[j->depth - 1] && !take(j, ',')) {
        expected(j, open == '{' ? "`,` or `}`" : "`,` or `]`");
        return false;
    }
    j->has_item[j->depth - 1] = true;
    skip_space(j);
    return true;
}

bool json_in_item(JsonIn *j)
{
    return next(j, '[', ']');
}

/* ---- strings ---- */
static void utf8_put(Buf *out, unsigned code)
{
    if (code < 0x80) {
        buf_char(out, (char)code);
    } else if (code < 0x800) {
        buf_char(out, (char)(0xc0 | code >> 6));
        buf_char(out, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_char(out, (char)(0xe0 | code >> 12));
        buf_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_char(out, (char)(0x80 | (code & 0x3f)));
    } else {
        buf_char(out, (char)(0xf0 | code >> 18));
        buf_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_char(out, (char)(0x80 | (code & 0x3f)));
    }
}

static bool hex4(JsonIn *j, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        char c = j->at < j->end ? *j->at : 0;
        unsigned digit = hex_digit(c);
        if (digit == 16) {
            expected(j, "four hexadecimal digits");
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

/* After "\u". A pair of surrogates is one character. */
static void unicode_escape(JsonIn *j, Buf *out)
{
    unsigned code = 0, low = 0;
    if (!hex4(j, &code)) {
        return;
    }
    if (code >= 0xd800 && code < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
        j->at += 2;
        if (!hex4(j, &low)) {
            return;
        }
        code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : 0;
    }
    if (!code || (code >= 0xd800 && code < 0xe000)) {
        json_in_fail(j, ERR_INVAL, "a character that cannot be in a text");
        return;
    }
    utf8_put(out, code);
}

static void escape(JsonIn *j, Buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->at < j->end ? *j->at : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        buf_char(out, to[known - from]);
        j->at++;
    } else if (c == 'u') {
        j->at++;
        unicode_escape(j, out);
    } else {
        expected(j, "an escape: one of \" \\ / b f n r t u");
    }
}

size_t json_utf8_length(const char *p, const char *end)
{
    unsigned char b[4] = {0};
    size_t have = (size_t)(end - p) < 4 ? (size_t)(end - p) : 4;
    memcpy(b, p, have);
    size_t n = b[0] < 0x80 ? 1 : b[0] >= 0xc2 && b[0] < 0xe0 ? 2 : b[0] >= 0xe0 && b[0] < 0xf0 ? 3 : 4;
    bool is_bad = n > have || (n == 4 && (b[0] < 0xf0 || b[0] > 0xf4)) || (b[0] == 0xe0 && b[1] < 0xa0) ||
                  (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f);
    for (size_t i = 1; i < n; i++) {
        is_bad = is_bad || (b[i] & 0xc0) != 0x80;
    }
    return is_bad ? 0 : n;
}

static void string(JsonIn *j, Buf *out)
{
    buf_clear(out);
    while (!j->rc && (j->at == j->end || *j->at != '"')) {
        size_t n = j->at < j->end ? json_utf8_length(j->at, j->end) : 0;
        if (n && *j->at == '\\') {
            j->at++;
            escape(j, out);
        } else if (!n || (unsigned char)*j->at < 0x20) {
            expected(j, "a character of a string, in UTF-8");
        } else {
            buf_bytes(out, j->at, n);
            j->at += n;
        }
        if (out->n > JSON_TEXT_MAX) {
            json_in_fail(j, ERR_LIMIT, "a string of more than %d bytes", JSON_TEXT_MAX);
        }
    }
    if (!j->rc) {
        j->at++;
    } else {
        buf_clear(out);
    }
}

void json_in_str(JsonIn *j, Buf *text)
{
    buf_clear(text);
    if (take(j, '"')) {
        string(j, text);
    } else {
        expected(j, "a string");
    }
}

bool json_in_key(JsonIn *j, Buf *key)
{
    buf_clear(key);
    if (!next(j, '{', '}')) {
        return false;
    }
    if (!take(j, '"')) {
        expected(j, "a key or `}`");
        return false;
    }
    string(j, key);
    if (!take(j, ':')) {
        expected(j, "`:`");
    }
    return !j->rc;
}

/* ---- numbers and words ---- */
static size_t digits(JsonIn *j)
{
    const char *from = j->at;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9') {
        j->at++;
    }
    return (size_t)(j->at - from);
}

uint64_t json_in_u64(JsonIn *j, uint64_t max)
{
    skip_space(j);
    const char *from = j->at;
    size_t n = j->rc ? 0 : digits(j);
    uint64_t value = 0;
    bool is_more = j->at < j->end && strchr(".eE", *j->at) && *j->at;
    if (!n || is_more || (n > 1 && *from == '0')) {
        j->at = from;
        expected(j, "a whole number");
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(from[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            j->at = from;
            json_in_fail(j, ERR_LIMIT, "a number beyond 2^64");
            return 0;
        }
        value = value * 10 + digit;
    }
    if (value > max) {
        j->at = from;
        json_in_fail(j, ERR_LIMIT, "expected a number of at most %llu, got %llu", (unsigned long long)max,
                     (unsigned long long)value);
        return 0;
    }
    return value;
}

double json_in_number(JsonIn *j)
{
    skip_space(j);
    char text[64];
    const char *from = j->at;
    bool is_ok = !j->rc;
    if (is_ok && j->at < j->end && *j->at == '-') {
        j->at++;
    }
    const char *whole = j->at;
    size_t n = is_ok ? digits(j) : 0;
    is_ok = n && (n == 1 || *whole != '0');
    if (is_ok && j->at < j->end && *j->at == '.') {
        j->at++;
        is_ok = digits(j) > 0;
    }
    if (is_ok && j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        j->at += j->at < j->end && (*j->at == '+' || *j->at == '-');
        is_ok = digits(j) > 0;
    }
    size_t length = (size_t)(j->at - from);
    if (!is_ok || length >= sizeof text) {
        j->at = from;
        expected(j, "a number");
        return 0;
    }
    memcpy(text, from, length);
    text[length] = 0;
    return strtod(text, NULL);
}

static bool word(JsonIn *j, const char *text)
{
    size_t n = strlen(text);
    if (j->rc || (size_t)(j->end - j->at) < n || memcmp(j->at, text, n) != 0) {
        return false;
    }
    j->at += n;
    return true;
}

bool json_in_bool(JsonIn *j)
{
    skip_space(j);
    if (word(j, "true")) {
        return true;
    }
    if (!word(j, "false")) {
        expected(j, "true or false");
    }
    return false;
}

/* One value that is no container, or the beginning of one. */
static void skip_one(JsonIn *j, Buf *text)
{
    char kind = json_in_peek(j);
    if (kind == '{' || kind == '[') {
        json_in_open(j, kind);
    } else if (kind == '"') {
        json_in_str(j, text);
    } else if (kind == '0') {
        (void)json_in_number(j);
    } else if (kind == 'n' ? !word(j, "null") : kind ? (json_in_bool(j), false) : true) {
        expected(j, "a value");
    }
}

void json_in_skip(JsonIn *j)
{
    Buf text = {0};
    int depth = j->depth;
    skip_one(j, &text);
    while (!j->rc && j->depth > depth) {
        if (j->kind[j->depth - 1] == '{' ? json_in_key(j, &text) : json_in_item(j)) {
            skip_one(j, &text);
        }
    }
    buf_free(&text);
}

int json_in_end(JsonIn *j)
{
    skip_space(j);
    if (!j->rc && j->at != j->end) {
        expected(j, "the end");
    }
    return j->rc;
}
