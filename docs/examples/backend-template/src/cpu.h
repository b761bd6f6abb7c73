/* SPDX-License-Identifier: Apache-2.0
 * cpu.h - what stands where your virtual CPU would: an interpreter of RV64IM with S- and U-mode. It knows nothing of conf;
 * backend.c is what connects the two. Replace this file and cpu.c, and keep backend.c's shape.
 *
 * One step() is one instruction, or one trap or interrupt taken. It stops where the outside has to do something: the
 * instruction has then not been done, and cpu_finish() does it (or cpu_trap() lets it fail). */
#ifndef TOY_CPU_H
#define TOY_CPU_H

#include <stdbool.h>
#include <stdint.h>

enum { PRIV_U, PRIV_S };
enum { /* Privileged ISA, table 10 (scause) */
       CAUSE_FETCH_MISALIGNED = 0,
       CAUSE_FETCH_ACCESS = 1,
       CAUSE_ILLEGAL = 2,
       CAUSE_BREAKPOINT = 3,
       CAUSE_LOAD_ACCESS = 5,
       CAUSE_STORE_ACCESS = 7,
       CAUSE_ECALL_U = 8
};

typedef enum { STOP_NONE, STOP_LOAD, STOP_STORE, STOP_CALL, STOP_WAIT } Stop;
typedef struct {
    uint64_t x[32], pc, retired;
    unsigned priv;
    uint64_t sstatus, sie, stvec, scounteren, sscratch, sepc, scause, stval;
    int64_t ahead_ns;         /* guest time is 1 ns per instruction, and what was skipped in waiting */
    uint64_t lines, software; /* sip: the wires, by cause number; and bit 1, which software sets and clears */
    void *memory;             /* whoever owns the memory */
    /* of the access that stopped */
    uint64_t address, value;
    unsigned size_bytes, rd;
    bool is_signed;
} Cpu;

/* The host's bytes of [address, address + n) if it is RAM that allows the access, else NULL. */
typedef enum { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH } Access;
uint8_t *memory_at(void *memory, uint64_t address, unsigned n, Access access);

void cpu_reset(Cpu *c, uint64_t entry, uint64_t hart, uint64_t arg);
Stop cpu_step(Cpu *c);
/* Ends the instruction that stopped: a load gets its value, extended; the others go on to the next one. */
void cpu_finish(Cpu *c, uint64_t value);
void cpu_trap(Cpu *c, uint64_t cause, uint64_t tval);
uint64_t cpu_time_ns(const Cpu *c);
/* A CSR by its number; false: there is none. What cannot be written stays. */
bool cpu_csr_get(const Cpu *c, unsigned number, uint64_t *value);
bool cpu_csr_set(Cpu *c, unsigned number, uint64_t value);
#endif
