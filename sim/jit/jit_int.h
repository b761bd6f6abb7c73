/* SPDX-License-Identifier: Apache-2.0
 * jit_int.h - what the parts of the JIT share: jit.c (blocks, links, run time), cache.c (memory for code), unit.c (which slots
 * live in registers, what may be dirty), host_x86_64/ (code). Not for others. */
#ifndef SIM_JIT_JIT_INT_H
#define SIM_JIT_JIT_INT_H

#include "sim/base/mem.h"
#include "sim/base/worker.h"
#include "sim/ir/ir.h"
#include "sim/jit/jit.h"
#include "sim/jit/store.h"

enum {
    JIT_IDS = 256,        /* slots of a unit that are more than bytes in the frame; the others stay there */
    JIT_MAX_SLOTS = 8192, /* of a frame of 64 KiB */
    JIT_MAX_PINS = 5,
    JIT_MAX_BBS = 64, /* blocks of a unit */
    JIT_MAX_OPS = 3000,
    JIT_COLD = 4,    /* runs after which a block of the hybrid is worth code, */
    JIT_FIRST = 60,  /* and how many more if it would be the first: then there is all that code needs to be made, too */
    JIT_SAME = 4,    /* entries of the TLB in a row with one addend, after which the next is likely to have it too */
    JIT_HEAT = 1000, /* runs after which a block is worth a region */
    WARM_PART = 16,  /* this part of them makes it worth a place in one that calls or jumps to it */
    JIT_HOST_REGS = 16,
};

/* ---- side tables: how a place that may be left is shown (ir.h P2) ---- */
typedef enum {
    ENTRY_GPR,   /* slot = host register reg */
    ENTRY_FPR,   /* likewise, of the other file */
    ENTRY_RAW,   /* likewise; a NaN of f64 stands for the default one */
    ENTRY_RAW32, /* likewise, of f32 in its box */
    ENTRY_CONST, /* slot = the 8 bytes that follow */
    ENTRY_SLOT,  /* slot = the slot that the next entry names */
    ENTRY_OP, /* slot = what the op of the block that the next entry names makes of the two operands that follow: GPR, or SLOT itself */
} EntryKind;
enum { ENTRY_OPERANDS = 2 };
typedef struct {
    Slot slot;
    uint8_t kind, reg;
} Entry;
typedef struct JBlock JBlock;
typedef struct {
    const JBlock *b;
    const Entry *entry;
    uint16_t nentries, op; /* op == nops: the block's head */
    uint16_t extra;        /* what was paid beside the block's instructions (charge.c) */
} Site;

/* ---- code ---- */
/* One place where code goes to another block, or back to the dispatcher. */
typedef struct JExit {
    JBlock *from;
    uint32_t number;            /* of from */
    uint64_t pc, jump_other;    /* where else Frame.jump may have that, in bytes */
    uint8_t *jump;              /* displacement to patch; NULL: never linked */
    const uint8_t *leave, *far; /* where it goes if there is no link; by way of the jump cache; NULL: leave */
    struct JExit *next;         /* of the same exit */
} JExit;
/* A piece of code with what belongs to it: of one block, or of a region. */
typedef struct Unit {
    uint8_t *code;                   /* writable side */
    uint32_t code_bytes, insn_bytes; /* all; of instructions, from HOST_ENTRY on */
    uint32_t nsites, nexits, nentries;
    Site *sites;
    JExit *exits;
    Entry *entries;
    /* of a region */
    JBlock *root;
    struct Member *members;
    uint32_t nmembers;
    bool is_dead;
    struct Unit *next; /* of those that are dead */
} Unit;
/* A block in a region. */
typedef struct Member {
    JBlock *b;
    Unit *region;
    uint32_t entry;      /* where in its code the region is entered for this block; 0: it is not */
    JBlock *unrolled;    /* which sites of the region name; NULL: none */
    struct Member *next; /* of the same block */
} Member;
/* A block as it was prepared. */
struct JBlock {
    void *tag;
    uint64_t gva;
    uint32_t nops, ninsns, nbytes;
    int32_t heat;  /* how often it is still to be run before it is looked at; negative: now */
    int32_t cold;  /* likewise, before code is made of it */
    uint8_t *head; /* where its code begins, wherever it goes from there: where it runs */
    Unit *unit;    /* its own code; NULL: none yet */
    Member *members;
    Member *hot;                 /* its code begins with a jump to this */
    uint64_t head_bytes;         /* what its code begins with otherwise */
    CodeKey content;             /* of its ops (recall.c); 0: not yet known */
    uint32_t mark;               /* index + 1 in the unit being made */
    bool is_beside;              /* in the region that is made beside the vcpu */
    JBlock *next;                /* released since then */
    void *code_to[IR_MAX_EXITS]; /* as linked */
    JBlock *to[IR_MAX_EXITS];    /* if that is a block's code */
    JExit *exits[IR_MAX_EXITS];
    uint16_t *insn_at; /* behind the ops */
    IrOp op[];
};
/* The block whose code begins here: noted in the 8 bytes before. */
static inline JBlock *jblock_of(const void *code)
{
    JBlock *b;
    __builtin_memcpy(&b, (const uint8_t *)code - sizeof b, sizeof b);
    return b;
}

/* ---- memory for code: cache.c ---- */
enum { CACHE_BYTES = 32 << 20, CACHE_GRAIN = 64, CACHE_SIZES = 1024 };
typedef struct CachePiece {
    struct CachePiece *next;
} CachePiece;
typedef struct {
    uint8_t *code;      /* writable side; CACHE_BYTES, touched as it is used */
    int64_t exec;       /* from there to where it runs; 0: nothing runs there yet */
    size_t size;        /* CACHE_BYTES, or what a test says */
    size_t fixed, used; /* the first bytes are never released: for the code around units */
    size_t touched;     /* up to there pages are there, but for the first */
    bool is_large;      /* these are large ones */
    CachePiece *released[CACHE_SIZES];
    const uint8_t *consts; /* that code reads, where it runs */
    size_t consts_bytes;
} CodeCache;
/* What jit.h's jit_watch is told, if there is one: of bytes of code. */
static inline JitEvent jit_event(const CodeCache *c, JitEventKind kind, uint8_t *bytes, size_t nbytes)
{
    return (JitEvent){.kind = kind,
                      .cache = c,
                      .where = c->code + c->exec,
                      .cache_bytes = CACHE_BYTES,
                      .bytes = bytes,
                      .at = bytes + c->exec,
                      .nbytes = nbytes,
                      .consts = c->consts,
                      .consts_bytes = c->consts_bytes};
}
void jit_cache_open(CodeCache *c,
                    uint8_t *pages); /* c: zeros; pages: CACHE_BYTES of os_pages_new, which stay the caller's */
void jit_cache_run(CodeCache *c);    /* from now on code can be run there; its writable side is elsewhere */
void jit_cache_close(CodeCache *c);
uint8_t *jit_cache_get(CodeCache *c, size_t size_bytes); /* aligned to CACHE_GRAIN; NULL: full */
void jit_cache_put(CodeCache *c, uint8_t *p, size_t size_bytes);
void jit_cache_reset(CodeCache *c); /* everything but what is fixed */

/* ---- a unit being made ---- */
typedef struct {
    uint64_t w[JIT_IDS / 64];
} Set;
static inline bool set_has(const Set *s, unsigned i)
{
    return s->w[i / 64] >> i % 64 & 1;
}
static inline void set_add(Set *s, unsigned i)
{
    s->w[i / 64] |= 1ull << i % 64;
}
static inline void set_del(Set *s, unsigned i)
{
    s->w[i / 64] &= ~(1ull << i % 64);
}
/* for each i in s, which must not change meanwhile */
#define SET_EACH(i, s)                                                                                                 \
    for (unsigned i##_w = 0, i = 0; i##_w < JIT_IDS / 64; i##_w++)                                                     \
        for (uint64_t i##_m = (s)->w[i##_w];                                                                           \
             i##_m && ((void)(i = i##_w * 64 + (unsigned)__builtin_ctzll(i##_m)), true); i##_m &= i##_m - 1)

/* A loop of one block whose rounds can be told before they are run: host_x86_64/count.c. */
enum { COUNT_BASES = 8 };
typedef struct {
    Slot base, by;             /* goes on by stride each time around, or, if that is not IR_ZERO, by what is in by */
    int64_t stride, low, high; /* first byte, behind the last of its accesses, less the base at the head */
    bool can_write;
} CountBase;
typedef struct {
    uint32_t last; /* op: the branch around. 0: not counted */
    Slot x, y;     /* it goes around until x, which goes on by stride, is at y or beyond */
    int64_t stride;
    bool is_word; /* x is 32 bits, sign-extended */
    unsigned nbases;
    CountBase base[COUNT_BASES];
} Count;

/* The home of a slot: host register, FPR_HOME + register of the other file, or HOME_FRAME. */
enum { HOME_FRAME = -1, FPR_HOME = JIT_HOST_REGS };
typedef struct Bb {
    JBlock *b;
    JBlock *unrolled;       /* some copies in a row of the ops before `tail`, if they are a loop; NULL: they are not */
    uint32_t tail;          /* nops: the loop is all of it */
    unsigned copies;        /* of `unrolled` */
    Count count;            /* of a region: there is a body that runs as many rounds as are certain */
    int succ[IR_MAX_EXITS]; /* by exit: block of the unit, or -1 */
    unsigned depth, nexits; /* of loops around all of it */
    uint32_t at[IR_MAX_EXITS];                    /* op of each exit */
    bool is_entry, is_loop, is_callee, is_target; /* of a call; of jumps that find it in a table of the region's */
    bool is_indirect;                             /* ends with such a jump */
    unsigned due; /* what must be paid before it: its instructions, or more (charge.c) */
    Set dirty_in, def, use, live;
} Bb;
typedef struct Jit Jit;
typedef struct {
    uint64_t regions, dropped, voided; /* voided: made beside the vcpu, and not there any more when it was done */
    uint64_t rows, lent;               /* loops whose rounds come in rows, and registers that these borrowed */
} JitStats;
typedef struct Maker {
    Jit *j;
    const IrGuest *guest;
    uint16_t id_of[JIT_MAX_SLOTS]; /* by slot / 8; 0: untracked, or IR_ZERO */
    Slot slot_of[JIT_IDS];
    unsigned nids;
    Bb bb[JIT_MAX_BBS];
    unsigned nbbs;
    int16_t home[JIT_IDS];
    bool is_pin[JIT_IDS], is_fpr[JIT_IDS], is_temp[JIT_IDS];
    bool has_fpr;            /* some home is of the other file */
    bool is_region, is_flat; /* flat: accesses are likely to have Frame.tlb_addend, */
    bool is_ranged;          /* or to be in the range that begins at flat_first (softmmu.h) */
    uint64_t flat_first, flat_addend;
    unsigned ntargets, nrows, nlent; /* of the code made: JitStats */
    Set targets_dirty, targets_live; /* at all of them */
    CodeKey key;                     /* of the unit; and what the store has for it, NULL: nothing */
    const void *found;
    size_t found_bytes;
} Maker;
struct Jit {
    const IrGuest *guest;
    CodeCache cache;
    struct JitHost *host; /* host_x86_64/; NULL: no code was made yet, stubs are not run */
    Maker *maker;
    size_t nblocks, npins;
    int32_t heat, cold; /* what each block begins with; cold -1: code is made at once */
    int32_t first;      /* how much longer the first to get code must wait; 0 as soon as there is any */
    bool is_full;       /* no room for better code: the next prepare says so */
    JBlock *few;        /* code was left before this one: the budget is not for all that is due, but for it */
    Slot pin[JIT_MAX_PINS];
    Unit *dead;            /* regions: code may be inside, until the next enter */
    struct Beside *beside; /* NULL: all code is made by the vcpu's thread */
    Worker *own;           /* which that uses, if nobody else has it */
    CodeStore *store;      /* NULL: all code is made */
    uint64_t guest_key[2]; /* of all that units of this engine have in common */
    JitStats stats;
};

/* unit.c */
unsigned jit_op_sources(const IrGuest *g, const IrOp *o, Slot out[3]);
bool jit_op_may_leave(const IrGuest *g, const IrOp *o); /* can the frame be looked at here? */
void jit_unit_begin(Maker *m);                          /* no blocks yet */
void jit_unit_add(Maker *m, JBlock *b);
void jit_unit_plan(Maker *m); /* homes, and what is live and dirty where */
/* And what is reachable from it, in order of addresses: by links, and by jumps through registers as far as f->jump tells. */
void jit_region_add(Maker *m, JBlock *root, const Frame *f);

/* unroll.c: for each block of a planned region that is a loop by itself */
/* aux of an exit of a copy: from bit UNROLLED_EXIT on 1 + its number in the block, or UNROLLED_TO_TAIL. */
enum { UNROLLED_EXIT = 8, UNROLLED_TO_TAIL = 255, COND_BITS = 7 };
void jit_unroll(Maker *m);
bool jit_unroll_again(Bb *x, unsigned k, unsigned copies); /* as that did; false: it cannot have */
bool jit_is_plain(const IrOp *o);                          /* a loop that is copied may have it */
int jit_exit_around(const Bb *x, unsigned k);              /* its exit that is the loop; -1: none, or more than one */

/* charge.c: Bb.due of the blocks of a region. Of other units it is 0, for their instructions. */
void jit_charge(Maker *m);
static inline unsigned jit_due(const Bb *x)
{
    return x->due ? x->due : x->b->ninsns;
}

/* recall.c: units that were made before, by whomever: what is made of a unit depends on nothing but its blocks, how they follow each other and a
 * few facts, which all are in its key. On the vcpu's thread, when the unit is chosen: */
void jit_recall(Maker *m);
void jit_recall_open(Jit *j, CodeStore *s);
/* Its code, in the emitter, of the store if that has it. On any thread. NULL: as host_make. */
Unit *jit_unit_make(Maker *m, struct JitHost *h);

/* region.c: hot blocks with what they link to */
/* b is hot: gives it a region, now or, if there is a Beside, later. f: says what its accesses are like. */
void jit_region_try(Jit *j, JBlock *b, const Frame *f);
/* The steps of that, with jit_unit_make between them. begin chooses the blocks and marks them, and end puts the code, if there is any, into
 * place. */
JBlock *jit_region_begin(Maker *m, JBlock *b, const Frame *f); /* the root */
void jit_region_end(Jit *j, Maker *m, struct JitHost *h, JBlock *root, Unit *u);
void jit_region_abandon(Maker *m, Unit *u); /* instead of end: it has no place. No block is looked at */
void jit_marks_set(Maker *m);
void jit_marks_clear(Maker *m);
/* beside.c: regions that a Worker makes while the vcpu runs on, one at a time. All calls on the vcpu's thread. */
void jit_beside_open(Jit *j, Worker *w);
void jit_beside_close(Jit *j);
void jit_beside_try(Jit *j, JBlock *b, const Frame *f);
void jit_beside_poll(Jit *j, const Frame *f); /* a region that is made comes into place */
void jit_beside_release(Jit *j, JBlock *b);   /* frees it, at once or when it is not looked at any more */
void jit_beside_unlink(Jit *j, const JBlock *from, const JBlock *to);
void jit_regions_drop(Jit *j, JBlock *b); /* all that it is in */
void jit_regions_drop_edge(Jit *j, JBlock *from, const JBlock *to);
void jit_regions_reap(Jit *j);
void jit_block_aim(const Jit *j, JBlock *b); /* its head goes to the best code that there is */
/* cold.c: one block, from its IR. next: where it goes on, if that is known */
Left jit_cold_run(Jit *j, JBlock *b, Frame *f, JBlock **next);
void jit_unit_connect(const Jit *j, Unit *u); /* jit.c: its exits follow the links of their blocks */

/* jit.c: what code calls, and what is done when it is left */
typedef struct JitStack { /* where registers are when C looks at them */
    uint64_t gpr[JIT_HOST_REGS], fpr[JIT_HOST_REGS];
    uint64_t arg[3];
    Jit *j;
    Frame *f;
    uint64_t unused;
    uint64_t count[2]; /* [0]: rounds that a loop still has to run */
} JitStack;
_Static_assert(sizeof(JitStack) % 16 == 0, "it keeps the host's stack aligned");
uint64_t jit_slow(JitStack *s, uint64_t gva, uint64_t value, const Site *site);
void jit_show(const JitStack *s, const Site *site);    /* the frame as it is there */
void jit_fold(JitStack *s);                            /* flags of FP that have accrued in the host go to the frame */
Left jit_leave(JitStack *s, const Site *site);         /* a stop */
Left jit_out_of_budget(JitStack *s, const Site *site); /* at a block's head */

#define F64_NAN 0x7ff8000000000000ull /* the default ones of modes whose FP the host does */
#define F32_NAN 0xffffffff7fc00000ull /* in its box */

/* host_x86_64/ */
enum {
    HOST_ENTRY = 16, /* where in a unit's code it is entered; before it, the block of jblock_of */
    HOST_STUB_BYTES = 64,
    HOST_AROUND_BYTES = 8192, /* at most, of the code around units, which is the first of a cache */
};
typedef struct {
    uint64_t what; /* a Left, a JExit, a JBlock */
    uint64_t by;   /* BY_x */
} LeftBy;
enum { BY_LEFT, BY_EXIT, BY_HEAT, BY_COLD };
extern const uint8_t host_gprs[];
extern const unsigned host_ngprs, host_fpr_first, host_fpr_end;
extern const unsigned host_nspare, host_nspare_flat; /* of the last of gprs: no homes in regions; none in ranged ones */
struct JitHost *host_open(Jit *j); /* makes the code around units, at the beginning of a cache that can be run */
/* Another emitter, for another thread, with the same code around units. */
struct JitHost *host_open_beside(const struct JitHost *of);
void host_close(struct JitHost *h);
LeftBy host_enter(struct JitHost *h, void *code, Frame *f);
bool host_has_range(uint64_t flat_first);                /* can code look whether an address is in it? */
bool host_count_plan(Maker *m, unsigned k);              /* block k of a planned region; true: it is counted */
bool host_fp_is_inline(const IrGuest *g, const IrOp *o); /* its flags accrue in the host */
/* Around code that may do FP: the host's own state, to give back; the flags that have accrued, as softfp's. */
uint32_t host_fp_begin(void);
uint32_t host_fp_flags(void);
void host_fp_end(uint32_t host);
/* Code of the planned unit is made, then placed, which is for the vcpu's thread. NULL: it is too large. Until it is placed, or freed, the emitter
 * makes nothing else. */
Unit *host_make(struct JitHost *h, Maker *m);
/* What was made, to make it again without: record.c. The unit was not planned; NULL: that is no record of it. */
void host_record(const struct JitHost *h, Buf *out);
Unit *host_recall(struct JitHost *h, Maker *m, const void *record, size_t nbytes);
unsigned host_features(void);                                  /* JitFeature bits */
bool host_place(struct JitHost *h, Unit *u);                   /* false: no room in the cache */
void host_unit_free(Unit *u);                                  /* that has no place */
void host_patch(const Jit *j, const JExit *e, const void *to); /* NULL: leave; LINK_BY_JUMP_CACHE; else code */
void host_stub(struct JitHost *h,
               uint8_t *code); /* at HOST_STUB_BYTES, in which the block is noted: leaves with BY_COLD */
void host_redirect(const Jit *j, JBlock *b, const uint8_t *to); /* its head goes there; NULL: no longer */
#endif
