/* SPDX-License-Identifier: Apache-2.0
 * machine.h - a whole machine that a backend boots and runs by itself (CAP_boot): firmware, kernel, devices and all vcpus are
 * inside, and nobody above sees single exits. A Vm may become such a machine, in one attempt, before it has memory or vcpus of its own.
 *
 * Deterministic where the backend's time is virtual: the same images, slices and input give the same output and end.
 * THREADS. One at a time, and beside no other operation on the Vm. */
#ifndef ACCEL_MACHINE_H
#define ACCEL_MACHINE_H

#include "accel/accel.h"

typedef struct {
    const char *name;  /* for errors; NULL: there is none */
    const void *bytes; /* borrowed for the call */
    size_t n;
} MachineFile;
enum { MACHINE_DRIVES = 4 };
typedef struct {
    MachineFile bios, kernel, initrd;   /* what goes where: sim/sim.h, SimBoot. At least a bios or a kernel. */
    const char *append;                 /* kernel command line; NULL = none */
    MachineFile drives[MACHINE_DRIVES]; /* raw images, whole sectors; what the guest writes is gone with the machine */
    const char *net; /* a network card: "loopback", or "user": NAT and DHCP, of the host's time; NULL = none */
    uint64_t ram_bytes;
    uint32_t nvcpus;
} MachineBoot;
/* -ERR_UNSUPPORTED without CAP_boot; what is wrong with an image is said as the backend says it. */
MUST_USE int machine_boot(Vm *vm, const MachineBoot *what, Err *err);

typedef struct {
    ExitKind
        kind; /* budget: the slice is over; system_down, system_reset; halt: all idle, and no timer will wake any */
    uint64_t reason; /* of system_down: 1 = the guest says that it failed */
    uint64_t insns;  /* retired by all vcpus so far */
    uint64_t now_ns; /* guest time */
    size_t ntaken;   /* of what was typed; what there was no room for is typed again */
} MachineStop;
/* Types, then runs for a slice of guest time of 1 ns to 1 s (MACHINE_SLICE_MAX_NS), or until the machine ends. output is
 * appended to. -ERR_STATE: nothing was booted. */
MUST_USE int machine_run(Vm *vm, uint64_t for_ns, const void *typed, size_t ntyped, Buf *output, MachineStop *out,
                         Err *err);

/* How it crosses vm_ctl, little-endian:
 *   machine.image  in: u8 which (0 bios, 1 kernel, 2 initrd, from 3 on the drives), u16 n, name[n], the bytes
 *   machine.boot   in: u64 ram_bytes, u32 nvcpus, u8 n, net[n], u8 has_append, append
 *   machine.run    in: u64 for_ns, what is typed; out: u32 ExitKind, u64 reason, u64 insns, u64 now_ns, u32 ntaken, output */
#define MACHINE_CTL_IMAGE "machine.image"
#define MACHINE_CTL_BOOT  "machine.boot"
#define MACHINE_CTL_RUN   "machine.run"
enum {
    MACHINE_IMAGES = 3 + MACHINE_DRIVES,
    MACHINE_NAME_MAX = 1024,
    MACHINE_TYPED_MAX = 64 << 10,
    MACHINE_SLICE_MAX_NS = 1000000000
};
#endif
