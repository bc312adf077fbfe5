/* Kernel modules for a distribution's kernel, which has few of ph's drivers built in. */
#ifndef MONITOR_MODULES_H
#define MONITOR_MODULES_H

#include "monitor/initramfs.h"

/*
 * Put the modules that the kernel of this version needs to get at its root into the archive, as modules/0,
 * modules/1 and so on in loading order. Nothing when folder (/lib/modules) has none for it: they may be built
 * in. An empty version is none.
 */
void modules_add(struct initramfs *initramfs, const char *folder, const char *version);

#endif
