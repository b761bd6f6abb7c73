/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cmd/rig_test.h"

#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/cmd/sim_cmd.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_SIGNAL = 1000, MS = 1000000 };
static const uint64_t PATIENCE_NS = 120000000000u;

/* ---- instructions ---- */
uint32_t lui(unsigned rd, uint32_t upper)
{
    return upper << 12 | rd << 7 | 0x37;
}

uint32_t addi(unsigned rd, unsigned rs, int imm)
{
    return (uint32_t)imm << 20 | rs << 15 | rd << 7 | 0x13;
}

uint32_t slli(unsigned rd, unsigned rs, unsigned by)
{
    return by << 20 | rs << 15 | 1 << 12 | rd << 7 | 0x13;
}

uint32_t or_(unsigned rd, unsigned a, unsigned b)
{
    return b << 20 | a << 15 | 6 << 12 | rd << 7 | 0x33;
}

uint32_t load(unsigned funct3, unsigned rd, unsigned base, int offset)
{
    return (uint32_t)offset << 20 | base << 15 | funct3 << 12 | rd << 7 | 0x03;
}

uint32_t store(unsigned funct3, unsigned rs, unsigned base, int offset)
{
    uint32_t o = (uint32_t)offset;
    return (o >> 5 & 0x7f) << 25 | rs << 20 | base << 15 | funct3 << 12 | (o & 0x1f) << 7 | 0x23;
}

uint32_t branch(unsigned funct3, unsigned a, unsigned b, int offset)
{
    uint32_t o = (uint32_t)offset;
    return (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | b << 20 | a << 15 | funct3 << 12 | (o >> 1 & 0xf) << 8 |
           (o >> 11 & 1) << 7 | 0x63;
}

uint32_t jump(int offset)
{
    uint32_t o = (uint32_t)offset;
    return (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | 0x6f;
}

uint32_t csr_set(unsigned csr, unsigned rs)
{
    return csr << 20 | rs << 15 | 2 << 12 | 0x73;
}

uint32_t csr_get(unsigned rd, unsigned csr)
{
    return csr << 20 | 2 << 12 | rd << 7 | 0x73;
}

void code_insns(Buf *code, const uint32_t *insns, size_t n)
{
    buf_bytes(code, insns, n * sizeof *insns);
}

void code_pad(Buf *code, size_t to)
{
    while (code->n < to) {
        buf_char(code, 0);
    }
}

void code_bytes(Buf *code, size_t at, const void *bytes, size_t n)
{
    code_pad(code, at + n);
    memcpy(code->data + at, bytes, n);
}

void code_finish(Buf *code, uint32_t word)
{
    CHECK(!(word & 0x800)); /* addi would subtract */
    CODE(code, lui(T1, word >> 12), addi(T1, T1, (int)(word & 0xfff)), lui(T0, 0x100), store(2, T1, T0, 0), HERE);
}

/* ---- images ---- */
static Image image_of(const void *bytes, size_t n)
{
    Image image = {.fd = memfd_create("image", MFD_CLOEXEC)};
    CHECK_INT(write(image.fd, bytes, n), n);
    snprintf(image.path, sizeof image.path, "/proc/%d/fd/%d", (int)getpid(), image.fd);
    return image;
}

Image image_flat(const Buf *code)
{
    return image_of(code->data, code->n);
}

void image_free(Image *image)
{
    close(image->fd);
}

static void put(uint8_t *f, size_t at, size_t nbytes, uint64_t value)
{
    for (size_t i = 0; i < nbytes; i++) {
        f[at + i] = (uint8_t)(value >> 8 * i);
    }
}

/* System V gABI: header, one program header, sections null, symtab, strtab; two symbols; strings; code. */
Image image_elf(const Buf *code)
{
    enum { PH = 64, SH = PH + 56, SYMBOLS = SH + 3 * 64, STRINGS = SYMBOLS + 2 * 24, TEXT = 0x1000, AT = 0x80000000 };
    uint8_t f[0x2000] = {0};
    memcpy(f, (const uint8_t[]){0x7f, 'E', 'L', 'F', 2, 1, 1}, 7);
    put(f, 16, 2, 2);
    put(f, 18, 2, 243);
    put(f, 20, 4, 1);
    put(f, 24, 8, AT);
    put(f, 32, 8, PH);
    put(f, 40, 8, SH);
    put(f, 54, 2, 56);
    put(f, 56, 2, 1);
    put(f, 58, 2, 64);
    put(f, 60, 2, 3);
    put(f, PH, 4, 1);
    put(f, PH + 4, 4, 7);
    const uint64_t segment[] = {TEXT, AT, AT, 0x800, 0x2000, 0x1000};
    for (size_t i = 0; i < 6; i++) {
        put(f, PH + 8 + 8 * i, 8, segment[i]);
    }
    put(f, SH + 64 + 4, 4, 2);
    put(f, SH + 64 + 24, 8, SYMBOLS);
    put(f, SH + 64 + 32, 8, 48);
    put(f, SH + 64 + 40, 4, 2);
    put(f, SH + 128 + 4, 4, 3);
    put(f, SH + 128 + 24, 8, STRINGS);
    put(f, SH + 128 + 32, 8, 8);
    put(f, SYMBOLS + 24, 4, 1);
    put(f, SYMBOLS + 24 + 6, 2, 1);
    put(f, SYMBOLS + 24 + 8, 8, AT + 0x1000);
    memcpy(f + STRINGS, "\0tohost", 8);
    memcpy(f + TEXT, code->data, code->n);
    return image_of(f, TEXT + 0x800);
}

/* ---- the command ---- */
/* In a child; does not return. */
static void command(const char *args, const Image *image)
{
    char text[512], *argv[24] = {0};
    int argc = 0;
    snprintf(text, sizeof text, "%s", args);
    for (char *at = text, *word; (word = strsep(&at, " ")) && argc < 23;) {
        argv[argc++] = !strcmp(word, "IMAGE") ? (char *)image->path : word;
    }
    int status = cmd_sim(argc, argv);
    fflush(stdout);
    _exit(status);
}

Job job_start(const char *args, const Image *image)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    CHECK(!pipe(in) && !pipe(out) && !pipe(err));
    fflush(stdout);
    fflush(stderr);
    Job j = {.pid = fork(), .in = in[1], .out = out[0], .err = err[0]};
    if (!j.pid) {
        signal(SIGPIPE, SIG_IGN); /* as main does */
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        const int ends[] = {in[0], in[1], out[0], out[1], err[0], err[1]};
        for (size_t i = 0; i < 6; i++) {
            close(ends[i]);
        }
        command(args, image);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    return j;
}

static void drain(int fd, Buf *into)
{
    char chunk[4096];
    for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;) {
        if (into) {
            buf_bytes(into, chunk, (size_t)n);
        }
    }
    close(fd);
}

static int outcome(int status)
{
    return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

int job_end(Job *j, Buf *out, Buf *err)
{
    int status = 0;
    close(j->in);
    drain(j->out, out);
    drain(j->err, err);
    CHECK_INT(waitpid(j->pid, &status, 0), j->pid);
    return outcome(status);
}

int job_run(const char *args, const Image *image, const char *input, Buf *out, Buf *err)
{
    Job j = job_start(args, image);
    CHECK_INT(write(j.in, input, strlen(input)), strlen(input));
    return job_end(&j, out, err);
}

/* ---- the shell ---- */
typedef struct {
    char kind; /* J: its pid; S: stopped; E: ended, with this wait status */
    int value;
} Event;

static void tell(int fd, char kind, int value)
{
    Event e = {kind, value};
    if (write(fd, &e, sizeof e) != (ssize_t)sizeof e) {
        _exit(99);
    }
}

static int hear(Tty *t, char kind)
{
    Event e = {0};
    struct pollfd p = {.fd = t->events, .events = POLLIN};
    bool came = poll(&p, 1, (int)(PATIENCE_NS / MS)) == 1 && read(t->events, &e, sizeof e) == (ssize_t)sizeof e;
    CHECK(came && e.kind == kind);
    return e.value;
}

static void await_order(int orders)
{
    char order;
    if (read(orders, &order, 1) != 1) {
        _exit(98);
    }
}

/* The leader of the terminal's session; its job is a process group of its own, or the kernel would not stop it. */
static void shell(int events, int orders, const char *args, const Image *image, int out)
{
    signal(SIGTTOU, SIG_IGN);
    await_order(orders);
    pid_t job = fork();
    if (!job) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        if (out >= 0) {
            dup2(out, 1);
        }
        command(args, image);
    }
    tell(events, 'J', job);
    for (int status;;) {
        waitpid(job, &status, WUNTRACED);
        if (!WIFSTOPPED(status)) {
            tcsetpgrp(0, getpid());
            tell(events, 'E', status);
            break;
        }
        tcsetpgrp(0, getpid());
        tell(events, 'S', 0);
        await_order(orders);
        tcsetpgrp(0, job);
        kill(-job, SIGCONT);
    }
    await_order(orders); /* the terminal lives as long as its leader */
    _exit(0);
}

void tty_start(Tty *t, const char *args, const Image *image, int out)
{
    int events[2] = {-1, -1}, orders[2] = {-1, -1};
    CHECK(!pipe(events) && !pipe(orders));
    *t = (Tty){.events = events[0], .orders = orders[1]};
    fflush(stdout);
    fflush(stderr);
    t->shell = forkpty(&t->master, NULL, NULL, NULL);
    if (!t->shell) {
        close(events[0]);
        close(orders[1]);
        shell(events[1], orders[0], args, image, out);
    }
    close(events[1]);
    close(orders[0]);
    CHECK(tty_await_echo(t, true));
    CHECK_INT(write(t->orders, "g", 1), 1);
    t->job = hear(t, 'J');
}

bool tty_await(Tty *t, const char *text)
{
    uint64_t end = os_now_ns() + PATIENCE_NS;
    while (!strstr(buf_text(&t->seen), text)) {
        char chunk[256];
        struct pollfd p = {.fd = t->master, .events = POLLIN};
        ssize_t n = poll(&p, 1, 100) == 1 ? read(t->master, chunk, sizeof chunk) : 0;
        if (n < 0 || os_now_ns() > end) {
            return false;
        }
        buf_bytes(&t->seen, chunk, (size_t)n);
    }
    return true;
}

bool tty_await_echo(Tty *t, bool on)
{
    uint64_t end = os_now_ns() + PATIENCE_NS;
    for (struct termios modes; os_now_ns() < end; usleep(1000)) {
        if (!tcgetattr(t->master, &modes) && !!(modes.c_lflag & ECHO) == on) {
            return true;
        }
    }
    return false;
}

void tty_type(Tty *t, const char *bytes, size_t n)
{
    CHECK_INT(write(t->master, bytes, n), n);
}

void tty_await_stop(Tty *t)
{
    hear(t, 'S');
}

void tty_continue(Tty *t)
{
    CHECK_INT(write(t->orders, "c", 1), 1);
}

int tty_end(Tty *t, bool *is_same)
{
    struct termios after, fresh;
    int status = hear(t, 'E'), master = -1, slave = -1;
    CHECK(!tcgetattr(t->master, &after));
    CHECK(!openpty(&master, &slave, NULL, NULL, NULL)); /* a new terminal is as ours was */
    CHECK(!tcgetattr(master, &fresh));
    *is_same = after.c_iflag == fresh.c_iflag && after.c_oflag == fresh.c_oflag && after.c_cflag == fresh.c_cflag &&
               after.c_lflag == fresh.c_lflag && !memcmp(after.c_cc, fresh.c_cc, sizeof after.c_cc);
    close(master);
    close(slave);
    CHECK_INT(write(t->orders, "e", 1), 1);
    waitpid(t->shell, NULL, 0);
    close(t->master);
    close(t->events);
    close(t->orders);
    buf_free(&t->seen);
    return outcome(status);
}
