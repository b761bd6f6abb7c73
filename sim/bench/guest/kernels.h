/* SPDX-License-Identifier: Apache-2.0
 * kernels.h - every kernel is self-contained, takes no input and returns a checksum. */
#ifndef SIM_BENCH_GUEST_KERNELS_H
#define SIM_BENCH_GUEST_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define KERNELS(X)                                                                                                     \
    X(empty)                                                                                                           \
    X(alu) X(crc32) X(sha256) X(sort) X(chase) X(memcpy) X(memcpyn) X(strlen) X(bytecode) X(virtcall) X(tak) X(tlbmiss)
#define FP_KERNELS(X) X(matmul) X(matfma) X(nbody)
/* bare metal only: the cost of one event (bare_events.c) */
#define EVENTS(X) X(trap) X(mmio) X(csr) X(smc)
/* What they work in, zeros at first. In a guest it is RAM behind the image, so that no loader writes it. */
enum { AREA_BYTES = 64 << 20 };
extern uint64_t area[AREA_BYTES / 8];

#define X(name) uint64_t k_##name(void);
KERNELS(X)
FP_KERNELS(X)
EVENTS(X)
#undef X
#endif
