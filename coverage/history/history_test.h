/* SPDX-License-Identifier: Apache-2.0
 * history_test.h - an empty database for each test: a file in a folder of its own, or the PostgreSQL that CONF_TEST_POSTGRES names. */
#ifndef COVERAGE_HISTORY_HISTORY_TEST_H
#define COVERAGE_HISTORY_HISTORY_TEST_H

#include "coverage/history/history_int.h"
#include "coverage/history/synthetic.h"

typedef struct {
    char folder[64], file[96]; /* file: in the folder, not made yet */
    const char *where;         /* what to open: the file, or the URL */
    bool is_url;
} TestPlace;
TestPlace place_new(void);
void place_free(TestPlace *p);
/* Opens; a failure is a failed check, and NULL. */
History *place_open(const TestPlace *p);
/* One run with the given statuses of cases c0, c1 ... on backend "b", '.' passed F failed s skipped, in order; at hour `hour`. */
int add_letters(History *h, const char *uid, const char *commit, int hour, const char *letters, Err *err);
#endif
