/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_obj.h"

#include <elf.h>

static const char out_of_reach[] = "is out of reach of the place that uses it";
static const char unsupported[] = "needs a relocation that a flat image cannot have";
static const char cut_off[] = "is used at the very end of the image";

static bool fits_signed(uint64_t v, unsigned bits)
{
    return bits >= 64 || (int64_t)v >> (bits - 1) == 0 || (int64_t)v >> (bits - 1) == -1;
}

static bool fits_unsigned(uint64_t v, unsigned bits)
{
    return bits >= 64 || v >> bits == 0;
}

static uint64_t load_le(const uint8_t *at, size_t nbytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < nbytes; i++) {
        v |= (uint64_t)at[i] << (8 * i);
    }
    return v;
}

static void store_le(uint8_t *at, uint64_t v, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

/* Data fields. A 16-bit or 8-bit field may hold the value as signed or unsigned, as assemblers
 * allow. */
typedef enum { NUM_EITHER, NUM_UNSIGNED, NUM_SIGNED, NUM_ADD, NUM_SUB } Number;

static const char *put_number(const AsmReloc *r, Number kind, uint64_t v, size_t nbytes)
{
    if (r->room < nbytes) {
        return cut_off;
    }
    unsigned bits = (unsigned)nbytes * 8;
    bool is_signed = fits_signed(v, bits), is_unsigned = fits_unsigned(v, bits), is_ok = true;
    switch (kind) {
    case NUM_EITHER:
        is_ok = is_signed || is_unsigned;
        break;
    case NUM_UNSIGNED:
        is_ok = is_unsigned;
        break;
    case NUM_SIGNED:
        is_ok = is_signed;
        break;
    case NUM_ADD:
        v = load_le(r->at, nbytes) + v;
        break;
    case NUM_SUB:
        v = load_le(r->at, nbytes) - v;
        break;
    }
    if (!is_ok) {
        return out_of_reach;
    }
    store_le(r->at, v, nbytes);
    return NULL;
}

/* Replaces the bits of mask in the 4-byte instruction. */
static const char *put_bits(const AsmReloc *r, size_t offset, uint32_t mask, uint32_t bits)
{
    if (r->room < offset + 4) {
        return cut_off;
    }
    uint32_t insn = (uint32_t)load_le(r->at + offset, 4);
    store_le(r->at + offset, (insn & ~mask) | (bits & mask), 4);
    return NULL;
}

static const char *apply_x86(const AsmReloc *r)
{
    uint64_t distance = r->value - r->place;
    switch (r->type) {
    case R_X86_64_NONE:
        return NULL;
    case R_X86_64_64:
        return put_number(r, NUM_EITHER, r->value, 8);
    case R_X86_64_PC64:
        return put_number(r, NUM_EITHER, distance, 8);
    case R_X86_64_32:
        return put_number(r, NUM_UNSIGNED, r->value, 4);
    case R_X86_64_32S:
        return put_number(r, NUM_SIGNED, r->value, 4);
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
        return put_number(r, NUM_SIGNED, distance, 4);
    case R_X86_64_16:
        return put_number(r, NUM_EITHER, r->value, 2);
    case R_X86_64_PC16: /* a 16-bit ip wraps at 64 KiB */
        return fits_signed(distance, 17) ? put_number(r, NUM_EITHER, distance & 0xffff, 2) : out_of_reach;
    case R_X86_64_8:
        return put_number(r, NUM_EITHER, r->value, 1);
    case R_X86_64_PC8:
        return put_number(r, NUM_SIGNED, distance, 1);
    default:
        return unsupported;
    }
}

static uint32_t riscv_b(uint64_t v)
{
    return (uint32_t)((v >> 12 & 1) << 31 | (v >> 5 & 0x3f) << 25 | (v >> 1 & 0xf) << 8 | (v >> 11 & 1) << 7);
}

static uint32_t riscv_j(uint64_t v)
{
    return (uint32_t)((v >> 20 & 1) << 31 | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xff) << 12);
}

static uint32_t riscv_s(uint64_t v)
{
    return (uint32_t)((v >> 5 & 0x7f) << 25 | (v & 0x1f) << 7);
}

static const char *riscv_hi(const AsmReloc *r, uint64_t v)
{
    return fits_signed(v + 0x800, 32) ? put_bits(r, 0, 0xfffff000, (uint32_t)(v + 0x800)) : out_of_reach;
}

static const char *riscv_jump(const AsmReloc *r, uint64_t v)
{
    bool is_branch = r->type == R_RISCV_BRANCH;
    if (!fits_signed(v, is_branch ? 13 : 21) || v & 1) {
        return out_of_reach;
    }
    return is_branch ? put_bits(r, 0, 0xfe000f80, riscv_b(v)) : put_bits(r, 0, 0xfffff000, riscv_j(v));
}

static const char *riscv_call(const AsmReloc *r, uint64_t v)
{
    const char *problem = r->room < 8 ? cut_off : riscv_hi(r, v);
    return problem ? problem : put_bits(r, 4, 0xfff00000, (uint32_t)v << 20);
}

static const char *apply_riscv_data(const AsmReloc *r)
{
    switch (r->type) {
    case R_RISCV_32:
        return put_number(r, NUM_EITHER, r->value, 4);
    case R_RISCV_64:
        return put_number(r, NUM_EITHER, r->value, 8);
    case R_RISCV_32_PCREL:
        return put_number(r, NUM_SIGNED, r->value - r->place, 4);
    case R_RISCV_ADD8:
        return put_number(r, NUM_ADD, r->value, 1);
    case R_RISCV_ADD16:
        return put_number(r, NUM_ADD, r->value, 2);
    case R_RISCV_ADD32:
        return put_number(r, NUM_ADD, r->value, 4);
    case R_RISCV_ADD64:
        return put_number(r, NUM_ADD, r->value, 8);
    case R_RISCV_SUB8:
        return put_number(r, NUM_SUB, r->value, 1);
    case R_RISCV_SUB16:
        return put_number(r, NUM_SUB, r->value, 2);
    case R_RISCV_SUB32:
        return put_number(r, NUM_SUB, r->value, 4);
    case R_RISCV_SUB64:
        return put_number(r, NUM_SUB, r->value, 8);
    default:
        return unsupported;
    }
}

static const char *apply_riscv(const AsmReloc *r)
{
    uint64_t distance = r->value - r->place;
    switch (r->type) {
    case R_RISCV_NONE:
    case R_RISCV_RELAX: /* permits shrinking, which we do not do */
        return NULL;
    case R_RISCV_BRANCH:
    case R_RISCV_JAL:
        return riscv_jump(r, distance);
    case R_RISCV_CALL:
    case R_RISCV_CALL_PLT:
        return riscv_call(r, distance);
    case R_RISCV_PCREL_HI20:
        return riscv_hi(r, distance);
    case R_RISCV_HI20:
        return riscv_hi(r, r->value);
    case R_RISCV_PCREL_LO12_I:
    case R_RISCV_LO12_I:
        return put_bits(r, 0, 0xfff00000, (uint32_t)r->value << 20);
    case R_RISCV_PCREL_LO12_S:
    case R_RISCV_LO12_S:
        return put_bits(r, 0, 0xfe000f80, riscv_s(r->value));
    default:
        return apply_riscv_data(r);
    }
}

/* A pc-relative field of `bits` bits (scaled by 4) at bit `shift`. */
static const char *arm_branch(const AsmReloc *r, unsigned bits, unsigned shift)
{
    uint64_t v = r->value - r->place;
    if (!fits_signed(v, bits + 2) || v & 3) {
        return out_of_reach;
    }
    uint32_t mask = (((uint32_t)1 << bits) - 1) << shift;
    return put_bits(r, 0, mask, (uint32_t)(v >> 2) << shift);
}

static const char *arm_adr(const AsmReloc *r, uint64_t v)
{
    if (!fits_signed(v, 21)) {
        return out_of_reach;
    }
    return put_bits(r, 0, 0x60ffffe0, (uint32_t)((v & 3) << 29 | (v >> 2 & 0x7ffff) << 5));
}

static const char *arm_lo12(const AsmReloc *r, unsigned lg2)
{
    uint64_t v = r->value & 0xfff;
    if (v & ((1u << lg2) - 1)) {
        return "is not aligned to the size of the access";
    }
    return put_bits(r, 0, 0x003ffc00, (uint32_t)(v >> lg2) << 10);
}

static const char *arm_movw(const AsmReloc *r, unsigned group, bool is_checked)
{
    if (is_checked && !fits_unsigned(r->value, 16 * (group + 1))) {
        return out_of_reach;
    }
    return put_bits(r, 0, 0x001fffe0, (uint32_t)(r->value >> (16 * group) & 0xffff) << 5);
}

static const char *apply_arm_data(const AsmReloc *r)
{
    uint64_t distance = r->value - r->place;
    switch (r->type) {
    case R_AARCH64_NONE:
        return NULL;
    case R_AARCH64_ABS64:
        return put_number(r, NUM_EITHER, r->value, 8);
    case R_AARCH64_ABS32:
        return put_number(r, NUM_EITHER, r->value, 4);
    case R_AARCH64_ABS16:
        return put_number(r, NUM_EITHER, r->value, 2);
    case R_AARCH64_PREL64:
        return put_number(r, NUM_EITHER, distance, 8);
    case R_AARCH64_PREL32:
        return put_number(r, NUM_EITHER, distance, 4);
    case R_AARCH64_PREL16:
        return put_number(r, NUM_EITHER, distance, 2);
    default:
        return unsupported;
    }
}

static const char *apply_arm_movw(const AsmReloc *r)
{
    switch (r->type) {
    case R_AARCH64_MOVW_UABS_G0:
    case R_AARCH64_MOVW_UABS_G0_NC:
        return arm_movw(r, 0, r->type == R_AARCH64_MOVW_UABS_G0);
    case R_AARCH64_MOVW_UABS_G1:
    case R_AARCH64_MOVW_UABS_G1_NC:
        return arm_movw(r, 1, r->type == R_AARCH64_MOVW_UABS_G1);
    case R_AARCH64_MOVW_UABS_G2:
    case R_AARCH64_MOVW_UABS_G2_NC:
        return arm_movw(r, 2, r->type == R_AARCH64_MOVW_UABS_G2);
    case R_AARCH64_MOVW_UABS_G3:
        return arm_movw(r, 3, true);
    default:
        return apply_arm_data(r);
    }
}

static const char *apply_arm(const AsmReloc *r)
{
    const uint64_t page = ~(uint64_t)0xfff;
    switch (r->type) {
    case R_AARCH64_LD_PREL_LO19:
    case R_AARCH64_CONDBR19:
        return arm_branch(r, 19, 5);
    case R_AARCH64_TSTBR14:
        return arm_branch(r, 14, 5);
    case R_AARCH64_JUMP26:
    case R_AARCH64_CALL26:
        return arm_branch(r, 26, 0);
    case R_AARCH64_ADR_PREL_LO21:
        return arm_adr(r, r->value - r->place);
    case R_AARCH64_ADR_PREL_PG_HI21:
    case R_AARCH64_ADR_PREL_PG_HI21_NC:
        return arm_adr(r, (uint64_t)((int64_t)((r->value & page) - (r->place & page)) >> 12));
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC:
        return arm_lo12(r, 0);
    case R_AARCH64_LDST16_ABS_LO12_NC:
        return arm_lo12(r, 1);
    case R_AARCH64_LDST32_ABS_LO12_NC:
        return arm_lo12(r, 2);
    case R_AARCH64_LDST64_ABS_LO12_NC:
        return arm_lo12(r, 3);
    case R_AARCH64_LDST128_ABS_LO12_NC:
        return arm_lo12(r, 4);
    default:
        return apply_arm_movw(r);
    }
}

const char *asm_reloc_apply(GuestId guest, const AsmReloc *r)
{
    switch (guest) {
    case GUEST_riscv64:
        return apply_riscv(r);
    case GUEST_aarch64:
        return apply_arm(r);
    case GUEST_x86_64:
        return apply_x86(r);
    case GUEST_COUNT:
        break;
    }
    return unsupported;
}
