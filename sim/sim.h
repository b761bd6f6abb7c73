/* SPDX-License-Identifier: Apache-2.0
 * sim.h - the reference simulator as a library. The only header of sim/ (beside base/, guest/regs.h and guest/exts.h)
 * that others include.
 *
 * Called by accel/sim (as a backend, and for the board of any backend's guest) and by `conf sim` (a whole machine by hand). Knows nothing of scenarios, lifecycles,
 * YAML, Lua, or of other backends.
 *
 * A Sim owns its memory, vcpus, devices and code; sim_free ends all of them. No globals: any number of Sims per process.
 * Functions return 0 or -ERR_x with a sentence in the caller's Err. A guest can neither make one fail nor abort: what it does
 * comes back as a SimExit.
 *
 * THREADS. Vcpus of one Sim may run at the same time, each on its own thread (sim_run with
 * serve_board false, or all those of a board by sim_start). A vcpu may be made while others run. Save, restore, fork: none may be running.
 * THREAD-SAFE: as marked.
 * DETERMINISM. The same image, options and calls give the same exits, at the same instruction, with the same state and
 * console, with every engine, every time. Guest time is instructions: host time and addresses never reach the guest; but for
 * real time (sim_start), in which nothing of this holds.
 * COST. What nobody asked for is free: there is no trace hook in the fast path. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/guest/regs.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Sim Sim;
typedef struct SimVcpu SimVcpu;
typedef struct CodeStore SimCode;

/* ---- create ---- */
typedef enum {
#define ENGINE(NAME, name) SIM_##NAME,
#include "sim/engines.def"
#undef ENGINE
    SIM_ENGINES /* how many */
} SimEngine;
const char *sim_engine_name(SimEngine e); /* "interp"; NULL: no such number */
/* -ERR_UNAVAILABLE with the reason if this host or build does not have it. sim_new says the same. */
MUST_USE int sim_engine_check(SimEngine e, Err *err);
SimEngine sim_engine_best(void); /* the fastest of this host: for who does not care which */
typedef struct {
    const char *guest; /* "riscv64" */
    const char *cpu;   /* "rv64imac,..."; NULL = all that is implemented */
    SimEngine engine;  /* 0: SIM_INTERP */
    bool is_virt; /* the guest runs as under a hypervisor: no M-mode, EL2, VMX; SBI, PSCI, VMCALL stop as hypercall */
    uint32_t max_block_insns; /* 0 = the engine's own; else blocks are at most so long (1: reference mode) */
    uint64_t block_seed; /* not 0: each block's cap is random in 1..max_block_insns, from this seed: tests of rule 6 */
    uint32_t
        jit_threads; /* at most so many threads, up to SIM_MAX_JIT_THREADS, make code of loops while the vcpus run on; 0: they do it themselves */
    SimCode *code;   /* borrowed; outlives the Sim, and its twins. NULL: all code is made */
} SimConfig;
enum { SIM_MAX_JIT_THREADS = 16 };
MUST_USE int sim_new(const SimConfig *cfg, Sim **out, Err *err);
/* What a cpu has of its guest's architecture; riscv64: its ISA string, the paged modes included. Cut if size is too small: 512
 * are enough. -ERR_INVAL as sim_new. THREAD-SAFE. */
MUST_USE int sim_isa_string(const char *guest, const char *cpu, char *text, size_t size, Err *err);
void sim_free(Sim *s); /* no vcpu may be in sim_run; NULL is fine */
/* The same as the last thing before the process ends: the machine's memory is left to that, which saves 0.04 ms. */
void sim_free_last(Sim *s);
GuestId sim_guest(const Sim *s);

/* ---- saved code: what engines made for this host, to be used again. It changes nothing but the time that they take ----
 * Any number of Sims, of any guests and options, may use one at the same time. */
MUST_USE int sim_code_new(SimCode **out, Err *err); /* -ERR_UNAVAILABLE: no engine of this host makes code */
void sim_code_free(SimCode *c);                     /* NULL is fine */
/* Before the first Sim has it: from a file of sim_code_save's. What is in it is run: it is trusted as the program itself is. 0 also if there is
 * no file, and if another build of the program wrote it, or for a processor that has other extensions: then nothing is taken from it. Else
 * nothing was taken either: -ERR_DENIED: not a file of this user's that nobody else may write; -ERR_INVAL: damaged, with the offset; -ERR_LIMIT: larger
 * than 64 MiB; -ERR_IO. */
MUST_USE int sim_code_load(SimCode *c, const char *path, Err *err);
/* The file is replaced, whole, by another of at most 64 MiB that only this user may read and write, if at least a 32nd is new. What was not used
 * for the longest time is left out first. -ERR_DENIED, -ERR_IO; -ERR_INVAL: there is something else than such a file,
 * or an empty one, which stays as it is. */
MUST_USE int sim_code_save(SimCode *c, const char *path, Err *err);
typedef struct {
    uint64_t pieces, bytes; /* that there are now */
    uint64_t used, made;    /* how often one was used, and how many had to be made */
    bool was_other;         /* of the last load: another build's, or another processor's */
} SimCodeStats;
void sim_code_stats(SimCode *c, SimCodeStats *out); /* THREAD-SAFE */

/* ---- memory: pieces and mappings are apart; flags are 1 R, 2 W, 4 X, 8 log dirty ---- */
MUST_USE int sim_ram_new(Sim *s, uint64_t size_bytes, uint32_t *ram, Err *err); /* zeroed, committed when touched */
MUST_USE int sim_map(Sim *s, uint64_t gpa, uint64_t size_bytes, uint32_t ram, uint64_t offset, uint32_t flags,
                     Err *err);
MUST_USE int sim_unmap(Sim *s, uint64_t gpa, uint64_t size_bytes, Err *err);
/* R/W/X are ignored; never a device; a hole: -ERR_FAULT, nothing done. THREAD-SAFE, also beside running vcpus, as are map and
 * unmap: vcpus see the change by their next entry. */
MUST_USE int sim_mem_read(Sim *s, uint64_t gpa, void *buf, size_t n, Err *err);
MUST_USE int sim_mem_write(Sim *s, uint64_t gpa, const void *buf, size_t n, Err *err);
/* A bit per 4 KiB of regions mapped with 8, LSB first. */
MUST_USE int sim_dirty_get(Sim *s, uint64_t gpa, uint64_t size_bytes, uint8_t *bits, bool clear, Err *err);

/* ---- vcpus ---- */
typedef struct {
    uint64_t hw_id, entry, arg;
    /* is_virt: the guest's physical addresses are translated by the table at stage2, in the format of the guest's own second
     * stage (riscv64: Sv39x4, aligned to 16 KiB). What it lacks stops as nested_page_fault; a change of it is seen by the next
     * sim_run. Not where a board serves. */
    bool has_stage2;
    uint64_t stage2;
    bool is_parked; /* secondary: waits until the board's firmware starts it */
} SimReset;
MUST_USE int sim_vcpu_new(Sim *s, uint8_t id, SimVcpu **out, Err *err);
void sim_vcpu_free(SimVcpu *v);
SimVcpu *sim_vcpu_at(const Sim *s, uint8_t id); /* NULL if none */
MUST_USE int sim_vcpu_reset(SimVcpu *v, const SimReset *how, Err *err);

/* One stop. Names are those of accel.h's canonical set. */
#define SIM_EXIT_MAP(X)                                                                                                \
    X(budget)                                                                                                          \
    X(canceled)                                                                                                        \
    X(halt)                                                                                                            \
    X(mmio_read)                                                                                                       \
    X(mmio_write)                                                                                                      \
    X(sysreg_read)                                                                                                     \
    X(sysreg_write)                                                                                                    \
    X(hypercall)                                                                                                       \
    X(exception) X(nested_page_fault) X(debug) X(system_down) X(system_reset) X(shutdown) X(cpu_up) X(cpu_down)
typedef enum {
#define X(name) SIM_EXIT_##name,
    SIM_EXIT_MAP(X)
#undef X
        SIM_EXIT_COUNT
} SimExitKind;
typedef struct SimExit {
    SimExitKind kind;
    bool needs_reply, is_signed, has_reg;
    uint8_t insn_len, size_bytes, reg_size_bytes, piece, npieces;
    RegId reg;                         /* of a read: the destination; has_reg */
    uint64_t pc_before, pc_after;      /* while needs_reply the instruction has not retired */
    uint64_t insns, clock_ns;          /* retired by this vcpu; guest clock */
    uint64_t addr, value, gva, arg[6]; /* as VmExit's */
} SimExit;

typedef struct {
    uint64_t insns;   /* retire at most so many; UINT64_MAX = no bound. Exact. */
    bool is_step;     /* one instruction, or one trap entry, then SIM_EXIT_debug */
    bool serve_board; /* false: device accesses stop as mmio_* */
    bool irq_window;  /* stop with SIM_EXIT_irq_window once an interrupt could be taken */
    uint64_t
        until_ns; /* sim_run_all: with SIM_EXIT_budget at the first round that begins then or later; 0 = no bound */
} SimRun;
/* Runs until a stop, with the frame exact. -ERR_BUSY: a reply is due. */
MUST_USE int sim_run(SimVcpu *v, const SimRun *until, SimExit *out, Err *err);
/* The answer to an exit with needs_reply; the access retires at the next sim_run or sim_settle. */
MUST_USE int sim_reply(SimVcpu *v, uint64_t value, bool is_fault, Err *err);
/* Finishes a replied instruction without going on. *has_next: it made a further access, which is in *next. */
MUST_USE int sim_settle(SimVcpu *v, SimExit *next, bool *has_next, Err *err);
void sim_kick(SimVcpu *v); /* THREAD-SAFE, async-signal-safe; sticky: ends this or the next sim_run once */
/* All vcpus that are not parked, in turn on this thread, a quantum of guest time (ns) each, with the board; returns the
 * first stop that the board does not serve. until->insns: retired by all of them together; where it stops, the next call goes
 * on. SIM_EXIT_halt: everybody idles, and no timer will wake anybody. */
MUST_USE int sim_run_all(Sim *s, uint64_t quantum, const SimRun *until, uint8_t *who, SimExit *out, Err *err);

/* Real time: each vcpu of a board on a thread of its own, by the host's clock, until one has a stop that the board does not serve.
 * Until sim_wait tells of that stop, or sim_halt, only sim_wait, sim_halt, sim_board_input, sim_board_poll, sim_card_*, sim_kick and sim_mem_* may be called,
 * and SimBoardConfig.output is called from any of the threads, one at a time. A machine can go from here to sim_run_all and back:
 * its clock goes on. */
MUST_USE int sim_start(Sim *s, Err *err);
/* The stop, with no vcpu running any more; or SIM_EXIT_budget after timeout_ns, with all of them running on. SIM_EXIT_halt: all
 * idle, and no timer will wake any. -ERR_STATE: not started. */
MUST_USE int sim_wait(Sim *s, uint64_t timeout_ns, uint8_t *who, SimExit *out, Err *err);
void sim_halt(Sim *s); /* no vcpu runs when it returns; nothing to do if none did */

/* ---- state ---- */
MUST_USE int sim_reg_get(SimVcpu *v, RegId id, void *bytes, Err *err); /* little-endian, REG_SIZE(id) */
MUST_USE int sim_reg_set(SimVcpu *v, RegId id, const void *bytes, Err *err);
size_t sim_reg_list(const SimVcpu *v, RegId *ids, size_t cap); /* in restore order; returns the count */
/* Where an access (1 R, 2 W, 4 X) of the vcpu as it is goes; without side effects. false: it would trap. */
bool sim_translate(SimVcpu *v, uint64_t gva, uint32_t access, uint64_t *gpa);
/* line: 0 software, 1 timer, 2 external (guest.h's GuestLine): a wire into the vcpu. THREAD-SAFE. */
MUST_USE int sim_vcpu_line(SimVcpu *v, uint32_t line, bool level, Err *err);
typedef struct {
    uint64_t gva, len;
    uint32_t access; /* 4: before execution; 2: after a store, 3: any access */
} SimBreak;
MUST_USE int sim_breaks(SimVcpu *v, const SimBreak *list, size_t n, Err *err); /* replaces the set */
uint64_t sim_insns(const SimVcpu *v);
uint64_t sim_clock_ns(const SimVcpu *v);
/* What a save keeps beside the registers: the clock, forward or back (timers are compared anew), and whether the vcpu waits for
 * an interrupt (wfi). Not while a reply is due. */
void sim_clock_set(SimVcpu *v, uint64_t ns);
bool sim_is_waiting(const SimVcpu *v);
void sim_wait_set(SimVcpu *v, bool is_waiting);
void sim_call_return(SimVcpu *v, const uint64_t *ret, unsigned n); /* after hypercall: the ISA's return registers */
/* For people: the code of the blocks that hold the instruction at gva, as it is run now: of each its guest code, then its IR (bytes:
 * text), then the host code that there is for it. Not while the vcpu runs. */
typedef enum { SIM_CODE_GUEST, SIM_CODE_IR, SIM_CODE_HOST } SimCodeKind;
typedef void SimCodeSeen(void *ctx, SimCodeKind kind, const char *what, uint64_t at, const void *bytes, size_t n);
void sim_code(SimVcpu *v, uint64_t gva, SimCodeSeen *seen, void *ctx);
/* Hash of the whole architectural state of a vcpu, and of all RAM of a Sim: equal states, equal numbers. */
uint64_t sim_vcpu_hash(SimVcpu *v);
uint64_t sim_ram_hash(Sim *s);

/* Whole machine: vcpus, RAM, devices, clock; versioned, checksummed. Appends to out. Restore into a Sim of the same
 * configuration fails with nothing changed. */
MUST_USE int sim_save(Sim *s, Buf *out, Err *err);
MUST_USE int sim_restore(Sim *s, const void *bytes, size_t n, Err *err);
MUST_USE int sim_fork(Sim *s, Sim **out, Err *err); /* copy-on-write twin; s stays usable */

/* ---- cards: what a board's virtio slots take (VIRTIO 1.2), in the slots' order; the last slot is the entropy source ----
 * A card serves one board at a time and outlives it; so a disk's overlay survives a machine that is made anew. */
enum { SIM_CARD_SLOTS = 7 };
enum {
    SIM_DRIVE_READ_ONLY = 1,
    SIM_DRIVE_OVERLAY = 2
}; /* overlay: what is written stays in memory, the file as it is */
typedef struct VirtioCard SimCard;
/* A drive of a raw image: whole sectors of 512 bytes. The file is locked while the card lives. -ERR_NOENT, -ERR_DENIED, -ERR_BUSY,
 * -ERR_INVAL, -ERR_LIMIT, -ERR_IO. A machine with a drive that writes the file itself can be neither saved nor forked:
 * -ERR_UNSUPPORTED. An overlay is part of a snapshot; the file is not, and must be the same when it is restored. */
MUST_USE int sim_card_drive(const char *path, uint32_t flags, SimCard **out, Err *err);
/* A network card: "user[,hostfwd=tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT]...", "tap,ifname=NAME" or "loopback" (what is sent comes
 * back). -ERR_INVAL, -ERR_DENIED; -ERR_UNAVAILABLE: the host or this build does not have it. Frames of user and tap come from
 * outside, when they please, and a machine with one can be neither saved nor forked. */
MUST_USE int sim_card_net(const char *spec, SimCard **out, Err *err);
SimCard *sim_card_console(void); /* beside the UART; what is typed goes there once its driver is ready */
/* A memory balloon: a guest that has a driver gives so many bytes back, as far as it can. */
SimCard *sim_card_balloon(uint64_t wanted_bytes);
void sim_card_free(SimCard *c); /* NULL is fine */
/* Of a card that something may come to from outside: its owner waits for fds (at most cap, for at most *timeout_ns, which is
 * lowered), tells what happened to them, and then calls sim_board_poll. THREAD-SAFE, also beside running vcpus. */
bool sim_card_is_outside(const SimCard *c); /* NULL is fine */
size_t sim_card_fds(SimCard *c, struct pollfd *fds, size_t cap, uint64_t *timeout_ns);
void sim_card_served(SimCard *c, const struct pollfd *fds, size_t n);

/* ---- board: a machine around the vcpus ---- */
typedef struct {
    uint64_t ram_bytes;
    uint32_t nvcpus;
    bool has_firmware; /* is_virt: SBI/PSCI calls are served by the board; else they stop */
    void *ctx;
    void (*output)(void *ctx, const void *bytes, size_t n); /* the console's; NULL = dropped */
    SimCard *card[SIM_CARD_SLOTS];                          /* borrowed; NULL = an empty slot */
    uint64_t seed;                                          /* of the entropy source */
} SimBoardConfig;
/* Makes RAM, devices and vcpus. */
MUST_USE int sim_board(Sim *s, const SimBoardConfig *cfg, Err *err);
size_t sim_board_input(Sim *s, const void *bytes, size_t n); /* to the console; returns how many were taken */
void sim_board_poll(
    Sim *s); /* devices take what came to their cards; when it is called is part of what the guest sees */
/* name NULL: none. bytes NULL: the file of that name is read; else these, and the name is for errors. */
typedef struct {
    const char *name;
    const void *bytes;
    size_t n;
} SimFile;
/* Images, and the kernel's command line (NULL: none). An image is ELF, a Linux Image or flat, each also packed with gzip.
 * bios: firmware for M mode, flat at the start of RAM. kernel: ELF at its addresses, Linux where its header says, flat at the
 * start of RAM; beside a bios the two latter go to the next 2 MiB behind it at least. The device tree is at the end of RAM, the
 * initrd before it. With a bios all vcpus begin in it with a0 = hart, a1 = device tree and a2 = OpenSBI's struct fw_dynamic_info
 * (version 2: the kernel, in S mode, from hart 0). Without one they begin in the kernel (is_virt: the first), with a0 and a1;
 * with neither, at the start of RAM. */
typedef struct {
    SimFile bios, kernel, initrd;
    const char *append;
} SimBoot;
/* Loads, and resets the vcpus to it. What does not fit or overlaps is refused. */
MUST_USE int sim_board_load(Sim *s, const SimBoot *boot, Err *err);
/* The device tree of the last load. */
const void *sim_board_fdt(const Sim *s, size_t *n);
/* Guest time of the machine: where sim_run_all's next round begins. */
uint64_t sim_board_now_ns(const Sim *s);

/* ---- a board that stands alone: devices and firmware for vcpus that are not a Sim's ----
 * The same devices at the same addresses as sim_board makes, and the same firmware. The owner of the vcpus says what an
 * access or a call was, and gets the answer; what the board does to vcpus it does by the call-backs.
 * THREADS. All functions but new, free and restore are THREAD-SAFE. Call-backs come on the thread of the caller, with a
 * lock of the board held: they must not call the board. */
typedef struct SimBoard SimBoard;
typedef struct {
    void *ctx;
    /* line: 0 software, 1 timer, 2 external, 3 external of the lower level (guest.h's GuestLine), held at a level. */
    void (*line)(void *ctx, unsigned vcpu, unsigned line, bool level);
    uint64_t (*now_ns)(void *ctx, unsigned vcpu); /* guest clock of the vcpu on whose behalf the board works */
    void (*output)(void *ctx, const void *bytes, size_t n);
    void (*finish)(void *ctx, unsigned vcpu, bool is_reset, bool is_failure); /* the guest ends the machine */
    /* Guest memory, for devices and firmware; false: not all of it is RAM, and nothing was done. */
    bool (*mem_read)(void *ctx, uint64_t gpa, void *bytes, size_t n);
    bool (*mem_write)(void *ctx, uint64_t gpa, const void *bytes, size_t n);
    /* Of the firmware only. */
    void (*pulse)(void *ctx, unsigned vcpu, unsigned line); /* pending once more; the guest itself takes it back */
    void (*start)(void *ctx, unsigned vcpu, uint64_t entry, uint64_t arg); /* SBI 9.1; riscv64: a0 = hart, a1 = arg */
    void (*fence)(void *ctx, unsigned vcpu); /* before it goes on, the vcpu forgets translations and fetched code */
    bool (*is_ram)(void *ctx, uint64_t gpa, uint64_t n);
} SimBoardHost;
typedef struct {
    const char *guest; /* "riscv64" */
    bool is_virt;      /* as SimConfig's */
    bool has_firmware; /* is_virt only */
    uint32_t nvcpus;   /* their ids are 0..nvcpus - 1 and their hw_ids the same */
    uint64_t seed;     /* of the entropy source in the last virtio slot; the others are empty */
} SimBoardPlan;
/* -ERR_UNSUPPORTED: that guest has no board. host is copied. */
MUST_USE int simboard_new(const SimBoardPlan *plan, const SimBoardHost *host, SimBoard **out, Err *err);
void simboard_free(SimBoard *b); /* NULL is fine */
/* Base address of the first device of a type ("uart16550"), or of the virtio slot of the entropy source ("virtio_rng"); false: that board has none. Any thread, no board needed. */
bool simboard_find(const char *guest, bool is_virt, const char *device, uint64_t *base);
/* Is there a device? Takes no lock. *drives_lines: it is an interrupt controller or a timer of the vcpus. */
bool simboard_claims(const SimBoard *b, uint64_t gpa, bool *drives_lines);
/* 0, or -ERR_FAULT: bus error. */
int simboard_access(SimBoard *b, unsigned vcpu, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value);
size_t simboard_input(SimBoard *b, const void *bytes, size_t n); /* to the console; returns how many were taken */
/* Guest clock at which simboard_tick is due for the vcpu; UINT64_MAX = none. Any call may change it. */
uint64_t simboard_deadline(SimBoard *b, unsigned vcpu);
void simboard_tick(SimBoard *b, unsigned vcpu);
/* Of riscv64: an SBI call by a7, a6 and a0..a5. */
typedef struct {
    uint64_t ext, fid, arg[6];
} SimBoardCall;
typedef enum {
    SIM_CALL_RETURN,     /* ret[0..nret - 1] into the ISA's return registers; goes on */
    SIM_CALL_STOP,       /* stops until `start` */
    SIM_CALL_SUSPEND,    /* as RETURN, then idles; simboard_resumed when it goes on */
    SIM_CALL_SUSPEND_TO, /* idles; then simboard_resumed, and begins at entry with arg as after `start` */
    SIM_CALL_OFF,        /* the machine ends; is_failure: the guest says that it failed */
    SIM_CALL_RESET
} SimCallAction;
typedef struct {
    SimCallAction action;
    bool is_failure;
    unsigned nret;
    uint64_t ret[2], entry, arg;
} SimBoardReply;
/* Is the call the firmware's? Not: vendors' and experimental extensions (SBI 3.4), which hypervisors hand out as well. */
bool simboard_takes(const SimBoard *b, uint64_t ext);
void simboard_call(SimBoard *b, unsigned vcpu, const SimBoardCall *call, SimBoardReply *out);
void simboard_resumed(SimBoard *b, unsigned vcpu);
void simboard_started(SimBoard *b, unsigned vcpu); /* runs from the beginning, beside vcpu 0, without a `start` */
/* Restore into a board of the same plan fails with nothing changed; it sets the lines that devices hold: after the
 * vcpus were restored. */
/* Coverage, as sim_cover and sim_cover_read. */
void simboard_cover(SimBoard *b);
void simboard_cover_read(SimBoard *b, Buf *out);
void simboard_save(SimBoard *b, Buf *out);
MUST_USE int simboard_restore(SimBoard *b, Cursor *in, Err *err);

/* ---- watching ---- */
typedef struct {
    uint64_t insns, blocks, translations, tlb_fills, walks, io, traps;
} SimStats;
void sim_stats(const SimVcpu *v, SimStats *out);
/* Coverage: every vcpu and device counts from now on what of the guest it reaches (instructions and operands as they are
 * translated, CSRs, IR operations, traps, walks; registers of devices, features of virtio). No vcpu runs. */
void sim_cover(Sim *s);
/* Appends lines "KIND\tGROUP\tNAME\tCOUNT\n": of all that there is, with 0; of what was reached, perhaps in several lines.
 * read: THREAD-SAFE */
void sim_cover_items(const Sim *s, Buf *out);
void sim_cover_read(Sim *s, Buf *out);
#endif
