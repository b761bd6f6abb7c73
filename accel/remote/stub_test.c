/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/stub_test.h"

#include "sim/base/os.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum { NREGS = 32, RAM_MAX = 8 << 20 };
atomic_int stub_vms, stub_vcpus, stub_wrong_thread, stub_kicks, stub_deaf_stop, stub_is_tame;

struct BeVm {
    uint8_t *ram;
    uint64_t size, at;
    uint64_t clock;
    bool is_mapped;
};
struct BeVcpu {
    BeVm *vm;
    pthread_t owner;
    uint64_t regs[NREGS];
    uint8_t vec[16], id;
    bool is_due;
    atomic_bool kicked;
};

static void nap(void)
{
    struct timespec t = {.tv_nsec = 100000};
    nanosleep(&t, NULL);
}

static int owner_check(const BeVcpu *v, Err *err)
{
    if (pthread_equal(v->owner, pthread_self())) {
        return 0;
    }
    atomic_fetch_add(&stub_wrong_thread, 1);
    return err_set(err, ERR_THREAD, "not the owner");
}

static int stub_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    if (guest != GUEST_x86_64) {
        return err_set(err, ERR_UNAVAILABLE, "only x86_64 here");
    }
    static const char *const ctls[] = {"stub.echo", "stub.id", NULL};
    *caps =
        (Caps){.page_bytes = 4096, .max_vcpus = 16, .max_regions = 1, .vec_bytes = 16, .ctls = ctls, .isa = "rv64gc"};
    for (int i = 0; i < CAP_COUNT; i++) {
        caps->level[i] = i % 2 ? CAP_FULL : CAP_NONE;
        caps->why[i] = i % 2 ? NULL : "the stub has it not";
    }
    return 0;
}

static int stub_vm_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    (void)b;
    if (cfg->options && strcmp(cfg->options, "a=1") != 0) {
        return err_set(err, ERR_INVAL, "option \"%s\"", cfg->options);
    }
    *out = x_alloc(sizeof **out);
    atomic_fetch_add(&stub_vms, 1);
    return 0;
}

static void stub_vm_destroy(BeVm *vm)
{
    mem_free(vm->ram);
    mem_free(vm);
    atomic_fetch_sub(&stub_vms, 1);
}

static int stub_vm_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    if (vm->ram || size > RAM_MAX) {
        return err_set(err, ERR_LIMIT, "one piece of at most %d bytes", RAM_MAX);
    }
    vm->ram = mem_try(1, (size_t)size);
    vm->size = size;
    *out = 7;
    return vm->ram ? 0 : err_set(err, ERR_NOMEM, "ram");
}

static int stub_vm_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    (void)flags;
    if (ram != 7 || offset || size != vm->size || at.addr % 4096) {
        return err_set(err, ERR_ALIGN, "map");
    }
    vm->at = at.addr;
    vm->is_mapped = true;
    return 0;
}

static uint8_t *at_gpa(BeVm *vm, Gpa at, size_t n)
{
    bool ok = vm->is_mapped && at.addr >= vm->at && n <= vm->size && at.addr - vm->at <= vm->size - n;
    return ok ? vm->ram + (at.addr - vm->at) : NULL;
}

static int stub_vm_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    const uint8_t *p = at_gpa(vm, at, n);
    if (!p) {
        return err_set(err, ERR_FAULT, "nothing at 0x%llx", (unsigned long long)at.addr);
    }
    memcpy(buf, p, n);
    return 0;
}

static int stub_vm_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    uint8_t *p = at_gpa(vm, at, n);
    if (!p) {
        return err_set(err, ERR_FAULT, "nothing at 0x%llx", (unsigned long long)at.addr);
    }
    memcpy(p, buf, n);
    return 0;
}

static int stub_vm_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    (void)vm, (void)clear, (void)err;
    memset(bits, 0, (size_t)(size / 4096 + 7) / 8);
    bits[0] = (uint8_t)(at.addr >> 12);
    return 0;
}

static int stub_vm_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    (void)err;
    vm->clock = set ? *guest_ns : vm->clock;
    *guest_ns = vm->clock;
    return 0;
}

static int stub_vm_save(BeVm *vm, Buf *out, Err *err)
{
    (void)err;
    buf_le(out, vm->clock, 8);
    return 0;
}

static int stub_vm_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    if (n != 8) {
        return err_set(err, ERR_VERSION, "%zu bytes", n);
    }
    Cursor c = cursor_of(bytes, n);
    vm->clock = cursor_le(&c, 8);
    return 0;
}

static int stub_vm_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    (void)vm;
    if (!strcmp(name, "stub.id") && v) {
        buf_le(out, v->id, 1);
        return owner_check(v, err);
    }
    buf_bytes(out, in, nin);
    return strcmp(name, "stub.echo") ? err_set(err, ERR_NOENT, "no ctl \"%s\"", name) : 0;
}

static int stub_vcpu_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    if (cfg->id > 15) {
        return err_set(err, ERR_LIMIT, "vcpu %u", cfg->id);
    }
    BeVcpu *v = x_alloc(sizeof *v);
    v->vm = vm;
    v->id = cfg->id;
    v->owner = pthread_self();
    atomic_fetch_add(&stub_vcpus, 1);
    *out = v;
    return 0;
}

static void stub_vcpu_destroy(BeVcpu *v)
{
    int rc = owner_check(v, NULL);
    (void)rc;
    mem_free(v);
    atomic_fetch_sub(&stub_vcpus, 1);
}

static int stub_vcpu_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    memset(v->regs, 0, sizeof v->regs);
    v->regs[2] = s->entry.addr;
    v->is_due = false;
    return owner_check(v, err);
}

static bool is_over(BeVcpu *v, uint64_t deadline_ns)
{
    return atomic_exchange(&v->kicked, false) || os_now_ns() >= deadline_ns;
}

static int eat(Err *err)
{
    enum { BITE = 1 << 20 };
    for (size_t n = 0; n < 4096; n++) {
        char *p = mem_try(1, BITE);
        if (!p) {
            return err_set(err, ERR_NOMEM, "after %zu MiB", n);
        }
        memset(p, 1, BITE); /* lost on purpose: this process is to run out of it */
    }
    return err_set(err, ERR_HOST, "there was no end of it");
}

static int stub_vcpu_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    *exit = (VmExit){.kind = EXIT_canceled, .vcpu = v->id};
    switch (atomic_load(&stub_is_tame) && v->regs[0] >= STUB_SEGV ? STUB_HALT : v->regs[0]) {
    case STUB_MMIO_READ:
        *exit = (VmExit){.kind = EXIT_mmio_read,
                         .reply = REPLY_VALUE,
                         .vcpu = v->id,
                         .size_bytes = 4,
                         .addr = 0xd0000008,
                         .valid = args->want,
                         .insns = args->insns,
                         .arg = {1, 2, 3, 4, 5, 6}};
        v->is_due = true;
        break;
    case STUB_SPIN:
        while (!is_over(v, args->deadline_ns)) {
            nap();
        }
        break;
    case STUB_SEGV:
        raise(SIGSEGV);
        break;
    case STUB_DEAF:
        while (!atomic_load(&stub_deaf_stop)) {
            nap();
        }
        break;
    case STUB_EAT:
        return eat(err);
    case STUB_FAIL:
        err_unsupported(err, "stub", "everything", "it only fails");
        err->native = -5;
        return -ERR_UNSUPPORTED;
    case STUB_BURN:
        while (!atomic_load(&stub_deaf_stop)) {
        }
        break;
    default:
        exit->kind = atomic_exchange(&v->kicked, false) ? EXIT_canceled : EXIT_halt;
        break;
    }
    return owner_check(v, err);
}

static int stub_vcpu_reply(BeVcpu *v, const Reply *r, Err *err)
{
    if (!v->is_due || r->is_fault) {
        return err_set(err, r->is_fault ? ERR_UNSUPPORTED : ERR_STATE, "reply");
    }
    v->is_due = false;
    v->regs[1] = r->value;
    return owner_check(v, err);
}

static void stub_vcpu_kick(BeVcpu *v)
{
    atomic_store(&v->kicked, true);
    atomic_fetch_add(&stub_kicks, 1);
}

static void *reg_at(BeVcpu *v, RegId id)
{
    if (id == STUB_VEC) {
        return v->vec;
    }
    return id >= STUB_REG(0) && id < STUB_REG(NREGS) ? &v->regs[REG_INDEX(id)] : NULL;
}

static int move_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, bool is_set)
{
    for (size_t i = 0; i < n; i++) {
        if (!reg_at(v, io[i].id)) {
            *bad = i;
            return -ERR_INVAL;
        }
    }
    for (size_t i = 0; i < n; i++) {
        void *reg = reg_at(v, io[i].id);
        memcpy(is_set ? reg : io[i].bytes, is_set ? io[i].bytes : reg, REG_SIZE(io[i].id));
    }
    return 0;
}

static int stub_vcpu_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = owner_check(v, err);
    rc = rc ? rc : move_regs(v, io, n, bad, false);
    return rc == -ERR_INVAL ? err_set(err, ERR_INVAL, "no register 0x%llx", (unsigned long long)io[*bad].id) : rc;
}

static int stub_vcpu_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = owner_check(v, err);
    return rc ? rc : move_regs(v, io, n, bad, true); /* without a sentence, as a careless backend */
}

static int stub_vcpu_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    for (size_t i = 0; ids && i < NREGS; i++) {
        ids[i] = STUB_REG(i);
    }
    *n = NREGS;
    return owner_check(v, err);
}

static int stub_vcpu_inject(BeVcpu *v, const Event *e, Err *err)
{
    v->regs[3] = (uint64_t)e->kind << 48 | (uint64_t)e->number << 16 | (e->code & 0xff) << 8 | (e->level ? 1u : 0) |
                 (e->has_code ? 2u : 0);
    return owner_check(v, err);
}

static int stub_vcpu_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    v->regs[4] = n ? list[n - 1].gva + list[n - 1].len + (uint64_t)list[n - 1].kind : 0;
    return owner_check(v, err);
}

static const VmOps vm_ops = {
    .size_bytes = sizeof vm_ops,
    .create = stub_vm_create,
    .destroy = stub_vm_destroy,
    .ram_create = stub_vm_ram_create,
    .map = stub_vm_map,
    .mem_read = stub_vm_mem_read,
    .mem_write = stub_vm_mem_write,
    .dirty_get = stub_vm_dirty_get,
    .clock = stub_vm_clock,
    .save = stub_vm_save,
    .restore = stub_vm_restore,
    .ctl = stub_vm_ctl,
};
static const VcpuOps vcpu_ops = {
    .size_bytes = sizeof vcpu_ops,
    .create = stub_vcpu_create,
    .destroy = stub_vcpu_destroy,
    .setup = stub_vcpu_setup,
    .run = stub_vcpu_run,
    .reply = stub_vcpu_reply,
    .kick = stub_vcpu_kick,
    .get_regs = stub_vcpu_get_regs,
    .set_regs = stub_vcpu_set_regs,
    .reg_list = stub_vcpu_reg_list,
    .inject = stub_vcpu_inject,
    .breaks = stub_vcpu_breaks,
};
const Backend stub_backend = {.abi = ACCEL_ABI_VERSION,
                              .size_bytes = sizeof stub_backend,
                              .name = "stub",
                              .is_double = true,
                              .open = stub_open,
                              .vm = &vm_ops,
                              .vcpu = &vcpu_ops};

const Backend *stub_find(void *ctx, const char *name, Err *err)
{
    (void)ctx, (void)err;
    return strcmp(name, "stub") ? NULL : &stub_backend;
}
