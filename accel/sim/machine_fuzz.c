/* SPDX-License-Identifier: Apache-2.0
 * Any messages to the machine of a simulator: refused with a sentence, or carried out. Each is a byte that chooses, two of its
 * length, and its bytes. */
#include "accel/machine.h"

extern const Backend backend_sim_interp;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {MACHINE_CTL_IMAGE, MACHINE_CTL_BOOT, MACHINE_CTL_RUN, "machine"};
    VmConfig cfg = {.guest = GUEST_riscv64, .env = size && data[0] & 4 ? ENV_VIRT : ENV_MACHINE};
    Cursor in = cursor_of(data, size);
    Vm *vm = NULL;
    if (vm_open(&backend_sim_interp, &cfg, &life_virtualcpu, NULL, &vm, NULL)) {
        __builtin_trap();
    }
    while (cursor_ok(&in) && cursor_left(&in)) {
        uint64_t which = cursor_le(&in, 1), n = cursor_le(&in, 2);
        n = n < cursor_left(&in) ? n : cursor_left(&in);
        const uint8_t *bytes = cursor_bytes(&in, n);
        Buf out = {0};
        Err err = {0};
        bool is_run = (which & 3) == 2, is_long = is_run && n >= 8 && (bytes[2] | bytes[3]);
        int rc =
            is_long ? 0 : vm_ctl(vm, NULL, names[which & 3], bytes, n, &out, &err); /* 65 us of guest time are enough */
        if (rc && !err.text[0]) {
            __builtin_trap();
        }
        buf_free(&out);
    }
    vm_close(vm);
    return 0;
}
