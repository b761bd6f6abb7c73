/* SPDX-License-Identifier: Apache-2.0
 * x86_64_vm.c - what belongs to a whole x86-64 machine: capabilities, in-kernel chips, MSR filter,
 * clock. */
#if defined(__x86_64__)
#include "accel/kvm/x86_64.h"

#include <errno.h>
#include <string.h>

/* Above where any RAM of a PC lies; used by the kernel on Intel hosts for real mode
 * (api.rst 4.36, 4.38). */
enum { IDENTITY_MAP_ADDR = 0xfeffc000u, TSS_ADDR = 0xfeffd000u, IOAPIC_PINS = 24 };
/* KVM_CAP_X86_USER_SPACE_MSR and KVM_X86_SET_MSR_FILTER */
enum { MAX_MSR_RANGES = 16, MAX_MSRS_OF_RANGE = 0x600 * 8 };

/* What a small guest shows of this KVM. */
static void probed_caps(int sys_fd, Caps *caps)
{
    X86Probe p = x86_probe();
    if (!p.executes_x87) {
        kvm_cap_set(caps, CAP_executes, CAP_PARTIAL,
                    "this KVM emulates instructions and does not know all of them (a probe: x87)");
    }
    if (!p.keeps_tsc) {
        kvm_cap_set(caps, CAP_clock, CAP_PARTIAL,
                    "the kvmclock; a guest's time stamp counter is the host's whatever it is set to (a probe)");
    }
    if (!kvm_check(sys_fd, KVM_CAP_SET_GUEST_DEBUG)) {
        return;
    }
    static const char seen[] = "accepted by this KVM, but a probe guest ran on without the exit";
    kvm_cap_set(caps, CAP_step, p.steps ? CAP_FULL : CAP_NONE, p.steps ? NULL : seen);
    kvm_cap_set(caps, CAP_hw_break, p.hw_breaks ? CAP_FULL : CAP_NONE, p.hw_breaks ? NULL : seen);
    kvm_cap_set(caps, CAP_hw_watch, p.hw_watches ? CAP_FULL : CAP_NONE, p.hw_watches ? NULL : seen);
    kvm_cap_set(caps, CAP_sw_break, p.sw_breaks ? CAP_FULL : CAP_NONE,
                p.sw_breaks ? "where kvm.sw_break asks for it" : seen);
}

void kvm_arch_caps(int sys_fd, Caps *caps)
{
    static const Cap full[] = {CAP_pio, CAP_nmi, CAP_irqchip, CAP_msi, CAP_irq_line, CAP_irq_window};
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        kvm_cap_set(caps, full[i], CAP_FULL, NULL);
    }
    caps->why[CAP_irq_window] = "with irqchip none, board or split";
    caps->why[CAP_irq_line] = caps->why[CAP_msi] = "with irqchip kernel";
    kvm_cap_set(caps, CAP_irq_vector, CAP_FULL, "with irqchip none, board or split");
    kvm_cap_set(caps, CAP_halt_visible, CAP_FULL, "with irqchip none or board; split and kernel wait in the kernel");
    kvm_cap_set(caps, CAP_firmware_visible, CAP_NA, "x86 firmware is guest code");
    kvm_cap_set(caps, CAP_parked, CAP_FULL, "with irqchip kernel or split until the guest's own INIT and SIPI");
    kvm_cap_set(caps, CAP_clock, CAP_FULL, "the kvmclock; the time stamp counter is a register");
    kvm_cap_set(caps, CAP_save, CAP_FULL, NULL);
    if (kvm_check(sys_fd, KVM_CAP_X86_USER_SPACE_MSR) && kvm_check(sys_fd, KVM_CAP_X86_MSR_FILTER)) {
        kvm_cap_set(caps, CAP_sysreg_exit, CAP_FULL, "for MSRs named by intercept; not x2APIC's 0x800 to 0x8ff");
        kvm_cap_set(caps, CAP_reply_fault, CAP_PARTIAL, "MSR accesses only");
    }
    probed_caps(sys_fd, caps);
}

unsigned long kvm_arch_vm_type(int sys_fd)
{
    (void)sys_fd;
    return 0;
}

int kvm_arch_vm_init(BeVm *vm, Err *err)
{
    uint64_t identity = IDENTITY_MAP_ADDR;
    (void)kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    (void)kvm_ioctl(vm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_ADDR);
    const char *what = "KVM_CREATE_IRQCHIP";
    int rc = 0;
    switch (vm->irqchip) {
    case IRQCHIP_NONE:
    case IRQCHIP_BOARD:
        break;
    case IRQCHIP_SPLIT:
        what = "KVM_ENABLE_CAP of KVM_CAP_SPLIT_IRQCHIP";
        rc = kvm_enable_cap(vm->fd, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
        break;
    case IRQCHIP_KERNEL:
        rc = kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL);
        if (rc >= 0) {
            struct kvm_pit_config pit = {0};
            what = "KVM_CREATE_PIT2";
            rc = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
        }
        break;
    }
    return rc < 0 ? kvm_err(err, rc, what) : 0;
}

int kvm_arch_vm_ready(BeVm *vm, Err *err)
{
    (void)vm;
    (void)err;
    return 0;
}

int kvm_arch_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    if (vm->irqchip != IRQCHIP_KERNEL) {
        return err_unsupported(err, "kvm", "irq_line", "needs irqchip kernel");
    }
    struct kvm_irq_level line = {.irq = gsi, .level = level};
    int rc = kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
    return rc < 0 ? kvm_err(err, rc, "KVM_IRQ_LINE") : 0;
}

int kvm_arch_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    if (!x86_has_lapic(vm)) {
        return err_unsupported(err, "kvm", "msi", "needs irqchip kernel or split");
    }
    struct kvm_msi msi = {.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};
    int rc = kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
    return rc < 0 ? kvm_err(err, rc, "KVM_SIGNAL_MSI") : 0;
}

/* ---- MSR filter ---- */
static int filter_apply(BeVm *vm, const char **what)
{
    static uint8_t deny[MAX_MSRS_OF_RANGE / 8]; /* never written: a 0 bit sends the access here */
    struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
    for (size_t i = 0; i < vm->msr_ranges.n; i++) {
        KvmRange r = vm->msr_ranges.items[i];
        f.ranges[i] = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                                                    .nmsrs = r.hi - r.lo + 1,
                                                    .base = r.lo,
                                                    .bitmap = deny};
    }
    *what = "KVM_ENABLE_CAP of KVM_CAP_X86_USER_SPACE_MSR";
    int rc = kvm_enable_cap(vm->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
    if (rc >= 0) {
        *what = "KVM_X86_SET_MSR_FILTER";
        rc = kvm_ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &f);
    }
    return rc;
}

static int filter_change(BeVm *vm, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    if (hi < lo || hi > UINT32_MAX || hi - lo >= MAX_MSRS_OF_RANGE) {
        return err_set(err, ERR_LIMIT, "MSRs %#llx to %#llx: a range has 1 to %d of them", (unsigned long long)lo,
                       (unsigned long long)hi, (int)MAX_MSRS_OF_RANGE);
    }
    KvmRange *items = vm->msr_ranges.items;
    size_t at = 0;
    while (at < vm->msr_ranges.n && (items[at].lo != lo || items[at].hi != hi)) {
        at++;
    }
    if (on == (at < vm->msr_ranges.n)) {
        return on ? 0
                  : err_set(err, ERR_NOENT, "MSRs %#llx to %#llx are not intercepted", (unsigned long long)lo,
                            (unsigned long long)hi);
    }
    if (!on) {
        items[at] = items[--vm->msr_ranges.n];
    } else if (vm->msr_ranges.n == MAX_MSR_RANGES) {
        return err_set(err, ERR_LIMIT, "all %d MSR ranges are in use", (int)MAX_MSR_RANGES);
    } else {
        VEC_PUSH(&vm->msr_ranges, (KvmRange){(uint32_t)lo, (uint32_t)hi});
    }
    const char *what;
    int rc = filter_apply(vm, &what);
    if (rc < 0 && on) {
        vm->msr_ranges.n--;
    } else if (rc < 0) {
        VEC_PUSH(&vm->msr_ranges, (KvmRange){(uint32_t)lo, (uint32_t)hi});
    }
    return rc < 0 ? kvm_err(err, rc, what) : 0;
}

int kvm_arch_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    if (vm->has_vcpu) {
        return err_set(err, ERR_STATE, "intercepts are chosen before the first vcpu");
    }
    switch (k) {
    case IC_SYSREG:
        if (!kvm_check(vm->sys_fd, KVM_CAP_X86_USER_SPACE_MSR) || !kvm_check(vm->sys_fd, KVM_CAP_X86_MSR_FILTER)) {
            return err_unsupported(err, "kvm", "sysreg_exit", "this kernel has no MSR filter");
        }
        return filter_change(vm, lo, hi, on, err);
    case IC_HALT:
        if (on && !x86_has_lapic(vm)) {
            return 0; /* always */
        }
        return err_unsupported(err, "kvm", "halt_visible", "HLT exits with irqchip none or board, and only then");
    case IC_CPUID:
        return err_unsupported(err, "kvm", "cpuid_exit", "KVM answers CPUID in the kernel");
    case IC_EXCEPTION:
        return err_unsupported(err, "kvm", "exception_exit", "KVM delivers guest exceptions to the guest");
    case IC_HYPERCALL:
        return err_unsupported(err, "kvm", "hypercall_visible", "KVM serves VMCALL in the kernel");
    case IC_RDTSC:
        return err_unsupported(err, "kvm", "rdtsc_exit", "KVM does not intercept RDTSC for us");
    }
    return err_set(err, ERR_INVAL, "intercept kind %d", (int)k);
}

int kvm_arch_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    struct kvm_clock_data clock = {.clock = *guest_ns};
    int rc;
    if (set) {
        rc = kvm_ioctl(vm->fd, KVM_SET_CLOCK, &clock);
    } else {
        clock = (struct kvm_clock_data){0};
        rc = kvm_ioctl(vm->fd, KVM_GET_CLOCK, &clock);
        *guest_ns = clock.clock;
    }
    return rc < 0 ? kvm_err(err, rc, set ? "KVM_SET_CLOCK" : "KVM_GET_CLOCK") : 0;
}

/* ---- in-kernel state of the machine: chunks {u32 tag, u32 length, bytes} ---- */
enum { TAG_CLOCK = 1, TAG_PIC_MASTER, TAG_PIC_SLAVE, TAG_IOAPIC, TAG_PIT };

static void chunk_put(Buf *out, uint32_t tag, const void *bytes, size_t n)
{
    buf_le(out, tag, 4);
    buf_le(out, n, 4);
    buf_bytes(out, bytes, n);
}

int kvm_arch_save(BeVm *vm, Buf *out, Err *err)
{
    uint64_t ns = 0;
    int rc = kvm_arch_clock(vm, false, &ns, err);
    if (rc) {
        return rc;
    }
    chunk_put(out, TAG_CLOCK, &ns, sizeof ns);
    if (vm->irqchip != IRQCHIP_KERNEL) {
        return 0;
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct kvm_irqchip chip = {.chip_id = i};
        rc = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &chip);
        if (rc < 0) {
            return kvm_err(err, rc, "KVM_GET_IRQCHIP");
        }
        chunk_put(out, TAG_PIC_MASTER + i, &chip, sizeof chip);
    }
    struct kvm_pit_state2 pit = {0};
    rc = kvm_ioctl(vm->fd, KVM_GET_PIT2, &pit);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_GET_PIT2");
    }
    chunk_put(out, TAG_PIT, &pit, sizeof pit);
    return 0;
}

typedef struct {
    bool has[TAG_PIT + 1];
    uint64_t ns;
    struct kvm_irqchip chips[3];
    struct kvm_pit_state2 pit;
} VmChunks;

static int chunks_parse(BeVm *vm, Cursor c, VmChunks *out, Err *err)
{
    while (cursor_left(&c)) {
        uint32_t tag = (uint32_t)cursor_le(&c, 4), n = (uint32_t)cursor_le(&c, 4);
        const uint8_t *bytes = cursor_bytes(&c, n);
        if (!cursor_ok(&c)) {
            return err_set(err, ERR_INVAL, "VM state is cut short");
        }
        void *to = tag == TAG_CLOCK ? (void *)&out->ns : tag == TAG_PIT ? (void *)&out->pit : NULL;
        size_t want = tag == TAG_CLOCK ? sizeof out->ns : sizeof out->pit;
        if (tag >= TAG_PIC_MASTER && tag <= TAG_IOAPIC) {
            to = &out->chips[tag - TAG_PIC_MASTER];
            want = sizeof out->chips[0];
        }
        if (!to || n != want) {
            return err_set(err, ERR_VERSION, "VM state has a chunk %u of %u bytes, which this backend does not know",
                           tag, n);
        }
        if (tag != TAG_CLOCK && vm->irqchip != IRQCHIP_KERNEL) {
            return err_set(err, ERR_INVAL, "VM state has in-kernel chips; this VM has none");
        }
        memcpy(to, bytes, n);
        out->has[tag] = true;
        if (tag >= TAG_PIC_MASTER && tag <= TAG_IOAPIC) {
            out->chips[tag - TAG_PIC_MASTER].chip_id = tag - TAG_PIC_MASTER;
        }
    }
    return 0;
}

int kvm_arch_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    VmChunks chunks = {0};
    int rc = chunks_parse(vm, cursor_of(bytes, n), &chunks, err);
    for (uint32_t i = 0; !rc && i < 3; i++) {
        if (chunks.has[TAG_PIC_MASTER + i] && (rc = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chunks.chips[i])) < 0) {
            return kvm_err(err, rc, "KVM_SET_IRQCHIP");
        }
        rc = 0;
    }
    if (!rc && chunks.has[TAG_PIT] && (rc = kvm_ioctl(vm->fd, KVM_SET_PIT2, &chunks.pit)) < 0) {
        return kvm_err(err, rc, "KVM_SET_PIT2");
    }
    return !rc && chunks.has[TAG_CLOCK] ? kvm_arch_clock(vm, true, &chunks.ns, err) : rc;
}
#endif
