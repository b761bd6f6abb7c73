/* SPDX-License-Identifier: Apache-2.0
 * host_test.c - the mode of this processor's architecture against this processor: results and flags of each instruction
 * of test_host_<arch>.def under random rounding and flushing. */
#include "sim/base/test.h"
#include "sim/softfp/softfp.h"
#include "sim/softfp/test_operands.h"

#if defined(__x86_64__)
#include "sim/softfp/test_host_x86_64.h"
#define HOST_ROWS "sim/softfp/test_host_x86_64.def"
#elif defined(__aarch64__)
#include "sim/softfp/test_host_aarch64.h"
#define HOST_ROWS "sim/softfp/test_host_aarch64.def"
#elif defined(__riscv) && __riscv_xlen == 64
#include "sim/softfp/test_host_riscv64.h"
#define HOST_ROWS "sim/softfp/test_host_riscv64.def"
#endif

#ifdef HOST_ROWS
enum { NRANDOM = 80000, MAX_FAILURES = 5, RM_CONTROL = -1 };

typedef uint64_t HostOp(uint64_t a, uint64_t b, uint64_t c, uint64_t control, uint32_t *status);
typedef enum { SHAPE_1, SHAPE_2, SHAPE_3, SHAPE_CONVERT, SHAPE_TO_INT, SHAPE_FROM_INT } Shape;

typedef struct {
    const char *name;
    HostOp *host;
    Shape shape;
    FpFmt fmt, to;
    FpInt kind;
    unsigned fbits;
    int rm;               /* of the instruction, or RM_CONTROL */
    uint32_t not_of_mode; /* FPM_x that the instruction does not obey */
    FpOp1 *op1;
    FpOp2 *op2;
    FpOp3 *op3;
} HostCase;

#define OP1(name, fmt, fp, code)                      HOST(name, code)
#define OP2(name, fmt, fp, code)                      HOST(name, code)
#define OP3(name, fmt, fp, code)                      HOST(name, code)
#define CONVERT(name, to, fmt, rm, not_of_mode, code) HOST(name, code)
#define TO_INT(name, kind, fmt, fbits, rm, code)      HOST(name, code)
#define FROM_INT(name, fmt, kind, fbits, code)        HOST(name, code)
#include HOST_ROWS
#undef OP1
#undef OP2
#undef OP3
#undef CONVERT
#undef TO_INT
#undef FROM_INT

#define ROW(name, ...)                   {#name, host_##name, __VA_ARGS__},
#define OP1(name, f, fp, code)           ROW(name, SHAPE_1, f, f, 0, 0, RM_CONTROL, 0, fp, NULL, NULL)
#define OP2(name, f, fp, code)           ROW(name, SHAPE_2, f, f, 0, 0, RM_CONTROL, 0, NULL, fp, NULL)
#define OP3(name, f, fp, code)           ROW(name, SHAPE_3, f, f, 0, 0, RM_CONTROL, 0, NULL, NULL, fp)
#define CONVERT(name, t, f, r, no, code) ROW(name, SHAPE_CONVERT, f, t, 0, 0, r, no, NULL, NULL, NULL)
#define TO_INT(name, k, f, b, r, code)   ROW(name, SHAPE_TO_INT, f, f, k, b, r, 0, NULL, NULL, NULL)
#define FROM_INT(name, f, k, b, code)    ROW(name, SHAPE_FROM_INT, f, f, k, b, RM_CONTROL, 0, NULL, NULL, NULL)
static const HostCase cases[] = {
#include HOST_ROWS
};

static bool is_here(const HostCase *t)
{
    return (t->shape != SHAPE_3 || has_fma()) && ((t->fmt != FMT_F16 && t->to != FMT_F16) || has_f16());
}

static uint64_t soft(const HostCase *t, const uint64_t v[3], FpRound rm, uint32_t mode, uint32_t *flags)
{
    switch (t->shape) {
    case SHAPE_1:
        return t->op1(t->fmt, v[0], rm, mode, flags);
    case SHAPE_2:
        return t->op2(t->fmt, v[0], v[1], rm, mode, flags);
    case SHAPE_3:
        return t->op3(t->fmt, v[0], v[1], v[2], rm, mode, flags);
    case SHAPE_CONVERT:
        return fp_convert(t->to, t->fmt, v[0], rm, mode, flags);
    case SHAPE_TO_INT:
        return fp_to_int(t->fmt, v[0], t->kind, t->fbits, rm, mode, flags);
    case SHAPE_FROM_INT:
        return fp_from_int(t->fmt, v[0], t->kind, t->fbits, rm, mode, flags);
    }
    __builtin_unreachable();
}

static void random_operands(const HostCase *t, Random *r, uint64_t v[3])
{
    const FpFormat *f = fp_format(t->fmt);
    v[0] = random_operand(f, r);
    v[1] = random_partner(t->fmt, r, v[0]);
    v[2] = random_operand(f, r);
    if (t->shape == SHAPE_FROM_INT) {
        v[0] = (random_next(r) >> random_below(r, 64)) ^ -(uint64_t)random_below(r, 2);
    }
    if (t->shape == SHAPE_3 && random_below(r, 2)) { /* near the product: cancellation */
        uint32_t unused = 0;
        v[2] = random_partner(t->fmt, r, fp_mul(t->fmt, v[0], v[1], RM_RNE, FP_MODE_RISCV, &unused));
        v[2] ^= format_sign(f, true);
    }
}

static bool is_same(const HostCase *t, Random *r)
{
    FpRound rm;
    uint32_t mode = HOST_MODE, flags = 0, status;
    uint64_t v[3], control = host_control(r, &rm, &mode), mask = format_mask(fp_format(t->to));
    if (t->shape == SHAPE_TO_INT) {
        mask = t->kind == FP_I32 || t->kind == FP_U32 ? UINT32_MAX : UINT64_MAX;
    }
    random_operands(t, r, v);
    uint64_t want = t->host(v[0], v[1], v[2], control, &status) & mask;
    rm = t->rm == RM_CONTROL ? rm : (FpRound)t->rm;
    uint64_t got = soft(t, v, rm, mode & ~t->not_of_mode, &flags);
    if (got == want && flags == host_flags(status)) {
        return true;
    }
    printf("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") control %#" PRIx64 ": got %#" PRIx64
           " flags %#x, host %#" PRIx64 " flags %#x (CONF_SEED=%" PRIu64 ")\n",
           t->name, v[0], v[1], v[2], control, got, flags, want, host_flags(status), r->seed);
    return false;
}

TEST(softfp, the_mode_of_this_processor_agrees_with_it)
{
    Random r = random_start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned nbad = 0;
        for (unsigned n = 0; is_here(&cases[i]) && n < NRANDOM && nbad < MAX_FAILURES; n++) {
            nbad += !is_same(&cases[i], &r);
        }
        CHECK_INT(nbad, 0);
    }
}
#else
TEST(softfp, the_mode_of_this_processor_agrees_with_it)
{
    test_skip("no instructions of this processor are known");
}
#endif
