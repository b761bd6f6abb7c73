/* SPDX-License-Identifier: Apache-2.0
 * cmd_backends.c - conf backends: what can be run here, or exactly why not; --verify holds the claims against probes.
 */
#include "conformance/cmd.h"
#include "conformance/report.h"
#include "conformance/runner.h"
#include "conformance/select.h"
#include "sim/base/json.h"

#include <string.h>

static const char HELP[] = "usage: conf backends [OPTION]...\n"
                           "Lists the backends, what each can do here, and why not.\n"
                           "\n"
                           "  -b, --backend B   only this one (repeatable; also plugin:PATH,\n"
                           "                    remote:COMMAND); default: all, and which is best for what\n"
                           "      --guest G     only for this guest (repeatable)\n"
                           "      --verify      probe what is declared full; exit 1 if a probe contradicts.\n"
                           "                    held: seen to work; accepted: its calls are taken, what they\n"
                           "                    do to a guest was not seen; not probed: needs a scenario\n"
                           "      --format F    table, json or markdown (of what is there, for documents)\n"
                           "  -h, --help\n";

enum { O_BACKEND, O_GUEST, O_VERIFY, O_FORMAT, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {
    [O_BACKEND] = {"backend", 'b', 'r'}, [O_GUEST] = {"guest", 0, 'r'}, [O_VERIFY] = {"verify", 0, 0},
    [O_FORMAT] = {"format", 0, 'r'},     [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    Words backends, guests;
    bool is_verify, is_json, is_markdown, is_help;
    Plan plan;
    Runner *runner;
    Json json;
    Buf out;
    size_t ncontradicted;
} Command;

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    GuestId guest;
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        switch (i) {
        case O_BACKEND:
            VEC_PUSH(&c->backends, cli.arg);
            break;
        case O_GUEST:
            if (cli_guest(cli.arg, &guest, err)) {
                return -ERR_INVAL;
            }
            c->plan.is_guest[guest] = true;
            VEC_PUSH(&c->guests, cli.arg);
            break;
        case O_VERIFY:
            c->is_verify = true;
            break;
        case O_FORMAT:
            c->is_markdown = !strcmp(cli.arg, "markdown");
            if (!c->is_markdown && cli_format(cli.arg, &c->is_json, err)) {
                return -ERR_INVAL;
            }
            break;
        case O_HELP:
            c->is_help = true;
            break;
        case CLI_OPERAND:
            return err_set(err, ERR_INVAL, "`%s`: takes no operand; --backend names one", cli.arg);
        default:
            return -ERR_INVAL;
        }
    }
    return 0;
}

static int name_backends(Command *c, Err *err)
{
    int rc = plan_backends_add(&c->backends, &c->plan, err);
    for (int g = 1; g < GUEST_COUNT && !c->guests.n; g++) {
        c->plan.is_guest[g] = true;
    }
    return rc;
}

static ProbeAnswer verify(Command *c, size_t backend, GuestId guest, Cap cap, Buf *why)
{
    ProbeAnswer answer = runner_probe(c->runner, &c->plan, backend, guest, cap, why);
    c->ncontradicted += answer == PROBE_CONTRADICTED;
    return answer;
}

static void put_json_caps(Command *c, size_t backend, GuestId guest)
{
    const Caps *caps = &c->plan.backends.items[backend].open[guest].caps;
    json_key(&c->json, "capabilities");
    json_open(&c->json, '[');
    for (int i = 0; i < CAP_COUNT; i++) {
        json_open(&c->json, '{');
        json_kstr(&c->json, "name", cap_name((Cap)i));
        json_kstr(&c->json, "level", cap_level_name(caps->level[i]));
        json_kstr(&c->json, "why", caps->why[i]);
        if (c->is_verify) {
            Buf why = {0};
            json_kstr(&c->json, "probe", probe_answer_name(verify(c, backend, guest, (Cap)i, &why)));
            json_kstr(&c->json, "probe_why", why.n ? buf_text(&why) : NULL);
            buf_free(&why);
        }
        json_close(&c->json, '}');
    }
    json_close(&c->json, ']');
}

static void put_json(Command *c, size_t backend, GuestId guest)
{
    const PlanBackend *b = &c->plan.backends.items[backend];
    const PlanOpen *open = &b->open[guest];
    json_open(&c->json, '{');
    json_kstr(&c->json, "backend", b->name);
    json_kstr(&c->json, "guest", guest_name(guest));
    json_kbool(&c->json, "available", open->state == OPEN_OK);
    json_kstr(&c->json, "reason", open->state == OPEN_OK ? NULL : open->err.text);
    if (open->state == OPEN_OK) {
        json_ku64(&c->json, "page_bytes", open->caps.page_bytes);
        json_ku64(&c->json, "max_vcpus", open->caps.max_vcpus);
        json_kstr(&c->json, "isa", open->caps.isa);
        put_json_caps(c, backend, guest);
    }
    json_close(&c->json, '}');
}

/* "    full: vcpu gpr_get ..", wrapped at 78 columns. */
static void put_words(Buf *out, const char *head, const char *const *words, size_t n)
{
    size_t column = 79;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(words[i]) + 1;
        if (column + length > 78) {
            buf_printf(out, "%s    %-13s", i ? "\n" : "", i ? "" : head);
            column = 17;
        }
        buf_printf(out, " %s", words[i]);
        column += length;
    }
    buf_str(out, n ? "\n" : "");
}

static void put_level(Buf *out, const Caps *caps, CapLevel level)
{
    for (int i = 0; i < CAP_COUNT; i++) {
        if (caps->level[i] == level) {
            buf_printf(out, "    %-8s %-18s %s\n", cap_level_name(level), cap_name((Cap)i),
                       caps->why[i] ? caps->why[i] : "");
        }
    }
}

static void put_verified(Command *c, size_t backend, GuestId guest)
{
    const char *held[CAP_COUNT], *accepted[CAP_COUNT], *unprobed[CAP_COUNT];
    size_t nheld = 0, naccepted = 0, nunprobed = 0;
    Buf wrong = {0};
    for (int i = 0; i < CAP_COUNT; i++) {
        Buf why = {0};
        switch (verify(c, backend, guest, (Cap)i, &why)) {
        case PROBE_HELD:
            held[nheld++] = cap_name((Cap)i);
            break;
        case PROBE_ACCEPTED:
            accepted[naccepted++] = cap_name((Cap)i);
            break;
        case PROBE_NOT_PROBED:
            unprobed[nunprobed++] = cap_name((Cap)i);
            break;
        case PROBE_CONTRADICTED:
            buf_printf(&wrong, "    CONTRADICTED %s: declared full, but %s\n", cap_name((Cap)i), buf_text(&why));
            break;
        case PROBE_NOT_CLAIMED:
            break;
        }
        buf_free(&why);
    }
    put_words(&c->out, "held:", held, nheld);
    put_words(&c->out, "accepted:", accepted, naccepted);
    put_words(&c->out, "not probed:", unprobed, nunprobed);
    buf_str(&c->out, buf_text(&wrong));
    buf_free(&wrong);
}

static void put_table(Command *c, size_t backend, GuestId guest)
{
    const PlanOpen *open = &c->plan.backends.items[backend].open[guest];
    if (open->state != OPEN_OK) {
        buf_printf(&c->out, "  %-8s not available: %s\n", guest_name(guest), open->err.text);
        return;
    }
    const char *full[CAP_COUNT];
    size_t nfull = 0;
    for (int i = 0; i < CAP_COUNT; i++) {
        if (open->caps.level[i] == CAP_FULL) {
            full[nfull++] = cap_name((Cap)i);
        }
    }
    buf_printf(&c->out, "  %-8s available\n", guest_name(guest));
    if (open->caps.isa) {
        buf_printf(&c->out, "    isa:     ");
        text_clean(&c->out, open->caps.isa);
        buf_char(&c->out, '\n');
    }
    put_words(&c->out, "full:", full, nfull);
    put_level(&c->out, &open->caps, CAP_PARTIAL);
    put_level(&c->out, &open->caps, CAP_NONE);
    if (c->is_verify) {
        put_verified(c, backend, guest);
    }
}

/* ---- markdown: one table of a backend ---- */
static const char *cell_of(Command *c, size_t backend, GuestId guest, Cap cap)
{
    const Caps *caps = &c->plan.backends.items[backend].open[guest].caps;
    Buf why = {0};
    const char *word = cap_level_name(caps->level[cap]);
    ProbeAnswer answer = c->is_verify ? verify(c, backend, guest, cap, &why) : PROBE_NOT_PROBED;
    buf_free(&why);
    return caps->level[cap] == CAP_FULL && answer != PROBE_NOT_PROBED ? probe_answer_name(answer) : word;
}

/* Why it is not full, of each guest, what is the same once. */
static void put_why(const PlanBackend *b, const bool *is_shown, Cap cap, Buf *out)
{
    const char *last = NULL;
    for (int g = 1; g < GUEST_COUNT; g++) {
        const char *why = is_shown[g] && b->open[g].caps.level[cap] != CAP_FULL ? b->open[g].caps.why[cap] : NULL;
        if (why && (!last || strcmp(why, last) != 0)) {
            buf_printf(out, "%s%s", last ? "; " : "", why);
            last = why;
        }
    }
}

static void put_markdown(Command *c, size_t backend)
{
    const PlanBackend *b = &c->plan.backends.items[backend];
    bool is_shown[GUEST_COUNT] = {false};
    size_t nshown = 0;
    for (int g = 1; g < GUEST_COUNT; g++) {
        is_shown[g] = c->plan.is_guest[g] && b->open[g].state == OPEN_OK;
        nshown += is_shown[g];
        if (c->plan.is_guest[g] && !is_shown[g]) {
            buf_printf(&c->out, "%s: not available: %s\n\n", guest_name((GuestId)g), b->open[g].err.text);
        }
    }
    if (!nshown) {
        return;
    }
    for (int g = 1; g < GUEST_COUNT; g++) {
        if (is_shown[g] && b->open[g].caps.isa) {
            buf_printf(&c->out, "%s: isa `", guest_name((GuestId)g));
            text_clean(&c->out, b->open[g].caps.isa);
            buf_str(&c->out, "`\n\n");
        }
    }
    buf_str(&c->out, "| capability |");
    for (int g = 1; g < GUEST_COUNT; g++) {
        buf_printf(&c->out, is_shown[g] ? " %s |" : "%s", is_shown[g] ? guest_name((GuestId)g) : "");
    }
    buf_str(&c->out, " why not |\n|---|");
    for (size_t i = 0; i < nshown; i++) {
        buf_str(&c->out, "---|");
    }
    buf_str(&c->out, "---|\n");
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        buf_printf(&c->out, "| %s |", cap_name((Cap)cap));
        for (int g = 1; g < GUEST_COUNT; g++) {
            if (is_shown[g]) {
                buf_printf(&c->out, " %s |", cell_of(c, backend, (GuestId)g, (Cap)cap));
            }
        }
        buf_char(&c->out, ' ');
        put_why(b, is_shown, (Cap)cap, &c->out);
        buf_str(&c->out, " |\n");
    }
}

/* ---- which is best ---- */
static void put_best(Command *c)
{
    for (int g = 1; g < GUEST_COUNT; g++) {
        Buf reasons = {0};
        const char *best = c->plan.is_guest[g] ? plan_best(&c->plan, (GuestId)g, &reasons) : NULL;
        if (c->plan.is_guest[g] && c->is_json) {
            json_open(&c->json, '{');
            json_kstr(&c->json, "guest", guest_name((GuestId)g));
            json_kstr(&c->json, "backend", best);
            json_kstr(&c->json, "passed_over", buf_text(&reasons));
            json_close(&c->json, '}');
        } else if (c->plan.is_guest[g]) {
            buf_printf(&c->out, "best for %s: %s\n", guest_name((GuestId)g), best ? best : "none");
            for (char *line = reasons.data; line && *line;) {
                char *end = strchr(line, '\n');
                buf_printf(&c->out, "    passed over %.*s\n", (int)(end - line), line);
                line = end + 1;
            }
        }
        buf_free(&reasons);
    }
}

static void put_all(Command *c)
{
    c->json = json_to(&c->out, 2);
    if (c->is_json) {
        json_open(&c->json, '{');
        json_ku64(&c->json, "schema_version", 1);
        json_key(&c->json, "backends");
        json_open(&c->json, '[');
    }
    for (size_t i = 0; i < c->plan.backends.n; i++) {
        if (c->is_markdown) {
            put_markdown(c, i);
            continue;
        }
        if (!c->is_json) {
            buf_printf(&c->out, "%s\n", c->plan.backends.items[i].name);
        }
        for (int g = 1; g < GUEST_COUNT; g++) {
            if (c->plan.is_guest[g] && c->is_json) {
                put_json(c, i, (GuestId)g);
            } else if (c->plan.is_guest[g]) {
                put_table(c, i, (GuestId)g);
            }
        }
    }
    if (c->is_json) {
        json_close(&c->json, ']');
        json_key(&c->json, "best");
        json_open(&c->json, '[');
    }
    if (!c->backends.n && !c->is_markdown) {
        put_best(c);
    }
    if (c->is_json) {
        json_close(&c->json, ']');
        json_close(&c->json, '}');
        buf_char(&c->out, '\n');
    }
    fwrite(c->out.data, 1, c->out.n, stdout);
}

int cmd_backends(int argc, char **argv)
{
    Command c = {.plan = {.arena = arena_new()}};
    Err err = {0};
    int status = CONF_OK;
    RunnerOptions o = {.nthreads = 1, .timeout_ns = 10000000000u, .max_memory_bytes = 1 << 30};
    if (parse(&c, argc, argv, &err) || name_backends(&c, &err)) {
        status = cli_usage("backends", &err);
    } else if (c.is_help) {
        fputs(HELP, stdout);
    } else if (runner_start(&o, &c.runner, &err)) {
        fprintf(stderr, "conf: %s\n", err.text);
        status = CONF_INTERNAL;
    } else {
        runner_open(c.runner, &c.plan);
        put_all(&c);
        status = c.ncontradicted ? CONF_FAILURES : CONF_OK;
    }
    runner_stop(c.runner);
    plan_free(&c.plan);
    VEC_FREE(&c.backends);
    VEC_FREE(&c.guests);
    buf_free(&c.out);
    return status;
}
