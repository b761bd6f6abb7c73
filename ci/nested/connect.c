/* SPDX-License-Identifier: Apache-2.0
 * connect.c - on the host: standard input and output to a free port of a nested machine. usage: connect FOLDER NPORTS
 *
 * FOLDER has the machine's sockets p0, p1, .. A port is taken by a lock on pN.lock; `next` there says where to begin, so
 * that a port rests before it is used again, as the machine takes its time to see that its last user left (port.h). */
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, AGAIN_MS = 200 };

static int lock(const char *folder, const char *name, int how)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, how)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The number in `next`, and one more left there. */
static unsigned next_take(const char *folder)
{
    char text[16] = "";
    int fd = lock(folder, "next", LOCK_EX);
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : 0;
    unsigned next = n > 0 ? (unsigned)strtoul(text, NULL, 10) : 0;
    n = snprintf(text, sizeof text, "%u\n", next + 1);
    if (fd >= 0 && pwrite(fd, text, (size_t)n, 0) < 0) {
        perror("next");
    }
    close(fd);
    return next;
}

static int port_open(const char *folder, unsigned nports)
{
    unsigned first = next_take(folder);
    for (unsigned k = 0; k < nports; k++) {
        char name[32];
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        unsigned i = (first + k) % nports;
        snprintf(name, sizeof name, "p%u.lock", i);
        int held = lock(folder, name, LOCK_EX | LOCK_NB); /* until this process ends */
        if (held < 0) {
            continue;
        }
        snprintf(a.sun_path, sizeof a.sun_path, "%s/p%u", folder, i);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof a)) {
            return fd;
        }
        perror(a.sun_path);
        exit(1);
    }
    fprintf(stderr, "connect: all %u ports of the machine are in use\n", nports);
    exit(1);
}

/* ---- until the machine listens: port.h ---- */
static int say(int fd, const char *word, const unsigned char *number)
{
    unsigned char token[PORT_TOKEN];
    memcpy(token, word, PORT_WORD);
    memcpy(token + PORT_WORD, number, PORT_WORD);
    return write(fd, token, sizeof token) == sizeof token;
}

/* Waits for the word to be said back. false: not within the time (ms; -1 = for ever), or the machine or our user has gone (*is_gone). */
static int hear(int fd, const char *word, const unsigned char *number, int ms, int *is_gone)
{
    PortWindow w = {{0}};
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO}}; /* of the latter its end */
    for (unsigned char byte; poll(p, 2, ms) > 0;) {
        if (p[1].revents || read(fd, &byte, 1) != 1) {
            *is_gone = 1;
            return 0;
        }
        port_take(&w, byte);
        if (port_is(&w, word) && !memcmp(w.bytes + PORT_WORD, number, PORT_WORD)) {
            return 1;
        }
    }
    return 0;
}

static int agree(int fd)
{
    unsigned char number[PORT_WORD];
    int is_gone = 0;
    if (getrandom(number, sizeof number, 0) != sizeof number) {
        return 0;
    }
    do {
        if (!say(fd, port_who, number)) {
            return 0;
        }
    } while (!hear(fd, port_who, number, AGAIN_MS, &is_gone) && !is_gone);
    return !is_gone && say(fd, port_go, number) && hear(fd, port_go, number, -1, &is_gone);
}

/* One read's bytes. false: the end of either side. */
static int copy(int from, int to)
{
    static char bytes[CHUNK];
    ssize_t n = read(from, bytes, sizeof bytes);
    if (n <= 0) {
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    }
    for (ssize_t at = 0; at < n;) {
        ssize_t k = write(to, bytes + at, (size_t)(n - at));
        if (k < 0 && errno != EINTR) {
            return 0;
        }
        at += k > 0 ? k : 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: connect FOLDER NPORTS\n", stderr);
        return 2;
    }
    int fd = port_open(argv[1], (unsigned)strtoul(argv[2], NULL, 10));
    signal(SIGPIPE, SIG_IGN);
    if (!agree(fd)) {
        fputs("connect: the machine has gone\n", stderr);
        return 1;
    }
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            return 1;
        }
        if ((p[0].revents && !copy(STDIN_FILENO, fd)) || (p[1].revents && !copy(fd, STDOUT_FILENO))) {
            return 0;
        }
    }
}
