/*
 * Gives the guest its name, in the kernel and in the files where programs look for its address,
 * and a loopback network. Runs in ph-init before the first command.
 */
#include "guest/init/host.h"

#include "guest/init/mounts.h"
#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_FOLDER "/run/ph"

static void write_file(const char *folder, const char *name, const char *text) {
	char path[128];
	size_t len = strlen(text);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		report_problem("cannot write %s: %s", path, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

void host_write_names(const char *folder, const struct config *config) {
	const char *name = config->hostname;
	char text[320];
	snprintf(text, sizeof(text), "127.0.0.1 localhost\n127.0.1.1 %.255s\n::1 localhost ip6-localhost\n",
		name);
	write_file(folder, "hosts", text);
	snprintf(text, sizeof(text), "%.255s\n", name);
	write_file(folder, "hostname", text);
	if (config->resolv != NULL) {
		write_file(folder, "resolv.conf", config->resolv);
	}
}

/* Only over a plain file: what a link leads to may be anything. */
static void mount_over(const char *source, const char *target) {
	struct stat st;
	if (lstat(target, &st) < 0 || !S_ISREG(st.st_mode)) {
		report_verbose("%s of the root is no file and stays", target);
	} else if (mount(source, target, NULL, MS_BIND, NULL) < 0) {
		report_problem("cannot mount over %s: %s", target, strerror(errno));
	}
}

/* Often a link into /run, to what a service of the image would have written there. */
static void place_resolv(void) {
	char target[PATH_MAX], *path = realpath("/etc/resolv.conf", NULL);
	ssize_t len = readlink("/etc/resolv.conf", target, sizeof(target) - 1);
	if (path != NULL || len < 0) {
		mount_over(NAMES_FOLDER "/resolv.conf", path != NULL ? path : "/etc/resolv.conf");
		free(path);
		return;
	}
	target[len] = '\0';
	const char *run = strncmp(target, "../", 3) == 0 ? target + 2 : target;
	char *slash = strrchr(target, '/');
	if (strncmp(run, "/run/", 5) != 0) {
		report_verbose("/etc/resolv.conf of the root leads to %s and stays", target);
		return;
	}
	*slash = '\0';
	int result = mounts_make_folder(run, 0755);
	*slash = '/';
	if (result < 0 || symlink(NAMES_FOLDER "/resolv.conf", run) < 0) {
		report_problem("cannot make %s: %s", run, strerror(result < 0 ? -result : errno));
	}
}

/* The files of a root that is written to stay as they are. */
static bool is_kept(const struct config *config) {
	return strcmp(config->root[2], "rw") == 0;
}

/* The names are in the root already; name servers may be others later, when it is read-only. */
static void follow_names_when_sealed(const struct config *config) {
	if (config->resolv != NULL) {
		mount_over(NAMES_FOLDER "/resolv.conf", "/etc/resolv.conf");
	}
}

void host_set_name(const struct config *config) {
	const char *name = config->hostname;
	if (name == NULL) {
		return;
	}
	if (sethostname(name, strlen(name)) < 0) {
		report_problem("cannot set the host name %s: %s", name, strerror(errno));
	}
	if (!config->root_block || (!is_kept(config) && !mounts_will_seal_root(config))) {
		return;
	}
	if (mkdir(NAMES_FOLDER, 0755) < 0 && errno != EEXIST) {
		report_problem("cannot make %s: %s", NAMES_FOLDER, strerror(errno));
		return;
	}
	host_write_names(NAMES_FOLDER, config);
	if (!is_kept(config)) {
		follow_names_when_sealed(config);
		return;
	}
	mount_over(NAMES_FOLDER "/hosts", "/etc/hosts");
	mount_over(NAMES_FOLDER "/hostname", "/etc/hostname");
	if (config->resolv != NULL) {
		place_resolv();
	}
}

/* In place, because it may be mounted over the root's. The root's own is no link where init made it. */
void host_follow_names(const char *text, size_t size) {
	const char *path = NAMES_FOLDER "/resolv.conf";
	int fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		path = "/etc/resolv.conf";
		fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
		report_problem("this host has other name servers now, but cannot write %s: %s", path,
			strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

void host_raise_loopback(void) {
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
		report_problem("cannot bring the loopback network up: %s", strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* Programs tell the zone's name by the link. */
void host_set_zone(const struct config *config) {
	char target[512];
	if (config->zone == NULL) {
		return;
	}
	snprintf(target, sizeof(target), "/usr/share/zoneinfo/%s", config->zone);
	if (access(target, F_OK) < 0) {
		report_verbose("the root does not know the time zone %s", config->zone);
		return;
	}
	if ((unlink("/etc/localtime") < 0 && errno != ENOENT) || symlink(target, "/etc/localtime") < 0) {
		report_problem("cannot make /etc/localtime: %s", strerror(errno));
	}
	snprintf(target, sizeof(target), "%s\n", config->zone);
	write_file("/etc", "timezone", target);
}
