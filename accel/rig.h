/* SPDX-License-Identifier: Apache-2.0
 * rig.h - for unit tests: a VM on the fake with one vcpu, and what the observer heard of it as text. */
#ifndef ACCEL_RIG_H
#define ACCEL_RIG_H

#include "accel/accel.h"

#include <pthread.h>

typedef struct {
    Vm *vm;
    Vcpu *v;
    pthread_mutex_t lock;
    Buf heard; /* "run Ready>Running 0; exit halt; run Running>Halted 0; " */
} Rig;
/* model NULL = virtualcpu. The vcpu has id 0 and is not set up. cfg NULL = an x86_64 guest. */
void rig_open(Rig *r, const LifeModel *model, const VmConfig *cfg);
void rig_close(Rig *r);
void rig_setup(Rig *r, uint64_t entry);
void rig_script(Rig *r, const char *text); /* of vcpu 0; fails the test when it does not parse */
int rig_ctl(Rig *r, const char *name, const char *text, Buf *out, Err *err);
int rig_run(Rig *r, VmExit *exit); /* for ever */
uint64_t rig_reg(Rig *r, const char *name);
const char *rig_state(const Rig *r);
const char *rig_heard(Rig *r); /* and forgets it at the next call */
bool rig_log_has(Rig *r, const char *text);
#endif
