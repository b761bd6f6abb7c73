/* SPDX-License-Identifier: Apache-2.0
 * What the double refuses, each by a call that must not succeed. Linked with the platform's import library, so that Wine loads the
 * double as Windows would load the platform. */
#include "accel/whpx/errors.h"
#include "sim/base/test.h"

#include <string.h>
/* the order matters: winhvplatform.h needs windows.h */
#include <windows.h>
#include <winhvemulation.h>
#include <winhvplatform.h>

enum { PAGE = 4096 };

static WHV_PARTITION_HANDLE partition_new(UINT32 count)
{
    WHV_PARTITION_HANDLE p = NULL;
    CHECK_INT(WHvCreatePartition(&p), S_OK);
    if (count) {
        CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count), S_OK);
        CHECK_INT(WHvSetupPartition(p), S_OK);
    }
    return p;
}

TEST(whpx_double, capabilities_know_their_buffers)
{
    WHV_CAPABILITY c;
    UINT32 n = 0;
    CHECK_INT(WHvGetCapability(WHvCapabilityCodeFeatures, &c, sizeof c, &n), S_OK);
    CHECK_INT(n, sizeof c.Features);
    CHECK_INT(WHvGetCapability(WHvCapabilityCodeFeatures, &c, 1, &n), WHV_E_INSUFFICIENT_BUFFER);
    CHECK_INT(WHvGetCapability((WHV_CAPABILITY_CODE)0x7777, &c, sizeof c, &n), WHV_E_UNKNOWN_CAPABILITY);
}

TEST(whpx_double, setup_needs_the_number_of_processors_and_comes_once)
{
    UINT32 count = 1;
    WHV_PARTITION_HANDLE p = partition_new(0);
    CHECK_INT(WHvSetupPartition(p), WHV_E_INVALID_PARTITION_CONFIG);
    CHECK_INT(WHvCreateVirtualProcessor(p, 0, 0), E_INVALIDARG);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeProcessorCount, &count, 2), WHV_E_INSUFFICIENT_BUFFER);
    CHECK_INT(WHvSetPartitionProperty(p, (WHV_PARTITION_PROPERTY_CODE)0x7777, &count, 4), WHV_E_UNKNOWN_PROPERTY);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count), S_OK);
    CHECK_INT(WHvCreateVirtualProcessor(p, 0, 0), WHV_E_INVALID_PARTITION_CONFIG);
    CHECK_INT(WHvSetupPartition(p), S_OK);
    CHECK_INT(WHvSetupPartition(p), WHV_E_INVALID_PARTITION_CONFIG);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count),
              WHV_E_INVALID_PARTITION_CONFIG);
    CHECK_INT(WHvDeletePartition(p), S_OK);
    CHECK_INT(WHvDeletePartition(NULL), E_INVALIDARG);
}

TEST(whpx_double, what_is_to_exit_is_said_in_full)
{
    UINT64 vectors = 1 << 6;
    WHV_MSR_ACTION_ENTRY msr = {.Index = 1, .ReadAction = WHvMsrActionExit, .WriteAction = WHvMsrActionExit};
    WHV_EXTENDED_VM_EXITS exits = {.HypercallExit = 1};
    WHV_PARTITION_HANDLE p = partition_new(0);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeExtendedVmExits, &exits, sizeof exits), E_INVALIDARG);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeExceptionExitBitmap, &vectors, sizeof vectors),
              E_INVALIDARG);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeMsrActionList, &msr, sizeof msr), E_INVALIDARG);
    exits = (WHV_EXTENDED_VM_EXITS){.X64MsrExit = 1, .ExceptionExit = 1};
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeExtendedVmExits, &exits, sizeof exits), S_OK);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeExceptionExitBitmap, &vectors, sizeof vectors), S_OK);
    CHECK_INT(WHvSetPartitionProperty(p, WHvPartitionPropertyCodeMsrActionList, &msr, sizeof msr), S_OK);
    CHECK_INT(WHvDeletePartition(p), S_OK);
}

TEST(whpx_double, ranges_are_whole_pages_of_a_partition_that_is_set_up)
{
    const WHV_MAP_GPA_RANGE_FLAGS rw = (WHV_MAP_GPA_RANGE_FLAGS)(WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite);
    const WHV_MAP_GPA_RANGE_FLAGS unknown = (WHV_MAP_GPA_RANGE_FLAGS)0x40;
    UINT64 bits = 0;
    UINT8 *ram = VirtualAlloc(NULL, 4 * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    WHV_PARTITION_HANDLE early = partition_new(0), p = partition_new(1);
    CHECK_INT(WHvMapGpaRange(early, ram, 0, PAGE, rw), WHV_E_INVALID_PARTITION_CONFIG);
    CHECK_INT(WHvMapGpaRange(p, ram, 1, PAGE, rw), E_INVALIDARG);
    CHECK_INT(WHvMapGpaRange(p, ram + 1, 0, PAGE, rw), E_INVALIDARG);
    CHECK_INT(WHvMapGpaRange(p, ram, 0, PAGE + 1, rw), E_INVALIDARG);
    CHECK_INT(WHvMapGpaRange(p, ram, 0, PAGE, unknown), E_INVALIDARG);
    CHECK_INT(WHvMapGpaRange(p, ram, 0, 2 * PAGE, rw), S_OK);
    CHECK_INT(WHvQueryGpaRangeDirtyBitmap(p, 0, 2 * PAGE, &bits, sizeof bits), E_INVALIDARG); /* not tracked */
    CHECK_INT(WHvQueryGpaRangeDirtyBitmap(p, 8 * PAGE, PAGE, &bits, sizeof bits), WHV_E_GPA_RANGE_NOT_FOUND);
    CHECK_INT(WHvUnmapGpaRange(p, 8 * PAGE, PAGE), WHV_E_GPA_RANGE_NOT_FOUND);
    CHECK_INT(WHvUnmapGpaRange(p, 0, 2 * PAGE), S_OK);
    CHECK_INT(WHvDeletePartition(p), S_OK);
    CHECK_INT(WHvDeletePartition(early), S_OK);
    VirtualFree(ram, 0, MEM_RELEASE);
}

TEST(whpx_double, processors_are_there_once_and_below_the_count)
{
    WHV_RUN_VP_EXIT_CONTEXT exit;
    WHV_PARTITION_HANDLE p = partition_new(1);
    CHECK_INT(WHvCreateVirtualProcessor(p, 1, 0), E_INVALIDARG);
    CHECK_INT(WHvRunVirtualProcessor(p, 0, &exit, sizeof exit), WHV_E_VP_DOES_NOT_EXIST);
    CHECK_INT(WHvCreateVirtualProcessor(p, 0, 0), S_OK);
    CHECK_INT(WHvCreateVirtualProcessor(p, 0, 0), WHV_E_VP_ALREADY_EXISTS);
    CHECK_INT(WHvRunVirtualProcessor(p, 0, &exit, 8), WHV_E_INSUFFICIENT_BUFFER);
    CHECK_INT(WHvCancelRunVirtualProcessor(p, 0, 1), E_INVALIDARG);
    CHECK_INT(WHvDeleteVirtualProcessor(p, 0), S_OK);
    CHECK_INT(WHvDeleteVirtualProcessor(p, 0), WHV_E_VP_DOES_NOT_EXIST);
    CHECK_INT(WHvDeletePartition(p), S_OK);
}

TEST(whpx_double, a_batch_of_registers_is_done_or_not)
{
    WHV_REGISTER_NAME names[2] = {WHvX64RegisterRax, (WHV_REGISTER_NAME)0x7777};
    WHV_REGISTER_VALUE values[2];
    memset(values, 0, sizeof values);
    WHV_PARTITION_HANDLE p = partition_new(1);
    CHECK_INT(WHvCreateVirtualProcessor(p, 0, 0), S_OK);
    values[0].Reg64 = 7;
    CHECK_INT(WHvSetVirtualProcessorRegisters(p, 0, names, 1, values), S_OK);
    values[0].Reg64 = 8;
    CHECK_INT(WHvSetVirtualProcessorRegisters(p, 0, names, 2, values), WHV_E_INVALID_VP_REGISTER_NAME);
    names[1] = WHvX64RegisterCr4;
    values[1].Reg64 = ~0ull;
    CHECK_INT(WHvSetVirtualProcessorRegisters(p, 0, names, 2, values), E_INVALIDARG);
    names[1] = WHvRegisterPendingInterruption;
    values[1].PendingInterruption = (WHV_X64_PENDING_INTERRUPTION_REGISTER){
        .InterruptionPending = 1, .InterruptionType = WHvX64PendingNmi, .InterruptionVector = 3};
    CHECK_INT(WHvSetVirtualProcessorRegisters(p, 0, names, 2, values), E_INVALIDARG);
    CHECK_INT(WHvGetVirtualProcessorRegisters(p, 0, names, 1, values), S_OK);
    CHECK_INT(values[0].Reg64, 7);
    CHECK_INT(WHvDeletePartition(p), S_OK);
}

TEST(whpx_double, an_emulator_needs_all_its_call_backs)
{
    WHV_EMULATOR_CALLBACKS calls = {.Size = sizeof calls};
    WHV_EMULATOR_HANDLE e = NULL;
    WHV_EMULATOR_STATUS status;
    CHECK_INT(WHvEmulatorCreateEmulator(&calls, &e), E_INVALIDARG);
    CHECK_INT(WHvEmulatorTryMmioEmulation(NULL, NULL, NULL, NULL, &status), E_INVALIDARG);
    CHECK_INT(WHvEmulatorDestroyEmulator(NULL), E_INVALIDARG);
}
