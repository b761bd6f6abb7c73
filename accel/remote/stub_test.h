/* SPDX-License-Identifier: Apache-2.0
 * stub_test.h - a backend for the tests of this folder: it does what its register 0 says,
 * misbehaviour included. */
#ifndef ACCEL_REMOTE_STUB_TEST_H
#define ACCEL_REMOTE_STUB_TEST_H

#include "accel/remote/remote.h"
#include "sim/base/mem.h"

#include <stdatomic.h>

#define STUB_REG(i) REG_ID(GUEST_x86_64, 3, REG_GPR, i)
#define STUB_VEC    REG_ID(GUEST_x86_64, 4, REG_VEC, 0)
#define STUB_RO     REG_ID(GUEST_x86_64, 3, REG_CTL, 1)
enum { /* register 0: what run() does */
       STUB_HALT,
       STUB_MMIO_READ, /* the reply's value goes to register 1 */
       STUB_SPIN,      /* until kicked or the deadline */
       STUB_SEGV,
       STUB_DEAF, /* for ever */
       STUB_EAT,  /* memory, until there is none: -ERR_NOMEM */
       STUB_FAIL, /* -ERR_UNSUPPORTED with every field of Err */
       STUB_BURN, /* CPU time, for ever */
};
extern const Backend stub_backend;
extern atomic_int stub_vms, stub_vcpus, stub_wrong_thread, stub_kicks, stub_deaf_stop,
    stub_is_tame; /* tame: no program that harms */
const Backend *stub_find(void *ctx, const char *name, Err *err);

/* A server of stub_find on a thread, over a socket pair or two pipes, and a link to it. */
typedef struct {
    RemoteLink *link;
    const Backend *be;
    BeVm *vm;
    BeVcpu *v;
    unsigned long thread;
    int fd_in, fd_out, rc;
    Err err;
} Ends;
bool ends_open(Ends *e, bool is_pipes);
bool ends_vcpu(Ends *e);  /* opens x86_64, makes a VM with 64 KiB at 0 and a vcpu that is set up */
void ends_close(Ends *e); /* destroys what there is, closes, joins */
int stub_program(const Backend *b, BeVcpu *v, uint64_t program);
#endif
