/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/crosscheck/crosscheck.h"

#include "sim/base/mem.h"

uint64_t choose_u64(Choices *c)
{
    if (c->bytes) {
        uint64_t v = 0;
        for (unsigned i = 0; i < sizeof v && c->n; i++, c->n--) {
            v |= (uint64_t)*c->bytes++ << 8 * i;
        }
        return v;
    }
    uint64_t z = c->random += 0x9e3779b97f4a7c15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t choose(Choices *c, uint64_t below)
{
    if (c->bytes) { /* a byte or two each, so that a small change of the input is a small change of the program */
        uint64_t v = 0;
        for (unsigned i = 0; i < (below > 256 ? 2 : 1) && c->n; i++, c->n--) {
            v |= (uint64_t)*c->bytes++ << 8 * i;
        }
        return v % below;
    }
    return (choose_u64(c) >> 32) % below;
}

uint64_t choose_operand(Choices *c)
{
    uint64_t kind = choose(c, 12);
    uint64_t v = kind < 8 ? choose(c, 256) : choose_u64(c);
    switch (kind) {
    case 0:
        return 0;
    case 1:
        return v & 15;
    case 2:
        return 0 - (v & 15);
    case 3:
        return 1ull << (v & 63);
    case 4:
        return (1ull << (v & 63)) - 1;
    case 5:
        return (uint64_t)(int64_t)(int32_t)(1u << (v & 31)) - (v >> 5 & 1);
    case 6:
        return v & 1 ? 1ull << 63 : ~0ull;
    case 7:
        return v & 1 ? 0xffffffff80000000 : 0x7fffffff;
    case 8:
        return (uint32_t)v;
    default:
        return v;
    }
}

uint64_t choose_fp_slot(Choices *c)
{
    static const struct {
        unsigned bits, frac;
        uint64_t ones;
    } formats[] = {{16, 10, ~0ull << 16}, {16, 7, ~0ull << 16}, {32, 23, ~0ull << 32}, {64, 52, 0}};
    uint64_t which = choose(c, 8);
    unsigned fmt = which < 3 ? 3 : which < 6 ? 2 : (unsigned)which - 6;
    unsigned frac = formats[fmt].frac, nexp = formats[fmt].bits - 1 - frac;
    uint64_t emax = (1ull << nexp) - 1, any = choose_u64(c), exponent, fraction = any & ((1ull << frac) - 1);
    switch (choose(c, 8)) {
    case 0: /* zero, subnormal */
        exponent = 0;
        fraction = any >> 62 ? fraction : fraction >> choose(c, frac + 1);
        fraction = any >> 61 & 1 ? 0 : fraction;
        break;
    case 1: /* infinity, NaN of both kinds */
        exponent = emax;
        fraction = any >> 62 ? fraction : 0;
        break;
    case 2: /* about the limits */
        exponent = choose(c, 2) ? 1 + choose(c, 3) : emax - 1 - choose(c, 3);
        break;
    case 3: /* short fractions: exact results, ties */
        exponent = (emax / 2 - 4 + choose(c, frac + 8)) % emax;
        fraction = fraction >> (frac - 3) << (frac - 3);
        break;
    default: /* about one */
        exponent = (emax / 2 - 4 + choose(c, 8)) % emax;
        break;
    }
    uint64_t v = (any >> 63) << (formats[fmt].bits - 1) | exponent << frac | fraction;
    return v | (choose(c, 8) ? formats[fmt].ones : 0);
}
