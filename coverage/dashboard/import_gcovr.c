/* SPDX-License-Identifier: Apache-2.0
 * import_gcovr.c - what gcovr wrote about the C code: numbers from --json-summary, links from the index of --html-details. */
#include "coverage/dashboard/dashboard.h"
#include "sim/base/json_in.h"

#include <ctype.h>
#include <string.h>

static bool is_href(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)p[i]) && !strchr("._-", p[i])) {
            return false;
        }
    }
    return n > 5 && n < 256 && !memcmp(p + n - 5, ".html", 5);
}

/* Is the link's text the file, or its end? gcovr leaves out the folder that all have in common. */
static bool is_of(const char *path, const char *text, size_t n)
{
    size_t len = strlen(path);
    return n && n <= len && !memcmp(path + len - n, text, n) && (n == len || path[len - n - 1] == '/');
}

typedef struct {
    const char *href, *text;
    size_t nhref, ntext;
} Link;

static bool find(const char **at, const char *end, const char *what)
{
    const char *p = memmem(*at, (size_t)(end - *at), what, strlen(what));
    *at = p ? p + strlen(what) : end;
    return p != NULL;
}

static bool next_link(const char **at, const char *end, Link *l)
{
    while (find(at, end, "<a href=\"")) {
        l->href = *at;
        if (!find(at, end, "\"")) {
            return false;
        }
        l->nhref = (size_t)(*at - 1 - l->href);
        if (!find(at, end, ">")) {
            return false;
        }
        l->text = *at;
        if (!find(at, end, "</a>")) {
            return false;
        }
        l->ntext = (size_t)(*at - 4 - l->text);
        if (is_href(l->href, l->nhref)) {
            return true;
        }
    }
    return false;
}

static void add_links(Dash *d, const char *html, size_t n, const char *prefix)
{
    if (!n) {
        return;
    }
    size_t *longest = x_calloc(d->code.n + 1, sizeof *longest);
    Link l;
    for (const char *at = html, *end = html + n; next_link(&at, end, &l);) {
        for (size_t i = 0; i < d->code.n; i++) {
            DashCode *c = &d->code.items[i];
            if (l.ntext > longest[i] && is_of(c->path, l.text, l.ntext)) {
                longest[i] = l.ntext;
                c->href = arena_printf(d->arena, "%s%.*s", prefix, (int)l.nhref, l.href);
            }
        }
    }
    mem_free(longest);
}

static void read_file(JsonIn *j, Dash *d, Buf *key)
{
    DashCode c = {0};
    Buf text = {0};
    json_in_open(j, '{');
    while (json_in_key(j, key)) {
        const char *k = buf_text(key);
        const struct {
            const char *key;
            uint64_t *to;
        } COUNTS[] = {{"line_covered", &c.lines[0]},         {"line_total", &c.lines[1]},
                      {"branch_covered", &c.branches[0]},    {"branch_total", &c.branches[1]},
                      {"function_covered", &c.functions[0]}, {"function_total", &c.functions[1]}};
        bool is_read = false;
        for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
            if (!strcmp(COUNTS[i].key, k)) {
                *COUNTS[i].to = json_in_u64(j, UINT32_MAX);
                is_read = true;
            }
        }
        if (!is_read && !strcmp(k, "filename")) {
            json_in_str(j, &text);
            c.path = arena_strndup(d->arena, buf_text(&text), text.n);
        } else if (!is_read) {
            json_in_skip(j);
        }
    }
    if (json_in_ok(j) && !c.path) {
        json_in_fail(j, ERR_INVAL, "a file without `filename`");
    } else if (json_in_ok(j)) {
        VEC_PUSH(&d->code, c);
    }
    buf_free(&text);
}

int import_gcovr(Dash *d, const char *name, const void *json, size_t njson, const void *html, size_t nhtml,
                 const char *href_prefix, Err *err)
{
    size_t first = d->code.n;
    bool has_files = false;
    Buf key = {0};
    JsonIn j = json_in(name, json, njson, err);
    json_in_open(&j, '{');
    while (json_in_key(&j, &key)) {
        if (strcmp(buf_text(&key), "files") != 0) {
            json_in_skip(&j);
            continue;
        }
        has_files = true;
        json_in_open(&j, '[');
        while (json_in_item(&j)) {
            read_file(&j, d, &key);
        }
    }
    buf_free(&key);
    int rc = json_in_end(&j);
    if (!rc && !has_files) {
        rc = err_set(err, ERR_INVAL, "%s: no summary of gcovr: it has no `files`", name);
    }
    if (rc) {
        d->code.n = first;
        return rc;
    }
    /* What coverage knew by folder is known by file now. */
    d->code.n -= first;
    if (d->code.n) {
        memmove(d->code.items, d->code.items + first, d->code.n * sizeof *d->code.items);
    }
    add_links(d, html, nhtml, href_prefix);
    return 0;
}
