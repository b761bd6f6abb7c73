/* SPDX-License-Identifier: Apache-2.0
 * dashboard_gcovr_fuzz.c - any bytes as gcovr's summary and index, parted at the first 0: refused with a sentence, or links that are
 * plain names of files. */
#include "coverage/dashboard/dashboard.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    Err err = {0};
    Dash *d = dash_new();
    const uint8_t *zero = n ? memchr(bytes, 0, n) : NULL;
    size_t njson = zero ? (size_t)(zero - bytes) : n;
    int rc = import_gcovr(d, "fuzz", bytes, njson, zero ? zero + 1 : NULL, zero ? n - njson - 1 : 0, "g/", &err);
    if (rc && (!err.text[0] || d->code.n)) {
        abort();
    }
    for (size_t i = 0; i < d->code.n; i++) {
        const char *href = d->code.items[i].href;
        if (href && (href[strspn(href, LETTERS)] || strncmp(href, "g/", 2) != 0 || strchr(href + 2, '/'))) {
            abort();
        }
    }
    dash_free(d);
    return 0;
}
