/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/link.h"

#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const uint64_t DEFAULT_LIMIT_NS = 10ull * 1000 * 1000 * 1000;
static const uint32_t RESERVED = UINT32_MAX; /* a slot whose vcpu is being created */
enum { HELD_BYTES = 64 * 1024 };

struct Call { /* on its caller's stack, in calls while it waits */
    Call *next;
    pthread_cond_t cond;
    WireMsg reply;
    uint32_t seq;
    uint16_t type;
    bool is_done;
};

/* ---- the one who writes ---- */
static bool writer_try(RemoteLink *l)
{
    bool expected = false;
    return atomic_compare_exchange_strong(&l->writer, &expected, true);
}

static void wake_reader(RemoteLink *l)
{
    if (l->wake[1] >= 0) {
        ssize_t n = write(l->wake[1], "", 1);
        (void)n; /* a full pipe is readable, which is all that is asked for */
    }
    if (l->out.is_socket) { /* the server notices, and who reads here; the descriptor stays until link_free */
        shutdown(l->out.fd, SHUT_RDWR);
    }
}

static uint64_t after(uint64_t limit_ns)
{
    uint64_t now = os_now_ns();
    return limit_ns > UINT64_MAX - now ? UINT64_MAX : now + limit_ns;
}

static void kick_write(RemoteLink *l, uint32_t handle)
{
    if (!handle || atomic_load(&l->is_broken)) {
        return;
    }
    WireHead h = {.type = WIRE_KICK, .object = handle};
    int native;
    if (wire_out_frame(&l->out, &h, NULL, after(atomic_load(&l->limit_ns)), &native)) {
        atomic_store(&l->has_kick_failed, true);
        atomic_store(&l->is_broken, true); /* half a frame may be out; the reader ends the link */
        wake_reader(l);
    }
}

static void kicks_flush(RemoteLink *l)
{
    if (!atomic_exchange(&l->has_kicks, false)) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(l->kicks); i++) {
        uint64_t bits = atomic_exchange(&l->kicks[i], 0);
        for (; bits; bits &= bits - 1) {
            uint32_t handle = atomic_load(&l->handles[i * 64 + (unsigned)__builtin_ctzll(bits)]);
            if (handle == RESERVED) { /* its VCPU_CREATE is not sent yet; link_slot_set looks again */
                atomic_fetch_or(&l->kicks[i], bits & -bits);
            } else {
                kick_write(l, handle);
            }
        }
    }
}

/* Sends what was kicked meanwhile. A kick that comes after the flush finds `writer` free, or is
 * seen here. */
static void writer_release(RemoteLink *l)
{
    do {
        kicks_flush(l);
        atomic_store(&l->writer, false);
    } while (atomic_load(&l->has_kicks) && writer_try(l));
}

/* Kickers hold it for one small frame only. */
static void writer_take(RemoteLink *l)
{
    while (!writer_try(l)) {
        sched_yield();
    }
}

void link_kick(RemoteLink *l, unsigned slot)
{
    int saved = errno;
    atomic_fetch_or(&l->kicks[slot / 64], 1ull << (slot % 64));
    atomic_store(&l->has_kicks, true);
    if (writer_try(l)) {
        writer_release(l);
    }
    errno = saved;
}

int link_slot_new(RemoteLink *l, Err *err)
{
    for (unsigned i = 0; i < WIRE_VCPUS_MAX; i++) {
        uint32_t expected = 0;
        if (atomic_compare_exchange_strong(&l->handles[i], &expected, RESERVED)) {
            return (int)i;
        }
    }
    return err_set(err, ERR_LIMIT, "no more than %d vcpus over one link", WIRE_VCPUS_MAX);
}

void link_slot_set(RemoteLink *l, unsigned slot, uint32_t handle)
{
    atomic_store(&l->handles[slot], handle);
    if (atomic_load(&l->kicks[slot / 64]) >> (slot % 64) & 1) {
        link_kick(l, slot);
    }
}

void link_slot_set_late(RemoteLink *l, unsigned slot, uint32_t handle)
{
    pthread_mutex_lock(&l->send_lock);
    bool is_sent = !l->held.n;
    if (!is_sent) {
        VEC_PUSH(&l->born, (uint64_t)slot << 32 | handle);
    }
    pthread_mutex_unlock(&l->send_lock);
    if (is_sent) {
        link_slot_set(l, slot, handle);
    }
}

void link_slot_free(RemoteLink *l, unsigned slot)
{
    writer_take(l); /* nobody is between reading the bit and the handle */
    atomic_fetch_and(&l->kicks[slot / 64], ~(1ull << (slot % 64)));
    atomic_store(&l->handles[slot], 0);
    writer_release(l);
}

/* ---- death ---- */
static void fail_locked(RemoteLink *l, const Err *why)
{
    if (l->is_dead) {
        return;
    }
    l->is_dead = true;
    l->dead = *why;
    atomic_store(&l->is_broken, true);
    for (Call *c = l->calls; c; c = c->next) {
        pthread_cond_signal(&c->cond);
    }
    wake_reader(l);
}

void link_fail(RemoteLink *l, const Err *why)
{
    pthread_mutex_lock(&l->lock);
    fail_locked(l, why);
    pthread_mutex_unlock(&l->lock);
}

int link_bad_reply(RemoteLink *l, const WireMsg *reply, Err *err)
{
    Err e = {0};
    err_set(&e, ERR_PROTO, "frame at offset %llu: the reply to %s does not parse", (unsigned long long)reply->offset,
            wire_name(reply->head.type));
    link_fail(l, &e);
    if (err) {
        *err = e;
    }
    return -ERR_PROTO;
}

/* ---- reading, by one of those who wait ---- */
static int peer_abort(const WireMsg *m, Err *err)
{
    Err e;
    uint32_t bad;
    Cursor c = cursor_of(m->payload, m->n);
    wire_get_err(&c, &e, &bad);
    if (!wire_done(&c)) {
        return err_set(err, ERR_PROTO, "frame at offset %llu: ABORT does not parse", (unsigned long long)m->offset);
    }
    *err = e;
    err_prefix(err, "the peer ended the link");
    return -e.code;
}

/* A reply to the first of what was put off: replies to these come in order. */
static int late_take(RemoteLink *l, WireMsg *m, Err *err)
{
    const Late *want = &l->late.items[l->late_at];
    const Buf none = {0}, *expected = want->expected ? want->expected : &none;
    Cursor c = cursor_of(m->payload, m->n);
    Err e = {0};
    uint32_t bad;
    bool ok = true;
    if (m->head.flags & WIRE_IS_ERROR) {
        wire_get_err(&c, &e, &bad);
        ok = wire_done(&c);
        if (ok && !l->late_error.code) {
            l->late_error = e;
        }
    } else if (!want->is_any) {
        ok = m->n == expected->n && (!m->n || !memcmp(m->payload, expected->data, m->n));
    }
    int rc = ok ? 0
                : err_set(err, ERR_PROTO, "frame at offset %llu: the reply to %s does not parse",
                          (unsigned long long)m->offset, wire_name(m->head.type));
    wire_msg_free(m);
    if (++l->late_at == l->late.n) {
        l->late.n = l->late_at = 0;
    }
    for (Call *o = l->calls; o; o = o->next) {
        if (!o->seq) { /* one that settles */
            pthread_cond_signal(&o->cond);
        }
    }
    return rc;
}

static int dispatch(RemoteLink *l, WireMsg *m, Err *err)
{
    if (m->head.type == WIRE_ABORT) {
        int rc = peer_abort(m, err);
        wire_msg_free(m);
        return rc;
    }
    const Late *late = l->late_at < l->late.n ? &l->late.items[l->late_at] : NULL;
    if (late && late->seq == m->head.seq && late->type == m->head.type && (m->head.flags & WIRE_IS_REPLY)) {
        return late_take(l, m, err);
    }
    for (Call *c = l->calls; c; c = c->next) {
        if (c->seq && c->seq == m->head.seq && c->type == m->head.type && !c->is_done &&
            (m->head.flags & WIRE_IS_REPLY)) {
            c->reply = *m;
            c->is_done = true;
            pthread_cond_signal(&c->cond);
            return 0;
        }
    }
    int rc = err_set(err, ERR_PROTO, "frame at offset %llu: %s with seq %u answers no request",
                     (unsigned long long)m->offset, wire_name(m->head.type), m->head.seq);
    wire_msg_free(m);
    return rc;
}

/* Called without the lock. 0, or what ends the link. */
static int read_bytes(RemoteLink *l, uint64_t deadline_ns, Err *err)
{
    struct pollfd p[2] = {{.fd = l->in.fd, .events = POLLIN}, {.fd = l->wake[0], .events = POLLIN}};
    uint64_t now = os_now_ns();
    uint64_t left_ms = deadline_ns <= now ? 0 : (deadline_ns - now) / 1000000 + 1;
    int n = poll(p, 2, deadline_ns == UINT64_MAX || left_ms > INT_MAX ? -1 : (int)left_ms);
    if (n > 0 && p[1].revents) {
        return err_set(err, ERR_IO, "the link was ended: a kick could not be sent"); /* unless a cause stands there */
    }
    if (n > 0 && p[0].revents) {
        bool is_eof;
        int rc = wire_in_fill(&l->in, &is_eof, err);
        if (rc < 0 && atomic_load(&l->has_kick_failed)) {
            return err_set(err, ERR_IO, "the link was ended: a kick could not be sent"); /* as above */
        }
        return rc < 0 ? rc : 0;
    }
    return 0;
}

static void read_step(RemoteLink *l, uint64_t deadline_ns)
{
    Err e = {0};
    l->has_reader = true;
    pthread_mutex_unlock(&l->lock);
    int rc = read_bytes(l, deadline_ns, &e);
    pthread_mutex_lock(&l->lock);
    WireMsg m;
    int more = 1;
    while (!rc && more) {
        more = wire_in_next(&l->in, &m, &e);
        rc = more < 0 ? more : more ? dispatch(l, &m, &e) : 0;
    }
    l->has_reader = false;
    if (rc) {
        fail_locked(l, &e);
    }
}

static void wait_signal(RemoteLink *l, Call *c, uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        pthread_cond_wait(&c->cond, &l->lock);
        return;
    }
    struct timespec t = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    pthread_cond_timedwait(&c->cond, &l->lock, &t);
}

/* With the lock: reads, or waits for who does. */
static void wait_step(RemoteLink *l, Call *c, uint64_t deadline_ns)
{
    if (!l->has_reader) {
        read_step(l, deadline_ns);
    } else {
        wait_signal(l, c, deadline_ns);
    }
}

/* With the lock. */
static void call_wait(RemoteLink *l, Call *c, uint64_t deadline_ns)
{
    while (!c->is_done && !l->is_dead) {
        if (os_now_ns() >= deadline_ns) {
            Err e = {0};
            err_set(&e, ERR_TIMEOUT, "no answer to %s in time", wire_name(c->type));
            fail_locked(l, &e);
        } else {
            wait_step(l, c, deadline_ns);
        }
    }
}

static void call_enter(RemoteLink *l, Call *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->cond, &attr);
    pthread_condattr_destroy(&attr);
    c->next = l->calls;
    l->calls = c;
}

static uint32_t seq_new(RemoteLink *l)
{
    return ++l->next_seq ? l->next_seq : ++l->next_seq;
}

/* Passes the reader's role on: nobody else reads if the one who did goes away with his reply. */
static void call_leave(RemoteLink *l, Call *c)
{
    for (Call **at = &l->calls; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    pthread_cond_destroy(&c->cond);
    for (Call *o = l->calls; o && !l->has_reader; o = o->next) {
        if (!o->is_done) {
            pthread_cond_signal(&o->cond);
            break;
        }
    }
}

/* One frame, after what was held back; h NULL: only that. With send_lock. */
static int send_frame(RemoteLink *l, const WireHead *h, const void *payload, uint64_t deadline_ns, int *native)
{
    writer_take(l);
    int rc = atomic_load(&l->is_broken) ? -ERR_IO : wire_out_after(&l->out, &l->held, h, payload, deadline_ns, native);
    if (rc) {
        atomic_store(&l->is_broken, true); /* no kick may follow half a frame */
    }
    writer_release(l);
    buf_clear(&l->held);
    for (size_t i = 0; i < l->born.n; i++) {
        link_slot_set(l, (unsigned)(l->born.items[i] >> 32), (uint32_t)l->born.items[i]);
    }
    l->born.n = 0;
    return rc;
}

static void send_failed(RemoteLink *l, int rc, int native, unsigned type)
{
    Err e = {0};
    if (rc == -ERR_TIMEOUT) {
        err_set(&e, ERR_TIMEOUT, "the peer does not take %s", wire_name(type));
    } else {
        err_native(&e, ERR_IO, native ? native : EPIPE, "the peer is gone, sending %s", wire_name(type));
    }
    link_fail(l, &e);
}

static void send_frames(RemoteLink *l, WireHead *h, const Buf *payload, uint64_t deadline_ns)
{
    int rc = 0, native = 0;
    pthread_mutex_lock(&l->send_lock);
    for (size_t at = 0; !rc;) {
        size_t k = payload->n - at < l->max_frame ? payload->n - at : l->max_frame;
        h->length = (uint32_t)k;
        h->flags = at + k < payload->n ? WIRE_MORE : 0;
        rc = send_frame(l, h, k ? payload->data + at : NULL, deadline_ns, &native);
        at += k;
        if (at == payload->n) {
            break;
        }
    }
    pthread_mutex_unlock(&l->send_lock);
    if (rc) {
        send_failed(l, rc, native, h->type);
    }
}

static void send_held(RemoteLink *l, unsigned type)
{
    int rc = 0, native = 0;
    pthread_mutex_lock(&l->send_lock);
    if (l->held.n) {
        rc = send_frame(l, NULL, NULL, after(atomic_load(&l->limit_ns)), &native);
    }
    pthread_mutex_unlock(&l->send_lock);
    if (rc) {
        send_failed(l, rc, native, type);
    }
}

static int take_reply(RemoteLink *l, WireMsg *reply, uint32_t *bad, Err *err)
{
    if (!(reply->head.flags & WIRE_IS_ERROR)) {
        return 0;
    }
    Err e;
    uint32_t index;
    Cursor c = cursor_of(reply->payload, reply->n);
    wire_get_err(&c, &e, &index);
    int rc = wire_done(&c) ? -e.code : link_bad_reply(l, reply, &e);
    wire_msg_free(reply);
    if (err) {
        *err = e;
    }
    if (bad) {
        *bad = index;
    }
    return rc;
}

int link_put_off(RemoteLink *l, Request *r, const Late *want, Err *err)
{
    Late late = *want;
    pthread_mutex_lock(&l->send_lock); /* seqs are in the order of the frames */
    pthread_mutex_lock(&l->lock);
    bool is_dead = l->is_dead;
    if (is_dead && err) {
        *err = l->dead;
    }
    int rc = is_dead ? -l->dead.code : 0;
    late.type = (uint16_t)r->type;
    late.seq = seq_new(l);
    if (!is_dead) {
        VEC_PUSH(&l->late, late);
    }
    size_t nlate = l->late.n - l->late_at;
    pthread_mutex_unlock(&l->lock);
    if (!is_dead) {
        WireHead h = {.type = late.type, .seq = late.seq, .object = r->object};
        h.flags = r->type == WIRE_HELLO ? 0 : WIRE_CHAIN;
        wire_put_message(&l->held, &h, &r->payload, l->max_frame);
    }
    bool is_long = l->held.n > HELD_BYTES;
    pthread_mutex_unlock(&l->send_lock);
    buf_free(&r->payload);
    if (nlate >= WIRE_CHAIN_MAX) { /* replies must not fill the way back while we still write */
        return link_settle(l, err);
    }
    if (is_long) {
        send_held(l, late.type);
    }
    return rc;
}

/* With the lock: the first that waits for its reply did so too long. */
static void late_expire(RemoteLink *l)
{
    Err e = {0};
    size_t n = l->late.n - l->late_at;
    const char *first = wire_name(l->late.items[l->late_at].type);
    if (n == 1) {
        err_set(&e, ERR_TIMEOUT, "no answer to %s in time", first);
    } else {
        err_set(&e, ERR_TIMEOUT, "no answer to one of %s to %s in time", first,
                wire_name(l->late.items[l->late.n - 1].type));
    }
    fail_locked(l, &e);
}

int link_settle(RemoteLink *l, Err *err)
{
    pthread_mutex_lock(&l->lock);
    if (l->late.n || l->late_error.code) {
        Call c = {.type = WIRE_OPEN};
        call_enter(l, &c);
        pthread_mutex_unlock(&l->lock);
        send_held(l, c.type);
        pthread_mutex_lock(&l->lock);
        uint64_t deadline_ns = 0;
        for (size_t nleft = SIZE_MAX; !l->is_dead && l->late.n;) {
            if (l->late.n - l->late_at < nleft) { /* each has the time of one request */
                nleft = l->late.n - l->late_at;
                deadline_ns = after(atomic_load(&l->limit_ns));
            }
            if (os_now_ns() >= deadline_ns) {
                late_expire(l);
            } else {
                wait_step(l, &c, deadline_ns);
            }
        }
        call_leave(l, &c);
    }
    const Err *e = l->late_error.code ? &l->late_error : l->is_dead ? &l->dead : NULL;
    int rc = e ? -e->code : 0;
    if (e && err) {
        *err = *e;
    }
    l->late_error.code = 0;
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void link_post(RemoteLink *l, Request *r, bool is_more)
{
    Err ignored;
    int rc = link_settle(l, &ignored); /* told by who settled, or of no interest any more */
    (void)rc;
    pthread_mutex_lock(&l->lock);
    bool is_dead = l->is_dead;
    pthread_mutex_unlock(&l->lock);
    WireHead h = {.type = (uint16_t)r->type, .object = r->object};
    if (!is_dead && is_more) {
        pthread_mutex_lock(&l->send_lock);
        wire_put_message(&l->held, &h, &r->payload, l->max_frame);
        pthread_mutex_unlock(&l->send_lock);
    } else if (!is_dead) {
        send_frames(l, &h, &r->payload, after(atomic_load(&l->limit_ns)));
    }
    buf_free(&r->payload);
}

int link_call(RemoteLink *l, Request *r, WireMsg *reply, uint32_t *bad, Err *err)
{
    Call c = {.type = (uint16_t)r->type};
    uint64_t limit = atomic_load(wire_runs(r->type) ? &l->run_limit_ns : &l->limit_ns);
    uint64_t deadline_ns = after(limit);
    *reply = (WireMsg){0};
    int late = link_settle(l, err);
    if (late) {
        buf_free(&r->payload);
        return late;
    }
    pthread_mutex_lock(&l->lock);
    call_enter(l, &c);
    c.seq = seq_new(l);
    bool is_dead = l->is_dead;
    pthread_mutex_unlock(&l->lock);
    if (!is_dead) {
        WireHead h = {.type = (uint16_t)r->type, .seq = c.seq, .object = r->object};
        /* Sending has a limit even for a RUN that may take for ever. */
        uint64_t send_ns = after(atomic_load(&l->limit_ns));
        send_frames(l, &h, &r->payload, send_ns < deadline_ns ? send_ns : deadline_ns);
    }
    buf_free(&r->payload);
    pthread_mutex_lock(&l->lock);
    call_wait(l, &c, deadline_ns);
    call_leave(l, &c);
    if (!c.is_done && err) {
        *err = l->dead;
    }
    int rc = c.is_done ? 0 : -l->dead.code;
    pthread_mutex_unlock(&l->lock);
    *reply = c.reply;
    return rc ? rc : take_reply(l, reply, bad, err);
}

/* ---- life ---- */
static int fd_prepare(int fd, Err *err)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) {
        return err_native(err, ERR_IO, errno, "descriptor %d of a link", fd);
    }
    return 0;
}

static RemoteLink *link_alloc(int fd_in, int fd_out)
{
    RemoteLink *l = x_alloc(sizeof *l);
    l->known = &l->own;
    wire_in_init(&l->in, fd_in, WIRE_FRAME_MAX);
    l->wake[0] = l->wake[1] = -1;
    l->out.fd = fd_out;
    l->max_frame = WIRE_FRAME_MIN;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->send_lock, NULL);
    atomic_store(&l->limit_ns, DEFAULT_LIMIT_NS);
    atomic_store(&l->run_limit_ns, UINT64_MAX);
    return l;
}

RemoteLink *link_new_socket(int fd)
{
    RemoteLink *l = link_alloc(fd, fd);
    l->out = (WireOut){.fd = fd, .is_socket = true, .wake_fd = -1};
    return l;
}

RemoteLink *link_new(int fd_in, int fd_out, Err *err)
{
    RemoteLink *l = link_alloc(fd_in, fd_out);
    int rc = fd_prepare(fd_in, err);
    rc = rc ? rc : fd_prepare(fd_out, err);
    if (!rc && pipe2(l->wake, O_CLOEXEC | O_NONBLOCK)) {
        rc = err_native(err, ERR_IO, errno, "pipe of a link");
    }
    if (rc) {
        link_free(l);
        return NULL;
    }
    l->out = wire_out_of(fd_out, l->wake[0]);
    return l;
}

void link_free(RemoteLink *l)
{
    close(l->in.fd);
    if (l->out.fd != l->in.fd) {
        close(l->out.fd);
    }
    if (l->wake[0] >= 0) {
        close(l->wake[0]);
        close(l->wake[1]);
    }
    wire_in_free(&l->in);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->send_lock);
    VEC_FREE(&l->late);
    VEC_FREE(&l->born);
    buf_free(&l->held);
    remote_known_free(&l->own);
    mem_free(l);
}
