/* SPDX-License-Identifier: Apache-2.0
 * cmd_dashboard.c - conf dashboard: gathers reports, history and coverage, and writes the pages. */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "coverage/coverage.h"
#include "coverage/dashboard/dashboard.h"
#include "sim/base/os.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] = "usage: conf dashboard [OPTION]... [REPORT]...\n"
                           "Writes static pages about runs: what passed, what changed, what was covered.\n"
                           "They need no server and no network; open DIR/index.html.\n"
                           "\n"
                           "  REPORT            what `conf run --report trace=FILE` (or json=) wrote\n"
                           "  -o, --output DIR  where to write (default conf-out/dashboard)\n"
                           "      --report FILE the same as REPORT (repeatable)\n"
                           "      --history DB  runs of this history: a file, postgresql://..., or `default`\n"
                           "      --last N      only its newest N runs (default 500)\n"
                           "      --coverage FILE  what `conf run --coverage FILE` wrote (repeatable)\n"
                           "      --gcovr DIR   what gcovr wrote: links to its pages, which are copied\n"
                           "      --title TEXT  instead of \"conf\"\n"
                           "      --single-file everything in index.html\n"
                           "  -h, --help\n"
                           "Exit status: 0 written; 2 usage; 3 a file that cannot be read as what it should\n"
                           "be; 4 nothing to show; 70 the pages could not be written.\n";

enum { O_OUTPUT, O_REPORT, O_HISTORY, O_LAST, O_COVERAGE, O_GCOVR, O_TITLE, O_SINGLE, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {
    [O_OUTPUT] = {"output", 'o', 'r'}, [O_REPORT] = {"report", 0, 'r'},     [O_HISTORY] = {"history", 0, 'r'},
    [O_LAST] = {"last", 0, 'r'},       [O_COVERAGE] = {"coverage", 0, 'r'}, [O_GCOVR] = {"gcovr", 0, 'r'},
    [O_TITLE] = {"title", 0, 'r'},     [O_SINGLE] = {"single-file", 0, 0},  [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    const char *output, *history, *gcovr, *title;
    VEC(const char *) reports, coverage;
    VEC(DashReport *) read;
    uint64_t last;
    bool is_single, is_help;
    Dash *d;
} Command;

enum { GCOVR_MAX = 256 << 20 }; /* bytes of one of its files */

static int parse(Command *x, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    for (int o; (o = cli_next(&cli, err)) != CLI_END;) {
        switch (o) {
        case CLI_BAD:
            return -ERR_INVAL;
        case CLI_OPERAND:
        case O_REPORT:
            VEC_PUSH(&x->reports, cli.arg);
            break;
        case O_OUTPUT:
            x->output = cli.arg;
            break;
        case O_HISTORY:
            x->history = cli.arg;
            break;
        case O_LAST:
            if (cli_number("--last", cli.arg, 1, DASH_RUNS_MAX, &x->last, err)) {
                return -ERR_INVAL;
            }
            break;
        case O_COVERAGE:
            VEC_PUSH(&x->coverage, cli.arg);
            break;
        case O_GCOVR:
            x->gcovr = cli.arg;
            break;
        case O_TITLE:
            x->title = cli.arg;
            break;
        case O_SINGLE:
            x->is_single = true;
            break;
        default:
            x->is_help = true;
        }
    }
    return 0;
}

/* SOURCE_DATE_EPOCH makes pages reproducible: https://reproducible-builds.org/specs/source-date-epoch/ */
static int written_at(Dash *d, Err *err)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;
    if (epoch && *epoch) {
        int rc = cli_number("SOURCE_DATE_EPOCH", epoch, 0, 253402300799u, &seconds, err);
        d->written_ms = (int64_t)seconds * 1000;
        return rc;
    }
    d->written_ms = os_wall_ms();
    return 0;
}

static int read_report(Command *x, const char *path, Err *err)
{
    Buf bytes = {0};
    DashReport *report = NULL;
    int rc = os_read_file(path, DASH_REPORT_MAX, &bytes, err);
    rc = rc ? rc : report_parse(path, bytes.data, bytes.n, &report, err);
    buf_free(&bytes);
    if (!rc) {
        VEC_PUSH(&x->read, report);
    }
    return rc;
}

static int read_coverage(Command *x, Err *err)
{
    Coverage *all = coverage_new();
    int rc = 0;
    for (size_t i = 0; i < x->coverage.n && !rc; i++) {
        Coverage *one = NULL;
        rc = coverage_load(x->coverage.items[i], &one, err);
        rc = rc ? rc : coverage_merge(all, one, err);
        coverage_free(one);
    }
    if (!rc) {
        import_coverage(x->d, all);
    }
    coverage_free(all);
    return rc;
}

/* Files of gcovr's own naming; anything else that lies there is none of ours. */
static bool is_page(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    const char *dot = strrchr(name, '.');
    return !name[n] && name[0] != '.' && dot && (!strcmp(dot, ".html") || !strcmp(dot, ".css") || !strcmp(dot, ".js"));
}

static int copy_page(Command *x, const char *name, Err *err)
{
    Buf from = {0}, to = {0}, bytes = {0};
    buf_printf(&from, "%s/%s", x->gcovr, name);
    buf_printf(&to, "%s/gcovr/%s", x->output, name);
    int rc = os_read_file(buf_text(&from), GCOVR_MAX, &bytes, err);
    rc = rc ? rc : os_write_file(buf_text(&to), bytes.data, bytes.n, err);
    buf_free(&from);
    buf_free(&to);
    buf_free(&bytes);
    return rc;
}

static int copy_gcovr(Command *x, Err *err)
{
    Buf folder = {0};
    buf_printf(&folder, "%s/gcovr", x->output);
    int rc = dash_folder(buf_text(&folder), err);
    DIR *dir = rc ? NULL : opendir(x->gcovr);
    for (const struct dirent *e; dir && !rc && (e = readdir(dir));) {
        rc = is_page(e->d_name) ? copy_page(x, e->d_name, err) : 0;
    }
    if (dir) {
        closedir(dir);
    }
    buf_free(&folder);
    return rc;
}

static int read_gcovr(Command *x, Err *err)
{
    Buf path = {0}, json = {0}, html = {0};
    buf_printf(&path, "%s/index.html", x->gcovr);
    int rc = os_read_file(buf_text(&path), GCOVR_MAX, &html, err);
    buf_clear(&path);
    buf_printf(&path, "%s/summary.json", x->gcovr);
    rc = rc ? rc : os_read_file(buf_text(&path), GCOVR_MAX, &json, err);
    if (rc == -ERR_NOENT) {
        err_prefix(err, "--gcovr needs what `gcovr --html-details %s/index.html --json-summary %s/summary.json` writes",
                   x->gcovr, x->gcovr);
    }
    rc = rc ? rc : import_gcovr(x->d, buf_text(&path), json.data, json.n, html.data, html.n, "gcovr/", err);
    buf_free(&path);
    buf_free(&json);
    buf_free(&html);
    return rc;
}

/* What is covered now is the last point of the trend. */
static void join_trend(Dash *d)
{
    for (size_t i = 0; i < d->kinds.n && d->items.n && d->now != DASH_NONE; i++) {
        DashKind *k = &d->kinds.items[i];
        if (k->over && k->over[d->now] < 0) {
            k->over[d->now] = (int64_t)k->covered;
            k->of[d->now] = (int64_t)k->total;
        }
    }
}

static int gather(Command *x, Err *err)
{
    int rc = written_at(x->d, err);
    for (size_t i = 0; i < x->reports.n && !rc; i++) {
        rc = read_report(x, x->reports.items[i], err);
    }
    if (!rc && x->read.n) {
        rc = import_reports(x->d, x->read.items, x->read.n, err);
    }
    if (!rc && x->coverage.n) {
        rc = read_coverage(x, err);
    }
    if (!rc && x->history) {
        rc = import_history(x->d, strcmp(x->history, "default") ? x->history : NULL, x->last, err);
    }
    if (!rc && x->gcovr) {
        rc = read_gcovr(x, err);
    }
    join_trend(x->d);
    return rc;
}

static int dashboard(Command *x)
{
    Err err = {0};
    x->d = dash_new();
    x->d->title = x->title;
    int rc = gather(x, &err);
    if (rc) {
        fprintf(stderr, "conf dashboard: %s\n", err.text);
        return CONF_INVALID;
    }
    if (!x->d->cases.n && !x->d->kinds.n && !x->d->code.n && !x->d->bench.n) {
        fprintf(stderr, "conf dashboard: nothing to show: neither a report nor a history has a result\n");
        return CONF_NOTHING;
    }
    rc = x->gcovr ? copy_gcovr(x, &err) : 0;
    rc = rc ? rc : dash_write(x->d, x->output, x->is_single, &err);
    if (rc) {
        fprintf(stderr, "conf dashboard: %s\n", err.text);
        return CONF_INTERNAL;
    }
    printf("written: %s/index.html%s\n", x->output,
           dash_has_charts() ? "" : " (without charts: built without libjs-chart.js)");
    return CONF_OK;
}

int dashboard_main(int argc, char **argv)
{
    Command x = {.output = "conf-out/dashboard", .last = 500};
    Err err = {0};
    int status = CONF_OK;
    if (parse(&x, argc, argv, &err)) {
        status = cli_usage("dashboard", &err);
    } else if (x.is_help) {
        fputs(HELP, stdout);
    } else {
        status = dashboard(&x);
    }
    for (size_t i = 0; i < x.read.n; i++) {
        report_free(x.read.items[i]);
    }
    VEC_FREE(&x.read);
    VEC_FREE(&x.reports);
    VEC_FREE(&x.coverage);
    dash_free(x.d);
    return status;
}
