/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/select.h"
#include "sim/base/test.h"

#include <string.h>

/* ctx: the only one that is there. */
static int only(void *ctx, const char *name, GuestId guest, Err *err)
{
    (void)guest;
    return ctx && !strcmp(ctx, name) ? 0 : err_set(err, ERR_UNAVAILABLE, "gone fishing");
}

TEST(select, the_best_is_the_first_that_is_there)
{
    CHECK_STR(select_best(GUEST_riscv64, only, (char[]){"kvm"}, NULL), "kvm");
    CHECK_STR(select_best(GUEST_riscv64, only, (char[]){"sim-interp"}, NULL), "sim-interp");
}

TEST(select, each_one_passed_over_has_its_reason)
{
    Buf reasons = {0};
    CHECK_STR(select_best(GUEST_riscv64, only, (char[]){"sim-interp"}, &reasons), "sim-interp");
    CHECK_HAS(buf_text(&reasons), "kvm: gone fishing\n");
    CHECK_HAS(buf_text(&reasons), "hvf, whpx");
    CHECK_HAS(buf_text(&reasons), ": not part of this build\n");
    CHECK(!strstr(buf_text(&reasons), "sim-interp"));
    buf_free(&reasons);
}

TEST(select, where_none_is_there_every_one_has_its_reason)
{
    Buf reasons = {0};
    size_t n;
    const char *const *order = select_order(&n);
    CHECK(!select_best(GUEST_x86_64, only, NULL, &reasons));
    for (size_t i = 0; i < n; i++) {
        CHECK_HAS(buf_text(&reasons), order[i]);
    }
    buf_free(&reasons);
}

TEST(select, what_plays_a_script_is_never_chosen)
{
    CHECK(!select_best(GUEST_riscv64, only, (char[]){"fake"}, NULL));
}
