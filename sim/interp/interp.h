/* SPDX-License-Identifier: Apache-2.0
 * interp.h - the threaded interpreter of the slot IR, as an Engine (ir.h). It knows slots and never registers of a guest.
 *
 * A block is lowered to an array of 24-byte operations, each beginning with the address of its handler. Neighbours that
 * runs.def names share a handler: one dispatch for two or three, and a value that goes from one to the next stays in a host
 * register. Accesses of 8 bytes from one base share a look into the TLB. The array stays the same, so nothing else knows.
 * Linked exits go from block to block without leaving the handler loop: one addition to the budget per block. */
#ifndef SIM_INTERP_INTERP_H
#define SIM_INTERP_INTERP_H

#include "sim/ir/ir.h"

extern const Engine engine_interp;
#endif
