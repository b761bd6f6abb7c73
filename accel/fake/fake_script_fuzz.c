/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a script: an error with a line, or entries within bounds. Nothing is played. */
#include "accel/fake/script.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (!n) {
        return 0;
    }
    Script s;
    Err err = {0};
    GuestId guest = (GuestId)(1 + bytes[0] % (GUEST_COUNT - 1));
    int rc = script_parse(guest, (const char *)bytes + 1, n - 1, &s, &err);
    if (rc ? !err.text[0] || s.entries.n : s.entries.n > SCRIPT_MAX_ENTRIES) {
        abort();
    }
    fake_script_free(&s);
    return 0;
}
