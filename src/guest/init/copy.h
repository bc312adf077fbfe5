/* Copies of trees. */
#ifndef PH_GUEST_INIT_COPY_H
#define PH_GUEST_INIT_COPY_H

#include <sys/types.h>

/* What is in the folder from, into the folder to: files, folders and links, all given to that user; what is
 * there already under a file's name is replaced. 0, or the first -errno; the rest is copied all the same. */
int copy_tree(const char *from, const char *to, uid_t uid, gid_t gid);

#endif
