/* Descriptors that go over sockets: one arrives, and none of those that come beside it stays. */
#include "ph/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned count_fds(void) {
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return count;
}

static void make_pair(int ends[2]) {
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void test_one(void **state) {
	(void)state;
	int ends[2], pipe_ends[2];
	bool ended;
	char text[4];
	make_pair(ends);
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(fd_receive(ends[1], &ended), -1);
	assert_false(ended);
	assert_int_equal(fd_send(ends[0], pipe_ends[1], MSG_DONTWAIT), 0);
	int fd = fd_receive(ends[1], &ended);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "abc", 4), 4);
	assert_int_equal(read(pipe_ends[0], text, 4), 4);
	assert_string_equal(text, "abc");
	close(ends[0]);
	assert_int_equal(fd_receive(ends[1], &ended), -1);
	assert_true(ended);
	close(fd);
	close(ends[1]);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* Room for one descriptor in a control message is room for two, for it is rounded up. */
static void test_two(void **state) {
	(void)state;
	int ends[2], fds[2] = {STDIN_FILENO, STDOUT_FILENO};
	bool ended;
	char byte = 0, control[CMSG_SPACE(sizeof(fds))] = {0};
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	const struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	make_pair(ends);
	unsigned before = count_fds();
	assert_int_equal(sendmsg(ends[0], &message, 0), 1);
	int fd = fd_receive(ends[1], &ended);
	assert_true(fd >= 0);
	assert_int_equal(count_fds(), before + 1);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_two),
	};
	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
