/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_int.h"
#include "sim/base/hash.h"

static size_t slot_of(const Names *m, const void *key, size_t n)
{
    size_t i = fnv1a(key, n) & (m->cap - 1);
    while (m->slots[i].key && (m->slots[i].n != n || memcmp(m->slots[i].key, key, n) != 0)) {
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

int64_t *names_find(const Names *m, const void *key, size_t n)
{
    if (!m->cap) {
        return NULL;
    }
    size_t i = slot_of(m, key, n);
    return m->slots[i].key ? &m->slots[i].value : NULL;
}

static void grow(Names *m)
{
    Names old = *m;
    m->cap = old.cap ? old.cap * 2 : 1024;
    m->slots = x_calloc(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].key) {
            memcpy(&m->slots[slot_of(m, old.slots[i].key, old.slots[i].n)], &old.slots[i], sizeof *m->slots);
        }
    }
    mem_free(old.slots);
}

const char *names_add(Names *m, const void *key, size_t n, int64_t value)
{
    if (m->n * 2 >= m->cap) {
        grow(m);
    }
    m->arena = m->arena ? m->arena : arena_new();
    size_t i = slot_of(m, key, n);
    char *copy = arena_alloc(m->arena, n + 1);
    memcpy(copy, key, n);
    m->slots[i].key = copy;
    m->slots[i].n = n;
    m->slots[i].value = value;
    m->n++;
    return copy;
}

void names_free(Names *m)
{
    mem_free(m->slots);
    arena_free(m->arena);
    *m = (Names){0};
}
