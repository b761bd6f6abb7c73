/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a report of gcovr, and as a floor: taken whole or refused whole with a place; what was taken can be exported and
 * written. */
#include "coverage/floor.h"
#include "coverage/gcovr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void gcovr(const uint8_t *bytes, size_t n)
{
    Coverage *c = coverage_new(), *back = NULL;
    Err err = {0};
    Buf out = {0};
    int rc = gcovr_read("fuzz", bytes, n, "fuzz", c, &err);
    if (rc != -err.code || (rc && (c->items.n || strncmp(err.text, "fuzz:", 5) != 0))) {
        abort();
    }
    lcov_write(c, &out);
    cobertura_write(c, 0, &out);
    buf_clear(&out);
    coverage_write(c, &out);
    if (!rc && coverage_read("again", out.data, out.n, &back, &err)) {
        abort();
    }
    buf_free(&out);
    coverage_free(back);
    coverage_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    CovFloor f;
    Err err = {0};
    int rc = floor_read("fuzz", bytes, n, &f, &err);
    if (rc != -err.code || (rc && f.list.n)) {
        abort();
    }
    floor_free(&f);
    gcovr(bytes, n);
    return 0;
}
