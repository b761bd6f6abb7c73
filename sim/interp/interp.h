/* SPDX-License-Identifier: Apache-2.0
 * interp.h - the threaded interpreter of the slot IR, as an Engine (ir.h). It knows slots and never registers of a guest.
 *
 * A block is lowered to an array of 24-byte operations, each beginning with the address of its handler. Neighbours that
 * pairs.def names share a handler, which saves the second dispatch; the array stays the same, so nothing else needs to know.
 * Linked exits go from block to block without leaving the handler loop: one subtraction from the budget per block. */
#ifndef SIM_INTERP_INTERP_H
#define SIM_INTERP_INTERP_H

#include "sim/ir/ir.h"

extern const Engine engine_interp;
#endif
