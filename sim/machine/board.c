/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/machine/board.h"

#include "sim/base/hash.h"
#include "sim/base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { NO_ROW = -1, PHANDLE_DEVICE = 0x1000 };

typedef struct {
    Board *board;
    Device *device;
} Slot;

typedef struct { /* of a device, for coverage */
    uint64_t reg[2 * DEVICE_REGS_MAX], feature[64];
} Counted;

struct Board {
    const BoardDef *def;
    BoardHost host;
    DeviceHost device_host;
    unsigned nvcpus;
    unsigned vcpu;         /* on whose behalf devices run now */
    int console, irq_chip; /* rows; NO_ROW */
    _Atomic bool is_locked;
    _Atomic unsigned nwaiting; /* for is_locked; who unlocks wakes one of them */
    pthread_mutex_t wait_lock;
    pthread_cond_t unlocked;
    _Atomic(const char *) keeper; /* self of the thread that has it until board_give */
    Slot slots[BOARD_MAX_DEVICES];
    Counted *counted; /* [row]; NULL: nobody counts */
};

/* Its address stands for the thread. */
static _Thread_local const char self __attribute__((tls_model("initial-exec")));

static bool is_kept(const Board *b)
{
    return atomic_load_explicit((_Atomic(const char *) *)&b->keeper, memory_order_relaxed) == &self;
}

static bool lock_try(Board *b)
{
    return !atomic_exchange(&b->is_locked, true);
}

static void lock_wait(Board *b)
{
    enum { YIELDS = 100 };
    bool has_it = false;
    atomic_fetch_add(&b->nwaiting, 1); /* so that who keeps it again and again does not for once */
    for (unsigned n = 0; n < YIELDS && !has_it; n++) {
        sched_yield();
        has_it = lock_try(b);
    }
    if (!has_it) { /* its holder does something slow, such as printing to a pipe that is full, or keeps it for a slice */
        pthread_mutex_lock(&b->wait_lock);
        while (!lock_try(b)) {
            pthread_cond_wait(&b->unlocked, &b->wait_lock);
        }
        pthread_mutex_unlock(&b->wait_lock);
    }
    atomic_fetch_sub(&b->nwaiting, 1);
}

/* A waiter counts itself, and tries then; who unlocks does so, and looks then: so one of both sees the other. */
static void wake_waiter(Board *b)
{
    pthread_mutex_lock(&b->wait_lock);
    pthread_cond_signal(&b->unlocked);
    pthread_mutex_unlock(&b->wait_lock);
}

/* Held for as long as a register takes, and mostly free: so two exchanges are all that an access pays, and nothing if it is kept. The
 * lock is no part of the value of a Board, so that const functions may take it. */
static void board_lock(const Board *b)
{
    if (!is_kept(b) && atomic_exchange_explicit((_Atomic bool *)&b->is_locked, true, memory_order_acquire)) {
        lock_wait((Board *)b);
    }
}

static __attribute__((noinline)) void unlock(Board *b)
{
    atomic_store(&b->is_locked, false);
    if (atomic_load(&b->nwaiting)) {
        wake_waiter(b);
    }
}

static void board_unlock(const Board *b)
{
    if (!is_kept(b)) {
        unlock((Board *)b);
    }
}

bool board_keep(Board *b)
{
    if (atomic_load_explicit(&b->nwaiting, memory_order_relaxed)) {
        return false;
    }
    board_lock(b);
    atomic_store_explicit(&b->keeper, &self, memory_order_relaxed);
    return true;
}

void board_give(Board *b)
{
    atomic_store_explicit(&b->keeper, NULL, memory_order_relaxed);
    board_unlock(b);
}

/* ---- what the board gives a device: all under the lock ---- */
static void host_irq(void *ctx, const Device *d, unsigned output, bool level)
{
    Board *b = ctx;
    uint32_t wire = output ? 0 : b->def->rows[d->index].irq;
    if (wire && b->irq_chip != NO_ROW) {
        Device *chip = b->slots[b->irq_chip].device;
        chip->type->wire(chip, wire, level);
    }
}

static void host_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    const Board *b = ctx;
    b->host.line(b->host.ctx, vcpu, line, level);
}

static uint64_t host_now_ns(void *ctx)
{
    const Board *b = ctx;
    return b->host.now_ns(b->host.ctx, b->vcpu);
}

static void host_output(void *ctx, const Device *d, const void *bytes, size_t n)
{
    const Board *b = ctx;
    (void)d; /* there is one console, which all that print share */
    b->host.output(b->host.ctx, bytes, n);
}

static void host_finish(void *ctx, int kind, uint32_t code)
{
    const Board *b = ctx;
    b->host.finish(b->host.ctx, b->vcpu, kind, code);
}

static unsigned host_nvcpus(void *ctx)
{
    return ((const Board *)ctx)->nvcpus;
}

static bool host_mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    const Board *b = ctx;
    return b->host.mem_read && b->host.mem_read(b->host.ctx, gpa, bytes, n);
}

static bool host_mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    const Board *b = ctx;
    return b->host.mem_write && b->host.mem_write(b->host.ctx, gpa, bytes, n);
}

static bool host_mem_discard(void *ctx, uint64_t gpa, size_t n)
{
    const Board *b = ctx;
    return b->host.mem_discard && b->host.mem_discard(b->host.ctx, gpa, n);
}

static void host_accepted(void *ctx, const Device *d, const char *kind, uint64_t features)
{
    const Board *b = ctx;
    const DeviceFeature *f = d->type->features;
    for (size_t i = 0; b->counted && f && f[i].kind; i++) {
        bool is_it = !strcmp(f[i].kind, kind) && features >> f[i].bit & 1;
        b->counted[d->index].feature[i] += is_it;
    }
}

/* ---- life ---- */
static Device *device_of_row(Board *b, size_t i)
{
    const BoardRow *row = &b->def->rows[i];
    Device *d = device_new(row->type, &b->device_host);
    d->index = (uint32_t)i;
    d->param = row->param;
    d->peer = b->host.peer ? b->host.peer(b->host.ctx, row) : NULL;
    d->base = row->base;
    d->irq = row->irq;
    d->phandle = PHANDLE_DEVICE + (uint32_t)i;
    d->irq_phandle = PHANDLE_DEVICE + (uint32_t)(b->irq_chip == NO_ROW ? 0 : b->irq_chip);
    return d;
}

int board_new(const BoardDef *def, unsigned nvcpus, const BoardHost *host, Board **out, Err *err)
{
    assert(def->nrows <= BOARD_MAX_DEVICES && def->max_vcpus <= DEVICE_MAX_VCPUS);
    if (!nvcpus || nvcpus > def->max_vcpus) {
        return err_set(err, ERR_LIMIT, "a board for %s has 1 to %u vcpus, not %u", def->guest, def->max_vcpus, nvcpus);
    }
    Board *b = x_alloc(sizeof *b);
    *b = (Board){.def = def, .host = *host, .nvcpus = nvcpus, .console = NO_ROW, .irq_chip = NO_ROW};
    pthread_mutex_init(&b->wait_lock, NULL);
    pthread_cond_init(&b->unlocked, NULL);
    b->device_host = (DeviceHost){.ctx = b,
                                  .irq = host_irq,
                                  .line = host_line,
                                  .now_ns = host_now_ns,
                                  .output = host_output,
                                  .finish = host_finish,
                                  .nvcpus = host_nvcpus,
                                  .mem_read = host_mem_read,
                                  .mem_write = host_mem_write,
                                  .mem_discard = host_mem_discard,
                                  .accepted = host_accepted};
    for (size_t i = 0; i < def->nrows; i++) {
        b->console = def->rows[i].is_console ? (int)i : b->console;
        b->irq_chip = def->rows[i].is_irq_chip ? (int)i : b->irq_chip;
    }
    for (size_t i = 0; i < def->nrows; i++) {
        b->slots[i] = (Slot){b, device_of_row(b, i)};
    }
    board_reset(b);
    *out = b;
    return 0;
}

void board_free(Board *b)
{
    if (b) {
        for (size_t i = 0; i < b->def->nrows; i++) {
            device_free(b->slots[i].device);
        }
        pthread_cond_destroy(&b->unlocked);
        pthread_mutex_destroy(&b->wait_lock);
        mem_free(b->counted);
        mem_free(b);
    }
}

const BoardDef *board_def(const Board *b)
{
    return b->def;
}

/* The interrupt controller first, so that it is not reset after a device has raised its wire. */
void board_reset(Board *b)
{
    board_lock(b);
    b->vcpu = 0;
    if (b->irq_chip != NO_ROW) {
        device_reset(b->slots[b->irq_chip].device);
    }
    for (size_t i = 0; i < b->def->nrows; i++) {
        if ((int)i != b->irq_chip) {
            device_reset(b->slots[i].device);
        }
    }
    board_unlock(b);
}

/* ---- access ---- */
static void access_count(const Slot *slot, uint64_t offset, bool is_write)
{
    int reg = device_reg_at(slot->device->type, offset, is_write);
    if (reg >= 0) {
        slot->board->counted[slot->device->index].reg[2 * reg + is_write]++;
    }
}

static int slot_access(const Slot *slot, unsigned vcpu, uint64_t offset, unsigned size_bytes, bool is_write,
                       uint64_t *value)
{
    Board *b = slot->board;
    board_lock(b);
    b->vcpu = vcpu;
    if (b->counted) {
        access_count(slot, offset, is_write);
    }
    int rc = is_write ? device_write(slot->device, vcpu, offset, size_bytes, *value)
                      : device_read(slot->device, vcpu, offset, size_bytes, value);
    board_unlock(b);
    return rc;
}

void board_cover(Board *b)
{
    board_lock(b);
    if (!b->counted) {
        b->counted = x_calloc(b->def->nrows, sizeof *b->counted);
    }
    board_unlock(b);
}

void board_cover_read(Board *b, Buf *out)
{
    board_lock(b);
    for (size_t i = 0; b->counted && i < b->def->nrows; i++) {
        device_cover(b->slots[i].device->type, b->counted[i].reg, b->counted[i].feature, out);
    }
    board_unlock(b);
}

static __attribute__((noinline)) int slot_read(const Slot *slot, unsigned vcpu, uint64_t offset, unsigned size_bytes,
                                               uint64_t *value)
{
    return slot_access(slot, vcpu, offset, size_bytes, false, value);
}

/* Of what a guest does to devices, reads are what it waits for: so there is a short way. */
static int space_dev_read(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    const Slot *slot = ctx;
    Board *b = slot->board;
    if (!is_kept(b) || b->counted) {
        return slot_read(slot, vcpu, offset, size_bytes, value);
    }
    b->vcpu = vcpu;
    return device_read(slot->device, vcpu, offset, size_bytes, value);
}

static int space_dev_write(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return slot_access(ctx, vcpu, offset, size_bytes, true, &value);
}

static uint64_t row_window(const BoardRow *row)
{
    return (row->type->size_bytes + SPACE_PAGE_BYTES - 1) / SPACE_PAGE_BYTES * SPACE_PAGE_BYTES;
}

int board_attach(Board *b, Space *s, Err *err)
{
    static const SpaceDevice ops = {space_dev_read, space_dev_write};
    for (size_t i = 0; i < b->def->nrows; i++) {
        const BoardRow *row = &b->def->rows[i];
        int rc = space_device(s, row->base, row_window(row), &ops, &b->slots[i], err);
        if (rc) {
            while (i-- > 0) {
                int undone = space_unmap(s, b->def->rows[i].base, row_window(&b->def->rows[i]), NULL);
                assert(!undone);
                (void)undone;
            }
            return rc;
        }
    }
    return 0;
}

static const Slot *slot_at(const Board *b, uint64_t gpa)
{
    for (size_t i = 0; i < b->def->nrows; i++) {
        const BoardRow *row = &b->def->rows[i];
        if (gpa >= row->base && gpa - row->base < row_window(row)) {
            return &b->slots[i];
        }
    }
    return NULL;
}

const BoardRow *board_claims(const Board *b, uint64_t gpa)
{
    const Slot *slot = slot_at(b, gpa);
    return slot ? &b->def->rows[slot - b->slots] : NULL;
}

int board_access(Board *b, unsigned vcpu, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    const Slot *slot = slot_at(b, gpa);
    return slot && vcpu < b->nvcpus
               ? slot_access(slot, vcpu, gpa - b->def->rows[slot - b->slots].base, size_bytes, is_write, value)
               : -ERR_FAULT;
}

/* ---- time and console ---- */
uint64_t board_deadline(Board *b, unsigned vcpu)
{
    uint64_t first = UINT64_MAX;
    board_lock(b);
    b->vcpu = vcpu;
    for (size_t i = 0; i < b->def->nrows; i++) {
        const Device *d = b->slots[i].device;
        uint64_t at = d->type->deadline ? d->type->deadline(d, vcpu) : UINT64_MAX;
        first = at < first ? at : first;
    }
    board_unlock(b);
    return first;
}

void board_tick(Board *b, unsigned vcpu)
{
    board_lock(b);
    b->vcpu = vcpu;
    for (size_t i = 0; i < b->def->nrows; i++) {
        Device *d = b->slots[i].device;
        if (d->type->deadline && d->type->deadline(d, vcpu) <= host_now_ns(b)) {
            d->type->tick(d, vcpu);
        }
    }
    board_unlock(b);
}

void board_poll(Board *b)
{
    board_lock(b);
    b->vcpu = 0;
    for (size_t i = 0; i < b->def->nrows; i++) {
        Device *d = b->slots[i].device;
        if (d->type->poll) {
            d->type->poll(d);
        }
    }
    board_unlock(b);
}

/* Under lock; NULL: there is none. */
static Device *console_of(Board *b)
{
    for (size_t i = 0; i < b->def->nrows; i++) {
        Device *d = b->slots[i].device;
        if (d->type->is_console && d->type->is_console(d)) {
            return d;
        }
    }
    return b->console == NO_ROW ? NULL : b->slots[b->console].device;
}

size_t board_input(Board *b, const void *bytes, size_t n)
{
    board_lock(b);
    Device *d = console_of(b);
    size_t taken = d ? d->type->input(d, bytes, n) : 0;
    board_unlock(b);
    return taken;
}

size_t board_console_take(Board *b, void *bytes, size_t cap)
{
    size_t taken = 0;
    board_lock(b);
    if (b->console != NO_ROW) {
        Device *d = b->slots[b->console].device;
        taken = d->type->take(d, bytes, cap);
    }
    board_unlock(b);
    return taken;
}

void board_console_write(Board *b, const void *bytes, size_t n)
{
    board_lock(b);
    b->host.output(b->host.ctx, bytes, n);
    board_unlock(b);
}

/* ---- device tree ---- */
/* As machines have it that are started by a bootloader: a kernel without one gathers randomness anew for each number that it wants, which
 * was a tenth of the work of Debian's. The same in each run, as all else is. */
static void fdt_rng_seed(const Board *b, Fdt *f)
{
    Sha256 s;
    uint8_t seed[32];
    sha256_init(&s);
    sha256_add(&s, b->def->model, strlen(b->def->model));
    sha256_end(&s, seed);
    fdt_bytes(f, "rng-seed", seed, sizeof seed);
}

static void fdt_chosen(const Board *b, const BoardFdt *what, Fdt *f)
{
    fdt_begin(f, "chosen");
    if (what->append) {
        fdt_str(f, "bootargs", what->append);
    }
    if (b->console != NO_ROW) {
        Buf path = {0};
        buf_printf(&path, "/soc/serial@%llx", (unsigned long long)b->def->rows[b->console].base);
        fdt_str(f, "stdout-path", buf_text(&path));
        buf_free(&path);
    }
    if (what->initrd_start != what->initrd_end) {
        fdt_u64(f, "linux,initrd-start", what->initrd_start);
        fdt_u64(f, "linux,initrd-end", what->initrd_end);
    }
    fdt_rng_seed(b, f);
    fdt_end(f);
}

void board_fdt(Board *b, const BoardFdt *what, Buf *out)
{
    Fdt *f = fdt_new();
    fdt_begin(f, "");
    fdt_u32(f, "#address-cells", 2);
    fdt_u32(f, "#size-cells", 2);
    fdt_str(f, "compatible", b->def->compatible);
    fdt_str(f, "model", b->def->model);
    fdt_chosen(b, what, f);
    fdt_begin_at(f, "memory", b->def->ram_base);
    fdt_str(f, "device_type", "memory");
    fdt_reg(f, b->def->ram_base, what->ram_bytes);
    fdt_end(f);
    b->def->fdt_cpus(f, b->nvcpus, what);
    fdt_begin(f, "soc");
    fdt_u32(f, "#address-cells", 2);
    fdt_u32(f, "#size-cells", 2);
    fdt_str(f, "compatible", "simple-bus");
    fdt_empty(f, "ranges");
    board_lock(b);
    for (size_t i = 0; i < b->def->nrows; i++) {
        const Device *d = b->slots[i].device;
        if (d->type->fdt) {
            d->type->fdt(d, f);
        }
    }
    fdt_end(f);
    for (size_t i = 0; i < b->def->nrows; i++) {
        const Device *d = b->slots[i].device;
        if (d->type->fdt_root) {
            d->type->fdt_root(d, f);
        }
    }
    board_unlock(b);
    fdt_end(f);
    fdt_finish(f, 0, out);
    fdt_free(f);
}

/* ---- state: number of vcpus, number of devices, then of each its name, 0-terminated, and its state ---- */
int board_saveable(Board *b, Err *err)
{
    int rc = 0;
    board_lock(b);
    for (size_t i = 0; !rc && i < b->def->nrows; i++) {
        const Device *d = b->slots[i].device;
        rc = d->type->saveable ? d->type->saveable(d, err) : 0;
    }
    board_unlock(b);
    return rc;
}

void board_save(Board *b, Buf *out)
{
    board_lock(b);
    buf_le(out, b->nvcpus, 4);
    buf_le(out, b->def->nrows, 4);
    for (size_t i = 0; i < b->def->nrows; i++) {
        const char *name = b->def->rows[i].type->name;
        buf_bytes(out, name, strlen(name) + 1);
        device_save(b->slots[i].device, out);
    }
    board_unlock(b);
}

static int device_read_back(Device *d, Cursor *in, Err *err)
{
    size_t n = strlen(d->type->name) + 1;
    const uint8_t *name = cursor_bytes(in, n);
    if (!name || memcmp(name, d->type->name, n) != 0) {
        return err_set(err, ERR_INVAL, "board: device %u is not %s, which it is here", d->index, d->type->name);
    }
    return device_restore(d, in, err);
}

int board_restore(Board *b, Cursor *in, Err *err)
{
    Device *new[BOARD_MAX_DEVICES] = {NULL};
    uint64_t nvcpus = cursor_le(in, 4), nrows = cursor_le(in, 4);
    int rc = 0;
    if (!cursor_ok(in) || nvcpus != b->nvcpus || nrows != b->def->nrows) {
        return err_set(err, ERR_INVAL, "board: %llu vcpus and %llu devices, expected %u and %zu",
                       (unsigned long long)nvcpus, (unsigned long long)nrows, b->nvcpus, b->def->nrows);
    }
    for (size_t i = 0; !rc && i < b->def->nrows; i++) {
        new[i] = device_of_row(b, i);
        rc = device_read_back(new[i], in, err);
    }
    board_lock(b);
    for (size_t i = 0; i < b->def->nrows; i++) { /* exchanged when all are sound; what is left over is freed */
        if (!rc) {
            assert(new[i]);
            Device *old = b->slots[i].device;
            b->slots[i].device = new[i];
            new[i] = old;
        }
        device_free(new[i]);
    }
    for (size_t i = 0; !rc && i < b->def->nrows; i++) {
        Device *d = b->slots[i].device;
        device_adopt(d);
        if (d->type->drive) {
            d->type->drive(d);
        }
    }
    board_unlock(b);
    return rc;
}
