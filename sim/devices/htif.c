/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/htif.h"

Htif htif_decode(uint64_t tohost)
{
    uint64_t payload = tohost & 0xffffffffffffull;
    switch (tohost >> 48) {
    case 0: /* device 0, the system calls: an odd payload is exit */
        if (!payload) {
            return (Htif){HTIF_NONE, 0};
        }
        return payload & 1 ? (Htif){HTIF_EXIT, payload >> 1} : (Htif){HTIF_OTHER, tohost};
    case 0x0101: /* device 1, the console; command 1, write */
        return (Htif){HTIF_PUTC, payload & 0xff};
    }
    return (Htif){HTIF_OTHER, tohost};
}
