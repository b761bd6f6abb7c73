/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

/* Page tables in 16 pages of memory at TABLES; the root is the first. */
enum { TABLES = 0x80001000, PAGES = 16, PTE_MAX_STEALS = 3 };
#define N    (1ull << 63)
#define NC   (1ull << 61)
#define IO   (2ull << 61)
#define PBMT (3ull << 61)
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128, RWX = R | W | X, AD = A | D };
typedef struct {
    Rig g;
    uint64_t table[PAGES][512];
    unsigned reads, updates, steals; /* steals: how often an update finds that the entry has changed */
} Bench;

static uint64_t *entry_at(Bench *b, uint64_t gpa)
{
    uint64_t i = (gpa - TABLES) / 8;
    return gpa >= TABLES && i < PAGES * 512 ? &b->table[i / 512][i % 512] : NULL;
}
static uint64_t on_read(void *ctx, uint64_t gpa, unsigned size_bytes, bool *ok)
{
    uint64_t *e = entry_at(ctx, gpa);
    *ok = e && size_bytes == 8;
    ((Bench *)ctx)->reads++;
    return e ? *e : 0;
}
static bool on_update(void *ctx, uint64_t gpa, unsigned size_bytes, uint64_t old, uint64_t now, bool *ok)
{
    Bench *b = ctx;
    uint64_t *e = entry_at(b, gpa);
    *ok = e && size_bytes == 8;
    b->updates++;
    if (b->steals) {
        b->steals--;
        *e |= A;
        return false;
    }
    if (!e || *e != old) {
        return false;
    }
    *e = now;
    return true;
}

static void bench_open(Bench *b, const char *cpu)
{
    memset(b, 0, sizeof *b);
    rig_open(&b->g, false, cpu);
    b->g.r.satp = 8ull << 60 | TABLES >> 12;
    riscv_csr_write(&b->g.r, 0x3b0, ~0ull, 0); /* PMP: all of memory */
    riscv_csr_write(&b->g.r, 0x3a0, 0x1f, 0);
    b->table[0][0] = (uint64_t)(TABLES + 0x1000) >> 12 << 10 | V;
    b->table[1][0] = (uint64_t)(TABLES + 0x2000) >> 12 << 10 | V;
}

static void leaf(Bench *b, unsigned page, unsigned index, uint64_t gpa, uint64_t flags)
{
    b->table[page][index] = gpa >> 12 << 10 | flags;
}

static bool walk(Bench *b, uint64_t gva, unsigned acc, unsigned regime, Walk *out, Trap *trap)
{
    PhysIo io = {b, on_read, on_update};
    *trap = (Trap){0};
    return guest_riscv64.mmu.walk(&b->g.r.f, gva, (Access)acc, regime, &io, out, trap);
}

/* The cause, or 0 if the access is allowed. */
static uint64_t cause(Bench *b, uint64_t gva, unsigned acc, unsigned regime)
{
    Walk w;
    Trap t;
    if (walk(b, gva, acc, regime, &w, &t)) {
        return 0;
    }
    CHECK_INT(t.value, gva);
    return t.cause;
}

TEST(riscv64_walk, without_translation_an_address_is_itself)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    CHECK(walk(&b, 0x123456789, ACC_EXEC, REGIME_M, &w, &t));
    CHECK_INT(w.gpa, 0x123456789);
    CHECK_INT(w.allow, ACC_READ | ACC_WRITE | ACC_EXEC);
    b.g.r.satp = 0;
    CHECK(walk(&b, 0x5678, ACC_WRITE, REGIME_U, &w, &t));
    CHECK_INT(w.gpa, 0x5678);
    CHECK_INT(b.reads, 0);
}

TEST(riscv64_walk, three_levels_lead_to_pages_of_4k_2m_and_1g)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    leaf(&b, 2, 3, 0x9000, V | RWX | AD);
    leaf(&b, 1, 1, 0x40200000, V | RWX | AD);
    leaf(&b, 0, 511, 0x80000000, V | RWX | AD | G);
    CHECK(walk(&b, 0x3abc, ACC_READ, REGIME_S, &w, &t));
    CHECK_INT(w.gpa, 0x9abc);
    CHECK(w.page_bits == 12 && !w.is_global);
    CHECK(walk(&b, 0x2abcde, ACC_READ, REGIME_S, &w, &t));
    CHECK_INT(w.gpa, 0x402abcde);
    CHECK_INT(w.page_bits, 21);
    CHECK(walk(&b, 0xffffffffc1234567, ACC_READ, REGIME_S, &w, &t)); /* the last gigabyte, sign-extended */
    CHECK_INT(w.gpa, 0x81234567);
    CHECK(w.page_bits == 30 && w.is_global);
}

TEST(riscv64_walk, every_level_of_every_mode_has_pages_of_its_size)
{
    static Bench b;
    for (unsigned levels = 3; levels <= 5; levels++) {
        for (unsigned level = 0; level < levels; level++) {
            unsigned size = 12 + 9 * level;
            uint64_t gva = (1ull << (12 + 9 * levels - 1)) - 1, base = 1ull << (size > 50 ? 55 : size + 1);
            gva &= ~0xffull;
            bench_open(&b, NULL);
            b.g.r.satp = (uint64_t)(levels + 5) << 60 | TABLES >> 12;
            for (unsigned i = levels - 1; i > level; i--) { /* the table of each level is the next page */
                b.table[levels - 1 - i][gva >> (12 + 9 * i) & 511] = (TABLES + (levels - i) * 0x1000ull) >> 2 | V;
            }
            leaf(&b, levels - 1 - level, gva >> size & 511, base, V | RWX | AD);
            Walk w;
            Trap t;
            if (!CHECK(walk(&b, gva, ACC_WRITE, REGIME_S, &w, &t))) {
                CHECK_INT(levels * 10 + level, 0);
            }
            CHECK_INT(w.gpa, base | (gva & ((1ull << size) - 1)));
            CHECK_INT(w.page_bits, size);
            CHECK_INT(b.reads, levels - level);
            leaf(&b, levels - 1 - level, gva >> size & 511, base | (level ? 1ull << (size - 1) : 0), V | RWX | AD);
            CHECK_INT(cause(&b, gva, ACC_READ, REGIME_S), level ? CAUSE_LOAD_PAGE : 0); /* a misaligned superpage */
            b.table[levels - 1 - level][gva >> size & 511] = 0;
            CHECK_INT(cause(&b, gva, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
        }
    }
}

TEST(riscv64_walk, the_sign_of_an_address_depends_on_the_mode)
{
    static const struct {
        uint64_t mode, gva;
        bool is_canonical;
    } rows[] = {
        {8, 0x3fffffffff, true},        {8, 0x4000000000, false},       {8, 0xffffffc000000000, true},
        {8, 0xffffff8000000000, false}, {9, 0x7fffffffffff, true},      {9, 0x800000000000, false},
        {9, 0xffff800000000000, true},  {9, 0xffff7fffffffffff, false}, {10, 0xffffffffffffff, true},
        {10, 1ull << 56, false},        {10, 0xff00000000000000, true}, {10, 0xfe00000000000000, false},
    };
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bench_open(&b, NULL);
        b.g.r.satp = rows[i].mode << 60 | TABLES >> 12;
        for (unsigned k = 0; k < 512; k++) {
            leaf(&b, 0, k, 0, V | RWX | AD);
        }
        CHECK_INT(cause(&b, rows[i].gva, ACC_WRITE, REGIME_S), rows[i].is_canonical ? 0 : CAUSE_STORE_PAGE);
        CHECK_INT(b.reads, rows[i].is_canonical);
    }
}

TEST(riscv64_walk, a_napot_leaf_maps_64k_of_any_of_its_sixteen_entries)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    for (unsigned i = 0; i < 16; i++) {
        leaf(&b, 2, 16 + i, 0x128000, V | RWX | AD | N);
        CHECK(walk(&b, 0x10000 + i * 0x1000 + 0xabc, ACC_READ, REGIME_S, &w, &t));
        CHECK_INT(w.gpa, 0x120abc + i * 0x1000);
        CHECK_INT(w.page_bits, 16);
    }
    static const struct {
        uint64_t gpa;
        unsigned page;
        const char *cpu;
    } bad[] = {{0x124000, 2, NULL}, {0x129000, 2, NULL}, {0x120000, 2, NULL}, {0x128000, 2, "rv64imac,svnapot=off"},
               {0, 1, NULL},        {0x8000, 1, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bench_open(&b, bad[i].cpu);
        leaf(&b, bad[i].page, 0, bad[i].gpa, V | RWX | AD | N);
        CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
    }
    bench_open(&b, NULL);
    leaf(&b, 2, 0, 0x9000, V | RWX | AD);
    b.table[1][0] |= N; /* in a pointer to a table */
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
}

TEST(riscv64_walk, memory_types_are_accepted_with_pbmte)
{
    static const struct {
        uint64_t flags, menvcfg;
        const char *cpu;
        bool is_good;
    } rows[] = {
        {0, 0, NULL, true},
        {NC, MENVCFG_PBMTE, NULL, true},
        {IO, MENVCFG_PBMTE, NULL, true},
        {PBMT, MENVCFG_PBMTE, NULL, false},
        {NC, 0, NULL, false},
        {IO, 0, NULL, false},
        {NC, MENVCFG_PBMTE, "rv64imac,svpbmt=off", false},
    };
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bench_open(&b, rows[i].cpu);
        riscv_csr_write(&b.g.r, 0x30a, rows[i].menvcfg, 0);
        leaf(&b, 2, 0, 0x9000, V | RWX | AD | rows[i].flags);
        CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), rows[i].is_good ? 0 : CAUSE_LOAD_PAGE);
        leaf(&b, 2, 0, 0x9000, V | RWX | AD);
        b.table[1][0] |= rows[i].flags;
        CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), rows[i].flags ? CAUSE_LOAD_PAGE : 0); /* not of a table */
    }
}

TEST(riscv64_walk, global_is_inherited_from_a_table)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    b.table[1][0] |= G;
    leaf(&b, 2, 0, 0x9000, V | R | A);
    CHECK(walk(&b, 0, ACC_READ, REGIME_S, &w, &t));
    CHECK(w.is_global);
}

TEST(riscv64_walk, an_address_that_is_not_sign_extended_is_a_page_fault)
{
    static Bench b;
    bench_open(&b, NULL);
    leaf(&b, 0, 256, 0, V | RWX | AD);
    CHECK_INT(cause(&b, 1ull << 38, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
    CHECK_INT(cause(&b, 0xffffffc000000000, ACC_READ, REGIME_S), 0);
    CHECK_INT(cause(&b, 1ull << 63, ACC_EXEC, REGIME_S), CAUSE_FETCH_PAGE);
}

TEST(riscv64_walk, entries_that_the_manual_reserves_are_page_faults)
{
    static const uint64_t bad[] = {0,
                                   RWX | AD /* no V */,
                                   V | W | AD,
                                   V | W | X | AD,
                                   V | RWX | AD | 1ull << 54,
                                   V | RWX | AD | 1ull << 61,
                                   V | RWX | AD | 1ull << 63,
                                   V /* a table at the last level */};
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bench_open(&b, NULL);
        b.table[2][0] = bad[i] | 9 << 10;
        CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
    }
    static const uint64_t bad_table[] = {A, D, U};
    for (size_t i = 0; i < ARRAY_LEN(bad_table); i++) {
        bench_open(&b, NULL);
        leaf(&b, 2, 0, 0x9000, V | RWX | AD);
        b.table[1][0] |= bad_table[i];
        CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
    }
}

TEST(riscv64_walk, a_superpage_must_be_aligned)
{
    static Bench b;
    bench_open(&b, NULL);
    leaf(&b, 1, 1, 0x201000, V | RWX | AD);
    CHECK_INT(cause(&b, 0x200000, ACC_WRITE, REGIME_S), CAUSE_STORE_PAGE);
    leaf(&b, 0, 1, 0x200000, V | RWX | AD);
    CHECK_INT(cause(&b, 0x40000000, ACC_EXEC, REGIME_S), CAUSE_FETCH_PAGE);
}

TEST(riscv64_walk, rights_depend_on_privilege_sum_and_mxr)
{
    static const struct {
        uint64_t flags;
        unsigned regime, allow;
    } rows[] = {
        {R, REGIME_S, ACC_READ},
        {R | W, REGIME_S, ACC_READ | ACC_WRITE},
        {X, REGIME_S, ACC_EXEC},
        {X, REGIME_S_MXR, ACC_EXEC | ACC_READ},
        {RWX, REGIME_S, ACC_READ | ACC_WRITE | ACC_EXEC},
        {RWX, REGIME_U, 0},
        {RWX | U, REGIME_U, ACC_READ | ACC_WRITE | ACC_EXEC},
        {X | U, REGIME_U, ACC_EXEC},
        {X | U, REGIME_U_MXR, ACC_EXEC | ACC_READ},
        {RWX | U, REGIME_S, 0},
        {RWX | U, REGIME_S_SUM, ACC_READ | ACC_WRITE}, /* S-mode never executes pages of U-mode */
        {X | U, REGIME_S_SUM_MXR, ACC_READ},
    };
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const unsigned accs[] = {ACC_READ, ACC_WRITE, ACC_EXEC};
        static const uint64_t causes[] = {CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE};
        for (unsigned k = 0; k < 3; k++) {
            bench_open(&b, NULL);
            leaf(&b, 2, 0, 0x9000, V | AD | rows[i].flags);
            CHECK_INT(cause(&b, 0, accs[k], rows[i].regime), rows[i].allow & accs[k] ? 0 : causes[k]);
        }
    }
}

TEST(riscv64_walk, hardware_marks_pages_accessed_and_dirty_and_a_clean_page_is_not_cached_for_stores)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    leaf(&b, 2, 0, 0x9000, V | RWX);
    CHECK(walk(&b, 0, ACC_READ, REGIME_S, &w, &t));
    CHECK_INT(b.table[2][0] & AD, A);
    CHECK_INT(w.allow, ACC_READ | ACC_EXEC);
    CHECK(walk(&b, 0, ACC_WRITE, REGIME_S, &w, &t));
    CHECK_INT(b.table[2][0] & AD, AD);
    CHECK_INT(w.allow, ACC_READ | ACC_WRITE | ACC_EXEC);
    CHECK_INT(b.updates, 2);
    CHECK(walk(&b, 0, ACC_WRITE, REGIME_S, &w, &t));
    CHECK_INT(b.updates, 2);
}

TEST(riscv64_walk, an_update_that_lost_a_race_looks_again)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    leaf(&b, 2, 0, 0x9000, V | RWX);
    b.steals = PTE_MAX_STEALS;
    CHECK(walk(&b, 8, ACC_WRITE, REGIME_S, &w, &t));
    CHECK_INT(w.gpa, 0x9008);
    CHECK_INT(b.updates, PTE_MAX_STEALS + 1);
    CHECK_INT(b.table[2][0] & AD, AD);
}

TEST(riscv64_walk, without_adue_software_marks_pages)
{
    static Bench b;
    bench_open(&b, "rv64imac,svadu=off");
    leaf(&b, 2, 0, 0x9000, V | RWX);
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_PAGE);
    b.table[2][0] |= A;
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), 0);
    CHECK_INT(cause(&b, 0, ACC_WRITE, REGIME_S), CAUSE_STORE_PAGE);
    CHECK_INT(b.updates, 0);
    bench_open(&b, NULL);
    riscv_csr_write(&b.g.r, 0x30a, 0, 0); /* the same where hardware could: Svade */
    leaf(&b, 2, 0, 0x9000, V | RWX | D);
    CHECK_INT(cause(&b, 0, ACC_EXEC, REGIME_S), CAUSE_FETCH_PAGE);
    CHECK_INT(b.updates, 0);
}

TEST(riscv64_walk, a_probe_changes_nothing)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, NULL);
    leaf(&b, 2, 0, 0x9000, V | RWX);
    CHECK(walk(&b, 4, ACC_WRITE | ACC_PROBE, REGIME_S, &w, &t));
    CHECK_INT(w.gpa, 0x9004);
    CHECK_INT(w.allow, 0);
    CHECK_INT(b.updates, 0);
}

TEST(riscv64_walk, tables_that_are_nowhere_are_access_faults_of_the_access)
{
    static Bench b;
    bench_open(&b, NULL);
    b.table[1][0] = 0x70000ull << 10 | V;
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_ACCESS);
    CHECK_INT(cause(&b, 0, ACC_WRITE, REGIME_S), CAUSE_STORE_ACCESS);
    CHECK_INT(cause(&b, 0, ACC_EXEC, REGIME_S), CAUSE_FETCH_ACCESS);
}

TEST(riscv64_walk, pmp_guards_the_page_the_tables_and_their_updates)
{
    static Bench b;
    bench_open(&b, NULL);
    leaf(&b, 2, 0, 0x9000, V | RWX);
    riscv_csr_write(&b.g.r, 0x3b1, ~0ull, 0);
    riscv_csr_write(&b.g.r, 0x3b0, 0x9000 >> 2 | 0x1ff, 0);
    riscv_csr_write(&b.g.r, 0x3a0, 0x1f19, 0); /* the page: R; all else: RWX */
    CHECK_INT(cause(&b, 0, ACC_WRITE, REGIME_S), CAUSE_STORE_ACCESS);
    CHECK_INT(b.table[2][0] & D, 0); /* a store that fails leaves no mark */
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), 0);
    riscv_csr_write(&b.g.r, 0x3b0, (TABLES + 0x2000) >> 2 | 0x1ff, 0);
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), 0);
    CHECK_INT(cause(&b, 0, ACC_WRITE, REGIME_S), CAUSE_STORE_ACCESS); /* D cannot be set */
    riscv_csr_write(&b.g.r, 0x3a0, 0x1f18, 0);
    CHECK_INT(cause(&b, 0, ACC_READ, REGIME_S), CAUSE_LOAD_ACCESS); /* the table cannot be read */
}
