/* SPDX-License-Identifier: Apache-2.0
 * buf.h - a growing byte buffer; also the string builder. Zero-initialise ({0}) to start; buf_free to end.
 * data is always followed by a 0 byte once something was appended, so it can be printed. Not thread-safe.
 * Cursor reads what a Buf or a peer wrote: bounds-checked, little-endian; after the first short read every further
 * read yields 0 and cursor_ok() is false, so a parser may check once at its end. */
#ifndef SIM_BASE_BUF_H
#define SIM_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Buf {
    char *data;
    size_t n, cap;
} Buf;
void buf_free(Buf *b);
void buf_clear(Buf *b);             /* keeps the memory */
void buf_reserve(Buf *b, size_t n); /* room for n more bytes, without moving the others then */
void buf_bytes(Buf *b, const void *bytes, size_t n);
void buf_str(Buf *b, const char *s);
void buf_char(Buf *b, char c);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *b, const char *fmt, va_list args);
void buf_le(Buf *b, uint64_t value, size_t nbytes); /* 1, 2, 4 or 8 bytes, little-endian */
const char *buf_text(const Buf *b);                 /* "" when empty */
char *buf_take(Buf *b);                             /* the caller frees with mem_free; *b is empty after */

typedef struct Cursor {
    const uint8_t *at, *end;
    bool is_short;
} Cursor;
Cursor cursor_of(const void *bytes, size_t n);
uint64_t cursor_le(Cursor *c, size_t nbytes);
const uint8_t *cursor_bytes(Cursor *c, size_t n); /* NULL when short */
size_t cursor_left(const Cursor *c);
bool cursor_ok(const Cursor *c);

unsigned hex_digit(char c);                     /* of 0-9 a-f A-F; else 16 */
int text_compare(const void *a, const void *b); /* for qsort of const char * */
#endif
