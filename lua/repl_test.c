/* SPDX-License-Identifier: Apache-2.0
 * Whole sessions on the fake backend: input from a file, output and status compared. */
#include "conformance/cmd.h"
#include "sim/base/buf.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

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
