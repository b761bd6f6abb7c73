/* SPDX-License-Identifier: Apache-2.0
 * isa.c - riscv64 as the rest of the simulator sees it. */
#include "sim/guest/riscv64/isa.h"
#include "rv64_decode.h"
#include "sim/base/mem.h"
#include "sim/guest/riscv64/riscv.h"

static const Helper helpers[HELP_COUNT] = {
#define HELPER(name, effects, nsrc) {#name, riscv_help_##name, effects, nsrc},
#include "sim/guest/riscv64/helpers.def"
#undef HELPER
};

#define F(n)                                                                                                           \
    {                                                                                                                  \
        "f" #n, (Slot)(offsetof(RiscvFrame, fpr) + 8 * (n))                                                            \
    }
#define X(name, n)                                                                                                     \
    {                                                                                                                  \
#name, (Slot)(offsetof(RiscvFrame, x) + 8 * (n))                                                               \
    }
static const IrSlotInfo slots[] = {
    X(ra, 1),  X(sp, 2),  X(gp, 3),  X(tp, 4),  X(t0, 5),  X(t1, 6),  X(t2, 7),  X(s0, 8),   X(s1, 9),
    X(a0, 10), X(a1, 11), X(a2, 12), X(a3, 13), X(a4, 14), X(a5, 15), X(a6, 16), X(a7, 17),  X(s2, 18),
    X(s3, 19), X(s4, 20), X(s5, 21), X(s6, 22), X(s7, 23), X(s8, 24), X(s9, 25), X(s10, 26), X(s11, 27),
    X(t3, 28), X(t4, 29), X(t5, 30), X(t6, 31), F(0),      F(1),      F(2),      F(3),       F(4),
    F(5),      F(6),      F(7),      F(8),      F(9),      F(10),     F(11),     F(12),      F(13),
    F(14),     F(15),     F(16),     F(17),     F(18),     F(19),     F(20),     F(21),      F(22),
    F(23),     F(24),     F(25),     F(26),     F(27),     F(28),     F(29),     F(30),      F(31),
#define CSR(name, number, need, when, field, writable, warl) {#name, (Slot)offsetof(RiscvFrame, field)},
#define VIEW(name, number, need, when, field, readable, writable, warl)
#define CALC(name, number, need, when, read, write)
#define CALCS(first, last, need, when, read, write)
#define FIXED(first, last, value)
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
};
#undef X
#undef F

static void call_get(const Frame *f, GuestCall *out) /* SBI 3: a7 = extension, a6 = function, a0 to a5 = arguments */
{
    const uint64_t *x = CRISCV(f)->x;
    *out = (GuestCall){.nr = x[17] << 32 | (uint32_t)x[16]};
    for (size_t i = 0; i < ARRAY_LEN(out->arg); i++) {
        out->arg[i] = x[10 + i];
    }
}

static void call_return(Frame *f, const uint64_t *ret, unsigned n)
{
    for (unsigned i = 0; i < n && i < 2; i++) {
        RISCV(f)->x[10 + i] = ret[i];
    }
}

/* By the calling convention: sp a0 a1 a2 a5 a3 a4 s0. */
static const Slot hot[] = {SLOT_OF(x[2]),  SLOT_OF(x[10]), SLOT_OF(x[11]), SLOT_OF(x[12]),
                           SLOT_OF(x[15]), SLOT_OF(x[13]), SLOT_OF(x[14]), SLOT_OF(x[8])};

const GuestIsa guest_riscv64 = {
    .id = GUEST_riscv64,
    .name = "riscv64",
    .insn_min_bytes = 2,
    .elf_machine = 243,
    .isa_string = riscv_isa_string,
    .fdt_mmu = riscv_fdt_mmu,
    .insn_max_bytes = 4,
    .ir = {.name = "riscv64",
           .frame_bytes = sizeof(RiscvFrame),
           .slots = slots,
           .nslots = ARRAY_LEN(slots),
           .helpers = helpers,
           .nhelpers = HELP_COUNT,
           .fp_flags = SLOT_OF(fflags),
           .fp_rm = SLOT_OF(frm),
           .fp_mode = FP_MODE_RISCV,
           .hot = hot,
           .nhot = ARRAY_LEN(hot)},
    .mmu = {.nregimes = REGIME_COUNT,
            .walk = riscv_walk,
            .bus_fault = riscv_bus_fault,
            .align_fault = riscv_align_fault},
    .cpu_bytes = sizeof(RiscvCpu),
    .cpu_parse = riscv_cpu_parse,
    .cpu_virt = riscv_cpu_virt,
    .reset = riscv_reset,
    .mode_key = riscv_mode_key,
    .mode_word = riscv_mode_word,
    .calm_word = riscv_calm_word,
    .context = riscv_context,
    .fetch_is_flat = riscv_fetch_is_flat,
    .translate = riscv_translate,
    .stage2_check = riscv_stage2_check,
    .stage2_fault = riscv_stage2_fault,
    .stage2_causes = 1ull << CAUSE_FETCH_GUEST_PAGE | 1ull << CAUSE_LOAD_GUEST_PAGE | 1ull << CAUSE_STORE_GUEST_PAGE,
    .take_trap = riscv_take_trap,
    .line = riscv_line,
    .line_get = riscv_line_get,
    .pending = riscv_pending,
    .wakes = riscv_wakes,
    .deadline = riscv_deadline,
    .tick = riscv_tick,
    .reg_get = riscv_reg_get,
    .reg_set = riscv_reg_set,
    .reg_list = riscv_reg_list,
    .call_get = call_get,
    .call_return = call_return,
    .disasm = riscv_disasm,
    .cover = {.count = riscv_cover_count, .item = riscv_cover_item, .insn = riscv_cover_insn, .trap = riscv_cover_trap},
};
