/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_CHUNK = 16 * 1024, ALIGN = 16, EXIT_INTERNAL = 70 };

static void out_of_memory(void)
{
    static const char text[] = "conf: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        /* nothing is left to say it with */
    }
    _exit(EXIT_INTERNAL);
}

void *x_calloc(size_t count, size_t size_bytes)
{
    void *p = calloc(count ? count : 1, size_bytes ? size_bytes : 1);
    if (!p) {
        out_of_memory();
    }
    return p;
}

void *x_alloc(size_t size_bytes)
{
    return x_calloc(1, size_bytes);
}

void *x_realloc(void *p, size_t size_bytes)
{
    p = realloc(p, size_bytes ? size_bytes : 1);
    if (!p) {
        out_of_memory();
    }
    return p;
}

char *x_strndup(const char *s, size_t n)
{
    n = strnlen(s, n);
    char *copy = x_alloc(n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *x_strdup(const char *s)
{
    return x_strndup(s, strlen(s));
}

void *mem_try(size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) { /* a sanitizer's calloc would end the process */
        return NULL;
    }
    return calloc(total ? total : 1, 1);
}

void mem_free(void *p)
{
    free(p);
}

void vec_grow(void *items, size_t *cap, size_t n, size_t size_bytes)
{
    if (n < *cap) {
        return;
    }
    void *p;
    memcpy(&p, items, sizeof p); /* items points to a T*, of a type that is not known here */
    size_t want = *cap ? *cap * 2 : 8;
    if (want > SIZE_MAX / size_bytes) {
        out_of_memory();
    }
    p = x_realloc(p, want * size_bytes);
    memcpy(items, &p, sizeof p);
    *cap = want;
}

typedef struct Chunk {
    struct Chunk *next;
    size_t used, size;
    _Alignas(ALIGN) char bytes[];
} Chunk;

struct Arena {
    Chunk *head;
    size_t total;
};

Arena *arena_new(void)
{
    return x_alloc(sizeof(Arena));
}

void arena_free(Arena *a)
{
    if (!a) {
        return;
    }
    for (Chunk *c = a->head; c;) {
        Chunk *next = c->next;
        free(c);
        c = next;
    }
    free(a);
}

void *arena_alloc(Arena *a, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        out_of_memory();
    }
    size_t n = (size_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!a->head || a->head->size - a->head->used < n) {
        size_t size = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        Chunk *c = x_alloc(sizeof *c + size);
        c->size = size;
        c->next = a->head;
        a->head = c;
    }
    void *p = a->head->bytes + a->head->used;
    a->head->used += n;
    a->total += n;
    return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    n = strnlen(s, n);
    char *copy = arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
    vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, fmt, again);
    va_end(again);
    return text;
}

size_t arena_bytes(const Arena *a)
{
    return a->total;
}
