/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/llvm/conf_llvm.h"

#include <llvm-c/Core.h>
#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <stdbool.h>
#include <string.h>

/* Everything that an assembler text may want to write. Left out on riscv64: extensions that take
 * encodings of others (zfinx family, zcmp, zcmt), and the vendors' own. RISCV_BITS stand apart:
 * where they are on, pseudo-instructions such as li expand to them (slli.uw) and a text for a plain
 * rv64gc guest would trap, or tail takes t2 instead of t1 (zicfilp). So they are on only for a text
 * that does not assemble without them; `.option arch, +zbb` asks for one of them. */
#define RISCV_BITS ",+zba,+zbb,+zbs,+zbkb,+experimental-zicfilp,+experimental-zicfiss"
#define RISCV_FEATURES                                                                                                 \
    "+m,+a,+f,+d,+v,+h,+zicsr,+zifencei,+zicntr,+zihpm,+zicond,+zicbom,+zicbop,+zicboz,"                               \
    "+zihintpause,+zihintntl,+zimop,+zawrs,+zabha,+experimental-zacas,+experimental-zalasr,"                           \
    "+zfa,+zfh,+zfbfmin,+zbc,+zbkc,+zbkx,+zknd,+zkne,+zknh,+zkr,"                                                      \
    "+zksed,+zksh,+zvfh,+zvfbfmin,+zvfbfwma,+zvbb,+zvbc,+zvkg,+zvkned,+zvknhb,+zvksed,+zvksh,"                         \
    "+svinval,+svnapot,+svpbmt,+svadu,+sstc,+sscofpmf,+smstateen,+ssaia,+smaia"

typedef struct {
    const char *triple, *cpu, *features;
} Target;
/* Tried in turn; only the errors of the last are reported. */
enum { ATTEMPTS = 2 };
static const Target targets[CONF_LLVM_GUESTS][ATTEMPTS] = {
    [CONF_LLVM_riscv64] = {{"riscv64-unknown-elf", "generic-rv64", RISCV_FEATURES},
                           {"riscv64-unknown-elf", "generic-rv64", RISCV_FEATURES RISCV_BITS}},
    [CONF_LLVM_aarch64] = {{"aarch64-unknown-elf", "generic", "+all"}},
    [CONF_LLVM_x86_64] = {{"x86_64-unknown-elf", "x86-64-v4", ""}},
};
enum { DISASM_RISCV, DISASM_AARCH64, DISASM_X86_64, DISASM_X86_32, DISASM_X86_16, DISASM_COUNT };
static const Target disasm_targets[DISASM_COUNT] = {
    {"riscv64-unknown-elf", "generic-rv64", RISCV_FEATURES RISCV_BITS ",+c,+zcb,+zcmop"},
    {"aarch64-unknown-elf", "generic", "+all"},
    {"x86_64-unknown-elf", "x86-64-v4", ""},
    {"i386-unknown-elf", "x86-64-v4", ""},
    {"i386-unknown-unknown-code16", "x86-64-v4", ""},
};

/* LLVM's own objects are process-wide and made once; the caller serialises every call. */
static struct {
    bool is_initialised;
    LLVMTargetMachineRef machines[CONF_LLVM_GUESTS][ATTEMPTS];
    LLVMDisasmContextRef disasms[DISASM_COUNT];
} state;

#define INIT_TARGET(name)                                                                                              \
    LLVMInitialize##name##TargetInfo();                                                                                \
    LLVMInitialize##name##Target();                                                                                    \
    LLVMInitialize##name##TargetMC();                                                                                  \
    LLVMInitialize##name##AsmPrinter();                                                                                \
    LLVMInitialize##name##AsmParser();                                                                                 \
    LLVMInitialize##name##Disassembler()

static void initialise(void)
{
    if (state.is_initialised) {
        return;
    }
    INIT_TARGET(RISCV);
    INIT_TARGET(AArch64);
    INIT_TARGET(X86);
    state.is_initialised = true;
}

static bool is_guest(ConfLlvmGuest guest)
{
    return guest >= CONF_LLVM_riscv64 && guest < CONF_LLVM_GUESTS;
}

static LLVMTargetMachineRef make_machine(const Target *t)
{
    LLVMTargetRef target = NULL;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &message)) {
        LLVMDisposeMessage(message);
        return NULL;
    }
    return LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, LLVMCodeGenLevelNone, LLVMRelocStatic,
                                   LLVMCodeModelDefault);
}

static int llvm_prepare(ConfLlvmGuest guest)
{
    if (!is_guest(guest)) {
        return -1;
    }
    initialise();
    for (int i = 0; i < ATTEMPTS && targets[guest][i].triple; i++) {
        if (!state.machines[guest][i]) {
            state.machines[guest][i] = make_machine(&targets[guest][i]);
        }
        if (!state.machines[guest][i]) {
            return -1;
        }
    }
    return 0;
}

typedef struct {
    const ConfLlvmJob *job;
    LLVMTargetMachineRef machine;
    bool is_last, has_error; /* is_last: diagnostics go to the caller */
} Sink;

static void report(Sink *sink, ConfLlvmSeverity severity, const char *text)
{
    sink->has_error |= severity == CONF_LLVM_ERROR;
    if (sink->is_last) {
        sink->job->diag(sink->job->user, severity, text);
    }
}

static void on_diag(LLVMDiagnosticInfoRef info, void *context)
{
    Sink *sink = context;
    ConfLlvmSeverity severity = CONF_LLVM_NOTE;
    switch (LLVMGetDiagInfoSeverity(info)) {
    case LLVMDSError:
        severity = CONF_LLVM_ERROR;
        break;
    case LLVMDSWarning:
        severity = CONF_LLVM_WARNING;
        break;
    case LLVMDSRemark:
    case LLVMDSNote:
        break;
    }
    char *text = LLVMGetDiagInfoDescription(info);
    report(sink, severity, text);
    LLVMDisposeMessage(text);
}

static void emit(Sink *sink, LLVMModuleRef module)
{
    LLVMMemoryBufferRef object = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(sink->machine, module, LLVMObjectFile, &message, &object)) {
        if (!sink->has_error) {
            report(sink, CONF_LLVM_ERROR, message);
        }
        LLVMDisposeMessage(message);
        return;
    }
    if (!sink->has_error) {
        sink->job->object(sink->job->user, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
    }
    LLVMDisposeMemoryBuffer(object);
}

static void attempt(Sink *sink, const char *triple)
{
    LLVMContextRef context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(context, on_diag, sink);
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("snippet", context);
    LLVMSetTarget(module, triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(sink->machine);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetModuleInlineAsm2(module, sink->job->text, sink->job->n);
    emit(sink, module);
    LLVMDisposeModule(module);
    LLVMContextDispose(context);
}

static int llvm_assemble(const ConfLlvmJob *job)
{
    if (llvm_prepare(job->guest)) {
        job->diag(job->user, CONF_LLVM_ERROR, "this LLVM has no assembler for the guest");
        return -1;
    }
    const Target *t = targets[job->guest];
    for (int i = 0; i < ATTEMPTS && t[i].triple; i++) {
        bool is_last = i + 1 == ATTEMPTS || !t[i + 1].triple;
        Sink sink = {.job = job, .machine = state.machines[job->guest][i], .is_last = is_last};
        attempt(&sink, t[i].triple);
        if (!sink.has_error) {
            return 0;
        }
    }
    return -1;
}

/* With a lookup function, even one that knows no name, LLVM prints branch targets as absolute
 * addresses. */
static const char *no_symbol(void *context, uint64_t value, uint64_t *type, uint64_t pc, const char **name)
{
    (void)context;
    (void)value;
    (void)pc;
    *type = LLVMDisassembler_ReferenceType_InOut_None;
    *name = NULL;
    return NULL;
}

static int disasm_index(ConfLlvmGuest guest, unsigned bits)
{
    switch (guest) {
    case CONF_LLVM_riscv64:
        return bits == 64 ? DISASM_RISCV : -1;
    case CONF_LLVM_aarch64:
        return bits == 64 ? DISASM_AARCH64 : -1;
    case CONF_LLVM_x86_64:
        return bits == 64 ? DISASM_X86_64 : bits == 32 ? DISASM_X86_32 : bits == 16 ? DISASM_X86_16 : -1;
    case CONF_LLVM_GUESTS:
        break;
    }
    return -1;
}

static LLVMDisasmContextRef make_disasm(const Target *t, bool is_x86)
{
    LLVMDisasmContextRef d = LLVMCreateDisasmCPUFeatures(t->triple, t->cpu, t->features, NULL, 0, NULL, no_symbol);
    /* Variant 1 of x86 is Intel syntax; the others have no second dialect that we want (aarch64's
     * is Apple's). Two calls, as changing the variant makes a new printer that forgets the other
     * options. */
    if (d && is_x86) {
        LLVMSetDisasmOptions(d, LLVMDisassembler_Option_AsmPrinterVariant);
    }
    if (d) {
        LLVMSetDisasmOptions(d, LLVMDisassembler_Option_PrintImmHex);
    }
    return d;
}

/* LLVM takes some x86 prefixes for instructions. */
static bool is_prefix(const char *text)
{
    static const char *const prefixes[] = {"\tlock", "\trep", "\trepne", "\tdata16", "\taddr32"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (!strcmp(text, prefixes[i])) {
            return true;
        }
    }
    return false;
}

static size_t llvm_disassemble(ConfLlvmGuest guest, unsigned bits, const uint8_t *bytes, size_t n, uint64_t pc,
                               char *text, size_t cap)
{
    int i = disasm_index(guest, bits);
    if (i < 0 || !n || !cap) {
        return 0;
    }
    initialise();
    if (!state.disasms[i]) {
        state.disasms[i] = make_disasm(&disasm_targets[i], guest == CONF_LLVM_x86_64);
    }
    if (!state.disasms[i]) {
        return 0;
    }
    /* The longest instruction of the three has 15 bytes (x86); LLVM takes a mutable pointer but
     * does not write. */
    uint8_t code[15];
    n = n < sizeof code ? n : sizeof code;
    memcpy(code, bytes, n);
    size_t length = 0, used = 0;
    for (;;) {
        text[used] = 0;
        size_t one =
            LLVMDisasmInstruction(state.disasms[i], code + length, n - length, pc + length, text + used, cap - used);
        length += one;
        if (!one) {
            return 0;
        }
        if (guest != CONF_LLVM_x86_64 || !is_prefix(text + used)) {
            return length;
        }
        used += strlen(text + used);
    }
}

extern const ConfLlvm conf_llvm_table;
__attribute__((visibility("default"))) const ConfLlvm conf_llvm_table = {
    .abi = CONF_LLVM_ABI,
    .size_bytes = sizeof(ConfLlvm),
    .version = CONF_LLVM_VERSION,
    .prepare = llvm_prepare,
    .assemble = llvm_assemble,
    .disassemble = llvm_disassemble,
};
