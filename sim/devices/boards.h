/* SPDX-License-Identifier: Apache-2.0
 * boards.h - the boards that exist. Constant and THREAD-SAFE. */
#ifndef SIM_DEVICES_BOARDS_H
#define SIM_DEVICES_BOARDS_H

#include "sim/machine/board.h"

#define BOARD(name) extern const BoardDef board_##name;
#include "sim/devices/boards.def"
#undef BOARD

/* The board of a guest; is_virt: as under a hypervisor. NULL if there is none. */
const BoardDef *board_find(const char *guest, bool is_virt);
#endif
