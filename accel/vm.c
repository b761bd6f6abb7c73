/* SPDX-License-Identifier: Apache-2.0
 * A Vm: opening with a check of the backend's tables, memory and its rules, the way down to VmOps, closing. The loop
 * over exits is in loop.c. */
#include "accel/core.h"
#include "sim/base/os.h"

#include <string.h>

enum { USERS_CLOSING = 1, USERS_ONE = 2 };

int vm_enter(Vm *vm, Err *err)
{
    if (atomic_fetch_add(&vm->users, USERS_ONE) & USERS_CLOSING) {
        vm_leave(vm);
        return err_set(err, ERR_STATE, "the vm is being closed");
    }
    return 0;
}

/* Twice per exit, so without the lock; but once vm_close waits, whoever leaves says so under it, and touches the Vm no
 * more after that. */
void vm_leave(Vm *vm)
{
    unsigned long users = atomic_load(&vm->users);
    while (!(users & USERS_CLOSING)) {
        if (atomic_compare_exchange_weak(&vm->users, &users, users - USERS_ONE)) {
            return;
        }
    }
    pthread_mutex_lock(&vm->lock);
    if (atomic_fetch_sub(&vm->users, USERS_ONE) == (USERS_ONE | USERS_CLOSING)) {
        pthread_cond_broadcast(&vm->left);
    }
    pthread_mutex_unlock(&vm->lock);
}

int call_told(const Vm *vm, const char *call, int rc)
{
    if (vm->observer.on_call) {
        vm->observer.on_call(vm->observer.ctx, call, rc);
    }
    return rc;
}

/* ---- open ---- */
typedef struct {
    const char *name;
    bool is_there;
    int cap; /* the capability without which it may be missing; -1 = required */
} Entry;

static bool is_missing(const Caps *caps, const Entry *e)
{
    return !e->is_there && (e->cap < 0 || caps->level[e->cap] >= CAP_PARTIAL);
}

/* Names the first with its reason, and all others, so that whoever writes a backend need not come back for each. */
static int entries_check(const Backend *b, const Caps *caps, const Entry *entries, size_t n, Err *err)
{
    size_t first = 0, nothers = 0;
    Buf others = {0};
    while (first < n && !is_missing(caps, &entries[first])) {
        first++;
    }
    if (first == n) {
        return 0;
    }
    for (size_t i = first + 1; i < n; i++) {
        if (is_missing(caps, &entries[i])) {
            buf_printf(&others, "%s%s", nothers++ ? ", " : "", entries[i].name);
        }
    }
    const Entry *e = &entries[first];
    int rc = err_set(err, ERR_INVAL, "backend %s: entry %s is missing%s%s%s%s", b->name, e->name,
                     e->cap < 0 ? "" : " although it declares ", e->cap < 0 ? "" : cap_name((Cap)e->cap),
                     !nothers      ? ""
                     : nothers > 1 ? "; so are "
                                   : "; so is ",
                     buf_text(&others));
    buf_free(&others);
    return rc;
}

static int vm_table_check(const Backend *b, const Caps *caps, Err *err)
{
    const VmOps *o = b->vm;
    if (!o || o->size_bytes < sizeof *o) {
        return err_set(err, ERR_VERSION, "backend %s: its VmOps are shorter than this ABI's", b->name);
    }
    const Entry entries[] = {
        {"vm.create", o->create, -1},
        {"vm.destroy", o->destroy, -1},
        {"vm.ram_create", o->ram_create, CAP_map},
        {"vm.map", o->map, CAP_map},
        {"vm.unmap", o->unmap, CAP_map},
        {"vm.mem_read", o->mem_read, CAP_map},
        {"vm.mem_write", o->mem_write, CAP_map},
        {"vm.dirty_get", o->dirty_get, CAP_dirty_log},
        {"vm.irq_line", o->irq_line, CAP_irqchip},
        {"vm.msi", o->msi, CAP_msi},
        {"vm.clock", o->clock, CAP_clock},
        {"vm.power", o->power || caps->level[CAP_vcpu] >= CAP_PARTIAL, -1},
    };
    return entries_check(b, caps, entries, ARRAY_LEN(entries), err);
}

static int vcpu_table_check(const Backend *b, const Caps *caps, Err *err)
{
    const VcpuOps *o = b->vcpu;
    if (caps->level[CAP_vcpu] < CAP_PARTIAL) {
        return 0;
    }
    if (!o || o->size_bytes < sizeof *o) {
        return err_set(err, ERR_VERSION, "backend %s: its VcpuOps are shorter than this ABI's", b->name);
    }
    const Entry entries[] = {
        {"vcpu.create", o->create, -1},
        {"vcpu.destroy", o->destroy, -1},
        {"vcpu.setup", o->setup, -1},
        {"vcpu.run", o->run, -1},
        {"vcpu.reply", o->reply, -1},
        {"vcpu.kick", o->kick, -1},
        {"vcpu.get_regs", o->get_regs, -1},
        {"vcpu.set_regs", o->set_regs, -1},
        {"vcpu.reg_list", o->reg_list, -1},
        {"vcpu.inject", o->inject, -1},
        {"vcpu.breaks", o->breaks, caps->level[CAP_hw_break] >= CAP_PARTIAL ? CAP_hw_break : CAP_hw_watch},
    };
    return entries_check(b, caps, entries, ARRAY_LEN(entries), err);
}

static int isa_check(const Backend *b, const char *isa, Err *err)
{
    enum { MAX_ISA = 4000 }; /* it crosses a link (docs/wire.md) */
    static const char of_isa[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (!isa || (!strncmp(isa, "rv64", 4) && strlen(isa) <= MAX_ISA && !isa[strspn(isa, of_isa)])) {
        return 0;
    }
    return err_set(err, ERR_INVAL, "backend %s: its isa \"%.40s\" is no ISA string of riscv64, such as rv64imac_zicsr",
                   b->name, isa);
}

static int caps_check(const Backend *b, const Caps *caps, Err *err)
{
    for (int i = 0; i < CAP_COUNT; i++) {
        if ((unsigned)caps->level[i] > CAP_FULL) {
            return err_set(err, ERR_INVAL, "backend %s: level %u of %s", b->name, (unsigned)caps->level[i],
                           cap_name((Cap)i));
        }
        if (caps->level[i] != CAP_FULL && !caps->why[i]) {
            return err_set(err, ERR_INVAL, "backend %s: no reason why %s is %s", b->name, cap_name((Cap)i),
                           cap_level_name(caps->level[i]));
        }
    }
    uint32_t page = caps->page_bytes;
    if (caps->level[CAP_map] >= CAP_PARTIAL && (!page || page & (page - 1) || !caps->max_regions)) {
        return err_set(err, ERR_INVAL, "backend %s: pages of %u bytes, %u regions", b->name, page, caps->max_regions);
    }
    if (caps->level[CAP_vcpu] >= CAP_PARTIAL && !caps->max_vcpus) {
        return err_set(err, ERR_INVAL, "backend %s: max_vcpus is 0", b->name);
    }
    return isa_check(b, caps->isa, err);
}

static int config_check(const Backend *b, const Caps *caps, const VmConfig *cfg, Err *err)
{
    Cap env = cfg->env == ENV_MACHINE ? CAP_env_machine : CAP_env_virt;
    if (caps->level[env] < CAP_PARTIAL) {
        return err_unsupported(err, b->name, cap_name(env), caps->why[env]);
    }
    if (cfg->max_vcpus > caps->max_vcpus || cfg->max_vcpus > MAX_VCPUS) {
        return err_set(err, ERR_LIMIT, "%llu vcpus: %s has at most %u", (unsigned long long)cfg->max_vcpus, b->name,
                       caps->max_vcpus);
    }
    return 0;
}

int backend_check(const Backend *b, const Caps *caps, Err *err)
{
    int rc = caps_check(b, caps, err);
    rc = rc ? rc : vm_table_check(b, caps, err);
    return rc ? rc : vcpu_table_check(b, caps, err);
}

static int open_check(const Backend *b, const VmConfig *cfg, Caps *caps, Err *err)
{
    if (b->abi != ACCEL_ABI_VERSION || b->size_bytes < sizeof *b) {
        return err_set(err, ERR_VERSION, "backend %s: ABI %u, this program has %u", b->name ? b->name : "?", b->abi,
                       ACCEL_ABI_VERSION);
    }
    if (!b->name || !b->open) {
        return err_set(err, ERR_INVAL, "backend %s: no name or no open", b->name ? b->name : "?");
    }
    if (!guest_name(cfg->guest)) {
        return err_set(err, ERR_INVAL, "no guest %u", (unsigned)cfg->guest);
    }
    int rc = b->open(b, cfg->guest, caps, err);
    rc = rc ? rc : backend_check(b, caps, err);
    return rc ? rc : config_check(b, caps, cfg, err);
}

int vm_open(const Backend *b, const VmConfig *cfg, const LifeModel *m, const Observer *o, Vm **out, Err *err)
{
    *out = NULL;
    Caps caps = {0};
    BeVm *be = NULL;
    int rc = open_check(b, cfg, &caps, err);
    rc = rc ? rc : b->vm->create(b, cfg, &be, err);
    if (o && o->on_call) {
        o->on_call(o->ctx, "vm_open", rc);
    }
    if (rc) {
        return rc;
    }
    Vm *vm = x_alloc(sizeof *vm);
    vm->backend = b;
    vm->be = be;
    vm->cfg = *cfg;
    vm->cfg.cpu = vm->cfg.options = NULL; /* borrowed for the call only */
    vm->caps = caps;
    vm->model = m ? m : &life_virtualcpu;
    vm->observer = o ? *o : (Observer){0};
    pthread_mutex_init(&vm->ops, NULL);
    pthread_mutex_init(&vm->lock, NULL);
    pthread_cond_init(&vm->left, NULL);
    vm->opened_ns = os_now_ns();
    if (cfg->board && b->vm->has_board && b->vm->has_board(be)) {
        vm->stands = cfg->board;
        vm->cfg.board = NULL;
        vm->stands->is_elsewhere(vm->stands->ctx, vm);
    }
    bus_attach(vm);
    *out = vm;
    return 0;
}

void vm_close(Vm *vm)
{
    if (!vm) {
        return;
    }
    atomic_store(&vm->is_closing, true);
    bool is_used = atomic_fetch_or(&vm->users, USERS_CLOSING) >= USERS_ONE; /* nobody enters any more */
    for (int i = 0; i < MAX_VCPUS && is_used; i++) {
        Vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v) {
            kick_quietly(v);
        }
    }
    pthread_mutex_lock(&vm->lock);
    while (atomic_load(&vm->users) >= USERS_ONE) {
        pthread_cond_wait(&vm->left, &vm->lock);
    }
    pthread_mutex_unlock(&vm->lock);
    if (vm->cfg.board && vm->cfg.board->attach) {
        vm->cfg.board->attach(vm->cfg.board->ctx, NULL);
    }
    if (vm->stands) {
        vm->stands->is_elsewhere(vm->stands->ctx, NULL);
    }
    for (int i = 0; i < MAX_VCPUS; i++) {
        Vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v) {
            vcpu_free(v);
        }
    }
    vm->backend->vm->destroy(vm->be);
    VEC_FREE(&vm->regions);
    VEC_FREE(&vm->rams);
    VEC_FREE(&vm->ram_ids);
    pthread_cond_destroy(&vm->left);
    pthread_mutex_destroy(&vm->lock);
    pthread_mutex_destroy(&vm->ops);
    mem_free(vm);
}

size_t vm_type(Vm *vm, const void *bytes, size_t n)
{
    size_t ntaken = 0;
    if (!vm->stands || vm_enter(vm, NULL)) {
        return 0;
    }
    int rc = vm->backend->vm->type(vm->be, bytes, n, &ntaken, NULL);
    vm_leave(vm);
    return rc ? 0 : ntaken;
}

const Caps *vm_caps(const Vm *vm)
{
    return &vm->caps;
}

const LifeModel *vm_model(const Vm *vm)
{
    return vm->model;
}

GuestId vm_guest(const Vm *vm)
{
    return vm->cfg.guest;
}

Vcpu *vm_vcpu(const Vm *vm, uint8_t id)
{
    return atomic_load(&((Vm *)vm)->vcpus[id]);
}

/* ---- the way down: entered, serialised, and only where the capability is there ---- */
static int ops_begin(Vm *vm, const char *call, int cap, Err *err)
{
    if (cap >= 0 && vm->caps.level[cap] < CAP_PARTIAL) {
        return call_told(vm, call, err_unsupported(err, vm->backend->name, cap_name((Cap)cap), vm->caps.why[cap]));
    }
    int rc = vm_enter(vm, err);
    if (!rc) {
        pthread_mutex_lock(&vm->ops);
    }
    return rc;
}

static int ops_end(Vm *vm, const char *call, int rc)
{
    pthread_mutex_unlock(&vm->ops);
    call_told(vm, call, rc);
    vm_leave(vm);
    return rc;
}

int vm_settle(Vm *vm, Err *err)
{
    int rc = ops_begin(vm, "vm_settle", -1, err);
    if (rc) {
        return rc;
    }
    const VmOps *ops = vm->backend->vm;
    return ops_end(vm, "vm_settle", ops->settle ? ops->settle(vm->be, err) : 0);
}

/* ---- memory ---- */
static int range_check(const Vm *vm, uint64_t at, uint64_t size, Err *err)
{
    uint64_t mask = vm->caps.page_bytes - 1;
    if (!size || at + (size - 1) < at) {
        return err_set(err, ERR_INVAL, "0x%llx bytes at 0x%llx: %s", (unsigned long long)size, (unsigned long long)at,
                       size ? "past the end of memory" : "nothing");
    }
    if ((at | size) & mask) {
        return err_set(err, ERR_ALIGN, "0x%llx bytes at 0x%llx: not in pages of 0x%x bytes", (unsigned long long)size,
                       (unsigned long long)at, vm->caps.page_bytes);
    }
    return 0;
}

int vm_ram_new(Vm *vm, uint64_t size, RamId *out, Err *err)
{
    int rc = ops_begin(vm, "vm_ram_new", CAP_map, err);
    if (rc) {
        return rc;
    }
    rc = range_check(vm, 0, size, err);
    rc = rc ? rc : vm->backend->vm->ram_create(vm->be, size, out, err);
    if (!rc) {
        VEC_PUSH(&vm->rams, size);
        VEC_PUSH(&vm->ram_ids, *out);
    }
    return ops_end(vm, "vm_ram_new", rc);
}

static bool regions_meet(const Region *a, uint64_t at, uint64_t size)
{
    return a->at <= at + (size - 1) && at <= a->at + (a->size - 1);
}

static int flags_check(const Vm *vm, uint32_t flags, Err *err)
{
    if (flags & ~(uint32_t)(MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY)) {
        return err_set(err, ERR_INVAL, "map: unknown flags 0x%x", flags);
    }
    Cap cap = flags & MAP_LOG_DIRTY && vm->caps.level[CAP_dirty_log] < CAP_PARTIAL ? CAP_dirty_log
              : !(flags & MAP_W) && vm->caps.level[CAP_map_ro] < CAP_PARTIAL       ? CAP_map_ro
                                                                                   : CAP_COUNT;
    return cap == CAP_COUNT ? 0 : err_unsupported(err, vm->backend->name, cap_name(cap), vm->caps.why[cap]);
}

static int backing_check(const Vm *vm, const Region *r, Err *err)
{
    if (r->offset & (vm->caps.page_bytes - 1)) {
        return err_set(err, ERR_ALIGN, "map: offset 0x%llx is not in pages of 0x%x bytes",
                       (unsigned long long)r->offset, vm->caps.page_bytes);
    }
    for (size_t i = 0; i < vm->ram_ids.n; i++) {
        if (vm->ram_ids.items[i] == r->ram) {
            uint64_t size = vm->rams.items[i];
            bool is_in = r->offset <= size && r->size <= size - r->offset;
            return is_in ? 0
                         : err_set(err, ERR_INVAL, "map: 0x%llx + 0x%llx is outside of ram %u",
                                   (unsigned long long)r->offset, (unsigned long long)r->size, r->ram);
        }
    }
    return err_set(err, ERR_NOENT, "map: no ram %u", r->ram);
}

/* Finds the region that the new one replaces (same place and backing: a change of flags), or says why it cannot be. */
static int place_check(const Vm *vm, const Region *r, size_t *same, Err *err)
{
    *same = SIZE_MAX;
    for (size_t i = 0; i < vm->regions.n; i++) {
        const Region *old = &vm->regions.items[i];
        if (regions_meet(old, r->at, r->size)) {
            if (old->at == r->at && old->size == r->size && old->ram == r->ram && old->offset == r->offset) {
                *same = i;
                return 0;
            }
            return err_set(err, ERR_EXIST, "map: 0x%llx bytes at 0x%llx meet the region at 0x%llx",
                           (unsigned long long)r->size, (unsigned long long)r->at, (unsigned long long)old->at);
        }
        bool is_alias = old->ram == r->ram && old->offset < r->offset + r->size && r->offset < old->offset + old->size;
        if (is_alias && vm->caps.level[CAP_map_alias] < CAP_PARTIAL) {
            return err_unsupported(err, vm->backend->name, "map_alias", vm->caps.why[CAP_map_alias]);
        }
    }
    return vm->regions.n < vm->caps.max_regions
               ? 0
               : err_set(err, ERR_LIMIT, "map: no more than %u regions", vm->caps.max_regions);
}

static void region_add(Vm *vm, Region r)
{
    VEC_PUSH(&vm->regions, r);
    size_t i = vm->regions.n - 1;
    for (; i && vm->regions.items[i - 1].at > r.at; i--) {
        vm->regions.items[i] = vm->regions.items[i - 1];
    }
    vm->regions.items[i] = r;
}

int vm_map(Vm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    int rc = ops_begin(vm, "vm_map", CAP_map, err);
    if (rc) {
        return rc;
    }
    Region r = {.at = at.addr, .size = size, .offset = offset, .ram = ram, .flags = flags};
    size_t same = SIZE_MAX;
    rc = range_check(vm, r.at, r.size, err);
    rc = rc ? rc : flags_check(vm, flags, err);
    rc = rc ? rc : backing_check(vm, &r, err);
    rc = rc ? rc : place_check(vm, &r, &same, err);
    rc = rc ? rc : vm->backend->vm->map(vm->be, at, size, ram, offset, flags, err);
    if (!rc && same != SIZE_MAX) {
        vm->regions.items[same].flags = flags;
    } else if (!rc) {
        region_add(vm, r);
    }
    return ops_end(vm, "vm_map", rc);
}

int vm_unmap(Vm *vm, Gpa at, uint64_t size, Err *err)
{
    int rc = ops_begin(vm, "vm_unmap", CAP_map, err);
    if (rc) {
        return rc;
    }
    size_t i = 0;
    while (i < vm->regions.n && (vm->regions.items[i].at != at.addr || vm->regions.items[i].size != size)) {
        i++;
    }
    if (i == vm->regions.n) {
        rc = err_set(err, ERR_NOENT, "unmap: no region of 0x%llx bytes at 0x%llx", (unsigned long long)size,
                     (unsigned long long)at.addr);
    } else {
        rc = vm->backend->vm->unmap(vm->be, at, size, err);
    }
    if (!rc) {
        vm->regions.n--;
        memmove(&vm->regions.items[i], &vm->regions.items[i + 1], (vm->regions.n - i) * sizeof vm->regions.items[0]);
    }
    return ops_end(vm, "vm_unmap", rc);
}

/* Every byte lies in a region: then nothing is written before a hole is met (W6). */
static int cover_check(const Vm *vm, uint64_t at, uint64_t n, Err *err)
{
    uint64_t next = at, last = at + (n - 1);
    if (!n) {
        return 0;
    }
    for (size_t i = 0; i < vm->regions.n && last >= at; i++) {
        const Region *r = &vm->regions.items[i];
        uint64_t end = r->at + (r->size - 1);
        if (r->at <= next && next <= end) {
            if (last <= end) {
                return 0;
            }
            next = end + 1;
        }
    }
    return err_set(err, ERR_FAULT, "0x%llx bytes at 0x%llx: nothing is mapped at 0x%llx", (unsigned long long)n,
                   (unsigned long long)at, (unsigned long long)next);
}

bool vm_is_mapped(Vm *vm, uint64_t at, uint64_t n)
{
    pthread_mutex_lock(&vm->ops);
    bool is_mapped = n && !cover_check(vm, at, n, NULL);
    pthread_mutex_unlock(&vm->ops);
    return is_mapped;
}

int vm_mem_read(Vm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    int rc = ops_begin(vm, "vm_mem_read", CAP_map, err);
    if (rc) {
        return rc;
    }
    rc = cover_check(vm, at.addr, n, err);
    return ops_end(vm, "vm_mem_read", rc || !n ? rc : vm->backend->vm->mem_read(vm->be, at, buf, n, err));
}

int vm_mem_write(Vm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    int rc = ops_begin(vm, "vm_mem_write", CAP_map, err);
    if (rc) {
        return rc;
    }
    rc = cover_check(vm, at.addr, n, err);
    return ops_end(vm, "vm_mem_write", rc || !n ? rc : vm->backend->vm->mem_write(vm->be, at, buf, n, err));
}

int vm_dirty_get(Vm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    int rc = ops_begin(vm, "vm_dirty_get", CAP_dirty_log, err);
    if (rc) {
        return rc;
    }
    rc = range_check(vm, at.addr, size, err);
    rc = rc ? rc : cover_check(vm, at.addr, size, err);
    return ops_end(vm, "vm_dirty_get", rc ? rc : vm->backend->vm->dirty_get(vm->be, at, size, bits, clear, err));
}

/* ---- the rest ---- */
int vm_irq_line(Vm *vm, uint32_t gsi, bool level, Err *err)
{
    int rc = ops_begin(vm, "vm_irq_line", CAP_irqchip, err);
    return rc ? rc : ops_end(vm, "vm_irq_line", vm->backend->vm->irq_line(vm->be, gsi, level, err));
}

int vm_msi(Vm *vm, uint64_t addr, uint32_t data, Err *err)
{
    int rc = ops_begin(vm, "vm_msi", CAP_msi, err);
    return rc ? rc : ops_end(vm, "vm_msi", vm->backend->vm->msi(vm->be, addr, data, err));
}

static int not_there(const Vm *vm, const char *call, const char *what, Err *err)
{
    return call_told(vm, call, err_unsupported(err, vm->backend->name, what, "this backend has no such entry"));
}

int vm_intercept(Vm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    int rc = vm->backend->vm->intercept ? ops_begin(vm, "vm_intercept", -1, err)
                                        : not_there(vm, "vm_intercept", "intercept", err);
    if (rc) {
        return rc;
    }
    if (vm->nvcpus) {
        rc = err_set(err, ERR_STATE, "intercept: only before the first vcpu");
    } else if (lo > hi) {
        rc = err_set(err, ERR_INVAL, "intercept: 0x%llx is above 0x%llx", (unsigned long long)lo,
                     (unsigned long long)hi);
    }
    return ops_end(vm, "vm_intercept", rc ? rc : vm->backend->vm->intercept(vm->be, k, lo, hi, on, err));
}

int vm_clock(Vm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    int rc = ops_begin(vm, "vm_clock", CAP_clock, err);
    return rc ? rc : ops_end(vm, "vm_clock", vm->backend->vm->clock(vm->be, set, guest_ns, err));
}

/* The board's state is a chunk of its own before the backend's: {u32 tag, u32 len, bytes}. */
#define TAG_BOARD 0x44524f42u /* "BORD" */

/* Before the VM's operations are taken: a board at work may be waiting for them. */
static void board_chunk_make(const Board *b, Buf *chunk)
{
    Buf state = {0};
    b->save(b->ctx, &state);
    buf_le(chunk, TAG_BOARD, 4);
    buf_le(chunk, state.n, 4);
    buf_bytes(chunk, state.data, state.n);
    buf_free(&state);
}

static int save_into(Vm *vm, const Buf *board, Buf *out, Err *err)
{
    size_t before = out->n;
    buf_bytes(out, board->data, board->n);
    int rc = vm->backend->vm->save ? vm->backend->vm->save(vm->be, out, err) : 0;
    if (rc && out->data) {
        out->n = before;
        out->data[before] = 0;
    }
    return rc;
}

int vm_save(Vm *vm, Buf *out, Err *err)
{
    const Board *b = vm->cfg.board && vm->cfg.board->save ? vm->cfg.board : NULL;
    Buf chunk = {0};
    if (b) {
        board_chunk_make(b, &chunk);
    }
    int rc =
        vm->backend->vm->save || b ? ops_begin(vm, "vm_save", CAP_save, err) : not_there(vm, "vm_save", "save", err);
    if (!rc) {
        rc = ops_end(vm, "vm_save", save_into(vm, &chunk, out, err));
    }
    buf_free(&chunk);
    return rc;
}

/* Takes the board's chunk off the front. */
static int board_chunk_get(Cursor *in, Cursor *state, Err *err)
{
    uint64_t tag = cursor_le(in, 4), len = cursor_le(in, 4);
    const uint8_t *bytes = cursor_ok(in) && tag == TAG_BOARD ? cursor_bytes(in, len) : NULL;
    if (!bytes) {
        return err_set(err, ERR_INVAL, "restore: no state of a board, which this vm has");
    }
    *state = cursor_of(bytes, len);
    return 0;
}

/* The board last: it is all or nothing by itself, and sets lines of vcpus that are there. */
int vm_restore(Vm *vm, const void *bytes, size_t n, Err *err)
{
    const Board *b = vm->cfg.board && vm->cfg.board->restore ? vm->cfg.board : NULL;
    int rc = vm->backend->vm->restore || b ? ops_begin(vm, "vm_restore", CAP_save, err)
                                           : not_there(vm, "vm_restore", "save", err);
    if (rc) {
        return rc;
    }
    Cursor in = cursor_of(bytes, n), state = {0};
    rc = b ? board_chunk_get(&in, &state, err) : 0;
    const uint8_t *rest = (const uint8_t *)bytes + (n - cursor_left(&in));
    if (!rc && vm->backend->vm->restore) {
        rc = vm->backend->vm->restore(vm->be, rest, cursor_left(&in), err);
    }
    rc = ops_end(vm, "vm_restore", rc);
    return rc || !b ? rc : b->restore(b->ctx, &state, err);
}

static bool has_ctl(const Caps *caps, const char *name)
{
    for (const char *const *p = caps->ctls; p && *p; p++) {
        if (!strcmp(*p, name)) {
            return true;
        }
    }
    return false;
}

int vm_ctl(Vm *vm, Vcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    if (!vm->backend->vm->ctl || !has_ctl(&vm->caps, name)) {
        return call_told(vm, "vm_ctl", err_unsupported(err, vm->backend->name, name, "this backend has no such ctl"));
    }
    int rc = ops_begin(vm, "vm_ctl", -1, err);
    if (rc) {
        return rc;
    }
    BeVcpu *be = v ? atomic_load(&v->be) : NULL;
    if (v && !be) {
        rc = err_set(err, ERR_STATE, "%s: the vcpu was destroyed", name);
    }
    return ops_end(vm, "vm_ctl", rc ? rc : vm->backend->vm->ctl(vm->be, be, name, in, nin, out, err));
}
