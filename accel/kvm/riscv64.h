/* SPDX-License-Identifier: Apache-2.0
 * riscv64.h - private to accel/kvm: riscv64 guests. */
#ifndef ACCEL_KVM_RISCV64_H
#define ACCEL_KVM_RISCV64_H

#include "accel/kvm/kvm.h"

/* ---- aia.c: the interrupt controllers in the kernel ---- */
bool aia_exists(int vm_fd);
int aia_create(BeVm *vm, Err *err);
int aia_ready(BeVm *vm, Err *err); /* once all vcpus are there; does nothing when done */
int aia_line(BeVm *vm, uint32_t gsi, bool level, Err *err);
int aia_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err);
int aia_save(BeVm *vm, Buf *out, Err *err);
int aia_restore(BeVm *vm, const void *bytes, size_t n, Err *err);
#endif
