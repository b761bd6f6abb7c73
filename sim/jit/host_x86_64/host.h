/* SPDX-License-Identifier: Apache-2.0
 * host.h - what the parts of the x86-64 emitter share. Not for others.
 *   host.c    life, the code around units, placing a unit      values.c    slots in registers, constants, the frame
 *   record.c  a unit as bytes, and back                        pure.c      integer ops
 *   emit.c    blocks, exits, stubs                             memory.c    loads, stores, atomics: windows, TLB, the flat range
 *   loops.c   loops of one block: unrolled, counted            fp.c raw.c  floating point; NaNs that are not looked at yet
 *   count.c   how many rounds are certain                      compared.c  calls and returns through registers
 *   rounds.c  rounds in a row, in an order of their own        loans.c     registers that these borrow
 *
 * REGISTERS. rax, rcx, rdx: scratch. rbp: frame + HOST_BIAS, so that registers of the guest have short displacements. rsp: a
 * JitStack. r15: the TLB for loads, with that for stores behind it; not so within ranged regions (FLAT_REG), nor in rows, which borrow it
 * (loans.c). The others, and xmm from 2 on, are homes of slots: pins always, the rest as each unit likes. Between units only pins are in
 * registers. */
#ifndef SIM_JIT_HOST_X86_64_HOST_H
#define SIM_JIT_HOST_X86_64_HOST_H

#include "sim/jit/host_x86_64/x64.h"
#include "sim/jit/jit_int.h"

enum { HOST_BUFFER_BYTES = 1 << 20, OLD_OPS = 16, UNREAD_OPS = 48 };
#define HOST_BIAS  ((int32_t)sizeof(Frame) + 128)
#define AT(field)  ((int32_t)offsetof(Frame, field) - HOST_BIAS)
#define AT_SLOT(s) ((int32_t)(s)-HOST_BIAS)
enum { GROUP_REGS = 2, MAX_RESTS = 6, GROUP_SPAN = 2048 };
/* In flat regions: Frame.window_addend; in ranged ones flat_addend, where the TLB's address comes from the frame if it is wanted */
#define FLAT_REG (h->m->is_ranged ? R15 : R11)
enum { COUNT_ON_STACK = JIT_HOST_REGS };
enum { FIXED_BASE = 64 }; /* instead of a register: a constant in the flat range, which code reaches from where it is */
#define ON_STACK(what) ((int32_t)offsetof(JitStack, what))

/* Where a slot's value is at some point of the code: the second half of what a side table says. */
typedef enum {
    V_HOME,
    V_CONST,
    V_COPY,
    V_LATER
} ValKind; /* in its home; a constant not yet written; the same as that of id `of`; what op `op` makes of the homes of `from` */
typedef struct {
    uint8_t kind;
    uint16_t of, op;
    uint16_t from[ENTRY_OPERANDS]; /* 0: none */
    uint64_t c;
} Val;
typedef enum { O_REG, O_XMM, O_MEM, O_IMM } OpndKind;
typedef struct {
    OpndKind kind;
    unsigned reg;
    int32_t disp;
    uint64_t imm;
} Opnd;
typedef struct { /* registers: base + (index << scale); index -1: none */
    unsigned base;
    int index;
    unsigned scale;
} Indexed;
#define BY_BASE(r) ((Indexed){.base = (r), .index = -1})
typedef enum {
    STUB_SLOW,
    STUB_EXIT,
    STUB_EDGE,
    STUB_BUDGET,
    STUB_FEW,
    STUB_TAIL,
    STUB_HEAT,
    STUB_HEAD,
    STUB_REST,
    STUB_SOFT,
    STUB_ADDEND,
    STUB_ENTRY,
    STUB_WINDOW,
    STUB_LOOK,
    STUB_NAN
} StubKind;
/* Constants that operations of the other file have in memory: the box of an f32, signs of f64 and f32, and all but these. */
typedef enum { CONST_BOX, CONST_SIGN64, CONST_SIGN32, CONST_ABS64, CONST_ABS32, HOST_CONSTS } HostConst;
enum { HOST_FPRS = 16 };
typedef uint16_t RegMask;    /* of the other file, by number */
typedef struct {             /* raw.c */
    RegMask raw;             /* results of FP ops that were not looked at: a NaN stands for the default one */
    RegMask single;          /* those of them that are f32, in their boxes; the others are f64 */
    RegMask from[HOST_FPRS]; /* by register: those whose values, which are still there, its result was made of */
} Raws;
typedef struct { /* what is known at a point of the code, for code that goes on from there */
    Val val[JIT_IDS];
    Set away, boxed;
    Raws raws;
    uint32_t q;
} Point;
typedef struct { /* code that is rarely run: behind the rest */
    StubKind kind;
    bool is_store, is_counted;  /* is_counted: of the counted body of its block */
    uint8_t reg;                /* STUB_SLOW of a load: where its value is wanted */
    uint8_t *fix, *fix2, *back; /* comes from, and if there is a second place, from there; goes back to */
    uint32_t site, number;
    unsigned k, give;
    const JBlock *b; /* of which it is code: of block k, or that unrolled */
    uint64_t pc;     /* of an exit; what FIXED_BASE is */
    Set dirty;
    Raws raws;               /* of STUB_NAN and STUB_SOFT: those that are to become what they stand for */
    Opnd value;              /* of a store */
    uint8_t base;            /* STUB_ENTRY, STUB_WINDOW, STUB_LOOK: register */
    Indexed at;              /* of the first two, and STUB_REST: what it is there; without an index: it is there */
    uint32_t q;              /* op of STUB_SOFT, STUB_ADDEND, STUB_ENTRY, STUB_WINDOW */
    unsigned which;          /* STUB_WINDOW, STUB_LOOK: Frame.window */
    int32_t low, span_bytes; /* STUB_LOOK: of the group, which may be written */
    bool can_write;
    unsigned noperands;
    Opnd operand[3];
    unsigned turn; /* STUB_SOFT: signs to turn, as of host_fp_fused */
    Point *point;  /* STUB_REST: the rest of the block once more, with nothing taken for granted */
} Stub;
/* One look into the TLB for all accesses of a block by one base slot, as long as that does not change. */
typedef struct {
    bool is_on, can_write;
    int64_t low, high; /* first byte, behind the last; less the base */
    unsigned addend;   /* register: host address less guest address */
} Group;
/* Places of code are bytes of the buffer from here on, and blocks are numbers in the unit: what is made of a unit is the same in each process,
 * wherever anything is in memory. What differs is a relocation. */
typedef enum {
    RELOC_CODE,  /* displacement, to byte `to` of the cache, which is code around units or a constant */
    RELOC_RANGE, /* displacement, to where byte `to`, signed, of the flat range is */
    RELOC_SITE,  /* and all the others are addresses of 8 bytes: of a site, */
    RELOC_EXIT,
    RELOC_HERE,   /* of the unit's code itself, where it runs, */
    RELOC_HELPER, /* of a function of the guest, */
    RELOC_BLOCK,  /* and of a block of the unit: it, */
    RELOC_HEAT,   /* its heat, */
    RELOC_TAG,    /* and what its tag is */
    RELOC_KINDS
} RelocKind;
typedef struct { /* what is known when the unit has its place */
    uint32_t kind : 8, at : 24;
    uint32_t to;
} Reloc;
_Static_assert(HOST_BUFFER_BYTES < 1 << 24, "Reloc.at");
typedef struct {
    uint16_t k, number;        /* exit `number` of block k */
    uint32_t jump, leave, far; /* far 0: none */
} ExitAt;
enum { SITE_UNROLLED = 1 << 15 };
typedef struct {
    uint16_t k; /* of block k, or, with SITE_UNROLLED, of its copies */
    uint16_t nentries, op, extra;
    uint32_t first; /* of its entries */
} SiteAt;
/* to its head; behind the check of the budget there, or of its copies; behind these; to where its rounds are counted */
typedef enum { FIX_HEAD, FIX_PAID, FIX_UNROLLED, FIX_TAIL, FIX_COUNT } FixKind;
typedef struct { /* a jump to a block of the unit */
    uint8_t *at;
    unsigned to;
    FixKind kind;
} Fix;
typedef struct {
    uint8_t *head, *paid, *unrolled, *tail, *count, *entry; /* entry: from outside; NULL: none */
    uint32_t site;                                          /* of its head */
    unsigned counter, spilled; /* of its counted body: a register, or COUNT_ON_STACK; the id whose home that is, or 0 */
    RegMask raw, single;       /* where it goes around, as Raws */
} BbAt;

enum { MAX_PLACES = JIT_MAX_BBS, MAX_CALLED = 32, MAX_RETURNS = 4 }; /* the latter: that are compared with */
typedef struct {                                                     /* targets of jumps through registers, by block */
    unsigned n;
    uint8_t at[MAX_PLACES];
} Places;
typedef struct JitHost {
    Jit *j;
    Maker *m;
    Asm a;
    uint8_t *buffer;
    LeftBy (*enter)(Frame *f, void *code, Jit *j);
    const uint8_t *slow[2];     /* [1]: xmm registers are in use */
    const uint8_t *aim[2];      /* likewise; mmu_window_aim of rdx for rax, which only are lost */
    const uint8_t *alone[2][2]; /* [is store][likewise]: an access with MEM_ALONE; its aux is arg[0] */
    const uint8_t *fold[2];     /* likewise; flags of FP go to the frame */
    const uint8_t *exit, *exit_far, *indirect, *term, *budget, *heat, *cold;
    const uint8_t *ask;   /* rax: LEFT_SYNC, or LEFT_EVENT for a trap; goes on, or leaves; */
    const uint8_t *asked; /* the same, if pins are in the frame */
    bool has_bmi2, has_lzcnt, has_bmi1, has_popcnt, has_fma, has_avx;
    /* of the unit: from here on an emitter beside the first has its own (host_open_beside) */
    VEC(SiteAt) sites;
    VEC(Entry) entries;
    VEC(ExitAt) exits;
    VEC(Reloc) relocs;
    VEC(Stub) stubs;
    VEC(Fix) fixes;
    VEC(uint8_t *) tables;      /* where the address of the table of targets is wanted */
    Places called, returned;    /* not behind a call; behind one */
    uint64_t ntable;            /* its entries, a power of two */
    uint32_t hot_end, code_end; /* behind what is run mostly; behind all code, before the table of targets */
    uint32_t table_bytes;
    BbAt bb[JIT_MAX_BBS];
    /* of the point being emitted */
    Val val[JIT_IDS];
    Set away, dirty; /* away: val is not V_HOME */
    Raws raws;
    Set words;       /* what is in the home is 32 bits, sign-extended */
    Set boxed;       /* likewise, an f32 in its box (ir.h, FP_BOXED) */
    unsigned k;      /* block */
    const JBlock *b; /* its ops, or those of its copies */
    uint32_t q;      /* op */
    bool is_rest;    /* of a STUB_REST */
    bool is_apart;   /* the next block does not follow */
    bool is_counted; /* the counted body of its block */
    bool is_paid;    /* what is due before the next block was paid by that before it, which goes on there */
    unsigned nrests; /* of this block */
    uint64_t fixed;  /* what FIXED_BASE is, in the guest */
    Group group[JIT_IDS];
    uint32_t stored[JIT_IDS];         /* by id: op that wrote its home last; 0: none of this block */
    unsigned group_of[2], group_next; /* id whose addend is in the register; 0: none */
} JitHost;

static inline const JBlock *host_block_of(const JitHost *h, const SiteAt *s)
{
    const Bb *x = &h->m->bb[s->k & ~SITE_UNROLLED];
    return s->k & SITE_UNROLLED ? x->unrolled : x->b;
}

static inline bool is_s32(uint64_t v)
{
    return (int64_t)v == (int32_t)v;
}

static inline unsigned host_id(const JitHost *h, Slot s) /* 0: untracked, or IR_ZERO */
{
    return h->m->id_of[s / 8];
}

/* values.c */
Opnd host_opnd_of_id(const JitHost *h, unsigned i);
Opnd host_opnd(const JitHost *h, Slot s);
void host_opnd_to(JitHost *h, unsigned r, Opnd o);
void host_opnd_to_frame(JitHost *h, Slot s, Opnd o);
void host_gpr_to(JitHost *h, unsigned r, Slot s);
unsigned host_gpr(JitHost *h, Slot s, unsigned scratch); /* a register that holds it: its home, or scratch */
void host_alu(JitHost *h, unsigned flags, uint32_t opc, unsigned r, Slot s); /* r = r op s; rcx may be lost */
void host_kill(JitHost *h, Slot d);                                          /* before d changes. rax may be lost */
unsigned host_dst(const JitHost *h, Slot d);   /* where its value is best made: its home, or rax */
void host_fin(JitHost *h, Slot d, unsigned r); /* d = r */
void host_wrote(JitHost *h, Slot d);           /* its home has been written */
/* It was what it is now less `by`: a look into memory that counted for that still does. */
void host_group_move(JitHost *h, Slot base, const Group *before, int64_t by);
void host_set_const(JitHost *h, Slot d, uint64_t c);
void host_set_copy(JitHost *h, Slot d, Slot s);
bool host_is_word(const JitHost *h, Slot s);  /* is its value known to be 32 bits, sign-extended? */
void host_set_word(JitHost *h, Slot d);       /* it is, just written */
bool host_is_boxed(const JitHost *h, Slot s); /* likewise, an f32 in its box? */
void host_set_boxed(JitHost *h, Slot d);
/* Nobody reads what o makes, an op of CLASS_PURE, but who leaves: true, and it has no code. */
bool host_put_off(JitHost *h, const IrOp *o);
/* Is what op q makes written again before any op reads it, in this round or the next, of a loop of the ops before `last`? */
bool host_is_unread_around(const JitHost *h, uint32_t last, uint32_t q);
void host_store_home(JitHost *h, unsigned i); /* to its slot in the frame; and from there: */
void host_load_home(JitHost *h, unsigned i);
void host_materialise(JitHost *h, unsigned i); /* its value comes to its home */
void host_flush(JitHost *h);                   /* all do */
void host_entry_add(JitHost *h, unsigned i);   /* of the side table that is being made: where it is */
/* emit.c */
void host_rest_stub(JitHost *h, uint8_t *fix,
                    uint8_t *fix2); /* from here the rest of the block, from this op on, is made a second time */
uint32_t jit_site_new(JitHost *h, uint32_t op);
Stub *host_stub_new(JitHost *h, StubKind kind, uint8_t *fix);
static inline uint32_t host_at(const JitHost *h, const uint8_t *p) /* as Reloc.at */
{
    return (uint32_t)(p - h->buffer);
}
void host_reloc(JitHost *h, RelocKind kind, const uint8_t *at, uint32_t to);
void host_pointer_to(JitHost *h, unsigned r, RelocKind kind, uint32_t to); /* r = that */
void host_jump_out(JitHost *h, uint8_t *at, const uint8_t *to); /* aims a jump or call at the code around units */
void host_pins_store(JitHost *h);
void host_site_to_rcx(JitHost *h, uint32_t site);
void host_emit_call(JitHost *h, const IrOp *o); /* of a helper, or of C for an op that has no code of its own */
void host_fix_later(JitHost *h, uint8_t *at, unsigned to, FixKind kind); /* the jump at `at` goes to block `to` */
void host_pay(JitHost *h, unsigned to, unsigned paid); /* of what is due before block `to`, `paid` is paid */
unsigned host_compare(JitHost *h, const IrOp *o);      /* the condition code with which the branch o is taken */
void host_block_begin(JitHost *h, unsigned k, const JBlock *b); /* all values are at home */
void host_emit_op(JitHost *h, const IrOp *o);
void host_emit_ops(JitHost *h, uint32_t from); /* of h->b */
/* loops.c */
enum { LOOP_ALIGN = 32 };
void host_emit_unrolled(JitHost *h, unsigned k);
/* The loop once more, for as many rounds as are certain to be paid and to have memory within reach. What follows it stays paid all the
 * time. */
void host_emit_counted(JitHost *h, unsigned k);
/* From the counted body of block k to elsewhere: the rounds that were paid and not begun are given back. rax is lost. */
void host_count_leave(JitHost *h, unsigned k);
/* count.c */
/* rdx = how many rounds of counted block k are certain, or a jump to `plain`. rax and rcx are lost. */
void host_emit_rounds(JitHost *h, unsigned k, const uint8_t *plain);
void host_count_begin(JitHost *h, unsigned k); /* what is known at the head of its counted body */
void host_count_slow(JitHost *h,
                     unsigned k); /* at its end: what is too short for far strides is made longer. rax is lost */
/* Is id i in a register that the counted body of block k needs? Not if only its branch around reads it. */
bool host_count_uses(const JitHost *h, unsigned k, unsigned i);
/* loans.c: registers that a loop borrows where nothing can leave it. What they hold otherwise comes back behind it. */
typedef struct {
    uint8_t reg;
    bool is_written;
    uint16_t owner; /* id whose home it is, and that has a value there; 0: none */
    uint16_t id;    /* of the slot of the frame that lives there meanwhile; 0: none */
} Loan;
typedef struct {
    unsigned n, ntaken;     /* that can be had, and of these the first that are taken */
    Loan of[JIT_HOST_REGS]; /* cheapest first */
} Loans;
void host_loans_begin(const JitHost *h, unsigned k, Loans *l); /* for the counted body of block k */
bool host_loan_add(Loans *l, unsigned i, uint8_t *reg);        /* the next for id i; false: there is none */
void host_loan_writes(Loans *l, unsigned i);                   /* what i has there must come to the frame */
void host_loans_take(JitHost *h, const Loans *l);              /* code before the loop, */
void host_loans_return(JitHost *h, const Loans *l);            /* and behind it */
/* rounds.c */
enum { MAX_ROW = 3 };
/* Takes loans, then n rounds of ops, from homes to homes but for what no round reads of another. Where these begin; NULL: they do more than
 * compute, or need more registers than there are, and what was written is void. loans: as host_loans_begin leaves it */
const uint8_t *host_emit_row(JitHost *h, const IrOp *op, uint32_t nops, unsigned n, Loans *loans);
/* pure.c */
void host_emit_pure(JitHost *h, const IrOp *o);
/* fp.c */
void host_emit_fp(JitHost *h, const IrOp *o);
void host_emit_soft(JitHost *h, const Stub *s);
/* x = y opc z, opc with its prefix; z: O_XMM, or O_MEM of the frame */
void host_op3(JitHost *h, uint32_t opc, unsigned x, unsigned y, Opnd z);
void host_op_const(JitHost *h, uint32_t opc, unsigned x, unsigned y, HostConst c);
/* Ops from q on that are one multiplication and addition with signs turned: how many, 0: they are none. *out: it, with operands as
 * they are before; turn: FUSED_x */
enum { FUSED_PRODUCT = 1, FUSED_ADDEND = 2 };
unsigned host_fp_fused(const JitHost *h, uint32_t q, IrOp *out, unsigned *turn);
void host_emit_fused(JitHost *h, const IrOp *o, unsigned turn);
bool host_emit_signs(JitHost *h, const IrOp *o); /* a change of signs or boxes in the other file; false: it is none */
/* raw.c. Looks: NaNs become the default one. rax, xmm0, xmm1 and flags may be lost. */
void host_raw_drop(JitHost *h, unsigned i); /* id i has another value */
/* Register x has, and it is raw; from: host_raw_operands of its op */
void host_raw_add(JitHost *h, unsigned x, RegMask from, bool is_single);
RegMask host_raw_operands(const JitHost *h, const IrOp *o); /* the raw ones that its result is made of */
void host_look(JitHost *h, const Raws *r);                  /* at all of them */
void host_look_sources(JitHost *h);                         /* those that this op reads, if it must not see them raw */
void host_look_all(JitHost *h);
void host_nans_fix(JitHost *h, const Raws *r); /* rax is lost */
void host_look_boxes(
    JitHost *h); /* are operands of this op, and of later ones, f32 in their boxes? If not, the rest is made again */
void host_emit_nan(JitHost *h, const Stub *s);
/* memory.c */
void host_emit_load(JitHost *h, const IrOp *o);
/* o loads from slot base, which is to become `at`: false, or all of that has code, and h->q is o */
bool host_emit_indexed(JitHost *h, const IrOp *o, Slot base, Indexed at);
void host_emit_unwindowed(JitHost *h, const Stub *s); /* before a STUB_REST of a load by an index */
void host_emit_store(JitHost *h, const IrOp *o);
void host_emit_atomic(JitHost *h, const IrOp *o);
void host_emit_fence(JitHost *h, const IrOp *o);
void host_emit_slow(JitHost *h, const Stub *s);
void host_emit_addend(JitHost *h, const Stub *s);
void host_emit_entry(JitHost *h, const Stub *s);
void host_emit_window(JitHost *h, const Stub *s);
void host_emit_look(JitHost *h, const Stub *s, Stub *rest); /* rest: where it goes if it finds nothing */
bool host_is_plain_access(const IrOp *o);
/* Jumps away unless all accesses of b in rdx rounds are in the flat range, or in a window: to *now if not even the first is, else to
 * later[]; returns how many of these there are. rax and rcx are lost. */
enum { REACH_WAYS = 2 };
unsigned host_emit_reach(JitHost *h, const CountBase *b, uint8_t **now, uint8_t *later[REACH_WAYS]);
/* compared.c */
void host_places_plan(JitHost *h); /* of the unit */
/* To a block of the region by its pc, which is in `reg`, if there are few where a jump with `flags` (JMP_x) may go; else, and for any other pc, on to
 * what is behind. rax is lost. */
void host_emit_compared(JitHost *h, unsigned reg, unsigned flags);
/* emit.c */
bool jit_unit_emit(JitHost *h); /* into the buffer; false: it does not fit */
/* host.c */
Unit *host_unit(JitHost *h); /* of what is in the buffer and the tables */
#endif
