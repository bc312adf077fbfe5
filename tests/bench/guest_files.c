/*
 * What the bench does with a shared directory, in the guest. Each work finds the share freshly mounted and
 * its files as tests/bench/inside.sh made them, in the host's page cache.
 */
#include "work.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (1U << 20)
#define CHUNKS 16U
#define RANDOM_READS 1024U
#define FOLDERS 20
#define FILES 50
#define ROUNDS 1

static char buffer[CHUNK];
static char said[256];

static int open_or_fail(const char *path, int flags) {
	int fd = open(path, flags, 0644);
	if (fd < 0) {
		bench_fail(path);
	}
	return fd;
}

static unsigned read_sequential(void) {
	int fd = open_or_fail("/share/sequential", O_RDONLY);
	for (unsigned i = 0; i < CHUNKS; i++) {
		if (read(fd, buffer, CHUNK) != CHUNK) {
			bench_fail("read");
		}
	}
	close(fd);
	return CHUNKS;
}

static unsigned write_sequential(void) {
	int fd = open_or_fail("/share/written", O_WRONLY | O_CREAT | O_TRUNC);
	memset(buffer, 'x', CHUNK);
	for (unsigned i = 0; i < CHUNKS; i++) {
		if (write(fd, buffer, CHUNK) != CHUNK) {
			bench_fail("write");
		}
	}
	if (close(fd) < 0) {
		bench_fail("close");
	}
	return CHUNKS;
}

static unsigned read_random(void) {
	int fd = open_or_fail("/share/sequential", O_RDONLY);
	uint32_t state = 1;
	for (unsigned i = 0; i < RANDOM_READS; i++) {
		state = state * 1664525U + 1013904223U;
		off_t offset = (off_t)((state >> 8) % (CHUNKS * CHUNK / 4096)) * 4096;
		if (pread(fd, buffer, 4096, offset) != 4096) {
			bench_fail("pread");
		}
	}
	close(fd);
	return RANDOM_READS;
}

static unsigned for_each_file(void (*act)(const char *path)) {
	char path[64];
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < FOLDERS * FILES; i++) {
			snprintf(path, sizeof(path), "/share/tree/%02d/file%02d", i / FILES, i % FILES);
			act(path);
		}
	}
	return ROUNDS * FOLDERS * FILES;
}

static void stat_one(const char *path) {
	struct stat st;
	if (lstat(path, &st) < 0) {
		bench_fail(path);
	}
}

static void open_one(const char *path) {
	close(open_or_fail(path, O_RDONLY));
}

static unsigned stat_storm(void) {
	return for_each_file(stat_one);
}

static unsigned open_storm(void) {
	return for_each_file(open_one);
}

static unsigned read_directory(void) {
	unsigned entries = 0;
	DIR *dir = opendir("/share/many");
	while (dir != NULL && readdir(dir) != NULL) {
		entries++;
	}
	if (entries < 10000) {
		bench_fail("readdir");
	}
	closedir(dir);
	return entries;
}

static void wait_for(pid_t pid, const char *what) {
	char text[sizeof(said) + 64];
	int status = -1;
	if (waitpid(pid, &status, 0) < 0 || status != 0) {
		snprintf(text, sizeof(text), "%s (status %#x): %s", what, (unsigned)status, said);
		bench_fail(text);
	}
}

static unsigned unpack(void) {
	pid_t pid = fork();
	if (pid == 0) {
		execl("/share/busybox", "busybox", "tar", "-x", "-f", "/share/tree.tar", "-C",
			"/share/unpacked", (char *)NULL);
		_exit(127);
	}
	wait_for(pid, "tar");
	return 1;
}

/* Run a program of the host's root; its output comes back by a pipe. */
static pid_t start_in_root(const char *const argv[], int *output) {
	int ends[2];
	if (pipe(ends) < 0) {
		bench_fail("pipe");
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (chroot("/root") == 0 && chdir("/") == 0) {
			dup2(ends[1], STDOUT_FILENO);
			dup2(ends[1], STDERR_FILENO);
			execv(argv[0], (char *const *)argv);
		}
		_exit(127);
	}
	close(ends[1]);
	*output = ends[0];
	return pid;
}

static unsigned start_cold(void) {
	const char *const argv[] = {"/bin/bash", "-c", "echo hello", NULL};
	int output;
	pid_t pid = start_in_root(argv, &output);
	if (read(output, buffer, 1) != 1) {
		bench_fail("cold");
	}
	close(output);
	wait_for(pid, "bash");
	return 1;
}

static unsigned git_status(void) {
	const char *const argv[] = {
		"/usr/bin/git", "-C", "/mnt/repository", "-c", "safe.directory=*", "status", "-s", NULL};
	int output;
	if (mount("/share", "/root/mnt", NULL, MS_BIND, NULL) < 0) {
		bench_fail("bind");
	}
	pid_t pid = start_in_root(argv, &output);
	while (read(output, said, sizeof(said) - 1) > 0) {
	}
	close(output);
	wait_for(pid, "git");
	umount("/root/mnt");
	return 1;
}

const struct work file_works[] = {
	{"9p-read", 1, false, read_sequential},
	{"9p-write", 2, false, write_sequential},
	{"9p-random", 3, false, read_random},
	{"9p-stat", 4, false, stat_storm},
	{"9p-open", 5, false, open_storm},
	{"9p-readdir", 6, false, read_directory},
	{"9p-cold", 8, true, start_cold},
	{"9p-git", 9, true, git_status},
	{"9p-unpack", 7, false, unpack},
};
const size_t file_work_count = sizeof(file_works) / sizeof(file_works[0]);
