/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/plan.h"

#include "accel/plugin/plugin.h"
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/plan_files.h"
#include "conformance/report.h"
#include "conformance/select.h"
#include "sim/base/os.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char DEFAULT_FOLDER[] = "scenarios";

/* ---- backends ---- */

static int unknown_backend(const char *word, Err *err)
{
    static const char *const others[] = {"all", "best"};
    size_t n = 0;
    const Backend *const *list = backend_list(&n);
    const char **names = x_calloc(n + ARRAY_LEN(others), sizeof *names);
    Buf known = {0};
    for (size_t i = 0; i < n + ARRAY_LEN(others); i++) {
        names[i] = i < n ? list[i]->name : others[i - n];
        buf_printf(&known, " %s", names[i]);
    }
    const char *near = cli_nearest(word, names, n + ARRAY_LEN(others));
    const char *dot = strrchr(word, '.');
    if (strchr(word, '/') || (dot && !strcmp(dot, ".so"))) {
        err_set(err, ERR_NOENT, "unknown backend `%s`; did you mean `plugin:%s`?", word, word);
    } else if (strchr(word, ',')) {
        err_set(err, ERR_NOENT, "unknown backend `%s`: for several say --backend several times", word);
    } else if (near) {
        err_set(err, ERR_NOENT, "unknown backend `%s`; did you mean `%s`? Known:%s remote:COMMAND plugin:PATH", word,
                near, buf_text(&known));
    } else {
        err_set(err, ERR_NOENT, "unknown backend `%s`. Known:%s remote:COMMAND plugin:PATH", word, buf_text(&known));
    }
    mem_free(names);
    buf_free(&known);
    return -ERR_NOENT;
}

int plan_backends(const char *word, Words *out, Err *err)
{
    enum { PLUGIN_PATH_MAX = 240 }; /* so that the name fits into a frame of the worker's wire */
    size_t n = 0, nbefore = out->n, norder = 0;
    const Backend *const *list = backend_list(&n);
    const char *const *order = select_order(&norder);
    if (plugin_path(word) && strlen(plugin_path(word)) > PLUGIN_PATH_MAX) {
        return err_set(err, ERR_LIMIT, "plugin: a path of more than %d bytes", PLUGIN_PATH_MAX);
    }
    if (!strncmp(word, "remote:", 7) && backend_find(word + 7)) {
        return err_set(err, ERR_NOENT, "`%s` names a backend and no command: remote:%s:COMMAND", word, word + 7);
    }
    if ((!strncmp(word, "remote:", 7) && word[7]) || plugin_path(word)) {
        VEC_PUSH(out, word);
        return 0;
    }
    for (size_t i = 0; i < norder && !strcmp(word, "best"); i++) {
        if (backend_find(order[i])) {
            VEC_PUSH(out, backend_find(order[i])->name);
        }
    }
    bool is_all = !strcmp(word, "all"), is_sim = !strcmp(word, "sim");
    for (size_t i = 0; i < n; i++) {
        if (is_all || (is_sim && !strncmp(list[i]->name, "sim-", 4)) || !strcmp(list[i]->name, word)) {
            VEC_PUSH(out, list[i]->name);
        }
    }
    if (out->n > nbefore) {
        return 0;
    }
    return unknown_backend(word, err);
}

static void backend_add(Plan *p, const char *name, bool is_named, bool is_candidate)
{
    for (size_t i = 0; i < p->backends.n; i++) {
        PlanBackend *b = &p->backends.items[i];
        if (!strcmp(b->name, name)) {
            b->is_named |= is_named;
            b->is_candidate &= is_candidate;
            return;
        }
    }
    const char *command = strncmp(name, "remote:", 7) ? NULL : name + 7;
    VEC_PUSH(&p->backends,
             (PlanBackend){.name = name, .command = command, .is_named = is_named, .is_candidate = is_candidate});
}

int plan_backends_add(const Words *words, Plan *p, Err *err)
{
    static const char *const every[] = {"all"};
    size_t n = words->n ? words->n : 1;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        const char *word = words->n ? words->items[i] : every[0];
        Words names = {0};
        rc = plan_backends(word, &names, err);
        for (size_t k = 0; k < names.n && !rc; k++) {
            backend_add(p, names.items[k], !strcmp(word, names.items[k]), !strcmp(word, "best"));
        }
        VEC_FREE(&names);
    }
    return rc;
}

/* ---- selection ---- */

typedef struct {
    const PlanOptions *o;
    bool guests[GUEST_COUNT];
    FILE *log;
} Filter;

static int filter_make(const PlanOptions *o, FILE *log, Filter *f, Err *err)
{
    *f = (Filter){.o = o, .log = log};
    for (int g = 1; g < GUEST_COUNT; g++) {
        f->guests[g] = !o->guests.n;
    }
    for (size_t i = 0; i < o->guests.n; i++) {
        GuestId guest = guest_find(o->guests.items[i]);
        if (guest == 0) {
            const char *names[GUEST_COUNT] = {0};
            for (int g = 1; g < GUEST_COUNT; g++) {
                names[g] = guest_name((GuestId)g);
            }
            const char *near = cli_nearest(o->guests.items[i], names, GUEST_COUNT);
            return err_set(err, ERR_NOENT, "unknown guest `%s`; %s%s%s", o->guests.items[i],
                           near ? "did you mean `" : "known: riscv64 aarch64 x86_64", near ? near : "",
                           near ? "`?" : "");
        }
        f->guests[guest] = true;
    }
    return o->expr ? plan_expr_check(o->expr, err) : 0;
}

static bool filter_has_tag(const Filter *f, const Case *c)
{
    for (size_t i = 0; i < f->o->tags.n; i++) {
        for (size_t k = 0; k < c->ntags; k++) {
            if (!strcmp(f->o->tags.items[i], c->tags[k])) {
                return true;
            }
        }
    }
    return f->o->tags.n == 0;
}

static bool filter_takes(const Filter *f, const Case *c)
{
    return !c->is_probe && f->guests[c->guest] && filter_has_tag(f, c) &&
           (!f->o->expr || plan_expr_match(f->o->expr, c->id));
}

/* The lines [first, end) of the scenario that holds `line`; false: none does. */
static bool scenario_lines(const Suite *s, uint64_t line, uint64_t *first, uint64_t *end)
{
    *first = 0;
    *end = UINT64_MAX;
    const Node *list = s->root ? node_get(s->root, "scenarios") : NULL;
    size_t n = list && list->kind == NODE_SEQ ? list->n : s->ncases;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = list ? list->items[i]->pos.line : s->cases[i].pos.line;
        if (at <= line && at > *first) {
            *first = at;
        } else if (at > line && at < *end) {
            *end = at;
        }
    }
    return *first != 0;
}

static bool selector_takes(const Suite *s, const PlanSelector *sel, const Case *c)
{
    uint64_t first = 0, end = 0;
    if (sel->line) {
        return scenario_lines(s, sel->line, &first, &end) && c->pos.line >= first && c->pos.line < end;
    }
    return !sel->name || !strcmp(sel->name, c->id) || !strcmp(sel->name, c->name);
}

/* Says that a selector names nothing, with the nearest name. */
static void selector_lost(const Suite *s, const PlanSelector *sel, FILE *log)
{
    if (sel->line) {
        uint64_t first = 0, end = 0;
        scenario_lines(s, 0, &first, &end);
        fprintf(log, "conf: %s: no scenario at line %llu; the first is at line %llu\n", s->file,
                (unsigned long long)sel->line, (unsigned long long)end);
        return;
    }
    const char **names = x_calloc(2 * s->ncases + 1, sizeof *names);
    for (size_t i = 0; i < s->ncases; i++) {
        names[2 * i] = s->cases[i].name;
        names[2 * i + 1] = s->cases[i].id;
    }
    const char *near = cli_nearest(sel->name, names, 2 * s->ncases);
    fprintf(log, "conf: %s: no scenario `%s`%s%s%s\n", s->file, sel->name, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "");
    mem_free(names);
}

/* Adds the suite's cases that the file's selectors and the filter take. */
static int select_cases(const Filter *f, const PlanFile *file, const Suite *s, Plan *p)
{
    int rc = CONF_OK;
    for (size_t k = 0; k < file->selectors.n; k++) {
        const PlanSelector *sel = &file->selectors.items[k];
        bool is_known = !sel->name && !sel->line;
        for (size_t i = 0; i < s->ncases && !is_known; i++) {
            is_known = selector_takes(s, sel, &s->cases[i]);
        }
        if (!is_known) {
            selector_lost(s, sel, f->log);
            rc = CONF_NOTHING;
        }
    }
    for (size_t i = 0; i < s->ncases; i++) {
        bool is_taken = false;
        for (size_t k = 0; k < file->selectors.n && !is_taken; k++) {
            is_taken = selector_takes(s, &file->selectors.items[k], &s->cases[i]);
        }
        if (is_taken && filter_takes(f, &s->cases[i])) {
            VEC_PUSH(&p->cases, &s->cases[i]);
        }
    }
    return rc;
}

/* ---- loading ---- */

static bool is_lua(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".lua");
}

static int load_file(const RunHooks *hooks, const char *path, FILE *log, Suite **out)
{
    Buf text = {0};
    Err err = {0};
    Diags diags = {0};
    Arena *arena = arena_new();
    int rc = CONF_OK;
    *out = NULL;
    if (os_read_file(path, NODE_MAX_BYTES, &text, &err)) {
        fprintf(log, "conf: %s\n", err.text);
        rc = CONF_INVALID;
    } else {
        *out = (is_lua(path) ? hooks->load_lua : hooks->load)(arena, arena_strdup(arena, path), buf_text(&text), text.n,
                                                              &diags);
        rc = *out ? CONF_OK : CONF_INVALID;
    }
    for (size_t i = 0; i < diags.n; i++) {
        Buf line = {0};
        text_clean(&line, diags.items[i].text);
        fprintf(log, "%s: %s\n", diags.items[i].is_warning ? "warning" : "error", buf_text(&line));
        buf_free(&line);
    }
    if (!*out) {
        arena_free(arena);
    }
    VEC_FREE(&diags);
    buf_free(&text);
    return rc;
}

static int find_files(const PlanOptions *o, const RunHooks *hooks, Plan *p, PlanFiles *files, FILE *log)
{
    Err err = {0};
    struct stat st;
    if (!o->paths.n && (stat(DEFAULT_FOLDER, &st) || !S_ISDIR(st.st_mode))) {
        fprintf(log, "conf: no file named, and there is no folder %s/ here\n", DEFAULT_FOLDER);
        return CONF_USAGE;
    }
    for (size_t i = 0; i < (o->paths.n ? o->paths.n : 1); i++) {
        const char *word = o->paths.n ? o->paths.items[i] : DEFAULT_FOLDER;
        if (plan_files_add(p->arena, word, hooks->load_lua != NULL, files, &err)) {
            fprintf(log, "conf: %s\n", err.text);
            return CONF_USAGE;
        }
    }
    return CONF_OK;
}

/* Why nothing is left, as far as it can be told. */
static int nothing(const PlanOptions *o, const Plan *p, FILE *log)
{
    size_t ncases = 0, nprobes = 0;
    VEC(const char *) tags = {0};
    for (size_t i = 0; i < p->suites.n; i++) {
        const Suite *s = p->suites.items[i];
        ncases += s->ncases;
        for (size_t k = 0; k < s->ncases; k++) {
            nprobes += s->cases[k].is_probe;
            for (size_t t = 0; t < s->cases[k].ntags; t++) {
                VEC_PUSH(&tags, s->cases[k].tags[t]);
            }
        }
    }
    fprintf(log, "conf: nothing selected: %zu files hold %zu cases", p->suites.n, ncases - nprobes);
    if (nprobes) {
        fprintf(log, " (and %zu probes, which are no results)", nprobes);
    }
    const char *near = o->tags.n && tags.n ? cli_nearest(o->tags.items[0], tags.items, tags.n) : NULL;
    if (near && strcmp(near, o->tags.items[0]) != 0) {
        fprintf(log, "; did you mean --tag %s?", near);
    }
    fputc('\n', log);
    VEC_FREE(&tags);
    return CONF_NOTHING;
}

int plan_select(const PlanOptions *o, const RunHooks *hooks, FILE *log, Plan *out)
{
    *out = (Plan){.arena = arena_new()};
    PlanFiles files = {0};
    Filter filter;
    Err err = {0};
    int rc = CONF_OK;
    if (filter_make(o, log, &filter, &err) || plan_backends_add(&o->backends, out, &err)) {
        fprintf(log, "conf: %s\n", err.text);
        return CONF_USAGE;
    }
    for (int g = 1; g < GUEST_COUNT; g++) {
        out->is_named_guest[g] = o->guests.n && filter.guests[g];
    }
    rc = find_files(o, hooks, out, &files, log);
    for (size_t i = 0; i < files.n && rc != CONF_USAGE; i++) {
        Suite *s = NULL;
        int file_rc = load_file(hooks, files.items[i].path, log, &s);
        if (s) {
            VEC_PUSH(&out->suites, s);
            file_rc = select_cases(&filter, &files.items[i], s, out);
        }
        rc = rc == CONF_INVALID ? rc : file_rc ? file_rc : rc; /* an invalid file outweighs a lost name */
    }
    plan_files_free(&files);
    if (rc) {
        return rc;
    }
    size_t n = 0;
    for (size_t i = 0; i < out->cases.n; i++) { /* keep the shard's */
        if (!o->nshards || i % o->nshards == o->shard - 1) {
            out->cases.items[n++] = out->cases.items[i];
            out->is_guest[out->cases.items[n - 1]->guest] = true;
        }
    }
    bool is_empty_shard = out->cases.n && !n;
    out->cases.n = n;
    if (is_empty_shard) {
        fprintf(log, "conf: nothing selected: shard %llu of %llu is empty\n", (unsigned long long)o->shard,
                (unsigned long long)o->nshards);
        return CONF_NOTHING;
    }
    return n ? CONF_OK : nothing(o, out, log);
}

/* ---- expansion ---- */

/* "kvm" names kvm, kvm@nested and kvm (double); "sim" every sim-*. */
static bool names_backend(const char *word, const char *shown)
{
    size_t n = strcspn(shown, "@ ");
    return !strcmp(word, shown) || (strlen(word) == n && !memcmp(word, shown, n)) ||
           (!strcmp(word, "sim") && !strncmp(shown, "sim-", 4));
}

bool plan_allows(const Case *c, const char *shown)
{
    for (size_t i = 0; i < c->nbackends; i++) {
        if (names_backend(c->backends[i], shown)) {
            return true;
        }
    }
    return c->nbackends == 0;
}

const char *plan_shown(const Plan *p, const Job *job)
{
    const PlanBackend *b = &p->backends.items[job->backend];
    const PlanOpen *open = &b->open[job->c->guest];
    return open->shown ? open->shown : b->name;
}

static size_t probe_slot(Plan *p, const Case *c)
{
    for (size_t i = 0; i < p->probe_cases.n; i++) {
        if (p->probe_cases.items[i] == c) {
            return p->cases.n + i;
        }
    }
    VEC_PUSH(&p->probe_cases, c);
    return p->cases.n + p->probe_cases.n - 1;
}

/* The probes that the job's xfail asks, each once per backend. */
static void add_probes(Plan *p, const Job *job)
{
    const Xfail *x = job->c->xfail;
    if (!x || !x->probe || (x->backend && !names_backend(x->backend, plan_shown(p, job)))) {
        return;
    }
    const Suite *s = job->c->suite;
    for (size_t i = 0; i < s->ncases; i++) {
        const Case *c = &s->cases[i];
        if (!c->is_probe || c->guest != job->c->guest || strcmp(c->name, x->probe) != 0) {
            continue;
        }
        Job probe = {.c = c, .slot = probe_slot(p, c), .backend = job->backend};
        bool is_new = true;
        for (size_t k = 0; k < p->probes.n && is_new; k++) {
            is_new = p->probes.items[k].c != c || p->probes.items[k].backend != job->backend;
        }
        if (is_new) {
            VEC_PUSH(&p->probes, probe);
        }
    }
}

static int is_open(void *ctx, const char *name, GuestId guest, Err *err)
{
    const Plan *p = ctx;
    for (size_t i = 0; i < p->backends.n; i++) {
        const PlanOpen *open = &p->backends.items[i].open[guest];
        if (!strcmp(p->backends.items[i].name, name)) {
            *err = open->err;
            return open->state == OPEN_OK ? 0 : -ERR_UNAVAILABLE;
        }
    }
    return err_set(err, ERR_UNAVAILABLE, "not among the chosen backends");
}

const char *plan_best(const Plan *p, GuestId guest, Buf *reasons)
{
    return select_best(guest, is_open, (void *)p, reasons);
}

/* Asked for by `best` only, and another one is it. Where none is there, the first one's reason is shown. */
static bool is_passed_over(const Plan *p, const Job *job)
{
    const PlanBackend *b = &p->backends.items[job->backend];
    if (!b->is_candidate) {
        return false;
    }
    const char *best = plan_best(p, job->c->guest, NULL);
    for (size_t i = 0; i < p->backends.n && !best; i++) {
        best = p->backends.items[i].is_candidate ? p->backends.items[i].name : NULL;
    }
    return best && strcmp(best, b->name) != 0;
}

/* A pair that can never be and that nobody asked for. */
static bool is_never(const Plan *p, const Job *job)
{
    GuestId guest = job->c->guest;
    const PlanBackend *b = &p->backends.items[job->backend];
    return b->open[guest].state == OPEN_FAILED && b->open[guest].err.code == ERR_UNSUPPORTED &&
           !(b->is_named && p->is_named_guest[guest]);
}

/* Makes the jobs of the cases [first, end), which are of one scenario. */
static void expand_scenario(Plan *p, size_t first, size_t end)
{
    size_t nbefore = p->jobs.n;
    for (int takes_never = 0; takes_never < 2 && p->jobs.n == nbefore; takes_never++) {
        for (size_t i = first; i < end; i++) {
            for (size_t b = 0; b < p->backends.n; b++) {
                Job job = {.c = p->cases.items[i], .slot = i, .backend = b};
                bool is_allowed = plan_allows(job.c, plan_shown(p, &job)) && !is_passed_over(p, &job);
                if (is_allowed && (takes_never || !is_never(p, &job))) {
                    VEC_PUSH(&p->jobs, job);
                    add_probes(p, &job);
                } else if (is_allowed) {
                    p->backends.items[b].is_left_out[job.c->guest] = true;
                }
            }
        }
    }
}

static void best_left_out(const Plan *p, Buf *out)
{
    bool has_candidate = false;
    for (size_t b = 0; b < p->backends.n; b++) {
        has_candidate |= p->backends.items[b].is_candidate;
    }
    for (int g = 1; g < GUEST_COUNT && has_candidate; g++) {
        Buf reasons = {0};
        const char *best = p->is_guest[g] ? plan_best(p, (GuestId)g, &reasons) : NULL;
        if (p->is_guest[g]) {
            buf_printf(out, "best for %s: %s%s", guest_name((GuestId)g), best ? best : "none",
                       reasons.n ? "; passed over: " : "");
            for (size_t i = 0; i + 1 < reasons.n; i++) { /* a line each: to one line */
                buf_str(out, reasons.data[i] == '\n' ? "; " : (char[]){reasons.data[i], 0});
            }
            buf_char(out, '\n');
        }
        buf_free(&reasons);
    }
}

void plan_left_out(const Plan *p, Buf *out)
{
    best_left_out(p, out);
    for (size_t b = 0; b < p->backends.n; b++) {
        const PlanBackend *backend = &p->backends.items[b];
        const char *why = NULL;
        for (int g = 1; g < GUEST_COUNT; g++) {
            if (backend->is_left_out[g]) {
                buf_printf(out, "%s%s%s", why ? "" : backend->name, why ? ", " : ": not for ", guest_name((GuestId)g));
                why = backend->open[g].err.text;
            }
        }
        if (why) {
            buf_printf(out, " (%s)\n", why);
        }
    }
}

int plan_expand(Plan *p, FILE *log)
{
    for (size_t i = 0, end = 0; i < p->cases.n; i = end) {
        const Case *c = p->cases.items[i];
        for (end = i + 1; end < p->cases.n; end++) {
            const Case *next = p->cases.items[end];
            if (next->suite != c->suite || strcmp(next->name, c->name) != 0) {
                break;
            }
        }
        expand_scenario(p, i, end);
    }
    if (!p->jobs.n) {
        fprintf(log, "conf: nothing selected: no scenario of these is for the chosen backends\n");
        return CONF_NOTHING;
    }
    return CONF_OK;
}

void plan_free(Plan *p)
{
    for (size_t i = 0; i < p->suites.n; i++) {
        suite_free(p->suites.items[i]);
    }
    VEC_FREE(&p->suites);
    VEC_FREE(&p->backends);
    VEC_FREE(&p->cases);
    VEC_FREE(&p->jobs);
    VEC_FREE(&p->probes);
    VEC_FREE(&p->probe_cases);
    arena_free(p->arena);
    *p = (Plan){0};
}
