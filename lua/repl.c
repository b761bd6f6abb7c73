/* SPDX-License-Identifier: Apache-2.0
 * `conf repl`: options, lines, history. The only file that includes editline's header. */
#include "lua/repl.h"

#include "conformance/cli.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <dlfcn.h>
#include <editline/readline.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LINE = 64 << 10, HISTORY_LINES = 1000 };
static const uint64_t DEFAULT_TIMEOUT_NS = UINT64_C(10000000000);

extern const unsigned char lua_repl_text[]; /* repl.lua, made a C array by embed.cmake */
extern const size_t lua_repl_bytes;

static const char HELP[] = "usage: conf repl [OPTION]... [FILE[::ID]]\n"
                           "Drives a virtual machine by hand: Lua, with the verbs of scenarios and commands\n"
                           "such as go() and regs().\n"
                           "\n"
                           "  -b, --backend NAME  where it runs: a backend, plugin:PATH, or best (default):\n"
                           "                      the best that is ready for the guest\n"
                           "      --guest NAME    riscv64, aarch64 or x86_64; default: the host's, or the\n"
                           "                      scenario's first\n"
                           "      --in-process    run the backend in this process, not in a worker\n"
                           "      --batch         stop with status 1 at the first error\n"
                           "      --seed N        of random()\n"
                           "      --timeout T     limit of one go(), and of what one line computes: 10,\n"
                           "                      1.5s, 250ms (default 10 s)\n"
                           "  -h, --help\n"
                           "\n"
                           "Without FILE the world is 1 MiB of RAM and room for code. FILE::ID takes that of\n"
                           "a scenario. Type help() for the commands.\n";

/* ---- input ---- */
/* editline is loaded when a terminal needs it: it and the three libraries that it brings would else be mapped into every
 * worker too, which costs each fork a twentieth of a job. */
/* clang-format off */
#define EDIT_CALLS(X)                                                                                                  \
    X(readline) X(add_history) X(stifle_history) X(read_history) X(write_history) X(rl_completion_matches)             \
    X(rl_attempted_completion_function) X(rl_attempted_completion_over) X(rl_completion_append_character)              \
    X(rl_basic_word_break_characters)
/* clang-format on */
#define X(name) __typeof__(name) *name##_at;
static struct { /* as long as the process: a library cannot be unloaded that has changed the terminal */
    EDIT_CALLS(X)
} edit;
#undef X

static bool edit_open(void)
{
    void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    bool is_whole = library != NULL;
#define X(name)                                                                                                        \
    {                                                                                                                  \
        void *at = is_whole ? dlsym(library, #name) : NULL;                                                            \
        memcpy(&edit.name##_at, &at, sizeof at);                                                                       \
        is_whole = at != NULL;                                                                                         \
    }
    EDIT_CALLS(X)
#undef X
    if (!is_whole) {
        fprintf(stderr, "conf repl: lines are not edited: no libedit.so.2\n");
    }
    return is_whole;
}

static const char DROP[] = "\3"; /* a line that says: forget what was typed */
static Repl *completing;         /* editline's callback is given no context */

static char *next_completion(const char *text, int state)
{
    static Buf names;
    static size_t at;
    if (state == 0) {
        buf_clear(&names);
        repl_complete(completing, text, &names);
        at = 0;
    }
    if (at >= names.n) {
        return NULL;
    }
    size_t n = strcspn(names.data + at, "\n");
    char *name = strndup(names.data + at, n); /* editline frees it */
    at += n + 1;
    return name;
}

static char **complete_word(const char *text, int start, int end)
{
    (void)start, (void)end;
    *edit.rl_attempted_completion_over_at = 1; /* no file names */
    *edit.rl_completion_append_character_at = 0;
    return edit.rl_completion_matches_at(text, next_completion);
}

static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    Buf path = {0};
    if (state && state[0] == '/') {
        buf_str(&path, state);
    } else if (home && home[0] == '/') {
        buf_printf(&path, "%s/.local/state", home);
    } else {
        return NULL;
    }
    buf_str(&path, "/conf/repl_history");
    return buf_take(&path);
}

static void make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            (void)!mkdir(path, 0700); /* there already, or writing the history will fail, which is no harm */
            *p = '/';
        }
    }
}

/* A line without its end. false: no more. */
static bool read_plain(Buf *out)
{
    buf_clear(out);
    int c = EOF;
    while (out->n < MAX_LINE && (c = getchar()) != EOF && c != '\n') {
        buf_char(out, (char)(c ? c : ' '));
    }
    return c != EOF || out->n > 0;
}

/* editline takes Ctrl-C for the end of a line only when its signal meets the read() itself; one that comes just before it
 * would be lost, with what was typed. So while a line is read, the signal is followed by others until the read has ended. */
static struct {
    timer_t timer;
    bool has_timer;
    atomic_bool is_reading;
} follow;
static const struct itimerspec FOLLOW = {.it_value.tv_nsec = 20000000, .it_interval.tv_nsec = 20000000};

static void do_nothing(int signal_number)
{
    (void)signal_number; /* that read() ends with EINTR is all that is wanted */
}

static void follow_open(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct sigaction act = {.sa_handler = do_nothing};
    follow.has_timer = sigaction(SIGALRM, &act, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &follow.timer) == 0;
}

static void follow_close(void)
{
    if (follow.has_timer) {
        timer_delete(follow.timer);
        signal(SIGALRM, SIG_DFL);
    }
    follow.has_timer = false;
}

static void on_sigint(int signal_number)
{
    (void)signal_number;
    repl_interrupt();
    if (follow.has_timer && atomic_load(&follow.is_reading)) {
        timer_settime(follow.timer, 0, &FOLLOW, NULL);
    }
}

static char *edited_line(const char *prompt)
{
    sigset_t sigint, old;
    sigemptyset(&sigint);
    sigaddset(&sigint, SIGINT);
    pthread_sigmask(SIG_BLOCK, &sigint, &old);
    (void)repl_was_interrupted(); /* what it was to stop is over */
    atomic_store(&follow.is_reading, true);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    char *line = edit.readline_at(prompt);
    atomic_store(&follow.is_reading, false);
    if (follow.has_timer) {
        timer_settime(follow.timer, 0, &(struct itimerspec){0}, NULL);
    }
    return line;
}

static bool read_line(bool is_tty, const char *prompt, Buf *out)
{
    if (!is_tty) {
        return read_plain(out);
    }
    buf_clear(out);
    char *line = edited_line(prompt);
    if (!line) {
        putchar('\n');
        buf_str(out, DROP);
        return repl_was_interrupted(); /* by Ctrl-C; else Ctrl-D ends */
    }
    if (*line) {
        edit.add_history_at(line);
    }
    buf_clear(out);
    buf_str(out, line);
    mem_free(line); /* editline's */
    return true;
}

/* ---- the loop ---- */
static void print_out(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    fwrite(text, 1, n, stdout);
    fflush(stdout);
}

static bool is_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    return strncmp(text, word, n) == 0 && text[n + strspn(text + n, " \t")] == 0;
}

/* Lines until a whole chunk; then does it. false: the end of input. */
static bool take_chunk(Repl *r, bool is_tty, Buf *line, int *status)
{
    Buf chunk = {0};
    bool is_incomplete = false, has_line;
    Err err = {0};
    int rc = 0;
    while ((has_line = read_line(is_tty, chunk.n ? "... " : "conf> ", line))) {
        if (strcmp(buf_text(line), DROP) == 0) {
            break;
        }
        buf_printf(&chunk, "%s%s", chunk.n ? "\n" : "", buf_text(line));
        if (is_word(buf_text(&chunk), "quit") || is_word(buf_text(&chunk), "exit")) {
            r->is_quit = true;
            break;
        }
        rc =
            chunk.n && strspn(chunk.data, " \t\n") < chunk.n ? repl_eval(r, buf_text(&chunk), &is_incomplete, &err) : 0;
        if (!is_incomplete || chunk.n > MAX_LINE) {
            r->line += 1;
            break;
        }
    }
    if (rc != 0) {
        fflush(stdout);
        fprintf(stderr, "error: %s\n", err.text);
        *status = r->o.is_batch ? CONF_FAILURES : *status;
    }
    buf_free(&chunk);
    return has_line;
}

static int loop(Repl *r)
{
    bool is_tty = !r->o.is_batch && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && edit_open();
    char *path = is_tty ? history_path() : NULL;
    Buf line = {0};
    int status = CONF_OK;
    if (is_tty) {
        printf("%s on %s. help() lists the commands, quit ends.\n", guest_name(r->c->guest), r->backend->name);
        completing = r;
        *edit.rl_attempted_completion_function_at = complete_word;
        *edit.rl_basic_word_break_characters_at = " \t\n\"\\'`@$><=;|&{}()[]+-*/,#~^%";
        edit.stifle_history_at(HISTORY_LINES);
        follow_open();
    }
    if (path) {
        make_folders(path);
        edit.read_history_at(path);
    }
    struct sigaction act = {.sa_handler = on_sigint}, old;
    sigaction(SIGINT, &act, &old);
    r->line = 1;
    while (!r->is_quit && status == CONF_OK && take_chunk(r, is_tty, &line, &status)) {
    }
    sigaction(SIGINT, &old, NULL);
    follow_close();
    if (path) {
        edit.write_history_at(path);
        (void)!chmod(path, 0600);
    }
    mem_free(path);
    buf_free(&line);
    return status;
}

/* ---- start ---- */
static int open_commands(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    const Case *c = story_case(s->story);
    repl_open_api(L);
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    lua_newtable(L);
    for (size_t i = 0; i < c->nvcpus; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, c->vcpus[i].name);
    }
    lua_setfield(L, -2, "vcpu_index");
    lua_pop(L, 1);
    sandbox_prelude(L, "=repl", (const char *)lua_repl_text, lua_repl_bytes);
    return 0;
}

static int start(Repl *r)
{
    Err err = {0};
    int status = repl_open(r);
    if (status == CONF_OK) {
        r->script->host = r;
        r->script->print = print_out;
        r->script->is_repl = true;
        if (sandbox_protected(r->script, open_commands, NULL, &err) != 0) {
            fprintf(stderr, "conf repl: %s\n", err.text);
            status = CONF_INTERNAL;
        }
    }
    return status;
}

enum { O_BACKEND, O_GUEST, O_IN_PROCESS, O_BATCH, O_SEED, O_TIMEOUT, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {
    [O_BACKEND] = {"backend", 'b', 'r'}, [O_GUEST] = {"guest", 0, 'r'}, [O_IN_PROCESS] = {"in-process", 0, 0},
    [O_BATCH] = {"batch", 0, 0},         [O_SEED] = {"seed", 0, 'r'},   [O_TIMEOUT] = {"timeout", 0, 'r'},
    [O_HELP] = {"help", 'h', 0},
};

static int take_option(int option, const char *arg, ReplOptions *o, Err *err)
{
    switch (option) {
    case O_BACKEND:
        o->backend = arg;
        return 0;
    case O_GUEST:
        o->guest = arg;
        return 0;
    case O_IN_PROCESS:
        o->is_in_process = true;
        return 0;
    case O_BATCH:
        o->is_batch = true;
        return 0;
    case O_SEED:
        return cli_number("--seed", arg, 0, UINT64_MAX, &o->seed, err);
    case O_TIMEOUT:
        return cli_duration("--timeout", arg, &o->timeout_ns, err);
    default:
        return -ERR_INVAL; /* said */
    }
}

/* -1: go on. */
static int parse(int argc, char **argv, ReplOptions *o)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    Err err = {0};
    for (int i = cli_next(&cli, &err); i != CLI_END; i = cli_next(&cli, &err)) {
        int rc = 0;
        if (i == O_HELP) {
            fputs(HELP, stdout);
            return CONF_OK;
        }
        if (i == CLI_OPERAND && o->target) {
            rc = err_set(&err, ERR_INVAL, "one FILE::ID at most");
        } else if (i == CLI_OPERAND) {
            o->target = cli.arg;
        } else {
            rc = take_option(i, cli.arg, o, &err);
        }
        if (rc) {
            return cli_usage("repl", &err);
        }
    }
    return -1;
}

int cmd_repl(int argc, char **argv)
{
    Repl r = {.o = {.timeout_ns = DEFAULT_TIMEOUT_NS, .seed = 1}};
    int status = parse(argc, argv, &r.o);
    if (status >= 0) {
        return status;
    }
    status = start(&r);
    if (status == CONF_OK) {
        status = loop(&r);
    }
    repl_close(&r);
    return status;
}
