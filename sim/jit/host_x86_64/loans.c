/* SPDX-License-Identifier: Apache-2.0
 * loans.c - registers that a loop borrows: of slots that it does not use, and those by which code reaches memory, as what only computes
 * does not. Slots of the frame that it uses live there meanwhile. Nothing may leave such a loop on the way: no side table knows of it. */
#include "sim/jit/host_x86_64/host.h"

typedef enum {
    FOR_NOTHING,
    FOR_A_LOAD,
    FOR_BOTH,
    COSTS
} Cost; /* that it costs to give it back; both: a store before */

/* Where the frame has what is in r for all of the unit's code; 0: nothing is. */
static int32_t constant_of(const JitHost *h, unsigned r)
{
    const Maker *m = h->m;
    if (r == R15) {
        return m->is_ranged ? AT(flat_addend) : AT(tlb_read);
    }
    return m->is_flat && r == FLAT_REG ? AT(window_addend) : 0;
}

static unsigned id_at(const JitHost *h, unsigned r)
{
    unsigned i = h->m->nids;
    while (--i && h->m->home[i] != (int)r) {
    }
    return i;
}

void host_loans_begin(const JitHost *h, unsigned k, Loans *l)
{
    const Maker *m = h->m;
    *l = (Loans){0};
    for (Cost cost = FOR_NOTHING; cost < COSTS; cost++) {
        for (unsigned n = host_ngprs + 1; n-- > 0;) { /* pins last, as they are used most elsewhere */
            unsigned r = n < host_ngprs ? host_gprs[n] : R15, i = id_at(h, r);
            bool has_value = i && (m->is_pin[i] || set_has(&m->bb[k].live, i));
            Cost of = has_value ? FOR_BOTH : !i && constant_of(h, r) ? FOR_A_LOAD : FOR_NOTHING;
            if (of == cost && r != h->bb[k].counter && !(i && host_count_uses(h, k, i))) {
                l->of[l->n++] = (Loan){.reg = (uint8_t)r, .owner = (uint16_t)(has_value ? i : 0)};
            }
        }
    }
}

bool host_loan_add(Loans *l, unsigned i, uint8_t *reg)
{
    if (l->ntaken == l->n) {
        return false;
    }
    l->of[l->ntaken].id = (uint16_t)i;
    *reg = l->of[l->ntaken++].reg;
    return true;
}

void host_loan_writes(Loans *l, unsigned i)
{
    for (unsigned n = 0; n < l->ntaken; n++) {
        l->of[n].is_written |= l->of[n].id == i;
    }
}

void host_loans_take(JitHost *h, const Loans *l)
{
    for (unsigned n = 0; n < l->ntaken; n++) {
        const Loan *of = &l->of[n];
        if (of->owner) {
            host_store_home(h, of->owner);
        }
        if (of->id) {
            x_rm(&h->a, W, X_LOAD, of->reg, RBP, AT_SLOT(h->m->slot_of[of->id]));
        }
    }
}

void host_loans_return(JitHost *h, const Loans *l)
{
    for (unsigned n = 0; n < l->ntaken; n++) {
        const Loan *of = &l->of[n];
        if (of->is_written) {
            x_rm(&h->a, W, X_STORE, of->reg, RBP, AT_SLOT(h->m->slot_of[of->id]));
        }
        if (of->owner) {
            host_load_home(h, of->owner);
        } else if (constant_of(h, of->reg)) {
            x_rm(&h->a, W, X_LOAD, of->reg, RBP, constant_of(h, of->reg));
        }
    }
}
