/* SPDX-License-Identifier: Apache-2.0
 * rig.h - for the tests of accel/kvm on x86-64: a machine with one vcpu, and small guests. */
#ifndef ACCEL_KVM_RIG_H
#define ACCEL_KVM_RIG_H

#include "accel/kvm/kvm.h"
#include "sim/base/test.h"

extern const Backend backend_kvm;

/* A guest blob: assembled here, copied to CODE. */
#define BLOB(name, mode, text)                                                                                         \
    extern const uint8_t name##_start[], name##_end[];                                                                 \
    __asm__(".pushsection .rodata\n.globl " #name "_start, " #name "_end\n" mode "\n" #name "_start:\n" text           \
            "\n" #name "_end:\n.code64\n.popsection")

enum { RAM_BYTES = 1 << 20, CODE = 0x1000, TABLES = 0x10000, GDT = 0x500, IDT = 0x2000, HOLE = 0x10000000 };

typedef struct {
    BeVm *vm;
    BeVcpu *v;
    RamId ram;
    Err err;
} Machine;

extern const uint8_t b_load_start[], b_load_end[]; /* one device load; in run_test.c */

const VmOps *ops(void);
const VcpuOps *vops(void);
bool lacks(Cap cap);
bool open_vm(Machine *m, Irqchip irqchip);
bool add_vcpu(Machine *m, uint8_t id, BeVcpu **out);
bool open_machine(Machine *m);
void close_machine(Machine *m);
void put(Machine *m, uint64_t at, const void *bytes, size_t n);
RegId ctl(uint64_t index, unsigned lg2);
uint64_t get(Machine *m, RegId id);
int set(Machine *m, RegId id, uint64_t value);
void go_long(Machine *m);
void gate(Machine *m, unsigned vector, uint64_t handler);
bool open_long(Machine *m);
VmExit run(Machine *m);
void answer(Machine *m, uint64_t value);

#define PUT_CODE(m, blob) put((m), CODE, blob##_start, (size_t)(blob##_end - blob##_start))

static const RegId rip = REG_ID(GUEST_x86_64, 3, REG_CTL, 0);
static const RegId rax = REG_ID(GUEST_x86_64, 3, REG_GPR, 0);
static const RegId rcx = REG_ID(GUEST_x86_64, 3, REG_GPR, 1);
static const RegId rbx = REG_ID(GUEST_x86_64, 3, REG_GPR, 3);
static const RegId rdi = REG_ID(GUEST_x86_64, 3, REG_GPR, 7);
#endif
