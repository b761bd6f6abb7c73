/* SPDX-License-Identifier: Apache-2.0
 * onereg.c - registers one by one (api.rst 4.68 KVM_SET_ONE_REG): aarch64 and riscv64. A batch of n
 * registers is n ioctls. A register that the kernel lists and that has no name here is REG_NATIVE:
 * its index is the low 48 bits of the kernel's id. */
#if !defined(__x86_64__)
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>

enum { MAX_REG_BYTES = 256, KVM_SIZE_SHIFT = 52 };
#define KVM_SIZE_MASK 0x00f0000000000000ull

static size_t kvm_id_bytes(uint64_t kvm_id)
{
    return (size_t)1 << ((kvm_id & KVM_SIZE_MASK) >> KVM_SIZE_SHIFT);
}

int kvm_onereg_get(BeVcpu *v, uint64_t kvm_id, void *bytes)
{
    struct kvm_one_reg one = {.id = kvm_id, .addr = (uintptr_t)bytes};
    return kvm_ioctl(v->fd, KVM_GET_ONE_REG, &one);
}

int kvm_onereg_set(BeVcpu *v, uint64_t kvm_id, const void *bytes)
{
    struct kvm_one_reg one = {.id = kvm_id, .addr = (uintptr_t)bytes};
    return kvm_ioctl(v->fd, KVM_SET_ONE_REG, &one);
}

uint64_t kvm_onereg_u64(BeVcpu *v, uint64_t kvm_id)
{
    uint64_t value = 0;
    return kvm_onereg_get(v, kvm_id, &value) < 0 ? 0 : value;
}

static bool is_mp_state(RegId id)
{
    return REG_CLASS(id) == REG_STATE && REG_INDEX(id) == 0 && REG_SIZE(id) == 4;
}

static bool is_state(RegId id)
{
    return REG_CLASS(id) == REG_STATE && !is_mp_state(id);
}

static uint64_t kernel_id(RegId id)
{
    if (REG_GUEST(id) != kvm_arch_guest || REG_SIZE(id) > MAX_REG_BYTES) {
        return 0;
    }
    if (REG_CLASS(id) == REG_NATIVE) {
        return kvm_arch_reg_base | (uint64_t)(id >> 56 & 15) << KVM_SIZE_SHIFT | REG_INDEX(id);
    }
    return kvm_arch_reg_id(id);
}

/* RISC-V's x0, which the kernel does not list. */
static bool is_zero_reg(RegId id)
{
    return kvm_arch_guest == GUEST_riscv64 && REG_CLASS(id) == REG_GPR && REG_INDEX(id) == 0;
}

static int reg_get(BeVcpu *v, RegId id, uint8_t *out)
{
    uint8_t bytes[MAX_REG_BYTES] = {0};
    struct kvm_mp_state mp;
    if (is_mp_state(id)) {
        int rc = kvm_ioctl(v->fd, KVM_GET_MP_STATE, &mp);
        memcpy(out, &mp.mp_state, 4);
        return rc;
    }
    if (is_state(id)) {
        return kvm_arch_state_get(v, id, out);
    }
    uint64_t kvm_id = kernel_id(id);
    int rc = is_zero_reg(id)                                   ? 0
             : kvm_id && kvm_id_bytes(kvm_id) <= MAX_REG_BYTES ? kvm_onereg_get(v, kvm_id, bytes)
                                                               : -ENOENT;
    memcpy(out, bytes, REG_SIZE(id));
    return rc;
}

static int reg_set(BeVcpu *v, RegId id, const uint8_t *in)
{
    uint8_t bytes[MAX_REG_BYTES] = {0};
    size_t n = REG_SIZE(id);
    memcpy(bytes, in, n);
    if (is_mp_state(id)) {
        struct kvm_mp_state mp;
        memcpy(&mp.mp_state, in, 4);
        return kvm_ioctl(v->fd, KVM_SET_MP_STATE, &mp);
    }
    if (is_state(id)) {
        return kvm_arch_state_set(v, id, in);
    }
    uint64_t kvm_id = kernel_id(id);
    size_t kvm_n = is_zero_reg(id) ? 0 : kvm_id_bytes(kvm_id);
    for (size_t i = kvm_n; i < n; i++) { /* the kernel's is narrower */
        if (bytes[i]) {
            return -EINVAL;
        }
    }
    return kvm_n ? kvm_onereg_set(v, kvm_id, bytes) : 0;
}

int kvm_arch_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    char text[REG_TEXT_BYTES];
    for (size_t i = 0; i < n; i++) {
        int rc = REG_SIZE(io[i].id) <= MAX_REG_BYTES ? reg_get(v, io[i].id, io[i].bytes) : -ENOENT;
        if (rc < 0) {
            *bad = i;
            return err_native(err, rc == -ENOENT || rc == -EINVAL ? ERR_NOENT : ERR_HOST, -rc, "kvm has no %s",
                              reg_text(io[i].id, text, sizeof text));
        }
    }
    return 0;
}

static bool is_read_only(RegId id)
{
    const RegInfo *row = reg_info(id);
    return row && row->writable == 0 && REG_CLASS(id) != REG_SYS;
}

int kvm_arch_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    char text[REG_TEXT_BYTES];
    uint8_t(*old)[MAX_REG_BYTES] = mem_try(n + 1, MAX_REG_BYTES);
    int rc = old ? 0 : err_set(err, ERR_NOMEM, "a batch of %zu registers", n);
    *bad = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        RegIo one = {io[i].id, old[i]};
        rc = kvm_arch_get_regs(v, &one, 1, bad, err);
        *bad = i;
    }
    for (size_t i = 0; !rc && i < n; i++) {
        bool is_same = memcmp(old[i], io[i].bytes, REG_SIZE(io[i].id)) == 0;
        int error = is_same ? 0 : is_read_only(io[i].id) ? -EINVAL : reg_set(v, io[i].id, io[i].bytes);
        if (error < 0) {
            *bad = i;
            rc = err_native(err, ERR_INVAL, -error, "kvm does not take this value of %s",
                            reg_text(io[i].id, text, sizeof text));
            while (i-- > 0) {
                (void)reg_set(v, io[i].id, old[i]);
            }
            break;
        }
    }
    mem_free(old);
    return rc;
}

static struct kvm_reg_list *kernel_list(BeVcpu *v)
{
    enum { MAX_LIST = 4096 };
    struct kvm_reg_list *list = x_alloc(sizeof *list + MAX_LIST * sizeof list->reg[0]);
    list->n = MAX_LIST;
    if (kvm_ioctl(v->fd, KVM_GET_REG_LIST, list) < 0) {
        list->n = 0;
    }
    return list;
}

int kvm_arch_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    struct kvm_reg_list *list = kernel_list(v);
    size_t at = 0, cap = ids ? *n : 0, nrows = 0;
    const RegInfo *rows = reg_table(kvm_arch_guest, &nrows);
    for (uint64_t i = 0; i < list->n; i++) {
        uint64_t kvm_id = list->reg[i];
        RegId id = kvm_arch_reg_of(kvm_id);
        uint64_t lg2 = (kvm_id & KVM_SIZE_MASK) >> KVM_SIZE_SHIFT;
        if (!id) {
            id = REG_ID(kvm_arch_guest, lg2, REG_NATIVE, kvm_id & 0xffffffffffffull);
        }
        if (at < cap) {
            ids[at] = id;
        }
        at++;
    }
    for (size_t i = 0; i < nrows; i++) {
        RegId id = rows[i].id;
        bool is_listed = false; /* old kernels of riscv64 have no list: then every row is taken */
        for (uint64_t j = 0; !is_listed && j < list->n; j++) {
            is_listed = kvm_arch_reg_of(list->reg[j]) == id;
        }
        uint8_t bytes[MAX_REG_BYTES];
        bool wanted = is_state(id)   ? kvm_arch_state_get(v, id, bytes) == 0
                      : list->n == 0 ? !(rows[i].writable == 0) || is_mp_state(id)
                                     : is_mp_state(id) || (!is_listed && rows[i].writable && kernel_id(id));
        if (wanted) {
            if (at < cap) {
                ids[at] = id;
            }
            at++;
        }
    }
    mem_free(list);
    *n = at;
    return ids && at > cap ? err_set(err, ERR_LIMIT, "room for %zu register ids, %zu are needed", cap, at) : 0;
}

/* ---- what neither architecture has in this backend ---- */
int kvm_arch_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    (void)vm;
    (void)set;
    (void)guest_ns;
    return err_unsupported(err, "kvm", "clock", "the guest's counter is a register of its vcpus");
}

void kvm_arch_abandon(BeVcpu *v)
{
    (void)v; /* no instruction of this architecture repeats an access */
}

void kvm_arch_before_run(BeVcpu *v, const RunArgs *args)
{
    (void)v;
    (void)args;
}

int kvm_arch_reply_fault(BeVcpu *v, Err *err)
{
    (void)v;
    return err_unsupported(err, "kvm", "reply_fault", "this backend has no way to answer an access with a fault here");
}
#endif
