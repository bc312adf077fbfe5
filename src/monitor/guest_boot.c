/*
 * From the plan to the contents of guest RAM. Main thread, before the guest starts. A kernel given with
 * --kernel is hostile: x86/kernel_image.c bounds it.
 */
#include "monitor/guest_boot.h"

#include "monitor/guest_config.h"
#include "monitor/initramfs.h"
#include "monitor/memory.h"
#include "monitor/modules.h"
#include "monitor/serial.h"
#include "monitor/x86/boot.h"
#include "monitor/x86/embed.h"
#include "ph/fd.h"
#include "ph/guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONSOLE_MAJOR 5
#define CONSOLE_MINOR 1

#define BACKED_BELOW (24ULL << 20)
#define BACKED_TOP (8ULL << 20)

bool guest_boot_late_memory(const struct plan *plan) {
	return plan->kernel == NULL;
}

/* Whether the guest may reach the compositor. */
static bool has_screen(const struct plan *plan) {
	bool found = false;
	for (size_t i = 0; i < plan->socket_count; i++) {
		found |= plan->sockets[i].name[0] == '\0';
	}
	return found && embed_wayland != NULL;
}

/*
 * reboot=t panic=-1  a reset is a triple fault, which KVM reports; a panic resets at once
 * swiotlb=noforce    no bounce buffers (64 MiB, cleared) when there is RAM above 4 GiB
 * tsc=reliable       no comparison of the processors' counters: KVM keeps them together, if the host's do
 * pci=conf1,noearly  no probing for other ways into configuration space
 * ph.config          where ph's own kernel reads configuration space without exits
 * ph.backing         the port where it tells which memory comes into use
 * noreplace-smp      leave the lock prefixes of a kernel with one processor as they are
 * initcall_blacklist the clock chip that a distribution's kernel would wait seconds for
 */
static int write_command_line(const struct plan *plan, bool trusts_tsc, char *line, size_t size) {
	char own[64] = "";
	if (plan->kernel == NULL) {
		snprintf(own, sizeof(own), " ph.config=0x%x ph.backing=0x%x", GUEST_BOOT_PCI_CONFIG,
			GUEST_BOOT_BACKING_PORT);
	}
	int n = snprintf(line, size,
		"console=hvc0 reboot=t panic=-1 swiotlb=noforce%s pci=conf1,noearly%s%s%s%s%s%s",
		trusts_tsc ? " tsc=reliable" : "", own, plan->cpus == 1 ? " noreplace-smp" : "",
		plan->kernel != NULL ? " initcall_blacklist=cmos_init" : "",
		plan->verbose ? " earlycon=uart8250,io,0x3f8" : " quiet", plan->append != NULL ? " " : "",
		plan->append != NULL ? plan->append : "");
	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

/*
 * A sealed image's blocks are read through dm-verity, which the kernel sets up itself: data and tree on the
 * same disk, the tree one block (its description) behind the data.
 */
static int append_verity(const struct plan *plan, char *line, size_t size) {
	const struct plan_disk *disk = &plan->disks[0];
	if (plan->disk_count == 0 || disk->verity.blocks == 0) {
		return 0;
	}
	size_t used = strlen(line);
	unsigned long long blocks = disk->verity.blocks;
	int n = snprintf(line + used, size - used,
		" dm-mod.create=\"root,,,ro,0 %llu verity 1 /dev/vda /dev/vda 4096 4096 %llu %llu sha256 %s "
		"%s\" "
		"dm-mod.waitfor=/dev/vda",
		blocks * 8, blocks, blocks + 1, disk->verity.root,
		disk->verity.salt[0] != '\0' ? disk->verity.salt : "-");
	return n < 0 || (size_t)n >= size - used ? -E2BIG : 0;
}

static int build_initramfs(struct initramfs *initramfs, const struct plan *plan,
	const struct guest_memory *memory, const struct kernel_start *start, struct error *error) {
	struct record_buffer config = {0};
	if (embed_init == NULL) {
		return error_set(error, -ENOENT, "this ph was built without an init");
	}
	guest_config_put(&config, plan, memory, guest_boot_late_memory(plan));
	initramfs_add_directory(initramfs, "dev");
	initramfs_add_device(initramfs, "dev/console", CONSOLE_MAJOR, CONSOLE_MINOR);
	initramfs_add_file(initramfs, "init", 0755, embed_init, (size_t)(embed_init_end - embed_init));
	if (has_screen(plan)) {
		initramfs_add_file(initramfs, &GUEST_WAYLAND_PATH[1], 0755, embed_wayland,
			(size_t)(embed_wayland_end - embed_wayland));
	}
	initramfs_add_file(initramfs, &GUEST_CONFIG_PATH[1], 0600, config.data, config.size);
	modules_add(initramfs, "/lib/modules", start->version);
	int ret = initramfs_end(initramfs);
	if (config.failed) {
		ret = -ENOMEM;
	}
	record_buffer_finish(&config);
	return ret < 0 ? error_set(error, ret, "cannot make the initramfs: %s", strerror(-ret)) : 0;
}

static int load(const struct plan *plan, const struct guest_memory *memory, const struct kernel_start *start,
	bool trusts_tsc, struct error *error) {
	char command_line[BOOT_COMMAND_LINE_MAX];
	if (write_command_line(plan, trusts_tsc, command_line, sizeof(command_line)) < 0 ||
		append_verity(plan, command_line, sizeof(command_line)) < 0) {
		return error_set(error, -E2BIG, "--append: the kernel command line is too long");
	}
	struct initramfs initramfs = {0};
	int ret = build_initramfs(&initramfs, plan, memory, start, error);
	if (ret == 0) {
		const struct boot_options options = {.kernel = start,
			.command_line = command_line,
			.initramfs = initramfs.data,
			.initramfs_size = initramfs.size,
			.cpus = plan->cpus,
			.late_memory = guest_boot_late_memory(plan)};
		ret = boot_write(memory, &options, error);
	}
	initramfs_finish(&initramfs);
	return ret;
}

/*
 * Back what every boot touches with huge pages: below, the kernel and what its page allocator hands out
 * first; at the top, its page map and tables. The kernel is then copied, since a mapping of its file would
 * break the huge pages up again.
 */
static void back(struct kernel_image *image, const struct guest_memory *memory) {
	uint64_t top = memory->regions[0].size;
	if (memory_use_huge_pages(memory, 0, BACKED_BELOW) &&
		memory_use_huge_pages(memory, top - BACKED_TOP, top) && image->fd >= 0) {
		fd_close(&image->fd);
	}
}

int guest_boot_load(const struct plan *plan, const struct guest_memory *memory, bool trusts_tsc,
	uint64_t *entry, struct error *error) {
	struct kernel_image image;
	struct kernel_start start;
	int ret = kernel_image_open(&image, plan->kernel, error);
	if (ret < 0) {
		return ret;
	}
	back(&image, memory);
	ret = kernel_image_load(&image, memory, &start, error);
	kernel_image_close(&image);
	if (ret == 0) {
		ret = load(plan, memory, &start, trusts_tsc, error);
	}
	*entry = start.entry;
	return ret;
}
