/* The steps of plan_init(), each in a file of its own. All return 0, or -errno with *error set, and leave in
 * the plan what plan_finish() frees. */
#ifndef PLAN_PARTS_H
#define PLAN_PARTS_H

#include "ph/plan.h"

#define PLAN_ROOT_TAG "root"

/* realm/resolve.c: the realm, if one is asked for, with its home locked. Needs nothing. The others are parts
 * of the steps below. */
int plan_resolve_realm(struct plan *plan, const struct plan_request *request, struct error *error);
int plan_add_realm_image(struct plan *plan, const struct plan_request *request, struct error *error);
int plan_add_realm_shares(struct plan *plan, const struct plan_request *request, struct error *error);
int plan_add_realm_socket(struct plan *plan, const struct plan_request *request, struct error *error);
/* Whether the realm is to have a network that the request does not speak of; and to tell that it has none. */
bool plan_realm_has_net(const struct plan *plan, const struct plan_request *request);
void plan_realm_lacks_net(const struct plan *plan);
/* Where the sound server of the realm's user would listen, malloc'ed; NULL: the realm is to have no sound. */
int plan_realm_sound(
	const struct plan *plan, const struct plan_request *request, char **path, struct error *error);
void plan_realm_owner(const struct plan *plan, uid_t *uid, gid_t *gid);
void plan_finish_realm(struct plan *plan);
/* plan.c: the command, the terminal, names. */
int plan_resolve_basics(struct plan *plan, const struct plan_request *request, struct error *error);
/* user.c: who is calling. Needs nothing. */
int plan_resolve_user(struct plan *plan, const struct plan_request *request, struct error *error);
/* cgroup.c: what the caller's control groups leave to it; UINT64_MAX: as much as there is. */
struct plan_limits {
	uint64_t memory, cpus; /* bytes; as many as it may keep busy */
};
void plan_read_limits(struct plan_limits *limits);
/* machine.c: CPUs, memory, kernel. */
int plan_resolve_machine(struct plan *plan, const struct plan_request *request, struct error *error);
/* disks.c: the root image and the disks, open, checked and locked. */
int plan_resolve_disks(struct plan *plan, const struct plan_request *request, struct error *error);
/* Lock an open image: shared, or against everybody. */
int plan_lock_image(int fd, const char *path, bool exclusive, struct error *error);
/* partitions.c: the disk becomes the Nth partition, from 1, of the image it is. */
int plan_find_partition(struct plan_disk *disk, unsigned number, struct error *error);
/* shares.c: this system's root, the home, the shares; parents before what lies in them. Needs the user. */
int plan_resolve_shares(struct plan *plan, const struct plan_request *request, struct error *error);
/* Share an open directory, whose owner remains the caller until success. */
int plan_add_share(
	struct plan *plan, int fd, const char *host, const char *guest, bool read_only, struct error *error);
/* Whether a directory may be mounted at that absolute path of the guest. */
bool plan_is_free_place(const char *path);
/* sockets.c: the compositor's and others. Needs nothing. */
int plan_resolve_sockets(struct plan *plan, const struct plan_request *request, struct error *error);
/* net.c: passt's command line or the tap, and what the guest is told. Needs nothing. */
int plan_resolve_net(struct plan *plan, const struct plan_request *request, struct error *error);
/* The socket at path as the compositor's; -ENOTSOCK, without a message, when there is none. */
int plan_add_compositor(struct plan *plan, const char *path, struct error *error);
/* sound.c: where the sound server is. Needs nothing. */
int plan_resolve_sound(struct plan *plan, const struct plan_request *request, struct error *error);
/* settings.c: what the VM would not find of the person's settings. Needs the disks and shares. */
int plan_resolve_settings(struct plan *plan, const struct plan_request *request, struct error *error);
/* environment.c: variables and working directory. Needs all of the above. */
int plan_resolve_environment(struct plan *plan, const struct plan_request *request, struct error *error);

/* hide.c: what of this system's / the guest does not see. */
int plan_hide_list(
	char ***hide, const struct plan *plan, const struct plan_request *request, struct error *error);
/* The same for the home and the shares, which are in the plan by now: what is asked for alone. */
int plan_hide_in_shares(struct plan *plan, const struct plan_request *request, struct error *error);
/* Whether a path, which begins with '/', lies in one of the hidden ones, which do not; hide may be NULL. */
bool plan_is_hidden(char *const *hide, const char *path);

/* resolv.c: the guest's resolv.conf, with servers if there are any, else with the host's; malloc'ed, NULL
 * without memory. The host's loopback is reached by the name of local4. *lost: the host has servers, but none
 * that the guest could reach. */
char *plan_make_resolv(const char *const *servers, size_t count, const char *local4, bool *lost);

/* ids.c: --uid-map. */
int plan_map_ids(struct files_share *files, const struct plan_request *request, struct error *error);

/* paths.c: absolute paths as text. */

/* The rest of path below top ("" for top itself, else it starts with '/'), or NULL when it is not inside. */
const char *path_below(const char *path, const char *top);
/* An absolute path without empty, "." and ".." components; NULL when it is not absolute or has "..".
 * malloc'ed. */
char *path_normalize(const char *path);

#endif
