/*
 * The hide list (see hide.h). Made when the share is created, in the monitor; only read afterwards, on
 * any thread. The paths are the user's or ph's own, not the guest's.
 */
#include "files/hide.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Symbolic links on the way are followed, as the guest would, within the root. */
static int open_in_root(int root, const char *path, uint64_t flags) {
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOSYS) {
		fd = openat(root, path, (int)flags | O_CLOEXEC);
	}
	return fd >= 0 ? fd : -errno;
}

static int identify(int root, const char *path, uint64_t flags, struct statx *stat) {
	int fd = open_in_root(root, path, flags);
	if (fd < 0) {
		return fd;
	}
	int ret = p9_host_stat(fd, "", stat);
	fd_close(&fd);
	return ret;
}

/* As what it is: a place that cannot be looked at is only known by its path. */
static void identify_self(struct p9_place *place, int root, const char *path) {
	struct statx stat;
	place->has_self = identify(root, path, O_PATH | O_NOFOLLOW, &stat) == 0;
	if (place->has_self) {
		place->self = p9_identity_of(&stat);
		place->birth = stat.stx_btime;
	}
}

/* As what other places are in. */
static int identify_directory(struct p9_place *place, int root, const char *path) {
	struct statx stat;
	int ret = identify(root, path, O_PATH | O_DIRECTORY, &stat);
	place->has_directory = ret == 0;
	if (ret == 0) {
		place->directory = p9_identity_of(&stat);
	}
	return ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES || ret == -ELOOP ? 0 : ret;
}

int p9_hide_place(const struct p9_hide *hide, int place, const char *name) {
	for (int i = 1; i < hide->count && place != P9_PLACE_NONE; i++) {
		if (hide->places[i].parent == place && strcmp(hide->places[i].name, name) == 0) {
			return i;
		}
	}
	return P9_PLACE_NONE;
}

/* The index of a new place, or -errno. */
static int append(struct p9_hide *hide, int parent, const char *name) {
	struct p9_place *places = realloc(hide->places, ((size_t)hide->count + 1) * sizeof(*places));
	if (places == NULL) {
		return -ENOMEM;
	}
	hide->places = places;
	char *copy = name != NULL ? strdup(name) : NULL;
	if (name != NULL && copy == NULL) {
		return -ENOMEM;
	}
	places[hide->count] = (struct p9_place){.parent = parent, .name = copy, .view = P9_ON_THE_WAY};
	return hide->count++;
}

static int add_root(struct p9_hide *hide, int root) {
	int place = append(hide, P9_PLACE_NONE, NULL);
	return place < 0 ? place : identify_directory(&hide->places[place], root, ".");
}

/* The last component of path, in the place of those before it: its index, or -errno. */
static int add_component(struct p9_hide *hide, int root, int parent, const char *path) {
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	int place = p9_hide_place(hide, parent, name);
	if (place != P9_PLACE_NONE) {
		return place;
	}
	place = append(hide, parent, name);
	if (place >= 0) {
		identify_self(&hide->places[place], root, path);
	}
	return place;
}

/* Split at each '/' in turn: what was before one is a directory on the way. */
static int add(struct p9_hide *hide, int root, char *path) {
	int place = P9_PLACE_ROOT;
	for (char *slash = strchr(path, '/'); slash != NULL && place >= 0; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		place = add_component(hide, root, place, path);
		if (place >= 0 && !hide->places[place].has_directory) {
			int ret = identify_directory(&hide->places[place], root, path);
			place = ret < 0 ? ret : place;
		}
		*slash = '/';
	}
	place = place < 0 ? place : add_component(hide, root, place, path);
	if (place >= 0) {
		hide->places[place].view = P9_HIDDEN;
	}
	return place < 0 ? place : 0;
}

static int add_copy(struct p9_hide *hide, int root, const char *path) {
	char *copy = strdup(path);
	if (copy == NULL) {
		return -ENOMEM;
	}
	size_t len = strlen(copy);
	while (len > 0 && copy[len - 1] == '/') {
		copy[--len] = '\0';
	}
	/* The root itself cannot be hidden. */
	int ret = len > 0 ? add(hide, root, copy) : 0;
	free(copy);
	return ret;
}

int p9_hide_init(struct p9_hide *hide, int root, char *const *paths) {
	*hide = (struct p9_hide){0};
	if (paths == NULL || paths[0] == NULL) {
		return 0;
	}
	int ret = add_root(hide, root);
	for (size_t i = 0; paths[i] != NULL && ret == 0; i++) {
		ret = add_copy(hide, root, paths[i]);
	}
	if (ret < 0) {
		p9_hide_finish(hide);
	}
	return ret;
}

void p9_hide_finish(struct p9_hide *hide) {
	for (int i = 0; i < hide->count; i++) {
		free(hide->places[i].name);
	}
	free(hide->places);
	*hide = (struct p9_hide){0};
}

/* Whether the place is an entry of that directory. */
static bool lies_in(
	const struct p9_hide *hide, const struct p9_place *entry, int place, struct p9_identity directory) {
	const struct p9_place *parent = &hide->places[entry->parent];
	return entry->parent == place ||
	       (parent->has_directory && p9_identity_equal(parent->directory, directory));
}

enum p9_view p9_hide_view(
	const struct p9_hide *hide, int place, struct p9_identity directory, const char *name) {
	enum p9_view view = P9_SHOWN;
	for (int i = 1; i < hide->count && view != P9_HIDDEN; i++) {
		const struct p9_place *entry = &hide->places[i];
		if (entry->view > view && lies_in(hide, entry, place, directory) &&
			strcmp(entry->name, name) == 0) {
			view = entry->view;
		}
	}
	return view;
}

enum p9_view p9_hide_view_file(const struct p9_hide *hide, const struct statx *stat) {
	struct p9_identity identity = p9_identity_of(stat);
	enum p9_view view = P9_SHOWN;
	for (int i = 1; i < hide->count && view != P9_HIDDEN; i++) {
		const struct p9_place *place = &hide->places[i];
		/* Its number alone may have been given to another file since. */
		if (place->view > view && place->has_self && p9_identity_equal(place->self, identity) &&
			place->birth.tv_sec == stat->stx_btime.tv_sec &&
			place->birth.tv_nsec == stat->stx_btime.tv_nsec) {
			view = place->view;
		}
	}
	return view;
}

bool p9_hide_has_number(const struct p9_hide *hide, struct p9_identity identity) {
	for (int i = 1; i < hide->count; i++) {
		const struct p9_place *place = &hide->places[i];
		if (place->view == P9_HIDDEN && place->has_self && p9_identity_equal(place->self, identity)) {
			return true;
		}
	}
	return false;
}

bool p9_hide_holds(const struct p9_hide *hide, int place, struct p9_identity directory, int directory_fd,
	const struct statx *stat) {
	for (int i = 1; i < hide->count; i++) {
		const struct p9_place *entry = &hide->places[i];
		struct statx now;
		if (entry->view == P9_HIDDEN && lies_in(hide, entry, place, directory) &&
			p9_host_stat(directory_fd, entry->name, &now) == 0 &&
			p9_identity_equal(p9_identity_of(&now), p9_identity_of(stat))) {
			return true;
		}
	}
	return false;
}
