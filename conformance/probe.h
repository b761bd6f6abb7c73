/* SPDX-License-Identifier: Apache-2.0
 * probe.h - does a backend do what its capabilities claim? One small C probe per capability that can be tried cheaply
 * over accel.h; what a probe cannot tell without a whole scenario is reported as not probed, never as held. */
#ifndef CONFORMANCE_PROBE_H
#define CONFORMANCE_PROBE_H

#include "accel/accel.h"

typedef enum {
    PROBE_HELD,         /* declared full, and the probe saw it */
    PROBE_ACCEPTED,     /* declared full, and its calls are accepted; what they do to a guest was not seen */
    PROBE_CONTRADICTED, /* declared full, and the probe did not see it */
    PROBE_NOT_CLAIMED,  /* declared less than full: nothing to contradict */
    PROBE_NOT_PROBED    /* no cheap probe for it, or none without guest code that this backend does not run */
} ProbeAnswer;
const char *probe_answer_name(ProbeAnswer a); /* "held", "accepted", "contradicted", "not claimed", "not probed" */
bool probe_exists(Cap cap, const Caps *caps);
/* Probes one capability of an opened backend in a VM of its own, which is closed again. May hang or crash when the
 * backend does: call it on a connection to a worker. why: appended to when contradicted. */
ProbeAnswer probe_run(const Backend *b, GuestId guest, const Caps *caps, Cap cap, Buf *why);
#endif
