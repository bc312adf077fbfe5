/*
 * Decodes the boot configuration and the commands to run. Runs in ph-init before and in its loop.
 * The bytes come from ph, which the guest trusts; they are checked all the same, so that a mistake
 * there is a message and not a crash of PID 1.
 */
#include "guest/init/config.h"

#include "ph/guest.h"
#include "ph/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A list record with at least count strings, or NULL with *error set. */
static char **parse_list(const struct record *record, size_t count, int *error) {
	size_t found = 0;
	char **list = record_list(record, &found);
	if (list == NULL || found < count) {
		free(list);
		*error = -EPROTO;
		return NULL;
	}
	return list;
}

static uint64_t parse_number(const char *text, int base, uint64_t max, int *error) {
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno != 0 || end == text || *end != '\0' || value > max) {
		*error = -EPROTO;
		return 0;
	}
	return value;
}

static void *grow(void *array, size_t count, size_t size, int *error) {
	void *grown = reallocarray(array, count + 1, size);
	if (grown == NULL) {
		*error = -ENOMEM;
	}
	return grown;
}

static int parse_root(struct config *config, const struct record *record, bool block) {
	int error = 0;
	free(config->root);
	config->root_block = block;
	config->root = parse_list(record, block ? 3 : 2, &error);
	return error;
}

static int parse_overlay(struct config *config, const struct record *record) {
	int error = 0;
	free(config->overlay);
	config->overlay = parse_list(record, 2, &error);
	return error;
}

static int parse_mount(struct config *config, const struct record *record, enum config_mount_kind kind) {
	static const size_t field_counts[] = {
		[CONFIG_MOUNT_9P] = 4, [CONFIG_MOUNT_TMPFS] = 4, [CONFIG_SKELETON] = 5, [CONFIG_FILE] = 3};
	int error = 0;
	struct config_mount *mounts =
		grow(config->mounts, config->mount_count, sizeof(*config->mounts), &error);
	if (mounts == NULL) {
		return error;
	}
	config->mounts = mounts;
	struct config_mount *mount = &mounts[config->mount_count];
	*mount =
		(struct config_mount){.kind = kind, .fields = parse_list(record, field_counts[kind], &error)};
	if (mount->fields != NULL) {
		config->mount_count++;
	}
	return error;
}

static int parse_user(struct config_user *user, const struct record *record) {
	int error = 0;
	free(user->fields);
	char **fields = parse_list(record, 6, &error);
	*user = (struct config_user){.fields = fields};
	if (fields == NULL) {
		return error;
	}
	user->name = fields[0];
	user->uid = (uid_t)parse_number(fields[1], 10, UINT32_MAX - 1, &error);
	user->gid = (gid_t)parse_number(fields[2], 10, UINT32_MAX - 1, &error);
	user->home = fields[3];
	user->shell = fields[4];
	user->gecos = fields[5];
	return error;
}

static int parse_group(struct config *config, const struct record *record) {
	int error = 0;
	struct config_group *groups =
		grow(config->groups, config->group_count, sizeof(*config->groups), &error);
	if (groups == NULL) {
		return error;
	}
	config->groups = groups;
	char **fields = parse_list(record, 2, &error);
	if (fields == NULL) {
		return error;
	}
	groups[config->group_count++] = (struct config_group){.fields = fields,
		.name = fields[0],
		.gid = (gid_t)parse_number(fields[1], 10, UINT32_MAX - 1, &error)};
	return error;
}

static int parse_memory(struct config *config, const struct record *record) {
	int error = 0;
	struct config_memory *memory =
		grow(config->memory, config->memory_count, sizeof(*config->memory), &error);
	if (memory == NULL) {
		return error;
	}
	config->memory = memory;
	char **fields = parse_list(record, 2, &error);
	if (fields == NULL) {
		return error;
	}
	memory[config->memory_count] = (struct config_memory){
		.start = parse_number(fields[0], 16, UINT64_MAX, &error),
		.size = parse_number(fields[1], 16, UINT64_MAX, &error),
	};
	config->memory_count += error == 0;
	free(fields);
	return error;
}

static int parse_hostname(struct config *config, const struct record *record) {
	free(config->hostname);
	config->hostname = record_string(record);
	return config->hostname == NULL ? -EPROTO : 0;
}

static int parse_network(struct config *config, const struct record *record) {
	int error = 0;
	free(config->network);
	config->network = parse_list(record, 4, &error);
	return error;
}

static int parse_bus(struct config *config, const struct record *record) {
	int error = 0;
	free(config->bus);
	config->bus = parse_list(record, 1, &error);
	return error;
}

static int parse_zone(struct config *config, const struct record *record) {
	free(config->zone);
	config->zone = record_string(record);
	return config->zone == NULL ? -EPROTO : 0;
}

static int parse_sound(struct config *config, const struct record *record) {
	free(config->sound);
	config->sound = record_string(record);
	return config->sound == NULL ? -EPROTO : 0;
}

static int parse_resolv(struct config *config, const struct record *record) {
	free(config->resolv);
	config->resolv = record_string(record);
	return config->resolv == NULL ? -EPROTO : 0;
}

static int parse_exec(struct config *config, const struct record *record) {
	exec_finish(&config->exec);
	config->has_exec = true;
	return exec_parse(&config->exec, record->data, record->size);
}

static int parse_record(struct config *config, const struct record *record) {
	switch (record->key) {
	case GUEST_CONFIG_ROOT_9P:
		return parse_root(config, record, false);
	case GUEST_CONFIG_ROOT_BLOCK:
		return parse_root(config, record, true);
	case GUEST_CONFIG_MOUNT_9P:
		return parse_mount(config, record, CONFIG_MOUNT_9P);
	case GUEST_CONFIG_MOUNT_TMPFS:
		return parse_mount(config, record, CONFIG_MOUNT_TMPFS);
	case GUEST_CONFIG_SKELETON:
		return parse_mount(config, record, CONFIG_SKELETON);
	case GUEST_CONFIG_FILE:
		return parse_mount(config, record, CONFIG_FILE);
	case GUEST_CONFIG_OVERLAY:
		return parse_overlay(config, record);
	case GUEST_CONFIG_HOSTNAME:
		return parse_hostname(config, record);
	case GUEST_CONFIG_USER:
		return parse_user(&config->user, record);
	case GUEST_CONFIG_GROUP:
		return parse_group(config, record);
	case GUEST_CONFIG_MEMORY:
		return parse_memory(config, record);
	case GUEST_CONFIG_VERBOSE:
		config->verbose = true;
		return 0;
	case GUEST_CONFIG_EXEC:
		return parse_exec(config, record);
	case GUEST_CONFIG_TIMINGS:
		config->timings = true;
		return 0;
	case GUEST_CONFIG_NETWORK:
		return parse_network(config, record);
	case GUEST_CONFIG_RESOLV:
		return parse_resolv(config, record);
	case GUEST_CONFIG_SOUND:
		return parse_sound(config, record);
	case GUEST_CONFIG_BUS:
		return parse_bus(config, record);
	case GUEST_CONFIG_OPEN_URLS:
		config->open_urls = true;
		return 0;
	case GUEST_CONFIG_ZONE:
		return parse_zone(config, record);
	default:
		return -EPROTO;
	}
}

int config_parse(struct config *config, const uint8_t *data, size_t size) {
	struct record_reader reader = {.next = data, .left = size};
	struct record record;
	int result;
	*config = (struct config){0};
	while ((result = record_next(&reader, &record)) > 0) {
		result = parse_record(config, &record);
		if (result < 0) {
			break;
		}
	}
	return result;
}

static int read_all(int fd, uint8_t *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, data + done, size - done);
		if (n <= 0) {
			return n < 0 ? -errno : -EPROTO;
		}
		done += (size_t)n;
	}
	return 0;
}

int config_read(struct config *config, const char *path) {
	*config = (struct config){0};
	struct stat st;
	uint8_t *data = NULL;
	int result = -EPROTO;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	if (fstat(fd, &st) < 0 || st.st_size > INT_MAX) {
		goto out;
	}
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL) {
		result = -ENOMEM;
		goto out;
	}
	result = read_all(fd, data, (size_t)st.st_size);
	if (result == 0) {
		result = config_parse(config, data, (size_t)st.st_size);
	}
out:
	free(data);
	close(fd);
	return result;
}

void config_finish(struct config *config) {
	for (size_t i = 0; i < config->mount_count; i++) {
		free(config->mounts[i].fields);
	}
	for (size_t i = 0; i < config->group_count; i++) {
		free(config->groups[i].fields);
	}
	free(config->root);
	free(config->overlay);
	free(config->hostname);
	free(config->network);
	free(config->resolv);
	free(config->sound);
	free(config->bus);
	free(config->zone);
	free(config->user.fields);
	free(config->groups);
	free(config->mounts);
	free(config->memory);
	exec_finish(&config->exec);
	*config = (struct config){0};
}

static int parse_tty(struct exec *exec, const struct record *record) {
	int error = 0;
	char **fields = parse_list(record, 2, &error);
	if (fields == NULL) {
		return error;
	}
	exec->tty = true;
	exec->rows = (uint16_t)parse_number(fields[0], 10, UINT16_MAX, &error);
	exec->columns = (uint16_t)parse_number(fields[1], 10, UINT16_MAX, &error);
	free(fields);
	return error;
}

static int replace_list(char ***list, const struct record *record) {
	int error = 0;
	free(*list);
	*list = parse_list(record, 0, &error);
	return error;
}

static int parse_exec_record(struct exec *exec, const struct record *record) {
	switch (record->key) {
	case GUEST_EXEC_ARGV:
		return replace_list(&exec->argv, record);
	case GUEST_EXEC_ENV:
		return replace_list(&exec->env, record);
	case GUEST_EXEC_CWD:
		free(exec->cwd);
		exec->cwd = record_string(record);
		return exec->cwd == NULL ? -EPROTO : 0;
	case GUEST_EXEC_UID:
		exec->uid = (uid_t)record_u64(record, UINT32_MAX);
		return exec->uid == UINT32_MAX ? -EPROTO : 0;
	case GUEST_EXEC_UMASK:
		exec->umask = (mode_t)record_u64(record, 022) & 0777;
		return 0;
	case GUEST_EXEC_TTY:
		return parse_tty(exec, record);
	case GUEST_EXEC_STDERR:
		exec->own_stderr = true;
		return 0;
	default:
		return -EPROTO;
	}
}

int exec_parse(struct exec *exec, const uint8_t *data, size_t size) {
	struct record_reader reader = {.next = data, .left = size};
	struct record record;
	int result;
	*exec = (struct exec){.umask = 022};
	while ((result = record_next(&reader, &record)) > 0) {
		result = parse_exec_record(exec, &record);
		if (result < 0) {
			return result;
		}
	}
	if (result == 0 && exec->argv == NULL) {
		exec->argv = calloc(1, sizeof(*exec->argv));
	}
	if (result == 0 && exec->env == NULL) {
		exec->env = calloc(1, sizeof(*exec->env));
	}
	if (result == 0 && (exec->argv == NULL || exec->env == NULL)) {
		result = -ENOMEM;
	}
	return result;
}

void exec_finish(struct exec *exec) {
	free(exec->argv);
	free(exec->env);
	free(exec->cwd);
	*exec = (struct exec){0};
}
