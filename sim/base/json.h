/* SPDX-License-Identifier: Apache-2.0
 * json.h - writes JSON (RFC 8259) into a Buf. The writer puts commas, colons and, with indent > 0, line breaks; nesting
 * is checked by assert, as only our own code drives it. Text is UTF-8; bytes that are not are replaced by U+FFFD.
 *
 *     Json j = json_to(&buf, 2);
 *     json_open(&j, '{'); json_key(&j, "n"); json_u64(&j, 3); json_close(&j, '}');   // {"n": 3} */
#ifndef SIM_BASE_JSON_H
#define SIM_BASE_JSON_H

#include "sim/base/buf.h"

enum { JSON_DEPTH = 32 };
typedef struct Json {
    Buf *out;
    int indent, depth;
    bool has_item[JSON_DEPTH], after_key;
    char kind[JSON_DEPTH];
} Json;
Json json_to(Buf *out, int indent); /* indent 0: one line */
void json_open(Json *j, char bracket);
void json_close(Json *j, char bracket);
void json_key(Json *j, const char *key);
void json_str(Json *j, const char *text); /* NULL is null */
void json_u64(Json *j, uint64_t n);
void json_i64(Json *j, int64_t n);
void json_hex(Json *j, uint64_t n); /* "0x2a": a string, as JSON numbers lose bits beyond 2^53 */
void json_bool(Json *j, bool b);
void json_raw(Json *j, const char *json); /* a value that is JSON already */
/* key and value in one */
void json_kstr(Json *j, const char *key, const char *text);
void json_ku64(Json *j, const char *key, uint64_t n);
void json_kbool(Json *j, const char *key, bool b);
#endif
