/*
 * What exists on the host but not for the guest. An entry is known by its place (its directory's identity
 * and its name there), so that a file replaced by rename stays hidden, and by its own identity, so that
 * a bind mount or a hard link of it is hidden too.
 */
#ifndef FILES_HIDE_H
#define FILES_HIDE_H

#include "files/host.h"

#include <stddef.h>

struct p9_hidden {
	struct p9_identity directory;
	char *name;
	bool exists;
	struct p9_identity self;
};

struct p9_hide {
	struct p9_hidden *entries;
	size_t count;
};

/* Resolve paths beneath root (NULL-terminated, or NULL). Those whose directory does not exist hide nothing.
 * 0 or -errno. */
int p9_hide_init(struct p9_hide *hide, int root, char *const *paths);
void p9_hide_finish(struct p9_hide *hide);

bool p9_hide_has_name(const struct p9_hide *hide, struct p9_identity directory, const char *name);
bool p9_hide_has(const struct p9_hide *hide, struct p9_identity identity);

#endif
