/*
 * Takes the VM down in order: nothing that was written may be lost, and a disk is left clean.
 * Runs in ph-init once all other processes are gone.
 */
#include "guest/init/shutdown.h"

#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#define MOUNTS_MAX 512

/* Mounts that hold nothing beyond the VM's life. For 9p, sync() has done everything: unmounting would only
 * return thousands of cached files to the server one by one. */
static bool needs_unmount(const char *type, const char *options) {
	(void)options;
	static const char *const types[] = {
		"9p", "overlay", "tmpfs", "proc", "sysfs", "devtmpfs", "devpts", "mqueue", "cgroup2"};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i]) == 0) {
			return false;
		}
	}
	return true;
}

/* /proc/mounts writes blanks as \040. */
static void decode_octal(char *text) {
	char *to = text;
	for (char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' &&
			from[3] != '\0') {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Whether a share can be written to from here. */
static bool is_written_share(const char *type, const char *options) {
	return strcmp(type, "9p") == 0 && strncmp(options, "rw", 2) == 0;
}

/* The points of those mounts that are wanted, in the order they were mounted. */
static size_t read_mounts(bool (*wanted)(const char *type, const char *options), char *points[MOUNTS_MAX]) {
	char *line = NULL, *rest;
	size_t size = 0, count = 0;
	FILE *file = fopen("/proc/self/mounts", "re");
	while (file != NULL && count < MOUNTS_MAX && getline(&line, &size, file) > 0) {
		rest = line;
		strtok_r(rest, " ", &rest);
		char *point = strtok_r(rest, " ", &rest), *type = strtok_r(rest, " ", &rest);
		if (point != NULL && type != NULL && wanted(type, rest)) {
			decode_octal(point);
			points[count] = strdup(point);
			count += points[count] != NULL;
		}
	}
	free(line);
	if (file != NULL) {
		fclose(file);
	}
	return count;
}

/*
 * sync() tells nobody what it could not write, nor does a program hear of it that does not look at what
 * close() returns.
 */
static void report_lost_writes(void) {
	char *points[MOUNTS_MAX] = {0};
	size_t count = read_mounts(is_written_share, points);
	for (size_t i = 0; i < count && points[i] != NULL; i++) {
		int fd = open(points[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && syncfs(fd) < 0) {
			report_error("not all that was written to %s could be stored: %s", points[i],
				strerror(errno));
		}
		if (fd >= 0) {
			close(fd);
		}
		free(points[i]);
	}
}

void shutdown_filesystems(void) {
	char *points[MOUNTS_MAX];
	sync();
	size_t count = read_mounts(needs_unmount, points);
	while (count > 0) {
		const char *point = points[--count];
		if (umount2(point, UMOUNT_NOFOLLOW) < 0 &&
			mount(NULL, point, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0) {
			report_problem("cannot unmount %s: %s", point, strerror(errno));
		}
		free(points[count]);
		/* What was unmounted may have been a file of a share. */
		sync();
	}
	report_lost_writes();
}

void shutdown_machine(struct port *port) {
	const char *reason = report_reason();
	port_send(port, GUEST_FRAME_BYE, 0, reason, strlen(reason));
	port_drain(port);
	reboot(RB_AUTOBOOT);
	abort();
}
