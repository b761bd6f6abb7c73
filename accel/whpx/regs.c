/* SPDX-License-Identifier: Apache-2.0
 * regs.c - registers by id. A register of ours is a part of one of the platform's; a batch reads and writes each of these once. */
#include "accel/whpx/whpx.h"

#include <stddef.h>
#include <string.h>

typedef enum {
    CONV_PLAIN,
    CONV_X87, /* 10 bytes of 16 */
    CONV_SHADOW,
    CONV_NMI_MASKED,
    CONV_NMI,
    CONV_EXCEPTION,
    CONV_INTERRUPT,
    CONV_ACTIVITY,
    CONV_XSAVE
} Conv;

typedef struct {
    bool is_there;
    WHV_REGISTER_NAME name;
    uint32_t offset; /* in WHV_REGISTER_VALUE */
    uint32_t bytes;
    Conv conv;
} Where;

/* u32 length, then the image as the platform gives it. */
enum { NATIVE_XSAVE = 0, XSAVE_LG2 = 14, XSAVE_ROOM = (1 << XSAVE_LG2) - 4 };
static const RegId xsave_id = REG_ID(GUEST_x86_64, XSAVE_LG2, REG_NATIVE, NATIVE_XSAVE);
enum { MP_RUNNABLE = 0, MP_UNINITIALIZED = 1, MP_HALTED = 3 };

#define AT(member)              ((uint32_t)offsetof(WHV_REGISTER_VALUE, member))
#define PART(name_, member)     ((Where){true, name_, AT(member), sizeof((WHV_REGISTER_VALUE *)0)->member, CONV_PLAIN})
#define WHOLE(name_, nbytes)    ((Where){true, name_, 0, nbytes, CONV_PLAIN})
#define STATE(name_, n_, conv_) ((Where){true, name_, 0, n_, conv_})

static Where where_segment(uint64_t index)
{
    static const WHV_REGISTER_NAME names[] = {WHvX64RegisterCs, WHvX64RegisterDs, WHvX64RegisterEs, WHvX64RegisterFs,
                                              WHvX64RegisterGs, WHvX64RegisterSs, WHvX64RegisterTr, WHvX64RegisterLdtr};
    WHV_REGISTER_NAME name = names[index / 4];
    const Where parts[] = {PART(name, Segment.Selector), PART(name, Segment.Base), PART(name, Segment.Limit),
                           PART(name, Segment.Attributes)};
    return parts[index % 4];
}

static Where where_ctl(uint64_t index)
{
    enum { CTL_SEGMENTS = 8, CTL_TABLES = 40, CTL_DEBUG = 44, CTL_END = 50 };
    static const WHV_REGISTER_NAME first[CTL_SEGMENTS] = {WHvX64RegisterRip, WHvX64RegisterRflags, WHvX64RegisterCr0,
                                                          WHvX64RegisterCr2, WHvX64RegisterCr3,    WHvX64RegisterCr4,
                                                          WHvX64RegisterCr8, WHvX64RegisterXCr0};
    static const WHV_REGISTER_NAME debug[] = {WHvX64RegisterDr0, WHvX64RegisterDr1, WHvX64RegisterDr2,
                                              WHvX64RegisterDr3, WHvX64RegisterDr6, WHvX64RegisterDr7};
    const Where tables[] = {PART(WHvX64RegisterGdtr, Table.Base), PART(WHvX64RegisterGdtr, Table.Limit),
                            PART(WHvX64RegisterIdtr, Table.Base), PART(WHvX64RegisterIdtr, Table.Limit)};
    if (index < CTL_SEGMENTS) {
        return WHOLE(first[index], 8);
    }
    if (index < CTL_TABLES) {
        return where_segment(index - CTL_SEGMENTS);
    }
    if (index < CTL_DEBUG) {
        return tables[index - CTL_TABLES];
    }
    return index < CTL_END ? WHOLE(debug[index - CTL_DEBUG], 8) : (Where){0};
}

static Where where_fp(uint64_t index)
{
    const Where environment[] = {PART(WHvX64RegisterFpControlStatus, FpControlStatus.FpControl),
                                 PART(WHvX64RegisterFpControlStatus, FpControlStatus.FpStatus),
                                 PART(WHvX64RegisterFpControlStatus, FpControlStatus.FpTag),
                                 PART(WHvX64RegisterFpControlStatus, FpControlStatus.LastFpOp),
                                 PART(WHvX64RegisterFpControlStatus, FpControlStatus.LastFpRip),
                                 PART(WHvX64RegisterXmmControlStatus, XmmControlStatus.LastFpRdp),
                                 PART(WHvX64RegisterXmmControlStatus, XmmControlStatus.XmmStatusControl)};
    if (index < 8) {
        return STATE((WHV_REGISTER_NAME)(WHvX64RegisterFpMmx0 + (int)index), 16, CONV_X87);
    }
    return index - 8 < ARRAY_LEN(environment) ? environment[index - 8] : (Where){0};
}

static Where where_sys(uint64_t index)
{
    static const struct {
        uint32_t msr;
        WHV_REGISTER_NAME name;
    } table[] = {{0xc0000080, WHvX64RegisterEfer},      {0xc0000081, WHvX64RegisterStar},
                 {0xc0000082, WHvX64RegisterLstar},     {0xc0000083, WHvX64RegisterCstar},
                 {0xc0000084, WHvX64RegisterSfmask},    {0xc0000102, WHvX64RegisterKernelGsBase},
                 {0xc0000103, WHvX64RegisterTscAux},    {0x1b, WHvX64RegisterApicBase},
                 {0x174, WHvX64RegisterSysenterCs},     {0x175, WHvX64RegisterSysenterEsp},
                 {0x176, WHvX64RegisterSysenterEip},    {0x277, WHvX64RegisterPat},
                 {0x2ff, WHvX64RegisterMsrMtrrDefType}, {0x10, WHvX64RegisterTsc}};
    if (index == 0xc0000100 || index == 0xc0000101) { /* the same registers as the segments' */
        return PART(index & 1 ? WHvX64RegisterGs : WHvX64RegisterFs, Segment.Base);
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].msr == index) {
            return WHOLE(table[i].name, 8);
        }
    }
    return (Where){0};
}

static Where where_state(uint64_t index)
{
    static const Where table[] = {STATE(WHvRegisterInternalActivityState, 4, CONV_ACTIVITY),
                                  STATE(WHvRegisterInterruptState, 1, CONV_SHADOW),
                                  STATE(WHvRegisterInterruptState, 1, CONV_NMI_MASKED),
                                  STATE(WHvRegisterPendingInterruption, 1, CONV_NMI),
                                  STATE(WHvRegisterPendingEvent, 8, CONV_EXCEPTION),
                                  STATE(WHvRegisterPendingInterruption, 8, CONV_INTERRUPT)};
    return index < ARRAY_LEN(table) ? table[index] : (Where){0};
}

static Where where_is(RegId id)
{
    Where w = {0};
    uint64_t index = REG_INDEX(id);
    if (REG_GUEST(id) != GUEST_x86_64) {
        return w;
    }
    switch (REG_CLASS(id)) {
    case REG_GPR:
        w = index < 16 ? WHOLE((WHV_REGISTER_NAME)index, 8) : w;
        break;
    case REG_FP:
        w = where_fp(index);
        break;
    case REG_VEC:
        w = index < 16 ? WHOLE((WHV_REGISTER_NAME)(WHvX64RegisterXmm0 + (int)index), 16) : w;
        break;
    case REG_SYS:
        w = where_sys(index);
        break;
    case REG_CTL:
        w = where_ctl(index);
        break;
    case REG_STATE:
        w = where_state(index);
        break;
    case REG_NATIVE:
        w = id == xsave_id ? STATE(0, 1 << XSAVE_LG2, CONV_XSAVE) : w;
        break;
    }
    return w.bytes == REG_SIZE(id) ? w : (Where){0};
}

/* ---- conversions ---- */
static uint64_t exception_get(const WHV_X64_PENDING_EXCEPTION_EVENT *e)
{
    return !e->EventPending || e->EventType != WHvX64PendingEventException
               ? 0
               : (uint64_t)(e->Vector & 0xff) | (uint64_t)e->DeliverErrorCode << 8 | 1u << 9 |
                     (uint64_t)e->ErrorCode << 32;
}

static void value_get(const WHV_REGISTER_VALUE *from, const Where *w, uint8_t *out)
{
    const WHV_X64_PENDING_INTERRUPTION_REGISTER *p = &from->PendingInterruption;
    uint64_t value = 0;
    switch (w->conv) {
    case CONV_PLAIN:
    case CONV_X87:
        memcpy(out, (const uint8_t *)from + w->offset, w->bytes);
        return;
    case CONV_XSAVE:
        return; /* by a call of its own */
    case CONV_SHADOW:
        value = from->InterruptState.InterruptShadow; /* STI's and MOV SS's are one here */
        break;
    case CONV_NMI_MASKED:
        value = from->InterruptState.NmiMasked;
        break;
    case CONV_NMI:
        value = p->InterruptionPending && p->InterruptionType == WHvX64PendingNmi;
        break;
    case CONV_EXCEPTION:
        value = exception_get(&from->ExceptionEvent);
        break;
    case CONV_INTERRUPT:
        value = p->InterruptionPending && p->InterruptionType == WHvX64PendingInterrupt
                    ? (uint64_t)(p->InterruptionVector & 0xff) | 1u << 9
                    : 0;
        break;
    case CONV_ACTIVITY:
        value = from->InternalActivity.StartupSuspend ? MP_UNINITIALIZED
                : from->InternalActivity.HaltSuspend  ? MP_HALTED
                                                      : MP_RUNNABLE;
        break;
    }
    memcpy(out, &value, w->bytes);
}

static void interruption_put(WHV_REGISTER_VALUE *to, bool is_on, WHV_X64_PENDING_INTERRUPTION_TYPE type,
                             uint32_t vector)
{
    WHV_X64_PENDING_INTERRUPTION_REGISTER *p = &to->PendingInterruption;
    if (is_on) {
        *to = (WHV_REGISTER_VALUE){.PendingInterruption = {.InterruptionPending = 1,
                                                           .InterruptionType = type,
                                                           .InterruptionVector = (uint16_t)vector}};
    } else if (p->InterruptionPending && p->InterruptionType == type) {
        *to = (WHV_REGISTER_VALUE){0};
    }
}

static void value_set(WHV_REGISTER_VALUE *to, const Where *w, const uint8_t *in)
{
    enum { X87_BYTES = 10, NMI_VECTOR = 2 };
    uint64_t value = 0;
    memcpy(&value, in, w->bytes < 8 ? w->bytes : 8);
    bool is_pending = value >> 9 & 1;
    switch (w->conv) {
    case CONV_PLAIN:
        memcpy((uint8_t *)to + w->offset, in, w->bytes);
        return;
    case CONV_X87:
        memset(to, 0, sizeof *to);
        memcpy(to, in, X87_BYTES);
        return;
    case CONV_XSAVE:
        return;
    case CONV_SHADOW:
        to->InterruptState.InterruptShadow = value != 0;
        return;
    case CONV_NMI_MASKED:
        to->InterruptState.NmiMasked = value & 1;
        return;
    case CONV_NMI:
        interruption_put(to, value & 1, WHvX64PendingNmi, NMI_VECTOR);
        return;
    case CONV_EXCEPTION:
        *to = (WHV_REGISTER_VALUE){.ExceptionEvent = {.EventPending = is_pending,
                                                      .EventType = WHvX64PendingEventException,
                                                      .DeliverErrorCode = value >> 8 & 1,
                                                      .Vector = value & 0xff,
                                                      .ErrorCode = (uint32_t)(value >> 32)}};
        if (!is_pending) {
            *to = (WHV_REGISTER_VALUE){0};
        }
        return;
    case CONV_INTERRUPT:
        interruption_put(to, is_pending, WHvX64PendingInterrupt, value & 0xff);
        return;
    case CONV_ACTIVITY:
        to->InternalActivity = (WHV_INTERNAL_ACTIVITY_REGISTER){.StartupSuspend = 0, .HaltSuspend = value == MP_HALTED};
        return;
    }
}

/* ---- by the platform's names ---- */
int whpx_regs_read(BeVcpu *v, const WHV_REGISTER_NAME *names, WHV_REGISTER_VALUE *values, uint32_t n, Err *err)
{
    HRESULT hr = whv.WHvGetVirtualProcessorRegisters(v->vm->partition, v->index, names, n, values);
    return FAILED(hr) ? whv_err(err, hr, "WHvGetVirtualProcessorRegisters") : 0;
}

int whpx_regs_write(BeVcpu *v, const WHV_REGISTER_NAME *names, const WHV_REGISTER_VALUE *values, uint32_t n, Err *err)
{
    HRESULT hr = whv.WHvSetVirtualProcessorRegisters(v->vm->partition, v->index, names, n, values);
    return FAILED(hr) ? whv_err(err, hr, "WHvSetVirtualProcessorRegisters") : 0;
}

static int xsave_get(BeVcpu *v, uint8_t *out, Err *err)
{
    UINT32 n = 0;
    memset(out, 0, 1 << XSAVE_LG2);
    _Alignas(64) static _Thread_local uint8_t image[XSAVE_ROOM];
    HRESULT hr = whv.WHvGetVirtualProcessorXsaveState(v->vm->partition, v->index, image, sizeof image, &n);
    if (FAILED(hr)) {
        return whv_err(err, hr, "WHvGetVirtualProcessorXsaveState");
    }
    memcpy(out, &n, sizeof n);
    memcpy(out + sizeof n, image, n <= XSAVE_ROOM ? n : XSAVE_ROOM);
    return 0;
}

static int xsave_set(BeVcpu *v, const uint8_t *in, Err *err)
{
    UINT32 n;
    _Alignas(64) static _Thread_local uint8_t image[XSAVE_ROOM];
    memcpy(&n, in, sizeof n);
    if (n > XSAVE_ROOM) {
        return err_set(err, ERR_INVAL, "XSAVE state of %u bytes: no more than %d are held", (unsigned)n,
                       (int)XSAVE_ROOM);
    }
    memcpy(image, in + sizeof n, n);
    HRESULT hr = whv.WHvSetVirtualProcessorXsaveState(v->vm->partition, v->index, image, n);
    return FAILED(hr) ? whv_err(err, hr, "WHvSetVirtualProcessorXsaveState") : 0;
}

/* ---- batches ---- */
typedef struct {
    VEC(WHV_REGISTER_NAME) names;
    VEC(WHV_REGISTER_VALUE) values;
    const RegIo *xsave; /* NULL = none */
} Batch;

static void batch_free(Batch *b)
{
    VEC_FREE(&b->names);
    VEC_FREE(&b->values);
}

static size_t batch_find(const Batch *b, WHV_REGISTER_NAME name)
{
    size_t i = 0;
    while (i < b->names.n && b->names.items[i] != name) {
        i++;
    }
    return i;
}

static int batch_read(BeVcpu *v, const RegIo *io, size_t n, Batch *b, size_t *bad, Err *err)
{
    char text[REG_TEXT_BYTES];
    *b = (Batch){.xsave = NULL};
    *bad = 0;
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(io[i].id);
        if (!w.is_there) {
            *bad = i;
            return err_set(err, ERR_NOENT, "whpx has no %s", reg_text(io[i].id, text, sizeof text));
        }
        if (w.conv == CONV_XSAVE) {
            b->xsave = &io[i];
        } else if (batch_find(b, w.name) == b->names.n) {
            VEC_PUSH(&b->names, w.name);
            VEC_PUSH(&b->values, (WHV_REGISTER_VALUE){.Reg64 = 0});
        }
    }
    return b->names.n ? whpx_regs_read(v, b->names.items, b->values.items, (uint32_t)b->names.n, err) : 0;
}

int whpx_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    Batch b;
    int rc = batch_read(v, io, n, &b, bad, err);
    if (!rc && b.xsave) {
        rc = xsave_get(v, b.xsave->bytes, err);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        Where w = where_is(io[i].id);
        if (w.conv != CONV_XSAVE) {
            value_get(&b.values.items[batch_find(&b, w.name)], &w, io[i].bytes);
        }
    }
    batch_free(&b);
    return rc;
}

/* The platform refused the batch: which of its entries? The first that is refused alone. */
static size_t batch_culprit(BeVcpu *v, const RegIo *io, size_t n, const Batch *old)
{
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(io[i].id);
        if (w.conv == CONV_XSAVE) {
            continue;
        }
        WHV_REGISTER_VALUE value = old->values.items[batch_find(old, w.name)];
        value_set(&value, &w, io[i].bytes);
        if (whpx_regs_write(v, &w.name, &value, 1, NULL)) {
            return i;
        }
    }
    return 0;
}

static int batch_write(BeVcpu *v, const RegIo *io, size_t n, const Batch *old, size_t *bad, Err *err)
{
    Batch b = {.xsave = old->xsave};
    char text[REG_TEXT_BYTES];
    _Alignas(8) static _Thread_local uint8_t before[1 << XSAVE_LG2];
    int rc = b.xsave ? xsave_get(v, before, err) : 0;
    rc = rc || !b.xsave ? rc : xsave_set(v, b.xsave->bytes, err);
    if (rc) {
        *bad = b.xsave ? (size_t)(b.xsave - io) : 0;
        return rc;
    }
    for (size_t i = 0; i < old->values.n; i++) {
        VEC_PUSH(&b.values, old->values.items[i]);
    }
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(io[i].id);
        if (w.conv != CONV_XSAVE) {
            value_set(&b.values.items[batch_find(old, w.name)], &w, io[i].bytes);
        }
    }
    rc = old->names.n ? whpx_regs_write(v, old->names.items, b.values.items, (uint32_t)old->names.n, err) : 0;
    if (rc) { /* nothing of it stays */
        *bad = batch_culprit(v, io, n, old);
        rc = rc == -ERR_INVAL ? err_set(err, ERR_INVAL, "whpx does not take this value of %s: %s",
                                        reg_text(io[*bad].id, text, sizeof text), "WHvSetVirtualProcessorRegisters")
                              : rc;
        (void)whpx_regs_write(v, old->names.items, old->values.items, (uint32_t)old->names.n, NULL);
        if (b.xsave) {
            (void)xsave_set(v, before, NULL);
        }
    }
    batch_free(&b);
    return rc;
}

int whpx_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    char text[REG_TEXT_BYTES];
    Batch old;
    int rc = batch_read(v, io, n, &old, bad, err);
    for (size_t i = 0; !rc && i < n; i++) {
        if (!reg_x86_64_fits(io[i].id, io[i].bytes)) {
            *bad = i;
            rc = err_set(err, ERR_INVAL, "%s: reserved bits are set", reg_text(io[i].id, text, sizeof text));
        }
    }
    rc = rc ? rc : batch_write(v, io, n, &old, bad, err);
    batch_free(&old);
    return rc;
}

int whpx_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    (void)v;
    size_t at = 0, cap = ids ? *n : 0, nrows = 0;
    const RegInfo *rows = reg_table(GUEST_x86_64, &nrows);
    for (size_t i = 0; i <= nrows;
         i++) { /* in regs.def's order, which ends with what moves by itself; XSAVE before all */
        RegId id = i ? rows[i - 1].id : xsave_id;
        if (!where_is(id).is_there) {
            continue;
        }
        if (at < cap) {
            ids[at] = id;
        }
        at++;
    }
    bool is_short = ids && at > cap;
    *n = at;
    return is_short ? err_set(err, ERR_LIMIT, "room for %zu register ids, %zu are needed", cap, at) : 0;
}

/* ---- reset: the state after INIT (SDM vol. 3A, table 10-1), but for general registers 0, segments from 0 and rip = entry, as on
 * the other backends of this guest ---- */
static WHV_REGISTER_VALUE segment(uint16_t attributes)
{
    return (WHV_REGISTER_VALUE){.Segment = {.Limit = 0xffff, .Attributes = attributes}};
}

int whpx_reset(BeVcpu *v, uint64_t entry, Err *err)
{
    enum { ATTR_CODE = 0x9b, ATTR_DATA = 0x93, ATTR_TSS = 0x8b, ATTR_LDT = 0x82 };
    enum { FCW_RESET = 0x40, MXCSR_RESET = 0x1f80, MAX_NAMES = 96, NGPRS = 16, NXMMS = 16, NX87 = 8 };
    static const struct {
        WHV_REGISTER_NAME name;
        uint64_t value;
    } plain[] = {{WHvX64RegisterRflags, 2},       {WHvX64RegisterCr0, 0x60000010},
                 {WHvX64RegisterCr2, 0},          {WHvX64RegisterCr3, 0},
                 {WHvX64RegisterCr4, 0},          {WHvX64RegisterCr8, 0},
                 {WHvX64RegisterXCr0, 1},         {WHvX64RegisterEfer, 0},
                 {WHvX64RegisterDr0, 0},          {WHvX64RegisterDr1, 0},
                 {WHvX64RegisterDr2, 0},          {WHvX64RegisterDr3, 0},
                 {WHvX64RegisterDr6, 0xffff0ff0}, {WHvX64RegisterDr7, 0x400},
                 {WHvX64RegisterStar, 0},         {WHvX64RegisterLstar, 0},
                 {WHvX64RegisterCstar, 0},        {WHvX64RegisterSfmask, 0},
                 {WHvX64RegisterKernelGsBase, 0}, {WHvX64RegisterTscAux, 0},
                 {WHvX64RegisterSysenterCs, 0},   {WHvX64RegisterSysenterEsp, 0},
                 {WHvX64RegisterSysenterEip, 0},  {WHvX64RegisterPat, 0x0007040600070406},
                 {WHvRegisterInterruptState, 0},  {WHvRegisterPendingInterruption, 0},
                 {WHvRegisterPendingEvent, 0},    {WHvRegisterInternalActivityState, 0}};
    static const struct {
        WHV_REGISTER_NAME name;
        uint16_t attributes;
    } segments[] = {{WHvX64RegisterCs, ATTR_CODE}, {WHvX64RegisterDs, ATTR_DATA}, {WHvX64RegisterEs, ATTR_DATA},
                    {WHvX64RegisterFs, ATTR_DATA}, {WHvX64RegisterGs, ATTR_DATA}, {WHvX64RegisterSs, ATTR_DATA},
                    {WHvX64RegisterTr, ATTR_TSS},  {WHvX64RegisterLdtr, ATTR_LDT}};
    WHV_REGISTER_NAME names[MAX_NAMES];
    WHV_REGISTER_VALUE values[MAX_NAMES];
    uint32_t n = 0;
#define PUT(name_, ...) (names[n] = (WHV_REGISTER_NAME)(name_), values[n++] = (WHV_REGISTER_VALUE)__VA_ARGS__)
    for (int i = 0; i < NGPRS; i++) {
        PUT(i, {.Reg64 = 0});
    }
    for (int i = 0; i < NXMMS; i++) {
        PUT(WHvX64RegisterXmm0 + i, {.Reg64 = 0});
    }
    for (int i = 0; i < NX87; i++) {
        PUT(WHvX64RegisterFpMmx0 + i, {.Reg64 = 0});
    }
    PUT(WHvX64RegisterFpControlStatus, {.FpControlStatus = {.FpControl = FCW_RESET}});
    PUT(WHvX64RegisterXmmControlStatus, {.XmmControlStatus = {.XmmStatusControl = MXCSR_RESET}});
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        PUT(plain[i].name, {.Reg64 = plain[i].value});
    }
    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        names[n] = segments[i].name;
        values[n++] = segment(segments[i].attributes);
    }
    PUT(WHvX64RegisterGdtr, {.Table = {.Limit = 0xffff}});
    PUT(WHvX64RegisterIdtr, {.Table = {.Limit = 0xffff}});
    PUT(WHvX64RegisterRip, {.Reg64 = entry});
#undef PUT
    return whpx_regs_write(v, names, values, n, err);
}
