/* SPDX-License-Identifier: Apache-2.0
 * cmd_coverage.c - conf coverage: what files of `conf run --coverage` and gcovr's reports come to. The questions `why`, `gaps`
 * and `excluded` are in coverage_ask.c. */
#include "conformance/cover_int.h"

#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "coverage/floor.h"
#include "coverage/gcovr.h"
#include "sim/base/json.h"
#include "sim/base/os.h"

#include <string.h>
#include <time.h>

static const char HELP[] = "usage: conf coverage [OPTION]... FILE...\n"
                           "       conf coverage why [OPTION]... THING FILE...\n"
                           "       conf coverage gaps|excluded [OPTION]... FILE...\n"
                           "Adds up files of `conf run --coverage FILE` and says how much was reached; why:\n"
                           "which scenarios reach a thing; gaps: what nobody reaches, and where to begin;\n"
                           "excluded: what cannot be reached, and so counts in no percentage, and why.\n"
                           "\n"
                           "  -b, --backend B      only this one (repeatable)\n"
                           "      --kind K         only this kind (repeatable)\n"
                           "      --groups         the groups of each kind too\n"
                           "      --gcovr NAME=F   a report of gcovr --json, reached by NAME (repeatable)\n"
                           "  -o, --output F       write all of it as one file\n"
                           "      --json           the summary as JSON\n"
                           "      --cobertura F    write Cobertura's XML\n"
                           "      --lcov F         write lcov's tracefile\n"
                           "      --fail-under L   a limit, KIND[/GROUP][@BACKEND]=PERCENT (repeatable)\n"
                           "      --floor F        limits in a file; what is below is a failure\n"
                           "      --update-floor   raise the limits of that file to what was reached\n"
                           "  -v, --verbose        all scenarios and gaps, not the first ones\n"
                           "  -h, --help\n"
                           "Exit status: 0, 1 below a limit or a rule that is wrong, 2 usage, 3 a file that\n"
                           "cannot be read, 4 why: no such thing, 70 a file that cannot be written.\n";

typedef enum {
    O_BACKEND,
    O_KIND,
    O_GROUPS,
    O_GCOVR,
    O_OUTPUT,
    O_JSON,
    O_COBERTURA,
    O_LCOV,
    O_FAIL_UNDER,
    O_FLOOR,
    O_UPDATE_FLOOR,
    O_VERBOSE,
    O_HELP,
    O_COUNT
} OptionIndex;
static const CliOption OPTIONS[O_COUNT] = {
    [O_BACKEND] = {"backend", 'b', 'r'},
    [O_KIND] = {"kind", 0, 'r'},
    [O_GROUPS] = {"groups", 0, 0},
    [O_GCOVR] = {"gcovr", 0, 'r'},
    [O_OUTPUT] = {"output", 'o', 'r'},
    [O_JSON] = {"json", 0, 0},
    [O_COBERTURA] = {"cobertura", 0, 'r'},
    [O_LCOV] = {"lcov", 0, 'r'},
    [O_FAIL_UNDER] = {"fail-under", 0, 'r'},
    [O_FLOOR] = {"floor", 0, 'r'},
    [O_UPDATE_FLOOR] = {"update-floor", 0, 0},
    [O_VERBOSE] = {"verbose", 'v', 0},
    [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    CoverQuery q;
    Words gcovr;
    CovFloor limits;
    const char *output, *cobertura, *lcov, *floor;
    bool is_json, is_update, is_help, is_why, is_gaps, is_excluded;
} Command;

static int parse_option(Command *c, OptionIndex option, const char *arg, Err *err)
{
    switch (option) {
    case O_BACKEND:
        VEC_PUSH(&c->q.backends, arg);
        break;
    case O_KIND:
        VEC_PUSH(&c->q.kinds, arg);
        break;
    case O_GROUPS:
        c->q.has_groups = true;
        break;
    case O_GCOVR:
        VEC_PUSH(&c->gcovr, arg);
        return strchr(arg, '=') ? 0 : err_set(err, ERR_INVAL, "--gcovr: `%s` is not NAME=FILE", arg);
    case O_OUTPUT:
        c->output = arg;
        break;
    case O_JSON:
        c->is_json = true;
        break;
    case O_COBERTURA:
        c->cobertura = arg;
        break;
    case O_LCOV:
        c->lcov = arg;
        break;
    case O_FAIL_UNDER:
        return floor_add(&c->limits, arg, err);
    case O_FLOOR:
        c->floor = arg;
        break;
    case O_UPDATE_FLOOR:
        c->is_update = true;
        break;
    case O_VERBOSE:
        c->q.is_verbose = true;
        break;
    case O_HELP:
        c->is_help = true;
        break;
    case O_COUNT:
        break;
    }
    return 0;
}

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    bool is_first = true;
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        int rc = 0;
        if (i == CLI_BAD) {
            return -ERR_INVAL;
        }
        if (i != CLI_OPERAND) {
            rc = parse_option(c, (OptionIndex)i, cli.arg, err);
        } else if (is_first && (!strcmp(cli.arg, "why") || !strcmp(cli.arg, "gaps") || !strcmp(cli.arg, "excluded"))) {
            c->is_why = *cli.arg == 'w';
            c->is_gaps = *cli.arg == 'g';
            c->is_excluded = *cli.arg == 'e';
            is_first = false;
        } else if (c->is_why && !c->q.thing) {
            c->q.thing = cli.arg;
        } else {
            VEC_PUSH(&c->q.files, cli.arg);
            is_first = false;
        }
        if (rc) {
            return rc;
        }
    }
    if (c->is_help) {
        return 0;
    }
    if (c->is_why && !c->q.thing) {
        return err_set(err, ERR_INVAL, "why: what? such as `why halt` or `why decode:riscv64 addi`");
    }
    if (!c->q.files.n && !c->gcovr.n) {
        return err_set(err, ERR_INVAL, "no file; `conf run --coverage FILE` makes one");
    }
    return c->is_update && !c->floor ? err_set(err, ERR_INVAL, "--update-floor: which? --floor FILE") : 0;
}

/* ---- reading ---- */
static int add_gcovr(const char *arg, Coverage *into, Err *err)
{
    Buf text = {0};
    const char *equals = strchr(arg, '=');
    char *name = x_strndup(arg, (size_t)(equals - arg));
    int rc = os_read_file(equals + 1, COV_FILE_MAX, &text, err);
    rc = rc ? rc : gcovr_read(equals + 1, text.data, text.n, name, into, err);
    mem_free(name);
    buf_free(&text);
    return rc;
}

static int read_all(const Command *c, Coverage *into, Err *err)
{
    int rc = 0;
    for (size_t i = 0; i < c->q.files.n && !rc; i++) {
        Coverage *one = NULL;
        rc = coverage_load(c->q.files.items[i], &one, err);
        if (!rc && coverage_merge(into, one, err)) {
            err_prefix(err, "%s", c->q.files.items[i]);
            rc = -err->code;
        }
        coverage_free(one);
    }
    for (size_t i = 0; i < c->gcovr.n && !rc; i++) {
        rc = add_gcovr(c->gcovr.items[i], into, err);
    }
    return rc;
}

/* ---- the summary ---- */
bool cover_wants(const Words *words, const char *name)
{
    bool is_wanted = !words->n;
    for (size_t i = 0; i < words->n; i++) {
        is_wanted |= !strcmp(words->items[i], name);
    }
    return is_wanted;
}

static void put_cell(Buf *out, const CovRow *row, unsigned width)
{
    char text[64] = "";
    if (row) {
        snprintf(text, sizeof text, "%llu/%llu %5.1f", (unsigned long long)row->covered, (unsigned long long)row->total,
                 coverage_percent(row));
    }
    buf_printf(out, " %*s", (int)width, text);
}

static const CovRow *cell_of(const CovTally *t, const CovRow *head, const char *backend)
{
    for (size_t i = 0; i < t->rows.n; i++) {
        const CovRow *r = &t->rows.items[i];
        bool is_group = head->group ? r->group && !strcmp(r->group, head->group) : !r->group;
        if (r->kind == head->kind && is_group && r->backend && !strcmp(r->backend, backend)) {
            return r;
        }
    }
    return NULL;
}

static void put_table(const CoverQuery *q, const Coverage *c, const CovMatrix *m, const CovTally *t, Buf *out)
{
    enum { LABEL = 28, CELL = 16 };
    buf_printf(out, "%-*s %*s", LABEL, "reached/there are  %", CELL, "all");
    for (size_t b = 0; b < m->nbackends; b++) {
        if (*m->backends[b] && cover_wants(&q->backends, m->backends[b])) {
            buf_printf(out, " %*s", CELL, m->backends[b]);
        }
    }
    buf_char(out, '\n');
    for (size_t i = 0; i < t->rows.n; i++) {
        const CovRow *row = &t->rows.items[i];
        const char *kind = c->kinds.items[row->kind];
        bool is_code = !strncmp(kind, "c_", 2);
        if (row->backend || (row->group && !q->has_groups && !is_code) || !cover_wants(&q->kinds, kind)) {
            continue;
        }
        buf_printf(out, "%s%-*s", row->group ? "  " : "", row->group ? LABEL - 2 : LABEL,
                   row->group ? row->group : coverage_kind_title(kind));
        put_cell(out, row, CELL);
        for (size_t b = 0; b < m->nbackends && !is_code; b++) {
            if (*m->backends[b] && cover_wants(&q->backends, m->backends[b])) {
                put_cell(out, cell_of(t, row, m->backends[b]), CELL);
            }
        }
        while (out->n && out->data[out->n - 1] == ' ') {
            out->data[--out->n] = 0;
        }
        buf_char(out, '\n');
    }
}

static void put_json(const CoverQuery *q, const Coverage *c, const CovTally *t, const Buf *wrong, Buf *out)
{
    Json j = json_to(out, 2);
    json_open(&j, '{');
    json_ku64(&j, "schema_version", 1);
    json_kstr(&j, "conf_version", CONF_VERSION);
    json_ku64(&j, "runs", c->runs.n);
    json_ku64(&j, "scenarios", c->scenarios.n);
    json_key(&j, "rows");
    json_open(&j, '[');
    for (size_t i = 0; i < t->rows.n; i++) {
        const CovRow *r = &t->rows.items[i];
        char percent[32];
        if (!cover_wants(&q->kinds, c->kinds.items[r->kind]) ||
            (r->backend && !cover_wants(&q->backends, r->backend))) {
            continue;
        }
        json_open(&j, '{');
        json_kstr(&j, "kind", c->kinds.items[r->kind]);
        json_kstr(&j, "title", coverage_kind_title(c->kinds.items[r->kind]));
        json_kstr(&j, "group", r->group);
        json_kstr(&j, "backend", r->backend);
        json_ku64(&j, "total", r->total);
        json_ku64(&j, "covered", r->covered);
        json_ku64(&j, "excluded", r->excluded);
        json_ku64(&j, "unlisted", r->unlisted);
        snprintf(percent, sizeof percent, "%.2f", coverage_percent(r));
        json_kstr(&j, "percent", percent);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_kstr(&j, "wrong_rules", buf_text(wrong));
    json_close(&j, '}');
    buf_char(out, '\n');
}

/* ---- files ---- */
static int put_file(const char *path, Buf *out)
{
    Err err = {0};
    int rc = os_write_file(path, out->data, out->n, &err);
    if (rc) {
        fprintf(stderr, "conf: %s\n", err.text);
    }
    buf_free(out);
    return rc ? CONF_INTERNAL : CONF_OK;
}

static int write_files(const Command *c, const Coverage *all)
{
    int status = CONF_OK;
    Buf out = {0};
    if (c->output) {
        coverage_write(all, &out);
        status = put_file(c->output, &out);
    }
    if (c->cobertura) {
        cobertura_write(all, (uint64_t)time(NULL), &out);
        int rc = put_file(c->cobertura, &out);
        status = status ? status : rc;
    }
    if (c->lcov) {
        lcov_write(all, &out);
        int rc = put_file(c->lcov, &out);
        status = status ? status : rc;
    }
    return status;
}

/* ---- limits ---- */
static int check_floor(const Command *c, const Coverage *all, const CovTally *t)
{
    CovFloor floor;
    Err err = {0};
    Buf out = {0};
    size_t nabsent = 0, nbelow = floor_check(&c->limits, all, t, &out, &nabsent);
    int status = CONF_OK;
    if (nabsent) { /* one that was asked for by name and is not there is a mistake, not a backend that is away */
        buf_printf(&out, "%zu limits of --fail-under are of what these files do not have\n", nabsent);
    }
    if (c->floor && floor_load(c->floor, &floor, &err)) {
        fprintf(stderr, "conf: %s\n", err.text);
        buf_free(&out);
        return CONF_INVALID;
    }
    if (c->floor) {
        size_t nchanged = c->is_update ? floor_raise(&floor, all, t) : 0, naway = 0;
        if (nchanged && floor_save(&floor, c->floor, &err)) {
            fprintf(stderr, "conf: %s\n", err.text);
            status = CONF_INTERNAL;
        }
        nbelow += floor_check(&floor, all, t, &out, &naway);
        fprintf(stderr, "%s: %zu limits, %zu raised, %zu of what these files do not have\n", c->floor, floor.list.n,
                nchanged, naway);
        floor_free(&floor);
    }
    if (out.n) {
        fprintf(stderr, "below the limit:\n%s", buf_text(&out));
    }
    buf_free(&out);
    return status ? status : nbelow || nabsent ? CONF_FAILURES : CONF_OK;
}

static int summary(const Command *c, const Coverage *all)
{
    CovMatrix m;
    CovTally t;
    Buf out = {0}, wrong = {0};
    coverage_matrix(all, &m);
    coverage_tally(all, &m, &t);
    size_t nwrong = coverage_contradictions(all, &wrong);
    if (c->is_json) {
        put_json(&c->q, all, &t, &wrong, &out);
    } else {
        put_table(&c->q, all, &m, &t, &out);
    }
    fputs(buf_text(&out), stdout);
    if (nwrong) {
        fprintf(stderr, "reached, though a rule says that it cannot be:\n%s", buf_text(&wrong));
    }
    int status = check_floor(c, all, &t);
    status = status || !nwrong ? status : CONF_FAILURES;
    buf_free(&out);
    buf_free(&wrong);
    coverage_tally_free(&t);
    coverage_matrix_free(&m);
    return status;
}

static void command_free(Command *c)
{
    VEC_FREE(&c->q.backends);
    VEC_FREE(&c->q.kinds);
    VEC_FREE(&c->q.files);
    VEC_FREE(&c->gcovr);
    floor_free(&c->limits);
}

int cmd_coverage(int argc, char **argv)
{
    Command c = {0};
    Err err = {0};
    int status = CONF_OK;
    Coverage *all = coverage_new();
    if (parse(&c, argc, argv, &err)) {
        status = cli_usage("coverage", &err);
    } else if (c.is_help) {
        fputs(HELP, stdout);
    } else if (read_all(&c, all, &err)) {
        fprintf(stderr, "conf: %s\n", err.text);
        status = CONF_INVALID;
    } else {
        status = write_files(&c, all);
        int rc = c.is_why        ? cover_why(&c.q, all)
                 : c.is_gaps     ? cover_gaps(&c.q, all)
                 : c.is_excluded ? cover_excluded(&c.q, all)
                                 : summary(&c, all);
        status = status ? status : rc;
    }
    coverage_free(all);
    command_free(&c);
    return status;
}
