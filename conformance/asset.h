/* SPDX-License-Identifier: Apache-2.0
 * asset.h - the files of `assets:`: below $CONF_ASSETS, or else conf/assets in the user's cache (XDG_CACHE_HOME). */
#ifndef CONFORMANCE_ASSET_H
#define CONFORMANCE_ASSET_H

#include "conformance/scenario.h"

void asset_path(const Asset *a, Buf *out);      /* appends */
bool asset_is_absent(const Asset *a, Buf *why); /* appends a sentence if it is */
#endif
