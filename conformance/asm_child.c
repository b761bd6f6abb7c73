/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_door.h"
#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Limits of one text. The memory is what the child may add to the parent's. An image of 16 MiB made
 * by .rept needs 90 MiB and 3 s. */
enum { CHILD_CPU_SECONDS = 4, CHILD_WALL_SECONDS = 30, CHILD_MEMORY_MIB = 256, CHILD_OBJECT_EXTRA = 64 << 20 };

/* What the child leaves in the result file; both ends are the same program. */
typedef struct {
    uint32_t magic; /* written last: a result with it is whole */
    uint32_t has_error;
    AsmDiag diag;
    uint64_t nobject;
} Result;
enum { RESULT_MAGIC = 0x314d5341 };
enum { FD_RESULT = 3 };

typedef struct {
    Result result;
    uint32_t nerrors;
    bool wants_place; /* the first error lies in a macro; its place is the use, named by a note */
} Child;

static uint32_t parse_number(const char **at)
{
    uint32_t n = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        n = n < 100000000 ? n * 10 + (uint32_t)(**at - '0') : n;
    }
    return n;
}

/* "<inline asm>:3:2: message\n..." in its parts; "<instantiation>:..." and "<unknown>:0: ..." have
 * no place in the text. */
static const char *parse_place(const char *text, uint32_t *line, uint32_t *col)
{
    *line = *col = 0;
    const char *close = *text == '<' ? strchr(text, '>') : NULL;
    if (!close || close[1] != ':') {
        return text;
    }
    const char *at = close + 2;
    uint32_t l = parse_number(&at), c = 0;
    if (*at == ':' && at[1] >= '0' && at[1] <= '9') {
        at++;
        c = parse_number(&at);
    }
    if (!strncmp(text, "<inline asm>", 12)) {
        *line = l;
        *col = c;
    }
    return at[0] == ':' && at[1] == ' ' ? at + 2 : at;
}

static void on_diag(void *user, ConfLlvmSeverity severity, const char *text)
{
    Child *child = user;
    uint32_t line, col;
    const char *message = parse_place(text, &line, &col);
    AsmDiag *d = &child->result.diag;
    switch (severity) {
    case CONF_LLVM_ERROR:
        if (child->nerrors++) {
            child->wants_place = false;
            d->nmore++;
            return;
        }
        d->line = line;
        d->col = col;
        snprintf(d->message, sizeof d->message, "%.*s", (int)strcspn(message, "\n"), message);
        if (strstr(message, "ould not find inc")) { /* "Could not find include file", "incbin file" */
            snprintf(d->message, sizeof d->message, ".include and .incbin are refused: a text reads no files");
        }
        child->wants_place = !strncmp(text, "<instantiation>", 15);
        return;
    case CONF_LLVM_NOTE:
        if (child->wants_place && line) { /* from the innermost use to the outermost */
            d->line = line;
            d->col = col;
        }
        return;
    case CONF_LLVM_WARNING:
        return;
    }
}

static bool write_at(const void *bytes, size_t n, off_t offset)
{
    const char *at = bytes;
    while (n) {
        ssize_t done = pwrite(FD_RESULT, at, n, offset);
        if (done <= 0) {
            return false;
        }
        at += done;
        offset += done;
        n -= (size_t)done;
    }
    return true;
}

static void on_object(void *user, const void *bytes, size_t n)
{
    Child *child = user;
    child->result.nobject = n;
    if (!write_at(bytes, n, (off_t)sizeof(Result))) {
        _exit(1);
    }
}

static uint64_t address_space_bytes(void)
{
    Buf text = {0};
    uint64_t pages = 0;
    if (!os_read_file("/proc/self/statm", 4096, &text, NULL)) {
        pages = strtoull(buf_text(&text), NULL, 10);
    }
    buf_free(&text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit(int what, uint64_t value)
{
    struct rlimit r;
    if (getrlimit(what, &r)) {
        _exit(1);
    }
    r.rlim_cur = value < r.rlim_max ? value : r.rlim_max;
    r.rlim_max = r.rlim_cur;
    if (setrlimit(what, &r)) {
        _exit(1);
    }
}

/* After this the child can compute and write to the two files, nothing else. */
static void enter_cage(int fd_result, int fd_errors, size_t max_file)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int s = 1; s < NSIG; s++) {
        signal(s, SIG_DFL); /* the parent's handlers are not meant for here */
    }
    uint64_t memory = address_space_bytes() + ((uint64_t)CHILD_MEMORY_MIB << 20);
    int null = open("/dev/null", O_RDWR);
    /* First out of the way of the numbers that are about to be overwritten. */
    int result = fcntl(fd_result, F_DUPFD, 10), errors = fcntl(fd_errors, F_DUPFD, 10);
    if (null < 0 || result < 0 || errors < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0 ||
        dup2(result, FD_RESULT) < 0 || close_range(FD_RESULT + 1, ~0U, 0)) {
        _exit(1);
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CHILD_CPU_SECONDS);
    limit(RLIMIT_FSIZE, max_file);
    limit(RLIMIT_AS, memory);
    limit(RLIMIT_NOFILE, 0); /* .include and .incbin find nothing */
}

static void run_child(const ConfLlvm *llvm, GuestId guest, const Buf *source)
{
    Child child = {0};
    ConfLlvmJob job = {.guest = (ConfLlvmGuest)guest,
                       .text = source->data,
                       .n = source->n,
                       .user = &child,
                       .diag = on_diag,
                       .object = on_object};
    child.result.has_error = llvm->assemble(&job) != 0;
    child.result.magic = RESULT_MAGIC;
    _exit(write_at(&child.result, sizeof child.result, 0) ? 0 : 1);
}

static int read_back(int fd, void *to, size_t n, off_t offset)
{
    char *at = to;
    while (n) {
        ssize_t got = pread(fd, at, n, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -1;
        }
        at += got;
        offset += got;
        n -= (size_t)got;
    }
    return 0;
}

/* The child died: of a limit, or of LLVM itself, which then says why on its standard error. */
static int explain_death(int status, int fd_errors, AsmDiag *diag, Err *err)
{
    char text[512] = "";
    ssize_t n = pread(fd_errors, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    int by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (by == SIGXCPU || by == SIGXFSZ || by == SIGKILL || strstr(text, "out of memory") || strstr(text, "bad_alloc") ||
        strstr(text, "llocation failed")) {
        return err_set(err, ERR_LIMIT, "the text needs more than %d s or %d MiB to assemble", CHILD_CPU_SECONDS,
                       CHILD_MEMORY_MIB);
    }
    *diag = (AsmDiag){0};
    snprintf(diag->message, sizeof diag->message, "the assembler gave up (%s %d)%s%.*s", by ? "signal" : "status",
             by ? by : WEXITSTATUS(status), *text ? ": " : "", (int)strcspn(text, "\n"), text);
    return -ERR_INVAL;
}

static int collect(int fd_result, size_t max_object, Buf *object, AsmDiag *diag, Err *err)
{
    Result r;
    if (read_back(fd_result, &r, sizeof r, 0)) {
        return err_set(err, ERR_HOST, "the assembler's result is cut off");
    }
    *diag = r.diag;
    if (r.has_error) {
        return -ERR_INVAL;
    }
    if (r.nobject > max_object) {
        return err_set(err, ERR_LIMIT, "the assembler's object has %llu bytes", (unsigned long long)r.nobject);
    }
    char *bytes = mem_try(1, r.nobject + 1);
    if (!bytes) {
        return err_set(err, ERR_NOMEM, "no memory for an object of %llu bytes", (unsigned long long)r.nobject);
    }
    int rc = read_back(fd_result, bytes, r.nobject, (off_t)sizeof r);
    if (!rc) {
        buf_bytes(object, bytes, r.nobject);
    }
    mem_free(bytes);
    return rc ? err_set(err, ERR_HOST, "the assembler's result is cut off") : 0;
}

static bool is_whole(int fd_result)
{
    Result r;
    return !read_back(fd_result, &r, sizeof r, 0) && r.magic == RESULT_MAGIC;
}

/* false: it did not end in time, and was killed. Another thread may collect children by wait(): then only the result tells
 * how it went. */
static bool wait_child(pid_t pid, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until = os_now_ns() + CHILD_WALL_SECONDS * UINT64_C(1000000000), now;
    bool is_late = false;
    while (fd >= 0 && !p.revents && !is_late) {
        now = os_now_ns();
        is_late = now >= until;
        poll(&p, 1, is_late ? 0 : (int)((until - now) / 1000000 + 1));
    }
    is_late = is_late && !p.revents;
    if (is_late) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
    if (fd >= 0) {
        close(fd);
    }
    return !is_late;
}

typedef struct {
    const ConfLlvm *llvm;
    GuestId guest;
    const Buf *source;
    size_t max_object;
} Assembly;

/* One child. *is_stuck: it did not end. */
static int assemble_once(const Assembly *a, Buf *object, AsmDiag *diag, bool *is_stuck, Err *err)
{
    int rc = 0, status = 0;
    *is_stuck = false;
    int fd_result = memfd_create("conf-asm-result", MFD_CLOEXEC);
    int fd_errors = memfd_create("conf-asm-errors", MFD_CLOEXEC);
    pid_t pid = fd_result < 0 || fd_errors < 0 ? -1 : fork();
    if (!pid) {
        enter_cage(fd_result, fd_errors, a->max_object + sizeof(Result));
        run_child(a->llvm, a->guest, a->source);
    }
    if (pid < 0) {
        rc = err_native(err, ERR_HOST, errno, "cannot start the assembler's process");
    } else if (!wait_child(pid, &status)) {
        *is_stuck = true;
        rc = err_set(err, ERR_LIMIT, "the assembler did not end in %d s", CHILD_WALL_SECONDS);
    } else {
        rc = is_whole(fd_result) ? collect(fd_result, a->max_object, object, diag, err)
                                 : explain_death(status, fd_errors, diag, err);
    }
    close(fd_result); /* -1 does no harm */
    close(fd_errors);
    return rc;
}

int asm_door_assemble(GuestId guest, const Buf *source, size_t max_object, Buf *object, AsmDiag *diag, Err *err)
{
    const ConfLlvm *llvm = asm_door_open(err);
    if (!llvm) {
        return -ERR_UNAVAILABLE;
    }
    if (llvm->prepare((ConfLlvmGuest)guest)) {
        return err_set(err, ERR_UNAVAILABLE, "LLVM %s has no assembler for this guest", llvm->version);
    }
    /* The child of a program with threads has the locks that another thread held at that moment, those of the C++ runtime
     * or of a sanitizer among them: it may wait for one for ever. The next one hardly will. */
    Assembly a = {.llvm = llvm, .guest = guest, .source = source, .max_object = max_object + CHILD_OBJECT_EXTRA};
    bool is_stuck;
    int rc = assemble_once(&a, object, diag, &is_stuck, err);
    return is_stuck ? assemble_once(&a, object, diag, &is_stuck, err) : rc;
}
