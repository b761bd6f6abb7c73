/* SPDX-License-Identifier: Apache-2.0
 * What run{} returns: an exit as a table, its fields named as in the language. Fields that the platform did not give
 * are nil. */
#include "conformance/world.h"
#include "lua/sandbox.h"

#include <stddef.h>

typedef struct {
    ExitKind kind;
    const char *name;
    size_t at; /* offset of a uint64_t in VmExit */
} ExitField;
#define ARG(i) (offsetof(VmExit, arg) + (i) * sizeof(uint64_t))
#define F(kind, name, member)                                                                                          \
    {                                                                                                                  \
        EXIT_##kind, name, offsetof(VmExit, member)                                                                    \
    }
#define A(kind, name, i)                                                                                               \
    {                                                                                                                  \
        EXIT_##kind, name, ARG(i)                                                                                      \
    }
static const ExitField exit_fields[] = {
    F(mmio_read, "addr", addr),
    F(mmio_write, "addr", addr),
    F(mmio_write, "data", value),
    F(io_read, "port", addr),
    F(io_write, "port", addr),
    F(io_write, "data", value),
    F(sysreg_write, "value", value),
    F(hypercall, "nr", addr),
    A(hypercall, "arg0", 0),
    A(hypercall, "arg1", 1),
    A(hypercall, "arg2", 2),
    A(hypercall, "arg3", 3),
    A(hypercall, "arg4", 4),
    A(hypercall, "arg5", 5),
    F(cpu_up, "target", addr),
    A(cpu_up, "entry", 0),
    A(cpu_up, "opaque", 1),
    F(send_ipi, "target", addr),
    A(send_ipi, "aux", 0),
    A(send_ipi, "all", 1),
    A(send_ipi, "self", 2),
    A(send_ipi, "vector", 3),
    F(external_interrupt, "vector", addr),
    F(exception, "vector", addr),
    F(exception, "code", value),
    F(eoi, "vector", addr),
    F(cpuid, "leaf", addr),
    F(cpuid, "subleaf", value),
    F(nested_page_fault, "addr", addr),
    F(debug, "addr", addr),
    F(system_down, "reason", addr),
    F(system_reset, "reason", addr),
    F(fail_entry, "reason", addr),
    A(internal_error, "suberror", 0),
};

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_access(lua_State *L, const VmExit *e)
{
    set_text(L, "access", e->arg[0] & MAP_W ? "w" : e->arg[0] & MAP_X ? "x" : "r");
    if (e->valid & HAS_gva) {
        set_integer(L, "gva", e->arg[1]);
    }
}

static const char *debug_kind(uint64_t kind)
{
    return kind == DEBUG_STEP ? "step" : kind == DEBUG_WATCH ? "watchpoint" : "breakpoint";
}

static void set_special(lua_State *L, const VmExit *e)
{
    bool is_sysreg = e->kind == EXIT_sysreg_read || e->kind == EXIT_sysreg_write;
    const RegInfo *info = is_sysreg ? reg_info(e->addr) : NULL;
    if (e->kind == EXIT_mmio_read || e->kind == EXIT_mmio_write || e->kind == EXIT_io_read ||
        e->kind == EXIT_io_write) {
        set_integer(L, "size", e->size_bytes);
    } else if (info) {
        set_text(L, "reg", info->name);
    } else if (is_sysreg) {
        set_integer(L, "reg", e->addr);
    } else if (e->kind == EXIT_nested_page_fault) {
        set_access(L, e);
    } else if (e->kind == EXIT_debug) {
        set_text(L, "kind", debug_kind(e->arg[0]));
    }
}

static void set_common(lua_State *L, const VmExit *e)
{
    set_integer(L, "vcpu", e->vcpu);
    set_integer(L, "native", e->native.code);
    if (e->valid & HAS_pc_before) {
        set_integer(L, "pc", e->pc_before);
    }
    if (e->valid & HAS_pc_after) {
        set_integer(L, "next", e->pc_after);
    }
    if (e->valid & HAS_insns) {
        set_integer(L, "insns", e->insns);
    }
    if (e->is_completed) {
        set_text(L, "by", "board");
    }
}

void sandbox_push_exit(lua_State *L, Story *story, const VmExit *e)
{
    const World *w = story_world(story);
    Ring ring = w ? world_ring(w, e) : RING_NONE;
    lua_createtable(L, 0, 8);
    set_common(L, e);
    if (ring != RING_NONE) { /* the doorbell's own access means nothing to a script */
        set_text(L, "exit", ring == RING_DONE ? "done" : "trap");
        return;
    }
    set_text(L, "exit", exit_name(e->kind));
    for (size_t i = 0; i < ARRAY_LEN(exit_fields); i++) {
        if (exit_fields[i].kind == e->kind) {
            set_integer(L, exit_fields[i].name, *(const uint64_t *)((const char *)e + exit_fields[i].at));
        }
    }
    set_special(L, e);
}
