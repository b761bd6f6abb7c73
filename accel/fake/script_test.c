/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/script.h"

#include "sim/base/test.h"

#include <string.h>

static int parse(const char *text, Script *s, Err *err)
{
    return script_parse(GUEST_x86_64, text, strlen(text), s, err);
}

TEST(script, errors_say_the_line_and_what_was_expected)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"done", "line 1: 'done': expected an exit's name or set work write dirty take mask"},
        {"halt\n\n hlat", "line 3: 'hlat': expected an exit's name"},
        {"halt; halt\nhalt; x", "line 2: 'x'"},
        {"mmio_read adr=1 size=1", "mmio_read has no key 'adr': expected pc next insns"},
        {"halt addr=1", "halt has no key 'addr'"},
        {"mmio_read addr=1", "'mmio_read': expected size=1 to size=8"},
        {"mmio_read addr=1 size=9", "expected size=1 to size=8"},
        {"mmio_read addr=z size=1", "'z': expected a number"},
        {"mmio_read addr=0x size=1", "'0x': expected a number"},
        {"mmio_read addr=18446744073709551616 size=1", "expected a number"},
        {"mmio_read addr=1 size=256", "expected a smaller number"},
        {"mmio_read addr size=1", "'addr': expected key=value"},
        {"mmio_read size=1 reg=rxa", "'rxa': expected a register of x86_64, perhaps rax"},
        {"mmio_read size=1 reg=a_thing_like_no_other", "expected a register of x86_64"},
        {"mmio_read size=1 signed=2", "expected a smaller number"},
        {"nested_page_fault access=rz", "'z': expected letters of rwx"},
        {"debug kind=jump", "expected step, break, watch or sw_break"},
        {"set", "'set': expected register=value"},
        {"set rax", "'rax': expected register=value"},
        {"set rax=", "'': expected a number"},
        {"work", "'work': expected insns=N"},
        {"work fast=1", "expected insns=N or pc=A"},
        {"write 0x10", "'write': expected an address and hex bytes"},
        {"write 0x10 abc", "expected an even number of hex digits"},
        {"write 0x10 ab cd", "'cd': expected the end of the entry"},
        {"write", "'': expected a number"},
        {"error", "expected the name of an error, such as BUSY"},
        {"error NICE", "'NICE': expected the name of an error"},
        {"spin twice=1", "'twice=1': expected forever=1"},
        {"crash SIGKILL", "expected SIGSEGV or SIGABRT"},
        {"hang now", "'now': expected the end of the entry"},
        {"take 0x100000000", "expected a smaller number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Script s;
        Err err = {0};
        CHECK_INT(parse(rows[i].text, &s, &err), -ERR_INVAL);
        CHECK_HAS(err.text, rows[i].want);
        CHECK_INT(s.entries.n, 0);
        fake_script_free(&s);
    }
}

TEST(script, every_key_lands_in_its_field)
{
    Script s;
    Err err = {0};
    CHECK_INT(parse("send_ipi target=2 aux=3 all=1 self=0 vector=5\n"
                    "exception vector=14 code=2 insn_len=3\n"
                    "nested_page_fault addr=0x1000 access=rx gva=0xffff\n"
                    "debug kind=watch addr=7 qual0=1 qual1=2\n"
                    "mmio_write addr=-1 size=8 value=0xffffffffffffffff piece=1 npieces=2 reg=rcx\n"
                    "cpu_up target=1 entry=2 arg=3\n"
                    "cpuid leaf=1 subleaf=2 reply-to=rbx insns=4",
                    &s, &err),
              0);
    CHECK_STR(err.text, "");
    const Entry *e = s.entries.items;
    CHECK_INT(s.entries.n, 7);
    CHECK_INT(e[0].exit.addr, 2);
    CHECK_INT(e[0].exit.arg[0], 3);
    CHECK_INT(e[0].exit.arg[1], 1);
    CHECK_INT(e[0].exit.arg[3], 5);
    CHECK_INT(e[1].exit.value, 2);
    CHECK_INT(e[1].exit.insn_len, 3);
    CHECK_INT(e[1].exit.valid, HAS_value | HAS_insn);
    CHECK_INT(e[2].exit.arg[0], MAP_R | MAP_X);
    CHECK_INT(e[2].exit.arg[1], 0xffff);
    CHECK_INT(e[3].exit.arg[0], DEBUG_WATCH);
    CHECK_INT(e[3].exit.native.qual[1], 2);
    CHECK_INT(e[4].exit.addr, ~0ull);
    CHECK_INT(e[4].exit.piece, 1);
    CHECK_INT(e[4].exit.npieces, 2);
    CHECK_INT(REG_INDEX(e[4].exit.reg), 1);
    CHECK_INT(e[5].exit.arg[1], 3);
    CHECK_STR(e[6].reply_to->name, "rbx");
    CHECK_INT(e[6].insns, 4);
    fake_script_free(&s);
}

TEST(script, bounds)
{
    Script s;
    Buf b = {0};
    for (unsigned i = 0; i <= SCRIPT_MAX_ENTRIES; i++) {
        buf_str(&b, "halt;");
    }
    CHECK_INT(script_parse(GUEST_x86_64, b.data, b.n, &s, NULL), -ERR_LIMIT);
    CHECK_INT(script_parse(GUEST_x86_64, b.data, SCRIPT_MAX_BYTES + 1ul, &s, NULL), -ERR_LIMIT);
    CHECK_INT(script_parse(GUEST_x86_64, b.data, b.n - 5, &s, NULL), 0);
    fake_script_free(&s);
    buf_clear(&b);
    buf_str(&b, "take ");
    for (int i = 0; i < 3000; i++) {
        buf_char(&b, '0');
    }
    CHECK_INT(script_parse(GUEST_x86_64, b.data, b.n, &s, NULL), -ERR_INVAL);
    CHECK_INT(script_parse(GUEST_x86_64, "ha\0lt", 5, &s, NULL), -ERR_INVAL);
    CHECK_INT(script_parse(GUEST_x86_64, NULL, 0, &s, NULL), 0);
    CHECK_INT(script_parse(GUEST_x86_64, "# a; b\n;;\n ; # c", 15, &s, NULL), 0);
    CHECK_INT(s.entries.n, 0);
    buf_free(&b);
}
