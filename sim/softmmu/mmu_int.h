/* SPDX-License-Identifier: Apache-2.0
 * mmu_int.h - what mmu.c and atomic.c share. Not for others. */
#ifndef SIM_SOFTMMU_MMU_INT_H
#define SIM_SOFTMMU_MMU_INT_H

#include "sim/base/os.h"
#include "sim/softmmu/softmmu.h"

enum { MMU_CONTEXTS = 256, MMU_MAX_REGIMES = 16, MMU_FETCHES = 256, MMU_GLOBALS = 512 };
enum {
    LARGE_SETS = 3,
    LARGE_FIRST_BITS = 21,
    LARGE_STEP_BITS = 9,
    LARGE_HASH_BITS = 16,
    LARGE_HASHES = 1 << LARGE_HASH_BITS
}; /* 2 MiB, 1 GiB, 512 GiB */
enum { MMU_IOS = 16 };
#define IO_INDEX(gva)     ((gva) >> MMU_PAGE_BITS & (MMU_IOS - 1))
#define FETCH_INDEX(gva)  ((gva) >> MMU_PAGE_BITS & (MMU_FETCHES - 1))
#define GLOBAL_INDEX(gva) ((gva) >> MMU_PAGE_BITS & (MMU_GLOBALS - 1))

typedef struct {
    uint64_t key, space_tag; /* key 0: free */
    unsigned regime;
} Context;
typedef struct {
    uint64_t tag, gpa;
    uint8_t *host;
    _Atomic uint8_t *page;
} FetchEntry;

typedef struct {
    uint64_t tag; /* page | global key of the regime; 0: free */
    Walk walk;
} GlobalEntry;

/* A regime whose pages are mostly global has one number for all address spaces, as long as that pays: what is of one space alone goes,
 * page by page, when another comes. Else each space has its own number. */
enum { SHARED_PAGES = 64, SHARED_STRIKES = 32 };
typedef struct {
    uint64_t key, owner; /* 0: none yet; the space whose own pages may be there */
    unsigned npages;
    bool is_over, has_code; /* there are more of them than page[] holds; some have been fetched from */
    unsigned strikes;       /* how often more than not all had to go; at SHARED_STRIKES it does not pay */
} Shared;

/* A page that is a device, for one kind of access. None is kept while anything is watched. */
typedef struct {
    uint64_t tag, gpa; /* page | context; of the page */
    Access acc;
    MmuWay way; /* of loads; read NULL: none */
} IoEntry;

struct Mmu { /* in os_pages: most of it is never touched */
    TlbEntry reads[TLB_ENTRIES], writes[TLB_ENTRIES];
    Frame *f;
    Space *space;
    const MmuGuest *guest;
    MmuHost host;
    uint64_t last_key, data_key, fetch_key, space_tag, epoch;
    unsigned data_regime, fetch_regime;
    uint64_t windows,
        flat_windows; /* those that are not empty, by number, and of the flat range, from 2 * WINDOWS on */
    uint64_t window_addend[MMU_MAX_REGIMES];
    bool has_writes;     /* something may be in `writes`: else it is not even looked at */
    bool has_passed;     /* a Shared has another owner, since mmu_select */
    bool has_huge;       /* since the tables were cleared some mapping was larger than the largest of `large` */
    bool has_large;      /* some bit is set there */
    bool is_flat_global; /* the flat range is that of every address space */
    uint64_t global_key[MMU_MAX_REGIMES];
    /* Of the range that is flat: 0, none was met yet; the context in which it is, or 0; machine address of flat_first. */
    uint64_t flat_bytes, flat_key, flat_gpa;
    const MmuWatch *watch;
    size_t nwatch;
    MmuStats stats;
    Shared shared[MMU_MAX_REGIMES];
    IoEntry ios[MMU_IOS];
    unsigned ncontexts; /* that are not free */
    /* what a small program has no use for is not even read */
    FetchEntry fetches[MMU_FETCHES];
    GlobalEntry globals[MMU_GLOBALS];
    Context contexts[MMU_CONTEXTS];
    uint64_t shared_page[MMU_MAX_REGIMES][SHARED_PAGES];
    uint64_t large[LARGE_SETS][LARGE_HASHES / 64]; /* by size and two hashes of the address: there was such a mapping */
};

/* Where one page of an access goes. */
typedef struct {
    uint64_t gpa;
    bool is_ram; /* RAM with the right for this kind of access */
    uint8_t *host;
    SpaceHit hit;
} Resolved;
bool mmu_resolve(Mmu *m, uint64_t gva, Access acc, uint32_t aux, Resolved *out); /* false: the event is set */
bool mmu_must_be_alone(Mmu *m, uint32_t aux);                                    /* true: the event is set */
bool mmu_store_needs_alone(Mmu *m, const Resolved *r, unsigned size_bytes, uint32_t aux);
bool mmu_watch_stops(Mmu *m, uint64_t gva, unsigned size_bytes, Access acc, uint32_t aux);
void mmu_watch_report(Mmu *m, uint64_t gva, unsigned size_bytes, Access acc);
void mmu_bus_fault(Mmu *m, uint64_t gva, uint64_t gpa, Access acc, uint32_t aux);
void mmu_align_fault(Mmu *m, uint64_t gva, Access acc, uint32_t aux);
void mmu_ram_written(Mmu *m, const SpaceHit *hit, uint64_t gpa, unsigned size_bytes); /* dirty log, code */
#endif
