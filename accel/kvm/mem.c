/* SPDX-License-Identifier: Apache-2.0
 * mem.c - backing memory (memfd), memory slots, access from the host, dirty log. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int kvm_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    int rc = slots_check_ram(&vm->mem, size, err);
    if (rc) {
        return rc;
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
    VEC_PUSH(&vm->mem.rams, (SlotRam){fd, host, size});
    *out = (RamId)vm->mem.rams.n;
    return 0;
}

void kvm_mem_free(BeVm *vm)
{
    for (size_t i = 0; i < vm->mem.rams.n; i++) {
        munmap(vm->mem.rams.items[i].host, (size_t)vm->mem.rams.items[i].size);
        close(vm->mem.rams.items[i].fd);
    }
    slots_free(&vm->mem);
}

/* One KVM_SET_USER_MEMORY_REGION; size 0 deletes. */
static int slot_set(BeVm *vm, const Slot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = (uint32_t)(s - vm->mem.slots.items),
        .flags = (s->flags & MAP_W ? 0 : KVM_MEM_READONLY) | (s->flags & MAP_LOG_DIRTY ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = s->at,
        .memory_size = size,
        .userspace_addr = (uintptr_t)slot_host(&vm->mem, s),
    };
    return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

/* With a ring the pages are noted by vcpus that leave, which must not want memory then. */
static int log_start(BeVm *vm, Slot *s, Err *err)
{
    return vm->ring_bytes && s->flags & MAP_LOG_DIRTY ? slot_want_dirty(&vm->mem, s, err) : 0;
}

static int slot_flags(BeVm *vm, Slot *s, uint32_t flags, Err *err)
{
    Slot old = *s;
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
        slot_drop_dirty(s);
    }
    return 0;
}

static int map_locked(BeVm *vm, const Slot *want, Err *err)
{
    int rc = slots_check(&vm->mem, want, err);
    if (rc) {
        return rc;
    }
    if (!(want->flags & MAP_R) || want->flags & ~(uint32_t)(MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map flags %#x: KVM maps readable memory only", want->flags);
    }
    if (!(want->flags & MAP_W) && !kvm_check(vm->sys_fd, KVM_CAP_READONLY_MEM)) {
        return err_unsupported(err, "kvm", "map_ro", "no KVM_CAP_READONLY_MEM");
    }
    Slot *s;
    rc = slots_place(&vm->mem, want, &s, err);
    if (!rc && s->is_used) {
        return s->flags == want->flags ? 0 : slot_flags(vm, s, want->flags, err);
    }
    rc = rc ? rc : log_start(vm, s, err);
    if (rc) {
        return rc;
    }
    rc = slot_set(vm, s, s->size);
    if (rc < 0) {
        slot_drop_dirty(s);
        return kvm_err(err, rc, "KVM_SET_USER_MEMORY_REGION");
    }
    s->is_used = true;
    return 0;
}

int kvm_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    Slot want = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags};
    pthread_mutex_lock(&vm->slots_lock);
    int rc = map_locked(vm, &want, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

static int unmap_locked(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    Slot *s;
    int rc = slots_exact(&vm->mem, at.addr, size, &s, err);
    if (rc) {
        return rc;
    }
    rc = slot_set(vm, s, 0);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_SET_USER_MEMORY_REGION (delete)");
    }
    if (vm->ring_bytes) { /* what the rings still say of this slot is not of the one that will have its number */
        (void)kvm_ring_harvest(vm, NULL);
    }
    slot_drop_dirty(s);
    *s = (Slot){0};
    return 0;
}

int kvm_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    int rc = unmap_locked(vm, at, size, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

int kvm_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    return slots_read(&vm->mem, at.addr, buf, n, err);
}

int kvm_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    int rc = slots_write(&vm->mem, at.addr, buf, n, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

/* ---- dirty log ---- */
/* KVM_GET_DIRTY_LOG fetches and clears per page in one step (api.rst 4.8). */
static int dirty_fetch(void *ctx, Slot *s, Err *err)
{
    BeVm *vm = ctx;
    if (vm->ring_bytes) {
        return kvm_ring_harvest(vm, err);
    }
    size_t words = slot_dirty_words(&vm->mem, s);
    uint64_t *fresh = mem_try(words, 8);
    if (!fresh) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", words * 8);
    }
    struct kvm_dirty_log log = {.slot = (uint32_t)(s - vm->mem.slots.items), .dirty_bitmap = fresh};
    int rc = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
    for (size_t i = 0; rc >= 0 && i < words; i++) {
        s->dirty[i] |= fresh[i];
    }
    mem_free(fresh);
    return rc < 0 ? kvm_err(err, rc, "KVM_GET_DIRTY_LOG") : 0;
}

int kvm_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    bool has_rings = vm->ring_bytes != 0;
    if (has_rings) { /* processors that keep a list of their own bring it when they leave the guest */
        kvm_gate_close(vm);
    }
    pthread_mutex_lock(&vm->slots_lock);
    int rc = slots_dirty_get(&vm->mem, at.addr, size, bits, clear, dirty_fetch, vm, err);
    pthread_mutex_unlock(&vm->slots_lock);
    if (has_rings) {
        kvm_gate_open(vm);
    }
    return rc;
}
