/* SPDX-License-Identifier: Apache-2.0
 * story_item.c - one exit against one item: every field that the item names, each with its reason when it differs. */
#include "conformance/story_int.h"

#include <stdio.h>
#include <string.h>

static bool field_is_place(FieldId f)
{
    return f == FIELD_addr || f == FIELD_pc || f == FIELD_next || f == FIELD_entry || f == FIELD_gva;
}

static bool is_sysreg(const void *ctx, const char *word, uint64_t value)
{
    const Seen *x = ctx;
    const RegInfo *r = reg_find(x->guest, word);
    return r && REG_CLASS(r->id) == REG_SYS && REG_INDEX(r->id) == value;
}

static bool is_cause(const void *ctx, const char *word, uint64_t value)
{
    const Seen *x = ctx;
    (void)value;
    return cause_matches(x->guest, word, &x->trap);
}

static bool is_no_word(const void *ctx, const char *word, uint64_t value)
{
    (void)ctx;
    (void)word;
    (void)value;
    return false;
}

static void words_of(MatchCtx *m, const Seen *x, FieldId f)
{
    m->is_word = f == FIELD_reg                                          ? is_sysreg
                 : f == FIELD_cause                                      ? is_cause
                 : f == FIELD_kind || f == FIELD_access || f == FIELD_by ? is_no_word
                                                                         : NULL;
    m->word_ctx = x;
}

/* pc where the platform gave only the address behind: it must be that of the instruction at the expected pc. */
static bool pc_from_next(const MatchCtx *m, const FieldCheck *f, const Seen *x, bool *ok)
{
    uint64_t pc;
    if (f->field != FIELD_pc || f->match.kind != MATCH_eq || !(x->e.valid & HAS_pc_after) ||
        value_eval(&f->match.a, m->names, &pc, NULL)) {
        return false;
    }
    unsigned n = world_insn_len(x->w, pc);
    *ok = n && x->e.pc_after == pc + n;
    if (!*ok && m->why) {
        buf_str(m->why, "expected ");
        place_print(m->why, x->w, pc);
        buf_str(m->why, n ? ", got next " : " (no instruction there), got next ");
        place_print(m->why, x->w, x->e.pc_after);
    }
    return true;
}

static bool match_hex_bytes(const MatchCtx *m, const Matcher *match, const FieldValue *v)
{
    char hex[2 * sizeof v->text + 1] = "";
    bool is_text = match->a.kind == VALUE_TEXT;
    if (!is_text) {
        return match_bytes(m, match, (const uint8_t *)v->text, v->n);
    }
    for (uint64_t i = 0; i < v->n; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)v->text[i]);
    }
    return match_text(m, match, hex, strlen(hex));
}

static bool field_try(MatchCtx m, const FieldCheck *f, const Seen *x)
{
    bool ok;
    FieldValue v = field_get(x, f->field);
    words_of(&m, x, f->field);
    switch (v.kind) {
    case FV_ABSENT:
        if (pc_from_next(&m, f, x, &ok)) {
            return ok;
        }
        if (m.why) {
            buf_str(m.why, "not given by this backend");
        }
        return false;
    case FV_INT:
        m.got_text = v.text[0] ? v.text : NULL;
        return match_int(&m, &f->match, v.n, v.width, v.is_place);
    case FV_TEXT:
        return match_text(&m, &f->match, v.text, strlen(v.text));
    case FV_BYTES:
        return match_hex_bytes(&m, &f->match, &v);
    }
    return false;
}

/* `stream` and `text`: the bytes of this piece are the next ones of the text, however a backend cuts it into exits. */
static TryResult stream_try(const MatchCtx *m, const FieldCheck *f, const Seen *x, size_t *at)
{
    const char *text = f->match.a.kind == VALUE_TEXT ? f->match.a.text : "";
    size_t n = strlen(text);
    if (!(x->e.valid & HAS_value) || x->e.size_bytes == 0 || x->e.size_bytes > 8) {
        buf_str(m->why, "not given by this backend");
        return TRY_NO;
    }
    for (unsigned i = 0; i < x->e.size_bytes; i++, (*at)++) {
        unsigned char got = (unsigned char)(x->e.value >> 8 * i);
        if (*at >= n || (unsigned char)text[*at] != got) {
            buf_printf(m->why, "expected byte %zu of %zu to be 0x%02x, got 0x%02x", *at + 1, n,
                       *at < n ? (unsigned char)text[*at] : 0, got);
            return TRY_NO;
        }
    }
    return *at == n ? TRY_YES : TRY_PART;
}

static bool kind_is(const Item *item, const Seen *x)
{
    return item->kind == x->shown && (item->kind != ITEM_EXIT || item->exit == x->e.kind);
}

TryResult item_try(Story *s, const Item *item, const Seen *x, size_t *stream_at, CapturedList *got, Buf *why)
{
    TryResult result = TRY_YES;
    if (!kind_is(item, x)) {
        return TRY_NO;
    }
    for (size_t i = 0; i < item->nfields; i++) {
        const FieldCheck *f = &item->fields[i];
        Buf part = {0};
        MatchCtx m = story_match_ctx(s, &part);
        m.got = got;
        bool is_stream = f->field == FIELD_stream || f->field == FIELD_text;
        TryResult r = is_stream ? stream_try(&m, f, x, stream_at) : field_try(m, f, x) ? TRY_YES : TRY_NO;
        if (r == TRY_NO && why) {
            buf_printf(why, "%s%s: %s", why->n ? "; " : "", field_word(f->field), buf_text(&part));
        }
        result = result == TRY_NO || r == TRY_NO ? TRY_NO : r == TRY_PART ? r : result;
        buf_free(&part);
    }
    return result;
}

static void times_print(const Item *item, Buf *out)
{
    if (item->min_times == 1 && item->max_times == 1) {
        return;
    }
    if (item->min_times == 0 && item->max_times == 1) {
        buf_str(out, " (optional)");
    } else if (item->min_times == item->max_times) {
        buf_printf(out, " times %llu", (unsigned long long)item->min_times);
    } else {
        buf_printf(out, " times %llu to %llu", (unsigned long long)item->min_times,
                   (unsigned long long)item->max_times);
    }
}

void item_print(Story *s, const Item *item, Buf *out)
{
    MatchCtx m = story_match_ctx(s, NULL);
    Seen x = {.guest = s->c->guest, .w = s->w};
    switch (item->kind) {
    case ITEM_EXIT:
        buf_str(out, exit_name(item->exit));
        break;
    case ITEM_DONE:
        buf_str(out, "done");
        break;
    case ITEM_TRAP:
        buf_str(out, "trap");
        break;
    case ITEM_CONSOLE:
        buf_str(out, "console ");
        matcher_print(&m, &item->console, false, out);
        break;
    case ITEM_REPEAT:
    case ITEM_ANY_ORDER:
        buf_str(out, item->kind == ITEM_REPEAT ? "repeat" : "any_order");
        break;
    }
    for (size_t i = 0; i < item->nfields; i++) {
        words_of(&m, &x, item->fields[i].field);
        buf_printf(out, " %s ", field_word(item->fields[i].field));
        matcher_print(&m, &item->fields[i].match, field_is_place(item->fields[i].field), out);
    }
    times_print(item, out);
}
