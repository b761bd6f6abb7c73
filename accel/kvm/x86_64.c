/* SPDX-License-Identifier: Apache-2.0
 * x86_64.c - vcpus of x86-64 guests: reset, exits, debug registers, injection.
 *
 * setup() leaves the state after INIT (SDM vol. 3A, table 10-1), so that what it means does not
 * depend on the host, but for: all general registers 0 (rdx too), cs.selector and cs.base 0 instead
 * of 0xf000 and 0xffff0000, rip = entry. That is real mode with segments from 0: an entry below 64
 * KiB runs as it is; a harness that wants another mode writes cr0, cr3, cr4, efer and the segments
 * in one set_regs. MSRs, FPU, debug registers and the local APIC are as the kernel makes them for a
 * new vcpu; the time stamp counter goes on. */
#if defined(__x86_64__)
#include "accel/kvm/x86_64.h"

#include <errno.h>
#include <string.h>

const GuestId kvm_arch_guest = GUEST_x86_64;
const char kvm_arch_name[] = "x86_64";

enum { RFLAGS_IF = 0x200, DR6_BS = 1 << 14, DR7_GE = 1 << 9, DR7_FIXED = 1 << 10, VECTOR_DB = 1, VECTOR_BP = 3 };

bool x86_has_lapic(const BeVm *vm)
{
    return vm->irqchip == IRQCHIP_KERNEL || vm->irqchip == IRQCHIP_SPLIT;
}

int kvm_arch_vcpu_id(const VcpuConfig *cfg, uint32_t *out, Err *err)
{
    enum { MAX_APIC_ID = 0xfe }; /* xAPIC ids; 0xff is broadcast */
    if (cfg->hw_id > MAX_APIC_ID) {
        return err_set(err, ERR_INVAL, "APIC id %#llx: the limit is %#x", (unsigned long long)cfg->hw_id,
                       (unsigned)MAX_APIC_ID);
    }
    *out = (uint32_t)cfg->hw_id;
    return 0;
}

/* ---- CPUID ---- */
enum { MAX_LEAVES = 512 };

static struct kvm_cpuid2 *leaves_new(void)
{
    struct kvm_cpuid2 *c = x_alloc(sizeof *c + MAX_LEAVES * sizeof c->entries[0]);
    c->nent = MAX_LEAVES;
    return c;
}

/* The host's CPUID as KVM can give it to a guest, with this vcpu's APIC id where leaves 1, 0xb and
 * 0x1f tell it. */
static int cpuid_set(BeVcpu *v, Err *err)
{
    struct kvm_cpuid2 *c = leaves_new();
    const char *what = "KVM_GET_SUPPORTED_CPUID";
    int rc = kvm_ioctl(v->vm->sys_fd, KVM_GET_SUPPORTED_CPUID, c);
    for (uint32_t i = 0; rc >= 0 && i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];
        if (e->function == 1) {
            e->ebx = (e->ebx & 0x00ffffff) | v->kvm_id << 24;
        } else if (e->function == 0xb || e->function == 0x1f) {
            e->edx = v->kvm_id;
        }
    }
    if (rc >= 0) {
        what = "KVM_SET_CPUID2";
        rc = kvm_ioctl(v->fd, KVM_SET_CPUID2, c);
    }
    mem_free(c);
    return rc < 0 ? kvm_err(err, rc, what) : 0;
}

/* Kernels before 6.3 do not say how many there are: what they left as it was is none. */
static int leaves_get(BeVcpu *v, struct kvm_cpuid2 *c, Err *err)
{
    static const struct kvm_cpuid_entry2 none;
    int rc = kvm_get(v, KVM_GET_CPUID2, c, "KVM_GET_CPUID2", err);
    while (!rc && c->nent && memcmp(&c->entries[c->nent - 1], &none, sizeof none) == 0) {
        c->nent--;
    }
    return rc;
}

static struct kvm_cpuid_entry2 *leaf_find(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];
        if (e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf)) {
            return e;
        }
    }
    return NULL;
}

int x86_cpuid_get(BeVcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t *regs, Err *err)
{
    struct kvm_cpuid2 *c = leaves_new();
    int rc = leaves_get(v, c, err);
    const struct kvm_cpuid_entry2 *e = rc ? NULL : leaf_find(c, leaf, subleaf);
    if (e) {
        memcpy(regs, (const uint32_t[]){e->eax, e->ebx, e->ecx, e->edx}, 4 * sizeof *regs);
    }
    rc = rc ? rc : e != NULL;
    mem_free(c);
    return rc;
}

int x86_cpuid_put(BeVcpu *v, uint32_t leaf, uint32_t subleaf, const uint32_t *regs, Err *err)
{
    if (v->has_run) { /* newer kernels take the same values again, which tells nothing */
        return err_set(err, ERR_STATE, "what CPUID answers is chosen before the vcpu's first entry");
    }
    struct kvm_cpuid2 *c = leaves_new();
    int rc = leaves_get(v, c, err);
    struct kvm_cpuid_entry2 *e = rc ? NULL : leaf_find(c, leaf, subleaf);
    if (!rc && !e) {
        if (c->nent >= MAX_LEAVES) {
            rc = err_set(err, ERR_LIMIT, "all %d leaves of CPUID are in use", (int)MAX_LEAVES);
        } else {
            e = &c->entries[c->nent++];
            *e = (struct kvm_cpuid_entry2){
                .function = leaf, .index = subleaf, .flags = subleaf ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0};
        }
    }
    if (!rc) {
        e->eax = regs[0];
        e->ebx = regs[1];
        e->ecx = regs[2];
        e->edx = regs[3];
        rc = kvm_get(v, KVM_SET_CPUID2, c, "KVM_SET_CPUID2", err);
    }
    mem_free(c);
    return rc;
}

static uint32_t all_groups(const BeVm *vm)
{
    uint32_t all = (1u << X86_GROUPS) - 1;
    if (!x86_has_lapic(vm)) {
        all &= ~(uint32_t)(X86_LAPIC | X86_MP_STATE);
    }
    return kvm_check(vm->sys_fd, KVM_CAP_XCRS) ? all : all & ~(uint32_t)X86_XCRS;
}

int kvm_arch_vcpu_init(BeVcpu *v, Err *err)
{
    v->arch = x_alloc(sizeof *v->arch);
    int rc = v->has_run ? 0 : cpuid_set(v, err); /* cannot change once a vcpu has run */
    if (!rc) {
        rc = x86_state_get(v, all_groups(v->vm), &v->arch->reset, err);
    }
    return rc ? rc : x86_msrs_learn(v, &v->arch->reset.msrs, err);
}

void kvm_arch_vcpu_free(BeVcpu *v)
{
    if (v->arch) {
        VEC_FREE(&v->arch->reset.msrs);
        VEC_FREE(&v->arch->now.msrs);
        VEC_FREE(&v->arch->next.msrs);
        mem_free(v->arch);
    }
}

static void reset_segments(struct kvm_sregs *s)
{
    struct kvm_segment *data[] = {&s->ds, &s->es, &s->fs, &s->gs, &s->ss};
    s->cs = (struct kvm_segment){.limit = 0xffff, .type = 11, .present = 1, .s = 1};
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        *data[i] = (struct kvm_segment){.limit = 0xffff, .type = 3, .present = 1, .s = 1};
    }
    s->tr = (struct kvm_segment){.limit = 0xffff, .type = 11, .present = 1};
    s->ldt = (struct kvm_segment){.limit = 0xffff, .type = 2, .present = 1};
    s->gdt = s->idt = (struct kvm_dtable){.limit = 0xffff};
    s->cr0 = 0x60000010;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
    memset(s->interrupt_bitmap, 0, sizeof s->interrupt_bitmap);
}

static void reset_state(BeVcpu *v, uint64_t entry, X86State *s)
{
    enum { MSR_TSC = 0x10, MSR_TSC_ADJUST = 0x3b, MSR_TSC_DEADLINE = 0x6e0 };
    const X86State *fresh = &v->arch->reset;
    X86Msrs msrs = s->msrs;
    *s = *fresh;
    s->msrs = msrs;
    s->msrs.n = 0;
    for (size_t i = 0; i < fresh->msrs.n; i++) {
        uint32_t index = fresh->msrs.items[i].index;
        if (index != MSR_TSC && index != MSR_TSC_ADJUST && index != MSR_TSC_DEADLINE) {
            VEC_PUSH(&s->msrs, fresh->msrs.items[i]);
        }
    }
    reset_segments(&s->sregs);
    s->regs = (struct kvm_regs){.rip = entry, .rflags = 2};
    s->events.exception.injected = s->events.exception.pending = 0;
    s->events.interrupt.injected = s->events.interrupt.shadow = 0;
    s->events.nmi.injected = s->events.nmi.pending = s->events.nmi.masked = 0;
    s->mp_state.mp_state = v->cfg.is_secondary ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
}

int kvm_arch_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    uint32_t failed = 0;
    size_t nmsrs = 0;
    reset_state(v, s->entry.addr, &v->arch->next);
    int rc = x86_state_set(v, all_groups(v->vm), &v->arch->next, &failed, &nmsrs);
    return rc < 0 ? err_native(err, rc == -ENOMEM ? ERR_NOMEM : ERR_HOST, -rc, "%s of the reset state (MSR %zu)",
                               x86_set_name(failed), nmsrs)
                  : 0;
}

bool kvm_arch_parks(const BeVm *vm)
{
    return !x86_has_lapic(vm); /* with one, the kernel waits for INIT and SIPI */
}

int kvm_arch_unpark(BeVcpu *v, Err *err)
{
    (void)v;
    (void)err;
    return 0;
}

void kvm_arch_abandon(BeVcpu *v)
{
    /* The emulator looks at rcx again when it goes on: a string with rcx = 0 is at its end. */
    struct kvm_regs regs;
    if (kvm_ioctl(v->fd, KVM_GET_REGS, &regs) >= 0) {
        regs.rcx = 0;
        (void)kvm_ioctl(v->fd, KVM_SET_REGS, &regs);
    }
}

/* ---- exits ---- */
void kvm_arch_before_run(BeVcpu *v, const RunArgs *args)
{
    v->run->kvm_valid_regs = args->want & (HAS_pc_before | HAS_pc_after) ? KVM_SYNC_X86_REGS : 0;
    v->run->request_interrupt_window = args->irq_window;
}

void kvm_arch_pc(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    if (!v->is_synced) {
        return;
    }
    bool is_before = exit->kind == EXIT_mmio_read || exit->kind == EXIT_io_read || exit->kind == EXIT_sysreg_read ||
                     exit->kind == EXIT_sysreg_write || exit->kind == EXIT_internal_error;
    bool is_after = exit->kind == EXIT_halt || exit->kind == EXIT_irq_window;
    /* Not at a store: the emulator moves rip before such an exit, the fast path of OUT and a
     * repeated string do not. */
    if (is_before && args->want & HAS_pc_before) {
        exit->pc_before = v->run->s.regs.regs.rip;
        exit->valid |= HAS_pc_before;
    } else if (is_after && args->want & HAS_pc_after) {
        exit->pc_after = v->run->s.regs.regs.rip;
        exit->valid |= HAS_pc_after;
    }
}

static uint8_t *io_data(BeVcpu *v)
{
    return (uint8_t *)v->run + v->run->io.data_offset + (size_t)v->element * v->run->io.size;
}

static void decode_io(BeVcpu *v, VmExit *exit)
{
    const struct kvm_run *run = v->run;
    if (v->nelements == 0) {
        v->element = 0;
        v->nelements = run->io.count;
    }
    bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
    kvm_exit_start(v, exit, is_write ? EXIT_io_write : EXIT_io_read);
    exit->addr = run->io.port;
    exit->size_bytes = run->io.size;
    if (is_write) {
        memcpy(&exit->value, io_data(v), run->io.size <= 4 ? run->io.size : 4);
        exit->valid |= HAS_value;
    }
}

static void decode_msr(BeVcpu *v, VmExit *exit, bool is_write)
{
    kvm_exit_start(v, exit, is_write ? EXIT_sysreg_write : EXIT_sysreg_read);
    exit->addr = v->run->msr.index;
    exit->size_bytes = 8;
    exit->native.qual[0] = v->run->msr.reason;
    if (is_write) {
        exit->value = v->run->msr.data;
        exit->valid |= HAS_value;
    }
}

static void decode_hypercall(BeVcpu *v, VmExit *exit)
{
    kvm_exit_start(v, exit, EXIT_hypercall);
    exit->addr = v->run->hypercall.nr;
    memcpy(exit->arg, v->run->hypercall.args, sizeof exit->arg);
    v->run->hypercall.ret = 0; /* what rax becomes when the kernel retires it; above may set rax after that */
    v->pending = PEND_OPEN;
}

int kvm_arch_exit(BeVcpu *v, const RunArgs *args, VmExit *exit)
{
    (void)args;
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
        decode_io(v, exit);
        return 0;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        decode_msr(v, exit, v->run->exit_reason == KVM_EXIT_X86_WRMSR);
        return 0;
    case KVM_EXIT_HYPERCALL:
        decode_hypercall(v, exit);
        return 0;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        if (!v->run->request_interrupt_window) {
            return 1;
        }
        kvm_exit_start(v, exit, EXIT_irq_window);
        return 0;
    case KVM_EXIT_IOAPIC_EOI:
        kvm_exit_start(v, exit, EXIT_eoi);
        exit->addr = v->run->eoi.vector;
        return 0;
    case KVM_EXIT_SET_TPR: /* cr8 went down with no APIC in the kernel: nobody here waits for it */
        return 1;
    default:
        kvm_exit_start(v, exit, EXIT_unsupported);
        return 0;
    }
}

int kvm_arch_reply(BeVcpu *v, const Reply *r, Err *err)
{
    bool is_msr = v->due == EXIT_sysreg_read || v->due == EXIT_sysreg_write;
    if (r->is_fault && !is_msr) {
        return kvm_arch_reply_fault(v, err);
    }
    if (is_msr) {
        v->run->msr.error = r->is_fault;
        if (v->due == EXIT_sysreg_read) {
            v->run->msr.data = r->value;
        }
    } else if (v->due == EXIT_io_read) {
        memcpy(io_data(v), &r->value, v->run->io.size <= 4 ? v->run->io.size : 4);
    }
    return 0;
}

int kvm_arch_reply_fault(BeVcpu *v, Err *err)
{
    (void)v;
    return err_unsupported(err, "kvm", "reply_fault", "only an MSR access can be answered with a fault");
}

int x86_sync_regs(BeVcpu *v, uint64_t valid, uint64_t dirty, uint64_t rax, Err *err)
{
    struct kvm_run *run = v->run;
    int rc = kvm_look_write(v, err);
    if (rc || (rc = kvm_get(v, KVM_GET_REGS, &run->s.regs.regs, "KVM_GET_REGS", err))) {
        return rc;
    }
    run->s.regs.regs.rax = rax;
    run->kvm_valid_regs = valid;
    run->kvm_dirty_regs = dirty;
    run->immediate_exit = 1;
    rc = kvm_ioctl_once(v->fd, KVM_RUN, NULL);
    run->immediate_exit = 0;
    run->kvm_valid_regs = run->kvm_dirty_regs = 0;
    if (rc < 0 && rc != -EINVAL && rc != -EINTR) { /* those are answers: refused, or taken and nothing was run */
        return kvm_err(err, rc, "KVM_RUN");
    }
    return -rc;
}

/* ---- debug ---- */
const char *kvm_arch_no_sw_break(void)
{
    return x86_probe().sw_breaks ? NULL : "accepted by this KVM, but a probe guest ran on without the exit";
}

static void debug_kind(BeVcpu *v, uint64_t dr6, VmExit *exit)
{
    for (size_t i = 0; i < v->nbreaks; i++) {
        if (dr6 >> i & 1) {
            exit->arg[0] = v->breaks[i].kind == BREAK_EXEC ? DEBUG_BREAK : DEBUG_WATCH;
            exit->addr = v->breaks[i].gva;
            return;
        }
    }
    exit->arg[0] = DEBUG_STEP;
}

void kvm_arch_debug(BeVcpu *v, VmExit *exit)
{
    const struct kvm_debug_exit_arch *d = &v->run->debug.arch;
    exit->addr = d->pc;
    exit->arg[1] = d->dr6;
    if (d->exception == VECTOR_BP) {
        exit->arg[0] = DEBUG_SW_BREAK;
        exit->pc_before = d->pc;
        exit->valid |= HAS_pc_before;
        return;
    }
    debug_kind(v, d->dr6, exit);
    if (exit->arg[0] == DEBUG_BREAK) {
        exit->pc_before = d->pc;
        exit->valid |= HAS_pc_before;
    } else {
        exit->pc_after = d->pc;
        exit->valid |= HAS_pc_after;
    }
}

/* KVM does not report the step of an instruction that wrote to a device: it would run one more and
 * report that. The instruction has retired, so the step is over. */
int kvm_arch_step_exit(BeVcpu *v, VmExit *exit, Err *err)
{
    struct kvm_regs regs;
    int rc = kvm_get(v, KVM_GET_REGS, &regs, "KVM_GET_REGS", err);
    if (rc) {
        return rc;
    }
    kvm_exit_start(v, exit, EXIT_debug);
    exit->native.code = KVM_EXIT_DEBUG;
    exit->arg[0] = DEBUG_STEP;
    exit->arg[1] = 0xffff0ff0 | DR6_BS;
    exit->addr = exit->pc_after = regs.rip;
    exit->valid |= HAS_pc_after;
    return 0;
}

static bool break_bits(const Break *b, uint64_t *rw, uint64_t *len)
{
    if (b->kind == BREAK_EXEC) {
        *rw = *len = 0;
        return b->len <= 1;
    }
    *rw = b->kind == BREAK_WRITE ? 1 : 3;
    *len = b->len == 8 ? 2 : b->len - 1;
    return (b->len == 1 || b->len == 2 || b->len == 4 || b->len == 8) && b->gva % b->len == 0;
}

int kvm_arch_guest_debug(BeVcpu *v, struct kvm_guest_debug *d, Err *err)
{
    uint64_t dr7 = v->nbreaks ? DR7_GE | DR7_FIXED : 0;
    for (size_t i = 0; i < v->nbreaks; i++) {
        uint64_t rw, len;
        if (!break_bits(&v->breaks[i], &rw, &len)) {
            return err_set(err, ERR_INVAL, "break %zu: a break is of 1 byte, a watch of 1, 2, 4 or 8, aligned", i);
        }
        d->arch.debugreg[i] = v->breaks[i].gva;
        dr7 |= 2ull << 2 * i | (rw | len << 2) << (16 + 4 * i);
    }
    d->arch.debugreg[7] = dr7;
    return 0;
}

/* ---- injection ---- */
static int inject_vector(BeVcpu *v, const Event *e, Err *err)
{
    if (v->vm->irqchip == IRQCHIP_KERNEL) {
        return err_unsupported(err, "kvm", "irq_vector", "with irqchip kernel interrupts arrive by irq_line or msi");
    }
    if (e->number > 255) {
        return err_set(err, ERR_INVAL, "vector %u: the limit is 255", e->number);
    }
    if (v->vm->irqchip != IRQCHIP_SPLIT) {
        struct kvm_regs regs;
        struct kvm_vcpu_events ev;
        int rc = kvm_get(v, KVM_GET_REGS, &regs, "KVM_GET_REGS", err);
        if (rc || (rc = kvm_get(v, KVM_GET_VCPU_EVENTS, &ev, "KVM_GET_VCPU_EVENTS", err))) {
            return rc;
        }
        if (!(regs.rflags & RFLAGS_IF) || ev.interrupt.shadow || ev.interrupt.injected || ev.exception.injected ||
            ev.exception.pending || ev.nmi.injected) {
            return err_set(err, ERR_BUSY, "the guest cannot take an interrupt now");
        }
    }
    struct kvm_interrupt irq = {.irq = e->number};
    int rc = kvm_ioctl(v->fd, KVM_INTERRUPT, &irq);
    if (rc == -EEXIST) {
        return err_set(err, ERR_BUSY, "an interrupt is pending already");
    }
    return rc < 0 ? kvm_err(err, rc, "KVM_INTERRUPT") : 0;
}

static int inject_exception(BeVcpu *v, const Event *e, Err *err)
{
    enum { LAST_EXCEPTION = 31, NMI_VECTOR = 2 };
    if (e->number > LAST_EXCEPTION || e->number == NMI_VECTOR) {
        return err_set(err, ERR_INVAL, "exception %u: 0 to 31 and not 2 (NMI)", e->number);
    }
    struct kvm_vcpu_events ev;
    int rc = kvm_get(v, KVM_GET_VCPU_EVENTS, &ev, "KVM_GET_VCPU_EVENTS", err);
    if (rc) {
        return rc;
    }
    if (ev.exception.injected || ev.exception.pending) {
        return err_set(err, ERR_BUSY, "exception %u is pending already", ev.exception.nr);
    }
    ev.exception.injected = 1;
    ev.exception.nr = (uint8_t)e->number;
    ev.exception.has_error_code = e->has_code;
    ev.exception.error_code = (uint32_t)e->code;
    return kvm_get(v, KVM_SET_VCPU_EVENTS, &ev, "KVM_SET_VCPU_EVENTS", err);
}

int kvm_arch_inject(BeVcpu *v, const Event *e, Err *err)
{
    switch (e->kind) {
    case EV_VECTOR:
        return inject_vector(v, e, err);
    case EV_NMI:
        return kvm_get(v, KVM_NMI, NULL, "KVM_NMI", err);
    case EV_EXCEPTION:
        return inject_exception(v, e, err);
    case EV_LINE:
        return err_unsupported(err, "kvm", "irq_line", "an x86 vcpu has no interrupt line of its own: use a vector");
    case EV_SHUTDOWN_REQ:
        return err_unsupported(err, "kvm", "shutdown_req", "KVM has no power button");
    }
    return err_set(err, ERR_INVAL, "event kind %d", (int)e->kind);
}
#endif
