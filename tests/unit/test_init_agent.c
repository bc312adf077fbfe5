/*
 * The guest's agent and its sessions, with real commands: the agent runs as PID 1 of a PID
 * namespace, ph's side of the control port is this test over a socket pair.
 */
#include "guest/init/agent.h"
#include "guest/init/bus.h"
#include "guest/init/report.h"

#include "ph/fd.h"
#include "ph/record.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSIONS 8
#define TEXT_MAX 4096

/* What the test has seen of a session. */
struct seen {
	uint8_t text[2][TEXT_MAX]; /* the first bytes of STDOUT and STDERR */
	size_t size[2];
	bool ended[2];
	bool exited;
	uint32_t status;
	size_t credit;  /* bytes of STDIN that may still be sent */
	bool no_credit; /* do not give the guest credit for its output */
	uint64_t sum;   /* of STDOUT, to compare streams too long to keep */
};

struct guest {
	int fd;
	pid_t pid;
	bool ready;
	bool ending; /* it needs no SHUTDOWN any more */
	char log[TEXT_MAX];
	char url[64];
	struct seen sessions[SESSIONS];
};

static uint64_t checksum(uint64_t sum, const uint8_t *data, size_t len) {
	for (size_t i = 0; i < len; i++) {
		sum = (sum ^ data[i]) * 0x100000001b3;
	}
	return sum;
}

/* /run of this agent's own. */
static void make_runtime_folder(void) {
	if (mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/user", 0755) < 0 ||
		mkdir("/run/user/0", 0700) < 0) {
		_exit(78);
	}
}

/* Init's program lies beside the folder of tests; -1: it has not been built. */
static int open_init(void) {
	char path[4096];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 16);
	assert_true(size > 0);
	path[size] = '\0';
	*strrchr(path, '/') = '\0';
	strcpy(strrchr(path, '/'), "/init");
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void run_agent(int fd) {
	static struct port port;
	static struct agent agent;
	static struct bus bus;
	static struct urls urls;
	static char but[] = "but", portals[] = "org.freedesktop.portal.";
	char *fields[] = {NULL}, *services[] = {but, portals, NULL};
	struct config config = {
		.user = {.fields = fields, .name = "ann", .home = "/", .shell = "/bin/sh", .gecos = ""},
		.bus = services,
		.open_urls = true};
	make_runtime_folder();
	urls_init(&urls);
	port_init(&port);
	report_init(&port, false, false);
	port.fd = fd;
	int failed = agent_init(&agent, &config, &port);
	if (failed == 0) {
		bus_listen(&bus, &config);
		agent_add_service(&agent, &bus.service);
		urls.program = open_init();
		urls_place(&urls, &config);
		agent_add_urls(&agent, &urls);
		agent_run(&agent);
		port_send(&port, GUEST_FRAME_BYE, 0, NULL, 0);
		port_drain(&port);
	}
	agent_finish(&agent);
	port_finish(&port);
	_exit(failed == 0 ? 0 : 1);
}

static int set_up(void **state) {
	int fds[2];
	struct guest *guest = calloc(1, sizeof(*guest));
	*state = guest;
	for (int i = 0; i < SESSIONS; i++) {
		guest->sessions[i].credit = GUEST_WINDOW;
	}
	if (guest == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		return -1;
	}
	guest->fd = fds[0];
	pid_t outer = fork();
	if (outer == 0) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) {
			_exit(77);
		}
		pid_t inner = fork();
		if (inner == 0) {
			close(fds[0]);
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
			mount("proc", "/proc", "proc", 0, NULL);
			run_agent(fds[1]);
		}
		close(fds[1]);
		close(fds[0]);
		int status;
		waitpid(inner, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
	}
	close(fds[1]);
	guest->pid = outer;
	return 0;
}

/* A guest that has shut down wants nothing more, while its last frames are still being read here. */
static void send_bytes(struct guest *guest, const void *data, size_t len) {
	for (size_t done = 0; done < len;) {
		ssize_t n = send(guest->fd, (const uint8_t *)data + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EPIPE) {
			return;
		}
		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = {.fd = guest->fd, .events = POLLOUT};
			poll(&wait, 1, -1);
			continue;
		}
		assert_true(n > 0);
		done += (size_t)n;
	}
}

static void send_frame(
	struct guest *guest, enum guest_frame_type type, uint32_t session, const void *data, size_t len) {
	struct guest_frame frame = {.type = htole16((uint16_t)type),
		.session = htole32(session),
		.length = htole32((uint32_t)len)};
	send_bytes(guest, &frame, sizeof(frame));
	send_bytes(guest, data, len);
}

static void send_u32(struct guest *guest, enum guest_frame_type type, uint32_t session, uint32_t value) {
	value = htole32(value);
	send_frame(guest, type, session, &value, sizeof(value));
}

static void send_input(struct guest *guest, uint32_t session, const char *text) {
	send_frame(guest, GUEST_FRAME_STDIN, session, text, strlen(text));
}

static void receive_bytes(struct guest *guest, void *data, size_t len) {
	for (size_t done = 0; done < len;) {
		struct pollfd wait = {.fd = guest->fd, .events = POLLIN};
		assert_int_equal(poll(&wait, 1, 20000), 1);
		ssize_t n = read(guest->fd, (uint8_t *)data + done, len - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
}

static void receive_output(struct guest *guest, uint32_t id, int stream, const uint8_t *data, size_t len) {
	struct seen *seen = &guest->sessions[id];
	assert_false(seen->exited || seen->ended[stream]);
	for (size_t i = 0; i < len && seen->size[stream] + i < TEXT_MAX; i++) {
		seen->text[stream][seen->size[stream] + i] = data[i];
	}
	seen->size[stream] += len;
	seen->ended[stream] = len == 0;
	if (stream == 0) {
		seen->sum = checksum(seen->sum, data, len);
	}
	if (len > 0 && !seen->no_credit) {
		send_u32(guest, GUEST_FRAME_CREDIT, id, (uint32_t)len);
	}
}

static uint32_t value_of(const uint8_t *data) {
	uint32_t value;
	memcpy(&value, data, sizeof(value));
	return le32toh(value);
}

/* Take the next frame; returns its type. */
static enum guest_frame_type receive_frame(struct guest *guest) {
	static uint8_t data[GUEST_FRAME_MAX];
	struct guest_frame frame;
	receive_bytes(guest, &frame, sizeof(frame));
	assert_true(frame.zero == 0 && frame.length <= GUEST_FRAME_MAX && frame.session < SESSIONS);
	receive_bytes(guest, data, frame.length);
	assert_true(guest->ready || frame.type == GUEST_FRAME_READY);
	struct seen *seen = &guest->sessions[frame.session];
	switch (frame.type) {
	case GUEST_FRAME_READY:
		assert_false(guest->ready);
		guest->ready = true;
		break;
	case GUEST_FRAME_STDOUT:
	case GUEST_FRAME_STDERR:
		receive_output(guest, frame.session, frame.type - GUEST_FRAME_STDOUT, data, frame.length);
		break;
	case GUEST_FRAME_STDIN_CREDIT:
		seen->credit += value_of(data);
		break;
	case GUEST_FRAME_EXIT:
		assert_false(seen->exited);
		seen->exited = true;
		seen->status = value_of(data);
		break;
	case GUEST_FRAME_URL:
		snprintf(guest->url, sizeof(guest->url), "%.*s", (int)frame.length, data);
		send_u32(guest, GUEST_FRAME_URL_ANSWER, frame.session,
			strcmp(guest->url, "http://good/") == 0 ? GUEST_URL_OPENED : GUEST_URL_REFUSED);
		break;
	case GUEST_FRAME_LOG:
		snprintf(guest->log, sizeof(guest->log), "%.*s", (int)frame.length, data);
		break;
	default:
		assert_int_equal(frame.type, GUEST_FRAME_BYE);
	}
	return frame.type;
}

static uint32_t wait_exit(struct guest *guest, uint32_t session) {
	while (!guest->sessions[session].exited) {
		assert_int_not_equal(receive_frame(guest), GUEST_FRAME_BYE);
	}
	return guest->sessions[session].status;
}

static void wait_output(struct guest *guest, uint32_t session, const char *text) {
	struct seen *seen = &guest->sessions[session];
	while (memmem(seen->text[0], seen->size[0] < TEXT_MAX ? seen->size[0] : TEXT_MAX, text,
		       strlen(text)) == NULL) {
		assert_false(seen->exited);
		receive_frame(guest);
	}
}

/* All commands run as root; env and size (rows, columns) may be NULL. */
static void put_exec(struct record_buffer *exec, const char *const *argv, const char *const *env,
	const char *const *size) {
	static const char *const path[] = {"PATH=/usr/bin:/bin", NULL};
	record_put_list(exec, GUEST_EXEC_ARGV, argv);
	record_put_list(exec, GUEST_EXEC_ENV, env == NULL ? path : env);
	record_put_string(exec, GUEST_EXEC_CWD, "/usr");
	record_put_u64(exec, GUEST_EXEC_UID, 0);
	if (size != NULL) {
		record_put_list(exec, GUEST_EXEC_TTY, size);
	}
}

static void send_exec(struct guest *guest, uint32_t session, struct record_buffer *exec) {
	if (!guest->ready) {
		receive_frame(guest);
	}
	send_frame(guest, GUEST_FRAME_EXEC, session, exec->data, exec->size);
	record_buffer_finish(exec);
}

static void start(struct guest *guest, uint32_t session, const char *const *argv, const char *const *env,
	const char *const *size) {
	struct record_buffer exec = {0};
	put_exec(&exec, argv, env, size);
	if (size == NULL) {
		record_put(&exec, GUEST_EXEC_STDERR, NULL, 0);
	}
	send_exec(guest, session, &exec);
}

static void start_shell(struct guest *guest, uint32_t session, const char *script) {
	const char *const argv[] = {"sh", "-c", script, NULL};
	start(guest, session, argv, NULL, NULL);
}

static void start_terminal(struct guest *guest, uint32_t session, const char *script) {
	const char *const argv[] = {"sh", "-c", script, NULL}, *const size[] = {"33", "77", NULL};
	start(guest, session, argv, NULL, size);
}

static void expect_text(struct guest *guest, uint32_t session, int stream, const char *text) {
	struct seen *seen = &guest->sessions[session];
	assert_int_equal(seen->size[stream], strlen(text));
	assert_memory_equal(seen->text[stream], text, strlen(text));
}

static void shut_down(struct guest *guest) {
	guest->ending = true;
	send_frame(guest, GUEST_FRAME_SHUTDOWN, 0, NULL, 0);
}

static int tear_down(void **state) {
	struct guest *guest = *state;
	int status;
	if (!guest->ending) {
		shut_down(guest);
	}
	while (receive_frame(guest) != GUEST_FRAME_BYE) {
	}
	waitpid(guest->pid, &status, 0);
	close(guest->fd);
	free(guest);
	return status == 0 ? 0 : -1;
}

static void test_streams_and_status(void **state) {
	start_shell(*state, 1, "echo out; echo err >&2; pwd; exit 7");
	assert_int_equal(wait_exit(*state, 1), 7);
	expect_text(*state, 1, 0, "out\n/usr\n");
	expect_text(*state, 1, 1, "err\n");
}

static void test_death_by_signal(void **state) {
	start_shell(*state, 1, "kill -9 $$");
	assert_int_equal(wait_exit(*state, 1), 128 + SIGKILL);
}

static void test_missing_programs(void **state) {
	const char *const missing[] = {"no-such-program", NULL}, *const folder[] = {"/usr", NULL};
	char script[] = "/tmp/ph-init-XXXXXX";
	int fd = mkstemp(script);
	assert_int_equal(write(fd, "#!/no/such/interpreter\n", 23), 23);
	fchmod(fd, 0755);
	close(fd);
	const char *const interpreter[] = {script, NULL};
	start(*state, 1, missing, NULL, NULL);
	assert_int_equal(wait_exit(*state, 1), 127);
	expect_text(*state, 1, 1, "ph: no-such-program: not found in the VM\n");
	start(*state, 2, folder, NULL, NULL);
	assert_int_equal(wait_exit(*state, 2), 126);
	expect_text(*state, 2, 1, "ph: /usr: cannot be run in the VM: Permission denied\n");
	start(*state, 3, interpreter, NULL, NULL);
	assert_int_equal(wait_exit(*state, 3), 126);
	unlink(script);
}

static void test_script_without_interpreter_line(void **state) {
	char script[] = "/tmp/ph-init-XXXXXX";
	int fd = mkstemp(script);
	assert_int_equal(write(fd, "echo \"$1\"\n", 10), 10);
	fchmod(fd, 0755);
	close(fd);
	const char *const argv[] = {script, "argument", NULL};
	start(*state, 1, argv, NULL, NULL);
	assert_int_equal(wait_exit(*state, 1), 0);
	expect_text(*state, 1, 0, "argument\n");
	unlink(script);
}

static void test_environment(void **state) {
	const char *const env[] = {"A=b c", "USER=eve", NULL}, *const argv[] = {"env", NULL};
	start(*state, 1, argv, env, NULL);
	assert_int_equal(wait_exit(*state, 1), 0);
	expect_text(*state, 1, 0, "A=b c\nUSER=eve\nHOME=/\nLOGNAME=ann\nSHELL=/bin/sh\n");
}

static void test_shell_when_no_command(void **state) {
	const char *const none[] = {NULL};
	start(*state, 1, none, NULL, NULL);
	send_input(*state, 1, "echo $0; exit 3\n");
	assert_int_equal(wait_exit(*state, 1), 3);
	expect_text(*state, 1, 0, "sh\n");
}

/* Of the C library's own signals, 32 and 33, which no signal() can change: those ignored here from the start.
 */
static unsigned long long library_signals_ignored(void) {
	char status[4096];
	assert_true(fd_read_file("/proc/self/status", status, sizeof(status)) > 0);
	const char *line = strstr(status, "SigIgn:");
	assert_non_null(line);
	return strtoull(line + strlen("SigIgn:"), NULL, 16) & 3ULL << 31;
}

/* As a shell started by a terminal, no more and no less. */
static void test_clean_process(void **state) {
	char expected[128];
	snprintf(expected, sizeof(expected), "4\nSigBlk:\t0000000000000000\nSigIgn:\t%016llx\n0022\n",
		library_signals_ignored());
	start_shell(*state, 1, "ls /proc/self/fd | wc -l; grep -E '^Sig(Blk|Ign)' /proc/self/status; umask");
	assert_int_equal(wait_exit(*state, 1), 0);
	expect_text(*state, 1, 0, expected);
}

/* More than any buffer on the way holds, both ways at once, and not a byte lost. */
static void test_long_streams(void **state) {
	struct guest *guest = *state;
	struct seen *seen = &guest->sessions[1];
	static uint8_t data[60000];
	uint64_t sum = 0, total = 100 * 1000 * 1000, sent = 0;
	const char *const argv[] = {"cat", NULL};
	start(guest, 1, argv, NULL, NULL);
	while (sent < total) {
		size_t len = total - sent < sizeof(data) ? (size_t)(total - sent) : sizeof(data);
		for (size_t i = 0; i < len; i++) {
			data[i] = (uint8_t)((sent + i) * 2654435761u >> 13);
		}
		while (seen->credit < len) {
			receive_frame(guest);
		}
		send_frame(guest, GUEST_FRAME_STDIN, 1, data, len);
		sum = checksum(sum, data, len);
		seen->credit -= len;
		sent += len;
	}
	send_frame(guest, GUEST_FRAME_STDIN, 1, NULL, 0);
	assert_int_equal(wait_exit(guest, 1), 0);
	assert_int_equal(seen->size[0], total);
	assert_true(seen->sum == sum);
}

static void test_output_stays_in_the_window(void **state) {
	struct guest *guest = *state;
	struct seen *seen = &guest->sessions[1];
	const size_t most = GUEST_WINDOW / 4 * 3; /* the rest is standard error's */
	seen->no_credit = true;
	start_shell(guest, 1, "yes & until read line; do :; done; echo err >&2; wait");
	while (seen->size[0] < most) {
		receive_frame(guest);
	}
	send_input(guest, 1, "go on\n");
	while (seen->size[1] < 4) {
		receive_frame(guest);
	}
	/* Another session is served as if the first did not exist. */
	start_shell(guest, 2, "echo here");
	assert_int_equal(wait_exit(guest, 2), 0);
	assert_int_equal(seen->size[0], most);
	send_u32(guest, GUEST_FRAME_CREDIT, 1, 1004);
	start_shell(guest, 3, "sleep 0.1");
	assert_int_equal(wait_exit(guest, 3), 0);
	assert_int_equal(seen->size[0], most + 1000);
}

/* ph takes nothing for a while: the port fills up, and everybody goes on when it moves again. */
static void test_full_port(void **state) {
	struct guest *guest = *state;
	for (uint32_t id = 1; id <= 5; id++) {
		start_shell(guest, id, "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
	}
	usleep(300000);
	for (uint32_t id = 1; id <= 5; id++) {
		assert_int_equal(wait_exit(guest, id), 0);
		assert_int_equal(guest->sessions[id].size[0], 1000000);
		assert_int_equal(guest->sessions[id].size[1], 1000000);
	}
}

static void test_input_nobody_reads(void **state) {
	struct guest *guest = *state;
	static uint8_t data[GUEST_FRAME_MAX];
	start_shell(guest, 1, "sleep 1000");
	for (size_t sent = 0; sent < GUEST_WINDOW; sent += sizeof(data)) {
		send_frame(guest, GUEST_FRAME_STDIN, 1, data, sizeof(data));
	}
	start_shell(guest, 2, "echo here");
	assert_int_equal(wait_exit(guest, 2), 0);
	send_u32(guest, GUEST_FRAME_SIGNAL, 1, SIGTERM);
	assert_int_equal(wait_exit(guest, 1), 128 + SIGTERM);
}

static void test_children_left_behind(void **state) {
	start_shell(*state, 1, "sleep 1000 & echo quiet; exit 4");
	assert_int_equal(wait_exit(*state, 1), 4);
	expect_text(*state, 1, 0, "quiet\n");
	start_shell(*state, 2, "yes & sleep 0.05; exit 5");
	assert_int_equal(wait_exit(*state, 2), 5);
	start_terminal(*state, 3, "(trap '' HUP; sleep 1000) & (trap '' HUP; yes) & sleep 0.05; exit 6");
	assert_int_equal(wait_exit(*state, 3), 6);
}

/* What a command wrote last arrives although its exit is noticed first. */
static void test_last_words(void **state) {
	start_shell(*state, 1, "head -c 65000 /dev/zero; echo end >&2");
	assert_int_equal(wait_exit(*state, 1), 0);
	struct guest *guest = *state;
	assert_int_equal(guest->sessions[1].size[0], 65000);
	start_terminal(*state, 2, "head -c 3000 /dev/zero; echo end");
	assert_int_equal(wait_exit(*state, 2), 0);
	assert_int_equal(guest->sessions[2].size[0], 3005);
}

/* Both outputs are one, and what is written to either comes in order. */
static void test_one_output(void **state) {
	const char *const argv[] = {"sh", "-c",
		"for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done; echo over >/dev/stderr", NULL};
	struct record_buffer exec = {0};
	put_exec(&exec, argv, NULL, NULL);
	send_exec(*state, 1, &exec);
	assert_int_equal(wait_exit(*state, 1), 0);
	expect_text(*state, 1, 0, "1\n1\n2\n2\n3\n3\n4\n4\n5\n5\n6\n6\n7\n7\n8\n8\n9\n9\nover\n");
	expect_text(*state, 1, 1, "");
}

/* Where there is one output, that says why nothing could be started, too. */
static void test_nothing_starts(void **state) {
	const char *const argv[] = {"true", NULL};
	struct record_buffer exec = {0};
	start_shell(*state, 1, "prlimit --pid 1 --nofile=3:");
	assert_int_equal(wait_exit(*state, 1), 0);
	start(*state, 2, argv, NULL, NULL);
	assert_int_equal(wait_exit(*state, 2), 126);
	expect_text(*state, 2, 0, "");
	expect_text(*state, 2, 1, "ph: cannot start true in the VM: Too many open files\n");
	put_exec(&exec, argv, NULL, NULL);
	send_exec(*state, 3, &exec);
	assert_int_equal(wait_exit(*state, 3), 126);
	expect_text(*state, 3, 0, "ph: cannot start true in the VM: Too many open files\n");
}

static void test_terminal(void **state) {
	start_terminal(*state, 1,
		"stty size; test -t 0 -a -t 1 -a -t 2 && stty -a | grep -o ' iutf8' && "
		"ps -o tpgid= -o pgid= $$ | awk '{print $1 == $2}'");
	assert_int_equal(wait_exit(*state, 1), 0);
	expect_text(*state, 1, 0, "33 77\r\n iutf8\r\n1\r\n");
}

/* Standard error may be a pipe all the same. */
static void test_terminal_and_stderr(void **state) {
	const char *const size[] = {"33", "77", NULL};
	const char *const argv[] = {"sh", "-c",
		"test -t 0 -a -t 1 && ! test -t 2 && echo out && echo err >&2 && echo again >/dev/stderr; "
		"exec >/dev/null; head -c 65000 /dev/zero >&2",
		NULL};
	struct record_buffer exec = {0};
	struct guest *guest = *state;
	put_exec(&exec, argv, NULL, size);
	record_put(&exec, GUEST_EXEC_STDERR, NULL, 0);
	send_exec(guest, 1, &exec);
	assert_int_equal(wait_exit(guest, 1), 0);
	expect_text(guest, 1, 0, "out\r\n");
	assert_int_equal(guest->sessions[1].size[1], 10 + 65000);
	assert_memory_equal(guest->sessions[1].text[1], "err\nagain\n", 10);
}

static void test_terminal_keys(void **state) {
	start_terminal(*state, 1, "echo up; exec sleep 1000");
	wait_output(*state, 1, "up");
	send_input(*state, 1, "\003");
	assert_int_equal(wait_exit(*state, 1), 128 + SIGINT);
	start_terminal(*state, 2, "cat >/dev/null; echo over");
	send_frame(*state, GUEST_FRAME_STDIN, 2, NULL, 0);
	assert_int_equal(wait_exit(*state, 2), 0);
	wait_output(*state, 2, "over");
}

static void test_terminal_resize(void **state) {
	const uint16_t size[2] = {htole16(50), htole16(132)};
	start_terminal(*state, 1, "trap 'stty size; exit 2' WINCH; echo up; while :; do sleep 0.01; done");
	wait_output(*state, 1, "up");
	send_frame(*state, GUEST_FRAME_WINSIZE, 1, size, sizeof(size));
	assert_int_equal(wait_exit(*state, 1), 2);
	expect_text(*state, 1, 0, "up\r\n50 132\r\n");
}

/* The foreground group gets it, not the shell that waits for it. */
static void test_signal_to_foreground(void **state) {
	start_terminal(*state, 1, "set -m; sh -c 'echo up; exec sleep 1000'; echo $?; exit 9");
	wait_output(*state, 1, "up");
	/* The foreground may still be on its way from the shell to the command. */
	for (struct guest *guest = *state; guest->sessions[1].size[0] < 8;) {
		struct pollfd wait = {.fd = guest->fd, .events = POLLIN};
		send_u32(guest, GUEST_FRAME_SIGNAL, 1, SIGQUIT);
		if (poll(&wait, 1, 100) == 1) {
			receive_frame(guest);
		}
	}
	assert_int_equal(wait_exit(*state, 1), 9);
}

static void test_hangup(void **state) {
	struct guest *guest = *state;
	start_shell(guest, 1, "exec 2>/dev/null; trap 'exit 9' HUP; echo up; while :; do sleep 0.01; done");
	wait_output(guest, 1, "up");
	send_frame(guest, GUEST_FRAME_HANGUP, 1, NULL, 0);
	assert_int_equal(wait_exit(guest, 1), 9);
	start_terminal(guest, 2, "trap 'exit 8' HUP; echo up; while :; do sleep 0.01; done");
	wait_output(guest, 2, "up");
	send_frame(guest, GUEST_FRAME_HANGUP, 2, NULL, 0);
	assert_int_equal(wait_exit(guest, 2), 8);
}

static void test_closed_output(void **state) {
	const char *const argv[] = {"yes", NULL};
	start(*state, 1, argv, NULL, NULL);
	wait_output(*state, 1, "y");
	send_u32(*state, GUEST_FRAME_CLOSE, 1, GUEST_FRAME_STDOUT);
	assert_int_equal(wait_exit(*state, 1), 128 + SIGPIPE);
}

/* The bus is started by who connects first, and has no portals to start. */
static void test_session_bus(void **state) {
	struct guest *guest = *state;
	static const char *const env[] = {"PATH=/usr/bin:/bin",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus", "XDG_DATA_DIRS=/run/data", NULL};
	static const char script[] =
		"mkdir -p /run/data/dbus-1/services; cd /run/data/dbus-1/services\n"
		"for name in org.freedesktop.portal.Desktop org.example.Echo; do\n"
		"printf '[D-BUS Service]\\nName=%s\\nExec=/bin/false\\n' $name >$name.service; done\n"
		"ask() { dbus-send --session --print-reply --dest=$1 / org.freedesktop.DBus.Peer.Ping 2>&1; "
		"}\n"
		"pgrep -x dbus-daemon && echo too early\n"
		"ask org.freedesktop.DBus | grep -c 'method return'\n"
		"ask org.freedesktop.portal.Desktop | grep -o 'Error.ServiceUnknown'\n"
		"pgrep -cx dbus-daemon\n";
	const char *const argv[] = {"sh", "-c", script, NULL};
	start(guest, 1, argv, env, NULL);
	assert_int_equal(wait_exit(guest, 1), 0);
	expect_text(guest, 1, 0, "1\nError.ServiceUnknown\n1\n");
}

/* Init's own program, under its other name, while another has connected and asks for nothing. */
static void test_xdg_open(void **state) {
	struct guest *guest = *state;
	int init = open_init();
	if (init < 0) {
		skip();
	}
	close(init);
	const char *const env[] = {"PATH=" GUEST_BIN ":/usr/bin:/bin", "XDG_RUNTIME_DIR=/run/user/0", NULL};
	static const char script[] = "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_SEQPACKET, 0);"
				     "connect(S, sockaddr_un(\"/run/user/0/ph-urls\")) or die;"
				     "mkdir(\"/run/connected\"); sleep 60' >/dev/null 2>&1 &\n"
				     "until [ -d /run/connected ]; do sleep 0.1; done\n"
				     "xdg-open http://good/; echo $?; kill $!\n"
				     "xdg-open HTTPS://bad/; echo $?\n"
				     "rm /run/user/0/ph-urls; xdg-open http://good/; echo $?\n";
	const char *const argv[] = {"sh", "-c", script, NULL};
	start(guest, 1, argv, env, NULL);
	assert_int_equal(wait_exit(guest, 1), 0);
	expect_text(guest, 1, 0, "0\n4\n4\n");
	expect_text(guest, 1, 1,
		"xdg-open: the host does not open such an address\n"
		"xdg-open: this VM may not open pages on the host (ph --open-urls lets it)\n");
	assert_string_equal(guest->url, "HTTPS://bad/");
}

static void test_frames_for_nobody(void **state) {
	struct guest *guest = *state;
	receive_frame(guest);
	send_u32(guest, GUEST_FRAME_SIGNAL, 5, SIGTERM);
	send_u32(guest, GUEST_FRAME_CREDIT, 5, 1000);
	send_input(guest, 5, "text");
	start_shell(guest, 1, "exit 3");
	assert_int_equal(wait_exit(guest, 1), 3);
}

/* A broken frame ends the VM in order, with a word. tear_down() sees BYE. */
static void test_broken_frame(void **state) {
	struct guest *guest = *state;
	start_shell(guest, 1, "sleep 1000");
	guest->ending = true;
	send_frame(guest, GUEST_FRAME_SIGNAL, 1, "x", 1);
	assert_int_equal(wait_exit(guest, 1), 128 + SIGTERM);
	assert_string_equal(guest->log, "!the control port is broken: Protocol error");
}

/* tear_down() waits for the end. */
static void test_shutdown_kills(void **state) {
	start_shell(*state, 1, "trap '' TERM HUP; (setsid sleep 1000 &); echo up; sleep 1000; sleep 1000");
	wait_output(*state, 1, "up");
}

/* SIGTERM comes alone: nothing disturbs a command that cleans up. tear_down() waits for the end. */
static void test_shutdown_lets_clean_up(void **state) {
	start_shell(*state, 1,
		"trap 'sleep 0.3; echo clean; exit 3' TERM; echo up; while :; do sleep 0.01; done");
	wait_output(*state, 1, "up");
	shut_down(*state);
	assert_int_equal(wait_exit(*state, 1), 3);
	expect_text(*state, 1, 0, "up\nclean\n");
}

static void test_shutdown_ends_shells(void **state) {
	const char *const argv[] = {"bash", "--norc", "-i", NULL}, *const size[] = {"24", "80", NULL};
	start(*state, 1, argv, NULL, size);
	send_input(*state, 1, "echo u''p\n");
	wait_output(*state, 1, "up");
	shut_down(*state);
	assert_int_equal(wait_exit(*state, 1), 128 + SIGHUP);
}

#define AGENT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		AGENT_TEST(test_streams_and_status),
		AGENT_TEST(test_death_by_signal),
		AGENT_TEST(test_missing_programs),
		AGENT_TEST(test_script_without_interpreter_line),
		AGENT_TEST(test_environment),
		AGENT_TEST(test_shell_when_no_command),
		AGENT_TEST(test_clean_process),
		AGENT_TEST(test_long_streams),
		AGENT_TEST(test_output_stays_in_the_window),
		AGENT_TEST(test_full_port),
		AGENT_TEST(test_input_nobody_reads),
		AGENT_TEST(test_children_left_behind),
		AGENT_TEST(test_last_words),
		AGENT_TEST(test_one_output),
		AGENT_TEST(test_nothing_starts),
		AGENT_TEST(test_terminal),
		AGENT_TEST(test_terminal_and_stderr),
		AGENT_TEST(test_terminal_keys),
		AGENT_TEST(test_terminal_resize),
		AGENT_TEST(test_signal_to_foreground),
		AGENT_TEST(test_hangup),
		AGENT_TEST(test_closed_output),
		AGENT_TEST(test_session_bus),
		AGENT_TEST(test_xdg_open),
		AGENT_TEST(test_frames_for_nobody),
		AGENT_TEST(test_broken_frame),
		AGENT_TEST(test_shutdown_kills),
		AGENT_TEST(test_shutdown_lets_clean_up),
		AGENT_TEST(test_shutdown_ends_shells),
	};
	if (geteuid() != 0) {
		/* Becoming the user of a command takes privileges. */
		puts("1..1\nok 1 - the agent and its sessions # skip needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
