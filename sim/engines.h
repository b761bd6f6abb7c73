/* SPDX-License-Identifier: Apache-2.0
 * engines.h - internal: the objects behind SimEngine. */
#ifndef SIM_ENGINES_H
#define SIM_ENGINES_H

#include "sim/ir/ir.h"
#include "sim/sim.h"

/* NULL, and the reason in *why, if this host or build does not have it. */
const Engine *engine_of(SimEngine e, const char **why);
#endif
