/* SPDX-License-Identifier: Apache-2.0
 * probe.c - the probes. Guest code is one instruction that jumps to itself, at RAM that every backend can map; it means
 * the same in every mode a vcpu may wake up in, so a probe needs no world. */
#include "conformance/probe.h"

#include "conformance/probe_int.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { RAM_BYTES = PROBE_RAM_BYTES, BUDGET = 1000 };
static const uint64_t RAM_AT[GUEST_COUNT] = {
    [GUEST_riscv64] = 0x80000000, [GUEST_aarch64] = 0x40000000, [GUEST_x86_64] = 0x2000};

/* True: seen. False: why was appended to. */
typedef bool ProbeFn(Probe *p, Buf *why);

bool probe_held(const Probe *p, int rc, const char *what, Buf *why)
{
    if (rc) {
        buf_printf(why, "%s: %s", what, p->err.text);
    }
    return rc == 0;
}

/* ---- set-up ---- */

static int put_loop(Probe *p)
{
    static const struct {
        uint8_t bytes[4];
        size_t n;
    } LOOPS[GUEST_COUNT] = {
        [GUEST_riscv64] = {{0x6f, 0, 0, 0}, 4}, /* jal zero, 0: RISC-V Unprivileged ISA, 2.5 */
        [GUEST_aarch64] = {{0, 0, 0, 0x14}, 4}, /* b . : Arm ARM C6.2, B */
        [GUEST_x86_64] = {{0xeb, 0xfe}, 2},     /* jmp rel8 -2: SDM Vol. 2, JMP */
    };
    int rc = vm_ram_new(p->vm, RAM_BYTES, &p->ram, &p->err);
    Gpa at = {RAM_AT[p->guest]};
    rc = rc ? rc : vm_map(p->vm, at, RAM_BYTES, p->ram, 0, MAP_R | MAP_W | MAP_X, &p->err);
    return rc ? rc : vm_mem_write(p->vm, at, LOOPS[p->guest].bytes, LOOPS[p->guest].n, &p->err);
}

/* x86 wakes in real mode with a code segment of its own (SDM Vol. 3, 11.1.4): one at 0 makes pc an address. */
static int x86_flat(Probe *p)
{
    uint64_t zero = 0;
    size_t bad = 0;
    RegIo io[] = {{.id = reg_find(GUEST_x86_64, "cs.selector")->id, .bytes = &zero},
                  {.id = reg_find(GUEST_x86_64, "cs.base")->id, .bytes = &zero}};
    return vcpu_set_regs(p->v, io, ARRAY_LEN(io), &bad, &p->err);
}

uint64_t probe_ram_at(GuestId guest)
{
    return RAM_AT[guest];
}

int probe_open(Probe *p)
{
    uint64_t nvcpus = p->caps->max_vcpus == 1 ? 1 : 2;
    VmConfig cfg = {.guest = p->guest, .max_vcpus = nvcpus, .max_ram_bytes = RAM_BYTES};
    VcpuConfig vcpu = {0};
    VcpuSetup setup = {.entry = {RAM_AT[p->guest]}};
    int rc = vm_open(p->b, &cfg, p->model, NULL, &p->vm, &p->err);
    if (!rc && p->caps->level[CAP_map] >= CAP_PARTIAL) {
        rc = put_loop(p);
    }
    if (!rc && p->caps->level[CAP_vcpu] >= CAP_PARTIAL) {
        rc = vcpu_new(p->vm, &vcpu, &p->v, &p->err);
        rc = rc ? rc : vcpu_setup(p->v, &setup, &p->err);
        rc = rc || p->guest != GUEST_x86_64 || p->model != &life_virtualcpu ? rc : x86_flat(p);
    }
    return rc;
}

/* ---- the probes ---- */

static bool probe_opened(Probe *p, Buf *why) /* vcpu: that probe_open worked is the answer */
{
    (void)p, (void)why;
    return true;
}

static bool probe_gpr(Probe *p, Buf *why)
{
    const RegInfo *arg0 = reg_find(p->guest, "arg0");
    uint64_t in = 0x1122334455667788, got = 0;
    size_t bad = 0;
    assert(arg0);
    RegIo set = {.id = arg0->id, .bytes = &in}, get = {.id = arg0->id, .bytes = &got};
    if (!probe_held(p, vcpu_set_regs(p->v, &set, 1, &bad, &p->err), "set arg0", why) ||
        !probe_held(p, vcpu_get_regs(p->v, &get, 1, &bad, &p->err), "get arg0", why)) {
        return false;
    }
    if (got != in) {
        buf_printf(why, "arg0 was set to 0x%llx and reads 0x%llx", (unsigned long long)in, (unsigned long long)got);
    }
    return got == in;
}

static bool probe_reg_list(Probe *p, Buf *why)
{
    size_t n = 0, bad = 0;
    bool is_fine = probe_held(p, vcpu_reg_list(p->v, NULL, &n, &p->err), "count", why);
    RegId *ids = is_fine ? mem_try(n ? n : 1, sizeof *ids) : NULL;
    if (!is_fine || !ids || !n) {
        buf_str(why, is_fine ? "the list is empty" : "");
        mem_free(ids);
        return false;
    }
    is_fine = probe_held(p, vcpu_reg_list(p->v, ids, &n, &p->err), "list", why);
    for (size_t i = 0; i < n && is_fine; i++) {
        RegIo io = {.id = ids[i], .bytes = x_alloc(REG_SIZE(ids[i]))};
        is_fine = probe_held(p, vcpu_get_regs(p->v, &io, 1, &bad, &p->err), "get of a listed register", why);
        mem_free(io.bytes);
    }
    mem_free(ids);
    return is_fine;
}

static bool probe_memory(Probe *p, Buf *why)
{
    uint64_t in = 0xfeedface12345678, out = 0;
    Gpa at = {RAM_AT[p->guest] + 0x100};
    if (!probe_held(p, vm_mem_write(p->vm, at, &in, sizeof in, &p->err), "write", why) ||
        !probe_held(p, vm_mem_read(p->vm, at, &out, sizeof out, &p->err), "read", why)) {
        return false;
    }
    if (in != out) {
        buf_str(why, "memory does not read as written");
    }
    return in == out;
}

static bool probe_alias(Probe *p, Buf *why)
{
    uint32_t in = 0xabad1dea, out = 0;
    uint64_t far = RAM_AT[p->guest] + 16 * (uint64_t)RAM_BYTES;
    if (!probe_held(p, vm_map(p->vm, (Gpa){far}, RAM_BYTES, p->ram, 0, MAP_R | MAP_W, &p->err), "second map", why) ||
        !probe_held(p, vm_mem_write(p->vm, (Gpa){far + 0x200}, &in, sizeof in, &p->err), "write", why) ||
        !probe_held(p, vm_mem_read(p->vm, (Gpa){RAM_AT[p->guest] + 0x200}, &out, sizeof out, &p->err), "read", why)) {
        return false;
    }
    if (in != out) {
        buf_str(why, "what is written through one mapping is not seen through the other");
    }
    return in == out;
}

static bool probe_read_only(Probe *p, Buf *why)
{
    uint64_t far = RAM_AT[p->guest] + 16 * (uint64_t)RAM_BYTES;
    return probe_held(p, vm_map(p->vm, (Gpa){far}, RAM_BYTES, p->ram, 0, MAP_R, &p->err), "map without W", why);
}

static bool probe_dirty(Probe *p, Buf *why) /* that it can be asked; which pages are named is a scenario's matter */
{
    uint64_t at = RAM_AT[p->guest] + 16 * (uint64_t)RAM_BYTES;
    uint8_t bits[RAM_BYTES / 4096 / 8 + 1] = {0};
    RamId ram;
    return probe_held(p, vm_ram_new(p->vm, RAM_BYTES, &ram, &p->err), "ram", why) &&
           probe_held(p, vm_map(p->vm, (Gpa){at}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_LOG_DIRTY, &p->err), "map",
                      why) &&
           probe_held(p, vm_dirty_get(p->vm, (Gpa){at}, RAM_BYTES, bits, true, &p->err), "get", why);
}

static bool run_is(Probe *p, const RunArgs *args, ExitKind want, Buf *why)
{
    VmExit e = {0};
    if (!probe_held(p, vcpu_run(p->v, args, &e, &p->err), "run", why)) {
        return false;
    }
    if (e.kind != want) {
        buf_printf(why, "expected %s, got ", exit_name(want));
        exit_print(why, &e, true);
    }
    return e.kind == want;
}

static uint64_t in_ms(unsigned ms)
{
    return os_now_ns() + ms * 1000000ull;
}

static bool probe_cancel(Probe *p, Buf *why)
{
    RunArgs args = RUN_FOREVER;
    vcpu_kick(p->v); /* sticky: the entry that follows must end at once */
    return run_is(p, &args, EXIT_canceled, why);
}

static bool probe_deadline(Probe *p, Buf *why)
{
    RunArgs args = RUN_FOREVER;
    args.deadline_ns = in_ms(PROBE_RUN_MS);
    return run_is(p, &args, EXIT_canceled, why);
}

static bool probe_budget(Probe *p, Buf *why)
{
    RunArgs args = {.insns = BUDGET, .deadline_ns = in_ms(PROBE_PATIENCE_MS), .want = HAS_insns};
    VmExit e = {0};
    if (!probe_held(p, vcpu_run(p->v, &args, &e, &p->err), "run", why)) {
        return false;
    }
    bool is_exact = e.kind == EXIT_budget && (!(e.valid & HAS_insns) || e.insns == BUDGET);
    if (!is_exact) {
        buf_printf(why, "a budget of %d instructions ended after %llu as ", BUDGET, (unsigned long long)e.insns);
        exit_print(why, &e, true);
    }
    return is_exact;
}

static bool probe_step(Probe *p, Buf *why)
{
    RunArgs args = {.insns = UINT64_MAX, .deadline_ns = in_ms(PROBE_PATIENCE_MS), .is_step = true};
    return run_is(p, &args, EXIT_debug, why);
}

static bool probe_save(Probe *p, Buf *why)
{
    Buf image = {0};
    bool is_fine = probe_held(p, vcpu_save(p->v, &image, &p->err), "save", why) &&
                   probe_held(p, vcpu_restore(p->v, image.data, image.n, &p->err), "restore", why);
    buf_free(&image);
    return is_fine;
}

static bool probe_second_vcpu(Probe *p, Buf *why)
{
    VcpuConfig cfg = {.id = 1, .is_secondary = true, .hw_id = 1};
    Vcpu *second = NULL;
    return probe_held(p, vcpu_new(p->vm, &cfg, &second, &p->err), "second vcpu", why);
}

static bool probe_second_vm(Probe *p, Buf *why)
{
    VmConfig cfg = {.guest = p->guest};
    Vm *second = NULL;
    bool is_fine = probe_held(p, vm_open(p->b, &cfg, &life_virtualcpu, NULL, &second, &p->err), "second VM", why);
    vm_close(second);
    return is_fine;
}

static bool probe_clock(Probe *p, Buf *why)
{
    uint64_t first = 0, second = 0;
    bool is_fine = probe_held(p, vm_clock(p->vm, false, &first, &p->err), "get", why) &&
                   probe_held(p, vm_clock(p->vm, false, &second, &p->err), "get", why);
    if (is_fine && second < first) {
        buf_str(why, "the clock runs backwards");
    }
    return is_fine && second >= first;
}

typedef struct {
    Probe *p;
    int rc;
} Elsewhere;

static void *bind_elsewhere(void *arg)
{
    Elsewhere *x = arg;
    x->rc = vcpu_bind(x->p->v, &x->p->err);
    x->rc = x->rc ? x->rc : vcpu_unbind(x->p->v, &x->p->err);
    return NULL;
}

static bool probe_rebind(Probe *p, Buf *why)
{
    Elsewhere x = {.p = p};
    pthread_t thread;
    if (pthread_create(&thread, NULL, bind_elsewhere, &x)) {
        buf_str(why, "no thread to be had");
        return false;
    }
    pthread_join(thread, NULL);
    return probe_held(p, x.rc, "bind on another thread", why);
}

static const struct {
    ProbeFn *fn;
    bool needs_code; /* only where the backend executes */
    bool is_shallow; /* sees only that the calls are accepted */
    bool needs_vcpu;
} PROBES[CAP_COUNT] = {
    [CAP_vcpu] = {probe_opened, false, false, true},
    [CAP_gpr_get] = {probe_gpr, false, false, true},
    [CAP_gpr_set] = {probe_gpr, false, false, true},
    [CAP_reg_list] = {probe_reg_list, false, false, true},
    [CAP_map] = {probe_memory, false, false, false},
    [CAP_map_alias] = {probe_alias, false, false, false},
    [CAP_map_ro] = {probe_read_only, false, true, false},
    [CAP_dirty_log] = {probe_dirty, false, true, false},
    [CAP_cancel] = {probe_cancel, false, false, true},
    [CAP_deadline] = {probe_deadline, true, false, true},
    [CAP_insn_count] = {probe_budget, true, false, true},
    [CAP_step] = {probe_step, true, false, true},
    [CAP_save] = {probe_save, false, true, true},
    [CAP_multi_vcpu] = {probe_second_vcpu, false, true, false},
    [CAP_multi_vm] = {probe_second_vm, false, false, false},
    [CAP_clock] = {probe_clock, false, false, false},
    [CAP_rebind] = {probe_rebind, false, false, true},
    [CAP_executes] = {probe_deadline, true, false, true},
};

const char *probe_answer_name(ProbeAnswer a)
{
    static const char *const NAMES[] = {"held", "accepted", "contradicted", "not claimed", "not probed"};
    return NAMES[a];
}

bool probe_exists(Cap cap, const Caps *caps)
{
    return PROBES[cap].fn && (!PROBES[cap].needs_code || caps->level[CAP_executes] >= CAP_PARTIAL);
}

ProbeAnswer probe_run(const Backend *b, GuestId guest, const Caps *caps, Cap cap, Buf *why)
{
    if (caps->level[cap] != CAP_FULL) {
        return PROBE_NOT_CLAIMED;
    }
    if (!probe_exists(cap, caps)) {
        return PROBE_NOT_PROBED;
    }
    Probe p = {.b = b, .guest = guest, .caps = caps, .model = &life_virtualcpu};
    if (cap == CAP_rebind) {
        p.model = &life_axvcpu; /* virtualcpu has no bind of its own */
    }
    bool is_held = probe_held(&p, probe_open(&p), "set-up", why);
    if (is_held && PROBES[cap].needs_vcpu && !p.v) {
        buf_str(why, "claimed without the capability vcpu");
        is_held = false;
    }
    is_held = is_held && PROBES[cap].fn(&p, why);
    vm_close(p.vm);
    return !is_held ? PROBE_CONTRADICTED : PROBES[cap].is_shallow ? PROBE_ACCEPTED : PROBE_HELD;
}
