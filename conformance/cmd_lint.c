/* SPDX-License-Identifier: Apache-2.0
 * cmd_lint.c - conf lint: everything that can be known of a suite without running it. */
#include "conformance/cmd.h"
#include "conformance/plan_files.h"
#include "conformance/report.h"
#include "conformance/run.h"
#include "conformance/story.h"
#include "sim/base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] = "usage: conf lint FILE|DIR|GLOB...\n"
                           "Checks suites without running them: every mistake with its place, code that does\n"
                           "not assemble, and scenarios that run nowhere here. - is standard input.\n"
                           "\n"
                           "  -h, --help\n"
                           "\n"
                           "Exit status: 0 no mistake (warnings are none), 2 wrong usage, 3 a mistake, 4 no\n"
                           "suite to check.\n";

typedef VEC(char *) Texts;

/* What it says may quote a suite: no control character of it reaches the terminal. */
PRINTF_LIKE(1, 2) static void say(const char *fmt, ...)
{
    Buf text = {0}, clean = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    text_clean(&clean, buf_text(&text));
    fputs(buf_text(&clean), stdout);
    buf_free(&text);
    buf_free(&clean);
}

static bool text_add(Texts *said, const char *text) /* false: it is there */
{
    for (size_t i = 0; i < said->n; i++) {
        if (!strcmp(said->items[i], text)) {
            return false;
        }
    }
    VEC_PUSH(said, x_strdup(text));
    return true;
}

static void texts_free(Texts *t)
{
    for (size_t i = 0; i < t->n; i++) {
        mem_free(t->items[i]);
    }
    VEC_FREE(t);
}

/* ---- what runs nowhere here ---- */

static bool is_runnable(const Case *c, const Backend *b, Texts *reasons)
{
    Caps caps = {0};
    Err err = {0};
    Buf reason = {0};
    bool ok = false;
    if (b->open(b, c->guest, &caps, &err)) {
        buf_printf(&reason, "%s: %s", b->name, err.text);
    } else {
        ok = !story_unmet(c, b, &caps, &reason);
    }
    if (!ok) {
        text_add(reasons, buf_text(&reason));
    }
    buf_free(&reason);
    return ok;
}

static bool runs_somewhere(const Case *c, Texts *reasons)
{
    size_t n = 0;
    const Backend *const *list = backend_list(&n);
    for (size_t i = 0; i < n; i++) {
        if (is_runnable(c, list[i], reasons)) {
            return true;
        }
    }
    return false;
}

/* A scenario is named once, and only if no row on no guest can run; with the different reasons, a few of them. */
static void warn_unrunnable(const Suite *s)
{
    enum { SHOWN = 4 };
    for (size_t i = 0; i < s->ncases;) {
        const Case *first = &s->cases[i];
        bool runs = false;
        Texts reasons = {0};
        for (; i < s->ncases && !strcmp(s->cases[i].name, first->name); i++) {
            runs = runs || runs_somewhere(&s->cases[i], &reasons);
        }
        if (!runs) {
            say("%s:%u:%u: warning: `%s` runs nowhere here", first->pos.file, first->pos.line, first->pos.col,
                first->name);
            for (size_t k = 0; k < reasons.n && k < SHOWN; k++) {
                say("%s %s", k ? ";" : ":", reasons.items[k]);
            }
            say("%s\n", reasons.n > SHOWN ? "; .." : "");
        }
        texts_free(&reasons);
    }
}

/* ---- what does not assemble ---- */

/* Lays out and assembles each case; a mistake in code that rows share is said once. Where there is no assembler that is
 * a warning: the suite may be right. Cases with a device that their guest's board has not are left out: it has no
 * address. */
static int assemble(const Suite *s)
{
    enum { MOST = 50 };
    Texts said = {0};
    int status = CONF_OK;
    for (size_t i = 0; i < s->ncases && said.n < MOST; i++) {
        World *w = NULL;
        Err err = {0};
        if (s->cases[i].need_device) {
            continue;
        }
        int rc = world_build(&s->cases[i], 0, &w, &err);
        if (rc == -ERR_UNAVAILABLE) {
            say("%s: warning: code was not assembled: %s\n", s->file, err.text);
            break;
        }
        if (rc) {
            status = CONF_INVALID;
        }
        if (rc && text_add(&said, err.text)) {
            say("%s\n", err.text);
        }
        world_free(w);
    }
    texts_free(&said);
    return status;
}

static int lint_file(const RunHooks *hooks, const char *file)
{
    Buf text = {0};
    Err err = {0};
    Diags diags = {0};
    Arena *arena = arena_new();
    int status = CONF_INVALID;
    size_t n = strlen(file);
    bool is_lua = n > 4 && !strcmp(file + n - 4, ".lua");
    if (os_read_file(file, NODE_MAX_BYTES, &text, &err)) {
        say("%s\n", err.text);
    } else {
        Suite *(*load)(Arena *, const char *, const char *, size_t, Diags *) = is_lua ? hooks->load_lua : hooks->load;
        Suite *suite = load ? load(arena, file, buf_text(&text), text.n, &diags) : NULL;
        if (!load) {
            say("%s: built without Lua\n", file);
        }
        for (size_t i = 0; i < diags.n; i++) {
            say("%s\n", diags.items[i].text);
        }
        if (suite) {
            status = assemble(suite);
            warn_unrunnable(suite);
            suite_free(suite); /* and the arena */
            arena = NULL;
        }
    }
    VEC_FREE(&diags);
    arena_free(arena);
    buf_free(&text);
    return status;
}

static int lint_all(const RunHooks *hooks, const Words *words)
{
    int status = CONF_OK;
    Err err = {0};
    Arena *arena = arena_new();
    PlanFiles files = {0};
    for (size_t i = 0; i < words->n; i++) {
        if (plan_files_add(arena, words->items[i], hooks->load_lua != NULL, &files, &err)) {
            say("%s\n", err.text);
            status = CONF_INVALID;
        }
    }
    for (size_t i = 0; i < files.n; i++) {
        int one = lint_file(hooks, files.items[i].path);
        status = one ? one : status;
    }
    if (!files.n && !status) {
        fprintf(stderr, "conf: nothing to check: no suite below %s\n", words->items[0]);
        status = CONF_NOTHING;
    }
    plan_files_free(&files);
    arena_free(arena);
    return status;
}

int lint_main(const RunHooks *hooks, int argc, char **argv)
{
    static const CliOption OPTIONS[] = {{"help", 'h', 0}};
    Cli cli = cli_of(OPTIONS, ARRAY_LEN(OPTIONS), argc, argv);
    Err err = {0};
    Words words = {0};
    int status = -1;
    for (int i = cli_next(&cli, &err); status < 0 && i != CLI_END; i = cli_next(&cli, &err)) {
        if (i == CLI_OPERAND) {
            VEC_PUSH(&words, cli.arg);
        } else if (i == CLI_BAD) {
            status = cli_usage("lint", &err);
        } else {
            fputs(HELP, stdout);
            status = CONF_OK;
        }
    }
    if (status < 0 && !words.n) {
        err_set(&err, ERR_INVAL, "no file named");
        status = cli_usage("lint", &err);
    }
    status = status < 0 ? lint_all(hooks, &words) : status;
    VEC_FREE(&words);
    return status;
}
