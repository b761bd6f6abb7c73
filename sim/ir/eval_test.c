/* SPDX-License-Identifier: Apache-2.0
 * Every PURE op against a second formulation: bit by bit, in 128 bits, or by the definition in words. */
#include "sim/base/test.h"
#include "sim/ir/ir_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef __int128 I128;
typedef unsigned __int128 U128;

static I128 sext(U128 v, unsigned bits) /* the low bits as a signed number */
{
    U128 low = v & (((U128)1 << bits) - 1);
    return low >> (bits - 1) & 1 ? (I128)low - ((I128)1 << bits) : (I128)low;
}

static uint64_t low(I128 v, unsigned bits) /* modulo 2^bits */
{
    return (uint64_t)((U128)v & (((U128)1 << bits) - 1));
}

static uint64_t w(I128 v) /* modulo 2^32, sign-extended */
{
    return (uint64_t)sext((U128)v, 32);
}

static I128 floor_div(I128 a, I128 b) /* b > 0 */
{
    I128 q = a / b;
    return q * b > a ? q - 1 : q;
}

static I128 quotient(I128 a, I128 b, bool want_rest) /* Unpriv 13.2, from magnitudes */
{
    if (b == 0) {
        return want_rest ? a : -1;
    }
    U128 ua = a < 0 ? (U128)-a : (U128)a, ub = b < 0 ? (U128)-b : (U128)b, q = ua / ub, r = ua - q * ub;
    if (want_rest) {
        return a < 0 ? -(I128)r : (I128)r;
    }
    return (a < 0) != (b < 0) ? -(I128)q : (I128)q;
}

static I128 pow2(uint64_t n)
{
    return (I128)1 << n;
}

static uint64_t rotate(uint64_t a, uint64_t n, unsigned bits)
{
    uint64_t d = 0;
    for (unsigned i = 0; i < bits; i++) {
        d |= (a >> ((i + n) % bits) & 1) << i;
    }
    return d;
}

static uint64_t count(uint64_t a, int kind) /* 'c'lz, c't'z, 'p'opcount */
{
    unsigned first = 64, last = 64, n = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (a >> i & 1) {
            first = first == 64 ? i : first;
            last = 63 - i;
            n++;
        }
    }
    return kind == 'c' ? last : kind == 't' ? first : n;
}

static uint64_t swap(uint64_t a)
{
    uint64_t d = 0;
    for (unsigned i = 0; i < 64; i += 8) {
        d = d << 8 | (a >> i & 255);
    }
    return d;
}

static uint64_t by_byte(uint64_t a, bool is_reverse)
{
    uint64_t d = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint64_t byte = a >> (i & 56) & 255;
        d |= (is_reverse ? byte >> (7 - i % 8) & 1 : (uint64_t)(byte != 0)) << i;
    }
    return d;
}

static uint64_t carry_less(uint64_t a, uint64_t b, unsigned shift)
{
    U128 d = 0;
    for (unsigned i = 0; i < 64; i++) {
        d ^= b >> i & 1 ? (U128)a << i : 0;
    }
    return (uint64_t)(d >> shift);
}

#define S(v)  sext(v, 64)
#define U(v)  ((I128)(U128)(v))
#define SW(v) sext(v, 32)
#define UW(v) ((I128)(U128)(uint32_t)(v))
#define REF(name, expr)                                                                                                \
    static uint64_t ref_##name(uint64_t a, uint64_t b, uint64_t c, int64_t imm)                                        \
    {                                                                                                                  \
        (void)a, (void)b, (void)c, (void)imm;                                                                          \
        return (uint64_t)(expr);                                                                                       \
    }
REF(movi, imm)
REF(mov, a)
REF(sx8, sext(a, 8))
REF(sx16, sext(a, 16))
REF(sx32, sext(a, 32))
REF(zx8, a % 256)
REF(zx16, a % 65536)
REF(zx32, a % (1ull << 32))
REF(clz, count(a, 'c'))
REF(ctz, count(a, 't'))
REF(popcount, count(a, 'p'))
REF(bswap, swap(a))
REF(brev8, by_byte(a, true))
REF(orb, by_byte(a, false))
REF(add, low(U(a) + U(b), 64))
REF(sub, low(U(a) - U(b), 64))
REF(and, ~(~a | ~b))
REF(or, ~(~a & ~b))
REF(xor, (a | b) - (a & b))
REF(andn, a - (a & b))
REF(orn, ~(b - (a & b)))
REF(xnor, (a & b) | ~(a | b))
REF(min, S(a) - S(b) < 0 ? a : b)
REF(max, S(a) - S(b) > 0 ? a : b)
REF(minu, U(a) - U(b) < 0 ? a : b)
REF(maxu, U(a) - U(b) > 0 ? a : b)
REF(shl, low(U(a) * pow2(b % 64), 64))
REF(shr, floor_div(U(a), pow2(b % 64)))
REF(sar, floor_div(S(a), pow2(b % 64)))
REF(rotr, rotate(a, b % 64, 64))
REF(eq, !(a ^ b))
REF(ne, !!(a ^ b))
REF(lt, S(a) - S(b) < 0)
REF(ltu, U(a) - U(b) < 0)
REF(mul, low((I128)((U128)a *b), 64))
REF(mulh, floor_div(S(a) * S(b), pow2(64)))
REF(clmul, carry_less(a, b, 0))
REF(clmulh, carry_less(a, b, 64))
REF(mulhsu, floor_div(S(a) * U(b), pow2(64)))
REF(div, quotient(S(a), S(b), false))
REF(divu, quotient(U(a), U(b), false))
REF(rem, quotient(S(a), S(b), true))
REF(remu, quotient(U(a), U(b), true))
REF(addw, w(U(a) + U(b)))
REF(subw, w(U(a) - U(b)))
REF(shlw, w(UW(a) * pow2(b % 32)))
REF(shrw, w(floor_div(UW(a), pow2(b % 32))))
REF(sarw, w(floor_div(SW(a), pow2(b % 32))))
REF(rotrw, w((I128)rotate((uint32_t)a, b % 32, 32)))
REF(mulw, w(SW(a) * SW(b)))
REF(divw, w(quotient(SW(a), SW(b), false)))
REF(divuw, w(quotient(UW(a), UW(b), false)))
REF(remw, w(quotient(SW(a), SW(b), true)))
REF(remuw, w(quotient(UW(a), UW(b), true)))
REF(add32, low(U(a) + U(b), 32))
REF(sub32, low(U(a) - U(b), 32))
REF(shl32, low(UW(a) * pow2(b % 32), 32))
REF(shr32, floor_div(UW(a), pow2(b % 32)))
REF(sar32, low(floor_div(SW(a), pow2(b % 32)), 32))
REF(rotr32, rotate((uint32_t)a, b % 32, 32))
REF(mul32, low(UW(a) * UW(b), 32))
REF(sel, a != 0 ? b : c)
REF(unbox16, ~a >> 16 ? 0x7e00 : a % 0x10000)
REF(unbox32, ~a >> 32 ? 0x7fc00000 : a % 0x100000000)

static uint64_t ref_mulhu(uint64_t a, uint64_t b, uint64_t c, int64_t imm) /* by halves */
{
    (void)c, (void)imm;
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t mid = al * bh + (al * bl >> 32), mid2 = ah * bl + (uint32_t)mid;
    return ah * bh + (mid >> 32) + (mid2 >> 32);
}

typedef uint64_t RefFn(uint64_t a, uint64_t b, uint64_t c, int64_t imm);
static RefFn *const refs[IR_COUNT] = {
#define NUL(name, expr) [IR_##name] = ref_##name,
#define UN(name, expr)  [IR_##name] = ref_##name,
#define BIN(name, expr) [IR_##name] = ref_##name, [IR_##name##_i] = ref_##name,
#define TRI(name, expr) [IR_##name] = ref_##name,
#include "sim/ir/ir_ops.def"
};

static bool agrees(unsigned op, uint64_t a, uint64_t b, uint64_t c)
{
    bool is_imm = ir_op_info[op].has_imm;
    uint64_t got = is_imm ? ir_eval((IrOpcode)op, a, ~b, c, (int64_t)b) : ir_eval((IrOpcode)op, a, b, c, 99);
    uint64_t want = refs[op](a, b, c, (int64_t)b);
    if (got != want) {
        printf("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")\n", ir_op_info[op].name, a, b, c);
    }
    return got == want;
}

TEST(ir_eval, every_pure_op_is_its_second_formulation_at_the_edges_and_at_random)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        31,
        32,
        33,
        63,
        64,
        65,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0xffffffff80000000,
        0xffffffff7fffffff,
        0x7fffffffffffffff,
        0x8000000000000000,
        0x8000000000000001,
        ~0ull - 1,
        ~0ull,
    };
    enum { N = sizeof edges / sizeof edges[0] };
    uint64_t seed = 1;
    for (unsigned op = 0; op < IR_COUNT; op++) {
        if (ir_op_info[op].cls != CLASS_PURE) {
            continue;
        }
        bool ok = true;
        for (unsigned i = 0; ok && i < N * N; i++) {
            ok = agrees(op, edges[i / N], edges[i % N], edges[(i * 7 + 1) % N]);
        }
        for (unsigned i = 0; ok && i < 2000; i++) {
            uint64_t a = test_operand(&seed), b = test_operand(&seed), c = test_operand(&seed);
            ok = agrees(op, a, b, c);
        }
        CHECK(ok);
    }
}

TEST(ir_eval, a_condition_is_the_sign_of_the_difference)
{
    uint64_t seed = 2;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t a = test_operand(&seed), b = i % 5 ? test_operand(&seed) : a;
        I128 s = S(a) - S(b), u = U(a) - U(b);
        CHECK(ir_cond(COND_EQ, a, b) == (u == 0));
        CHECK(ir_cond(COND_NE, a, b) == (u != 0));
        CHECK(ir_cond(COND_LT, a, b) == (s < 0));
        CHECK(ir_cond(COND_GE, a, b) == (s >= 0));
        CHECK(ir_cond(COND_LTU, a, b) == (u < 0));
        CHECK(ir_cond(COND_GEU, a, b) == (u >= 0));
    }
}

static uint64_t bits_of(double d)
{
    uint64_t v;
    memcpy(&v, &d, sizeof v);
    return v;
}

static double double_of(uint64_t v)
{
    double d;
    memcpy(&d, &v, sizeof d);
    return d;
}

TEST(ir_eval, an_fp_op_of_doubles_to_nearest_is_that_of_c)
{
    uint64_t seed = 4;
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t a = test_random(&seed) >> 2, b = test_random(&seed) >> 2, c = test_random(&seed) >> 2; /* no NaN */
        double x = double_of(a), y = double_of(b), z = double_of(c);
        const struct {
            IrOpcode op;
            double want;
        } cases[] = {
            {IR_fadd, x + y},
            {IR_fsub, x - y},
            {IR_fmul, x * y},
            {IR_fdiv, x / y},
            {IR_fsqrt, __builtin_sqrt(x)},
            {IR_fma, __builtin_fma(x, y, z)},
        };
        for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
            IrOp o = {.op = (uint16_t)cases[j].op, .aux = FP_AUX(FMT_F64, RM_RNE)};
            uint32_t flags = 0;
            CHECK(ir_eval_fp(&o, a, b, c, RM_RUP, FP_MODE_RISCV, &flags) == bits_of(cases[j].want));
        }
    }
}

TEST(ir_eval, every_fp_op_takes_any_aux_rounding_and_operand)
{
    uint64_t seed = 6;
    for (unsigned op = 0; op < IR_COUNT; op++) {
        for (unsigned i = 0; ir_op_info[op].cls == CLASS_FP && i < 2000; i++) {
            IrOp o = {.op = (uint16_t)op, .aux = FP_AUX3(i & 3, i >> 2 & 7, i >> 5 & 3)};
            FpShape shape = ir_op_info[op].shape;
            bool is_boxed = i >> 7 & 1, is_int = shape == FP_SHAPE_TEST || shape == FP_SHAPE_TO_INT;
            o.aux |= is_boxed ? FP_BOXED : 0;
            uint64_t a = test_operand(&seed), b = test_operand(&seed), c = test_operand(&seed);
            uint32_t flags = 64, mode = (uint32_t)test_random(&seed) & 0xfff & ~FPM_NAN_RULE;
            uint64_t d = ir_eval_fp(&o, a, b, c, (unsigned)test_random(&seed), mode, &flags);
            CHECK(is_int || (i & 3) == FMT_F64 || (is_boxed ? ~d : d) >> ((i & 3) == FMT_F32 ? 32 : 16) == 0);
            CHECK(flags & 64 && flags < 128);
        }
    }
}

TEST(ir_eval, flags_accrue_and_a_dynamic_rounding_is_the_given_one)
{
    IrOp o = {.op = IR_fdiv, .aux = FP_AUX(FMT_F64, RM_DYN)};
    uint32_t flags = FP_DZ;
    uint64_t down = ir_eval_fp(&o, bits_of(1), bits_of(3), 0, RM_RDN, FP_MODE_RISCV, &flags);
    uint64_t up = ir_eval_fp(&o, bits_of(1), bits_of(3), 0, RM_RUP, FP_MODE_RISCV, &flags);
    CHECK_INT(up, down + 1);
    CHECK_INT(flags, FP_DZ | FP_NX);
    o.aux = FP_AUX(FMT_F64, RM_RTZ);
    CHECK_INT(ir_eval_fp(&o, bits_of(1), bits_of(3), 0, RM_RUP, FP_MODE_RISCV, &flags), down);
}

static uint64_t eval_rne(IrOpcode op, unsigned aux, uint64_t a, uint64_t b, uint32_t *flags)
{
    IrOp o = {.op = (uint16_t)op, .aux = (uint16_t)aux};
    *flags = 0;
    return ir_eval_fp(&o, a, b, 0, RM_RNE, FP_MODE_RISCV, flags);
}

TEST(ir_eval, a_boxed_operand_without_its_ones_is_the_default_nan)
{
    enum { F32 = FP_AUX(FMT_F32, RM_RNE) | FP_BOXED, ONE = 0x3f800000, TWO = 0x40000000, NAN32 = 0x7fc00000 };
    const uint64_t box = 0xffffffff00000000;
    uint32_t flags;
    CHECK_INT(eval_rne(IR_fadd, F32, box | ONE, box | ONE, &flags), box | TWO);
    CHECK_INT(eval_rne(IR_fadd, F32, box | ONE, 0x7fffffff00000000 | ONE, &flags), box | NAN32);
    CHECK_INT(flags, 0);
    CHECK_INT(eval_rne(IR_feq, F32, ONE, ONE, &flags), 0);
    CHECK_INT(eval_rne(IR_fclass, F32, ONE, 0, &flags), FP_CLASS_QNAN);
    CHECK_INT(eval_rne(IR_ftoi, FP_AUX3(FMT_F32, RM_RNE, FP_I32) | FP_BOXED, box | TWO, 0, &flags), 2);
    CHECK_INT(eval_rne(IR_itof, FP_AUX3(FMT_F32, RM_RNE, FP_I64) | FP_BOXED, 2, 0, &flags), box | TWO);
    CHECK_INT(eval_rne(IR_fcvt, FP_AUX3(FMT_F64, RM_RNE, FMT_F32) | FP_BOXED, TWO, 0, &flags), 0x7ff8000000000000);
    CHECK_INT(eval_rne(IR_fcvt, FP_AUX3(FMT_F32, RM_RNE, FMT_F64) | FP_BOXED, bits_of(2), 0, &flags), box | TWO);
}

TEST(ir_eval, a_comparison_of_numbers_is_that_of_c_and_a_nan_is_unordered)
{
    static const double values[] = {-1.0 / 0.0, -2, -0.0, 0.0, 1e-310, 1, 2.5, 1.0 / 0.0, 0.0 / 0.0};
    enum { F64 = FP_AUX(FMT_F64, RM_RNE), N = sizeof values / sizeof values[0] };
    for (unsigned i = 0; i < N * N; i++) {
        double x = values[i % N], y = values[i / N];
        bool has_nan = i % N == N - 1 || i / N == N - 1;
        const struct {
            IrOpcode op;
            bool want, is_signalling;
        } cases[] = {{IR_feq, x == y, false},
                     {IR_flt, x < y, true},
                     {IR_fle, x <= y, true},
                     {IR_fltq, x < y, false},
                     {IR_fleq, x <= y, false}};
        for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
            uint32_t flags;
            CHECK_INT(eval_rne(cases[j].op, F64, bits_of(x), bits_of(y), &flags), cases[j].want);
            CHECK_INT(flags, has_nan && cases[j].is_signalling ? FP_NV : 0);
        }
    }
}
