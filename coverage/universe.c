/* SPDX-License-Identifier: Apache-2.0
 * universe.c - what there is to be reached on this side of the waist, from accel.h's own tables; and what a backend says
 * that it cannot do. */
#include "coverage/collect.h"
#include "coverage/model.h"

#include <stdio.h>
#include <string.h>

/* ---- lifecycles ---- */
uint32_t lifecycle_item(Coverage *c, const LifeModel *m, uint8_t state, LifeOp op)
{
#define X(name) #name,
    static const char *const plain[LIFE_OP_COUNT] = {LIFE_OP_MAP(X)};
#undef X
    char name[96], group[48];
    bool is_known = m->op_names[op] != NULL;
    snprintf(name, sizeof name, "%s %s in %s", m->name, is_known ? m->op_names[op] : plain[op], m->states[state]);
    snprintf(group, sizeof group, "%s %s", m->name, m->cell[state][op].verdict ? "rejected" : "legal");
    return is_known ? coverage_item(c, "lifecycle", group, name, "*") : coverage_found(c, "lifecycle", group, name);
}

/* May an operation that is rejected in `from` lead to `to`? */
static bool is_poisoning(const LifeModel *m, uint8_t from, uint8_t to)
{
    for (int op = 0; op < LIFE_OP_COUNT; op++) {
        const LifeCell *cell = &m->cell[from][op];
        if (m->op_names[op] && cell->verdict && cell->rejected_to == to) {
            return true;
        }
    }
    return false;
}

uint32_t lifecycle_edge(Coverage *c, const LifeModel *m, uint8_t from, uint8_t to)
{
    char name[96], group[48];
    bool is_edge = m->edges[from] >> to & 1, is_poison = !is_edge && is_poisoning(m, from, to);
    snprintf(name, sizeof name, "%s %s to %s", m->name, m->states[from], m->states[to]);
    snprintf(group, sizeof group, "%s %s", m->name, is_edge ? "edges" : is_poison ? "poisoning" : "forced");
    return is_edge || is_poison ? coverage_item(c, "lifecycle_edge", group, name, "*")
                                : coverage_found(c, "lifecycle_edge", group, name);
}

static void list_model(Coverage *c, const LifeModel *m)
{
    for (uint8_t s = 0; s < m->nstates; s++) {
        for (int op = 0; op < LIFE_OP_COUNT; op++) {
            if (m->op_names[op]) {
                lifecycle_item(c, m, s, (LifeOp)op);
            }
        }
        for (uint8_t to = 0; to < m->nstates; to++) {
            if (to != s && (m->edges[s] >> to & 1 || is_poisoning(m, s, to))) {
                lifecycle_edge(c, m, s, to);
            }
        }
    }
}

/* ---- calls ---- */
static const struct {
    const char *function, *cap, *errors;
} outcomes[] = {
#define OUTCOMES(function, cap, errors) {#function, #cap, errors},
#include "coverage/outcomes.def"
#undef OUTCOMES
};

static void list_outcome(Coverage *c, const char *function, const char *outcome, size_t n)
{
    char name[96];
    snprintf(name, sizeof name, "%s %.*s", function, (int)n, outcome);
    coverage_item(c, "operation", strncmp(function, "vm_", 3) == 0 ? "vm" : "vcpu", name, "*");
}

static void list_outcomes(Coverage *c)
{
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        list_outcome(c, outcomes[i].function, "ok", 2);
        for (const char *p = outcomes[i].errors; *p;) {
            size_t n = strcspn(p, " ");
            list_outcome(c, outcomes[i].function, p, n);
            p += n + (p[n] == ' ');
        }
        if (cap_find(outcomes[i].cap) >= 0) {
            list_outcome(c, outcomes[i].function, "UNSUPPORTED", strlen("UNSUPPORTED"));
        }
    }
}

void coverage_universe(Coverage *c)
{
    static const CovRule rules[] = {
#define RULE(kind, items, backends, guests, reason) {#kind, items, backends, guests, reason},
#include "coverage/rules.def"
#undef RULE
        {"", "", "", "", ""}};
    for (int i = 0; i < EXIT_COUNT; i++) {
        coverage_item(c, "exit", "exits", exit_name((ExitKind)i), "*");
    }
    for (int i = 1; i < ERR_COUNT; i++) {
        coverage_item(c, "error", "errors", err_name(i), "*");
    }
    for (int i = 0; i < CAP_COUNT; i++) {
        coverage_item(c, "capability", "capabilities", cap_name((Cap)i), "*");
    }
    list_model(c, &life_virtualcpu);
    list_model(c, &life_axvcpu);
    list_outcomes(c);
    for (size_t i = 0; i + 1 < ARRAY_LEN(rules); i++) {
        coverage_rule(c, &rules[i]);
    }
}

/* ---- what a backend says of itself ---- */
typedef struct {
    Coverage *c;
    const char *shown, *guest;
    const Caps *caps;
} Opened;

static bool has_cap(const Caps *caps, int cap)
{
    return caps->level[cap] >= CAP_PARTIAL;
}

static void excluded(const Opened *o, const char *kind, const char *item, const char *reason)
{
    coverage_rule(o->c, &(CovRule){kind, item, o->shown, o->guest, reason});
}

/* An exit is there if one of the capabilities that show it is. */
static void exits_excluded(const Opened *o)
{
    static const struct {
        ExitKind exit;
        Cap cap;
    } needs[] = {
#define EXIT_NEEDS(exit, cap) {EXIT_##exit, CAP_##cap},
#include "coverage/exit_caps.def"
#undef EXIT_NEEDS
    };
    for (int e = 0; e < EXIT_COUNT; e++) {
        const char *why = NULL;
        bool is_there = true;
        for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
            if ((int)needs[i].exit == e) {
                is_there = why ? is_there || has_cap(o->caps, needs[i].cap) : has_cap(o->caps, needs[i].cap);
                const char *said = o->caps->why[needs[i].cap];
                why = why ? why : said ? said : cap_name(needs[i].cap);
            }
        }
        if (!is_there) {
            char fields[64];
            snprintf(fields, sizeof fields, "%s.*", exit_name((ExitKind)e));
            excluded(o, "exit", exit_name((ExitKind)e), why);
            excluded(o, "exit_field", fields, why);
        }
    }
}

static void calls_excluded(const Opened *o)
{
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        int cap = cap_find(outcomes[i].cap);
        char item[96], reason[96];
        if (cap < 0) {
            continue;
        }
        bool is_there = has_cap(o->caps, cap);
        snprintf(item, sizeof item, "%s %s", outcomes[i].function, is_there ? "UNSUPPORTED" : "*");
        snprintf(reason, sizeof reason, "it %s %s", is_there ? "has" : "does not have", outcomes[i].cap);
        /* without it the lifecycle is asked first, and then everything else ends so */
        for (const char *const *p = (const char *const[]){"ok", "FAULT", "INVAL", NULL}; *p && !is_there; p++) {
            snprintf(item, sizeof item, "%s %s", outcomes[i].function, *p);
            excluded(o, "operation", item, reason);
        }
        if (is_there) {
            excluded(o, "operation", item, reason);
        }
    }
}

uint32_t coverage_opened(Coverage *c, const char *shown, GuestId guest, const Caps *caps)
{
    Opened o = {.c = c, .shown = shown, .guest = guest_name(guest), .caps = caps};
    for (int i = 0; i < CAP_COUNT; i++) {
        const char *why = caps->why[i];
        if (!has_cap(caps, i)) {
            excluded(&o, "capability", cap_name((Cap)i), why && *why ? why : cap_level_name(caps->level[i]));
        }
    }
    exits_excluded(&o);
    calls_excluded(&o);
    const char *engine = strncmp(shown, "sim-", 4) == 0 ? shown + 4 : "";
    return coverage_context(c, shown, o.guest, engine);
}
