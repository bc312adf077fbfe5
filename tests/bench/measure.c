/*
 * measure COUNT COMMAND...: run COMMAND once to warm up and COUNT times more, with its input and output
 * thrown away, and print the medians of: its time from spawn to exit, that until the guest reset its machine
 * (0 unless KVM's exits for that are being traced), how much of it the processor was idle, all in
 * nanoseconds, and the exit status. Static, so that its own start costs nothing worth counting. A tool of the
 * bench, run as root on a host that counts instructions.
 *
 * A command that does not end within a minute of that host's time has its threads' stacks printed and is
 * killed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 32
#define LIMIT_SECONDS 60
#define TRACE "/sys/kernel/tracing/trace"

struct times {
	uint64_t whole, reset, idle;
};

static uint64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static uint64_t idle_time(void) {
	char line[256];
	unsigned long long idle = 0;
	FILE *list = fopen("/proc/timer_list", "r");
	while (list != NULL && fgets(line, sizeof(line), list) != NULL) {
		char *value = strstr(line, ".idle_sleeptime");
		if (value != NULL && (value = strchr(value, ':')) != NULL) {
			idle += strtoull(value + 1, NULL, 10);
		}
	}
	if (list != NULL) {
		fclose(list);
	}
	return idle;
}

static void clear_trace(void) {
	int fd = open(TRACE, O_WRONLY | O_TRUNC);
	if (fd >= 0) {
		close(fd);
	}
}

/* The trace's clock is the monotonic one; a line is "...  SECONDS.MICROSECONDS: kvm_exit: ...". */
static uint64_t traced_reset(void) {
	char line[512];
	double seconds = 0;
	FILE *trace = fopen(TRACE, "r");
	while (trace != NULL && fgets(line, sizeof(line), trace) != NULL) {
		char *event = line[0] == '#' ? NULL : strstr(line, ": kvm_exit:");
		if (event == NULL) {
			continue;
		}
		while (event > line && event[-1] != ' ') {
			event--;
		}
		seconds = strtod(event, NULL);
	}
	if (trace != NULL) {
		fclose(trace);
	}
	return (uint64_t)(seconds * 1e9);
}

static void print_file(const char *path) {
	char text[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (n > 0) {
		fprintf(stderr, "--- %s\n%.*s", path, (int)n, text);
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void print_threads(const char *pid) {
	static const char *const files[] = {"comm", "wchan", "syscall", "stack"};
	char path[512];
	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		for (size_t i = 0; entry->d_name[0] != '.' && i < sizeof(files) / sizeof(files[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%s/task/%s/%s", pid, entry->d_name, files[i]);
			print_file(path);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

/* Kernel threads included: what a process waits for may be one of them. */
static void print_all_threads(void) {
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
			print_threads(entry->d_name);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

static void do_nothing(int signo) {
	(void)signo;
}

static void wait_for(pid_t pid, int *status) {
	const struct sigaction action = {.sa_handler = do_nothing};
	sigaction(SIGALRM, &action, NULL);
	alarm(LIMIT_SECONDS);
	if (waitpid(pid, status, 0) < 0) {
		fprintf(stderr, "measure: process %d does not end:\n", (int)pid);
		print_all_threads();
		kill(pid, SIGKILL);
		waitpid(pid, status, 0);
	}
	alarm(0);
}

static struct times run_once(char **command, int *status) {
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	clear_trace();
	struct times times = {.idle = idle_time()};
	uint64_t start = now();
	if (posix_spawnp(&pid, command[0], &actions, NULL, command, environ) != 0) {
		exit(125);
	}
	wait_for(pid, status);
	times.whole = now() - start;
	times.idle = idle_time() - times.idle;
	uint64_t reset = traced_reset();
	times.reset = reset > start ? reset - start : 0;
	posix_spawn_file_actions_destroy(&actions);
	return times;
}

static int compare(const void *a, const void *b) {
	uint64_t left = ((const struct times *)a)->whole, right = ((const struct times *)b)->whole;
	return (left > right) - (left < right);
}

int main(int argc, char **argv) {
	struct times times[COUNT_MAX];
	int count = argc > 2 ? atoi(argv[1]) : 0, status = 0;
	if (count < 1 || count > COUNT_MAX) {
		return 2;
	}
	run_once(argv + 2, &status);
	for (int i = 0; i < count; i++) {
		times[i] = run_once(argv + 2, &status);
	}
	qsort(times, (size_t)count, sizeof(times[0]), compare);
	const struct times *median = &times[count / 2];
	printf("%llu %llu %llu %d\n", (unsigned long long)median->whole, (unsigned long long)median->reset,
		(unsigned long long)median->idle, WEXITSTATUS(status));
	return 0;
}
