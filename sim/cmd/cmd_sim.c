/* SPDX-License-Identifier: Apache-2.0
 * cmd_sim.c - conf sim: a machine from an image, with its console here, until the guest ends it.
 *
 * TIME. The guest's is counted in instructions and never waits for the host's, but for one thing: while everybody in the
 * machine idles and somebody may type, idle time lasts as long as it says, so that an idle guest costs no processor time
 * and a shell's `sleep 1` is a second. The guest cannot tell. */
#include "sim/cmd/sim_cmd.h"

#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/cmd/commit_log.h"
#include "sim/cmd/console.h"
#include "sim/cmd/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] = "usage: conf sim [OPTION]... [--bios FILE] [--kernel FILE]\n"
                           "Runs a machine on the simulator; its console is here.\n"
                           "\n"
                           "      --kernel FILE  ELF, a Linux Image, or as it is at the start of RAM (beside\n"
                           "                     --bios: 2 MiB behind that); may be packed with gzip\n"
                           "      --bios FILE    firmware for M mode at the start of RAM, such as OpenSBI's\n"
                           "                     fw_dynamic.bin, which then starts the kernel\n"
                           "      --initrd FILE  an initial RAM disk\n"
                           "      --append TEXT  the kernel's command line\n"
                           "      --dtb-dump F   write the machine's device tree to the file F, and end\n"
                           "      --drive FILE[,ro][,overlay]\n"
                           "                     a raw disk image as the next virtio device; ro: cannot\n"
                           "                     be written; overlay: FILE stays as it is, what is\n"
                           "                     written is gone at the end; repeatable\n"
                           "      --net user[,hostfwd=tcp|udp:[HOST]:PORT-[GUEST]:PORT]...\n"
                           "      --net tap,ifname=NAME | loopback\n"
                           "                     a network card as the next virtio device; user: NAT and\n"
                           "                     DHCP in this process; hostfwd: a port of the host is one\n"
                           "                     of the guest; repeatable\n"
                           "      --balloon S    a memory balloon as the next virtio device: a guest that\n"
                           "                     has a driver for it gives S of its RAM back\n"
                           "      --console C    uart (default), or virtio: that as well, as the next virtio\n"
                           "                     device; keys go there once the guest is ready for them\n"
                           "  -g, --guest G      riscv64 (default)\n"
                           "      --engine E     hybrid (default): makes code for this host of what runs\n"
                           "                     often; jit: of all; interp: of nothing (default where\n"
                           "                     there is no other). The guest cannot tell which\n"
                           "      --jit-threads N\n"
                           "                     at most N threads make code of what runs most, while the\n"
                           "                     harts run on; 0: the harts do it (default 1, or 0 where\n"
                           "                     there is one processor). The guest cannot tell\n"
                           "      --code-cache FILE\n"
                           "                     code for this host that earlier runs made is taken from\n"
                           "                     FILE, and at the end FILE has what this run made too. It is\n"
                           "                     trusted as the program itself. The guest cannot tell\n"
                           "      --cpu TEXT     extensions: rv64imac,... (default: all there are)\n"
                           "      --env E        machine: bare, starts in M mode; virt: in S mode, under\n"
                           "                     SBI (default: virt for a Linux image without --bios,\n"
                           "                     else machine)\n"
                           "  -m, --memory S     RAM (default 128M)\n"
                           "      --smp N        harts (default 1)\n"
                           "      --realtime     the host's clock, and a thread for each hart: faster with\n"
                           "                     several harts, and no two runs are the same\n"
                           "      --insns N      end after N instructions of all harts, with status 124\n"
                           "      --commit-log F each instruction that retired and the registers that it\n"
                           "                     changed, to the file F, in the form of Spike's\n"
                           "      --stats        counters at the end, on standard error\n"
                           "  -h, --help\n"
                           "On a terminal Ctrl-A x ends the run and Ctrl-A h lists the keys.\n"
                           "Exit status: the guest's own (0 passed; a code; 1 failed without one),\n"
                           "2 usage, 3 a bad image, drive or network, 124 --insns, 141 nobody reads the\n"
                           "console.\n";

typedef enum {
    O_KERNEL,
    O_BIOS,
    O_INITRD,
    O_COMMAND_LINE,
    O_DTB_DUMP,
    O_DRIVE,
    O_NET,
    O_BALLOON,
    O_CONSOLE,
    O_GUEST,
    O_ENGINE,
    O_JIT_THREADS,
    O_CODE_CACHE,
    O_CPU,
    O_ENV,
    O_MEMORY,
    O_SMP,
    O_REALTIME,
    O_INSNS,
    O_COMMIT_LOG,
    O_STATS,
    O_HELP,
    O_COUNT
} OptionIndex;
/* clang-format off */
static const CliOption OPTIONS[O_COUNT] = {
    [O_KERNEL] = {"kernel", 0, 'r'},
    [O_BIOS] = {"bios", 0, 'r'},
    [O_INITRD] = {"initrd", 0, 'r'},
    [O_COMMAND_LINE] = {"append", 0, 'r'},
    [O_DTB_DUMP] = {"dtb-dump", 0, 'r'},
    [O_DRIVE] = {"drive", 0, 'r'},
    [O_NET] = {"net", 0, 'r'},
    [O_BALLOON] = {"balloon", 0, 'r'},
    [O_CONSOLE] = {"console", 0, 'r'},
    [O_GUEST] = {"guest", 'g', 'r'},
    [O_ENGINE] = {"engine", 0, 'r'},
    [O_JIT_THREADS] = {"jit-threads", 0, 'r'},
    [O_CODE_CACHE] = {"code-cache", 0, 'r'},
    [O_CPU] = {"cpu", 0, 'r'},
    [O_ENV] = {"env", 0, 'r'},
    [O_MEMORY] = {"memory", 'm', 'r'},
    [O_SMP] = {"smp", 0, 'r'},
    [O_INSNS] = {"insns", 0, 'r'},
    [O_REALTIME] = {"realtime", 0, 0},
    [O_COMMIT_LOG] = {"commit-log", 0, 'r'},
    [O_STATS] = {"stats", 0, 0},
    [O_HELP] = {"help", 'h', 0},
};
/* clang-format on */
static const char *const ENGINES[] = {
#define ENGINE(NAME, name) [SIM_##NAME] = #name,
#include "sim/engines.def"
#undef ENGINE
};
enum { CONSOLE_UART, CONSOLE_VIRTIO };
static const char *const CONSOLES[] = {[CONSOLE_UART] = "uart", [CONSOLE_VIRTIO] = "virtio"};
static const char *const ENVS[] = {[ENV_VIRT] = "virt", [ENV_MACHINE] = "machine"};

enum {
    QUANTUM_ALONE_NS = 1000000, /* of one hart: nobody waits for it */
    QUANTUM_NS = 10000,         /* of several: what one does to another is seen so much later at most */
    SLICE_NS = 1000000,         /* how long the machine runs between two looks at the console */
    SLICE_TYPED_NS = 90000,     /* the same, while input waits: a byte at 115200 baud */
    SLICE_IDLE_NS = 10000000,   /* the same, while everybody idles: how often an idle guest wakes the host */
    SLICE_REAL_NS = 2000000,    /* in real time: how late at most its input and the end of a line of output are seen */
    STATUS_MAX = 255,
};

typedef struct {
    SimConfig sim;
    SimBoardConfig board;
    SimBoot boot;
    const char *dtb_dump; /* NULL: run */
    const char *commit_log, *code_cache;
    struct {
        OptionIndex option; /* O_DRIVE, O_NET, O_BALLOON, O_CONSOLE */
        const char *arg;
    } card[SIM_CARD_SLOTS]; /* in the order of the options */
    unsigned ncards;
    uint64_t insns;
    bool has_env, is_realtime, is_stats, is_help;
    bool keeps_code; /* code_cache is written at the end */
    /* running */
    Sim *s;
    Console console;
    CommitLog *log;   /* NULL: none */
    uint64_t past_ns; /* guest time of the machines before the last reset */
    uint64_t stop_ns; /* guest time of this one's last stop, which is within a round */
    bool is_started;  /* --realtime: sim_start */
    bool is_idle;     /* the last slice was idle from end to end */
    uint64_t start_ns;
    SimStats stats; /* of the machines before the last reset */
} Command;

/* ---- the command line ---- */
static int parse_word(const char *option, const char *text, const char *const *words, size_t n, size_t *out, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(words[i], text)) {
            *out = i;
            return 0;
        }
    }
    const char *near = cli_nearest(text, words, n);
    if (near) {
        return err_set(err, ERR_INVAL, "%s: unknown `%s`; did you mean `%s`?", option, text, near);
    }
    Buf known = {0};
    for (size_t i = 0; i < n; i++) {
        buf_printf(&known, " %s", words[i]);
    }
    int rc = err_set(err, ERR_INVAL, "%s: unknown `%s`; known:%s", option, text, buf_text(&known));
    buf_free(&known);
    return rc;
}

static int parse_machine(Command *c, OptionIndex option, const char *arg, Err *err)
{
    GuestId guest;
    uint64_t n = 0;
    size_t word = 0;
    int rc = 0;
    switch (option) {
    case O_GUEST:
        rc = cli_guest(arg, &guest, err);
        c->sim.guest = arg;
        return rc;
    case O_ENGINE:
        rc = parse_word("--engine", arg, ENGINES, ARRAY_LEN(ENGINES), &word, err);
        c->sim.engine = (SimEngine)word;
        return rc;
    case O_JIT_THREADS:
        rc = cli_number("--jit-threads", arg, 0, SIM_MAX_JIT_THREADS, &n, err);
        c->sim.jit_threads = (uint32_t)n;
        return rc;
    case O_ENV:
        rc = parse_word("--env", arg, ENVS, ARRAY_LEN(ENVS), &word, err);
        c->has_env = true;
        c->sim.is_virt = word == ENV_VIRT;
        return rc;
    case O_MEMORY:
        return cli_bytes("-m", arg, &c->board.ram_bytes, err);
    case O_SMP:
        rc = cli_number("--smp", arg, 1, UINT32_MAX, &n, err);
        c->board.nvcpus = (uint32_t)n;
        return rc;
    case O_INSNS:
        return cli_number("--insns", arg, 0, UINT64_MAX, &c->insns, err);
    case O_KERNEL:
    case O_BIOS:
    case O_INITRD:
    case O_COMMAND_LINE:
    case O_DTB_DUMP:
    case O_DRIVE:
    case O_NET:
    case O_BALLOON:
    case O_CONSOLE:
    case O_CODE_CACHE:
    case O_CPU:
    case O_REALTIME:
    case O_COMMIT_LOG:
    case O_STATS:
    case O_HELP:
    case O_COUNT:
        break;
    }
    return 0;
}

static int card_add(Command *c, OptionIndex option, const char *arg, Err *err)
{
    if (c->ncards == ARRAY_LEN(c->card)) {
        return err_set(err, ERR_INVAL, "--%s %s: there is room for %zu", OPTIONS[option].name, arg, ARRAY_LEN(c->card));
    }
    c->card[c->ncards].option = option;
    c->card[c->ncards++].arg = arg;
    return 0;
}

static int console_parse(Command *c, const char *arg, Err *err)
{
    size_t word = 0;
    int rc = parse_word("--console", arg, CONSOLES, ARRAY_LEN(CONSOLES), &word, err);
    return rc || word == CONSOLE_UART ? rc : card_add(c, O_CONSOLE, arg, err);
}

static int parse_option(Command *c, OptionIndex option, const char *arg, Err *err)
{
    switch (option) {
    case O_KERNEL:
        c->boot.kernel.name = arg;
        break;
    case O_BIOS:
        c->boot.bios.name = arg;
        break;
    case O_INITRD:
        c->boot.initrd.name = arg;
        break;
    case O_DTB_DUMP:
        c->dtb_dump = arg;
        break;
    case O_COMMAND_LINE:
        c->boot.append = arg;
        break;
    case O_DRIVE:
    case O_NET:
    case O_BALLOON:
        return card_add(c, option, arg, err);
    case O_CONSOLE:
        return console_parse(c, arg, err);
    case O_CODE_CACHE:
        c->code_cache = arg;
        break;
    case O_CPU:
        c->sim.cpu = arg;
        break;
    case O_REALTIME:
        c->is_realtime = true;
        break;
    case O_COMMIT_LOG:
        c->commit_log = arg;
        break;
    case O_STATS:
        c->is_stats = true;
        break;
    case O_HELP:
        c->is_help = true;
        break;
    case O_GUEST:
    case O_ENGINE:
    case O_JIT_THREADS:
    case O_ENV:
    case O_MEMORY:
    case O_SMP:
    case O_INSNS:
    case O_COUNT:
        return parse_machine(c, option, arg, err);
    }
    return 0;
}

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        if (i == CLI_BAD) {
            return -ERR_INVAL;
        }
        if (i == CLI_OPERAND) {
            return err_set(err, ERR_INVAL, "`%s`: takes no operand; --kernel and --bios name images", cli.arg);
        }
        int rc = parse_option(c, (OptionIndex)i, cli.arg, err);
        if (rc) {
            return rc;
        }
    }
    if (c->is_realtime && c->insns != UINT64_MAX) {
        return err_set(err, ERR_INVAL, "--insns counts in virtual time: not with --realtime");
    }
    if (c->is_realtime && c->commit_log) {
        return err_set(err, ERR_INVAL, "--commit-log needs the order of virtual time: not with --realtime");
    }
    if (c->is_help || c->boot.kernel.name || c->boot.bios.name || c->dtb_dump) {
        return 0;
    }
    return err_set(err, ERR_INVAL, "--kernel or --bios is missing");
}

/* Linux expects S mode under SBI. Its image says what it is: Linux, Documentation/arch/riscv/boot-image-header. */
static bool is_linux_image(const char *path)
{
    enum { MAGIC2_AT = 0x38 };
    char head[MAGIC2_AT + 4] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_linux =
        fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head && !memcmp(head + MAGIC2_AT, "RSC\x05", 4);
    if (fd >= 0) {
        close(fd);
    }
    return is_linux;
}

/* ---- what is plugged in ---- */
/* Takes ",word" off the end. */
static bool take_suffix(Buf *text, const char *word)
{
    size_t n = strlen(word);
    bool is = text->n > n && text->data[text->n - n - 1] == ',' && !strcmp(text->data + text->n - n, word);
    if (is) {
        text->n -= n + 1;
        text->data[text->n] = 0;
    }
    return is;
}

/* Options are words at the end, so that a name may hold commas. */
static int drive_open(const char *arg, SimCard **out, Err *err)
{
    Buf path = {0};
    uint32_t flags = 0, last = UINT32_MAX;
    buf_str(&path, arg);
    while (last != flags) {
        last = flags;
        flags |= take_suffix(&path, "ro") ? SIM_DRIVE_READ_ONLY : 0;
        flags |= take_suffix(&path, "overlay") ? SIM_DRIVE_OVERLAY : 0;
    }
    int rc = sim_card_drive(buf_text(&path), flags, out, err);
    buf_free(&path);
    return rc;
}

static int balloon_open(const char *arg, SimCard **out, Err *err)
{
    uint64_t wanted = 0;
    int rc = cli_bytes("--balloon", arg, &wanted, err);
    *out = rc ? NULL : sim_card_balloon(wanted);
    return rc;
}

static int card_open(OptionIndex option, const char *arg, SimCard **out, Err *err)
{
    if (option == O_CONSOLE) {
        *out = sim_card_console();
        return 0;
    }
    if (option == O_BALLOON) {
        return balloon_open(arg, out, err);
    }
    return option == O_NET ? sim_card_net(arg, out, err) : drive_open(arg, out, err);
}

static int cards_open(Command *c, Err *err)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < c->ncards; i++) {
        rc = card_open(c->card[i].option, c->card[i].arg, &c->board.card[i], err);
    }
    return rc;
}

static void cards_close(Command *c)
{
    for (unsigned i = 0; i < ARRAY_LEN(c->board.card); i++) {
        sim_card_free(c->board.card[i]);
    }
}

/* ---- the machine ---- */
static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int make(Command *c, Err *err)
{
    int rc = sim_new(&c->sim, &c->s, err);
    rc = rc ? rc : sim_board(c->s, &c->board, err);
    if (rc) {
        return cli_usage("sim", err); /* what was asked for cannot be */
    }
    if (sim_board_load(c->s, &c->boot, err)) {
        fprintf(stderr, "conf sim: %s\n", err->text);
        return CONF_INVALID;
    }
    if (c->log) {
        commit_log_begin(c->log, c->s);
    }
    return CONF_OK;
}

static int dump_tree(Command *c, Err *err)
{
    size_t n = 0;
    int status = make(c, err);
    const void *tree = status ? NULL : sim_board_fdt(c->s, &n);
    if (tree && os_write_file(c->dtb_dump, tree, n, err)) {
        fprintf(stderr, "conf sim: %s\n", err->text);
        return CONF_INTERNAL;
    }
    return status;
}

static void stats_add(const Sim *s, SimStats *sum)
{
    SimVcpu *v;
    for (unsigned i = 0; i <= UINT8_MAX && (v = sim_vcpu_at(s, (uint8_t)i)); i++) {
        SimStats one;
        sim_stats(v, &one);
        sum->insns += one.insns;
        sum->blocks += one.blocks;
        sum->translations += one.translations;
        sum->tlb_fills += one.tlb_fills;
        sum->walks += one.walks;
        sum->io += one.io;
        sum->traps += one.traps;
    }
}

static void end_machine(Command *c, bool is_last)
{
    if (c->s) {
        sim_halt(c->s);
        stats_add(c->s, &c->stats);
        c->past_ns += most(sim_board_now_ns(c->s), c->stop_ns);
        c->stop_ns = 0;
        (is_last ? sim_free_last : sim_free)(c->s);
        c->s = NULL;
    }
}

/* Instructions of the busiest hart, and of all. */
static uint64_t insns_of(const Sim *s, uint64_t *sum)
{
    SimVcpu *v;
    uint64_t busiest = 0;
    *sum = 0;
    for (unsigned i = 0; i <= UINT8_MAX && (v = sim_vcpu_at(s, (uint8_t)i)); i++) {
        busiest = most(busiest, sim_insns(v));
        *sum += sim_insns(v);
    }
    return busiest;
}

static int say(int status, const char *text)
{
    fprintf(stderr, "conf sim: %s\n", text);
    return status;
}

enum { GOES_ON = -1 }; /* instead of an exit status */

/* Nobody in the machine will do anything until something comes from outside. */
static int wait_for_input(Command *c)
{
    if (!console_can_wake(&c->console)) {
        return say(CONF_FAILURES, "every hart waits for an interrupt, and nothing is left that could raise one");
    }
    console_serve(&c->console, c->s, UINT64_MAX);
    return GOES_ON;
}

static int reboot(Command *c, Err *err)
{
    end_machine(c, false);
    int status = make(c, err);
    return status ? status : GOES_ON;
}

static int guest_status(const SimExit *e)
{
    if (!e->addr) {
        return CONF_OK;
    }
    return !e->value ? CONF_FAILURES : e->value > STATUS_MAX ? STATUS_MAX : (int)e->value;
}

/* What the machine stopped for; GOES_ON, or the exit status. */
static int stopped(Command *c, uint8_t who, const SimExit *e, Err *err)
{
    switch (e->kind) {
    case SIM_EXIT_budget:
    case SIM_EXIT_canceled:
        return GOES_ON;
    case SIM_EXIT_halt:
        return wait_for_input(c);
    case SIM_EXIT_mmio_read:
    case SIM_EXIT_mmio_write: /* nothing there: a bus error */
        return sim_reply(sim_vcpu_at(c->s, who), 0, true, err) ? say(CONF_INTERNAL, err->text) : GOES_ON;
    case SIM_EXIT_system_down:
        return guest_status(e);
    case SIM_EXIT_system_reset:
        return reboot(c, err);
    case SIM_EXIT_hypercall:
        return say(CONF_FAILURES, "the guest calls firmware that this machine does not have");
    case SIM_EXIT_sysreg_read:
    case SIM_EXIT_sysreg_write:
    case SIM_EXIT_exception:
    case SIM_EXIT_nested_page_fault:
    case SIM_EXIT_debug:
    case SIM_EXIT_shutdown:
    case SIM_EXIT_cpu_up:
    case SIM_EXIT_cpu_down:
    case SIM_EXIT_COUNT:
        break;
    }
    return say(CONF_INTERNAL, "the machine stopped for a reason that it should not have");
}

static int console_status(const Command *c)
{
    switch (atomic_load(&c->console.state)) {
    case CONSOLE_OPEN:
        break;
    case CONSOLE_QUIT:
        return CONF_OK;
    case CONSOLE_CLOSED:
        return SIM_EXIT_STATUS_PIPE;
    case CONSOLE_LOST:
        fprintf(stderr, "conf sim: standard output could not be written: %s\n", strerror(c->console.native));
        return CONF_INTERNAL;
    }
    return GOES_ON;
}

/* Looks at the console; as long as the slice idled, if somebody may type. */
static void serve_console(Command *c, uint64_t slept_ns)
{
    bool may_come = console_can_wake(&c->console) && !c->console.nin;
    console_serve(&c->console, c->s, may_come ? slept_ns : 0);
}

/* Slices depend on the guest and on its input alone: where they end is part of what the guest sees when it idles. */
static uint64_t slice_ns(const Command *c)
{
    return c->console.nin ? SLICE_TYPED_NS : c->is_idle ? SLICE_IDLE_NS : SLICE_NS;
}

/* As sim_run_all, an instruction or the entry of a trap at a time. */
static int run_logged(Command *c, uint64_t quantum, const SimRun *until, uint8_t *who, SimExit *out, Err *err)
{
    int rc = 0;
    uint64_t left = until->insns;
    do {
        SimRun one = *until;
        one.is_step = true;
        one.insns = left;
        uint64_t before, after;
        insns_of(c->s, &before);
        rc = sim_run_all(c->s, quantum, &one, who, out, err);
        commit_log_look(c->log, c->s);
        insns_of(c->s, &after);
        left -= after - before;
        if (!rc && out->kind == SIM_EXIT_debug) { /* that step */
            out->kind = SIM_EXIT_budget;
        }
    } while (!rc && out->kind == SIM_EXIT_budget && sim_board_now_ns(c->s) < until->until_ns && left);
    return rc;
}

/* A slice of the machine's time and a look at the console. */
static int slice(Command *c, Err *err)
{
    uint8_t who = 0;
    SimExit e;
    uint64_t now = sim_board_now_ns(c->s), used, insns = insns_of(c->s, &used), length = slice_ns(c);
    used += c->stats.insns;
    if (used >= c->insns) {
        return say(SIM_EXIT_STATUS_LIMIT, "--insns are used up");
    }
    SimRun until = {.insns = c->insns - used, .serve_board = true, .until_ns = now + length};
    uint64_t quantum = least(c->board.nvcpus > 1 ? QUANTUM_NS : QUANTUM_ALONE_NS, length);
    int rc = c->log ? run_logged(c, quantum, &until, &who, &e, err) : sim_run_all(c->s, quantum, &until, &who, &e, err);
    if (rc) {
        return say(CONF_INTERNAL, err->text);
    }
    console_flush(&c->console);
    uint64_t passed = sim_board_now_ns(c->s) - now, worked = insns_of(c->s, &used) - insns;
    c->is_idle = passed && !worked;
    c->stop_ns = e.clock_ns;
    int status = stopped(c, who, &e, err);
    if (status == GOES_ON) {
        serve_console(c, e.kind == SIM_EXIT_budget && passed > worked ? passed - worked : 0);
        status = console_status(c);
    }
    return status;
}

/* The machine runs while the console is looked at; a stop is seen a little later. */
static int slice_realtime(Command *c, Err *err)
{
    uint8_t who = 0;
    SimExit e;
    if (!c->is_started && sim_start(c->s, err)) {
        return say(CONF_INTERNAL, err->text);
    }
    c->is_started = true;
    if (sim_wait(c->s, SLICE_REAL_NS, &who, &e, err)) {
        return say(CONF_INTERNAL, err->text);
    }
    console_flush(&c->console);
    c->stop_ns = e.clock_ns;
    c->is_started = e.kind == SIM_EXIT_budget;
    int status = stopped(c, who, &e, err);
    if (status == GOES_ON) {
        console_serve(&c->console, c->s, 0);
        status = console_status(c);
    }
    return status;
}

/* ---- saved code ---- */
/* A file that cannot be used costs time and nothing else: that is said, and the run goes on. */
static void code_open(Command *c)
{
    Err err;
    if (sim_code_new(&c->sim.code, &err) || sim_code_load(c->sim.code, c->code_cache, &err)) {
        fprintf(stderr, "conf sim: --code-cache: %s; all code is made anew\n", err.text);
        c->keeps_code = err.code != ERR_DENIED && c->sim.code;
    }
}

static void code_close(Command *c)
{
    Err err;
    if (c->keeps_code && sim_code_save(c->sim.code, c->code_cache, &err)) {
        fprintf(stderr, "conf sim: --code-cache: %s\n", err.text);
    }
    sim_code_free(c->sim.code);
    c->sim.code = NULL;
}

static void put_code_stats(const Command *c)
{
    SimCodeStats t;
    sim_code_stats(c->sim.code, &t);
    fprintf(stderr,
            "conf sim: pieces of code taken from the cache %" PRIu64 ", made %" PRIu64 "; in it %" PRIu64 ", %" PRIu64
            " bytes%s\n",
            t.used, t.made, t.pieces, t.bytes,
            t.was_other ? "; its file was of another build or processor, and counted as empty" : "");
}

static void put_stats(const Command *c)
{
    double s = (double)(os_now_ns() - c->start_ns) / 1e9;
    const SimStats *t = &c->stats;
    fprintf(stderr,
            "conf sim: %" PRIu64 " instructions in %.3f s (%.1f Mips), %.3f s guest time\n"
            "conf sim: blocks entered %" PRIu64 ", translated %" PRIu64 "; TLB fills %" PRIu64 ", walks %" PRIu64
            "; device accesses %" PRIu64 "; traps %" PRIu64 "\n",
            t->insns, s, s > 0 ? (double)t->insns / s / 1e6 : 0, (double)c->past_ns / 1e9, t->blocks, t->translations,
            t->tlb_fills, t->walks, t->io, t->traps);
    if (c->sim.code) {
        put_code_stats(c);
    }
}

static int run(Command *c, Err *err)
{
    c->start_ns = os_now_ns();
    c->console.card = c->board.card;
    c->board.ctx = &c->console;
    c->board.output = console_output;
    c->keeps_code = c->code_cache;
    if (c->code_cache) {
        code_open(c);
    }
    int status = make(c, err);
    if (status) {
        return status;
    }
    if (terminal_raw(STDIN_FILENO, &c->console.is_raw, err)) {
        return say(CONF_INTERNAL, err->text);
    }
    for (status = GOES_ON; status == GOES_ON;) {
        status = (c->is_realtime ? slice_realtime : slice)(c, err);
    }
    console_flush(&c->console); /* what was printed must have arrived, or success would be a lie */
    int lost = console_status(c);
    status = status == CONF_OK && lost > 0 ? lost : status;
    terminal_restore();
    end_machine(c, true);
    if (c->is_stats) {
        put_stats(c);
    }
    return status;
}

/* Threads that share one processor take turns, so that a loop's code comes later and nothing is won. */
static uint32_t jit_threads_of_host(void)
{
    cpu_set_t may;
    return !sched_getaffinity(0, sizeof may, &may) && CPU_COUNT(&may) > 1;
}

int cmd_sim(int argc, char **argv)
{
    Err err = {0};
    Command c = {.sim = {.guest = "riscv64", .engine = sim_engine_best(), .jit_threads = jit_threads_of_host()},
                 .board = {.ram_bytes = 128 << 20, .nvcpus = 1, .has_firmware = true},
                 .insns = UINT64_MAX,
                 .console = CONSOLE_INIT(STDIN_FILENO, STDOUT_FILENO)};
    int status = CONF_OK;
    if (parse(&c, argc, argv, &err)) {
        return cli_usage("sim", &err);
    }
    if (c.is_help) {
        fputs(HELP, stdout);
        return CONF_OK;
    }
    c.sim.is_virt =
        c.has_env ? c.sim.is_virt : !c.boot.bios.name && c.boot.kernel.name && is_linux_image(c.boot.kernel.name);
    if (c.commit_log && commit_log_open(c.commit_log, &c.log, &err)) {
        return say(CONF_INTERNAL, err.text);
    }
    status = cards_open(&c, &err) ? say(CONF_INVALID, err.text) : c.dtb_dump ? dump_tree(&c, &err) : run(&c, &err);
    status = commit_log_close(c.log, &err) ? say(CONF_INTERNAL, err.text) : status;
    sim_free(c.s);
    code_close(&c);
    cards_close(&c);
    return status;
}
