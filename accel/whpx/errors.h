/* SPDX-License-Identifier: Apache-2.0
 * errors.h - results of the Windows Hypervisor Platform, which mingw-w64's headers lack (winerror.h of the Windows SDK). */
#ifndef ACCEL_WHPX_ERRORS_H
#define ACCEL_WHPX_ERRORS_H

#include <windows.h>

/* clang-format off */
#define WHV_E_MAP(X)                                                                               \
    X(WHV_E_UNKNOWN_CAPABILITY, 0x80370300)                                                        \
    X(WHV_E_INSUFFICIENT_BUFFER, 0x80370301)                                                       \
    X(WHV_E_UNKNOWN_PROPERTY, 0x80370302)                                                          \
    X(WHV_E_UNSUPPORTED_HYPERVISOR_CONFIG, 0x80370303)                                             \
    X(WHV_E_INVALID_PARTITION_CONFIG, 0x80370304)                                                  \
    X(WHV_E_GPA_RANGE_NOT_FOUND, 0x80370305)                                                       \
    X(WHV_E_VP_ALREADY_EXISTS, 0x80370306)                                                         \
    X(WHV_E_VP_DOES_NOT_EXIST, 0x80370307)                                                         \
    X(WHV_E_INVALID_VP_STATE, 0x80370308)                                                          \
    X(WHV_E_INVALID_VP_REGISTER_NAME, 0x80370309)                                                  \
    X(WHV_E_UNSUPPORTED_PROCESSOR_CONFIG, 0x80370310)
/* clang-format on */
#define X(name, number) name = (int)(number),
enum { WHV_E_MAP(X) };
#undef X
#endif
