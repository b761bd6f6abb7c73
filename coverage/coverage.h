/* SPDX-License-Identifier: Apache-2.0
 * coverage.h - what a set of runs has reached: the model in memory, its file, and what is computed from it.
 *
 *   item      one thing that can be reached: (kind, name), in a group. "lifecycle", "virtualcpu pause in Ready", in group
 *             "virtualcpu legal"; kinds are listed in kinds.def, but a file may hold others. The listed items of a kind are
 *             its universe, the denominator of a percentage; what was reached without being listed is kept and shown, and
 *             counts in no percentage.
 *   context   where: backend as results show it ("kvm@nested"), guest ("x86_64") and engine of the simulator ("jit", else
 *             ""). All three empty: the program itself, as gcov sees it.
 *   scenario  by what: "exits.yaml::halt", the id in reports; for gcov what was run ("unit tests").
 *   hit       item x context x scenario -> count. What is counted is the collector's (docs/coverage.md): for code that the
 *             simulator translates it is translations, not executions. Counts add up and stop at 2^64 - 1.
 *   rule      why some items cannot be reached in some contexts: four patterns, where * stands for any text, and a reason.
 *             An item is left out of a percentage where a rule or its own scope excludes it, unless it was reached there
 *             all the same, which coverage_contradictions() tells.
 *   run       the ids of the runs that were added up. Merging what was merged already changes nothing.
 *
 * Indices (uint32_t) stay valid while the Coverage lives: tables only grow. Texts live as long as it. Not thread-safe; one
 * that is only read may be read by many threads.
 *
 *     Coverage *all = coverage_new();
 *     for each file: { Coverage *c; rc = coverage_load(path, &c, &err); rc = rc ? rc : coverage_merge(all, c, &err); .. }
 *     CovMatrix m; coverage_matrix(all, &m);
 *     CovTally t; coverage_tally(all, &m, &t);      // t.rows: covered and total per kind, group and backend
 */
#ifndef COVERAGE_COVERAGE_H
#define COVERAGE_COVERAGE_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COV_VERSION = 1,         /* of the file; grows when a key changes its meaning or a key is added */
    COV_TEXT_MAX = 2048,     /* bytes of a name; longer ones are refused */
    COV_ITEMS_MAX = 1 << 22, /* what a file may hold */
    COV_CONTEXTS_MAX = 1 << 12,
    COV_SCENARIOS_MAX = 1 << 20,
    COV_RULES_MAX = 1 << 16,
    COV_RUNS_MAX = 1 << 16,
    COV_FILE_MAX = 1 << 29, /* bytes */
};
#define COV_NONE UINT32_MAX

typedef struct {
    uint32_t kind; /* into kinds */
    const char *group, *name;
    const char *scope; /* pattern of the backends that could have it: "*", "sim-*", "" (the program itself) */
    bool is_listed;    /* of the universe */
} CovItem;
typedef struct {
    const char *backend, *guest, *engine;
} CovContext;
typedef struct {
    uint32_t item, context, scenario;
    uint64_t count;
} CovHit;
typedef struct {
    const char *kind;                   /* exactly */
    const char *item, *backend, *guest; /* patterns */
    const char *reason;
} CovRule;
typedef struct Coverage { /* to be read; filled by the functions below */
    VEC(const char *) kinds, scenarios, runs;
    VEC(CovItem) items;
    VEC(CovContext) contexts;
    VEC(CovRule) rules;
    VEC(CovHit) hits; /* each (item, context, scenario) once, in no order */
    Arena *arena;
    struct CovIndex *index;
} Coverage;

Coverage *coverage_new(void);
void coverage_free(Coverage *c); /* NULL is fine */

/* ---- filling: each finds what is there already ---- */
/* An item of the universe. The first group and scope that are given stay. */
uint32_t coverage_item(Coverage *c, const char *kind, const char *group, const char *name, const char *scope);
/* What was reached, listed or not. */
uint32_t coverage_found(Coverage *c, const char *kind, const char *group, const char *name);
uint32_t coverage_context(Coverage *c, const char *backend, const char *guest, const char *engine);
uint32_t coverage_scenario(Coverage *c, const char *id);
void coverage_hit(Coverage *c, uint32_t item, uint32_t context, uint32_t scenario, uint64_t n); /* n 0: nothing */
void coverage_rule(Coverage *c, const CovRule *rule);
void coverage_run(Coverage *c, const char *id);

/* ---- files: docs/coverage.md ---- */
/* The same content gives the same bytes, in whatever order it was added. */
void coverage_write(const Coverage *c, Buf *out);
MUST_USE int coverage_save(const Coverage *c, const char *path, Err *err);
/* name is for messages. -ERR_VERSION, or -ERR_INVAL, -ERR_LIMIT with NAME:LINE:COLUMN; *out is NULL then. */
MUST_USE int coverage_read(const char *name, const void *bytes, size_t n, Coverage **out, Err *err);
MUST_USE int coverage_load(const char *path, Coverage **out, Err *err);
/* Adds all of from to into. Nothing to do if into holds all of from's runs already; -ERR_EXIST, with nothing changed, if it
 * holds some of them, as they cannot be told apart. */
MUST_USE int coverage_merge(Coverage *into, const Coverage *from, Err *err);

/* ---- looking ---- */
uint32_t coverage_kind_find(const Coverage *c, const char *kind);                   /* COV_NONE if none */
uint32_t coverage_item_find(const Coverage *c, const char *kind, const char *name); /* COV_NONE if none */
const char *coverage_kind_title(const char *kind);     /* "exit reasons"; the kind itself if kinds.def has none */
int coverage_kind_order(const char *a, const char *b); /* as strcmp: by kinds.def, then by name */
bool coverage_matches(const char *pattern, const char *text);
/* Why the item cannot be reached in the context; NULL = it could be. "" = out of its scope. */
const char *coverage_excluded(const Coverage *c, uint32_t item, uint32_t context);

/* Who reached what, by backend: backends in the order of their names, "" (the program) first if there is one. */
typedef enum {
    COV_OPEN,     /* could be reached there, in one guest at least */
    COV_EXCLUDED, /* by a rule, in all guests that there are */
    COV_FOREIGN,  /* out of the item's scope, or not listed */
} CovState;
typedef struct {
    size_t nitems, nbackends;
    const char **backends;
    uint64_t *count; /* [item * nbackends + backend], over guests and scenarios */
    uint8_t *state;  /* CovState, likewise */
} CovMatrix;
void coverage_matrix(const Coverage *c, CovMatrix *out);
void coverage_matrix_free(CovMatrix *m);

typedef struct {
    uint32_t kind;
    const char *group;       /* NULL: all groups of the kind */
    const char *backend;     /* NULL: all backends together: reached in one of them, excluded in all */
    uint64_t total, covered; /* of the items that could be reached; a contradicted exclusion counts in both */
    uint64_t excluded;       /* by a rule */
    uint64_t unlisted;       /* reached without being listed */
} CovRow;
typedef struct {
    VEC(CovRow)
    rows; /* by kind in kinds.def's order, group (NULL first), backend (NULL first); no row without any item */
} CovTally;
void coverage_tally(const Coverage *c, const CovMatrix *m, CovTally *out);
void coverage_tally_free(CovTally *t);
/* 100 where there is nothing to be covered. */
double coverage_percent(const CovRow *row);

/* Items that were reached where a rule says that they cannot be: one line each, "KIND NAME on BACKEND: REASON\n". */
size_t coverage_contradictions(const Coverage *c, Buf *out);
#endif
