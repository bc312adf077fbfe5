/*
 * --list, --stop and --logs: asking running VMs. ph's one thread. What VMs say of themselves is the same
 * user's; a VM that does not answer is not waited for long.
 */
#include "instance/parts.h"

#include "ph/fd.h"
#include "ph/log.h"
#include "ph/progress.h"
#include "ph/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 2000
/* How long an orderly end may take before ph insists, of a VM that answers and of one that does not, and then
 * before it is killed. */
#define STOP_MS (INSTANCE_HANG_UP_MS + INSTANCE_SHUT_DOWN_MS + 5000)
#define SILENT_MS 20000
#define INSIST_MS 3000
#define TEXT_MAX 40

/* ---- asking ---- */

static int64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The next message within some time: 1; 0 at the end; -ETIMEDOUT; -errno. */
static int wait_message(int fd, uint8_t *buffer, struct instance_message *message, int ms) {
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int64_t end = now_ms() + ms;
	int ret = -EAGAIN;
	while (ret == -EAGAIN) {
		int64_t left = end - now_ms();
		if (left <= 0 || poll(&wait, 1, (int)left) == 0) {
			return -ETIMEDOUT;
		}
		ret = instance_receive(fd, buffer, message);
	}
	instance_close_streams(message->fds);
	return ret;
}

/* Likewise: what the VM is doing. */
static int query(int fd, uint8_t *buffer, struct instance_message *message) {
	int ret = instance_send(fd, INSTANCE_QUERY, 0, NULL, 0, NULL, 0);
	return ret < 0 ? ret : wait_message(fd, buffer, message, ANSWER_MS);
}

static int connect_to(const char *name, struct error *error) {
	int fd = instance_connect(name, error);
	if (fd == -ENOENT) {
		return error_set(error, fd, "no VM %s is running; ph --list shows those that are", name);
	}
	return fd == -EAGAIN ? error_set(error, fd, "the VM %s is starting or ending; try again", name) : fd;
}

/* ---- --list ---- */

struct row {
	char state[TEXT_MAX], since[TEXT_MAX], root[TEXT_MAX], command[TEXT_MAX + 1];
	unsigned long long memory;
};

static void copy_text(char text[TEXT_MAX], const struct record *record) {
	const char *data = (const char *)record->data;
	size_t length = record->size < TEXT_MAX ? record->size : text_cut(data, TEXT_MAX - 1);
	memcpy(text, data, length);
	text_make_printable(text, length);
	text[length] = '\0';
}

static void read_row(struct row *row, const char *name) {
	uint8_t *facts;
	ssize_t size = instance_read_facts(name, &facts);
	struct record_reader reader = {.next = facts, .left = size < 0 ? 0 : (size_t)size};
	struct record record;
	while (record_next(&reader, &record) > 0) {
		if (record.key == INSTANCE_FACT_SINCE) {
			time_t since = (time_t)record_u64(&record, 0);
			struct tm local;
			if (localtime_r(&since, &local) != NULL) {
				strftime(row->since, sizeof(row->since), "%Y-%m-%d %H:%M", &local);
			}
		} else if (record.key == INSTANCE_FACT_MEMORY) {
			row->memory = (unsigned long long)(record_u64(&record, 0) >> 20);
		} else if (record.key == INSTANCE_FACT_ROOT) {
			copy_text(row->root, &record);
		} else if (record.key == INSTANCE_FACT_COMMAND) {
			copy_text(row->command, &record);
		}
	}
	free(facts);
}

static void ask_state(struct row *row, int fd) {
	static const char *const states[] = {[INSTANCE_STARTING] = "starting",
		[INSTANCE_RUNNING] = "running",
		[INSTANCE_ENDING] = "ending"};
	uint8_t *buffer = malloc(INSTANCE_MESSAGE_MAX);
	struct instance_message message;
	if (buffer != NULL && query(fd, buffer, &message) > 0 && message.type == INSTANCE_STATE &&
		message.value >> 16 <= INSTANCE_ENDING) {
		snprintf(row->state, sizeof(row->state), "%s", states[message.value >> 16]);
	}
	free(buffer);
}

static void list_one(const char *name, bool *any) {
	struct error ignored = {0};
	struct row row = {.state = "silent", .since = "-", .root = "-", .command = "-"};
	int fd = instance_connect(name, &ignored);
	if (fd < 0 && fd != -EAGAIN && fd != -ETIMEDOUT) {
		return;
	}
	if (fd == -EAGAIN) {
		snprintf(row.state, sizeof(row.state), "starting");
	} else {
		read_row(&row, name);
	}
	if (fd >= 0) {
		ask_state(&row, fd);
		close(fd);
	}
	if (!*any) {
		printf("%-16s %-9s %-16s %7s %-24s %s\n", "NAME", "STATE", "SINCE", "MEMORY", "ROOT",
			"COMMAND");
		*any = true;
	}
	printf("%-16s %-9s %-16s %6lluM %-24s %s\n", name, row.state, row.since, row.memory, row.root,
		row.command);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry) {
	return entry->d_name[0] != '.';
}

int instance_list(struct error *error) {
	int base = instance_open_base(false, error);
	if (base == -ENOENT) {
		return 0;
	}
	struct dirent **entries;
	int count = base < 0 ? -1 : scandirat(base, ".", &entries, not_hidden, by_name);
	fd_close(&base);
	if (count < 0) {
		return error_set(error, -EIO, "cannot list the VMs");
	}
	bool any = false;
	for (int i = 0; i < count; i++) {
		list_one(entries[i]->d_name, &any);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

/* ---- --logs ---- */

/* Lines, which may have tabs. The guest's kernel's are among them. */
static void print_clean(const struct instance_message *message) {
	char *text = (char *)message->data;
	for (size_t left = message->size; left > 0;) {
		size_t size = 0;
		while (size < left && text[size] != '\n' && text[size] != '\t') {
			size++;
		}
		text_make_printable(text, size);
		size += size < left;
		fwrite(text, 1, size, stdout);
		text += size;
		left -= size;
	}
}

int instance_print_logs(const char *name, struct error *error) {
	int fd = connect_to(name, error);
	if (fd < 0) {
		return fd;
	}
	uint8_t *buffer = malloc(INSTANCE_MESSAGE_MAX);
	struct instance_message message = {0};
	int ret = buffer == NULL ? -ENOMEM : instance_send(fd, INSTANCE_LOGS, 0, NULL, 0, NULL, 0);
	if (ret == 0) {
		ret = wait_message(fd, buffer, &message, ANSWER_MS);
	}
	if (ret > 0 && message.type == INSTANCE_TEXT) {
		print_clean(&message);
	}
	free(buffer);
	fd_close(&fd);
	return ret > 0 ? 0 : error_set(error, ret == 0 ? -EIO : ret, "the VM %s does not answer", name);
}

/* ---- --stop ---- */

/* Until the other end is gone: 0, or -ETIMEDOUT. */
static int wait_end(int fd, uint8_t *buffer, const char *name, int ms) {
	struct instance_message message;
	int64_t start = now_ms(), end = start + ms;
	int ret = 1;
	while (ret != 0) {
		int64_t left = end - now_ms();
		if (left <= 0) {
			progress_clear();
			return -ETIMEDOUT;
		}
		ret = wait_message(fd, buffer, &message, left < PROGRESS_MS ? (int)left : PROGRESS_MS);
		if (ret == -ETIMEDOUT) {
			progress_show("the VM %s is ending and stores what was written (%lld s)", name,
				(long long)(now_ms() - start) / 1000);
		} else if (ret < 0) {
			break;
		}
	}
	progress_clear();
	return 0;
}

static int kill_peer(int fd) {
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		return -errno;
	}
	int process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	/* Who is still there now is who listened: the connection stands. */
	struct pollfd alive = {.fd = fd, .events = POLLIN};
	if (process < 0 || (poll(&alive, 1, 0) > 0 && (alive.revents & POLLHUP) != 0)) {
		fd_close(&process);
		return 0;
	}
	int ret = syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0 ? -errno : 0;
	fd_close(&process);
	return ret;
}

static int stop(int fd, uint8_t *buffer, const char *name, struct error *error) {
	struct instance_message message;
	instance_send(fd, INSTANCE_STOP, 0, NULL, 0, NULL, 0);
	bool silent = query(fd, buffer, &message) == -ETIMEDOUT;
	if (wait_end(fd, buffer, name, silent ? SILENT_MS : STOP_MS) == 0) {
		return 0;
	}
	log_error("the VM %s %s; what it wrote last may be lost", name,
		silent ? "does not answer" : "has not ended in time");
	instance_send(fd, INSTANCE_STOP, 0, NULL, 0, NULL, 0);
	if (wait_end(fd, buffer, name, INSIST_MS) == 0) {
		return 0;
	}
	int ret = kill_peer(fd);
	if (ret == 0) {
		ret = wait_end(fd, buffer, name, INSIST_MS);
	}
	return ret < 0 ? error_set(error, ret, "cannot end the VM %s: %s", name, strerror(-ret)) : 0;
}

static int kill_monitor(int process) {
	struct pollfd ended = {.fd = process, .events = POLLIN};
	if (process < 0) {
		return process;
	}
	if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0) {
		return errno == ESRCH ? 0 : -errno;
	}
	return poll(&ended, 1, INSIST_MS) > 0 ? 0 : -ETIMEDOUT;
}

/* A VM that takes no connections may come to, and is killed when it does not. A connection; 0: it has ended;
 * or -errno with *error set. */
static int outwait(const char *name, struct error *error) {
	struct pollfd monitor = {.fd = instance_open_monitor(name), .events = POLLIN};
	struct error cause = {0};
	int64_t end = now_ms() + SILENT_MS;
	int ret = -ETIMEDOUT;
	while (ret == -ETIMEDOUT && now_ms() < end) {
		cause = (struct error){0};
		ret = poll(&monitor, 1, 0) > 0 ? 0 : connect_to(name, &cause);
	}
	if (ret == -ETIMEDOUT) {
		log_error("the VM %s does not answer; what it wrote last may be lost", name);
		ret = kill_monitor(monitor.fd);
		snprintf(cause.message, sizeof(cause.message), "cannot end the VM %s: %s", name,
			strerror(-ret));
	}
	fd_close(&monitor.fd);
	ret = ret == -ENOENT ? 0 : ret;
	return ret < 0 ? error_set(error, ret, "%s", cause.message) : ret;
}

int instance_stop(const char *name, struct error *error) {
	struct error cause = {0};
	int fd = connect_to(name, &cause);
	fd = fd == -ETIMEDOUT ? outwait(name, error) : fd;
	if (fd <= 0) {
		return fd < 0 ? error_set(error, fd, "%s", cause.message) : 0;
	}
	uint8_t *buffer = malloc(INSTANCE_MESSAGE_MAX);
	int ret = buffer == NULL ? error_set(error, -ENOMEM, "out of memory") : stop(fd, buffer, name, error);
	free(buffer);
	fd_close(&fd);
	return ret;
}
