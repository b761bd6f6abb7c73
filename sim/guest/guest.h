/* SPDX-License-Identifier: Apache-2.0
 * guest.h - all that the rest of the simulator may know of an instruction set.
 *
 * Read by exec, boot, snapshot and sim.c; never by interp or jit, which know IrGuest only. One const GuestIsa per folder
 * guest/<isa>/ and one line GUEST(<isa>) in guests.def. Functions run on the vcpu's thread with the frame exact
 * (ir.h P2), unless marked THREAD-SAFE. None of them blocks, allocates or fails by abort: guest input of any kind ends in
 * a Trap or a value.
 *
 * A new ISA supplies: its frame, decode rows, translators, this table. It changes nothing outside its folder. */
#ifndef SIM_GUEST_GUEST_H
#define SIM_GUEST_GUEST_H

#include "sim/guest/regs.h"
#include "sim/ir/ir.h"
#include "sim/softmmu/softmmu.h"

/* ---- translation of code ---- */
typedef struct {
    IrBuild *ir;
    uint64_t pc;
    uint32_t mode_key;
    const uint8_t *bytes; /* at pc; avail are fetched and executable */
    unsigned avail;
    const void *cpu; /* the parsed feature set */
} Translate;
typedef enum {
    TR_NEXT, /* emitted; go on */
    TR_END,  /* emitted a terminator */
    TR_MORE, /* nothing emitted; needs more bytes than avail (an instruction that crosses a page) */
} TrResult;

/* ---- environment ---- */
typedef struct {
    bool is_virt; /* the firmware and hypervisor levels are absent; their calls are STOP_HYPERCALL and the like */
    uint64_t hw_id, entry, arg;
    bool has_stage2; /* is_virt: the absent level below translates the guest's addresses by the table at stage2 */
    uint64_t stage2; /* stage2_check has passed it */
    const void *cpu;
} GuestReset;
/* A fault of that translation, which is for whoever made the table. */
typedef struct {
    uint64_t gpa;
    Access acc; /* of what is at gpa: the guest's own, or that to one of its tables */
} Stage2Fault;
typedef enum { LINE_SOFTWARE, LINE_TIMER, LINE_EXTERNAL, LINE_EXTERNAL_LOW, LINE_NMI, LINE_COUNT } GuestLine;
/* Why a stop op leaves run(). imm and the frame's registers say more, through stop_data(). */
typedef enum {
    STOP_WAIT,      /* wfi, hlt: idle until wakes() */
    STOP_HYPERCALL, /* a call to the level above, which is absent; arguments in the ISA's argument registers */
} StopReason;
/* A call to the level above, in neutral form. */
typedef struct {
    uint64_t nr, arg[6];
} GuestCall;

/* Coverage: what of the guest there is to be reached, as a list. What is reached is told to exec_reached() by its place in it,
 * where the dispatcher asks: when an instruction was translated (whole, at bytes; row as IrBlock's) and a trap is taken; and
 * by walk(), if exec_is_covered(). */
typedef struct GuestCover {
    size_t (*count)(void);
    void (*item)(size_t i, Buf *out); /* appends "KIND\tGROUP\tNAME": ASCII, without a tab in them */
    void (*insn)(Frame *f, const uint8_t *bytes, unsigned row);
    void (*trap)(Frame *f, const Trap *t);
} GuestCover;

typedef struct GuestIsa {
    GuestId id;
    const char *name;
    uint8_t insn_min_bytes, insn_max_bytes;
    uint16_t elf_machine; /* e_machine of its ELF files */
    IrGuest ir;
    MmuGuest mmu;

    /* Parses "rv64imac,svadu=off" into cpu (cpu_bytes); NULL = all that is implemented. -ERR_INVAL names the feature
     * and what is near it. */
    size_t cpu_bytes;
    int (*cpu_parse)(const char *text, void *cpu, Err *err);
    void (*cpu_virt)(void *cpu); /* takes away what guests of a hypervisor do not have; NULL = nothing */
    /* What a parsed cpu has, as the binding of the device tree's cpu nodes spells it; with_modes: and the paged modes, which are
     * said elsewhere there. Ended with 0, cut if size is too small. */
    void (*isa_string)(const void *cpu, bool with_modes, char *text, size_t size);
    const char *(*fdt_mmu)(const void *cpu);        /* its mmu, likewise; a constant */
    void (*reset)(Frame *f, const GuestReset *how); /* architectural reset; every guest slot is written */

    /* All state that translation may look at, packed: privilege, FP on, features. Equal key and equal bytes give equal IR.
     * Called after every sync, trap and register write. */
    uint32_t (*mode_key)(const Frame *f);
    /* A number that says all that traps, their returns and changes of status make of mode_key and context: as long as exec_changed is not
     * called, equal numbers mean that both are equal. 0: not now. NULL = never. */
    uint64_t (*mode_word)(const Frame *f);
    /* The same, but also 0 if an interrupt may be pending: after most traps and returns that is all there is to ask. NULL = never. */
    uint64_t (*calm_word)(const Frame *f);
    /* The current address space and regimes, for mmu_select. */
    void (*context)(const Frame *f, uint64_t *space_tag, unsigned *data_regime, unsigned *fetch_regime);
    /* Are fetches untranslated in this mode, and not looked at in another way that does not change the key? Then code may be linked
     * across pages. */
    bool (*fetch_is_flat)(uint32_t mode_key);
    /* Emits one instruction. Undefined encodings emit a trap; every byte string is legal input. A function of (bytes,
     * mode_key, pc, cpu) alone. */
    TrResult (*translate)(Translate *t);

    /* May a table of the second stage be there? -ERR_INVAL says why not. NULL = the guest has no second stage. */
    int (*stage2_check)(uint64_t root, Err *err);
    bool (*stage2_fault)(const Frame *f, const Trap *t, Stage2Fault *out); /* is the trap one? Else it is the guest's */
    uint64_t stage2_causes;                     /* bit n: stage2_fault may say so of a cause that is n modulo 64 */
    void (*take_trap)(Frame *f, const Trap *t); /* enters the handler: pc, cause, level, status */
    void (*line)(Frame *f, GuestLine line, bool level);
    bool (*line_get)(const Frame *f, GuestLine line);
    /* The best interrupt deliverable now, honouring masks; false = none. Does not deliver: take_trap does. */
    bool (*pending)(const Frame *f, Trap *out);
    bool (*wakes)(const Frame *f); /* may an idle vcpu go on: wfi wakes on what is pending even if it is masked */
    /* Guest timers that live in registers (stimecmp): instant of the guest clock at which one fires; UINT64_MAX = none. tick:
     * that instant is reached. NULL = none. */
    uint64_t (*deadline)(const Frame *f);
    void (*tick)(Frame *f, uint64_t now_ns);

    /* Registers by id, as regs.def names them. get: -ERR_NOENT for an id that this cpu lacks. set: -ERR_INVAL with a
     * sentence for a value that the architecture cannot hold; nothing is changed then. The caller recomputes mode and
     * context after a set. list: in restore order; returns the count. */
    int (*reg_get)(const Frame *f, RegId id, void *bytes, Err *err);
    int (*reg_set)(Frame *f, RegId id, const void *bytes, Err *err);
    size_t (*reg_list)(const Frame *f, RegId *ids, size_t cap);

    void (*call_get)(const Frame *f, GuestCall *out);               /* after STOP_HYPERCALL */
    void (*call_return)(Frame *f, const uint64_t *ret, unsigned n); /* the ISA's return registers */
    /* One instruction as text in the assembler's own spelling (LLVM's); returns its length, 0 if bytes are too few. */
    unsigned (*disasm)(const uint8_t *bytes, unsigned n, uint64_t pc, char *text, size_t size);
    GuestCover cover;
} GuestIsa;

const GuestIsa *guest_isa(const char *name); /* from guests.def; NULL = no such simulator */
/* For helpers: ask for what a sync must do. Flags gather in ExecVcpu until then (exec.h). */
void exec_flush_tlb(Frame *f, uint64_t gva, uint64_t space_tag);
void exec_flush_rights(Frame *f); /* what may be accessed has changed, where nothing is translated too (PMP) */
void exec_flush_code(Frame *f);   /* fence.i, IC IVAU: this vcpu sees the code that is in memory now */
/* Something has changed that mode_key, context or deadline depend on, and that mode_word does not say: the next sync looks at all. */
void exec_changed(Frame *f);
uint64_t exec_now_ns(const Frame *f); /* guest clock of this vcpu, at this instruction */
bool exec_is_covered(const Frame *f); /* is anybody counting? */
void exec_reached(Frame *f, size_t item);
#endif
