/* SPDX-License-Identifier: Apache-2.0
 * bare.c - main of the guest images: runs one kernel (-DKERNEL=name) so many times (-DTIMES=n; 1), prints "name checksum instructions" on the UART and powers
 * off. With -DSV39 it runs in S-mode under an identity map of 4 KiB pages. With -DHTIF=ADDRESS it prints and powers off by a
 * host-target interface that is there at 0x40000000 to 0x401fffff (TinyEMU), not by a UART. */
#include "sim/bench/guest/kernels.h"

#define CAT2(a, b) a##b
#define CAT(a, b)  CAT2(a, b)
#define STR2(s)    #s
#define STR(s)     STR2(s)

#ifndef TIMES
#define TIMES 1
#endif

#ifdef HTIF
#define TOHOST ((volatile uint32_t *)HTIF)
static void put(char c)
{
    TOHOST[0] = (uint8_t)c;
    TOHOST[1] = 0x01010000; /* device 1, command 1: the console, write */
}

static void off(void)
{
    TOHOST[0] = 1;
    TOHOST[1] = 0;
}
#else
extern volatile uint64_t tohost;
#define UART     ((volatile uint8_t *)0x10000000)
#define FINISHER ((volatile uint32_t *)0x100000)

static void put(char c)
{
    while (!(UART[5] & 0x20)) {
    }
    UART[0] = (uint8_t)c;
}

static void off(void)
{
    *FINISHER = 0x5555;
    tohost = 1;
}
#endif

static void put_text(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

static void put_hex(uint64_t v)
{
    for (int i = 60; i >= 0; i -= 4) {
        put("0123456789abcdef"[v >> i & 15]);
    }
}

static void put_dec(uint64_t v)
{
    char b[24];
    int n = 0;
    do {
        b[n++] = (char)('0' + v % 10);
    } while (v /= 10);
    while (n) {
        put(b[--n]);
    }
}

#ifdef SV39
enum { RAM_MIB = 128, NTABLES = RAM_MIB / 2 };
#define RAM 0x80000000ull
static uint64_t l2[512] __attribute__((aligned(4096)));
#ifdef HTIF
static uint64_t l1_htif[512] __attribute__((aligned(4096)));
#endif
static uint64_t l1_low[512] __attribute__((aligned(4096))), l1_ram[512] __attribute__((aligned(4096)));
static uint64_t l0[NTABLES][512] __attribute__((aligned(4096)));
static uint64_t l0_io[2][512] __attribute__((aligned(4096)));
#define PTE(at, bits) ((uint64_t)(uintptr_t)(at) >> 12 << 10 | (bits))
/* Called by crt0.S; returns what satp gets. */
uint64_t build_pt(void);
uint64_t build_pt(void)
{
    static const uint64_t io[2] = {0x100000, 0x10000000};
    l2[0] = PTE(l1_low, 1);
    l2[2] = PTE(l1_ram, 1);
#ifdef HTIF
    l2[1] = PTE(l1_htif, 1);
    l1_htif[0] = PTE(HTIF & ~0x1fffffull, 0xc7);
#endif
    for (unsigned i = 0; i < NTABLES; i++) {
        l1_ram[i] = PTE(l0[i], 1);
        for (unsigned j = 0; j < 512; j++) {
            l0[i][j] = PTE(RAM + ((uint64_t)i << 21) + ((uint64_t)j << 12), 0xcf); /* D A X W R V */
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        l1_low[io[i] >> 21 & 511] = PTE(l0_io[i], 1);
        l0_io[i][io[i] >> 12 & 511] = PTE(io[i], 0xc7); /* D A W R V */
    }
    return 8ull << 60 | (uint64_t)(uintptr_t)l2 >> 12;
}
#define NAME "sv39-" STR(KERNEL)
#else
#define NAME STR(KERNEL)
#endif

static inline uint64_t instret(void)
{
    uint64_t v;
    __asm__ volatile("csrr %0, instret" : "=r"(v));
    return v;
}

int main(void)
{
    uint64_t from = instret();
    uint64_t sum = 0;
    for (int i = 0; i < TIMES; i++) {
        sum = sum * 31 + CAT(k_, KERNEL)();
    }
    uint64_t to = instret();
    put_text(NAME " ");
    put_hex(sum);
    put(' ');
    put_dec(to - from);
    put('\n');
    off();
    for (;;) {
    }
}
