/* The steps of plan_init(), each in a file of its own. All return 0, or -errno with *error set, and leave in
 * the plan what plan_finish() frees. */
#ifndef PLAN_PARTS_H
#define PLAN_PARTS_H

#include "ph/plan.h"

#define PLAN_ROOT_TAG "root"

/* user.c: who is calling. Needs nothing. */
int plan_resolve_user(struct plan *plan, const struct plan_request *request, struct error *error);
/* machine.c: CPUs, memory, kernel. */
int plan_resolve_machine(struct plan *plan, const struct plan_request *request, struct error *error);
/* disks.c: the root image and the disks, open, checked and locked. */
int plan_resolve_disks(struct plan *plan, const struct plan_request *request, struct error *error);
/* shares.c: this system's root, the home, the shares; parents before what lies in them. Needs the user. */
int plan_resolve_shares(struct plan *plan, const struct plan_request *request, struct error *error);
/* sockets.c: the compositor's and others. Needs nothing. */
int plan_resolve_sockets(struct plan *plan, const struct plan_request *request, struct error *error);
/* environment.c: variables and working directory. Needs all of the above. */
int plan_resolve_environment(struct plan *plan, const struct plan_request *request, struct error *error);

/* hide.c: what of this system's / the guest does not see. */
int plan_hide_list(
	char ***hide, const struct plan *plan, const struct plan_request *request, struct error *error);
/* Whether an absolute path lies in one of the hidden ones (which have no leading '/'). */
bool plan_is_hidden(char *const *hide, const char *path);

/* ids.c: --uid-map. */
int plan_map_ids(struct files_share *files, const struct plan_request *request, struct error *error);

/* paths.c: absolute paths as text. */

/* The rest of path below top ("" for top itself, else it starts with '/'), or NULL when it is not inside. */
const char *path_below(const char *path, const char *top);
/* An absolute path without empty, "." and ".." components; NULL when it is not absolute or has "..".
 * malloc'ed. */
char *path_normalize(const char *path);

#endif
