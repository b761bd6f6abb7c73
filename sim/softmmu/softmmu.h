/* SPDX-License-Identifier: Apache-2.0
 * softmmu.h - guest memory as engines see it: the one TLB, its fast path, and the slow path behind it.
 *
 * Two direct-mapped tables per vcpu, one for loads and one for stores, indexed by virtual page: a copy between buffers that
 * alias does not thrash. An entry {tag, addend} hits when tag == (page of the LAST byte of the access | context), with
 * the index from the first byte: an access that crosses a page cannot hit, any other may be misaligned. The host
 * address is gva + addend.
 *
 * Where translation is off, all of RAM has one addend: Frame.tlb_addend says which the last entry has, so that an engine may compute an
 * address with it before it knows the entry, and compare the entry's afterwards.
 *
 * FLAT. Where a guest says that a whole range is translated alike (Walk.is_flat), and RAM that may be read and written is there, an engine
 * need not look at entries at all: Frame.flat_end says up to where, or 0 as long as that does not hold for the context that is selected, or
 * a watchpoint is in it. There is one such range in the life of a vcpu, the first that is met. That is for loads: some pages take no stores
 * on the fast path, so stores have windows of their own in the range, from 2 * WINDOWS on. One is a run of pages to which TLB entries for
 * stores could be made, whether there are any or not; those that nobody has stored to come in by and by, as it costs something when
 * code is found in one of them (PAGE_STORED).
 *
 * WINDOWS. Where neighbouring pages have entries of one addend, Frame.window_addend, a subtraction and a comparison say that an access hits.
 * A window is such a run of pages: never more than the tables have under the context that is selected, so that it decides nothing. There are
 * some for loads, some for stores, and some for stores in the flat range, for an engine to use as it likes: it asks for one to be aimed (mmu_window_aim), best after some
 * misses. Each regime has its addend, which an engine says when it sees one that is likely (mmu_window_addend).
 *
 * CONTEXT. 12 bits, a generation number: each pair (address-space tag, regime) in use has one, so that a switch of ASID or of
 * privilege flushes nothing, and a flush takes new numbers and touches no entry. Regimes whose pages are mostly global, as those of a
 * kernel, have one number for all address spaces. Walks of global mappings are kept under a context of their own in a small table that
 * the slow path looks at before it walks. When numbers run out the tables are cleared.
 *
 * What can never hit, and so takes the slow path: devices and holes, pages without the right, stores to pages that
 * hold translated code (PAGE_CODE) or are logged and clean, pages with watchpoints.
 *
 * THREADS. An Mmu belongs to its vcpu's thread. mmu_flush_later is THREAD-SAFE. */
#ifndef SIM_SOFTMMU_SOFTMMU_H
#define SIM_SOFTMMU_SOFTMMU_H

#include "sim/ir/ir.h"
#include "sim/machine/space.h"

/* ---- translation of addresses: what a guest supplies ---- */
typedef enum {
    ACC_READ = 1,
    ACC_WRITE = 2,
    ACC_EXEC = 4,
    ACC_PROBE = 8 /* with one of the others: no A/D update, no event (debugger, disassembler) */
} Access;
typedef struct {
    uint64_t gpa;      /* machine address of the byte asked for, after all stages */
    uint32_t allow;    /* ACC_x that may be cached for this regime: ACC_WRITE only once the page is marked dirty */
    uint8_t page_bits; /* log2 of the bytes of the mapping: a flush of one address is for all of them. 0: of a page */
    bool is_global;
    /* flat_first to flat_last, whole pages, are at gva - gpa from their machine addresses and have this `allow`, until all is flushed */
    bool is_flat;
    uint64_t flat_first, flat_last;
} Walk;
/* How walk() reaches page tables. ok false: no RAM there. update: compare-and-swap; false with *ok: the value has changed. */
typedef struct PhysIo {
    void *ctx;
    uint64_t (*read)(void *ctx, uint64_t gpa, unsigned size_bytes, bool *ok);
    bool (*update)(void *ctx, uint64_t gpa, unsigned size_bytes, uint64_t old, uint64_t now, bool *ok);
} PhysIo;
typedef struct MmuGuest {
    unsigned nregimes; /* at most 16 */
    /* One access; true fills *out, false fills *trap. */
    bool (*walk)(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap);
    /* The trap for an access whose physical address is nobody's (access fault), or which is misaligned. */
    void (*bus_fault)(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap);
    void (*align_fault)(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap);
} MmuGuest;

/* ---- guest memory from the host's side ----
 * Guests may race in their own memory, and misalign: both are theirs, and no bug of ours. GUEST_ACCESS marks the functions that
 * access it for them, so that a race detector looks at the simulator and not at its guests. */
#define GUEST_ACCESS __attribute__((no_sanitize("thread")))
#define GUEST_TYPE   __attribute__((aligned(1), may_alias))
typedef uint8_t GUEST_TYPE GuestU8;
typedef int8_t GUEST_TYPE GuestS8;
typedef uint16_t GUEST_TYPE GuestU16;
typedef int16_t GUEST_TYPE GuestS16;
typedef uint32_t GUEST_TYPE GuestU32;
typedef int32_t GUEST_TYPE GuestS32;
typedef uint64_t GUEST_TYPE GuestU64;

/* ---- the TLB ---- */
typedef struct TlbEntry {
    uint64_t tag, addend;
} TlbEntry;
enum { TLB_BITS = 14, TLB_ENTRIES = 1 << TLB_BITS, MMU_PAGE_BITS = 12, FLAT_SPAN = 2048 };
#define TLB_INDEX(gva) ((gva) >> MMU_PAGE_BITS & (TLB_ENTRIES - 1))
/* The host address of an access that hits, else NULL. */
static inline void *tlb_hit(const TlbEntry *table, uint64_t key, uint64_t gva, unsigned size_bytes)
{
    const TlbEntry *e = &table[TLB_INDEX(gva)];
    uint64_t tag = ((gva + size_bytes - 1) & ~0xfffull) | key;
    if (__builtin_expect(e->tag != tag, 0)) {
        return NULL;
    }
    void *host = (void *)(uintptr_t)(gva + e->addend);
    if (!host) {
        __builtin_unreachable(); /* so that the caller's test for NULL is the one of the tag */
    }
    return host;
}

/* ---- devices and what is outside: what the dispatcher supplies ---- */
typedef enum { IO_DONE, IO_FAULT, IO_EXTERNAL } IoResult;
/* How a device is read without asking for it again: value of size_bytes at offset gpa - base. Not 0: a fault. */
typedef struct {
    int (*read)(void *ctx, unsigned who, uint64_t offset, unsigned size_bytes, uint64_t *value);
    void *ctx;
    unsigned who;
    uint64_t base;
} MmuWay;
typedef struct MmuHost {
    void *ctx; /* handed to each */
    /* An access to a device or a hole, or a store to a region without W, by an instruction that runs alone. EXTERNAL: nobody
     * here serves it. A piece of an access that crosses a page may have any size of 1 to 7. */
    IoResult (*io)(void *ctx, uint64_t gva, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value);
    /* The way to a device that io has just read at gpa, good until everything is flushed; false: there is none. NULL = never. */
    bool (*way)(void *ctx, uint64_t gpa, MmuWay *out);
    /* A store to a page with PAGE_CODE or PAGE_WATCH: before it (true: the instruction must run alone), and after it. */
    bool (*code_writing)(void *ctx, uint64_t gpa, unsigned size_bytes);
    void (*code_written)(void *ctx, uint64_t gpa, unsigned size_bytes);
    void (*mark_alone)(void *ctx); /* this instruction touched a device in mid-block: EVENT_ALONE follows */
    void (*watch)(void *ctx, uint64_t gva, unsigned size_bytes, bool is_write); /* a watched address was accessed */
} MmuHost;
typedef struct {
    uint64_t gva, len;
    uint32_t access; /* ACC_READ | ACC_WRITE */
} MmuWatch;
typedef struct Mmu Mmu;
/* Sets f->mmu, f->tlb_read and f->tlb_write, which begins where tlb_read ends: engines reach both from one register. guest is
 * borrowed, host copied. */
Mmu *mmu_new(Frame *f, Space *space, const MmuGuest *guest, const MmuHost *host);
void mmu_free(Mmu *m);
/* After a change of mode or address space: the contexts of data accesses (regime numbers as GuestIsa's) and of fetches. true: what
 * mmu_context_get has given for another address space is void. */
bool mmu_select(Mmu *m, uint64_t space_tag, unsigned data_regime, unsigned fetch_regime);
/* What mmu_select has chosen, to be chosen again: until a flush of more than a page, and as long as mmu_fetch_key has the same upper 20
 * bits, the epoch. */
typedef struct {
    uint64_t space_tag, data_key, fetch_key;
    unsigned data_regime, fetch_regime;
} MmuContext;
void mmu_context_get(const Mmu *m, MmuContext *out);
void mmu_context_set(Mmu *m, const MmuContext *c);
/* 32 bits that change with the context of fetches and with every flush of more than a page of it: the low half of what names a table
 * of jumps (Frame.jump). */
uint64_t mmu_fetch_key(const Mmu *m);
bool mmu_has_fetch_key(const Mmu *m, uint64_t fetch_key); /* may it come again? Not so once its context was flushed */
/* Flushes: gva and space_tag UINT64_MAX = all. A flush of one space_tag keeps global entries. true: no more than the page of gva was
 * known by it, and mmu_fetch_key is as it was: what the caller keeps of that page, in any context, is void. */
bool mmu_flush(Mmu *m, uint64_t gva, uint64_t space_tag);
void mmu_flush_writes(Mmu *m);                          /* entries for stores: some page became PAGE_CODE or clean */
void mmu_flush_writes_to(Mmu *m, const uint8_t *host);  /* those to the page of RAM that this byte is in */
void mmu_watch(Mmu *m, const MmuWatch *list, size_t n); /* replaces the set; borrowed */

/* ---- the slow path; engines call it when tlb_hit fails. Sets f->event and returns 0 when it cannot go on. ---- */
uint64_t mmu_load(Frame *f, uint64_t gva, uint32_t aux);
void mmu_store(Frame *f, uint64_t gva, uint64_t value, uint32_t aux);
uint64_t mmu_atomic(Frame *f, IrOpcode op, uint64_t gva, uint64_t b, uint64_t c, uint32_t aux); /* all of ATOMIC */

/* ---- windows ---- */
/* Window number `which` of Frame.window becomes the run of pages around gva, if there is one. */
void mmu_window_aim(Frame *f, uint64_t which, uint64_t gva);
void mmu_window_addend(Mmu *m, uint64_t addend); /* of the regime that is selected; not while code runs */

/* ---- for helpers, in the mode's own data regime. false: the event is set, and nothing is done ---- */
/* Compare and swap of 16 bytes, which must be aligned, indivisible; word 0 is the one at gva. old: what is expected, then what was
 * found. Only in a helper with EFF_ENDS: the sync after it lets it touch code (ir.h 5). */
bool mmu_cas16(Frame *f, uint64_t gva, uint64_t old[2], const uint64_t now[2]);
/* May the byte at gva be accessed? Translates as an access does, A and D included, and goes no further. A bus fault if nobody is there. */
bool mmu_probe(Frame *f, uint64_t gva, Access acc);

/* ---- for the dispatcher and debuggers ---- */
/* The page of code at gva: fills host (bytes from gva on), n (to the end of the page), gpa, and the page's flags. false:
 * *trap is the fetch's. A page that is not RAM is a bus fault. */
typedef struct {
    const uint8_t *host;
    uint32_t n;
    uint64_t gpa;
    _Atomic uint8_t *page; /* PAGE_x */
} Fetch;
bool mmu_fetch(Mmu *m, uint64_t gva, Fetch *out, Trap *trap);
/* Without side effects; false if it does not translate. acc with ACC_PROBE. */
bool mmu_translate(Mmu *m, uint64_t gva, Access acc, uint64_t *gpa);
typedef struct {
    uint64_t fills, walks, io;
} MmuStats;
void mmu_stats(const Mmu *m, MmuStats *out);
#endif
