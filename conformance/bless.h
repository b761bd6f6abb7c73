/* SPDX-License-Identifier: Apache-2.0
 * bless.h - what was observed, as text to paste into a suite. */
#ifndef CONFORMANCE_BLESS_H
#define CONFORMANCE_BLESS_H

#include "conformance/result.h"

/* NULL, or why what was observed is no whole list: the run was ended from outside. */
const char *bless_refusal(const Result *r);
/* Appends the exits of the result's trace as items of a `run:` list, one a line, in the language of conf-scenario(5); a list
 * per vcpu where there are several. Exits that the story would ignore by default are left out. The trace must have been
 * kept (StoryOptions.is_bless keeps it). */
void bless_print(const Result *r, Buf *out);
#endif
