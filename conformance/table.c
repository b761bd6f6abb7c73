/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/table.h"

#include "conformance/report.h"

#include <string.h>

enum { COLUMNS_MAX = 16 };

/* Characters, as UTF-8: good enough for columns. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

Table table_new(const char *columns, const char *heads)
{
    Table t = {.columns = columns};
    while (*heads) {
        size_t n = strcspn(heads, " ");
        table_cell(&t, "%.*s", n == 1 && *heads == '-' ? 0 : (int)n, heads);
        heads += n + (heads[n] == ' ');
    }
    return t;
}

void table_cell(Table *t, const char *fmt, ...)
{
    Buf text = {0}, clean = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    text_clean(&clean, buf_text(&text));
    for (size_t i = 0; i < clean.n; i++) {
        clean.data[i] = clean.data[i] == '\n' || clean.data[i] == '\t' ? ' ' : clean.data[i];
    }
    char *cell = x_strdup(buf_text(&clean));
    VEC_PUSH(&t->cells, cell);
    buf_free(&text);
    buf_free(&clean);
}

void table_end(Table *t, Buf *out)
{
    size_t n = strlen(t->columns), width[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->cells.n; i++) {
        size_t w = width_of(t->cells.items[i]);
        width[i % n] = w > width[i % n] ? w : width[i % n];
    }
    for (size_t i = 0; i < t->cells.n && t->cells.n > n; i++) {
        const char *cell = t->cells.items[i];
        int gap = (int)(width[i % n] - width_of(cell));
        bool is_last = i % n == n - 1;
        if (t->columns[i % n] == 'r') {
            buf_printf(out, "%*s%s", gap, "", cell);
        } else {
            buf_printf(out, "%s%*s", cell, is_last ? 0 : gap, "");
        }
        buf_str(out, is_last ? "\n" : "  ");
    }
    for (size_t i = 0; i < t->cells.n; i++) {
        mem_free(t->cells.items[i]);
    }
    VEC_FREE(&t->cells);
}
