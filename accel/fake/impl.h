/* SPDX-License-Identifier: Apache-2.0
 * impl.h - the parts of the fake backend among themselves. BeVm.lock guards what several threads reach: memory, the
 * log, the failures asked for. A BeVcpu belongs to its owner; only `kicked`, `nkicks` and the pipe are touched by
 * kick(). */
#ifndef ACCEL_FAKE_IMPL_H
#define ACCEL_FAKE_IMPL_H

#include "accel/fake/fake.h"
#include "accel/fake/script.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    FAKE_PAGE_BYTES = 4096,
    FAKE_MAX_REGIONS = 512,
    FAKE_DEFAULT_PAGES = 16384,
    FAKE_LOG_BYTES = 256 * 1024,
    FAKE_MAX_THREADS = 64,
    FAKE_MAX_FAILS = 16,
    FAKE_REG_BYTES = 16, /* the widest register of regs.def */
};
#define FAKE_MAX_RAM_BYTES (1ull << 40)

enum { W1 = 1, W2, W3, W4, W5, W6, W7, W8 };

typedef struct Ram Ram;
typedef struct {
    uint64_t at, size, offset;
    RamId ram;
    uint32_t flags;
    uint8_t *dirty; /* a bit per page; NULL without MAP_LOG_DIRTY */
} FakeRegion;

typedef struct {
    char op[32];
    int code;
} Fail;

typedef struct {
    uint64_t at;
    uint8_t *bytes;
    size_t n;
} HeldWrite; /* W8 broken */

struct BeVm {
    GuestId guest;
    Env env;
    const Board *board;
    const RegInfo *regs;
    size_t nregs;
    pthread_mutex_t lock;
    /* under lock */
    VEC(Ram *) rams; /* by RamId */
    VEC(FakeRegion) regions;
    VEC(HeldWrite) held;
    uint64_t npages, max_pages;
    Buf log;
    uint64_t nlost; /* calls that the log had no room for */
    pthread_t threads[FAKE_MAX_THREADS];
    unsigned nthreads;
    Fail fails[FAKE_MAX_FAILS];
    unsigned nfails;
    uint64_t clock_ns;
    Script early; /* for vcpu 0, before it exists */
    BeVcpu *vcpu0;
    atomic_uint broken; /* bit n: rule Wn */
};

struct BeVcpu {
    BeVm *vm;
    VcpuConfig cfg;
    pthread_t owner;
    uint8_t (*regs)[FAKE_REG_BYTES]; /* by row of regs.def */
    Script script;
    size_t next;           /* entry */
    bool has_due, is_owed; /* a reply is due; a replied instruction is to be charged to the next run */
    Entry due;
    bool has_pending, is_masked;
    Event pending; /* injected, not yet taken */
    uint64_t insns;
    atomic_bool kicked, is_running;
    atomic_uint nkicks;
    int wake; /* an eventfd, as write() is allowed in a signal handler */
};

bool is_broken(const BeVm *vm, int rule);

/* log.c: one line for a call that returns rc; the format describes the arguments. Returns rc. */
int fake_log(BeVm *vm, int rc, const char *op, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The failure that fake.fail asked for, or 0. */
int fake_fails(BeVm *vm, const char *op, Err *err);
int fake_fail_add(BeVm *vm, const char *text, size_t n, Err *err);

/* mem.c: the VmOps of memory; the _locked functions are called under lock. */
int fake_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err);
int fake_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err);
int fake_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err);
int fake_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err);
int fake_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err);
int fake_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err);
int mem_guest_store(BeVm *vm, uint64_t at, const uint8_t *bytes, size_t n, Err *err);
int mem_mark_dirty(BeVm *vm, uint64_t at, Err *err);
void mem_flush_held(BeVm *vm);
void mem_free_all(BeVm *vm);

/* player.c: plays entries until run() has something to say. */
int fake_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err);
int fake_reply(BeVcpu *v, const Reply *r, Err *err);
void fake_kick(BeVcpu *v);
bool fake_is_brief(BeVcpu *v);

/* vcpu.c */
extern const VcpuOps fake_vcpu_ops;
uint64_t reg_load(const BeVcpu *v, const char *name);
void reg_store(BeVcpu *v, const RegInfo *reg, uint64_t value); /* every bit, as the hardware would */
void reg_store_named(BeVcpu *v, const char *name, uint64_t value);
int fake_owner_check(const BeVcpu *v, const char *op, Err *err);

/* misbehave.c */
int misbehave(const Entry *e, Err *err);
#endif
