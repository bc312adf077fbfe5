/*
 * Fuzz the end of a ph that attends to a command of a running VM: whatever the other end says, it ends with a
 * status or one line that tells why not, and keeps no descriptor. The VM's end is fuzz_instance.c's.
 *
 * Input: messages, see send_message().
 */
#include "input.h"

#include "ph/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATA_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int null = -1;

/* A message of right or wrong shape with up to four descriptors, where three may be. */
static void send_message(struct input *input, int fd) {
	uint8_t bytes[sizeof(struct instance_header) + DATA_MAX];
	struct instance_header header = {.type = take(input, 1) & 31, .value = take(input, 4)};
	unsigned what = take(input, 1), fds = what & 7, size = take(input, 1) * 2;
	size = (what & 0x80) != 0 ? size : size + (unsigned)sizeof(header);
	size = size < 1 ? 1 : size > sizeof(bytes) ? sizeof(bytes) : size;
	memcpy(bytes, &header, sizeof(header));
	for (unsigned i = sizeof(header); i < size; i++) {
		bytes[i] = (uint8_t)take(input, 1);
	}
	struct iovec part = {bytes, size};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	fds = fds > 4 ? 0 : fds;
	if (fds > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(fds * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		for (unsigned i = 0; i < fds; i++) {
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &null, sizeof(int));
		}
	}
	sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Its own standard streams lead nowhere meanwhile; what the sanitizers say does not. */
static void attend(struct input *input) {
	int saved[3], ends[2];
	struct error error = {0};
	struct instance_streams streams;
	sigset_t set;
	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
		require(dup2(null, i) == i);
	}
	__sanitizer_set_report_fd((void *)(uintptr_t)saved[2]);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	require(instance_make_streams(&streams, false, true) == 0);
	/* Most have the VM take the command first. */
	if (input->left % 8 != 0) {
		instance_send(ends[1], INSTANCE_STATE, 0, NULL, 0, NULL, 0);
	}
	while (input->left > 0) {
		send_message(input, ends[1]);
	}
	close(ends[1]);
	instance_close_streams(streams.theirs);
	int ret = instance_attend(ends[0], &streams, &error);
	close(ends[0]);
	instance_close_streams(streams.ours);
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	sigprocmask(SIG_SETMASK, &set, NULL);
	require(ret <= 255);
	require(ret >= 0 || ret == -EAGAIN || error.message[0] != '\0');
}

static unsigned count_fds(void) {
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/fd");
	require(folder != NULL);
	while (readdir(folder) != NULL) {
		count++;
	}
	closedir(folder);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {.next = data, .left = size};
	if (null < 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		require(null >= 0);
	}
	unsigned before = count_fds();
	attend(&input);
	require(count_fds() == before);
	return 0;
}
