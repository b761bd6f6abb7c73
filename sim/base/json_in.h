/* SPDX-License-Identifier: Apache-2.0
 * json_in.h - reads JSON (RFC 8259) strictly, a value at a time, from memory; json.h writes it.
 *
 * The reader walks what it expects and fails at the first thing that is otherwise, with FILE:LINE:COLUMN and what was
 * expected. A failure is sticky: every further call returns nothing at once, so a caller checks once, at its end, with
 * json_in_end(). Nothing is allocated but the texts that are asked for; depth is bounded by JSON_DEPTH.
 *
 *     JsonIn j = json_in("runs.json", bytes, n, err);
 *     json_in_open(&j, '{');
 *     while (json_in_key(&j, &text)) {
 *         if (!strcmp(buf_text(&text), "n")) count = json_in_u64(&j, UINT64_MAX);
 *         else json_in_skip(&j);
 *     }
 *     rc = json_in_end(&j);              // 0, or what was wrong
 *
 * Strings must be UTF-8 without U+0000 and, unless the key or text is skipped, of at most JSON_TEXT_MAX bytes. */
#ifndef SIM_BASE_JSON_IN_H
#define SIM_BASE_JSON_IN_H

#include "sim/base/err.h"
#include "sim/base/json.h"

enum { JSON_TEXT_MAX = 1 << 20 };
typedef struct JsonIn {
    const char *name; /* borrowed, for messages */
    const char *start, *at, *end;
    Err *err;
    int rc; /* 0, or the -ERR_x that it has come to */
    int depth;
    char kind[JSON_DEPTH];
    bool has_item[JSON_DEPTH];
} JsonIn;
/* bytes and name are borrowed until the end; err may be NULL. */
JsonIn json_in(const char *name, const void *bytes, size_t n, Err *err);
/* What comes next: one of { [ " 0 t f n (0: a number), or 0 at the end or after a failure. */
char json_in_peek(JsonIn *j);
void json_in_open(JsonIn *j, char bracket); /* '{' or '[' */
/* The next key of the innermost object into *key (replaced); false: the object has ended (and was left), or a failure. */
bool json_in_key(JsonIn *j, Buf *key);
/* Is there a further element in the innermost array? false: it has ended (and was left), or a failure. */
bool json_in_item(JsonIn *j);
void json_in_str(JsonIn *j, Buf *text); /* into *text (replaced) */
uint64_t json_in_u64(JsonIn *j,
                     uint64_t max); /* a whole number without sign, fraction or exponent; above max: a failure */
double json_in_number(JsonIn *j);
bool json_in_bool(JsonIn *j);
void json_in_skip(JsonIn *j); /* any value, checked all the same */
/* For what the caller finds wrong with the value just read: "NAME:LINE:COLUMN: text". */
int json_in_fail(JsonIn *j, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static inline bool json_in_ok(const JsonIn *j)
{
    return !j->rc;
}
/* Bytes of the well-formed UTF-8 sequence at p (RFC 3629 section 4), 0 if there is none before end. */
size_t json_utf8_length(const char *p, const char *end);
/* Nothing but white space may follow. 0, or the -ERR_x of the first failure. */
MUST_USE int json_in_end(JsonIn *j);
#endif
