/* SPDX-License-Identifier: Apache-2.0
 * cmd_certify.c - conf certify: plays the conformance kit on one backend, three times, holds its claims against probes, is hostile
 * to it, and writes what came of it. */
#include "accel/plugin/plugin.h"
#include "conformance/certify.h"
#include "conformance/cmd.h"
#include "conformance/run.h"
#include "conformance/runner.h"
#include "sim/base/hash.h"
#include "sim/base/os.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] = "usage: conf certify [OPTION]... BACKEND\n"
                           "Holds a backend against the conformance kit: its claims (probes), the scenarios\n"
                           "on lifecycle, exits, interrupts, memory, registers, control and saving, hostile\n"
                           "use, and whether results stay the same when had again and on other threads.\n"
                           "Writes DIR/attestation.json and DIR/badge.svg, and says what to mend first.\n"
                           "\n"
                           "  BACKEND           a name, plugin:PATH or remote:[NAME:]COMMAND\n"
                           "      --guest G     only for this guest (repeatable; default: all that it has)\n"
                           "  -o, --output DIR  where to write (default conf-out)\n"
                           "  -j, --jobs N      so many at once (default: the online processors)\n"
                           "      --timeout T   limit of one scenario (default 10 s)\n"
                           "      --seed N      of all that is random (default 0x5eed1d0c)\n"
                           "      --kit DIR     the kit's scenarios (default: those installed with conf, or\n"
                           "                    scenarios/)\n"
                           "  -h, --help\n"
                           "Exit status: 0 certified; 1 refused, incomplete or nothing ran; 2 usage; 3 a\n"
                           "broken kit; 5 the backend is not available; 70 internal; 130 and 143 by a\n"
                           "signal.\n";

enum { O_GUEST, O_OUTPUT, O_JOBS, O_TIMEOUT, O_SEED, O_KIT, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {
    [O_GUEST] = {"guest", 0, 'r'},     [O_OUTPUT] = {"output", 'o', 'r'}, [O_JOBS] = {"jobs", 'j', 'r'},
    [O_TIMEOUT] = {"timeout", 0, 'r'}, [O_SEED] = {"seed", 0, 'r'},       [O_KIT] = {"kit", 0, 'r'},
    [O_HELP] = {"help", 'h', 0},
};

enum { PASSES = 3, THREADS_MAX = 256, FILE_MAX = 64 << 20 };
typedef struct {
    const RunHooks *hooks;
    PlanOptions words;
    RunnerOptions options;
    const char *output, *kit;
    bool is_help;
    Arena *arena;
    Plan plan;
    Runner *runner;
    Run runs[PASSES];
    Certify c;
} Command;

/* ---- the command line ---- */
static int take_option(Command *x, int option, const char *arg, Err *err)
{
    uint64_t n = 0;
    int rc;
    switch (option) {
    case O_GUEST:
        VEC_PUSH(&x->words.guests, arg);
        return 0;
    case O_OUTPUT:
        x->output = arg;
        return 0;
    case O_JOBS:
        rc = cli_number("-j", arg, 1, THREADS_MAX, &n, err);
        x->options.nthreads = (unsigned)n;
        return rc;
    case O_TIMEOUT:
        return cli_duration("--timeout", arg, &x->options.timeout_ns, err);
    case O_SEED:
        return cli_number("--seed", arg, 0, UINT64_MAX, &x->options.seed, err);
    case O_KIT:
        x->kit = arg;
        return 0;
    case O_HELP:
        x->is_help = true;
        return 0;
    case CLI_OPERAND:
        VEC_PUSH(&x->words.backends, arg);
        return 0;
    default:
        return -ERR_INVAL;
    }
}

static int parse(Command *x, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    Words names = {0};
    int rc = 0;
    for (int i = cli_next(&cli, err); i != CLI_END && !rc; i = rc ? i : cli_next(&cli, err)) {
        rc = take_option(x, i, cli.arg, err);
    }
    if (rc || x->is_help) {
        return rc;
    }
    if (x->words.backends.n != 1) {
        return err_set(err, ERR_INVAL, "needs one BACKEND, as in conf certify plugin:./libmine.so");
    }
    rc = plan_backends(x->words.backends.items[0], &names, err);
    if (!rc && names.n != 1) {
        rc = err_set(err, ERR_INVAL, "`%s` is several backends: name one", x->words.backends.items[0]);
    }
    VEC_FREE(&names);
    return rc;
}

/* ---- the kit ---- */
static bool has_kit(const char *folder)
{
    size_t n;
    Buf path = {0};
    buf_printf(&path, "%s/%s", folder, certify_kit(&n)[0]);
    bool is_there = !access(buf_text(&path), R_OK);
    buf_free(&path);
    return is_there;
}

/* Beside the program as it is installed, or as it is built; else below the current folder. */
static int find_kit(Command *x, Err *err)
{
    static const char *const PLACES[] = {"../" CONF_DATADIR "/conf/scenarios", "../../../scenarios"};
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) {
        *slash = 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(PLACES) && !x->kit && slash; i++) {
        const char *place = arena_printf(x->arena, "%s/%s", program, PLACES[i]);
        x->kit = has_kit(place) ? place : NULL;
    }
    x->kit = x->kit ? x->kit : "scenarios";
    char real[PATH_MAX];
    if (realpath(x->kit, real)) { /* it is in the commands that are printed */
        x->kit = arena_strdup(x->arena, real);
    }
    if (!has_kit(x->kit)) {
        size_t nfiles;
        return err_set(err, ERR_NOENT, "the kit's %s is not in %s/: name its folder with --kit",
                       certify_kit(&nfiles)[0], x->kit);
    }
    return 0;
}

static int digest_file(const char *path, Sha256 *s, Err *err)
{
    Buf bytes = {0};
    int rc = os_read_file(path, FILE_MAX, &bytes, err);
    sha256_add(s, bytes.data, bytes.n);
    buf_free(&bytes);
    return rc;
}

static void digest_end(Sha256 *s, char text[65])
{
    uint8_t digest[32];
    sha256_end(s, digest);
    sha256_hex(digest, text);
}

/* The kit's files as paths to load; their digest is over "name\n" and bytes of each. */
static int take_kit(Command *x, Err *err)
{
    size_t n;
    Sha256 s;
    const char *const *files = certify_kit(&n);
    int rc = find_kit(x, err);
    sha256_init(&s);
    for (size_t i = 0; i < n && !rc; i++) {
        const char *path = arena_printf(x->arena, "%s/%s", x->kit, files[i]);
        sha256_add(&s, files[i], strlen(files[i]));
        sha256_add(&s, "\n", 1);
        rc = digest_file(path, &s, err);
        VEC_PUSH(&x->words.paths, path);
    }
    digest_end(&s, x->c.kit);
    return rc;
}

/* ---- who, where, when ---- */
static void describe(Command *x)
{
    Certify *c = &x->c;
    struct utsname host;
    const char *epoch = getenv("SOURCE_DATE_EPOCH"), *path = plugin_path(c->asked);
    time_t now = epoch && *epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(c->date, sizeof c->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (!uname(&host)) {
        snprintf(c->host, sizeof c->host, "%.60s %.80s %.60s", host.sysname, host.release, host.machine);
    }
    Sha256 s;
    sha256_init(&s);
    if (path && !digest_file(path, &s, NULL)) {
        digest_end(&s, c->digest);
    }
}

static void take_version(Command *x, GuestId guest)
{
    Buf version = {0}, clean = {0};
    runner_ctl(x->runner, &x->plan, 0, guest, "version", &version);
    text_clean(&clean, buf_text(&version));
    snprintf(x->c.version, sizeof x->c.version, "%.63s", buf_text(&clean));
    buf_free(&version);
    buf_free(&clean);
}

/* A guest that the backend never has is not spoken of, unless it was named or there is no other. */
static bool is_spoken_of(const Command *x, GuestId guest, bool has_any)
{
    const PlanOpen *open = &x->plan.backends.items[0].open[guest];
    bool is_never = open->state == OPEN_FAILED && open->err.code == ERR_UNSUPPORTED;
    return x->plan.is_guest[guest] && (open->state == OPEN_OK || x->words.guests.n || !is_never || !has_any);
}

static bool take_guests(Command *x)
{
    Certify *c = &x->c;
    const PlanBackend *b = &x->plan.backends.items[0];
    bool has_any = false;
    for (int g = 1; g < GUEST_COUNT; g++) {
        has_any |= b->open[g].state == OPEN_OK;
    }
    c->shown = c->asked;
    for (int g = 1; g < GUEST_COUNT; g++) {
        const PlanOpen *open = &b->open[g];
        if (!is_spoken_of(x, (GuestId)g, has_any)) {
            continue;
        }
        bool is_open = open->state == OPEN_OK;
        CertifyGuest *guest = &c->guests[c->nguests++];
        *guest = (CertifyGuest){
            .guest = (GuestId)g, .caps = is_open ? &open->caps : NULL, .reason = is_open ? NULL : open->err.text};
        guest->hostile = x_calloc(hostile_count(), sizeof *guest->hostile);
        if (is_open) {
            c->shown = open->shown;
            take_version(x, (GuestId)g);
        }
    }
    return has_any;
}

/* ---- what it does ---- */
static void probe_all(Command *x, CertifyGuest *g)
{
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        Buf why = {0};
        g->probes[cap].answer = runner_probe(x->runner, &x->plan, 0, g->guest, (Cap)cap, &why);
        g->probes[cap].why = why.n ? buf_take(&why) : NULL;
    }
    for (size_t i = 0; i < hostile_count(); i++) {
        Buf why = {0};
        g->hostile[i].answer = runner_hostile(x->runner, &x->plan, 0, g->guest, i, &why);
        g->hostile[i].why = why.n ? buf_take(&why) : NULL;
    }
}

static void reason_count(CertifyTally *t, const char *text)
{
    size_t i = 0;
    while (i < t->reasons.n && strcmp(t->reasons.items[i].text, text) != 0) {
        i++;
    }
    if (i == t->reasons.n) {
        VEC_PUSH(&t->reasons, (CertifyReason){.text = text});
    }
    t->reasons.items[i].n++;
    for (; i && t->reasons.items[i].n > t->reasons.items[i - 1].n; i--) { /* the most frequent first */
        CertifyReason r = t->reasons.items[i];
        t->reasons.items[i] = t->reasons.items[i - 1];
        t->reasons.items[i - 1] = r;
    }
}

static CertifyGuest *guest_of(Certify *c, GuestId guest)
{
    for (size_t i = 0; i < c->nguests; i++) {
        if (c->guests[i].guest == guest) {
            return &c->guests[i];
        }
    }
    return NULL;
}

static void failure_keep(CertifyGuest *g, const Line *line)
{
    Buf text = {0}, again = {0};
    buf_printf(&text, "  %s  %s  (%s)\n%s", status_name(line->r->status), line->r->c->id,
               certify_area_name(certify_area_of(line->r->c)), buf_text(&line->r->failure));
    if (!line->r->failure.n) {
        buf_printf(&text, "      | %s\n", result_reason(line->r));
    }
    result_reproduce(line, &again);
    g->failure = buf_take(&text);
    g->reproduce = buf_take(&again);
}

static void tally(Certify *c, const Run *run)
{
    for (size_t i = 0; i < run->lines.n; i++) {
        const Line *line = &run->lines.items[i];
        CertifyGuest *g = guest_of(c, line->r->c->guest);
        CertifyArea area = certify_area_of(line->r->c);
        if (!g || area == AREA_COUNT) {
            continue;
        }
        g->areas[area].n[line->r->status]++;
        if (line->r->status == STATUS_skipped) {
            reason_count(&g->areas[area], buf_text(&line->r->reason));
        }
        if (status_is_bad(line->r->status) && !g->failure) {
            failure_keep(g, line);
        }
    }
}

/* A result that changes; exits are counted where the backend itself counts instructions, as nothing there depends on time. */
static void compare(Certify *c, const Run *first, const Run *again)
{
    for (size_t i = 0; i < first->lines.n && i < again->lines.n; i++) {
        const Result *a = first->lines.items[i].r, *b = again->lines.items[i].r;
        CertifyGuest *g = guest_of(c, a->c->guest);
        if (!g || !g->caps) {
            continue;
        }
        bool is_counted = g->caps->level[CAP_insn_count] == CAP_FULL;
        g->ncompared++;
        if (a->status == b->status && (!is_counted || a->nexits == b->nexits)) {
            continue;
        }
        g->nchanged++;
        if (!g->change) {
            Buf text = {0};
            buf_printf(&text, "%s: %s after %llu exits, then %s after %llu", a->c->id, status_name(a->status),
                       (unsigned long long)a->nexits, status_name(b->status), (unsigned long long)b->nexits);
            g->change = buf_take(&text);
        }
    }
}

static void play(Command *x)
{
    static const char *const HOW[PASSES] = {"", ", again on one thread", ", again"};
    for (int i = 0; i < PASSES && !x->c.cut_short && (i == 0 || certify_verdict(&x->c) != VERDICT_REFUSED); i++) {
        Run *run = &x->runs[i];
        run->view = (RunView){.is_quiet = true, .seed = x->options.seed};
        fprintf(stderr, "conf certify: %zu results of the kit%s\n", x->plan.jobs.n, HOW[i]);
        runner_use_threads(x->runner, i == 1 ? 1 : x->options.nthreads);
        run_begin(run, x->plan.jobs.n);
        x->c.cut_short = runner_run(x->runner, &x->plan, x->hooks, run);
        if (i == 0) {
            tally(&x->c, run);
        } else {
            compare(&x->c, &x->runs[0], run);
        }
    }
}

/* ---- what is written ---- */
/* With what it lies in. Before anything is played, which takes a while. */
static int make_folder(const char *path, Err *err)
{
    char *part = x_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, 0777); /* the last one says what is wrong */
        *slash = '/';
    }
    int rc = mkdir(part, 0777) && errno != EEXIST ? err_native(err, ERR_IO, errno, "--output %s", path) : 0;
    mem_free(part);
    return rc;
}

static int write_file(const Command *x, const char *name, const Buf *bytes, Err *err)
{
    const char *path = arena_printf(x->arena, "%s/%s", x->output, name);
    return os_write_file(path, bytes->data, bytes->n, err);
}

static int write_all(const Command *x, Err *err)
{
    Buf json = {0}, badge = {0};
    certify_json(&x->c, &json);
    certify_badge(&x->c, &badge);
    int rc = write_file(x, "attestation.json", &json, err);
    rc = rc ? rc : write_file(x, "badge.svg", &badge, err);
    buf_free(&json);
    buf_free(&badge);
    return rc;
}

static int conclude(Command *x, bool has_any)
{
    Buf text = {0};
    Err err = {0};
    certify_text(&x->c, &text);
    fwrite(text.data, 1, text.n, stdout);
    buf_free(&text);
    if (write_all(x, &err)) {
        fprintf(stderr, "conf certify: %s\n", err.text);
        return CONF_INTERNAL;
    }
    printf("written: %s/attestation.json and badge.svg\n", x->output);
    if (runner_signal(x->runner)) {
        return runner_signal(x->runner) == SIGINT ? CONF_SIGINT : CONF_SIGTERM;
    }
    return !has_any ? CONF_NO_BACKEND : certify_verdict(&x->c) == VERDICT_CERTIFIED ? CONF_OK : CONF_FAILURES;
}

static int certify(Command *x)
{
    int status = plan_select(&x->words, x->hooks, stderr, &x->plan);
    if (status) {
        return status == CONF_NOTHING ? CONF_USAGE : status;
    }
    runner_open(x->runner, &x->plan);
    describe(x);
    bool has_any = take_guests(x);
    if (has_any && plan_expand(&x->plan, stderr) == CONF_OK) {
        for (size_t i = 0; i < x->c.nguests; i++) {
            if (x->c.guests[i].caps) {
                probe_all(x, &x->c.guests[i]);
            }
        }
        play(x);
    }
    return conclude(x, has_any);
}

static void command_free(Command *x)
{
    certify_free(&x->c);
    for (int i = 0; i < PASSES; i++) {
        run_free(&x->runs[i]);
    }
    VEC_FREE(&x->words.paths);
    VEC_FREE(&x->words.backends);
    VEC_FREE(&x->words.guests);
    runner_stop(x->runner);
    plan_free(&x->plan);
    arena_free(x->arena);
}

int certify_main(const RunHooks *hooks, int argc, char **argv)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    Command x = {.hooks = hooks,
                 .output = "conf-out",
                 .arena = arena_new(),
                 .options = {.nthreads = online < 1             ? 1
                                         : online > THREADS_MAX ? THREADS_MAX
                                                                : (unsigned)online,
                             .timeout_ns = 10000000000u,
                             .max_memory_bytes = 1 << 30,
                             .seed = 0x5eed1d0c}};
    Err err = {0};
    int status = CONF_OK;
    if (parse(&x, argc, argv, &err)) {
        status = cli_usage("certify", &err);
    } else if (x.is_help) {
        fputs(HELP, stdout);
    } else if (runner_start(&x.options, &x.runner, &err)) { /* before anything makes this process grow */
        fprintf(stderr, "conf certify: %s\n", err.text);
        status = CONF_INTERNAL;
    } else if (make_folder(x.output, &err)) {
        fprintf(stderr, "conf certify: %s\n", err.text);
        status = CONF_USAGE;
    } else if (take_kit(&x, &err)) {
        fprintf(stderr, "conf certify: %s\n", err.text);
        status = CONF_INVALID;
    } else {
        x.c.asked = x.words.backends.items[0];
        status = certify(&x);
    }
    command_free(&x);
    return status;
}
