/* SPDX-License-Identifier: Apache-2.0
 * exec_double.h - what guest.h asks of the dispatcher, for tests of a guest alone: notes what was asked. One thread. */
#ifndef SIM_GUEST_RISCV64_DOUBLE_EXEC_DOUBLE_H
#define SIM_GUEST_RISCV64_DOUBLE_EXEC_DOUBLE_H

#include <stdint.h>

typedef struct {
    uint64_t now_ns; /* what exec_now_ns answers */
    unsigned tlb_flushes, code_flushes;
    uint64_t gva, space_tag; /* of the last flush */
} ExecDouble;
extern ExecDouble exec_double;
#endif
