/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/accel.h"
#include "sim/base/mem.h"

#include <inttypes.h>
#include <string.h>

#define X(name, reply) #name,
static const char *const exit_names[EXIT_COUNT] = {EXIT_MAP(X)};
#undef X
#define X(name, reply) REPLY_##reply,
static const uint8_t exit_replies[EXIT_COUNT] = {EXIT_MAP(X)};
#undef X
#define X(name) #name,
static const char *const cap_names[CAP_COUNT] = {CAP_MAP(X)};
#undef X

static int find_name(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; name && i < n; i++) {
        if (!strcmp(names[i], name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *exit_name(ExitKind kind)
{
    return (unsigned)kind < EXIT_COUNT ? exit_names[kind] : "?";
}

int exit_find(const char *name)
{
    return find_name(exit_names, EXIT_COUNT, name);
}

ReplyKind exit_reply_kind(ExitKind kind)
{
    return (unsigned)kind < EXIT_COUNT ? (ReplyKind)exit_replies[kind] : REPLY_none;
}

const char *cap_name(Cap cap)
{
    return (unsigned)cap < CAP_COUNT ? cap_names[cap] : "?";
}

int cap_find(const char *name)
{
    return find_name(cap_names, CAP_COUNT, name);
}

const char *cap_level_name(CapLevel level)
{
    static const char *const names[] = {"n/a", "none", "partial", "full"};
    return (unsigned)level < ARRAY_LEN(names) ? names[level] : "?";
}

static uint64_t low_bytes(unsigned nbytes)
{
    return nbytes >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * nbytes)) - 1;
}

uint64_t exit_extend(const VmExit *e, uint64_t raw, uint64_t old)
{
    unsigned size = e->size_bytes, reg_size = e->reg_size_bytes;
    uint64_t value = raw & low_bytes(size);
    if (e->is_signed && size && size < 8 && value >> (8 * size - 1)) {
        value |= ~low_bytes(size);
    }
    if (!reg_size) {
        /* IN has no destination but AL, AX, EAX; anywhere else an absent size means a full register. */
        reg_size = e->kind == EXIT_io_read ? size : 8;
    }
    if (reg_size < 4) { /* x86: a write to an 8- or 16-bit register keeps the bits above (SDM vol. 1, 3.4.1.1) */
        return (old & ~low_bytes(reg_size)) | (value & low_bytes(reg_size));
    }
    return value & low_bytes(reg_size); /* a 32-bit register write clears the upper half */
}

static void print_hex(Buf *out, const char *label, uint64_t value)
{
    buf_printf(out, " %s 0x%" PRIx64, label, value);
}

static void print_debug(Buf *out, const VmExit *e)
{
    static const char *const names[] = {
        [DEBUG_STEP] = "step",
        [DEBUG_BREAK] = "break",
        [DEBUG_WATCH] = "watch",
        [DEBUG_SW_BREAK] = "sw_break",
    };
    bool is_known = e->arg[0] >= DEBUG_STEP && e->arg[0] <= DEBUG_SW_BREAK;
    buf_printf(out, " %s", is_known ? names[e->arg[0]] : "?");
    if (e->arg[0] != DEBUG_STEP) { /* where a step ended is pc_after, which not every platform gives */
        print_hex(out, "addr", e->addr);
    }
}

static void print_ipi(Buf *out, const VmExit *e)
{
    if (e->arg[1] || e->arg[2]) { /* all, self: the target is not valid then */
        buf_str(out, e->arg[1] ? " all" : " self");
    } else {
        print_hex(out, "target", e->addr);
        print_hex(out, "aux", e->arg[0]);
    }
    print_hex(out, "vector", e->arg[3]);
}

/* What VmExit.addr is called; NULL: not printed, or printed by the functions above. What the other kinds carry beyond
 * their name is the platform's own: native. */
static const char *const addr_labels[EXIT_COUNT] = {
    [EXIT_hypercall] = "nr",
    [EXIT_mmio_read] = "addr",
    [EXIT_mmio_write] = "addr",
    [EXIT_io_read] = "port",
    [EXIT_io_write] = "port",
    [EXIT_sysreg_read] = "index",
    [EXIT_sysreg_write] = "index",
    [EXIT_external_interrupt] = "vector",
    [EXIT_eoi] = "vector",
    [EXIT_exception] = "vector",
    [EXIT_nested_page_fault] = "addr",
    [EXIT_cpu_up] = "target",
    [EXIT_system_down] = "reason",
    [EXIT_system_reset] = "reason",
    [EXIT_cpuid] = "leaf",
};

static bool is_sized(ExitKind kind)
{
    return kind == EXIT_mmio_read || kind == EXIT_mmio_write || kind == EXIT_io_read || kind == EXIT_io_write;
}

static void print_fields(Buf *out, const VmExit *e)
{
    if (addr_labels[e->kind]) {
        print_hex(out, addr_labels[e->kind], e->addr);
    }
    if (is_sized(e->kind)) {
        buf_printf(out, " size %u", e->size_bytes);
    }
    if (e->kind == EXIT_sysreg_write || (is_sized(e->kind) && e->reply == REPLY_ACK && e->valid & HAS_value)) {
        print_hex(out, "value", e->value);
    } else if (e->kind == EXIT_exception && e->valid & HAS_value) {
        print_hex(out, "code", e->value);
    } else if (e->kind == EXIT_cpuid) {
        print_hex(out, "subleaf", e->value);
    } else if (e->kind == EXIT_hypercall) {
        buf_str(out, " args");
        for (int i = 0; i < 6; i++) {
            buf_printf(out, " 0x%" PRIx64, e->arg[i]);
        }
    } else if (e->kind == EXIT_nested_page_fault) {
        buf_printf(out, " access %s%s%s", e->arg[0] & MAP_R ? "r" : "", e->arg[0] & MAP_W ? "w" : "",
                   e->arg[0] & MAP_X ? "x" : "");
    } else if (e->kind == EXIT_cpu_up) {
        print_hex(out, "entry", e->arg[0]);
        print_hex(out, "arg", e->arg[1]);
    } else if (e->kind == EXIT_send_ipi) {
        print_ipi(out, e);
    } else if (e->kind == EXIT_debug) {
        print_debug(out, e);
    }
}

void exit_print(Buf *out, const VmExit *e, bool with_native)
{
    buf_str(out, exit_name(e->kind));
    if ((unsigned)e->kind < EXIT_COUNT) {
        print_fields(out, e);
    }
    if (!with_native) {
        return;
    }
    buf_printf(out, " (native %" PRIu64, e->native.code);
    if (e->native.qual[0] || e->native.qual[1]) {
        buf_printf(out, " 0x%" PRIx64 " 0x%" PRIx64, e->native.qual[0], e->native.qual[1]);
    }
    buf_char(out, ')');
}
