/* SPDX-License-Identifier: Apache-2.0
 * mmu.c - the TLB's contexts and flushes, the slow path of loads and stores, fetches. atomic.c has the atomics. */
#include "sim/softmmu/mmu_int.h"

#include "sim/base/mem.h"

#include <string.h>

enum { KEY_MAX = 0xfff, EPOCH_MAX = 0xfffff, PAGE_MASK = SPACE_PAGE_BYTES - 1 };

/* ---- the flat range ---- */
static void flat_windows_end(Mmu *m)
{
    for (uint64_t left = m->flat_windows; left; left &= left - 1) {
        TlbWindow *w = &m->f->window[2 * WINDOWS + __builtin_ctzll(left)];
        w->end = w->end_span = 0;
    }
    m->flat_windows = 0;
}

static void flat_show(Mmu *m, bool is_on)
{
    flat_windows_end(m);
    m->f->flat_end = is_on ? m->flat_bytes - (8 - 1) : 0;
    m->f->flat_end_span = is_on ? m->flat_bytes - (FLAT_SPAN - 1) : 0;
}

static void flat_end(Mmu *m)
{
    m->flat_key = 0;
    flat_show(m, false);
}

/* The page of gva goes. */
static void flat_windows_lose(Mmu *m, uint64_t gva)
{
    for (uint64_t left = m->flat_windows; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        TlbWindow *w = &m->f->window[2 * WINDOWS + i];
        if (gva - w->first < w->end + (8 - 1)) {
            w->end = w->end_span = 0;
            m->flat_windows &= ~(1ull << i);
        }
    }
}

/* ---- windows ---- */
enum { WINDOW_WAIT = 64, WINDOW_WAIT_FILL = 8, WINDOW_WAIT_OTHER = 1024, FLAT_OTHERS = 64 };
#define WINDOWS_OF_STORES (~0ull << WINDOWS)
_Static_assert(2 * WINDOWS == 64, "Mmu.windows has a bit for each");

static void window_end(Mmu *m, unsigned which)
{
    m->f->window[which].end = m->f->window[which].end_span = 0;
    m->windows &= ~(1ull << which);
}

static void windows_end(Mmu *m, uint64_t which)
{
    for (uint64_t left = m->windows & which; left; left &= left - 1) {
        window_end(m, (unsigned)__builtin_ctzll(left));
    }
}

/* The entry for the page goes. */
static void windows_lose(Mmu *m, bool is_write, uint64_t page)
{
    for (uint64_t left = m->windows & (is_write ? WINDOWS_OF_STORES : ~WINDOWS_OF_STORES); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (page - m->f->window[i].first < m->f->window[i].end) {
            window_end(m, i);
        }
    }
}

static void windows_select(Mmu *m)
{
    windows_end(m, ~0ull);
    m->f->window_addend = m->window_addend[m->data_regime];
}

void mmu_window_addend(Mmu *m, uint64_t addend)
{
    m->window_addend[m->data_regime] = addend;
    windows_select(m);
}

static bool is_in_window(const Mmu *m, const TlbEntry *table, uint64_t page)
{
    const TlbEntry *e = &table[TLB_INDEX(page)];
    return e->tag == (page | m->data_key) && e->addend == m->f->window_addend;
}

static void window_aim(Mmu *m, unsigned which, uint64_t gva)
{
    const TlbEntry *table = which < WINDOWS ? m->reads : m->writes;
    TlbWindow *w = &m->f->window[which];
    uint64_t page = gva & ~(uint64_t)PAGE_MASK, first = page, end = page, n = 0;
    for (; is_in_window(m, table, end) && n < TLB_ENTRIES && end + SPACE_PAGE_BYTES; n++) {
        end += SPACE_PAGE_BYTES;
    }
    if (first == end) {
        window_end(m, which);
        w->wait = table[TLB_INDEX(page)].tag == (page | m->data_key) ? WINDOW_WAIT_OTHER : WINDOW_WAIT_FILL;
        return;
    }
    for (; first && n < TLB_ENTRIES && is_in_window(m, table, first - SPACE_PAGE_BYTES); n++) {
        first -= SPACE_PAGE_BYTES;
    }
    *w = (TlbWindow){.first = first,
                     .end = end - first - (8 - 1),
                     .end_span = end - first - (FLAT_SPAN - 1),
                     .wait = (int32_t)(WINDOW_WAIT + 2 * n)};
    m->windows |= 1ull << which;
}

/* ---- contexts ---- */
static void tables_clear(Mmu *m)
{
    flat_end(m);
    windows_end(m, ~0ull);
    os_pages_clear(m, sizeof m->reads + sizeof m->writes);
    memset(m->fetches, 0, sizeof m->fetches);
    memset(m->contexts, 0, sizeof m->contexts);
    m->ncontexts = 0;
    memset(m->shared, 0, sizeof m->shared);
    memset(m->ios, 0, sizeof m->ios);
    memset(m->global_key, 0, sizeof m->global_key);
    memset(m->globals, 0, sizeof m->globals);
    m->last_key = 0;
    m->has_huge = m->has_large = false;
    memset(m->large, 0, sizeof m->large);
}

static uint64_t key_new(Mmu *m)
{
    return ++m->last_key;
}

static uint64_t key_of(Mmu *m, uint64_t space_tag, unsigned regime)
{
    Context *c = &m->contexts[(space_tag * 16 + regime) % MMU_CONTEXTS];
    if (!c->key || c->space_tag != space_tag || c->regime != regime) {
        m->ncontexts += c->key ? 0 : 1;
        *c = (Context){.key = key_new(m), .space_tag = space_tag, .regime = regime};
    }
    return c->key;
}

static void entry_drop(TlbEntry *e, uint64_t tag)
{
    e->tag = e->tag == tag ? 0 : e->tag;
}

/* What its owner has in it alone goes. */
static void shared_leave(Mmu *m, Shared *s)
{
    if (s->is_over || s->has_code) {
        s->key = 0;
        s->strikes++;
    } else if (s->strikes) {
        s->strikes--;
    }
    if (s->key == m->flat_key && !m->is_flat_global) {
        flat_end(m);
    }
    for (unsigned i = 0; s->key && i < s->npages; i++) {
        uint64_t tag = m->shared_page[s - m->shared][i] | s->key;
        IoEntry *io = &m->ios[IO_INDEX(tag)];
        entry_drop(&m->reads[TLB_INDEX(tag)], tag);
        entry_drop(&m->writes[TLB_INDEX(tag)], tag);
        io->tag = io->tag == tag ? 0 : io->tag;
    }
    s->npages = 0;
    s->is_over = s->has_code = false;
}

/* A page that is not global comes in. */
static void shared_note(Mmu *m, unsigned regime, uint64_t key, uint64_t page, bool is_code)
{
    Shared *s = &m->shared[regime];
    uint64_t *pages = m->shared_page[regime];
    if (s->key != key) {
        return;
    }
    s->has_code = s->has_code || is_code;
    if (is_code || (s->npages && pages[s->npages - 1] == page)) {
        return;
    }
    if (s->npages == SHARED_PAGES) {
        s->is_over = true;
    } else {
        pages[s->npages++] = page;
    }
}

static uint64_t shared_key_of(Mmu *m, uint64_t space_tag, unsigned regime)
{
    Shared *s = &m->shared[regime];
    if (s->key && s->owner != space_tag) {
        shared_leave(m, s);
        m->has_passed = true;
    }
    if (s->strikes >= SHARED_STRIKES) {
        s->key = 0;
        return key_of(m, space_tag, regime);
    }
    s->key = s->key ? s->key : key_new(m);
    s->owner = space_tag;
    return s->key;
}

static uint64_t global_key_of(Mmu *m, unsigned regime)
{
    if (!m->global_key[regime]) {
        m->global_key[regime] = key_new(m);
    }
    return m->global_key[regime];
}

/* What is cached by virtual address outside this file (Frame.jump) goes by the number of its context. Numbers come again when they have
 * run out: the epoch is part of what names it. Of older tables none is left when epochs come again, as the dispatcher has few. */
static void epoch_next(Mmu *m)
{
    m->epoch = (m->epoch + 1) & EPOCH_MAX;
    if (!m->epoch && m->f->jump) {
        memset(m->f->jump, 0, sizeof(JumpEntry) << JUMP_BITS);
        jump_begin(m->f->jump);
    }
}

/* Numbers for the current contexts. They are taken here and nowhere else, a few at a time, so that tables_clear cannot
 * happen between two uses of a number. */
static void keys_take(Mmu *m)
{
    if (m->last_key > KEY_MAX - 4 * MMU_MAX_REGIMES) {
        tables_clear(m);
        epoch_next(m);
    }
    m->fetch_key = shared_key_of(m, m->space_tag, m->fetch_regime);
    m->data_key = shared_key_of(m, m->space_tag, m->data_regime);
    m->f->tlb_key = m->data_key;
    flat_show(m, m->flat_key == m->data_key);
    windows_select(m);
}

bool mmu_select(Mmu *m, uint64_t space_tag, unsigned data_regime, unsigned fetch_regime)
{
    if (m->space_tag == space_tag && m->data_regime == data_regime && m->fetch_regime == fetch_regime) {
        return false; /* a flush takes new numbers by itself */
    }
    m->space_tag = space_tag;
    m->data_regime = data_regime;
    m->fetch_regime = fetch_regime;
    m->has_passed = false;
    keys_take(m);
    return m->has_passed;
}

void mmu_context_get(const Mmu *m, MmuContext *out)
{
    *out = (MmuContext){.space_tag = m->space_tag,
                        .data_key = m->data_key,
                        .fetch_key = m->fetch_key,
                        .data_regime = m->data_regime,
                        .fetch_regime = m->fetch_regime};
}

void mmu_context_set(Mmu *m, const MmuContext *c)
{
    m->space_tag = c->space_tag;
    m->data_key = m->f->tlb_key = c->data_key;
    m->fetch_key = c->fetch_key;
    m->data_regime = c->data_regime;
    m->fetch_regime = c->fetch_regime;
    flat_show(m, m->flat_key == m->data_key);
    windows_select(m);
}

uint64_t mmu_fetch_key(const Mmu *m)
{
    return m->epoch << 12 | m->fetch_key;
}

bool mmu_has_fetch_key(const Mmu *m, uint64_t fetch_key)
{
    uint64_t key = fetch_key & KEY_MAX;
    bool is_any = false;
    for (size_t i = 0; m->ncontexts && i < MMU_CONTEXTS; i++) {
        is_any = is_any || m->contexts[i].key == key;
    }
    for (size_t i = 0; i < MMU_MAX_REGIMES; i++) {
        is_any = is_any || m->shared[i].key == key;
    }
    return is_any && fetch_key >> 12 == m->epoch;
}

/* ---- mappings of more than a page, whose pages are known one by one ---- */
enum { LARGE_WAYS = 2 };
static uint64_t *large_word(Mmu *m, unsigned set, unsigned way, uint64_t gva, uint64_t *bit)
{
    /* Not modulo: spaces and their halves begin at round addresses. */
    uint64_t n = (gva >> (LARGE_FIRST_BITS + LARGE_STEP_BITS * set)) * 0x9e3779b97f4a7c15ull;
    n = n >> (64 - LARGE_HASH_BITS * (way + 1)) & (LARGE_HASHES - 1);
    *bit = 1ull << n % 64;
    return &m->large[set][n / 64];
}

static void large_note(Mmu *m, uint64_t gva, unsigned page_bits)
{
    unsigned set = 0;
    uint64_t bit;
    if (page_bits <= MMU_PAGE_BITS) {
        return;
    }
    while (set < LARGE_SETS && page_bits > LARGE_FIRST_BITS + LARGE_STEP_BITS * set) {
        set++;
    }
    m->has_large = true;
    m->has_huge = m->has_huge || set == LARGE_SETS;
    for (unsigned way = 0; set < LARGE_SETS && way < LARGE_WAYS; way++) {
        *large_word(m, set, way, gva, &bit) |= bit;
    }
}

static bool is_in_large(Mmu *m, uint64_t gva)
{
    bool is_any = m->has_huge;
    for (unsigned set = 0; m->has_large && set < LARGE_SETS; set++) {
        unsigned ways = 0;
        for (unsigned way = 0; way < LARGE_WAYS; way++) {
            uint64_t bit;
            ways += *large_word(m, set, way, gva, &bit) & bit ? 1 : 0;
        }
        is_any = is_any || ways == LARGE_WAYS;
    }
    return is_any;
}

static void page_flush(Mmu *m, uint64_t gva)
{
    uint64_t page = gva & ~(uint64_t)PAGE_MASK;
    TlbEntry *entries[] = {&m->f->tlb_read[TLB_INDEX(gva)], &m->f->tlb_write[TLB_INDEX(gva)]};
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        if ((entries[i]->tag & ~(uint64_t)PAGE_MASK) == page) {
            entries[i]->tag = 0;
            windows_lose(m, i, page);
        }
    }
    m->fetches[FETCH_INDEX(gva)].tag = 0;
    m->globals[GLOBAL_INDEX(gva)].tag = 0;
    m->ios[IO_INDEX(gva)].tag = 0;
}

bool mmu_flush(Mmu *m, uint64_t gva, uint64_t space_tag)
{
    if (gva != UINT64_MAX && !is_in_large(m, gva)) {
        page_flush(m, gva);
        return true;
    }
    for (size_t i = 0; i < MMU_MAX_REGIMES; i++) {
        Shared *s = &m->shared[i];
        if (space_tag == UINT64_MAX) {
            s->key = 0;
            s->npages = 0;
            s->is_over = s->has_code = false;
        } else if (s->key && s->owner == space_tag) {
            shared_leave(m, s);
        }
    }
    flat_end(m);
    for (size_t i = 0; m->ncontexts && i < MMU_CONTEXTS; i++) {
        Context *c = &m->contexts[i];
        if (c->key && (space_tag == UINT64_MAX || c->space_tag == space_tag)) {
            c->key = 0;
            m->ncontexts--;
        }
    }
    if (space_tag == UINT64_MAX) {
        memset(m->global_key, 0, sizeof m->global_key);
    }
    keys_take(m);
    return false;
}

void mmu_flush_writes(Mmu *m)
{
    if (m->has_writes) {
        os_pages_clear(m->writes, sizeof m->writes);
        m->has_writes = false;
    }
    windows_end(m, WINDOWS_OF_STORES);
    flat_windows_end(m);
}

void mmu_flush_writes_to(Mmu *m, const uint8_t *host)
{
    uint64_t page = (uint64_t)(uintptr_t)host & ~(uint64_t)PAGE_MASK;
    TlbEntry *e = m->f->tlb_write;
    for (size_t i = 0; i < TLB_ENTRIES; i++) {
        e[i].tag = (e[i].tag & ~(uint64_t)PAGE_MASK) + e[i].addend == page ? 0 : e[i].tag;
    }
    windows_end(m, WINDOWS_OF_STORES);
    flat_windows_lose(m, page - m->f->flat_addend);
}

void mmu_watch(Mmu *m, const MmuWatch *list, size_t n)
{
    m->watch = list;
    m->nwatch = n;
    mmu_flush(m, UINT64_MAX, UINT64_MAX);
}

Mmu *mmu_new(Frame *f, Space *space, const MmuGuest *guest, const MmuHost *host)
{
    Mmu *m = os_pages_new(sizeof *m);
    m->f = f;
    m->space = space;
    m->guest = guest;
    m->host = *host;
    f->mmu = m;
    f->tlb_read = m->reads;
    f->tlb_write = m->writes;
    keys_take(m);
    return m;
}

void mmu_free(Mmu *m)
{
    if (m) {
        os_pages_free(m, sizeof *m);
    }
}

void mmu_stats(const Mmu *m, MmuStats *out)
{
    *out = m->stats;
}

/* ---- page tables in guest memory ---- */
static uint8_t *phys(Mmu *m, uint64_t gpa, unsigned size_bytes, bool is_write, SpaceHit *hit)
{
    bool ok = space_find(m->space, gpa, hit) && hit->host && gpa - hit->gpa + size_bytes <= hit->size_bytes &&
              !(gpa & (size_bytes - 1)) && (hit->flags & (is_write ? SPACE_W : SPACE_R));
    return ok ? hit->host + (gpa - hit->gpa) : NULL;
}

static uint64_t phys_read(void *ctx, uint64_t gpa, unsigned size_bytes, bool *ok)
{
    SpaceHit hit;
    uint8_t *p = phys(ctx, gpa, size_bytes, false, &hit);
    *ok = p != NULL;
    if (!p) {
        return 0;
    }
    return size_bytes == 8 ? __atomic_load_n((uint64_t *)(void *)p, __ATOMIC_ACQUIRE)
                           : __atomic_load_n((uint32_t *)(void *)p, __ATOMIC_ACQUIRE);
}

static bool phys_update(void *ctx, uint64_t gpa, unsigned size_bytes, uint64_t old, uint64_t now, bool *ok)
{
    Mmu *m = ctx;
    SpaceHit hit;
    uint8_t *p = phys(m, gpa, size_bytes, true, &hit);
    *ok = p != NULL;
    if (!p) {
        return false;
    }
    bool done;
    if (size_bytes == 8) {
        done = __atomic_compare_exchange_n((uint64_t *)(void *)p, &old, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint32_t o = (uint32_t)old;
        done = __atomic_compare_exchange_n((uint32_t *)(void *)p, &o, (uint32_t)now, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
    if (done) {
        mmu_ram_written(m, &hit, gpa, size_bytes);
    }
    return done;
}

/* ---- one page of one access ---- */
static bool has_watch(const Mmu *m, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < m->nwatch; i++) {
        if (m->watch[i].gva <= last && m->watch[i].gva + m->watch[i].len - 1 >= first) {
            return true;
        }
    }
    return false;
}

static bool is_watched(const Mmu *m, uint64_t gva, unsigned size_bytes, Access acc)
{
    for (size_t i = 0; i < m->nwatch; i++) {
        const MmuWatch *w = &m->watch[i];
        if (w->access & (uint32_t)acc && w->gva <= gva + size_bytes - 1 && w->gva + w->len - 1 >= gva) {
            return true;
        }
    }
    return false;
}

static void tlb_fill(Mmu *m, TlbEntry *table, uint64_t gva, uint64_t key, const uint8_t *host)
{
    uint64_t page = gva & ~(uint64_t)PAGE_MASK, addend = (uint64_t)(uintptr_t)host - (gva & PAGE_MASK) - page;
    TlbEntry *e = &table[TLB_INDEX(gva)];
    if (m->windows && (e->tag & KEY_MAX) == key && (e->tag != (page | key) || e->addend != addend)) {
        windows_lose(m, table == m->writes, e->tag & ~(uint64_t)PAGE_MASK);
    }
    *e = (TlbEntry){.tag = page | key, .addend = addend};
    m->f->tlb_same = m->f->tlb_addend == addend ? m->f->tlb_same + 1 : 0;
    m->f->tlb_addend = addend;
    m->stats.fills++;
}

static bool is_plain(const SpaceHit *hit, uint8_t page)
{
    return !(page & (PAGE_CODE | PAGE_WATCH)) && (!(hit->flags & SPACE_LOG_DIRTY) || page & PAGE_DIRTY);
}

/* May stores to it pass by its flags? Who sets one of them afterwards sees PAGE_STORED. */
static bool is_plain_store(const SpaceHit *hit, uint64_t gpa)
{
    _Atomic uint8_t *flags = &hit->pages[(gpa - hit->gpa) >> MMU_PAGE_BITS];
    uint8_t page = atomic_load_explicit(flags, memory_order_acquire);
    if (!(page & PAGE_STORED)) {
        page = atomic_fetch_or(flags, PAGE_STORED);
    }
    return is_plain(hit, page);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The range around gva that the walk and the region have in common becomes the flat one, or is it again. */
static void flat_begin(Mmu *m, const Walk *w, const SpaceHit *hit, uint64_t gva, uint64_t addend)
{
    const uint32_t both = ACC_READ | ACC_WRITE;
    if (!w->is_flat || (w->allow & both) != both || !(hit->flags & SPACE_R) || !(hit->flags & SPACE_W)) {
        return;
    }
    Frame *f = m->f;
    uint64_t before = w->gpa - hit->gpa, after = hit->size_bytes - 1 - before;
    uint64_t first = gva - least(before, gva - w->flat_first), last = gva + least(after, w->flat_last - gva);
    if (has_watch(m, first, last)) {
        return;
    }
    if (!m->flat_bytes) {
        m->flat_bytes = last - first + 1;
        f->flat_first = first;
        f->flat_addend = addend;
    } else if (first != f->flat_first || last - first + 1 != m->flat_bytes || addend != f->flat_addend) {
        return;
    }
    m->flat_gpa = w->gpa - (gva - first);
    m->flat_key = m->data_key;
    m->is_flat_global = w->is_global;
    flat_show(m, true);
}

/* The page comes to a window for stores. Those that were stored to before may be as many as there are; of others, *others more. */
static bool flat_joins(const SpaceHit *hit, uint64_t gpa, uint64_t *others)
{
    uint8_t page = atomic_load_explicit(&hit->pages[(gpa - hit->gpa) >> MMU_PAGE_BITS], memory_order_acquire);
    if (page & PAGE_STORED) {
        ++*others;
        return is_plain(hit, page);
    }
    return (*others)-- && is_plain_store(hit, gpa);
}

/* Of pages of the flat range, counted from flat_first. */
static void flat_aim(Mmu *m, TlbWindow *w, uint64_t bit, uint64_t page)
{
    uint64_t gpa = m->flat_gpa, n = m->flat_bytes >> MMU_PAGE_BITS, first = page, end = page;
    SpaceHit hit;
    w->end = w->end_span = 0;
    m->flat_windows &= ~bit;
    w->wait = WINDOW_WAIT_OTHER;
    if (!m->f->flat_end || page >= n || !space_find(m->space, gpa, &hit) || !hit.host || !(hit.flags & SPACE_W) ||
        hit.size_bytes - (gpa - hit.gpa) <
            m->flat_bytes) { /* the map may have changed since, which nobody has looked at yet */
        return;
    }
    for (uint64_t others = FLAT_OTHERS; end < n && flat_joins(&hit, gpa + (end << MMU_PAGE_BITS), &others);) {
        end++;
    }
    for (uint64_t others = FLAT_OTHERS;
         end > page && first && flat_joins(&hit, gpa + ((first - 1) << MMU_PAGE_BITS), &others);) {
        first--;
    }
    if (first < end) {
        *w = (TlbWindow){.first = m->f->flat_first + (first << MMU_PAGE_BITS),
                         .end = ((end - first) << MMU_PAGE_BITS) - (8 - 1),
                         .end_span = ((end - first) << MMU_PAGE_BITS) - (FLAT_SPAN - 1),
                         .wait = (int32_t)(WINDOW_WAIT + least(end - first, INT32_MAX / 2))};
        m->flat_windows |= bit;
    }
}

void mmu_window_aim(Frame *f, uint64_t which, uint64_t gva)
{
    if (which < 2 * WINDOWS) {
        window_aim(f->mmu, (unsigned)which, gva);
    } else {
        flat_aim(f->mmu, &f->window[which], 1ull << (which - 2 * WINDOWS), (gva - f->flat_first) >> MMU_PAGE_BITS);
    }
}

/* May the page be cached for this kind of access, and for the other kind as well: a load that is followed by a store to
 * the same page is common, so a walk that allows both fills both. */
static void entries_fill(Mmu *m, const Walk *w, const SpaceHit *hit, uint64_t gva, uint64_t key, const uint8_t *host)
{
    if (m->nwatch && has_watch(m, gva & ~(uint64_t)PAGE_MASK, gva | PAGE_MASK)) {
        return;
    }
    uint64_t page = gva & ~(uint64_t)PAGE_MASK;
    if (!w->is_global) {
        shared_note(m, m->data_regime, key, page, false);
    }
    if (!m->f->flat_end) {
        flat_begin(m, w, hit, gva, (uint64_t)(uintptr_t)host - gva);
    }
    if (w->allow & ACC_READ && hit->flags & SPACE_R) {
        tlb_fill(m, m->f->tlb_read, gva, key, host);
    }
    if (w->allow & ACC_WRITE && hit->flags & SPACE_W && is_plain_store(hit, w->gpa)) {
        tlb_fill(m, m->f->tlb_write, gva, key, host);
        m->has_writes = true;
    }
}

static unsigned regime_of(const Mmu *m, uint32_t aux)
{
    return MEM_REGIME_OF(aux) ? MEM_REGIME_OF(aux) : m->data_regime;
}

/* Walks of global mappings are kept beside the TLB, under a number that no switch of address space changes: what a kernel
 * maps for itself in all of them is walked once. */
static bool global_find(Mmu *m, uint64_t gva, Access acc, unsigned regime, Walk *w)
{
    const GlobalEntry *g = &m->globals[GLOBAL_INDEX(gva)];
    if (!m->global_key[regime] || g->tag != ((gva & ~(uint64_t)PAGE_MASK) | m->global_key[regime]) ||
        !(g->walk.allow & (uint32_t)acc)) {
        return false;
    }
    *w = g->walk;
    w->gpa |= gva & PAGE_MASK;
    return true;
}

static void global_keep(Mmu *m, uint64_t gva, unsigned regime, const Walk *w)
{
    GlobalEntry *g = &m->globals[GLOBAL_INDEX(gva)];
    *g = (GlobalEntry){.tag = (gva & ~(uint64_t)PAGE_MASK) | global_key_of(m, regime), .walk = *w};
    g->walk.gpa &= ~(uint64_t)PAGE_MASK;
}

static bool walk(Mmu *m, uint64_t gva, Access acc, unsigned regime, Walk *w, Trap *trap)
{
    if (global_find(m, gva, acc, regime, w)) {
        return true;
    }
    m->stats.walks++;
    *trap = (Trap){0};
    *w = (Walk){0};
    if (!m->guest->walk(m->f, gva, acc, regime, &(PhysIo){.ctx = m, .read = phys_read, .update = phys_update}, w,
                        trap)) {
        return false;
    }
    large_note(m, gva, w->page_bits);
    if (w->is_global) {
        global_keep(m, gva, regime, w);
    }
    return true;
}

bool mmu_resolve(Mmu *m, uint64_t gva, Access acc, uint32_t aux, Resolved *out)
{
    unsigned regime = regime_of(m, aux);
    Frame *f = m->f;
    Walk w;
    if (!walk(m, gva, aux & MEM_FETCHLIKE ? ACC_EXEC : acc, regime, &w, &f->trap)) {
        f->event = EVENT_TRAP;
        return false;
    }
    *out = (Resolved){.gpa = w.gpa};
    out->is_ram = space_find(m->space, w.gpa, &out->hit) && out->hit.host &&
                  out->hit.flags & (uint32_t)(acc & ACC_WRITE ? SPACE_W : SPACE_R);
    if (!out->is_ram) {
        return true;
    }
    out->host = out->hit.host + (w.gpa - out->hit.gpa);
    if (regime == m->data_regime && !(aux & MEM_FETCHLIKE)) {
        entries_fill(m, &w, &out->hit, gva, m->data_key, out->host);
    }
    return true;
}

/* ---- the slow path ---- */
static GUEST_ACCESS uint64_t ram_get(const uint8_t *p, unsigned size_bytes)
{
    uint64_t v = 0;
    switch (size_bytes) {
    case 2:
        return *(const GuestU16 *)p;
    case 4:
        return *(const GuestU32 *)p;
    case 8:
        return *(const GuestU64 *)p;
    default: /* a byte, or a piece of an access that crosses a page */
        for (unsigned i = size_bytes; i--;) {
            v = v << 8 | p[i];
        }
        return v;
    }
}

static GUEST_ACCESS void ram_put(uint8_t *p, unsigned size_bytes, uint64_t value)
{
    switch (size_bytes) {
    case 2:
        *(GuestU16 *)p = (uint16_t)value;
        break;
    case 4:
        *(GuestU32 *)p = (uint32_t)value;
        break;
    case 8:
        *(GuestU64 *)p = value;
        break;
    default:
        for (unsigned i = 0; i < size_bytes; i++, value >>= 8) {
            p[i] = (uint8_t)value;
        }
        break;
    }
}

bool mmu_must_be_alone(Mmu *m, uint32_t aux)
{
    if (aux & MEM_ALONE) {
        return false;
    }
    m->host.mark_alone(m->host.ctx);
    m->f->event = EVENT_ALONE;
    return true;
}

void mmu_bus_fault(Mmu *m, uint64_t gva, uint64_t gpa, Access acc, uint32_t aux)
{
    m->f->trap = (Trap){0};
    m->guest->bus_fault(m->f, gva, gpa, acc, regime_of(m, aux), &m->f->trap);
    m->f->event = EVENT_TRAP;
}

void mmu_align_fault(Mmu *m, uint64_t gva, Access acc, uint32_t aux)
{
    m->f->trap = (Trap){0};
    m->guest->align_fault(m->f, gva, acc, regime_of(m, aux), &m->f->trap);
    m->f->event = EVENT_TRAP;
}

void mmu_ram_written(Mmu *m, const SpaceHit *hit, uint64_t gpa, unsigned size_bytes)
{
    _Atomic uint8_t *page = &hit->pages[(gpa - hit->gpa) >> MMU_PAGE_BITS];
    if (hit->flags & SPACE_LOG_DIRTY) {
        atomic_fetch_or_explicit(page, PAGE_DIRTY, memory_order_release);
    }
    if (atomic_load_explicit(page, memory_order_acquire) & (PAGE_CODE | PAGE_WATCH)) {
        m->host.code_written(m->host.ctx, gpa, size_bytes);
    }
}

bool mmu_store_needs_alone(Mmu *m, const Resolved *r, unsigned size_bytes, uint32_t aux)
{
    if (!(atomic_load_explicit(&r->hit.pages[(r->gpa - r->hit.gpa) >> MMU_PAGE_BITS], memory_order_acquire) &
          (PAGE_CODE | PAGE_WATCH))) {
        return false;
    }
    if (!m->host.code_writing(m->host.ctx, r->gpa, size_bytes) || aux & MEM_ALONE) {
        return false;
    }
    m->f->event = EVENT_ALONE;
    return true;
}

bool mmu_watch_stops(Mmu *m, uint64_t gva, unsigned size_bytes, Access acc, uint32_t aux)
{
    return m->nwatch && is_watched(m, gva, size_bytes, acc) && mmu_must_be_alone(m, aux);
}

void mmu_watch_report(Mmu *m, uint64_t gva, unsigned size_bytes, Access acc)
{
    if (m->nwatch && is_watched(m, gva, size_bytes, acc)) {
        m->host.watch(m->host.ctx, gva, size_bytes, acc & ACC_WRITE);
    }
}

/* Is it as accesses of the mode itself are, alone in its block, and within a page? */
static bool is_io_plain(uint64_t gva, uint32_t aux)
{
    return (aux & (MEM_ALONE | MEM_FETCHLIKE | MEM_REGIME(15))) == MEM_ALONE && !(gva & (MEM_SIZE(aux) - 1));
}

static void io_keep(Mmu *m, uint64_t gva, uint64_t gpa, Access acc, uint32_t aux)
{
    if (!m->nwatch && is_io_plain(gva, aux)) {
        IoEntry *e = &m->ios[IO_INDEX(gva)];
        shared_note(m, m->data_regime, m->data_key, gva & ~(uint64_t)PAGE_MASK, false); /* if it is global, no harm */
        *e =
            (IoEntry){.tag = (gva & ~(uint64_t)PAGE_MASK) | m->data_key, .gpa = gpa & ~(uint64_t)PAGE_MASK, .acc = acc};
        if (acc != ACC_READ || !m->host.way || !m->host.way(m->host.ctx, gpa, &e->way)) {
            e->way.read = NULL;
        }
    }
}

static inline bool is_io_of(const Mmu *m, const IoEntry *e, uint64_t gva, uint32_t aux)
{
    return is_io_plain(gva, aux) && e->tag == ((gva & ~(uint64_t)PAGE_MASK) | m->data_key);
}

/* The page of a device that was accessed before; NULL: not known. */
static inline const IoEntry *io_find(const Mmu *m, uint64_t gva, Access acc, uint32_t aux)
{
    const IoEntry *e = &m->ios[IO_INDEX(gva)];
    return is_io_of(m, e, gva, aux) && e->acc == acc ? e : NULL;
}

static inline uint64_t io_gpa(const IoEntry *e, uint64_t gva)
{
    return e->gpa | (gva & PAGE_MASK);
}

/* An access to what is not RAM: true when it is done. */
static bool io(Mmu *m, uint64_t gva, uint64_t gpa, unsigned size_bytes, Access acc, uint32_t aux, uint64_t *value)
{
    if (mmu_must_be_alone(m, aux)) {
        return false;
    }
    m->stats.io++;
    switch (m->host.io(m->host.ctx, gva, gpa, size_bytes, acc & ACC_WRITE, value)) {
    case IO_DONE:
        io_keep(m, gva, gpa, acc, aux);
        return true;
    case IO_FAULT:
        mmu_bus_fault(m, gva, gpa, acc, aux);
        return false;
    case IO_EXTERNAL:
        m->f->event = EVENT_EXTERNAL;
        return false;
    }
    return false;
}

/* The map may have changed while the reply was due: the access was made all the same, and only once. */
static bool is_replied(const Frame *f, uint64_t gpa)
{
    return f->reply_next < f->nreplies && f->reply_gpa[f->reply_next] == gpa;
}

/* The pieces of an access: one, or two when it crosses a page. */
typedef struct {
    unsigned n, size[2];
    uint64_t gva[2];
    Resolved at[2];
} Pieces;

/* All pieces are translated before any is accessed, so that a fault leaves nothing half-done. */
static bool pieces_resolve(Mmu *m, uint64_t gva, unsigned size_bytes, Access acc, uint32_t aux, Pieces *p)
{
    unsigned first = SPACE_PAGE_BYTES - (unsigned)(gva & PAGE_MASK);
    p->n = first < size_bytes ? 2 : 1;
    p->size[0] = p->n == 2 ? first : size_bytes;
    p->size[1] = size_bytes - p->size[0];
    p->gva[0] = gva;
    p->gva[1] = gva + first;
    for (unsigned i = 0; i < p->n; i++) {
        if (!mmu_resolve(m, p->gva[i], acc, aux, &p->at[i])) {
            return false;
        }
    }
    return !mmu_watch_stops(m, gva, size_bytes, acc, aux);
}

static uint64_t extend(uint64_t value, uint32_t aux)
{
    unsigned unused = 64 - 8 * MEM_SIZE(aux);
    return aux & MEM_SIGNED ? (uint64_t)((int64_t)(value << unused) >> unused) : value;
}

static __attribute__((noinline)) uint64_t load_any(Frame *f, uint64_t gva, uint32_t aux)
{
    Mmu *m = f->mmu;
    unsigned size = MEM_SIZE(aux);
    if (aux & MEM_ALIGNED && gva & (size - 1)) {
        mmu_align_fault(m, gva, ACC_READ, aux);
        return 0;
    }
    Pieces p;
    uint64_t value = 0;
    const IoEntry *e = io_find(m, gva, ACC_READ, aux);
    if (e) {
        return io(m, gva, io_gpa(e, gva), size, ACC_READ, aux, &value) ? extend(value, aux) : 0;
    }
    if (!pieces_resolve(m, gva, size, ACC_READ, aux, &p)) {
        return 0;
    }
    for (unsigned i = 0, shift = 0; i < p.n; shift += 8 * p.size[i], i++) {
        uint64_t part = 0;
        if (p.at[i].is_ram && !is_replied(f, p.at[i].gpa)) {
            part = ram_get(p.at[i].host, p.size[i]);
        } else if (!io(m, p.gva[i], p.at[i].gpa, p.size[i], ACC_READ, aux, &part)) {
            return 0;
        }
        value |= part << shift;
    }
    mmu_watch_report(m, gva, size, ACC_READ);
    return extend(value, aux);
}

/* By the way of a device that is known: what the dispatcher would do in io, for an instruction that has met nothing yet. */
LINE_ALIGNED uint64_t mmu_load(Frame *f, uint64_t gva, uint32_t aux)
{
    Mmu *m = f->mmu;
    const IoEntry *e = &m->ios[IO_INDEX(gva)];
    if (!is_io_of(m, e, gva, aux) || !e->way.read || f->nreplies) { /* ways are of reads */
        return load_any(f, gva, aux);
    }
    uint64_t gpa = f->reply_gpa[0] = io_gpa(e, gva); /* a reply only if there is a value */
    m->stats.io++;
    if (e->way.read(e->way.ctx, e->way.who, gpa - e->way.base, MEM_SIZE(aux), &f->reply[0])) {
        mmu_bus_fault(f->mmu, gva, f->reply_gpa[0], ACC_READ, aux);
        return 0;
    }
    f->nreplies = f->reply_next = 1;
    return extend(f->reply[0], aux);
}

void mmu_store(Frame *f, uint64_t gva, uint64_t value, uint32_t aux)
{
    Mmu *m = f->mmu;
    unsigned size = MEM_SIZE(aux);
    if (aux & MEM_ALIGNED && gva & (size - 1)) {
        mmu_align_fault(m, gva, ACC_WRITE, aux);
        return;
    }
    Pieces p;
    const IoEntry *e = io_find(m, gva, ACC_WRITE, aux);
    if (e) {
        value &= size < 8 ? (1ull << (8 * size)) - 1 : ~0ull;
        (void)io(m, gva, io_gpa(e, gva), size, ACC_WRITE, aux, &value);
        return;
    }
    if (!pieces_resolve(m, gva, size, ACC_WRITE, aux, &p)) {
        return;
    }
    for (unsigned i = 0; i < p.n; i++) {
        if (p.at[i].is_ram && mmu_store_needs_alone(m, &p.at[i], p.size[i], aux)) {
            return;
        }
    }
    for (unsigned i = 0, shift = 0; i < p.n; shift += 8 * p.size[i], i++) {
        uint64_t part = value >> shift;
        part &= p.size[i] < 8 ? (1ull << (8 * p.size[i])) - 1 : ~0ull;
        if (p.at[i].is_ram && !is_replied(f, p.at[i].gpa)) {
            ram_put(p.at[i].host, p.size[i], part);
            mmu_ram_written(m, &p.at[i].hit, p.at[i].gpa, p.size[i]);
        } else if (!io(m, p.gva[i], p.at[i].gpa, p.size[i], ACC_WRITE, aux, &part)) {
            return;
        }
    }
    mmu_watch_report(m, gva, size, ACC_WRITE);
}

bool mmu_probe(Frame *f, uint64_t gva, Access acc)
{
    Mmu *m = f->mmu;
    Resolved r;
    const TlbEntry *table = acc == ACC_WRITE ? f->tlb_write : f->tlb_read;
    if (tlb_hit(table, f->tlb_key, gva, 1)) { /* a kernel that zeroes a page asks 64 times */
        return true;
    }
    if (!mmu_resolve(m, gva, acc, 0, &r)) {
        return false;
    }
    if (!r.is_ram && !space_find(m->space, r.gpa, &r.hit)) {
        mmu_bus_fault(m, gva, r.gpa, acc, 0);
        return false;
    }
    return true;
}

/* ---- fetches and looks ---- */
bool mmu_fetch(Mmu *m, uint64_t gva, Fetch *out, Trap *trap)
{
    FetchEntry *e = &m->fetches[FETCH_INDEX(gva)];
    uint64_t page = gva & ~(uint64_t)PAGE_MASK, offset = gva & PAGE_MASK;
    if (e->tag != (page | m->fetch_key)) {
        Walk w;
        SpaceHit hit;
        if (!walk(m, gva, ACC_EXEC, m->fetch_regime, &w, trap)) {
            return false;
        }
        if (!space_find(m->space, w.gpa, &hit) || !hit.host || !(hit.flags & SPACE_X)) {
            m->guest->bus_fault(m->f, gva, w.gpa, ACC_EXEC, m->fetch_regime, trap);
            return false;
        }
        uint64_t gpa = w.gpa & ~(uint64_t)PAGE_MASK;
        if (!w.is_global) {
            shared_note(m, m->fetch_regime, m->fetch_key, page, true);
        }
        *e = (FetchEntry){.tag = page | m->fetch_key,
                          .gpa = gpa,
                          .host = hit.host + (gpa - hit.gpa),
                          .page = &hit.pages[(gpa - hit.gpa) >> MMU_PAGE_BITS]};
    }
    *out = (Fetch){
        .host = e->host + offset, .n = (uint32_t)(SPACE_PAGE_BYTES - offset), .gpa = e->gpa + offset, .page = e->page};
    return true;
}

bool mmu_translate(Mmu *m, uint64_t gva, Access acc, uint64_t *gpa)
{
    Walk w;
    Trap trap;
    unsigned regime = acc & ACC_EXEC ? m->fetch_regime : m->data_regime;
    if (!m->guest->walk(m->f, gva, acc | ACC_PROBE, regime,
                        &(PhysIo){.ctx = m, .read = phys_read, .update = phys_update}, &w, &trap)) {
        return false;
    }
    *gpa = w.gpa;
    return true;
}
