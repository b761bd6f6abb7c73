/* SPDX-License-Identifier: Apache-2.0
 * sbi.h - the firmware that RISC-V kernels call: RISC-V Supervisor Binary Interface 2.0, with Base, TIME, IPI, RFENCE, HSM, SRST,
 * DBCN, and of the legacy calls set_timer, console_putchar, console_getchar and shutdown.
 *
 * Called by sim.c in the environment `virt` when the board serves firmware calls. It decides; the host acts. Knows
 * harts by number, hart id = vcpu, and nothing of registers: sbi_call takes a7, a6 and a0..a5, and its answer says what is to
 * become of the caller.
 *
 * THREADS. One call at a time: the owner serialises. Nothing here blocks. A guest can pass anything: it gets an error code. */
#ifndef SIM_FIRMWARE_SBI_H
#define SIM_FIRMWARE_SBI_H

#include "sim/base/buf.h"
#include "sim/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SBI_MAX_HARTS = 64 };
/* Section 3: standard SBI errors. */
typedef enum {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_DENIED = -4,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
} SbiError;

/* What acts on harts and memory. All on the thread of sbi_call. */
typedef struct SbiHost {
    void *ctx;
    uint64_t ns_per_tick; /* of the `time` register: 1e9 / timebase-frequency */
    uint64_t mvendorid, marchid, mimpid;
    /* The hart's supervisor timer interrupt: clears what is pending; due when its clock reaches ns; UINT64_MAX = never. */
    void (*set_timer)(void *ctx, unsigned hart, uint64_t ns);
    void (*send_ipi)(void *ctx, unsigned hart); /* sets sip.SSIP, which the hart clears itself */
    void (*fence_i)(void *ctx, unsigned hart);
    /* SFENCE.VMA of [start, start + size); start 0 and size UINT64_MAX: everything. asid UINT64_MAX: of all. */
    void (*sfence_vma)(void *ctx, unsigned hart, uint64_t start, uint64_t size, uint64_t asid);
    /* A stopped hart begins in S mode at addr with a0 = hart, a1 = arg, satp = 0, sstatus.SIE = 0 (9.1). */
    void (*start)(void *ctx, unsigned hart, uint64_t addr, uint64_t arg);
    /* All of it RAM that S mode may read, write (console buffers) or execute (start addresses)? n is not 0. */
    bool (*is_ram)(void *ctx, uint64_t gpa, uint64_t n);
    bool (*mem_read)(void *ctx, uint64_t gpa, void *bytes, size_t n);
    bool (*mem_write)(void *ctx, uint64_t gpa, const void *bytes, size_t n);
    size_t (*console_write)(void *ctx, const void *bytes, size_t n); /* returns how many were taken */
    size_t (*console_read)(void *ctx, void *bytes, size_t cap);      /* returns how many there were */
} SbiHost;

typedef struct SbiCall {
    unsigned hart; /* the caller's */
    uint64_t ext, fid, arg[6];
} SbiCall;
typedef enum {
    SBI_RETURN,     /* a0 = error, a1 = value; goes on */
    SBI_RETURN_A0,  /* legacy: a0 = error, a1 stays; goes on */
    SBI_STOP,       /* the hart stops, until SbiHost.start */
    SBI_SUSPEND,    /* a0 = error, a1 = value; idles like WFI; sbi_resumed when it goes on */
    SBI_SUSPEND_TO, /* idles like WFI; then sbi_resumed, and begins at addr as after SbiHost.start with arg */
    SBI_SHUTDOWN,   /* the machine ends; is_failure: the guest says that it failed */
    SBI_REBOOT,
} SbiAction;
typedef struct SbiReply {
    SbiAction action;
    int64_t error; /* SbiError; of a legacy call: its result */
    uint64_t value;
    uint64_t addr, arg;
    bool is_failure;
} SbiReply;

typedef struct Sbi Sbi;
/* Hart 0 is started, the others are stopped. 1 <= nharts <= SBI_MAX_HARTS. host is copied. */
Sbi *sbi_new(const SbiHost *host, unsigned nharts);
void sbi_free(Sbi *s); /* NULL is fine */
void sbi_reset(Sbi *s);
void sbi_call(Sbi *s, const SbiCall *call, SbiReply *out);
void sbi_resumed(Sbi *s, unsigned hart); /* a suspended hart was woken */
void sbi_started(Sbi *s, unsigned hart); /* the owner itself has started it, beside hart 0 */
bool sbi_is_stopped(const Sbi *s, unsigned hart);
/* The states of all harts. Restore: -ERR_INVAL with nothing changed. */
void sbi_save(const Sbi *s, Buf *out);
MUST_USE int sbi_restore(Sbi *s, Cursor *in, Err *err);
#endif
