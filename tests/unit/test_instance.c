/* The places of running VMs are their user's alone: folders, sockets and who is at their other ends. */
#include "ph/instance.h"

#include "instance/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/test_instance.XXXXXX";

static char *in_top(const char *name) {
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static int set_up(void **state) {
	(void)state;
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	return setenv("XDG_RUNTIME_DIR", top, 1);
}

static int tear_down(void **state) {
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void test_modes(void **state) {
	(void)state;
	struct instance instance;
	struct error error = {0};
	struct stat stat;
	assert_int_equal(instance_take(&instance, "box", &error), 0);
	assert_true(lstat(in_top("ph"), &stat) == 0 && (stat.st_mode & 07777) == 0700);
	assert_true(lstat(in_top("ph/box"), &stat) == 0 && (stat.st_mode & 07777) == 0700);
	assert_true(lstat(in_top("ph/box/lock"), &stat) == 0 && (stat.st_mode & 07777) == 0600);
	instance_give_up(&instance);
	assert_int_equal(access(in_top("ph/box"), F_OK), -1);
}

static void test_one_taker(void **state) {
	(void)state;
	struct instance first, second;
	struct error error = {0};
	assert_int_equal(instance_take(&first, "box", &error), 0);
	assert_int_equal(instance_take(&second, "box", &error), -EBUSY);
	instance_give_up(&first);
}

static void expect_refused(const char *reason) {
	struct instance instance;
	struct error error = {0};
	assert_true(instance_take(&instance, "box", &error) < 0);
	assert_non_null(strstr(error.message, reason));
	assert_null(strchr(error.message, '\n'));
	error = (struct error){0};
	assert_true(instance_connect("box", &error) < 0);
}

static void test_folders_of_others(void **state) {
	(void)state;
	rmdir(in_top("ph"));
	/* Open to others. */
	assert_int_equal(mkdir(in_top("ph"), 0700), 0);
	assert_int_equal(chmod(in_top("ph"), 0755), 0);
	expect_refused("not yours alone");
	assert_int_equal(chmod(in_top("ph"), 0700), 0);
	assert_int_equal(mkdir(in_top("ph/box"), 0700), 0);
	assert_int_equal(chmod(in_top("ph/box"), 0770), 0);
	expect_refused("cannot take the name box");
	/* Elsewhere. */
	assert_int_equal(rmdir(in_top("ph/box")), 0);
	assert_int_equal(symlink("/tmp", in_top("ph/box")), 0);
	expect_refused("cannot take the name box");
	assert_int_equal(unlink(in_top("ph/box")), 0);
	/* Somebody else's. */
	if (geteuid() == 0) {
		assert_int_equal(chown(in_top("ph"), 1000, 1000), 0);
		expect_refused("not yours alone");
		assert_int_equal(chown(in_top("ph"), 0, 0), 0);
	}
}

static void test_peers(void **state) {
	(void)state;
	int ends[2], status;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(instance_peer_is_own(ends[0]));
	if (geteuid() != 0) {
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		_exit(setresuid(1000, 1000, 1000) == 0 && !instance_peer_is_own(ends[0]) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ends[0]);
	close(ends[1]);
}

/* Descriptors come with a message of no bytes, which means the end: they are not kept. */
static void test_empty_message(void **state) {
	(void)state;
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message;
	int ends[2], given[2];
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr empty = {.msg_control = control, .msg_controllen = sizeof(control)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(pipe(given), 0);
	*CMSG_FIRSTHDR(&empty) = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&empty)), &given[1], sizeof(int));
	assert_int_equal(sendmsg(ends[0], &empty, 0), 0);
	close(given[1]);
	assert_int_equal(instance_receive(ends[1], buffer, &message), 0);
	char byte;
	assert_int_equal(read(given[0], &byte, 1), 0); /* nobody has the writing end any more */
	close(given[0]);
	close(ends[0]);
	close(ends[1]);
}

/* A VM that is there, in a process of its own. */
static pid_t start_vm(const struct record_buffer *facts, void (*serve)(int listener)) {
	int ends[2];
	char byte;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct instance instance;
		struct error error = {0};
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int listener = instance_take(&instance, "box", &error);
		listener = listener < 0 ? listener : instance_open(&instance, facts, &error);
		if (listener >= 0 && write(ends[1], "y", 1) == 1) {
			serve(listener);
		}
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

/* As one that was stopped. */
static void serve_nobody(int listener) {
	(void)listener;
	pause();
}

static pid_t start_silent(void) {
	const struct record_buffer facts = {0};
	return start_vm(&facts, serve_nobody);
}

static void await_end(pid_t pid) {
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (access(in_top("ph/box"), F_OK) == 0) {
		usleep(10000);
	}
}

/* Who asked and went away keeps a place in the socket's queue, which has an end. */
static void test_full_queue(void **state) {
	(void)state;
	pid_t pid = start_silent();
	int fd = 0;
	struct error error = {0};
	alarm(60);
	for (unsigned i = 0; i < 100000 && fd >= 0; i++) {
		fd = instance_connect("box", &error);
		close(fd);
	}
	alarm(0);
	assert_int_equal(fd, -ETIMEDOUT);
	assert_string_equal(error.message, "the VM box does not answer; ph --stop box ends it");
	kill(pid, SIGKILL);
	await_end(pid);
}

/* The process that is the VM can be found without its help, and no other is taken for it. */
static void test_monitor(void **state) {
	(void)state;
	assert_int_equal(instance_open_monitor("box"), -ENOENT);
	pid_t pid = start_silent();
	int process = instance_open_monitor("box");
	assert_true(process >= 0);
	struct pollfd ended = {.fd = process, .events = POLLIN};
	assert_int_equal(poll(&ended, 1, 0), 0);
	assert_int_equal(syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0), 0);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	close(process);
	await_end(pid);
	/* Somebody has the place, but is no monitor, or not yet. */
	struct instance instance;
	struct error error = {0};
	assert_int_equal(instance_take(&instance, "box", &error), 0);
	assert_int_equal(instance_open_monitor("box"), -ESRCH);
	instance_give_up(&instance);
}

#define HOSTILE \
	"\302\233" \
	"31m \302\235" \
	"0;title\302\234 \233m \033[m"
#define CLEAN "??31m ??0;title?? ?m ?[m"

/* What the guest's kernel, or a VM's command, would have terminals do. */
static void serve_hostile(int listener) {
	static const char text[] = "gr\303\274n\t" HOSTILE "\nlast\177";
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_message message;
	for (;;) {
		struct pollfd wait = {.fd = listener, .events = POLLIN};
		poll(&wait, 1, -1);
		int fd = wait.fd = accept(listener, NULL, NULL);
		if (poll(&wait, 1, -1) > 0 && instance_receive(fd, buffer, &message) > 0) {
			bool logs = message.type == INSTANCE_LOGS;
			instance_send(fd, logs ? INSTANCE_TEXT : INSTANCE_STATE, INSTANCE_RUNNING << 16, text,
				logs ? strlen(text) : 0, NULL, 0);
		}
		close(fd);
	}
}

/* What a function prints. */
static const char *printed_by(int (*print)(struct error *error)) {
	static char text[4096];
	struct error error = {0};
	int ends[2], saved = dup(STDOUT_FILENO);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	int ret = print(&error);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	ssize_t n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	assert_int_equal(ret, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int print_logs(struct error *error) {
	return instance_print_logs("box", error);
}

static void test_printable(void **state) {
	(void)state;
	struct record_buffer facts = {0};
	record_put_string(&facts, INSTANCE_FACT_COMMAND, HOSTILE);
	record_put_string(&facts, INSTANCE_FACT_ROOT, "123456789 123456789 123456789 12345678\303\274");
	pid_t pid = start_vm(&facts, serve_hostile);
	record_buffer_finish(&facts);
	assert_string_equal(printed_by(print_logs), "gr\303\274n\t" CLEAN "\nlast?");
	const char *list = printed_by(instance_list);
	assert_non_null(strstr(list, "box              running   "));
	assert_non_null(strstr(list, " 12345678 " CLEAN "\n"));
	kill(pid, SIGKILL);
	await_end(pid);
}

/* Root's ph, with the variable of the user whose shell it was started from. */
static void test_directory_of_anothers(void **state) {
	(void)state;
	struct error error = {0};
	if (geteuid() != 0) {
		skip();
	}
	mkdir(in_top("ph"), 0700);
	assert_int_equal(chown(top, 1000, 1000) | chmod(in_top("ph"), 0755), 0);
	int base = instance_open_base(false, &error);
	assert_int_equal(chmod(in_top("ph"), 0700) | chown(top, 0, 0), 0);
	assert_null(strstr(error.message, top));
	assert_true(base >= 0 || base == -ENOENT);
	close(base);
}

/* Where nothing can be looked for, that nothing was found is no answer. */
/* After su(1), which leaves the variable as it was. */
static void test_directory_of_root(void **state) {
	(void)state;
	int status;
	if (geteuid() != 0) {
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct error error = {0};
		bool failed = setresuid(54321, 54321, 54321) < 0 || instance_open_base(true, &error) >= 0;
		_exit(failed || strstr(error.message, "/run/user/54321") == NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_no_runtime_directory(void **state) {
	(void)state;
	struct error error = {0};
	setenv("XDG_RUNTIME_DIR", in_top("nowhere"), 1);
	assert_true(instance_list(&error) < 0);
	assert_non_null(strstr(error.message, "XDG_RUNTIME_DIR should name one of yours"));
	error = (struct error){0};
	assert_true(instance_stop("box", &error) < 0);
	assert_non_null(strstr(error.message, "XDG_RUNTIME_DIR should name one of yours"));
	setenv("XDG_RUNTIME_DIR", top, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_one_taker),
		cmocka_unit_test(test_folders_of_others),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_empty_message),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_no_runtime_directory),
		cmocka_unit_test(test_directory_of_anothers),
		cmocka_unit_test(test_directory_of_root),
	};
	return cmocka_run_group_tests_name("instance", tests, set_up, tear_down);
}
