/* SPDX-License-Identifier: Apache-2.0
 * file.c - reads what a run came to from JSON. Unknown keys are passed over: reports get new ones without a new version. */
#include "coverage/history/history_int.h"
#include "sim/base/hash.h"
#include "sim/base/json_in.h"

enum { MAX_RESULTS = 4000000, MAX_ITEMS = 8000000 };

typedef struct {
    size_t from, n; /* of the items */
} ItemRange;
struct HistoryFile {
    Arena *arena;
    Sha256 digest;
    char uid[65];
    HistoryAdd add;
    Names texts; /* names occur again and again: each once */
    VEC(const char *) kept;
    VEC(HistoryResult) results;
    VEC(HistoryBackend) backends;
    VEC(HistoryCoverage) coverage;
    VEC(ItemRange) ranges; /* by coverage */
    VEC(const char *) items;
    VEC(HistoryBench) bench;
};
typedef struct {
    HistoryFile *f;
    JsonIn *j;
    Buf key, text;
} Reading;

HistoryFile *history_file_new(void)
{
    HistoryFile *f = x_alloc(sizeof *f);
    f->arena = arena_new();
    sha256_init(&f->digest);
    return f;
}

void history_file_free(HistoryFile *f)
{
    if (f) {
        arena_free(f->arena);
        names_free(&f->texts);
        VEC_FREE(&f->kept);
        VEC_FREE(&f->results);
        VEC_FREE(&f->backends);
        VEC_FREE(&f->coverage);
        VEC_FREE(&f->ranges);
        VEC_FREE(&f->items);
        VEC_FREE(&f->bench);
        mem_free(f);
    }
}

static bool is_key(const Reading *r, const char *name)
{
    return !strcmp(buf_text(&r->key), name);
}

/* A string or null, kept. */
static const char *read_text(Reading *r)
{
    if (json_in_peek(r->j) == 'n') {
        json_in_skip(r->j);
        return "";
    }
    json_in_str(r->j, &r->text);
    if (!json_in_ok(r->j)) {
        return "";
    }
    const int64_t *at = names_find(&r->f->texts, buf_text(&r->text), r->text.n);
    if (at) {
        return r->f->kept.items[*at];
    }
    const char *copy = names_add(&r->f->texts, buf_text(&r->text), r->text.n, (int64_t)r->f->kept.n);
    VEC_PUSH(&r->f->kept, copy);
    return copy;
}

static uint64_t read_number(Reading *r)
{
    return json_in_u64(r->j, UINT64_MAX);
}

/* ---- results ---- */

static void read_status(Reading *r, HistoryResult *out)
{
    const char *word = read_text(r);
    int status = json_in_ok(r->j) ? history_status_parse(word) : HISTORY_passed;
    if (status <= HISTORY_absent) {
        json_in_fail(r->j, ERR_INVAL,
                     "`%.40s` is no status; expected passed, failed, error, skipped, xfailed or xpassed", word);
        status = HISTORY_passed;
    }
    out->status = (HistoryStatus)status;
}

static void read_result(Reading *r)
{
    HistoryResult out = {.suite = "", .guest = ""};
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "suite")) {
            out.suite = read_text(r);
        } else if (is_key(r, "scenario")) {
            out.scenario = read_text(r);
        } else if (is_key(r, "guest")) {
            out.guest = read_text(r);
        } else if (is_key(r, "backend")) {
            out.backend = read_text(r);
        } else if (is_key(r, "status")) {
            read_status(r, &out);
        } else if (is_key(r, "reason")) {
            out.reason = read_text(r);
        } else if (is_key(r, "line")) {
            out.line = (uint32_t)json_in_u64(r->j, UINT32_MAX);
        } else if (is_key(r, "duration_ns")) {
            out.duration_ns = read_number(r);
        } else if (is_key(r, "exits")) {
            out.exits = read_number(r);
        } else if (is_key(r, "transitions")) {
            out.transitions = read_number(r);
        } else if (is_key(r, "retries")) {
            out.retries = (uint32_t)json_in_u64(r->j, UINT32_MAX);
        } else {
            json_in_skip(r->j);
        }
    }
    if (json_in_ok(r->j) &&
        (!out.scenario || !*out.scenario || !out.backend || !*out.backend || out.status == HISTORY_absent)) {
        json_in_fail(r->j, ERR_INVAL, "a result needs scenario, backend and status");
    } else if (json_in_ok(r->j) && r->f->results.n >= MAX_RESULTS) {
        json_in_fail(r->j, ERR_LIMIT, "more than %d results", MAX_RESULTS);
    } else if (json_in_ok(r->j)) {
        VEC_PUSH(&r->f->results, out);
    }
}

/* ---- the rest ---- */

static void read_backend(Reading *r)
{
    HistoryBackend out = {0};
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "name")) {
            out.name = read_text(r);
        } else if (is_key(r, "version")) {
            out.version = read_text(r);
        } else {
            json_in_skip(r->j);
        }
    }
    if (json_in_ok(r->j) && !out.name) {
        json_in_fail(r->j, ERR_INVAL, "a backend needs a name");
    } else if (json_in_ok(r->j)) {
        VEC_PUSH(&r->f->backends, out);
    }
}

static void read_items(Reading *r)
{
    json_in_open(r->j, '[');
    while (json_in_item(r->j)) {
        if (r->f->items.n >= MAX_ITEMS) {
            json_in_fail(r->j, ERR_LIMIT, "more than %d covered items", MAX_ITEMS);
            return;
        }
        const char *item = read_text(r);
        VEC_PUSH(&r->f->items, item);
    }
}

static void read_coverage(Reading *r)
{
    HistoryCoverage out = {.backend = ""};
    ItemRange range = {.from = r->f->items.n};
    bool has_covered = false;
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "kind")) {
            out.kind = read_text(r);
        } else if (is_key(r, "backend")) {
            out.backend = read_text(r);
        } else if (is_key(r, "covered")) {
            out.covered = json_in_u64(r->j, INT64_MAX);
            has_covered = true;
        } else if (is_key(r, "total")) {
            out.total = json_in_u64(r->j, INT64_MAX);
        } else if (is_key(r, "items")) {
            read_items(r);
        } else {
            json_in_skip(r->j);
        }
    }
    range.n = r->f->items.n - range.from;
    out.covered = has_covered ? out.covered : range.n;
    if (json_in_ok(r->j) && !out.kind) {
        json_in_fail(r->j, ERR_INVAL, "coverage needs a kind");
    } else if (json_in_ok(r->j)) {
        VEC_PUSH(&r->f->coverage, out);
        VEC_PUSH(&r->f->ranges, range);
    }
}

static void read_direction(Reading *r, HistoryBench *out)
{
    const char *word = read_text(r);
    if (!strcmp(word, "more")) {
        out->direction = HISTORY_MORE_IS_BETTER;
    } else if (json_in_ok(r->j) && strcmp(word, "less") != 0) {
        json_in_fail(r->j, ERR_INVAL, "`%.40s` is no direction; expected less or more (which is better)", word);
    }
}

static void read_bench(Reading *r)
{
    HistoryBench out = {.unit = ""};
    bool has_value = false;
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "name")) {
            out.name = read_text(r);
        } else if (is_key(r, "value")) {
            out.value = json_in_number(r->j);
            has_value = true;
        } else if (is_key(r, "unit")) {
            out.unit = read_text(r);
        } else if (is_key(r, "better")) {
            read_direction(r, &out);
        } else {
            json_in_skip(r->j);
        }
    }
    if (json_in_ok(r->j) && (!out.name || !has_value)) {
        json_in_fail(r->j, ERR_INVAL, "a measurement needs a name and a value");
    } else if (json_in_ok(r->j)) {
        VEC_PUSH(&r->f->bench, out);
    }
}

static void read_run(Reading *r)
{
    HistoryRun *run = &r->f->add.run;
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "commit")) {
            run->commit = read_text(r);
        } else if (is_key(r, "parent")) {
            run->parent = read_text(r);
        } else if (is_key(r, "branch")) {
            run->branch = read_text(r);
        } else if (is_key(r, "host")) {
            run->host = read_text(r);
        } else if (is_key(r, "job")) {
            run->job = read_text(r);
        } else if (is_key(r, "ordinal")) {
            run->ordinal = json_in_u64(r->j, INT64_MAX);
        } else if (is_key(r, "time_ms")) {
            run->time_ms = (int64_t)json_in_u64(r->j, INT64_MAX);
        } else if (is_key(r, "seed")) {
            run->seed = read_number(r);
        } else if (is_key(r, "is_dirty")) {
            run->is_dirty = json_in_bool(r->j);
        } else {
            json_in_skip(r->j);
        }
    }
}

static void read_summary(Reading *r)
{
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "duration_ns")) {
            r->f->add.run.duration_ns = json_in_u64(r->j, INT64_MAX);
        } else {
            json_in_skip(r->j);
        }
    }
}

static void read_each(Reading *r, void (*one)(Reading *r))
{
    json_in_open(r->j, '[');
    while (json_in_item(r->j)) {
        one(r);
    }
}

static void read_version(Reading *r)
{
    uint64_t version = read_number(r);
    if (json_in_ok(r->j) && version != 1) {
        json_in_fail(r->j, ERR_VERSION, "schema_version %llu; this conf reads 1", (unsigned long long)version);
    }
}

static void read_document(Reading *r)
{
    bool is_known = false;
    json_in_open(r->j, '{');
    while (json_in_key(r->j, &r->key)) {
        if (is_key(r, "schema_version")) {
            read_version(r);
        } else if (is_key(r, "conf_version")) {
            r->f->add.run.version = read_text(r);
        } else if (is_key(r, "cut_short")) {
            r->f->add.run.cut_short = read_text(r);
        } else if (is_key(r, "summary")) {
            read_summary(r);
        } else if (is_key(r, "run")) {
            read_run(r);
        } else {
            is_known |= is_key(r, "results") || is_key(r, "backends") || is_key(r, "coverage") || is_key(r, "bench");
            if (is_key(r, "results")) {
                read_each(r, read_result);
            } else if (is_key(r, "backends")) {
                read_each(r, read_backend);
            } else if (is_key(r, "coverage")) {
                read_each(r, read_coverage);
            } else if (is_key(r, "bench")) {
                read_each(r, read_bench);
            } else {
                json_in_skip(r->j);
            }
        }
    }
    if (json_in_ok(r->j) && !is_known) {
        json_in_fail(r->j, ERR_INVAL, "no report: expected a key results, backends, coverage or bench");
    }
}

int history_file_read(HistoryFile *f, const char *name, const void *bytes, size_t n, Err *err)
{
    JsonIn j = json_in(name, bytes, n, err);
    Reading r = {.f = f, .j = &j};
    sha256_add(&f->digest, bytes, n);
    read_document(&r);
    buf_free(&r.key);
    buf_free(&r.text);
    return json_in_end(&j);
}

void history_file_also(HistoryFile *f, const void *bytes, size_t n)
{
    sha256_add(&f->digest, bytes, n);
}

HistoryAdd *history_file_add(HistoryFile *f)
{
    uint8_t digest[32];
    Sha256 copy = f->digest;
    sha256_end(&copy, digest);
    sha256_hex(digest, f->uid);
    f->uid[32] = 0; /* as long as a random one */
    for (size_t i = 0; i < f->coverage.n; i++) {
        f->coverage.items[i].items = f->ranges.items[i].n ? f->items.items + f->ranges.items[i].from : NULL;
        f->coverage.items[i].nitems = f->ranges.items[i].n;
    }
    f->add.run.uid = f->uid;
    f->add.results = f->results.items;
    f->add.nresults = f->results.n;
    f->add.backends = f->backends.items;
    f->add.nbackends = f->backends.n;
    f->add.coverage = f->coverage.items;
    f->add.ncoverage = f->coverage.n;
    f->add.bench = f->bench.items;
    f->add.nbench = f->bench.n;
    return &f->add;
}
