/* Sealed images as the root: found, checked and handed to the guest's dm-verity. */
#ifndef PLAN_REALM_IMAGE_H
#define PLAN_REALM_IMAGE_H

#include "plan/parts.h"

/* Whether the open file begins as a realmfs does. */
bool image_is_realmfs(int fd);

/* The realmfs image of that name on Citadel becomes the plan's first disk; or the file, where the option is
 * not a name but a path. 0 or -errno. */
int image_add_named(
	struct plan *plan, const struct plan_request *request, const char *name, struct error *error);
int image_add_option(struct plan *plan, const struct plan_request *request, struct error *error);

/* The same with an open file, whose owner remains the caller until success; path is for messages. */
int image_add_file(
	struct plan *plan, const struct plan_request *request, int fd, const char *path, struct error *error);

#endif
