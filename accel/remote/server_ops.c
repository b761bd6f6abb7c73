/* SPDX-License-Identifier: Apache-2.0
 * What each message asks for: unpack, check, call the backend, pack. Every payload is read to its
 * end before anything is done with it. Values are checked against their enums here, so that a
 * backend may rely on accel.h whoever the peer is. */
#include "accel/board.h"
#include "accel/remote/server.h"

#include "sim/base/os.h"

#include <string.h>

static int torn(Ctx *x)
{
    x->is_torn = true;
    return -ERR_PROTO;
}

static int lacks(const Ctx *x, const char *op, Err *err)
{
    return err_unsupported(err, x->s->backend->name, op, "the backend does not have this operation");
}

/* wire_get_bulk for a request, of which it is the last field. */
static int get_bulk(Ctx *x, WireBulk *bulk, Err *err)
{
    int rc = wire_get_bulk(&x->in, WIRE_BULK_MAX, bulk);
    if (rc == -ERR_NOMEM) {
        return err_set(err, ERR_NOMEM, "no memory for the bytes of the request");
    }
    if (rc || !wire_done(&x->in)) {
        mem_free(bulk->made);
        return torn(x);
    }
    return 0;
}

/* ---- the connection ---- */
/* Bit t: the request of type t can be served. */
static uint64_t ops_of(const Backend *b)
{
    uint64_t has = 0;
#define HAS(table, field, TYPE) has |= (uint64_t)(b->table->field != NULL) << WIRE_##TYPE;
    HAS(vm, create, VM_CREATE)
    HAS(vm, destroy, VM_DESTROY)
    HAS(vm, ram_create, RAM_CREATE)
    HAS(vm, map, MAP)
    HAS(vm, unmap, UNMAP)
    HAS(vm, mem_read, MEM_READ)
    HAS(vm, mem_write, MEM_WRITE)
    HAS(vm, dirty_get, DIRTY_GET)
    HAS(vm, irq_line, IRQ_LINE)
    HAS(vm, msi, MSI)
    HAS(vm, intercept, INTERCEPT)
    HAS(vm, clock, CLOCK)
    HAS(vm, save, SAVE)
    HAS(vm, restore, RESTORE)
    HAS(vm, ctl, CTL)
    HAS(vm, power, POWER)
    if (b->vcpu) {
        HAS(vcpu, create, VCPU_CREATE)
        HAS(vcpu, destroy, VCPU_DESTROY)
        HAS(vcpu, setup, SETUP)
        HAS(vcpu, bind, BIND)
        HAS(vcpu, unbind, UNBIND)
        HAS(vcpu, run, RUN)
        HAS(vcpu, reply, REPLY)
        HAS(vcpu, kick, KICK)
        HAS(vcpu, get_regs, GET_REGS)
        HAS(vcpu, set_regs, SET_REGS)
        HAS(vcpu, reg_list, REG_LIST)
        HAS(vcpu, inject, INJECT)
        HAS(vcpu, breaks, BREAKS)
        has |= 1ull << WIRE_VM_WITH_BOARD | 1ull << WIRE_SERVE | 1ull << WIRE_TYPE;
    }
#undef HAS
    return has;
}

static void put_name(const Server *s, Buf *out)
{
    Buf name = {0};
    buf_str(&name, s->backend->name);
    if (s->args.place) {
        buf_printf(&name, "@%s", s->args.place);
    }
    wire_put_str(out, buf_text(&name));
    buf_free(&name);
}

static int do_hello(Ctx *x, Err *err)
{
    Server *s = x->s;
    uint32_t magic = (uint32_t)cursor_le(&x->in, 4);
    unsigned oldest = (unsigned)cursor_le(&x->in, 2), newest = (unsigned)cursor_le(&x->in, 2);
    uint32_t max_frame = (uint32_t)cursor_le(&x->in, 4);
    char *name = wire_get_str(&x->in, WIRE_NAME_MAX);
    int rc = 0;
    if (magic != WIRE_MAGIC || max_frame < WIRE_FRAME_MIN || !name || !cursor_ok(&x->in)) {
        rc = torn(x);
    } else if (s->backend) {
        rc = err_set(err, ERR_STATE, "hello was said before");
    } else if (oldest > WIRE_VERSION || newest < WIRE_OLDEST || oldest > newest) {
        rc = err_set(err, ERR_VERSION, "this side speaks versions %d to %d of the protocol, the peer %u to %u",
                     WIRE_OLDEST, WIRE_VERSION, oldest, newest);
    } else if ((s->backend = s->args.find(s->args.find_ctx, name, err)) == NULL) {
        rc = err->code ? -err->code : err_set(err, ERR_NOENT, "no backend \"%s\" here", name);
    } else {
        s->max_frame = max_frame < WIRE_FRAME_MAX ? max_frame : WIRE_FRAME_MAX;
        s->version = newest < WIRE_VERSION ? newest : WIRE_VERSION;
        buf_le(&x->out, WIRE_MAGIC, 4);
        buf_le(&x->out, s->version, 2);
        buf_le(&x->out, WIRE_FRAME_MAX, 4);
        buf_le(&x->out, s->backend->is_double, 1);
        buf_le(&x->out, ops_of(s->backend), 8);
        put_name(s, &x->out);
    }
    mem_free(name);
    return rc;
}

static int do_open(Ctx *x, Err *err)
{
    Server *s = x->s;
    GuestId guest = (GuestId)cursor_le(&x->in, 1);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (guest < 1 || guest >= GUEST_COUNT) {
        return err_set(err, ERR_INVAL, "no guest %d", (int)guest);
    }
    Caps caps = {0};
    int rc = s->backend->open(s->backend, guest, &caps, err);
    if (rc) {
        return rc;
    }
    bool has_board =
        s->backend->vcpu && (machine_board_exists(guest, ENV_VIRT) || machine_board_exists(guest, ENV_MACHINE));
    caps.level[CAP_board_inside] = has_board ? CAP_FULL : CAP_NONE;
    caps.why[CAP_board_inside] = has_board ? NULL : "there is no board for this guest";
    s->page_bytes[guest] = caps.page_bytes ? caps.page_bytes : 4096;
    const uint32_t numbers[] = {s->page_bytes[guest], caps.max_vcpus, caps.max_regions, caps.vec_bytes};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        buf_le(&x->out, numbers[i], 4);
    }
    buf_le(&x->out, CAP_COUNT, 2);
    for (int i = 0; i < CAP_COUNT; i++) {
        buf_le(&x->out, (uint64_t)caps.level[i], 1);
        wire_put_str(&x->out, caps.why[i]);
    }
    size_t nctls = 0;
    while (caps.ctls && caps.ctls[nctls]) {
        nctls++;
    }
    buf_le(&x->out, nctls, 2);
    for (size_t i = 0; i < nctls; i++) {
        wire_put_str(&x->out, caps.ctls[i]);
    }
    if (s->version >= WIRE_VERSION) {
        wire_put_str(&x->out, caps.isa);
    }
    return 0;
}

/* ---- VmOps ---- */
static int vm_slot_new(Ctx *x, const VmConfig *cfg, const char *board, Err *err)
{
    Server *s = x->s;
    if (cfg->guest < 1 || cfg->guest >= GUEST_COUNT || !s->page_bytes[cfg->guest]) {
        return err_set(err, ERR_STATE, "the backend was not opened for guest %d", (int)cfg->guest);
    }
    pthread_mutex_lock(&s->lock); /* only the reader makes objects, and that is this thread */
    bool is_taken = server_has(s, x->object);
    pthread_mutex_unlock(&s->lock);
    if (is_taken) {
        return err_set(err, ERR_EXIST, "VM_CREATE: %u is no new object", x->object);
    }
    if (s->nvms >= WIRE_VMS_MAX) {
        return err_set(err, ERR_LIMIT, "no more than %d VMs over one link", WIRE_VMS_MAX);
    }
    BeVm *be = NULL;
    int rc = board ? house_open(s->backend, cfg, board, &be, err) : s->backend->vm->create(s->backend, cfg, &be, err);
    if (rc) {
        return rc;
    }
    VmSlot *vm = x_alloc(sizeof *vm);
    pthread_mutex_init(&vm->lock, NULL);
    vm->guest = cfg->guest;
    vm->ops = board ? &house_vm_ops : s->backend->vm;
    vm->vcpu_ops = board ? &house_vcpu_ops : s->backend->vcpu;
    vm->be = be;
    pthread_mutex_lock(&s->lock);
    vm->handle = x->object;
    vm->next = s->vms;
    s->vms = vm;
    s->nvms++;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static int vm_create(Ctx *x, bool has_board, Err *err)
{
    VmConfig cfg = {.guest = (GuestId)cursor_le(&x->in, 1)};
    cfg.env = (Env)wire_get_max(&x->in, 1, ENV_MACHINE);
    cfg.irqchip = (Irqchip)wire_get_max(&x->in, 1, IRQCHIP_KERNEL);
    cfg.firmware = (Firmware)wire_get_max(&x->in, 1, FW_KERNEL);
    cfg.max_vcpus = cursor_le(&x->in, 8);
    cfg.max_ram_bytes = cursor_le(&x->in, 8);
    char *cpu = wire_get_str(&x->in, WIRE_TEXT_MAX);
    char *options = wire_get_str(&x->in, WIRE_TEXT_MAX);
    char *board = has_board ? wire_get_str(&x->in, WIRE_TEXT_MAX) : NULL;
    cfg.cpu = cpu;
    cfg.options = options;
    int rc = wire_done(&x->in) && (board || !has_board) ? vm_slot_new(x, &cfg, board, err) : torn(x);
    mem_free(cpu);
    mem_free(options);
    mem_free(board);
    return rc;
}

static int do_vm_create(Ctx *x, Err *err)
{
    return vm_create(x, false, err);
}

static int do_vm_with_board(Ctx *x, Err *err)
{
    return vm_create(x, true, err);
}

/* On the reader; no other thread has this VM, as it has no vcpu. */
static int do_vm_destroy(Ctx *x, Err *err)
{
    Server *s = x->s;
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    pthread_mutex_lock(&s->lock);
    unsigned nvcpus = x->vm->nvcpus;
    VmSlot **at = &s->vms;
    while (*at != x->vm) {
        at = &(*at)->next;
    }
    if (!nvcpus) {
        *at = x->vm->next;
        s->nvms--;
    }
    pthread_mutex_unlock(&s->lock);
    if (nvcpus) {
        return err_set(err, ERR_BUSY, "the VM still has %u vcpus", nvcpus);
    }
    x->vm->ops->destroy(x->vm->be);
    pthread_mutex_unlock(&x->vm->lock); /* taken by server_do */
    pthread_mutex_destroy(&x->vm->lock);
    VEC_FREE(&x->vm->rams);
    mem_free(x->vm);
    x->vm = NULL;
    return 0;
}

static const RamSlot *ram_of(const VmSlot *vm, uint32_t handle)
{
    size_t i = 0;
    while (i < vm->rams.n && vm->rams.items[i].handle != handle) {
        i++;
    }
    return i < vm->rams.n ? &vm->rams.items[i] : NULL;
}

static int do_ram_create(Ctx *x, Err *err)
{
    RamSlot ram = {.handle = (uint32_t)cursor_le(&x->in, 4)};
    uint64_t size = cursor_le(&x->in, 8);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (ram_of(x->vm, ram.handle)) {
        return err_set(err, ERR_EXIST, "RAM_CREATE: the VM has a ram %u", ram.handle);
    }
    if (x->vm->rams.n >= WIRE_RAMS_MAX) {
        return err_set(err, ERR_LIMIT, "no more than %d rams of a VM over a link", WIRE_RAMS_MAX);
    }
    const VmOps *ops = x->vm->ops;
    int rc = ops->ram_create ? ops->ram_create(x->vm->be, size, &ram.id, err) : lacks(x, "ram_create", err);
    if (!rc) {
        VEC_PUSH(&x->vm->rams, ram);
    }
    return rc;
}

static int do_map(Ctx *x, Err *err)
{
    Gpa at = {cursor_le(&x->in, 8)};
    uint64_t size = cursor_le(&x->in, 8), offset = cursor_le(&x->in, 8);
    uint32_t handle = (uint32_t)cursor_le(&x->in, 4);
    uint32_t flags = (uint32_t)wire_get_max(&x->in, 4, MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const RamSlot *ram = ram_of(x->vm, handle);
    if (!ram) {
        return err_set(err, ERR_NOENT, "MAP: the VM has no ram %u", handle);
    }
    const VmOps *ops = x->vm->ops;
    return ops->map ? ops->map(x->vm->be, at, size, ram->id, offset, flags, err) : lacks(x, "map", err);
}

static int do_unmap(Ctx *x, Err *err)
{
    Gpa at = {cursor_le(&x->in, 8)};
    uint64_t size = cursor_le(&x->in, 8);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    return ops->unmap ? ops->unmap(x->vm->be, at, size, err) : lacks(x, "unmap", err);
}

static int do_mem_read(Ctx *x, Err *err)
{
    Gpa at = {cursor_le(&x->in, 8)};
    size_t n = (size_t)wire_get_max(&x->in, 8, WIRE_READ_MAX);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    if (!ops->mem_read) {
        return lacks(x, "mem_read", err);
    }
    uint8_t *bytes = mem_try(1, n);
    if (!bytes) {
        return err_set(err, ERR_NOMEM, "no memory to read %zu bytes", n);
    }
    int rc = ops->mem_read(x->vm->be, at, bytes, n, err);
    if (!rc) {
        wire_put_bulk(&x->out, bytes, n);
    }
    mem_free(bytes);
    return rc;
}

static int do_mem_write(Ctx *x, Err *err)
{
    Gpa at = {cursor_le(&x->in, 8)};
    WireBulk b;
    int rc = get_bulk(x, &b, err);
    if (rc) {
        return rc;
    }
    const VmOps *ops = x->vm->ops;
    rc = ops->mem_write ? ops->mem_write(x->vm->be, at, b.bytes, b.n, err) : lacks(x, "mem_write", err);
    mem_free(b.made);
    return rc;
}

static int do_dirty_get(Ctx *x, Err *err)
{
    Gpa at = {cursor_le(&x->in, 8)};
    uint64_t size = cursor_le(&x->in, 8);
    bool clear = wire_get_bool(&x->in);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    uint32_t page = x->s->page_bytes[x->vm->guest];
    uint64_t npages = size / page + (size % page != 0);
    uint64_t n = npages / 8 + (npages % 8 != 0);
    if (!ops->dirty_get) {
        return lacks(x, "dirty_get", err);
    }
    uint8_t *bits = n <= WIRE_READ_MAX ? mem_try(1, (size_t)n) : NULL;
    if (!bits) {
        return err_set(err, ERR_LIMIT, "dirty bits of %llu pages are too many", (unsigned long long)npages);
    }
    int rc = ops->dirty_get(x->vm->be, at, size, bits, clear, err);
    if (!rc) {
        wire_put_bulk(&x->out, bits, (size_t)n);
    }
    mem_free(bits);
    return rc;
}

static int do_irq_line(Ctx *x, Err *err)
{
    uint32_t gsi = (uint32_t)cursor_le(&x->in, 4);
    bool level = wire_get_bool(&x->in);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    return ops->irq_line ? ops->irq_line(x->vm->be, gsi, level, err) : lacks(x, "irq_line", err);
}

static int do_msi(Ctx *x, Err *err)
{
    uint64_t addr = cursor_le(&x->in, 8);
    uint32_t data = (uint32_t)cursor_le(&x->in, 4);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    return ops->msi ? ops->msi(x->vm->be, addr, data, err) : lacks(x, "msi", err);
}

static int do_intercept(Ctx *x, Err *err)
{
    InterceptKind kind = (InterceptKind)wire_get_max(&x->in, 1, IC_RDTSC);
    uint64_t lo = cursor_le(&x->in, 8), hi = cursor_le(&x->in, 8);
    bool on = wire_get_bool(&x->in);
    if (!wire_done(&x->in) || kind < IC_SYSREG) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    return ops->intercept ? ops->intercept(x->vm->be, kind, lo, hi, on, err) : lacks(x, "intercept", err);
}

static int do_clock(Ctx *x, Err *err)
{
    bool set = wire_get_bool(&x->in);
    uint64_t guest_ns = cursor_le(&x->in, 8);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    int rc = ops->clock ? ops->clock(x->vm->be, set, &guest_ns, err) : lacks(x, "clock", err);
    if (!rc) {
        buf_le(&x->out, guest_ns, 8);
    }
    return rc;
}

static int do_save(Ctx *x, Err *err)
{
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    Buf blob = {0};
    int rc = ops->save ? ops->save(x->vm->be, &blob, err) : lacks(x, "save", err);
    if (!rc && blob.n > WIRE_BULK_MAX) {
        rc = err_set(err, ERR_LIMIT, "saved state of %zu bytes is too long for a link", blob.n);
    }
    if (!rc) {
        wire_put_bulk(&x->out, blob.data, blob.n);
    }
    buf_free(&blob);
    return rc;
}

static int do_restore(Ctx *x, Err *err)
{
    WireBulk b;
    int rc = get_bulk(x, &b, err);
    if (rc) {
        return rc;
    }
    const VmOps *ops = x->vm->ops;
    rc = ops->restore ? ops->restore(x->vm->be, b.bytes, b.n, err) : lacks(x, "restore", err);
    mem_free(b.made);
    return rc;
}

static int do_ctl(Ctx *x, Err *err)
{
    char *name = wire_get_str(&x->in, WIRE_NAME_MAX);
    WireBulk b = {0};
    int rc = get_bulk(x, &b, err);
    if (!rc && !name) {
        rc = torn(x);
        mem_free(b.made);
    }
    if (rc) {
        mem_free(name);
        return rc;
    }
    const VmOps *ops = x->vm->ops;
    Buf answer = {0};
    rc =
        ops->ctl ? ops->ctl(x->vm->be, x->v ? x->v->be : NULL, name, b.bytes, b.n, &answer, err) : lacks(x, "ctl", err);
    if (!rc && answer.n > WIRE_BULK_MAX) {
        rc = err_set(err, ERR_LIMIT, "%s: an answer of %zu bytes is too long for a link", name, answer.n);
    }
    if (!rc) {
        wire_put_bulk(&x->out, answer.data, answer.n);
    }
    buf_free(&answer);
    mem_free(b.made);
    mem_free(name);
    return rc;
}

static int do_type(Ctx *x, Err *err)
{
    WireBulk b;
    size_t ntaken = 0;
    int rc = get_bulk(x, &b, err);
    if (rc) {
        return rc;
    }
    const VmOps *ops = x->vm->ops;
    rc = ops->type ? ops->type(x->vm->be, b.bytes, b.n, &ntaken, err)
                   : err_set(err, ERR_STATE, "the VM was made without a board");
    if (!rc) {
        buf_le(&x->out, ntaken, 4);
    }
    mem_free(b.made);
    return rc;
}

static int do_power(Ctx *x, Err *err)
{
    int what = (int)(uint32_t)cursor_le(&x->in, 4);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VmOps *ops = x->vm->ops;
    return ops->power ? ops->power(x->vm->be, what, err) : lacks(x, "power", err);
}

/* ---- VcpuOps, on the owner's thread ---- */
static int do_vcpu_create(Ctx *x, Err *err)
{
    cursor_le(&x->in, 4); /* the handle: seen to by who made the slot */
    VcpuConfig cfg = {.id = (uint8_t)cursor_le(&x->in, 1)};
    cfg.is_secondary = wire_get_bool(&x->in);
    cfg.hw_id = cursor_le(&x->in, 8);
    cfg.arg = cursor_le(&x->in, 8);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (!x->vm->vcpu_ops) {
        return lacks(x, "vcpu", err);
    }
    BeVcpu *be = NULL;
    int rc = x->vm->vcpu_ops->create(x->vm->be, &cfg, &be, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&x->s->lock);
    x->v->be = be;
    pthread_mutex_unlock(&x->s->lock);
    return 0;
}

void server_vcpu_drop(Server *s, VcpuSlot *v)
{
    pthread_mutex_lock(&s->lock);
    BeVcpu *be = v->be;
    v->be = NULL; /* from here no kick reaches it */
    pthread_mutex_unlock(&s->lock);
    v->vm->vcpu_ops->destroy(be);
}

static int do_vcpu_destroy(Ctx *x, Err *err)
{
    (void)err;
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    server_vcpu_drop(x->s, x->v);
    return 0;
}

static int do_setup(Ctx *x, Err *err)
{
    VcpuSetup setup = {.entry = {cursor_le(&x->in, 8)}};
    setup.stage2.addr = cursor_le(&x->in, 8);
    unsigned flags = (unsigned)wire_get_max(&x->in, 1, 7);
    setup.has_stage2 = flags & 1;
    setup.passthrough_interrupt = flags & 2;
    setup.passthrough_timer = flags & 4;
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    int rc = x->vm->vcpu_ops->setup(x->v->be, &setup, err);
    if (!rc) {
        x->v->is_setup = true;
        x->v->due = REPLY_none; /* a reset abandons the access */
    }
    return rc;
}

static int do_bind(Ctx *x, Err *err)
{
    const VcpuOps *ops = x->vm->vcpu_ops;
    return !wire_done(&x->in) ? torn(x) : ops->bind ? ops->bind(x->v->be, err) : lacks(x, "bind", err);
}

static int do_unbind(Ctx *x, Err *err)
{
    const VcpuOps *ops = x->vm->vcpu_ops;
    return !wire_done(&x->in) ? torn(x) : ops->unbind ? ops->unbind(x->v->be, err) : lacks(x, "unbind", err);
}

static int run(Ctx *x, bool serves_board, VmExit *e, Err *err)
{
    RunArgs args = {.insns = cursor_le(&x->in, 8), .serve_board = serves_board};
    uint64_t left = cursor_le(&x->in, 8), now = os_now_ns();
    unsigned flags = (unsigned)wire_get_max(&x->in, 1, 3);
    args.want = (uint32_t)cursor_le(&x->in, 4);
    args.deadline_ns = left > UINT64_MAX - now ? UINT64_MAX : now + left;
    args.is_step = flags & 1;
    args.irq_window = flags & 2;
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (serves_board && !x->vm->ops->has_board) {
        return err_set(err, ERR_STATE, "the VM was made without a board");
    }
    if (!x->v->is_setup) {
        return err_set(err, ERR_STATE, "run before setup");
    }
    if (x->v->due != REPLY_none) {
        return err_set(err, ERR_BUSY, "run while a reply is due");
    }
    int rc = x->vm->vcpu_ops->run(x->v->be, &args, e, err);
    if (!rc) {
        x->v->due = e->reply;
        wire_put_exit(&x->out, e);
    }
    return rc;
}

static int do_run(Ctx *x, Err *err)
{
    VmExit e = {0};
    return run(x, false, &e, err);
}

static int do_serve(Ctx *x, Err *err)
{
    VmExit e = {0};
    int rc = run(x, true, &e, err);
    if (!rc) {
        house_served(x->v->be, &x->out);
    }
    return rc;
}

static int do_reply(Ctx *x, Err *err)
{
    Reply r = {.value = cursor_le(&x->in, 8)};
    for (size_t i = 0; i < ARRAY_LEN(r.more); i++) {
        r.more[i] = cursor_le(&x->in, 8);
    }
    r.is_fault = wire_get_bool(&x->in);
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (x->v->due == REPLY_none) {
        return err_set(err, ERR_STATE, "no reply is due");
    }
    int rc = x->vm->vcpu_ops->reply(x->v->be, &r, err);
    x->v->due = rc ? x->v->due : REPLY_none;
    return rc;
}

/* The list of a GET_REGS or SET_REGS; every register's bytes lie in *bytes, mem_free both. */
typedef struct {
    RegIo *io;
    uint8_t *bytes;
    size_t n, total;
} RegBatch;

static int batch_get(Ctx *x, bool has_values, RegBatch *b, Err *err)
{
    Cursor first = x->in;
    *b = (RegBatch){.n = (size_t)cursor_le(&x->in, 4)};
    first = x->in;
    if (b->n > cursor_left(&x->in) / 8) {
        return torn(x);
    }
    for (size_t i = 0; i < b->n && cursor_ok(&x->in); i++) {
        size_t size = REG_SIZE(cursor_le(&x->in, 8));
        b->total += size;
        if (has_values) {
            cursor_bytes(&x->in, size);
        }
    }
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    if (b->total > WIRE_REGS_MAX) {
        return err_set(err, ERR_LIMIT, "%zu bytes of registers at once are too many", b->total);
    }
    b->io = mem_try(b->n, sizeof *b->io);
    b->bytes = mem_try(1, b->total);
    if (!b->io || !b->bytes) {
        return err_set(err, ERR_NOMEM, "no memory for %zu registers", b->n);
    }
    uint8_t *at = b->bytes;
    for (size_t i = 0; i < b->n; i++) {
        RegId id = cursor_le(&first, 8);
        b->io[i] = (RegIo){.id = id, .bytes = at};
        if (has_values) {
            memcpy(at, cursor_bytes(&first, REG_SIZE(id)), REG_SIZE(id));
        }
        at += REG_SIZE(id);
    }
    return 0;
}

static void batch_end(Ctx *x, RegBatch *b, int rc, size_t bad)
{
    if (rc && bad < b->n) {
        x->bad = (uint32_t)bad;
    }
    mem_free(b->io);
    mem_free(b->bytes);
}

static int do_get_regs(Ctx *x, Err *err)
{
    RegBatch b;
    size_t bad = SIZE_MAX;
    int rc = batch_get(x, false, &b, err);
    rc = rc ? rc : x->vm->vcpu_ops->get_regs(x->v->be, b.io, b.n, &bad, err);
    if (!rc) {
        buf_bytes(&x->out, b.bytes, b.total);
    }
    batch_end(x, &b, rc, bad);
    return rc;
}

static int do_set_regs(Ctx *x, Err *err)
{
    RegBatch b;
    size_t bad = SIZE_MAX;
    int rc = batch_get(x, true, &b, err);
    rc = rc ? rc : x->vm->vcpu_ops->set_regs(x->v->be, b.io, b.n, &bad, err);
    batch_end(x, &b, rc, bad);
    return rc;
}

static int do_reg_list(Ctx *x, Err *err)
{
    if (!wire_done(&x->in)) {
        return torn(x);
    }
    const VcpuOps *ops = x->vm->vcpu_ops;
    size_t n = 0;
    int rc = ops->reg_list(x->v->be, NULL, &n, err);
    if (rc) {
        return rc;
    }
    if (n > WIRE_LIST_MAX) {
        return err_set(err, ERR_LIMIT, "a list of %zu registers is too long for a link", n);
    }
    RegId *ids = x_calloc(n, sizeof *ids);
    rc = ops->reg_list(x->v->be, ids, &n, err);
    if (!rc) {
        buf_le(&x->out, n, 4);
        for (size_t i = 0; i < n; i++) {
            buf_le(&x->out, ids[i], 8);
        }
    }
    mem_free(ids);
    return rc;
}

static int do_inject(Ctx *x, Err *err)
{
    Event e = {.kind = (EventKind)wire_get_max(&x->in, 1, EV_SHUTDOWN_REQ)};
    unsigned flags = (unsigned)wire_get_max(&x->in, 1, 3);
    e.level = flags & 1;
    e.has_code = flags & 2;
    e.number = (uint32_t)cursor_le(&x->in, 4);
    e.code = cursor_le(&x->in, 8);
    if (!wire_done(&x->in) || e.kind < EV_VECTOR) {
        return torn(x);
    }
    return x->vm->vcpu_ops->inject(x->v->be, &e, err);
}

static int do_breaks(Ctx *x, Err *err)
{
    size_t n = (size_t)wire_get_max(&x->in, 4, WIRE_LIST_MAX);
    if (!cursor_ok(&x->in) || cursor_left(&x->in) != n * 17) {
        return torn(x);
    }
    Break *list = x_calloc(n, sizeof *list);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        list[i].kind = (BreakKind)wire_get_max(&x->in, 1, BREAK_ACCESS);
        list[i].gva = cursor_le(&x->in, 8);
        list[i].len = cursor_le(&x->in, 8);
        ok = ok && cursor_ok(&x->in) && list[i].kind >= BREAK_EXEC;
    }
    const VcpuOps *ops = x->vm->vcpu_ops;
    int rc = !ok ? torn(x) : ops->breaks ? ops->breaks(x->v->be, list, n, err) : lacks(x, "breaks", err);
    mem_free(list);
    return rc;
}

/* ---- dispatch ---- */
typedef int (*Handler)(Ctx *x, Err *err);
static const Handler handlers[WIRE_TYPE_COUNT] = {
    [WIRE_HELLO] = do_hello,
    [WIRE_OPEN] = do_open,
    [WIRE_VM_CREATE] = do_vm_create,
    [WIRE_VM_DESTROY] = do_vm_destroy,
    [WIRE_RAM_CREATE] = do_ram_create,
    [WIRE_MAP] = do_map,
    [WIRE_UNMAP] = do_unmap,
    [WIRE_MEM_READ] = do_mem_read,
    [WIRE_MEM_WRITE] = do_mem_write,
    [WIRE_DIRTY_GET] = do_dirty_get,
    [WIRE_IRQ_LINE] = do_irq_line,
    [WIRE_MSI] = do_msi,
    [WIRE_INTERCEPT] = do_intercept,
    [WIRE_CLOCK] = do_clock,
    [WIRE_SAVE] = do_save,
    [WIRE_RESTORE] = do_restore,
    [WIRE_CTL] = do_ctl,
    [WIRE_POWER] = do_power,
    [WIRE_VCPU_CREATE] = do_vcpu_create,
    [WIRE_VCPU_DESTROY] = do_vcpu_destroy,
    [WIRE_SETUP] = do_setup,
    [WIRE_BIND] = do_bind,
    [WIRE_UNBIND] = do_unbind,
    [WIRE_RUN] = do_run,
    [WIRE_REPLY] = do_reply,
    [WIRE_GET_REGS] = do_get_regs,
    [WIRE_SET_REGS] = do_set_regs,
    [WIRE_REG_LIST] = do_reg_list,
    [WIRE_INJECT] = do_inject,
    [WIRE_BREAKS] = do_breaks,
    [WIRE_TYPE] = do_type,
    [WIRE_SERVE] = do_serve,
    [WIRE_VM_WITH_BOARD] = do_vm_with_board,
};

/* VmOps, and what adds or removes a vcpu, are serialised per VM. */
static bool is_serial(WireType type)
{
    return type >= WIRE_VM_DESTROY && type <= WIRE_VCPU_DESTROY;
}

int server_do(Ctx *x, WireType type, Err *err)
{
    Handler fn = handlers[type];
    if (!fn) { /* KICK and ABORT do not come this way */
        return torn(x);
    }
    if (!is_serial(type)) {
        return fn(x, err);
    }
    pthread_mutex_lock(&x->vm->lock);
    int rc = fn(x, err);
    if (x->vm) {
        pthread_mutex_unlock(&x->vm->lock);
    }
    return rc;
}
