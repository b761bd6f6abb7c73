/* SPDX-License-Identifier: Apache-2.0
 * The transport "virtio over MMIO", version 2 (VIRTIO 1.2, 4.2), one slot. Its peer is a VirtioCard (virtio.h), or there is none: then
 * DeviceID is 0, which tells a driver to look no further (4.2.2.2).
 *
 * Registers are 4 bytes; the configuration space takes any size up to that. Offsets that the specification does not name are bus
 * errors; what may only be written reads as 0. */
#include "sim/devices/devices.h"
#include "sim/devices/virtio.h"
#include "sim/machine/fdt.h"

#include <string.h>

enum { /* 4.2.2, table 4.1 */
       MAGIC_VALUE = 0x000,
       VERSION = 0x004,
       DEVICE_ID = 0x008,
       VENDOR_ID = 0x00c,
       DEVICE_FEATURES = 0x010,
       DEVICE_FEATURES_SEL = 0x014,
       DRIVER_FEATURES = 0x020,
       DRIVER_FEATURES_SEL = 0x024,
       QUEUE_SEL = 0x030,
       QUEUE_NUM_MAX = 0x034,
       QUEUE_NUM = 0x038,
       QUEUE_READY = 0x044,
       QUEUE_NOTIFY = 0x050,
       INTERRUPT_STATUS = 0x060,
       INTERRUPT_ACK = 0x064,
       STATUS = 0x070,
       QUEUE_DESC_LOW = 0x080,
       QUEUE_DESC_HIGH = 0x084,
       QUEUE_DRIVER_LOW = 0x090,
       QUEUE_DRIVER_HIGH = 0x094,
       QUEUE_DEVICE_LOW = 0x0a0,
       QUEUE_DEVICE_HIGH = 0x0a4,
       SHM_SEL = 0x0ac,
       SHM_LEN_LOW = 0x0b0,
       SHM_LEN_HIGH = 0x0b4,
       SHM_BASE_LOW = 0x0b8,
       SHM_BASE_HIGH = 0x0bc,
       QUEUE_RESET = 0x0c0,
       CONFIG_GENERATION = 0x0fc,
       CONFIG = 0x100
};
enum { VENDOR = 0x666e6f63 /* "conf" */, MAGIC = 0x74726976 /* "virt" */, VIRTIO_VERSION = 2 };
enum {
    S_ACKNOWLEDGE = 1,
    S_DRIVER = 2,
    S_DRIVER_OK = 4,
    S_FEATURES_OK = 8,
    S_NEEDS_RESET = 64,
    S_FAILED = 128
}; /* 2.1 */
enum { INT_BUFFER = 1, INT_CONFIG = 2 };
static const uint32_t S_ALL = S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK | S_FEATURES_OK | S_NEEDS_RESET | S_FAILED;
/* 6: what the transport and its queues offer. */
static const uint64_t F_INDIRECT_DESC = 1ull << 28, F_VERSION_1 = 1ull << 32;

#define QUEUE_STATE(i)                                                                                                 \
    STATE_FIELD(VirtioState, queue[i].desc), STATE_FIELD(VirtioState, queue[i].driver),                                \
        STATE_FIELD(VirtioState, queue[i].device), STATE_FIELD(VirtioState, queue[i].size),                            \
        STATE_FIELD(VirtioState, queue[i].next_avail), STATE_FIELD(VirtioState, queue[i].next_used),                   \
        STATE_FIELD(VirtioState, queue[i].is_ready)
static const StateField state[] = {STATE_FIELD(VirtioState, driver_features),
                                   STATE_FIELD(VirtioState, due_ns),
                                   STATE_ARRAY(VirtioState, own),
                                   STATE_FIELD(VirtioState, device_id),
                                   STATE_FIELD(VirtioState, status),
                                   STATE_FIELD(VirtioState, interrupts),
                                   STATE_FIELD(VirtioState, config_generation),
                                   STATE_FIELD(VirtioState, device_features_sel),
                                   STATE_FIELD(VirtioState, driver_features_sel),
                                   STATE_FIELD(VirtioState, queue_sel),
                                   QUEUE_STATE(0),
                                   QUEUE_STATE(1),
                                   QUEUE_STATE(2),
                                   QUEUE_STATE(3),
                                   {0}};
_Static_assert(VIRTIO_QUEUES == 4, "a line of the table for each");

static const VirtioKind *kind_of(const Device *d)
{
    return d->peer ? ((const VirtioCard *)d->peer)->kind : NULL;
}

void virtio_card_free(VirtioCard *c)
{
    if (c) {
        c->kind->free(c);
    }
}

/* ---- for kinds ---- */
static void irq_update(Device *d)
{
    d->host->irq(d->host->ctx, d, 0, ((const VirtioState *)d->state)->interrupts != 0);
}

static void interrupt(Device *d, uint32_t what)
{
    ((VirtioState *)d->state)->interrupts |= what;
    irq_update(d);
}

bool virtio_is_live(const Device *d, unsigned queue)
{
    const VirtioState *s = d->state;
    const uint32_t want = S_DRIVER_OK | S_FEATURES_OK;
    return (s->status & (want | S_NEEDS_RESET)) == want && s->queue[queue].is_ready;
}

bool virtio_has(const Device *d, unsigned feature)
{
    return ((const VirtioState *)d->state)->driver_features >> feature & 1;
}

void virtio_break(Device *d)
{
    VirtioState *s = d->state;
    s->status |= S_NEEDS_RESET;
    if (s->status & S_DRIVER_OK) { /* 2.1.2 */
        interrupt(d, INT_CONFIG);
    }
}

bool virtio_pop(Device *d, unsigned queue, VirtqChain *out)
{
    VirtioState *s = d->state;
    VirtqPop got = virtio_is_live(d, queue) ? virtq_pop(&s->queue[queue], d->host, out) : VIRTQ_EMPTY;
    if (got == VIRTQ_BROKEN) {
        virtio_break(d);
    }
    return got == VIRTQ_CHAIN;
}

void virtio_push(Device *d, unsigned queue, uint16_t head, uint64_t written)
{
    VirtioState *s = d->state;
    bool wants_irq = false;
    uint32_t n = written > UINT32_MAX ? UINT32_MAX : (uint32_t)written;
    if (!virtq_push(&s->queue[queue], d->host, head, n, &wants_irq)) {
        virtio_break(d);
    } else if (wants_irq) {
        interrupt(d, INT_BUFFER);
    }
}

/* ---- life ---- */
static void mmio_reset(Device *d)
{
    const VirtioKind *k = kind_of(d);
    VirtioState *s = d->state;
    s->due_ns = UINT64_MAX;
    s->device_id = k ? k->device_id : 0;
    for (unsigned i = 0; k && i < k->nqueues; i++) {
        s->queue[i].size = k->queue_size;
    }
    if (k && k->reset) {
        k->reset(d);
    }
    irq_update(d);
}

static uint64_t features_of(const Device *d, const VirtioKind *k)
{
    return F_VERSION_1 | F_INDIRECT_DESC | (k->features ? k->features(d) : 0);
}

/* ---- queues ---- */
static VirtQueue *queue_of(Device *d, const VirtioKind *k)
{
    VirtioState *s = d->state;
    return s->queue_sel < k->nqueues ? &s->queue[s->queue_sel] : NULL;
}

/* 4.2.2: written before QueueReady only. */
static void half_set(VirtQueue *q, uint64_t *address, bool is_high, uint64_t value)
{
    if (q && !q->is_ready) {
        *address = is_high ? (*address & UINT32_MAX) | value << 32 : (*address & ~(uint64_t)UINT32_MAX) | value;
    }
}

/* 2.7: a power of 2; 4.2.2.2: at most QueueNumMax. What is not stays without effect, and so the queue of the size before. */
static void size_set(VirtQueue *q, const VirtioKind *k, uint64_t value)
{
    if (q && !q->is_ready && value && value <= k->queue_size && !(value & (value - 1))) {
        q->size = (uint16_t)value;
    }
}

static void ready_set(Device *d, const VirtioKind *k, bool is_ready)
{
    VirtQueue *q = queue_of(d, k);
    if (!q || q->is_ready == is_ready) {
        return;
    }
    q->is_ready = is_ready;
    q->next_avail = q->next_used = 0;
    if (!is_ready && k->stop) {
        k->stop(d, (unsigned)(q - ((VirtioState *)d->state)->queue));
    }
}

static void notify(Device *d, const VirtioKind *k, uint64_t queue)
{
    if (queue < k->nqueues && virtio_is_live(d, (unsigned)queue)) {
        k->notify(d, (unsigned)queue);
    }
}

/* ---- status and features, 2.1 and 3.1.1 ---- */
static void features_set(Device *d, uint64_t value)
{
    VirtioState *s = d->state;
    if (s->driver_features_sel > 1 || s->status & S_FEATURES_OK) {
        return;
    }
    unsigned shift = s->driver_features_sel * 32;
    s->driver_features = (s->driver_features & ~((uint64_t)UINT32_MAX << shift)) | value << shift;
}

static void status_set(Device *d, const VirtioKind *k, uint32_t value)
{
    VirtioState *s = d->state;
    if (!value) { /* 2.1.2, 4.2.3.1 */
        uint64_t own[VIRTIO_OWN_WORDS];
        memcpy(own, s->own, sizeof own);
        device_reset(d);
        if (k->keeps_own) {
            memcpy(s->own, own, sizeof own);
        }
        return;
    }
    uint32_t old = s->status, now = (value & S_ALL) | (old & S_NEEDS_RESET);
    bool is_sound = !(s->driver_features & ~features_of(d, k)) && s->driver_features & F_VERSION_1;
    if (now & ~old & S_FEATURES_OK && !is_sound) { /* 2.2.2, 6.2: the driver reads it back */
        now &= ~(uint32_t)S_FEATURES_OK;
    }
    if (now & ~old & S_FEATURES_OK && d->host->accepted) {
        d->host->accepted(d->host->ctx, d, k->name, s->driver_features);
    }
    s->status = now;
    for (unsigned i = 0; now & ~old & S_DRIVER_OK && i < k->nqueues; i++) {
        notify(d, k, i);
    }
}

/* ---- configuration space ---- */
static uint64_t config_read(const Device *d, const VirtioKind *k, uint64_t offset, unsigned size_bytes)
{
    uint8_t bytes[VIRTIO_CONFIG_BYTES] = {0};
    if (offset + size_bytes > k->config_bytes) { /* none: optional fields of features that are not offered */
        return 0;
    }
    k->config(d, bytes);
    Cursor c = cursor_of(bytes + offset, size_bytes);
    return cursor_le(&c, size_bytes);
}

static void config_write(Device *d, const VirtioKind *k, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    if (k->config_write && offset + size_bytes <= k->config_bytes) {
        k->config_write(d, offset, size_bytes, value);
    }
}

/* ---- registers ---- */
static uint64_t register_read(Device *d, const VirtioKind *k, uint64_t offset)
{
    const VirtioState *s = d->state;
    const VirtQueue *q = queue_of(d, k);
    switch (offset) {
    case DEVICE_FEATURES:
        return s->device_features_sel < 2 ? (uint32_t)(features_of(d, k) >> s->device_features_sel * 32) : 0;
    case QUEUE_NUM_MAX:
        return q ? k->queue_size : 0;
    case QUEUE_READY:
        return q && q->is_ready;
    case INTERRUPT_STATUS:
        return s->interrupts;
    case STATUS:
        return s->status;
    case SHM_LEN_LOW: /* 4.2.2: no such region */
    case SHM_LEN_HIGH:
    case SHM_BASE_LOW:
    case SHM_BASE_HIGH:
        return UINT32_MAX;
    case CONFIG_GENERATION:
        return s->config_generation;
    }
    return 0;
}

static void register_write(Device *d, const VirtioKind *k, uint64_t offset, uint64_t value)
{
    VirtioState *s = d->state;
    VirtQueue *q = queue_of(d, k), none = {0};
    VirtQueue *to = q ? q : &none;
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        s->device_features_sel = (uint32_t)value;
        break;
    case DRIVER_FEATURES:
        features_set(d, value);
        break;
    case DRIVER_FEATURES_SEL:
        s->driver_features_sel = (uint32_t)value;
        break;
    case QUEUE_SEL:
        s->queue_sel = (uint32_t)value;
        break;
    case QUEUE_NUM:
        size_set(q, k, value);
        break;
    case QUEUE_READY:
        ready_set(d, k, value & 1);
        break;
    case QUEUE_NOTIFY:
        notify(d, k, value);
        break;
    case INTERRUPT_ACK:
        s->interrupts &= ~(uint32_t)value;
        irq_update(d);
        break;
    case STATUS:
        status_set(d, k, (uint32_t)value);
        break;
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
        half_set(q, &to->desc, offset == QUEUE_DESC_HIGH, value);
        break;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
        half_set(q, &to->driver, offset == QUEUE_DRIVER_HIGH, value);
        break;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
        half_set(q, &to->device, offset == QUEUE_DEVICE_HIGH, value);
        break;
    }
}

static bool is_register(uint64_t offset)
{
    static const uint16_t all[] = {
        MAGIC_VALUE,         VERSION,        DEVICE_ID,        VENDOR_ID,         DEVICE_FEATURES,  DEVICE_FEATURES_SEL,
        DRIVER_FEATURES,     QUEUE_SEL,      QUEUE_NUM_MAX,    QUEUE_NUM,         QUEUE_READY,      QUEUE_NOTIFY,
        DRIVER_FEATURES_SEL, QUEUE_DESC_LOW, QUEUE_DESC_HIGH,  QUEUE_DRIVER_LOW,  INTERRUPT_STATUS, INTERRUPT_ACK,
        QUEUE_DRIVER_HIGH,   STATUS,         QUEUE_DEVICE_LOW, QUEUE_DEVICE_HIGH, SHM_SEL,          SHM_LEN_LOW,
        SHM_LEN_HIGH,        SHM_BASE_LOW,   SHM_BASE_HIGH,    QUEUE_RESET,       CONFIG_GENERATION};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] == offset) {
            return true;
        }
    }
    return false;
}

static int mmio_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    const VirtioKind *k = kind_of(d);
    (void)vcpu;
    if (offset >= CONFIG) {
        *value = k ? config_read(d, k, offset - CONFIG, size_bytes) : 0;
        return 0;
    }
    if (size_bytes != 4 || !is_register(offset)) { /* 4.2.2.2 */
        return -ERR_FAULT;
    }
    switch (offset) {
    case MAGIC_VALUE:
        *value = MAGIC;
        return 0;
    case VERSION:
        *value = VIRTIO_VERSION;
        return 0;
    case DEVICE_ID:
        *value = k ? k->device_id : 0;
        return 0;
    case VENDOR_ID:
        *value = VENDOR;
        return 0;
    }
    *value = k ? register_read(d, k, offset) : 0;
    return 0;
}

static int mmio_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    const VirtioKind *k = kind_of(d);
    (void)vcpu;
    if (offset >= CONFIG) {
        if (k) {
            config_write(d, k, offset - CONFIG, size_bytes, value);
        }
        return 0;
    }
    if (size_bytes != 4 || !is_register(offset)) {
        return -ERR_FAULT;
    }
    if (k) {
        register_write(d, k, offset, value);
    }
    return 0;
}

/* ---- what goes on to the kind ---- */
static uint64_t mmio_deadline(const Device *d, unsigned vcpu)
{
    (void)vcpu;
    return ((const VirtioState *)d->state)->due_ns;
}

static void mmio_tick(Device *d, unsigned vcpu)
{
    const VirtioKind *k = kind_of(d);
    (void)vcpu;
    if (k && k->tick) {
        k->tick(d);
    }
}

static void mmio_poll(Device *d)
{
    const VirtioKind *k = kind_of(d);
    if (k && k->poll) {
        k->poll(d);
    }
}

static size_t mmio_input(Device *d, const void *bytes, size_t n)
{
    const VirtioKind *k = kind_of(d);
    return k && k->input ? k->input(d, bytes, n) : 0;
}

static bool mmio_is_console(const Device *d)
{
    const VirtioKind *k = kind_of(d);
    return k && k->input && virtio_is_live(d, 0);
}

static void mmio_more_save(Device *d, Buf *out)
{
    const VirtioKind *k = kind_of(d);
    if (k && k->more_save) {
        k->more_save(d, out);
    }
}

static int mmio_more_restore(Device *d, Cursor *in, Err *err)
{
    const VirtioKind *k = kind_of(d);
    return k && k->more_restore ? k->more_restore(d, in, err) : 0;
}

static void mmio_more_free(Device *d)
{
    const VirtioKind *k = kind_of(d);
    if (k && k->more_free) {
        k->more_free(d);
    }
}

static void mmio_adopt(Device *d)
{
    const VirtioKind *k = kind_of(d);
    if (k && k->adopt) {
        k->adopt(d);
    }
}

static int mmio_saveable(const Device *d, Err *err)
{
    const VirtioKind *k = kind_of(d);
    return k && k->saveable ? k->saveable(d, err) : 0;
}

static int mmio_check(const Device *d, Err *err)
{
    const VirtioKind *k = kind_of(d);
    const VirtioState *s = d->state;
    uint32_t device_id = k ? k->device_id : 0;
    if (s->device_id != device_id) {
        return err_set(err, ERR_INVAL, "virtio_mmio: slot %u has device %u, the snapshot's has %u", d->param, device_id,
                       s->device_id);
    }
    if (s->status & ~S_ALL || s->interrupts & ~(uint32_t)(INT_BUFFER | INT_CONFIG) ||
        ((!k || !k->tick) && s->due_ns != UINT64_MAX)) {
        return err_set(err, ERR_INVAL, "virtio_mmio: status 0x%x, interrupts 0x%x: out of range", s->status,
                       s->interrupts);
    }
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        const VirtQueue *q = &s->queue[i];
        bool is_queue = k && i < k->nqueues;
        if (q->is_ready > is_queue || (is_queue && (!q->size || q->size > k->queue_size || q->size & (q->size - 1)))) {
            return err_set(err, ERR_INVAL, "virtio_mmio: queue %u of slot %u has size %u and is_ready %u", i, d->param,
                           q->size, q->is_ready);
        }
    }
    return k && k->check ? k->check(d, err) : 0;
}

static void mmio_fdt(const Device *d, Fdt *f)
{
    fdt_begin_at(f, "virtio_mmio", d->base);
    fdt_u32(f, "interrupts", d->irq);
    fdt_u32(f, "interrupt-parent", d->irq_phandle);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_str(f, "compatible", "virtio,mmio");
    fdt_end(f);
}

/* What the kinds offer (VIRTIO 1.2, chapter 5), and the transport for each of them. */
#define OF_TRANSPORT(kind)                                                                                             \
    {kind, "VERSION_1", 32},                                                                                           \
    {                                                                                                                  \
        kind, "INDIRECT_DESC", 28                                                                                      \
    }
static const DeviceFeature features[] = {
    OF_TRANSPORT("blk"),
    {"blk", "SEG_MAX", 2},
    {"blk", "RO", 5},
    {"blk", "BLK_SIZE", 6},
    {"blk", "FLUSH", 9},
    {"blk", "DISCARD", 13},
    {"blk", "WRITE_ZEROES", 14},
    OF_TRANSPORT("net"),
    {"net", "MAC", 5},
    {"net", "STATUS", 16},
    OF_TRANSPORT("console"),
    OF_TRANSPORT("rng"),
    OF_TRANSPORT("balloon"),
    {"balloon", "DEFLATE_ON_OOM", 2},
    {0},
};
static const DeviceReg regs[] = {
    {"MAGIC_VALUE", MAGIC_VALUE, 4, 0, 0, DEVICE_R},
    {"VERSION", VERSION, 4, 0, 0, DEVICE_R},
    {"DEVICE_ID", DEVICE_ID, 4, 0, 0, DEVICE_R},
    {"VENDOR_ID", VENDOR_ID, 4, 0, 0, DEVICE_R},
    {"DEVICE_FEATURES", DEVICE_FEATURES, 4, 0, 0, DEVICE_R},
    {"DEVICE_FEATURES_SEL", DEVICE_FEATURES_SEL, 4, 0, 0, DEVICE_W},
    {"DRIVER_FEATURES", DRIVER_FEATURES, 4, 0, 0, DEVICE_W},
    {"DRIVER_FEATURES_SEL", DRIVER_FEATURES_SEL, 4, 0, 0, DEVICE_W},
    {"QUEUE_SEL", QUEUE_SEL, 4, 0, 0, DEVICE_W},
    {"QUEUE_NUM_MAX", QUEUE_NUM_MAX, 4, 0, 0, DEVICE_R},
    {"QUEUE_NUM", QUEUE_NUM, 4, 0, 0, DEVICE_W},
    {"QUEUE_READY", QUEUE_READY, 4, 0, 0, DEVICE_RW},
    {"QUEUE_NOTIFY", QUEUE_NOTIFY, 4, 0, 0, DEVICE_W},
    {"INTERRUPT_STATUS", INTERRUPT_STATUS, 4, 0, 0, DEVICE_R},
    {"INTERRUPT_ACK", INTERRUPT_ACK, 4, 0, 0, DEVICE_W},
    {"STATUS", STATUS, 4, 0, 0, DEVICE_RW},
    {"QUEUE_DESC_LOW", QUEUE_DESC_LOW, 4, 0, 0, DEVICE_W},
    {"QUEUE_DESC_HIGH", QUEUE_DESC_HIGH, 4, 0, 0, DEVICE_W},
    {"QUEUE_DRIVER_LOW", QUEUE_DRIVER_LOW, 4, 0, 0, DEVICE_W},
    {"QUEUE_DRIVER_HIGH", QUEUE_DRIVER_HIGH, 4, 0, 0, DEVICE_W},
    {"QUEUE_DEVICE_LOW", QUEUE_DEVICE_LOW, 4, 0, 0, DEVICE_W},
    {"QUEUE_DEVICE_HIGH", QUEUE_DEVICE_HIGH, 4, 0, 0, DEVICE_W},
    {"SHM_LEN_LOW", SHM_LEN_LOW, 4, 0, 0, DEVICE_R},
    {"SHM_LEN_HIGH", SHM_LEN_HIGH, 4, 0, 0, DEVICE_R},
    {"SHM_BASE_LOW", SHM_BASE_LOW, 4, 0, 0, DEVICE_R},
    {"SHM_BASE_HIGH", SHM_BASE_HIGH, 4, 0, 0, DEVICE_R},
    {"CONFIG_GENERATION", CONFIG_GENERATION, 4, 0, 0, DEVICE_R},
    {"CONFIG", CONFIG, 0x1000 - CONFIG, 0, 0, DEVICE_RW},
    {0},
};

DEVICE_TYPE(virtio_mmio) = {
    .name = "virtio_mmio",
    .size_bytes = 0x1000,
    .access_bytes = 1 | 2 | 4,
    .state_bytes = sizeof(VirtioState),
    .state = state,
    .reset = mmio_reset,
    .read = mmio_read,
    .write = mmio_write,
    .deadline = mmio_deadline,
    .tick = mmio_tick,
    .input = mmio_input,
    .is_console = mmio_is_console,
    .fdt = mmio_fdt,
    .check = mmio_check,
    .more_save = mmio_more_save,
    .more_restore = mmio_more_restore,
    .more_free = mmio_more_free,
    .adopt = mmio_adopt,
    .saveable = mmio_saveable,
    .poll = mmio_poll,
    .regs = regs,
    .features = features,
};
