/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/boards.h"

#include "sim/base/mem.h"

#include <string.h>

static const BoardDef *const all[] = {
#define BOARD(name) &board_##name,
#include "sim/devices/boards.def"
#undef BOARD
};

const BoardDef *board_find(const char *guest, bool is_virt)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!strcmp(all[i]->guest, guest) && all[i]->is_virt == is_virt) {
            return all[i];
        }
    }
    return NULL;
}
