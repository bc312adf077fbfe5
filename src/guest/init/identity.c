/*
 * Works out who a command is. Runs in the child, before it becomes the command. The user is the
 * configuration's; root's home and shell are what the guest's own passwd says.
 */
#include "guest/init/identity.h"

#include "guest/init/users.h"
#include "guest/init/x11.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDED_VARIABLES 5
#define IMAGE_GROUPS_MAX 64

const char *identity_env_value(char *const *env, const char *name) {
	size_t len = strlen(name);
	for (; *env != NULL; env++) {
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
			return *env + len + 1;
		}
	}
	return NULL;
}

static void copy(char *to, size_t size, const char *from, const char *fallback) {
	snprintf(to, size, "%s", from == NULL || from[0] == '\0' ? fallback : from);
}

static void find_user(struct identity *identity, const struct config *config) {
	const struct config_user *user = &config->user;
	bool root = identity->uid == 0;
	const char *name = NULL, *home = NULL, *shell = NULL;
	char text[3][512];
	if (user->fields != NULL && user->uid == identity->uid) {
		identity->gid = user->gid;
		name = user->name;
		home = user->home;
		shell = user->shell;
	} else if (users_find(identity->uid, text[0], text[1], text[2], sizeof(text[0]))) {
		name = text[0];
		home = text[1];
		shell = text[2];
	}
	copy(identity->name, sizeof(identity->name), name, root ? "root" : "user");
	copy(identity->home, sizeof(identity->home), home, root ? "/root" : "/");
	copy(identity->shell, sizeof(identity->shell), shell, "/bin/sh");
}

/* Those of the caller and, on a disk that has groups of its own, those that it puts the user in. */
static int find_groups(struct identity *identity, const struct config *config) {
	const struct config_user *user = &config->user;
	if (user->fields == NULL || user->uid != identity->uid) {
		return 0;
	}
	identity->groups = calloc(config->group_count + IMAGE_GROUPS_MAX, sizeof(*identity->groups));
	if (identity->groups == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->group_count; i++) {
		identity->groups[i] = config->groups[i].gid;
	}
	identity->group_count = config->group_count;
	if (config->root_block) {
		identity->group_count += users_find_groups(
			user->uid, identity->groups + config->group_count, IMAGE_GROUPS_MAX);
	}
	return 0;
}

/* A copy of the environment with room for what is added later. */
static int copy_env(struct identity *identity, char *const *env) {
	size_t count = 0;
	while (env[count] != NULL) {
		count++;
	}
	identity->env = calloc(count + ADDED_VARIABLES + 1, sizeof(*identity->env));
	if (identity->env == NULL) {
		return -ENOMEM;
	}
	memcpy(identity->env, env, count * sizeof(*env));
	return 0;
}

int identity_find(struct identity *identity, const struct exec *exec, const struct config *config) {
	*identity = (struct identity){.uid = exec->uid, .gid = exec->uid};
	find_user(identity, config);
	int result = find_groups(identity, config);
	return result < 0 ? result : copy_env(identity, exec->env);
}

static void add_variable(struct identity *identity, const char *name, const char *value) {
	size_t count = 0;
	if (identity_env_value(identity->env, name) != NULL) {
		return;
	}
	while (identity->env[count] != NULL) {
		count++;
	}
	if (asprintf(&identity->env[count], "%s=%s", name, value) < 0) {
		identity->env[count] = NULL;
	}
}

void identity_choose_shell(struct identity *identity, bool want_shell) {
	static const char *const fallbacks[] = {"/bin/bash", "/bin/sh"};
	for (size_t i = 0; want_shell && i < 2 && access(identity->shell, X_OK) < 0; i++) {
		if (access(fallbacks[i], X_OK) == 0) {
			copy(identity->shell, sizeof(identity->shell), fallbacks[i], "");
		}
	}
	add_variable(identity, "HOME", identity->home);
	add_variable(identity, "USER", identity->name);
	add_variable(identity, "LOGNAME", identity->name);
	add_variable(identity, "SHELL", identity->shell);
	/* Only here is it known whether there is an X server. */
	if (identity_env_value(identity->env, "WAYLAND_DISPLAY") != NULL && access(X11_SOCKET, W_OK) == 0) {
		add_variable(identity, "DISPLAY", X11_DISPLAY);
	}
}

void identity_join_cgroup(void) {
	int fd = open(IDENTITY_CGROUP_LEAF "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		/* Missing it costs limits, not the command. */
		ssize_t ignored = write(fd, "0", 1);
		(void)ignored;
		close(fd);
	}
}
