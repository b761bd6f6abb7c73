/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"
#include "conformance/world.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void *typed(Typer *t, size_t count, size_t size_bytes)
{
    return arena_alloc(t->l->arena, count * size_bytes);
}

bool word_is(const Node *n, const char *word)
{
    return n->kind == NODE_SCALAR && n->is_plain && !strcmp(n->text, word);
}

void need(Typer *t, Cap cap, Pos pos, const char *what)
{
    if (!t->c->needs[cap]) {
        t->c->needs[cap] = CAP_PARTIAL;
        t->c->need_why[cap] = pos.line ? arena_printf(t->l->arena, "uses %s at line %u", what, pos.line)
                                       : arena_printf(t->l->arena, "uses %s", what);
    }
}

bool has_device(const Case *c, const char *word)
{
    for (size_t i = 0; i < c->ndevices; i++) {
        if (!strcmp(c->devices[i], word)) {
            return true;
        }
    }
    return false;
}

void need_console(Typer *t, Pos pos, const char *what)
{
    if (!has_device(t->c, "uart") && !t->l->is_open) {
        say(t->l, pos, "%s needs a console: `devices: [uart]`", what);
    }
}

/* ---- integers ---- */

/* [-](0 | [1-9][0-9]* | 0x[0-9a-fA-F]+), at most 64 bits; negative ones down to -2^63. */
bool read_integer(const char *text, uint64_t *n, bool *is_negative)
{
    *is_negative = *text == '-';
    text += *is_negative;
    unsigned base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
    if (base == 16) {
        text += 2;
    } else if (text[0] == '0' && text[1]) {
        return false;
    }
    uint64_t value = 0;
    const char *start = text;
    for (; hex_digit(*text) < base; text++) {
        uint64_t d = hex_digit(*text);
        if (value > (UINT64_MAX - d) / base) {
            return false;
        }
        value = value * base + d;
    }
    if (text == start || *text || (*is_negative && value > (uint64_t)1 << 63)) {
        return false;
    }
    *is_negative &= value != 0;
    *n = *is_negative ? 0 - value : value;
    return true;
}

static bool all_of(const char *text, const char *set)
{
    return *text && !text[strspn(text, set)];
}

static const char *without(Arena *a, const char *text, char c)
{
    char *copy = arena_strdup(a, text), *to = copy;
    for (const char *p = text; *p; p++) {
        if (*p != c) {
            *to++ = *p;
        }
    }
    *to = 0;
    return copy;
}

/* Why a text that looks like a number is none, with the spelling that would be one. */
const char *integer_fault(Arena *a, const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1]))) {
        return NULL;
    }
    if (!all_of(p, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.,'+-") || strlen(p) > 80) {
        return NULL;
    }
    bool is_hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    if (*text == '+') {
        return arena_printf(a, "`%s`: write %s", text, text + 1);
    }
    for (const char *mark = "_,'"; *mark; mark++) {
        if (strchr(p, *mark) && !strpbrk(p, ".+-")) {
            return arena_printf(a, "`%s`: write %s, without `%c`", text, without(a, text, *mark), *mark);
        }
    }
    if (is_hex) {
        bool is_long = all_of(p + 2, "0123456789abcdefABCDEF");
        return p[1] == 'X' ? arena_printf(a, "`%s`: write 0x with a small x", text)
               : is_long   ? arena_printf(a, "`%s` has more than 64 bits", text)
                           : arena_printf(a, "`%s` is no hexadecimal number: 0x and digits 0-9 a-f", text);
    }
    if (p[0] == '0' && (p[1] == 'b' || p[1] == 'o' || p[1] == 'B' || p[1] == 'O')) {
        return arena_printf(a, "`%s`: write it as decimal or 0x..", text);
    }
    if (strchr(p, '.')) {
        return arena_printf(a, "`%s` is no integer: there are no fractions here", text);
    }
    if (all_of(p, "0123456789eE+-") && strpbrk(p, "eE")) {
        return arena_printf(a, "`%s`: write the integer out, without exponent", text);
    }
    if (!all_of(p, "0123456789")) {
        return strpbrk(p, "+-") ? NULL : arena_printf(a, "`%s` is no number: decimal or 0x.. is", text);
    }
    if (*p == '0') {
        const char *rest = p + strspn(p, "0");
        return arena_printf(a, "`%s` has a leading zero: write %s%s", text, *text == '-' ? "-" : "",
                            *rest ? rest : "0");
    }
    return arena_printf(a, "`%s` has more than 64 bits", text);
}

bool fits(uint64_t n, bool is_negative, unsigned bits)
{
    if (bits >= 64) {
        return true;
    }
    return is_negative ? n >= 0 - ((uint64_t)1 << (bits - 1)) : n >> bits == 0;
}

/* ---- names ---- */

typedef struct {
    Typer *t;
    Pos pos;
} UseAt;

static void use_one(void *ctx, const char *name)
{
    UseAt *u = ctx;
    VEC_PUSH(&u->t->uses, (Named){.name = arena_strdup(u->t->l->arena, name), .pos = u->pos});
}

void use_names(Typer *t, const Node *at, const char *expr)
{
    Err err = {0};
    UseAt use = {t, at->pos};
    if (expr_names(expr, &use, use_one, &err)) {
        say(t->l, at->pos, "%s", err.text);
    }
}

static void near_names(const Typer *t, Near *near)
{
    for (size_t i = 0; i < t->env->n; i++) {
        near_try(near, t->env->items[i].name);
    }
    for (size_t i = 0; i < t->c->nregions; i++) {
        near_try(near, t->c->regions[i].name);
    }
    for (size_t i = 0; i < t->c->npages; i++) {
        near_try(near, t->c->pages[i].name);
    }
    for (size_t i = 0; i < t->labels.n && i < MAX_NAMES; i++) {
        near_try(near, t->labels.items[i].name);
    }
    for (size_t i = 0; i < t->captures.n; i++) {
        near_try(near, t->captures.items[i].name);
    }
}

static bool has_suffix(const char *name, const char *base, const char *const *suffixes)
{
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0) {
        return false;
    }
    for (; *suffixes; suffixes++) {
        if (!strcmp(name + n, *suffixes)) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

void labels_sort(Typer *t)
{
    if (t->labels.n) {
        qsort(t->labels.items, t->labels.n, sizeof(Named), by_name);
    }
}

static bool name_known(const Typer *t, const char *name)
{
    static const char *const of_region[] = {"", "_end", "_size", NULL}, *const of_page[] = {"", "_pte", NULL};
    for (size_t i = 0; i < t->c->nregions; i++) {
        if (has_suffix(name, t->c->regions[i].name, of_region)) {
            return true;
        }
    }
    for (size_t i = 0; i < t->c->npages; i++) {
        if (has_suffix(name, t->c->pages[i].name, of_page)) {
            return true;
        }
    }
    if (t->labels.n && bsearch(&(Named){.name = name}, t->labels.items, t->labels.n, sizeof(Named), by_name)) {
        return true;
    }
    return has_device(t->c, name) || t->any_label;
}

static bool capture_use(Typer *t, const char *name)
{
    bool is_found = false;
    for (size_t i = 0; i < t->captures.n; i++) {
        if (!strcmp(t->captures.items[i].name, name)) {
            t->captures.items[i].is_used = is_found = true;
        }
    }
    return is_found;
}

void names_resolve(Typer *t)
{
    for (size_t i = 0; i < t->uses.n && !t->l->is_full; i++) {
        const Named *use = &t->uses.items[i];
        if (capture_use(t, use->name) || name_known(t, use->name) || t->l->is_open) {
            continue;
        }
        Near near = near_start(use->name);
        near_names(t, &near);
        if (near.best && !strcmp(near.best, use->name)) {
            say(t->l, use->pos, "`$%.60s` is not known here yet: a `let` may use what stands before it", use->name);
            continue;
        }
        say(t->l, use->pos, "unknown name `$%.60s`%s", use->name,
            near.best ? arena_printf(t->l->arena, "; did you mean `$%s`?", near.best) : "");
    }
    for (size_t i = 0; i < t->captures.n && !t->l->is_open; i++) {
        if (!t->captures.items[i].is_used) {
            say(t->l, t->captures.items[i].pos, "capture `%.60s` is never read", t->captures.items[i].name);
        }
    }
}

/* ---- scalars ---- */

static void say_no_number(Typer *t, const Node *n)
{
    if (n->kind != NODE_SCALAR || node_is_null(n)) {
        say(t->l, n->pos, "expected a number or `$name`, got %s", kind_shown(n));
        return;
    }
    if (!n->is_plain) {
        say(t->l, n->pos, "expected a number or `$name`, got text: write it without quotes");
        return;
    }
    bool is_name_here = env_find(t->env, n->text) || name_known(t, n->text);
    say(t->l, n->pos, "expected a number or `$name`, got `%.60s`%s", n->text,
        is_name_here && !t->any_label ? arena_printf(t->l->arena, "; did you mean `$%s`?", n->text) : "");
}

static bool say_misfit(Typer *t, const Node *n, unsigned bits)
{
    say(t->l, n->pos, "%.60s does not fit %u bit%s", n->text, bits, bits == 1 ? "" : "s");
    return false;
}

static bool type_expr(Typer *t, const Node *n, unsigned bits, Value *out)
{
    if (strchr(n->text, '$')) {
        *out = (Value){.kind = VALUE_EXPR, .pos = n->pos, .text = n->text};
        size_t before = t->l->nerrors;
        use_names(t, n, n->text);
        return t->l->nerrors == before;
    }
    Err err = {0};
    uint64_t value = 0;
    if (expr_eval(n->text, NULL, &value, &err)) {
        say(t->l, n->pos, "%s", err.text);
        return false;
    }
    *out = (Value){.kind = VALUE_INT, .pos = n->pos, .n = value, .is_negative = (int64_t)value < 0 && *n->text == '-'};
    return fits(value, out->is_negative, bits) || say_misfit(t, n, bits);
}

bool type_int(Typer *t, const Node *n, unsigned bits, Value *out)
{
    *out = (Value){.pos = n->pos};
    if (n->kind != NODE_SCALAR || !n->is_plain || node_is_null(n)) {
        say_no_number(t, n);
        return false;
    }
    if (read_integer(n->text, &out->n, &out->is_negative)) {
        out->kind = VALUE_INT;
        return fits(out->n, out->is_negative, bits) || say_misfit(t, n, bits);
    }
    const char *fault = integer_fault(t->l->arena, n->text);
    if (fault) {
        say(t->l, n->pos, "%s", fault);
        return false;
    }
    if (strchr(n->text, '$') || isdigit((unsigned char)*n->text) || *n->text == '-' || *n->text == '(') {
        return type_expr(t, n, bits, out);
    }
    say_no_number(t, n);
    return false;
}

bool type_count(Typer *t, const Node *n, uint64_t least, uint64_t most, uint64_t *out)
{
    Value v;
    if (!type_int(t, n, 64, &v)) {
        return false;
    }
    if (v.kind != VALUE_INT || v.is_negative || v.n < least || v.n > most) {
        say(t->l, n->pos, "expected a number from %llu to %llu, got `%.60s`", (unsigned long long)least,
            (unsigned long long)most, n->text);
        return false;
    }
    *out = v.n;
    return true;
}

/* A number with a unit: "64K", "10ms". The unit's factor, 0 if it is none of the list. */
typedef struct {
    const char *word;
    uint64_t factor;
} Unit;

static bool type_unit(Typer *t, const Node *n, const Unit *units, const char *form, uint64_t *out)
{
    char digits[24] = "";
    bool is_negative = false;
    size_t len = n->kind == NODE_SCALAR ? strspn(n->text, "0123456789") : 0;
    if (n->kind == NODE_SCALAR && n->is_plain && len && len < sizeof digits) {
        memcpy(digits, n->text, len);
        for (const Unit *u = units; u->word; u++) {
            if (strcmp(n->text + len, u->word) != 0 || !read_integer(digits, out, &is_negative)) {
                continue;
            }
            if (*out > UINT64_MAX / u->factor) {
                say(t->l, n->pos, "`%.60s` has more than 64 bits", n->text);
                return false;
            }
            *out *= u->factor;
            return true;
        }
    }
    say(t->l, n->pos, "expected %s, got %s", form,
        n->kind == NODE_SCALAR && *n->text ? arena_printf(t->l->arena, "`%.60s`", n->text) : kind_shown(n));
    return false;
}

bool type_size(Typer *t, const Node *n, uint64_t *out)
{
    static const Unit units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
    bool is_negative = false;
    bool is_hex = n->kind == NODE_SCALAR && n->is_plain && !strncmp(n->text, "0x", 2);
    bool ok = is_hex && read_integer(n->text, out, &is_negative);
    if (!ok && !type_unit(t, n, units, "a size: bytes, 4K, 1M or 1G", out)) {
        return false;
    }
    if (!*out || *out > (uint64_t)1 << 40) {
        say(t->l, n->pos, "a size is from 1 byte to 1024G, got `%.60s`", n->text);
        return false;
    }
    return true;
}

bool type_time(Typer *t, const Node *n, uint64_t *out_ns)
{
    static const Unit units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {NULL, 0}};
    if (!type_unit(t, n, units, "a time: 5us, 10ms or 60s", out_ns)) {
        return false;
    }
    if (!*out_ns) {
        say(t->l, n->pos, "no time at all: at least 1ns");
    }
    return *out_ns != 0;
}

bool type_yes(Typer *t, const Node *n)
{
    if (word_is(n, "true")) {
        return true;
    }
    say(t->l, n->pos, "can only be `true`: leave the key out otherwise");
    return false;
}

const char *type_text(Typer *t, const Node *n, const char *what)
{
    if (n->kind != NODE_SCALAR || node_is_null(n)) {
        say(t->l, n->pos, "%s must be text, got %s", what, kind_shown(n));
        return NULL;
    }
    if (!*n->text) {
        say(t->l, n->pos, "%s is empty", what);
        return NULL;
    }
    return n->text;
}

const char *type_word(Typer *t, const Node *n, const char *what)
{
    const char *text = type_text(t, n, what);
    if (text && n->is_plain && *text == '$') {
        Near near = near_start(text + 1);
        for (size_t i = 0; i < t->env->n; i++) {
            near_try(&near, t->env->items[i].name);
        }
        say(t->l, n->pos, "unknown name `%.60s`: no column and no `let`%s", text,
            near.best ? arena_printf(t->l->arena, "; did you mean `$%s`?", near.best) : "");
        return NULL;
    }
    return text;
}

int type_cap(Typer *t, const Node *n)
{
    const char *word = type_word(t, n, "a capability");
    if (!word) {
        return -1;
    }
    int cap = cap_find(word);
    if (cap < 0) {
        Near near = near_start(word);
        for (int i = 0; i < CAP_COUNT; i++) {
            near_try(&near, cap_name((Cap)i));
        }
        say(t->l, n->pos, "`%.60s` is no capability%s", word, meant(t->l, &near));
    }
    return cap;
}

bool type_vcpu(Typer *t, const Node *n, uint8_t *out)
{
    const char *word = type_word(t, n, "a vcpu");
    if (!word) {
        return false;
    }
    Near near = near_start(word);
    for (size_t i = 0; i < t->c->nvcpus; i++) {
        if (!strcmp(t->c->vcpus[i].name, word)) {
            *out = (uint8_t)i;
            return true;
        }
        near_try(&near, t->c->vcpus[i].name);
    }
    say(t->l, n->pos, "`%.60s` is no vcpu%s", word, meant(t->l, &near));
    return false;
}

uint32_t type_flags(Typer *t, const Node *n, bool *is_user)
{
    const char *word = type_word(t, n, "flags");
    uint32_t flags = 0;
    if (!word) {
        return MAP_R;
    }
    const char *p = word;
    flags |= *p == 'r' ? (p++, MAP_R) : 0;
    flags |= *p == 'w' ? (p++, MAP_W) : 0;
    flags |= *p == 'x' ? (p++, MAP_X) : 0;
    if (is_user && *p == 'u') {
        *is_user = true;
        p++;
    }
    if (*p || !(flags & MAP_R)) {
        say(t->l, n->pos, "flags are r, rw, rx or rwx%s, got `%.20s`", is_user ? " and u" : "", word);
    }
    return flags;
}

/* ---- scalars by the type of what they are compared with ---- */

static bool word_of(Typer *t, const Node *n, const Spec *spec, const char *const *words, Value *out)
{
    const char *text = type_word(t, n, spec->what);
    if (!text) {
        return false;
    }
    Near near = near_start(text);
    Buf list = {0};
    for (; *words; words++) {
        if (!strcmp(*words, text)) {
            buf_free(&list);
            *out = (Value){.kind = VALUE_TEXT, .pos = n->pos, .text = text};
            return true;
        }
        near_try(&near, *words);
        buf_printf(&list, " %s", *words);
    }
    say(t->l, n->pos, "`%.60s` is no value of `%s`%s It is one of:%s", text, spec->what,
        near.best ? meant(t->l, &near) : ".", buf_text(&list));
    buf_free(&list);
    return false;
}

/* S<op0>_<op1>_C<n>_C<m>_<op2>, the name of a system register without one (Arm ARM C5.1.2). */
static bool read_sysreg_name(const char *text, uint64_t *index)
{
    unsigned f[5] = {0};
    static const unsigned most[5] = {3, 7, 15, 15, 7};
    const char *p = text;
    for (int i = 0; i < 5; i++) {
        if (i == 0 ? *p != 's' && *p != 'S' : *p != '_') {
            return false;
        }
        p++;
        if (i == 2 || i == 3) {
            if (*p != 'c' && *p != 'C') {
                return false;
            }
            p++;
        }
        if (!isdigit((unsigned char)*p)) {
            return false;
        }
        while (isdigit((unsigned char)*p) && f[i] < 100) {
            f[i] = f[i] * 10 + (unsigned)(*p++ - '0');
        }
        if (f[i] > most[i]) {
            return false;
        }
    }
    *index = (uint64_t)f[0] << 14 | f[1] << 11 | f[2] << 7 | f[3] << 3 | f[4];
    return !*p;
}

static bool type_sysreg(Typer *t, const Node *n, Value *out)
{
    if (n->kind != NODE_SCALAR || isdigit((unsigned char)*n->text) || strpbrk(n->text, "$ -")) {
        return type_int(t, n, 48, out);
    }
    const char *word = type_word(t, n, "a register");
    if (!word) {
        return false;
    }
    *out = (Value){.kind = VALUE_TEXT, .pos = n->pos, .text = word};
    if (t->c->guest == GUEST_aarch64 && read_sysreg_name(word, &out->n)) {
        out->kind = VALUE_INT;
        out->text = NULL;
        return true;
    }
    if (reg_find(t->c->guest, word)) {
        return true;
    }
    const char *near = reg_nearest(t->c->guest, word);
    say(t->l, n->pos, "%s has no register `%.60s`%s", guest_name(t->c->guest), word,
        near ? arena_printf(t->l->arena, "; did you mean `%s`?", near) : "");
    return false;
}

static bool type_cause(Typer *t, const Node *n, Value *out)
{
    if (n->kind == NODE_SCALAR && (isdigit((unsigned char)*n->text) || *n->text == '$')) {
        return type_int(t, n, 64, out);
    }
    const char *word = type_word(t, n, "a cause");
    if (!word) {
        return false;
    }
    *out = (Value){.kind = VALUE_TEXT, .pos = n->pos, .text = word};
    if (cause_known(word)) {
        return true;
    }
    const char *near = cause_nearest(word);
    say(t->l, n->pos, "`%.60s` is no cause of a trap%s", word,
        near ? arena_printf(t->l->arena, "; did you mean `%s`?", near) : "");
    return false;
}

static bool type_access_size(Typer *t, const Node *n, Value *out)
{
    if (!type_int(t, n, 64, out)) {
        return false;
    }
    if (out->kind == VALUE_INT && (out->is_negative || !out->n || out->n > 8 || (out->n & (out->n - 1)))) {
        say(t->l, n->pos, "a size is 1, 2, 4 or 8 bytes, got %.60s", n->text);
        return false;
    }
    return true;
}

bool type_scalar(Typer *t, const Node *n, const Spec *spec, Value *out)
{
    static const char *const accesses[] = {"r", "w", "x", NULL}, *const by[] = {"board", NULL},
                             *const debugs[] = {"step", "breakpoint", "watchpoint", NULL};
    switch (spec->type) {
    case FIELD_TYPE_int:
    case FIELD_TYPE_bytes:
        return type_int(t, n, spec->bits, out);
    case FIELD_TYPE_size:
        return type_access_size(t, n, out);
    case FIELD_TYPE_reg:
        return type_sysreg(t, n, out);
    case FIELD_TYPE_text:
        *out = (Value){.kind = VALUE_TEXT, .pos = n->pos, .text = type_text(t, n, spec->what)};
        return out->text != NULL;
    case FIELD_TYPE_access:
        return word_of(t, n, spec, accesses, out);
    case FIELD_TYPE_debug:
        return word_of(t, n, spec, debugs, out);
    case FIELD_TYPE_cause:
        return type_cause(t, n, out);
    case FIELD_TYPE_by:
        return word_of(t, n, spec, by, out);
    }
    return false;
}

/* ---- contents ---- */

bool type_hex(Typer *t, const Node *n, const uint8_t **bytes, size_t *n_out)
{
    const char *text = type_text(t, n, "`hex`");
    if (!text) {
        return false;
    }
    uint8_t *out = typed(t, strlen(text) / 2 + 1, 1);
    size_t digits = 0;
    for (const char *p = text; *p; p++) {
        if (isspace((unsigned char)*p)) {
            continue;
        }
        if (hex_digit(*p) > 15) {
            say(t->l, n->pos, "`%c` is no hex digit: pairs of 0-9 a-f, with spaces between them", *p);
            return false;
        }
        out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | hex_digit(*p));
        digits++;
    }
    if (digits % 2 || !digits) {
        say(t->l, n->pos, digits ? "an odd number of hex digits" : "no hex digits");
        return false;
    }
    *bytes = out;
    *n_out = digits / 2;
    return true;
}

bool type_contents(Typer *t, const Node *map, Contents *out)
{
    static const struct {
        const char *key;
        unsigned bytes;
    } kinds[] = {{"u8", 1}, {"u16", 2}, {"u32", 4}, {"u64", 8}, {"hex", 0}, {"text", 0}};
    *out = (Contents){0};
    const Node *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const Node *n = node_get(map, kinds[i].key);
        if (n && found) {
            say(t->l, node_key(map, kinds[i].key)->pos, "contents twice: one of u8 u16 u32 u64 hex text");
            return false;
        }
        if (!n) {
            continue;
        }
        found = n;
        out->unit_bytes = kinds[i].bytes;
        if (kinds[i].bytes) {
            const Node **one = typed(t, 1, sizeof *one);
            *one = n;
            out->units = n->kind == NODE_SEQ ? (const Node *const *)n->items : one;
            out->n = n->kind == NODE_SEQ ? n->n : 1;
            if (!out->n || out->n > MAX_ITEMS) {
                say(t->l, n->pos, out->n ? "more than %d units: use `file`" : "an empty list", MAX_ITEMS);
                return false;
            }
        } else if (!strcmp(kinds[i].key, "hex")) {
            if (!type_hex(t, n, &out->bytes, &out->nbytes)) {
                return false;
            }
        } else {
            const char *text = type_text(t, n, "`text`");
            if (!text) {
                return false;
            }
            out->bytes = (const uint8_t *)text;
            out->nbytes = strlen(text);
        }
    }
    return true;
}
