/* SPDX-License-Identifier: Apache-2.0
 * stage2.c - the second stage of a guest whose hypervisor is absent: what hgatp would have been, and the faults that it would have
 * taken. The table is one of Sv39x4 (Priv 15.5.1). */
#include "sim/guest/riscv64/riscv.h"

enum { PAGE_BITS = 12, ROOT_BYTES = 1 << 14, ADDRESS_BITS = 56 };

int riscv_stage2_check(uint64_t root, Err *err)
{
    if (root & (ROOT_BYTES - 1) || root >> ADDRESS_BITS) {
        return err_set(err, ERR_INVAL, "stage2 %#llx: a root of Sv39x4 is aligned to 16 KiB, and below 2^56",
                       (unsigned long long)root);
    }
    return 0;
}

uint64_t riscv_stage2_hgatp(uint64_t root)
{
    return (uint64_t)SATP_SV39 << 60 | root >> PAGE_BITS;
}

bool riscv_stage2_fault(const Frame *f, const Trap *t, Stage2Fault *out)
{
    const RiscvFrame *r = CRISCV(f);
    if (!r->is_virt) {
        return false;
    }
    switch (t->cause) {
    case CAUSE_FETCH_GUEST_PAGE:
        out->acc = ACC_EXEC;
        break;
    case CAUSE_LOAD_GUEST_PAGE:
        out->acc = ACC_READ;
        break;
    case CAUSE_STORE_GUEST_PAGE:
        out->acc = ACC_WRITE;
        break;
    default:
        return false;
    }
    uint32_t tables = (uint32_t)t->value3; /* 15.6.3 */
    out->gpa = t->value2 << 2 | (tables ? 0 : t->value & 3);
    out->acc = !tables ? out->acc : tables == HTINST_TABLE_WRITE ? ACC_WRITE : ACC_READ;
    return true;
}
