/*
 * What programs expect to find of the person's settings where the VM does not show the files that hold them:
 * the time zone, for an image, and how things look, for a home that is empty. ph's first thread; the files
 * are the caller's own.
 */
#include "plan/parts.h"

#include "ph/fd.h"
#include "plan/strings.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_MAX 120
#define SETTINGS_MAX (64 * 1024)

/* ---- the time zone ---- */

/* As in Europe/Berlin: what /etc/localtime of every distribution is a link to. */
static char *find_zone(void) {
	static const char mark[] = "/zoneinfo/";
	char target[PATH_MAX];
	ssize_t size = readlink("/etc/localtime", target, sizeof(target) - 1);
	if (size < 0) {
		return NULL;
	}
	target[size] = '\0';
	const char *zone = strstr(target, mark);
	return zone != NULL && strstr(zone, "..") == NULL ? strdup(zone + sizeof(mark) - 1) : NULL;
}

/* ---- how things look ---- */

/* Of GTK's settings: nothing of them says anything else about the person. */
static const char *const looks[] = {"gtk-theme-name", "gtk-icon-theme-name", "gtk-font-name",
	"gtk-cursor-theme-name", "gtk-cursor-theme-size", "gtk-application-prefer-dark-theme",
	"gtk-xft-antialias", "gtk-xft-hinting", "gtk-xft-hintstyle", "gtk-xft-rgba", "gtk-xft-dpi"};

static bool is_look(const char *name) {
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (strcmp(name, looks[i]) == 0) {
			return true;
		}
	}
	return false;
}

static int take_setting(void *owner, const char *section, const char *name, const char *value) {
	struct strings *lines = owner;
	if (strcmp(section, "Settings") == 0 && is_look(name) && strlen(value) <= VALUE_MAX) {
		strings_add_format(lines, "%s=%s\n", name, value);
	}
	return 1;
}

/* A VM that has the home can leave anything in this place, also what has no end or never begins. */
static void read_settings(const char *path, struct strings *lines) {
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool sound = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SETTINGS_MAX;
	FILE *file = sound ? fdopen(fd, "r") : NULL;
	if (file != NULL) {
		ini_parse_file(file, take_setting, lines);
		fclose(file);
	} else {
		fd_close(&fd);
	}
}

/* The text of a settings.ini with nothing but that; NULL when there is nothing. */
static char *find_looks(void) {
	char path[PATH_MAX];
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct strings lines = {0};
	bool set = config != NULL && config[0] == '/';
	if (!set && home == NULL) {
		return NULL;
	}
	snprintf(path, sizeof(path), "%s%s/gtk-3.0/settings.ini", set ? config : home, set ? "" : "/.config");
	read_settings(path, &lines);
	char **list = lines.count > 0 ? strings_take(&lines) : NULL;
	char *text = list != NULL ? strdup("[Settings]\n") : NULL;
	for (size_t i = 0; text != NULL && list[i] != NULL; i++) {
		char *longer = NULL;
		int length = asprintf(&longer, "%s%s", text, list[i]);
		free(text);
		text = length < 0 ? NULL : longer;
	}
	strings_free(list);
	return text;
}

int plan_resolve_settings(struct plan *plan, const struct plan_request *request, struct error *error) {
	(void)error;
	bool image = plan->root == PLAN_ROOT_IMAGE;
	bool kept = image && plan->disks[0].mode == BLOCK_READ_WRITE;
	plan->open_urls = request->open_urls;
	plan->own_home = plan->realm_name == NULL && !plan->private_home && request->home == NULL;
	plan->zone = image && !kept ? find_zone() : NULL;
	plan->gtk_settings = plan->private_home && plan->realm_name == NULL && !kept ? find_looks() : NULL;
	return 0;
}
