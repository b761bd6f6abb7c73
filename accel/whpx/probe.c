/* SPDX-License-Identifier: Apache-2.0
 * probe.c - what the platform of this machine really does, found by a small guest. */
#include "accel/whpx/whpx.h"

#include <string.h>

static HRESULT guest_make(WHV_PARTITION_HANDLE p, uint8_t *page, const char **call)
{
    static const WHV_REGISTER_NAME names[] = {WHvX64RegisterRip, WHvX64RegisterRflags, WHvX64RegisterCs};
    WHV_REGISTER_VALUE values[ARRAY_LEN(names)] = {
        {.Reg64 = 0}, {.Reg64 = 2}, {.Segment = {.Limit = 0xffff, .Attributes = 0x9b}}};
    const int all = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite | WHvMapGpaRangeFlagExecute;
    UINT32 count = 1;
    *call = "WHvSetPartitionProperty";
    HRESULT hr = whv.WHvSetPartitionProperty(p, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count);
    if (SUCCEEDED(hr)) {
        *call = "WHvSetupPartition";
        hr = whv.WHvSetupPartition(p);
    }
    if (SUCCEEDED(hr)) {
        *call = "WHvMapGpaRange";
        hr = whv.WHvMapGpaRange(p, page, 0, WHPX_PAGE, (WHV_MAP_GPA_RANGE_FLAGS)all);
    }
    if (SUCCEEDED(hr)) {
        *call = "WHvCreateVirtualProcessor";
        hr = whv.WHvCreateVirtualProcessor(p, 0, 0);
    }
    if (SUCCEEDED(hr)) {
        *call = "WHvSetVirtualProcessorRegisters";
        hr = whv.WHvSetVirtualProcessorRegisters(p, 0, names, ARRAY_LEN(names), values);
    }
    return hr;
}

/* Real mode, from address 0; every code ends in HLT. */
static int guest_run(const uint8_t *code, size_t n, WHV_RUN_VP_EXIT_REASON *reason, Err *err)
{
    WHV_RUN_VP_EXIT_CONTEXT exit;
    WHV_PARTITION_HANDLE p = NULL;
    const char *call = "WHvCreatePartition";
    uint8_t *page = VirtualAlloc(NULL, WHPX_PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    HRESULT hr = page ? whv.WHvCreatePartition(&p) : E_OUTOFMEMORY;
    if (SUCCEEDED(hr)) {
        memcpy(page, code, n);
        hr = guest_make(p, page, &call);
        if (SUCCEEDED(hr)) {
            call = "WHvRunVirtualProcessor";
            hr = whv.WHvRunVirtualProcessor(p, 0, &exit, sizeof exit);
            *reason = exit.ExitReason;
        }
        (void)whv.WHvDeleteVirtualProcessor(p, 0);
        (void)whv.WHvDeletePartition(p);
    }
    if (page) {
        VirtualFree(page, 0, MEM_RELEASE);
    }
    return FAILED(hr) ? whv_err(err, hr, call) : 0;
}

static struct {
    bool executes_x87;
    int rc;
    Err err;
} result; /* written once, under the pthread_once below */

static void probe_once(void)
{
    static const uint8_t x87[] = {0xdb, 0xe3, 0xd9, 0xe8, 0xd8, 0xc0, 0xf4}; /* fninit; fld1; fadd %st(0), %st; hlt */
    WHV_RUN_VP_EXIT_REASON reason = WHvRunVpExitReasonNone;
    result.rc = guest_run(x87, sizeof x87, &reason, &result.err);
    result.executes_x87 = reason == WHvRunVpExitReasonX64Halt;
}

int whpx_probe(bool *executes_x87, Err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe_once);
    *executes_x87 = result.executes_x87;
    if (result.rc && err) {
        *err = result.err;
    }
    return result.rc;
}
