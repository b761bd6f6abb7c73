/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/probe.h"

#include "sim/base/test.h"

#include <string.h>

/* The backend fake with some of its operations broken. */
typedef struct {
    Backend b;
    VmOps vm;
    VcpuOps vcpu;
    Caps caps;
} Broken;

static Broken broken_new(GuestId guest)
{
    const Backend *fake = backend_find("fake");
    Broken x = {.b = *fake, .vm = *fake->vm, .vcpu = *fake->vcpu};
    Err err = {0};
    CHECK_INT(fake->open(fake, guest, &x.caps, &err), 0);
    return x;
}

static ProbeAnswer ask(Broken *x, GuestId guest, Cap cap, const char *why)
{
    Buf text = {0};
    x->b.vm = &x->vm;
    x->b.vcpu = &x->vcpu;
    ProbeAnswer answer = probe_run(&x->b, guest, &x->caps, cap, &text);
    CHECK_HAS(buf_text(&text), why);
    buf_free(&text);
    return answer;
}

TEST(probe, fake_does_what_it_declares)
{
    for (int g = 1; g < GUEST_COUNT; g++) {
        Broken x = broken_new((GuestId)g);
        for (int cap = 0; cap < CAP_COUNT; cap++) {
            CHECK(ask(&x, (GuestId)g, (Cap)cap, "") != PROBE_CONTRADICTED);
        }
        CHECK(ask(&x, (GuestId)g, CAP_gpr_set, "") == PROBE_HELD);
        CHECK(ask(&x, (GuestId)g, CAP_dirty_log, "") == PROBE_ACCEPTED);
        CHECK(ask(&x, (GuestId)g, CAP_executes, "") == PROBE_NOT_CLAIMED);
        CHECK(ask(&x, (GuestId)g, CAP_insn_count, "") == PROBE_NOT_PROBED); /* that needs guest code */
    }
}

static int set_nothing(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    (void)v, (void)io, (void)n, (void)bad, (void)err;
    return 0;
}

static int read_zero(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    (void)vm, (void)at, (void)err;
    memset(buf, 0, n);
    return 0;
}

static int no_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    (void)vm, (void)set, (void)guest_ns;
    return err_set(err, ERR_HOST, "the clock is broken");
}

static int no_second(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    return cfg->id ? err_set(err, ERR_LIMIT, "one is enough") : backend_find("fake")->vcpu->create(vm, cfg, out, err);
}

static int never_canceled(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    (void)v, (void)args, (void)err;
    *exit = (VmExit){.kind = EXIT_halt};
    return 0;
}

static int get_fails(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    (void)v, (void)io, (void)n, (void)bad;
    return err_set(err, ERR_HOST, "no register today");
}

static int list_nothing(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    (void)v, (void)ids, (void)err;
    *n = 0;
    return 0;
}

static int read_fails(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    (void)vm, (void)at, (void)buf, (void)n;
    return err_set(err, ERR_HOST, "no memory today");
}

static int run_fails(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    (void)v, (void)args, (void)exit;
    return err_set(err, ERR_HOST, "no run today");
}

static int ends_early(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    (void)v, (void)args, (void)err;
    *exit = (VmExit){.kind = EXIT_budget, .insns = 7, .valid = HAS_insns};
    return 0;
}

static int clock_back(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    static uint64_t now = 1000;
    (void)vm, (void)set, (void)err;
    *guest_ns = now--;
    return 0;
}

/* Each call of a probe may fail, and then is what it says; so does a vcpu that is not there. */
TEST(probe, a_call_that_fails_contradicts_the_claim)
{
    Broken x = broken_new(GUEST_riscv64);
    x.vcpu.get_regs = get_fails;
    CHECK(ask(&x, GUEST_riscv64, CAP_gpr_get, "get arg0: ") == PROBE_CONTRADICTED);
    CHECK(ask(&x, GUEST_riscv64, CAP_reg_list, "get of a listed register: ") == PROBE_CONTRADICTED);
    x.vcpu.reg_list = list_nothing;
    CHECK(ask(&x, GUEST_riscv64, CAP_reg_list, "the list is empty") == PROBE_CONTRADICTED);
    x.vm.mem_read = read_fails;
    CHECK(ask(&x, GUEST_riscv64, CAP_map, "read: no memory today") == PROBE_CONTRADICTED);
    CHECK(ask(&x, GUEST_riscv64, CAP_map_alias, "read: no memory today") == PROBE_CONTRADICTED);
    x.vm.clock = clock_back;
    CHECK(ask(&x, GUEST_riscv64, CAP_clock, "the clock runs backwards") == PROBE_CONTRADICTED);
    x.caps.level[CAP_executes] = CAP_FULL;
    x.vcpu.run = run_fails;
    CHECK(ask(&x, GUEST_riscv64, CAP_cancel, "run: no run today") == PROBE_CONTRADICTED);
    CHECK(ask(&x, GUEST_riscv64, CAP_insn_count, "run: no run today") == PROBE_CONTRADICTED);
    x.vcpu.run = ends_early;
    CHECK(ask(&x, GUEST_riscv64, CAP_insn_count, "a budget of 1000 instructions ended after 7 as budget") ==
          PROBE_CONTRADICTED);
    x.caps.level[CAP_vcpu] = CAP_NONE;
    CHECK(ask(&x, GUEST_riscv64, CAP_gpr_get, "claimed without the capability vcpu") == PROBE_CONTRADICTED);
}

TEST(probe, a_claim_that_does_not_hold_is_contradicted)
{
    Broken x = broken_new(GUEST_riscv64);
    x.vcpu.set_regs = set_nothing;
    CHECK(ask(&x, GUEST_riscv64, CAP_gpr_set, "reads 0x0") == PROBE_CONTRADICTED);
    x = broken_new(GUEST_riscv64);
    x.vm.mem_read = read_zero;
    CHECK(ask(&x, GUEST_riscv64, CAP_map, "does not read as written") == PROBE_CONTRADICTED);
    CHECK(ask(&x, GUEST_riscv64, CAP_map_alias, "not seen through the other") == PROBE_CONTRADICTED);
    x = broken_new(GUEST_riscv64);
    x.vm.clock = no_clock;
    CHECK(ask(&x, GUEST_riscv64, CAP_clock, "the clock is broken") == PROBE_CONTRADICTED);
    x = broken_new(GUEST_riscv64);
    x.vcpu.create = no_second;
    CHECK(ask(&x, GUEST_riscv64, CAP_multi_vcpu, "one is enough") == PROBE_CONTRADICTED);
    x = broken_new(GUEST_riscv64);
    x.vcpu.run = never_canceled;
    CHECK(ask(&x, GUEST_riscv64, CAP_cancel, "expected canceled, got halt") == PROBE_CONTRADICTED);
    x = broken_new(GUEST_riscv64);
    x.caps.level[CAP_clock] = CAP_PARTIAL;
    CHECK(ask(&x, GUEST_riscv64, CAP_clock, "") == PROBE_NOT_CLAIMED);
}
