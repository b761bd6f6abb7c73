/* SPDX-License-Identifier: Apache-2.0
 * mem.c - backing memory, GPA ranges, access from the host, dirty log. */
#include "accel/whpx/whpx.h"

#include <string.h>

int whpx_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    if (size == 0 || size % WHPX_PAGE || size > SIZE_MAX / 2) {
        return err_set(err, size % WHPX_PAGE ? ERR_ALIGN : ERR_INVAL,
                       "RAM of %#llx bytes: must be a multiple of the page size %#x, and not 0",
                       (unsigned long long)size, (unsigned)WHPX_PAGE);
    }
    uint8_t *host = VirtualAlloc(NULL, (size_t)size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!host) {
        return err_set(err, ERR_NOMEM, "guest RAM of %#llx bytes: error %lu of Windows", (unsigned long long)size,
                       (unsigned long)GetLastError());
    }
    pthread_mutex_lock(&vm->lock);
    VEC_PUSH(&vm->rams, (WhpxRam){host, size});
    pthread_mutex_unlock(&vm->lock);
    *out = (RamId)vm->rams.n;
    return 0;
}

void whpx_mem_free(BeVm *vm)
{
    for (size_t i = 0; i < vm->ranges.n; i++) {
        mem_free(vm->ranges.items[i].dirty);
    }
    for (size_t i = 0; i < vm->rams.n; i++) {
        VirtualFree(vm->rams.items[i].host, 0, MEM_RELEASE);
    }
    VEC_FREE(&vm->ranges);
    VEC_FREE(&vm->rams);
}

static uint8_t *range_host(BeVm *vm, const WhpxRange *r)
{
    return vm->rams.items[r->ram - 1].host + r->offset;
}

static int range_apply(BeVm *vm, const WhpxRange *r, Err *err)
{
    int flags = (r->flags & MAP_R ? WHvMapGpaRangeFlagRead : 0) | (r->flags & MAP_W ? WHvMapGpaRangeFlagWrite : 0) |
                (r->flags & MAP_X ? WHvMapGpaRangeFlagExecute : 0) |
                (r->flags & MAP_LOG_DIRTY ? WHvMapGpaRangeFlagTrackDirtyPages : 0);
    HRESULT hr = whv.WHvMapGpaRange(vm->partition, range_host(vm, r), r->at, r->size, (WHV_MAP_GPA_RANGE_FLAGS)flags);
    return FAILED(hr) ? whv_err(err, hr, "WHvMapGpaRange") : 0;
}

int whpx_mem_apply(BeVm *vm, Err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < vm->ranges.n; i++) {
        rc = range_apply(vm, &vm->ranges.items[i], err);
    }
    return rc;
}

static int map_check(BeVm *vm, const WhpxRange *want, Err *err)
{
    uint64_t at = want->at, size = want->size, offset = want->offset;
    RamId ram = want->ram;
    if ((at | size | offset) % WHPX_PAGE) {
        return err_set(err, ERR_ALIGN, "map at %#llx, size %#llx, offset %#llx: all must be multiples of %#x",
                       (unsigned long long)at, (unsigned long long)size, (unsigned long long)offset,
                       (unsigned)WHPX_PAGE);
    }
    if (ram == 0 || ram > vm->rams.n) {
        return err_set(err, ERR_NOENT, "no RAM %u in this VM", ram);
    }
    uint64_t ram_size = vm->rams.items[ram - 1].size;
    if (size == 0 || at + (size - 1) < at || offset > ram_size || size > ram_size - offset) {
        return err_set(err, ERR_INVAL, "map at %#llx, size %#llx, offset %#llx does not fit RAM %u of %#llx bytes",
                       (unsigned long long)at, (unsigned long long)size, (unsigned long long)offset, ram,
                       (unsigned long long)ram_size);
    }
    if (!(want->flags & MAP_R) || want->flags & ~(uint32_t)(MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map flags %#x: a range of this platform is readable", want->flags);
    }
    return 0;
}

/* The range that [at, at + size) touches. */
static WhpxRange *range_find(BeVm *vm, uint64_t at, uint64_t size)
{
    for (size_t i = 0; i < vm->ranges.n; i++) {
        WhpxRange *r = &vm->ranges.items[i];
        if (r->at <= at + (size - 1) && at <= r->at + (r->size - 1)) {
            return r;
        }
    }
    return NULL;
}

static int range_flags(BeVm *vm, WhpxRange *r, uint32_t flags, Err *err)
{
    WhpxRange want = *r;
    want.flags = flags;
    int rc = vm->is_set_up ? range_apply(vm, &want, err) : 0; /* over itself: the new flags hold */
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&vm->lock);
    r->flags = flags;
    if (!(flags & MAP_LOG_DIRTY)) {
        mem_free(r->dirty);
        r->dirty = NULL;
    }
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

int whpx_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    enum { MAX_RANGES = 1024 };
    WhpxRange want = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags};
    int rc = map_check(vm, &want, err);
    if (rc) {
        return rc;
    }
    WhpxRange *r = range_find(vm, at.addr, size);
    if (r && r->at == at.addr && r->size == size && r->ram == ram && r->offset == offset) {
        return r->flags == flags ? 0 : range_flags(vm, r, flags, err);
    }
    if (r) {
        return err_set(err, ERR_EXIST, "map at %#llx, size %#llx overlaps the region at %#llx, size %#llx",
                       (unsigned long long)at.addr, (unsigned long long)size, (unsigned long long)r->at,
                       (unsigned long long)r->size);
    }
    if (vm->ranges.n >= MAX_RANGES) {
        return err_set(err, ERR_LIMIT, "no more than %d regions", (int)MAX_RANGES);
    }
    rc = vm->is_set_up ? range_apply(vm, &want, err) : 0;
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        VEC_PUSH(&vm->ranges, want);
        pthread_mutex_unlock(&vm->lock);
    }
    return rc;
}

int whpx_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    WhpxRange *r = size && at.addr + (size - 1) >= at.addr ? range_find(vm, at.addr, size) : NULL;
    if (!r || r->at != at.addr || r->size != size) {
        return err_set(err, ERR_NOENT, "no region is exactly %#llx, size %#llx", (unsigned long long)at.addr,
                       (unsigned long long)size);
    }
    HRESULT hr = vm->is_set_up ? whv.WHvUnmapGpaRange(vm->partition, at.addr, size) : S_OK;
    if (FAILED(hr)) {
        return whv_err(err, hr, "WHvUnmapGpaRange");
    }
    pthread_mutex_lock(&vm->lock);
    mem_free(r->dirty);
    *r = vm->ranges.items[--vm->ranges.n];
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

static size_t range_words(const WhpxRange *r)
{
    return (size_t)((r->size / WHPX_PAGE + 63) / 64);
}

static int dirty_alloc(WhpxRange *r, Err *err)
{
    if (!r->dirty && !(r->dirty = mem_try(range_words(r), 8))) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", range_words(r) * 8);
    }
    return 0;
}

/* ---- access from the host ---- */
typedef enum { COPY_CHECK, COPY_READ, COPY_WRITE } CopyKind;

/* The platform logs what vcpus write; what is written from here only we know. */
static void dirty_mark(WhpxRange *r, uint64_t offset, size_t n)
{
    for (uint64_t page = offset / WHPX_PAGE; page <= (offset + n - 1) / WHPX_PAGE; page++) {
        r->dirty[page / 64] |= 1ull << (page % 64);
    }
}

static int copy_pass(BeVm *vm, CopyKind kind, uint64_t gpa, uint8_t *buf, size_t n, Err *err)
{
    while (n) {
        WhpxRange *r = range_find(vm, gpa, 1);
        if (!r) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)gpa);
        }
        uint64_t offset = gpa - r->at, left = r->size - offset;
        size_t part = left < n ? (size_t)left : n;
        uint8_t *host = range_host(vm, r) + offset;
        int rc = kind == COPY_CHECK && r->flags & MAP_LOG_DIRTY ? dirty_alloc(r, err) : 0;
        if (rc) {
            return rc;
        }
        if (kind == COPY_READ) {
            memcpy(buf, host, part);
        } else if (kind == COPY_WRITE) {
            memcpy(host, buf, part);
            if (r->flags & MAP_LOG_DIRTY) {
                dirty_mark(r, offset, part);
            }
        }
        gpa += part;
        buf = buf ? buf + part : NULL;
        n -= part;
        if (n && gpa == 0) {
            return err_set(err, ERR_FAULT, "access wraps around the address space");
        }
    }
    return 0;
}

int whpx_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    int rc = copy_pass(vm, COPY_CHECK, at.addr, NULL, n, err);
    return rc ? rc : copy_pass(vm, COPY_READ, at.addr, buf, n, err);
}

int whpx_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = copy_pass(vm, COPY_CHECK, at.addr, NULL, n, err);
    rc = rc ? rc : copy_pass(vm, COPY_WRITE, at.addr, (uint8_t *)(uintptr_t)buf, n, err);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

bool whpx_mem_access(BeVm *vm, uint64_t gpa, uint8_t *bytes, size_t n, bool is_write)
{
    pthread_mutex_lock(&vm->lock);
    const WhpxRange *r = range_find(vm, gpa, 1);
    bool is_ram = r && r->size - (gpa - r->at) >= n && r->flags & (is_write ? MAP_W : MAP_R);
    int rc = is_ram ? copy_pass(vm, COPY_CHECK, gpa, NULL, n, NULL) : -ERR_FAULT;
    rc = rc ? rc : copy_pass(vm, is_write ? COPY_WRITE : COPY_READ, gpa, bytes, n, NULL);
    pthread_mutex_unlock(&vm->lock);
    return !rc;
}

/* ---- dirty log ---- */
/* WHvQueryGpaRangeDirtyBitmap fetches and clears in one step; what the caller does not clear stays here. */
static int dirty_fetch(BeVm *vm, WhpxRange *r, Err *err)
{
    size_t words = range_words(r);
    int rc = dirty_alloc(r, err);
    if (rc || !vm->is_set_up) {
        return rc;
    }
    uint64_t *fresh = mem_try(words, 8);
    if (!fresh) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", words * 8);
    }
    HRESULT hr = words > UINT32_MAX / 8 ? E_INVALIDARG
                                        : whv.WHvQueryGpaRangeDirtyBitmap(vm->partition, r->at, r->size,
                                                                          (UINT64 *)fresh, (UINT32)(words * 8));
    for (size_t i = 0; SUCCEEDED(hr) && i < words; i++) {
        r->dirty[i] |= fresh[i];
    }
    mem_free(fresh);
    return FAILED(hr) ? whv_err(err, hr, "WHvQueryGpaRangeDirtyBitmap") : 0;
}

static int dirty_check(BeVm *vm, uint64_t at, uint64_t size, Err *err)
{
    if ((at | size) % WHPX_PAGE) {
        return err_set(err, ERR_ALIGN, "dirty log of %#llx, size %#llx: both must be multiples of %#x",
                       (unsigned long long)at, (unsigned long long)size, (unsigned)WHPX_PAGE);
    }
    uint64_t left;
    for (uint64_t done = 0; done < size; done += left) {
        const WhpxRange *r = range_find(vm, at + done, 1);
        if (!r) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)(at + done));
        }
        if (!(r->flags & MAP_LOG_DIRTY)) {
            return err_set(err, ERR_STATE, "the region at %#llx is mapped without a dirty log",
                           (unsigned long long)r->at);
        }
        left = r->size - (at + done - r->at);
    }
    return 0;
}

static int dirty_copy(BeVm *vm, uint64_t at, uint64_t pages, uint8_t *bits, bool clear, Err *err)
{
    WhpxRange *r = NULL;
    int rc = 0;
    for (uint64_t i = 0; !rc && i < pages; i++) {
        uint64_t gpa = at + i * WHPX_PAGE;
        if (!r || gpa - r->at >= r->size) {
            r = range_find(vm, gpa, 1);
            rc = dirty_fetch(vm, r, err);
        }
        uint64_t page = (gpa - r->at) / WHPX_PAGE;
        if (!rc && r->dirty[page / 64] >> (page % 64) & 1) {
            bits[i / 8] |= (uint8_t)(1 << (i % 8));
            r->dirty[page / 64] &= ~((uint64_t)clear << (page % 64));
        }
    }
    return rc;
}

int whpx_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    int rc = dirty_check(vm, at.addr, size, err);
    if (!rc) {
        memset(bits, 0, (size_t)((size / WHPX_PAGE + 7) / 8));
        pthread_mutex_lock(&vm->lock);
        rc = dirty_copy(vm, at.addr, size / WHPX_PAGE, bits, clear, err);
        pthread_mutex_unlock(&vm->lock);
    }
    return rc;
}
