/* SPDX-License-Identifier: Apache-2.0
 * floor.h - limits on percentages: those of a command line, and the floor, a file that holds what was reached once and must not be
 * lost again.
 *
 * A limit is of KIND, KIND/GROUP, KIND@BACKEND or KIND/GROUP@BACKEND ("lifecycle/axvcpu legal@kvm"; the program itself has no
 * backend: c_line/sim). Percentages are cut after two digits, so that a floor that was just made holds. */
#ifndef COVERAGE_FLOOR_H
#define COVERAGE_FLOOR_H

#include "coverage/coverage.h"

typedef struct {
    char *of;            /* "exit@kvm" */
    uint32_t percent100; /* 9950 is 99.50 % */
} CovLimit;
typedef struct {
    VEC(CovLimit) list;
} CovFloor;
void floor_free(CovFloor *f);
/* "exit@kvm=95" or "=95.5"; -ERR_INVAL. */
MUST_USE int floor_add(CovFloor *f, const char *text, Err *err);
/* The file; one that is not there is empty. -ERR_INVAL with the place. */
MUST_USE int floor_read(const char *name, const void *bytes, size_t n, CovFloor *out, Err *err);
MUST_USE int floor_load(const char *path, CovFloor *out, Err *err);
MUST_USE int floor_save(const CovFloor *f, const char *path, Err *err);
/* Appends a line for each limit that is not met, "exit@kvm: 90.00 % of 20, the limit is 95.00 %\n", and says in *nabsent how many
 * are of what these runs do not have (a backend that was not here). The number of lines. */
size_t floor_check(const CovFloor *f, const Coverage *c, const CovTally *t, Buf *out, size_t *nabsent);
/* Raises what is there and adds what is new: kinds of all backends together and of each, and groups of the program. Never
 * lowers. How many changed. */
size_t floor_raise(CovFloor *f, const Coverage *c, const CovTally *t);
#endif
