/* Who commands run as: /etc/passwd and /etc/group of the guest. */
#ifndef PH_GUEST_INIT_USERS_H
#define PH_GUEST_INIT_USERS_H

#include "guest/init/config.h"

/* Whether text, in the format of passwd or group, has an entry with this id in its third field. */
bool users_text_has_id(const char *text, unsigned long id);
/* Field 0.. of the entry with this id, copied out. False when there is none or it does not fit. */
bool users_text_field(const char *text, unsigned long id, unsigned field, char *out, size_t size);

/* The ids, at most max, of the groups in a text in the format of group that list name as a member. Their
 * number. */
size_t users_text_groups(const char *text, const char *name, gid_t *groups, size_t max);

/* Add the configured user and groups where missing. Failures are reported. */
void users_add(const struct config *config);
/* The folder of the user's sockets, /run/user/UID. */
void users_make_runtime_folder(const struct config *config);
/* Home and shell that the guest's passwd names for uid; false when it has no such user. */
bool users_find(uid_t uid, char *name, char *home, char *shell, size_t size);
/* The groups that the guest's own files put the user with this uid in. */
size_t users_find_groups(uid_t uid, gid_t *groups, size_t max);

#endif
