/* SPDX-License-Identifier: Apache-2.0
 * kvm_test.c - opening the backend, on any architecture. */
#include "accel/kvm/kvm.h"
#include "sim/base/test.h"

extern const Backend backend_kvm;

TEST(kvm, open_names_the_reason_for_every_capability_that_is_not_full)
{
    Caps caps;
    static Err err; /* the reason of a skip is printed later */
    int rc = backend_kvm.open(&backend_kvm, kvm_arch_guest, &caps, &err);
    if (rc) {
        CHECK(rc == -ERR_UNAVAILABLE || rc == -ERR_DENIED);
        CHECK(err.text[0] != 0);
        test_skip(err.text);
        return;
    }
    for (int i = 0; i < CAP_COUNT; i++) {
        if (caps.level[i] != CAP_FULL && !caps.why[i]) {
            CHECK_INT(i, -1);
        }
    }
    CHECK(caps.page_bytes >= 4096);
    CHECK(caps.max_vcpus > 0);
}

TEST(kvm, another_architecture_is_unsupported)
{
    Caps caps;
    Err err = {0};
    GuestId other = kvm_arch_guest == GUEST_riscv64 ? GUEST_aarch64 : GUEST_riscv64;
    CHECK_INT(backend_kvm.open(&backend_kvm, other, &caps, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "KVM runs guests of the host's architecture only");
}
