/* SPDX-License-Identifier: Apache-2.0
 * ring.c - the dirty log by rings (api.rst 8.29, KVM_CAP_DIRTY_LOG_RING): the kernel notes each page that a vcpu dirties in a
 * ring of that vcpu, which this file empties into the slots. A vcpu whose ring is full leaves the guest; that is not for
 * above, and only counted. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <sys/mman.h>

static uint32_t ring_entries(const BeVm *vm)
{
    return vm->ring_bytes / (uint32_t)sizeof(struct kvm_dirty_gfn);
}

int kvm_ring_enable(BeVm *vm, uint64_t bytes, Err *err)
{
    /* Where both are there they are one; hosts whose memory is weakly ordered have the first only. */
    const uint32_t caps[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};
    if (vm->has_vcpu) {
        return err_set(err, ERR_STATE, "the dirty ring is chosen before the first vcpu");
    }
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        int most = kvm_check(vm->fd, (int)caps[i]);
        if (!most) {
            continue;
        }
        if (bytes > (uint64_t)most) {
            return err_set(err, ERR_LIMIT, "a dirty ring of %#llx bytes; the limit is %#x", (unsigned long long)bytes,
                           (unsigned)most);
        }
        int rc = kvm_enable_cap(vm->fd, caps[i], bytes);
        if (rc < 0) {
            return kvm_err(err, rc, "KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING");
        }
        vm->ring_bytes = (uint32_t)bytes;
        return 0;
    }
    return err_unsupported(err, "kvm", "dirty_ring", "this kernel has no KVM_CAP_DIRTY_LOG_RING for this architecture");
}

int kvm_ring_open(BeVcpu *v, Err *err)
{
    /* KVM_DIRTY_LOG_PAGE_OFFSET wherever there are rings; headers older than they say 0 */
    enum { RING_PAGE = 64 };
    BeVm *vm = v->vm;
    if (!vm->ring_bytes) {
        return 0;
    }
    void *at =
        mmap(NULL, vm->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, (off_t)RING_PAGE * vm->mem.page_bytes);
    if (at == MAP_FAILED) {
        return err_native(err, ERR_NOMEM, errno, "mapping a dirty ring of %#x bytes", vm->ring_bytes);
    }
    pthread_mutex_lock(&vm->slots_lock);
    VEC_PUSH(&vm->rings, (KvmRing){.entries = at});
    pthread_mutex_unlock(&vm->slots_lock);
    return 0;
}

static void note(BeVm *vm, const struct kvm_dirty_gfn *e)
{
    uint32_t slot = e->slot & 0xffff; /* above it the address space, which is 0 here */
    Slot *s = slot < vm->mem.slots.n ? &vm->mem.slots.items[slot] : NULL;
    if (s && s->is_used && s->dirty && e->offset < s->size / vm->mem.page_bytes) {
        s->dirty[e->offset / 64] |= 1ull << (e->offset % 64);
    }
}

int kvm_ring_harvest(BeVm *vm, Err *err)
{
    uint32_t n = ring_entries(vm), found = 0;
    for (size_t i = 0; i < vm->rings.n; i++) {
        KvmRing *r = &vm->rings.items[i];
        for (;; r->next++, found++) {
            struct kvm_dirty_gfn *e = &r->entries[r->next % n];
            if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
                break;
            }
            note(vm, e);
            __atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        }
    }
    int rc = found ? kvm_ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, NULL) : 0;
    return rc < 0 ? kvm_err(err, rc, "KVM_RESET_DIRTY_RINGS") : 0;
}

int kvm_ring_full(BeVm *vm, Err *err)
{
    pthread_mutex_lock(&vm->slots_lock);
    vm->nring_fulls++;
    int rc = kvm_ring_harvest(vm, err);
    pthread_mutex_unlock(&vm->slots_lock);
    return rc;
}

void kvm_ring_free(BeVm *vm)
{
    for (size_t i = 0; i < vm->rings.n; i++) {
        munmap(vm->rings.items[i].entries, vm->ring_bytes);
    }
    VEC_FREE(&vm->rings);
}
