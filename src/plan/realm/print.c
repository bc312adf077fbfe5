/* ph --realms: what there is, for a person or a script: a line each, with tabs. ph's first thread. */
#include "ph/plan.h"

#include "plan/realm/bus.h"
#include "plan/realm/realm.h"

#include "ph/fd.h"
#include "ph/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>

struct table {
	int realms_fd;
	struct bus_realm realms[BUS_REALMS_MAX];
	int count; /* or -errno */
	char current[PLAN_REALM_MAX + 1];
};

static const struct bus_realm *find(const struct table *table, const char *name) {
	for (int i = 0; i < table->count; i++) {
		if (strcmp(table->realms[i].name, name) == 0) {
			return &table->realms[i];
		}
	}
	return NULL;
}

static bool has_image(int realms_fd, const char *name) {
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "realmfs-images/%.40s-realmfs.img", name);
	return fstatat(realms_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static void print_state(const struct table *table, const char *name, bool system) {
	const struct bus_realm *known = find(table, name);
	bool running = table->count >= 0 ? known != NULL && known->running : realm_has_container(name);
	bool current =
		table->count >= 0 ? known != NULL && known->current : strcmp(table->current, name) == 0;
	printf("%s\t%s%s%s%s", name, running ? "running" : "stopped",
		realm_is_locked(table->realms_fd, name) ? ",vm" : "", current ? ",current" : "",
		system ? ",system" : "");
}

static void print_realm(const struct table *table, const char *name) {
	struct realm_config config = {0};
	struct error error = {0};
	char folder[PLAN_REALM_MAX + 8];
	snprintf(folder, sizeof(folder), "realm-%s", name);
	int fd = citadel_open(table->realms_fd, folder, O_PATH | O_DIRECTORY);
	int ret = fd < 0 ? fd : realm_config_read(&config, table->realms_fd, fd, name, &error);
	const struct bus_realm *known = find(table, name);
	print_state(table, name,
		(ret == 0 && config.values[KEY_SYSTEM_REALM].flag) || (known != NULL && known->system));
	if (ret == 0) {
		const char *image = config.values[KEY_REALMFS].text;
		printf("\t%s%s\n", image, has_image(table->realms_fd, image) ? "" : " (missing)");
	} else {
		printf("\t-\n");
		log_error("%s", error.message[0] != '\0' ? error.message : strerror(-ret));
	}
	realm_config_finish(&config);
	fd_close(&fd);
}

int plan_print_realms(struct error *error) {
	static struct table table;
	struct strings names = {0};
	table.current[0] = '\0';
	table.realms_fd = citadel_open_realms(error);
	if (table.realms_fd < 0) {
		return table.realms_fd;
	}
	int ret = realm_list(table.realms_fd, &names);
	if (ret == 0) {
		struct error ignored = {0};
		table.count = bus_list(table.realms);
		if (table.count < 0) {
			realm_current(table.current, &ignored);
		}
	} else {
		error_set(error, ret, "/realms: %s", strerror(-ret));
	}
	for (size_t i = 0; i < names.count && ret == 0; i++) {
		print_realm(&table, names.items[i]);
	}
	strings_finish(&names);
	fd_close(&table.realms_fd);
	return ret;
}
