/*
 * Profiles, read with libinih a line at a time: every line is checked here first, so that a mistake is told
 * with its file and line. ph's first thread; the files are the user's own or the administrator's.
 */
#include "cli/profile.h"

#include "cli/table.h"

#include "ph/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct profile {
	struct cli_options *options;
	FILE *file;
	const char *path;
	unsigned line;
	struct error *error;
	int ret;
};

static int fail(struct profile *profile, const char *format, const char *text) {
	char reason[768];
	snprintf(reason, sizeof(reason), format, text);
	profile->ret = error_set(profile->error, -EINVAL, "%s:%u: %s", profile->path, profile->line, reason);
	return 0;
}

/* ---- lines ---- */

/* A line as fgets() has it, its length in *length; false at the end of the file. */
static bool read_line(FILE *file, char *line, size_t size, size_t *length) {
	int c = 0;
	*length = 0;
	while (*length + 1 < size && c != '\n' && (c = getc(file)) != EOF) {
		line[(*length)++] = (char)c;
	}
	line[*length] = '\0';
	return *length > 0;
}

/* libinih would take the rest of a long line for another one, and a line with a blank in front for more of
 * the one before. */
static char *next_line(char *line, int size, void *owner) {
	struct profile *profile = owner;
	size_t length;
	if (profile->ret < 0 || !read_line(profile->file, line, (size_t)size, &length)) {
		return NULL;
	}
	profile->line++;
	bool blank = line[strspn(line, " \t\r\n")] == '\0';
	if (strlen(line) != length) {
		fail(profile, "%s", "a NUL byte");
	} else if (line[length - 1] != '\n' && length + 1 == (size_t)size) {
		fail(profile, "%s", "the line is too long");
	} else if (!blank && (line[0] == ' ' || line[0] == '\t')) {
		fail(profile, "%s", "an option begins in the first column");
	} else if (line[0] == '[') {
		fail(profile, "%s", "there are no sections here");
	}
	return profile->ret < 0 ? NULL : line;
}

/* ---- options ---- */

/* The setting owns its value, which the request points to, and its origin. */
static struct cli_setting *add_setting(
	struct profile *profile, const struct option *option, const char *value) {
	struct cli_options *options = profile->options;
	char *copy = strdup(value), *origin = NULL;
	if (options->setting_count == CLI_SETTINGS_MAX || copy == NULL ||
		asprintf(&origin, "%s:%u", profile->path, profile->line) < 0) {
		free(copy);
		return NULL;
	}
	struct cli_setting *setting = &options->settings[options->setting_count++];
	*setting = (struct cli_setting){.name = option->name,
		.value = copy,
		.origin = origin,
		.shapes_vm = !option->of_command,
		.adds_up = option->adds_up};
	return setting;
}

static int unknown(struct profile *profile, const char *name) {
	const struct option *nearest = table_nearest(name, strlen(name));
	char text[160];
	if (nearest == NULL) {
		return fail(profile, "unknown option %.64s; ph --help-all lists the options", name);
	}
	snprintf(text, sizeof(text), "%.64s; did you mean %s?", name, nearest->name);
	return fail(profile, "unknown option %s", text);
}

/* libinih's handler: 1, or 0 for a mistake. */
static int take_option(void *owner, const char *section, const char *name, const char *value) {
	struct profile *profile = owner;
	(void)section;
	if (profile->ret < 0) {
		return 0;
	}
	const struct option *option = table_find(name, strlen(name));
	if (option == NULL) {
		return unknown(profile, name);
	}
	if (option->once) {
		return fail(profile, "%s is for the command line", name);
	}
	if (value[0] == '\0') {
		return fail(profile, "%s needs a value", name);
	}
	bool bare = option->optional && strcmp(value, "yes") == 0;
	struct cli_setting *setting = add_setting(profile, option, bare ? "" : value);
	if (setting == NULL) {
		return fail(profile, "%s", "too many options");
	}
	struct error cause = {0};
	if (option->apply(profile->options, setting->value, &cause) < 0) {
		char text[640];
		snprintf(text, sizeof(text), "%s: %s", name, cause.message);
		return fail(profile, "%s", text);
	}
	return 1;
}

int profile_read(struct cli_options *options, FILE *file, const char *path, struct error *error) {
	struct profile profile = {.options = options, .file = file, .path = path, .error = error};
	int line = ini_parse_stream(next_line, &profile, take_option, &profile);
	if (profile.ret == 0 && line > 0) {
		profile.line = (unsigned)line;
		fail(&profile, "%s", "not of the form: option = value");
	} else if (profile.ret == 0 && line < 0) {
		profile.ret = error_set(error, -ENOMEM, "%s: out of memory", path);
	}
	return profile.ret;
}

/* ---- files ---- */

/* A guest with the home can put something there that is never read to its end. */
static int open_profile(const char *path, FILE **file, struct error *error) {
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int ret = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (ret == -ENOENT || ret == -ENOTDIR) {
		return 0;
	}
	if (ret == 0 && !S_ISREG(st.st_mode)) {
		ret = error_set(error, -EINVAL, "%s: is no file that could be read as a profile", path);
	} else if (ret < 0 || (*file = fdopen(fd, "r")) == NULL) {
		ret = error_set(error, -EINVAL, "%s: %s", path, strerror(errno));
	}
	if (ret < 0) {
		fd_close(&fd);
	}
	return ret;
}

/* What cannot be read to its end would leave out options that keep things from the VM. */
static int read_if_there(struct cli_options *options, const char *path, struct error *error) {
	FILE *file = NULL;
	int ret = open_profile(path, &file, error);
	if (file == NULL) {
		return ret;
	}
	ret = profile_read(options, file, path, error);
	if (ret == 0 && ferror(file)) {
		ret = error_set(error, -EIO, "%s: cannot be read to its end", path);
	}
	fclose(file);
	return ret;
}

/* False: there is no such place, or a path that no file has. */
static bool user_path(char *path, size_t size, const char *name) {
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	bool given = config != NULL && config[0] == '/';
	if (!given && (home == NULL || home[0] != '/')) {
		return false;
	}
	int n = given ? snprintf(path, size, "%s/ph/%s.conf", config, name)
		      : snprintf(path, size, "%s/.config/ph/%s.conf", home, name);
	return n > 0 && (size_t)n < size;
}

int profile_apply(struct cli_options *options, const struct plan_request *given, const char *name,
	struct error *error) {
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "/etc/ph/%s.conf", name);
	int ret = read_if_there(options, path, error);
	bool root = given->uid_map_count > 0 || given->realm != NULL;
	if (ret == 0 && !root) {
		ret = cli_become_caller(&options->request, error);
	}
	if (ret == 0 && user_path(path, sizeof(path), name)) {
		ret = read_if_there(options, path, error);
	}
	return ret;
}
