/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm.h"
#include "conformance/asm_cache.h"
#include "conformance/asm_door.h"
#include "conformance/asm_obj.h"
#include "conformance/asm_scan.h"
#include "conformance/asm_source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 20, MAX_IMAGE = 16 << 20 };

/* LLVM is one per process, and so is its lock. */
static pthread_mutex_t door_lock = PTHREAD_MUTEX_INITIALIZER;

void asm_output_free(AsmOutput *out)
{
    for (size_t i = 0; i < out->labels.n; i++) {
        mem_free((char *)out->labels.items[i].name);
    }
    VEC_FREE(&out->labels);
    VEC_FREE(&out->data);
    buf_free(&out->bytes);
    out->was_cached = false;
}

static int check_input(const AsmInput *in, Err *err)
{
    if (in->guest < GUEST_riscv64 || in->guest >= GUEST_COUNT) {
        return err_set(err, ERR_INVAL, "no guest has the number %d", (int)in->guest);
    }
    if (in->n > MAX_TEXT) {
        return err_set(err, ERR_LIMIT, "the assembler text has %zu bytes, more than %d", in->n, MAX_TEXT);
    }
    return 0;
}

static int check_size(const AsmInput *in, const AsmOutput *out, Err *err)
{
    size_t max = in->max_bytes ? in->max_bytes : MAX_IMAGE;
    if (out->bytes.n <= max) {
        return 0;
    }
    return err_set(err, ERR_LIMIT, "the image has %zu bytes, more than %zu", out->bytes.n, max);
}

/* The sentence of a diagnostic for callers that print only the Err. */
static int say(const AsmDiag *diag, Err *err)
{
    if (diag->line) {
        return err_set(err, ERR_INVAL, "line %u, column %u: %s", diag->line, diag->col, diag->message);
    }
    return err_set(err, ERR_INVAL, "%s", diag->message);
}

static int flatten(const AsmInput *in, const Buf *object, AsmOutput *out, AsmDiag *diag, Err *err)
{
    AsmObj obj = {.guest = in->guest,
                  .bytes = object->data,
                  .n = object->n,
                  .org = in->org,
                  .defs = in->defs,
                  .ndefs = in->ndefs,
                  .max_bytes = in->max_bytes ? in->max_bytes : MAX_IMAGE};
    AsmObjError bad;
    int rc = asm_obj_flatten(&obj, out, &bad);
    if (rc == -ERR_LIMIT) {
        return err_set(err, ERR_LIMIT, "%s", bad.message);
    }
    if (rc) {
        *diag = (AsmDiag){0};
        snprintf(diag->message, sizeof diag->message, "%.250s", bad.message);
        AsmWord word;
        if (*bad.symbol && asm_scan_find(in->guest, in->text, in->n, bad.symbol, &word)) {
            diag->line = word.line;
            diag->col = word.col;
        }
        return say(diag, err);
    }
    return 0;
}

/* LLVM may quote a name as we gave it. */
static void drop_alias(char *message)
{
    char *at;
    while ((at = strstr(message, ASM_ALIAS))) {
        size_t n = strlen(ASM_ALIAS);
        memmove(at, at + n, strlen(at + n) + 1);
    }
}

static int assemble(const AsmInput *in, AsmOutput *out, AsmDiag *diag, Err *err)
{
    AsmSource source;
    int rc = asm_source_build(in, &source, diag);
    if (rc) {
        return say(diag, err);
    }
    Buf object = {0};
    size_t max_bytes = in->max_bytes ? in->max_bytes : MAX_IMAGE;
    Err inner = {0};
    rc = asm_door_assemble(in->guest, &source.text, max_bytes, &object, diag, &inner);
    if (rc == -ERR_INVAL) {
        asm_source_place(&source, &diag->line, &diag->col);
        drop_alias(diag->message);
        rc = say(diag, err);
    } else if (rc) {
        *err = inner;
    } else {
        rc = flatten(in, &object, out, diag, err);
    }
    buf_free(&object);
    asm_source_free(&source);
    return rc;
}

int asm_assemble(const AsmInput *in, AsmOutput *out, AsmDiag *diag, Err *err)
{
    Err unused;
    err = err ? err : &unused;
    *out = (AsmOutput){0};
    *diag = (AsmDiag){0};
    int rc = check_input(in, err);
    if (rc) {
        return rc;
    }
    uint8_t key[32];
    asm_cache_key(in, key);
    pthread_mutex_lock(&door_lock);
    if (asm_cache_get(key, out)) {
        out->was_cached = true;
    } else {
        rc = assemble(in, out, diag, err);
        if (!rc) {
            asm_cache_put(key, out);
        }
    }
    pthread_mutex_unlock(&door_lock);
    rc = rc ? rc : check_size(in, out, err);
    if (rc) {
        asm_output_free(out);
    }
    return rc;
}

/* LLVM's "\tmov\trax, rbx" with single spaces and no comment. */
static void append_canonical(const char *text, Buf *out)
{
    bool needs_space = false, has_any = false;
    for (; *text && *text != '\n' && strncmp(text, "//", 2); text++) {
        if (*text == ' ' || *text == '\t') {
            needs_space = has_any;
        } else {
            if (needs_space) {
                buf_char(out, ' ');
            }
            buf_char(out, *text);
            needs_space = false;
            has_any = true;
        }
    }
}

/* LLVM shows riscv64 branches as a distance ("bnez a1, -0x8"), the other guests' as an address; so
 * here too. */
static void show_target(char line[256], uint64_t pc)
{
    char *mnemonic = line + strspn(line, " \t"), *last = strrchr(line, ' ');
    char *tab = strrchr(line, '\t');
    last = !last || (tab && tab > last) ? tab : last;
    if (!last || !asm_scan_is_pc_relative(GUEST_riscv64, mnemonic, strcspn(mnemonic, " \t"))) {
        return;
    }
    bool is_negative = last[1] == '-';
    char *digits = last + 1 + is_negative, *end;
    if (strncmp(digits, "0x", 2)) {
        return;
    }
    uint64_t distance = strtoull(digits, &end, 16);
    if (!*end) {
        snprintf(last + 1, 256 - (size_t)(last + 1 - line), "0x%llx",
                 (unsigned long long)(is_negative ? pc - distance : pc + distance));
    }
}

size_t asm_disasm(GuestId guest, unsigned bits, const uint8_t *bytes, size_t n, uint64_t pc, Buf *text)
{
    char line[256];
    pthread_mutex_lock(&door_lock);
    const ConfLlvm *llvm = asm_door_open(NULL);
    size_t length = llvm ? llvm->disassemble((ConfLlvmGuest)guest, bits, bytes, n, pc, line, sizeof line) : 0;
    pthread_mutex_unlock(&door_lock);
    if (!length || length > n) {
        return 0;
    }
    if (guest == GUEST_riscv64) {
        show_target(line, pc);
    }
    append_canonical(line, text);
    return length;
}
