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
    CHECK(!cpu.has[NEED_M] && cpu.has[NEED_A] && !cpu.has[NEED_Sstc] && cpu.has[NEED_Svadu] && cpu.has[NEED_Pmp]);
}

TEST(riscv64_cpu, what_lacks_what_it_requires_is_off)
{
    RiscvCpu cpu;
    Err err = {0};
    CHECK_INT(guest_riscv64.cpu_parse("rv64iac,zimop=off,zbb=off", &cpu, NULL), 0);
    CHECK(!cpu.has[NEED_Zcmop] && cpu.has[NEED_Zcb] && !cpu.has[NEED_Zcb_M] && !cpu.has[NEED_Zcb_Zbb]);
    CHECK(cpu.has[NEED_Zbb_Zbkb] && !cpu.has[NEED_Zbb]);
    CHECK_INT(guest_riscv64.cpu_parse("rv64iac,zimop=off,zcmop=on", &cpu, &err), -ERR_INVAL);
    CHECK_STR(err.text, "cpu: zcmop requires zimop, which is off");
}

TEST(riscv64_cpu, its_isa_string_says_what_it_has)
{
    static const char *const rows[][2] = {
        {"rv64imac", "rv64imach_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintntl_"
                     "zihintpause_zihpm_zimop_zabha_zacas_zawrs_zcb_zcmop_zba_zbb_zbc_zbkb_zbkc_zbkx_"
                     "zbs_zknd_zkne_zknh_zksed_zksh_smepmp_sscofpmf_sstc_svadu_svinval_svnapot_svpbmt"},
        {"rv64iac,zimop=off,zba=off,zbb=off,zknd=off,zksh=off,sstc=off,pmp=off,sv39=off",
         "rv64iac_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintntl_"
         "zihintpause_zihpm_zabha_zacas_zawrs_zcb_zbc_zbkb_zbkc_zbkx_zbs_zkne_zknh_zksed_"
         "sscofpmf_svadu_svinval"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        RiscvCpu cpu;
        char text[512];
        CHECK_INT(guest_riscv64.cpu_parse(rows[i][0], &cpu, NULL), 0);
        guest_riscv64.isa_string(&cpu, false, text, sizeof text);
        CHECK_STR(text, rows[i][1]);
        guest_riscv64.isa_string(&cpu, false, text, 7);
        CHECK_STR(text, i ? "rv64ia" : "rv64im"); /* cut */
    }
}

TEST(riscv64_cpu, the_device_tree_names_its_largest_mode_of_translation)
{
    static const char *const rows[][2] = {{"rv64imac", "riscv,sv57"},
                                          {"rv64imac,sv57=off", "riscv,sv48"},
                                          {"rv64imac,sv48=off", "riscv,sv39"},
                                          {"rv64imac,sv39=off", "riscv,none"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        RiscvCpu cpu;
        CHECK_INT(guest_riscv64.cpu_parse(rows[i][0], &cpu, NULL), 0);
        CHECK_STR(guest_riscv64.fdt_mmu(&cpu), rows[i][1]);
    }
}

TEST(riscv64_cpu, a_guest_of_a_hypervisor_has_no_hypervisor_extension)
{
    RiscvCpu cpu;
    char text[64];
    CHECK_INT(guest_riscv64.cpu_parse("rv64imach,sstc=on", &cpu, NULL), 0);
    CHECK(cpu.has[NEED_H] && cpu.has[NEED_HSstc]);
    guest_riscv64.cpu_virt(&cpu);
    CHECK(!cpu.has[NEED_H] && !cpu.has[NEED_HSstc] && cpu.has[NEED_Sstc]);
    guest_riscv64.isa_string(&cpu, false, text, 9);
    CHECK_STR(text, "rv64imac");
}

TEST(riscv64_cpu, what_is_not_known_is_named)
{
    static const struct {
        const char *text, *part;
    } rows[] = {{"", "expected rv64i"},
                {"rv32imac", "expected rv64i"},
                {"rv64imaxc", "no extension 'x'"},
                {"rv64imac,f=off,d=on", "d requires f, which is off"},
                {"rv64imac,zfh=on", "zfh requires zfhmin, which is off"},
                {"rv64ima", "c cannot be left out"},
                {"rv64imac,sstc", "expected sstc=on or sstc=off"},
                {"rv64imac,sstc=maybe", "expected sstc=on or sstc=off"},
                {"rv64imac,hyper=on", "no feature \"hyper\"; conf(1) lists them"},
                {"rv64imac,svadi=off", "no feature \"svadi\"; near it: sv39 sv48 sv57 svadu"},
                {"rv64imac,c=off", "c cannot be left out"},
                {"rv64imac,zicsr=off", "zicsr cannot be left out"},
                {"rv64imac,sv48=off,sv57=on", "sv57 requires sv48, which is off"},
                {"rv64imac,", "no feature \"\""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Err err = {0};
        RiscvCpu cpu = {.has = {[NEED_M] = true}};
        CHECK_INT(guest_riscv64.cpu_parse(rows[i].text, &cpu, &err), -ERR_INVAL);
        CHECK_HAS(err.text, rows[i].part);
        CHECK(!cpu.has[NEED_A]); /* untouched */
    }
}
