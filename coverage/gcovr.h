/* SPDX-License-Identifier: Apache-2.0
 * gcovr.h - what gcov saw of the program itself, from gcovr's JSON report (gcovr --json), and what CI tools read. */
#ifndef COVERAGE_GCOVR_H
#define COVERAGE_GCOVR_H

#include "coverage/coverage.h"

/* Adds the lines, functions and branches of a report as items of the kinds c_line ("accel/vm.c:12"), c_function
 * ("accel/vm.c vm_open") and c_branch ("accel/vm.c:12#0"), grouped by top folder, reached by `what` in the context of the program
 * itself. All or nothing: -ERR_INVAL, -ERR_LIMIT with NAME:LINE:COLUMN. */
MUST_USE int gcovr_read(const char *name, const void *bytes, size_t n, const char *what, Coverage *into, Err *err);

/* Cobertura (XML) and lcov: the C code by its files and lines, everything else as files "conf/KIND/GROUP" whose functions are the
 * items, numbered from 1. Only what is listed and could be reached. time_s: since 1970, for Cobertura's timestamp. */
void cobertura_write(const Coverage *c, uint64_t time_s, Buf *out);
void lcov_write(const Coverage *c, Buf *out);
#endif
