/* SPDX-License-Identifier: Apache-2.0
 * walk2_test.c - translation in two stages (Priv 15.5). The second stage maps the guest's gigabyte 1 to the machine's 2, where
 * all tables are, and its gigabyte 2, for data, to the machine's 3; so an address that misses a stage is seen. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128, RWX = R | W | X, AD = A | D };
enum { SECOND_PAGES = 4, ROOT = 4, PAGES = 10 }; /* the root of x4 is four pages; the guest's root is the fifth */
#define TABLES     0x80004000ull
#define TABLES_GPA 0x40004000ull
#define DATA       0x80000000ull /* of the guest */
#define DATA_HOST  0xc0000000ull
#define GVA        0x3abcull
#define LEAF_GPA   (TABLES_GPA + (ROOT + 2) * 0x1000 + 3 * 8)

typedef struct {
    Rig g;
    uint64_t table[PAGES][512];
    unsigned reads, updates;
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
    uint64_t *e = entry_at(ctx, gpa);
    *ok = e && size_bytes == 8;
    ((Bench *)ctx)->updates++;
    if (!e || *e != old) {
        return false;
    }
    *e = now;
    return true;
}

static uint64_t pte(uint64_t address, uint64_t flags)
{
    return address >> 2 | flags;
}

/* tables, data: flags of the second stage; leaf: of the guest's page at GVA, which is the first of DATA. */
static void bench_open(Bench *b, uint64_t tables, uint64_t data, uint64_t leaf)
{
    memset(b, 0, sizeof *b);
    rig_open(&b->g, false, NULL);
    riscv_csr_write(&b->g.r, 0x3b0, ~0ull, 0);
    riscv_csr_write(&b->g.r, 0x3a0, 0x1f, 0);
    riscv_csr_write(&b->g.r, 0x30a, MENVCFG_ADUE | MENVCFG_PBMTE, 0);
    riscv_csr_write(&b->g.r, 0x60a, MENVCFG_ADUE, 0);
    riscv_csr_write(&b->g.r, 0x680, 8ull << 60 | TABLES >> 12, 0);
    riscv_csr_write(&b->g.r, 0x280, 8ull << 60 | (TABLES_GPA + ROOT * 0x1000) >> 12, 0);
    b->table[0][1] = pte(0x80000000, tables);
    b->table[0][2] = pte(DATA_HOST, data);
    b->table[ROOT][0] = pte(TABLES_GPA + (ROOT + 1) * 0x1000, V);
    b->table[ROOT + 1][0] = pte(TABLES_GPA + (ROOT + 2) * 0x1000, V);
    b->table[ROOT + 2][3] = pte(DATA, leaf);
}

static bool walk(Bench *b, uint64_t gva, unsigned acc, unsigned regime, Walk *out, Trap *trap)
{
    PhysIo io = {b, on_read, on_update};
    *trap = (Trap){0};
    return guest_riscv64.mmu.walk(&b->g.r.f, gva, (Access)acc, regime, &io, out, trap);
}

enum { ALL = V | RWX | U | AD, FETCH_G = 20, LOAD_G, VIRTUAL, STORE_G };

TEST(riscv64_walk2, an_address_goes_through_both_stages_and_so_does_each_table)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, ALL, ALL, V | RWX | AD | G);
    CHECK(walk(&b, GVA, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(w.gpa, DATA_HOST + 0xabc);
    CHECK_INT(w.allow, ACC_READ | ACC_WRITE | ACC_EXEC);
    CHECK(w.page_bits == 12 && !w.is_global);         /* of the guest's spaces, and of its pages */
    CHECK_INT(b.reads, 3 + 4);                        /* a second-stage entry for each table and the page */
    CHECK(walk(&b, GVA, ACC_READ, REGIME_S, &w, &t)); /* the host is not translated */
    CHECK_INT(w.gpa, GVA);
}

/* What faults, and what is said of it: htval is the guest's physical address, htinst of an access to tables (Priv 15.6.3). */
TEST(riscv64_walk2, each_stage_has_its_own_faults)
{
    static const struct {
        uint64_t tables, data, leaf;
        unsigned acc, regime, cause;
        uint64_t gpa, htinst;
    } rows[] = {
        {ALL, ALL, V | RWX | AD, ACC_EXEC, REGIME_VS, 0, 0, 0},
        {ALL, ALL, V | RWX | AD, ACC_READ, REGIME_VU, CAUSE_LOAD_PAGE, 0, 0},
        {ALL, ALL, V | RWX | AD | U, ACC_READ, REGIME_VU, 0, 0, 0},
        {ALL, ALL, V | RWX | AD | U, ACC_READ, REGIME_VS, CAUSE_LOAD_PAGE, 0, 0},
        {ALL, ALL, V | RWX | AD | U, ACC_READ, REGIME_VS_SUM, 0, 0, 0},
        {ALL, ALL, V | RWX | AD | U, ACC_EXEC, REGIME_VS, CAUSE_FETCH_PAGE, 0, 0},
        {ALL, ALL, V | R | AD, ACC_WRITE, REGIME_VS, CAUSE_STORE_PAGE, 0, 0},
        {ALL, ALL, 0, ACC_WRITE, REGIME_VS, CAUSE_STORE_PAGE, 0, 0},
        /* the second stage of the page: of U-mode, whatever the guest's mode */
        {ALL, V | RWX | AD, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, DATA + 0xabc, 0},
        {ALL, 0, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, DATA + 0xabc, 0},
        {ALL, 0, V | RWX | AD, ACC_WRITE, REGIME_VS, STORE_G, DATA + 0xabc, 0},
        {ALL, 0, V | RWX | AD, ACC_EXEC, REGIME_VS, FETCH_G, DATA + 0xabc, 0},
        {ALL, V | R | U | AD, V | RWX | AD, ACC_WRITE, REGIME_VS, STORE_G, DATA + 0xabc, 0},
        {ALL, V | R | W | U | AD, V | RWX | AD, ACC_EXEC, REGIME_VS, FETCH_G, DATA + 0xabc, 0},
        {ALL, V | X | U | AD, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, DATA + 0xabc, 0},
        {ALL, V | X | U | AD, V | RWX | AD, ACC_READ, REGIME_VS_MXR, LOAD_G, DATA + 0xabc, 0}, /* the guest's own */
        {ALL, V | W | U | AD, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, DATA + 0xabc, 0},     /* reserved */
        {ALL, ALL | G, V | RWX | AD, ACC_READ, REGIME_VS, 0, 0, 0},
        {ALL, ALL | 1ull << 61, V | RWX | AD, ACC_READ, REGIME_VS, 0, 0, 0},               /* PBMTE of menvcfg */
        {ALL, ALL, V | RWX | AD | 1ull << 61, ACC_READ, REGIME_VS, CAUSE_LOAD_PAGE, 0, 0}, /* not of henvcfg */
        /* tables: read, whatever the access, whose kind the cause tells */
        {0, ALL, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, TABLES_GPA + ROOT * 0x1000, 0x3000},
        {0, ALL, V | RWX | AD, ACC_WRITE, REGIME_VS, STORE_G, TABLES_GPA + ROOT * 0x1000, 0x3000},
        {0, ALL, V | RWX | AD, ACC_EXEC, REGIME_VU, FETCH_G, TABLES_GPA + ROOT * 0x1000, 0x3000},
        {V | X | U | AD, ALL, V | RWX | AD, ACC_READ, REGIME_VS, LOAD_G, TABLES_GPA + ROOT * 0x1000, 0x3000},
        {V | R | U | AD, ALL, V | RWX | AD, ACC_WRITE, REGIME_VS, 0, 0, 0},
        /* A and D of the guest's page cannot be written: told before what the page itself lacks */
        {V | R | U | AD, ALL, V | RWX, ACC_READ, REGIME_VS, LOAD_G, LEAF_GPA, 0x3020},
        {V | R | U | AD, 0, V | RWX | A, ACC_WRITE, REGIME_VS, STORE_G, LEAF_GPA, 0x3020},
        {V | R | U | AD, ALL, V | RWX | A, ACC_READ, REGIME_VS, 0, 0, 0},
    };
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Walk w;
        Trap t;
        bench_open(&b, rows[i].tables, rows[i].data, rows[i].leaf);
        bool ok = walk(&b, GVA, rows[i].acc, rows[i].regime, &w, &t);
        if (!CHECK_INT(t.cause, rows[i].cause) || !CHECK_INT(ok, !rows[i].cause)) {
            CHECK_INT(i, UINT64_MAX);
            continue;
        }
        CHECK_INT(ok ? w.gpa : t.value, ok ? DATA_HOST + 0xabc : GVA);
        CHECK_INT(t.value2, rows[i].gpa >> 2);
        CHECK_INT(t.value3, ok ? 0 : TRAP_GVA | rows[i].htinst);
    }
}

TEST(riscv64_walk2, mxr_of_the_host_makes_both_stages_readable)
{
    static Bench b;
    Walk w;
    Trap t;
    for (unsigned is_mxr = 0; is_mxr < 2; is_mxr++) {
        bench_open(&b, ALL, V | X | U | AD, V | X | AD);
        b.g.r.mstatus |= is_mxr ? MSTATUS_MXR : 0;
        CHECK_INT(walk(&b, GVA, ACC_READ, REGIME_VS, &w, &t), is_mxr);
        bench_open(&b, V | X | U | AD, ALL, V | RWX | AD);
        b.g.r.mstatus |= is_mxr ? MSTATUS_MXR : 0;
        CHECK(!walk(&b, GVA, ACC_READ, REGIME_VS, &w, &t)); /* tables are no loads */
    }
}

TEST(riscv64_walk2, a_and_d_are_marked_in_both_stages_as_menvcfg_and_henvcfg_say)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, V | RWX | U, V | RWX | U, V | RWX);
    CHECK(walk(&b, GVA, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(b.table[ROOT + 2][3] & AD, AD);
    CHECK_INT(b.table[0][1] & AD, AD); /* the leaf was written there */
    CHECK_INT(b.table[0][2] & AD, AD);
    bench_open(&b, V | RWX | U, V | RWX | U, V | RWX | A);
    CHECK(walk(&b, GVA, ACC_READ, REGIME_VS, &w, &t));
    CHECK_INT(b.table[0][1] & AD, A);
    CHECK_INT(b.table[0][2] & AD, A);
    CHECK_INT(w.allow, ACC_READ | ACC_EXEC); /* not for stores: D is clear in each */
    bench_open(&b, V | RWX | U, V | RWX | U, V | RWX);
    CHECK(walk(&b, GVA, ACC_WRITE | ACC_PROBE, REGIME_VS, &w, &t));
    CHECK_INT(w.allow, 0);
    CHECK_INT(b.updates, 0);
    bench_open(&b, ALL, ALL, V | RWX | A);
    riscv_csr_write(&b.g.r, 0x60a, 0, 0); /* Svade in the guest */
    CHECK(!walk(&b, GVA, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(t.cause, CAUSE_STORE_PAGE);
    bench_open(&b, ALL, V | RWX | U | A, V | RWX | AD);
    riscv_csr_write(&b.g.r, 0x30a, 0, 0); /* and below it */
    CHECK(!walk(&b, GVA, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(t.cause, STORE_G);
    CHECK_INT(b.updates, 0);
}

TEST(riscv64_walk2, either_stage_may_be_bare)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, ALL, ALL, 0);
    b.g.r.vsatp = 0;
    CHECK(walk(&b, DATA + 0x123, ACC_WRITE, REGIME_VU, &w, &t));
    CHECK_INT(w.gpa, DATA_HOST + 0x123);
    CHECK_INT(b.reads, 1);
    CHECK(!walk(&b, 1ull << 41, ACC_READ, REGIME_VS, &w, &t)); /* two bits more than Sv39, and no sign */
    CHECK_INT(t.cause, LOAD_G);
    CHECK_INT(t.value2, 1ull << 39);
    b.table[3][511] = pte(0x40000000, ALL);
    CHECK(walk(&b, (1ull << 41) - 1, ACC_READ, REGIME_VS, &w, &t)); /* the last of the four pages of the root */
    CHECK_INT(w.gpa, 0x7fffffff);
    bench_open(&b, 0, 0, V | RWX | AD);
    b.g.r.hgatp = 0;
    b.g.r.vsatp = 8ull << 60 | (TABLES + ROOT * 0x1000) >> 12;
    b.table[ROOT][5] = pte(0, V | RWX | AD);
    CHECK(walk(&b, 5ull << 30, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(w.gpa, 0);
    b.g.r.vsatp = 0;
    CHECK(walk(&b, 0x77, ACC_EXEC, REGIME_VU, &w, &t));
    CHECK_INT(w.gpa, 0x77);
}

TEST(riscv64_walk2, roots_of_four_and_five_levels_are_x4_too)
{
    static Bench b;
    for (unsigned levels = 4; levels <= 5; levels++) {
        Walk w;
        Trap t;
        uint64_t top = 1ull << (12 + 9 * levels + 2), size = 1ull << (12 + 9 * (levels - 1));
        bench_open(&b, 0, 0, 0);
        b.g.r.vsatp = 0;
        b.g.r.hgatp = (uint64_t)(levels + 5) << 60 | TABLES >> 12;
        b.table[3][511] = pte(0, ALL);
        CHECK(walk(&b, top - 8, ACC_READ, REGIME_VS, &w, &t));
        CHECK_INT(w.gpa, size - 8);
        CHECK(!walk(&b, top, ACC_READ, REGIME_VS, &w, &t));
        CHECK_INT(t.cause, LOAD_G);
    }
}

TEST(riscv64_walk2, tables_that_are_nowhere_are_access_faults)
{
    static Bench b;
    Walk w;
    Trap t;
    bench_open(&b, ALL, ALL, V | RWX | AD);
    b.table[ROOT + 1][0] = pte(DATA, V);
    CHECK(!walk(&b, GVA, ACC_WRITE, REGIME_VS, &w, &t));
    CHECK_INT(t.cause, CAUSE_STORE_ACCESS);
    b.g.r.hgatp = 8ull << 60 | 0x1000;
    CHECK(!walk(&b, GVA, ACC_EXEC, REGIME_VS, &w, &t));
    CHECK_INT(t.cause, CAUSE_FETCH_ACCESS);
    CHECK_INT(t.value2, 0);
    CHECK_INT(t.value3, TRAP_GVA);
}

/* Priv 15.3.1: hlv as SPVP, and hlvx needs X in both stages, faults as a load, and does not pass PMP by X alone. */
TEST(riscv64_walk2, hlv_is_of_the_mode_in_spvp_and_hlvx_needs_x)
{
    static const struct {
        uint64_t data, leaf;
        bool is_s, is_x;
        unsigned cause;
    } rows[] = {
        {ALL, V | R | AD, true, false, 0},
        {ALL, V | R | AD, false, false, CAUSE_LOAD_PAGE},
        {ALL, V | R | AD | U, false, false, 0},
        {ALL, V | R | AD | U, true, false, CAUSE_LOAD_PAGE},
        {ALL, V | X | AD, true, false, CAUSE_LOAD_PAGE},
        {ALL, V | X | AD, true, true, 0},
        {ALL, V | R | AD, true, true, CAUSE_LOAD_PAGE},
        {V | X | U | AD, V | X | AD, true, true, 0},
        {V | R | U | AD, V | X | AD, true, true, LOAD_G},
    };
    static Bench b;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Walk w;
        Trap t;
        bench_open(&b, ALL, rows[i].data, rows[i].leaf);
        b.g.r.hstatus |= rows[i].is_s ? HSTATUS_SPVP : 0;
        CHECK_INT(walk(&b, GVA, rows[i].is_x ? ACC_EXEC : ACC_READ, REGIME_HLV, &w, &t), !rows[i].cause);
        if (!CHECK_INT(t.cause, rows[i].cause)) {
            CHECK_INT(i, UINT64_MAX);
        }
        CHECK_INT(t.value3, rows[i].cause ? TRAP_GVA : 0);
    }
    Walk w;
    Trap t;
    bench_open(&b, ALL, ALL, V | X | AD);
    b.g.r.hstatus |= HSTATUS_SPVP;
    riscv_csr_write(&b.g.r, 0x3b1, ~0ull, 0);
    riscv_csr_write(&b.g.r, 0x3b0, DATA_HOST >> 2 | 0x1ff, 0);
    riscv_csr_write(&b.g.r, 0x3a0, 0x1f1c, 0); /* X only; all else */
    CHECK(!walk(&b, GVA, ACC_EXEC, REGIME_HLV, &w, &t));
    CHECK_INT(t.cause, CAUSE_LOAD_ACCESS);
    CHECK(walk(&b, GVA, ACC_EXEC, REGIME_VS, &w, &t)); /* a fetch */
}

TEST(riscv64_walk2, faults_beside_translation_are_of_the_guest_too)
{
    static Bench b;
    Trap t = {0};
    bench_open(&b, ALL, ALL, 0);
    riscv_bus_fault(&b.g.r.f, 0x123, DATA, ACC_READ, REGIME_HLV, &t);
    CHECK_INT(t.cause, CAUSE_LOAD_ACCESS);
    CHECK_INT(t.value3, TRAP_GVA);
    riscv_align_fault(&b.g.r.f, 0x123, ACC_WRITE, REGIME_VU, &t);
    CHECK_INT(t.cause, CAUSE_STORE_MISALIGNED);
    CHECK_INT(t.value3, TRAP_GVA);
    riscv_bus_fault(&b.g.r.f, 0x123, DATA, ACC_READ, REGIME_S, &t);
    CHECK_INT(t.value3, 0);
}
