/* SPDX-License-Identifier: Apache-2.0
 * run.c - entering the guest, waking it, and finishing what an exit left open. The rules are in
 * kvm.h. */
#include "accel/kvm/kvm.h"
#include "sim/base/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Default action "ignore", and coalescing: a storm of kicks is one pending signal. */
enum { WAKE_SIGNAL = SIGURG };

/* The vcpu that this thread is running: a signal handler has no other argument. */
static _Thread_local struct kvm_run *_Atomic current_run;
static _Thread_local pid_t current_tid; /* 0 = not asked yet */

static void immediate_exit_set(struct kvm_run *run, uint8_t value)
{
    __atomic_store_n(&run->immediate_exit, value, __ATOMIC_RELAXED); /* what orders it is said where it is used */
}

static void on_wake(int signal)
{
    (void)signal;
    struct kvm_run *run = atomic_load_explicit(&current_run, memory_order_relaxed); /* of this very thread */
    if (run) {
        immediate_exit_set(run, 1);
    }
}

static void after_fork(void)
{
    current_tid = 0;
}

static void init_once(void)
{
    struct sigaction action = {.sa_handler = on_wake};
    sigemptyset(&action.sa_mask);
    sigaction(WAKE_SIGNAL, &action, NULL);
    pthread_atfork(NULL, NULL, after_fork);
}

int kvm_run_init(Err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = pthread_once(&once, init_once);
    return rc ? err_native(err, ERR_HOST, rc, "pthread_once") : 0;
}

static void wake(BeVcpu *v)
{
    immediate_exit_set(v->run, 1);
    syscall(SYS_tgkill, getpid(), atomic_load(&v->owner_tid), WAKE_SIGNAL);
}

void kvm_kick(BeVcpu *v)
{
    int error = errno; /* may be called in a signal handler */
    atomic_store(&v->is_kicked, true);
    if (atomic_load(&v->is_inside)) {
        wake(v);
    }
    errno = error;
}

/* The calling thread becomes the one that kicks are sent to. */
static void own(BeVcpu *v)
{
    if (current_tid == 0) {
        sigset_t set;
        current_tid = (pid_t)syscall(SYS_gettid);
        sigemptyset(&set);
        sigaddset(&set, WAKE_SIGNAL);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    if (atomic_load_explicit(&v->owner_tid, memory_order_relaxed) != current_tid) {
        atomic_store(&v->owner_tid, current_tid);
    }
}

/* ---- the gate ---- */
void kvm_gate_close(BeVm *vm)
{
    pthread_mutex_lock(&vm->lock);
    atomic_store(&vm->is_gated, true);
    for (size_t i = 0; i < vm->vcpus.n;) {
        BeVcpu *v = vm->vcpus.items[i];
        if (!atomic_load(&v->is_inside)) {
            i++;
            continue;
        }
        wake(v);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&vm->gate_moved, &vm->lock, &until);
        i = 0; /* the list may have changed meanwhile */
    }
    pthread_mutex_unlock(&vm->lock);
}

void kvm_gate_open(BeVm *vm)
{
    pthread_mutex_lock(&vm->lock);
    atomic_store(&vm->is_gated, false);
    pthread_cond_broadcast(&vm->gate_moved);
    pthread_mutex_unlock(&vm->lock);
}

static void gate_wait(BeVm *vm)
{
    pthread_mutex_lock(&vm->lock);
    pthread_cond_broadcast(&vm->gate_moved);
    while (atomic_load(&vm->is_gated)) {
        pthread_cond_wait(&vm->gate_moved, &vm->lock);
    }
    pthread_mutex_unlock(&vm->lock);
}

/* ---- deadline ---- */
static int timer_arm(BeVcpu *v, uint64_t deadline_ns, Err *err)
{
    if (v->has_timer && v->timer_tid != current_tid) {
        timer_delete(v->timer);
        v->has_timer = false;
    }
    if (!v->has_timer) {
        struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WAKE_SIGNAL};
        e._sigev_un._tid = current_tid;
        if (timer_create(CLOCK_MONOTONIC, &e, &v->timer)) {
            return err_native(err, ERR_HOST, errno, "timer_create for a deadline");
        }
        v->has_timer = true;
        v->timer_tid = current_tid;
        v->timer_ns = 0;
    }
    if (v->timer_ns == deadline_ns) {
        return 0; /* runs that share a deadline pay for one timer */
    }
    struct itimerspec at = {.it_value = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)}};
    if (at.it_value.tv_sec == 0 && at.it_value.tv_nsec == 0) {
        at.it_value.tv_nsec = 1;
    }
    timer_settime(v->timer, TIMER_ABSTIME, &at, NULL);
    v->timer_ns = deadline_ns;
    return 0;
}

void kvm_run_free(BeVcpu *v)
{
    if (v->has_timer) {
        timer_delete(v->timer);
    }
}

/* ---- entry ---- */
typedef enum { ENTER_EXIT, ENTER_INTERRUPTED, ENTER_ERROR } Entered;

/* One KVM_RUN. With is_settling the guest does not run; else until an exit, or until somebody wakes
 * us. */
static Entered enter(BeVcpu *v, bool is_settling, uint64_t deadline_ns, int *error)
{
    BeVm *vm = v->vm;
    own(v);
    atomic_store_explicit(&current_run, v->run, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* only a handler on this thread looks at it */
    immediate_exit_set(v->run, is_settling);
    /* Whoever wants us out from here on sees is_inside, and with it the line above; or we see what they set before: both
     * orders are covered. */
    while (atomic_store(&v->is_inside, true), atomic_load(&vm->is_gated)) {
        atomic_store(&v->is_inside, false);
        gate_wait(vm);
    }
    if (atomic_load(&v->is_kicked) || (deadline_ns != UINT64_MAX && os_now_ns() >= deadline_ns)) {
        immediate_exit_set(v->run, 1);
    }
    int rc = ioctl(v->fd, KVM_RUN, 0);
    *error = rc < 0 ? errno : 0;
    /* A closer of the gate that still sees is_inside looks again: so no fence is paid for between these two. */
    atomic_store_explicit(&v->is_inside, false, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&current_run, NULL, memory_order_relaxed);
    if (atomic_load(&vm->is_gated)) {
        gate_wait(vm);
    }
    v->has_run = true;
    v->is_synced = v->run->kvm_valid_regs != 0;
    if (rc >= 0) {
        return ENTER_EXIT;
    }
    /* EAGAIN: a vcpu that waited for INIT or SIPI changed its state (api.rst 4.38 KVM_GET_MP_STATE)
     */
    return *error == EINTR || *error == EAGAIN ? ENTER_INTERRUPTED : ENTER_ERROR;
}

/* Errors of KVM_RUN that the guest provokes, e.g. by fetching from a hole: an exit, not a host
 * error (W1). */
static bool is_guest_error(int error)
{
    /* EIO: riscv64, an access to a device that is not naturally aligned */
    return error == EFAULT || error == EHWPOISON || error == EOPNOTSUPP || error == ENOSYS ||
           (error == EIO && kvm_arch_guest == GUEST_riscv64);
}

int kvm_settle(BeVcpu *v, Err *err)
{
    if (v->pending != PEND_OPEN || v->element + 1 < v->nelements) {
        return 0;
    }
    int error = 0;
    switch (enter(v, true, UINT64_MAX, &error)) {
    case ENTER_EXIT:
        v->has_kept = true;
        break;
    case ENTER_INTERRUPTED:
        break;
    case ENTER_ERROR:
        return err_native(err, ERR_HOST, error, "KVM_RUN to finish an access");
    }
    v->pending = PEND_NONE;
    v->nelements = 0;
    return 0;
}

int kvm_look(BeVcpu *v, Err *err)
{
    bool is_store = v->due == EXIT_mmio_write || v->due == EXIT_io_write;
    if (v->pending == PEND_DUE && is_store && v->element + 1 >= v->nelements) {
        v->pending = PEND_OPEN;
        int rc = kvm_settle(v, err);
        v->pending = rc ? PEND_DUE : PEND_SETTLED;
        return rc;
    }
    return kvm_settle(v, err);
}

/* Is a further piece of an instruction still to be returned by run()? */
static bool is_in_pieces(const BeVcpu *v)
{
    if (v->pending == PEND_OPEN && v->element + 1 < v->nelements) {
        return true;
    }
    if (!v->has_kept) {
        return false;
    }
    uint32_t reason = v->run->exit_reason;
    return reason == KVM_EXIT_MMIO || reason == KVM_EXIT_IO;
}

int kvm_look_write(BeVcpu *v, Err *err)
{
    if (v->pending == PEND_DUE || v->pending == PEND_SETTLED) {
        return err_set(err, ERR_BUSY, "a reply is due");
    }
    int rc = kvm_settle(v, err);
    if (!rc && is_in_pieces(v)) {
        return err_set(err, ERR_BUSY, "an instruction is under way: a further piece of its access is still to come");
    }
    return rc;
}

int kvm_abandon(BeVcpu *v, Err *err)
{
    static const Reply zero;
    enum { MAX_PIECES = 4096 };
    if (v->pending != PEND_NONE || v->has_kept) {
        kvm_arch_abandon(v);
    }
    for (unsigned i = 0; i < MAX_PIECES; i++) {
        if (v->pending == PEND_DUE) {
            int rc = kvm_reply(v, &zero, err);
            if (rc) {
                return rc;
            }
        } else if (v->pending == PEND_SETTLED) {
            v->pending = PEND_NONE;
        }
        if (v->pending == PEND_OPEN) {
            v->element = v->nelements; /* the rest of a string stays zero */
            int rc = kvm_settle(v, err);
            if (rc) {
                return rc;
            }
        }
        if (!v->has_kept) {
            break;
        }
        VmExit exit;
        RunArgs args = RUN_FOREVER;
        v->has_kept = false;
        if (kvm_exit_decode(v, &args, &exit)) {
            break;
        }
    }
    v->is_step_open = false;
    return 0;
}

/* ---- debug control ---- */
static int debug_update(BeVcpu *v, bool is_step, Err *err)
{
    uint32_t control = 0;
    if (v->nbreaks) {
        control |= KVM_GUESTDBG_ENABLE | (uint32_t)KVM_DEBUG_HW;
    }
    if (v->has_sw_break) {
        control |= KVM_GUESTDBG_ENABLE | (uint32_t)KVM_DEBUG_SW;
    }
    if (is_step) {
        control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    }
    if (control == v->debug_control && !v->has_new_breaks && !is_step) {
        return 0;
    }
    if (is_step) {
        /* The step is of the next instruction, not of the one whose reply is open. And it is asked
         * for each time: KVM on x86 drops it when its emulator has finished an instruction. */
        int rc = kvm_settle(v, err);
        if (rc) {
            return rc;
        }
    }
    struct kvm_guest_debug d = {.control = control};
    int rc = kvm_arch_guest_debug(v, &d, err);
    if (rc) {
        return rc;
    }
    rc = kvm_ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_SET_GUEST_DEBUG");
    }
    v->debug_control = control;
    v->has_new_breaks = false;
    return 0;
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
    if (args->insns != UINT64_MAX) {
        return err_unsupported(err, "kvm", "insn_count", "KVM does not count retired instructions");
    }
    if (args->serve_board) {
        return err_unsupported(err, "kvm", "board_inside", "devices are served outside run()");
    }
    return 0;
}

static int canceled(BeVcpu *v, VmExit *exit, Err *err)
{
    int rc = kvm_settle(v, err);
    if (!rc) {
        kvm_exit_start(v, exit, EXIT_canceled);
        exit->native.code = KVM_EXIT_INTR;
    }
    return rc;
}

/* What can be returned without running the guest. 0 = done, 1 = enter, or -ERR_x. */
static int run_without_entry(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    if (atomic_load(&v->is_kicked) && atomic_exchange(&v->is_kicked, false)) {
        return canceled(v, exit, err);
    }
    if (v->is_parked) {
        kvm_exit_start(v, exit, EXIT_idle);
        return 0;
    }
    if (v->pending == PEND_OPEN && v->element + 1 < v->nelements) {
        v->element++;
        v->pending = PEND_NONE;
        return kvm_exit_decode(v, args, exit);
    }
    if (v->has_kept) {
        v->has_kept = false;
        bool is_stale_step = v->run->exit_reason == KVM_EXIT_DEBUG && !args->is_step;
        return is_stale_step ? 1 : kvm_exit_decode(v, args, exit);
    }
    if (v->is_step_open) {
        int rc = args->is_step && v->pending == PEND_NONE ? kvm_arch_step_exit(v, exit, err) : 1;
        v->is_step_open = rc < 0;
        return rc;
    }
    return 1;
}

static int run_entered(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    int error = 0;
    Entered how = enter(v, false, args->deadline_ns, &error);
    if (how == ENTER_ERROR && !is_guest_error(error)) {
        return err_native(err, ERR_HOST, error, "KVM_RUN");
    }
    v->pending = PEND_NONE; /* whatever was open is retired by now */
    v->nelements = 0;
    if (how == ENTER_EXIT && v->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
        int rc = kvm_ring_full(v->vm, err);
        return rc ? rc : 1;
    }
    if (how == ENTER_EXIT) {
        return kvm_exit_decode(v, args, exit);
    }
    if (how == ENTER_ERROR) {
        kvm_exit_errno(v, error, exit);
        return 0;
    }
    if (atomic_exchange(&v->is_kicked, false) ||
        (args->deadline_ns != UINT64_MAX && os_now_ns() >= args->deadline_ns)) {
        return canceled(v, exit, err);
    }
    return 1;
}

int kvm_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    int rc = run_check(v, args, err);
    if (rc || (rc = debug_update(v, args->is_step, err))) {
        return rc;
    }
    if (!v->has_run && (rc = kvm_arch_vm_ready(v->vm, err))) {
        return rc;
    }
    if (args->deadline_ns != UINT64_MAX) {
        own(v);
        if ((rc = timer_arm(v, args->deadline_ns, err))) {
            return rc;
        }
    }
    kvm_arch_before_run(v, args);
    do {
        rc = run_without_entry(v, args, exit, err);
        if (rc == 1) {
            rc = run_entered(v, args, exit, err);
        }
    } while (rc == 1);
    if (!rc && exit->kind != EXIT_canceled) {
        v->is_step_open = args->is_step && exit->reply != REPLY_none;
    }
    return rc;
}

int kvm_reply(BeVcpu *v, const Reply *r, Err *err)
{
    if (v->pending != PEND_DUE && v->pending != PEND_SETTLED) {
        return err_set(err, ERR_STATE, "no reply is due");
    }
    int rc = 0;
    bool is_mmio = v->due == EXIT_mmio_read || v->due == EXIT_mmio_write;
    if (r->is_fault && (is_mmio || v->pending == PEND_SETTLED)) {
        rc = kvm_arch_reply_fault(v, err);
    } else if (v->pending == PEND_SETTLED) {
        v->pending = PEND_NONE;
        return 0;
    } else if (v->due == EXIT_mmio_read) {
        memcpy(v->run->mmio.data, &r->value, v->run->mmio.len <= 8 ? v->run->mmio.len : 8);
    } else if (!is_mmio) {
        rc = kvm_arch_reply(v, r, err);
    }
    if (!rc) {
        v->pending = PEND_OPEN;
    }
    return rc;
}
