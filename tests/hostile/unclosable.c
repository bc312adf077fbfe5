/*
 * A program that hands the proxy of the VM a file of its own FUSE file system, which does not answer when it
 * is closed there: that holds up nobody else. Runs in the guest; prints TAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static unsigned number;
static int device;

static void result(bool good, const char *name) {
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++number, name);
	fflush(stdout);
}

static void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY);
	if (write(fd, text, strlen(text)) < 0) {
		perror(path);
	}
	close(fd);
}

/* ---- a file system with one file ---- */

static bool mount_own(const char *path) {
	char users[32], groups[32], options[64];
	snprintf(users, sizeof(users), "0 %u 1", getuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getgid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		return false;
	}
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", users);
	write_file("/proc/self/gid_map", groups);
	device = open("/dev/fuse", O_RDWR);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	return mount("own", path, "fuse", 0, options) == 0;
}

static void answer(uint64_t unique, int error, const void *data, size_t size) {
	char bytes[512];
	struct fuse_out_header header = {(uint32_t)(sizeof(header) + size), error, unique};
	memcpy(bytes, &header, sizeof(header));
	if (size > 0) {
		memcpy(bytes + sizeof(header), data, size);
	}
	if (write(device, bytes, header.len) < 0) {
		perror("/dev/fuse");
	}
}

/* The program's own close() is the only one that is answered; of the next it tells through the pipe. */
static void serve(int told) {
	static char bytes[1 << 17];
	const struct fuse_in_header *in = (const void *)bytes;
	unsigned flushes = 0;
	while (read(device, bytes, sizeof(bytes)) > 0) {
		struct fuse_entry_out entry = {
			.nodeid = 2, .attr = {.ino = 2, .mode = S_IFREG | 0666, .nlink = 1}};
		struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 65536};
		struct fuse_open_out open = {.fh = 1};
		if (in->opcode == FUSE_INIT) {
			answer(in->unique, 0, &init, sizeof(init));
		} else if (in->opcode == FUSE_LOOKUP) {
			answer(in->unique, 0, &entry, sizeof(entry));
		} else if (in->opcode == FUSE_OPEN) {
			answer(in->unique, 0, &open, sizeof(open));
		} else if (in->opcode == FUSE_FLUSH && flushes++ > 0) {
			if (write(told, "", 1) < 0) {
				perror("pipe");
			}
		} else if (in->opcode == FUSE_FLUSH) {
			answer(in->unique, 0, NULL, 0);
		} else if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET) {
			answer(in->unique, -ENOSYS, NULL, 0);
		}
	}
	_exit(0);
}

/* ---- the proxy ---- */

static int connect_proxy(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *folder = getenv("XDG_RUNTIME_DIR"), *name = getenv("WAYLAND_DISPLAY");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

/* wl_display.sync, and a descriptor that nothing asks for */
static bool send_sync(int socket, uint32_t id, int fd) {
	const uint32_t words[] = {1, 12 << 16, id};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec part = {(void *)words, sizeof(words)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof(words);
}

static bool is_ready(int fd) {
	struct pollfd ready = {fd, POLLIN, 0};
	return poll(&ready, 1, PATIENCE_MS) == 1;
}

static bool answers(int socket, uint32_t id) {
	uint32_t words[16];
	return send_sync(socket, id, -1) && is_ready(socket) && read(socket, words, sizeof(words)) > 0 &&
	       words[0] == id;
}

int main(void) {
	static const char path[] = "/tmp/own";
	int ends[2], before = connect_proxy();
	result(answers(before, 2), "a program that behaves is served");
	mkdir(path, 0755);
	bool good = pipe(ends) == 0 && mount_own(path);
	result(good, "a file system of a program's own");
	if (good && fork() == 0) {
		serve(ends[1]);
	}
	int file = open("/tmp/own/file", O_RDWR), other = connect_proxy();
	result(send_sync(other, 2, file), "a file of it for the proxy");
	close(file);
	close(other);
	result(is_ready(ends[0]), "which closes it, and waits");
	result(answers(before, 3), "the other program is served");
	int after = connect_proxy();
	result(answers(after, 2), "so is one that comes later");
	printf("1..%u\n", number);
	return 0;
}
