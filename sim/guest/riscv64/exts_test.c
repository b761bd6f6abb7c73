/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/exts.h"
#include "sim/guest/riscv64/riscv.h"

#include <string.h>

TEST(riscv64_exts, a_string_has_its_names_and_what_follows_from_them)
{
    static const struct {
        const char *isa, *has, *lacks;
    } rows[] = {
        {"rv64i", "", "m a c zicsr zba sv39"},
        {"rv64gc", "m a f d c zca zcd zicsr zifencei zaamo", "zba zcb h v"},
        {"rv64imac_zba_sstc", "m zba sstc c", "f zbb zcd"},
        {"RV64IMAFDC_ZBB", "d zbb", "zba"},
        {"rv64i2p1m2p0_zba1p0_zbb1", "m zba zbb", "zbs"},
        {"rv64imazba_zbs", "a zba zbs", "c"},
        {"rv64ib_zks", "zba zbb zbs zksed zksh zbkx", "zkne zbc"},
        {"rv64imf_zfh_zca_zcb", "zfhmin zcb zca", "d zcd"},
        {"rv64ih_sv57_svnapot", "h sv39 sv48 sv57 svnapot", "svpbmt"},
        {"rv64i_sv39", "sv39", "sv48"},
        {"rv64ih", "sv39", "sv48"},
        {"rv64i_zaamo_zalrsc", "a", ""},
        {"rv64i_zaamo", "", "a"},
        {"rv64i__xmine_zvl128b_zba_", "zba", "zvl128b pmp xmine always"},
        {"x86-64", "", "m"},
        {"", "", "i"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int want = 0; want < 2; want++) {
            const char *s = want ? rows[i].has : rows[i].lacks;
            while (*s) {
                char name[16] = {0};
                size_t n = strcspn(s, " ");
                memcpy(name, s, n);
                CHECK_INT(exts_isa_has(rows[i].isa, name), want);
                s += n + strspn(s + n, " ");
            }
        }
    }
}

TEST(riscv64_exts, the_names_are_those_of_the_simulators_string_and_more)
{
    RiscvCpu cpu;
    char isa[512];
    size_t n = 0;
    CHECK_INT(riscv_cpu_parse(NULL, &cpu, NULL), 0);
    riscv_isa_string(&cpu, true, isa, sizeof isa);
    CHECK(strlen(isa) + 1 < sizeof isa);
    for (const char *name; (name = exts_name(n)); n++) {
        static const char *const lacks[] = {"v", "zkr", "zk"};
        bool has = true;
        for (size_t i = 0; i < ARRAY_LEN(lacks); i++) {
            has = has && strcmp(lacks[i], name) != 0;
        }
        has = has && strcmp(name, "b") && strcmp(name, "zkn") && strcmp(name, "zks"); /* their parts, one by one */
        CHECK_INT(exts_isa_has(isa, name), has);
    }
    CHECK(n > 50);
}

static bool lacks(const char *isa, uint32_t insn, ExtsLack *out)
{
    uint8_t code[] = {0x13, 0, 0, 0, (uint8_t)insn, (uint8_t)(insn >> 8), (uint8_t)(insn >> 16), (uint8_t)(insn >> 24)};
    return exts_code_lacks(isa, code, (insn & 3) == 3 ? 8 : 6, out);
}

TEST(riscv64_exts, an_instruction_needs_what_its_row_and_its_csr_are_of)
{
    static const struct {
        uint32_t insn;
        const char *isa, *name, *need; /* need NULL: nothing */
    } rows[] = {
        {0x02a50533, "rv64i", "mul", "m"},
        {0x02a50533, "rv64im", NULL, NULL},
        {0x20a52533, "rv64gc", "sh1add", "zba"},
        {0x20a52533, "rv64gcb", NULL, NULL},
        {0x40a57533, "rv64gc", "andn", "zbb or zbkb"},
        {0x40a57533, "rv64gc_zbkb", NULL, NULL},
        {0x9d41, "rv64gc", "c.mul", "zcb and m"}, /* c.mul a0, s0 */
        {0x9d41, "rv64gc_zcb", NULL, NULL},
        {0x8000, "rv64gc", "c.lbu", "zcb"},
        {0x0001, "rv64i", "c.nop", "c"},
        {0x0001, "rv64i_zca", NULL, NULL},
        {0x2000, "rv64ifd_zca", "c.fld", "c and d"},
        {0x2000, "rv64ifd_zca_zcd", NULL, NULL},
        {0x00302573, "rv64i_zicsr", "frcsr", "f"},        /* csrr a0, fcsr */
        {0x14d02573, "rv64i_zicsr", "csrr", "sstc"},      /* stimecmp */
        {0xc0002573, "rv64i_zicsr", "rdcycle", "zicntr"}, /* cycle */
        {0xc0001073, "rv64i_zicsr", NULL, NULL},          /* unimp: traps with and without */
        {0x10002573, "rv64i_zicsr", NULL, NULL},          /* sstatus */
        {0x10002573, "rv64i", "csrr", "zicsr"},
        {0x3b002573, "rv64i_zicsr", NULL, NULL}, /* pmpaddr0: PMP has no name */
        {0x10200073, "rv64i", NULL, NULL},       /* sret */
        {0x00000000, "rv64i", NULL, NULL},       /* no instruction */
        {0xffffffff, "rv64i", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ExtsLack got = {0};
        CHECK_INT(lacks(rows[i].isa, rows[i].insn, &got), rows[i].need != NULL);
        CHECK_STR(got.need, rows[i].need ? rows[i].need : "");
        CHECK_STR(got.insn, rows[i].name ? rows[i].name : "");
        CHECK_INT(got.at, rows[i].need ? 4 : 0);
    }
    ExtsLack got = {0};
    static const uint8_t torn[] = {0x33, 0x05, 0xa5};
    CHECK(!exts_code_lacks("rv64i", torn, sizeof torn, &got));
    CHECK(!exts_code_lacks("rv64i", torn, 0, &got));
}
