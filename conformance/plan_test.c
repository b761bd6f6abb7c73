/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/plan.h"

#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/plan_files.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A loader for tests: each line "NAME [xN] [@TAG] [?]" is a scenario for riscv64 and x86_64, of N rows; ? makes it a
 * probe;
 * "!text" is a mistake. */
static Suite *load_lines(Arena *arena, const char *file, const char *text, size_t n, Diags *diags)
{
    (void)n;
    static const GuestId GUESTS[] = {GUEST_riscv64, GUEST_x86_64};
    Suite *s = arena_alloc(arena, sizeof *s);
    *s = (Suite){.arena = arena, .file = file, .cases = arena_alloc(arena, 64 * sizeof *s->cases)};
    char *copy = arena_strdup(arena, text), *rest = NULL; /* strtok_r keeps its place with us */
    uint32_t number = 0;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        number++;
        if (*line == '!') {
            VEC_PUSH(diags, (Diag){.text = arena_printf(arena, "%s:%u: %s", file, number, line + 1)});
            continue;
        }
        char *tag = strchr(line, '@'), *rows = strstr(line, " x");
        unsigned nrows = rows ? (unsigned)(rows[2] - '0') : 1;
        const char **tags = arena_alloc(arena, sizeof *tags);
        tags[0] = tag ? arena_strndup(arena, tag + 1, strcspn(tag + 1, " ")) : NULL;
        char *name = arena_strndup(arena, line, strcspn(line, " "));
        for (unsigned i = 0; i < nrows * 2; i++) {
            Case c = {.suite = s,
                      .name = name,
                      .id = rows ? arena_printf(arena, "%s[%u]", name, i / 2) : name,
                      .guest = GUESTS[i % 2],
                      .pos = {.file = file, .line = number * 10},
                      .tags = tags,
                      .ntags = tag != NULL,
                      .is_probe = strchr(line, '?') != NULL};
            s->cases[s->ncases++] = c;
        }
    }
    return diags->n ? NULL : s;
}

typedef struct {
    char folder[32];
    int cwd; /* where the tests of other files expect to be */
    Plan plan;
    char log[4096];
} Fixture;

static Fixture fixture(void)
{
    Fixture f = {.folder = "/tmp/conf-plan-XXXXXX", .cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    CHECK(mkdtemp(f.folder) != NULL);
    CHECK(chdir(f.folder) == 0);
    CHECK(mkdir("sub", 0777) == 0);
    CHECK_INT(os_write_file("b.yaml", "alpha @quick\nbeta x2\n", 21, NULL), 0);
    CHECK_INT(os_write_file("sub/a.yml", "gamma @slow\nasks ?\n", 19, NULL), 0);
    CHECK_INT(os_write_file("sub/broken.txt", "!no\n", 4, NULL), 0);
    CHECK_INT(os_write_file("sub/.hidden.yaml", "!no\n", 4, NULL), 0);
    return f;
}

static int select_now(Fixture *f, const PlanOptions *o)
{
    static const RunHooks HOOKS = {.load = load_lines};
    plan_free(&f->plan);
    FILE *log = tmpfile();
    int rc = plan_select(o, &HOOKS, log, &f->plan);
    rc = rc ? rc : plan_expand(&f->plan, log);
    rewind(log);
    f->log[fread(f->log, 1, sizeof f->log - 1, log)] = 0;
    fclose(log);
    return rc;
}

/* "alpha/riscv64 .." of the selected cases. */
static void check_cases(const Fixture *f, const char *want)
{
    Buf got = {0};
    for (size_t i = 0; i < f->plan.cases.n; i++) {
        buf_printf(&got, "%s%s/%s", i ? " " : "", f->plan.cases.items[i]->id,
                   f->plan.cases.items[i]->guest == GUEST_riscv64 ? "rv" : "x");
    }
    CHECK_STR(buf_text(&got), want);
    buf_free(&got);
}

static void fixture_end(Fixture *f)
{
    static const char *const FILES[] = {"b.yaml", "sub/a.yml", "sub/broken.txt", "sub/.hidden.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        unlink(FILES[i]);
    }
    rmdir("sub");
    CHECK(fchdir(f->cwd) == 0);
    close(f->cwd);
    rmdir(f->folder);
    plan_free(&f->plan);
}

#define SELECT(...)                                                                                                    \
    (const PlanOptions)                                                                                                \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define WORDS(...)                                                                                                     \
    {                                                                                                                  \
        .items = (const char *[]){__VA_ARGS__}, .n = ARRAY_LEN(((const char *[]){__VA_ARGS__}))                        \
    }

TEST(plan, files_folders_globs_and_selectors)
{
    Fixture f = fixture();
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .guests = WORDS("x86_64"))), CONF_OK);
    check_cases(&f, "alpha/x beta[0]/x beta[1]/x gamma/x");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("*.yaml", "sub/a.yml"), .tags = WORDS("quick", "slow"))), CONF_OK);
    check_cases(&f, "alpha/rv alpha/x gamma/rv gamma/x");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml::beta[1]", "./b.yaml:15"))), CONF_OK);
    check_cases(&f, "alpha/rv alpha/x beta[1]/rv beta[1]/x");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml::beta"), .guests = WORDS("riscv64"))), CONF_OK);
    check_cases(&f, "beta[0]/rv beta[1]/rv");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml:9999"), .expr = "not [0]")), CONF_OK);
    check_cases(&f, "beta[1]/rv beta[1]/x");
    fixture_end(&f);
}

TEST(plan, what_selects_nothing_says_why)
{
    Fixture f = fixture();
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml::bete"))), CONF_NOTHING);
    CHECK_HAS(f.log, "no scenario `bete`; did you mean `beta`?");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml:9"))), CONF_NOTHING);
    CHECK_HAS(f.log, "no scenario at line 9; the first is at line 10");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml"), .tags = WORDS("quikc"))), CONF_NOTHING);
    CHECK_HAS(f.log, "1 files hold 6 cases; did you mean --tag quick?");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("sub/a.yml::asks"))), CONF_NOTHING);
    CHECK_HAS(f.log, "2 probes");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("none.yaml"))), CONF_USAGE);
    CHECK_HAS(f.log, "none.yaml: no such file or directory");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("none.yaml:3"))), CONF_USAGE);
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("*.yam"))), CONF_USAGE);
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("x.lua"))), CONF_USAGE);
    CHECK_INT(select_now(&f, &SELECT(.expr = NULL)), CONF_USAGE);
    CHECK_HAS(f.log, "no folder scenarios/");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .guests = WORDS("riscv46"))), CONF_USAGE);
    CHECK_HAS(f.log, "did you mean `riscv64`?");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .backends = WORDS("fkae"))), CONF_USAGE);
    CHECK_HAS(f.log, "unknown backend `fkae`; did you mean `fake`?");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .backends = WORDS("libmine.so"))), CONF_USAGE);
    CHECK_HAS(f.log, "unknown backend `libmine.so`; did you mean `plugin:libmine.so`?");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .backends = WORDS("fake,kvm"))), CONF_USAGE);
    CHECK_HAS(f.log, "unknown backend `fake,kvm`: for several say --backend several times");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .backends = WORDS("remote:fake"))), CONF_USAGE);
    CHECK_HAS(f.log, "`remote:fake` names a backend and no command: remote:fake:COMMAND");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .expr = "a and")), CONF_USAGE);
    fixture_end(&f);
}

TEST(plan, an_invalid_file_is_told_and_outweighs_the_rest)
{
    Fixture f = fixture();
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml", "sub/broken.txt", "b.yaml::zzz"))), CONF_INVALID);
    CHECK_HAS(f.log, "error: sub/broken.txt:1: no\n");
    fixture_end(&f);
}

TEST(plan, shards_part_the_cases)
{
    Fixture f = fixture();
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .shard = 1, .nshards = 3)), CONF_OK);
    check_cases(&f, "alpha/rv beta[0]/x gamma/rv");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .shard = 3, .nshards = 3)), CONF_OK);
    check_cases(&f, "beta[0]/rv beta[1]/x");
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("."), .shard = 9, .nshards = 9)), CONF_NOTHING);
    CHECK_HAS(f.log, "shard 9 of 9 is empty");
    fixture_end(&f);
}

TEST(plan, jobs_follow_cases_then_backends_once_each)
{
    Fixture f = fixture();
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml::alpha"), .guests = WORDS("x86_64"),
                                     .backends = WORDS("fake", "remote:ssh h a", "fake"))),
              CONF_OK);
    CHECK_INT(f.plan.jobs.n, 2);
    CHECK_STR(plan_shown(&f.plan, &f.plan.jobs.items[0]), "fake");
    CHECK_STR(f.plan.backends.items[f.plan.jobs.items[1].backend].command, "ssh h a");
    fixture_end(&f);
}

TEST(plan, best_is_one_backend_for_each_guest_and_the_rest_is_passed_over)
{
    Fixture f = fixture();
    Buf out = {0};
    CHECK_INT(select_now(&f, &SELECT(.paths = WORDS("b.yaml::alpha"), .backends = WORDS("best", "fake"))), CONF_OK);
    for (size_t b = 0; b < f.plan.backends.n; b++) { /* as runner_open would: all but kvm are there for riscv64 */
        PlanBackend *backend = &f.plan.backends.items[b];
        CHECK(backend->is_candidate == (strcmp(backend->name, "fake") != 0));
        backend->open[GUEST_riscv64].state = strcmp(backend->name, "kvm") ? OPEN_OK : OPEN_FAILED;
        backend->open[GUEST_x86_64].state = OPEN_FAILED;
        err_set(&backend->open[GUEST_riscv64].err, ERR_UNAVAILABLE, "no /dev/kvm");
    }
    f.plan.jobs.n = 0;
    CHECK_INT(plan_expand(&f.plan, stderr), CONF_OK);
    const char *best = plan_best(&f.plan, GUEST_riscv64, NULL);
    CHECK(best && !strncmp(best, "sim-", 4));
    size_t nbest = 0, nfake = 0;
    for (size_t i = 0; i < f.plan.jobs.n; i++) {
        const Job *job = &f.plan.jobs.items[i];
        const char *name = f.plan.backends.items[job->backend].name;
        nfake += !strcmp(name, "fake");
        nbest += job->c->guest == GUEST_riscv64 && strcmp(name, "fake") != 0;
        CHECK(job->c->guest != GUEST_riscv64 || !strcmp(name, "fake") || (best && !strcmp(name, best)));
    }
    CHECK_INT(nbest, 1);
    CHECK_INT(nfake, 2); /* alpha for two guests */
    plan_left_out(&f.plan, &out);
    CHECK_HAS(buf_text(&out), "best for riscv64: sim-");
    CHECK_HAS(buf_text(&out), "passed over: kvm: no /dev/kvm");
    buf_free(&out);
    fixture_end(&f);
}

TEST(plan, a_plugin_is_named_by_its_path)
{
    Fixture f = fixture();
    CHECK_INT(
        select_now(&f, &SELECT(.paths = WORDS("b.yaml::alpha"), .backends = WORDS("plugin:./x.so", "plugin:./x.so"))),
        CONF_OK);
    CHECK_INT(f.plan.backends.n, 1);
    CHECK_STR(f.plan.backends.items[0].name, "plugin:./x.so");
    CHECK(f.plan.backends.items[0].is_named && !f.plan.backends.items[0].command);
    fixture_end(&f);
}

TEST(plan, a_case_names_its_backends)
{
    static const char *const ALLOWED[] = {"kvm", "sim"};
    Case c = {.backends = ALLOWED, .nbackends = 2};
    CHECK(plan_allows(&c, "kvm"));
    CHECK(plan_allows(&c, "kvm@nested"));
    CHECK(plan_allows(&c, "sim-jit"));
    CHECK(!plan_allows(&c, "kvmx"));
    CHECK(!plan_allows(&c, "fake"));
    CHECK(plan_allows(&(Case){0}, "fake"));
}

TEST(plan, probes_are_planned_where_an_xfail_asks)
{
    Xfail x = {.backend = "fake", .probe = "asks"};
    Suite s = {0};
    Case cases[3] = {{.suite = &s, .name = "asks", .guest = GUEST_x86_64, .is_probe = true},
                     {.suite = &s, .name = "one", .guest = GUEST_x86_64, .xfail = &x},
                     {.suite = &s, .name = "two", .guest = GUEST_x86_64, .xfail = &x}};
    s.cases = cases;
    s.ncases = 3;
    Plan p = {.arena = arena_new()};
    VEC_PUSH(&p.backends, (PlanBackend){.name = "fake"});
    VEC_PUSH(&p.backends, (PlanBackend){.name = "kvm"});
    VEC_PUSH(&p.cases, &cases[1]);
    VEC_PUSH(&p.cases, &cases[2]);
    CHECK_INT(plan_expand(&p, stderr), CONF_OK);
    CHECK_INT(p.jobs.n, 4);
    CHECK_INT(p.probes.n, 1); /* both ask the same; kvm needs no answer */
    CHECK(p.probes.items[0].c == &cases[0]);
    CHECK_INT(p.probes.items[0].slot, 2);
    plan_free(&p);
}

TEST(plan, expressions)
{
    CHECK(plan_expr_match("MMIO load", "mmio load extends"));
    CHECK(!plan_expr_match("mmio  not", "mmio") || plan_expr_check("mmio  not", NULL) != 0);
    CHECK(plan_expr_match("mmio and not store", "mmio load"));
    CHECK(!plan_expr_match("mmio and not store", "mmio store"));
    CHECK(plan_expr_match("a or b and zzz", "a"));
    CHECK(!plan_expr_match("(a or b) and zzz", "a"));
    CHECK(plan_expr_match("not not a", "a"));
    CHECK_INT(plan_expr_check("a and (b or not c d)", NULL), 0);
    static const char *const WRONG[] = {"", "and", "a and", "not", "(a", "a)", "a or or b", "()"};
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        CHECK_INT(plan_expr_check(WRONG[i], NULL), -ERR_INVAL);
    }
    char deep[400] = {0};
    memset(deep, '(', sizeof deep - 1);
    CHECK_INT(plan_expr_check(deep, NULL), -ERR_INVAL);
}
