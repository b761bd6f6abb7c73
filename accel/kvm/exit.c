/* SPDX-License-Identifier: Apache-2.0
 * exit.c - from struct kvm_run to VmExit, for what is the same on every architecture (api.rst 5).
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>

void kvm_exit_start(BeVcpu *v, VmExit *exit, ExitKind kind)
{
    *exit = (VmExit){.kind = kind, .reply = exit_reply_kind(kind), .vcpu = v->cfg.id};
    exit->native.code = v->run->exit_reason;
    if (exit->reply != REPLY_none) {
        v->pending = PEND_DUE;
        v->due = kind;
    }
}

static void decode_mmio(BeVcpu *v, VmExit *exit)
{
    const struct kvm_run *run = v->run;
    uint32_t len = run->mmio.len <= 8 ? run->mmio.len : 8;
    kvm_exit_start(v, exit, run->mmio.is_write ? EXIT_mmio_write : EXIT_mmio_read);
    exit->addr = run->mmio.phys_addr;
    exit->size_bytes = (uint8_t)len;
    if (run->mmio.is_write) {
        memcpy(&exit->value, run->mmio.data, len);
        exit->valid |= HAS_value;
    }
}

static void decode_internal_error(BeVcpu *v, VmExit *exit)
{
    /* struct emulation_failure: flags say that instruction bytes follow
     * (KVM_INTERNAL_ERROR_EMULATION only) */
    enum { HAS_INSN_BYTES = 1 };
    const struct kvm_run *run = v->run;
    kvm_exit_start(v, exit, EXIT_internal_error);
    exit->arg[0] = run->internal.suberror;
    uint32_t ndata = run->internal.ndata;
    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && ndata >= 3 &&
        run->internal.data[0] & HAS_INSN_BYTES) {
        uint8_t bytes[16] = {0};
        memcpy(bytes, &run->internal.data[1], sizeof bytes); /* insn_size, then 15 bytes */
        exit->insn_len = bytes[0] <= 15 ? bytes[0] : 15;
        exit->arg[1] = exit->insn_len;
        memcpy(&exit->arg[2], bytes + 1, exit->insn_len);
        exit->valid |= HAS_insn;
    } else {
        exit->native.qual[0] = ndata > 0 ? run->internal.data[0] : 0;
        exit->native.qual[1] = ndata > 1 ? run->internal.data[1] : 0;
    }
}

static void decode_system_event(BeVcpu *v, VmExit *exit)
{
    uint32_t type = v->run->system_event.type;
    switch (type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
    case KVM_SYSTEM_EVENT_CRASH:
        kvm_exit_start(v, exit, EXIT_system_down);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        kvm_exit_start(v, exit, EXIT_system_reset);
        break;
    default:
        kvm_exit_start(v, exit, EXIT_unsupported);
        break;
    }
    exit->addr = type;
    exit->native.qual[0] = type;
}

/* After data[] of the union's members that old headers lack: {u64 flags, gpa, size} (api.rst,
 * KVM_EXIT_MEMORY_FAULT). */
static void decode_memory_fault(BeVcpu *v, VmExit *exit)
{
    uint64_t fault[3];
    memcpy(fault, v->run->padding, sizeof fault);
    kvm_exit_start(v, exit, EXIT_nested_page_fault);
    exit->addr = fault[1];
    exit->native.qual[0] = fault[0];
}

void kvm_exit_errno(BeVcpu *v, int error, VmExit *exit)
{
    if ((error == EFAULT || error == EHWPOISON) && v->run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
        decode_memory_fault(v, exit);
        return;
    }
    kvm_exit_start(v, exit, EXIT_unsupported);
    exit->native.code = (uint64_t)error;
}

int kvm_exit_decode(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    int rc = 0;
    switch (v->run->exit_reason) {
    case KVM_EXIT_MMIO:
        decode_mmio(v, exit);
        break;
    case KVM_EXIT_HLT:
        kvm_exit_start(v, exit, EXIT_halt);
        break;
    case KVM_EXIT_DEBUG:
        kvm_exit_start(v, exit, EXIT_debug);
        kvm_arch_debug(v, exit);
        return 0;
    case KVM_EXIT_SHUTDOWN:
        kvm_exit_start(v, exit, EXIT_shutdown);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        kvm_exit_start(v, exit, EXIT_fail_entry);
        exit->addr = v->run->fail_entry.hardware_entry_failure_reason;
        exit->native.qual[0] = exit->addr;
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        decode_internal_error(v, exit);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        decode_system_event(v, exit);
        break;
    case KVM_EXIT_UNKNOWN:
        kvm_exit_start(v, exit, EXIT_unknown);
        exit->native.qual[0] = v->run->hw.hardware_exit_reason;
        break;
    case KVM_EXIT_INTR:
        return 1;
    default:
        rc = kvm_arch_exit(v, args, exit);
        break;
    }
    if (!rc && args->want & (HAS_pc_before | HAS_pc_after)) {
        kvm_arch_pc(v, args, exit);
    }
    return rc;
}
