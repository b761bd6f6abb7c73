/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum { MAX_REGS = 200 };

static RegId id_of(const char *name)
{
    const RegInfo *info = reg_find(GUEST_riscv64, name);
    CHECK(info != NULL);
    return info ? info->id : 0;
}
static uint64_t get(Rig *g, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(guest_riscv64.reg_get(&g->r.f, id_of(name), &value, NULL), 0);
    return value;
}
static int set(Rig *g, const char *name, uint64_t value, Err *err)
{
    return guest_riscv64.reg_set(&g->r.f, id_of(name), &value, err);
}

TEST(riscv64_reg, what_is_set_is_got)
{
    static Rig g;
    rig_open(&g, false, NULL);
    static const char *const names[] = {"ra",     "t6",       "pc",   "sscratch", "mscratch", "mepc",   "stvec",
                                        "scause", "minstret", "satp", "medeleg",  "mie",      "mcycle", "stimecmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint64_t value = i == 9 ? 8ull << 60 | 0x123 : 0x220;
        CHECK_INT(set(&g, names[i], value, NULL), 0);
        CHECK_INT(get(&g, names[i]), value);
    }
    CHECK_INT(set(&g, "priv", PRIV_S, NULL), 0);
    CHECK_INT(get(&g, "priv"), PRIV_S);
    CHECK_INT(get(&g, "mhartid"), 5);
}

TEST(riscv64_reg, every_listed_register_restores_a_vcpu)
{
    static Rig a, b;
    for (unsigned is_virt = 0; is_virt < 2; is_virt++) {
        rig_open(&a, is_virt, NULL);
        rig_open(&b, is_virt, NULL);
        uint64_t seed = 0x9e3779b97f4a7c15ull;
        for (unsigned i = 1; i < 32; i++) {
            a.r.x[i] = seed *= 0x2545f4914f6cdd1dull;
        }
        for (unsigned csr = 0; csr < 4096; csr++) {
            if (riscv_csr(csr) && (csr & 0xff8) != 0x3a0) { /* pmpcfg below: it may lock pmpaddr */
                riscv_csr_write(&a.r, csr,
                                (seed *= 0x2545f4914f6cdd1dull) &
                                    (csr == 0x180 || csr == 0x280 || csr == 0x680 ? 0x80000000ffffffff : ~0ull),
                                0);
            }
        }
        riscv_csr_write(&a.r, 0x3a0, 0x9f1f0f, 0);
        guest_riscv64.line(&a.r.f, LINE_EXTERNAL, true);
        a.r.priv = PRIV_U;
        a.r.v = !is_virt;
        a.r.f.pc = 0x12344;
        RegId ids[MAX_REGS];
        size_t n = guest_riscv64.reg_list(&a.r.f, ids, MAX_REGS);
        CHECK(n > 40 && n < MAX_REGS);
        for (size_t i = 0; i < n; i++) {
            uint64_t value = 0;
            Err err = {0};
            CHECK_INT(guest_riscv64.reg_get(&a.r.f, ids[i], &value, NULL), 0);
            CHECK_INT(guest_riscv64.reg_set(&b.r.f, ids[i], &value, &err), 0);
            CHECK_STR(err.text, "");
        }
        if (is_virt) { /* what a guest cannot see is not restored, as it cannot have changed it */
#define CSR(name, number, need, when, field, writable, warl)                                                           \
    if (((number) >> 8 & 3) > PRIV_S) {                                                                                \
        b.r.field = a.r.field;                                                                                         \
    }
#define VIEW(name, number, need, when, field, readable, writable, warl)
#define CALC(name, number, need, when, read, write)
#define CALCS(first, last, need, when, read, write)
#define FIXED(first, last, value)
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
            b.r.menvcfg = a.r.menvcfg, b.r.mseccfg = a.r.mseccfg, b.r.mcountinhibit = a.r.mcountinhibit;
            b.r.vsatp = a.r.vsatp, b.r.hgatp = a.r.hgatp, b.r.vstimecmp = a.r.vstimecmp;
            b.r.htimedelta = a.r.htimedelta, b.r.henvcfg = a.r.henvcfg, b.r.is_vs_time_due = a.r.is_vs_time_due;
            b.r.cycle_base = a.r.cycle_base, b.r.instret_base = a.r.instret_base;
            memcpy(b.r.hpm, a.r.hpm, sizeof b.r.hpm);
            b.r.has_hpm_event = a.r.has_hpm_event;
            memcpy(b.r.pmpaddr, a.r.pmpaddr, sizeof b.r.pmpaddr);
            memcpy(b.r.pmpcfg, a.r.pmpcfg, sizeof b.r.pmpcfg);
            b.r.pmp_used = a.r.pmp_used;
        }
        CHECK(!memcmp((char *)&a.r + sizeof(Frame), (char *)&b.r + sizeof(Frame), sizeof(RiscvFrame) - sizeof(Frame)));
        CHECK_INT(b.r.f.pc, 0x12344);
    }
}

TEST(riscv64_reg, what_a_csr_can_hold_is_writable_through_its_register)
{
    size_t n;
    const RegInfo *rows = reg_table(GUEST_riscv64, &n);
    for (size_t i = 0; i < n; i++) {
        const Csr *c = REG_CLASS(rows[i].id) == REG_SYS ? riscv_csr((unsigned)REG_INDEX(rows[i].id)) : NULL;
        if (!c || !rows[i].writable || (c->when != WHEN_PLAIN && c->when != WHEN_SYNC)) {
            continue;
        }
        if (!CHECK_INT(c->slot ? c->writable & ~rows[i].writable : 0, 0)) {
            CHECK_STR(rows[i].name, "writable as csr.def says");
        }
    }
}

TEST(riscv64_reg, the_list_has_no_register_twice_and_none_that_only_reads)
{
    static Rig g;
    rig_open(&g, false, NULL);
    RegId ids[MAX_REGS];
    size_t n = guest_riscv64.reg_list(&g.r.f, ids, MAX_REGS);
    CHECK_INT(guest_riscv64.reg_list(&g.r.f, ids, 3), n);
    n = guest_riscv64.reg_list(&g.r.f, ids, MAX_REGS);
    for (size_t i = 0; i < n; i++) {
        CHECK(ids[i] != id_of("sstatus") && ids[i] != id_of("zero") && ids[i] != id_of("time") &&
              ids[i] != id_of("mip"));
    }
    rig_open(&g, true, NULL);
    n = guest_riscv64.reg_list(&g.r.f, ids, MAX_REGS);
    bool has_sstatus = false;
    for (size_t i = 0; i < n; i++) {
        CHECK(ids[i] != id_of("mstatus") && ids[i] != id_of("pmpaddr0"));
        has_sstatus |= ids[i] == id_of("sstatus");
    }
    CHECK(has_sstatus);
}

TEST(riscv64_reg, values_that_a_register_cannot_hold_are_refused_and_change_nothing)
{
    static const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"satp", 1ull << 63 | 1ull << 62}, {"priv", 2},   {"priv", 6}, {"priv", 7},
                {"mstatus", 2ull << 11},           {"pmpcfg0", 2}};
    static Rig g;
    rig_open(&g, false, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Err err = {0};
        uint64_t old = get(&g, rows[i].name);
        CHECK_INT(set(&g, rows[i].name, rows[i].value, &err), -ERR_INVAL);
        CHECK_HAS(err.text, rows[i].name);
        CHECK_INT(get(&g, rows[i].name), old);
    }
    Err err = {0};
    CHECK_INT(set(&g, "zero", 1, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "read-only");
    rig_open(&g, true, NULL);
    CHECK_INT(set(&g, "priv", PRIV_M, &err), -ERR_INVAL);
}

TEST(riscv64_reg, the_privilege_has_v_where_there_is_h)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(set(&g, "priv", 5, NULL), 0);
    CHECK(g.r.v && g.r.priv == PRIV_S);
    CHECK_INT(get(&g, "priv"), 5);
    CHECK_INT(set(&g, "priv", 4, NULL), 0);
    CHECK(g.r.v && g.r.priv == PRIV_U);
    CHECK_INT(set(&g, "priv", 3, NULL), 0);
    CHECK(!g.r.v);
    rig_open(&g, false, "rv64imac,h=off");
    CHECK_INT(set(&g, "priv", 5, NULL), -ERR_INVAL);
}

TEST(riscv64_reg, bits_that_are_read_only_are_ignored)
{
    static Rig g;
    rig_open(&g, true, NULL);
    CHECK_INT(set(&g, "sstatus", MSTATUS_SUM, NULL), 0);
    CHECK_INT(get(&g, "sstatus"), MSTATUS_SUM | MSTATUS_UXL);
    CHECK_INT(set(&g, "pc", 0x1001, NULL), 0);
    CHECK_INT(get(&g, "pc"), 0x1000);
}

TEST(riscv64_reg, a_register_that_this_cpu_lacks_does_not_exist)
{
    static Rig g;
    uint64_t value = 0;
    Err err = {0};
    rig_open(&g, true, "rv64imac,sstc=off");
    static const char *const names[] = {"mstatus", "f0", "fcsr", "mp_state", "stimecmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_INT(guest_riscv64.reg_get(&g.r.f, id_of(names[i]), &value, &err), -ERR_NOENT);
        CHECK_INT(guest_riscv64.reg_set(&g.r.f, id_of(names[i]), &value, &err), -ERR_NOENT);
        CHECK_HAS(err.text, names[i]);
    }
    CHECK_INT(guest_riscv64.reg_get(&g.r.f, 0, &value, &err), -ERR_NOENT);
    CHECK_INT(guest_riscv64.reg_get(&g.r.f, REG_ID(GUEST_x86_64, 3, REG_GPR, 0), &value, &err), -ERR_NOENT);
}
