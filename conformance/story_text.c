/* SPDX-License-Identifier: Apache-2.0
 * story_text.c - the text of a failure: the lines of the suite, what was expected and what came, and where the guest
 * was. */
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <string.h>

enum { MAX_NEXT = 8, SHOW_INSNS = 4, SHOW_REGS = 12, SHOW_EXITS = 8, SHOW_LINE = 140 };

/* The suite's text is read again, once, and only for a failure; where it cannot be read, lines are named but not
 * quoted. */
static const char *source_line(Story *s, Pos pos, size_t *n)
{
    Err err;
    if (!s->has_source) {
        s->has_source = true;
        if (!pos.file || pos.file[0] == '(' || os_read_file(pos.file, NODE_MAX_BYTES, &s->source, &err)) {
            buf_clear(&s->source);
        }
    }
    if (!pos.file || !s->c->pos.file || strcmp(pos.file, s->c->pos.file) != 0) {
        return NULL;
    }
    const char *at = buf_text(&s->source), *end = at + s->source.n;
    for (uint32_t line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (line == pos.line) {
            *n = (size_t)(stop - at);
            return at;
        }
        at = stop + 1;
    }
    return NULL;
}

void text_source_line(Story *s, Buf *out, Pos pos, char mark)
{
    size_t n = 0;
    const char *text = pos.line ? source_line(s, pos, &n) : NULL;
    if (!pos.line) {
        return;
    }
    if (text) {
        buf_printf(out, "%5u %c %.*s%s\n", pos.line, mark, (int)(n > SHOW_LINE ? SHOW_LINE : n), text,
                   n > SHOW_LINE ? ".." : "");
    } else {
        buf_printf(out, "%5u %c\n", pos.line, mark);
    }
}

/* What led here: the last exits of this vcpu that matched, by their lines. */
static void matched_before(StoryVcpu *sv, Buf *out)
{
    Story *s = sv->story;
    const Trace *t = &s->trace;
    const TraceEntry *last[SHOW_EXITS];
    size_t n = 0, ntail = t->ntotal - t->head.n;
    for (size_t k = t->ntotal; k-- > 0 && n < SHOW_EXITS;) {
        if (k >= t->head.n && ntail - (k - t->head.n) > TRACE_TAIL) {
            k = t->head.n; /* what lies between was dropped */
            continue;
        }
        const TraceEntry *e = k < t->head.n ? &t->head.items[k].e : &t->tail[(k - t->head.n) % TRACE_TAIL].e;
        if (e->kind == TRACE_EXIT && e->vcpu == sv->index && e->pos.line) {
            last[n++] = e;
        }
    }
    while (n-- > 0) {
        buf_printf(out, "%5u = ", last[n]->pos.line);
        trace_exit_text(s, last[n], out);
        buf_char(out, '\n');
    }
}

static void expected_lines(Story *s, const Item *const *next, size_t n, Buf *out)
{
    for (size_t i = 0; i < n; i++) {
        buf_str(out, i ? "      | or        " : "      | expected  ");
        item_print(s, next[i], out);
        buf_char(out, '\n');
    }
    if (n == 0) {
        buf_str(out, "      | expected  nothing more\n");
    }
}

/* An item further on that would take this exit: then what came before it is missing. */
static const Item *came_early(Story *s, const RunList *list, const Item *expected, const Seen *x, size_t *at)
{
    bool is_behind = false;
    for (size_t i = 0; i < list->n; i++) {
        const Item *item = &list->items[i];
        size_t stream_at = 0;
        if (is_behind && (item->kind == ITEM_EXIT || item->kind == ITEM_DONE || item->kind == ITEM_TRAP) &&
            item_try(s, item, x, &stream_at, NULL, NULL) != TRY_NO) {
            *at = i;
            return item;
        }
        is_behind |= item == expected;
    }
    return NULL;
}

static void why_line(StoryVcpu *sv, const Item *expected, const Seen *x, Buf *out, Buf *reason)
{
    Story *s = sv->story;
    Buf why = {0};
    size_t stream_at = sv->walk.stream_at, at = 0;
    const Item *early;
    if (expected) {
        item_try(s, expected, x, &stream_at, NULL, &why);
    }
    if (expected && (early = came_early(s, sv->list, expected, x, &at)) != NULL) {
        buf_printf(&why, "%sitem %zu (line %u) came early", why.n ? "; " : "", at + 1, early->pos.line);
    }
    if (why.n == 0) {
        buf_str(&why, expected ? "expected " : "nothing more was expected");
        if (expected) {
            item_print(s, expected, &why);
        }
        buf_str(&why, ", got ");
        seen_print(&why, x);
    } else {
        buf_printf(out, "      | why       %s\n", buf_text(&why));
    }
    buf_printf(reason, "%s", buf_text(&why));
    buf_free(&why);
}

/* Kinds that a backend makes when it cannot go on: the native code and the instruction say why. */
static void giving_up(const Seen *x, Buf *out)
{
    ExitKind k = x->e.kind;
    if (x->shown == ITEM_EXIT &&
        (k == EXIT_unknown || k == EXIT_internal_error || k == EXIT_unsupported || k == EXIT_fail_entry)) {
        buf_printf(out, "      | %s fails unless it is named\n", exit_name(k));
    }
    if (x->shown == ITEM_EXIT && k == EXIT_budget) {
        buf_str(out, "      | the run's limit of instructions or time was reached\n");
    }
}

void text_mismatch(StoryVcpu *sv, const Seen *x, Buf *out, Pos *pos, Buf *reason)
{
    Story *s = sv->story;
    const Item *next[MAX_NEXT];
    size_t n = walk_next(&sv->walk, next, MAX_NEXT);
    const Item *expected = n ? next[n - 1] : NULL;
    for (size_t i = n; i-- > 0;) { /* the last is required, the others are optional: one of the same kind was meant */
        if (next[i]->kind == x->shown && (next[i]->kind != ITEM_EXIT || next[i]->exit == x->e.kind)) {
            expected = next[i];
            break;
        }
    }
    *pos = expected ? expected->pos : sv->list->pos;
    if (s->c->nvcpus > 1) {
        buf_printf(reason, "%s: ", sv->decl->name);
    }
    matched_before(sv, out);
    text_source_line(s, out, *pos, '!');
    expected_lines(s, next, n, out);
    buf_str(out, "      | got       ");
    seen_print(out, x);
    buf_str(out, "   (native: ");
    native_print(out, s->b, &x->e);
    buf_printf(out, ")   exit %llu of vcpu %s\n", (unsigned long long)x->e.seq, sv->decl->name);
    why_line(sv, expected, x, out, reason);
    giving_up(x, out);
}

/* ---- where the guest is ---- */
typedef struct {
    RegId ids[64];
    uint64_t now[64];
    size_t n;
} Gprs;

static int gprs_read(StoryVcpu *sv, void *ctx, Err *err)
{
    Gprs *g = ctx;
    uint8_t bytes[64][8] = {{0}};
    RegIo io[64];
    for (size_t i = 0; i < g->n; i++) {
        io[i] = (RegIo){g->ids[i], bytes[i]};
    }
    int rc = vcpu_get_regs(sv->v, io, g->n, NULL, err);
    for (size_t i = 0; i < g->n && rc == 0; i++) {
        Cursor c = cursor_of(bytes[i], REG_SIZE(g->ids[i]));
        g->now[i] = cursor_le(&c, REG_SIZE(g->ids[i]));
    }
    return rc;
}

static void gprs_of(GuestId guest, Gprs *g)
{
    size_t n;
    const RegInfo *table = reg_table(guest, &n);
    g->ids[g->n++] = reg_find(guest, "pc")->id;
    for (size_t i = 0; i < n && g->n < ARRAY_LEN(g->ids); i++) {
        if (REG_CLASS(table[i].id) == REG_GPR && REG_SIZE(table[i].id) == 8 && table[i].writable) {
            g->ids[g->n++] = table[i].id;
        }
    }
}

static uint64_t entry_value(const WorldRegs *entry, RegId id)
{
    for (size_t i = entry->n; i-- > 0;) {
        if (entry->items[i].reg == id) {
            return entry->items[i].value;
        }
    }
    return 0;
}

static void changed_regs(StoryVcpu *sv, const Gprs *g, Buf *out)
{
    Err err;
    WorldRegs entry = {0};
    unsigned nshown = 0, nmore = 0;
    if (world_entry(sv->story->w, sv->index, &entry, &err) == 0) {
        for (size_t i = 1; i < g->n; i++) {
            if (g->now[i] == entry_value(&entry, g->ids[i])) {
                continue;
            }
            if (nshown++ >= SHOW_REGS) {
                nmore++;
                continue;
            }
            buf_printf(out, "%s%s ", nshown == 1 ? "  changed since entry: " : "  ", reg_info(g->ids[i])->name);
            number_print(out, g->now[i]);
        }
    }
    if (nmore) {
        buf_printf(out, "  and %u more", nmore);
    }
    if (nshown) {
        buf_char(out, '\n');
    }
    VEC_FREE(&entry);
}

void text_where(StoryVcpu *sv, Buf *out)
{
    Gprs g = {0};
    Err err;
    gprs_of(sv->story->c->guest, &g);
    if (!sv->v || gprs_read(sv, &g, &err)) {
        return; /* what cannot be read is not shown */
    }
    buf_str(out, "  pc ");
    place_print(out, sv->story->w, g.now[0]);
    buf_char(out, '\n');
    world_disasm(sv->story->w, g.now[0], SHOW_INSNS, g.now[0], out);
    if (out->n && out->data[out->n - 1] != '\n') {
        buf_char(out, '\n');
    }
    changed_regs(sv, &g, out);
}

void text_last_exits(Story *s, Buf *out, unsigned n)
{
    STORY_LOCK(s);
    size_t have = s->exits.n, from = have > n ? have - n : 0;
    if (have) {
        buf_str(out, "  the last exits:\n");
    }
    for (size_t i = from; i < have; i++) {
        const VmExit *e = &s->exits.items[i];
        Ring ring = world_ring(s->w, e);
        Seen x = {.e = *e, .guest = s->c->guest, .w = s->w};
        x.shown = ring == RING_DONE ? ITEM_DONE : ITEM_EXIT;
        buf_str(out, "    ");
        for (size_t v = 0; v < s->c->nvcpus && s->c->nvcpus > 1; v++) {
            buf_str(out, s->c->vcpus[v].id == e->vcpu ? s->c->vcpus[v].name : "");
            buf_str(out, s->c->vcpus[v].id == e->vcpu ? ": " : "");
        }
        seen_print(out, &x);
        buf_char(out, '\n');
    }
    STORY_UNLOCK(s);
}
