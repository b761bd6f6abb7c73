/* SPDX-License-Identifier: Apache-2.0
 * port.h - how connect.c (host) and sessions.c (machine) agree on a port before a session begins on it.
 *
 * A port of virtio-serial is one stream for ever: the machine may learn late, or never, that one host process let go of it
 * and the next one took it, and then the session of the last one reads what the new one says. So the host first says WHO with
 * a number of its own, again and again, until the machine, which does so only while no session has the port, says the same
 * back; then GO once, which is said back as well, and the session begins. A session that is still there takes WHO for a
 * frame that breaks the rules, and ends. Whatever else comes before that is of somebody before, and is dropped. */
#ifndef CI_NESTED_PORT_H
#define CI_NESTED_PORT_H

#include <string.h>

enum { PORT_WORD = 8, PORT_TOKEN = 2 * PORT_WORD }; /* a word, and the host's number */
static const char port_who[] = "conf-who", port_go[] = "conf-go!";

/* The last PORT_TOKEN bytes that came, oldest first. */
typedef struct {
    unsigned char bytes[PORT_TOKEN];
} PortWindow;

static inline void port_take(PortWindow *w, unsigned char byte)
{
    memmove(w->bytes, w->bytes + 1, PORT_TOKEN - 1);
    w->bytes[PORT_TOKEN - 1] = byte;
}

static inline int port_is(const PortWindow *w, const char *word)
{
    return !memcmp(w->bytes, word, PORT_WORD);
}
#endif
