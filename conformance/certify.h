/* SPDX-License-Identifier: Apache-2.0
 * certify.h - what a backend did with the conformance kit, and what is made of it: an attestation (JSON, docs/attestation.schema.json), a badge
 * (SVG) and a summary for people. cmd_certify.c fills it. */
#ifndef CONFORMANCE_CERTIFY_H
#define CONFORMANCE_CERTIFY_H

#include "conformance/hostile.h"
#include "conformance/probe.h"
#include "conformance/result.h"

enum { CERTIFY_SCHEMA_VERSION = 1 };
#define AREA(name, is_core, doc) AREA_##name,
#define KIT(file, area)
typedef enum {
#include "conformance/certify_areas.def"
    AREA_COUNT
} CertifyArea;
#undef AREA
#undef KIT
const char *certify_area_name(CertifyArea a);
bool certify_area_is_core(CertifyArea a);
/* The area of a case by its suite's file name and needs; AREA_COUNT: not of the kit. */
CertifyArea certify_area_of(const Case *c);
/* The n file names of the kit, in order. */
const char *const *certify_kit(size_t *n);

typedef struct {
    const char *text; /* why so many were skipped */
    uint64_t n;
} CertifyReason;
typedef struct {
    uint64_t n[STATUS_COUNT];
    VEC(CertifyReason) reasons; /* of skipped ones, the most frequent first */
} CertifyTally;
typedef struct {
    HostileAnswer answer;
    char *why; /* unless it stood */
} CertifyHostile;
typedef struct {
    ProbeAnswer answer;
    char *why; /* contradicted */
} CertifyProbe;
typedef struct {
    GuestId guest;
    const Caps *caps;   /* borrowed; NULL: not available */
    const char *reason; /* NULL caps: why */
    CertifyProbe probes[CAP_COUNT];
    CertifyTally areas[AREA_COUNT];
    CertifyHostile *hostile;      /* hostile_count() */
    uint64_t ncompared, nchanged; /* determinism: results that were had again, and that were others */
    char *change;                 /* the first of them */
    char *failure;                /* the first bad result: its annotated text, several lines */
    char *reproduce;              /* the command that plays it again */
} CertifyGuest;
typedef enum { VERDICT_CERTIFIED, VERDICT_REFUSED, VERDICT_INCOMPLETE, VERDICT_NOTHING } Verdict;
typedef struct {
    const char *asked;     /* "plugin:./libmine.so" */
    const char *shown;     /* "mine"; its own name */
    char version[64];      /* what its ctl `version` answers; "" = it has none */
    char digest[65];       /* of a plugin's file, SHA-256; "" = not a plugin */
    char date[32];         /* "2026-11-26T00:40:00Z" */
    char host[256];        /* "Linux 6.1.0 x86_64" */
    char kit[65];          /* SHA-256 of the kit's files */
    const char *cut_short; /* NULL = it ran to its end */
    CertifyGuest guests[GUEST_COUNT];
    size_t nguests;
} Certify;

/* CERTIFIED: nothing bad, and every core area has passed something. INCOMPLETE: nothing bad, but a core area is empty, it runs no
 * guest code, or it was cut short. NOTHING: no guest, or every result skipped. */
Verdict certify_guest_verdict(const CertifyGuest *g, Buf *why); /* why: a clause, appended; NULL = not wanted */
Verdict certify_verdict(const Certify *c);                      /* the worst of its available guests */
const char *verdict_name(Verdict v); /* "certified", "refused", "incomplete", "nothing ran" */
void certify_json(const Certify *c, Buf *out);
void certify_badge(const Certify *c, Buf *out);
void certify_text(const Certify *c, Buf *out);
void certify_free(Certify *c);
#endif
