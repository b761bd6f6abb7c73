/* SPDX-License-Identifier: Apache-2.0
 * Worker processes. A small process, forked early, forks each worker: a fork copies the page tables
 * of the one that forks, and may not be done by one with threads. It is asked over a socket pair of
 * datagrams; these do not leave this program, so they are plain structs.
 *
 * Nobody stays behind: the server dies with the program that started it, a worker with the server
 * (PR_SET_PDEATHSIG), and both hold no descriptor of others, so that the end of one is seen by its
 * peer at once. */
#include "accel/remote/link.h"
#include "accel/remote/server.h"
#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t CONNECT_NS =
    60ull * 1000 * 1000 * 1000; /* one that spins is ended by its limit of CPU time before */
/* From a closed link to the end of its process, which is a matter of microseconds, but not on a busy host. */
static const uint64_t DYING_NS = 60ull * 1000 * 1000 * 1000;

struct WorkerServer {
    pid_t pid;
    int ctl;                  /* our end of the socket pair */
    VEC(RemoteKnown *) peers; /* by name */
};

typedef enum { ASK_START, ASK_END } AskKind;
typedef struct {
    AskKind kind;
    WorkerLimits limits;
    uint64_t grace_ns;
    cpu_set_t cpus; /* of the thread that asks */
} Ask;

/* ---- in the server process ---- */
typedef struct {
    RemoteFind find;
    int ctl;
    pid_t worker;        /* 0 = none */
    int start_error;     /* errno of the last fork */
    uint64_t size_bytes; /* of the address space that a worker starts with */
} Forker;

static void quit(int status) __attribute__((noreturn));
static void quit(int status)
{
    _exit(status); /* not exit(): the handlers and buffers belong to the program that we were forked
                      from */
}

/* Handlers of the parent mean nothing here. Ctrl-C reaches the whole foreground group; it is the
 * parent that decides. */
static void signals_reset(void)
{
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction act = {.sa_handler = sig == SIGINT || sig == SIGPIPE ? SIG_IGN : SIG_DFL};
        sigaction(sig, &act, NULL); /* fails for KILL, STOP and the C library's own, which is well */
    }
}

static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { /* it was gone before the line above */
        quit(1);
    }
}

/* stdin reads nothing, what a backend prints goes to stderr, and but for `keep` nothing else is
 * open. */
static void fds_reset(int keep)
{
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
    }
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (keep > 3) {
        close_range(3, (unsigned)keep - 1, 0);
    }
    close_range((unsigned)keep + 1, ~0u, 0);
}

static uint64_t size_now(void)
{
    char line[64] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        bool ok = fgets(line, sizeof line, f) != NULL;
        (void)ok; /* without a number there is no limit to add to */
        fclose(f);
    }
    return strtoull(line, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limits_set(const WorkerLimits *limits, uint64_t size_bytes)
{
    if (limits->max_memory_bytes) {
        uint64_t max = size_bytes + limits->max_memory_bytes;
        setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = max, .rlim_max = max});
    }
    if (limits->max_cpu_s) { /* the soft limit is SIGXCPU: a cause that shows; the hard one SIGKILL */
        setrlimit(RLIMIT_CPU, &(struct rlimit){.rlim_cur = limits->max_cpu_s, .rlim_max = limits->max_cpu_s + 1});
    }
}

/* A thread that is tied to one CPU gets its worker there: the two take turns, and waking an idle
 * CPU costs more than a whole round trip. Further vcpus may run anywhere. */
static const cpu_set_t *cpus_set(const cpu_set_t *asker, cpu_set_t *all)
{
    if (CPU_COUNT(asker) != 1 || sched_getaffinity(0, sizeof *all, all)) {
        return NULL;
    }
    return sched_setaffinity(0, sizeof *asker, asker) ? NULL : all;
}

static void worker_main(const Forker *f, int fd, const Ask *ask, pid_t parent) __attribute__((noreturn));
static void worker_main(const Forker *f, int fd, const Ask *ask, pid_t parent)
{
    sigset_t none;
    cpu_set_t all;
    die_with(parent);
    sigemptyset(&none); /* handlers were reset in the server already */
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(f->ctl);
    limits_set(&ask->limits, f->size_bytes);
    const cpu_set_t *cpus = cpus_set(&ask->cpus, &all);
    ServeArgs args = {.find = f->find, .fd_in = fd, .fd_out = fd, .cpus = cpus, .quit = quit};
    Err err = {0};
    int rc = server_run(&args, &err);
    quit(rc ? 1 : 0);
}

static void reap_fill(WorkerEnd *end, int status, const struct rusage *use)
{
    end->has_exited = WIFEXITED(status);
    end->was_signaled = WIFSIGNALED(status);
    end->exit_status = end->has_exited ? WEXITSTATUS(status) : 0;
    end->signal = end->was_signaled ? WTERMSIG(status) : 0;
    end->max_rss_bytes = (uint64_t)use->ru_maxrss * 1024;
    end->cpu_ns = (uint64_t)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000000000u +
                  (uint64_t)(use->ru_utime.tv_usec + use->ru_stime.tv_usec) * 1000u;
}

/* Waits for the worker, at most until the grace is over, then kills it. SIGCHLD is blocked in this
 * process. */
static void reap(Forker *f, uint64_t grace_ns, WorkerEnd *end)
{
    *end = (WorkerEnd){0};
    uint64_t start = os_now_ns();
    bool is_killed = false;
    while (f->worker) {
        int status;
        struct rusage use;
        pid_t got = wait4(f->worker, &status, is_killed ? 0 : WNOHANG, &use);
        if (got == f->worker) {
            reap_fill(end, status, &use);
            f->worker = 0;
            return;
        }
        if (got < 0 && errno != EINTR) {
            f->worker = 0;
            return;
        }
        uint64_t spent = os_now_ns() - start;
        if (spent >= grace_ns) {
            kill(f->worker, SIGKILL);
            is_killed = true;
            continue;
        }
        sigset_t chld;
        sigemptyset(&chld);
        sigaddset(&chld, SIGCHLD);
        uint64_t left = grace_ns - spent;
        struct timespec t = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
        sigtimedwait(&chld, NULL, &t);
    }
}

static void start(Forker *f, int fd, const Ask *ask)
{
    WorkerEnd end;
    reap(f, 0, &end); /* the last one, if nobody asked for its end */
    pid_t self = getpid();
    pid_t pid = _Fork(); /* no thread was ever here, so there is nothing that fork() would have to mend */
    if (pid == 0) {
        worker_main(f, fd, ask, self);
    }
    f->start_error = pid < 0 ? errno : 0;
    f->worker = pid < 0 ? 0 : pid;
}

/* One question, and the descriptor that came with it (-1 if none). false: the program is gone. */
static bool ask_take(int ctl, Ask *ask, int *fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = ask, .iov_len = sizeof *ask};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n;
    do {
        n = recvmsg(ctl, &m, 0);
    } while (n < 0 && errno == EINTR);
    *fd = -1;
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS) {
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    }
    return n == (ssize_t)sizeof *ask;
}

static void forker_main(Forker *f, pid_t parent) __attribute__((noreturn));
static void forker_main(Forker *f, pid_t parent)
{
    die_with(parent);
    signals_reset();
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    fds_reset(f->ctl);
    /* What is the same for all workers is done once. An arena per thread would reserve 64 MiB each, which would count
     * against a worker's limit. */
    mallopt(M_ARENA_MAX, 1);
    f->size_bytes = size_now();
    Ask ask;
    int fd;
    while (ask_take(f->ctl, &ask, &fd)) {
        WorkerEnd end = {0};
        if (ask.kind == ASK_START && fd >= 0) { /* has no answer: a link whose worker never was ends at once */
            start(f, fd, &ask);
            close(fd);
            continue;
        }
        reap(f, ask.grace_ns, &end);
        end.start_error = f->start_error;
        if (send(f->ctl, &end, sizeof end, MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    WorkerEnd end;
    reap(f, 0, &end);
    quit(0);
}

/* ---- in the program ---- */
int worker_server_start_for(RemoteFind find, WorkerServer **out, Err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        return err_native(err, ERR_HOST, errno, "socket pair of a worker server");
    }
    pid_t self = getpid();
    fflush(NULL); /* or a backend that calls exit() would write it once more */
    pid_t pid = fork();
    if (pid == 0) {
        Forker f = {.find = find, .ctl = pair[1]};
        forker_main(&f, self);
    }
    close(pair[1]);
    if (pid < 0) {
        int rc = err_native(err, ERR_HOST, errno, "fork of a worker server");
        close(pair[0]);
        return rc;
    }
    WorkerServer *s = x_alloc(sizeof *s);
    *s = (WorkerServer){.pid = pid, .ctl = pair[0]};
    *out = s;
    return 0;
}

void worker_server_stop(WorkerServer *s)
{
    if (!s) {
        return;
    }
    close(s->ctl);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    for (size_t i = 0; i < s->peers.n; i++) {
        remote_known_free(s->peers.items[i]);
        mem_free(s->peers.items[i]);
    }
    VEC_FREE(&s->peers);
    mem_free(s);
}

static bool ask_send(const WorkerServer *s, const Ask *ask, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)ask, .iov_len = sizeof *ask};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(s->ctl, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *ask;
}

static bool end_take(const WorkerServer *s, WorkerEnd *end)
{
    ssize_t n;
    do {
        n = recv(s->ctl, end, sizeof *end, 0);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *end;
}

static bool end_ask(const WorkerServer *s, uint64_t grace_ns, WorkerEnd *out)
{
    Ask ask = {.kind = ASK_END, .grace_ns = grace_ns};
    return ask_send(s, &ask, -1) && end_take(s, out);
}

/* Why there was no answer, where the worker's end says more than that. */
static int start_failed(const WorkerEnd *end, int rc, Err *err)
{
    const char *name = end->was_signaled ? sigabbrev_np(end->signal) : NULL;
    if (end->start_error) {
        return err_native(err, ERR_HOST, end->start_error, "fork of a worker");
    }
    if (rc == -ERR_IO && end->was_signaled && end->signal != SIGKILL) {
        return err_set(err, ERR_IO, "backend died: signal %d (SIG%s)", end->signal, name ? name : "?");
    }
    if (rc == -ERR_IO && end->has_exited && end->exit_status > 1) { /* 1: the server itself, on a broken link */
        return err_set(err, ERR_IO, "backend died: exit status %d", end->exit_status);
    }
    return rc;
}

static RemoteKnown *peer_of(WorkerServer *s, const char *name)
{
    for (size_t i = 0; i < s->peers.n; i++) {
        if (!strcmp(s->peers.items[i]->name, name)) {
            return s->peers.items[i];
        }
    }
    RemoteKnown *k = x_alloc(sizeof *k);
    k->name = x_strdup(name);
    VEC_PUSH(&s->peers, k);
    return k;
}

int worker_start(WorkerServer *s, const char *name, const WorkerLimits *limits, RemoteLink **out, Err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        return err_native(err, ERR_HOST, errno, "socket pair of a worker");
    }
    Ask ask = {.kind = ASK_START};
    if (limits) {
        ask.limits = *limits;
    }
    sched_getaffinity(0, sizeof ask.cpus, &ask.cpus); /* if it fails the set is empty, and says nothing */
    bool is_asked = ask_send(s, &ask, pair[1]);
    close(pair[1]);
    if (!is_asked) {
        close(pair[0]);
        return err_set(err, ERR_IO, "the worker server is gone");
    }
    /* Hello waits in the socket until the worker is there. If it never comes the socket is closed,
     * and the answer of the server says why. */
    int rc = remote_connect_known(pair[0], peer_of(s, name), CONNECT_NS, out, err);
    if (rc) {
        WorkerEnd end;
        uint64_t grace_ns = rc == -ERR_IO ? DYING_NS : 0;
        bool is_there = end_ask(s, grace_ns, &end);
        rc = is_there ? start_failed(&end, rc, err) : err_set(err, ERR_IO, "the worker server is gone");
    }
    return rc;
}

void worker_end(WorkerServer *s, RemoteLink *link, uint64_t grace_ns, WorkerEnd *out)
{
    remote_close(link);
    if (!end_ask(s, grace_ns, out)) {
        *out = (WorkerEnd){0}; /* the server was killed, and its worker with it: nothing is known of the end */
    }
}
