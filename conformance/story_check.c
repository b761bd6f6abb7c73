/* SPDX-License-Identifier: Apache-2.0
 * story_check.c - `check` and `expect`: looks at the state and compares; every part that differs is shown. */
#include "conformance/story_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MAX_MEM = 16 << 20, SHOW_DIFFS = 8 };

typedef struct {
    Story *s;
    int vcpu;
    Buf body, reason;
    Pos pos; /* of the first part that failed */
    unsigned nfailed;
} Checking;

/* One part that differs. what: "arg0"; why: "expected 1, got 2". */
static void part_failed(Checking *k, Pos pos, const char *what, const char *why)
{
    if (k->nfailed++ == 0) {
        k->pos = pos;
        buf_printf(&k->reason, "%s: %s", what, why);
    }
    text_source_line(k->s, &k->body, pos, '!');
    buf_printf(&k->body, "      | %s: %s\n", what, why);
}

/* ---- registers: one batch per vcpu ---- */
typedef struct {
    const RegCheck *regs;
    size_t n;
    uint8_t vcpu;
    uint8_t **values;
    size_t bad; /* index among regs */
} RegBatch;

static int read_batch(StoryVcpu *sv, void *ctx, Err *err)
{
    RegBatch *b = ctx;
    RegIo *io = x_calloc(b->n, sizeof *io);
    size_t *of = x_calloc(b->n, sizeof *of);
    size_t n = 0, bad = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->regs[i].vcpu == b->vcpu) {
            of[n] = i;
            io[n++] = (RegIo){b->regs[i].reg, b->values[i]};
        }
    }
    int rc = n ? vcpu_get_regs(sv->v, io, n, &bad, err) : 0;
    b->bad = rc && bad < n ? of[bad] : 0;
    mem_free(of);
    mem_free(io);
    return rc;
}

static void compare_reg(Checking *k, const RegCheck *r, const uint8_t *value)
{
    Buf why = {0};
    CapturedList got = {0};
    char what[80];
    STORY_LOCK(k->s);
    MatchCtx m = story_match_ctx(k->s, &why);
    m.got = &got;
    bool is_place = strcmp(reg_info(r->reg) ? reg_info(r->reg)->name : "", "pc") == 0;
    bool is_wide = REG_SIZE(r->reg) > 8 || r->match.kind == MATCH_list;
    Cursor c = cursor_of(value, REG_SIZE(r->reg));
    bool ok = is_wide ? match_bytes(&m, &r->match, value, REG_SIZE(r->reg))
                      : match_int(&m, &r->match, cursor_le(&c, REG_SIZE(r->reg)), (unsigned)REG_SIZE(r->reg), is_place);
    if (ok) {
        story_capture(k->s, &got);
    }
    STORY_UNLOCK(k->s);
    if (!ok) {
        bool is_named = k->s->c->nvcpus > 1 && !strchr(r->name, '.');
        snprintf(what, sizeof what, "%s%s%s", is_named ? k->s->c->vcpus[r->vcpu].name : "", is_named ? "." : "",
                 r->name);
        part_failed(k, r->pos, what, buf_text(&why));
    }
    VEC_FREE(&got);
    buf_free(&why);
}

static int check_regs(Checking *k, const Check *c, Err *err)
{
    Story *s = k->s;
    uint8_t **values = x_calloc(c->nregs, sizeof *values);
    bool *is_read = x_calloc(s->c->nvcpus, sizeof *is_read);
    int rc = 0;
    for (size_t i = 0; i < c->nregs; i++) {
        values[i] = x_alloc(REG_SIZE(c->regs[i].reg));
    }
    for (size_t i = 0; i < c->nregs && rc == 0; i++) {
        RegBatch b = {c->regs, c->nregs, c->regs[i].vcpu, values, 0};
        if (!is_read[b.vcpu]) {
            is_read[b.vcpu] = true;
            rc = story_on_owner(&s->vcpus[b.vcpu], read_batch, &b, err);
            if (rc) {
                err_prefix(err, "reading %s", c->regs[b.bad].name);
            }
        }
    }
    for (size_t i = 0; i < c->nregs; i++) {
        if (rc == 0) {
            compare_reg(k, &c->regs[i], values[i]);
        }
        mem_free(values[i]);
    }
    mem_free(values);
    mem_free(is_read);
    return rc;
}

/* ---- memory ---- */
static void compare_units(Checking *k, const MemCheck *mc, uint64_t at, const uint8_t *bytes)
{
    Cursor c = cursor_of(bytes, mc->n * mc->unit_bytes);
    for (size_t i = 0; i < mc->n; i++) {
        Buf why = {0}, what = {0};
        CapturedList got = {0};
        STORY_LOCK(k->s);
        MatchCtx m = story_match_ctx(k->s, &why);
        m.got = &got;
        bool ok = match_int(&m, &mc->items[i], cursor_le(&c, mc->unit_bytes), mc->unit_bytes, false);
        if (ok) {
            story_capture(k->s, &got);
        }
        STORY_UNLOCK(k->s);
        if (!ok) {
            buf_str(&what, "memory ");
            place_print(&what, k->s->w, at + i * mc->unit_bytes);
            buf_printf(&what, " (u%u)", 8 * mc->unit_bytes);
            part_failed(k, mc->pos, buf_text(&what), buf_text(&why));
        }
        VEC_FREE(&got);
        buf_free(&why);
        buf_free(&what);
    }
}

static void compare_raw(Checking *k, const MemCheck *mc, uint64_t at, const uint8_t *bytes)
{
    Buf why = {0}, what = {0};
    size_t i = 0;
    while (i < mc->nbytes && bytes[i] == mc->bytes[i]) {
        i++;
    }
    if (i == mc->nbytes) {
        return;
    }
    buf_str(&what, "memory ");
    place_print(&what, k->s->w, at + i);
    size_t n = mc->nbytes - i < SHOW_DIFFS ? mc->nbytes - i : SHOW_DIFFS;
    buf_str(&why, "expected");
    for (size_t j = 0; j < n; j++) {
        buf_printf(&why, " %02x", mc->bytes[i + j]);
    }
    buf_str(&why, ", got");
    for (size_t j = 0; j < n; j++) {
        buf_printf(&why, " %02x", bytes[i + j]);
    }
    buf_printf(&why, "%s (byte %zu of %zu)", i + n < mc->nbytes ? " .." : "", i + 1, mc->nbytes);
    part_failed(k, mc->pos, buf_text(&what), buf_text(&why));
    buf_free(&what);
    buf_free(&why);
}

static int check_memory(Checking *k, const MemCheck *mc, Err *err)
{
    uint64_t at;
    size_t n = mc->unit_bytes ? mc->n * mc->unit_bytes : mc->nbytes;
    int rc = story_eval(k->s, &mc->addr, &at, err);
    uint8_t *bytes = n <= MAX_MEM ? mem_try(n + 1, 1) : NULL;
    if (rc == 0 && !bytes) {
        rc = err_set(err, ERR_LIMIT, "memory: more than %d bytes in one comparison", MAX_MEM);
    }
    if (rc == 0) {
        rc = vm_mem_read(k->s->vm, (Gpa){at}, bytes, n, err);
    }
    if (rc == 0 && mc->unit_bytes) {
        compare_units(k, mc, at, bytes);
    } else if (rc == 0) {
        compare_raw(k, mc, at, bytes);
    }
    mem_free(bytes);
    return rc;
}

/* ---- dirty pages ---- */
static void pages_print(Buf *out, const uint32_t *pages, size_t n)
{
    for (size_t i = 0; i < n && i < 64; i++) {
        buf_printf(out, "%s%u", i ? ", " : "", pages[i]);
    }
    buf_str(out, n == 0 ? "none" : n > 64 ? ", .." : "");
}

static const WorldRam *ram_find(const World *w, const char *name)
{
    size_t n;
    const WorldRam *rams = world_rams(w, &n);
    size_t i = 0;
    while (i < n && strcmp(rams[i].name, name) != 0) {
        i++;
    }
    assert(i < n); /* a region that is logged, as typed */
    return &rams[i];
}

static int check_dirty(Checking *k, const DirtyCheck *d, Err *err)
{
    const WorldRam *ram = ram_find(k->s->w, d->region);
    uint32_t page = k->s->caps->page_bytes ? k->s->caps->page_bytes : 4096;
    size_t npages = (size_t)((ram->size_bytes + page - 1) / page);
    uint8_t *bits = mem_try(npages / 8 + 1, 1);
    VEC(uint32_t) got = {0};
    Buf why = {0};
    char what[96];
    int rc = bits ? vm_dirty_get(k->s->vm, (Gpa){ram->at}, ram->size_bytes, bits, true, err)
                  : err_set(err, ERR_NOMEM, "dirty: no memory for the log of `%s`", d->region);
    for (size_t i = 0; i < npages && rc == 0; i++) {
        if (bits[i / 8] >> i % 8 & 1) {
            VEC_PUSH(&got, (uint32_t)i);
        }
    }
    if (rc == 0 && (got.n != d->n || (d->n && memcmp(got.items, d->pages, d->n * sizeof *d->pages) != 0))) {
        buf_str(&why, "expected pages ");
        pages_print(&why, d->pages, d->n);
        buf_str(&why, ", got ");
        pages_print(&why, got.items, got.n);
        snprintf(what, sizeof what, "dirty %s", d->region);
        part_failed(k, d->pos, what, buf_text(&why));
    }
    VEC_FREE(&got);
    buf_free(&why);
    mem_free(bits);
    return rc;
}

/* ---- the rest ---- */
static void check_state(Checking *k, const Check *c)
{
    Story *s = k->s;
    StoryVcpu *sv = story_target(s, k->vcpu);
    const char *state = s->model->states[vcpu_state(sv->v)];
    Buf why = {0};
    if (strcmp(state, c->state) != 0) {
        buf_printf(&why, "expected %s, got %s", c->state, state);
        part_failed(k, c->pos, "state", buf_text(&why));
    }
    buf_free(&why);
}

static void check_transitions(Checking *k, const Check *c)
{
    Story *s = k->s;
    StoryVcpu *sv = story_target(s, k->vcpu);
    Buf why = {0};
    STORY_LOCK(s);
    bool ok = sv->nstates == sv->states.n && sv->states.n == c->ntransitions;
    for (size_t i = 0; i < c->ntransitions && ok; i++) {
        ok = strcmp(s->model->states[sv->states.items[i]], c->transitions[i]) == 0;
    }
    buf_str(&why, "expected ");
    for (size_t i = 0; i < c->ntransitions; i++) {
        buf_printf(&why, "%s%s", i ? " " : "", c->transitions[i]);
    }
    buf_str(&why, ", got ");
    for (size_t i = 0; i < sv->states.n && i < 64; i++) {
        buf_printf(&why, "%s%s", i ? " " : "", s->model->states[sv->states.items[i]]);
    }
    if (sv->nstates > 64) {
        buf_printf(&why, " and %llu more", (unsigned long long)sv->nstates - 64);
    }
    STORY_UNLOCK(s);
    if (!ok) {
        part_failed(k, c->pos, "transitions", buf_text(&why));
    }
    buf_free(&why);
}

static void check_insns(Checking *k, const Check *c)
{
    StoryVcpu *sv = story_target(k->s, k->vcpu);
    Buf why = {0};
    STORY_LOCK(k->s);
    MatchCtx m = story_match_ctx(k->s, &why);
    bool has = sv->has_insns, ok = has && match_int(&m, c->insns, sv->insns, 8, false);
    STORY_UNLOCK(k->s);
    if (!ok) {
        part_failed(k, c->insns->pos, "insns", has ? buf_text(&why) : "not given by this backend");
    }
    buf_free(&why);
}

static void check_console(Checking *k, const Check *c)
{
    Buf why = {0};
    STORY_LOCK(k->s);
    MatchCtx m = story_match_ctx(k->s, &why);
    bool ok = match_text(&m, c->console, buf_text(&k->s->console), k->s->console.n);
    STORY_UNLOCK(k->s);
    if (!ok) {
        part_failed(k, c->console->pos, "console", buf_text(&why));
    }
    buf_free(&why);
}

static void check_values(Checking *k, const ValuesCheck *v)
{
    Story *s = k->s;
    Buf why = {0};
    char what[96];
    STORY_LOCK(s);
    const Capture *capture = story_captured(s, v->name);
    size_t n = capture ? capture->values.n : 0;
    MatchCtx m = story_match_ctx(s, NULL);
    bool ok = n == v->n;
    for (size_t i = 0; i < n && ok; i++) {
        ok = match_int(&m, &v->items[i], capture->values.items[i], 8, false);
    }
    buf_str(&why, "expected [");
    for (size_t i = 0; i < v->n; i++) {
        buf_str(&why, i ? ", " : "");
        matcher_print(&m, &v->items[i], false, &why);
    }
    buf_str(&why, "], got [");
    for (size_t i = 0; i < n && i < 64; i++) {
        buf_str(&why, i ? ", " : "");
        number_print(&why, capture->values.items[i]);
    }
    buf_str(&why, n > 64 ? ", ..]" : "]");
    STORY_UNLOCK(s);
    if (!ok) {
        snprintf(what, sizeof what, "values %s", v->name);
        part_failed(k, v->pos, what, buf_text(&why));
    }
    buf_free(&why);
}

static int check_saved(Checking *k, Pos pos, const char *name, bool is_same, Err *err)
{
    const Save *save = save_find(k->s, name);
    Difference diff = {0};
    char what[96];
    if (!save) {
        return err_set(err, ERR_NOENT, "nothing was saved as `%s`", name);
    }
    int rc = save_compare(k->s, save, SHOW_DIFFS, &diff, err);
    snprintf(what, sizeof what, "%s %s", is_same ? "same_as" : "differs_from", name);
    if (rc == 0 && is_same && diff.n) {
        Buf why = {0};
        buf_printf(&why, "%zu difference%s\n%s", diff.n, diff.n == 1 ? "" : "s", buf_text(&diff.text));
        while (why.n && why.data[why.n - 1] == '\n') {
            why.data[--why.n] = '\0';
        }
        part_failed(k, pos, what, buf_text(&why));
        buf_clear(&k->reason);
        buf_printf(&k->reason, "%s: %zu difference%s", what, diff.n, diff.n == 1 ? "" : "s");
        buf_free(&why);
    } else if (rc == 0 && !is_same && diff.n == 0) {
        part_failed(k, pos, what, "expected a difference, got none");
    }
    buf_free(&diff.text);
    return rc;
}

static void check_never(Checking *k, const Check *c)
{
    Story *s = k->s;
    Buf why = {0};
    for (size_t v = 0; v < s->c->nvcpus; v++) {
        STORY_LOCK(s);
        uint64_t seen = s->vcpus[v].exits_seen & c->never;
        STORY_UNLOCK(s);
        for (int e = 0; e < EXIT_COUNT; e++) {
            if (seen >> e & 1) {
                buf_printf(&why, "%s%s returned %s", why.n ? ", " : "", s->c->vcpus[v].name, exit_name((ExitKind)e));
            }
        }
    }
    if (why.n) {
        part_failed(k, c->pos, "never", buf_text(&why));
    }
    buf_free(&why);
}

static int check_parts(Checking *k, const Check *c, Err *err)
{
    int rc = 0;
    if (c->state) {
        check_state(k, c);
    }
    if (c->nregs) {
        rc = check_regs(k, c, err);
    }
    for (size_t i = 0; i < c->nmemory && rc == 0; i++) {
        rc = check_memory(k, &c->memory[i], err);
    }
    if (c->console) {
        check_console(k, c);
    }
    if (c->transitions) {
        check_transitions(k, c);
    }
    for (size_t i = 0; i < c->ndirty && rc == 0; i++) {
        rc = check_dirty(k, &c->dirty[i], err);
    }
    if (c->insns) {
        check_insns(k, c);
    }
    for (size_t i = 0; i < c->nvalues; i++) {
        check_values(k, &c->values[i]);
    }
    if (c->same_as && rc == 0) {
        rc = check_saved(k, c->pos, c->same_as, true, err);
    }
    if (c->differs_from && rc == 0) {
        rc = check_saved(k, c->pos, c->differs_from, false, err);
    }
    if (c->never) {
        check_never(k, c);
    }
    return rc;
}

int step_check(Story *s, const Check *check, int vcpu, Err *err)
{
    Checking k = {.s = s, .vcpu = vcpu};
    int rc = check_parts(&k, check, err);
    s->nchecked++;
    if (k.nfailed && rc) {
        buf_printf(&k.body, "      | then: %s\n", err->text);
    }
    if (k.nfailed) {
        rc = 0;
        if (k.nfailed > 1) {
            buf_printf(&k.reason, " (and %u more)", k.nfailed - 1);
        }
        story_verdict_fail(s, k.pos, buf_text(&k.reason), &k.body);
    }
    buf_free(&k.body);
    buf_free(&k.reason);
    return rc;
}
