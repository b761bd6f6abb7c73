/* SPDX-License-Identifier: Apache-2.0
 * What the TLB knows after switches of address space and after flushes. Pages of RAM hold their own number; a table of the test's says
 * what is mapped where, and the number that a load brings says by what the TLB has translated. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/softmmu/softmmu.h"

enum { PAGE = SPACE_PAGE_BYTES, NPAGES = 1024, SPACE_A = 1, SPACE_B = 2, REGIME = 3, MAPS = 8, LARGE_BITS = 21 };
typedef struct {
    uint64_t gva, bytes, to; /* to: number of the page of RAM */
    uint64_t space;          /* 0: of all, a global one */
} Map;
typedef struct {
    Frame f;
    Space *space;
    Mmu *mmu;
    Map map[MAPS];
    uint64_t now; /* space */
    size_t nflat; /* as many of the maps are flat ranges */
    unsigned walks;
    bool is_page; /* of the last flush */
} Rig;

static bool walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    Rig *g = (Rig *)(void *)f;
    (void)acc, (void)regime, (void)io;
    g->walks++;
    for (size_t i = 0; i < MAPS; i++) {
        const Map *m = &g->map[i];
        if (m->bytes && gva - m->gva < m->bytes && (!m->space || m->space == g->now)) {
            *out = (Walk){.gpa = m->to * PAGE + (gva - m->gva),
                          .allow = ACC_READ | ACC_WRITE | ACC_EXEC,
                          .page_bits = (uint8_t)__builtin_ctzll(m->bytes),
                          .is_global = !m->space,
                          .is_flat = i < g->nflat,
                          .flat_first = m->gva,
                          .flat_last = m->gva + m->bytes - 1};
            return true;
        }
    }
    *trap = (Trap){.cause = 1, .value = gva};
    return false;
}

static void select_space(Rig *g, uint64_t space)
{
    g->now = space;
    mmu_select(g->mmu, space, REGIME, REGIME);
}

static void rig_open(Rig *g)
{
    static const MmuGuest guest = {.nregimes = REGIME + 1, .walk = walk};
    uint32_t ram;
    *g = (Rig){.space = space_new()};
    g->mmu = mmu_new(&g->f, g->space, &guest, &(MmuHost){.ctx = g});
    CHECK(!space_ram_new(g->space, NPAGES * PAGE, &ram, NULL));
    CHECK(!space_map(g->space, 0, NPAGES * PAGE, ram, 0, SPACE_R | SPACE_W | SPACE_X, NULL));
    for (uint64_t i = 0; i < NPAGES; i++) {
        CHECK(!space_write(g->space, i * PAGE, &i, sizeof i, NULL));
    }
    select_space(g, SPACE_A);
}

static void rig_close(Rig *g)
{
    mmu_free(g->mmu);
    space_free(g->space);
}

enum { ABSENT = 0xffff };
static uint64_t load(Rig *g, uint64_t gva)
{
    const uint64_t *hit = tlb_hit(g->f.tlb_read, g->f.tlb_key, gva, 8);
    uint64_t value = hit ? *hit : mmu_load(&g->f, gva, 3);
    bool is_absent = g->f.event;
    g->f.event = 0;
    return is_absent ? ABSENT : value;
}

static bool is_known(Rig *g, uint64_t gva)
{
    return tlb_hit(g->f.tlb_read, g->f.tlb_key, gva, 8) != NULL;
}

static uint64_t fetched(Rig *g, uint64_t gva)
{
    Fetch at;
    Trap trap;
    return mmu_fetch(g->mmu, gva, &at, &trap) ? at.gpa / PAGE : ABSENT;
}

TEST(softmmu, a_global_page_outlives_a_switch_of_space_and_others_do_not)
{
    static Rig g;
    rig_open(&g);
    g.map[0] = (Map){0x80000000, PAGE, 5, 0};
    g.map[1] = (Map){0x10000, PAGE, 6, SPACE_A};
    g.map[2] = (Map){0x10000, PAGE, 7, SPACE_B};
    for (unsigned round = 0; round < 3 * 64; round++) { /* beyond the point where it might be found not to pay */
        select_space(&g, round % 2 ? SPACE_B : SPACE_A);
        CHECK_INT(is_known(&g, 0x80000000), round > 0);
        CHECK(!is_known(&g, 0x10000));
        CHECK_INT(load(&g, 0x80000000), 5);
        CHECK_INT(load(&g, 0x10000), round % 2 ? 7 : 6);
        CHECK_INT(fetched(&g, 0x80000000), 5);
    }
    rig_close(&g);
}

TEST(softmmu, spaces_with_many_pages_of_their_own_never_see_each_other)
{
    enum { MANY = 100 };
    static Rig g;
    rig_open(&g);
    g.map[0] = (Map){0x100000, MANY * PAGE, 10, SPACE_A};
    g.map[1] = (Map){0x100000, MANY * PAGE, 500, SPACE_B};
    g.map[2] = (Map){0x80000000, PAGE, 5, 0};
    for (unsigned round = 0; round < 3 * 64; round++) {
        bool is_b = round % 2;
        select_space(&g, is_b ? SPACE_B : SPACE_A);
        uint64_t n = round % 3 ? MANY : 40; /* more than are noted one by one, and fewer */
        for (uint64_t i = 0; i < n; i++) {
            if (!CHECK_INT(load(&g, 0x100000 + i * PAGE), (is_b ? 500 : 10) + i)) {
                CHECK_INT(round, 0);
            }
        }
        CHECK_INT(load(&g, 0x80000000), 5);
        if (round % 5 == 0) {
            CHECK_INT(fetched(&g, 0x100000), is_b ? 500 : 10);
        }
    }
    rig_close(&g);
}

TEST(softmmu, code_of_one_space_is_not_fetched_in_another)
{
    static Rig g;
    rig_open(&g);
    g.map[0] = (Map){0x10000, PAGE, 6, SPACE_A};
    g.map[1] = (Map){0x10000, PAGE, 7, SPACE_B};
    for (unsigned round = 0; round < 3 * 64; round++) {
        select_space(&g, round % 2 ? SPACE_B : SPACE_A);
        CHECK_INT(fetched(&g, 0x10000), round % 2 ? 7 : 6);
    }
    rig_close(&g);
}

TEST(softmmu, a_flush_of_one_address_is_for_its_mapping_and_no_more)
{
    static Rig g;
    const uint64_t large = 0xffffffff80000000ull, lone = 0x12345000;
    rig_open(&g);
    g.map[0] = (Map){large, 1 << LARGE_BITS, 512, 0};
    g.map[1] = (Map){lone, PAGE, 9, SPACE_A};
    g.map[2] = (Map){0x20000, PAGE, 11, SPACE_A};
    CHECK_INT(load(&g, large), 512);
    CHECK_INT(load(&g, large + 100 * PAGE), 612);
    CHECK_INT(load(&g, lone), 9);
    CHECK_INT(fetched(&g, lone), 9);
    CHECK_INT(load(&g, 0x20000), 11);
    g.map[1].to = 13;
    CHECK_INT(load(&g, lone), 9); /* nothing has been flushed */
    uint64_t key = mmu_fetch_key(g.mmu);
    CHECK(mmu_flush(g.mmu, lone + 8, UINT64_MAX));
    CHECK_INT(mmu_fetch_key(g.mmu), key);
    CHECK_INT(load(&g, lone), 13);
    CHECK_INT(fetched(&g, lone), 13);
    CHECK(is_known(&g, 0x20000) && is_known(&g, large) && is_known(&g, large + 100 * PAGE));
    g.map[0].to = 256;
    CHECK(!mmu_flush(g.mmu, large + 7 * PAGE, UINT64_MAX));
    CHECK(mmu_fetch_key(g.mmu) != key);
    CHECK_INT(load(&g, large), 256);
    CHECK_INT(load(&g, large + 100 * PAGE), 356);
    rig_close(&g);
}

TEST(softmmu, a_flush_of_one_space_is_for_what_it_has_alone)
{
    static Rig g;
    rig_open(&g);
    g.map[0] = (Map){0x80000000, PAGE, 5, 0};
    g.map[1] = (Map){0x10000, PAGE, 6, SPACE_A};
    CHECK_INT(load(&g, 0x80000000), 5);
    CHECK_INT(load(&g, 0x10000), 6);
    g.map[0].to = g.map[1].to = 20;
    mmu_flush(g.mmu, UINT64_MAX, SPACE_B);
    CHECK_INT(load(&g, 0x10000), 6);
    mmu_flush(g.mmu, UINT64_MAX, SPACE_A);
    CHECK_INT(load(&g, 0x10000), 20);
    CHECK_INT(load(&g, 0x80000000), 5);
    mmu_flush(g.mmu, UINT64_MAX, UINT64_MAX);
    CHECK_INT(load(&g, 0x80000000), 20);
    rig_close(&g);
}

/* Spaces that do not gain by sharing a context have one each. */
TEST(softmmu, a_flush_of_one_space_leaves_the_contexts_of_others)
{
    enum { MANY = 100 };
    static Rig g;
    uint64_t key[2] = {0};
    rig_open(&g);
    g.map[0] = (Map){0x100000, MANY * PAGE, 10, SPACE_A};
    g.map[1] = (Map){0x100000, MANY * PAGE, 500, SPACE_B};
    for (unsigned round = 0; round < 3 * 64; round++) {
        bool is_b = round % 2;
        select_space(&g, is_b ? SPACE_B : SPACE_A);
        for (uint64_t i = 0; i < MANY; i++) {
            (void)load(&g, 0x100000 + i * PAGE);
        }
        key[is_b] = mmu_fetch_key(g.mmu);
    }
    CHECK(key[0] != key[1] && mmu_has_fetch_key(g.mmu, key[0]) && mmu_has_fetch_key(g.mmu, key[1]));
    g.map[0].to = 20;
    g.map[1].to = 600;
    mmu_flush(g.mmu, UINT64_MAX, SPACE_A); /* the other one is selected */
    CHECK(!mmu_has_fetch_key(g.mmu, key[0]) && mmu_has_fetch_key(g.mmu, key[1]));
    CHECK_INT(load(&g, 0x100000), 500);
    select_space(&g, SPACE_A);
    CHECK_INT(load(&g, 0x100000), 20);
    select_space(&g, SPACE_B);
    CHECK_INT(mmu_fetch_key(g.mmu), key[1]);
    mmu_flush(g.mmu, UINT64_MAX, UINT64_MAX);
    CHECK(!mmu_has_fetch_key(g.mmu, key[1]));
    CHECK_INT(load(&g, 0x100000), 600);
    rig_close(&g);
}

/* Unpriv 14.2: sc pairs with lr by the place in memory. */
TEST(softmmu, a_reservation_is_of_a_place_in_memory)
{
    enum { WORD = 3 | MEM_ALIGNED, FAILED = 1 };
    static Rig g;
    rig_open(&g);
    g.map[0] = (Map){0x10000, PAGE, 6, SPACE_A};
    g.map[1] = (Map){0x20000, PAGE, 6, SPACE_A}; /* the same */
    g.map[2] = (Map){0x30000, PAGE, 7, SPACE_A};
    for (unsigned round = 0; round < 3; round++) { /* without entries, and with */
        CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x10000, 0, 0, WORD), round ? 40 + round : 6);
        CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x30000, 1, 0, WORD), FAILED);
        CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x10000, 1, 0, WORD), FAILED); /* the first has ended it */
        CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x10000, 0, 0, WORD), round ? 40 + round : 6);
        CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x20000, 41 + round, 0, WORD), 0);
    }
    g.map[3] = (Map){0x40000, PAGE, NPAGES, SPACE_A}; /* the same again, by another machine address */
    CHECK(!space_map(g.space, NPAGES * PAGE, PAGE, 0, 6 * PAGE, SPACE_R | SPACE_W, NULL));
    for (unsigned round = 0; round < 2; round++) {
        CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x40000, 0, 0, WORD), 43);
        CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x10000, 43, 0, WORD), 0);
        CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x10000, 0, 0, WORD), 43);
        CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x40000, 43, 0, WORD), 0);
    }
    CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x10000, 0, 0, 2), 43);
    CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x10000, 1, 0, WORD), FAILED); /* of another size */
    g.map[0].to = 7;                                                 /* moved, with a flush between */
    CHECK_INT(mmu_atomic(&g.f, IR_lr, 0x10000, 0, 0, WORD), 43);
    mmu_flush(g.mmu, 0x10000, UINT64_MAX);
    CHECK_INT(mmu_atomic(&g.f, IR_sc, 0x10000, 1, 0, WORD), FAILED);
    CHECK_INT(mmu_atomic(&g.f, IR_amo_add, 0x10000, 3, 0, WORD), 7);
    CHECK_INT(load(&g, 0x30000), 10);
    rig_close(&g);
}

TEST(softmmu, the_flat_range_goes_with_its_context_by_either_way)
{
    static Rig g;
    MmuContext with, without;
    rig_open(&g);
    g.nflat = 1;
    g.map[0] = (Map){0x10000, 16 * PAGE, 16, SPACE_A};
    g.map[1] = (Map){0x10000, 16 * PAGE, 32, SPACE_B};
    /* As often as it takes each space to have a number of its own. */
    for (unsigned round = 0; round < 4 * 64; round++) {
        select_space(&g, round % 2 ? SPACE_B : SPACE_A);
        (void)load(&g, 0x10000);
        (void)fetched(&g, 0x10000);
    }
    select_space(&g, SPACE_A);
    CHECK_INT(load(&g, 0x10000), 16);
    CHECK(g.f.flat_end > 0);
    mmu_context_get(g.mmu, &with);
    select_space(&g, SPACE_B);
    CHECK_INT(load(&g, 0x10000), 32);
    CHECK_INT(g.f.flat_end, 0);
    mmu_context_get(g.mmu, &without);
    select_space(&g, SPACE_A);
    CHECK(g.f.flat_end > 0);
    mmu_context_set(g.mmu, &without);
    CHECK_INT(g.f.flat_end, 0);
    mmu_context_set(g.mmu, &with);
    CHECK(g.f.flat_end > 0);
    rig_close(&g);
}

static _Atomic uint8_t *flags_of(Rig *g, uint64_t page)
{
    SpaceHit hit;
    CHECK(space_find(g->space, page * PAGE, &hit));
    return &hit.pages[page];
}

static uint64_t flat_pages(const Rig *g, uint64_t gva)
{
    const TlbWindow *w = &g->f.window[2 * WINDOWS + 3];
    CHECK_INT(w->end ? w->end + 7 : 0, w->end ? w->end_span + FLAT_SPAN - 1 : 0);
    return gva - w->first < w->end ? (w->end + 7) / PAGE : 0;
}

/* 16 pages of RAM, from 16 on, of which 20 holds code. */
TEST(softmmu, stores_in_the_flat_range_have_windows_around_pages_of_code)
{
    static Rig g;
    const TlbWindow *w = &g.f.window[2 * WINDOWS + 3];
    rig_open(&g);
    g.nflat = 1;
    g.map[0] = (Map){0x10000, 16 * PAGE, 16, SPACE_A};
    g.map[1] = (Map){0x10000, 16 * PAGE, 32, SPACE_B};
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10000); /* nothing is flat yet */
    CHECK_INT(w->end, 0);
    CHECK_INT(load(&g, 0x10000), 16);
    atomic_fetch_or(flags_of(&g, 20), PAGE_CODE);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10000 + 4 * PAGE);
    CHECK_INT(w->end, 0);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10008 + 2 * PAGE);
    CHECK_INT(flat_pages(&g, 0x10000), 4);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10000 + 16 * PAGE); /* behind it */
    CHECK_INT(w->end, 0);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10008 + 6 * PAGE);
    CHECK_INT(flat_pages(&g, 0x10000 + 5 * PAGE), 11);
    CHECK(atomic_load(flags_of(&g, 30)) & PAGE_STORED); /* whoever finds code there must say so */
    SpaceHit hit;
    CHECK(space_find(g.space, 0, &hit));
    mmu_flush_writes_to(g.mmu, hit.host + 20 * PAGE); /* of no window */
    CHECK_INT(flat_pages(&g, 0x10000 + 5 * PAGE), 11);
    atomic_fetch_or(flags_of(&g, 31), PAGE_CODE);
    mmu_flush_writes_to(g.mmu, hit.host + 31 * PAGE + 100); /* the last of the window */
    CHECK_INT(w->end, 0);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10008 + 6 * PAGE);
    CHECK_INT(flat_pages(&g, 0x10000 + 5 * PAGE), 10);
    mmu_flush_writes(g.mmu);
    CHECK_INT(w->end, 0);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10008 + 6 * PAGE);
    CHECK_INT(flat_pages(&g, 0x10000 + 5 * PAGE), 10);
    select_space(&g, SPACE_B);
    CHECK_INT(w->end, 0);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x10008 + 6 * PAGE); /* where the range does not count */
    CHECK_INT(w->end, 0);
    rig_close(&g);
}

/* Of a large range, pages that nobody has stored to come in by and by: 64 in each direction, and as many as there are. */
TEST(softmmu, windows_of_the_flat_range_grow)
{
    static Rig g;
    rig_open(&g);
    g.nflat = 1;
    g.map[0] = (Map){0x400000, 512 * PAGE, 16, SPACE_A};
    CHECK_INT(load(&g, 0x400000), 16);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x400000 + 100 * PAGE);
    CHECK_INT(flat_pages(&g, 0x400000 + 36 * PAGE), 128);
    mmu_window_aim(&g.f, 2 * WINDOWS + 3, 0x400000 + 100 * PAGE);
    CHECK_INT(flat_pages(&g, 0x400000), 100 + 192); /* each way 64 are there, and as many and 64 more may come */
    rig_close(&g);
}

/* ---- windows ---- */
enum { WINDOW = 5 };
static bool is_in(const Rig *g, bool is_write, uint64_t gva)
{
    const TlbWindow *w = &g->f.window[WINDOW + (is_write ? WINDOWS : 0)];
    return gva - w->first < w->end;
}

static void aim(Rig *g, uint64_t gva)
{
    mmu_window_addend(g->mmu, g->f.tlb_addend);
    mmu_window_aim(&g->f, WINDOW, gva);
    mmu_window_aim(&g->f, WINDOW + WINDOWS, gva);
}

/* Four pages in a row, and one that is not the next in memory. */
static void windows_open(Rig *g)
{
    rig_open(g);
    g->map[0] = (Map){0x10000, PAGE, 500, SPACE_A};
    for (uint64_t i = 1; i < 5; i++) {
        g->map[i] = (Map){0x10000 + i * PAGE, PAGE, 100 + i, SPACE_A};
    }
    g->map[5] = (Map){0x12000 + TLB_ENTRIES * (uint64_t)PAGE, PAGE, 202, SPACE_A};
    g->map[6] = (Map){0x12000, PAGE, 302, SPACE_B};
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_INT(load(g, 0x10000 + i * PAGE), i ? 100 + i : 500);
    }
    aim(g, 0x12008);
}

TEST(softmmu, a_window_is_the_pages_around_with_the_same_addend)
{
    static Rig g;
    windows_open(&g);
    for (unsigned write = 0; write < 2; write++) {
        CHECK(!is_in(&g, write, 0x10fff) && is_in(&g, write, 0x11000) && is_in(&g, write, 0x14ff8));
        CHECK(!is_in(&g, write, 0x14ff9)); /* eight bytes go beyond it */
        const TlbWindow *w = &g.f.window[WINDOW + (write ? WINDOWS : 0)];
        CHECK_INT(w->end_span, 4 * PAGE - (FLAT_SPAN - 1));
    }
    mmu_window_aim(&g.f, WINDOW, 0x10000); /* another addend */
    CHECK(!is_in(&g, false, 0x10000) && !is_in(&g, false, 0x11000) && is_in(&g, true, 0x11000));
    mmu_window_aim(&g.f, WINDOW, 0x15000); /* not known */
    CHECK(!is_in(&g, false, 0x15000));
    rig_close(&g);
}

TEST(softmmu, a_window_ends_with_any_entry_of_it)
{
    static Rig g;
    windows_open(&g);
    CHECK(mmu_flush(g.mmu, 0x20000, UINT64_MAX));
    CHECK(is_in(&g, false, 0x12000) && is_in(&g, true, 0x12000));
    CHECK(mmu_flush(g.mmu, 0x14000, UINT64_MAX));
    CHECK(!is_in(&g, false, 0x12000) && !is_in(&g, true, 0x12000));
    aim(&g, 0x12008);
    CHECK(is_in(&g, false, 0x13ff8) && !is_in(&g, false, 0x14000));
    CHECK_INT(load(&g, 0x12000 + TLB_ENTRIES * (uint64_t)PAGE), 202); /* takes the place of one */
    CHECK(!is_in(&g, false, 0x11000) && !is_in(&g, true, 0x11000));
    rig_close(&g);
}

TEST(softmmu, windows_are_of_a_context_and_those_for_stores_end_with_the_right_to_store)
{
    static Rig g;
    MmuContext a;
    windows_open(&g);
    mmu_flush_writes(g.mmu);
    CHECK(is_in(&g, false, 0x12000) && !is_in(&g, true, 0x12000));
    mmu_window_aim(&g.f, WINDOW + WINDOWS, 0x12000);
    CHECK(!is_in(&g, true, 0x12000));
    mmu_context_get(g.mmu, &a);
    select_space(&g, SPACE_B);
    CHECK(!is_in(&g, false, 0x12000));
    CHECK_INT(load(&g, 0x12000), 302);
    aim(&g, 0x12000);
    CHECK(is_in(&g, false, 0x12000));
    mmu_context_set(g.mmu, &a);
    CHECK(!is_in(&g, false, 0x12000));
    mmu_flush(g.mmu, UINT64_MAX, UINT64_MAX);
    CHECK_INT(load(&g, 0x12000), 302);
    aim(&g, 0x12000);
    CHECK(is_in(&g, false, 0x12000));
    mmu_flush(g.mmu, UINT64_MAX, UINT64_MAX);
    CHECK(!is_in(&g, false, 0x12000));
    rig_close(&g);
}
