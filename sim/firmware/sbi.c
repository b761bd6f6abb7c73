/* SPDX-License-Identifier: Apache-2.0
 * Section numbers are those of the RISC-V SBI specification, version 2.0. */
#include "sim/firmware/sbi.h"

#include "sim/base/mem.h"

#include <assert.h>
#include <string.h>

enum {
    EXT_SET_TIMER = 0,
    EXT_PUTCHAR = 1,
    EXT_GETCHAR = 2,
    EXT_SHUTDOWN = 8,
    EXT_BASE = 0x10,
    EXT_TIME = 0x54494d45,
    EXT_IPI = 0x735049,
    EXT_RFENCE = 0x52464e43,
    EXT_HSM = 0x48534d,
    EXT_SRST = 0x53525354,
    EXT_DBCN = 0x4442434e,
};
enum {
    SPEC_VERSION = 2 << 24,         /* 4.1 */
    IMPLEMENTATION_ID = 0x636f6e66, /* "conf": not one of 4.9's */
    IMPLEMENTATION_VERSION = 1,
    SUSPEND_RETENTIVE = 0,        /* 9.4 */
    CONSOLE_MAX_BYTES = 64 << 10, /* of one call, which may do a part: 12.1 */
    CONSOLE_CHUNK = 256,
};
static const uint32_t SUSPEND_NON_RETENTIVE = 0x80000000;
static const uint64_t ALL = UINT64_MAX;
/* 9: HSM hart states */
typedef enum { HART_STARTED = 0, HART_STOPPED = 1, HART_SUSPENDED = 4 } HartState;

struct Sbi {
    SbiHost host;
    unsigned nharts;
    uint8_t harts[SBI_MAX_HARTS]; /* HartState */
};

Sbi *sbi_new(const SbiHost *host, unsigned nharts)
{
    assert(nharts && nharts <= SBI_MAX_HARTS);
    Sbi *s = x_alloc(sizeof *s);
    *s = (Sbi){.host = *host, .nharts = nharts};
    sbi_reset(s);
    return s;
}

void sbi_free(Sbi *s)
{
    mem_free(s);
}

void sbi_reset(Sbi *s)
{
    memset(s->harts, HART_STOPPED, sizeof s->harts);
    s->harts[0] = HART_STARTED;
}

/* ---- 4 Base ---- */
static void base_spec_version(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    (void)call;
    out->value = SPEC_VERSION;
}

static void base_impl_id(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    (void)call;
    out->value = IMPLEMENTATION_ID;
}

static void base_impl_version(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    (void)call;
    out->value = IMPLEMENTATION_VERSION;
}

static bool has_extension(uint64_t ext);
static void base_probe(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    out->value = has_extension(call->arg[0]);
}

static void base_mvendorid(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)call;
    out->value = s->host.mvendorid;
}

static void base_marchid(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)call;
    out->value = s->host.marchid;
}

static void base_mimpid(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)call;
    out->value = s->host.mimpid;
}

/* ---- 6 Timer ---- */
static void time_set(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint64_t ticks = call->arg[0], ns = ticks * s->host.ns_per_tick;
    (void)out;
    s->host.set_timer(s->host.ctx, call->hart, ticks > UINT64_MAX / s->host.ns_per_tick ? UINT64_MAX : ns);
}

/* ---- harts by mask: 3.1 ---- */
typedef struct {
    uint64_t harts; /* bit n: hart n */
} HartSet;

/* All harts of the set, or an error with none: -1 as base is everybody. A stopped hart is a valid one, but has nothing to fence or
 * to interrupt. */
static SbiError hart_set(const Sbi *s, uint64_t mask, uint64_t base, HartSet *out)
{
    *out = (HartSet){0};
    if (base == ALL) {
        out->harts = s->nharts == 64 ? ALL : (1ull << s->nharts) - 1;
    } else if (base >= s->nharts) {
        return SBI_ERR_INVALID_PARAM;
    } else {
        if (s->nharts - base < 64 && mask >> (s->nharts - base)) {
            return SBI_ERR_INVALID_PARAM;
        }
        out->harts = mask << base;
    }
    for (unsigned i = 0; i < s->nharts; i++) {
        if (s->harts[i] == HART_STOPPED) {
            out->harts &= ~(1ull << i);
        }
    }
    return SBI_SUCCESS;
}

static bool hart_next(HartSet *set, unsigned *hart)
{
    if (!set->harts) {
        return false;
    }
    *hart = (unsigned)__builtin_ctzll(set->harts);
    set->harts &= set->harts - 1;
    return true;
}

/* ---- 7 IPI ---- */
static void ipi_send(Sbi *s, const SbiCall *call, SbiReply *out)
{
    HartSet set;
    unsigned hart;
    out->error = hart_set(s, call->arg[0], call->arg[1], &set);
    while (hart_next(&set, &hart)) {
        s->host.send_ipi(s->host.ctx, hart);
    }
}

/* ---- 8 RFENCE ---- */
static void rfence_i(Sbi *s, const SbiCall *call, SbiReply *out)
{
    HartSet set;
    unsigned hart;
    out->error = hart_set(s, call->arg[0], call->arg[1], &set);
    while (hart_next(&set, &hart)) {
        s->host.fence_i(s->host.ctx, hart);
    }
}

static void sfence(Sbi *s, const SbiCall *call, uint64_t asid, SbiReply *out)
{
    HartSet set;
    unsigned hart;
    uint64_t start = call->arg[2], size = call->arg[3];
    out->error = hart_set(s, call->arg[0], call->arg[1], &set);
    if (out->error) {
        return;
    }
    if ((!start && !size) || size == ALL) { /* both mean everything */
        start = 0;
        size = ALL;
    } else if (size && start + (size - 1) < start) {
        out->error = SBI_ERR_INVALID_ADDRESS;
        return;
    }
    while (size && hart_next(&set, &hart)) {
        s->host.sfence_vma(s->host.ctx, hart, start, size, asid);
    }
}

static void rfence_sfence(Sbi *s, const SbiCall *call, SbiReply *out)
{
    sfence(s, call, ALL, out);
}

static void rfence_sfence_asid(Sbi *s, const SbiCall *call, SbiReply *out)
{
    sfence(s, call, call->arg[4], out);
}

/* 8.4 to 8.7: harts have no hypervisor extension */
static void rfence_hfence(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    (void)call;
    out->error = SBI_ERR_NOT_SUPPORTED;
}

/* ---- 9 HSM ---- */
static void hsm_start(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint64_t hart = call->arg[0], addr = call->arg[1];
    if (hart >= s->nharts) {
        out->error = SBI_ERR_INVALID_PARAM;
    } else if (s->harts[hart] != HART_STOPPED) {
        out->error = SBI_ERR_ALREADY_AVAILABLE;
    } else if (!s->host.is_ram(s->host.ctx, addr, 1)) {
        out->error = SBI_ERR_INVALID_ADDRESS;
    } else {
        s->harts[hart] = HART_STARTED;
        s->host.start(s->host.ctx, (unsigned)hart, addr, call->arg[2]);
    }
}

static void hsm_stop(Sbi *s, const SbiCall *call, SbiReply *out)
{
    s->harts[call->hart] = HART_STOPPED;
    out->action = SBI_STOP;
}

static void hsm_status(Sbi *s, const SbiCall *call, SbiReply *out)
{
    if (call->arg[0] >= s->nharts) {
        out->error = SBI_ERR_INVALID_PARAM;
    } else {
        out->value = s->harts[call->arg[0]];
    }
}

static void hsm_suspend(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint32_t type = (uint32_t)call->arg[0];
    if (type != SUSPEND_RETENTIVE && type != SUSPEND_NON_RETENTIVE) {
        out->error = SBI_ERR_INVALID_PARAM;
    } else if (type == SUSPEND_NON_RETENTIVE && !s->host.is_ram(s->host.ctx, call->arg[1], 1)) {
        out->error = SBI_ERR_INVALID_ADDRESS;
    } else {
        s->harts[call->hart] = HART_SUSPENDED;
        out->action = type == SUSPEND_RETENTIVE ? SBI_SUSPEND : SBI_SUSPEND_TO;
        out->addr = call->arg[1];
        out->arg = call->arg[2];
    }
}

void sbi_resumed(Sbi *s, unsigned hart)
{
    assert(hart < s->nharts);
    if (s->harts[hart] == HART_SUSPENDED) {
        s->harts[hart] = HART_STARTED;
    }
}

void sbi_started(Sbi *s, unsigned hart)
{
    assert(hart < s->nharts);
    s->harts[hart] = HART_STARTED;
}

bool sbi_is_stopped(const Sbi *s, unsigned hart)
{
    assert(hart < s->nharts);
    return s->harts[hart] == HART_STOPPED;
}

/* ---- 10 SRST ---- */
static void srst_reset(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint32_t type = (uint32_t)call->arg[0], reason = (uint32_t)call->arg[1];
    (void)s;
    if (type > 2 || reason > 1) { /* reserved, or of a platform that this is not */
        out->error = SBI_ERR_INVALID_PARAM;
        return;
    }
    out->action = type ? SBI_REBOOT : SBI_SHUTDOWN;
    out->is_failure = reason == 1;
}

/* ---- 12 DBCN ---- */
static bool is_buffer(const Sbi *s, const SbiCall *call) /* 3.2 */
{
    uint64_t n = call->arg[0], at = call->arg[1];
    return !n || (!call->arg[2] && at + (n - 1) >= at && s->host.is_ram(s->host.ctx, at, n));
}

static void dbcn_write(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint8_t bytes[CONSOLE_CHUNK];
    uint64_t want = call->arg[0] < CONSOLE_MAX_BYTES ? call->arg[0] : CONSOLE_MAX_BYTES;
    if (!is_buffer(s, call)) {
        out->error = SBI_ERR_INVALID_PARAM;
        return;
    }
    while (out->value < want) {
        size_t n = want - out->value < sizeof bytes ? want - out->value : sizeof bytes;
        if (!s->host.mem_read(s->host.ctx, call->arg[1] + out->value, bytes, n)) {
            out->error = SBI_ERR_FAILED;
            return;
        }
        size_t taken = s->host.console_write(s->host.ctx, bytes, n);
        out->value += taken;
        if (taken < n) {
            return;
        }
    }
}

static void dbcn_read(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint8_t bytes[CONSOLE_CHUNK];
    uint64_t want = call->arg[0] < sizeof bytes ? call->arg[0] : sizeof bytes;
    if (!is_buffer(s, call)) {
        out->error = SBI_ERR_INVALID_PARAM;
        return;
    }
    size_t n = want ? s->host.console_read(s->host.ctx, bytes, want) : 0;
    if (n && !s->host.mem_write(s->host.ctx, call->arg[1], bytes, n)) {
        out->error = SBI_ERR_FAILED;
        return;
    }
    out->value = n;
}

static void dbcn_write_byte(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint8_t byte = (uint8_t)call->arg[0];
    out->error = s->host.console_write(s->host.ctx, &byte, 1) ? SBI_SUCCESS : SBI_ERR_FAILED;
}

/* ---- 5 Legacy: one result, in a0 ---- */
static void legacy_set_timer(Sbi *s, const SbiCall *call, SbiReply *out)
{
    time_set(s, call, out);
    out->action = SBI_RETURN_A0;
}

static void legacy_putchar(Sbi *s, const SbiCall *call, SbiReply *out)
{
    dbcn_write_byte(s, call, out);
    out->action = SBI_RETURN_A0;
}

static void legacy_getchar(Sbi *s, const SbiCall *call, SbiReply *out)
{
    uint8_t byte;
    (void)call;
    out->error = s->host.console_read(s->host.ctx, &byte, 1) ? byte : -1;
    out->action = SBI_RETURN_A0;
}

static void legacy_shutdown(Sbi *s, const SbiCall *call, SbiReply *out)
{
    (void)s;
    (void)call;
    out->action = SBI_SHUTDOWN;
}

/* ---- what there is ---- */
static const struct {
    uint32_t ext, fid;
    void (*fn)(Sbi *s, const SbiCall *call, SbiReply *out);
} functions[] = {
    {EXT_SET_TIMER, 0, legacy_set_timer},
    {EXT_PUTCHAR, 0, legacy_putchar},
    {EXT_GETCHAR, 0, legacy_getchar},
    {EXT_SHUTDOWN, 0, legacy_shutdown},
    {EXT_BASE, 0, base_spec_version},
    {EXT_BASE, 1, base_impl_id},
    {EXT_BASE, 2, base_impl_version},
    {EXT_BASE, 3, base_probe},
    {EXT_BASE, 4, base_mvendorid},
    {EXT_BASE, 5, base_marchid},
    {EXT_BASE, 6, base_mimpid},
    {EXT_TIME, 0, time_set},
    {EXT_IPI, 0, ipi_send},
    {EXT_RFENCE, 0, rfence_i},
    {EXT_RFENCE, 1, rfence_sfence},
    {EXT_RFENCE, 2, rfence_sfence_asid},
    {EXT_RFENCE, 3, rfence_hfence},
    {EXT_RFENCE, 4, rfence_hfence},
    {EXT_RFENCE, 5, rfence_hfence},
    {EXT_RFENCE, 6, rfence_hfence},
    {EXT_HSM, 0, hsm_start},
    {EXT_HSM, 1, hsm_stop},
    {EXT_HSM, 2, hsm_status},
    {EXT_HSM, 3, hsm_suspend},
    {EXT_SRST, 0, srst_reset},
    {EXT_DBCN, 0, dbcn_write},
    {EXT_DBCN, 1, dbcn_read},
    {EXT_DBCN, 2, dbcn_write_byte},
};

static bool has_extension(uint64_t ext)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (functions[i].ext == ext) {
            return true;
        }
    }
    return false;
}

void sbi_call(Sbi *s, const SbiCall *call, SbiReply *out)
{
    assert(call->hart < s->nharts);
    *out = (SbiReply){.action = SBI_RETURN};
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        bool is_legacy = functions[i].ext < EXT_BASE; /* 5: a6 is ignored */
        if (functions[i].ext == call->ext && (is_legacy || functions[i].fid == call->fid)) {
            functions[i].fn(s, call, out);
            return;
        }
    }
    out->error = SBI_ERR_NOT_SUPPORTED;
}

/* ---- state: number of harts, then a byte of each ---- */
void sbi_save(const Sbi *s, Buf *out)
{
    buf_le(out, s->nharts, 4);
    buf_bytes(out, s->harts, s->nharts);
}

int sbi_restore(Sbi *s, Cursor *in, Err *err)
{
    uint64_t n = cursor_le(in, 4);
    const uint8_t *harts = n == s->nharts ? cursor_bytes(in, n) : NULL;
    if (!harts) {
        return err_set(err, ERR_INVAL, "sbi: states of %llu harts, expected %u of them", (unsigned long long)n,
                       s->nharts);
    }
    for (unsigned i = 0; i < s->nharts; i++) {
        if (harts[i] != HART_STARTED && harts[i] != HART_STOPPED && harts[i] != HART_SUSPENDED) {
            return err_set(err, ERR_INVAL, "sbi: state of hart %u is %u, expected 0, 1 or 4", i, harts[i]);
        }
    }
    memcpy(s->harts, harts, s->nharts);
    return 0;
}
