/* SPDX-License-Identifier: Apache-2.0
 * conf-agent: serves the backends of this machine to a `conf` elsewhere, over standard input and
 * output. */
#include "accel/remote/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };
enum { LAST_SECONDS = 2 };

static void usage(FILE *out)
{
    fputs("usage: conf-agent [--place NAME | --help | --version]\n"
          "Serves the virtual-CPU backends of this machine: frames of docs/wire.md come on "
          "standard input and go to\n"
          "standard output, as from `conf run --backend \"remote:ssh host conf-agent\"`. Ends when "
          "its input ends. Results are labelled BACKEND@NAME (without a name, @remote).\n"
          "backends here:",
          out);
    size_t n;
    const Backend *const *list = backend_list(&n);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, " %s", list[i]->name);
    }
    fputc('\n', out);
}

static void on_alarm(int sig)
{
    static const char text[] = "conf-agent: a vcpu does not stop; left\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n, (void)sig;
    _exit(STATUS_FAILED);
}

/* Nobody is there any more who could kill this process if a backend hangs. */
static void on_end(void)
{
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    alarm(LAST_SECONDS);
}

static int serve(const char *place)
{
    /* A backend that prints must not tear a frame: what it prints goes to stderr. */
    int wire = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (wire < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        perror("conf-agent: standard output");
        return STATUS_FAILED;
    }
    Err err = {0};
    ServeArgs args = {.find = backend_find, .fd_in = STDIN_FILENO, .fd_out = wire, .place = place, .on_end = on_end};
    if (server_run(&args, &err)) {
        fprintf(stderr, "conf-agent: %s\n", err.text);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return serve(NULL);
    }
    if (argc == 3 && !strcmp(argv[1], "--place")) {
        return serve(argv[2]);
    }
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("conf-agent " CONF_VERSION);
        return STATUS_OK;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        usage(stdout);
        return STATUS_OK;
    }
    usage(stderr);
    return STATUS_USAGE;
}
