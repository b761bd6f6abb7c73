/* SPDX-License-Identifier: Apache-2.0
 * exits.c - bench_exits: what an exit costs in this program, without the hypervisor's share.
 *
 * The guest loops over one access to a hole (MMIO) or a port. Each exit comes back raw through vcpu_run(), without a
 * board, and gets its vcpu_reply(). The program is linked with --wrap=ioctl: all ioctls pass through __wrap_ioctl(),
 * which counts them and notes when KVM_RUN was entered and left. The time from one KVM_RUN's return to the next one's
 * entry is our own; its median is not disturbed by other load. The same loop over bare KVM_RUN ioctls, with nothing
 * between, says what of it is the measuring; the difference is what is reported. The double has no ioctl: there the
 * thread's CPU time is divided by the number of exits.
 *
 * --canned: the same against a /dev/kvm that is no more than its answers (canned.h), on any machine. What remains is our
 * own path with nothing to disturb its caches, so it is the lower end of what a real KVM shows, and it can be counted in
 * instructions: `valgrind --tool=callgrind --toggle-collect=exits`.
 *
 * Prints one line per case; exit status 1 if a bound (below) is not met, 77 where there is no KVM. */
#include "accel/accel.h"
#include "accel/bench/canned.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { NEXITS = 200000, MAX_OWN_NS = 300, SKIPPED = 77, FAKE_LINES = 1000, RAM_BYTES = 1 << 16, CODE = 0x1000 };
static const unsigned long kvm_run = _IO(0xae, 0x80); /* KVM_RUN; its header stays in accel/kvm */

/* ioctl() has no context: what the wrapper counts is global. */
static struct {
    uint64_t nruns, nothers, left_ns, ngaps;
    uint32_t gaps[NEXITS + 1]; /* ns from a KVM_RUN's return to the next one's entry */
    int fd;                    /* of the last KVM_RUN */
} seen;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int device_ioctl(int fd, unsigned long request, void *arg)
{
    return canned_is_on() ? canned_ioctl(fd, request, arg) : __real_ioctl(fd, request, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (request != kvm_run) {
        seen.nothers++;
        return device_ioctl(fd, request, arg);
    }
    uint64_t now = os_now_ns();
    if (seen.left_ns && seen.ngaps < ARRAY_LEN(seen.gaps)) {
        uint64_t gap = now - seen.left_ns;
        seen.gaps[seen.ngaps++] = gap > UINT32_MAX ? UINT32_MAX : (uint32_t)gap;
    }
    seen.nruns++;
    seen.fd = fd;
    int rc = device_ioctl(fd, request, arg);
    seen.left_ns = os_now_ns();
    return rc;
}

static void seen_clear(void)
{
    seen.nruns = seen.nothers = seen.left_ns = seen.ngaps = 0;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    unsigned low, median; /* a tenth is below low: what a quiet processor takes, if it was quiet for a while */
} Gaps;

static Gaps gaps_sum(void)
{
    qsort(seen.gaps, seen.ngaps, sizeof seen.gaps[0], by_size);
    return seen.ngaps ? (Gaps){seen.gaps[seen.ngaps / 10], seen.gaps[seen.ngaps / 2]} : (Gaps){0};
}

/* ---- the guest ---- */
typedef struct {
    const char *name;
    ExitKind kind;
    const uint8_t *code; /* 16-bit, DS at the hole */
    size_t n;
    const char *script; /* of the double */
} Access;
static const uint8_t mmio_code[] = {0xa2, 0x00, 0x00, 0xeb, 0xfb}; /* mov [0], al; jmp back */
static const uint8_t pio_code[] = {0xe6, 0xf1, 0xeb, 0xfc};        /* out 0xf1, al; jmp back */
static const Access accesses[] = {
    {"mmio", EXIT_mmio_write, mmio_code, sizeof mmio_code, "mmio_write addr=0xd0000000 size=1 value=0 pc=0x1000\n"},
    {"pio", EXIT_io_write, pio_code, sizeof pio_code, "io_write port=0xf1 size=1 value=0 pc=0x1000\n"},
};

typedef struct {
    Vm *vm;
    Vcpu *v;
    Err err;
} Machine;

static int set_reg(Machine *m, const char *name, uint64_t value)
{
    size_t bad;
    RegIo io = {reg_find(GUEST_x86_64, name)->id, &value};
    return vcpu_set_regs(m->v, &io, 1, &bad, &m->err);
}

static int machine_open(Machine *m, const Backend *b, const Access *a)
{
    VmConfig cfg = {.guest = GUEST_x86_64, .max_vcpus = 1, .max_ram_bytes = RAM_BYTES};
    VcpuConfig vc = {0};
    VcpuSetup setup = {.entry = {CODE}};
    RamId ram;
    *m = (Machine){0};
    int rc = vm_open(b, &cfg, NULL, NULL, &m->vm, &m->err);
    rc = rc ? rc : vm_ram_new(m->vm, RAM_BYTES, &ram, &m->err);
    rc = rc ? rc : vm_map(m->vm, (Gpa){0}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_X, &m->err);
    rc = rc ? rc : vm_mem_write(m->vm, (Gpa){CODE}, a->code, a->n, &m->err);
    rc = rc ? rc : vcpu_new(m->vm, &vc, &m->v, &m->err);
    rc = rc ? rc : vcpu_setup(m->v, &setup, &m->err);
    rc = rc ? rc : set_reg(m, "cs.selector", 0);
    rc = rc ? rc : set_reg(m, "cs.base", 0);
    return rc ? rc : set_reg(m, "ds.base", 0xd0000000);
}

/* n exits, each with its reply. */
static int exits(Machine *m, const Access *a, uint32_t want, unsigned n)
{
    RunArgs args = RUN_FOREVER;
    static const Reply ack;
    args.want = want;
    for (unsigned i = 0; i < n; i++) {
        VmExit e;
        int rc = vcpu_run(m->v, &args, &e, &m->err);
        if (!rc && e.kind != a->kind) {
            rc = err_set(&m->err, ERR_HOST, "exit %s, expected %s", exit_name(e.kind), exit_name(a->kind));
        }
        rc = rc ? rc : vcpu_reply(m->v, &ack, &m->err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* ---- kvm ---- */
/* For the history: a line of the file that `ci/bench --history` names. */
static void note(const char *who, const Access *a, uint32_t want, uint64_t ns)
{
    const char *path = getenv("CONF_BENCH_OUT");
    FILE *out = path ? fopen(path, "a") : NULL;
    if (out) {
        fprintf(out, "exits/%s %s want %s\t%llu\tns\tless\n", who, a->name, want ? "pc" : "0", (unsigned long long)ns);
        fclose(out);
    }
}

static int kvm_case(const Backend *b, const Access *a, uint32_t want, bool *is_met)
{
    Machine m;
    int rc = machine_open(&m, b, a);
    rc = rc ? rc : exits(&m, a, want, 1); /* what is done once is not counted */
    seen_clear();
    rc = rc ? rc : exits(&m, a, want, NEXITS);
    if (!rc) {
        uint64_t nruns = seen.nruns, nothers = seen.nothers;
        Gaps ours = gaps_sum();
        seen_clear();
        for (unsigned i = 0; i < NEXITS && !rc; i++) {
            rc = __wrap_ioctl(seen.fd, kvm_run, NULL) < 0 ? err_set(&m.err, ERR_HOST, "bare KVM_RUN") : 0;
        }
        Gaps bare = gaps_sum();
        unsigned own = ours.median > bare.median ? ours.median - bare.median : 0;
        printf("%s %-4s want %-4s %.3f KVM_RUN, %.3f other ioctls per exit; own time %u ns "
               "(median %u less %u of the bare loop; best tenth %u less %u)\n",
               canned_is_on() ? "canned" : "kvm ", a->name, want ? "pc" : "0", (double)nruns / NEXITS,
               (double)nothers / NEXITS, own, ours.median, bare.median, ours.low, bare.low);
        note(canned_is_on() ? "canned" : "kvm", a, want, own);
        *is_met = *is_met && own <= MAX_OWN_NS && (want || (nruns == NEXITS && !nothers));
    }
    if (rc) {
        fprintf(stderr, "bench_exits: kvm %s: %s\n", a->name, m.err.text);
    }
    vm_close(m.vm);
    return rc;
}

/* ---- the double ---- */
static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int fake_case(const Backend *b, const Access *a, uint32_t want)
{
    Machine m;
    Buf script = {0};
    uint64_t spent = 0;
    for (unsigned i = 0; i < FAKE_LINES; i++) {
        buf_str(&script, a->script);
    }
    int rc = machine_open(&m, b, a);
    for (unsigned i = 0; i < NEXITS / FAKE_LINES && !rc; i++) {
        rc = vm_ctl(m.vm, NULL, "fake.script", script.data, script.n, NULL, &m.err);
        uint64_t start = thread_ns();
        rc = rc ? rc : exits(&m, a, want, FAKE_LINES);
        spent += thread_ns() - start;
    }
    if (rc) {
        fprintf(stderr, "bench_exits: fake %s: %s\n", a->name, m.err.text);
    } else {
        printf("fake %-4s want %-4s %llu ns CPU per exit, the double's own work included\n", a->name, want ? "pc" : "0",
               (unsigned long long)(spent / NEXITS));
        note("fake", a, want, spent / NEXITS);
    }
    buf_free(&script);
    vm_close(m.vm);
    return rc;
}

static int canned_main(void)
{
    bool is_met = true;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(accesses) && !rc; i++) {
        canned_start(accesses[i].kind == EXIT_io_write);
        rc = kvm_case(backend_find("kvm"), &accesses[i], 0, &is_met);
    }
    return rc || !is_met;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--canned")) {
        return canned_main();
    }
    if (argc > 1) {
        fputs("usage: bench_exits [--canned]\n", stderr);
        return 2;
    }
    static const uint32_t wants[] = {0, HAS_pc_before | HAS_pc_after};
    const Backend *kvm = backend_find("kvm");
    Caps caps;
    Err err = {0};
    int rc = kvm ? kvm->open(kvm, GUEST_x86_64, &caps, &err) : err_set(&err, ERR_UNAVAILABLE, "not built");
    bool has_kvm = !rc, is_met = true;
    rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(accesses) * ARRAY_LEN(wants) && !rc; i++) {
        const Access *a = &accesses[i / ARRAY_LEN(wants)];
        uint32_t want = wants[i % ARRAY_LEN(wants)];
        rc = has_kvm ? kvm_case(kvm, a, want, &is_met) : 0;
        rc = rc ? rc : fake_case(backend_find("fake"), a, want);
    }
    if (!has_kvm && !rc) {
        printf("kvm  not measured: %s\n", err.text);
    }
    return rc || !is_met ? 1 : has_kvm ? 0 : SKIPPED;
}
