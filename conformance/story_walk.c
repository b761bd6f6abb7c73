/* SPDX-License-Identifier: Apache-2.0
 * story_walk.c - which item of a run list comes next. The loader has refused lists in which two items could take one
 * exit, so the first that takes it is the only one. */
#include "conformance/story_int.h"

static bool is_nested(const Item *item)
{
    return item->kind == ITEM_REPEAT || item->kind == ITEM_ANY_ORDER;
}

/* `if:` says where an item is expected; a nested list of which nothing is expected is not expected itself. */
static bool applies(const Item *item, const Caps *caps)
{
    if (item->max_times == 0 || (item->if_cap >= 0 && caps->level[item->if_cap] < CAP_PARTIAL)) {
        return false;
    }
    bool is_expected = !is_nested(item);
    for (size_t i = 0; i < item->nitems && is_nested(item) && !is_expected; i++) {
        is_expected = applies(&item->items[i], caps);
    }
    return is_expected;
}

Walk walk_at(const Item *items, size_t n, const Caps *caps)
{
    Walk w = {.depth = 1, .caps = caps};
    w.frame[0] = (WalkFrame){.items = items, .n = n};
    return w;
}

enum { MAX_ANY = 64 }; /* bits of done_mask: more than that in any order is beyond what a reader could follow */

static bool push(Walk *w, const Item *item)
{
    bool is_any = item->kind == ITEM_ANY_ORDER;
    if (w->depth == WALK_DEPTH || (is_any && item->nitems > MAX_ANY)) {
        w->is_too_much = true;
        return false;
    }
    w->frame[w->depth++] = (WalkFrame){.items = item->items, .n = item->nitems, .is_any = is_any};
    return true;
}

static void counted(WalkFrame *f)
{
    f->has_consumed = true;
    if (f->is_any) {
        f->done_mask |= UINT64_C(1) << f->i;
    } else if (++f->count >= f->items[f->i].max_times) {
        f->i++;
        f->count = 0;
    }
}

/* Ends the innermost list. One that took nothing ends its item, else an item of optional items would repeat for ever.
 */
static void pop(Walk *w)
{
    bool has_consumed = w->frame[--w->depth].has_consumed;
    WalkFrame *f = &w->frame[w->depth - 1];
    if (has_consumed || f->is_any) {
        counted(f);
    } else {
        f->i++;
        f->count = 0;
    }
}

/* In any order: the next item that is expected and has not come, from index `at`; n if none. */
static size_t next_open(const WalkFrame *f, size_t at, const Caps *caps)
{
    while (at < f->n && (f->done_mask >> at & 1 || !applies(&f->items[at], caps))) {
        at++;
    }
    return at;
}

/* Goes to the next place where an item could be: out of lists that are complete, past items that are not expected.
 * False: the whole list is complete. */
static bool settle(Walk *w)
{
    for (;;) {
        WalkFrame *f = &w->frame[w->depth - 1];
        if (f->is_any && next_open(f, 0, w->caps) < f->n) {
            return true;
        }
        if (f->is_any || f->i == f->n) {
            if (w->depth == 1) {
                return false;
            }
            pop(w);
        } else if (applies(&f->items[f->i], w->caps)) {
            return true;
        } else {
            f->i++;
            f->count = 0;
        }
    }
}

bool walk_is_done(Walk w)
{
    return !settle(&w);
}

static const Item *take(Walk *c, WalkTry *try, void *ctx);

static const Item *take_item(Walk *w, const Item *item, WalkTry *try, void *ctx)
{
    if (is_nested(item)) {
        Walk inner = *w;
        const Item *found = push(&inner, item) ? take(&inner, try, ctx) : NULL;
        w->is_too_much |= inner.is_too_much;
        if (found) {
            *w = inner;
        }
        return found;
    }
    size_t stream_at = w->stream_at;
    TryResult r = try(ctx, item, &stream_at);
    if (r == TRY_NO) {
        return NULL;
    }
    w->stream_at = r == TRY_PART ? stream_at : 0;
    w->stream_item = r == TRY_PART ? item : NULL;
    if (r == TRY_YES) {
        counted(&w->frame[w->depth - 1]);
    }
    for (unsigned i = 0; i < w->depth; i++) {
        w->frame[i].has_consumed = true;
    }
    return item;
}

static const Item *take_any(Walk *w, WalkTry *try, void *ctx)
{
    WalkFrame *f = &w->frame[w->depth - 1];
    for (size_t k = next_open(f, 0, w->caps); k < f->n; k = next_open(f, k + 1, w->caps)) {
        if (w->stream_item && w->stream_item != &f->items[k]) {
            continue;
        }
        f->i = k;
        const Item *found = take_item(w, &f->items[k], try, ctx);
        if (found) {
            return found;
        }
    }
    return NULL;
}

static const Item *take(Walk *c, WalkTry *try, void *ctx)
{
    Walk w = *c;
    while (settle(&w)) {
        WalkFrame *f = &w.frame[w.depth - 1];
        const Item *item = &f->items[f->i];
        const Item *found = f->is_any ? take_any(&w, try, ctx) : take_item(&w, item, try, ctx);
        if (found) {
            *c = w;
            return found;
        }
        c->is_too_much |= w.is_too_much;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the address of an element is never NULL */
        if (f->is_any || f->count < item->min_times || w.stream_item) {
            return NULL; /* required, and it did not come */
        }
        f->i++;
        f->count = 0;
    }
    return NULL;
}

const Item *walk_take(Walk *c, WalkTry *try, void *ctx)
{
    return take(c, try, ctx);
}

typedef struct {
    const Item **out;
    size_t n, max;
} Collect;

static TryResult collect(void *ctx, const Item *item, size_t *stream_at)
{
    Collect *c = ctx;
    (void)stream_at;
    if (c->n < c->max) {
        c->out[c->n++] = item;
    }
    return TRY_NO;
}

size_t walk_next(const Walk *c, const Item **out, size_t max)
{
    Walk w = *c;
    Collect into = {out, 0, max};
    take(&w, collect, &into);
    return into.n;
}
