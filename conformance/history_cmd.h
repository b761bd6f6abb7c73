/* SPDX-License-Identifier: Apache-2.0
 * history_cmd.h - the parts of `conf history`: cmd_history.c parses and opens, history_list.c and history_ask.c answer. */
#ifndef CONFORMANCE_HISTORY_CMD_H
#define CONFORMANCE_HISTORY_CMD_H

#include "conformance/plan.h"
#include "conformance/table.h"
#include "coverage/history/history.h"
#include "sim/base/json.h"

typedef struct {
    const char *where; /* --history; NULL = the default */
    bool is_json, is_verbose, is_help;
    HistoryFilter filter; /* --branch --host --commit --since --until --last */
    const char *suite, *guest, *backend, *kind;
    /* add */
    HistoryRun run;
    const char *at;
    /* prune */
    HistoryPrune prune;
    Words words;
} HistoryCommand;
typedef int HistoryAsk(History *h, const HistoryCommand *c, Buf *out, Err *err); /* a status of cmd.h, or -ERR_x */
HistoryAsk history_cmd_add, history_cmd_list, history_cmd_show, history_cmd_compare, history_cmd_when,
    history_cmd_changes, history_cmd_flaky, history_cmd_slowest, history_cmd_trends, history_cmd_bench,
    history_cmd_prune, history_cmd_merge, history_cmd_check;

/* ---- for them ---- */
/* The runs of the filter, and their results. -ERR_NOENT: there are none. */
MUST_USE int history_cmd_view(History *h, const HistoryCommand *c, unsigned what, const char *scenario,
                              HistoryView **out, Err *err);
/* "2026-11-26 04:27" */
void history_put_time(int64_t ms, char out[32]);
/* "1.234 ms" */
void history_put_ns(double ns, char out[32]);
/* 10 letters of the commit, with + if the tree had changes; "-" if it is not known. */
void history_put_commit(const HistoryRun *r, char out[16]);
void history_json_begin(Json *j, Buf *out, const char *key); /* {"schema_version": 1, key: [ */
void history_json_end(Json *j, Buf *out);
void history_json_run(Json *j, const char *key, const HistoryRun *r);            /* key NULL: an element */
void history_json_case(Json *j, const HistoryView *v, size_t c, size_t backend); /* its keys */
void history_json_real(Json *j, const char *key, double value);
#endif
