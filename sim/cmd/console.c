/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cmd/console.h"

#include "sim/base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { CTRL_A = 1, NS_PER_S = 1000000000 };

/* ---- output ---- */
static void write_failed(Console *c)
{
    if (errno == EINTR) {
        return;
    }
    if (errno == EAGAIN) { /* the terminal of somebody who made it so */
        struct pollfd out = {.fd = c->out, .events = POLLOUT};
        poll(&out, 1, -1);
        return;
    }
    c->native = errno;
    c->state = errno == EPIPE ? CONSOLE_CLOSED : CONSOLE_LOST;
}

static void flush(Console *c)
{
    for (size_t at = 0; at < c->nout && c->state == CONSOLE_OPEN;) {
        ssize_t n = write(c->out, c->output + at, c->nout - at);
        if (n < 0) {
            write_failed(c);
        } else {
            at += (size_t)n;
        }
    }
    c->nout = 0;
}

void console_flush(Console *c)
{
    pthread_mutex_lock(&c->lock);
    flush(c);
    pthread_mutex_unlock(&c->lock);
}

void console_output(void *ctx, const void *bytes, size_t n)
{
    Console *c = ctx;
    const uint8_t *p = bytes;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < n; i++) {
        c->output[c->nout++] = p[i];
        if (p[i] == '\n' || c->nout == sizeof c->output) {
            flush(c);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- input ---- */
/* What the guest does not take is lost in the end on a terminal only, as it would be in the terminal; else Ctrl-A x would not be
 * seen. */
static void put(Console *c, uint8_t byte)
{
    if (c->nin < sizeof c->input) {
        c->input[c->nin++] = byte;
    }
}

static void escape(Console *c, uint8_t byte)
{
    static const char HELP[] = "\r\nCtrl-A x: end, Ctrl-A Ctrl-A: Ctrl-A, Ctrl-A h: this\r\n";
    c->is_escape = false;
    switch (byte) {
    case 'x':
        c->state = CONSOLE_QUIT;
        break;
    case 'h':
        console_output(c, HELP, sizeof HELP - 1);
        break;
    case CTRL_A:
        put(c, byte);
        break;
    }
}

static void typed(Console *c, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n && c->state == CONSOLE_OPEN; i++) {
        if (c->is_escape) {
            escape(c, bytes[i]);
        } else if (c->is_raw && bytes[i] == CTRL_A) {
            c->is_escape = true;
        } else {
            put(c, bytes[i]);
        }
    }
}

static void take(Console *c)
{
    uint8_t bytes[sizeof c->input];
    ssize_t n = read(c->in, bytes, c->is_raw ? sizeof bytes : sizeof c->input - c->nin);
    if (n > 0) {
        typed(c, bytes, (size_t)n);
    } else if (!n || (errno != EINTR && errno != EAGAIN)) {
        c->is_eof = true;
    }
}

static void offer(Console *c, Sim *s)
{
    size_t taken = c->nin ? sim_board_input(s, c->input, c->nin) : 0;
    c->nin -= taken;
    memmove(c->input, c->input + taken, c->nin);
}

bool console_can_wake(const Console *c)
{
    return !c->is_eof && (c->is_raw || c->nin < sizeof c->input);
}

void console_serve(Console *c, Sim *s, uint64_t timeout_ns)
{
    bool is_open = console_can_wake(c), is_endless = timeout_ns == UINT64_MAX;
    struct timespec t = {.tv_sec = (time_t)(timeout_ns / NS_PER_S), .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    struct pollfd fds[] = {{.fd = is_open ? c->in : -1, .events = POLLIN}, {.fd = is_endless ? c->out : -1}};
    if (is_open || timeout_ns) {
        int n = ppoll(fds, ARRAY_LEN(fds), is_endless ? NULL : &t, NULL);
        if (n > 0 && fds[0].revents) {
            take(c);
        }
        if (n > 0 && fds[1].revents & POLLERR && c->state == CONSOLE_OPEN) {
            c->state = CONSOLE_CLOSED; /* else it would be seen at the guest's next word, which may never come */
        }
    }
    offer(c, s);
}
