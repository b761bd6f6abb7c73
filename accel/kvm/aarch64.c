/* SPDX-License-Identifier: Apache-2.0
 * aarch64.c - vcpus of AArch64 guests. setup() leaves what KVM_ARM_VCPU_INIT leaves (api.rst 4.82):
 * EL1h with interrupts masked (pstate 0x3c5), MMU off, all general registers 0 but x0 = the boot
 * argument of VcpuConfig, pc = entry. */
#if defined(__aarch64__)
#include "accel/kvm/aarch64.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const GuestId kvm_arch_guest = GUEST_aarch64;
const char kvm_arch_name[] = "aarch64";
const uint64_t kvm_arch_reg_base = KVM_REG_ARM64;

/* Newer than the headers that this must build with: the SMCCC filter
 * (Documentation/virt/kvm/devices/vm.rst 6). */
enum { SMCCC_CTRL_GROUP = 0, SMCCC_FILTER_ATTR = 0, SMCCC_FWD_TO_USER = 2, SMC_FLAG = 1 };
#ifndef KVM_ARM_VM_SMCCC_CTRL
struct kvm_smccc_filter {
    __u32 base, nr_functions;
    __u8 action, pad[15];
};
#endif

#define CORE(size, member)                                                                                             \
    (KVM_REG_ARM64 | KVM_REG_SIZE_##size | KVM_REG_ARM_CORE |                                                          \
     (uint64_t)(offsetof(struct kvm_regs, member) / sizeof(__u32)))

static const uint64_t pc_id = CORE(U64, regs.pc);

static uint64_t gpr_id(uint64_t n)
{
    return CORE(U64, regs.regs[0]) + 2 * n;
}

uint64_t kvm_arch_reg_id(RegId id)
{
    uint64_t i = REG_INDEX(id);
    switch (REG_CLASS(id)) {
    case REG_GPR:
        return i < 31 && REG_SIZE(id) == 8 ? gpr_id(i) : 0;
    case REG_CTL: {
        static const uint64_t ids[] = {CORE(U64, regs.pc), CORE(U64, regs.pstate), CORE(U64, regs.sp),
                                       CORE(U64, sp_el1)};
        return i < ARRAY_LEN(ids) && REG_SIZE(id) == 8 ? ids[i] : 0;
    }
    case REG_VEC:
        return i < 32 && REG_SIZE(id) == 16 ? CORE(U128, fp_regs.vregs[0]) + 4 * i : 0;
    case REG_SYS:
        switch (i) {
        case 0xda20:
            return CORE(U32, fp_regs.fpcr);
        case 0xda21:
            return CORE(U32, fp_regs.fpsr);
        case 0xc200:
            return CORE(U64, spsr[0]);
        case 0xc201:
            return CORE(U64, elr_el1);
        case 0xdf02:
            return KVM_REG_ARM_TIMER_CNT;
        default:
            return i <= 0xffff && REG_SIZE(id) == 8 ? KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | i : 0;
        }
    case REG_FP:
    case REG_STATE:
    case REG_NATIVE:
        break;
    }
    return 0;
}

RegId kvm_arch_reg_of(uint64_t kvm_id)
{
    size_t nrows;
    const RegInfo *rows = reg_table(GUEST_aarch64, &nrows);
    for (size_t i = 0; i < nrows; i++) {
        if (kvm_arch_reg_id(rows[i].id) == kvm_id) {
            return rows[i].id;
        }
    }
    bool is_sys =
        (kvm_id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM64_SYSREG && (kvm_id & KVM_REG_SIZE_MASK) == KVM_REG_SIZE_U64;
    RegId id = is_sys ? REG_ID(GUEST_aarch64, 3, REG_SYS, kvm_id & 0xffff) : 0;
    return id && kvm_arch_reg_id(id) == kvm_id ? id : 0;
}

/* ---- machine ---- */
static bool has_filter(int vm_fd)
{
    struct kvm_device_attr attr = {.group = SMCCC_CTRL_GROUP, .attr = SMCCC_FILTER_ATTR};
    return kvm_ioctl(vm_fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
}

/* Some questions are answered by a VM only. */
static void ask_vm(int sys_fd, bool *has_hvc, VgicKind *vgic)
{
    int vm = kvm_ioctl(sys_fd, KVM_CREATE_VM, (void *)kvm_arch_vm_type(sys_fd));
    *has_hvc = vm >= 0 && has_filter(vm);
    *vgic = vm >= 0 ? vgic_kind(vm) : VGIC_NONE;
    if (vm >= 0) {
        close(vm);
    }
}

void kvm_arch_caps(int sys_fd, Caps *caps)
{
    bool has_hvc;
    VgicKind vgic;
    ask_vm(sys_fd, &has_hvc, &vgic);
    kvm_cap_set(caps, CAP_irqchip, vgic == VGIC_NONE ? CAP_NONE : CAP_FULL,
                vgic == VGIC_NONE ? "this host's KVM has no vGIC"
                : vgic == VGIC_V2 ? "a GICv2"
                                  : NULL);
    kvm_cap_set(caps, CAP_msi, CAP_NONE,
                "an ITS wants a device id with each message, and there is none in a message here");
    kvm_cap_set(caps, CAP_hypercall_visible, has_hvc ? CAP_PARTIAL : CAP_NONE,
                has_hvc ? "not the Arm architecture range of SMCCC functions" : "needs the SMCCC filter of Linux 6.4");
    kvm_cap_set(caps, CAP_firmware_visible, has_hvc ? CAP_FULL : CAP_NONE,
                has_hvc ? NULL : "needs the SMCCC filter of Linux 6.4");
    kvm_cap_set(caps, CAP_irq_line, CAP_PARTIAL, "SPIs with irqchip kernel; else IRQ and FIQ of a vcpu, by inject");
    kvm_cap_set(caps, CAP_pc_before, CAP_FULL, NULL);
    kvm_onereg_probe(caps);
    kvm_cap_set(caps, CAP_save, CAP_FULL, NULL);
    kvm_cap_set(caps, CAP_page_split, CAP_NONE,
                "an access over two pages comes whole, or faults in the guest, as its memory type says");
    kvm_cap_set(caps, CAP_parked, has_hvc ? CAP_FULL : CAP_PARTIAL,
                has_hvc ? NULL : "until the guest's own PSCI CPU_ON, served in the kernel");
    if (kvm_check(sys_fd, KVM_CAP_SET_GUEST_DEBUG)) {
        kvm_cap_set(caps, CAP_step, CAP_FULL, NULL);
        kvm_cap_set(caps, CAP_sw_break, CAP_FULL, "where kvm.sw_break asks for it");
    }
    if (kvm_check(sys_fd, KVM_CAP_GUEST_DEBUG_HW_BPS)) {
        kvm_cap_set(caps, CAP_hw_break, CAP_FULL, NULL);
    }
    if (kvm_check(sys_fd, KVM_CAP_GUEST_DEBUG_HW_WPS)) {
        kvm_cap_set(caps, CAP_hw_watch, CAP_FULL, NULL);
    }
}

unsigned long kvm_arch_vm_type(int sys_fd)
{
    enum { DEFAULT_IPA_BITS = 40 };
    int limit = kvm_check(sys_fd, KVM_CAP_ARM_VM_IPA_SIZE);
    return limit > 0 && limit < DEFAULT_IPA_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)limit) : 0;
}

/* Every function that may be forwarded is: SMCCC calls are exits (ENV_VIRT), but for PSCI where the
 * kernel is the firmware. */
static int filter_set(BeVm *vm, Err *err)
{
    static const struct {
        uint32_t base, n;
        bool is_psci;
    } ranges[] = {{0, 0x80000000, false},          {0x80010000, 0x03ff0000, false}, {0x84000000, 0x20, true},
                  {0x84000020, 0x3bffffe0, false}, {0xc0010000, 0x03ff0000, false}, {0xc4000000, 0x20, true},
                  {0xc4000020, 0x3bffffe0, false}};
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (ranges[i].is_psci && vm->firmware == FW_KERNEL) {
            continue;
        }
        struct kvm_smccc_filter f = {ranges[i].base, ranges[i].n, SMCCC_FWD_TO_USER, {0}};
        struct kvm_device_attr attr = {.group = SMCCC_CTRL_GROUP, .attr = SMCCC_FILTER_ATTR, .addr = (uintptr_t)&f};
        int rc = kvm_ioctl(vm->fd, KVM_SET_DEVICE_ATTR, &attr);
        if (rc < 0) {
            return kvm_err(err, rc, "KVM_ARM_VM_SMCCC_FILTER");
        }
    }
    return 0;
}

int kvm_arch_vm_init(BeVm *vm, Err *err)
{
    if (vm->irqchip == IRQCHIP_SPLIT) {
        return err_unsupported(err, "kvm", "irqchip", "a vGIC is whole: irqchip kernel");
    }
    if (vm->irqchip == IRQCHIP_KERNEL && vgic_kind(vm->fd) == VGIC_NONE) {
        return err_unsupported(err, "kvm", "irqchip", "this host's KVM has no vGIC");
    }
    (void)kvm_enable_cap(vm->fd, KVM_CAP_ARM_NISV_TO_USER, 0); /* else such an access is an error of KVM_RUN */
    vm->has_smccc_filter = has_filter(vm->fd);
    int rc = vm->has_smccc_filter ? filter_set(vm, err) : 0;
    return rc || vm->irqchip != IRQCHIP_KERNEL ? rc : vgic_create(vm, err);
}

int kvm_arch_vm_ready(BeVm *vm, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? vgic_ready(vm, err) : 0;
}

int kvm_arch_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? vgic_line(vm, gsi, level, err)
                                         : err_unsupported(err, "kvm", "irq_line", "needs irqchip kernel");
}

int kvm_arch_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    (void)vm;
    (void)addr;
    (void)data;
    return err_unsupported(err, "kvm", "msi", "an ITS wants a device id with each message");
}

int kvm_arch_save(BeVm *vm, Buf *out, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? vgic_save(vm, out, err) : 0; /* else the registers are all there is */
}

int kvm_arch_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    if (vm->irqchip == IRQCHIP_KERNEL) {
        return vgic_restore(vm, bytes, n, err);
    }
    return n ? err_set(err, ERR_VERSION, "VM state of %zu bytes; a VM without a vGIC has none", n) : 0;
}

int kvm_arch_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    (void)lo;
    (void)hi;
    if (k == IC_HYPERCALL && on && vm->has_smccc_filter) {
        return 0; /* always */
    }
    return err_unsupported(err, "kvm", k == IC_HYPERCALL ? "hypercall_visible" : "intercept",
                           "KVM serves this in the kernel");
}

/* ---- vcpus ---- */
int kvm_arch_vcpu_id(const VcpuConfig *cfg, uint32_t *out, Err *err)
{
    /* The kernel derives MPIDR from the id: Aff0 4 bits, Aff1 and Aff2 8 bits each. */
    uint64_t aff0 = cfg->hw_id & 0xff, aff1 = cfg->hw_id >> 8 & 0xff, aff2 = cfg->hw_id >> 16 & 0xff;
    if (aff0 > 15 || cfg->hw_id >> 24) {
        return err_set(err, ERR_INVAL, "MPIDR affinity %#llx: KVM takes Aff0 below 16 and no Aff3",
                       (unsigned long long)cfg->hw_id);
    }
    *out = (uint32_t)(aff0 | aff1 << 4 | aff2 << 12);
    return 0;
}

struct KvmArch {
    uint8_t lines; /* levels of IRQ and FIQ: the kernel has no register that shows them */
};

static int vcpu_init_reset(BeVcpu *v, Err *err)
{
    struct kvm_vcpu_init init = {0};
    int rc = kvm_ioctl(v->vm->fd, KVM_ARM_PREFERRED_TARGET, &init);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_ARM_PREFERRED_TARGET");
    }
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (v->cfg.is_secondary) {
        init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
    }
    v->arch->lines = 0; /* the kernel lets go of them too */
    return kvm_get(v, KVM_ARM_VCPU_INIT, &init, "KVM_ARM_VCPU_INIT", err);
}

int kvm_arch_vcpu_init(BeVcpu *v, Err *err)
{
    v->arch = x_alloc(sizeof *v->arch);
    return vcpu_init_reset(v, err);
}

void kvm_arch_vcpu_free(BeVcpu *v)
{
    mem_free(v->arch);
}

enum { LINE_IRQ = 0, LINE_FIQ = 1, LINES = 1 << LINE_IRQ | 1 << LINE_FIQ };

static int line_set(BeVcpu *v, unsigned number, bool level)
{
    struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT |
                                        (v->kvm_id & KVM_ARM_IRQ_VCPU_MASK) << KVM_ARM_IRQ_VCPU_SHIFT | number,
                                 .level = level};
    int rc = kvm_ioctl(v->vm->fd, KVM_IRQ_LINE, &line);
    if (rc >= 0) {
        v->arch->lines = (uint8_t)(level ? v->arch->lines | 1u << number : v->arch->lines & ~(1u << number));
    }
    return rc;
}

static bool is_lines(const BeVcpu *v, RegId id)
{
    return v->vm->irqchip != IRQCHIP_KERNEL && REG_INDEX(id) == 1 && REG_SIZE(id) == 4;
}

int kvm_arch_state_get(BeVcpu *v, RegId id, uint8_t *out)
{
    uint32_t lines = v->arch->lines;
    if (!is_lines(v, id)) {
        return -ENOENT;
    }
    memcpy(out, &lines, sizeof lines);
    return 0;
}

int kvm_arch_state_set(BeVcpu *v, RegId id, const uint8_t *in)
{
    uint32_t lines;
    memcpy(&lines, in, sizeof lines);
    if (!is_lines(v, id) || lines & ~(uint32_t)LINES) {
        return -EINVAL;
    }
    int rc = line_set(v, LINE_IRQ, lines >> LINE_IRQ & 1);
    return rc < 0 ? rc : line_set(v, LINE_FIQ, lines >> LINE_FIQ & 1);
}

/* Without a vGIC the kernel takes the GIC out of the ID registers at the first KVM_RUN, and after it no ID register can be
 * written with another value. So that a save made before an entry can be restored after it, the first is made here; it
 * runs nothing. */
static int settle_id_regs(BeVcpu *v, Err *err)
{
    v->run->immediate_exit = 1;
    int rc = kvm_ioctl_once(v->fd, KVM_RUN, NULL);
    v->run->immediate_exit = 0;
    return rc < 0 && rc != -EINTR ? kvm_err(err, rc, "KVM_RUN to settle the ID registers") : 0;
}

int kvm_arch_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    int rc = vcpu_init_reset(v, err);
    if (!rc && !v->has_run && v->vm->irqchip != IRQCHIP_KERNEL) {
        rc = settle_id_regs(v, err);
    }
    if (rc) {
        return rc;
    }
    if ((rc = kvm_onereg_set(v, pc_id, &s->entry.addr)) >= 0 && v->cfg.arg) {
        rc = kvm_onereg_set(v, gpr_id(0), &v->cfg.arg);
    }
    return rc < 0 ? kvm_err(err, rc, "KVM_SET_ONE_REG pc") : 0;
}

/* Where PSCI calls leave the guest, nobody in the kernel starts a vcpu. */
void kvm_arch_probed(BeVcpu *v)
{
    (void)v;
}

bool kvm_arch_parks(const BeVm *vm)
{
    return vm->firmware != FW_KERNEL && vm->has_smccc_filter;
}

int kvm_arch_unpark(BeVcpu *v, Err *err)
{
    struct kvm_mp_state mp = {KVM_MP_STATE_RUNNABLE};
    return kvm_get(v, KVM_SET_MP_STATE, &mp, "KVM_SET_MP_STATE", err);
}

/* ---- exits ---- */
/* PSCI 1.1 (DEN 0022D.b, 5): the calls that start and stop vcpus and the machine have exits of their own. */
static void decode_smccc(BeVcpu *v, VmExit *exit)
{
    static const struct {
        uint32_t function;
        ExitKind kind;
    } psci[] = {{0x84000002, EXIT_cpu_down},    {0x84000003, EXIT_cpu_up},       {0xc4000003, EXIT_cpu_up},
                {0x84000008, EXIT_system_down}, {0x84000009, EXIT_system_reset}, {0x84000012, EXIT_system_reset},
                {0xc4000012, EXIT_system_reset}};
    ExitKind kind = EXIT_hypercall;
    for (size_t i = 0; i < ARRAY_LEN(psci); i++) {
        kind = psci[i].function == v->run->hypercall.nr ? psci[i].kind : kind;
    }
    kvm_exit_start(v, exit, kind);
    if (kind == EXIT_cpu_up) {
        exit->addr = kvm_onereg_u64(v, gpr_id(1)) & 0xff00ffffff;
        exit->arg[0] = kvm_onereg_u64(v, gpr_id(2));
        exit->arg[1] = kvm_onereg_u64(v, gpr_id(3));
    } else if (kind == EXIT_hypercall) {
        exit->addr = v->run->hypercall.nr;
        for (unsigned i = 0; i < ARRAY_LEN(exit->arg); i++) {
            exit->arg[i] = kvm_onereg_u64(v, gpr_id(i + 1));
        }
    }
}

void kvm_arch_pc(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    bool is_access = exit->kind == EXIT_mmio_read || exit->kind == EXIT_mmio_write;
    if (is_access && args->want & HAS_pc_before) { /* the kernel moves pc when it completes the access */
        exit->pc_before = kvm_onereg_u64(v, pc_id);
        exit->valid |= HAS_pc_before;
    } else if (v->run->exit_reason == KVM_EXIT_HYPERCALL && args->want & HAS_pc_after) {
        exit->pc_after = kvm_onereg_u64(v, pc_id);
        exit->valid |= HAS_pc_after;
    }
}

int kvm_arch_exit(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    (void)args;
    switch (v->run->exit_reason) {
    case KVM_EXIT_HYPERCALL: /* pc is past the HVC or SMC; the kernel leaves the arguments in their registers */
        decode_smccc(v, exit);
        return 0;
    case KVM_EXIT_ARM_NISV:
        kvm_exit_start(v, exit, EXIT_unsupported);
        exit->native.qual[0] = v->run->arm_nisv.esr_iss;
        exit->native.qual[1] = v->run->arm_nisv.fault_ipa;
        return 0;
    default:
        kvm_exit_start(v, exit, EXIT_unsupported);
        return 0;
    }
}

int kvm_arch_reply(BeVcpu *v, const Reply *r, Err *err)
{
    (void)r;
    return kvm_arch_reply_fault(v, err);
}

/* ---- debug ---- */
const char *kvm_arch_no_sw_break(void)
{
    return NULL;
}

void kvm_arch_debug(BeVcpu *v, VmExit *exit)
{
    enum { EC_BREAKPOINT = 0x30, EC_STEP = 0x32, EC_WATCHPOINT = 0x34, EC_BRK = 0x3c }; /* Arm ARM D24.2.40 */
    uint64_t pc = kvm_onereg_u64(v, pc_id);
    exit->native.qual[0] = v->run->debug.arch.hsr;
    exit->addr = pc;
    switch (v->run->debug.arch.hsr >> 26 & 0x3f) {
    case EC_BREAKPOINT:
        exit->arg[0] = DEBUG_BREAK;
        break;
    case EC_WATCHPOINT:
        exit->arg[0] = DEBUG_WATCH;
        exit->addr = v->run->debug.arch.far;
        break;
    case EC_BRK:
        exit->arg[0] = DEBUG_SW_BREAK;
        break;
    case EC_STEP:
        exit->arg[0] = DEBUG_STEP;
        exit->pc_after = pc;
        exit->valid |= HAS_pc_after;
        return;
    default:
        kvm_exit_start(v, exit, EXIT_unsupported);
        return;
    }
    exit->pc_before = pc;
    exit->valid |= HAS_pc_before;
}

/* The kernel forgets that the access was stepped over when it is retired without an entry: it would
 * report the next one. */
int kvm_arch_step_exit(BeVcpu *v, VmExit *exit, Err *err)
{
    uint64_t pc = 0;
    if (kvm_onereg_get(v, pc_id, &pc) < 0) {
        return err_native(err, ERR_HOST, errno, "KVM_GET_ONE_REG of pc");
    }
    kvm_exit_start(v, exit, EXIT_debug);
    exit->native.code = KVM_EXIT_DEBUG;
    exit->arg[0] = DEBUG_STEP;
    exit->addr = exit->pc_after = pc;
    exit->valid |= HAS_pc_after;
    return 0;
}

/* DBGBCR and DBGWCR (Arm ARM D24.3): enabled, for EL1 and EL0. */
int kvm_arch_guest_debug(BeVcpu *v, struct kvm_guest_debug *d, Err *err)
{
    enum { ENABLE = 1, EL1_EL0 = 3 << 1, ALL_BYTES = 0xf << 5 };
    size_t nexec = 0, nwatch = 0;
    for (size_t i = 0; i < v->nbreaks; i++) {
        const Break *b = &v->breaks[i];
        uint64_t at = b->gva & 7;
        if (b->kind == BREAK_EXEC) {
            d->arch.dbg_bvr[nexec] = b->gva & ~3ull;
            d->arch.dbg_bcr[nexec++] = ENABLE | EL1_EL0 | ALL_BYTES;
        } else if (b->len == 0 || b->len > 8 - at) {
            return err_set(err, ERR_INVAL, "watch %zu: 1 to 8 bytes within an aligned doubleword", i);
        } else {
            uint64_t access = b->kind == BREAK_WRITE ? 2 : 3;
            d->arch.dbg_wvr[nwatch] = b->gva & ~7ull;
            d->arch.dbg_wcr[nwatch++] = ENABLE | EL1_EL0 | access << 3 | (((1ull << b->len) - 1) << at) << 5;
        }
    }
    return 0;
}

int kvm_arch_inject(BeVcpu *v, const Event *e, Err *err)
{
    if (e->kind != EV_LINE) {
        return err_unsupported(err, "kvm", "inject", "an AArch64 vcpu takes its IRQ and FIQ lines only");
    }
    if (v->vm->irqchip == IRQCHIP_KERNEL) {
        return err_unsupported(err, "kvm", "irq_line",
                               "with irqchip kernel the vGIC drives a vcpu's lines: use its SPIs");
    }
    if (e->number > LINE_FIQ) {
        return err_set(err, ERR_INVAL, "line %u: IRQ is 0, FIQ is 1", e->number);
    }
    int rc = line_set(v, e->number, e->level);
    return rc < 0 ? kvm_err(err, rc, "KVM_IRQ_LINE") : 0;
}
#endif
