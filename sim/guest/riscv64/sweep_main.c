/* SPDX-License-Identifier: Apache-2.0
 * sweep_main.c - prints every 16-bit encoding and a dense sample of the 32-bit ones, for comparison with another disassembler:
 * each line "bytes as one hexadecimal number, row, text". Of 32 bits: every opcode, funct3 and funct7 with random operands; and each row
 * of the decode tables, with random operands and with those that aliases ask for: 0, 1, 2, 5 and 31 in fields of 5 bits. */
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

/* The encodings of a row: sometimes bits 31:25 are all 0 or all 1, so that an immediate is small. */
static void each_of(const Rv64RowBits *row, uint64_t *seed)
{
    static const uint8_t regs[] = {0, 1, 2, 5, 31};
    for (unsigned i = 0; i < sizeof regs * sizeof regs * sizeof regs; i++) {
        uint32_t rd = regs[i % 5], rs1 = regs[i / 5 % 5], rs2 = regs[i / 25];
        uint32_t high = i % 3 ? (uint32_t)next_random(seed) : i % 2 ? ~0u : 0;
        uint32_t operands = rd << 7 | rs1 << 15 | rs2 << 20 | high << 25;
        line((operands & ~row->mask) | row->value, 4);
        line(((uint32_t)next_random(seed) & ~row->mask) | row->value, 4);
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
    }
    for (unsigned row = RV64_ROW_NONE + 1; row < RV64_ROW_COUNT; row++) {
        if ((rv64_row_bits[row].value & 3) == 3) {
            each_of(&rv64_row_bits[row], &seed);
        }
    }
    for (uint32_t csr = 0; csr < 4096; csr++) {
        line(csr << 20 | (uint32_t)(csr % 7 + 1) << 12 | 0x73, 4);
        line(csr << 20 | 1 << 12 | 0x73, 4);
        line(csr << 20 | 10 << 15 | 2 << 12 | 0x73, 4);
        line(csr << 20 | 2 << 12 | 10 << 7 | 0x73, 4);
        line(csr << 20 | 11 << 15 | 1 << 12 | 10 << 7 | 0x73, 4);
    }
    for (uint32_t i = 0; i < 0x2000; i++) { /* what stands alone: ecall and its kin, fences */
        line(i << 20 | 0x73, 4);
        line(i << 20 | 0x0f, 4);
        line(i << 20 | 0x100f, 4);
    }
    return 0;
}
