/* SPDX-License-Identifier: Apache-2.0
 * vcpu and vm: reading and writing registers and memory beside the verbs.
 *
 * A register of up to 8 bytes is an integer. A wider one is its bytes, low first, as a string; it can be written with
 * such a string, with a list of 64-bit words, low first, or with an integer, which fills the low 8 bytes and clears the
 * rest. */
#include "lua/sandbox.h"

#include <string.h>

enum { MAX_MEM_READ = 16 << 20 };
static const char VCPU_TYPE[] = "conf.vcpu", MEM_TYPE[] = "conf.mem";

static Vm *the_vm(lua_State *L)
{
    Vm *vm = story_vm(sandbox_story(L));
    if (!vm) {
        luaL_error(L, "this scenario has no VM yet");
    }
    return vm;
}

static unsigned vcpu_index(lua_State *L)
{
    const unsigned *index = luaL_checkudata(L, 1, VCPU_TYPE);
    return *index;
}

/* ---- on the vcpu's own thread ---- */
static int get_one(Vcpu *v, void *ctx, Err *err)
{
    size_t bad;
    return vcpu_get_regs(v, ctx, 1, &bad, err);
}

static int set_one(Vcpu *v, void *ctx, Err *err)
{
    size_t bad;
    return vcpu_set_regs(v, ctx, 1, &bad, err);
}

typedef struct {
    RegId *ids;
    size_t n;
} IdList;

static int list_ids(Vcpu *v, void *ctx, Err *err)
{
    IdList *list = ctx;
    return vcpu_reg_list(v, list->ids, &list->n, err);
}

static int read_state(Vcpu *v, void *ctx, Err *err)
{
    (void)err;
    const LifeModel *model = vm_model(vcpu_vm(v));
    uint8_t state = vcpu_state(v);
    *(const char **)ctx = state < model->nstates ? model->states[state] : "?";
    return 0;
}

static void on_vcpu(lua_State *L, unsigned index, StoryVcpuFn *fn, void *ctx)
{
    Err err = {0};
    Story *story = sandbox_story(L);
    if (story_on_vcpu(story, index, fn, ctx, &err) != 0) {
        sandbox_raise(L, &err);
    }
}

static RegId reg_argument(lua_State *L, int index)
{
    GuestId guest = story_case(sandbox_story(L))->guest;
    if (lua_isinteger(L, index)) {
        RegId id = (RegId)lua_tointeger(L, index);
        if (REG_GUEST(id) != guest) {
            luaL_error(L, "0x%I is no register id of %s", (LUAI_UACINT)id, guest_name(guest));
        }
        return id;
    }
    const char *name = luaL_checkstring(L, index);
    const RegInfo *info = reg_find(guest, name);
    if (!info) {
        const char *near = reg_nearest(guest, name);
        luaL_error(L, "`%s` is no register of %s%s%s%s", name, guest_name(guest), near ? "; did you mean `" : "",
                   near ? near : "", near ? "`?" : "");
        return 0;
    }
    return info->id;
}

static int vcpu_get(lua_State *L)
{
    unsigned index = vcpu_index(L);
    RegId id = reg_argument(L, 2);
    uint8_t small[8] = {0};
    uint8_t *bytes = REG_SIZE(id) > 8 ? lua_newuserdatauv(L, REG_SIZE(id), 0) : small;
    if (bytes != small) {
        memset(bytes, 0, REG_SIZE(id));
    }
    RegIo io = {.id = id, .bytes = bytes};
    on_vcpu(L, index, get_one, &io);
    if (REG_SIZE(id) > 8) {
        lua_pushlstring(L, (const char *)bytes, REG_SIZE(id));
        return 1;
    }
    Cursor c = cursor_of(small, sizeof small);
    lua_pushinteger(L, (lua_Integer)cursor_le(&c, 8));
    return 1;
}

static void put_word(uint8_t *bytes, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n && i < 8; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static void reg_value(lua_State *L, int index, uint8_t *bytes, size_t n)
{
    if (lua_type(L, index) == LUA_TTABLE) {
        size_t words = (n + 7) / 8;
        if (lua_rawlen(L, index) != words) {
            luaL_error(L, "a register of %d bytes takes a list of %d words", (int)n, (int)words);
        }
        for (size_t i = 0; i < words; i++) {
            lua_rawgeti(L, index, (lua_Integer)i + 1);
            put_word(bytes + 8 * i, n - 8 * i, (uint64_t)luaL_checkinteger(L, -1));
            lua_pop(L, 1);
        }
    } else if (lua_type(L, index) == LUA_TSTRING) {
        size_t given;
        const char *text = lua_tolstring(L, index, &given);
        if (given != n) {
            luaL_error(L, "a register of %d bytes takes %d bytes, not %I", (int)n, (int)n, (LUAI_UACINT)given);
        }
        memcpy(bytes, text, n);
    } else {
        put_word(bytes, n, (uint64_t)luaL_checkinteger(L, index));
    }
}

static int vcpu_set(lua_State *L)
{
    unsigned index = vcpu_index(L);
    RegId id = reg_argument(L, 2);
    uint8_t *bytes = lua_newuserdatauv(L, REG_SIZE(id), 0);
    memset(bytes, 0, REG_SIZE(id));
    reg_value(L, 3, bytes, REG_SIZE(id));
    RegIo io = {.id = id, .bytes = bytes};
    on_vcpu(L, index, set_one, &io);
    return 0;
}

static void push_register(lua_State *L, const RegInfo *info)
{
    static const char *const classes[] = {"", "gpr", "fp", "vec", "sys", "ctl", "state", "native"};
    lua_createtable(L, 0, 7);
    lua_pushinteger(L, (lua_Integer)info->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, info->name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, (lua_Integer)REG_SIZE(info->id));
    lua_setfield(L, -2, "size");
    lua_pushstring(L, REG_CLASS(info->id) < ARRAY_LEN(classes) ? classes[REG_CLASS(info->id)] : "");
    lua_setfield(L, -2, "class");
    lua_pushboolean(L, info->writable != 0);
    lua_setfield(L, -2, "writable");
    lua_pushinteger(L, (lua_Integer)info->writable);
    lua_setfield(L, -2, "mask");
    lua_pushinteger(L, (lua_Integer)info->fixed);
    lua_setfield(L, -2, "fixed");
}

static int vcpu_registers(lua_State *L)
{
    unsigned index = vcpu_index(L);
    IdList list = {0};
    on_vcpu(L, index, list_ids, &list);
    RegId *ids = list.ids = lua_newuserdatauv(L, (list.n + 1) * sizeof *ids, 0);
    size_t n = list.n;
    on_vcpu(L, index, list_ids, &list);
    n = list.n < n ? list.n : n;
    sandbox_charge(L, n * 16);
    lua_createtable(L, (int)n, 0);
    lua_Integer count = 0;
    for (size_t i = 0; i < n; i++) {
        const RegInfo *info = reg_info(ids[i]);
        if (info && REG_CLASS(info->id) != REG_STATE && REG_CLASS(info->id) != REG_NATIVE) {
            push_register(L, info);
            lua_rawseti(L, -2, ++count);
        }
    }
    return 1;
}

static int vcpu_state_name(lua_State *L)
{
    const char *name = "?";
    on_vcpu(L, vcpu_index(L), read_state, &name);
    lua_pushstring(L, name);
    return 1;
}

/* ---- memory ---- */
static int mem_unit(lua_State *L) /* upvalue: bytes of a unit */
{
    luaL_checkudata(L, 1, MEM_TYPE);
    Vm *vm = the_vm(L);
    size_t n = (size_t)lua_tointeger(L, lua_upvalueindex(1));
    Gpa at = {(uint64_t)luaL_checkinteger(L, 2)};
    uint8_t bytes[8] = {0};
    Err err = {0};
    if (lua_isnoneornil(L, 3)) {
        if (vm_mem_read(vm, at, bytes, n, &err) != 0) {
            sandbox_raise(L, &err);
        }
        Cursor c = cursor_of(bytes, n);
        lua_pushinteger(L, (lua_Integer)cursor_le(&c, n));
        return 1;
    }
    put_word(bytes, n, (uint64_t)luaL_checkinteger(L, 3));
    if (vm_mem_write(vm, at, bytes, n, &err) != 0) {
        sandbox_raise(L, &err);
    }
    return 0;
}

static int mem_bytes(lua_State *L)
{
    luaL_checkudata(L, 1, MEM_TYPE);
    Vm *vm = the_vm(L);
    Gpa at = {(uint64_t)luaL_checkinteger(L, 2)};
    lua_Integer n = luaL_checkinteger(L, 3);
    luaL_argcheck(L, n >= 0 && n <= MAX_MEM_READ, 3, "0 to 16 MiB");
    sandbox_charge(L, (uint64_t)n / 32);
    luaL_Buffer b;
    char *bytes = luaL_buffinitsize(L, &b, (size_t)n);
    Err err = {0};
    if (n > 0 && vm_mem_read(vm, at, bytes, (size_t)n, &err) != 0) {
        sandbox_raise(L, &err);
    }
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

static int vm_caps_table(lua_State *L)
{
    const Caps *caps = vm_caps(the_vm(L));
    lua_createtable(L, 0, CAP_COUNT + 4);
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        lua_pushstring(L, cap_level_name(caps->level[cap]));
        lua_setfield(L, -2, cap_name((Cap)cap));
    }
    lua_pushinteger(L, caps->page_bytes);
    lua_setfield(L, -2, "page_bytes");
    lua_pushinteger(L, caps->max_vcpus);
    lua_setfield(L, -2, "max_vcpus");
    return 1;
}

static void push_protected_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -3, "__metatable");
}

static void push_vcpu(lua_State *L, unsigned index)
{
    unsigned *v = lua_newuserdatauv(L, sizeof *v, 0);
    *v = index;
    luaL_setmetatable(L, VCPU_TYPE);
}

void sandbox_open_vm(lua_State *L)
{
    static const luaL_Reg vcpu_methods[] = {
        {"get", vcpu_get}, {"set", vcpu_set}, {"registers", vcpu_registers}, {"state", vcpu_state_name}, {NULL, NULL}};
    static const luaL_Reg mem_methods[] = {{"bytes", mem_bytes}, {NULL, NULL}};
    Sandbox *s = sandbox_of(L);
    push_protected_type(L, VCPU_TYPE, vcpu_methods);
    lua_pop(L, 2);
    push_protected_type(L, MEM_TYPE, mem_methods);
    for (int bytes = 1; bytes <= 8; bytes *= 2) {
        lua_pushinteger(L, bytes);
        lua_pushcclosure(L, mem_unit, 1);
        lua_setfield(L, -2, bytes == 1 ? "u8" : bytes == 2 ? "u16" : bytes == 4 ? "u32" : "u64");
    }
    lua_pop(L, 2);
    if (!s->story) {
        return;
    }
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    lua_newtable(L); /* vcpus by name, as the prelude guards them */
    const Case *c = story_case(s->story);
    for (size_t i = 0; i < c->nvcpus; i++) {
        push_vcpu(L, (unsigned)i);
        if (i == 0) {
            lua_pushvalue(L, -1);
            lua_setfield(L, -4, "vcpu");
        }
        lua_setfield(L, -2, c->vcpus[i].name);
    }
    lua_setfield(L, -2, "vcpus");
    lua_newuserdatauv(L, 0, 0);
    luaL_setmetatable(L, MEM_TYPE);
    lua_setfield(L, -2, "mem");
    lua_pushcfunction(L, vm_caps_table);
    lua_setfield(L, -2, "caps");
    lua_pop(L, 1);
}
