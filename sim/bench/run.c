/* SPDX-License-Identifier: Apache-2.0
 * run.c - bench_run: what the programs beside it start.
 *   bench_run guest ELF [ENGINE] runs ELF in M-mode on the board with 128 MiB; its console is stdout. Status 1: it did not
 *                                power off
 *   bench_run engines            prints the names of the engines that there are
 *   bench_run usage COMMAND...   runs COMMAND, then prints "usage CPU_US WALL_US PEAK_RSS_KIB" of it */
#include "sim/base/os.h"
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RAM_BYTES = 128 << 20, QUANTUM = 1000000, MAX_SECONDS = 120 };

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
    sim_free(s);
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
static uint64_t us_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

static int usage(char **command)
{
    uint64_t from = os_now_ns();
    pid_t pid = fork();
    if (!pid) {
        alarm(MAX_SECONDS);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    int status;
    struct rusage u;
    if (pid < 0 || wait4(pid, &status, 0, &u) != pid) {
        perror("bench_run");
        return 1;
    }
    printf("usage %llu %llu %ld\n", (unsigned long long)(us_of(u.ru_utime) + us_of(u.ru_stime)),
           (unsigned long long)((os_now_ns() - from) / 1000), u.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "guest")) {
        return guest(argv[2], argc == 4 ? argv[3] : sim_engine_name(SIM_INTERP));
    }
    if (argc == 2 && !strcmp(argv[1], "engines")) {
        return engines();
    }
    if (argc >= 3 && !strcmp(argv[1], "usage")) {
        return usage(argv + 2);
    }
    fprintf(stderr, "usage: bench_run guest ELF [ENGINE] | engines | usage COMMAND [ARG...]\n");
    return 2;
}
