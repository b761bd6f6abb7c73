/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/jit/jit.h"

#ifdef JIT_HAS_HOST
#define ENGINE      engine_hybrid_beside
#define CASE(claim) TEST(exec_beside, claim)
#include "sim/exec/exec_cases.h"
#endif
