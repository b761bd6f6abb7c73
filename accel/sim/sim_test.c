/* SPDX-License-Identifier: Apache-2.0
 * sim_test.c - the backend under its own table: what the suite above cannot see or cannot provoke. */
#define R1_SIM_RISCV64
#include "accel/r1/blobs.h"
#include "accel/sim/impl.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <pthread.h>
#include <string.h>

extern const Backend backend_sim_interp;

enum { BASE = 0x80000000u, RAM_BYTES = 1 << 20, CODE = BASE + 0x1000, HOLE = 0x10000000 };
#define X(n) REG_ID(GUEST_riscv64, 3, REG_GPR, n)
enum { T0 = 5, A0 = 10, A1, A2, A3, A4, A6 = 16, A7 = 17 };

typedef struct {
    BeVm *vm;
    BeVcpu *v;
    RamId ram;
    Err err;
} Rig;

static const VmOps *ops(void)
{
    return backend_sim_interp.vm;
}

static const VcpuOps *vops(void)
{
    return backend_sim_interp.vcpu;
}

static RegId reg(const char *name)
{
    return reg_find(GUEST_riscv64, name)->id;
}

static uint64_t get(Rig *r, RegId id)
{
    uint64_t value = 0;
    size_t bad;
    CHECK_INT(vops()->get_regs(r->v, &(RegIo){id, &value}, 1, &bad, &r->err), 0);
    return value;
}

static int set(Rig *r, RegId id, uint64_t value)
{
    size_t bad;
    return vops()->set_regs(r->v, &(RegIo){id, &value}, 1, &bad, &r->err);
}

static void put(Rig *r, uint64_t at, const void *bytes, size_t n)
{
    CHECK_INT(ops()->mem_write(r->vm, (Gpa){at}, bytes, n, &r->err), 0);
}

static void add_vcpu(Rig *r, const VcpuConfig *cfg, uint64_t entry, BeVcpu **out)
{
    CHECK_INT(vops()->create(r->vm, cfg, out, &r->err), 0);
    CHECK_INT(vops()->setup(*out, &(VcpuSetup){.entry = {entry}}, &r->err), 0);
}

static void rig_open_as(Rig *r, const VmConfig *cfg)
{
    *r = (Rig){0};
    CHECK_INT(ops()->create(&backend_sim_interp, cfg, &r->vm, &r->err), 0);
    CHECK_INT(ops()->ram_create(r->vm, RAM_BYTES, &r->ram, &r->err), 0);
    CHECK_INT(ops()->map(r->vm, (Gpa){BASE}, RAM_BYTES, r->ram, 0, MAP_R | MAP_W | MAP_X, &r->err), 0);
    add_vcpu(r, &(VcpuConfig){0}, CODE, &r->v);
    CHECK_INT(set(r, X(A0), HOLE), 0);
    CHECK_INT(set(r, X(A1), 0x1122334455667788), 0);
}

static void rig_open(Rig *r)
{
    rig_open_as(r, &(VmConfig){.guest = GUEST_riscv64});
}

static void rig_close(Rig *r)
{
    vops()->destroy(r->v);
    ops()->destroy(r->vm);
}

#define PUT_BLOB(r, name) put((r), CODE, r1_##name##_start, (size_t)(r1_##name##_end - r1_##name##_start))
#define PUT_WORDS(r, ...) put((r), CODE, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}))
enum { RV_NOP = 0x00000013, RV_LOOP = 0x0000006f, RV_WFI = 0x10500073, RV_ECALL = 0x00000073 };
enum { LD_SPLIT = 0xffc53603 }; /* ld a2, -4(a0) */

static VmExit run_as(Rig *r, const RunArgs *args)
{
    VmExit e = {.kind = EXIT_COUNT};
    CHECK_INT(vops()->run(r->v, args, &e, &r->err), 0);
    return e;
}

static VmExit run(Rig *r)
{
    return run_as(r, &RUN_FOREVER);
}

static void answer(Rig *r, uint64_t value)
{
    CHECK_INT(vops()->reply(r->v, &(Reply){.value = value}, &r->err), 0);
}

static uint64_t at(const uint8_t *blob, const uint8_t *mark)
{
    return CODE + (uint64_t)(mark - blob);
}

/* ---- open and create ---- */
TEST(sim_backend, guests_without_a_simulator_are_refused_by_name)
{
    Caps caps;
    Err err = {0};
    CHECK_INT(backend_sim_interp.open(&backend_sim_interp, GUEST_x86_64, &caps, &err), (uint64_t)-ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "no simulator of x86_64 yet");
    CHECK_INT(backend_sim_interp.open(&backend_sim_interp, GUEST_riscv64, &caps, &err), 0);
    for (int i = 0; i < CAP_COUNT; i++) {
        CHECK(caps.level[i] == CAP_FULL || caps.why[i]);
    }
}

TEST(sim_backend, a_configuration_that_it_cannot_have_is_refused_with_the_reason)
{
    static const struct {
        VmConfig cfg;
        int rc;
        const char *has;
    } cases[] = {
        {{.guest = GUEST_aarch64}, -ERR_UNSUPPORTED, "aarch64"},
        {{.guest = GUEST_riscv64, .irqchip = IRQCHIP_KERNEL}, -ERR_UNSUPPORTED, "irqchip"},
        {{.guest = GUEST_riscv64, .firmware = FW_KERNEL}, -ERR_UNSUPPORTED, "firmware"},
        {{.guest = GUEST_riscv64, .cpu = "rv64imaq"}, -ERR_INVAL, "'q'"},
        {{.guest = GUEST_riscv64, .options = "speed=9"}, -ERR_INVAL, "speed=9"},
        {{.guest = GUEST_riscv64, .options = "max_block_insns="}, -ERR_INVAL, "max_block_insns=N"},
        {{.guest = GUEST_riscv64, .options = "max_block_insns=4294967296"}, -ERR_INVAL, "max_block_insns=N"},
        {{.guest = GUEST_riscv64, .options = "max_block_insns=1,block_seed=x"}, -ERR_INVAL, "block_seed=x"},
        {{.guest = GUEST_riscv64, .options = "max_block_insns=1,block_seed=99999999999999999999"}, -ERR_INVAL, "seed"},
        {{.guest = GUEST_riscv64, .options = "jit_threads=4294967296"}, -ERR_INVAL, "jit_threads=N"},
        {{.guest = GUEST_riscv64, .options = "jit_threads=17"}, -ERR_INVAL, "at most 16"},
        {{.guest = GUEST_riscv64, .options = "max_block_insns=8,block_seed=7,jit_threads=2"}, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        BeVm *vm = NULL;
        Err err = {0};
        CHECK_INT(ops()->create(&backend_sim_interp, &cases[i].cfg, &vm, &err), (uint64_t)cases[i].rc);
        CHECK_HAS(err.text, cases[i].has);
        if (vm) {
            ops()->destroy(vm);
        }
    }
}

/* ---- W3 ---- */
TEST(sim_backend, a_look_at_a_store_settles_it_and_its_answer_then_does_nothing)
{
    Rig r;
    rig_open(&r);
    PUT_BLOB(&r, store);
    CHECK_INT(run(&r).kind, EXIT_mmio_write);
    CHECK_INT(get(&r, reg("pc")), at(r1_store_start, r1_store_after));
    CHECK_INT(set(&r, X(A2), 1), (uint64_t)-ERR_BUSY);
    CHECK_INT(vops()->reply(r.v, &(Reply){.is_fault = true}, &r.err), (uint64_t)-ERR_UNSUPPORTED);
    answer(&r, 0);
    CHECK_INT(vops()->reply(r.v, &(Reply){0}, &r.err), (uint64_t)-ERR_STATE);
    CHECK_INT(run(&r).addr, HOLE + 0x400);
    rig_close(&r);
}

TEST(sim_backend, a_look_at_a_load_changes_nothing)
{
    Rig r;
    rig_open(&r);
    PUT_BLOB(&r, load);
    VmExit e = run(&r);
    CHECK_INT(e.pc_before, at(r1_load_start, r1_load_at));
    CHECK_INT(e.pc_after, at(r1_load_start, r1_load_after));
    CHECK_INT(e.reg, X(A2));
    CHECK_INT(e.insn_len, 4);
    CHECK_INT(get(&r, reg("pc")), e.pc_before);
    CHECK_INT(vops()->reply(r.v, &(Reply){.value = 5}, &r.err), 0);
    CHECK_INT(get(&r, X(A2)), 5);
    CHECK_INT(get(&r, reg("pc")), e.pc_after);
    rig_close(&r);
}

TEST(sim_backend, a_piece_that_settling_brings_up_is_kept_for_the_next_run)
{
    Rig r;
    size_t n = 64;
    RegId ids[64];
    rig_open(&r);
    PUT_WORDS(&r, LD_SPLIT, RV_LOOP);
    CHECK_INT(set(&r, X(A0), HOLE + 0x1000), 0);
    VmExit e = run(&r);
    CHECK_INT(e.addr, HOLE + 0xffc);
    CHECK_INT(e.size_bytes, 4);
    answer(&r, 0x11111111);
    CHECK_INT(get(&r, reg("pc")), CODE); /* half an instruction shows the state before it */
    CHECK_INT(set(&r, X(A2), 1), (uint64_t)-ERR_BUSY);
    CHECK_INT(vops()->reg_list(r.v, ids, &n, &r.err), (uint64_t)-ERR_BUSY);
    CHECK_INT(vops()->inject(r.v, &(Event){.kind = EV_LINE, .number = 9, .level = true}, &r.err), (uint64_t)-ERR_BUSY);
    vops()->kick(r.v);
    CHECK_INT(run(&r).kind, EXIT_canceled);
    e = run(&r);
    CHECK_INT(e.addr, HOLE + 0x1000);
    answer(&r, 0x22222222);
    CHECK_INT(get(&r, X(A2)), 0x2222222211111111);
    rig_close(&r);
}

TEST(sim_backend, setup_abandons_what_is_due_kept_and_raised)
{
    Rig r;
    rig_open(&r);
    PUT_WORDS(&r, LD_SPLIT, RV_LOOP);
    CHECK_INT(vops()->inject(r.v, &(Event){.kind = EV_LINE, .number = 9, .level = true}, &r.err), 0);
    CHECK_INT(set(&r, X(A0), HOLE + 0x1000), 0);
    CHECK_INT(run(&r).kind, EXIT_mmio_read);
    answer(&r, 0);
    CHECK_INT(get(&r, reg("irq_state")), 0x200);
    CHECK_INT(vops()->setup(r.v, &(VcpuSetup){.entry = {CODE + 4}}, &r.err), 0);
    RunArgs args = {.insns = 10, .deadline_ns = UINT64_MAX};
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    CHECK_INT(get(&r, reg("irq_state")), 0);
    CHECK_INT(get(&r, X(A0)), 0);
    rig_close(&r);
}

/* ---- budgets, steps ---- */
TEST(sim_backend, a_budget_counts_an_access_in_the_run_that_follows_its_reply)
{
    for (int looks = 0; looks < 2; looks++) {
        Rig r;
        rig_open(&r);
        PUT_WORDS(&r, RV_NOP, 0x00056603, RV_NOP, RV_NOP, RV_NOP, RV_LOOP); /* lwu a2, 0(a0) */
        RunArgs args = {.insns = 100, .deadline_ns = UINT64_MAX};
        CHECK_INT(run_as(&r, &args).insns, 1);
        answer(&r, 7);
        if (looks) {
            CHECK_INT(get(&r, X(A2)), 7);
        }
        args.insns = 3;
        VmExit e = run_as(&r, &args);
        CHECK_INT(e.kind, EXIT_budget);
        CHECK_INT(e.insns, 4);
        CHECK_INT(get(&r, reg("pc")), CODE + 16);
        rig_close(&r);
    }
}

TEST(sim_backend, a_budget_of_nothing_runs_nothing)
{
    Rig r;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    RunArgs args = {.insns = 0, .deadline_ns = UINT64_MAX};
    VmExit e = run_as(&r, &args);
    CHECK_INT(e.kind, EXIT_budget);
    CHECK_INT(e.insns, 0);
    rig_close(&r);
}

TEST(sim_backend, a_guest_that_only_traps_uses_its_budget_up)
{
    Rig r;
    rig_open(&r);
    PUT_WORDS(&r, 0xc0001073); /* and stvec is 0, a hole */
    RunArgs args = {.insns = 1000000, .deadline_ns = os_now_ns() + 600000000000};
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    rig_close(&r);
}

TEST(sim_backend, a_step_over_an_access_ends_when_it_is_settled_whoever_settles_it)
{
    for (int looks = 0; looks < 2; looks++) {
        Rig r;
        rig_open(&r);
        PUT_BLOB(&r, load);
        RunArgs args = RUN_FOREVER;
        args.is_step = true;
        CHECK_INT(run_as(&r, &args).kind, EXIT_mmio_read);
        answer(&r, 7);
        if (looks) {
            CHECK_INT(get(&r, X(A2)), 7);
        }
        VmExit e = run_as(&r, &args);
        CHECK_INT(e.kind, EXIT_debug);
        CHECK_INT(e.arg[0], DEBUG_STEP);
        CHECK_INT(get(&r, reg("pc")), at(r1_load_start, r1_load_after));
        rig_close(&r);
    }
}

TEST(sim_backend, break_and_watch_points_are_limited_and_checked)
{
    Rig r;
    Break list[MAX_BREAKS + 1];
    rig_open(&r);
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        list[i] = (Break){BREAK_EXEC, CODE + 0x100 + 4 * i, 1};
    }
    CHECK_INT(vops()->breaks(r.v, list, MAX_BREAKS, &r.err), 0);
    CHECK_INT(vops()->breaks(r.v, list, MAX_BREAKS + 1, &r.err), (uint64_t)-ERR_LIMIT);
    list[0].kind = (BreakKind)9;
    CHECK_INT(vops()->breaks(r.v, list, 1, &r.err), (uint64_t)-ERR_INVAL);
    rig_close(&r);
}

/* ---- W5, deadlines ---- */
TEST(sim_backend, a_deadline_that_has_passed_runs_nothing)
{
    Rig r;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    RunArgs args = {.insns = UINT64_MAX, .deadline_ns = 1};
    VmExit e = run_as(&r, &args);
    CHECK_INT(e.kind, EXIT_canceled);
    CHECK_INT(e.insns, 0);
    rig_close(&r);
}

TEST(sim_backend, kicks_do_not_add_up_and_none_is_left_over)
{
    Rig r;
    rig_open(&r);
    PUT_BLOB(&r, load);
    vops()->kick(r.v);
    vops()->kick(r.v);
    CHECK_INT(run(&r).kind, EXIT_canceled);
    CHECK_INT(run(&r).kind, EXIT_mmio_read);
    answer(&r, 1);
    vops()->kick(r.v);
    CHECK_INT(run(&r).kind, EXIT_canceled);
    CHECK_INT(get(&r, X(A2)), 1);
    CHECK_INT(run(&r).kind, EXIT_mmio_write);
    rig_close(&r);
}

/* ---- registers ---- */
TEST(sim_backend, a_set_that_fails_takes_back_what_it_has_written)
{
    Rig r;
    uint64_t one = 1, bad_satp = 15ull << 60, pc = BASE;
    size_t bad = 9;
    rig_open(&r);
    RegIo io[] = {{reg("sscratch"), &one}, {X(A2), &one}, {reg("pc"), &pc}, {reg("satp"), &bad_satp}, {X(A3), &one}};
    CHECK_INT(vops()->set_regs(r.v, io, ARRAY_LEN(io), &bad, &r.err), (uint64_t)-ERR_INVAL);
    CHECK_INT(bad, 3);
    CHECK_INT(get(&r, reg("sscratch")), 0);
    CHECK_INT(get(&r, X(A2)), 0);
    CHECK_INT(get(&r, reg("pc")), CODE);
    io[3].id = REG_ID(GUEST_riscv64, 3, REG_SYS, 0x5ff);
    CHECK_INT(vops()->set_regs(r.v, io, ARRAY_LEN(io), &bad, &r.err), (uint64_t)-ERR_NOENT);
    CHECK_INT(bad, 3);
    CHECK_INT(get(&r, X(A2)), 0);
    rig_close(&r);
}

/* Saves all registers of one vcpu and writes them to another. */
static void move(Rig *from, Rig *to)
{
    enum { MOST = 256 };
    RegId ids[MOST];
    RegIo io[MOST];
    uint64_t values[MOST];
    size_t n = MOST, bad;
    CHECK_INT(vops()->reg_list(from->v, ids, &n, &from->err), 0);
    for (size_t i = 0; i < n; i++) {
        io[i] = (RegIo){ids[i], &values[i]};
    }
    CHECK_INT(vops()->get_regs(from->v, io, n, &bad, &from->err), 0);
    CHECK_INT(vops()->set_regs(to->v, io, n, &bad, &to->err), 0);
}

TEST(sim_backend, a_move_takes_time_waiting_and_lines_along)
{
    Rig a, b;
    rig_open(&a);
    rig_open(&b);
    PUT_WORDS(&a, RV_NOP, RV_NOP, RV_WFI, RV_LOOP);
    PUT_WORDS(&b, RV_NOP, RV_NOP, RV_WFI, RV_LOOP);
    CHECK_INT(vops()->inject(a.v, &(Event){.kind = EV_LINE, .number = 5, .level = true}, &a.err), 0);
    CHECK_INT(vops()->inject(a.v, &(Event){.kind = EV_LINE, .number = 1, .level = true}, &a.err), 0);
    CHECK_INT(run(&a).kind, EXIT_halt);
    CHECK_INT(get(&a, reg("mp_state")), 3);
    move(&a, &b);
    CHECK_INT(get(&b, reg("mp_state")), 3);
    CHECK_INT(get(&b, REG_ID(GUEST_riscv64, 3, REG_NATIVE, 0)), 3);
    CHECK_INT(run(&b).kind, EXIT_halt);
    CHECK_INT(get(&b, reg("irq_state")), 0x20020);
    CHECK_INT(set(&b, reg("pc"), CODE + 12), 0); /* sent somewhere, it waits no longer */
    RunArgs args = {.insns = 10, .deadline_ns = UINT64_MAX};
    CHECK_INT(run_as(&b, &args).kind, EXIT_budget);
    rig_close(&a);
    rig_close(&b);
}

TEST(sim_backend, a_list_says_how_much_room_it_needs)
{
    Rig r;
    RegId ids[4];
    size_t n = 0, most;
    rig_open(&r);
    CHECK_INT(vops()->reg_list(r.v, NULL, &n, &r.err), 0);
    CHECK(n > 40);
    most = 4;
    CHECK_INT(vops()->reg_list(r.v, ids, &most, &r.err), (uint64_t)-ERR_LIMIT);
    rig_close(&r);
}

TEST(sim_backend, the_clock_goes_where_it_is_set_and_on_from_there)
{
    Rig r;
    uint64_t ns = 5000000;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    CHECK_INT(ops()->clock(r.vm, true, &ns, &r.err), 0);
    RunArgs args = {.insns = 100, .deadline_ns = UINT64_MAX};
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    CHECK_INT(ops()->clock(r.vm, false, &ns, &r.err), 0);
    CHECK_INT(ns, 5000100);
    ns = 10;
    CHECK_INT(ops()->clock(r.vm, true, &ns, &r.err), 0); /* back: a restored machine has less time behind it */
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    CHECK_INT(ops()->clock(r.vm, false, &ns, &r.err), 0);
    CHECK_INT(ns, 110);
    rig_close(&r);
}

TEST(sim_backend, vm_state_is_no_chunk_and_any_other_is_refused)
{
    Rig r;
    Buf out = {0};
    rig_open(&r);
    CHECK_INT(ops()->save(r.vm, &out, &r.err), 0);
    CHECK_INT(out.n, 0);
    CHECK_INT(ops()->restore(r.vm, "", 0, &r.err), 0);
    CHECK_INT(ops()->restore(r.vm, "abcdefgh", 8, &r.err), (uint64_t)-ERR_VERSION);
    buf_free(&out);
    rig_close(&r);
}

/* ---- SBI ---- */
TEST(sim_backend, firmware_calls_that_start_and_stop_have_exits_of_their_own)
{
    static const struct {
        uint64_t a7, a6, a0, a1, a2;
        ExitKind kind;
        uint64_t addr, arg0, arg1;
    } cases[] = {
        {0x48534d, 0, 3, 0x80002000, 7, EXIT_cpu_up, 3, 0x80002000, 7},
        {0x48534d, 1, 3, 4, 5, EXIT_cpu_down, 0, 0, 0},
        {0x48534d, 2, 3, 4, 5, EXIT_hypercall, 0x48534d00000002, 3, 4},
        {0x53525354, 0, 0, 1, 5, EXIT_system_down, 1, 0, 0},
        {0x53525354, 0, 2, 0, 5, EXIT_system_reset, 0, 0, 0},
        {0x53525354, 0, 0xf0000000, 0, 5, EXIT_hypercall, 0x5352535400000000, 0xf0000000, 0},
        {8, 0x55, 0, 0, 0, EXIT_system_down, 0, 0, 0},
        {0x09000000, 0x123, 1, 2, 3, EXIT_hypercall, CALL_NR, 1, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Rig r;
        rig_open(&r);
        PUT_WORDS(&r, RV_ECALL, RV_LOOP);
        CHECK_INT(set(&r, X(A7), cases[i].a7), 0);
        CHECK_INT(set(&r, X(A6), cases[i].a6), 0);
        CHECK_INT(set(&r, X(A0), cases[i].a0), 0);
        CHECK_INT(set(&r, X(A1), cases[i].a1), 0);
        CHECK_INT(set(&r, X(A2), cases[i].a2), 0);
        VmExit e = run(&r);
        CHECK_INT(e.kind, cases[i].kind);
        CHECK_INT(e.reply, REPLY_none);
        CHECK_INT(e.addr, cases[i].addr);
        CHECK_INT(e.arg[0], cases[i].arg0);
        CHECK_INT(e.arg[1], cases[i].arg1);
        CHECK_INT(e.pc_before, CODE);
        CHECK_INT(get(&r, reg("pc")), CODE + 4);
        rig_close(&r);
    }
}

/* ---- events ---- */
TEST(sim_backend, lines_are_those_of_the_environment)
{
    /* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): columns in the order in which they are read */
    static const struct {
        Env env;
        Event event;
        int rc;
        uint64_t irq_state;
    } cases[] = {
        {ENV_VIRT, {.kind = EV_LINE, .number = 9, .level = true}, 0, 0x200},
        {ENV_VIRT, {.kind = EV_LINE, .number = 5, .level = true}, 0, 0x20},
        {ENV_VIRT, {.kind = EV_LINE, .number = 1, .level = true}, 0, 0x20000},
        {ENV_VIRT, {.kind = EV_LINE, .number = 11, .level = true}, -ERR_INVAL, 0},
        {ENV_VIRT, {.kind = EV_EXCEPTION, .number = 2}, -ERR_UNSUPPORTED, 0},
        {ENV_MACHINE, {.kind = EV_LINE, .number = 3, .level = true}, 0, 8},
        {ENV_MACHINE, {.kind = EV_LINE, .number = 7, .level = true}, 0, 0x80},
        {ENV_MACHINE, {.kind = EV_LINE, .number = 11, .level = true}, 0, 0x800},
        {ENV_MACHINE, {.kind = EV_LINE, .number = 9, .level = true}, 0, 0x200},
        {ENV_MACHINE, {.kind = EV_LINE, .number = 5, .level = true}, -ERR_INVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Rig r;
        RunArgs args = {.insns = 5, .deadline_ns = UINT64_MAX};
        rig_open_as(&r, &(VmConfig){.guest = GUEST_riscv64, .env = cases[i].env});
        PUT_BLOB(&r, loop);
        CHECK_INT(vops()->inject(r.v, &cases[i].event, &r.err), (uint64_t)cases[i].rc);
        CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
        CHECK_INT(get(&r, reg("irq_state")), cases[i].irq_state);
        rig_close(&r);
    }
}

TEST(sim_backend, a_line_raised_before_a_vcpu_is_sent_somewhere_is_not_lost)
{
    Rig r;
    RunArgs args = {.insns = 5, .deadline_ns = UINT64_MAX};
    uint64_t ns = 1000;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    CHECK_INT(vops()->inject(r.v, &(Event){.kind = EV_LINE, .number = 9, .level = true}, &r.err), 0);
    CHECK_INT(set(&r, reg("pc"), CODE), 0);
    CHECK_INT(ops()->clock(r.vm, true, &ns, &r.err), 0);
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    CHECK_INT(get(&r, reg("irq_state")), 0x200);
    rig_close(&r);
}

/* ---- parked, board ---- */
TEST(sim_backend, a_parked_vcpu_idles_until_it_is_sent_somewhere)
{
    Rig r;
    BeVcpu *first;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    first = r.v;
    add_vcpu(&r, &(VcpuConfig){.id = 1, .hw_id = 1, .is_secondary = true}, CODE, &r.v);
    CHECK_INT(run(&r).kind, EXIT_idle);
    CHECK_INT(get(&r, reg("mp_state")), 5);
    CHECK_INT(set(&r, X(A0), 1), 0);
    CHECK_INT(run(&r).kind, EXIT_idle);
    CHECK_INT(set(&r, reg("pc"), CODE), 0);
    RunArgs args = {.insns = 5, .deadline_ns = UINT64_MAX};
    CHECK_INT(run_as(&r, &args).kind, EXIT_budget);
    vops()->destroy(first);
    rig_close(&r);
}

typedef struct {
    unsigned naccesses;
} Counting;

static bool claims_hole(void *ctx, ExitKind kind, uint64_t addr, bool *is_traced)
{
    (void)ctx;
    *is_traced = true;
    return (kind == EXIT_mmio_read || kind == EXIT_mmio_write) && addr < HOLE + 0x400;
}

static int access_hole(void *ctx, uint8_t vcpu, const VmExit *e, Reply *r, Err *err)
{
    (void)vcpu;
    (void)err;
    ((Counting *)ctx)->naccesses++;
    r->value = e->kind == EXIT_mmio_read ? 0x80 + e->size_bytes : 0;
    return 0;
}

TEST(sim_backend, what_the_board_claims_is_served_inside_of_run)
{
    Rig r;
    Counting counting = {0};
    Board board = {.ctx = &counting, .claims = claims_hole, .access = access_hole};
    rig_open_as(&r, &(VmConfig){.guest = GUEST_riscv64, .board = &board});
    PUT_BLOB(&r, sizes);
    RunArgs args = RUN_FOREVER;
    args.serve_board = true;
    VmExit e = run_as(&r, &args);
    CHECK_INT(e.kind, EXIT_mmio_write);
    CHECK_INT(e.addr, HOLE + 0x400);
    CHECK_INT(counting.naccesses, 8);
    CHECK_INT(get(&r, X(A3)), 0x81);
    CHECK_INT(get(&r, X(A4)), 0x82);
    answer(&r, 0);
    rig_close(&r);
}

/* ---- threads ---- */
typedef struct {
    Rig *rig;
    BeVcpu *v;
    VmExit exit;
} Runner;

static void *run_thread(void *arg)
{
    Runner *runner = arg;
    Err err = {0};
    RunArgs args = {.insns = UINT64_MAX, .deadline_ns = os_now_ns() + 120000000000};
    if (vops()->run(runner->v, &args, &runner->exit, &err)) {
        runner->exit.kind = EXIT_COUNT;
    }
    return NULL;
}

TEST(sim_backend, vcpus_run_on_their_own_threads_and_memory_changes_under_them)
{
    enum { N = 3, ROUNDS = 50 };
    Rig r;
    Runner runners[N];
    pthread_t threads[N];
    rig_open(&r);
    PUT_BLOB(&r, loop);
    runners[0] = (Runner){.rig = &r, .v = r.v};
    for (unsigned i = 1; i < N; i++) {
        runners[i] = (Runner){.rig = &r};
        add_vcpu(&r, &(VcpuConfig){.id = (uint8_t)i, .hw_id = i}, CODE, &runners[i].v);
    }
    for (int i = 0; i < N; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, run_thread, &runners[i]), 0);
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t word = RV_NOP;
        RamId ram;
        Gpa beside = {BASE + RAM_BYTES};
        put(&r, CODE + 0x800, &word, sizeof word);
        CHECK_INT(ops()->ram_create(r.vm, 4096, &ram, &r.err), 0);
        CHECK_INT(ops()->map(r.vm, beside, 4096, ram, 0, MAP_R | MAP_W, &r.err), 0);
        CHECK_INT(ops()->unmap(r.vm, beside, 4096, &r.err), 0);
    }
    put(&r, CODE, &(uint32_t){RV_WFI}, 4); /* code that is written is run as written */
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(runners[i].exit.kind, EXIT_halt);
    }
    for (int i = 1; i < N; i++) {
        vops()->destroy(runners[i].v);
    }
    rig_close(&r);
}

TEST(sim_backend, a_kick_from_another_thread_ends_a_run)
{
    Rig r;
    pthread_t thread;
    rig_open(&r);
    PUT_BLOB(&r, loop);
    Runner runner = {.rig = &r, .v = r.v};
    CHECK_INT(pthread_create(&thread, NULL, run_thread, &runner), 0);
    vops()->kick(r.v);
    pthread_join(thread, NULL);
    CHECK_INT(runner.exit.kind, EXIT_canceled);
    rig_close(&r);
}

/* ---- above the waist ---- */
TEST(sim_backend, a_hart_that_another_starts_runs_in_turn_with_it)
{
    /* hart_start(1, second, 0x77), then idles round; second: stores its argument to the hole */
    static const uint32_t words[] = {0x004858b7, 0x34d8889b, 0x00000813, 0x00100513, 0x00000597, 0x01458593,
                                     0x07700613, 0x00000073, RV_LOOP,    0x10000437, 0x00b43023, RV_LOOP};
    Vm *vm = NULL;
    Vcpu *v[2] = {NULL};
    RamId ram;
    Err err = {0};
    VmExit e;
    VmConfig cfg = {.guest = GUEST_riscv64, .firmware = FW_BOARD};
    CHECK_INT(vm_open(&backend_sim_interp, &cfg, NULL, NULL, &vm, &err), 0);
    CHECK_INT(vm_ram_new(vm, RAM_BYTES, &ram, &err), 0);
    CHECK_INT(vm_map(vm, (Gpa){BASE}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_X, &err), 0);
    CHECK_INT(vm_mem_write(vm, (Gpa){CODE}, words, sizeof words, &err), 0);
    for (uint8_t i = 0; i < 2; i++) {
        CHECK_INT(vcpu_new(vm, &(VcpuConfig){.id = i, .hw_id = i, .is_secondary = i == 1}, &v[i], &err), 0);
        CHECK_INT(vcpu_setup(v[i], &(VcpuSetup){.entry = {CODE}}, &err), 0);
    }
    VmRunArgs args = {
        .until = {.insns = 10000, .deadline_ns = UINT64_MAX}, .quantum_insns = 50, .is_round_robin = true};
    CHECK_INT(vm_run(vm, &args, &e, &err), 0);
    CHECK_INT(e.kind, EXIT_mmio_write);
    CHECK_INT(e.vcpu, 1);
    CHECK_INT(e.value, 0x77);
    CHECK_INT(e.insns, 1);
    vm_close(vm);
}
