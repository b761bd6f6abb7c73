/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/guest/guest.h"

#include <string.h>

#define GUEST(isa) extern const GuestIsa guest_##isa;
#include "sim/guests.def"
#undef GUEST

const GuestIsa *guest_isa(const char *name)
{
#define GUEST(isa) &guest_##isa,
    static const GuestIsa *const guests[] = {
#include "sim/guests.def"
    };
#undef GUEST
    for (size_t i = 0; name && i < ARRAY_LEN(guests); i++) {
        if (!strcmp(guests[i]->name, name)) {
            return guests[i];
        }
    }
    return NULL;
}
