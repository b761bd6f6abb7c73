/* SPDX-License-Identifier: Apache-2.0
 * whpx.h - private to accel/whpx: the backend `whpx`, x86-64 guests of the Windows Hypervisor Platform.
 *
 * whpx.c  Backend, open(), VM and vcpu objects        mem.c   RAM, GPA ranges, dirty log
 * run.c   entry, kick, deadline, exits, injection     access.c  pending accesses and the instruction emulator
 * regs.c  registers by id        probe.c  what this host's platform does        api.c   the libraries
 *
 * The partition. What is chosen before the first vcpu (processor count, exits) is fixed by WHvSetupPartition, which is called
 * when the first vcpu is created; what was mapped until then is mapped there.
 *
 * Pending accesses (W3). The platform leaves a device access with nothing done: it tells address and instruction bytes. WinHvEmulation
 * does the instruction by call-backs that want each access's data at once. So the instruction is run with the answers that are
 * there, the first access without one makes it fail before anything is written, and that access is the exit; after the reply
 * the same instruction is run again, which brings up its next access, or retires it.
 *
 * Threads: VmOps come one at a time; vcpus run beside them. What they share is under BeVm.lock. */
#ifndef ACCEL_WHPX_WHPX_H
#define ACCEL_WHPX_WHPX_H

#include "accel/slots.h"
#include "accel/whpx/api.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WHPX_PAGE = 4096 };

typedef struct {
    uint32_t lo, hi; /* inclusive */
} WhpxLeaves;

struct BeVm {
    WHV_PARTITION_HANDLE partition;
    WHV_EMULATOR_HANDLE emulator; /* stateless: for all vcpus */
    uint32_t max_vcpus;
    bool is_set_up;
    VEC(WhpxLeaves) leaves;         /* of CPUID that exit */
    VEC(WHV_MSR_ACTION_ENTRY) msrs; /* that exit */
    uint64_t exceptions;            /* that exit, by vector */
    bool can_step;                  /* exceptions can exit: #DB always does, for steps by the trap flag */
    pthread_mutex_t lock;           /* of mem: vcpus look them up while they emulate */
    Slots mem;
};

typedef struct {
    bool is_io, is_write;
    uint8_t size_bytes;
    uint64_t addr, value; /* of a read: the answer */
} WhpxAccess;

typedef enum {
    PEND_NONE,
    PEND_DUE,     /* an exit awaits reply() */
    PEND_SETTLED, /* the same, and the instruction was finished, or brought to its next access, as somebody looked */
    PEND_OPEN     /* replied; the instruction is finished before anything else */
} WhpxPending;

struct BeVcpu {
    BeVm *vm;
    VcpuConfig cfg;
    UINT32 index;
    bool is_set_up, is_parked;
    WhpxPending pending;
    ExitKind due;               /* of the exit that awaits a reply */
    WHV_RUN_VP_EXIT_CONTEXT at; /* the exit of the instruction under way */
    bool is_emulated;           /* it is done by the emulator, with `accesses`; else by `answer` alone */
    Reply answer;
    VEC(WhpxAccess) accesses;
    size_t nanswered, next;  /* how many have their answer; of those, how many this run of the emulator has used */
    bool has_more;           /* accesses holds one more, which run() has not returned yet */
    bool is_step_open;       /* the exit that awaits a reply interrupted a single step */
    const char *failed_call; /* that a call-back of the emulator made; NULL = none */
    HRESULT failed_result;
    atomic_bool is_kicked, is_inside;
    PTP_TIMER timer;
    atomic_uint_least64_t deadline_ns;
};

/* ---- probe.c ---- */
int whpx_probe(bool *executes_x87, Err *err); /* by a small guest, once per process; THREAD-SAFE */

/* ---- mem.c ---- */
int whpx_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err);
int whpx_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err);
int whpx_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err);
int whpx_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err);
int whpx_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err);
int whpx_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err);
int whpx_mem_apply(BeVm *vm, Err *err); /* maps in the partition what was mapped before it was set up */
void whpx_mem_free(BeVm *vm);
/* For the emulator: what it reads or writes where there is memory with that permission. false: there is none. */
bool whpx_mem_access(BeVm *vm, uint64_t gpa, uint8_t *bytes, size_t n, bool is_write);

/* ---- run.c ---- */
int whpx_run_init(BeVcpu *v, Err *err);
void whpx_run_free(BeVcpu *v);
int whpx_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err);
void whpx_kick(BeVcpu *v);
int whpx_inject(BeVcpu *v, const Event *e, Err *err);
enum { VECTOR_DB = 1 };
void whpx_exit_start(BeVcpu *v, VmExit *exit, ExitKind kind);

/* ---- access.c ---- */
int whpx_emulator_new(WHV_EMULATOR_HANDLE *out, Err *err);
/* The platform left with v->at, an access to a device. 0: *exit is it. 1: the instruction is done, nothing to tell. */
int whpx_access_begin(BeVcpu *v, VmExit *exit, Err *err);
int whpx_access_next(BeVcpu *v, VmExit *exit); /* of an instruction in pieces; 1 = none */
int whpx_reply(BeVcpu *v, const Reply *r, Err *err);
int whpx_settle(BeVcpu *v, Err *err);     /* finishes an instruction that has its answers */
int whpx_look(BeVcpu *v, Err *err);       /* before registers are read: W3 */
int whpx_look_write(BeVcpu *v, Err *err); /* before they are written: -ERR_BUSY while an instruction is under way */
void whpx_abandon(BeVcpu *v);             /* before a reset: nothing of it was done */

/* ---- regs.c ---- */
int whpx_reset(BeVcpu *v, uint64_t entry, Err *err);
int whpx_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err);
int whpx_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err);
int whpx_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err);
/* By the platform's names, for the other files; whole batches. */
int whpx_regs_read(BeVcpu *v, const WHV_REGISTER_NAME *names, WHV_REGISTER_VALUE *values, uint32_t n, Err *err);
int whpx_regs_write(BeVcpu *v, const WHV_REGISTER_NAME *names, const WHV_REGISTER_VALUE *values, uint32_t n, Err *err);
#endif
