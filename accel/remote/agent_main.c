/* SPDX-License-Identifier: Apache-2.0
 * conf-agent: serves the backends of this machine to a `conf` elsewhere, over standard input and
 * output. */
#include "accel/plugin/plugin.h"
#include "accel/remote/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };
enum { LAST_SECONDS = 2 };

/* Which plugins there are is said here, on the command line: a peer cannot have a file of its choice loaded. */
typedef struct {
    const char *place;
    VEC(Plugin *) plugins;
} Agent;

static void usage(FILE *out)
{
    char *names = remote_names();
    fprintf(out,
            "usage: conf-agent [--place NAME] [--plugin PATH]...\n"
            "       conf-agent --help | --version\n"
            "Serves the virtual-CPU backends of this machine to a `conf` elsewhere, until its\n"
            "standard input ends: frames of docs/wire.md come there and go to standard output.\n"
            "  conf run --backend 'remote:ssh host conf-agent' scenarios/*.yaml\n"
            "  conf run --backend 'remote:sim-interp:ssh host conf-agent' scenarios/*.yaml\n"
            "Without a name before the command it is kvm. Results show it as BACKEND@NAME,\n"
            "without --place as BACKEND@remote. --plugin adds a backend from a shared object\n"
            "(conf-backend.h), under its own name.\n"
            "backends here: %s\n",
            names);
    mem_free(names);
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

static const Backend *find(void *ctx, const char *name, Err *err)
{
    const Agent *a = ctx;
    for (size_t i = 0; i < a->plugins.n; i++) {
        const Backend *b = plugin_backend(a->plugins.items[i]);
        if (!strcmp(b->name, name)) {
            return b;
        }
    }
    const Backend *b = remote_find_built_in(NULL, name, err);
    Buf text = {0};
    for (size_t i = 0; !b && i < a->plugins.n; i++) {
        buf_printf(&text, ", %s", plugin_backend(a->plugins.items[i])->name);
    }
    if (text.n && err) {
        buf_str(&text, " (of --plugin)");
        char *names = remote_names();
        err_set(err, ERR_NOENT, "no backend \"%.60s\" here, but %s%s", name, names, buf_text(&text));
        mem_free(names);
    }
    buf_free(&text);
    return b;
}

static int serve(Agent *a)
{
    /* A backend that prints must not tear a frame: what it prints goes to stderr. */
    int wire = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (wire < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        perror("conf-agent: standard output");
        return STATUS_FAILED;
    }
    if (isatty(STDIN_FILENO)) { /* it may be a serial line */
        fputs("conf-agent: waits for the frames of a client on this terminal; --help says how it is used\n", stderr);
    }
    Err err = {0};
    ServeArgs args = {
        .find = find, .find_ctx = a, .fd_in = STDIN_FILENO, .fd_out = wire, .place = a->place, .on_end = on_end};
    if (server_run(&args, &err)) {
        fprintf(stderr, "conf-agent: %s\n", err.text);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

static int add_plugin(Agent *a, const char *path)
{
    Plugin *p = NULL;
    Err err = {0};
    if (plugin_open(path, &p, &err)) {
        fprintf(stderr, "conf-agent: %s\n", err.text);
        return STATUS_FAILED;
    }
    VEC_PUSH(&a->plugins, p);
    return STATUS_OK;
}

static int take_options(Agent *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        bool is_place = !strcmp(argv[i], "--place"), is_plugin = !strcmp(argv[i], "--plugin");
        if ((!is_place && !is_plugin) || i + 1 == argc) { /* one line: `conf` shows the last one that came */
            fprintf(stderr,
                    is_place || is_plugin ? "conf-agent: %s needs a value; --help says what there is\n"
                                          : "conf-agent: no option `%s`; --help says what there is\n",
                    argv[i]);
            return STATUS_USAGE;
        }
        a->place = is_place ? argv[i + 1] : a->place;
        int status = is_plugin ? add_plugin(a, argv[i + 1]) : STATUS_OK;
        if (status) {
            return status;
        }
    }
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    Agent a = {0};
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("conf-agent " CONF_VERSION);
        return STATUS_OK;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        usage(stdout);
        return STATUS_OK;
    }
    int status = take_options(&a, argc, argv);
    status = status ? status : serve(&a);
    for (size_t i = 0; i < a.plugins.n; i++) {
        plugin_close(a.plugins.items[i]);
    }
    VEC_FREE(&a.plugins);
    return status;
}
