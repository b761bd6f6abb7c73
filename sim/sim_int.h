/* SPDX-License-Identifier: Apache-2.0
 * sim_int.h - what sim.c, sim_run.c, sim_board.c, sim_threads.c, simboard.c and sim_boot.c share. Not for others. */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include "sim/base/mem.h"
#include "sim/boot/boot.h"
#include "sim/exec/exec.h"
#include "sim/machine/board.h"
#include "sim/machine/space.h"
#include "sim/sim.h"

#include <assert.h>
#include <pthread.h>

enum { SIM_MAX_VCPUS = 256 };

struct SimVcpu {
    Sim *s;
    ExecVcpu *x;
    uint8_t id;
    SimReset how;
    _Atomic bool is_parked; /* waits for a start */
    bool is_suspended;      /* by the firmware, until it wakes */
    bool serves_board;      /* of the run that is going on */
    bool keeps_board;       /* the board's lock, in this slice */
    SpaceHit io;            /* where it found a device last, */
    uint64_t io_version;    /* as of this version of the map; 0: nowhere yet */
    Slot reg_slot;          /* of the register that an access stopped for last: */
    RegId reg_id;
    /* sim_threads.c */
    pthread_t thread;
    _Atomic bool is_out; /* it has ended */
    bool has_stop;       /* under stop_lock: `stop`, which nobody was told of */
    SimExit stop;
};

typedef struct { /* remote fences that a firmware call asked for */
    unsigned n;
    struct {
        SimVcpu *vcpu;
        uint64_t ticket;
    } hart[DEVICE_MAX_VCPUS];
} SimFences;

struct Sbi;
typedef struct SimMachine { /* what sim_board made */
    SimBoardConfig cfg;
    Board *board;
    struct Sbi *sbi;                       /* NULL: firmware calls stop */
    SimCard *own_card[SIM_CARD_SLOTS + 1]; /* the entropy source; of a twin all */
    Buf fdt;
    uint64_t timer_ns[SIM_MAX_VCPUS]; /* the firmware's timers; UINT64_MAX = off */
    bool has_tohost;
    uint64_t tohost;
    _Atomic bool is_finished;
    int finish_kind;
    uint32_t finish_code;
    pthread_mutex_t lock;        /* of sbi; before the board's own */
    pthread_mutex_t finish_lock; /* nothing else is taken under it */
    /* the round that is going on */
    uint64_t round_ns;
    unsigned turn;
    /* sim_threads.c */
    bool is_threaded; /* between sim_start and sim_halt */
    _Atomic bool is_halting;
    unsigned nthreads;
    uint64_t epoch_ns; /* os_now_ns() at guest time 0; 0 = not yet */
    SimFences *fences; /* of the call that holds `lock` */
    pthread_mutex_t stop_lock;
    pthread_cond_t stop_cond; /* some vcpu has_stop */
} SimMachine;

struct Sim {
    SimConfig cfg;
    const GuestIsa *isa;
    void *cpu;
    struct Worker *worker; /* NULL: no jit_threads */
    Space *space;
    _Atomic(SimVcpu *) vcpu[SIM_MAX_VCPUS]; /* one that runs looks for the others while more are made */
    _Atomic unsigned nvcpus;
    SimMachine *machine; /* NULL: bare */
    bool is_covered;
};

/* sim_boot.c: images and the device tree into the memory of a machine. fdt is appended to, and whole even if it fails for want of
 * room; where vcpus begin is in *out. */
typedef struct {
    Board *board;
    uint64_t ram_bytes;
    const char *isa, *mmu; /* BoardFdt's */
    uint16_t elf_machine;
} SimPlace;
typedef struct {
    uint64_t entry, fdt;
    uint64_t info; /* of the firmware: what runs after it; 0: no firmware */
    bool has_tohost;
    uint64_t tohost;
} SimStart;
MUST_USE int sim_boot_place(const SimPlace *where, const SimBoot *boot, const BootMem *m, Buf *fdt, SimStart *out,
                            Err *err);

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
void sim_finish_fill(Sim *s, SimExit *out);                      /* the guest has ended the machine */
void sim_serve(SimVcpu *v, bool serves_board);                   /* before a run: does it access devices itself? */
void sim_exit_fill(SimVcpu *v, ExecStop stop, SimExit *out);

bool sim_threads_stop_take(Sim *s, uint8_t *who,
                           SimExit *out); /* a stop that nobody was told of: once. No vcpu runs. */
/* While is_threaded: */
void sim_threads_fence(Sim *s, unsigned hart, bool is_code); /* within a firmware call */
void sim_threads_fences_wait(SimVcpu *v, const SimFences *fences);
void sim_threads_settled(const SimVcpu *v);
void sim_threads_look(Sim *s); /* a device's deadline may have moved */
#endif
