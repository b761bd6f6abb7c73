/* SPDX-License-Identifier: Apache-2.0
 * Whole sessions on the fake backend: input from a file, output and status compared. */
#include "conformance/cmd.h"
#include "sim/base/buf.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_OUTPUT = 1 << 20 };
static Buf output;

static int temporary(const char *text)
{
    char path[] = "/tmp/conf-repl-test-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    size_t n = strlen(text);
    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void read_all(int fd)
{
    buf_clear(&output);
    lseek(fd, 0, SEEK_SET);
    char bytes[4096];
    for (ssize_t n; output.n < MAX_OUTPUT && (n = read(fd, bytes, sizeof bytes)) > 0;) {
        buf_bytes(&output, bytes, (size_t)n);
    }
    buf_str(&output, "");
}

/* Exit status of `conf repl ARGS < input`; what it printed is in `output`. args: NULL-terminated. */
static int session(const char *const *args, const char *input)
{
    char name[] = "repl", *argv[16] = {name};
    int argc = 1, status = -1;
    for (; args[argc - 1]; argc++) {
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    }
    int in = temporary(input), out = temporary("");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        status = cmd_repl(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    read_all(out);
    close(in);
    close(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void end(void)
{
    buf_free(&output);
}

static const char *const fake[] = {"--backend", "fake", "--guest", "x86_64", "--batch", NULL};
static const char *const here[] = {"--backend", "fake", "--guest", "riscv64", "--batch", "--in-process", NULL};

TEST(repl, prints_values_and_goes_on_over_lines)
{
    CHECK_INT(
        session(here, "1 + 15\n\n'a\\n'\n{1, b = 'x'}\nlocal t = 3\nfor i = 1, 2 do\n  print('i', i)\nend\nx = 5\nx\n"),
        0);
    CHECK_STR(buf_text(&output), "= 0x10\n= \"a\\\n\"\n= {0x1, b = \"x\"}\ni\t1\ni\t2\n= 0x5\n");
    end();
}

TEST(repl, drives_the_guest)
{
    CHECK_INT(
        session(fake,
                "vcpu:set('rdi', 7)\nsave 'mine'\ngo()\nregs()\nback()\nvcpu:get 'rdi'\nmem(sym.code, 4)\nquit\n"),
        0);
    CHECK_HAS(buf_text(&output), "\ndone\n");
    CHECK_HAS(buf_text(&output), "rdi      0000000000000007");
    CHECK_HAS(buf_text(&output), "at 0x");
    CHECK_HAS(buf_text(&output), "= 0x7\n");
    CHECK_HAS(buf_text(&output), "  90 90 90 90");
    end();
}

TEST(repl, takes_the_world_of_a_scenario)
{
    static const char *const args[] = {"--backend", "fake", "--batch", "lua/tests/repl.yaml::a read to answer", NULL};
    CHECK_INT(session(args, "go()\nreply(0x77)\nvcpu:get 'a0'\nsym.dev\ngo()\n"), 0);
    CHECK_HAS(buf_text(&output), "mmio_read addr 0x");
    CHECK_HAS(buf_text(&output), "= 0x77\n");
    CHECK_HAS(buf_text(&output), "\ndone\n");
    CHECK_INT(session(args, "go()\ngo()\n"), 1);
    CHECK_HAS(buf_text(&output), "error: the last exit awaits an answer");
    CHECK_INT(session(args, "go()\nback()\nvcpu:get 'pc'\n"), 0);
    end();
}

TEST(repl, stops_at_the_first_error_in_a_batch)
{
    CHECK_INT(session(here, "print 'one'\nexpct(1)\nprint 'two'\n"), 1);
    CHECK_STR(buf_text(&output), "one\nerror: (repl):2: `expct` is no global or symbol; did you mean `expect`?\n");
    CHECK_INT(session(here, "expect(1, 2)\n"), 1);
    CHECK_HAS(buf_text(&output), "error: expected 0x2, got 0x1");
    static const char *const quick[] = {"--backend=fake", "--in-process", "--batch", "--timeout=1", NULL};
    CHECK_INT(session(quick, "while true do end\n"), 1);
    CHECK_HAS(buf_text(&output), "error: (repl):1: script ran");
    CHECK_INT(session(here, "forall(9, {a = u8}, function(x) expect(x.a < 3, true) end)\n"), 1);
    CHECK_HAS(buf_text(&output), "a = 0x3");
    CHECK_INT(session(here, "for i = 1, 2 do\n"), 1);
    CHECK_HAS(buf_text(&output), "'end' expected");
    CHECK_INT(session(here, "back()\n"), 1);
    CHECK_HAS(buf_text(&output), "nothing to go back to");
    end();
}

TEST(repl, goes_on_after_an_error_otherwise)
{
    static const char *const args[] = {"--backend=fake", "--in-process", NULL};
    CHECK_INT(session(args, "error 'x'\nexpect(1, 2)\nfail 'y'\nprint 'still here'\nexit\nprint 'not'\n"), 0);
    CHECK_HAS(buf_text(&output), "still here\n");
    CHECK(strstr(buf_text(&output), "not") == NULL);
    end();
}

TEST(repl, helps)
{
    CHECK_INT(session(here, "help()\nhelp 'go'\nhelp(forall)\n"), 0);
    CHECK_HAS(buf_text(&output), "break_at([address])");
    CHECK_HAS(buf_text(&output), "Runs until an exit");
    CHECK_HAS(buf_text(&output), "forall(n, generators, f)\n    Calls f n times");
    static const char *const help[] = {"--help", NULL};
    CHECK_INT(session(help, ""), 0);
    CHECK_HAS(buf_text(&output), "usage: conf repl");
    end();
}

/* "name(arguments)   A sentence.": NULL, or what is wrong with the line. */
static const char *help_fault(const char *line)
{
    const char *summary = strstr(line, "  ");
    size_t nticks = 0, n = strlen(line);
    for (const char *c = line; *c; c++) {
        nticks += *c == '`';
        if (c[0] == ')' && c[1] == ' ' && !summary) {
            summary = c + 1; /* the longest signature has but one space behind it */
        }
    }
    summary += summary ? strspn(summary, " ") : 0;
    if (n > 80) {
        return "over 80 columns";
    }
    if (!summary || *summary < 'A' || *summary > 'Z' || strlen(summary) < 8) {
        return "no summary";
    }
    return line[n - 1] != '.' ? "cut before its end" : nticks % 2 ? "cut within backticks" : NULL;
}

TEST(repl, help_lists_whole_sentences)
{
    CHECK_STR(help_fault("vm                 vm"), "no summary");
    CHECK_STR(help_fault("scenario(table)    In a"), "no summary");
    CHECK_STR(help_fault("run(items)         Runs a vcpu, as `run."), "cut within backticks");
    CHECK_STR(help_fault("run(items) Runs a vcpu and holds"), "cut before its end");
    CHECK_INT(session(here, "help()\n"), 0);
    size_t nlines = 0;
    for (char *line = output.data, *end; (end = strchr(line, '\n')); line = end + 1, nlines++) {
        *end = 0;
        const char *fault = help_fault(line);
        if (!CHECK(!fault)) {
            printf("    %s: %s\n", fault, line);
        }
    }
    CHECK(nlines > 40);
    CHECK_INT(session(here, "help 'u16'\nhelp(edge64)\n"), 0);
    CHECK_HAS(buf_text(&output), "u8, u16, u32, u64\n    Generators: an integer");
    CHECK_HAS(buf_text(&output), "edge64\n    Generator: a 64-bit integer, mostly at an edge.\n");
    end();
}

static const char *const sim[] = {"--backend", "sim-interp", "--guest", "riscv64", "--batch", NULL};

TEST(repl, assembles_disassembles_and_steps)
{
    CHECK_INT(
        session(sim,
                "asm 'addi a0, a0, 3; addi a0, a0, 4'\ndis(nil, 2)\nstep(2)\nvcpu:get 'a0'\nback()\nvcpu:get 'a0'\n"
                "regs(true)\ngo()\n"),
        0);
    CHECK_HAS(buf_text(&output), "bytes at 0x");
    CHECK_HAS(buf_text(&output), "> 0x");
    CHECK_HAS(buf_text(&output), "addi");
    CHECK_HAS(buf_text(&output), "= 0x7\n");
    CHECK_HAS(buf_text(&output), "= 0x0\n");
    CHECK_HAS(buf_text(&output), "\ndone\n");
    CHECK_INT(session(sim, "asm 'nonsense a0'\n"), 1);
    CHECK_HAS(buf_text(&output), "line 1, column 1: ");
    CHECK_INT(session(sim, "asm('nop', 0xffffffff0000)\n"), 1);
    CHECK_HAS(buf_text(&output), "error: (repl)");
    CHECK_INT(session(sim, "dis(0xffffffff0000)\n"), 1);
    CHECK_HAS(buf_text(&output), "no memory at 0xffffffff0000");
    CHECK_INT(session(sim, "vm.mem:u32(sym.code, 0xffffffff)\ndis(sym.code, 1)\n"), 0);
    CHECK_HAS(buf_text(&output), "no instruction, or no disassembler");
    CHECK_INT(session(sim, "step(0)\n"), 1);
    CHECK_HAS(buf_text(&output), "n is 1 or more");
    end();
}

TEST(repl, stops_at_a_breakpoint)
{
    CHECK_INT(session(sim, "break_at(sym.code + 8)\ngo()\nvcpu:get 'pc' == sym.code + 8\nbreak_at()\ngo()\n"), 0);
    CHECK_HAS(buf_text(&output), "debug break addr 0x");
    CHECK_HAS(buf_text(&output), "= true\ndone\n");
    CHECK_INT(session(sim, "for i = 0, 64 do break_at(sym.code + 4 * i) end\n"), 1);
    CHECK_HAS(buf_text(&output), "at most 64 breakpoints");
    end();
}

TEST(repl, answers_and_names_what_there_is)
{
    static const char *const args[] = {"--backend", "fake", "--batch", "lua/tests/repl.yaml::a read to answer", NULL};
    CHECK_INT(session(args, "go()\nreply 'fault'\n"), 0);
    CHECK_INT(session(args, "go()\nreply 'nonsense'\n"), 1);
    CHECK_HAS(buf_text(&output), "a number, \"fault\" or four registers");
    CHECK_INT(session(args, "reply{1, 2, 3, 4}\n"), 1);
    CHECK_HAS(buf_text(&output), "error: (repl)");
    CHECK_INT(session(here, "backends()\nquit()\nprint 'not reached'\n"), 0);
    CHECK_HAS(buf_text(&output), "sim-interp   ready\n");
    CHECK(strstr(buf_text(&output), "not reached") == NULL);
    CHECK_INT(session(here, "use 'v0'\nvcpu:state()\nskip()\n"), 1);
    CHECK_HAS(buf_text(&output), "there is nothing to skip here");
    end();
}

TEST(repl, chooses_the_best_backend)
{
    static const char *const best[] = {"--guest", "riscv64", "--batch", "--seed", "7", NULL};
    static const char *const none[] = {"--guest", "aarch64", "--batch", "--backend", "best", NULL};
    CHECK_INT(session(best, "backend\nseed\n"), 0);
    CHECK_HAS(buf_text(&output), "= \"sim-jit\"\n= 0x7\n");
#if !defined(__aarch64__)
    CHECK_INT(session(none, ""), CONF_NO_BACKEND);
    CHECK_HAS(buf_text(&output), "no backend here runs aarch64");
#endif
    static const char *const wrong[] = {"--guest", "aarch64", "--batch", "--backend", "sim-interp", NULL};
    CHECK_INT(session(wrong, ""), CONF_NO_BACKEND);
    static const char *const plugin[] = {"--backend", "plugin:/nowhere.so", NULL};
    CHECK_INT(session(plugin, ""), CONF_NO_BACKEND);
    static const char *const plugin_here[] = {"--backend", "plugin:/nowhere.so", "--in-process", NULL};
    CHECK_INT(session(plugin_here, ""), CONF_NO_BACKEND);
    end();
}

TEST(repl, says_what_is_wrong_with_a_file)
{
    static const struct {
        const char *name, *text, *target, *want;
        int status;
    } rows[] = {
        {"bad.yaml", "version: 1\nscenarios:\n- nmae: x\n", "bad.yaml", "bad.yaml:3:3", CONF_INVALID},
        {"bad.lua", "x = = 1", "bad.lua", "bad.lua:1: unexpected symbol", CONF_INVALID},
        {"good.lua", "scenario{name = 'x', code = {x86_64 = {hex = '90'}}, fake = {'done'}, run = 'done'}", "good.lua",
         "done\n", 0},
        {"good.lua", "scenario{name = 'x', code = {x86_64 = {hex = '90'}}, fake = {'done'}, run = 'done'}",
         "good.lua::y", "no scenario `y`", CONF_NOTHING},
    };
    char folder[] = "/tmp/conf-repl-test-XXXXXX", path[80], target[80];
    CHECK(mkdtemp(folder) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, rows[i].name);
        snprintf(target, sizeof target, "%s/%s", folder, rows[i].target);
        CHECK_INT(os_write_file(path, rows[i].text, strlen(rows[i].text), NULL), 0);
        CHECK_INT(session((const char *const[]){"--backend", "fake", "--batch", target, NULL}, "go()\n"),
                  rows[i].status);
        CHECK_HAS(buf_text(&output), rows[i].want);
        unlink(path);
    }
    rmdir(folder);
    static const char *const other[] = {"--backend", "fake", "--guest", "x86_64", "lua/tests/repl.yaml", NULL};
    CHECK_INT(session(other, ""), CONF_NOTHING);
    CHECK_HAS(buf_text(&output), "no scenario `` for x86_64");
    end();
}

/* ---- a terminal ---- */
enum { TERMINAL_S = 60 };

/* What the terminal shows is added to `output` until it has `want` after `from`. false: it did not in time, or the session ended. */
static bool shows(int terminal, size_t from, const char *want)
{
    uint64_t until = os_now_ns() + TERMINAL_S * UINT64_C(1000000000);
    while (!strstr(buf_text(&output) + from, want)) {
        char bytes[512];
        struct pollfd p = {.fd = terminal, .events = POLLIN};
        ssize_t n = poll(&p, 1, 1000) > 0 ? read(terminal, bytes, sizeof bytes) : 0;
        if (n < 0 || os_now_ns() > until) {
            return false;
        }
        buf_bytes(&output, bytes, (size_t)n);
        buf_str(&output, "");
    }
    return true;
}

static bool types(int terminal, const char *text, const char *want)
{
    size_t from = output.n;
    bool ok = write(terminal, text, strlen(text)) == (ssize_t)strlen(text) && shows(terminal, from, want);
    if (!ok) {
        printf("    typed `%s`, want `%s`, got `%s`\n", text, want, buf_text(&output) + from);
    }
    return ok;
}

static pid_t session_on(int terminal, const char *home)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        int fd = open(ptsname(terminal), O_RDWR); /* the first one of a session is its terminal */
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        setenv("XDG_STATE_HOME", home, 1);
        setenv("TERM", "dumb", 1);
        char name[] = "repl", backend[] = "--backend=fake", guest[] = "--guest=x86_64";
        int status = cmd_repl(3, (char *[]){name, backend, guest, NULL});
        fflush(NULL);
        _exit(status);
    }
    return pid;
}

TEST(repl, edits_completes_and_remembers_lines_on_a_terminal)
{
    char home[] = "/tmp/conf-repl-test-XXXXXX", path[80];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), status = -1;
    if (!CHECK(mkdtemp(home) != NULL) || terminal < 0 || grantpt(terminal) || unlockpt(terminal)) {
        test_skip("no terminal can be made here");
        return;
    }
    buf_clear(&output);
    pid_t pid = session_on(terminal, home);
    bool ok = CHECK(shows(terminal, 0, "conf> "));
    /* The prompt is awaited, as Ctrl-C drops what was typed ahead of it, and the kernel does what is typed when it likes. */
    ok = ok && CHECK(types(terminal, "1 + 0x10\n", "= 0x11\r\nconf> ")) &&
         CHECK(types(terminal, "for i = 7, 7 do\n", "... ")) &&
         CHECK(types(terminal, "print(i * 11) end\n", "77\r\nconf> "));
    ok = ok && CHECK(types(terminal, "vm.vcp\t", "vm.vcpus")) &&
         CHECK(types(terminal, ".v0:state()\n", "= \"Ready\"\r\nconf> "));
    ok = ok && CHECK(types(terminal, "half a line", "half a line")) && CHECK(types(terminal, "\003", "conf> "));
    ok = ok && CHECK(types(terminal, "2 + 3\n", "= 0x5\r\nconf> ")) && CHECK(types(terminal, "quit\n", "quit"));
    if (!ok) {
        kill(pid, SIGKILL);
    }
    char rest[256];
    while (read(terminal, rest, sizeof rest) > 0) { /* until the other end is closed */
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(terminal);
    Buf history = {0};
    snprintf(path, sizeof path, "%s/conf/repl_history", home);
    CHECK_INT(os_read_file(path, 1 << 16, &history, NULL), 0);
    CHECK(strstr(buf_text(&history), "1\\040+\\0400x10") || strstr(buf_text(&history), "1 + 0x10"));
    buf_free(&history);
    unlink(path);
    snprintf(path, sizeof path, "%s/conf", home);
    rmdir(path);
    rmdir(home);
    end();
}

TEST(repl, refuses_wrong_arguments)
{
    static const char *const wrong[][4] = {{"--bakend", NULL}, {"--backend", "nothing", NULL}, {"--guest", "z80", NULL},
                                           {"a", "b", NULL},   {"--timeout", "0", NULL},       {"/nowhere::x", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_INT(session(wrong[i], "print 'not reached'\n"), CONF_USAGE);
        CHECK(strstr(buf_text(&output), "not reached") == NULL);
    }
    static const char *const none[] = {"--backend", "fake", "lua/tests/repl.yaml::no such", NULL};
    CHECK_INT(session(none, ""), CONF_NOTHING);
    end();
}
