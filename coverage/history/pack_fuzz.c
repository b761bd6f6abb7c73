/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as what a database holds: an error, or columns that pack to what they came from. */
#include "coverage/history/history_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_ids(const uint8_t *raw, size_t n)
{
    int64_t *ids = NULL;
    size_t nids = 0;
    Err err;
    if (!unpack_ids(raw, n, "x", &ids, &nids, &err)) {
        for (size_t i = 1; i < nids; i++) {
            if (ids[i] <= ids[i - 1]) {
                abort();
            }
        }
        mem_free(ids);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { CASES = 7 };
    int64_t sparse[CASES];
    PackCounts counts[CASES];
    uint8_t *raw = NULL;
    size_t nraw = 0;
    Err err;
    if (!unpack_chunk(data, n, "x", &raw, &nraw, &err)) {
        try_ids(raw, nraw);
        mem_free(raw);
    }
    try_ids(data, n);
    if (!unpack_sparse(data, n, "x", sparse, CASES, &err)) {
        Buf again = {0};
        int64_t other[CASES];
        pack_sparse(&again, sparse, CASES);
        if (unpack_sparse((const uint8_t *)again.data, again.n, "x", other, CASES, &err) ||
            memcmp(sparse, other, sizeof other) != 0) {
            abort();
        }
        buf_free(&again);
    }
    (void)!unpack_counts(data, n, "x", counts, CASES, &err);
    return 0;
}
