/* SPDX-License-Identifier: Apache-2.0
 * report.h - what a run says: one reporter per format, each a report_<format>.c and a line in reporters.def.
 *
 * A Run is told of each result once, in job order, on one thread. `pretty` writes while the run goes on; the other
 * formats are documents, made of all results at the end (also of a run that a signal ended: they are then marked
 * partial). Files are written whole or not at all. Results are kept until run_free, without their traces. */
#ifndef CONFORMANCE_REPORT_H
#define CONFORMANCE_REPORT_H

#include "conformance/cli.h"
#include "conformance/result.h"

typedef struct Run Run;
typedef struct {
    const Result *r;
    const char *asked; /* the backend as the command line spells it, for `reproduce:` */
    char *kept;        /* what a reporter's keep() made of it, owned; NULL = nothing */
} Line;
typedef struct {
    uint64_t n[STATUS_COUNT], total, duration_ns;
} Tally;
typedef struct {
    const char *name;                                           /* "pretty" */
    const char *doc;                                            /* for --help */
    bool is_bare;                                               /* without =PATH it goes to stdout */
    void (*document)(const Run *run, Buf *out);                 /* NULL for pretty */
    void (*result)(const Run *run, const Line *line, Buf *out); /* pretty: as it comes */
    void (*end)(const Run *run, Buf *out);
    void (*keep)(const Line *line,
                 Buf *out); /* text for the document that only the trace has; at most one reporter has it */
} Reporter;
#define REPORTER(name) extern const Reporter reporter_##name;
#include "conformance/reporters.def"
#undef REPORTER
const Reporter *const *reporter_list(size_t *n);

typedef struct {
    const Reporter *reporter;
    const char *path; /* "-" = stdout */
} Report;
typedef struct { /* what differs in the coverage of a kind, all backends together: before, and now */
    const char *kind;
    uint64_t covered[2], total[2];
    VEC(const char *) only[2]; /* items that were reached before only (lost), now only (gained) */
} SinceCovered;
typedef struct {         /* what an earlier run came to, for formats that say what has changed */
    const char *against; /* "run 12 of main, 0123456789, 2026-11-26 04:27" */
    const int8_t *was;   /* by line: its status there, -1: it was not part of it */
    size_t ngone;        /* results that it had and this one has not */
    bool has_coverage;   /* both runs looked */
    VEC(SinceCovered) covered;
} RunSince;
typedef struct {
    bool is_verbose; /* also passing results, with their traces */
    bool is_quiet;   /* pretty: the summary only */
    ColorMode color;
    uint64_t seed;
} RunView;
struct Run {
    RunView view;
    VEC(Report) reports;
    VEC(Line) lines; /* in job order */
    Tally tally;
    size_t njobs;          /* planned */
    const char *left_out;  /* lines on what was not even planned; NULL = nothing */
    const RunSince *since; /* NULL = nothing is known */
    const char *cut_short; /* why not all of them ran: "SIGINT", "--fail-fast"; NULL = all did */
    FILE *out;             /* of pretty; stdout, or stderr when a document goes to stdout */
    bool has_color, has_progress;
};
/* "junit=out.xml"; -ERR_INVAL with did-you-mean. The text is borrowed. */
MUST_USE int run_report_add(Run *run, const char *text, Err *err);
/* Call once after the reports were added: chooses where pretty goes, adds it if no report takes its place. */
void run_begin(Run *run, size_t njobs);
/* Takes what *r owns, and empties it. */
void run_result(Run *run, Result *r, const char *asked);
bool status_is_bad(Status s);      /* failed, error, xpassed: what makes run_status CONF_FAILURES */
void run_progress(const Run *run); /* redraws the progress line, if there is one */
/* Says how long it took and why it ended: before run_end, for who looks at the run in between. cut_short as in Run. */
void run_close(Run *run, const char *cut_short, uint64_t duration_ns);
/* Writes the summary and the documents of a run that was closed. Errors of writing are told on stderr; returns -ERR_IO
 * then. */
MUST_USE int run_end(Run *run);
int run_status(const Run *run); /* CONF_OK or CONF_FAILURES */
void run_free(Run *run);

/* ---- for reporters ---- */
const char *result_file(const Result *r);
/* One line that says what is wrong: the reason, or the status's name. */
const char *result_reason(const Result *r);
/* Where: the place that failed, or the scenario's. */
Pos result_pos(const Result *r);
/* conf run FILE::ID --backend B --guest G --seed N */
void result_reproduce(const Line *line, Buf *out);
/* UTF-8 without control characters but \n and \t: anything else becomes U+FFFD; so it may stand in XML 1.0 and YAML. */
void text_clean(Buf *out, const char *text);
/* The document of reporter_json; with_traces: with what keep() has kept. */
void report_json_document(const Run *run, bool with_traces, Buf *out);
#endif
