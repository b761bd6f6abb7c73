/* SPDX-License-Identifier: Apache-2.0
 * plan.h - from the words of a command line to the ordered list of jobs: files, selection, backends, expansion.
 *
 * A Job is one Case on one backend. The order of jobs is the order of files as named (those of a directory sorted),
 * then of scenarios, rows and guests in the file, then of backends; results are reported in it. Thread rule: a plan is
 * built on one thread and read-only afterwards, but for what runner.c keeps in it. */
#ifndef CONFORMANCE_PLAN_H
#define CONFORMANCE_PLAN_H

#include "conformance/story.h"

#include <stdio.h>

/* What main wires in: loading and Lua. load must not be NULL; load_lua NULL: built without Lua. */
typedef struct {
    Suite *(*load)(Arena *arena, const char *file, const char *text, size_t n, Diags *diags);
    Suite *(*load_lua)(Arena *arena, const char *file, const char *text, size_t n, Diags *diags);
    ScriptRun *script; /* NULL: built without Lua */
    void *script_ctx;
} RunHooks;

typedef VEC(const char *) Words;
typedef struct {             /* as the command line gave it; the words are borrowed until plan_free */
    Words paths;             /* FILE, DIR, GLOB, FILE:LINE, FILE::NAME; none: scenarios/ */
    Words tags;              /* a case with one of them */
    Words backends;          /* names, "all", "best", "remote:COMMAND", "plugin:PATH"; none: all built-in ones */
    Words guests;            /* names; none: every guest of a case */
    const char *expr;        /* -k; NULL = all */
    uint64_t shard, nshards; /* from 1; nshards 0 = whole */
} PlanOptions;

typedef enum { OPEN_NOT_YET, OPEN_OK, OPEN_FAILED } OpenState;
typedef struct { /* a backend of the plan for one guest; filled by runner_open */
    OpenState state;
    Caps caps;    /* OK; texts in the plan's arena */
    Backend stub; /* OK; a copy whose name is in the plan's arena: for story_unmet and for showing, not for calling */
    const char *shown;
    Err err; /* FAILED: why */
} PlanOpen;
typedef struct {
    const char *name;              /* as asked for: "kvm", "remote:ssh host conf-agent", "plugin:./libmine.so" */
    const char *command;           /* remote: the command; NULL = built-in */
    bool is_unreachable;           /* by runner_open: the command led to no agent */
    bool is_named;                 /* asked for by its own name, not by `all` or by default */
    bool is_candidate;             /* asked for by `best` only: has jobs for the guests for which it is that */
    bool is_left_out[GUEST_COUNT]; /* by plan_expand: no job, because the backend never has this guest */
    const Backend *local;          /* the table in this process, where there are no workers; else NULL */
    PlanOpen open[GUEST_COUNT];
} PlanBackend;
typedef struct {
    const Case *c;
    size_t slot;    /* of the case: jobs of one case share a world */
    size_t backend; /* index into backends */
} Job;
typedef struct {
    Arena *arena;
    VEC(Suite *) suites;
    VEC(PlanBackend) backends;
    VEC(const Case *) cases; /* selected, in order; a job's slot is the index */
    VEC(Job) jobs;
    VEC(Job) probes; /* what xfail asks: slots follow those of cases */
    VEC(const Case *) probe_cases;
    bool is_guest[GUEST_COUNT];       /* some case has it */
    bool is_named_guest[GUEST_COUNT]; /* by --guest */
} Plan;
/* Loads the files, selects the cases and names the backends. Returns CONF_OK; CONF_USAGE, CONF_INVALID or CONF_NOTHING
 * after having said why on `log`: every diagnostic of every file. *out must be freed in any case. */
MUST_USE int plan_select(const PlanOptions *o, const RunHooks *hooks, FILE *log, Plan *out);
/* Makes the jobs and the probes of a selected plan, after its backends were opened (or not: then by the names asked
 * for). A guest that a backend refused as -ERR_UNSUPPORTED it never has: such a pair gets no job, unless both were asked
 * for by name or the scenario has no other job at all. CONF_OK or CONF_NOTHING. */
MUST_USE int plan_expand(Plan *p, FILE *log);
/* Appends a line per backend with pairs left out: "kvm: not for riscv64, aarch64 (WHY)\n"; and per guest for which `best`
 * had to choose: "best for riscv64: sim-interp; passed over: kvm (WHY)\n". */
void plan_left_out(const Plan *p, Buf *out);
void plan_free(Plan *p);
/* As results show it: "kvm", "hvf (double)"; lives as long as the plan. */
const char *plan_shown(const Plan *p, const Job *job);
/* May the case run on the backend, by its `backends:` list? */
bool plan_allows(const Case *c, const char *shown);

/* -k: words, `and`, `or`, `not`, parentheses; neighbouring words are one substring, compared without case. */
MUST_USE int plan_expr_check(const char *expr, Err *err);
bool plan_expr_match(const char *expr, const char *text); /* expr was checked */
/* The backend names that a word of --backend means, appended to out; -ERR_NOENT with did-you-mean. */
MUST_USE int plan_backends(const char *word, Words *out, Err *err);
/* Adds to the plan what the words mean, each backend once. */
MUST_USE int plan_backends_add(const Words *words, Plan *p, Err *err);
/* The best opened backend of the plan for the guest; as select_best(). */
const char *plan_best(const Plan *p, GuestId guest, Buf *reasons);
#endif
