/* SPDX-License-Identifier: Apache-2.0
 * api.h - the calls of WinHvPlatform.dll and WinHvEmulation.dll that the backend makes.
 *
 * The libraries are there only where the Windows feature HypervisorPlatform is on, so they are loaded when they are needed, not with
 * the program. Types and signatures are those of mingw-w64's headers; that its import libraries have each of these names is
 * a part of the build (imports.c). Where the hypervisor is a double of ours, it says so by an export of its own. */
#ifndef ACCEL_WHPX_API_H
#define ACCEL_WHPX_API_H

#include "sim/base/err.h"

#include <stdbool.h>
#include <windows.h>
/* the order matters: winhvplatform.h needs windows.h */
#include <winhvemulation.h>
#include <winhvplatform.h>

/* clang-format off */
#define WHV_PLATFORM_MAP(X)                                                                        \
    X(WHvGetCapability) X(WHvCreatePartition) X(WHvSetupPartition) X(WHvDeletePartition)           \
    X(WHvSetPartitionProperty) X(WHvMapGpaRange) X(WHvUnmapGpaRange) X(WHvTranslateGva)            \
    X(WHvCreateVirtualProcessor) X(WHvDeleteVirtualProcessor) X(WHvRunVirtualProcessor)            \
    X(WHvCancelRunVirtualProcessor) X(WHvGetVirtualProcessorRegisters)                             \
    X(WHvSetVirtualProcessorRegisters) X(WHvGetVirtualProcessorXsaveState)                         \
    X(WHvSetVirtualProcessorXsaveState) X(WHvQueryGpaRangeDirtyBitmap)
#define WHV_EMULATION_MAP(X)                                                                       \
    X(WHvEmulatorCreateEmulator) X(WHvEmulatorDestroyEmulator) X(WHvEmulatorTryIoEmulation)        \
    X(WHvEmulatorTryMmioEmulation)
/* clang-format on */
typedef struct {
#define X(name) __typeof__(name) *name;
    WHV_PLATFORM_MAP(X)
    WHV_EMULATION_MAP(X)
#undef X
    bool is_double;
} WhvApi;
extern WhvApi whv;

/* Loads both libraries, once; THREAD-SAFE. -ERR_UNAVAILABLE with the remedy. */
MUST_USE int whv_load(Err *err);
/* -ERR_x for a call that failed: its name, and what Windows calls the reason. */
int whv_err(Err *err, HRESULT result, const char *call);
#endif
