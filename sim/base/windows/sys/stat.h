/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_BASE_WINDOWS_SYS_STAT_H
#define SIM_BASE_WINDOWS_SYS_STAT_H

#include_next <sys/stat.h>

#define S_ISSOCK(mode) ((mode) < 0)
#endif
