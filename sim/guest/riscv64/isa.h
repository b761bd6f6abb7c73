/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_GUEST_RISCV64_ISA_H
#define SIM_GUEST_RISCV64_ISA_H

#include "sim/guest/guest.h"

extern const GuestIsa guest_riscv64;
#endif
