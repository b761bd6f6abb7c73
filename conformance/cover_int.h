/* SPDX-License-Identifier: Apache-2.0
 * cover_int.h - what the files of `conf coverage` share. */
#ifndef CONFORMANCE_COVER_INT_H
#define CONFORMANCE_COVER_INT_H

#include "conformance/plan.h"
#include "coverage/coverage.h"

typedef struct {
    Words files, backends, kinds; /* of the last two none: all */
    const char *thing;            /* why */
    bool is_verbose, has_groups;
} CoverQuery;
bool cover_wants(const Words *words, const char *name);
/* Print, and return the exit status. */
int cover_why(const CoverQuery *q, const Coverage *c);
int cover_gaps(const CoverQuery *q, const Coverage *c);
int cover_excluded(const CoverQuery *q, const Coverage *c);
#endif
