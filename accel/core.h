/* SPDX-License-Identifier: Apache-2.0
 * core.h - what the files above the waist (vm.c, vcpu.c, run.c, snapshot.c) share. Not for backends, not for users.
 *
 * Locks, in the order in which they may be taken: Vm.ops (VmOps are serialised), Vcpu.lock, Vm.lock. A backend's run()
 * is never called with a lock held. Vcpu.state is written under Vcpu.lock and read by anyone. The observer's on_op and
 * on_exit are called under Vcpu.lock, so that what it hears of one vcpu is in order. */
#ifndef ACCEL_CORE_H
#define ACCEL_CORE_H

#include "accel/accel.h"
#include "sim/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    MAX_VCPUS = 256,
    MAX_EVENTS = 64,       /* queued per vcpu; more is -ERR_LIMIT */
    MAX_SAVED_REGS = 4096, /* more than any guest's list; bounds what a peer may claim */
};

/* A thread in pause() or halt() that waits for run() to come out. */
typedef struct Waiter {
    struct Waiter *next;
    LifeOp op;
    bool is_done, is_reported;
    uint8_t state; /* where the vcpu went */
} Waiter;

typedef enum { INSIDE_NONE, INSIDE_RUN, INSIDE_OP } Inside;

/* What the board has for a vcpu, which takes it on its own thread, at its next entry (bus.c). A level is a level: only
 * the last one counts, so that there is no queue to overflow. */
typedef struct {
    uint32_t level, changed, pulses; /* a bit per line; level stays */
    bool has_start, has_fence;
    uint64_t entry, arg;
} Mail;
typedef struct {
    bool is_set, is_reset;
    uint64_t reason;
} Finish;

struct Vcpu {
    Vm *vm;
    VcpuConfig cfg;
    _Atomic(BeVcpu *) be; /* NULL once destroyed */
    atomic_uint kickers;  /* threads and signal handlers inside be's kick() */
    atomic_bool user_kick;
    atomic_ulong nkicks;
    atomic_bool has_mail;   /* written under lock */
    atomic_bool is_started; /* takes part in vm_run: the BSP, or a secondary that a cpu_up named */
    _Atomic uint8_t state;
    atomic_bool reply_due;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    /* Taken under lock; given back with a release by the thread that is inside, which needs no lock for it. */
    _Atomic Inside inside;
    /* under lock */
    Waiter *waiters;
    Event queue[MAX_EVENTS];
    unsigned nqueue;
    Mail mail;
    VcpuStats stats;
    /* the thread that is inside */
    pthread_t owner;
    VmExit due; /* the exit that awaits a reply */
    bool has_entry, has_stage2, is_setup;
    Gpa entry, stage2;
    VcpuSetup setup;
    uint64_t seq, insns; /* of the last exit: numbers from 1; retired as the backend counts */
    uint64_t skipped_ns; /* guest time that went by in idling, where the backend has no clock */
    bool is_bound;       /* the entry under way ends where the board's time is due, before the caller's own limit */
    bool is_stop_asked;  /* the last EXIT_canceled is the caller's */
    bool is_suspended;   /* by the firmware, until it goes on */
    Finish finish;
};

typedef struct {
    uint64_t at, size, offset;
    RamId ram;
    uint32_t flags;
} Region;

struct Vm {
    const Backend *backend;
    uint64_t opened_ns; /* of the host */
    BeVm *be;
    VmConfig cfg;        /* board NULL: none, or it is elsewhere */
    const Board *stands; /* for the board that the backend has at its side; NULL = it has none */
    Caps caps;
    const LifeModel *model;
    Observer observer;
    pthread_mutex_t ops; /* serialises VmOps */
    VEC(Region) regions; /* under ops, by address */
    VEC(uint64_t) rams;  /* under ops: sizes, by RamId of this table's making */
    VEC(RamId) ram_ids;
    pthread_mutex_t lock;
    pthread_cond_t left;
    atomic_ulong users; /* threads inside an operation, twice; bit 0: vm_close has begun */
    unsigned nvcpus;    /* under ops */
    atomic_bool is_closing;
    _Atomic(Vcpu *) vcpus[MAX_VCPUS];
};

/* Every operation stands between these two; enter fails with -ERR_STATE once vm_close has begun. */
int vm_enter(Vm *vm, Err *err);
void vm_leave(Vm *vm);
/* Tells the observer how a call ended, by the public function's name; returns rc. With or without locks held. */
int call_told(const Vm *vm, const char *call, int rc);

/* An operation of the lifecycle in the making. */
typedef struct {
    LifeOp op;
    uint8_t from;
    const LifeCell *cell;
} Op;
enum {
    OP_NEEDS_REPLIED = 1, /* -ERR_BUSY while a reply is due */
    OP_BINDS = 2,         /* the operation itself sees to ownership */
};

/* Checks the cell, takes the vcpu for the calling thread (owner, W2) and enters `during`. On failure it has reported.
 */
int op_begin(Vcpu *v, LifeOp op, unsigned flags, Op *o, Err *err);
/* Applies the outcome, reports, lets go. arg: the target of LIFE_FROM_ARG. Returns rc. */
int op_end(Vcpu *v, const Op *o, LifeOutcome outcome, uint8_t arg, int rc);
/* Under lock. Rejects as the cell says: sets the poisoned state, counts, reports, writes the sentence. */
int op_reject(Vcpu *v, LifeOp op, const LifeCell *cell, Err *err);
/* Under lock, and only while it is INSIDE_NONE. */
static inline void inside_take(Vcpu *v, Inside how)
{
    atomic_store_explicit(&v->inside, how, memory_order_relaxed);
}
static inline void inside_leave(Vcpu *v)
{
    atomic_store_explicit(&v->inside, INSIDE_NONE, memory_order_release);
}
/* Under lock. from == to is reported too. */
void state_apply(Vcpu *v, LifeOp op, uint8_t to, int rc);
void op_report(Vcpu *v, LifeOp op, uint8_t from, uint8_t to, int rc);
/* The calling thread becomes the owner where the backend lets it. */
int owner_take(Vcpu *v, Err *err);
const LifeCell *cell_of(const Vcpu *v, uint8_t state, LifeOp op);
void kick_quietly(Vcpu *v); /* our own kick: the EXIT_canceled that it makes is not shown */
void vcpu_free(Vcpu *v);    /* by vm_close: gives the platform's vcpu back if still there */
void vcpu_retire_backend(Vcpu *v);
int vcpu_setup_now(Vcpu *v, const VcpuSetup *s, Err *err);
int events_check(const Vcpu *v, const Event *e, Err *err);

/* bus.c: the board's side. */
void bus_attach(Vm *vm);
/* On the owner, inside run(), before the entry. */
int mail_take(Vcpu *v, Err *err);
/* On the owner, between runs. */
uint64_t guest_ns(Vcpu *v);
int guest_ns_set(Vcpu *v, uint64_t ns, Err *err);
bool vm_is_mapped(Vm *vm, uint64_t at, uint64_t n);
void vcpu_wake(Vcpu *v); /* under lock: a halted one is ready */
/* run.c: an exit that the loop makes is numbered and shown as if it came from the backend. */
void exit_made(Vcpu *v, VmExit *e);

/* vcpu_run with a say in what the observer sees: filter (may be NULL) may mark the exit as completed and returns
 * whether to report it. */
typedef bool (*ExitFilter)(Vm *vm, VmExit *e);
int vcpu_run_filtered(Vcpu *v, const RunArgs *args, VmExit *exit, ExitFilter filter, Err *err);
#endif
