/* SPDX-License-Identifier: Apache-2.0
 * story.h - plays one Case on one backend: lays out the world, starts vcpus, walks the steps, matches exits, checks, and
 * says what differed. Works on any Backend; the runner gives it one that lives in a worker process.
 *
 * Two phases, as assembly must come before the fan-out and can be shared:
 *   world_build   layout + assembly: addresses of regions, symbols, memory images. Loads LLVM if the cache misses.
 *   story_run     everything else.
 * Threads: a Story belongs to the thread that runs it; story_interrupt alone is THREAD-SAFE. */
#ifndef CONFORMANCE_STORY_H
#define CONFORMANCE_STORY_H

#include "conformance/result.h"

/* ---- world ---- */
typedef struct World World; /* immutable once built; shared by all backends that run the case. THREAD-SAFE to read. */
/* Lays out and assembles. page_bytes: granule of the strictest backend (0 = 4 KiB). Errors name the place in the suite
 * ("suite.yaml:12:9: invalid operand for instruction"). */
MUST_USE int world_build(const Case *c, uint32_t page_bytes, World **out, Err *err);
void world_free(World *w);
bool world_symbol(const World *w, const char *name, uint64_t *out);
/* Nearest symbol at or below addr within its region: "access", "access+4"; NULL if none. Appends to out. */
bool world_describe(const World *w, uint64_t addr, Buf *out);

/* ---- running ---- */
typedef struct Story Story;
/* Lua, wired in by main: runs the script of a case through story_* calls. Returns 0, or -ERR_x with *err when the script
 * itself is wrong (a failed expectation is recorded in the story, and is 0). */
typedef int ScriptRun(void *ctx, Story *s, Err *err);
typedef struct {
    uint64_t seed;
    uint64_t timeout_ns; /* wall limit of the whole case; 0 = 10 s */
    bool is_verbose;     /* keep the trace of a passing run too */
    bool is_bless;       /* mismatches of run lists are recorded, not failures */
    ScriptRun *script;   /* NULL: a case with a script is an error "built without Lua" */
    void *script_ctx;
    bool (*probe)(void *ctx, const char *name, const char *backend); /* xfail: did that probe's scenario pass? */
    void *probe_ctx;
    struct CovJob *coverage; /* is told what is reached; NULL: nobody */
} StoryOptions;
/* Plays the case and fills *out (zero-initialised by the caller, freed with result_free). Never fails otherwise: whatever
 * goes wrong is in the result. caps: of the backend for this guest (already opened). */
void story_run(const Case *c, const World *w, const Backend *b, const Caps *caps, const StoryOptions *o, Result *out);
/* The reason why the case cannot run there ("needs dirty_log: fake keeps none"), appended to out; false: it can. */
bool story_unmet(const Case *c, const Backend *b, const Caps *caps, Buf *out);
/* And what the code needs of riscv64's extensions, which shows once it is assembled; false where the backend does not say isa. */
bool story_code_unmet(const World *w, const Backend *b, const Caps *caps, Buf *out);

/* ---- the same, by hand: for scripts and the REPL ---- */
MUST_USE int story_open(const Case *c, const World *w, const Backend *b, const Caps *caps, const StoryOptions *o,
                        Result *into, Story **out, Err *err);
void story_close(Story *s);
const Case *story_case(const Story *s);
uint64_t story_timeout_ns(const Story *s); /* the limit that it was given; 0 = none but the default */
uint64_t story_seed(const Story *s);       /* StoryOptions.seed */
const char *story_backend(const Story *s); /* as shown: "kvm" */
const World *story_world(const Story *s);
Vm *story_vm(Story *s);
Vcpu *story_vcpu(Story *s, unsigned index); /* NULL: no such */
/* Does fn(vcpu, ctx, err) on the thread that owns the vcpu (W2 of accel.h), waits, and returns what it returned. -ERR_NOENT:
 * no such vcpu (yet). fn must not call story functions. */
typedef int StoryVcpuFn(Vcpu *v, void *ctx, Err *err);
MUST_USE int story_on_vcpu(Story *s, unsigned index, StoryVcpuFn *fn, void *ctx, Err *err);
/* Does a step. 0: done (a mismatch is a failure, recorded: story_failed); -ERR_x: the step could not be done and it named no
 * such error in `gives`. Exits that a `run` returned: story_exits. */
MUST_USE int story_step(Story *s, const Step *step, Err *err);
const VmExit *story_exits(const Story *s, size_t *n); /* of the last run step */
bool story_failed(const Story *s);
bool story_match(Story *s, const Matcher *m, uint64_t value, unsigned size_bytes,
                 Buf *why);                           /* false: why was appended */
void story_fail(Story *s, Pos pos, const char *text); /* records a failed expectation; the first ends the story */
/* A trial (property tests): a failure between begin and end is kept apart, is in no result and ends no story, so that the same
 * steps can be tried again with smaller input; steps work until the first one and do nothing after it. end says whether there
 * was one, appends its text to why (NULL: nobody asks) and its place to *pos (NULL as well). Within a trial story_failed()
 * tells of the trial. Trials do not nest. */
void story_trial_begin(Story *s);
bool story_trial_end(Story *s, Pos *pos, Buf *why);
void story_skip(Story *s, const char *reason);
/* A script's step that failed for want of a capability that the backend does not claim: skipped with its reason, as if the
 * scenario had asked for it. false: that is not what err says. */
bool story_skip_unmet(Story *s, const Err *err);
void story_checked(Story *s); /* a script's expectation held: counts against "checks nothing" */
const Names *story_names(Story *s);
void story_interrupt(Story *s, const char *why); /* THREAD-SAFE: ends a run under way; the result is an error `why` */
#endif
