/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <string.h>

enum { MAX_DEPTH = 16, MAX_ANY_ORDER = 256 /* each is compared with each */ };

/* ---- fields ---- */

static void say_field(Typer *t, const Node *key, int head)
{
    Near near = near_start(key->text);
    Buf list = {0};
    size_t n = 0;
    const FieldInfo *fields = field_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (fields[i].head == head || fields[i].head < 0) {
            buf_printf(&list, " %s", field_name(fields[i].field));
            near_try(&near, field_name(fields[i].field));
        }
    }
    say(t->l, key->pos, "`%.60s` is no field of %s%s Fields:%s", key->text, head_name(head),
        near.best ? meant(t->l, &near) : ".", buf_text(&list));
    buf_free(&list);
}

static const FieldCheck *field_of(const Item *item, FieldId field)
{
    for (size_t i = 0; i < item->nfields; i++) {
        if (item->fields[i].field == field) {
            return &item->fields[i];
        }
    }
    return NULL;
}

/* Bits of the access, where its size is written down; 64 otherwise. */
static unsigned access_bits(const Item *item)
{
    const FieldCheck *size = field_of(item, FIELD_size);
    bool is_known = size && size->match.kind == MATCH_eq && size->match.a.kind == VALUE_INT;
    return is_known ? (unsigned)size->match.a.n * 8 : 64;
}

static bool type_fields(Typer *t, const Node *map, int head, Item *item)
{
    if (word_is(map, "any")) { /* {irq_window: any, then: ..}: no field is compared */
        return true;
    }
    if (!is_map(t->l, map, arena_printf(t->l->arena, "%s's fields", head_name(head)))) {
        return false;
    }
    FieldCheck *fields = typed(t, map->n, sizeof *fields);
    item->fields = fields;
    /* size first: it says how wide the others are */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < map->n; i++) {
            const FieldInfo *info = field_find(head, map->keys[i]->text);
            if (!info && !pass) {
                say_field(t, map->keys[i], head);
            }
            if (!info || (info->field == FIELD_size) == pass) {
                continue;
            }
            unsigned access = access_bits(item);
            bool is_data = info->field == FIELD_data;
            Spec spec = {info->type, is_data && access < info->bits ? access : info->bits, map->keys[i]->text};
            FieldCheck *f = &fields[item->nfields];
            f->field = info->field;
            if (type_matcher(t, map->items[i], &spec, &f->match)) {
                item->nfields++;
            }
            if (info->field == FIELD_insns) {
                need(t, CAP_insn_count, map->items[i]->pos, "insns");
            }
        }
    }
    return true;
}

/* ---- replies ---- */

static bool reply_cpuid(Typer *t, const Node *n, Item *item)
{
    static const char *const regs[] = {"eax", "ebx", "ecx", "edx"};
    if (!keys_check(t->l, n, SCOPE_cpuid)) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        const Node *value = node_get(n, regs[i]);
        item->reply[i] = (Value){.kind = VALUE_INT, .pos = n->pos};
        if (value && !type_int(t, value, 32, &item->reply[i])) {
            return false;
        }
    }
    item->answer = ANSWER_CPUID;
    return true;
}

static bool reply_trap(Typer *t, const Node *n, Item *item)
{
    if (word_is(n, "skip") || word_is(n, "retry")) {
        item->answer = word_is(n, "skip") ? ANSWER_SKIP : ANSWER_RETRY;
        return true;
    }
    say(t->l, n->pos, "a trap's reply is `skip` (go on behind the instruction) or `retry`");
    return false;
}

static void type_reply(Typer *t, const Node *n, int head, Item *item)
{
    if (head == HEAD_trap) {
        reply_trap(t, n, item);
        return;
    }
    ReplyKind kind = head < EXIT_COUNT ? exit_reply_kind((ExitKind)head) : REPLY_none;
    if (kind == REPLY_none && head != EXIT_hypercall) {
        say(t->l, n->pos, "%s takes no reply", head_name(head));
        return;
    }
    if (word_is(n, "fault") && kind != REPLY_none) {
        item->answer = ANSWER_FAULT;
        need(t, CAP_reply_fault, n->pos, "reply: fault");
        return;
    }
    if (word_is(n, "skip") || word_is(n, "retry")) {
        say(t->l, n->pos, "`%s` is for traps; %s is answered by a value%s", n->text, head_name(head),
            kind == REPLY_none ? "" : " or `fault`");
        return;
    }
    if (kind == REPLY_ACK) {
        say(t->l, n->pos, "%s takes no value: only `fault` can be its reply", head_name(head));
        return;
    }
    if (head == EXIT_cpuid) {
        reply_cpuid(t, n, item);
        return;
    }
    if (type_int(t, n, access_bits(item), &item->reply[0])) {
        item->answer = ANSWER_VALUE;
    }
}

/* ---- one item ---- */

static void say_head(Typer *t, const Node *key)
{
    const char *word = *key->text == '$' ? key->text + 1 : key->text;
    Near near = near_start(word);
    if (*key->text == '$') {
        for (size_t i = 0; i < t->env->n; i++) {
            near_try(&near, t->env->items[i].name);
        }
        say(t->l, key->pos, "unknown name `%.60s`: no column and no `let`%s", key->text,
            near.best ? arena_printf(t->l->arena, "; did you mean `$%s`?", near.best) : "");
        return;
    }
    for (int i = 0; i < HEAD_COUNT; i++) {
        near_try(&near, head_name(i));
    }
    static const char *const others[] = {"reply", "then", "times", "optional", "if"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        near_try(&near, others[i]);
    }
    if (key_find(SCOPE_step, word)) {
        say(t->l, key->pos, "`%.60s` is a step, not an exit: it stands in `steps`, `then` or `meanwhile`", word);
        return;
    }
    say(t->l, key->pos, "`%.60s` is no exit%s", word, meant(t->l, &near));
}

/* What demands that the exit can be seen at all; items that may be absent demand nothing. */
static void need_of_exit(Typer *t, int head, const Item *item)
{
    static const struct {
        int head;
        Cap cap;
    } needs[] = {
        {EXIT_halt, CAP_halt_visible},
        {EXIT_io_read, CAP_pio},
        {EXIT_io_write, CAP_pio},
        {EXIT_sysreg_read, CAP_sysreg_exit},
        {EXIT_sysreg_write, CAP_sysreg_exit},
        {EXIT_hypercall, CAP_hypercall_visible},
        {EXIT_budget, CAP_insn_count},
        {EXIT_irq_window, CAP_irq_window},
        {EXIT_cpuid, CAP_cpuid_exit},
        {EXIT_exception, CAP_exception_exit},
        {EXIT_cpu_up, CAP_firmware_visible},
        {EXIT_cpu_down, CAP_firmware_visible},
        {EXIT_system_down, CAP_firmware_visible},
        {EXIT_system_reset, CAP_firmware_visible},
    };
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        bool is_boards = t->c->ndevices && (head == EXIT_system_down || head == EXIT_system_reset);
        if (needs[i].head == head && item->if_cap < 0 && item->min_times && !is_boards) {
            need(t, needs[i].cap, item->pos, head_name(head));
        }
    }
}

static void type_times(Typer *t, const Node *n, Item *item)
{
    if (n->kind != NODE_SEQ) {
        if (type_count(t, n, 1, 1000000, &item->min_times)) {
            item->max_times = item->min_times;
        }
        return;
    }
    if (n->n != 2) {
        say(t->l, n->pos, "`times` is a number or [least, most]");
        return;
    }
    if (type_count(t, n->items[0], 0, 1000000, &item->min_times) &&
        type_count(t, n->items[1], 1, 1000000, &item->max_times) && item->min_times >= item->max_times) {
        say(t->l, n->pos, "`times` is [least, most] with least below most");
    }
}

static bool type_items(Typer *t, const Node *list, const Item **out, size_t *n);

static bool type_head(Typer *t, const Node *key, const Node *value, int head, Item *item)
{
    switch (head) {
    case HEAD_console:
        item->kind = ITEM_CONSOLE;
        need_console(t, key->pos, "`console`");
        if (word_is(value, "none")) {
            say(t->l, value->pos, "a console item that waits for nothing");
        }
        return type_console(t, value, &item->console);
    case HEAD_repeat:
    case HEAD_any_order:
        item->kind = head == HEAD_repeat ? ITEM_REPEAT : ITEM_ANY_ORDER;
        if (++t->depth > MAX_DEPTH) {
            say(t->l, key->pos, "nested too deep");
            t->depth--;
            return false;
        }
        bool ok = (head == HEAD_repeat || is_few(t->l, value, MAX_ANY_ORDER, "`any_order`")) &&
                  type_items(t, value, &item->items, &item->nitems);
        t->depth--;
        if (ok && head == HEAD_any_order && value->n < 2) {
            say(t->l, value->pos, "`any_order` of one");
        }
        return ok;
    default:
        item->kind = head == HEAD_done ? ITEM_DONE : head == HEAD_trap ? ITEM_TRAP : ITEM_EXIT;
        item->exit = head < EXIT_COUNT ? (ExitKind)head : EXIT_unknown;
        return !value || type_fields(t, value, head, item);
    }
}

static void item_modifiers(Typer *t, const Node *map, int head, Item *item)
{
    const Node *times = node_get(map, "times"), *optional = node_get(map, "optional"), *cap = node_get(map, "if"),
               *then = node_get(map, "then"), *reply = node_get(map, "reply");
    if (times) {
        type_times(t, times, item);
    }
    if (optional && times) {
        say(t->l, node_key(map, "optional")->pos, "`optional` beside `times`: write times: [0, n]");
    } else if (optional && type_yes(t, optional)) {
        item->min_times = 0;
    }
    if (cap) {
        item->if_cap = type_cap(t, cap);
    }
    if (head == HEAD_repeat && !times) {
        say(t->l, item->pos, "`repeat` needs `times`");
    }
    if (then && (head == HEAD_repeat || head == HEAD_any_order)) {
        say(t->l, node_key(map, "then")->pos, "`then` belongs to an exit inside `%s`", head_name(head));
    } else if (then) {
        type_steps(t, then, "`then`", &item->then, &item->nthen);
    }
    if (reply) {
        type_reply(t, reply, head, item);
    }
}

static bool is_answered_by_board(const Typer *t, const Item *item)
{
    return field_of(item, FIELD_by) || (t->c->ndevices && t->run.include_completed);
}

static bool item_map(Typer *t, const Node *map, Item *item)
{
    const Node *key = NULL, *value = NULL;
    for (size_t i = 0; i < map->n; i++) {
        int head = head_find(map->keys[i]->text);
        if (head < 0 && !key_find(SCOPE_item, map->keys[i]->text)) {
            say_head(t, map->keys[i]);
            return false;
        }
        if (head >= 0 && key) {
            say(t->l, map->keys[i]->pos, "one item is one exit: `%s` begins another (with its own `-`)",
                map->keys[i]->text);
            return false;
        }
        if (head >= 0) {
            key = map->keys[i];
            value = map->items[i];
        }
    }
    if (!key) {
        say(t->l, map->pos, "an item without an exit");
        return false;
    }
    int head = head_find(key->text);
    if (!type_head(t, key, value, head, item)) {
        return false;
    }
    item_modifiers(t, map, head, item);
    bool is_read = head < EXIT_COUNT && exit_reply_kind((ExitKind)head) == REPLY_VALUE;
    if (is_read && !node_get(map, "reply") && !is_answered_by_board(t, item)) {
        say(t->l, item->pos, "%s needs a `reply`: nothing else answers it", head_name(head));
    }
    need_of_exit(t, head, item);
    return true;
}

static bool type_item(Typer *t, const Node *n, Item *item)
{
    *item = (Item){.pos = n->pos, .min_times = 1, .max_times = 1, .if_cap = -1};
    if (n->kind == NODE_MAP && n->n) {
        return item_map(t, n, item);
    }
    if (n->kind != NODE_SCALAR || node_is_null(n)) {
        say(t->l, n->pos, "an item is an exit's name or a map, got %s", kind_shown(n));
        return false;
    }
    int head = head_find(n->text);
    if (head < 0) {
        say_head(t, n);
        return false;
    }
    if (head > HEAD_trap) {
        say(t->l, n->pos, "`%s` needs a value", n->text);
        return false;
    }
    if (head < EXIT_COUNT && exit_reply_kind((ExitKind)head) == REPLY_VALUE) {
        say(t->l, n->pos, "%s needs a `reply`: nothing else answers it", n->text);
        return false;
    }
    bool ok = type_head(t, n, NULL, head, item);
    need_of_exit(t, head, item);
    return ok;
}

/* ---- lists: one exit must not fit two items, and a list must know its end ---- */

static bool value_differs(const Value *a, const Value *b)
{
    if (a->kind == VALUE_INT && b->kind == VALUE_INT) {
        return a->n != b->n;
    }
    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        return strcmp(a->text, b->text) != 0;
    }
    /* "$dev" and "$dev + 8" are different addresses; two other expressions may be equal. */
    return a->kind == VALUE_EXPR && b->kind == VALUE_EXPR && strcmp(a->text, b->text) != 0;
}

static bool range_excludes(const Matcher *m, const Value *v)
{
    bool is_known = m->a.kind == VALUE_INT && m->b.kind == VALUE_INT && v->kind == VALUE_INT;
    return m->kind == MATCH_range && is_known && (v->n < m->a.n || v->n > m->b.n);
}

static bool never_both(const Matcher *a, const Matcher *b)
{
    if (a->kind == MATCH_in && b->kind != MATCH_in) {
        const Matcher *swap = a;
        a = b;
        b = swap;
    }
    if (a->kind == MATCH_eq && b->kind == MATCH_eq) {
        return value_differs(&a->a, &b->a);
    }
    if (a->kind == MATCH_eq && b->kind == MATCH_in) {
        for (size_t i = 0; i < b->n; i++) {
            if (!value_differs(&a->a, &b->items[i])) {
                return false;
            }
        }
        return true;
    }
    return (a->kind == MATCH_eq && range_excludes(b, &a->a)) || (b->kind == MATCH_eq && range_excludes(a, &b->a));
}

static bool overlap(const Item *a, const Item *b)
{
    if (a->kind != b->kind || (a->kind == ITEM_EXIT && a->exit != b->exit)) {
        return false;
    }
    for (size_t i = 0; i < a->nfields; i++) {
        const FieldCheck *other = field_of(b, a->fields[i].field);
        if (other && never_both(&a->fields[i].match, &other->match)) {
            return false;
        }
    }
    return true;
}

typedef VEC(const Item *) Firsts;

/* The items that the next exit could be matched with, when the list is about to be entered at `at`. */
static void firsts_of(const Item *items, size_t n, size_t at, Firsts *out)
{
    for (size_t i = at; i < n && out->n < 1024; i++) {
        if (items[i].kind == ITEM_REPEAT) {
            firsts_of(items[i].items, items[i].nitems, 0, out);
        } else if (items[i].kind == ITEM_ANY_ORDER) {
            for (size_t k = 0; k < items[i].nitems; k++) {
                firsts_of(items[i].items + k, 1, 0, out);
            }
        } else {
            VEC_PUSH(out, &items[i]);
        }
        if (items[i].min_times) {
            return;
        }
    }
}

static void say_overlap(Typer *t, const Item *a, const Item *b)
{
    say(t->l, b->pos, "one exit could match this item and the one at line %u: name a field that tells them apart",
        a->pos.line);
}

static void check_overlap(Typer *t, const Firsts *a, const Firsts *b)
{
    for (size_t i = 0; i < a->n; i++) {
        for (size_t k = 0; k < b->n; k++) {
            if (a->items[i] != b->items[k] && overlap(a->items[i], b->items[k])) {
                say_overlap(t, a->items[i], b->items[k]);
                return;
            }
        }
    }
}

static void check_any_order(Typer *t, const Item *item)
{
    for (size_t i = 0; i < item->nitems; i++) {
        for (size_t k = i + 1; k < item->nitems; k++) {
            Firsts a = {0}, b = {0};
            firsts_of(item->items + i, 1, 0, &a);
            firsts_of(item->items + k, 1, 0, &b);
            check_overlap(t, &a, &b);
            VEC_FREE(&a);
            VEC_FREE(&b);
        }
    }
}

static void check_items(Typer *t, const Item *items, size_t n)
{
    bool is_all_optional = true;
    for (size_t i = 0; i < n; i++) {
        is_all_optional &= !items[i].min_times;
        if (items[i].kind == ITEM_ANY_ORDER) {
            check_any_order(t, &items[i]);
        }
        bool is_open_end = items[i].min_times < items[i].max_times;
        if (is_open_end && i + 1 < n) {
            Firsts a = {0}, b = {0};
            firsts_of(items + i, 1, 0, &a);
            firsts_of(items, n, i + 1, &b);
            check_overlap(t, &a, &b);
            VEC_FREE(&a);
            VEC_FREE(&b);
        }
        if (items[i].kind == ITEM_TRAP && items[i].answer == ANSWER_NONE && i + 1 < n) {
            say(t->l, items[i].pos, "trap needs `reply: skip` or `reply: retry`: the run goes on behind it");
        }
    }
    if (n && is_all_optional) {
        say(t->l, items[0].pos, "only optional items: it checks nothing");
    } else if (n && items[n - 1].min_times < items[n - 1].max_times) {
        say(t->l, items[n - 1].pos, "the last item may be absent: a run must know its end");
    }
}

static bool type_items(Typer *t, const Node *list, const Item **out, size_t *n)
{
    if (!is_list(t->l, list, "a run")) {
        return false;
    }
    Item *items = typed(t, list->n, sizeof *items);
    size_t count = 0, before = t->l->nerrors;
    for (size_t i = 0; i < list->n && !t->l->is_full; i++) {
        if (type_item(t, list->items[i], &items[count])) {
            count++;
        }
    }
    *out = items;
    *n = count;
    if (t->l->nerrors == before) {
        check_items(t, items, count);
    }
    return t->l->nerrors == before;
}

/* ---- run ---- */

static void kinds_of(const Item *items, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].kind == ITEM_EXIT) {
            *out |= 1ull << items[i].exit;
        }
        kinds_of(items[i].items, items[i].nitems, out);
    }
}

static bool is_one_item(const Node *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (head_find(map->keys[i]->text) >= 0 || key_find(SCOPE_item, map->keys[i]->text)) {
            return true;
        }
    }
    return false;
}

static bool run_list(Typer *t, const Node *n, uint8_t vcpu, RunList *out)
{
    *out = (RunList){.vcpu = vcpu, .pos = n->pos};
    t->is_expecting = true;
    if (n->kind == NODE_SEQ) {
        return type_items(t, n, &out->items, &out->n);
    }
    Item *item = typed(t, 1, sizeof *item);
    out->items = item;
    out->n = 1;
    return type_item(t, n, item);
}

static bool run_by_vcpu(Typer *t, const Node *n, RunStep *out)
{
    if (is_one_item(n)) {
        say(t->l, n->pos, "a run of one item with fields is a list too: run: [%s: ..]", n->keys[0]->text);
        return false;
    }
    RunList *lists = typed(t, n->n, sizeof *lists);
    out->lists = lists;
    bool ok = true;
    for (size_t i = 0; i < n->n; i++) {
        uint8_t vcpu = 0;
        if (type_vcpu(t, n->keys[i], &vcpu)) {
            ok &= run_list(t, n->items[i], vcpu, &lists[out->nlists++]);
        } else {
            ok = false;
        }
    }
    return ok;
}

bool type_run(Typer *t, const Node *n, RunStep *out)
{
    size_t before = t->l->nerrors;
    bool ok = true;
    if (n->kind == NODE_MAP && n->n) {
        ok = run_by_vcpu(t, n, out);
    } else {
        RunList *list = typed(t, 1, sizeof *list);
        out->lists = list;
        out->nlists = 1;
        ok = run_list(t, n, 0, list);
        if (t->c->nvcpus > 1 && !t->l->is_open) {
            say(t->l, n->pos, "of which vcpu? With several, `run` is a map by vcpu");
        }
    }
    uint64_t named = 0;
    for (size_t i = 0; i < out->nlists; i++) {
        kinds_of(out->lists[i].items, out->lists[i].n, &named);
    }
    for (int k = 0; k < EXIT_COUNT; k++) {
        if (named & t->said_ignore & 1ull << k) {
            say(t->l, n->pos, "%s is named here and ignored: it can only be one", exit_name((ExitKind)k));
        }
    }
    out->ignore &= ~named; /* of the default ones, what is named counts */
    if (named & 1ull << EXIT_budget && out->insns == UINT64_MAX && ok && !t->c->boot) {
        say(t->l, n->pos, "`budget` needs `insns`: how many instructions");
    }
    return ok && t->l->nerrors == before;
}

bool type_exits(Typer *t, const Node *n, const char *what, uint64_t *out)
{
    *out = 0;
    if (!is_list(t->l, n, what)) {
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *word = type_word(t, n->items[i], "an exit");
        int kind = word ? exit_find(word) : -1;
        if (!word) {
            continue;
        }
        if (kind < 0) {
            Near near = near_start(word);
            for (int k = 0; k < EXIT_COUNT; k++) {
                near_try(&near, exit_name((ExitKind)k));
            }
            say(t->l, n->items[i]->pos, "`%.60s` is no exit%s", word, meant(t->l, &near));
        } else if (*out & 1ull << kind) {
            say(t->l, n->items[i]->pos, "`%s` twice", word);
        } else {
            *out |= 1ull << kind;
        }
    }
    return true;
}

static bool type_addresses(Typer *t, const Node *n, const char *what, const Value **out, size_t *count)
{
    if (!is_list(t->l, n, what)) {
        return false;
    }
    Value *list = typed(t, n->n, sizeof *list);
    for (size_t i = 0; i < n->n; i++) {
        type_int(t, n->items[i], 64, &list[i]);
    }
    *out = list;
    *count = n->n;
    return true;
}

static void type_ignore(Typer *t, const Node *n, RunStep *out)
{
    uint64_t kinds = 0;
    if (!type_exits(t, n, "`ignore`", &kinds)) {
        return;
    }
    static const ExitKind never[] = {EXIT_unknown, EXIT_internal_error, EXIT_unsupported};
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        if (kinds & 1ull << never[i]) {
            say(t->l, n->pos, "`%s` cannot be ignored", exit_name(never[i]));
        }
    }
    t->said_ignore = kinds;
    out->ignore |= kinds;
}

void type_modifiers(Typer *t, const Node *map, RunStep *out)
{
    const Node *n;
    if ((n = node_get(map, "insns")) && type_count(t, n, 1, UINT64_MAX - 1, &out->insns)) {
        need(t, CAP_insn_count, n->pos, "insns");
    }
    if ((n = node_get(map, "step"))) {
        out->is_step = type_yes(t, n);
        need(t, CAP_step, n->pos, "step");
    }
    if ((n = node_get(map, "within"))) {
        type_time(t, n, &out->within_ns);
    }
    if ((n = node_get(map, "ignore"))) {
        type_ignore(t, n, out);
    }
    if ((n = node_get(map, "include"))) {
        out->include_completed = word_is(n, "completed");
        if (!out->include_completed) {
            say(t->l, n->pos, "`include` can only be `completed`");
        } else if (!t->c->ndevices && !t->l->is_open) {
            say(t->l, n->pos, "`include: completed` without `devices`: nothing is completed");
        }
    }
    if ((n = node_get(map, "break")) && type_addresses(t, n, "`break`", &out->breaks, &out->nbreaks)) {
        need(t, CAP_hw_break, n->pos, "break");
    }
    if ((n = node_get(map, "watch")) && type_addresses(t, n, "`watch`", &out->watches, &out->nwatches)) {
        need(t, CAP_hw_watch, n->pos, "watch");
    }
    if ((n = node_get(map, "meanwhile"))) {
        type_steps(t, n, "`meanwhile`", &out->meanwhile, &out->nmeanwhile);
    }
}
