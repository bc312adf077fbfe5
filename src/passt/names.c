/*
 * Watches resolv.conf. In the process that tends passt. The file is the host's.
 *
 * It may be a file that is written or replaced, or a link that is, or lie behind links in folders that come
 * later: so the file is watched, and the folders of both ends of the link, and after each event all that is
 * set up anew.
 */
#include "passt/names.h"

#include "ph/fd.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define RESOLV "/etc/resolv.conf"
#define RESOLV_MAX 16384
#define IN_FOLDER (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR)

static void watch(struct passt_names *names) {
	fd_close(&names->fd);
	names->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (names->fd < 0) {
		return;
	}
	inotify_add_watch(names->fd, "/etc", IN_FOLDER);
	char *target = realpath(RESOLV, NULL);
	if (target == NULL) {
		return;
	}
	/* What is mounted over a file is not in its folder. */
	inotify_add_watch(names->fd, target, IN_CLOSE_WRITE);
	char *slash = strrchr(target, '/');
	slash[slash == target] = '\0';
	inotify_add_watch(names->fd, target, IN_FOLDER | IN_MASK_ADD);
	free(target);
}

void passt_names_init(struct passt_names *names, const struct passt_options *options) {
	*names = (struct passt_names){.fd = -1, .text = strdup(options->resolv)};
	if (options->make_resolv != NULL) {
		watch(names);
	}
}

bool passt_names_update(struct passt_names *names, const struct passt_options *options) {
	/* Before it is read: what changes later is another event. */
	watch(names);
	char *text = options->make_resolv();
	/* A file without servers is one that is being written, or a host that is between networks. */
	if (text == NULL || strstr(text, "nameserver") == NULL ||
		(names->text != NULL && strcmp(text, names->text) == 0)) {
		free(text);
		return false;
	}
	free(names->text);
	names->text = text;
	return true;
}

bool passt_names_forwarded(const struct passt_names *names, const struct passt_options *options) {
	size_t length = strlen(options->resolver);
	if (names->text == NULL) {
		return false;
	}
	for (const char *found = names->text; (found = strstr(found, options->resolver)) != NULL;) {
		found += length;
		if (*found == '\n') {
			return true;
		}
	}
	return false;
}

/* It takes the first one of IPv4. */
void passt_names_own_server(char address[INET_ADDRSTRLEN]) {
	static char text[RESOLV_MAX];
	char *rest = text, *line;
	struct in_addr server;
	address[0] = '\0';
	if (fd_read_file(RESOLV, text, sizeof(text)) < 0) {
		return;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (sscanf(line, " nameserver %15[0-9.]", address) == 1 &&
			inet_pton(AF_INET, address, &server) == 1) {
			break;
		}
		address[0] = '\0';
	}
	if (strncmp(address, "127.", 4) != 0) {
		address[0] = '\0';
	}
}
