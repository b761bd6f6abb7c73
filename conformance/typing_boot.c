/* SPDX-License-Identifier: Apache-2.0
 * typing_boot.c - scenarios with `boot`: the images, and what can be told of a machine that is seen from outside only. */
#include "conformance/language.h"
#include "conformance/typing.h"

#include <string.h>

enum { MAX_HARTS = 64 };
static const uint64_t DEFAULT_RAM = 256 << 20, MAX_RAM = 2ull << 30, WITHIN_NS = 60000000000u;

static const Asset *type_asset(Typer *t, const Node *n)
{
    const char *name = n->kind == NODE_SCALAR && *n->text == '$' ? n->text + 1 : "";
    const Node *by_guest = node_get(t->l->assets, name);
    if (!by_guest) {
        Near near = near_start(name);
        for (size_t i = 0; t->l->assets && i < t->l->assets->n; i++) {
            near_try(&near, t->l->assets->keys[i]->text);
        }
        say(t->l, n->pos, "expected `$` and the name of an asset%s", meant(t->l, &near));
        return NULL;
    }
    const Node *file = node_get(by_guest, guest_name(t->c->guest));
    if (!file) {
        say(t->l, n->pos, "asset `%.60s` has no file for %s", name, guest_name(t->c->guest));
        return NULL;
    }
    const Node *path = node_get(file, "path"), *get = node_get(file, "get");
    Asset *a = typed(t, 1, sizeof *a);
    *a = (Asset){.name = name, .path = path ? path->text : "", .get = get ? get->text : NULL};
    return a;
}

/* The machine is whole: what would describe a part of one says nothing here. */
static void refuse_keys(Typer *t, const Node *keys)
{
    static const char *const others[] = {"code",      "use",       "start", "memory", "pages", "vcpus", "script",
                                         "intercept", "lifecycle", "fake",  "insns",  "break", "watch", "include"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const Node *key = node_key(keys, others[i]);
        if (key) {
            say(t->l, key->pos, "`boot` makes a whole machine: there is no `%s` beside it", others[i]);
        }
    }
}

static void boot_images(Typer *t, const Node *n, Boot *b)
{
    const struct {
        const char *key;
        const Asset **to;
    } rows[] = {{"bios", &b->bios}, {"kernel", &b->kernel}, {"initrd", &b->initrd}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const Node *value = node_get(n, rows[i].key);
        *rows[i].to = value ? type_asset(t, value) : NULL;
    }
    if (!node_get(n, "kernel") && !node_get(n, "bios")) {
        say(t->l, n->pos, "`boot` needs a `kernel` or a `bios`");
    }
}

static void boot_cards(Typer *t, const Node *n, Boot *b)
{
    const Node *drives = node_get(n, "drives"), *net = node_get(n, "net");
    if (drives && is_list(t->l, drives, "`drives`") && is_few(t->l, drives, MACHINE_DRIVES, "`drives`")) {
        for (size_t i = 0; i < drives->n; i++) {
            b->drives[b->ndrives++] = type_asset(t, drives->items[i]);
        }
    }
    if (net && !word_is(net, "user") && !word_is(net, "loopback")) {
        say(t->l, net->pos, "`net` is `user` or `loopback`");
    }
    b->net = net ? net->text : NULL;
}

void type_boot(Typer *t, const Node *n, const Node *keys)
{
    Boot *b = typed(t, 1, sizeof *b);
    *b = (Boot){.pos = n->pos, .ram_bytes = DEFAULT_RAM, .nharts = 1};
    t->c->boot = b;
    if (!node_get(keys, "devices")) {
        t->c->devices = device_words(&t->c->ndevices); /* what there is */
    }
    t->run.within_ns = WITHIN_NS;
    refuse_keys(t, keys);
    size_t errors = t->l->nerrors;
    if (!keys_check(t->l, n, SCOPE_boot) || t->l->nerrors != errors) {
        return;
    }
    const Node *cmdline = node_get(n, "cmdline"), *size = node_get(n, "ram"), *harts = node_get(n, "harts");
    uint64_t count = 1;
    boot_images(t, n, b);
    boot_cards(t, n, b);
    b->cmdline = cmdline ? type_text(t, cmdline, "`cmdline`") : NULL;
    if (size && type_size(t, size, &b->ram_bytes) && b->ram_bytes > MAX_RAM) {
        say(t->l, size->pos, "`ram` is at most 2G");
    }
    if (harts && type_count(t, harts, 1, MAX_HARTS, &count)) {
        b->nharts = (uint32_t)count;
    }
    need(t, CAP_boot, n->pos, "boot");
    if (b->bios) {
        t->c->start = START_machine;
        need(t, CAP_env_machine, n->pos, "bios");
    }
}

/* ---- the story ---- */
static void check_items(Typer *t, const Item *items, size_t n)
{
    static const uint64_t seen =
        1ull << EXIT_system_down | 1ull << EXIT_system_reset | 1ull << EXIT_halt | 1ull << EXIT_budget;
    for (size_t i = 0; i < n; i++) {
        const Item *item = &items[i];
        bool is_group = item->kind == ITEM_REPEAT || item->kind == ITEM_ANY_ORDER;
        if (!is_group && item->kind != ITEM_CONSOLE && (item->kind != ITEM_EXIT || !(seen >> item->exit & 1))) {
            say(t->l, item->pos, "a booted machine shows console, system_down, system_reset, halt and budget only");
        }
        check_items(t, item->items, item->nitems);
        boot_check_steps(t, item->then, item->nthen);
    }
}

static void check_check(Typer *t, const Check *c)
{
    if (c->state || c->nregs || c->nmemory || c->transitions || c->ndirty || c->same_as || c->differs_from) {
        say(t->l, c->pos, "of a booted machine `console`, `insns`, `values` and `never` can be checked only");
    }
}

static void check_run(Typer *t, const Step *s)
{
    const RunStep *r = &s->run;
    if (r->insns != UINT64_MAX || r->is_step || r->nbreaks || r->nwatches || r->nmeanwhile || r->include_completed) {
        say(t->l, s->pos, "the run of a booted machine has `within` and `ignore` only");
    }
    for (size_t i = 0; i < r->nlists; i++) {
        check_items(t, r->lists[i].items, r->lists[i].n);
    }
}

void boot_check_steps(Typer *t, const Step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const Step *s = &steps[i];
        if (s->kind == STEP_run) {
            check_run(t, s);
        } else if (s->kind == STEP_check) {
            check_check(t, s->check);
        } else if (s->kind != STEP_type || s->gives == GIVES_STATE) {
            say(t->l, s->pos, "the steps of a booted machine are run, type and check");
        }
    }
}

void boot_check_story(Typer *t)
{
    boot_check_steps(t, t->c->steps, t->c->nsteps);
    if (t->c->expect) {
        check_check(t, t->c->expect);
    }
}
