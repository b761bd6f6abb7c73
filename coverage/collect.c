/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/collect.h"

#include "coverage/model.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_STATES = 16, MAX_VCPUS = 256 };

struct CovJob {
    const LifeModel *model;
    pthread_mutex_t lock;
    uint64_t exits[EXIT_COUNT], errors[ERR_COUNT];
    uint64_t npc, ndata; /* exits that told pc_before; stores that told their data */
    uint64_t cells[MAX_STATES][LIFE_OP_COUNT], edges[MAX_STATES][MAX_STATES];
    uint64_t ends[LIFE_OP_COUNT][ERR_COUNT]; /* of operations, as on_op tells them */
    bool is_inside[MAX_VCPUS];               /* between the two reports of one run */
    bool wants_items, has_items;
    Coverage *rest; /* everything else, in one context and scenario */
};

CovJob *covjob_new(const LifeModel *model)
{
    CovJob *j = x_alloc(sizeof *j);
    j->model = model;
    j->rest = coverage_new();
    pthread_mutex_init(&j->lock, NULL);
    coverage_context(j->rest, "", "", "");
    coverage_scenario(j->rest, "");
    return j;
}

void covjob_free(CovJob *j)
{
    if (j) {
        pthread_mutex_destroy(&j->lock);
        coverage_free(j->rest);
        mem_free(j);
    }
}

void covjob_want_items(CovJob *j)
{
    j->wants_items = true;
}

bool covjob_wants_items(const CovJob *j)
{
    return j->wants_items;
}

bool covjob_has_items(const CovJob *j)
{
    return j->has_items;
}

static int code_of(int rc)
{
    return rc < 0 && -rc < ERR_COUNT ? -rc : rc ? ERR_HOST : 0;
}

void covjob_on_exit(void *ctx, const VmExit *e)
{
    CovJob *j = ctx;
    pthread_mutex_lock(&j->lock);
    if ((unsigned)e->kind < EXIT_COUNT) {
        j->exits[e->kind]++;
        j->npc += (e->valid & HAS_pc_before) != 0;
        j->ndata += e->kind == EXIT_mmio_write && e->valid & HAS_value;
    }
    pthread_mutex_unlock(&j->lock);
}

/* A run is told twice, when it is entered and when it has ended; the second may bear the name of the pause or halt that
 * ended it. Only the first asks the table. */
static bool is_second_report(CovJob *j, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    bool *is_inside = &j->is_inside[vcpu];
    uint8_t during = j->model->cell[from][op].during;
    if (*is_inside) {
        bool is_end = op == LIFE_run || ((op == LIFE_pause || op == LIFE_halt) && to != from);
        *is_inside = !is_end;
        return is_end && op == LIFE_run;
    }
    *is_inside = op == LIFE_run && !rc && during != LIFE_STAY && to == during;
    return false;
}

void covjob_on_op(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    CovJob *j = ctx;
    if (from >= j->model->nstates || to >= j->model->nstates || from >= MAX_STATES || to >= MAX_STATES) {
        return;
    }
    int code = code_of(rc);
    const LifeCell *cell = &j->model->cell[from][op];
    pthread_mutex_lock(&j->lock);
    j->edges[from][to] += from != to;
    j->errors[code]++;
    if (!is_second_report(j, vcpu, op, from, to, rc)) {
        /* One that is allowed and failed all the same did what the cell says, if the state changed for it. */
        j->cells[from][op] += cell->verdict ? code == cell->verdict : !code || from != to;
        j->ends[op][code] += op != LIFE_run || code; /* how a run ended is told by on_call */
    }
    pthread_mutex_unlock(&j->lock);
}

void covjob_on_call(void *ctx, const char *call, int rc)
{
    CovJob *j = ctx;
    char name[64];
    int code = code_of(rc);
    snprintf(name, sizeof name, "%.40s %s", call, code ? err_name(code) : "ok");
    covjob_reached(j, "operation", strncmp(call, "vm_", 3) == 0 ? "vm" : "vcpu", name, 1);
    pthread_mutex_lock(&j->lock);
    j->errors[code]++;
    pthread_mutex_unlock(&j->lock);
}

void covjob_reached(CovJob *j, const char *kind, const char *group, const char *name, uint64_t n)
{
    pthread_mutex_lock(&j->lock);
    coverage_hit(j->rest, coverage_found(j->rest, kind, group, name), 0, 0, n);
    pthread_mutex_unlock(&j->lock);
}

/* ---- the backend's own answer ---- */
typedef struct {
    const char *field[4];
    uint64_t count;
} Line;

static bool count_of(const char *text, uint64_t *out)
{
    size_t n = strlen(text);
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || n > 19) {
            return false;
        }
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    }
    return n > 0;
}

/* Cuts the text up to end, which it overwrites, at its tabs. */
static bool line_of(char *text, char *end, Line *out)
{
    unsigned n = 0;
    *end = 0;
    out->field[n++] = text;
    for (char *p = text; p < end; p++) {
        if (*p == '\t' && n < 4) {
            *p = 0;
            out->field[n++] = p + 1;
        } else if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f) {
            return false;
        }
    }
    bool is_long = false;
    for (unsigned i = 0; i < n; i++) {
        is_long |= !*out->field[i] || strlen(out->field[i]) > COV_TEXT_MAX;
    }
    return n == 4 && !is_long && count_of(out->field[3], &out->count);
}

int covjob_answer(CovJob *j, const void *bytes, size_t n, Err *err)
{
    if (n > COV_ANSWER_MAX) {
        return err_set(err, ERR_PROTO, COV_CTL ": an answer of %zu bytes, more than %d", n, COV_ANSWER_MAX);
    }
    VEC(Line) lines = {0};
    char *text = x_strndup(bytes, n), *at = text;
    int rc = strlen(text) == n ? 0 : err_set(err, ERR_PROTO, COV_CTL ": a byte 0 in the answer");
    for (unsigned number = 1; !rc && *at; number++) {
        Line line = {0};
        char *end = strchr(at, '\n');
        if (!end || !line_of(at, end, &line)) {
            rc = err_set(err, ERR_PROTO,
                         COV_CTL ": line %u is not KIND, GROUP, NAME and a count, with tabs between them", number);
        }
        VEC_PUSH(&lines, line);
        at = end ? end + 1 : at;
    }
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < lines.n && !rc; i++) {
        const Line *l = &lines.items[i];
        const char *scope = coverage_kind_scope(l->field[0]);
        j->has_items |= !l->count;
        uint32_t item = coverage_item(j->rest, l->field[0], l->field[1], l->field[2], scope);
        coverage_hit(j->rest, item, 0, 0, l->count);
    }
    pthread_mutex_unlock(&j->lock);
    VEC_FREE(&lines);
    mem_free(text);
    return rc;
}

/* ---- the end ---- */
static void lifecycle_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario)
{
    const LifeModel *m = j->model;
    for (uint8_t s = 0; s < m->nstates && s < MAX_STATES; s++) {
        for (int op = 0; op < LIFE_OP_COUNT; op++) {
            if (j->cells[s][op]) {
                coverage_hit(c, lifecycle_item(c, m, s, (LifeOp)op), context, scenario, j->cells[s][op]);
            }
        }
        for (uint8_t to = 0; to < m->nstates && to < MAX_STATES; to++) {
            if (j->edges[s][to]) {
                coverage_hit(c, lifecycle_edge(c, m, s, to), context, scenario, j->edges[s][to]);
            }
        }
    }
}

static void operations_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario)
{
#define X(name) "vcpu_" #name,
    static const char *const functions[LIFE_OP_COUNT] = {LIFE_OP_MAP(X)};
#undef X
    for (int op = 0; op < LIFE_OP_COUNT; op++) {
        for (int code = 0; code < ERR_COUNT; code++) {
            char name[64];
            snprintf(name, sizeof name, "%s %s", functions[op], code ? err_name(code) : "ok");
            if (j->ends[op][code]) {
                coverage_hit(c, coverage_found(c, "operation", "vcpu", name), context, scenario, j->ends[op][code]);
            }
        }
    }
}

/* What was seen to work was there: the exits that need a capability of their own, and the operations that one is for. */
static void capabilities_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario)
{
    const struct {
        Cap cap;
        uint64_t n;
    } seen[] = {
#define EXIT_NEEDS(exit, cap) {CAP_##cap, EXIT_##exit == EXIT_debug ? 0 : j->exits[EXIT_##exit]},
#include "coverage/exit_caps.def"
#undef EXIT_NEEDS
        {CAP_pc_before, j->npc},
        {CAP_mmio_data, j->ndata},
        {CAP_cancel, j->exits[EXIT_canceled]},
        {CAP_gpr_get, j->ends[LIFE_get_regs][0]},
        {CAP_gpr_set, j->ends[LIFE_set_regs][0]},
        {CAP_save, j->ends[LIFE_save][0]},
        {CAP_reg_list, j->ends[LIFE_save][0]},
    };
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        if (seen[i].n) {
            coverage_hit(c, coverage_found(c, "capability", "capabilities", cap_name(seen[i].cap)), context, scenario,
                         seen[i].n);
        }
    }
}

/* Items keep what the answers said of them: listed or not. */
static uint32_t *rest_items(const CovJob *j, Coverage *c)
{
    uint32_t *items = x_calloc(j->rest->items.n, sizeof *items);
    for (size_t i = 0; i < j->rest->items.n; i++) {
        const CovItem *item = &j->rest->items.items[i];
        const char *kind = j->rest->kinds.items[item->kind];
        items[i] = item->is_listed ? coverage_item(c, kind, item->group, item->name, item->scope)
                                   : coverage_found(c, kind, item->group, item->name);
    }
    return items;
}

void covjob_list(const CovJob *j, Coverage *c)
{
    mem_free(rest_items(j, c));
}

static void rest_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario)
{
    uint32_t *items = rest_items(j, c);
    for (size_t i = 0; i < j->rest->hits.n; i++) {
        const CovHit *h = &j->rest->hits.items[i];
        coverage_hit(c, items[h->item], context, scenario, h->count);
    }
    mem_free(items);
}

void covjob_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario)
{
    for (int i = 0; i < EXIT_COUNT; i++) {
        if (j->exits[i]) {
            coverage_hit(c, coverage_found(c, "exit", "exits", exit_name((ExitKind)i)), context, scenario, j->exits[i]);
        }
    }
    for (int i = 1; i < ERR_COUNT; i++) {
        if (j->errors[i]) {
            coverage_hit(c, coverage_found(c, "error", "errors", err_name(i)), context, scenario, j->errors[i]);
        }
    }
    lifecycle_end(j, c, context, scenario);
    operations_end(j, c, context, scenario);
    capabilities_end(j, c, context, scenario);
    rest_end(j, c, context, scenario);
}
