/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/buf.h"

#include "sim/base/mem.h"

#include <stdio.h>
#include <string.h>

static void buf_room(Buf *b, size_t extra)
{
    size_t need = b->n + extra + 1;
    if (need <= b->cap) {
        return;
    }
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need) {
        cap *= 2;
    }
    b->data = x_realloc(b->data, cap);
    b->cap = cap;
}

void buf_free(Buf *b)
{
    mem_free(b->data);
    *b = (Buf){0};
}

void buf_clear(Buf *b)
{
    b->n = 0;
    if (b->data) {
        b->data[0] = 0;
    }
}

void buf_reserve(Buf *b, size_t n)
{
    buf_room(b, n);
}

void buf_bytes(Buf *b, const void *bytes, size_t n)
{
    buf_room(b, n);
    if (n) {
        memcpy(b->data + b->n, bytes, n);
    }
    b->n += n;
    b->data[b->n] = 0;
}

void buf_str(Buf *b, const char *s)
{
    buf_bytes(b, s, strlen(s));
}

void buf_char(Buf *b, char c)
{
    buf_bytes(b, &c, 1);
}

void buf_vprintf(Buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->n;
    int n = vsnprintf(room ? b->data + b->n : NULL, room, fmt, args);
    if (n > 0) {
        if ((size_t)n >= room) {
            buf_room(b, (size_t)n);
            vsnprintf(b->data + b->n, (size_t)n + 1, fmt, again);
        }
        b->n += (size_t)n;
    } else if (room) {
        b->data[b->n] = 0;
    }
    va_end(again);
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(b, fmt, args);
    va_end(args);
}

void buf_le(Buf *b, uint64_t value, size_t nbytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < nbytes && i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    buf_bytes(b, bytes, nbytes);
}

const char *buf_text(const Buf *b)
{
    return b->n ? b->data : "";
}

char *buf_take(Buf *b)
{
    buf_room(b, 0);
    b->data[b->n] = 0;
    char *data = b->data;
    *b = (Buf){0};
    return data;
}

Cursor cursor_of(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    return (Cursor){.at = at, .end = n ? at + n : at};
}

size_t cursor_left(const Cursor *c)
{
    return (size_t)(c->end - c->at);
}

const uint8_t *cursor_bytes(Cursor *c, size_t n)
{
    if (c->is_short || cursor_left(c) < n) {
        c->is_short = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

uint64_t cursor_le(Cursor *c, size_t nbytes)
{
    const uint8_t *p = cursor_bytes(c, nbytes);
    uint64_t value = 0;
    for (size_t i = 0; p && i < nbytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

bool cursor_ok(const Cursor *c)
{
    return !c->is_short;
}

/* ---- characters, texts ---- */
unsigned hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                  : 16;
}

int text_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}
