/*
 * The network: which way it goes, whether that way is there, and what the guest is told of it, so that it
 * needs no DHCP. ph's first thread; the caller's own input, and the host's interfaces.
 *
 * With passt the guest always has the same private addresses, whatever network the host is in: passt makes
 * the host's own sockets of what the guest sends, so the addresses are seen nowhere else, the guest can reach
 * all addresses of the host, and a host that changes its network changes nothing for the guest.
 */
#include "plan/net.h"

#include "ph/fd.h"
#include "ph/log.h"
#include "plan/parts.h"
#include "plan/strings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#define GUEST_MAC "02:70:68:00:00:02"
#define PASST_MAC "02:70:68:00:00:01"
#define ADDRESS4 "10.213.112.2"
#define PREFIX4 "24"
#define GATEWAY4 "10.213.112.1"
#define RESOLVER4 "10.213.112.3" /* leads to the host's, where that is local */
#define ADDRESS6 "fd70:6800:70::2"
#define PREFIX6 "64"
#define GATEWAY6 "fd70:6800:70::1"
#define SCOPE_LINK 0x20 /* in /proc/net/if_inet6 */

/* ---- passt ---- */

static char *find_passt(void) {
	static const char standard[] = "/usr/local/bin:/usr/bin:/bin";
	const char *path = getenv("PATH");
	char *list = strdup(path != NULL && path[0] != '\0' ? path : standard), *rest = list, *folder,
	     *found = NULL;
	while (found == NULL && rest != NULL && (folder = strsep(&rest, ":")) != NULL) {
		if (folder[0] != '/' || asprintf(&found, "%s/passt", folder) < 0) {
			found = NULL;
		} else if (access(found, X_OK) < 0) {
			free(found);
			found = NULL;
		}
	}
	free(list);
	return found;
}

/* passt takes a link-local address for IPv6 from an interface, and does without IPv6 where none has one. */
static bool find_interface(char name[IF_NAMESIZE]) {
	static char text[16384];
	char *rest = text, *line;
	strcpy(name, "lo");
	if (fd_read_file("/proc/net/if_inet6", text, sizeof(text)) < 0) {
		return false;
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		unsigned scope, flags;
		if (sscanf(line, "%*s %*x %*x %x %x %15s", &scope, &flags, name) == 3 &&
			scope == SCOPE_LINK) {
			return true;
		}
	}
	strcpy(name, "lo");
	return false;
}

static void add_words(struct strings *list, const char *const *words) {
	for (; *words != NULL; words++) {
		strings_add(list, strdup(*words));
	}
}

static void add_options(struct strings *list, const struct plan_request *request) {
	static const char *const always[] = {"passt", "--foreground", "--mtu", "65520", "--mac-addr",
		PASST_MAC, "--address", ADDRESS4, "--netmask", PREFIX4, "--gateway", GATEWAY4, "--address",
		ADDRESS6, "--gateway", GATEWAY6, "--no-dhcp", "--no-dhcpv6", "--no-ra", NULL};
	add_words(list, always);
	if (!request->verbose) {
		add_words(list, (const char *const[]){"--quiet", NULL});
	}
	if (!request->net_host_loopback) {
		add_words(list, (const char *const[]){"--no-map-gw", NULL});
	}
}

static int resolve_passt(struct plan *plan, const struct plan_request *request, struct error *error) {
	struct plan_net *net = &plan->net;
	struct strings arguments = {0};
	char interface[IF_NAMESIZE];
	net->kind = PLAN_NET_PASST;
	net->passt = find_passt();
	net->mtu = NET_MTU_MAX;
	net->resolver = RESOLVER4;
	sscanf(GUEST_MAC, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &net->mac[0], &net->mac[1], &net->mac[2],
		&net->mac[3], &net->mac[4], &net->mac[5]);
	if (net->passt == NULL) {
		return error_set(error, -ENOENT,
			"--net needs the program passt, which is not here: install the package passt (on "
			"Debian: sudo apt install passt)");
	}
	if (request->net_address_count + request->net_gateway_count > 0) {
		return error_set(error, -EINVAL, "--net-address and --net-gateway are for --net=tap:IFACE");
	}
	strcpy(net->address4, ADDRESS4 "/" PREFIX4);
	strcpy(net->gateway4, GATEWAY4);
	net->find_interface = find_interface;
	if (find_interface(interface)) {
		strcpy(net->address6, ADDRESS6 "/" PREFIX6);
		strcpy(net->gateway6, GATEWAY6);
	}
	add_options(&arguments, request);
	int ret = 0;
	for (size_t i = 0; i < request->publish_count && ret == 0; i++) {
		ret = plan_publish(&arguments, request->publish[i], error);
	}
	net->arguments = strings_take(&arguments);
	if (ret == 0 && net->arguments == NULL) {
		ret = error_set(error, -ENOMEM, "out of memory");
	}
	return ret;
}

/* ---- a tap ---- */

/* One more queue of the tap. 0 or -errno. */
static int open_queue(struct plan_net *net, short flags) {
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
	int header = 12, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	strcpy(request.ifr_name, net->tap);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) {
		int ret = -errno;
		fd_close(&fd);
		return ret;
	}
	net->tap_fds[net->tap_queues++] = fd;
	return 0;
}

/* A tap that was made for several queues gets one for each CPU, up to a few; others have one. The kernel says
 * EINVAL to whoever takes one kind for the other. */
static int open_queues(struct plan_net *net, unsigned cpus) {
	int ret = open_queue(net, IFF_MULTI_QUEUE);
	if (ret == -EINVAL) {
		return open_queue(net, 0);
	}
	while (ret == 0 && net->tap_queues < cpus && net->tap_queues < NET_PAIRS_MAX) {
		ret = open_queue(net, IFF_MULTI_QUEUE);
	}
	/* There may be fewer than that. */
	return net->tap_queues > 0 ? 0 : ret;
}

static int open_tap(struct plan_net *net, unsigned cpus, struct error *error) {
	struct ifreq request = {0};
	if (if_nametoindex(net->tap) == 0) {
		return error_set(error, -ENODEV, "--net=tap:%s: there is no such interface", net->tap);
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		return error_set(error, -errno, "--net=tap: /dev/net/tun: %s", strerror(errno));
	}
	int ret = open_queues(net, cpus);
	if (ret < 0) {
		const char *remedy =
			ret == -EPERM || ret == -EBUSY
				? "; it must be a tap of yours that nobody uses: sudo ip tuntap add "
				  "dev NAME mode tap user $USER"
				: "";
		return error_set(error, ret, "--net=tap:%s: %s%s", net->tap, strerror(-ret), remedy);
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(request.ifr_name, net->tap);
	bool known = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0;
	fd_close(&fd);
	net->mtu = known && request.ifr_mtu >= 68 && request.ifr_mtu <= NET_MTU_MAX
			   ? (uint16_t)request.ifr_mtu
			   : 1500;
	return 0;
}

/* Into the text, of PLAN_ADDRESS_SIZE, for its version of IP. */
static int take_address(char *text4, char *text6, const char *option, const char *value, bool has_prefix,
	struct error *error) {
	char address[64];
	unsigned char bytes[sizeof(struct in6_addr)];
	size_t length = has_prefix ? strcspn(value, "/") : strlen(value);
	snprintf(address, sizeof(address), "%.*s", (int)length, value);
	int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	long prefix = 1, prefix_max = family == AF_INET6 ? 128 : 32;
	char *end = NULL;
	if (has_prefix) {
		prefix = value[length] == '/' ? strtol(value + length + 1, &end, 10) : 0;
	}
	if (length >= sizeof(address) || inet_pton(family, address, bytes) != 1 || prefix < 1 ||
		prefix > prefix_max || (end != NULL && *end != '\0')) {
		return error_set(error, -EINVAL, "--%s %s: must be an %s", option, value,
			has_prefix ? "ADDRESS/PREFIX, as in 172.17.0.8/24" : "address");
	}
	char *text = family == AF_INET6 ? text6 : text4;
	if (text[0] != '\0') {
		return error_set(error, -EINVAL, "--%s %s: there is one of that kind already", option, value);
	}
	/* Not as it came: any number of zeros may be before a prefix. */
	int used = snprintf(text, PLAN_ADDRESS_SIZE, "%s", address);
	if (has_prefix) {
		snprintf(text + used, PLAN_ADDRESS_SIZE - (size_t)used, "/%ld", prefix);
	}
	return 0;
}

static int take_addresses(struct plan_net *net, const struct plan_request *request, struct error *error) {
	int ret = 0;
	for (size_t i = 0; i < request->net_address_count && ret == 0; i++) {
		ret = take_address(
			net->address4, net->address6, "net-address", request->net_address[i], true, error);
	}
	for (size_t i = 0; i < request->net_gateway_count && ret == 0; i++) {
		ret = take_address(
			net->gateway4, net->gateway6, "net-gateway", request->net_gateway[i], false, error);
	}
	return ret;
}

static int resolve_tap(struct plan *plan, const struct plan_request *request, struct error *error) {
	struct plan_net *net = &plan->net;
	const char *name = request->net + sizeof("tap:") - 1;
	if (name[0] == '\0' || strlen(name) >= IF_NAMESIZE) {
		return error_set(error, -EINVAL, "--net=tap:%s: this is no name of an interface", name);
	}
	if (request->publish_count > 0 || request->net_host_loopback) {
		return error_set(error, -EINVAL,
			"--publish and --net-host-loopback go with --net, not with --net=tap: behind a tap "
			"the host routes and filters");
	}
	net->kind = PLAN_NET_TAP;
	net->tap = strdup(name);
	if (net->tap == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	/* Of ours alone, and locally administered. */
	if (getrandom(net->mac, sizeof(net->mac), 0) != (ssize_t)sizeof(net->mac)) {
		return error_set(error, -EIO, "no random bytes for the VM's network address");
	}
	net->mac[0] = (uint8_t)((net->mac[0] & 0xfc) | 2);
	int ret = take_addresses(net, request, error);
	return ret < 0 ? ret : open_tap(net, plan->cpus, error);
}

/* ---- both ---- */

static int check_servers(const struct plan_request *request, struct error *error) {
	int ret = 0;
	for (size_t i = 0; i < request->net_dns_count && ret == 0; i++) {
		char text4[PLAN_ADDRESS_SIZE] = "", text6[PLAN_ADDRESS_SIZE] = "";
		ret = take_address(text4, text6, "net-dns", request->net_dns[i], false, error);
	}
	return ret;
}

/* What a realm has without being asked for it must not keep it from starting. */
static bool has_realm_net(const struct plan *plan, const struct plan_request *request) {
	if (!plan_realm_has_net(plan, request)) {
		return false;
	}
	char *passt = find_passt();
	bool found = passt != NULL;
	if (!found) {
		plan_realm_lacks_net(plan);
	}
	free(passt);
	return found;
}

static char *make_resolv(void) {
	bool lost;
	return plan_make_resolv(NULL, 0, RESOLVER4, &lost);
}

static int resolve_names(struct plan_net *net, const struct plan_request *request, struct error *error) {
	bool lost;
	net->resolv = plan_make_resolv(request->net_dns, request->net_dns_count, RESOLVER4, &lost);
	net->make_resolv = request->net_dns_count == 0 ? make_resolv : NULL;
	if (net->resolv == NULL) {
		return error_set(error, -ENOMEM, "out of memory");
	}
	if (lost) {
		log_error("the VM reaches none of this host's name servers, which are at ::1 or link-local "
			  "addresses; name one with --net-dns");
	}
	return 0;
}

int plan_resolve_net(struct plan *plan, const struct plan_request *request, struct error *error) {
	bool realm = has_realm_net(plan, request);
	if (request->net == NULL && !realm) {
		bool asked = request->publish_count + request->net_address_count +
					     request->net_gateway_count + request->net_dns_count >
				     0 ||
			     request->net_host_loopback;
		return asked ? error_set(error, -EINVAL,
				       "--publish and the --net- options are about the network: give --net, "
				       "too")
			     : 0;
	}
	bool tap = !realm && strncmp(request->net, "tap:", 4) == 0;
	int ret = check_servers(request, error);
	if (ret == 0) {
		ret = tap ? resolve_tap(plan, request, error) : resolve_passt(plan, request, error);
	}
	/* Names are the business of a tap's zone. */
	if (ret == 0 && (!tap || request->net_dns_count > 0)) {
		ret = resolve_names(&plan->net, request, error);
	}
	return ret;
}
