/* SPDX-License-Identifier: Apache-2.0
 * table.h - columns of text for a terminal: as wide as their widest cell, two spaces apart. Texts are made harmless. Not thread-safe. */
#ifndef CONFORMANCE_TABLE_H
#define CONFORMANCE_TABLE_H

#include "sim/base/buf.h"
#include "sim/base/mem.h"

typedef struct {
    const char *columns; /* by column l or r: to the left or right */
    VEC(char *) cells;   /* row by row */
} Table;
/* heads: a word by column, with spaces between them; "-" is an empty one. */
Table table_new(const char *columns, const char *heads);
/* The next cell of the row; a row is over when it has all its cells. */
void table_cell(Table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends the table, if it has rows, and empties it. */
void table_end(Table *t, Buf *out);
#endif
