/* SPDX-License-Identifier: Apache-2.0
 * dashboard.h - what the pages of `conf dashboard` show, and their writing. docs/dashboard.md says what the pages are and how
 * their data looks.
 *
 * A Dash is filled by the import_*() functions (or by hand), then dash_write() makes files of it. The same Dash gives the same
 * bytes. Everything it holds is text from outside: it may be any bytes, and reaches the pages as JSON strings only.
 *
 *   case      one scenario for one guest: (suite, scenario, guest); a row of the heat map
 *   backend   as results show it, "kvm@nested"; a column
 *   cell      case * number of backends + backend
 *   run       what one `conf run` came to. The results shown are those of run `now`; `last` and `main` are what it is compared
 *             with: the run before it, and the newest one of the branch main.
 *
 * Texts are copied into the Dash. Indices stay valid. Not thread-safe. */
#ifndef COVERAGE_DASHBOARD_DASHBOARD_H
#define COVERAGE_DASHBOARD_DASHBOARD_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DASH_NONE SIZE_MAX
enum {
    DASH_SCHEMA = 1,           /* of data.js: grows when a key changes its meaning */
    DASH_REPORT_MAX = 1 << 30, /* bytes of a report */
    DASH_CELLS_MAX = 1 << 22,  /* cases * backends */
    DASH_RUNS_MAX = 5000,
    DASH_TRACE_MAX = 1024, /* entries of one result; the rest is left out */
    DASH_BY_MAX = 8,       /* scenarios named per covered item */
    DASH_NAMES_MAX = 20,   /* items named per change of coverage */
    DASH_COVER_CHANGES_MAX = 2000,
};

/* One letter per status: how the pages and this model write it. '.': the case was not part of the run on that backend. */
/* clang-format off */
#define DASH_STATUS_MAP(X) X(passed, 'P') X(failed, 'F') X(error, 'E') X(skipped, 'S') X(xfailed, 'x') X(xpassed, 'X')
/* clang-format on */
/* The letter for a status's name; 0 = no such name. */
char dash_status(const char *name);
bool dash_is_bad(char status); /* F, E, X */

typedef struct {
    const char *suite, *scenario, *guest;
    uint32_t line; /* 0 = not known */
} DashCase;
typedef struct {
    const char *kind, *name, *text; /* "exit", "mmio_read", "mmio_read addr dev size 4" */
    uint32_t vcpu, line;
} DashTrace;
typedef struct { /* of run `now` */
    char status;
    uint64_t duration_ns, exits, transitions, seed;
    const char *reason, *failure, *reproduce; /* NULL = none */
    DashTrace *trace;
    size_t ntrace, ndropped; /* ndropped: entries that the report left out */
} DashResult;
typedef struct {
    uint64_t id;                        /* the number people see, #id */
    int64_t time_ms;                    /* since 1970 UTC; 0 = not known */
    const char *commit, *branch, *host; /* NULL = not known */
    const char *cut_short;              /* NULL = whole */
    uint64_t duration_ns;
    uint64_t n[128]; /* results by status letter */
} DashRun;
typedef struct { /* one kind of things to be covered */
    const char *name, *title;
    uint64_t covered, total; /* now, all backends together */
    int64_t *over;           /* covered, one for each run; -1 = not known; NULL = no history */
    int64_t *of;             /* the total then, likewise */
} DashKind;
typedef struct {
    size_t kind;
    const char *group, *name;
    char *mask;               /* a letter per coverage backend: '1' reached, '0' not, '-' cannot be */
    uint32_t by[DASH_BY_MAX]; /* into cover_scenarios */
    size_t nby, nscenarios;   /* nscenarios: how many there are */
    const char *reason;       /* why it cannot be reached; NULL */
} DashItem;
typedef struct {
    size_t c, backend, nruns, nbad, nflickers, nsame_commit;
    double rate; /* 0..1 */
    size_t evidence[8];
    size_t nevidence;
} DashFlaky;
typedef struct {
    size_t run, before, backend, c;
    char from, to;
} DashChange;
typedef struct {
    size_t backend, c; /* c DASH_NONE: all cases of the backend */
    size_t run, before;
    double before_ns, after_ns, p;
} DashTrend;
typedef struct { /* the coverage of a kind and backend ("" = all together) that is not what it was a run before */
    size_t run, before;
    const char *kind, *backend;
    uint64_t covered[2], total[2]; /* before, in the run */
    const char **names[2];         /* lost, gained: the first DASH_NAMES_MAX */
    size_t nnames[2], n[2];        /* how many are named; how many there are */
} DashCoverChange;
typedef struct {
    size_t run; /* the first after the step */
    double before, after, p;
} DashStep;
typedef struct { /* a measurement on one host and branch */
    const char *name, *unit, *host, *branch;
    bool is_more_better;
    double *values; /* one for each run; NAN = none */
    VEC(DashStep) steps;
} DashBench;
typedef struct {
    const char *path, *href;                      /* href: below the output folder; NULL = no page */
    uint64_t lines[2], branches[2], functions[2]; /* covered, total */
} DashCode;

struct Coverage; /* coverage/coverage.h */
typedef struct Dash {
    Arena *arena;
    const char *title;  /* NULL = "conf" */
    int64_t written_ms; /* when the pages were written; 0 = not said */
    VEC(const char *) backends;
    VEC(DashCase) cases;
    VEC(DashResult) results; /* by cell once dash_results() was called; a cell without a result has status 0 */
    VEC(DashRun) runs;       /* oldest first */
    size_t now, last, main;  /* DASH_NONE = there is none */
    /* History of every cell, [cell * runs.n + run]; NULL = none. */
    char *status;
    uint16_t *time; /* dash_time() */
    VEC(DashKind) kinds;
    VEC(const char *) cover_backends, cover_scenarios;
    VEC(DashItem) items; /* by kind */
    VEC(DashFlaky) flaky;
    VEC(DashChange) changes;
    VEC(DashTrend) trends;
    VEC(DashCoverChange) cover_changes; /* newest run first, at most DASH_COVER_CHANGES_MAX */
    VEC(DashBench) bench;
    VEC(DashCode) code;
    struct DashIndex *index;
} Dash;

Dash *dash_new(void);
void dash_free(Dash *d); /* NULL is fine */
/* The index of what is there already, or of a new one. */
size_t dash_case(Dash *d, const char *suite, const char *scenario, const char *guest);
size_t dash_backend(Dash *d, const char *name);
/* Room for a result in every cell; what is there already stays. Call it when cases or backends have come. -ERR_LIMIT: more than DASH_CELLS_MAX. */
MUST_USE int dash_results(Dash *d, Err *err);
/* Room for the history; call after dash_results() and once all runs are there. All cells are absent, '.'. */
MUST_USE int dash_history(Dash *d, Err *err);
/* A duration in 12 bits: 0 = not known, else logarithmic, 102 steps an octave (0.7 %), up to 18 minutes. */
uint16_t dash_time(uint64_t ns);

/* ---- filling ---- */
/* Reports of `conf run --report json=` and `trace=`. Several may be given, of one machine or of several; of a cell that
 * several have, the last counts. import_reports() adds what is in them to d: cases, backends, results, and, if d has no runs
 * yet, one run. d is changed only if all is well. -ERR_INVAL, -ERR_VERSION, -ERR_LIMIT with FILE:LINE:COLUMN; -ERR_IO. */
typedef struct DashReport DashReport;
MUST_USE int report_parse(const char *name, const void *bytes, size_t n, DashReport **out, Err *err);
void report_free(DashReport *r); /* NULL is fine */
MUST_USE int import_reports(Dash *d, DashReport *const *reports, size_t n, Err *err);
/* Runs of a history (history.h), the newest `last` of them. `now` becomes the newest one; reports that were imported before are
 * laid over it where they are of that run (every result that both have is the same), else they are a run after it, without a name. */
MUST_USE int import_history(Dash *d, const char *where, uint64_t last, Err *err);
/* Items, kinds, who reaches what. Once, of all coverage merged. */
void import_coverage(Dash *d, const struct Coverage *c);
/* What gcovr wrote into a folder, instead of the C code that coverage knows by folder: index.html of --html-details, which is linked, and summary.json of --json-summary, for the
 * numbers. href_prefix: where the folder will be, seen from the pages: "gcovr/". */
MUST_USE int import_gcovr(Dash *d, const char *name, const void *json, size_t njson, const void *html, size_t nhtml,
                          const char *href_prefix, Err *err);

/* ---- writing ---- */
bool dash_has_charts(void); /* was the program built with the library that draws them? */
/* The pages into a folder, which is made if need be: index.html last, so that who looks meanwhile sees the old or the new
 * pages. is_single: index.html holds everything. */
MUST_USE int dash_write(const Dash *d, const char *folder, bool is_single, Err *err);
/* Makes a folder and those that it lies in. */
MUST_USE int dash_folder(const char *path, Err *err);
/* data.js, d/coverage.js and d/N.js without the function around them: JSON without '<'. */
void dash_json(const Dash *d, bool is_single, Buf *out);
void dash_json_coverage(const Dash *d, Buf *out);
void dash_json_case(const Dash *d, size_t c, Buf *out);

int dashboard_main(int argc, char **argv); /* conf dashboard */
#endif
