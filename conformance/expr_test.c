/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/scenario.h"
#include "sim/base/test.h"

#include <string.h>

static bool lookup(const void *ctx, const char *name, uint64_t *out)
{
    (void)ctx;
    *out = !strcmp(name, "dev") ? 0x1000 : 0x20;
    return !strcmp(name, "dev") || !strcmp(name, "dev_size");
}

static const char *nearest(const void *ctx, const char *name)
{
    (void)ctx;
    return name[0] == 'd' ? "dev" : NULL;
}

static const Names names = {NULL, lookup, nearest};

static uint64_t value_of(const char *text)
{
    uint64_t n = 0;
    Err err = {0};
    CHECK(!expr_eval(text, &names, &n, &err));
    return n;
}

static void refused(const char *text, const char *message)
{
    uint64_t n = 0;
    Err err = {0};
    CHECK(expr_eval(text, &names, &n, &err) < 0);
    CHECK_HAS(err.text, message);
}

TEST(expr, operators_bind_as_in_c)
{
    CHECK_INT(value_of("1 + 2 * 3"), 7);
    CHECK_INT(value_of("(1 + 2) * 3"), 9);
    CHECK_INT(value_of("1 | 6 & 2"), 3);
    CHECK_INT(value_of("1 << 2 + 1"), 8);
    CHECK_INT(value_of("10 - 3 - 2"), 5);
    CHECK_INT(value_of("256 >> 4 >> 2"), 4);
    CHECK_INT(value_of("$dev + 8"), 0x1008);
    CHECK_INT(value_of("$dev+$dev_size-1"), 0x101f);
    CHECK_INT(value_of("-1"), UINT64_MAX);
    CHECK_INT(value_of("- - 2"), 2);
    CHECK_INT(value_of("0xffffffffffffffff + 2"), 1);
    CHECK_INT(value_of("1 << 63 >> 63"), 1);
}

TEST(expr, mistakes_are_named_with_their_column)
{
    refused("$dev +", "expected a value at column 7");
    refused("", "expected a value at column 1");
    refused("($dev", "expected `)` at column 6");
    refused("$dev $dev", "expected an operator");
    refused("1 << 64", "a shift by 64 or more at column 3");
    refused("1 >> $dev", "a shift by 64 or more");
    refused("18446744073709551616", "a number above 64 bits");
    refused("007", "leading zero");
    refused("0x", "expected a decimal or 0x number");
    refused("1e3", "expected a decimal or 0x number");
    refused("$dve", "unknown name `$dve`; did you mean `$dev`?");
    refused("$x", "unknown name `$x`");
    refused("((((((((((((((((((((((((((((((((((((((((1", "nested too deep");
}

static void count(void *ctx, const char *name)
{
    *(int *)ctx += !strcmp(name, "dev");
}

TEST(expr, names_are_listed_without_being_known)
{
    int n = 0;
    Err err = {0};
    CHECK(!expr_names("$dev + $other * ($dev << 99)", &n, count, &err));
    CHECK_INT(n, 2);
    CHECK(expr_names("$dev $", &n, count, &err) == -ERR_INVAL);
    CHECK_INT(err.native, 6);
}

TEST(expr, a_value_of_text_has_no_number)
{
    uint64_t n = 0;
    Err err = {0};
    Value v = {.kind = VALUE_TEXT, .text = "step"};
    CHECK(value_eval(&v, &names, &n, &err) == -ERR_INVAL);
    v = (Value){.kind = VALUE_EXPR, .text = "$nope", .pos = {"s.yaml", 3, 7}};
    CHECK(value_eval(&v, &names, &n, &err) < 0);
    CHECK_HAS(err.text, "s.yaml:3:7: unknown name `$nope`");
}
