/* SPDX-License-Identifier: Apache-2.0
 * Network device (VIRTIO 1.2, 5.1) without offloads: one pair of queues, a frame a buffer.
 *
 * Frames for the guest wait in the card. It gets them when the board is polled, or DELAY_NS after it sent one itself: what an
 * end answers at once (loopback, the DHCP of `user`) then comes at an instant that the guest determined. */
#include "sim/base/mem.h"
#include "sim/devices/virtio_cards.h"

#include <pthread.h>
#include <string.h>

enum { DELAY_NS = 20000, QUEUE_SIZE = 256, RX = 0, TX = 1 };
enum { F_MAC = 5, F_STATUS = 16, S_LINK_UP = 1 }; /* 5.1.3, 5.1.4 */
enum { HEADER_BYTES = 12, NUM_BUFFERS_AT = 10, MAC_BYTES = 6, CONFIG_BYTES = 8 };
enum { MAX_WAITING = 512 };

typedef struct {
    uint16_t n;
    uint8_t bytes[];
} Frame;
typedef struct { /* a ring */
    unsigned first, n;
    Frame *frame[MAX_WAITING];
} Frames;

typedef struct {
    VirtioCard card;
    pthread_mutex_t lock; /* of what follows: the owner looks at the end while vcpus send */
    NetEnd *end;
    Frames *waiting;
} NetCard;

static NetCard *card_of(const Device *d)
{
    return d->peer;
}

/* ---- frames that wait ---- */
/* What nobody takes in time is lost, as in any network. */
static void frames_add(Frames *f, const uint8_t *bytes, size_t n)
{
    if (f->n < MAX_WAITING && n <= NET_MAX_FRAME) {
        Frame *to = x_alloc(sizeof *to + n);
        to->n = (uint16_t)n;
        memcpy(to->bytes, bytes, n);
        f->frame[(f->first + f->n++) % MAX_WAITING] = to;
    }
}

/* The first one, which is then the caller's to free; NULL: there is none. */
static Frame *frames_take(Frames *f)
{
    Frame *first = f->n ? f->frame[f->first] : NULL;
    if (first) {
        f->first = (f->first + 1) % MAX_WAITING;
        f->n--;
    }
    return first;
}

static void frames_clear(Frames *f)
{
    for (Frame *first; (first = frames_take(f));) {
        mem_free(first);
    }
}

static void frames_free(Frames *f)
{
    if (f) {
        frames_clear(f);
        mem_free(f);
    }
}

/* Called within the end's functions: under the card's lock. */
static void on_arrived(void *ctx, const uint8_t *bytes, size_t n)
{
    frames_add(((NetCard *)ctx)->waiting, bytes, n);
}

static Frame *first_take(NetCard *c)
{
    pthread_mutex_lock(&c->lock);
    Frame *first = frames_take(c->waiting);
    pthread_mutex_unlock(&c->lock);
    return first;
}

static bool is_waiting(NetCard *c)
{
    pthread_mutex_lock(&c->lock);
    bool is = c->waiting->n;
    pthread_mutex_unlock(&c->lock);
    return is;
}

/* ---- to the guest, 5.1.6.3 and 5.1.6.4 ---- */
static void put_frame(Device *d, const VirtqChain *chain, const Frame *f)
{
    uint8_t bytes[HEADER_BYTES + NET_MAX_FRAME] = {[NUM_BUFFERS_AT] = 1};
    size_t n = HEADER_BYTES + (size_t)f->n;
    memcpy(bytes + HEADER_BYTES, f->bytes, f->n);
    if (chain->in_bytes < n) { /* too small for this one: it is lost, and the buffer stays */
        virtq_unpop(&((VirtioState *)d->state)->queue[RX]);
    } else if (!virtq_write(d->host, chain->segment + chain->nout, chain->nin, 0, bytes, n)) {
        virtio_break(d);
    } else {
        virtio_push(d, RX, chain->head, n);
    }
}

static void deliver(Device *d)
{
    NetCard *c = card_of(d);
    VirtqChain chain;
    while (is_waiting(c) && virtio_pop(d, RX, &chain)) {
        Frame *f = first_take(c);
        put_frame(d, &chain, f);
        mem_free(f);
    }
}

/* ---- from the guest, 5.1.6.2 ---- */
static bool send_one(Device *d, const VirtqChain *chain)
{
    NetCard *c = card_of(d);
    uint8_t frame[NET_MAX_FRAME];
    uint64_t n = chain->out_bytes - HEADER_BYTES;
    if (chain->out_bytes < HEADER_BYTES) {
        return false;
    }
    if (n < NET_MIN_FRAME || n > NET_MAX_FRAME) {
        return true; /* no frame: lost */
    }
    if (!virtq_read(d->host, chain->segment, chain->nout, HEADER_BYTES, frame, n)) {
        return false;
    }
    pthread_mutex_lock(&c->lock);
    c->end->ops->send(c->end, frame, n);
    pthread_mutex_unlock(&c->lock);
    return true;
}

static void net_notify(Device *d, unsigned queue)
{
    VirtioState *s = d->state;
    VirtqChain chain;
    if (queue == RX) {
        deliver(d);
        return;
    }
    for (unsigned i = 0; i < QUEUE_SIZE && virtio_pop(d, TX, &chain); i++) {
        if (!send_one(d, &chain)) {
            virtio_break(d);
            return;
        }
        virtio_push(d, TX, chain.head, 0);
    }
    if (is_waiting(card_of(d)) && s->due_ns == UINT64_MAX) {
        s->due_ns = d->host->now_ns(d->host->ctx) + DELAY_NS;
    }
}

static void net_tick(Device *d)
{
    ((VirtioState *)d->state)->due_ns = UINT64_MAX;
    deliver(d);
}

/* ---- what the guest sees of it ---- */
static uint64_t net_features(const Device *d)
{
    (void)d;
    return 1u << F_MAC | 1u << F_STATUS;
}

/* Locally administered, one for each slot. */
static void net_config(const Device *d, uint8_t *bytes)
{
    memcpy(bytes, (const uint8_t[MAC_BYTES]){0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + d->param)}, MAC_BYTES);
    bytes[MAC_BYTES] = S_LINK_UP;
}

/* ---- life and state ---- */
static void net_reset(Device *d)
{
    NetCard *c = card_of(d);
    pthread_mutex_lock(&c->lock);
    frames_clear(c->waiting);
    pthread_mutex_unlock(&c->lock);
}

static int net_saveable(const Device *d, Err *err)
{
    const NetEnd *e = card_of(d)->end;
    return e->ops->is_outside
               ? err_set(err, ERR_UNSUPPORTED, "net %s: who the guest talks to is outside, and no part of a snapshot",
                         e->ops->name)
               : 0;
}

/* number of frames that wait, then of each {length, bytes} */
static void net_more_save(Device *d, Buf *out)
{
    NetCard *c = card_of(d);
    pthread_mutex_lock(&c->lock);
    buf_le(out, c->waiting->n, 4);
    for (unsigned i = 0; i < c->waiting->n; i++) {
        const Frame *f = c->waiting->frame[(c->waiting->first + i) % MAX_WAITING];
        buf_le(out, f->n, 2);
        buf_bytes(out, f->bytes, f->n);
    }
    pthread_mutex_unlock(&c->lock);
}

static int net_more_restore(Device *d, Cursor *in, Err *err)
{
    uint64_t n = cursor_le(in, 4);
    Frames *f = x_alloc(sizeof *f);
    bool is_sound = n <= MAX_WAITING;
    for (uint64_t i = 0; is_sound && i < n; i++) {
        size_t size_bytes = (size_t)cursor_le(in, 2);
        const uint8_t *bytes = cursor_bytes(in, size_bytes);
        is_sound = bytes && size_bytes <= NET_MAX_FRAME && size_bytes >= NET_MIN_FRAME;
        if (is_sound) {
            frames_add(f, bytes, size_bytes);
        }
    }
    if (!is_sound || !cursor_ok(in)) {
        frames_free(f);
        return err_set(err, ERR_INVAL, "virtio_mmio: the frames of a network card are cut or malformed");
    }
    d->more = f;
    return 0;
}

static void net_more_free(Device *d)
{
    frames_free(d->more);
    d->more = NULL;
}

static void net_adopt(Device *d)
{
    NetCard *c = card_of(d);
    if (d->more) {
        pthread_mutex_lock(&c->lock);
        frames_free(c->waiting);
        c->waiting = d->more;
        pthread_mutex_unlock(&c->lock);
        d->more = NULL;
    }
}

/* ---- the card ---- */
static size_t net_fds(VirtioCard *card, struct pollfd *fds, size_t cap, uint64_t *timeout_ns)
{
    NetCard *c = (NetCard *)card;
    pthread_mutex_lock(&c->lock);
    size_t n = c->end->ops->fds ? c->end->ops->fds(c->end, fds, cap, timeout_ns) : 0;
    pthread_mutex_unlock(&c->lock);
    return n;
}

static void net_served(VirtioCard *card, const struct pollfd *fds, size_t n)
{
    NetCard *c = (NetCard *)card;
    pthread_mutex_lock(&c->lock);
    if (c->end->ops->served) {
        c->end->ops->served(c->end, fds, n);
    }
    pthread_mutex_unlock(&c->lock);
}

static bool net_is_outside(const VirtioCard *card)
{
    return ((const NetCard *)card)->end->ops->is_outside;
}

static void net_free(VirtioCard *card)
{
    NetCard *c = (NetCard *)card;
    net_close(c->end);
    pthread_mutex_destroy(&c->lock);
    frames_free(c->waiting);
    mem_free(c);
}

static int net_twin(const VirtioCard *card, VirtioCard **out, Err *err)
{
    return virtio_net_new(((const NetCard *)card)->end->ops->name, out, err); /* one that can be saved has no options */
}

static const VirtioKind net_kind = {
    .name = "net",
    .device_id = VIRTIO_ID_NET,
    .nqueues = 2,
    .queue_size = QUEUE_SIZE,
    .features = net_features,
    .config_bytes = CONFIG_BYTES,
    .config = net_config,
    .reset = net_reset,
    .notify = net_notify,
    .tick = net_tick,
    .poll = deliver,
    .more_save = net_more_save,
    .more_restore = net_more_restore,
    .more_free = net_more_free,
    .adopt = net_adopt,
    .saveable = net_saveable,
    .fds = net_fds,
    .served = net_served,
    .is_outside = net_is_outside,
    .twin = net_twin,
    .free = net_free,
};

int virtio_net_new(const char *spec, VirtioCard **out, Err *err)
{
    NetEnd *end;
    int rc = net_open(spec, &end, err);
    if (rc) {
        return rc;
    }
    NetCard *c = x_alloc(sizeof *c);
    *c = (NetCard){.card.kind = &net_kind, .end = end, .waiting = x_alloc(sizeof(Frames))};
    pthread_mutex_init(&c->lock, NULL);
    end->sink = (NetSink){c, on_arrived};
    *out = &c->card;
    return 0;
}
