/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm.h"
#include "conformance/asm_cache.h"
#include "conformance/asm_obj.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most tests run without the cache, so that they test the assembler. */
static void cache_off(void)
{
    setenv("CONF_NO_CACHE", "1", 1);
}

typedef struct {
    char folder[64];
} Cache;

static Cache cache_on(void)
{
    Cache c;
    snprintf(c.folder, sizeof c.folder, "/tmp/conf-asm-test.XXXXXX");
    CHECK(mkdtemp(c.folder) != NULL);
    setenv("XDG_CACHE_HOME", c.folder, 1);
    unsetenv("CONF_NO_CACHE");
    return c;
}

static void cache_end(Cache *c)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/conf/asm", c->folder);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) {
        closedir(d);
    }
    rmdir(path);
    snprintf(path, sizeof path, "%s/conf", c->folder);
    rmdir(path);
    CHECK_INT(rmdir(c->folder), 0);
    unsetenv("XDG_CACHE_HOME");
    cache_off();
}

typedef struct {
    AsmOutput out;
    AsmDiag diag;
    Err err;
    int rc;
    char hex[512], labels[256];
} Result;

static Result assemble(const AsmInput *in)
{
    Result r = {0};
    r.rc = asm_assemble(in, &r.out, &r.diag, &r.err);
    size_t n = 0;
    for (size_t i = 0; i < r.out.bytes.n && n + 3 < sizeof r.hex; i++) {
        n += (size_t)snprintf(r.hex + n, sizeof r.hex - n, "%02x", (uint8_t)r.out.bytes.data[i]);
    }
    n = 0;
    for (size_t i = 0; i < r.out.labels.n && n < sizeof r.labels - 80; i++) {
        n += (size_t)snprintf(r.labels + n, sizeof r.labels - n, "%s%.40s=%" PRIx64, i ? " " : "",
                              r.out.labels.items[i].name, r.out.labels.items[i].value);
    }
    asm_output_free(&r.out);
    return r;
}

static const AsmSymbol some_defs[] = {
    {"dev", 0x123456789abc}, {"port", 0x42}, {"io", 0x10000000}, {"near", 0x2000}, {"high", 0xffff800000001000}};

static Result of(GuestId guest, uint64_t org, const char *text)
{
    AsmInput in = {
        .guest = guest, .text = text, .n = strlen(text), .org = org, .defs = some_defs, .ndefs = ARRAY_LEN(some_defs)};
    cache_off();
    return assemble(&in);
}

static void check_code(GuestId guest, uint64_t org, const char *text, const char *hex)
{
    Result r = of(guest, org, text);
    if (!CHECK_INT(r.rc, 0) || !CHECK_STR(r.hex, hex)) {
        printf("    text %s\n    said %s\n", text, r.err.text);
    }
}

static void check_error(GuestId guest, const char *text, const char *place, const char *message)
{
    Result r = of(guest, 0x1000, text);
    char got[32];
    snprintf(got, sizeof got, "%u:%u", r.diag.line, r.diag.col);
    if (!CHECK_INT(r.rc, -ERR_INVAL) || !CHECK_STR(got, place) || !CHECK_HAS(r.diag.message, message)) {
        printf("    text %s\n    said %s\n", text, r.err.text);
    }
    CHECK(!strstr(r.diag.message, "inline asm") && !strstr(r.diag.message, "$conf"));
}

#define RV  GUEST_riscv64
#define ARM GUEST_aarch64
#define X86 GUEST_x86_64

TEST(asm_x86, definitions_and_labels_in_every_operand_form)
{
    check_code(X86, 0x1000, "movabs rbx, offset dev", "48bbbc9a785634120000");
    check_code(X86, 0x1000, "mov rcx, dev", "48b9bc9a785634120000");
    check_code(X86, 0x1000, "mov al, byte ptr [port]; out port, al", "8a042542000000e642");
    check_code(X86, 0x1000, ".code16\nmov byte ptr [port], 42", "c60642002a");
    check_code(X86, 0x1000, ".quad l; l: .long l; .word l; .quad dev",
               "081000000000000008100000"
               "0810bc9a785634120000");
    check_code(X86, 0x1000, "nop; l: mov al, [l]; mov eax, offset l", "908a042501100000b801100000");
    check_code(X86, 0x1000, "lea rax, [rip+near]; lea rax, [rip+l]; l:", "488d05f90f0000488d0500000000");
    check_code(X86, 0x1000, "call near; jmp l; l: jne l", "e8fb0f0000eb0075fe");
    check_code(X86, 0x1000, "jmp near; mov eax, near", "e9fb0f0000b800200000");
    check_code(X86, 0x1000, ".code16\nl: jmp l; mov ax, offset l; call near; ret", "ebfeb8001066e8f50f000066c3");
    check_code(X86, 0x1000, ".quad l-., l2-l\nl: nop\nl2:",
               "10000000000000000100000000000000"
               "90");
    check_code(X86, 0x1000, "movabs al, [dev]", "a0bc9a785634120000");
    check_code(X86, 0x1000, "mov rax, offset high",
               "48b80010000000"
               "80ffff");
}

TEST(asm_riscv, definitions_and_labels_in_every_operand_form)
{
    check_code(RV, 0x80000000, "li s0, port; addi a0, a0, port", "1304200413052504");
    check_code(RV, 0x80000000, "la t0, io", "b7020010");
    check_code(RV, 0x80000000, "l: j l; .quad l; .word l2-l\nl2:",
               "6f00000000000080000000001000"
               "0000");
    check_code(RV, 0x80000000, "lui a1, %hi(io); lw a1, %lo(io)(a1)", "b705001083a50500");
    check_code(RV, 0x80000000, "lui a1, %hi(io + 0x1000); lui a1, %hi(io-4)", "b7150010b7050010");
    check_code(RV, 0x80000000, "lui a1, %hi(0x7ffff7ff); lui a1, %hi(0xffffffff80000000); lui a1, %hi(dev - dev)",
               "b7f5ff7fb7050080b7050000");
    check_code(RV, 0x1000, "j near; beqz a0, near; call near",
               "6f100000"
               "63140500"
               "6f00907f"
               "97100000e78040ff");
}

TEST(asm_riscv, li_of_a_64_bit_definition_needs_only_the_base_instructions)
{
    Result r = of(RV, 0x1000, "li s0, dev");
    CHECK_INT(r.rc, 0);
    CHECK(strlen(r.hex) >= 4 * 8);
    check_code(RV, 0x1000, "tail near",
               "17130000"
               "6700"
               "0300");
    Result with = of(RV, 0x1000, "li s0, dev; andn a0, a0, a1");
    CHECK_INT(with.rc, 0);
    CHECK(strlen(with.hex) > 8);
}

TEST(asm_arm, definitions_and_labels_in_every_operand_form)
{
    check_code(ARM, 0x40000000, "ldr x9, =dev", "4900005800000000bc9a785634120000");
}

TEST(asm, errors_name_the_place_in_the_text)
{
    check_error(X86, "nop\nnop; bogus eax\n", "2:6", "invalid instruction mnemonic 'bogus'");
    check_error(RV, "nop; addi a0, a1, 99999\n bogus\n", "1:19", "range [-2048, 2047]");
    check_error(ARM, "\n\n add x0, x0, #99999999", "3:14", "");
    check_error(X86, "nop\n jmp near; bogus2", "2:12", "bogus2"); /* columns behind a renamed use */
    check_error(X86, "nop\n jmp near; jmp near; mov eax, nowhere2.x", "2:31", "");
    check_error(X86, ".macro m a\n nop\n bogus \\a\n.endm\n nop\n nop; m 3\n", "6:7", "bogus");
    check_error(X86, "x: nop\nx: nop", "2:1", "'x' is already defined");
    check_error(X86, "nop\n// nowhere\n /* nowhere */ jmp nowhere", "3:20", "undefined symbol `nowhere`");
    check_error(RV, "nop; la a0, nowhere", "1:13", "undefined symbol `nowhere`");
    check_error(ARM, "ldr x0, =nowhere", "1:10", "undefined symbol `nowhere`");
    check_error(ARM, "nop; b dev", "1:8", "`dev` is out of reach");
    check_error(X86, "nop; mov al, [dev]", "1:15", "`dev` is out of reach");
    check_error(RV, "nop; lui a0, %hi(dev)", "1:18", "`dev` is out of reach");
    check_error(RV, "lui a0, %hi( io + 0x70000000 )", "1:14", "`io` is out of reach");
    check_error(RV, "nop\nlui a0, %hi(0x7ffff800)", "2:13", "%hi(0x7ffff800) is no address that lui can make");
    check_error(ARM, "nop\n.org 1<<40\nnop", "2:6", "invalid .org offset");
    check_error(X86, ".data\n .long 1", "0:0", "section .data has contents");
    check_error(X86, ".balign 8192; nop", "0:0", "aligns to 8192");
    Result r = of(X86, 0, "bogus\nbogus\nbogus");
    CHECK_INT(r.diag.nmore, 2);
    CHECK_HAS(r.err.text, "line 1, column 1: invalid instruction");
}

TEST(asm, zero_byte_and_bad_definitions_are_refused)
{
    cache_off();
    AsmInput in = {.guest = X86, .text = "nop\n no\0p", .n = 9};
    Result r = assemble(&in);
    CHECK_INT(r.rc, -ERR_INVAL);
    CHECK_INT(r.diag.line, 2);
    CHECK_INT(r.diag.col, 4);
    AsmSymbol bad = {"a b; bogus", 1};
    in = (AsmInput){.guest = X86, .text = "nop", .n = 3, .defs = &bad, .ndefs = 1};
    r = assemble(&in);
    CHECK_INT(r.rc, -ERR_INVAL);
    CHECK_STR(r.diag.message, "the definition `a b; bogus` is no identifier");
    in = (AsmInput){.guest = (GuestId)9, .text = "nop", .n = 3};
    CHECK_INT(assemble(&in).rc, -ERR_INVAL);
}

TEST(asm, an_empty_text_is_an_empty_image)
{
    cache_off();
    AsmInput in = {.guest = RV};
    Result r = assemble(&in);
    CHECK_INT(r.rc, 0);
    CHECK_STR(r.hex, "");
    CHECK_STR(of(X86, 0x40, "a: b:").labels, "a=40 b=40");
}

TEST(asm, labels_are_absolute_sorted_and_without_temporaries)
{
    Result r = of(ARM, 0x40000000, "b2: nop\n.Lx: nop\n1: nop\n.global a1\na1: ldr x0, =dev\n ldr x1, =b2");
    CHECK_STR(r.labels, "b2=40000000 a1=4000000c");
}

TEST(asm, files_are_out_of_reach_of_a_text)
{
    check_error(X86, "nop\n.incbin \"/etc/hostname\"", "2:9", "refused");
    check_error(RV, "nop\n.include \"/etc/hostname\"", "2:10", "refused");
    check_error(RV, ".macro m x\n.in\\x \"/etc/hostname\"\n.endm\nm cbin", "4:1", "refused");
}

static void check_bomb(GuestId guest, const char *text)
{
    Result r = of(guest, 0x1000, text);
    if (!CHECK_INT(r.rc, -ERR_LIMIT)) {
        printf("    text %.60s\n    said %s\n", text, r.err.text);
    }
    CHECK_INT(of(guest, 0x1000, "nop").rc, 0);
}

TEST(asm, bombs_hit_a_limit_and_leave_the_assembler_usable)
{
    check_bomb(X86, ".rept 1000000000\nnop\n.endr");
    check_bomb(X86, ".macro m\nm\nm\n.endm\nm");
    check_bomb(ARM, ".space 1<<40");
    check_bomb(X86, ".space 17<<20");
    AsmInput in = {.guest = X86, .text = "nop; nop", .n = 8, .max_bytes = 1};
    CHECK_INT(assemble(&in).rc, -ERR_LIMIT);
    in = (AsmInput){.guest = X86, .text = "", .n = (1 << 20) + 1};
    CHECK_INT(assemble(&in).rc, -ERR_LIMIT);
}

TEST(asm, deep_nesting_is_an_error)
{
    Buf text = {0};
    buf_str(&text, ".quad ");
    for (int i = 0; i < 500000; i++) {
        buf_char(&text, '(');
    }
    Result r = of(X86, 0, text.data);
    CHECK(r.rc == -ERR_INVAL || r.rc == -ERR_LIMIT);
    CHECK_INT(of(X86, 0, "nop").rc, 0);
    buf_free(&text);
}

TEST(asm, a_warm_cache_needs_no_module)
{
    Cache c = cache_on();
    AsmInput in = {.guest = X86, .text = "a: nop; b: ret", .n = 14, .org = 0x1000};
    Result r = assemble(&in);
    CHECK_INT(r.rc, 0);
    setenv("CONF_LLVM_MODULE", "/nonexistent.so", 1);
    AsmOutput out;
    AsmDiag diag;
    Err err;
    CHECK_INT(asm_assemble(&in, &out, &diag, &err), 0);
    CHECK(out.was_cached);
    CHECK_INT(out.bytes.n, 2);
    CHECK_INT(out.labels.n, 2);
    CHECK_STR(out.labels.items[1].name, "b");
    CHECK_INT(out.labels.items[1].value, 0x1001);
    asm_output_free(&out);
    in.max_bytes = 1;
    CHECK_INT(assemble(&in).rc, -ERR_LIMIT);
    in.max_bytes = 0;
    in.org = 0x2000; /* another key */
    r = assemble(&in);
    CHECK_INT(r.rc, -ERR_UNAVAILABLE);
    CHECK_HAS(r.err.text, "/nonexistent.so");
    Buf text = {0};
    CHECK_INT(asm_disasm(X86, 64, (const uint8_t *)"\x90", 1, 0, &text), 0);
    CHECK_INT(text.n, 0);
    unsetenv("CONF_LLVM_MODULE");
    CHECK_INT(assemble(&in).rc, 0);
    cache_end(&c);
}

TEST(asm, a_file_that_is_no_module_is_unavailable)
{
    cache_off();
    setenv("CONF_LLVM_MODULE", "/etc/hostname", 1);
    AsmInput in = {.guest = X86, .text = "nop", .n = 3};
    CHECK_INT(assemble(&in).rc, -ERR_UNAVAILABLE);
    setenv("CONF_LLVM_MODULE", "libc.so.6", 1);
    Result r = assemble(&in);
    CHECK_INT(r.rc, -ERR_UNAVAILABLE);
    CHECK_HAS(r.err.text, "not an assembler module");
    unsetenv("CONF_LLVM_MODULE");
}

TEST(asm, a_corrupt_cache_file_is_assembled_again)
{
    Cache c = cache_on();
    AsmInput in = {.guest = RV, .text = "a: nop", .n = 6};
    CHECK_INT(assemble(&in).rc, 0);
    uint8_t key[32];
    asm_cache_key(&in, key);
    Buf path = {0}, file = {0};
    CHECK(asm_cache_path(key, false, &path));
    CHECK_INT(os_read_file(path.data, 4096, &file, NULL), 0);
    AsmOutput out;
    AsmDiag diag;
    for (size_t at = 0; at < file.n; at++) {
        file.data[at] ^= 1;
        CHECK_INT(os_write_file(path.data, file.data, at % 7 ? file.n : at, NULL), 0);
        file.data[at] ^= 1;
        CHECK_INT(asm_assemble(&in, &out, &diag, NULL), 0);
        CHECK(!out.was_cached);
        CHECK_INT(out.bytes.n, 4);
        asm_output_free(&out);
    }
    CHECK_INT(asm_assemble(&in, &out, &diag, NULL), 0);
    CHECK(out.was_cached);
    asm_output_free(&out);
    buf_free(&path);
    buf_free(&file);
    cache_end(&c);
}

TEST(asm, a_cache_that_cannot_be_written_is_no_error)
{
    cache_off();
    unsetenv("CONF_NO_CACHE");
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    AsmInput in = {.guest = ARM, .text = "nop", .n = 3};
    CHECK_INT(assemble(&in).rc, 0);
    unsetenv("XDG_CACHE_HOME");
    cache_off();
}

static void check_disasm(GuestId guest, unsigned bits, const char *bytes, size_t n, const char *text)
{
    Buf out = {0};
    CHECK_INT(asm_disasm(guest, bits, (const uint8_t *)bytes, n, 0x1000, &out), n);
    CHECK_STR(buf_text(&out), text);
    buf_free(&out);
}

TEST(asm_disasm, canonical_text_of_each_guest_and_width)
{
    check_disasm(X86, 64, "\x48\x8b\x03", 3, "mov rax, qword ptr [rbx]");
    check_disasm(X86, 32, "\x40", 1, "inc eax");
    check_disasm(X86, 16, "\xb8\x34\x12", 3, "mov ax, 0x1234");
    check_disasm(X86, 64, "\xeb\xfe", 2, "jmp 0x1000");
    check_disasm(ARM, 64, "\x00\x00\x00\x14", 4, "b 0x1000");
    check_disasm(ARM, 64, "\x62\x00\x21\xf8", 4, "ldadd x1, x2, [x3]");
    check_disasm(RV, 64, "\x73\xc5\x05\x68", 4, "hlv.w a0, (a1)");
    check_disasm(RV, 64, "\xe3\x9c\xb5\xfe", 4, "bne a1, a1, 0xff8");
    check_disasm(X86, 64, "\xf0\x48\x0f\xc1\x03", 5, "lock xadd qword ptr [rbx], rax");
    check_disasm(ARM, 64, "\x00\x00\x00\xb0", 4, "adrp x0, 1");
    check_disasm(RV, 64, "\x01\x00", 2, "nop");
    Buf out = {0};
    CHECK_INT(asm_disasm(X86, 64, (const uint8_t *)"\x06", 1, 0, &out), 0);
    CHECK_INT(asm_disasm(X86, 64, (const uint8_t *)"\x48", 1, 0, &out), 0);
    CHECK_INT(asm_disasm(ARM, 32, (const uint8_t *)"\0\0\0\0", 4, 0, &out), 0);
    CHECK_INT(asm_disasm((GuestId)7, 64, (const uint8_t *)"\0\0\0\0", 4, 0, &out), 0);
    CHECK_INT(out.n, 0);
}

static void check_round_trip(GuestId guest, const char *text)
{
    AsmInput in = {.guest = guest, .text = text, .n = strlen(text)};
    AsmOutput out;
    AsmDiag diag;
    cache_off();
    CHECK_INT(asm_assemble(&in, &out, &diag, NULL), 0);
    Buf got = {0};
    size_t at = 0, n = 1;
    for (; at < out.bytes.n && n; at += n) {
        n = asm_disasm(guest, 64, (uint8_t *)out.bytes.data + at, out.bytes.n - at, at, &got);
        buf_char(&got, '\n');
    }
    CHECK_STR(buf_text(&got), text);
    buf_free(&got);
    asm_output_free(&out);
}

TEST(asm_disasm, its_text_assembles_to_the_same_bytes)
{
    check_round_trip(X86, "mov rax, qword ptr [rbx + 8*rcx + 0x10]\nlock xadd qword ptr [rbx], rax\nvmcall\n"
                          "vaddps ymm3, ymm2, ymm1\nwrmsr\niretq\nout dx, al\nmov cr3, rax\n");
    check_round_trip(ARM, "msr HCR_EL2, x0\nldadd x1, x2, [x3]\nadd z0.s, z1.s, z2.s\nhvc #0x5\neret\n");
    check_round_trip(RV, "csrrw t0, hstatus, a1\namoadd.d a1, a2, (a3)\nhfence.gvma\nvadd.vv v1, v2, v3\n"
                         "cbo.zero (a0)\nczero.eqz a0, a1, a2\nsh1add a0, a1, a2\nfcvt.h.s fa0, fa1\n");
}

static void *assemble_many(void *arg)
{
    char text[64];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "li a0, %d; l: j l", i + *(int *)arg);
        AsmInput in = {.guest = RV, .text = text, .n = strlen(text)};
        Result r = assemble(&in);
        CHECK_INT(r.rc, 0);
        CHECK_STR(r.labels, "l=4");
    }
    return NULL;
}

TEST(asm, threads_may_assemble_at_once)
{
    cache_off();
    pthread_t threads[3];
    int bases[3] = {0, 100, 200};
    for (int i = 0; i < 3; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, assemble_many, &bases[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
}
