/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/bless.h"
#include "conformance/story_int.h"

static bool has_insns(const Case *c)
{
    for (size_t i = 0; i < c->nsteps; i++) {
        if (c->steps[i].kind == STEP_run && c->steps[i].run.insns + 1 > 1) { /* neither 0 nor UINT64_MAX */
            return true;
        }
    }
    return false;
}

/* What no list names. A budget that the clock ended is the run's limit: a list names it only with `insns`. */
static bool is_noise(const Case *c, const TraceEntry *e)
{
    ExitKind k = e->exit.kind;
    return e->shown_as == ITEM_EXIT && (k == EXIT_nothing || k == EXIT_external_interrupt || k == EXIT_preempt_timer ||
                                        (k == EXIT_budget && !has_insns(c)));
}

static void value_print(const FieldValue *v, Buf *out)
{
    if (v->kind == FV_BYTES) {
        for (uint64_t i = 0; i < v->n; i++) {
            buf_printf(out, "%s0x%02x", i ? ", " : "[", (unsigned char)v->text[i]);
        }
        buf_char(out, ']');
    } else if (v->text[0]) {
        buf_str(out, v->text);
    } else {
        number_print(out, v->n);
    }
}

static void item_text(const Result *r, const TraceEntry *e, Buf *out)
{
    Seen x = {.e = e->exit, .shown = e->shown_as, .guest = r->c->guest};
    x.trap.cause = e->trap[0];
    x.trap.addr = e->trap[1];
    x.trap.code = e->trap[2];
    x.trap.has_addr = e->trap_has & 1;
    x.trap.has_code = e->trap_has >> 1 & 1;
    FieldId fields[FIELD_COUNT];
    size_t n = field_shown(&x, fields), nshown = 0;
    Buf text = {0};
    for (size_t i = 0; i < n; i++) {
        FieldValue v = field_get(&x, fields[i]);
        if (v.kind == FV_ABSENT || fields[i] == FIELD_pc || fields[i] == FIELD_next) {
            continue; /* addresses of code move with every edit: the author names them by label where they matter */
        }
        buf_printf(&text, "%s%s: ", nshown++ ? ", " : "", field_word(fields[i]));
        value_print(&v, &text);
    }
    const char *word = e->shown_as == ITEM_DONE ? "done" : e->shown_as == ITEM_TRAP ? "trap" : exit_name(e->exit.kind);
    bool needs_reply = e->shown_as == ITEM_EXIT && e->exit.reply == REPLY_VALUE && !e->exit.is_completed;
    if (needs_reply) {
        buf_printf(out, "- {%s: {%s}, reply: 0}\n", word, buf_text(&text));
    } else if (nshown && e->shown_as != ITEM_DONE) {
        buf_printf(out, "- %s: {%s}\n", word, buf_text(&text));
    } else {
        buf_printf(out, "- %s\n", word);
    }
    buf_free(&text);
}

const char *bless_refusal(const Result *r)
{
    for (size_t i = 0; i < r->trace.n; i++) {
        const TraceEntry *e = &r->trace.items[i];
        if (e->kind == TRACE_EXIT && e->shown_as == ITEM_EXIT && e->exit.kind == EXIT_budget && !e->pos.line &&
            is_noise(r->c, e)) {
            return "the run was still under way when its time was over";
        }
    }
    return r->status == STATUS_error ? buf_text(&r->reason) : NULL;
}

void bless_print(const Result *r, Buf *out)
{
    size_t nvcpus = r->c->nvcpus;
    for (size_t v = 0; v < nvcpus; v++) {
        if (nvcpus > 1) {
            buf_printf(out, "%s:\n", r->c->vcpus[v].name);
        }
        for (size_t i = 0; i < r->trace.n; i++) {
            const TraceEntry *e = &r->trace.items[i];
            if (e->kind == TRACE_EXIT && e->vcpu == v && !is_noise(r->c, e) && !e->exit.is_completed) {
                item_text(r, e, out);
            }
        }
    }
}
