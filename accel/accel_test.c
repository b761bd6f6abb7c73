/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/accel.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

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
