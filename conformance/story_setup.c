/* SPDX-License-Identifier: Apache-2.0
 * story_setup.c - makes the VM of a story: memory and vcpus as the world says. */
#include "accel/board.h"
#include "conformance/story_int.h"

#include <string.h>

enum { FILL_CHUNK = 64 * 1024, FILL_BLOCK = 4096 };

/* ---- memory ---- */
static int fill(Vm *vm, const WorldRam *r, Err *err)
{
    uint8_t *chunk = x_alloc(FILL_CHUNK);
    int rc = 0;
    memset(chunk, r->fill, FILL_CHUNK);
    for (uint64_t at = r->nbytes; at < r->size_bytes && rc == 0; at += FILL_CHUNK) {
        uint64_t n = r->size_bytes - at < FILL_CHUNK ? r->size_bytes - at : FILL_CHUNK;
        rc = vm_mem_write(vm, (Gpa){r->at + at}, chunk, (size_t)n, err);
    }
    mem_free(chunk);
    return rc;
}

static size_t block_at(const WorldRam *r, size_t at)
{
    return r->nbytes - at < FILL_BLOCK ? r->nbytes - at : FILL_BLOCK;
}

static bool is_zero(const WorldRam *r, size_t at)
{
    static const uint8_t zeros[FILL_BLOCK];
    return !memcmp(r->bytes + at, zeros, block_at(r, at));
}

/* New memory is zero: what of the image is zero as well stays untouched. In pieces, so that a worker passes the same few
 * pages of its own again and again. */
static int image_write(Vm *vm, const WorldRam *r, Err *err)
{
    int rc = 0;
    for (size_t at = 0; at < r->nbytes && rc == 0; at += FILL_BLOCK) {
        rc = is_zero(r, at) ? 0 : vm_mem_write(vm, (Gpa){r->at + at}, r->bytes + at, block_at(r, at), err);
    }
    return rc;
}

static int ram_make(Vm *vm, const WorldRam *r, RamId *id, Err *err)
{
    int rc = vm_ram_new(vm, r->size_bytes, id, err);
    rc = rc ? rc : vm_map(vm, (Gpa){r->at}, r->size_bytes, *id, 0, r->flags, err);
    rc = rc ? rc : image_write(vm, r, err);
    if (rc == 0 && r->fill) { /* new memory is zero */
        rc = fill(vm, r, err);
    }
    if (rc) {
        err_prefix(err, "memory `%s`", r->name);
    }
    return rc;
}

/* What the dirty pages are noted in is the machine's, whichever region asks. */
static int ring_ask(Story *s, Vm *vm, Err *err)
{
    uint64_t bytes = 0;
    int rc = 0;
    for (size_t i = 0; i < s->c->nregions; i++) {
        bytes = s->c->regions[i].ring_bytes > bytes ? s->c->regions[i].ring_bytes : bytes;
    }
    if (bytes) {
        Buf in = {0};
        buf_le(&in, bytes, 8);
        rc = vm_ctl(vm, NULL, "kvm.dirty_ring", in.data, in.n, NULL, err);
        buf_free(&in);
    }
    return rc;
}

static int rams_make(Story *s, Vm *vm, Err *err)
{
    size_t n;
    const WorldRam *rams = world_rams(s->w, &n);
    int rc = 0;
    mem_free(s->ram_ids);
    s->ram_ids = x_calloc(n, sizeof *s->ram_ids);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = ram_make(vm, &rams[i], &s->ram_ids[i], err);
    }
    return rc;
}

/* Writes to these holes may be batched by the platform. */
static int coalesce(Story *s, Vm *vm, Err *err)
{
    int rc = 0;
    for (size_t i = 0; i < s->c->nregions && rc == 0; i++) {
        const Region *r = &s->c->regions[i];
        uint64_t at;
        Buf in = {0};
        if (r->is_coalesced && world_symbol(s->w, r->name, &at)) {
            buf_le(&in, at, 8);
            buf_le(&in, r->size_bytes, 8);
            buf_le(&in, false, 8);
            buf_le(&in, true, 8);
            rc = vm_ctl(vm, NULL, "kvm.coalesced", in.data, in.n, NULL, err);
        }
        buf_free(&in);
    }
    return rc;
}

static int intercepts(Story *s, Vm *vm, Err *err)
{
    int rc = 0;
    for (size_t i = 0; i < s->c->nintercepts && rc == 0; i++) {
        const InterceptDecl *d = &s->c->intercepts[i];
        uint64_t lo = 0;
        const RegInfo *r = d->reg ? reg_find(s->c->guest, d->reg) : NULL;
        if (r) {
            lo = REG_INDEX(r->id);
        } else if (d->reg) {
            rc = err_set(err, ERR_NOENT, "intercept: %s has no register `%s`", guest_name(s->c->guest), d->reg);
        } else {
            rc = story_eval(s, &d->lo, &lo, err);
        }
        rc = rc ? rc : vm_intercept(vm, d->kind, lo, lo, true, err);
    }
    return rc;
}

/* ---- vcpus ---- */
static int vcpu_make(StoryVcpu *sv, void *ctx, Err *err)
{
    Vm *vm = ctx;
    VcpuConfig cfg = {.id = sv->decl->id, .is_secondary = sv->decl->is_parked, .hw_id = sv->decl->id};
    int rc = vcpu_new(vm, &cfg, &sv->v, err);
    if (rc == 0) {
        STORY_LOCK(sv->story);
        sv->states.n = 0;
        sv->nstates = 1;
        VEC_PUSH(&sv->states, vcpu_state(sv->v));
        STORY_UNLOCK(sv->story);
    }
    return rc;
}

int story_vcpu_entry_regs(StoryVcpu *sv, Err *err)
{
    WorldRegs regs = {0};
    int rc = world_entry(sv->story->w, sv->index, &regs, err);
    uint8_t(*bytes)[8] = x_calloc(regs.n, 8);
    RegIo *io = x_calloc(regs.n, sizeof *io);
    size_t bad = 0;
    for (size_t i = 0; i < regs.n; i++) {
        for (int k = 0; k < 8; k++) {
            bytes[i][k] = (uint8_t)(regs.items[i].value >> 8 * k);
        }
        io[i] = (RegIo){regs.items[i].reg, bytes[i]};
    }
    if (rc == 0 && regs.n) {
        rc = vcpu_set_regs(sv->v, io, regs.n, &bad, err);
        if (rc && bad < regs.n && reg_info(regs.items[bad].reg)) {
            err_prefix(err, "entry register %s", reg_info(regs.items[bad].reg)->name);
        }
    }
    mem_free(io);
    mem_free(bytes);
    VEC_FREE(&regs);
    return rc;
}

int story_vcpu_setup(StoryVcpu *sv, Err *err)
{
    VcpuSetup setup = {.entry = {world_entry_pc(sv->story->w, sv->index)}};
    int rc = vcpu_setup(sv->v, &setup, err);
    return rc || sv->decl->is_parked ? rc : story_vcpu_entry_regs(sv, err);
}

static int vcpu_begin(StoryVcpu *sv, void *ctx, Err *err)
{
    (void)ctx;
    return story_vcpu_setup(sv, err);
}

/* ---- the VM ---- */
static VmConfig config_of(const Story *s)
{
    size_t n;
    const WorldRam *rams = world_rams(s->w, &n);
    VmConfig cfg = {.guest = s->c->guest, .max_vcpus = s->c->nvcpus};
    cfg.env = s->c->start == START_machine ? ENV_MACHINE : ENV_VIRT;
    cfg.irqchip = s->c->needs[CAP_irqchip] ? IRQCHIP_KERNEL : s->c->ndevices ? IRQCHIP_BOARD : IRQCHIP_NONE;
    cfg.firmware = FW_EXIT;
    for (size_t i = 0; i < n; i++) {
        cfg.max_ram_bytes += rams[i].size_bytes;
    }
    if (s->c->boot) {
        cfg.irqchip = IRQCHIP_NONE; /* inside */
        cfg.max_vcpus = s->c->boot->nharts;
        cfg.max_ram_bytes = s->c->boot->ram_bytes;
    }
    return cfg;
}

static int vm_make(Story *s, bool is_lazy, Err *err)
{
    VmConfig cfg = config_of(s);
    cfg.is_lazy = is_lazy;
    Observer o = {s, story_on_exit, story_on_op, s->o.coverage ? story_on_call : NULL};
    Vm *vm = NULL;
    int rc = story_board_make(s, err);
    if (rc) {
        return rc;
    }
    if (s->board) {
        cfg.board = s->board;
        cfg.firmware = cfg.env == ENV_VIRT ? FW_BOARD : FW_EXIT;
    }
    rc = vm_open(s->b, &cfg, s->model, &o, &vm, err);
    if (rc) {
        return rc;
    }
    STORY_LOCK(s);
    s->vm = vm;
    s->is_closing = false;
    STORY_UNLOCK(s);
    story_cover_begin(s, vm);
    if (s->c->boot) {
        rc = story_machine_make(s, vm, err);
        return rc ? rc : vm_settle(vm, err);
    }
    rc = ring_ask(s, vm, err);
    rc = rc ? rc : rams_make(s, vm, err);
    rc = rc ? rc : coalesce(s, vm, err);
    rc = rc ? rc : intercepts(s, vm, err);
    for (size_t i = 0; i < s->c->nvcpus && rc == 0; i++) {
        rc = story_on_owner(&s->vcpus[i], vcpu_make, vm, err);
    }
    rc = rc ? rc : story_fake_load(s, err);
    for (size_t i = 0; i < s->c->nvcpus && rc == 0 && !s->c->lifecycle; i++) {
        rc = story_on_owner(&s->vcpus[i], vcpu_begin, NULL, err);
    }
    return rc ? rc : vm_settle(vm, err);
}

void story_vm_drop(Story *s)
{
    STORY_LOCK(s);
    Vm *vm = s->vm;
    s->vm = NULL;
    s->is_closing = true; /* its own operations are no part of the story */
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        s->vcpus[i].v = NULL;
    }
    STORY_UNLOCK(s);
    story_cover_end(s, vm);
    vm_close(vm);
    machine_board_free(s->board);
    s->board = NULL;
}

static bool is_link_lost(int rc)
{
    return rc == -ERR_IO || rc == -ERR_PROTO || rc == -ERR_TIMEOUT;
}

/* Over a link all of it is one message. What fails there is then asked for step by step: the error is that of the step,
 * in its words. */
int story_vm_make(Story *s, Err *err)
{
    bool is_lazy = s->b->vm && s->b->vm->settle;
    int rc = vm_make(s, is_lazy, err);
    if (rc && is_lazy && !is_link_lost(rc)) {
        story_vm_drop(s);
        rc = vm_make(s, false, err);
    }
    return rc;
}

/* A second VM like the first, for one vcpu just after its setup. */
int story_fresh_snapshot(Story *s, unsigned index, Buf *out, Err *err)
{
    VmConfig cfg = config_of(s);
    Vm *vm = NULL;
    StoryVcpu fresh = {.story = s, .decl = s->vcpus[index].decl, .index = index};
    VcpuConfig vc = {.id = fresh.decl->id, .is_secondary = fresh.decl->is_parked, .hw_id = fresh.decl->id};
    RamId *ids = s->ram_ids;
    s->ram_ids = NULL;
    int rc = vm_open(s->b, &cfg, &life_virtualcpu, NULL, &vm, err);
    rc = rc ? rc : rams_make(s, vm, err);
    rc = rc ? rc : vcpu_new(vm, &vc, &fresh.v, err);
    rc = rc ? rc : story_vcpu_setup(&fresh, err);
    rc = rc ? rc : vcpu_save(fresh.v, out, err);
    vm_close(vm);
    mem_free(s->ram_ids);
    s->ram_ids = ids;
    return rc;
}
