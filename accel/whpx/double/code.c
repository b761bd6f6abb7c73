/* SPDX-License-Identifier: Apache-2.0
 * code.c - translation of addresses, and as much of an instruction as its exit must tell. */
#include "accel/whpx/double/platform.h"

#include <string.h>

enum { CR0_PE = 1, EFER_LMA = 1 << 10 };
#define CR0_PG (1u << 31)

bool gpa_read(Partition *p, uint64_t gpa, void *bytes, size_t n)
{
    const Range *r = range_of(p, gpa);
    if (!r || r->size - (gpa - r->gpa) < n) {
        return false;
    }
    memcpy(bytes, r->host + (gpa - r->gpa), n);
    return true;
}

/* Four levels (SDM vol. 3A, 4.5); what KVM finds in other modes has all permissions. */
Walk gva_walk(Vp *v, const struct kvm_sregs *s, uint64_t gva)
{
    enum { P = 1, W = 2, U = 4, PS = 128 };
    const uint64_t nx = 1ull << 63, addr = 0x000ffffffffff000ull;
    if (!(s->cr0 & CR0_PG)) {
        return (Walk){true, true, true, true, (uint32_t)gva};
    }
    if (!(s->efer & EFER_LMA)) {
        struct kvm_translation t = {.linear_address = gva};
        bool is_there = linux_ioctl(v->fd, KVM_TRANSLATE, &t) >= 0 && t.valid;
        return (Walk){is_there, is_there, is_there, is_there, t.physical_address};
    }
    Walk w = {true, true, true, true, 0};
    uint64_t table = s->cr3 & addr;
    for (int shift = 39; shift >= 12; shift -= 9) {
        uint64_t entry;
        if (!gpa_read(v->p, table + 8 * (gva >> shift & 511), &entry, sizeof entry) || !(entry & P)) {
            return (Walk){.is_present = false};
        }
        w.is_writable &= (entry & W) != 0;
        w.is_user &= (entry & U) != 0;
        w.is_executable &= !(entry & nx);
        if (shift == 12 || (entry & PS && shift < 39)) {
            uint64_t mask = (1ull << shift) - 1;
            w.gpa = (entry & addr & ~mask) | (gva & mask);
            return w;
        }
        table = entry & addr;
    }
    return (Walk){.is_present = false};
}

size_t gva_read(Vp *v, const struct kvm_sregs *s, uint64_t gva, uint8_t *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t part = PAGE - (size_t)((gva + done) % PAGE);
        part = part < n - done ? part : n - done;
        Walk w = gva_walk(v, s, gva + done);
        if (!w.is_present || !gpa_read(v->p, w.gpa, bytes + done, part)) {
            return done;
        }
        done += part;
    }
    return n;
}

static bool is_prefix(uint8_t b, bool is_64)
{
    return b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 || b == 0xf0 || b == 0x2e || b == 0x36 || b == 0x3e ||
           b == 0x26 || b == 0x64 || b == 0x65 || (is_64 && (b & 0xf0) == 0x40);
}

Insn insn_fetch(Vp *v, const struct kvm_sregs *s, uint64_t rip)
{
    Insn in = {.nbytes = 0};
    bool is_64 = s->efer & EFER_LMA && s->cs.l;
    in.nbytes = (uint8_t)gva_read(v, s, is_64 ? rip : s->cs.base + rip, in.bytes, sizeof in.bytes);
    uint8_t n = 0;
    while (n < MAX_INSN && n < in.nbytes && is_prefix(in.bytes[n], is_64)) {
        in.has_rep |= (in.bytes[n] & 0xfe) == 0xf2;
        n++;
    }
    if (n + 1 >= in.nbytes) {
        return in;
    }
    in.nprefixes = n;
    in.opcode = in.bytes[n];
    in.opcode2 = in.opcode == 0x0f ? in.bytes[n + 1] : 0;
    uint8_t op = in.opcode, op2 = in.opcode2;
    in.is_vector =
        op == 0xc4 || op == 0xc5 || op == 0x62 ||
        (op == 0x0f && ((op2 & 0xf8) == 0x10 || (op2 & 0xf8) == 0x28 || (op2 >= 0x50 && op2 < 0x80) || op2 >= 0xd0));
    if ((op >= 0xe4 && op <= 0xe7) || (op == 0x0f && (op2 == 0xa2 || op2 == 0x30 || op2 == 0x32))) {
        in.length = n + 2;
    } else if ((op >= 0xec && op <= 0xef) || (op >= 0x6c && op <= 0x6f)) {
        in.length = n + 1;
    }
    return in;
}

bool insn_is_string(const Insn *in)
{
    return (in->opcode >= 0x6c && in->opcode <= 0x6f) || in->opcode == 0xa4 || in->opcode == 0xa5 ||
           (in->opcode >= 0xaa && in->opcode <= 0xaf) || in->opcode == 0xa6 || in->opcode == 0xa7;
}
