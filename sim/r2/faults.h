/* SPDX-License-Identifier: Apache-2.0
 * faults.h - the precision half of R2. */
#ifndef SIM_R2_FAULTS_H
#define SIM_R2_FAULTS_H

#include "sim/r2/machine.h"

/* n injections into the program: a page taken away, a page made a device, or the end of a budget, at random points; the emitter's
 * machine against the interpreter with blocks of one instruction. Returns how many differed. total: instructions of the program;
 * break_table: -1, or which entry of the side tables to spoil. */
unsigned long faults_run(const Program *p, const JitConfig *cfg, unsigned long n, uint64_t seed, uint64_t total,
                         int break_table);
#endif
