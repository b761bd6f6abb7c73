/* SPDX-License-Identifier: Apache-2.0
 * mmu_int.h - what mmu.c and atomic.c share. Not for others. */
#ifndef SIM_SOFTMMU_MMU_INT_H
#define SIM_SOFTMMU_MMU_INT_H

#include "sim/base/os.h"
#include "sim/softmmu/softmmu.h"

enum { MMU_CONTEXTS = 256, MMU_MAX_REGIMES = 16, MMU_FETCHES = 256, MMU_GLOBALS = 512 };
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

struct Mmu { /* in os_pages: most of it is never touched */
    TlbEntry reads[TLB_ENTRIES], writes[TLB_ENTRIES];
    Frame *f;
    Space *space;
    const MmuGuest *guest;
    MmuHost host;
    uint64_t last_key, data_key, fetch_key, space_tag, epoch;
    unsigned data_regime, fetch_regime;
    bool has_large; /* since the tables were cleared some mapping was larger than a page */
    uint64_t global_key[MMU_MAX_REGIMES];
    const MmuWatch *watch;
    size_t nwatch;
    Context contexts[MMU_CONTEXTS];
    FetchEntry fetches[MMU_FETCHES];
    GlobalEntry globals[MMU_GLOBALS];
    MmuStats stats;
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
