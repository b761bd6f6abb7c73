/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cmd/console.h"

#include "sim/base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { CTRL_A = 1, NS_PER_S = 1000000000, MAX_FDS = 256 };

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

static bool is_typing(const Console *c)
{
    return !c->is_eof && (c->is_raw || c->nin < sizeof c->input);
}

bool console_can_wake(const Console *c)
{
    bool can = is_typing(c);
    for (unsigned i = 0; !can && i < SIM_CARD_SLOTS; i++) {
        can = sim_card_is_outside(c->card[i]);
    }
    return can;
}

typedef struct { /* what is waited for: input, output if for ever, then what the cards want */
    struct pollfd fds[MAX_FDS];
    size_t n, ncard[SIM_CARD_SLOTS];
} Wait;

static void wait_fill(const Console *c, Wait *w, uint64_t *timeout_ns)
{
    w->fds[0] = (struct pollfd){.fd = is_typing(c) ? c->in : -1, .events = POLLIN};
    w->fds[1] = (struct pollfd){.fd = *timeout_ns == UINT64_MAX ? c->out : -1};
    w->n = 2;
    for (unsigned i = 0; i < SIM_CARD_SLOTS; i++) {
        w->ncard[i] = sim_card_fds(c->card[i], w->fds + w->n, MAX_FDS - w->n, timeout_ns);
        w->n += w->ncard[i];
    }
}

static void cards_serve(const Console *c, const Wait *w, Sim *s)
{
    size_t at = 2;
    bool is_any = false;
    for (unsigned i = 0; i < SIM_CARD_SLOTS; at += w->ncard[i++]) {
        is_any |= sim_card_is_outside(c->card[i]);
        sim_card_served(c->card[i], w->fds + at, w->ncard[i]);
    }
    if (is_any) {
        sim_board_poll(s);
    }
}

void console_serve(Console *c, Sim *s, uint64_t timeout_ns)
{
    Wait w;
    if (console_can_wake(c) || timeout_ns) {
        wait_fill(c, &w, &timeout_ns);
        struct timespec t = {.tv_sec = (time_t)(timeout_ns / NS_PER_S), .tv_nsec = (long)(timeout_ns % NS_PER_S)};
        int n = ppoll(w.fds, w.n, timeout_ns == UINT64_MAX ? NULL : &t, NULL);
        for (size_t i = 0; n <= 0 && i < w.n; i++) { /* none of it happened; after EINTR it is not even said */
            w.fds[i].revents = 0;
        }
        if (w.fds[0].revents) {
            take(c);
        }
        if (w.fds[1].revents & POLLERR && c->state == CONSOLE_OPEN) {
            c->state = CONSOLE_CLOSED; /* else it would be seen at the guest's next word, which may never come */
        }
        cards_serve(c, &w, s);
    }
    offer(c, s);
}
