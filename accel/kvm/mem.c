/* SPDX-License-Identifier: Apache-2.0
 * mem.c - backing memory (memfd), memory slots, access from the host, dirty log. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int kvm_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    if (size == 0 || size % vm->page_bytes || size > SIZE_MAX / 2) {
        return err_set(err, size % vm->page_bytes ? ERR_ALIGN : ERR_INVAL,
                       "RAM of %#llx bytes: must be a multiple of the page size %#x, and not 0",
                       (unsigned long long)size, vm->page_bytes);
    }
    int fd = memfd_create("guest-ram", MFD_CLOEXEC);
    if (fd < 0) {
        return err_native(err, ERR_NOMEM, errno, "memfd_create");
    }
    uint8_t *host = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0) {
        host = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    }
    if (host == MAP_FAILED) {
        int error = errno;
        close(fd);
        return err_native(err, ERR_NOMEM, error, "guest RAM of %#llx bytes", (unsigned long long)size);
    }
    VEC_PUSH(&vm->rams, (KvmRam){fd, host, size});
    *out = (RamId)vm->rams.n;
    return 0;
}

void kvm_mem_free(BeVm *vm)
{
    for (size_t i = 0; i < vm->slots.n; i++) {
        mem_free(vm->slots.items[i].dirty);
    }
    for (size_t i = 0; i < vm->rams.n; i++) {
        munmap(vm->rams.items[i].host, (size_t)vm->rams.items[i].size);
        close(vm->rams.items[i].fd);
    }
    VEC_FREE(&vm->slots);
    VEC_FREE(&vm->rams);
}

static uint8_t *slot_host(BeVm *vm, const KvmSlot *s)
{
    return vm->rams.items[s->ram - 1].host + s->offset;
}

/* One KVM_SET_USER_MEMORY_REGION; size 0 deletes. */
static int slot_set(BeVm *vm, const KvmSlot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = (uint32_t)(s - vm->slots.items),
        .flags = (s->flags & MAP_W ? 0 : KVM_MEM_READONLY) | (s->flags & MAP_LOG_DIRTY ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = s->at,
        .memory_size = size,
        .userspace_addr = (uintptr_t)slot_host(vm, s),
    };
    return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static int map_check(BeVm *vm, const KvmSlot *want, Err *err)
{
    uint64_t at = want->at, size = want->size, offset = want->offset;
    RamId ram = want->ram;
    uint64_t mask = vm->page_bytes - 1;
    if ((at | size | offset) & mask) {
        return err_set(err, ERR_ALIGN, "map at %#llx, size %#llx, offset %#llx: all must be multiples of %#x",
                       (unsigned long long)at, (unsigned long long)size, (unsigned long long)offset, vm->page_bytes);
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
    return 0;
}

/* The slot that [at, at + size) touches; *is_exact if it is that range. */
static KvmSlot *slot_find(BeVm *vm, uint64_t at, uint64_t size, bool *is_exact)
{
    for (size_t i = 0; i < vm->slots.n; i++) {
        KvmSlot *s = &vm->slots.items[i];
        if (s->is_used && s->at <= at + (size - 1) && at <= s->at + (s->size - 1)) {
            *is_exact = s->at == at && s->size == size;
            return s;
        }
    }
    return NULL;
}

static KvmSlot *slot_new(BeVm *vm)
{
    for (size_t i = 0; i < vm->slots.n; i++) {
        if (!vm->slots.items[i].is_used) {
            return &vm->slots.items[i];
        }
    }
    if (vm->slots.n >= vm->max_slots) {
        return NULL;
    }
    VEC_PUSH(&vm->slots, (KvmSlot){0});
    return &vm->slots.items[vm->slots.n - 1];
}

static size_t slot_words(const BeVm *vm, const KvmSlot *s)
{
    return (size_t)((s->size / vm->page_bytes + 63) / 64);
}

static int dirty_alloc(BeVm *vm, KvmSlot *s, Err *err)
{
    if (!s->dirty && !(s->dirty = mem_try(slot_words(vm, s), 8))) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", slot_words(vm, s) * 8);
    }
    return 0;
}

/* With a ring the pages are noted by vcpus that leave, which must not want memory then. */
static int log_start(BeVm *vm, KvmSlot *s, Err *err)
{
    return vm->ring_bytes && s->flags & MAP_LOG_DIRTY ? dirty_alloc(vm, s, err) : 0;
}

static int slot_flags(BeVm *vm, KvmSlot *s, uint32_t flags, Err *err)
{
    KvmSlot old = *s;
    int rc;
    s->flags = flags;
    if (log_start(vm, s, err)) {
        s->flags = old.flags;
        return -ERR_NOMEM;
    }
    if ((old.flags ^ flags) & MAP_W) {
        /* KVM_MEM_READONLY cannot be changed in place (api.rst 4.35): delete and add, with every
         * vcpu outside so that none sees the hole. */
        kvm_gate_close(vm);
        rc = slot_set(vm, s, 0);
        if (!rc && (rc = slot_set(vm, s, s->size)) < 0) {
            s->flags = old.flags;
            (void)slot_set(vm, s, s->size);
        }
        kvm_gate_open(vm);
    } else {
        rc = slot_set(vm, s, s->size);
    }
    if (rc < 0) {
        s->flags = old.flags;
        return kvm_err(err, rc, "KVM_SET_USER_MEMORY_REGION (new flags)");
    }
    if (!(flags & MAP_LOG_DIRTY)) {
        mem_free(s->dirty);
        s->dirty = NULL;
    }
    return 0;
}

static int map_locked(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    KvmSlot want = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags};
    int rc = map_check(vm, &want, err);
    if (rc) {
        return rc;
    }
    if (!(flags & MAP_R) || flags & ~(uint32_t)(MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map flags %#x: KVM maps readable memory only", flags);
    }
    if (!(flags & MAP_W) && !kvm_check(vm->sys_fd, KVM_CAP_READONLY_MEM)) {
        return err_unsupported(err, "kvm", "map_ro", "no KVM_CAP_READONLY_MEM");
    }
    bool is_exact = false;
    KvmSlot *s = slot_find(vm, at.addr, size, &is_exact);
    if (s && is_exact && s->ram == ram && s->offset == offset) {
        return s->flags == flags ? 0 : slot_flags(vm, s, flags, err);
    }
    if (s) {
        return err_set(err, ERR_EXIST, "map at %#llx, size %#llx overlaps the region at %#llx, size %#llx",
                       (unsigned long long)at.addr, (unsigned long long)size, (unsigned long long)s->at,
                       (unsigned long long)s->size);
    }
    s = slot_new(vm);
    if (!s) {
        return err_set(err, ERR_LIMIT, "all %u memory slots are in use", vm->max_slots);
    }
    *s = want;
    if ((rc = log_start(vm, s, err))) {
        return rc;
    }
    rc = slot_set(vm, s, size);
    if (rc < 0) {
        mem_free(s->dirty);
        s->dirty = NULL;
        return kvm_err(err, rc, "KVM_SET_USER_MEMORY_REGION");
    }
    s->is_used = true;
    return 0;
}

int kvm_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    int rc = map_locked(vm, at, size, ram, offset, flags, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

static int unmap_locked(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    bool is_exact = false;
    KvmSlot *s = size && at.addr + (size - 1) >= at.addr ? slot_find(vm, at.addr, size, &is_exact) : NULL;
    if (!s || !is_exact) {
        return err_set(err, ERR_NOENT, "no region is exactly %#llx, size %#llx", (unsigned long long)at.addr,
                       (unsigned long long)size);
    }
    int rc = slot_set(vm, s, 0);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_SET_USER_MEMORY_REGION (delete)");
    }
    if (vm->ring_bytes) { /* what the rings still say of this slot is not of the one that will have its number */
        (void)kvm_ring_harvest(vm, NULL);
    }
    mem_free(s->dirty);
    *s = (KvmSlot){0};
    return 0;
}

int kvm_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    int rc = unmap_locked(vm, at, size, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

/* ---- access from the host ---- */
typedef enum { COPY_CHECK, COPY_CHECK_WRITE, COPY_READ, COPY_WRITE } CopyKind;

/* The kernel logs what vcpus write; what is written from here, by a board's DMA or by the caller, only we know. */
static void dirty_mark(const BeVm *vm, KvmSlot *s, uint64_t offset, size_t n)
{
    for (uint64_t page = offset / vm->page_bytes; page <= (offset + n - 1) / vm->page_bytes; page++) {
        s->dirty[page / 64] |= 1ull << (page % 64);
    }
}

static int copy_part(BeVm *vm, CopyKind kind, KvmSlot *s, uint64_t offset, uint8_t *buf, size_t n, Err *err)
{
    uint8_t *host = slot_host(vm, s) + offset;
    switch (kind) {
    case COPY_CHECK:
        return 0;
    case COPY_CHECK_WRITE:
        return s->flags & MAP_LOG_DIRTY ? dirty_alloc(vm, s, err) : 0;
    case COPY_READ:
        memcpy(buf, host, n);
        return 0;
    case COPY_WRITE:
        memcpy(host, buf, n);
        /* Code written here is executed as written: the caches of aarch64 and riscv64 are told. */
        __builtin___clear_cache((char *)host, (char *)host + n);
        if (s->flags & MAP_LOG_DIRTY) {
            dirty_mark(vm, s, offset, n);
        }
        return 0;
    }
    return 0;
}

static int copy_pass(BeVm *vm, CopyKind kind, uint64_t gpa, uint8_t *buf, size_t n, Err *err)
{
    while (n) {
        bool is_exact;
        KvmSlot *s = slot_find(vm, gpa, 1, &is_exact);
        if (!s) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)gpa);
        }
        uint64_t left = s->size - (gpa - s->at);
        size_t part = left < n ? (size_t)left : n;
        int rc = copy_part(vm, kind, s, gpa - s->at, buf, part, err);
        if (rc) {
            return rc;
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

int kvm_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    int rc = copy_pass(vm, COPY_CHECK, at.addr, NULL, n, err);
    return rc ? rc : copy_pass(vm, COPY_READ, at.addr, buf, n, err);
}

int kvm_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    int rc = copy_pass(vm, COPY_CHECK_WRITE, at.addr, NULL, n, err);
    rc = rc ? rc : copy_pass(vm, COPY_WRITE, at.addr, (uint8_t *)(uintptr_t)buf, n, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

/* ---- dirty log ---- */
/* KVM_GET_DIRTY_LOG fetches and clears per page in one step (api.rst 4.8); what the caller does not
 * clear stays here. */
static int dirty_fetch(BeVm *vm, KvmSlot *s, Err *err)
{
    size_t words = slot_words(vm, s);
    int rc = dirty_alloc(vm, s, err);
    if (rc || vm->ring_bytes) {
        return rc;
    }
    uint64_t *fresh = mem_try(words, 8);
    if (!fresh) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", words * 8);
    }
    struct kvm_dirty_log log = {.slot = (uint32_t)(s - vm->slots.items), .dirty_bitmap = fresh};
    rc = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
    for (size_t i = 0; rc >= 0 && i < words; i++) {
        s->dirty[i] |= fresh[i];
    }
    mem_free(fresh);
    return rc < 0 ? kvm_err(err, rc, "KVM_GET_DIRTY_LOG") : 0;
}

static int dirty_check(BeVm *vm, uint64_t at, uint64_t size, Err *err)
{
    if ((at | size) & (vm->page_bytes - 1)) {
        return err_set(err, ERR_ALIGN, "dirty log of %#llx, size %#llx: both must be multiples of %#x",
                       (unsigned long long)at, (unsigned long long)size, vm->page_bytes);
    }
    uint64_t left;
    bool is_exact;
    for (uint64_t done = 0; done < size; done += left) {
        const KvmSlot *s = slot_find(vm, at + done, 1, &is_exact);
        if (!s) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)(at + done));
        }
        if (!(s->flags & MAP_LOG_DIRTY)) {
            return err_set(err, ERR_STATE, "the region at %#llx is mapped without a dirty log",
                           (unsigned long long)s->at);
        }
        left = s->size - (at + done - s->at);
    }
    return 0;
}

static int dirty_get_locked(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    int rc = dirty_check(vm, at.addr, size, err);
    if (!rc && vm->ring_bytes) {
        rc = kvm_ring_harvest(vm, err);
    }
    uint64_t pages = size / vm->page_bytes;
    if (!rc) {
        memset(bits, 0, (size_t)((pages + 7) / 8));
    }
    KvmSlot *s = NULL;
    for (uint64_t i = 0; !rc && i < pages; i++) {
        uint64_t gpa = at.addr + i * vm->page_bytes;
        bool is_exact;
        if (!s || gpa - s->at >= s->size) {
            s = slot_find(vm, gpa, 1, &is_exact);
            rc = dirty_fetch(vm, s, err);
        }
        uint64_t page = (gpa - s->at) / vm->page_bytes;
        if (!rc && s->dirty[page / 64] >> (page % 64) & 1) {
            bits[i / 8] |= (uint8_t)(1 << (i % 8));
            s->dirty[page / 64] &= ~((uint64_t)clear << (page % 64));
        }
    }
    return rc;
}

int kvm_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    bool has_rings = vm->ring_bytes != 0;
    if (has_rings) { /* processors that keep a list of their own bring it when they leave the guest */
        kvm_gate_close(vm);
    }
    pthread_mutex_lock(&vm->slots_lock);
    int rc = dirty_get_locked(vm, at, size, bits, clear, err);
    pthread_mutex_unlock(&vm->slots_lock);
    if (has_rings) {
        kvm_gate_open(vm);
    }
    return rc;
}
