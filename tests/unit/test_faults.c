/*
 * What the host refuses: each scenario is run again and again with the first, the second, the third ... of
 * its allocations, descriptors, writes failing, until one run meets no fault. A run may fail, with one line
 * to tell; it may not crash, leak memory or keep a descriptor. Interrupted and short reads and writes may not
 * even fail. test_faults_sockets.c has the modules that talk over sockets.
 */
#include "faults.h"
#include "realm_citadel.h"

#include "block/overlay.h"
#include "files/server.h"
#include "monitor/guest_config.h"
#include "monitor/initramfs.h"
#include "monitor/memory.h"
#include "monitor/x86/kernel_image.h"

#include "ph/block.h"
#include "ph/cli.h"
#include "ph/console.h"
#include "ph/control.h"
#include "ph/fd.h"
#include "ph/plan.h"
#include "ph/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- scenarios ---- */

static char top[] = "/tmp/ph-faults-XXXXXX";

static int make_files(void **state) {
	(void)state;
	if (mkdtemp(top) == NULL || chdir(top) < 0 || mkdir("share", 0755) < 0) {
		return -1;
	}
	setenv("HOME", top, 1);
	char image[8192] = {0};
	image[1024 + 56] = 0x53;
	image[1024 + 57] = (char)0xef;
	int fd = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	bool done = fd >= 0 && pwrite(fd, image, sizeof(image), 0) == sizeof(image) &&
		    ftruncate(fd, 1 << 20) == 0;
	close(fd);
	return done ? 0 : -1;
}

static int remove_files(void **state) {
	(void)state;
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

static int plan_everything(struct error *error) {
	struct plan plan = {0};
	struct guest_memory memory = {.region_count = 1};
	struct record_buffer records = {0};
	struct plan_request request = {.home = top,
		.shares = {"share:/mnt/share:ro"},
		.share_count = 1,
		.disks = {"image:ro"},
		.disk_count = 1,
		.hide = {"/usr/share"},
		.hide_count = 1,
		.env = {"A=b", "HOME"},
		.env_count = 2};
	int ret = plan_init(&plan, &request, error);
	if (ret == 0) {
		guest_config_put(&records, &plan, &memory, false);
		ret = records.failed ? -ENOMEM : 0;
	} else {
		assert_string_not_equal(error->message, "");
	}
	record_buffer_finish(&records);
	plan_finish(&plan);
	return ret;
}

static void test_plan(void **state) {
	(void)state;
	survive(plan_everything, 40);
}

static struct citadel citadel;

static int plan_realm(struct error *error) {
	struct plan plan = {0};
	const struct plan_request request = {.realm = "main"};
	char name[PLAN_REALM_MAX + 1];
	int ret = plan_realm_name(&request, name, error);
	if (ret == 0) {
		ret = plan_init(&plan, &request, error);
	}
	plan_finish(&plan);
	if (ret < 0) {
		assert_string_not_equal(error->message, "");
	}
	return ret;
}

/* One with a home of its own, and one whose home is made of several directories. */
static void test_realm(void **state) {
	(void)state;
	char shared[64];
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	assert_int_equal(citadel_make(&citadel), 0);
	snprintf(shared, sizeof(shared), "%s/realms/Shared", citadel.top);
	assert_int_equal(mkdir(shared, 0755), 0);
	survive(plan_realm, 60);
	snprintf(shared, sizeof(shared), "%s/realms/skel", citadel.top);
	assert_int_equal(mkdir(shared, 0755), 0);
	citadel_write(&citadel, "realm-main/config",
		"use-ephemeral-home = true\nephemeral-persistent-dirs = ['Documents', 'Other']\n"
		"terminal-scheme = 'embers'\nextra-bindmounts = ['/usr:/mnt/usr']\n");
	survive(plan_realm, 60);
	citadel_remove(&citadel);
}

static int pack(struct error *error) {
	(void)error;
	static const uint8_t data[100000];
	struct initramfs initramfs = {0};
	initramfs_add_directory(&initramfs, "dev");
	initramfs_add_device(&initramfs, "dev/console", 5, 1);
	initramfs_add_file(&initramfs, "init", 0755, data, sizeof(data));
	int ret = initramfs_end(&initramfs);
	initramfs_finish(&initramfs);
	return ret;
}

static void test_initramfs(void **state) {
	(void)state;
	survive(pack, 1);
}

static int lay_over(struct error *error) {
	(void)error;
	struct block_overlay overlay = {0};
	char data[8192] = {1}, back[8192];
	struct iovec iov = {data, sizeof(data)}, iov_back = {back, sizeof(back)};
	int ret = block_overlay_init(&overlay, 1 << 20, 0);
	if (ret < 0) {
		return ret;
	}
	ssize_t n = block_overlay_write(&overlay, &iov, 1, 4096, sizeof(data));
	if (n >= 0) {
		n = block_overlay_read(&overlay, &iov_back, 1, 4096);
	}
	if (n >= 0) {
		assert_int_equal(n, sizeof(back));
		assert_memory_equal(data, back, sizeof(back));
		n = block_overlay_zero(&overlay, 4096, 4096);
	}
	block_overlay_finish(&overlay);
	return n < 0 ? (int)n : 0;
}

static void test_overlay(void **state) {
	(void)state;
	survive(lay_over, 4);
}

static int make_disk(struct error *error) {
	(void)error;
	struct virtio_device *device = NULL;
	struct block_options options = {
		.path = "image", .size = 1 << 20, .mode = BLOCK_EPHEMERAL, .id = "id", .queues = 2};
	unsigned left = spare();
	options.fd = open("image", O_RDWR | O_CLOEXEC);
	go_on(left);
	int ret = block_create(&device, &options);
	if (ret < 0) {
		close(options.fd);
	}
	block_destroy(device);
	return ret;
}

static void test_disk(void **state) {
	(void)state;
	survive(make_disk, 4);
}

static int make_ram(struct error *error) {
	struct guest_memory memory = {0};
	struct kernel_image image = {.fd = -1};
	struct kernel_start start;
	int ret = memory_init(&memory, 64 << 20, false, error);
	if (ret == 0) {
		/* Of 1 MiB that are no kernel nothing but the refusal is of interest. */
		struct error refusal = {0};
		if (kernel_image_open(&image, "image", &refusal) == 0) {
			assert_true(kernel_image_load(&image, &memory, &start, &refusal) < 0);
			kernel_image_close(&image);
		}
		assert_string_not_equal(refusal.message, "");
	} else {
		assert_string_not_equal(error->message, "");
	}
	memory_finish(&memory);
	return ret;
}

static void test_ram(void **state) {
	(void)state;
	survive(make_ram, 4);
}

/* ---- the file server ---- */

static uint32_t replied;

static void completed(void *owner, uint64_t cookie, uint32_t written) {
	(void)owner;
	(void)cookie;
	replied = written;
}

/* One request with this body; 0 or the error of the answer, as -errno. */
static int ask(
	struct p9_server *server, struct p9_scratch *scratch, uint8_t type, const void *body, size_t size) {
	static uint8_t message[256], reply[8192];
	uint32_t total = (uint32_t)(P9_HEADER_SIZE + size);
	uint8_t header[P9_HEADER_SIZE] = {(uint8_t)total, (uint8_t)(total >> 8), 0, 0, type, 7, 0};
	memcpy(message, header, sizeof(header));
	memcpy(message + sizeof(header), body, size);
	struct iovec in = {message, total}, out = {reply, sizeof(reply)};
	struct p9_exchange exchange = {.in = &in,
		.in_count = 1,
		.in_size = total,
		.out = &out,
		.out_count = 1,
		.out_size = sizeof(reply)};
	replied = 0;
	struct p9_request request;
	assert_true(p9_server_begin(server, &request, &exchange));
	p9_server_serve(&request, scratch);
	assert_true(replied >= P9_HEADER_SIZE);
	return reply[4] == P9_RLERROR ? -(reply[7] | reply[8] << 8) : 0;
}

static const struct {
	uint8_t type;
	const char *body;
	size_t size;
} session[] = {
	{P9_TVERSION,
		"\0\x20\0\0\x8\0"
		"9P2000.L",
		14},
	{P9_TATTACH, "\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16},
	{P9_TMKDIR, "\0\0\0\0\1\0d\xed\1\0\0\0\0\0\0", 15},
	{P9_TWALK, "\0\0\0\0\1\0\0\0\1\0\1\0d", 13},
	{P9_TLCREATE, "\1\0\0\0\1\0f\2\0\0\0\xa4\1\0\0\0\0\0\0", 19},
	{P9_TWRITE, "\1\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0text", 20},
	{P9_TREAD, "\1\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0", 16},
	{P9_TGETATTR, "\1\0\0\0\xff\x3f\0\0\0\0\0\0", 12},
	{P9_TCLUNK, "\1\0\0\0", 4},
	{P9_TWALK, "\0\0\0\0\2\0\0\0\1\0\1\0d", 13},
	{P9_TUNLINKAT, "\2\0\0\0\1\0f\0\0\0\0", 11},
	{P9_TLOPEN, "\2\0\0\0\0\0\1\0", 8},
	{P9_TREADDIR, "\2\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0", 16},
	{P9_TCLUNK, "\2\0\0\0", 4},
	{P9_TUNLINKAT, "\0\0\0\0\1\0d\0\2\0\0", 11},
};

static int hold_session(struct p9_server *server, struct p9_scratch *scratch) {
	int ret = 0;
	for (size_t i = 0; i < sizeof(session) / sizeof(session[0]); i++) {
		/* The rest is asked for, too: a request that failed leaves a server that goes on. */
		int result = ask(server, scratch, session[i].type, session[i].body, session[i].size);
		ret = ret == 0 ? result : ret;
	}
	return ret;
}

static int serve_files(struct error *error) {
	(void)error;
	static struct p9_scratch scratch;
	struct p9_server server = {0};
	char *hide[] = {top, NULL}; /* not there */
	unsigned left = spare();
	struct p9_server_config config = {.root_fd = open("share", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.hide = hide,
		.msize = 8192,
		.complete = completed};
	go_on(left);
	int ret = p9_server_init(&server, &config);
	if (ret == 0) {
		ret = p9_server_enter(&server);
	}
	if (ret == 0) {
		ret = hold_session(&server, &scratch);
	}
	p9_server_finish(&server);
	close(config.root_fd);
	assert_true(unlink("share/d/f") == 0 || errno == ENOENT);
	assert_true(rmdir("share/d") == 0 || errno == ENOENT);
	return ret;
}

static void test_files(void **state) {
	(void)state;
	survive(serve_files, 20);
}

/* ---- the control port ---- */

static int make_control(struct error *error) {
	(void)error;
	static const struct control_ops ops;
	static const struct console_port_ops port_ops;
	struct loop loop = {.epoll_fd = -1};
	struct virtio_device *console = NULL;
	struct control *control = NULL;
	struct record_buffer exec = {0};
	int ret = loop_init(&loop);
	if (ret == 0) {
		ret = console_create(&console);
	}
	if (ret == 0) {
		struct console_port *port;
		ret = console_add_port(console, NULL, &port_ops, NULL, &port);
	}
	if (ret == 0) {
		ret = control_create(&control, &loop, console, &ops, NULL);
	}
	if (ret == 0) {
		ret = control_attach(control, 1, &(struct control_stdio){-1, -1, -1, false});
	}
	record_put_string(&exec, 1, "command");
	if (ret == 0) {
		ret = control_exec(control, 2, &exec, &(struct control_stdio){-1, -1, -1, false});
	}
	record_buffer_finish(&exec);
	control_destroy(control);
	console_destroy(console);
	loop_finish(&loop);
	return ret;
}

static void test_control(void **state) {
	(void)state;
	survive(make_control, 6);
}

/* ---- the helpers that everybody reads and writes with ---- */

static int copy_about(struct error *error) {
	(void)error;
	char buffer[64], text[] = "a few bytes that arrive whole";
	unsigned left = spare();
	int fd = memfd_create("copy", MFD_CLOEXEC);
	go_on(left);
	int ret = fd_write_all(fd, text, sizeof(text));
	if (ret == 0) {
		lseek(fd, 0, SEEK_SET);
		ret = fd_read_all(fd, buffer, sizeof(text));
		assert_true(ret < 0 || memcmp(buffer, text, sizeof(text)) == 0);
	}
	if (ret == 0) {
		ret = fd_pread_all(fd, buffer, 9, 2);
		assert_true(ret < 0 || memcmp(buffer, text + 2, 9) == 0);
	}
	close(fd);
	ssize_t length = fd_read_file("/proc/sys/kernel/ostype", buffer, sizeof(buffer));
	return ret < 0 ? ret : length < 0 ? (int)length : 0;
}

static void test_copying(void **state) {
	(void)state;
	survive(copy_about, 6);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_realm),
		cmocka_unit_test(test_initramfs),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_ram),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_copying),
	};
	return cmocka_run_group_tests_name("faults", tests, make_files, remove_files);
}
