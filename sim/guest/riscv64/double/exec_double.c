/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/guest.h"

ExecDouble exec_double;

void exec_flush_tlb(Frame *f, uint64_t gva, uint64_t space_tag)
{
    (void)f;
    exec_double.tlb_flushes++;
    exec_double.gva = gva;
    exec_double.space_tag = space_tag;
}

void exec_flush_rights(Frame *f)
{
    exec_flush_tlb(f, UINT64_MAX, UINT64_MAX);
}

void exec_changed(Frame *f)
{
    (void)f;
}

void exec_flush_code(Frame *f)
{
    (void)f;
    exec_double.code_flushes++;
}

uint64_t exec_now_ns(const Frame *f)
{
    (void)f;
    return exec_double.now_ns;
}

bool exec_is_covered(const Frame *f)
{
    (void)f;
    return false;
}

void exec_reached(Frame *f, size_t item)
{
    (void)f;
    (void)item;
}
