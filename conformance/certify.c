/* SPDX-License-Identifier: Apache-2.0
 * certify.c - areas, verdicts, the badge and the summary. */
#include "conformance/certify.h"

#include "sim/base/mem.h"

#include <inttypes.h>
#include <string.h>

#define KIT(file, area)
#define AREA(name, is_core, doc) {#name, is_core},
static const struct {
    const char *name;
    bool is_core;
} AREAS[] = {
#include "conformance/certify_areas.def"
};
#undef AREA
#undef KIT
#define AREA(name, is_core, doc)
#define KIT(file, area) file,
static const char *const KIT_FILES[] = {
#include "conformance/certify_areas.def"
};
#undef KIT
#define KIT(file, area) AREA_##area,
static const CertifyArea KIT_AREAS[] = {
#include "conformance/certify_areas.def"
};
#undef AREA
#undef KIT

const char *certify_area_name(CertifyArea a)
{
    return AREAS[a].name;
}

bool certify_area_is_core(CertifyArea a)
{
    return AREAS[a].is_core;
}

const char *const *certify_kit(size_t *n)
{
    *n = ARRAY_LEN(KIT_FILES);
    return KIT_FILES;
}

CertifyArea certify_area_of(const Case *c)
{
    const char *slash = strrchr(c->suite->file, '/');
    const char *file = slash ? slash + 1 : c->suite->file;
    for (size_t i = 0; i < ARRAY_LEN(KIT_FILES); i++) {
        if (!strcmp(KIT_FILES[i], file)) {
            return c->needs[CAP_save] ? AREA_save_restore : KIT_AREAS[i];
        }
    }
    return AREA_COUNT;
}

/* ---- verdicts ---- */
const char *verdict_name(Verdict v)
{
    static const char *const NAMES[] = {"certified", "refused", "incomplete", "nothing ran"};
    return NAMES[v];
}

static uint64_t bad_of(const CertifyTally *t)
{
    return t->n[STATUS_failed] + t->n[STATUS_error] + t->n[STATUS_xpassed];
}

static uint64_t sum(const CertifyGuest *g, Status status)
{
    uint64_t n = 0;
    for (int a = 0; a < AREA_COUNT; a++) {
        n += g->areas[a].n[status];
    }
    return n;
}

static uint64_t count_contradicted(const CertifyGuest *g)
{
    uint64_t n = 0;
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        n += g->probes[cap].answer == PROBE_CONTRADICTED;
    }
    return n;
}

static uint64_t count_fallen(const CertifyGuest *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < hostile_count(); i++) {
        n += g->hostile[i].answer == HOSTILE_FELL;
    }
    return n;
}

static void why_count(Buf *out, uint64_t n, const char *what)
{
    if (n) {
        buf_printf(out, "%s%" PRIu64 " %s", out->n ? ", " : "", n, what);
    }
}

Verdict certify_guest_verdict(const CertifyGuest *g, Buf *why)
{
    Buf none = {0}, *out = why ? why : &none;
    uint64_t bad = 0;
    Verdict v = VERDICT_CERTIFIED;
    for (int a = 0; g->caps && a < AREA_COUNT; a++) {
        bad += bad_of(&g->areas[a]);
    }
    if (!g->caps) {
        buf_str(out, "not available");
        v = VERDICT_NOTHING;
    } else if (count_contradicted(g) || bad || count_fallen(g) || g->nchanged) {
        why_count(out, bad, "bad results");
        why_count(out, count_contradicted(g), "claims contradicted");
        why_count(out, count_fallen(g), "hostile checks lost");
        why_count(out, g->nchanged, "results changed");
        v = VERDICT_REFUSED;
    } else if (!sum(g, STATUS_passed)) {
        buf_str(out, "every scenario was skipped");
        v = VERDICT_NOTHING;
    } else if (g->caps->level[CAP_executes] < CAP_PARTIAL) {
        buf_str(out, "it runs no guest code: what was played is its script");
        v = VERDICT_INCOMPLETE;
    }
    for (int a = 0; v == VERDICT_CERTIFIED && a < AREA_COUNT; a++) {
        if (AREAS[a].is_core && !g->areas[a].n[STATUS_passed]) {
            buf_printf(out, "nothing passed in the area %s", AREAS[a].name);
            v = VERDICT_INCOMPLETE;
        }
    }
    buf_free(&none);
    return v;
}

Verdict certify_verdict(const Certify *c)
{
    /* from good to bad; NOTHING of one guest says nothing of another */
    static const Verdict order[] = {VERDICT_REFUSED, VERDICT_INCOMPLETE, VERDICT_CERTIFIED};
    for (size_t k = 0; k < ARRAY_LEN(order); k++) {
        for (size_t i = 0; i < c->nguests; i++) {
            Verdict v = certify_guest_verdict(&c->guests[i], NULL);
            if (v == order[k]) {
                return v == VERDICT_CERTIFIED && c->cut_short ? VERDICT_INCOMPLETE : v;
            }
        }
    }
    return VERDICT_NOTHING;
}

/* ---- the badge ---- */
/* Two boxes with text, in the way such badges look; Verdana's mean advance at 11 px is about 7. */
void certify_badge(const Certify *c, Buf *out)
{
    static const char *const COLOURS[] = {"#2d7d46", "#b3261e", "#8a6d00", "#5f6368"};
    Verdict v = certify_verdict(c);
    Buf right = {0};
    buf_str(&right, verdict_name(v));
    for (size_t i = 0; i < c->nguests && v == VERDICT_CERTIFIED; i++) {
        if (certify_guest_verdict(&c->guests[i], NULL) == v) {
            buf_printf(&right, " %s", guest_name(c->guests[i].guest));
        }
    }
    unsigned left_px = 7 * (unsigned)strlen("conf " CONF_VERSION) + 10, right_px = 7 * (unsigned)right.n + 10;
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"20\" role=\"img\" aria-label=\"conf: %s\">\n"
        "  <title>conf " CONF_VERSION ": %s</title>\n"
        "  <rect width=\"%u\" height=\"20\" fill=\"#3c4043\"/>\n"
        "  <rect x=\"%u\" width=\"%u\" height=\"20\" fill=\"%s\"/>\n"
        "  <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n"
        "    <text x=\"%u\" y=\"14\">conf " CONF_VERSION "</text>\n"
        "    <text x=\"%u\" y=\"14\">%s</text>\n"
        "  </g>\n"
        "</svg>\n",
        left_px + right_px, buf_text(&right), buf_text(&right), left_px, left_px, right_px, COLOURS[v], left_px / 2,
        left_px + right_px / 2, buf_text(&right));
    buf_free(&right);
}

/* ---- the summary ---- */
static void text_areas(const CertifyGuest *g, Buf *out)
{
    for (int a = 0; a < AREA_COUNT; a++) {
        const CertifyTally *t = &g->areas[a];
        buf_printf(
            out, "  %-13s %4" PRIu64 " passed  %3" PRIu64 " bad  %3" PRIu64 " skipped  %3" PRIu64 " expected to fail\n",
            AREAS[a].name, t->n[STATUS_passed], bad_of(t), t->n[STATUS_skipped], t->n[STATUS_xfailed]);
        if (!t->n[STATUS_passed] && t->reasons.n) {
            buf_printf(out, "                (%" PRIu64 " times: %s)\n", t->reasons.items[0].n,
                       t->reasons.items[0].text);
        }
    }
}

static void text_checks(const CertifyGuest *g, Buf *out)
{
    uint64_t held = 0, accepted = 0, stood = 0, untried = 0;
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        held += g->probes[cap].answer == PROBE_HELD;
        accepted += g->probes[cap].answer == PROBE_ACCEPTED;
    }
    for (size_t i = 0; i < hostile_count(); i++) {
        stood += g->hostile[i].answer == HOSTILE_STOOD;
        untried += g->hostile[i].answer == HOSTILE_NOT_TRIED;
    }
    buf_printf(out, "  %-13s %4" PRIu64 " held    %3" PRIu64 " accepted  %" PRIu64 " contradicted\n", "capabilities",
               held, accepted, count_contradicted(g));
    buf_printf(out, "  %-13s %4" PRIu64 " stood   %3" PRIu64 " fell  %" PRIu64 " not tried\n", "hostile use", stood,
               count_fallen(g), untried);
    if (g->ncompared) {
        buf_printf(out, "  %-13s %4" PRIu64 " results again, on other threads: %" PRIu64 " changed\n", "determinism",
                   g->ncompared, g->nchanged);
    } else {
        buf_printf(out, "  %-13s not tried: it comes last, when nothing else is wrong\n", "determinism");
    }
}

/* What is wrong, one thing after the other, and how to see it. */
static void text_wrong(const Certify *c, const CertifyGuest *g, Buf *out)
{
    const char *guest = guest_name(g->guest);
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        if (g->probes[cap].answer == PROBE_CONTRADICTED) {
            buf_printf(out, "\n  CLAIM  %s is declared full, but %s\n", cap_name((Cap)cap), g->probes[cap].why);
            buf_printf(out,
                       "  do     mend it, or declare less in open() with the reason; conf backends --backend '%s' "
                       "--guest %s --verify\n",
                       c->asked, guest);
        }
    }
    for (size_t i = 0; i < hostile_count(); i++) {
        if (g->hostile[i].answer == HOSTILE_FELL) {
            buf_printf(out, "\n  FELL   %s (%s): %s\n", hostile_name(i), hostile_doc(i), g->hostile[i].why);
        }
    }
    if (g->nchanged) {
        buf_printf(out,
                   "\n  CHANGED %s\n  do     look for state that is shared between VMs, or not set up anew; conf run "
                   "with -j 1\n",
                   g->change);
    }
    if (g->failure) {
        buf_printf(out, "\n  The first of the bad results:\n%s", g->failure);
        buf_printf(out, "  do     play it alone, with its trace: %s -v\n", g->reproduce);
    }
}

void certify_text(const Certify *c, Buf *out)
{
    buf_printf(out, "%s%s%s on %s, conf " CONF_VERSION "\n", c->shown, c->version[0] ? " " : "", c->version, c->host);
    for (size_t i = 0; i < c->nguests; i++) {
        const CertifyGuest *g = &c->guests[i];
        Buf why = {0};
        Verdict v = certify_guest_verdict(g, &why);
        if (!g->caps) {
            buf_printf(out, "%s: not available: %s\n", guest_name(g->guest), g->reason);
        } else {
            buf_printf(out, "%s: %s%s%s\n", guest_name(g->guest), verdict_name(v), why.n ? ": " : "", buf_text(&why));
            text_areas(g, out);
            text_checks(g, out);
            text_wrong(c, g, out);
        }
        buf_free(&why);
    }
    if (c->cut_short) {
        buf_printf(out, "cut short by %s\n", c->cut_short);
    }
    buf_printf(out, "%s: %s\n", c->shown, verdict_name(certify_verdict(c)));
}

void certify_free(Certify *c)
{
    for (size_t i = 0; i < c->nguests; i++) {
        CertifyGuest *g = &c->guests[i];
        for (int cap = 0; cap < CAP_COUNT; cap++) {
            mem_free(g->probes[cap].why);
        }
        for (size_t k = 0; g->hostile && k < hostile_count(); k++) {
            mem_free(g->hostile[k].why);
        }
        for (int a = 0; a < AREA_COUNT; a++) {
            VEC_FREE(&g->areas[a].reasons);
        }
        mem_free(g->hostile);
        mem_free(g->change);
        mem_free(g->failure);
        mem_free(g->reproduce);
    }
}
