/* SPDX-License-Identifier: Apache-2.0
 * hostile.h - what a backend must stand: a VM closed while its vcpu runs, storms of kicks, batches that fail half-way, state that is
 * noise, more than there is. One check each, over accel.h, in a VM of its own. */
#ifndef CONFORMANCE_HOSTILE_H
#define CONFORMANCE_HOSTILE_H

#include "accel/accel.h"

typedef enum { HOSTILE_STOOD, HOSTILE_FELL, HOSTILE_NOT_TRIED } HostileAnswer;
size_t hostile_count(void);
const char *hostile_name(size_t i); /* "close_while_running" */
const char *hostile_doc(size_t i);  /* one clause: what is done, and what must come of it */
/* May hang or crash when the backend does: call it on a connection to a worker. why: appended to unless it stood. */
HostileAnswer hostile_run(const Backend *b, GuestId guest, const Caps *caps, size_t i, Buf *why);
#endif
