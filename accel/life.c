/* SPDX-License-Identifier: Apache-2.0
 * The two lifecycle models, as tables of op x state. Nothing here runs: vcpu.c looks cells up and obeys. */
#include "accel/accel.h"
#include "sim/base/mem.h"

#include <string.h>

#define STAY LIFE_STAY
/* A LifeCell: verdict, state when rejected, state while it runs; then the state after each outcome. */
#define CELL(verdict, rejected, entered, ...)                                                                          \
    {                                                                                                                  \
        verdict, rejected, entered,                                                                                    \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define STILL STAY, STAY, STAY, STAY, STAY
/* Allowed; the state does not change, whatever happens. */
#define OK__ CELL(0, STAY, STAY, STILL)
/* Rejected, state unchanged: not in this state; stop it first; not an operation of this model. */
#define NO__ CELL(ERR_STATE, STAY, STAY, STILL)
#define BUSY CELL(ERR_BUSY, STAY, STAY, STILL)
#define NONE CELL(ERR_UNSUPPORTED, STAY, STAY, STILL)
/* Rejected, and the state is lost. */
#define POIS CELL(ERR_STATE, AX_Invalid, STAY, STILL)
/* Allowed: the new state on success; on success or error. */
#define TO(ok)         CELL(0, STAY, STAY, ok, ok, ok, ok, STAY)
#define TO_OR(ok, bad) CELL(0, STAY, STAY, ok, ok, bad, ok, bad)

/* One row per operation, one column per state; each COLn picks a column, as the tables are indexed by state first. */
/* NOLINTBEGIN(bugprone-macro-parentheses): the cells are initialisers in braces */
#define COL0(op, a, b, c, d, e, f, g) [LIFE_##op] = a,
#define COL1(op, a, b, c, d, e, f, g) [LIFE_##op] = b,
#define COL2(op, a, b, c, d, e, f, g) [LIFE_##op] = c,
#define COL3(op, a, b, c, d, e, f, g) [LIFE_##op] = d,
#define COL4(op, a, b, c, d, e, f, g) [LIFE_##op] = e,
#define COL5(op, a, b, c, d, e, f, g) [LIFE_##op] = f,
#define COL6(op, a, b, c, d, e, f, g) [LIFE_##op] = g,
/* NOLINTEND(bugprone-macro-parentheses) */
#define CELLS(MODEL)                                                                                                   \
    {                                                                                                                  \
        {MODEL(COL0)}, {MODEL(COL1)}, {MODEL(COL2)}, {MODEL(COL3)}, {MODEL(COL4)}, {MODEL(COL5)},                      \
        {                                                                                                              \
            MODEL(COL6)                                                                                                \
        }                                                                                                              \
    }
#define BIT(state) (1u << (state))

/* ---- virtualcpu: a rejected operation changes nothing ---- */
enum { VC_Created, VC_Ready, VC_Running, VC_Paused, VC_Halted, VC_Faulted, VC_Destroyed, VC_COUNT };
static const char *const virtualcpu_states[VC_COUNT] = {"Created", "Ready",   "Running",  "Paused",
                                                        "Halted",  "Faulted", "Destroyed"};

/* An exit leads back to Ready unless it says otherwise. Ready -> Faulted is an entry that failed before the vcpu ran:
 * then `during` was never reached. Running without a thread inside is what resume leaves; there an error leaves it. */
#define RUN_READY CELL(0, STAY, VC_Running, VC_Ready, VC_Halted, VC_Faulted, VC_Paused, VC_Ready)
#define RUN_AGAIN CELL(0, STAY, VC_Running, VC_Ready, VC_Halted, VC_Faulted, VC_Paused, VC_Running)
#define INIT      TO_OR(VC_Ready, VC_Faulted)
#define READ      TO(VC_Ready)
#define PAUS      TO(VC_Paused)
#define RSUM      TO(VC_Running)
#define HALT      TO(VC_Halted)
#define DEST      TO(VC_Destroyed)
#define SNAP      TO(LIFE_FROM_ARG)
/* op, Created, Ready, Running, Paused, Halted, Faulted, Destroyed. restore replaces the state rather than moving along
 * an edge: its targets are the snapshot's, so they are not in `edges`. */
#define VIRTUALCPU(X)                                                                                                  \
    X(setup, INIT, NO__, NO__, NO__, NO__, NO__, NO__)                                                                 \
    X(bind, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                  \
    X(run, NO__, RUN_READY, RUN_AGAIN, NO__, NO__, NO__, NO__)                                                         \
    X(unbind, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                \
    X(pause, NO__, NO__, PAUS, NO__, NO__, NO__, NO__)                                                                 \
    X(resume, NO__, NO__, NO__, RSUM, NO__, NO__, NO__)                                                                \
    X(halt, NO__, HALT, HALT, HALT, OK__, NO__, NO__)                                                                  \
    X(reset, NO__, NO__, NO__, READ, READ, NO__, NO__)                                                                 \
    X(interrupt, NO__, OK__, OK__, OK__, READ, NO__, NO__)                                                             \
    X(destroy, DEST, DEST, BUSY, DEST, DEST, DEST, NO__)                                                               \
    X(get_regs, NO__, OK__, BUSY, OK__, OK__, OK__, NO__)                                                              \
    X(set_regs, NO__, OK__, BUSY, OK__, OK__, NO__, NO__)                                                              \
    X(set_gpr, NO__, OK__, BUSY, OK__, OK__, NO__, NO__)                                                               \
    X(set_return, NO__, OK__, BUSY, OK__, OK__, NO__, NO__)                                                            \
    X(save, NO__, OK__, BUSY, OK__, OK__, OK__, NO__)                                                                  \
    X(restore, SNAP, SNAP, NO__, SNAP, SNAP, NO__, NO__)                                                               \
    X(reserve, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                               \
    X(rollback, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                              \
    X(transition, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                            \
    X(set_entry, OK__, NO__, NO__, NO__, NO__, NO__, NO__)                                                             \
    X(set_stage2, OK__, NO__, NO__, NO__, NO__, NO__, NO__)                                                            \
    X(set_state, NONE, NONE, NONE, NONE, NONE, NONE, NONE)
static const LifeCell virtualcpu_cells[VC_COUNT][LIFE_OP_COUNT] = CELLS(VIRTUALCPU);

static const char *const virtualcpu_ops[LIFE_OP_COUNT] = {
    [LIFE_setup] = "init",          [LIFE_run] = "execute",
    [LIFE_pause] = "pause",         [LIFE_resume] = "resume",
    [LIFE_halt] = "halt",           [LIFE_reset] = "reset",
    [LIFE_interrupt] = "interrupt", [LIFE_destroy] = "destroy",
    [LIFE_get_regs] = "get_regs",   [LIFE_set_regs] = "set_regs",
    [LIFE_set_gpr] = "set_gpr",     [LIFE_set_return] = "set_return",
    [LIFE_save] = "save",           [LIFE_restore] = "restore",
    [LIFE_set_entry] = "set_entry", [LIFE_set_stage2] = "set_stage2",
};

static const uint32_t virtualcpu_edges[VC_COUNT] = {
    [VC_Created] = BIT(VC_Ready) | BIT(VC_Faulted) | BIT(VC_Destroyed),
    [VC_Ready] = BIT(VC_Running) | BIT(VC_Halted) | BIT(VC_Faulted) | BIT(VC_Destroyed),
    [VC_Running] = BIT(VC_Ready) | BIT(VC_Paused) | BIT(VC_Halted) | BIT(VC_Faulted),
    [VC_Paused] = BIT(VC_Ready) | BIT(VC_Running) | BIT(VC_Halted) | BIT(VC_Destroyed),
    [VC_Halted] = BIT(VC_Ready) | BIT(VC_Destroyed),
    [VC_Faulted] = BIT(VC_Destroyed),
};

const LifeModel life_virtualcpu = {
    .name = "virtualcpu",
    .states = virtualcpu_states,
    .op_names = virtualcpu_ops,
    .nstates = VC_COUNT,
    .initial = VC_Created,
    .cell = virtualcpu_cells,
    .edges = virtualcpu_edges,
};

/* ---- axvcpu: a failed precondition poisons to Invalid ---- */
enum { AX_Invalid, AX_Created, AX_Free, AX_Ready, AX_Running, AX_Blocked, AX_Starting, AX_COUNT };
static const char *const axvcpu_states[AX_COUNT] = {"Invalid", "Created", "Free",    "Ready",
                                                    "Running", "Blocked", "Starting"};

#define AX_RUN CELL(0, STAY, AX_Running, AX_Ready, AX_Ready, AX_Ready, AX_Ready, AX_Invalid)
#define AX_SET TO_OR(AX_Free, AX_Invalid)
#define AX_BND TO_OR(AX_Ready, AX_Invalid)
#define AX_BNS TO_OR(AX_Ready, AX_Free) /* a vcpu that was being started is free again */
#define AX_UNB TO_OR(AX_Free, AX_Invalid)
#define AX_RSV TO(AX_Starting)
#define AX_RBK TO(AX_Free)
/* The cell allows any state: the precondition is the operation's own argument. */
#define AX_TRN CELL(0, AX_Invalid, STAY, LIFE_FROM_ARG, LIFE_FROM_ARG, STAY, LIFE_FROM_ARG, STAY)
/* op, Invalid, Created, Free, Ready, Running, Blocked, Starting. Reading and writing registers and injection look at no
 * state. reserve asks whether the vcpu may start, which answers "already on" elsewhere and harms nothing. */
#define AXVCPU(X)                                                                                                      \
    X(setup, POIS, AX_SET, POIS, POIS, POIS, POIS, POIS)                                                               \
    X(bind, POIS, POIS, AX_BND, POIS, POIS, POIS, AX_BNS)                                                              \
    X(run, POIS, POIS, POIS, AX_RUN, POIS, POIS, POIS)                                                                 \
    X(unbind, POIS, POIS, POIS, AX_UNB, POIS, POIS, POIS)                                                              \
    X(pause, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                 \
    X(resume, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                \
    X(halt, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                  \
    X(reset, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                 \
    X(interrupt, OK__, OK__, OK__, OK__, OK__, OK__, OK__)                                                             \
    X(destroy, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                               \
    X(get_regs, OK__, OK__, OK__, OK__, BUSY, OK__, OK__)                                                              \
    X(set_regs, OK__, OK__, OK__, OK__, BUSY, OK__, OK__)                                                              \
    X(set_gpr, OK__, OK__, OK__, OK__, OK__, OK__, OK__)                                                               \
    X(set_return, OK__, OK__, OK__, OK__, OK__, OK__, OK__)                                                            \
    X(save, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                                  \
    X(restore, NONE, NONE, NONE, NONE, NONE, NONE, NONE)                                                               \
    X(reserve, NO__, NO__, AX_RSV, NO__, NO__, NO__, NO__)                                                             \
    X(rollback, NO__, NO__, NO__, NO__, NO__, NO__, AX_RBK)                                                            \
    X(transition, AX_TRN, AX_TRN, AX_TRN, AX_TRN, AX_TRN, AX_TRN, AX_TRN)                                              \
    X(set_entry, OK__, OK__, OK__, OK__, OK__, OK__, OK__)                                                             \
    X(set_stage2, OK__, OK__, OK__, OK__, OK__, OK__, OK__)                                                            \
    X(set_state, SNAP, SNAP, SNAP, SNAP, SNAP, SNAP, SNAP)
static const LifeCell axvcpu_cells[AX_COUNT][LIFE_OP_COUNT] = CELLS(AXVCPU);

static const char *const axvcpu_ops[LIFE_OP_COUNT] = {
    [LIFE_setup] = "setup",
    [LIFE_bind] = "bind",
    [LIFE_run] = "run",
    [LIFE_unbind] = "unbind",
    [LIFE_interrupt] = "inject",
    [LIFE_get_regs] = "get_regs",
    [LIFE_set_regs] = "set_regs",
    [LIFE_set_gpr] = "set_gpr",
    [LIFE_set_return] = "set_return_value",
    [LIFE_reserve] = "reserve",
    [LIFE_rollback] = "rollback",
    [LIFE_transition] = "transition_state",
    [LIFE_set_entry] = "set_entry",
    [LIFE_set_stage2] = "set_ept_root",
    [LIFE_set_state] = "set_state",
};

/* The eight edges without poisoning; Blocked has none. */
static const uint32_t axvcpu_edges[AX_COUNT] = {
    [AX_Created] = BIT(AX_Free),
    [AX_Free] = BIT(AX_Ready) | BIT(AX_Starting),
    [AX_Ready] = BIT(AX_Running) | BIT(AX_Free),
    [AX_Running] = BIT(AX_Ready),
    [AX_Starting] = BIT(AX_Ready) | BIT(AX_Free),
};

const LifeModel life_axvcpu = {
    .name = "axvcpu",
    .states = axvcpu_states,
    .op_names = axvcpu_ops,
    .nstates = AX_COUNT,
    .initial = AX_Created,
    .cell = axvcpu_cells,
    .edges = axvcpu_edges,
};

/* ---- names ---- */
#define X(name) #name,
static const char *const op_names[LIFE_OP_COUNT] = {LIFE_OP_MAP(X)};
#undef X

const LifeModel *life_find(const char *name)
{
    static const LifeModel *const models[] = {&life_virtualcpu, &life_axvcpu};
    for (size_t i = 0; name && i < ARRAY_LEN(models); i++) {
        if (!strcmp(models[i]->name, name)) {
            return models[i];
        }
    }
    return NULL;
}

int life_op_find(const LifeModel *m, const char *name)
{
    for (int i = 0; name && i < LIFE_OP_COUNT; i++) {
        if (m->op_names[i] && (!strcmp(m->op_names[i], name) || !strcmp(op_names[i], name))) {
            return i;
        }
    }
    return -1;
}

int life_state_find(const LifeModel *m, const char *name)
{
    for (int i = 0; name && i < m->nstates; i++) {
        if (!strcmp(m->states[i], name)) {
            return i;
        }
    }
    return -1;
}
