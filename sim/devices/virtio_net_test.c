/* SPDX-License-Identifier: Apache-2.0
 * The network card, its ends, and the console. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/devices/virtio_rig.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX, TX, SIZE = 16, HEADER = 12, DELAY_NS = 20000, BUFFER_BYTES = 1536 };
enum { TX_AT = V_DATA, RX_AT = V_DATA + 0x10000 };

static VRig *card(const char *spec)
{
    VirtioCard *c = NULL;
    Err err = {0};
    if (virtio_net_new(spec, &c, &err)) {
        CHECK_STR(err.text, "");
        return NULL;
    }
    return vrig_new(c, ~0ull, 2, SIZE);
}

static void give(VRig *v, uint16_t i, uint32_t n)
{
    vrig_desc(v, RX, i, RX_AT + i * 0x800u, n, V_WRITE, 0);
    vrig_offer(v, RX, i);
}

static void send_frame(VRig *v, const void *frame, uint32_t n)
{
    uint16_t head;
    uint32_t written;
    memset(vrig_at(v, TX_AT), 0, HEADER);
    memcpy(vrig_at(v, TX_AT + HEADER), frame, n);
    vrig_desc(v, TX, 0, TX_AT, HEADER, V_NEXT, 1);
    vrig_desc(v, TX, 1, TX_AT + HEADER, n, 0, 0);
    vrig_offer(v, TX, 0);
    vrig_notify(v, TX);
    CHECK(vrig_take(v, TX, &head, &written) && head == 0 && written == 0);
}

/* The next frame, or NULL. */
static const uint8_t *got_frame(VRig *v, uint32_t *n)
{
    uint16_t head;
    if (!vrig_take(v, RX, &head, n)) {
        return NULL;
    }
    static const uint8_t want[HEADER] = {[10] = 1}; /* one buffer */
    CHECK(!memcmp(vrig_at(v, RX_AT + head * 0x800u), want, HEADER));
    *n -= HEADER;
    return vrig_at(v, RX_AT + head * 0x800u + HEADER);
}

TEST(virtio_net, it_has_an_address_and_a_link)
{
    VRig *v = card("loopback");
    static const uint8_t want[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0};
    for (unsigned i = 0; i < sizeof want; i++) {
        CHECK_INT(rig_get(v->r, 0, V_CONFIG + i, 1), want[i]);
    }
    CHECK_INT(vrig_get(v, 0x008), VIRTIO_ID_NET);
    vrig_free(v);
}

TEST(virtio_net, a_frame_comes_back_a_fixed_time_later)
{
    VRig *v = card("loopback");
    char frame[60] = "to myself, from myself: hello";
    uint32_t n;
    v->r->now_ns = 1000;
    give(v, 3, BUFFER_BYTES);
    vrig_notify(v, RX);
    send_frame(v, frame, sizeof frame);
    CHECK(!got_frame(v, &n));
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), 1000 + DELAY_NS);
    rig_swap(v->r);
    rig_clock(v->r, 0, 1000 + DELAY_NS);
    const uint8_t *got = got_frame(v, &n);
    CHECK(got && n == sizeof frame && !memcmp(got, frame, n) && v->r->irq);
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), UINT64_MAX);
    vrig_free(v);
}

TEST(virtio_net, frames_wait_for_buffers_in_order_and_over_a_save)
{
    VRig *v = card("loopback");
    uint32_t n;
    for (unsigned i = 0; i < 5; i++) {
        char frame[20] = {(char)('a' + i)};
        send_frame(v, frame, 14 + i);
    }
    rig_clock(v->r, 0, DELAY_NS);
    rig_swap(v->r);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(!got_frame(v, &n));
        give(v, (uint16_t)i, BUFFER_BYTES);
        vrig_notify(v, RX);
        const uint8_t *got = got_frame(v, &n);
        CHECK(got && n == 14 + i && got[0] == 'a' + i);
    }
    vrig_put(v, V_STATUS, 0); /* a reset forgets what waits */
    vrig_start(v, 0, 2, SIZE);
    give(v, 0, BUFFER_BYTES);
    vrig_notify(v, RX);
    CHECK(!got_frame(v, &n));
    vrig_free(v);
}

TEST(virtio_net, what_is_no_frame_or_finds_too_small_a_buffer_is_lost_and_the_buffer_stays)
{
    VRig *v = card("loopback");
    char frame[1600] = "x";
    uint32_t n;
    send_frame(v, frame, 13);
    send_frame(v, frame, 1519);
    send_frame(v, frame, 1518);
    send_frame(v, frame, 60);
    give(v, 0, 100);
    vrig_notify(v, RX);
    const uint8_t *got = got_frame(v, &n);
    CHECK(got && n == 60);
    for (unsigned i = 0; i < 600; i++) { /* more than may wait */
        send_frame(v, frame, 60);
    }
    unsigned came = 0;
    for (unsigned i = 0; i < 600; i++) {
        give(v, 0, 100);
        vrig_notify(v, RX);
        came += got_frame(v, &n) != NULL;
    }
    CHECK_INT(came, 512);
    vrig_free(v);
}

TEST(virtio_net, hostile_buffers_break_it)
{
    VRig *v = card("loopback");
    vrig_desc(v, TX, 0, TX_AT, HEADER - 1, 0, 0);
    vrig_offer(v, TX, 0);
    vrig_notify(v, TX);
    CHECK(vrig_is_broken(v));
    vrig_start(v, 0, 2, SIZE);
    vrig_desc(v, TX, 0, 0x1000, 100, 0, 0);
    vrig_offer(v, TX, 0);
    vrig_notify(v, TX);
    CHECK(vrig_is_broken(v));
    vrig_start(v, 0, 2, SIZE);
    char frame[60] = "x";
    send_frame(v, frame, 60);
    vrig_desc(v, RX, 0, 0x1000, BUFFER_BYTES, V_WRITE, 0);
    vrig_offer(v, RX, 0);
    vrig_notify(v, RX);
    CHECK(vrig_is_broken(v));
    vrig_free(v);
}

TEST(virtio_net, what_is_no_end_is_refused_with_the_reason)
{
    static const struct {
        const char *spec, *text;
        int rc;
    } rows[] = {
        {"", "expected user, tap,ifname=NAME or loopback", -ERR_INVAL},
        {"users", "net 'users': expected user", -ERR_INVAL},
        {"loopback,x", "takes no options, not 'x'", -ERR_INVAL},
        {"tap", "expected tap,ifname=NAME of at most 15 characters", -ERR_INVAL},
        {"tap,ifname=", "expected tap,ifname=NAME", -ERR_INVAL},
        {"tap,ifname=abcdefghijklmnop", "expected tap,ifname=NAME", -ERR_INVAL},
        {"tap,ifname=a,b", "expected tap,ifname=NAME", -ERR_INVAL},
    };
    VirtioCard *c;
    Err err;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(virtio_net_new(rows[i].spec, &c, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
    }
}

/* ---- tap: needs the right to make an interface ---- */
static bool interface_up(const char *name)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_flags = IFF_UP};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    bool is_up = !ioctl(s, SIOCSIFFLAGS, &r);
    close(s);
    return is_up;
}

static void interface_send(const char *name, const uint8_t *frame, size_t n)
{
    int s = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name), .sll_halen = 6};
    memcpy(to.sll_addr, frame, 6);
    CHECK_INT(sendto(s, frame, n, 0, (struct sockaddr *)&to, sizeof to), n);
    close(s);
}

static int interface_listen(const char *name)
{
    enum { TYPE = 0x88b5 }; /* IEEE 802: for experiments */
    int s = socket(AF_PACKET, SOCK_RAW, htons(TYPE));
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex(name)};
    CHECK(!bind(s, (struct sockaddr *)&at, sizeof at));
    return s;
}

static bool is_ours(const uint8_t *frame, size_t n)
{
    return n >= 60 && frame[12] == 0x88 && frame[13] == 0xb5 && frame[20] == 0x77;
}

TEST(virtio_net_tap, frames_go_to_an_interface_of_the_host_and_come_from_it)
{
    char name[IFNAMSIZ], spec[64];
    snprintf(name, sizeof name, "conf%ld", (long)getpid());
    snprintf(spec, sizeof spec, "tap,ifname=%s", name);
    VirtioCard *c = NULL;
    Err err;
    int rc = virtio_net_new(spec, &c, &err);
    if (rc || !interface_up(name)) {
        CHECK(!rc || rc == -ERR_DENIED || rc == -ERR_UNAVAILABLE);
        virtio_card_free(c);
        test_skip("no right to make a network interface");
        return;
    }
    VRig *v = vrig_new(c, ~0ull, 2, SIZE);
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, [20] = 0x77}, seen[64];
    int ear = interface_listen(name);
    send_frame(v, frame, sizeof frame);
    struct pollfd heard = {.fd = ear, .events = POLLIN};
    CHECK_INT(poll(&heard, 1, 60000), 1);
    CHECK(is_ours(seen, (size_t)recv(ear, seen, sizeof seen, 0)));
    close(ear);
    for (uint16_t i = 0; i < 8; i++) {
        give(v, i, BUFFER_BYTES);
    }
    vrig_notify(v, RX);
    interface_send(name, frame, sizeof frame);
    bool is_there = false;
    for (unsigned i = 0; i < 100 && !is_there; i++) { /* the host says things of its own there too */
        struct pollfd fds[2];
        uint64_t timeout_ns = UINT64_MAX;
        uint32_t n = 0;
        CHECK_INT(c->kind->fds(c, fds, 0, &timeout_ns), 0);
        CHECK_INT(c->kind->fds(c, fds, ARRAY_LEN(fds), &timeout_ns), 1);
        CHECK_INT(poll(fds, 1, 60000), 1);
        c->kind->served(c, fds, 1);
        v->r->d->type->poll(v->r->d);
        for (const uint8_t *got; (got = got_frame(v, &n));) {
            is_there |= is_ours(got, n);
        }
    }
    CHECK(is_there);
    CHECK_INT(v->r->d->type->saveable(v->r->d, &err), -ERR_UNSUPPORTED);
    vrig_free(v);
    CHECK_INT(virtio_net_new("tap,ifname=lo", &c, &err), -ERR_UNAVAILABLE); /* is there, and is no tap */
    CHECK_HAS(err.text, "net tap: interface lo cannot be attached");
}

/* ---- user: RFC 826, RFC 2131 as far as a first look needs it ---- */
static const uint8_t MAC[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static bool has_user(void)
{
    VirtioCard *c = NULL;
    Err err;
    int rc = virtio_net_new("user", &c, &err);
    virtio_card_free(c);
    if (rc) {
        CHECK_INT(rc, -ERR_UNAVAILABLE);
        CHECK_HAS(err.text, "libslirp");
        test_skip("no libslirp");
    }
    return !rc;
}

static size_t arp_request(uint8_t *f, uint8_t last)
{
    static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    memset(f, 0xff, 6);
    memcpy(f + 6, MAC, 6);
    memcpy(f + 12, head, sizeof head);
    memcpy(f + 22, MAC, 6);
    memcpy(f + 28, (const uint8_t[]){10, 0, 2, 15}, 4);
    memset(f + 32, 0, 6);
    memcpy(f + 38, (const uint8_t[]){10, 0, 2, last}, 4);
    return 42;
}

TEST(virtio_net_user, the_gateway_answers_at_an_instant_that_the_guest_determined)
{
    if (!has_user()) {
        return;
    }
    VRig *v = card("user");
    uint8_t frame[64] = {0};
    uint32_t n = 0;
    Err err;
    for (uint16_t i = 0; i < 8; i++) {
        give(v, i, BUFFER_BYTES);
    }
    vrig_notify(v, RX);
    v->r->now_ns = 500;
    send_frame(v, frame, (uint32_t)arp_request(frame, 2));
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), 500 + DELAY_NS);
    rig_clock(v->r, 0, 500 + DELAY_NS);
    const uint8_t *got = got_frame(v, &n);
    CHECK(got && n >= 42 && !memcmp(got, MAC, 6) && got[12] == 8 && got[13] == 6 && got[21] == 2);
    CHECK(got && !memcmp(got + 28, (const uint8_t[]){10, 0, 2, 2}, 4));
    CHECK_INT(v->r->d->type->saveable(v->r->d, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "net user: who the guest talks to is outside");
    vrig_free(v);
}

static void serve(VRig *v, uint64_t timeout_ns)
{
    struct pollfd fds[16];
    VirtioCard *c = v->r->d->peer;
    size_t n = c->kind->fds(c, fds, ARRAY_LEN(fds), &timeout_ns);
    CHECK(poll(fds, (nfds_t)n, (int)(timeout_ns / 1000000)) >= 0);
    c->kind->served(c, fds, n);
    v->r->d->type->poll(v->r->d);
}

/* A datagram to a port of the host comes out of the guest's card, once the stack knows the guest's address. */
TEST(virtio_net_user, a_forwarded_port_of_the_host_is_one_of_the_guest)
{
    if (!has_user()) {
        return;
    }
    char spec[80];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    int s = socket(AF_INET, SOCK_DGRAM, 0); /* a port that is free */
    CHECK(!bind(s, (struct sockaddr *)&to, size) && !getsockname(s, (struct sockaddr *)&to, &size));
    close(s);
    snprintf(spec, sizeof spec, "user,hostfwd=udp::%d-:7", ntohs(to.sin_port));
    VRig *v = card(spec);
    uint8_t frame[64] = {0};
    uint32_t n = 0;
    bool is_there = false;
    for (uint16_t i = 0; i < 8; i++) {
        give(v, i, BUFFER_BYTES);
    }
    vrig_notify(v, RX);
    send_frame(v, frame, (uint32_t)arp_request(frame, 2));
    s = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_INT(sendto(s, "knock", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
    for (unsigned i = 0; i < 50 && !is_there; i++) {
        serve(v, 20000000);
        for (const uint8_t *got; (got = got_frame(v, &n));) {
            is_there |= n >= 47 && got[12] == 8 && !got[13] && got[23] == 17 && got[37] == 7 &&
                        !memcmp(got + 42, "knock", 5); /* IPv4, UDP, to port 7 */
        }
    }
    CHECK(is_there);
    close(s);
    vrig_free(v);
}

TEST(virtio_net_user, options_that_are_none_are_refused_with_the_reason)
{
    static const char *const specs[] = {
        "user,x",
        "user,hostfwd=",
        "user,hostfwd=tcp::80",
        "user,hostfwd=icmp::1-:2",
        "user,hostfwd=tcp::0-:2",
        "user,hostfwd=tcp::65536-:2",
        "user,hostfwd=tcp:1.2.3:80-:2",
        "user,hostfwd=tcp:1.2.3.4.5.6.7.8.9.10:80-:2",
        "user,hostfwd=tcp::80x-:2",
        "user,hostfwd=tcp:-",
    };
    VirtioCard *c;
    Err err;
    if (!has_user()) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        CHECK_INT(virtio_net_new(specs[i], &c, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "net user,");
    }
}

/* ---- console ---- */
TEST(virtio_console, what_is_sent_is_printed_and_what_is_typed_fills_buffers)
{
    VRig *v = vrig_new(virtio_console_new(), 0, 2, SIZE);
    Device *d = v->r->d;
    uint16_t head;
    uint32_t written;
    memcpy(vrig_at(v, TX_AT), "hello, world", 12);
    vrig_desc(v, TX, 0, TX_AT, 7, V_NEXT, 1);
    vrig_desc(v, TX, 1, TX_AT + 7, 5, 0, 0);
    vrig_offer(v, TX, 0);
    vrig_notify(v, TX);
    CHECK(vrig_take(v, TX, &head, &written) && written == 0);
    CHECK_STR(buf_text(&v->r->output), "hello, world");
    CHECK(d->type->is_console(d));
    CHECK_INT(d->type->input(d, "typed", 5), 0); /* no buffer yet: it waits outside */
    vrig_put(v, V_INTERRUPT_ACK, 3);
    give(v, 0, 3);
    give(v, 1, 100);
    CHECK_INT(d->type->input(d, "typed", 5), 5);
    CHECK(vrig_take(v, RX, &head, &written) && head == 0 && written == 3 && v->r->irq);
    CHECK(vrig_take(v, RX, &head, &written) && head == 1 && written == 2);
    CHECK(!memcmp(vrig_at(v, RX_AT), "typ", 3) && !memcmp(vrig_at(v, RX_AT + 0x800), "ed", 2));
    rig_swap(v->r);
    vrig_put(v, V_STATUS, 0);
    CHECK(!v->r->d->type->is_console(v->r->d));
    vrig_free(v);
}

TEST(virtio_console, buffers_that_cannot_be_break_it)
{
    VRig *v = vrig_new(virtio_console_new(), 0, 2, SIZE);
    vrig_desc(v, TX, 0, 0x1000, 5, 0, 0);
    vrig_offer(v, TX, 0);
    vrig_notify(v, TX);
    CHECK(vrig_is_broken(v));
    vrig_start(v, 0, 2, SIZE);
    vrig_desc(v, RX, 0, RX_AT, 5, 0, 0); /* not to be written */
    vrig_offer(v, RX, 0);
    CHECK_INT(v->r->d->type->input(v->r->d, "x", 1), 0);
    CHECK(vrig_is_broken(v));
    vrig_free(v);
}
