/*
 * within SECONDS COMMAND...: run COMMAND and give its status, but kill it and its children, and fail with
 * 124, once SECONDS of the real clock are over. A tool of the bench, run as root on a host that counts
 * instructions: that host's own clock hardly moves while a guest spins, for each of the pauses between takes
 * the emulator as long as thousands of instructions. Its RTC is the machine's outside.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLOCK "/sys/class/rtc/rtc0/since_epoch"
#define FAILED 125
#define TOO_LONG 124

static long long real_seconds(void) {
	long long seconds = 0;
	FILE *file = fopen(CLOCK, "r");
	if (file == NULL || fscanf(file, "%lld", &seconds) != 1) {
		fputs("within: no " CLOCK "\n", stderr);
		exit(FAILED);
	}
	fclose(file);
	return seconds;
}

static pid_t start(char **command) {
	posix_spawnattr_t attributes;
	pid_t pid;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	int error = posix_spawnp(&pid, command[0], NULL, &attributes, command, environ);
	posix_spawnattr_destroy(&attributes);
	return error == 0 ? pid : -1;
}

int main(int argc, char **argv) {
	const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
	if (argc < 3) {
		return FAILED;
	}
	long long end = real_seconds() + atoll(argv[1]);
	int status = 0;
	pid_t pid = start(argv + 2);
	if (pid < 0) {
		return FAILED;
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (real_seconds() >= end) {
			kill(-pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return TOO_LONG;
		}
		nanosleep(&pause, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
