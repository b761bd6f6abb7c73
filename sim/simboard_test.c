/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/sim.h"

#include <string.h>

enum { UART = 0x10000000, PLIC = 0xc000000, TEST_FINISHER = 0x100000, RAM = 0x80000000u };
enum { TIME = 0x54494d45, IPI = 0x735049, HSM = 0x48534d, SRST = 0x53525354, DBCN = 0x4442434e };

typedef struct {
    SimBoard *b;
    uint64_t now_ns;
    bool level[2][4];
    unsigned pulses[2], fences[2], starts, finishes;
    bool is_reset, is_failure;
    uint64_t entry, arg;
    Buf output;
    uint8_t ram[64];
} Rig;

static void on_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    ((Rig *)ctx)->level[vcpu][line] = level;
}
static void on_pulse(void *ctx, unsigned vcpu, unsigned line)
{
    ((Rig *)ctx)->pulses[vcpu] += line == 0;
}
static uint64_t on_now(void *ctx, unsigned vcpu)
{
    (void)vcpu;
    return ((Rig *)ctx)->now_ns;
}
static void on_output(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(&((Rig *)ctx)->output, bytes, n);
}
static void on_finish(void *ctx, unsigned vcpu, bool is_reset, bool is_failure)
{
    Rig *r = ctx;
    (void)vcpu;
    r->finishes++;
    r->is_reset = is_reset;
    r->is_failure = is_failure;
}
static void on_start(void *ctx, unsigned vcpu, uint64_t entry, uint64_t arg)
{
    Rig *r = ctx;
    r->starts += vcpu == 1;
    r->entry = entry;
    r->arg = arg;
}
static void on_fence(void *ctx, unsigned vcpu)
{
    ((Rig *)ctx)->fences[vcpu]++;
}
static bool is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    return gpa >= RAM && n <= sizeof((Rig *)ctx)->ram && gpa - RAM <= sizeof((Rig *)ctx)->ram - n;
}
static bool mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    memcpy(bytes, ((Rig *)ctx)->ram + (gpa - RAM), n);
    return true;
}
static bool mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    memcpy(((Rig *)ctx)->ram + (gpa - RAM), bytes, n);
    return true;
}

static void rig_open(Rig *r)
{
    *r = (Rig){0};
    SimBoardHost host = {.ctx = r,
                         .line = on_line,
                         .now_ns = on_now,
                         .output = on_output,
                         .finish = on_finish,
                         .pulse = on_pulse,
                         .start = on_start,
                         .fence = on_fence,
                         .is_ram = is_ram,
                         .mem_read = mem_read,
                         .mem_write = mem_write};
    SimBoardPlan plan = {.guest = "riscv64", .is_virt = true, .has_firmware = true, .nvcpus = 2};
    CHECK_INT(simboard_new(&plan, &host, &r->b, NULL), 0);
}

static void rig_close(Rig *r)
{
    simboard_free(r->b);
    buf_free(&r->output);
}

static void put(Rig *r, uint64_t gpa, unsigned size, uint64_t value)
{
    CHECK_INT(simboard_access(r->b, 0, gpa, size, true, &value), 0);
}

static SimBoardReply call(Rig *r, uint64_t ext, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2)
{
    SimBoardReply out;
    simboard_call(r->b, 0, &(SimBoardCall){.ext = ext, .fid = fid, .arg = {a0, a1, a2}}, &out);
    return out;
}

TEST(simboard, guests_and_devices_that_there_are_not)
{
    Err err = {0};
    uint64_t base = 0;
    SimBoard *b;
    CHECK_INT(simboard_new(&(SimBoardPlan){.guest = "x86_64", .nvcpus = 1}, &(SimBoardHost){0}, &b, &err),
              -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "x86_64");
    CHECK_INT(simboard_new(&(SimBoardPlan){.guest = "riscv64", .nvcpus = 65}, &(SimBoardHost){0}, &b, &err),
              -ERR_LIMIT);
    CHECK(simboard_find("riscv64", true, "uart16550", &base));
    CHECK_INT(base, UART);
    CHECK(!simboard_find("riscv64", true, "clint", &base));
    CHECK(simboard_find("riscv64", false, "clint", &base));
    CHECK(!simboard_find("aarch64", true, "uart16550", &base));
}

TEST(simboard, accesses_go_by_address_and_say_what_they_do)
{
    Rig r;
    bool drives = false;
    uint64_t value = 0;
    rig_open(&r);
    CHECK(simboard_claims(r.b, UART + 5, &drives));
    CHECK(!drives);
    CHECK(simboard_claims(r.b, PLIC, &drives));
    CHECK(drives);
    CHECK(!simboard_claims(r.b, RAM, &drives));
    CHECK_INT(simboard_access(r.b, 0, UART + 5, 8, false, &value), -ERR_FAULT);
    CHECK_INT(simboard_access(r.b, 2, UART + 5, 1, false, &value), -ERR_FAULT); /* no such vcpu */
    put(&r, UART, 1, 'o');
    put(&r, UART, 1, 'k');
    CHECK_STR(buf_text(&r.output), "ok");
    put(&r, TEST_FINISHER, 4, 0x13333);
    CHECK_INT(r.finishes, 1);
    CHECK(r.is_failure);
    rig_close(&r);
}

TEST(simboard, input_interrupts_the_vcpu_that_asked_for_it)
{
    Rig r;
    uint64_t value = 0;
    rig_open(&r);
    put(&r, UART + 1, 1, 1);             /* received data */
    put(&r, PLIC + 10 * 4, 4, 1);        /* priority of source 10 */
    put(&r, PLIC + 0x2000, 4, 1u << 10); /* enabled for hart 0 */
    CHECK_INT(simboard_input(r.b, "x", 1), 1);
    CHECK(r.level[0][2] && !r.level[1][2]);
    CHECK_INT(simboard_access(r.b, 0, UART, 1, false, &value), 0);
    CHECK_INT(value, 'x');
    CHECK_INT(simboard_access(r.b, 0, PLIC + 0x200004, 4, false, &value), 0);
    CHECK_INT(value, 10);
    CHECK(!r.level[0][2]);
    rig_close(&r);
}

TEST(simboard, the_firmware_keeps_time_and_moves_harts)
{
    Rig r;
    rig_open(&r);
    CHECK(simboard_takes(r.b, TIME) && simboard_takes(r.b, 1) && !simboard_takes(r.b, 0x9000000));
    CHECK_INT(simboard_deadline(r.b, 0), UINT64_MAX);
    call(&r, TIME, 0, 50, 0, 0);
    CHECK_INT(simboard_deadline(r.b, 0), 5000);
    simboard_tick(r.b, 0);
    CHECK(!r.level[0][1]);
    r.now_ns = 5000;
    simboard_tick(r.b, 0);
    CHECK(r.level[0][1]);
    CHECK_INT(simboard_deadline(r.b, 0), UINT64_MAX);
    call(&r, TIME, 0, UINT64_MAX, 0, 0);
    CHECK(!r.level[0][1]);
    call(&r, IPI, 0, 3, 0, 0);
    CHECK_INT(r.pulses[0], 1);
    CHECK_INT(r.pulses[1], 0); /* stopped */
    SimBoardReply out = call(&r, HSM, 0, 1, RAM, 7);
    CHECK_INT(out.action, SIM_CALL_RETURN);
    CHECK_INT(out.nret, 2);
    CHECK_INT(out.ret[0], 0);
    CHECK_INT(r.starts, 1);
    CHECK_INT(r.entry, RAM);
    CHECK_INT(r.arg, 7);
    CHECK_INT(call(&r, HSM, 0, 1, RAM, 7).ret[0], (uint64_t)-6);
    CHECK_INT(call(&r, HSM, 0, 1, 0, 7).ret[0], (uint64_t)-6);
    CHECK_INT(call(&r, HSM, 1, 0, 0, 0).action, SIM_CALL_STOP);
    CHECK_INT(call(&r, 0x52464e43, 1, 2, 0, 0).ret[0], 0);
    CHECK_INT(r.fences[1], 1);
    memcpy(r.ram, "hello", 5);
    CHECK_INT(call(&r, DBCN, 0, 5, RAM, 0).ret[1], 5);
    CHECK_STR(buf_text(&r.output), "hello");
    CHECK_INT(call(&r, 1, 0, '!', 0, 0).nret, 1);
    CHECK_INT(call(&r, SRST, 0, 0, 1, 0).action, SIM_CALL_OFF);
    CHECK(call(&r, SRST, 0, 0, 1, 0).is_failure);
    CHECK_INT(call(&r, HSM, 1, 0, 0, 0).action, SIM_CALL_STOP);
    simboard_started(r.b, 0);
    CHECK_INT(call(&r, HSM, 2, 0, 0, 0).ret[1], 0);
    CHECK_INT(call(&r, 2, 0, 0, 0, 0).ret[0], UINT64_MAX); /* nothing was typed */
    CHECK_INT(simboard_input(r.b, "k", 1), 1);
    CHECK_INT(call(&r, 2, 0, 0, 0, 0).ret[0], 'k');
    CHECK_INT(simboard_deadline(r.b, 2), UINT64_MAX); /* no such vcpu */
    simboard_tick(r.b, 2);
    rig_close(&r);
}

TEST(simboard, saved_and_restored_elsewhere_it_goes_on_and_a_damaged_state_changes_nothing)
{
    Rig a, b;
    Buf state = {0}, again = {0};
    Err err = {0};
    rig_open(&a);
    rig_open(&b);
    call(&a, TIME, 0, 50, 0, 0);
    call(&a, HSM, 0, 1, RAM, 7);
    put(&a, UART + 7, 1, 0x5a);
    simboard_save(a.b, &state);
    for (size_t n = 0; n < state.n; n++) {
        Cursor c = cursor_of(state.data, n);
        CHECK(simboard_restore(b.b, &c, &err) < 0);
    }
    CHECK_INT(simboard_deadline(b.b, 0), UINT64_MAX);
    Cursor c = cursor_of(state.data, state.n);
    CHECK_INT(simboard_restore(b.b, &c, &err), 0);
    CHECK_INT(simboard_deadline(b.b, 0), 5000);
    CHECK_INT(call(&b, HSM, 2, 1, 0, 0).ret[1], 0); /* started */
    simboard_save(b.b, &again);
    CHECK(again.n == state.n && !memcmp(again.data, state.data, state.n));
    buf_free(&state);
    buf_free(&again);
    rig_close(&a);
    rig_close(&b);
}

TEST(simboard, tells_which_registers_and_features_were_reached)
{
    enum { FEATURES_SEL = 0x024, FEATURES = 0x020, STATUS = 0x070, ACKNOWLEDGED = 3, FEATURES_OK = 8 };
    Rig r;
    Buf out = {0};
    uint64_t value = 0, rng = 0;
    rig_open(&r);
    CHECK(simboard_find("riscv64", true, "virtio_rng", &rng));
    put(&r, UART + 7, 1, 0x55);
    simboard_cover_read(r.b, &out);
    CHECK_STR(buf_text(&out), ""); /* nobody has asked yet */
    simboard_cover(r.b);
    put(&r, UART + 7, 1, 0x55);
    CHECK_INT(simboard_access(r.b, 0, UART + 5, 1, false, &value), 0);
    put(&r, UART + 5, 1, 0); /* has no meaning: no register */
    CHECK_INT(simboard_access(r.b, 0, PLIC + 0x201004, 4, false, &value), 0);
    put(&r, rng + STATUS, 4, ACKNOWLEDGED);
    put(&r, rng + FEATURES_SEL, 4, 1);
    put(&r, rng + FEATURES, 4, 1);
    put(&r, rng + STATUS, 4, ACKNOWLEDGED | FEATURES_OK);
    simboard_cover_read(r.b, &out);
    static const char *const has[] = {
        "device_reg\tuart16550\tuart16550 SCR write\t1\n", "device_reg\tuart16550\tuart16550 LSR read\t1\n",
        "device_reg\tplic\tplic claim/complete read\t1\n", "device_reg\tvirtio_mmio\tvirtio_mmio STATUS write\t2\n",
        "virtio_feature\tvirtio rng\tvirtio rng VERSION_1\t1\n"};
    for (size_t i = 0; i < sizeof has / sizeof has[0]; i++) {
        CHECK_HAS(buf_text(&out), has[i]);
    }
    CHECK(!strstr(buf_text(&out), "LSR write") && !strstr(buf_text(&out), "INDIRECT_DESC"));
    buf_free(&out);
    rig_close(&r);
}
