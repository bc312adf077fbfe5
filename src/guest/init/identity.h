/* Who a command is: ids, home, shell and the environment that goes with them. Used in the child only. */
#ifndef PH_GUEST_INIT_IDENTITY_H
#define PH_GUEST_INIT_IDENTITY_H

#include "guest/init/config.h"

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char name[64], home[512], shell[512];
	char **env;
};

/* The cgroup of commands, which belongs to the user. */
#define IDENTITY_CGROUP "/sys/fs/cgroup/user"
#define IDENTITY_CGROUP_LEAF IDENTITY_CGROUP "/main"

/* 0 or -ENOMEM. Lives until the child's exec. */
int identity_find(struct identity *identity, const struct exec *exec, const struct config *config);
/* As the user: fall back to a shell the guest has, and add what the environment lacks. want_shell: the
 * command is the shell. */
void identity_choose_shell(struct identity *identity, bool want_shell);
/* Move the calling process to the commands' cgroup, when it exists. */
void identity_join_cgroup(void);
/* The value of NAME in a list of NAME=VALUE, or NULL. */
const char *identity_env_value(char *const *env, const char *name);

#endif
