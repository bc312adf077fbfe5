/* From the plan to the records that init reads. Main thread, before the guest starts; nothing hostile comes
 * in. */
#include "monitor/guest_config.h"

#include "ph/guest.h"
#include "ph/sound.h"

#include <stdio.h>

#define NUMBER 24

static void put_skeleton(struct record_buffer *buffer, const struct plan_share *share, const char *options,
	const struct plan_user *user) {
	char uid[NUMBER], gid[NUMBER];
	snprintf(uid, sizeof(uid), "%u", user->uid);
	snprintf(gid, sizeof(gid), "%u", user->gid);
	const char *const skeleton[] = {share->files.tag, options, user->home, uid, gid, NULL};
	record_put_list(buffer, GUEST_CONFIG_SKELETON, skeleton);
}

static void put_share(
	struct record_buffer *buffer, const struct plan_share *share, const struct plan_user *user) {
	char options[256];
	const char *extra = share->mount_options;
	bool has_extra = extra != NULL && extra[0] != '\0';
	snprintf(options, sizeof(options), "trans=virtio,version=9p2000.L,msize=%d%s%s", FILES_MSIZE,
		has_extra ? "," : "", has_extra ? extra : "");
	if (share->skeleton) {
		put_skeleton(buffer, share, options, user);
		return;
	}
	if (share->guest_path == NULL) {
		const char *const root[] = {share->files.tag, options, NULL};
		record_put_list(buffer, GUEST_CONFIG_ROOT_9P, root);
		return;
	}
	const char *const mount[] = {
		share->files.tag, share->guest_path, options, share->files.read_only ? "ro" : "rw", NULL};
	record_put_list(buffer, GUEST_CONFIG_MOUNT_9P, mount);
}

static void put_root_and_mounts(struct record_buffer *buffer, const struct plan *plan) {
	if (plan->root == PLAN_ROOT_IMAGE) {
		const char *mode = plan->disks[0].mode == BLOCK_READ_ONLY ? "ro" : "rw";
		const char *device = plan->disks[0].verity.blocks > 0 ? "/dev/dm-0" : "/dev/vda";
		const char *const root[] = {device, "ext4", mode, NULL};
		record_put_list(buffer, GUEST_CONFIG_ROOT_BLOCK, root);
	}
	if (plan->overlay_size > 0 || plan->root_sealed) {
		char size[NUMBER] = "";
		if (plan->overlay_size > 0) {
			snprintf(size, sizeof(size), "%llu", (unsigned long long)plan->overlay_size);
		}
		const char *const overlay[] = {size, plan->root_sealed ? "ro" : "rw", NULL};
		record_put_list(buffer, GUEST_CONFIG_OVERLAY, overlay);
	}
	if (plan->private_home) {
		char uid[NUMBER], gid[NUMBER];
		snprintf(uid, sizeof(uid), "%u", plan->user.uid);
		snprintf(gid, sizeof(gid), "%u", plan->user.gid);
		const char *mode = plan->realm_name != NULL ? "755" : "700"; /* as Citadel has it */
		const char *const home[] = {plan->user.home, mode, uid, gid, NULL};
		record_put_list(buffer, GUEST_CONFIG_MOUNT_TMPFS, home);
	}
	/* A skeleton must not be copied into what is mounted in the home. */
	for (int skeletons = 1; skeletons >= 0; skeletons--) {
		for (size_t i = 0; i < plan->share_count; i++) {
			if (plan->shares[i].skeleton == (skeletons == 1)) {
				put_share(buffer, &plan->shares[i], &plan->user);
			}
		}
	}
	if (plan->realm_name != NULL) {
		char name[256];
		snprintf(name, sizeof(name), "%s\n", plan->realm_name);
		const char *const file[] = {"/run/realm-name", "644", name, NULL};
		record_put_list(buffer, GUEST_CONFIG_FILE, file);
	}
}

static void put_user(struct record_buffer *buffer, const struct plan_user *user) {
	char uid[NUMBER], gid[NUMBER];
	snprintf(uid, sizeof(uid), "%u", user->uid);
	snprintf(gid, sizeof(gid), "%u", user->gid);
	const char *const fields[] = {
		user->name, uid, gid, user->home, user->shell, user->gecos != NULL ? user->gecos : "", NULL};
	record_put_list(buffer, GUEST_CONFIG_USER, fields);
	for (size_t i = 0; i < user->group_count; i++) {
		snprintf(gid, sizeof(gid), "%u", user->groups[i].gid);
		const char *const group[] = {user->groups[i].name, gid, NULL};
		record_put_list(buffer, GUEST_CONFIG_GROUP, group);
	}
}

static void put_late_memory(struct record_buffer *buffer, const struct guest_memory *memory) {
	for (unsigned i = 1; i < memory->region_count; i++) {
		char start[NUMBER], size[NUMBER];
		snprintf(start, sizeof(start), "0x%llx", (unsigned long long)memory->regions[i].base);
		snprintf(size, sizeof(size), "0x%llx", (unsigned long long)memory->regions[i].size);
		const char *const range[] = {start, size, NULL};
		record_put_list(buffer, GUEST_CONFIG_MEMORY, range);
	}
}

static void put_network(struct record_buffer *buffer, const struct plan_net *net) {
	if (net->kind == PLAN_NET_NONE) {
		return;
	}
	const char *const fields[] = {net->address4, net->gateway4, net->address6, net->gateway6, NULL};
	record_put_list(buffer, GUEST_CONFIG_NETWORK, fields);
	if (net->resolv != NULL) {
		record_put_string(buffer, GUEST_CONFIG_RESOLV, net->resolv);
	}
}

/* Portals would wait for a desktop that is not there. And what this system runs once for the person's own
 * home, it is not to be run a second time for the same files: of settings, keyrings and indexes, one would
 * undo the other's. */
static void put_bus(struct record_buffer *buffer, const struct plan *plan) {
	static const char *const with_own_home[] = {"only", "org.a11y.", NULL};
	static const char *const otherwise[] = {
		"but", "org.freedesktop.portal.", "org.freedesktop.impl.portal.", NULL};
	record_put_list(buffer, GUEST_CONFIG_BUS, plan->own_home ? with_own_home : otherwise);
}

static void put_settings(struct record_buffer *buffer, const struct plan *plan) {
	static const char *const files[] = {"/etc/xdg/gtk-3.0/settings.ini", "/etc/xdg/gtk-4.0/settings.ini"};
	if (plan->zone != NULL) {
		record_put_string(buffer, GUEST_CONFIG_ZONE, plan->zone);
	}
	for (size_t i = 0; plan->gtk_settings != NULL && i < 2; i++) {
		const char *const file[] = {files[i], "644", plan->gtk_settings, NULL};
		record_put_list(buffer, GUEST_CONFIG_FILE, file);
	}
	if (plan->open_urls) {
		record_put(buffer, GUEST_CONFIG_OPEN_URLS, NULL, 0);
	}
}

static void put_command(struct record_buffer *buffer, const struct plan *plan) {
	struct record_buffer exec = {0};
	plan_put_exec(plan, &exec);
	record_put(buffer, GUEST_CONFIG_EXEC, exec.data, exec.size);
	buffer->failed = buffer->failed || exec.failed;
	record_buffer_finish(&exec);
}

void guest_config_put(struct record_buffer *buffer, const struct plan *plan,
	const struct guest_memory *memory, bool late_memory) {
	put_root_and_mounts(buffer, plan);
	record_put_string(buffer, GUEST_CONFIG_HOSTNAME, plan->name);
	put_user(buffer, &plan->user);
	put_network(buffer, &plan->net);
	if (plan->sound.server != NULL) {
		record_put_string(buffer, GUEST_CONFIG_SOUND, SOUND_CONTEXT);
	}
	put_bus(buffer, plan);
	put_settings(buffer, plan);
	if (late_memory) {
		put_late_memory(buffer, memory);
	}
	if (plan->verbose) {
		record_put(buffer, GUEST_CONFIG_VERBOSE, NULL, 0);
	}
	if (plan->timings) {
		record_put(buffer, GUEST_CONFIG_TIMINGS, NULL, 0);
	}
	put_command(buffer, plan);
}
