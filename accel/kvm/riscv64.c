/* SPDX-License-Identifier: Apache-2.0
 * riscv64.c - vcpus of riscv64 guests. setup() leaves VS-mode with translation off and interrupts
 * off, the supervisor CSRs as the kernel creates them, all general registers 0 but, where
 * VcpuConfig gives a boot argument, a0 = hart id and a1 = that argument; pc = entry. A hypercall's
 * number is the SBI extension in the upper and the function in the lower 32 bits. */
#if defined(__riscv)
#include "accel/kvm/riscv64.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const GuestId kvm_arch_guest = GUEST_riscv64;
const char kvm_arch_name[] = "riscv64";
const uint64_t kvm_arch_reg_base = KVM_REG_RISCV;

#define U64 (KVM_REG_RISCV | KVM_REG_SIZE_U64)
enum { CORE_PC = 0, CORE_MODE = 32, CORE_A0 = 10, FCSR = 32 };

struct KvmArch { /* the values of the table's rows in a new vcpu */
    const RegInfo *rows;
    size_t nrows;
    uint64_t *fresh;
};

static uint64_t core_id(uint64_t n)
{
    return U64 | KVM_REG_RISCV_CORE | n;
}

static uint64_t csr_id(uint64_t csr)
{
    static const struct {
        uint16_t csr, index;
    } table[] = {
#define CSR(number, member) {number, KVM_REG_RISCV_CSR_REG(member)}
        CSR(0x100, sstatus), CSR(0x104, sie),   CSR(0x105, stvec), CSR(0x140, sscratch), CSR(0x141, sepc),
        CSR(0x142, scause),  CSR(0x143, stval), CSR(0x144, sip),   CSR(0x180, satp),     CSR(0x106, scounteren),
#undef CSR
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].csr == csr) {
            return U64 | KVM_REG_RISCV_CSR | table[i].index;
        }
    }
    return 0;
}

uint64_t kvm_arch_reg_id(RegId id)
{
    uint64_t i = REG_INDEX(id);
    size_t size = REG_SIZE(id);
    switch (REG_CLASS(id)) {
    case REG_GPR:
        return i > 0 && i < 32 && size == 8 ? core_id(i) : 0;
    case REG_CTL:
        return i == 0 && size == 8 ? core_id(CORE_PC) : i == 1 && size == 1 ? core_id(CORE_MODE) : 0;
    case REG_FP:
        return i < 32 && size == 8 ? U64 | KVM_REG_RISCV_FP_D | i : 0;
    case REG_SYS:
        if (i == 0x003) {
            return size == 4 ? KVM_REG_RISCV | KVM_REG_SIZE_U32 | KVM_REG_RISCV_FP_D | FCSR : 0;
        }
        if (i == 0xc01) {
            return U64 | KVM_REG_RISCV_TIMER | KVM_REG_RISCV_TIMER_REG(time);
        }
        return size == 8 ? csr_id(i) : 0;
    case REG_VEC:
    case REG_STATE:
    case REG_NATIVE:
        break;
    }
    return 0;
}

RegId kvm_arch_reg_of(uint64_t kvm_id)
{
    size_t nrows;
    const RegInfo *rows = reg_table(GUEST_riscv64, &nrows);
    for (size_t i = 0; i < nrows; i++) {
        uint64_t of_row = kvm_arch_reg_id(rows[i].id);
        if (of_row && of_row == kvm_id) {
            return rows[i].id;
        }
    }
    return 0;
}

/* What pends is in sip, and of simulators alone in irq_state. */
int kvm_arch_state_get(BeVcpu *v, RegId id, uint8_t *out)
{
    (void)v;
    (void)id;
    (void)out;
    return -ENOENT;
}

int kvm_arch_state_set(BeVcpu *v, RegId id, const uint8_t *in)
{
    (void)v;
    (void)id;
    (void)in;
    return -ENOENT;
}

/* ---- the ISA string ---- */
enum { NO_NUMBER = 0xf0 /* and above: by the satp mode that is added to it */, ALWAYS = 0xff };
/* KVM_REG_RISCV_ISA_EXT's numbers (asm/kvm.h, enum KVM_RISCV_ISA_EXT_ID, of Linux 6.14: newer than the headers that this must
 * build with), in the order of an ISA string. C says Zca and Zcd, which kernels before 6.11 do not number; no host of KVM is
 * without Zicsr, Zifencei and Sv39. */
static const struct {
    const char *name;
    uint8_t number;
} extensions[] = {
    {"m", 6},
    {"a", 0},
    {"f", 3},
    {"d", 2},
    {"c", 1},
    {"v", 15},
    {"h", 4},
    {"zicbom", 11},
    {"zicboz", 12},
    {"zicntr", 19},
    {"zicond", 24},
    {"zicsr", ALWAYS},
    {"zifencei", ALWAYS},
    {"zihintntl", 48},
    {"zihintpause", 10},
    {"zihpm", 22},
    {"zimop", 55},
    {"zabha", 67},
    {"zacas", 53},
    {"zawrs", 61},
    {"zfa", 51},
    {"zfh", 46},
    {"zfhmin", 47},
    {"zca", 56},
    {"zcb", 57},
    {"zcd", 58},
    {"zcmop", 60},
    {"zba", 17},
    {"zbb", 13},
    {"zbc", 25},
    {"zbkb", 26},
    {"zbkc", 27},
    {"zbkx", 28},
    {"zbs", 18},
    {"zknd", 29},
    {"zkne", 30},
    {"zknh", 31},
    {"zkr", 32},
    {"zksed", 33},
    {"zksh", 34},
    {"sscofpmf", 54},
    {"sstc", 8},
    {"sv39", ALWAYS},
    {"sv48", NO_NUMBER + 9},
    {"sv57", NO_NUMBER + 10},
    {"svade", 64},
    {"svadu", 65},
    {"svinval", 9},
    {"svnapot", 16},
    {"svpbmt", 7},
};
static char isa[512]; /* written once, under kvm_onereg_probe's pthread_once */

void kvm_arch_probed(BeVcpu *v)
{
    enum { CONFIG_SATP_MODE = 6 }; /* struct kvm_riscv_config of Linux 6.6; 0 where it is not known */
    uint64_t mode = kvm_onereg_u64(v, U64 | KVM_REG_RISCV_CONFIG | CONFIG_SATP_MODE);
    size_t n = (size_t)snprintf(isa, sizeof isa, "rv64i");
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        const char *name = extensions[i].name;
        uint8_t number = extensions[i].number;
        bool has = number == ALWAYS     ? true
                   : number < NO_NUMBER ? kvm_onereg_u64(v, U64 | KVM_REG_RISCV_ISA_EXT | number) == 1
                                        : mode >= number - (uint64_t)NO_NUMBER;
        if (has) {
            n += (size_t)snprintf(isa + n, sizeof isa - n, "%s%s", name[1] ? "_" : "", name);
        }
    }
}

/* ---- machine ---- */
void kvm_arch_caps(int sys_fd, Caps *caps)
{
    bool has_debug = kvm_check(sys_fd, KVM_CHECK_GUEST_DEBUG);
    kvm_cap_set(caps, CAP_sw_break, has_debug ? CAP_FULL : CAP_NONE,
                has_debug ? "where kvm.sw_break asks for it" : "needs Linux 6.10");
    kvm_cap_set(caps, CAP_hypercall_visible, CAP_PARTIAL,
                "SBI extensions that the kernel does not serve: vendor and experimental ones, debug console, "
                "legacy console");
    kvm_cap_set(caps, CAP_vec, CAP_NONE, "the V extension is not in this backend");
    caps->vec_bytes = 0;
    int vm = kvm_ioctl(sys_fd, KVM_CREATE_VM, NULL); /* whether there is an AIA only a VM says */
    bool has_aia = vm >= 0 && aia_exists(vm);
    if (vm >= 0) {
        close(vm);
    }
    static const char no_aia[] = "this host has no AIA that its KVM can give to guests (Linux 6.5, Ssaia)";
    kvm_cap_set(caps, CAP_irqchip, has_aia ? CAP_FULL : CAP_NONE, has_aia ? NULL : no_aia);
    kvm_cap_set(caps, CAP_msi, has_aia ? CAP_FULL : CAP_NONE, has_aia ? "with irqchip kernel" : no_aia);
    kvm_cap_set(caps, CAP_irq_line, CAP_PARTIAL,
                has_aia ? "sources of the APLIC with irqchip kernel; else the supervisor external interrupt, by inject"
                        : "the supervisor external interrupt of a vcpu, by inject");
    kvm_cap_set(caps, CAP_pc_before, CAP_FULL, NULL);
    kvm_onereg_probe(caps);
    caps->isa = isa[0] ? isa : NULL;
    kvm_cap_set(caps, CAP_step, CAP_NONE, "KVM accepts single-step on riscv64 and never reports one");
    kvm_cap_set(caps, CAP_save, CAP_FULL, NULL);
    kvm_cap_set(caps, CAP_parked, CAP_PARTIAL, "until the guest's own SBI HSM HART_START, served in the kernel");
    kvm_cap_set(caps, CAP_page_split, CAP_NONE,
                "KVM does not complete an access to a device that is not naturally aligned");
}

unsigned long kvm_arch_vm_type(int sys_fd)
{
    (void)sys_fd;
    return 0;
}

int kvm_arch_vm_init(BeVm *vm, Err *err)
{
    if (vm->irqchip == IRQCHIP_SPLIT) {
        return err_unsupported(err, "kvm", "irqchip", "APLIC and IMSIC are both in the kernel: irqchip kernel");
    }
    if (vm->irqchip == IRQCHIP_KERNEL && !aia_exists(vm->fd)) {
        return err_unsupported(err, "kvm", "irqchip", "this host has no AIA that its KVM can give to guests");
    }
    return vm->irqchip == IRQCHIP_KERNEL ? aia_create(vm, err) : 0;
}

int kvm_arch_vm_ready(BeVm *vm, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? aia_ready(vm, err) : 0;
}

int kvm_arch_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? aia_line(vm, gsi, level, err)
                                         : err_unsupported(err, "kvm", "irq_line", "needs irqchip kernel");
}

int kvm_arch_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? aia_msi(vm, addr, data, err)
                                         : err_unsupported(err, "kvm", "msi", "needs irqchip kernel");
}

int kvm_arch_save(BeVm *vm, Buf *out, Err *err)
{
    return vm->irqchip == IRQCHIP_KERNEL ? aia_save(vm, out, err) : 0; /* else the registers are all there is */
}

int kvm_arch_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    if (vm->irqchip == IRQCHIP_KERNEL) {
        return aia_restore(vm, bytes, n, err);
    }
    return n ? err_set(err, ERR_VERSION, "VM state of %zu bytes; a VM without an AIA has none", n) : 0;
}

int kvm_arch_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    (void)vm;
    (void)k;
    (void)lo;
    (void)hi;
    (void)on;
    return err_unsupported(err, "kvm", "intercept", "KVM on riscv64 has no choice of exits");
}

/* ---- vcpus ---- */
int kvm_arch_vcpu_id(const VcpuConfig *cfg, uint32_t *out, Err *err)
{
    enum { MAX_HART = 0x7fffffff };
    if (cfg->hw_id > MAX_HART) {
        return err_set(err, ERR_INVAL, "hart id %#llx is too large for KVM", (unsigned long long)cfg->hw_id);
    }
    *out = (uint32_t)cfg->hw_id;
    return 0;
}

static bool is_reset_row(RegId id)
{
    return (REG_CLASS(id) == REG_GPR || REG_CLASS(id) == REG_FP || REG_CLASS(id) == REG_SYS) && kvm_arch_reg_id(id) &&
           REG_INDEX(id) != 0xc01;
}

/* The debug console, which the kernel (Linux 6.6) hands out where it is asked to (api.rst 4.68, SBI extensions). */
static void console_enable(BeVcpu *v)
{
    enum { SBI_EXT = 0x08, SBI_SINGLE = 0, DBCN = 9 }; /* newer than the headers that this must build with */
    uint64_t on = 1, id = U64 | (uint64_t)SBI_EXT << KVM_REG_RISCV_TYPE_SHIFT | SBI_SINGLE | DBCN;
    if (v->vm->firmware != FW_KERNEL) {
        (void)kvm_onereg_set(v, id, &on); /* else its calls are refused, as the guest can ask */
    }
}

int kvm_arch_vcpu_init(BeVcpu *v, Err *err)
{
    (void)err;
    if (!v->has_run) { /* it cannot change later */
        console_enable(v);
    }
    KvmArch *a = v->arch = x_alloc(sizeof *v->arch);
    a->rows = reg_table(GUEST_riscv64, &a->nrows);
    a->fresh = x_calloc(a->nrows, sizeof *a->fresh);
    for (size_t i = 0; i < a->nrows; i++) {
        RegId id = a->rows[i].id;
        if (is_reset_row(id) && REG_CLASS(id) == REG_SYS) {
            a->fresh[i] = kvm_onereg_u64(v, kvm_arch_reg_id(id));
        }
    }
    return 0;
}

void kvm_arch_vcpu_free(BeVcpu *v)
{
    if (v->arch) {
        mem_free(v->arch->fresh);
        mem_free(v->arch);
    }
}

int kvm_arch_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    struct kvm_mp_state mp = {v->cfg.is_secondary ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE};
    uint64_t supervisor = 1;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < v->arch->nrows; i++) {
        RegId id = v->arch->rows[i].id;
        if (is_reset_row(id)) {
            rc = kvm_onereg_set(v, kvm_arch_reg_id(id), &v->arch->fresh[i]);
            if (rc == -ENOENT || (rc == -EINVAL && REG_CLASS(id) == REG_FP)) {
                rc = 0; /* a guest without floating point */
            }
        }
    }
    if (rc >= 0 && (rc = kvm_onereg_set(v, core_id(CORE_MODE), &supervisor)) >= 0) {
        rc = kvm_onereg_set(v, core_id(CORE_PC), &s->entry.addr);
    }
    if (rc >= 0 && v->cfg.arg && (rc = kvm_onereg_set(v, core_id(CORE_A0), &v->cfg.hw_id)) >= 0) {
        rc = kvm_onereg_set(v, core_id(CORE_A0 + 1), &v->cfg.arg);
    }
    if (rc >= 0) {
        rc = kvm_ioctl(v->fd, KVM_SET_MP_STATE, &mp);
    }
    return rc < 0 ? kvm_err(err, rc, "kvm refuses the reset state") : 0;
}

bool kvm_arch_parks(const BeVm *vm)
{
    (void)vm;
    return false; /* the kernel serves HSM */
}

int kvm_arch_unpark(BeVcpu *v, Err *err)
{
    (void)v;
    (void)err;
    return 0;
}

/* ---- exits ---- */
void kvm_arch_pc(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    bool is_access = exit->kind == EXIT_mmio_read || exit->kind == EXIT_mmio_write;
    bool is_call = exit->kind == EXIT_hypercall || exit->kind == EXIT_sysreg_read;
    if ((is_access || is_call) && args->want & HAS_pc_before) { /* the kernel moves sepc when it completes them */
        exit->pc_before = kvm_onereg_u64(v, core_id(CORE_PC));
        exit->valid |= HAS_pc_before;
    }
}

int kvm_arch_exit(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    (void)args;
    struct kvm_run *run = v->run;
    switch (run->exit_reason) {
    case KVM_EXIT_RISCV_SBI:
        kvm_exit_start(v, exit, EXIT_hypercall);
        exit->addr = (uint64_t)run->riscv_sbi.extension_id << 32 | (uint32_t)run->riscv_sbi.function_id;
        for (unsigned i = 0; i < ARRAY_LEN(exit->arg); i++) {
            exit->arg[i] = run->riscv_sbi.args[i];
        }
        /* The kernel writes a0 and a1 and moves pc at the next entry: let it write what is there.
         */
        run->riscv_sbi.ret[0] = run->riscv_sbi.args[0];
        run->riscv_sbi.ret[1] = run->riscv_sbi.args[1];
        v->pending = PEND_OPEN;
        return 0;
    case KVM_EXIT_RISCV_CSR: /* one instruction reads and writes: the answer is what was read */
        kvm_exit_start(v, exit, EXIT_sysreg_read);
        exit->addr = run->riscv_csr.csr_num;
        exit->size_bytes = 8;
        exit->native.qual[0] = run->riscv_csr.write_mask;
        exit->native.qual[1] = run->riscv_csr.new_value;
        return 0;
    default:
        kvm_exit_start(v, exit, EXIT_unsupported);
        return 0;
    }
}

int kvm_arch_reply(BeVcpu *v, const Reply *r, Err *err)
{
    if (r->is_fault || v->due != EXIT_sysreg_read) {
        return kvm_arch_reply_fault(v, err);
    }
    v->run->riscv_csr.ret_value = r->value;
    return 0;
}

const char *kvm_arch_no_sw_break(void)
{
    return NULL;
}

void kvm_arch_debug(BeVcpu *v, VmExit *exit)
{
    exit->arg[0] = DEBUG_SW_BREAK; /* ebreak is all that KVM reports here */
    exit->addr = exit->pc_before = kvm_onereg_u64(v, core_id(CORE_PC));
    exit->valid |= HAS_pc_before;
}

int kvm_arch_step_exit(BeVcpu *v, VmExit *exit, Err *err)
{
    (void)v;
    (void)exit;
    (void)err;
    return 1; /* there are no steps */
}

int kvm_arch_guest_debug(BeVcpu *v, struct kvm_guest_debug *d, Err *err)
{
    if (v->nbreaks) {
        return err_unsupported(err, "kvm", "hw_break", "KVM has no breakpoint registers for the host on riscv64");
    }
    if (d->control & KVM_GUESTDBG_SINGLESTEP) {
        return err_unsupported(err, "kvm", "step", "KVM accepts single-step on riscv64 and never reports one");
    }
    return 0;
}

int kvm_arch_inject(BeVcpu *v, const Event *e, Err *err)
{
    enum { SUPERVISOR_EXTERNAL = 9 };
    if (v->vm->irqchip == IRQCHIP_KERNEL) {
        return err_unsupported(err, "kvm", "irq_line",
                               "with irqchip kernel the IMSIC interrupts a vcpu: use its messages");
    }
    if (e->kind != EV_LINE || e->number != SUPERVISOR_EXTERNAL) {
        return err_unsupported(err, "kvm", "inject", "KVM raises the supervisor external interrupt (line 9) only");
    }
    struct kvm_interrupt irq = {.irq = e->level ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET};
    return kvm_get(v, KVM_INTERRUPT, &irq, "KVM_INTERRUPT", err);
}
#endif
