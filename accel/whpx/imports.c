/* SPDX-License-Identifier: Apache-2.0
 * imports.c - is linked with mingw-w64's import libraries as a part of the build, and never run: a name that api.h has and they
 * have not is an error there. */
#include "accel/whpx/api.h"

int main(void)
{
    static const void *const names[] = {
#define X(name) (const void *)name,
        WHV_PLATFORM_MAP(X) WHV_EMULATION_MAP(X)
#undef X
    };
    return names[0] == NULL;
}
