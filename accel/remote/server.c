/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/server.h"

#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { WATCH_DELAY_NS = 250 * 1000, STACK_BYTES = 1 << 20, HELD_BYTES = 16 * 1024 };

/* ---- the end ---- */
/* The watcher comes after delay_ns. A timer that is set already is left alone unless it is urgent,
 * as setting one costs more than a short run does: the watcher then looks how old the run is. */
static void watcher_call(Server *s, long delay_ns, bool is_urgent)
{
    struct itimerspec t = {.it_value.tv_nsec = delay_ns};
    if (s->has_watcher && (is_urgent || !s->is_timer_set)) {
        timerfd_settime(s->timer, 0, &t, NULL);
        s->is_timer_set = true;
    }
}

/* With the lock. The first cause stays. */
static void end_locked(Server *s, int rc, const Err *why)
{
    if (s->is_over) {
        return;
    }
    s->is_over = true;
    if (!s->rc) {
        s->rc = rc;
        s->why = *why;
    }
    for (VcpuSlot *v = s->vcpus; v; v = v->next) {
        if (v->be) {
            v->vm->vcpu_ops->kick(v->be);
        }
    }
    if (s->args.on_end) {
        s->args.on_end();
    }
    for (Thread *t = s->threads; t; t = t->next) {
        pthread_cond_signal(&t->cond);
    }
    pthread_cond_signal(&s->main.cond);
    watcher_call(s, 1, true);
    if (s->wake[1] >= 0) {
        ssize_t n = write(s->wake[1], "", 1);
        (void)n; /* a full pipe is readable too */
    }
}

static void end(Server *s, int rc, const Err *why)
{
    pthread_mutex_lock(&s->lock);
    end_locked(s, rc, why);
    pthread_mutex_unlock(&s->lock);
}

/* ---- answering ---- */
static void send_failed(Server *s, const char *what, int native)
{
    Err e = {0};
    int rc = err_native(&e, ERR_IO, native ? native : EPIPE, "the peer is gone, sending %s", what);
    end(s, rc, &e);
}

static void held_flush(Server *s)
{
    int rc = 0, native = 0;
    pthread_mutex_lock(&s->send_lock);
    if (s->held.n) {
        rc = wire_out_after(&s->out, &s->held, NULL, NULL, UINT64_MAX, &native);
        buf_clear(&s->held);
    }
    pthread_mutex_unlock(&s->send_lock);
    if (rc) {
        send_failed(s, "replies", native);
    }
}

static void send_message(Server *s, WireHead *h, const Buf *payload)
{
    int rc = 0, native = 0;
    uint16_t flags = h->flags;
    pthread_mutex_lock(&s->send_lock);
    for (size_t at = 0; !rc;) {
        size_t k = payload->n - at < s->max_frame ? payload->n - at : s->max_frame;
        h->length = (uint32_t)k;
        h->flags = flags | (at + k < payload->n ? WIRE_MORE : 0);
        rc = wire_out_after(&s->out, &s->held, h, k ? payload->data + at : NULL, UINT64_MAX, &native);
        buf_clear(&s->held);
        at += k;
        if (at == payload->n) {
            break;
        }
    }
    pthread_mutex_unlock(&s->send_lock);
    if (rc) {
        send_failed(s, wire_name(h->type), native);
    }
}

/* For a reply to a chained request: the client waits for the last of a chain, so all of them go at once. */
static void hold_message(Server *s, WireHead *h, const Buf *payload)
{
    pthread_mutex_lock(&s->send_lock);
    wire_put_message(&s->held, h, payload, s->max_frame);
    bool is_long = s->held.n > HELD_BYTES;
    pthread_mutex_unlock(&s->send_lock);
    if (is_long) {
        held_flush(s);
    }
}

static void reply(Server *s, const WireHead *request, uint16_t flags, const Buf *payload, bool is_held)
{
    WireHead h = *request;
    h.flags = WIRE_IS_REPLY | flags;
    if (is_held) {
        hold_message(s, &h, payload);
    } else {
        send_message(s, &h, payload);
    }
}

static void send_error(Server *s, const WireHead *request, int rc, Err *e, uint32_t bad, bool is_held)
{
    if (e->code != -rc) { /* a backend that forgot to say why */
        err_set(e, -rc, "%s: %s", wire_name(request->type), err_sentence(rc));
    }
    Buf b = {0};
    wire_put_err(&b, e, bad);
    reply(s, request, WIRE_IS_ERROR, &b, is_held);
    buf_free(&b);
}

/* The peer broke the rules: it is told, and the link ends. That is the cause even if the peer
 * closes first. */
static void abort_link(Server *s, int rc, const Err *e)
{
    Buf b = {0};
    pthread_mutex_lock(&s->lock);
    if (!s->is_over && !s->rc) {
        s->rc = rc;
        s->why = *e;
    }
    pthread_mutex_unlock(&s->lock);
    wire_put_err(&b, e, UINT32_MAX);
    WireHead h = {.type = WIRE_ABORT};
    send_message(s, &h, &b);
    buf_free(&b);
    end(s, rc, e);
}

/* Does one request; answer() tells the peer. */
static int execute(Ctx *x, const WireMsg *m, Err *e)
{
    x->in = cursor_of(m->payload, m->n);
    x->object = m->head.object;
    x->bad = UINT32_MAX;
    int rc = server_do(x, (WireType)m->head.type, e);
    if (x->is_torn) {
        rc = err_set(e, ERR_PROTO, "frame at offset %llu: %s does not parse", (unsigned long long)m->offset,
                     wire_name(m->head.type));
    }
    return rc;
}

static bool is_posted(const WireHead *h)
{
    return !h->seq && (h->type == WIRE_VM_DESTROY || h->type == WIRE_VCPU_DESTROY);
}

static void answer(Ctx *x, WireMsg *m, int rc, Err *e, bool is_reader)
{
    WireHead h = m->head;
    wire_msg_free(m);
    bool is_held = is_reader && h.flags & WIRE_CHAIN;
    if (x->is_torn) {
        abort_link(x->s, rc, e);
    } else if (is_posted(&h)) {
        /* nobody waits for it */
    } else if (rc) {
        send_error(x->s, &h, rc, e, x->bad, is_held);
    } else {
        reply(x->s, &h, 0, &x->out, is_held);
    }
    buf_free(&x->out);
}

/* With the lock: a request was done, or refused. */
static void chain_note(Server *s, uint16_t flags, int rc)
{
    if (flags & WIRE_CHAIN) {
        s->is_chain_busy = false;
        s->chain_failed = s->chain_failed || rc;
        pthread_cond_broadcast(&s->moved);
    }
}

/* With the lock: the vcpu was not created, or is destroyed. */
static void vcpu_slot_free(Server *s, VcpuSlot *v)
{
    VcpuSlot **at = &s->vcpus;
    while (*at != v) {
        at = &(*at)->next;
    }
    *at = v->next;
    v->owner->vcpu = NULL;
    v->vm->nvcpus--;
    s->nvcpus--;
    mem_free(v);
}

/* The owner does what is asked of its vcpu; without the lock. Once it is answered the next request
 * may be there. */
static void execute_vcpu(Thread *t, WireMsg *m)
{
    Server *s = t->server;
    VcpuSlot *v = t->vcpu;
    Ctx x = {.s = s, .vm = v->vm, .v = v};
    Err e = {0};
    int rc = execute(&x, m, &e);
    pthread_mutex_lock(&s->lock);
    s->nrunning -= wire_runs(m->head.type);
    v->is_busy = false;
    if (!v->be) {
        vcpu_slot_free(s, v);
        pthread_cond_broadcast(&s->moved);
    }
    bool is_reader = s->reader == t;
    uint16_t flags = m->head.flags;
    pthread_mutex_unlock(&s->lock);
    answer(&x, m, rc, &e, is_reader);
    if (flags & WIRE_CHAIN) { /* after the answer, as these are in order */
        pthread_mutex_lock(&s->lock);
        chain_note(s, flags, rc);
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- threads ---- */
static void *thread_main(void *arg);
static void *watcher_main(void *arg);

/* What threads need to wake each other. */
static int wake_open(Server *s, Err *err)
{
    if (s->timer >= 0) {
        return 0;
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (timer < 0 || pipe2(s->wake, O_CLOEXEC | O_NONBLOCK)) {
        int rc = err_native(err, ERR_IO, errno, "timer and pipe of a server");
        if (timer >= 0) {
            close(timer);
        }
        return rc;
    }
    s->timer = timer;
    s->out.wake_fd = s->wake[0];
    return 0;
}

static int thread_start(Server *s, Thread *t, void *(*entry)(void *), Err *err)
{
    pthread_attr_t attr;
    int rc = wake_open(s, err);
    if (rc) {
        return rc;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (s->args.cpus) {
        pthread_attr_setaffinity_np(&attr, sizeof *s->args.cpus, s->args.cpus);
    }
    t->server = s;
    pthread_cond_init(&t->cond, NULL);
    rc = pthread_create(&t->id, &attr, entry, t);
    pthread_attr_destroy(&attr);
    if (rc) {
        pthread_cond_destroy(&t->cond);
        return err_native(err, ERR_LIMIT, rc, "no thread for a vcpu");
    }
    return 0;
}

/* Whoever may own one more vcpu: the reader itself if it can. With the lock. */
static Thread *thread_free(Server *s, Thread *reader, Err *err)
{
    if (reader != &s->watcher && !reader->vcpu) {
        return reader;
    }
    if (!s->main.vcpu) {
        return &s->main;
    }
    for (Thread *t = s->threads; t; t = t->next) {
        if (!t->vcpu) {
            return t;
        }
    }
    Thread *t = x_alloc(sizeof *t);
    if (thread_start(s, t, thread_main, err)) {
        mem_free(t);
        return NULL;
    }
    t->next = s->threads;
    s->threads = t;
    return t;
}

/* The watcher is there once it may be needed: before the first run that may last. With the lock. */
static int watcher_start(Server *s, Err *err)
{
    int rc = s->has_watcher ? 0 : thread_start(s, &s->watcher, watcher_main, err);
    s->has_watcher = !rc;
    return rc;
}

/* A slot for VCPU_CREATE, with its owner. With the lock. */
static VcpuSlot *vcpu_slot_new(Server *s, VmSlot *vm, uint32_t handle, Thread *reader, Err *err)
{
    if (s->nvcpus >= WIRE_VCPUS_MAX) {
        err_set(err, ERR_LIMIT, "no more than %d vcpus over one link", WIRE_VCPUS_MAX);
        return NULL;
    }
    Thread *owner = thread_free(s, reader, err);
    if (!owner) {
        return NULL;
    }
    VcpuSlot *v = x_alloc(sizeof *v);
    *v = (VcpuSlot){.next = s->vcpus, .handle = handle, .vm = vm, .owner = owner};
    s->vcpus = v;
    s->nvcpus++;
    vm->nvcpus++;
    owner->vcpu = v;
    return v;
}

/* ---- routing; all with the lock ---- */
static VmSlot *vm_of(Server *s, uint32_t handle)
{
    VmSlot *vm = s->vms;
    while (vm && vm->handle != handle) {
        vm = vm->next;
    }
    return vm;
}

static VcpuSlot *vcpu_of(Server *s, uint32_t handle)
{
    VcpuSlot *v = s->vcpus;
    while (v && v->handle != handle) {
        v = v->next;
    }
    return v;
}

bool server_has(const Server *s, uint32_t handle)
{
    return !handle || vm_of((Server *)s, handle) || vcpu_of((Server *)s, handle);
}

static void role_release(Server *s, bool is_alone)
{
    bool is_urgent = !is_alone || s->in.at != s->in.n;
    s->reader = NULL;
    s->released_ns = is_urgent ? 0 : os_now_ns();
    watcher_call(s, is_urgent ? 1 : WATCH_DELAY_NS, is_urgent);
}

static void reply_error(Server *s, WireMsg *m, int rc, Err *e)
{
    chain_note(s, m->head.flags, rc);
    pthread_mutex_unlock(&s->lock);
    if (!is_posted(&m->head)) {
        send_error(s, &m->head, rc, e, UINT32_MAX, m->head.flags & WIRE_CHAIN);
    }
    wire_msg_free(m);
    pthread_mutex_lock(&s->lock);
}

static void route_vcpu(Server *s, Thread *t, WireMsg *m, VcpuSlot *v)
{
    Err e = {0};
    if (v->is_busy) {
        reply_error(s, m, err_set(&e, ERR_BUSY, "one request per vcpu at a time"), &e);
        return;
    }
    bool is_run = wire_runs(m->head.type);
    bool is_mine = v->owner == t;
    const VcpuOps *ops = v->vm->vcpu_ops;
    bool is_long = is_run && is_mine && !(ops->is_brief && v->be && ops->is_brief(v->be));
    int rc = is_long ? watcher_start(s, &e) : 0;
    if (rc) {
        reply_error(s, m, rc, &e);
        return;
    }
    v->is_busy = true;
    v->is_going = m->head.type == WIRE_VCPU_DESTROY;
    s->nrunning += is_run;
    if (!is_mine) {
        s->is_chain_busy = m->head.flags & WIRE_CHAIN;
        v->owner->mail = *m;
        v->owner->has_mail = true;
        pthread_cond_signal(&v->owner->cond);
        return;
    }
    if (is_long) {
        role_release(s, s->nrunning == 1);
    }
    pthread_mutex_unlock(&s->lock);
    execute_vcpu(t, m);
    pthread_mutex_lock(&s->lock);
}

static void route_vm(Server *s, WireMsg *m, VmSlot *vm)
{
    Ctx x = {.s = s, .vm = vm};
    Err e = {0};
    pthread_mutex_unlock(&s->lock);
    int rc = execute(&x, m, &e);
    pthread_mutex_lock(&s->lock);
    chain_note(s, m->head.flags, rc);
    pthread_mutex_unlock(&s->lock);
    answer(&x, m, rc, &e, true);
    pthread_mutex_lock(&s->lock);
}

static bool has_going(const Server *s, const VmSlot *vm)
{
    for (const VcpuSlot *v = s->vcpus; v; v = v->next) {
        if (v->vm == vm && v->is_going) {
            return true;
        }
    }
    return false;
}

/* The destruction of a vcpu may not be answered, and may be with another thread: it is over before that of its VM. */
static void route_vm_destroy(Server *s, WireMsg *m, VmSlot *vm)
{
    while (has_going(s, vm) && !s->is_over) {
        pthread_cond_wait(&s->moved, &s->lock);
    }
    route_vm(s, m, vm);
}

static void route_vcpu_create(Server *s, Thread *t, WireMsg *m, VmSlot *vm)
{
    Err e = {0};
    Cursor c = cursor_of(m->payload, m->n);
    uint32_t handle = (uint32_t)cursor_le(&c, 4);
    VcpuSlot *v = NULL;
    if (cursor_ok(&c) && server_has(s, handle)) { /* a payload that is too short is found by what parses it */
        err_set(&e, ERR_EXIST, "VCPU_CREATE: %u is no new object", handle);
    } else {
        v = vcpu_slot_new(s, vm, handle, t, &e);
    }
    if (v) {
        route_vcpu(s, t, m, v);
    } else {
        reply_error(s, m, -e.code, &e);
    }
}

static void route_kick(Server *s, WireMsg *m)
{
    VcpuSlot *v = vcpu_of(s, m->head.object);
    if (v && v->be) { /* else it was destroyed meanwhile */
        v->vm->vcpu_ops->kick(v->be);
    }
}

/* Whether the type is one that a client may send now, and needs an object of that kind. */
static bool is_request(const Server *s, const WireMsg *m)
{
    WireType type = (WireType)m->head.type;
    bool may_chain = type != WIRE_HELLO && !wire_runs(type) && m->head.seq;
    return !(m->head.flags & ~(unsigned)(may_chain ? WIRE_CHAIN : 0)) && type != WIRE_ABORT &&
           (s->backend || type == WIRE_HELLO);
}

/* Before a request is done: a chained one waits for the one before it, any other ends a chain. false: it is not to be
 * tried. With the lock. */
static bool chain_take(Server *s, const WireMsg *m)
{
    if (!(m->head.flags & WIRE_CHAIN)) {
        s->chain_failed = false;
        pthread_mutex_unlock(&s->lock);
        held_flush(s);
        pthread_mutex_lock(&s->lock);
        return true;
    }
    while (s->is_chain_busy && !s->is_over) {
        pthread_cond_wait(&s->moved, &s->lock);
    }
    return !s->chain_failed;
}

static void route(Server *s, Thread *t, WireMsg *m)
{
    Err e = {0};
    if (!is_request(s, m)) {
        int rc = err_set(&e, ERR_PROTO, "frame at offset %llu: no place for %s", (unsigned long long)m->offset,
                         wire_name(m->head.type));
        wire_msg_free(m);
        pthread_mutex_unlock(&s->lock);
        abort_link(s, rc, &e);
        pthread_mutex_lock(&s->lock);
        return;
    }
    if (m->head.type == WIRE_KICK) {
        route_kick(s, m);
        return;
    }
    bool is_tried = chain_take(s, m);
    if (s->is_over) { /* meanwhile: who would do it may have looked into its mail for the last time */
        wire_msg_free(m);
        return;
    }
    if (!is_tried) {
        reply_error(s, m, err_set(&e, ERR_STATE, "not tried: a request before it failed"), &e);
        return;
    }
    bool makes_vm = m->head.type == WIRE_VM_WITH_BOARD || m->head.type == WIRE_VM_CREATE;
    bool is_vcpu_op = m->head.type > WIRE_VCPU_CREATE;
    VcpuSlot *v = vcpu_of(s, m->head.object);
    VmSlot *vm = vm_of(s, m->head.object);
    if (makes_vm || m->head.type < WIRE_VM_CREATE) {
        route_vm(s, m, NULL);
    } else if (v && (is_vcpu_op || m->head.type == WIRE_CTL)) {
        route_vcpu(s, t, m, v);
    } else if (!vm || is_vcpu_op) {
        reply_error(s, m, err_set(&e, ERR_NOENT, "%s: no object %u", wire_name(m->head.type), m->head.object), &e);
    } else if (m->head.type == WIRE_VM_DESTROY) {
        route_vm_destroy(s, m, vm);
    } else if (m->head.type != WIRE_VCPU_CREATE) {
        route_vm(s, m, vm);
    } else {
        route_vcpu_create(s, t, m, vm);
    }
}

/* The watcher, without the lock: waits until it is called; then, with the lock, takes a role that
 * is free long enough. */
static void watcher_wait(Server *s)
{
    uint64_t nexpired;
    ssize_t n = read(s->timer, &nexpired, sizeof nexpired);
    (void)n; /* whatever woke it, it looks */
    pthread_mutex_lock(&s->lock);
    s->is_timer_set = false;
    if (s->reader) {
        return;
    }
    if (os_now_ns() - s->released_ns >= WATCH_DELAY_NS / 2) {
        s->reader = &s->watcher;
    } else {
        watcher_call(s, WATCH_DELAY_NS, false);
    }
}

/* One step of the reader: a message, or some bytes. With the lock. */
static void reader_step(Server *s, Thread *t)
{
    WireMsg m;
    Err e = {0};
    int rc = wire_in_next(&s->in, &m, &e);
    if (rc > 0) {
        route(s, t, &m);
        return;
    }
    if (rc < 0) {
        pthread_mutex_unlock(&s->lock);
        abort_link(s, rc, &e);
        pthread_mutex_lock(&s->lock);
        return;
    }
    bool is_watcher = t == &s->watcher;
    struct pollfd p[3] = {
        {.fd = s->in.fd, .events = POLLIN}, {.fd = s->wake[0], .events = POLLIN}, {.fd = s->timer, .events = POLLIN}};
    s->is_polling = is_watcher;
    bool is_between =
        s->in.at == s->in.n && !s->in.has_part; /* else a request has begun: held replies may wait for it */
    pthread_mutex_unlock(&s->lock);
    if (is_between) {
        held_flush(s);
    }
    poll(p, is_watcher ? 3 : 2, -1); /* the watcher may have been robbed of the role, and be called again */
    if (is_watcher && p[2].revents) {
        watcher_wait(s);
    } else {
        pthread_mutex_lock(&s->lock);
    }
    s->is_polling = s->is_polling && !is_watcher;
    if (s->reader != t || s->is_over || !p[0].revents) {
        return;
    }
    pthread_mutex_unlock(&s->lock);
    bool is_eof;
    rc = wire_in_fill(&s->in, &is_eof, &e);
    pthread_mutex_lock(&s->lock);
    if (rc < 0 && is_eof && s->args.quit && !s->nvms) {
        s->args.quit(0);
    }
    if (rc < 0) {
        end_locked(s, is_eof ? 0 : rc, &e);
    }
}

/* The role is free, or with the watcher that merely waits, and no other vcpu runs that may need it
 * soon. */
static bool role_can_take(const Server *s)
{
    return !s->reader || (s->reader == &s->watcher && s->is_polling && !s->nrunning);
}

static void thread_loop(Thread *t)
{
    Server *s = t->server;
    pthread_mutex_lock(&s->lock);
    while (!s->is_over) {
        if (t->has_mail) {
            WireMsg m = t->mail;
            t->has_mail = false;
            pthread_mutex_unlock(&s->lock);
            execute_vcpu(t, &m);
            pthread_mutex_lock(&s->lock);
        } else if (s->reader == t) {
            reader_step(s, t);
        } else if (role_can_take(s)) {
            s->reader = t;
        } else {
            pthread_cond_wait(&t->cond, &s->lock);
        }
    }
    if (t->has_mail) {
        wire_msg_free(&t->mail);
    }
    VcpuSlot *v = t->vcpu;
    pthread_mutex_unlock(&s->lock);
    if (v && v->be) {
        server_vcpu_drop(s, v);
    }
}

static void *thread_main(void *arg)
{
    thread_loop(arg);
    return NULL;
}

static void *watcher_main(void *arg)
{
    Thread *t = arg;
    Server *s = t->server;
    pthread_mutex_lock(&s->lock);
    while (!s->is_over) {
        if (s->reader == t) {
            reader_step(s, t);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        watcher_wait(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life ---- */
/* The last thread: every other has ended, and each has given its vcpu back. */
static void server_close(Server *s)
{
    while (s->vcpus) {
        VcpuSlot *v = s->vcpus;
        s->vcpus = v->next;
        mem_free(v);
    }
    while (s->vms) {
        VmSlot *vm = s->vms;
        s->vms = vm->next;
        vm->ops->destroy(vm->be);
        pthread_mutex_destroy(&vm->lock);
        VEC_FREE(&vm->rams);
        mem_free(vm);
    }
    buf_free(&s->held);
    wire_in_free(&s->in);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->send_lock);
    pthread_cond_destroy(&s->main.cond);
    pthread_cond_destroy(&s->moved);
    if (s->timer >= 0) {
        close(s->wake[0]);
        close(s->wake[1]);
        close(s->timer);
    }
}

static void join_all(Server *s)
{
    if (s->has_watcher) {
        pthread_join(s->watcher.id, NULL);
        pthread_cond_destroy(&s->watcher.cond);
    }
    while (s->threads) {
        Thread *t = s->threads;
        s->threads = t->next;
        pthread_join(t->id, NULL);
        pthread_cond_destroy(&t->cond);
        mem_free(t);
    }
}

int server_run(const ServeArgs *args, Err *err)
{
    Server s = {.args = *args, .max_frame = WIRE_FRAME_MIN, .wake = {-1, -1}, .timer = -1};
    wire_in_init(&s.in, args->fd_in, WIRE_FRAME_MAX);
    s.out = wire_out_of(args->fd_out, -1);
    pthread_mutex_init(&s.lock, NULL);
    pthread_mutex_init(&s.send_lock, NULL);
    pthread_cond_init(&s.main.cond, NULL);
    pthread_cond_init(&s.moved, NULL);
    s.main.server = &s;
    s.reader = &s.main;
    thread_loop(&s.main);
    join_all(&s);
    server_close(&s);
    if (s.rc && err) {
        *err = s.why;
    }
    return s.rc;
}
