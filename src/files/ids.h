/*
 * Users and groups: the guest's numbers and the host's, where the share gives them different ones. One map
 * for both. Without a map they are the same, and what the guest makes belongs to whoever runs ph.
 */
#ifndef FILES_IDS_H
#define FILES_IDS_H

#include "ph/files.h"

#include <stddef.h>
#include <stdint.h>

/* What the guest sees of owners that have no place in the map. */
#define P9_IDS_NOBODY 65534u

struct p9_ids {
	struct files_ids ranges[FILES_IDS_MAX];
	size_t count; /* 0: no map */
};

/* 0, or -EINVAL for an id of the guest that has no place in the map. */
int p9_ids_to_host(const struct p9_ids *ids, uint32_t guest, uint32_t *host);
uint32_t p9_ids_to_guest(const struct p9_ids *ids, uint32_t host);

/* The host's ids of who is to have what is made: 0, or -EOVERFLOW for those that have no place in the map. */
struct p9_owner {
	uint32_t uid, gid;
};
int p9_ids_owner(const struct p9_ids *ids, uint32_t uid, uint32_t gid, struct p9_owner *owner);
/* Give what fd names, which this process has just made, to its owner. Without a map nothing changes. 0 or
 * -errno. */
int p9_ids_give(const struct p9_ids *ids, int fd, const struct p9_owner *owner);

#endif
