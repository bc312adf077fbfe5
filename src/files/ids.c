/*
 * The map of users and groups (see ids.h). Runs on the share's threads. The ids are the guest's: one that has
 * no place in the map is refused. What is made is root's until it is given away: making it in the other's
 * name would take the power to become anybody, which the file server's jail leaves nobody.
 */
#include "files/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

int p9_ids_to_host(const struct p9_ids *ids, uint32_t guest, uint32_t *host) {
	*host = guest;
	if (ids->count == 0) {
		return 0;
	}
	for (size_t i = 0; i < ids->count; i++) {
		const struct files_ids *range = &ids->ranges[i];
		if (guest - range->guest < range->count) {
			*host = range->host + (guest - range->guest);
			return 0;
		}
	}
	return -EINVAL;
}

uint32_t p9_ids_to_guest(const struct p9_ids *ids, uint32_t host) {
	for (size_t i = 0; i < ids->count; i++) {
		const struct files_ids *range = &ids->ranges[i];
		if (host - range->host < range->count) {
			return range->guest + (host - range->host);
		}
	}
	return ids->count == 0 ? host : P9_IDS_NOBODY;
}

int p9_ids_owner(const struct p9_ids *ids, uint32_t uid, uint32_t gid, struct p9_owner *owner) {
	bool found = p9_ids_to_host(ids, uid, &owner->uid) == 0 && p9_ids_to_host(ids, gid, &owner->gid) == 0;
	return found ? 0 : -EOVERFLOW;
}

int p9_ids_give(const struct p9_ids *ids, int fd, const struct p9_owner *owner) {
	struct stat stat;
	if (ids->count == 0) {
		return 0;
	}
	/* Found by its name, it may have become something else meanwhile; what is another's stays so. */
	if (fstatat(fd, "", &stat, AT_EMPTY_PATH) < 0) {
		return -errno;
	}
	if (stat.st_uid != geteuid()) {
		return -ESTALE;
	}
	return fchownat(fd, "", owner->uid, owner->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}
