/* SPDX-License-Identifier: Apache-2.0
 * sessions.c - in a nested machine: serves the backends of that machine on its virtio-serial ports, as conf-agent does on
 * its standard input and output. usage: sessions NPORTS IDLE_SECONDS PLACE
 *
 * A session begins when the host asks for it (port.h), and is a process of its own; it ends when the host lets go of the port. The
 * host does not see that a process of this side ended: one that ends before the host does is told of by an ABORT frame.
 * After IDLE_SECONDS without a session the program ends, and the machine with it. */
#include "accel/remote/server.h"
#include "ci/nested/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 30, TICK_MS = 10, WAIT_S = 60, LAST_SECONDS = 2 };

typedef struct {
    int fd;        /* -1 while a session has the port */
    pid_t session; /* 0 = none */
    bool is_over;  /* the session ended, perhaps before its host */
    PortWindow seen;
} Port;

static int port_open(unsigned i)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/vport0p%u", i + 1);
    for (unsigned tick = 0; tick < WAIT_S * 1000 / TICK_MS; tick++) {
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
        poll(NULL, 0, TICK_MS); /* not there yet, or not yet closed by the session */
    }
    perror(path);
    exit(1);
}

static void on_alarm(int sig)
{
    (void)sig;
    _exit(0);
}

/* The host is gone, and with it who could end a backend that hangs. */
static void on_end(void)
{
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    alarm(LAST_SECONDS);
}

static void session_main(int fd, const char *place) __attribute__((noreturn));
static void session_main(int fd, const char *place)
{
    Err err = {0};
    rlim_t half =
        (rlim_t)sysconf(_SC_PHYS_PAGES) * (rlim_t)sysconf(_SC_PAGESIZE) / 2; /* an error here, not the end of all */
    setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = half, .rlim_max = half});
    ServeArgs args = {.find = remote_find_built_in, .fd_in = fd, .fd_out = fd, .place = place, .on_end = on_end};
    if (server_run(&args, &err)) {
        fprintf(stderr, "session: %s\n", err.text);
    }
    _exit(0);
}

static void session_start(Port *ports, unsigned n, unsigned i, const char *place)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (unsigned k = 0; k < n; k++) {
            if (k != i && ports[k].fd >= 0) {
                close(ports[k].fd);
            }
        }
        session_main(ports[i].fd, place);
    }
    if (pid > 0) {
        close(ports[i].fd);
        ports[i] = (Port){.fd = -1, .session = pid};
    }
}

static void abort_send(int fd, int status)
{
    Err e = {0};
    Buf b = {0};
    WireOut out = wire_out_of(fd, -1);
    int native;
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        err_set(&e, ERR_IO, "backend died: signal %d (SIG%s)", WTERMSIG(status), name ? name : "?");
    } else {
        err_set(&e, ERR_IO, "backend died: exit status %d", WEXITSTATUS(status));
    }
    wire_put_err(&b, &e, UINT32_MAX);
    WireHead h = {.type = WIRE_ABORT, .length = (uint32_t)b.n};
    int rc = wire_out_frame(&out, &h, b.data, UINT64_MAX, &native);
    (void)rc; /* the host may have gone as well */
    buf_free(&b);
}

static void sessions_reap(Port *ports, unsigned n)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < n; i++) {
            if (ports[i].session == pid) {
                ports[i] = (Port){.fd = port_open(i), .is_over = true};
                struct pollfd p = {.fd = ports[i].fd, .events = POLLIN};
                poll(&p, 1, 0);
                if (!(p.revents & POLLHUP)) {
                    abort_send(ports[i].fd, status);
                }
            }
        }
    }
}

/* Says a token back. */
static bool say_back(int fd, const PortWindow *w)
{
    return write(fd, w->bytes, PORT_TOKEN) == PORT_TOKEN;
}

/* Looks at a port without a session: true if it is in use. */
static bool port_look(Port *ports, unsigned n, unsigned i, const char *place)
{
    Port *port = &ports[i];
    struct pollfd p = {.fd = port->fd, .events = POLLIN};
    unsigned char bytes[4096]; /* nothing of the session: its host waits until GO was said back */
    poll(&p, 1, 0);
    if (p.revents & POLLHUP) {
        port->is_over = false;
    }
    ssize_t got = p.revents & POLLIN ? read(port->fd, bytes, sizeof bytes) : 0;
    for (ssize_t k = 0; k < got; k++) {
        port_take(&port->seen, bytes[k]);
        if (port_is(&port->seen, port_who)) {
            say_back(port->fd, &port->seen);
        } else if (port_is(&port->seen, port_go) && say_back(port->fd, &port->seen)) {
            session_start(ports, n, i, place);
            return true;
        }
    }
    return port->is_over || got > 0;
}

static int serve(unsigned n, unsigned idle_s, const char *place)
{
    Port ports[MAX_PORTS] = {{0}};
    for (unsigned i = 0; i < n; i++) {
        ports[i].fd = port_open(i);
    }
    puts("NESTED-READY");
    for (uint64_t idle_ms = 0; idle_ms < idle_s * UINT64_C(1000); idle_ms += TICK_MS) {
        sessions_reap(ports, n);
        for (unsigned i = 0; i < n; i++) {
            if (ports[i].session || port_look(ports, n, i, place)) {
                idle_ms = 0;
            }
        }
        poll(NULL, 0, TICK_MS);
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long n = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    if (n < 1 || n > MAX_PORTS) {
        fputs("usage: sessions NPORTS IDLE_SECONDS PLACE\n", stderr);
        return 2;
    }
    return serve((unsigned)n, (unsigned)strtoul(argv[2], NULL, 10), argv[3]);
}
