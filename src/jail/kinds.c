/* What each kind of process or thread keeps. A table; the system calls have their own in calls.c. */
#include "jail/parts.h"

#include <linux/capability.h>

#define CAPABILITY(name) (UINT64_C(1) << (name))

/*
 * Root's file server serves root's files: it reads and writes whatever their modes say, changes modes and
 * times of other people's, and gives files away, as root does outside. Nothing else of root's power is left:
 * no device nodes, no mounts, no other processes.
 *
 * Set-id bits, anybody's file server: fchmodat gives set-gid, which folders need, and the kernel holds that
 * to the process's own groups. Nothing else that may be called gives either.
 */
#define SERVE_ANY_FILE \
	(CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_FOWNER) | \
		CAPABILITY(CAP_CHOWN))

const struct jail_traits jail_traits[JAIL_KINDS] = {
	[JAIL_MONITOR] = {.name = "monitor",
		.what = "the machine, disks, console, control port",
		.makes_threads = true,
		.signals_others = true,
		.writes_files = true},
	[JAIL_VCPU] = {.name = "vcpu",
		.what = "a thread of the monitor for each virtual CPU",
		.is_thread = true},
	[JAIL_DISK] = {.name = "disk",
		.what = "a thread of the monitor for each queue of a disk",
		.is_thread = true},
	[JAIL_FILES] = {.name = "files",
		.what = "the file server",
		.root_capabilities = SERVE_ANY_FILE,
		.any_files = true,
		.shows_owners = true,
		.has_namespaces = true,
		.makes_threads = true,
		.writes_files = true},
	[JAIL_DISPLAY] = {.name = "display",
		.what = "the display server",
		.has_namespaces = true,
		.writes_files = true},
	[JAIL_SOUND] = {.name = "sound",
		.what = "the filter before the sound server",
		.has_namespaces = true},
	[JAIL_CONNECTOR] = {.name = "connector",
		.what = "connects to the compositor and the sound server",
		.root_capabilities = CAPABILITY(CAP_DAC_OVERRIDE), /* which may be a user's */
		.has_namespaces = true},
	[JAIL_NET] = {.name = "net", .what = "the network device", .has_namespaces = true},
	[JAIL_TERMINAL] = {.name = "terminal", .what = "puts the terminal back when the monitor was killed"},
};
