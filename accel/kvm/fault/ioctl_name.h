/* SPDX-License-Identifier: Apache-2.0
 * ioctl_name.h - how linux/kvm.h calls a request, for the tests that make calls to KVM fail. */
#ifndef ACCEL_KVM_FAULT_IOCTL_NAME_H
#define ACCEL_KVM_FAULT_IOCTL_NAME_H

const char *kvm_ioctl_name(unsigned long request); /* "KVM_RUN"; "?" where the backend does not make the call */
#endif
