/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <string.h>

static bool rows_alloc(Loader *l, Rows *r, size_t ncolumns, size_t nrows, Pos pos)
{
    if (nrows > MAX_ROWS) {
        say(l, pos, "%zu rows: at most %d", nrows, MAX_ROWS);
        return false;
    }
    if (ncolumns > MAX_NAMES) {
        say(l, pos, "%zu columns: at most %d", ncolumns, MAX_NAMES);
        return false;
    }
    if (l->work + ncolumns * nrows > MAX_WORK) {
        say_limit(l, pos, "the suite unfolds to more than %d nodes", MAX_WORK);
        return false;
    }
    l->work += ncolumns * nrows;
    r->ncolumns = ncolumns;
    r->nrows = nrows;
    r->names = arena_alloc(l->arena, ncolumns * sizeof *r->names);
    r->poss = arena_alloc(l->arena, ncolumns * sizeof *r->poss);
    r->used = arena_alloc(l->arena, ncolumns * sizeof *r->used);
    r->labels = arena_alloc(l->arena, nrows * sizeof *r->labels);
    r->row_pos = arena_alloc(l->arena, nrows * sizeof *r->row_pos);
    r->cells = arena_alloc(l->arena, ncolumns * nrows * sizeof *r->cells);
    return arena_has_room(l, pos);
}

static bool column_set(Loader *l, Rows *r, size_t i, const Node *name)
{
    if (name->kind != NODE_SCALAR || !is_name(name->text)) {
        say(l, name->pos, "a column needs a name (letters, digits, _), got %s",
            name->kind == NODE_SCALAR ? arena_printf(l->arena, "`%.60s`", name->text) : kind_shown(name));
        return false;
    }
    for (size_t k = 0; k < i; k++) {
        if (!strcmp(r->names[k], name->text)) {
            say(l, name->pos, "column `%.60s` twice", name->text);
            return false;
        }
    }
    if (guest_find(name->text)) {
        say(l, name->pos, "`%s` is a guest's name", name->text);
        return false;
    }
    r->names[i] = name->text;
    r->poss[i] = name->pos;
    return true;
}

static bool label_ok(Loader *l, const Node *n)
{
    if (n->kind == NODE_SCALAR && *n->text && !strpbrk(n->text, "[]\n") && strlen(n->text) <= 200) {
        return true;
    }
    say(l, n->pos, "a row's name is one word or number, got %s", kind_shown(n));
    return false;
}

static void check_labels(Loader *l, const Rows *r)
{
    for (size_t i = 0; i < r->nrows && !l->is_full; i++) {
        for (size_t k = 0; k < i; k++) {
            if (!strcmp(r->labels[i], r->labels[k])) {
                say(l, r->row_pos[i], "row `%.60s` twice (first at line %u)", r->labels[i], r->row_pos[k].line);
                break;
            }
        }
    }
}

static bool rows_of_table(Loader *l, const Node *each, Rows *r)
{
    if (!is_list(l, each, "`each`") || !is_list(l, each->items[0], "the header row")) {
        return false;
    }
    const Node *header = each->items[0];
    if (each->n < 2) {
        say(l, each->pos, "no rows below the header");
        return false;
    }
    bool ok = rows_alloc(l, r, header->n, each->n - 1, each->pos);
    for (size_t i = 0; ok && i < header->n; i++) {
        ok = column_set(l, r, i, header->items[i]);
    }
    for (size_t i = 1; ok && i < each->n; i++) {
        const Node *row = each->items[i];
        if (!is_list(l, row, "a row")) {
            return false;
        }
        if (row->n != header->n) {
            say(l, row->pos, "%zu cells in a table of %zu columns", row->n, header->n);
            return false;
        }
        ok = label_ok(l, row->items[0]);
        r->labels[i - 1] = row->items[0]->text;
        r->row_pos[i - 1] = row->items[0]->pos;
        memcpy(&r->cells[(i - 1) * row->n], row->items, row->n * sizeof(Node *));
    }
    r->nfree = 1;
    return ok;
}

static bool grid_rows(Loader *l, const Node *rows, Rows *r)
{
    const Node *header = rows->items[0];
    size_t k = 0;
    for (size_t i = 1; i < rows->n; i++) {
        const Node *row = rows->items[i];
        if (!is_list(l, row, "a row") || !label_ok(l, row->items[0])) {
            return false;
        }
        if (row->n != header->n) {
            say(l, row->pos, "%zu cells in a grid of %zu columns", row->n, header->n);
            return false;
        }
        for (size_t j = 1; j < row->n; j++, k++) {
            if (!label_ok(l, header->items[j])) {
                return false;
            }
            r->labels[k] = arena_printf(l->arena, "%s,%s", row->items[0]->text, header->items[j]->text);
            r->row_pos[k] = row->items[j]->pos;
            r->cells[3 * k] = row->items[0];
            r->cells[3 * k + 1] = header->items[j];
            r->cells[3 * k + 2] = row->items[j];
        }
    }
    return true;
}

static bool rows_of_grid(Loader *l, const Node *each, Rows *r)
{
    const Node *grid = node_get(each, "grid"), *rows = node_get(each, "rows");
    if (!keys_check(l, each, SCOPE_grid)) {
        return false;
    }
    if (!rows) {
        say(l, each->pos, "a grid needs `rows`");
        return false;
    }
    if (grid->kind != NODE_SEQ || grid->n != 3) {
        say(l, grid->pos, "`grid` is three names: row label, column label, cell");
        return false;
    }
    if (!is_list(l, rows, "`rows`") || !is_list(l, rows->items[0], "the header row")) {
        return false;
    }
    if (rows->n < 2 || rows->items[0]->n < 2) {
        say(l, rows->pos, "a grid without cells");
        return false;
    }
    if (!rows_alloc(l, r, 3, (rows->n - 1) * (rows->items[0]->n - 1), rows->pos)) {
        return false;
    }
    return column_set(l, r, 0, grid->items[0]) && column_set(l, r, 1, grid->items[1]) &&
           column_set(l, r, 2, grid->items[2]) && grid_rows(l, rows, r);
}

static bool rows_of_product(Loader *l, const Node *each, Rows *r)
{
    size_t nrows = 1;
    for (size_t i = 0; i < each->n; i++) {
        const Node *list = each->items[i];
        if (!is_list(l, list, arena_printf(l->arena, "`%.60s`", each->keys[i]->text))) {
            return false;
        }
        nrows = nrows > MAX_ROWS ? nrows : nrows * list->n;
    }
    if (!rows_alloc(l, r, each->n, nrows, each->pos)) {
        return false;
    }
    for (size_t i = 0; i < each->n; i++) {
        if (!column_set(l, r, i, each->keys[i])) {
            return false;
        }
    }
    for (size_t row = 0; row < nrows; row++) {
        Buf label = {0};
        size_t rest = nrows, index = row;
        for (size_t i = 0; i < each->n; i++) {
            rest /= each->items[i]->n;
            const Node *cell = each->items[i]->items[index / rest];
            index %= rest;
            r->cells[row * each->n + i] = cell;
            r->row_pos[row] = cell->pos;
            if (!label_ok(l, cell)) {
                buf_free(&label);
                return false;
            }
            buf_printf(&label, "%s%s=%s", i ? "," : "", r->names[i], cell->text);
        }
        r->labels[row] = arena_strdup(l->arena, buf_text(&label));
        buf_free(&label);
    }
    return true;
}

bool rows_read(Loader *l, const Node *each, Rows *out)
{
    *out = (Rows){0};
    if (!each) {
        return rows_alloc(l, out, 0, 1, (Pos){0});
    }
    bool ok = false;
    if (each->kind == NODE_SEQ) {
        ok = rows_of_table(l, each, out);
    } else if (is_map(l, each, "`each`")) {
        ok = node_get(each, "grid") ? rows_of_grid(l, each, out) : rows_of_product(l, each, out);
    }
    if (ok) {
        check_labels(l, out);
    }
    return ok;
}
