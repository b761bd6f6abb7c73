/* SPDX-License-Identifier: Apache-2.0
 * sim_int.h - what sim.c, sim_run.c and sim_board.c share. Not for others. */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include "sim/base/mem.h"
#include "sim/exec/exec.h"
#include "sim/machine/board.h"
#include "sim/machine/space.h"
#include "sim/sim.h"

#include <assert.h>

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
    bool is_parked;    /* waits for a start */
    bool is_suspended; /* by the firmware, until it wakes */
    bool serves_board; /* of the run that is going on */
};

struct Sbi;
typedef struct SimMachine { /* what sim_board made */
    SimBoardConfig cfg;
    Board *board;
    struct Sbi *sbi;                       /* NULL: firmware calls stop */
    SimCard *own_card[SIM_CARD_SLOTS + 1]; /* the entropy source; of a twin all */
    Buf fdt;
    uint64_t timer_ns[SIM_MAX_VCPUS]; /* the firmware's timers; UINT64_MAX = off */
    bool has_tohost, is_finished;
    uint64_t tohost;
    int finish_kind;
    uint32_t finish_code;
    /* the round that is going on */
    uint64_t round_ns;
    unsigned turn;
} SimMachine;

struct Sim {
    SimConfig cfg;
    const GuestIsa *isa;
    void *cpu;
    Space *space;
    _Atomic(SimVcpu *) vcpu[SIM_MAX_VCPUS]; /* one that runs looks for the others while more are made */
    _Atomic unsigned nvcpus;
    SlotReg *slot_regs; /* the guest's registers by slot */
    size_t nslot_regs;
    SimMachine *machine; /* NULL: bare */
};

/* sim_board.c: what the vcpus of a Sim with a board ask of it */
bool sim_board_call(SimVcpu *v);
uint64_t sim_board_deadline(SimVcpu *v);
void sim_board_tick(SimVcpu *v);
bool sim_board_is_watched(const Sim *s, uint64_t gpa, uint64_t n);
void sim_board_watched(SimVcpu *v);
void sim_board_free(Sim *s);
void sim_board_watch(Sim *s);                                    /* marks the page of tohost */
int sim_board_twin(Sim *t, const SimBoardConfig *cfg, Err *err); /* a machine around RAM that is there (fork) */
void sim_space_set(Sim *s, Space *space);                        /* takes it, instead of the one that a new Sim has */
void sim_exit_fill(SimVcpu *v, ExecStop stop, SimExit *out);
#endif
