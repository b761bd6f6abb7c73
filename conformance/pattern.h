/* SPDX-License-Identifier: Apache-2.0
 * pattern.h - Lua 5.4 patterns (reference manual, section 6.4.1) without Lua's own matcher: what `match:` of a scenario
 * compares with, and what string.find, match, gmatch and gsub of a script are made of. Same language, same results and
 * same errors as string.find, bounded in stack (PATTERN_MAX_DEPTH nested attempts, as Lua); the caller bounds or charges
 * the steps, so that neither a suite, a script nor a guest's output can hold the program up. Any thread. */
#ifndef CONFORMANCE_PATTERN_H
#define CONFORMANCE_PATTERN_H

#include "sim/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PATTERN_MAX_DEPTH = 200,
    PATTERN_MAX_CAPTURES = 32,
    PATTERN_MAX_STEPS = 16 << 20,
    PATTERN_STEPS_PER_CHARGE = 4096
};
enum { PATTERN_OPEN = -1, PATTERN_POSITION = -2 }; /* as a capture's n: not closed; a position */
typedef struct {
    bool is_found;
    size_t from, to; /* byte range of the match */
} PatternMatch;
/* One text and one pattern, for any number of matches. Zeroed but for what the caller sets; owns nothing. */
typedef struct {
    const char *text, *text_end, *pattern, *pattern_end;
    /* Called each time about PATTERN_STEPS_PER_CHARGE steps were made. -ERR_x with *err set ends the match with it; it
     * may also leave by longjmp, after which the search is not used again. NULL: no bound. */
    int (*charge)(void *ctx, uint64_t nsteps, Err *err);
    void *ctx;
    /* out: the captures of the last match */
    int ncaptures;
    struct {
        const char *at;
        ptrdiff_t n; /* bytes or PATTERN_x */
    } captures[PATTERN_MAX_CAPTURES];
    /* pattern.c's own */
    unsigned depth;
    uint64_t nsteps; /* since the last charge */
    int rc;          /* first error; the match unwinds once it is set */
    Err *err;
} PatternSearch;
/* Matches at this offset (0 to the text's size) only; a leading ^ is an ordinary character. -ERR_INVAL: the pattern is
 * malformed; -ERR_LIMIT: it is too complex for the stack; else what charge returned. */
MUST_USE int pattern_match_at(PatternSearch *s, size_t from, PatternMatch *out, Err *err);
/* The first match at or after the offset; at it alone where the pattern begins with ^. Errors as above. */
MUST_USE int pattern_search(PatternSearch *s, size_t from, PatternMatch *out, Err *err);
/* Looks for the pattern anywhere in text. -ERR_INVAL: the pattern is malformed; -ERR_LIMIT: too complex for the bounds
 * (PATTERN_MAX_STEPS). Pure. */
MUST_USE int pattern_find(const char *text, size_t n, const char *pattern, PatternMatch *out, Err *err);
#endif
