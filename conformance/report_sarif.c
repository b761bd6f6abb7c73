/* SPDX-License-Identifier: Apache-2.0
 * report_sarif.c - SARIF 2.1.0 (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0): one result for each bad one. What passes, is skipped or
 * fails as expected is no finding. */
#include "conformance/report.h"
#include "sim/base/hash.h"
#include "sim/base/json.h"

#include <string.h>

static const struct {
    Status status;
    const char *name, *text;
} RULES[] = {
    {STATUS_failed, "failed", "A backend did not do what the scenario expects of it."},
    {STATUS_error, "error", "A scenario could not be played to its end: the backend crashed, hung or refused."},
    {STATUS_xpassed, "xpassed", "A scenario that is expected to fail passed."},
};

static size_t rule_of(Status s)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(RULES) && RULES[i].status != s) {
        i++;
    }
    return i;
}

static void put_message(Json *j, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    json_open(j, '{');
    json_kstr(j, "text", buf_text(&clean));
    json_close(j, '}');
    buf_free(&clean);
}

static void put_driver(Json *j)
{
    json_key(j, "tool");
    json_open(j, '{');
    json_key(j, "driver");
    json_open(j, '{');
    json_kstr(j, "name", "conf");
    json_kstr(j, "version", CONF_VERSION);
    json_key(j, "rules");
    json_open(j, '[');
    for (size_t i = 0; i < ARRAY_LEN(RULES); i++) {
        json_open(j, '{');
        json_kstr(j, "id", RULES[i].name);
        json_key(j, "shortDescription");
        put_message(j, RULES[i].text);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
    json_close(j, '}');
}

/* A path as a URI reference: RFC 3986, unreserved characters and the slash as they are. */
static void put_uri(Json *j, const char *key, const char *path)
{
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    Buf uri = {0};
    if (path[0] == '/') {
        buf_str(&uri, "file://");
    } else if (!strncmp(path, "./", 2)) {
        path += 2;
    }
    for (; *path; path++) {
        if (strchr(PLAIN, *path)) {
            buf_char(&uri, *path);
        } else {
            buf_printf(&uri, "%%%02X", (unsigned char)*path);
        }
    }
    json_kstr(j, key, buf_text(&uri));
    buf_free(&uri);
}

static void put_location(Json *j, const Result *r)
{
    Pos pos = result_pos(r);
    json_key(j, "locations");
    json_open(j, '[');
    json_open(j, '{');
    json_key(j, "physicalLocation");
    json_open(j, '{');
    json_key(j, "artifactLocation");
    json_open(j, '{');
    put_uri(j, "uri", result_file(r));
    json_close(j, '}');
    json_key(j, "region");
    json_open(j, '{');
    json_ku64(j, "startLine", pos.line ? pos.line : 1);
    if (pos.col) {
        json_ku64(j, "startColumn", pos.col);
    }
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, ']');
}

/* The same as long as the scenario has its name, whatever line it stands on. */
static void put_fingerprint(Json *j, const Result *r)
{
    Buf what = {0};
    uint8_t digest[32];
    char hex[65];
    Sha256 s;
    buf_printf(&what, "%s\n%s\n%s\n%s\n%s", result_file(r), r->c->id, guest_name(r->c->guest), r->backend,
               status_name(r->status));
    sha256_init(&s);
    sha256_add(&s, what.data, what.n);
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    json_key(j, "partialFingerprints");
    json_open(j, '{');
    json_kstr(j, "conf/v1", hex);
    json_close(j, '}');
    buf_free(&what);
}

static void put_result(Json *j, const Run *run, size_t i)
{
    const Line *line = &run->lines.items[i];
    const Result *r = line->r;
    size_t rule = rule_of(r->status);
    int was = run->since ? run->since->was[i] : -1;
    Buf text = {0}, again = {0};
    buf_printf(&text, "%s (%s, %s): %s", r->c->id, guest_name(r->c->guest), r->backend, result_reason(r));
    if (r->failure.n) {
        buf_printf(&text, "\n%s", buf_text(&r->failure));
    }
    result_reproduce(line, &again);
    json_open(j, '{');
    json_kstr(j, "ruleId", RULES[rule].name);
    json_ku64(j, "ruleIndex", rule);
    json_kstr(j, "level", "error");
    if (run->since) {
        json_kstr(j, "baselineState", was >= 0 && status_is_bad((Status)was) ? "unchanged" : "new");
    }
    json_key(j, "message");
    put_message(j, buf_text(&text));
    put_location(j, r);
    put_fingerprint(j, r);
    json_key(j, "properties");
    json_open(j, '{');
    json_kstr(j, "backend", r->backend);
    json_kstr(j, "guest", guest_name(r->c->guest));
    json_kstr(j, "reproduce", buf_text(&again));
    json_close(j, '}');
    json_close(j, '}');
    buf_free(&text);
    buf_free(&again);
}

static void sarif_document(const Run *run, Buf *out)
{
    Json j = json_to(out, 2);
    json_open(&j, '{');
    json_kstr(&j, "$schema",
              "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json");
    json_kstr(&j, "version", "2.1.0");
    json_key(&j, "runs");
    json_open(&j, '[');
    json_open(&j, '{');
    put_driver(&j);
    json_key(&j, "invocations");
    json_open(&j, '[');
    json_open(&j, '{');
    json_kbool(&j, "executionSuccessful", !run->cut_short);
    if (run->cut_short) {
        json_kstr(&j, "exitCodeDescription", run->cut_short);
    }
    json_close(&j, '}');
    json_close(&j, ']');
    json_key(&j, "results");
    json_open(&j, '[');
    for (size_t i = 0; i < run->lines.n; i++) {
        if (status_is_bad(run->lines.items[i].r->status)) {
            put_result(&j, run, i);
        }
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
}

const Reporter reporter_sarif = {
    .name = "sarif",
    .doc = "SARIF 2.1.0, for code scanning: the bad results",
    .document = sarif_document,
};
