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
#include "ph/net.h"
#include "ph/record.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PLAN_SHARES_MAX 16
#define PLAN_DISKS_MAX 8
#define PLAN_REALM_MAX 128 /* characters of a realm's name */

enum plan_root {
	PLAN_ROOT_SELF,  /* this system's / over 9p, read-only under a tmpfs overlay */
	PLAN_ROOT_IMAGE, /* disks[0] */
};

enum plan_sandbox {
	PLAN_SANDBOX_DEFAULT, /* all that this host has */
	PLAN_SANDBOX_STRICT,  /* the same, and none of it may be missing */
	PLAN_SANDBOX_OFF,     /* all devices in one process, unconfined, to debug */
};

/* What the guest's kernel checks a disk's blocks against: dm-verity's tree of hashes, which lies behind them.
 */
struct plan_verity {
	uint64_t blocks; /* of 4096 bytes; 0: the disk is used as it is */
	char root[65];   /* hash, in hexadecimal */
	char salt[513];  /* likewise; empty: none */
};

struct plan_disk {
	char *path;
	int fd; /* open and locked */
	enum block_mode mode;
	uint64_t offset; /* of its first byte in the file */
	uint64_t size;   /* bytes */
	struct plan_verity verity;
};

struct plan_share {
	struct files_share files;  /* what the server is told; files.root_fd is open */
	char *host_path;           /* for messages */
	char *guest_path;          /* where init mounts it; NULL for the root */
	const char *mount_options; /* beside trans=virtio,version=9p2000.L,msize=N */
	bool skeleton;             /* its files are copied into the home, and it is not there afterwards */
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

struct plan_sound {
	char *server; /* the path of its socket; NULL: there is no sound */
	bool microphone;
};

enum plan_net_kind {
	PLAN_NET_NONE,
	PLAN_NET_PASST, /* what the user's own sockets reach */
	PLAN_NET_TAP,
};

/* Of an address's text, with its prefix. */
#define PLAN_ADDRESS_SIZE 52

/* The network and what the guest is told of it: texts, empty where there is none. */
struct plan_net {
	enum plan_net_kind kind;
	char *passt;      /* its path */
	char **arguments; /* its command line, without what is decided at each of its starts */
	/* The interface that passt takes its link-local address from now; false: none has one. */
	bool (*find_interface)(char name[IF_NAMESIZE]);
	const char *resolver;       /* the address by which the guest reaches this host's own name server */
	char *tap;                  /* name of the interface */
	int tap_fds[NET_PAIRS_MAX]; /* its queues: open, non-blocking, with a virtio header */
	unsigned tap_queues;
	uint8_t mac[NET_MAC_SIZE];
	uint16_t mtu;
	/* ADDRESS/PREFIX, ADDRESS */
	char address4[PLAN_ADDRESS_SIZE], gateway4[PLAN_ADDRESS_SIZE];
	char address6[PLAN_ADDRESS_SIZE], gateway6[PLAN_ADDRESS_SIZE];
	char *resolv; /* the guest's resolv.conf, or NULL */
	/* What it would be if the plan were made now, malloc'ed, or NULL without memory; for a process that
	 * may open files. NULL: it stays as it is. */
	char *(*make_resolv)(void);
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
	char *tag; /* what its windows are marked with */
	enum display_clipboard clipboard;
	bool has_screen; /* programs find a compositor */
	bool no_card;    /* the display opens no graphics card of the host's */
	struct plan_net net;
	struct plan_sound sound;
	bool has_sound; /* programs find a sound server */
	struct plan_user user;
	/* A realm of Citadel's: its name and who its files belong to. NULL: none. The open realm is the
	 * plan's own. */
	struct realm *realm;
	char *realm_name;
	uint64_t overlay_size; /* bytes that changes to the root may take; 0: half of the RAM */
	bool root_sealed;      /* of the root, only /var can be written */
	char *palette;         /* what the terminal gets before the command runs, or NULL */
	bool private_home;     /* tmpfs */
	bool own_home;         /* the caller's own, which programs of this system use, too */
	bool open_urls;        /* on this host, for programs of the VM */
	char *zone;            /* time zone for an image's root, or NULL */
	char *gtk_settings;    /* for a home without any, or NULL */
	bool as_root;          /* the command runs as uid 0 */
	char **command;        /* argv; [0] == NULL: the shell */
	char **environment;    /* NAME=VALUE, NULL-terminated */
	char *cwd;
	char *hidden_cwd;       /* the caller's, which the VM does not show; NULL: it does */
	bool tty;               /* stdin and stdout are a terminal, and ours now */
	bool own_stderr;        /* stderr is something else than stdout, or than the terminal */
	uint16_t rows, columns; /* of it */
	mode_t umask;
	bool verbose, timings;
	enum plan_sandbox sandbox;
};

/* ---- making one: src/plan; the monitor only reads the struct ---- */

#define PLAN_PATHS_MAX 32
#define PLAN_ENV_MAX 64
#define PLAN_PUBLISH_MAX 32
#define PLAN_NET_ADDRESSES_MAX 2 /* one of each IP version */
#define PLAN_NET_DNS_MAX 3       /* as C libraries read no more */

/* What the user asked for, not yet looked at: strings are as typed and belong to whoever filled it in. */
struct plan_request {
	const char *name;    /* NULL: "ph" */
	const char *home;    /* shared as the guest user's home instead of the caller's own */
	const char *rootfs;  /* image to boot from instead of this system */
	const char *realm;   /* of Citadel's; its configuration decides on the image and the shares */
	const char *realmfs; /* a sealed image to boot from: its name on Citadel, or its file */
	const char *realmfs_key;
	bool require_signature, force, direct;
	unsigned partition;    /* of rootfs; 0: it has none */
	uint64_t overlay_size; /* 0: not given */
	const char *kernel, *append;
	bool private_home, as_root, verbose, timings;
	enum plan_sandbox sandbox;
	enum block_mode rootfs_mode;
	unsigned cpus;                       /* 0: all that ph may use, at most 16 */
	uint64_t memory;                     /* 0: half of what ph may have, at most 8 GiB */
	const char *shares[PLAN_SHARES_MAX]; /* HOST[:GUEST][:ro] */
	size_t share_count;
	const char *disks[PLAN_DISKS_MAX]; /* FILE[:ro] */
	size_t disk_count;
	const char *hide[PLAN_PATHS_MAX], *show[PLAN_PATHS_MAX];
	size_t hide_count, show_count;
	const char *uid_map[FILES_IDS_MAX]; /* GUEST:HOST[:COUNT] */
	size_t uid_map_count;
	bool no_wayland; /* although there is a compositor */
	const char *tag; /* NULL: the name, and of a VM without one what others join it by */
	enum display_clipboard clipboard;
	const char *wl_sockets[DISPLAY_SOCKETS_MAX - 2]; /* NAME=PATH */
	size_t wl_socket_count;
	const char *net;       /* NULL: none; "" or "passt"; "tap:IFACE" */
	bool no_net, no_sound; /* although a realm would have them */
	bool net_host_loopback;
	bool sound, microphone, open_urls;
	const char *publish[PLAN_PUBLISH_MAX]; /* [ADDRESS:]HOST:GUEST[/udp] */
	size_t publish_count;
	const char *net_address[PLAN_NET_ADDRESSES_MAX]; /* ADDRESS/PREFIX */
	size_t net_address_count;
	const char *net_gateway[PLAN_NET_ADDRESSES_MAX];
	size_t net_gateway_count;
	const char *net_dns[PLAN_NET_DNS_MAX];
	size_t net_dns_count;
	const char *env[PLAN_ENV_MAX]; /* NAME=VALUE, or NAME: the caller's value */
	size_t env_count;
	char **command; /* NULL-terminated; NULL: the shell */
};

/* Resolve a request. 0, or -errno with *error set; plan_finish() undoes either and accepts a zeroed plan. */
int plan_init(struct plan *plan, const struct plan_request *request, struct error *error);
void plan_finish(struct plan *plan);
/* Say so, when the command does not start where the caller is. Once it is certain that it does start. */
void plan_tell_directory(const struct plan *plan);
/* The command as records of enum guest_exec. */
void plan_put_exec(const struct plan *plan, struct record_buffer *exec);
/* What a VM with this plan tells those who join it, as records of enum instance_fact. */
void plan_put_facts(const struct plan *plan, struct record_buffer *facts);
/* Of a plan only what plan_put_exec() needs, for a command in a VM that told these facts. Likewise. */
int plan_init_join(struct plan *plan, const struct plan_request *request, const void *facts, size_t size,
	struct error *error);
/* Where the caller's compositor listens, if it does; false: nowhere. */
bool plan_wayland_path(char *path, size_t size);
/* The plan for a person to read (--dry-run). */
void plan_print(const struct plan *plan);
/* Citadel's realms, their state and image, to standard output. 0, or -errno with *error set. */
int plan_print_realms(struct error *error);
/* Whom root's ph becomes once the plan is made, for a realm: its home's owner. False: nobody. */
bool plan_runs_as(const struct plan *plan, uid_t *uid, gid_t *gid);
/* Whether what --realmfs says is the name of an image of Citadel's, and not a file. */
bool plan_is_image_name(const char *realmfs);
/* The name of the realm that is asked for. 0, or -errno with *error set. */
int plan_realm_name(const struct plan_request *request, char name[PLAN_REALM_MAX + 1], struct error *error);

#endif
