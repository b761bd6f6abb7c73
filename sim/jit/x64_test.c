/* SPDX-License-Identifier: Apache-2.0
 * Encodings, beside those that LLVM's assembler gives. */
#include "sim/base/test.h"

#ifdef __x86_64__
#include "sim/jit/host_x86_64/x64.h"

#include <stdio.h>

static const char *hex_of(const Asm *a, const uint8_t *from, char text[128])
{
    char *p = text;
    for (const uint8_t *b = from; b < a->p && p < text + 120; b++) {
        p += snprintf(p, 4, "%02x", *b);
    }
    *p = 0;
    return text;
}

#define ENCODES(want, call)                                                                                            \
    do {                                                                                                               \
        uint8_t bytes[32];                                                                                             \
        char text[128];                                                                                                \
        Asm a = {.p = bytes, .end = bytes + sizeof bytes};                                                             \
        call;                                                                                                          \
        CHECK_STR(hex_of(&a, bytes, text), want);                                                                      \
    } while (0)

TEST(x64, instructions_are_encoded_as_the_manual_says)
{
    ENCODES("488bc3", x_rr(&a, W, X_LOAD, RAX, RBX));                   /* mov rax, rbx */
    ENCODES("458bfe", x_rr(&a, 0, X_LOAD, R15, R14));                   /* mov r15d, r14d */
    ENCODES("498b0424", x_rm(&a, W, X_LOAD, RAX, R12, 0));              /* mov rax, [r12] */
    ENCODES("498b4500", x_rm(&a, W, X_LOAD, RAX, R13, 0));              /* mov rax, [r13] */
    ENCODES("488b4580", x_rm(&a, W, X_LOAD, RAX, RBP, -128));           /* mov rax, [rbp - 128] */
    ENCODES("488b8580000000", x_rm(&a, W, X_LOAD, RAX, RBP, 128));      /* mov rax, [rbp + 128] */
    ENCODES("4c895c2408", x_rm(&a, W, X_STORE, R11, RSP, 8));           /* mov [rsp + 8], r11 */
    ENCODES("4b8d44ec08", x_rx(&a, W, X_LEA, RAX, R12, R13, 3, 8));     /* lea rax, [r12 + 8 * r13 + 8] */
    ENCODES("40883401", x_rx(&a, BYTE, X_STORE8, RSI, RCX, RAX, 0, 0)); /* mov [rcx + rax], sil */
    ENCODES("0fb60401", x_rx(&a, 0, X_MOVZX8, RAX, RCX, RAX, 0, 0));    /* movzx eax, byte [rcx + rax] */
    ENCODES("400fb6c6", x_rr(&a, BYTE, X_MOVZX8, RAX, RSI));            /* movzx eax, sil */
    ENCODES("0f94c0", x_rr(&a, 0, X_SETCC | CC_E, 0, RAX));             /* sete al */
    ENCODES("4d0fafc1", x_rr(&a, W, X_IMUL, R8, R9));                   /* imul r8, r9 */
    ENCODES("f34c0fb8c1", x_rr(&a, W, X_POPCNT, R8, RCX));              /* popcnt r8, rcx */
    ENCODES("4883c07f", x_alui(&a, W, G_ADD, RAX, 127));                /* add rax, 127 */
    ENCODES("4881e880000000", x_alui(&a, W, G_SUB, RAX, 128));          /* sub rax, 128 */
    ENCODES("837d0000", x_alumi(&a, 0, G_CMP, RBP, 0, 0));              /* cmp dword [rbp], 0 */
    ENCODES("49c1e83f", x_shift(&a, W, G_SHR, R8, 63));                 /* shr r8, 63 */
    ENCODES("c4c2f9f7c0", x_shiftx(&a, 1, true, RAX, RAX, R8));         /* shlx rax, r8, rax */
    ENCODES("c46233f7c2", x_shiftx(&a, 3, false, R8, R9, RDX));         /* shrx r8d, edx, r9d */
    ENCODES("31d2", x_zero(&a, RDX));                                   /* xor edx, edx */
    ENCODES("41b8ffffffff", x_movi(&a, R8, UINT32_MAX));                /* mov r8d, -1 */
    ENCODES("48c7c0ffffffff", x_movi(&a, RAX, UINT64_MAX));             /* mov rax, -1 */
    ENCODES("48b90000000001000000", x_movi(&a, RCX, 1ull << 32));       /* movabs rcx, 1 << 32 */
    ENCODES("664c0f6ec0", x_rr(&a, W, X_MOVQ_TO, 8, RAX));              /* movq xmm8, rax */
    ENCODES("66480f7ed0", x_rr(&a, W, X_MOVQ_FROM, 2, RAX));            /* movq rax, xmm2 */
    ENCODES("f3440f7e4580", x_rm(&a, 0, X_MOVQ_LOAD, 8, RBP, -128));    /* movq xmm8, [rbp - 128] */
    ENCODES("66440fd60424", x_rm(&a, 0, X_MOVQ_STORE, 8, RSP, 0));      /* movq [rsp], xmm8 */
    ENCODES("0f8400000000", (void)x_jcc(&a, CC_E));                     /* je */
}

TEST(x64, jumps_are_aimed_from_their_end)
{
    uint8_t bytes[16];
    Asm a = {.p = bytes, .end = bytes + sizeof bytes};
    uint8_t *at = x_jmp(&a);
    x_fix(at, bytes);
    CHECK_INT(bytes[1], 0xfb); /* -5 */
    x_fix(at, a.p);
    CHECK_INT(bytes[1], 0);
}

TEST(x64, what_does_not_fit_is_not_written)
{
    uint8_t bytes[12] = {0};
    Asm a = {.p = bytes, .end = bytes + 8};
    x_movi64(&a, RAX, UINT64_MAX);
    CHECK(a.is_full);
    CHECK_INT(bytes[8], 0);
    CHECK(a.p <= a.end);
}
#endif
