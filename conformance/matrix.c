/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/matrix.h"

#include <stdlib.h>
#include <string.h>

/* story_unmet's sentence: "needs WHAT (why): BACKEND: REASON". What is needed, and where the why ends; n 0: another sentence. */
typedef struct {
    const char *what, *rest;
    size_t n;
} Need;

static Need need_of(const char *reason)
{
    static const char head[] = "needs ";
    size_t n = sizeof head - 1;
    if (strncmp(reason, head, n) != 0) {
        return (Need){0};
    }
    const char *what = reason + n, *colon = strstr(what, ": "), *why = strstr(what, " (");
    const char *after = why ? strstr(why, "): ") : NULL;
    if (why && after && (!colon || why < colon)) {
        return (Need){what, after + 1, (size_t)(why - what)};
    }
    return (Need){what, colon ? colon : what + strlen(what), colon ? (size_t)(colon - what) : strlen(what)};
}

void matrix_reason(const char *reason, Buf *out)
{
    Need need = need_of(reason);
    if (need.n) {
        buf_bytes(out, reason, (size_t)(need.what + need.n - reason));
    }
    buf_str(out, need.n ? need.rest : reason);
}

static void count(MatrixCounts *counts, const char *text, size_t n)
{
    for (size_t i = 0; i < counts->n; i++) {
        if (strlen(counts->items[i].text) == n && !strncmp(counts->items[i].text, text, n)) {
            counts->items[i].n++;
            return;
        }
    }
    VEC_PUSH(counts, (MatrixCount){x_strndup(text, n), 1});
}

static MatrixRow *row_of(Matrix *m, const char *backend)
{
    for (size_t i = 0; i < m->rows.n; i++) {
        if (!strcmp(m->rows.items[i].backend, backend)) {
            return &m->rows.items[i];
        }
    }
    VEC_PUSH(&m->rows, (MatrixRow){.backend = backend});
    return &m->rows.items[m->rows.n - 1];
}

static int by_count(const void *a, const void *b)
{
    const MatrixCount *x = a, *y = b;
    return x->n != y->n ? (x->n > y->n ? -1 : 1) : strcmp(x->text, y->text);
}

static void sort(MatrixCounts *counts)
{
    if (counts->n) {
        qsort(counts->items, counts->n, sizeof *counts->items, by_count);
    }
}

Matrix matrix_of(const Run *run)
{
    Matrix m = {0};
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        MatrixRow *row = row_of(&m, r->backend);
        row->n[r->status]++;
        if (r->status == STATUS_skipped) {
            Need need = need_of(result_reason(r));
            const char *text = need.n ? need.what : result_reason(r);
            count(&row->skipped, text, need.n ? need.n : strlen(text));
        } else if (r->status == STATUS_xfailed) {
            const char *text = r->c->xfail ? r->c->xfail->reason : result_reason(r);
            count(&row->xfailed, text, strlen(text));
        }
    }
    for (size_t i = 0; i < m.rows.n; i++) {
        sort(&m.rows.items[i].skipped);
        sort(&m.rows.items[i].xfailed);
    }
    return m;
}

static void counts_free(MatrixCounts *counts)
{
    for (size_t i = 0; i < counts->n; i++) {
        mem_free(counts->items[i].text);
    }
    VEC_FREE(counts);
}

void matrix_free(Matrix *m)
{
    for (size_t i = 0; i < m->rows.n; i++) {
        counts_free(&m->rows.items[i].skipped);
        counts_free(&m->rows.items[i].xfailed);
    }
    VEC_FREE(&m->rows);
}
