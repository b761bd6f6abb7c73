/* SPDX-License-Identifier: Apache-2.0
 * gcov_exit.c - for the build that gcov measures: processes that leave by _exit(), workers and the assembler's children, leave their
 * counts too, as exit() does by itself; and one made by _Fork() begins at none, as with fork(). Linked with --wrap, by module.cmake. */
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { FILES = 64, PATIENCE_MS = 300 }; /* what the counts need */

void __gcov_dump(void);
void __gcov_reset(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
pid_t __real__Fork(void);
pid_t __wrap__Fork(void);
int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);
int __real_setrlimit(int what, const struct rlimit *limit);
int __wrap_setrlimit(int what, const struct rlimit *limit);

void __wrap__exit(int status)
{
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < FILES && files.rlim_max >= FILES) {
        files.rlim_cur = FILES;
        __real_setrlimit(RLIMIT_NOFILE, &files);
    }
    __gcov_dump();
    __real__exit(status);
}

static bool is_server; /* of workers: who else calls _Fork()? */

pid_t __wrap__Fork(void)
{
    is_server = true;
    pid_t pid = __real__Fork();
    if (pid == 0) {
        is_server = false;
        __gcov_reset();
    }
    return pid;
}

/* A worker that nobody wants any more and that is about to leave may do so. */
int __wrap_kill(pid_t pid, int sig)
{
    for (int ms = 0; is_server && sig == SIGKILL && ms < PATIENCE_MS; ms++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, 0);
    }
    return __real_kill(pid, sig);
}

/* Who may open no file any more may do so at its end. */
int __wrap_setrlimit(int what, const struct rlimit *limit)
{
    struct rlimit mine = *limit;
    if (what == RLIMIT_NOFILE && mine.rlim_max < FILES) {
        mine.rlim_max = FILES;
    }
    return __real_setrlimit(what, &mine);
}
