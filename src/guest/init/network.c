/*
 * The guest's network interface: addresses and routes as ph chose them, at once and without anybody asking
 * around for them. Runs in ph-init before the first command.
 */
#include "guest/init/host.h"

#include "guest/init/report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERFACE "eth0"
#define SETTINGS "/proc/sys/net/ipv6/conf/" INTERFACE

enum field { ADDRESS4, GATEWAY4, ADDRESS6, GATEWAY6 };

/* As the kernel has them (linux/ipv6.h and linux/ipv6_route.h do not go with the C library's headers). */
struct address6_request {
	struct in6_addr address;
	uint32_t prefix;
	int interface;
};

struct route6_request {
	struct in6_addr to, from, gateway;
	uint32_t type;
	uint16_t to_size, from_size;
	uint32_t metric;
	unsigned long info;
	uint32_t flags;
	int interface;
};

/* Take ADDRESS[/PREFIX] apart; without a prefix it is a whole address. */
static int parse(int family, const char *text, void *address, unsigned *prefix) {
	char copy[64];
	snprintf(copy, sizeof(copy), "%s", text);
	char *slash = strchr(copy, '/');
	if (slash != NULL) {
		*slash = '\0';
		*prefix = (unsigned)atoi(slash + 1);
	}
	return inet_pton(family, copy, address) == 1 ? 0 : -EINVAL;
}

static int request(int fd, unsigned long what, void *argument) {
	return ioctl(fd, (int)what, argument) < 0 ? -errno : 0;
}

static void set(const char *setting, const char *value) {
	int fd = open(setting, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		report_problem("cannot set %s: %s", setting, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

static int set_flags(int fd) {
	struct ifreq ifr = {.ifr_name = INTERFACE, .ifr_flags = IFF_UP | IFF_RUNNING};
	return request(fd, SIOCSIFFLAGS, &ifr);
}

/* ---- IPv4 ---- */

static int set_address4(int fd, const char *text) {
	struct ifreq ifr = {.ifr_name = INTERFACE};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	unsigned prefix = 32;
	int ret = parse(AF_INET, text, &sin.sin_addr, &prefix);
	if (ret == 0) {
		memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
		ret = request(fd, SIOCSIFADDR, &ifr);
	}
	if (ret == 0) {
		sin.sin_addr.s_addr = htonl(prefix == 0 ? 0 : ~0u << (32 - prefix));
		memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
		ret = request(fd, SIOCSIFNETMASK, &ifr);
	}
	return ret;
}

static int add_route4(int fd, const char *text) {
	struct sockaddr_in any = {.sin_family = AF_INET}, gateway = any;
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
	unsigned prefix;
	int ret = parse(AF_INET, text, &gateway.sin_addr, &prefix);
	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	return ret < 0 ? ret : request(fd, SIOCADDRT, &route);
}

/* ---- IPv6 ---- */

static int set_address6(int fd, const char *text) {
	struct address6_request address = {.prefix = 128, .interface = (int)if_nametoindex(INTERFACE)};
	int ret = parse(AF_INET6, text, &address.address, &address.prefix);
	return ret < 0 ? ret : request(fd, SIOCSIFADDR, &address);
}

static int add_route6(int fd, const char *text) {
	struct route6_request route = {
		.flags = RTF_UP | RTF_GATEWAY, .metric = 1, .interface = (int)if_nametoindex(INTERFACE)};
	unsigned prefix;
	int ret = parse(AF_INET6, text, &route.gateway, &prefix);
	return ret < 0 ? ret : request(fd, SIOCADDRT, &route);
}

/* Nobody else can have the address, and waiting to be sure would take a second; nor are routers to be asked.
 */
static void trust_address6(void) {
	set(SETTINGS "/accept_dad", "0");
	set(SETTINGS "/accept_ra", "0");
}

/* ---- who may use it ---- */

/* The user whose VM it is: each of its ports, those below 1024 too, and pings. Before the first command,
 * which may be what listens there. */
static void open_to_user(void) {
	set("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	set("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

/* ---- in order ---- */

static void step(int fd, const char *text, int (*act)(int fd, const char *text)) {
	int ret = text[0] != '\0' ? act(fd, text) : 0;
	if (ret < 0) {
		report_error("cannot give " INTERFACE " the address or gateway %s: %s", text, strerror(-ret));
	}
}

void host_raise_network(const struct config *config) {
	char *const *fields = config->network;
	if (fields == NULL) {
		return;
	}
	int fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	open_to_user();
	if (fields[ADDRESS6][0] != '\0') {
		trust_address6();
	}
	int ret = set_flags(fd4);
	if (ret < 0) {
		report_error("cannot bring " INTERFACE " up: %s", strerror(-ret));
	}
	step(fd4, fields[ADDRESS4], set_address4);
	step(fd4, fields[GATEWAY4], add_route4);
	step(fd6, fields[ADDRESS6], set_address6);
	step(fd6, fields[GATEWAY6], add_route6);
	close(fd4);
	close(fd6);
}
