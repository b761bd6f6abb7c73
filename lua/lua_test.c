/* SPDX-License-Identifier: Apache-2.0 */
#include "lua/conf_lua.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

enum { SCRIPT_LINE = 40 };

typedef struct {
    Suite *suite;
    Result r;
    Buf yaml;
} Ran;

static Ran ran;
static Cap lacking = CAP_COUNT; /* what the backend does not claim; CAP_COUNT: it claims all that it has */

static void end(void)
{
    result_free(&ran.r);
    suite_free(ran.suite);
    buf_free(&ran.yaml);
    ran = (Ran){0};
}

/* The one scenario of the tests, its script on line 40 of suite.yaml. */
static void make_yaml(const char *more, const char *text, Buf *out)
{
    buf_str(out, "version: 1\nscenarios:\n- name: case\n  code: {x86_64: {hex: \"90\"}}\n"
                 "  memory: {dev: {hole: 4K}, buf: {u64: [0x11, 0x22]}}\n");
    buf_str(out, more);
    unsigned line = 1;
    for (size_t i = 0; i < out->n; i++) {
        line += out->data[i] == '\n';
    }
    for (; line < SCRIPT_LINE - 1; line++) {
        buf_char(out, '\n');
    }
    buf_str(out, "  script: |1\n   ");
    for (; *text; text++) {
        buf_char(out, *text);
        buf_str(out, *text == '\n' ? "   " : "");
    }
    buf_char(out, '\n');
}

static int poor_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    const Backend *fake = backend_find("fake");
    int rc = fake->open(fake, guest, caps, err);
    (void)b;
    caps->level[lacking] = CAP_NONE;
    caps->why[lacking] = "this one has none";
    return rc;
}

static void run_suite(Suite *suite, const Case *c, const LuaLimits *limits)
{
    Err err = {0};
    Caps caps = {0};
    World *w = NULL;
    static Backend poor;
    const Backend *fake = backend_find("fake");
    ran.suite = suite;
    if (fake && lacking != CAP_COUNT) {
        poor = *fake;
        poor.open = poor_open;
        fake = &poor;
    }
    if (!CHECK(fake != NULL) || !CHECK_INT(fake->open(fake, c->guest, &caps, &err), 0)) {
        return;
    }
    if (!CHECK_INT(world_build(c, 0, &w, &err), 0)) {
        printf("%s\n", err.text);
        return;
    }
    StoryOptions o = {
        .timeout_ns = 600000000000u, .seed = 0x5eed, .script = lua_script_run, .script_ctx = (void *)(uintptr_t)limits};
    story_run(c, w, fake, &caps, &o, &ran.r);
    world_free(w);
}

static const LuaLimits small = {.max_bytes = 4 << 20, .max_insns = 3 * 1000 * 1000, .max_ns = 600000000000ull};

static void script_with(const char *more, const char *text, const LuaLimits *limits)
{
    end();
    Diags diags = {0};
    Arena *arena = arena_new();
    make_yaml(more, text, &ran.yaml);
    Suite *suite = suite_load(arena, "suite.yaml", ran.yaml.data, ran.yaml.n, &diags);
    if (!CHECK(suite != NULL)) {
        printf("%s\n", diags.n ? diags.items[0].text : "?");
        arena_free(arena);
    } else {
        run_suite(suite, &suite->cases[0], limits);
    }
    VEC_FREE(&diags);
}

static void script(const char *text)
{
    script_with("  fake: [\"mmio_read addr={$dev + 8} size=4 reg=rax\", done]\n", text, &small);
}

static void ended(const char *text, bool is_good)
{
    if (!is_good) {
        printf("    script: %s\n    %s: %s\n", text, status_name(ran.r.status), buf_text(&ran.r.reason));
    }
}

/* The script is wrong: said with its place. */
static void refused(const char *text, const char *part)
{
    script(text);
    ended(text, CHECK(ran.r.status == STATUS_failed || ran.r.status == STATUS_error) &
                    CHECK_HAS(buf_text(&ran.r.reason), "script: ") & CHECK_HAS(buf_text(&ran.r.reason), part));
}

static void holds(const char *text)
{
    script(text);
    ended(text, CHECK_INT(ran.r.status, STATUS_passed));
}

/* The script is right, and an expectation in it fails. */
static void fails(const char *text, const char *part)
{
    script(text);
    ended(text, CHECK_INT(ran.r.status, STATUS_failed) & CHECK(strncmp(buf_text(&ran.r.reason), "script: ", 8) != 0) &
                    CHECK_HAS(buf_text(&ran.r.reason), part));
}

TEST(sandbox, what_reaches_out_is_not_there)
{
    static const char *const names[] = {"io", "os", "load", "loadfile", "dofile", "require", "package", "debug"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[64] = "return ";
        strncat(text, names[i], sizeof text - 10);
        refused(text, "is no global");
    }
    holds("expect(string.dump == nil, true)");
    holds("expect(('').dump == nil, true)");
    end();
}

TEST(sandbox, metatables_of_the_host_are_hidden)
{
    holds("expect(getmetatable(''), 'string')");
    refused("setmetatable('', {})", "bad argument");
    holds("expect(getmetatable(vcpu), false)");
    holds("expect(getmetatable(_G), false)");
    refused("setmetatable(_G, {})", "protected metatable");
    refused("setmetatable({}, {__gc = function() while true do end end})", "__gc is not allowed");
    refused("any.any = 1; any.x = 2", "read-only");
    refused("sym.x = 1", "read-only");
    end();
}

TEST(sandbox, a_loop_without_end_is_ended)
{
    refused("while true do end", "suite.yaml:40: script ran more than 3000000 instructions");
    refused("\n\nlocal function f() return f() end f()", "suite.yaml:42: script ran more");
    refused("repeat until false", "ran more");
    refused("goto a ::a:: goto a", "ran more");
    end();
}

TEST(sandbox, no_pcall_swallows_the_end)
{
    refused("while true do pcall(function() while true do end end) end", "ran more");
    refused("pcall(pcall, pcall, function() while true do end end) while true do end", "ran more");
    refused("xpcall(function() while true do end end, function() while true do end end)", "ran more");
    refused("local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
            "ran more");
    refused("pcall(error, setmetatable({}, {__tostring = function() while true do end end})) while true do end",
            "ran more");
    refused("error(setmetatable({}, {__tostring = function() while true do end end}))", "ran more");
    refused("local function f() pcall(f) while true do end end f()", "ran more");
    end();
}

TEST(sandbox, coroutines_do_not_escape)
{
    refused("coroutine.wrap(function() while true do end end)()", "ran more");
    refused("while true do coroutine.resume(coroutine.create(function() while true do end end)) end", "ran more");
    refused("local function spawn(n) while true do coroutine.wrap(function() if n > 0 then spawn(n - 1) end end)() end "
            "end spawn(50)",
            "ran more");
    refused("while true do local c = coroutine.create(function() for i = 1, 40 do end end) coroutine.resume(c) end",
            "ran more");
    end();
}

TEST(sandbox, memory_is_capped)
{
    refused("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "4096 KiB of memory");
    refused("local s = 'x' while true do s = s .. s end", "4096 KiB of memory");
    refused("return ('x'):rep(1 << 40)", "string.rep");
    refused("return ('x'):rep(1 << 20, ('y'):rep(1000))", "string.rep");
    refused("return string.format('%99999999d', 1)", "invalid conversion");
    refused("return string.pack('c100000000', 'x')", "memory");
    refused("local function f() return 1 + f() end f()", "suite.yaml");
    refused("local t = {} for i = 1, 1e9 do t[i] = i end", "memory");
    refused("for i = 1, 1e9 do set{arg0 = i} end", "4096 KiB for its steps");
    refused("while true do print(('x'):rep(100000)) end", "printed more");
    end();
}

TEST(sandbox, library_loops_in_c_are_bounded)
{
    refused("return ('a'):rep(3000):find('.-.-.-.-.-.-.-b')", "ran more");
    refused("return ('a'):rep(3000):match('a*a*a*a*a*a*b')", "ran more");
    refused("for w in ('a'):rep(3000):gmatch('a-a-a-a-a-a-b') do end", "ran more");
    refused("return ('a'):rep(3000):gsub('a*a*a*a*a*a*b', '')", "ran more");
    refused("return ('a'):rep(30000):find(('a'):rep(20000) .. '.b')", "ran more");
    holds("expect(('a'):rep(30000):find(('a'):rep(20000) .. 'b') == nil, true)");
    holds("expect(('a'):rep(1000000):find(('a'):rep(500000) .. 'b', 1, true) == nil, true)");
    refused("return ('x'):match(('('):rep(300))", "");
    refused("return ('x'):rep(500):match(('x?'):rep(500))", "too complex");
    refused("table.move({}, 1, math.maxinteger - 2, 2)", "range of more");
    refused("table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)", "__len");
    refused("table.concat({}, '', 1, 1 << 60)", "range of more");
    refused("while true do collectgarbage() end", "ran more");
    refused("collectgarbage('stop')", "invalid option");
    end();
}

TEST(sandbox, wall_time_is_bounded)
{
    LuaLimits limits = {.max_insns = UINT64_MAX / 2, .max_ns = 50000000};
    uint64_t start = os_now_ns();
    script_with("", "while true do end", &limits);
    CHECK_HAS(buf_text(&ran.r.reason), "suite.yaml:40: script ran longer than 50 ms");
    CHECK(os_now_ns() - start < 60000000000ull);
    end();
}

TEST(pattern, agrees_with_the_manual)
{
    holds("expect(('hello world'):match('^(%w+) (%w+)$') == 'hello', true)");
    holds("local a, b = ('k = v'):match('^(%w+)%s*=%s*(%w+)$') expect(a .. b, 'kv')");
    holds("local a, b = ('hello'):find('l+') expect(a, 3) expect(b, 4)");
    holds("local a, b, c = ('hello'):find('(l)') expect(c, 'l')");
    holds("expect(('THE (quick) fox'):find('%((%a+)%)'), 5)");
    holds("expect(('f(a(b)c)d'):match('%b()'), '(a(b)c)')");
    holds("expect(('THE (quick) fox'):gsub('%f[%a]%a+', 'X') == 'X (X) X', true)");
    holds("expect((('abc'):gsub('%w', '%0%0')), 'aabbcc')");
    holds("expect((('abc'):gsub('', '-')), '-a-b-c-')");
    holds("expect((('hello world'):gsub('o', {o = '0'}, 1)), 'hell0 world')");
    holds("expect((('$name'):gsub('%$(%w+)', function(n) return n:upper() end)), 'NAME')");
    holds("expect(('x]y'):match('[]]'), ']') expect(('x-y'):match('[a%-]'), '-') expect(('x^'):match('[x^]+'), 'x^')");
    holds(
        "expect(('ab12'):match('[^%d]+'), 'ab') expect(('0x1F'):match('%x+$'), '1F') expect(('a'):match('()a()'), 1)");
    holds("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end expect(t.a .. t.b, '12')");
    holds("expect(('\"a\\'b\"'):match('([\"\\']).-%1'), '\"')");
    holds("expect(('a.b'):find('.', 1, true), 2) expect(('abc'):find('b', -2), 2) expect(('abc'):find('', 10) == nil, "
          "true)");
    holds("expect(('aXb'):match('%u'), 'X') expect(('a\\0b'):find('%z') == 2, true) expect(('aaa'):match('a-$'), "
          "'aaa')");
    refused("return ('a'):match('[a')", "malformed pattern");
    refused("return ('a'):match('%')", "malformed pattern");
    refused("return ('a'):match('(a')", "unfinished capture");
    refused("return ('a'):match('a)')", "invalid pattern capture");
    refused("return ('a'):gsub('a', '%2')", "invalid capture index");
    end();
}

TEST(pattern, replacements)
{
    holds("expect((('abc'):gsub('(b)', '[%1]')), 'a[b]c') expect((('abc'):gsub('b', '[%0]')), 'a[b]c')");
    holds("expect((('abc'):gsub('b', '%%')), 'a%c') expect((('abc'):gsub('()b', '%1')), 'a2c')");
    holds("expect((('abc'):gsub('b', 7)), 'a7c') expect((('abc'):gsub('', 'x', 0)), 'abc')");
    holds("expect((('abc'):gsub('b', function() end)), 'abc') expect((('abc'):gsub('b', {b = false})), 'abc')");
    holds("expect((('aaa'):gsub('^a', 'x')), 'xaa') expect((('abc'):gsub('^b', 'x')), 'abc')");
    holds("local s = ('a'):rep(1000):gsub('a', ('y'):rep(1000)) expect(#s, 1000000)");
    refused("return ('a'):gsub('a', '%x')", "invalid use of '%' in replacement string");
    refused("return ('a'):gsub('a', 'x%')", "invalid use of '%' in replacement string");
    refused("return ('a'):gsub('a', true)", "string/function/table expected");
    refused("return ('a'):gsub('a', function() return {} end)", "invalid replacement value (a table)");
    holds("expect(('abc'):find('c', 0), 3) expect(('abc'):find('a', -9), 1) expect(('abc'):find('', 2, true), 2)");
    end();
}

TEST(base, tables_and_strings_are_lua_s)
{
    holds("local t = {3, 1} table.insert(t, 1, 2) table.insert(t, 9) table.sort(t) expect(table.concat(t, ' '), '1 2 3 "
          "9')\n"
          "expect(table.remove(t, 1), 1) expect(table.remove(t), 9) expect(select('#', table.unpack(t)), 2)\n"
          "expect(table.concat(t, '', 2, 1), '') expect(table.concat(table.move(t, 1, 2, 2)), '223')");
    holds("expect(string.len(12), 2) expect(('ab'):rep(0), '') expect((''):rep(9), '') expect(('ab'):rep(2, '-'), "
          "'ab-ab')");
    holds("expect(setmetatable({}, nil) ~= nil, true) expect(collectgarbage('count') > 1, true) "
          "expect(collectgarbage(), 0)");
    holds("expect(math.type(math.random(0)), 'integer') expect(math.random(1), 1) expect(math.random(3, 3), 3)\n"
          "expect(math.type(random(math.mininteger, math.maxinteger)), 'integer')");
    refused("return table.concat(1)", "table expected");
    refused("return table.unpack({}, 1, 1e9)", "range of more");
    refused("return math.random(0.5)", "number has no integer representation");
    end();
}

TEST(script, errors_carry_the_line_of_the_file)
{
    refused("local x = \nnil + 1", "suite.yaml:41: attempt");
    refused("x = = 1", "suite.yaml:40: unexpected symbol");
    refused("\nrun 'nonsense'", "suite.yaml:41: `nonsense` is no exit");
    refused("error{}", "suite.yaml: script raised table");
    refused("\n\nexpct(1, 1)", "suite.yaml:42: `expct` is no global or symbol; did you mean `expect`?");
    refused("local a = sym.dex", "did you mean `dev`?");
    refused("local a = row.nothing", "is no column");
    end();
}

TEST(script, verbs_become_steps)
{
    holds("local e = run{{mmio_read = {addr = dev + 8, size = 4}, reply = 0x77}, 'done'}\n"
          "expect(#e, 2) expect(e[1].exit, 'mmio_read') expect(e[1].addr, sym.dev + 8) expect(e[1].size, 4)\n"
          "expect(e[2].exit, 'done') expect(vcpu:get('rax'), 0x77)");
    holds("set{rdi = 0x10, rsi = -1} check{regs = {arg0 = 0x10, arg1 = -1}}");
    holds("write{[sym.buf] = {u64 = {1, 2}}} expect(vm.mem:u64(buf + 8), 2) expect(vm.mem:u8(buf), 1)\n"
          "check{memory = {['$buf'] = {u64 = {1, {ge = 2}}}}}");
    holds("save 's' set{rdi = 5} restore 's' check{regs = {rdi = 0}} restore('s', {into = 'new'}) check{regs = {rdi = "
          "0}}");
    holds("kick 'v0' run 'canceled' check{regs = {rdi = 0}}");
    fails("\nrun{{mmio_read = {addr = dev}, reply = 1}, 'done'} error 'x'", "addr");
    CHECK_INT(ran.r.fail_pos.line, SCRIPT_LINE + 1);
    fails("check{regs = {rdi = 1}}", "expected 1");
    refused("run(print)", "function has no meaning");
    refused("set(1, 2, 3)", "takes a value");
    refused("run{1, 2, nil, 4, x = 1}", "list");
    refused("set{rdi = 1.5}", "only integers");
    refused("set{rdi = 'x\\0y'}", "0 byte");
    refused("\nset{rdx = 1, rdj = 2}", "suite.yaml:41");
    refused("check{regs = {}}", "suite.yaml:40");
    refused("local t = {} t.t = t set(t)", "holds itself");
    refused("local t = {1} for i = 1, 60 do t = {t, t} end set(t)", "too many values");
    end();
}

TEST(script, lifecycle_operations_return_what_they_gave)
{
    script_with(
        "  lifecycle: virtualcpu\n",
        "local ok, text, code = op 'pause' expect(ok, false) expect(code, 'STATE') expect(text, {has = 'Created'})\n"
        "expect(op 'init', true) expect(vcpu:state(), 'Ready') op('resume', {gives = 'denied'})\n"
        "vcpu:set('rdi', 5) expect(vcpu:get('rdi'), 5)",
        &small);
    ended("lifecycle", CHECK_INT(ran.r.status, STATUS_passed));
    end();
}

TEST(script, registers_and_memory_without_verbs)
{
    holds("for _, r in ipairs(vcpu:registers()) do\n"
          "  expect(vcpu:get(r.id), any, r.name)\n"
          "  for _, v in ipairs(r.writable and {0, -1, 0x5555555555555555, random()} or {}) do\n"
          "    vcpu:set(r.id, v)\n"
          "    expect(vcpu:get(r.id), v & r.mask | r.fixed, r.name)\n"
          "  end\nend");
    holds("vcpu:set('xmm0', {1, 2}) expect(vcpu:get('xmm0'), '\\1' .. ('\\0'):rep(7) .. '\\2' .. ('\\0'):rep(7))");
    holds("expect(vm.vcpus.v0:state(), 'Ready') expect(vm:caps().save, 'full') expect(vm.mem:bytes(buf, 3), "
          "'\\x11\\0\\0')");
    holds("vm.mem:u32(buf, 0xdeadbeef) expect(vm.mem:u16(buf + 2), 0xdead)");
    script_with("  let: {limit: 9, word: b, at: $dev + 4}\n",
                "expect(row.limit, 9) expect(row.word, 'b') expect(row.at, dev + 4) expect(guest, 'x86_64') "
                "expect(seed, 0x5eed)",
                &small);
    ended("row", CHECK_INT(ran.r.status, STATUS_passed));
    holds("expect(backend, 'fake') expect(sym.buf_end - buf, 4096)");
    refused("vcpu:get 'raz'", "did you mean `r");
    refused("vcpu:get(1)", "no register id");
    refused("vcpu:set('xmm0', {1})", "list of 2 words");
    refused("vcpu:set('xmm0', 'abc')", "takes 16 bytes");
    refused("vm.mem:u8(0xffffffff0000)", "suite.yaml:40");
    refused("vm.mem:u8(0xffffffff0000, 1)", "suite.yaml:40");
    refused("vm.mem:bytes(buf, 1 << 40)", "16 MiB");
    refused("return vm.vcpus.v9", "is no vcpu");
    refused("vcpu.get(vm.mem, 'rax')", "conf.vcpu expected");
    end();
}

TEST(script, a_failed_step_or_expectation_ends_it)
{
    fails("\nexpect(1, 2, 'arg0')  print 'not reached' error 'x'", "arg0: expected 0x2, got 0x1");
    CHECK_INT(ran.r.fail_pos.line, 41);
    fails("pcall(expect, 1, 2) error 'not reached'", "expected 0x2");
    fails("pcall(check, {regs = {rdi = 1}}) while true do end", "expected 1");
    fails("coroutine.wrap(function() fail 'inside' end)() error 'x'", "inside");
    fails("expect('Ready', 'Paused')", "expected \"Paused\", got \"Ready\"");
    fails("expect('Ready', {match = '^P'})", "expected match \"^P\"");
    fails("expect(5, {ge = 9})", "9, got 5");
    fails("expect(nil, any)", "expected any value");
    fails("expect(('\\1'):rep(16), 1)", "expected 0x1");
    holds("expect('\\1' .. ('\\0'):rep(15), 1)");
    holds("expect(9, {ge = 9}) expect('abc', {has = 'b'}) expect('abc', {['in'] = {'x', {lacks = 'z'}}})");
    holds("expect(7, {['not'] = 8}) expect(7, {range = {1, 9}}) expect(0x17, {mask = 0xf, is = 7})");
    refused("expect(1, {gee = 9})", "gee");
    refused("expect('x', {gee = 9})", "a text is matched by");
    script("skip 'no reason' error 'x'");
    CHECK_INT(ran.r.status, STATUS_skipped);
    CHECK_STR(buf_text(&ran.r.reason), "no reason");
    script("local a = 1");
    CHECK_HAS(buf_text(&ran.r.reason), "without an expectation");
    end();
}

TEST(scripts, a_step_of_a_capability_that_is_not_claimed_skips_with_the_reason)
{
    lacking = CAP_save;
    script("save 'a' error 'not reached'");
    CHECK_INT(ran.r.status, STATUS_skipped);
    CHECK_STR(buf_text(&ran.r.reason), "needs save (its script uses it): fake: this one has none");
    script("forall(3, {a = u8}, function(x) save 'a' end)");
    ended("forall", CHECK_INT(ran.r.status, STATUS_skipped));
    lacking = CAP_COUNT;
    end();
}

TEST(script, exits_are_tables_with_their_fields)
{
    static const struct {
        const char *fake, *run, *then;
    } rows[] = {
        {"nested_page_fault addr=0x5000 access=w gva=0x7000", "'nested_page_fault'",
         "expect(e.addr, 0x5000) expect(e.access, 'w') expect(e.gva, 0x7000)"},
        {"nested_page_fault addr=0x5000 access=x", "'nested_page_fault'",
         "expect(e.access, 'x') expect(e.gva == nil, true)"},
        {"nested_page_fault addr=0x5000 access=r", "'nested_page_fault'", "expect(e.access, 'r')"},
        {"sysreg_read index=0x123", "{sysreg_read = {reg = 0x123}, reply = 5}",
         "expect(e.reg, 0x123) expect(e.value == nil, true)"},
        {"sysreg_write index=0x123 value=7", "'sysreg_write'", "expect(e.reg, 0x123) expect(e.value, 7)"},
        {"io_read port=0x60 size=2", "{io_read = {size = 2}, reply = 1}", "expect(e.port, 0x60) expect(e.size, 2)"},
        {"io_write port=0x60 size=1 value=9", "'io_write'", "expect(e.data, 9) expect(e.size, 1)"},
        {"mmio_write addr={$dev} size=4 value=3", "'mmio_write'", "expect(e.addr, dev) expect(e.data, 3)"},
        {"debug kind=watch addr={$dev} pc={$code}", "'debug'", "expect(e.kind, 'watchpoint') expect(e.addr, dev)"},
        {"debug kind=break addr={$code} pc={$code}", "'debug'", "expect(e.kind, 'breakpoint')"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fake[120], text[240];
        snprintf(fake, sizeof fake, "  fake: [\"%s\", done]\n", rows[i].fake);
        snprintf(text, sizeof text, "local e = run{%s}[1] %s", rows[i].run, rows[i].then);
        script_with(fake, text, &small);
        ended(rows[i].fake, CHECK_INT(ran.r.status, STATUS_passed));
    }
    end();
}

TEST(script, a_row_s_values_are_lua_s)
{
    script_with("  let: {list: [1, 2], by: {x86_64: 7, riscv64: 8}, yes: true, no: false, text: two words}\n",
                "expect(row.list[2], 2) expect(row.by, 7) expect(row.yes, true) expect(row.no, false)\n"
                "expect(row.text, 'two words')",
                &small);
    ended("row", CHECK_INT(ran.r.status, STATUS_passed));
    script_with("  let: {map: {x: 1, y: [two]}}\n", "expect(row.map.x, 1) expect(row.map.y[1], 'two')", &small);
    ended("map", CHECK_INT(ran.r.status, STATUS_passed));
    end();
}

TEST(script, values_that_have_no_meaning_in_a_step)
{
    refused("set{[5] = 1, ['0x5'] = 2}", "the same key twice");
    refused("set{[true] = 1}", "keys of a table are names or integers");
    refused("set{1, x = 2}", "list with holes, or list and map in one table");
    refused("set{rdi = 1e300}", "only integers of 64 bits");
    refused("set{rdi = 0.0 / 0}", "only integers of 64 bits");
    refused("set{rdi = true}", "true");
    refused("write{[buf] = {}, [buf + 8] = {u8 = {1}}}", "suite.yaml:40");
    refused("set{rdi = 'null'}", "suite.yaml:40");
    refused("set{rdi = 1} set({rdi = 1}, 2)", "table expected");
    LuaLimits large = {.max_insns = 100 * 1000 * 1000, .max_ns = 600000000000ull};
    script_with("", "local t = {} for i = 1, 300000 do t[i] = 1 end set(t)", &large);
    CHECK_HAS(buf_text(&ran.r.reason), "table has too many values to be a step");
    script_with("", "set{rdi = ('x'):rep(5 << 20)}", &large);
    CHECK_HAS(buf_text(&ran.r.reason), "table has too much text to be a step");
    script_with("", "set{rdi = 1}", &(LuaLimits){.max_bytes = 4096});
    CHECK_INT(ran.r.status, STATUS_error);
    CHECK_HAS(buf_text(&ran.r.reason), "not enough memory to run a script");
    end();
}

TEST(script, what_was_got_is_shown)
{
    fails("expect(true, false)", "expected false, got true");
    fails("expect(nil, 1)", "expected 0x1, got nothing");
    fails("expect({}, 1)", "got a table");
    fails("expect(1.5, 1)", "expected 0x1, got 1.5");
    fails("expect(('x'):rep(70), 'y')", "x\"..");
    fails("expect('a\\n\"\\\\\\127', 'b')", "got \"a\\x0a\\x22\\x5c\\x7f\"");
    fails("expect('\\1', 0x101)", "got \"\\x01\"");
    holds("expect(2.0, 2) expect('\\1', 1) expect(false, false)");
    refused("expect(1)", "the matcher is missing");
    refused("expect({}, {ge = 1})", "a matcher compares integers and texts, not a table");
    refused("expect(1, print)", "a function is no matcher");
    end();
}

TEST(forall, shrinks_to_the_smallest_case)
{
    fails("forall(200, {a = u64, b = u64}, function(x) expect(x.a < 0 or x.a >= 1000, false, 'a') end)",
          "a = 0x3e8, b = 0x0");
    fails("forall(200, {a = edge64}, function(x) expect(x.a == math.mininteger, false) end)", "a = 0x8000000000000000");
    fails("forall(200, {a = u64, b = edge64}, function(x) expect((x.a + x.b) & 1, 0) end)", ": a = 0x0, b = 0x1 ");
    fails("forall(200, {a = u16}, function(x) set{rdi = x.a} check{regs = {rdi = {['not'] = {ge = 77}}}} end)",
          "a = 0x4d");
    fails("forall(200, {a = one_of{3, 5, 7}}, function(x) expect(x.a > 4, false) end)", "a = 0x5");
    fails("forall(200, {a = bytes(8)}, function(x) expect(x.a:byte(3) > 100, false) end)", "case ");
    CHECK_HAS(buf_text(&ran.r.reason), "0000");
    CHECK_HAS(buf_text(&ran.r.reason), "(seed 0x5eed)");
    holds("local n = 0 forall(50, {a = u8, b = u32}, function(x) n = n + 1 expect(x.a >= 0 and x.a < 256, true) end) "
          "expect(n, 50)");
    refused("forall(10, {a = u8}, function(x) error('script bug', 0) end)", "script bug (case 1: a = 0x");
    refused("forall(10, {a = u8}, function(x) forall(1, {b = u8}, function() end) end)", "forall inside forall");
    refused("forall(10, {a = u8}, function(x) while true do end end)", "ran more");
    refused("forall(10, {a = 1}, print)", "generators by name");
    end();
}

TEST(random, the_seed_reproduces)
{
    static const char text[] =
        "local t = {} for i = 1, 5 do t[i] = random() end t[6] = random(1, 6) t[7] = math.random(10) "
        "fail(table.concat(t, ' '))";
    char first[256];
    script(text);
    snprintf(first, sizeof first, "%s", buf_text(&ran.r.reason));
    script(text);
    CHECK_STR(buf_text(&ran.r.reason), first);
    holds("for i = 1, 1000 do local r = random(-3, 3) expect(r >= -3 and r <= 3, true) end");
    holds("expect(random(5, 5), 5) expect(math.type(math.random()), 'float')");
    refused("random(2, 1)", "interval is empty");
    refused("math.randomseed(1)", "--seed");
    end();
}

TEST(pairs, has_an_order)
{
    holds("local s = '' for k in pairs{zeta = 1, alpha = 2, 10, 20, beta = 3} do s = s .. k end expect(s, "
          "'12alphabetazeta')");
    end();
}

static Suite *load(Arena *a, const char *text, Diags *diags)
{
    return lua_suite_load(a, "suite.lua", text, strlen(text), diags);
}

TEST(suite, scenarios_become_cases_with_places)
{
    static const char text[] =
        "local code = {x86_64 = {hex = '90'}}\n"
        "scenario{name = 'a', code = code, fake = {'done'}, run = 'done', expect = {regs = {rdi = 0}}}\n"
        "for i = 1, 2 do\n"
        "  scenario{name = 'b' .. i, code = code, let = {x = 1}, script = function() expect(i, 2, 'i') end}\n"
        "end\n";
    static const Status want[] = {STATUS_passed, STATUS_failed, STATUS_passed};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        end();
        Diags diags = {0};
        Arena *a = arena_new();
        Suite *s = load(a, text, &diags);
        if (!CHECK(s != NULL)) {
            printf("%s\n", diags.n ? diags.items[0].text : "?");
            arena_free(a);
        } else {
            CHECK_INT(s->ncases, 3);
            CHECK_INT(s->cases[i].pos.line, i ? 4 : 2);
            run_suite(s, &s->cases[i], NULL);
            ended("suite", CHECK_INT(ran.r.status, want[i]));
            CHECK_INT(ran.r.fail_pos.line, i == 1 ? 4 : 0);
        }
        VEC_FREE(&diags);
    }
    end();
}

TEST(suite, mistakes_have_places)
{
    static const char *const texts[][2] = {{"\nscenario(1)", "suite.lua:2: bad argument"},
                                           {"x = = 1", "suite.lua:1: unexpected symbol"},
                                           {"local a = 1", "suite.lua: the file calls scenario{} nowhere"},
                                           {"scenario{name = random()}", "random works in"},
                                           {"run 'done'", "only a scenario's script can do this"},
                                           {"while true do end", "suite.lua:1: script ran "},
                                           {"scenario{name = 'x', script = '@1'}", "a script cannot start with @"},
                                           {"return math.random()", "random works in"},
                                           {"scenario{name = print}", "a function has no meaning"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        Diags diags = {0};
        Arena *a = arena_new();
        CHECK(load(a, texts[i][0], &diags) == NULL);
        CHECK_INT(diags.n, 1);
        CHECK_HAS(diags.n ? diags.items[0].text : "", texts[i][1]);
        VEC_FREE(&diags);
        arena_free(a);
    }
    refused("scenario{name = 'x'}", "not in a script");
    end();
}

TEST(suite, what_is_no_text_is_refused)
{
    static const char with_0[] = "scenario{name = 'x\0'}";
    char file[100];
    size_t nlarge = (size_t)NODE_MAX_BYTES + 1;
    char *large = x_calloc(nlarge, 1);
    memset(large, '-', nlarge);
    memset(file, 'f', sizeof file);
    snprintf(file + 90, sizeof file - 90, ".lua");
    const struct {
        const char *file, *text;
        size_t n;
        const char *want;
    } rows[] = {{"suite.lua", with_0, sizeof with_0 - 1, "suite.lua: file has a 0 byte"},
                {"suite.lua", large, nlarge, "suite.lua: file is larger than 4 MiB"},
                {file, "\nx = = 1", 8, "ffff.lua:2: unexpected symbol"}}; /* whole, though Lua cuts the name */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Diags diags = {0};
        Arena *a = arena_new();
        CHECK(lua_suite_load(a, rows[i].file, rows[i].text, rows[i].n, &diags) == NULL);
        CHECK_HAS(diags.n ? diags.items[0].text : "", rows[i].want);
        CHECK(diags.n && strncmp(diags.items[0].text, rows[i].file, strlen(rows[i].file)) == 0);
        VEC_FREE(&diags);
        arena_free(a);
    }
    mem_free(large);
    end();
}
