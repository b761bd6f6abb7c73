/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/engine_test.h"

#include <string.h>

enum { RAM = 0x80000000, RAM_BYTES = 1 << 20 };

/* Runs the words and returns what was reached. */
static Buf reached(SimEngine engine, const uint32_t *words, size_t nwords, uint64_t insns, bool is_covered)
{
    Sim *s = NULL;
    SimVcpu *v = NULL;
    SimExit e;
    Buf out = {0};
    uint32_t ram;
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64", .engine = engine}, &s, NULL));
    CHECK(!sim_ram_new(s, RAM_BYTES, &ram, NULL));
    CHECK(!sim_map(s, RAM, RAM_BYTES, ram, 0, 7, NULL));
    if (is_covered) {
        sim_cover(s);
    }
    CHECK(!sim_vcpu_new(s, 0, &v, NULL));
    CHECK(!sim_vcpu_reset(v, &(SimReset){.entry = RAM}, NULL));
    CHECK(!sim_mem_write(s, RAM, words, nwords * 4, NULL));
    CHECK(!sim_run(v, &(SimRun){.insns = insns}, &e, NULL));
    sim_cover_read(s, &out);
    sim_free(s);
    return out;
}

static const uint32_t program[] = {
    0x00000297,             /* auipc t0, 0 */
    0x02028293,             /* addi t0, t0, 32 */
    0x30529073,             /* csrw mtvec, t0 */
    0x00500013,             /* addi zero, zero, 5 */
    0x34202573,             /* csrr a0, mcause */
    0x00a50533,             /* add a0, a0, a0 */
    0x00000073,             /* ecall */
    0x00000013, 0x0000006f, /* the handler: j . */
};

TEST_ENGINES(sim_cover, tells_what_was_translated_and_which_traps_were_taken)
{
    Buf out = reached(engine, program, ARRAY_LEN(program), 9, true);
    static const char *const has[] = {"decode\triscv64 I\triscv64 auipc\t1\n",
                                      "decode\triscv64 I\triscv64 addi\t",
                                      "operand_class\triscv64 I\triscv64 addi rd=x0\t1\n",
                                      "operand_class\triscv64 I\triscv64 addi imm>0\t2\n",
                                      "operand_class\triscv64 I\triscv64 add rd=rs1\t1\n",
                                      "csr\triscv64 machine\triscv64 mtvec write\t1\n",
                                      "csr\triscv64 machine\triscv64 mcause read\t1\n",
                                      "trap\triscv64 exceptions\triscv64 environment call from M-mode\t1\n",
                                      "mmu_walk\triscv64 fetch\triscv64 fetch untranslated\t",
                                      "ir_op\tpure\tadd",
                                      "ir_op\tcontrol\ttrap\t"};
    static const char *const has_not[] = {"sub\t", "mtvec read", "mcause write", "imm<0", "breakpoint", "Sv39"};
    for (size_t i = 0; i < ARRAY_LEN(has); i++) {
        CHECK_HAS(buf_text(&out), has[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(has_not); i++) {
        CHECK(!strstr(buf_text(&out), has_not[i]));
    }
    buf_free(&out);
}

TEST_ENGINES(sim_cover, tells_nothing_unless_it_was_asked_to_count)
{
    Buf out = reached(engine, program, ARRAY_LEN(program), 9, false);
    CHECK_STR(buf_text(&out), "");
    buf_free(&out);
}

TEST(sim_cover, may_begin_with_a_machine_that_is_there_or_before_it)
{
    for (int is_before = 0; is_before < 2; is_before++) {
        static const uint32_t words[] = {0x100002b7 /* lui t0, 0x10000 */, 0x0052c503 /* lbu a0, 5(t0) */, 0x6f};
        Sim *s = NULL;
        SimExit e;
        Buf out = {0};
        uint8_t who;
        CHECK(!sim_new(&(SimConfig){.guest = "riscv64"}, &s, NULL));
        if (is_before) {
            sim_cover(s);
        }
        CHECK(!sim_board(s, &(SimBoardConfig){.ram_bytes = RAM_BYTES, .nvcpus = 1}, NULL));
        sim_cover(s);
        CHECK(!sim_mem_write(s, RAM, words, sizeof words, NULL));
        CHECK(!sim_vcpu_reset(sim_vcpu_at(s, 0), &(SimReset){.entry = RAM}, NULL));
        CHECK(!sim_run_all(s, 1000, &(SimRun){.insns = 9, .serve_board = true}, &who, &e, NULL));
        sim_cover_read(s, &out);
        CHECK_HAS(buf_text(&out), "decode\triscv64 I\triscv64 lbu\t");
        CHECK_HAS(buf_text(&out), "device_reg\tuart16550\t");
        buf_free(&out);
        sim_free(s);
    }
}

TEST(sim_cover, the_list_has_every_item_once)
{
    Sim *s = NULL;
    Buf out = {0};
    size_t nlines = 0, nbad = 0;
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64"}, &s, NULL));
    sim_cover_items(s, &out);
    VEC(char *) lines = {0};
    for (char *at = out.data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
        *end = 0;
        VEC_PUSH(&lines, at);
        unsigned ntabs = 0;
        for (const char *p = at; *p; p++) {
            ntabs += *p == '\t';
            nbad += (*p < ' ' && *p != '\t') || *p >= 0x7f;
        }
        nbad += ntabs != 3 || strcmp(end - 2, "\t0") != 0;
        nlines++;
    }
    for (size_t i = 0; i < lines.n; i++) {
        for (size_t j = 0; j < i; j++) {
            nbad += !strcmp(lines.items[i], lines.items[j]);
        }
    }
    CHECK(nlines > 2000);
    CHECK_INT(nbad, 0);
    VEC_FREE(&lines);
    buf_free(&out);
    sim_free(s);
}
