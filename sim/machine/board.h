/* SPDX-License-Identifier: Apache-2.0
 * board.h - a machine around the vcpus, built from data: rows of devices with their addresses and wires. Tables for each guest are
 * in sim/devices/boards.h.
 *
 * Used by sim.c, whose vcpus reach it through a Space, and through sim.h by other backends' vcpus, by address.
 *
 * THREADS. All functions are THREAD-SAFE behind one lock of the board, except new, free and attach. The call-backs of
 * BoardHost run under that lock, on the thread of the caller: they must not call the board.
 * TIME. Each vcpu has a clock; a device sees that of the vcpu on whose behalf it is called. */
#ifndef SIM_MACHINE_BOARD_H
#define SIM_MACHINE_BOARD_H

#include "sim/machine/device.h"
#include "sim/machine/fdt.h"
#include "sim/machine/space.h"

enum { BOARD_MAX_DEVICES = 16 };
typedef struct BoardRow {
    const DeviceType *type;
    uint64_t base;
    uint32_t irq;     /* where output 0 goes: a wire of the interrupt controller; 0 = nowhere */
    uint32_t param;   /* Device.param */
    bool is_console;  /* input goes here; chosen/stdout-path. At most one. */
    bool is_irq_chip; /* takes the irq wires. At most one. */
} BoardRow;
/* What the device tree says beside the devices. */
typedef struct BoardFdt {
    uint64_t ram_bytes;
    const char *isa, *mmu;             /* as the guest's binding spells them: "rv64imac_zicsr", "riscv,sv39" */
    const char *append;                /* kernel command line; NULL = none */
    uint64_t initrd_start, initrd_end; /* equal: none */
} BoardFdt;
typedef struct BoardDef {
    const char *guest; /* "riscv64" */
    bool is_virt;      /* as under a hypervisor: SimConfig.is_virt */
    const char *compatible, *model;
    uint64_t ram_base;
    uint32_t max_vcpus; /* at most DEVICE_MAX_VCPUS */
    const BoardRow *rows;
    size_t nrows;
    void (*fdt_cpus)(Fdt *f, unsigned nvcpus, const BoardFdt *what); /* the node /cpus */
} BoardDef;

typedef struct BoardHost {
    void *ctx;
    void (*line)(void *ctx, unsigned vcpu, unsigned line, bool level); /* WIRE_x */
    uint64_t (*now_ns)(void *ctx, unsigned vcpu);
    void (*output)(void *ctx, const void *bytes, size_t n);            /* of the console */
    void (*finish)(void *ctx, unsigned vcpu, int kind, uint32_t code); /* FINISH_x: the guest ends the machine */
    /* As DeviceHost's; NULL = devices find no RAM. */
    bool (*mem_read)(void *ctx, uint64_t gpa, void *bytes, size_t n);
    bool (*mem_write)(void *ctx, uint64_t gpa, const void *bytes, size_t n);
    bool (*mem_discard)(void *ctx, uint64_t gpa, size_t n);
    void *(*peer)(void *ctx, const BoardRow *row); /* Device.peer of a row; NULL = nothing is plugged in anywhere */
} BoardHost;

typedef struct Board Board;
/* Devices are reset. def is borrowed, host is copied. -ERR_LIMIT: no vcpu, or more than the board takes. */
MUST_USE int board_new(const BoardDef *def, unsigned nvcpus, const BoardHost *host, Board **out, Err *err);
void board_free(Board *b); /* NULL is fine; the Space it is attached to must be gone or unused */
void board_reset(Board *b);
/* Puts every device into the Space, in whole pages; what of a page is beyond a device's window is a bus error. On failure nothing
 * is left there. */
MUST_USE int board_attach(Board *b, Space *s, Err *err);
const BoardDef *board_def(const Board *b);
/* Takes the lock for this thread, whose calls then pay nothing for it, until board_give by the same thread; the others wait meanwhile.
 * false: not this time, as somebody waits for the lock. For a thread that makes many accesses while hardly anybody else makes any. */
MUST_USE bool board_keep(Board *b);
void board_give(Board *b);

/* Next instant of vcpu's clock at which board_tick is due; UINT64_MAX = none. An access by any vcpu may change it. */
uint64_t board_deadline(Board *b, unsigned vcpu);
void board_tick(Board *b, unsigned vcpu);
void board_poll(Board *b); /* devices take what came to their peers from outside */
/* Console: bytes from outside; returns how many were taken. take: bytes not yet read, for firmware. write: firmware's. */
size_t board_input(Board *b, const void *bytes, size_t n);
size_t board_console_take(Board *b, void *bytes, size_t cap);
void board_console_write(Board *b, const void *bytes, size_t n);

/* By address, for vcpus that do not use the Space. NULL: no device there. Takes no lock: the rows are constant. */
const BoardRow *board_claims(const Board *b, uint64_t gpa);
/* 0, or -ERR_FAULT: bus error (no device, or no such register). */
int board_access(Board *b, unsigned vcpu, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value);

void board_fdt(Board *b, const BoardFdt *what, Buf *out); /* appends the flattened device tree */
/* Coverage: counts from now on, until the end. What was reached is appended as device_cover() does. */
void board_cover(Board *b);
void board_cover_read(Board *b, Buf *out);
int board_saveable(Board *b, Err *err); /* -ERR_UNSUPPORTED: which device cannot be saved as it is, and why */
void board_save(Board *b, Buf *out);    /* appends */
/* Restores what board_save wrote for a board of the same rows and number of vcpus, and sets the lines of all vcpus: after they
 * were restored. -ERR_INVAL with nothing changed. */
MUST_USE int board_restore(Board *b, Cursor *in, Err *err);
#endif
