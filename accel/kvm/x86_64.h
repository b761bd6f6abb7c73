/* SPDX-License-Identifier: Apache-2.0
 * x86_64.h - private to accel/kvm/x86_64*.c: a vcpu's state as the kernel hands it out, in groups,
 * one ioctl each. */
#ifndef ACCEL_KVM_X86_64_H
#define ACCEL_KVM_X86_64_H

#include "accel/kvm/kvm.h"

enum {
    X86_SREGS = 1,
    X86_XCRS = 2,
    X86_XSAVE = 4,
    X86_MSRS = 8,
    X86_LAPIC = 16,
    X86_REGS = 32,
    X86_DEBUGREGS = 64,
    X86_EVENTS = 128,
    X86_MP_STATE = 256,
    X86_GROUPS = 9 /* bits; restored in this order: REGS before EVENTS, as KVM_SET_REGS drops a
                      pending exception */
};

typedef VEC(struct kvm_msr_entry) X86Msrs;

typedef struct {
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_xsave xsave;
    X86Msrs msrs;
    struct kvm_lapic_state lapic;
    struct kvm_regs regs;
    struct kvm_debugregs debugregs;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp_state;
} X86State;

struct KvmArch {
    X86State reset;     /* as the kernel created the vcpu; its msrs: all that can be read and written back */
    X86State now, next; /* scratch of get and set */
};

bool x86_has_lapic(const BeVm *vm);
int x86_state_get(BeVcpu *v, uint32_t groups, X86State *s, Err *err);
/* Sets groups in order. On failure returns the negative errno with *failed = the group (and *nmsrs
 * = MSRs accepted). */
int x86_state_set(BeVcpu *v, uint32_t groups, X86State *s, uint32_t *failed, size_t *nmsrs);
const char *x86_set_name(uint32_t group);              /* "KVM_SET_REGS" */
int x86_msrs_learn(BeVcpu *v, X86Msrs *out, Err *err); /* the MSRs that can be read and written back */
/* One leaf of the vcpu's CPUID: regs = {eax, ebx, ecx, edx}. put: -ERR_INVAL or ERR_STATE once it has run; get: 1, or 0 = there is
 * none. */
int x86_cpuid_put(BeVcpu *v, uint32_t leaf, uint32_t subleaf, const uint32_t *regs, Err *err);
int x86_cpuid_get(BeVcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t *regs, Err *err);
/* KVM_CAP_SYNC_REGS by hand: the errno of the entry, which runs nothing: EINTR is how it goes well, EINVAL a refusal. */
int x86_sync_regs(BeVcpu *v, uint64_t valid, uint64_t dirty, uint64_t rax, Err *err);
/* What this host's KVM really does, found by a small guest; once per process. */
typedef struct {
    bool has_run, steps, hw_breaks, hw_watches, sw_breaks, executes_x87, keeps_tsc;
} X86Probe;
X86Probe x86_probe(void);
#endif
