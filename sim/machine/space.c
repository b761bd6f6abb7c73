/* SPDX-License-Identifier: Apache-2.0
 * The map of a Space: an immutable sorted array behind one atomic pointer. A change copies it (at most
 * SPACE_MAX_REGIONS entries, and changes are rare); readers need neither a lock nor a counter. */
#include "sim/machine/space_impl.h"

#include <assert.h>
#include <string.h>

/* The lock is no part of the value of a Space, so that const functions may take it. */
void space_lock(const Space *s)
{
    pthread_mutex_lock((pthread_mutex_t *)&s->lock);
}

void space_unlock(const Space *s)
{
    pthread_mutex_unlock((pthread_mutex_t *)&s->lock);
}

Map *space_map_now(const Space *s)
{
    return atomic_load_explicit(&s->map, memory_order_acquire);
}

static Map *map_new(size_t n)
{
    Map *m = x_alloc(sizeof *m + n * sizeof m->regions[0]);
    m->n = n;
    return m;
}

Space *space_new(void)
{
    Space *s = x_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->map, map_new(0));
    return s;
}

static void maps_free(Map *m)
{
    while (m) {
        Map *older = m->retired;
        mem_free(m);
        m = older;
    }
}

void space_free(Space *s)
{
    if (!s) {
        return;
    }
    maps_free(space_map_now(s));
    for (size_t i = 0; i < s->rams.n; i++) {
        ram_close(&s->rams.items[i]);
    }
    VEC_FREE(&s->rams);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

void space_collect(Space *s)
{
    space_lock(s);
    Map *m = space_map_now(s);
    Map *older = m->retired;
    m->retired = NULL;
    space_unlock(s);
    maps_free(older);
}

/* Under lock. The version moves after the map: who sees the new number finds the new map. */
static void map_install(Space *s, Map *m)
{
    m->retired = space_map_now(s);
    atomic_store_explicit(&s->map, m, memory_order_release);
    atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
}

const _Atomic uint64_t *space_version_at(const Space *s)
{
    return &s->version;
}

uint64_t space_version(const Space *s)
{
    return atomic_load_explicit(&s->version, memory_order_acquire);
}

/* Index of the first region that starts beyond gpa. */
static size_t map_upper(const Map *m, uint64_t gpa)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->regions[mid].hit.gpa <= gpa) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const Region *map_find(const Map *m, uint64_t gpa)
{
    size_t i = map_upper(m, gpa);
    if (!i || gpa - m->regions[i - 1].hit.gpa >= m->regions[i - 1].hit.size_bytes) {
        return NULL;
    }
    return &m->regions[i - 1];
}

bool space_find(const Space *s, uint64_t gpa, SpaceHit *out)
{
    const Region *r = map_find(space_map_now(s), gpa);
    if (!r) {
        return false;
    }
    *out = r->hit;
    return true;
}

bool space_gpa_of(const Space *s, const uint8_t *host, uint64_t *gpa)
{
    const Map *m = space_map_now(s);
    for (size_t i = 0; i < m->n; i++) {
        const SpaceHit *hit = &m->regions[i].hit;
        uint64_t offset = (uintptr_t)host - (uintptr_t)hit->host;
        if (hit->host && offset < hit->size_bytes) {
            *gpa = hit->gpa + offset;
            return true;
        }
    }
    return false;
}

static int place_check(uint64_t gpa, uint64_t size_bytes, uint64_t offset, Err *err)
{
    if (!size_bytes || (gpa | size_bytes | offset) % SPACE_PAGE_BYTES) {
        return err_set(err, ERR_ALIGN, "map: 0x%llx + 0x%llx at offset 0x%llx is not whole pages of 0x%x bytes",
                       (unsigned long long)gpa, (unsigned long long)size_bytes, (unsigned long long)offset,
                       SPACE_PAGE_BYTES);
    }
    if (gpa + (size_bytes - 1) < gpa) {
        return err_set(err, ERR_ALIGN, "map: 0x%llx + 0x%llx passes the end of the address space",
                       (unsigned long long)gpa, (unsigned long long)size_bytes);
    }
    return 0;
}

/* Under lock. */
static int region_add(Space *s, const Region *new, Err *err)
{
    Map *now = space_map_now(s);
    size_t at = map_upper(now, new->hit.gpa);
    const Region *before = at ? &now->regions[at - 1] : NULL, *after = at < now->n ? &now->regions[at] : NULL;
    bool meets_before = before && new->hit.gpa - before->hit.gpa < before->hit.size_bytes;
    bool meets_after = after && after->hit.gpa - new->hit.gpa < new->hit.size_bytes;
    if (meets_before || meets_after) {
        const SpaceHit *other = meets_before ? &before->hit : &after->hit;
        return err_set(err, ERR_EXIST, "map: 0x%llx + 0x%llx overlaps the %s at 0x%llx + 0x%llx",
                       (unsigned long long)new->hit.gpa, (unsigned long long)new->hit.size_bytes,
                       other->device ? "device" : "region", (unsigned long long)other->gpa,
                       (unsigned long long)other->size_bytes);
    }
    if (now->n >= SPACE_MAX_REGIONS) {
        return err_set(err, ERR_LIMIT, "map: no more than %d regions", SPACE_MAX_REGIONS);
    }
    Map *m = map_new(now->n + 1);
    memcpy(m->regions, now->regions, at * sizeof m->regions[0]);
    m->regions[at] = *new;
    memcpy(m->regions + at + 1, now->regions + at, (now->n - at) * sizeof m->regions[0]);
    map_install(s, m);
    return 0;
}

/* Under lock: a log starts clean. Flags that are 0 are not written, so that they stay uncommitted. */
static void log_start(const Region *r)
{
    for (uint64_t i = 0; i < r->hit.size_bytes / SPACE_PAGE_BYTES; i++) {
        if (atomic_load_explicit(&r->hit.pages[i], memory_order_relaxed) & PAGE_DIRTY) {
            atomic_fetch_and(&r->hit.pages[i], (uint8_t)~PAGE_DIRTY);
        }
    }
}

/* Under lock: the flags of the region that new lies exactly over, with the same RAM. false: there is none. */
static bool region_reflag(Space *s, const Region *new)
{
    Map *now = space_map_now(s);
    const Region *old = map_find(now, new->hit.gpa);
    if (!old || old->hit.device || old->hit.gpa != new->hit.gpa || old->hit.size_bytes != new->hit.size_bytes ||
        old->ram != new->ram || old->offset != new->offset) {
        return false;
    }
    if (new->hit.flags & ~old->hit.flags & SPACE_LOG_DIRTY) {
        log_start(old);
    }
    Map *m = map_new(now->n);
    memcpy(m->regions, now->regions, now->n * sizeof m->regions[0]);
    m->regions[old - now->regions].hit.flags = new->hit.flags;
    map_install(s, m);
    return true;
}

static int map_locked(Space *s, Region *new, Err *err)
{
    const Ram *ram = new->ram < s->rams.n ? &s->rams.items[new->ram] : NULL;
    uint64_t size = new->hit.size_bytes;
    if (!ram) {
        return err_set(err, ERR_INVAL, "map: there is no RAM %u", new->ram);
    }
    if (new->offset > ram->size_bytes || size > ram->size_bytes - new->offset) {
        return err_set(err, ERR_INVAL, "map: 0x%llx + 0x%llx is beyond the 0x%llx bytes of RAM %u",
                       (unsigned long long)new->offset, (unsigned long long)size, (unsigned long long)ram->size_bytes,
                       new->ram);
    }
    new->hit.host = ram->host + new->offset;
    new->hit.pages = ram->pages + new->offset / SPACE_PAGE_BYTES;
    if (region_reflag(s, new)) {
        return 0;
    }
    int rc = region_add(s, new, err);
    if (!rc && new->hit.flags & SPACE_LOG_DIRTY) {
        log_start(new);
    }
    return rc;
}

int space_map(Space *s, uint64_t gpa, uint64_t size_bytes, uint32_t ram, uint64_t offset, uint32_t flags, Err *err)
{
    int rc = place_check(gpa, size_bytes, offset, err);
    if (rc) {
        return rc;
    }
    if (flags & ~(uint32_t)(SPACE_R | SPACE_W | SPACE_X | SPACE_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map: unknown flags 0x%x", flags);
    }
    Region new = {.hit = {.gpa = gpa, .size_bytes = size_bytes, .flags = flags}, .offset = offset, .ram = ram};
    space_lock(s);
    rc = map_locked(s, &new, err);
    space_unlock(s);
    return rc;
}

int space_device(Space *s, uint64_t gpa, uint64_t size_bytes, const SpaceDevice *ops, void *ctx, Err *err)
{
    assert(ops && ops->read && ops->write);
    int rc = place_check(gpa, size_bytes, 0, err);
    if (rc) {
        return rc;
    }
    Region new = {.hit = {.gpa = gpa, .size_bytes = size_bytes, .flags = SPACE_R | SPACE_W, .device = ops, .ctx = ctx}};
    space_lock(s);
    rc = region_add(s, &new, err);
    space_unlock(s);
    return rc;
}

int space_unmap(Space *s, uint64_t gpa, uint64_t size_bytes, Err *err)
{
    int rc = 0;
    space_lock(s);
    Map *now = space_map_now(s);
    const Region *old = map_find(now, gpa);
    if (!old || old->hit.gpa != gpa || old->hit.size_bytes != size_bytes) {
        rc = err_set(err, ERR_NOENT, "unmap: no region is exactly 0x%llx + 0x%llx", (unsigned long long)gpa,
                     (unsigned long long)size_bytes);
    } else {
        size_t at = (size_t)(old - now->regions);
        Map *m = map_new(now->n - 1);
        memcpy(m->regions, now->regions, at * sizeof m->regions[0]);
        memcpy(m->regions + at, now->regions + at + 1, (now->n - at - 1) * sizeof m->regions[0]);
        map_install(s, m);
    }
    space_unlock(s);
    return rc;
}

int space_ram_new(Space *s, uint64_t size_bytes, uint32_t *ram, Err *err)
{
    Ram new;
    space_lock(s);
    int rc = s->rams.n < SPACE_MAX_RAMS ? 0 : err_set(err, ERR_LIMIT, "no more than %d pieces of RAM", SPACE_MAX_RAMS);
    rc = rc ? rc : ram_open(&new, size_bytes, err);
    if (!rc) {
        *ram = (uint32_t)s->rams.n;
        VEC_PUSH(&s->rams, new);
    }
    space_unlock(s);
    return rc;
}

/* Under the lock of s: its map, on the twin's RAM. */
static Map *map_twin(const Space *s, const Space *twin)
{
    const Map *now = space_map_now(s);
    Map *m = map_new(now->n);
    m->n = 0;
    for (size_t i = 0; i < now->n; i++) {
        Region r = now->regions[i];
        if (!r.hit.device) {
            const Ram *ram = &twin->rams.items[r.ram];
            r.hit.host = ram->host + r.offset;
            r.hit.pages = ram->pages + r.offset / SPACE_PAGE_BYTES;
            m->regions[m->n++] = r;
        }
    }
    return m;
}

int space_fork(Space *s, Space **out, Err *err)
{
    Space *twin = space_new();
    int rc = 0;
    space_lock(s);
    for (size_t i = 0; !rc && i < s->rams.n; i++) {
        Ram r;
        rc = ram_fork(&s->rams.items[i], &r, err);
        if (!rc) {
            VEC_PUSH(&twin->rams, r);
        }
    }
    if (!rc) {
        map_install(twin, map_twin(s, twin));
    }
    space_unlock(s);
    if (rc) {
        space_free(twin);
        return rc;
    }
    space_collect(twin);
    *out = twin;
    return 0;
}

size_t space_rams(const Space *s, SpaceRam *out, size_t cap)
{
    space_lock(s);
    size_t n = s->rams.n;
    for (size_t i = 0; i < n && i < cap; i++) {
        out[i] = (SpaceRam){s->rams.items[i].size_bytes, s->rams.items[i].host};
    }
    space_unlock(s);
    return n;
}

bool space_ram_touched(const Space *s, uint32_t ram, uint64_t from, uint64_t *first, uint64_t *npages)
{
    space_lock(s);
    assert(ram < s->rams.n);
    bool is_any = ram_touched(&s->rams.items[ram], from, first, npages);
    space_unlock(s);
    return is_any;
}

int space_ram_clear(Space *s, uint32_t ram, Err *err)
{
    space_lock(s);
    assert(ram < s->rams.n);
    int rc = ram_clear(&s->rams.items[ram], err);
    if (!rc) {
        atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
    }
    space_unlock(s);
    return rc;
}

void space_ram_put(Space *s, uint32_t ram, uint64_t offset, const void *bytes, size_t n)
{
    space_lock(s);
    assert(ram < s->rams.n);
    const Ram *r = &s->rams.items[ram];
    assert(offset <= r->size_bytes && n <= r->size_bytes - offset);
    if (n) {
        memcpy(r->host + offset, bytes, n);
        for (uint64_t i = offset / SPACE_PAGE_BYTES; i <= (offset + n - 1) / SPACE_PAGE_BYTES; i++) {
            atomic_fetch_or(&r->pages[i], PAGE_DIRTY);
        }
    }
    space_unlock(s);
}

size_t space_regions(const Space *s, SpaceRegion *out, size_t cap)
{
    size_t n = 0;
    space_lock(s);
    const Map *m = space_map_now(s);
    for (size_t i = 0; i < m->n; i++) {
        const Region *r = &m->regions[i];
        if (!r->hit.device) {
            if (n < cap) {
                out[n] = (SpaceRegion){r->hit.gpa, r->hit.size_bytes, r->offset, r->ram, r->hit.flags};
            }
            n++;
        }
    }
    space_unlock(s);
    return n;
}
