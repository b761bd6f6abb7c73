/* SPDX-License-Identifier: Apache-2.0
 * disk.h - a raw disk image: a file of the host, a thread that works on it, and if asked for an overlay in memory, which takes what
 * is written, so that the file is never changed.
 *
 *     disk_submit(d, &job);  ...  disk_wait(d, &job);  look at job.rc
 *
 * Jobs are done in the order in which they were submitted. The thread starts with the first one.
 * LOCKS. The file is locked as long as a Disk of it lives (fcntl, F_OFD_SETLK): by one who writes it, or by any number who only
 * read it.
 * THREADS. A Disk belongs to one thread at a time; twins are independent. */
#ifndef SIM_DEVICES_DISK_H
#define SIM_DEVICES_DISK_H

#include "sim/devices/overlay.h"

enum { DISK_SECTOR_BYTES = 512, DISK_MAX_RANGES = 16 };
enum { DISK_READ_ONLY = 1, DISK_OVERLAY = 2 };
static const uint64_t DISK_MAX_BYTES = 1ull << 44;

typedef enum { DISK_READ, DISK_WRITE, DISK_ZERO, DISK_FLUSH } DiskOp;
typedef struct {
    uint64_t at, n; /* bytes: whole sectors, within the disk */
} DiskRange;
typedef struct DiskJob {
    DiskOp op;
    unsigned nranges; /* READ, WRITE: 1; FLUSH: none */
    DiskRange range[DISK_MAX_RANGES];
    bool keeps_space; /* ZERO: does not give the space back to the host */
    uint8_t *bytes;   /* READ, WRITE */
    int rc;           /* after disk_wait: 0, or -ERR_IO: the host could not do it, or not all of it */
    bool is_done;     /* this and next are the disk's own */
    struct DiskJob *next;
} DiskJob;

typedef struct Disk Disk;
/* flags: DISK_x. -ERR_NOENT, -ERR_DENIED, -ERR_BUSY (locked), -ERR_INVAL (not a file or block device, not whole sectors, empty),
 * -ERR_LIMIT (more than DISK_MAX_BYTES), -ERR_IO. */
MUST_USE int disk_open(const char *path, uint32_t flags, Disk **out, Err *err);
Disk *disk_twin(const Disk *d); /* a second one of the same open file; its overlay is empty */
void disk_free(Disk *d);        /* no job may be under way; NULL is fine */
uint64_t disk_size_bytes(const Disk *d);
uint32_t disk_flags(const Disk *d);
const char *disk_path(const Disk *d);
void disk_submit(Disk *d, DiskJob *job);
void disk_wait(Disk *d, DiskJob *job);
/* While no job is under way. NULL: it has none. set takes o. */
const Overlay *disk_overlay(const Disk *d);
void disk_overlay_set(Disk *d, Overlay *o);
#endif
