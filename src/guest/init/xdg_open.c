/*
 * xdg-open in the guest: addresses of the web and of mail go to the host, if that opens them; whatever else
 * there is to open is the business of the root's own xdg-open. A process of the user's; what it is given is
 * its caller's.
 */
#include "guest/init/urls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* As xdg-open(1) has them. */
enum { OPENED = 0, WRONG_ARGUMENTS = 1, TOOL_MISSING = 3, FAILED = 4 };

static bool is_for_host(const char *text) {
	static const char *const schemes[] = {"http:", "https:", "mailto:"};
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0) {
			return true;
		}
	}
	return false;
}

static int complain(int status, const char *cause) {
	fprintf(stderr, "xdg-open: %s\n", cause);
	return status;
}

/* The next program of this name, behind this one in PATH. */
static int exec_next(char **argv) {
	char path[PATH_MAX];
	const char *list = getenv("PATH");
	char *copy = strdup(list != NULL ? list : "/usr/local/bin:/usr/bin:/bin");
	for (char *rest = copy, *next; copy != NULL && (next = strsep(&rest, ":")) != NULL;) {
		if (strcmp(next, GUEST_BIN) != 0 &&
			snprintf(path, sizeof(path), "%s/xdg-open", next) < (int)sizeof(path)) {
			execv(path, argv);
		}
	}
	free(copy);
	return complain(TOOL_MISSING, "the VM has no xdg-open of its own, and only addresses of the web and "
				      "of mail can be opened on the host");
}

static int connect_to_init(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *folder = getenv("XDG_RUNTIME_DIR");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || folder == NULL ||
		snprintf(address.sun_path, sizeof(address.sun_path), "%s/" GUEST_URLS_SOCKET, folder) >=
			(int)sizeof(address.sun_path) ||
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return -1;
	}
	return fd;
}

static int open_on_host(const char *url) {
	char answer = GUEST_URL_FAILED;
	int fd = connect_to_init();
	if (fd < 0) {
		return complain(FAILED, "this VM may not open pages on the host (ph --open-urls lets it)");
	}
	if (strlen(url) > GUEST_URL_MAX || send(fd, url, strlen(url), MSG_NOSIGNAL) < 0 ||
		recv(fd, &answer, 1, 0) != 1) {
		return complain(FAILED, "the address could not be handed to the host");
	}
	switch (answer) {
	case GUEST_URL_OPENED:
		return OPENED;
	case GUEST_URL_REFUSED:
		return complain(FAILED, "the host does not open such an address");
	case GUEST_URL_TOO_MANY:
		return complain(FAILED, "the host opens no more addresses for the moment");
	default:
		return complain(FAILED, "the host cannot open it: it has no xdg-open");
	}
}

int xdg_open_main(int argc, char **argv) {
	if (argc < 2) {
		return complain(WRONG_ARGUMENTS, "what is to be opened?");
	}
	return argc == 2 && is_for_host(argv[1]) ? open_on_host(argv[1]) : exec_next(argv);
}
