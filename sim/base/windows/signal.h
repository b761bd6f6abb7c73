/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. No signal ever comes but SIGALRM, on a thread of its own. */
#ifndef SIM_BASE_WINDOWS_SIGNAL_H
#define SIM_BASE_WINDOWS_SIGNAL_H

#include_next <signal.h>
#include <sys/types.h>
#include <time.h>
#undef pthread_sigmask /* a number, in winpthreads */

enum { SIGBUS = 7, SIGKILL = 9, SIGPIPE = 13, SIGALRM = 14, SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };
typedef _sigset_t sigset_t;
struct sigaction {
    void (*sa_handler)(int);
};
int sigaction(int sig, const struct sigaction *act, struct sigaction *was); /* SIGALRM */
unsigned alarm(unsigned seconds);
int sigemptyset(sigset_t *set);
int sigaddset(sigset_t *set, int sig);
int sigismember(const sigset_t *set, int sig);
int sigpending(sigset_t *set);
int pthread_sigmask(int how, const sigset_t *set, sigset_t *was);
int sigtimedwait(const sigset_t *set, void *info, const struct timespec *limit);
#endif
