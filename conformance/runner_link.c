/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/runner_int.h"

#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CONNECT_S = 180 }; /* the command may have a machine to boot */
enum { END_S = 60 };      /* of a process that is about to end */
enum { SILENT_S = 5 };    /* of a command, before we say what we wait for */
static const uint64_t SECOND_NS = 1000000000, HANGING_NS = 200000000;

/* ---- what a command says on its standard error: it goes to ours, and the last line is kept ---- */
enum { SAID_MAX = 160 };
typedef struct Said {
    int fd, over[2]; /* over: readable = no more is waited for */
    char command[SAID_MAX];
    atomic_bool is_heard; /* its agent has answered */
    pthread_t thread;
    char line[SAID_MAX], last[SAID_MAX]; /* the thread's until it has ended */
    size_t n;
} Said;

static void said_take(Said *w, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_end = bytes[i] == '\n' || bytes[i] == '\r';
        if (!is_end && w->n + 1 < SAID_MAX) {
            w->line[w->n++] = (unsigned char)bytes[i] < ' ' ? '?' : bytes[i];
            w->line[w->n] = 0;
        } else if (is_end && w->n) {
            memcpy(w->last, w->line, sizeof w->last);
            w->n = 0;
        }
    }
}

static void *said_main(void *arg)
{
    Said *w = arg;
    char bytes[4096];
    bool is_over = false, has_told = false;
    for (;;) { /* a grandchild may hold the pipe for longer than the command lives */
        struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = w->over[0], .events = POLLIN}};
        int got = poll(p, is_over ? 1 : 2, is_over ? 0 : has_told ? -1 : SILENT_S * 1000);
        if (!got && !is_over) {
            has_told = true;
            if (!atomic_load(&w->is_heard)) {
                fprintf(stderr, "conf: waiting for conf-agent behind `%s`, which has said nothing yet; %d s at most\n",
                        w->command, CONNECT_S);
            }
            continue;
        }
        if (got <= 0 && (is_over || errno != EINTR)) {
            return NULL;
        }
        is_over = is_over || p[1].revents;
        ssize_t n = p[0].revents ? read(w->fd, bytes, sizeof bytes) : 0;
        if (n <= 0 && p[0].revents) {
            return NULL;
        }
        for (ssize_t at = 0, k; at < n && (k = write(STDERR_FILENO, bytes + at, (size_t)(n - at))) > 0; at += k) {
        }
        said_take(w, bytes, (size_t)n);
    }
}

static Said *said_new(int fd, const char *command)
{
    Said *w = x_alloc(sizeof *w);
    *w = (Said){.fd = fd, .over = {-1, -1}};
    snprintf(w->command, sizeof w->command, "%s", command);
    if (pipe2(w->over, O_CLOEXEC) || pthread_create(&w->thread, NULL, said_main, w)) {
        close(w->over[0]);
        close(w->over[1]);
        w->over[0] = -1;
    }
    return w;
}

/* Its last line; the command has ended, or is not waited for. */
static void said_end(Said *w, char last[SAID_MAX])
{
    if (w->over[0] >= 0) {
        ssize_t n = write(w->over[1], "", 1);
        (void)n; /* an empty pipe has room */
        pthread_join(w->thread, NULL);
        close(w->over[0]);
        close(w->over[1]);
    }
    close(w->fd);
    memcpy(last, w->n ? w->line : w->last, SAID_MAX);
    mem_free(w);
}

/* ---- the command ---- */
static void close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

/* sh -c command with its stdin and stdout on two pipes; fds: what we read from, what we write to. */
static int spawn_command(const char *command, int fds[2], Peer *out, Err *err)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1}, words[2] = {-1, -1};
    int rc = 0;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || pipe2(words, O_CLOEXEC)) {
        rc = err_native(err, ERR_HOST, errno, "pipe");
    } else {
        posix_spawn_file_actions_t actions;
        char sh[] = "sh", flag[] = "-c";
        char *text = x_strdup(command);
        char *argv[] = {sh, flag, text, NULL};
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, words[1], STDERR_FILENO);
        int e = posix_spawn(&out->command, "/bin/sh", &actions, NULL, argv, environ);
        rc = e ? err_native(err, ERR_HOST, e, "sh -c '%s'", command) : 0;
        posix_spawn_file_actions_destroy(&actions);
        mem_free(text);
    }
    if (rc) {
        close_pair(to);
        close_pair(from);
        close_pair(words);
        return rc;
    }
    close(to[0]);
    close(from[1]);
    close(words[1]);
    fds[0] = from[0];
    fds[1] = to[1];
    out->said = said_new(words[0], command);
    return 0;
}

/* What a status of a shell or of ssh means to who typed the command. */
static const char *status_help(int status)
{
    static const struct {
        int status;
        const char *help;
    } helps[] = {
        {126, " (found, but it cannot be executed there: is it a program for that machine?)"},
        {127, " (not found there: is conf-agent installed and in the PATH? else give its whole path)"},
        {137, " (killed: SIGKILL, perhaps for want of memory)"}, /* from here: 128 + signal, as shells say it */
        {139, " (crashed: SIGSEGV)"},
        {143, " (ended by SIGTERM)"},
        {255, " (of ssh this means that it could not connect or log in)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(helps); i++) {
        if (helps[i].status == status) {
            return helps[i].help;
        }
    }
    return "";
}

static void command_says(int status, char last[SAID_MAX], PeerEnd *end)
{
    Buf b = {0};
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        buf_printf(&b, "remote command died: signal %d (SIG%s)", WTERMSIG(status), name ? name : "?");
    } else {
        buf_printf(&b, "remote command ended with exit status %d%s", WEXITSTATUS(status),
                   status_help(WEXITSTATUS(status)));
    }
    if (last[0]) {
        buf_printf(&b, "; its last words: %s", last);
    }
    end->is_crash = status != 0;
    snprintf(end->text, sizeof end->text, "%s", buf_text(&b));
    buf_free(&b);
}

/* Waits for the command; after the patience it is killed. */
static void reap_command(Peer *peer, uint64_t patience_ns, PeerEnd *end)
{
    uint64_t until = os_now_ns() + patience_ns;
    int status = 0;
    pid_t got = 0;
    char last[SAID_MAX];
    while ((got = waitpid(peer->command, &status, WNOHANG)) == 0 && os_now_ns() < until) {
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
    if (got == 0) {
        kill(peer->command, SIGKILL);
        while (waitpid(peer->command, &status, 0) < 0 && errno == EINTR) {
        }
    }
    said_end(peer->said, last);
    if (got) { /* else it was still there, and how we ended it says nothing */
        command_says(status, last, end);
    }
}

const char *command_backend(Arena *scratch, const char **command)
{
    size_t n = strspn(*command, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    if (n == 0 || (*command)[n] != ':') {
        return "kvm";
    }
    const char *name = arena_strndup(scratch, *command, n);
    *command += n + 1;
    return name;
}

/* Why there is no agent behind the command, from how it ended and what was read from it. */
static void explain(const char *command, const PeerEnd *end, Err *err)
{
    Err seen = *err;
    bool is_talk = seen.code == ERR_PROTO || seen.code == ERR_IO || seen.code == ERR_TIMEOUT;
    if (is_talk && end->is_crash && seen.code != ERR_PROTO) {
        err_set(err, seen.code, "expected the frames of conf-agent from `%.80s`: %.220s", command, end->text);
    } else if (is_talk) {
        err_set(err, seen.code, "expected the frames of conf-agent from `%.80s`: %.120s%s%.140s", command, seen.text,
                end->text[0] ? "; " : "", end->text);
    } else {
        err_prefix(err, "%.100s", command);
    }
}

static int command_open(const PlanBackend *b, Peer *out, Err *err)
{
    Arena *scratch = arena_new();
    const char *command = b->command;
    const char *name = command_backend(scratch, &command);
    int fds[2];
    int rc = spawn_command(command, fds, out, err);
    if (!rc) {
        rc = remote_connect(fds[0], fds[1], name, CONNECT_S * SECOND_NS, &out->link, err);
        if (rc) {
            PeerEnd end = {0};
            /* what closed its end is about to leave; what talks or is silent waits for us */
            reap_command(out, rc == -ERR_IO ? END_S * SECOND_NS : HANGING_NS, &end);
            explain(command, &end, err);
            *out = (Peer){0};
        } else {
            atomic_store(&out->said->is_heard, true);
        }
    }
    arena_free(scratch);
    return rc;
}

/* The kept one, unless it ended meanwhile: its last job was told nothing of that, and the next one is not to blame. */
static bool kept_take(Slot *s, const PlanBackend *b, Peer *out)
{
    PeerEnd end = {0};
    if (!remote_is_over(s->kept.link)) {
        *out = s->kept;
        s->kept = (Peer){0};
        return true;
    }
    Peer peer = s->kept;
    s->kept = (Peer){0};
    peer_close(s, &peer, true, SECOND_NS, &end);
    fprintf(stderr, "conf: %s ended between two jobs and is started again%s%s\n", b->name, end.text[0] ? ": " : "",
            end.text);
    return false;
}

int peer_open(Slot *s, const PlanBackend *b, size_t index, Peer *out, Err *err)
{
    *out = (Peer){.backend = index};
    if (!b->command) {
        WorkerLimits limits = {.max_memory_bytes = s->runner->o.max_memory_bytes};
        return worker_start(s->server, b->name, &limits, &out->link, err);
    }
    if (s->kept.link && s->kept.backend == index && kept_take(s, b, out)) {
        return 0;
    }
    peer_forget(s);
    return command_open(b, out, err);
}

static void worker_says(const WorkerEnd *end, bool was_killed, PeerEnd *out)
{
    if (end->start_error) {
        snprintf(out->text, sizeof out->text, "fork of a worker: %s", strerrordesc_np(end->start_error));
        out->is_crash = true;
    } else if (was_killed && end->was_signaled && end->signal == SIGKILL) {
        snprintf(out->text, sizeof out->text, "the worker did not end and was killed");
        out->was_killed = true;
    } else if (end->was_signaled) {
        const char *name = sigabbrev_np(end->signal);
        snprintf(out->text, sizeof out->text, "backend died: signal %d (SIG%s)", end->signal, name ? name : "?");
        out->is_crash = true;
    } else if (end->has_exited && end->exit_status > 1) { /* 1: the server ended in order, on a broken link */
        snprintf(out->text, sizeof out->text, "backend died: exit status %d%s", end->exit_status,
                 end->exit_status == 70 ? " (out of memory, or an internal error)" : "");
        out->is_crash = true;
    }
}

uint64_t peer_patience_ns(const Peer *peer)
{
    return remote_has_timed_out(peer->link) ? HANGING_NS : END_S * SECOND_NS;
}

void peer_close(Slot *s, Peer *peer, bool is_broken, uint64_t patience_ns, PeerEnd *end)
{
    *end = (PeerEnd){0};
    if (!peer->command) {
        WorkerEnd worker = {0};
        uint64_t start = os_now_ns();
        worker_end(s->server, peer->link, patience_ns, &worker);
        worker_says(&worker, os_now_ns() - start >= patience_ns, end);
    } else if (is_broken) {
        remote_close(peer->link);
        reap_command(peer, patience_ns, end);
    } else {
        s->kept = *peer;
    }
    *peer = (Peer){0};
}

void peer_forget(Slot *s)
{
    PeerEnd end;
    if (s->kept.link) {
        Peer peer = s->kept;
        s->kept = (Peer){0};
        peer_close(s, &peer, true, SECOND_NS, &end);
    }
}
