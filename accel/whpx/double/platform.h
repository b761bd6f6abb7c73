/* SPDX-License-Identifier: Apache-2.0
 * platform.h - private to the double of WinHvPlatform.dll: partitions and virtual processors on /dev/kvm.
 *
 * partition.c  capabilities, partitions, GPA ranges, dirty bitmaps, and what the documentation asks of callers
 * vp.c         virtual processors, registers        run.c   running them, exits
 * code.c       what lies at an address: translation, instruction bytes
 *
 * The platform leaves an access to a device before anything of its instruction was done; KVM tells of it when the instruction is
 * half-way, or over. So a processor is stepped, one instruction at a time, and after such an exit what KVM holds of the
 * instruction is finished with zeros and the state before it is put back. */
#ifndef ACCEL_WHPX_DOUBLE_PLATFORM_H
#define ACCEL_WHPX_DOUBLE_PLATFORM_H

#include "accel/whpx/double/faults.h"
#include "accel/whpx/double/linux.h"
#include "accel/whpx/errors.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <windows.h>
/* the order matters: winhvplatform.h needs windows.h */
#include <winhvplatform.h>

enum { MAX_VPS = 64, MAX_RANGES = 2048, MAX_MSR_ACTIONS = 4096, PAGE = 4096, MAX_INSN = 15 };

typedef struct {
    bool is_used;
    uint64_t gpa, size;
    uint8_t *host;
    WHV_MAP_GPA_RANGE_FLAGS flags;
    uint64_t *dirty; /* fetched and not yet told */
} Range;             /* its index is KVM's slot */

struct Partition;
typedef struct {
    struct Partition *p;
    bool exists;
    int fd; /* kept when the processor is deleted: KVM creates an id once */
    struct kvm_run *run;
    struct kvm_regs first_regs;
    struct kvm_sregs first_sregs;
    atomic_bool is_running, is_canceled;
    bool has_trap_flag; /* RFLAGS.TF as it was set from outside: KVM's own is in use for the steps */
    WHV_X64_PENDING_INTERRUPTION_REGISTER interruption;
    WHV_X64_PENDING_EXCEPTION_EVENT event;
    WHV_X64_DELIVERABILITY_NOTIFICATIONS_REGISTER notify;
    WHV_INTERNAL_ACTIVITY_REGISTER activity;
} Vp;

typedef struct Partition {
    uint32_t magic;
    int sys_fd, fd;
    size_t run_bytes;
    bool is_set_up;
    uint32_t nvps; /* ProcessorCount; 0 = not said */
    WHV_EXTENDED_VM_EXITS exits;
    WHV_MSR_ACTION_ENTRY msrs[MAX_MSR_ACTIONS];
    uint32_t nmsrs;
    uint64_t exceptions; /* that exit */
    SRWLOCK lock;        /* of ranges: shared by a processor during a step */
    Range ranges[MAX_RANGES];
    Vp vps[MAX_VPS];
} Partition;

enum { PARTITION_MAGIC = 0x57485650 };
/* NULL unless it is one. */
Partition *partition_of(WHV_PARTITION_HANDLE handle);
Vp *vp_of(WHV_PARTITION_HANDLE handle, UINT32 index, HRESULT *why);
Range *range_of(Partition *p, uint64_t gpa); /* with the lock */
void vp_close(Vp *v);

/* ---- code.c ---- */
typedef struct {
    bool is_present, is_writable, is_user, is_executable;
    uint64_t gpa;
} Walk;
Walk gva_walk(Vp *v, const struct kvm_sregs *s, uint64_t gva);
bool gpa_read(Partition *p, uint64_t gpa, void *bytes, size_t n);
size_t gva_read(Vp *v, const struct kvm_sregs *s, uint64_t gva, uint8_t *bytes, size_t n); /* how many */

typedef struct {
    uint8_t bytes[16];
    uint8_t nbytes;
    uint8_t nprefixes, opcode, opcode2; /* opcode2 after 0f */
    uint8_t length;                     /* of IN, OUT, INS, OUTS, CPUID, RDMSR, WRMSR; else 0 */
    bool has_rep, is_vector;            /* vector: may change XMM registers */
} Insn;
Insn insn_fetch(Vp *v, const struct kvm_sregs *s, uint64_t rip);
bool insn_is_string(const Insn *in);

/* ---- vp.c ---- */
HRESULT vp_state_read(Vp *v, struct kvm_regs *r, struct kvm_sregs *s, struct kvm_vcpu_events *e);
/* ---- run.c ---- */
HRESULT vp_run(Vp *v, WHV_RUN_VP_EXIT_CONTEXT *exit);
#endif
