/*
 * /dev/wl0 under load, against wl_server.c on the host: many threads and connections at once, receivers that
 * stall on either side, quotas, processes killed in the middle of things, and vfds by the thousand. Runs in
 * the guest; prints TAP.
 *
 * usage: wl_load VFDS [ROUNDS], where ROUNDS multiplies what is sent, or wl_load unbind DEVICE (as root),
 * which takes the driver away from under its users
 */
#define _GNU_SOURCE
#include "wl_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define THREADS 8
#define CONNECTIONS 8
#define ALL_CONNECTIONS (THREADS * CONNECTIONS)

static unsigned rounds = 1;

static void run_threads(void *(*function)(void *), void **arguments, unsigned count) {
	pthread_t threads[ALL_CONNECTIONS * THREADS];
	for (unsigned i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, function, arguments[i]) != 0) {
			perror("thread");
			exit(1);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
	}
}

/* Until only this many connections are left beside the one that asks: ends take their time. */
static bool connections_are(unsigned long wanted) {
	for (int i = 0; i < 1000; i++) {
		char data[16] = "";
		int vfd = ask("count\n");
		ssize_t n = vfd < 0 ? -1 : read(vfd, data, sizeof(data) - 1);
		close(vfd);
		if (n > 0 && strtoul(data, NULL, 10) == wanted) {
			return true;
		}
		usleep(10000);
	}
	return false;
}

/* ---- many at once ---- */

struct echoer {
	uint32_t seed;
	bool good;
};

static bool echoed(int vfd, uint32_t seed, uint64_t position, size_t size) {
	uint8_t data[6000];
	wl_pattern_fill(seed, position, data, size);
	if (!write_all(vfd, data, size)) {
		return false;
	}
	memset(data, 0, size);
	return read_all(vfd, data, size) && wl_pattern_holds(seed, position, data, size);
}

/* A thread with connections of its own, in turns. */
static void *echo_on_many(void *argument) {
	struct echoer *echoer = argument;
	int vfds[CONNECTIONS];
	echoer->good = true;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		vfds[i] = ask("echo\n");
	}
	for (uint64_t position = 0; position < 40000ULL * rounds && echoer->good;) {
		size_t size = 1 + (position * 7 + echoer->seed) % 6000;
		for (unsigned i = 0; i < CONNECTIONS; i++) {
			echoer->good = echoer->good &&
				       echoed(vfds[i], echoer->seed * CONNECTIONS + i, position, size);
		}
		position += size;
	}
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		close(vfds[i]);
	}
	return NULL;
}

static void test_many(void) {
	struct echoer echoers[THREADS];
	void *arguments[THREADS];
	bool good = true;
	for (unsigned i = 0; i < THREADS; i++) {
		echoers[i] = (struct echoer){.seed = i};
		arguments[i] = &echoers[i];
	}
	run_threads(echo_on_many, arguments, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		good = good && echoers[i].good;
	}
	check(good, "64 connections of 8 threads keep their bytes apart");
	check(connections_are(0), "and are closed");
}

struct writer {
	int vfd;
	uint32_t thread, records;
};

static void *write_records(void *argument) {
	struct writer *writer = argument;
	struct wl_record records[3];
	for (uint32_t i = 0; i < writer->records; i += 3) {
		for (uint32_t k = 0; k < 3; k++) {
			records[k].thread = writer->thread;
			records[k].number = i + k;
			wl_pattern_fill(writer->thread, i + k, records[k].fill, sizeof(records[k].fill));
		}
		/* write(2) and SEND in turns */
		if (i % 2 == 0 ? write(writer->vfd, records, sizeof(records)) != sizeof(records)
			       : send_fds(writer->vfd, records, sizeof(records), NULL, 0) < 0) {
			break;
		}
	}
	return NULL;
}

static void test_shared(void) {
	struct writer writers[THREADS];
	void *arguments[THREADS];
	int vfd = ask("records 2400 0\n");
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){vfd, i, 300};
		arguments[i] = &writers[i];
	}
	run_threads(write_records, arguments, THREADS);
	check(hears(vfd, "good 2400\n"), "8 threads on one connection: no message is cut in two");
	close(vfd);
}

/* 512 threads: as many connections as there may well be, and each of them shared by 8. */
static void test_all_shared(void) {
	static struct writer writers[ALL_CONNECTIONS * THREADS];
	static void *arguments[ALL_CONNECTIONS * THREADS];
	int vfds[ALL_CONNECTIONS];
	uint32_t records = 6 * rounds;
	char line[64];
	for (unsigned i = 0; i < ALL_CONNECTIONS; i++) {
		snprintf(line, sizeof(line), "records %u 0\n", records * THREADS);
		vfds[i] = ask(line);
		for (unsigned k = 0; k < THREADS; k++) {
			writers[i * THREADS + k] = (struct writer){vfds[i], k, records};
			arguments[i * THREADS + k] = &writers[i * THREADS + k];
		}
	}
	run_threads(write_records, arguments, ALL_CONNECTIONS * THREADS);
	snprintf(line, sizeof(line), "good %u\n", records * THREADS);
	bool good = true;
	for (unsigned i = 0; i < ALL_CONNECTIONS; i++) {
		good = good && hears(vfds[i], line);
		close(vfds[i]);
	}
	check(good && connections_are(0), "64 connections with 8 threads each: all messages are whole");
}

struct reader {
	int vfd;
	atomic_ulong *bytes;
};

static void *read_some(void *argument) {
	struct reader *reader = argument;
	char data[1000];
	ssize_t n;
	while ((n = read(reader->vfd, data, sizeof(data))) > 0) {
		*reader->bytes += (unsigned long)n;
	}
	return NULL;
}

static void test_readers(void) {
	atomic_ulong bytes = 0;
	struct reader reader = {ask("burst 300 700\n"), &bytes};
	void *arguments[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		arguments[i] = &reader;
	}
	run_threads(read_some, arguments, THREADS);
	check(bytes == 210000, "8 threads read one connection, and each sees the end");
	close(reader.vfd);
}

/* ---- receivers that stall ---- */

/* Commands are looked at in their order: after this one, all sends before it are taken or wait for a reader.
 */
static bool settle(void) {
	return close(new_vfd(VIRTWL_IOCTL_NEW_PIPE_READ, 0)) == 0;
}

/* Fill a connection that nobody reads; the bytes that went. */
static size_t fill_up(int vfd) {
	static uint8_t data[10000];
	size_t sent = 0;
	bool settled = false;
	fcntl(vfd, F_SETFL, O_NONBLOCK);
	for (;;) {
		wl_pattern_fill(0, sent, data, sizeof(data));
		ssize_t n = write(vfd, data, sizeof(data));
		if (n < 0 && (settled || errno != EAGAIN)) {
			break;
		}
		settled = n < 0 && settle();
		sent += n > 0 ? (size_t)n : 0;
	}
	return errno == EAGAIN ? sent : 0;
}

static void test_stalled_host(void) {
	static uint8_t data[10000];
	int vfd = ask("stall 8000000 0\n");
	bool stalled = hears(vfd, "stalled\n");
	size_t sent = fill_up(vfd);
	check(stalled && sent > 100000 && sent < 8000000, "a host that does not read: EAGAIN in the end");
	check(ready(vfd, POLLOUT, 0) == 0, "poll: not to be written to");
	int other = ask("echo\n");
	check(echoed(other, 1, 0, 5000), "another connection does not mind");
	close(other);
	check(asked("release\n", "released\n") && ready(vfd, POLLOUT, -1) == POLLOUT,
		"poll: to be written to again");
	fcntl(vfd, F_SETFL, 0);
	bool good = true;
	while (sent < 8000000 && good) {
		size_t part = 8000000 - sent < sizeof(data) ? 8000000 - sent : sizeof(data);
		wl_pattern_fill(0, sent, data, part);
		good = write_all(vfd, data, part);
		sent += part;
	}
	check(good && hears(vfd, "good 8000000\n"), "not a byte is lost");
	close(vfd);
}

static void test_closed_while_sending(void) {
	int vfd = ask("stall 500000 0\n");
	bool stalled = hears(vfd, "stalled\n");
	static uint8_t data[500000];
	wl_pattern_fill(0, 0, data, sizeof(data));
	pid_t child = fork();
	if (child == 0) {
		_exit(write_all(vfd, data, sizeof(data)) ? 0 : 1);
	}
	int status = -1;
	check(asked("release\n", "released\n") && waitpid(child, &status, 0) == child && status == 0 &&
			stalled && hears(vfd, "good 500000\n"),
		"a child sends all before it ends");
	close(vfd);
	vfd = ask("stall 0 0\n");
	stalled = hears(vfd, "stalled\n");
	size_t sent = fill_up(vfd);
	close(vfd);
	/* A receiver that stalls keeps what was sent alive, and nothing else. */
	int other = ask("echo\n");
	check(stalled && sent > 0 && echoed(other, 1, 0, 5000),
		"a vfd is closed while the host does not take its bytes");
	close(other);
	check(asked("release\n", "released\n") && connections_are(0), "and goes when it does");
}

static void *write_forever(void *argument) {
	static const uint8_t data[20000];
	while (write(*(int *)argument, data, sizeof(data)) > 0) {
	}
	return NULL;
}

/* A process that waits in every way there is. */
static void wait_everywhere(int stalled) {
	int quiet = ask("echo\n");
	struct reader reader = {quiet, &(atomic_ulong){0}};
	pthread_t threads[4];
	pthread_create(&threads[0], NULL, write_forever, &stalled);
	pthread_create(&threads[1], NULL, write_forever, &stalled);
	pthread_create(&threads[2], NULL, read_some, &reader);
	pthread_create(&threads[3], NULL, read_some, &reader);
	for (;;) {
		close(new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096));
		close(ask("echo\n"));
	}
}

static void test_killed(void) {
	bool good = true;
	for (int i = 0; i < 20 && good; i++) {
		int stalled = ask("stall 0 0\n");
		good = hears(stalled, "stalled\n");
		pid_t child = fork();
		if (child == 0) {
			wait_everywhere(stalled);
		}
		close(stalled);
		usleep(5000 * (useconds_t)(i % 5));
		kill(child, SIGKILL);
		int status;
		good = good && waitpid(child, &status, 0) == child && WIFSIGNALED(status);
	}
	check(good, "processes are killed in the middle of everything");
	check(asked("release\n", "released\n") && connections_are(0), "and nothing of them is left");
}

static void test_slow_guest(void) {
	int vfd = ask("burst 4000 1000\n"), other = ask("echo\n");
	static uint8_t data[4000000];
	bool good = ready(vfd, POLLIN, -1) == POLLIN;
	for (uint64_t i = 0; i < 50; i++) {
		good = good && echoed(other, 2, i * 5000, 5000);
	}
	check(good, "a connection that the guest does not read stalls no other");
	check(read_all(vfd, data, sizeof(data)) && wl_pattern_holds(0, 0, data, sizeof(data)),
		"and keeps all its bytes");
	close(vfd);
	vfd = ask("burst 4000 1000\n");
	ready(vfd, POLLIN, -1);
	close(vfd);
	check(echoed(other, 3, 0, 5000) && connections_are(1), "closed unread, it is gone");
	close(other);
}

/* ---- quotas and counts ---- */

/* Until the host gives no more: ENOMEM, and then all back. The number that there were, or 0. */
static unsigned exhaust(uint32_t type, uint32_t size, unsigned enough) {
	static int vfds[4096];
	unsigned count = 0;
	while (count < 4096 && (vfds[count] = new_vfd(type, size)) >= 0) {
		count++;
	}
	bool good = count < 4096 && errno == ENOMEM && count >= enough;
	for (unsigned i = 0; i < count; i++) {
		close(vfds[i]);
	}
	return good ? count : 0;
}

static void test_quotas(void) {
	unsigned count = exhaust(VIRTWL_IOCTL_NEW_ALLOC, 4096, 200);
	check(count > 0 && exhaust(VIRTWL_IOCTL_NEW_ALLOC, 4096, 200) == count,
		"vfds run out with ENOMEM, and come back");
	count = exhaust(VIRTWL_IOCTL_NEW_ALLOC, 512u << 20, 1);
	check(count > 0 && exhaust(VIRTWL_IOCTL_NEW_ALLOC, 512u << 20, 1) == count,
		"so does the window's memory");
	count = exhaust(VIRTWL_IOCTL_NEW_PIPE_READ, 0, 50);
	check(count > 0 && exhaust(VIRTWL_IOCTL_NEW_PIPE_READ, 0, 50) == count, "so do pipes");
}

/* What is received and never taken is closed, too: else the host would have no room soon. */
static void test_untaken(void) {
	bool good = true;
	for (int i = 0; i < 60; i++) {
		int vfd = ask("give 28 3\n");
		good = good && ready(vfd, POLLIN, -1) >= 0;
		close(vfd);
	}
	check(good && connections_are(0) && exhaust(VIRTWL_IOCTL_NEW_ALLOC, 4096, 200) > 0,
		"vfds that are received and not taken are closed");
}

static bool make_and_use(unsigned i) {
	uint32_t size = (i * 7919 % 64 + 1) * 4096;
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, size);
	uint8_t *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0);
	if (data == MAP_FAILED) {
		return false;
	}
	bool clean = data[0] == 0 && data[size - 1] == 0;
	data[0] = data[size - 1] = 1;
	munmap(data, size);
	close(vfd);
	return clean;
}

static void test_count(unsigned count) {
	bool good = true;
	unsigned before = exhaust(VIRTWL_IOCTL_NEW_ALLOC, 4096, 200);
	for (unsigned i = 0; i < count && good; i++) {
		good = make_and_use(i);
		if (i % 50 == 0) {
			int pipe = new_vfd(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
			good = good && pipe >= 0 && asked("bye\n", "bye\n");
			close(pipe);
		}
	}
	check(good, "vfds by the thousand, each with clean memory");
	check(exhaust(VIRTWL_IOCTL_NEW_ALLOC, 4096, 200) == before, "and there is as much room as before");
}

/* ---- the driver goes ---- */

static void *unbind(void *argument) {
	int fd = open("/sys/bus/virtio/drivers/virtio_wl/unbind", O_WRONLY);
	usleep(100000);
	if (write(fd, argument, strlen(argument)) < 0) {
		perror("unbind");
	}
	close(fd);
	return NULL;
}

static void *make_forever(void *argument) {
	int vfd;
	while ((vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096)) >= 0) {
		close(vfd);
	}
	return argument;
}

static void test_unbind(char *device) {
	int stalled = ask("stall 0 0\n"), quiet = ask("echo\n");
	struct reader reader = {quiet, &(atomic_ulong){0}};
	pthread_t threads[5];
	pthread_create(&threads[0], NULL, write_forever, &stalled);
	pthread_create(&threads[1], NULL, read_some, &reader);
	pthread_create(&threads[2], NULL, make_forever, NULL);
	pthread_create(&threads[3], NULL, make_forever, NULL);
	pthread_create(&threads[4], NULL, unbind, device);
	for (int i = 0; i < 5; i++) {
		pthread_join(threads[i], NULL);
	}
	check(true, "everybody who waits is told when the driver goes");
	fails(new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 4096), ENODEV, "NEW then: ENODEV");
	fails(write(quiet, "x", 1), ENODEV, "write then: ENODEV");
	char data[8];
	check(read(quiet, data, 8) == 0, "read then: the end");
	close(quiet);
	close(stalled);
	close(wl);
	fails(open("/dev/wl0", O_RDWR), ENOENT, "and there is no /dev/wl0");
}

/* ---- memory types ---- */

/* Lines of the kernel's list of ranges that are not RAM, with this word. */
static unsigned count_types(const char *word) {
	char line[256];
	unsigned lines = 0;
	FILE *file = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		lines += strstr(line, word) != NULL;
	}
	if (file != NULL) {
		fclose(file);
	}
	return lines;
}

static void test_types(void) {
	unsigned back = count_types("write-back"), all = count_types("[mem ");
	int vfd = new_vfd(VIRTWL_IOCTL_NEW_ALLOC, 1 << 20);
	char *data = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, vfd, 0);
	check(data != MAP_FAILED && count_types("[mem ") == all + 1 && count_types("write-back") == back + 1,
		"the window is mapped write-back");
	munmap(data, 1 << 20);
	close(vfd);
	check(count_types("[mem ") == all, "and not longer than it is used");
}

static void test_few(void) {
	test_shared();
	test_readers();
	test_stalled_host();
	test_slow_guest();
	test_untaken();
	test_count(100);
}

int main(int argc, char **argv) {
	/* More descriptors than the host gives vfds. */
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);
	if (argc == 3 && strcmp(argv[1], "unbind") == 0) {
		test_unbind(argv[2]);
	} else if (argc == 2 && strcmp(argv[1], "few") == 0) {
		test_few();
	} else if (argc == 2 && strcmp(argv[1], "types") == 0) {
		test_types();
	} else if (argc >= 2) {
		rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
		test_many();
		test_shared();
		test_all_shared();
		test_readers();
		test_stalled_host();
		test_closed_while_sending();
		test_killed();
		test_slow_guest();
		test_quotas();
		test_untaken();
		test_count((unsigned)strtoul(argv[1], NULL, 10));
	}
	printf("1..%d\n", number);
	return 0;
}
