/* SPDX-License-Identifier: Apache-2.0
 * Any text as a block: an error with a place, or a block that prints to a text that parses to the same one. A block that the
 * verifier accepts is still right after the optimiser. */
#include "sim/base/mem.h"
#include "sim/ir/guest_test.c" /* fuzz targets link libraries only */

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static IrOp ops[IR_BLOCK_MAX_OPS], again[IR_BLOCK_MAX_OPS];
    IrBlock b, b2;
    Err err = {0};
    char *text = x_strndup((const char *)bytes, n);
    int rc = ir_parse(text, &test_guest, &b, ops, &err);
    mem_free(text);
    if (rc) {
        must(err.text[0] >= '1' && err.text[0] <= '9' && strstr(err.text, ", expected "));
        return 0;
    }
    Buf one = {0}, two = {0};
    ir_print(&b, &test_guest, &one);
    must(!ir_parse(buf_text(&one), &test_guest, &b2, again, &err));
    must(b.nops == b2.nops && !memcmp(ops, again, sizeof(IrOp) * b.nops));
    ir_print(&b2, &test_guest, &two);
    must(!strcmp(buf_text(&one), buf_text(&two)));
    rc = ir_verify(&b, &test_guest, &err);
    must(!rc || err.text[0]);
    if (!rc) {
        ir_optimise(&b, &test_guest);
        must(!ir_verify(&b, &test_guest, &err));
    }
    buf_free(&one);
    buf_free(&two);
    return 0;
}
