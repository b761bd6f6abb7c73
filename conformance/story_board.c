/* SPDX-License-Identifier: Apache-2.0
 * story_board.c - the devices of a scenario with `devices:`: the board of its guest, whose console is the transcript. */
#include "accel/board.h"
#include "conformance/story_int.h"

#include <string.h>

enum { MAX_TRANSCRIPT = 16 << 20, PEEK = 8 };

bool story_console_took(Story *s, const Item *item, size_t *end)
{
    MatchCtx m = story_match_ctx(s, NULL);
    size_t n = s->console.n - s->console_mark;
    const char *text = buf_text(&s->console) + s->console_mark;
    bool is_eq = item->console.kind == MATCH_eq && item->console.a.kind == VALUE_TEXT;
    *end = n;
    if (n == 0) {
        return false;
    }
    if (!is_eq) { /* a matcher judges all that came since the last console item */
        return match_text(&m, &item->console, text, n);
    }
    size_t len = strlen(item->console.a.text);
    const char *at = memmem(text, n, item->console.a.text, len); /* the transcript has come to it */
    *end = at ? (size_t)(at - text) + len : 0;
    return at != NULL;
}

/* Does sv wait for what the console has now? */
static bool waits_for_it(Story *s, const StoryVcpu *sv)
{
    const Item *next[PEEK];
    size_t end, n = sv->list && sv->v ? walk_next(&sv->walk, next, PEEK) : 0;
    for (size_t i = 0; i < n; i++) {
        if (next[i]->kind == ITEM_CONSOLE && story_console_took(s, next[i], &end)) {
            return true;
        }
    }
    return false;
}

/* On the thread of the vcpu that printed. A vcpu whose run list has come to this text comes out of its run, wherever it
 * is. */
static void on_output(void *ctx, const void *bytes, size_t n)
{
    Story *s = ctx;
    STORY_LOCK(s);
    if (s->console.n + n <= MAX_TRANSCRIPT) {
        buf_bytes(&s->console, bytes, n);
    }
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        StoryVcpu *sv = &s->vcpus[i];
        if (waits_for_it(s, sv) && !atomic_exchange(&sv->has_console_news, true)) {
            vcpu_kick(sv->v);
        }
    }
    STORY_UNLOCK(s);
}

int story_board_make(Story *s, Err *err)
{
    Buf spec = {0};
    unsigned nvcpus = 0;
    if (!s->c->ndevices || s->c->boot) {
        return 0;
    }
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        nvcpus = s->c->vcpus[i].id >= nvcpus ? s->c->vcpus[i].id + 1u : nvcpus;
    }
    buf_printf(&spec, "%s,%s,vcpus=%u", guest_name(s->c->guest), s->c->start == START_machine ? "machine" : "virt",
               nvcpus);
    int rc = machine_board_new(buf_text(&spec), &(BoardConsole){s, on_output}, &s->board, err);
    buf_free(&spec);
    return rc;
}

int story_type(Story *s, const char *text, Err *err)
{
    size_t n = strlen(text);
    if (s->c->boot) {
        return story_machine_type(s, text, err);
    }
    size_t taken = s->board ? machine_board_input(s->board, text, n) : 0;
    return taken == n ? 0
                      : err_set(err, ERR_LIMIT, "type: the console took %zu of %zu bytes, as too many wait to be read",
                                taken, n);
}
