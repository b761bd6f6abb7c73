/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cover.h"

#include "accel/board.h"
#include "conformance/report.h"
#include "conformance/story_int.h"
#include "sim/base/hash.h"
#include "sim/base/os.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- fields of exits ---- */
enum { EXIT_trap = EXIT_COUNT }; /* the kit's own: not an exit of the waist */
static const struct {
    int exit;
    FieldId field;
    const char *name;
} fields[] = {
#define FIELD(exit, field, type, bits, doc) {EXIT_##exit, FIELD_##field, #exit "." #field},
#define COMMON(field, type, bits, doc)
#include "conformance/fields.def"
#undef FIELD
#undef COMMON
};

/* Of several accesses in a row, as the language sees them: no access has these. */
static bool is_of_many(FieldId f)
{
    return f == FIELD_count || f == FIELD_text || f == FIELD_stream;
}

void cover_fields(Coverage *c)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].exit < EXIT_COUNT && !is_of_many(fields[i].field)) {
            coverage_item(c, "exit_field", exit_name((ExitKind)fields[i].exit), fields[i].name, "*");
        }
    }
}

void story_cover_exit(Story *s, const VmExit *e)
{
    const Seen x = {.e = *e, .shown = ITEM_EXIT, .guest = s->c->guest, .w = s->w};
    covjob_on_exit(s->o.coverage, e);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].exit == (int)e->kind && !is_of_many(fields[i].field) &&
            field_get(&x, fields[i].field).kind != FV_ABSENT) {
            covjob_reached(s->o.coverage, "exit_field", exit_name(e->kind), fields[i].name, 1);
        }
    }
}

void story_on_call(void *ctx, const char *call, int rc)
{
    Story *s = ctx;
    if (!atomic_load(&s->is_asking)) {
        covjob_on_call(s->o.coverage, call, rc);
    }
}

/* ---- what the backend itself counts ---- */
static int ask(Story *s, Vm *vm, const char *what, Buf *answer)
{
    bool has_ctl = false;
    for (const char *const *p = s->caps->ctls; p && *p; p++) {
        has_ctl |= !strcmp(*p, COV_CTL);
    }
    atomic_store(&s->is_asking, true); /* no call of the scenario's */
    int rc = has_ctl ? vm_ctl(vm, NULL, COV_CTL, what, strlen(what), answer, NULL) : -ERR_UNSUPPORTED;
    atomic_store(&s->is_asking, false);
    return rc;
}

void story_cover_begin(Story *s, Vm *vm)
{
    Buf none = {0};
    if (s->o.coverage && s->board) {
        machine_board_cover(s->board);
    }
    if (s->o.coverage) {
        (void)ask(s, vm, "on", &none); /* one that does not count is as good as one that has no such ctl */
    }
    buf_free(&none);
}

/* Of a worker that has crashed nothing comes any more: it loses what it had counted, and nobody else does. */
void story_cover_end(Story *s, Vm *vm)
{
    Buf answer = {0};
    const char *const whats[] = {"items", "read"};
    for (size_t i = 0; s->o.coverage && vm && i < ARRAY_LEN(whats); i++) {
        buf_clear(&answer);
        if ((i || covjob_wants_items(s->o.coverage)) && !ask(s, vm, whats[i], &answer)) {
            (void)!covjob_answer(s->o.coverage, buf_text(&answer), answer.n, NULL);
        }
    }
    if (s->o.coverage && s->board) {
        buf_clear(&answer);
        machine_board_cover_read(s->board, &answer);
        (void)!covjob_answer(s->o.coverage, buf_text(&answer), answer.n, NULL);
    }
    buf_free(&answer);
}

/* ---- of a run ---- */
static void put_run_id(Coverage *c)
{
    Sha256 s;
    uint8_t digest[32], noise[16] = {0};
    char text[65], host[256] = "";
    uint64_t when[2] = {os_now_ns(), (uint64_t)getpid()};
    ssize_t got = getrandom(noise, sizeof noise, 0);
    (void)got; /* the rest is nearly as good */
    gethostname(host, sizeof host - 1);
    sha256_init(&s);
    sha256_add(&s, noise, sizeof noise);
    sha256_add(&s, when, sizeof when);
    sha256_add(&s, host, strlen(host));
    sha256_end(&s, digest);
    sha256_hex(digest, text);
    text[32] = 0;
    coverage_run(c, text);
}

void cover_begin(Cover *x, const Plan *plan)
{
    *x = (Cover){.c = coverage_new(), .plan = plan};
    put_run_id(x->c);
    coverage_universe(x->c);
    cover_fields(x->c);
}

void cover_free(Cover *x)
{
    coverage_free(x->c);
    x->c = NULL;
}

/* A scenario that needs a capability and was played is what reaches it. */
static void cover_capabilities(const Case *c, CovJob *j)
{
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        bool is_world = (cap == CAP_vcpu || cap == CAP_map) && !c->boot;
        bool is_env = cap == (c->start == START_machine ? CAP_env_machine : CAP_env_virt);
        if (c->needs[cap] || is_world || is_env) {
            covjob_reached(j, "capability", "capabilities", cap_name((Cap)cap), 1);
        }
    }
}

void cover_result(void *ctx, const Job *job, Result *r)
{
    Cover *x = ctx;
    const PlanOpen *open = &x->plan->backends.items[job->backend].open[r->c->guest];
    if (!r->coverage || open->state != OPEN_OK) {
        return;
    }
    uint32_t context = coverage_opened(x->c, r->backend, r->c->guest, &open->caps);
    if (r->status != STATUS_skipped) {
        Buf id = {0};
        buf_printf(&id, "%s::%s", result_file(r), r->c->id);
        cover_capabilities(r->c, r->coverage);
        covjob_end(r->coverage, x->c, context, coverage_scenario(x->c, buf_text(&id)));
        buf_free(&id);
    } else {
        covjob_list(r->coverage, x->c);
    }
    covjob_free(r->coverage);
    r->coverage = NULL;
}

int cover_save(const Cover *x, const char *path, Err *err)
{
    return coverage_save(x->c, path, err);
}
