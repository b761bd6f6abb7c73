/* SPDX-License-Identifier: Apache-2.0
 * probe_int.h - the small VM that probes and hostile checks are made in. */
#ifndef CONFORMANCE_PROBE_INT_H
#define CONFORMANCE_PROBE_INT_H

#include "accel/accel.h"

/* PROBE_RUN_MS: of a run that shall end at its deadline; PROBE_PATIENCE_MS: of one that ends before, if all is well, on a busy host too */
enum { PROBE_RAM_BYTES = 1 << 16, PROBE_RUN_MS = 200, PROBE_PATIENCE_MS = 10000 };
typedef struct {
    const Backend *b;
    GuestId guest;
    const Caps *caps;
    Vm *vm;
    Vcpu *v; /* set up, pc at the loop; the loop is there where the backend executes */
    const LifeModel *model;
    RamId ram;
    Err err;
} Probe;
/* Guest RAM begins here, and the loop, one instruction, is its start. */
uint64_t probe_ram_at(GuestId guest);
/* b, guest, caps and model are given; the caller closes vm, also when this fails. */
MUST_USE int probe_open(Probe *p);
/* rc == 0; else "what: the error" is appended to why. */
bool probe_held(const Probe *p, int rc, const char *what, Buf *why);
#endif
