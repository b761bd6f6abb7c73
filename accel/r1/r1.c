/* SPDX-License-Identifier: Apache-2.0
 * r1.c - does the exit contract (accel.h, W1 to W8) hold on a real kernel?
 *
 *     r1 BACKEND [CASE...]
 *
 * One program over accel.h with guest code of the architecture that it is compiled for. Prints the
 * canonical trace of each case, which must be the same on every backend and architecture, or "case
 * X: skipped: capability Y: reason". On the backend `fake` each case plays a script instead. The
 * program r1-riscv64 has riscv64 guest code on every host, for simulators. ci/r1 runs both
 * everywhere and compares. Exit status: 0, or 1 if a call failed that should not, 2 usage,
 * 125 if the backend is not there. */
#include "accel/accel.h"
#include "accel/r1/blobs.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOLE       0x10000000ull
#define DONE_AT    0x10000400ull
#define BASE       0x80000000ull
#define CODE       0x80001000ull
#define SLOT       0x90000000ull
#define FLAG       0x80008000ull
#define DATA       0x1122334455667788ull
#define RAM_BYTES  0x100000ull
#define SLOT_BYTES 0x10000ull /* a multiple of every page size */
#define LIMIT_NS   120000000000ull

typedef struct {
    const uint8_t *start, *end;
} Code;
#define CODE_OF(name)      ((Code){r1_##name##_start, r1_##name##_end})
#define PC_OF(name, label) ((uint64_t)(CODE + (uint64_t)(r1_##label - r1_##name##_start)))

typedef struct {
    const Backend *backend;
    Caps caps;
    Vm *vm;
    Vcpu *v;
    Buf out;
    Err err;
    bool is_fake, has_failed;
} Rig;

typedef struct {
    const char *name;
    Cap needs[2];
    unsigned nneeds;
    CapLevel least; /* CAP_NA: PARTIAL will do */
    void (*run)(Rig *r);
} Case;

/* ---- output ---- */
static void say(Rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(Rig *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_str(&r->out, "  ");
    buf_vprintf(&r->out, fmt, args);
    buf_char(&r->out, '\n');
    va_end(args);
}

static bool ok(Rig *r, int rc, const char *what)
{
    if (rc) {
        say(r, "%s: %s: %s", what, err_name(rc), r->err.text);
        r->has_failed = true;
    }
    return rc == 0;
}

static void say_refusal(Rig *r, const char *what, int rc)
{
    say(r, "%s: %s", what, rc ? err_name(rc) : "done");
}

/* ---- guest ---- */
static uint64_t get(Rig *r, const char *name)
{
    uint64_t value = 0;
    const RegInfo *info = reg_find(R1_GUEST, name);
    RegIo io = {info->id, &value};
    size_t bad = 0;
    ok(r, vcpu_get_regs(r->v, &io, 1, &bad, &r->err), name);
    return value;
}

static int set(Rig *r, const char *name, uint64_t value)
{
    const RegInfo *info = reg_find(R1_GUEST, name);
    RegIo io = {info->id, &value};
    size_t bad = 0;
    return vcpu_set_regs(r->v, &io, 1, &bad, &r->err);
}

static void say_pc(Rig *r, const char *what, uint64_t at, uint64_t after)
{
    uint64_t pc = get(r, "pc");
    if (pc == at) {
        say(r, "%s: pc before", what);
    } else if (pc == after) {
        say(r, "%s: pc after", what);
    } else {
        say(r, "%s: pc elsewhere", what);
    }
}

#if defined(__x86_64__) && !defined(R1_SIM_RISCV64)
/* 64-bit flat ring 0, the lower 4 GiB mapped one to one; page tables, GDT and IDT at the end of
 * RAM. */
static int enter_mode(Rig *r, Vcpu *v)
{
    enum { GDT = 0x80000, IDT = 0x81000, PML4 = 0x82000, PDPT = 0x83000, PD = 0x84000, STACK = 0x90000 };
    static const uint64_t gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    uint64_t handler = CODE + 0x100, table[512] = {BASE + PDPT + 7};
    uint64_t gate[2] = {(handler & 0xffff) | 8ull << 16 | 0x8eull << 40 | (handler >> 16 & 0xffff) << 48,
                        handler >> 32};
    int rc = vm_mem_write(r->vm, (Gpa){BASE + GDT}, gdt, sizeof gdt, &r->err);
    rc = rc ? rc : vm_mem_write(r->vm, (Gpa){BASE + IDT + 13 * 16}, gate, sizeof gate, &r->err);
    rc = rc ? rc : vm_mem_write(r->vm, (Gpa){BASE + PML4}, table, sizeof table, &r->err);
    table[0] = 0;
    for (uint64_t i = 0; !rc && i < 4; i++) {
        uint64_t entry = BASE + PD + i * 0x1000 + 7, pages[512];
        for (uint64_t j = 0; j < 512; j++) {
            pages[j] = i << 30 | j << 21 | 0x87;
        }
        rc = vm_mem_write(r->vm, (Gpa){BASE + PDPT + 8 * i}, &entry, 8, &r->err);
        rc = rc ? rc : vm_mem_write(r->vm, (Gpa){BASE + PD + i * 0x1000}, pages, sizeof pages, &r->err);
    }
    static const struct {
        const char *name;
        uint64_t value;
    } regs[] = {{"cr0", 0x80000033}, {"cr3", BASE + PML4},      {"cr4", 0x620},
                {"msr.efer", 0x501}, {"rsp", BASE + STACK},     {"gdtr.base", BASE + GDT},
                {"gdtr.limit", 23},  {"idtr.base", BASE + IDT}, {"idtr.limit", 4095},
                {"cs.selector", 8},  {"cs.limit", 0xffffffff},  {"cs.attr", 0xa09b},
                {"ds.selector", 16}, {"ds.limit", 0xffffffff},  {"ds.attr", 0xc093},
                {"es.selector", 16}, {"es.limit", 0xffffffff},  {"es.attr", 0xc093},
                {"ss.selector", 16}, {"ss.limit", 0xffffffff},  {"ss.attr", 0xc093}};
    enum { N = sizeof regs / sizeof regs[0] };
    RegIo io[N];
    uint64_t values[N];
    for (size_t i = 0; i < N; i++) {
        values[i] = regs[i].value;
        io[i] = (RegIo){reg_find(R1_GUEST, regs[i].name)->id, &values[i]};
    }
    size_t bad = 0;
    return rc ? rc : vcpu_set_regs(v, io, N, &bad, &r->err);
}
#else
static int enter_mode(Rig *r, Vcpu *v)
{
    (void)r;
    (void)v;
    return 0;
}
#endif

static bool vm_start(Rig *r)
{
    VmConfig cfg = {.guest = R1_GUEST};
    RamId ram;
    uint32_t flags = MAP_R | MAP_W | MAP_X;
    return ok(r, vm_open(r->backend, &cfg, &life_virtualcpu, NULL, &r->vm, &r->err), "open") &&
           ok(r, vm_ram_new(r->vm, RAM_BYTES, &ram, &r->err), "ram") &&
           ok(r, vm_map(r->vm, (Gpa){BASE}, RAM_BYTES, ram, 0, flags, &r->err), "map");
}

static bool vcpu_start(Rig *r, uint8_t id, uint64_t code_at, Code code, Vcpu **out)
{
    VcpuConfig cfg = {.id = id, .hw_id = id};
    VcpuSetup setup = {.entry = {code_at}};
    if (!ok(r, vm_mem_write(r->vm, (Gpa){code_at}, code.start, (size_t)(code.end - code.start), &r->err), "code") ||
        !ok(r, vcpu_new(r->vm, &cfg, out, &r->err), "vcpu") || !ok(r, vcpu_setup(*out, &setup, &r->err), "setup") ||
        !ok(r, enter_mode(r, *out), "mode")) {
        return false;
    }
    r->v = *out;
    return ok(r, set(r, "arg0", HOLE), "arg0") && ok(r, set(r, "arg1", DATA), "arg1");
}

static bool start(Rig *r, Code code)
{
    return vm_start(r) && vcpu_start(r, 0, CODE, code, &r->v);
}

/* What the fake does instead of the blob. */
static bool script(Rig *r, Vcpu *v, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool script(Rig *r, Vcpu *v, const char *fmt, ...)
{
    Buf text = {0}, answer = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    bool is_ok = !r->is_fake || ok(r, vm_ctl(r->vm, v, "fake.script", text.data, text.n, &answer, &r->err), "script");
    buf_free(&text);
    buf_free(&answer);
    return is_ok;
}

static VmExit run_with(Rig *r, RunArgs args)
{
    VmExit e = {.kind = EXIT_COUNT};
    if (args.deadline_ns == UINT64_MAX) {
        args.deadline_ns = os_now_ns() + LIMIT_NS;
    }
    if (ok(r, vcpu_run(r->v, &args, &e, &r->err), "run")) {
        buf_str(&r->out, "  ");
        exit_print(&r->out, &e, false);
        buf_char(&r->out, '\n');
    }
    return e;
}

static VmExit run(Rig *r)
{
    return run_with(r, RUN_FOREVER);
}

static void answer(Rig *r, uint64_t value)
{
    ok(r, vcpu_reply(r->v, &(Reply){.value = value}, &r->err), "reply");
}

/* Runs and answers until DONE, or until something else than an access. */
static void run_to_done(Rig *r, uint64_t value)
{
    for (unsigned i = 0; i < 64; i++) {
        VmExit e = run(r);
        if (e.kind == EXIT_COUNT || e.reply == REPLY_none) {
            return;
        }
        answer(r, value);
        if (e.kind == EXIT_mmio_write && e.addr >= DONE_AT && e.addr < DONE_AT + 8) {
            return;
        }
    }
}

#define DONE_SCRIPT "mmio_write addr=0x10000400 size=4 value=13\n"

/* ---- cases ---- */
static void say_args(Rig *r, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        char name[8];
        snprintf(name, sizeof name, "arg%u", i);
        say(r, "%s 0x%" PRIx64, name, get(r, name));
    }
}

static void case_sizes(Rig *r)
{
    if (!start(r, CODE_OF(sizes)) ||
        !script(r, r->v,
                "mmio_write addr=0x10000000 size=1 value=0x88\nmmio_write addr=0x10000000 size=2 "
                "value=0x7788\n"
                "mmio_write addr=0x10000000 size=4 value=0x55667788\n"
                "mmio_write addr=0x10000000 size=8 value=0x1122334455667788\n"
                "mmio_read addr=0x10000000 size=8 reg=arg2\nmmio_read addr=0x10000000 size=1 reg=arg3\n"
                "mmio_read addr=0x10000000 size=2 reg=arg4\nmmio_read addr=0x10000000 size=4 "
                "reg=arg5\n" DONE_SCRIPT)) {
        return;
    }
    run_to_done(r, 0xa1a2a3a4a5a6a7a8);
    say_args(r, 2, 5);
}

static void case_signed(Rig *r)
{
    if (!start(r, CODE_OF(signed)) ||
        !script(r, r->v,
                "mmio_read addr=0x10000000 size=1 reg=arg2 signed=1\nmmio_read addr=0x10000000 "
                "size=2 reg=arg3 signed=1\n"
                "mmio_read addr=0x10000000 size=4 reg=arg4 signed=1\n" DONE_SCRIPT)) {
        return;
    }
    run_to_done(r, 0xf1f2f3f4f5f6f7f8);
    say_args(r, 2, 4);
}

static bool start_load(Rig *r)
{
    return start(r, CODE_OF(load)) &&
           script(r, r->v,
                  "mmio_read addr=0x10000000 size=4 reg=arg2 pc=0x%" PRIx64 " next=0x%" PRIx64 "\n" DONE_SCRIPT,
                  PC_OF(load, load_at), PC_OF(load, load_after));
}

static void say_load(Rig *r, const char *what)
{
    say_pc(r, what, PC_OF(load, load_at), PC_OF(load, load_after));
}

static void case_pending_read(Rig *r)
{
    VmExit e;
    if (!start_load(r)) {
        return;
    }
    run(r);
    say_load(r, "look");
    say_refusal(r, "set_regs", set(r, "arg3", 1));
    say_refusal(r, "run", vcpu_run(r->v, &RUN_FOREVER, &e, &r->err));
    answer(r, 0x12345678);
    say_refusal(r, "reply again", vcpu_reply(r->v, &(Reply){0}, &r->err));
    say_load(r, "look");
    say_load(r, "look again");
    say_args(r, 2, 2);
    run_to_done(r, 0);
}

static void case_pending_write(Rig *r)
{
    uint64_t at = PC_OF(store, store_at), after = PC_OF(store, store_after);
    if (!start(r, CODE_OF(store)) ||
        !script(r, r->v,
                "mmio_write addr=0x10000000 size=4 value=0x55667788 pc=0x%" PRIx64 " next=0x%" PRIx64 "\n" DONE_SCRIPT,
                at, after)) {
        return;
    }
    run(r);
    say_pc(r, "look", at, after);
    say_refusal(r, "set_regs", set(r, "arg3", 1));
    answer(r, 0);
    say_pc(r, "look", at, after);
    run_to_done(r, 0);
}

static void case_page_split(Rig *r)
{
    if (!start(r, CODE_OF(split)) ||
        !script(r, r->v,
                "mmio_read addr=0x10000ffc size=4 reg=arg4\nmmio_read addr=0x10001000 size=4 reg=arg4\n"
                "set arg2=0x2222222211111111\n"
                "mmio_write addr=0x10000ffc size=4 value=0x55667788\nmmio_write addr=0x10001000 size=4 "
                "value=0x11223344\n" DONE_SCRIPT)) {
        return;
    }
    run(r);
    answer(r, 0x11111111);
    run(r);
    answer(r, 0x22222222);
    run_to_done(r, 0);
    say_args(r, 2, 2);
}

static void case_string_io(Rig *r)
{
    uint8_t got[8] = {0};
    if (!start(r, CODE_OF(string)) || !ok(r, vm_mem_write(r->vm, (Gpa){BASE + 0x3000}, "abc", 3, &r->err), "string") ||
        !script(r, r->v,
                "io_write port=0x70 size=1 value=0x61\nio_write port=0x70 size=1 value=0x62\n"
                "io_write port=0x70 size=1 value=0x63\nio_read port=0x70 size=2\nio_read port=0x70 "
                "size=2\n"
                "io_read port=0x70 size=2\nio_read port=0x70 size=2\nwrite 0x80003100 "
                "3041304130413041\n" DONE_SCRIPT)) {
        return;
    }
    run_to_done(r, 0x4130);
    if (ok(r, vm_mem_read(r->vm, (Gpa){BASE + 0x3100}, got, sizeof got, &r->err), "memory")) {
        say(r, "memory %.8s", (const char *)got);
    }
}

static void case_msr(Rig *r)
{
    if (!vm_start(r) || !ok(r, vm_intercept(r->vm, IC_SYSREG, 0x12345, 0x12346, true, &r->err), "intercept") ||
        !vcpu_start(r, 0, CODE, CODE_OF(msr), &r->v) ||
        !script(r, r->v,
                "sysreg_read index=0x12345 reply-to=arg4\nsysreg_write index=0x12345 value=7\n"
                "sysreg_read index=0x12346\nset arg5=13\n" DONE_SCRIPT)) {
        return;
    }
    run(r);
    answer(r, 0x55);
    run(r);
    answer(r, 0);
    run(r);
    ok(r, vcpu_reply(r->v, &(Reply){.is_fault = true}, &r->err), "reply with a fault");
    run_to_done(r, 0);
    say_args(r, 4, 5);
}

static void case_halt(Rig *r)
{
    uint64_t at = PC_OF(halt, halt_at), after = PC_OF(halt, halt_after);
    if (start(r, CODE_OF(halt)) && script(r, r->v, "halt pc=0x%" PRIx64 " next=0x%" PRIx64 "\n", at, after)) {
        run(r);
        say_pc(r, "look", at, after);
    }
}

static void case_hypercall(Rig *r)
{
    uint64_t after = PC_OF(call, call_after);
    if (!start(r, CODE_OF(call)) ||
        !script(r, r->v,
                "hypercall nr=0x%" PRIx64 " arg0=1 arg1=2 arg2=3 arg3=4 arg4=5 arg5=6 pc=0x%" PRIx64 " next=0x%" PRIx64
                "\nmmio_write addr=0x10000400 size=4 value=0x77\n",
                (uint64_t)CALL_NR, after - 4, after)) {
        return;
    }
    VmExit e = {0};
    RunArgs args = RUN_FOREVER;
    args.deadline_ns = os_now_ns() + LIMIT_NS;
    if (!ok(r, vcpu_run(r->v, &args, &e, &r->err), "run")) {
        return;
    }
    /* the numbers differ between architectures by nature */
    say(r, "%s nr %s args %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, exit_name(e.kind),
        e.addr == CALL_NR ? "as called" : "another", e.arg[0], e.arg[1], e.arg[2], e.arg[3], e.arg[4], e.arg[5]);
    say_pc(r, "look", after - 4, after);
    ok(r, vcpu_set_return(r->v, 0x77, &r->err), "set_return");
    run_to_done(r, 0);
}

/* ---- kicks ---- */
typedef struct {
    Vcpu *v;
    atomic_uint seen;
    atomic_bool stop;
} Storm;
enum { KICKS = 1000 };

static void *storm(void *arg)
{
    Storm *s = arg;
    for (unsigned i = 0; i < KICKS && !atomic_load(&s->stop); i++) {
        vcpu_kick(s->v);
        while (atomic_load(&s->seen) <= i && !atomic_load(&s->stop)) {
            nanosleep(&(struct timespec){0, 20000}, NULL);
        }
    }
    return NULL;
}

static void case_kick_storm(Rig *r)
{
    pthread_t t;
    Storm s = {0};
    if (!start(r, CODE_OF(loop)) || !script(r, r->v, "spin forever=1\n")) {
        return;
    }
    s.v = r->v;
    if (!ok(r, pthread_create(&t, NULL, storm, &s) ? -ERR_HOST : 0, "thread")) {
        return;
    }
    for (unsigned i = 0; i < KICKS; i++) {
        VmExit e = {0};
        RunArgs args = RUN_FOREVER;
        args.deadline_ns = os_now_ns() + LIMIT_NS;
        if (!ok(r, vcpu_run(r->v, &args, &e, &r->err), "run") || e.kind != EXIT_canceled ||
            os_now_ns() >= args.deadline_ns) {
            say(r, "kick %u: %s", i, e.kind == EXIT_canceled ? "lost" : exit_name(e.kind));
            break;
        }
        atomic_fetch_add(&s.seen, 1);
    }
    atomic_store(&s.stop, true);
    pthread_join(t, NULL);
    say(r, "%u of %u kicks seen", atomic_load(&s.seen), (unsigned)KICKS);
}

static void case_kick_sticky(Rig *r)
{
    if (!start_load(r)) {
        return;
    }
    vcpu_kick(r->v);
    vcpu_kick(r->v);
    run(r);
    run(r);
    answer(r, 0x5a);
    vcpu_kick(r->v);
    run(r);
    say_load(r, "look");
    say_args(r, 2, 2);
    run_to_done(r, 0);
}

static void case_deadline(Rig *r)
{
    if (!start(r, CODE_OF(loop)) || !script(r, r->v, "spin forever=1\n")) {
        return;
    }
    RunArgs args = RUN_FOREVER;
    uint64_t begin = os_now_ns();
    args.deadline_ns = begin + 50000000;
    run_with(r, args);
    uint64_t took = os_now_ns() - begin;
    say(r, "%s", took < 50000000 ? "too early" : took > LIMIT_NS / 2 ? "too late" : "in time");
}

static void case_save_busy(Rig *r)
{
    Buf state = {0};
    if (!start_load(r)) {
        return;
    }
    run(r);
    say_refusal(r, "save", vcpu_save(r->v, &state, &r->err));
    answer(r, 0x5a);
    ok(r, vcpu_save(r->v, &state, &r->err), "save");
    say_load(r, "look");
    ok(r, set(r, "arg2", 0), "arg2");
    ok(r, set(r, "pc", BASE), "pc");
    ok(r, vcpu_restore(r->v, state.data, state.n, &r->err), "restore");
    say_load(r, "look");
    say_args(r, 2, 2);
    run_to_done(r, 0);
    buf_free(&state);
}

static void case_read_only(Rig *r)
{
    RamId ram;
    uint32_t word = 55;
    if (!start(r, CODE_OF(slot)) || !ok(r, vm_ram_new(r->vm, SLOT_BYTES, &ram, &r->err), "ram") ||
        !ok(r, vm_map(r->vm, (Gpa){SLOT}, SLOT_BYTES, ram, 0, MAP_R, &r->err), "map") ||
        !ok(r, vm_mem_write(r->vm, (Gpa){SLOT}, &word, 4, &r->err), "word") || !ok(r, set(r, "arg2", SLOT), "arg2") ||
        !script(r, r->v,
                "set arg3=55\nmmio_write addr=0x90000000 size=4 value=0x55667788\nset "
                "arg4=55\n" DONE_SCRIPT)) {
        return;
    }
    run_to_done(r, 0);
    say_args(r, 3, 4);
    if (ok(r, vm_mem_read(r->vm, (Gpa){SLOT}, &word, 4, &r->err), "memory")) {
        say(r, "memory %u", word);
    }
}

static void case_step(Rig *r)
{
    const uint64_t marks[] = {PC_OF(step, step_1), PC_OF(step, step_2), PC_OF(step, step_3), PC_OF(step, step_4),
                              PC_OF(step, step_5)};
    if (!start(r, CODE_OF(step)) ||
        !script(
            r, r->v,
            "debug kind=step next=0x%" PRIx64 " pc=0x%" PRIx64 "\nmmio_write addr=0x10000000 size=4 value=0x55667788\n"
            "debug kind=step next=0x%" PRIx64 " pc=0x%" PRIx64 "\ndebug kind=step next=0x%" PRIx64 " pc=0x%" PRIx64
            "\nmmio_read addr=0x10000000 size=4 reg=arg2\ndebug kind=step next=0x%" PRIx64 " pc=0x%" PRIx64
            "\ndebug kind=step next=0x%" PRIx64 " pc=0x%" PRIx64 "\n" DONE_SCRIPT,
            marks[0], (uint64_t)CODE, marks[1], marks[0], marks[2], marks[1], marks[3], marks[2], marks[4], marks[3])) {
        return;
    }
    RunArgs args = RUN_FOREVER;
    args.is_step = true;
    unsigned steps = 0;
    for (unsigned i = 0; i < 16 && steps < 5; i++) {
        VmExit e = run_with(r, args);
        if (e.reply != REPLY_none) {
            answer(r, 0x5a);
        } else if (e.kind == EXIT_debug) {
            uint64_t pc = get(r, "pc");
            say(r, "step %u: pc %s", steps, pc == marks[steps] ? "behind it" : "elsewhere");
            steps++;
        } else {
            return;
        }
    }
    run_to_done(r, 0);
}

/* ---- two vcpus ---- */
typedef struct {
    Rig *r; /* a copy with its own vcpu and output */
} Runner;

static void *run_other(void *arg)
{
    run_to_done(((Runner *)arg)->r, 0);
    return NULL;
}

static void case_two_vcpus(Rig *r)
{
    Vcpu *first = NULL, *second = NULL;
    if (!vm_start(r) || !vcpu_start(r, 0, CODE, CODE_OF(wait), &first) || !ok(r, set(r, "arg2", FLAG), "arg2") ||
        !vcpu_start(r, 1, CODE + 0x1000, CODE_OF(flag), &second) || !ok(r, set(r, "arg2", FLAG), "arg2") ||
        !ok(r, set(r, "arg1", 1), "arg1") || !script(r, first, DONE_SCRIPT) || !script(r, second, DONE_SCRIPT)) {
        return;
    }
    Rig other = *r;
    Runner runner = {&other};
    pthread_t t;
    other.v = first;
    other.out = (Buf){0};
    if (!ok(r, pthread_create(&t, NULL, run_other, &runner) ? -ERR_HOST : 0, "thread")) {
        return;
    }
    run_to_done(r, 0);
    pthread_join(t, NULL);
    say(r, "the one that waited:");
    buf_str(&r->out, buf_text(&other.out));
    r->has_failed |= other.has_failed;
    buf_free(&other.out);
}

static void case_budget(Rig *r)
{
    if (!start(r, CODE_OF(loop)) || !script(r, r->v, "work insns=1000\nspin forever=1\n")) {
        return;
    }
    RunArgs args = RUN_FOREVER;
    args.insns = 100;
    run_with(r, args);
}

static const Case cases[] = {
    {"sizes", {CAP_mmio_data}, 1, CAP_NA, case_sizes},
    {"signed", {CAP_mmio_data}, 1, CAP_FULL, case_signed},
    {"pending_read", {CAP_mmio_data}, 1, CAP_NA, case_pending_read},
    {"pending_write", {CAP_mmio_data}, 1, CAP_NA, case_pending_write},
    {"page_split", {CAP_page_split}, 1, CAP_NA, case_page_split},
    {"string_io", {CAP_pio}, 1, CAP_NA, case_string_io},
    {"msr", {CAP_sysreg_exit, CAP_reply_fault}, 2, CAP_NA, case_msr},
    {"halt", {CAP_halt_visible}, 1, CAP_NA, case_halt},
    {"hypercall", {CAP_hypercall_visible}, 1, CAP_NA, case_hypercall},
    {"kick_storm", {CAP_cancel}, 1, CAP_NA, case_kick_storm},
    {"kick_sticky", {CAP_cancel}, 1, CAP_NA, case_kick_sticky},
    {"deadline", {CAP_deadline}, 1, CAP_NA, case_deadline},
    {"save_busy", {CAP_save}, 1, CAP_NA, case_save_busy},
    {"read_only", {CAP_map_ro}, 1, CAP_NA, case_read_only},
    {"step", {CAP_step}, 1, CAP_NA, case_step},
    {"two_vcpus", {CAP_multi_vcpu}, 1, CAP_NA, case_two_vcpus},
    {"budget", {CAP_insn_count}, 1, CAP_NA, case_budget},
};

static bool case_run(const Backend *b, const Caps *caps, const Case *c)
{
    Rig r = {.backend = b, .caps = *caps, .is_fake = strcmp(b->name, "fake") == 0};
    printf("case %s:", c->name);
    for (unsigned i = 0; i < c->nneeds; i++) {
        Cap cap = c->needs[i];
        if (caps->level[cap] < (c->least ? c->least : CAP_PARTIAL)) {
            printf(" skipped: capability %s: %s\n", cap_name(cap), caps->why[cap]);
            return true;
        }
    }
    printf("\n");
    c->run(&r);
    fputs(buf_text(&r.out), stdout);
    vm_close(r.vm);
    buf_free(&r.out);
    fflush(stdout);
    return !r.has_failed;
}

int main(int argc, char **argv)
{
    const Backend *b = argc > 1 ? backend_find(argv[1]) : NULL;
    Caps caps;
    Err err = {0};
    bool all_ok = true;
    if (!b) {
        fprintf(stderr, "usage: r1 BACKEND [CASE...]\n");
        return 2;
    }
    if (b->open(b, R1_GUEST, &caps, &err)) {
        fprintf(stderr, "r1: %s: %s\n", b->name, err.text);
        return 125;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_wanted = argc == 2;
        for (int j = 2; j < argc; j++) {
            is_wanted |= strcmp(argv[j], cases[i].name) == 0;
        }
        all_ok &= !is_wanted || case_run(b, &caps, &cases[i]);
    }
    return all_ok ? 0 : 1;
}
