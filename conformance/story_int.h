/* SPDX-License-Identifier: Apache-2.0
 * story_int.h - the inside of a Story, shared by the story*.c, match.c, trace.c and bless.c files only.
 *
 * Threads. A vcpu lives on its owner thread (accel.h, W2). The simple case has one vcpu and no operation that leaves it
 * running: everything happens on the caller's thread. Otherwise each vcpu gets an Actor, a thread of its own, and its
 * operations are handed there (story_on_owner). `lock` guards all that more than one thread touches: the result, the
 * trace, captures, walks, the lists of states. It is recursive, as names are looked up while a match holds it; it is
 * never held across a call into the waist other than the reads of a trap. */
#ifndef CONFORMANCE_STORY_INT_H
#define CONFORMANCE_STORY_INT_H

#include "conformance/story.h"
#include "conformance/world.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- actor: a thread that does one job at a time (story_actor.c) ---- */
typedef struct Actor Actor;
typedef void ActorJob(void *ctx);
MUST_USE int actor_new(Actor **out, Err *err);
void actor_free(Actor *a);                           /* waits for the job; NULL is fine */
void actor_post(Actor *a, ActorJob *job, void *ctx); /* waits for the job before, then starts and returns */
bool actor_wait(Actor *a, uint64_t until_ns);        /* false: still at work then; UINT64_MAX = for ever */
bool actor_is_idle(Actor *a);
bool actor_cancel(Actor *a); /* a job that has not begun never does; false: it has begun, and is at work */
bool actor_is_self(const Actor *a);

/* ---- what an exit looks like to an item (story_fields.c) ---- */
typedef struct {
    VmExit e;
    ItemKind shown; /* EXIT, DONE or TRAP */
    WorldTrap trap;
    GuestId guest;
    const World *w;
} Seen;
typedef enum { FV_ABSENT, FV_INT, FV_TEXT, FV_BYTES } FieldValueKind;
typedef struct {
    FieldValueKind kind;
    uint64_t n;
    unsigned width; /* bytes of an INT */
    bool is_place;  /* an address: shown with its symbol */
    char text[64];  /* TEXT, BYTES (then n bytes) */
} FieldValue;
const char *field_word(FieldId f);
FieldValue field_get(const Seen *x, FieldId f);
/* Fields that say what this exit is, in the order to show them; the count. */
size_t field_shown(const Seen *x, FieldId out[FIELD_COUNT]);
/* "mmio_read addr dev+8 size 4 pc access" */
void seen_print(Buf *out, const Seen *x);
void native_print(Buf *out, const Backend *b, const VmExit *e);

/* ---- matchers (match.c) ---- */
typedef struct {
    const char *name;
    uint64_t value;
} Captured;
typedef VEC(Captured) CapturedList;
typedef struct {
    const Names *names;
    const World *w;    /* for symbols in texts; may be NULL */
    CapturedList *got; /* captures of this match; may be NULL */
    Buf *why;          /* "expected 2, got 4"; may be NULL */
    /* A word (register, cause) where a number is compared: does it stand for it? NULL: words match no number. */
    bool (*is_word)(const void *ctx, const char *word, uint64_t value);
    const void *word_ctx;
    const char *got_text; /* how the value is shown; NULL = as a number */
} MatchCtx;
bool match_int(const MatchCtx *x, const Matcher *m, uint64_t value, unsigned width_bytes, bool is_place);
bool match_text(const MatchCtx *x, const Matcher *m, const char *text, size_t n);
bool match_bytes(const MatchCtx *x, const Matcher *m, const uint8_t *bytes, size_t n); /* list, any, not; <= 8: int */
void matcher_print(const MatchCtx *x, const Matcher *m, bool is_place, Buf *out);      /* "2", "in [1, 2]" */
void number_print(Buf *out, uint64_t n);                                               /* 0..9 decimal, else hex */
void place_print(Buf *out, const World *w, uint64_t addr);                             /* symbol, else number */

/* ---- a place in a run list (story_walk.c) ---- */
enum { WALK_DEPTH = 8 };
typedef struct {
    const Item *items;
    size_t n, i;
    uint64_t count;     /* matches of items[i] so far */
    uint64_t done_mask; /* any_order: items that matched */
    bool is_any, has_consumed;
} WalkFrame;
typedef struct {
    WalkFrame frame[WALK_DEPTH];
    unsigned depth;
    const Item *stream_item; /* of which a part was seen; NULL = none */
    size_t stream_at;        /* bytes of its `stream` that were seen */
    const Caps *caps;
    bool is_too_much; /* nested beyond WALK_DEPTH, or more than 64 items in any order */
} Walk;
typedef enum { TRY_NO, TRY_YES, TRY_PART } TryResult; /* PART: the item wants more of the same (stream) */
typedef TryResult WalkTry(void *ctx, const Item *item, size_t *stream_at);
Walk walk_at(const Item *items, size_t n, const Caps *caps);
bool walk_is_done(Walk c);
/* The item that `try` accepts, in the order in which they may come; c moves behind it. NULL: none, c unchanged. */
const Item *walk_take(Walk *c, WalkTry *try, void *ctx);
/* The first items that may come now, at most max; how many. */
size_t walk_next(const Walk *c, const Item **out, size_t max);

/* ---- trace (trace.c) ---- */
enum { STATES_MAX = 4096, EXITS_MAX = 65536 };
typedef struct {
    TraceEntry e;
    char *text; /* STEP: made when it was added, as a script's step may be gone later */
} TraceSlot;
typedef struct {
    VEC(TraceSlot) head;
    TraceSlot *tail; /* ring of TRACE_TAIL; NULL until it is needed */
    size_t ntotal;
} Trace;
TraceEntry *trace_add(Trace *t, const TraceEntry *e, char *text_owned); /* valid until the next add */
void trace_free(Trace *t);

/* ---- the story ---- */
typedef struct Save Save;
typedef struct {
    const char *name;
    VEC(uint64_t) values;
} Capture;
typedef struct StoryVcpu {
    Story *story;
    const VcpuDecl *decl;
    unsigned index;
    Vcpu *v;
    Actor *actor; /* NULL: the story's own thread is the owner */
    /* guarded by Story.lock */
    VEC(uint8_t) states;        /* every state it had, first included; at most STATES_MAX */
    uint64_t nstates, nentered; /* nentered: changes to the state Running */
    uint64_t nruns;             /* runs that the model allowed, also from Running (a resumed vcpu) */
    uint64_t exits_seen;        /* bit per ExitKind */
    VEC(VmExit) completed;      /* by the board, not matched yet (include: completed) */
    uint64_t insns;
    bool has_insns;
    bool is_bad; /* it made a state change that its model does not have */
    uint8_t bad_from, bad_to;
    atomic_bool is_canceled_asked;
    atomic_bool has_console_news; /* it was kicked, as the console has come to its item */
    Pos end_pos; /* the item of the `done` that was the last exit, if nothing was done since; line 0: none */
    /* owner thread */
    bool wants_window;
    const RunStep *run;
    const RunList *list;
    Walk walk;
    uint64_t run_deadline_ns, insns_left;
    uint64_t guest_left_ns; /* of a booted machine's run */
    /* op: execute on the actor */
    bool is_async;
    int async_rc;
    uint64_t runs_before; /* nruns as the async run was asked for */
    Err async_err;
    Buf console_seen;
} StoryVcpu;

struct Story {
    const Case *c;
    const World *w;
    const Backend *b;
    const Caps *caps;
    StoryOptions o;
    Result *r;
    const LifeModel *model;
    Vm *vm;
    Board *board;        /* NULL: no `devices` */
    Buf typed;           /* at a booted machine's console, and not yet taken */
    uint64_t machine_ns; /* its guest time */
    VmExit machine_end;  /* not told yet; has_machine_end */
    bool has_machine_end;
    RamId *ram_ids; /* in the order of world_rams */
    bool has_actors;
    StoryVcpu *vcpus;
    Names names;
    pthread_mutex_t lock;
    Trace trace;
    uint64_t started_ns, deadline_ns;
    VEC(VmExit) exits;
    VEC(Capture) captures;
    Save *saves; /* list */
    Buf console;
    size_t console_mark;
    uint64_t nchecked;
    atomic_bool is_stopping; /* the run under way shall end */
    atomic_bool is_over;     /* failed, skipped or in error: no further step */
    atomic_bool is_interrupted;
    char interrupt_why[128];
    atomic_bool is_asking; /* the backend, for coverage */
    bool is_skipped, is_failed, is_error, is_running, is_closing;
    bool is_trial, trial_failed;
    Buf trial_text;
    Pos trial_pos;
    Buf source; /* the suite's text, once asked for */
    bool has_source;
    uint32_t want;   /* HAS_x of the whole story */
    pthread_t watch; /* kicks at watch_until_ns, where the backend has no deadline */
    pthread_mutex_t watch_lock;
    pthread_cond_t watch_changed;
    uint64_t watch_until_ns;
    bool has_watch, watch_ends;
};
#define STORY_LOCK(s)   pthread_mutex_lock(&(s)->lock)
#define STORY_UNLOCK(s) pthread_mutex_unlock(&(s)->lock)

/* Runs fn on the vcpu's owner thread, or here while the owner is inside run(): the waist refuses what may not be then. */
typedef int VcpuCall(StoryVcpu *sv, void *ctx, Err *err);
int story_on_owner(StoryVcpu *sv, VcpuCall *fn, void *ctx, Err *err);
StoryVcpu *story_target(Story *s, int vcpu); /* of a step; -1 = the first */
void story_kick_all(Story *s);
void story_stop(Story *s); /* ends the run under way */
void story_watch(Story *s,
                 uint64_t until_ns); /* kicks all vcpus then; UINT64_MAX = never. Nothing with CAP_deadline. */
int story_eval(Story *s, const Value *v, uint64_t *out, Err *err);
void story_capture(Story *s, const CapturedList *got);
const Capture *story_captured(const Story *s, const char *name);
MatchCtx story_match_ctx(Story *s, Buf *why);

/* Verdicts: the first one stays. body may be NULL (then the reason is shown alone). */
void story_verdict_fail(Story *s, Pos pos, const char *reason, const Buf *body);
void story_verdict_error(Story *s, Pos pos, const char *reason, const Buf *body);
/* A step that could not be done: a failure, or an error where the host or the backend is at fault. */
void story_verdict_rc(Story *s, Pos pos, const char *what, int rc, const Err *err);
bool story_is_over(Story *s);

/* story_unmet.c: "kvm" names kvm and kvm@nested; "sim" every sim-*. */
bool story_names_backend(const char *word, const char *backend);
/* story_setup.c: the VM and its vcpus from the world */
int story_vm_make(Story *s, Err *err);
void story_vm_drop(Story *s);
int story_vcpu_setup(StoryVcpu *sv, Err *err); /* setup + entry registers, on the owner */
int story_vcpu_entry_regs(StoryVcpu *sv, Err *err);
int story_fresh_snapshot(Story *s, unsigned index, Buf *out, Err *err); /* of a vcpu just after its setup */
/* story_board.c: the devices of `devices:`, and their console */
int story_board_make(Story *s, Err *err);
int story_type(Story *s, const char *text, Err *err);
/* The place behind what a console item took, in the transcript since the last one. False: not come yet. With the lock. */
bool story_console_took(Story *s, const Item *item, size_t *end);
/* story_machine.c: the machine of `boot:`, and its console. Returns from run as vcpu_serve does, or for the console's sake. */
int story_machine_make(Story *s, Vm *vm, Err *err);
int story_machine_type(Story *s, const char *text, Err *err);
int story_machine_run(StoryVcpu *sv, VmExit *e, Err *err);
const Item *
story_machine_awaits(StoryVcpu *sv); /* the item that the run has come to; NULL: no machine, or at its end */
void story_machine_text(StoryVcpu *sv, const Item *awaited, Buf *out); /* it, and the end of what was printed instead */
/* story_fake.c: the script of the backend fake; nothing for others */
int story_fake_load(Story *s, Err *err);
int story_fake_shutdown(StoryVcpu *sv, Err *err);
bool story_is_fake(const Caps *caps);

/* steps; each returns 0 or -ERR_x as story_step does */
int step_run(Story *s, const Step *step, Err *err);
int step_op(Story *s, const Step *step, Err *err);
int step_save(Story *s, const Step *step, Err *err);
int step_restore(Story *s, const Step *step, Err *err);
int step_check(Story *s, const Check *check, int vcpu, Err *err);
int story_steps(Story *s, const Step *steps, size_t n, const atomic_bool *stop, Err *err);
void step_print(Buf *out, Story *s, const Step *step); /* "inject external level 1" */
int story_async_start(StoryVcpu *sv, Err *err);
/* Waits until an async run is out, after a kick if is_kicked. */
int story_async_end(StoryVcpu *sv, bool is_kicked, Err *err);
/* Before the VM goes: an async run that has not begun never does, as it would use what is gone; else it has entered its vcpu. */
void story_async_settle(StoryVcpu *sv);

/* saves (story_save.c) */
const Save *save_find(const Story *s, const char *name);
void saves_free(Story *s);
typedef struct {
    Buf text; /* a line for each difference, at most max of them */
    size_t n;
} Difference;
int save_compare(Story *s, const Save *save, unsigned max, Difference *out, Err *err); /* between a save and now */
int regs_read(StoryVcpu *sv, const RegId *ids, size_t n, Buf *out, Err *err);          /* values, one after the other */

/* story_text.c */
void text_source_line(Story *s, Buf *out, Pos pos, char mark);
void text_mismatch(StoryVcpu *sv, const Seen *x, Buf *out, Pos *pos, Buf *reason);
void text_where(StoryVcpu *sv, Buf *out); /* pc, disassembly and register differences: on the owner, not in run() */
void text_last_exits(Story *s, Buf *out, unsigned n);
void item_print(Story *s, const Item *item, Buf *out);
TryResult item_try(Story *s, const Item *item, const Seen *x, size_t *stream_at, CapturedList *got, Buf *why);

/* trace.c */
void trace_exit_text(Story *s, const TraceEntry *e, Buf *out);
void trace_finish(Story *s); /* texts, into the result */
/* Observer */
void story_on_exit(void *ctx, const VmExit *e);
void story_on_op(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc);
void story_on_call(void *ctx, const char *call, int rc); /* cover.c; only where StoryOptions.coverage is there */

/* cover.c */
void story_cover_exit(Story *s, const VmExit *e); /* where StoryOptions.coverage is there */
void story_cover_begin(Story *s, Vm *vm);
void story_cover_end(Story *s, Vm *vm); /* vm NULL: nothing */
#endif
