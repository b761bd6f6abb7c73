/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/regs.h"

#include <stdio.h>

TEST(regs, every_row_is_found_by_its_id_and_by_its_name)
{
    for (unsigned g = 1; g < GUEST_COUNT; g++) {
        size_t n = 0;
        const RegInfo *table = reg_table((GuestId)g, &n);
        CHECK(n > 70);
        for (size_t i = 0; i < n; i++) {
            CHECK(reg_info(table[i].id) == &table[i]);
            CHECK_INT(table[i].name[sizeof table[i].name - 1], 0);
            CHECK_INT(REG_GUEST(table[i].id), g);
            CHECK(REG_SIZE(table[i].id) <= 16);
            CHECK(reg_find((GuestId)g, table[i].name) == &table[i]);
        }
    }
}

TEST(regs, neutral_names_exist_on_every_guest)
{
    static const char *const names[] = {"pc", "sp", "ret", "arg0", "arg1", "arg2", "arg3", "arg4", "arg5"};
    for (unsigned g = 1; g < GUEST_COUNT; g++) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            CHECK(reg_find((GuestId)g, names[i]) != NULL);
        }
    }
    CHECK_STR(reg_find(GUEST_x86_64, "arg0")->name, "rdi");
    CHECK_STR(reg_find(GUEST_aarch64, "sp")->name, "sp_el1");
    CHECK_STR(reg_find(GUEST_riscv64, "ret")->name, "a0");
}

TEST(regs, what_is_none_is_not_found)
{
    CHECK(reg_find(GUEST_x86_64, "x0") == NULL);
    CHECK(reg_find((GuestId)0, "pc") == NULL);
    CHECK(reg_find((GuestId)9, "pc") == NULL);
    CHECK(reg_find(GUEST_x86_64, NULL) == NULL);
    CHECK(reg_info(0) == NULL);
    CHECK(reg_info(~0ull) == NULL);
    CHECK(reg_info(REG_ID(GUEST_x86_64, 3, REG_GPR, 16)) == NULL);
    CHECK(reg_info(REG_ID(GUEST_x86_64, 2, REG_GPR, 0)) == NULL);
}

TEST(regs, an_id_holds_what_the_architecture_calls_the_register)
{
    RegId rax = reg_find(GUEST_x86_64, "rax")->id, efer = reg_find(GUEST_x86_64, "msr.efer")->id;
    RegId sctlr = reg_find(GUEST_aarch64, "sctlr_el1")->id;
    CHECK_INT(rax, 0x3301000000000000);
    CHECK_INT(REG_INDEX(efer), 0xc0000080);
    CHECK_INT(REG_CLASS(efer), REG_SYS);
    CHECK_INT(REG_INDEX(sctlr), 3 << 14 | 0 << 11 | 1 << 7 | 0 << 3 | 0); /* MRS op0 3, CRn 1 */
}

TEST(regs, messages_name_a_register_that_no_row_names_by_its_number)
{
    char text[REG_TEXT_BYTES];
    CHECK_STR(reg_text(reg_find(GUEST_riscv64, "pc")->id, text, sizeof text), "pc");
    CHECK_STR(reg_text(REG_ID(GUEST_x86_64, 3, REG_SYS, 0xdead), text, sizeof text), "MSR 0xdead");
    CHECK_STR(reg_text(~(RegId)0, text, sizeof text), "register 0xffffffffffffffff");
}

TEST(regs, nearest_helps_with_typing_errors_only)
{
    CHECK_STR(reg_nearest(GUEST_x86_64, "rxa"), "rax");
    CHECK_STR(reg_nearest(GUEST_x86_64, "msr.efr"), "msr.efer");
    CHECK_STR(reg_nearest(GUEST_riscv64, "sscrtch"), "sscratch");
    CHECK(reg_nearest(GUEST_riscv64, "completely_else") == NULL);
    CHECK(reg_nearest((GuestId)0, "pc") == NULL);
    CHECK(reg_nearest(GUEST_x86_64, "a_name_that_is_much_longer_than_any_register_of_any_machine") == NULL);
}

TEST(regs, guests_by_name)
{
    CHECK_INT(guest_find("aarch64"), GUEST_aarch64);
    CHECK_INT(guest_find("arm"), 0);
    CHECK_INT(guest_find(NULL), 0);
    CHECK_STR(guest_name(GUEST_x86_64), "x86_64");
    CHECK(guest_name(GUEST_COUNT) == NULL);
    CHECK(guest_name((GuestId)0) == NULL);
}

TEST(regs, bits_that_no_x86_processor_takes_do_not_fit)
{
    static const struct {
        const char *name;
        uint64_t value;
        bool fits;
    } rows[] = {{"rflags", 0x202, true},        {"rflags", UINT64_C(1) << 40, false},
                {"cs.attr", 0xa09b, true},      {"cs.attr", 0xf00, false},
                {"nmi_masked", 1, true},        {"nmi_masked", 2, false},
                {"rax", UINT64_MAX, true},      {"cr0", UINT64_MAX, true},
                {"msr.efer", UINT64_MAX, true}, {"gdtr.base", UINT64_MAX, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const RegInfo *r = reg_find(GUEST_x86_64, rows[i].name);
        if (!CHECK(r != NULL) || !CHECK(reg_x86_64_fits(r->id, &rows[i].value) == rows[i].fits)) {
            printf("    %s\n", rows[i].name);
        }
    }
    CHECK(reg_x86_64_fits(REG_ID(GUEST_x86_64, 3, REG_GPR, 16), &(uint64_t){0})); /* no such row */
}
