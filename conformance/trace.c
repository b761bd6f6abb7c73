/* SPDX-License-Identifier: Apache-2.0
 * trace.c - what happened, in order: the first and the last entries are kept, as a run may have millions of exits.
 * Texts are made at the end, for the entries that are left. */
#include "conformance/story_int.h"
#include "coverage/collect.h"

#include <string.h>

TraceEntry *trace_add(Trace *t, const TraceEntry *e, char *text_owned)
{
    TraceSlot *slot;
    t->ntotal++;
    if (t->head.n < TRACE_HEAD) {
        VEC_PUSH(&t->head, (TraceSlot){0});
        slot = &t->head.items[t->head.n - 1];
    } else {
        if (!t->tail) {
            t->tail = x_calloc(TRACE_TAIL, sizeof *t->tail);
        }
        slot = &t->tail[(t->ntotal - TRACE_HEAD - 1) % TRACE_TAIL];
        mem_free(slot->text);
    }
    slot->e = *e;
    slot->text = text_owned;
    return &slot->e;
}

void trace_free(Trace *t)
{
    for (size_t i = 0; i < t->head.n; i++) {
        mem_free(t->head.items[i].text);
    }
    for (size_t i = 0; t->tail && i < TRACE_TAIL; i++) {
        mem_free(t->tail[i].text);
    }
    VEC_FREE(&t->head);
    mem_free(t->tail);
    t->tail = NULL;
}

void trace_exit_text(Story *s, const TraceEntry *e, Buf *out)
{
    Seen x = {.e = e->exit, .shown = e->shown_as, .guest = s->c->guest, .w = s->w};
    x.trap.cause = e->trap[0];
    x.trap.addr = e->trap[1];
    x.trap.code = e->trap[2];
    x.trap.pc = e->trap_pc;
    x.trap.has_addr = e->trap_has & 1;
    x.trap.has_code = e->trap_has >> 1 & 1;
    seen_print(out, &x);
}

static const char *op_word(const Story *s, LifeOp op)
{
#define X(name) [LIFE_##name] = #name,
    static const char *const words[] = {LIFE_OP_MAP(X)};
#undef X
    const char *own = s->model->op_names[op];
    return own ? own : words[op];
}

static void entry_text(Story *s, const TraceSlot *slot, Buf *out)
{
    const TraceEntry *e = &slot->e;
    switch (e->kind) {
    case TRACE_EXIT:
        trace_exit_text(s, e, out);
        return;
    case TRACE_OP:
        buf_printf(out, "%s: %s -> %s", op_word(s, e->op), s->model->states[e->from], s->model->states[e->to]);
        if (e->rc) {
            buf_printf(out, " (%s)", err_sentence(e->rc));
        }
        return;
    case TRACE_STEP:
        buf_str(out, slot->text ? slot->text : "");
        return;
    }
}

static void finish_slot(Story *s, const TraceSlot *slot)
{
    Buf text = {0};
    TraceEntry e = slot->e;
    entry_text(s, slot, &text);
    e.text = arena_strndup(s->r->arena, buf_text(&text), text.n);
    VEC_PUSH(&s->r->trace, e);
    buf_free(&text);
}

void trace_finish(Story *s)
{
    Trace *t = &s->trace;
    if (!s->r->arena) {
        s->r->arena = arena_new();
    }
    for (size_t i = 0; i < t->head.n; i++) {
        finish_slot(s, &t->head.items[i]);
    }
    size_t ntail = t->ntotal - t->head.n;
    size_t kept = ntail < TRACE_TAIL ? ntail : TRACE_TAIL;
    for (size_t i = ntail - kept; i < ntail; i++) {
        finish_slot(s, &t->tail[i % TRACE_TAIL]);
    }
    s->r->trace_dropped = ntail - kept;
}

void story_on_exit(void *ctx, const VmExit *e)
{
    Story *s = ctx;
    if (s->o.coverage) {
        story_cover_exit(s, e);
    }
    if (!e->is_completed) {
        return; /* recorded where it is matched */
    }
    STORY_LOCK(s);
    s->r->nexits++;
    trace_add(&s->trace, &(TraceEntry){.kind = TRACE_EXIT, .vcpu = e->vcpu, .exit = *e}, NULL);
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        StoryVcpu *sv = &s->vcpus[i];
        if (sv->decl->id == e->vcpu && sv->run && sv->run->include_completed && sv->completed.n < EXITS_MAX) {
            VEC_PUSH(&sv->completed, *e);
        }
    }
    STORY_UNLOCK(s);
}

static StoryVcpu *vcpu_of(Story *s, uint8_t id)
{
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        if (s->vcpus[i].decl->id == id) {
            return &s->vcpus[i];
        }
    }
    return NULL;
}

/* A state change of the model's own operations must be an edge of its table; set_state and transition are the two that
 * may go anywhere, restore replaces the state, and a rejection poisons (axvcpu). */
static bool is_legal(const LifeModel *m, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    return rc != 0 || from == to || op == LIFE_set_state || op == LIFE_transition || op == LIFE_restore ||
           (from < m->nstates && to < m->nstates && m->edges[from] >> to & 1);
}

void story_on_op(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    Story *s = ctx;
    STORY_LOCK(s);
    StoryVcpu *sv = vcpu_of(s, vcpu);
    if (!sv || s->is_closing) {
        STORY_UNLOCK(s);
        return;
    }
    if (s->o.coverage) {
        covjob_on_op(s->o.coverage, vcpu, op, from, to, rc);
    }
    sv->nruns += op == LIFE_run && rc == 0;
    /* How often the loop that serves a board enters and wakes is a matter of the host's timing, and not even seen where the
     * board is with the backend: no part of the result. */
    bool is_served = s->board && !s->c->lifecycle && op != LIFE_setup && op != LIFE_destroy;
    if (from != to) {
        s->r->ntransitions += !is_served;
        sv->nstates++;
        sv->nentered += op == LIFE_run && strcmp(s->model->states[to], "Running") == 0;
        if (sv->states.n < STATES_MAX) {
            VEC_PUSH(&sv->states, to);
        }
        if (!is_legal(s->model, op, from, to, rc)) {
            sv->bad_from = from;
            sv->bad_to = to;
            sv->is_bad = true;
        }
    }
    /* entries and looks at registers are noise where the runner does them */
    if ((from != to || rc) && (s->c->lifecycle || rc || (!is_served && op != LIFE_run && op != LIFE_setup))) {
        trace_add(
            &s->trace,
            &(TraceEntry){.kind = TRACE_OP, .vcpu = (uint8_t)sv->index, .op = op, .from = from, .to = to, .rc = rc},
            NULL);
    }
    STORY_UNLOCK(s);
}
