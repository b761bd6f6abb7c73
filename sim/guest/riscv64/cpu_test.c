/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/isa.h"
#include "sim/guest/riscv64/riscv.h"

TEST(riscv64_cpu, nothing_said_means_all_that_there_is)
{
    RiscvCpu cpu;
    CHECK_INT(guest_riscv64.cpu_parse(NULL, &cpu, NULL), 0);
    for (unsigned i = 0; i < NEED_COUNT; i++) {
        CHECK(cpu.has[i]);
    }
}

TEST(riscv64_cpu, extensions_and_features_are_on_or_off)
{
    RiscvCpu cpu;
    CHECK_INT(guest_riscv64.cpu_parse("rv64iac,sstc=off,pmp=off,pmp=on", &cpu, NULL), 0);
    CHECK(!cpu.has[NEED_M] && cpu.has[NEED_A] && !cpu.has[NEED_SSTC] && cpu.has[NEED_SVADU] && cpu.has[NEED_PMP]);
}

TEST(riscv64_cpu, what_is_not_known_is_named)
{
    static const struct {
        const char *text, *part;
    } rows[] = {{"", "expected rv64i"},
                {"rv32imac", "expected rv64i"},
                {"rv64imafc", "no extension 'f'"},
                {"rv64ima", "c cannot be left out"},
                {"rv64imac,sstc", "expected sstc=on or sstc=off"},
                {"rv64imac,sstc=maybe", "expected sstc=on or sstc=off"},
                {"rv64imac,hyper=on", "no feature \"hyper=on\"; sstc, svadu and pmp are"},
                {"rv64imac,", "no feature \"\""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Err err = {0};
        RiscvCpu cpu = {.has = {[NEED_M] = true}};
        CHECK_INT(guest_riscv64.cpu_parse(rows[i].text, &cpu, &err), -ERR_INVAL);
        CHECK_HAS(err.text, rows[i].part);
        CHECK(!cpu.has[NEED_A]); /* untouched */
    }
}
