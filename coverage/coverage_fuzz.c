/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a coverage file: refused with a place, or read; what was read is written, read and written as the same
 * bytes, merges with itself to nothing new, and can be counted. */
#include "coverage/coverage.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void count(const Coverage *c)
{
    CovMatrix m;
    CovTally t;
    Buf out = {0};
    if (c->items.n * c->contexts.n * (c->rules.n + 1) > 1 << 20) {
        return; /* right, but slow */
    }
    coverage_matrix(c, &m);
    coverage_tally(c, &m, &t);
    for (size_t i = 0; i < t.rows.n; i++) {
        if (t.rows.items[i].covered > t.rows.items[i].total || t.rows.items[i].total > c->items.n) {
            abort();
        }
    }
    coverage_contradictions(c, &out);
    buf_free(&out);
    coverage_tally_free(&t);
    coverage_matrix_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Coverage *c = NULL, *back = NULL, *all = coverage_new();
    Err err = {0};
    Buf first = {0}, second = {0};
    int rc = coverage_read("fuzz", bytes, n, &c, &err);
    if (rc != -err.code || (rc != 0) != (c == NULL) || (rc && strncmp(err.text, "fuzz:", 5) != 0)) {
        abort();
    }
    if (!rc) {
        coverage_write(c, &first);
        if (coverage_read("again", first.data, first.n, &back, &err) || coverage_merge(all, back, &err)) {
            abort();
        }
        coverage_write(all, &second);
        if (first.n != second.n || memcmp(first.data, second.data, first.n) != 0) {
            abort();
        }
        count(c);
    }
    buf_free(&first);
    buf_free(&second);
    coverage_free(c);
    coverage_free(back);
    coverage_free(all);
    return 0;
}
