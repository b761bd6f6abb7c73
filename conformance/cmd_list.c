/* SPDX-License-Identifier: Apache-2.0
 * cmd_list.c - conf list: what `conf run` with the same selection would plan, and what each needs. Runs nothing. */
#include "conformance/run.h"

#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/report.h"
#include "sim/base/json.h"

#include <string.h>

static const char HELP[] = "usage: conf list [OPTION]... [FILE|DIR|GLOB|FILE:LINE|FILE::NAME]...\n"
                           "Lists scenarios with their guests, tags and the capabilities that they need.\n"
                           "\n"
                           "      --guest G     riscv64, aarch64 or x86_64 (repeatable)\n"
                           "  -k EXPR           names with this text; words and, or, not, ( )\n"
                           "      --tag T       scenarios with this tag (repeatable: any of them)\n"
                           "      --format F    table or json\n"
                           "  -h, --help\n";

enum { O_GUEST, O_EXPR, O_TAG, O_FORMAT, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {
    [O_GUEST] = {"guest", 0, 'r'},   [O_EXPR] = {"keyword", 'k', 'r'}, [O_TAG] = {"tag", 0, 'r'},
    [O_FORMAT] = {"format", 0, 'r'}, [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    PlanOptions plan;
    bool is_json, is_help;
} Command;

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        switch (i) {
        case O_GUEST:
            VEC_PUSH(&c->plan.guests, cli.arg);
            break;
        case O_EXPR:
            c->plan.expr = cli.arg;
            break;
        case O_TAG:
            VEC_PUSH(&c->plan.tags, cli.arg);
            break;
        case O_FORMAT:
            if (cli_format(cli.arg, &c->is_json, err)) {
                return -ERR_INVAL;
            }
            break;
        case O_HELP:
            c->is_help = true;
            break;
        case CLI_OPERAND:
            VEC_PUSH(&c->plan.paths, cli.arg);
            break;
        default:
            return -ERR_INVAL;
        }
    }
    return 0;
}

static void put_needs(const Case *c, Buf *out)
{
    const char *gap = "  needs ";
    for (int i = 0; i < CAP_COUNT; i++) {
        if (c->needs[i]) {
            buf_printf(out, "%s%s%s", gap, cap_name((Cap)i), c->needs[i] == CAP_FULL ? ":full" : "");
            gap = " ";
        }
    }
    for (size_t i = 0; i < c->nisa; i++) {
        buf_printf(out, "%sisa:%s", gap, c->isa[i]);
        gap = " ";
    }
    if (c->need_device) {
        buf_printf(out, "%sdevice %s", gap, c->need_device);
    }
}

/* One line for the cases [from, returned), which differ in the guest alone. */
static size_t put_row(const Plan *p, size_t from, Buf *out)
{
    const Case *c = p->cases.items[from];
    size_t end = from;
    buf_printf(out, "%s:%u  %s ", c->suite->file, c->pos.line, c->id);
    for (; end < p->cases.n && p->cases.items[end]->suite == c->suite && !strcmp(p->cases.items[end]->id, c->id);
         end++) {
        buf_printf(out, " %s", guest_name(p->cases.items[end]->guest));
    }
    for (size_t i = 0; i < c->ntags; i++) {
        buf_printf(out, " @%s", c->tags[i]);
    }
    put_needs(c, out);
    buf_char(out, '\n');
    return end;
}

static void put_list(Json *j, const char *key, const char *const *words, size_t n)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_str(j, words[i]);
    }
    json_close(j, ']');
}

static void put_case(Json *j, const Case *c)
{
    json_open(j, '{');
    json_kstr(j, "suite", c->suite->file);
    json_ku64(j, "line", c->pos.line);
    json_kstr(j, "scenario", c->id);
    json_kstr(j, "name", c->name);
    json_kstr(j, "guest", guest_name(c->guest));
    json_kstr(j, "why", c->why);
    put_list(j, "tags", c->tags, c->ntags);
    put_list(j, "backends", c->backends, c->nbackends);
    json_key(j, "needs");
    json_open(j, '[');
    for (int i = 0; i < CAP_COUNT; i++) {
        if (c->needs[i]) {
            json_open(j, '{');
            json_kstr(j, "capability", cap_name((Cap)i));
            json_kstr(j, "level", cap_level_name(c->needs[i]));
            json_kstr(j, "why", c->need_why[i]);
            json_close(j, '}');
        }
    }
    json_close(j, ']');
    put_list(j, "isa", c->isa, c->nisa);
    json_close(j, '}');
}

static void put_json(const Plan *p, Buf *out)
{
    Json j = json_to(out, 2);
    json_open(&j, '{');
    json_ku64(&j, "schema_version", 1);
    json_key(&j, "cases");
    json_open(&j, '[');
    for (size_t i = 0; i < p->cases.n; i++) {
        put_case(&j, p->cases.items[i]);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
}

int list_main(const RunHooks *hooks, int argc, char **argv)
{
    Command c = {0};
    Plan plan = {0};
    Err err = {0};
    Buf out = {0};
    int status = CONF_OK;
    if (parse(&c, argc, argv, &err)) {
        status = cli_usage("list", &err);
    } else if (c.is_help) {
        fputs(HELP, stdout);
    } else {
        status = plan_select(&c.plan, hooks, stderr, &plan);
        for (size_t i = 0; !status && !c.is_json && i < plan.cases.n;) {
            Buf row = {0};
            i = put_row(&plan, i, &row);
            text_clean(&out, buf_text(&row)); /* a name may hold what moves the cursor */
            buf_free(&row);
        }
        if (!status && c.is_json) {
            put_json(&plan, &out);
        }
        fputs(buf_text(&out), stdout);
    }
    buf_free(&out);
    plan_free(&plan);
    VEC_FREE(&c.plan.paths);
    VEC_FREE(&c.plan.tags);
    VEC_FREE(&c.plan.guests);
    return status;
}
