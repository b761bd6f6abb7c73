/* SPDX-License-Identifier: Apache-2.0
 * exec_int.h - what exec.c (the loop) and blocks.c (finding, making, linking, dropping code) share. Not for others. */
#ifndef SIM_EXEC_EXEC_INT_H
#define SIM_EXEC_EXEC_INT_H

#include "sim/base/mem.h"
#include "sim/exec/exec.h"

#include <pthread.h>
#include <semaphore.h>

enum {
    BLOCK_HASH_BITS = 16,
    PAGE_HASH_BITS = 10,
    ALONE_MARKS = 1024,
    BLOCK_POOL = 256,      /* blocks an allocation, */
    BLOCK_POOL_FIRST = 32, /* but for the first */
    BLOCK_ALIGN = 64,
    BLOCK_BYTES = 256, /* from one to the next */
    MAX_POSTED_RANGES = 16,
    JUMP_TABLES = 16,
    JUMP_PAGE_BITS = 12,
    JUMP_PAGES = 1 << JUMP_PAGE_BITS,
    JUMP_PART_BITS = 6, /* a 64th of a page */
    STORES_TO_RELEASE = 64,
    MODES = 16,
};

typedef enum {
    KIND_NORMAL,
    KIND_CUT,   /* the first instructions of a block that would pass a deadline (ir.h 6) */
    KIND_SINGLE /* one instruction that runs alone (ir.h 5) */
} BlockKind;
typedef struct Block { /* aligned to BLOCK_ALIGN: */
    /* all that is looked at to find it is one line of the host's cache */
    struct Block *hash_next;
    uint64_t gpa, gva;
    uint32_t mode_key, cut; /* cut: the most that a CUT may have */
    BlockKind kind;
    uint32_t nbytes2;
    void *code;
    uint32_t ninsns, nbytes;
    uint64_t gpa2; /* of the first byte in a second page, if nbytes2 */
    bool is_dead;
    struct Block *page_next[2]; /* [1]: in the list of the second page */
    /* links: out by exit; the list of those that come in */
    struct Block *to[IR_MAX_EXITS];
    struct Block *next_in[IR_MAX_EXITS]; /* of the same target */
    uint8_t next_in_exit[IR_MAX_EXITS];
    struct Block *in;
    uint8_t in_exit;
    /* of the last instruction, if it accesses memory: what an exit must say of it */
    Slot access_dst;
    uint16_t access_aux;
    uint8_t last_len;
    uint8_t by_jump; /* exits that are linked by the jump cache */
} Block;
_Static_assert(offsetof(Block, gpa2) <= BLOCK_ALIGN && sizeof(Block) <= BLOCK_BYTES, "see blocks.c");

typedef struct PageBlocks {
    uint64_t page; /* gpa >> 12 */
    _Atomic uint8_t *flags;
    Block *blocks;
    unsigned stores; /* looked at since a block was last added */
    bool is_fresh;   /* in ExecVcpu.fresh: others may have stored to it unseen since its code was read */
    struct PageBlocks *next;
} PageBlocks;

typedef struct {
    JumpEntry jump[JUMP_TABLES][1 << JUMP_BITS];  /* each of one context; Frame.jump is one of them */
    uint64_t jump_parts[JUMP_TABLES][JUMP_PAGES]; /* by a hash of the page: its parts to which the table may lead */
    Block *hash[1 << BLOCK_HASH_BITS];
    PageBlocks *pages[1 << PAGE_HASH_BITS];
    uint64_t alone[ALONE_MARKS]; /* gpa + 1 of instructions that end their block */
} ExecTables;

enum {
    POST_KICK = 1,
    POST_LINES = 2,
    POST_CODE = 4,
    POST_WRITES = 8,
    POST_FENCE = 16,
    POST_PAUSE = 32,
    POST_POKE = 64
};

/* What mode_refresh has found for a GuestIsa.mode_word. */
typedef struct {
    uint64_t word; /* 0: free */
    MmuContext context;
    uint32_t mode_key;
    unsigned jump;
} Mode;

struct ExecVcpu { /* in os_pages: of its tables what is used is touched */
    ExecConfig cfg;
    ExecHost host;
    const GuestIsa *isa;
    uint64_t (*calm_word)(const Frame *f); /* isa's */
    Frame *f;
    Mmu *mmu;
    void *engine;

    uint64_t jump_key[JUMP_TABLES];
    uint64_t jump_used[JUMP_TABLES], jump_uses; /* when each was last selected; how often any */
    unsigned jump_now;                          /* Frame.jump */
    bool jump_is_kept[JUMP_TABLES];             /* something may be in it; else its pages are untouched, and stay so */

    Mode modes[MODES];
    uint64_t mode_word, epoch; /* of the mode now; of the modes that are kept */
    bool has_changed;          /* exec_changed */
    bool may_go_on;            /* in this run syncs need not come to the outer loop */

    /* blocks.c */
    Block *dead, *spare;
    VEC(char *) pools;
    VEC(PageBlocks *) fresh;
    uint64_t random; /* state of block_seed */
    IrBlock ir;

    /* exec.c */
    uint64_t end_insns; /* of this run */
    uint64_t skipped;   /* of the clock: time in which nothing retired */
    uint64_t space_version;
    const _Atomic uint64_t *space_version_now;
    uint64_t useless_traps; /* since an instruction last retired */
    uint64_t last_trap_insns;
    uint64_t host_deadline; /* as last asked, unless is_deadline_void */
    uint64_t break_insns;   /* the breakpoint was reported at this count: the next run goes over it */
    bool is_waiting, want_mark, is_ended, is_external, is_replied, is_watch_hit, is_break_passed, has_far_links,
        is_deadline_void;
    ExecAccess access;
    ExecBreak breaks[EXEC_MAX_BREAKS];
    MmuWatch watches[EXEC_MAX_BREAKS];
    size_t nbreaks, nwatches;
    ExecStats stats;
    _Atomic uint64_t *cover; /* NULL: nobody counts */

    /* from other threads */
    _Atomic uint32_t posted;
    _Atomic bool is_running; /* in exec_run: looks at what is posted before any guest code otherwise */
    _Atomic uint64_t writes_asked, writes_done; /* POST_WRITES: how often */
    _Atomic uint32_t lines, touched,
        pulses; /* levels; those set since they were last passed on; raised for the guest to clear */
    pthread_mutex_t post_lock;
    struct {
        uint64_t gpa, n;
    } ranges[MAX_POSTED_RANGES];
    size_t nranges; /* MAX_POSTED_RANGES: all code */

    /* real time */
    bool is_realtime;
    uint64_t epoch_ns;
    sem_t sleep;
    _Atomic bool is_asleep, fence_code;
    _Atomic uint64_t sleep_until, wakes;
    _Atomic uint64_t fence_asked, fence_done; /* tickets */

    IrOp ops[IR_BLOCK_MAX_OPS]; /* of the block that is made */
    ExecTables tables;
};

/* The block for the frame's pc and mode, found or made. CUT: of at most max_insns. NULL: *trap is the fetch's. */
Block *block_get(ExecVcpu *v, BlockKind kind, uint32_t max_insns, Trap *trap);
void block_link(ExecVcpu *v, Block *from, unsigned exit, Block *to);
/* Blocks that hold any of these bytes become unreachable. true if there were any. Their memory stays until blocks_reap, since an
 * engine may be inside one. */
bool blocks_drop(ExecVcpu *v, uint64_t gpa, uint64_t n);
void blocks_drop_all(ExecVcpu *v);
void blocks_drop_fresh(ExecVcpu *v); /* of pages that others may have stored to unseen */
void blocks_reap(ExecVcpu *v);
void blocks_free(ExecVcpu *v);
void blocks_mark_alone(ExecVcpu *v, uint64_t gpa);
void cover_block(ExecVcpu *v, const IrBlock *b); /* cover.c; where v->cover is there */
bool exec_is_break(const ExecVcpu *v, uint64_t pc);
#endif
