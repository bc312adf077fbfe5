/*
 * A stand-in for realmsd on a private bus, for the tests of what ph asks it. Its interface is Citadel's
 * (realmsd and libcitadel's D-Bus code): generation 1 as of 2019, 2 as of 2021, 3 as of 2022; 0 talks
 * nonsense, and -1 never answers. libdbus is loaded, as ph loads it.
 */
#include "realmsd.h"

#include <dbus/dbus.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUNCTIONS(X) \
	X(dbus_bus_get_private) \
	X(dbus_bus_request_name) \
	X(dbus_connection_read_write) \
	X(dbus_connection_pop_message) \
	X(dbus_connection_send) \
	X(dbus_connection_flush) \
	X(dbus_message_is_method_call) \
	X(dbus_message_new_method_return) \
	X(dbus_message_new_error) \
	X(dbus_message_iter_init_append) \
	X(dbus_message_iter_append_basic) \
	X(dbus_message_iter_open_container) \
	X(dbus_message_iter_close_container)

#define DECLARE(name) static __typeof__(name) *call_##name;
FUNCTIONS(DECLARE)

static void load(void) {
	void *handle = dlopen("libdbus-1.so.3", RTLD_NOW);
#define LOAD(name) \
	*(void **)&call_##name = handle != NULL ? dlsym(handle, #name) : NULL; \
	if (call_##name == NULL) { \
		_exit(3); \
	}
	FUNCTIONS(LOAD)
}

/* ---- answers ---- */

static const struct {
	const char *name, *description, *realmfs;
	unsigned char status; /* 1 runs, 2 is current, 4 is the system's */
} realms[] = {{"main", "Main", "main", 3}, {"other", "", "base", 0}, {"apt-cacher", "", "base", 5},
	{"../evil", "!", "a/b", 1}};

#define REALMS (sizeof(realms) / sizeof(realms[0]))

static void add_string(DBusMessageIter *iter, const char *text) {
	call_dbus_message_iter_append_basic(iter, DBUS_TYPE_STRING, &text);
}

static void list_realms(DBusMessageIter *iter, int generation) {
	static const char *const types[] = {"(s)", "{sy}", "(sssy)", "(ssssy)"};
	DBusMessageIter list, item;
	call_dbus_message_iter_open_container(iter, DBUS_TYPE_ARRAY, types[generation], &list);
	for (size_t i = 0; i < REALMS; i++) {
		unsigned char status = realms[i].status;
		call_dbus_message_iter_open_container(
			&list, generation == 1 ? DBUS_TYPE_DICT_ENTRY : DBUS_TYPE_STRUCT, NULL, &item);
		add_string(&item, realms[i].name);
		if (generation >= 2) {
			add_string(&item, realms[i].description);
			add_string(&item, realms[i].realmfs);
		}
		if (generation >= 3) {
			add_string(&item, "4026531836");
		}
		if (generation == 1) {
			status = (status & 2) != 0 ? 2 : status & 1;
		}
		if (generation >= 1) {
			call_dbus_message_iter_append_basic(&item, DBUS_TYPE_BYTE, &status);
		}
		call_dbus_message_iter_close_container(&list, &item);
	}
	call_dbus_message_iter_close_container(iter, &list);
}

static void tell_config(DBusMessageIter *iter, int generation) {
	static const char *const config[][2] = {
		{"use-network", "true"}, {"realmfs", "main"}, {"overlay", "tmpfs"}};
	DBusMessageIter outer, list, item;
	bool dict = generation == 3;
	if (dict) {
		call_dbus_message_iter_open_container(iter, DBUS_TYPE_STRUCT, NULL, &outer);
	}
	call_dbus_message_iter_open_container(
		dict ? &outer : iter, DBUS_TYPE_ARRAY, dict ? "{ss}" : "(ss)", &list);
	for (size_t i = 0; i < 3; i++) {
		call_dbus_message_iter_open_container(
			&list, dict ? DBUS_TYPE_DICT_ENTRY : DBUS_TYPE_STRUCT, NULL, &item);
		add_string(&item, config[i][0]);
		add_string(&item, config[i][1]);
		call_dbus_message_iter_close_container(&list, &item);
	}
	call_dbus_message_iter_close_container(dict ? &outer : iter, &list);
	if (dict) {
		call_dbus_message_iter_close_container(iter, &outer);
	}
}

static bool is_call(DBusMessage *message, const char *method) {
	return call_dbus_message_is_method_call(message, "com.subgraph.realms.Manager", method);
}

static DBusMessage *answer(DBusMessage *message, int generation) {
	DBusMessage *reply = call_dbus_message_new_method_return(message);
	DBusMessageIter iter;
	dbus_uint32_t number = 42;
	call_dbus_message_iter_init_append(reply, &iter);
	if (is_call(message, "List")) {
		list_realms(&iter, generation);
	} else if (generation == 0) {
		call_dbus_message_iter_append_basic(&iter, DBUS_TYPE_UINT32, &number);
	} else if (is_call(message, "GetCurrent")) {
		add_string(&iter, "main");
	} else if (is_call(message, "RealmConfig") && generation >= 2) {
		tell_config(&iter, generation);
	} else {
		return call_dbus_message_new_error(
			message, "org.freedesktop.DBus.Error.UnknownMethod", "no such method");
	}
	return reply;
}

static void serve(int generation) {
	load();
	DBusConnection *bus = call_dbus_bus_get_private(DBUS_BUS_SYSTEM, NULL);
	if (bus == NULL || call_dbus_bus_request_name(bus, "com.subgraph.realms", 0, NULL) < 0) {
		_exit(2);
	}
	while (call_dbus_connection_read_write(bus, 100)) {
		DBusMessage *message;
		while ((message = call_dbus_connection_pop_message(bus)) != NULL) {
			bool ours = is_call(message, "List") || is_call(message, "GetCurrent") ||
				    is_call(message, "RealmConfig");
			if (ours && generation >= 0) {
				call_dbus_connection_send(bus, answer(message, generation), NULL);
				call_dbus_connection_flush(bus);
			}
		}
	}
}

/* ---- the bus ---- */

static const char bus_config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>\n"
	"<policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow "
	"eavesdrop=\"true\"/>\n"
	"<allow own=\"*\"/></policy></busconfig>\n";

static pid_t start(void (*run)(const char *top, int generation), const char *top, int generation) {
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(top, generation);
		_exit(1);
	}
	return pid;
}

static void run_bus(const char *top, int generation) {
	char option[128];
	(void)generation;
	snprintf(option, sizeof(option), "--config-file=%s/bus.conf", top);
	execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", "--nosyslog", (char *)NULL);
}

static void run_realmsd(const char *top, int generation) {
	(void)top;
	serve(generation);
}

static bool is_there(const char *path) {
	for (int i = 0; i < 500; i++) {
		if (access(path, F_OK) == 0) {
			return true;
		}
		usleep(10000);
	}
	return false;
}

bool realmsd_start_bus(struct realmsd *realmsd) {
	char path[96], address[128];
	snprintf(realmsd->top, sizeof(realmsd->top), "/tmp/ph-realmsd-XXXXXX");
	if (mkdtemp(realmsd->top) == NULL) {
		return false;
	}
	snprintf(path, sizeof(path), "%s/bus.conf", realmsd->top);
	FILE *file = fopen(path, "w");
	if (file == NULL) {
		return false;
	}
	fprintf(file, bus_config, realmsd->top);
	fclose(file);
	realmsd->bus = start(run_bus, realmsd->top, 0);
	snprintf(address, sizeof(address), "unix:path=%s/bus", realmsd->top);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
	snprintf(path, sizeof(path), "%s/bus", realmsd->top);
	return is_there(path);
}

void realmsd_start(struct realmsd *realmsd, int generation) {
	realmsd->service = start(run_realmsd, realmsd->top, generation);
}

static void stop(pid_t *pid) {
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

void realmsd_stop(struct realmsd *realmsd) {
	stop(&realmsd->service);
}

void realmsd_stop_bus(struct realmsd *realmsd) {
	char path[96];
	realmsd_stop(realmsd);
	stop(&realmsd->bus);
	snprintf(path, sizeof(path), "%s/bus.conf", realmsd->top);
	unlink(path);
	snprintf(path, sizeof(path), "%s/bus", realmsd->top);
	unlink(path);
	rmdir(realmsd->top);
	unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}
