/* SPDX-License-Identifier: Apache-2.0
 * main.c - the program `conf`: finds the subcommand, and wires together what the libraries keep apart. */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/diff.h"
#include "conformance/run.h"
#include "coverage/dashboard/dashboard.h"
#include "lua/conf_lua.h"
#include "sim/base/mem.h"
#include "sim/cmd/sim_cmd.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const RunHooks HOOKS = {.load = suite_load, .load_lua = lua_suite_load, .script = lua_script_run};

int cmd_run(int argc, char **argv)
{
    return run_main(&HOOKS, argc, argv);
}

int cmd_list(int argc, char **argv)
{
    return list_main(&HOOKS, argc, argv);
}

int cmd_lint(int argc, char **argv)
{
    return lint_main(&HOOKS, argc, argv);
}

static int cmd_diff(int argc, char **argv)
{
    return diff_main(&HOOKS, argc, argv);
}

static int cmd_certify(int argc, char **argv)
{
    return certify_main(&HOOKS, argc, argv);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *doc;
} COMMANDS[] = {
    {"run", cmd_run, "run scenarios on every backend"},
    {"new", cmd_new, "write a first scenario that passes at once"},
    {"list", cmd_list, "list scenarios, their guests and needs"},
    {"lint", cmd_lint, "check suites without running them"},
    {"schema", cmd_schema, "print the JSON Schema of the language"},
    {"coverage", cmd_coverage, "what was reached, by which scenario, and what was not"},
    {"backends", cmd_backends, "what can run here, and why not"},
    {"certify", cmd_certify, "hold a backend against the conformance kit"},
    {"dashboard", dashboard_main, "write pages about runs, history and coverage"},
    {"asm", cmd_asm, "assemble guest code"},
    {"disasm", cmd_disasm, "disassemble guest code"},
    {"diff", cmd_diff, "find where two backends go apart"},
    {"history", cmd_history, "ask the database of runs"},
    {"sim", cmd_sim, "run a whole machine on the simulator"},
    {"repl", cmd_repl, "drive a virtual machine by hand"},
};

static void put_help(FILE *out)
{
    fputs("usage: conf COMMAND [ARGUMENT]...\nTests virtual CPUs: the same scenario on every backend.\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].doc);
    }
    fputs("\n`conf COMMAND --help` says more; so does the manual, conf(1).\n", out);
}

static int unknown(const char *word)
{
    enum { NCOMMANDS = ARRAY_LEN(COMMANDS) };
    const char *names[NCOMMANDS + 2] = {[NCOMMANDS] = "--help", "--version"};
    for (size_t i = 0; i < NCOMMANDS; i++) {
        names[i] = COMMANDS[i].name;
    }
    const char *near = cli_nearest(word, names, ARRAY_LEN(names));
    fprintf(stderr, "conf: unknown %s `%s`%s%s%s\nTry `conf --help`.\n", word[0] == '-' ? "option" : "command", word,
            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    return CONF_USAGE;
}

/* What was printed must have arrived, or success would be a lie. A reader who has seen enough (`| head`) is no loss. */
static int finish(int status)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool is_lost = fflush(stdout) != 0 || ferror(stdout);
    if (!is_lost || (poll(&out, 1, 0) == 1 && out.revents & POLLERR)) {
        return status;
    }
    fprintf(stderr, "conf: standard output could not be written\n");
    return status == CONF_OK ? CONF_INTERNAL : status;
}

static int command(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "help")) { /* conf help run */
        char *words[] = {argv[0], argv[2], (char[]){"--help"}, NULL};
        return command(argc, words);
    }
    if (argc < 2) {
        put_help(stderr);
        return CONF_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        put_help(stdout);
        return CONF_OK;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        puts("conf " CONF_VERSION);
        return CONF_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        if (!strcmp(argv[1], COMMANDS[i].name)) {
            return COMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    return unknown(argv[1]);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a dead worker is an error of its link, and a closed stdout one of writing */
    return finish(command(argc, argv));
}
