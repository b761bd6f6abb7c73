/* SPDX-License-Identifier: Apache-2.0
 * x64.h - writes x86-64 instructions (Intel SDM volume 2) into a bounded buffer. What does not fit is swallowed, and is_full is
 * set: the caller asks once, when it is through. */
#ifndef SIM_JIT_HOST_X86_64_X64_H
#define SIM_JIT_HOST_X86_64_X64_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { W = 1, BYTE = 2 }; /* REX.W; a byte register is an operand, which needs a REX prefix from spl on */
enum { X_ADD = 0x03, X_OR = 0x0b, X_AND = 0x23, X_SUB = 0x2b, X_XOR = 0x33, X_CMP = 0x3b };
enum { G_ADD, G_OR, G_AND = 4, G_SUB, G_XOR, G_CMP };    /* of 81, 83 */
enum { G_ROL, G_ROR, G_SHL = 4, G_SHR, G_SAR = 7 };      /* of c1, d3 */
enum { G_NOT = 2, G_NEG, G_MUL, G_IMUL, G_DIV, G_IDIV }; /* of f7 */
enum { CC_O, CC_B = 2, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
/* An opcode: its low byte; 0x0f00 the two-byte map; the top byte a mandatory prefix. */
#define X_ADD_TO     0x01u /* of memory */
#define X_SUB_FROM   0x29u
#define X_LEA        0x8du
#define X_LOAD       0x8bu
#define X_STORE      0x89u
#define X_STORE8     0x88u
#define X_MOVSXD     0x63u
#define X_TEST       0x85u
#define X_CMPI8      0x80u /* G_x of a byte of memory and the byte that follows */
#define X_XCHG       0x87u
#define X_CMPXCHG    0x0fb1u
#define X_XADD       0x0fc1u
#define X_TESTI8     0xf6u /* a byte and the byte that follows */
#define X_GROUP3     0xf7u
#define X_GROUP5     0xffu
#define X_MOVI8      0xc6u
#define X_MOVI32     0xc7u
#define X_IMUL       0x0fafu
#define X_IMULI      0x69u /* reg = rm * the 4 bytes that follow */
#define X_CMOV       0x0f40u
#define X_SETCC      0x0f90u
#define X_MOVZX8     0x0fb6u
#define X_MOVZX16    0x0fb7u
#define X_MOVSX8     0x0fbeu
#define X_MOVSX16    0x0fbfu
#define X_MOVAPS     0x0f28u
#define X_POPCNT     0xf3000fb8u
#define X_TZCNT      0xf3000fbcu
#define X_LZCNT      0xf3000fbdu
#define X_XORPS      0x0f57u
#define X_PCMPEQB    0x66000f74u
#define X_UCOMI      0x0f2eu /* 0x66 for f64 */
#define X_COMI       0x0f2fu
#define X_ANDPS      0x0f54u
#define X_ORPS       0x0f56u
#define X_BTCI       0x0fbau /* group 7: turns the bit of the byte that follows */
#define X_CVTSI2S    0x0f2au /* 0xf2, 0xf3 for f64, f32, as of the next ones */
#define X_CVTTS2SI   0x0f2cu
#define X_CVTS2SI    0x0f2du
#define X_CVTS2S     0x0f5au
#define X_MINS       0x0f5du
#define X_MAXS       0x0f5fu
#define X_CMPS       0x0fc2u     /* and the byte that follows */
#define X_MOVD_FROM  0x66000f7eu /* register or memory of 4 bytes from xmm */
#define X_MOVQ_LOAD  0xf3000f7eu /* xmm from memory or xmm */
#define X_MOVQ_STORE 0x66000fd6u
#define X_MOVQ_TO    0x66000f6eu /* xmm from register; without W, or memory, of 4 bytes */
#define X_MOVQ_FROM  0x66000f7eu

typedef struct {
    uint8_t *p, *end;
    bool is_full;
} Asm;

static inline void x_byte(Asm *a, unsigned v)
{
    if (a->p < a->end) {
        *a->p++ = (uint8_t)v;
    } else {
        a->is_full = true;
    }
}
static inline void x_bytes(Asm *a, const void *bytes, size_t n)
{
    if ((size_t)(a->end - a->p) >= n) {
        memcpy(a->p, bytes, n);
        a->p += n;
    } else {
        a->is_full = true;
    }
}
static inline void x_imm32(Asm *a, uint32_t v)
{
    x_bytes(a, &v, sizeof v);
}
static inline void x_imm64(Asm *a, uint64_t v)
{
    x_bytes(a, &v, sizeof v);
}
static inline void x_prefix(Asm *a, unsigned flags, uint32_t opc, unsigned reg, unsigned idx, unsigned base, bool force)
{
    if (opc >> 24) {
        x_byte(a, opc >> 24);
    }
    unsigned rex = (flags & W ? 8u : 0) | (reg & 8) >> 1 | (idx & 8) >> 2 | (base & 8) >> 3;
    if (rex || force) {
        x_byte(a, 0x40 | rex);
    }
    if (opc & 0xff00) {
        x_byte(a, 0x0f);
    }
    x_byte(a, opc);
}
/* reg, rm: both registers. BYTE: those that are named as bytes may be spl, bpl, sil, dil */
static inline void x_rr(Asm *a, unsigned flags, uint32_t opc, unsigned reg, unsigned rm)
{
    x_prefix(a, flags, opc, reg, 0, rm, flags & BYTE && (reg >= 4 || rm >= 4));
    x_byte(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
/* [base + (idx << scale) + disp]; idx -1: none */
static inline void x_rx(Asm *a, unsigned flags, uint32_t opc, unsigned reg, unsigned base, int idx, unsigned scale,
                        int32_t disp)
{
    if (idx >= 0 && !scale && !disp && (base & 7) == 5 && (idx & 7) != 5) { /* which cannot do without a displacement */
        unsigned other = base;
        base = (unsigned)idx;
        idx = (int)other;
    }
    x_prefix(a, flags, opc, reg, idx < 0 ? 0 : (unsigned)idx, base, flags & BYTE && reg >= 4);
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp == (int8_t)disp ? 1 : 2, r = (reg & 7) << 3;
    if (idx >= 0) {
        x_byte(a, mod << 6 | r | 4);
        x_byte(a, scale << 6 | ((unsigned)idx & 7) << 3 | (base & 7));
    } else {
        x_byte(a, mod << 6 | r | (base & 7));
        if ((base & 7) == 4) {
            x_byte(a, 0x24);
        }
    }
    if (mod == 1) {
        x_byte(a, (uint8_t)disp);
    } else if (mod == 2) {
        x_imm32(a, (uint32_t)disp);
    }
}
static inline void x_rm(Asm *a, unsigned flags, uint32_t opc, unsigned reg, unsigned base, int32_t disp)
{
    x_rx(a, flags, opc, reg, base, -1, 0, disp);
}
static inline void x_rip(Asm *a, unsigned flags, uint32_t opc, unsigned reg) /* [rip + disp]: x_fix at p - 4 */
{
    x_prefix(a, flags, opc, reg, 0, 0, flags & BYTE && reg >= 4);
    x_byte(a, (reg & 7) << 3 | 5);
    x_imm32(a, 0);
}
static inline void x_mov(Asm *a, unsigned d, unsigned s)
{
    if (d != s) {
        x_rr(a, W, X_LOAD, d, s);
    }
}
static inline void x_movi64(Asm *a, unsigned d, uint64_t v) /* always 10 bytes: v may be patched */
{
    x_prefix(a, W, 0xb8 | (d & 7), 0, 0, d, false);
    x_imm64(a, v);
}
/* The flags stay what they are. */
static inline void x_movi(Asm *a, unsigned d, uint64_t v)
{
    if (v >> 32 == 0) {
        x_prefix(a, 0, 0xb8 | (d & 7), 0, 0, d, false);
        x_imm32(a, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        x_rr(a, W, X_MOVI32, 0, d);
        x_imm32(a, (uint32_t)v);
    } else {
        x_movi64(a, d, v);
    }
}
static inline void x_zero(Asm *a, unsigned d) /* changes the flags */
{
    x_rr(a, 0, 0x31, d, d);
}
static inline void x_alui(Asm *a, unsigned flags, unsigned group, unsigned r, int32_t v)
{
    bool is_short = v == (int8_t)v;
    x_rr(a, flags, is_short ? 0x83 : 0x81, group, r);
    if (is_short) {
        x_byte(a, (uint8_t)v);
    } else {
        x_imm32(a, (uint32_t)v);
    }
}
static inline void x_alumi(Asm *a, unsigned flags, unsigned group, unsigned base, int32_t disp, int32_t v)
{
    bool is_short = v == (int8_t)v;
    x_rm(a, flags, is_short ? 0x83 : 0x81, group, base, disp);
    if (is_short) {
        x_byte(a, (uint8_t)v);
    } else {
        x_imm32(a, (uint32_t)v);
    }
}
static inline void x_shift(Asm *a, unsigned flags, unsigned group, unsigned r, unsigned n)
{
    x_rr(a, flags, 0xc1, group, r);
    x_byte(a, n);
}
/* SHLX, SHRX, SARX (BMI2): pp 1, 3, 2 */
static inline void x_shiftx(Asm *a, unsigned pp, bool w, unsigned d, unsigned count, unsigned s)
{
    x_byte(a, 0xc4);
    x_byte(a, (d & 8 ? 0u : 0x80u) | 0x40 | (s & 8 ? 0u : 0x20u) | 2);
    x_byte(a, (w ? 0x80u : 0) | (~count & 15) << 3 | pp);
    x_byte(a, 0xf7);
    x_byte(a, 0xc0 | (d & 7) << 3 | (s & 7));
}
static inline void x_rorx(Asm *a, bool w, unsigned d, unsigned s, unsigned n) /* BMI2 */
{
    x_byte(a, 0xc4);
    x_byte(a, (d & 8 ? 0u : 0x80u) | 0x40 | (s & 8 ? 0u : 0x20u) | 3);
    x_byte(a, (w ? 0x80u : 0) | 0x78 | 3);
    x_byte(a, 0xf0);
    x_byte(a, 0xc0 | (d & 7) << 3 | (s & 7));
    x_byte(a, n);
}
/* Jumps return the offset of their displacement; x_fix aims it at an offset of the same buffer. */
static inline uint8_t *x_jcc(Asm *a, unsigned cc)
{
    x_byte(a, 0x0f);
    x_byte(a, 0x80 | cc);
    x_imm32(a, 0);
    return a->p - 4;
}
static inline uint8_t *x_jmp(Asm *a)
{
    x_byte(a, 0xe9);
    x_imm32(a, 0);
    return a->p - 4;
}
static inline uint8_t *x_call(Asm *a)
{
    x_byte(a, 0xe8);
    x_imm32(a, 0);
    return a->p - 4;
}
static inline void x_fix(uint8_t *at, const uint8_t *to)
{
    int32_t d = (int32_t)(to - (at + 4));
    memcpy(at, &d, 4);
}
#endif
