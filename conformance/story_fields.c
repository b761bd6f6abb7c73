/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/story_int.h"

#include <stdio.h>
#include <string.h>

const char *field_word(FieldId f)
{
#define X(name) [FIELD_##name] = #name,
    static const char *const words[] = {FIELD_MAP(X)};
#undef X
    return (unsigned)f < FIELD_COUNT ? words[f] : "?";
}

static FieldValue number(uint64_t n, unsigned width)
{
    return (FieldValue){.kind = FV_INT, .n = n, .width = width};
}

static FieldValue place(uint64_t n)
{
    return (FieldValue){.kind = FV_INT, .n = n, .width = 8, .is_place = true};
}

static FieldValue word(const char *text)
{
    FieldValue v = {.kind = FV_TEXT};
    snprintf(v.text, sizeof v.text, "%s", text);
    return v;
}

static const FieldValue absent = {.kind = FV_ABSENT};

static FieldValue given(const Seen *x, uint32_t has, FieldValue v)
{
    return x->e.valid & has ? v : absent;
}

static FieldValue access_word(uint64_t flags)
{
    char text[4] = "";
    size_t n = 0;
    static const struct {
        uint64_t bit;
        char letter;
    } letters[] = {{MAP_R, 'r'}, {MAP_W, 'w'}, {MAP_X, 'x'}};
    for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
        if (flags & letters[i].bit) {
            text[n++] = letters[i].letter;
        }
    }
    return n ? word(text) : absent;
}

static FieldValue debug_word(uint64_t kind)
{
    switch (kind) {
    case DEBUG_STEP:
        return word("step");
    case DEBUG_BREAK:
    case DEBUG_SW_BREAK:
        return word("breakpoint");
    case DEBUG_WATCH:
        return word("watchpoint");
    default:
        return absent;
    }
}

/* internal_error: arg = {suberror, nbytes, bytes..}; the bytes of the instruction that could not be emulated. */
static FieldValue error_bytes(const VmExit *e)
{
    FieldValue v = {.kind = FV_BYTES, .n = e->arg[1]};
    if (v.n == 0 || v.n > sizeof e->arg - 2 * sizeof e->arg[0]) {
        return absent;
    }
    for (uint64_t i = 0; i < v.n; i++) {
        v.text[i] = (char)(e->arg[2 + i / 8] >> 8 * (i % 8));
    }
    return v;
}

static FieldValue sysreg_name(const Seen *x)
{
    FieldValue v = number(x->e.addr, 8);
    const RegInfo *r = reg_info(REG_ID(x->guest, 3, REG_SYS, x->e.addr));
    if (!r) {
        r = reg_info(REG_ID(x->guest, 2, REG_SYS, x->e.addr));
    }
    if (r) {
        snprintf(v.text, sizeof v.text, "%s", r->name);
    }
    return v;
}

static FieldValue trap_field(const Seen *x, FieldId f)
{
    FieldValue v = number(x->trap.cause, 8);
    const char *cause = cause_word(x->guest, &x->trap);
    if (f == FIELD_cause) {
        if (cause) {
            snprintf(v.text, sizeof v.text, "%s", cause);
        }
        return v;
    }
    if (f == FIELD_addr) {
        return x->trap.has_addr ? place(x->trap.addr) : absent;
    }
    if (f == FIELD_code) {
        return x->trap.has_code ? number(x->trap.code, 8) : absent;
    }
    return absent;
}

/* pc is the address of the exit's instruction, next the one behind it. A platform gives one of the two (W7); the length
 * of the instruction, which the images tell, leads from one to the other. */
static FieldValue pc_field(const Seen *x, FieldId f)
{
    const VmExit *e = &x->e;
    if (x->shown == ITEM_TRAP) {
        unsigned n = f == FIELD_next ? world_insn_len(x->w, x->trap.pc) : 1;
        return n == 0 ? absent : place(f == FIELD_next ? x->trap.pc + n : x->trap.pc);
    }
    if (f == FIELD_pc && e->valid & HAS_pc_before) {
        return place(e->pc_before);
    }
    if (f == FIELD_next && e->valid & HAS_pc_after) {
        return place(e->pc_after);
    }
    if (f == FIELD_next && e->valid & HAS_pc_before) {
        unsigned n = world_insn_len(x->w, e->pc_before);
        return n ? place(e->pc_before + n) : absent;
    }
    return absent;
}

static FieldValue hypercall_arg(const Seen *x, FieldId f)
{
    switch ((int)x->e.kind) {
    case EXIT_hypercall:
        return number(x->e.arg[f - FIELD_arg0], 8);
    default:
        return absent;
    }
}

static FieldValue addr_field(const Seen *x)
{
    switch ((int)x->e.kind) {
    case EXIT_mmio_read:
    case EXIT_mmio_write:
    case EXIT_nested_page_fault:
    case EXIT_debug:
        return place(x->e.addr);
    default:
        return absent;
    }
}

static FieldValue numbered(const Seen *x, FieldId f)
{
    const VmExit *e = &x->e;
    switch ((int)f) {
    case FIELD_port:
        return number(e->addr, 2);
    case FIELD_reg:
        return sysreg_name(x);
    case FIELD_nr:
    case FIELD_target:
    case FIELD_vector:
        return number(e->kind == EXIT_send_ipi && f == FIELD_vector ? e->arg[3] : e->addr, 8);
    case FIELD_leaf:
        return number(e->addr, 4);
    case FIELD_subleaf:
        return number(e->value, 4);
    case FIELD_reason:
        return number(e->addr, 8);
    case FIELD_entry:
        return place(e->arg[0]);
    case FIELD_aux:
    case FIELD_suberror:
        return number(e->arg[0], 8);
    case FIELD_opaque:
    case FIELD_all:
        return number(e->arg[1], 8);
    case FIELD_self:
        return number(e->arg[2], 8);
    default:
        return absent;
    }
}

typedef struct {
    ExitKind exit;
    FieldId fields[8]; /* ended by FIELD_COUNT when fewer */
} Shown;
/* The fields of each exit, in the order in which texts show them; pc, next, insns, native and by go with every one. */
static const Shown shown_fields[] = {
    {EXIT_hypercall, {FIELD_nr, FIELD_arg0, FIELD_arg1, FIELD_arg2, FIELD_arg3, FIELD_arg4, FIELD_arg5, FIELD_COUNT}},
    {EXIT_mmio_read, {FIELD_addr, FIELD_size, FIELD_COUNT}},
    {EXIT_mmio_write, {FIELD_addr, FIELD_size, FIELD_data, FIELD_COUNT}},
    {EXIT_sysreg_read, {FIELD_reg, FIELD_COUNT}},
    {EXIT_sysreg_write, {FIELD_reg, FIELD_value, FIELD_COUNT}},
    {EXIT_io_read, {FIELD_port, FIELD_size, FIELD_COUNT}},
    {EXIT_io_write, {FIELD_port, FIELD_size, FIELD_data, FIELD_COUNT}},
    {EXIT_external_interrupt, {FIELD_vector, FIELD_COUNT}},
    {EXIT_nested_page_fault, {FIELD_addr, FIELD_access, FIELD_gva, FIELD_COUNT}},
    {EXIT_cpu_up, {FIELD_target, FIELD_entry, FIELD_opaque, FIELD_COUNT}},
    {EXIT_system_down, {FIELD_reason, FIELD_COUNT}},
    {EXIT_system_reset, {FIELD_reason, FIELD_COUNT}},
    {EXIT_fail_entry, {FIELD_reason, FIELD_COUNT}},
    {EXIT_send_ipi, {FIELD_target, FIELD_aux, FIELD_all, FIELD_self, FIELD_vector, FIELD_COUNT}},
    {EXIT_cpuid, {FIELD_leaf, FIELD_subleaf, FIELD_COUNT}},
    {EXIT_exception, {FIELD_vector, FIELD_code, FIELD_COUNT}},
    {EXIT_debug, {FIELD_kind, FIELD_addr, FIELD_COUNT}},
    {EXIT_eoi, {FIELD_vector, FIELD_COUNT}},
    {EXIT_internal_error, {FIELD_suberror, FIELD_bytes, FIELD_COUNT}},
};

static const Shown *shown_of(ExitKind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(shown_fields); i++) {
        if (shown_fields[i].exit == kind) {
            return &shown_fields[i];
        }
    }
    return NULL;
}

static bool exit_has(ExitKind kind, FieldId f)
{
    const Shown *s = shown_of(kind);
    for (size_t i = 0; s && i < ARRAY_LEN(s->fields) && s->fields[i] != FIELD_COUNT; i++) {
        if (s->fields[i] == f) {
            return true;
        }
    }
    return false;
}

static FieldValue exit_field(const Seen *x, FieldId f)
{
    const VmExit *e = &x->e;
    if (!exit_has(e->kind, f) && f != FIELD_count) {
        return absent;
    }
    switch ((int)f) {
    case FIELD_addr:
        return addr_field(x);
    case FIELD_size:
        return number(e->size_bytes, 1);
    case FIELD_data:
    case FIELD_value:
        return given(x, HAS_value, number(e->value, e->kind == EXIT_sysreg_write ? 8 : e->size_bytes));
    case FIELD_code:
        return given(x, HAS_value, number(e->value, 4));
    case FIELD_gva:
        return given(x, HAS_gva, place(e->arg[1]));
    case FIELD_access:
        return access_word(e->arg[0]);
    case FIELD_kind:
        return debug_word(e->arg[0]);
    case FIELD_bytes:
        return error_bytes(e);
    case FIELD_count:
        return e->npieces ? number(e->npieces, 2) : absent;
    case FIELD_arg0:
    case FIELD_arg1:
    case FIELD_arg2:
    case FIELD_arg3:
    case FIELD_arg4:
    case FIELD_arg5:
        return hypercall_arg(x, f);
    default:
        return numbered(x, f);
    }
}

FieldValue field_get(const Seen *x, FieldId f)
{
    switch ((int)f) {
    case FIELD_pc:
    case FIELD_next:
        return pc_field(x, f);
    case FIELD_insns:
        return given(x, HAS_insns, number(x->e.insns, 8));
    case FIELD_native:
        return number(x->e.native.code, 8);
    case FIELD_by:
        return word(x->e.is_completed ? "board" : "caller");
    default:
        return x->shown == ITEM_TRAP ? trap_field(x, f) : x->shown == ITEM_DONE ? absent : exit_field(x, f);
    }
}

size_t field_shown(const Seen *x, FieldId out[FIELD_COUNT])
{
    size_t n = 0;
    if (x->shown == ITEM_TRAP) {
        out[n++] = FIELD_cause;
        out[n++] = FIELD_addr;
        out[n++] = FIELD_code;
    } else if (x->shown == ITEM_EXIT) {
        const Shown *s = shown_of(x->e.kind);
        for (size_t i = 0; s && i < ARRAY_LEN(s->fields) && s->fields[i] != FIELD_COUNT; i++) {
            out[n++] = s->fields[i];
        }
    }
    out[n++] = field_get(x, FIELD_pc).kind == FV_ABSENT ? FIELD_next : FIELD_pc;
    return n;
}

static void field_print(Buf *out, const Seen *x, FieldId f)
{
    FieldValue v = field_get(x, f);
    if (v.kind == FV_ABSENT) {
        return;
    }
    buf_printf(out, " %s ", field_word(f));
    if (v.kind == FV_BYTES) {
        for (uint64_t i = 0; i < v.n; i++) {
            buf_printf(out, "%02x", (unsigned char)v.text[i]);
        }
    } else if (v.text[0]) {
        buf_str(out, v.text);
    } else if (v.is_place) {
        place_print(out, x->w, v.n);
    } else {
        number_print(out, v.n);
    }
}

void seen_print(Buf *out, const Seen *x)
{
    FieldId fields[FIELD_COUNT];
    buf_str(out, x->shown == ITEM_DONE ? "done" : x->shown == ITEM_TRAP ? "trap" : exit_name(x->e.kind));
    size_t n = field_shown(x, fields);
    for (size_t i = 0; i < n; i++) {
        field_print(out, x, fields[i]);
    }
    if (x->e.is_completed) {
        buf_str(out, " by board");
    }
}

void native_print(Buf *out, const Backend *b, const VmExit *e)
{
    buf_printf(out, "%s 0x%llx", b->name, (unsigned long long)e->native.code);
    if (e->native.qual[0] || e->native.qual[1]) {
        buf_printf(out, " 0x%llx 0x%llx", (unsigned long long)e->native.qual[0], (unsigned long long)e->native.qual[1]);
    }
}
