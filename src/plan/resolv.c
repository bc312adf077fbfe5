/*
 * The guest's resolv.conf, made from this host's. ph's first thread; the file is the host's.
 */
#include "plan/parts.h"

#include "ph/fd.h"
#include "plan/strings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define HOST_RESOLV "/etc/resolv.conf"
#define RESOLV_MAX 16384

enum reach { NOWHERE, LOCAL, ANYWHERE };

/* The host's servers, as they are read. */
struct host_servers {
	const char *local4;
	enum reach first4;  /* of the first IPv4 one */
	unsigned all, kept; /* by the guest */
};

/* An address with a scope means nothing in the guest, and passt leads to the host's loopback for IPv4 alone.
 */
static enum reach address_reach(const char *text) {
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127 ? LOCAL : ANYWHERE;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		return IN6_IS_ADDR_LOOPBACK(&v6) ? NOWHERE : ANYWHERE;
	}
	return NOWHERE;
}

static bool is_server(const char *line, const char *address) {
	static const char key[] = "nameserver ";
	return strncmp(line, key, sizeof(key) - 1) == 0 && strcmp(line + sizeof(key) - 1, address) == 0;
}

/* passt forwards to the first of the host's IPv4 servers. Where that is not this host's own, those of this
 * host's that come later are out of reach. */
static void add_server(struct strings *lines, const char *address, struct host_servers *servers) {
	enum reach reach = address_reach(address);
	servers->all++;
	if (servers->first4 == NOWHERE && strchr(address, ':') == NULL) {
		servers->first4 = reach;
	}
	if (reach == NOWHERE || (reach == LOCAL && servers->first4 == ANYWHERE)) {
		return;
	}
	const char *server = reach == LOCAL ? servers->local4 : address;
	servers->kept++;
	for (size_t i = 0; i < lines->count; i++) {
		if (is_server(lines->items[i], server)) {
			return;
		}
	}
	strings_add_format(lines, "nameserver %s", server);
}

/* Lines that say something about names, not about this host. */
static void add_line(struct strings *lines, char *line, struct host_servers *servers) {
	static const char blank[] = " \t";
	static const char *const kept[] = {"search", "domain", "options"};
	line[strcspn(line, "#;")] = '\0';
	char *rest, *key = strtok_r(line, blank, &rest);
	if (key == NULL) {
		return;
	}
	if (strcmp(key, "nameserver") == 0) {
		char *address = strtok_r(NULL, blank, &rest);
		if (address != NULL) {
			add_server(lines, address, servers);
		}
		return;
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (strcmp(key, kept[i]) == 0) {
			strings_add_format(lines, "%s %s", key, rest);
		}
	}
}

static void add_host(struct strings *lines, const char *local4, bool *lost) {
	static char text[RESOLV_MAX];
	char *rest = text, *line;
	struct host_servers servers = {.local4 = local4};
	if (fd_read_file(HOST_RESOLV, text, sizeof(text)) < 0) {
		return;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		add_line(lines, line, &servers);
	}
	*lost = servers.all > 0 && servers.kept == 0;
}

char *plan_make_resolv(const char *const *servers, size_t count, const char *local4, bool *lost) {
	struct strings lines = {0};
	*lost = false;
	for (size_t i = 0; i < count; i++) {
		strings_add_format(&lines, "nameserver %s", servers[i]);
	}
	if (count == 0) {
		add_host(&lines, local4, lost);
	}
	size_t size = 1;
	for (size_t i = 0; i < lines.count; i++) {
		size += strlen(lines.items[i]) + 1;
	}
	char *text = lines.failed ? NULL : calloc(1, size), *end = text;
	for (size_t i = 0; i < lines.count && text != NULL; i++) {
		end = stpcpy(stpcpy(end, lines.items[i]), "\n");
	}
	strings_finish(&lines);
	return text;
}
