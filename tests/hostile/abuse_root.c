/*
 * The driver that breaks the rules (tests/unit/abuse.c) as root of a Linux guest: abuse_root SLOT... takes
 * these functions of the PCI bus from their drivers, maps their registers through sysfs, abuses one after the
 * other, looks each time whether all of them serve, and prints TAP. With --bound first, the drivers are left
 * where they are, and lose their devices under their hands.
 */
#include "../unit/abuse.h"
#include "abuse_bars.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#define PAGE 4096
#define BAR_SIZE (4 * PAGE)
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc

static uint8_t *pages;
static uint64_t physical[ABUSE_PAGES];
static unsigned results;

static void fail(const char *what) {
	perror(what);
	exit(2);
}

/* ---- the machine ---- */

/* By the ports, like a kernel: what ph's own kernel tells of the configuration space is read from a copy. */
static unsigned short config_port(unsigned slot, unsigned offset) {
	outl(0x80000000 | slot << 11 | (offset & 0xfc), PCI_ADDRESS);
	return (unsigned short)(PCI_DATA + offset % 4);
}

uint32_t machine_config_read(unsigned slot, unsigned offset, unsigned len) {
	unsigned short port = config_port(slot, offset);
	return len == 1 ? inb(port) : len == 2 ? inw(port) : inl(port);
}

void machine_config_write(unsigned slot, unsigned offset, unsigned len, uint32_t value) {
	unsigned short port = config_port(slot, offset);
	switch (len) {
	case 1:
		outb((unsigned char)value, port);
		break;
	case 2:
		outw((unsigned short)value, port);
		break;
	default:
		outl(value, port);
	}
}

uint8_t *machine_page(unsigned index) {
	return pages + index * PAGE;
}

uint64_t machine_address(unsigned index) {
	return physical[index];
}

uint64_t machine_ram(void) {
	return physical[ABUSE_PAGES - 1] & ~(uint64_t)(BAR_SIZE - 1);
}

void machine_pause(void) {
	usleep(20);
}

void machine_result(bool passed, const char *device, const char *abuse) {
	printf("%sok %u - %s: %s\n", passed ? "" : "not ", ++results, device, abuse);
	fflush(stdout);
}

/* ---- taking it ---- */

static void get_pages(void) {
	const size_t size = ABUSE_PAGES * PAGE;
	pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	if (pages == MAP_FAILED || mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		fail("memory");
	}
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < ABUSE_PAGES; i++) {
		uint64_t entry = 0;
		off_t at = (off_t)((uintptr_t)machine_page(i) / PAGE * 8);
		memset(machine_page(i), 0, PAGE);
		if (fd < 0 || pread(fd, &entry, 8, at) != 8 || entry >> 63 == 0) {
			fail("pagemap");
		}
		physical[i] = (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
	}
	close(fd);
}

static void unbind(const char *folder) {
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/driver/unbind", folder);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	const char *name = strrchr(folder, '/') + 1;
	if (fd < 0 || write(fd, name, strlen(name)) < 0) {
		fail(path);
	}
	close(fd);
}

static void take(unsigned slot, bool bound) {
	char folder[64], path[PATH_MAX];
	snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/0000:00:%02x.0", slot);
	if (!bound) {
		unbind(folder);
	}
	snprintf(path, sizeof(path), "%s/resource0", folder);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	abuse_bars[slot] = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || abuse_bars[slot] == MAP_FAILED) {
		fail(path);
	}
	close(fd);
	machine_config_write(slot, 4, 2, 6);
}

int main(int argc, char **argv) {
	bool bound = argc > 1 && strcmp(argv[1], "--bound") == 0;
	unsigned count = 0, slots[ABUSE_SLOTS];
	if (argc < 2 + bound || iopl(3) < 0) {
		fail("ports");
	}
	for (int i = 1 + bound; i < argc && count < ABUSE_SLOTS; i++) {
		slots[count] = (unsigned)atoi(argv[i]) % ABUSE_SLOTS;
		take(slots[count++], bound);
	}
	get_pages();
	for (unsigned i = 0; i < count; i++) {
		abuse_commit(slots[i], slots[(i + 1) % count], 0, abuse_count);
		for (unsigned k = 0; k < count; k++) {
			machine_result(
				abuse_lives(slots[k]), abuse_device_name(slots[k]), "serves afterwards");
		}
	}
	printf("1..%u\n", results);
	fflush(stdout);
	if (bound) {
		fsync(STDOUT_FILENO);
		reboot(RB_AUTOBOOT); /* nobody could be told of an end any more */
	}
	return 0;
}
