/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a snapshot: as they are, and with header and checksum made right, so that what is behind them is reached. */
#include "sim/base/hash.h"
#include "sim/snapshot/snapshot.h"

#include <string.h>

enum { RAM_BYTES = 4 * SPACE_PAGE_BYTES };

static void try(const uint8_t *bytes, size_t n, Space *s)
{
    SnapReader r;
    Err err = {0};
    int rc = snap_open(&r, bytes, n, &err);
    if (rc) {
        if (!err.text[0]) {
            __builtin_trap();
        }
        return;
    }
    size_t count = snap_count(&r, SNAP_TAG('R', 'A', 'M', ' ')), found = 0;
    for (uint32_t i = 0; i < SNAP_MAX_SECTIONS && found < count; i++) {
        Cursor c;
        if (!snap_find(&r, SNAP_TAG('R', 'A', 'M', ' '), i, &c, &err)) {
            found++;
            int checked = snap_check_ram(c, RAM_BYTES, &err), got = snap_get_ram(c, s, 0, &err);
            if (checked != got) {
                __builtin_trap();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Space *s = space_new();
    uint32_t ram;
    Buf b = {0};
    Err err;
    if (space_ram_new(s, RAM_BYTES, &ram, &err)) {
        __builtin_trap();
    }
    try(data, size, s);
    buf_str(&b, "CONFSNAP");
    buf_le(&b, SNAP_VERSION, 4);
    buf_le(&b, size ? data[0] : 0, 4); /* number of sections */
    buf_le(&b, 24 + size + 32, 8);
    buf_bytes(&b, data, size);
    uint8_t sum[32];
    Sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, b.data, b.n);
    sha256_end(&sha, sum);
    buf_bytes(&b, sum, sizeof sum);
    try((const uint8_t *)b.data, b.n, s);
    buf_free(&b);
    space_free(s);
    return 0;
}
