/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/select.h"

#include "sim/base/mem.h"

#include <string.h>

static const char *const ORDER[] = {"kvm", "hvf", "whpx", "sim-jit", "sim-hybrid", "sim-interp"};

const char *const *select_order(size_t *n)
{
    *n = ARRAY_LEN(ORDER);
    return ORDER;
}

/* "kvm: WHY\n"; names in a row with the same reason share a line. */
static void reason_add(Buf *reasons, const char *name, const char *why)
{
    size_t tail = strlen(why) + strlen(": \n");
    const char *end = reasons->n > tail ? reasons->data + reasons->n - tail : NULL;
    if (end && !strncmp(end, ": ", 2) && !strncmp(end + 2, why, strlen(why))) {
        Buf head = {0};
        buf_bytes(&head, reasons->data, reasons->n - tail);
        buf_clear(reasons);
        buf_printf(reasons, "%s, %s: %s\n", buf_text(&head), name, why);
        buf_free(&head);
    } else {
        buf_printf(reasons, "%s: %s\n", name, why);
    }
}

const char *select_best(GuestId guest, SelectOpen *open, void *ctx, Buf *reasons)
{
    for (size_t i = 0; i < ARRAY_LEN(ORDER); i++) {
        Err err = {0};
        int rc = backend_find(ORDER[i]) ? open(ctx, ORDER[i], guest, &err)
                                        : err_set(&err, ERR_UNAVAILABLE, "not part of this build");
        if (!rc) {
            return ORDER[i];
        }
        if (reasons) {
            reason_add(reasons, ORDER[i], err.text[0] ? err.text : err_sentence(rc));
        }
    }
    return NULL;
}
