/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/kvm/fault/ioctl_name.h"
#include "sim/base/mem.h"

#include <linux/kvm.h>

const char *kvm_ioctl_name(unsigned long request)
{
    static const struct {
        unsigned long request;
        const char *name;
    } names[] = {
#define N(x) {x, #x}
        N(KVM_GET_API_VERSION),
        N(KVM_CREATE_VM),
        N(KVM_CHECK_EXTENSION),
        N(KVM_GET_VCPU_MMAP_SIZE),
        N(KVM_CREATE_VCPU),
        N(KVM_RUN),
        N(KVM_SET_USER_MEMORY_REGION),
        N(KVM_GET_DIRTY_LOG),
        N(KVM_RESET_DIRTY_RINGS),
        N(KVM_IRQ_LINE),
        N(KVM_SIGNAL_MSI),
        N(KVM_SET_GUEST_DEBUG),
        N(KVM_ENABLE_CAP),
        N(KVM_INTERRUPT),
        N(KVM_GET_MP_STATE),
        N(KVM_SET_MP_STATE),
        N(KVM_GET_CLOCK),
        N(KVM_SET_CLOCK),
        N(KVM_IOEVENTFD),
        N(KVM_IRQFD),
        N(KVM_SET_GSI_ROUTING),
        N(KVM_REGISTER_COALESCED_MMIO),
        N(KVM_UNREGISTER_COALESCED_MMIO),
#if defined(__x86_64__)
        N(KVM_GET_MSR_INDEX_LIST),
        N(KVM_GET_SUPPORTED_CPUID),
        N(KVM_SET_CPUID2),
        N(KVM_GET_CPUID2),
        N(KVM_SET_IDENTITY_MAP_ADDR),
        N(KVM_SET_TSS_ADDR),
        N(KVM_CREATE_IRQCHIP),
        N(KVM_CREATE_PIT2),
        N(KVM_GET_IRQCHIP),
        N(KVM_SET_IRQCHIP),
        N(KVM_GET_PIT2),
        N(KVM_SET_PIT2),
        N(KVM_GET_REGS),
        N(KVM_SET_REGS),
        N(KVM_GET_SREGS),
        N(KVM_SET_SREGS),
        N(KVM_GET_MSRS),
        N(KVM_SET_MSRS),
        N(KVM_GET_LAPIC),
        N(KVM_SET_LAPIC),
        N(KVM_GET_VCPU_EVENTS),
        N(KVM_SET_VCPU_EVENTS),
        N(KVM_GET_DEBUGREGS),
        N(KVM_SET_DEBUGREGS),
        N(KVM_GET_XSAVE),
        N(KVM_SET_XSAVE),
        N(KVM_GET_XCRS),
        N(KVM_SET_XCRS),
        N(KVM_NMI),
        N(KVM_X86_SET_MSR_FILTER),
#endif
#undef N
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i].request == request) {
            return names[i].name;
        }
    }
    return "?";
}
