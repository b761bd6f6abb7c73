/* SPDX-License-Identifier: Apache-2.0
 * The world of a session: that of a scenario (FILE::ID), or a small one made here. */
#include "conformance/select.h"
#include "lua/repl.h"
#include "sim/base/os.h"

#include <stdio.h>
#include <string.h>

/* Room for code typed by hand, which then runs on through the nops to the doorbell: `done`. In hex, so that a session
 * starts without the assembler. */
enum { NOPS = 256 };
static const char SMALL_WORLD[] = "version: 1\n"
                                  "scenarios:\n"
                                  "- name: repl\n"
                                  "  guests: [%s]\n"
                                  "  memory: {ram: 1M}\n"
                                  "  code: {%s: {hex: \"%s\"}}\n"
                                  "%s"
                                  "  script: expect(1, 1)\n";

static const char *nop_of(GuestId guest)
{
    return guest == GUEST_x86_64 ? "90" : guest == GUEST_aarch64 ? "1f2003d5" : "13000000";
}

static const char *host_guest(void)
{
#if defined(__x86_64__)
    return "x86_64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "riscv64";
#endif
}

static int complain(int status, const char *text)
{
    fprintf(stderr, "conf repl: %s\n", text);
    return status;
}

static Suite *load_text(Repl *r, const char *file, const char *text, size_t n)
{
    (void)r;
    Diags diags = {0};
    Arena *arena = arena_new();
    size_t nfile = strlen(file);
    bool is_lua = nfile > 4 && strcmp(file + nfile - 4, ".lua") == 0;
    Suite *s = is_lua ? lua_suite_load(arena, arena_strdup(arena, file), text, n, &diags)
                      : suite_load(arena, arena_strdup(arena, file), text, n, &diags);
    for (size_t i = 0; i < diags.n && !s; i++) {
        fprintf(stderr, "error: %s\n", diags.items[i].text);
    }
    VEC_FREE(&diags);
    if (!s) {
        arena_free(arena);
    }
    return s;
}

static int open_case(Repl *r, const char *id)
{
    Suite *s = r->suite;
    for (size_t i = 0; i < s->ncases && !r->c; i++) {
        const Case *c = &s->cases[i];
        bool is_guest = !r->o.guest || strcmp(guest_name(c->guest), r->o.guest) == 0;
        if (is_guest && (!id || strcmp(c->id, id) == 0)) {
            r->c = c;
        }
    }
    if (!r->c) {
        fprintf(stderr, "conf repl: %s has no scenario `%s`%s%s\n", s->file, id ? id : "", r->o.guest ? " for " : "",
                r->o.guest ? r->o.guest : "");
        return CONF_NOTHING;
    }
    return CONF_OK;
}

static int open_target(Repl *r)
{
    const char *split = strstr(r->o.target, "::");
    Buf text = {0};
    Err err = {0};
    char *file = x_strndup(r->o.target, split ? (size_t)(split - r->o.target) : strlen(r->o.target));
    int status = CONF_OK;
    if (os_read_file(file, NODE_MAX_BYTES, &text, &err) != 0) {
        status = complain(CONF_USAGE, err.text);
    } else {
        r->suite = load_text(r, file, buf_text(&text), text.n);
        status = r->suite ? open_case(r, split ? split + 2 : NULL) : CONF_INVALID;
    }
    buf_free(&text);
    mem_free(file);
    return status;
}

static int open_small(Repl *r)
{
    const char *guest = r->o.guest ? r->o.guest : host_guest();
    Buf text = {0}, nops = {0};
    if (!guest_find(guest)) {
        fprintf(stderr, "conf repl: `%s` is no guest; there are: riscv64 aarch64 x86_64\n", guest);
        return CONF_USAGE;
    }
    bool is_fake = r->o.backend && strcmp(r->o.backend, "fake") == 0;
    for (int i = 0; i < NOPS; i++) {
        buf_str(&nops, nop_of(guest_find(guest)));
    }
    buf_printf(&text, SMALL_WORLD, guest, guest, buf_text(&nops), is_fake ? "  fake: [done]\n" : "");
    r->suite = load_text(r, "(repl)", buf_text(&text), text.n);
    buf_free(&text);
    buf_free(&nops);
    return r->suite ? open_case(r, NULL) : CONF_INVALID;
}

/* ---- backend ---- */
static int is_ready(void *ctx, const char *name, GuestId guest, Err *err)
{
    Caps caps = {0};
    (void)ctx;
    const Backend *b = backend_find(name);
    return b->open(b, guest, &caps, err);
}

/* The name of the backend to use; NULL: said why there is none. */
static const char *choose_backend(const Repl *r, int *status)
{
    const char *name = r->o.backend;
    if (name && strcmp(name, "best") != 0) {
        if (!backend_find(name) && !plugin_path(name)) {
            fprintf(stderr, "conf repl: there is no backend `%s`\n", name);
            *status = CONF_USAGE;
            return NULL;
        }
        return name;
    }
    Buf reasons = {0};
    name = select_best(r->c->guest, is_ready, NULL, &reasons);
    if (!name) {
        fprintf(stderr, "conf repl: no backend here runs %s (--backend fake plays without one):\n%s",
                guest_name(r->c->guest), buf_text(&reasons));
        *status = CONF_NO_BACKEND;
    }
    buf_free(&reasons);
    return name;
}

/* In this process, for a debugger. */
static int open_here(Repl *r, const char *name, const Backend **out, Err *err)
{
    int rc = plugin_path(name) ? plugin_open(plugin_path(name), &r->plugin, err) : 0;
    *out = r->plugin ? plugin_backend(r->plugin) : backend_find(name);
    return rc;
}

static int open_backend(Repl *r)
{
    Err err = {0};
    const Backend *b = NULL;
    int status = CONF_OK;
    const char *name = choose_backend(r, &status);
    if (!name) {
        return status;
    }
    if (!r->server && open_here(r, name, &b, &err) != 0) {
        return complain(CONF_NO_BACKEND, err.text);
    }
    if (r->server) {
        if (worker_start(r->server, name, NULL, &r->link, &err) != 0) {
            return complain(CONF_NO_BACKEND, err.text);
        }
        remote_limits(r->link, UINT64_C(10000000000), UINT64_MAX);
        b = remote_backend(r->link);
    }
    r->backend = b;
    return b->open(b, r->c->guest, &r->caps, &err) == 0 ? CONF_OK : complain(CONF_NO_BACKEND, err.text);
}

static int open_story(Repl *r)
{
    Err err = {0};
    StoryOptions o = {.seed = r->o.seed, .timeout_ns = UINT64_MAX / 4};
    LuaLimits limits = {.max_bytes = 1u << 30, .max_insns = UINT64_MAX / 2, .max_ns = r->o.timeout_ns};
    Buf why = {0};
    if (r->o.target && story_unmet(r->c, r->backend, &r->caps, &why)) {
        fprintf(stderr, "note: the scenario would be skipped here: %s\n", buf_text(&why));
    }
    buf_free(&why);
    if (world_build(r->c, r->caps.page_bytes, &r->world, &err) != 0) {
        return complain(CONF_INVALID, err.text);
    }
    if (story_open(r->c, r->world, r->backend, &r->caps, &o, &r->result, &r->story, &err) != 0) {
        return complain(CONF_FAILURES, err.text);
    }
    r->script = sandbox_new(r->story, &limits, "(repl)", NULL);
    return r->script ? CONF_OK : complain(CONF_INTERNAL, "out of memory");
}

int repl_open(Repl *r)
{
    Err err = {0};
    if (!r->o.is_in_process && worker_server_start_for(plugin_find, &r->server, &err) != 0) { /* first: it forks */
        return complain(CONF_INTERNAL, err.text);
    }
    int status = r->o.target ? open_target(r) : open_small(r);
    status = status ? status : open_backend(r);
    return status ? status : open_story(r);
}

void repl_close(Repl *r)
{
    sandbox_free(r->script);
    story_close(r->story);
    result_free(&r->result);
    world_free(r->world);
    if (r->link) {
        WorkerEnd end;
        worker_end(r->server, r->link, UINT64_C(1000000000), &end);
    }
    worker_server_stop(r->server);
    plugin_close(r->plugin);
    suite_free(r->suite);
}
