/* SPDX-License-Identifier: Apache-2.0
 * isa.c - the line of an instruction is looked for in the text, which the assembler does not map to its output: the first
 * statement with that mnemonic behind the last label before the instruction. Macros hide it; then it is that label's line. */
#include "conformance/isa.h"

#include "sim/guest/exts.h"

#include <string.h>

typedef struct {
    const char *word;
    size_t n;
    bool is_label;
    uint32_t line; /* of the part's text, from 0 */
} Word;

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '$';
}

/* The label or mnemonic that is next in *at; what is behind a mnemonic is left out. false: the end. */
static bool word_next(const char **at, uint32_t *line, Word *out)
{
    const char *s = *at;
    while (*s && !is_word_char(*s)) {
        bool is_comment = *s == '#' || (s[0] == '/' && s[1] == '/');
        *line += *s == '\n';
        s += is_comment ? strcspn(s, "\n") : 1;
    }
    *out = (Word){.word = s, .line = *line};
    while (is_word_char(*s)) {
        s++;
    }
    out->n = (size_t)(s - out->word);
    s += strspn(s, " \t");
    out->is_label = *s == ':';
    if (!out->is_label) {
        s += strcspn(s, ";\n");
    }
    *at = s;
    return out->n != 0;
}

static bool is_text(const Word *w, const char *text)
{
    return strlen(text) == w->n && !strncmp(w->word, text, w->n);
}

/* lbu becomes c.lbu by .option rvc. */
static bool is_insn(const Word *w, const char *insn)
{
    return is_text(w, insn) || (!strncmp(insn, "c.", 2) && is_text(w, insn + 2));
}

static uint32_t line_of(const IsaCode *code, const char *label, const char *insn)
{
    uint32_t first = 0, label_line = 0;
    for (size_t i = 0; i < code->nparts; i++) {
        const CodePart *p = &code->parts[i];
        const char *s = p->kind == CODE_TEXT ? p->text : "";
        uint32_t line = 0;
        Word w;
        while (word_next(&s, &line, &w)) {
            uint32_t here = p->pos.line + w.line;
            if (w.is_label && label && is_text(&w, label)) {
                label_line = here;
            } else if (!w.is_label && is_insn(&w, insn)) {
                first = first ? first : here;
                if (!label || label_line) {
                    return here;
                }
            }
        }
    }
    return label_line ? label_line : first ? first : code->nparts ? code->parts[0].pos.line : 0;
}

static void say(const IsaCode *code, const ExtsLack *lack, uint64_t at, Buf *out)
{
    const char *label = NULL;
    for (size_t i = 0; i < code->out->labels.n; i++) {
        const AsmSymbol *s = &code->out->labels.items[i];
        label = s->value <= code->org + at ? s->name : label;
    }
    buf_printf(out, "%s (%s at line %u)", lack->need, lack->insn, line_of(code, label, lack->insn));
}

bool isa_code_lacks(const IsaCode *code, const char *isa, Buf *out)
{
    const uint8_t *bytes = (const uint8_t *)code->out->bytes.data;
    uint64_t at = 0, n = code->out->bytes.n;
    for (size_t i = 0; i <= code->out->data.n; i++) {
        bool is_last = i == code->out->data.n;
        uint64_t end = is_last ? n : code->out->data.items[i].at;
        ExtsLack lack;
        if (exts_code_lacks(isa, bytes + at, end - at, &lack)) {
            say(code, &lack, at + lack.at, out);
            return true;
        }
        at = is_last ? n : end + code->out->data.items[i].n;
    }
    return false;
}

bool isa_case_lacks(const Case *c, const char *isa, Buf *out)
{
    for (size_t i = 0; i < c->nisa; i++) {
        if (!exts_isa_has(isa, c->isa[i])) {
            buf_printf(out, "%s (asked for)", c->isa[i]);
            return true;
        }
    }
    bool has_tables = c->start == START_paged || c->start == START_user;
    if (has_tables && !exts_isa_has(isa, "sv39")) {
        buf_printf(out, "sv39 (start: %s)", c->start == START_paged ? "paged" : "user");
        return true;
    }
    return false;
}
