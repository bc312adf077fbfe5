/*
 * --check: what this host has and lacks for ph, a line each, with the remedy. Only /dev/kvm and memory are
 * needed; what else is missing costs a feature or a layer of defence.
 *
 * ph's one thread; the input is the host.
 */
#include "ph/cli.h"
#include "ph/jail.h"
#include "ph/log.h"
#include "ph/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct finding {
	bool ok;
	char text[640];
};

static void has(struct finding *finding, const char *text) {
	finding->ok = true;
	snprintf(finding->text, sizeof(finding->text), "%s", text);
}

static void lacks(struct finding *finding, const char *text) {
	snprintf(finding->text, sizeof(finding->text), "%s", text);
}

static void check_kvm(struct finding *finding) {
	struct error error = {0};
	if (vm_check_kvm(&error) < 0) {
		lacks(finding, error.message);
	} else {
		has(finding, "/dev/kvm runs kernels");
	}
}

/* In KiB: what is free, and what the host keeps only as long as nobody needs the memory. */
static unsigned long long available_memory(void) {
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
		sscanf(line, "MemAvailable: %llu kB", &kib) != 1) {
	}
	if (file != NULL) {
		fclose(file);
	}
	return kib;
}

static void check_memory(struct finding *finding) {
	const unsigned long long wanted = 512;
	unsigned long long mib = available_memory() >> 10;
	finding->ok = mib >= wanted;
	snprintf(finding->text, sizeof(finding->text), "%llu MiB available%s", mib,
		finding->ok ? "" : "; close something, or start small: --mem 256M");
}

static void check_filters(struct finding *finding) {
	if (jail_has_filters()) {
		has(finding, "every process makes only the system calls it needs");
	} else {
		lacks(finding,
			"off, so system calls are not filtered; the kernel needs CONFIG_SECCOMP_FILTER");
	}
}

static void check_namespaces(struct finding *finding) {
	if (jail_has_namespaces()) {
		has(finding, "the display server gets an empty root and network");
	} else {
		lacks(finding,
			"forbidden, so the display server goes without; sysctl "
			"kernel.unprivileged_userns_clone=1, user.max_user_namespaces=10000 or, on Ubuntu, "
			"kernel.apparmor_restrict_unprivileged_userns=0 allows them");
	}
}

static void check_landlock(struct finding *finding) {
	int version = jail_landlock_version();
	finding->ok = version >= 2;
	if (finding->ok) {
		snprintf(finding->text, sizeof(finding->text), "version %d keeps processes from other files",
			version);
	} else {
		lacks(finding, "off or too old, so the file server could reach all your files; boot with "
			       "lsm=landlock,... (Linux 5.19 or later)");
	}
}

static void check_device(struct finding *finding, const char *path, const char *use, const char *remedy) {
	finding->ok = access(path, R_OK | W_OK) == 0;
	snprintf(finding->text, sizeof(finding->text), "%s: %s%s%s", path,
		finding->ok ? use : strerror(errno), finding->ok ? "" : "; ", finding->ok ? "" : remedy);
}

static void check_udmabuf(struct finding *finding) {
	check_device(finding, "/dev/udmabuf", "windows are shown without copies",
		"windows are copied; modprobe udmabuf and give yourself access");
}

static void check_card(struct finding *finding) {
	char path[32];
	for (unsigned i = 0; i < 8 && !finding->ok; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%u", i);
		check_device(finding, path, "graphics buffers can be allocated", "");
	}
	if (!finding->ok) {
		lacks(finding,
			"none in /dev/dri, so no graphics buffers; log in at the screen, or join the group "
			"video");
	}
}

static void check_compositor(struct finding *finding) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!plan_wayland_path(address.sun_path, sizeof(address.sun_path))) {
		lacks(finding, "no Wayland session (XDG_RUNTIME_DIR is not set): programs have no windows");
		return;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	finding->ok = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
	snprintf(finding->text, sizeof(finding->text), "%s: %s", address.sun_path,
		finding->ok ? "answers" : strerror(errno));
	if (fd >= 0) {
		close(fd);
	}
	if (!finding->ok) {
		strcat(finding->text, "; start ph inside a Wayland session to get windows");
	}
}

int cli_check_host(void) {
	static const struct {
		const char *name;
		bool needed;
		void (*check)(struct finding *finding);
	} checks[] = {
		{"KVM", true, check_kvm},
		{"memory", true, check_memory},
		{"seccomp", false, check_filters},
		{"namespaces", false, check_namespaces},
		{"Landlock", false, check_landlock},
		{"udmabuf", false, check_udmabuf},
		{"card", false, check_card},
		{"compositor", false, check_compositor},
	};
	int ret = 0;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct finding finding = {0};
		checks[i].check(&finding);
		const char *verdict = finding.ok ? "ok" : checks[i].needed ? "MISSING" : "without";
		printf("%-8s %-16s %s\n", verdict, checks[i].name, finding.text);
		if (!finding.ok && checks[i].needed) {
			ret = -ENODEV;
		}
	}
	if (log_verbose_enabled) {
		jail_print();
	}
	return ret;
}
