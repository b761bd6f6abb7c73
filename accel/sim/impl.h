/* SPDX-License-Identifier: Apache-2.0
 * impl.h - private to accel/sim: the backends `sim-*`, guest machines of the reference simulator through sim/sim.h.
 *
 * sim.c     Backend, open(), VM        vcpu.c    life, registers, events
 * run.c     entry, budgets, deadlines, pending accesses        riscv64.c    what one guest adds
 *
 * Pending accesses (W3). The simulator retires a replied access when it is asked to: sim_settle, or the next sim_run. A
 * store is replied to and settled when somebody looks before the caller has answered; its answer then does nothing. A further
 * piece of the same instruction that settling brings up is kept and returned by the next run().
 *
 * Kicks (W5). is_kicked is the truth; sim_kick only makes sim_run look. What it leaves behind when the kick was taken without
 * it is ignored.
 *
 * Threads: VmOps come one at a time; vcpus run beside them, each on its thread. A SimVcpu lives as long as its VM, as the other
 * vcpus' threads may be telling it about code that they write. */
#ifndef ACCEL_SIM_IMPL_H
#define ACCEL_SIM_IMPL_H

#include "accel/accel.h"
#include "sim/base/mem.h"
#include "sim/sim.h"

#include <stdatomic.h>

enum { MAX_VCPUS = 256, MAX_BREAKS = 64 };

/* What one guest adds. */
typedef struct {
    GuestId guest;
    void (*caps)(Caps *); /* sets what differs from the common capabilities */
    /* A call to the absent level above, as the simulator shows it: made into cpu_up and the like where it is one of those. */
    void (*call)(VmExit *e);
    int (*inject)(BeVcpu *v, const Event *e, Err *err);
} SimArch;
extern const SimArch sim_arch_riscv64;

typedef struct SimMachineRun SimMachineRun;
struct BeVm {
    const Backend *backend;
    const SimArch *arch;
    Sim *sim;
    Env env;
    const Board *board;
    SimVcpu *vcpus[MAX_VCPUS];
    SimMachineRun *machine; /* NULL: no part of machine.h was asked for */
};

typedef enum {
    PEND_NONE,
    PEND_DUE,     /* an exit awaits reply() */
    PEND_SETTLED, /* the same, and the store has retired already, as somebody looked */
    PEND_REPLIED  /* replied; retires when it is settled */
} SimPending;

struct BeVcpu {
    BeVm *vm;
    SimVcpu *s;
    VcpuConfig cfg;
    bool is_set_up;
    bool is_parked; /* secondary: idles until a pc or a runnable mp_state is written */
    SimPending pending;
    bool is_store_due; /* the exit that awaits a reply is a store to a device */
    bool has_kept;
    SimExit kept;      /* a further piece, not yet returned by run() */
    bool is_step_open; /* the exit that awaits a reply interrupted a single step */
    uint64_t
        shown_insns; /* retired when run() returned last: what settling retires since then counts for the next budget */
    atomic_bool is_kicked;
};

void sim_cap_set(Caps *caps, Cap cap, CapLevel level, const char *why);

/* ---- run.c ---- */
int sim_be_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err);
int sim_be_reply(BeVcpu *v, const Reply *r, Err *err);
void sim_be_kick(BeVcpu *v);
int sim_look(BeVcpu *v, Err *err);       /* before registers are read: W3 */
int sim_look_write(BeVcpu *v, Err *err); /* before they are written: -ERR_BUSY while an instruction is under way */

ExitKind sim_exit_kind(SimExitKind kind);

/* ---- machine.c ---- */
extern const char *const sim_machine_ctls[];
int sim_machine_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err);
void sim_machine_free(SimMachineRun *m); /* NULL is fine */

/* ---- vcpu.c ---- */
extern const VcpuOps sim_vcpu_ops;
#endif
