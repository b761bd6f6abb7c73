/* SPDX-License-Identifier: Apache-2.0
 * history_ask.c - conf history compare, when, changes, flaky, slowest, trends, bench. */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/history_cmd.h"
#include "conformance/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void cell_case(Table *t, const HistoryView *v, size_t c, size_t backend)
{
    const HistoryCase *k = c == HISTORY_ALL_CASES ? NULL : history_case(v, c);
    table_cell(t, "%s%s%s", k ? k->suite : "all scenarios", k ? "::" : "", k ? k->scenario : "");
    table_cell(t, "%s", k ? k->guest : "");
    table_cell(t, "%s", history_backend(v, backend));
}

static void cell_run(Table *t, const HistoryRun *r)
{
    char commit[16];
    history_put_commit(r, commit);
    table_cell(t, "%" PRId64, r->id);
    table_cell(t, "%s", commit);
}

static void json_evidence(Json *j, const char *key, const HistoryRun *r)
{
    json_key(j, key);
    json_open(j, '{');
    json_ku64(j, "run", (uint64_t)r->id);
    json_kstr(j, "commit", r->commit);
    json_ku64(j, "time_ms", (uint64_t)r->time_ms);
    json_close(j, '}');
}

/* ---- changes ---- */

/* The rows that --kind and --backend leave. */
static bool is_asked(const HistoryCommand *c, const HistoryCoverChange *x)
{
    return (!c->kind || !strcmp(c->kind, x->kind)) && (!c->backend || !strcmp(c->backend, x->backend));
}

static void json_covered(Json *j, const HistoryCommand *c, const HistoryRuns *runs, const HistoryCoverChanges *list)
{
    json_key(j, "coverage");
    json_open(j, '[');
    for (size_t i = 0; i < list->n; i++) {
        const HistoryCoverChange *x = &list->items[i];
        if (!is_asked(c, x)) {
            continue;
        }
        json_open(j, '{');
        json_evidence(j, "at", &runs->runs[x->run]);
        json_evidence(j, "before", &runs->runs[x->before]);
        json_kstr(j, "kind", x->kind);
        json_kstr(j, "backend", x->backend);
        json_ku64(j, "covered_before", x->covered[0]);
        json_ku64(j, "total_before", x->total[0]);
        json_ku64(j, "covered_after", x->covered[1]);
        json_ku64(j, "total_after", x->total[1]);
        for (int side = 0; side < 2; side++) {
            json_key(j, side ? "gained" : "lost");
            json_open(j, '[');
            for (size_t k = 0; k < (side ? x->ngained : x->nlost); k++) {
                json_str(j, side ? x->gained[k] : x->lost[k]);
            }
            json_close(j, ']');
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void cell_items(Table *t, const HistoryCommand *c, const char **items, size_t n)
{
    enum { SHOWN = 5 };
    size_t max = c->is_verbose ? n : SHOWN;
    Buf text = {0};
    for (size_t i = 0; i < n && i < max; i++) {
        buf_printf(&text, "%s%s", i ? ", " : "", items[i]);
    }
    if (n > max) {
        buf_printf(&text, " and %zu more", n - max);
    }
    table_cell(t, "%s", buf_text(&text));
    buf_free(&text);
}

static void text_covered(const HistoryCommand *c, const HistoryRuns *runs, const HistoryCoverChanges *list, Buf *out)
{
    Table t = table_new("rlrllrrll", "RUN COMMIT BEFORE COVERAGE BACKEND WAS IS LOST GAINED");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryCoverChange *x = &list->items[i];
        if (!is_asked(c, x)) {
            continue;
        }
        cell_run(&t, &runs->runs[x->run]);
        table_cell(&t, "%" PRId64, runs->runs[x->before].id);
        table_cell(&t, "%s", x->kind);
        table_cell(&t, "%s", *x->backend ? x->backend : "(all)");
        for (int side = 0; side < 2; side++) {
            table_cell(&t, "%" PRIu64 "/%" PRIu64, x->covered[side], x->total[side]);
        }
        cell_items(&t, c, x->lost, x->nlost);
        cell_items(&t, c, x->gained, x->ngained);
    }
    table_end(&t, out);
}

static void put_changes(const HistoryCommand *c, const HistoryView *v, const HistoryChanges *list,
                        const HistoryRuns *runs, const HistoryCoverChanges *cover, Buf *out)
{
    if (c->is_json) {
        Json j;
        history_json_begin(&j, out, "changes");
        for (size_t i = 0; i < list->n; i++) {
            const HistoryChange *x = &list->items[i];
            json_open(&j, '{');
            history_json_case(&j, v, x->c, x->backend);
            json_kstr(&j, "from", history_status_name(x->from));
            json_kstr(&j, "to", history_status_name(x->to));
            json_evidence(&j, "at", history_run(v, x->run));
            json_evidence(&j, "before", history_run(v, x->before));
            json_kstr(&j, "reason", history_reason(v, x->run, x->backend, x->c));
            json_close(&j, '}');
        }
        json_close(&j, ']');
        json_covered(&j, c, runs, cover);
        json_close(&j, '}');
        buf_char(out, '\n');
        return;
    }
    Table t = table_new("rlrlllll", "RUN COMMIT BEFORE CHANGE SCENARIO GUEST BACKEND REASON");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryChange *x = &list->items[i];
        cell_run(&t, history_run(v, x->run));
        table_cell(&t, "%" PRId64, history_run(v, x->before)->id);
        table_cell(&t, "%s > %s", history_status_name(x->from), history_status_name(x->to));
        cell_case(&t, v, x->c, x->backend);
        table_cell(&t, "%s", history_reason(v, x->run, x->backend, x->c));
    }
    table_end(&t, out);
    text_covered(c, runs, cover, out);
}

int history_cmd_changes(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryView *v = NULL;
    HistoryRuns runs = {0};
    HistoryCoverChanges cover = {0};
    HistoryChanges list;
    int rc = history_cmd_view(h, c, HISTORY_REASONS, NULL, &v, err);
    rc = rc ? rc : history_runs(h, &c->filter, &runs, err);
    rc = rc ? rc : history_cover_changes(h, &runs, false, &cover, err);
    if (!rc) {
        history_changes(v, c->is_verbose, &list);
        put_changes(c, v, &list, &runs, &cover, out);
        if (!list.n && !cover.n && !c->is_json) {
            buf_printf(out, "nothing changed for good in %zu runs\n", history_nruns(v));
        }
        history_changes_free(&list);
    }
    history_cover_changes_free(&cover);
    history_runs_free(&runs);
    history_view_free(v);
    return rc;
}

/* ---- compare ---- */

static bool became_bad(const HistoryChanges *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (history_status_is_bad(list->items[i].to) && !history_status_is_bad(list->items[i].from)) {
            return true;
        }
    }
    return false;
}

/* Runs of a view in two ranges: [0, na) and [na, n). */
typedef struct {
    size_t nbad[2], nran[2], ntimes[2];
    double *times[2];
} Sides;

static void look(const HistoryView *v, size_t na, size_t backend, size_t c, Sides *s)
{
    memset(s->nbad, 0, sizeof s->nbad);
    memset(s->nran, 0, sizeof s->nran);
    memset(s->ntimes, 0, sizeof s->ntimes);
    for (size_t r = 0; r < history_nruns(v); r++) {
        HistoryStatus status = history_status(v, r, backend, c);
        int side = r >= na;
        s->nran[side] += history_status_ran(status);
        s->nbad[side] += history_status_is_bad(status);
        if (status == HISTORY_passed) {
            s->times[side][s->ntimes[side]++] = (double)history_duration_ns(v, r, backend, c);
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n ? values[n / 2] : 0;
}

/* A share of bad results that chance alone would hardly turn into the other; few runs can say only all or nothing. */
static bool shares_differ(const Sides *s)
{
    double n0 = (double)s->nran[0], n1 = (double)s->nran[1], b0 = (double)s->nbad[0], b1 = (double)s->nbad[1];
    if (!s->nran[0] || !s->nran[1] || b0 * n1 == b1 * n0) {
        return false;
    }
    bool is_whole = (!s->nbad[0] || s->nbad[0] == s->nran[0]) && (!s->nbad[1] || s->nbad[1] == s->nran[1]);
    double p = (b0 + b1) / (n0 + n1), z = fabs(b0 / n0 - b1 / n1) / sqrt(p * (1 - p) * (1 / n0 + 1 / n1));
    return is_whole || z > 4;
}

typedef struct {
    size_t c, backend;
    Sides sides; /* times are not kept */
    double before, after, p;
    bool is_status, is_time;
} Difference;
typedef VEC(Difference) Differences;

static void find_differences(const HistoryView *v, size_t na, Differences *out)
{
    Sides s = {
        .times = {x_calloc(history_nruns(v) + 1, sizeof(double)), x_calloc(history_nruns(v) + 1, sizeof(double))}};
    double nseries = (double)history_ncases(v) * (double)history_nbackends(v);
    for (size_t c = 0; c < history_ncases(v); c++) {
        for (size_t b = 0; b < history_nbackends(v); b++) {
            look(v, na, b, c, &s);
            double p = s.ntimes[0] && s.ntimes[1]
                           ? history_differ(s.times[0], s.ntimes[0], s.times[1], s.ntimes[1]) * nseries
                           : 1;
            Difference d = {.c = c, .backend = b, .sides = s, .is_status = shares_differ(&s), .p = p < 1 ? p : 1};
            d.before = median(s.times[0], s.ntimes[0]);
            d.after = median(s.times[1], s.ntimes[1]);
            d.is_time = d.p < 0.001 && fabs(log(d.after / d.before)) > log(1.05);
            if (d.is_status || d.is_time) {
                VEC_PUSH(out, d);
            }
        }
    }
    mem_free(s.times[0]);
    mem_free(s.times[1]);
}

static bool is_worse(const Difference *d)
{
    const Sides *s = &d->sides;
    return d->is_status && s->nbad[1] * s->nran[0] > s->nbad[0] * s->nran[1];
}

static void put_differences(const HistoryCommand *c, const HistoryView *v, size_t na, const Differences *list, Buf *out)
{
    if (c->is_json) {
        Json j;
        history_json_begin(&j, out, "differences");
        for (size_t i = 0; i < list->n; i++) {
            const Difference *d = &list->items[i];
            json_open(&j, '{');
            history_json_case(&j, v, d->c, d->backend);
            json_kbool(&j, "is_status", d->is_status);
            json_kbool(&j, "is_time", d->is_time);
            json_ku64(&j, "bad_before", d->sides.nbad[0]);
            json_ku64(&j, "ran_before", d->sides.nran[0]);
            json_ku64(&j, "bad_after", d->sides.nbad[1]);
            json_ku64(&j, "ran_after", d->sides.nran[1]);
            history_json_real(&j, "median_before_ns", d->before);
            history_json_real(&j, "median_after_ns", d->after);
            history_json_real(&j, "p", d->p);
            json_close(&j, '}');
        }
        history_json_end(&j, out);
        return;
    }
    buf_printf(out, "%zu runs against %zu\n", na, history_nruns(v) - na);
    Table t = table_new("rrrrrlll", "BAD - TIME - CHANGE SCENARIO GUEST BACKEND");
    for (size_t i = 0; i < list->n; i++) {
        const Difference *d = &list->items[i];
        char before[32], after[32];
        history_put_ns(d->before, before);
        history_put_ns(d->after, after);
        table_cell(&t, "%zu/%zu", d->sides.nbad[0], d->sides.nran[0]);
        table_cell(&t, "> %zu/%zu", d->sides.nbad[1], d->sides.nran[1]);
        table_cell(&t, "%s", before);
        table_cell(&t, "> %s", after);
        if (d->is_time) {
            table_cell(&t, "%+.1f %%", 100 * (d->after / d->before - 1));
        } else {
            table_cell(&t, "%s", "");
        }
        cell_case(&t, v, d->c, d->backend);
    }
    table_end(&t, out);
    if (!list->n) {
        buf_str(out, "no difference that noise does not explain\n");
    }
}

/* "12", "last~9..last": the runs from the one to the other in the order of time. */
static int find_range(History *h, const char *word, HistoryRuns *all, size_t *from, size_t *end, Err *err)
{
    const char *dots = strstr(word, "..");
    char *first = dots ? x_strndup(word, (size_t)(dots - word)) : x_strdup(word);
    int64_t a = 0, b = 0;
    int rc = history_find_run(h, first, &a, err);
    rc = rc ? rc : history_find_run(h, dots ? dots + 2 : word, &b, err);
    mem_free(first);
    *from = *end = SIZE_MAX;
    for (size_t i = 0; !rc && i < all->n; i++) {
        *from = all->runs[i].id == a ? i : *from;
        *end = all->runs[i].id == b ? i + 1 : *end;
    }
    return rc || (*from != SIZE_MAX && *end != SIZE_MAX && *from < *end)
               ? rc
               : err_set(err, ERR_NOENT, "range `%s`: the second run is not after the first", word);
}

static int compare_two(History *h, const HistoryCommand *c, const HistoryView *v, Buf *out, Err *err)
{
    HistoryChanges list;
    HistoryRun runs[2] = {*history_run(v, 0), *history_run(v, 1)};
    HistoryRuns both = {.runs = runs, .n = 2};
    HistoryCoverChanges cover;
    int rc = history_cover_changes(h, &both, true, &cover, err);
    if (rc) {
        return rc;
    }
    history_compare(v, 0, 1, &list);
    bool is_bad = became_bad(&list);
    put_changes(c, v, &list, &both, &cover, out);
    if (!list.n && !c->is_json) {
        buf_str(out, "no result differs\n");
    }
    history_cover_changes_free(&cover);
    history_changes_free(&list);
    return is_bad ? CONF_FAILURES : CONF_OK;
}

static int compare_ranges(const HistoryCommand *c, const HistoryView *v, size_t na, Buf *out)
{
    Differences list = {0};
    int status = CONF_OK;
    find_differences(v, na, &list);
    put_differences(c, v, na, &list, out);
    for (size_t i = 0; i < list.n; i++) {
        status = is_worse(&list.items[i]) ? CONF_FAILURES : status;
    }
    VEC_FREE(&list);
    return status;
}

int history_cmd_compare(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryRuns all;
    HistoryView *v = NULL;
    size_t from[2] = {0}, end[2] = {0};
    int rc = history_runs(h, &c->filter, &all, err);
    if (rc) {
        return rc;
    }
    rc = find_range(h, c->words.items[1], &all, &from[0], &end[0], err);
    rc = rc ? rc : find_range(h, c->words.items[2], &all, &from[1], &end[1], err);
    size_t na = end[0] - from[0], n = na + (end[1] - from[1]);
    HistoryRuns both = {.runs = x_calloc(rc ? 1 : n, sizeof *both.runs), .n = n};
    for (size_t i = 0; !rc && i < n; i++) {
        both.runs[i] = all.runs[i < na ? from[0] + i : from[1] + i - na];
    }
    for (size_t i = 0; !rc && n > 2 && i < na; i++) {
        if (from[0] + i >= from[1] && from[0] + i < end[1]) {
            rc = err_set(err, ERR_INVAL, "the ranges overlap");
        }
    }
    if (!rc && n == 2 && both.runs[0].id == both.runs[1].id) {
        both.n = n = 1;
    }
    HistoryViewOptions o = {.runs = &both,
                            .what = HISTORY_DURATIONS | (n <= 2 ? HISTORY_REASONS : 0),
                            .suite = c->suite,
                            .guest = c->guest,
                            .backend = c->backend};
    rc = rc ? rc : history_view(h, &o, &v, err);
    mem_free(both.runs);
    history_runs_free(&all);
    if (rc) {
        return rc;
    }
    if (n == 1) {
        buf_str(out,
                c->is_json ? "{\"schema_version\": 1, \"changes\": [], \"coverage\": []}\n" : "it is the same run\n");
    }
    int status = n == 1 ? CONF_OK : n == 2 ? compare_two(h, c, v, out, err) : compare_ranges(c, v, na, out);
    history_view_free(v);
    return status;
}

/* ---- when ---- */

typedef struct {
    size_t first, last; /* runs; SIZE_MAX: never */
    VEC(HistoryChange) changes;
} Seen;

/* Every change of the status, without a judgement. */
static void walk(const HistoryView *v, size_t backend, size_t c, Seen *s)
{
    *s = (Seen){.first = SIZE_MAX, .last = SIZE_MAX};
    for (size_t r = 0; r < history_nruns(v); r++) {
        HistoryStatus status = history_status(v, r, backend, c);
        if (status == HISTORY_absent) {
            continue;
        }
        HistoryStatus was = s->last == SIZE_MAX ? status : history_status(v, s->last, backend, c);
        if (was != status) {
            VEC_PUSH(
                &s->changes,
                (HistoryChange){.run = r, .before = s->last, .backend = backend, .c = c, .from = was, .to = status});
        }
        s->first = s->first == SIZE_MAX ? r : s->first;
        s->last = r;
    }
}

static void when_text(const HistoryCommand *c, const HistoryView *v, size_t backend, size_t k, const Seen *s, Buf *out)
{
    enum { SHOWN = 12 };
    Buf clean = {0};
    const HistoryCase *x = history_case(v, k);
    const HistoryRun *first = history_run(v, s->first), *last = history_run(v, s->last);
    char from[32], to[32], commit[2][16];
    history_put_time(first->time_ms, from);
    history_put_time(last->time_ms, to);
    history_put_commit(first, commit[0]);
    history_put_commit(last, commit[1]);
    text_clean(&clean, x->scenario);
    buf_printf(out, "%s::%s  %s  %s: %s\n", x->suite, buf_text(&clean), x->guest, history_backend(v, backend),
               history_status_name(history_status(v, s->last, backend, k)));
    buf_printf(out, "  first seen  run %" PRId64 "  %s  %s\n", first->id, from, commit[0]);
    size_t hidden = !c->is_verbose && s->changes.n > SHOWN ? s->changes.n - SHOWN : 0;
    if (hidden) {
        buf_printf(out, "  ... %zu earlier changes (-v shows them)\n", hidden);
    }
    for (size_t i = hidden; i < s->changes.n; i++) {
        const HistoryChange *y = &s->changes.items[i];
        const HistoryRun *at = history_run(v, y->run), *before = history_run(v, y->before);
        history_put_commit(before, commit[0]);
        history_put_commit(at, commit[1]);
        buf_printf(out, "  run %" PRId64 " %s > run %" PRId64 " %s  %s > %s", before->id, commit[0], at->id, commit[1],
                   history_status_name(y->from), history_status_name(y->to));
        buf_clear(&clean);
        text_clean(&clean, history_reason(v, y->run, backend, k));
        buf_printf(out, "%s%s\n", clean.n ? "  " : "", buf_text(&clean));
    }
    buf_printf(out, "  last seen   run %" PRId64 "  %s\n", last->id, to);
    buf_free(&clean);
}

static void when_json(Json *j, const HistoryView *v, size_t backend, size_t k, const Seen *s)
{
    json_open(j, '{');
    history_json_case(j, v, k, backend);
    json_kstr(j, "status", history_status_name(history_status(v, s->last, backend, k)));
    json_evidence(j, "first_seen", history_run(v, s->first));
    json_evidence(j, "last_seen", history_run(v, s->last));
    json_key(j, "changes");
    json_open(j, '[');
    for (size_t i = 0; i < s->changes.n; i++) {
        const HistoryChange *y = &s->changes.items[i];
        json_open(j, '{');
        json_evidence(j, "before", history_run(v, y->before));
        json_evidence(j, "at", history_run(v, y->run));
        json_kstr(j, "from", history_status_name(y->from));
        json_kstr(j, "to", history_status_name(y->to));
        json_kstr(j, "reason", history_reason(v, y->run, backend, k));
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

static bool has_item(const HistoryItems *items, const char *name)
{
    size_t low = 0, high = items->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(items->items[mid], name);
        if (!order) {
            return true;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

/* When an item of coverage came and went: in runs that looked at its kind. */
static int when_item(History *h, const HistoryCommand *c, const char *name, Buf *out, Err *err)
{
    HistoryRuns runs;
    HistoryCoverageRows rows = {0};
    int rc = history_runs(h, &c->filter, &runs, err);
    if (rc) {
        return rc;
    }
    rc = history_coverage(h, &runs, &rows, err);
    Table t = table_new("rlll", "RUN COMMIT TIME ITEM");
    Json j;
    int was = -1; /* -1: no run has looked so far */
    if (c->is_json) {
        history_json_begin(&j, out, "changes");
    }
    for (size_t i = 0, k = 0; !rc && i < runs.n; i++) {
        bool is_looked = false;
        for (; k < rows.n && rows.rows[k].run == runs.runs[i].id; k++) {
            is_looked |=
                !strcmp(rows.rows[k].kind, c->kind) && (!c->backend || !strcmp(rows.rows[k].backend, c->backend));
        }
        HistoryItems items = {0};
        rc = is_looked ? history_items(h, runs.runs[i].id, c->kind, c->backend, &items, err) : 0;
        int is = !rc && has_item(&items, name);
        if (!rc && is_looked && is != was) {
            char time[32];
            const char *word = is ? "covered" : was < 0 ? "not covered" : "no longer covered";
            history_put_time(runs.runs[i].time_ms, time);
            if (c->is_json) {
                json_open(&j, '{');
                json_evidence(&j, "at", &runs.runs[i]);
                json_kbool(&j, "is_covered", is);
                json_close(&j, '}');
            }
            cell_run(&t, &runs.runs[i]);
            table_cell(&t, "%s", time);
            table_cell(&t, "%s", word);
            was = is;
        }
        history_items_free(&items);
    }
    Buf table = {0};
    table_end(&t, &table);
    if (!rc && was < 0) {
        rc = err_set(err, ERR_NOENT, "no run has coverage of the kind `%.60s`", c->kind);
    } else if (!rc && c->is_json) {
        history_json_end(&j, out);
    } else if (!rc) {
        buf_bytes(out, buf_text(&table), table.n);
    }
    buf_free(&table);
    history_coverage_free(&rows);
    history_runs_free(&runs);
    return rc;
}

int history_cmd_when(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryView *v = NULL;
    Json j;
    const char *name = c->words.items[1], *mark = strstr(name, "::"); /* FILE::NAME, as conf run has it */
    HistoryCommand narrow = *c;
    char *suite = mark ? x_strndup(name, (size_t)(mark - name)) : NULL;
    narrow.suite = mark ? suite : c->suite;
    int rc = c->kind ? when_item(h, c, name, out, err)
                     : history_cmd_view(h, &narrow, HISTORY_REASONS, mark ? mark + 2 : name, &v, err);
    mem_free(suite);
    if (rc || c->kind) {
        return rc;
    }
    if (c->is_json) {
        history_json_begin(&j, out, "cases");
    }
    for (size_t k = 0; k < history_ncases(v); k++) {
        for (size_t b = 0; b < history_nbackends(v); b++) {
            Seen s;
            walk(v, b, k, &s);
            if (s.first != SIZE_MAX && c->is_json) {
                when_json(&j, v, b, k, &s);
            } else if (s.first != SIZE_MAX) {
                when_text(c, v, b, k, &s, out);
            }
            VEC_FREE(&s.changes);
        }
    }
    if (c->is_json) {
        history_json_end(&j, out);
    }
    history_view_free(v);
    return CONF_OK;
}

/* ---- flaky ---- */

static void flaky_json(const HistoryView *v, const HistoryFlakies *list, Buf *out)
{
    Json j;
    history_json_begin(&j, out, "flaky");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryFlaky *f = &list->items[i];
        json_open(&j, '{');
        history_json_case(&j, v, f->c, f->backend);
        history_json_real(&j, "rate", f->rate);
        json_ku64(&j, "runs", f->nruns);
        json_ku64(&j, "bad", f->nbad);
        json_ku64(&j, "flickers", f->nflickers);
        json_ku64(&j, "same_commit", f->nsame_commit);
        json_ku64(&j, "retries", f->nretries);
        json_key(&j, "evidence");
        json_open(&j, '[');
        for (size_t k = 0; k < f->nevidence; k++) {
            json_open(&j, '{');
            json_evidence(&j, "at", history_run(v, f->evidence[k]));
            json_kstr(&j, "status", history_status_name(history_status(v, f->evidence[k], f->backend, f->c)));
            json_kstr(&j, "reason", history_reason(v, f->evidence[k], f->backend, f->c));
            json_close(&j, '}');
        }
        json_close(&j, ']');
        json_close(&j, '}');
    }
    history_json_end(&j, out);
}

static void flaky_text(const HistoryCommand *c, const HistoryView *v, const HistoryFlakies *list, Buf *out)
{
    Table t = table_new("rrrrrllll", "RATE BAD FLICKERS SAME-COMMIT RETRIES SCENARIO GUEST BACKEND LATELY");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryFlaky *f = &list->items[i];
        Buf runs = {0};
        for (size_t k = c->is_verbose || f->nevidence < 3 ? 0 : f->nevidence - 3; k < f->nevidence; k++) {
            buf_printf(&runs, "%s%" PRId64,
                       runs.n         ? ", "
                       : f->nevidence ? "in run "
                                      : "",
                       history_run(v, f->evidence[k])->id);
        }
        if (f->nevidence) {
            size_t last = f->evidence[f->nevidence - 1];
            const char *reason = history_reason(v, last, f->backend, f->c);
            buf_printf(&runs, "%s%s", *reason ? ": " : "", reason);
        }
        table_cell(&t, "%.1f %%", 100 * f->rate);
        table_cell(&t, "%zu/%zu", f->nbad, f->nruns);
        table_cell(&t, "%zu", f->nflickers);
        table_cell(&t, "%zu", f->nsame_commit);
        table_cell(&t, "%" PRIu64, f->nretries);
        cell_case(&t, v, f->c, f->backend);
        table_cell(&t, "%s", buf_text(&runs));
        buf_free(&runs);
    }
    table_end(&t, out);
    if (!list->n) {
        buf_printf(out, "nothing is flaky in %zu runs\n", history_nruns(v));
    }
}

int history_cmd_flaky(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryView *v = NULL;
    HistoryFlakies list;
    int rc = history_cmd_view(h, c, HISTORY_REASONS | HISTORY_COUNTS, NULL, &v, err);
    if (rc) {
        return rc;
    }
    history_flaky(v, &list);
    if (c->is_json) {
        flaky_json(v, &list, out);
    } else {
        flaky_text(c, v, &list, out);
    }
    history_flaky_free(&list);
    history_view_free(v);
    return CONF_OK;
}

/* ---- times ---- */

int history_cmd_slowest(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryView *v = NULL;
    HistorySlowest list;
    HistoryCommand few = *c;
    uint64_t n = 20;
    if (c->words.n > 1 && cli_number("slowest", c->words.items[1], 1, 1000000, &n, err)) {
        return cli_usage("history", err);
    }
    few.filter.last = c->filter.last ? c->filter.last : 20;
    int rc = history_cmd_view(h, &few, HISTORY_DURATIONS, NULL, &v, err);
    if (rc) {
        return rc;
    }
    history_slowest(v, n, &list);
    if (c->is_json) {
        Json j;
        history_json_begin(&j, out, "slowest");
        for (size_t i = 0; i < list.n; i++) {
            json_open(&j, '{');
            history_json_case(&j, v, list.items[i].c, list.items[i].backend);
            json_ku64(&j, "median_ns", list.items[i].median_ns);
            json_ku64(&j, "max_ns", list.items[i].max_ns);
            json_ku64(&j, "runs", list.items[i].nruns);
            json_close(&j, '}');
        }
        history_json_end(&j, out);
    } else {
        Table t = table_new("rrrlll", "MEDIAN MAX RUNS SCENARIO GUEST BACKEND");
        for (size_t i = 0; i < list.n; i++) {
            char middle[32], most[32];
            history_put_ns((double)list.items[i].median_ns, middle);
            history_put_ns((double)list.items[i].max_ns, most);
            table_cell(&t, "%s", middle);
            table_cell(&t, "%s", most);
            table_cell(&t, "%zu", list.items[i].nruns);
            cell_case(&t, v, list.items[i].c, list.items[i].backend);
        }
        table_end(&t, out);
    }
    history_slowest_free(&list);
    history_view_free(v);
    return CONF_OK;
}

static void trends_json(const HistoryView *v, const HistoryTrends *list, Buf *out)
{
    Json j;
    history_json_begin(&j, out, "trends");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryTrend *x = &list->items[i];
        json_open(&j, '{');
        history_json_case(&j, v, x->c, x->backend);
        history_json_real(&j, "change", x->after_ns / x->before_ns - 1);
        history_json_real(&j, "before_ns", x->before_ns);
        history_json_real(&j, "after_ns", x->after_ns);
        history_json_real(&j, "p", x->p);
        json_evidence(&j, "at", history_run(v, x->run));
        json_evidence(&j, "before", history_run(v, x->before));
        json_close(&j, '}');
    }
    history_json_end(&j, out);
}

static void trends_text(const HistoryView *v, const HistoryTrends *list, Buf *out)
{
    Table t = table_new("rrrrlrlll", "CHANGE FROM TO RUN COMMIT BEFORE SCENARIO GUEST BACKEND");
    for (size_t i = 0; i < list->n; i++) {
        const HistoryTrend *x = &list->items[i];
        char from[32] = "", to[32] = "";
        if (x->c != HISTORY_ALL_CASES) {
            history_put_ns(x->before_ns, from);
            history_put_ns(x->after_ns, to);
        }
        table_cell(&t, "%+.1f %%", 100 * (x->after_ns / x->before_ns - 1));
        table_cell(&t, "%s", from);
        table_cell(&t, "%s", to);
        cell_run(&t, history_run(v, x->run));
        table_cell(&t, "%" PRId64, history_run(v, x->before)->id);
        cell_case(&t, v, x->c, x->backend);
    }
    table_end(&t, out);
    if (!list->n) {
        buf_printf(out, "no step that noise does not explain in %zu runs\n", history_nruns(v));
    }
}

int history_cmd_trends(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryView *v = NULL;
    HistoryTrends list;
    int rc = history_cmd_view(h, c, HISTORY_DURATIONS, NULL, &v, err);
    if (rc) {
        return rc;
    }
    history_trends(v, NULL, &list);
    if (c->is_json) {
        trends_json(v, &list, out);
    } else {
        trends_text(v, &list, out);
    }
    history_trends_free(&list);
    history_view_free(v);
    return CONF_OK;
}

/* ---- bench ---- */

enum { STEPS_MAX = 16 };
typedef struct {
    const HistoryBenchRow *rows; /* of one name, host and branch, oldest first */
    size_t n, nsteps;
    double *values;
    HistoryStep steps[STEPS_MAX];
} Measured;

static void bench_text(const HistoryRuns *runs, const Measured *m, Table *t)
{
    const HistoryBenchRow *last = &m->rows[m->n - 1];
    const HistoryStep *step = m->nsteps ? &m->steps[m->nsteps - 1] : NULL;
    double *sorted = x_calloc(m->n, sizeof *sorted);
    memcpy(sorted, m->values, m->n * sizeof *sorted);
    table_cell(t, "%s", last->name);
    table_cell(t, "%s", last->host);
    table_cell(t, "%s", *last->branch ? last->branch : "-");
    table_cell(t, "%.5g", last->value);
    table_cell(t, "%.5g", median(sorted, m->n));
    table_cell(t, "%s", last->unit);
    table_cell(t, "%zu", m->n);
    mem_free(sorted);
    if (step) {
        bool is_more = step->after > step->before;
        table_cell(t, "%+.1f %% in run %" PRId64 ", %s", 100 * (step->after / step->before - 1),
                   runs->runs[m->rows[step->at].place].id,
                   is_more == (last->direction == HISTORY_MORE_IS_BETTER) ? "better" : "worse");
    } else {
        table_cell(t, "%s", "");
    }
}

static void bench_json(const HistoryRuns *runs, const Measured *m, Json *j)
{
    const HistoryBenchRow *last = &m->rows[m->n - 1];
    json_open(j, '{');
    json_kstr(j, "name", last->name);
    json_kstr(j, "host", last->host);
    json_kstr(j, "branch", last->branch);
    json_kstr(j, "unit", last->unit);
    json_kstr(j, "better", last->direction == HISTORY_MORE_IS_BETTER ? "more" : "less");
    json_key(j, "values");
    json_open(j, '[');
    for (size_t i = 0; i < m->n; i++) {
        json_open(j, '{');
        json_ku64(j, "run", (uint64_t)m->rows[i].run);
        history_json_real(j, "value", m->values[i]);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_key(j, "steps");
    json_open(j, '[');
    for (size_t i = 0; i < m->nsteps; i++) {
        json_open(j, '{');
        json_evidence(j, "at", &runs->runs[m->rows[m->steps[i].at].place]);
        history_json_real(j, "before", m->steps[i].before);
        history_json_real(j, "after", m->steps[i].after);
        history_json_real(j, "p", m->steps[i].p);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

int history_cmd_bench(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryRuns runs;
    HistoryBenchRows rows = {0};
    const char *name = c->words.n > 1 ? c->words.items[1] : NULL;
    int rc = history_runs(h, &c->filter, &runs, err);
    if (rc) {
        return rc;
    }
    rc = history_bench(h, &runs, &rows, err);
    size_t nseries = 0;
    for (size_t i = 0; i < rows.n; i++) {
        nseries += !i || !history_bench_is_one_series(&rows.rows[i], &rows.rows[i - 1]);
    }
    double *values = x_calloc(rows.n + 1, sizeof *values);
    Table t = table_new("lllrrlrl", "NAME HOST BRANCH LAST MEDIAN UNIT RUNS STEP");
    Json j;
    if (c->is_json) {
        history_json_begin(&j, out, "bench");
    }
    for (size_t i = 0, end; !rc && i < rows.n; i = end) {
        Measured m = {.rows = rows.rows + i, .values = values};
        for (end = i; end < rows.n && history_bench_is_one_series(&rows.rows[end], &rows.rows[i]); end++) {
            values[m.n++] = rows.rows[end].value;
        }
        if (name && !strstr(m.rows->name, name)) {
            continue;
        }
        m.nsteps = history_steps(values, m.n, &(HistoryStepOptions){.nseries = nseries}, m.steps, STEPS_MAX);
        m.nsteps = m.nsteps > STEPS_MAX ? STEPS_MAX : m.nsteps;
        if (c->is_json) {
            bench_json(&runs, &m, &j);
        } else {
            bench_text(&runs, &m, &t);
        }
    }
    if (c->is_json) {
        history_json_end(&j, out);
    }
    table_end(&t, out);
    if (!rc && !rows.n && !c->is_json) {
        buf_str(out, "no measurements in these runs\n");
    }
    mem_free(values);
    history_bench_free(&rows);
    history_runs_free(&runs);
    return rc;
}
