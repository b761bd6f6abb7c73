/* SPDX-License-Identifier: Apache-2.0
 * history.h - the database of runs: every result of every run, what it covered, what was measured.
 *
 * A database is a file (SQLite 3, made when missing) or a URL "postgresql://..." (for teams). It holds runs; a run holds one
 * result per case and backend, where a case is a suite, a scenario and a guest. Runs are ordered by their time, then by the order
 * in which they were added. Durations are kept to 10 bits of mantissa, an error of at most 0.05 %; all else exactly.
 *
 * Writers may be many, on many machines: a run is added in one transaction, or not at all. Adding a run whose uid is
 * there already changes nothing, so databases and reports may be merged again and again. Readers never wait.
 *
 * Reading goes in two steps: history_runs() lists runs (a row each); history_view() loads the results of some of them into
 * memory as a table backend x run x case, and the analyses further down work on such a view. A view of 2,000 cases x 20 backends
 * x 500 runs takes 20 MB for the status and 40 MB for the durations.
 *
 * Text is UTF-8. What a function hands out lives until the matching _free; what is handed in is borrowed for the call.
 * A History belongs to one thread at a time; views and lists are read-only and need no History any more.
 * Errors: -ERR_DENIED, -ERR_IO, -ERR_LIMIT (disk full), -ERR_BUSY (another writer for longer than a minute), -ERR_VERSION (made by a
 * newer conf), -ERR_PROTO (no history, or damaged), -ERR_UNAVAILABLE (a client library or server that is not there). */
#ifndef COVERAGE_HISTORY_HISTORY_H
#define COVERAGE_HISTORY_HISTORY_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The statuses of conf run, in its order and by its names; absent: the case was not part of the run on that backend. */
#define HISTORY_STATUS_MAP(X) X(absent) X(passed) X(failed) X(error) X(skipped) X(xfailed) X(xpassed)
#define X(name)               HISTORY_##name,
typedef enum { HISTORY_STATUS_MAP(X) HISTORY_STATUS_COUNT } HistoryStatus;
#undef X
const char *history_status_name(HistoryStatus s);
/* -1: no such word. "absent" is none that a result may have. */
int history_status_parse(const char *word);
/* failed, error or xpassed: what makes `conf run` exit 1. */
bool history_status_is_bad(HistoryStatus s);
/* Bad, passed or xfailed: it ran, so it says something about the code. */
bool history_status_ran(HistoryStatus s);

/* ---- opening ---- */
typedef struct History History;
/* where: a path, "postgresql://..." or "postgres://..."; NULL: CONF_HISTORY, else XDG_STATE_HOME/conf/history.db, else
 * ~/.local/state/conf/history.db. A file and its folders are made when missing (not with is_reader: -ERR_NOENT). An older schema is
 * migrated; a newer one is -ERR_VERSION. */
typedef struct {
    const char *where;
    bool is_reader;     /* only to read: nothing is made */
    uint64_t max_bytes; /* of the file; 0 = no limit of ours (SQLite only) */
    uint64_t busy_ns;   /* how long to wait for another writer; 0 = one minute */
} HistoryOpen;
MUST_USE int history_open(const HistoryOpen *o, History **out, Err *err);
void history_close(History *h); /* NULL is fine */
/* The path or URL that `where` stands for, without the password. */
const char *history_where(const History *h);
/* As history_open's `where` NULL: appended to out. -ERR_NOENT: no HOME. */
MUST_USE int history_default_path(Buf *out, Err *err);

/* ---- adding ---- */
typedef struct {
    const char *suite, *scenario, *guest, *backend; /* backend as shown: "kvm@nested" */
    HistoryStatus status;
    const char *reason; /* one sentence; NULL or "" = none */
    uint64_t duration_ns, exits, transitions;
    uint32_t retries; /* how often it was played again before it came to this status */
    uint32_t line;    /* of the scenario in its suite; 0 = not known */
} HistoryResult;
typedef struct {
    const char *name;    /* "kvm@nested" */
    const char *version; /* what it says of itself: kernel, engine, library; NULL = nothing */
} HistoryBackend;
typedef struct {
    const char *kind;         /* "exit", "lifecycle", "decode", "line" ...: the collectors' names */
    const char *backend;      /* NULL or "" = not of one backend, as C code is */
    uint64_t covered, total;  /* items; total 0 = not known */
    const char *const *items; /* the covered ones by name, in any order; may be NULL where only totals are known */
    size_t nitems;
} HistoryCoverage;
typedef enum { HISTORY_LESS_IS_BETTER, HISTORY_MORE_IS_BETTER } HistoryDirection;
typedef struct {
    const char *name; /* "interp/alu" */
    double value;
    const char *unit; /* "s", "Mips", "ns" */
    HistoryDirection direction;
} HistoryBench;

/* What is known of a run besides its results. NULL and "" are "not known". */
typedef struct {
    int64_t id;      /* of this database: counts from 1; 0 in what is to be added */
    const char *uid; /* up to 64 characters, the same in every database; NULL in what is to be added: a random one */
    const char *commit, *parent, *branch, *host, *version; /* version: of conf */
    bool is_dirty;         /* the tree had, or may have had, changes besides the commit */
    const char *job;       /* where it ran: the URL of a CI job, "nightly"; free text */
    const char *cut_short; /* "SIGINT", "--fail-fast": not all planned results are there */
    uint64_t ordinal;      /* of the commit on its branch; 0 = not known */
    int64_t time_ms;       /* start, milliseconds since 1970 UTC; 0 in what is to be added: now */
    uint64_t duration_ns, seed;
    uint64_t n[HISTORY_STATUS_COUNT]; /* results by status; filled by history_add */
} HistoryRun;
typedef struct {
    HistoryRun run;
    const HistoryBackend *backends; /* versions; backends that only results name need no entry */
    size_t nbackends;
    const HistoryResult *results; /* each case and backend at most once: else -ERR_EXIST */
    size_t nresults;
    const HistoryCoverage *coverage; /* each kind and backend at most once */
    size_t ncoverage;
    const HistoryBench *bench; /* each name at most once */
    size_t nbench;
} HistoryAdd;
/* Adds a run in one transaction; *id (may be NULL) is its number. is_new false: a run of that uid was there, nothing was
 * changed, *id is that one's. */
MUST_USE int history_add(History *h, const HistoryAdd *a, int64_t *id, bool *is_new, Err *err);
/* Adds all runs of another database that are not here; *n is how many. */
MUST_USE int history_merge(History *h, History *from, uint64_t *n, Err *err);
typedef struct {
    uint64_t keep;     /* the newest so many runs of each branch; 0 = do not count */
    int64_t before_ms; /* only runs older than that; 0 = any */
    bool is_dry;       /* count only */
} HistoryPrune;
/* Deletes runs that are both beyond `keep` and older than `before_ms`, and what only they used (but for the names of cases). */
MUST_USE int history_prune(History *h, const HistoryPrune *p, uint64_t *nruns, Err *err);
/* Reads the whole database: every row decodes, no reference is broken. -ERR_PROTO with what is wrong first. */
MUST_USE int history_check(History *h, Err *err);

/* ---- runs ---- */
typedef struct {
    const char *branch, *host, *commit; /* NULL = any; commit: a prefix */
    int64_t since_ms, until_ms;         /* 0 = no bound */
    int64_t first_id, last_id;          /* by number; 0 = no bound */
    uint64_t last;                      /* only the newest so many; 0 = all */
} HistoryFilter;
typedef struct {
    HistoryRun *runs; /* oldest first */
    size_t n;
    Arena *arena;
} HistoryRuns;
/* Else it brought only coverage or measurements. */
bool history_has_results(const HistoryRun *r);
MUST_USE int history_runs(History *h, const HistoryFilter *f, HistoryRuns *out, Err *err);
void history_runs_free(HistoryRuns *r);
/* Names of a run: its number, "last", "last~2" (two before it), a commit (its newest run), "branch:NAME" (its newest run).
 * -ERR_NOENT. */
MUST_USE int history_find_run(History *h, const char *name, int64_t *id, Err *err);
/* The run with results before this one on the same branch (branch NULL), or the newest one before it on `branch` (e.g. "main"); 0 = none. */
MUST_USE int history_run_before(History *h, int64_t id, const char *branch, int64_t *before, Err *err);
/* The backends of a run with their versions. */
typedef struct {
    HistoryBackend *backends;
    size_t n;
    Arena *arena;
} HistoryBackends;
MUST_USE int history_backends(History *h, int64_t run, HistoryBackends *out, Err *err);
void history_backends_free(HistoryBackends *b);

/* ---- results ---- */
enum { /* what a view holds of each cell besides the status */
       HISTORY_DURATIONS = 1,
       HISTORY_REASONS = 2,
       HISTORY_COUNTS = 4 /* exits, transitions, retries */
};
typedef struct {
    const char *suite, *scenario, *guest;
    uint32_t line; /* as last seen */
} HistoryCase;
typedef struct HistoryView HistoryView;
typedef struct {
    const HistoryRuns *runs;      /* those to load */
    unsigned what;                /* HISTORY_DURATIONS | ... */
    const char *scenario, *suite; /* NULL = all; else equal, or a pattern of fnmatch(3) */
    const char *guest, *backend;  /* the same */
} HistoryViewOptions;
MUST_USE int history_view(History *h, const HistoryViewOptions *o, HistoryView **out, Err *err);
void history_view_free(HistoryView *v); /* NULL is fine */
/* A view's own copies: the lists that it was made from may go. */
size_t history_nruns(const HistoryView *v);
size_t history_ncases(const HistoryView *v);
size_t history_nbackends(const HistoryView *v);
const HistoryRun *history_run(const HistoryView *v, size_t run); /* oldest first */
const HistoryCase *history_case(const HistoryView *v, size_t c); /* sorted by suite, scenario, guest */
const char *history_backend(const HistoryView *v, size_t backend);
size_t history_find_case(const HistoryView *v, const char *suite, const char *scenario,
                         const char *guest);                         /* SIZE_MAX: none */
size_t history_find_backend(const HistoryView *v, const char *name); /* the same */
HistoryStatus history_status(const HistoryView *v, size_t run, size_t backend, size_t c);
/* Of a cell that is not absent, if the view was loaded with it; else 0, "". */
uint64_t history_duration_ns(const HistoryView *v, size_t run, size_t backend, size_t c);
const char *history_reason(const HistoryView *v, size_t run, size_t backend, size_t c);
void history_counts(const HistoryView *v, size_t run, size_t backend, size_t c, uint64_t *exits, uint64_t *transitions,
                    uint32_t *retries);
/* Every cell of one run that is not absent, in the order of cases, then backends. Start with {0}-initialised *it; false: no
 * more. r->suite and so on live as long as the view. */
typedef struct {
    size_t c, backend;
} HistoryIter;
bool history_next(const HistoryView *v, size_t run, HistoryIter *it, HistoryResult *r);

/* ---- coverage and benchmarks ---- */
typedef struct {
    int64_t run;
    const char *kind, *backend; /* backend "" = none */
    uint64_t covered, total;
} HistoryCoverageRow;
typedef struct {
    HistoryCoverageRow *rows; /* by run in the order of `runs`, kind, backend */
    size_t n;
    Arena *arena;
} HistoryCoverageRows;
MUST_USE int history_coverage(History *h, const HistoryRuns *runs, HistoryCoverageRows *out, Err *err);
void history_coverage_free(HistoryCoverageRows *r);
/* The covered items of one run, kind and backend, sorted by name; backend NULL = those of all backends together. */
typedef struct {
    const char **items;
    size_t n;
    Arena *arena;
} HistoryItems;
MUST_USE int history_items(History *h, int64_t run, const char *kind, const char *backend, HistoryItems *out, Err *err);
void history_items_free(HistoryItems *i);
/* Where the coverage of a kind and backend is another than that of the run before it in its series (a host and branch; is_one_series: all
 * runs are one) that looked at it too. */
typedef struct {
    size_t run, before; /* indices into `runs` */
    const char *kind, *backend;
    uint64_t covered[2], total[2]; /* before, and in the run */
    const char **lost, **gained;   /* items by name, each sorted; none where one of the two has only totals */
    size_t nlost, ngained;
} HistoryCoverChange;
typedef struct {
    HistoryCoverChange *items; /* newest run first, then by kind and backend */
    size_t n;
    Arena *arena;
} HistoryCoverChanges;
MUST_USE int history_cover_changes(History *h, const HistoryRuns *runs, bool is_one_series, HistoryCoverChanges *out,
                                   Err *err);
void history_cover_changes_free(HistoryCoverChanges *c);
typedef struct {
    int64_t run;
    size_t place; /* of the run in `runs` */
    const char *name, *unit;
    const char *host, *branch; /* the run's: of each pair the values of a name are a series of its own */
    double value;
    HistoryDirection direction;
} HistoryBenchRow;
typedef struct {
    HistoryBenchRow *rows; /* by name, host and branch, then in the order of `runs` */
    size_t n;
    Arena *arena;
} HistoryBenchRows;
MUST_USE int history_bench(History *h, const HistoryRuns *runs, HistoryBenchRows *out, Err *err);
void history_bench_free(HistoryBenchRows *r);
bool history_bench_is_one_series(const HistoryBenchRow *a, const HistoryBenchRow *b);

/* ---- analyses: on a view; run, backend and c are its indices ----
 * Runs of different hosts or branches differ for other reasons than time: each pair of host and branch is a series of its own. */
typedef struct {   /* a lasting change of one case on one backend */
    size_t run;    /* the first run with the new status */
    size_t before; /* the last run of the series before it that had a say; its status is `from` */
    size_t backend, c;
    HistoryStatus from, to;
} HistoryChange;
typedef struct {
    HistoryChange *items; /* newest run first; cases of one run in their order */
    size_t n;
} HistoryChanges;
/* Changes between good and bad (is_any: between any two statuses but absent) that lasted: 3 results or more, or up to the newest run,
 * and longer than a case that flickers as often as this one would by chance (1 in a million). */
void history_changes(const HistoryView *v, bool is_any, HistoryChanges *out);
/* Every difference between two runs of the view, absent included. */
void history_compare(const HistoryView *v, size_t from, size_t to, HistoryChanges *out);
void history_changes_free(HistoryChanges *c);

enum { HISTORY_EVIDENCE = 8 };
typedef struct { /* a case on a backend that answers differently without a reason */
    size_t backend, c;
    size_t nruns;                      /* in which it ran */
    size_t nbad;                       /* of these bad */
    size_t nflickers;                  /* times that it went bad, or good, and back, without a lasting change */
    size_t nsame_commit;               /* commits (of a clean tree, on one host) of which it was both good and bad */
    uint64_t nretries;                 /* needs HISTORY_COUNTS */
    double rate;                       /* results that differ from the lasting status around them, over nruns */
    size_t evidence[HISTORY_EVIDENCE]; /* the newest runs at which it flickered, oldest first */
    size_t nevidence;
} HistoryFlaky;
typedef struct {
    HistoryFlaky *items; /* highest rate first */
    size_t n;
} HistoryFlakies;
/* Flaky is: good and bad of one commit, played again, or at least 2 flickers. */
void history_flaky(const HistoryView *v, HistoryFlakies *out);
void history_flaky_free(HistoryFlakies *f);

typedef struct {
    size_t backend, c;
    uint64_t median_ns, max_ns, total_ns; /* of the runs in which it was not skipped */
    size_t nruns;
} HistorySlow;
typedef struct {
    HistorySlow *items; /* greatest median first */
    size_t n;
} HistorySlowest;
void history_slowest(const HistoryView *v, size_t max, HistorySlowest *out); /* needs HISTORY_DURATIONS */
void history_slowest_free(HistorySlowest *s);

/* A step in a series that noise does not explain. The test is on ranks, so outliers and the form of the noise do not matter; its p is
 * corrected for the number of places and of series looked at. trend.c says how. */
typedef struct {
    size_t at;            /* index of the first point after the step */
    double before, after; /* medians of the stretches around it */
    double p;             /* at most the chance that noise alone makes such a step in any of the series */
} HistoryStep;
typedef struct {
    double alpha;       /* p from which on a step is none; 0 = 0.001 */
    double min_change;  /* smallest relative change of interest; 0 = 0.05 */
    size_t min_segment; /* points on each side; 0 = 5 */
    size_t nseries;     /* how many series are looked at in all; 0 = 1 */
} HistoryStepOptions;
/* The steps of one series of n positive values, in order; at most max are written; returns how many there are. */
size_t history_steps(const double *values, size_t n, const HistoryStepOptions *o, HistoryStep *out, size_t max);

/* The chance that two samples of the same distribution differ in rank as these do (a bound, as above; 1 at most); for comparing ranges of
 * runs. Both of at least 1 value. */
double history_differ(const double *a, size_t na, const double *b, size_t nb);

#define HISTORY_ALL_CASES SIZE_MAX /* as the index of a case */
typedef struct {
    size_t backend,
        c; /* c HISTORY_ALL_CASES: the backend became slower or faster as a whole; before and after are then medians of the
                          factor against its usual speed, times 1,000 */
    size_t run;    /* the first run after the step */
    size_t before; /* the last one of the series before it */
    double before_ns, after_ns, p;
} HistoryTrend;
typedef struct {
    HistoryTrend *items; /* slowdowns before speed-ups, the greatest first */
    size_t n;
} HistoryTrends;
/* Steps in the durations of every case and backend (of results that passed). What a run does to all cases of a backend alike is
 * taken out first, where there are at least 20. Needs HISTORY_DURATIONS; o may be NULL, its nseries is not used. */
void history_trends(const HistoryView *v, const HistoryStepOptions *o, HistoryTrends *out);
void history_trends_free(HistoryTrends *t);

/* ---- from files ---- */
/* What a JSON document brings to a run: the report of `conf run --report json=FILE` (key "results"), and any of the keys "run",
 * "backends", "coverage" and "bench", in it or in documents of their own; docs/history.md has them all. Read one after the other into one
 * HistoryFile; what is given twice is found by history_add. */
typedef struct HistoryFile HistoryFile;
HistoryFile *history_file_new(void);
void history_file_free(HistoryFile *f); /* NULL is fine */
/* name is for messages: "FILE:LINE:COLUMN: expected ...". -ERR_INVAL, -ERR_LIMIT, -ERR_VERSION (a schema_version that is not 1). */
MUST_USE int history_file_read(HistoryFile *f, const char *name, const void *bytes, size_t n, Err *err);
/* Something else that belongs to the run, read by the caller: counts in the uid. */
void history_file_also(HistoryFile *f, const void *bytes, size_t n);
/* All of it, to be added; what is not in the files is for the caller to fill. run.uid is made of the bytes that were read: the same
 * files are the same run. Valid until the next call on f. */
HistoryAdd *history_file_add(HistoryFile *f);

/* ---- where a run comes from ---- */
typedef struct {
    char commit[65], parent[65], branch[256], host[256], job[512];
    bool is_ci;
} HistoryOrigin;
/* Commit and branch of the work tree that `dir` (NULL: the current one) is in: from the variables of GitHub and GitLab, else by reading
 * .git; parent is known if the commit is an object of its own file. host: CONF_HISTORY_HOST, else the kind of runner in CI (its machines
 * have a new name each time), else this machine's name. What is not known is "". */
void history_origin(const char *dir, HistoryOrigin *out);
#endif
