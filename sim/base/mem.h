/* SPDX-License-Identifier: Apache-2.0
 * mem.h - allocation. The x_ functions end the process on out-of-memory (exit status 70); use them for sizes that our
 * own code determines. A size taken from a guest, a file or a peer goes through mem_try(), which returns NULL.
 * Arena: many small objects with one lifetime; not thread-safe. */
#ifndef SIM_BASE_MEM_H
#define SIM_BASE_MEM_H

#include <stddef.h>

void *x_alloc(size_t size_bytes); /* zeroed; never NULL, also for 0 */
void *x_calloc(size_t count, size_t size_bytes);
void *x_realloc(void *p, size_t size_bytes);
char *x_strdup(const char *s);
char *x_strndup(const char *s, size_t n);
void *mem_try(size_t count, size_t size_bytes); /* zeroed; NULL if it cannot be had or the product overflows */
void mem_free(void *p);                         /* NULL is fine */

typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *a);                      /* frees every object; NULL is fine */
void *arena_alloc(Arena *a, size_t size_bytes); /* zeroed, aligned to 16 */
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_bytes(const Arena *a); /* handed out so far */

/* Doubles *items (element size given) when n has reached *cap. For small growing tables: VEC_PUSH(v, item) on a struct
 * with fields items, n, cap. */
void vec_grow(void *items, size_t *cap, size_t n, size_t size_bytes);
#define VEC(T)                                                                                                         \
    struct {                                                                                                           \
        T *items;                                                                                                      \
        size_t n, cap;                                                                                                 \
    }
#define VEC_PUSH(v, ...)                                                                                               \
    do {                                                                                                               \
        vec_grow(&(v)->items, &(v)->cap, (v)->n, sizeof *(v)->items);                                                  \
        (v)->items[(v)->n++] = (__VA_ARGS__);                                                                          \
    } while (0)
#define VEC_FREE(v)                                                                                                    \
    do {                                                                                                               \
        mem_free((v)->items);                                                                                          \
        (v)->items = NULL;                                                                                             \
        (v)->n = (v)->cap = 0;                                                                                         \
    } while (0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof(a)[0])
#endif
