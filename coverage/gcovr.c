/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/gcovr.h"

#include "sim/base/json_in.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    JsonIn j;
    Coverage *c;
    uint32_t context, scenario;
    Buf key, file, name, text;
} Gcovr;

static void group_of(const char *file, char group[COV_TEXT_MAX + 1])
{
    size_t n = strcspn(file, "/");
    snprintf(group, COV_TEXT_MAX + 1, "%.*s", file[n] ? (int)n : 1, file[n] ? file : ".");
}

static void add(Gcovr *g, const char *kind, uint64_t count)
{
    char group[COV_TEXT_MAX + 1];
    if (!json_in_ok(&g->j)) {
        return;
    }
    if (g->name.n > COV_TEXT_MAX) {
        json_in_fail(&g->j, ERR_LIMIT, "a name of %zu bytes, more than %d", g->name.n, COV_TEXT_MAX);
        return;
    }
    if (g->c->items.n >= COV_ITEMS_MAX) {
        json_in_fail(&g->j, ERR_LIMIT, "more than %d lines, functions and branches", COV_ITEMS_MAX);
        return;
    }
    group_of(buf_text(&g->file), group);
    coverage_hit(g->c, coverage_item(g->c, kind, group, buf_text(&g->name), ""), g->context, g->scenario, count);
}

static uint64_t number(Gcovr *g)
{
    return json_in_u64(&g->j, INT64_MAX);
}

/* The branches come before the number of their line, as keys are sorted. */
typedef struct {
    uint64_t line, count;
    bool is_code;
    VEC(uint64_t) branches;
} Line;

static void read_branches(Gcovr *g, Line *line)
{
    json_in_open(&g->j, '[');
    while (json_in_item(&g->j)) {
        uint64_t count = 0;
        json_in_open(&g->j, '{');
        while (json_in_key(&g->j, &g->key)) {
            if (!strcmp(buf_text(&g->key), "count")) {
                count = number(g);
            } else {
                json_in_skip(&g->j);
            }
        }
        VEC_PUSH(&line->branches, count);
    }
}

static void read_line(Gcovr *g)
{
    Line line = {.is_code = true};
    json_in_open(&g->j, '{');
    while (json_in_key(&g->j, &g->key)) {
        const char *key = buf_text(&g->key);
        if (!strcmp(key, "branches")) {
            read_branches(g, &line);
        } else if (!strcmp(key, "count")) {
            line.count = number(g);
        } else if (!strcmp(key, "line_number")) {
            line.line = number(g);
        } else if (!strcmp(key, "gcovr/noncode") || !strcmp(key, "gcovr/excluded")) {
            line.is_code = !json_in_bool(&g->j) && line.is_code;
        } else {
            json_in_skip(&g->j);
        }
    }
    for (size_t i = 0; i <= line.branches.n && line.is_code; i++) {
        buf_clear(&g->name);
        buf_printf(&g->name, "%s:%llu", buf_text(&g->file), (unsigned long long)line.line);
        if (i) {
            buf_printf(&g->name, "#%zu", i - 1);
        }
        add(g, i ? "c_branch" : "c_line", i ? line.branches.items[i - 1] : line.count);
    }
    VEC_FREE(&line.branches);
}

static void read_function(Gcovr *g)
{
    uint64_t count = 0;
    buf_clear(&g->text);
    json_in_open(&g->j, '{');
    while (json_in_key(&g->j, &g->key)) {
        if (!strcmp(buf_text(&g->key), "execution_count")) {
            count = number(g);
        } else if (!strcmp(buf_text(&g->key), "name")) {
            json_in_str(&g->j, &g->text);
        } else {
            json_in_skip(&g->j);
        }
    }
    buf_clear(&g->name);
    buf_printf(&g->name, "%s %s", buf_text(&g->file), buf_text(&g->text));
    add(g, "c_function", count);
}

static bool is_plain(const Buf *text)
{
    for (size_t i = 0; i < text->n; i++) {
        if ((unsigned char)text->data[i] < ' ' || text->data[i] == 0x7f) {
            return false;
        }
    }
    return text->n > 0;
}

/* "file" comes before what is of it. */
static void read_file(Gcovr *g)
{
    buf_clear(&g->file);
    json_in_open(&g->j, '{');
    while (json_in_key(&g->j, &g->key)) {
        bool is_lines = !strcmp(buf_text(&g->key), "lines"), is_functions = !strcmp(buf_text(&g->key), "functions");
        if (!strcmp(buf_text(&g->key), "file")) {
            json_in_str(&g->j, &g->file);
            if (json_in_ok(&g->j) && !is_plain(&g->file)) {
                json_in_fail(&g->j, ERR_INVAL, "that is no file's name");
            }
        } else if (!is_lines && !is_functions) {
            json_in_skip(&g->j);
        } else if (!g->file.n) {
            json_in_fail(&g->j, ERR_INVAL, "`file` must come before what is of it");
        } else {
            json_in_open(&g->j, '[');
            while (json_in_item(&g->j)) {
                if (is_lines) {
                    read_line(g);
                } else {
                    read_function(g);
                }
            }
        }
    }
}

static void read_report(Gcovr *g)
{
    bool has_files = false;
    json_in_open(&g->j, '{');
    while (json_in_key(&g->j, &g->key)) {
        if (strcmp(buf_text(&g->key), "files") != 0) {
            json_in_skip(&g->j);
            continue;
        }
        has_files = true;
        json_in_open(&g->j, '[');
        while (json_in_item(&g->j)) {
            read_file(g);
        }
    }
    if (json_in_ok(&g->j) && !has_files) {
        json_in_fail(&g->j, ERR_INVAL, "no `files`: not a report of gcovr --json");
    }
}

int gcovr_read(const char *name, const void *bytes, size_t n, const char *what, Coverage *into, Err *err)
{
    Gcovr g = {.j = json_in(name, bytes, n, err), .c = coverage_new()};
    g.context = coverage_context(g.c, "", "", "");
    g.scenario = coverage_scenario(g.c, what);
    read_report(&g);
    int rc = json_in_end(&g.j);
    rc = rc ? rc : coverage_merge(into, g.c, err);
    coverage_free(g.c);
    buf_free(&g.key);
    buf_free(&g.file);
    buf_free(&g.name);
    buf_free(&g.text);
    return rc;
}
