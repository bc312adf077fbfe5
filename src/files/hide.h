/*
 * What exists on the host but not for the guest, and the way to it.
 *
 * Both are known by their path, so that what the host replaces stays hidden; by their directory's identity
 * and their name there, so that what the host moves does; and by their own identity, so that a bind mount or
 * a hard link of something hidden is hidden, too. What is on the way is shown, but not for the guest to
 * rename, remove or replace: so a path keeps its meaning, whatever the guest does.
 */
#ifndef FILES_HIDE_H
#define FILES_HIDE_H

#include "files/host.h"

#include <stdbool.h>
#include <stddef.h>

enum p9_view {
	P9_SHOWN,
	P9_ON_THE_WAY,
	P9_HIDDEN,
};

/* A path beneath the root, hidden or on the way to such, by the index of its parent's. */
#define P9_PLACE_ROOT 0
#define P9_PLACE_NONE (-1)

struct p9_place {
	int parent; /* P9_PLACE_NONE: the root */
	char *name; /* NULL: the root */
	enum p9_view view;
	/* What was there when the share was made. */
	bool has_self, has_directory;
	struct p9_identity self;
	struct statx_timestamp birth;
	struct p9_identity directory; /* that self is or, as a symbolic link, leads to */
};

struct p9_hide {
	struct p9_place *places;
	int count; /* 0: nothing is hidden */
};

/* Paths beneath root (NULL-terminated, or NULL), which need not exist. 0 or -errno. */
int p9_hide_init(struct p9_hide *hide, int root, char *const *paths);
void p9_hide_finish(struct p9_hide *hide);

/* The place of the entry name of a place, either of which may be none. */
int p9_hide_place(const struct p9_hide *hide, int place, const char *name);
/* What the entry name is in a directory with this place and identity, and what a file is by its identity. */
enum p9_view p9_hide_view(
	const struct p9_hide *hide, int place, struct p9_identity directory, const char *name);
enum p9_view p9_hide_view_file(const struct p9_hide *hide, const struct statx *stat);
/* Whether a file may be hidden by its identity, as far as its number tells. */
bool p9_hide_has_number(const struct p9_hide *hide, struct p9_identity identity);
/* Whether a file is what is hidden in that directory by now: where case does not count, names can differ. */
bool p9_hide_holds(const struct p9_hide *hide, int place, struct p9_identity directory, int directory_fd,
	const struct statx *stat);

#endif
