/*
 * What ph and ph-init say to each other. Compiled into both.
 *
 * 1. The boot configuration: records (record.h) in the file /ph.conf of the initramfs.
 * 2. The control port: frames on the virtio-console port named GUEST_CONTROL_PORT, both ways.
 *
 * Neither side trusts the other: ph bounds every frame and answers nonsense by ending the VM; the
 * guest's init is inside the boundary anyway.
 *
 * A conversation: the guest opens the port and sends READY, once and before anything else; ph
 * sends nothing before it. Session 1 exists from the start, others from their EXEC on. A session
 * ends with its EXIT: the guest sends nothing more for it, and ignores the frames for sessions it
 * does not know, because ph's may have crossed the EXIT. ph never uses a number twice.
 */
#ifndef PH_GUEST_H
#define PH_GUEST_H

#include <stdint.h>

#define GUEST_CONFIG_PATH "/ph.conf"
/* The program behind the guest's Wayland socket; there when the VM has a screen */
#define GUEST_WAYLAND_PATH "/ph-wayland"
#define GUEST_CONTROL_PORT "ph.control"
/* Commands look there first */
#define GUEST_BIN "/run/ph/bin"
/* In the runtime folder, where the guest's xdg-open finds init */
#define GUEST_URLS_SOCKET "ph-urls"

/* Keys of the boot configuration. "list" is a list record, in the order given. */
enum guest_config {
	GUEST_CONFIG_ROOT_9P = 1, /* list: tag, mount options. Read-only, under a tmpfs overlay */
	GUEST_CONFIG_ROOT_BLOCK =
		2, /* list: device, file-system type, "ro" or "rw". ro gets a tmpfs overlay */
	GUEST_CONFIG_MOUNT_9P =
		3, /* list: tag, path, mount options, "ro" or "rw". The path is made when missing */
	GUEST_CONFIG_MOUNT_TMPFS = 4, /* list: path, mode in octal, uid, gid */
	GUEST_CONFIG_HOSTNAME = 5,    /* string */
	GUEST_CONFIG_USER = 6,  /* list: name, uid, gid, home, shell, gecos. Added to passwd in the overlay
				   where missing */
	GUEST_CONFIG_GROUP = 7, /* list: name, gid. A group the user is in; added where missing */
	GUEST_CONFIG_MEMORY =
		8, /* list: start, size in hexadecimal: RAM to be added once the first command runs */
	GUEST_CONFIG_VERBOSE = 9,  /* empty: init tells what it does */
	GUEST_CONFIG_EXEC = 10,    /* records (enum guest_exec): session 1, started at once */
	GUEST_CONFIG_TIMINGS = 11, /* empty: send GUEST_FRAME_TIMING */
	GUEST_CONFIG_NETWORK = 12, /* list: of eth0: IPv4 address/prefix, its gateway, IPv6 address/prefix,
				      its gateway; "" for what it does not have */
	GUEST_CONFIG_RESOLV = 13,  /* string: what resolv.conf says */
	GUEST_CONFIG_SOUND = 14, /* string: the connection of virtio-wl which XDG_RUNTIME_DIR/pulse/native of
				    the user leads to */
	GUEST_CONFIG_BUS = 15, /* list: "only" or "but", then prefixes: which services the session bus of the
				  user may start, by their files' names. Absent: there is no bus */
	GUEST_CONFIG_OPEN_URLS = 16, /* empty: ph opens addresses on the host */
	GUEST_CONFIG_ZONE =
		17, /* string: the host's time zone, to be the root's, whose changes are not kept */
	GUEST_CONFIG_OVERLAY = 20,  /* list: size of the tmpfs for changes in bytes or "", "ro" or "rw". ro:
				       of the root only /var can be written, once init is done with it */
	GUEST_CONFIG_SKELETON = 21, /* list: tag, mount options, path, uid, gid. Its files are copied to the
				       path and given to that user */
	GUEST_CONFIG_FILE = 22,     /* list: path, mode in octal, text. Made in the mounts' order */
};

/* Records of a command to run: the body of GUEST_FRAME_EXEC and of GUEST_CONFIG_EXEC. */
enum guest_exec {
	GUEST_EXEC_ARGV = 1,   /* list; empty: the shell of the user */
	GUEST_EXEC_ENV = 2,    /* list of NAME=VALUE, the whole environment but for what init must add (HOME,
				  USER, SHELL where missing) */
	GUEST_EXEC_CWD = 3,    /* string; falls back to the home, then to / */
	GUEST_EXEC_UID = 4,    /* u64; 0 or the user's */
	GUEST_EXEC_TTY = 5,    /* list: rows, columns, in decimal. Absent: pipes */
	GUEST_EXEC_UMASK = 6,  /* u64; 022 when absent */
	GUEST_EXEC_STDERR = 7, /* empty: standard error is a pipe of its own, with a terminal, too. Absent: it
				 is where standard output is */
};

/* A frame: this header, then length bytes. Little endian. length at most GUEST_FRAME_MAX. */
struct guest_frame {
	uint16_t type; /* enum guest_frame_type */
	uint16_t zero;
	uint32_t session; /* which command; 0: the VM itself */
	uint32_t length;
};

#define GUEST_FRAME_MAX 65536
/* Of a resolv.conf. */
#define GUEST_NAMES_MAX 16384

enum guest_frame_type {
	/* to the guest */
	GUEST_FRAME_EXEC = 1,     /* start a command as a session ph chose (records) */
	GUEST_FRAME_STDIN = 2,    /* bytes for its standard input, within the window; length 0: end of file,
				     nothing follows. Bytes the command will never read need no credit */
	GUEST_FRAME_SIGNAL = 3,   /* u32: signal number, for its process group (tty: the foreground one) */
	GUEST_FRAME_WINSIZE = 4,  /* u16 rows, u16 columns */
	GUEST_FRAME_CREDIT = 5,   /* u32 bytes of output ph has passed on: the guest may send as many more
				     (stdout and stderr together) */
	GUEST_FRAME_SHUTDOWN = 6, /* end all sessions, sync, unmount, answer BYE, reset */
	GUEST_FRAME_HANGUP = 7,   /* ph's side of the session is gone: SIGHUP, end of its standard input,
				     drop its output. No STDIN follows; EXIT is still to come */
	GUEST_FRAME_CLOSE = 8,    /* u32, GUEST_FRAME_STDOUT or _STDERR: nobody reads that stream any more:
				     close the pipe's reading end and drop what was read, so that the
				     command meets SIGPIPE. Never sent for a session's terminal (HANGUP is) */
	GUEST_FRAME_TIME = 9,     /* u64: nanoseconds since 1970, of the host's clock; session 0 */
	GUEST_FRAME_URL_ANSWER = 10, /* u32, enum guest_url: to the URL of that number */
	GUEST_FRAME_NAMES = 11,      /* text: what resolv.conf says from now on; session 0 */
	/* from the guest */
	GUEST_FRAME_READY = 16,  /* init is up; sessions may come */
	GUEST_FRAME_STDOUT = 17, /* bytes, within the window; length 0: end of file (optional). A session
				    without GUEST_EXEC_STDERR has no other output */
	GUEST_FRAME_STDERR = 18, /* likewise */
	GUEST_FRAME_STDIN_CREDIT =
		19,            /* u32 bytes of STDIN the command has taken: ph may send as many more */
	GUEST_FRAME_EXIT = 20, /* u32: exit status 0..255, or 128 + signal; after all its output. 126/127 with
				  a STDERR line before: exec failed */
	GUEST_FRAME_LOG = 21,  /* text for the user: a failed optional step (ph shows it under --verbose) or,
				  session 0 first byte '!', an error */
	GUEST_FRAME_BYE = 22,  /* everything is synced and unmounted; text: why init could not go on, if so */
	GUEST_FRAME_TIMING =
		23, /* text: step name, a blank, nanoseconds since the guest's boot; one step a frame */
	GUEST_FRAME_URL =
		24, /* an address to open on the host; the session is a number of the guest's choice,
		       not 0, for the answer. One at a time, and with GUEST_CONFIG_OPEN_URLS only */
};

/* What became of an address. */
enum guest_url {
	GUEST_URL_OPENED,
	GUEST_URL_REFUSED,  /* not of a kind that is opened */
	GUEST_URL_TOO_MANY, /* for now */
	GUEST_URL_FAILED,   /* the host has nothing to open it with */
};
#define GUEST_URL_MAX 2048

/* How many bytes may be under way in each direction of a session before a CREDIT. */
#define GUEST_WINDOW (256 * 1024)

#endif
