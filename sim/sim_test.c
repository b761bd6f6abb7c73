/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/engine_test.h"

#include <string.h>

enum { RAM = 0x80000000, RAM_BYTES = 1 << 20 };

static Sim *bare_with(const SimConfig *cfg)
{
    Sim *s = NULL;
    uint32_t ram;
    CHECK(!sim_new(cfg, &s, NULL));
    CHECK(!sim_ram_new(s, RAM_BYTES, &ram, NULL));
    CHECK(!sim_map(s, RAM, RAM_BYTES, ram, 0, 7, NULL));
    return s;
}
static Sim *bare(SimEngine engine, bool is_virt)
{
    return bare_with(&(SimConfig){.guest = "riscv64", .engine = engine, .is_virt = is_virt});
}
static SimVcpu *vcpu(Sim *s, uint8_t id)
{
    SimVcpu *v = NULL;
    CHECK(!sim_vcpu_new(s, id, &v, NULL));
    CHECK(!sim_vcpu_reset(v, &(SimReset){.hw_id = id, .entry = RAM}, NULL));
    return v;
}
static void code(Sim *s, const uint32_t *words, size_t n)
{
    CHECK(!sim_mem_write(s, RAM, words, n * 4, NULL));
}
#define CODE(s, ...)                                                                                                   \
    code(s, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
enum { LI_A0_5 = 0x00500513, ECALL = 0x73, WFI = 0x10500073, J_SELF = 0x6f, NOP = 0x13 };
static uint64_t reg(SimVcpu *v, const char *name)
{
    uint64_t value = 0;
    CHECK(!sim_reg_get(v, reg_find(GUEST_riscv64, name)->id, &value, NULL));
    return value;
}
static SimExit run(SimVcpu *v, uint64_t insns)
{
    SimExit e = {0};
    CHECK(!sim_run(v, &(SimRun){.insns = insns}, &e, NULL));
    return e;
}

TEST(sim, a_guest_that_is_not_simulated_is_refused)
{
    Sim *s = NULL;
    Err err = {0};
    CHECK_INT(sim_new(&(SimConfig){.guest = "vax"}, &s, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "vax");
    CHECK(sim_new(&(SimConfig){.guest = "riscv64", .cpu = "rv64imax"}, &s, &err));
    CHECK(err.text[0]);
    CHECK_INT(sim_new(&(SimConfig){.guest = "riscv64", .engine = SIM_ENGINES}, &s, &err), -ERR_INVAL);
    CHECK_INT(sim_new(&(SimConfig){.guest = "riscv64", .jit_threads = SIM_MAX_JIT_THREADS + 1}, &s, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "at most 16");
    CHECK(!sim_engine_name(SIM_ENGINES));
}

TEST_ENGINES(sim, an_sbi_call_without_firmware_is_a_hypercall_exit)
{
    Sim *s = bare(engine, true);
    SimVcpu *v = vcpu(s, 0);
    CODE(s, LI_A0_5, ECALL, NOP, J_SELF);
    SimExit e = run(v, UINT64_MAX);
    CHECK_INT(e.kind, SIM_EXIT_hypercall);
    CHECK_INT(e.arg[0], 5);
    CHECK_INT(e.pc_before, RAM + 4);
    CHECK_INT(e.pc_after, RAM + 8);
    CHECK_INT(e.insns, 2);
    sim_call_return(v, (const uint64_t[]){42, 43}, 2);
    CHECK_INT(reg(v, "a0"), 42);
    CHECK_INT(reg(v, "a1"), 43);
    sim_free(s);
}

TEST_ENGINES(sim, wfi_with_nothing_to_wake_it_is_a_halt)
{
    Sim *s = bare(engine, true);
    SimVcpu *v = vcpu(s, 0);
    CODE(s, WFI, LI_A0_5, J_SELF);
    CHECK_INT(run(v, UINT64_MAX).kind, SIM_EXIT_halt);
    CHECK_INT(run(v, UINT64_MAX).kind, SIM_EXIT_halt);
    uint64_t seie = 1 << 9;
    CHECK(!sim_reg_set(v, reg_find(GUEST_riscv64, "sie")->id, &seie, NULL));
    CHECK(!sim_vcpu_line(v, 2, true, NULL));
    CHECK_INT(run(v, 1).kind, SIM_EXIT_budget); /* pending and enabled one by one wakes, though sstatus.SIE is off */
    CHECK_INT(reg(v, "a0"), 5);
    sim_free(s);
}

TEST_ENGINES(sim, a_snapshot_restores_everything_into_another_machine)
{
    Sim *a = bare(engine, true), *b = bare(engine, true);
    SimVcpu *va = vcpu(a, 0), *vb = vcpu(b, 0);
    CODE(a, LI_A0_5, NOP, J_SELF);
    run(va, 2);
    Buf image = {0};
    CHECK(!sim_save(a, &image, NULL));
    CHECK(!sim_restore(b, image.data, image.n, NULL));
    CHECK_INT(sim_vcpu_hash(vb), sim_vcpu_hash(va));
    CHECK_INT(sim_ram_hash(b), sim_ram_hash(a));
    run(va, 100);
    run(vb, 100);
    CHECK_INT(sim_vcpu_hash(vb), sim_vcpu_hash(va));
    buf_free(&image);
    sim_free(a);
    sim_free(b);
}

/* Between lr and sc. The sc of the machine that it is restored into fails if the value there is another. */
TEST_ENGINES(sim, a_snapshot_has_the_reservation)
{
    enum { AUIPC_A0 = 0x00000517, A0_PLUS_1024 = 0x40050513, LR_D_A1 = 0x100535af, SC_D_A2_A0 = 0x18a5362f };
    static const uint64_t changed = 9;
    for (unsigned n = 0; n < 2; n++) {
        Sim *a = bare(engine, true), *b = bare(engine, true);
        SimVcpu *va = vcpu(a, 0), *vb = vcpu(b, 0);
        CODE(a, AUIPC_A0, A0_PLUS_1024, LR_D_A1, SC_D_A2_A0, J_SELF);
        run(va, 3);
        Buf image = {0}, again = {0};
        CHECK(!sim_save(a, &image, NULL));
        CHECK(!sim_restore(b, image.data, image.n, NULL));
        CHECK(!sim_save(b, &again, NULL));
        CHECK(image.n == again.n && !memcmp(image.data, again.data, image.n));
        CHECK(!n || !sim_mem_write(b, RAM + 1024, &changed, sizeof changed, NULL));
        run(va, 1);
        run(vb, 1);
        CHECK_INT(reg(va, "a2"), 0);
        CHECK_INT(reg(vb, "a2"), n);
        buf_free(&image);
        buf_free(&again);
        sim_free(a);
        sim_free(b);
    }
}

/* Code reaches RAM by its distance where its address is known: the RAM of another machine is elsewhere. */
TEST(sim, saved_code_finds_the_memory_of_another_machine)
{
    enum { ROUNDS = 20000, COUNT = 0x1000, AUIPC_A0_1 = 0x00001517, LD_A1_A0 = 0x00053583, A1_PLUS_1 = 0x00158593 };
    enum { SD_A1_A0 = 0x00b53023, A2_PLUS_1 = 0x00160613, J_BACK_20 = 0xfedff06f, LOOP_INSNS = 6 };
    SimCode *saved = NULL;
    if (sim_code_new(&saved, NULL)) {
        test_skip("no engine makes code here");
        return;
    }
    Sim *s[2];
    for (unsigned i = 0; i < 2; i++) {
        uint64_t count = 0;
        SimCodeStats stats;
        s[i] = bare_with(&(SimConfig){.guest = "riscv64", .engine = SIM_HYBRID, .code = saved});
        SimVcpu *v = vcpu(s[i], 0);
        CODE(s[i], AUIPC_A0_1, LD_A1_A0, A1_PLUS_1, SD_A1_A0, A2_PLUS_1, J_BACK_20);
        run(v, ROUNDS * LOOP_INSNS);
        CHECK(!sim_mem_read(s[i], RAM + COUNT, &count, sizeof count, NULL));
        CHECK_INT(count, ROUNDS);
        CHECK_INT(reg(v, "a2"), ROUNDS);
        sim_code_stats(saved, &stats);
        CHECK(i ? stats.used > 1 : stats.made > 1); /* the loop as a block, and as a region */
    }
    sim_free(s[0]);
    sim_free(s[1]);
    sim_code_free(saved);
}

TEST_ENGINES(sim, a_refused_snapshot_changes_nothing)
{
    Sim *a = bare(engine, true), *b = bare(engine, true), *other = bare(engine, false);
    SimVcpu *va = vcpu(a, 0), *vb = vcpu(b, 0);
    vcpu(other, 0);
    CODE(a, LI_A0_5, J_SELF);
    run(va, 2);
    Buf image = {0};
    Err err = {0};
    CHECK(!sim_save(a, &image, NULL));
    uint64_t before = sim_vcpu_hash(vb);
    for (size_t i = 0; i < image.n; i += 1 + image.n / 97) {
        image.data[i] ^= 0x40;
        CHECK(sim_restore(b, image.data, image.n, &err) < 0);
        CHECK(err.text[0]);
        image.data[i] ^= 0x40;
        CHECK(sim_restore(b, image.data, i, &err) < 0);
    }
    CHECK_INT(sim_vcpu_hash(vb), before);
    CHECK_INT(sim_ram_hash(b), sim_ram_hash(other));
    CHECK_INT(sim_restore(other, image.data, image.n, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "another machine");
    buf_free(&image);
    sim_free(a);
    sim_free(b);
    sim_free(other);
}

TEST_ENGINES(sim, a_fork_and_its_origin_do_not_see_each_other)
{
    Sim *a = bare(engine, true), *b = NULL;
    SimVcpu *va = vcpu(a, 0);
    CODE(a, LI_A0_5, J_SELF);
    run(va, 1);
    CHECK(!sim_fork(a, &b, NULL));
    SimVcpu *vb = sim_vcpu_at(b, 0);
    CHECK_INT(sim_vcpu_hash(vb), sim_vcpu_hash(va));
    CODE(a, NOP, NOP, LI_A0_5);
    uint32_t word = 0;
    CHECK(!sim_mem_read(b, RAM + 4, &word, 4, NULL));
    CHECK_INT(word, J_SELF);
    word = WFI;
    CHECK(!sim_mem_write(b, RAM + 4, &word, 4, NULL));
    CHECK_INT(run(vb, 100).kind, SIM_EXIT_halt);
    CHECK_INT(run(va, 1).kind, SIM_EXIT_budget);
    CHECK_INT(reg(va, "pc"), RAM + 8);
    sim_free(a);
    CHECK_INT(run(vb, 100).kind, SIM_EXIT_halt);
    sim_free(b);
}

TEST_ENGINES(sim, an_access_that_awaits_its_reply_cannot_be_saved_or_changed)
{
    Sim *s = bare(engine, true);
    SimVcpu *v = vcpu(s, 0);
    CODE(s, 0x00053503 /* ld a0, 0(a0) */, J_SELF);
    SimExit e = run(v, UINT64_MAX);
    CHECK_INT(e.kind, SIM_EXIT_mmio_read);
    CHECK(e.has_reg);
    CHECK_INT(e.reg, reg_find(GUEST_riscv64, "a0")->id);
    Buf image = {0};
    uint64_t value = 1;
    bool has_next = true;
    CHECK_INT(sim_save(s, &image, NULL), -ERR_BUSY);
    CHECK_INT(sim_reg_set(v, e.reg, &value, NULL), -ERR_BUSY);
    CHECK_INT(sim_run(v, &(SimRun){.insns = 1}, &e, NULL), -ERR_BUSY);
    CHECK(!sim_reply(v, 0x77, false, NULL));
    CHECK(!sim_settle(v, &e, &has_next, NULL));
    CHECK(!has_next);
    CHECK_INT(reg(v, "a0"), 0x77);
    CHECK(!sim_save(s, &image, NULL));
    buf_free(&image);
    sim_free(s);
}

TEST_ENGINES(sim, a_firmware_call_ends_the_machine)
{
    Sim *s = NULL;
    SimExit e = {0};
    uint8_t who;
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64", .engine = engine, .is_virt = true}, &s, NULL));
    CHECK(!sim_board(s, &(SimBoardConfig){.ram_bytes = 16 << 20, .nvcpus = 2, .has_firmware = true}, NULL));
    CODE(s, ECALL, J_SELF);
    CHECK(!sim_vcpu_reset(sim_vcpu_at(s, 0), &(SimReset){.entry = RAM}, NULL));
    CHECK(!sim_vcpu_reset(sim_vcpu_at(s, 1), &(SimReset){.hw_id = 1, .entry = RAM, .is_parked = true}, NULL));
    uint64_t srst = 0x53525354; /* "SRST", function 0, type 0: shut down */
    CHECK(!sim_reg_set(sim_vcpu_at(s, 0), reg_find(GUEST_riscv64, "a7")->id, &srst, NULL));
    CHECK(!sim_run_all(s, 1000, &(SimRun){.insns = UINT64_MAX}, &who, &e, NULL));
    CHECK_INT(e.kind, SIM_EXIT_system_down);
    CHECK_INT(e.addr, 0);
    sim_free(s);
}

/* ---- a second stage of the caller's ---- */
enum { ROOT = RAM + 0x10000, LUI_A1_GIGABYTE_1 = 0x400005b7, LD_A0_0_A1 = 0x0005b503, PTE_ALL = 0xdf };

static void root_put(Sim *s, unsigned gigabyte, uint64_t pte)
{
    CHECK(!sim_mem_write(s, ROOT + 8ull * gigabyte, &pte, sizeof pte, NULL));
}

TEST_ENGINES(sim, what_a_second_stage_lacks_is_a_nested_page_fault_until_the_caller_maps_it)
{
    Sim *s = bare(engine, true), *twin = NULL;
    SimVcpu *v = vcpu(s, 0);
    CODE(s, LUI_A1_GIGABYTE_1, NOP, NOP, LD_A0_0_A1, J_SELF);
    root_put(s, 2, (uint64_t)RAM >> 2 | PTE_ALL);
    CHECK(!sim_vcpu_reset(v, &(SimReset){.entry = RAM, .has_stage2 = true, .stage2 = ROOT}, NULL));
    const uint64_t address = 1 << 30;
    for (unsigned i = 0; i < 2; i++) { /* nothing was done: it comes again */
        SimExit e = run(v, UINT64_MAX);
        CHECK_INT(e.kind, SIM_EXIT_nested_page_fault);
        CHECK_INT(e.addr, address);
        CHECK_INT(e.gva, address);
        CHECK_INT(e.arg[0], 1);
        CHECK_INT(e.arg[1], address);
        CHECK_INT(e.pc_before, RAM + 12);
        CHECK_INT(e.insns, 3);
        CHECK(!e.needs_reply);
    }
    CHECK(!sim_fork(s, &twin, NULL)); /* the root is kept */
    CHECK_INT(run(sim_vcpu_at(twin, 0), UINT64_MAX).kind, SIM_EXIT_nested_page_fault);
    root_put(s, 1, (uint64_t)RAM >> 2 | PTE_ALL);
    CHECK_INT(run(v, 10).kind, SIM_EXIT_budget);
    CHECK_INT(reg(v, "a0"), (uint64_t)NOP << 32 | LUI_A1_GIGABYTE_1);
    root_put(s, 2, 0); /* the code's own gigabyte goes: seen by the next run */
    SimExit e = run(v, 10);
    CHECK_INT(e.kind, SIM_EXIT_nested_page_fault);
    CHECK_INT(e.arg[0], 4);
    CHECK_INT(e.addr, RAM + 16);
    sim_free(twin);
    sim_free(s);
}

TEST_ENGINES(sim, a_root_that_cannot_be_one_and_a_machine_without_a_level_below_are_refused)
{
    Sim *s = bare(engine, true), *machine = bare(engine, false);
    SimVcpu *v = vcpu(s, 0), *m = vcpu(machine, 0);
    static const uint64_t roots[] = {ROOT + 0x1000, 1, 1ull << 56};
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        Err err = {0};
        CHECK_INT(sim_vcpu_reset(v, &(SimReset){.has_stage2 = true, .stage2 = roots[i]}, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "16 KiB");
    }
    CHECK_INT(reg(v, "pc"), RAM);
    Err err = {0};
    CHECK_INT(sim_vcpu_reset(m, &(SimReset){.has_stage2 = true, .stage2 = ROOT}, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.feature, "stage2_table");
    sim_free(s);
    sim_free(machine);
}

TEST_ENGINES(sim, an_access_that_ends_its_block_by_itself_reaches_a_device)
{
    enum { FLD = 0x0002b087 /* fld f1, 0(t0) */, FS_INITIAL = 1 << 13 };
    Sim *s = bare(engine, false);
    SimVcpu *v = vcpu(s, 0);
    CODE(s, LI_A0_5, 0x100002b7 /* lui t0, 0x10000 */, FLD, NOP, J_SELF);
    CHECK_INT(sim_reg_set(v, reg_find(GUEST_riscv64, "mstatus")->id, &(uint64_t){FS_INITIAL}, NULL), 0);
    SimExit e = run(v, UINT64_MAX);
    CHECK_INT(e.kind, SIM_EXIT_mmio_read);
    CHECK_INT(e.addr, 0x10000000);
    CHECK_INT(e.pc_before, RAM + 8);
    CHECK_INT(sim_reply(v, 0x1234, false, NULL), 0);
    CHECK_INT(run(v, 2).kind, SIM_EXIT_budget);
    CHECK_INT(reg(v, "f1"), 0x1234);
    CHECK_INT(reg(v, "mstatus") >> 13 & 3, 3);
    sim_free(s);
}

/* What is saved says nothing of the engine that was there. */
TEST(sim, a_save_of_one_engine_goes_on_with_another)
{
    enum { COUNT = 0x00150513 /* addi a0, a0, 1 */, STORE = 0x00a2b023 /* sd a0, 0(t0) */, INSNS = 1000 };
    uint64_t hash[SIM_ENGINES][SIM_ENGINES] = {{0}};
    for (unsigned i = 0; i < SIM_ENGINES * SIM_ENGINES; i++) {
        SimEngine first = (SimEngine)(i / SIM_ENGINES), then = (SimEngine)(i % SIM_ENGINES);
        if (sim_engine_check(first, NULL) || sim_engine_check(then, NULL)) {
            continue;
        }
        Sim *a = bare(first, true), *b = bare(then, true);
        CODE(a, 0x00000297 /* auipc t0, 0 */, 0x10028293 /* addi t0, t0, 256 */, COUNT, STORE, 0xff9ff06f /* j -8 */);
        CHECK_INT(run(vcpu(a, 0), INSNS + i).kind, SIM_EXIT_budget);
        (void)vcpu(b, 0);
        Buf image = {0};
        CHECK_INT(sim_save(a, &image, NULL), 0);
        CHECK_INT(sim_restore(b, image.data, image.n, NULL), 0);
        CHECK_INT(sim_vcpu_hash(sim_vcpu_at(b, 0)), sim_vcpu_hash(sim_vcpu_at(a, 0)));
        CHECK_INT(run(sim_vcpu_at(b, 0), INSNS - i).insns, 2 * INSNS);
        CHECK_INT(reg(sim_vcpu_at(b, 0), "a0"), (2 * INSNS - 2) / 3);
        hash[first][then] = sim_vcpu_hash(sim_vcpu_at(b, 0)) ^ sim_ram_hash(b);
        CHECK_INT(hash[first][then], hash[SIM_INTERP][SIM_INTERP]);
        buf_free(&image);
        sim_free(a);
        sim_free(b);
    }
}

TEST(sim, what_needs_a_board_or_has_one_already_says_so)
{
    Sim *s = bare(sim_engine_best(), false);
    SimBoardConfig cfg = {.ram_bytes = RAM_BYTES, .nvcpus = 2};
    SimExit e;
    SimVcpu *v = NULL;
    Err err;
    size_t n = 1;
    uint8_t who;
    CHECK_INT(sim_board_load(s, &(SimBoot){0}, &err), -ERR_STATE);
    CHECK_HAS(err.text, "an image needs a board");
    CHECK_INT(sim_run_all(s, 1000, &(SimRun){.insns = 1}, &who, &e, &err), -ERR_STATE);
    CHECK(!sim_board_fdt(s, &n) && !n);
    CHECK_INT(sim_board_input(s, "x", 1), 0);
    CHECK_INT(sim_board_now_ns(s), 0);
    sim_board_poll(s);
    sim_free(s);
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64"}, &s, NULL));
    CHECK_INT(sim_board(s, &cfg, NULL), 0);
    CHECK_INT(sim_board(s, &cfg, &err), -ERR_EXIST);
    CHECK_HAS(err.text, "the simulator has a board");
    CHECK_INT(sim_vcpu_new(s, 1, &v, &err), -ERR_EXIST);
    CHECK_HAS(err.text, "vcpu 1 exists");
    CHECK_INT(sim_run_all(s, 0, &(SimRun){.insns = 1}, &who, &e, &err), -ERR_STATE);
    CHECK_INT(sim_reply(sim_vcpu_at(s, 1), 0, false, &err), -ERR_STATE);
    CHECK_HAS(err.text, "vcpu 1: no reply is due");
    sim_board_poll(s);
    sim_free(s);
}
