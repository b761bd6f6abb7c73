/* SPDX-License-Identifier: Apache-2.0
 * Bytes choose a program; every engine of engines.def runs it as the oracle does. The first byte: which FP rules. */
#include "sim/crosscheck/crosscheck.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static World *oracle[CROSS_GUESTS], *other[CROSS_GUESTS][2 * CROSS_ENGINES];
    static Program p;
    if (!n) {
        return 0;
    }
    CrossGuest guest = (CrossGuest)(bytes[0] % CROSS_GUESTS);
    oracle[guest] = oracle[guest] ? oracle[guest] : world_new(&engine_oracle, guest, false);
    program_random(&p, &(Choices){.bytes = bytes + 1, .n = n - 1});
    for (unsigned i = 0; i < 2 * CROSS_ENGINES; i++) {
        const Engine *e = cross_engine(i / 2);
        if (!e) {
            continue;
        }
        other[guest][i] = other[guest][i] ? other[guest][i] : world_new(e, guest, i & 1);
        Buf report = {0};
        if (!cross_check(oracle[guest], other[guest][i], &p, &report)) {
            printf("%s", buf_text(&report));
            fflush(stdout);
            abort();
        }
        buf_free(&report);
    }
    return 0;
}
