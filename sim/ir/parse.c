/* SPDX-License-Identifier: Apache-2.0
 * A recursive descent over text from outside: one token ahead, every number and count bounded. */
#include "sim/ir/text.h"

#include <assert.h>
#include <string.h>

typedef enum { TOK_WORD, TOK_SIGN, TOK_LINE, TOK_END } TokKind; /* SIGN: one character that is none of a word */
typedef struct {
    const char *at;
    size_t n;
    TokKind kind;
    unsigned line, col;
} Tok;
typedef struct {
    const char *at, *line_start;
    unsigned line;
    Tok tok, suffix; /* suffix: what is left of an op's word after its name */
    const IrGuest *g;
    Err *err;
} Parser;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.%@", c));
}

static void next(Parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '#') {
        p->at += *p->at == '#' ? strcspn(p->at, "\n") : 1;
    }
    p->tok = (Tok){p->at, 1, TOK_SIGN, p->line, (unsigned)(p->at - p->line_start) + 1};
    if (!*p->at) {
        p->tok.kind = TOK_END;
        p->tok.n = 0;
    } else if (*p->at == '\n') {
        p->tok.kind = TOK_LINE;
        p->line_start = ++p->at;
        p->line++;
    } else if (is_word(*p->at)) {
        p->tok.kind = TOK_WORD;
        while (is_word(*++p->at)) {
        }
        p->tok.n = (size_t)(p->at - p->tok.at);
    } else {
        p->at++;
    }
}

static int bad(Parser *p, const Tok *t, const char *expected)
{
    if (t->kind == TOK_END || t->kind == TOK_LINE) {
        return err_set(p->err, ERR_INVAL, "%u:%u: end of %s, expected %s", t->line, t->col,
                       t->kind == TOK_END ? "text" : "line", expected);
    }
    if (t->kind == TOK_SIGN && (*t->at < ' ' || *t->at > '~')) {
        return err_set(p->err, ERR_INVAL, "%u:%u: byte 0x%02x, expected %s", t->line, t->col, (uint8_t)*t->at,
                       expected);
    }
    return err_set(p->err, ERR_INVAL, "%u:%u: '%.*s', expected %s", t->line, t->col, t->n > 40 ? 40 : (int)t->n, t->at,
                   expected);
}

static bool tok_is(const Tok *t, const char *word)
{
    return (t->kind == TOK_WORD || t->kind == TOK_SIGN) && strlen(word) == t->n && !memcmp(t->at, word, t->n);
}

static int want(Parser *p, const char *word, const char *expected)
{
    if (!tok_is(&p->tok, word)) {
        return bad(p, &p->tok, expected);
    }
    next(p);
    return 0;
}

static int end_line(Parser *p)
{
    if (p->tok.kind != TOK_LINE && p->tok.kind != TOK_END) {
        return bad(p, &p->tok, "the end of the line");
    }
    while (p->tok.kind == TOK_LINE) {
        next(p);
    }
    return 0;
}

/* Digits of t, decimal or 0x; false if it is none or more than max. */
static bool number_of(const Tok *t, uint64_t max, uint64_t *out)
{
    bool is_hex = t->n > 2 && t->at[0] == '0' && t->at[1] == 'x';
    unsigned base = is_hex ? 16 : 10;
    uint64_t v = 0;
    for (size_t i = is_hex ? 2 : 0; i < t->n; i++) {
        char c = t->at[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 99;
        if (digit >= base || v > (max - digit) / base || digit > max) {
            return false;
        }
        v = v * base + digit;
    }
    *out = v;
    return t->n > 0;
}

static int number(Parser *p, uint64_t max, const char *expected, uint64_t *out)
{
    if (p->tok.kind != TOK_WORD || !number_of(&p->tok, max, out)) {
        return bad(p, &p->tok, expected);
    }
    next(p);
    return 0;
}

static int field(Parser *p, const char *key, uint64_t max, const char *expected, uint64_t *out)
{
    int rc = want(p, key, expected);
    rc = rc ? rc : want(p, "=", "=");
    return rc ? rc : number(p, max, expected, out);
}

static int imm(Parser *p, int64_t *out)
{
    bool is_negative = tok_is(&p->tok, "-");
    uint64_t v = 0;
    if (is_negative) {
        next(p);
    }
    int rc = number(p, is_negative ? 1ull << 63 : UINT64_MAX, "a number of 64 bits", &v);
    *out = (int64_t)(is_negative ? 0 - v : v);
    return rc;
}

static int slot(Parser *p, Slot *out)
{
    const Tok *t = &p->tok;
    Tok digits = {t->at + 1, t->n ? t->n - 1 : 0, TOK_WORD, 0, 0};
    uint64_t v = 0;
    bool is_found = t->kind == TOK_WORD;
    if (is_found && tok_is(t, "zero")) {
        *out = IR_ZERO;
    } else if (is_found && *t->at == '%') {
        is_found = number_of(&digits, IR_NTEMPS - 1, &v);
        *out = IR_TEMP(v);
    } else if (is_found && *t->at == '@') {
        is_found = number_of(&digits, UINT16_MAX, &v);
        *out = (Slot)v;
    } else if (is_found) {
        size_t i = 0;
        while (i < p->g->nslots && !tok_is(t, p->g->slots[i].name)) {
            i++;
        }
        is_found = i < p->g->nslots;
        *out = is_found ? p->g->slots[i].at : IR_ZERO;
    }
    if (!is_found) {
        return bad(p, t, "a slot: a register's name, %0 to %31, or zero");
    }
    next(p);
    return 0;
}

/* ---- the op's word ---- */
/* Cuts the part up to the next point off *rest. */
static Tok part(Tok *rest)
{
    Tok t = *rest;
    const char *point = memchr(t.at, '.', t.n);
    size_t n = point ? (size_t)(point - t.at) : t.n;
    size_t skip = n + (point != NULL);
    t.n = n;
    rest->at += skip;
    rest->n -= skip;
    rest->col += (unsigned)skip;
    return t;
}

static int word_of(Parser *p, const char *const *words, size_t n, const char *expected, uint64_t *out)
{
    Tok t = part(&p->suffix);
    for (size_t i = 0; i < n; i++) {
        if (words[i] && tok_is(&t, words[i])) {
            *out = i;
            return 0;
        }
    }
    return bad(p, &t, expected);
}

static int flags_of(Parser *p, const TextFlag *flags, size_t n, uint16_t *aux)
{
    for (size_t i = 0; i < n && p->suffix.n; i++) {
        Tok rest = p->suffix, t = part(&rest);
        if (tok_is(&t, flags[i].word)) {
            *aux |= flags[i].bit;
            p->suffix = rest;
        }
    }
    if (p->suffix.n && *p->suffix.at == 'r' && flags == text_mem_flags) {
        Tok t = part(&p->suffix), digits = {t.at + 1, t.n - 1, TOK_WORD, 0, 0};
        uint64_t regime = 0;
        if (!number_of(&digits, 15, &regime) || !regime) {
            return bad(p, &t, "a regime, r1 to r15");
        }
        *aux |= MEM_REGIME(regime);
    }
    return 0;
}

static int helper_of(Parser *p, uint64_t *out)
{
    Tok t = part(&p->suffix);
    for (size_t i = 0; i < p->g->nhelpers; i++) {
        if (tok_is(&t, p->g->helpers[i].name)) {
            *out = i;
            return 0;
        }
    }
    return bad(p, &t, "the name of a helper");
}

static int aux_of(Parser *p, IrOp *o)
{
    static const TextFlag text_boxed = {"boxed", FP_BOXED};
    uint64_t v = 0, rm = 0, other = 0;
    size_t nothers;
    const char *const *others = text_others(o->op, &nothers);
    int rc = 0;
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        break;
    case CLASS_FP:
        rc = word_of(p, text_fmts, TEXT_NFMT, "a format: f16, bf16, f32 or f64", &v);
        rc = rc ? rc : word_of(p, text_rms, TEXT_NRM, "a rounding: rne, rtz, rdn, rup, rmm, odd or dyn", &rm);
        if (!rc && others) {
            rc = word_of(p, others, nothers, "the other side: a format, or i32, u32, i64 or u64", &other);
        }
        o->aux = FP_AUX3(v, rm, other);
        return rc ? rc : flags_of(p, &text_boxed, 1, &o->aux);
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        rc = word_of(p, text_sizes, 8, "a size: 1, 2, 4, 8, or s before it", &v);
        o->aux = (uint16_t)v;
        return rc ? rc : flags_of(p, text_mem_flags, TEXT_NMEM_FLAGS, &o->aux);
    case CLASS_FENCE:
        rc = word_of(p, text_orders, TEXT_NORDER, "an order: relaxed, acquire, release, acq_rel or seq_cst", &v);
        break;
    case CLASS_CALL:
        rc = helper_of(p, &v);
        break;
    case CLASS_SIDE_EXIT:
        rc = word_of(p, text_conds, COND_COUNT, "a condition: eq, ne, lt, ge, ltu or geu", &v);
        break;
    case CLASS_TERM:
        if (o->op == IR_stop) {
            Tok t = part(&p->suffix);
            rc = number_of(&t, UINT16_MAX, &v) ? 0 : bad(p, &t, "a reason, 0 to 65535");
        } else if (o->op == IR_jmp || o->op == IR_jmpr) {
            return flags_of(p, text_jmp_flags, TEXT_NJMP_FLAGS, &o->aux);
        }
        break;
    }
    o->aux = (uint16_t)v;
    return rc;
}

static int opcode(Parser *p, IrOp *o)
{
    Tok t = p->tok;
    if (t.kind != TOK_WORD) {
        return bad(p, &t, "an op or insn");
    }
    p->suffix = t;
    Tok name = part(&p->suffix);
    unsigned op = 0;
    while (op < IR_COUNT && !tok_is(&name, ir_op_info[op].name)) {
        op++;
    }
    if (op == IR_COUNT) {
        return bad(p, &name, "an op or insn");
    }
    o->op = (uint16_t)op;
    int rc = aux_of(p, o);
    if (!rc && p->suffix.n) {
        return bad(p, &p->suffix, "no further suffix");
    }
    if (!rc) {
        next(p);
    }
    return rc;
}

/* ---- operands ---- */
static int comma(Parser *p, bool *is_first)
{
    int rc = *is_first ? 0 : want(p, ",", "a comma and an operand");
    *is_first = false;
    return rc;
}

static int address(Parser *p, IrOp *o)
{
    int rc = want(p, "[", "an address: [slot + number]");
    rc = rc ? rc : slot(p, &o->a);
    if (!rc && (tok_is(&p->tok, "+") || tok_is(&p->tok, "-"))) {
        if (tok_is(&p->tok, "+")) {
            next(p);
        }
        rc = imm(p, &o->imm);
    }
    return rc ? rc : want(p, "]", "] of the address");
}

static int operands(Parser *p, IrOp *o)
{
    const IrOpInfo *info = &ir_op_info[o->op];
    Slot *const src[] = {&o->a, &o->b, &o->c};
    bool is_mem = text_is_mem(info->cls), is_first = true;
    int rc = 0;
    if (info->has_dst) {
        rc = comma(p, &is_first);
        rc = rc ? rc : slot(p, &o->d);
    }
    for (unsigned i = 0; i < text_nsrc(o, p->g) && !rc; i++) {
        rc = comma(p, &is_first);
        rc = rc ? rc : i == 0 && is_mem ? address(p, o) : slot(p, src[i]);
    }
    if (!rc && info->has_imm && !is_mem) {
        rc = comma(p, &is_first);
        rc = rc ? rc : imm(p, &o->imm);
    }
    return rc;
}

/* ---- lines ---- */
static int block_line(Parser *p, IrBlock *b)
{
    uint64_t mode = 0, flags = 0;
    while (p->tok.kind == TOK_LINE) {
        next(p);
    }
    int rc = want(p, "block", "block");
    rc = rc ? rc : field(p, "pc", UINT64_MAX, "pc=number", &b->gva);
    rc = rc ? rc : field(p, "mode", UINT32_MAX, "mode=number", &mode);
    if (!rc && p->tok.kind == TOK_WORD) {
        rc = field(p, "flags", UINT32_MAX, "flags=number", &flags);
    }
    b->mode_key = (uint32_t)mode;
    b->flags = (uint32_t)flags;
    return rc ? rc : end_line(p);
}

static int insn_line(Parser *p, IrBlock *b)
{
    uint64_t index = 0, len = 0, row = 0;
    if (b->ninsns == IR_BLOCK_MAX_INSNS) {
        return bad(p, &p->tok, "at most 64 instructions");
    }
    next(p);
    Tok t = p->tok;
    int rc = number(p, UINT32_MAX, "the instruction's index", &index);
    if (!rc && index != b->ninsns) {
        return bad(p, &t, "the next index");
    }
    rc = rc ? rc : field(p, "len", 255, "len=1 to 255", &len);
    rc = rc ? rc : len ? 0 : bad(p, &t, "len=1 to 255");
    rc = rc ? rc : field(p, "row", UINT16_MAX, "row=0 to 65535", &row);
    if (rc) {
        return rc;
    }
    b->insn_row[b->ninsns++] = (uint16_t)row;
    b->nbytes += (uint32_t)len;
    b->insn_at[b->ninsns] = (uint16_t)b->nbytes;
    return end_line(p);
}

static int op_line(Parser *p, IrBlock *b)
{
    IrOp o = {0};
    Tok t = p->tok;
    int rc = opcode(p, &o);
    rc = rc ? rc : operands(p, &o);
    rc = rc ? rc : end_line(p);
    if (rc) {
        return rc;
    }
    if (!b->ninsns) {
        return bad(p, &t, "insn before the first op");
    }
    if (b->nops == IR_BLOCK_MAX_OPS) {
        return bad(p, &t, "at most 512 ops");
    }
    o.insn = b->ninsns - 1;
    b->op[b->nops++] = o;
    return 0;
}

int ir_parse(const char *text, const IrGuest *g, IrBlock *out, IrOp *ops, Err *err)
{
    _Static_assert(IR_BLOCK_MAX_INSNS * 255 <= UINT16_MAX, "insn_at");
    Parser p = {.at = text, .line_start = text, .line = 1, .g = g, .err = err};
    *out = (IrBlock){.op = ops};
    next(&p);
    int rc = block_line(&p, out);
    while (!rc && p.tok.kind != TOK_END) {
        rc = tok_is(&p.tok, "insn") ? insn_line(&p, out) : op_line(&p, out);
    }
    return rc;
}
