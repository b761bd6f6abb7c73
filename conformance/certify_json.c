/* SPDX-License-Identifier: Apache-2.0
 * certify_json.c - the attestation, as docs/attestation.schema.json describes it. */
#include "conformance/certify.h"

#include "conformance/report.h"
#include "sim/base/json.h"

#include <string.h>

static void kclean(Json *j, const char *key, const char *text)
{
    Buf clean = {0};
    if (text) {
        text_clean(&clean, text);
    }
    json_kstr(j, key, text ? buf_text(&clean) : NULL);
    buf_free(&clean);
}

static void put_capabilities(Json *j, const CertifyGuest *g)
{
    json_key(j, "capabilities");
    json_open(j, '[');
    for (int i = 0; i < CAP_COUNT; i++) {
        json_open(j, '{');
        json_kstr(j, "name", cap_name((Cap)i));
        json_kstr(j, "level", cap_level_name(g->caps->level[i]));
        kclean(j, "why", g->caps->why[i]);
        json_kstr(j, "probe", probe_answer_name(g->probes[i].answer));
        kclean(j, "probe_why", g->probes[i].why);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_areas(Json *j, const CertifyGuest *g)
{
    json_key(j, "areas");
    json_open(j, '[');
    for (int a = 0; a < AREA_COUNT; a++) {
        const CertifyTally *t = &g->areas[a];
        json_open(j, '{');
        json_kstr(j, "name", certify_area_name((CertifyArea)a));
        json_kbool(j, "core", certify_area_is_core((CertifyArea)a));
        for (int s = 0; s < STATUS_COUNT; s++) {
            json_ku64(j, status_name((Status)s), t->n[s]);
        }
        json_key(j, "skip_reasons");
        json_open(j, '[');
        for (size_t i = 0; i < t->reasons.n; i++) {
            json_open(j, '{');
            kclean(j, "reason", t->reasons.items[i].text);
            json_ku64(j, "count", t->reasons.items[i].n);
            json_close(j, '}');
        }
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_hostile(Json *j, const CertifyGuest *g)
{
    static const char *const ANSWERS[] = {"stood", "fell", "not tried"};
    json_key(j, "hostile");
    json_open(j, '[');
    for (size_t i = 0; i < hostile_count(); i++) {
        json_open(j, '{');
        json_kstr(j, "name", hostile_name(i));
        json_kstr(j, "answer", ANSWERS[g->hostile[i].answer]);
        kclean(j, "why", g->hostile[i].why);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_guest(Json *j, const CertifyGuest *g)
{
    Buf why = {0};
    Verdict v = certify_guest_verdict(g, &why);
    json_open(j, '{');
    json_kstr(j, "guest", guest_name(g->guest));
    json_kbool(j, "available", g->caps != NULL);
    kclean(j, "reason", g->caps ? NULL : g->reason);
    json_kstr(j, "verdict", verdict_name(v));
    json_kstr(j, "verdict_why", why.n ? buf_text(&why) : NULL);
    if (g->caps) {
        put_capabilities(j, g);
        put_areas(j, g);
        put_hostile(j, g);
        json_key(j, "determinism");
        json_open(j, '{');
        json_ku64(j, "compared", g->ncompared);
        json_ku64(j, "changed", g->nchanged);
        kclean(j, "first_change", g->change);
        json_close(j, '}');
        kclean(j, "first_failure", g->failure);
        kclean(j, "reproduce", g->reproduce);
    }
    json_close(j, '}');
    buf_free(&why);
}

static void put_backend(Json *j, const Certify *c)
{
    json_key(j, "backend");
    json_open(j, '{');
    kclean(j, "asked", c->asked);
    kclean(j, "name", c->shown);
    kclean(j, "version", c->version[0] ? c->version : NULL);
    json_kstr(j, "sha256", c->digest[0] ? c->digest : NULL);
    json_close(j, '}');
}

void certify_json(const Certify *c, Buf *out)
{
    size_t n;
    const char *const *files = certify_kit(&n);
    Json j = json_to(out, 2);
    json_open(&j, '{');
    json_ku64(&j, "schema_version", CERTIFY_SCHEMA_VERSION);
    json_kstr(&j, "kind", "conf attestation");
    json_kstr(&j, "conf_version", CONF_VERSION);
    json_kstr(&j, "date", c->date);
    kclean(&j, "host", c->host);
    put_backend(&j, c);
    json_kstr(&j, "verdict", verdict_name(certify_verdict(c)));
    json_kstr(&j, "cut_short", c->cut_short);
    json_key(&j, "kit");
    json_open(&j, '{');
    json_kstr(&j, "sha256", c->kit);
    json_key(&j, "files");
    json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        json_str(&j, files[i]);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_key(&j, "guests");
    json_open(&j, '[');
    for (size_t i = 0; i < c->nguests; i++) {
        put_guest(&j, &c->guests[i]);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
}
