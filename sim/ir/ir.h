/* SPDX-License-Identifier: Apache-2.0
 * ir.h - the slot IR: what guest instructions become. THE MANUAL of the IR; read it before adding an op.
 *
 * 1 FRAME. An operand is a Slot: a byte offset into one vcpu's frame. The head of the frame (struct Frame) is the same for
 *   every guest: control fields, the zero slot, temporaries. The guest's registers follow it. A slot is 8 bytes, aligned.
 *   Partial registers (AL, W registers) are ops on the whole slot, never a sub-slot operand, so that two operands are the
 *   same slot or do not overlap. A register that reads as zero is IR_ZERO, which no op may write. Temporaries die at
 *   the end of a guest instruction.
 * 2 BLOCK. One entry; straight line; side exits on the way; one terminator at the end. A block lies in at most two
 *   pages. It is made for one (physical pc, virtual pc, mode key): pc-relative values are constants in it.
 * 3 EFFECTS. Each row of ir_ops.def has a class; engines, optimiser and verifier look at nothing else:
 *     PURE       d = C expression over a, b, c, imm. The expression IS the op.
 *     FP         d = softfp function of a, b, c; ORs into slot fp_flags. Never traps.
 *     LOAD STORE ATOMIC  may trap, may meet a device.       FENCE  orders memory.
 *     CALL       a row of IrGuest.helpers, with its own declared effects.
 *     SIDE_EXIT  may leave the block.                       TERM   leaves it.
 * 4 PRECISE STATE. op.insn says to which guest instruction of the block an op belongs.
 *   P1 Within one instruction every op that can raise an event (trap, device, helper) comes before the first write of an
 *      architectural slot, but for the destination of that op itself. A store that must be all-or-nothing probes first.
 *   P2 An event at op k shows exactly the slot writes of instructions before op[k].insn, and pc = that instruction.
 *      Engines may keep slots elsewhere and write them back late, through a side table by op. The interpreter writes
 *      eagerly.
 *   P3 A slot store is dead only if overwritten before any op that may raise an event or leave the block.
 *   P4 insns retired at op k = count at block entry + op[k].insn.
 * 5 EVENTS. An op that cannot go on sets Frame.event and has done nothing else; the engine tests it after every LOAD,
 *   STORE, ATOMIC and CALL with EFF_EVENT that took its slow path, and leaves with LEFT_EVENT, state by P2.
 *   EVENT_TRAP     Frame.trap is raised at this instruction.
 *   EVENT_ALONE    the access met a device, or code of this very block, in mid-block. The dispatcher runs the instruction
 *                  alone, in a block of one instruction that ends with sync; and ends blocks after it from now on. So a
 *                  device raises interrupts, reads the clock and changes maps at an instruction boundary that is
 *                  the same in every engine and for every block length.
 *   EVENT_EXTERNAL the access must leave the simulator. The stop is BEFORE the instruction; the reply goes into
 *                  Frame.reply and the instruction is run again, taking its n-th external access from the n-th reply,
 *                  whatever is mapped there by now.
 *                  No engine saves temporaries; P1 makes the second run harmless.
 *   Ops of an instruction that is alone (or last, before a sync) carry MEM_ALONE: they may touch devices and code.
 * 6 BUDGET. Frame.budget counts down instructions to the next deadline (timer, end of run, poll of other threads). An
 *   engine subtracts the block's ninsns at its entry; if that makes it negative it adds them back and leaves with
 *   LEFT_BUDGET, pc at the block, and the dispatcher translates one that is cut to the rest. A side exit at instruction i gives
 *   back ninsns - i - 1; an event at instruction i gives back ninsns - i. So counts and deadlines are exact in every
 *   engine. Interrupts are looked at by the dispatcher only: after sync, stop, trap, and at a deadline.
 * 7 FLAGS. AArch64 NZCV: four slots of 0/1. x86: slots for operation, operands and result; a condition whose operation the
 *   translator knows becomes a compare, else a pure CALL.
 * 8 FP. aux = format and rounding (static, or RM_DYN: slot fp_rm); of a conversion also the other side: the format of its
 *   operand, or the kind of its integer. The NaN rule, tininess and flushing come from IrGuest.fp_mode. A number narrower than
 *   a slot is its low bits: the others are ignored in an operand and 0 in a result; with FP_BOXED they are all ones, and an
 *   operand whose are not is the default NaN (Unpriv 21.2). Integers and truth values are never boxed. An engine may leave accrued flags in host state and must fold them into slot fp_flags before a CALL with
 *   EFF_FP_FLAGS and whenever the frame is seen from outside.
 * 9 ATOMICS. One indivisible read-modify-write, by a host atomic of the same size. lr notes in Frame.resv_* where in RAM it has read,
 *   how many bytes, and what; sc of the same bytes, by whatever address they are mapped at, is a compare-and-swap of that value (ABA
 *   is possible, as Unpriv 14.2 does not forbid an implementation that detects changes only by value between harts of one
 *   simulator); any trap or sc clears it. They are sequentially consistent among each other; lr, a load, may be done before a ST
 *   that precedes it, unless a FENCE is between them.
 *  10 SMP. Frames are private. Between vcpus only LOAD, STORE, ATOMIC and FENCE communicate; an aligned access of up to 8
 *   bytes is single-copy atomic. */
#ifndef SIM_IR_IR_H
#define SIM_IR_IR_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/softfp/softfp.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t Slot;
enum {
    IR_BLOCK_MAX_INSNS = 64,
    IR_BLOCK_MAX_OPS = 512,
    IR_MAX_EXITS = 8, /* side exits and the terminator of a block: what can be linked */
    IR_NTEMPS = 32,
    IR_MAX_REPLIES = 16,
};

/* ---- ops ---- */
typedef enum {
    CLASS_PURE,
    CLASS_FP,
    CLASS_LOAD,
    CLASS_STORE,
    CLASS_ATOMIC,
    CLASS_FENCE,
    CLASS_CALL,
    CLASS_SIDE_EXIT,
    CLASS_TERM
} IrClass;
typedef enum {
#define NUL(name, expr) IR_##name,
#define UN(name, expr)  IR_##name,
#define BIN(name, expr) IR_##name, IR_##name##_i,
#define TRI(name, expr) IR_##name,
#define FP(name, ...)   IR_##name,
#define MEM(name, ...)  IR_##name,
#define CTL(name, ...)  IR_##name,
#include "sim/ir/ir_ops.def"
    IR_COUNT
} IrOpcode;

/* aux of LOAD, STORE, ATOMIC: gva = a + imm */
#define MEM_LG2(aux)       ((aux)&3u)
#define MEM_SIZE(aux)      (1u << MEM_LG2(aux))   /* 1 2 4 8 */
#define MEM_SIGNED         0x0004u                /* of ld, amo: sign-extend to 64 bits */
#define MEM_ALIGNED        0x0008u                /* a misaligned address traps; else any alignment, pieces ascending */
#define MEM_ALONE          0x0010u                /* set by the dispatcher: see 5 */
#define MEM_FETCHLIKE      0x0020u                /* checks X instead of R (hlvx) */
#define MEM_REGIME(n)      ((uint16_t)((n) << 8)) /* 0: the mode's own data regime; n: GuestIsa.regime numbers from 1 */
#define MEM_REGIME_OF(aux) ((aux) >> 8 & 15u)
/* aux of fence */
typedef enum { ORD_RELAXED, ORD_ACQUIRE, ORD_RELEASE, ORD_ACQ_REL, ORD_SEQ_CST } MemOrder;
/* aux of FP: an FpFmt, and an FpRound or RM_DYN; of fcvt the FpFmt of its operand, of ftoi and itof an FpInt; or'ed, FP_BOXED */
enum { RM_DYN = 7 };
#define FP_AUX(fmt, rm)         ((uint16_t)((fmt) | (rm) << 3))
#define FP_AUX3(fmt, rm, other) ((uint16_t)((fmt) | (rm) << 3 | (other) << 6))
#define FP_FMT(aux)             ((aux)&7u)
#define FP_RM(aux)              ((aux) >> 3 & 7u)
#define FP_OTHER(aux)           ((aux) >> 6 & 7u)
#define FP_BOXED                0x0200u
typedef enum {
    FP_SHAPE_NONE,     /* no FP op */
    FP_SHAPE_SAME,     /* operands and result are of the format */
    FP_SHAPE_TEST,     /* operands are; the result is an integer */
    FP_SHAPE_CONVERT,  /* the operand is of the other format */
    FP_SHAPE_TO_INT,   /* the result is of the kind of integer */
    FP_SHAPE_FROM_INT, /* the operand is */
} FpShape;
/* aux of brcond */
typedef enum { COND_EQ, COND_NE, COND_LT, COND_GE, COND_LTU, COND_GEU, COND_COUNT } IrCond;
/* aux of jmpr and jmp; CALL and RET are hints, EVEN is of jmpr */
enum { JMP_CALL = 1, JMP_RET = 2, JMP_EVEN = 4 };

enum { IR_NAME_BYTES = 16 }; /* the 0 at the end is one */
typedef struct {
    uint16_t op; /* IrOpcode */
    uint16_t aux;
    Slot d, a, b, c; /* unused = IR_ZERO */
    uint32_t insn;   /* index of the guest instruction in the block */
    int64_t imm;
} IrOp;
_Static_assert(sizeof(IrOp) == 24, "IrOp is walked by every engine; keep it dense");

typedef struct {
    char name[IR_NAME_BYTES]; /* "add", "add_i"; in place, as a table of pointers is written at each start */
    IrClass cls;
    uint8_t nsrc; /* slots read: a; a, b; a, b, c */
    bool has_dst, has_imm;
    bool may_event; /* LOAD STORE ATOMIC; CALL says it itself */
    FpShape shape;  /* of FP ops */
} IrOpInfo;
extern const IrOpInfo ir_op_info[IR_COUNT];

/* ---- blocks ---- */
typedef struct IrBlock {
    IrOp *op;
    uint32_t nops, ninsns, flags, nbytes; /* nbytes: guest bytes covered */
    uint64_t gva;
    uint32_t mode_key;
    uint16_t insn_at[IR_BLOCK_MAX_INSNS + 1]; /* offset of each instruction from gva; [ninsns] = nbytes */
    uint16_t insn_row[IR_BLOCK_MAX_INSNS];    /* decode-row of each: coverage, printing */
} IrBlock;

/* ---- the frame's head, shared by engines, dispatcher, softmmu and guests ---- */
enum { EVENT_TRAP = 1, EVENT_ALONE, EVENT_EXTERNAL };
struct TlbEntry;
struct Mmu;
typedef struct JumpEntry { /* of the indirect-jump cache: a hit needs pc */
    uint64_t pc;
    void *code;
} JumpEntry;
enum { JUMP_BITS = 13 };
#define JUMP_INDEX(pc) (((pc) >> 1 ^ (pc) >> 13) & ((1u << JUMP_BITS) - 1))
#define JUMP_OTHER(i)  ((i) ^ 1) /* where else it may be; an engine need not look there */
/* What a free entry number i holds: a pc that is looked for elsewhere. All zero, but for the first two. */
#define JUMP_FREE(i) ((JumpEntry){.pc = (i) < 2 ? 4 : 0})
_Static_assert(JUMP_INDEX(0) == 0 && JUMP_INDEX(4) >= 2, "pc 0 belongs to the first two entries, pc 4 does not");
/* Of zeros, or of entries that are no longer wanted. */
static inline void jump_begin(JumpEntry *table)
{
    table[0] = JUMP_FREE(0);
    table[1] = JUMP_FREE(1);
}
/* The code at pc; NULL: not known. */
static inline void *jump_find(const JumpEntry *table, uint64_t pc)
{
    const JumpEntry *e = &table[JUMP_INDEX(pc)], *other = &table[JUMP_OTHER(JUMP_INDEX(pc))];
    return e->pc == pc ? e->code : other->pc == pc ? other->code : NULL;
}
/* What was there moves to its other place. */
static inline void jump_put(JumpEntry *table, uint64_t pc, void *code)
{
    size_t i = JUMP_INDEX(pc);
    JumpEntry *e = &table[i], *other = &table[JUMP_OTHER(i)];
    if (e->pc != pc && e->code) {
        *other = *e;
    } else if (other->pc == pc) {
        *other = JUMP_FREE(JUMP_OTHER(i));
    }
    *e = (JumpEntry){.pc = pc, .code = code};
}
/* Nothing leads to pc any more. */
static inline void jump_drop(JumpEntry *table, uint64_t pc)
{
    size_t i = JUMP_INDEX(pc);
    table[i] = table[i].pc == pc ? JUMP_FREE(i) : table[i];
    i = JUMP_OTHER(i);
    table[i] = table[i].pc == pc ? JUMP_FREE(i) : table[i];
}
/* softmmu.h, WINDOWS. An access at first + n hits if n < end, and it has up to 8 bytes; or n < end_span, and FLAT_SPAN. Ends of 0: none. */
typedef struct TlbWindow {
    uint64_t first, end, end_span;
    int32_t wait; /* how many more accesses are to miss before it is aimed anew: the engine counts */
} TlbWindow;
enum { WINDOWS = 32 };
typedef struct Trap {
    uint64_t cause, value;   /* riscv: scause, stval; aarch64: ESR, FAR; x86: vector, cr2 or error code */
    uint64_t value2, value3; /* second-stage address (htval, HPFAR); instruction bits or the like: the guest's own */
} Trap;
typedef struct {
    void *code; /* where to go on; NULL: the engine leaves with `left`, a Left */
    uint64_t left;
} GoOn;
typedef struct Frame {
    uint64_t zero; /* IR_ZERO: always 0 */
    int64_t budget;
    uint64_t pc; /* right whenever the frame is seen from outside an engine */
    struct TlbEntry *tlb_read, *tlb_write;
    uint64_t tlb_key;              /* softmmu.h: context of data accesses in regime 0 */
    uint64_t tlb_addend, tlb_same; /* of the entry made last, and how many before it in a row had the same: a hint */
    /* softmmu.h, FLAT. An access at flat_first + n is the host's at gva + flat_addend if n < flat_end, and it has up to 8 bytes; or
     * n < flat_end_span, and FLAT_SPAN. Ends of 0: nothing is flat now. first and addend never change once they are set. */
    uint64_t flat_first, flat_addend, flat_end, flat_end_span;
    uint64_t window_addend; /* softmmu.h, WINDOWS: changes at a sync only */
    JumpEntry *
        jump; /* 1 << JUMP_BITS, of the context of code: mode key and fetch translation. A context can change only after
                      * a sync, so the dispatcher keeps a table for each of some, and no jump compares it. */
    struct Mmu *mmu;
    void *vcpu; /* the dispatcher's */
    /* Not 0: nothing has come up that the dispatcher must look at, so that a sync in a block without a helper with EFF_ENDS goes on to the
     * next instruction; an engine may ask no more than this. Others clear it. */
    _Atomic uint32_t is_quiet;
    /* Before an engine leaves with LEFT_SYNC, or LEFT_EVENT for a trap, it may ask here, if this is not NULL: mostly there is nothing
     * that the dispatcher must look at, and the code to go on with is known. The frame is as it would be after leaving, but for FP flags
     * that are still in the host. */
    GoOn (*go_on)(struct Frame *f, uint64_t left);
    uint32_t event;     /* EVENT_x; 0 = none */
    uint32_t mode_key;  /* of the code now running */
    bool is_code_flat;  /* in its mode a pc is the same code until that is released, in other pages too */
    uint32_t left_exit; /* which exit of left_block was taken (SIDE_EXIT and TERM ops, from 0): what may be linked */
    uint32_t stop_reason;
    void *left_block; /* the tag that prepare() was given: with LEFT_EXIT and LEFT_EVENT */
    uint64_t stop_imm;
    Trap trap;
    /* lr: where the host has the bytes, which is compared only; what was there, zero-extended; 0 bytes = no reservation */
    uint64_t resv_host, resv_val, resv_size;
    uint64_t insns_end; /* instructions retired so far = insns_end - budget */
    uint32_t nreplies, reply_next;
    uint64_t reply[IR_MAX_REPLIES], reply_gpa[IR_MAX_REPLIES];
    bool reply_is_fault;
    TlbWindow window[3 * WINDOWS]; /* for loads, for stores, for stores in the flat range */
    uint64_t temp[IR_NTEMPS];
} Frame;
#define IR_ZERO       ((Slot)offsetof(Frame, zero))
#define IR_TEMP(n)    ((Slot)(offsetof(Frame, temp) + 8u * (n)))
#define IR_IS_TEMP(s) ((s) >= IR_TEMP(0) && (s) < IR_TEMP(IR_NTEMPS))
static inline uint64_t frame_insns(const Frame *f) /* retired so far, exact between blocks and in ops with MEM_ALONE */
{
    return f->insns_end - (uint64_t)f->budget;
}

/* Of functions that code calls at each trap or access to a device: where they begin in a line of the host's cache made up to 15 % of
 * such an event, and each change of the program moved them. */
#define LINE_ALIGNED __attribute__((aligned(64)))

/* ---- what ir, interp and jit know of a guest: names for printing, offsets for checking ---- */
typedef struct {
    char name[IR_NAME_BYTES]; /* "a0" */
    Slot at;
} IrSlotInfo;
enum {                       /* effects of a helper; 0 = pure: may be dropped if its result is dead */
       EFF_EVENT = 1,        /* may set Frame.event (frame_raise) */
       EFF_READS_FRAME = 2,  /* reads slots (fp_flags: with EFF_FP_FLAGS only): engines write back before it */
       EFF_WRITES_FRAME = 4, /* writes architectural slots: engines reload after it */
       EFF_FP_FLAGS = 8,     /* looks at fp_flags, or does FP in the host */
       EFF_ENDS = 16,        /* mode, translation, interrupts or time may differ afterwards: a sync must follow */
};
/* d = fn(frame, a, b, c, imm). May raise a trap only with frame_raise(), and return at once. */
typedef uint64_t HelperFn(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm);
typedef struct {
    const char *name;
    HelperFn *fn;
    uint32_t effects;
    uint8_t nsrc;
} Helper;
typedef struct IrGuest {
    const char *name;
    size_t frame_bytes; /* of the guest's whole frame, which starts with a Frame; at most 64 KiB */
    const IrSlotInfo *slots;
    size_t nslots;
    const Helper *helpers; /* index = aux of call */
    size_t nhelpers;
    Slot fp_flags, fp_rm; /* IR_ZERO if there is no FP */
    uint32_t fp_mode;     /* softfp's FpMode bits */
    const Slot
        *hot; /* its general registers that code uses most, best first: engines may keep them in host registers */
    size_t nhot;
} IrGuest;
static inline void frame_raise(Frame *f, uint64_t cause, uint64_t value)
{
    f->trap = (Trap){.cause = cause, .value = value};
    f->event = EVENT_TRAP;
}

/* ---- build ---- */
/* Appends to a block that the caller owns; nothing is written beyond the limits of the block. When an instruction does
 * not fit, is_full is set and the rest of it is swallowed; the translator's loop then takes it out with ir_drop_insn
 * and ends the block before it. One op and one exit are kept for that terminator. A block that is full in its first
 * instruction is a bug of the translator. */
typedef struct IrBuild {
    IrBlock *block; /* block->op has room for IR_BLOCK_MAX_OPS */
    uint32_t ntemps, nexits;
    bool is_full, is_begun; /* is_begun: the last ir_insn had room */
} IrBuild;
void ir_begin(IrBuild *k, IrBlock *b, IrOp *ops, uint64_t gva, uint32_t mode_key);
/* Starts a guest instruction of len bytes, 1 to 255; temporaries are free again. */
void ir_insn(IrBuild *k, unsigned len, uint16_t row);
void ir_drop_insn(IrBuild *k); /* takes out the last instruction with its ops; the block is not full any more */
Slot ir_temp(IrBuild *k);
/* op->insn is filled in. A write to IR_ZERO is a write to a register that ignores it: a PURE op is left out, a LOAD, FP
 * op or ATOMIC gets a temporary as destination, a CALL keeps IR_ZERO for "no result". */
void ir_emit(IrBuild *k, const IrOp *op);
/* Shorthands */
void ir_op2(IrBuild *k, IrOpcode op, Slot d, Slot a, Slot b);
void ir_opi(IrBuild *k, IrOpcode op, Slot d, Slot a, int64_t imm);
void ir_load(IrBuild *k, uint16_t aux, Slot d, Slot base, int64_t imm);
void ir_store(IrBuild *k, uint16_t aux, Slot base, int64_t imm, Slot value);
void ir_call(IrBuild *k, uint16_t helper, Slot d, Slot a, Slot b, Slot c, int64_t imm);
void ir_brcond(IrBuild *k, IrCond cond, Slot a, Slot b, uint64_t pc);
void ir_jmp(IrBuild *k, uint64_t pc);

/* ---- check, optimise, show, evaluate ---- */
/* 0, or -ERR_INVAL with a sentence: operands are slots of the guest, temporaries defined before use and not across
 * instructions, P1, one terminator at the end, the zero slot never written, counts consistent. Run on every block in debug
 * builds (assert) and by every test. */
MUST_USE int ir_verify(const IrBlock *b, const IrGuest *g, Err *err);
/* Constant folding and propagation, copies, dead stores (P3), of a verified block, in place. Exits may go, and with a branch
 * that is always taken the rest of the block: ninsns, nbytes and the numbers of exits are those of afterwards. Linear, no
 * allocation. */
void ir_optimise(IrBlock *b, const IrGuest *g);
void ir_print(const IrBlock *b, const IrGuest *g, Buf *out);
/* print's inverse: ops has room for IR_BLOCK_MAX_OPS. -ERR_INVAL with "line:col: ..., expected ...". */
MUST_USE int ir_parse(const char *text, const IrGuest *g, IrBlock *out, IrOp *ops, Err *err);
/* The oracle of engine tests, and the folder: a PURE op from a, b, c, imm. */
uint64_t ir_eval(IrOpcode op, uint64_t a, uint64_t b, uint64_t c, int64_t imm);
/* An FP op; flags accrue. rm: what slot fp_rm holds, an FpRound, read for RM_DYN; a number that is none rounds to nearest
 * even (the translator has made sure that there is none). */
uint64_t ir_eval_fp(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint32_t fp_mode, uint32_t *flags);
bool ir_cond(IrCond cond, uint64_t a, uint64_t b);

/* ---- engines ---- */
typedef enum {
    LEFT_EXIT,     /* left_exit of left_block was taken and is not linked; pc = its target */
    LEFT_INDIRECT, /* pc = target of a jmpr that missed the jump cache */
    LEFT_BUDGET,   /* before a block that needs more than the budget; pc = that block */
    LEFT_EVENT,    /* Frame.event; pc = the instruction */
    LEFT_STOP,     /* Frame.stop_reason; pc = the next instruction */
    LEFT_SYNC      /* pc = the next instruction */
} Left;
#define LINK_BY_JUMP_CACHE ((void *)(uintptr_t)1)
/* A piece of host code: what it is ("block", "region of 3 blocks"), its bytes as they are now, where they run. */
typedef void EngineSeen(void *ctx, const char *what, const void *bytes, size_t nbytes, uint64_t at);
struct Worker;    /* sim/base/worker.h */
struct CodeStore; /* sim/jit/store.h */
/* What the dispatcher needs of an engine. One object per vcpu; all calls on the vcpu's thread. */
typedef struct Engine {
    const char *name;
    void *(*create)(const IrGuest *g);
    void (*destroy)(void *engine);
    /* Makes code from a block (which may be freed afterwards). NULL if the cache is full: the dispatcher releases
     * everything and tries again. tag comes back in Frame.left_block. */
    void *(*prepare)(void *engine, const IrBlock *b, void *tag);
    /* Runs from code until something of Left; frame exact by P2, counts by 6. */
    Left (*enter)(void *engine, void *code, Frame *f);
    /* Exit number `exit` of `from` goes straight to `to` from now on; NULL: back to the dispatcher; LINK_BY_JUMP_CACHE: to
     * what Frame.jump holds for its pc, else to the dispatcher. */
    void (*link)(void *engine, void *from, unsigned exit, void *to);
    void (*release)(void *engine, void *code); /* nothing links to it any more, and no enter() is inside it */
    /* For people: the pieces of host code that may be run for it now. NULL: there are none. Not within enter. */
    void (*show)(void *engine, void *code, EngineSeen *seen, void *ctx);
    /* Before the first block: what takes long may be made by w, which outlives the engine, while the vcpu runs on. The machine is the same;
     * which of its code runs when is not. NULL: the engine has no use for it. */
    void (*assist)(void *engine, struct Worker *w);
    /* Before the first block: what s has is not made again, and what is made comes into it; s outlives the engine. The machine is the same.
     * NULL: likewise. */
    void (*recall)(void *engine, struct CodeStore *s);
} Engine;
#endif
