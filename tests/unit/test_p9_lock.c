/*
 * Byte-range locks over 9P2000.L: ranges and owners in the guest, and processes of the host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "p9_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ = 0, WRITE = 1, UNLOCK = 2 };
enum { SUCCESS = 0, BLOCKED = 1 };

/* Fids 1 and 2 have the same file open. */
static int setup(void **state) {
	struct p9_client *client = malloc(sizeof(*client));
	p9_client_init(client, false, NULL);
	client->server.locks.wait_ms = 600 * 1000; /* however slow the machine is */
	p9_client_attach(client);
	p9_host_make(client, "file", "content");
	assert_int_equal(p9_walk_open(client, 1, "file", 2), 0);
	assert_int_equal(p9_walk_open(client, 2, "file", 2), 0);
	*state = client;
	return 0;
}

static int teardown(void **state) {
	p9_client_finish(*state);
	free(*state);
	return 0;
}

static int lock(
	struct p9_client *c, uint32_t fid, int type, uint64_t start, uint64_t length, unsigned process) {
	assert_int_equal(p9_call(c, P9_TLOCK, "wbwqqws", fid, type, 0, start, length, process, "guest"), 0);
	return p9_u8(c);
}

/* For writing, and waited for: how the wait ended. */
static int wait_for_lock(
	struct p9_client *c, uint32_t fid, uint64_t start, uint64_t length, uint32_t process) {
	uint8_t type;
	int error;
	p9_send(c, P9_TLOCK, "wbwqqws", fid, WRITE, 1, start, length, process, "guest");
	assert_true(p9_ready(c, 10000));
	p9_receive(c, &type, &error);
	assert_int_equal(error, 0);
	return p9_u8(c);
}

struct answer {
	int type;
	uint64_t start, length;
	uint32_t process;
};

static struct answer test_lock(
	struct p9_client *c, uint32_t fid, int type, uint64_t start, uint64_t length, unsigned process) {
	struct answer answer;
	assert_int_equal(p9_call(c, P9_TGETLOCK, "wbqqws", fid, type, start, length, process, "guest"), 0);
	answer.type = p9_u8(c);
	answer.start = p9_u64(c);
	answer.length = p9_u64(c);
	answer.process = p9_u32(c);
	assert_string_equal(p9_str(c), "guest");
	return answer;
}

/* What a process of the host, with an open file of its own, would be told. */
static int host_try(struct p9_client *c, short type, off_t start, off_t len) {
	struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	int fd = openat(c->directory_fd, "file", O_RDWR | O_CLOEXEC);
	int ret = fcntl(fd, F_OFD_SETLK, &wanted) < 0 ? BLOCKED : SUCCESS;
	close(fd);
	return ret;
}

static void test_owners(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(lock(c, 1, WRITE, 10, 10, 100), SUCCESS);
	/* Another process, on whichever fid. */
	assert_int_equal(lock(c, 1, READ, 15, 1, 200), BLOCKED);
	assert_int_equal(lock(c, 2, READ, 0, 0, 200), BLOCKED);
	assert_int_equal(lock(c, 2, WRITE, 20, 5, 200), SUCCESS);
	/* The same process on the other fid: its own lock is no obstacle, and it releases it from there. */
	assert_int_equal(lock(c, 2, READ, 10, 10, 100), SUCCESS);
	assert_int_equal(lock(c, 1, READ, 10, 10, 200), SUCCESS);
	assert_int_equal(lock(c, 1, UNLOCK, 10, 10, 100), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 10, 10), BLOCKED); /* 200 reads */
	assert_int_equal(host_try(c, F_RDLCK, 10, 10), SUCCESS);
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 200), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), SUCCESS);
}

static void test_ranges(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(lock(c, 1, WRITE, 0, 100, 1), SUCCESS);
	/* A hole, a weaker piece, and what is left of it on the host. */
	assert_int_equal(lock(c, 1, UNLOCK, 40, 20, 1), SUCCESS);
	assert_int_equal(lock(c, 1, READ, 0, 10, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 40, 20), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 39, 1), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 60, 1), BLOCKED);
	assert_int_equal(host_try(c, F_RDLCK, 0, 10), SUCCESS);
	assert_int_equal(host_try(c, F_RDLCK, 0, 11), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 100, 0), SUCCESS);
	/* To the end of the file, and at the end of all. */
	assert_int_equal(lock(c, 1, WRITE, 1000, 0, 1), SUCCESS);
	assert_int_equal(host_try(c, F_RDLCK, INT64_MAX - 1, 1), BLOCKED);
	assert_int_equal(lock(c, 1, WRITE, 1000, UINT64_MAX, 1), SUCCESS);
	assert_int_equal(lock(c, 1, WRITE, INT64_MAX, 1, 1), SUCCESS);
	assert_int_equal(
		p9_call(c, P9_TLOCK, "wbwqqws", 1, WRITE, 0, UINT64_MAX, UINT64_C(0), 1, "guest"), EINVAL);
	assert_int_equal(
		p9_call(c, P9_TLOCK, "wbwqqws", 1, 3, 0, UINT64_C(0), UINT64_C(0), 1, "guest"), EINVAL);
	assert_int_equal(
		p9_call(c, P9_TLOCK, "wbwqqws", 1, WRITE, 4, UINT64_C(0), UINT64_C(0), 1, "guest"), EINVAL);
	assert_int_equal(
		p9_call(c, P9_TLOCK, "wbwqqws", 0, WRITE, 0, UINT64_C(0), UINT64_C(0), 1, "guest"), EBADF);
}

static void test_getlock(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(test_lock(c, 1, WRITE, 0, 0, 1).type, UNLOCK);
	assert_int_equal(lock(c, 1, READ, 10, 5, 1), SUCCESS);
	assert_int_equal(test_lock(c, 2, READ, 0, 0, 2).type, UNLOCK);
	struct answer answer = test_lock(c, 2, WRITE, 0, 0, 2);
	assert_int_equal(answer.type, READ);
	assert_int_equal(answer.start, 10);
	assert_int_equal(answer.length, 5);
	assert_int_equal(answer.process, 1);
	/* No type: any lock at all, as Linux asks. */
	assert_int_equal(test_lock(c, 2, UNLOCK, 12, 1, 2).type, READ);
	assert_int_equal(test_lock(c, 1, WRITE, 0, 0, 1).type, UNLOCK); /* one's own */
	struct flock host = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 0};
	int fd = openat(c->directory_fd, "file", O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &host), 0);
	answer = test_lock(c, 1, READ, 20, 100, 1);
	assert_int_equal(answer.type, WRITE);
	assert_int_equal(answer.start, 50);
	assert_int_equal(answer.length, 0);
	close(fd);
}

static void test_host_process(void **state) {
	struct p9_client *c = *state;
	/* A POSIX lock, which belongs to a process. */
	int to_child[2], to_parent[2];
	char byte = 0;
	assert_int_equal(pipe(to_child) | pipe(to_parent), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock host = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
		int fd = openat(c->directory_fd, "file", O_RDWR);
		byte = fcntl(fd, F_SETLK, &host) == 0;
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) {
			_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	assert_int_equal(lock(c, 1, READ, 5, 1, 1), BLOCKED);
	assert_int_equal(lock(c, 1, WRITE, 10, 5, 1), SUCCESS);
	/* Waiting for it, which ends when the process does. */
	p9_send(c, P9_TLOCK, "wbwqqws", 1, WRITE, 1, UINT64_C(0), UINT64_C(10), 1, "guest");
	assert_false(p9_ready(c, 50));
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	uint8_t type;
	int error, status;
	p9_receive(c, &type, &error);
	assert_int_equal(error, 0);
	assert_int_equal(p9_u8(c), SUCCESS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
}

/* A lock goes with the fid it was taken through, at the latest. */
static void test_clunk(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(lock(c, 1, WRITE, 0, 10, 1), SUCCESS);
	assert_int_equal(lock(c, 2, WRITE, 20, 10, 2), SUCCESS);
	assert_int_equal(p9_clunk(c, 1), 0);
	assert_int_equal(host_try(c, F_WRLCK, 0, 10), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 20, 10), BLOCKED);
	/* A process that only shares the file does not take the other's lock away by its end. */
	assert_int_equal(lock(c, 2, UNLOCK, 0, 0, 3), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 20, 10), BLOCKED);
	assert_int_equal(p9_clunk(c, 2), 0);
	assert_int_equal(host_try(c, F_WRLCK, 20, 10), SUCCESS);
}

/* A host that does not answer a lock, which is then held: files without locks are closed all the same. */
static void test_stalled(void **state) {
	struct p9_client *c = *state;
	uint8_t type;
	int error;
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 1), SUCCESS);
	pthread_mutex_lock(&c->server.locks.lock);
	uint16_t closing = p9_send(c, P9_TCLUNK, "w", 1);
	bool closed = p9_ready(c, 10000);
	pthread_mutex_unlock(&c->server.locks.lock);
	assert_true(closed);
	assert_int_equal(p9_receive(c, &type, &error), closing);
	assert_int_equal(error, 0);
}

/* flock(2) locks for writing what is open for reading; the host can hold that for reading alone. */
static void test_read_only(void **state) {
	(void)state;
	struct p9_client *c = malloc(sizeof(*c));
	p9_client_init(c, true, NULL);
	p9_client_attach(c);
	p9_host_make(c, "file", "content");
	assert_int_equal(p9_walk_open(c, 1, "file", 0), 0);
	assert_int_equal(p9_walk_open(c, 2, "file", 0), 0);
	assert_int_equal(lock(c, 1, WRITE, 0, 0, 1), SUCCESS);
	assert_int_equal(lock(c, 2, READ, 0, 0, 2), BLOCKED);
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 1), SUCCESS);
	assert_int_equal(lock(c, 2, WRITE, 0, 0, 2), SUCCESS);
	p9_client_finish(c);
	free(c);
}

/* The root: the guest has its locks among its own, and none that the host would wait for. */
static void test_private(void **state) {
	struct p9_client *c = *state;
	struct flock host = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 1};
	c->server.config.private_locks = true;
	assert_int_equal(lock(c, 1, READ, 0, 0, 1), SUCCESS);
	assert_int_equal(lock(c, 2, READ, 0, 0, 2), SUCCESS);
	assert_int_equal(lock(c, 1, WRITE, 0, 10, 1), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), SUCCESS);
	assert_int_equal(lock(c, 2, UNLOCK, 0, 0, 2), SUCCESS);
	int fd = openat(c->directory_fd, "file", O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &host), 0);
	assert_int_equal(lock(c, 1, WRITE, 0, 0, 1), SUCCESS);
	assert_int_equal(test_lock(c, 1, WRITE, 0, 0, 1).type, UNLOCK);
	assert_int_equal(test_lock(c, 2, READ, 0, 0, 2).process, 1);
	close(fd);
	assert_int_equal(p9_clunk(c, 1), 0);
	assert_int_equal(lock(c, 2, WRITE, 0, 0, 2), SUCCESS);
}

/* What the host does with a file that is locked: 0, or the error with which it cannot execute it. */
static int host_execute(struct p9_client *c, const char *name) {
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char *const nothing[] = {NULL};
		int fd = openat(c->directory_fd, name, O_RDONLY);
		fexecve(fd, nothing, nothing);
		_exit(errno);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* Nobody has to open a file for writing who locks it for reading, nor to exclude others from a program. */
static void test_executed(void **state) {
	struct p9_client *c = *state;
	p9_host_make(c, "program", "no program");
	assert_int_equal(fchmodat(c->directory_fd, "program", 0755, 0), 0);
	assert_int_equal(p9_walk_open(c, 3, "program", 0), 0);
	assert_int_equal(p9_walk_open(c, 4, "program", 0), 0);
	assert_int_equal(lock(c, 3, READ, 0, 0, 1), SUCCESS);
	assert_int_equal(host_execute(c, "program"), ENOEXEC);
	assert_int_equal(lock(c, 3, WRITE, 0, 0, 1), SUCCESS);
	assert_int_equal(host_execute(c, "program"), ENOEXEC);
	assert_int_equal(lock(c, 4, WRITE, 0, 0, 2), BLOCKED);
	assert_int_equal(lock(c, 3, UNLOCK, 0, 0, 1), SUCCESS);
}

/* Who waits for a lock for writing, or is refused one, has opened nothing so: neither what somebody of the
 * host holds, nor what another one of the guest reads. */
static void test_refused(void **state) {
	struct p9_client *c = *state;
	struct flock host = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
	struct inotify_event event;
	char path[sizeof(c->directory) + 8];
	c->server.locks.wait_ms = 200;
	int fd = openat(c->directory_fd, "file", O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &host), 0);
	snprintf(path, sizeof(path), "%s/file", c->directory);
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	assert_true(inotify_add_watch(watch, path, IN_CLOSE_WRITE) >= 0);
	assert_int_equal(wait_for_lock(c, 1, 0, 10, 1), BLOCKED);
	assert_int_equal(lock(c, 2, READ, 10, 10, 2), SUCCESS);
	assert_int_equal(lock(c, 1, WRITE, 0, 5, 1), BLOCKED);
	assert_int_equal(lock(c, 1, WRITE, 10, 5, 1), BLOCKED);
	assert_int_equal(lock(c, 2, UNLOCK, 0, 0, 2), SUCCESS);
	assert_int_equal(read(watch, &event, sizeof(event)), -1);
	assert_int_equal(lock(c, 1, WRITE, 10, 5, 1), SUCCESS);
	assert_int_equal(lock(c, 1, UNLOCK, 10, 5, 1), SUCCESS);
	assert_int_equal(read(watch, &event, sizeof(event)), sizeof(event));
	close(watch);
	close(fd);
}

/* Two of them: the one does not have what the other has, though neither can hold it for writing. */
static void test_executed_by_two(void **state) {
	struct p9_client *c = *state, other;
	p9_client_init_on(&other, c->directory, false, NULL);
	p9_client_attach(&other);
	assert_int_equal(fchmodat(c->directory_fd, "file", 0755, 0), 0);
	assert_int_equal(p9_walk_open(c, 3, "file", 0), 0);
	assert_int_equal(p9_walk_open(&other, 3, "file", 0), 0);
	assert_int_equal(lock(c, 3, WRITE, 0, 0, 1), SUCCESS);
	assert_int_equal(lock(&other, 3, WRITE, 0, 0, 1), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), BLOCKED);
	assert_int_equal(lock(c, 3, UNLOCK, 0, 0, 1), SUCCESS);
	assert_int_equal(lock(&other, 3, WRITE, 0, 0, 1), SUCCESS);
	assert_int_equal(p9_clunk(&other, 3), 0);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), SUCCESS);
	/* p9_client_finish() would remove the directory. */
	strcpy(other.directory, "/");
	p9_client_finish(&other);
}

/* Held for reading first, then for writing: what was held stays so, on the host, too. */
static void test_read_then_write(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(lock(c, 1, READ, 0, 10, 1), SUCCESS);
	assert_int_equal(lock(c, 2, READ, 5, 10, 2), SUCCESS);
	assert_int_equal(lock(c, 1, WRITE, 20, 10, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 0, 1), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 14, 1), BLOCKED);
	assert_int_equal(host_try(c, F_RDLCK, 0, 15), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 15, 5), SUCCESS);
	assert_int_equal(host_try(c, F_RDLCK, 20, 10), BLOCKED);
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 0, 5), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 5, 10), BLOCKED);
}

/* A program, locked by who has it open to read, and then by who has it open to write. */
static void test_write_after_all(void **state) {
	struct p9_client *c = *state;
	assert_int_equal(fchmodat(c->directory_fd, "file", 0755, 0), 0);
	assert_int_equal(p9_walk_open(c, 3, "file", 0), 0);
	assert_int_equal(lock(c, 3, WRITE, 0, 10, 1), SUCCESS);
	assert_int_equal(host_try(c, F_RDLCK, 0, 10), SUCCESS);
	assert_int_equal(lock(c, 1, WRITE, 20, 10, 2), SUCCESS);
	assert_int_equal(host_try(c, F_RDLCK, 20, 10), BLOCKED);
	assert_int_equal(host_try(c, F_RDLCK, 0, 10), BLOCKED);
}

/* Of one file there are so many: each has to be looked at when one is set or released. */
static void test_many(void **state) {
	struct p9_client *c = *state;
	unsigned count = 0;
	int error = 0;
	for (; count < 5000 && error == 0; count += error == 0) {
		error = p9_call(
			c, P9_TLOCK, "wbwqqws", 1, READ, 0, UINT64_C(2) * count, UINT64_C(1), 1, "guest");
	}
	assert_int_equal(error, ENOLCK);
	assert_int_equal(count, 4096);
	/* Those of other files are others. */
	p9_host_make(c, "other", "");
	assert_int_equal(p9_walk_open(c, 3, "other", 2), 0);
	assert_int_equal(lock(c, 3, WRITE, 0, 0, 1), SUCCESS);
	/* One that would be two is one more, too. */
	assert_int_equal(lock(c, 1, UNLOCK, 0, 1, 1), SUCCESS);
	assert_int_equal(lock(c, 1, READ, 10000, 3, 1), SUCCESS);
	assert_int_equal(
		p9_call(c, P9_TLOCK, "wbwqqws", 1, UNLOCK, 0, UINT64_C(10001), UINT64_C(1), 1, "guest"),
		ENOLCK);
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), SUCCESS);
}

/* Many owners, each with the whole file, and many pieces of it beneath, given up all at once. */
static void test_many_dropped(void **state) {
	struct p9_client *c = *state;
	uint8_t type;
	int error;
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(lock(c, 1, READ, 0, 0, 10 + i), SUCCESS);
		assert_int_equal(lock(c, 2, READ, 2 * i, 1, 1), SUCCESS);
	}
	p9_send(c, P9_TCLUNK, "w", 1);
	assert_true(p9_ready(c, 20000));
	p9_receive(c, &type, &error);
	assert_int_equal(error, 0);
	assert_int_equal(host_try(c, F_WRLCK, 1998, 1), BLOCKED);
	assert_int_equal(host_try(c, F_WRLCK, 1999, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 4000, 0), SUCCESS);
}

/* Waiting for another owner in the guest. */
static void test_wait(void **state) {
	struct p9_client *c = *state;
	uint8_t type;
	int error;
	assert_int_equal(lock(c, 1, WRITE, 0, 10, 1), SUCCESS);
	uint16_t waiting = p9_send(c, P9_TLOCK, "wbwqqws", 2, WRITE, 1, UINT64_C(5), UINT64_C(1), 2, "guest");
	assert_false(p9_ready(c, 50));
	uint16_t releasing =
		p9_send(c, P9_TLOCK, "wbwqqws", 1, UNLOCK, 0, UINT64_C(0), UINT64_C(0), 1, "guest");
	uint16_t first = p9_receive(c, &type, &error), second = p9_receive(c, &type, &error);
	assert_true((first == waiting && second == releasing) || (first == releasing && second == waiting));
	assert_int_equal(lock(c, 1, READ, 5, 1, 1), BLOCKED);
}

/* A wait that takes long is given up: only between two requests does a guest's kernel take signals. */
static void test_long_wait(void **state) {
	struct p9_client *c = *state;
	c->server.locks.wait_ms = 50;
	assert_int_equal(lock(c, 1, WRITE, 0, 10, 1), SUCCESS);
	assert_int_equal(wait_for_lock(c, 2, 5, 1, 2), BLOCKED);
	/* It is not in the way of the next. */
	assert_int_equal(lock(c, 1, UNLOCK, 0, 0, 1), SUCCESS);
	assert_int_equal(host_try(c, F_WRLCK, 0, 0), SUCCESS);
	assert_int_equal(lock(c, 2, WRITE, 5, 1, 2), SUCCESS);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_getlock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clunk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalled, setup, teardown),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test_setup_teardown(test_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_executed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_executed_by_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_then_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_after_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_wait, setup, teardown),
	};
	p9_drop_root();
	return cmocka_run_group_tests_name("p9 locks", tests, NULL, NULL);
}
