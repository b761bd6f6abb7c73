/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as JSON: walked to the end or refused with a place, and skipping them comes to the same. */
#include "sim/base/json_in.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void walk(JsonIn *j, Buf *sum)
{
    Buf text = {0};
    char kind = json_in_peek(j);
    if (kind == '{') {
        json_in_open(j, '{');
        while (json_in_key(j, &text)) {
            buf_bytes(sum, text.data, text.n);
            walk(j, sum);
        }
    } else if (kind == '[') {
        json_in_open(j, '[');
        while (json_in_item(j)) {
            walk(j, sum);
        }
    } else if (kind == '"') {
        json_in_str(j, &text);
        buf_bytes(sum, text.data, text.n);
        if (json_in_ok(j) && text.n && strlen(text.data) != text.n) {
            abort(); /* a text with a 0 in it */
        }
    } else if (kind == '0') {
        buf_printf(sum, "%g", json_in_number(j));
    } else {
        json_in_skip(j);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Err err = {0}, again = {0};
    Buf sum = {0};
    JsonIn j = json_in("fuzz", bytes, n, &err), k = json_in("fuzz", bytes, n, &again);
    walk(&j, &sum);
    json_in_skip(&k);
    int rc = json_in_end(&j), rc2 = json_in_end(&k);
    if (rc != -err.code || (rc && strncmp(err.text, "fuzz:", 5) != 0) || (rc == 0) != (rc2 == 0)) {
        abort();
    }
    buf_free(&sum);
    return 0;
}
