/* SPDX-License-Identifier: Apache-2.0
 * Writing a frame. Apart from wire.c because all of it must be async-signal-safe: kick() comes
 * through here. */
#include "accel/remote/wire.h"

#include "sim/base/os.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

WireOut wire_out_of(int fd, int wake_fd)
{
    struct stat st;
    bool is_socket = !fstat(fd, &st) && S_ISSOCK(st.st_mode);
    return (WireOut){.fd = fd, .is_socket = is_socket, .wake_fd = wake_fd};
}

/* write(2) to a pipe without reader raises SIGPIPE, which would end a program that did not ask for
 * it. Held back for this thread and taken off again, unless one was pending before. */
static ssize_t write_pipe(int fd, const struct iovec *iov, int niov)
{
    sigset_t pipe_only, old, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    ssize_t n = writev(fd, iov, niov);
    int saved = errno;
    if (n < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE)) {
        static const struct timespec now = {0};
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return n;
}

static ssize_t write_some(const WireOut *out, struct iovec *iov, int niov)
{
    if (!out->is_socket) {
        return write_pipe(out->fd, iov, niov);
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)niov};
    return sendmsg(out->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT); /* so that a wait can be ended */
}

/* Until the descriptor takes more bytes. */
static int wait_room(const WireOut *out, uint64_t deadline_ns)
{
    struct pollfd p[2] = {{.fd = out->fd, .events = POLLOUT}, {.fd = out->wake_fd, .events = POLLIN}};
    uint64_t now = os_now_ns();
    if (now >= deadline_ns) {
        return -ERR_TIMEOUT;
    }
    uint64_t left_ms = deadline_ns == UINT64_MAX ? INT_MAX : (deadline_ns - now) / 1000000 + 1;
    int rc = poll(p, 2, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
    bool is_gone = p[0].revents & (POLLHUP | POLLERR) && !(p[0].revents & POLLOUT); /* a port that nobody has open */
    return rc > 0 && (p[1].revents || is_gone) ? -ERR_IO : 0;
}

static int write_all(const WireOut *out, struct iovec *at, int niov, uint64_t deadline_ns, int *native)
{
    *native = 0;
    while (niov) {
        ssize_t n = write_some(out, at, niov);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            int rc = wait_room(out, deadline_ns);
            if (rc) {
                return rc;
            }
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            *native = errno;
            return -ERR_IO;
        }
        while (niov && (size_t)n >= at->iov_len) {
            n -= (ssize_t)at->iov_len;
            at++;
            niov--;
        }
        if (niov) {
            at->iov_base = (uint8_t *)at->iov_base + n;
            at->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int wire_out_after(const WireOut *out, const Buf *before, const WireHead *h, const void *payload, uint64_t deadline_ns,
                   int *native)
{
    uint8_t head[WIRE_HEADER];
    struct iovec iov[3];
    int n = 0;
    if (before && before->n) {
        iov[n++] = (struct iovec){.iov_base = before->data, .iov_len = before->n};
    }
    if (h) {
        wire_head_put(head, h);
        iov[n++] = (struct iovec){.iov_base = head, .iov_len = sizeof head};
    }
    if (h && h->length) {
        iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)payload, .iov_len = h->length};
    }
    return write_all(out, iov, n, deadline_ns, native);
}

int wire_out_frame(const WireOut *out, const WireHead *h, const void *payload, uint64_t deadline_ns, int *native)
{
    return wire_out_after(out, NULL, h, payload, deadline_ns, native);
}
