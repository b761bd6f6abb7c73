/* SPDX-License-Identifier: Apache-2.0
 * run.c - bench_run: what the programs beside it start.
 *   bench_run guest ELF [ENGINE] runs ELF in M-mode on the board with 128 MiB; its console is stdout. Status 1: it did not
 *                                power off
 *   bench_run engines            prints the names of the engines that there are
 *   bench_run usage COMMAND...   runs COMMAND, then prints "usage CPU_US WALL_US PEAK_RSS_KIB" of it
 *   bench_run usage -n N COMMAND...
 *                                runs it once, and then N times in a row with its output to /dev/null; prints the least of these as
 *                                "usage ...", each figure by itself, and their medians as "median ..." */
#include "sim/base/os.h"
#include "sim/sim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RAM_BYTES = 128 << 20, QUANTUM = 1000000, MAX_SECONDS = 120, MAX_RUNS = 10000 };

static void on_output(void *ctx, const void *bytes, size_t n)
{
    (void)ctx;
    fwrite(bytes, 1, n, stdout);
}

static int machine_run(Sim *s, const char *elf, SimExit *exit, Err *err)
{
    uint8_t who = 0;
    int rc = sim_board(s, &(SimBoardConfig){.ram_bytes = RAM_BYTES, .nvcpus = 1, .output = on_output}, err);
    rc = rc ? rc : sim_board_load(s, &(SimBoot){.kernel = {.name = elf}}, err);
    return rc ? rc : sim_run_all(s, QUANTUM, &(SimRun){.insns = UINT64_MAX, .serve_board = true}, &who, exit, err);
}

static int guest(const char *elf, const char *engine)
{
    Err err = {0};
    Sim *s = NULL;
    SimExit exit = {0};
    unsigned e = 0;
    while (e < SIM_ENGINES && strcmp(engine, sim_engine_name((SimEngine)e)) != 0) {
        e++;
    }
    int rc = sim_new(&(SimConfig){.guest = "riscv64", .engine = (SimEngine)e}, &s, &err);
    rc = rc ? rc : machine_run(s, elf, &exit, &err);
    if (rc) {
        fprintf(stderr, "bench_run: %s\n", err.text);
    }
    sim_free_last(s);
    return rc || exit.kind != SIM_EXIT_system_down;
}

static int engines(void)
{
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        if (!sim_engine_check((SimEngine)e, NULL)) {
            puts(sim_engine_name((SimEngine)e));
        }
    }
    return 0;
}

/* ---- usage ---- */
typedef struct {
    uint64_t cpu_us, wall_us;
    long rss_kib;
} Usage;

static uint64_t us_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

/* What the child does is the kernel's between vfork and exec, and no memory of ours. */
static int start_and_wait(char **command, bool is_forked, int out, Usage *u)
{
    uint64_t from = os_now_ns();
    pid_t pid = is_forked ? fork() : vfork();
    if (!pid) {
        alarm(MAX_SECONDS);
        if (dup2(out, STDOUT_FILENO) >= 0) {
            execvp(command[0], command);
        }
        perror(command[0]);
        _exit(127);
    }
    int status;
    struct rusage r;
    if (pid < 0 || wait4(pid, &status, 0, &r) != pid) {
        perror("bench_run");
        return 1;
    }
    *u = (Usage){us_of(r.ru_utime) + us_of(r.ru_stime), (os_now_ns() - from) / 1000, r.ru_maxrss};
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int by_cpu(const void *a, const void *b)
{
    const Usage *x = a, *y = b;
    return (x->cpu_us > y->cpu_us) - (x->cpu_us < y->cpu_us);
}

static int by_wall(const void *a, const void *b)
{
    const Usage *x = a, *y = b;
    return (x->wall_us > y->wall_us) - (x->wall_us < y->wall_us);
}

static void usage_print(const char *name, const Usage *u)
{
    printf("%s %llu %llu %ld\n", name, (unsigned long long)u->cpu_us, (unsigned long long)u->wall_us, u->rss_kib);
}

static int usage(char **command)
{
    Usage u;
    int status = start_and_wait(command, false, STDOUT_FILENO, &u);
    usage_print("usage", &u);
    return status;
}

/* wait4 counts to a program's peak that of who it was until exec: after vfork all that the measurer has, after fork little. So the
 * peak is taken of the run before the others. */
static int usage_of_many(char **command, size_t n)
{
    static Usage u[MAX_RUNS];
    Usage first;
    int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int status = start_and_wait(command, true, STDOUT_FILENO, &first);
    for (size_t i = 0; i < n && !status; i++) {
        status = start_and_wait(command, false, out, &u[i]);
    }
    close(out);
    if (!status) {
        Usage least, median;
        qsort(u, n, sizeof u[0], by_cpu);
        least.cpu_us = u[0].cpu_us;
        median.cpu_us = u[n / 2].cpu_us;
        qsort(u, n, sizeof u[0], by_wall);
        least.wall_us = u[0].wall_us;
        median.wall_us = u[n / 2].wall_us;
        least.rss_kib = median.rss_kib = first.rss_kib;
        usage_print("usage", &least);
        usage_print("median", &median);
    }
    return status;
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "guest")) {
        return guest(argv[2], argc == 4 ? argv[3] : sim_engine_name(SIM_INTERP));
    }
    if (argc == 2 && !strcmp(argv[1], "engines")) {
        return engines();
    }
    if (argc >= 5 && !strcmp(argv[1], "usage") && !strcmp(argv[2], "-n")) {
        long n = strtol(argv[3], NULL, 10);
        if (n > 0 && n <= MAX_RUNS) {
            return usage_of_many(argv + 4, (size_t)n);
        }
    } else if (argc >= 3 && !strcmp(argv[1], "usage")) {
        return usage(argv + 2);
    }
    fprintf(stderr, "usage: bench_run guest ELF [ENGINE] | engines | usage [-n N] COMMAND [ARG...]\n");
    return 2;
}
