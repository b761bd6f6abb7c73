/* SPDX-License-Identifier: Apache-2.0
 * cover.c - what of this guest there is to be reached, and which of it an instruction, a trap or a walk reaches. Called when
 * code is translated, a trap is taken or an address walked, and only where somebody asked for it. */
#include "rv64_decode.h"
#include "sim/base/mem.h"
#include "sim/guest/riscv64/riscv.h"

/* ---- CSRs, by number ---- */
static const struct {
    uint16_t first, last;
} csr_ranges[] = {
#define CSR(name, number, need, when, field, writable, warl)            {number, number},
#define VIEW(name, number, need, when, field, readable, writable, warl) {number, number},
#define CALC(name, number, need, when, read, write)                     {number, number},
#define CALCS(first, last, need, when, read, write)                     {first, last},
#define FIXED(first, last, value)                                       {first, last},
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
};
#define CSR_READ_ONLY(number) (((number) >> 10 & 3) == 3) /* Priv 2.1 */

static size_t csr_count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(csr_ranges); i++) {
        n += csr_ranges[i].last - csr_ranges[i].first + 1u;
    }
    return n;
}

/* Place among all; SIZE_MAX: none of this guest's. */
static size_t csr_index(unsigned number)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(csr_ranges); i++) {
        if (number >= csr_ranges[i].first && number <= csr_ranges[i].last) {
            return n + number - csr_ranges[i].first;
        }
        n += csr_ranges[i].last - csr_ranges[i].first + 1u;
    }
    return SIZE_MAX;
}

static unsigned csr_number(size_t index)
{
    size_t i = 0;
    while (index > (size_t)(csr_ranges[i].last - csr_ranges[i].first)) {
        index -= csr_ranges[i].last - csr_ranges[i].first + 1u;
        i++;
    }
    return csr_ranges[i].first + (unsigned)index;
}

/* ---- traps (Priv tables 3.6 and 15.6) ---- */
static const struct {
    uint64_t cause;
    const char *name;
} traps[] = {
    {CAUSE_FETCH_ACCESS, "instruction access fault"},
    {CAUSE_ILLEGAL, "illegal instruction"},
    {CAUSE_BREAKPOINT, "breakpoint"},
    {CAUSE_LOAD_MISALIGNED, "load address misaligned"},
    {CAUSE_LOAD_ACCESS, "load access fault"},
    {CAUSE_STORE_MISALIGNED, "store/AMO address misaligned"},
    {CAUSE_STORE_ACCESS, "store/AMO access fault"},
    {CAUSE_ECALL_U, "environment call from U-mode"},
    {CAUSE_ECALL_U + 1, "environment call from HS-mode"},
    {CAUSE_ECALL_VS, "environment call from VS-mode"},
    {CAUSE_ECALL_U + 3, "environment call from M-mode"},
    {CAUSE_FETCH_PAGE, "instruction page fault"},
    {CAUSE_LOAD_PAGE, "load page fault"},
    {CAUSE_STORE_PAGE, "store/AMO page fault"},
    {CAUSE_FETCH_GUEST_PAGE, "instruction guest-page fault"},
    {CAUSE_LOAD_GUEST_PAGE, "load guest-page fault"},
    {CAUSE_VIRTUAL, "virtual instruction"},
    {CAUSE_STORE_GUEST_PAGE, "store/AMO guest-page fault"},
    {CAUSE_IRQ | 1, "supervisor software interrupt"},
    {CAUSE_IRQ | 2, "virtual supervisor software interrupt"},
    {CAUSE_IRQ | 3, "machine software interrupt"},
    {CAUSE_IRQ | 5, "supervisor timer interrupt"},
    {CAUSE_IRQ | 6, "virtual supervisor timer interrupt"},
    {CAUSE_IRQ | 7, "machine timer interrupt"},
    {CAUSE_IRQ | 9, "supervisor external interrupt"},
    {CAUSE_IRQ | 10, "virtual supervisor external interrupt"},
    {CAUSE_IRQ | 11, "machine external interrupt"},
    {CAUSE_IRQ | 13, "counter overflow interrupt"},
};

/* ---- walks ---- */
typedef enum { FOR_FETCH, FOR_LOAD, FOR_STORE, WANTS } Want;
static const char *const wants[WANTS] = {"fetch", "load", "store"};
typedef enum {
    WALK_BARE,
    WALK_SV39,
    WALK_SV39_LARGE,
    WALK_SV48,
    WALK_SV48_LARGE,
    WALK_SV57,
    WALK_SV57_LARGE,
    WALK_TWO_STAGES,
    WALK_PAGE_FAULT,
    WALK_ACCESS_FAULT,
    WALK_GUEST_PAGE_FAULT,
    WALK_ENDS
} WalkEnd;
static const char *const walk_ends[WALK_ENDS] = {"untranslated",   "Sv39 page",    "Sv39 superpage",  "Sv48 page",
                                                 "Sv48 superpage", "Sv57 page",    "Sv57 superpage",  "two stages",
                                                 "page fault",     "access fault", "guest-page fault"};

/* ---- the list: rows but the one that is none, classes, CSRs x read and write, traps, walks ---- */
enum { NROWS = RV64_ROW_COUNT - 1, AT_CLASSES = NROWS, AT_CSRS = AT_CLASSES + RV64_CLASS_COUNT };

static size_t at_traps(void)
{
    return AT_CSRS + 2 * csr_count();
}

static size_t at_walks(void)
{
    return at_traps() + ARRAY_LEN(traps);
}

size_t riscv_cover_count(void)
{
    return at_walks() + (size_t)WANTS * WALK_ENDS;
}

static void csr_item(size_t i, Buf *out)
{
    unsigned number = csr_number(i / 2);
    const char *name = riscv_csr_name(number), *access = i % 2 ? "write" : "read";
    static const char *const levels[] = {"unprivileged", "supervisor", "hypervisor", "machine"};
    buf_printf(out, "csr\triscv64 %s\triscv64 ", levels[number >> 8 & 3]);
    if (name) {
        buf_str(out, name);
    } else {
        buf_printf(out, "0x%x", number);
    }
    buf_printf(out, " %s%s", access, i % 2 && CSR_READ_ONLY(number) ? " (refused)" : "");
}

void riscv_cover_item(size_t i, Buf *out)
{
    if (i < NROWS) {
        buf_printf(out, "decode\triscv64 %s\triscv64 %s", rv64_ext_names[rv64_row_ext[i + 1]], rv64_row_names[i + 1]);
    } else if (i < AT_CSRS) {
        size_t class = i - AT_CLASSES, row = 1;
        while (rv64_row_classes[row + 1] <= class) {
            row++;
        }
        buf_printf(out, "operand_class\triscv64 %s\triscv64 %s %s", rv64_ext_names[rv64_row_ext[row]],
                   rv64_row_names[row], rv64_classes[class].text);
    } else if (i < at_traps()) {
        csr_item(i - AT_CSRS, out);
    } else if (i < at_walks()) {
        const char *group = traps[i - at_traps()].cause & CAUSE_IRQ ? "interrupts" : "exceptions";
        buf_printf(out, "trap\triscv64 %s\triscv64 %s", group, traps[i - at_traps()].name);
    } else {
        i -= at_walks();
        buf_printf(out, "mmu_walk\triscv64 %s\triscv64 %s %s", wants[i / WALK_ENDS], wants[i / WALK_ENDS],
                   walk_ends[i % WALK_ENDS]);
    }
}

/* Zicsr (Unpriv 6.1): which accesses an instruction makes depends on its operands. */
static void csr_reached(Frame *f, unsigned row, const Rv64Args *a)
{
    bool is_swap = row == RV64_csrrw || row == RV64_csrrwi;
    bool is_imm = row == RV64_csrrwi || row == RV64_csrrsi || row == RV64_csrrci;
    size_t i = csr_index((unsigned)a->csr);
    if (i == SIZE_MAX) {
        return;
    }
    if (!is_swap || a->rd) {
        exec_reached(f, AT_CSRS + 2 * i);
    }
    if (is_swap || (is_imm ? a->imm : a->rs1)) {
        exec_reached(f, AT_CSRS + 2 * i + 1);
    }
}

void riscv_cover_insn(Frame *f, const uint8_t *bytes, unsigned row)
{
    Rv64Args a = {0};
    uint32_t w = bytes[0] | (uint32_t)bytes[1] << 8;
    if (row == RV64_ROW_NONE) {
        return;
    }
    exec_reached(f, row - 1);
    if ((w & 3) == 3) {
        rv64_decode32(w | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24, &a);
    } else {
        rv64_decode16(w, &a);
    }
    for (unsigned c = rv64_row_classes[row]; c < rv64_row_classes[row + 1]; c++) {
        if (rv64_in_class(&rv64_classes[c], &a)) {
            exec_reached(f, AT_CLASSES + c);
        }
    }
    if (row == RV64_csrrw || row == RV64_csrrs || row == RV64_csrrc || row == RV64_csrrwi || row == RV64_csrrsi ||
        row == RV64_csrrci) {
        csr_reached(f, row, &a);
    }
}

void riscv_cover_trap(Frame *f, const Trap *t)
{
    for (size_t i = 0; i < ARRAY_LEN(traps); i++) {
        if (traps[i].cause == t->cause) {
            exec_reached(f, at_traps() + i);
        }
    }
}

static WalkEnd end_of_fault(uint64_t cause)
{
    switch (cause) {
    case CAUSE_FETCH_PAGE:
    case CAUSE_LOAD_PAGE:
    case CAUSE_STORE_PAGE:
        return WALK_PAGE_FAULT;
    case CAUSE_FETCH_GUEST_PAGE:
    case CAUSE_LOAD_GUEST_PAGE:
    case CAUSE_STORE_GUEST_PAGE:
        return WALK_GUEST_PAGE_FAULT;
    default:
        return WALK_ACCESS_FAULT;
    }
}

void riscv_cover_walk(Frame *f, Access acc, uint64_t atp, bool has_second, const Walk *w, const Trap *fault)
{
    Want want = acc & ACC_EXEC ? FOR_FETCH : acc & ACC_WRITE ? FOR_STORE : FOR_LOAD;
    unsigned mode = (unsigned)SATP_MODE(atp);
    WalkEnd end = fault               ? end_of_fault(fault->cause)
                  : has_second        ? WALK_TWO_STAGES
                  : mode == SATP_BARE ? WALK_BARE
                                      : (WalkEnd)(WALK_SV39 + 2 * (mode - SATP_SV39) + (w->page_bits > 12));
    exec_reached(f, at_walks() + (size_t)want * WALK_ENDS + end);
}
