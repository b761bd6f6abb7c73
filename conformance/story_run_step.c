/* SPDX-License-Identifier: Apache-2.0
 * story_run_step.c - the verb `run`: enters vcpus, holds every exit against the run list of its vcpu, answers, until
 * the lists are complete. */
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <stdio.h>
#include <string.h>

enum { COME_OUT_NS = 2000000000, MEANWHILE_WAIT_NS = 1000000000 };
enum { DEFAULT_RUN_SHARE = 10 }; /* of the case's time: whoever gives a slow machine more time gives it to each run */

/* ---- what the caller will read (accel.h: what is not wanted must cost nothing) ---- */
static uint32_t items_want(const Item *items, size_t n)
{
    uint32_t want = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < items[i].nfields; k++) {
            FieldId f = items[i].fields[k].field;
            want |= f == FIELD_pc || f == FIELD_next ? HAS_pc_before | HAS_pc_after
                    : f == FIELD_insns               ? HAS_insns
                    : f == FIELD_gva                 ? HAS_gva
                                                     : 0;
        }
        want |= items_want(items[i].items, items[i].nitems);
    }
    return want;
}

static RunArgs run_args(const StoryVcpu *sv)
{
    const Story *s = sv->story;
    RunArgs a = RUN_FOREVER;
    a.want = s->want | HAS_value | items_want(sv->list->items, sv->list->n);
    a.insns = sv->insns_left;
    a.want |= sv->insns_left != UINT64_MAX ? HAS_insns : 0;
    if (s->caps->level[CAP_deadline] >= CAP_PARTIAL) {
        a.deadline_ns = sv->run_deadline_ns; /* else story_watch kicks */
    }
    a.irq_window = sv->wants_window;
    a.is_step = sv->run->is_step;
    return a;
}

/* ---- ends that are no exit of the guest ---- */

/* The vcpus of a run come out one after the other, each on its own thread: each says where it was. */
static void add_where(StoryVcpu *sv, const Err *stuck)
{
    Story *s = sv->story;
    Buf text = {0};
    buf_printf(&text, "  vcpu %s%s\n", sv->decl->name, stuck ? ": did not come out of run()" : "");
    if (!stuck) {
        text_where(sv, &text);
    }
    STORY_LOCK(s);
    buf_bytes(&s->r->failure, text.data, text.n);
    STORY_UNLOCK(s);
    buf_free(&text);
}

/* stuck: what the backend said when the vcpu did not come out; NULL = it came out. */
static void end_on_timeout(StoryVcpu *sv, const Err *stuck)
{
    Story *s = sv->story;
    Buf reason = {0}, body = {0};
    Pos pos = sv->list ? sv->list->pos : s->c->pos;
    const Item *awaited = story_machine_awaits(sv);
    pos = awaited ? awaited->pos : pos;
    if (atomic_load(&s->is_interrupted)) {
        STORY_LOCK(s);
        buf_str(&reason, s->interrupt_why);
        STORY_UNLOCK(s);
    } else {
        buf_printf(&reason, "timed out after %.3g s", (double)(s->deadline_ns - s->started_ns) / 1e9);
    }
    if (stuck) {
        buf_printf(&reason, "; vcpu %s did not come out of run() when it was kicked: %s", sv->decl->name, stuck->text);
    }
    text_source_line(s, &body, pos, '!');
    buf_printf(&body, "      | %s\n", buf_text(&reason));
    text_last_exits(s, &body, 20);
    if (awaited) {
        story_machine_text(sv, awaited, &body);
    }
    if (!stuck && s->c->nvcpus == 1) {
        text_where(sv, &body);
    }
    story_verdict_error(s, pos, buf_text(&reason), &body);
    if (s->c->nvcpus > 1) {
        add_where(sv, stuck);
    }
    buf_free(&reason);
    buf_free(&body);
}

static void end_on_error(StoryVcpu *sv, const char *what, int rc, const Err *err)
{
    Story *s = sv->story;
    char where[96];
    const Item *next = NULL;
    bool is_stuck = rc == -ERR_TIMEOUT || os_now_ns() >= s->deadline_ns + COME_OUT_NS;
    if (is_stuck || atomic_load(&s->is_interrupted)) {
        end_on_timeout(sv, is_stuck ? err : NULL); /* who waits for us may have killed the backend meanwhile */
        return;
    }
    snprintf(where, sizeof where, "%s of %s", what, sv->decl->name);
    STORY_LOCK(s);
    Pos pos = walk_next(&sv->walk, &next, 1) ? next->pos : sv->list->pos;
    STORY_UNLOCK(s);
    story_verdict_rc(s, pos, where, rc, err);
}

static void end_on_mismatch(StoryVcpu *sv, const Seen *x)
{
    Story *s = sv->story;
    Buf body = {0}, reason = {0};
    Pos pos = sv->list->pos;
    if (sv->walk.is_too_much) {
        story_verdict_error(s, pos, "a run list is nested more than 7 deep, or has more than 64 items in any order",
                            NULL);
        return;
    }
    STORY_LOCK(s);
    text_mismatch(sv, x, &body, &pos, &reason);
    STORY_UNLOCK(s);
    text_where(sv, &body);
    story_verdict_fail(s, pos, buf_text(&reason), &body);
    buf_free(&body);
    buf_free(&reason);
}

/* The kit rings for ever: a second `done` of a guest that was left at its end proves nothing. */
static void end_again(StoryVcpu *sv, const Item *item, Pos end)
{
    Buf reason = {0};
    buf_printf(&reason, "done again: vcpu %s was at its end already (line %u), and nothing was done to it since",
               sv->decl->name, end.line);
    story_verdict_fail(sv->story, item->pos, buf_text(&reason), NULL);
    buf_free(&reason);
}

/* ---- one exit ---- */
typedef struct {
    Story *s;
    const Seen *x; /* NULL: only console items */
    CapturedList got;
    size_t console_end;
} Taking;

static TryResult try_item(void *ctx, const Item *item, size_t *stream_at)
{
    Taking *t = ctx;
    Story *s = t->s;
    if (item->kind == ITEM_CONSOLE) {
        return !t->x && story_console_took(s, item, &t->console_end) ? TRY_YES : TRY_NO;
    }
    if (!t->x) {
        return TRY_NO;
    }
    t->got.n = 0;
    return item_try(s, item, t->x, stream_at, &t->got, NULL);
}

/* The item that takes x, with its captures kept; NULL: none does. Called with the lock. */
static const Item *take_exit(StoryVcpu *sv, const Seen *x)
{
    Taking t = {.s = sv->story, .x = x};
    const Item *item = walk_take(&sv->walk, try_item, &t);
    if (item) {
        story_capture(sv->story, &t.got);
    }
    VEC_FREE(&t.got);
    return item;
}

static int reply_values(Story *s, const Item *item, Reply *r, Err *err)
{
    unsigned n = item->answer == ANSWER_CPUID ? 4 : item->answer == ANSWER_VALUE ? 1 : 0;
    r->is_fault = item->answer == ANSWER_FAULT;
    for (unsigned i = 0; i < n; i++) {
        int rc = story_eval(s, &item->reply[i], i ? &r->more[i - 1] : &r->value, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int answer(StoryVcpu *sv, const Item *item, const Seen *x, Err *err)
{
    Reply r = {0};
    int rc = item ? reply_values(sv->story, item, &r, err) : 0;
    if (rc == 0 && x->e.reply != REPLY_none && vcpu_reply_due(sv->v)) {
        rc = vcpu_reply(sv->v, &r, err);
    } else if (rc == 0 && item && item->answer == ANSWER_VALUE && x->e.reply == REPLY_none) {
        rc = vcpu_set_return(sv->v, r.value, err); /* a hypercall's result */
    }
    if (rc == 0 && item && item->kind == ITEM_TRAP && (item->answer == ANSWER_SKIP || item->answer == ANSWER_RETRY)) {
        rc = world_trap_return(sv->story->w, sv->v, &x->trap, item->answer == ANSWER_SKIP, err);
    }
    return rc;
}

/* A store that is on its way has no sure pc (W3), but looking at the registers settles it: then pc is the one behind
 * it. Only done where an item names pc or next and the backend gave neither. */
static int settle_pc(StoryVcpu *sv, Seen *x, Err *err)
{
    VmExit *e = &x->e;
    bool is_store = e->kind == EXIT_mmio_write || e->kind == EXIT_io_write;
    uint8_t bytes[8] = {0};
    RegIo io = {reg_find(x->guest, "pc")->id, bytes};
    if (!is_store || x->shown != ITEM_EXIT || e->valid & (HAS_pc_before | HAS_pc_after) ||
        !(items_want(sv->list->items, sv->list->n) & HAS_pc_after)) {
        return 0;
    }
    int rc = vcpu_get_regs(sv->v, &io, 1, NULL, err);
    if (rc == 0) {
        Cursor c = cursor_of(bytes, sizeof bytes);
        e->pc_after = cursor_le(&c, sizeof bytes);
        e->valid |= HAS_pc_after;
    }
    return rc;
}

static int see(StoryVcpu *sv, const VmExit *e, Seen *x, Err *err)
{
    Story *s = sv->story;
    Ring ring = world_ring(s->w, e);
    *x = (Seen){.e = *e, .guest = s->c->guest, .w = s->w};
    x->shown = ring == RING_DONE ? ITEM_DONE : ring == RING_TRAP ? ITEM_TRAP : ITEM_EXIT;
    return ring == RING_TRAP ? world_trap_read(s->w, sv->v, &x->trap, err) : settle_pc(sv, x, err);
}

static void count_insns(StoryVcpu *sv, const VmExit *e)
{
    if (!(e->valid & HAS_insns)) {
        return;
    }
    uint64_t did = e->insns - sv->insns;
    sv->insns = e->insns;
    sv->has_insns = true;
    if (sv->insns_left != UINT64_MAX) {
        sv->insns_left -= did < sv->insns_left ? did : sv->insns_left;
    }
}

static bool is_ignored(const StoryVcpu *sv, const Seen *x)
{
    return x->shown == ITEM_EXIT && sv->run->ignore >> x->e.kind & 1;
}

/* Adds the exit to the trace and finds its item. Called with the lock. */
static const Item *record(StoryVcpu *sv, const Seen *x)
{
    Story *s = sv->story;
    TraceEntry *t = trace_add(&s->trace,
                              &(TraceEntry){.kind = TRACE_EXIT,
                                            .vcpu = (uint8_t)sv->index,
                                            .exit = x->e,
                                            .shown_as = x->shown,
                                            .trap = {x->trap.cause, x->trap.addr, x->trap.code},
                                            .trap_pc = x->trap.pc,
                                            .trap_has = (uint8_t)(x->trap.has_addr | x->trap.has_code << 1)},
                              NULL);
    s->r->nexits++;
    sv->exits_seen |= UINT64_C(1) << x->e.kind;
    count_insns(sv, &x->e);
    if (s->exits.n < EXITS_MAX) {
        VEC_PUSH(&s->exits, x->e);
    }
    const Item *item = is_ignored(sv, x) ? NULL : take_exit(sv, x);
    if (item) {
        t->pos = item->pos;
    }
    return item;
}

/* Exits that the board completed since: compared under `include: completed` only. False: one did not match. */
static bool take_completed(StoryVcpu *sv)
{
    Story *s = sv->story;
    bool is_one = true;
    while (is_one) {
        STORY_LOCK(s);
        is_one = sv->completed.n > 0;
        const Item *item = NULL;
        Seen x = {.guest = s->c->guest, .w = s->w};
        if (is_one) {
            x.e = sv->completed.items[0];
            sv->completed.n--;
            memmove(sv->completed.items, sv->completed.items + 1, sv->completed.n * sizeof x.e);
            item = sv->run->include_completed ? take_exit(sv, &x) : NULL;
        }
        STORY_UNLOCK(s);
        if (is_one && !item && sv->run->include_completed) {
            end_on_mismatch(sv, &x);
            return false;
        }
    }
    return true;
}

static const Item *take_one_console(StoryVcpu *sv)
{
    Story *s = sv->story;
    Taking t = {.s = s};
    STORY_LOCK(s);
    const Item *item = walk_take(&sv->walk, try_item, &t);
    s->console_mark += item ? t.console_end : 0;
    STORY_UNLOCK(s);
    return item;
}

static void take_console(StoryVcpu *sv)
{
    const Item *item;
    Err err = {0};
    while (!story_is_over(sv->story) && (item = take_one_console(sv))) {
        (void)story_steps(sv->story, item->then, item->nthen, NULL, &err); /* the verdict is made there */
    }
}

/* The run's own limit on the clock stands for a budget where time is not virtual. False: the story is over. */
static bool judge_canceled(StoryVcpu *sv, VmExit *e)
{
    Story *s = sv->story;
    uint64_t now = os_now_ns();
    if (atomic_load(&s->is_interrupted) || now >= s->deadline_ns) {
        end_on_timeout(sv, NULL);
        return false;
    }
    if (now >= sv->run_deadline_ns && !atomic_load(&sv->is_canceled_asked)) {
        e->kind = EXIT_budget;
    }
    atomic_store(&sv->is_canceled_asked, false);
    return !atomic_load(&s->is_stopping);
}

/* Was it the console that kicked, and nothing else? Then the walk goes on from what was printed. */
static bool is_for_console(StoryVcpu *sv)
{
    const Story *s = sv->story;
    uint64_t now = os_now_ns();
    bool is_news = atomic_exchange(&sv->has_console_news, false);
    return is_news && !atomic_load(&sv->is_canceled_asked) && !atomic_load(&s->is_interrupted) &&
           !atomic_load(&s->is_stopping) && now < s->deadline_ns && now < sv->run_deadline_ns;
}

/* An ignored halt leaves the vcpu halted: it goes on once another thread has woken it. False: the run's limit came
 * first. */
static bool await_wake(const StoryVcpu *sv)
{
    const Story *s = sv->story;
    struct timespec pause = {0, 50000};
    while (strcmp(s->model->states[vcpu_state(sv->v)], "Halted") == 0 && !atomic_load(&s->is_stopping)) {
        if (os_now_ns() >= sv->run_deadline_ns || atomic_load(&s->is_interrupted)) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

/* Ends a run in which the vcpu idled to the limit: named as `budget`, or a failure. */
static void end_halted(StoryVcpu *sv)
{
    Seen x = {.guest = sv->story->c->guest, .w = sv->story->w, .e = {.kind = EXIT_budget, .vcpu = sv->decl->id}};
    if (atomic_load(&sv->story->is_interrupted) || os_now_ns() >= sv->story->deadline_ns) {
        end_on_timeout(sv, NULL);
        return;
    }
    STORY_LOCK(sv->story);
    const Item *item = record(sv, &x);
    STORY_UNLOCK(sv->story);
    if (!item) {
        end_on_mismatch(sv, &x);
    }
}

/* Enters once. False: this vcpu's run is over (complete, failed, or stopped from outside). */
static bool play_exit(StoryVcpu *sv)
{
    Story *s = sv->story;
    VmExit e = {0};
    Seen x;
    Err err = {0};
    RunArgs args = run_args(sv);
    int rc = s->c->boot                     ? story_machine_run(sv, &e, &err)
             : s->board && !s->c->lifecycle ? vcpu_serve(sv->v, &args, &e, &err)
                                            : vcpu_run(sv->v, &args, &e, &err);
    if (rc) {
        end_on_error(sv, "run", rc, &err);
        return false;
    }
    if (e.kind == EXIT_canceled && is_for_console(sv)) {
        count_insns(sv, &e);
        return take_completed(sv);
    }
    if (e.kind == EXIT_canceled && !judge_canceled(sv, &e)) {
        return false;
    }
    sv->wants_window &= e.kind != EXIT_irq_window;
    if (!take_completed(sv)) {
        return false;
    }
    if ((rc = see(sv, &e, &x, &err)) != 0) {
        end_on_error(sv, "reading the registers", rc, &err);
        return false;
    }
    STORY_LOCK(s);
    const Item *item = record(sv, &x);
    Pos end = sv->end_pos;
    sv->end_pos = x.shown == ITEM_DONE && item ? item->pos : (Pos){0};
    STORY_UNLOCK(s);
    if (x.shown == ITEM_DONE && item && end.line) {
        end_again(sv, item, end);
        return false;
    }
    bool is_blessed = s->o.is_bless && (x.shown != ITEM_DONE || item);
    if (!item && !is_ignored(sv, &x) && !is_blessed) {
        end_on_mismatch(sv, &x);
        return false;
    }
    if (item && story_steps(s, item->then, item->nthen, NULL, &err) != 0) {
        return false; /* the verdict is made */
    }
    if (!story_is_over(s) && !sv->walk.stream_item && (rc = answer(sv, item, &x, &err)) != 0) {
        end_on_error(sv, "reply", rc, &err);
    } else if (!story_is_over(s) && sv->walk.stream_item && (rc = answer(sv, NULL, &x, &err)) != 0) {
        end_on_error(sv, "reply", rc, &err);
    }
    if (!item && x.e.kind == EXIT_budget && !is_ignored(sv, &x)) {
        return false; /* observed, to be blessed: the run's limit */
    }
    if (!item && (x.e.kind == EXIT_halt || x.e.kind == EXIT_idle)) {
        if (!is_ignored(sv, &x)) {
            return false; /* observed, to be blessed: nothing in the list could wake it */
        }
        if (!await_wake(sv)) {
            end_halted(sv);
        }
    }
    return !story_is_over(s);
}

static int set_breaks(StoryVcpu *sv, Err *err)
{
    const RunStep *run = sv->run;
    size_t n = run->nbreaks + run->nwatches;
    Break *list = x_calloc(n, sizeof *list);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool is_exec = i < run->nbreaks;
        list[i] = (Break){is_exec ? BREAK_EXEC : BREAK_WRITE, 0, is_exec ? 1 : 8};
        rc = story_eval(sv->story, is_exec ? &run->breaks[i] : &run->watches[i - run->nbreaks], &list[i].gva, err);
    }
    rc = rc ? rc : vcpu_breaks(sv->v, list, n, err);
    mem_free(list);
    return rc;
}

static void clear_breaks(StoryVcpu *sv)
{
    Err err = {0};
    int rc = vcpu_breaks(sv->v, NULL, 0, &err);
    if (rc && !story_is_over(sv->story)) {
        end_on_error(sv, "clearing breakpoints", rc, &err);
    }
}

/* The whole run of one vcpu, on its owner thread. */
static void play(void *ctx)
{
    StoryVcpu *sv = ctx;
    Story *s = sv->story;
    Err err = {0};
    bool has_breaks = sv->run->nbreaks + sv->run->nwatches > 0;
    int rc = has_breaks ? set_breaks(sv, &err) : 0;
    if (rc) {
        end_on_error(sv, "break", rc, &err);
    }
    take_console(sv);
    while (!story_is_over(s) && !atomic_load(&s->is_stopping) && !walk_is_done(sv->walk)) {
        if (!play_exit(sv)) {
            break;
        }
        take_console(sv);
    }
    if (has_breaks && !s->is_error) {
        clear_breaks(sv);
    }
    if (story_is_over(s)) {
        story_stop(s);
    }
}

/* ---- the step ---- */
typedef struct {
    Story *s;
    const RunStep *run;
    StoryVcpu *first;
    uint64_t entered_before;
    atomic_bool is_run_over;
} Meanwhile;

static bool has_entered(Meanwhile *m)
{
    STORY_LOCK(m->s);
    bool is = m->first->nentered != m->entered_before;
    STORY_UNLOCK(m->s);
    return is;
}

/* Begins a little after the vcpu's state is Running, as the backend enters after that: the steps shall meet a guest
 * that runs. */
static void *meanwhile_main(void *ctx)
{
    Meanwhile *m = ctx;
    Err err = {0};
    uint64_t until = os_now_ns() + MEANWHILE_WAIT_NS;
    struct timespec pause = {0, 50000}, settle = {0, 1000000};
    while (!has_entered(m) && !atomic_load(&m->is_run_over) && os_now_ns() < until) {
        nanosleep(&pause, NULL);
    }
    nanosleep(&settle, NULL);
    if (story_steps(m->s, m->run->meanwhile, m->run->nmeanwhile, &m->is_run_over, &err) || story_is_over(m->s)) {
        story_stop(m->s);
    }
    return NULL;
}

static void prepare(Story *s, const RunStep *run, const RunList *list)
{
    StoryVcpu *sv = &s->vcpus[list->vcpu];
    uint64_t now = os_now_ns();
    sv->run = run;
    sv->list = list;
    sv->walk = walk_at(list->items, list->n, s->caps);
    sv->insns_left = run->insns ? run->insns : UINT64_MAX;
    uint64_t limit_ns = run->within_ns ? run->within_ns : (s->deadline_ns - s->started_ns) / DEFAULT_RUN_SHARE;
    sv->run_deadline_ns = limit_ns < s->deadline_ns - now ? now + limit_ns : s->deadline_ns;
    sv->completed.n = 0;
    sv->guest_left_ns = run->within_ns;
    sv->run_deadline_ns = s->c->boot ? s->deadline_ns : sv->run_deadline_ns; /* `within` is guest time there */
    atomic_store(&sv->has_console_news, false);
}

static int play_here(Story *s, const RunStep *run)
{
    StoryVcpu *sv = &s->vcpus[run->lists[0].vcpu];
    Meanwhile m = {.s = s, .run = run, .first = sv, .entered_before = sv->nentered};
    pthread_t helper;
    if (run->nmeanwhile == 0) {
        play(sv);
        return 0;
    }
    int rc = pthread_create(&helper, NULL, meanwhile_main, &m);
    if (rc) {
        return rc;
    }
    play(sv);
    atomic_store(&m.is_run_over, true);
    pthread_join(helper, NULL);
    return 0;
}

static void play_on_actors(Story *s, const RunStep *run)
{
    StoryVcpu *first = &s->vcpus[run->lists[0].vcpu];
    Meanwhile m = {.s = s, .run = run, .first = first, .entered_before = first->nentered};
    for (size_t i = 0; i < run->nlists; i++) {
        StoryVcpu *sv = &s->vcpus[run->lists[i].vcpu];
        actor_post(sv->actor, play, sv);
    }
    if (run->nmeanwhile) {
        meanwhile_main(&m);
    }
    for (size_t i = 0; i < run->nlists; i++) {
        actor_wait(s->vcpus[run->lists[i].vcpu].actor, UINT64_MAX);
    }
}

static int refuse_run(Story *s, const RunStep *run, Err *err)
{
    for (size_t i = 0; i < run->nlists; i++) {
        const StoryVcpu *sv = &s->vcpus[run->lists[i].vcpu];
        if (sv->actor && !actor_is_idle(sv->actor)) {
            return err_set(err, ERR_BUSY, "run: vcpu %s is running already", sv->decl->name);
        }
    }
    return 0;
}

int step_run(Story *s, const Step *step, Err *err)
{
    const RunStep *run = &step->run;
    if (s->is_running) {
        return err_set(err, ERR_STATE, "run: another run is under way");
    }
    if (story_is_fake(s->caps) && s->c->nfake == 0 && !s->o.is_bless) {
        story_skip(s, "fake runs no code and the scenario has no `fake:` list");
        return 0;
    }
    int rc = refuse_run(s, run, err);
    if (rc || run->nlists == 0) {
        return rc;
    }
    s->exits.n = 0;
    atomic_store(&s->is_stopping, false);
    for (size_t i = 0; i < run->nlists; i++) {
        prepare(s, run, &run->lists[i]);
    }
    s->is_running = true;
    story_watch(s, s->vcpus[run->lists[0].vcpu].run_deadline_ns);
    if (s->has_actors) {
        play_on_actors(s, run);
    } else if ((rc = play_here(s, run)) != 0) {
        rc = err_native(err, ERR_HOST, rc, "cannot start a thread for `meanwhile`");
    }
    story_watch(s, UINT64_MAX);
    s->is_running = false;
    s->nchecked++;
    for (size_t i = 0; i < run->nlists; i++) {
        s->vcpus[run->lists[i].vcpu].list = NULL; /* a script's list may go away after its step */
    }
    return rc;
}
