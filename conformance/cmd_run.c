/* SPDX-License-Identifier: Apache-2.0
 * cmd_run.c - conf run: parses, starts the workers, then loads, opens, plays and reports, in this order. */
#include "conformance/run.h"

#include "accel/plugin/plugin.h"
#include "conformance/bless_edit.h"
#include "conformance/cmd.h"
#include "conformance/cover.h"
#include "conformance/run_history.h"
#include "conformance/runner.h"
#include "sim/base/os.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] = "usage: conf run [OPTION]... [FILE|DIR|GLOB|FILE:LINE|FILE::NAME]...\n"
                           "Runs scenarios (default: those under scenarios/) on every backend.\n"
                           "\n"
                           "Selection\n"
                           "  -b, --backend B      a backend by name, sim, all, best (of this host for each\n"
                           "                       guest), plugin:PATH (a shared object: conf-backend.h), or\n"
                           "                       remote:[NAME:]COMMAND: the backend NAME (kvm) behind a\n"
                           "                       command (repeatable; default all)\n"
                           "      --guest G        riscv64, aarch64 or x86_64 (repeatable)\n"
                           "  -k EXPR              names with this text; words and, or, not, ( )\n"
                           "      --tag T          scenarios with this tag (repeatable: any of them)\n"
                           "      --shard I/N      the I-th of N parts\n"
                           "      --require B      exit 5 if the backend is not available (repeatable)\n"
                           "Running\n"
                           "  -j N|auto            so many at once (default: auto, the online processors)\n"
                           "      --timeout T      limit of one scenario: 10, 1.5s, 250ms (default 10 s)\n"
                           "      --memory-limit S of one worker: 64M, 2G; 0 is none (default 1G)\n"
                           "      --seed N         of all that is random (default 0x5eed1d0c)\n"
                           "      --fail-fast[=N]  stop after the first (N-th) bad result\n"
                           "      --no-isolation   play in this process: for a debugger; a crash ends conf\n"
                           "Output\n"
                           "      --report F=PATH  pretty, junit, tap, json, trace (with traces), sarif,\n"
                           "                       summary (Markdown) or github (annotations); PATH - is\n"
                           "                       stdout (repeatable)\n"
                           "      --history[=H]    add the run (and its coverage) to a history: a file or\n"
                           "                       postgresql://...; default CONF_HISTORY, else\n"
                           "                       XDG_STATE_HOME/conf/history.db\n"
                           "      --coverage FILE  write what was reached, for `conf coverage`\n"
                           "      --bless          write observed exits into the suites; see what it did\n"
                           "      --color WHEN     auto, always or never\n"
                           "  -v, --verbose        passing and skipped results too, with traces\n"
                           "  -q, --quiet          the summary only\n"
                           "  -h, --help\n"
                           "Exit status: 0 passed, 1 failures, errors or unexpected passes, 2 usage,\n"
                           "3 invalid suite, 4 nothing selected, 5 required backend missing, 70 internal,\n"
                           "130 and 143 ended by SIGINT and SIGTERM.\n";

enum { THREADS_MAX = 256 };

typedef enum {
    O_BACKEND,
    O_GUEST,
    O_EXPR,
    O_TAG,
    O_SHARD,
    O_REQUIRE,
    O_JOBS,
    O_TIMEOUT,
    O_MEMORY,
    O_SEED,
    O_FAIL_FAST,
    O_NO_ISOLATION,
    O_REPORT,
    O_HISTORY,
    O_COVERAGE,
    O_BLESS,
    O_COLOR,
    O_VERBOSE,
    O_QUIET,
    O_HELP,
    O_COUNT
} OptionIndex;
static const CliOption OPTIONS[O_COUNT] = {
    [O_BACKEND] = {"backend", 'b', 'r'},   [O_GUEST] = {"guest", 0, 'r'},
    [O_EXPR] = {"keyword", 'k', 'r'},      [O_TAG] = {"tag", 0, 'r'},
    [O_SHARD] = {"shard", 0, 'r'},         [O_REQUIRE] = {"require", 0, 'r'},
    [O_JOBS] = {"jobs", 'j', 'r'},         [O_TIMEOUT] = {"timeout", 0, 'r'},
    [O_MEMORY] = {"memory-limit", 0, 'r'}, [O_SEED] = {"seed", 0, 'r'},
    [O_FAIL_FAST] = {"fail-fast", 0, 'o'}, [O_NO_ISOLATION] = {"no-isolation", 0, 0},
    [O_REPORT] = {"report", 0, 'r'},       [O_COVERAGE] = {"coverage", 0, 'r'},
    [O_BLESS] = {"bless", 0, 0},           [O_COLOR] = {"color", 0, 'r'},
    [O_VERBOSE] = {"verbose", 'v', 0},     [O_HISTORY] = {"history", 0, 'o'},
    [O_QUIET] = {"quiet", 'q', 0},         [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    PlanOptions plan;
    RunnerOptions runner;
    Words require;
    Run run;
    Bless bless;
    Cover cover;
    const char *coverage; /* where to write it; NULL = not asked for */
    const char *history;  /* --history=H; NULL = the default */
    bool has_history, is_help;
} RunCommand;

static int parse_shard(const char *text, PlanOptions *o, Err *err)
{
    const char *slash = strchr(text, '/');
    if (!slash) {
        return err_set(err, ERR_INVAL, "--shard: `%s` is not I/N, as in 1/4", text);
    }
    char *first = x_strndup(text, (size_t)(slash - text));
    int rc = cli_number("--shard", slash + 1, 1, 1000000, &o->nshards, err);
    rc = rc ? rc : cli_number("--shard", first, 1, o->nshards, &o->shard, err);
    mem_free(first);
    return rc;
}

static int parse_jobs(const char *text, RunnerOptions *o, Err *err)
{
    uint64_t n = 0;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (!strcmp(text, "auto")) {
        o->nthreads = online < 1 ? 1 : online > THREADS_MAX ? THREADS_MAX : (unsigned)online;
        return 0;
    }
    int rc = cli_number("-j", text, 1, THREADS_MAX, &n, err);
    o->nthreads = (unsigned)n;
    return rc;
}

static int parse_number_option(RunCommand *c, OptionIndex option, const char *arg, Err *err)
{
    if (option == O_SHARD) {
        return parse_shard(arg, &c->plan, err);
    }
    if (option == O_JOBS) {
        return parse_jobs(arg, &c->runner, err);
    }
    if (option == O_TIMEOUT) {
        return cli_duration("--timeout", arg, &c->runner.timeout_ns, err);
    }
    if (option == O_MEMORY) {
        return cli_bytes("--memory-limit", arg, &c->runner.max_memory_bytes, err);
    }
    if (option == O_SEED) {
        return cli_number("--seed", arg, 0, UINT64_MAX, &c->runner.seed, err);
    }
    c->runner.fail_fast = 1;
    return arg ? cli_number("--fail-fast", arg, 1, UINT64_MAX, &c->runner.fail_fast, err) : 0;
}

static int parse_option(RunCommand *c, OptionIndex option, const char *arg, Err *err)
{
    switch (option) {
    case O_BACKEND:
        VEC_PUSH(&c->plan.backends, arg);
        break;
    case O_GUEST:
        VEC_PUSH(&c->plan.guests, arg);
        break;
    case O_EXPR:
        c->plan.expr = arg;
        break;
    case O_TAG:
        VEC_PUSH(&c->plan.tags, arg);
        break;
    case O_REQUIRE:
        VEC_PUSH(&c->require, arg);
        break;
    case O_NO_ISOLATION:
        c->runner.is_in_process = true;
        break;
    case O_REPORT:
        return run_report_add(&c->run, arg, err);
    case O_HISTORY:
        c->has_history = true;
        c->history = arg;
        break;
    case O_COVERAGE:
        c->coverage = arg;
        c->runner.is_coverage = true;
        break;
    case O_BLESS:
        c->runner.is_bless = true;
        break;
    case O_COLOR:
        return cli_color_mode(arg, &c->run.view.color, err);
    case O_VERBOSE:
        c->runner.is_verbose = c->run.view.is_verbose = true;
        break;
    case O_QUIET:
        c->run.view.is_quiet = true;
        break;
    case O_HELP:
        c->is_help = true;
        break;
    case O_SHARD:
    case O_JOBS:
    case O_TIMEOUT:
    case O_MEMORY:
    case O_SEED:
    case O_FAIL_FAST:
    case O_COUNT:
        return parse_number_option(c, option, arg, err);
    }
    return 0;
}

static int parse(RunCommand *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    *c = (RunCommand){.runner = {.timeout_ns = 10000000000u, .max_memory_bytes = 1 << 30, .seed = 0x5eed1d0c}};
    int rc = parse_jobs("auto", &c->runner, err);
    while (!rc) {
        int i = cli_next(&cli, err);
        if (i == CLI_END) {
            break;
        }
        if (i == CLI_BAD) {
            rc = -ERR_INVAL;
        } else if (i == CLI_OPERAND) {
            VEC_PUSH(&c->plan.paths, cli.arg);
        } else {
            rc = parse_option(c, (OptionIndex)i, cli.arg, err);
        }
    }
    for (size_t i = 0; i < c->require.n && c->plan.backends.n; i++) {
        VEC_PUSH(&c->plan.backends, c->require.items[i]); /* the plan takes each name once */
    }
    for (size_t i = 0; i < c->run.reports.n; i++) {
        c->runner.is_verbose |=
            c->run.reports.items[i].reporter->keep != NULL; /* it wants the traces of passing runs too */
    }
    c->run.view.seed = c->runner.seed;
    return rc;
}

/* A required backend must be there for a guest of the plan. */
static int check_required(const RunCommand *c, const Plan *p)
{
    int rc = CONF_OK;
    for (size_t i = 0; i < c->require.n; i++) {
        Buf why = {0};
        bool is_there = false, is_known = false;
        for (size_t b = 0; b < p->backends.n; b++) {
            if (strcmp(p->backends.items[b].name, c->require.items[i]) != 0) {
                continue;
            }
            is_known = true;
            for (int g = 1; g < GUEST_COUNT; g++) {
                const PlanOpen *open = &p->backends.items[b].open[g];
                is_there = is_there || open->state == OPEN_OK;
                if (open->state == OPEN_FAILED) {
                    buf_printf(&why, "\n  %s: %s", guest_name((GuestId)g), open->err.text);
                }
            }
        }
        if (!is_there) {
            fprintf(stderr, "conf: required backend `%s` is not available%s%s\n", c->require.items[i],
                    is_known ? ":" : ": no such backend", buf_text(&why));
            rc = CONF_NO_BACKEND;
        }
        buf_free(&why);
    }
    return rc;
}

/* A plugin that opens for no guest because it cannot be loaded, crashes or hangs: said once, before anything is played. */
static int check_plugins(const Plan *p)
{
    int rc = CONF_OK;
    for (size_t b = 0; b < p->backends.n; b++) {
        const PlanBackend *backend = &p->backends.items[b];
        const Err *err = NULL;
        bool is_open = !plugin_path(backend->name);
        for (int g = 1; g < GUEST_COUNT; g++) {
            const PlanOpen *open = &backend->open[g];
            is_open |= open->state == OPEN_OK || (open->state == OPEN_FAILED && open->err.code == ERR_UNSUPPORTED &&
                                                  !plugin_path(open->err.text));
            err = open->state == OPEN_FAILED && !err ? &open->err : err;
        }
        if (!is_open && err) {
            const char *name = plugin_path(err->text) ? "" : backend->name;
            fprintf(stderr, "conf: %s%s%s\n", name, name[0] ? ": " : "", err->text);
            rc = CONF_NO_BACKEND;
        }
    }
    return rc;
}

static void take_result(void *ctx, const Job *job, Result *r)
{
    RunCommand *c = ctx;
    if (c->runner.is_bless) {
        bless_collect(&c->bless, job, r);
    }
    if (c->coverage) {
        cover_result(&c->cover, job, r);
    }
}

static int play(RunCommand *c, const RunHooks *hooks, Runner *runner, Plan *plan)
{
    uint64_t start = os_now_ns();
    int64_t start_ms = os_wall_ms();
    int rc = plan_select(&c->plan, hooks, stderr, plan);
    if (rc) {
        return rc;
    }
    runner_open(runner, plan);
    rc = check_required(c, plan);
    rc = rc ? rc : check_plugins(plan);
    rc = rc ? rc : plan_expand(plan, stderr);
    if (rc) {
        return rc;
    }
    Buf left_out = {0};
    plan_left_out(plan, &left_out);
    c->run.left_out = buf_text(&left_out);
    run_begin(&c->run, plan->jobs.n);
    const char *cut_short = runner_run(runner, plan, hooks, &c->run);
    run_close(&c->run, cut_short, os_now_ns() - start);
    RunHistory *history =
        c->has_history ? run_history_begin(c->history, &c->run, start_ms, c->coverage ? c->cover.c : NULL) : NULL;
    bool is_lost = run_end(&c->run) != 0;
    if (c->has_history && run_history_end(history, &c->run, runner_signal(runner) ? NULL : runner, plan)) {
        is_lost = true;
    }
    c->run.left_out = NULL;
    buf_free(&left_out);
    if (runner_signal(runner)) {
        return runner_signal(runner) == SIGINT ? CONF_SIGINT : CONF_SIGTERM;
    }
    return is_lost ? CONF_INTERNAL : run_status(&c->run);
}

static void command_free(RunCommand *c)
{
    run_free(&c->run);
    VEC_FREE(&c->plan.paths);
    VEC_FREE(&c->plan.tags);
    VEC_FREE(&c->plan.backends);
    VEC_FREE(&c->plan.guests);
    VEC_FREE(&c->require);
}

int run_main(const RunHooks *hooks, int argc, char **argv)
{
    RunCommand c;
    Err err = {0};
    Plan plan = {0};
    Runner *runner = NULL;
    int status = CONF_OK;
    if (parse(&c, argc, argv, &err)) {
        status = cli_usage("run", &err);
        goto out;
    }
    if (c.is_help) {
        fputs(HELP, stdout);
        goto out;
    }
    if (c.runner.is_bless || c.coverage) {
        c.runner.on_result = take_result;
        c.runner.ctx = &c;
    }
    if (runner_start(&c.runner, &runner, &err)) { /* before anything makes this process grow */
        fprintf(stderr, "conf: %s\n", err.text);
        status = CONF_INTERNAL;
        goto out;
    }
    if (c.coverage) {
        cover_begin(&c.cover, &plan);
    }
    status = play(&c, hooks, runner, &plan);
    if (c.runner.is_bless && bless_apply(&c.bless, stdout)) {
        status = CONF_INTERNAL;
    }
    if (c.coverage && cover_save(&c.cover, c.coverage, &err)) {
        fprintf(stderr, "conf: --coverage: %s\n", err.text);
        status = CONF_INTERNAL;
    }
out:
    bless_free(&c.bless);
    cover_free(&c.cover);
    command_free(&c);
    runner_stop(runner);
    plan_free(&plan);
    return status;
}
