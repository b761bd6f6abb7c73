/* SPDX-License-Identifier: Apache-2.0
 * write_json.c - the data of the pages: docs/dashboard.md, "The data". */
#include "accel/accel.h"
#include "coverage/dashboard/dashboard.h"
#include "coverage/dashboard/write.h"
#include "sim/base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Text that stands where HTML is read may hold no '<': in JSON it is only ever inside strings. */
static void put_safe(Buf *out, const Buf *json)
{
    for (size_t i = 0; i < json->n; i++) {
        if (json->data[i] == '<') {
            buf_str(out, "\\u003c");
        } else {
            buf_char(out, json->data[i]);
        }
    }
}

static void list_open(Json *j, const char *key)
{
    json_key(j, key);
    json_open(j, '[');
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* A number with all that a reader of charts can use. */
static void put_number(Json *j, double v)
{
    char text[64];
    if (isfinite(v)) {
        snprintf(text, sizeof text, "%.6g", v);
        json_raw(j, text);
    } else {
        json_raw(j, "null");
    }
}

/* Columns: one field of each of n rows, `stride` bytes apart. */
static void put_texts(Json *j, const char *key, const void *first, size_t n, size_t stride)
{
    list_open(j, key);
    for (size_t i = 0; i < n; i++) {
        const char *text;
        memcpy(&text, (const char *)first + i * stride, sizeof text);
        json_str(j, text_or_empty(text));
    }
    json_close(j, ']');
}

static void put_numbers(Json *j, const char *key, const void *first, size_t n, size_t stride)
{
    list_open(j, key);
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, (const char *)first + i * stride, sizeof v);
        json_u64(j, v);
    }
    json_close(j, ']');
}
#define TEXT_COLUMN(j, key, list, field)   put_texts(j, key, &(list).items->field, (list).n, sizeof *(list).items)
#define NUMBER_COLUMN(j, key, list, field) put_numbers(j, key, &(list).items->field, (list).n, sizeof *(list).items)

static void put_pair(Json *j, const uint64_t v[2])
{
    json_u64(j, v[0]);
    json_u64(j, v[1]);
}

static void put_index(Json *j, size_t i)
{
    json_i64(j, i == DASH_NONE ? -1 : (int64_t)i);
}

/* ---- texts that are said once and referred to by number ---- */
typedef struct {
    VEC(const char *) texts;
} Words;

static size_t word_of(Words *w, const char *text)
{
    for (size_t i = w->texts.n; i; i--) { /* the newest first: neighbours say the same */
        if (!strcmp(w->texts.items[i - 1], text)) {
            return i - 1;
        }
    }
    VEC_PUSH(&w->texts, text);
    return w->texts.n - 1;
}

/* ---- cases and results ---- */
static void put_cases(Json *j, const Dash *d)
{
    Words suites = {0}, guests = {0};
    json_key(j, "cases");
    json_open(j, '{');
    list_open(j, "suite");
    for (size_t i = 0; i < d->cases.n; i++) {
        json_u64(j, word_of(&suites, d->cases.items[i].suite));
    }
    json_close(j, ']');
    TEXT_COLUMN(j, "scenario", d->cases, scenario);
    list_open(j, "guest");
    for (size_t i = 0; i < d->cases.n; i++) {
        json_u64(j, word_of(&guests, d->cases.items[i].guest));
    }
    json_close(j, ']');
    list_open(j, "line");
    for (size_t i = 0; i < d->cases.n; i++) {
        json_u64(j, d->cases.items[i].line);
    }
    json_close(j, ']');
    json_close(j, '}');
    put_texts(j, "suites", suites.texts.items, suites.texts.n, sizeof *suites.texts.items);
    put_texts(j, "guests", guests.texts.items, guests.texts.n, sizeof *guests.texts.items);
    VEC_FREE(&suites.texts);
    VEC_FREE(&guests.texts);
}

static void put_grid(Json *j, const Dash *d, const char *key, size_t run)
{
    Buf text = {0};
    for (size_t i = 0; i < d->results.n; i++) {
        char status = run == d->now ? d->results.items[i].status : d->status[i * d->runs.n + run];
        buf_char(&text, status ? status : '.');
    }
    json_kstr(j, key, buf_text(&text));
    buf_free(&text);
}

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_time(Buf *out, uint16_t v)
{
    buf_char(out, DIGITS[v >> 6]);
    buf_char(out, DIGITS[v & 63]);
}

static void put_results(Json *j, const Dash *d)
{
    Buf text = {0};
    json_key(j, "grid");
    json_open(j, '{');
    put_grid(j, d, "now", d->now);
    if (d->status && d->last != DASH_NONE) {
        put_grid(j, d, "last", d->last);
    }
    if (d->status && d->main != DASH_NONE) {
        put_grid(j, d, "main", d->main);
    }
    json_close(j, '}');
    for (size_t i = 0; i < d->results.n; i++) {
        put_time(&text, dash_time(d->results.items[i].duration_ns));
    }
    json_kstr(j, "time", buf_text(&text));
    buf_free(&text);
    Words reasons = {0};
    list_open(j, "why");
    for (size_t i = 0; i < d->results.n; i++) {
        if (d->results.items[i].reason) {
            json_u64(j, i);
            json_u64(j, word_of(&reasons, d->results.items[i].reason));
        }
    }
    json_close(j, ']');
    put_texts(j, "reasons", reasons.texts.items, reasons.texts.n, sizeof *reasons.texts.items);
    VEC_FREE(&reasons.texts);
}

/* ---- runs ---- */
static void put_runs(Json *j, const Dash *d)
{
    static const char LETTERS[] = "PFESxX";
    json_key(j, "runs");
    json_open(j, '{');
    NUMBER_COLUMN(j, "id", d->runs, id);
    list_open(j, "time");
    for (size_t i = 0; i < d->runs.n; i++) {
        json_i64(j, d->runs.items[i].time_ms);
    }
    json_close(j, ']');
    NUMBER_COLUMN(j, "ns", d->runs, duration_ns);
    TEXT_COLUMN(j, "commit", d->runs, commit);
    TEXT_COLUMN(j, "branch", d->runs, branch);
    TEXT_COLUMN(j, "host", d->runs, host);
    TEXT_COLUMN(j, "cut_short", d->runs, cut_short);
    json_key(j, "n");
    json_open(j, '{');
    for (const char *p = LETTERS; *p; p++) {
        NUMBER_COLUMN(j, ((char[]){*p, 0}), d->runs, n[(unsigned char)*p]);
    }
    json_close(j, '}');
    json_close(j, '}');
    json_key(j, "now");
    put_index(j, d->now);
    json_key(j, "last");
    put_index(j, d->status ? d->last : DASH_NONE);
    json_key(j, "main");
    put_index(j, d->status ? d->main : DASH_NONE);
}

static void put_findings(Json *j, const Dash *d)
{
    list_open(j, "flaky");
    for (size_t i = 0; i < d->flaky.n; i++) {
        const DashFlaky *f = &d->flaky.items[i];
        json_open(j, '[');
        json_u64(j, f->c);
        json_u64(j, f->backend);
        json_u64(j, f->nruns);
        json_u64(j, f->nbad);
        json_u64(j, f->nflickers);
        json_u64(j, f->nsame_commit);
        put_number(j, f->rate);
        json_open(j, '[');
        for (size_t k = 0; k < f->nevidence; k++) {
            json_u64(j, f->evidence[k]);
        }
        json_close(j, ']');
        json_close(j, ']');
    }
    json_close(j, ']');
    list_open(j, "changes");
    for (size_t i = 0; i < d->changes.n; i++) {
        const DashChange *c = &d->changes.items[i];
        json_open(j, '[');
        json_u64(j, c->run);
        json_u64(j, c->before);
        json_u64(j, c->backend);
        json_u64(j, c->c);
        json_str(j, (char[]){c->from, 0});
        json_str(j, (char[]){c->to, 0});
        json_close(j, ']');
    }
    json_close(j, ']');
    list_open(j, "trends");
    for (size_t i = 0; i < d->trends.n; i++) {
        const DashTrend *t = &d->trends.items[i];
        json_open(j, '[');
        json_u64(j, t->backend);
        put_index(j, t->c);
        json_u64(j, t->run);
        json_u64(j, t->before);
        put_number(j, t->before_ns);
        put_number(j, t->after_ns);
        put_number(j, t->p);
        json_close(j, ']');
    }
    json_close(j, ']');
}

static void put_bench(Json *j, const Dash *d)
{
    list_open(j, "bench");
    for (size_t i = 0; i < d->bench.n; i++) {
        const DashBench *b = &d->bench.items[i];
        json_open(j, '{');
        json_kstr(j, "name", b->name);
        json_kstr(j, "unit", text_or_empty(b->unit));
        json_kstr(j, "host", text_or_empty(b->host));
        json_kstr(j, "branch", text_or_empty(b->branch));
        json_kbool(j, "more", b->is_more_better);
        list_open(j, "values");
        for (size_t r = 0; r < d->runs.n; r++) {
            put_number(j, b->values[r]);
        }
        json_close(j, ']');
        list_open(j, "steps");
        for (size_t k = 0; k < b->steps.n; k++) {
            const DashStep *step = &b->steps.items[k];
            json_open(j, '[');
            json_u64(j, step->run);
            put_number(j, step->before);
            put_number(j, step->after);
            put_number(j, step->p);
            json_close(j, ']');
        }
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_cover_changes(Json *j, const Dash *d)
{
    list_open(j, "cover_changes");
    for (size_t i = 0; i < d->cover_changes.n; i++) {
        const DashCoverChange *c = &d->cover_changes.items[i];
        json_open(j, '[');
        json_u64(j, c->run);
        json_u64(j, c->before);
        json_str(j, c->kind);
        json_str(j, c->backend);
        put_pair(j, c->covered);
        put_pair(j, c->total);
        for (int side = 0; side < 2; side++) {
            json_u64(j, c->n[side]);
            json_open(j, '[');
            for (size_t k = 0; k < c->nnames[side]; k++) {
                json_str(j, c->names[side][k]);
            }
            json_close(j, ']');
        }
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* ---- coverage ---- */
static void put_kind_at(Json *j, const char *key, const DashKind *k, size_t run)
{
    json_key(j, key);
    if (k->over && run != DASH_NONE && k->over[run] >= 0) {
        json_i64(j, k->over[run]);
    } else {
        json_raw(j, "null");
    }
}

/* One for each run, null where it is not known; null itself without a history. */
static void put_over(Json *j, const char *key, const int64_t *over, size_t n)
{
    json_key(j, key);
    if (!over) {
        json_raw(j, "null");
        return;
    }
    json_open(j, '[');
    for (size_t r = 0; r < n; r++) {
        if (over[r] < 0) {
            json_raw(j, "null");
        } else {
            json_i64(j, over[r]);
        }
    }
    json_close(j, ']');
}

static void put_kinds(Json *j, const Dash *d)
{
    list_open(j, "kinds");
    for (size_t i = 0; i < d->kinds.n; i++) {
        const DashKind *k = &d->kinds.items[i];
        json_open(j, '{');
        json_kstr(j, "name", k->name);
        json_kstr(j, "title", k->title);
        json_ku64(j, "covered", k->covered);
        json_ku64(j, "total", k->total);
        put_kind_at(j, "last", k, d->last);
        put_kind_at(j, "main", k, d->main);
        put_over(j, "over", k->over, d->runs.n);
        put_over(j, "of", k->of, d->runs.n);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_code(Json *j, const Dash *d)
{
    list_open(j, "code");
    for (size_t i = 0; i < d->code.n; i++) {
        const DashCode *c = &d->code.items[i];
        json_open(j, '[');
        json_str(j, c->path);
        put_pair(j, c->lines);
        put_pair(j, c->branches);
        put_pair(j, c->functions);
        json_str(j, c->href);
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* ---- what does not depend on any run: the tables of the waist ---- */
static char verdict_of(const LifeCell *cell)
{
    switch (cell->verdict) {
    case 0:
        return 'a';
    case ERR_BUSY:
        return 'b';
    case ERR_UNSUPPORTED:
        return 'u';
    default:
        return cell->rejected_to == LIFE_STAY ? 's' : 'p';
    }
}

static void put_targets(Json *j, const LifeModel *m, const LifeCell *cell)
{
    uint32_t seen = 0;
    json_open(j, '[');
    for (int i = -1; i < OUT_COUNT && !cell->verdict; i++) {
        uint8_t to = i < 0 ? cell->during : cell->to[i];
        if (to < m->nstates && !(seen & 1u << to)) {
            seen |= 1u << to;
            json_u64(j, to);
        }
    }
    json_close(j, ']');
}

static void put_model(Json *j, const LifeModel *m)
{
    json_open(j, '{');
    json_kstr(j, "name", m->name);
    json_ku64(j, "initial", m->initial);
    list_open(j, "states");
    for (int i = 0; i < m->nstates; i++) {
        json_str(j, m->states[i]);
    }
    json_close(j, ']');
    list_open(j, "ops");
    for (int op = 0; op < LIFE_OP_COUNT; op++) {
        if (m->op_names[op]) {
            json_str(j, m->op_names[op]);
        }
    }
    json_close(j, ']');
    list_open(j, "verdicts"); /* by state: a letter per operation */
    for (int i = 0; i < m->nstates; i++) {
        Buf text = {0};
        for (int op = 0; op < LIFE_OP_COUNT; op++) {
            if (m->op_names[op]) {
                buf_char(&text, verdict_of(&m->cell[i][op]));
            }
        }
        json_str(j, buf_text(&text));
        buf_free(&text);
    }
    json_close(j, ']');
    list_open(j, "to"); /* by state, by operation: the states it may lead to */
    for (int i = 0; i < m->nstates; i++) {
        json_open(j, '[');
        for (int op = 0; op < LIFE_OP_COUNT; op++) {
            if (m->op_names[op]) {
                put_targets(j, m, &m->cell[i][op]);
            }
        }
        json_close(j, ']');
    }
    json_close(j, ']');
    list_open(j, "edges");
    for (int from = 0; from < m->nstates; from++) {
        for (int to = 0; to < m->nstates; to++) {
            if (m->edges[from] & 1u << to) {
                json_open(j, '[');
                json_u64(j, (uint64_t)from);
                json_u64(j, (uint64_t)to);
                json_close(j, ']');
            }
        }
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void put_tables(Json *j)
{
    list_open(j, "lifecycles");
    put_model(j, &life_virtualcpu);
    put_model(j, &life_axvcpu);
    json_close(j, ']');
    list_open(j, "exits");
    for (int e = 0; e < EXIT_COUNT; e++) {
        json_open(j, '[');
        json_str(j, exit_name((ExitKind)e));
        json_close(j, ']');
    }
    json_close(j, ']');
}

void dash_json(const Dash *d, bool is_single, Buf *out)
{
    Buf text = {0};
    Json j = json_to(&text, 0);
    json_open(&j, '{');
    json_ku64(&j, "schema", DASH_SCHEMA);
    json_kstr(&j, "title", d->title ? d->title : "conf");
    json_kstr(&j, "version", CONF_VERSION);
    json_key(&j, "generated");
    json_i64(&j, d->written_ms);
    json_kbool(&j, "single", is_single);
    json_kbool(&j, "has_charts", dash_has_charts());
    json_kbool(&j, "has_coverage", d->items.n != 0);
    put_texts(&j, "backends", d->backends.items, d->backends.n, sizeof *d->backends.items);
    put_cases(&j, d);
    put_results(&j, d);
    put_runs(&j, d);
    put_findings(&j, d);
    put_bench(&j, d);
    put_cover_changes(&j, d);
    put_kinds(&j, d);
    put_code(&j, d);
    put_tables(&j);
    json_close(&j, '}');
    put_safe(out, &text);
    buf_free(&text);
}

void dash_json_coverage(const Dash *d, Buf *out)
{
    Buf text = {0};
    Json j = json_to(&text, 0);
    json_open(&j, '{');
    put_texts(&j, "backends", d->cover_backends.items, d->cover_backends.n, sizeof *d->cover_backends.items);
    put_texts(&j, "scenarios", d->cover_scenarios.items, d->cover_scenarios.n, sizeof *d->cover_scenarios.items);
    list_open(&j, "kinds");
    for (size_t k = 0; k < d->kinds.n; k++) {
        json_open(&j, '{');
        json_kstr(&j, "name", d->kinds.items[k].name);
        json_kstr(&j, "title", d->kinds.items[k].title);
        list_open(&j, "items");
        for (size_t i = 0; i < d->items.n; i++) {
            const DashItem *it = &d->items.items[i];
            if (it->kind != k) {
                continue;
            }
            json_open(&j, '[');
            json_str(&j, text_or_empty(it->group));
            json_str(&j, it->name);
            json_str(&j, it->mask);
            json_open(&j, '[');
            for (size_t b = 0; b < it->nby; b++) {
                json_u64(&j, it->by[b]);
            }
            json_close(&j, ']');
            json_u64(&j, it->nscenarios);
            json_str(&j, text_or_empty(it->reason));
            json_close(&j, ']');
        }
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    put_safe(out, &text);
    buf_free(&text);
}

/* ---- one case ---- */
static void put_trace(Json *j, const DashResult *r)
{
    json_open(j, '[');
    for (size_t i = 0; i < r->ntrace; i++) {
        const DashTrace *t = &r->trace[i];
        json_open(j, '[');
        json_u64(j, !strcmp(t->kind, "exit") ? 0 : !strcmp(t->kind, "op") ? 1 : 2);
        json_u64(j, t->vcpu);
        json_str(j, t->name);
        json_str(j, t->text);
        json_u64(j, t->line);
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* "P120F2": a letter, and how often in a row unless once. */
static void put_row(Buf *out, const char *status, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && status[end] == status[i]) {
            end++;
        }
        buf_char(out, status[i]);
        if (end - i > 1) {
            buf_printf(out, "%zu", end - i);
        }
        i = end;
    }
}

static void put_history(Json *j, const Dash *d, size_t c)
{
    list_open(j, "history");
    for (size_t b = 0; b < d->backends.n && d->status; b++) {
        size_t at = (c * d->backends.n + b) * d->runs.n;
        Buf status = {0}, times = {0};
        bool has_any = false;
        for (size_t r = 0; r < d->runs.n; r++) {
            has_any |= d->status[at + r] != '.';
            put_time(&times, d->time[at + r]);
        }
        if (has_any) {
            put_row(&status, &d->status[at], d->runs.n);
            json_open(j, '[');
            json_u64(j, b);
            json_str(j, buf_text(&status));
            json_str(j, buf_text(&times));
            json_close(j, ']');
        }
        buf_free(&status);
        buf_free(&times);
    }
    json_close(j, ']');
}

void dash_json_case(const Dash *d, size_t c, Buf *out)
{
    Buf text = {0};
    Json j = json_to(&text, 0);
    json_open(&j, '{');
    json_kstr(&j, "suite", d->cases.items[c].suite); /* so that pages notice parts of another writing */
    json_kstr(&j, "scenario", d->cases.items[c].scenario);
    list_open(&j, "results");
    for (size_t b = 0; b < d->backends.n; b++) {
        const DashResult *r = &d->results.items[c * d->backends.n + b];
        if (!r->status) {
            continue;
        }
        json_open(&j, '[');
        json_u64(&j, b);
        json_u64(&j, r->exits);
        json_u64(&j, r->transitions);
        json_hex(&j, r->seed);
        json_str(&j, text_or_empty(r->failure));
        json_str(&j, text_or_empty(r->reproduce));
        put_trace(&j, r);
        json_u64(&j, r->ndropped);
        json_close(&j, ']');
    }
    json_close(&j, ']');
    put_history(&j, d, c);
    json_close(&j, '}');
    put_safe(out, &text);
    buf_free(&text);
}
