/* File systems and folders beneath the guest's root. */
#ifndef PH_GUEST_INIT_MOUNTS_H
#define PH_GUEST_INIT_MOUNTS_H

#include "guest/init/config.h"

#include <stdint.h>
#include <sys/types.h>

/* A mount to make; the mount point is made when it is missing. */
struct mount_spec {
	const char *source, *target, *type;
	unsigned long flags;
	const char *options;
};

/* mkdir -p, also through symbolic links whose target is missing. 0 or -errno. */
int mounts_make_folder(const char *path, mode_t mode);
/* 0 or -errno. */
int mounts_add(const struct mount_spec *spec);
/* RAM in bytes once all of config's has been added. Not to be asked for after that. */
uint64_t mounts_total_memory(const struct config *config);

/* Mount on target, a folder of the initramfs, the one tmpfs for all that is not kept: changes to the root,
 * /tmp and homes in memory. size in bytes, or "": a part of the RAM. 0 or -errno. */
int mounts_make_changes(const struct config *config, const char *target, const char *size);
/* That tmpfs, or -1. */
int mounts_changes(void);

/* What every program expects: /proc, /sys, /dev and so on. Failures are reported. */
void mounts_add_system(const struct config *config);
/* The mounts of the configuration, in its order. A missing one is a failure, which is reported; -errno. */
int mounts_add_configured(const struct config *config);
bool mounts_will_seal_root(const struct config *config);
/* Where the configuration wants it: the root becomes read-only but for /var. Nothing of init's writes to it
 * after. */
void mounts_seal_root(const struct config *config);

#endif
