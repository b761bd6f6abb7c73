/* SPDX-License-Identifier: Apache-2.0
 * kit.c - what the kits of all guests do alike: start, doorbell, traps; the differences are in KitOps. */
#include "conformance/kit.h"

void kit_reg(WorldRegs *out, GuestId guest, const char *name, uint64_t value)
{
    VEC_PUSH(out, (WorldReg){reg_find(guest, name)->id, value});
}

int kit_reg_get(Vcpu *v, const char *name, uint64_t *value, Err *err)
{
    uint8_t bytes[8] = {0};
    RegIo io = {reg_find(vm_guest(vcpu_vm(v)), name)->id, bytes};
    size_t bad;
    int rc = vcpu_get_regs(v, &io, 1, &bad, err);
    Cursor c = cursor_of(bytes, sizeof bytes);
    *value = cursor_le(&c, (unsigned)REG_SIZE(io.id));
    return rc;
}

int kit_reg_set(Vcpu *v, const char *name, uint64_t value, Err *err)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    RegIo io = {reg_find(vm_guest(vcpu_vm(v)), name)->id, bytes};
    size_t bad;
    return vcpu_set_regs(v, &io, 1, &bad, err);
}

int kit_start_check(const KitOps *ops, StartKind start, Err *err)
{
    if (ops->starts >> start & 1) {
        return 0;
    }
    if (start == START_machine) {
        return err_unsupported(err, guest_name(ops->guest), "start: machine", ops->no_machine);
    }
    return err_set(err, ERR_INVAL, "start: real and protected are x86_64's; %s has kernel, paged, user, machine",
                   guest_name(ops->guest));
}

Ring kit_ring(const KitOps *ops, const VmExit *e)
{
    if (e->kind != ops->bell || e->size_bytes != 1) {
        return RING_NONE;
    }
    return e->addr == ops->bell_done ? RING_DONE : e->addr == ops->bell_trap ? RING_TRAP : RING_NONE;
}

int kit_trap_read(const KitOps *ops, const Kit *k, Vcpu *v, WorldTrap *out, Err *err)
{
    uint8_t bytes[KIT_TRAP_REGS][8] = {{0}};
    uint64_t values[KIT_TRAP_REGS];
    RegIo io[KIT_TRAP_REGS];
    for (size_t i = 0; i < KIT_TRAP_REGS; i++) {
        io[i] = (RegIo){reg_find(ops->guest, ops->trap_regs[i])->id, bytes[i]};
    }
    size_t bad;
    int rc = vcpu_get_regs(v, io, KIT_TRAP_REGS, &bad, err);
    for (size_t i = 0; !rc && i < KIT_TRAP_REGS; i++) {
        Cursor c = cursor_of(bytes[i], 8);
        values[i] = cursor_le(&c, REG_SIZE(io[i].id));
    }
    return rc ? rc : ops->trap(k, v, values, out, err);
}

int kit_trap_return(const KitOps *ops, const Kit *k, Vcpu *v, const WorldTrap *t, uint64_t pc, Err *err)
{
    return ops->return_reg ? kit_reg_set(v, ops->return_reg, pc, err) : ops->trap_return(k, v, t, pc, err);
}
