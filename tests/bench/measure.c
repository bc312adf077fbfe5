/*
 * measure COUNT COMMAND...: run COMMAND once to warm up and COUNT times more, with its output thrown away,
 * and print the median of its time from spawn to exit in nanoseconds. Static, so that its own start costs
 * nothing worth counting. A tool of the bench, run on a host that counts instructions.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 32

static uint64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static uint64_t run_once(char **command, int *status) {
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	uint64_t start = now();
	if (posix_spawnp(&pid, command[0], &actions, NULL, command, environ) != 0) {
		exit(125);
	}
	waitpid(pid, status, 0);
	uint64_t end = now();
	posix_spawn_file_actions_destroy(&actions);
	return end - start;
}

static int compare(const void *a, const void *b) {
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

int main(int argc, char **argv) {
	uint64_t times[COUNT_MAX];
	int count = argc > 2 ? atoi(argv[1]) : 0, status = 0;
	if (count < 1 || count > COUNT_MAX) {
		return 2;
	}
	run_once(argv + 2, &status);
	for (int i = 0; i < count; i++) {
		times[i] = run_once(argv + 2, &status);
	}
	qsort(times, (size_t)count, sizeof(times[0]), compare);
	printf("%llu %d\n", (unsigned long long)times[count / 2], WEXITSTATUS(status));
	return 0;
}
