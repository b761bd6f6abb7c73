/* SPDX-License-Identifier: Apache-2.0
 * story_step.c - one step: does its verb, then holds what came against `gives`, `error` and the model. */
#include "conformance/language.h"
#include "conformance/story_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WRITE = 16 << 20, MAX_NATIVE = 1 << 20 };

static int do_inject(Story *s, const Step *step, Err *err)
{
    uint64_t number = 0, level = 0;
    Event event;
    bool has_number = step->number.kind != VALUE_NONE, has_level = step->level.kind != VALUE_NONE;
    int rc = has_number ? story_eval(s, &step->number, &number, err) : 0;
    rc = rc || !has_level ? rc : story_eval(s, &step->level, &level, err);
    rc = rc ? rc
            : world_event(s->c->guest, step->word, has_number ? &number : NULL, has_level ? &level : NULL, &event, err);
    if (rc == 0 && event.kind == EV_VECTOR && has_level && !level) {
        return 0; /* a vector has no line to take down */
    }
    return rc ? rc : vcpu_interrupt(story_target(s, step->vcpu)->v, &event, err);
}

static int do_kick(Story *s, const Step *step)
{
    StoryVcpu *sv = story_target(s, step->vcpu);
    atomic_store(&sv->is_canceled_asked, true);
    vcpu_kick(sv->v);
    return 0;
}

typedef struct {
    const Step *step;
    uint8_t vcpu;
} Setting;

static int set_regs(StoryVcpu *sv, void *ctx, Err *err)
{
    const Setting *set = ctx;
    const Step *step = set->step;
    uint8_t(*small)[8] = x_calloc(step->nregs, 8);
    RegIo *io = x_calloc(step->nregs, sizeof *io);
    size_t n = 0, bad = 0;
    int rc = 0;
    for (size_t i = 0; i < step->nregs && rc == 0; i++) {
        const RegSet *r = &step->regs[i];
        uint64_t value;
        if (r->vcpu != set->vcpu) {
            continue;
        }
        io[n] = (RegIo){r->reg, small[n]};
        if (r->bytes) {
            io[n].bytes = (void *)r->bytes; /* set_regs reads them only */
        } else if ((rc = story_eval(sv->story, &r->value, &value, err)) == 0) {
            for (int k = 0; k < 8; k++) {
                small[n][k] = (uint8_t)(value >> 8 * k);
            }
        }
        n++;
    }
    rc = rc ? rc : vcpu_set_regs(sv->v, io, n, &bad, err);
    mem_free(io);
    mem_free(small);
    return rc;
}

static int do_set(Story *s, const Step *step, Err *err)
{
    int rc = 0;
    for (size_t v = 0; v < s->c->nvcpus && rc == 0; v++) {
        Setting set = {step, (uint8_t)v};
        bool is_named = false;
        for (size_t i = 0; i < step->nregs; i++) {
            is_named |= step->regs[i].vcpu == v;
        }
        rc = is_named ? story_on_owner(&s->vcpus[v], set_regs, &set, err) : 0;
    }
    return rc;
}

static int write_one(Story *s, const MemWrite *w, Err *err)
{
    uint64_t at, unit;
    Buf bytes = {0};
    int rc = story_eval(s, &w->addr, &at, err);
    if (w->unit_bytes == 0 || w->n == 0) {
        return rc ? rc : vm_mem_write(s->vm, (Gpa){at}, w->bytes, w->nbytes, err);
    }
    if (w->n > MAX_WRITE / w->unit_bytes) {
        return err_set(err, ERR_LIMIT, "write: more than %d bytes", MAX_WRITE);
    }
    for (size_t i = 0; i < w->n && rc == 0; i++) {
        rc = story_eval(s, &w->units[i], &unit, err);
        if (rc == 0) {
            buf_le(&bytes, unit, w->unit_bytes);
        }
    }
    rc = rc ? rc : vm_mem_write(s->vm, (Gpa){at}, bytes.data, bytes.n, err);
    buf_free(&bytes);
    return rc;
}

static int do_write(Story *s, const Step *step, Err *err)
{
    int rc = 0;
    for (size_t i = 0; i < step->nwrites && rc == 0; i++) {
        rc = write_one(s, &step->writes[i], err);
    }
    return rc;
}

/* ---- map, unmap, protect: a region by name, or an address and a size ---- */
typedef struct {
    uint64_t at, size;
    const WorldRam *ram; /* NULL: none of the world's */
    size_t index;
} Span;

static int span_of(Story *s, const Step *step, Span *out, Err *err)
{
    size_t n;
    const WorldRam *rams = world_rams(s->w, &n);
    *out = (Span){0};
    for (size_t i = 0; step->word && i < n; i++) {
        if (strcmp(rams[i].name, step->word) == 0) {
            *out = (Span){rams[i].at, rams[i].size_bytes, &rams[i], i};
        }
    }
    if (step->word && !out->ram) { /* a hole */
        char name[128];
        uint64_t end;
        snprintf(name, sizeof name, "%s_end", step->word);
        if (!world_symbol(s->w, step->word, &out->at) || !world_symbol(s->w, name, &end)) {
            return err_set(err, ERR_NOENT, "no region `%s`", step->word);
        }
        out->size = end - out->at;
    }
    int rc = step->map_at.kind == VALUE_NONE ? 0 : story_eval(s, &step->map_at, &out->at, err);
    return rc || step->map_size.kind == VALUE_NONE ? rc : story_eval(s, &step->map_size, &out->size, err);
}

static int do_map(Story *s, const Step *step, Err *err)
{
    Span span;
    RamId ram;
    uint32_t flags = step->map_flags ? step->map_flags : MAP_R | MAP_W | MAP_X;
    int rc = span_of(s, step, &span, err);
    if (rc == 0 && step->kind == STEP_unmap) {
        return vm_unmap(s->vm, (Gpa){span.at}, span.size, err);
    }
    if (rc == 0 && step->kind == STEP_protect) {
        return span.ram ? vm_map(s->vm, (Gpa){span.at}, span.size, s->ram_ids[span.index], 0, flags, err)
                        : err_set(err, ERR_NOENT, "protect: no region of memory there");
    }
    if (rc == 0 && span.ram) {
        return vm_map(s->vm, (Gpa){span.at}, span.size, s->ram_ids[span.index], 0, flags, err);
    }
    rc = rc ? rc : vm_ram_new(s->vm, span.size, &ram, err);
    return rc ? rc : vm_map(s->vm, (Gpa){span.at}, span.size, ram, 0, flags, err);
}

/* ---- native: a call of the platform's own; numbers go as 8 bytes, texts as they are, lists and maps in order ---- */
static int native_bytes(Story *s, const Node *n, Buf *out, Err *err)
{
    if (!n || node_is_null(n)) {
        return 0;
    }
    if (n->kind != NODE_SCALAR) {
        int rc = 0;
        for (size_t i = 0; i < n->n && rc == 0; i++) {
            rc = native_bytes(s, n->items[i], out, err);
        }
        return rc;
    }
    if (out->n > MAX_NATIVE) {
        return err_set(err, ERR_LIMIT, "native: more than %d bytes", MAX_NATIVE);
    }
    uint64_t value;
    char *end;
    if (n->is_plain && strchr(n->text, '$')) {
        STORY_LOCK(s);
        int rc = expr_eval(n->text, &s->names, &value, err);
        STORY_UNLOCK(s);
        if (rc == 0) {
            buf_le(out, value, 8);
        }
        return rc;
    }
    errno = 0;
    value = strtoull(n->text, &end, 0);
    if (n->is_plain && *n->text && *end == '\0' && errno == 0) {
        buf_le(out, value, 8);
    } else {
        buf_str(out, n->text);
    }
    return 0;
}

typedef struct {
    const Step *step;
    const Buf *in;
} Native;

static int native_call(StoryVcpu *sv, void *ctx, Err *err)
{
    const Native *n = ctx;
    Buf answer = {0};
    int rc =
        vm_ctl(sv->story->vm, n->step->vcpu < 0 ? NULL : sv->v, n->step->word, buf_text(n->in), n->in->n, &answer, err);
    CapturedList got = {0};
    Cursor c = cursor_of(answer.data, answer.n);
    while (!rc && n->step->answer && cursor_left(&c) >= 8) {
        VEC_PUSH(&got, (Captured){n->step->answer, cursor_le(&c, 8)});
    }
    STORY_LOCK(sv->story);
    story_capture(sv->story, &got);
    STORY_UNLOCK(sv->story);
    VEC_FREE(&got);
    buf_free(&answer);
    return rc;
}

static int do_native(Story *s, const Step *step, Err *err)
{
    Buf in = {0};
    int rc = native_bytes(s, step->args, &in, err);
    rc = rc ? rc : story_on_owner(story_target(s, step->vcpu), native_call, &(Native){step, &in}, err);
    buf_free(&in);
    return rc;
}

static int do_verb(Story *s, const Step *step, Err *err)
{
    switch (step->kind) {
    case STEP_run:
        return step_run(s, step, err);
    case STEP_op:
        return step_op(s, step, err);
    case STEP_inject:
        return do_inject(s, step, err);
    case STEP_kick:
        return do_kick(s, step);
    case STEP_set:
        return do_set(s, step, err);
    case STEP_write:
        return do_write(s, step, err);
    case STEP_map:
    case STEP_unmap:
    case STEP_protect:
        return do_map(s, step, err);
    case STEP_save:
        return step_save(s, step, err);
    case STEP_restore:
        return step_restore(s, step, err);
    case STEP_check:
        return step_check(s, step->check, step->vcpu, err);
    case STEP_native:
        return do_native(s, step, err);
    case STEP_type:
        return story_type(s, step->word ? step->word : "", err);
    case STEP_lua:
        return err_set(err, ERR_UNSUPPORTED, "lua: only a script runs Lua");
    case STEP_COUNT:
        break;
    }
    return err_set(err, ERR_INVAL, "no such step");
}

/* ---- what came of it ---- */
static const char *outcome_word(int rc)
{
    size_t n;
    const ErrorWord *words = error_words(&n);
    for (size_t i = 0; i < n; i++) {
        if (words[i].code == -rc) {
            return words[i].word;
        }
    }
    return rc ? err_name(rc) : "ok";
}

/* The state in which an operation that is rejected, or allowed and failed, must leave its vcpu: virtualcpu keeps it when it rejects,
 * axvcpu poisons where the model says. */
static uint8_t rejected_state(const Story *s, const Step *step, uint8_t before)
{
    int op = step->kind == STEP_op && step->word ? life_op_find(s->model, step->word) : -1;
    int code = step->gives_code;
    if (op < 0 || code == ERR_BUSY || code == ERR_UNSUPPORTED || code == ERR_THREAD) { /* it was not begun */
        return before;
    }
    const LifeCell *cell = &s->model->cell[before][op];
    uint8_t to = code == ERR_STATE ? cell->rejected_to : cell->verdict ? LIFE_STAY : cell->to[OUT_ERROR];
    return to == LIFE_STAY ? before : to;
}

/* The vcpus of a booted machine are the backend's own: here nothing ever happens to one. */
static uint8_t state_of(const Story *s, const StoryVcpu *sv)
{
    return s->c->boot ? s->model->initial : vcpu_state(sv->v);
}

static bool state_is(const Story *s, const StoryVcpu *sv, const char *name)
{
    return strcmp(s->model->states[state_of(s, sv)], name) == 0;
}

typedef struct {
    uint8_t state;
    uint64_t nentered;
} Before;
typedef struct {
    Before before;
    int rc;
    const Err *err;
} Came;

/* Appends why what came is not what `gives` says; nothing: it is. */
static void judge(Story *s, const Step *step, const StoryVcpu *sv, const Came *came, Buf *why)
{
    const Before before = came->before;
    const int rc = came->rc;
    const Err *err = came->err;
    const char *want = step->gives == GIVES_OK ? "ok" : step->gives_word;
    const char *was = s->model->states[before.state];
    uint8_t now = state_of(s, sv);
    bool is_running_seen =
        step->gives == GIVES_STATE && strcmp(want, "Running") == 0 && sv->nentered != before.nentered;
    switch (step->gives) {
    case GIVES_OK_UNSAID:
        return;
    case GIVES_OK:
    case GIVES_STATE:
        if (rc) {
            buf_printf(why, "expected %s, got %s: %s", want, outcome_word(rc), err->text);
        } else if (step->gives == GIVES_OK && now != before.state) {
            buf_printf(why, "expected the state to stay %s, got %s -> %s", was, was, s->model->states[now]);
        } else if (step->gives == GIVES_STATE && !state_is(s, sv, want) && !is_running_seen) {
            buf_printf(why, "expected state %s, got ok; state %s -> %s", want, was, s->model->states[now]);
        }
        break;
    case GIVES_ERROR:
        if (rc == 0) {
            buf_printf(why, "expected %s, got ok; state %s -> %s", want, was, s->model->states[now]);
        } else if (rc != -step->gives_code) {
            buf_printf(why, "expected %s, got %s: %s", want, outcome_word(rc), err->text);
        } else if (step->kind == STEP_op && now != rejected_state(s, step, before.state)) {
            buf_printf(why, "expected %s and state %s, got state %s -> %s", want,
                       s->model->states[rejected_state(s, step, before.state)], was, s->model->states[now]);
        }
        break;
    }
    if (why->n == 0 && step->error) {
        MatchCtx m = story_match_ctx(s, why);
        match_text(&m, step->error, rc ? err->text : "", rc ? strlen(err->text) : 0);
    }
}

static const char *step_word(StepKind kind)
{
    switch (kind) {
#define X(name)                                                                                                        \
    case STEP_##name:                                                                                                  \
        return #name;
        STEP_MAP(X)
#undef X
    case STEP_COUNT:
        break;
    }
    return "?";
}

void step_print(Buf *out, Story *s, const Step *step)
{
    uint64_t n;
    buf_str(out, step_word(step->kind));
    if (step->word) {
        buf_printf(out, " %s", step->word);
    }
    if (step->kind != STEP_run && step->number.kind != VALUE_NONE && story_eval(s, &step->number, &n, NULL) == 0) {
        buf_char(out, ' ');
        number_print(out, n);
    }
    for (size_t i = 0; i < step->nregs; i++) {
        buf_printf(out, " %s", step->regs[i].name);
    }
    if (step->level.kind != VALUE_NONE && story_eval(s, &step->level, &n, NULL) == 0) {
        buf_str(out, " level ");
        number_print(out, n);
    }
    if (step->times > 1) {
        buf_printf(out, " times %u", step->times);
    }
}

static void trace_step(Story *s, const Step *step)
{
    if (step->kind == STEP_run || step->kind == STEP_check) {
        return; /* seen by their exits and their verdict */
    }
    Buf text = {0};
    step_print(&text, s, step);
    STORY_LOCK(s);
    trace_add(&s->trace,
              &(TraceEntry){.kind = TRACE_STEP, .vcpu = (uint8_t)(step->vcpu < 0 ? 0 : step->vcpu), .pos = step->pos},
              buf_take(&text));
    STORY_UNLOCK(s);
}

static void gave_otherwise(Story *s, const Step *step, uint8_t before, const Buf *why)
{
    Buf body = {0}, reason = {0};
    Buf what = {0};
    step_print(&what, s, step);
    buf_printf(&reason, "%s%s%s: %s", buf_text(&what), step->kind == STEP_op ? " in " : "",
               step->kind == STEP_op ? s->model->states[before] : "", buf_text(why));
    text_source_line(s, &body, step->pos, '!');
    buf_printf(&body, "      | %s\n", buf_text(&reason));
    story_verdict_fail(s, step->pos, buf_text(&reason), &body);
    buf_free(&what);
    buf_free(&body);
    buf_free(&reason);
}

static bool is_backends_fault(int rc)
{
    return rc == -ERR_IO || rc == -ERR_PROTO || rc == -ERR_HOST || rc == -ERR_NOMEM || rc == -ERR_TIMEOUT;
}

/* What may move a guest on from its end: all but looking, running and kicking. */
static void leave_end(Story *s, StepKind kind)
{
    if (kind == STEP_run || kind == STEP_check || kind == STEP_kick || kind == STEP_save) {
        return;
    }
    STORY_LOCK(s);
    for (size_t i = 0; i < s->c->nvcpus; i++) {
        s->vcpus[i].end_pos = (Pos){0};
    }
    STORY_UNLOCK(s);
}

static int step_once(Story *s, const Step *step, Err *err)
{
    StoryVcpu *sv = story_target(s, step->vcpu);
    Err here = {0};
    STORY_LOCK(s);
    Before before = {state_of(s, sv), sv->nentered};
    STORY_UNLOCK(s);
    trace_step(s, step);
    leave_end(s, step->kind);
    int rc = do_verb(s, step, &here);
    if (story_is_over(s)) {
        return 0;
    }
    Buf why = {0};
    STORY_LOCK(s);
    judge(s, step, sv, &(Came){before, rc, &here}, &why);
    STORY_UNLOCK(s);
    if (rc && step->gives != GIVES_ERROR && is_backends_fault(rc)) {
        buf_clear(&why); /* nothing is said about the guest when the backend is gone */
    } else if (step->gives != GIVES_OK_UNSAID || step->error) {
        rc = why.n || rc == 0 || step->gives == GIVES_ERROR ? 0 : rc;
    }
    if (why.n) {
        gave_otherwise(s, step, before.state, &why);
    }
    buf_free(&why);
    s->nchecked += step->gives != GIVES_OK_UNSAID;
    if (rc && err) {
        *err = here;
    }
    return rc;
}

static int step_if_able(Story *s, const Step *step, Err *err)
{
    bool is_able = step->if_cap < 0 || s->caps->level[step->if_cap] >= CAP_PARTIAL;
    return is_able ? step_once(s, step, err) : 0;
}

int story_step(Story *s, const Step *step, Err *err)
{
    uint32_t times = step->times ? step->times : 1;
    int rc = 0;
    for (uint32_t i = 0; i < times && rc == 0 && !story_is_over(s); i++) {
        rc = step_if_able(s, step, err);
    }
    return rc;
}

int story_steps(Story *s, const Step *steps, size_t n, const atomic_bool *stop, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t times = steps[i].times ? steps[i].times : 1;
        for (uint32_t k = 0; k < times; k++) { /* a run that ends ends its `meanwhile` too, also within `times` */
            if (story_is_over(s) || (stop && atomic_load(stop))) {
                return 0;
            }
            int rc = step_if_able(s, &steps[i], err);
            if (rc) {
                Buf what = {0};
                step_print(&what, s, &steps[i]);
                story_verdict_rc(s, steps[i].pos, buf_text(&what), rc, err);
                buf_free(&what);
                return rc;
            }
        }
    }
    return 0;
}
