/* SPDX-License-Identifier: Apache-2.0
 * cache.c - memory for code: written at one address, run at another. What is released is kept by size, for the next of that
 * size, so that code that is made again and again stays in the same place. */
#include "sim/base/os.h"
#include "sim/jit/jit_int.h"

#include <string.h>

void jit_cache_open(CodeCache *c, uint8_t *pages)
{
    c->code = pages; /* the rest is 0 */
    c->used = c->fixed = HOST_AROUND_BYTES;
    size_t asked = jit_code_bytes ? jit_code_bytes() : 0;
    c->size = asked ? asked : CACHE_BYTES;
}

/* What is released so far is forgotten: little, and found at its old address. */
void jit_cache_run(CodeCache *c)
{
    uint8_t *pages = c->code;
    c->code = os_code_make(pages, CACHE_BYTES, c->used);
    c->exec = pages - c->code;
    memset(c->released, 0, sizeof c->released);
    c->touched = 0;
}

void jit_cache_close(CodeCache *c)
{
    if (c->exec) {
        os_code_free(c->code, CACHE_BYTES);
    }
}

static size_t grains(size_t size_bytes)
{
    return (size_bytes + CACHE_GRAIN - 1) / CACHE_GRAIN;
}

/* Who makes much code makes more: pages come by the chunk, and not each by two faults. A short run needs few. */
static void touch(CodeCache *c)
{
    enum { BY_PAGE = 64 << 10, CHUNK = 256 << 10, MUCH = 1 << 20 };
    if (c->exec && c->used > MUCH && !c->is_large) { /* so much misses the host's TLB: once more, from the first on */
        c->is_large = true;
        os_code_touch(c->code, c->code + c->exec, 0, OS_LARGE_PAGE_BYTES);
        c->touched = OS_LARGE_PAGE_BYTES;
    }
    if (c->used > c->touched && c->used > BY_PAGE && c->touched < CACHE_BYTES) {
        size_t chunk = c->is_large ? OS_LARGE_PAGE_BYTES : CHUNK;
        c->touched = c->touched ? c->touched : c->used / CHUNK * CHUNK;
        os_code_touch(c->code, c->code + c->exec, c->touched, chunk);
        c->touched += chunk;
    }
}

uint8_t *jit_cache_get(CodeCache *c, size_t size_bytes)
{
    size_t n = grains(size_bytes);
    if (n < CACHE_SIZES && c->released[n]) {
        CachePiece *p = c->released[n];
        c->released[n] = p->next;
        return (uint8_t *)p;
    }
    if (n > (c->size - c->used) / CACHE_GRAIN) {
        return NULL;
    }
    c->used += n * CACHE_GRAIN;
    touch(c);
    return c->code + c->used - n * CACHE_GRAIN;
}

void jit_cache_put(CodeCache *c, uint8_t *p, size_t size_bytes)
{
    size_t n = grains(size_bytes);
    if (jit_watch) {
        JitEvent e = jit_event(c, JIT_DROPPED, p, n * CACHE_GRAIN);
        jit_watch(&e);
    }
    if (n < CACHE_SIZES) {
        CachePiece *piece = (CachePiece *)(void *)p;
        piece->next = c->released[n];
        c->released[n] = piece;
    }
}

void jit_cache_reset(CodeCache *c)
{
    if (jit_watch) {
        JitEvent e = jit_event(c, JIT_DROPPED, c->code + c->fixed, c->used - c->fixed);
        jit_watch(&e);
    }
    c->used = c->fixed;
    memset(c->released, 0, sizeof c->released);
}
