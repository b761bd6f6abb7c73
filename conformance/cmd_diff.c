/* SPDX-License-Identifier: Apache-2.0
 * cmd_diff.c - conf diff: two backends in lockstep over a scenario or an image. In this process: a backend that crashes ends
 * conf, which is where a debugger wants it; but a plugin, which is a stranger's, in a worker. */
#include "accel/plugin/plugin.h"
#include "accel/remote/remote.h"
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/diff.h"
#include "sim/base/os.h"

#include <string.h>

static const char HELP[] = "usage: conf diff --a B1 --b B2 [OPTION]... SCENARIO | --kernel IMAGE\n"
                           "Runs two backends in lockstep; says where they first go apart.\n"
                           "\n"
                           "      --a B, --b B   a backend or plugin:PATH, and its options: sim-interp,\n"
                           "                     sim-interp:max_block_insns=1, sim-interp:cpu=rv64ima\n"
                           "                     (cpu= takes the rest of the word)\n"
                           "  SCENARIO           FILE::NAME or FILE:LINE, one of them\n"
                           "  -g, --guest G      of a scenario for several; of an image (default riscv64)\n"
                           "      --kernel FILE  ELF, or as it is at the start of RAM; without devices\n"
                           "  -m, --memory S     RAM of an image (default 64M)\n"
                           "      --insns N      of an image, at most (default 100000000)\n"
                           "      --window N     compare every N instructions at first (default 65536)\n"
                           "      --timeout T    limit of each pass over a scenario (default 60 s)\n"
                           "      --seed N       of all that is random (default 0x5eed1d0c)\n"
                           "  -h, --help\n"
                           "Exit status: 0 equal, 1 apart, 2 usage, 3 invalid suite or image, 4 nothing to\n"
                           "compare, 5 a backend is not available, 70 internal.\n";

typedef enum {
    O_A,
    O_B,
    O_GUEST,
    O_KERNEL,
    O_MEMORY,
    O_INSNS,
    O_WINDOW,
    O_TIMEOUT,
    O_SEED,
    O_HELP,
    O_COUNT
} OptionIndex;
static const CliOption OPTIONS[O_COUNT] = {
    [O_A] = {"a", 'a', 'r'},         [O_B] = {"b", 'b', 'r'},           [O_GUEST] = {"guest", 'g', 'r'},
    [O_KERNEL] = {"kernel", 0, 'r'}, [O_MEMORY] = {"memory", 'm', 'r'}, [O_INSNS] = {"insns", 0, 'r'},
    [O_WINDOW] = {"window", 0, 'r'}, [O_TIMEOUT] = {"timeout", 0, 'r'}, [O_SEED] = {"seed", 0, 'r'},
    [O_HELP] = {"help", 'h', 0},
};

typedef struct {
    const RunHooks *hooks;
    PlanOptions plan;
    DiffConfig diff;
    DiffImage image;
    StoryOptions story;
    const char *kernel;
    bool is_help;
    Arena *arena;             /* of what is cut out of the sides' words */
    WorkerServer *servers[2]; /* of sides that are plugins */
    RemoteLink *links[2];
    /* a scenario, while it plays */
    const Case *c;
    const World *w;
    Buf verdict;   /* what the story itself came to, of the last pass */
    bool is_unmet; /* it cannot run on the two */
} Command;

/* ---- the command line ---- */
static int unknown_backend(const char *name, Err *err)
{
    size_t n;
    const Backend *const *list = backend_list(&n);
    const char **names = x_calloc(n + 1, sizeof *names);
    Buf known = {0};
    for (size_t i = 0; i < n; i++) {
        names[i] = list[i]->name;
        buf_printf(&known, " %s", names[i]);
    }
    const char *near = cli_nearest(name, names, n);
    int rc = near ? err_set(err, ERR_NOENT, "unknown backend `%s`; did you mean `%s`?", name, near)
                  : err_set(err, ERR_NOENT, "unknown backend `%s`; known:%s", name, buf_text(&known));
    mem_free(names);
    buf_free(&known);
    return rc;
}

/* Before anything else makes this process grow. */
static int open_plugin(Command *c, unsigned side, const char *name, Err *err)
{
    if (c->links[side]) {
        return err_set(err, ERR_INVAL, "--%c is there twice", side ? 'b' : 'a');
    }
    int rc = worker_server_start_for(plugin_find, &c->servers[side], err);
    rc = rc ? rc : worker_start(c->servers[side], name, &(WorkerLimits){0}, &c->links[side], err);
    if (!rc) {
        remote_limits(c->links[side], 10000000000u, UINT64_MAX);
        c->diff.side[side].backend = remote_backend(c->links[side]);
    }
    return rc;
}

/* NAME[:OPTION,...][,cpu=REST] */
static int parse_side(Command *c, unsigned side, const char *text, Err *err)
{
    PairSide *out = &c->diff.side[side];
    char *name = arena_strdup(c->arena, text);
    bool is_plugin = plugin_path(name) != NULL;
    char *options = strchr(name + (is_plugin ? strlen(PLUGIN_PREFIX) : 0), ':');
    *out = (PairSide){.shown = text};
    if (options) {
        *options++ = 0;
        for (char *word = options; word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
            if (!strncmp(word, "cpu=", 4)) {
                out->cpu = word + 4;
                word[word > options ? -1 : 0] = 0;
                break;
            }
        }
        out->options = *options ? options : NULL;
    }
    if (is_plugin) {
        return open_plugin(c, side, name, err);
    }
    out->backend = backend_find(name);
    return out->backend ? 0 : unknown_backend(name, err);
}

static int parse_option(Command *c, OptionIndex option, const char *arg, Err *err)
{
    switch (option) {
    case O_A:
        return parse_side(c, 0, arg, err);
    case O_B:
        return parse_side(c, 1, arg, err);
    case O_GUEST:
        VEC_PUSH(&c->plan.guests, arg);
        return cli_guest(arg, &c->image.guest, err);
    case O_KERNEL:
        c->kernel = arg;
        return 0;
    case O_MEMORY:
        return cli_bytes("-m", arg, &c->image.ram_bytes, err);
    case O_INSNS:
        return cli_number("--insns", arg, 1, UINT64_MAX - 1, &c->image.max_insns, err);
    case O_WINDOW:
        return cli_number("--window", arg, 1, 1 << 30, &c->diff.window, err);
    case O_TIMEOUT:
        return cli_duration("--timeout", arg, &c->story.timeout_ns, err);
    case O_SEED:
        return cli_number("--seed", arg, 0, UINT64_MAX, &c->story.seed, err);
    case O_HELP:
        c->is_help = true;
        return 0;
    case O_COUNT:
        break;
    }
    return 0;
}

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        if (i == CLI_OPERAND) {
            VEC_PUSH(&c->plan.paths, cli.arg);
            continue;
        }
        if (i == CLI_BAD || parse_option(c, (OptionIndex)i, cli.arg, err)) {
            return -ERR_INVAL;
        }
    }
    if (c->is_help) {
        return 0;
    }
    if (!c->diff.side[0].backend || !c->diff.side[1].backend) {
        return err_set(err, ERR_INVAL, "--%c is missing", c->diff.side[0].backend ? 'b' : 'a');
    }
    if (c->plan.paths.n + (c->kernel != NULL) != 1) {
        return err_set(err, ERR_INVAL, "needs one SCENARIO, or --kernel IMAGE");
    }
    return 0;
}

/* ---- what is played ---- */
static int play_story(void *ctx, const Backend *b, const Caps *caps, Err *err)
{
    Command *c = ctx;
    Result r = {0};
    story_run(c->c, c->w, b, caps, &c->story, &r);
    buf_clear(&c->verdict);
    buf_printf(&c->verdict, "the scenario itself: %s%s%s\n", status_name(r.status), r.reason.n ? ": " : "",
               buf_text(&r.reason));
    c->is_unmet = r.status == STATUS_skipped;
    int rc = c->is_unmet ? err_set(err, ERR_UNSUPPORTED, "%s", buf_text(&r.reason)) : 0;
    result_free(&r);
    return rc;
}

static int search(Command *c)
{
    DiffResult r;
    Err err = {0};
    Buf text = {0};
    int status = CONF_INTERNAL;
    int rc = diff_search(&c->diff, &r, &err);
    if (rc) {
        fprintf(stderr, "conf diff: %s\n", err.text);
        status = !r.is_open               ? CONF_NO_BACKEND
                 : rc == -ERR_UNSUPPORTED ? CONF_NOTHING
                 : rc == -ERR_INVAL       ? CONF_USAGE
                                          : CONF_INTERNAL;
    } else {
        diff_report(&c->diff, &r, &text);
        if (!r.is_apart) {
            buf_str(&text, buf_text(&c->verdict));
        }
        fwrite(text.data, 1, text.n, stdout);
        status = r.is_apart ? CONF_FAILURES : CONF_OK;
    }
    diff_result_free(&r);
    buf_free(&text);
    return status;
}

static int one_case(const Plan *plan, const Case **out)
{
    if (plan->cases.n == 1) {
        *out = plan->cases.items[0];
        return CONF_OK;
    }
    fprintf(stderr, "conf diff: %zu scenarios are selected; name one (and a --guest):\n", plan->cases.n);
    for (size_t i = 0; i < plan->cases.n && i < 10; i++) {
        fprintf(stderr, "  %s for %s\n", plan->cases.items[i]->id, guest_name(plan->cases.items[i]->guest));
    }
    return CONF_USAGE;
}

static int diff_scenario(Command *c)
{
    Plan plan;
    World *w = NULL;
    Err err = {0};
    int status = plan_select(&c->plan, c->hooks, stderr, &plan);
    status = status ? status : one_case(&plan, &c->c);
    if (!status && world_build(c->c, 0, &w, &err)) {
        fprintf(stderr, "conf diff: %s\n", err.text);
        status = CONF_INVALID;
    }
    if (!status) {
        c->w = w;
        c->diff.guest = c->c->guest;
        c->diff.play = play_story;
        c->diff.ctx = c;
        status = search(c);
    }
    world_free(w);
    plan_free(&plan);
    return status;
}

static int diff_kernel(Command *c)
{
    enum { IMAGE_MAX = 256 << 20 };
    Buf bytes = {0};
    Err err = {0};
    int status = CONF_INVALID;
    int rc = os_read_file(c->kernel, IMAGE_MAX, &bytes, &err);
    c->image.name = c->kernel;
    c->image.bytes = (const uint8_t *)bytes.data;
    c->image.n = bytes.n;
    rc = rc ? rc : diff_image_check(&c->image, &err);
    if (rc) {
        fprintf(stderr, "conf diff: %s\n", err.text);
    } else {
        c->diff.guest = c->image.guest;
        c->diff.play = diff_play_image;
        c->diff.ctx = &c->image;
        status = search(c);
    }
    buf_free(&bytes);
    return status;
}

int diff_main(const RunHooks *hooks, int argc, char **argv)
{
    Err err = {0};
    Command c = {.hooks = hooks,
                 .arena = arena_new(),
                 .image = {.guest = GUEST_riscv64, .ram_bytes = 64 << 20, .max_insns = 100000000},
                 .story = {.seed = 0x5eed1d0c,
                           .timeout_ns = 60000000000u,
                           .script = hooks ? hooks->script : NULL,
                           .script_ctx = hooks ? hooks->script_ctx : NULL}};
    int status = CONF_OK;
    if (parse(&c, argc, argv, &err)) {
        status = cli_usage("diff", &err);
    } else if (c.is_help) {
        fputs(HELP, stdout);
    } else {
        status = c.kernel ? diff_kernel(&c) : diff_scenario(&c);
    }
    for (unsigned i = 0; i < 2; i++) {
        WorkerEnd end;
        if (c.servers[i]) {
            worker_end(c.servers[i], c.links[i], 1000000000, &end);
        }
        worker_server_stop(c.servers[i]);
    }
    VEC_FREE(&c.plan.paths);
    VEC_FREE(&c.plan.guests);
    buf_free(&c.verdict);
    arena_free(c.arena);
    return status;
}
