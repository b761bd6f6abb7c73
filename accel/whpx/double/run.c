/* SPDX-License-Identifier: Apache-2.0
 * run.c - stepping a processor until something is to be told; platform.h says why in steps. */
#include "accel/whpx/double/platform.h"

#include <string.h>

enum {
    RFLAGS_TF = 0x100,
    RFLAGS_IF = 0x200,
    SYNC_ALL = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS,
    MAX_DRAIN = 4096,
    HLT = 0xf4
};
enum { CR0_PE = 1, CR0_AM = 1 << 18, EFER_LMA_BIT = 1 << 10 };

typedef struct {
    struct kvm_regs r;
    struct kvm_sregs s;
    struct kvm_vcpu_events e;
} Cpu;

static bool cpu_get(Vp *v, Cpu *c)
{
    return linux_ioctl(v->fd, KVM_GET_REGS, &c->r) >= 0 && linux_ioctl(v->fd, KVM_GET_SREGS, &c->s) >= 0 &&
           linux_ioctl(v->fd, KVM_GET_VCPU_EVENTS, &c->e) >= 0;
}

static void cpu_synced(const Vp *v, Cpu *c)
{
    c->r = v->run->s.regs.regs;
    c->s = v->run->s.regs.sregs;
    c->e = v->run->s.regs.events;
}

/* ---- what is told of every exit ---- */
static void context_fill(const Vp *v, const Cpu *c, uint8_t insn_length, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    WHV_VP_EXIT_CONTEXT *x = &exit->VpContext;
    x->ExecutionState.Cpl = c->s.ss.dpl & 3;
    x->ExecutionState.Cr0Pe = c->s.cr0 & CR0_PE;
    x->ExecutionState.Cr0Am = (c->s.cr0 & CR0_AM) != 0;
    x->ExecutionState.EferLma = (c->s.efer & EFER_LMA_BIT) != 0;
    x->ExecutionState.InterruptionPending = v->interruption.InterruptionPending;
    x->ExecutionState.InterruptShadow = c->e.interrupt.shadow != 0;
    x->InstructionLength = insn_length & 15;
    x->Cr8 = c->s.cr8 & 15;
    x->Cs.Base = c->s.cs.base;
    x->Cs.Limit = c->s.cs.limit;
    x->Cs.Selector = c->s.cs.selector;
    x->Cs.SegmentType = c->s.cs.type & 15;
    x->Cs.NonSystemSegment = c->s.cs.s & 1;
    x->Cs.DescriptorPrivilegeLevel = c->s.cs.dpl & 3;
    x->Cs.Present = c->s.cs.present & 1;
    x->Cs.Long = c->s.cs.l & 1;
    x->Cs.Default = c->s.cs.db & 1;
    x->Cs.Granularity = c->s.cs.g & 1;
    x->Rip = c->r.rip;
    x->Rflags = c->r.rflags | (v->has_trap_flag ? RFLAGS_TF : 0);
}

static HRESULT leave(const Vp *v, const Cpu *c, WHV_RUN_VP_EXIT_REASON reason, uint8_t insn_length,
                     WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    exit->ExitReason = reason;
    context_fill(v, c, insn_length, exit);
    return S_OK;
}

/* ---- events ---- */
/* What the caller left pending is KVM's from here on, delivered with the next step. */
static bool events_give(Vp *v, Cpu *c)
{
    bool ok = true;
    if (v->interruption.InterruptionPending && v->interruption.InterruptionType == WHvX64PendingNmi) {
        ok = linux_ioctl(v->fd, KVM_NMI, NULL) >= 0;
    } else if (v->interruption.InterruptionPending && v->interruption.InterruptionType == WHvX64PendingInterrupt) {
        struct kvm_interrupt irq = {.irq = v->interruption.InterruptionVector};
        ok = linux_ioctl(v->fd, KVM_INTERRUPT, &irq) >= 0;
    }
    v->interruption.AsUINT64 = 0;
    if (ok && v->event.EventPending) {
        struct kvm_vcpu_events e;
        ok = linux_ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e) >= 0;
        e.exception.injected = 1;
        e.exception.nr = (uint8_t)v->event.Vector;
        e.exception.has_error_code = v->event.DeliverErrorCode;
        e.exception.error_code = v->event.ErrorCode;
        ok = ok && linux_ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e) >= 0;
        memset(&v->event, 0, sizeof v->event);
    }
    return ok && linux_ioctl(v->fd, KVM_GET_VCPU_EVENTS, &c->e) >= 0;
}

static bool window_is_open(const Vp *v, const Cpu *c)
{
    return v->notify.InterruptNotification && c->r.rflags & RFLAGS_IF && !c->e.interrupt.shadow &&
           !v->interruption.InterruptionPending && !v->event.EventPending;
}

/* ---- the state before an instruction that KVM has begun ---- */
/* The vector whose handler begins at rip; -1 if none does. A step that delivers an event goes on to the handler's first instruction. */
static int handler_of(Vp *v, const Cpu *now, uint64_t rip)
{
    enum { VECTORS = 256 };
    bool is_real = !(now->s.cr0 & CR0_PE), is_long = now->s.efer & EFER_LMA_BIT;
    size_t size = is_real ? 4 : is_long ? 16 : 8;
    uint8_t gate[16];
    for (size_t i = 0; i < VECTORS && (i + 1) * size <= (size_t)now->s.idt.limit + 1; i++) {
        uint64_t to;
        if (gva_read(v, &now->s, now->s.idt.base + i * size, gate, size) < size) {
            return -1;
        }
        if (is_real) {
            to = (uint64_t)(gate[0] | gate[1] << 8) + ((uint64_t)(gate[2] | gate[3] << 8) << 4) - now->s.cs.base;
        } else {
            to = (uint64_t)(gate[0] | gate[1] << 8) | (uint64_t)(gate[6] | gate[7] << 8) << 16;
            for (int k = 0; is_long && k < 4; k++) {
                to |= (uint64_t)gate[8 + k] << (32 + 8 * k);
            }
        }
        if (to == rip) {
            return (int)i;
        }
    }
    return -1;
}

/* The instruction that left: the one the step began with, unless the step went into a handler first. */
static void before_find(Vp *v, const Cpu *began, const Cpu *now, Cpu *before)
{
    *before = *began;
    if (now->r.rip >= began->r.rip && now->r.rip - began->r.rip <= MAX_INSN) {
        return;
    }
    for (uint64_t length = 0; length <= MAX_INSN; length++) {
        if (handler_of(v, now, now->r.rip - length) >= 0) {
            *before = *now;
            before->r.rip = now->r.rip - length;
            return;
        }
    }
}

/* Finishes what KVM holds of the instruction, with zeros, and takes it all back. */
static bool undo(Vp *v, const Cpu *before, const Insn *in)
{
    struct kvm_run *run = v->run;
    struct kvm_xsave x = {{0}};
    uint8_t *kept[8] = {NULL}, bytes[8];
    bool is_vector = in->is_vector, ok = !is_vector || linux_ioctl(v->fd, KVM_GET_XSAVE, &x) >= 0;
    if (insn_is_string(in)) { /* where it may store */
        for (size_t i = 0; i < 8; i++) {
            Walk w = gva_walk(v, &before->s, before->s.es.base + before->r.rdi + i);
            Range *r = w.is_present ? range_of(v->p, w.gpa) : NULL;
            kept[i] = r ? r->host + (w.gpa - r->gpa) : NULL;
            bytes[i] = r ? *kept[i] : 0;
        }
        bool is_ins = in->opcode == 0x6c || in->opcode == 0x6d; /* of one element: ins_limit() */
        if (in->has_rep && !is_ins) {                           /* KVM looks at it again: the string is at its end */
            struct kvm_regs r;
            ok = ok && linux_ioctl(v->fd, KVM_GET_REGS, &r) >= 0;
            r.rcx = 0;
            ok = ok && linux_ioctl(v->fd, KVM_SET_REGS, &r) >= 0;
        }
    }
    run->immediate_exit = 1;
    for (int i = 0; i < MAX_DRAIN; i++) {
        if (run->exit_reason == KVM_EXIT_MMIO) {
            memset(run->mmio.data, 0, sizeof run->mmio.data);
        } else if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN) {
            memset((uint8_t *)run + run->io.data_offset, 0, (size_t)run->io.size * run->io.count);
        }
        if (linux_ioctl_once(v->fd, KVM_RUN, NULL) < 0) {
            break; /* EINTR: it is over */
        }
    }
    run->immediate_exit = 0;
    for (size_t i = 0; i < 8; i++) {
        if (kept[i]) {
            *kept[i] = bytes[i];
        }
    }
    ok = ok && (!is_vector || linux_ioctl(v->fd, KVM_SET_XSAVE, &x) >= 0);
    struct kvm_vcpu_events e = before->e;
    e.exception.injected = e.exception.pending = e.interrupt.injected = e.nmi.injected = e.nmi.pending = 0;
    e.flags |= KVM_VCPUEVENT_VALID_SHADOW;
    return ok && linux_ioctl(v->fd, KVM_SET_SREGS, &before->s) >= 0 &&
           linux_ioctl(v->fd, KVM_SET_REGS, &before->r) >= 0 && linux_ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e) >= 0;
}

/* ---- exits ---- */
static void insn_bytes(const Insn *in, UINT8 *count, UINT8 bytes[16])
{
    *count = in->nbytes;
    memcpy(bytes, in->bytes, sizeof in->bytes);
}

static HRESULT leave_memory(Vp *v, const Cpu *c, const Insn *in, uint64_t gpa, WHV_MEMORY_ACCESS_TYPE type,
                            WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    WHV_MEMORY_ACCESS_CONTEXT *m = &exit->MemoryAccess;
    if (type != WHvMemoryAccessExecute) {
        insn_bytes(in, &m->InstructionByteCount, m->InstructionBytes);
    }
    m->AccessInfo.AccessType = type;
    m->AccessInfo.GpaUnmapped = range_of(v->p, gpa) == NULL;
    m->Gpa = gpa;
    return leave(v, c, WHvRunVpExitReasonMemoryAccess, 0, exit);
}

static HRESULT leave_io(Vp *v, const Cpu *c, const Insn *in, const struct kvm_run *run, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    WHV_X64_IO_PORT_ACCESS_CONTEXT *io = &exit->IoPortAccess;
    insn_bytes(in, &io->InstructionByteCount, io->InstructionBytes);
    io->AccessInfo.IsWrite = run->io.direction == KVM_EXIT_IO_OUT;
    io->AccessInfo.AccessSize = run->io.size & 7;
    io->AccessInfo.StringOp = insn_is_string(in);
    io->AccessInfo.RepPrefix = in->has_rep && insn_is_string(in);
    io->PortNumber = run->io.port;
    io->Rax = c->r.rax;
    io->Rcx = c->r.rcx;
    io->Rsi = c->r.rsi;
    io->Rdi = c->r.rdi;
    return leave(v, c, WHvRunVpExitReasonX64IoPortAccess, in->length, exit);
}

static HRESULT leave_access(Vp *v, const Cpu *began, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    Cpu now, before;
    struct kvm_run *run = v->run;
    bool is_memory = run->exit_reason == KVM_EXIT_MMIO;
    uint64_t gpa = run->mmio.phys_addr;
    WHV_MEMORY_ACCESS_TYPE type = run->mmio.is_write ? WHvMemoryAccessWrite : WHvMemoryAccessRead;
    WHV_RUN_VP_EXIT_CONTEXT told = *exit;
    cpu_synced(v, &now);
    before_find(v, began, &now, &before);
    Insn in = insn_fetch(v, &before.s, before.r.rip);
    if (is_memory) {
        leave_memory(v, &before, &in, gpa, type, &told);
    } else {
        leave_io(v, &before, &in, run, &told);
    }
    *exit = told;
    return undo(v, &before, &in) ? S_OK : E_FAIL;
}

static bool msr_exits(const Vp *v, uint32_t msr, bool is_write)
{
    for (uint32_t i = 0; i < v->p->nmsrs; i++) {
        const WHV_MSR_ACTION_ENTRY *m = &v->p->msrs[i];
        if (m->Index == msr) {
            return (is_write ? m->WriteAction : m->ReadAction) == WHvMsrActionExit;
        }
    }
    return false;
}

static void cpuid_default(Vp *v, const Cpu *c, WHV_X64_CPUID_ACCESS_CONTEXT *out)
{
    enum { ENTRIES = 256 };
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 e[ENTRIES];
    } all; /* with the partition's lock held shared: filled with the same by all */
    all.head.nent = ENTRIES;
    linux_ioctl(v->p->sys_fd, KVM_GET_SUPPORTED_CPUID, &all);
    for (uint32_t i = 0; i < all.head.nent && i < ENTRIES; i++) {
        const struct kvm_cpuid_entry2 *e = &all.e[i];
        if (e->function == (uint32_t)c->r.rax &&
            (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == (uint32_t)c->r.rcx)) {
            out->DefaultResultRax = e->eax;
            out->DefaultResultRbx = e->ebx;
            out->DefaultResultRcx = e->ecx;
            out->DefaultResultRdx = e->edx;
            return;
        }
    }
}

/* What the caller asked for and KVM does not tell: seen before the instruction. */
static bool is_intercepted(Vp *v, const Cpu *c, const Insn *in, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    bool is_write = in->opcode2 == 0x30;
    if (in->opcode != 0x0f || (c->s.cr0 & CR0_PE && c->s.ss.dpl & 3 && in->opcode2 != 0xa2)) {
        return false;
    }
    if (in->opcode2 == 0xa2 && v->p->exits.X64CpuidExit) {
        WHV_X64_CPUID_ACCESS_CONTEXT *x = &exit->CpuidAccess;
        *x = (WHV_X64_CPUID_ACCESS_CONTEXT){.Rax = c->r.rax, .Rbx = c->r.rbx, .Rcx = c->r.rcx, .Rdx = c->r.rdx};
        cpuid_default(v, c, x);
        leave(v, c, WHvRunVpExitReasonX64Cpuid, in->length, exit);
        return true;
    }
    if ((is_write || in->opcode2 == 0x32) && v->p->exits.X64MsrExit && msr_exits(v, (uint32_t)c->r.rcx, is_write)) {
        exit->MsrAccess = (WHV_X64_MSR_ACCESS_CONTEXT){
            .AccessInfo = {.IsWrite = is_write}, .MsrNumber = (uint32_t)c->r.rcx, .Rax = c->r.rax, .Rdx = c->r.rdx};
        leave(v, c, WHvRunVpExitReasonX64MsrAccess, in->length, exit);
        return true;
    }
    return false;
}

typedef enum { STEP_ON, STEP_LEFT, STEP_FAILED } Step;

/* May the code at rip be fetched? KVM has no execute permission of a range, and for a hole no exit. *first is its first byte. */
static bool can_fetch(Vp *v, const Cpu *c, uint64_t *gpa, uint8_t *first)
{
    *first = 0;
    bool is_64 = c->s.efer & EFER_LMA_BIT && c->s.cs.l;
    Walk w = gva_walk(v, &c->s, is_64 ? c->r.rip : c->s.cs.base + c->r.rip);
    *gpa = w.gpa;
    if (!w.is_present) {
        return true; /* the guest's own page fault */
    }
    const Range *r = range_of(v->p, w.gpa);
    *first = r ? r->host[w.gpa - r->gpa] : 0;
    return r && r->flags & WHvMapGpaRangeFlagExecute;
}

/* A stepped HLT is told as a step by some KVMs: it is done here. */
static Step halt(Vp *v, Cpu *c, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    c->r.rip++;
    c->e.interrupt.shadow = 0;
    c->e.flags |= KVM_VCPUEVENT_VALID_SHADOW;
    bool ok = linux_ioctl(v->fd, KVM_SET_REGS, &c->r) >= 0 && linux_ioctl(v->fd, KVM_SET_VCPU_EVENTS, &c->e) >= 0;
    leave(v, c, WHvRunVpExitReasonX64Halt, 1, exit);
    return ok ? STEP_LEFT : STEP_FAILED;
}

/* ---- exceptions: KVM delivers them, so that one is seen by where the step led, and taken back ---- */
static const uint64_t TRAPS = 1 << 1; /* #DB, which trap() tells */
enum { FRAME_BYTES = 96, FRAME_WORDS = FRAME_BYTES / 8 };

/* What a delivery to the same privilege, and the handler's first instruction, may overwrite. */
static bool frame_copy(Vp *v, const Cpu *c, uint8_t bytes[FRAME_BYTES], bool is_back)
{
    uint64_t at = (c->r.rsp & ~15ull) - FRAME_BYTES;
    for (size_t i = 0; i < FRAME_BYTES; i++) {
        Walk w = gva_walk(v, &c->s, at + i);
        const Range *r = w.is_present ? range_of(v->p, w.gpa) : NULL;
        if (!r) {
            return false;
        }
        if (is_back) {
            r->host[w.gpa - r->gpa] = bytes[i];
        } else {
            bytes[i] = r->host[w.gpa - r->gpa];
        }
    }
    return true;
}

/* The vector of the exception that the step, which began at `began`, delivered; -1 if it did not. Long mode only. */
static int exception_of(Vp *v, const Cpu *began, const Cpu *now, uint32_t *code)
{
    const uint32_t has_code = 0x60227d00; /* SDM vol. 3A, table 6-1 */
    uint8_t bytes[FRAME_BYTES];
    uint64_t words[FRAME_WORDS];
    int vector = -1;
    if (!(now->s.efer & EFER_LMA_BIT) || (now->r.rip >= began->r.rip && now->r.rip - began->r.rip <= MAX_INSN)) {
        return -1;
    }
    for (uint64_t length = 0; vector < 0 && length <= MAX_INSN; length++) {
        vector = handler_of(v, now, now->r.rip - length);
    }
    if (vector < 0 || vector > 31 || !(v->p->exceptions >> vector & 1) || !frame_copy(v, began, bytes, false)) {
        return -1;
    }
    memcpy(words, bytes, sizeof words);
    for (size_t i = 1; i + 1 < FRAME_WORDS; i++) { /* a frame that returns to where the step began */
        if (words[i] == began->r.rip && words[i + 1] == began->s.cs.selector) {
            *code = has_code >> vector & 1 ? (uint32_t)words[i - 1] : 0;
            return vector;
        }
    }
    return -1;
}

static HRESULT leave_exception(Vp *v, const Cpu *c, int vector, uint32_t code, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    const uint32_t has_code = 0x60227d00;
    WHV_VP_EXCEPTION_CONTEXT *x = &exit->VpException;
    Insn in = insn_fetch(v, &c->s, c->r.rip);
    *x = (WHV_VP_EXCEPTION_CONTEXT){.ExceptionType = (UINT8)vector, .ErrorCode = code};
    x->ExceptionInfo.ErrorCodeValid = has_code >> vector & 1;
    insn_bytes(&in, &x->InstructionByteCount, x->InstructionBytes);
    leave(v, c, WHvRunVpExitReasonException, 0, exit);
    return undo(v, c, &in) ? S_OK : E_FAIL;
}

/* ---- a step ---- */
/* The trap of a step that the caller asked for by RFLAGS.TF. */
static Step trap(Vp *v, const Cpu *c, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    enum { VECTOR_DB = 1, DR6_STEP = 0x4ff0 };
    if (!(v->p->exceptions >> VECTOR_DB & 1)) { /* delivered with the next step; the handler runs without it */
        v->has_trap_flag = false;
        v->event = (WHV_X64_PENDING_EXCEPTION_EVENT){
            .EventPending = 1, .EventType = WHvX64PendingEventException, .Vector = VECTOR_DB};
        return STEP_ON;
    }
    exit->VpException =
        (WHV_VP_EXCEPTION_CONTEXT){.ExceptionType = VECTOR_DB, .ExceptionParameter = 0xffff0000u | DR6_STEP};
    leave(v, c, WHvRunVpExitReasonException, 0, exit);
    return STEP_LEFT;
}

static Step step_left(Vp *v, Cpu *c, uint8_t *frame, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    Cpu began = *c, now;
    uint32_t code = 0;
    cpu_synced(v, &now);
    int vector = frame ? exception_of(v, &began, &now, &code) : -1;
    if (vector >= 0) {
        HRESULT hr = leave_exception(v, &began, vector, code, exit);
        return FAILED(hr) || !frame_copy(v, &began, frame, true) ? STEP_FAILED : STEP_LEFT;
    }
    switch (v->run->exit_reason) {
    case KVM_EXIT_DEBUG:
        cpu_synced(v, c);
        return v->has_trap_flag ? trap(v, c, exit) : STEP_ON;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
        cpu_synced(v, c);
        return STEP_ON;
    case KVM_EXIT_MMIO:
    case KVM_EXIT_IO:
        return FAILED(leave_access(v, &began, exit)) ? STEP_FAILED : STEP_LEFT;
    case KVM_EXIT_HLT:
        cpu_synced(v, c);
        leave(v, c, WHvRunVpExitReasonX64Halt, 1, exit);
        return STEP_LEFT;
    case KVM_EXIT_SHUTDOWN:
        cpu_synced(v, c);
        leave(v, c, WHvRunVpExitReasonUnrecoverableException, 0, exit);
        return STEP_LEFT;
    case KVM_EXIT_FAIL_ENTRY:
        leave(v, c, WHvRunVpExitReasonInvalidVpRegisterValue, 0, exit);
        return STEP_LEFT;
    default:
        cpu_synced(v, c);
        exit->UnsupportedFeature.FeatureCode = WHvUnsupportedFeatureIntercept;
        exit->UnsupportedFeature.FeatureParameter = v->run->exit_reason;
        leave(v, c, WHvRunVpExitReasonUnsupportedFeature, 0, exit);
        return STEP_LEFT;
    }
}

/* For rep ins KVM reads ahead and keeps what was not used, beyond what undo() can reach: it does one at a time. */
static bool ins_limit(Vp *v, const Cpu *c, uint8_t first, bool *is_limited)
{
    *is_limited = false;
    if (first != 0xf3 && first != 0xf2 && first != 0x66 && first != 0x67) {
        return true;
    }
    Insn in = insn_fetch(v, &c->s, c->r.rip);
    struct kvm_regs r = c->r;
    *is_limited = in.has_rep && (in.opcode == 0x6c || in.opcode == 0x6d) && r.rcx > 1;
    r.rcx = 1;
    return !*is_limited || linux_ioctl(v->fd, KVM_SET_REGS, &r) >= 0;
}

/* With the lock, shared. */
static Step step(Vp *v, Cpu *c, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    bool has_event = v->interruption.InterruptionPending || v->event.EventPending;
    uint64_t gpa;
    uint8_t first = 0;
    if (!has_event && !can_fetch(v, c, &gpa, &first)) {
        leave_memory(v, c, NULL, gpa, WHvMemoryAccessExecute, exit);
        return STEP_LEFT;
    }
    if (first == HLT && !(c->s.ss.dpl & 3)) {
        return halt(v, c, exit);
    }
    if (!has_event && (v->p->exits.AsUINT64)) {
        Insn in = insn_fetch(v, &c->s, c->r.rip);
        if (is_intercepted(v, c, &in, exit)) {
            return STEP_LEFT;
        }
    }
    bool is_limited;
    uint8_t frame[FRAME_BYTES];
    bool has_frame = !has_event && v->p->exceptions & ~TRAPS && frame_copy(v, c, frame, false);
    if (!ins_limit(v, c, first, &is_limited) || (has_event && !events_give(v, c))) {
        return STEP_FAILED;
    }
    /* Each time: KVM drops it when its emulator has finished an instruction. */
    if (linux_ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0) {
        return STEP_FAILED;
    }
    v->run->kvm_valid_regs = SYNC_ALL;
    long long rc = linux_ioctl_once(v->fd, KVM_RUN, NULL);
    if (rc == -LINUX_EINTR || rc == -LINUX_EAGAIN) {
        return is_limited && linux_ioctl(v->fd, KVM_SET_REGS, &c->r) < 0 ? STEP_FAILED
               : cpu_get(v, c)                                           ? STEP_ON
                                                                         : STEP_FAILED;
    }
    if (is_limited && v->run->exit_reason != KVM_EXIT_IO) { /* it trapped instead */
        uint64_t count = c->r.rcx;
        cpu_synced(v, c);
        c->r.rcx = count;
        return linux_ioctl(v->fd, KVM_SET_REGS, &c->r) < 0 ? STEP_FAILED : STEP_ON;
    }
    if (rc < 0) { /* a value that only the entry refuses */
        leave(v, c, WHvRunVpExitReasonInvalidVpRegisterValue, 0, exit);
        return STEP_LEFT;
    }
    return step_left(v, c, has_frame ? frame : NULL, exit);
}

HRESULT vp_run(Vp *v, WHV_RUN_VP_EXIT_CONTEXT *exit)
{
    Cpu c;
    Step how = STEP_ON;
    memset(exit, 0, sizeof *exit);
    if (!cpu_get(v, &c)) {
        return E_FAIL;
    }
    while (how == STEP_ON) {
        if (atomic_exchange(&v->is_canceled, false)) {
            exit->CancelReason.CancelReason = WhvRunVpCancelReasonUser;
            return leave(v, &c, WHvRunVpExitReasonCanceled, 0, exit);
        }
        if (window_is_open(v, &c)) {
            v->notify.AsUINT64 = 0;
            exit->InterruptWindow.DeliverableType = WHvX64PendingInterrupt;
            return leave(v, &c, WHvRunVpExitReasonX64InterruptWindow, 0, exit);
        }
        AcquireSRWLockShared(&v->p->lock);
        how = step(v, &c, exit);
        ReleaseSRWLockShared(&v->p->lock);
    }
    return how == STEP_LEFT ? S_OK : E_FAIL;
}

HRESULT WINAPI WHvRunVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 index, VOID *exit, UINT32 size)
{
    DOUBLE_CALL(WHvRunVirtualProcessor);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    if (!v) {
        return hr;
    }
    if (!exit || size < sizeof(WHV_RUN_VP_EXIT_CONTEXT)) {
        return WHV_E_INSUFFICIENT_BUFFER;
    }
    if (atomic_exchange(&v->is_running, true)) { /* one thread at a time */
        return WHV_E_INVALID_VP_STATE;
    }
    hr = vp_run(v, exit);
    atomic_store(&v->is_running, false);
    return hr;
}

HRESULT WINAPI WHvCancelRunVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 index, UINT32 flags)
{
    DOUBLE_CALL(WHvCancelRunVirtualProcessor);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    if (!v || flags) {
        return v ? E_INVALIDARG : hr;
    }
    if (atomic_load(&v->is_running)) { /* one that does not run is not told: nobody may rely on the opposite */
        atomic_store(&v->is_canceled, true);
    }
    return S_OK;
}
