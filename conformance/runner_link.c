/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/runner_int.h"

#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CONNECT_S = 180 }; /* the command may have a machine to boot */
static const uint64_t SECOND_NS = 1000000000;

/* sh -c command with its stdin and stdout on two pipes; fds: what we write to, what we read from. */
static int spawn_command(const char *command, int fds[2], pid_t *pid, Err *err)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    int rc = 0;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) {
        rc = err_native(err, ERR_HOST, errno, "pipe");
    } else {
        posix_spawn_file_actions_t actions;
        char sh[] = "sh", flag[] = "-c";
        char *text = x_strdup(command);
        char *argv[] = {sh, flag, text, NULL};
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
        int e = posix_spawn(pid, "/bin/sh", &actions, NULL, argv, environ);
        rc = e ? err_native(err, ERR_HOST, e, "sh -c '%s'", command) : 0;
        posix_spawn_file_actions_destroy(&actions);
        mem_free(text);
    }
    if (to[0] >= 0) {
        close(to[0]);
    }
    if (from[1] >= 0) {
        close(from[1]);
    }
    if (rc) {
        close(to[1]);
        close(from[0]);
        return rc;
    }
    fds[0] = from[0];
    fds[1] = to[1];
    return 0;
}

/* Waits for the command; after the patience it is killed. */
static void reap_command(pid_t pid, uint64_t patience_ns, PeerEnd *end)
{
    uint64_t until = os_now_ns() + patience_ns;
    int status = 0;
    pid_t got = 0;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && os_now_ns() < until) {
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
    if (got == 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        return;
    }
    if (WIFSIGNALED(status)) {
        end->is_crash = true;
        snprintf(end->text, sizeof end->text, "remote command died: signal %d (SIG%s)", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)));
    } else if (WEXITSTATUS(status)) {
        end->is_crash = true;
        snprintf(end->text, sizeof end->text, "remote command ended with exit status %d", WEXITSTATUS(status));
    }
}

/* "fake:ssh host conf-agent" names the backend over there; without a name it is kvm. */
static const char *command_backend(Arena *scratch, const char **command)
{
    size_t n = strspn(*command, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    if (n == 0 || (*command)[n] != ':') {
        return "kvm";
    }
    const char *name = arena_strndup(scratch, *command, n);
    *command += n + 1;
    return name;
}

static int command_open(const PlanBackend *b, Peer *out, Err *err)
{
    Arena *scratch = arena_new();
    const char *command = b->command;
    const char *name = command_backend(scratch, &command);
    int fds[2];
    int rc = spawn_command(command, fds, &out->command, err);
    if (!rc) {
        rc = remote_connect(fds[0], fds[1], name, CONNECT_S * SECOND_NS, &out->link, err);
        if (rc) {
            PeerEnd end = {0};
            reap_command(out->command, SECOND_NS / 5, &end);
            err_prefix(err, "%s", end.is_crash ? end.text : b->name);
        }
    }
    arena_free(scratch);
    return rc;
}

int peer_open(Slot *s, const PlanBackend *b, size_t index, Peer *out, Err *err)
{
    *out = (Peer){.backend = index};
    if (!b->command) {
        WorkerLimits limits = {.max_memory_bytes = s->runner->o.max_memory_bytes};
        return worker_start(s->server, b->name, &limits, &out->link, err);
    }
    if (s->kept.link && s->kept.backend == index) {
        *out = s->kept;
        s->kept = (Peer){0};
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
        reap_command(peer->command, patience_ns, end);
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
