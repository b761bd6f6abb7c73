/* SPDX-License-Identifier: Apache-2.0
 * What repl.lua builds its commands on: raw runs, replies, code, breakpoints. */
#include "conformance/asm.h"
#include "conformance/world.h"
#include "lua/repl.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

enum { MAX_CODE = 1 << 20, MAX_BREAKS = 64 };

static Repl *repl_of(lua_State *L)
{
    sandbox_story(L); /* checks */
    return sandbox_of(L)->host;
}

/* ---- running ---- */
static _Atomic(Vcpu *) running; /* both for the SIGINT handler, which has no other way to know */
static atomic_bool is_interrupted;

bool repl_was_interrupted(void)
{
    return atomic_exchange(&is_interrupted, false);
}

void repl_interrupt(void)
{
    atomic_store(&is_interrupted, true);
    Vcpu *v = atomic_load(&running);
    if (v) {
        vcpu_kick(v);
    }
}

typedef struct {
    RunArgs args;
    VmExit exit;
} Run;

/* A store that awaits its acknowledgment gets it at once, so that registers can be set and states kept at any stop; the
 * answer to a read is the user's to give. */
static int run_once(Vcpu *v, void *ctx, Err *err)
{
    Run *run = ctx;
    atomic_store(&running, v);
    int rc = vcpu_run(v, &run->args, &run->exit, err);
    atomic_store(&running, NULL);
    return rc == 0 && run->exit.reply == REPLY_ACK ? vcpu_reply(v, &(Reply){0}, err) : rc;
}

static void print_exit(Repl *r, const VmExit *e, Buf *out)
{
    Ring ring = world_ring(r->world, e);
    if (ring != RING_NONE) {
        buf_str(out, ring == RING_DONE ? "done" : "trap");
        return;
    }
    exit_print(out, e, true);
    if (e->valid & HAS_pc_before) {
        buf_printf(out, " pc 0x%" PRIx64, e->pc_before);
    }
}

/* go(vcpu index, "run" | "step"): the exit as a table, and as a line; whether a reply is due. */
static int api_go(lua_State *L)
{
    Repl *r = repl_of(L);
    Sandbox *s = sandbox_of(L);
    unsigned index = (unsigned)luaL_checkinteger(L, 1);
    Run run = {.args = RUN_FOREVER};
    run.args.want = HAS_pc_before | HAS_pc_after;
    run.args.deadline_ns = os_now_ns() + r->o.timeout_ns;
    run.args.is_step = strcmp(luaL_checkstring(L, 2), "step") == 0;
    Err err = {0};
    uint64_t before = os_now_ns();
    int rc = story_on_vcpu(r->story, index, run_once, &run, &err);
    s->outside_ns += os_now_ns() - before;
    if (rc != 0) {
        sandbox_raise(L, &err);
    }
    sandbox_push_exit(L, r->story, &run.exit);
    buf_clear(&s->scratch);
    print_exit(r, &run.exit, &s->scratch);
    lua_pushlstring(L, s->scratch.data, s->scratch.n);
    lua_pushboolean(L, run.exit.reply == REPLY_VALUE);
    return 3;
}

static int reply_once(Vcpu *v, void *ctx, Err *err)
{
    return vcpu_reply(v, ctx, err);
}

/* reply(vcpu index, value | "fault" | {eax, ebx, ecx, edx}) */
static int api_reply(lua_State *L)
{
    Repl *r = repl_of(L);
    Reply reply = {0};
    if (lua_type(L, 2) == LUA_TTABLE) {
        for (int i = 0; i < 4; i++) {
            lua_rawgeti(L, 2, i + 1);
            uint64_t v = (uint64_t)luaL_checkinteger(L, -1);
            *(i ? &reply.more[i - 1] : &reply.value) = v;
        }
    } else if (lua_type(L, 2) == LUA_TSTRING) {
        luaL_argcheck(L, strcmp(lua_tostring(L, 2), "fault") == 0, 2, "a number, \"fault\" or four registers");
        reply.is_fault = true;
    } else {
        reply.value = (uint64_t)luaL_optinteger(L, 2, 0);
    }
    Err err = {0};
    if (story_on_vcpu(r->story, (unsigned)luaL_checkinteger(L, 1), reply_once, &reply, &err) != 0) {
        sandbox_raise(L, &err);
    }
    return 0;
}

typedef struct {
    Break list[MAX_BREAKS];
    size_t n;
} BreakList;

static int set_breaks(Vcpu *v, void *ctx, Err *err)
{
    BreakList *b = ctx;
    return vcpu_breaks(v, b->list, b->n, err);
}

static int api_breaks(lua_State *L) /* breaks(vcpu index, list of addresses) */
{
    Repl *r = repl_of(L);
    BreakList b = {0};
    luaL_checktype(L, 2, LUA_TTABLE);
    b.n = lua_rawlen(L, 2);
    luaL_argcheck(L, b.n <= MAX_BREAKS, 2, "at most 64 breakpoints");
    for (size_t i = 0; i < b.n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        b.list[i] = (Break){.kind = BREAK_EXEC, .gva = (uint64_t)luaL_checkinteger(L, -1), .len = 1};
        lua_pop(L, 1);
    }
    Err err = {0};
    if (story_on_vcpu(r->story, (unsigned)luaL_checkinteger(L, 1), set_breaks, &b, &err) != 0) {
        sandbox_raise(L, &err);
    }
    return 0;
}

/* ---- code ---- */
static int api_assemble(lua_State *L) /* assemble(text, address): bytes */
{
    Repl *r = repl_of(L);
    AsmInput in = {.guest = r->c->guest, .max_bytes = MAX_CODE};
    in.text = luaL_checklstring(L, 1, &in.n);
    in.org = (uint64_t)luaL_checkinteger(L, 2);
    AsmOutput out = {0};
    AsmDiag diag = {0};
    Err err = {0};
    int rc = asm_assemble(&in, &out, &diag, &err);
    if (rc == 0) {
        Sandbox *s = sandbox_of(L); /* scratch outlives an error of the push */
        buf_clear(&s->scratch);
        buf_bytes(&s->scratch, out.bytes.data, out.bytes.n);
        asm_output_free(&out);
        lua_pushlstring(L, s->scratch.n ? s->scratch.data : "", s->scratch.n);
        return 1;
    }
    asm_output_free(&out);
    if (diag.line) {
        err_set(&err, ERR_INVAL, "line %u, column %u: %s", diag.line, diag.col, diag.message);
    }
    sandbox_raise(L, &err);
}

static int api_disasm(lua_State *L) /* disasm(bytes, address): text, length; or nil */
{
    Repl *r = repl_of(L);
    Sandbox *s = sandbox_of(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);
    buf_clear(&s->scratch);
    size_t length =
        asm_disasm(r->c->guest, 64, (const uint8_t *)bytes, n, (uint64_t)luaL_checkinteger(L, 2), &s->scratch);
    if (length == 0) {
        return 0;
    }
    lua_pushlstring(L, s->scratch.n ? s->scratch.data : "", s->scratch.n);
    lua_pushinteger(L, (lua_Integer)length);
    return 2;
}

static int api_poke(lua_State *L) /* poke(address, bytes) */
{
    Repl *r = repl_of(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    Err err = {0};
    if (!story_vm(r->story)) {
        return luaL_error(L, "there is no VM");
    }
    if (vm_mem_write(story_vm(r->story), (Gpa){(uint64_t)luaL_checkinteger(L, 1)}, bytes, n, &err) != 0) {
        sandbox_raise(L, &err);
    }
    return 0;
}

static int api_describe(lua_State *L) /* describe(address): "label+4", or nil */
{
    Repl *r = repl_of(L);
    Sandbox *s = sandbox_of(L);
    buf_clear(&s->scratch);
    if (!world_describe(r->world, (uint64_t)luaL_checkinteger(L, 1), &s->scratch)) {
        return 0;
    }
    lua_pushlstring(L, s->scratch.n ? s->scratch.data : "", s->scratch.n);
    return 1;
}

/* ---- the rest ---- */
static int api_backends(lua_State *L) /* list of {name, why}; why is nil where it opens */
{
    Repl *r = repl_of(L);
    size_t n;
    const Backend *const *list = backend_list(&n);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        Caps caps = {0};
        Err err = {0};
        int rc = list[i]->open(list[i], r->c->guest, &caps, &err);
        lua_createtable(L, 0, 2);
        lua_pushstring(L, list[i]->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, rc ? err.text : NULL);
        lua_setfield(L, -2, "why");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int api_quit(lua_State *L)
{
    repl_of(L)->is_quit = true;
    return 0;
}

void repl_open_api(lua_State *L)
{
    static const luaL_Reg primitives[] = {
        {"go", api_go},         {"reply", api_reply}, {"breaks", api_breaks},     {"assemble", api_assemble},
        {"disasm", api_disasm}, {"poke", api_poke},   {"describe", api_describe}, {"backends", api_backends},
        {"quit", api_quit},     {NULL, NULL}};
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    luaL_setfuncs(L, primitives, 0);
    lua_pop(L, 1);
}
