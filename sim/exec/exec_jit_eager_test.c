/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/jit/jit.h"

#ifdef JIT_HAS_HOST
#define ENGINE      engine_jit_eager
#define CASE(claim) TEST(exec_jit_eager, claim)
#include "sim/exec/exec_cases.h"
#endif
