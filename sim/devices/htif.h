/* SPDX-License-Identifier: Apache-2.0
 * htif.h - the Berkeley host-target interface, as far as riscv-tests use it: the 8 bytes of the ELF symbol `tohost`, into which
 * the guest writes what it wants. It is no device: the word lies in RAM. Whoever runs the guest looks at it when it was
 * written. Bits: device 63:56, command 55:48, payload 47:0. */
#ifndef SIM_DEVICES_HTIF_H
#define SIM_DEVICES_HTIF_H

#include <stdint.h>

typedef enum {
    HTIF_NONE, /* 0: nothing was written, or it was answered */
    HTIF_EXIT, /* the guest ends with `value`; 0 = passed, else the number of the test that failed */
    HTIF_PUTC, /* the byte `value` goes to the console; answer by writing 0 to tohost */
    HTIF_OTHER /* a system call by proxy, or a device that is not served */
} HtifKind;
typedef struct {
    HtifKind kind;
    uint64_t value;
} Htif;
Htif htif_decode(uint64_t tohost);
#endif
