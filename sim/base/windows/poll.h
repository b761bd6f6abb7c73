/* SPDX-License-Identifier: Apache-2.0
 * posix.c has what is declared here and in the other headers of this folder: of POSIX and Linux, as far as conf-agent uses it. */
#ifndef SIM_BASE_WINDOWS_POLL_H
#define SIM_BASE_WINDOWS_POLL_H

enum { POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16 };
typedef unsigned long nfds_t;
struct pollfd {
    int fd; /* below 0: left out */
    short events, revents;
};
/* A descriptor of posix.c waits as on Linux; any other is ready at once. Standard input is read by a thread of its own from the
 * first poll() or read() of it on, as nothing else can wait for a pipe and for an event at once. */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms);
#endif
