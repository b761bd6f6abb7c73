/* SPDX-License-Identifier: Apache-2.0
 * virtio_cards.h - makes the cards that virtio_mmio's slots take. The owner gives each to one board and frees it after
 * that with virtio_card_free. */
#ifndef SIM_DEVICES_VIRTIO_CARDS_H
#define SIM_DEVICES_VIRTIO_CARDS_H

#include "sim/devices/disk.h"
#include "sim/devices/net.h"
#include "sim/devices/virtio.h"

/* A block device (5.2); flags: DISK_x. Errors are disk_open's.
 * SNAPSHOTS have what is in the overlay, not what is in the file: it must be the same file when they are restored. A drive that is
 * written in place makes a machine that cannot be saved. */
MUST_USE int virtio_blk_new(const char *path, uint32_t flags, VirtioCard **out, Err *err);
/* An entropy source (5.4) whose bytes follow from the seed: the same in every run. */
VirtioCard *virtio_rng_new(uint64_t seed);
/* A network card (5.1); spec and errors: net_open's. One with an end outside makes a machine that cannot be saved. */
MUST_USE int virtio_net_new(const char *spec, VirtioCard **out, Err *err);
/* A console (5.3) with one port: when its driver is ready it is the board's console, and what is typed goes there. */
VirtioCard *virtio_console_new(void);
/* A memory balloon (5.5); the driver is asked for so many bytes. */
VirtioCard *virtio_balloon_new(uint64_t wanted_bytes);
#endif
