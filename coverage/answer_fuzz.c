/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a backend's answer to "sim.coverage": taken whole or refused whole; what was taken can be written and read. */
#include "coverage/collect.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    CovJob *j = covjob_new(&life_virtualcpu);
    Coverage *c = coverage_new(), *back = NULL;
    Err err = {0};
    Buf out = {0};
    int rc = covjob_answer(j, bytes, n, &err);
    covjob_end(j, c, coverage_context(c, "b", "g", ""), coverage_scenario(c, "s"));
    if (rc != -err.code || (rc && c->items.n)) {
        abort();
    }
    coverage_write(c, &out);
    if (coverage_read("again", out.data, out.n, &back, &err)) {
        abort();
    }
    buf_free(&out);
    coverage_free(back);
    coverage_free(c);
    covjob_free(j);
    return 0;
}
