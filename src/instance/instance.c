/*
 * A VM's folder in the runtime directory: taking it, opening it to others, finding it. Main thread, before
 * the VM starts, and in those who come later. The folder is the caller's alone, which is checked; names are
 * checked by the command line.
 */
#include "ph/instance.h"

#include "instance/parts.h"
#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANY_MAX 999
#define FACTS_MAX (256 * 1024)
/* Taking races with clearing up: each round somebody got further. */
#define ROUNDS_MAX 100
/* Who asks a VM that accepts nobody, one that was stopped, say, waits until its queue is full, and then no
 * longer than this. */
#define CONNECT_SECONDS 2

/* ---- folders ---- */

/* As su(1) leaves it in the environment. What root made there would keep that user's own VMs out, and others
 * may make nothing. */
static bool is_anothers(const char *path) {
	struct stat st;
	bool another = stat(path, &st) == 0 && st.st_uid != geteuid();
	return another && (geteuid() == 0 || faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0);
}

static int open_runtime(char *path, size_t size) {
	const char *given = getenv("XDG_RUNTIME_DIR");
	if (given != NULL && given[0] == '/' && !is_anothers(given)) {
		snprintf(path, size, "%s", given);
	} else if (geteuid() == 0) {
		snprintf(path, size, "/run");
	} else {
		snprintf(path, size, "/run/user/%u", geteuid());
	}
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A directory beneath another, ours alone, made if need be. */
static int open_own(int parent, const char *name, bool make) {
	if (make && mkdirat(parent, name, 0700) < 0 && errno != EEXIST) {
		return -errno;
	}
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	struct stat stat;
	if (fstat(fd, &stat) < 0 || stat.st_uid != geteuid() || (stat.st_mode & 077) != 0) {
		fd_close(&fd);
		return -EPERM;
	}
	return fd;
}

int instance_open_base(bool make, struct error *error) {
	char path[256];
	int runtime = open_runtime(path, sizeof(path));
	if (runtime < 0) {
		/* That is not to say that no VM runs. */
		return error_set(error, runtime == -ENOENT ? -ENOTDIR : runtime,
			"no directory for running VMs: %s: %s; XDG_RUNTIME_DIR should name one of yours",
			path, strerror(-runtime));
	}
	int base = open_own(runtime, "ph", make);
	fd_close(&runtime);
	if (base < 0 && base != -ENOENT) {
		return error_set(error, base, "%s/ph: %s", path,
			base == -EPERM ? "not yours alone (mode 700)" : strerror(-base));
	}
	return base;
}

int instance_lock(int folder, int operation) {
	int fd = openat(folder, INSTANCE_LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	if (flock(fd, operation | LOCK_NB) < 0) {
		int ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		fd_close(&fd);
		return ret;
	}
	return fd;
}

/* Whether the lock still is the one that others will find, and not one that was cleared away meanwhile. */
static bool is_current(const struct instance *instance) {
	char path[INSTANCE_NAME_MAX + 8];
	struct stat ours, found;
	snprintf(path, sizeof(path), "%s/" INSTANCE_LOCK, instance->name);
	return fstat(instance->lock_fd, &ours) == 0 && fstatat(instance->base_fd, path, &found, 0) == 0 &&
	       ours.st_ino == found.st_ino && ours.st_dev == found.st_dev;
}

static void forget(struct instance *instance) {
	fd_close(&instance->lock_fd);
	fd_close(&instance->folder_fd);
	fd_close(&instance->base_fd);
}

/* One try: 0; -EBUSY; -ESTALE: again; or -errno. */
static int try_take(struct instance *instance, const char *name, struct error *error) {
	*instance = (struct instance){.base_fd = -1, .folder_fd = -1, .lock_fd = -1, .janitor_fd = -1};
	snprintf(instance->name, sizeof(instance->name), "%s", name);
	instance->base_fd = instance_open_base(true, error);
	if (instance->base_fd < 0) {
		return instance->base_fd == -ENOENT ? -ESTALE : instance->base_fd;
	}
	int ret = instance->folder_fd = open_own(instance->base_fd, name, true);
	if (ret >= 0) {
		int made = openat(
			instance->folder_fd, INSTANCE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		ret = made < 0 ? -errno : instance_lock(instance->folder_fd, LOCK_EX);
		fd_close(&made);
	}
	if (ret >= 0) {
		instance->lock_fd = ret;
		ret = is_current(instance) ? 0 : -ESTALE;
	}
	if (ret < 0) {
		forget(instance);
	}
	return ret == -ENOENT ? -ESTALE : ret;
}

int instance_take(struct instance *instance, const char *name, struct error *error) {
	int ret = -ESTALE;
	for (unsigned i = 0; i < ROUNDS_MAX && ret == -ESTALE; i++) {
		ret = try_take(instance, name, error);
	}
	return ret < 0 && ret != -EBUSY
		       ? error_set(error, ret, "cannot take the name %s: %s", name, strerror(-ret))
		       : ret;
}

int instance_take_any(struct instance *instance, struct error *error) {
	int ret = -EBUSY;
	for (unsigned i = 1; i <= ANY_MAX && ret == -EBUSY; i++) {
		char name[INSTANCE_NAME_MAX];
		snprintf(name, sizeof(name), "ph-%u", i);
		ret = instance_take(instance, name, error);
	}
	return ret;
}

void instance_clear(int base, int folder, const char *name) {
	unlinkat(folder, INSTANCE_SOCKET, 0);
	unlinkat(folder, INSTANCE_FACTS, 0);
	unlinkat(folder, INSTANCE_LOCK, 0);
	unlinkat(base, name, AT_REMOVEDIR);
}

void instance_give_up(struct instance *instance) {
	if (instance->name[0] != '\0' && instance->janitor_fd < 0) {
		instance_clear(instance->base_fd, instance->folder_fd, instance->name);
	}
	instance_finish(instance);
}

void instance_finish(struct instance *instance) {
	if (instance->name[0] != '\0') {
		forget(instance);
		instance->name[0] = '\0';
	}
	if (instance->janitor_fd > 0) {
		fd_close(&instance->janitor_fd);
	}
}

/* ---- opening it ---- */

/* A socket's address in an open folder: paths may be longer than an address can hold. */
static struct sockaddr_un address_of(int folder) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" INSTANCE_SOCKET, folder);
	return address;
}

static int write_facts(int folder, const struct record_buffer *facts) {
	if (facts->failed) {
		return -ENOMEM;
	}
	int fd = openat(folder, INSTANCE_FACTS, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	int ret = fd_write_all(fd, facts->data, facts->size);
	fd_close(&fd);
	return ret;
}

static int listen_in(int folder) {
	const struct sockaddr_un address = address_of(folder);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	unlinkat(folder, INSTANCE_SOCKET, 0);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	return fd;
}

/* flock(2) locks are shared by the processes of a VM. This one is the monitor's alone, and the kernel tells
 * others whose it is. */
static int mark_monitor(const struct instance *instance) {
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(instance->lock_fd, F_SETLK, &lock) < 0 ? -errno : 0;
}

int instance_open(struct instance *instance, const struct record_buffer *facts, struct error *error) {
	int ret = mark_monitor(instance);
	if (ret == 0) {
		ret = write_facts(instance->folder_fd, facts);
	}
	if (ret == 0) {
		ret = instance_start_janitor(instance);
	}
	int fd = ret < 0 ? ret : listen_in(instance->folder_fd);
	return fd < 0 ? error_set(error, fd, "cannot open the VM %s to others: %s", instance->name,
				strerror(-fd))
		      : fd;
}

/* ---- finding it ---- */

int instance_open_folder(const char *name, struct error *error) {
	int base = instance_open_base(false, error);
	if (base < 0) {
		return base;
	}
	int folder = open_own(base, name, false);
	fd_close(&base);
	return folder;
}

static bool is_running(int folder) {
	int lock = instance_lock(folder, LOCK_SH);
	bool running = lock == -EBUSY;
	fd_close(&lock);
	return running;
}

/* 0; -EAGAIN: nobody listens; -ETIMEDOUT: nobody accepts; or -errno. */
static int connect_to(int fd, int folder) {
	const struct sockaddr_un address = address_of(folder);
	const struct timeval wait = {.tv_sec = CONNECT_SECONDS};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return errno == ENOENT || errno == ECONNREFUSED ? -EAGAIN
		       : errno == EAGAIN                        ? -ETIMEDOUT
								: -errno;
	}
	return instance_peer_is_own(fd) ? 0 : -EPERM;
}

static int connect_in(int folder) {
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	int ret = connect_to(fd, folder);
	if (ret < 0) {
		fd_close(&fd);
	}
	return ret < 0 ? ret : fd;
}

int instance_connect(const char *name, struct error *error) {
	int folder = instance_open_folder(name, error);
	if (folder < 0) {
		return folder == -ENOENT ? folder
					 : error_set(error, folder, "VM %s: %s", name, strerror(-folder));
	}
	int fd = is_running(folder) ? connect_in(folder) : -ENOENT;
	fd_close(&folder);
	if (fd == -ETIMEDOUT) {
		return error_set(error, fd, "the VM %s does not answer; ph --stop %s ends it", name, name);
	}
	return fd >= 0 || fd == -ENOENT || fd == -EAGAIN
		       ? fd
		       : error_set(error, fd, "cannot reach the VM %s: %s", name, strerror(-fd));
}

/* Whose mark the lock in a folder has: 0 when it has none, or its process cannot be named here. */
static pid_t find_monitor(int folder) {
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = openat(folder, INSTANCE_LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool marked = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0;
	fd_close(&fd);
	return marked ? lock.l_pid : 0;
}

int instance_open_monitor(const char *name) {
	int folder = instance_open_folder(name, NULL);
	if (folder < 0) {
		return folder;
	}
	pid_t pid = find_monitor(folder);
	int process = pid == 0 ? -ESRCH : (int)syscall(SYS_pidfd_open, pid, 0);
	if (process == -1) {
		process = -errno;
	}
	/* Who has the mark now is alive under this number: what was opened is that process, or it is one that
	 * is no more. */
	if (process >= 0 && find_monitor(folder) != pid) {
		fd_close(&process);
		process = -ESRCH;
	}
	fd_close(&folder);
	return process;
}

ssize_t instance_read_facts(const char *name, uint8_t **facts) {
	int folder = instance_open_folder(name, NULL);
	int fd = folder < 0 ? -1 : openat(folder, INSTANCE_FACTS, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t size = folder < 0 ? folder : fd < 0 ? -errno : 0;
	struct stat stat;
	*facts = NULL;
	if (size == 0 && (fstat(fd, &stat) < 0 || stat.st_size > FACTS_MAX)) {
		size = -EPROTO;
	}
	if (size == 0) {
		*facts = malloc((size_t)stat.st_size + 1);
		size = *facts == NULL ? -ENOMEM : fd_read_all(fd, *facts, (size_t)stat.st_size);
	}
	if (size == 0) {
		size = stat.st_size;
	} else {
		free(*facts);
		*facts = NULL;
	}
	fd_close(&fd);
	fd_close(&folder);
	return size;
}
