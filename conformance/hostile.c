/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/hostile.h"

#include "conformance/probe_int.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { KICKS = 500, VMS = 40, RESETS = 40 };
/* True: stood. False: why was appended to. */
typedef bool HostileFn(Probe *p, Buf *why);

static uint64_t in_ms(unsigned ms)
{
    return os_now_ns() + ms * 1000000ull;
}

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&t, NULL);
}

/* ---- another thread runs the vcpu ---- */
typedef struct {
    Vcpu *v;
    pthread_t thread;
    atomic_bool is_out;
    int rc;
    VmExit exit;
    Err err;
} Elsewhere;

static void *elsewhere_main(void *arg)
{
    Elsewhere *e = arg;
    RunArgs args = RUN_FOREVER;
    e->rc = vcpu_run(e->v, &args, &e->exit, &e->err);
    atomic_store(&e->is_out, true);
    return NULL;
}

static bool close_while_running(Probe *p, Buf *why)
{
    Elsewhere e = {.v = p->v};
    if (pthread_create(&e.thread, NULL, elsewhere_main, &e)) {
        buf_str(why, "no thread to be had");
        return false;
    }
    /* A run that begins after the end would use what is gone; that thread may be slow to start. */
    int running = life_state_find(vm_model(p->vm), "Running");
    while (vcpu_state(e.v) != running && !atomic_load(&e.is_out)) {
        pause_ms(1);
    }
    pause_ms(20);
    uint64_t start = os_now_ns();
    vm_close(p->vm);
    p->vm = NULL;
    pthread_join(e.thread, NULL);
    uint64_t ms = (os_now_ns() - start) / 1000000;
    if (ms > PROBE_PATIENCE_MS) {
        buf_printf(why, "closing took %llu ms", (unsigned long long)ms);
    }
    return ms <= PROBE_PATIENCE_MS;
}

typedef struct {
    Vcpu *v;
    atomic_bool is_over;
} Kicker;

static void *kicker_main(void *arg)
{
    Kicker *k = arg;
    for (int i = 0; i < KICKS && !atomic_load(&k->is_over); i++) {
        vcpu_kick(k->v);
    }
    return NULL;
}

/* Kicks do not add up: so many bring at most so many exits, all of them `canceled`, and after them one that is asked for is one. */
static bool kick_storm(Probe *p, Buf *why)
{
    Kicker k = {.v = p->v};
    pthread_t thread;
    if (pthread_create(&thread, NULL, kicker_main, &k)) {
        buf_str(why, "no thread to be had");
        return false;
    }
    bool is_fine = true;
    for (int i = 0; i < 20 && is_fine; i++) {
        VmExit e = {0};
        RunArgs args = RUN_FOREVER;
        args.deadline_ns = in_ms(20);
        is_fine = probe_held(p, vcpu_run(p->v, &args, &e, &p->err), "run", why);
        if (is_fine && e.kind != EXIT_canceled) {
            buf_str(why, "a run that is kicked ended as ");
            exit_print(why, &e, true);
            is_fine = false;
        }
    }
    atomic_store(&k.is_over, true);
    pthread_join(thread, NULL);
    return is_fine;
}

/* ---- all or nothing ---- */
static bool torn_batch(Probe *p, Buf *why)
{
    RegId arg0 = reg_find(p->guest, "arg0")->id, none = REG_ID(p->guest, 3, REG_NATIVE, 0xfffffffffffe);
    uint64_t before = 0x11, wanted = 0x22, after = 0;
    size_t bad = 99;
    RegIo first = {.id = arg0, .bytes = &before}, last = {.id = arg0, .bytes = &after};
    RegIo batch[] = {{.id = arg0, .bytes = &wanted}, {.id = none, .bytes = &wanted}};
    if (!probe_held(p, vcpu_set_regs(p->v, &first, 1, &bad, &p->err), "set", why)) {
        return false;
    }
    bad = 99;
    if (!vcpu_set_regs(p->v, batch, 2, &bad, &p->err)) {
        buf_str(why, "a batch with a register that does not exist was set");
        return false;
    }
    size_t at = bad;
    if (!probe_held(p, vcpu_get_regs(p->v, &last, 1, &bad, &p->err), "get", why)) {
        return false;
    }
    if (after != before) {
        buf_str(why, "a batch that failed has changed its first register (W6)");
    } else if (at != 1) {
        buf_printf(why, "the register at fault is number 1 of the batch, and the backend says %zu", at);
    }
    return after == before && at == 1;
}

static bool noise_restored(Probe *p, Buf *why)
{
    uint8_t noise[64];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)(0x5a + 37 * i);
    }
    int rc = vm_restore(p->vm, noise, sizeof noise, &p->err);
    if (!rc) {
        buf_str(why, "noise was taken for the state of a VM");
    }
    return rc != 0;
}

/* ---- more than there is, and other than there is ---- */
static bool huge_memory(Probe *p, Buf *why)
{
    RamId ram;
    int rc = vm_ram_new(p->vm, 1ull << 62, &ram, &p->err);
    if (!rc) {
        buf_str(why, "4 EiB of memory were granted");
    }
    return rc != 0;
}

static bool unknown_option(Probe *p, Buf *why)
{
    VmConfig cfg = {.guest = p->guest, .options = "no-such-option=1"};
    Vm *vm = NULL;
    int rc = vm_open(p->b, &cfg, NULL, NULL, &vm, &p->err);
    vm_close(vm);
    if (!rc) {
        buf_str(why, "an option that does not exist was taken");
    }
    return rc != 0;
}

/* A piece of memory that is mapped from its middle: what is written there is found there when all of it is mapped. */
static bool mapped_from_the_middle(Probe *p, Buf *why)
{
    Gpa at = {probe_ram_at(p->guest) + 16 * (uint64_t)PROBE_RAM_BYTES}, middle = {at.addr + PROBE_RAM_BYTES / 2};
    uint64_t in = 0x1122334455667788, out = 0;
    RamId ram;
    uint32_t flags = MAP_R | MAP_W;
    bool is_fine =
        probe_held(p, vm_ram_new(p->vm, PROBE_RAM_BYTES, &ram, &p->err), "ram", why) &&
        probe_held(p, vm_map(p->vm, at, PROBE_RAM_BYTES / 2, ram, PROBE_RAM_BYTES / 2, flags, &p->err), "map", why) &&
        probe_held(p, vm_mem_write(p->vm, (Gpa){at.addr + 8}, &in, sizeof in, &p->err), "write", why) &&
        probe_held(p, vm_unmap(p->vm, at, PROBE_RAM_BYTES / 2, &p->err), "unmap", why) &&
        probe_held(p, vm_map(p->vm, at, PROBE_RAM_BYTES, ram, 0, flags, &p->err), "map of all", why) &&
        probe_held(p, vm_mem_read(p->vm, (Gpa){middle.addr + 8}, &out, sizeof out, &p->err), "read", why);
    if (is_fine && in != out) {
        buf_str(why, "the offset of a mapping is not that of its memory");
    }
    return is_fine && in == out;
}

/* ---- again and again ---- */
/* The first general register that is not 0 after setup; NULL: none. */
static const char *first_set(Vcpu *v, GuestId guest, uint64_t *value)
{
    size_t n, bad;
    const RegInfo *table = reg_table(guest, &n);
    const RegInfo *sp = guest == GUEST_x86_64 ? reg_find(guest, "rdx") : NULL; /* holds the processor's signature */
    for (size_t i = 0; i < n; i++) {
        RegIo io = {.id = table[i].id, .bytes = value};
        *value = 0;
        if (REG_CLASS(table[i].id) == REG_GPR && (!sp || table[i].id != sp->id) &&
            !vcpu_get_regs(v, &io, 1, &bad, NULL) && *value) {
            return table[i].name;
        }
    }
    return NULL;
}

static bool many_vms(Probe *p, Buf *why)
{
    vm_close(p->vm);
    p->vm = NULL;
    for (int i = 0; i < VMS; i++) {
        Probe one = {.b = p->b, .guest = p->guest, .caps = p->caps, .model = p->model};
        uint64_t value = 0;
        int rc = probe_open(&one);
        const char *set = rc || !one.v ? NULL : first_set(one.v, p->guest, &value);
        if (rc) {
            buf_printf(why, "VM %d of %d that come and go: %s", i + 1, VMS, one.err.text);
        } else if (set) {
            buf_printf(why, "VM %d of %d that come and go: %s is 0x%llx after setup, not 0", i + 1, VMS, set,
                       (unsigned long long)value);
        }
        vm_close(one.vm);
        if (rc || set) {
            return false;
        }
    }
    return true;
}

static bool resets(Probe *p, Buf *why)
{
    for (int i = 0; i < RESETS; i++) {
        VmExit e = {0};
        RunArgs args = RUN_FOREVER;
        vcpu_kick(p->v);
        if (!probe_held(p, vcpu_run(p->v, &args, &e, &p->err), "run", why) ||
            !probe_held(p, vcpu_halt(p->v, &p->err), "halt", why) ||
            !probe_held(p, vcpu_reset(p->v, &p->err), "reset", why)) {
            return false;
        }
    }
    return true;
}

/* ---- an answer is due: W3 ---- */
typedef struct {
    uint8_t bytes[4];
    size_t n;
} Insn;
static const Insn STORES[GUEST_COUNT] = {
    [GUEST_riscv64] = {{0x23, 0x20, 0xa5, 0}, 4}, /* sw a0, 0(a0) */
    [GUEST_aarch64] = {{0, 0, 0, 0xb9}, 4},       /* str w0, [x0] */
    [GUEST_x86_64] = {{0xe6, 0x80}, 2},           /* out 0x80, al */
};
static const Insn LOADS[GUEST_COUNT] = {
    [GUEST_riscv64] = {{0x03, 0x05, 0x05, 0}, 4}, /* lb a0, 0(a0) */
    [GUEST_aarch64] = {{0, 0, 0x80, 0x39}, 4},    /* ldrsb x0, [x0] */
    [GUEST_x86_64] = {{0xe4, 0x80}, 2},           /* in al, 0x80 */
};

/* Runs the one instruction, with arg0 at an address where nothing is, up to its exit. */
static bool run_insn(Probe *p, const Insn *insn, ReplyKind want, VmExit *e, Buf *why)
{
    uint64_t at = probe_ram_at(p->guest), hole = at + (1ull << 28);
    size_t bad = 0;
    RegIo io = {.id = reg_find(p->guest, "arg0")->id, .bytes = &hole};
    RunArgs args = {.insns = UINT64_MAX, .deadline_ns = in_ms(PROBE_PATIENCE_MS), .want = HAS_pc_before | HAS_pc_after};
    if (!probe_held(p, vm_mem_write(p->vm, (Gpa){at}, insn->bytes, insn->n, &p->err), "code", why) ||
        !probe_held(p, vcpu_set_regs(p->v, &io, 1, &bad, &p->err), "arg0", why) ||
        !probe_held(p, vcpu_run(p->v, &args, e, &p->err), "run", why)) {
        return false;
    }
    if (e->reply != want) {
        buf_str(why, "an access to where nothing is ended as ");
        exit_print(why, e, true);
    } else if (e->valid & HAS_pc_before && e->pc_before != at) {
        buf_printf(why, "pc_before is 0x%llx, the instruction is at 0x%llx", (unsigned long long)e->pc_before,
                   (unsigned long long)at);
    } else if (e->valid & HAS_pc_after && e->pc_after != at + insn->n) {
        buf_printf(why, "pc_after is 0x%llx, the next instruction is at 0x%llx", (unsigned long long)e->pc_after,
                   (unsigned long long)(at + insn->n));
    } else {
        return true;
    }
    return false;
}

static bool pc_is(Probe *p, uint64_t want, const char *when, Buf *why)
{
    uint64_t pc = 0;
    size_t bad = 0;
    RegIo io = {.id = reg_find(p->guest, "pc")->id, .bytes = &pc};
    if (!probe_held(p, vcpu_get_regs(p->v, &io, 1, &bad, &p->err), "get pc", why)) {
        return false;
    }
    if (pc != want) {
        buf_printf(why, "%s pc is 0x%llx, not 0x%llx", when, (unsigned long long)pc, (unsigned long long)want);
    }
    return pc == want;
}

static bool is_busy(int rc, const char *what, Buf *why)
{
    if (rc != -ERR_BUSY) {
        buf_printf(why, "%s while a reply is due: expected BUSY, got %s", what, rc ? err_name(rc) : "success");
    }
    return rc == -ERR_BUSY;
}

/* A store is shown as done when it is looked at; nothing else may be done before it is answered; and then the VM is closed. */
static bool store_left_out(Probe *p, Buf *why)
{
    VmExit e = {0}, other = {0};
    Buf image = {0};
    RunArgs args = RUN_FOREVER;
    const Insn *store = &STORES[p->guest];
    bool is_fine = run_insn(p, store, REPLY_ACK, &e, why) &&
                   pc_is(p, probe_ram_at(p->guest) + store->n, "after a store that was looked at", why) &&
                   is_busy(vcpu_run(p->v, &args, &other, &p->err), "run", why) &&
                   is_busy(vcpu_save(p->v, &image, &p->err), "save", why);
    buf_free(&image);
    return is_fine;
}

/* A load has not happened until it is answered, and then once. */
static bool load_answered(Probe *p, Buf *why)
{
    VmExit e = {0};
    Reply r = {.value = 0x41};
    uint64_t at = probe_ram_at(p->guest), got = 0;
    size_t bad = 0;
    const Insn *load = &LOADS[p->guest];
    RegIo io = {.id = reg_find(p->guest, p->guest == GUEST_x86_64 ? "rax" : "arg0")->id, .bytes = &got};
    bool is_fine = run_insn(p, load, REPLY_VALUE, &e, why) && pc_is(p, at, "before the answer", why) &&
                   probe_held(p, vcpu_reply(p->v, &r, &p->err), "reply", why) &&
                   pc_is(p, at + load->n, "after the answer", why) &&
                   pc_is(p, at + load->n, "looked at once more,", why) &&
                   probe_held(p, vcpu_get_regs(p->v, &io, 1, &bad, &p->err), "get", why);
    if (is_fine && (got & 0xff) != r.value) {
        buf_printf(why, "0x41 was answered, and the register holds 0x%llx", (unsigned long long)got);
    }
    return is_fine && (got & 0xff) == r.value;
}

static const struct {
    const char *name, *doc;
    HostileFn *fn;
    Cap needs[3]; /* all of them; CAP_vcpu pads */
} CHECKS[] = {
    {"close_while_running",
     "a VM is closed while a vcpu runs: it ends within 10 s",
     close_while_running,
     {CAP_executes, CAP_cancel, CAP_map}},
    {"kick_storm",
     "500 kicks from another thread: each run ends as canceled",
     kick_storm,
     {CAP_executes, CAP_cancel, CAP_deadline}},
    {"torn_batch",
     "a batch of registers with one that does not exist: nothing is set",
     torn_batch,
     {CAP_gpr_set, CAP_gpr_get, CAP_vcpu}},
    {"noise_restored", "a state that is noise is refused", noise_restored, {CAP_save, CAP_save, CAP_vcpu}},
    {"huge_memory", "4 EiB of memory are refused", huge_memory, {CAP_map, CAP_map, CAP_vcpu}},
    {"unknown_option", "an option that does not exist is refused", unknown_option, {CAP_vcpu, CAP_vcpu, CAP_vcpu}},
    {"many_vms",
     "40 VMs come and go, and in each the registers are 0 after setup",
     many_vms,
     {CAP_vcpu, CAP_vcpu, CAP_vcpu}},
    {"resets", "40 times: kicked, run, halted, reset", resets, {CAP_cancel, CAP_vcpu, CAP_vcpu}},
    {"mapped_from_the_middle",
     "a piece of memory is mapped from its middle, and then all of it",
     mapped_from_the_middle,
     {CAP_map, CAP_map, CAP_vcpu}},
    {"store_left_out",
     "a store is looked at, not answered, run and saved over; then the VM is closed",
     store_left_out,
     {CAP_executes, CAP_map, CAP_gpr_set}},
    {"load_answered",
     "a load has not happened until it is answered, and then once",
     load_answered,
     {CAP_executes, CAP_map, CAP_gpr_set}},
};

size_t hostile_count(void)
{
    return ARRAY_LEN(CHECKS);
}

const char *hostile_name(size_t i)
{
    return CHECKS[i].name;
}

const char *hostile_doc(size_t i)
{
    return CHECKS[i].doc;
}

static bool is_wanted(const Probe *p, size_t i, Buf *why)
{
    for (size_t k = 0; k < ARRAY_LEN(CHECKS[i].needs); k++) {
        if (p->caps->level[CHECKS[i].needs[k]] < CAP_PARTIAL) {
            buf_printf(why, "needs %s", cap_name(CHECKS[i].needs[k]));
            return false;
        }
    }
    bool is_entry = CHECKS[i].fn != noise_restored || p->b->vm->restore;
    if (!is_entry) {
        buf_str(why, "no state beside that of vcpus");
    }
    return is_entry;
}

HostileAnswer hostile_run(const Backend *b, GuestId guest, const Caps *caps, size_t i, Buf *why)
{
    Probe p = {.b = b, .guest = guest, .caps = caps, .model = &life_virtualcpu};
    if (!is_wanted(&p, i, why)) {
        return HOSTILE_NOT_TRIED;
    }
    bool has_stood = probe_held(&p, probe_open(&p), "set-up", why) && CHECKS[i].fn(&p, why);
    vm_close(p.vm);
    return has_stood ? HOSTILE_STOOD : HOSTILE_FELL;
}
