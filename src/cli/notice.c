/*
 * Telling the user when nobody reads standard error, as when ph was started from a menu: a notification of
 * the desktop and a line in the journal. Since a ph that ran a VM is in a jail by then, a process is forked
 * at the start, which waits for the line and is asleep otherwise. The line may hold text of the guest's: it
 * is sent as data, with its markup taken away.
 */
#include "ph/cli.h"

#include "ph/dbus.h"
#include "ph/child.h"
#include "ph/fd.h"
#include "ph/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFICATIONS "org.freedesktop.Notifications"
#define JOURNAL "/run/systemd/journal/socket"
#define REPLY_MS 3000
/* However long buses take, ph ends. */
#define WAIT_SECONDS 5
#define KEPT 3
#define LINE_SIZE 512
#define TITLE_MAX 60
#define URGENCY_NORMAL 1

static struct {
	pid_t pid;
	int pid_fd;
	int fd;
} notice = {.fd = -1};

/* ---- where standard error leads ---- */

/* As systemd tells: its device and inode. */
static bool is_journal(const struct stat *err) {
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && device == err->st_dev &&
	       inode == err->st_ino;
}

static bool is_null(const struct stat *err) {
	return S_ISCHR(err->st_mode) && err->st_rdev == makedev(1, 3);
}

/* Who has a terminal and throws messages away does not want them. */
static bool has_terminal(void) {
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool found = fd >= 0;
	if (found) {
		fd_close(&fd);
	}
	return found;
}

/* ---- the process that tells ---- */

static void tell_journal(const char *line) {
	char text[1024];
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int size = snprintf(text, sizeof(text), "PRIORITY=3\nSYSLOG_IDENTIFIER=ph\nMESSAGE=%s\n", line);
	if (fd >= 0 && size > 0) {
		/* Where there is no journal, there is none. */
		sendto(fd, text, (size_t)size, MSG_NOSIGNAL, (const struct sockaddr *)&address,
			sizeof(address));
		close(fd);
	}
}

/* Bodies may have markup. */
static void escape(char *to, size_t size, const char *from) {
	size_t used = 0;
	for (; *from != '\0' && used + 6 < size; from++) {
		const char *entity = *from == '&'   ? "&amp;"
				     : *from == '<' ? "&lt;"
				     : *from == '>' ? "&gt;"
						    : NULL;
		if (entity != NULL) {
			used += (size_t)sprintf(to + used, "%s", entity);
		} else {
			to[used++] = *from;
		}
	}
	to[used] = '\0';
}

static void add_string(const struct dbus_library *dbus, DBusMessageIter *iter, const char *text) {
	dbus->dbus_message_iter_append_basic(iter, DBUS_TYPE_STRING, &text);
}

static void add_hints(const struct dbus_library *dbus, DBusMessageIter *iter) {
	DBusMessageIter hints, entry, value;
	const unsigned char urgency = URGENCY_NORMAL;
	dbus->dbus_message_iter_open_container(iter, DBUS_TYPE_ARRAY, "{sv}", &hints);
	dbus->dbus_message_iter_open_container(&hints, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
	add_string(dbus, &entry, "urgency");
	dbus->dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, "y", &value);
	dbus->dbus_message_iter_append_basic(&value, DBUS_TYPE_BYTE, &urgency);
	dbus->dbus_message_iter_close_container(&entry, &value);
	dbus->dbus_message_iter_close_container(&hints, &entry);
	dbus->dbus_message_iter_close_container(iter, &hints);
}

/* susssasa{sv}i: who, in the place of which, icon, title, text, buttons, hints, for how long. */
static void fill(const struct dbus_library *dbus, DBusMessage *call, const char *title, const char *body) {
	DBusMessageIter iter, actions;
	const dbus_uint32_t replaces = 0;
	const dbus_int32_t as_usual = -1;
	dbus->dbus_message_iter_init_append(call, &iter);
	add_string(dbus, &iter, "ph");
	dbus->dbus_message_iter_append_basic(&iter, DBUS_TYPE_UINT32, &replaces);
	add_string(dbus, &iter, "dialog-error");
	add_string(dbus, &iter, title);
	add_string(dbus, &iter, body);
	dbus->dbus_message_iter_open_container(&iter, DBUS_TYPE_ARRAY, "s", &actions);
	dbus->dbus_message_iter_close_container(&iter, &actions);
	add_hints(dbus, &iter);
	dbus->dbus_message_iter_append_basic(&iter, DBUS_TYPE_INT32, &as_usual);
}

static void tell_desktop(const char *title, const char *line) {
	struct dbus_library dbus;
	DBusError error;
	char body[6 * LINE_SIZE]; /* each may be an entity */
	if (dbus_load(&dbus) < 0) {
		return;
	}
	dbus.dbus_error_init(&error);
	DBusConnection *bus = dbus.dbus_bus_get_private(DBUS_BUS_SESSION, &error);
	DBusMessage *call = bus == NULL ? NULL
					: dbus.dbus_message_new_method_call(NOTIFICATIONS,
						  "/org/freedesktop/Notifications", NOTIFICATIONS, "Notify");
	if (call != NULL) {
		dbus.dbus_connection_set_exit_on_disconnect(bus, FALSE);
		escape(body, sizeof(body), line);
		fill(&dbus, call, title, body);
		dbus.dbus_connection_send_with_reply_and_block(bus, call, REPLY_MS, &error);
	}
}

static void make_title(char *title, size_t size, char *const *argv) {
	const char *command = NULL;
	for (; *argv != NULL && command == NULL; argv++) {
		command = strcmp(*argv, "--") == 0 ? argv[1] : NULL;
	}
	const char *slash = command != NULL ? strrchr(command, '/') : NULL;
	const char *name = slash != NULL ? slash + 1 : command;
	if (name == NULL) {
		snprintf(title, size, "ph has failed");
		return;
	}
	size_t length = strlen(name) > TITLE_MAX ? text_cut(name, TITLE_MAX) : strlen(name);
	snprintf(title, size, "ph cannot run %.*s", (int)length, name);
	text_make_printable(title, strlen(title));
}

/* Nothing of ph's is kept open, and nothing of its terminal's or its parent's signals is meant for it. */
static void leave(int fd) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		signal(ignored[i], SIG_IGN);
	}
	setsid();
	prctl(PR_SET_NAME, "ph-notice", 0, 0, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, KEPT + 1);
	if (null < 0 || fd < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0 || dup3(fd, KEPT, O_CLOEXEC) < 0) {
		_exit(1);
	}
	syscall(SYS_close_range, KEPT + 1, ~0u, 0);
}

static void wait_and_tell(char *const *argv, bool journal) {
	char line[LINE_SIZE], title[96];
	/* One write, one read; a VM that goes on may keep the other end open. */
	ssize_t size = read(KEPT, line, sizeof(line) - 1);
	if (size <= 0) {
		return;
	}
	line[size] = '\0';
	/* Fit for the bus, which takes no text that is not UTF-8, and one field of the journal. */
	text_make_printable(line, strlen(line));
	alarm(WAIT_SECONDS);
	if (journal) {
		tell_journal(line);
	}
	make_title(title, sizeof(title), argv);
	tell_desktop(title, line);
}

/* ---- ph ---- */

void cli_notice_start(char *const *argv) {
	struct stat err;
	int ends[2];
	bool unread = fstat(STDERR_FILENO, &err) == 0 && (is_null(&err) || is_journal(&err));
	if (!unread || has_terminal() || pipe2(ends, O_CLOEXEC) < 0) {
		return;
	}
	notice.pid = fork();
	if (notice.pid == 0) {
		leave(ends[0]);
		wait_and_tell(argv, is_null(&err));
		_exit(0);
	}
	close(ends[0]);
	notice.pid_fd = notice.pid < 0 ? -1 : child_watch(notice.pid);
	notice.fd = ends[1];
}

void cli_notice_forget(void) {
	if (notice.fd >= 0) {
		fd_close(&notice.fd);
	}
}

void cli_notice_send(const char *line) {
	if (notice.fd < 0) {
		return;
	}
	fd_write_all(notice.fd, line, strlen(line));
	cli_notice_forget();
	/* Where ph is a service, its end is that of its processes. */
	child_reap(&notice.pid, &notice.pid_fd, (WAIT_SECONDS + 1) * 1000);
}
