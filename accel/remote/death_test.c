/* SPDX-License-Identifier: Apache-2.0
 * Peers that break the rules, at either end. */
#include "accel/remote/link.h"
#include "accel/remote/server.h"
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- a hostile client: bytes to a server ---- */
typedef struct {
    int fd, server_fd, rc;
    pthread_t thread;
    Err err;
    WireIn in;
    uint32_t seq;
} Raw;

static void *raw_serve(void *arg)
{
    Raw *r = arg;
    r->rc = server_run(&(ServeArgs){.find = stub_find, .fd_in = r->server_fd, .fd_out = r->server_fd}, &r->err);
    return NULL;
}

static void raw_open(Raw *r)
{
    int pair[2];
    *r = (Raw){0};
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    r->fd = pair[0];
    r->server_fd = pair[1];
    wire_in_init(&r->in, r->fd, WIRE_FRAME_MAX);
    pthread_create(&r->thread, NULL, raw_serve, r);
}

static void raw_send(Raw *r, const WireHead *h, const void *payload)
{
    int native;
    WireOut out = wire_out_of(r->fd, -1);
    CHECK_INT(wire_out_frame(&out, h, payload, UINT64_MAX, &native), 0);
}

/* Sends a request and gives the answer: type << 8 | flags, or a negative error. */
static int raw_ask(Raw *r, WireType type, uint32_t object, const Buf *payload, WireMsg *m)
{
    WireHead h = {.type = (uint16_t)type, .seq = ++r->seq, .object = object, .length = (uint32_t)payload->n};
    raw_send(r, &h, payload->data);
    Err e;
    bool is_eof;
    int rc = 0;
    while (rc >= 0 && (rc = wire_in_next(&r->in, m, &e)) == 0) {
        rc = wire_in_fill(&r->in, &is_eof, &e);
        rc = rc > 0 ? 0 : rc;
    }
    return rc < 0 ? rc : m->head.type << 8 | m->head.flags;
}

/* As raw_ask, the answer's error code, or 0; the ABORT of a link that ended is ERR_PROTO too. */
static int raw_error(Raw *r, WireType type, uint32_t object, Buf *payload)
{
    WireMsg m = {0};
    Err e = {0};
    uint32_t bad;
    int rc = raw_ask(r, type, object, payload, &m);
    if (rc > 0 && ((rc & WIRE_IS_ERROR) || m.head.type == WIRE_ABORT)) {
        Cursor c = cursor_of(m.payload, m.n);
        wire_get_err(&c, &e, &bad);
        CHECK(wire_done(&c));
    }
    wire_msg_free(&m);
    buf_free(payload);
    return rc < 0 ? -rc : e.code;
}

static void raw_close(Raw *r, int want_rc)
{
    close(r->fd);
    pthread_join(r->thread, NULL);
    close(r->server_fd);
    wire_in_free(&r->in);
    CHECK_INT(r->rc, want_rc);
    CHECK_INT(atomic_load(&stub_vms), 0);
    CHECK_INT(atomic_load(&stub_vcpus), 0);
}

static Buf hello(uint32_t magic, unsigned oldest, unsigned newest, uint32_t max_frame, const char *name)
{
    Buf b = {0};
    buf_le(&b, magic, 4);
    buf_le(&b, oldest, 2);
    buf_le(&b, newest, 2);
    buf_le(&b, max_frame, 4);
    wire_put_str(&b, name);
    return b;
}

TEST(remote_death, a_server_refuses_a_bad_hello)
{
    static const struct {
        uint32_t magic, oldest, newest, max_frame;
        const char *name;
        int code, rc;
    } cases[] = {
        {WIRE_MAGIC, 2, 2, 4096, "stub", 0, 0},
        {WIRE_MAGIC, 1, 1, 4096, "stub", ERR_VERSION, 0},
        {WIRE_MAGIC, 4, 9, 4096, "stub", ERR_VERSION, 0},
        {WIRE_MAGIC, 3, 2, 4096, "stub", ERR_VERSION, 0},
        {WIRE_MAGIC, 0, 0, 4096, "stub", ERR_VERSION, 0},
        {WIRE_MAGIC, 0, 9, 4096, "stub", 0, 0},
        {WIRE_MAGIC, 2, 2, 4096, "kv", ERR_NOENT, 0},
        {WIRE_MAGIC + 1, 2, 2, 4096, "stub", ERR_PROTO, -ERR_PROTO},
        {WIRE_MAGIC, 2, 2, 100, "stub", ERR_PROTO, -ERR_PROTO},
        {WIRE_MAGIC, 2, 2, 4096, NULL, ERR_PROTO, -ERR_PROTO},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Raw r;
        raw_open(&r);
        Buf b = hello(cases[i].magic, cases[i].oldest, cases[i].newest, cases[i].max_frame, cases[i].name);
        CHECK_INT(raw_error(&r, WIRE_HELLO, 0, &b), cases[i].code);
        raw_close(&r, cases[i].rc);
    }
}

TEST(remote_death, a_client_of_version_2_is_told_no_isa)
{
    for (unsigned version = WIRE_OLDEST; version <= WIRE_VERSION; version++) {
        static const uint8_t isa[] = {6, 0, 'r', 'v', '6', '4', 'g', 'c'};
        Raw r;
        WireMsg m = {0};
        raw_open(&r);
        Buf b = hello(WIRE_MAGIC, version, version, 4096, "stub");
        CHECK_INT(raw_error(&r, WIRE_HELLO, 0, &b), 0);
        buf_le(&b, GUEST_x86_64, 1);
        CHECK_INT(raw_ask(&r, WIRE_OPEN, 0, &b, &m), WIRE_OPEN << 8 | WIRE_IS_REPLY);
        bool has_isa = m.n > sizeof isa && !memcmp(m.payload + m.n - sizeof isa, isa, sizeof isa);
        CHECK(has_isa == (version >= WIRE_VERSION));
        wire_msg_free(&m);
        buf_free(&b);
        raw_close(&r, 0);
    }
}

TEST(remote_death, a_server_ends_with_a_client_that_stops_anywhere)
{
    Buf h = hello(WIRE_MAGIC, WIRE_VERSION, WIRE_VERSION, 4096, "stub");
    uint8_t head[WIRE_HEADER];
    wire_head_put(head, &(WireHead){.type = WIRE_HELLO, .seq = 1, .length = (uint32_t)h.n});
    Buf all = {0};
    buf_bytes(&all, head, sizeof head);
    buf_bytes(&all, h.data, h.n);
    for (size_t n = 0; n < all.n; n++) {
        Raw r;
        raw_open(&r);
        CHECK(n == 0 || write(r.fd, all.data, n) == (ssize_t)n);
        if (n == 1) { /* half a frame, and nothing more for a while */
            poll(NULL, 0, 20);
        }
        raw_close(&r, n == 0 ? 0 : -ERR_IO);
    }
    buf_free(&all);
    buf_free(&h);
}

static void raw_ready(Raw *r)
{
    raw_open(r);
    Buf b = hello(WIRE_MAGIC, WIRE_VERSION, WIRE_VERSION, 4096, "stub");
    CHECK_INT(raw_error(r, WIRE_HELLO, 0, &b), 0);
    buf_le(&b, GUEST_x86_64, 1);
    CHECK_INT(raw_error(r, WIRE_OPEN, 0, &b), 0);
}

static Buf vm_config(unsigned guest, unsigned env)
{
    Buf b = {0};
    const uint8_t small[] = {(uint8_t)guest, (uint8_t)env, 0, 0};
    buf_bytes(&b, small, sizeof small);
    buf_le(&b, 0, 8);
    buf_le(&b, 0, 8);
    wire_put_str(&b, NULL);
    wire_put_str(&b, NULL);
    return b;
}

enum { VM = 71, VCPU = 5 }; /* numbers that a client may choose */

static void raw_vm(Raw *r)
{
    Buf b = vm_config(GUEST_x86_64, 0);
    CHECK_INT(raw_error(r, WIRE_VM_CREATE, VM, &b), 0);
}

static Buf vcpu_config(uint32_t handle, unsigned id)
{
    Buf b = {0};
    buf_le(&b, handle, 4);
    buf_le(&b, id, 1);
    buf_le(&b, 0, 1);
    buf_le(&b, 0, 8);
    buf_le(&b, 0, 8);
    return b;
}

static void raw_vcpu(Raw *r, unsigned id)
{
    Buf b = vcpu_config(VCPU, id);
    CHECK_INT(raw_error(r, WIRE_VCPU_CREATE, VM, &b), 0);
}

TEST(remote_death, a_server_answers_what_is_well_formed_but_wrong)
{
    Raw r;
    Buf b = {0};
    raw_ready(&r);
    b = hello(WIRE_MAGIC, WIRE_VERSION, WIRE_VERSION, 4096, "stub");
    CHECK_INT(raw_error(&r, WIRE_HELLO, 0, &b), ERR_STATE);
    b = vm_config(GUEST_riscv64, 0);
    CHECK_INT(raw_error(&r, WIRE_VM_CREATE, VM, &b), ERR_STATE); /* not opened */
    CHECK_INT(raw_error(&r, WIRE_RUN, VM, &b), ERR_NOENT);
    CHECK_INT(raw_error(&r, WIRE_VM_DESTROY, VM, &b), ERR_NOENT);
    b = vm_config(GUEST_x86_64, 0);
    CHECK_INT(raw_error(&r, WIRE_VM_CREATE, 0, &b), ERR_EXIST);
    raw_vm(&r);
    raw_vcpu(&r, 0);
    b = vm_config(GUEST_x86_64, 0);
    CHECK_INT(raw_error(&r, WIRE_VM_CREATE, VCPU, &b), ERR_EXIST); /* one space of numbers */
    b = vcpu_config(VM, 1);
    CHECK_INT(raw_error(&r, WIRE_VCPU_CREATE, VM, &b), ERR_EXIST);
    b = vcpu_config(0, 1);
    CHECK_INT(raw_error(&r, WIRE_VCPU_CREATE, VM, &b), ERR_EXIST);
    for (int i = 0; i < 2; i++) {
        buf_le(&b, 9, 4);
        buf_le(&b, 65536, 8);
        CHECK_INT(raw_error(&r, WIRE_RAM_CREATE, VM, &b), i ? ERR_EXIST : 0);
    }
    for (uint32_t i = 0; i < 4; i++) { /* the last two words: ram 8, flags R */
        buf_le(&b, i == 3 ? 8 | (uint64_t)1 << 32 : 65536, 8);
    }
    CHECK_INT(raw_error(&r, WIRE_MAP, VM, &b), ERR_NOENT);
    CHECK_INT(raw_error(&r, WIRE_VM_DESTROY, VM, &b), ERR_BUSY);
    CHECK_INT(raw_error(&r, WIRE_BIND, VCPU, &b), ERR_UNSUPPORTED);
    CHECK_INT(raw_error(&r, WIRE_BIND, VM, &b), ERR_NOENT);
    buf_le(&b, 4096, 8);
    buf_le(&b, 1, 8);
    CHECK_INT(raw_error(&r, WIRE_UNMAP, VM, &b), ERR_UNSUPPORTED);
    raw_send(&r, &(WireHead){.type = WIRE_KICK, .object = 12345}, NULL); /* to nobody */
    for (int i = 0; i < 600; i++) {
        buf_le(&b, REG_ID(GUEST_x86_64, 15, REG_NATIVE, i), 8);
    }
    Buf list = {0};
    buf_le(&list, 600, 4);
    buf_bytes(&list, b.data, b.n); /* 600 registers of 32 KiB */
    buf_free(&b);
    CHECK(raw_error(&r, WIRE_GET_REGS, VCPU, &list) == ERR_LIMIT);
    raw_close(&r, 0); /* with a VM and a vcpu still there */
}

/* Each payload is torn: the server says so and ends. */
TEST(remote_death, a_server_ends_on_payloads_that_do_not_parse)
{
    static const WireType types[] = {WIRE_OPEN,        WIRE_VM_CREATE, WIRE_RAM_CREATE, WIRE_MAP,      WIRE_UNMAP,
                                     WIRE_MEM_READ,    WIRE_MEM_WRITE, WIRE_DIRTY_GET,  WIRE_IRQ_LINE, WIRE_MSI,
                                     WIRE_INTERCEPT,   WIRE_CLOCK,     WIRE_RESTORE,    WIRE_CTL,      WIRE_POWER,
                                     WIRE_VCPU_CREATE, WIRE_SETUP,     WIRE_RUN,        WIRE_REPLY,    WIRE_GET_REGS,
                                     WIRE_SET_REGS,    WIRE_INJECT,    WIRE_BREAKS};
    static const WireType surplus[] = {WIRE_VM_DESTROY, WIRE_SAVE,   WIRE_VCPU_DESTROY,
                                       WIRE_BIND,       WIRE_UNBIND, WIRE_REG_LIST};
    for (size_t i = 0; i < ARRAY_LEN(types) + ARRAY_LEN(surplus); i++) {
        bool is_short = i < ARRAY_LEN(types);
        WireType type = is_short ? types[i] : surplus[i - ARRAY_LEN(types)];
        Raw r;
        raw_ready(&r);
        raw_vm(&r);
        raw_vcpu(&r, 1);
        Buf payload = {0};
        if (!is_short || type == WIRE_SET_REGS) {
            buf_le(&payload, 0x11111111, 4);
        }
        CHECK_INT(raw_error(&r, type, type > WIRE_VCPU_CREATE ? VCPU : VM, &payload), ERR_PROTO);
        raw_close(&r, -ERR_PROTO);
        CHECK_HAS(r.err.text, wire_name(type));
    }
}

TEST(remote_death, a_server_ends_on_frames_out_of_place)
{
    static const WireHead heads[] = {
        {.type = WIRE_ABORT, .seq = 9},
        {.type = WIRE_RUN, .flags = WIRE_IS_REPLY, .seq = 9},
        {.type = 77, .seq = 9},
        {.type = WIRE_RUN, .length = UINT32_MAX, .seq = 9},
        {.type = WIRE_HELLO, .flags = WIRE_CHAIN, .seq = 9},
        {.type = WIRE_RUN, .flags = WIRE_CHAIN, .seq = 9},
        {.type = WIRE_VM_DESTROY, .flags = WIRE_CHAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        Raw r;
        uint8_t head[WIRE_HEADER];
        raw_ready(&r);
        wire_head_put(head, &heads[i]);
        CHECK(write(r.fd, head, sizeof head) == sizeof head);
        pthread_join(r.thread, NULL); /* before we close */
        r.thread = 0;
        CHECK_INT(r.rc, -ERR_PROTO);
        CHECK_HAS(r.err.text, "frame at offset ");
        close(r.fd);
        close(r.server_fd);
        wire_in_free(&r.in);
    }
    Raw r;
    Buf none = {0};
    raw_open(&r);
    CHECK_INT(raw_error(&r, WIRE_OPEN, 0, &none), ERR_PROTO); /* before hello */
    raw_close(&r, -ERR_PROTO);
}

static void chain(Buf *b, Raw *r, WireType type, uint32_t object, Buf *payload)
{
    WireHead h = {.type = (uint16_t)type, .flags = WIRE_CHAIN, .seq = ++r->seq, .object = object};
    wire_put_message(b, &h, payload, 4096);
    buf_free(payload);
}

/* The error codes of the next n replies, which must be to the requests from seq `first` on, one after the other. */
static void chain_answers(Raw *r, uint32_t first, const int *codes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        WireMsg m = {0};
        Err e = {0};
        bool is_eof;
        uint32_t bad;
        int rc = 0;
        while (rc >= 0 && (rc = wire_in_next(&r->in, &m, &e)) == 0) {
            rc = wire_in_fill(&r->in, &is_eof, &e);
            rc = rc > 0 ? 0 : rc;
        }
        CHECK_INT(rc, 1);
        CHECK_INT(m.head.seq, first + i);
        if (m.head.flags & WIRE_IS_ERROR) {
            Cursor c = cursor_of(m.payload, m.n);
            wire_get_err(&c, &e, &bad);
        }
        CHECK_INT(e.code, codes[i]);
        wire_msg_free(&m);
    }
}

TEST(remote_death, a_chain_is_done_in_order_until_one_fails)
{
    Raw r;
    Buf b = {0}, p = {0};
    raw_ready(&r);
    uint32_t first = r.seq + 1;
    p = vm_config(GUEST_x86_64, 0);
    chain(&b, &r, WIRE_VM_CREATE, VM, &p);
    for (unsigned i = 0; i < 3; i++) { /* on threads of their own, yet one after the other */
        p = vcpu_config(VCPU + i, i);
        chain(&b, &r, WIRE_VCPU_CREATE, VM, &p);
        buf_le(&p, 0, 8);
        buf_le(&p, 0, 8);
        buf_le(&p, 0, 1);
        chain(&b, &r, WIRE_SETUP, VCPU + i, &p);
    }
    chain(&b, &r, WIRE_BIND, VCPU, &p); /* which the stub has not */
    p = vcpu_config(VCPU + 9, 9);
    chain(&b, &r, WIRE_VCPU_CREATE, VM, &p);
    chain(&b, &r, WIRE_VCPU_DESTROY, VCPU, &p);
    CHECK(write(r.fd, b.data, b.n) == (ssize_t)b.n);
    const int codes[] = {0, 0, 0, 0, 0, 0, 0, ERR_UNSUPPORTED, ERR_STATE, ERR_STATE};
    chain_answers(&r, first, codes, ARRAY_LEN(codes));
    CHECK_INT(atomic_load(&stub_vcpus), 3);
    CHECK_INT(raw_error(&r, WIRE_UNBIND, VCPU + 9, &p), ERR_NOENT); /* no part of a chain: it ends there */
    buf_clear(&b);
    first = r.seq + 1;
    p = vcpu_config(VCPU + 9, 9);
    chain(&b, &r, WIRE_VCPU_CREATE, VM, &p);
    CHECK(write(r.fd, b.data, b.n) == (ssize_t)b.n);
    chain_answers(&r, first, (const int[]){0}, 1);
    buf_free(&b);
    raw_close(&r, 0);
}

/* A hang is seen although nothing was answered yet; a reply that is held comes before that of a run. */
TEST(remote_death, replies_to_a_chain_do_not_wait_for_a_run)
{
    Raw r;
    Buf b = {0}, p = {0};
    raw_ready(&r);
    raw_vm(&r);
    raw_vcpu(&r, 0);
    uint32_t first = r.seq + 1;
    buf_le(&p, 0, 8);
    buf_le(&p, 0, 8);
    buf_le(&p, 0, 1);
    chain(&b, &r, WIRE_SETUP, VCPU, &p);
    buf_le(&p, 1, 4);
    buf_le(&p, STUB_REG(0), 8);
    buf_le(&p, STUB_SPIN, 8);
    chain(&b, &r, WIRE_SET_REGS, VCPU, &p);
    buf_le(&p, UINT64_MAX, 8);
    buf_le(&p, UINT64_MAX, 8);
    buf_le(&p, 0, 1);
    buf_le(&p, 0, 4);
    wire_put_message(&b, &(WireHead){.type = WIRE_RUN, .seq = 1000, .object = VCPU}, &p, 4096);
    CHECK(write(r.fd, b.data, b.n) == (ssize_t)b.n);
    chain_answers(&r, first, (const int[]){0, 0}, 2);
    buf_free(&b);
    buf_free(&p);
    raw_close(&r, 0);
}

TEST(remote_death, a_second_request_for_a_running_vcpu_is_busy)
{
    Raw r;
    raw_ready(&r);
    Buf b = {0};
    raw_vm(&r);
    raw_vcpu(&r, 0);
    buf_le(&b, 0, 8);
    buf_le(&b, 0, 8);
    buf_le(&b, 0, 1);
    CHECK_INT(raw_error(&r, WIRE_SETUP, VCPU, &b), 0);
    buf_le(&b, 1, 4);
    buf_le(&b, STUB_REG(0), 8);
    buf_le(&b, STUB_SPIN, 8);
    CHECK_INT(raw_error(&r, WIRE_SET_REGS, VCPU, &b), 0);
    buf_le(&b, UINT64_MAX, 8);
    buf_le(&b, UINT64_MAX, 8);
    buf_le(&b, 0, 1);
    buf_le(&b, 0, 4);
    raw_send(&r, &(WireHead){.type = WIRE_RUN, .seq = 1000, .object = VCPU, .length = (uint32_t)b.n}, b.data);
    buf_free(&b);
    CHECK_INT(raw_error(&r, WIRE_REG_LIST, VCPU, &b), ERR_BUSY);
    CHECK_INT(raw_error(&r, WIRE_VCPU_DESTROY, VCPU, &b), ERR_BUSY);
    buf_le(&b, 0, 8);
    buf_le(&b, 16, 8);
    CHECK_INT(raw_error(&r, WIRE_MEM_READ, VM, &b), ERR_FAULT); /* the VM is served meanwhile */
    raw_close(&r, 0);                                           /* the run is kicked by our end */
}

/* ---- a hostile server: bytes to a client ---- */
typedef struct {
    const void *bytes;
    size_t n;
    bool stays;
} Script;

/* Connects to a peer that reads what comes and says only the script. */
static int client_meets(const Script *s, Err *err)
{
    int pair[2];
    RemoteLink *link = NULL;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(s->n == 0 || write(pair[1], s->bytes, s->n) == (ssize_t)s->n);
    if (!s->stays) {
        shutdown(pair[1], SHUT_WR);
    }
    int rc = remote_connect(pair[0], pair[0], "stub", 50000000, &link, err);
    remote_close(link);
    close(pair[1]);
    return rc;
}

static Buf hello_reply(uint32_t magic, unsigned version, unsigned flags)
{
    Buf p = {0}, b = {0};
    if (flags & WIRE_IS_ERROR) {
        wire_put_err(&p, &(Err){.code = ERR_NOENT, .text = "not here"}, 0);
    } else {
        buf_le(&p, magic, 4);
        buf_le(&p, version, 2);
        buf_le(&p, 4096, 4);
        buf_le(&p, 0, 1);
        buf_le(&p, UINT64_MAX, 8);
        wire_put_str(&p, "peer");
    }
    uint8_t head[WIRE_HEADER];
    wire_head_put(
        head,
        &(WireHead){.type = WIRE_HELLO, .flags = (uint16_t)(flags | WIRE_IS_REPLY), .seq = 1, .length = (uint32_t)p.n});
    buf_bytes(&b, head, sizeof head);
    buf_bytes(&b, p.data, p.n);
    buf_free(&p);
    return b;
}

TEST(remote_death, a_client_refuses_a_bad_server)
{
    Err e = {0};
    CHECK_INT(client_meets(&(Script){NULL, 0, true}, &e), -ERR_TIMEOUT);
    CHECK_HAS(e.text, "no answer to HELLO");
    CHECK_INT(client_meets(&(Script){NULL, 0, false}, &e), -ERR_IO);
    CHECK_INT(client_meets(&(Script){"login: \r\nPassword: ", 19, true}, &e), -ERR_PROTO);
    CHECK_STR(e.text, "frame at offset 0: it is none, but text: \"login: \"");
    Buf b = hello_reply(WIRE_MAGIC, WIRE_VERSION, 0);
    CHECK_INT(client_meets(&(Script){b.data, b.n, true}, &e), 0);
    CHECK_INT(client_meets(&(Script){b.data, b.n - 1, true}, &e), -ERR_TIMEOUT);
    CHECK_INT(client_meets(&(Script){b.data, b.n - 1, false}, &e), -ERR_IO);
    CHECK_HAS(e.text, "inside a message at offset");
    b.data[8] = 2; /* another seq */
    CHECK_INT(client_meets(&(Script){b.data, b.n, true}, &e), -ERR_PROTO);
    CHECK_HAS(e.text, "answers no request");
    buf_free(&b);
    b = hello_reply(WIRE_MAGIC, WIRE_VERSION + 1, 0);
    CHECK_INT(client_meets(&(Script){b.data, b.n, true}, &e), -ERR_VERSION);
    buf_free(&b);
    b = hello_reply(1, WIRE_VERSION, 0);
    CHECK_INT(client_meets(&(Script){b.data, b.n, true}, &e), -ERR_PROTO);
    CHECK_HAS(e.text, "does not parse");
    buf_free(&b);
    b = hello_reply(WIRE_MAGIC, WIRE_VERSION, WIRE_IS_ERROR);
    CHECK_INT(client_meets(&(Script){b.data, b.n, true}, &e), -ERR_NOENT);
    CHECK_STR(e.text, "not here");
    buf_free(&b);
}

TEST(remote_death, after_its_end_a_link_gives_the_same_error_at_once)
{
    int pair[2];
    RemoteLink *link = NULL;
    Err e = {0}, again = {0};
    Caps caps;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    Buf b = hello_reply(WIRE_MAGIC, WIRE_VERSION, 0);
    CHECK(write(pair[1], b.data, b.n) == (ssize_t)b.n);
    buf_free(&b);
    CHECK_INT(remote_connect(pair[0], pair[0], "stub", 60000000000u, &link, &e), 0);
    const Backend *be = remote_backend(link);
    CHECK_STR(be->name, "peer");
    remote_limits(link, 20000000, UINT64_MAX);
    CHECK_INT(be->open(be, GUEST_x86_64, &caps, &e), -ERR_TIMEOUT);
    remote_limits(link, 3600000000000u, UINT64_MAX);
    uint64_t start = os_now_ns();
    CHECK_INT(be->open(be, GUEST_x86_64, &caps, &again), -ERR_TIMEOUT);
    CHECK_STR(again.text, e.text);
    CHECK(os_now_ns() - start < 60000000000u);
    remote_close(link);
    close(pair[1]);
}

/* ---- the end during a run ---- */
static void *abort_soon(void *arg)
{
    Ends *e = arg;
    poll(NULL, 0, 20);
    remote_abort(e->link);
    return NULL;
}

TEST(remote_death, abort_ends_a_run)
{
    for (int is_pipes = 0; is_pipes < 2; is_pipes++) {
        Ends e;
        Err err = {0};
        VmExit exit;
        pthread_t thread;
        if (!ends_open(&e, is_pipes) || !ends_vcpu(&e)) {
            return;
        }
        CHECK_INT(stub_program(e.be, e.v, STUB_SPIN), 0);
        pthread_create(&thread, NULL, abort_soon, &e);
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, &err), -ERR_IO);
        CHECK_STR(err.text, "the link was aborted");
        pthread_join(thread, NULL);
        e.be->vcpu->kick(e.v); /* harmless */
        ends_close(&e);
        CHECK_INT(atomic_load(&stub_vcpus), 0);
    }
}

TEST(remote_death, a_deaf_run_ends_at_the_caller_s_patience)
{
    Ends e;
    Err err = {0};
    VmExit exit;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    CHECK_INT(stub_program(e.be, e.v, STUB_DEAF), 0);
    remote_limits(e.link, 60000000000u, 30000000);
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, &err), -ERR_TIMEOUT);
    CHECK_STR(err.text, "no answer to RUN in time");
    atomic_store(&stub_deaf_stop, 1);
    ends_close(&e);
    atomic_store(&stub_deaf_stop, 0);
    CHECK_INT(atomic_load(&stub_vcpus), 0);
}

/* ---- a kick that comes while another thread is stuck inside a frame ---- */
typedef struct {
    RemoteLink *link;
    int rc;
} Stuck;

static void *stuck_main(void *arg)
{
    enum { N = 1 << 20 }; /* more than a socket holds */
    Stuck *s = arg;
    uint8_t *p = x_alloc(N);
    Request r = {.type = WIRE_MEM_WRITE, .object = 5};
    buf_bytes(&r.payload, p, N);
    WireMsg m;
    s->rc = link_call(s->link, &r, &m, NULL, NULL);
    mem_free(p);
    return NULL;
}

/* Reads everything that the client sends; the number of KICK frames and of bytes in MEM_WRITE. */
static void read_peer(int fd, unsigned *nkicks, size_t *nbytes)
{
    WireIn in;
    WireMsg m;
    Err e = {0};
    bool is_eof;
    int rc = 0;
    wire_in_init(&in, fd, WIRE_FRAME_MAX);
    while (rc >= 0 && !*nbytes) {
        rc = wire_in_next(&in, &m, &e);
        if (rc > 0) {
            *nkicks += m.head.type == WIRE_KICK && m.head.object == 77;
            *nbytes += m.head.type == WIRE_MEM_WRITE ? m.n : 0;
            wire_msg_free(&m);
        } else if (rc == 0) {
            rc = wire_in_fill(&in, &is_eof, &e);
        }
    }
    CHECK_STR(e.text, "");
    for (;;) { /* the kick may come after it, or with it; and another one must not */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        rc = wire_in_next(&in, &m, &e);
        if (rc > 0) {
            *nkicks += m.head.type == WIRE_KICK;
            wire_msg_free(&m);
        } else if (rc < 0 || poll(&p, 1, *nkicks ? 1000 : 60000) <= 0 || wire_in_fill(&in, &is_eof, &e) <= 0) {
            break;
        }
    }
    wire_in_free(&in);
}

TEST(remote_death, a_kick_waits_for_nobody_and_is_sent_by_who_holds_the_frame)
{
    int pair[2];
    Err e = {0};
    Stuck stuck = {0};
    pthread_t thread;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    Buf b = hello_reply(WIRE_MAGIC, WIRE_VERSION, 0);
    CHECK(write(pair[1], b.data, b.n) == (ssize_t)b.n);
    buf_free(&b);
    CHECK_INT(remote_connect(pair[0], pair[0], "stub", 60000000000u, &stuck.link, &e), 0);
    int slot = link_slot_new(stuck.link, &e);
    link_slot_set(stuck.link, (unsigned)slot, 77);
    pthread_create(&thread, NULL, stuck_main, &stuck);
    for (unsigned nstill = 0; nstill < 20;) { /* until the socket is full, the frame half out */
        nstill = atomic_load(&stuck.link->writer) ? nstill + 1 : 0;
        poll(NULL, 0, 1);
    }
    uint64_t start = os_now_ns();
    link_kick(stuck.link, (unsigned)slot);
    link_kick(stuck.link, (unsigned)slot); /* they do not add up */
    CHECK(os_now_ns() - start < 20000000000u);
    unsigned nkicks = 0;
    size_t nbytes = 0;
    read_peer(pair[1], &nkicks, &nbytes);
    CHECK_INT(nkicks, 1);
    CHECK_INT(nbytes, 1 << 20);
    remote_abort(stuck.link);
    pthread_join(thread, NULL);
    CHECK_INT(stuck.rc, -ERR_IO);
    remote_close(stuck.link);
    close(pair[1]);
}
