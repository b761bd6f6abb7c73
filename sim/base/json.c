/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/json_in.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

Json json_to(Buf *out, int indent)
{
    return (Json){.out = out, .indent = indent};
}

static void new_line(Json *j)
{
    if (j->indent) {
        buf_char(j->out, '\n');
        for (int i = 0; i < j->depth * j->indent; i++) {
            buf_char(j->out, ' ');
        }
    }
}

static void before_item(Json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth) {
        if (j->has_item[j->depth - 1]) {
            buf_str(j->out, j->indent ? "," : ", ");
        }
        new_line(j);
        j->has_item[j->depth - 1] = true;
    }
}

void json_open(Json *j, char bracket)
{
    assert(j->depth < JSON_DEPTH);
    before_item(j);
    buf_char(j->out, bracket);
    j->kind[j->depth] = bracket;
    j->has_item[j->depth++] = false;
}

void json_close(Json *j, char bracket)
{
    assert(j->depth > 0 && j->kind[j->depth - 1] == (bracket == '}' ? '{' : '['));
    j->depth--;
    if (j->has_item[j->depth]) {
        new_line(j);
    }
    buf_char(j->out, bracket);
}

static void quoted(Buf *out, const char *text)
{
    buf_char(out, '"');
    const char *end = text + strlen(text);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = json_utf8_length((const char *)s, end);
        if (!n) {
            buf_str(out, "\xef\xbf\xbd");
            s++;
            continue;
        }
        if (*s == '"' || *s == '\\') {
            buf_char(out, '\\');
            buf_char(out, (char)*s);
        } else if (*s == '\n') {
            buf_str(out, "\\n");
        } else if (*s == '\t') {
            buf_str(out, "\\t");
        } else if (*s < 0x20 || *s == 0x7f) {
            buf_printf(out, "\\u%04x", *s);
        } else {
            buf_bytes(out, s, n);
        }
        s += n;
    }
    buf_char(out, '"');
}

void json_key(Json *j, const char *key)
{
    assert(j->depth && j->kind[j->depth - 1] == '{' && !j->after_key);
    before_item(j);
    quoted(j->out, key);
    buf_str(j->out, ": ");
    j->after_key = true;
}

void json_str(Json *j, const char *text)
{
    before_item(j);
    if (text) {
        quoted(j->out, text);
    } else {
        buf_str(j->out, "null");
    }
}

void json_u64(Json *j, uint64_t n)
{
    before_item(j);
    buf_printf(j->out, "%" PRIu64, n);
}

void json_i64(Json *j, int64_t n)
{
    before_item(j);
    buf_printf(j->out, "%" PRId64, n);
}

void json_hex(Json *j, uint64_t n)
{
    before_item(j);
    buf_printf(j->out, "\"0x%" PRIx64 "\"", n);
}

void json_raw(Json *j, const char *json)
{
    before_item(j);
    buf_str(j->out, json);
}

void json_bool(Json *j, bool b)
{
    before_item(j);
    buf_str(j->out, b ? "true" : "false");
}

void json_kstr(Json *j, const char *key, const char *text)
{
    json_key(j, key);
    json_str(j, text);
}

void json_ku64(Json *j, const char *key, uint64_t n)
{
    json_key(j, key);
    json_u64(j, n);
}

void json_kbool(Json *j, const char *key, bool b)
{
    json_key(j, key);
    json_bool(j, b);
}
