/*
 * Configuration files of realms. ph's first thread. The files are the user's own and may be wrong in any way:
 * what is wrong is an error with its line, since a realm that silently gets a default may be one with a
 * network.
 */
#include "plan/realm/config.h"

#include "plan/realm/citadel.h"
#include "plan/realm/toml.h"
#include "plan/strings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, NUMBER, TEXT, LIST };

/* Every key of Citadel's, and what it is where no file has it. A list's one item, or NULL: none. */
static const struct key {
	const char *name;
	enum kind kind;
	bool flag;
	const char *text;
} keys[REALM_KEYS] = {
	[KEY_USE_SHARED_DIR] = {"use-shared-dir", FLAG, true, NULL},
	[KEY_USE_MEDIA_DIR] = {"use-media-dir", FLAG, false, NULL},
	[KEY_USE_EPHEMERAL_HOME] = {"use-ephemeral-home", FLAG, false, NULL},
	[KEY_EPHEMERAL_PERSISTENT_DIRS] = {"ephemeral-persistent-dirs", LIST, false, "Documents"},
	[KEY_USE_SOUND] = {"use-sound", FLAG, true, NULL},
	[KEY_USE_X11] = {"use-x11", FLAG, true, NULL},
	[KEY_USE_WAYLAND] = {"use-wayland", FLAG, true, NULL},
	[KEY_WAYLAND_SOCKET] = {"wayland-socket", TEXT, false, "wayland-0"},
	[KEY_USE_KVM] = {"use-kvm", FLAG, false, NULL},
	[KEY_USE_GPU] = {"use-gpu", FLAG, false, NULL},
	[KEY_USE_GPU_CARD0] = {"use-gpu-card0", FLAG, false, NULL},
	[KEY_USE_NETWORK] = {"use-network", FLAG, true, NULL},
	[KEY_NETWORK_ZONE] = {"network-zone", TEXT, false, "clear"},
	[KEY_RESERVED_IP] = {"reserved-ip", NUMBER, false, NULL},
	[KEY_NETNS] = {"netns", TEXT, false, NULL},
	[KEY_SYSTEM_REALM] = {"system-realm", FLAG, false, NULL},
	[KEY_AUTOSTART] = {"autostart", FLAG, false, NULL},
	[KEY_EXTRA_BINDMOUNTS] = {"extra-bindmounts", LIST, false, NULL},
	[KEY_EXTRA_BINDMOUNTS_RO] = {"extra-bindmounts-ro", LIST, false, NULL},
	[KEY_REALM_DEPENDS] = {"realm-depends", LIST, false, NULL},
	[KEY_REALMFS] = {"realmfs", TEXT, false, "base"},
	[KEY_REALMFS_WRITE] = {"realmfs-write", FLAG, false, NULL},
	[KEY_TERMINAL_SCHEME] = {"terminal-scheme", TEXT, false, NULL},
	[KEY_OVERLAY] = {"overlay", TEXT, false, "storage"},
};

const char *realm_key_name(enum realm_key key) {
	return keys[key].name;
}

/* ---- values ---- */

static void value_finish(struct realm_value *value) {
	free(value->text);
	strings_free(value->list);
	*value = (struct realm_value){0};
}

static int value_init(struct realm_value *value, const struct key *key) {
	*value = (struct realm_value){.flag = key->flag};
	if (key->text == NULL) {
		return 0;
	}
	if (key->kind == TEXT) {
		value->text = strdup(key->text);
		return value->text == NULL ? -ENOMEM : 0;
	}
	struct strings list = {0};
	strings_add(&list, strdup(key->text));
	value->list = strings_take(&list);
	return value->list == NULL ? -ENOMEM : 0;
}

int realm_config_init(struct realm_config *config) {
	*config = (struct realm_config){0};
	for (int i = 0; i < REALM_KEYS; i++) {
		if (value_init(&config->values[i], &keys[i]) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

void realm_config_finish(struct realm_config *config) {
	for (int i = 0; i < REALM_KEYS; i++) {
		value_finish(&config->values[i]);
	}
}

static void print_list(char *const *list, char *text, size_t size) {
	size_t used = (size_t)snprintf(text, size, "[");
	for (size_t i = 0; list != NULL && list[i] != NULL && used < size; i++) {
		used += (size_t)snprintf(text + used, size - used, "%s'%s'", i > 0 ? ", " : "", list[i]);
	}
	if (used < size) {
		snprintf(text + used, size - used, "]");
	}
}

void realm_value_print(const struct realm_config *config, enum realm_key key, char *text, size_t size) {
	const struct realm_value *value = &config->values[key];
	switch (keys[key].kind) {
	case FLAG:
		snprintf(text, size, "%s", value->flag ? "true" : "false");
		break;
	case NUMBER:
		snprintf(text, size, "%" PRId64, value->number);
		break;
	case TEXT:
		snprintf(text, size, "'%s'", value->text != NULL ? value->text : "");
		break;
	case LIST:
		print_list(value->list, text, size);
		break;
	}
}

/* ---- files ---- */

struct reading {
	struct realm_config *config;
	enum realm_config_source source;
};

static const char *kind_mismatch(const struct key *key, const struct toml_value *value) {
	static const struct {
		enum toml_type type;
		const char *cause;
	} wanted[] = {
		[FLAG] = {TOML_BOOLEAN, "must be true or false"},
		[NUMBER] = {TOML_INTEGER, "must be a whole number"},
		[TEXT] = {TOML_STRING, "must be a text in quotes"},
		[LIST] = {TOML_STRINGS, "must be a list of texts"},
	};
	return value->type == wanted[key->kind].type ? NULL : wanted[key->kind].cause;
}

static int fail_key(const struct key *key, unsigned line, const char *cause, struct toml_error *error) {
	char text[sizeof(error->cause)];
	snprintf(text, sizeof(text), "%s %s", key->name, cause);
	toml_fail(error, line, text);
	return -EINVAL;
}

static int set_value(void *owner, const char *name, struct toml_value *value, struct toml_error *error) {
	const struct reading *reading = owner;
	int index = 0;
	while (index < REALM_KEYS && strcmp(keys[index].name, name) != 0) {
		index++;
	}
	if (index == REALM_KEYS) {
		return 0; /* a later Citadel's */
	}
	struct realm_value *slot = &reading->config->values[index];
	const char *mismatch = kind_mismatch(&keys[index], value);
	if (mismatch != NULL) {
		return fail_key(&keys[index], value->line, mismatch, error);
	}
	if (slot->source == reading->source) {
		return fail_key(&keys[index], value->line, "is there twice", error);
	}
	value_finish(slot);
	*slot = (struct realm_value){.source = reading->source,
		.flag = value->boolean,
		.number = value->integer,
		.text = value->string,
		.list = value->strings};
	value->string = NULL;
	value->strings = NULL;
	return 0;
}

int realm_config_parse(struct realm_config *config, enum realm_config_source source, const char *text,
	size_t size, const char *name, struct error *error) {
	struct reading reading = {.config = config, .source = source};
	struct toml_error cause;
	int ret = toml_parse(text, size, set_value, &reading, &cause);
	return ret < 0 ? error_set(error, ret, "%s, line %u: %s", name, cause.line, cause.cause) : 0;
}

static int read_file(struct realm_config *config, enum realm_config_source source, int dir_fd,
	const char *name, struct error *error) {
	static char text[TOML_SIZE_MAX];
	ssize_t length = citadel_read(dir_fd, "config", text, sizeof(text));
	if (length == -ENOENT) {
		return 0;
	}
	if (length < 0) {
		const char *cause = length == -ELOOP   ? "is a symbolic link, which ph does not follow"
				    : length == -EFBIG ? "is too large for a configuration"
						       : strerror((int)-length);
		return error_set(error, (int)length, "%s: %s", name, cause);
	}
	return realm_config_parse(config, source, text, (size_t)length, name, error);
}

int realm_config_read(
	struct realm_config *config, int realms_fd, int realm_fd, const char *realm, struct error *error) {
	char name[200];
	if (realm_config_init(config) < 0) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	int ret = read_file(config, CONFIG_GLOBAL, realms_fd, "/realms/config", error);
	if (ret == 0 && realm_fd >= 0) {
		snprintf(name, sizeof(name), "/realms/realm-%s/config", realm);
		ret = read_file(config, CONFIG_REALM, realm_fd, name, error);
	}
	return ret;
}
