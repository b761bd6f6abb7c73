/* SPDX-License-Identifier: Apache-2.0
 * export.c - Cobertura and lcov. */
#include "coverage/gcovr.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* An item as such tools see it. */
typedef struct {
    Buf file;         /* of the C code, or "conf/KIND/GROUP" */
    const char *name; /* of a function; NULL: a line, or a branch of one */
    uint64_t line, branch, count;
    bool is_branch;
} Shown;
typedef struct {
    const Coverage *c;
    VEC(Shown) list; /* by file, line */
} Export;

static uint64_t count_of(const CovMatrix *m, size_t item, bool *is_open)
{
    uint64_t n = 0;
    *is_open = false;
    for (size_t b = 0; b < m->nbackends; b++) {
        uint64_t count = m->count[item * m->nbackends + b];
        n = n + count < n ? UINT64_MAX : n + count;
        *is_open |= m->state[item * m->nbackends + b] == COV_OPEN;
    }
    return n;
}

/* "accel/vm.c:12#0", "accel/vm.c vm_open"; false: not so. */
static bool place_of(const char *kind, const char *name, Shown *out)
{
    const char *end = strrchr(name, strcmp(kind, "c_function") == 0 ? ' ' : ':');
    if (!end) {
        return false;
    }
    buf_bytes(&out->file, name, (size_t)(end - name));
    if (*end == ' ') {
        out->name = end + 1;
        return true;
    }
    char *rest = NULL;
    out->line = strtoull(end + 1, &rest, 10);
    out->is_branch = *rest == '#';
    out->branch = out->is_branch ? strtoull(rest + 1, NULL, 10) : 0;
    return out->line > 0;
}

static int by_place(const void *a, const void *b)
{
    const Shown *x = a, *y = b;
    int rc = strcmp(buf_text(&x->file), buf_text(&y->file));
    rc = rc ? rc : (x->name != NULL) - (y->name != NULL);
    rc = rc ? rc : x->name ? strcmp(x->name, y->name) : x->line < y->line ? -1 : x->line > y->line;
    rc = rc ? rc : x->is_branch - y->is_branch;
    return rc ? rc : x->branch < y->branch ? -1 : x->branch > y->branch;
}

static void export_begin(Export *x, const Coverage *c)
{
    CovMatrix m;
    *x = (Export){.c = c};
    coverage_matrix(c, &m);
    for (size_t i = 0; i < c->items.n; i++) {
        const CovItem *item = &c->items.items[i];
        const char *kind = c->kinds.items[item->kind];
        bool is_open;
        Shown s = {.count = count_of(&m, i, &is_open)};
        if (!item->is_listed || (!is_open && !s.count)) {
            continue;
        }
        if (strncmp(kind, "c_", 2) != 0 || !place_of(kind, item->name, &s)) {
            buf_clear(&s.file);
            buf_printf(&s.file, "conf/%s/%s", kind, item->group);
            s.name = item->name;
        }
        VEC_PUSH(&x->list, s);
    }
    coverage_matrix_free(&m);
    if (x->list.n) {
        qsort(x->list.items, x->list.n, sizeof x->list.items[0], by_place);
    }
}

static void export_end(Export *x)
{
    for (size_t i = 0; i < x->list.n; i++) {
        buf_free(&x->list.items[i].file);
    }
    VEC_FREE(&x->list);
}

/* Where the file of list[from] ends. */
static size_t file_end(const Export *x, size_t from)
{
    size_t to = from;
    while (to < x->list.n && !strcmp(buf_text(&x->list.items[to].file), buf_text(&x->list.items[from].file))) {
        to++;
    }
    return to;
}

typedef struct {
    uint64_t lines, lines_hit, branches, branches_hit, functions, functions_hit;
} Sums;

static Sums sums_of(const Export *x, size_t from, size_t to)
{
    Sums s = {0};
    for (size_t i = from; i < to; i++) {
        const Shown *shown = &x->list.items[i];
        bool is_hit = shown->count > 0;
        if (shown->name) {
            s.functions++;
            s.functions_hit += is_hit;
        } else if (shown->is_branch) {
            s.branches++;
            s.branches_hit += is_hit;
        } else {
            s.lines++;
            s.lines_hit += is_hit;
        }
    }
    return s;
}

static bool is_code(const char *file)
{
    return strncmp(file, "conf/", 5) != 0;
}

/* ---- lcov (geninfo(1)) ---- */
/* gcov does not say where a function begins: its number among those of the file stands for it, and where the file is one of ours
 * it is the item's line. */
void lcov_write(const Coverage *c, Buf *out)
{
    Export x;
    export_begin(&x, c);
    for (size_t from = 0, to; from < x.list.n; from = to) {
        const char *file = buf_text(&x.list.items[from].file);
        uint64_t number = 0;
        to = file_end(&x, from);
        Sums s = sums_of(&x, from, to);
        buf_printf(out, "TN:\nSF:%s\n", file);
        for (size_t i = from; i < to; i++) {
            const Shown *shown = &x.list.items[i];
            number += shown->name != NULL;
            if (shown->name) {
                buf_printf(out, "FN:%" PRIu64 ",%s\nFNDA:%" PRIu64 ",%s\n", number, shown->name, shown->count,
                           shown->name);
            }
            if (shown->is_branch) {
                buf_printf(out, "BRDA:%" PRIu64 ",0,%" PRIu64 ",%" PRIu64 "\n", shown->line, shown->branch,
                           shown->count);
            } else if (!shown->name || !is_code(file)) {
                buf_printf(out, "DA:%" PRIu64 ",%" PRIu64 "\n", shown->name ? number : shown->line, shown->count);
            }
        }
        bool is_ours = !is_code(file);
        buf_printf(out,
                   "FNF:%" PRIu64 "\nFNH:%" PRIu64 "\nBRF:%" PRIu64 "\nBRH:%" PRIu64 "\nLF:%" PRIu64 "\nLH:%" PRIu64
                   "\nend_of_record\n",
                   s.functions, s.functions_hit, s.branches, s.branches_hit, is_ours ? s.functions : s.lines,
                   is_ours ? s.functions_hit : s.lines_hit);
    }
    export_end(&x);
}

/* ---- Cobertura (coverage-04.dtd) ---- */
static void put_xml(Buf *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity) {
            buf_str(out, entity);
        } else {
            buf_char(out, *text);
        }
    }
}

static double rate(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 1.0;
}

/* A line with its branches, which follow it; the place behind them. */
static size_t put_line(const Export *x, size_t i, size_t to, Buf *out)
{
    const Shown *line = &x->list.items[i];
    uint64_t n = 0, hit = 0;
    for (i++; i < to && x->list.items[i].is_branch && x->list.items[i].line == line->line; i++) {
        n++;
        hit += x->list.items[i].count > 0;
    }
    buf_printf(out, "<line number=\"%" PRIu64 "\" hits=\"%" PRIu64 "\" branch=\"%s\"", line->line, line->count,
               n ? "true" : "false");
    if (n) {
        buf_printf(out, " condition-coverage=\"%" PRIu64 "%% (%" PRIu64 "/%" PRIu64 ")\"", 100 * hit / n, hit, n);
    }
    buf_str(out, "/>\n");
    return i;
}

static void put_class(const Export *x, size_t from, size_t to, Buf *out)
{
    const char *file = buf_text(&x->list.items[from].file);
    Sums s = sums_of(x, from, to);
    bool is_ours = !is_code(file);
    uint64_t number = 0;
    buf_str(out, "<class name=\"");
    put_xml(out, file);
    buf_str(out, "\" filename=\"");
    put_xml(out, file);
    buf_printf(out, "\" line-rate=\"%.4f\" branch-rate=\"%.4f\" complexity=\"0\">\n<methods>\n",
               is_ours ? rate(s.functions_hit, s.functions) : rate(s.lines_hit, s.lines),
               rate(s.branches_hit, s.branches));
    for (size_t i = from; i < to && is_ours; i++) {
        buf_str(out, "<method name=\"");
        put_xml(out, x->list.items[i].name);
        buf_printf(out,
                   "\" signature=\"\" line-rate=\"%d\" branch-rate=\"1\"><lines><line number=\"%" PRIu64
                   "\" hits=\"%" PRIu64 "\"/></lines></method>\n",
                   x->list.items[i].count > 0, ++number, x->list.items[i].count);
    }
    buf_str(out, "</methods>\n<lines>\n");
    number = 0;
    for (size_t i = from; i < to;) {
        const Shown *shown = &x->list.items[i];
        if (is_ours) {
            buf_printf(out, "<line number=\"%" PRIu64 "\" hits=\"%" PRIu64 "\" branch=\"false\"/>\n", ++number,
                       shown->count);
            i++;
        } else {
            i = shown->name || shown->is_branch ? i + 1 : put_line(x, i, to, out);
        }
    }
    buf_str(out, "</lines>\n</class>\n");
}

/* The package of a file: its folder; of ours the kind. */
static size_t package_length(const char *file)
{
    const char *end = is_code(file) ? strrchr(file, '/') : strchr(file + 5, '/');
    return end ? (size_t)(end - file) : 0;
}

static bool same_package(const Export *x, size_t i, size_t j)
{
    const char *a = buf_text(&x->list.items[i].file), *b = buf_text(&x->list.items[j].file);
    size_t n = package_length(a);
    return n == package_length(b) && !strncmp(a, b, n);
}

/* Lines of the C code and items are the lines of the document. */
static Sums line_sums(const Export *x, size_t from, size_t to)
{
    Sums all = {0};
    for (size_t end; from < to; from = end) {
        end = file_end(x, from);
        Sums s = sums_of(x, from, end);
        bool is_ours = !is_code(buf_text(&x->list.items[from].file));
        all.lines += is_ours ? s.functions : s.lines;
        all.lines_hit += is_ours ? s.functions_hit : s.lines_hit;
        all.branches += s.branches;
        all.branches_hit += s.branches_hit;
    }
    return all;
}

static size_t put_package(const Export *x, size_t from, Buf *out)
{
    const char *file = buf_text(&x->list.items[from].file);
    size_t to = from;
    while (to < x->list.n && same_package(x, from, to)) {
        to = file_end(x, to);
    }
    Sums s = line_sums(x, from, to);
    char *name = x_strndup(file, package_length(file));
    buf_str(out, "<package name=\"");
    put_xml(out, name);
    buf_printf(out, "\" line-rate=\"%.4f\" branch-rate=\"%.4f\" complexity=\"0\">\n<classes>\n",
               rate(s.lines_hit, s.lines), rate(s.branches_hit, s.branches));
    mem_free(name);
    for (size_t end; from < to; from = end) {
        end = file_end(x, from);
        put_class(x, from, end, out);
    }
    buf_str(out, "</classes>\n</package>\n");
    return to;
}

void cobertura_write(const Coverage *c, uint64_t time_s, Buf *out)
{
    Export x;
    export_begin(&x, c);
    Sums s = line_sums(&x, 0, x.list.n);
    buf_printf(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\n"
               "<coverage line-rate=\"%.4f\" branch-rate=\"%.4f\" lines-covered=\"%" PRIu64 "\" lines-valid=\"%" PRIu64
               "\" branches-covered=\"%" PRIu64 "\" branches-valid=\"%" PRIu64
               "\" complexity=\"0\" version=\"conf\" timestamp=\"%" PRIu64
               "\">\n<sources><source>.</source></sources>\n"
               "<packages>\n",
               rate(s.lines_hit, s.lines), rate(s.branches_hit, s.branches), s.lines_hit, s.lines, s.branches_hit,
               s.branches, time_s);
    for (size_t i = 0; i < x.list.n;) {
        i = put_package(&x, i, out);
    }
    buf_str(out, "</packages>\n</coverage>\n");
    export_end(&x);
}
