/* SPDX-License-Identifier: Apache-2.0
 * The examples of the standards, computed with these instructions. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum { A0 = 10, A1 = 11, A2 = 12, OP = 0x33, OP_IMM = 0x13 };
#define AES(f7)          ENC_R(f7, A2, A1, 0, A0, OP)
#define KEY_START(round) ENC_I(0x310 | (round), A1, 1, A0, OP_IMM)
#define HASH(n)          ENC_I(0x100 | (n), A1, 1, A0, OP_IMM)
#define SM4(f5, byte)    ENC_R((byte) << 5 | (f5), A2, A1, 0, A0, OP)
enum { DS = 0x1d, DSM = 0x1f, ES = 0x19, ESM = 0x1b, KS2 = 0x3f, IM = 0x300, ED = 0x18, KS = 0x1a };

static uint64_t run(uint32_t insn, uint64_t a, uint64_t b)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.x[A1] = a;
    g.r.x[A2] = b;
    CHECK_INT(rig_step(&g, insn), RIG_NEXT);
    return g.r.x[A0];
}

/* ---- AES: FIPS 197, C.1 and C.3 ---- */
enum { MAX_ROUNDS = 14 };
typedef struct {
    uint64_t key[MAX_ROUNDS + 1][2];
    unsigned rounds;
} Schedule;

static Schedule schedule_128(uint64_t k0, uint64_t k1)
{
    Schedule s = {.key = {{k0, k1}}, .rounds = 10};
    for (unsigned i = 0; i < 10; i++) {
        s.key[i + 1][0] = run(AES(KS2), run(KEY_START(i), s.key[i][1], 0), s.key[i][0]);
        s.key[i + 1][1] = run(AES(KS2), s.key[i + 1][0], s.key[i][1]);
    }
    return s;
}

static Schedule schedule_256(const uint64_t k[4])
{
    Schedule s = {.key = {{k[0], k[1]}, {k[2], k[3]}}, .rounds = 14};
    for (unsigned i = 2; i <= 14; i++) {
        uint64_t start = run(KEY_START(i % 2 ? 10 : i / 2 - 1), s.key[i - 1][1], 0);
        s.key[i][0] = run(AES(KS2), start, s.key[i - 2][0]);
        s.key[i][1] = run(AES(KS2), s.key[i][0], s.key[i - 2][1]);
    }
    return s;
}

static void encrypt(const Schedule *s, uint64_t block[2])
{
    uint64_t a = block[0] ^ s->key[0][0], b = block[1] ^ s->key[0][1];
    for (unsigned i = 1; i <= s->rounds; i++) {
        unsigned f7 = i < s->rounds ? ESM : ES;
        uint64_t first = run(AES(f7), a, b), second = run(AES(f7), b, a);
        a = first ^ s->key[i][0];
        b = second ^ s->key[i][1];
    }
    block[0] = a;
    block[1] = b;
}

static void decrypt(const Schedule *s, uint64_t block[2]) /* the equivalent inverse cipher, 5.3.5 */
{
    uint64_t a = block[0] ^ s->key[s->rounds][0], b = block[1] ^ s->key[s->rounds][1];
    for (unsigned i = s->rounds; i-- > 0;) {
        unsigned f7 = i ? DSM : DS;
        uint64_t first = run(AES(f7), a, b), second = run(AES(f7), b, a);
        a = first ^ (i ? run(ENC_I(IM, A1, 1, A0, OP_IMM), s->key[i][0], 0) : s->key[i][0]);
        b = second ^ (i ? run(ENC_I(IM, A1, 1, A0, OP_IMM), s->key[i][1], 0) : s->key[i][1]);
    }
    block[0] = a;
    block[1] = b;
}

TEST(riscv64_crypto, aes_gives_the_examples_of_its_standard)
{
    const uint64_t k[4] = {0x0706050403020100, 0x0f0e0d0c0b0a0908, 0x1716151413121110, 0x1f1e1d1c1b1a1918};
    const uint64_t plain[2] = {0x7766554433221100, 0xffeeddccbbaa9988};
    const uint64_t want[2][2] = {{0x30047b6ad8e0c469, 0x5ac5b47080b7cdd8}, {0xbf456751cab7a28e, 0x8960494b9049fcea}};
    for (unsigned i = 0; i < 2; i++) {
        Schedule s = i ? schedule_256(k) : schedule_128(k[0], k[1]);
        uint64_t block[2] = {plain[0], plain[1]};
        encrypt(&s, block);
        CHECK_INT(block[0], want[i][0]);
        CHECK_INT(block[1], want[i][1]);
        decrypt(&s, block);
        CHECK_INT(block[0], plain[0]);
        CHECK_INT(block[1], plain[1]);
    }
}

/* ---- SHA-2: FIPS 180-4 ---- */
static uint32_t constant(unsigned i,
                         unsigned root) /* 32 bits of the fraction of a root of the i-th prime (4.2.2, 5.3.3) */
{
    unsigned prime = 1;
    for (unsigned n = 0; n <= i;) {
        bool is_prime = true;
        prime++;
        for (unsigned d = 2; d * d <= prime; d++) {
            is_prime = is_prime && prime % d;
        }
        n += is_prime;
    }
    double x = prime;
    for (unsigned n = 0; n < 60; n++) { /* Newton */
        x = root == 2 ? (x + prime / x) / 2 : (2 * x + prime / (x * x)) / 3;
    }
    return (uint32_t)((x - (unsigned)x) * 0x1p32);
}

TEST(riscv64_crypto, sha256_gives_the_example_of_its_standard)
{
    enum { SUM0, SUM1, SIG0, SIG1 };
    static const uint32_t want[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                     0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    uint32_t w[64] = {0x61626380, [15] = 24}; /* "abc", padded */
    uint32_t h[8], v[8];
    for (unsigned i = 16; i < 64; i++) {
        w[i] = (uint32_t)run(HASH(SIG1), w[i - 2], 0) + w[i - 7] + (uint32_t)run(HASH(SIG0), w[i - 15], 0) + w[i - 16];
    }
    for (unsigned i = 0; i < 8; i++) {
        h[i] = v[i] = constant(i, 2);
    }
    for (unsigned i = 0; i < 64; i++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]), majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t t1 = v[7] + (uint32_t)run(HASH(SUM1), v[4], 0) + choice + constant(i, 3) + w[i];
        uint32_t t2 = (uint32_t)run(HASH(SUM0), v[0], 0) + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) {
        CHECK_INT(h[i] + v[i], want[i]);
    }
}

static unsigned bit_of(uint64_t a, unsigned at, unsigned bits, bool is_shift)
{
    return at < bits || !is_shift ? a >> at % bits & 1 : 0;
}

TEST(riscv64_crypto, sums_of_hashes_are_those_of_their_standards_bit_by_bit)
{
    static const struct {
        unsigned number, bits, by[3];
        bool is_shift; /* the last */
    } rows[] = {{0, 32, {2, 13, 22}, false}, {1, 32, {6, 11, 25}, false},  {2, 32, {7, 18, 3}, true},
                {3, 32, {17, 19, 10}, true}, {4, 64, {28, 34, 39}, false}, {5, 64, {14, 18, 41}, false},
                {6, 64, {1, 8, 7}, true},    {7, 64, {19, 61, 6}, true},   {8, 32, {0, 23, 15}, false},
                {9, 32, {0, 17, 9}, false}};
    static const uint64_t values[] = {0x8000000080000001, 0x0123456789abcdef, 0xfedcba9876543210, ~0ull};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(values); k++) {
            uint64_t want = 0;
            for (unsigned bit = 0; bit < 64; bit++) {
                unsigned at = bit < rows[i].bits ? bit : rows[i].bits - 1; /* a word is sign-extended */
                unsigned sum = bit_of(values[k], at + rows[i].by[0], rows[i].bits, false) ^
                               bit_of(values[k], at + rows[i].by[1], rows[i].bits, false) ^
                               bit_of(values[k], at + rows[i].by[2], rows[i].bits, rows[i].is_shift);
                want |= (uint64_t)sum << bit;
            }
            CHECK_INT(run(HASH(rows[i].number), values[k], 0), want);
        }
    }
}

/* ---- SM4: GB/T 32907, A.1 ---- */
static uint32_t round_of(unsigned f5, uint32_t into, uint32_t word)
{
    for (unsigned byte = 0; byte < 4; byte++) {
        into = (uint32_t)run(SM4(f5, byte), into, word);
    }
    return into;
}

TEST(riscv64_crypto, sm4_gives_the_example_of_its_standard)
{
    static const uint32_t fk[4] = {0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc};
    static const uint32_t plain[4] = {0x01234567, 0x89abcdef, 0xfedcba98, 0x76543210}; /* and the key */
    static const uint32_t want[4] = {0x681edf34, 0xd206965e, 0x86b3e94f, 0x536e4246};
    uint32_t k[36], x[36];
    for (unsigned i = 0; i < 4; i++) {
        k[i] = __builtin_bswap32(plain[i] ^ fk[i]);
        x[i] = __builtin_bswap32(plain[i]);
    }
    for (unsigned i = 0; i < 32; i++) {
        uint32_t ck = 0;
        for (unsigned byte = 0; byte < 4; byte++) {
            ck |= ((4 * i + byte) * 7 & 255) << 8 * byte;
        }
        k[i + 4] = round_of(KS, k[i], k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ ck);
        x[i + 4] = round_of(ED, x[i], x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ k[i + 4]);
    }
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(__builtin_bswap32(x[35 - i]), want[i]);
    }
}

TEST(riscv64_crypto, what_is_off_traps)
{
    static const struct {
        const char *cpu;
        uint32_t off, on;
    } rows[] = {{"rv64imac,zkne=off", AES(ES), AES(KS2)},
                {"rv64imac,zknd=off", AES(DS), KEY_START(10)},
                {"rv64imac,zknd=off", ENC_I(IM, A1, 1, A0, OP_IMM), AES(ES)},
                {"rv64imac,zkne=off,zknd=off", AES(KS2), HASH(0)},
                {"rv64imac,zknh=off", HASH(7), HASH(8)},
                {"rv64imac,zksh=off", HASH(9), HASH(7)},
                {"rv64imac,zksed=off", SM4(ED, 0), HASH(8)}};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, rows[i].cpu);
        CHECK_INT(rig_step(&g, rows[i].on), RIG_NEXT);
        CHECK_INT(rig_step(&g, rows[i].off), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
    }
}
