/* SPDX-License-Identifier: Apache-2.0
 * `conf sim --env virt`: guests in S mode that call the firmware (SBI 2.0), in virtual and in real time. What the firmware decides is
 * tested beside it; here, that the machine does it. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/cmd/rig_test.h"

#include <stdio.h>

enum { A0 = 10, A1, A2, A6 = 16, A7, S1 = 9 };
enum { PUTCHAR = 1, GETCHAR = 2, TIME = 0x54494d45, HSM = 0x48534d, DBCN = 0x4442434e, SRST = 0x53525354 };
enum { SIE = 0x104, TIME_CSR = 0xc01, STIE = 0x20, BUFFER = 0x800 };
enum { BLT = 4, BGEU = 7 };

static uint32_t auipc(unsigned rd)
{
    return rd << 7 | 0x17;
}

static void call(Buf *code, uint32_t ext, int fid)
{
    CODE(code, lui(A7, (ext + 0x800) >> 12), addi(A7, A7, (int)(ext << 20) >> 20), addi(A6, X0, fid), 0x73);
}

/* The end: shutdown, as failed if a1 is not 0. */
static void code_shutdown(Buf *code)
{
    CODE(code, addi(A0, X0, 0));
    call(code, SRST, 0);
    CODE(code, HERE);
}

/* The timer is due 2000 units of 100 ns from now, and would wake; that instant is in s1. */
static void code_timer(Buf *code)
{
    CODE(code, csr_get(S1, TIME_CSR), addi(S1, S1, 2000), addi(A0, S1, 0));
    call(code, TIME, 0);
    CODE(code, addi(T1, X0, STIE), csr_set(SIE, T1));
}

/* a1 = 0 if it is that instant or later. */
static void code_is_due(Buf *code)
{
    CODE(code, csr_get(T1, TIME_CSR), addi(A1, X0, 0), branch(BGEU, T1, S1, 8), addi(A1, X0, 1));
}

/* In both kinds of time. */
static void check(Buf *code, const char *input, int status, const char *out)
{
    static const char *const args[] = {"sim --env virt --kernel IMAGE", "sim --env virt --realtime --kernel IMAGE"};
    Image image = image_flat(code);
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        Buf said = {0}, why = {0};
        CHECK_INT(job_run(args[i], &image, input, &said, &why), status);
        CHECK_STR(buf_text(&said), out);
        CHECK_STR(buf_text(&why), "");
        buf_free(&said);
        buf_free(&why);
    }
    image_free(&image);
    buf_free(code);
}

TEST(cmd_firmware, prints_and_reads_by_every_call_and_ends_as_told)
{
    for (int failed = 0; failed < 2; failed++) {
        Buf code = {0};
        CODE(&code, addi(A0, X0, 'h'));
        call(&code, PUTCHAR, 0);
        CODE(&code, addi(A0, X0, 'i'));
        call(&code, DBCN, 2);
        call(&code, GETCHAR, 0); /* until there is one */
        CODE(&code, branch(BLT, A0, X0, -16));
        call(&code, DBCN, 2);
        CODE(&code, auipc(S0), addi(S0, S0, BUFFER - 1), addi(S0, S0, 1));
        CODE(&code, addi(A0, X0, 1), addi(A1, S0, 0), addi(A2, X0, 0));
        call(&code, DBCN, 1);
        CODE(&code, branch(0, A1, X0, -28), addi(A0, X0, 1), addi(A1, S0, 0), addi(A2, X0, 0));
        call(&code, DBCN, 0);
        CODE(&code, addi(A1, X0, failed));
        code_shutdown(&code);
        check(&code, "ab", failed, "hiab");
    }
}

TEST(cmd_firmware, wakes_who_waits_for_the_timer)
{
    Buf code = {0};
    code_timer(&code);
    CODE(&code, WFI);
    code_is_due(&code);
    code_shutdown(&code);
    check(&code, "", 0, "");
}

TEST(cmd_firmware, suspends_a_hart_until_an_interrupt_is_due)
{
    Buf code = {0};
    code_timer(&code);
    CODE(&code, addi(A0, X0, 0));
    call(&code, HSM, 3);
    code_is_due(&code);
    CODE(&code, branch(0, A0, X0, 8), addi(A1, X0, 1));
    code_shutdown(&code);
    check(&code, "", 0, "");
}

TEST(cmd_firmware, resumes_elsewhere_who_kept_nothing)
{
    Buf code = {0};
    code_timer(&code);
    CODE(&code, addi(A0, X0, 1), slli(A0, A0, 31), auipc(A1), addi(A1, A1, 56), addi(A2, X0, 5));
    call(&code, HSM, 3);
    CODE(&code, addi(A1, X0, 1));
    code_shutdown(&code); /* it came back */
    CODE(&code, addi(T1, X0, 5), addi(T2, X0, 1), branch(0, A1, T1, 8), addi(T2, X0, 0), addi(A1, T2, -1));
    code_shutdown(&code);
    check(&code, "", 0, "");
}

TEST(cmd_firmware, starts_the_machine_again)
{
    Buf code = {0}, out = {0}, why = {0};
    CODE(&code, addi(A0, X0, 'x'));
    call(&code, PUTCHAR, 0);
    CODE(&code, addi(A0, X0, 1), addi(A1, X0, 0));
    call(&code, SRST, 0);
    Image image = image_flat(&code);
    CHECK_INT(job_run("sim --env virt --insns 30 --kernel IMAGE", &image, "", &out, &why), 124);
    CHECK_STR(buf_text(&out), "xxx"); /* 11 instructions each */
    image_free(&image);
    buf_free(&code);
    buf_free(&out);
    buf_free(&why);
}
