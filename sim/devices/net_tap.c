/* SPDX-License-Identifier: Apache-2.0
 * Linux, Documentation/networking/tuntap. */
#include "sim/base/mem.h"
#include "sim/devices/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { FRAMES_A_LOOK = 64 };

typedef struct {
    NetEnd end;
    int fd;
} Tap;

/* What the host does not take at once is lost, as on a wire. */
static void tap_send(NetEnd *e, const uint8_t *frame, size_t n)
{
    ssize_t sent = write(((Tap *)e)->fd, frame, n);
    (void)sent;
}

static size_t tap_fds(NetEnd *e, struct pollfd *fds, size_t cap, uint64_t *timeout_ns)
{
    (void)timeout_ns;
    if (cap) {
        fds[0] = (struct pollfd){.fd = ((Tap *)e)->fd, .events = POLLIN};
    }
    return cap ? 1 : 0;
}

static void tap_served(NetEnd *e, const struct pollfd *fds, size_t n)
{
    uint8_t frame[NET_MAX_FRAME];
    for (unsigned i = 0; n && fds[0].revents && i < FRAMES_A_LOOK; i++) {
        ssize_t got = read(((Tap *)e)->fd, frame, sizeof frame);
        if (got < NET_MIN_FRAME) {
            break;
        }
        e->sink.arrived(e->sink.ctx, frame, (size_t)got);
    }
}

static void tap_free(NetEnd *e)
{
    close(((Tap *)e)->fd);
    mem_free(e);
}

static const NetEndOps ops = {
    .name = "tap", .is_outside = true, .send = tap_send, .fds = tap_fds, .served = tap_served, .free = tap_free};

static int tap_attach(const char *ifname, int *fd, Err *err)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    *fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0) {
        return err_native(err, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_UNAVAILABLE, errno,
                          "net tap: /dev/net/tun cannot be opened");
    }
    memcpy(request.ifr_name, ifname, strlen(ifname));
    if (ioctl(*fd, TUNSETIFF, &request)) {
        int code = errno;
        close(*fd);
        return err_native(err, code == EPERM ? ERR_DENIED : ERR_UNAVAILABLE, code,
                          "net tap: interface %s cannot be attached; `ip tuntap add %s mode tap user $USER` makes one",
                          ifname, ifname);
    }
    return 0;
}

int net_tap_open(const char *options, NetEnd **out, Err *err)
{
    static const char KEY[] = "ifname=";
    char option[64];
    const char *rest = options;
    bool is_named = net_option(&rest, option, sizeof option) && !strncmp(option, KEY, sizeof KEY - 1) && !*rest;
    const char *ifname = option + sizeof KEY - 1;
    if (!is_named || !*ifname || strlen(ifname) >= IFNAMSIZ) {
        return err_set(err, ERR_INVAL, "net tap,%.100s: expected tap,ifname=NAME of at most %d characters", options,
                       IFNAMSIZ - 1);
    }
    int fd, rc = tap_attach(ifname, &fd, err);
    if (!rc) {
        Tap *t = x_alloc(sizeof *t);
        *t = (Tap){.end.ops = &ops, .fd = fd};
        *out = &t->end;
    }
    return rc;
}
