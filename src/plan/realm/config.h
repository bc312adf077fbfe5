/*
 * A realm's configuration: each of Citadel's keys from the realm's own file, else from the global one, else
 * what Citadel takes for it.
 */
#ifndef PLAN_REALM_CONFIG_H
#define PLAN_REALM_CONFIG_H

#include "ph/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum realm_key {
	KEY_USE_SHARED_DIR,
	KEY_USE_MEDIA_DIR,
	KEY_USE_EPHEMERAL_HOME,
	KEY_EPHEMERAL_PERSISTENT_DIRS,
	KEY_USE_SOUND,
	KEY_USE_X11,
	KEY_USE_WAYLAND,
	KEY_WAYLAND_SOCKET,
	KEY_USE_KVM,
	KEY_USE_GPU,
	KEY_USE_GPU_CARD0,
	KEY_USE_NETWORK,
	KEY_NETWORK_ZONE,
	KEY_RESERVED_IP,
	KEY_NETNS,
	KEY_SYSTEM_REALM,
	KEY_AUTOSTART,
	KEY_EXTRA_BINDMOUNTS,
	KEY_EXTRA_BINDMOUNTS_RO,
	KEY_REALM_DEPENDS,
	KEY_REALMFS,
	KEY_REALMFS_WRITE,
	KEY_TERMINAL_SCHEME,
	KEY_OVERLAY,
	REALM_KEYS,
};

enum realm_config_source { CONFIG_BUILT_IN, CONFIG_GLOBAL, CONFIG_REALM };

struct realm_value {
	enum realm_config_source source;
	bool flag;
	int64_t number;
	char *text;  /* NULL: none */
	char **list; /* NULL: none */
};

struct realm_config {
	struct realm_value values[REALM_KEYS];
};

/* The chain for the realm whose directory realm_fd is (-1: only the global one), within /realms. A missing
 * file is an empty one. 0, or -errno with *error naming file and line. Finish it in each case. */
int realm_config_read(
	struct realm_config *config, int realms_fd, int realm_fd, const char *realm, struct error *error);
void realm_config_finish(struct realm_config *config);

/* One file's text over what is there already; name is for messages. */
int realm_config_parse(struct realm_config *config, enum realm_config_source source, const char *text,
	size_t size, const char *name, struct error *error);
/* What Citadel takes for keys that nobody sets. 0 or -ENOMEM. */
int realm_config_init(struct realm_config *config);

const char *realm_key_name(enum realm_key key);
/* The value as Citadel's files would have it, for messages. */
void realm_value_print(const struct realm_config *config, enum realm_key key, char *text, size_t size);

#endif
