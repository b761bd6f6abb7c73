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
