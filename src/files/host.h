/*
 * The calls on the host's file system that need care: how a name becomes a descriptor, and how a
 * descriptor that only names a file becomes one that reads or writes it.
 */
#ifndef FILES_HOST_H
#define FILES_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* What a file is, wherever its name leads. */
struct p9_identity {
	uint64_t device, inode;
};

static inline bool p9_identity_equal(struct p9_identity a, struct p9_identity b) {
	return a.device == b.device && a.inode == b.inode;
}

struct p9_identity p9_identity_of(const struct statx *stat);

/* Attributes of the entry name of a directory, or with name "" of fd itself; never through a symbolic link
 * and never triggering an automount. 0 or -errno. */
int p9_host_stat(int fd, const char *name, struct statx *stat);

/* An O_PATH descriptor of the entry name of a directory: of a symbolic link itself, and never outside.
 * -EINVAL for a name that is not a single component, "." and ".." among them; another -errno otherwise. */
int p9_host_open_child(int directory, const char *name);

/*
 * The directory of this process's own descriptors, as an O_PATH descriptor, or -errno. Opened before the
 * process confines itself, because /proc does not exist afterwards.
 */
int p9_host_open_proc(void);

/* Open what an O_PATH descriptor names; -ENFILE when there are too many. The caller has checked that it is a
 * regular file or a directory. */
int p9_host_reopen(int proc, int fd, int flags);
/* Take set-id bits from an open file that is written to. The kernel does so, unless the writer is privileged,
 * as root's ph is. */
void p9_host_strip_set_id(int fd);
/* The name of fd in the directory of p9_host_open_proc(), for calls that follow it. */
#define P9_PROC_NAME_SIZE 12
void p9_host_proc_name(int fd, char name[P9_PROC_NAME_SIZE]);

/* ---- the descriptors of this process, all shares together ---- */

/* Raise the limit to its hard value and count descriptors against it from now on. */
void p9_host_raise_limit(void);
void p9_host_count(int change);
/* Whether so many descriptors are in use that cold ones should be closed. */
bool p9_host_crowded(void);

#endif
