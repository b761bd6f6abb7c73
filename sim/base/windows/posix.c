/* SPDX-License-Identifier: Apache-2.0
 * posix.c - of POSIX and Linux what conf-agent uses, on Windows: see poll.h. Descriptors from FIRST_FD on are objects of this
 * file, those below are the C library's; read(), write() and close() are ours for both. */
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <windows.h>

enum {
    FIRST_FD = 1024,
    MAX_OBJECTS = 1024,
    WRITE_FD = MAX_OBJECTS,
    MAX_POLL = 16,
    PUMP_BYTES = 256 * 1024,
    GATHER_BYTES = 8 * 1024
};

/* ---- counters: an eventfd, a pipe for wake-ups, a timer ---- */
typedef struct {
    HANDLE signal; /* an event that is set while count is not 0; of a timer the timer itself */
    SRWLOCK lock;
    uint64_t count;
    bool is_timer, is_nonblocking, is_stream;
} Object;
static Object *objects[MAX_OBJECTS];
static SRWLOCK objects_lock = SRWLOCK_INIT;

static int object_new(Object o)
{
    Object *p = malloc(sizeof *p);
    if (!p || !o.signal) {
        free(p);
        errno = EMFILE;
        return -1;
    }
    *p = o;
    InitializeSRWLock(&p->lock);
    AcquireSRWLockExclusive(&objects_lock);
    int at = 0;
    while (at < MAX_OBJECTS && objects[at]) {
        at++;
    }
    if (at < MAX_OBJECTS) {
        objects[at] = p;
    }
    ReleaseSRWLockExclusive(&objects_lock);
    if (at == MAX_OBJECTS) {
        CloseHandle(p->signal);
        free(p);
        errno = EMFILE;
        return -1;
    }
    return FIRST_FD + at;
}

static Object *object_of(int fd)
{
    int at = (fd - FIRST_FD) % MAX_OBJECTS;
    if (fd < FIRST_FD || fd >= FIRST_FD + WRITE_FD + MAX_OBJECTS) {
        return NULL;
    }
    AcquireSRWLockShared(&objects_lock);
    Object *o = objects[at];
    ReleaseSRWLockShared(&objects_lock);
    return o;
}

int eventfd(unsigned count, int flags)
{
    return object_new((Object){
        .signal = CreateEventW(NULL, TRUE, count != 0, NULL), .count = count, .is_nonblocking = flags & EFD_NONBLOCK});
}

/* The end that is written to is the same object by a number of its own. */
int pipe2(int fds[2], int flags)
{
    fds[0] = object_new((Object){
        .signal = CreateEventW(NULL, TRUE, FALSE, NULL), .is_stream = true, .is_nonblocking = flags & O_NONBLOCK});
    fds[1] = fds[0] < 0 ? -1 : fds[0] + WRITE_FD;
    return fds[0] < 0 ? -1 : 0;
}

int timerfd_create(int clock, int flags)
{
    (void)clock;
    (void)flags;
    enum { HIGH_RESOLUTION = 2 }; /* CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, Windows 10 1803; else some 16 ms */
    HANDLE h = CreateWaitableTimerExW(NULL, NULL, HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    h = h ? h : CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
    return object_new((Object){.signal = h, .is_timer = true});
}

int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *was)
{
    (void)flags;
    (void)was;
    Object *o = object_of(fd);
    long long units = (at->it_value.tv_sec * 1000000000ll + at->it_value.tv_nsec) / 100;
    LARGE_INTEGER due = {.QuadPart = units ? -units : -1};
    if (!o || !SetWaitableTimer(o->signal, &due, 0, NULL, NULL, FALSE)) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

/* With its lock, or before anybody else knows it. */
static void object_count(Object *o, uint64_t count)
{
    o->count = count;
    if (!o->is_timer && count) {
        SetEvent(o->signal);
    } else if (!o->is_timer) {
        ResetEvent(o->signal);
    }
}

static ssize_t object_read(Object *o, void *bytes, size_t n)
{
    for (;;) {
        AcquireSRWLockExclusive(&o->lock);
        uint64_t count = o->count;
        uint64_t taken = o->is_stream && count > n ? n : count;
        object_count(o, count - taken);
        ReleaseSRWLockExclusive(&o->lock);
        if (taken && o->is_stream) {
            memset(bytes, 0, (size_t)taken);
            return (ssize_t)taken;
        }
        if (taken) {
            memcpy(bytes, &taken, sizeof taken);
            return sizeof taken;
        }
        if (o->is_nonblocking) {
            errno = EAGAIN;
            return -1;
        }
        WaitForSingleObject(o->signal, INFINITE);
        if (o->is_timer) { /* the wait has taken its signal */
            AcquireSRWLockExclusive(&o->lock);
            o->count = 1;
            ReleaseSRWLockExclusive(&o->lock);
        }
    }
}

static ssize_t object_write(Object *o, const void *bytes, size_t n)
{
    uint64_t more = n;
    if (!o->is_stream) {
        memcpy(&more, bytes, sizeof more);
    }
    AcquireSRWLockExclusive(&o->lock);
    object_count(o, o->count + more);
    ReleaseSRWLockExclusive(&o->lock);
    return (ssize_t)n;
}

/* ---- standard input ---- */
static struct {
    SRWLOCK lock;
    CONDITION_VARIABLE room;
    HANDLE ready; /* set while there are bytes, or the end */
    uint8_t *bytes;
    size_t at, n;
    bool is_over;
} input = {.lock = SRWLOCK_INIT, .room = CONDITION_VARIABLE_INIT};

static DWORD WINAPI pump(void *arg)
{
    (void)arg;
    static uint8_t chunk[64 * 1024];
    HANDLE from = (HANDLE)_get_osfhandle(STDIN_FILENO);
    DWORD n;
    while (ReadFile(from, chunk, sizeof chunk, &n, NULL) && n) {
        AcquireSRWLockExclusive(&input.lock);
        while (input.n && input.at + input.n + n > PUMP_BYTES) {
            SleepConditionVariableSRW(&input.room, &input.lock, INFINITE, 0);
        }
        memcpy(input.bytes + input.at + input.n, chunk, n);
        input.n += n;
        SetEvent(input.ready);
        ReleaseSRWLockExclusive(&input.lock);
    }
    AcquireSRWLockExclusive(&input.lock);
    input.is_over = true;
    SetEvent(input.ready);
    ReleaseSRWLockExclusive(&input.lock);
    return 0;
}

static void input_open(void)
{
    input.ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    input.bytes = malloc(PUMP_BYTES);
    HANDLE thread = input.ready && input.bytes ? CreateThread(NULL, 0, pump, NULL, 0, NULL) : NULL;
    if (!thread) {
        static const char text[] = "conf-agent: no thread to read standard input\n";
        write(STDERR_FILENO, text, sizeof text - 1);
        _exit(70);
    }
    CloseHandle(thread);
}

static HANDLE input_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, input_open);
    return input.ready;
}

static ssize_t input_read(void *bytes, size_t n)
{
    WaitForSingleObject(input_ready(), INFINITE);
    AcquireSRWLockExclusive(&input.lock);
    n = n < input.n ? n : input.n;
    memcpy(bytes, input.bytes + input.at, n);
    input.n -= n;
    input.at = input.n ? input.at + n : 0;
    if (!input.n) {
        WakeConditionVariable(&input.room);
        if (!input.is_over) {
            ResetEvent(input.ready);
        }
    }
    ReleaseSRWLockExclusive(&input.lock);
    return (ssize_t)n;
}

/* ---- descriptors ---- */
int read(int fd, void *bytes, unsigned n)
{
    Object *o = object_of(fd);
    if (fd < FIRST_FD) {
        return fd == STDIN_FILENO ? (int)input_read(bytes, n) : _read(fd, bytes, n);
    }
    errno = EBADF;
    return o ? (int)object_read(o, bytes, n) : -1;
}

/* Not by the C library, which would make \r\n of \n. */
int write(int fd, const void *bytes, unsigned n)
{
    Object *o = object_of(fd);
    DWORD done = 0;
    if (fd >= FIRST_FD) {
        errno = EBADF;
        return o ? (int)object_write(o, bytes, n) : -1;
    }
    if (!WriteFile((HANDLE)_get_osfhandle(fd), bytes, n, &done, NULL)) {
        DWORD error = GetLastError();
        errno = error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA ? EPIPE
                : error == ERROR_INVALID_HANDLE                      ? EBADF
                                                                     : EIO;
        return -1;
    }
    return (int)done;
}

int close(int fd)
{
    Object *o = object_of(fd);
    if (fd < FIRST_FD) {
        return _close(fd);
    }
    if (!o) { /* the write end of a pipe whose read end, the object, is closed; or none at all */
        errno = EBADF;
        return fd >= FIRST_FD + WRITE_FD ? 0 : -1;
    }
    if (fd < FIRST_FD + WRITE_FD) { /* the other end of a pipe is the same object */
        AcquireSRWLockExclusive(&objects_lock);
        objects[fd - FIRST_FD] = NULL;
        ReleaseSRWLockExclusive(&objects_lock);
        CloseHandle(o->signal);
        free(o);
    }
    return 0;
}

ssize_t writev(int fd, const struct iovec *iov, int niov)
{
    uint8_t all[GATHER_BYTES];
    size_t n = 0;
    int i = 0;
    while (i < niov && iov[i].iov_len <= sizeof all - n) { /* one call for what is short: one switch to the reader */
        memcpy(all + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i++].iov_len;
    }
    if (!n && niov) { /* less than was asked for may be written */
        n = iov[0].iov_len < INT_MAX ? iov[0].iov_len : INT_MAX;
        return write(fd, iov[0].iov_base, (unsigned)n);
    }
    return write(fd, all, (unsigned)n);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    (void)fd;
    (void)m;
    (void)flags;
    errno = ENOTSOCK;
    return -1;
}

int fcntl(int fd, int command, int arg)
{
    (void)arg; /* 0 to 2 are open, so the next one is above */
    if (command != F_DUPFD_CLOEXEC) {
        errno = EINVAL;
        return -1;
    }
    return _dup(fd);
}

/* ---- poll ---- */
/* What is ready now; else *wait is what to wait for. */
static short ready_of(const struct pollfd *p, HANDLE *wait)
{
    Object *o = object_of(p->fd);
    *wait = NULL;
    if (p->fd < 0) {
        return 0;
    }
    if (o && p->fd < FIRST_FD + WRITE_FD) {
        AcquireSRWLockShared(&o->lock);
        bool is_ready = o->count != 0;
        ReleaseSRWLockShared(&o->lock);
        *wait = p->events & POLLIN ? o->signal : NULL;
        return is_ready ? p->events & POLLIN : p->events & POLLOUT;
    }
    if (!o && p->fd == STDIN_FILENO && p->events & POLLIN) {
        *wait = input_ready();
        AcquireSRWLockShared(&input.lock);
        bool is_ready = input.n || input.is_over;
        ReleaseSRWLockShared(&input.lock);
        return is_ready ? POLLIN : 0;
    }
    return p->events;
}

/* A wait takes a timer's signal: it is kept as its count. */
static void note_timer(struct pollfd *fds, nfds_t n, HANDLE signaled)
{
    for (nfds_t i = 0; i < n; i++) {
        Object *o = object_of(fds[i].fd);
        if (o && o->is_timer && o->signal == signaled) {
            AcquireSRWLockExclusive(&o->lock);
            o->count = 1;
            ReleaseSRWLockExclusive(&o->lock);
        }
    }
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    ULONGLONG end = GetTickCount64() + (ULONGLONG)(timeout_ms > 0 ? timeout_ms : 0);
    for (;;) {
        HANDLE waits[MAX_POLL], wait;
        DWORD nwaits = 0;
        int nready = 0;
        for (nfds_t i = 0; i < n; i++) {
            fds[i].revents = ready_of(&fds[i], &wait);
            nready += fds[i].revents != 0;
            if (wait && nwaits < MAX_POLL) {
                waits[nwaits++] = wait;
            }
        }
        ULONGLONG now = GetTickCount64();
        if (nready || timeout_ms == 0 || (timeout_ms > 0 && now >= end)) {
            return nready;
        }
        DWORD left = timeout_ms < 0 ? INFINITE : (DWORD)(end - now);
        if (!nwaits) {
            Sleep(left);
            continue;
        }
        DWORD got = WaitForMultipleObjects(nwaits, waits, FALSE, left);
        if (got < WAIT_OBJECT_0 + nwaits) {
            note_timer(fds, n, waits[got - WAIT_OBJECT_0]);
        } else if (got == WAIT_FAILED) {
            errno = EINVAL;
            return -1;
        }
    }
}

/* ---- signals ---- */
static void (*_Atomic on_alarm)(int);

int sigaction(int sig, const struct sigaction *act, struct sigaction *was)
{
    (void)was;
    if (sig != SIGALRM) {
        errno = EINVAL;
        return -1;
    }
    on_alarm = act->sa_handler;
    return 0;
}

static DWORD WINAPI alarm_main(void *arg)
{
    Sleep((DWORD)(uintptr_t)arg * 1000);
    void (*handler)(int) = on_alarm;
    if (handler) {
        handler(SIGALRM);
    }
    return 0;
}

unsigned alarm(unsigned seconds)
{
    HANDLE thread = CreateThread(NULL, 0, alarm_main, (void *)(uintptr_t)seconds, 0, NULL);
    if (thread) {
        CloseHandle(thread);
    }
    return 0;
}

int sigemptyset(sigset_t *set)
{
    *set = 0;
    return 0;
}

int sigaddset(sigset_t *set, int sig)
{
    *set |= (sigset_t)1 << sig;
    return 0;
}

int sigismember(const sigset_t *set, int sig)
{
    return *set >> sig & 1;
}

int sigpending(sigset_t *set)
{
    return sigemptyset(set);
}

int sigtimedwait(const sigset_t *set, void *info, const struct timespec *limit)
{
    (void)set;
    (void)info;
    (void)limit;
    errno = EAGAIN;
    return -1;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *was)
{
    (void)how;
    (void)set;
    return was ? sigemptyset(was) : 0;
}

int pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t n, const cpu_set_t *set)
{
    (void)attr;
    (void)n;
    (void)set;
    return 0;
}

char *strerror_r(int number, char *text, size_t n)
{
    return strerror_s(text, n, number) ? strcpy(text, "?") : text;
}
