/* SPDX-License-Identifier: Apache-2.0
 * Any bytes in any mode: translation ends, and what it makes is sound; the disassembler stays in its buffer. */
#include "sim/guest/riscv64/isa.h"
#include "sim/guest/riscv64/riscv.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static IrOp ops[IR_BLOCK_MAX_OPS];
    static IrBlock block;
    uint32_t key = 0;
    RiscvCpu cpu;
    if (size < 5 || guest_riscv64.cpu_parse(data[4] & 1 ? NULL : "rv64ic,sstc=off,svadu=off,pmp=off", &cpu, NULL)) {
        return 0;
    }
    memcpy(&key, data, sizeof key);
    data += 5;
    size -= 5;
    if (KEY_PRIV(key) == 2) {
        return 0; /* no such privilege */
    }
    IrBuild k;
    ir_begin(&k, &block, ops, 0x1000, key);
    Translate t = {.ir = &k, .pc = 0x1000, .mode_key = key, .cpu = &cpu};
    TrResult result = TR_NEXT;
    for (unsigned n = 0; result == TR_NEXT && n < 16; n++) { /* 16 instructions fit into every limit but the exits' */
        t.bytes = data + (t.pc - 0x1000);
        t.avail = (unsigned)(size - (t.pc - 0x1000));
        char text[24];
        guest_riscv64.disasm(t.bytes, t.avail, t.pc, text, 1 + t.avail % sizeof text);
        result = guest_riscv64.translate(&t);
        t.pc = 0x1000 + block.nbytes;
        if (k.is_full) {
            return 0;
        }
    }
    if (result == TR_MORE && !block.ninsns) {
        return 0;
    }
    if (result != TR_END) {
        ir_jmp(&k, t.pc);
    }
    Err err;
    if (k.is_full) {
        return 0;
    }
    int rc = ir_verify(&block, &guest_riscv64.ir, &err);
    assert(!rc);
    ir_optimise(&block, &guest_riscv64.ir);
    rc = ir_verify(&block, &guest_riscv64.ir, &err);
    assert(!rc);
    return rc;
}
