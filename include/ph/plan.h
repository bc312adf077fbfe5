/*
 * The plan: what one run of ph will do, resolved from the command line, the environment and the
 * host before anything is started. Making it checks every object the user named; after that no
 * part of ph looks at options again. --dry-run prints it.
 */
#ifndef PH_PLAN_H
#define PH_PLAN_H

#include "ph/block.h"
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
	struct plan_user user;
	bool private_home;  /* tmpfs */
	bool as_root;       /* the command runs as uid 0 */
	char **command;     /* argv; [0] == NULL: the shell */
	char **environment; /* NAME=VALUE, NULL-terminated */
	char *cwd;
	bool tty; /* stdin and stdout are a terminal */
	bool verbose, timings;
	bool sandbox; /* workers are processes of their own (--sandbox=off: all in one) */
};

#endif
