/*
 * Ports of this host that lead to the VM. Each is tried here, because passt would only end when one is taken.
 * ph's first thread; the caller's own input.
 */
#include "plan/net.h"

#include "ph/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct publication {
	char address[64];
	unsigned host, guest;
	bool udp;
};

static bool read_port(const char *text, unsigned *port) {
	char *end;
	unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
	*port = (unsigned)value;
	return value > 0 && value <= 65535 && *end == '\0';
}

/* An IPv6 address is in brackets. */
static bool read_address(const char *text, struct publication *publication) {
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t length = strlen(text);
	bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
	if (length >= sizeof(publication->address)) {
		return false;
	}
	memcpy(publication->address, text + bracketed, length - 2 * bracketed);
	publication->address[length - 2 * bracketed] = '\0';
	return inet_pton(bracketed ? AF_INET6 : AF_INET, publication->address, bytes) == 1;
}

static bool parse(const char *option, struct publication *publication) {
	char text[128];
	if ((size_t)snprintf(text, sizeof(text), "%s", option) >= sizeof(text)) {
		return false;
	}
	char *protocol = strrchr(text, '/');
	*publication = (struct publication){.address = "127.0.0.1"};
	if (protocol != NULL) {
		*protocol++ = '\0';
		publication->udp = strcmp(protocol, "udp") == 0;
		if (!publication->udp && strcmp(protocol, "tcp") != 0) {
			return false;
		}
	}
	char *guest = strrchr(text, ':');
	if (guest == NULL) {
		return false;
	}
	*guest++ = '\0';
	char *host = strrchr(text, ':');
	if (host != NULL) {
		*host++ = '\0';
	}
	return (host == NULL || read_address(text, publication)) &&
	       read_port(host == NULL ? text : host, &publication->host) &&
	       read_port(guest, &publication->guest);
}

/* 0 or -errno: whether it can be listened on. */
static int try_port(const struct publication *publication) {
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)publication->host)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)publication->host)};
	bool is_v4 = inet_pton(AF_INET, publication->address, &v4.sin_addr) == 1;
	const struct sockaddr *address = (const struct sockaddr *)&v4;
	if (!is_v4) {
		inet_pton(AF_INET6, publication->address, &v6.sin6_addr);
		address = (const struct sockaddr *)&v6;
	}
	int fd = socket(address->sa_family, (publication->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int one = 1;
	if (fd >= 0 && !publication->udp) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	}
	int ret = fd < 0 || bind(fd, address, is_v4 ? sizeof(v4) : sizeof(v6)) < 0 ? -errno : 0;
	if (ret == 0 && !publication->udp && listen(fd, 1) < 0) {
		ret = -errno;
	}
	fd_close(&fd);
	return ret;
}

/* passt takes a port once, whatever the addresses. */
static bool is_published(const struct strings *arguments, const char *kind, unsigned port) {
	char text[16];
	snprintf(text, sizeof(text), "/%u:", port);
	for (size_t i = 0; i + 1 < arguments->count; i++) {
		if (strcmp(arguments->items[i], kind) == 0 && strstr(arguments->items[i + 1], text) != NULL) {
			return true;
		}
	}
	return false;
}

int plan_publish(struct strings *arguments, const char *option, struct error *error) {
	struct publication publication;
	if (!parse(option, &publication)) {
		return error_set(error, -EINVAL,
			"--publish %s: must be [ADDRESS:]PORT:GUESTPORT[/udp], as in 8080:80 or "
			"0.0.0.0:8080:80",
			option);
	}
	const char *kind = publication.udp ? "--udp-ports" : "--tcp-ports";
	if (is_published(arguments, kind, publication.host)) {
		return error_set(error, -EINVAL, "--publish %s: port %u is published already; leave out one",
			option, publication.host);
	}
	int ret = try_port(&publication);
	if (ret < 0) {
		return error_set(error, ret, "--publish %s: port %u of %s: %s", option, publication.host,
			publication.address,
			ret == -EACCES ? "only root may listen on ports below 1024" : strerror(-ret));
	}
	strings_add(arguments, strdup(kind));
	strings_add_format(arguments, "%s/%u:%u", publication.address, publication.host, publication.guest);
	return 0;
}
