/* SPDX-License-Identifier: Apache-2.0
 * import_report.c - reads the documents of `conf run --report json=` and `trace=`. A report is read whole into a DashReport,
 * then added, so that a bad one changes nothing. */
#include "coverage/dashboard/dashboard.h"
#include "sim/base/json_in.h"

#include <string.h>

typedef struct {
    const char *suite, *scenario, *guest, *backend;
    uint32_t line;
    DashResult r;
} Entry;
struct DashReport {
    Arena *arena;
    VEC(Entry) entries;
    uint64_t duration_ns;
    const char *cut_short;
};

void report_free(DashReport *r)
{
    if (r) {
        VEC_FREE(&r->entries);
        arena_free(r->arena);
        mem_free(r);
    }
}

/* null stands for no text. */
static const char *read_text(JsonIn *j, Arena *arena)
{
    if (json_in_peek(j) == 'n') {
        json_in_skip(j);
        return NULL;
    }
    Buf text = {0};
    json_in_str(j, &text);
    const char *kept = json_in_ok(j) ? arena_strndup(arena, buf_text(&text), text.n) : NULL;
    buf_free(&text);
    return kept;
}

static void read_trace_entry(JsonIn *j, Arena *arena, Buf *key, DashTrace *t)
{
    *t = (DashTrace){.kind = "step", .name = "", .text = ""};
    json_in_open(j, '{');
    while (json_in_key(j, key)) {
        const char *k = buf_text(key);
        if (!strcmp(k, "kind")) {
            t->kind = read_text(j, arena);
        } else if (!strcmp(k, "name")) {
            t->name = read_text(j, arena);
        } else if (!strcmp(k, "text")) {
            t->text = read_text(j, arena);
        } else if (!strcmp(k, "vcpu")) {
            t->vcpu = (uint32_t)json_in_u64(j, 255);
        } else if (!strcmp(k, "line")) {
            t->line = (uint32_t)json_in_u64(j, UINT32_MAX);
        } else {
            json_in_skip(j);
        }
    }
    t->kind = t->kind ? t->kind : "step";
    t->name = t->name ? t->name : "";
    t->text = t->text ? t->text : "";
}

static void read_trace(JsonIn *j, Arena *arena, Buf *key, DashResult *r)
{
    VEC(DashTrace) list = {0};
    json_in_open(j, '[');
    while (json_in_item(j)) {
        DashTrace t;
        if (list.n == DASH_TRACE_MAX) {
            json_in_skip(j);
            r->ndropped++;
            continue;
        }
        read_trace_entry(j, arena, key, &t);
        VEC_PUSH(&list, t);
    }
    if (list.n) {
        r->trace = arena_alloc(arena, list.n * sizeof *list.items);
        memcpy(r->trace, list.items, list.n * sizeof *list.items);
        r->ntrace = list.n;
    }
    VEC_FREE(&list);
}

static char read_status(JsonIn *j)
{
    Buf text = {0};
    json_in_str(j, &text);
    char status = json_in_ok(j) ? dash_status(buf_text(&text)) : 0;
    if (json_in_ok(j) && !status) {
        json_in_fail(j, ERR_INVAL, "`%.40s` is no status; expected passed, failed, error, skipped, xfailed or xpassed",
                     buf_text(&text));
    }
    buf_free(&text);
    return status;
}

static bool read_word(JsonIn *j, const char *key, Arena *arena, Entry *e)
{
    const struct {
        const char *key;
        const char **to;
    } WORDS[] = {{"suite", &e->suite},          {"scenario", &e->scenario}, {"guest", &e->guest},
                 {"backend", &e->backend},      {"reason", &e->r.reason},   {"failure", &e->r.failure},
                 {"reproduce", &e->r.reproduce}};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (!strcmp(WORDS[i].key, key)) {
            *WORDS[i].to = read_text(j, arena);
            return true;
        }
    }
    return false;
}

static bool read_count(JsonIn *j, const char *key, Entry *e)
{
    const struct {
        const char *key;
        uint64_t *to;
    } COUNTS[] = {{"duration_ns", &e->r.duration_ns},
                  {"exits", &e->r.exits},
                  {"transitions", &e->r.transitions},
                  {"seed", &e->r.seed}};
    for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
        if (!strcmp(COUNTS[i].key, key)) {
            *COUNTS[i].to = json_in_u64(j, UINT64_MAX);
            return true;
        }
    }
    return false;
}

static void read_result(JsonIn *j, DashReport *report, Buf *key)
{
    Entry e = {0};
    json_in_open(j, '{');
    while (json_in_key(j, key)) {
        const char *k = buf_text(key);
        if (!strcmp(k, "status")) {
            e.r.status = read_status(j);
        } else if (!strcmp(k, "line")) {
            e.line = (uint32_t)json_in_u64(j, UINT32_MAX);
        } else if (!strcmp(k, "trace")) {
            read_trace(j, report->arena, key, &e.r);
        } else if (!strcmp(k, "trace_dropped")) {
            e.r.ndropped += (size_t)json_in_u64(j, UINT32_MAX);
        } else if (!read_word(j, k, report->arena, &e) && !read_count(j, k, &e)) {
            json_in_skip(j);
        }
    }
    if (!json_in_ok(j)) {
        return;
    }
    if (!e.suite || !e.scenario || !e.guest || !e.backend || !e.r.status) {
        json_in_fail(j, ERR_INVAL, "a result needs suite, scenario, guest, backend and status");
        return;
    }
    VEC_PUSH(&report->entries, e);
}

static void read_summary(JsonIn *j, DashReport *report, Buf *key)
{
    json_in_open(j, '{');
    while (json_in_key(j, key)) {
        if (!strcmp(buf_text(key), "duration_ns")) {
            report->duration_ns = json_in_u64(j, UINT64_MAX);
        } else {
            json_in_skip(j);
        }
    }
}

int report_parse(const char *name, const void *bytes, size_t n, DashReport **out, Err *err)
{
    DashReport *report = x_alloc(sizeof *report);
    Buf key = {0};
    bool has_version = false, has_results = false;
    report->arena = arena_new();
    JsonIn j = json_in(name, bytes, n, err);
    json_in_open(&j, '{');
    while (json_in_key(&j, &key)) {
        const char *k = buf_text(&key);
        if (!strcmp(k, "schema_version")) {
            uint64_t version = json_in_u64(&j, UINT64_MAX);
            has_version = true;
            if (json_in_ok(&j) && version != 1) {
                json_in_fail(&j, ERR_VERSION, "a report of schema_version %llu; this conf reads 1",
                             (unsigned long long)version);
            }
        } else if (!strcmp(k, "summary")) {
            read_summary(&j, report, &key);
        } else if (!strcmp(k, "cut_short")) {
            report->cut_short = read_text(&j, report->arena);
        } else if (!strcmp(k, "results")) {
            has_results = true;
            json_in_open(&j, '[');
            while (json_in_item(&j)) {
                read_result(&j, report, &key);
            }
        } else {
            json_in_skip(&j);
        }
    }
    int rc = json_in_end(&j);
    if (!rc && (!has_version || !has_results)) {
        rc = err_set(err, ERR_INVAL, "%s: no report of conf run: it has no %s", name,
                     has_version ? "results" : "schema_version");
    }
    buf_free(&key);
    if (rc) {
        report_free(report);
        report = NULL;
    }
    *out = report;
    return rc;
}

static const char *keep(Dash *d, const char *text)
{
    return text && *text ? arena_strdup(d->arena, text) : NULL;
}

static void keep_result(Dash *d, const Entry *e, DashResult *to)
{
    *to = e->r;
    to->reason = keep(d, e->r.reason);
    to->failure = keep(d, e->r.failure);
    to->reproduce = keep(d, e->r.reproduce);
    to->trace = e->r.ntrace ? arena_alloc(d->arena, e->r.ntrace * sizeof *to->trace) : NULL;
    for (size_t i = 0; i < e->r.ntrace; i++) {
        const DashTrace *t = &e->r.trace[i];
        to->trace[i] = (DashTrace){.kind = arena_strdup(d->arena, t->kind),
                                   .name = arena_strdup(d->arena, t->name),
                                   .text = arena_strdup(d->arena, t->text),
                                   .vcpu = t->vcpu,
                                   .line = t->line};
    }
}

/* A run of its own, for reports that stand alone. */
static void add_run(Dash *d, DashReport *const *reports, size_t n)
{
    DashRun run = {.id = d->runs.n ? d->runs.items[d->runs.n - 1].id + 1 : 1};
    for (size_t i = 0; i < n; i++) {
        run.duration_ns += reports[i]->duration_ns;
        run.cut_short = run.cut_short ? run.cut_short : keep(d, reports[i]->cut_short);
    }
    for (size_t i = 0; i < d->results.n; i++) {
        run.n[d->results.items[i].status & 127]++;
    }
    VEC_PUSH(&d->runs, run);
    d->now = d->runs.n - 1;
}

int import_reports(Dash *d, DashReport *const *reports, size_t n, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < reports[i]->entries.n; k++) {
            const Entry *e = &reports[i]->entries.items[k];
            size_t c = dash_case(d, e->suite, e->scenario, e->guest);
            d->cases.items[c].line = e->r.status == 'P' || !d->cases.items[c].line ? e->line : d->cases.items[c].line;
            dash_backend(d, e->backend);
        }
    }
    int rc = dash_results(d, err);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < reports[i]->entries.n; k++) {
            const Entry *e = &reports[i]->entries.items[k];
            size_t cell = dash_case(d, e->suite, e->scenario, e->guest) * d->backends.n + dash_backend(d, e->backend);
            keep_result(d, e, &d->results.items[cell]);
        }
    }
    if (!d->runs.n) {
        add_run(d, reports, n);
    }
    return 0;
}
