/*
 * Asking realmsd. ph's first thread forks a process for each question, which loads libdbus, asks, writes the
 * answer into a pipe as lines, and ends: so neither a bus that hangs nor an answer that libdbus chokes on
 * holds ph up longer than the time it waits, and a ph without a realm neither loads nor needs libdbus.
 * Whoever owns the name on the bus may answer anything: lines are bounded and names checked by the reader.
 */
#include "plan/realm/bus.h"

#include "plan/realm/header.h"

#include "ph/dbus.h"
#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUS_NAME "com.subgraph.realms"
#define BUS_OBJECT "/com/subgraph/realms"
#define BUS_INTERFACE "com.subgraph.realms.Manager"

#define REPLY_MS 1500
#define WAIT_MS 2000
#define ANSWER_MAX 65536
/* The first byte of an answer that says why there is none, and the last line of any other. */
#define FAILED '!'
#define END "."

/* Status bits; the first generation has a number instead: 0, 1, or 2 for the current one, which runs. */
#define STATUS_RUNNING 1u
#define STATUS_CURRENT 2u
#define STATUS_SYSTEM 4u

/* ---- the process that asks ---- */

struct asker {
	struct dbus_library dbus;
	FILE *out;
};

static void fail(struct asker *asker, const char *cause) {
	fprintf(asker->out, "%c%.200s\n", FAILED, cause);
	fflush(asker->out);
	_exit(1);
}

/* The reply, or no return. */
static DBusMessage *ask(struct asker *asker, const char *method, const char *argument) {
	DBusError error;
	if (dbus_load(&asker->dbus) < 0) {
		fail(asker, "this host has no libdbus-1");
	}
	asker->dbus.dbus_error_init(&error);
	DBusConnection *bus = asker->dbus.dbus_bus_get_private(DBUS_BUS_SYSTEM, &error);
	if (bus == NULL) {
		fail(asker, error.message);
	}
	asker->dbus.dbus_connection_set_exit_on_disconnect(bus, FALSE);
	DBusMessage *call =
		asker->dbus.dbus_message_new_method_call(BUS_NAME, BUS_OBJECT, BUS_INTERFACE, method);
	bool complete =
		call != NULL && (argument == NULL || asker->dbus.dbus_message_append_args(call,
							     DBUS_TYPE_STRING, &argument, DBUS_TYPE_INVALID));
	if (!complete) {
		fail(asker, "out of memory");
	}
	asker->dbus.dbus_message_set_auto_start(call, FALSE);
	DBusMessage *reply =
		asker->dbus.dbus_connection_send_with_reply_and_block(bus, call, REPLY_MS, &error);
	if (reply == NULL) {
		fail(asker, error.message);
	}
	return reply;
}

static const char *next_string(struct asker *asker, DBusMessageIter *iter) {
	const char *text = "";
	if (asker->dbus.dbus_message_iter_get_arg_type(iter) == DBUS_TYPE_STRING) {
		asker->dbus.dbus_message_iter_get_basic(iter, &text);
	}
	asker->dbus.dbus_message_iter_next(iter);
	return text;
}

static unsigned next_byte(struct asker *asker, DBusMessageIter *iter) {
	unsigned char byte = 0;
	if (asker->dbus.dbus_message_iter_get_arg_type(iter) == DBUS_TYPE_BYTE) {
		asker->dbus.dbus_message_iter_get_basic(iter, &byte);
	}
	asker->dbus.dbus_message_iter_next(iter);
	return byte;
}

/* NAME, REALMFS and status bits, with tabs between them. */
static void write_realm(struct asker *asker, DBusMessageIter *item, unsigned generation) {
	const char *name = next_string(asker, item), *realmfs = "";
	if (generation >= 2) {
		next_string(asker, item); /* its description */
		realmfs = next_string(asker, item);
	}
	if (generation >= 3) {
		next_string(asker, item); /* its process namespace */
	}
	unsigned status = next_byte(asker, item);
	if (generation == 1 && status == 2) {
		status = STATUS_RUNNING | STATUS_CURRENT;
	}
	fprintf(asker->out, "%.128s\t%.63s\t%u\n", name, realmfs, status);
}

static void write_list(struct asker *asker, DBusMessage *reply) {
	static const char *const signatures[] = {"a{sy}", "a(sssy)", "a(ssssy)"};
	const char *signature = asker->dbus.dbus_message_get_signature(reply);
	unsigned generation = 0;
	while (generation < 3 && strcmp(signature, signatures[generation]) != 0) {
		generation++;
	}
	DBusMessageIter iter, list, item;
	if (generation == 3 || !asker->dbus.dbus_message_iter_init(reply, &iter)) {
		fail(asker, "its list of realms has an unknown form");
	}
	asker->dbus.dbus_message_iter_recurse(&iter, &list);
	while (asker->dbus.dbus_message_iter_get_arg_type(&list) != DBUS_TYPE_INVALID) {
		asker->dbus.dbus_message_iter_recurse(&list, &item);
		write_realm(asker, &item, generation + 1);
		asker->dbus.dbus_message_iter_next(&list);
	}
}

static void write_config(struct asker *asker, DBusMessage *reply) {
	const char *signature = asker->dbus.dbus_message_get_signature(reply);
	bool in_struct = strcmp(signature, "(a{ss})") == 0;
	DBusMessageIter iter, body, list, item;
	if ((!in_struct && strcmp(signature, "a(ss)") != 0 && strcmp(signature, "a{ss}") != 0) ||
		!asker->dbus.dbus_message_iter_init(reply, &iter)) {
		fail(asker, "its configuration has an unknown form");
	}
	if (in_struct) {
		asker->dbus.dbus_message_iter_recurse(&iter, &body);
	}
	asker->dbus.dbus_message_iter_recurse(in_struct ? &body : &iter, &list);
	while (asker->dbus.dbus_message_iter_get_arg_type(&list) != DBUS_TYPE_INVALID) {
		asker->dbus.dbus_message_iter_recurse(&list, &item);
		const char *key = next_string(asker, &item);
		fprintf(asker->out, "%.128s\t%.200s\n", key, next_string(asker, &item));
		asker->dbus.dbus_message_iter_next(&list);
	}
}

static void write_current(struct asker *asker, DBusMessage *reply) {
	DBusMessageIter iter;
	if (strcmp(asker->dbus.dbus_message_get_signature(reply), "s") != 0 ||
		!asker->dbus.dbus_message_iter_init(reply, &iter)) {
		fail(asker, "the current realm has an unknown form");
	}
	fprintf(asker->out, "%.128s\n", next_string(asker, &iter));
}

struct question {
	const char *method, *argument;
	void (*write)(struct asker *asker, DBusMessage *reply);
};

static void run_asker(const struct question *question, int out_fd) {
	struct asker asker = {.out = fdopen(out_fd, "w")};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	if (asker.out != NULL) {
		question->write(&asker, ask(&asker, question->method, question->argument));
		fputs(END "\n", asker.out);
		fflush(asker.out);
	}
	_exit(0);
}

/* ---- the process that waits ---- */

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* All that comes until the end of file or the deadline: 0 or -errno. */
static int read_answer(int fd, char *answer) {
	int64_t deadline = now_ms() + WAIT_MS;
	size_t used = 0;
	while (used < ANSWER_MAX - 1) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - now_ms();
		if (left <= 0 || (poll(&ready, 1, (int)left) == 0)) {
			return -ETIMEDOUT;
		}
		ssize_t n = read(fd, answer + used, ANSWER_MAX - 1 - used);
		if (n == 0) {
			answer[used] = '\0';
			return memchr(answer, '\0', used) == NULL ? 0 : -EPROTO;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	return -EMSGSIZE;
}

static int fork_asker(const struct question *question, pid_t *pid) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	*pid = fork();
	if (*pid == 0) {
		close(ends[0]);
		run_asker(question, ends[1]);
	}
	int ret = *pid < 0 ? -errno : ends[0];
	fd_close(&ends[1]);
	if (ret < 0) {
		fd_close(&ends[0]);
	}
	return ret;
}

/* Take the mark off the end of an answer; one without it is not whole. */
static int cut_end(char *answer) {
	size_t length = strlen(answer);
	if (length < 2 || strcmp(answer + length - 2, END "\n") != 0) {
		return -EPROTO;
	}
	answer[length - 2] = '\0';
	return 0;
}

/* The answer's lines in a static buffer, or NULL after a line for --verbose, with the cause in *error. */
static char *answer_to(const struct question *question, int *error) {
	static char answer[ANSWER_MAX];
	pid_t pid = -1;
	int fd = fork_asker(question, &pid);
	int ret = fd < 0 ? fd : read_answer(fd, answer);
	if (fd >= 0) {
		fd_close(&fd);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (ret == 0 && answer[0] == FAILED) {
		answer[strcspn(answer, "\n")] = '\0';
		log_verbose("realmsd: %s: %s", question->method, answer + 1);
		*error = -ENODATA;
		return NULL;
	}
	ret = ret == 0 ? cut_end(answer) : ret;
	if (ret < 0) {
		log_verbose("realmsd: %s: %s", question->method,
			ret == -ETIMEDOUT ? "no answer in time" : strerror(-ret));
		*error = ret;
		return NULL;
	}
	return answer;
}

static bool parse_realm(char *line, struct bus_realm *realm) {
	char *name = strsep(&line, "\t"), *realmfs = strsep(&line, "\t");
	if (realmfs == NULL || line == NULL || !header_is_name(name, PLAN_REALM_MAX)) {
		return false;
	}
	unsigned status = (unsigned)strtoul(line, NULL, 10);
	snprintf(realm->name, sizeof(realm->name), "%s", name);
	snprintf(realm->realmfs, sizeof(realm->realmfs), "%s",
		header_is_name(realmfs, HEADER_NAME_SIZE - 1) ? realmfs : "");
	realm->running = (status & STATUS_RUNNING) != 0;
	realm->current = (status & STATUS_CURRENT) != 0;
	realm->system = (status & STATUS_SYSTEM) != 0;
	return true;
}

int bus_list(struct bus_realm *realms) {
	const struct question question = {.method = "List", .write = write_list};
	int count = 0, error = 0;
	char *rest = answer_to(&question, &error), *line;
	if (rest == NULL) {
		return error;
	}
	while (count < BUS_REALMS_MAX && (line = strsep(&rest, "\n")) != NULL) {
		if (parse_realm(line, &realms[count])) {
			count++;
		} else if (line[0] != '\0') {
			log_verbose("realmsd: List: a realm without a proper name is left out");
		}
	}
	return count;
}

int bus_current_realm(char name[PLAN_REALM_MAX + 1]) {
	const struct question question = {.method = "GetCurrent", .write = write_current};
	int error = 0;
	char *rest = answer_to(&question, &error);
	const char *line = rest != NULL ? strsep(&rest, "\n") : NULL;
	if (line == NULL) {
		return error;
	}
	if (!header_is_name(line, PLAN_REALM_MAX)) {
		log_verbose("realmsd: GetCurrent: %s",
			line[0] == '\0' ? "none" : "what it says is no realm's name");
		return -ENODATA;
	}
	snprintf(name, PLAN_REALM_MAX + 1, "%s", line);
	return 0;
}

int bus_config(
	const char *realm, void (*entry)(void *owner, const char *key, const char *value), void *owner) {
	const struct question question = {.method = "RealmConfig", .argument = realm, .write = write_config};
	int error = 0;
	char *rest = answer_to(&question, &error), *line;
	if (rest == NULL) {
		return error;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		const char *key = strsep(&line, "\t");
		if (line != NULL) {
			entry(owner, key, line);
		}
	}
	return 0;
}
