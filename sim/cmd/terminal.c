/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cmd/terminal.h"

#include "sim/base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* What ends a process and can be caught. Those of faults too: a crash must not leave the shell without echo. */
static const int ending[] = {SIGHUP, SIGINT,  SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS,  SIGILL,
                             SIGFPE, SIGTRAP, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGSYS};

/* Signal handlers have no context: the one place of the module that is not its caller's. */
static struct {
    volatile sig_atomic_t is_raw;
    int fd;
    struct termios before, raw;
    struct sigaction old[ARRAY_LEN(ending)], old_stop, old_cont, our_stop;
    bool has_atexit;
} term;

static void modes_set(const struct termios *modes)
{
    while (tcsetattr(term.fd, TCSANOW, modes) && errno == EINTR) {
    }
}

static void on_ending(int sig)
{
    int saved = errno;
    modes_set(&term.before);
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        if (ending[i] == sig) {
            sigaction(sig, &term.old[i], NULL);
        }
    }
    errno = saved;
    raise(sig); /* blocked until this handler is left; a fault happens again */
}

static void on_cont(int sig)
{
    (void)sig;
    int saved = errno;
    sigaction(SIGTSTP, &term.our_stop, NULL); /* first: a stop that comes from now on must not find it raw */
    modes_set(&term.raw);                     /* in the background this stops us, as it should, until we are in front */
    errno = saved;
}

static void on_stop(int sig)
{
    int saved = errno;
    sigset_t just_this;
    sigemptyset(&just_this);
    sigaddset(&just_this, sig);
    modes_set(&term.before);
    sigaction(sig, &term.old_stop, NULL);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &just_this, NULL); /* stops here, and goes on here, in on_cont() */
    sigprocmask(SIG_BLOCK, &just_this, NULL);
    sigaction(sig, &term.our_stop, NULL);
    modes_set(&term.raw); /* the kernel does not stop an orphaned process group, and then sends no SIGCONT */
    errno = saved;
}

/* What is ignored (nohup, a shell's background job) stays so. */
static void handler_set(int sig, void (*handler)(int), struct sigaction *old)
{
    struct sigaction ours = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    sigaction(sig, NULL, old);
    if (old->sa_handler != SIG_IGN) {
        sigaction(sig, &ours, NULL);
    }
}

static void handlers_set(void)
{
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        handler_set(ending[i], on_ending, &term.old[i]);
    }
    handler_set(SIGTSTP, on_stop, &term.old_stop);
    sigaction(SIGTSTP, NULL, &term.our_stop);
    handler_set(SIGCONT, on_cont, &term.old_cont);
}

int terminal_raw(int fd, bool *is_raw, Err *err)
{
    *is_raw = false;
    if (!isatty(fd)) {
        return 0;
    }
    if (tcgetattr(fd, &term.before)) {
        return err_native(err, ERR_HOST, errno, "the terminal's modes");
    }
    term.fd = fd;
    term.raw = term.before;
    cfmakeraw(&term.raw);
    term.raw.c_oflag = term.before.c_oflag; /* a guest's bare line feed still begins a line */
    if (!term.has_atexit) {
        term.has_atexit = !atexit(terminal_restore);
    }
    handlers_set(); /* first: there is no instant at which it is raw and a signal would leave it so */
    term.is_raw = 1;
    if (tcsetattr(fd, TCSANOW, &term.raw)) {
        int native = errno;
        terminal_restore();
        return err_native(err, ERR_HOST, native, "the terminal cannot be made raw");
    }
    *is_raw = true;
    return 0;
}

void terminal_restore(void)
{
    if (!term.is_raw) {
        return;
    }
    modes_set(&term.before);
    term.is_raw = 0;
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        sigaction(ending[i], &term.old[i], NULL);
    }
    sigaction(SIGCONT, &term.old_cont, NULL); /* before that of the stop, which its handler sets */
    sigaction(SIGTSTP, &term.old_stop, NULL);
}
