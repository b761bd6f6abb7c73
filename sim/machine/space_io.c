/* SPDX-License-Identifier: Apache-2.0
 * Access to a Space from outside, and the two flags of a page. */
#include "sim/base/os.h"
#include "sim/machine/space_impl.h"

#include <string.h>

typedef struct {
    uint64_t gpa, n;
} Range;
typedef VEC(Range) RangeList;

/* Under lock: all of [gpa, gpa + n) is RAM whose flags have all of need. */
static int range_check(const Map *m, Range want, uint32_t need, Err *err)
{
    if (want.n && want.gpa + (want.n - 1) < want.gpa) {
        return err_set(err, ERR_FAULT, "0x%llx + 0x%llx passes the end of the address space",
                       (unsigned long long)want.gpa, (unsigned long long)want.n);
    }
    for (uint64_t done = 0; done < want.n;) {
        uint64_t at = want.gpa + done;
        const Region *r = map_find(m, at);
        if (!r || r->hit.device) {
            return err_set(err, need ? ERR_NOENT : ERR_FAULT, "%s at 0x%llx", r ? "a device" : "nothing is mapped",
                           (unsigned long long)at);
        }
        if ((r->hit.flags & need) != need) {
            return err_set(err, ERR_NOENT, "the region at 0x%llx is not logged", (unsigned long long)r->hit.gpa);
        }
        done += r->hit.size_bytes - (at - r->hit.gpa);
    }
    return 0;
}

/* Under lock, after range_check: the longest piece at gpa in one region, at most n bytes. */
static const Region *piece_at(const Map *m, uint64_t gpa, uint64_t n, uint64_t *piece)
{
    const Region *r = map_find(m, gpa);
    uint64_t left = r->hit.size_bytes - (gpa - r->hit.gpa);
    *piece = n < left ? n : left;
    return r;
}

/* The largest piece at guest, of at most n bytes, that is moved at once. */
static size_t atom(const uint8_t *guest, size_t n)
{
    size_t size_bytes = 8;
    while ((uintptr_t)guest % size_bytes || size_bytes > n) {
        size_bytes /= 2;
    }
    return size_bytes;
}

/* Between guest memory, which vcpus access at the same time, and a buffer: whole where it is aligned. */
static void guest_load(uint8_t *to, const uint8_t *guest, size_t n)
{
    for (size_t size_bytes; n; n -= size_bytes, guest += size_bytes, to += size_bytes) {
        size_bytes = atom(guest, n);
        if (size_bytes == 8) {
            uint64_t word = __atomic_load_n((const uint64_t *)(const void *)guest, __ATOMIC_RELAXED);
            memcpy(to, &word, 8);
        } else if (size_bytes == 4) {
            uint32_t word = __atomic_load_n((const uint32_t *)(const void *)guest, __ATOMIC_RELAXED);
            memcpy(to, &word, 4);
        } else if (size_bytes == 2) {
            uint16_t word = __atomic_load_n((const uint16_t *)(const void *)guest, __ATOMIC_RELAXED);
            memcpy(to, &word, 2);
        } else {
            *to = __atomic_load_n(guest, __ATOMIC_RELAXED);
        }
    }
}

static void guest_store(uint8_t *guest, const uint8_t *from, size_t n)
{
    for (size_t size_bytes; n; n -= size_bytes, guest += size_bytes, from += size_bytes) {
        size_bytes = atom(guest, n);
        uint64_t word = 0;
        memcpy(&word, from, size_bytes);
        if (size_bytes == 8) {
            __atomic_store_n((uint64_t *)(void *)guest, word, __ATOMIC_RELAXED);
        } else if (size_bytes == 4) {
            __atomic_store_n((uint32_t *)(void *)guest, (uint32_t)word, __ATOMIC_RELAXED);
        } else if (size_bytes == 2) {
            __atomic_store_n((uint16_t *)(void *)guest, (uint16_t)word, __ATOMIC_RELAXED);
        } else {
            __atomic_store_n(guest, *from, __ATOMIC_RELAXED);
        }
    }
}

int space_read(const Space *s, uint64_t gpa, void *buf, size_t n, Err *err)
{
    space_lock(s);
    const Map *m = space_map_now(s);
    int rc = range_check(m, (Range){gpa, n}, 0, err);
    for (uint64_t done = 0, piece; !rc && done < n; done += piece) {
        const Region *r = piece_at(m, gpa + done, n - done, &piece);
        guest_load((uint8_t *)buf + done, r->hit.host + (gpa + done - r->hit.gpa), piece);
    }
    space_unlock(s);
    return rc;
}

/* Where the bytes [offset, offset + n) of a RAM can be seen. */
static void places_add(const Map *m, uint32_t ram, uint64_t offset, uint64_t n, RangeList *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const Region *r = &m->regions[i];
        uint64_t end = r->offset + r->hit.size_bytes;
        uint64_t from = offset > r->offset ? offset : r->offset, to = offset + n < end ? offset + n : end;
        if (!r->hit.device && r->ram == ram && from < to) {
            VEC_PUSH(out, (Range){r->hit.gpa + (from - r->offset), to - from});
        }
    }
}

/* Of a piece that was written: pages in a row with PAGE_CODE are one range. */
static void code_pages_add(const Map *m, const Region *r, Range piece, RangeList *out)
{
    uint64_t from = piece.gpa - r->hit.gpa, end = from + piece.n;
    while (from < end) {
        uint64_t at = from;
        while (at < end && atomic_load(&r->hit.pages[at / SPACE_PAGE_BYTES]) & PAGE_CODE) {
            at = (at / SPACE_PAGE_BYTES + 1) * SPACE_PAGE_BYTES;
        }
        at = at < end ? at : end;
        if (at > from) {
            places_add(m, r->ram, r->offset + from, at - from, out);
        }
        from = (at / SPACE_PAGE_BYTES + 1) * SPACE_PAGE_BYTES; /* this one has no code, or is behind the end */
    }
}

static void code_report(Space *s, RangeList *list)
{
    for (size_t i = 0; i < list->n && s->on_code; i++) {
        s->on_code(s->on_code_ctx, list->items[i].gpa, list->items[i].n);
    }
    VEC_FREE(list);
}

static void mark_dirty(const Region *r, Range piece)
{
    uint64_t from = piece.gpa - r->hit.gpa;
    for (uint64_t i = from / SPACE_PAGE_BYTES; i <= (from + piece.n - 1) / SPACE_PAGE_BYTES; i++) {
        atomic_fetch_or(&r->hit.pages[i], PAGE_DIRTY);
    }
}

int space_write(Space *s, uint64_t gpa, const void *buf, size_t n, Err *err)
{
    RangeList code = {0};
    space_lock(s);
    const Map *m = space_map_now(s);
    int rc = range_check(m, (Range){gpa, n}, 0, err);
    for (uint64_t done = 0, piece; !rc && done < n; done += piece) {
        const Region *r = piece_at(m, gpa + done, n - done, &piece);
        os_pages_touch(r->hit.host + (gpa + done - r->hit.gpa), piece);
        guest_store(r->hit.host + (gpa + done - r->hit.gpa), (const uint8_t *)buf + done, piece);
        mark_dirty(r, (Range){gpa + done, piece}); /* sequentially consistent: the flag is read after the write */
        code_pages_add(m, r, (Range){gpa + done, piece}, &code);
    }
    space_unlock(s);
    code_report(s, &code);
    return rc;
}

int space_discard(Space *s, uint64_t gpa, uint64_t size_bytes, Err *err)
{
    static const uint8_t zeros[SPACE_PAGE_BYTES];
    RangeList code = {0};
    if ((gpa | size_bytes) % SPACE_PAGE_BYTES) {
        return err_set(err, ERR_ALIGN, "discard: 0x%llx + 0x%llx is not whole pages", (unsigned long long)gpa,
                       (unsigned long long)size_bytes);
    }
    space_lock(s);
    const Map *m = space_map_now(s);
    int rc = range_check(m, (Range){gpa, size_bytes}, 0, err);
    for (uint64_t done = 0, piece; !rc && done < size_bytes; done += piece) {
        const Region *r = piece_at(m, gpa + done, size_bytes - done, &piece);
        uint64_t from = gpa + done - r->hit.gpa;
        bool is_punched = ram_punch(&s->rams.items[r->ram], r->offset + from, piece);
        for (uint64_t at = 0; !is_punched && at < piece; at += SPACE_PAGE_BYTES) {
            guest_store(r->hit.host + from + at, zeros, SPACE_PAGE_BYTES);
        }
        mark_dirty(r, (Range){gpa + done, piece});
        code_pages_add(m, r, (Range){gpa + done, piece}, &code);
    }
    space_unlock(s);
    code_report(s, &code);
    return rc;
}

void space_on_code(Space *s, void (*fn)(void *ctx, uint64_t gpa, uint64_t n), void *ctx)
{
    s->on_code = fn;
    s->on_code_ctx = ctx;
}

void space_code_written(Space *s, uint64_t gpa, uint64_t n)
{
    RangeList code = {0};
    space_lock(s);
    const Map *m = space_map_now(s);
    atomic_thread_fence(memory_order_seq_cst);
    for (uint64_t done = 0, piece; done < n; done += piece) {
        const Region *r = map_find(m, gpa + done);
        if (!r || r->hit.device) { /* unmapped meanwhile: what was there is void by the change of the map */
            break;
        }
        r = piece_at(m, gpa + done, n - done, &piece);
        code_pages_add(m, r, (Range){gpa + done, piece}, &code);
    }
    space_unlock(s);
    code_report(s, &code);
}

int space_dirty_get(Space *s, uint64_t gpa, uint64_t size_bytes, uint8_t *bits, bool clear, Err *err)
{
    if (!size_bytes || (gpa | size_bytes) % SPACE_PAGE_BYTES) {
        return err_set(err, ERR_ALIGN, "dirty log: 0x%llx + 0x%llx is not whole pages", (unsigned long long)gpa,
                       (unsigned long long)size_bytes);
    }
    space_lock(s);
    const Map *m = space_map_now(s);
    int rc = range_check(m, (Range){gpa, size_bytes}, SPACE_LOG_DIRTY, err);
    bool was_any = false;
    if (!rc) {
        memset(bits, 0, (size_bytes / SPACE_PAGE_BYTES + 7) / 8);
    }
    for (uint64_t i = 0; !rc && i < size_bytes / SPACE_PAGE_BYTES; i++) {
        uint64_t at = gpa + i * SPACE_PAGE_BYTES;
        const Region *r = map_find(m, at);
        _Atomic uint8_t *page = &r->hit.pages[(at - r->hit.gpa) / SPACE_PAGE_BYTES];
        if (atomic_load_explicit(page, memory_order_relaxed) & PAGE_DIRTY) {
            bits[i / 8] |= (uint8_t)(1u << i % 8);
            was_any = true;
            if (clear) {
                atomic_fetch_and(page, (uint8_t)~PAGE_DIRTY);
            }
        }
    }
    if (clear && was_any) {
        atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
    }
    space_unlock(s);
    return rc;
}
