/* SPDX-License-Identifier: Apache-2.0
 * vp.c - virtual processors and their registers. */
#include "accel/whpx/double/platform.h"

#include <stdlib.h>
#include <string.h>

enum { CPUID_ENTRIES = 256, RFLAGS_TF = 0x100 };

/* ---- life ---- */
static bool cpuid_set(Vp *v, uint32_t index)
{
    struct kvm_cpuid2 *c = calloc(1, sizeof *c + CPUID_ENTRIES * sizeof c->entries[0]);
    bool ok = c != NULL;
    if (ok) {
        c->nent = CPUID_ENTRIES;
        ok = linux_ioctl(v->p->sys_fd, KVM_GET_SUPPORTED_CPUID, c) >= 0;
    }
    for (uint32_t i = 0; ok && i < c->nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entries[i];
        if (e->function == 1) {
            e->ebx = (e->ebx & 0x00ffffff) | index << 24;
        } else if (e->function == 0xb || e->function == 0x1f) {
            e->edx = index;
        }
    }
    ok = ok && linux_ioctl(v->fd, KVM_SET_CPUID2, c) >= 0;
    free(c);
    return ok;
}

static bool vp_open(Vp *v, Partition *p, uint32_t index)
{
    v->p = p;
    v->fd = (int)linux_ioctl_number(p->fd, KVM_CREATE_VCPU, index);
    v->run = v->fd < 0 ? NULL : linux_map_fd(v->fd, p->run_bytes);
    bool ok = v->run && cpuid_set(v, index) && linux_ioctl(v->fd, KVM_GET_REGS, &v->first_regs) >= 0 &&
              linux_ioctl(v->fd, KVM_GET_SREGS, &v->first_sregs) >= 0;
    if (!ok) {
        vp_close(v);
    }
    return ok;
}

void vp_close(Vp *v)
{
    if (v->run) {
        linux_unmap(v->run, v->p->run_bytes);
    }
    if (v->p && v->fd >= 0) {
        linux_close(v->fd);
    }
    *v = (Vp){.exists = false};
}

HRESULT WINAPI WHvCreateVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 index, UINT32 flags)
{
    DOUBLE_CALL(WHvCreateVirtualProcessor);
    Partition *p = partition_of(handle);
    if (!p || flags || index >= p->nvps) {
        return E_INVALIDARG;
    }
    Vp *v = &p->vps[index];
    if (!p->is_set_up || v->exists) {
        return v->exists ? WHV_E_VP_ALREADY_EXISTS : WHV_E_INVALID_PARTITION_CONFIG;
    }
    if (!v->run && !vp_open(v, p, index)) {
        return E_FAIL;
    }
    v->interruption.AsUINT64 = v->notify.AsUINT64 = v->activity.AsUINT64 = 0;
    memset(&v->event, 0, sizeof v->event);
    v->has_trap_flag = false;
    linux_ioctl(v->fd, KVM_SET_SREGS, &v->first_sregs);
    linux_ioctl(v->fd, KVM_SET_REGS, &v->first_regs);
    atomic_store(&v->is_canceled, false);
    v->exists = true;
    double_object(1);
    return S_OK;
}

HRESULT WINAPI WHvDeleteVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 index)
{
    DOUBLE_CALL(WHvDeleteVirtualProcessor);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    if (v && atomic_load(&v->is_running)) {
        return WHV_E_INVALID_VP_STATE;
    }
    if (v) {
        v->exists = false;
        double_object(-1);
    }
    return hr;
}

/* ---- registers: one of the platform's names is a place in one group of KVM's state ---- */
typedef struct {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xsave
        xsave; /* not kvm_fpu: KVM may forget what KVM_SET_FPU wrote while that part is in its initial state */
    struct kvm_debugregs debug;
    struct kvm_xcrs xcrs;
    struct kvm_vcpu_events events;
} State;
/* The legacy area of an XSAVE image (SDM vol. 1, table 10-2), and its header. */
typedef struct {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
} Legacy;
enum { ST_AT = 32, XMM_AT = 160, XSTATE_BV_WORD = 128, X87_AND_SSE = 3 };
enum { G_REGS = 1, G_SREGS = 2, G_FPU = 4, G_DEBUG = 8, G_XCRS = 16, G_EVENTS = 32, G_OURS = 64, G_MSR = 128 };

typedef struct {
    unsigned group; /* 0: no such name */
    uint32_t at;    /* in State; of G_MSR its number */
    enum { FORM_64, FORM_SEGMENT, FORM_TABLE, FORM_128, FORM_FP, FORM_FP_STATUS, FORM_XMM_STATUS, FORM_SHADOW } form;
} Place;

#define OF_STATE(group, member, form) ((Place){group, (uint32_t)offsetof(State, member), form})

static Place place_plain(WHV_REGISTER_NAME name)
{
    static const uint32_t gprs[] = {offsetof(State, regs.rax), offsetof(State, regs.rcx), offsetof(State, regs.rdx),
                                    offsetof(State, regs.rbx), offsetof(State, regs.rsp), offsetof(State, regs.rbp),
                                    offsetof(State, regs.rsi), offsetof(State, regs.rdi), offsetof(State, regs.r8),
                                    offsetof(State, regs.r9),  offsetof(State, regs.r10), offsetof(State, regs.r11),
                                    offsetof(State, regs.r12), offsetof(State, regs.r13), offsetof(State, regs.r14),
                                    offsetof(State, regs.r15), offsetof(State, regs.rip), offsetof(State, regs.rflags)};
    static const uint32_t segments[] = {
        offsetof(State, sregs.es), offsetof(State, sregs.cs), offsetof(State, sregs.ss),  offsetof(State, sregs.ds),
        offsetof(State, sregs.fs), offsetof(State, sregs.gs), offsetof(State, sregs.ldt), offsetof(State, sregs.tr)};
    static const uint32_t controls[] = {offsetof(State, sregs.cr0), offsetof(State, sregs.cr2),
                                        offsetof(State, sregs.cr3), offsetof(State, sregs.cr4),
                                        offsetof(State, sregs.cr8)};
    if (name <= WHvX64RegisterRflags) {
        return (Place){G_REGS, gprs[name], FORM_64};
    }
    if (name <= WHvX64RegisterTr) {
        return (Place){G_SREGS, segments[name - WHvX64RegisterEs], FORM_SEGMENT};
    }
    if (name <= WHvX64RegisterGdtr) {
        return name == WHvX64RegisterIdtr ? OF_STATE(G_SREGS, sregs.idt, FORM_TABLE)
                                          : OF_STATE(G_SREGS, sregs.gdt, FORM_TABLE);
    }
    if (name <= WHvX64RegisterCr8) {
        return (Place){G_SREGS, controls[name - WHvX64RegisterCr0], FORM_64};
    }
    if (name <= WHvX64RegisterDr3) {
        return (Place){G_DEBUG, (uint32_t)(offsetof(State, debug.db) + 8 * (name - WHvX64RegisterDr0)), FORM_64};
    }
    switch ((unsigned)name) {
    case WHvX64RegisterDr6:
        return OF_STATE(G_DEBUG, debug.dr6, FORM_64);
    case WHvX64RegisterDr7:
        return OF_STATE(G_DEBUG, debug.dr7, FORM_64);
    case WHvX64RegisterXCr0:
        return OF_STATE(G_XCRS, xcrs.xcrs[0].value, FORM_64);
    default:
        return (Place){0};
    }
}

static Place place_of(WHV_REGISTER_NAME name)
{
    static const struct {
        WHV_REGISTER_NAME name;
        uint32_t msr;
    } msrs[] = {{WHvX64RegisterTsc, 0x10},
                {WHvX64RegisterKernelGsBase, 0xc0000102},
                {WHvX64RegisterPat, 0x277},
                {WHvX64RegisterSysenterCs, 0x174},
                {WHvX64RegisterSysenterEip, 0x176},
                {WHvX64RegisterSysenterEsp, 0x175},
                {WHvX64RegisterStar, 0xc0000081},
                {WHvX64RegisterLstar, 0xc0000082},
                {WHvX64RegisterCstar, 0xc0000083},
                {WHvX64RegisterSfmask, 0xc0000084},
                {WHvX64RegisterMsrMtrrDefType, 0x2ff},
                {WHvX64RegisterTscAux, 0xc0000103}};
    if (name <= WHvX64RegisterXCr0) {
        return place_plain(name);
    }
    if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) {
        return (Place){G_FPU, (uint32_t)(offsetof(State, xsave) + XMM_AT + 16 * (name - WHvX64RegisterXmm0)), FORM_128};
    }
    if (name >= WHvX64RegisterFpMmx0 && name <= WHvX64RegisterFpMmx7) {
        return (Place){G_FPU, (uint32_t)(offsetof(State, xsave) + ST_AT + 16 * (name - WHvX64RegisterFpMmx0)), FORM_FP};
    }
    for (size_t i = 0; i < sizeof msrs / sizeof msrs[0]; i++) {
        if (msrs[i].name == name) {
            return (Place){G_MSR, msrs[i].msr, FORM_64};
        }
    }
    switch ((unsigned)name) {
    case WHvX64RegisterFpControlStatus:
        return OF_STATE(G_FPU, xsave, FORM_FP_STATUS);
    case WHvX64RegisterXmmControlStatus:
        return OF_STATE(G_FPU, xsave, FORM_XMM_STATUS);
    case WHvX64RegisterEfer:
        return OF_STATE(G_SREGS, sregs.efer, FORM_64);
    case WHvX64RegisterApicBase:
        return OF_STATE(G_SREGS, sregs.apic_base, FORM_64);
    case WHvRegisterInterruptState:
        return OF_STATE(G_EVENTS, events, FORM_SHADOW);
    case WHvRegisterPendingInterruption:
    case WHvRegisterPendingEvent:
    case WHvX64RegisterDeliverabilityNotifications:
    case WHvRegisterInternalActivityState:
        return (Place){G_OURS, 0, FORM_64};
    default:
        return (Place){0};
    }
}

static void segment_get(const struct kvm_segment *s, WHV_X64_SEGMENT_REGISTER *out)
{
    *out = (WHV_X64_SEGMENT_REGISTER){.Base = s->base, .Limit = s->limit, .Selector = s->selector};
    out->SegmentType = s->type & 15;
    out->NonSystemSegment = s->s & 1;
    out->DescriptorPrivilegeLevel = s->dpl & 3;
    out->Present = s->present & !s->unusable;
    out->Available = s->avl & 1;
    out->Long = s->l & 1;
    out->Default = s->db & 1;
    out->Granularity = s->g & 1;
}

static void segment_set(struct kvm_segment *s, const WHV_X64_SEGMENT_REGISTER *in)
{
    *s = (struct kvm_segment){.base = in->Base, .limit = in->Limit, .selector = in->Selector};
    s->type = in->SegmentType;
    s->s = in->NonSystemSegment;
    s->dpl = in->DescriptorPrivilegeLevel;
    s->present = in->Present;
    s->unusable = !in->Present;
    s->avl = in->Available;
    s->l = in->Long;
    s->db = in->Default;
    s->g = in->Granularity;
}

static void place_get(const State *st, const Place *p, WHV_REGISTER_VALUE *out)
{
    const uint8_t *at = (const uint8_t *)st + p->at;
    const Legacy *f = (const Legacy *)(const void *)st->xsave.region;
    switch (p->form) {
    case FORM_64:
        memcpy(&out->Reg64, at, 8);
        return;
    case FORM_SEGMENT:
        segment_get((const struct kvm_segment *)(const void *)at, &out->Segment);
        return;
    case FORM_TABLE:
        out->Table.Base = ((const struct kvm_dtable *)(const void *)at)->base;
        out->Table.Limit = ((const struct kvm_dtable *)(const void *)at)->limit;
        return;
    case FORM_128:
    case FORM_FP:
        memcpy(out, at, 16);
        return;
    case FORM_FP_STATUS:
        out->FpControlStatus.FpControl = f->fcw;
        out->FpControlStatus.FpStatus = f->fsw;
        out->FpControlStatus.FpTag = f->ftw;
        out->FpControlStatus.LastFpOp = f->fop;
        out->FpControlStatus.LastFpRip = f->fip;
        return;
    case FORM_XMM_STATUS:
        out->XmmControlStatus.LastFpRdp = f->fdp;
        out->XmmControlStatus.XmmStatusControl = f->mxcsr;
        out->XmmControlStatus.XmmStatusControlMask = 0xffff;
        return;
    case FORM_SHADOW:
        out->InterruptState.InterruptShadow = st->events.interrupt.shadow != 0;
        out->InterruptState.NmiMasked = st->events.nmi.masked;
        return;
    }
}

static void place_set(State *st, const Place *p, const WHV_REGISTER_VALUE *in)
{
    uint8_t *at = (uint8_t *)st + p->at;
    Legacy *f = (Legacy *)(void *)st->xsave.region;
    switch (p->form) {
    case FORM_64:
        memcpy(at, &in->Reg64, 8);
        return;
    case FORM_SEGMENT:
        segment_set((struct kvm_segment *)(void *)at, &in->Segment);
        return;
    case FORM_TABLE:
        ((struct kvm_dtable *)(void *)at)->base = in->Table.Base;
        ((struct kvm_dtable *)(void *)at)->limit = in->Table.Limit;
        return;
    case FORM_128:
    case FORM_FP:
        memcpy(at, in, 16);
        return;
    case FORM_FP_STATUS:
        f->fcw = in->FpControlStatus.FpControl;
        f->fsw = in->FpControlStatus.FpStatus;
        f->ftw = in->FpControlStatus.FpTag;
        f->fop = in->FpControlStatus.LastFpOp;
        f->fip = in->FpControlStatus.LastFpRip;
        return;
    case FORM_XMM_STATUS:
        f->fdp = in->XmmControlStatus.LastFpRdp;
        f->mxcsr = in->XmmControlStatus.XmmStatusControl;
        return;
    case FORM_SHADOW: /* KVM has two: of STI, of MOV SS */
        st->events.interrupt.shadow = in->InterruptState.InterruptShadow ? KVM_X86_SHADOW_INT_STI : 0;
        st->events.nmi.masked = in->InterruptState.NmiMasked;
        st->events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
        return;
    }
}

static void ours_get(const Vp *v, WHV_REGISTER_NAME name, WHV_REGISTER_VALUE *out)
{
    if (name == WHvRegisterPendingInterruption) {
        out->PendingInterruption = v->interruption;
    } else if (name == WHvRegisterPendingEvent) {
        out->ExceptionEvent = v->event;
    } else if (name == WHvRegisterInternalActivityState) {
        out->InternalActivity = v->activity;
    } else {
        out->DeliverabilityNotifications = v->notify;
    }
}

static bool ours_ok(WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE *in)
{
    const WHV_X64_PENDING_INTERRUPTION_REGISTER *i = &in->PendingInterruption;
    if (name == WHvRegisterPendingInterruption && i->InterruptionPending) {
        return (i->InterruptionType == WHvX64PendingInterrupt && i->InterruptionVector < 256) ||
               (i->InterruptionType == WHvX64PendingNmi && i->InterruptionVector == 2) ||
               (i->InterruptionType == WHvX64PendingException && i->InterruptionVector < 32);
    }
    if (name == WHvRegisterPendingEvent && in->ExceptionEvent.EventPending) {
        return in->ExceptionEvent.EventType == WHvX64PendingEventException && in->ExceptionEvent.Vector < 32;
    }
    return true;
}

static void ours_set(Vp *v, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE *in)
{
    if (name == WHvRegisterPendingInterruption) {
        v->interruption = in->PendingInterruption;
    } else if (name == WHvRegisterPendingEvent) {
        v->event = in->ExceptionEvent;
    } else if (name == WHvRegisterInternalActivityState) {
        v->activity = in->InternalActivity;
    } else {
        v->notify = in->DeliverabilityNotifications;
    }
}

static const struct {
    unsigned group;
    uint32_t get, set;
    size_t at;
} groups[] = {/* in the order in which they are set: REGS drops a pending exception, so EVENTS comes after it */
              {G_SREGS, KVM_GET_SREGS, KVM_SET_SREGS, offsetof(State, sregs)},
              {G_XCRS, KVM_GET_XCRS, KVM_SET_XCRS, offsetof(State, xcrs)},
              {G_FPU, KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(State, xsave)},
              {G_REGS, KVM_GET_REGS, KVM_SET_REGS, offsetof(State, regs)},
              {G_DEBUG, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(State, debug)},
              {G_EVENTS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, offsetof(State, events)}};
enum { NGROUPS = sizeof groups / sizeof groups[0] };

static bool state_get(Vp *v, unsigned which, State *st)
{
    bool ok = true;
    for (size_t i = 0; i < NGROUPS; i++) {
        if (which & groups[i].group) {
            ok = ok && linux_ioctl(v->fd, groups[i].get, (uint8_t *)st + groups[i].at) >= 0;
        }
    }
    return ok;
}

static bool state_set(Vp *v, unsigned which, const State *st)
{
    bool ok = true;
    for (size_t i = 0; ok && i < NGROUPS; i++) {
        if (which & groups[i].group) {
            ok = linux_ioctl(v->fd, groups[i].set, (const uint8_t *)st + groups[i].at) >= 0;
        }
    }
    return ok;
}

static bool msr_io(Vp *v, uint32_t request, uint32_t msr, uint64_t *value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry e;
    } io = {.head = {.nmsrs = 1}, .e = {.index = msr, .data = *value}};
    bool ok = linux_ioctl(v->fd, request, &io) == 1;
    *value = io.e.data;
    return ok;
}

static HRESULT names_check(const WHV_REGISTER_NAME *names, UINT32 n, const void *values, unsigned *which)
{
    if (!names || !values || !n) {
        return E_INVALIDARG;
    }
    for (UINT32 i = 0; i < n; i++) {
        unsigned group = place_of(names[i]).group;
        if (!group) {
            return WHV_E_INVALID_VP_REGISTER_NAME; /* none of the batch is done */
        }
        *which |= group;
    }
    return S_OK;
}

HRESULT WINAPI WHvGetVirtualProcessorRegisters(WHV_PARTITION_HANDLE handle, UINT32 index,
                                               const WHV_REGISTER_NAME *names, UINT32 n, WHV_REGISTER_VALUE *values)
{
    DOUBLE_CALL(WHvGetVirtualProcessorRegisters);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    unsigned which = 0;
    hr = v ? names_check(names, n, values, &which) : hr;
    if (FAILED(hr)) {
        return hr;
    }
    State st;
    if (!state_get(v, which, &st)) {
        return E_FAIL;
    }
    for (UINT32 i = 0; i < n; i++) {
        Place p = place_of(names[i]);
        memset(&values[i], 0, sizeof values[i]);
        if (p.group == G_OURS) {
            ours_get(v, names[i], &values[i]);
        } else if (p.group == G_MSR && !msr_io(v, KVM_GET_MSRS, p.at, &values[i].Reg64)) {
            return E_FAIL;
        } else if (p.group != G_MSR) {
            place_get(&st, &p, &values[i]);
        }
        if (names[i] == WHvX64RegisterRflags && v->has_trap_flag) {
            values[i].Reg64 |= RFLAGS_TF;
        }
    }
    return S_OK;
}

/* All of the batch or none of it. */
HRESULT WINAPI WHvSetVirtualProcessorRegisters(WHV_PARTITION_HANDLE handle, UINT32 index,
                                               const WHV_REGISTER_NAME *names, UINT32 n,
                                               const WHV_REGISTER_VALUE *values)
{
    DOUBLE_CALL(WHvSetVirtualProcessorRegisters);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    unsigned which = 0;
    hr = v ? names_check(names, n, values, &which) : hr;
    if (SUCCEEDED(hr) && atomic_load(&v->is_running)) {
        hr = WHV_E_INVALID_VP_STATE;
    }
    State st, old = {.xsave = {{0}}};
    if (SUCCEEDED(hr) && !state_get(v, which, &old)) {
        hr = E_FAIL;
    }
    if (FAILED(hr)) {
        return hr;
    }
    old.xsave.region[XSTATE_BV_WORD] |= X87_AND_SSE; /* else these parts are taken to be in their initial state */
    st = old;
    for (UINT32 i = 0; i < n; i++) {
        Place p = place_of(names[i]);
        if (p.group == G_OURS && !ours_ok(names[i], &values[i])) {
            return E_INVALIDARG;
        }
        if (p.group != G_OURS && p.group != G_MSR) {
            place_set(&st, &p, &values[i]);
        }
    }
    st.regs.rflags &= ~(uint64_t)RFLAGS_TF;
    if (!state_set(v, which, &st)) {
        state_set(v, which, &old);
        return E_INVALIDARG;
    }
    for (UINT32 i = 0; i < n; i++) {
        Place p = place_of(names[i]);
        uint64_t value = values[i].Reg64;
        if (names[i] == WHvX64RegisterRflags) {
            v->has_trap_flag = value & RFLAGS_TF;
        }
        if (p.group == G_OURS) {
            ours_set(v, names[i], &values[i]);
        } else if (p.group == G_MSR && !msr_io(v, KVM_SET_MSRS, p.at, &value)) {
            state_set(v, which,
                      &old); /* MSRs that were taken before stay: callers of this double do not mix in bad ones */
            return E_INVALIDARG;
        }
    }
    return S_OK;
}

HRESULT WINAPI WHvGetVirtualProcessorXsaveState(WHV_PARTITION_HANDLE handle, UINT32 index, VOID *buffer, UINT32 size,
                                                UINT32 *written)
{
    DOUBLE_CALL(WHvGetVirtualProcessorXsaveState);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    struct kvm_xsave x;
    if (!v || !buffer) {
        return v ? E_INVALIDARG : hr;
    }
    if (written) {
        *written = sizeof x.region;
    }
    if (size < sizeof x.region) {
        return WHV_E_INSUFFICIENT_BUFFER;
    }
    if (linux_ioctl(v->fd, KVM_GET_XSAVE, &x) < 0) {
        return E_FAIL;
    }
    memcpy(buffer, x.region, sizeof x.region);
    return S_OK;
}

HRESULT WINAPI WHvSetVirtualProcessorXsaveState(WHV_PARTITION_HANDLE handle, UINT32 index, const VOID *buffer,
                                                UINT32 size)
{
    DOUBLE_CALL(WHvSetVirtualProcessorXsaveState);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    struct kvm_xsave x;
    if (!v || !buffer || size != sizeof x.region) {
        return v ? E_INVALIDARG : hr;
    }
    memcpy(x.region, buffer, sizeof x.region);
    return linux_ioctl(v->fd, KVM_SET_XSAVE, &x) < 0 ? E_INVALIDARG : S_OK;
}

HRESULT WINAPI WHvTranslateGva(WHV_PARTITION_HANDLE handle, UINT32 index, WHV_GUEST_VIRTUAL_ADDRESS gva,
                               WHV_TRANSLATE_GVA_FLAGS flags, WHV_TRANSLATE_GVA_RESULT *result,
                               WHV_GUEST_PHYSICAL_ADDRESS *gpa)
{
    DOUBLE_CALL(WHvTranslateGva);
    HRESULT hr;
    Vp *v = vp_of(handle, index, &hr);
    struct kvm_sregs s;
    if (!v || !result || !gpa || linux_ioctl(v->fd, KVM_GET_SREGS, &s) < 0) {
        return v ? E_INVALIDARG : hr;
    }
    bool is_user = (s.cs.dpl & 3) == 3 && !((int)flags & WHvTranslateGvaFlagPrivilegeExempt);
    AcquireSRWLockShared(&v->p->lock);
    Walk w = gva_walk(v, &s, gva);
    ReleaseSRWLockShared(&v->p->lock);
    bool is_refused = ((int)flags & WHvTranslateGvaFlagValidateWrite && !w.is_writable) || (is_user && !w.is_user) ||
                      ((int)flags & WHvTranslateGvaFlagValidateExecute && !w.is_executable);
    *result = (WHV_TRANSLATE_GVA_RESULT){.ResultCode = !w.is_present ? WHvTranslateGvaResultPageNotPresent
                                                       : is_refused  ? WHvTranslateGvaResultPrivilegeViolation
                                                                     : WHvTranslateGvaResultSuccess};
    *gpa = w.gpa;
    return S_OK;
}
