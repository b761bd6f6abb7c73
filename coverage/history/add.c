/* SPDX-License-Identifier: Apache-2.0
 * add.c - a run goes in: names become numbers, results become columns, all in one transaction. */
#include "coverage/history/history_int.h"
#include "sim/base/hash.h"
#include "sim/base/json_in.h"
#include "sim/base/os.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>

enum { HASH = 16 };

typedef struct {
    int64_t id;    /* of the case */
    size_t result; /* index into a->results */
} Entry;
typedef struct {
    const char *name;
    int64_t id; /* of the text */
    VEC(Entry) entries;
} Group; /* the results of one backend */
typedef struct {
    int64_t id, line;
} CaseRow;
typedef struct {
    Sql *sql;
    const HistoryAdd *a;
    Arena *arena;
    Names texts; /* text -> id */
    Names cases; /* suite 0 scenario 0 guest -> index into rows */
    VEC(CaseRow) rows;
    Names backends; /* name -> index into groups */
    VEC(Group) groups;
    int64_t run;
    Err *err;
} Adding;

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

const char *text_harmless(Arena *a, const char *text)
{
    const char *end = text ? text + strlen(text) : NULL;
    const char *p = text;
    if (!text) {
        return "";
    }
    for (size_t n; p < end && (n = json_utf8_length(p, end)) && !is_control((unsigned char)*p); p += n) {
    }
    if (p == end) {
        return text;
    }
    Buf out = {0};
    for (p = text; p < end;) {
        size_t n = is_control((unsigned char)*p) ? 0 : json_utf8_length(p, end);
        buf_bytes(&out, n ? p : "\xef\xbf\xbd", n ? n : 3);
        p += n ? n : 1;
    }
    text = arena_strndup(a, buf_text(&out), out.n);
    buf_free(&out);
    return text;
}

static void hash_of(const void *bytes, size_t n, uint8_t out[32])
{
    Sha256 s;
    sha256_init(&s);
    sha256_add(&s, bytes, n);
    sha256_end(&s, out);
}

/* The number of a text; it is added if it is new. */
static int text_id(Adding *t, const char *text, int64_t *id)
{
    text = text_harmless(t->arena, text);
    size_t n = strlen(text);
    uint8_t hash[32];
    bool found = false;
    const int64_t *known = names_find(&t->texts, text, n);
    if (known) {
        *id = *known;
        return 0;
    }
    hash_of(text, n, hash);
    int rc =
        sql_one(t->sql, "SELECT id FROM conf_text WHERE hash = $1", SQL_ARGS(sql_blob(hash, HASH)), id, &found, t->err);
    if (!rc && !found) {
        rc = sql_one(t->sql, "INSERT INTO conf_text(hash, value) VALUES($1, $2) RETURNING id",
                     SQL_ARGS(sql_blob(hash, HASH), sql_text(text)), id, NULL, t->err);
    }
    if (!rc) {
        names_add(&t->texts, text, n, *id);
    }
    return rc;
}

/* The number of a column of bytes; it is added if it is new. */
static int chunk_id(Adding *t, const Buf *raw, int64_t *id)
{
    uint8_t hash[32];
    bool found = false;
    hash_of(buf_text(raw), raw->n, hash);
    int rc = sql_one(t->sql, "SELECT id FROM conf_chunk WHERE hash = $1", SQL_ARGS(sql_blob(hash, HASH)), id, &found,
                     t->err);
    if (!rc && !found) {
        Buf packed = {0};
        pack_chunk(&packed, raw);
        rc = sql_one(t->sql, "INSERT INTO conf_chunk(hash, data) VALUES($1, $2) RETURNING id",
                     SQL_ARGS(sql_blob(hash, HASH), sql_blob(packed.data, packed.n)), id, NULL, t->err);
        buf_free(&packed);
    }
    return rc;
}

/* ---- cases ---- */

static void case_key(Buf *key, const char *suite, const char *scenario, const char *guest)
{
    buf_clear(key);
    buf_bytes(key, suite, strlen(suite) + 1);
    buf_bytes(key, scenario, strlen(scenario) + 1);
    buf_str(key, guest);
}

static void on_case(void *ctx, const SqlRows *rows)
{
    Adding *t = ctx;
    const SqlOps *ops = rows->sql->ops;
    CaseRow row = {.id = ops->get_int(rows, 0), .line = ops->get_int(rows, 1)};
    Buf key = {0};
    case_key(&key, ops->get_text(rows, 2, NULL), ops->get_text(rows, 3, NULL), ops->get_text(rows, 4, NULL));
    if (!names_find(&t->cases, key.data, key.n)) {
        names_add(&t->cases, key.data, key.n, (int64_t)t->rows.n);
        VEC_PUSH(&t->rows, row);
    }
    buf_free(&key);
}

/* All cases that there are: one query instead of one per result. */
static int load_cases(Adding *t)
{
    return sql_each(t->sql,
                    "SELECT c.id, c.line, s.value, n.value, g.value FROM conf_case c JOIN conf_text s ON s.id = c.suite"
                    " JOIN conf_text n ON n.id = c.scenario JOIN conf_text g ON g.id = c.guest",
                    SQL_NO_ARGS, on_case, t, t->err);
}

/* Cases that are new come many at once, when a suite is: their names and they themselves go in by the batch, as each statement is
 * a round trip to a server. */
enum { BATCH = 25 };
typedef struct {
    const char *suite, *scenario, *guest;
    uint32_t line;
} NewCase;
typedef VEC(NewCase) NewCases;

/* "head($1, $2), ($3, $4)tail" of rows x columns. */
static void put_statement(Buf *out, const char *head, size_t rows, size_t columns, const char *tail)
{
    buf_clear(out);
    buf_str(out, head);
    for (size_t i = 0; i < rows * columns; i++) {
        buf_printf(out, "%s$%zu", i % columns ? ", " : i ? "), (" : "(", i + 1);
    }
    buf_printf(out, ")%s", tail);
}

/* A row of (id, text) is a known text from now on. */
static void on_text(void *ctx, const SqlRows *rows)
{
    Adding *t = ctx;
    size_t length;
    const char *text = rows->sql->ops->get_text(rows, 1, &length);
    if (!names_find(&t->texts, text, length)) {
        names_add(&t->texts, text, length, rows->sql->ops->get_int(rows, 0));
    }
}

/* BATCH texts that are not known yet: those that the database has are found, the others added. */
static int know_texts(Adding *t, const char *const *texts)
{
    uint8_t hashes[BATCH][32];
    SqlArg args[2 * BATCH];
    Buf statement = {0};
    size_t nmissing = 0;
    for (size_t i = 0; i < BATCH; i++) {
        hash_of(texts[i], strlen(texts[i]), hashes[i]);
        args[i] = sql_blob(hashes[i], HASH);
    }
    put_statement(&statement, "SELECT id, value FROM conf_text WHERE hash IN (VALUES ", BATCH, 1, ")");
    int rc = sql_each(t->sql, buf_text(&statement), args, BATCH, on_text, t, t->err);
    for (size_t i = 0; i < BATCH; i++) {
        if (!names_find(&t->texts, texts[i], strlen(texts[i]))) {
            args[2 * nmissing] = sql_blob(hashes[i], HASH);
            args[2 * nmissing++ + 1] = sql_text(texts[i]);
        }
    }
    if (!rc && nmissing) {
        put_statement(&statement, "INSERT INTO conf_text(hash, value) VALUES ", nmissing, 2, " RETURNING id, value");
        rc = sql_each(t->sql, buf_text(&statement), args, 2 * nmissing, on_text, t, t->err);
    }
    buf_free(&statement);
    return rc;
}

/* Texts on their way into the database, each once. The last ones, fewer than a batch, come one by one when their numbers are asked
 * for. */
typedef struct {
    Adding *t;
    Names seen;
    const char *texts[BATCH];
    size_t n;
} TextBatch;

static int batch_text(TextBatch *b, const char *text)
{
    size_t length = strlen(text);
    if (names_find(&b->t->texts, text, length) || names_find(&b->seen, text, length)) {
        return 0;
    }
    names_add(&b->seen, text, length, 0);
    b->texts[b->n++] = text;
    if (b->n < BATCH) {
        return 0;
    }
    b->n = 0;
    return know_texts(b->t, b->texts);
}

static int know_names(Adding *t, const NewCases *cases)
{
    TextBatch b = {.t = t};
    int rc = 0;
    for (size_t i = 0; !rc && i < 3 * cases->n; i++) {
        const NewCase *c = &cases->items[i / 3];
        rc = batch_text(&b, i % 3 == 0 ? c->suite : i % 3 == 1 ? c->scenario : c->guest);
    }
    names_free(&b.seen);
    return rc;
}

static void note_case(Adding *t, const NewCase *c, int64_t id)
{
    Buf key = {0};
    case_key(&key, c->suite, c->scenario, c->guest);
    names_add(&t->cases, key.data, key.n, (int64_t)t->rows.n);
    VEC_PUSH(&t->rows, (CaseRow){.id = id, .line = c->line});
    buf_free(&key);
}

typedef struct {
    int64_t suite, scenario, guest;
} CaseIds;
typedef struct {
    Adding *t;
    const NewCase *cases;
    CaseIds ids[BATCH];
    size_t n;
} CaseBatch;

static void on_new_case(void *ctx, const SqlRows *rows) /* in any order */
{
    const CaseBatch *b = ctx;
    const SqlOps *ops = rows->sql->ops;
    CaseIds got = {ops->get_int(rows, 1), ops->get_int(rows, 2), ops->get_int(rows, 3)};
    for (size_t i = 0; i < b->n; i++) {
        if (!memcmp(&got, &b->ids[i], sizeof got)) {
            note_case(b->t, &b->cases[i], ops->get_int(rows, 0));
        }
    }
}

static int add_cases(Adding *t, const NewCase *cases, size_t n)
{
    SqlArg args[4 * BATCH];
    CaseBatch b = {.t = t, .cases = cases, .n = n};
    Buf statement = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        CaseIds *ids = &b.ids[i];
        rc = text_id(t, cases[i].suite, &ids->suite);
        rc = rc ? rc : text_id(t, cases[i].scenario, &ids->scenario);
        rc = rc ? rc : text_id(t, cases[i].guest, &ids->guest);
        args[4 * i] = sql_int(ids->suite);
        args[4 * i + 1] = sql_int(ids->scenario);
        args[4 * i + 2] = sql_int(ids->guest);
        args[4 * i + 3] = sql_int(cases[i].line);
    }
    put_statement(&statement, "INSERT INTO conf_case(suite, scenario, guest, line) VALUES ", n, 4,
                  " RETURNING id, suite, scenario, guest");
    rc = rc ? rc : sql_each(t->sql, buf_text(&statement), args, 4 * n, on_new_case, &b, t->err);
    buf_free(&statement);
    return rc;
}

static NewCase case_of(Adding *t, const HistoryResult *r)
{
    return (NewCase){.suite = text_harmless(t->arena, r->suite),
                     .scenario = text_harmless(t->arena, r->scenario),
                     .guest = text_harmless(t->arena, r->guest),
                     .line = r->line};
}

/* Every case of the results is in t->cases afterwards. */
static int know_cases(Adding *t)
{
    NewCases cases = {0};
    Names seen = {0};
    Buf key = {0};
    for (size_t i = 0; i < t->a->nresults; i++) {
        NewCase c = case_of(t, &t->a->results[i]);
        case_key(&key, c.suite, c.scenario, c.guest);
        if (!names_find(&t->cases, key.data, key.n) && !names_find(&seen, key.data, key.n)) {
            names_add(&seen, key.data, key.n, 0);
            VEC_PUSH(&cases, c);
        }
    }
    int rc = know_names(t, &cases);
    for (size_t i = 0; !rc && i < cases.n; i += BATCH) {
        rc = add_cases(t, cases.items + i, cases.n - i < BATCH ? cases.n - i : BATCH);
    }
    VEC_FREE(&cases);
    names_free(&seen);
    buf_free(&key);
    return rc;
}

static int case_id(Adding *t, const HistoryResult *r, Buf *key, int64_t *id)
{
    NewCase c = case_of(t, r);
    case_key(key, c.suite, c.scenario, c.guest);
    CaseRow *row = &t->rows.items[*names_find(&t->cases, key->data, key->n)];
    *id = row->id;
    if (!c.line || row->line == c.line) {
        return 0;
    }
    row->line = c.line;
    return sql_run(t->sql, "UPDATE conf_case SET line = $1 WHERE id = $2",
                   SQL_ARGS(sql_int(row->line), sql_int(row->id)), t->err);
}

/* ---- results ---- */

static int check_results(const Adding *t)
{
    for (size_t i = 0; i < t->a->nresults; i++) {
        const HistoryResult *r = &t->a->results[i];
        if (r->status <= HISTORY_absent || r->status >= HISTORY_STATUS_COUNT || !r->scenario || !r->backend) {
            return err_set(t->err, ERR_INVAL, "result %zu has no scenario, backend or status", i + 1);
        }
    }
    return 0;
}

static int group_results(Adding *t)
{
    Buf key = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < t->a->nresults; i++) {
        const HistoryResult *r = &t->a->results[i];
        int64_t id = 0;
        const char *backend = text_harmless(t->arena, r->backend);
        const int64_t *at = names_find(&t->backends, backend, strlen(backend));
        size_t g = at ? (size_t)*at : t->groups.n;
        if (!at) {
            const char *name = names_add(&t->backends, backend, strlen(backend), (int64_t)g);
            VEC_PUSH(&t->groups, (Group){.name = name});
        }
        rc = case_id(t, r, &key, &id);
        VEC_PUSH(&t->groups.items[g].entries, (Entry){.id = id, .result = i});
    }
    buf_free(&key);
    return rc;
}

static int compare_entries(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int check_double(const Adding *t, const Group *g)
{
    for (size_t i = 1; i < g->entries.n; i++) {
        if (g->entries.items[i].id == g->entries.items[i - 1].id) {
            const HistoryResult *r = &t->a->results[g->entries.items[i].result];
            return err_set(t->err, ERR_EXIST, "two results of %s::%s on %s for %s; nothing was added",
                           r->suite ? r->suite : "", r->scenario, r->backend, r->guest ? r->guest : "");
        }
    }
    return 0;
}

/* The columns of a block. */
typedef struct {
    Buf layout, status, reason, counts, duration, packed;
} Columns;

static int put_columns(Adding *t, const Group *g, Columns *c)
{
    size_t n = g->entries.n;
    int64_t *ids = x_calloc(n, sizeof *ids), *reasons = x_calloc(n, sizeof *reasons);
    PackCounts *counts = x_calloc(n, sizeof *counts);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const HistoryResult *r = &t->a->results[g->entries.items[i].result];
        ids[i] = g->entries.items[i].id;
        counts[i] = (PackCounts){r->exits, r->transitions, r->retries};
        buf_char(&c->status, (char)r->status);
        buf_le(&c->duration, pack_duration(r->duration_ns), 2);
        if (r->reason && *r->reason) {
            rc = text_id(t, r->reason, &reasons[i]);
        }
    }
    pack_ids(&c->layout, ids, n);
    pack_sparse(&c->reason, reasons, n);
    pack_counts(&c->counts, counts, n);
    pack_chunk(&c->packed, &c->duration);
    mem_free(ids);
    mem_free(reasons);
    mem_free(counts);
    return rc;
}

static int add_block(Adding *t, Group *g)
{
    Columns c = {0};
    int64_t layout = 0, status = 0, reason = 0, counts = 0;
    if (g->entries.n) {
        qsort(g->entries.items, g->entries.n, sizeof *g->entries.items, compare_entries);
    }
    int rc = check_double(t, g);
    rc = rc ? rc : text_id(t, g->name, &g->id);
    rc = rc ? rc : put_columns(t, g, &c);
    rc = rc ? rc : chunk_id(t, &c.layout, &layout);
    rc = rc ? rc : chunk_id(t, &c.status, &status);
    rc = rc ? rc : chunk_id(t, &c.reason, &reason);
    rc = rc ? rc : chunk_id(t, &c.counts, &counts);
    if (!rc) {
        rc = sql_run(t->sql,
                     "INSERT INTO conf_block(run, backend, layout, status, reason, counts, duration) VALUES($1, $2, "
                     "$3, $4, $5, $6, $7)",
                     SQL_ARGS(sql_int(t->run), sql_int(g->id), sql_int(layout), sql_int(status), sql_int(reason),
                              sql_int(counts), sql_blob(c.packed.data, c.packed.n)),
                     t->err);
    }
    Buf *all[] = {&c.layout, &c.status, &c.reason, &c.counts, &c.duration, &c.packed};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        buf_free(all[i]);
    }
    return rc;
}

static int add_backends(Adding *t)
{
    Names seen = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < t->a->nbackends; i++) {
        const HistoryBackend *b = &t->a->backends[i];
        int64_t name = 0, version = 0;
        if (names_find(&seen, b->name, strlen(b->name))) {
            continue;
        }
        names_add(&seen, b->name, strlen(b->name), 0);
        rc = text_id(t, b->name, &name);
        rc = rc ? rc : text_id(t, b->version, &version);
        rc = rc ? rc
                : sql_run(t->sql, "INSERT INTO conf_backend(run, name, version) VALUES($1, $2, $3)",
                          SQL_ARGS(sql_int(t->run), sql_int(name), sql_int(version)), t->err);
    }
    names_free(&seen);
    return rc;
}

static int items_chunk(Adding *t, const HistoryCoverage *c, int64_t *id)
{
    Buf raw = {0};
    int rc = 0;
    int64_t *ids = x_calloc(c->nitems + 1, sizeof *ids);
    for (size_t i = 0; !rc && i < c->nitems; i++) {
        rc = text_id(t, c->items[i], &ids[i]);
    }
    if (!rc) {
        pack_ids(&raw, ids, ids_unique(ids, c->nitems));
        rc = chunk_id(t, &raw, id);
    }
    buf_free(&raw);
    mem_free(ids);
    return rc;
}

/* As long as there is no other error: a pair that is given twice is the caller's mistake. */
static int once(Adding *t, Names *seen, const char *what, const char *a, const char *b)
{
    Buf key = {0};
    buf_bytes(&key, a, strlen(a) + 1);
    buf_str(&key, b);
    bool is_double = names_find(seen, key.data, key.n) != NULL;
    if (!is_double) {
        names_add(seen, key.data, key.n, 0);
    }
    buf_free(&key);
    return is_double
               ? err_set(t->err, ERR_EXIST, "%s %s%s%s is given twice; nothing was added", what, a, *b ? " of " : "", b)
               : 0;
}

/* Thousands, when coverage comes for the first time. */
static int know_items(Adding *t)
{
    TextBatch b = {.t = t};
    int rc = 0;
    for (size_t i = 0; !rc && i < t->a->ncoverage; i++) {
        const HistoryCoverage *c = &t->a->coverage[i];
        for (size_t k = 0; !rc && c->items && k < c->nitems; k++) {
            rc = batch_text(&b, text_harmless(t->arena, c->items[k]));
        }
    }
    names_free(&b.seen);
    return rc;
}

static int add_coverage(Adding *t)
{
    Names seen = {0};
    int rc = know_items(t);
    for (size_t i = 0; !rc && i < t->a->ncoverage; i++) {
        const HistoryCoverage *c = &t->a->coverage[i];
        int64_t kind = 0, backend = 0, items = 0;
        rc = once(t, &seen, "coverage", c->kind, c->backend ? c->backend : "");
        rc = rc ? rc : text_id(t, c->kind, &kind);
        rc = rc ? rc : text_id(t, c->backend, &backend);
        rc = rc || !c->items ? rc : items_chunk(t, c, &items);
        rc =
            rc ? rc
               : sql_run(
                     t->sql,
                     "INSERT INTO conf_cover(run, kind, backend, covered, total, items) VALUES($1, $2, $3, $4, $5, $6)",
                     SQL_ARGS(sql_int(t->run), sql_int(kind), sql_int(backend), sql_int((int64_t)c->covered),
                              sql_int((int64_t)c->total), sql_int(items)),
                     t->err);
    }
    names_free(&seen);
    return rc;
}

static int add_bench(Adding *t)
{
    Names seen = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < t->a->nbench; i++) {
        const HistoryBench *b = &t->a->bench[i];
        int64_t name = 0, unit = 0;
        if (!isfinite(b->value)) {
            rc = err_set(t->err, ERR_INVAL, "the value of %s is no number; nothing was added", b->name);
        }
        rc = rc ? rc : once(t, &seen, "the measurement", b->name, "");
        rc = rc ? rc : text_id(t, b->name, &name);
        rc = rc ? rc : text_id(t, b->unit, &unit);
        rc =
            rc ? rc
               : sql_run(
                     t->sql, "INSERT INTO conf_bench(run, name, unit, value, direction) VALUES($1, $2, $3, $4, $5)",
                     SQL_ARGS(sql_int(t->run), sql_int(name), sql_int(unit), sql_real(b->value), sql_int(b->direction)),
                     t->err);
    }
    names_free(&seen);
    return rc;
}

/* ---- the run ---- */

static int random_uid(char uid[33], Err *err)
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return err_native(err, ERR_HOST, errno, "no random number for the run");
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        static const char DIGITS[] = "0123456789abcdef";
        uid[2 * i] = DIGITS[bytes[i] >> 4];
        uid[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    uid[32] = 0;
    return 0;
}

static int add_run(Adding *t, const char *uid)
{
    const HistoryRun *r = &t->a->run;
    uint64_t n[HISTORY_STATUS_COUNT] = {0};
    int64_t time_ms = r->time_ms ? r->time_ms : os_wall_ms();
    for (size_t i = 0; i < t->a->nresults; i++) {
        n[t->a->results[i].status]++;
    }
#define TEXT(field) sql_text(text_harmless(t->arena, r->field))
#define COUNT(name) sql_int((int64_t)n[HISTORY_##name])
    return sql_one(t->sql,
                   "INSERT INTO conf_run(uid, time_ms, ordinal, commit_id, parent, branch, host, version, job, "
                   "cut_short, is_dirty,"
                   " duration_ns, seed, passed, failed, error, skipped, xfailed, xpassed) VALUES($1, $2, $3, $4, $5, "
                   "$6, $7, $8, $9,"
                   " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) RETURNING id",
                   SQL_ARGS(sql_text(uid), sql_int(time_ms), sql_int((int64_t)r->ordinal), TEXT(commit), TEXT(parent),
                            TEXT(branch), TEXT(host), TEXT(version), TEXT(job), TEXT(cut_short), sql_int(r->is_dirty),
                            sql_int((int64_t)r->duration_ns), sql_int((int64_t)r->seed), COUNT(passed), COUNT(failed),
                            COUNT(error), COUNT(skipped), COUNT(xfailed), COUNT(xpassed)),
                   &t->run, NULL, t->err);
#undef TEXT
#undef COUNT
}

static int add_all(Adding *t, const char *uid, bool *is_new)
{
    bool found = false;
    int rc =
        sql_one(t->sql, "SELECT id FROM conf_run WHERE uid = $1", SQL_ARGS(sql_text(uid)), &t->run, &found, t->err);
    *is_new = !found;
    if (rc || found) {
        return rc;
    }
    rc = check_results(t);
    rc = rc ? rc : load_cases(t);
    rc = rc ? rc : know_cases(t);
    rc = rc ? rc : group_results(t);
    rc = rc ? rc : add_run(t, uid);
    for (size_t i = 0; !rc && i < t->groups.n; i++) {
        rc = add_block(t, &t->groups.items[i]);
    }
    rc = rc ? rc : add_backends(t);
    rc = rc ? rc : add_coverage(t);
    return rc ? rc : add_bench(t);
}

static void adding_free(Adding *t)
{
    for (size_t i = 0; i < t->groups.n; i++) {
        VEC_FREE(&t->groups.items[i].entries);
    }
    VEC_FREE(&t->groups);
    VEC_FREE(&t->rows);
    names_free(&t->texts);
    names_free(&t->cases);
    names_free(&t->backends);
    arena_free(t->arena);
}

int history_add(History *h, const HistoryAdd *a, int64_t *id, bool *is_new, Err *err)
{
    char random[33];
    const char *uid = a->run.uid;
    bool added = false;
    if (uid && (strlen(uid) > HISTORY_UID_MAX || !*uid ||
                strspn(uid, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") != strlen(uid))) {
        return err_set(err, ERR_INVAL, "the uid of a run is 1 to %d letters, digits and -_.", HISTORY_UID_MAX);
    }
    int rc = uid ? 0 : random_uid(random, err);
    rc = rc ? rc : h->sql->ops->exec(h->sql, h->sql->ops->begin_write, err);
    if (rc) {
        return rc;
    }
    Adding t = {.sql = h->sql, .a = a, .arena = arena_new(), .err = err};
    rc = add_all(&t, uid ? uid : random, &added);
    rc = sql_finish(h->sql, rc, err);
    if (!rc && id) {
        *id = t.run;
    }
    if (!rc && is_new) {
        *is_new = added;
    }
    adding_free(&t);
    return rc;
}
