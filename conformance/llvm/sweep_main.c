/* SPDX-License-Identifier: Apache-2.0
 * sweep_main.c - holds a disassembler of the simulator against LLVM's:
 *
 *     <guest>_sweep | llvm_sweep TRIPLE FEATURES PC [ROW | =MNEMONIC]...
 *
 * Reads lines "hexadecimal row text" (two bytes when four digits) of instructions at PC. Both must know an encoding, with the
 * same text, or neither. ROW: a row of the decode tables that LLVM may leave out; =MNEMONIC: what only LLVM may know. Prints what
 * differs; status 1 if anything does. */
#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 40 };

/* As in conf_llvm.c: with a look-up, even one that knows nothing, branch targets are addresses. */
static const char *no_symbol(void *context, uint64_t value, uint64_t *type, uint64_t pc, const char **name)
{
    (void)context;
    (void)value;
    (void)pc;
    *type = LLVMDisassembler_ReferenceType_InOut_None;
    *name = NULL;
    return NULL;
}

static int has(char **list, int n, const char *prefix, const char *word, size_t length)
{
    size_t skip = strlen(prefix);
    for (int i = 0; i < n; i++) {
        if (!strncmp(list[i], prefix, skip) && strlen(list[i]) == skip + length &&
            !strncmp(list[i] + skip, word, length)) {
            return 1;
        }
    }
    return 0;
}

static int agree(const char *row, const char *ours, const char *theirs, char **exempt, int n)
{
    if (!strcmp(ours, theirs)) {
        return 1;
    }
    return (!*theirs && has(exempt, n, "", row, strlen(row))) ||
           (!*ours && has(exempt, n, "=", theirs, strcspn(theirs, "\t")));
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: llvm_sweep TRIPLE FEATURES PC [ROW | =MNEMONIC]...\n");
        return 2;
    }
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVDisassembler();
    LLVMDisasmContextRef d = LLVMCreateDisasmCPUFeatures(argv[1], "", argv[2], NULL, 0, NULL, no_symbol);
    if (!d) {
        fprintf(stderr, "llvm_sweep: no disassembler for %s\n", argv[1]);
        return 2;
    }
    LLVMSetDisasmOptions(d, LLVMDisassembler_Option_PrintImmHex);
    uint64_t pc = strtoull(argv[3], NULL, 0);
    unsigned long n = 0, bad = 0;
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        char row[64] = "", *rest = line;
        unsigned long w = strtoul(line, &rest, 16);
        size_t len = rest - line == 4 ? 2 : 4;
        int used = 0;
        sscanf(rest, "%63s%n", row, &used);
        char *ours = rest + used + (rest[used] == ' ');
        ours[strcspn(ours, "\n")] = 0;
        uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
        char text[128] = "";
        int known = LLVMDisasmInstruction(d, bytes, len, pc, text, sizeof text) == len;
        const char *theirs = known ? text + strspn(text, "\t") : "";
        n++;
        if (!agree(row, ours, theirs, argv + 4, argc - 4) && bad++ < MAX_SHOWN) {
            printf("%0*lx %s: ours \"%s\", LLVM \"%s\"\n", 2 * (int)len, w, row, ours, theirs);
        }
    }
    LLVMDisasmDispose(d);
    printf("%lu encodings, %lu differ\n", n, bad);
    return n && !bad ? 0 : 1;
}
