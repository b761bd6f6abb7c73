/* SPDX-License-Identifier: Apache-2.0
 * sweep_main.c - prints every 16-bit encoding and a dense sample of the 32-bit ones, for comparison with another disassembler:
 * each line "bytes as one hexadecimal number, row, text". Of 32 bits: every opcode, funct3 and funct7, with random operands, and for
 * each row those that have aliases: registers x0, x1 and x2, immediates 0, 1 and -1. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/isa.h"
#include "sim/guest/riscv64/riscv.h"

#include <stdio.h>

enum { SAMPLES = 4 };

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
    uint64_t z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void line(uint32_t w, unsigned len)
{
    uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
    char text[80];
    Rv64Args args = {0};
    unsigned row = len == 4 ? rv64_decode32(w, &args) : rv64_decode16(w, &args);
    guest_riscv64.disasm(bytes, len, 0x10000, text, sizeof text);
    printf("%0*x %s %s\n", 2 * (int)len, w, rv64_row_names[row], text);
}

/* Fields of 5 bits take the values that aliases ask for, and the same in pairs. */
static void special(uint32_t fixed)
{
    static const uint8_t regs[] = {0, 1, 2, 5, 31};
    for (unsigned i = 0; i < sizeof regs * sizeof regs * sizeof regs; i++) {
        uint32_t rd = regs[i % 5], rs1 = regs[i / 5 % 5], rs2 = regs[i / 25];
        line(fixed | rd << 7 | rs1 << 15 | rs2 << 20, 4);
    }
}

int main(void)
{
    uint64_t seed = 1;
    for (uint32_t w = 0; w < 0x10000; w++) {
        if ((w & 3) != 3) {
            line(w, 2);
        }
    }
    for (uint32_t group = 0; group < 32 * 8 * 128; group++) {
        uint32_t fixed = (group & 31) << 2 | 3 | (group >> 5 & 7) << 12 | group >> 8 << 25;
        if ((fixed & 0x1c) == 0x1c) { /* longer than 32 bits */
            continue;
        }
        for (unsigned i = 0; i < SAMPLES; i++) {
            line(fixed | ((uint32_t)next_random(&seed) & 0x01ff8f80), 4);
        }
        if (group >> 8 == 0 || group >> 8 == 127 || group >> 8 == 0x20) {
            special(fixed);
        }
    }
    for (uint32_t csr = 0; csr < 4096; csr++) {
        line(csr << 20 | (uint32_t)(csr % 7 + 1) << 12 | 0x73, 4);
        line(csr << 20 | 1 << 12 | 0x73, 4);
        line(csr << 20 | 10 << 15 | 2 << 12 | 0x73, 4);
        line(csr << 20 | 2 << 12 | 10 << 7 | 0x73, 4);
        line(csr << 20 | 11 << 15 | 1 << 12 | 10 << 7 | 0x73, 4);
    }
    static const uint8_t fences[] = {0x09, 0x0b, 0x11, 0x13, 0x31, 0x33}; /* sfence.vma and its kin, by funct7 */
    for (size_t i = 0; i < sizeof fences; i++) {
        special((uint32_t)fences[i] << 25 | 0x73);
    }
    for (uint32_t i = 0; i < 0x2000; i++) { /* what stands alone: ecall and its kin, fences */
        line(i << 20 | 0x73, 4);
        line(i << 20 | 0x0f, 4);
        line(i << 20 | 0x100f, 4);
    }
    return 0;
}
