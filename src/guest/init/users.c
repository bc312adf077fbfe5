/*
 * The user in the guest's passwd and group files: found, or added at their end. Runs in ph-init,
 * before the first command. The files are the user's own system's or an image's and are taken as
 * they come: only ids count, since only they decide who may do what.
 */
#include "guest/init/users.h"

#include "guest/init/mounts.h"
#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_MAX (4u << 20)

/* The given field of the entry at line, which ends at end; NULL when it has fewer. */
static const char *entry_field(const char *line, const char *end, unsigned field, size_t *len) {
	const char *start = line;
	for (; field > 0; field--) {
		start = memchr(start, ':', (size_t)(end - start));
		if (start == NULL) {
			return NULL;
		}
		start++;
	}
	const char *colon = memchr(start, ':', (size_t)(end - start));
	*len = (size_t)((colon == NULL ? end : colon) - start);
	return start;
}

static bool entry_has_id(const char *line, const char *end, unsigned long id) {
	char number[24];
	size_t len;
	const char *field = entry_field(line, end, 2, &len);
	int digits = snprintf(number, sizeof(number), "%lu", id);
	return field != NULL && len == (size_t)digits && memcmp(field, number, len) == 0;
}

static const char *find_entry(const char *text, unsigned long id, const char **end) {
	for (const char *line = text; *line != '\0'; line = **end == '\0' ? *end : *end + 1) {
		*end = strchrnul(line, '\n');
		if (entry_has_id(line, *end, id)) {
			return line;
		}
	}
	return NULL;
}

bool users_text_has_id(const char *text, unsigned long id) {
	const char *end;
	return find_entry(text, id, &end) != NULL;
}

bool users_text_field(const char *text, unsigned long id, unsigned field, char *out, size_t size) {
	const char *end;
	const char *line = find_entry(text, id, &end);
	size_t len;
	const char *value = line == NULL ? NULL : entry_field(line, end, field, &len);
	if (value == NULL || len >= size) {
		return false;
	}
	memcpy(out, value, len);
	out[len] = '\0';
	return true;
}

static bool is_member(const char *members, size_t len, const char *name) {
	for (size_t i = 0; i < len;) {
		size_t part = 0;
		while (i + part < len && members[i + part] != ',') {
			part++;
		}
		if (part == strlen(name) && memcmp(members + i, name, part) == 0) {
			return true;
		}
		i += part + 1;
	}
	return false;
}

size_t users_text_groups(const char *text, const char *name, gid_t *groups, size_t max) {
	size_t count = 0, len;
	const char *end;
	for (const char *line = text; *line != '\0' && count < max; line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		const char *members = entry_field(line, end, 3, &len);
		if (members == NULL || !is_member(members, len, name)) {
			continue;
		}
		char *rest;
		const char *number = entry_field(line, end, 2, &len);
		unsigned long gid = strtoul(number, &rest, 10);
		if (rest == number + len && len > 0 && *number >= '0' && *number <= '9' && gid < UINT32_MAX) {
			groups[count++] = (gid_t)gid;
		}
	}
	return count;
}

/* The file's text, "" for a missing one; NULL when it cannot be read. */
static char *read_text(const char *path) {
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT ? strdup("") : NULL;
	}
	char *text = NULL;
	size_t size = 0;
	if (fstat(fd, &st) == 0 && st.st_size <= FILE_MAX) {
		text = malloc((size_t)st.st_size + 1);
	}
	while (text != NULL && size < (size_t)st.st_size) {
		ssize_t n = read(fd, text + size, (size_t)st.st_size - size);
		if (n <= 0) {
			break;
		}
		size += (size_t)n;
	}
	if (text != NULL) {
		text[size] = '\0';
	}
	close(fd);
	return text;
}

/* Add whole lines to the end of a file whose text was old. */
static int append(const char *path, const char *old, const char *lines) {
	size_t old_len = strlen(old), len = strlen(lines);
	bool open_end = old_len > 0 && old[old_len - 1] != '\n';
	const struct iovec parts[] = {{(void *)"\n", open_end ? 1 : 0}, {(void *)lines, len}};
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 && errno == ENOENT && mounts_make_folder("/etc", 0755) == 0) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	}
	if (fd < 0) {
		return -errno;
	}
	ssize_t n = writev(fd, parts, 2);
	int result = n < 0 ? -errno : (n == (ssize_t)(parts[0].iov_len + len) ? 0 : -ENOSPC);
	close(fd);
	return result;
}

static void add_user(const struct config_user *user) {
	char line[1024];
	char *text = read_text("/etc/passwd");
	if (text == NULL || !users_text_has_id(text, user->uid)) {
		snprintf(line, sizeof(line), "%s:x:%u:%u:%s:%s:%s\n", user->name, user->uid, user->gid,
			user->gecos, user->home, user->shell);
		int result = append("/etc/passwd", text == NULL ? "" : text, line);
		if (result < 0) {
			report_problem("cannot add %s to /etc/passwd: %s", user->name, strerror(-result));
		}
	}
	free(text);
}

/* The lines for groups text lacks, in one string; NULL when there are none. */
static char *missing_groups(const struct config *config, const char *text) {
	char *lines = NULL;
	for (size_t i = 0; i < config->group_count; i++) {
		const struct config_group *group = &config->groups[i];
		char *longer;
		if (users_text_has_id(text, group->gid)) {
			continue;
		}
		if (asprintf(&longer, "%s%s:x:%u:%s\n", lines == NULL ? "" : lines, group->name, group->gid,
			    config->user.name) < 0) {
			break;
		}
		free(lines);
		lines = longer;
	}
	return lines;
}

static void add_groups(const struct config *config) {
	char *text = read_text("/etc/group");
	char *lines = missing_groups(config, text == NULL ? "" : text);
	int result = lines == NULL ? 0 : append("/etc/group", text == NULL ? "" : text, lines);
	if (result < 0) {
		report_problem("cannot add groups to /etc/group: %s", strerror(-result));
	}
	free(lines);
	free(text);
}

void users_add(const struct config *config) {
	if (config->user.fields == NULL) {
		return;
	}
	add_user(&config->user);
	if (config->group_count > 0) {
		add_groups(config);
	}
}

void users_make_runtime_folder(const struct config *config) {
	char path[64];
	if (config->user.fields == NULL) {
		return;
	}
	snprintf(path, sizeof(path), "/run/user/%u", config->user.uid);
	if ((mkdir("/run/user", 0755) < 0 && errno != EEXIST) || (mkdir(path, 0700) < 0 && errno != EEXIST) ||
		chown(path, config->user.uid, config->user.gid) < 0) {
		report_problem("cannot make %s: %s", path, strerror(errno));
	}
}

bool users_find(uid_t uid, char *name, char *home, char *shell, size_t size) {
	char *text = read_text("/etc/passwd");
	bool found = text != NULL && users_text_field(text, uid, 0, name, size) &&
		     users_text_field(text, uid, 5, home, size) &&
		     users_text_field(text, uid, 6, shell, size);
	free(text);
	return found;
}

size_t users_find_groups(uid_t uid, gid_t *groups, size_t max) {
	char name[64];
	char *passwd = read_text("/etc/passwd"), *group = read_text("/etc/group");
	size_t count = passwd != NULL && group != NULL && users_text_field(passwd, uid, 0, name, sizeof(name))
			       ? users_text_groups(group, name, groups, max)
			       : 0;
	free(group);
	free(passwd);
	return count;
}
