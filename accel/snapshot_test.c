/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/rig.h"
#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

static void fill(Rig *r, Buf *out)
{
    rig_open(r, NULL, NULL);
    rig_setup(r, 0x1000);
    CHECK(vcpu_set_gpr(r->v, 5, 0x1122334455667788, NULL) == 0);
    CHECK(vcpu_interrupt(r->v, &(Event){.kind = EV_VECTOR, .number = 0x40}, NULL) == 0);
    CHECK(vcpu_interrupt(r->v, &(Event){.kind = EV_EXCEPTION, .number = 13, .has_code = true, .code = 0x18}, NULL) ==
          0);
    CHECK(vcpu_halt(r->v, NULL) == 0);
    CHECK(vcpu_save(r->v, out, NULL) == 0);
}

TEST(snapshot, a_round_trip_brings_registers_events_and_state_back)
{
    Rig a, b;
    Buf first = {0}, second = {0};
    VmExit e;
    fill(&a, &first);
    rig_open(&b, NULL, NULL); /* into a vcpu that was never set up */
    CHECK_INT(vcpu_restore(b.v, first.data, first.n, NULL), 0);
    CHECK_STR(rig_state(&b), "Halted");
    CHECK_INT(rig_reg(&b, "rbp"), 0x1122334455667788);
    CHECK_INT(rig_reg(&b, "pc"), 0x1000);
    CHECK_INT(vcpu_save(b.v, &second, NULL), 0);
    CHECK_INT(second.n, first.n);
    CHECK(!memcmp(first.data, second.data, first.n));
    rig_script(&b, "take 0x40; unmask; take 13; hypercall nr=1");
    CHECK_INT(vcpu_interrupt(b.v, &(Event){.kind = EV_NMI}, NULL), 0);
    CHECK_INT(rig_run(&b, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    buf_free(&first);
    buf_free(&second);
    rig_close(&a);
    rig_close(&b);
}

static void set_crc(Buf *b)
{
    uint32_t crc = crc32_ieee(0, b->data, b->n - 4);
    for (int i = 0; i < 4; i++) {
        b->data[b->n - 4 + (size_t)i] = (char)(crc >> (8 * i));
    }
}

/* Restores the bytes and checks that they are refused and nothing has changed. */
static int refused(Rig *r, const Buf *b, size_t n, Err *err)
{
    int rc = vcpu_restore(r->v, b->data, n, err);
    CHECK(rc < 0);
    CHECK_STR(rig_state(r), "Ready");
    CHECK_INT(rig_reg(r, "rbp"), 7);
    return rc;
}

static void target(Rig *r)
{
    rig_open(r, NULL, NULL);
    rig_setup(r, 0x2000);
    CHECK(vcpu_set_gpr(r->v, 5, 7, NULL) == 0);
}

TEST(snapshot, every_corrupt_byte_and_every_cut_is_a_clean_error)
{
    Rig a, r;
    Buf b = {0};
    fill(&a, &b);
    target(&r);
    for (size_t i = 0; i < b.n; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            Err err = {0};
            b.data[i] ^= (char)(1 << bit);
            refused(&r, &b, b.n, &err);
            CHECK(err.text[0]);
            b.data[i] ^= (char)(1 << bit);
        }
    }
    for (size_t n = 0; n < b.n; n++) {
        refused(&r, &b, n, NULL);
    }
    CHECK_INT(vcpu_restore(r.v, b.data, b.n, NULL), 0);
    buf_free(&b);
    rig_close(&a);
    rig_close(&r);
}

TEST(snapshot, corruption_under_a_right_checksum_is_refused_or_harmless)
{
    Rig a, r;
    Buf b = {0};
    fill(&a, &b);
    for (size_t i = 0; i < b.n - 4; i++) {
        for (int bit = 0; bit < 8; bit++) {
            target(&r);
            b.data[i] ^= (char)(1 << bit);
            set_crc(&b);
            int rc = vcpu_restore(r.v, b.data, b.n, NULL);
            if (rc) {
                CHECK_STR(rig_state(&r), "Ready");
                CHECK_INT(rig_reg(&r, "rbp"), 7);
            } else {
                CHECK(strcmp(rig_state(&r), "Running") != 0);
            }
            b.data[i] ^= (char)(1 << bit);
            rig_close(&r);
        }
    }
    buf_free(&b);
    rig_close(&a);
}

TEST(snapshot, what_does_not_fit_the_target_is_refused)
{
    enum { AT_version = 8, AT_guest = 10, AT_id = 11, AT_model = 12, AT_state = 13 };
    static const struct {
        size_t at;
        char byte;
        int rc;
        const char *has;
    } rows[] = {
        {AT_version, 2, -ERR_VERSION, "version 2"},
        {AT_guest, GUEST_riscv64, -ERR_INVAL, "riscv64 guest"},
        {AT_id, 3, -ERR_INVAL, "of vcpu 3"},
        {AT_model, 1, -ERR_INVAL, "lifecycle model"},
        {AT_state, 0, -ERR_STATE, "state Created"},
        {AT_state, 5, -ERR_STATE, "state Faulted"},
        {AT_state, 6, -ERR_STATE, "state Destroyed"},
        {AT_state, 7, -ERR_STATE, "state ?"},
        {0, 'x', -ERR_INVAL, "not the snapshot of a vcpu"},
    };
    Rig a, r;
    Buf b = {0};
    fill(&a, &b);
    target(&r);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Err err = {0};
        char old = b.data[rows[i].at];
        b.data[rows[i].at] = rows[i].byte;
        set_crc(&b);
        CHECK_INT(refused(&r, &b, b.n, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].has);
        b.data[rows[i].at] = old;
    }
    b.data[AT_state] = 2; /* Running: nobody is inside the restored one */
    set_crc(&b);
    CHECK_INT(vcpu_restore(r.v, b.data, b.n, NULL), 0);
    CHECK_STR(rig_state(&r), "Paused");
    buf_free(&b);
    rig_close(&a);
    rig_close(&r);
}

TEST(snapshot, a_backend_that_fails_leaves_the_target_as_it_was)
{
    Rig a, r;
    Buf b = {0}, out = {0};
    Err err = {0};
    fill(&a, &b);
    rig_open(&r, NULL, NULL);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.set_regs IO", NULL, NULL), 0);
    CHECK_INT(vcpu_restore(r.v, b.data, b.n, &err), -ERR_IO);
    CHECK_STR(rig_state(&r), "Created");
    CHECK_INT(vcpu_set_entry(r.v, (Gpa){0x9000}, NULL), 0); /* still to be set up */
    rig_setup(&r, 0);
    CHECK_INT(rig_reg(&r, "pc"), 0x9000);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.get_regs IO", NULL, NULL), 0);
    CHECK_INT(vcpu_save(r.v, &out, NULL), -ERR_IO);
    CHECK_INT(out.n, 0);
    buf_free(&b);
    rig_close(&a);
    rig_close(&r);
}
