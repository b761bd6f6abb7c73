/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/board.h"
#include "conformance/typing.h"
#include "sim/base/os.h"
#include "sim/guest/exts.h"

#include <ctype.h>
#include <string.h>

/* ---- code ---- */

static bool is_label_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$';
}

static void label_add(Typer *t, const char *name, size_t n)
{
    char *copy = arena_strndup(t->l->arena, name, n);
    VEC_PUSH(&t->labels, (Named){.name = copy});
}

/* Words before a colon, and what .set and .equ name: enough to know a misspelt `$name` before anything is assembled. */
static void labels_of(Typer *t, const char *text)
{
    bool is_set = false;
    for (const char *p = text; *p;) {
        if (p[0] == '/' && p[1] == '/') {
            p += strcspn(p, "\n");
        } else if (*p == '"') {
            for (p++; *p && *p != '"'; p++) {
                p += *p == '\\' && p[1];
            }
            p += *p == '"';
        } else if (!is_label_char(*p)) {
            p++;
        } else {
            size_t n = 0;
            while (is_label_char(p[n])) {
                n++;
            }
            size_t after = n + strspn(p + n, " \t");
            if (p[after] == ':' || p[after] == '=' || is_set) {
                label_add(t, p, n);
            }
            is_set =
                (n == 4 && (!strncmp(p, ".set", n) || !strncmp(p, ".equ", n))) || (n == 5 && !strncmp(p, ".equv", n));
            t->any_label |= n == 6 && !strncmp(p, ".macro", n);
            p += n;
        }
    }
}

static bool is_local_path(Typer *t, const Node *n, const char *path)
{
    if (*path == '/' || !strcmp(path, "..") || !strncmp(path, "../", 3) || strstr(path, "/..")) {
        say(t->l, n->pos, "a file is named from the suite's own folder, without `..`");
        return false;
    }
    return true;
}

static const char *beside_suite(Typer *t, const char *path)
{
    const char *slash = strrchr(t->l->file, '/');
    return slash ? arena_printf(t->l->arena, "%.*s/%s", (int)(slash - t->l->file), t->l->file, path) : path;
}

static bool type_code_file(Typer *t, const Node *n, Expander *x, CodePart *out)
{
    size_t before = t->l->nerrors;
    if (!keys_check(t->l, n, SCOPE_codefile) || t->l->nerrors != before) {
        return false;
    }
    if (n->n != 1) {
        say(t->l, n->keys[1]->pos, "one of `file`, `hex` and `elf`, not two");
        return false;
    }
    const Node *value = expand(x, n->items[0], "code");
    if (!value) {
        x->is_absent = true;
        return false;
    }
    t->any_label = true;
    if (!strcmp(n->keys[0]->text, "hex")) {
        out->kind = CODE_HEX;
        return type_hex(t, value, &out->bytes, &out->n);
    }
    out->kind = strcmp(n->keys[0]->text, "elf") ? CODE_FILE : CODE_ELF;
    const char *path = type_text(t, value, "a file");
    if (!path || !is_local_path(t, value, path)) {
        return false;
    }
    out->text = beside_suite(t, path);
    return true;
}

static bool type_code_part(Typer *t, const Node *n, Expander *x, CodePart *out)
{
    *out = (CodePart){.kind = CODE_TEXT, .pos = n->pos, .is_block = n->is_block};
    if (n->kind == NODE_MAP) {
        return type_code_file(t, n, x, out);
    }
    if (!type_text(t, n, "code")) {
        return false;
    }
    out->text = expand_paste(x, n, false);
    out->n = strlen(out->text);
    labels_of(t, out->text);
    return true;
}

static bool type_fragment(Typer *t, const Node *use, Expander *x, CodePart *out)
{
    const char *name = type_word(t, use, "a fragment");
    if (!name) {
        return false;
    }
    const Node *fragment = node_get(t->l->fragments, name);
    if (!fragment) {
        Near near = near_start(name);
        for (size_t i = 0; t->l->fragments && i < t->l->fragments->n; i++) {
            near_try(&near, t->l->fragments->keys[i]->text);
        }
        say(t->l, use->pos, "no fragment `%.60s`%s", name, meant(t->l, &near));
        return false;
    }
    for (size_t i = 0; i < t->l->fragments->n; i++) {
        t->l->fragments_used[i] |= !strcmp(t->l->fragments->keys[i]->text, name);
    }
    if (!is_guest_map(fragment)) {
        say(t->l, fragment->pos, "a fragment is a map by guest: {riscv64: \"..\"}");
        return false;
    }
    const Node *code = node_get(fragment, guest_name(t->c->guest));
    if (!code) {
        say(t->l, use->pos, "fragment `%.60s` has no code for %s", name, guest_name(t->c->guest));
        return false;
    }
    bool ok = type_code_part(t, code, x, out);
    out->fragment = name;
    return ok;
}

void type_code(Typer *t, const Node *code, const Node *use, Expander *x)
{
    size_t nuse = use && is_list(t->l, use, "`use`") && is_few(t->l, use, MAX_NAMES, "`use`") ? use->n : 0;
    CodePart *parts = typed(t, nuse + 1, sizeof *parts);
    const Node *own = node_get(code, guest_name(t->c->guest));
    if (own && type_code_part(t, own, x, &parts[0])) {
        t->c->ncode = 1;
    } else if (own) {
        t->any_label = true; /* said already; its labels are not known */
    }
    if (nuse && !own) {
        say(t->l, use->pos, "`use` without `code`");
        nuse = 0;
    }
    for (size_t i = 0; i < nuse; i++) {
        for (size_t k = 0; k < i; k++) {
            if (use->items[i]->kind == NODE_SCALAR && use->items[k]->kind == NODE_SCALAR &&
                !strcmp(use->items[i]->text, use->items[k]->text)) {
                say(t->l, use->items[i]->pos, "fragment `%.60s` twice", use->items[i]->text);
            }
        }
        if (type_fragment(t, use->items[i], x, &parts[t->c->ncode])) {
            t->c->ncode++;
        }
    }
    t->c->code = parts;
}

/* ---- memory ---- */

static bool region_file(Typer *t, const Node *n, Region *r)
{
    const char *path = type_text(t, n, "`file`");
    if (!path || !is_local_path(t, n, path)) {
        return false;
    }
    Buf b = {0};
    Err err = {0};
    int rc = os_read_file(beside_suite(t, path), MAX_FILE, &b, &err);
    if (!rc && b.n && arena_has_room(t->l, n->pos)) {
        uint8_t *copy = typed(t, b.n, 1);
        memcpy(copy, b.data, b.n);
        r->bytes = copy;
        r->nbytes = b.n;
    } else if (rc) {
        say(t->l, n->pos, "%s", err.text);
    }
    buf_free(&b);
    return !rc;
}

static bool region_contents(Typer *t, const Node *map, Region *r)
{
    const Node *file = node_get(map, "file"), *code = node_get(map, "code");
    Contents c;
    if (!type_contents(t, map, &c)) {
        return false;
    }
    int n = (c.n || c.nbytes) + !!file + !!code;
    if (n > 1) {
        say(t->l, map->pos, "contents twice: one of u8 u16 u32 u64 hex text file code");
        return false;
    }
    if (file && !region_file(t, file, r)) {
        return false;
    }
    if (c.nbytes) {
        r->bytes = c.bytes;
        r->nbytes = c.nbytes;
    }
    if (!c.n) {
        return true;
    }
    Value *units = typed(t, c.n, sizeof *units);
    bool ok = true;
    for (size_t i = 0; i < c.n; i++) {
        ok &= type_int(t, c.units[i], c.unit_bytes * 8, &units[i]);
    }
    r->units = units;
    r->n = c.n;
    r->unit_bytes = c.unit_bytes;
    return ok;
}

static void region_code(Typer *t, const Node *n, Expander *x, Region *r)
{
    const Node *code = is_guest_map(n) ? node_get(n, guest_name(t->c->guest)) : n;
    CodePart *part = typed(t, 1, sizeof *part);
    if (code && type_code_part(t, code, x, part)) {
        r->code = part;
    }
}

static void region_size(Typer *t, const Node *map, Region *r)
{
    const Node *size = node_get(map, "size");
    uint64_t content = r->nbytes + r->n * r->unit_bytes;
    if (size && type_size(t, size, &r->size_bytes)) {
        if (content > r->size_bytes) {
            say(t->l, size->pos, "%llu bytes of contents do not fit", (unsigned long long)content);
        }
    } else if (!size && node_get(map, "code")) {
        say(t->l, map->pos, "a region with code needs a `size`");
    } else if (!size && !content && !r->is_hole) {
        say(t->l, map->pos, "a region needs a `size`, contents or `hole`");
    } else if (!size) {
        r->size_bytes = content;
    }
}

static void region_hole(Typer *t, const Node *map, Region *r)
{
    static const char *const not_of_holes[] = {"size", "flags", "fill", "log", "ring"};
    r->is_hole = true;
    r->flags = 0;
    type_size(t, node_get(map, "hole"), &r->size_bytes);
    for (size_t i = 0; i < ARRAY_LEN(not_of_holes); i++) {
        const Node *key = node_key(map, not_of_holes[i]);
        if (key) {
            say(t->l, key->pos, "a hole has no `%s`", key->text);
        }
    }
    if (r->n || r->nbytes || r->code) {
        say(t->l, map->pos, "a hole has no contents");
    }
}

static void region_map(Typer *t, const Node *map, Expander *x, Region *r)
{
    size_t before = t->l->nerrors;
    if (!keys_check(t->l, map, SCOPE_region) || t->l->nerrors != before || !region_contents(t, map, r)) {
        return;
    }
    const Node *at = node_get(map, "at"), *flags = node_get(map, "flags"), *fill = node_get(map, "fill"),
               *log = node_get(map, "log"), *ring = node_get(map, "ring"), *coalesce = node_get(map, "coalesce"),
               *code = node_get(map, "code");
    Value byte;
    r->has_at = at && type_int(t, at, 64, &r->at);
    if (flags) {
        r->flags = type_flags(t, flags, NULL);
        if (!(r->flags & MAP_W)) {
            need(t, CAP_map_ro, flags->pos, "a read-only region");
        }
    }
    if (fill && type_int(t, fill, 8, &byte)) {
        r->fill = (uint8_t)byte.n;
    }
    r->is_logged = log && type_yes(t, log);
    r->is_coalesced = coalesce && type_yes(t, coalesce);
    if (r->is_logged) {
        need(t, CAP_dirty_log, log->pos, "log");
    }
    if (ring && type_size(t, ring, &r->ring_bytes) && !r->is_logged) {
        say(t->l, node_key(map, "ring")->pos, "`ring` is for regions with `log`");
    }
    if (code) {
        region_code(t, code, x, r);
    }
    if (node_get(map, "hole")) {
        region_hole(t, map, r);
    } else {
        region_size(t, map, r);
        if (coalesce) {
            say(t->l, node_key(map, "coalesce")->pos, "`coalesce` is for holes");
        }
    }
}

/* The region's map with everything resolved but `code`, which is pasted instead. */
static const Node *region_expand(Expander *x, const Node *n)
{
    const Node *whole = is_guest_map(n) ? node_get(n, guest_name(x->guest)) : n;
    if (!whole || whole->kind != NODE_MAP || !node_get(whole, "code")) {
        return whole ? expand(x, whole, NULL) : NULL;
    }
    Node *copy = arena_alloc(x->l->arena, sizeof *copy);
    *copy = *whole;
    copy->keys = arena_alloc(x->l->arena, whole->n * sizeof *copy->keys);
    copy->items = arena_alloc(x->l->arena, whole->n * sizeof *copy->items);
    copy->n = 0;
    for (size_t i = 0; i < whole->n; i++) {
        bool is_code = !strcmp(whole->keys[i]->text, "code");
        const Node *value = is_code ? whole->items[i] : expand(x, whole->items[i], whole->keys[i]->text);
        if (value) {
            copy->keys[copy->n] = whole->keys[i];
            copy->items[copy->n++] = (Node *)value;
        } else if (strcmp(whole->keys[i]->text, "at") != 0) {
            say_absent(x, whole->items[i]);
        }
    }
    return copy;
}

static bool good_name(Typer *t, const Node *key, const char *what)
{
    if (is_name(key->text) && !guest_find(key->text)) {
        return true;
    }
    say(t->l, key->pos, "%s is named by letters, digits and _, got `%.60s`", what, key->text);
    return false;
}

static void type_memory(Typer *t, const Node *memory, Expander *x)
{
    const Node *own = is_guest_map(memory) ? node_get(memory, guest_name(t->c->guest)) : memory;
    if (!own || !is_map(t->l, own, "`memory`") || !is_few(t->l, own, MAX_NAMES, "`memory`")) {
        return;
    }
    Region *regions = typed(t, own->n, sizeof *regions);
    t->c->regions = regions;
    for (size_t i = 0; i < own->n; i++) {
        const Node *key = own->keys[i];
        const Node *value = good_name(t, key, "a region") ? region_expand(x, own->items[i]) : NULL;
        if (!value) {
            continue;
        }
        Region *r = &regions[t->c->nregions++];
        *r = (Region){.name = key->text, .pos = key->pos, .flags = MAP_R | MAP_W | MAP_X};
        if (value->kind == NODE_SCALAR) {
            type_size(t, value, &r->size_bytes);
        } else {
            region_map(t, value, x, r);
        }
    }
}

static void default_memory(Typer *t)
{
    Region *r = typed(t, 1, sizeof *r);
    *r = (Region){.name = "ram", .pos = t->c->pos, .flags = MAP_R | MAP_W | MAP_X, .size_bytes = 1 << 20};
    r->is_default = t->c->start != START_real;
    t->c->regions = r;
    t->c->nregions = 1;
}

static void type_pages(Typer *t, const Node *n)
{
    if (!is_map(t->l, n, "`pages`") || !is_few(t->l, n, MAX_NAMES, "`pages`")) {
        return;
    }
    if (t->c->start != START_paged && t->c->start != START_user) {
        say(t->l, n->pos, "`pages` needs `start: paged` or `start: user`");
    }
    Page *pages = typed(t, n->n, sizeof *pages);
    t->c->pages = pages;
    for (size_t i = 0; i < n->n; i++) {
        size_t errors = t->l->nerrors;
        const Node *map = n->items[i], *size = node_get(map, "size"), *flags = node_get(map, "flags");
        if (!good_name(t, n->keys[i], "a page") || !keys_check(t->l, map, SCOPE_page)) {
            continue;
        }
        Page *p = &pages[t->c->npages++];
        *p = (Page){
            .name = n->keys[i]->text, .pos = n->keys[i]->pos, .size_bytes = 4096, .flags = MAP_R | MAP_W | MAP_X};
        if (!node_get(map, "va") || !node_get(map, "to")) {
            if (t->l->nerrors == errors) {
                say(t->l, map->pos, "a page needs `va` and `to`");
            }
            continue;
        }
        type_int(t, node_get(map, "va"), 64, &p->va);
        type_int(t, node_get(map, "to"), 64, &p->to);
        if (size) {
            type_size(t, size, &p->size_bytes);
        }
        if (flags) {
            p->flags = type_flags(t, flags, &p->is_user);
        }
    }
}

/* Of a region or page there are names that are made of its own (world.c): another must not have one of them. */
static void name_apart(Typer *t, const char *name, Pos pos)
{
    static const struct {
        const char *suffix, *what;
        bool is_of_region, is_of_page;
    } made[] = {
        {"_end", "the end", true, true}, {"_size", "the size", true, false}, {"_pte", "the table entry", false, true}};
    size_t n = strlen(name);
    for (size_t m = 0; m < ARRAY_LEN(made); m++) {
        size_t base = n - strlen(made[m].suffix);
        bool is_taken = false;
        if (base > n || !base || strcmp(name + base, made[m].suffix) != 0) {
            continue;
        }
        for (size_t i = 0; made[m].is_of_region && i < t->c->nregions; i++) {
            is_taken = is_taken || (!strncmp(t->c->regions[i].name, name, base) && !t->c->regions[i].name[base]);
        }
        for (size_t i = 0; made[m].is_of_page && i < t->c->npages; i++) {
            is_taken = is_taken || (!strncmp(t->c->pages[i].name, name, base) && !t->c->pages[i].name[base]);
        }
        if (is_taken) {
            say(t->l, pos, "`%.60s` stands for %s of `%.*s`: name one of them differently", name, made[m].what,
                (int)(base < 60 ? base : 60), name);
        }
    }
}

static void names_apart(Typer *t)
{
    for (size_t i = 0; i < t->c->nregions; i++) {
        name_apart(t, t->c->regions[i].name, t->c->regions[i].pos);
    }
    for (size_t i = 0; i < t->c->npages; i++) {
        name_apart(t, t->c->pages[i].name, t->c->pages[i].pos);
    }
}

/* ---- vcpus, devices ---- */

static void type_vcpu_decl(Typer *t, const Node *map, VcpuDecl *v, size_t index)
{
    const Node *entry = node_get(map, "entry"), *regs = node_get(map, "regs"), *parked = node_get(map, "parked"),
               *id = node_get(map, "id");
    uint64_t number = index;
    v->has_entry = entry && type_int(t, entry, 64, &v->entry);
    v->is_parked = parked && type_yes(t, parked);
    if (v->is_parked) {
        need(t, CAP_parked, parked->pos, "parked");
    }
    if (v->is_parked && v->has_entry) {
        say(t->l, entry->pos, "a parked vcpu starts where cpu_up says");
    }
    if (id) {
        type_count(t, id, 0, 255, &number);
    }
    v->id = (uint8_t)number;
    for (size_t i = 0; i < index; i++) {
        if (t->c->vcpus[i].id == v->id) {
            say(t->l, id ? id->pos : v->pos, "vcpu id %u twice", v->id);
        }
    }
    if (regs) {
        type_regs_set(t, regs, (int)index, &v->regs, &v->nregs);
    }
}

static void type_vcpus(Typer *t, const Node *n)
{
    size_t count = n && is_map(t->l, n, "`vcpus`") ? n->n : 0;
    VcpuDecl *vcpus = typed(t, count + 1, sizeof *vcpus);
    t->c->vcpus = vcpus;
    if (!count) {
        vcpus[0] = (VcpuDecl){.name = "v0", .pos = t->c->pos};
        t->c->nvcpus = 1;
        return;
    }
    if (count > 256) {
        say(t->l, n->pos, "more than 256 vcpus");
        count = 256;
    }
    for (size_t i = 0; i < count; i++) { /* all names first: a register may be called by any vcpu's */
        good_name(t, n->keys[i], "a vcpu");
        vcpus[i] = (VcpuDecl){.name = n->keys[i]->text, .pos = n->keys[i]->pos};
    }
    t->c->nvcpus = count;
    for (size_t i = 0; i < count; i++) {
        bool is_bare = n->items[i]->kind == NODE_MAP && !n->items[i]->n; /* `boot: {}` is a vcpu with nothing special */
        if (!is_bare && keys_check(t->l, n->items[i], SCOPE_vcpu)) {
            type_vcpu_decl(t, n->items[i], &vcpus[i], i);
        } else {
            vcpus[i].id = (uint8_t)i;
        }
    }
    if (count > 1) {
        need(t, CAP_multi_vcpu, n->pos, "several vcpus");
    }
    if (vcpus[0].is_parked && count == 1) {
        say(t->l, n->pos, "the only vcpu is parked: nothing can start it");
    }
}

/* The first device that the guest's board does not have. `all` are those that it has. Under virt some are firmware calls,
 * which have no address (SBI). */
static const char *missing_device(const Case *c, bool is_all)
{
    static const char *const calls[] = {"power", "ipi", "timer"};
    Env env = c->start == START_machine ? ENV_MACHINE : ENV_VIRT;
    bool has_board = machine_board_exists(c->guest, env);
    for (size_t i = 0; i < c->ndevices; i++) {
        uint64_t base;
        bool is_there = has_board && (is_all || machine_board_find(c->guest, env, c->devices[i], &base));
        for (size_t k = 0; has_board && env == ENV_VIRT && k < ARRAY_LEN(calls); k++) {
            is_there |= !strcmp(c->devices[i], calls[k]);
        }
        if (!is_there) {
            return c->devices[i];
        }
    }
    return NULL;
}

static void type_devices(Typer *t, const Node *n)
{
    size_t known = 0;
    const char *const *words = device_words(&known);
    if (word_is(n, "all")) {
        t->c->devices = words;
        t->c->ndevices = known;
        t->c->need_device = missing_device(t->c, true);
        return;
    }
    if (!is_list(t->l, n, "`devices`")) {
        return;
    }
    const char **list = typed(t, n->n, sizeof *list);
    t->c->devices = list;
    for (size_t i = 0; i < n->n; i++) {
        const char *word = type_word(t, n->items[i], "a device");
        if (!word) {
            continue;
        }
        Near near = near_start(word);
        bool is_known = false;
        for (size_t k = 0; k < known; k++) {
            near_try(&near, words[k]);
            is_known |= !strcmp(words[k], word);
        }
        if (!is_known) {
            say(t->l, n->items[i]->pos, "`%.60s` is no device%s", word, meant(t->l, &near));
        } else if (has_device(t->c, word)) {
            say(t->l, n->items[i]->pos, "`%s` twice", word);
        }
        list[t->c->ndevices++] = word;
    }
    t->c->need_device = missing_device(t->c, false);
}

static void type_intercept(Typer *t, const Node *n)
{
    static const struct {
        const char *key;
        InterceptKind kind;
        Cap cap;
        Spec spec;
    } kinds[] = {{"sysregs", IC_SYSREG, CAP_sysreg_exit, {FIELD_TYPE_reg, 64, "a register"}},
                 {"cpuid", IC_CPUID, CAP_cpuid_exit, {FIELD_TYPE_int, 32, "a leaf"}},
                 {"exceptions", IC_EXCEPTION, CAP_exception_exit, {FIELD_TYPE_int, 32, "a vector"}}};
    if (!keys_check(t->l, n, SCOPE_intercept)) {
        return;
    }
    VEC(InterceptDecl) list = {0};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const Node *words = node_get(n, kinds[k].key);
        if (!words || !is_list(t->l, words, kinds[k].key)) {
            continue;
        }
        need(t, kinds[k].cap, words->pos, arena_printf(t->l->arena, "intercept: %s", kinds[k].key));
        for (size_t i = 0; i < words->n; i++) {
            Value v;
            if (type_scalar(t, words->items[i], &kinds[k].spec, &v)) {
                bool is_named = v.kind == VALUE_TEXT;
                VEC_PUSH(&list, (InterceptDecl){kinds[k].kind, v, is_named ? v.text : NULL, words->items[i]->pos});
            }
        }
    }
    InterceptDecl *copy = typed(t, list.n, sizeof *copy);
    if (list.n) {
        memcpy(copy, list.items, list.n * sizeof *copy);
    }
    t->c->intercepts = copy;
    t->c->nintercepts = list.n;
    VEC_FREE(&list);
}

/* ---- fake ---- */

static void fake_names(Typer *t, const Node *n, const char *line)
{
    for (const char *p = strchr(line, '{'); p; p = strchr(p, '{')) {
        size_t len = strcspn(++p, "}");
        if (!p[len]) {
            say(t->l, n->pos, "a `{` without `}`");
            return;
        }
        use_names(t, n, arena_strndup(t->l->arena, p, len));
        p += len;
    }
}

static void fake_lines(Typer *t, const Node *list, uint8_t vcpu, Expander *x, FakeLine *out)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!type_text(t, list->items[i], "a line")) {
            continue;
        }
        const char *line = expand_paste(x, list->items[i], true);
        fake_names(t, list->items[i], line);
        out[t->c->nfake++] = (FakeLine){vcpu, line, list->items[i]->pos};
    }
}

static void type_fake(Typer *t, const Node *n, Expander *x)
{
    const Node *own = is_guest_map(n) ? node_get(n, guest_name(t->c->guest)) : n;
    if (!own) {
        return;
    }
    size_t count = own->kind == NODE_SEQ ? own->n : 0;
    for (size_t i = 0; own->kind == NODE_MAP && i < own->n; i++) {
        count += own->items[i]->n;
    }
    FakeLine *lines = typed(t, count, sizeof *lines);
    t->c->fake = lines;
    if (own->kind == NODE_SEQ && is_list(t->l, own, "`fake`")) {
        fake_lines(t, own, 0, x, lines);
        if (t->c->nvcpus > 1) {
            say(t->l, own->pos, "of which vcpu? With several, `fake` is a map by vcpu");
        }
    } else if (own->kind != NODE_SEQ && is_map(t->l, own, "`fake`")) {
        for (size_t i = 0; i < own->n; i++) {
            uint8_t vcpu = 0;
            if (type_vcpu(t, own->keys[i], &vcpu) && is_list(t->l, own->items[i], "`fake` of a vcpu")) {
                fake_lines(t, own->items[i], vcpu, x, lines);
            }
        }
    }
}

/* ---- all ---- */

static void type_start(Typer *t, const Node *n)
{
    static const char *const words[] = {"kernel", "paged", "user", "machine", "real", "protected"};
    const char *word = type_word(t, n, "`start`");
    if (!word) {
        return;
    }
    Near near = near_start(word);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        near_try(&near, words[i]);
        if (strcmp(words[i], word) != 0) {
            continue;
        }
        t->c->start = (StartKind)i;
        if (i == START_machine) {
            need(t, CAP_env_machine, n->pos, "start: machine");
        }
        if ((i == START_real || i == START_protected) && t->c->guest != GUEST_x86_64) {
            say(t->l, n->pos, "`start: %s` is for x86_64 only", word);
        }
        return;
    }
    say(t->l, n->pos, "`%.60s` is no start%s It is one of: kernel paged user machine real protected", word,
        near.best ? meant(t->l, &near) : ".");
}

static void type_lifecycle(Typer *t, const Node *n)
{
    const char *word = type_word(t, n, "`lifecycle`");
    t->c->lifecycle = word ? life_find(word) : NULL;
    if (word && !t->c->lifecycle) {
        Near near = near_start(word);
        near_try(&near, "virtualcpu");
        near_try(&near, "axvcpu");
        say(t->l, n->pos, "`%.60s` is no lifecycle%s It is one of: virtualcpu axvcpu", word,
            near.best ? meant(t->l, &near) : ".");
    }
}

static void isa_add(Typer *t, const char *name)
{
    Case *c = t->c;
    const char **grown = arena_alloc(t->l->arena, (c->nisa + 1) * sizeof *grown);
    for (size_t i = 0; i < c->nisa; i++) {
        grown[i] = c->isa[i];
    }
    grown[c->nisa] = name;
    c->isa = grown;
    c->nisa += c->guest == GUEST_riscv64; /* the code of another guest needs none of it */
}

static void type_need_isa(Typer *t, const Node *n)
{
    const char *word = type_word(t, n, "an extension");
    if (!word) {
        return;
    }
    Near near = near_start(word);
    for (size_t i = 0; exts_name(i); i++) {
        if (!strcmp(exts_name(i), word)) {
            isa_add(t, exts_name(i));
            return;
        }
        near_try(&near, exts_name(i));
    }
    say(t->l, n->pos, "`%.60s` is no extension of riscv64 that conf knows%s", word, meant(t->l, &near));
}

/* A capability, of which a part will do, {capability: full}, or {isa: extension} and {isa: [extension, ..]}. */
static void type_need(Typer *t, const Node *n)
{
    bool is_whole = n->kind == NODE_MAP && n->n == 1;
    if (is_whole && word_is(n->keys[0], "isa")) {
        const Node *names = n->items[0];
        for (size_t i = 0; names->kind == NODE_SEQ && i < names->n; i++) {
            type_need_isa(t, names->items[i]);
        }
        if (names->kind != NODE_SEQ) {
            type_need_isa(t, names);
        }
        return;
    }
    int cap = type_cap(t, is_whole ? n->keys[0] : n);
    if (cap < 0) {
        return;
    }
    if (is_whole && !word_is(n->items[0], "full")) {
        say(t->l, n->items[0]->pos, "expected `full`; a part of it is `%s` alone", cap_name((Cap)cap));
        return;
    }
    t->c->needs[cap] = is_whole ? CAP_FULL : CAP_PARTIAL;
    t->c->need_why[cap] = "asked for";
}

void type_world(Typer *t, const Node *keys, Expander *x)
{
    const Node *n;
    if ((n = node_get(keys, "lifecycle"))) {
        type_lifecycle(t, n);
    }
    if ((n = node_get(keys, "start"))) {
        type_start(t, n);
    }
    if ((n = node_get(keys, "devices"))) {
        type_devices(t, n);
    }
    if ((n = node_get(keys, "boot"))) {
        type_boot(t, n, keys);
    } else if ((n = node_get(keys, "memory"))) {
        type_memory(t, n, x);
    } else {
        default_memory(t);
    }
    if ((n = node_get(keys, "pages"))) {
        type_pages(t, n);
    }
    names_apart(t);
    type_vcpus(t, t->c->boot ? NULL : node_get(keys, "vcpus"));
    if ((n = node_get(keys, "intercept"))) {
        type_intercept(t, n);
    }
    if ((n = node_get(keys, "needs")) && is_list(t->l, n, "`needs`")) {
        for (size_t i = 0; i < n->n; i++) {
            type_need(t, n->items[i]);
        }
    }
    if ((n = node_get(keys, "fake"))) {
        type_fake(t, n, x);
    }
}
