/*
 * The plan: what one run of ph will do, resolved from the command line, the environment and the
 * host before anything is started. Making it checks every object the user named; after that no
 * part of ph looks at options again. --dry-run prints it.
 */
#ifndef PH_PLAN_H
#define PH_PLAN_H

#include "ph/block.h"
#include "ph/display.h"
#include "ph/error.h"
#include "ph/files.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PLAN_SHARES_MAX 16
#define PLAN_DISKS_MAX 8

enum plan_root {
	PLAN_ROOT_SELF,  /* this system's / over 9p, read-only under a tmpfs overlay */
	PLAN_ROOT_IMAGE, /* disks[0] */
};

enum plan_sandbox {
	PLAN_SANDBOX_DEFAULT, /* all that this host has */
	PLAN_SANDBOX_STRICT,  /* the same, and none of it may be missing */
	PLAN_SANDBOX_OFF,     /* all devices in one process, unconfined, to debug */
};

struct plan_disk {
	char *path;
	int fd; /* open and locked */
	enum block_mode mode;
	uint64_t size; /* bytes */
};

struct plan_share {
	struct files_share files;  /* what the server is told; files.root_fd is open */
	char *host_path;           /* for messages */
	char *guest_path;          /* where init mounts it; NULL for the root */
	const char *mount_options; /* beside trans=virtio,version=9p2000.L,msize=N */
};

/* The person the guest sees: the caller's identity, copied into the guest. */
struct plan_user {
	uid_t uid;
	gid_t gid;
	char *name, *home, *shell, *gecos;
	struct plan_group {
		gid_t gid;
		char *name;
	} * groups;
	size_t group_count;
};

struct plan {
	char *name;      /* of the VM: hostname */
	unsigned cpus;   /* 1 .. 16 */
	uint64_t memory; /* bytes of RAM, a multiple of 2 MiB */
	char *kernel;    /* NULL: the embedded one */
	char *append;    /* more kernel command line, or NULL */
	enum plan_root root;
	struct plan_share shares[PLAN_SHARES_MAX]; /* with PLAN_ROOT_SELF shares[0] is the root */
	size_t share_count;
	struct plan_disk disks[PLAN_DISKS_MAX];
	size_t disk_count;
	/* That the guest may connect to; none: there is no display device. */
	struct display_socket sockets[DISPLAY_SOCKETS_MAX];
	size_t socket_count;
	struct plan_user user;
	bool private_home;  /* tmpfs */
	bool as_root;       /* the command runs as uid 0 */
	char **command;     /* argv; [0] == NULL: the shell */
	char **environment; /* NAME=VALUE, NULL-terminated */
	char *cwd;
	bool tty; /* stdin and stdout are a terminal */
	bool verbose, timings;
	enum plan_sandbox sandbox;
};

/* ---- making one: src/plan; the monitor only reads the struct ---- */

#define PLAN_PATHS_MAX 32
#define PLAN_ENV_MAX 64

/* What the user asked for, not yet looked at: strings are as typed and belong to whoever filled it in. */
struct plan_request {
	const char *name;   /* NULL: "ph" */
	const char *home;   /* shared as the guest user's home instead of the caller's own */
	const char *rootfs; /* image to boot from instead of this system */
	const char *kernel, *append;
	bool private_home, as_root, verbose, timings;
	enum plan_sandbox sandbox;
	enum block_mode rootfs_mode;
	unsigned cpus;                       /* 0: all of the host's, at most 16 */
	uint64_t memory;                     /* 0: half of the host's, at most 8 GiB */
	const char *shares[PLAN_SHARES_MAX]; /* HOST[:GUEST][:ro] */
	size_t share_count;
	const char *disks[PLAN_DISKS_MAX]; /* FILE[:ro] */
	size_t disk_count;
	const char *hide[PLAN_PATHS_MAX], *show[PLAN_PATHS_MAX];
	size_t hide_count, show_count;
	const char *uid_map[FILES_IDS_MAX]; /* GUEST:HOST[:COUNT] */
	size_t uid_map_count;
	bool wayland;                                    /* the compositor, unfiltered */
	const char *wl_sockets[DISPLAY_SOCKETS_MAX - 1]; /* NAME=PATH */
	size_t wl_socket_count;
	const char *env[PLAN_ENV_MAX]; /* NAME=VALUE, or NAME: the caller's value */
	size_t env_count;
	char **command; /* NULL-terminated; NULL: the shell */
};

/* Resolve a request. 0, or -errno with *error set; plan_finish() undoes either and accepts a zeroed plan. */
int plan_init(struct plan *plan, const struct plan_request *request, struct error *error);
void plan_finish(struct plan *plan);
/* Where the caller's compositor listens, if it does; false: nowhere. */
bool plan_wayland_path(char *path, size_t size);
/* The plan for a person to read (--dry-run). */
void plan_print(const struct plan *plan);

#endif
