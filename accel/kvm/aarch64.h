/* SPDX-License-Identifier: Apache-2.0
 * aarch64.h - private to accel/kvm/aarch64.c and vgic.c: the interrupt controller in the kernel. */
#ifndef ACCEL_KVM_AARCH64_H
#define ACCEL_KVM_AARCH64_H

#include "accel/kvm/kvm.h"

typedef enum { VGIC_NONE, VGIC_V2, VGIC_V3 } VgicKind;
VgicKind vgic_kind(int vm_fd);       /* what this host gives */
int vgic_create(BeVm *vm, Err *err); /* before the first vcpu; fd in vm->irqchip_fd */
int vgic_ready(BeVm *vm, Err *err);  /* once all vcpus are there; THREAD-SAFE */
int vgic_line(BeVm *vm, uint32_t gsi, bool level, Err *err);
/* One chunk: GICD_CTLR; per vcpu its affinity and what it has alone; the rest of the distributor. */
int vgic_save(BeVm *vm, Buf *out, Err *err);
int vgic_restore(BeVm *vm, const void *bytes, size_t n, Err *err);
#endif
