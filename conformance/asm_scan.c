/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_scan.h"

#include <string.h>
#include <strings.h>

typedef struct {
    GuestId guest;
    const char *text;
    size_t n, at, line_start;
    uint32_t line;
    AsmWordFn fn;
    void *user;
} Scan;
typedef struct {
    const char *mnemonic;
    size_t n;
    bool has_rip;
    int depth; /* of [ */
} Statement;

static bool is_first(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '$';
}

static bool is_later(char c)
{
    return is_first(c) || (c >= '0' && c <= '9');
}

static bool word_is(const char *at, size_t n, const char *want)
{
    return strlen(want) == n && !strncasecmp(at, want, n);
}

static bool is_one_of(const char *at, size_t n, const char *const *list)
{
    for (; *list; list++) {
        if (word_is(at, n, *list)) {
            return true;
        }
    }
    return false;
}

bool asm_scan_is_pc_relative(GuestId guest, const char *m, size_t n)
{
    static const char *const riscv[] = {"j",    "jal",  "call", "tail", "jump",   "beq",    "bne",  "blt",  "bge",
                                        "bltu", "bgeu", "bgt",  "ble",  "bgtu",   "bleu",   "beqz", "bnez", "blez",
                                        "bgez", "bltz", "bgtz", "c.j",  "c.beqz", "c.bnez", NULL};
    static const char *const arm[] = {"b",    "bl",  "cbz", "cbnz", "tbz", "tbnz", "adr", "adrp", "ldr", "ldrsw",
                                      "prfm", "beq", "bne", "bcs",  "bhs", "bcc",  "blo", "bmi",  "bpl", "bvs",
                                      "bvc",  "bhi", "bls", "bge",  "blt", "bgt",  "ble", "bal",  NULL};
    static const char *const x86[] = {"call", "loop", "loope", "loopne", "loopz", "loopnz", "xbegin", NULL};
    switch (guest) {
    case GUEST_riscv64:
        return is_one_of(m, n, riscv);
    case GUEST_aarch64:
        return is_one_of(m, n, arm) || (n > 2 && !strncasecmp(m, "b.", 2)) || (n > 3 && !strncasecmp(m, "bc.", 3));
    case GUEST_x86_64: /* every mnemonic that begins with j is a jump */
        return is_one_of(m, n, x86) || (n && (*m == 'j' || *m == 'J'));
    case GUEST_COUNT:
        break;
    }
    return false;
}

static size_t word_length(const Scan *s, size_t at)
{
    size_t n = 0;
    while (at + n < s->n && is_later(s->text[at + n])) {
        n++;
    }
    return n;
}

/* The length of the string or comment at `at`; 0 if there is none. Comments end before the line
 * end. */
static size_t quoted_length(const Scan *s, size_t at)
{
    const char *t = s->text + at, *end = s->text + s->n, *p = t;
    if (*t == '"') {
        for (p++; p < end && *p != '"' && *p != '\n'; p++) {
            p += *p == '\\' && p + 1 < end && p[1] != '\n';
        }
        return (size_t)(p - t) + (p < end && *p == '"');
    }
    bool is_line = (*t == '/' && t + 1 < end && t[1] == '/') || (*t == '#' && s->guest != GUEST_aarch64);
    if (is_line) {
        while (p < end && *p != '\n') {
            p++;
        }
        return (size_t)(p - t);
    }
    return 0;
}

static size_t skip_block_comment(Scan *s)
{
    size_t at = s->at + 2;
    while (at < s->n && !(s->text[at] == '/' && s->text[at - 1] == '*' && at > s->at + 2)) {
        if (s->text[at] == '\n') {
            s->line++;
            s->line_start = at + 1;
        }
        at++;
    }
    return at < s->n ? at + 1 : s->n;
}

static bool statement_has(const Scan *s, const char *want)
{
    for (size_t at = s->at; at < s->n && s->text[at] != '\n' && s->text[at] != ';';) {
        size_t n = quoted_length(s, at);
        if (n) {
            at += n;
        } else if (is_first(s->text[at])) {
            n = word_length(s, at);
            if (word_is(s->text + at, n, want)) {
                return true;
            }
            at += n;
        } else {
            at++;
        }
    }
    return false;
}

/* Is what stands at s->at the first in "%hi(..)", with nothing but numbers added to it? has_sum: is there one? */
static bool is_hi_operand(const Scan *s, bool *has_sum)
{
    static const char hi[] = "%hi(";
    size_t from = s->at, at = s->at + word_length(s, s->at), skipped = at;
    while (from > s->line_start && s->text[from - 1] == ' ') {
        from--;
    }
    if (s->guest != GUEST_riscv64 || from < s->line_start + strlen(hi) ||
        memcmp(s->text + from - strlen(hi), hi, strlen(hi)) != 0) {
        return false;
    }
    while (at < s->n && strchr(" +-0123456789", s->text[at])) {
        at += s->text[at] >= '0' && s->text[at] <= '9' ? word_length(s, at) : 1;
        skipped = s->text[at - 1] == ' ' ? skipped : at;
    }
    *has_sum = skipped != s->at + word_length(s, s->at);
    return at < s->n && s->text[at] == ')';
}

static bool on_operand(Scan *s, Statement *st, size_t n)
{
    const char *at = s->text + s->at;
    size_t before = s->at;
    while (before > 0 && (s->text[before - 1] == ' ' || s->text[before - 1] == '\t')) {
        before--;
    }
    char previous = before ? s->text[before - 1] : 0;
    AsmWord w = {.at = at, .n = n, .line = s->line, .col = (uint32_t)(s->at - s->line_start) + 1};
    w.in_brackets = st->depth > 0;
    /* "=dev" of aarch64 is a literal, "%hi(dev)", "#:lo12:dev", "[x0, dev]" have relocations or are
     * offsets. */
    bool is_plain = previous != '=' && previous != '#' && previous != ':' && previous != '(' && !w.in_brackets;
    w.is_pc_relative =
        (asm_scan_is_pc_relative(s->guest, st->mnemonic, st->n) && is_plain) || (st->has_rip && w.in_brackets);
    bool has_sum;
    w.is_hi = is_hi_operand(s, &has_sum);
    return s->fn(s->user, &w);
}

/* 0x10, 1f */
static void on_number(Scan *s, bool *is_done)
{
    size_t n = word_length(s, s->at);
    bool has_sum = false;
    if (is_hi_operand(s, &has_sum) && !has_sum) {
        AsmWord w = {.at = s->text + s->at,
                     .n = n,
                     .line = s->line,
                     .col = (uint32_t)(s->at - s->line_start) + 1,
                     .is_hi = true};
        *is_done = !s->fn(s->user, &w);
    }
    s->at += n - 1;
}

static void on_word(Scan *s, Statement *st, bool *is_done)
{
    size_t n = word_length(s, s->at), after = s->at + n;
    while (after < s->n && (s->text[after] == ' ' || s->text[after] == '\t')) {
        after++;
    }
    static const char *const prefixes[] = {"lock", "rep", "repe", "repne", "repz", "repnz", "bnd", "notrack", NULL};
    const char *at = s->text + s->at;
    if (st->mnemonic) {
        *is_done = !on_operand(s, st, n);
    } else if (after < s->n && s->text[after] == ':') {
        s->at = after; /* a label; the statement begins behind it */
        return;
    } else if (s->guest != GUEST_x86_64 || !is_one_of(at, n, prefixes)) {
        *st = (Statement){.mnemonic = at, .n = n};
        st->has_rip = s->guest == GUEST_x86_64 && statement_has(s, "rip");
    }
    s->at += n - 1;
}

void asm_scan(GuestId guest, const char *text, size_t n, AsmWordFn fn, void *user)
{
    Scan s = {.guest = guest, .text = text, .n = n, .line = 1, .fn = fn, .user = user};
    Statement st = {0};
    bool is_done = false;
    for (; s.at < n && !is_done; s.at++) {
        char c = text[s.at];
        size_t quoted = quoted_length(&s, s.at);
        if (quoted) {
            s.at += quoted - 1;
        } else if (c == '/' && s.at + 1 < n && text[s.at + 1] == '*') {
            s.at = skip_block_comment(&s) - 1;
        } else if (c == '\n' || c == ';') {
            st = (Statement){0};
            s.line += c == '\n';
            s.line_start = c == '\n' ? s.at + 1 : s.line_start;
        } else if (c == '[') {
            st.depth++;
        } else if (c == ']') {
            st.depth--;
        } else if (is_first(c)) {
            on_word(&s, &st, &is_done);
        } else if (c >= '0' && c <= '9') {
            on_number(&s, &is_done);
        }
    }
}

typedef struct {
    const char *name;
    AsmWord *found;
    bool is_found;
} Find;

static bool on_find(void *user, const AsmWord *word)
{
    Find *f = user;
    if (strlen(f->name) == word->n && !memcmp(f->name, word->at, word->n)) {
        *f->found = *word;
        f->is_found = true;
    }
    return !f->is_found;
}

bool asm_scan_find(GuestId guest, const char *text, size_t n, const char *name, AsmWord *found)
{
    Find f = {.name = name, .found = found};
    asm_scan(guest, text, n, on_find, &f);
    return f.is_found;
}
