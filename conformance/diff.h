/* SPDX-License-Identifier: Apache-2.0
 * diff.h - the first instruction at which two backends, or two configurations of one, go apart.
 *
 * A first pass looks at both in wide windows. Where they are apart at the end of one, everything begins again, which gives the
 * same, and is looked at only from the last equal point on, in narrower windows, until a window is one instruction. RAM
 * is compared at the end of a pass; if it alone differs, in windows too.
 * A window also ends a block of translated code, so one that is wrong as a whole is right in narrow ones. Then the end is looked for
 * by halves, with one look in a pass and nothing cut before it. At last a pass as the first shows the code that was run there. */
#ifndef CONFORMANCE_DIFF_H
#define CONFORMANCE_DIFF_H

#include "conformance/pair.h"
#include "conformance/plan.h"

/* Plays from the start on this backend; may be called any number of times, and does the same each time as far as the guest
 * can see. The comparison ends a pass by an error out of run(): what the player makes of it does not count. */
typedef int DiffPlay(void *ctx, const Backend *b, const Caps *caps, Err *err);
typedef struct {
    PairSide side[2];
    GuestId guest;
    uint64_t window; /* of the first pass; 0 = 65536 */
    DiffPlay *play;
    void *ctx;
} DiffConfig;
typedef struct {
    bool is_open; /* both backends are available */
    bool is_apart, is_counted;
    bool
        is_lost; /* the first pass found something, and not when it was done again: one of the two is not deterministic */
    bool is_whole;  /* apart only if nothing is cut before: apart.start is where a single look found them equal */
    bool is_hidden; /* likewise, but not even then: start and end are of the last window that was apart */
    Buf code[2];    /* pair_code of each side; empty: it has none */
    Apart apart;    /* text owned by this */
    bool has_last;  /* of the last pass: where they were equal */
    Apart last;
    Buf history;
    uint64_t position, nexits; /* of the last pass */
    unsigned npasses;
} DiffResult;
/* 0: compared; -ERR_x: of opening or of the player. */
MUST_USE int diff_search(const DiffConfig *cfg, DiffResult *out, Err *err);
void diff_result_free(DiffResult *r);
/* The report as text, several lines. */
void diff_report(const DiffConfig *cfg, const DiffResult *r, Buf *out);

/* A player of an image without a machine but RAM: reads of what is not there give 0, stores go nowhere. Ends when the guest
 * idles, writes tohost or the test finisher, or after max_insns. */
typedef struct {
    const char *name;
    const uint8_t *bytes;
    size_t n;
    GuestId guest;
    uint64_t ram_bytes, max_insns;
} DiffImage;
DiffPlay diff_play_image;                               /* ctx: DiffImage */
int diff_image_check(const DiffImage *image, Err *err); /* can it be loaded? */

int diff_main(const RunHooks *hooks, int argc, char **argv); /* conf diff */
#endif
