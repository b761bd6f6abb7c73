/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/collect.h"
#include "sim/base/test.h"

#include <string.h>

static uint64_t hits_of(const Coverage *c, const char *kind, const char *name)
{
    uint32_t item = coverage_item_find(c, kind, name);
    uint64_t n = 0;
    for (size_t i = 0; i < c->hits.n; i++) {
        n += c->hits.items[i].item == item ? c->hits.items[i].count : 0;
    }
    return n;
}

static Coverage *end_of(CovJob *j)
{
    Coverage *c = coverage_new();
    coverage_universe(c);
    covjob_end(j, c, coverage_context(c, "fake", "riscv64", ""), coverage_scenario(c, "s"));
    covjob_free(j);
    return c;
}

/* The job ends, and has hit these items so often. */
typedef struct {
    const char *kind, *name;
    uint64_t hits;
} Want;
static void check_hits(CovJob *j, const Want *wants, size_t n)
{
    Coverage *c = end_of(j);
    for (size_t i = 0; i < n; i++) {
        if (!CHECK_INT(hits_of(c, wants[i].kind, wants[i].name), wants[i].hits)) {
            CHECK_STR(wants[i].name, "");
        }
    }
    coverage_free(c);
}
#define CHECK_HITS(j, ...)                                                                                             \
    check_hits(j, (const Want[]){__VA_ARGS__}, sizeof((const Want[]){__VA_ARGS__}) / sizeof(Want))

static uint8_t state(const LifeModel *m, const char *name)
{
    return (uint8_t)life_state_find(m, name);
}

static size_t listed(const Coverage *c, const char *kind, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < c->items.n; i++) {
        const CovItem *item = &c->items.items[i];
        n += item->is_listed && !strcmp(c->kinds.items[item->kind], kind) && (!group || !strcmp(item->group, group));
    }
    return n;
}

TEST(universe, lists_what_the_tables_have)
{
    Coverage *c = coverage_new();
    coverage_universe(c);
    CHECK_INT(listed(c, "exit", NULL), EXIT_COUNT);
    CHECK_INT(listed(c, "capability", NULL), CAP_COUNT);
    CHECK_INT(listed(c, "error", NULL), ERR_COUNT - 1);
    CHECK_INT(listed(c, "lifecycle_edge", "virtualcpu edges"), 18);
    CHECK_INT(listed(c, "lifecycle_edge", "axvcpu edges"), 8);
    CHECK_INT(listed(c, "lifecycle_edge", "axvcpu poisoning"), 6);
    CHECK_INT(listed(c, "lifecycle", NULL), 7 * 16 + 7 * 15);
    CHECK(coverage_item_find(c, "lifecycle", "virtualcpu pause in Ready") != COV_NONE);
    CHECK(coverage_item_find(c, "lifecycle", "axvcpu set_ept_root in Blocked") != COV_NONE);
    CHECK(coverage_item_find(c, "operation", "vm_map EXIST") != COV_NONE);
    coverage_free(c);
}

/* Every function of outcomes.def is one of accel.h, and its errors are errors. */
TEST(universe, outcomes_are_spelled_as_the_errors_are)
{
    Coverage *c = coverage_new();
    coverage_universe(c);
    for (size_t i = 0; i < c->items.n; i++) {
        const CovItem *item = &c->items.items[i];
        if (!strcmp(c->kinds.items[item->kind], "operation")) {
            const char *outcome = strchr(item->name, ' ') + 1;
            CHECK(!strcmp(outcome, "ok") || coverage_item_find(c, "error", outcome) != COV_NONE);
        }
    }
    coverage_free(c);
}

TEST(collect, a_run_asks_its_cell_once)
{
    const LifeModel *m = &life_virtualcpu;
    uint8_t created = state(m, "Created"), ready = state(m, "Ready"), running = state(m, "Running");
    CovJob *j = covjob_new(m);
    covjob_on_op(j, 0, LIFE_setup, created, ready, 0);
    covjob_on_op(j, 0, LIFE_run, ready, running, 0);
    covjob_on_op(j, 0, LIFE_run, running, ready, 0);
    covjob_on_op(j, 0, LIFE_pause, ready, ready, -ERR_STATE);
    CHECK_HITS(j, {"lifecycle", "virtualcpu execute in Ready", 1}, {"lifecycle", "virtualcpu execute in Running", 0},
               {"lifecycle", "virtualcpu pause in Ready", 1}, {"lifecycle_edge", "virtualcpu Ready to Running", 1},
               {"lifecycle_edge", "virtualcpu Running to Ready", 1}, {"operation", "vcpu_pause STATE", 1},
               {"operation", "vcpu_setup ok", 1}, {"error", "STATE", 1});
}

TEST(collect, a_pause_ends_the_run_that_it_stops)
{
    const LifeModel *m = &life_virtualcpu;
    uint8_t ready = state(m, "Ready"), running = state(m, "Running"), paused = state(m, "Paused");
    CovJob *j = covjob_new(m);
    covjob_on_op(j, 3, LIFE_run, ready, running, 0);
    covjob_on_op(j, 3, LIFE_get_regs, running, running, -ERR_BUSY);
    covjob_on_op(j, 3, LIFE_pause, running, paused, 0);
    covjob_on_op(j, 3, LIFE_resume, paused, running, 0);
    covjob_on_op(j, 3, LIFE_run, running, running, 0); /* entered again .. */
    covjob_on_op(j, 3, LIFE_run, running, ready, 0);   /* .. and out */
    CHECK_HITS(j, {"lifecycle", "virtualcpu pause in Running", 1}, {"lifecycle", "virtualcpu get_regs in Running", 1},
               {"lifecycle", "virtualcpu execute in Running", 1}, {"lifecycle", "virtualcpu execute in Ready", 1},
               {"lifecycle_edge", "virtualcpu Running to Paused", 1});
}

TEST(collect, an_allowed_operation_that_was_hindered_reaches_no_cell)
{
    const LifeModel *m = &life_virtualcpu;
    CovJob *j = covjob_new(m);
    covjob_on_op(j, 0, LIFE_set_regs, state(m, "Ready"), state(m, "Ready"), -ERR_BUSY); /* a reply is due */
    covjob_on_op(j, 0, LIFE_setup, state(m, "Created"), state(m, "Faulted"), -ERR_HOST);
    covjob_on_op(j, 0, LIFE_pause, state(m, "Ready"), state(m, "Ready"), -ERR_IO); /* not the table's word */
    CHECK_HITS(j, {"lifecycle", "virtualcpu set_regs in Ready", 0}, {"lifecycle", "virtualcpu init in Created", 1},
               {"lifecycle", "virtualcpu pause in Ready", 0}, {"lifecycle_edge", "virtualcpu Created to Faulted", 1},
               {"operation", "vcpu_set_regs BUSY", 1});
}

TEST(collect, calls_and_exits)
{
    CovJob *j = covjob_new(&life_axvcpu);
    covjob_on_call(j, "vm_map", 0);
    covjob_on_call(j, "vm_map", -ERR_EXIST);
    covjob_on_exit(j, &(VmExit){.kind = EXIT_halt});
    covjob_on_exit(j, &(VmExit){.kind = EXIT_halt});
    covjob_on_op(j, 0, LIFE_set_state, 0, 5, 0);
    covjob_on_op(j, 0, LIFE_set_state, 0, 99, 0); /* of no model */
    Coverage *c = end_of(j);
    CHECK_INT(hits_of(c, "operation", "vm_map ok"), 1);
    CHECK_INT(hits_of(c, "operation", "vm_map EXIST"), 1);
    CHECK_INT(hits_of(c, "error", "EXIST"), 1);
    CHECK_INT(hits_of(c, "exit", "halt"), 2);
    CHECK_INT(hits_of(c, "lifecycle", "axvcpu set_state in Invalid"), 1);
    CHECK(!c->items.items[coverage_item_find(c, "lifecycle_edge", "axvcpu Invalid to Blocked")].is_listed);
    coverage_free(c);
}

TEST(collect, an_answer_lists_and_counts)
{
    static const char text[] = "csr\triscv64\tstvec read\t2\ndecode\trv64 I\taddi\t0\n";
    CovJob *j = covjob_new(&life_virtualcpu);
    CHECK_INT(covjob_answer(j, text, sizeof text - 1, NULL), 0);
    Coverage *c = end_of(j);
    CHECK_INT(hits_of(c, "csr", "stvec read"), 2);
    uint32_t addi = coverage_item_find(c, "decode", "addi");
    if (CHECK(addi != COV_NONE)) {
        CHECK(c->items.items[addi].is_listed);
        CHECK_STR(c->items.items[addi].scope, "sim-*");
        CHECK_STR(c->items.items[addi].group, "rv64 I");
    }
    coverage_free(c);
}

TEST(collect, a_wrong_answer_adds_nothing)
{
    static const char *const wrong[] = {
        "csr\tg\tn",     "csr\tg\tn\t2",       "csr\tg\tn\tx\n", "csr\tg\tn\t1\t2\n",
        "csr\tg\t\t1\n", "csr\tg\tn\001\t1\n", "a\tb\tc\t1\n\n", "csr\tg\tn\t99999999999999999999\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        Buf text = {0};
        Err err = {0};
        buf_str(&text, "csr\tg\tgood\t1\n");
        buf_str(&text, wrong[i]);
        CovJob *j = covjob_new(&life_virtualcpu);
        CHECK_INT(covjob_answer(j, text.data, text.n, &err), -ERR_PROTO);
        CHECK_HAS(err.text, ": line ");
        Coverage *c = end_of(j);
        CHECK_INT(coverage_item_find(c, "csr", "good"), COV_NONE);
        coverage_free(c);
        buf_free(&text);
    }
    CovJob *j = covjob_new(&life_virtualcpu);
    CHECK_INT(covjob_answer(j, "csr\tg\tn\t1\n\0", 11, NULL), -ERR_PROTO);
    covjob_free(j);
}

TEST(collect, what_a_backend_cannot_do_is_left_out_with_its_reason)
{
    Coverage *c = coverage_new();
    Caps caps = {0};
    coverage_universe(c);
    for (int i = 0; i < CAP_COUNT; i++) {
        caps.level[i] = CAP_FULL;
    }
    caps.level[CAP_msi] = caps.level[CAP_dirty_log] = CAP_NONE;
    caps.why[CAP_msi] = "no controller inside";
    caps.level[CAP_sysreg_exit] = caps.level[CAP_step] = CAP_NONE;
    caps.why[CAP_sysreg_exit] = "served inside";
    uint32_t x = coverage_opened(c, "sim-jit", GUEST_riscv64, &caps);
    CHECK_STR(c->contexts.items[x].engine, "jit");
    CHECK_STR(coverage_excluded(c, coverage_item_find(c, "capability", "msi"), x), "no controller inside");
    CHECK_STR(coverage_excluded(c, coverage_item_find(c, "exit", "sysreg_read"), x), "served inside");
    CHECK(!coverage_excluded(c, coverage_item_find(c, "exit", "debug"), x)); /* by a breakpoint, still */
    CHECK(!coverage_excluded(c, coverage_item_find(c, "operation", "vm_dirty_get UNSUPPORTED"), x));
    CHECK_STR(coverage_excluded(c, coverage_item_find(c, "operation", "vm_dirty_get ok"), x),
              "it does not have dirty_log");
    CHECK_STR(coverage_excluded(c, coverage_item_find(c, "operation", "vm_save UNSUPPORTED"), x), "it has save");
    CHECK(!coverage_excluded(c, coverage_item_find(c, "operation", "vm_save ok"), x));
    uint32_t y = coverage_opened(c, "kvm", GUEST_riscv64, &(Caps){.level = {[CAP_step] = CAP_FULL}});
    CHECK_STR(coverage_excluded(c, coverage_item_find(c, "capability", "boot"), y), "n/a");
    coverage_free(c);
}
