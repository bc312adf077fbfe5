/*
 * The session bus: dbus-daemon, if the root has one, started as the user when the first program connects.
 * Runs in PID 1 and, from become_bus() on, in the child, which becomes dbus-daemon.
 *
 * Which services the bus may start is ph's decision (GUEST_CONFIG_BUS): portals, above all, would wait for a
 * desktop that is not in the VM, and make programs wait. So the bus does not look where services are
 * installed, but in a folder of links to those that it may start; to others it says at once that there are
 * none.
 */
#include "guest/init/bus.h"

#include "guest/init/identity.h"
#include "guest/init/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a shell has it, and what dbus-daemon itself does not end with. */
#define NOT_FOUND 127
#define NOT_STARTED 126
/* Where sockets are that a program is given (sd_listen_fds). */
#define GIVEN 3

/* Everybody on the bus is the same user, and may say anything to each other: it is no boundary. */
static const char configuration[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig>\n<type>session</type>\n<keep_umask/>\n<listen>systemd:</listen>\n<auth>EXTERNAL</auth>\n"
	"<servicedir>%s/services</servicedir>\n"
	"<policy context=\"default\">\n<allow send_destination=\"*\" eavesdrop=\"true\"/>\n"
	"<allow eavesdrop=\"true\"/>\n<allow own=\"*\"/>\n</policy>\n"
	"<limit name=\"max_incoming_bytes\">268435456</limit>\n"
	"<limit name=\"max_outgoing_bytes\">268435456</limit>\n"
	"<limit name=\"max_message_size\">134217728</limit>\n"
	"<limit name=\"max_completed_connections\">10000</limit>\n"
	"<limit name=\"max_connections_per_user\">10000</limit>\n"
	"<limit name=\"max_names_per_connection\">10000</limit>\n"
	"<limit name=\"max_match_rules_per_connection\">10000</limit>\n"
	"<limit name=\"max_replies_per_connection\">10000</limit>\n"
	"</busconfig>\n";

static bool starts_with_any(const char *text, const char *const *prefixes) {
	for (; *prefixes != NULL; prefixes++) {
		if (strncmp(text, *prefixes, strlen(*prefixes)) == 0) {
			return true;
		}
	}
	return false;
}

bool bus_may_start(const char *const *fields, const char *file) {
	const char *end = strrchr(file, '.');
	bool only = strcmp(fields[0], "only") == 0;
	return end != NULL && strcmp(end, ".service") == 0 && starts_with_any(file, fields + 1) == only;
}

/* ---- in the child, as the user ---- */

/* What an earlier folder has goes before. */
static void link_services(const char *data, const char *folder, const char *const *fields) {
	char from[PATH_MAX], to[PATH_MAX];
	snprintf(from, sizeof(from), "%s/dbus-1/services", data);
	DIR *dir = opendir(from);
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (bus_may_start(fields, entry->d_name) &&
			snprintf(from, sizeof(from), "%s/dbus-1/services/%s", data, entry->d_name) <
				(int)sizeof(from) &&
			snprintf(to, sizeof(to), "%s/services/%s", folder, entry->d_name) < (int)sizeof(to)) {
			symlink(from, to);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

static void link_all_services(const char *folder, const char *const *fields) {
	char path[PATH_MAX];
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	if (data == NULL && home != NULL &&
		snprintf(path, sizeof(path), "%s/.local/share", home) < PATH_MAX) {
		data = path;
	}
	if (data != NULL) {
		link_services(data, folder, fields);
	}
	const char *dirs = getenv("XDG_DATA_DIRS");
	char *copy = strdup(dirs != NULL && dirs[0] != '\0' ? dirs : "/usr/local/share:/usr/share");
	for (char *rest = copy, *next; copy != NULL && (next = strsep(&rest, ":")) != NULL;) {
		link_services(next, folder, fields);
	}
	free(copy);
}

static int write_configuration(const char *folder) {
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/services", folder);
	if ((mkdir(folder, 0700) < 0 || mkdir(path, 0700) < 0) && errno != EEXIST) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/session.conf", folder);
	FILE *file = fopen(path, "we");
	if (file == NULL) {
		return -1;
	}
	fprintf(file, configuration, folder);
	return fclose(file);
}

/* Services get the bus's variables: those of the first command, if that is the user's. */
static int take_environment(const struct config *config) {
	struct identity identity;
	char *none[] = {NULL}, text[96];
	const struct config_user *user = &config->user;
	bool same = config->has_exec && config->exec.uid == user->uid;
	const struct exec exec = {.uid = user->uid, .argv = none, .env = same ? config->exec.env : none};
	if (identity_find(&identity, &exec, config) < 0 ||
		setgroups(identity.group_count, identity.groups) < 0 ||
		setresgid(user->gid, user->gid, user->gid) < 0 ||
		setresuid(user->uid, user->uid, user->uid) < 0) {
		return -1;
	}
	identity_choose_shell(&identity, false);
	clearenv();
	for (char **variable = identity.env; *variable != NULL; variable++) {
		putenv(*variable);
	}
	snprintf(text, sizeof(text), "/run/user/%u", user->uid);
	setenv("XDG_RUNTIME_DIR", text, 1);
	snprintf(text, sizeof(text), "unix:path=/run/user/%u/bus", user->uid);
	setenv("DBUS_SESSION_BUS_ADDRESS", text, 1);
	return 0;
}

static int give_socket(int listener) {
	char pid[16];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
		return -1;
	}
	/* dup2() onto itself would leave it to be closed. */
	if (listener == GIVEN ? fcntl(listener, F_SETFD, 0) < 0 : dup2(listener, GIVEN) < 0) {
		return -1;
	}
	syscall(SYS_close_range, GIVEN + 1U, ~0U, 0U);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	return 0;
}

static __attribute__((noreturn)) void become_bus(struct service *service) {
	const struct config *config = ((struct bus *)(void *)service)->config;
	char folder[64], option[96];
	int status = NOT_STARTED;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	umask(077);
	identity_join_cgroup();
	snprintf(folder, sizeof(folder), "/run/user/%u/ph-bus", config->user.uid);
	snprintf(option, sizeof(option), "--config-file=%s/session.conf", folder);
	if (take_environment(config) == 0 && write_configuration(folder) == 0) {
		link_all_services(folder, (const char *const *)config->bus);
		umask(022);
		if (give_socket(service->listener) == 0) {
			execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", "--nosyslog",
				(char *)NULL);
			status = errno == ENOENT ? NOT_FOUND : NOT_STARTED;
		}
	}
	_exit(status);
}

/* ---- in PID 1 ---- */

static bool bus_ended(int status) {
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 0) {
		return true;
	}
	if (WEXITSTATUS(status) == NOT_FOUND) {
		report_problem("there is no session bus: the VM has no dbus-daemon");
	} else if (WEXITSTATUS(status) == NOT_STARTED) {
		report_error("there is no session bus: dbus-daemon cannot be started");
	} else {
		report_error("the session bus does not work: dbus-daemon ended with status %d",
			WEXITSTATUS(status));
	}
	return false;
}

void bus_listen(struct bus *bus, const struct config *config) {
	*bus = (struct bus){.config = config,
		.service = {
			.listener = -1, .name = "the session bus", .become = become_bus, .ended = bus_ended}};
	if (config->bus != NULL && config->user.fields != NULL) {
		bus->service.listener = service_listen(&config->user, "bus", SOCK_STREAM);
	}
}
