/*
 * ph-init: PID 1 of the guest. From the initramfs into the root, the first command, and then the
 * control port until ph asks for the end. It needs no file of the root it boots and trusts what ph
 * says (/ph.conf, control frames); what runs beside it is untrusted, but is inside the same VM.
 *
 * The order is that of the user's wait: nothing comes before the first command that it cannot
 * miss.
 */
#include "guest/init/agent.h"
#include "guest/init/bus.h"
#include "guest/init/host.h"
#include "guest/init/late.h"
#include "guest/init/limits.h"
#include "guest/init/modules.h"
#include "guest/init/mounts.h"
#include "guest/init/report.h"
#include "guest/init/root.h"
#include "guest/init/shutdown.h"
#include "guest/init/sound.h"
#include "guest/init/urls.h"
#include "guest/init/users.h"
#include "guest/init/wayland.h"
#include "guest/init/x11.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT_TIMEOUT_MS 10000

static struct port port;
static struct config config;
static struct agent agent;
static struct wayland wayland;
static struct x11 x11;
static struct bus bus;
static struct urls urls;

/* The kernel gives init its console or, without one, nothing; commands must never get low numbers by
 * accident.
 */
static void open_standard_streams(void) {
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < 2);
	if (fd > 2) {
		close(fd);
	}
}

static int prepare_root(void) {
	limits_set_own(&config);
	umask(0);
	mounts_add_system(&config);
	open_standard_streams();
	umask(022);
	users_make_runtime_folder(&config);
	int result = mounts_add_configured(&config);
	if (result < 0) {
		return result;
	}
	wayland_listen(&wayland, &config);
	x11_listen(&x11, &config, wayland.service.listener >= 0);
	bus_listen(&bus, &config);
	report_timing("mounts");
	host_set_name(&config);
	host_set_zone(&config);
	users_add(&config);
	report_timing("users");
	host_raise_loopback();
	host_raise_network(&config);
	sound_start(&config);
	urls_place(&urls, &config);
	mounts_seal_root(&config);
	return 0;
}

static void start_first(void) {
	if (config.has_exec) {
		agent_exec(&agent, 1, &config.exec);
		report_timing("exec");
	}
}

static void start_late(void) {
	pid_t pid = late_start(&config, agent.sessions == NULL ? 0 : agent.sessions->pid);
	if (pid < 0) {
		report_error("cannot start the process that adds memory: %s", strerror((int)-pid));
	} else {
		agent.late = pid;
	}
}

/* Without a root there is no /dev and /sys yet to tell of it. */
static void prepare_failure(void) {
	mkdir("/dev", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	open_standard_streams();
}

static int start(uint64_t started) {
	int result = config_read(&config, GUEST_CONFIG_PATH);
	report_init(&port, config.verbose, config.timings);
	report_timing_at("init", started);
	if (result < 0) {
		report_failure("cannot read the configuration %s: %s", GUEST_CONFIG_PATH, strerror(-result));
	}
	if (result == 0) {
		modules_load();
		wayland_init(&wayland);
		urls_init(&urls);
		result = root_enter(&config);
	}
	if (result < 0) {
		prepare_failure();
		return result;
	}
	report_timing("root");
	result = prepare_root();
	if (result < 0) {
		return result;
	}
	result = agent_init(&agent, &config, &port);
	if (result < 0) {
		report_failure("cannot start the guest's agent: %s", strerror(-result));
		return result;
	}
	agent_add_service(&agent, &wayland.service);
	agent_add_service(&agent, &x11.service);
	agent_add_service(&agent, &bus.service);
	agent_add_urls(&agent, &urls);
	start_first();
	return 0;
}

/* The kernel's log is the last way to be heard: ph shows its end when a VM dies. */
static void report_no_port(int error) {
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	dprintf(fd, "<3>ph-init: cannot open the control port %s: %s\n", GUEST_CONTROL_PORT,
		strerror(-error));
	close(fd);
}

int main(int argc, char **argv) {
	uint64_t started = report_now();
	/* By its name: a container in the guest has a PID 1 of its own. */
	if (strcmp(program_invocation_short_name, "xdg-open") == 0) {
		return xdg_open_main(argc, argv);
	}
	if (getpid() != 1) {
		return 1;
	}
	port_init(&port);
	int result = start(started);
	int opened = port_open(&port, GUEST_CONTROL_PORT, PORT_TIMEOUT_MS);
	if (opened < 0) {
		report_no_port(opened);
	}
	if (result == 0 && opened == 0) {
		report_timing("control");
		start_late();
		agent_run(&agent);
	}
	shutdown_filesystems();
	shutdown_machine(&port);
}
