/* SPDX-License-Identifier: Apache-2.0
 * regs.h - the guests that exist, and their registers by name and by number. Read by everything that names a register:
 * simulator, backends, wire, snapshots, Lua. The tables are data only (sim/guest/<isa>/regs.def), so that a hypervisor
 * backend has an ISA's registers before, or without, its simulator. Everything here is constant and THREAD-SAFE.
 *
 * An id is the architecture's own number, not an ordinal of ours: stable across builds, wires and plugins.
 * guest:4 | log2(size_bytes):4 | class:8 | index:48. Index: GPR x0.. (encoding order of the ISA: rax rcx rdx rbx rsp
 * rbp rsi rdi r8..); FP f0.. or x87; VEC v0.. (xmm0..); SYS = RISC-V CSR number, AArch64 op0:2 op1:3 CRn:4 CRm:4 op2:3
 * packed as in the MRS encoding, x86 MSR address; CTL = table of each guest (pc, flags, cr0, segments, nzcv, priv);
 * STATE = portable run state (mp_state, pending events); NATIVE = backend-private blobs. */
#ifndef SIM_GUEST_REGS_H
#define SIM_GUEST_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t RegId;
typedef enum { GUEST_riscv64 = 1, GUEST_aarch64, GUEST_x86_64, GUEST_COUNT } GuestId;
typedef enum { REG_GPR = 1, REG_FP, REG_VEC, REG_SYS, REG_CTL, REG_STATE, REG_NATIVE } RegClass;
#define REG_ID(guest, lg2, cls, idx) ((RegId)(guest) << 60 | (RegId)(lg2) << 56 | (RegId)(cls) << 48 | (RegId)(idx))
#define REG_GUEST(id)                ((GuestId)((id) >> 60))
#define REG_CLASS(id)                ((RegClass)((id) >> 48 & 0xff))
#define REG_INDEX(id)                ((id)&0xffffffffffffull)
#define REG_SIZE(id)                 ((size_t)1 << ((id) >> 56 & 15)) /* up to 32 KiB; little-endian bytes, on any host */
typedef struct {
    RegId id;
    void *bytes; /* REG_SIZE(id), caller's */
} RegIo;
typedef struct {
    RegId id;
    char name[24];     /* "rax", "cr0", "mstatus"; SYS registers of x86 are "msr.tsc"; 0 at the end */
    uint64_t writable; /* bits that keep what is written (sizes <= 8; all ones for wider registers); 0 = read-only */
    uint64_t fixed;    /* bits that always read as one */
} RegInfo;
/* Registers by name. Neutral names work on every guest: pc sp arg0..arg5 ret. NULL: no such register. THREAD-SAFE. */
const RegInfo *reg_find(GuestId guest, const char *name);
const RegInfo *reg_info(RegId id); /* NULL for an id that regs.def does not name */
/* What messages call it: its name, or "MSR 0x10", or "register 0x..", written to buf (REG_TEXT_BYTES do). */
enum { REG_TEXT_BYTES = 32 };
const char *reg_text(RegId id, char *buf, size_t n);
/* x86_64, for platforms that take bits which have no place in their own form, or that the processor refuses at the next entry: does
 * the value (REG_SIZE bytes) of rflags, of a segment's part or of vcpu state have settable bits only? True for other registers, and
 * for those that are read-only for users, which a restore brings back. */
bool reg_x86_64_fits(RegId id, const void *bytes);
const RegInfo *reg_table(GuestId guest, size_t *n);       /* regs.def in its order */
const char *reg_nearest(GuestId guest, const char *name); /* did-you-mean; NULL if nothing is near */
const char *guest_name(GuestId guest);                    /* "riscv64"; NULL if none */
GuestId guest_find(const char *name);                     /* 0 if none */
#endif
