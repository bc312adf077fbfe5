/* The boot configuration and the commands of the control port, as structures. */
#ifndef PH_GUEST_INIT_CONFIG_H
#define PH_GUEST_INIT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A command to run (enum guest_exec). Lists end with NULL. */
struct exec {
	char **argv; /* never NULL; empty: the user's shell */
	char **env;  /* never NULL */
	char *cwd;   /* or NULL */
	uid_t uid;
	mode_t umask;
	bool tty, own_stderr;
	uint16_t rows, columns;
};

enum config_mount_kind { CONFIG_MOUNT_9P, CONFIG_MOUNT_TMPFS, CONFIG_SKELETON, CONFIG_FILE };

struct config_mount {
	enum config_mount_kind kind;
	char **fields; /* as in enum guest_config, checked to be complete */
};

struct config_memory {
	uint64_t start, size;
};

struct config_user {
	char **fields; /* the allocation the strings point into */
	const char *name, *home, *shell, *gecos;
	uid_t uid;
	gid_t gid;
};

struct config_group {
	char **fields;
	const char *name;
	gid_t gid;
};

struct config {
	char **root;     /* fields of ROOT_9P or ROOT_BLOCK; NULL: none was given */
	bool root_block; /* which of the two */
	char **overlay;  /* fields of OVERLAY, or NULL */
	char *hostname;  /* or NULL */
	char **network;  /* fields of NETWORK, or NULL */
	char *resolv;    /* or NULL */
	char *sound;     /* or NULL */
	char **bus;      /* fields of BUS, or NULL */
	char *zone;      /* or NULL */
	bool open_urls;
	struct config_user user;
	struct config_group *groups;
	size_t group_count;
	struct config_mount *mounts;
	size_t mount_count;
	struct config_memory *memory;
	size_t memory_count;
	bool verbose, timings;
	bool has_exec;
	struct exec exec; /* session 1 */
};

/* 0, -EPROTO for bytes that are no configuration, -ENOMEM. Finish it in each case. */
int config_parse(struct config *config, const uint8_t *data, size_t size);
/* Read the whole file and parse it. */
int config_read(struct config *config, const char *path);
void config_finish(struct config *config);

int exec_parse(struct exec *exec, const uint8_t *data, size_t size);
void exec_finish(struct exec *exec);

#endif
