/* SPDX-License-Identifier: Apache-2.0
 * run.c - entering the guest, waking it, exits, injection. */
#include "accel/whpx/whpx.h"
#include "sim/base/os.h"

#include <string.h>

enum { RFLAGS_TF = 0x100, RFLAGS_IF = 0x200, AGAIN_MS = 1, MAX_NOISE = 1000 };

/* ---- kicks and deadlines ----
 * Whether WHvCancelRunVirtualProcessor has an effect on a processor that is only about to run is not documented. So a kick
 * is a flag, which is looked at before each entry, and as long as the processor is inside it is canceled again each millisecond. */
static bool wants_out(const BeVcpu *v)
{
    return atomic_load(&v->is_kicked) || os_now_ns() >= atomic_load(&v->deadline_ns);
}

static void timer_arm(BeVcpu *v, uint64_t in_ns)
{
    ULARGE_INTEGER due = {.QuadPart = (ULONGLONG) - (LONGLONG)(in_ns / 100 + 1)};
    FILETIME t = {.dwLowDateTime = due.LowPart, .dwHighDateTime = due.HighPart};
    SetThreadpoolTimer(v->timer, &t, 0, 0);
}

static void cancel(BeVcpu *v)
{
    HRESULT hr = whv.WHvCancelRunVirtualProcessor(v->vm->partition, v->index, 0);
    (void)hr; /* the timer tries again */
    timer_arm(v, AGAIN_MS * 1000000ull);
}

static VOID CALLBACK on_timer(PTP_CALLBACK_INSTANCE instance, PVOID ctx, PTP_TIMER timer)
{
    (void)instance;
    (void)timer;
    BeVcpu *v = ctx;
    if (!atomic_load(&v->is_inside)) {
        return;
    }
    uint64_t deadline_ns = atomic_load(&v->deadline_ns), now = os_now_ns();
    if (wants_out(v)) {
        cancel(v);
    } else if (deadline_ns != UINT64_MAX) {
        timer_arm(v, deadline_ns - now);
    }
}

int whpx_run_init(BeVcpu *v, Err *err)
{
    atomic_store(&v->deadline_ns, UINT64_MAX);
    v->timer = CreateThreadpoolTimer(on_timer, v, NULL);
    return v->timer
               ? 0
               : err_set(err, ERR_LIMIT, "no timer for a vcpu: error %lu of Windows", (unsigned long)GetLastError());
}

void whpx_run_free(BeVcpu *v)
{
    if (v->timer) {
        SetThreadpoolTimer(v->timer, NULL, 0, 0);
        WaitForThreadpoolTimerCallbacks(v->timer, TRUE);
        CloseThreadpoolTimer(v->timer);
    }
    VEC_FREE(&v->accesses);
}

void whpx_kick(BeVcpu *v)
{
    atomic_store(&v->is_kicked, true);
    if (atomic_load(&v->is_inside)) {
        cancel(v);
    }
}

/* ---- exits ---- */
void whpx_exit_start(BeVcpu *v, VmExit *exit, ExitKind kind)
{
    bool is_after = kind == EXIT_halt || kind == EXIT_irq_window;
    *exit = (VmExit){.kind = kind, .reply = exit_reply_kind(kind), .vcpu = v->cfg.id};
    exit->native.code = v->at.ExitReason;
    if (is_after) {
        exit->pc_after = v->at.VpContext.Rip;
        exit->valid = HAS_pc_after;
    } else if (kind != EXIT_canceled && kind != EXIT_idle) {
        exit->pc_before = v->at.VpContext.Rip;
        exit->valid = HAS_pc_before;
    }
    if (exit->reply != REPLY_none) {
        v->pending = PEND_DUE;
        v->due = kind;
    }
}

static int exit_memory(BeVcpu *v, VmExit *exit, Err *err)
{
    const WHV_MEMORY_ACCESS_CONTEXT *m = &v->at.MemoryAccess;
    if (m->AccessInfo.AccessType != WHvMemoryAccessExecute) {
        return whpx_access_begin(v, exit, err);
    }
    whpx_exit_start(v, exit, EXIT_nested_page_fault);
    exit->addr = m->Gpa;
    exit->arg[0] = MAP_X;
    if (m->AccessInfo.GvaValid) {
        exit->arg[1] = m->Gva;
        exit->valid |= HAS_gva;
    }
    return 0;
}

static int exit_io(BeVcpu *v, VmExit *exit, Err *err)
{
    const WHV_X64_IO_PORT_ACCESS_CONTEXT *io = &v->at.IoPortAccess;
    if (io->AccessInfo.StringOp) {
        return whpx_access_begin(v, exit, err);
    }
    v->is_emulated = false;
    whpx_exit_start(v, exit, io->AccessInfo.IsWrite ? EXIT_io_write : EXIT_io_read);
    exit->addr = io->PortNumber;
    exit->size_bytes = (uint8_t)io->AccessInfo.AccessSize;
    if (io->AccessInfo.IsWrite) {
        memcpy(&exit->value, &io->Rax, exit->size_bytes <= 4 ? exit->size_bytes : 4);
        exit->valid |= HAS_value;
    }
    return 0;
}

static void exit_msr(BeVcpu *v, VmExit *exit)
{
    const WHV_X64_MSR_ACCESS_CONTEXT *m = &v->at.MsrAccess;
    v->is_emulated = false;
    whpx_exit_start(v, exit, m->AccessInfo.IsWrite ? EXIT_sysreg_write : EXIT_sysreg_read);
    exit->addr = m->MsrNumber;
    exit->size_bytes = 8;
    if (m->AccessInfo.IsWrite) {
        exit->value = (uint32_t)m->Rax | m->Rdx << 32;
        exit->valid |= HAS_value;
    }
}

/* 1: a leaf that nobody asked for, as all of them exit or none. */
static int exit_cpuid(BeVcpu *v, VmExit *exit, Err *err)
{
    const WHV_X64_CPUID_ACCESS_CONTEXT *c = &v->at.CpuidAccess;
    bool is_asked = false;
    for (size_t i = 0; i < v->vm->leaves.n; i++) {
        is_asked |= (uint32_t)c->Rax >= v->vm->leaves.items[i].lo && (uint32_t)c->Rax <= v->vm->leaves.items[i].hi;
    }
    v->is_emulated = false;
    whpx_exit_start(v, exit, EXIT_cpuid);
    exit->addr = (uint32_t)c->Rax;
    exit->value = (uint32_t)c->Rcx;
    exit->valid |= HAS_value;
    if (is_asked) {
        return 0;
    }
    Reply usual = {.value = c->DefaultResultRax,
                   .more = {c->DefaultResultRbx, c->DefaultResultRcx, c->DefaultResultRdx}};
    int rc = whpx_reply(v, &usual, err);
    rc = rc ? rc : whpx_settle(v, err);
    return rc ? rc : 1;
}

/* ---- steps, by the trap flag ---- */
static int trap_flag_set(BeVcpu *v, bool is_on, Err *err)
{
    static const WHV_REGISTER_NAME name = WHvX64RegisterRflags;
    WHV_REGISTER_VALUE value;
    int rc = whpx_regs_read(v, &name, &value, 1, err);
    value.Reg64 = is_on ? value.Reg64 | RFLAGS_TF : value.Reg64 & ~(uint64_t)RFLAGS_TF;
    return rc ? rc : whpx_regs_write(v, &name, &value, 1, err);
}

static void exit_step(BeVcpu *v, uint64_t pc, uint64_t dr6, VmExit *exit)
{
    whpx_exit_start(v, exit, EXIT_debug);
    exit->arg[0] = DEBUG_STEP;
    exit->arg[1] = dr6;
    exit->addr = exit->pc_after = pc;
    exit->valid = HAS_pc_after;
}

/* The step of an instruction that a reply finished: the emulator reports none. */
static int step_finished(BeVcpu *v, VmExit *exit, Err *err)
{
    enum { DR6_STEP = 0x4ff0 };
    static const WHV_REGISTER_NAME name = WHvX64RegisterRip;
    WHV_REGISTER_VALUE rip;
    int rc = whpx_regs_read(v, &name, &rip, 1, err);
    if (!rc) {
        exit_step(v, rip.Reg64, 0xffff0000u | DR6_STEP, exit);
    }
    return rc;
}

static int exception_set(BeVcpu *v, const Event *e, Err *err);

/* Nothing of it was delivered: the guest goes on as the caller makes it, by registers or by injecting the same. 1: nobody asked for it,
 * the guest has it. */
static int exit_exception(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    const WHV_VP_EXCEPTION_CONTEXT *x = &v->at.VpException;
    if (x->ExceptionType == VECTOR_DB && args->is_step) {
        exit_step(v, v->at.VpContext.Rip, x->ExceptionParameter, exit);
        return 0;
    }
    if (x->ExceptionType == VECTOR_DB && !(v->vm->exceptions >> VECTOR_DB & 1)) {
        int rc = exception_set(v, &(Event){.kind = EV_EXCEPTION, .number = VECTOR_DB}, err);
        return rc ? rc : 1;
    }
    whpx_exit_start(v, exit, EXIT_exception);
    exit->addr = x->ExceptionType;
    if (x->ExceptionInfo.ErrorCodeValid) {
        exit->value = x->ErrorCode;
        exit->valid |= HAS_value;
    }
    return 0;
}

static void exit_unsupported(BeVcpu *v, VmExit *exit)
{
    whpx_exit_start(v, exit, EXIT_unsupported);
    if (v->at.ExitReason == WHvRunVpExitReasonUnsupportedFeature) {
        exit->native.qual[0] = v->at.UnsupportedFeature.FeatureCode;
        exit->native.qual[1] = v->at.UnsupportedFeature.FeatureParameter;
    }
}

/* 0 = *exit is written; 1 = not for above: enter again; or -ERR_x. */
static int exit_decode(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    switch ((unsigned)v->at.ExitReason) {
    case WHvRunVpExitReasonMemoryAccess:
        return exit_memory(v, exit, err);
    case WHvRunVpExitReasonX64IoPortAccess:
        return exit_io(v, exit, err);
    case WHvRunVpExitReasonX64MsrAccess:
        exit_msr(v, exit);
        return 0;
    case WHvRunVpExitReasonX64Cpuid:
        return exit_cpuid(v, exit, err);
    case WHvRunVpExitReasonException:
        return exit_exception(v, args, exit, err);
    case WHvRunVpExitReasonX64Halt:
        whpx_exit_start(v, exit, EXIT_halt);
        return 0;
    case WHvRunVpExitReasonX64InterruptWindow:
        if (!args->irq_window) {
            return 1;
        }
        whpx_exit_start(v, exit, EXIT_irq_window);
        return 0;
    case WHvRunVpExitReasonUnrecoverableException:
        whpx_exit_start(v, exit, EXIT_shutdown);
        return 0;
    case WHvRunVpExitReasonInvalidVpRegisterValue:
        whpx_exit_start(v, exit, EXIT_fail_entry);
        exit->addr = WHvRunVpExitReasonInvalidVpRegisterValue;
        return 0;
    default:
        exit_unsupported(v, exit);
        return 0;
    }
}

/* ---- run ---- */
static int run_check(BeVcpu *v, const RunArgs *args, Err *err)
{
    if (v->pending == PEND_DUE || v->pending == PEND_SETTLED) {
        return err_set(err, ERR_BUSY, "a reply is due");
    }
    if (!v->is_set_up) {
        return err_set(err, ERR_STATE, "run before setup");
    }
    if (args->is_step && !v->vm->can_step) {
        return err_unsupported(err, "whpx", "step", "this host's platform has no exit for exceptions");
    }
    if (args->insns != UINT64_MAX) {
        return err_unsupported(err, "whpx", "insn_count", "the platform does not count retired instructions");
    }
    if (args->serve_board) {
        return err_unsupported(err, "whpx", "board_inside", "devices are served outside run()");
    }
    return 0;
}

static int canceled(BeVcpu *v, VmExit *exit, Err *err)
{
    int rc = whpx_settle(v, err);
    if (!rc) {
        v->at.ExitReason = WHvRunVpExitReasonCanceled;
        whpx_exit_start(v, exit, EXIT_canceled);
    }
    return rc;
}

static int window_set(BeVcpu *v, bool is_wanted, Err *err)
{
    static const WHV_REGISTER_NAME name = WHvX64RegisterDeliverabilityNotifications;
    WHV_REGISTER_VALUE value = {.DeliverabilityNotifications = {.InterruptNotification = is_wanted}};
    return whpx_regs_write(v, &name, &value, 1, err);
}

/* What can be returned without running the guest. 0 = done, 1 = enter, or -ERR_x. */
static int run_without_entry(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    if (atomic_load(&v->is_kicked) && atomic_exchange(&v->is_kicked, false)) {
        return canceled(v, exit, err);
    }
    if (v->is_parked) {
        whpx_exit_start(v, exit, EXIT_idle);
        return 0;
    }
    int rc = whpx_settle(v, err);
    rc = rc ? rc : whpx_access_next(v, exit);
    if (rc == 1 && v->is_step_open) {
        v->is_step_open = false;
        rc = args->is_step ? step_finished(v, exit, err) : 1;
    }
    return rc;
}

static HRESULT enter(BeVcpu *v, uint64_t deadline_ns)
{
    HRESULT hr = S_OK;
    atomic_store(&v->deadline_ns, deadline_ns);
    atomic_store(&v->is_inside, true);
    uint64_t now = deadline_ns == UINT64_MAX ? 0 : os_now_ns();
    if (deadline_ns != UINT64_MAX && now < deadline_ns) {
        timer_arm(v, deadline_ns - now);
    }
    if (wants_out(v)) {
        v->at.ExitReason = WHvRunVpExitReasonCanceled;
    } else {
        hr = whv.WHvRunVirtualProcessor(v->vm->partition, v->index, &v->at, sizeof v->at);
    }
    atomic_store(&v->is_inside, false);
    return hr;
}

int whpx_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    int rc = run_check(v, args, err);
    if (rc) {
        return rc;
    }
    bool has_window = false, has_trap_flag = false;
    for (unsigned nnoise = 0;;) {
        rc = run_without_entry(v, args, exit, err);
        if (rc == 1 && args->irq_window && !has_window) {
            has_window = true;
            rc = window_set(v, true, err);
            rc = rc ? rc : 1;
        }
        if (rc == 1 && args->is_step && !has_trap_flag) {
            has_trap_flag = true;
            rc = trap_flag_set(v, true, err);
            rc = rc ? rc : 1;
        }
        if (rc != 1) {
            break;
        }
        HRESULT hr = enter(v, args->deadline_ns);
        if (FAILED(hr)) {
            rc = whv_err(err, hr, "WHvRunVirtualProcessor");
            break;
        }
        if (v->at.ExitReason != WHvRunVpExitReasonCanceled) {
            rc = exit_decode(v, args, exit, err);
        } else if (atomic_exchange(&v->is_kicked, false) || os_now_ns() >= args->deadline_ns) {
            rc = canceled(v, exit, err);
        } else if (++nnoise == MAX_NOISE) { /* old versions of the platform tell some device accesses so */
            exit_unsupported(v, exit);
            rc = 0;
        } else {
            rc = 1; /* a cancellation that came late */
        }
        if (rc != 1) {
            break;
        }
    }
    if (has_trap_flag) {
        int back = trap_flag_set(v, false, rc ? NULL : err);
        rc = rc ? rc : back;
    }
    if (!rc && exit->kind != EXIT_canceled) {
        v->is_step_open = args->is_step && exit->reply != REPLY_none;
    }
    if (has_window && (rc || exit->kind != EXIT_irq_window)) {
        int back = window_set(v, false, rc ? NULL : err);
        rc = rc ? rc : back;
    }
    return rc;
}

/* ---- injection ---- */
typedef struct {
    WHV_REGISTER_VALUE rflags, state, interruption, event;
} Deliverable;

static int deliverable_read(BeVcpu *v, Deliverable *d, Err *err)
{
    static const WHV_REGISTER_NAME names[] = {WHvX64RegisterRflags, WHvRegisterInterruptState,
                                              WHvRegisterPendingInterruption, WHvRegisterPendingEvent};
    WHV_REGISTER_VALUE values[ARRAY_LEN(names)];
    int rc = whpx_regs_read(v, names, values, ARRAY_LEN(names), err);
    *d = (Deliverable){values[0], values[1], values[2], values[3]};
    return rc;
}

static int interruption_set(BeVcpu *v, WHV_X64_PENDING_INTERRUPTION_TYPE type, uint32_t vector, Err *err)
{
    static const WHV_REGISTER_NAME name = WHvRegisterPendingInterruption;
    WHV_REGISTER_VALUE value = {.PendingInterruption = {.InterruptionPending = 1,
                                                        .InterruptionType = type,
                                                        .InterruptionVector = (uint16_t)vector}};
    return whpx_regs_write(v, &name, &value, 1, err);
}

static int exception_set(BeVcpu *v, const Event *e, Err *err)
{
    enum { LAST_EXCEPTION = 31, NMI_VECTOR = 2 };
    static const WHV_REGISTER_NAME name = WHvRegisterPendingEvent;
    if (e->number > LAST_EXCEPTION || e->number == NMI_VECTOR) {
        return err_set(err, ERR_INVAL, "exception %u: 0 to 31 and not 2 (NMI)", e->number);
    }
    WHV_REGISTER_VALUE value = {.ExceptionEvent = {.EventPending = 1,
                                                   .EventType = WHvX64PendingEventException,
                                                   .DeliverErrorCode = e->has_code,
                                                   .Vector = (uint16_t)e->number,
                                                   .ErrorCode = (uint32_t)e->code}};
    return whpx_regs_write(v, &name, &value, 1, err);
}

int whpx_inject(BeVcpu *v, const Event *e, Err *err)
{
    enum { NMI_VECTOR = 2 };
    if (e->kind == EV_LINE) {
        return err_unsupported(err, "whpx", "irq_line", "an x86 vcpu has no interrupt line of its own: use a vector");
    }
    if (e->kind == EV_SHUTDOWN_REQ) {
        return err_unsupported(err, "whpx", "shutdown_req", "the platform has no power button");
    }
    if (e->kind == EV_VECTOR && e->number > 255) {
        return err_set(err, ERR_INVAL, "vector %u: the limit is 255", e->number);
    }
    Deliverable d;
    int rc = whpx_look_write(v, err);
    rc = rc ? rc : deliverable_read(v, &d, err);
    if (rc) {
        return rc;
    }
    bool is_pending = d.interruption.PendingInterruption.InterruptionPending || d.event.ExceptionEvent.EventPending;
    bool is_masked = e->kind == EV_VECTOR ? !(d.rflags.Reg64 & RFLAGS_IF) || d.state.InterruptState.InterruptShadow
                                          : e->kind == EV_NMI && d.state.InterruptState.NmiMasked;
    if (is_pending || is_masked) {
        return err_set(err, ERR_BUSY, is_pending ? "an event is pending already" : "the guest cannot take it now");
    }
    switch (e->kind) {
    case EV_VECTOR:
        return interruption_set(v, WHvX64PendingInterrupt, e->number, err);
    case EV_NMI:
        return interruption_set(v, WHvX64PendingNmi, NMI_VECTOR, err);
    case EV_EXCEPTION:
        return exception_set(v, e, err);
    case EV_LINE:
    case EV_SHUTDOWN_REQ:
        break;
    }
    return err_set(err, ERR_INVAL, "event kind %d", (int)e->kind);
}
