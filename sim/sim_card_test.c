/* SPDX-License-Identifier: Apache-2.0
 * Machines with cards: what can be saved and forked. What cards do is tested beside them (sim/devices), by guests in sim/cmd. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Sim *machine(SimCard *card)
{
    Sim *s = NULL;
    SimBoardConfig cfg = {.ram_bytes = 1 << 20, .nvcpus = 1, .has_firmware = true, .card = {[2] = card}};
    CHECK_INT(sim_new(&(SimConfig){.guest = "riscv64", .is_virt = true}, &s, NULL), 0);
    CHECK_INT(sim_board(s, &cfg, NULL), 0);
    return s;
}

static SimCard *drive(char *path, uint32_t flags)
{
    SimCard *c = NULL;
    snprintf(path, 32, "/tmp/conf-card-XXXXXX");
    int fd = mkstemp(path);
    CHECK(!ftruncate(fd, 4096) && !close(fd));
    CHECK_INT(sim_card_drive(path, flags, &c, NULL), 0);
    return c;
}

TEST(sim_card, a_machine_whose_drives_stay_as_they_are_is_saved_restored_and_forked)
{
    static const uint32_t flags[] = {SIM_DRIVE_READ_ONLY, SIM_DRIVE_OVERLAY};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        char path[32];
        SimCard *c = drive(path, flags[i]);
        Sim *s = machine(c), *twin = NULL, *third = NULL, *bare = machine(NULL);
        Buf saved = {0}, again = {0};
        Err err;
        CHECK_INT(sim_save(s, &saved, NULL), 0);
        CHECK_INT(sim_restore(s, saved.data, saved.n, NULL), 0);
        CHECK_INT(sim_fork(s, &twin, NULL), 0);
        sim_free(s);
        sim_card_free(c);
        CHECK_INT(sim_fork(twin, &third, NULL), 0);
        CHECK_INT(sim_restore(third, saved.data, saved.n, NULL), 0);
        CHECK_INT(sim_save(third, &again, NULL), 0);
        CHECK_INT(again.n, saved.n);
        CHECK_INT(sim_restore(bare, saved.data, saved.n, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "slot 2 has device 0, the snapshot's has 2");
        sim_free(twin);
        sim_free(third);
        sim_free(bare);
        buf_free(&saved);
        buf_free(&again);
        unlink(path);
    }
}

TEST(sim_card, a_machine_with_cards_that_end_in_it_is_saved_restored_and_forked)
{
    for (unsigned i = 0; i < 3; i++) {
        SimCard *c = i ? i == 1 ? sim_card_balloon(1 << 20) : sim_card_console() : NULL;
        CHECK(i || !sim_card_net("loopback", &c, NULL));
        Sim *s = machine(c), *twin = NULL, *third = NULL;
        Buf saved = {0}, again = {0};
        CHECK_INT(sim_save(s, &saved, NULL), 0);
        CHECK_INT(sim_fork(s, &twin, NULL), 0);
        sim_free(s);
        sim_card_free(c);
        CHECK_INT(sim_fork(twin, &third, NULL), 0);
        CHECK_INT(sim_restore(third, saved.data, saved.n, NULL), 0);
        CHECK_INT(sim_save(third, &again, NULL), 0);
        CHECK(again.n == saved.n && !memcmp(again.data, saved.data, saved.n));
        for (size_t n = saved.n; n-- > saved.n - 64;) { /* cut */
            CHECK(sim_restore(third, saved.data, n, NULL));
        }
        sim_free(twin);
        sim_free(third);
        buf_free(&saved);
        buf_free(&again);
    }
}

TEST(sim_card, a_machine_that_writes_a_file_or_talks_to_the_outside_cannot_be)
{
    char path[32];
    SimCard *cards[2] = {drive(path, 0), NULL};
    Err err;
    if (sim_card_net("user", &cards[1], &err)) {
        CHECK_HAS(err.text, "libslirp");
    }
    for (size_t i = 0; i < ARRAY_LEN(cards) && cards[i]; i++) {
        Sim *s = machine(cards[i]), *twin = NULL;
        Buf saved = {0};
        CHECK_INT(sim_save(s, &saved, &err), -ERR_UNSUPPORTED);
        CHECK_HAS(err.text, i ? "net user" : "written in place");
        CHECK_INT(saved.n, 0);
        CHECK_INT(sim_fork(s, &twin, &err), -ERR_UNSUPPORTED);
        CHECK_INT(sim_card_is_outside(cards[i]), i);
        sim_free(s);
        sim_card_free(cards[i]);
    }
    CHECK(!sim_card_is_outside(NULL));
    unlink(path);
}

TEST(sim_card, a_machine_without_firmware_does_not_take_the_state_of_one_with_it)
{
    Sim *s = machine(NULL), *other = NULL;
    Buf saved = {0};
    Err err;
    CHECK_INT(sim_new(&(SimConfig){.guest = "riscv64", .is_virt = true}, &other, NULL), 0);
    CHECK_INT(sim_board(other, &(SimBoardConfig){.ram_bytes = 1 << 20, .nvcpus = 1}, NULL), 0);
    CHECK_INT(sim_save(s, &saved, NULL), 0);
    CHECK_INT(sim_restore(other, saved.data, saved.n, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "another machine: who serves firmware calls differs");
    sim_free(s);
    sim_free(other);
    buf_free(&saved);
}
