/* SPDX-License-Identifier: Apache-2.0
 * bless_edit.c - finds the lines of a run list by the nodes of the parsed suite, and exchanges them. */
#include "conformance/bless_edit.h"

#include "conformance/bless.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <string.h>

/* The map of the case's scenario; NULL when the suite was not made from YAML. */
static const Node *scenario_node(const Case *c, const Node **next)
{
    const Node *list = c->suite->root ? node_get(c->suite->root, "scenarios") : NULL;
    *next = NULL;
    for (size_t i = 0; list && list->kind == NODE_SEQ && i < list->n; i++) {
        const Node *name = node_get(list->items[i], "name");
        if (name && name->text && !strcmp(name->text, c->name)) {
            *next = i + 1 < list->n ? list->items[i + 1] : NULL;
            return list->items[i];
        }
    }
    return NULL;
}

/* Lines [first, end) of the value of `run` and the column of its key; end UINT32_MAX: to the end of the file. */
typedef struct {
    uint32_t first, end, column;
} Place;

static int find_place(const Case *c, Place *out, Err *err)
{
    const Node *next = NULL;
    const Node *scenario = scenario_node(c, &next);
    const Node *key = scenario ? node_key(scenario, "run") : NULL;
    if (!key) {
        return err_set(err, ERR_UNSUPPORTED, "its story is not one `run:` of a YAML file");
    }
    if (c->row || node_get(scenario, "each")) {
        return err_set(err, ERR_UNSUPPORTED, "one list stands for several rows");
    }
    if (c->nvcpus > 1 || node_get(scenario, "run")->kind == NODE_MAP) {
        return err_set(err, ERR_UNSUPPORTED, "there is a list per vcpu");
    }
    *out = (Place){.first = key->pos.line, .end = next ? next->pos.line : UINT32_MAX, .column = key->pos.col};
    for (size_t i = 0; i < scenario->n; i++) {
        uint32_t line = scenario->keys[i]->pos.line;
        if (line == key->pos.line && scenario->keys[i] != key) {
            return err_set(err, ERR_UNSUPPORTED, "another key stands on its line");
        }
        if (line > out->first && line < out->end) {
            out->end = line;
        }
    }
    for (size_t i = 0; i < c->suite->root->n; i++) {
        uint32_t line = c->suite->root->keys[i]->pos.line;
        if (line > out->first && line < out->end) {
            out->end = line;
        }
    }
    return 0;
}

/* Offset of line `number` (from 1), or n. */
static size_t line_at(const char *text, size_t n, uint32_t number)
{
    size_t at = 0;
    for (uint32_t line = 1; line < number && at < n; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        at = end ? (size_t)(end - text) + 1 : n;
    }
    return at;
}

/* Blank lines and comments before the next key belong to that. */
static size_t without_tail(const char *text, size_t from, size_t end)
{
    while (end > from) {
        size_t start = end - 1;
        while (start > from && text[start - 1] != '\n') {
            start--;
        }
        size_t gap = strspn(text + start, " \t\r");
        char c = start + gap < end ? text[start + gap] : '\n';
        if (start == from || (c != '\n' && c != '#')) {
            break;
        }
        end = start;
    }
    return end;
}

int bless_splice(const char *text, size_t n, const Case *c, const char *items, Buf *out, Err *err)
{
    Place place = {0};
    int rc = find_place(c, &place, err);
    if (rc) {
        return rc;
    }
    size_t start = line_at(text, n, place.first);
    size_t end = without_tail(text, start, line_at(text, n, place.end));
    size_t indent = place.column - 1; /* counted from 1 */
    if (start + indent + 4 > n || memcmp(text + start + indent, "run:", 4) != 0) {
        return err_set(err, ERR_UNSUPPORTED, "the file's text is not what was loaded");
    }
    buf_bytes(out, text, start + indent);
    buf_str(out, "run:\n");
    for (const char *p = items; *p;) {
        size_t length = strcspn(p, "\n");
        buf_printf(out, "%*s%.*s\n", (int)indent, "", (int)length, p);
        p += length + (p[length] == '\n');
    }
    buf_bytes(out, text + end, n - end);
    return 0;
}

/* ---- collecting and writing ---- */

static bool is_expected(const Case *c, const TraceEntry *e)
{
    uint64_t ignored = 0;
    for (size_t i = 0; i < c->nsteps; i++) {
        ignored |= c->steps[i].kind == STEP_run ? c->steps[i].run.ignore : 0;
    }
    bool is_ignored = e->shown_as == ITEM_EXIT && (ignored >> e->exit.kind & 1);
    return e->kind != TRACE_EXIT || e->pos.line || e->exit.is_completed || is_ignored;
}

/* Did a run list, and not something else such as `expect`, see what it did not expect? */
static bool has_mismatch(const Result *r)
{
    for (size_t i = 0; i < r->trace.n; i++) {
        if (!is_expected(r->c, &r->trace.items[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < r->c->nsteps && r->status == STATUS_failed; i++) {
        const RunStep *run = &r->c->steps[i].run;
        for (size_t k = 0; r->c->steps[i].kind == STEP_run && k < run->nlists; k++) {
            const RunList *list = &run->lists[k];
            uint32_t last = list->n ? list->items[list->n - 1].pos.line : list->pos.line;
            if (r->fail_pos.line >= r->c->steps[i].pos.line && r->fail_pos.line <= last) {
                return true;
            }
        }
    }
    return false;
}

void bless_collect(void *ctx, const Job *job, Result *r)
{
    Bless *b = ctx;
    bool is_over = r->status == STATUS_passed || r->status == STATUS_failed;
    if (!(is_over && has_mismatch(r)) && r->status != STATUS_error) {
        return;
    }
    const char *refusal = bless_refusal(r);
    Blessed one = {.c = job->c, .backend = r->backend, .refusal = refusal ? x_strdup(refusal) : NULL};
    bless_print(r, &one.items);
    if (one.items.n || refusal) {
        VEC_PUSH(&b->items, one);
    } else {
        buf_free(&one.items);
    }
}

static bool is_same_scenario(const Case *a, const Case *b)
{
    return a->suite == b->suite && !strcmp(a->name, b->name);
}

/* The items of one scenario must be whole, and agree over guests and backends; else there is no one list to write. */
static int check_group(const Bless *b, size_t from, size_t end, Err *err)
{
    for (size_t i = from; i < end; i++) {
        const Blessed *one = &b->items.items[i];
        if (one->refusal) {
            return err_set(err, ERR_UNSUPPORTED, "%s", one->refusal);
        }
        if (strcmp(buf_text(&one->items), buf_text(&b->items.items[from].items)) != 0) {
            return err_set(err, ERR_UNSUPPORTED, "guests or backends disagree");
        }
    }
    return 0;
}

static void paste(const Bless *b, size_t from, size_t end, const char *why, FILE *log)
{
    const Case *c = b->items.items[from].c;
    fprintf(log, "%s:%u: `%s` is not changed: %s. Observed:\n", c->suite->file, c->pos.line, c->name, why);
    for (size_t i = from; i < end; i++) {
        const Blessed *one = &b->items.items[i];
        fprintf(log, "  # %s, %s, %s\n", one->c->id, guest_name(one->c->guest), one->backend);
        for (const char *p = buf_text(&one->items); *p;) {
            size_t n = strcspn(p, "\n");
            fprintf(log, "  %.*s\n", (int)n, p);
            p += n + (p[n] == '\n');
        }
    }
}

/* What was seen may be no list that the loader takes, as after a run that ended at its limit. */
static int check_loads(const char *file, const Buf *text, Err *err)
{
    Arena *arena = arena_new();
    Diags diags = {0};
    Suite *s = suite_load(arena, file, buf_text(text), text->n, &diags);
    int rc =
        s ? 0 : err_set(err, ERR_UNSUPPORTED, "the suite would not load (%s)", diags.n ? diags.items[0].text : "?");
    VEC_FREE(&diags);
    if (s) {
        suite_free(s);
    } else {
        arena_free(arena);
    }
    return rc;
}

/* Replaces the list of the scenario whose results are [first, last); true: *text was changed. */
static bool apply_one(const Bless *b, size_t first, size_t last, Buf *text, FILE *log)
{
    const Blessed *one = &b->items.items[first];
    Buf next = {0};
    Err why = {0};
    int rc = check_group(b, first, last, &why);
    rc = rc ? rc : bless_splice(text->data, text->n, one->c, buf_text(&one->items), &next, &why);
    rc = rc ? rc : check_loads(one->c->suite->file, &next, &why);
    bool is_changed = !rc && (next.n != text->n || memcmp(next.data, text->data, text->n) != 0);
    if (rc) {
        paste(b, first, last, why.text, log);
    } else if (is_changed) {
        fprintf(log, "%s:%u: `%s` is blessed\n", one->c->suite->file, one->c->pos.line, one->c->name);
        Buf old = *text;
        *text = next;
        next = old;
    }
    buf_free(&next);
    return is_changed;
}

/* One file: from its last scenario to its first, so that the lines of those before stay what they were. */
static int apply_file(const Bless *b, size_t from, size_t end, FILE *log, Err *err)
{
    const Suite *s = b->items.items[from].c->suite;
    Buf text = {0};
    bool is_changed = false;
    int rc = os_read_file(s->file, NODE_MAX_BYTES, &text, err);
    for (size_t last = end; !rc && last > from;) {
        size_t first = last - 1;
        while (first > from && is_same_scenario(b->items.items[first - 1].c, b->items.items[last - 1].c)) {
            first--;
        }
        is_changed = apply_one(b, first, last, &text, log) || is_changed;
        last = first;
    }
    if (!rc && is_changed) {
        rc = os_write_file(s->file, text.data, text.n, err);
    }
    buf_free(&text);
    return rc;
}

int bless_apply(Bless *b, FILE *log)
{
    int rc = 0;
    if (!b->items.n) {
        fputs("--bless: no run list differs from what was seen; an `expect` is not blessed\n", log);
    }
    for (size_t from = 0, end = 0; from < b->items.n; from = end) {
        Err err = {0};
        for (end = from; end < b->items.n && b->items.items[end].c->suite == b->items.items[from].c->suite;) {
            end++;
        }
        int one = apply_file(b, from, end, log, &err);
        if (one) {
            fprintf(log, "conf: --bless: %s\n", err.text);
            rc = one;
        }
    }
    return rc;
}

void bless_free(Bless *b)
{
    for (size_t i = 0; i < b->items.n; i++) {
        buf_free(&b->items.items[i].items);
        mem_free(b->items.items[i].refusal);
    }
    VEC_FREE(&b->items);
}
