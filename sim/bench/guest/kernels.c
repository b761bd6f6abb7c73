/* SPDX-License-Identifier: Apache-2.0
 * kernels.c - benchmark kernels: freestanding C without input. The same source is linked into the guest images (M-mode, and
 * S-mode under Sv39) and built for the host, so that all checksums must agree. */
#include "sim/bench/guest/kernels.h"

#define NOINLINE __attribute__((noinline, noclone))

static uint64_t rng_s = 0x9E3779B97F4A7C15ull;
static inline uint64_t rng(void)
{
    uint64_t x = rng_s;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return rng_s = x;
}

#define MB (1u << 20)

uint64_t k_empty(void)
{
    return 0;
}

/* (a) integer ALU mix ---------------------------------------------------- */
uint64_t k_alu(void)
{
    uint64_t x = 88172645463325252ull, y = 1, z = 2, w = 3;
    for (uint64_t i = 0; i < 60000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        y += x * 0x2545F4914F6CDD1Dull;
        z = ((z ^ y) << 23 | (z ^ y) >> 41) + i;
        w -= (x >> 33) & z;
        w ^= (uint64_t)(int64_t)(int32_t)((uint32_t)y + (uint32_t)w);
    }
    return x ^ y ^ z ^ w;
}

static uint32_t crc_tab[256];
uint64_t k_crc32(void)
{
    uint8_t *buf = (uint8_t *)area;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        crc_tab[i] = c;
    }
    for (int i = 0; i < 65536; i++)
        buf[i] = (uint8_t)rng();
    uint32_t c = ~0u;
    for (int r = 0; r < 1800; r++)
        for (int i = 0; i < 65536; i++)
            c = crc_tab[(c ^ buf[i]) & 255] ^ (c >> 8);
    return c;
}

/* (b) SHA-256 ------------------------------------------------------------- */
static const uint32_t K256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
static NOINLINE void sha_block(uint32_t *h, const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (ROR(a, 7) ^ ROR(a, 18) ^ a >> 3) + (ROR(b, 17) ^ ROR(b, 19) ^ b >> 10);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], t = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = t + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + K256[i] + w[i];
        uint32_t t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        t = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += t;
}
uint64_t k_sha256(void)
{
    uint8_t *buf = (uint8_t *)area;
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (int i = 0; i < 65536; i++)
        buf[i] = (uint8_t)rng();
    for (int r = 0; r < 240; r++)
        for (int i = 0; i < 65536; i += 64)
            sha_block(h, buf + i);
    return (uint64_t)h[0] << 32 | h[7];
}

/* (c) quicksort + binary search on 1M ints -------------------------------- */
#define NS 1000000
static NOINLINE void qsort_i(int32_t *a, long lo, long hi)
{
    while (lo < hi) {
        long i = lo, j = hi;
        int32_t p = a[lo + ((hi - lo) >> 1)];
        while (i <= j) {
            while (a[i] < p)
                i++;
            while (a[j] > p)
                j--;
            if (i <= j) {
                int32_t t = a[i];
                a[i] = a[j];
                a[j] = t;
                i++;
                j--;
            }
        }
        if (j - lo < hi - i) {
            qsort_i(a, lo, j);
            lo = i;
        } else {
            qsort_i(a, i, hi);
            hi = j;
        }
    }
}
static NOINLINE long bsearch_i(const int32_t *a, long n, int32_t v)
{
    long lo = 0, hi = n;
    while (lo < hi) {
        long m = (lo + hi) >> 1;
        if (a[m] < v)
            lo = m + 1;
        else
            hi = m;
    }
    return lo;
}
uint64_t k_sort(void)
{
    int32_t *a = (int32_t *)area;
    uint64_t sum = 0;
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < NS; i++)
            a[i] = (int32_t)rng();
        qsort_i(a, 0, NS - 1);
        for (int i = 0; i < NS; i += 997)
            sum = sum * 31 + (uint32_t)a[i];
        for (int i = 0; i < NS; i++)
            sum += (uint64_t)bsearch_i(a, NS, (int32_t)rng());
    }
    return sum;
}

/* (e) memory over 16 MiB ---------------------------------------------------- */
uint64_t k_chase(void)
{
    enum { N = 16 * MB / 64 }; /* one node per 64-byte line */
    uint64_t *nx = area;       /* nx[i*8] = next line index */
    uint32_t *perm = (uint32_t *)(area + 32 * MB / 8);
    for (uint32_t i = 0; i < N; i++)
        perm[i] = i;
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(rng() % i), t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    for (uint32_t i = 0; i < N; i++)
        nx[(uint64_t)perm[i] * 8] = (uint64_t)(uintptr_t)&nx[(uint64_t)perm[(i + 1) % N] * 8];
    uint64_t *p = nx;
    for (int i = 0; i < 5000000; i++)
        p = (uint64_t *)(uintptr_t)*p;
    return (uint64_t)(p - nx);
}
static NOINLINE void copy64(uint64_t *d, const uint64_t *s, size_t bytes)
{
    uint64_t *e = d + bytes / 8;
    while (d < e) {
        uint64_t a = s[0], b = s[1], c = s[2], f = s[3];
        d[0] = a;
        d[1] = b;
        d[2] = c;
        d[3] = f;
        d += 4;
        s += 4;
    }
}
static uint64_t copy_test(uint64_t *a, uint64_t *b)
{
    for (uint64_t i = 0; i < 16 * MB / 8; i++)
        a[i] = i * 0x9E3779B97F4A7C15ull;
    for (int r = 0; r < 100; r++) {
        copy64(b, a, 16 * MB - 64);
        a[r] += b[r * 1000];
    }
    uint64_t s = 0;
    for (uint64_t i = 0; i < 16 * MB / 8; i += 61)
        s = s * 31 + b[i];
    return s;
}
/* source and destination 32 MiB apart: same slot of any direct-mapped
 * software TLB with <= 8192 entries (worst case for a unified R/W TLB) */
uint64_t k_memcpy(void)
{
    return copy_test(area, area + 32 * MB / 8);
}
/* the same with an offset that does not alias */
uint64_t k_memcpyn(void)
{
    return copy_test(area, area + (32 * MB + 0x21000) / 8);
}
static NOINLINE size_t slen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}
uint64_t k_strlen(void)
{
    char *b = (char *)area;
    for (uint32_t i = 0; i < 16 * MB; i++)
        b[i] = 'a';
    b[16 * MB - 1] = 0;
    uint64_t s = 0;
    for (int r = 0; r < 14; r++) {
        s = s * 3 + slen(b + r);
        b[r] = 'b';
    }
    return s;
}

/* (f) bytecode interpreter --------------------------------------------------- */
enum {
    OP_PUSH,
    OP_LOAD,
    OP_STORE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_XOR,
    OP_AND,
    OP_SHL,
    OP_SHR,
    OP_LT,
    OP_EQ,
    OP_JZ,
    OP_JMP,
    OP_DUP,
    OP_DROP,
    OP_LDM,
    OP_STM,
    OP_INC,
    OP_HALT
};
static NOINLINE uint64_t vm_run(const int32_t *code, int64_t *mem)
{
    int64_t st[64], *sp = st, var[4];
    for (int i = 0; i < 4; i++)
        var[i] = 0;
    const int32_t *pc = code;
    for (;;) {
        int32_t op = *pc++;
        switch (op) {
        case OP_PUSH:
            *sp++ = *pc++;
            break;
        case OP_LOAD:
            *sp++ = var[*pc++];
            break;
        case OP_STORE:
            var[*pc++] = *--sp;
            break;
        case OP_ADD:
            sp--;
            sp[-1] += sp[0];
            break;
        case OP_SUB:
            sp--;
            sp[-1] -= sp[0];
            break;
        case OP_MUL:
            sp--;
            sp[-1] *= sp[0];
            break;
        case OP_XOR:
            sp--;
            sp[-1] ^= sp[0];
            break;
        case OP_AND:
            sp--;
            sp[-1] &= sp[0];
            break;
        case OP_SHL:
            sp--;
            sp[-1] = (int64_t)((uint64_t)sp[-1] << (sp[0] & 63));
            break;
        case OP_SHR:
            sp--;
            sp[-1] = (int64_t)((uint64_t)sp[-1] >> (sp[0] & 63));
            break;
        case OP_LT:
            sp--;
            sp[-1] = sp[-1] < sp[0];
            break;
        case OP_EQ:
            sp--;
            sp[-1] = sp[-1] == sp[0];
            break;
        case OP_JZ:
            if (!*--sp)
                pc = code + *pc;
            else
                pc++;
            break;
        case OP_JMP:
            pc = code + *pc;
            break;
        case OP_DUP:
            sp[0] = sp[-1];
            sp++;
            break;
        case OP_DROP:
            sp--;
            break;
        case OP_LDM:
            sp[-1] = mem[sp[-1] & 1023];
            break;
        case OP_STM:
            sp -= 2;
            mem[sp[0] & 1023] = sp[1];
            break;
        case OP_INC:
            var[*pc++]++;
            break;
        case OP_HALT:
            return (uint64_t)sp[-1];
        }
    }
}
static int32_t vm_code[128];
uint64_t k_bytecode(void)
{
    /* v0=i v1=acc v2=j: nested loop with memory, data-dependent branch */
    static const int32_t prog[] = {
        /*0*/ OP_LOAD,  0,       OP_PUSH,  600000,   OP_LT,   OP_JZ,    75,
        /*7*/ OP_PUSH,  0,       OP_STORE, 2,
        /*11*/ OP_LOAD, 2,       OP_PUSH,  8,        OP_LT,   OP_JZ,    71,
        /*18*/ OP_LOAD, 1,       OP_LOAD,  0,        OP_LOAD, 2,        OP_MUL, OP_ADD,  OP_DUP,  OP_PUSH,  7,
        OP_SHR,         OP_XOR,  OP_STORE, 1,
        /*33*/ OP_LOAD, 1,       OP_PUSH,  1,        OP_AND,  OP_JZ,    50,
        /*40*/ OP_LOAD, 1,       OP_LOAD,  1,        OP_STM,  OP_JMP,   63,     OP_DROP, OP_DROP, OP_DROP,
        /*50*/ OP_LOAD, 1,       OP_LOAD,  0,        OP_LDM,  OP_PUSH,  3,      OP_SHL,  OP_ADD,  OP_STORE, 1,
        OP_JMP,         63,
        /*63*/ OP_LOAD, 1,       OP_PUSH,  0xffffff, OP_AND,  OP_STORE, 1,      OP_JMP,
        /*71->*/ 79,    OP_HALT, OP_HALT,  OP_HALT,
        /*75*/ OP_LOAD, 1,       OP_HALT,  OP_HALT,
        /*79*/ OP_INC,  2,       OP_JMP,   11};
    for (unsigned i = 0; i < sizeof prog / sizeof *prog; i++)
        vm_code[i] = prog[i];
    vm_code[17] = 83; /* inner loop exit */
    vm_code[83] = OP_INC;
    vm_code[84] = 0;
    vm_code[85] = OP_JMP;
    vm_code[86] = 0;
    return vm_run(vm_code, (int64_t *)area);
}

/* (g) indirect calls ----------------------------------------------------------- */
struct obj;
struct vtab {
    uint64_t (*step)(struct obj *, uint64_t);
    uint64_t (*get)(struct obj *);
};
struct obj {
    const struct vtab *v;
    uint64_t s;
};
#define CLS(n, e)                                                                                                      \
    static uint64_t step##n(struct obj *o, uint64_t x)                                                                 \
    {                                                                                                                  \
        o->s += (e);                                                                                                   \
        return o->s ^ x;                                                                                               \
    }                                                                                                                  \
    static uint64_t get##n(struct obj *o)                                                                              \
    {                                                                                                                  \
        return o->s >> n;                                                                                              \
    }                                                                                                                  \
    static const struct vtab vt##n = {step##n, get##n};
CLS(0, x + 1)
CLS(1, x ^ 0x55)
CLS(2, x << 1) CLS(3, x >> 3) CLS(4, x * 5) CLS(5, x & 0xffff) CLS(6, x | 0x10) CLS(7, ~x) static struct obj objs[1024];
uint64_t k_virtcall(void)
{
    static const struct vtab *const vts[8] = {&vt0, &vt1, &vt2, &vt3, &vt4, &vt5, &vt6, &vt7};
    for (int i = 0; i < 1024; i++) {
        objs[i].v = vts[rng() & 7];
        objs[i].s = rng();
    }
    uint64_t x = 1;
    for (int r = 0; r < 40000; r++)
        for (int i = 0; i < 1024; i++) {
            struct obj *o = &objs[i];
            x = o->v->step(o, x);
            if ((i & 3) == 0)
                x += o->v->get(o);
        }
    return x;
}
/* call/return heavy: Takeuchi function, three-way recursion */
static NOINLINE int tak(int x, int y, int z)
{
    if (y >= x)
        return z;
    return tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}
uint64_t k_tak(void)
{
    uint64_t s = 0;
    for (int i = 0; i < 80; i++)
        s = s * 7 + (uint64_t)tak(24, 16, 8 + (i & 3));
    return s;
}

/* (i) floating point: the compiler must not fuse (-ffp-contract=off), so that all checksums agree -------------------- */
enum { NM = 256 };
static double ma[NM][NM], mb[NM][NM], mc[NM][NM];
static uint64_t double_bits(double d)
{
    union {
        double d;
        uint64_t bits;
    } u = {d};
    return u.bits;
}
static void mat_init(void)
{
    for (int i = 0; i < NM; i++)
        for (int j = 0; j < NM; j++) {
            ma[i][j] = (double)(int32_t)rng() * 0x1p-31;
            mb[i][j] = (double)(int32_t)rng() * 0x1p-31;
        }
}
static uint64_t mat_sum(void)
{
    uint64_t s = 0;
    for (int i = 0; i < NM; i++)
        for (int j = 0; j < NM; j++)
            s = s * 1099511628211ull + double_bits(mc[i][j]);
    return s;
}
uint64_t k_matmul(void)
{
    mat_init();
    for (int r = 0; r < 5; r++) {
        for (int i = 0; i < NM; i++)
            for (int j = 0; j < NM; j++) {
                double s = 0;
                for (int k = 0; k < NM; k++)
                    s += ma[i][k] * mb[k][j];
                mc[i][j] = s;
            }
        ma[r][r] += mc[0][0];
    }
    return mat_sum();
}
#ifdef __x86_64__
__attribute__((target("fma")))
#endif
uint64_t
k_matfma(void)
{
    mat_init();
    for (int r = 0; r < 5; r++) {
        for (int i = 0; i < NM; i++)
            for (int j = 0; j < NM; j++) {
                double s = 0;
                for (int k = 0; k < NM; k++)
                    s = __builtin_fma(ma[i][k], mb[k][j], s);
                mc[i][j] = s;
            }
        ma[r][r] += mc[0][0];
    }
    return mat_sum();
}
struct body {
    double x, y, z, vx, vy, vz, m;
};
static struct body bodies[5];
static void attract(struct body *b, struct body *c, double dt)
{
    double dx = b->x - c->x, dy = b->y - c->y, dz = b->z - c->z;
    double d2 = dx * dx + dy * dy + dz * dz + 0.01;
    double mag = dt / (d2 * __builtin_sqrt(d2));
    b->vx -= dx * c->m * mag;
    b->vy -= dy * c->m * mag;
    b->vz -= dz * c->m * mag;
    c->vx += dx * b->m * mag;
    c->vy += dy * b->m * mag;
    c->vz += dz * b->m * mag;
}
uint64_t k_nbody(void)
{
    const double dt = 0.001;
    for (int i = 0; i < 5; i++) {
        double *p = &bodies[i].x;
        for (int k = 0; k < 6; k++)
            p[k] = (double)(int32_t)rng() * 0x1p-29;
        bodies[i].m = 1.0 + i * 0.25;
    }
    for (int n = 0; n < 1500000; n++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++)
                attract(&bodies[i], &bodies[j], dt);
        for (int i = 0; i < 5; i++) {
            struct body *b = &bodies[i];
            b->x += dt * b->vx;
            b->y += dt * b->vy;
            b->z += dt * b->vz;
        }
    }
    uint64_t s = 0;
    for (int i = 0; i < 5; i++)
        s = s * 31 + double_bits(bodies[i].x);
    return s;
}

/* (h+) random 8-byte accesses over 64 MiB: one new 4K page almost every time */
uint64_t k_tlbmiss(void)
{
    enum { N = 64 * MB / 8 };
    uint64_t s = 0, x = 88172645463325252ull;
    for (int i = 0; i < 30000000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t k = (x >> 33) & (N - 1);
        s += area[k];
        area[k] = s ^ x;
    }
    return s;
}
