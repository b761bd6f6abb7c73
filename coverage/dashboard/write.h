/* SPDX-License-Identifier: Apache-2.0
 * write.h - the files that the program carries: the pages' own, and the library for charts. */
#ifndef COVERAGE_DASHBOARD_WRITE_H
#define COVERAGE_DASHBOARD_WRITE_H

#include <stddef.h>

extern const unsigned char dash_app_text[], dash_start_text[], dash_style_text[], dash_chart_text[];
extern const size_t dash_app_bytes, dash_start_bytes, dash_style_bytes,
    dash_chart_bytes; /* chart: 0 without the library */
#endif
