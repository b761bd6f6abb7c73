/* SPDX-License-Identifier: Apache-2.0
 * The client as a Backend: each operation packs its arguments, makes its round trip and unpacks the
 * reply. */
#include "accel/remote/link.h"

#include "sim/base/os.h"

#include <poll.h>
#include <string.h>

struct BeVm {
    RemoteLink *link;
    uint32_t handle, page_bytes;
    atomic_uint ncreated; /* vcpus, also those that are gone; several threads may create one */
    atomic_uint nrams;
    const Board *board;  /* stands for the one that the peer has; NULL = it has none */
    atomic_bool is_lazy; /* until it settles: what has no answer but "done" is put off */
};
struct BeVcpu {
    RemoteLink *link;
    BeVm *vm;
    uint32_t handle;
    unsigned slot;
};

static Request request(WireType type, uint32_t object)
{
    return (Request){.type = type, .object = object};
}

static void put_words(Buf *b, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_le(b, words[i], 8);
    }
}
#define PUT_WORDS(b, ...) put_words((b), (const uint64_t[]){__VA_ARGS__}, ARRAY_LEN(((const uint64_t[]){__VA_ARGS__})))

/* A request whose reply is empty. */
static int plain_call(RemoteLink *l, Request *r, uint32_t *bad, Err *err)
{
    WireMsg m;
    int rc = link_call(l, r, &m, bad, err);
    if (!rc && m.n) {
        rc = link_bad_reply(l, &m, err);
    }
    wire_msg_free(&m);
    return rc;
}

/* The same for an operation on a VM or its vcpu that may be put off. */
static int late_call(BeVm *vm, Request *r, uint32_t *bad, Err *err)
{
    return atomic_load(&vm->is_lazy) ? link_put_off(vm->link, r, &(Late){0}, err) : plain_call(vm->link, r, bad, err);
}

/* A request whose reply is one number of nbytes. */
static int number_call(RemoteLink *l, Request *r, size_t nbytes, uint64_t *out, Err *err)
{
    WireMsg m;
    int rc = link_call(l, r, &m, NULL, err);
    if (!rc) {
        Cursor c = cursor_of(m.payload, m.n);
        *out = cursor_le(&c, nbytes);
        rc = wire_done(&c) ? 0 : link_bad_reply(l, &m, err);
    }
    wire_msg_free(&m);
    return rc;
}

/* A request whose reply is a bulk of unknown length; appended to out. */
static int bulk_call(RemoteLink *l, Request *r, Buf *out, Err *err)
{
    WireMsg m;
    int rc = link_call(l, r, &m, NULL, err);
    if (!rc) {
        WireBulk bulk;
        Cursor c = cursor_of(m.payload, m.n);
        rc = wire_get_bulk(&c, WIRE_BULK_MAX, &bulk);
        if (rc == -ERR_NOMEM) {
            rc = err_set(err, ERR_NOMEM, "no memory for the reply to %s", wire_name(r->type));
        } else if (rc || !wire_done(&c)) {
            rc = link_bad_reply(l, &m, err);
        } else if (out) {
            buf_bytes(out, bulk.bytes, bulk.n);
        }
        mem_free(bulk.made);
    }
    wire_msg_free(&m);
    return rc;
}

/* A request whose reply is a bulk of exactly n bytes. */
static int bytes_call(RemoteLink *l, Request *r, void *out, size_t n, Err *err)
{
    WireMsg m;
    int rc = link_call(l, r, &m, NULL, err);
    if (!rc) {
        Cursor c = cursor_of(m.payload, m.n);
        if (!wire_get_bulk_into(&c, out, n) || !wire_done(&c)) {
            rc = link_bad_reply(l, &m, err);
        }
    }
    wire_msg_free(&m);
    return rc;
}

static int bulk_limit(const char *what, size_t n, Err *err)
{
    return n > WIRE_BULK_MAX
               ? err_set(err, ERR_LIMIT, "%s of %zu bytes: at most %d over a link", what, n, WIRE_BULK_MAX)
               : 0;
}

/* ---- Backend ---- */
static const char *get_arena_str(RemoteLink *l, Cursor *c)
{
    char *s = wire_get_str(c, WIRE_TEXT_MAX);
    const char *kept = s ? arena_strdup(l->known->arena, s) : NULL;
    mem_free(s);
    return kept;
}

static void caps_here(Caps *caps)
{
    caps->level[CAP_rebind] = CAP_FULL;
    caps->why[CAP_rebind] = NULL;
}

static bool get_caps(RemoteLink *l, Cursor *c, Caps *caps)
{
    *caps = (Caps){0};
    caps->page_bytes = (uint32_t)cursor_le(c, 4);
    caps->max_vcpus = (uint32_t)cursor_le(c, 4);
    caps->max_regions = (uint32_t)cursor_le(c, 4);
    caps->vec_bytes = (uint32_t)cursor_le(c, 4);
    size_t n = (size_t)cursor_le(c, 2);
    for (size_t i = 0; i < n && cursor_ok(c); i++) {
        CapLevel level = (CapLevel)wire_get_max(c, 1, CAP_FULL);
        const char *why = get_arena_str(l, c);
        if (i < CAP_COUNT) { /* a newer peer may know more */
            caps->level[i] = level;
            caps->why[i] = why || level == CAP_FULL ? why : "the peer gives no reason";
        }
    }
    for (size_t i = n; i < CAP_COUNT; i++) {
        caps->level[i] = CAP_NONE;
        caps->why[i] = "the peer is older and does not know it";
    }
    size_t nctls = (size_t)cursor_le(c, 2);
    if (nctls > cursor_left(c)) {
        return false;
    }
    const char **ctls = arena_alloc(l->known->arena, (nctls + 1) * sizeof *ctls);
    for (size_t i = 0; i < nctls && cursor_ok(c); i++) {
        const char *name = get_arena_str(l, c);
        ctls[i] = name ? name : "";
    }
    caps->ctls = nctls ? ctls : NULL;
    caps->isa = l->version >= WIRE_VERSION ? get_arena_str(l, c) : NULL;
    caps_here(caps);
    return wire_done(c) && caps->page_bytes;
}

static int far_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    RemoteLink *l = b->self;
    if (guest < 1 || guest >= GUEST_COUNT) {
        return err_set(err, ERR_INVAL, "no guest %d", (int)guest);
    }
    RemoteKnown *k = l->known;
    pthread_mutex_lock(&l->lock);
    bool has_caps = k->has_open[guest] && !l->is_dead, has_asked = l->has_asked[guest];
    if (has_caps) { /* strings that were given out stay valid: the first answer is kept */
        *caps = k->caps[guest];
    }
    l->has_asked[guest] = true;
    pthread_mutex_unlock(&l->lock);
    if (has_caps && has_asked) {
        return 0;
    }
    Request r = request(WIRE_OPEN, 0);
    buf_le(&r.payload, (uint64_t)guest, 1);
    if (has_caps) {
        return link_put_off(l, &r, &(Late){.expected = &k->open[guest]}, err);
    }
    WireMsg m;
    int rc = link_call(l, &r, &m, NULL, err);
    if (!rc) {
        Cursor c = cursor_of(m.payload, m.n);
        pthread_mutex_lock(&l->lock);
        bool ok = get_caps(l, &c, caps);
        if (ok && !k->has_open[guest]) {
            k->caps[guest] = *caps;
            k->has_open[guest] = true;
            buf_bytes(&k->open[guest], m.payload, m.n);
        }
        pthread_mutex_unlock(&l->lock);
        rc = ok ? 0 : link_bad_reply(l, &m, err);
    }
    wire_msg_free(&m);
    return rc;
}

static uint32_t handle_new(RemoteLink *l)
{
    return atomic_fetch_add(&l->next_handle, 1) + 1;
}

/* ---- VmOps ---- */
static int far_vm_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    RemoteLink *l = b->self;
    Caps caps;
    int rc = far_open(b, cfg->guest, &caps, err); /* known already, as a rule; page_bytes is needed for dirty_get */
    if (rc) {
        return rc;
    }
    BeVm *vm = x_alloc(sizeof *vm);
    *vm = (BeVm){.link = l, .handle = handle_new(l), .page_bytes = caps.page_bytes};
    atomic_init(&vm->is_lazy, cfg->is_lazy);
    const Board *board = cfg->board;
    bool is_there =
        board && board->spec && board->is_elsewhere && l->vm.has_board && caps.level[CAP_board_inside] >= CAP_PARTIAL;
    vm->board = is_there ? board : NULL;
    Request r = request(is_there ? WIRE_VM_WITH_BOARD : WIRE_VM_CREATE, vm->handle);
    const uint8_t small[] = {(uint8_t)cfg->guest, (uint8_t)cfg->env, (uint8_t)cfg->irqchip, (uint8_t)cfg->firmware};
    buf_bytes(&r.payload, small, sizeof small);
    PUT_WORDS(&r.payload, cfg->max_vcpus, cfg->max_ram_bytes);
    wire_put_str(&r.payload, cfg->cpu);
    wire_put_str(&r.payload, cfg->options);
    if (is_there) {
        wire_put_str(&r.payload, board->spec);
    }
    rc = late_call(vm, &r, NULL, err);
    if (rc) {
        mem_free(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

static int far_vm_settle(BeVm *vm, Err *err)
{
    atomic_store(&vm->is_lazy, false);
    return link_settle(vm->link, err);
}

static void far_vm_destroy(BeVm *vm)
{
    Request r = request(WIRE_VM_DESTROY, vm->handle);
    link_post(vm->link, &r, false); /* whatever comes of it is the server's; a dead link has nothing left to destroy */
    mem_free(vm);
}

static int far_vm_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    Request r = request(WIRE_RAM_CREATE, vm->handle);
    RamId ram = atomic_fetch_add(&vm->nrams, 1);
    buf_le(&r.payload, ram, 4);
    buf_le(&r.payload, size, 8);
    int rc = late_call(vm, &r, NULL, err);
    *out = rc ? *out : ram;
    return rc;
}

static int far_vm_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    Request r = request(WIRE_MAP, vm->handle);
    PUT_WORDS(&r.payload, at.addr, size, offset);
    buf_le(&r.payload, ram, 4);
    buf_le(&r.payload, flags, 4);
    return late_call(vm, &r, NULL, err);
}

static int far_vm_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    Request r = request(WIRE_UNMAP, vm->handle);
    PUT_WORDS(&r.payload, at.addr, size);
    return plain_call(vm->link, &r, NULL, err);
}

static int far_vm_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    int rc = 0;
    size_t done = 0;
    do { /* also once for n == 0: the peer judges the address */
        size_t k = n - done < WIRE_READ_MAX ? n - done : WIRE_READ_MAX;
        Request r = request(WIRE_MEM_READ, vm->handle);
        PUT_WORDS(&r.payload, at.addr + done, k);
        rc = bytes_call(vm->link, &r, (uint8_t *)buf + done, k, err);
        done += k;
    } while (!rc && done < n);
    return rc;
}

/* One message however long it is, as it must change all or nothing. */
static int far_vm_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    int rc = bulk_limit("mem_write", n, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_MEM_WRITE, vm->handle);
    buf_le(&r.payload, at.addr, 8);
    wire_put_bulk(&r.payload, buf, n);
    return late_call(vm, &r, NULL, err);
}

static int far_vm_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    uint64_t npages = size / vm->page_bytes + (size % vm->page_bytes != 0);
    uint64_t nbytes = npages / 8 + (npages % 8 != 0);
    if (nbytes > WIRE_READ_MAX) {
        return err_set(err, ERR_LIMIT, "dirty_get of %llu pages: at most %u over a link", (unsigned long long)npages,
                       WIRE_READ_MAX * 8u);
    }
    Request r = request(WIRE_DIRTY_GET, vm->handle);
    PUT_WORDS(&r.payload, at.addr, size);
    buf_le(&r.payload, clear, 1);
    return bytes_call(vm->link, &r, bits, (size_t)nbytes, err);
}

static int far_vm_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    Request r = request(WIRE_IRQ_LINE, vm->handle);
    buf_le(&r.payload, gsi, 4);
    buf_le(&r.payload, level, 1);
    return plain_call(vm->link, &r, NULL, err);
}

static int far_vm_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    Request r = request(WIRE_MSI, vm->handle);
    buf_le(&r.payload, addr, 8);
    buf_le(&r.payload, data, 4);
    return plain_call(vm->link, &r, NULL, err);
}

static int far_vm_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    Request r = request(WIRE_INTERCEPT, vm->handle);
    buf_le(&r.payload, (uint64_t)k, 1);
    PUT_WORDS(&r.payload, lo, hi);
    buf_le(&r.payload, on, 1);
    return late_call(vm, &r, NULL, err);
}

static int far_vm_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    Request r = request(WIRE_CLOCK, vm->handle);
    buf_le(&r.payload, set, 1);
    buf_le(&r.payload, set ? *guest_ns : 0, 8);
    return number_call(vm->link, &r, 8, guest_ns, err);
}

static int far_vm_save(BeVm *vm, Buf *out, Err *err)
{
    Request r = request(WIRE_SAVE, vm->handle);
    return bulk_call(vm->link, &r, out, err);
}

static int far_vm_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    int rc = bulk_limit("restore", n, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_RESTORE, vm->handle);
    wire_put_bulk(&r.payload, bytes, n);
    return plain_call(vm->link, &r, NULL, err);
}

static int far_vm_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    int rc = bulk_limit("ctl", nin, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_CTL, v ? v->handle : vm->handle);
    wire_put_str(&r.payload, name);
    wire_put_bulk(&r.payload, in, nin);
    if (!out && atomic_load(&vm->is_lazy)) {
        return link_put_off(vm->link, &r, &(Late){.is_any = true}, err);
    }
    return bulk_call(vm->link, &r, out, err);
}

static int far_vm_power(BeVm *vm, int what, Err *err)
{
    Request r = request(WIRE_POWER, vm->handle);
    buf_le(&r.payload, (uint64_t)what, 4);
    return plain_call(vm->link, &r, NULL, err);
}

static bool far_vm_has_board(const BeVm *vm)
{
    return vm->board != NULL;
}

static int far_vm_type(BeVm *vm, const void *bytes, size_t n, size_t *ntaken, Err *err)
{
    uint64_t taken = 0;
    int rc = bulk_limit("type", n, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_TYPE, vm->handle);
    wire_put_bulk(&r.payload, bytes, n);
    rc = number_call(vm->link, &r, 4, &taken, err);
    *ntaken = taken < n ? (size_t)taken : n;
    return rc;
}

/* ---- VcpuOps ---- */
static int far_vcpu_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    int slot = link_slot_new(vm->link, err);
    if (slot < 0) {
        return slot;
    }
    uint32_t handle = handle_new(vm->link);
    Request r = request(WIRE_VCPU_CREATE, vm->handle);
    buf_le(&r.payload, handle, 4);
    buf_le(&r.payload, cfg->id, 1);
    buf_le(&r.payload, cfg->is_secondary, 1);
    PUT_WORDS(&r.payload, cfg->hw_id, cfg->arg);
    int rc = late_call(vm, &r, NULL, err);
    if (rc) {
        link_slot_free(vm->link, (unsigned)slot);
        return rc;
    }
    link_slot_set_late(vm->link, (unsigned)slot, handle);
    atomic_fetch_add(&vm->ncreated, 1);
    BeVcpu *v = x_alloc(sizeof *v);
    *v = (BeVcpu){.link = vm->link, .vm = vm, .handle = handle, .slot = (unsigned)slot};
    *out = v;
    return 0;
}

static void far_vcpu_destroy(BeVcpu *v)
{
    Request r = request(WIRE_VCPU_DESTROY, v->handle);
    if (atomic_load(&v->vm->ncreated) == 1) {
        link_post(v->link, &r, true); /* the server does this and a VM_DESTROY that follows one after the other */
    } else {
        Err ignored;
        int rc = plain_call(v->link, &r, NULL, &ignored);
        (void)rc; /* as in far_vm_destroy */
    }
    link_slot_free(v->link, v->slot);
    mem_free(v);
}

static int far_vcpu_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    Request r = request(WIRE_SETUP, v->handle);
    PUT_WORDS(&r.payload, s->entry.addr, s->stage2.addr);
    buf_le(&r.payload, (s->has_stage2 ? 1u : 0) | (s->passthrough_interrupt ? 2u : 0) | (s->passthrough_timer ? 4u : 0),
           1);
    return late_call(v->vm, &r, NULL, err);
}

static int far_vcpu_bind(BeVcpu *v, Err *err)
{
    Request r = request(WIRE_BIND, v->handle);
    return plain_call(v->link, &r, NULL, err);
}

static int far_vcpu_unbind(BeVcpu *v, Err *err)
{
    Request r = request(WIRE_UNBIND, v->handle);
    return plain_call(v->link, &r, NULL, err);
}

/* The rest of an answer to SERVE. The caller hears of all of it or, where it does not parse, of none. */
static bool take_served(const BeVcpu *v, const RunArgs *args, Cursor *c)
{
    size_t n = (size_t)cursor_le(c, 4);
    Cursor exits = *c;
    WireBulk printed = {0};
    VmExit e;
    for (size_t i = 0; i < n && cursor_ok(c); i++) {
        wire_get_exit(c, &e);
    }
    bool ok = cursor_ok(c) && !wire_get_bulk(c, WIRE_BULK_MAX, &printed) && wire_done(c);
    for (size_t i = 0; ok && args->served && i < n; i++) {
        wire_get_exit(&exits, &e);
        args->served(args->served_ctx, &e);
    }
    if (ok && printed.n) {
        v->vm->board->printed(v->vm->board->ctx, printed.bytes, printed.n);
    }
    mem_free(printed.made);
    return ok;
}

static int far_vcpu_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    /* The two ends need not share a clock: what travels is the time that is left. */
    uint64_t now = os_now_ns(), left = UINT64_MAX;
    if (args->deadline_ns != UINT64_MAX) {
        left = args->deadline_ns > now ? args->deadline_ns - now : 0;
    }
    bool is_served = args->serve_board && v->vm->board;
    Request r = request(is_served ? WIRE_SERVE : WIRE_RUN, v->handle);
    PUT_WORDS(&r.payload, args->insns, left);
    buf_le(&r.payload, (args->is_step ? 1u : 0) | (args->irq_window ? 2u : 0), 1);
    buf_le(&r.payload, args->want, 4);
    WireMsg m;
    int rc = link_call(v->link, &r, &m, NULL, err);
    if (!rc) {
        Cursor c = cursor_of(m.payload, m.n);
        VmExit e;
        wire_get_exit(&c, &e);
        if (is_served ? take_served(v, args, &c) : wire_done(&c)) {
            *exit = e;
        } else {
            rc = link_bad_reply(v->link, &m, err);
        }
    }
    wire_msg_free(&m);
    return rc;
}

static int far_vcpu_reply(BeVcpu *v, const Reply *a, Err *err)
{
    Request r = request(WIRE_REPLY, v->handle);
    PUT_WORDS(&r.payload, a->value, a->more[0], a->more[1], a->more[2]);
    buf_le(&r.payload, a->is_fault, 1);
    return plain_call(v->link, &r, NULL, err);
}

static void far_vcpu_kick(BeVcpu *v)
{
    link_kick(v->link, v->slot);
}

static int regs_limit(const RegIo *io, size_t n, Err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n && total <= WIRE_REGS_MAX; i++) {
        total += 8 + REG_SIZE(io[i].id);
    }
    return total > WIRE_REGS_MAX ? err_set(err, ERR_LIMIT, "%zu registers at once are too many for a link", n) : 0;
}

static int far_vcpu_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = regs_limit(io, n, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_GET_REGS, v->handle);
    buf_le(&r.payload, n, 4);
    for (size_t i = 0; i < n; i++) {
        buf_le(&r.payload, io[i].id, 8);
    }
    WireMsg m;
    uint32_t index = UINT32_MAX;
    rc = link_call(v->link, &r, &m, &index, err);
    if (rc && bad && index < n) {
        *bad = index;
    }
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += REG_SIZE(io[i].id);
    }
    if (!rc && m.n != total) {
        rc = link_bad_reply(v->link, &m, err);
    }
    Cursor c = cursor_of(m.payload, m.n);
    for (size_t i = 0; !rc && i < n; i++) {
        memcpy(io[i].bytes, cursor_bytes(&c, REG_SIZE(io[i].id)), REG_SIZE(io[i].id));
    }
    wire_msg_free(&m);
    return rc;
}

static int far_vcpu_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = regs_limit(io, n, err);
    if (rc) {
        return rc;
    }
    Request r = request(WIRE_SET_REGS, v->handle);
    buf_le(&r.payload, n, 4);
    for (size_t i = 0; i < n; i++) {
        buf_le(&r.payload, io[i].id, 8);
        buf_bytes(&r.payload, io[i].bytes, REG_SIZE(io[i].id));
    }
    uint32_t index = UINT32_MAX;
    rc = late_call(v->vm, &r, &index, err);
    if (rc && bad && index < n) {
        *bad = index;
    }
    return rc;
}

static int far_vcpu_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    Request r = request(WIRE_REG_LIST, v->handle);
    WireMsg m;
    int rc = link_call(v->link, &r, &m, NULL, err);
    if (!rc) {
        Cursor c = cursor_of(m.payload, m.n);
        size_t count = (size_t)wire_get_max(&c, 4, WIRE_LIST_MAX);
        if (!cursor_ok(&c) || cursor_left(&c) != count * 8) {
            rc = link_bad_reply(v->link, &m, err);
        } else if (ids && *n < count) {
            rc = err_set(err, ERR_LIMIT, "room for %zu register ids, there are %zu", *n, count);
        } else {
            for (size_t i = 0; ids && i < count; i++) {
                ids[i] = cursor_le(&c, 8);
            }
            *n = count;
        }
    }
    wire_msg_free(&m);
    return rc;
}

static int far_vcpu_inject(BeVcpu *v, const Event *e, Err *err)
{
    Request r = request(WIRE_INJECT, v->handle);
    buf_le(&r.payload, (uint64_t)e->kind, 1);
    buf_le(&r.payload, (e->level ? 1u : 0) | (e->has_code ? 2u : 0), 1);
    buf_le(&r.payload, e->number, 4);
    buf_le(&r.payload, e->code, 8);
    return plain_call(v->link, &r, NULL, err);
}

static int far_vcpu_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    if (n > WIRE_LIST_MAX) {
        return err_set(err, ERR_LIMIT, "%zu break points: at most %d over a link", n, WIRE_LIST_MAX);
    }
    Request r = request(WIRE_BREAKS, v->handle);
    buf_le(&r.payload, n, 4);
    for (size_t i = 0; i < n; i++) {
        buf_le(&r.payload, (uint64_t)list[i].kind, 1);
        PUT_WORDS(&r.payload, list[i].gva, list[i].len);
    }
    return plain_call(v->link, &r, NULL, err);
}

/* ---- connecting ---- */
static const VmOps vm_ops = {
    .size_bytes = sizeof(VmOps),
    .create = far_vm_create,
    .destroy = far_vm_destroy,
    .ram_create = far_vm_ram_create,
    .map = far_vm_map,
    .unmap = far_vm_unmap,
    .mem_read = far_vm_mem_read,
    .mem_write = far_vm_mem_write,
    .dirty_get = far_vm_dirty_get,
    .irq_line = far_vm_irq_line,
    .msi = far_vm_msi,
    .intercept = far_vm_intercept,
    .clock = far_vm_clock,
    .save = far_vm_save,
    .restore = far_vm_restore,
    .ctl = far_vm_ctl,
    .power = far_vm_power,
    .settle = far_vm_settle,
    .has_board = far_vm_has_board,
    .type = far_vm_type,
};
static const VcpuOps vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = far_vcpu_create,
    .destroy = far_vcpu_destroy,
    .setup = far_vcpu_setup,
    .bind = far_vcpu_bind,
    .unbind = far_vcpu_unbind,
    .run = far_vcpu_run,
    .reply = far_vcpu_reply,
    .kick = far_vcpu_kick,
    .get_regs = far_vcpu_get_regs,
    .set_regs = far_vcpu_set_regs,
    .reg_list = far_vcpu_reg_list,
    .inject = far_vcpu_inject,
    .breaks = far_vcpu_breaks,
};

/* An operation that the peer's backend lacks is NULL here as it is there. */
static void fill_tables(RemoteLink *l, uint64_t has)
{
    l->vm = vm_ops;
    l->vcpu = vcpu_ops;
#define KEEP(table, field, TYPE)                                                                                       \
    if (!(has >> WIRE_##TYPE & 1)) {                                                                                   \
        l->table.field = NULL;                                                                                         \
    }
    KEEP(vm, ram_create, RAM_CREATE)
    KEEP(vm, map, MAP)
    KEEP(vm, unmap, UNMAP)
    KEEP(vm, mem_read, MEM_READ)
    KEEP(vm, mem_write, MEM_WRITE)
    KEEP(vm, dirty_get, DIRTY_GET)
    KEEP(vm, irq_line, IRQ_LINE)
    KEEP(vm, msi, MSI)
    KEEP(vm, intercept, INTERCEPT)
    KEEP(vm, clock, CLOCK)
    KEEP(vm, save, SAVE)
    KEEP(vm, restore, RESTORE)
    KEEP(vm, ctl, CTL)
    KEEP(vm, power, POWER)
    KEEP(vm, has_board, VM_WITH_BOARD)
    KEEP(vm, type, TYPE)
    KEEP(vcpu, bind, BIND)
    KEEP(vcpu, unbind, UNBIND)
    KEEP(vcpu, breaks, BREAKS)
#undef KEEP
    l->backend.vm = &l->vm;
    l->backend.vcpu = has >> WIRE_VCPU_CREATE & 1 ? &l->vcpu : NULL;
}

static int take_hello(RemoteLink *l, const WireMsg *m, Err *err)
{
    Cursor c = cursor_of(m->payload, m->n);
    if (!l->known->arena) {
        l->known->arena = arena_new();
    }
    uint32_t magic = (uint32_t)cursor_le(&c, 4);
    unsigned version = (unsigned)cursor_le(&c, 2);
    uint32_t max_frame = (uint32_t)cursor_le(&c, 4);
    bool is_double = wire_get_bool(&c);
    uint64_t has = cursor_le(&c, 8);
    char *name = wire_get_str(&c, WIRE_TEXT_MAX);
    if (name && !l->known->shown) {
        l->known->shown = arena_strdup(l->known->arena, name);
    }
    mem_free(name);
    l->backend.name = l->known->shown;
    if (!wire_done(&c) || magic != WIRE_MAGIC || !l->backend.name || max_frame < WIRE_FRAME_MIN) {
        return link_bad_reply(l, m, err);
    }
    if (version < WIRE_OLDEST || version > WIRE_VERSION) {
        return err_set(err, ERR_VERSION, "the peer speaks version %u of the protocol, this side %d to %d", version,
                       WIRE_OLDEST, WIRE_VERSION);
    }
    l->version = version;
    l->backend.abi = ACCEL_ABI_VERSION;
    l->backend.size_bytes = sizeof l->backend;
    l->backend.is_double = is_double;
    l->backend.self = l;
    l->backend.open = far_open;
    l->max_frame = max_frame < WIRE_FRAME_MAX ? max_frame : WIRE_FRAME_MAX;
    fill_tables(l, has);
    return 0;
}

static Request hello(const char *name)
{
    Request r = request(WIRE_HELLO, 0);
    buf_le(&r.payload, WIRE_MAGIC, 4);
    buf_le(&r.payload, WIRE_OLDEST, 2);
    buf_le(&r.payload, WIRE_VERSION, 2);
    buf_le(&r.payload, WIRE_FRAME_MAX, 4);
    wire_put_str(&r.payload, name);
    return r;
}

/* Frees the link when it fails. */
static int say_hello(RemoteLink *l, const char *name, uint64_t timeout_ns, Err *err)
{
    uint64_t limit = atomic_exchange(&l->limit_ns, timeout_ns);
    Request r = hello(name);
    WireMsg m;
    int rc = link_call(l, &r, &m, NULL, err);
    rc = rc ? rc : take_hello(l, &m, err);
    if (!rc && l->known != &l->own) {
        buf_bytes(&l->known->hello, m.payload, m.n);
    }
    wire_msg_free(&m);
    if (rc) {
        link_free(l);
        return rc;
    }
    atomic_store(&l->limit_ns, limit);
    return 0;
}

int remote_connect(int fd_in, int fd_out, const char *name, uint64_t timeout_ns, RemoteLink **out, Err *err)
{
    RemoteLink *l = link_new(fd_in, fd_out, err);
    if (!l) {
        return -ERR_IO;
    }
    int rc = say_hello(l, name, timeout_ns, err);
    *out = rc ? *out : l;
    return rc;
}

int remote_connect_known(int fd, RemoteKnown *known, uint64_t timeout_ns, RemoteLink **out, Err *err)
{
    RemoteLink *l = link_new_socket(fd);
    l->known = known;
    if (!known->hello.n) {
        int rc = say_hello(l, known->name, timeout_ns, err);
        *out = rc ? *out : l;
        return rc;
    }
    WireMsg m = {.payload = (uint8_t *)known->hello.data, .n = known->hello.n};
    Request r = hello(known->name);
    int rc = link_put_off(l, &r, &(Late){.expected = &known->hello}, err);
    rc = rc ? rc : take_hello(l, &m, err);
    if (rc) {
        link_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

void remote_known_free(RemoteKnown *k)
{
    for (int g = 0; g < GUEST_COUNT; g++) {
        buf_free(&k->open[g]);
    }
    buf_free(&k->hello);
    mem_free(k->name);
    arena_free(k->arena);
    *k = (RemoteKnown){0};
}

const Backend *remote_backend(const RemoteLink *link)
{
    return &link->backend;
}

void remote_limits(RemoteLink *link, uint64_t limit_ns, uint64_t run_limit_ns)
{
    atomic_store(&link->limit_ns, limit_ns);
    atomic_store(&link->run_limit_ns, run_limit_ns);
}

void remote_abort(RemoteLink *link)
{
    Err e = {0};
    err_set(&e, ERR_IO, "the link was aborted");
    link_fail(link, &e);
}

bool remote_is_over(RemoteLink *link)
{
    struct pollfd p = {.fd = link->in.fd, .events = POLLIN};
    pthread_mutex_lock(&link->lock);
    bool is_dead = link->is_dead;
    pthread_mutex_unlock(&link->lock);
    return is_dead || poll(&p, 1, 0) > 0; /* nobody is asked: what can be read is the end, or what must not come */
}

bool remote_has_timed_out(RemoteLink *link)
{
    pthread_mutex_lock(&link->lock);
    bool has_timed_out = link->is_dead && link->dead.code == ERR_TIMEOUT;
    pthread_mutex_unlock(&link->lock);
    return has_timed_out;
}

void remote_close(RemoteLink *link)
{
    if (link) {
        link_free(link);
    }
}
