/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/accel.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

TEST(regs, every_row_is_found_by_its_id_and_by_its_name)
{
    for (unsigned g = 1; g < GUEST_COUNT; g++) {
        size_t n = 0;
        const RegInfo *table = reg_table((GuestId)g, &n);
        CHECK(n > 70);
        for (size_t i = 0; i < n; i++) {
            CHECK(reg_info(table[i].id) == &table[i]);
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

TEST(exits, names_go_both_ways)
{
    for (int i = 0; i < EXIT_COUNT; i++) {
        CHECK_INT(exit_find(exit_name((ExitKind)i)), i);
    }
    CHECK_STR(exit_name(EXIT_COUNT), "?");
    CHECK_INT(exit_find("done"), -1);
    CHECK_INT(exit_find(NULL), -1);
    CHECK_INT(exit_reply_kind(EXIT_cpuid), REPLY_VALUE);
    CHECK_INT(exit_reply_kind(EXIT_io_write), REPLY_ACK);
    CHECK_INT(exit_reply_kind(EXIT_halt), REPLY_none);
    for (int i = 0; i < CAP_COUNT; i++) {
        CHECK_INT(cap_find(cap_name((Cap)i)), i);
    }
    CHECK_INT(cap_find("flying"), -1);
    CHECK_STR(cap_level_name(CAP_NA), "n/a");
    CHECK_STR(cap_level_name(CAP_FULL), "full");
}

typedef struct {
    unsigned size, reg_size;
    bool is_signed;
    ExitKind kind;
    uint64_t raw, old, want;
} Extend;

TEST(exits, a_read_fills_its_register_as_the_isa_does)
{
    static const Extend rows[] = {
        /* riscv lb, lbu, lh, lw, lwu, ld */
        {1, 8, true, EXIT_mmio_read, 0x80, 5, 0xffffffffffffff80},
        {1, 8, true, EXIT_mmio_read, 0x7f, 5, 0x7f},
        {1, 8, false, EXIT_mmio_read, 0x80, 5, 0x80},
        {2, 8, true, EXIT_mmio_read, 0x8001, 5, 0xffffffffffff8001},
        {4, 8, true, EXIT_mmio_read, 0x80000000, 5, 0xffffffff80000000},
        {4, 8, false, EXIT_mmio_read, 0x80000000, 5, 0x80000000},
        {8, 8, true, EXIT_mmio_read, 1ull << 63, 5, 1ull << 63},
        {8, 8, false, EXIT_mmio_read, ~0ull, 5, ~0ull},
        /* what the device answers above the access is cut */
        {1, 8, false, EXIT_mmio_read, 0xabcd, 5, 0xcd},
        {4, 8, false, EXIT_mmio_read, 0x123456789a, 5, 0x3456789a},
        /* aarch64 ldrsb w0 */
        {1, 4, true, EXIT_mmio_read, 0xff, ~0ull, 0xffffffff},
        /* x86 mov al, mov ax, mov eax, movsx eax; in al, in ax, in eax */
        {1, 1, false, EXIT_mmio_read, 0x12, 0xaabbccdd11223344, 0xaabbccdd11223312},
        {2, 2, false, EXIT_mmio_read, 0x1234, 0xaabbccdd11223344, 0xaabbccdd11221234},
        {4, 4, false, EXIT_mmio_read, 0x12345678, ~0ull, 0x12345678},
        {1, 2, true, EXIT_mmio_read, 0x80, 0x11112222, 0x1111ff80},
        {1, 0, false, EXIT_io_read, 0x12, 0xffff, 0xff12},
        {2, 0, false, EXIT_io_read, 0x1234, 0xffffffff, 0xffff1234},
        {4, 0, false, EXIT_io_read, 0x12345678, ~0ull, 0x12345678},
        {4, 0, false, EXIT_mmio_read, 0x12345678, ~0ull, 0x12345678},
        /* 0 bytes is nonsense, and harmless */
        {0, 8, true, EXIT_mmio_read, 0x80, 5, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const Extend *x = &rows[i];
        VmExit e = {.kind = x->kind,
                    .size_bytes = (uint8_t)x->size,
                    .is_signed = x->is_signed,
                    .reg_size_bytes = (uint8_t)x->reg_size};
        if (!CHECK_INT(exit_extend(&e, x->raw, x->old), x->want)) {
            test_check(false, __FILE__, __LINE__, "row of the table");
        }
    }
}

typedef struct {
    VmExit e;
    const char *want;
} Printed;

TEST(exits, one_line_that_is_the_same_everywhere)
{
    static const Printed rows[] = {
        {{.kind = EXIT_mmio_read, .addr = 0xd0000008, .size_bytes = 4, .seq = 9, .native.code = 6},
         "mmio_read addr 0xd0000008 size 4"},
        {{.kind = EXIT_mmio_write, .reply = REPLY_ACK, .valid = HAS_value, .addr = 16, .size_bytes = 1, .value = 65},
         "mmio_write addr 0x10 size 1 value 0x41"},
        {{.kind = EXIT_io_read, .addr = 0x60, .size_bytes = 1}, "io_read port 0x60 size 1"},
        {{.kind = EXIT_io_write, .reply = REPLY_ACK, .addr = 0x60, .size_bytes = 1}, "io_write port 0x60 size 1"},
        {{.kind = EXIT_hypercall, .addr = 8, .arg = {1, 2, 3, 4, 5, 0x60}},
         "hypercall nr 0x8 args 0x1 0x2 0x3 0x4 0x5 0x60"},
        {{.kind = EXIT_halt}, "halt"},
        {{.kind = EXIT_cpu_up, .addr = 1, .arg = {0x80200000, 7}}, "cpu_up target 0x1 entry 0x80200000 arg 0x7"},
        {{.kind = EXIT_nested_page_fault, .addr = 0x1000, .arg = {MAP_R | MAP_X}},
         "nested_page_fault addr 0x1000 access rx"},
        {{.kind = EXIT_exception, .addr = 14, .valid = HAS_value, .value = 2}, "exception vector 0xe code 0x2"},
        {{.kind = EXIT_exception, .addr = 3}, "exception vector 0x3"},
        {{.kind = EXIT_debug, .arg = {DEBUG_STEP}, .addr = 4}, "debug step"},
        {{.kind = EXIT_debug, .arg = {DEBUG_WATCH}, .addr = 4}, "debug watch addr 0x4"},
        {{.kind = EXIT_debug, .arg = {99}, .addr = 4}, "debug ? addr 0x4"},
        {{.kind = EXIT_send_ipi, .addr = 2, .arg = {0, 0, 0, 5}}, "send_ipi target 0x2 aux 0x0 vector 0x5"},
        {{.kind = EXIT_send_ipi, .addr = 2, .arg = {0, 1, 0, 5}}, "send_ipi all vector 0x5"},
        {{.kind = EXIT_cpuid, .addr = 0xd, .value = 1}, "cpuid leaf 0xd subleaf 0x1"},
        {{.kind = EXIT_sysreg_write, .addr = 0x10, .value = 3}, "sysreg_write index 0x10 value 0x3"},
        {{.kind = EXIT_sysreg_read, .addr = 0x10}, "sysreg_read index 0x10"},
        {{.kind = EXIT_eoi, .addr = 0x20}, "eoi vector 0x20"},
        {{.kind = EXIT_system_down, .addr = 1}, "system_down reason 0x1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Buf b = {0};
        exit_print(&b, &rows[i].e, false);
        CHECK_STR(buf_text(&b), rows[i].want);
        buf_free(&b);
    }
    Buf b = {0};
    exit_print(&b, &rows[0].e, true);
    CHECK_STR(buf_text(&b), "mmio_read addr 0xd0000008 size 4 (native 6)");
    buf_free(&b);
}

TEST(exits, every_kind_prints_at_least_its_name)
{
    for (int i = 0; i < EXIT_COUNT; i++) {
        Buf b = {0};
        exit_print(&b, &(VmExit){.kind = (ExitKind)i}, true);
        CHECK(!strncmp(buf_text(&b), exit_name((ExitKind)i), strlen(exit_name((ExitKind)i))));
        buf_free(&b);
    }
}

TEST(registry, what_is_not_built_in_is_not_found)
{
    size_t n = 0;
    const Backend *const *list = backend_list(&n);
    for (size_t i = 0; i < n; i++) {
        CHECK(backend_find(list[i]->name) == list[i]);
    }
    CHECK(backend_find("no such") == NULL);
    CHECK(backend_find(NULL) == NULL);
}
