/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/script.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

enum { MAX_WORD = 2048 };

typedef struct {
    GuestId guest;
    const char *at, *end; /* of the entry */
    unsigned line;
    Script *script;
    Err *err;
    char word[MAX_WORD + 1]; /* the last one that was read */
} Parser;

/* ---- words and numbers ---- */
static int wrong(Parser *p, const char *what, const char *expected)
{
    return err_set(p->err, ERR_INVAL, "fake.script line %u: '%.60s': expected %s", p->line, what, expected);
}

/* 1: a word; 0: the end of the entry; <0: too long. */
static int next_word(Parser *p)
{
    while (p->at < p->end && isspace((unsigned char)*p->at)) {
        p->at++;
    }
    size_t n = 0;
    while (p->at + n < p->end && !isspace((unsigned char)p->at[n])) {
        n++;
    }
    p->word[0] = 0;
    if (n > MAX_WORD) {
        return wrong(p, "...", "a shorter word");
    }
    for (size_t i = 0; i < n; i++) { /* a 0 byte must not end the word unseen */
        p->word[i] = p->at[i] ? p->at[i] : '?';
    }
    p->word[n] = 0;
    p->at += n;
    return n > 0;
}

static bool parse_number(const char *s, uint64_t *out)
{
    bool is_negative = *s == '-';
    s += is_negative;
    unsigned base = s[0] == '0' && s[1] == 'x' ? 16 : 10;
    s += base == 16 ? 2 : 0;
    uint64_t value = 0;
    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        unsigned digit = hex_digit(*s);
        if (digit >= base || value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *out = is_negative ? 0 - value : value;
    return true;
}

static int number_of(Parser *p, const char *text, uint64_t max, uint64_t *out)
{
    if (!parse_number(text, out)) {
        return wrong(p, text, "a number");
    }
    return *out <= max ? 0 : wrong(p, text, "a smaller number");
}

static int number_word(Parser *p, uint64_t *out)
{
    int got = next_word(p);
    return got < 0 ? got : number_of(p, p->word, UINT64_MAX, out);
}

static int entry_ends(Parser *p)
{
    int got = next_word(p);
    return got > 0 ? wrong(p, p->word, "the end of the entry") : got;
}

static int reg_of(Parser *p, const char *name, const RegInfo **out)
{
    *out = reg_find(p->guest, name);
    if (*out) {
        return 0;
    }
    const char *near = reg_nearest(p->guest, name);
    return err_set(p->err, ERR_INVAL, "fake.script line %u: '%.60s': expected a register of %s%s%s", p->line, name,
                   guest_name(p->guest), near ? ", perhaps " : "", near ? near : "");
}

/* Cuts the word at its '='; NULL if there is none. */
static char *cut_value(Parser *p)
{
    char *eq = strchr(p->word, '=');
    if (eq) {
        *eq = 0;
    }
    return eq ? eq + 1 : NULL;
}

/* ---- keys of exits ---- */
typedef enum { F_U64, F_U16, F_U8, F_BOOL, F_REG, F_ACCESS, F_DEBUG, F_REPLY_TO, F_INSNS } Field;
typedef struct {
    const char *name;
    uint64_t kinds; /* bit per ExitKind; 0 = all */
    size_t at;      /* in VmExit */
    Field field;
    uint32_t has; /* HAS_x that it makes valid */
} Key;

#define K(kind)    (1ull << EXIT_##kind)
#define AT(member) offsetof(VmExit, member)
#define MMIO       (K(mmio_read) | K(mmio_write))
#define PIO        (K(io_read) | K(io_write))
#define SYSREG     (K(sysreg_read) | K(sysreg_write))
#define WRITES     (K(mmio_write) | K(io_write) | K(sysreg_write))
#define READS      (K(mmio_read) | K(io_read) | K(sysreg_read) | K(cpuid))
#define REASONS    (K(fail_entry) | K(system_down) | K(system_reset) | K(cpu_down))
#define VECTORS    (K(external_interrupt) | K(eoi) | K(exception))

static const Key keys[] = {
    {"pc", 0, AT(pc_before), F_U64, HAS_pc_before},
    {"next", 0, AT(pc_after), F_U64, HAS_pc_after},
    {"insns", 0, 0, F_INSNS, 0},
    {"insn_len", 0, AT(insn_len), F_U8, HAS_insn},
    {"native", 0, AT(native.code), F_U64, 0},
    {"qual0", 0, AT(native.qual[0]), F_U64, 0},
    {"qual1", 0, AT(native.qual[1]), F_U64, 0},
    {"gva", K(nested_page_fault), AT(arg[1]), F_U64, HAS_gva},
    {"addr", MMIO | K(nested_page_fault) | K(debug), AT(addr), F_U64, 0},
    {"port", PIO, AT(addr), F_U64, 0},
    {"index", SYSREG, AT(addr), F_U64, 0},
    {"size", MMIO | PIO, AT(size_bytes), F_U8, 0},
    {"signed", K(mmio_read), AT(is_signed), F_BOOL, 0},
    {"reg", MMIO | SYSREG, AT(reg), F_REG, HAS_reg},
    {"reg_size", MMIO | PIO, AT(reg_size_bytes), F_U8, 0},
    {"piece", MMIO | PIO, AT(piece), F_U16, 0},
    {"npieces", MMIO | PIO, AT(npieces), F_U16, 0},
    {"value", WRITES, AT(value), F_U64, HAS_value},
    {"reply-to", READS, 0, F_REPLY_TO, 0},
    {"leaf", K(cpuid), AT(addr), F_U64, 0},
    {"subleaf", K(cpuid), AT(value), F_U64, HAS_value},
    {"nr", K(hypercall), AT(addr), F_U64, 0},
    {"arg0", K(hypercall), AT(arg[0]), F_U64, 0},
    {"arg1", K(hypercall), AT(arg[1]), F_U64, 0},
    {"arg2", K(hypercall), AT(arg[2]), F_U64, 0},
    {"arg3", K(hypercall), AT(arg[3]), F_U64, 0},
    {"arg4", K(hypercall), AT(arg[4]), F_U64, 0},
    {"arg5", K(hypercall), AT(arg[5]), F_U64, 0},
    {"access", K(nested_page_fault), AT(arg[0]), F_ACCESS, 0},
    {"vector", VECTORS, AT(addr), F_U64, 0},
    {"vector", K(send_ipi), AT(arg[3]), F_U64, 0},
    {"code", K(exception), AT(value), F_U64, HAS_value},
    {"target", K(cpu_up) | K(send_ipi), AT(addr), F_U64, 0},
    {"entry", K(cpu_up), AT(arg[0]), F_U64, 0},
    {"arg", K(cpu_up), AT(arg[1]), F_U64, 0},
    {"aux", K(send_ipi), AT(arg[0]), F_U64, 0},
    {"all", K(send_ipi), AT(arg[1]), F_U64, 0},
    {"self", K(send_ipi), AT(arg[2]), F_U64, 0},
    {"kind", K(debug), AT(arg[0]), F_DEBUG, 0},
    {"reason", REASONS, AT(addr), F_U64, 0},
    {"suberror", K(internal_error), AT(arg[0]), F_U64, 0},
};

static bool key_fits(const Key *k, ExitKind kind)
{
    return !k->kinds || k->kinds >> kind & 1;
}

static int no_such_key(Parser *p, ExitKind kind)
{
    Buf list = {0};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (key_fits(&keys[i], kind)) {
            buf_printf(&list, "%s%s", list.n ? " " : "", keys[i].name);
        }
    }
    int rc = err_set(p->err, ERR_INVAL, "fake.script line %u: %s has no key '%.60s': expected %s", p->line,
                     exit_name(kind), p->word, buf_text(&list));
    buf_free(&list);
    return rc;
}

static int access_of(Parser *p, const char *text, uint64_t *out)
{
    *out = 0;
    for (; *text; text++) {
        const char *at = strchr("rwx", *text);
        if (!at) {
            return wrong(p, text, "letters of rwx");
        }
        *out |= 1ull << (at - "rwx");
    }
    return 0;
}

static int debug_of(Parser *p, const char *text, uint64_t *out)
{
    static const char *const names[] = {"step", "break", "watch", "sw_break"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!strcmp(text, names[i])) {
            *out = DEBUG_STEP + i;
            return 0;
        }
    }
    return wrong(p, text, "step, break, watch or sw_break");
}

static int key_apply(Parser *p, const Key *k, const char *text, Entry *e)
{
    uint64_t n = 0;
    const RegInfo *reg = NULL;
    int rc = 0;
    char *to = (char *)&e->exit + k->at;
    switch (k->field) {
    case F_U64:
        rc = number_of(p, text, UINT64_MAX, &n);
        memcpy(to, &n, sizeof n);
        break;
    case F_U16:
        rc = number_of(p, text, UINT16_MAX, &n);
        memcpy(to, &(uint16_t){(uint16_t)n}, 2);
        break;
    case F_U8:
        rc = number_of(p, text, UINT8_MAX, &n);
        memcpy(to, &(uint8_t){(uint8_t)n}, 1);
        break;
    case F_BOOL:
        rc = number_of(p, text, 1, &n);
        memcpy(to, &(bool){n != 0}, sizeof(bool));
        break;
    case F_REG:
        rc = reg_of(p, text, &reg);
        e->exit.reg = reg ? reg->id : 0;
        break;
    case F_REPLY_TO:
        rc = reg_of(p, text, &e->reply_to);
        break;
    case F_ACCESS:
        rc = access_of(p, text, &n);
        memcpy(to, &n, sizeof n);
        break;
    case F_DEBUG:
        rc = debug_of(p, text, &n);
        memcpy(to, &n, sizeof n);
        break;
    case F_INSNS:
        rc = number_of(p, text, UINT64_MAX >> 1, &e->insns);
        break;
    }
    e->exit.valid |= k->has;
    return rc;
}

static int parse_key(Parser *p, Entry *e)
{
    char *value = cut_value(p);
    if (!value) {
        return wrong(p, p->word, "key=value");
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!strcmp(keys[i].name, p->word) && key_fits(&keys[i], e->exit.kind)) {
            return key_apply(p, &keys[i], value, e);
        }
    }
    return no_such_key(p, e->exit.kind);
}

static int parse_exit(Parser *p, Entry *e)
{
    int got = 0;
    while ((got = next_word(p)) > 0) {
        int rc = parse_key(p, e);
        if (rc) {
            return rc;
        }
    }
    VmExit *x = &e->exit;
    bool is_sized = (MMIO | PIO) >> x->kind & 1;
    if (got == 0 && is_sized && (!x->size_bytes || x->size_bytes > 8)) {
        return wrong(p, exit_name(x->kind), "size=1 to size=8");
    }
    x->reply = exit_reply_kind(x->kind);
    e->has_pc = x->valid & HAS_pc_before;
    e->has_next = x->valid & HAS_pc_after;
    return got;
}

/* ---- the other entries ---- */
static int parse_set(Parser *p, Entry *e)
{
    int got;
    e->from = p->script->sets.n;
    while ((got = next_word(p)) > 0) {
        char *value = cut_value(p);
        SetReg s = {0};
        if (!value) {
            return wrong(p, p->word, "register=value");
        }
        int rc = reg_of(p, p->word, &s.reg);
        rc = rc ? rc : number_of(p, value, UINT64_MAX, &s.value);
        if (rc) {
            return rc;
        }
        VEC_PUSH(&p->script->sets, s);
    }
    e->n = p->script->sets.n - e->from;
    return got == 0 && !e->n ? wrong(p, "set", "register=value") : got;
}

static int parse_write(Parser *p, Entry *e)
{
    int rc = number_word(p, &e->number);
    rc = rc ? rc : next_word(p);
    if (rc < 0) {
        return rc;
    }
    e->from = p->script->bytes.n;
    for (const char *s = p->word; *s; s += 2) {
        unsigned high = hex_digit(s[0]), low = hex_digit(s[1]); /* of its end: none */
        if (high > 15 || low > 15) {
            return wrong(p, p->word, "an even number of hex digits");
        }
        VEC_PUSH(&p->script->bytes, (uint8_t)(high << 4 | low));
    }
    e->n = p->script->bytes.n - e->from;
    return e->n ? entry_ends(p) : wrong(p, "write", "an address and hex bytes");
}

static int parse_work(Parser *p, Entry *e)
{
    int got;
    while ((got = next_word(p)) > 0) {
        char *value = cut_value(p);
        int rc = -1;
        if (value && !strcmp(p->word, "insns")) {
            rc = number_of(p, value, UINT64_MAX >> 1, &e->insns);
        } else if (value && !strcmp(p->word, "pc")) {
            e->has_pc = true;
            rc = number_of(p, value, UINT64_MAX, &e->exit.pc_after);
        } else {
            rc = wrong(p, p->word, "insns=N or pc=A");
        }
        if (rc) {
            return rc;
        }
    }
    return got == 0 && !e->insns ? wrong(p, "work", "insns=N") : got;
}

static int parse_take(Parser *p, Entry *e)
{
    int got = next_word(p);
    if (got <= 0) {
        return got;
    }
    e->has_number = true;
    int rc = number_of(p, p->word, UINT32_MAX, &e->number);
    return rc ? rc : entry_ends(p);
}

static int parse_spin(Parser *p, Entry *e)
{
    int got = next_word(p);
    if (got <= 0) {
        return got;
    }
    if (strcmp(p->word, "forever=1") != 0) {
        return wrong(p, p->word, "forever=1");
    }
    e->is_forever = true;
    return entry_ends(p);
}

static int parse_error(Parser *p, Entry *e)
{
    int got = next_word(p);
    if (got < 0) {
        return got;
    }
    for (int code = 1; code < ERR_COUNT; code++) {
        if (!strcmp(p->word, err_name(code))) {
            e->number = (uint64_t)code;
            return entry_ends(p);
        }
    }
    return wrong(p, p->word, "the name of an error, such as BUSY");
}

static int parse_crash(Parser *p, Entry *e)
{
    int got = next_word(p);
    if (got < 0) {
        return got;
    }
    if (strcmp(p->word, "SIGSEGV") != 0 && strcmp(p->word, "SIGABRT") != 0) {
        return wrong(p, p->word, "SIGSEGV or SIGABRT");
    }
    e->number = !strcmp(p->word, "SIGSEGV") ? SIGSEGV : SIGABRT;
    return entry_ends(p);
}

static int parse_number_only(Parser *p, Entry *e)
{
    int rc = number_word(p, &e->number);
    return rc ? rc : entry_ends(p);
}

static int parse_nothing(Parser *p, Entry *e)
{
    (void)e;
    return entry_ends(p);
}

typedef struct {
    const char *name;
    Action act;
    int (*parse)(Parser *p, Entry *e);
} Word;
static const Word words[] = {
    {"set", ACT_SET, parse_set},
    {"work", ACT_WORK, parse_work},
    {"write", ACT_WRITE, parse_write},
    {"dirty", ACT_DIRTY, parse_number_only},
    {"take", ACT_TAKE, parse_take},
    {"mask", ACT_MASK, parse_nothing},
    {"unmask", ACT_UNMASK, parse_nothing},
    {"error", ACT_ERROR, parse_error},
    {"spin", ACT_SPIN, parse_spin},
    {"crash", ACT_CRASH, parse_crash},
    {"exit", ACT_DIE, parse_number_only},
    {"hang", ACT_HANG, parse_nothing},
    {"alloc", ACT_ALLOC, parse_number_only},
    {"garbage", ACT_GARBAGE, parse_nothing},
};

static int parse_entry(Parser *p)
{
    Entry e = {0};
    int got = next_word(p);
    if (got <= 0) {
        return got;
    }
    if (p->script->entries.n == SCRIPT_MAX_ENTRIES) {
        return err_set(p->err, ERR_LIMIT, "fake.script line %u: more than %u entries", p->line, SCRIPT_MAX_ENTRIES);
    }
    int kind = exit_find(p->word), rc = 1;
    if (kind >= 0) {
        e.exit.kind = (ExitKind)kind;
        rc = parse_exit(p, &e);
    }
    for (size_t i = 0; i < ARRAY_LEN(words) && rc > 0; i++) {
        if (!strcmp(words[i].name, p->word)) {
            e.act = words[i].act;
            rc = words[i].parse(p, &e);
        }
    }
    if (rc > 0) {
        return wrong(p, p->word,
                     "an exit's name or set work write dirty take mask unmask error "
                     "spin crash exit hang alloc garbage");
    }
    if (!rc) {
        VEC_PUSH(&p->script->entries, e);
    }
    return rc;
}

int script_parse(GuestId guest, const char *text, size_t n, Script *out, Err *err)
{
    *out = (Script){0};
    if (n > SCRIPT_MAX_BYTES) {
        return err_set(err, ERR_LIMIT, "fake.script: more than %u bytes", SCRIPT_MAX_BYTES);
    }
    Parser p = {.guest = guest, .line = 1, .script = out, .err = err};
    const char *at = text, *end = n ? text + n : text;
    int rc = 0;
    while (at < end && !rc) {
        const char *stop = at, *cut = NULL; /* the end of the entry; the comment before it */
        while (stop < end && *stop != '\n' && (cut || *stop != ';')) {
            cut = !cut && *stop == '#' ? stop : cut;
            stop++;
        }
        p.at = at;
        p.end = cut ? cut : stop;
        rc = parse_entry(&p);
        p.line += stop < end && *stop == '\n';
        at = stop < end ? stop + 1 : end;
    }
    if (rc) {
        fake_script_free(out);
    }
    return rc;
}

void fake_script_free(Script *s)
{
    VEC_FREE(&s->entries);
    VEC_FREE(&s->sets);
    VEC_FREE(&s->bytes);
}
