/* SPDX-License-Identifier: Apache-2.0
 * Sparse guest memory: a RAM is a table of leaves, a leaf a table of pages; both come into being when written. */
#include "accel/fake/impl.h"

#include <string.h>

enum { LEAF_PAGES = 512, LEAF_BYTES = LEAF_PAGES * FAKE_PAGE_BYTES };

typedef struct {
    uint8_t *pages[LEAF_PAGES];
} Leaf;

struct Ram {
    uint64_t size;
    size_t nleaves;
    Leaf **leaves;
};

static Ram *ram_of(const BeVm *vm, RamId id)
{
    return id < vm->rams.n ? vm->rams.items[id] : NULL;
}

int fake_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    int rc = fake_fails(vm, "vm.ram_create", err);
    size_t nleaves = (size_t)((size + LEAF_BYTES - 1) / LEAF_BYTES);
    Leaf **leaves = NULL;
    if (!rc && (!size || size > FAKE_MAX_RAM_BYTES || size % FAKE_PAGE_BYTES)) {
        rc = err_set(err, size % FAKE_PAGE_BYTES ? ERR_ALIGN : ERR_LIMIT, "ram of 0x%llx bytes",
                     (unsigned long long)size);
    }
    if (!rc) {
        leaves = mem_try(nleaves, sizeof *leaves);
        rc = leaves ? 0 : err_set(err, ERR_NOMEM, "ram of 0x%llx bytes", (unsigned long long)size);
    }
    if (!rc) {
        Ram *r = x_alloc(sizeof *r);
        *r = (Ram){.size = size, .nleaves = nleaves, .leaves = leaves};
        pthread_mutex_lock(&vm->lock);
        *out = (RamId)vm->rams.n;
        VEC_PUSH(&vm->rams, r);
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.ram_create", "size 0x%llx", (unsigned long long)size);
}

/* The page that holds `offset`, or NULL: not touched yet, or not to be had. */
static uint8_t *page_at(BeVm *vm, Ram *r, uint64_t offset, bool for_write)
{
    Leaf **leaf = &r->leaves[offset / LEAF_BYTES];
    if (!*leaf && for_write) {
        *leaf = mem_try(1, sizeof **leaf);
    }
    if (!*leaf) {
        return NULL;
    }
    uint8_t **page = &(*leaf)->pages[offset / FAKE_PAGE_BYTES % LEAF_PAGES];
    if (!*page && for_write && vm->npages < vm->max_pages) {
        *page = mem_try(1, FAKE_PAGE_BYTES);
        vm->npages += *page != NULL;
    }
    return *page;
}

static FakeRegion *region_at(BeVm *vm, uint64_t at)
{
    for (size_t i = 0; i < vm->regions.n; i++) {
        FakeRegion *r = &vm->regions.items[i];
        if (r->at <= at && at - r->at < r->size) {
            return r;
        }
    }
    return NULL;
}

/* How much of [at, at + n) lies in one page of one region. */
static size_t chunk_of(uint64_t at, size_t n)
{
    size_t left = FAKE_PAGE_BYTES - (size_t)(at % FAKE_PAGE_BYTES);
    return n < left ? n : left;
}

static int range_check(BeVm *vm, uint64_t at, size_t n, uint32_t need, Err *err)
{
    for (size_t done = 0, step; done < n; done += step) {
        step = chunk_of(at + done, n - done);
        const FakeRegion *r = region_at(vm, at + done);
        if (!r || at + done < at || (r->flags & need) != need) {
            return err_set(err, ERR_FAULT, "nothing %s at 0x%llx", r ? "writable is mapped" : "is mapped",
                           (unsigned long long)(at + done));
        }
    }
    return 0;
}

static void mark_dirty(FakeRegion *r, uint64_t at)
{
    if (r->dirty) {
        uint64_t page = (at - r->at) / FAKE_PAGE_BYTES;
        r->dirty[page / 8] |= (uint8_t)(1u << page % 8);
    }
}

typedef struct {
    uint64_t at;
    const uint8_t *bytes;
    size_t n;
} Store;

static bool is_zero(const uint8_t *p, size_t n)
{
    static const uint8_t zeros[FAKE_PAGE_BYTES];
    return !memcmp(p, zeros, n);
}

/* Under lock. All pages are had before the first byte is written (W6). Zeros make no page: untouched memory is zero. */
static int store(BeVm *vm, const Store *s, uint32_t need, Err *err)
{
    int rc = range_check(vm, s->at, s->n, need, err);
    for (size_t done = 0, step; !rc && done < s->n; done += step) {
        step = chunk_of(s->at + done, s->n - done);
        const FakeRegion *r = region_at(vm, s->at + done);
        bool is_kept = !is_zero(s->bytes + done, step);
        if (!page_at(vm, ram_of(vm, r->ram), r->offset + (s->at + done - r->at), is_kept) && is_kept) {
            rc = err_set(err, ERR_NOMEM, "more than %llu pages of guest memory in use",
                         (unsigned long long)vm->max_pages);
        }
    }
    for (size_t done = 0, step; !rc && done < s->n; done += step) {
        step = chunk_of(s->at + done, s->n - done);
        FakeRegion *r = region_at(vm, s->at + done);
        uint64_t offset = r->offset + (s->at + done - r->at);
        uint8_t *page = page_at(vm, ram_of(vm, r->ram), offset, false);
        if (page) {
            memcpy(page + offset % FAKE_PAGE_BYTES, s->bytes + done, step);
        }
        mark_dirty(r, s->at + done);
    }
    return rc;
}

static size_t dirty_bytes(uint64_t size)
{
    return (size_t)((size / FAKE_PAGE_BYTES + 7) / 8);
}

/* Under lock: the region that a map() changes the flags of, or the one in its way. */
static int place_check(BeVm *vm, const FakeRegion *new, FakeRegion **same, Err *err)
{
    *same = NULL;
    for (size_t i = 0; i < vm->regions.n; i++) {
        FakeRegion *r = &vm->regions.items[i];
        if (r->at == new->at && r->size == new->size && r->ram == new->ram && r->offset == new->offset) {
            *same = r;
            return 0;
        }
        if (r->at <= new->at + (new->size - 1) && new->at <= r->at + (r->size - 1)) {
            return err_set(err, ERR_EXIST, "map: 0x%llx meets the region at 0x%llx", (unsigned long long)new->at,
                           (unsigned long long)r->at);
        }
    }
    return vm->regions.n < FAKE_MAX_REGIONS ? 0
                                            : err_set(err, ERR_LIMIT, "map: no more than %u regions", FAKE_MAX_REGIONS);
}

static int map_locked(BeVm *vm, FakeRegion new, Err *err)
{
    FakeRegion *same;
    const Ram *ram = ram_of(vm, new.ram);
    if (!ram || new.offset > ram->size || new.size > ram->size - new.offset) {
        return err_set(err, ERR_INVAL, "map: outside of ram %u", new.ram);
    }
    if (!new.size || (new.at | new.size | new.offset) % FAKE_PAGE_BYTES || new.at + (new.size - 1) < new.at) {
        return err_set(err, ERR_ALIGN, "map: not whole pages");
    }
    int rc = place_check(vm, &new, &same, err);
    if (rc) {
        return rc;
    }
    bool has_log = new.flags &MAP_LOG_DIRTY, had_log = same && same->dirty;
    if (has_log && !had_log) {
        new.dirty = mem_try(dirty_bytes(new.size), 1);
        if (!new.dirty) {
            return err_set(err, ERR_NOMEM, "map: the dirty log of 0x%llx bytes", (unsigned long long)new.size);
        }
    } else if (has_log) {
        new.dirty = same->dirty;
    } else if (had_log) {
        mem_free(same->dirty);
    }
    if (same) {
        *same = new;
    } else {
        VEC_PUSH(&vm->regions, new);
    }
    return 0;
}

int fake_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    FakeRegion new = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags};
    int rc = fake_fails(vm, "vm.map", err);
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        rc = map_locked(vm, new, err);
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.map", "at 0x%llx size 0x%llx ram %u offset 0x%llx flags %u",
                    (unsigned long long)at.addr, (unsigned long long)size, ram, (unsigned long long)offset, flags);
}

int fake_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    int rc = fake_fails(vm, "vm.unmap", err);
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        FakeRegion *r = region_at(vm, at.addr);
        if (!r || r->at != at.addr || r->size != size) {
            rc = err_set(err, ERR_NOENT, "unmap: no such region at 0x%llx", (unsigned long long)at.addr);
        } else {
            mem_free(r->dirty);
            *r = vm->regions.items[--vm->regions.n];
        }
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.unmap", "at 0x%llx size 0x%llx", (unsigned long long)at.addr, (unsigned long long)size);
}

int fake_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    int rc = fake_fails(vm, "vm.mem_read", err);
    pthread_mutex_lock(&vm->lock);
    rc = rc ? rc : range_check(vm, at.addr, n, 0, err);
    for (size_t done = 0, step; !rc && done < n; done += step) {
        step = chunk_of(at.addr + done, n - done);
        const FakeRegion *r = region_at(vm, at.addr + done);
        uint64_t offset = r->offset + (at.addr + done - r->at);
        const uint8_t *page = page_at(vm, ram_of(vm, r->ram), offset, false);
        if (page) {
            memcpy((uint8_t *)buf + done, page + offset % FAKE_PAGE_BYTES, step);
        } else {
            memset((uint8_t *)buf + done, 0, step);
        }
    }
    pthread_mutex_unlock(&vm->lock);
    return fake_log(vm, rc, "vm.mem_read", "at 0x%llx n %zu", (unsigned long long)at.addr, n);
}

static int hold_write(BeVm *vm, uint64_t at, const void *buf, size_t n, Err *err)
{
    HeldWrite w = {.at = at, .bytes = mem_try(n, 1), .n = n};
    if (!w.bytes) {
        return err_set(err, ERR_NOMEM, "%zu bytes", n);
    }
    memcpy(w.bytes, buf, n);
    VEC_PUSH(&vm->held, w);
    return 0;
}

int fake_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    int rc = fake_fails(vm, "vm.mem_write", err);
    pthread_mutex_lock(&vm->lock);
    if (!rc && is_broken(vm, W8)) {
        rc = hold_write(vm, at.addr, buf, n, err);
    } else if (!rc) {
        rc = store(vm, &(Store){at.addr, buf, n}, 0, err);
    }
    pthread_mutex_unlock(&vm->lock);
    return fake_log(vm, rc, "vm.mem_write", "at 0x%llx n %zu", (unsigned long long)at.addr, n);
}

void mem_flush_held(BeVm *vm)
{
    pthread_mutex_lock(&vm->lock);
    for (size_t i = 0; i < vm->held.n; i++) {
        HeldWrite *w = &vm->held.items[i];
        (void)store(vm, &(Store){w->at, w->bytes, w->n}, 0,
                    NULL); /* unmapped meanwhile: lost, as a kept page would be */
        mem_free(w->bytes);
    }
    vm->held.n = 0;
    pthread_mutex_unlock(&vm->lock);
}

int fake_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    int rc = fake_fails(vm, "vm.dirty_get", err);
    pthread_mutex_lock(&vm->lock);
    memset(bits, 0, dirty_bytes(size));
    for (uint64_t done = 0; !rc && done < size; done += FAKE_PAGE_BYTES) {
        FakeRegion *r = region_at(vm, at.addr + done);
        if (!r || !r->dirty) {
            rc = err_set(err, ERR_NOENT, "dirty_get: 0x%llx is not logged", (unsigned long long)(at.addr + done));
            break;
        }
        uint64_t page = (at.addr + done - r->at) / FAKE_PAGE_BYTES, to = done / FAKE_PAGE_BYTES;
        uint8_t bit = (uint8_t)(1u << page % 8);
        bits[to / 8] |= (uint8_t)((r->dirty[page / 8] & bit ? 1u : 0u) << to % 8);
        r->dirty[page / 8] &= clear ? (uint8_t)~bit : 0xff;
    }
    pthread_mutex_unlock(&vm->lock);
    return fake_log(vm, rc, "vm.dirty_get", "at 0x%llx size 0x%llx clear %d", (unsigned long long)at.addr,
                    (unsigned long long)size, clear);
}

int mem_guest_store(BeVm *vm, uint64_t at, const uint8_t *bytes, size_t n, Err *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = store(vm, &(Store){at, bytes, n}, MAP_W, err);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int mem_mark_dirty(BeVm *vm, uint64_t at, Err *err)
{
    pthread_mutex_lock(&vm->lock);
    FakeRegion *r = region_at(vm, at);
    int rc = r ? 0 : err_set(err, ERR_FAULT, "dirty: nothing is mapped at 0x%llx", (unsigned long long)at);
    if (r) {
        mark_dirty(r, at);
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

static void ram_free(Ram *r)
{
    for (size_t i = 0; i < r->nleaves; i++) {
        for (size_t j = 0; r->leaves[i] && j < LEAF_PAGES; j++) {
            mem_free(r->leaves[i]->pages[j]);
        }
        mem_free(r->leaves[i]);
    }
    mem_free(r->leaves);
    mem_free(r);
}

void mem_free_all(BeVm *vm)
{
    for (size_t i = 0; i < vm->rams.n; i++) {
        ram_free(vm->rams.items[i]);
    }
    for (size_t i = 0; i < vm->regions.n; i++) {
        mem_free(vm->regions.items[i].dirty);
    }
    for (size_t i = 0; i < vm->held.n; i++) {
        mem_free(vm->held.items[i].bytes);
    }
    VEC_FREE(&vm->rams);
    VEC_FREE(&vm->regions);
    VEC_FREE(&vm->held);
}
