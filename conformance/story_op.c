/* SPDX-License-Identifier: Apache-2.0
 * story_op.c - the verb `op`: one operation of a lifecycle model. */
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <string.h>

enum {
    WAIT_SHARE = 2
}; /* of the case's time, for what takes microseconds: whoever gives a slow machine more, gives it here too */
enum { COME_OUT_NS = 2000000000 }; /* after the case's time, before its process is ended */

typedef struct {
    Story *s;
    const Step *step;
    LifeOp op;
} Doing;

static int op_event(const Doing *d, Event *out, Err *err)
{
    Story *s = d->s;
    uint64_t number = 0x40; /* any vector that is no exception */
    const char *word = s->c->guest == GUEST_riscv64 ? "external" : s->c->guest == GUEST_aarch64 ? "irq" : NULL;
    bool has_number = d->step->number.kind != VALUE_NONE;
    int rc = has_number ? story_eval(s, &d->step->number, &number, err) : 0;
    return rc ? rc
              : world_event(s->c->guest, has_number ? NULL : word, has_number || !word ? &number : NULL, NULL, out,
                            err);
}

static int op_value(const Doing *d, uint64_t *out, Err *err)
{
    *out = 0;
    return d->step->number.kind == VALUE_NONE ? 0 : story_eval(d->s, &d->step->number, out, err);
}

static int op_regs(StoryVcpu *sv, bool is_set, Err *err)
{
    uint8_t bytes[8] = {0};
    RegIo io = {reg_find(sv->story->c->guest, is_set ? "arg0" : "pc")->id, bytes};
    return is_set ? vcpu_set_regs(sv->v, &io, 1, NULL, err) : vcpu_get_regs(sv->v, &io, 1, NULL, err);
}

static int op_snapshot(const Doing *d, StoryVcpu *sv, Err *err)
{
    Buf blob = {0};
    int rc;
    if (d->op == LIFE_save) {
        rc = vcpu_save(sv->v, &blob, err);
    } else {
        rc = story_fresh_snapshot(d->s, sv->index, &blob, err);
        rc = rc ? rc : vcpu_restore(sv->v, blob.data, blob.n, err);
    }
    buf_free(&blob);
    return rc;
}

static int op_state(const Doing *d, StoryVcpu *sv, Err *err)
{
    int to = d->step->to ? life_state_find(d->s->model, d->step->to) : -1;
    if (to < 0) {
        return err_set(err, ERR_INVAL, "%s needs `to:`, a state of %s", d->step->word, d->s->model->name);
    }
    int from = d->step->from ? life_state_find(d->s->model, d->step->from) : vcpu_state(sv->v);
    return d->op == LIFE_set_state ? vcpu_set_state(sv->v, (uint8_t)to, err)
                                   : vcpu_transition(sv->v, (uint8_t)from, (uint8_t)to, err);
}

/* An exit outside of a run list. */
static void note_exit(StoryVcpu *sv, const VmExit *e)
{
    Story *s = sv->story;
    STORY_LOCK(s);
    Ring ring = world_ring(s->w, e);
    trace_add(&s->trace,
              &(TraceEntry){.kind = TRACE_EXIT,
                            .vcpu = (uint8_t)sv->index,
                            .exit = *e,
                            .shown_as = ring == RING_DONE ? ITEM_DONE : ITEM_EXIT},
              NULL);
    s->r->nexits++;
    sv->exits_seen |= UINT64_C(1) << e->kind;
    if (e->valid & HAS_insns) {
        sv->insns = e->insns;
        sv->has_insns = true;
    }
    if (s->exits.n < EXITS_MAX) {
        VEC_PUSH(&s->exits, *e);
    }
    STORY_UNLOCK(s);
}

/* One entry of axvcpu's `run`: it comes back by itself, and its exit is only traced. */
static int op_run_once(StoryVcpu *sv, Err *err)
{
    Story *s = sv->story;
    VmExit e = {0};
    RunArgs args = RUN_FOREVER;
    args.want = s->want;
    args.deadline_ns = s->caps->level[CAP_deadline] >= CAP_PARTIAL ? s->deadline_ns : UINT64_MAX;
    int rc = vcpu_run(sv->v, &args, &e, err);
    if (rc) {
        return rc;
    }
    note_exit(sv, &e);
    return e.reply == REPLY_ACK ? vcpu_reply(sv->v, &(Reply){0}, err) : 0;
}

static int op_gpr(const Doing *d, StoryVcpu *sv, Err *err)
{
    uint64_t value;
    unsigned index = (unsigned)REG_INDEX(reg_find(d->s->c->guest, "arg0")->id);
    int rc = op_value(d, &value, err);
    if (rc) {
        return rc;
    }
    return d->op == LIFE_set_gpr ? vcpu_set_gpr(sv->v, index, value, err) : vcpu_set_return(sv->v, value, err);
}

static int op_stage2(const Doing *d, StoryVcpu *sv, Err *err)
{
    uint64_t root;
    int rc = op_value(d, &root, err);
    return rc ? rc : vcpu_set_stage2(sv->v, (Gpa){root}, err);
}

static int op_reset(StoryVcpu *sv, Err *err)
{
    int rc = vcpu_reset(sv->v, err);
    return rc ? rc : story_vcpu_entry_regs(sv, err);
}

static int do_op(StoryVcpu *sv, void *ctx, Err *err)
{
    const Doing *d = ctx;
    Event event;
    int rc;
    switch (d->op) {
    case LIFE_setup:
        return story_vcpu_setup(sv, err);
    case LIFE_bind:
        return vcpu_bind(sv->v, err);
    case LIFE_unbind:
        return vcpu_unbind(sv->v, err);
    case LIFE_run:
        return op_run_once(sv, err);
    case LIFE_pause:
        return vcpu_pause(sv->v, err);
    case LIFE_resume:
        return vcpu_resume(sv->v, err);
    case LIFE_halt:
        return vcpu_halt(sv->v, err);
    case LIFE_reset:
        return op_reset(sv, err);
    case LIFE_interrupt:
        rc = op_event(d, &event, err);
        return rc ? rc : vcpu_interrupt(sv->v, &event, err);
    case LIFE_destroy:
        return vcpu_destroy(sv->v, err);
    case LIFE_get_regs:
    case LIFE_set_regs:
        return op_regs(sv, d->op == LIFE_set_regs, err);
    case LIFE_set_gpr:
    case LIFE_set_return:
        return op_gpr(d, sv, err);
    case LIFE_save:
    case LIFE_restore:
        return op_snapshot(d, sv, err);
    case LIFE_reserve:
        return vcpu_reserve(sv->v, err);
    case LIFE_rollback:
        return vcpu_rollback(sv->v, err);
    case LIFE_transition:
    case LIFE_set_state:
        return op_state(d, sv, err);
    case LIFE_set_entry:
        return vcpu_set_entry(sv->v, (Gpa){world_entry_pc(sv->story->w, sv->index)}, err);
    case LIFE_set_stage2:
        return op_stage2(d, sv, err);
    case LIFE_OP_COUNT:
        break;
    }
    return err_set(err, ERR_INVAL, "op: no operation %d", d->op);
}

/* ---- execute: on the vcpu's own thread, so that the story goes on while it runs ---- */
static void async_main(void *ctx)
{
    StoryVcpu *sv = ctx;
    sv->async_rc = op_run_once(sv, &sv->async_err);
}

static uint64_t entered(StoryVcpu *sv)
{
    STORY_LOCK(sv->story);
    uint64_t n = sv->nentered;
    STORY_UNLOCK(sv->story);
    return n;
}

static uint64_t runs(StoryVcpu *sv)
{
    STORY_LOCK(sv->story);
    uint64_t n = sv->nruns;
    STORY_UNLOCK(sv->story);
    return n;
}

static uint64_t wait_ns(const Story *s)
{
    return (s->deadline_ns - s->started_ns) / WAIT_SHARE;
}

static uint64_t wait_until(const Story *s)
{
    uint64_t until = os_now_ns() + wait_ns(s);
    return until < s->deadline_ns ? until : s->deadline_ns;
}

int story_async_start(StoryVcpu *sv, Err *err)
{
    Story *s = sv->story;
    if (!sv->actor) {
        return err_set(err, ERR_STATE, "execute needs a scenario with `lifecycle: virtualcpu`");
    }
    if (sv->is_async && !actor_is_idle(sv->actor)) {
        VmExit e; /* the model allows it in Running: it comes back at once, and the run goes on */
        return vcpu_run(sv->v, &RUN_FOREVER, &e, err);
    }
    uint64_t before = entered(sv), runs_before = runs(sv), until = wait_until(s);
    sv->runs_before = runs_before;
    bool was_running = strcmp(s->model->states[vcpu_state(sv->v)], "Running") == 0;
    sv->is_async = true;
    sv->async_rc = 0;
    actor_post(sv->actor, async_main, sv);
    struct timespec pause = {0, 20000};
    /* a resumed vcpu is Running before it enters: what comes next must meet its run, not overtake it */
    while ((was_running ? runs(sv) == runs_before : entered(sv) == before) && !actor_is_idle(sv->actor) &&
           os_now_ns() < until) {
        nanosleep(&pause, NULL);
    }
    if (!actor_is_idle(sv->actor)) {
        return 0;
    }
    sv->is_async = false;
    *err = sv->async_err;
    return sv->async_rc;
}

void story_async_settle(StoryVcpu *sv)
{
    struct timespec pause = {0, 20000};
    if (!sv->actor || !sv->is_async || actor_cancel(sv->actor)) {
        return;
    }
    while (!actor_is_idle(sv->actor) && runs(sv) == sv->runs_before) {
        nanosleep(&pause, NULL);
    }
}

int story_async_end(StoryVcpu *sv, bool is_kicked, Err *err)
{
    if (!sv->actor || !sv->is_async) {
        return 0;
    }
    if (is_kicked) {
        vcpu_kick(sv->v);
    }
    uint64_t now = os_now_ns(), until = now + wait_ns(sv->story), last = sv->story->deadline_ns + COME_OUT_NS;
    until = until < last ? until : last;
    if (!actor_wait(sv->actor, until)) {
        return err_set(err, ERR_TIMEOUT, "vcpu %s did not come out of run() within %.3g s", sv->decl->name,
                       until > now ? (double)(until - now) / 1e9 : 0.);
    }
    sv->is_async = false;
    return 0;
}

static bool is_in(const StoryVcpu *sv, const char *state)
{
    return strcmp(sv->story->model->states[vcpu_state(sv->v)], state) == 0;
}

/* Waits, for a bounded time, until the vcpu is in the state or its run has ended: then what the run said. A state that did not
 * come because the case's time is up says nothing about the vcpu. */
static int await_state(StoryVcpu *sv, const char *state, Err *err)
{
    Story *s = sv->story;
    uint64_t until = wait_until(s);
    struct timespec pause = {0, 50000};
    while (sv->is_async && !is_in(sv, state) && !actor_is_idle(sv->actor) && os_now_ns() < until) {
        nanosleep(&pause, NULL);
    }
    if (sv->is_async && actor_is_idle(sv->actor)) {
        sv->is_async = false;
        if (sv->async_rc) {
            *err = sv->async_err;
            return sv->async_rc;
        }
    }
    if (!is_in(sv, state) && os_now_ns() >= s->deadline_ns) {
        return err_set(err, ERR_TIMEOUT, "timed out after %.3g s", (double)(s->deadline_ns - s->started_ns) / 1e9);
    }
    return 0;
}

/* Where the vcpu's run has failed meanwhile, an operation is refused for the state that this left; what to tell is why the run failed. */
static int cause_of(StoryVcpu *sv, int rc, Err *err)
{
    enum { LEAVING_NS = 1000000000 }; /* from the new state to the end of the run's thread */
    if (!rc || !sv->is_async || !is_in(sv, "Ready") || !actor_wait(sv->actor, os_now_ns() + LEAVING_NS)) {
        return rc;
    }
    sv->is_async = false;
    if (sv->async_rc) {
        *err = sv->async_err;
        return sv->async_rc;
    }
    return rc;
}

/* ---- operations that are no model's ---- */
static int break_x86(StoryVcpu *sv, void *ctx, Err *err)
{
    /* With no IDT the invalid opcode cannot be delivered, nor the double fault after it: shutdown (SDM vol. 3, 6.15,
     * interrupt 8). */
    static const uint8_t ud2[] = {0x0f, 0x0b};
    const RegInfo *limit = reg_find(GUEST_x86_64, "idtr.limit");
    uint8_t zero[8] = {0}, pc[8];
    uint64_t at = world_entry_pc(sv->story->w, sv->index);
    (void)ctx;
    if (!limit) {
        return err_set(err, ERR_UNSUPPORTED, "break_guest: no register idtr.limit");
    }
    for (int i = 0; i < 8; i++) {
        pc[i] = (uint8_t)(at >> 8 * i);
    }
    int rc = vm_mem_write(sv->story->vm, (Gpa){at}, ud2, sizeof ud2, err);
    RegIo io[] = {{limit->id, zero}, {reg_find(GUEST_x86_64, "pc")->id, pc}};
    return rc ? rc : vcpu_set_regs(sv->v, io, ARRAY_LEN(io), NULL, err);
}

static int break_guest(StoryVcpu *sv, Err *err)
{
    Story *s = sv->story;
    if (story_is_fake(s->caps)) {
        return story_fake_shutdown(sv, err);
    }
    if (s->c->guest == GUEST_x86_64) {
        return story_on_owner(sv, break_x86, NULL, err);
    }
    story_skip(s, "break_guest: no state of this guest ends a vcpu");
    return 0;
}

static int request_window(StoryVcpu *sv, Err *err)
{
    const Caps *caps = sv->story->caps;
    if (caps->level[CAP_irq_window] < CAP_PARTIAL) {
        return err_unsupported(err, sv->story->b->name, "irq_window", caps->why[CAP_irq_window]);
    }
    sv->wants_window = true;
    return 0;
}

int step_op(Story *s, const Step *step, Err *err)
{
    StoryVcpu *sv = story_target(s, step->vcpu);
    if (strcmp(step->word, "break_guest") == 0) {
        return break_guest(sv, err);
    }
    if (strcmp(step->word, "request_irq_window") == 0) {
        return request_window(sv, err);
    }
    int op = life_op_find(s->model, step->word);
    if (op < 0) {
        return err_set(err, ERR_INVAL, "op: %s has no operation `%s`", s->model->name, step->word);
    }
    Doing d = {s, step, (LifeOp)op};
    bool is_async = s->model == &life_virtualcpu;
    if (is_async && (op == LIFE_run || op == LIFE_resume)) {
        int rc = op == LIFE_resume ? story_on_owner(sv, do_op, &d, err) : 0;
        rc = rc ? rc : story_async_start(sv, err);
        if (rc == 0 && step->gives == GIVES_STATE) {
            rc = await_state(sv, step->gives_word, err);
        }
        return rc;
    }
    bool is_any_thread = op == LIFE_pause || op == LIFE_halt || op == LIFE_interrupt;
    int rc = is_any_thread ? cause_of(sv, do_op(sv, &d, err), err) : story_on_owner(sv, do_op, &d, err);
    if (rc == 0 && (op == LIFE_pause || op == LIFE_halt)) {
        rc = story_async_end(sv, false, err);
    }
    return rc;
}
