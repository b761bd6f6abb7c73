/* SPDX-License-Identifier: Apache-2.0
 * result.h - what a run of one case came to: made by story.c, read by reporters, --bless and the REPL. */
#ifndef CONFORMANCE_RESULT_H
#define CONFORMANCE_RESULT_H

#include "conformance/scenario.h"

#define STATUS_MAP(X) X(passed) X(failed) X(error) X(skipped) X(xfailed) X(xpassed)
#define X(name)       STATUS_##name,
typedef enum { STATUS_MAP(X) STATUS_COUNT } Status;
#undef X
const char *status_name(Status s);

typedef enum { TRACE_EXIT, TRACE_OP, TRACE_STEP } TraceKind;
typedef struct { /* one line of the trace, in order over all vcpus */
    TraceKind kind;
    uint8_t vcpu;
    VmExit exit;       /* EXIT */
    ItemKind shown_as; /* EXIT: DONE and TRAP where the kit's doorbell rang; else ITEM_EXIT */
    uint64_t trap[3];  /* TRAP: cause number, address, error code */
    uint64_t trap_pc;  /* TRAP: of the instruction that trapped */
    uint8_t trap_has;  /* TRAP: 1 the address, 2 the error code are valid */
    LifeOp op;         /* OP */
    uint8_t from, to;
    int rc;
    Pos pos;          /* EXIT: the item that matched; STEP: the step; line 0 = none */
    const char *text; /* ready to print: "mmio_write addr port size 1 data 3 pc report" (symbols resolved) */
} TraceEntry;
enum { TRACE_HEAD = 256, TRACE_TAIL = 256 };
typedef struct Result {
    const Case *c;
    const char *backend; /* as shown: "kvm", "kvm@nested", "hvf (double)" */
    Status status;
    Buf reason;   /* one sentence: why skipped, failed, in error; empty when passed */
    Buf failure;  /* the annotated text of a failure or error, several lines, without colour; empty when passed */
    Pos fail_pos; /* the place in the suite that failed; line 0 = none */
    VEC(TraceEntry)
    trace; /* bounded: the first TRACE_HEAD and the last TRACE_TAIL entries; trace_dropped between them */
    size_t trace_dropped;
    Arena *arena; /* of the trace's texts */
    uint64_t nexits, ntransitions, duration_ns, seed;
    struct CovJob *coverage; /* what it reached; NULL: not asked for, or poured out already */
} Result;
void result_free(Result *r); /* what it owns, not r */
#endif
