/* SPDX-License-Identifier: Apache-2.0
 * Block device (VIRTIO 1.2, 5.2) on a disk image.
 *
 * A request is read when the driver notifies, worked on by the disk's thread, and given back LATENCY_NS of guest time later: if
 * the host is not done by then, the guest's time waits for it. So when and in which order requests end is the guest's doing alone. */
#include "sim/base/mem.h"
#include "sim/devices/virtio_cards.h"

#include <stdio.h>
#include <string.h>

enum { LATENCY_NS = 20000, QUEUE_SIZE = 256, QUEUE = 0, SEG_MAX = QUEUE_SIZE - 2 /* header and status */ };
enum { /* 5.2.3 */
       F_SEG_MAX = 2,
       F_RO = 5,
       F_BLK_SIZE = 6,
       F_FLUSH = 9,
       F_DISCARD = 13,
       F_WRITE_ZEROES = 14
};
enum { /* 5.2.6 */
       T_IN = 0,
       T_OUT = 1,
       T_FLUSH = 4,
       T_GET_ID = 8,
       T_DISCARD = 11,
       T_WRITE_ZEROES = 13
};
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER_BYTES = 16, RANGE_BYTES = 16, ID_BYTES = 20, RANGE_UNMAP = 1, CONFIG_BYTES = 60 };
enum { MAX_RANGES = DISK_MAX_RANGES, MAX_RANGE_SECTORS = 1 << 22 /* 2 GiB */ };
/* Of one request, and of all that are under way: further ones stay in the ring. */
enum { MAX_REQUEST_BYTES = 64 << 20, MAX_UNDER_WAY_BYTES = 128 << 20 };
enum { OWN_SECTORS, OWN_FLAGS /* of what kind of drive the state is */, OWN_LAST_NS /* when the last request ends */ };

typedef struct {
    VirtioCard card;
    Disk *disk;
} BlkCard;

typedef struct Request {
    struct Request *next;
    uint64_t due_ns;
    uint16_t head, nin;
    uint8_t status; /* if it has no job, or when that was done */
    bool has_job;
    uint64_t in_bytes, charge;
    VirtqSegment *in;
    uint8_t *bytes; /* the data of READ and WRITE, and what goes to the driver: nanswer bytes */
    uint32_t nanswer;
    DiskJob job;
} Request;
typedef struct { /* Device.more */
    Request *first, **last;
    unsigned n;
    uint64_t charge;   /* bytes held */
    Overlay *restored; /* until adopt */
} Under;

static BlkCard *card_of(const Device *d)
{
    return d->peer;
}

static uint64_t sectors_of(const BlkCard *c)
{
    return disk_size_bytes(c->disk) / DISK_SECTOR_BYTES;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- what is under way ---- */
static Under *under_new(void)
{
    Under *u = x_alloc(sizeof *u);
    u->last = &u->first;
    return u;
}

static void under_add(Device *d, Request *r)
{
    Under *u = d->more;
    VirtioState *s = d->state;
    *u->last = r;
    u->last = &r->next;
    u->n++;
    u->charge += r->charge;
    s->own[OWN_LAST_NS] = r->due_ns;
    s->due_ns = u->first->due_ns;
}

static void request_free(Request *r)
{
    mem_free(r->in);
    mem_free(r->bytes);
    mem_free(r);
}

static void settle(Device *d, Request *r)
{
    if (r->has_job) {
        disk_wait(card_of(d)->disk, &r->job);
        r->has_job = false;
        r->status = r->job.rc ? S_IOERR : S_OK;
        r->nanswer = r->job.rc ? 0 : r->nanswer;
    }
}

static void first_drop(Device *d)
{
    Under *u = d->more;
    Request *r = u->first;
    u->first = r->next;
    u->last = u->first ? u->last : &u->first;
    u->n--;
    u->charge -= r->charge;
    ((VirtioState *)d->state)->due_ns = u->first ? u->first->due_ns : UINT64_MAX;
    settle(d, r);
    request_free(r);
}

static void drop_all(Device *d)
{
    const Under *u = d->more;
    while (u && u->first) {
        first_drop(d);
    }
}

/* ---- requests: what is asked ---- */
typedef struct {
    uint32_t type;
    uint64_t sector;
} Header;

static bool in_range(const BlkCard *c, uint64_t sector, uint64_t nsectors)
{
    return sector <= sectors_of(c) && nsectors <= sectors_of(c) - sector;
}

static uint8_t transfer(Device *d, Request *r, const Header *h, const VirtqChain *c)
{
    bool is_read = h->type == T_IN;
    uint64_t n = is_read ? c->in_bytes - 1 : c->out_bytes - HEADER_BYTES;
    if (n % DISK_SECTOR_BYTES || n > MAX_REQUEST_BYTES || !in_range(card_of(d), h->sector, n / DISK_SECTOR_BYTES) ||
        !(r->bytes = mem_try(1, n + 1))) {
        return S_IOERR;
    }
    if (!is_read && !virtq_read(d->host, c->segment, c->nout, HEADER_BYTES, r->bytes, n)) {
        virtio_break(d);
        return S_IOERR;
    }
    r->nanswer = is_read ? (uint32_t)n : 0;
    r->job = (DiskJob){.op = is_read ? DISK_READ : DISK_WRITE,
                       .nranges = 1,
                       .range = {{h->sector * DISK_SECTOR_BYTES, n}},
                       .bytes = r->bytes};
    r->has_job = true;
    return S_OK;
}

/* One segment of DISCARD or WRITE_ZEROES; all of a request are looked at before any is done. */
static uint8_t range_read(Device *d, Request *r, const Header *h, const VirtqChain *c, unsigned i)
{
    uint8_t bytes[RANGE_BYTES];
    if (!virtq_read(d->host, c->segment, c->nout, HEADER_BYTES + (uint64_t)i * RANGE_BYTES, bytes, sizeof bytes)) {
        virtio_break(d);
        return S_IOERR;
    }
    Cursor in = cursor_of(bytes, sizeof bytes);
    uint64_t sector = cursor_le(&in, 8), n = cursor_le(&in, 4), flags = cursor_le(&in, 4);
    if (flags & ~(uint64_t)(h->type == T_DISCARD ? 0 : RANGE_UNMAP)) { /* 5.2.6.2 */
        return S_UNSUPP;
    }
    if (n > MAX_RANGE_SECTORS || !in_range(card_of(d), sector, n)) {
        return S_IOERR;
    }
    r->job.range[i] = (DiskRange){sector * DISK_SECTOR_BYTES, n * DISK_SECTOR_BYTES};
    r->job.keeps_space |= h->type == T_WRITE_ZEROES && !(flags & RANGE_UNMAP);
    return S_OK;
}

/* What is discarded reads as zeroes: the specification leaves it open, the host must not decide it. */
static uint8_t zero(Device *d, Request *r, const Header *h, const VirtqChain *c)
{
    uint64_t n = c->out_bytes - HEADER_BYTES;
    uint8_t status = S_OK;
    if (!virtio_has(d, h->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES)) {
        return S_UNSUPP;
    }
    if (!n || n % RANGE_BYTES || n / RANGE_BYTES > MAX_RANGES) {
        return S_IOERR;
    }
    r->job = (DiskJob){.op = DISK_ZERO, .nranges = (unsigned)(n / RANGE_BYTES)};
    for (unsigned i = 0; status == S_OK && i < r->job.nranges; i++) {
        status = range_read(d, r, h, c, i);
    }
    r->has_job = status == S_OK;
    return status;
}

static uint8_t id(const Device *d, Request *r)
{
    r->bytes = x_alloc(ID_BYTES + 1);
    r->nanswer = (uint32_t)least(ID_BYTES, r->in_bytes - 1);
    snprintf((char *)r->bytes, ID_BYTES + 1, "conf-drive-%u", d->param);
    return S_OK;
}

static uint8_t request_plan(Device *d, Request *r, const Header *h, const VirtqChain *c)
{
    bool is_read_only = disk_flags(card_of(d)->disk) & DISK_READ_ONLY;
    switch (h->type) {
    case T_OUT:
        return is_read_only ? S_IOERR : transfer(d, r, h, c); /* 5.2.6.2 */
    case T_IN:
        return transfer(d, r, h, c);
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return is_read_only ? S_IOERR : zero(d, r, h, c);
    case T_FLUSH:
        r->job = (DiskJob){.op = DISK_FLUSH};
        r->has_job = true;
        return S_OK;
    case T_GET_ID:
        return id(d, r);
    }
    return S_UNSUPP;
}

/* 5.2.6: the header comes first and the status last, wherever the borders of the segments are (2.7.4). */
static void request_start(Device *d, const VirtqChain *c)
{
    uint8_t bytes[HEADER_BYTES];
    if (!c->in_bytes || !virtq_read(d->host, c->segment, c->nout, 0, bytes, sizeof bytes)) {
        virtio_break(d);
        return;
    }
    Cursor in = cursor_of(bytes, sizeof bytes);
    Header h = {.type = (uint32_t)cursor_le(&in, 4)};
    (void)cursor_le(&in, 4); /* reserved */
    h.sector = cursor_le(&in, 8);
    Request *r = x_alloc(sizeof *r);
    r->head = c->head;
    r->nin = c->nin;
    r->in_bytes = c->in_bytes;
    r->charge = least(c->in_bytes + c->out_bytes, MAX_REQUEST_BYTES);
    r->in = x_calloc(c->nin, sizeof *r->in);
    memcpy(r->in, c->segment + c->nout, c->nin * sizeof *r->in);
    r->status = request_plan(d, r, &h, c);
    if (!virtio_is_live(d, QUEUE)) { /* broken meanwhile */
        request_free(r);
        return;
    }
    /* Clocks of vcpus differ by a little: requests end in order all the same. */
    uint64_t due_ns = d->host->now_ns(d->host->ctx) + LATENCY_NS,
             last_ns = ((const VirtioState *)d->state)->own[OWN_LAST_NS];
    r->due_ns = due_ns > last_ns ? due_ns : last_ns;
    if (r->has_job) {
        disk_submit(card_of(d)->disk, &r->job);
    }
    under_add(d, r);
}

static void blk_notify(Device *d, unsigned queue)
{
    const Under *u = d->more;
    VirtqChain c;
    while (u->n < QUEUE_SIZE && virtio_pop(d, queue, &c)) {
        if (u->n && u->charge + least(c.in_bytes + c.out_bytes, MAX_REQUEST_BYTES) > MAX_UNDER_WAY_BYTES) {
            virtq_unpop(&((VirtioState *)d->state)->queue[queue]); /* looked at again when one is done */
            break;
        }
        request_start(d, &c);
    }
    if (!virtio_is_live(d, queue)) {
        drop_all(d);
    }
}

/* ---- requests: what is answered ---- */
static void request_end(Device *d, Request *r)
{
    settle(d, r);
    bool is_whole = r->nanswer == r->in_bytes - 1;
    if (!virtq_write(d->host, r->in, r->nin, 0, r->bytes, r->nanswer) ||
        !virtq_write(d->host, r->in, r->nin, r->in_bytes - 1, &r->status, 1)) {
        virtio_break(d);
        return;
    }
    virtio_push(d, QUEUE, r->head, r->nanswer + is_whole);
}

static void blk_tick(Device *d)
{
    const Under *u = d->more;
    uint64_t now_ns = d->host->now_ns(d->host->ctx);
    while (u->first && u->first->due_ns <= now_ns && virtio_is_live(d, QUEUE)) {
        request_end(d, u->first);
        first_drop(d);
    }
    if (!virtio_is_live(d, QUEUE)) {
        drop_all(d);
    } else {
        blk_notify(d, QUEUE);
    }
}

static void blk_stop(Device *d, unsigned queue)
{
    (void)queue;
    drop_all(d);
}

/* ---- what the guest sees of it, 5.2.3 and 5.2.4 ---- */
static uint64_t blk_features(const Device *d)
{
    uint64_t all = 1u << F_SEG_MAX | 1u << F_BLK_SIZE | 1u << F_FLUSH;
    return disk_flags(card_of(d)->disk) & DISK_READ_ONLY ? all | 1u << F_RO
                                                         : all | 1u << F_DISCARD | 1u << F_WRITE_ZEROES;
}

static void put(uint8_t *bytes, unsigned at, unsigned size_bytes, uint64_t value)
{
    for (unsigned i = 0; i < size_bytes; i++) {
        bytes[at + i] = (uint8_t)(value >> 8 * i);
    }
}

static void blk_config(const Device *d, uint8_t *bytes)
{
    put(bytes, 0, 8, sectors_of(card_of(d)));
    put(bytes, 12, 4, SEG_MAX);
    put(bytes, 20, 4, DISK_SECTOR_BYTES);
    put(bytes, 34, 2, 1); /* queues */
    put(bytes, 36, 4, MAX_RANGE_SECTORS);
    put(bytes, 40, 4, MAX_RANGES);
    put(bytes, 44, 4, 1); /* discards need no alignment */
    put(bytes, 48, 4, MAX_RANGE_SECTORS);
    put(bytes, 52, 4, MAX_RANGES);
    put(bytes, 56, 1, 1); /* zeroing may give space back */
}

/* ---- life and state ---- */
static void blk_reset(Device *d)
{
    VirtioState *s = d->state;
    drop_all(d);
    d->more = d->more ? d->more : under_new();
    s->due_ns = UINT64_MAX;
    s->own[OWN_SECTORS] = sectors_of(card_of(d));
    s->own[OWN_FLAGS] = disk_flags(card_of(d)->disk);
}

static void blk_more_free(Device *d)
{
    Under *u = d->more;
    if (u) {
        drop_all(d);
        overlay_free(u->restored);
        mem_free(u);
    }
}

static int blk_check(const Device *d, Err *err)
{
    const VirtioState *s = d->state;
    const Disk *disk = card_of(d)->disk;
    if (s->own[OWN_SECTORS] != sectors_of(card_of(d)) || s->own[OWN_FLAGS] != disk_flags(disk)) {
        return err_set(err, ERR_INVAL,
                       "virtio_mmio: drive %.120s has %llu sectors and options %u, the snapshot's has %llu and %llu",
                       disk_path(disk), (unsigned long long)sectors_of(card_of(d)), disk_flags(disk),
                       (unsigned long long)s->own[OWN_SECTORS], (unsigned long long)s->own[OWN_FLAGS]);
    }
    return 0;
}

static int blk_saveable(const Device *d, Err *err)
{
    const Disk *disk = card_of(d)->disk;
    return disk_flags(disk) ? 0
                            : err_set(err, ERR_UNSUPPORTED,
                                      "drive %.160s is written in place, and its contents are no part of a snapshot: "
                                      "only option ro or overlay can be saved",
                                      disk_path(disk));
}

/* number of requests under way, then of each {due, head, status, segments {address, length}, answer}, all of them done by
 * the host; then the overlay, if the drive has one */
static void blk_more_save(Device *d, Buf *out)
{
    const Under *u = d->more;
    const Disk *disk = card_of(d)->disk;
    buf_le(out, u->n, 4);
    for (Request *r = u->first; r; r = r->next) {
        settle(d, r);
        buf_le(out, r->due_ns, 8);
        buf_le(out, r->head, 2);
        buf_le(out, r->status, 1);
        buf_le(out, r->charge, 4);
        buf_le(out, r->nin, 2);
        for (unsigned i = 0; i < r->nin; i++) {
            buf_le(out, r->in[i].gpa, 8);
            buf_le(out, r->in[i].size_bytes, 4);
        }
        buf_le(out, r->nanswer, 4);
        if (r->nanswer) {
            buf_bytes(out, r->bytes, r->nanswer);
        }
    }
    if (disk_overlay(disk)) {
        overlay_save(disk_overlay(disk), out);
    }
}

static int request_read(Device *d, Cursor *in, Err *err)
{
    Request *r = x_alloc(sizeof *r);
    r->due_ns = cursor_le(in, 8);
    r->head = (uint16_t)cursor_le(in, 2);
    r->status = (uint8_t)cursor_le(in, 1);
    r->charge = cursor_le(in, 4);
    r->nin = (uint16_t)least(cursor_le(in, 2), VIRTQ_MAX_SIZE);
    r->in = x_calloc(r->nin, sizeof *r->in);
    for (unsigned i = 0; i < r->nin; i++) {
        r->in[i].gpa = cursor_le(in, 8);
        r->in[i].size_bytes = (uint32_t)cursor_le(in, 4);
        r->in_bytes += r->in[i].size_bytes;
    }
    r->nanswer = (uint32_t)cursor_le(in, 4);
    const uint8_t *bytes = cursor_bytes(in, r->nanswer);
    bool is_late = r->due_ns < ((const VirtioState *)d->state)->own[OWN_LAST_NS];
    if (!bytes || r->nanswer >= r->in_bytes || is_late || r->charge > MAX_REQUEST_BYTES) {
        request_free(r);
        return err_set(err, ERR_INVAL, "virtio_mmio: request %u of a drive is cut or malformed",
                       ((const Under *)d->more)->n);
    }
    r->bytes = x_alloc(r->nanswer);
    memcpy(r->bytes, bytes, r->nanswer);
    under_add(d, r);
    return 0;
}

static int blk_more_restore(Device *d, Cursor *in, Err *err)
{
    VirtioState *s = d->state;
    uint64_t n = cursor_le(in, 4), due_ns = s->due_ns, last_ns = s->own[OWN_LAST_NS];
    int rc = n > QUEUE_SIZE || !cursor_ok(in) ? err_set(err, ERR_INVAL, "virtio_mmio: no number of requests") : 0;
    Under *u = d->more = under_new();
    s->due_ns = UINT64_MAX;
    s->own[OWN_LAST_NS] = n ? 0 : last_ns;
    for (uint64_t i = 0; !rc && i < n; i++) {
        rc = request_read(d, in, err);
    }
    if (!rc && (s->due_ns != due_ns || s->own[OWN_LAST_NS] != last_ns)) {
        rc = err_set(err, ERR_INVAL, "virtio_mmio: the requests of a drive are due at other times than it is");
    }
    const Disk *disk = card_of(d)->disk;
    rc = !rc && disk_overlay(disk) ? overlay_read(in, disk_size_bytes(disk), &u->restored, err) : rc;
    if (rc) {
        blk_more_free(d);
        d->more = NULL;
    }
    return rc;
}

static void blk_adopt(Device *d)
{
    Under *u = d->more;
    if (u->restored) {
        disk_overlay_set(card_of(d)->disk, u->restored);
        u->restored = NULL;
    }
}

/* ---- the card ---- */
static void blk_free(VirtioCard *c)
{
    disk_free(((BlkCard *)c)->disk);
    mem_free(c);
}

static int blk_twin(const VirtioCard *c, VirtioCard **out, Err *err);
static const VirtioKind blk_kind = {
    .name = "blk",
    .device_id = VIRTIO_ID_BLOCK,
    .nqueues = 1,
    .queue_size = QUEUE_SIZE,
    .features = blk_features,
    .config_bytes = CONFIG_BYTES,
    .config = blk_config,
    .reset = blk_reset,
    .notify = blk_notify,
    .stop = blk_stop,
    .tick = blk_tick,
    .more_save = blk_more_save,
    .more_restore = blk_more_restore,
    .more_free = blk_more_free,
    .adopt = blk_adopt,
    .check = blk_check,
    .saveable = blk_saveable,
    .twin = blk_twin,
    .free = blk_free,
};

static int blk_twin(const VirtioCard *c, VirtioCard **out, Err *err)
{
    BlkCard *twin = x_alloc(sizeof *twin);
    (void)err;
    *twin = (BlkCard){.card.kind = &blk_kind, .disk = disk_twin(((const BlkCard *)c)->disk)};
    *out = &twin->card;
    return 0;
}

int virtio_blk_new(const char *path, uint32_t flags, VirtioCard **out, Err *err)
{
    Disk *disk;
    int rc = disk_open(path, flags, &disk, err);
    if (!rc) {
        BlkCard *c = x_alloc(sizeof *c);
        *c = (BlkCard){.card.kind = &blk_kind, .disk = disk};
        *out = &c->card;
    }
    return rc;
}
