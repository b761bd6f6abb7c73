/* SPDX-License-Identifier: Apache-2.0
 * cmd_history.c - conf history: what the database of runs knows. */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/history_cmd.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char HELP[] = "usage: conf history COMMAND [OPTION]... [ARGUMENT]...\n"
                           "Asks the database of runs, which `conf run --history` and `add` fill.\n"
                           "\n"
                           "  add FILE...       a run from reports, coverage, measurements\n"
                           "  merge FROM        the runs of another database that are not here\n"
                           "  list              the runs\n"
                           "  show [RUN]        one run: what was bad in it, its backends, its coverage\n"
                           "  compare A B       two runs, or two ranges FIRST..LAST; exit 1 if something\n"
                           "                    became bad\n"
                           "  when SCENARIO     when its status changed, first and last seen; with\n"
                           "                    --kind K: when an item of coverage came and went\n"
                           "  changes           what became bad or good for good, newest first, and what\n"
                           "                    coverage came and went (--kind K: of this only)\n"
                           "  flaky             what answers differently without a reason, and where\n"
                           "  slowest [N]       the N (20) slowest\n"
                           "  trends            what became slower or faster, noise left out\n"
                           "  bench [NAME]      measurements, and their steps\n"
                           "  prune             deletes runs: --keep N, --before T, --dry-run\n"
                           "  check             reads all of it\n"
                           "\n"
                           "A RUN is a number, last, last~N, a commit or branch:NAME. A SCENARIO may be\n"
                           "a pattern. A time T is 2026-11-26, 2026-11-26T04:27 (UTC) or 30d, 12h ago.\n"
                           "\n"
                           "      --history H   a file or postgresql://...; default CONF_HISTORY, else\n"
                           "                    XDG_STATE_HOME/conf/history.db\n"
                           "      --branch B, --host H, --commit C, --since T, --until T\n"
                           "                    only these runs\n"
                           "      --last N      only the newest N runs\n"
                           "      --suite S, --guest G, --backend B\n"
                           "                    only these results (patterns)\n"
                           "      --time T, --parent C, --job TEXT, --ordinal N\n"
                           "                    add: what else is known of the run (also --branch,\n"
                           "                    --host, --commit)\n"
                           "      --json        for programs\n"
                           "  -v, --verbose     all of it, not only what stands out\n"
                           "  -h, --help\n"
                           "Exit status: 0, 1 compare found something that became bad or check damage,\n"
                           "2 usage, 3 an invalid file, 4 no such run or scenario, 70 the database cannot\n"
                           "be used.\n";

typedef enum {
    O_HISTORY,
    O_JSON,
    O_BRANCH,
    O_HOST,
    O_COMMIT,
    O_SINCE,
    O_UNTIL,
    O_LAST,
    O_SUITE,
    O_GUEST,
    O_BACKEND,
    O_KIND,
    O_TIME,
    O_PARENT,
    O_JOB,
    O_ORDINAL,
    O_KEEP,
    O_BEFORE,
    O_DRY,
    O_VERBOSE,
    O_HELP,
    O_COUNT
} OptionIndex;
static const CliOption OPTIONS[O_COUNT] = {
    [O_HISTORY] = {"history", 0, 'r'}, [O_JSON] = {"json", 0, 0},           [O_BRANCH] = {"branch", 0, 'r'},
    [O_HOST] = {"host", 0, 'r'},       [O_COMMIT] = {"commit", 0, 'r'},     [O_SINCE] = {"since", 0, 'r'},
    [O_UNTIL] = {"until", 0, 'r'},     [O_LAST] = {"last", 0, 'r'},         [O_SUITE] = {"suite", 0, 'r'},
    [O_GUEST] = {"guest", 0, 'r'},     [O_BACKEND] = {"backend", 'b', 'r'}, [O_KIND] = {"kind", 0, 'r'},
    [O_TIME] = {"time", 0, 'r'},       [O_PARENT] = {"parent", 0, 'r'},     [O_JOB] = {"job", 0, 'r'},
    [O_ORDINAL] = {"ordinal", 0, 'r'}, [O_KEEP] = {"keep", 0, 'r'},         [O_BEFORE] = {"before", 0, 'r'},
    [O_DRY] = {"dry-run", 0, 0},       [O_VERBOSE] = {"verbose", 'v', 0},   [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    const char *name;
    HistoryAsk *ask;
    size_t min, max; /* operands */
    bool is_writer;
} Subcommand;
static const Subcommand SUBCOMMANDS[] = {
    {"add", history_cmd_add, 1, 64, true},         {"merge", history_cmd_merge, 1, 1, true},
    {"list", history_cmd_list, 0, 0, false},       {"show", history_cmd_show, 0, 1, false},
    {"compare", history_cmd_compare, 2, 2, false}, {"when", history_cmd_when, 1, 1, false},
    {"changes", history_cmd_changes, 0, 0, false}, {"flaky", history_cmd_flaky, 0, 0, false},
    {"slowest", history_cmd_slowest, 0, 1, false}, {"trends", history_cmd_trends, 0, 0, false},
    {"bench", history_cmd_bench, 0, 1, false},     {"prune", history_cmd_prune, 0, 0, true},
    {"check", history_cmd_check, 0, 0, false},
};

/* ---- times ---- */

static int parse_time(const char *what, const char *text, int64_t *ms, Err *err)
{
    static const char *const FORMATS[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ",
                                          "%Y-%m-%dT%H:%M",     "%Y-%m-%d %H:%M",    "%Y-%m-%d"};
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    if (digits && digits < 7 && strlen(unit) == 1 && strchr("hdw", *unit)) {
        uint64_t n = 0;
        char *number = x_strndup(text, digits);
        int rc = cli_number(what, number, 0, 1000000, &n, err);
        mem_free(number);
        *ms = os_wall_ms() - (int64_t)n * 3600000 * (*unit == 'h' ? 1 : *unit == 'd' ? 24 : 24 * 7);
        return rc;
    }
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, FORMATS[i], &tm);
        if (end && !*end) {
            *ms = (int64_t)timegm(&tm) * 1000;
            return *ms > 0 ? 0 : err_set(err, ERR_INVAL, "%s: `%s` is before 1970", what, text);
        }
    }
    return err_set(err, ERR_INVAL, "%s: `%s` is no time such as 2026-11-26, 2026-11-26T04:27 (UTC) or 30d, 12h ago",
                   what, text);
}

void history_put_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M", &tm)) {
        snprintf(out, 32, "?");
    }
}

void history_put_ns(double ns, char out[32])
{
    static const struct {
        double from;
        const char *unit;
    } UNITS[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (ns >= UNITS[i].from || i + 1 == ARRAY_LEN(UNITS)) {
            double n = ns / UNITS[i].from;
            snprintf(out, 32, "%.*f %s", n < 10 ? 2 : n < 100 ? 1 : 0, n, UNITS[i].unit);
            return;
        }
    }
}

void history_put_commit(const HistoryRun *r, char out[16])
{
    snprintf(out, 16, "%.10s%s", *r->commit ? r->commit : "-", *r->commit && r->is_dirty ? "+" : "");
}

/* ---- JSON ---- */

void history_json_begin(Json *j, Buf *out, const char *key)
{
    *j = json_to(out, 2);
    json_open(j, '{');
    json_ku64(j, "schema_version", 1);
    json_key(j, key);
    json_open(j, '[');
}

void history_json_end(Json *j, Buf *out)
{
    json_close(j, ']');
    json_close(j, '}');
    buf_char(out, '\n');
}

void history_json_real(Json *j, const char *key, double value)
{
    json_key(j, key);
    json_i64(j, 0); /* replaced: the writer has no reals, and knows where commas belong */
    j->out->n--;
    buf_printf(j->out, "%.9g", value);
}

void history_json_case(Json *j, const HistoryView *v, size_t c, size_t backend)
{
    const HistoryCase *k = c == HISTORY_ALL_CASES ? NULL : history_case(v, c);
    json_kstr(j, "suite", k ? k->suite : NULL);
    json_kstr(j, "scenario", k ? k->scenario : NULL);
    json_kstr(j, "guest", k ? k->guest : NULL);
    json_kstr(j, "backend", history_backend(v, backend));
}

void history_json_run(Json *j, const char *key, const HistoryRun *r)
{
    if (key) {
        json_key(j, key);
    }
    json_open(j, '{');
    json_ku64(j, "run", (uint64_t)r->id);
    json_kstr(j, "uid", r->uid);
    json_ku64(j, "time_ms", (uint64_t)r->time_ms);
    json_kstr(j, "commit", r->commit);
    json_kbool(j, "is_dirty", r->is_dirty);
    json_kstr(j, "parent", r->parent);
    json_ku64(j, "ordinal", r->ordinal);
    json_kstr(j, "branch", r->branch);
    json_kstr(j, "host", r->host);
    json_kstr(j, "job", r->job);
    json_kstr(j, "conf_version", r->version);
    json_kstr(j, "cut_short", *r->cut_short ? r->cut_short : NULL);
    json_ku64(j, "duration_ns", r->duration_ns);
    json_key(j, "results");
    json_open(j, '{');
    for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
        json_ku64(j, history_status_name((HistoryStatus)s), r->n[s]);
    }
    json_close(j, '}');
    json_close(j, '}');
}

/* ---- the command line ---- */

static int parse_number(HistoryCommand *c, OptionIndex i, const char *arg, Err *err)
{
    uint64_t n = 0;
    int rc = cli_number(i == O_LAST ? "--last" : i == O_KEEP ? "--keep" : "--ordinal", arg, 1, INT64_MAX, &n, err);
    *(i == O_LAST ? &c->filter.last : i == O_KEEP ? &c->prune.keep : &c->run.ordinal) = n;
    return rc;
}

static int parse_option(HistoryCommand *c, OptionIndex i, const char *arg, Err *err)
{
    const char **texts[O_COUNT] = {
        [O_HISTORY] = &c->where,     [O_BRANCH] = &c->filter.branch,
        [O_HOST] = &c->filter.host,  [O_COMMIT] = &c->filter.commit,
        [O_SUITE] = &c->suite,       [O_GUEST] = &c->guest,
        [O_BACKEND] = &c->backend,   [O_KIND] = &c->kind,
        [O_PARENT] = &c->run.parent, [O_JOB] = &c->run.job,
    };
    if (texts[i]) {
        *texts[i] = arg;
        return 0;
    }
    switch (i) {
    case O_SINCE:
        return parse_time("--since", arg, &c->filter.since_ms, err);
    case O_UNTIL:
        return parse_time("--until", arg, &c->filter.until_ms, err);
    case O_TIME:
        return parse_time("--time", arg, &c->run.time_ms, err);
    case O_BEFORE:
        return parse_time("--before", arg, &c->prune.before_ms, err);
    case O_LAST:
    case O_KEEP:
    case O_ORDINAL:
        return parse_number(c, i, arg, err);
    case O_JSON:
        c->is_json = true;
        break;
    case O_DRY:
        c->prune.is_dry = true;
        break;
    case O_VERBOSE:
        c->is_verbose = true;
        break;
    case O_HELP:
        c->is_help = true;
        break;
    case O_HISTORY:
    case O_BRANCH:
    case O_HOST:
    case O_COMMIT:
    case O_SUITE:
    case O_GUEST:
    case O_BACKEND:
    case O_KIND:
    case O_PARENT:
    case O_JOB:
    case O_COUNT:
        break;
    }
    return 0;
}

static int parse(HistoryCommand *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        if (i == CLI_BAD || (i != CLI_OPERAND && parse_option(c, (OptionIndex)i, cli.arg, err))) {
            return -ERR_INVAL;
        }
        if (i == CLI_OPERAND) {
            VEC_PUSH(&c->words, cli.arg);
        }
    }
    return 0;
}

static const Subcommand *find_subcommand(const HistoryCommand *c, Err *err)
{
    const char *names[ARRAY_LEN(SUBCOMMANDS)];
    const char *word = c->words.n ? c->words.items[0] : NULL;
    if (!word) {
        err_set(err, ERR_INVAL,
                "which question? add, list, show, compare, when, changes, flaky, slowest, trends, bench, ...");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(SUBCOMMANDS); i++) {
        const Subcommand *s = &SUBCOMMANDS[i];
        names[i] = s->name;
        if (!strcmp(s->name, word)) {
            if (c->words.n - 1 < s->min || c->words.n - 1 > s->max) {
                err_set(err, ERR_INVAL, "%s: expected %zu%s%s argument%s, got %zu", word, s->min,
                        s->max > s->min ? " or " : "", s->max > s->min ? s->max > 1 ? "more" : "1" : "",
                        s->max == 1 && s->min == 1 ? "" : "s", c->words.n - 1);
                return NULL;
            }
            return s;
        }
    }
    const char *near = cli_nearest(word, names, ARRAY_LEN(names));
    err_set(err, ERR_INVAL, "unknown question `%s`%s%s%s", word, near ? "; did you mean `" : "", near ? near : "",
            near ? "`?" : "");
    return NULL;
}

static int status_of(int rc)
{
    switch (-rc) {
    case ERR_INVAL:
    case ERR_EXIST:
        return CONF_INVALID;
    case ERR_NOENT:
        return CONF_NOTHING;
    default:
        return CONF_INTERNAL;
    }
}

int history_cmd_view(History *h, const HistoryCommand *c, unsigned what, const char *scenario, HistoryView **out,
                     Err *err)
{
    HistoryRuns runs;
    int rc = history_runs(h, &c->filter, &runs, err);
    if (rc) {
        return rc;
    }
    if (!runs.n) {
        rc = err_set(err, ERR_NOENT, "%s has no such runs", history_where(h));
    }
    HistoryViewOptions o = {
        .runs = &runs, .what = what, .scenario = scenario, .suite = c->suite, .guest = c->guest, .backend = c->backend};
    rc = rc ? rc : history_view(h, &o, out, err);
    history_runs_free(&runs);
    if (!rc && scenario && !history_ncases(*out)) {
        history_view_free(*out);
        rc = err_set(err, ERR_NOENT, "no scenario `%.100s` in these runs", scenario);
    }
    return rc;
}

static int ask(const Subcommand *s, HistoryCommand *c)
{
    History *h = NULL;
    Err err = {0};
    Buf out = {0};
    int rc = history_open(&(HistoryOpen){.where = c->where, .is_reader = !s->is_writer}, &h, &err);
    rc = rc ? rc : s->ask(h, c, &out, &err);
    if (rc < 0) {
        fprintf(stderr, "conf history: %s\n", err.text);
    } else {
        fwrite(buf_text(&out), 1, out.n, stdout);
    }
    buf_free(&out);
    history_close(h);
    return rc < 0 ? status_of(rc) : rc;
}

int cmd_history(int argc, char **argv)
{
    HistoryCommand c = {0};
    Err err = {0};
    const Subcommand *s = NULL;
    int status = CONF_OK;
    if (parse(&c, argc, argv, &err) || (!c.is_help && !(s = find_subcommand(&c, &err)))) {
        status = cli_usage("history", &err);
    } else if (c.is_help) {
        fputs(HELP, stdout);
    } else {
        status = ask(s, &c);
    }
    VEC_FREE(&c.words);
    return status;
}
