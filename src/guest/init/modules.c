/*
 * Loading the modules in the initramfs, in the order of their numbers. PID 1, before there is a root. They
 * come from ph; one that does not load is a message, because the kernel may not need it.
 */
#include "guest/init/modules.h"

#include "guest/init/report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A module that is no ELF file is compressed; the kernel knows how. */
static int load(int fd) {
	char magic[4] = "";
	if (pread(fd, magic, sizeof(magic), 0) < 0) {
		return -1;
	}
	int flags = memcmp(magic, "\177ELF", sizeof(magic)) == 0 ? 0 : MODULE_INIT_COMPRESSED_FILE;
	return (int)syscall(SYS_finit_module, fd, "", flags);
}

void modules_load(void) {
	char path[32];
	for (unsigned i = 0;; i++) {
		snprintf(path, sizeof(path), "/modules/%u", i);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			return;
		}
		if (load(fd) < 0 && errno != EEXIST) {
			report_problem("cannot load module %u: %s", i, strerror(errno));
		}
		close(fd);
		unlink(path);
	}
}
