/* SPDX-License-Identifier: Apache-2.0
 * bless_edit.h - --bless: writes what was observed into the suite's own text.
 *
 * The `run:` list of a scenario is replaced in place, the rest of the file stays byte for byte, and the file is written
 * at once or not at all. Where the place is not simple (rows, `steps:`, several vcpus, guests that disagree, a .lua
 * file) the YAML is printed, to be pasted by hand. */
#ifndef CONFORMANCE_BLESS_EDIT_H
#define CONFORMANCE_BLESS_EDIT_H

#include "conformance/plan.h"

typedef struct {
    const Case *c;
    const char *backend; /* of the plan */
    Buf items;           /* "- mmio_write: {..}\n- done\n" */
    char *refusal;       /* why they are no list to write; NULL */
} Blessed;
typedef struct {
    VEC(Blessed) items;
} Bless;
void bless_collect(void *ctx, const Job *job, Result *r); /* RunnerOptions.on_result; ctx is a Bless */
/* Edits the files, telling each change on `log`. -ERR_x when a file could not be written. */
MUST_USE int bless_apply(Bless *b, FILE *log);
void bless_free(Bless *b);
/* text with the run list of the case replaced by items; -ERR_UNSUPPORTED when its place is not simple (*err says why).
 */
MUST_USE int bless_splice(const char *text, size_t n, const Case *c, const char *items, Buf *out, Err *err);
#endif
