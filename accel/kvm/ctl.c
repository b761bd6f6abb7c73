/* SPDX-License-Identifier: Apache-2.0
 * ctl.c - what only KVM has, by name. Numbers in `in` are little-endian; layouts are those of the
 * kernel's structs. kvm.check_extension  in: u32 capability            out: u32 KVM_CHECK_EXTENSION
 * on the VM kvm.enable_cap       in: u32 capability, u64 arg0   KVM_ENABLE_CAP on the VM
 *   kvm.exit_reason      out: u32 of the vcpu's last exit */
#include "accel/kvm/kvm.h"

#include <string.h>

const char *const kvm_ctls[] = {"kvm.check_extension", "kvm.enable_cap", "kvm.exit_reason", NULL};

static int ctl_check_extension(BeVm *vm, BeVcpu *v, Cursor *c, Buf *out, Err *err)
{
    (void)v;
    (void)err;
    buf_le(out, (uint64_t)kvm_check(vm->fd, (int)cursor_le(c, 4)), 4);
    return 0;
}

static int ctl_enable_cap(BeVm *vm, BeVcpu *v, Cursor *c, Buf *out, Err *err)
{
    (void)v;
    (void)out;
    uint32_t cap = (uint32_t)cursor_le(c, 4);
    int rc = kvm_enable_cap(vm->fd, cap, cursor_le(c, 8));
    return rc < 0 ? kvm_err(err, rc, "KVM_ENABLE_CAP") : 0;
}

static int ctl_exit_reason(BeVm *vm, BeVcpu *v, Cursor *c, Buf *out, Err *err)
{
    (void)vm;
    (void)c;
    if (!v) {
        return err_set(err, ERR_INVAL, "kvm.exit_reason asks about a vcpu");
    }
    buf_le(out, v->run->exit_reason, 4);
    return 0;
}

int kvm_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    static const struct {
        size_t nin;
        int (*call)(BeVm *vm, BeVcpu *v, Cursor *c, Buf *out, Err *err);
    } table[] = {{4, ctl_check_extension}, {12, ctl_enable_cap}, {0, ctl_exit_reason}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(kvm_ctls[i], name) != 0) {
            continue;
        }
        if (nin != table[i].nin) {
            return err_set(err, ERR_INVAL, "%s takes %zu bytes, not %zu", name, table[i].nin, nin);
        }
        Cursor c = cursor_of(in, nin);
        return table[i].call(vm, v, &c, out, err);
    }
    return err_unsupported(err, "kvm", name, "no such control");
}
