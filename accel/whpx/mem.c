/* SPDX-License-Identifier: Apache-2.0
 * mem.c - backing memory, GPA ranges, access from the host, dirty log. */
#include "accel/whpx/whpx.h"

int whpx_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    int rc = slots_check_ram(&vm->mem, size, err);
    if (rc) {
        return rc;
    }
    uint8_t *host = VirtualAlloc(NULL, (size_t)size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!host) {
        return err_set(err, ERR_NOMEM, "guest RAM of %#llx bytes: error %lu of Windows", (unsigned long long)size,
                       (unsigned long)GetLastError());
    }
    pthread_mutex_lock(&vm->lock);
    VEC_PUSH(&vm->mem.rams, (SlotRam){-1, host, size});
    pthread_mutex_unlock(&vm->lock);
    *out = (RamId)vm->mem.rams.n;
    return 0;
}

void whpx_mem_free(BeVm *vm)
{
    for (size_t i = 0; i < vm->mem.rams.n; i++) {
        VirtualFree(vm->mem.rams.items[i].host, 0, MEM_RELEASE);
    }
    slots_free(&vm->mem);
}

/* A range that is there already takes the flags. */
static int range_apply(BeVm *vm, const Slot *r, uint32_t map_flags, Err *err)
{
    int flags = (map_flags & MAP_R ? WHvMapGpaRangeFlagRead : 0) | (map_flags & MAP_W ? WHvMapGpaRangeFlagWrite : 0) |
                (map_flags & MAP_X ? WHvMapGpaRangeFlagExecute : 0) |
                (map_flags & MAP_LOG_DIRTY ? WHvMapGpaRangeFlagTrackDirtyPages : 0);
    HRESULT hr =
        whv.WHvMapGpaRange(vm->partition, slot_host(&vm->mem, r), r->at, r->size, (WHV_MAP_GPA_RANGE_FLAGS)flags);
    return FAILED(hr) ? whv_err(err, hr, "WHvMapGpaRange") : 0;
}

int whpx_mem_apply(BeVm *vm, Err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < vm->mem.slots.n; i++) {
        const Slot *r = &vm->mem.slots.items[i];
        rc = r->is_used ? range_apply(vm, r, r->flags, err) : 0;
    }
    return rc;
}

int whpx_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    Slot want = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags}, *r;
    int rc = slots_check(&vm->mem, &want, err);
    if (rc) {
        return rc;
    }
    if (!(flags & MAP_R) || flags & ~(uint32_t)(MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map flags %#x: a range of this platform is readable", flags);
    }
    pthread_mutex_lock(&vm->lock); /* the list may move; an unused entry is seen by nobody */
    rc = slots_place(&vm->mem, &want, &r, err);
    pthread_mutex_unlock(&vm->lock);
    if (rc || (r->is_used && r->flags == flags)) {
        return rc;
    }
    rc = vm->is_set_up ? range_apply(vm, r, flags, err) : 0;
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        r->is_used = true;
        r->flags = flags;
        if (!(flags & MAP_LOG_DIRTY)) {
            slot_drop_dirty(r);
        }
        pthread_mutex_unlock(&vm->lock);
    }
    return rc;
}

int whpx_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    Slot *r;
    int rc = slots_exact(&vm->mem, at.addr, size, &r, err);
    if (rc) {
        return rc;
    }
    HRESULT hr = vm->is_set_up ? whv.WHvUnmapGpaRange(vm->partition, at.addr, size) : S_OK;
    if (FAILED(hr)) {
        return whv_err(err, hr, "WHvUnmapGpaRange");
    }
    pthread_mutex_lock(&vm->lock);
    slot_drop_dirty(r);
    *r = (Slot){0};
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

/* ---- access from the host ---- */
int whpx_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    return slots_read(&vm->mem, at.addr, buf, n, err);
}

int whpx_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = slots_write(&vm->mem, at.addr, buf, n, err);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

bool whpx_mem_access(BeVm *vm, uint64_t gpa, uint8_t *bytes, size_t n, bool is_write)
{
    pthread_mutex_lock(&vm->lock);
    const Slot *r = slots_find(&vm->mem, gpa, 1);
    bool is_ram = r && r->size - (gpa - r->at) >= n && r->flags & (is_write ? MAP_W : MAP_R);
    int rc = !is_ram    ? -ERR_FAULT
             : is_write ? slots_write(&vm->mem, gpa, bytes, n, NULL)
                        : slots_read(&vm->mem, gpa, bytes, n, NULL);
    pthread_mutex_unlock(&vm->lock);
    return !rc;
}

/* ---- dirty log ---- */
/* WHvQueryGpaRangeDirtyBitmap fetches and clears in one step. */
static int dirty_fetch(void *ctx, Slot *r, Err *err)
{
    BeVm *vm = ctx;
    size_t words = slot_dirty_words(&vm->mem, r);
    if (!vm->is_set_up) {
        return 0;
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

int whpx_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    pthread_mutex_lock(&vm->lock);
    int rc = slots_dirty_get(&vm->mem, at.addr, size, bits, clear, dirty_fetch, vm, err);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}
