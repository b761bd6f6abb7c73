/* SPDX-License-Identifier: Apache-2.0
 * exec.h - runs one vcpu: finds or makes blocks, enters an engine, acts on why it left, delivers traps and interrupts.
 *
 * A vcpu has its own code: blocks are found, linked and thrown away without a lock, by its own thread. What other threads
 * may do to it goes through atomics that it looks at between slices of at most EXEC_SLICE_INSNS instructions: kick, a line,
 * a change of the map, bytes of translated code that somebody else wrote.
 *
 * TIME. The guest clock of a vcpu is insns + skipped, one nanosecond each: skipped is time that it idled. In real time
 * (exec_realtime) it is the host's clock instead, and nothing is deterministic.
 *
 * BOUNDARIES (ir.h 5 and 6). Interrupts are looked at after sync, stop and trap, and at exact deadlines. A block that would
 * pass a deadline is cut. So with the same inputs every engine and every block length give the same state at the same
 * instruction count. */
#ifndef SIM_EXEC_EXEC_H
#define SIM_EXEC_EXEC_H

#include "sim/guest/guest.h"
#include "sim/machine/space.h"

enum {
    EXEC_SLICE_INSNS = 100000,
    EXEC_SLICE_REALTIME_INSNS = 10000, /* what others did is seen so late at most: some 20 us */
};

typedef struct ExecVcpu ExecVcpu;
typedef struct {
    const GuestIsa *isa;
    const Engine *engine;
    const void *cpu; /* isa->cpu_bytes, borrowed */
    Space *space;
    uint32_t max_block_insns; /* 0 = IR_BLOCK_MAX_INSNS */
    uint64_t block_seed;
    struct Worker *worker;   /* the engine's help (Engine.assist), which outlives the vcpu; NULL: none */
    struct CodeStore *store; /* likewise, of Engine.recall */
} ExecConfig;
/* What is around the vcpu. All on its thread. */
typedef struct {
    void *ctx;
    /* A device access; EXTERNAL stops as mmio_*. */
    IoResult (*io)(void *ctx, ExecVcpu *v, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value);
    /* The way to the device that io has just read, as long as nothing is unmapped; false: there is none. */
    bool (*way)(void *ctx, ExecVcpu *v, uint64_t gpa, MmuWay *out);
    /* Of devices, for this vcpu, in its guest clock; UINT64_MAX = none. Within exec_run only writes, calls and ticks of this
     * vcpu may move it: it is asked again after those; in real time others too, and it is asked at each slice. */
    uint64_t (*deadline)(void *ctx, ExecVcpu *v);
    void (*tick)(void *ctx, ExecVcpu *v); /* that instant is reached */
    /* NULL = none. Around the guest's code of a slice: between the two only io, way, code_x, is_x and has_peers are called, and what
     * way has found. false may be said again. */
    void (*slice)(void *ctx, ExecVcpu *v, bool is_begun);
    /* A call to the level above: true if it was served and the guest goes on. */
    bool (*call)(void *ctx, ExecVcpu *v);
    /* Other vcpus of the same memory: whether there are any; a page has become PAGE_CODE (exec_code_page each of them); bytes
     * of a PAGE_CODE page were written (exec_code_written each). */
    bool (*has_peers)(void *ctx, ExecVcpu *v);
    void (*code_page)(void *ctx, ExecVcpu *v);
    bool (*is_code_seen)(void *ctx, ExecVcpu *v); /* exec_sees_code of each of them? */
    void (*code_written)(void *ctx, ExecVcpu *v, uint64_t gpa, uint64_t n);
    /* Are these bytes of a PAGE_WATCH page watched? A store to them runs alone; code_written follows it. */
    bool (*is_watched)(void *ctx, ExecVcpu *v, uint64_t gpa, unsigned size_bytes);
} ExecHost;
ExecVcpu *exec_new(const ExecConfig *cfg, const ExecHost *host, unsigned id);
void exec_free(ExecVcpu *v);
Frame *exec_frame(ExecVcpu *v);

typedef enum {
    EXEC_BUDGET,   /* insns are used up */
    EXEC_CLOCK,    /* until_ns is reached */
    EXEC_CANCELED, /* a kick */
    EXEC_WAIT,     /* idle, and nothing on this vcpu will wake it before the bounds; time has not been skipped */
    EXEC_EXTERNAL, /* an access for the caller: `access`; answered with exec_reply */
    EXEC_CALL,     /* a call that the host did not serve; pc is after it */
    EXEC_BREAK,    /* a breakpoint or watchpoint: `access` */
    EXEC_STEP,     /* is_step: one instruction or one trap entry is done */
    EXEC_STAGE2, /* the second stage of an is_virt guest does not have the address: `access`, of which nothing is done */
    EXEC_ENDED   /* exec_end was called from inside: the machine ended */
} ExecStop;
typedef struct {
    uint64_t insns;    /* at most; UINT64_MAX = no bound */
    uint64_t until_ns; /* of the guest clock */
    bool is_step;
} ExecRun;
typedef struct {
    bool is_write, is_exec, is_signed;
    uint8_t size_bytes, insn_len, reg_size_bytes, piece, npieces;
    Slot dst; /* IR_ZERO = none */
    uint64_t gva, gpa, value;
} ExecAccess;
ExecStop exec_run(ExecVcpu *v, const ExecRun *until);
const ExecAccess *exec_access(const ExecVcpu *v);
bool exec_reply_due(const ExecVcpu *v);
bool exec_is_replied(const ExecVcpu *v); /* a reply was given, and its instruction has not retired yet */
void exec_reply(ExecVcpu *v, uint64_t value, bool is_fault);
/* Retires a replied instruction alone. true: it made a further access (exec_access), which is due now. */
bool exec_settle(ExecVcpu *v);

/* ---- real time: vcpus on threads of their own ----
 * is_on: from now on its clock reads os_now_ns() - epoch_ns; else it stands still at what it reads, and counts instructions
 * again. A run that idles ends with EXEC_WAIT, at once. Not within exec_run. */
void exec_realtime(ExecVcpu *v, bool is_on, uint64_t epoch_ns);
/* On its thread, outside exec_run: returns when something was posted, exec_poke was called, or its deadline is reached.
 * is_parked: it has no deadline. */
void exec_sleep(ExecVcpu *v, bool is_parked);
void exec_poke(ExecVcpu *v);  /* wakes it from exec_sleep, or keeps it from the next. THREAD-SAFE */
void exec_pause(ExecVcpu *v); /* its run ends with EXEC_CLOCK. THREAD-SAFE, sticky */
bool exec_is_asleep(
    const ExecVcpu *v); /* in exec_sleep: it runs no guest code, and its frame stands still. THREAD-SAFE */
uint64_t
exec_sleeps_until(const ExecVcpu *v);   /* while asleep; UINT64_MAX: no timer wakes it; 0: not known yet. THREAD-SAFE */
uint64_t exec_wakes(const ExecVcpu *v); /* how often it woke. THREAD-SAFE */
/* Asks a vcpu to forget translations of addresses, and code if is_code, before it goes on. It has done so, or cannot be running what it knew,
 * when exec_has_fenced. THREAD-SAFE */
uint64_t exec_fence(ExecVcpu *v, bool is_code);
bool exec_has_fenced(const ExecVcpu *v, uint64_t ticket);
void exec_fence_self(ExecVcpu *v); /* on its thread, from a host call-back: what others asked by exec_fence, now */

void exec_forget(ExecVcpu *v); /* a reply due or given is abandoned (reset) */

void exec_kick(ExecVcpu *v);                             /* THREAD-SAFE, async-signal-safe, sticky */
void exec_line(ExecVcpu *v, GuestLine line, bool level); /* THREAD-SAFE */
void exec_pulse(ExecVcpu *v, GuestLine line);            /* raises a line that the guest clears itself. THREAD-SAFE */
void exec_wake(ExecVcpu *v);                             /* it waits no longer, whatever is pending */
void exec_wait(ExecVcpu *v);                             /* idle until wakes(), as after wfi */
void exec_end(ExecVcpu *v);                              /* from host call-backs: leave with EXEC_ENDED */
/* After the frame was changed from outside (registers, reset, restore): mode, contexts and pending work are recomputed. */
void exec_state_changed(ExecVcpu *v);
void exec_forget_translations(ExecVcpu *v); /* tables that are not the guest's may have changed */
/* Code at gpa was written by somebody else. THREAD-SAFE. */
void exec_code_written(ExecVcpu *v, uint64_t gpa, uint64_t n);
void exec_code_page(ExecVcpu *v); /* some page became PAGE_CODE: entries for stores are void. THREAD-SAFE */
/* From here on no store of it to a page that is PAGE_CODE now goes unnoticed. THREAD-SAFE */
bool exec_sees_code(const ExecVcpu *v);
bool exec_translate(ExecVcpu *v, uint64_t gva, Access acc, uint64_t *gpa); /* without side effects */
uint64_t exec_deadline(ExecVcpu *v);   /* the next instant of its clock at which a timer fires; UINT64_MAX = none */
bool exec_has_news(const ExecVcpu *v); /* somebody has posted something that it has not looked at */
uint64_t exec_insns(const ExecVcpu *v);
uint64_t exec_clock_ns(const ExecVcpu *v);
void exec_clock_set(ExecVcpu *v, uint64_t ns); /* forward only: idle time */
void exec_clock_move(ExecVcpu *v,
                     uint64_t ns);       /* forward or back, as a restore does; register timers are looked at anew */
bool exec_is_waiting(const ExecVcpu *v); /* in wfi */
typedef struct {
    uint64_t insns, skipped_ns;
    uint32_t lines;                          /* bit GuestLine: level */
    uint64_t resv_addr, resv_val, resv_size; /* the reservation of lr, by machine address; 0 bytes = none */
    bool is_waiting;
} ExecState; /* what a snapshot keeps beside the frame's registers */
void exec_state_get(const ExecVcpu *v, ExecState *out);
void exec_state_set(ExecVcpu *v, const ExecState *in);
typedef struct {
    uint64_t gva, len;
    uint32_t access; /* ACC_x */
} ExecBreak;
enum { EXEC_MAX_BREAKS = 64 };
int exec_breaks(ExecVcpu *v, const ExecBreak *list, size_t n, Err *err);
typedef struct {
    uint64_t blocks, translations, traps, tlb_fills, walks, io; /* blocks: entered from the dispatcher */
} ExecStats;
void exec_stats(const ExecVcpu *v, ExecStats *out);
/* For people: the code of blocks that hold the instruction at gva, in any mode: of each its guest code, its IR as
 * the engine was given it (bytes: text), and the host code that there is now. Not within exec_run. */
typedef enum { EXEC_CODE_GUEST, EXEC_CODE_IR, EXEC_CODE_HOST } ExecCodeKind;
typedef void ExecCodeSeen(void *ctx, ExecCodeKind kind, const char *what, uint64_t at, const void *bytes, size_t n);
void exec_code(ExecVcpu *v, uint64_t gva, ExecCodeSeen *seen, void *ctx);
/* Coverage: counts from now on, until the end. Not within exec_run. */
void exec_cover(ExecVcpu *v);
/* Appends lines "KIND\tGROUP\tNAME\tCOUNT\n" of all that there is, with 0; of what was reached. read: THREAD-SAFE */
void exec_cover_items(const GuestIsa *isa, Buf *out);
void exec_cover_read(const ExecVcpu *v, Buf *out);
#endif
