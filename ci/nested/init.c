/* SPDX-License-Identifier: Apache-2.0
 * init.c - process 1 of a nested machine: mounts, loads modules, runs the program, says how it
 * ended, powers off. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 128, MAX_LINE = 4096 };

static void load_module(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)) {
        printf("init: %s: %s\n", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* One line of a file per item, in order. */
static void each_line(const char *path, void (*call)(void *ctx, const char *line), void *ctx)
{
    char line[MAX_LINE];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        call(ctx, line);
    }
    if (f) {
        fclose(f);
    }
}

static void on_module(void *ctx, const char *line)
{
    (void)ctx;
    load_module(line);
}

typedef struct {
    char *items[MAX_ARGS + 1];
    int n;
} Args;

static void on_arg(void *ctx, const char *line)
{
    Args *args = ctx;
    if (args->n < MAX_ARGS) {
        args->items[args->n++] = strdup(line);
    }
}

static void mounts(void)
{
    mount("devtmpfs", "/dev", "devtmpfs", 0, "");
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd < 3; fd++) {
        dup2(console, fd);
    }
    if (console > 2) {
        close(console);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    mount("proc", "/proc", "proc", 0, "");
    mount("sysfs", "/sys", "sysfs", 0, "");
    mount("tmpfs", "/tmp", "tmpfs", 0, "");
}

static int run(Args *args)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        char *env[] = {"PATH=/nested/files", "HOME=/tmp", "TMPDIR=/tmp", NULL};
        if (chdir("/nested/files") == 0) {
            execve("/nested/prog", args->items, env);
        }
        fprintf(stderr, "init: exec: %s\n", strerror(errno));
        _exit(127);
    }
    for (pid_t pid = 0; pid != child;) {
        pid = wait(&status);
        if (pid < 0 && errno != EINTR) {
            break;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
    Args args = {.n = 0};
    mounts();
    each_line("/nested/modules", on_module, NULL);
    each_line("/nested/argv", on_arg, &args);
    printf("\nNESTED-BEGIN\n");
    int status = run(&args);
    printf("\nNESTED-EXIT %d\n", status);
    fflush(stdout);
    fsync(1);
    sync();
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}
