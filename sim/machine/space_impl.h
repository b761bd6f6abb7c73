/* SPDX-License-Identifier: Apache-2.0
 * space_impl.h - what the files space*.c share. space.c: the map; space_ram.c: pieces of RAM and the fork;
 * space_io.c: access from outside, code and dirty pages. */
#ifndef SIM_MACHINE_SPACE_IMPL_H
#define SIM_MACHINE_SPACE_IMPL_H

#include "sim/base/mem.h"
#include "sim/machine/space.h"

#include <pthread.h>

typedef struct {
    SpaceHit hit;    /* what space_find answers */
    uint64_t offset; /* RAM: of the first byte */
    uint32_t ram;
} Region;

/* Never changes once it is installed. Sorted by address. */
typedef struct Map {
    struct Map *retired; /* an older one that a reader may still be in */
    size_t n;
    Region regions[];
} Map;

/* A piece of RAM. Until the first fork it is anonymous memory and fd is -1. From then on fd is a sealed memfd and host a
 * private overlay of it; each side of a fork has an fd of its own for the same memfd. */
typedef struct {
    uint64_t size_bytes;
    uint8_t *host;
    _Atomic uint8_t *pages; /* PAGE_x; anonymous memory, so that those of untouched RAM cost nothing */
    int fd;
} Ram;

struct Space {
    _Atomic(Map *) map;
    _Atomic uint64_t version;
    pthread_mutex_t lock; /* changes, and readers other than space_find */
    VEC(Ram) rams;
    void (*on_code)(void *ctx, uint64_t gpa, uint64_t n);
    void *on_code_ctx;
};

Map *space_map_now(const Space *s);
void space_lock(const Space *s);
void space_unlock(const Space *s);
/* The region that holds gpa; NULL: a hole. */
const Region *map_find(const Map *m, uint64_t gpa);
int ram_open(Ram *r, uint64_t size_bytes, Err *err);
int ram_fork(Ram *r, Ram *twin, Err *err);
void ram_close(Ram *r);
bool ram_touched(const Ram *r, uint64_t from, uint64_t *first, uint64_t *npages);
int ram_clear(Ram *r, Err *err);
/* Whole pages become zeros and go back to the host. false: that cannot be, and they are as they were. */
bool ram_punch(const Ram *r, uint64_t offset, uint64_t n);
static inline uint64_t ram_npages(const Ram *r)
{
    return r->size_bytes / SPACE_PAGE_BYTES;
}
#endif
