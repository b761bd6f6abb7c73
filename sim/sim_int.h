/* SPDX-License-Identifier: Apache-2.0
 * sim_int.h - what sim.c, sim_run.c and sim_board.c share. Not for others. */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include "sim/base/mem.h"
#include "sim/exec/exec.h"
#include "sim/machine/space.h"
#include "sim/sim.h"

enum { SIM_MAX_VCPUS = 256 };

typedef struct {
    Slot at;
    RegId id;
} SlotReg;

struct SimVcpu {
    Sim *s;
    ExecVcpu *x;
    uint8_t id;
    SimReset how;
    bool is_parked;
    bool serves_board; /* of the run that is going on */
};

struct Sim {
    SimConfig cfg;
    const GuestIsa *isa;
    void *cpu;
    Space *space;
    SimVcpu *vcpu[SIM_MAX_VCPUS];
    _Atomic unsigned nvcpus;
    SlotReg *slot_regs; /* the guest's registers by slot */
    size_t nslot_regs;
};

void sim_exit_fill(SimVcpu *v, ExecStop stop, SimExit *out);
#endif
