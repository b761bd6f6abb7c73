/* SPDX-License-Identifier: Apache-2.0
 * select.h - `--backend best`: which of the built-in backends runs a guest best on this host, and why not one before it.
 *
 * The order is fixed: the processor itself before a simulator, and of simulators the faster engine first. `fake` runs no
 * guest code and is never chosen; a plugin or a remote backend only by its own name. */
#ifndef CONFORMANCE_SELECT_H
#define CONFORMANCE_SELECT_H

#include "accel/accel.h"

/* Is it there for the guest? 0, or -ERR_x with the reason. Called with built-in names only. */
typedef int SelectOpen(void *ctx, const char *name, GuestId guest, Err *err);
/* The best one's name; NULL: none. reasons (NULL = not wanted): a line is appended for each one passed over before it,
 * "kvm: WHY\n" or "hvf, whpx: WHY\n", and where the choice ends there, for none after it. */
const char *select_best(GuestId guest, SelectOpen *open, void *ctx, Buf *reasons);
/* The order, whether built or not. */
const char *const *select_order(size_t *n);
#endif
