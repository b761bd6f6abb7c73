/* SPDX-License-Identifier: Apache-2.0
 * The end `user`: libslirp, a TCP/IP stack in this process that speaks for the guest with sockets of the host. The library is
 * loaded when it is needed: it and what it brings would else be mapped into every worker too. */
#include "sim/devices/net.h"

#ifdef CONF_HAS_SLIRP

#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

#define LIBRARY "libslirp.so.0"
/* clang-format off */
#define SLIRP_CALLS(X)                                                                                                 \
    X(slirp_new) X(slirp_cleanup) X(slirp_input) X(slirp_pollfds_fill) X(slirp_pollfds_poll) X(slirp_add_hostfwd)
/* clang-format on */
#define X(name) __typeof__(name) *name##_at;
typedef struct {
    SLIRP_CALLS(X)
} Library;
#undef X

typedef struct {
    NetEnd end;
    Library lib;
    Slirp *slirp;
    /* of the look that goes on */
    struct pollfd *fds;
    size_t nfds, cap;
} User;

/* ---- what the stack asks for ---- */
static ssize_t on_packet(const void *bytes, size_t n, void *ctx)
{
    const User *u = ctx;
    if (n >= NET_MIN_FRAME && n <= NET_MAX_FRAME) {
        u->end.sink.arrived(u->end.sink.ctx, bytes, n);
    }
    return (ssize_t)n;
}

static void on_guest_error(const char *text, void *ctx)
{
    (void)text; /* of a guest that sends nonsense: it gets no answer */
    (void)ctx;
}

static int64_t on_clock(void *ctx)
{
    (void)ctx;
    return (int64_t)os_now_ns();
}

/* Only IPv6 sets timers, for its router advertisements; it is off. */
static void *on_timer_new(SlirpTimerCb fn, void *arg, void *ctx)
{
    (void)fn;
    (void)arg;
    return ctx;
}

static void on_timer_free(void *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *ctx)
{
    (void)timer;
    (void)expire_ms;
    (void)ctx;
}

static void on_fd(int fd, void *ctx)
{
    (void)fd; /* named anew at each look */
    (void)ctx;
}

static void on_notify(void *ctx)
{
    (void)ctx; /* looked at between slices anyway */
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_fd,
    .unregister_poll_fd = on_fd,
    .notify = on_notify,
};

/* ---- the end ---- */
static void user_send(NetEnd *e, const uint8_t *frame, size_t n)
{
    const User *u = (const User *)e;
    u->lib.slirp_input_at(u->slirp, frame, (int)n);
}

static int add_fd(int fd, int events, void *ctx)
{
    User *u = ctx;
    if (u->nfds == u->cap) {
        return -1; /* its turn comes when others are done */
    }
    short wanted = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                           (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    u->fds[u->nfds] = (struct pollfd){.fd = fd, .events = wanted};
    return (int)u->nfds++;
}

static size_t user_fds(NetEnd *e, struct pollfd *fds, size_t cap, uint64_t *timeout_ns)
{
    User *u = (User *)e;
    uint32_t ms = UINT32_MAX;
    u->fds = fds;
    u->cap = cap;
    u->nfds = 0;
    u->lib.slirp_pollfds_fill_at(u->slirp, &ms, add_fd, u);
    uint64_t ns = ms == UINT32_MAX ? UINT64_MAX : (uint64_t)ms * NS_PER_MS;
    *timeout_ns = ns < *timeout_ns ? ns : *timeout_ns;
    return u->nfds;
}

static int events_of(int index, void *ctx)
{
    const User *u = ctx;
    short got = index >= 0 && (size_t)index < u->nfds ? u->fds[index].revents : 0;
    return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
           (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void user_served(NetEnd *e, const struct pollfd *fds, size_t n)
{
    User *u = (User *)e;
    u->fds = (struct pollfd *)(uintptr_t)fds; /* only read */
    u->nfds = n;
    u->lib.slirp_pollfds_poll_at(u->slirp, 0, events_of, u);
}

static void user_free(NetEnd *e)
{
    User *u = (User *)e;
    u->lib.slirp_cleanup_at(u->slirp);
    mem_free(u);
}

static const NetEndOps ops = {
    .name = "user", .is_outside = true, .send = user_send, .fds = user_fds, .served = user_served, .free = user_free};

/* ---- options ---- */
/* "[ADDRESS]:PORT" up to `end`; without an address: fallback. */
static bool place_parse(const char *text, const char *end, struct in_addr fallback, struct in_addr *address, int *port)
{
    char host[INET_ADDRSTRLEN] = {0};
    const char *colon = memchr(text, ':', (size_t)(end - text));
    size_t n = colon ? (size_t)(colon - text) : sizeof host, ndigits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (n >= sizeof host || !ndigits || ndigits > 5 || colon + 1 + ndigits != end) {
        return false;
    }
    memcpy(host, text, n);
    *address = fallback;
    *port = (int)strtol(colon + 1, NULL, 10);
    return *port > 0 && *port <= UINT16_MAX && (!n || inet_pton(AF_INET, host, address) == 1);
}

static int forward_add(User *u, const char *text, struct in_addr guest, Err *err)
{
    bool is_udp = !strncmp(text, "udp:", 4);
    const char *host = text + 4, *dash = strchr(text, '-');
    struct in_addr from, to, local = {.s_addr = htonl(INADDR_LOOPBACK)};
    int from_port, to_port;
    if ((!is_udp && strncmp(text, "tcp:", 4) != 0) || !dash || !place_parse(host, dash, local, &from, &from_port) ||
        !place_parse(dash + 1, dash + strlen(dash), guest, &to, &to_port)) {
        return err_set(err, ERR_INVAL,
                       "net user,hostfwd=%.80s: expected tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT, host's and guest's",
                       text);
    }
    return u->lib.slirp_add_hostfwd_at(u->slirp, is_udp, from, from_port, to, to_port)
               ? err_set(err, ERR_UNAVAILABLE, "net user,hostfwd=%.80s: port %d of the host cannot be had", text,
                         from_port)
               : 0;
}

static int options_take(User *u, const char *options, struct in_addr guest, Err *err)
{
    static const char KEY[] = "hostfwd=";
    char option[128];
    int rc = 0;
    while (!rc && net_option(&options, option, sizeof option)) {
        rc = strncmp(option, KEY, sizeof KEY - 1) != 0
                 ? err_set(err, ERR_INVAL, "net user,%.80s: expected hostfwd=...", option)
                 : forward_add(u, option + sizeof KEY - 1, guest, err);
    }
    return rc;
}

/* It stays as long as the process: what it brings (GLib) cannot be unloaded. */
static int library_open(Library *lib, Err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    bool is_whole = library != NULL;
#define X(name)                                                                                                        \
    {                                                                                                                  \
        void *at = is_whole ? dlsym(library, #name) : NULL;                                                            \
        memcpy(&lib->name##_at, &at, sizeof at);                                                                       \
        is_whole = at != NULL;                                                                                         \
    }
    SLIRP_CALLS(X)
#undef X
    return is_whole ? 0 : err_set(err, ERR_UNAVAILABLE, "net user: there is no " LIBRARY " (Debian's libslirp0)");
}

int net_user_open(const char *options, NetEnd **out, Err *err)
{
    enum { NET = 0x0a000200, MASK = 24, HOST = 2, NAME_SERVER = 3, GUEST = 15 };
    struct in_addr guest = {.s_addr = htonl(NET + GUEST)};
    SlirpConfig cfg = {.version = 1,
                       .in_enabled = true,
                       .vnetwork.s_addr = htonl(NET),
                       .vnetmask.s_addr = htonl(UINT32_MAX << (32 - MASK)),
                       .vhost.s_addr = htonl(NET + HOST),
                       .vdhcp_start = guest,
                       .vnameserver.s_addr = htonl(NET + NAME_SERVER)};
    User *u = x_alloc(sizeof *u);
    *u = (User){.end.ops = &ops};
    int rc = library_open(&u->lib, err);
    if (!rc && !(u->slirp = u->lib.slirp_new_at(&cfg, &callbacks, u))) {
        rc = err_set(err, ERR_UNAVAILABLE, "net user: " LIBRARY " does not start");
    }
    if (rc) {
        mem_free(u);
        return rc;
    }
    rc = options_take(u, options, guest, err);
    if (rc) {
        user_free(&u->end);
        return rc;
    }
    *out = &u->end;
    return 0;
}

#else

int net_user_open(const char *options, NetEnd **out, Err *err)
{
    (void)options;
    (void)out;
    return err_set(err, ERR_UNAVAILABLE, "net user: this program was built without libslirp (Debian's libslirp-dev)");
}

#endif
