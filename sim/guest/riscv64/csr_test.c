/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum {
    SSTATUS = 0x100,
    SIE = 0x104,
    SIP = 0x144,
    SENVCFG = 0x10a,
    SATP = 0x180,
    MSTATUS = 0x300,
    MISA = 0x301,
    MEDELEG = 0x302,
    MIDELEG = 0x303
};
enum { MIE = 0x304, MTVEC = 0x305, MENVCFG = 0x30a, MIP = 0x344, TSELECT = 0x7a0, TDATA1 = 0x7a1 };

static uint64_t after(Rig *g, unsigned csr, uint64_t value)
{
    riscv_csr_write(&g->r, csr, value, 0);
    return riscv_csr_read(&g->r, csr, 0);
}

TEST(riscv64_csr, every_csr_has_a_name_in_assembly_text)
{
    for (unsigned i = 0; i < 4096; i++) {
        if (riscv_csr(i)) {
            CHECK(riscv_csr_name(i) != NULL);
        }
    }
    CHECK(riscv_csr_name(0x800) == NULL);
    CHECK(riscv_csr(4096) == NULL);
}

TEST(riscv64_csr, any_value_can_be_written_to_any_csr_and_reads_back_the_same_twice)
{
    static Rig g;
    static const uint64_t values[] = {0, ~0ull, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x8000000000000000};
    for (unsigned i = 0; i < 4096; i++) {
        for (size_t k = 0; riscv_csr(i) && k < ARRAY_LEN(values); k++) {
            rig_open(&g, false, NULL);
            uint64_t once = after(&g, i, values[k]);
            CHECK_INT(after(&g, i, once), once);
            CHECK_INT(g.r.f.zero, 0);
            CHECK_INT(g.r.x[0], 0);
        }
    }
}

typedef struct {
    uint64_t space_tag, mode_key, cause;
    unsigned data_regime, fetch_regime;
} Mode;

/* What a block may take for granted until its end, at privilege priv with every line up. */
static Mode mode_of(Rig *g, unsigned priv)
{
    Mode m = {0};
    Trap t;
    rig_mode(g, priv);
    riscv_context(&g->r.f, &m.space_tag, &m.data_regime, &m.fetch_regime);
    m.mode_key = riscv_mode_key(&g->r.f);
    m.cause = riscv_pending(&g->r.f, &t) ? t.cause : 0;
    return m;
}

TEST(riscv64_csr, a_write_of_a_plain_csr_is_a_move)
{
    static Rig g;
    static const uint64_t values[] = {0, ~0ull, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa};
    for (unsigned i = 0; i < 4096 * ARRAY_LEN(values) * 4; i++) {
        unsigned number = i >> 4, priv = i & 3;
        uint64_t value = values[i >> 2 & 3];
        const Csr *c = riscv_csr(number);
        if (!c || c->when != WHEN_PLAIN || priv == 2) {
            continue;
        }
        rig_open(&g, false, NULL);
        g.r.mip_lines = g.r.mie = IRQ_S;
        g.r.mcounteren = 7;
        riscv_fp_mark_dirty(&g.r);
        Mode before = mode_of(&g, priv);
        CHECK_INT(after(&g, number, value), value & c->writable);
        CHECK(!c->warl);
        Mode now = mode_of(&g, priv);
        if (!CHECK(!memcmp(&before, &now, sizeof now))) {
            CHECK_STR(riscv_csr_name(number), "SYNC");
        }
    }
}

TEST(riscv64_csr, sstatus_is_a_part_of_mstatus)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(after(&g, MSTATUS, ~0ull), MSTATUS_WRITABLE | MSTATUS_UXL | MSTATUS_SXL | MSTATUS_SD);
    CHECK_INT(riscv_csr_read(&g.r, SSTATUS, 0), SSTATUS_WRITABLE | MSTATUS_UXL | MSTATUS_SD);
    CHECK_INT(after(&g, SSTATUS, 0), MSTATUS_UXL);
    CHECK_INT(riscv_csr_read(&g.r, MSTATUS, 0), (MSTATUS_WRITABLE & ~SSTATUS_WRITABLE) | MSTATUS_UXL | MSTATUS_SXL);
}

TEST(riscv64_csr, mpp_holds_no_privilege_that_there_is_not)
{
    static Rig g;
    rig_open(&g, false, NULL);
    after(&g, MSTATUS, (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT);
    CHECK_INT(after(&g, MSTATUS, 2ull << MSTATUS_MPP_SHIFT) & MSTATUS_MPP, (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT);
}

TEST(riscv64_csr, satp_ignores_a_write_with_a_mode_that_there_is_not)
{
    static Rig g;
    rig_open(&g, false, NULL);
    uint64_t sv39 = 8ull << 60 | 0xffffull << 44 | 0x12345;
    CHECK_INT(after(&g, SATP, sv39), sv39);
    CHECK_INT(after(&g, SATP, 11ull << 60 | 7), sv39);
    CHECK_INT(after(&g, SATP, 0), 0);
    static const struct {
        const char *cpu;
        uint64_t mode;
        bool is_taken;
    } rows[] = {{NULL, 9, true},
                {NULL, 10, true},
                {NULL, 1, false},
                {NULL, 12, false},
                {"rv64imac,sv57=off", 9, true},
                {"rv64imac,sv57=off", 10, false},
                {"rv64imac,sv48=off", 8, true},
                {"rv64imac,sv48=off", 9, false},
                {"rv64imac,sv48=off", 10, false},
                {"rv64imac,sv39=off", 8, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, rows[i].cpu);
        uint64_t value = rows[i].mode << 60 | 5;
        CHECK_INT(after(&g, SATP, value), rows[i].is_taken ? value : 0);
    }
}

TEST(riscv64_csr, another_mode_of_satp_needs_no_fence)
{
    static Rig g;
    rig_open(&g, false, NULL);
    after(&g, SATP, 8ull << 60 | 5);
    CHECK_INT(exec_double.tlb_flushes, 1);
    after(&g, SATP, 8ull << 60 | 1ull << 44 | 6); /* another ASID has another tag */
    CHECK_INT(exec_double.tlb_flushes, 1);
    after(&g, SATP, 0);
    CHECK_INT(exec_double.tlb_flushes, 2);
    CHECK_INT(exec_double.space_tag, UINT64_MAX);
}

TEST(riscv64_csr, sie_and_sip_show_what_is_delegated_only)
{
    static Rig g;
    rig_open(&g, false, "rv64imac,h=off");
    CHECK_INT(after(&g, MIE, ~0ull), IRQ_ALL | IRQ_LCOFI);
    CHECK_INT(riscv_csr_read(&g.r, SIE, 0), 0);
    CHECK_INT(after(&g, MIDELEG, ~0ull), IRQ_S | IRQ_LCOFI);
    CHECK_INT(riscv_csr_read(&g.r, SIE, 0), IRQ_S | IRQ_LCOFI);
    CHECK_INT(after(&g, SIE, 0), 0);
    CHECK_INT(riscv_csr_read(&g.r, MIE, 0), IRQ_ALL & ~IRQ_S);
    CHECK_INT(after(&g, MIP, ~0ull), IRQ_S | IRQ_LCOFI); /* the machine's bits are lines */
    CHECK_INT(after(&g, SIP, 0), IRQ_STI | IRQ_SEI);
    after(&g, MIDELEG, IRQ_SEI);
    CHECK_INT(riscv_csr_read(&g.r, SIP, 0), IRQ_SEI);
}

TEST(riscv64_csr, menvcfg_has_what_the_cpu_has)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(after(&g, MENVCFG, ~0ull), MENVCFG_FIOM | ENVCFG_CBO | MENVCFG_ADUE | MENVCFG_PBMTE | MENVCFG_STCE);
    rig_open(&g, false, "rv64imac,sstc=off,svadu=off,svpbmt=off,zicbom=off");
    CHECK_INT(g.r.menvcfg, 0);
    CHECK_INT(after(&g, MENVCFG, ~0ull), MENVCFG_FIOM | ENVCFG_CBZE);
    CHECK_INT(after(&g, SENVCFG, ~0ull), MENVCFG_FIOM | ENVCFG_CBZE);
    rig_open(&g, false, "rv64imac,zicboz=off");
    CHECK_INT(after(&g, SENVCFG, ~0ull), MENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE);
}

TEST(riscv64_csr, a_reserved_way_of_cbo_inval_leaves_the_old_one)
{
    static Rig g;
    static const unsigned csrs[] = {SENVCFG, MENVCFG};
    for (size_t i = 0; i < ARRAY_LEN(csrs); i++) {
        rig_open(&g, false, NULL);
        CHECK_INT(after(&g, csrs[i], 1ull << 4), 1ull << 4);
        CHECK_INT(after(&g, csrs[i], 2ull << 4 | ENVCFG_CBZE), 1ull << 4 | ENVCFG_CBZE);
        CHECK_INT(after(&g, csrs[i], 3ull << 4), 3ull << 4);
    }
}

TEST(riscv64_csr, constants_ignore_writes_and_vectors_have_two_modes)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(after(&g, TSELECT, 3), 0); /* no triggers */
    CHECK_INT(after(&g, TDATA1, ~0ull), 0);
    CHECK_INT(after(&g, MISA, 0), riscv_csr_read(&g.r, MISA, 0));
    CHECK(riscv_csr_read(&g.r, MISA, 0) != 0);
    CHECK_INT(after(&g, MTVEC, 0x1003), 0x1001);
    CHECK_INT(after(&g, MEDELEG, ~0ull), 0xf0b7ff); /* not ecall from M-mode */
    rig_open(&g, false, "rv64imac,h=off");
    CHECK_INT(after(&g, MEDELEG, ~0ull), 0xb3ff);
    CHECK_INT(after(&g, MSTATUS, ~0ull) & (MSTATUS_GVA | MSTATUS_MPV), 0);
}
