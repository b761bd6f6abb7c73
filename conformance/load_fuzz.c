/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a suite: refused with a place or loaded, in bounded memory, and what is loaded can be walked. */
#include "conformance/scenario.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static size_t text_length(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Touches what every reader of a Case touches, so that a dangling or missing pointer shows. */
static size_t walk(const Suite *s)
{
    size_t sum = 0;
    for (size_t i = 0; i < s->ncases; i++) {
        const Case *c = &s->cases[i];
        sum += text_length(c->id) + text_length(c->script);
        for (size_t k = 0; k < c->ncode; k++) {
            sum += text_length(c->code[k].text);
        }
        for (size_t k = 0; k < c->nsteps; k++) {
            const Step *step = &c->steps[k];
            sum += text_length(step->word) + text_length(step->gives_word) + step->run.nlists + step->nregs;
            for (size_t m = 0; m < step->run.nlists; m++) {
                const RunList *list = &step->run.lists[m];
                for (size_t q = 0; q < list->n; q++) {
                    sum += list->items[q].nfields;
                }
                if (!list->n || list->vcpu >= c->nvcpus) {
                    abort(); /* a run of nothing, or of a vcpu that is none, must not load */
                }
            }
        }
        if (!c->nvcpus || (!c->steps && !c->script)) {
            abort();
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Arena *arena = arena_new();
    Diags diags = {0};
    const Suite *s = suite_load(arena, "fuzz.yaml", (const char *)bytes, n, &diags);
    bool is_sane = s ? walk(s) != SIZE_MAX : diags.n > 0;
    for (size_t i = 0; i < diags.n; i++) {
        is_sane = is_sane && text_length(diags.items[i].text) > 0;
    }
    if (!is_sane || diags.n > 50 || arena_bytes(arena) > (size_t)1 << 30) {
        abort();
    }
    VEC_FREE(&diags);
    arena_free(arena);
    return 0;
}
