/* SPDX-License-Identifier: Apache-2.0
 * RISC-V Unprivileged ISA, chapters 2 and 4 (RV64I), 6 (Zicsr), 7 (counters), 13 (M); Privileged ISA, chapter 12 (supervisor). */
#include "cpu.h"

#include <stddef.h>
#include <string.h>

#define BIT(n) ((uint64_t)1 << (n))
enum { NS_PER_TICK = 100 }; /* the boards of conf say 10 MHz */
enum { SSIP = 1, STIP = 5, SEIP = 9 };
static const uint64_t SIE = BIT(1), SPIE = BIT(5), SPP = BIT(8);
static const uint64_t SSTATUS_BITS = 0xc6122, SSTATUS_UXL = 2ull << 32, IRQ_BITS = BIT(SSIP) | BIT(STIP) | BIT(SEIP);

void cpu_reset(Cpu *c, uint64_t entry, uint64_t hart, uint64_t arg)
{
    void *memory = c->memory;
    memset(c, 0, sizeof *c);
    c->memory = memory;
    c->priv = PRIV_S;
    c->pc = entry;
    c->scounteren = 7; /* what KVM gives a guest too: U-mode reads cycle, time and instret */
    c->x[10] = hart;   /* a0 and a1, as SBI starts a hart */
    c->x[11] = arg;
}

uint64_t cpu_time_ns(const Cpu *c)
{
    return c->retired + (uint64_t)c->ahead_ns;
}

/* ---- CSRs ---- */
enum {
    CSR_SSTATUS = 0x100,
    CSR_SIE = 0x104,
    CSR_STVEC = 0x105,
    CSR_SCOUNTEREN = 0x106,
    CSR_SSCRATCH = 0x140,
    CSR_SEPC = 0x141,
    CSR_SCAUSE = 0x142,
    CSR_STVAL = 0x143,
    CSR_SIP = 0x144,
    CSR_SATP = 0x180,
    CSR_CYCLE = 0xc00,
    CSR_TIME = 0xc01,
    CSR_INSTRET = 0xc02
};

/* Those that keep some bits of what is written, and have no effect. */
static const struct {
    unsigned number;
    size_t offset;
    uint64_t writable;
} PLAIN[] = {
    {CSR_SSTATUS, offsetof(Cpu, sstatus), SSTATUS_BITS},   {CSR_SIE, offsetof(Cpu, sie), IRQ_BITS},
    {CSR_STVEC, offsetof(Cpu, stvec), ~(uint64_t)2},       {CSR_SCOUNTEREN, offsetof(Cpu, scounteren), 7},
    {CSR_SSCRATCH, offsetof(Cpu, sscratch), ~(uint64_t)0}, {CSR_SEPC, offsetof(Cpu, sepc), ~(uint64_t)3},
    {CSR_SCAUSE, offsetof(Cpu, scause), ~(uint64_t)0},     {CSR_STVAL, offsetof(Cpu, stval), ~(uint64_t)0},
};

static uint64_t *plain_at(const Cpu *c, unsigned number, uint64_t *writable)
{
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++) {
        if (PLAIN[i].number == number) {
            *writable = PLAIN[i].writable;
            return (uint64_t *)(void *)((uint8_t *)(uintptr_t)c + PLAIN[i].offset);
        }
    }
    return NULL;
}

static uint64_t pending(const Cpu *c)
{
    return (c->lines | c->software) & IRQ_BITS;
}

bool cpu_csr_get(const Cpu *c, unsigned number, uint64_t *value)
{
    uint64_t writable;
    const uint64_t *plain = plain_at(c, number, &writable);
    switch (number) {
    case CSR_SIP:
        *value = pending(c);
        return true;
    case CSR_SATP: /* no translation: MODE is Bare */
        *value = 0;
        return true;
    case CSR_TIME:
        *value = cpu_time_ns(c) / NS_PER_TICK;
        return true;
    case CSR_CYCLE:
    case CSR_INSTRET:
        *value = c->retired;
        return true;
    default:
        *value = plain ? *plain | (number == CSR_SSTATUS ? SSTATUS_UXL : 0) : 0;
        return plain != NULL;
    }
}

bool cpu_csr_set(Cpu *c, unsigned number, uint64_t value)
{
    uint64_t writable = 0;
    uint64_t *plain = plain_at(c, number, &writable);
    if (plain) {
        *plain = value & writable;
    } else if (number == CSR_SIP) {
        c->software = value & BIT(SSIP);
    } else if (number != CSR_SATP) {
        return false;
    }
    return true;
}

/* ---- traps and interrupts: Privileged ISA 12.1.1 and 12.1.2 ---- */
void cpu_trap(Cpu *c, uint64_t cause, uint64_t tval)
{
    bool is_interrupt = cause >> 63, is_vectored = c->stvec & 1;
    c->sepc = c->pc;
    c->scause = cause;
    c->stval = tval;
    c->sstatus &= ~(SPIE | SPP);
    c->sstatus |= (c->sstatus & SIE ? SPIE : 0) | (c->priv == PRIV_S ? SPP : 0);
    c->sstatus &= ~SIE;
    c->priv = PRIV_S;
    c->pc = (c->stvec & ~(uint64_t)3) + (is_interrupt && is_vectored ? 4 * (cause & 63) : 0);
}

static bool interrupt_taken(Cpu *c)
{
    static const unsigned order[] = {SEIP, SSIP, STIP};
    uint64_t ready = pending(c) & c->sie;
    if (c->priv == PRIV_S && !(c->sstatus & SIE)) {
        return false;
    }
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (ready & BIT(order[i])) {
            cpu_trap(c, BIT(63) | order[i], 0);
            return true;
        }
    }
    return false;
}

static void sret(Cpu *c)
{
    c->priv = c->sstatus & SPP ? PRIV_S : PRIV_U;
    c->sstatus = (c->sstatus & ~(SIE | SPP)) | (c->sstatus & SPIE ? SIE : 0) | SPIE;
    c->pc = c->sepc;
}

/* ---- instructions ---- */
static uint32_t field(uint32_t insn, unsigned low, unsigned n)
{
    return insn >> low & ((1u << n) - 1);
}

static uint64_t sext(uint64_t value, unsigned bits)
{
    uint64_t sign = BIT(bits - 1);
    value &= sign * 2 - 1;
    return (value ^ sign) - sign;
}

static uint64_t imm_i(uint32_t insn)
{
    return sext(insn >> 20, 12);
}

static uint64_t imm_s(uint32_t insn)
{
    return sext(field(insn, 25, 7) << 5 | field(insn, 7, 5), 12);
}

static uint64_t imm_b(uint32_t insn)
{
    return sext(field(insn, 31, 1) << 12 | field(insn, 7, 1) << 11 | field(insn, 25, 6) << 5 | field(insn, 8, 4) << 1,
                13);
}

static uint64_t imm_u(uint32_t insn)
{
    return sext(insn & 0xfffff000, 32);
}

static uint64_t imm_j(uint32_t insn)
{
    return sext(
        field(insn, 31, 1) << 20 | field(insn, 12, 8) << 12 | field(insn, 20, 1) << 11 | field(insn, 21, 10) << 1, 21);
}

static void set(Cpu *c, unsigned rd, uint64_t value)
{
    if (rd) {
        c->x[rd] = value;
    }
}

static void next(Cpu *c)
{
    c->pc += 4;
    c->retired++;
}

static Stop illegal(Cpu *c, uint32_t insn)
{
    cpu_trap(c, CAUSE_ILLEGAL, insn);
    return STOP_NONE;
}

/* A jump to where no instruction can start has not been done. */
static Stop jump(Cpu *c, unsigned rd, uint64_t target)
{
    if (target & 3) {
        cpu_trap(c, CAUSE_FETCH_MISALIGNED, target);
        return STOP_NONE;
    }
    set(c, rd, c->pc + 4);
    c->pc = target;
    c->retired++;
    return STOP_NONE;
}

static Stop branch(Cpu *c, uint32_t insn)
{
    uint64_t a = c->x[field(insn, 15, 5)], b = c->x[field(insn, 20, 5)];
    const bool is_equal = a == b, is_less = (int64_t)a < (int64_t)b, is_below = a < b;
    bool is_taken;
    switch (field(insn, 13, 2)) {
    case 0:
        is_taken = is_equal;
        break;
    case 2:
        is_taken = is_less;
        break;
    case 3:
        is_taken = is_below;
        break;
    default:
        return illegal(c, insn);
    }
    if (is_taken != (bool)field(insn, 12, 1)) {
        return jump(c, 0, c->pc + imm_b(insn));
    }
    next(c);
    return STOP_NONE;
}

void cpu_finish(Cpu *c, uint64_t value)
{
    if (c->size_bytes && c->size_bytes < 8 && c->is_signed) {
        value = sext(value, 8 * c->size_bytes);
    } else if (c->size_bytes && c->size_bytes < 8) {
        value &= BIT(8 * c->size_bytes) - 1;
    }
    set(c, c->rd, value);
    next(c);
}

static Stop load(Cpu *c, uint32_t insn)
{
    uint32_t width = field(insn, 12, 2);
    c->address = c->x[field(insn, 15, 5)] + imm_i(insn);
    c->size_bytes = 1u << width;
    c->rd = field(insn, 7, 5);
    c->is_signed = !field(insn, 14, 1) && width < 3;
    if (field(insn, 12, 3) == 7) {
        return illegal(c, insn);
    }
    const uint8_t *at = memory_at(c->memory, c->address, c->size_bytes, ACCESS_READ);
    if (!at) {
        return STOP_LOAD;
    }
    uint64_t value = 0;
    memcpy(&value, at, c->size_bytes); /* the host is little-endian, as the guest is */
    cpu_finish(c, value);
    return STOP_NONE;
}

static Stop store(Cpu *c, uint32_t insn)
{
    c->address = c->x[field(insn, 15, 5)] + imm_s(insn);
    c->size_bytes = 1u << field(insn, 12, 2);
    c->rd = 0;
    c->value = c->x[field(insn, 20, 5)];
    if (field(insn, 14, 1)) {
        return illegal(c, insn);
    }
    uint8_t *at = memory_at(c->memory, c->address, c->size_bytes, ACCESS_WRITE);
    if (!at) {
        c->value &= c->size_bytes < 8 ? BIT(8 * c->size_bytes) - 1 : ~(uint64_t)0;
        return STOP_STORE;
    }
    memcpy(at, &c->value, c->size_bytes);
    next(c);
    return STOP_NONE;
}

/* OP, OP-32 and their immediate forms; is_word: on the lower 32 bits, sign-extended. */
static uint64_t alu(unsigned funct3, bool is_alternative, uint64_t a, uint64_t b, bool is_word)
{
    unsigned shift = b & (is_word ? 31 : 63);
    uint64_t low = is_word ? (uint32_t)a : a;
    switch (funct3) {
    case 0:
        return is_alternative ? a - b : a + b;
    case 1:
        return a << shift;
    case 2:
        return (int64_t)a < (int64_t)b;
    case 3:
        return a < b;
    case 4:
        return a ^ b;
    case 5:
        return !is_alternative ? low >> shift
               : is_word       ? (uint64_t)((int64_t)(int32_t)a >> shift)
                               : (uint64_t)((int64_t)a >> shift);
    case 6:
        return a | b;
    default:
        return a & b;
    }
}

/* The upper half of a product: a * b = (ah * 2^32 + al) * (bh * 2^32 + bl). */
static uint64_t mulhu(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t middle = ah * bl + (al * bl >> 32), low = al * bh + (uint32_t)middle;
    return ah * bh + (middle >> 32) + (low >> 32);
}

/* M, on 64 bits. Division by 0 gives all ones and the dividend, an overflow the dividend and 0 (13.2). */
static uint64_t multiply(unsigned funct3, uint64_t a, uint64_t b)
{
    bool is_overflow = a == BIT(63) && b == ~(uint64_t)0;
    uint64_t high = mulhu(a, b), a_is_negative = a >> 63, b_is_negative = b >> 63;
    switch (funct3) {
    case 0:
        return a * b;
    case 1:
        return high - (a_is_negative ? b : 0) - (b_is_negative ? a : 0);
    case 2:
        return high - (a_is_negative ? b : 0);
    case 3:
        return high;
    case 4:
        return !b ? ~(uint64_t)0 : is_overflow ? a : (uint64_t)((int64_t)a / (int64_t)b);
    case 5:
        return !b ? ~(uint64_t)0 : a / b;
    case 6:
        return !b ? a : is_overflow ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
    default:
        return !b ? a : a % b;
    }
}

static Stop op_m(Cpu *c, uint32_t insn, bool is_word)
{
    unsigned funct3 = field(insn, 12, 3);
    uint64_t a = c->x[field(insn, 15, 5)], b = c->x[field(insn, 20, 5)];
    bool is_unsigned = funct3 == 5 || funct3 == 7;
    if (is_word && funct3 > 0 && funct3 < 4) {
        return illegal(c, insn);
    }
    if (is_word) {
        a = is_unsigned ? (uint32_t)a : sext(a, 32);
        b = is_unsigned ? (uint32_t)b : sext(b, 32);
    }
    uint64_t value = multiply(funct3, a, b);
    set(c, field(insn, 7, 5), is_word ? sext(value, 32) : value);
    next(c);
    return STOP_NONE;
}

static Stop op(Cpu *c, uint32_t insn, bool is_immediate, bool is_word)
{
    unsigned funct3 = field(insn, 12, 3), funct7 = field(insn, 25, 7);
    bool is_shift = funct3 == 1 || funct3 == 5, is_wide = is_immediate && !is_word; /* a shift of 6 bits */
    unsigned top = is_wide ? funct7 & ~1u : funct7;
    bool has_alternative = funct3 == 5 || (funct3 == 0 && !is_immediate);
    uint64_t a = c->x[field(insn, 15, 5)], b = is_immediate ? imm_i(insn) : c->x[field(insn, 20, 5)];
    if ((is_word && funct3 != 0 && !is_shift) ||
        ((is_shift || !is_immediate) && top != 0 && !(top == 0x20 && has_alternative))) {
        return illegal(c, insn);
    }
    uint64_t value = alu(funct3, top == 0x20 && has_alternative, a, b, is_word);
    set(c, field(insn, 7, 5), is_word ? sext(value, 32) : value);
    next(c);
    return STOP_NONE;
}

static Stop csr(Cpu *c, uint32_t insn)
{
    unsigned number = insn >> 20, source = field(insn, 15, 5), funct3 = field(insn, 12, 3);
    bool is_counter = number >> 8 == 0xc, writes = (funct3 & 3) == 1 || source;
    uint64_t old, operand = funct3 & 4 ? source : c->x[source];
    bool is_closed = c->priv == PRIV_U && (!is_counter || !(c->scounteren >> (number & 31) & 1));
    if (is_closed || (writes && is_counter) || !cpu_csr_get(c, number, &old)) {
        return illegal(c, insn);
    }
    uint64_t value = (funct3 & 3) == 1 ? operand : (funct3 & 3) == 2 ? old | operand : old & ~operand;
    if (writes) {
        cpu_csr_set(c, number, value);
    }
    set(c, field(insn, 7, 5), old);
    next(c);
    return STOP_NONE;
}

static Stop system(Cpu *c, uint32_t insn)
{
    enum { ECALL = 0x73, EBREAK = 0x100073, SRET = 0x10200073, WFI = 0x10500073, SFENCE_VMA = 0x09 };
    if (field(insn, 12, 2)) {
        return csr(c, insn);
    }
    if (insn == ECALL && c->priv == PRIV_U) {
        cpu_trap(c, CAUSE_ECALL_U, 0);
    } else if (insn == ECALL) {
        next(c); /* the call is somebody else's to answer, behind it */
        return STOP_CALL;
    } else if (insn == EBREAK) {
        cpu_trap(c, CAUSE_BREAKPOINT, c->pc);
    } else if (insn == SRET && c->priv == PRIV_S) {
        sret(c);
        c->retired++;
    } else if (insn == WFI && c->priv == PRIV_S) {
        next(c);
        return pending(c) & c->sie ? STOP_NONE : STOP_WAIT;
    } else if (field(insn, 25, 7) == SFENCE_VMA && field(insn, 7, 8) == 0 && c->priv == PRIV_S) {
        next(c); /* nothing is translated, so nothing is kept */
    } else {
        return illegal(c, insn);
    }
    return STOP_NONE;
}

static Stop execute(Cpu *c, uint32_t insn)
{
    unsigned rd = field(insn, 7, 5);
    switch (insn & 0x7f) {
    case 0x03:
        return load(c, insn);
    case 0x0f: /* FENCE, FENCE.I: accesses are in order, and nothing is kept of code */
        if (field(insn, 12, 3) > 1) {
            return illegal(c, insn);
        }
        next(c);
        return STOP_NONE;
    case 0x13:
        return op(c, insn, true, false);
    case 0x17:
        set(c, rd, c->pc + imm_u(insn));
        next(c);
        return STOP_NONE;
    case 0x1b:
        return op(c, insn, true, true);
    case 0x23:
        return store(c, insn);
    case 0x33:
        return field(insn, 25, 7) == 1 ? op_m(c, insn, false) : op(c, insn, false, false);
    case 0x37:
        set(c, rd, imm_u(insn));
        next(c);
        return STOP_NONE;
    case 0x3b:
        return field(insn, 25, 7) == 1 ? op_m(c, insn, true) : op(c, insn, false, true);
    case 0x63:
        return branch(c, insn);
    case 0x67:
        return field(insn, 12, 3) ? illegal(c, insn)
                                  : jump(c, rd, (c->x[field(insn, 15, 5)] + imm_i(insn)) & ~(uint64_t)1);
    case 0x6f:
        return jump(c, rd, c->pc + imm_j(insn));
    case 0x73:
        return system(c, insn);
    default:
        return illegal(c, insn);
    }
}

Stop cpu_step(Cpu *c)
{
    uint32_t insn;
    if (interrupt_taken(c)) {
        return STOP_NONE;
    }
    const uint8_t *at = memory_at(c->memory, c->pc, sizeof insn, ACCESS_FETCH);
    if (!at) {
        cpu_trap(c, CAUSE_FETCH_ACCESS, c->pc);
        return STOP_NONE;
    }
    memcpy(&insn, at, sizeof insn);
    return execute(c, insn);
}
