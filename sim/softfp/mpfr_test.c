/* SPDX-License-Identifier: Apache-2.0
 * mpfr_test.c - results and flags of every format and rounding against GNU MPFR. What MPFR computes: the operation with
 * unbounded exponent, correctly rounded, with the direction of the error; its move into the format's range
 * (mpfr_check_range, mpfr_subnormalize). MPFR rounds subnormals in neither of RMM and ODD, so these two are derived
 * from three values that it does give: toward zero, away from zero, and toward zero with two more bits. */
#include "sim/base/test.h"
#include "sim/softfp/softfp.h"
#include "sim/softfp/test_operands.h"

#ifdef SOFTFP_MPFR
#include <mpfr.h>

enum { NRANDOM = 100000, EXACT_BITS = 64, MAX_FAILURES = 5 };

typedef enum { DO_ADD, DO_SUB, DO_MUL, DO_DIV, DO_REM, DO_SQRT, DO_FMA, DO_CONVERT, DO_COUNT } Do;

typedef struct {
    const char *name;
    unsigned nsrc;
    FpOp1 *op1;
    FpOp2 *op2;
    FpOp3 *op3;
} DoInfo;

static const DoInfo do_info[DO_COUNT] = {
    [DO_ADD] = {"add", 2, NULL, fp_add, NULL}, [DO_SUB] = {"sub", 2, NULL, fp_sub, NULL},
    [DO_MUL] = {"mul", 2, NULL, fp_mul, NULL}, [DO_DIV] = {"div", 2, NULL, fp_div, NULL},
    [DO_REM] = {"rem", 2, NULL, fp_rem, NULL}, [DO_SQRT] = {"sqrt", 1, fp_sqrt, NULL, NULL},
    [DO_FMA] = {"fma", 3, NULL, NULL, fp_fma}, [DO_CONVERT] = {"convert", 1, NULL, NULL, NULL},
};

/* One question: operands as bits (CONVERT from an integer: as value only) and as values. */
typedef struct {
    Do what;
    const FpFormat *from, *to;
    uint64_t bits[3];
    mpfr_t value[3];
    mpfr_t near, zero, away, fine, middle;
} Case;

static void case_start(Case *k)
{
    for (int i = 0; i < 3; i++) {
        mpfr_init2(k->value[i], EXACT_BITS);
    }
    mpfr_inits2(EXACT_BITS, k->near, k->zero, k->away, k->fine, k->middle, (mpfr_ptr)0);
}

static void case_end(Case *k)
{
    for (int i = 0; i < 3; i++) {
        mpfr_clear(k->value[i]);
    }
    mpfr_clears(k->near, k->zero, k->away, k->fine, k->middle, (mpfr_ptr)0);
    mpfr_free_cache();
}

/* ---- between bits and values, without softfp's own unpacking ---- */
static bool bits_are_nan(const FpFormat *f, uint64_t bits)
{
    return (bits & format_mask(f) >> 1) > format_inf(f);
}

static bool bits_are_signalling(const FpFormat *f, uint64_t bits)
{
    return bits_are_nan(f, bits) && !(bits >> (f->frac_bits - 1) & 1);
}

static void value_of_bits(mpfr_t x, const FpFormat *f, uint64_t bits)
{
    int exp = (int)(bits >> f->frac_bits) & ((1 << f->exp_bits) - 1);
    uint64_t fraction = bits & ((UINT64_C(1) << f->frac_bits) - 1);
    bool sign = bits >> (f->frac_bits + f->exp_bits) & 1;
    if (exp == (1 << f->exp_bits) - 1) {
        if (fraction) {
            mpfr_set_nan(x);
        } else {
            mpfr_set_inf(x, sign ? -1 : 1);
        }
        return;
    }
    uint64_t sig = exp ? fraction | UINT64_C(1) << f->frac_bits : fraction;
    mpfr_set_ui_2exp(x, sig, (exp ? exp : 1) - format_bias(f) - f->frac_bits, MPFR_RNDN);
    mpfr_setsign(x, x, sign, MPFR_RNDN);
}

static uint64_t bits_of_value(mpfr_t x, const FpFormat *f)
{
    if (mpfr_nan_p(x)) {
        return num_default_nan(f, 0);
    }
    uint64_t sign = format_sign(f, mpfr_signbit(x));
    if (mpfr_inf_p(x) || mpfr_zero_p(x)) {
        return sign | (mpfr_inf_p(x) ? format_inf(f) : 0);
    }
    mpfr_exp_t exp = mpfr_get_exp(x) - 1; /* MPFR's significands are in [1/2, 1) */
    int bias = format_bias(f), least = 1 - bias;
    mpfr_exp_t unit = (exp < least ? least : exp) - f->frac_bits;
    mpfr_t scaled;
    mpfr_init2(scaled, EXACT_BITS);
    mpfr_mul_2si(scaled, x, -unit, MPFR_RNDN);
    mpfr_abs(scaled, scaled, MPFR_RNDN);
    uint64_t sig = mpfr_get_ui(scaled, MPFR_RNDN);
    mpfr_clear(scaled);
    return sign | (exp < least ? sig : sig + ((uint64_t)(exp + bias - 1) << f->frac_bits));
}

/* ---- the oracle ---- */
static int compute(Case *k, mpfr_t r, unsigned nbits, mpfr_rnd_t rnd)
{
    mpfr_ptr a = k->value[0], b = k->value[1], c = k->value[2];
    mpfr_set_prec(r, nbits);
    switch (k->what) {
    case DO_ADD:
        return mpfr_add(r, a, b, rnd);
    case DO_SUB:
        return mpfr_sub(r, a, b, rnd);
    case DO_MUL:
        return mpfr_mul(r, a, b, rnd);
    case DO_DIV:
        return mpfr_div(r, a, b, rnd);
    case DO_REM:
        return mpfr_remainder(r, a, b, rnd);
    case DO_SQRT:
        return mpfr_sqrt(r, a, rnd);
    case DO_FMA:
        return mpfr_fma(r, a, b, c, rnd);
    case DO_CONVERT:
        return mpfr_set(r, a, rnd);
    case DO_COUNT:
        break;
    }
    abort();
}

/* Moves r, rounded with an unbounded exponent and error t, into the range of f. */
static uint64_t into_range(const FpFormat *f, mpfr_t r, int t, mpfr_rnd_t rnd, uint32_t *flags)
{
    mpfr_exp_t emin = mpfr_get_emin(), emax = mpfr_get_emax();
    int bias = format_bias(f);
    bool is_overflow = mpfr_regular_p(r) && mpfr_get_exp(r) > bias + 1;
    mpfr_set_emin(2 - bias - f->frac_bits);
    mpfr_set_emax(bias + 1);
    t = mpfr_check_range(r, t, rnd);
    t = mpfr_subnormalize(r, t, rnd);
    mpfr_set_emin(emin);
    mpfr_set_emax(emax);
    *flags |= (t ? FP_NX : 0) | (is_overflow ? FP_OF | FP_NX : 0);
    return bits_of_value(r, f);
}

static bool is_below_normal(const FpFormat *f, mpfr_t r)
{
    return mpfr_regular_p(r) && mpfr_get_exp(r) - 1 < 1 - format_bias(f);
}

/* |exact| >= the middle of the neighbours zero and away, which fine = |exact| cut 2 bits later can tell */
static bool is_upper_half(Case *k)
{
    mpfr_set_prec(k->middle, EXACT_BITS);
    mpfr_add(k->middle, k->zero, k->away, MPFR_RNDN);
    mpfr_div_2ui(k->middle, k->middle, 1, MPFR_RNDN);
    return mpfr_cmpabs(k->fine, k->middle) >= 0;
}

/* RMM, ODD: the neighbours, first with the unbounded exponent for tininess, then in the format. */
static uint64_t derived(Case *k, FpRound rm, bool *is_tiny, uint32_t *flags)
{
    const FpFormat *f = k->to;
    unsigned nbits = f->frac_bits + 1u;
    int t_zero = compute(k, k->zero, nbits, MPFR_RNDZ);
    mpfr_rnd_t outward = mpfr_signbit(k->zero) ? MPFR_RNDD : MPFR_RNDU;
    int t_away = compute(k, k->away, nbits, outward);
    compute(k, k->fine, nbits + 2, MPFR_RNDZ);
    bool is_carried = rm == RM_RMM && t_zero && is_upper_half(k);
    *is_tiny = is_below_normal(f, is_carried ? k->away : k->zero);
    if (!t_zero && !mpfr_regular_p(k->zero)) {
        return bits_of_value(k->zero, f);
    }
    uint32_t away_flags = 0, zero_flags = 0;
    uint64_t zero = into_range(f, k->zero, t_zero, MPFR_RNDZ, &zero_flags);
    uint64_t away = into_range(f, k->away, t_away, outward, &away_flags);
    bool is_outward = zero != away && !(zero & 1);
    if (rm == RM_RMM) {
        if (mpfr_inf_p(k->away)) { /* the neighbour that an unbounded exponent would have */
            mpfr_set_si_2exp(k->away, mpfr_signbit(k->zero) ? -1 : 1, format_bias(f) + 1, MPFR_RNDN);
        }
        is_outward = zero != away && is_upper_half(k);
    }
    /* ODD never steps from the largest finite number, which is odd; RMM overflows where unbounded rounding does */
    *flags |= zero != away ? FP_NX : 0;
    *flags |= (zero_flags & FP_OF) || (is_outward && (away_flags & FP_OF)) ? FP_OF : 0;
    return is_outward ? away : zero;
}

static uint64_t native(Case *k, FpRound rm, bool *is_tiny, uint32_t *flags)
{
    static const mpfr_rnd_t rnd_of[] = {
        [RM_RNE] = MPFR_RNDN, [RM_RTZ] = MPFR_RNDZ, [RM_RDN] = MPFR_RNDD, [RM_RUP] = MPFR_RNDU};
    int t = compute(k, k->near, k->to->frac_bits + 1u, rnd_of[rm]);
    *is_tiny = is_below_normal(k->to, k->near);
    return into_range(k->to, k->near, t, rnd_of[rm], flags);
}

static uint64_t oracle(Case *k, FpRound rm, uint32_t mode, uint32_t *flags)
{
    bool is_nan = false, is_tiny;
    unsigned nsrc = do_info[k->what].nsrc;
    for (unsigned i = 0; i < nsrc; i++) {
        is_nan |= mpfr_nan_p(k->value[i]);
        *flags |= mpfr_nan_p(k->value[i]) && bits_are_signalling(k->from, k->bits[i]) ? FP_NV : 0;
    }
    uint64_t want = rm == RM_RMM || rm == RM_ODD ? derived(k, rm, &is_tiny, flags) : native(k, rm, &is_tiny, flags);
    if (bits_are_nan(k->to, want)) {
        bool is_inf_zero = k->what == DO_FMA && ((mpfr_inf_p(k->value[0]) && mpfr_zero_p(k->value[1])) ||
                                                 (mpfr_zero_p(k->value[0]) && mpfr_inf_p(k->value[1])));
        *flags |= !is_nan || is_inf_zero ? FP_NV : 0;
        return want;
    }
    *flags |= k->what == DO_DIV && mpfr_regular_p(k->value[0]) && mpfr_zero_p(k->value[1]) ? FP_DZ : 0;
    if (!(mode & FPM_TINY_AFTER)) { /* of the exact value: cut to the precision, it stays on its side of a power of 2 */
        compute(k, k->zero, k->to->frac_bits + 1u, MPFR_RNDZ);
        is_tiny = is_below_normal(k->to, k->zero);
    }
    if (is_tiny && (mode & k->to->flush_out)) {
        *flags |= FP_UF | FP_NX;
        *flags &= mode & FPM_FZ_NX ? ~0u : ~(uint32_t)FP_NX;
        return want & format_sign(k->to, true);
    }
    *flags |= is_tiny && ((*flags & FP_NX) || (mode & FPM_UF_IF_EXACT)) ? FP_UF : 0;
    return want;
}

/* ---- questions ---- */
static bool is_equal(const Case *k, const Random *r, FpRound rm, uint32_t mode, const uint64_t got[2],
                     const uint64_t want[2])
{
    if (got[0] == want[0] && got[1] == want[1]) {
        return true;
    }
    printf("%s frac_bits %u to %u (%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") rm %d mode %#x: got %#" PRIx64
           " flags %#" PRIx64 ", MPFR %#" PRIx64 " flags %#" PRIx64 " (CONF_SEED=%" PRIu64 ")\n",
           do_info[k->what].name, k->from->frac_bits, k->to->frac_bits, k->bits[0], k->bits[1], k->bits[2], (int)rm,
           mode, got[0], got[1], want[0], want[1], r->seed);
    return false;
}

static bool ask(Case *k, FpFmt fmt, const Random *r, FpRound rm, uint32_t mode)
{
    const DoInfo *t = &do_info[k->what];
    uint32_t flags = 0, want_flags = 0;
    for (unsigned i = 0; i < t->nsrc; i++) {
        value_of_bits(k->value[i], k->from, k->bits[i]);
    }
    uint64_t got = t->op1   ? t->op1(fmt, k->bits[0], rm, mode, &flags)
                   : t->op2 ? t->op2(fmt, k->bits[0], k->bits[1], rm, mode, &flags)
                            : t->op3(fmt, k->bits[0], k->bits[1], k->bits[2], rm, mode, &flags);
    uint64_t want = oracle(k, rm, mode, &want_flags);
    return is_equal(k, r, rm, mode, (uint64_t[]){got, flags}, (uint64_t[]){want, want_flags});
}

static uint32_t random_mode(Random *r)
{
    static const uint32_t variants[] = {0,
                                        FPM_TINY_AFTER,
                                        FPM_TINY_AFTER | FPM_UF_IF_EXACT,
                                        FPM_UF_IF_EXACT,
                                        FPM_FZ_OUT | FPM_FZ16_OUT,
                                        FPM_TINY_AFTER | FPM_FZ_OUT | FPM_FZ16_OUT | FPM_FZ_NX};
    return (FP_MODE_RISCV & ~(uint32_t)FPM_TINY_AFTER) | variants[random_below(r, 6)];
}

static void random_case(Case *k, FpFmt fmt, Random *r)
{
    const FpFormat *f = fp_format(fmt);
    k->from = k->to = f;
    k->bits[0] = random_operand(f, r);
    k->bits[1] = random_partner(fmt, r, k->bits[0]);
    k->bits[2] = random_operand(f, r);
    if (k->what == DO_FMA && random_below(r, 2)) {
        uint32_t unused = 0;
        uint64_t product = fp_mul(fmt, k->bits[0], k->bits[1], RM_RNE, FP_MODE_RISCV, &unused);
        k->bits[2] = random_partner(fmt, r, product) ^ format_sign(f, true);
    }
    if (k->what == DO_SQRT && random_below(r, 4) == 0) { /* at and around a square */
        uint32_t unused = 0;
        k->bits[0] = fp_mul(fmt, k->bits[0], k->bits[0], RM_RNE, FP_MODE_RISCV, &unused) + random_below(r, 3) - 1;
        k->bits[0] &= format_mask(f);
    }
}

TEST(softfp, arithmetic_agrees_with_mpfr)
{
    Random r = random_start();
    Case k = {0};
    case_start(&k);
    for (int fmt = FMT_F16; fmt <= FMT_F64; fmt++) {
        for (int what = 0; what < DO_CONVERT; what++) {
            unsigned nbad = 0;
            k.what = (Do)what;
            for (unsigned n = 0; n < NRANDOM && nbad < MAX_FAILURES; n++) {
                random_case(&k, (FpFmt)fmt, &r);
                nbad += !ask(&k, (FpFmt)fmt, &r, (FpRound)random_below(&r, 6), random_mode(&r));
            }
            CHECK_INT(nbad, 0);
        }
    }
    case_end(&k);
}

TEST(softfp, every_f16_square_root_agrees_with_mpfr)
{
    Random r = random_start();
    Case k = {.what = DO_SQRT, .from = fp_format(FMT_F16), .to = fp_format(FMT_F16)};
    unsigned nbad = 0;
    case_start(&k);
    for (k.bits[0] = 0; k.bits[0] <= UINT16_MAX && nbad < MAX_FAILURES; k.bits[0]++) {
        for (int rm = RM_RNE; rm <= RM_ODD; rm++) {
            nbad += !ask(&k, FMT_F16, &r, (FpRound)rm, FP_MODE_RISCV);
        }
    }
    CHECK_INT(nbad, 0);
    case_end(&k);
}

/* ---- conversions between formats ---- */
static bool ask_convert(Case *k, FpFmt to, FpFmt from, const Random *r, FpRound rm, uint32_t mode)
{
    uint32_t flags = 0, want_flags = 0;
    k->from = fp_format(from);
    k->to = fp_format(to);
    value_of_bits(k->value[0], k->from, k->bits[0]);
    uint64_t got = fp_convert(to, from, k->bits[0], rm, mode, &flags);
    uint64_t want = oracle(k, rm, to == FMT_F16 ? mode & ~(uint32_t)FPM_FZ16_OUT : mode, &want_flags);
    return is_equal(k, r, rm, mode, (uint64_t[]){got, flags}, (uint64_t[]){want, want_flags});
}

/* Often at or beside the middle between two numbers of the target, over its whole range. */
static uint64_t convert_operand(const FpFormat *to, const FpFormat *from, Random *r)
{
    uint64_t bits = random_operand(from, r);
    if (from->frac_bits <= to->frac_bits || random_below(r, 2)) {
        return bits;
    }
    uint64_t half = UINT64_C(1) << (from->frac_bits - to->frac_bits - 1);
    bits = (bits & ~(half * 2 - 1)) + half + random_below(r, 3) - 1;
    uint64_t exp = (uint64_t)(format_bias(from) - format_bias(to) - to->frac_bits - 2) +
                   random_below(r, (2u << to->exp_bits) + to->frac_bits);
    return exp >> from->exp_bits ? bits : (bits & ~format_inf(from)) | exp << from->frac_bits;
}

static unsigned count_bad_conversions(Case *k, FpFmt to, FpFmt from, Random *r)
{
    bool is_small = from == FMT_F16 || from == FMT_BF16; /* all of it, not samples */
    unsigned nbad = 0;
    for (unsigned n = 0; n < (is_small ? UINT16_MAX + 1 : NRANDOM) && nbad < MAX_FAILURES; n++) {
        k->bits[0] = is_small ? n : convert_operand(fp_format(to), fp_format(from), r);
        nbad += !ask_convert(k, to, from, r, (FpRound)random_below(r, 6), random_mode(r));
    }
    return nbad;
}

TEST(softfp, conversions_between_formats_agree_with_mpfr)
{
    Random r = random_start();
    Case k = {.what = DO_CONVERT};
    case_start(&k);
    for (int from = FMT_F16; from <= FMT_F64; from++) {
        for (int to = FMT_F16; to <= FMT_F64; to++) {
            CHECK_INT(count_bad_conversions(&k, (FpFmt)to, (FpFmt)from, &r), 0);
        }
    }
    case_end(&k);
}

TEST(softfp, conversions_from_integers_agree_with_mpfr)
{
    Random r = random_start();
    Case k = {.what = DO_CONVERT};
    case_start(&k);
    for (int fmt = FMT_F16; fmt <= FMT_F64; fmt++) {
        unsigned nbad = 0;
        k.from = k.to = fp_format((FpFmt)fmt);
        for (unsigned n = 0; n < NRANDOM && nbad < MAX_FAILURES; n++) {
            FpInt kind = (FpInt)random_below(&r, 4);
            FpRound rm = (FpRound)random_below(&r, 6);
            unsigned fbits = random_below(&r, 2) ? random_below(&r, 65) : 0;
            uint32_t flags = 0, want_flags = 0, mode = random_mode(&r);
            uint64_t v = (random_next(&r) >> random_below(&r, 64)) ^ -(uint64_t)random_below(&r, 2);
            v ^= random_below(&r, 4) ? 0 : v & v << 1 & v << 2 & v << 3;
            k.bits[0] = v;
            uint64_t got = fp_from_int((FpFmt)fmt, v, kind, fbits, rm, mode, &flags);
            if (kind == FP_I32 || kind == FP_I64) {
                mpfr_set_si(k.value[0], kind == FP_I32 ? (int32_t)v : (int64_t)v, MPFR_RNDN);
            } else {
                mpfr_set_ui(k.value[0], kind == FP_U32 ? (uint32_t)v : v, MPFR_RNDN);
            }
            mpfr_div_2ui(k.value[0], k.value[0], fbits, MPFR_RNDN);
            uint64_t want = oracle(&k, rm, mode, &want_flags);
            nbad += !is_equal(&k, &r, rm, mode, (uint64_t[]){got, flags}, (uint64_t[]){want, want_flags});
        }
        CHECK_INT(nbad, 0);
    }
    case_end(&k);
}

/* ---- to integers, to integral values ---- */
/* r = a to an integer; whether it differs */
static bool integral(mpfr_t r, mpfr_t a, FpRound rm)
{
    switch (rm) {
    case RM_RNE:
        mpfr_rint(r, a, MPFR_RNDN);
        break;
    case RM_RTZ:
    case RM_ODD:
        mpfr_trunc(r, a);
        break;
    case RM_RDN:
        mpfr_floor(r, a);
        break;
    case RM_RUP:
        mpfr_ceil(r, a);
        break;
    case RM_RMM:
        mpfr_round(r, a);
        break;
    }
    bool is_inexact = !mpfr_equal_p(r, a);
    if (rm == RM_ODD && is_inexact) {
        mpfr_t half;
        mpfr_init2(half, 2 * EXACT_BITS);
        mpfr_div_2ui(half, r, 1, MPFR_RNDN);
        if (mpfr_integer_p(half)) {
            mpfr_add_si(r, r, mpfr_signbit(a) ? -1 : 1, MPFR_RNDN);
        }
        mpfr_clear(half);
    }
    return is_inexact;
}

static uint64_t oracle_to_int(Case *k, FpInt kind, unsigned fbits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    bool is_signed = kind == FP_I32 || kind == FP_I64;
    unsigned nbits = kind == FP_I32 || kind == FP_U32 ? 32 : 64;
    uint64_t mask = UINT64_MAX >> (64 - nbits), most = is_signed ? mask >> 1 : mask, least = mask ^ most;
    mpfr_ptr a = k->value[0], r = k->near;
    mpfr_set_prec(r, 2 * EXACT_BITS);
    if (!mpfr_nan_p(a)) {
        mpfr_mul_2ui(a, a, fbits, MPFR_RNDN);
        bool is_inexact = mpfr_number_p(a) && integral(r, a, rm);
        if (mpfr_number_p(a) && mpfr_cmp_ui(r, most) <= 0 &&
            (is_signed ? mpfr_cmp_si(r, nbits == 32 ? INT32_MIN : INT64_MIN) >= 0 : mpfr_sgn(r) >= 0)) {
            *flags |= is_inexact ? FP_NX : 0;
            return (is_signed ? (uint64_t)mpfr_get_si(r, MPFR_RNDN) : mpfr_get_ui(r, MPFR_RNDN)) & mask;
        }
    }
    *flags |= FP_NV;
    if ((mode & FPM_INT_RULE) == FPM_INT_INDEFINITE) {
        return is_signed ? least : most;
    }
    return mpfr_nan_p(a) ? ((mode & FPM_INT_RULE) == FPM_INT_ZERO ? 0 : most) : mpfr_signbit(a) ? least : most;
}

/* Numbers about the limits of the integers, and their halves. */
static uint64_t int_operand(const FpFormat *f, Random *r)
{
    uint64_t bits = random_operand(f, r);
    unsigned exp = (unsigned)format_bias(f) + (random_below(r, 2) ? 29 : 61) + random_below(r, 5);
    bool is_near = random_below(r, 3) == 0 && exp < (1u << f->exp_bits);
    return is_near ? (bits & ~format_inf(f)) | (uint64_t)exp << f->frac_bits : bits;
}

static bool ask_to_int(Case *k, FpFmt fmt, Random *r)
{
    static const uint32_t rules[] = {FPM_INT_MAX, FPM_INT_ZERO, FPM_INT_INDEFINITE};
    uint32_t flags = 0, want_flags = 0, mode = rules[random_below(r, 3)];
    FpInt kind = (FpInt)random_below(r, 4);
    FpRound rm = (FpRound)random_below(r, 6);
    unsigned fbits = random_below(r, 4) ? 0 : random_below(r, 65);
    value_of_bits(k->value[0], k->from, k->bits[0]);
    uint64_t got = fp_to_int(fmt, k->bits[0], kind, fbits, rm, mode, &flags);
    uint64_t want = oracle_to_int(k, kind, fbits, rm, mode, &want_flags);
    k->bits[1] = kind, k->bits[2] = fbits;
    return is_equal(k, r, rm, mode, (uint64_t[]){got, flags}, (uint64_t[]){want, want_flags});
}

static bool ask_round_int(Case *k, FpFmt fmt, Random *r)
{
    uint32_t flags = 0, quiet_flags = 0, want_flags = 0;
    FpRound rm = (FpRound)random_below(r, 6);
    value_of_bits(k->value[0], k->from, k->bits[0]);
    mpfr_set_prec(k->near, EXACT_BITS);
    if (mpfr_nan_p(k->value[0])) {
        want_flags = bits_are_signalling(k->from, k->bits[0]) ? FP_NV : 0;
        mpfr_set_nan(k->near);
    } else {
        want_flags = integral(k->near, k->value[0], rm) ? FP_NX : 0;
    }
    uint64_t got = fp_round_int_exact(fmt, k->bits[0], rm, FP_MODE_RISCV, &flags);
    uint64_t got_quiet = fp_round_int(fmt, k->bits[0], rm, FP_MODE_RISCV, &quiet_flags);
    uint64_t want = bits_of_value(k->near, k->to);
    return is_equal(k, r, rm, 0, (uint64_t[]){got, flags}, (uint64_t[]){want, want_flags}) &&
           is_equal(k, r, rm, 0, (uint64_t[]){got_quiet, quiet_flags},
                    (uint64_t[]){want, want_flags & ~(uint32_t)FP_NX});
}

TEST(softfp, conversions_to_integers_and_integral_values_agree_with_mpfr)
{
    Random r = random_start();
    Case k = {.what = DO_CONVERT};
    case_start(&k);
    for (int fmt = FMT_F16; fmt <= FMT_F64; fmt++) {
        unsigned nbad = 0;
        bool is_small = fmt == FMT_F16 || fmt == FMT_BF16;
        k.from = k.to = fp_format((FpFmt)fmt);
        for (unsigned n = 0; n < 4 * NRANDOM && nbad < MAX_FAILURES; n++) {
            k.bits[0] = is_small ? n & UINT16_MAX : int_operand(k.from, &r);
            k.bits[1] = k.bits[2] = 0;
            nbad += !ask_to_int(&k, (FpFmt)fmt, &r);
            nbad += !ask_round_int(&k, (FpFmt)fmt, &r);
        }
        CHECK_INT(nbad, 0);
    }
    case_end(&k);
}

/* ---- order ---- */
TEST(softfp, comparisons_and_minima_agree_with_mpfr)
{
    Random r = random_start();
    Case k = {.what = DO_SUB};
    case_start(&k);
    for (int i = FMT_F16; i <= FMT_F64; i++) {
        FpFmt fmt = (FpFmt)i;
        const FpFormat *f = fp_format(fmt);
        unsigned nbad = 0;
        for (unsigned n = 0; n < NRANDOM && nbad < MAX_FAILURES; n++) {
            uint32_t flags = 0;
            uint64_t a = random_operand(f, &r), b = random_partner(fmt, &r, a);
            value_of_bits(k.value[0], f, a);
            value_of_bits(k.value[1], f, b);
            bool is_nan = bits_are_nan(f, a) || bits_are_nan(f, b);
            int order = is_nan ? 0 : mpfr_cmp(k.value[0], k.value[1]);
            FpOrder want = is_nan ? FP_UNORDERED : order < 0 ? FP_LESS : order > 0 ? FP_GREATER : FP_EQUAL;
            nbad += fp_compare(fmt, a, b, RM_RNE, FP_MODE_RISCV, &flags) != want;
            nbad += fp_compare_signal(fmt, a, b, RM_RNE, FP_MODE_RISCV, &flags) != want;
            if (!is_nan) {
                bool is_first = order ? order < 0 : mpfr_signbit(k.value[0]);
                nbad += fp_min(fmt, a, b, RM_RNE, FP_MODE_RISCV, &flags) != (is_first ? a : b);
                nbad += fp_minnum(fmt, a, b, RM_RNE, FP_MODE_AARCH64, &flags) != (is_first ? a : b);
                is_first = order ? order > 0 : !mpfr_signbit(k.value[0]);
                nbad += fp_max(fmt, a, b, RM_RNE, FP_MODE_RISCV, &flags) != (is_first ? a : b);
                nbad += fp_maxnum(fmt, a, b, RM_RNE, FP_MODE_AARCH64, &flags) != (is_first ? a : b);
                nbad += flags != 0;
            }
        }
        CHECK_INT(nbad, 0);
    }
    case_end(&k);
}
#else
TEST(softfp, arithmetic_agrees_with_mpfr)
{
    test_skip("built without libmpfr");
}
#endif
