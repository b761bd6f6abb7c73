/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/interp/interp.h"

#define ENGINE      engine_interp
#define CASE(claim) TEST(exec, claim)
#include "sim/exec/exec_cases.h"
