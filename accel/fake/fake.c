/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/fake.h"

#include "accel/fake/impl.h"

#include <string.h>

bool is_broken(const BeVm *vm, int rule)
{
    return atomic_load(&vm->broken) >> rule & 1;
}

/* ---- open and create ---- */
static const char *const ctls[] = {"fake.script", "fake.log", "fake.fail", "fake.break", NULL};

static int fake_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    if (!guest_name(guest)) {
        return err_set(err, ERR_INVAL, "fake: no guest %u", (unsigned)guest);
    }
    *caps = (Caps){.page_bytes = FAKE_PAGE_BYTES,
                   .max_vcpus = 256,
                   .max_regions = FAKE_MAX_REGIONS,
                   .vec_bytes = 16,
                   .ctls = ctls};
    for (int i = 0; i < CAP_COUNT; i++) {
        caps->level[i] = CAP_FULL;
    }
    caps->level[CAP_executes] = CAP_NONE;
    caps->why[CAP_executes] = "plays a script, runs no code";
    caps->level[CAP_boot] = CAP_NONE;
    caps->why[CAP_boot] = "plays a script, boots no image";
    return 0;
}

static int options_parse(const char *options, uint64_t *max_pages, Err *err)
{
    static const char key[] = "max_pages=";
    *max_pages = FAKE_DEFAULT_PAGES;
    if (!options || !*options) {
        return 0;
    }
    const char *digits = options + sizeof key - 1;
    if (strncmp(options, key, sizeof key - 1) != 0 || !*digits || strspn(digits, "0123456789") != strlen(digits) ||
        strlen(digits) > 9) {
        return err_set(err, ERR_INVAL, "fake: option '%.60s': expected max_pages=N", options);
    }
    *max_pages = 0;
    for (; *digits; digits++) {
        *max_pages = *max_pages * 10 + (uint64_t)(*digits - '0');
    }
    return 0;
}

static int be_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    (void)b;
    uint64_t max_pages;
    int rc = options_parse(cfg->options, &max_pages, err);
    if (rc) {
        return rc;
    }
    BeVm *vm = x_alloc(sizeof *vm);
    vm->guest = cfg->guest;
    vm->env = cfg->env;
    vm->board = cfg->board;
    vm->max_pages = max_pages;
    vm->regs = reg_table(cfg->guest, &vm->nregs);
    pthread_mutex_init(&vm->lock, NULL);
    fake_log(vm, 0, "vm.create", "guest %s", guest_name(cfg->guest));
    *out = vm;
    return 0;
}

static void be_destroy(BeVm *vm)
{
    mem_free_all(vm);
    fake_script_free(&vm->early);
    buf_free(&vm->log);
    pthread_mutex_destroy(&vm->lock);
    mem_free(vm);
}

/* ---- what a script does not act on is logged ---- */
static int be_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    return fake_log(vm, fake_fails(vm, "vm.irq_line", err), "vm.irq_line", "gsi %u level %d", gsi, level);
}

static int be_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    return fake_log(vm, fake_fails(vm, "vm.msi", err), "vm.msi", "addr 0x%llx data 0x%x", (unsigned long long)addr,
                    data);
}

static int be_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    return fake_log(vm, fake_fails(vm, "vm.intercept", err), "vm.intercept", "kind %u lo 0x%llx hi 0x%llx on %d",
                    (unsigned)k, (unsigned long long)lo, (unsigned long long)hi, on);
}

static int be_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    int rc = fake_fails(vm, "vm.clock", err);
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        if (set) {
            vm->clock_ns = *guest_ns;
        }
        *guest_ns = vm->clock_ns;
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.clock", "set %d ns %llu", set, (unsigned long long)*guest_ns);
}

/* ---- state of the VM: one chunk, the clock ---- */
#define TAG_CLOCK 0x4b4c4346u /* "FCLK" */

static int be_save(BeVm *vm, Buf *out, Err *err)
{
    int rc = fake_fails(vm, "vm.save", err);
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        buf_le(out, TAG_CLOCK, 4);
        buf_le(out, 8, 4);
        buf_le(out, vm->clock_ns, 8);
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.save", "%s", "");
}

static int chunks_read(const void *bytes, size_t n, uint64_t *clock_ns, Err *err)
{
    Cursor c = cursor_of(bytes, n);
    while (cursor_left(&c)) {
        uint64_t tag = cursor_le(&c, 4), len = cursor_le(&c, 4);
        if (cursor_ok(&c) && tag != TAG_CLOCK) {
            return err_set(err, ERR_VERSION, "restore: unknown chunk 0x%llx", (unsigned long long)tag);
        }
        *clock_ns = cursor_le(&c, 8);
        if (!cursor_ok(&c) || len != 8) {
            return err_set(err, ERR_INVAL, "restore: a broken chunk");
        }
    }
    return 0;
}

static int be_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    uint64_t clock_ns = vm->clock_ns;
    int rc = fake_fails(vm, "vm.restore", err);
    rc = rc ? rc : chunks_read(bytes, n, &clock_ns, err);
    if (!rc) {
        pthread_mutex_lock(&vm->lock);
        vm->clock_ns = clock_ns;
        pthread_mutex_unlock(&vm->lock);
    }
    return fake_log(vm, rc, "vm.restore", "n %zu", n);
}

/* ---- ctls ---- */
static int ctl_script(BeVm *vm, BeVcpu *v, const char *text, size_t n, Err *err)
{
    Script s;
    v = v ? v : vm->vcpu0;
    if (v && atomic_load(&v->is_running)) {
        return err_set(err, ERR_BUSY, "fake.script: vcpu %u runs", v->cfg.id);
    }
    int rc = script_parse(vm->guest, text, n, &s, err);
    if (rc) {
        return rc;
    }
    Script *to = v ? &v->script : &vm->early;
    fake_script_free(to);
    *to = s;
    if (v) {
        v->next = 0;
    }
    return 0;
}

static int ctl_log(BeVm *vm, const char *text, size_t n, Buf *out, Err *err)
{
    bool is_clear = n == 5 && !memcmp(text, "clear", 5);
    if (n && !is_clear) {
        return err_set(err, ERR_INVAL, "fake.log: expected nothing or clear");
    }
    pthread_mutex_lock(&vm->lock);
    if (is_clear) {
        buf_clear(&vm->log);
        vm->nlost = 0;
    } else {
        buf_bytes(out, buf_text(&vm->log), vm->log.n);
        if (vm->nlost) {
            buf_printf(out, "(%llu calls not logged)\n", (unsigned long long)vm->nlost);
        }
    }
    pthread_mutex_unlock(&vm->lock);
    return 0;
}

static int ctl_break(BeVm *vm, const char *text, size_t n, Err *err)
{
    unsigned broken = 0;
    for (size_t i = 0; i < n;) {
        if (text[i] == ' ') {
            i++;
            continue;
        }
        bool is_rule = n - i >= 2 && text[i] == 'W' && text[i + 1] >= '1' && text[i + 1] <= '8' &&
                       (n - i == 2 || text[i + 2] == ' ');
        if (!is_rule) {
            return err_set(err, ERR_INVAL, "fake.break: expected W1 to W8, at byte %zu", i);
        }
        broken |= 1u << (text[i + 1] - '0');
        i += 2;
    }
    atomic_store(&vm->broken, broken);
    return 0;
}

static int be_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    if (!strcmp(name, "fake.script")) {
        return ctl_script(vm, v, in, nin, err);
    }
    if (!strcmp(name, "fake.log")) {
        return ctl_log(vm, in, nin, out, err);
    }
    if (!strcmp(name, "fake.fail")) {
        return fake_fail_add(vm, in, nin, err);
    }
    if (!strcmp(name, "fake.break")) {
        return ctl_break(vm, in, nin, err);
    }
    return err_unsupported(err, "fake", name, "no such ctl");
}

static const VmOps vm_ops = {
    .size_bytes = sizeof(VmOps),
    .create = be_create,
    .destroy = be_destroy,
    .ram_create = fake_ram_create,
    .map = fake_map,
    .unmap = fake_unmap,
    .mem_read = fake_mem_read,
    .mem_write = fake_mem_write,
    .dirty_get = fake_dirty_get,
    .irq_line = be_irq_line,
    .msi = be_msi,
    .intercept = be_intercept,
    .clock = be_clock,
    .save = be_save,
    .restore = be_restore,
    .ctl = be_ctl,
};

const Backend backend_fake = {
    .abi = ACCEL_ABI_VERSION,
    .abi_minor = ACCEL_ABI_MINOR,
    .size_bytes = sizeof(Backend),
    .name = "fake",
    .open = fake_open,
    .vm = &vm_ops,
    .vcpu = &fake_vcpu_ops,
};
