/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_source.h"
#include "conformance/asm_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const AsmInput *in;
    AsmSource *source;
    size_t ndone; /* of the text */
    AsmDiag *diag;
    int rc;
} Build;

static bool is_identifier(const char *name)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.";
    static const char later[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.0123456789";
    return *name && strchr(first, *name) && strspn(name, later) == strlen(name) && strcmp(name, ".");
}

static const AsmSymbol *find_def(const AsmInput *in, const AsmWord *w)
{
    for (size_t i = 0; i < in->ndefs; i++) {
        if (strlen(in->defs[i].name) == w->n && !memcmp(in->defs[i].name, w->at, w->n)) {
            return &in->defs[i];
        }
    }
    return NULL;
}

static int refuse(AsmDiag *diag, uint32_t line, uint32_t col, const char *message)
{
    *diag = (AsmDiag){.line = line, .col = col};
    snprintf(diag->message, sizeof diag->message, "%s", message);
    return -ERR_INVAL;
}

/* Of "%hi(number)". */
static bool is_out_of_hi(const AsmWord *w)
{
    char text[32], *end;
    if (w->n >= sizeof text) {
        return false; /* no number */
    }
    memcpy(text, w->at, w->n);
    text[w->n] = 0;
    uint64_t v = strtoull(text, &end, 0);
    return !*end && (uint64_t)(int32_t)(v + 0x800) != v + 0x800;
}

static bool on_word(void *user, const AsmWord *w)
{
    Build *b = user;
    const AsmSymbol *def = find_def(b->in, w);
    if (!def) {
        if (w->is_hi && is_out_of_hi(w)) {
            char message[80];
            snprintf(message, sizeof message, "%%hi(%.*s) is no address that lui can make", (int)w->n, w->at);
            b->rc = refuse(b->diag, w->line, w->col, message);
        }
        return !b->rc;
    }
    /* LLVM silently cuts a constant address to the 32-bit displacement; as a relocation its range
     * is checked. */
    bool is_far = b->in->guest == GUEST_x86_64 && w->in_brackets && def->value > INT32_MAX;
    if (w->is_pc_relative || w->is_hi || is_far) {
        size_t end = (size_t)(w->at - b->in->text) + w->n;
        buf_bytes(&b->source->text, b->in->text + b->ndone, end - b->ndone);
        buf_str(&b->source->text, ASM_ALIAS);
        b->ndone = end;
        VEC_PUSH(&b->source->shifts, (AsmShift){w->line, w->col + (uint32_t)w->n});
    }
    return true;
}

static int check_text(const AsmInput *in, AsmDiag *diag)
{
    const char *zero = in->n ? memchr(in->text, 0, in->n) : NULL;
    if (!zero) {
        return 0;
    }
    uint32_t line = 1, col = 1;
    for (const char *p = in->text; p < zero; p++) {
        line += *p == '\n';
        col = *p == '\n' ? 1 : col + 1;
    }
    return refuse(diag, line, col, "the text holds a 0 byte");
}

int asm_source_build(const AsmInput *in, AsmSource *source, AsmDiag *diag)
{
    *source = (AsmSource){0};
    int rc = check_text(in, diag);
    buf_str(&source->text, in->guest == GUEST_x86_64 ? ".intel_syntax noprefix;" : "");
    for (size_t i = 0; !rc && i < in->ndefs; i++) {
        if (!is_identifier(in->defs[i].name)) {
            char message[160];
            snprintf(message, sizeof message, "the definition `%.100s` is no identifier", in->defs[i].name);
            rc = refuse(diag, 0, 0, message);
        } else {
            buf_printf(&source->text, ".set %s, 0x%" PRIx64 ";", in->defs[i].name, in->defs[i].value);
        }
    }
    if (rc) {
        asm_source_free(source);
        return rc;
    }
    buf_char(&source->text, '\n');
    Build b = {.in = in, .source = source, .diag = diag};
    asm_scan(in->guest, in->text, in->n, on_word, &b);
    if (b.rc) {
        asm_source_free(source);
        return b.rc;
    }
    buf_bytes(&source->text, in->text + b.ndone, in->n - b.ndone);
    buf_char(&source->text, '\n');
    return 0;
}

void asm_source_free(AsmSource *source)
{
    buf_free(&source->text);
    VEC_FREE(&source->shifts);
}

void asm_source_place(const AsmSource *source, uint32_t *line, uint32_t *col)
{
    if (*line < 2) {
        *line = *col = 0;
        return;
    }
    *line -= 1;
    uint32_t cut = 0;
    for (size_t i = 0; i < source->shifts.n; i++) {
        const AsmShift *s = &source->shifts.items[i];
        if (s->line == *line && *col > s->col + cut) {
            cut += (uint32_t)strlen(ASM_ALIAS);
        }
    }
    *col -= cut < *col ? cut : 0;
}
