/* SPDX-License-Identifier: Apache-2.0
 * access.c - accesses that await a reply, and the instruction emulator that makes them; the idea is told in whpx.h. */
#include "accel/whpx/whpx.h"

#include <string.h>

enum { MAX_ACCESSES = 4096 }; /* of one instruction; the emulator does a repeated string piece by piece */

/* ---- the emulator's call-backs; the context is the BeVcpu ---- */
static bool access_answered(BeVcpu *v, const WhpxAccess *want, void *data)
{
    const WhpxAccess *a = v->next < v->nanswered ? &v->accesses.items[v->next] : NULL;
    if (!a || a->is_io != want->is_io || a->is_write != want->is_write || a->addr != want->addr ||
        a->size_bytes != want->size_bytes) {
        return false;
    }
    v->next++;
    if (!want->is_write) {
        memcpy(data, &a->value, want->size_bytes);
    }
    return true;
}

static HRESULT access_new(BeVcpu *v, const WhpxAccess *want)
{
    if (v->next < v->nanswered) { /* another way than before: what other vcpus changed */
        v->accesses.n = v->nanswered = v->next;
    }
    if (!v->has_more && v->accesses.n < MAX_ACCESSES) {
        VEC_PUSH(&v->accesses, *want);
        v->has_more = true;
    }
    return E_FAIL; /* nothing of the instruction is written */
}

static HRESULT CALLBACK on_io(VOID *ctx, WHV_EMULATOR_IO_ACCESS_INFO *io)
{
    WhpxAccess want = {
        .is_io = true, .is_write = io->Direction, .size_bytes = (uint8_t)io->AccessSize, .addr = io->Port};
    if (io->AccessSize > sizeof io->Data) {
        return E_INVALIDARG;
    }
    if (want.is_write) {
        memcpy(&want.value, &io->Data, io->AccessSize);
    } else {
        io->Data = 0;
    }
    return access_answered(ctx, &want, &io->Data) ? S_OK : access_new(ctx, &want);
}

static HRESULT CALLBACK on_memory(VOID *ctx, WHV_EMULATOR_MEMORY_ACCESS_INFO *m)
{
    BeVcpu *v = ctx;
    if (m->AccessSize > sizeof m->Data) {
        return E_INVALIDARG;
    }
    WhpxAccess want = {.is_write = m->Direction, .size_bytes = m->AccessSize, .addr = m->GpaAddress};
    if (want.is_write) {
        memcpy(&want.value, m->Data, m->AccessSize);
    }
    /* What was answered stays so, even if there is memory by now. */
    return access_answered(v, &want, m->Data) ||
                   whpx_mem_access(v->vm, m->GpaAddress, m->Data, m->AccessSize, m->Direction)
               ? S_OK
               : access_new(v, &want);
}

/* The emulator only says which call-back failed: what the platform said is kept beside. */
static HRESULT noted(BeVcpu *v, HRESULT result, const char *call)
{
    if (FAILED(result)) {
        v->failed_result = result;
        v->failed_call = call;
    }
    return result;
}

static HRESULT CALLBACK on_get(VOID *ctx, const WHV_REGISTER_NAME *names, UINT32 n, WHV_REGISTER_VALUE *values)
{
    BeVcpu *v = ctx;
    HRESULT hr = whv.WHvGetVirtualProcessorRegisters(v->vm->partition, v->index, names, n, values);
    return noted(v, hr, "WHvGetVirtualProcessorRegisters");
}

static HRESULT CALLBACK on_set(VOID *ctx, const WHV_REGISTER_NAME *names, UINT32 n, const WHV_REGISTER_VALUE *values)
{
    BeVcpu *v = ctx;
    HRESULT hr = whv.WHvSetVirtualProcessorRegisters(v->vm->partition, v->index, names, n, values);
    return noted(v, hr, "WHvSetVirtualProcessorRegisters");
}

static HRESULT CALLBACK on_translate(VOID *ctx, WHV_GUEST_VIRTUAL_ADDRESS gva, WHV_TRANSLATE_GVA_FLAGS flags,
                                     WHV_TRANSLATE_GVA_RESULT_CODE *code, WHV_GUEST_PHYSICAL_ADDRESS *gpa)
{
    BeVcpu *v = ctx;
    WHV_TRANSLATE_GVA_RESULT result;
    HRESULT hr = whv.WHvTranslateGva(v->vm->partition, v->index, gva, flags, &result, gpa);
    *code = result.ResultCode;
    return noted(v, hr, "WHvTranslateGva");
}

int whpx_emulator_new(WHV_EMULATOR_HANDLE *out, Err *err)
{
    static const WHV_EMULATOR_CALLBACKS calls = {.Size = sizeof calls,
                                                 .WHvEmulatorIoPortCallback = on_io,
                                                 .WHvEmulatorMemoryCallback = on_memory,
                                                 .WHvEmulatorGetVirtualProcessorRegisters = on_get,
                                                 .WHvEmulatorSetVirtualProcessorRegisters = on_set,
                                                 .WHvEmulatorTranslateGvaPage = on_translate};
    HRESULT hr = whv.WHvEmulatorCreateEmulator(&calls, out);
    return FAILED(hr) ? whv_err(err, hr, "WHvEmulatorCreateEmulator") : 0;
}

/* ---- the instruction under way ---- */
typedef enum { EMULATED_DONE, EMULATED_ACCESS, EMULATED_NOT } Emulated;

static int emulate(BeVcpu *v, Emulated *how, WHV_EMULATOR_STATUS *status, Err *err)
{
    bool is_io = v->at.ExitReason == WHvRunVpExitReasonX64IoPortAccess;
    v->accesses.n = v->nanswered;
    v->next = 0;
    v->has_more = false;
    v->failed_call = NULL;
    *status = (WHV_EMULATOR_STATUS){.AsUINT32 = 0};
    HRESULT hr =
        is_io ? whv.WHvEmulatorTryIoEmulation(v->vm->emulator, v, &v->at.VpContext, &v->at.IoPortAccess, status)
              : whv.WHvEmulatorTryMmioEmulation(v->vm->emulator, v, &v->at.VpContext, &v->at.MemoryAccess, status);
    if (FAILED(hr)) {
        return whv_err(err, hr, is_io ? "WHvEmulatorTryIoEmulation" : "WHvEmulatorTryMmioEmulation");
    }
    if (v->failed_call) {
        return whv_err(err, v->failed_result, v->failed_call);
    }
    *how = status->EmulationSuccessful ? EMULATED_DONE : v->has_more ? EMULATED_ACCESS : EMULATED_NOT;
    return 0;
}

static void report(BeVcpu *v, VmExit *exit)
{
    const WhpxAccess *a = &v->accesses.items[v->nanswered];
    v->has_more = false;
    whpx_exit_start(v, exit,
                    a->is_io ? a->is_write ? EXIT_io_write : EXIT_io_read
                             : (a->is_write ? EXIT_mmio_write : EXIT_mmio_read));
    exit->addr = a->addr;
    exit->size_bytes = a->size_bytes;
    if (a->is_write) {
        exit->value = a->value;
        exit->valid |= HAS_value;
    }
}

int whpx_access_begin(BeVcpu *v, VmExit *exit, Err *err)
{
    Emulated how;
    WHV_EMULATOR_STATUS status;
    v->is_emulated = true;
    v->nanswered = 0;
    int rc = emulate(v, &how, &status, err);
    if (rc) {
        return rc;
    }
    switch (how) {
    case EMULATED_DONE: /* memory by now, or the emulator's own reading of it */
        return 1;
    case EMULATED_ACCESS:
        report(v, exit);
        return 0;
    case EMULATED_NOT:
        break;
    }
    whpx_exit_start(v, exit, EXIT_unsupported);
    exit->addr =
        v->at.ExitReason == WHvRunVpExitReasonMemoryAccess ? v->at.MemoryAccess.Gpa : v->at.IoPortAccess.PortNumber;
    exit->native.qual[0] = status.AsUINT32;
    return 0;
}

int whpx_access_next(BeVcpu *v, VmExit *exit)
{
    if (!v->has_more) {
        return 1;
    }
    report(v, exit);
    return 0;
}

/* ---- instructions that the exit tells whole ---- */
static uint64_t merged(uint64_t old, uint64_t value, size_t nbytes)
{
    uint64_t mask = nbytes >= 4 ? UINT64_MAX : (1ull << (8 * nbytes)) - 1; /* 4 bytes clear the upper half */
    return (old & ~mask) | ((nbytes >= 4 ? (uint32_t)value : value) & mask);
}

static int finish(BeVcpu *v, Err *err)
{
    WHV_REGISTER_NAME names[5] = {WHvX64RegisterRip, WHvX64RegisterRax, WHvX64RegisterRdx, WHvX64RegisterRbx,
                                  WHvX64RegisterRcx};
    WHV_REGISTER_VALUE values[5] = {{.Reg64 = v->at.VpContext.Rip + v->at.VpContext.InstructionLength}};
    const Reply *r = &v->answer;
    uint32_t n = 1;
    if (r->is_fault) {
        enum { VECTOR_GP = 13 };
        names[0] = WHvRegisterPendingEvent;
        values[0] = (WHV_REGISTER_VALUE){.ExceptionEvent = {.EventPending = 1,
                                                            .EventType = WHvX64PendingEventException,
                                                            .DeliverErrorCode = 1,
                                                            .Vector = VECTOR_GP}};
    } else if (v->due == EXIT_io_read) {
        values[1].Reg64 = merged(v->at.IoPortAccess.Rax, r->value, v->at.IoPortAccess.AccessInfo.AccessSize);
        n = 2;
    } else if (v->due == EXIT_sysreg_read) {
        values[1].Reg64 = (uint32_t)r->value;
        values[2].Reg64 = r->value >> 32;
        n = 3;
    } else if (v->due == EXIT_cpuid) {
        values[1].Reg64 = (uint32_t)r->value;
        values[2].Reg64 = (uint32_t)r->more[2];
        values[3].Reg64 = (uint32_t)r->more[0];
        values[4].Reg64 = (uint32_t)r->more[1];
        n = 5;
    }
    return whpx_regs_write(v, names, values, n, err);
}

/* ---- replies ---- */
int whpx_settle(BeVcpu *v, Err *err)
{
    if (v->pending != PEND_OPEN) {
        return 0;
    }
    if (!v->is_emulated) {
        int rc = finish(v, err);
        v->pending = rc ? PEND_OPEN : PEND_NONE;
        return rc;
    }
    Emulated how = EMULATED_NOT;
    WHV_EMULATOR_STATUS status = {.AsUINT32 = 0};
    int rc = emulate(v, &how, &status, err);
    if (!rc && how == EMULATED_NOT) {
        rc = err_set(err, ERR_HOST, "WinHvEmulation does not finish the instruction at %#llx: status 0x%x",
                     (unsigned long long)v->at.VpContext.Rip, (unsigned)status.AsUINT32);
    }
    if (!rc) {
        v->pending = PEND_NONE;
    }
    return rc;
}

int whpx_look(BeVcpu *v, Err *err)
{
    bool is_store = v->due == EXIT_mmio_write || v->due == EXIT_io_write;
    if (v->pending == PEND_DUE && is_store) {
        v->pending = PEND_OPEN;
        v->answer = (Reply){0};
        v->nanswered += v->is_emulated;
        int rc = whpx_settle(v, err);
        v->nanswered -= rc && v->is_emulated;
        v->pending = rc ? PEND_DUE : PEND_SETTLED;
        return rc;
    }
    return whpx_settle(v, err);
}

int whpx_look_write(BeVcpu *v, Err *err)
{
    if (v->pending == PEND_DUE || v->pending == PEND_SETTLED) {
        return err_set(err, ERR_BUSY, "a reply is due");
    }
    int rc = whpx_settle(v, err);
    if (!rc && v->has_more) {
        return err_set(err, ERR_BUSY, "an instruction is under way: a further piece of its access is still to come");
    }
    return rc;
}

int whpx_reply(BeVcpu *v, const Reply *r, Err *err)
{
    if (v->pending != PEND_DUE && v->pending != PEND_SETTLED) {
        return err_set(err, ERR_STATE, "no reply is due");
    }
    bool is_msr = v->due == EXIT_sysreg_read || v->due == EXIT_sysreg_write;
    if (r->is_fault && !is_msr) {
        return err_unsupported(err, "whpx", "reply_fault", "only an MSR access can be answered with a fault");
    }
    if (v->pending == PEND_SETTLED) {
        v->pending = PEND_NONE;
        return 0;
    }
    v->answer = *r;
    if (v->is_emulated) {
        v->accesses.items[v->nanswered++].value = r->value;
    }
    v->pending = PEND_OPEN;
    return 0;
}

void whpx_abandon(BeVcpu *v)
{
    v->pending = PEND_NONE;
    v->has_more = v->is_step_open = false;
    v->nanswered = v->accesses.n = 0;
}
