/*
 * Where Citadel keeps its things, and the one way ph opens them: beneath a directory that is open already,
 * and never through a symbolic link.
 */
#ifndef PLAN_REALM_CITADEL_H
#define PLAN_REALM_CITADEL_H

#include "ph/error.h"
#include "ph/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The absolute path of Citadel's own at /REST: beneath $PH_CITADEL when that is set (another system's disk).
 * malloc'ed, NULL without memory. */
char *citadel_path(const char *rest);

/* Open /realms, O_PATH. A descriptor, or -errno with *error set. */
int citadel_open_realms(struct error *error);

/* openat(2) beneath dir_fd, no link followed on the way (-ELOOP) or at the end, no way out (-EXDEV), never
 * blocking on a FIFO. A descriptor or -errno. */
int citadel_open(int dir_fd, const char *path, int flags);
/* The same, where links are followed as long as they stay beneath. */
int citadel_open_inside(int dir_fd, const char *path, int flags);

/* A whole file of less than size bytes, with a NUL behind it: its length or -errno (-EFBIG, -EISDIR too). */
ssize_t citadel_read(int dir_fd, const char *path, char *text, size_t size);

/* NAME of a link to ".../realm-NAME": 0, -ENOENT when there is none, -EINVAL for one that names no realm. */
int citadel_read_realm_link(const char *path, char name[PLAN_REALM_MAX + 1]);

/* The value of NAME=VALUE in a file like /etc/os-release: 0 or -ENOENT. */
int citadel_os_release(const char *name, char *value, size_t size);

#endif
