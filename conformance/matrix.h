/* SPDX-License-Identifier: Apache-2.0
 * matrix.h - a run's results by backend: how many passed, what the skipped ones needed, why others are expected to fail. */
#ifndef CONFORMANCE_MATRIX_H
#define CONFORMANCE_MATRIX_H

#include "conformance/report.h"

typedef struct {
    char *text;
    uint64_t n;
} MatrixCount;
typedef VEC(MatrixCount) MatrixCounts;
typedef struct {
    const char *backend; /* as results show it; borrowed */
    uint64_t n[STATUS_COUNT];
    MatrixCounts skipped; /* by what was needed: a capability or an extension, else by the reason; most first */
    MatrixCounts xfailed; /* by the reason that the scenario gives; most first */
} MatrixRow;
typedef struct {
    VEC(MatrixRow) rows; /* in order of first appearance */
} Matrix;
Matrix matrix_of(const Run *run); /* lives no longer than the run's results */
void matrix_free(Matrix *m);
/* What stands for a skip's reason in a list: "needs zba (sh1add at line 3): toy: isa rv64im" without the place in it. */
void matrix_reason(const char *reason, Buf *out);
#endif
