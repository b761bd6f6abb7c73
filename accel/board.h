/* SPDX-License-Identifier: Apache-2.0
 * board.h - boards for the guests of any backend: the simulator's devices and firmware behind accel.h's Board. The only
 * header by which those above the waist get at sim/.
 *
 * A board is described by a text, so that it can be built anywhere: "riscv64,virt,vcpus=2" - guest, environment (virt or
 * machine), vcpus, whose ids are 0..n-1. On riscv64 it has QEMU's `virt` memory map: 16550 UART (console), PLIC, finisher,
 * Goldfish RTC, 8 virtio slots of which the last one has an entropy source (the same bytes in every run), under `machine` a CLINT; under `virt` an SBI 2.0 firmware for VmConfig.firmware FW_BOARD.
 *
 * THREADS. input is THREAD-SAFE. The output call-back comes on the thread of the vcpu that wrote, with locks of the board
 * held: it must not call the board, but may kick vcpus. */
#ifndef ACCEL_BOARD_H
#define ACCEL_BOARD_H

#include "accel/accel.h"

typedef struct {
    void *ctx;
    void (*output)(void *ctx, const void *bytes, size_t n); /* of the console; NULL = dropped */
} BoardConsole;
/* -ERR_INVAL: not a description of a board; -ERR_UNSUPPORTED: that guest has none. spec and console are copied. The result
 * is given back after the Vm it served was closed. */
MUST_USE int machine_board_new(const char *spec, const BoardConsole *console, Board **out, Err *err);
void machine_board_free(Board *b); /* NULL is fine */
/* Typed at the console: what it has no room for waits until the guest has read, and is not part of a save. Returns how many
 * were taken: all, until 64 KiB wait. */
size_t machine_board_input(Board *b, const void *bytes, size_t n);
/* Address of a device by its word: uart, irqchip, power (the finisher), rtc, random (the last virtio slot), timer and
 * ipi (the CLINT). False: the board
 * has none, or it has no address (firmware calls). No board is needed. */
bool machine_board_find(GuestId guest, Env env, const char *word, uint64_t *base);
/* Coverage (docs/coverage.md): counts from now on; appends what was reached since. Of a board that is elsewhere there is nothing
 * here: its own end is asked (the ctl "sim.coverage"). */
void machine_board_cover(Board *b);
void machine_board_cover_read(Board *b, Buf *out);
bool machine_board_exists(GuestId guest, Env env);
#endif
