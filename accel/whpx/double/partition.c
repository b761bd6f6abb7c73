/* SPDX-License-Identifier: Apache-2.0
 * partition.c - capabilities, partitions, their properties and memory. */
#include "accel/whpx/double/platform.h"

#include <stdlib.h>
#include <string.h>

/* That this library is no hypervisor of Windows; whoever uses it labels what comes of it. */
extern const int ConfDouble;
const int ConfDouble = 1;

Partition *partition_of(WHV_PARTITION_HANDLE handle)
{
    Partition *p = handle;
    return p && p->magic == PARTITION_MAGIC ? p : NULL;
}

Vp *vp_of(WHV_PARTITION_HANDLE handle, UINT32 index, HRESULT *why)
{
    Partition *p = partition_of(handle);
    *why = !p ? E_INVALIDARG : index >= p->nvps || !p->vps[index].exists ? WHV_E_VP_DOES_NOT_EXIST : S_OK;
    return FAILED(*why) ? NULL : &p->vps[index];
}

/* ---- capabilities ---- */
static bool has_kvm(void)
{
    int fd = linux_kvm_open();
    if (fd >= 0) {
        linux_close(fd);
    }
    return fd >= 0;
}

HRESULT WINAPI WHvGetCapability(WHV_CAPABILITY_CODE code, VOID *buffer, UINT32 size, UINT32 *written)
{
    DOUBLE_CALL(WHvGetCapability);
    WHV_CAPABILITY c;
    UINT32 n = sizeof(UINT64);
    memset(&c, 0, sizeof c);
    switch ((unsigned)code) {
    case WHvCapabilityCodeHypervisorPresent:
        c.HypervisorPresent = has_kvm();
        n = sizeof c.HypervisorPresent;
        break;
    case WHvCapabilityCodeFeatures:
        c.Features.Xsave = c.Features.DirtyPageTracking = 1;
        break;
    case WHvCapabilityCodeExtendedVmExits:
        c.ExtendedVmExits.X64CpuidExit = c.ExtendedVmExits.X64MsrExit = c.ExtendedVmExits.ExceptionExit = 1;
        break;
    default:
        return WHV_E_UNKNOWN_CAPABILITY;
    }
    if (!buffer || size < n) {
        return WHV_E_INSUFFICIENT_BUFFER;
    }
    memcpy(buffer, &c, n);
    if (written) {
        *written = n;
    }
    return S_OK;
}

/* ---- life ---- */
HRESULT WINAPI WHvCreatePartition(WHV_PARTITION_HANDLE *out)
{
    DOUBLE_CALL(WHvCreatePartition);
    if (!out) {
        return E_INVALIDARG;
    }
    Partition *p = calloc(1, sizeof *p);
    if (!p) {
        return E_OUTOFMEMORY;
    }
    InitializeSRWLock(&p->lock);
    p->sys_fd = linux_kvm_open();
    p->fd = p->sys_fd < 0 ? -1 : (int)linux_ioctl_number(p->sys_fd, KVM_CREATE_VM, 0);
    long long n = p->fd < 0 ? -1 : linux_ioctl_number(p->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (n < (long long)sizeof(struct kvm_run)) {
        if (p->fd >= 0) {
            linux_close(p->fd);
        }
        if (p->sys_fd >= 0) {
            linux_close(p->sys_fd);
        }
        free(p);
        return E_FAIL;
    }
    linux_ioctl_number(p->fd, KVM_SET_TSS_ADDR, 0xfeffd000);
    p->run_bytes = (size_t)n;
    p->magic = PARTITION_MAGIC;
    double_object(1);
    *out = p;
    return S_OK;
}

HRESULT WINAPI WHvSetupPartition(WHV_PARTITION_HANDLE handle)
{
    DOUBLE_CALL(WHvSetupPartition);
    Partition *p = partition_of(handle);
    if (!p || p->is_set_up) {
        return p ? WHV_E_INVALID_PARTITION_CONFIG : E_INVALIDARG;
    }
    if (!p->nvps) { /* the one property that must be set */
        return WHV_E_INVALID_PARTITION_CONFIG;
    }
    p->is_set_up = true;
    return S_OK;
}

HRESULT WINAPI WHvDeletePartition(WHV_PARTITION_HANDLE handle)
{
    DOUBLE_CALL(WHvDeletePartition);
    Partition *p = partition_of(handle);
    if (!p) {
        return E_INVALIDARG;
    }
    for (uint32_t i = 0; i < MAX_VPS; i++) {
        vp_close(&p->vps[i]);
    }
    for (uint32_t i = 0; i < MAX_RANGES; i++) {
        free(p->ranges[i].dirty);
    }
    linux_close(p->fd);
    linux_close(p->sys_fd);
    p->magic = 0;
    double_object(-1);
    free(p);
    return S_OK;
}

/* ---- properties: before WHvSetupPartition, each of its own size ---- */
static HRESULT property_take(void *to, size_t n, const void *from, UINT32 size)
{
    if (size != n) {
        return WHV_E_INSUFFICIENT_BUFFER;
    }
    memcpy(to, from, n);
    return S_OK;
}

static HRESULT msr_actions_take(Partition *p, const void *from, UINT32 size)
{
    uint32_t n = size / (UINT32)sizeof p->msrs[0];
    if (size % sizeof p->msrs[0] || n > MAX_MSR_ACTIONS || !p->exits.X64MsrExit) {
        return E_INVALIDARG;
    }
    memcpy(p->msrs, from, size);
    p->nmsrs = n;
    return S_OK;
}

HRESULT WINAPI WHvSetPartitionProperty(WHV_PARTITION_HANDLE handle, WHV_PARTITION_PROPERTY_CODE code, const VOID *value,
                                       UINT32 size)
{
    DOUBLE_CALL(WHvSetPartitionProperty);
    Partition *p = partition_of(handle);
    if (!p || !value) {
        return E_INVALIDARG;
    }
    if (p->is_set_up) {
        return WHV_E_INVALID_PARTITION_CONFIG;
    }
    HRESULT hr;
    uint32_t count;
    WHV_EXTENDED_VM_EXITS exits, known = {.X64CpuidExit = 1, .X64MsrExit = 1, .ExceptionExit = 1};
    switch ((unsigned)code) {
    case WHvPartitionPropertyCodeProcessorCount:
        hr = property_take(&count, sizeof count, value, size);
        if (SUCCEEDED(hr) && (count < 1 || count > MAX_VPS)) {
            return E_INVALIDARG;
        }
        p->nvps = SUCCEEDED(hr) ? count : p->nvps;
        return hr;
    case WHvPartitionPropertyCodeExtendedVmExits:
        hr = property_take(&exits, sizeof exits, value, size);
        if (SUCCEEDED(hr) && exits.AsUINT64 & ~known.AsUINT64) {
            return E_INVALIDARG;
        }
        p->exits = SUCCEEDED(hr) ? exits : p->exits;
        return hr;
    case WHvPartitionPropertyCodeExceptionExitBitmap:
        return p->exits.ExceptionExit ? property_take(&p->exceptions, sizeof p->exceptions, value, size) : E_INVALIDARG;
    case WHvPartitionPropertyCodeMsrActionList:
        return msr_actions_take(p, value, size);
    default:
        return WHV_E_UNKNOWN_PROPERTY;
    }
}

/* ---- memory ---- */
Range *range_of(Partition *p, uint64_t gpa)
{
    for (uint32_t i = 0; i < MAX_RANGES; i++) {
        Range *r = &p->ranges[i];
        if (r->is_used && gpa >= r->gpa && gpa - r->gpa < r->size) {
            return r;
        }
    }
    return NULL;
}

static long long slot_set(Partition *p, const Range *r, uint64_t size)
{
    struct kvm_userspace_memory_region m = {
        .slot = (uint32_t)(r - p->ranges),
        .flags = (r->flags & WHvMapGpaRangeFlagWrite ? 0 : KVM_MEM_READONLY) |
                 (r->flags & WHvMapGpaRangeFlagTrackDirtyPages ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = r->gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)r->host,
    };
    return linux_ioctl(p->fd, KVM_SET_USER_MEMORY_REGION, &m);
}

static Range *range_overlap(Partition *p, uint64_t gpa, uint64_t size)
{
    for (uint32_t i = 0; i < MAX_RANGES; i++) {
        Range *r = &p->ranges[i];
        if (r->is_used && r->gpa <= gpa + (size - 1) && gpa <= r->gpa + (r->size - 1)) {
            return r;
        }
    }
    return NULL;
}

/* With the lock. */
static HRESULT map_locked(Partition *p, const Range *want)
{
    Range *r = range_overlap(p, want->gpa, want->size);
    if (r && (r->gpa != want->gpa || r->size != want->size)) {
        return E_INVALIDARG; /* the platform would take it; this double does not, and nobody here needs it */
    }
    if (r && slot_set(p, r, 0) < 0) {
        return E_FAIL;
    }
    for (uint32_t i = 0; !r && i < MAX_RANGES; i++) {
        r = p->ranges[i].is_used ? NULL : &p->ranges[i];
    }
    if (!r) {
        return E_OUTOFMEMORY;
    }
    free(r->dirty);
    *r = *want;
    r->is_used = slot_set(p, r, r->size) >= 0;
    return r->is_used ? S_OK : E_FAIL;
}

HRESULT WINAPI WHvMapGpaRange(WHV_PARTITION_HANDLE handle, VOID *source, WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size,
                              WHV_MAP_GPA_RANGE_FLAGS flags)
{
    DOUBLE_CALL(WHvMapGpaRange);
    Partition *p = partition_of(handle);
    const int known = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite | WHvMapGpaRangeFlagExecute |
                      WHvMapGpaRangeFlagTrackDirtyPages;
    if (!p || !source || (uintptr_t)source % PAGE || gpa % PAGE || size % PAGE || !size || gpa + size < gpa ||
        (int)flags & ~known) {
        return E_INVALIDARG;
    }
    if (!p->is_set_up) {
        return WHV_E_INVALID_PARTITION_CONFIG;
    }
    Range want = {.gpa = gpa, .size = size, .host = source, .flags = flags};
    AcquireSRWLockExclusive(&p->lock);
    HRESULT hr = map_locked(p, &want);
    ReleaseSRWLockExclusive(&p->lock);
    return hr;
}

HRESULT WINAPI WHvUnmapGpaRange(WHV_PARTITION_HANDLE handle, WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size)
{
    DOUBLE_CALL(WHvUnmapGpaRange);
    Partition *p = partition_of(handle);
    if (!p || gpa % PAGE || size % PAGE || !size) {
        return E_INVALIDARG;
    }
    AcquireSRWLockExclusive(&p->lock);
    Range *r = range_of(p, gpa);
    HRESULT hr = !r || r->gpa != gpa || r->size != size ? WHV_E_GPA_RANGE_NOT_FOUND : S_OK;
    if (SUCCEEDED(hr)) {
        hr = slot_set(p, r, 0) < 0 ? E_FAIL : S_OK;
        free(r->dirty);
        *r = (Range){.is_used = false};
    }
    ReleaseSRWLockExclusive(&p->lock);
    return hr;
}

/* KVM tells and clears a whole slot; what was not asked for is kept. */
static bool dirty_fetch(Partition *p, Range *r)
{
    size_t words = (size_t)((r->size / PAGE + 63) / 64);
    uint64_t *fresh = calloc(words, 8);
    r->dirty = r->dirty ? r->dirty : calloc(words, 8);
    struct kvm_dirty_log log = {.slot = (uint32_t)(r - p->ranges), .dirty_bitmap = fresh};
    bool ok = fresh && r->dirty && linux_ioctl(p->fd, KVM_GET_DIRTY_LOG, &log) >= 0;
    for (size_t i = 0; ok && i < words; i++) {
        r->dirty[i] |= fresh[i];
    }
    free(fresh);
    return ok;
}

HRESULT WINAPI WHvQueryGpaRangeDirtyBitmap(WHV_PARTITION_HANDLE handle, WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size,
                                           UINT64 *bitmap, UINT32 bitmap_bytes)
{
    DOUBLE_CALL(WHvQueryGpaRangeDirtyBitmap);
    Partition *p = partition_of(handle);
    uint64_t pages = size / PAGE;
    if (!p || gpa % PAGE || size % PAGE || !size || (bitmap && bitmap_bytes < (pages + 63) / 64 * 8)) {
        return E_INVALIDARG;
    }
    AcquireSRWLockExclusive(&p->lock);
    Range *r = range_of(p, gpa);
    HRESULT hr = !r || size > r->size - (gpa - r->gpa)             ? WHV_E_GPA_RANGE_NOT_FOUND
                 : !(r->flags & WHvMapGpaRangeFlagTrackDirtyPages) ? E_INVALIDARG
                 : !dirty_fetch(p, r)                              ? E_FAIL
                                                                   : S_OK;
    for (uint64_t i = 0; SUCCEEDED(hr) && i < pages; i++) {
        uint64_t page = (gpa - r->gpa) / PAGE + i, bit = 1ull << page % 64;
        if (bitmap) {
            uint64_t to = 1ull << i % 64;
            bitmap[i / 64] = r->dirty[page / 64] & bit ? bitmap[i / 64] | to : bitmap[i / 64] & ~to;
        }
        r->dirty[page / 64] &= ~bit;
    }
    ReleaseSRWLockExclusive(&p->lock);
    return hr;
}
