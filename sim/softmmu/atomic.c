/* SPDX-License-Identifier: Apache-2.0
 * atomic.c - the ATOMIC ops: one host atomic of the same size on the RAM that the address translates to. Atomics on
 * what is not RAM are bus faults (RISC-V PMAs of I/O regions without AMO support, Priv 3.6.3). */
#include "sim/base/mem.h"
#include "sim/softmmu/mmu_int.h"

static uint64_t sign_extend(uint64_t value, unsigned size_bytes)
{
    unsigned unused = 64 - 8 * size_bytes;
    return (uint64_t)((int64_t)(value << unused) >> unused);
}

static uint64_t truncate(uint64_t value, unsigned size_bytes)
{
    return size_bytes < 8 ? value & ((1ull << (8 * size_bytes)) - 1) : value;
}

static uint64_t atomic_get(const uint8_t *p, unsigned size_bytes)
{
    switch (size_bytes) {
    case 1:
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
    case 2:
        return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_SEQ_CST);
    case 4:
        return __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_SEQ_CST);
    default:
        return __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_SEQ_CST);
    }
}

/* *old: what is expected, and what was found. */
#define CAS(type)                                                                                                      \
    {                                                                                                                  \
        type expected = (type)*old;                                                                                    \
        bool ok = __atomic_compare_exchange_n((type *)(void *)p, &expected, (type)now, false, __ATOMIC_SEQ_CST,        \
                                              __ATOMIC_SEQ_CST);                                                       \
        *old = expected;                                                                                               \
        return ok;                                                                                                     \
    }
static bool atomic_cas(uint8_t *p, unsigned size_bytes, uint64_t *old, uint64_t now)
{
    switch (size_bytes) {
    case 1:
        CAS(uint8_t)
    case 2:
        CAS(uint16_t)
    case 4:
        CAS(uint32_t)
    default:
        CAS(uint64_t)
    }
}
#undef CAS

/* old and b are zero-extended from size_bytes. */
static uint64_t combine(IrOpcode op, uint64_t old, uint64_t b, unsigned size_bytes)
{
    bool is_less = (int64_t)sign_extend(old, size_bytes) < (int64_t)sign_extend(b, size_bytes);
    switch ((unsigned)op) {
    case IR_amo_add:
        return old + b;
    case IR_amo_and:
        return old & b;
    case IR_amo_or:
        return old | b;
    case IR_amo_xor:
        return old ^ b;
    case IR_amo_min:
        return is_less ? old : b;
    case IR_amo_max:
        return is_less ? b : old;
    case IR_amo_minu:
        return old < b ? old : b;
    case IR_amo_maxu:
        return old > b ? old : b;
    default:
        return b; /* amo_swap */
    }
}

static uint64_t read_modify_write(IrOpcode op, uint8_t *p, unsigned size_bytes, uint64_t b)
{
    uint64_t old = atomic_get(p, size_bytes);
    while (!atomic_cas(p, size_bytes, &old, combine(op, old, b, size_bytes))) {
    }
    return old;
}

static uint64_t reserve(Frame *f, const Resolved *r, unsigned size_bytes)
{
    uint64_t value = atomic_get(r->host, size_bytes);
    f->resv_host = (uintptr_t)r->host;
    f->resv_val = value;
    f->resv_size = size_bytes;
    return value;
}

/* Unpriv 14.2: sc pairs with the most recent lr; it clears the reservation whatever comes of it. */
static uint64_t store_conditional(Frame *f, const Resolved *r, unsigned size_bytes, uint64_t b)
{
    uint64_t expected = f->resv_val;
    bool holds = f->resv_size == size_bytes && f->resv_host == (uintptr_t)r->host;
    f->resv_size = 0;
    return !(holds && atomic_cas(r->host, size_bytes, &expected, b));
}

static uint64_t apply(Frame *f, IrOpcode op, const Resolved *r, unsigned size_bytes, uint64_t b, uint64_t c)
{
    b = truncate(b, size_bytes);
    switch ((unsigned)op) {
    case IR_lr:
        return reserve(f, r, size_bytes);
    case IR_sc:
        return store_conditional(f, r, size_bytes, b);
    case IR_amo_cas: {
        uint64_t old = b;
        atomic_cas(r->host, size_bytes, &old, truncate(c, size_bytes));
        return old;
    }
    default:
        return read_modify_write(op, r->host, size_bytes, b);
    }
}

/* Where it goes; false: the event is set. */
static bool begin(Mmu *m, uint64_t gva, unsigned size, Access acc, uint32_t aux, Resolved *r)
{
    if (gva & (size - 1)) {
        mmu_align_fault(m, gva, acc, aux);
        return false;
    }
    if (!mmu_resolve(m, gva, acc, aux, r) || mmu_watch_stops(m, gva, size, acc, aux)) {
        return false;
    }
    if (!r->is_ram) {
        mmu_bus_fault(m, gva, r->gpa, acc, aux);
        return false;
    }
    return acc != ACC_WRITE || !mmu_store_needs_alone(m, r, size, aux);
}

static void end(Mmu *m, uint64_t gva, unsigned size, Access acc, const Resolved *r)
{
    if (acc == ACC_WRITE) {
        mmu_ram_written(m, &r->hit, r->gpa, size);
    }
    mmu_watch_report(m, gva, size, acc);
}

/* By the TLB; false: it does not have the address. */
static bool is_near(const Frame *f, IrOpcode op, uint64_t gva, unsigned size, uint32_t aux, Resolved *r)
{
    if (gva & (size - 1) || MEM_REGIME_OF(aux)) {
        return false;
    }
    r->host = tlb_hit(op == IR_lr ? f->tlb_read : f->tlb_write, f->tlb_key, gva, size);
    return r->host;
}

uint64_t mmu_atomic(Frame *f, IrOpcode op, uint64_t gva, uint64_t b, uint64_t c, uint32_t aux)
{
    Mmu *m = f->mmu;
    unsigned size = MEM_SIZE(aux);
    Access acc = op == IR_lr ? ACC_READ : ACC_WRITE;
    Resolved r;
    uint64_t value;
    if (is_near(f, op, gva, size, aux, &r)) {
        value = apply(f, op, &r, size, b, c);
    } else if (begin(m, gva, size, acc, aux, &r)) {
        value = apply(f, op, &r, size, b, c);
        end(m, gva, size, acc, &r);
    } else {
        return 0;
    }
    return aux & MEM_SIGNED ? sign_extend(value, size) : value;
}

/* ---- 16 bytes: compilers call a library for these, which may take a lock; words that others write with plain atomics must be seen ---- */
typedef struct {
    uint64_t word[2];
} __attribute__((aligned(16), may_alias)) Pair;

static void cas16(Pair *p, uint64_t old[2], const uint64_t now[2])
{
#if defined(__x86_64__)
    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*p), "+a"(old[0]), "+d"(old[1])
                     : "b"(now[0]), "c"(now[1])
                     : "cc", "memory");
#elif defined(__aarch64__)
    uint64_t found[2];
    const uint64_t want[2] = {old[0], old[1]}, put[2] = {now[0], now[1]}; /* no access between the two of the loop */
    uint32_t failed;
    do { /* what differs is stored as it is: only a pair whose store succeeds was read as one (Arm ARM B2.9) */
        __asm__ volatile("ldaxp %0, %1, %2" : "=&r"(found[0]), "=&r"(found[1]) : "Q"(*p) : "memory");
        bool is_same = found[0] == want[0] && found[1] == want[1];
        __asm__ volatile("stlxp %w0, %2, %3, %1"
                         : "=&r"(failed), "=Q"(*p)
                         : "r"(is_same ? put[0] : found[0]), "r"(is_same ? put[1] : found[1])
                         : "memory");
    } while (failed);
    old[0] = found[0];
    old[1] = found[1];
#else /* riscv64 before Zacas has none: one after the other, and atomic only to those that come by here */
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    uint64_t found = old[0];
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
    }
    bool is_same = __atomic_load_n(&p->word[1], __ATOMIC_SEQ_CST) == old[1] &&
                   __atomic_compare_exchange_n(&p->word[0], &found, now[0], false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (is_same) {
        __atomic_store_n(&p->word[1], now[1], __ATOMIC_SEQ_CST);
    } else {
        old[0] = __atomic_load_n(&p->word[0], __ATOMIC_SEQ_CST);
        old[1] = __atomic_load_n(&p->word[1], __ATOMIC_SEQ_CST);
    }
    atomic_flag_clear_explicit(&busy, memory_order_release);
#endif
}

bool mmu_cas16(Frame *f, uint64_t gva, uint64_t old[2], const uint64_t now[2])
{
    enum { SIZE = 16 };
    Resolved r;
    if (!begin(f->mmu, gva, SIZE, ACC_WRITE, MEM_ALONE, &r)) {
        return false;
    }
    cas16((Pair *)(void *)r.host, old, now);
    end(f->mmu, gva, SIZE, ACC_WRITE, &r);
    return true;
}
